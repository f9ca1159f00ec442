/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * flip.c - the receiver of transferred pages: what its kernel would do.
 *
 * Hides the grant entries that accept pages and the order in which one is ended
 * while a sender may be using it. All pages of the heap are mapped at once, so that
 * a page costs no message of its own: references are taken from the hypervisor in
 * batches and used again, pages go back in batches. What a dead process had is taken
 * back there (hv_flip.c).
 */
#include <stdlib.h>
#include <string.h>
#include "grant-entry.h"
#include "lx.h"

#define GREFS_AT_ONCE 64
#define COMPLETION_SPINS 150	/* Xen is at it; then the caller may ask again */

enum gref_state { NOT_OURS, IDLE, OFFERED };

static struct {
	pthread_mutex_t lock;
	uint32_t incarnation;
	bool ready;
	char *base;
	uint8_t *state;		/* by gref */
	uint32_t *idle;		/* a stack */
	unsigned nr_idle, nr_offered;
	struct lx_req_batch give;	/* frames to give back: give.req.a */
} flip = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* After a fork the parent's references stay the parent's. */
static int prepare(void)
{
	int rc = lx_connect();

	if (rc || (flip.ready && flip.incarnation == lx.incarnation))
		return rc;
	free(flip.state);
	free(flip.idle);
	flip.state = calloc(lx.dom->nr_grants, 1);
	flip.idle = calloc(lx.dom->nr_grants, sizeof(*flip.idle));
	flip.base = lx_heap_base();
	if (!flip.state || !flip.idle || !flip.base)
		return -ENOMEM;
	flip.nr_idle = flip.nr_offered = 0;
	flip.give.req = (struct lx_req){ .op = LX_OP_FLIP_GIVE };
	flip.incarnation = lx.incarnation;
	flip.ready = true;
	return 0;
}

static int give_all(void)
{
	struct lx_rep_batch rep;
	int rc = 0;

	if (flip.give.req.a)
		rc = lx_rpc_batch(&flip.give, sizeof(flip.give.frame[0]), &rep);
	flip.give.req.a = 0;
	return rc;
}

static int ask_for_grefs(unsigned nr)
{
	struct lx_req_batch b = { .req = { .op = LX_OP_FLIP_GREFS, .a = nr } };
	struct lx_rep_batch rep;
	int rc = lx_rpc_batch(&b, 0, &rep);

	if (rc)
		return rc;
	for (unsigned i = 0; i < nr; i++) {
		flip.state[rep.data[i]] = IDLE;
		flip.idle[flip.nr_idle++] = rep.data[i];
	}
	return 0;
}

static int have_grefs(unsigned nr)
{
	while (flip.nr_idle < nr) {
		unsigned missing = nr - flip.nr_idle;
		unsigned n = missing > LX_BATCH_MAX ? LX_BATCH_MAX : missing;
		int rc = -ENOSPC;

		if (n < GREFS_AT_ONCE)
			rc = ask_for_grefs(GREFS_AT_ONCE);
		if (rc == -ENOSPC)
			rc = ask_for_grefs(n);
		if (rc)
			return rc;
	}
	return 0;
}

/* Each entry that is open may become a page of the domain's. */
static bool has_room(unsigned nr)
{
	if (lx.dom->tot_pages + flip.nr_offered + nr <= lx.dom->max_pages)
		return true;
	give_all();
	return lx.dom->tot_pages + flip.nr_offered + nr <= lx.dom->max_pages;
}

static void open_entry(uint32_t gref, uint32_t domid)
{
	struct lx_grant *grant = &lx.dom->grant[gref];

	atomic_store_explicit(&grant->frame, 0, memory_order_relaxed);
	atomic_store_explicit(&grant->hdr, LX_GRANT_HDR(GTF_accept_transfer, domid),
			      memory_order_release);
}

static int offer(uint32_t domid, unsigned nr, uint32_t *grefs)
{
	int rc = prepare();

	if (rc)
		return rc;
	if (!has_room(nr))
		return -ENOMEM;
	rc = have_grefs(nr);
	if (rc)
		return rc;
	for (unsigned i = 0; i < nr; i++) {
		grefs[i] = flip.idle[--flip.nr_idle];
		flip.state[grefs[i]] = OFFERED;
		open_entry(grefs[i], domid);
	}
	flip.nr_offered += nr;
	return 0;
}

int lx_flip_offer(void *ctx, uint32_t domid, unsigned nr, uint32_t *grefs)
{
	int rc;

	(void)ctx;
	pthread_mutex_lock(&flip.lock);
	rc = offer(domid, nr, grefs);
	pthread_mutex_unlock(&flip.lock);
	return rc;
}

/*
 * Closes an entry, as gnttab_transfer() in Xen sees it: before it has committed
 * nothing comes any more; from then on a page is on its way. 1, 0 or -EAGAIN.
 */
static int close_entry(struct lx_grant *grant)
{
	uint32_t hdr = atomic_load(&grant->hdr);
	unsigned spins = 0;

	while (!(hdr & GTF_transfer_committed))
		if (atomic_compare_exchange_weak(&grant->hdr, &hdr, 0))
			return 0;
	while (!(hdr & GTF_transfer_completed)) {
		if (spins >= COMPLETION_SPINS)
			return -EAGAIN;
		lx_entry_wait(&spins);
		hdr = atomic_load_explicit(&grant->hdr, memory_order_acquire);
	}
	return 1;
}

static int take(uint32_t gref, void **page)
{
	struct lx_grant *grant = &lx.dom->grant[gref];
	int rc = close_entry(grant);

	if (rc < 0)
		return rc;
	if (rc) {
		*page = flip.base + (size_t)(grant->frame - LX_HEAP_BASE_MFN) *
				    LX_PAGE_SIZE;
		atomic_store(&grant->hdr, 0);
	}
	flip.state[gref] = IDLE;
	flip.idle[flip.nr_idle++] = gref;
	flip.nr_offered--;
	return rc;
}

int lx_flip_take(void *ctx, uint32_t gref, void **page)
{
	int rc;

	(void)ctx;
	pthread_mutex_lock(&flip.lock);
	rc = prepare();
	if (!rc)
		rc = gref < lx.dom->nr_grants && flip.state[gref] == OFFERED ?
		     take(gref, page) : -EINVAL;
	pthread_mutex_unlock(&flip.lock);
	return rc;
}

void lx_flip_give(void *ctx, void *page)
{
	(void)ctx;
	pthread_mutex_lock(&flip.lock);
	if (!prepare()) {
		memset(page, 0, LX_PAGE_SIZE);
		flip.give.frame[flip.give.req.a++] = LX_HEAP_BASE_MFN +
			(uint32_t)(((char *)page - flip.base) / LX_PAGE_SIZE);
		if (flip.give.req.a == LX_BATCH_MAX)
			give_all();
	}
	pthread_mutex_unlock(&flip.lock);
}

static void return_idle(void)
{
	struct lx_req_batch b = { .req = { .op = LX_OP_FLIP_RETURN } };
	struct lx_rep_batch rep;

	while (flip.nr_idle && b.req.a < LX_BATCH_MAX) {
		uint32_t gref = flip.idle[--flip.nr_idle];

		flip.state[gref] = NOT_OURS;
		b.frame[b.req.a++] = gref;
	}
	if (b.req.a)
		lx_rpc_batch(&b, sizeof(b.frame[0]), &rep);
}

/* The last entry has been closed: the references are free for others again. */
int lx_flip_flush(void *ctx)
{
	int rc;

	(void)ctx;
	pthread_mutex_lock(&flip.lock);
	rc = prepare();
	if (!rc)
		rc = give_all();
	if (!rc && !flip.nr_offered)
		return_idle();
	pthread_mutex_unlock(&flip.lock);
	return rc;
}
