/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing a block front end. Hides what is negotiated with the
 * back end and what is given up when the system has too few grants; must not
 * know how requests run (blkfront-io.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "blkfront-priv.h"

#define DEPTH_DEFAULT 64u
#define SEGMENTS_DEFAULT 64u
#define POOL_PAGES_DEFAULT 384u
#define SLOT_BYTES sizeof(union blkif_sring_entry)
#define GRANTS_ADVICE "raise xen_gntalloc.limit (/sys/module/xen_gntalloc/parameters/" \
		      "limit) or ask for a smaller ring and pool"

static uint32_t slots_of(uint32_t order)
{
	return ring_nr_slots((size_t)BLKFRONT_PAGE_BYTES << order, SLOT_BYTES);
}

/* ---- rings -------------------------------------------------------------------- */

static int open_ring(struct blkfront *f, struct blkfront_queue *q, struct vbd_ring *pub)
{
	uint32_t nr = 1u << f->ring_order;
	int r = frontdev_share(&f->dev, nr, true, pub->gref, &q->ring_pages);

	if (r < 0)
		return r;
	q->nr_ring_pages = nr;
	pub->order = f->ring_order;
	ring_front_init(&q->ring, q->ring_pages, (size_t)nr * BLKFRONT_PAGE_BYTES,
			SLOT_BYTES);
	return 0;
}

static void close_ring(struct blkfront *f, struct blkfront_queue *q)
{
	frontdev_unshare(&f->dev, q->ring_pages, q->nr_ring_pages);
	q->ring_pages = NULL;
}

/* A smaller ring when the system has no pages for the one wanted. */
static int open_rings(struct blkfront *f)
{
	uint32_t i;
	int r;

	for (;;) {
		r = 0;
		for (i = 0; i < f->nr_queues && r == 0; i++)
			r = open_ring(f, f->queue + i, f->published.queue + i);
		if (r == 0)
			return 0;
		for (i = 0; i < f->nr_queues; i++)
			close_ring(f, f->queue + i);
		if (!f->ring_order)
			return frontdev_fail(&f->dev, r, GRANTS_ADVICE,
					     "cannot share one page for a ring with domain %u",
					     (uint64_t)f->dev.bus.otherend_id);
		f->ring_order = f->ring_order > 1 ? f->ring_order / 2 : 0;
	}
}

static int open_queue(struct blkfront *f, struct blkfront_queue *q, struct vbd_ring *pub)
{
	uint32_t i;

	q->nr_shadow = f->depth;
	q->shadow = calloc(f->depth, sizeof(*q->shadow));
	if (!q->shadow)
		return frontdev_fail(&f->dev, -ENOMEM, NULL, "out of memory");
	for (i = 0; i < q->nr_shadow; i++) {
		q->shadow[i].id = i;
		q->shadow[i].next_free = i + 1;
	}
	q->waiting_end = &q->waiting;
	q->port = 0;
	if (frontdev_add_port(&f->dev, &q->port) < 0)
		return f->dev.problem.err;
	pub->port = q->port;
	return 0;
}

/* ---- negotiation ------------------------------------------------------------------ */

static void choose_ring(struct blkfront *f, const struct blkfront_options *o)
{
	uint32_t order = 0, limit = f->back.max_ring_order;

	if (limit > VBD_RING_ORDER_MAX)
		limit = VBD_RING_ORDER_MAX;
	if (o->ring_order > 0)
		order = (uint32_t)o->ring_order;
	else if (o->ring_order == 0)
		while (order < limit && slots_of(order) < (o->depth ? o->depth : DEPTH_DEFAULT))
			order++;
	f->ring_order = order < limit ? order : limit;
}

static void choose_segments(struct blkfront *f, const struct blkfront_options *o)
{
	uint32_t nr = o->max_segments ? o->max_segments : SEGMENTS_DEFAULT;
	uint32_t limit = f->no_indirect ? 0 : f->back.max_indirect_segments;

	if (limit > BLKFRONT_SEGMENTS_MAX)
		limit = BLKFRONT_SEGMENTS_MAX;
	if (limit < BLKFRONT_DIRECT_MAX)
		limit = BLKFRONT_DIRECT_MAX;
	f->max_segments = nr < limit ? nr : limit;
}

static int odd_feature(struct blkfront *f, int err, const struct key_error *key)
{
	return frontdev_fail(&f->dev, err, "the back end is broken or of another kind",
			     "the back end's %s is '%s', expected %s (%s)", key->key,
			     key->value, key->expected ? key->expected : "a value",
			     f->dev.bus.otherend);
}

int blkfront_read_back(struct blkfront *f, struct vbd_features *out)
{
	struct key_error key = { .expected = NULL };
	int r = vbd_read_features(f->dev.bus.xs, f->dev.bus.otherend, out, &key);

	if (r < 0)
		return odd_feature(f, r, &key);
	if (out->sector_bytes < VBD_SECTOR_BYTES || out->sector_bytes > BLKFRONT_PAGE_BYTES ||
	    out->sector_bytes & (out->sector_bytes - 1))
		return frontdev_fail(&f->dev, -EINVAL, "no ring request can describe such "
				     "sectors: give the disk another sector size",
				     "the back end's sectors have %u bytes, expected a power "
				     "of two from 512 to 4096 (%s)",
				     (uint64_t)out->sector_bytes, f->dev.bus.otherend);
	if (out->sectors > INT64_MAX / VBD_SECTOR_BYTES)
		return frontdev_fail(&f->dev, -EINVAL, "the back end is broken",
				     "the back end's disk has %u sectors, more than there "
				     "are addresses (%s)", out->sectors, f->dev.bus.otherend);
	return 0;
}

/*
 * What rings need to know. Linux's blkback publishes the size and the features only
 * when it connects, after our keys; they are read again then.
 */
static int read_before_connect(struct blkfront *f)
{
	struct key_error key = { .expected = NULL };
	int r = vbd_read_features(f->dev.bus.xs, f->dev.bus.otherend, &f->back, &key);

	if (r != -ENOENT)
		return blkfront_read_back(f, &f->back);
	f->back.persistent = true;
	return 0;
}

static int negotiate(struct blkfront *f, const struct blkfront_options *o)
{
	int r = read_before_connect(f);

	if (r < 0)
		return r;
	f->fresh = o->fresh_grants;
	f->no_indirect = o->no_indirect;
	f->persistent = f->back.persistent && !o->no_persistent && !f->fresh;
	f->nr_queues = o->nr_queues ? o->nr_queues : 1;
	if (f->nr_queues > f->back.max_queues)
		f->nr_queues = f->back.max_queues ? f->back.max_queues : 1;
	if (f->nr_queues > BLKFRONT_QUEUES_MAX)
		f->nr_queues = BLKFRONT_QUEUES_MAX;
	choose_ring(f, o);
	choose_segments(f, o);
	return 0;
}

/* Depth and segments follow what the system gave. */
static int open_pool(struct blkfront *f, const struct blkfront_options *o)
{
	uint32_t nr;
	int r;

	f->pool.head = POOL_NONE;
	if (f->fresh)
		return 0;
	f->pool_wanted = o->pool_pages ? o->pool_pages : POOL_PAGES_DEFAULT;
	r = pool_open(&f->pool, &f->dev, f->pool_wanted, true);
	if (r < 0)
		return frontdev_fail(&f->dev, r, GRANTS_ADVICE,
				     "cannot share a page for data with domain %u",
				     (uint64_t)f->dev.bus.otherend_id);
	nr = f->pool.nr_pages;
	if (f->max_segments > nr / 2 && f->max_segments > BLKFRONT_DIRECT_MAX)
		f->max_segments = nr / 2 > BLKFRONT_DIRECT_MAX ? nr / 2 :
				  BLKFRONT_DIRECT_MAX;
	if (f->depth > nr)
		f->depth = nr;
	return 0;
}

/* A page of data is worth more than the second page of a ring. */
static int open_pages(struct blkfront *f, const struct blkfront_options *o)
{
	uint32_t i;
	int r;

	for (;;) {
		r = open_rings(f);
		if (r < 0)
			return r;
		f->depth = slots_of(f->ring_order);
		if (o->depth && o->depth < f->depth)
			f->depth = o->depth;
		r = open_pool(f, o);
		if (r == 0 || !f->ring_order)
			return r;
		pool_close(&f->pool);
		for (i = 0; i < f->nr_queues; i++)
			close_ring(f, f->queue + i);
		f->ring_order = 0;
	}
}

static int write_frontend(void *arg, xs_transaction_t t)
{
	struct blkfront *f = arg;

	return vbd_write_frontend(f->dev.bus.xs, t, f->dev.bus.nodename, &f->published);
}

static int publish(struct blkfront *f)
{
	/* What an earlier user left would be read together with ours. */
	vbd_remove_frontend(f->dev.bus.xs, f->dev.bus.nodename);
	f->published.abi = VBD_ABI_NATIVE;
	f->published.persistent = f->persistent;
	f->published.nr_queues = f->nr_queues;
	return frontdev_publish(&f->dev, XenbusStateInitialised, write_frontend, f);
}

static int open_steps(struct blkfront *f, const struct blkfront_options *o, int *left_ms)
{
	uint32_t i;
	int r = negotiate(f, o);

	if (r == 0)
		r = open_pages(f, o);
	for (i = 0; i < f->nr_queues && r == 0; i++)
		r = open_queue(f, f->queue + i, f->published.queue + i);
	if (r == 0)
		r = publish(f);
	if (r == 0)
		r = frontdev_connect(&f->dev, left_ms);
	/* Sizes and features of an earlier back end may have been read before it left. */
	if (r == 0)
		r = blkfront_read_back(f, &f->back);
	f->persistent = f->persistent && f->back.persistent;
	return r;
}

static void close_queue(struct blkfront *f, struct blkfront_queue *q)
{
	uint32_t i;

	for (i = 0; q->shadow && i < q->nr_shadow; i++)
		frontdev_unshare(&f->dev, q->shadow[i].fresh, q->shadow[i].nr_fresh);
	free(q->shadow);
	close_ring(f, q);
}

static void release(struct blkfront *f)
{
	uint32_t i;

	for (i = 0; i < f->nr_queues; i++)
		close_queue(f, f->queue + i);
	pool_close(&f->pool);
	frontdev_destroy(&f->dev);
	free(f);
}

int blkfront_open(struct front_env *env, uint32_t devid,
		  const struct blkfront_options *opts, int timeout_ms,
		  struct blkfront **out, struct front_problem *problem)
{
	static const struct blkfront_options defaults;
	struct blkfront *f = calloc(1, sizeof(*f));
	int r, close_ms = 2000;

	*out = NULL;
	if (!f)
		return frontdev_no_memory(problem);
	if (!opts)
		opts = &defaults;
	spin_init(&f->spin, opts->poll_cycles);
	r = frontdev_open(&f->dev, env, "vbd", devid, &timeout_ms);
	if (r == 0)
		r = open_steps(f, opts, &timeout_ms);
	if (r == 0) {
		*out = f;
		return 0;
	}
	if (problem) {
		*problem = f->dev.problem;
		problem->err = r;
	}
	if (r != -EINTR)
		frontdev_publish_error(&f->dev);
	frontdev_close(&f->dev, &close_ms);
	if (f->dev.watching)
		vbd_remove_frontend(f->dev.bus.xs, f->dev.bus.nodename);
	release(f);
	return r;
}

/* Whoever wakes the thread meanwhile does not cut it short. */
static void wait_for_all(struct blkfront *f, int left_ms)
{
	int r;

	do
		r = blkfront_wait_left(f, f->inflight, &left_ms);
	while (r >= 0 && left_ms && f->inflight && !f->broken);
}

int blkfront_close(struct blkfront *f, int timeout_ms, struct front_problem *problem)
{
	int r, left = timeout_ms;

	if (!f)
		return 0;
	if (f->inflight && !f->broken)
		wait_for_all(f, timeout_ms);
	f->leaving = true;
	r = frontdev_close(&f->dev, &left);
	blkfront_reap(f);	/* what it answered before it let go */
	blkfront_fail_all(f, -ECONNABORTED);
	if (r == 0)
		vbd_remove_frontend(f->dev.bus.xs, f->dev.bus.nodename);
	else if (problem)
		*problem = f->dev.problem;
	release(f);
	return r;
}

/* ---- what it is -------------------------------------------------------------------- */

void blkfront_info(const struct blkfront *f, struct blkfront_info *o)
{
	const struct vbd_features *b = &f->back;

	memset(o, 0, sizeof(*o));
	o->size_bytes = b->sectors * VBD_SECTOR_BYTES;
	o->sector_bytes = b->sector_bytes;
	o->physical_sector_bytes = b->physical_sector_bytes;
	o->read_only = b->read_only;
	o->cdrom = b->cdrom;
	o->removable = b->removable;
	o->flush = b->flush;
	o->barrier = b->barrier;
	o->persistent = f->persistent;
	o->indirect = f->max_segments > BLKFRONT_DIRECT_MAX;
	o->discard = b->discard;
	o->discard_secure = b->discard_secure;
	o->discard_granularity_bytes = b->discard_granularity_bytes;
	o->discard_alignment_bytes = b->discard_alignment_bytes;
	o->back_max_segments = b->max_indirect_segments;
	o->back_max_ring_order = b->max_ring_order;
	o->back_max_queues = b->max_queues;
	o->ring_order = f->ring_order;
	o->ring_slots = slots_of(f->ring_order);
	o->nr_queues = f->nr_queues;
	o->depth = f->depth;
	o->max_segments = f->max_segments;
	o->pool_pages = f->pool.nr_pages;
	o->pool_wanted_pages = f->pool_wanted;
	o->short_of_grants = f->pool.nr_pages < f->pool_wanted;
	o->domid = f->dev.bus.domid;
	o->back_domid = f->dev.bus.otherend_id;
	o->back_path = f->dev.bus.otherend;
	o->front_path = f->dev.bus.nodename;
}

const struct front_problem *blkfront_problem(const struct blkfront *f)
{
	return &f->dev.problem;
}

void blkfront_stats(const struct blkfront *f, struct blkfront_stats *out)
{
	*out = f->stats;
}

int blkfront_buffer_get(struct blkfront *f, size_t bytes, void **out)
{
	uint32_t nr = (uint32_t)((bytes + BLKFRONT_PAGE_BYTES - 1) / BLKFRONT_PAGE_BYTES);

	*out = NULL;
	if (f->fresh)
		return -EOPNOTSUPP;
	if (bytes > (size_t)f->pool.nr_pages * BLKFRONT_PAGE_BYTES)
		return -ENOBUFS;
	*out = pool_get_run(&f->pool, nr);
	return *out ? 0 : -ENOBUFS;
}

void blkfront_buffer_put(struct blkfront *f, void *buf, size_t bytes)
{
	if (buf)
		pool_put_run(&f->pool, buf, (uint32_t)((bytes + BLKFRONT_PAGE_BYTES - 1) /
						       BLKFRONT_PAGE_BYTES));
}
