/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grant.c - taking, using and dropping a hold on another domain's grant.
 *
 * Hides what Xen does inside a map, unmap or copy: the checks of the shared
 * entry and the bookkeeping that makes a kill at any instant harmless (shm.h).
 * It runs in the caller's process, without a message, so that a copy costs
 * little more than its memcpy. Knows nothing of mappings.
 */
#include <string.h>
#include "grant-entry.h"
#include "lx.h"

static void lock_entry(struct lx_thread *t, unsigned slot, uint32_t gref)
{
	struct lx_active *act = &lx.shm->dom[slot].active[gref];
	uint32_t self = lx_thread_id(t);
	unsigned spins = 0;

	atomic_store_explicit(&t->intent, LX_INTENT(LX_INTENT_LOCK, slot, gref),
			      memory_order_release);
	while (!lx_entry_trylock(act, self))
		lx_entry_wait(&spins);
}

static void unlock_entry(struct lx_thread *t, struct lx_active *act)
{
	lx_entry_unlock(act, lx_thread_id(t));
	atomic_store_explicit(&t->intent, 0, memory_order_release);
}

/*
 * Sets GTF_reading, and GTF_writing for a writer, as Xen does: the granter may
 * change its entry at any time, so it is read once, that value is checked, and
 * the flags go in only if it still stands. A part of a page can be copied and not
 * be mapped (GTF_sub_page).
 */
static int set_status(struct lx_grant *grant, bool readonly, bool map)
{
	uint32_t hdr = atomic_load(&grant->hdr);

	for (unsigned tries = 0; tries < 5; tries++) {
		uint16_t flags = LX_GRANT_FLAGS(hdr);
		uint32_t want = hdr | GTF_reading;

		if ((flags & GTF_type_mask) != GTF_permit_access ||
		    LX_GRANT_DOMID(hdr) != lx.domid || (map && (flags & GTF_sub_page)))
			return GNTST_general_error;
		if (!readonly) {
			if (flags & GTF_readonly)
				return GNTST_general_error;
			want |= GTF_writing;
		}
		if (atomic_compare_exchange_strong(&grant->hdr, &hdr, want))
			return GNTST_okay;
	}
	return GNTST_general_error;	/* the entry is unstable */
}

/* Under the entry's lock, with the hold already in place. */
static int count_hold(struct lx_dom *dom, struct lx_grab *g, bool map)
{
	struct lx_active *act = &dom->active[g->gref];
	struct lx_grant *grant = &dom->grant[g->gref];
	bool first = !act->nr_read && !act->nr_write;
	int st;

	/* The hold is visible before this: hv_domain.c looks in the other order. */
	if (atomic_load(&dom->state) != LX_DOM_ALIVE || dom->domid != g->domid)
		return GNTST_bad_domain;
	if (!first && act->domid != lx.domid)
		return GNTST_general_error;
	if (act->nr_read == UINT16_MAX || act->nr_write == UINT16_MAX)
		return GNTST_no_device_space;
	if (first || (!g->readonly && !act->nr_write)) {
		st = set_status(grant, g->readonly, map);
		if (st)
			return st;
	}
	if (first) {
		act->domid = lx.domid;
		act->frame = atomic_load(&grant->frame);
		if (act->frame >= dom->nr_mem_frames) {
			lx_entry_clear_flags(act, grant);
			return GNTST_bad_page;
		}
	}
	if (g->readonly)
		act->nr_read++;
	else
		act->nr_write++;
	g->frame = act->frame;
	return GNTST_okay;
}

/* Finds a free maptrack word and fills it; NULL when the domain has no more. */
static _Atomic uint64_t *take_maptrack(struct lx_grab *g, uint64_t value)
{
	static _Atomic uint32_t hint;
	uint32_t nr = lx.dom->nr_maptrack, high;
	uint32_t start = atomic_load_explicit(&hint, memory_order_relaxed);

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t n = (start + i) % nr;
		uint64_t none = 0;

		if (atomic_load_explicit(&lx.dom->maptrack[n], memory_order_relaxed))
			continue;
		high = atomic_load(&lx.dom->maptrack_high);
		while (high < n + 1 && !atomic_compare_exchange_weak(
				&lx.dom->maptrack_high, &high, n + 1))
			;
		if (!atomic_compare_exchange_strong(&lx.dom->maptrack[n], &none, value))
			continue;
		atomic_store_explicit(&hint, n + 1, memory_order_relaxed);
		g->maptrack = n;
		return &lx.dom->maptrack[n];
	}
	return NULL;
}

int lx_grant_grab(struct lx_thread *t, struct lx_grab *g)
{
	uint8_t slot = g->domid < LX_DOMIDS ? lx.shm->slot_of[g->domid] : 0;
	bool map = !g->hold;	/* a copy has its thread's pin */
	struct lx_dom *dom;
	uint64_t value;
	int st;

	if (!slot--)
		return GNTST_bad_domain;
	dom = &lx.shm->dom[slot];
	if (g->gref >= dom->nr_grants)
		return GNTST_bad_gntref;
	g->slot = slot;
	value = LX_HOLD(g->gref, slot, !g->readonly, lx.proc_slot);
	lock_entry(t, slot, g->gref);
	if (g->hold)
		atomic_exchange(g->hold, value);
	else
		g->hold = take_maptrack(g, value);
	st = g->hold ? count_hold(dom, g, map) : GNTST_no_device_space;
	if (!st) {
		/* Our hold keeps the slot this domain's: a plain store will do. */
		atomic_store_explicit(&dom->active[g->gref].lock, 0, memory_order_release);
		atomic_store_explicit(&t->intent, 0, memory_order_release);
		return st;
	}
	if (g->hold)
		atomic_store(g->hold, 0);
	unlock_entry(t, &dom->active[g->gref]);
	return st;
}

void lx_grant_drop(struct lx_thread *t, const struct lx_grab *g)
{
	struct lx_dom *dom = &lx.shm->dom[g->slot];
	struct lx_active *act = &dom->active[g->gref];
	bool tell;

	lock_entry(t, g->slot, g->gref);
	if (g->readonly)
		act->nr_read--;
	else
		act->nr_write--;
	lx_entry_clear_flags(act, &dom->grant[g->gref]);
	atomic_store(g->hold, 0);
	tell = act->kept && !act->nr_read && !act->nr_write;
	unlock_entry(t, act);
	if (tell || atomic_load_explicit(&dom->state, memory_order_relaxed) !=
		    LX_DOM_ALIVE)
		lx_post(&(struct lx_req){ .op = LX_OP_POKE });
}

/* ---- copies ---- */

static void close_side(struct lx_thread *t, struct lx_copy_end *end)
{
	if (end->page && end->mfn)
		lx_heap_unpin(end->grab.hold);
	else if (end->page)
		lx_grant_drop(t, &end->grab);
	end->page = NULL;
	end->mfn = 0;
}

static int open_heap_side(struct lx_thread *t, const struct lx_copy_side *side,
			  bool readonly, struct lx_copy_end *end, char **out)
{
	char *base = lx_heap_base();
	int st;

	if (!end->page || end->mfn != side->mfn) {
		close_side(t, end);
		end->grab.hold = &t->pin[!readonly];
		st = base ? lx_heap_pin(end->grab.hold, side->mfn, !readonly) :
			    GNTST_general_error;
		if (st)
			return st;
		end->mfn = side->mfn;
		end->page = base + (side->mfn - LX_HEAP_BASE_MFN) * LX_PAGE_SIZE;
	}
	*out = end->page + side->offset;
	return GNTST_okay;
}

/* Takes the hold, unless the segment before left it. */
static int open_side(struct lx_thread *t, const struct lx_copy_side *side,
		     bool readonly, struct lx_copy_end *end, char **out)
{
	int st;

	if (side->mfn)
		return open_heap_side(t, side, readonly, end, out);
	if (!side->is_grant) {
		*out = side->virt;
		return GNTST_okay;
	}
	if (!end->page || end->mfn || end->domid != side->domid || end->grab.gref != side->gref) {
		close_side(t, end);
		end->domid = side->domid;
		end->grab.domid = side->domid == DOMID_SELF ? lx.domid : side->domid;
		end->grab.gref = side->gref;
		end->grab.readonly = readonly;
		end->grab.hold = &t->pin[!readonly];
		st = lx_grant_grab(t, &end->grab);
		if (st)
			return st;
		end->page = lx_view_base(end->grab.slot);
		if (!end->page) {
			lx_grant_drop(t, &end->grab);
			return GNTST_general_error;
		}
		end->page += (size_t)end->grab.frame * LX_PAGE_SIZE;
	}
	*out = end->page + side->offset;
	return GNTST_okay;
}

int lx_grant_copy(struct lx_copy *c, const struct lx_copy_side *src,
		  const struct lx_copy_side *dst, uint16_t len)
{
	struct lx_thread *t = lx_thread_self();
	char *from, *to;
	int st;

	if (!t)
		return GNTST_general_error;
	st = open_side(t, src, true, &c->src, &from);
	if (!st)
		st = open_side(t, dst, false, &c->dst, &to);
	if (!st)
		memmove(to, from, len);
	return st;
}

void lx_grant_copy_end(struct lx_copy *c)
{
	struct lx_thread *t = lx_thread_self();

	if (!t)
		return;
	close_side(t, &c->src);
	close_side(t, &c->dst);
}
