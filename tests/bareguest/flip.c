/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that come by transfer and go back to the hypervisor: struct front_flip over
 * grant entries of version 1, changes of the guest's own mappings, and its memory
 * reservation. Hides where such pages are seen and that hypercalls are put off; must
 * not know what is on a page.
 *
 * The room for them is a window of .bss whose own pages are given back first, so that
 * the domain may hold as many others; a place of the window is empty or has one page.
 */
#include <errno.h>
#include <string.h>

#include "bare.h"
#include "hypercall.h"

#define WINDOW_PAGES FLIP_PAGES_MAX
#define BATCH 64u
#define DISTURB_NS 2000000u

static char window[WINDOW_PAGES][PAGE_BYTES] __attribute__((aligned(4096)));
static uint16_t empty[WINDOW_PAGES];	/* places without a page; the last is used first */
static unsigned int nr_empty, nr_promised;
static bool opened;
static enum flip_how how;

/* Mappings to be made or ended, in order, and frames to go back after that. */
static struct multicall_entry calls[BATCH];
static unsigned int nr_calls;
static unsigned int nr_maps;	/* of them, to be made */
static int batch_error;		/* of calls that had to be made before flush */
static xen_pfn_t leaving[BATCH];
static unsigned int nr_leaving;
static struct flip_counts counts;

/* ---- what is put off ------------------------------------------------------------- */

static int run_calls(void)
{
	unsigned int i;
	int r = 0;

	if (!nr_calls)
		return 0;
	if (xen_multicall(calls, nr_calls) < 0)
		panic("Xen refuses a multicall");
	counts.hypercalls++;
	for (i = 0; i < nr_calls; i++)
		if ((long)calls[i].result < 0) {
			say("flip: mapping at %lx: %ld\n", calls[i].args[0],
			    (long)calls[i].result);
			r = (int)(long)calls[i].result;
		}
	nr_calls = nr_maps = 0;
	return r;
}

static unsigned int give_back(xen_pfn_t *frames, unsigned int nr)
{
	struct xen_memory_reservation op = { .nr_extents = nr, .domid = DOMID_SELF };
	long r;

	set_xen_guest_handle(op.extent_start, frames);
	r = xen_memory_op(XENMEM_decrease_reservation, &op);
	counts.hypercalls++;
	return r < 0 ? 0 : (unsigned int)r;
}

static int flush(void *ctx)
{
	unsigned int gone;
	int r = run_calls();

	(void)ctx;
	if (batch_error < 0)
		r = batch_error;
	batch_error = 0;
	if (!nr_leaving)
		return r;
	gone = give_back(leaving, nr_leaving);
	if (gone != nr_leaving)	/* only what is still mapped somewhere stays */
		panic("Xen took %u of %u pages back", gone, nr_leaving);
	nr_leaving = 0;
	return r;
}

static void put_off(void *page, uint64_t pte)
{
	if (nr_calls == BATCH || nr_leaving == BATCH)
		batch_error = flush(NULL);
	calls[nr_calls++] = (struct multicall_entry){
		.op = __HYPERVISOR_update_va_mapping,
		.args = { (unsigned long)page, pte, UVMF_INVLPG },
	};
}

static void unmap(void *page)
{
	put_off(page, 0);
	leaving[nr_leaving++] = memory_mfn(page);
	memory_set_mfn(page, 0);
}

/* ---- room ------------------------------------------------------------------------ */

unsigned int flip_make_room(unsigned int nr)
{
	unsigned int i;

	if (opened)
		return WINDOW_PAGES;
	opened = true;
	for (i = 0; i < WINDOW_PAGES; i++) {
		if (i < nr)
			unmap(window[i]);
		empty[nr_empty++] = (uint16_t)(WINDOW_PAGES - 1 - i);
	}
	flush(NULL);
	return nr;
}

/* Takes pages until there is no room for another, for as long as the guest lives. */
static unsigned int fill_room(void)
{
	xen_pfn_t frame;
	struct xen_memory_reservation op = { .nr_extents = 1, .domid = DOMID_SELF };
	unsigned int nr = 0;

	set_xen_guest_handle(op.extent_start, &frame);
	while (xen_memory_op(XENMEM_increase_reservation, &op) == 1)
		nr++;
	return nr;
}

/* ---- what a guest can do to entries that it has announced ------------------------ */

bool flip_how(const char *word, enum flip_how *out)
{
	static const char *const name[] = { "flip", "full", "access", "other", "unstable" };
	unsigned int i;

	for (i = 0; i < ARRAY_NR(name); i++)
		if (!strcmp(word, name[i])) {
			*out = (enum flip_how)i;
			return true;
		}
	return false;
}

void flip_be(enum flip_how wanted)
{
	how = wanted;
	flip_make_room(WINDOW_PAGES);
	if (how == FLIP_FULL)
		say("flip: took %u pages, and gets no more\n", fill_room());
}

static void change_all(uint16_t was, uint16_t becomes)
{
	uint16_t flags;
	uint32_t i;

	for (i = GNTTAB_NR_RESERVED_ENTRIES; i < GRANTS_END; i++) {
		flags = was;
		__atomic_compare_exchange_n(&grants_entry(i)->flags, &flags, becomes, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

/* Each is wrong half of the time. */
void flip_disturb(void)
{
	uint64_t until = time_ns() + DISTURB_NS;

	while (how == FLIP_UNSTABLE && time_ns() < until) {
		change_all(GTF_accept_transfer, GTF_accept_transfer | GTF_sub_page);
		change_all(GTF_accept_transfer | GTF_sub_page, GTF_accept_transfer);
	}
}

/* ---- struct front_flip ----------------------------------------------------------- */

static int offer(void *ctx, uint32_t domid, unsigned int nr, uint32_t *grefs)
{
	struct grant_entry_v1 *e;
	unsigned int i;

	(void)ctx;
	/* What is on its way back is in the reservation still. */
	if (nr_promised + nr + nr_leaving > nr_empty)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		grefs[i] = grants_get();
		if (!grefs[i]) {
			while (i > 0)
				grants_put(grefs[--i]);
			return -ENOSPC;
		}
	}
	for (i = 0; i < nr; i++) {
		e = grants_entry(grefs[i]);
		e->domid = (domid_t)(how == FLIP_OTHER ? domid + 1 : domid);
		e->frame = 0;
		barrier();	/* the flags make it valid */
		WRITE_ONCE(e->flags, how == FLIP_ACCESS ? GTF_permit_access :
							  GTF_accept_transfer);
	}
	nr_promised += nr;
	counts.offered += nr;
	return 0;
}

/* Xen sets committed, then the frame, then completed; we may withdraw before the first. */
static int end_entry(struct grant_entry_v1 *e)
{
	uint16_t flags = READ_ONCE(e->flags);

	while (!(flags & GTF_transfer_committed))
		if (__atomic_compare_exchange_n(&e->flags, &flags, 0, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return 0;
	if (!(flags & GTF_transfer_completed))
		return -EAGAIN;
	barrier();
	return 1;
}

static int take(void *ctx, uint32_t gref, void **page)
{
	struct grant_entry_v1 *e = grants_entry(gref);
	int r = end_entry(e);
	unsigned long mfn;

	(void)ctx;
	if (r < 0)
		return r;
	mfn = e->frame;
	WRITE_ONCE(e->flags, 0);
	grants_put(gref);
	nr_promised--;
	if (r == 0) {
		counts.none++;
		return 0;
	}
	*page = window[empty[--nr_empty]];
	memory_set_mfn(*page, mfn);
	put_off(*page, memory_pte(mfn));
	nr_maps++;
	counts.taken++;
	counts.held++;
	return 1;
}

/* Mapped first if that was put off too: it is wiped through that mapping. */
static void give(void *ctx, void *page)
{
	int r;

	(void)ctx;
	if (nr_maps && (r = run_calls()) < 0)
		batch_error = r;
	memset(page, 0, PAGE_BYTES);
	unmap(page);
	empty[nr_empty++] = (uint16_t)(((char *)page - window[0]) / PAGE_BYTES);
	counts.given++;
	counts.held--;
}

const struct front_flip flip_ops = {
	.offer = offer, .take = take, .give = give, .flush = flush,
};

void flip_counts(struct flip_counts *out)
{
	*out = counts;
}
