/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From an io to ring requests. Hides splitting, segments (direct, indirect),
 * copies into the pool; must not know responses or sleeping (blkfront-done.c).
 *
 * An io is issued piece by piece, each piece one ring request with an entry
 * in the queue's shadow table. What finds no room waits in the queue's list,
 * in order; only the head of that list can be issued in part.
 */
#include <errno.h>
#include <stdlib.h>

#include "blkfront-priv.h"

#define SECTOR VBD_SECTOR_BYTES
#define HEAD_BYTES offsetof(struct blkif_request, seg)

/* ---- the caller's memory ----------------------------------------------------- */

struct cursor {
	const struct blkfront_iov *iov;
	unsigned int i, nr;
	size_t at;
};

/* Never past an element's end; steps over empty ones. */
static void cursor_skip(struct cursor *c, size_t bytes)
{
	c->at += bytes;
	while (c->i < c->nr && c->at == c->iov[c->i].bytes) {
		c->i++;
		c->at = 0;
	}
}

static struct cursor cursor_of(const struct blkfront_io *io)
{
	return (struct cursor){ io->iov, io->lib.iov_i, io->nr_iov, io->lib.iov_at };
}

/* Copies between one page and where the cursor stands; the cursor moves on. */
static void copy_page(struct cursor *c, uint8_t *page, size_t bytes, bool into_page)
{
	size_t n;

	while (bytes) {
		n = c->iov[c->i].bytes - c->at;
		if (n > bytes)
			n = bytes;
		if (into_page)
			memcpy(page, (uint8_t *)c->iov[c->i].base + c->at, n);
		else
			memcpy((uint8_t *)c->iov[c->i].base + c->at, page, n);
		cursor_skip(c, n);
		page += n;
		bytes -= n;
	}
}

static uint8_t *data_page(struct blkfront *f, struct shadow *s, uint32_t *at)
{
	uint8_t *page;

	if (s->fresh)
		return (uint8_t *)s->fresh + (size_t)(*at)++ * BLKFRONT_PAGE_BYTES;
	page = f->pool.page[*at].addr;
	*at = f->pool.page[*at].next;
	return page;
}

void blkfront_copy(struct blkfront *f, struct shadow *s, bool into_pages)
{
	struct cursor c = { s->io->iov, s->iov_i, s->io->nr_iov, s->iov_at };
	uint32_t at = s->fresh ? s->nr_lists : s->chain;
	size_t left = s->bytes, n;

	for (; left; left -= n) {
		n = left < BLKFRONT_PAGE_BYTES ? left : BLKFRONT_PAGE_BYTES;
		copy_page(&c, data_page(f, s, &at), n, into_pages);
	}
	f->stats.copied_bytes += s->bytes;
}

/* ---- the shadow table ------------------------------------------------------------ */

static struct shadow *shadow_take(struct blkfront *f, struct blkfront_queue *q)
{
	struct shadow *s = q->shadow + q->free_shadow;

	q->free_shadow = s->next_free;
	q->nr_busy++;
	f->nr_busy++;
	s->chain = s->lists = POOL_NONE;
	s->fresh = NULL;
	s->nr_lists = 0;
	s->bytes = 0;
	return s;
}

static void put_chain(struct pool *p, uint32_t i)
{
	uint32_t next;

	for (; i != POOL_NONE; i = next) {
		next = p->page[i].next;
		pool_put(p, i);
	}
}

void blkfront_shadow_put(struct blkfront *f, struct blkfront_queue *q, struct shadow *s)
{
	put_chain(&f->pool, s->chain);
	put_chain(&f->pool, s->lists);
	if (s->fresh)
		frontdev_unshare(&f->dev, s->fresh, s->nr_fresh);
	s->io = NULL;
	s->fresh = NULL;
	s->id += 1ull << 32;		/* a repeated answer will not match */
	s->next_free = q->free_shadow;
	q->free_shadow = (uint32_t)(s - q->shadow);
	q->nr_busy--;
	f->nr_busy--;
}

/* ---- segments ---------------------------------------------------------------------- */

/* How many pages describe nr segments; 0: the request itself does. */
static uint32_t list_pages(uint32_t nr)
{
	return nr <= BLKFRONT_DIRECT_MAX ? 0 :
	       (nr + BLKFRONT_LIST_SEGMENTS - 1) / BLKFRONT_LIST_SEGMENTS;
}

static void set_segment(struct blkif_request_segment *seg, uint32_t gref,
			size_t offset, size_t bytes)
{
	seg->gref = gref;
	seg->first_sect = (uint8_t)(offset / SECTOR);
	seg->last_sect = (uint8_t)((offset + bytes) / SECTOR - 1);
}

/* From buffers of the pool itself. Returns the number of segments. */
static uint32_t segments_in_place(struct blkfront *f, struct blkfront_io *io,
				  struct shadow *s, uint32_t max)
{
	struct cursor c = cursor_of(io);
	size_t offset, n, left = io->lib.todo_bytes;
	const uint8_t *at;
	uint32_t nr, page;

	for (nr = 0; nr < max && left; nr++, left -= n) {
		at = (const uint8_t *)c.iov[c.i].base + c.at;
		page = pool_find(&f->pool, at, 1);
		offset = (size_t)(at - f->pool.page[page].addr);
		n = c.iov[c.i].bytes - c.at;
		if (n > BLKFRONT_PAGE_BYTES - offset)
			n = BLKFRONT_PAGE_BYTES - offset;
		set_segment(f->seg + nr, f->pool.page[page].gref, offset, n);
		cursor_skip(&c, n);
	}
	s->bytes = (uint32_t)(io->lib.todo_bytes - left);
	return nr;
}

/* Into pages taken from the pool, chained through their next. */
static uint32_t segments_by_copy(struct blkfront *f, struct blkfront_io *io,
				 struct shadow *s, uint32_t max)
{
	uint32_t nr, page, *link = &s->chain;
	uint64_t left = io->lib.todo_bytes;
	size_t n;

	for (nr = 0; nr < max && left; nr++, left -= n) {
		n = left < BLKFRONT_PAGE_BYTES ? (size_t)left : BLKFRONT_PAGE_BYTES;
		page = pool_take(&f->pool);
		*link = page;
		link = &f->pool.page[page].next;
		set_segment(f->seg + nr, f->pool.page[page].gref, 0, n);
	}
	*link = POOL_NONE;
	s->bytes = (uint32_t)(io->lib.todo_bytes - left);
	return nr;
}

/* Into pages shared for this request alone; the first ones are for its segments. */
static int segments_fresh(struct blkfront *f, struct blkfront_io *io,
			  struct shadow *s, uint32_t max)
{
	uint32_t *grefs = f->fresh_grefs;
	uint64_t left = io->lib.todo_bytes;
	uint32_t i, nr = (uint32_t)((left + BLKFRONT_PAGE_BYTES - 1) / BLKFRONT_PAGE_BYTES);
	size_t n;
	int r;

	if (left > (uint64_t)max * BLKFRONT_PAGE_BYTES)
		nr = max;
	s->nr_lists = (uint8_t)list_pages(nr);
	s->nr_fresh = nr + s->nr_lists;
	r = frontdev_share(&f->dev, s->nr_fresh, io->op == BLKFRONT_READ, grefs, &s->fresh);
	if (r < 0)
		return r;
	for (i = 0; i < nr; i++, left -= n) {
		n = left < BLKFRONT_PAGE_BYTES ? (size_t)left : BLKFRONT_PAGE_BYTES;
		set_segment(f->seg + i, grefs[i + s->nr_lists], 0, n);
	}
	s->bytes = (uint32_t)(io->lib.todo_bytes - left);
	return (int)nr;
}

/*
 * How many segments the next request may have: with more than a direct one
 * holds, pages must remain to describe them.
 */
static uint32_t segment_limit(const struct blkfront *f, const struct blkfront_io *io)
{
	uint32_t free = f->pool.nr_free, max = f->max_segments;

	if (f->fresh)
		return max;
	if (!io->lib.copy) {
		if (list_pages(max) > free)
			max = free ? free * BLKFRONT_LIST_SEGMENTS : BLKFRONT_DIRECT_MAX;
		return max;
	}
	if (free > BLKFRONT_DIRECT_MAX)
		free -= list_pages(free < max ? free : max);
	return free < max ? free : max;
}

/* ---- ring requests -------------------------------------------------------------------- */

static void put_direct(struct blkfront *f, struct blkfront_queue *q, struct shadow *s,
		       uint64_t sector, uint32_t nr)
{
	struct blkif_request req;

	memset(&req, 0, HEAD_BYTES);
	req.operation = s->op;
	req.nr_segments = (uint8_t)nr;
	req.handle = (blkif_vdev_t)f->dev.devid;
	req.id = s->id;
	req.sector_number = sector;
	memcpy(req.seg, f->seg, nr * sizeof(req.seg[0]));
	ring_front_put(&q->ring, &req, HEAD_BYTES + nr * sizeof(req.seg[0]));
}

static void put_indirect(struct blkfront *f, struct blkfront_queue *q, struct shadow *s,
			 uint64_t sector, uint32_t nr)
{
	uint32_t i, page, *link = &s->lists, done = 0, n;
	struct blkif_request_indirect req;
	void *at;

	memset(&req, 0, sizeof(req));
	req.operation = BLKIF_OP_INDIRECT;
	req.indirect_op = s->op;
	req.nr_segments = (uint16_t)nr;
	req.id = s->id;
	req.sector_number = sector;
	req.handle = (blkif_vdev_t)f->dev.devid;
	s->nr_lists = (uint8_t)list_pages(nr);
	for (i = 0; i < s->nr_lists; i++, done += n) {
		n = nr - done < BLKFRONT_LIST_SEGMENTS ? nr - done : BLKFRONT_LIST_SEGMENTS;
		if (s->fresh) {
			at = (uint8_t *)s->fresh + (size_t)i * BLKFRONT_PAGE_BYTES;
			req.indirect_grefs[i] = f->fresh_grefs[i];
		} else {
			page = pool_take(&f->pool);
			*link = page;
			link = &f->pool.page[page].next;
			*link = POOL_NONE;
			at = f->pool.page[page].addr;
			req.indirect_grefs[i] = f->pool.page[page].gref;
		}
		memcpy(at, f->seg + done, n * sizeof(f->seg[0]));
	}
	ring_front_put(&q->ring, &req, sizeof(req));
	f->stats.indirect_requests++;
}

static void put_discard(struct blkfront *f, struct blkfront_queue *q, struct shadow *s,
			const struct blkfront_io *io)
{
	struct blkif_request_discard req;

	memset(&req, 0, sizeof(req));
	req.operation = BLKIF_OP_DISCARD;
	req.flag = io->flags & BLKFRONT_SECURE ? BLKIF_DISCARD_SECURE : 0;
	req.handle = (blkif_vdev_t)f->dev.devid;
	req.id = s->id;
	req.sector_number = io->offset_bytes / SECTOR;
	req.nr_sectors = io->bytes / SECTOR;
	ring_front_put(&q->ring, &req, sizeof(req));
}

/* Moves the io past a piece that is on the ring now. */
static void advance(struct blkfront_io *io, struct shadow *s)
{
	struct cursor c = cursor_of(io);
	size_t left = s->bytes, n;

	while (left) {
		n = c.iov[c.i].bytes - c.at;
		if (n > left)
			n = left;
		cursor_skip(&c, n);
		left -= n;
	}
	io->lib.iov_i = c.i;
	io->lib.iov_at = c.at;
	io->lib.at_bytes += s->bytes;
	io->lib.todo_bytes -= s->bytes;
}

static int segments(struct blkfront *f, struct blkfront_io *io, struct shadow *s,
		    uint32_t max)
{
	if (f->fresh)
		return segments_fresh(f, io, s, max);
	if (io->lib.copy)
		return (int)segments_by_copy(f, io, s, max);
	return (int)segments_in_place(f, io, s, max);
}

/* One ring request of a read or write. -EAGAIN: no pages now. */
static int issue_piece(struct blkfront *f, struct blkfront_queue *q, struct blkfront_io *io)
{
	uint32_t max = segment_limit(f, io);
	struct shadow *s;
	int nr;

	/* Small crumbs of a large io are worth less than a short wait. */
	if (!max || (max < BLKFRONT_DIRECT_MAX && max < f->max_segments && f->nr_busy &&
		     io->lib.todo_bytes > (uint64_t)max * BLKFRONT_PAGE_BYTES)) {
		f->stats.pool_waits++;
		return f->nr_busy ? -EAGAIN : -ENOBUFS;
	}
	s = shadow_take(f, q);
	s->io = io;
	s->op = io->op == BLKFRONT_READ ? BLKIF_OP_READ : BLKIF_OP_WRITE;
	s->iov_i = io->lib.iov_i;
	s->iov_at = io->lib.iov_at;
	nr = segments(f, io, s, max);
	if (nr < 0) {
		blkfront_shadow_put(f, q, s);
		return f->nr_busy ? -EAGAIN : nr;
	}
	if (io->op == BLKFRONT_WRITE && io->lib.copy)
		blkfront_copy(f, s, true);
	if ((uint32_t)nr > BLKFRONT_DIRECT_MAX)
		put_indirect(f, q, s, io->lib.at_bytes / SECTOR, (uint32_t)nr);
	else
		put_direct(f, q, s, io->lib.at_bytes / SECTOR, (uint32_t)nr);
	io->lib.nr_ring++;
	advance(io, s);
	return 0;
}

/* Flush (or an empty barrier in its place) and discard: one request each. */
static int issue_other(struct blkfront *f, struct blkfront_queue *q, struct blkfront_io *io)
{
	struct shadow *s = shadow_take(f, q);

	s->io = io;
	if (io->op == BLKFRONT_DISCARD) {
		s->op = BLKIF_OP_DISCARD;
		put_discard(f, q, s, io);
	} else {
		s->op = f->back.flush ? BLKIF_OP_FLUSH_DISKCACHE : BLKIF_OP_WRITE_BARRIER;
		put_direct(f, q, s, 0, 0);
	}
	io->lib.nr_ring++;
	io->lib.todo_bytes = 0;
	return 0;
}

/* Puts what it can of io on the ring. 0: all of it. -EAGAIN: the rest waits. */
static int issue(struct blkfront *f, struct blkfront_queue *q, struct blkfront_io *io)
{
	int r = 0;

	while (r == 0 && io->lib.todo_bytes) {
		if (q->nr_busy == q->nr_shadow) {
			f->stats.slot_waits++;
			return -EAGAIN;
		}
		if (io->op == BLKFRONT_READ || io->op == BLKFRONT_WRITE)
			r = issue_piece(f, q, io);
		else
			r = issue_other(f, q, io);
	}
	return r;
}

static void pop_waiting(struct blkfront_queue *q)
{
	q->waiting = q->waiting->lib.next;
	if (!q->waiting)
		q->waiting_end = &q->waiting;
}

void blkfront_issue_waiting(struct blkfront *f, struct blkfront_queue *q)
{
	struct blkfront_io *io;
	int r;

	while ((io = q->waiting)) {
		r = issue(f, q, io);
		if (r == -EAGAIN)
			return;
		pop_waiting(q);
		if (r < 0)
			blkfront_io_failed(f, io, r);
	}
}

static void push_waiting(struct blkfront_queue *q, struct blkfront_io *io)
{
	io->lib.next = NULL;
	*q->waiting_end = io;
	q->waiting_end = &io->lib.next;
}

void blkfront_drop_rest(struct blkfront_queue *q, struct blkfront_io *io)
{
	struct blkfront_io **link;

	if (!io->lib.todo_bytes)
		return;
	io->lib.todo_bytes = 0;
	for (link = &q->waiting; *link; link = &(*link)->lib.next)
		if (*link == io) {
			*link = io->lib.next;
			if (!*link)
				q->waiting_end = link;
			return;
		}
}

/* ---- submit ------------------------------------------------------------------------------- */

void blkfront_io_start(struct blkfront_io *io, uint64_t bytes)
{
	struct cursor c;

	io->lib.todo_bytes = bytes;
	io->lib.at_bytes = io->offset_bytes;
	io->lib.iov_at = 0;
	io->lib.iov_i = 0;
	io->lib.nr_ring = 0;
	io->lib.result = 0;
	io->lib.restart = false;
	c = cursor_of(io);
	cursor_skip(&c, 0);
	io->lib.iov_i = c.i;
}

uint64_t blkfront_iov_bytes(const struct blkfront *f, const struct blkfront_io *io,
			    bool *copy)
{
	uintptr_t mask = f->back.sector_bytes - 1;
	const struct blkfront_iov *v;
	uint64_t sum = 0;

	*copy = f->fresh || f->copies;
	for (v = io->iov; v < io->iov + io->nr_iov; v++) {
		sum += v->bytes;
		if (!*copy && v->bytes)
			*copy = (((uintptr_t)v->base | v->bytes) & mask) ||
				pool_find(&f->pool, v->base, v->bytes) == POOL_NONE;
	}
	return sum;
}

static int check_range(const struct blkfront *f, uint64_t offset, uint64_t bytes)
{
	uint64_t size = f->back.sectors * VBD_SECTOR_BYTES;

	if (!bytes || ((offset | bytes) & (f->back.sector_bytes - 1)))
		return -EINVAL;
	if (offset > size || bytes > size - offset)
		return -ERANGE;
	return 0;
}

static int check(const struct blkfront *f, struct blkfront_io *io, uint64_t *bytes)
{
	*bytes = 1;
	switch (io->op) {
	case BLKFRONT_WRITE:
		if (f->back.read_only)
			return -EROFS;
		/* fall through */
	case BLKFRONT_READ:
		*bytes = blkfront_iov_bytes(f, io, &io->lib.copy);
		return check_range(f, io->offset_bytes, *bytes);
	case BLKFRONT_FLUSH:
		return f->flush_refused ? -EOPNOTSUPP : 0;
	case BLKFRONT_DISCARD:
		if (f->back.read_only)
			return -EROFS;
		if (!f->back.discard ||
		    (io->flags & BLKFRONT_SECURE && !f->back.discard_secure))
			return -EOPNOTSUPP;
		*bytes = io->bytes;
		return check_range(f, io->offset_bytes, io->bytes);
	}
	return -EINVAL;
}

int blkfront_submit(struct blkfront *f, struct blkfront_io *io)
{
	struct blkfront_queue *q = f->queue;
	uint64_t bytes;
	int r;

	if (f->broken || f->leaving)
		return f->broken ? -EPROTO : -ECONNABORTED;
	r = check(f, io, &bytes);
	if (r < 0)
		return r;
	if (f->nr_queues > 1)
		q += io->queue % f->nr_queues;
	blkfront_io_start(io, bytes);
	f->inflight++;
	if (io->op == BLKFRONT_FLUSH && !f->back.flush && !f->back.barrier) {
		io->lib.todo_bytes = 0;
		io->lib.next = f->instant;
		f->instant = io;
		return 0;
	}
	if (q->waiting || issue(f, q, io) == -EAGAIN) {
		push_waiting(q, io);
		return 0;
	}
	if (io->lib.todo_bytes)		/* it can never run */
		push_waiting(q, io);
	return 0;
}
