/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receiving by page transfer: the page that a frame came in becomes ours.
 *
 * Hides: the entries that accept pages, which pages came and who has them, how it ends
 * when the back end copies after all. Must not know: frames, responses' contents, how
 * a system ends an entry (front.h).
 *
 * All that differs from copying is here. A request on the rx ring names an entry instead
 * of a shared page; a response ends that entry, whatever it says, and whether a page came
 * is the entry's word, not the response's. As many entries and pages there are at a time
 * as the pool of the copying path would have pages.
 */
#include <stdlib.h>

#include "netfront-priv.h"

#define TAKE_TRIES 1000u	/* a transfer under way is one hypercall of the back end's */
#define ERRORS_PER_LOOK 64u

/* Pages that the caller has, or that wait to be given back, by address. */
#define HELD_SLOTS (2u * NETFRONT_SLOTS)
#define HELD_BYTES_SHIFT 12

struct netfront_flip {
	const struct front_flip *sys;
	uint32_t domid;
	uint32_t limit, nr_offered, nr_held, nr_busy, nr_fresh, nr_done;
	uint32_t gref[NETFRONT_SLOTS];	/* by ring slot; 0: none */
	uint32_t busy[NETFRONT_SLOTS];	/* answered, but a transfer is under way */
	uint8_t *held[HELD_SLOTS];	/* a hash table */
	uint8_t *fresh[NETFRONT_SLOTS];	/* taken since the last flush */
	uint8_t *done[2u * NETFRONT_SLOTS];	/* to be given back after it */
	bool unflushed;
	bool ended;			/* no more entries; copies from now on */
	bool starved;			/* the system had none to offer */
};

/* ---- pages that are held ----------------------------------------------------------- */

static uint32_t home_of(const uint8_t *page)
{
	return (uint32_t)((uintptr_t)page >> HELD_BYTES_SHIFT) & (HELD_SLOTS - 1);
}

/* Where page is, or the free slot in which it would be looked for last. */
static uint32_t find_held(const struct netfront_flip *f, const uint8_t *page)
{
	uint32_t i = home_of(page);

	while (f->held[i] && f->held[i] != page)
		i = (i + 1) & (HELD_SLOTS - 1);
	return i;
}

static void hold(struct netfront_flip *f, uint8_t *page)
{
	f->held[find_held(f, page)] = page;
	f->nr_held++;
}

/* What lies behind in the same run moves up, so that it is found. False: not held. */
static bool let_go(struct netfront_flip *f, const uint8_t *page)
{
	uint32_t hole = find_held(f, page), i = hole, home;

	if (!f->held[hole])
		return false;
	for (;;) {
		i = (i + 1) & (HELD_SLOTS - 1);
		if (!f->held[i])
			break;
		home = home_of(f->held[i]);
		if (((i - home) & (HELD_SLOTS - 1)) < ((i - hole) & (HELD_SLOTS - 1)))
			continue;
		f->held[hole] = f->held[i];
		hole = i;
	}
	f->held[hole] = NULL;
	f->nr_held--;
	return true;
}

static void give(struct netfront_flip *f, uint8_t *page)
{
	f->sys->give(f->sys->ctx, page);
	f->unflushed = true;
}

/* ---- entries ------------------------------------------------------------------------- */

/* As front_flip.take, but that a transfer under way is waited for, a moment. */
static int end_entry(struct netfront_flip *f, uint32_t gref, uint8_t **page)
{
	void *came = NULL;
	uint32_t tries = 0;
	int r;

	do {
		r = f->sys->take(f->sys->ctx, gref, &came);
	} while (r == -EAGAIN && ++tries < TAKE_TRIES);
	if (r != -EAGAIN)
		f->nr_offered--;
	if (r == 1) {
		f->unflushed = true;
		*page = came;
	}
	return r;
}

/* What came late is of no use any more. */
static void end_busy(struct netfront_flip *f)
{
	uint32_t i, left = 0;
	uint8_t *page;
	int r;

	for (i = 0; i < f->nr_busy; i++) {
		r = end_entry(f, f->busy[i], &page);
		if (r == -EAGAIN)
			f->busy[left++] = f->busy[i];
		else if (r == 1)
			f->done[f->nr_done++] = page;
	}
	f->nr_busy = left;
}

uint8_t *netfront_flip_take(struct netfront_queue *q, uint32_t slot)
{
	struct netfront_flip *f = q->flip;
	uint32_t gref = f->gref[slot];
	uint8_t *page;
	int r;

	f->gref[slot] = 0;
	r = end_entry(f, gref, &page);
	if (r == -EAGAIN)
		f->busy[f->nr_busy++] = gref;
	if (r != 1)
		return NULL;
	f->fresh[f->nr_fresh++] = page;
	hold(f, page);
	return page;
}

bool netfront_flip_has(const struct netfront_queue *q, uint32_t slot)
{
	return q->flip && q->flip->gref[slot];
}

static int flush(struct netfront_flip *f)
{
	int r = f->unflushed ? f->sys->flush(f->sys->ctx) : 0;

	f->unflushed = false;
	return r;
}

static int offer(struct netfront_flip *f, uint32_t nr, uint32_t *grefs)
{
	int r = f->sys->offer(f->sys->ctx, f->domid, nr, grefs);

	/* What was given back counts until it is flushed. */
	if (r == -ENOMEM && f->unflushed && !f->nr_fresh && flush(f) == 0)
		r = f->sys->offer(f->sys->ctx, f->domid, nr, grefs);
	while (r < 0 && nr > 1) {
		nr /= 2;
		r = f->sys->offer(f->sys->ctx, f->domid, nr, grefs);
	}
	if (r < 0)
		return 0;
	f->nr_offered += nr;
	return (int)nr;
}

static void put_request(struct netfront_queue *q, uint32_t gref)
{
	uint32_t slot = q->rx.req_prod_pvt & (NETFRONT_SLOTS - 1);
	struct netif_rx_request *req = ring_front_next(&q->rx);

	q->flip->gref[slot] = gref;
	req->id = (uint16_t)slot;
	req->pad = 0;
	req->gref = gref;
}

bool netfront_flip_fill(struct netfront_queue *q)
{
	struct netfront_flip *f = q->flip;
	uint32_t grefs[NETFRONT_SLOTS], nr = ring_front_free(&q->rx), room;
	int i, got = 1;

	if (!f || f->ended)
		return false;
	if (f->nr_busy)
		end_busy(f);
	room = f->limit - f->nr_offered - f->nr_held;
	for (nr = nr < room ? nr : room; nr && got; nr -= (uint32_t)got) {
		got = offer(f, nr, grefs);
		for (i = 0; i < got; i++)
			put_request(q, grefs[i]);
	}
	f->starved = !got;
	return true;
}

bool netfront_flip_starved(const struct netfront_queue *q)
{
	return q->flip && q->flip->starved && !q->flip->ended;
}

/* ---- what the caller does with pages --------------------------------------------------- */

static bool is_fresh(const struct netfront_flip *f, const uint8_t *page)
{
	uint32_t i;

	for (i = 0; i < f->nr_fresh; i++)
		if (f->fresh[i] == page)
			return true;
	return false;
}

bool netfront_flip_put(struct netfront_queue *q, const void *addr)
{
	struct netfront_flip *f = q->flip;
	uint8_t *page = (uint8_t *)((uintptr_t)addr & ~(uintptr_t)(NETFRONT_PAGE_BYTES - 1));

	if (!f || !let_go(f, page))
		return false;
	if (f->nr_fresh && is_fresh(f, page))
		f->done[f->nr_done++] = page;	/* it is not mapped before the flush */
	else
		give(f, page);
	return true;
}

int netfront_flip_flush(struct netfront *n, struct netfront_queue *q)
{
	struct netfront_flip *f = q->flip;
	uint32_t i;
	int r;

	if (!f || !f->unflushed)
		return 0;
	r = flush(f);
	for (i = 0; i < f->nr_fresh && r < 0; i++)	/* they are lost */
		let_go(f, f->fresh[i]);
	for (i = 0; i < f->nr_done && r == 0; i++)
		give(f, f->done[i]);
	f->nr_fresh = f->nr_done = 0;
	if (r == 0)
		return 0;
	frontdev_fail(&n->dev, r, "pages that had come are lost: close the interface and open "
		      "it again", "the system cannot map pages that domain %u gave us",
		      (uint64_t)n->dev.bus.otherend_id);
	return netfront_broken(n);
}

/* ---- the end of it ----------------------------------------------------------------------- */

/* Entries on the ring stay there: the back end answers each of them with an error. */
static void end_all(struct netfront *n)
{
	struct netfront_queue *q;

	n->flip_ended = true;
	for (q = n->queue; q < n->queue + n->nr_queues; q++) {
		if (q->flip->ended)
			continue;
		if (pool_open(&q->rx_pool, &n->dev, n->rx_wanted, true) < 0) {
			pool_close(&q->rx_pool);	/* tried again at the next look */
			n->flip_ended = false;
			continue;
		}
		q->flip->ended = true;
		netfront_rx_fill(q);
		netfront_push_rx(n, q);
	}
}

/* Errors 1, 2, 4, ... in a row, then every so many: the store is asked whether that is all. */
void netfront_flip_error(struct netfront *n)
{
	uint32_t nr = ++n->flip_errors;

	if (n->flip_ended || ((nr & (nr - 1)) && nr % ERRORS_PER_LOOK))
		return;
	if (vif_read_flip_ended(n->dev.bus.xs, n->dev.bus.otherend))
		end_all(n);
}

/* ---- open and close ------------------------------------------------------------------------ */

bool netfront_flip_possible(struct netfront *n)
{
	const struct front_flip *sys = n->dev.env->flip;
	struct netfront_flip one = { .sys = sys, .nr_offered = 1 };
	uint8_t *page;
	uint32_t gref;

	if (sys->offer(sys->ctx, n->dev.bus.otherend_id, 1, &gref) < 0)
		return false;
	if (end_entry(&one, gref, &page) == 1 && flush(&one) == 0)
		give(&one, page);
	return true;
}

int netfront_flip_open(struct netfront *n, struct netfront_queue *q)
{
	struct netfront_flip *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->sys = n->dev.env->flip;
	f->domid = n->dev.bus.otherend_id;
	f->limit = n->rx_wanted;
	q->flip = f;
	q->rx_pool.head = POOL_NONE;
	return 0;
}

void netfront_flip_close(struct netfront_queue *q)
{
	struct netfront_flip *f = q->flip;
	uint32_t i;

	if (!f)
		return;
	for (i = 0; i < NETFRONT_SLOTS; i++)
		if (f->gref[i])
			netfront_flip_put(q, netfront_flip_take(q, i));
	end_busy(f);
	if (flush(f) < 0)
		f->nr_done = 0;		/* they are lost */
	for (i = 0; i < f->nr_done; i++)
		give(f, f->done[i]);
	for (i = 0; i < HELD_SLOTS; i++)
		if (f->held[i])
			give(f, f->held[i]);
	flush(f);
	free(f);
	q->flip = NULL;
}
