/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of this domain that nobody maps: got from the hypervisor, filled, and given
 * to another domain (GNTTABOP_transfer).
 *
 * Hides: the hypercalls, and what each of Xen's answers means for a page. Must not
 * know: who wants it, messages. One thread per object.
 *
 * A page that is given must have no reference but its owner's: no mapping, of the
 * kernel's either. So pages come by XENMEM_increase_reservation, of which the kernel
 * knows nothing, and are filled by GNTTABOP_copy, which needs no mapping. Who gives a
 * page that is refused has lost it all the same.
 * Source: Xen's common/grant_table.c, gnttab_transfer(); xen/memory.h.
 */
#ifndef PV_FLIP_PAGES_H
#define PV_FLIP_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include "flip.h"

struct flip_pages;

struct flip_pool {
	uint32_t nr;
	xen_pfn_t mfn[FLIP_POOL_PAGES];
};

/*
 * Opens the hypercall device and tries all that will be needed, which costs one page.
 * -errno: why says what this host lacks, and what to do about it.
 */
int flip_pages_open(struct flip_pages **out, char *why, size_t why_bytes);
/* Accepts NULL. */
void flip_pages_close(struct flip_pages *p);
/* As many as the reservation has room for, up to FLIP_POOL_PAGES. */
void flip_pages_fill(struct flip_pages *p, struct flip_pool *pool);
/* All go back to the hypervisor. */
void flip_pages_empty(struct flip_pages *p, struct flip_pool *pool);
/* Each op takes a page of the pool, unless its sources were bad. */
void flip_pages_transfer(struct flip_pages *p, struct flip_pool *pool,
			 const struct flip_batch *batch, struct flip_answer *answer);

#endif
