/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_flip.c - what a guest's kernel does for a driver that receives pages by
 * transfer: grant references of its own, and what is left when the driver dies.
 *
 * Hides which process has which of these references. The entries themselves are
 * written by that process (flip.c), as a kernel writes its own table.
 */
#include <errno.h>
#include <stdlib.h>
#include "hv.h"

unsigned hv_flip_owner(unsigned slot, uint32_t gref)
{
	return hv.dom[slot].flip_proc ? hv.dom[slot].flip_proc[gref] : 0;
}

/* As many as there are; the rest of the references are xengntshr's. */
int hv_flip_grefs(unsigned proc, uint64_t nr, uint32_t *grefs)
{
	unsigned slot = hv.proc[proc].dom_slot;
	struct hv_dom *d = &hv.dom[slot];

	if (!d->flip_proc)
		d->flip_proc = calloc(hv.shm->dom[slot].nr_grants,
				      sizeof(*d->flip_proc));
	if (!d->flip_proc)
		return -ENOMEM;
	if (d->nr_free_grefs < nr)
		return -ENOSPC;
	hv.proc[proc].has_flip = true;
	for (uint64_t i = 0; i < nr; i++) {
		grefs[i] = d->free_grefs[--d->nr_free_grefs];
		d->flip_proc[grefs[i]] = proc + 1;
	}
	return 0;
}

/* No transfer is under way: they are done in this process. */
static void take_back(unsigned slot, uint32_t gref)
{
	struct hv_dom *d = &hv.dom[slot];

	atomic_store(&hv.shm->dom[slot].grant[gref].hdr, 0);
	atomic_store(&hv.shm->dom[slot].grant[gref].frame, 0);
	d->flip_proc[gref] = 0;
	d->free_grefs[d->nr_free_grefs++] = gref;
}

void hv_flip_return(unsigned proc, uint64_t nr, const uint32_t *grefs)
{
	unsigned slot = hv.proc[proc].dom_slot;

	for (uint64_t i = 0; i < nr; i++)
		if (grefs[i] < hv.shm->dom[slot].nr_grants &&
		    hv_flip_owner(slot, grefs[i]) == proc + 1)
			take_back(slot, grefs[i]);
}

void hv_flip_proc_exit(unsigned proc)
{
	unsigned slot = hv.proc[proc].dom_slot;

	if (!hv.proc[proc].has_flip)
		return;
	for (uint32_t gref = 0; gref < hv.shm->dom[slot].nr_grants; gref++)
		if (hv_flip_owner(slot, gref) == proc + 1)
			take_back(slot, gref);
}

void hv_flip_domain_exit(unsigned slot)
{
	free(hv.dom[slot].flip_proc);
	hv.dom[slot].flip_proc = NULL;
}
