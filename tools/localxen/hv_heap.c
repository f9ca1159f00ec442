/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_heap.c - machine pages that change owner: the host's heap, the domains'
 * reservations, and GNTTABOP_transfer.
 *
 * Hides which pages are free and who refers to a page: mappings are counted here,
 * per process, so that a dead one's can be taken off; copies under way are found
 * in the threads' pins. A page comes out of the heap with what it held, as on Xen;
 * only a dying domain's pages are cleared. Knows nothing of how a domain uses its
 * pages; the receiver's grant references are hv_flip.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hv.h"

#define NO_PAGE UINT32_MAX

static uint32_t *free_pages;	/* a stack: the page freed last goes out first */
static unsigned nr_waiting;	/* given up, but a copy is under way */

static struct lx_heap_page *page_of(uint32_t n)
{
	return &hv.shm->heap[n];
}

static struct lx_dom *dom_of(const struct lx_heap_page *p)
{
	return &hv.shm->dom[(p->owner & ~LX_HEAP_CLAIMED) - 1];
}

int hv_heap_init(void)
{
	hv.heap_fd = memfd_create("localxen-heap", MFD_CLOEXEC);
	free_pages = calloc(LX_HEAP_PAGES, sizeof(*free_pages));
	if (hv.heap_fd < 0 || !free_pages ||
	    ftruncate(hv.heap_fd, (off_t)LX_HEAP_PAGES * LX_PAGE_SIZE))
		return -ENOMEM;
	for (uint32_t n = 0; n < LX_HEAP_PAGES; n++)
		free_pages[n] = LX_HEAP_PAGES - 1 - n;
	hv.shm->heap_free_pages = LX_HEAP_PAGES;
	return 0;
}

/* ---- pages and owners ---- */

static void free_page(uint32_t n)
{
	struct lx_heap_page *p = page_of(n);

	p->proc = p->released = 0;
	p->nr_maps = 0;
	atomic_store(&p->owner, 0);
	free_pages[atomic_fetch_add(&hv.shm->heap_free_pages, 1)] = n;
}

/* A page of the caller's, or NO_PAGE. */
static uint32_t owned_page(unsigned slot, uint64_t mfn)
{
	uint32_t n = mfn - LX_HEAP_BASE_MFN;

	if (!LX_IS_HEAP_MFN(mfn) || page_of(n)->owner != slot + 1)
		return NO_PAGE;
	return n;
}

static bool is_pinned(uint32_t n)
{
	uint32_t nr = atomic_load(&hv.shm->nr_threads);

	for (uint32_t i = 0; i < nr; i++) {
		for (unsigned k = 0; k < 2; k++) {
			uint64_t v = atomic_load(&hv.shm->thread[i].pin[k]);

			if (v && LX_HOLD_GRANTER(v) == LX_HOLD_HEAP &&
			    LX_HOLD_GREF(v) == n)
				return true;
		}
	}
	return false;
}

/* From here on no copy begins on it: lx_heap_pin() sees the claim, or we its pin. */
static void claim(uint32_t n)
{
	atomic_fetch_or(&page_of(n)->owner, LX_HEAP_CLAIMED);
}

static void unclaim(uint32_t n)
{
	atomic_fetch_and(&page_of(n)->owner, ~LX_HEAP_CLAIMED);
}

/* Takes the page from its domain, which has no reference left but its ownership. */
static void disown(uint32_t n)
{
	atomic_fetch_sub(&dom_of(page_of(n))->tot_pages, 1);
	free_page(n);
}

/* Once released: frees it unless somebody still refers to it. */
static void drop_if_unused(uint32_t n)
{
	struct lx_heap_page *p = page_of(n);

	if (!p->released || p->nr_maps || p->proc)
		return;
	claim(n);
	if (is_pinned(n)) {
		unclaim(n);
		nr_waiting++;
		return;
	}
	disown(n);
}

bool hv_heap_reap(void)
{
	if (!nr_waiting)
		return false;
	nr_waiting = 0;
	for (uint32_t n = 0; n < LX_HEAP_PAGES; n++)
		drop_if_unused(n);
	return nr_waiting;
}

unsigned hv_heap_increase(unsigned slot, uint64_t nr, uint32_t *mfns)
{
	struct lx_dom *d = &hv.shm->dom[slot];
	unsigned done;

	for (done = 0; done < nr; done++) {
		uint32_t n;

		if (d->tot_pages >= d->max_pages || !hv.shm->heap_free_pages)
			break;
		n = free_pages[atomic_fetch_sub(&hv.shm->heap_free_pages, 1) - 1];
		atomic_fetch_add(&d->tot_pages, 1);
		atomic_store(&page_of(n)->owner, slot + 1);
		mfns[done] = LX_HEAP_BASE_MFN + n;
	}
	return done;
}

/* A page in use goes with its last user, as in Xen, but cannot be given up twice. */
unsigned hv_heap_decrease(unsigned slot, uint64_t nr, const uint32_t *mfns)
{
	unsigned done;

	for (done = 0; done < nr; done++) {
		uint32_t n = owned_page(slot, mfns[done]);

		if (n == NO_PAGE || page_of(n)->released)
			break;
		page_of(n)->released = 1;
		drop_if_unused(n);
	}
	return done;
}

/* ---- mappings ---- */

static uint16_t *maps_of(unsigned proc)
{
	struct hv_proc *p = &hv.proc[proc];

	if (!p->heap_maps)
		p->heap_maps = calloc(LX_HEAP_PAGES, sizeof(*p->heap_maps));
	return p->heap_maps;
}

int hv_heap_map(unsigned proc, uint64_t nr, const uint32_t *mfns, uint32_t *had)
{
	unsigned slot = hv.proc[proc].dom_slot;
	uint16_t *maps = maps_of(proc);

	if (!maps)
		return -ENOMEM;
	for (uint64_t i = 0; i < nr; i++) {
		uint32_t n = owned_page(slot, mfns[i]);

		had[i] = n != NO_PAGE && !page_of(n)->released && maps[n] < UINT16_MAX;
		if (!had[i])
			continue;
		maps[n]++;
		page_of(n)->nr_maps++;
	}
	return 0;
}

static void drop_maps(uint16_t *maps, uint32_t n, unsigned nr)
{
	maps[n] -= nr;
	page_of(n)->nr_maps -= nr;
	drop_if_unused(n);
}

void hv_heap_unmap(unsigned proc, uint64_t nr, const uint32_t *mfns)
{
	uint16_t *maps = hv.proc[proc].heap_maps;

	for (uint64_t i = 0; maps && i < nr; i++) {
		uint32_t n = mfns[i] - LX_HEAP_BASE_MFN;

		if (LX_IS_HEAP_MFN(mfns[i]) && maps[n])
			drop_maps(maps, n, 1);
	}
}

/* Its receiver has it mapped from the moment that it comes until here. */
static void give_up(uint32_t n)
{
	page_of(n)->proc = 0;
	page_of(n)->released = 1;
	drop_if_unused(n);
}

void hv_heap_give(unsigned proc, uint64_t nr, const uint32_t *mfns)
{
	for (uint64_t i = 0; i < nr; i++) {
		uint32_t n = owned_page(hv.proc[proc].dom_slot, mfns[i]);

		if (n != NO_PAGE && page_of(n)->proc == proc + 1)
			give_up(n);
	}
}

static void clear_page(uint32_t n)
{
	fallocate(hv.heap_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  (off_t)n * LX_PAGE_SIZE, LX_PAGE_SIZE);
}

/* What it had received is wiped, as lx_flip_give() does. */
void hv_heap_proc_exit(unsigned proc)
{
	uint16_t *maps = hv.proc[proc].heap_maps;
	bool received = hv.proc[proc].has_flip;

	if (!maps && !received)
		return;
	for (uint32_t n = 0; n < LX_HEAP_PAGES; n++) {
		if (maps && maps[n])
			drop_maps(maps, n, maps[n]);
		if (received && page_of(n)->proc == proc + 1) {
			clear_page(n);
			give_up(n);
		}
	}
	free(maps);
	hv.proc[proc].heap_maps = NULL;
}

/* Its processes are gone, and only they could refer to its pages. */
void hv_heap_domain_exit(unsigned slot)
{
	struct lx_dom *d = &hv.shm->dom[slot];

	if (d->tot_pages == d->nr_mem_frames)
		return;
	for (uint32_t n = 0; n < LX_HEAP_PAGES; n++) {
		if ((page_of(n)->owner & ~LX_HEAP_CLAIMED) != slot + 1)
			continue;
		clear_page(n);
		disown(n);
	}
}

/* ---- GNTTABOP_transfer ---- */

/*
 * The entry must be GTF_accept_transfer for this sender and nothing more; its owner
 * may change it at any time, so it is read, checked, and committed if it still stands.
 */
static bool commit(struct lx_grant *grant, uint32_t sender)
{
	uint32_t hdr = atomic_load(&grant->hdr);

	for (unsigned tries = 0; tries < 5; tries++) {
		if (LX_GRANT_FLAGS(hdr) != GTF_accept_transfer ||
		    LX_GRANT_DOMID(hdr) != sender)
			return false;
		if (atomic_compare_exchange_strong(&grant->hdr, &hdr,
						   hdr | GTF_transfer_committed))
			return true;
	}
	return false;
}

/* GNTST_*; whatever it is, the sender has the page no more. */
static int give_to(uint32_t n, uint32_t sender, const struct lx_transfer *t)
{
	uint8_t slot = t->domid < LX_DOMIDS ? hv.shm->slot_of[t->domid] : 0;
	struct lx_grant *grant;
	struct lx_dom *d;

	if (!slot--)
		return GNTST_bad_domain;
	d = &hv.shm->dom[slot];
	if (d->state != LX_DOM_ALIVE || d->tot_pages >= d->max_pages ||
	    t->gref >= d->nr_grants)
		return GNTST_general_error;
	grant = &d->grant[t->gref];
	if (!commit(grant, sender))
		return GNTST_general_error;
	atomic_fetch_add(&d->tot_pages, 1);
	page_of(n)->proc = hv_flip_owner(slot, t->gref);
	atomic_store(&page_of(n)->owner, slot + 1);
	/* Pairs with lx_flip_take(): the frame is read once it is completed. */
	atomic_store_explicit(&grant->frame, LX_HEAP_BASE_MFN + n, memory_order_relaxed);
	atomic_fetch_or_explicit(&grant->hdr, GTF_transfer_completed,
				 memory_order_release);
	return GNTST_okay;
}

/* Xen's steal_page(): GNTST_okay if the page now belongs to nobody. */
static int steal(unsigned slot, uint64_t mfn, uint32_t *n)
{
	*n = owned_page(slot, mfn);
	if (*n == NO_PAGE)
		return GNTST_bad_page;
	if (hv.shm->dom[slot].not_pv)
		return GNTST_general_error;
	claim(*n);
	if (page_of(*n)->nr_maps || page_of(*n)->proc || page_of(*n)->released ||
	    is_pinned(*n)) {
		unclaim(*n);
		return GNTST_bad_page;
	}
	atomic_fetch_sub(&hv.shm->dom[slot].tot_pages, 1);
	return GNTST_okay;
}

static int transfer_one(unsigned slot, const struct lx_transfer *t)
{
	uint32_t n;
	int st;

	if (t->status == GNTST_bad_page)
		return t->status;
	st = steal(slot, t->mfn, &n);
	if (st)
		return st;
	st = t->status ? t->status : give_to(n, hv.shm->dom[slot].domid, t);
	if (st)
		free_page(n);
	return st;
}

int hv_transfer(unsigned proc, uint64_t nr, const struct lx_transfer *t, int32_t *status)
{
	if (hv.shm->no_transfer)
		return -EOPNOTSUPP;
	for (uint64_t i = 0; i < nr; i++)
		status[i] = transfer_one(hv.proc[proc].dom_slot, &t[i]);
	return 0;
}
