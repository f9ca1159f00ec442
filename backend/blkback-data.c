/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request's pages: mapped for long, mapped for this request, or copied.
 *
 * Hides: which of the three a request gets, the batches of copies, the bounce
 * memory. Must not know: rings, disks.
 *
 * The front end's pages may change or lie while we hold them; only their
 * addresses are ours. A response goes out after they are given back, since the
 * front end may end its grants as soon as it sees it.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "blkback-internal.h"

/*
 * Without persistent grants, requests up to this size are copied: one call for
 * a whole pass, and no page tables to change. A map is two calls and, on a host,
 * a TLB flush on every CPU that runs us. On local Xen the copy was the faster
 * one up to about this size (3 times the operations at 4 KiB, a third more at
 * 128 KiB); on a host the place of the crossing is not measured yet.
 */
#define COPY_PAGES_MAX 64u

/* The copies of a pass go in batches of so many, or of one larger request's. */
#define BATCH_SEGMENTS 512u
/*
 * A larger request would drive out of the cache most of what small ones have in
 * it, and comes rarely twice with the same pages.
 */
#define CACHED_SEGMENTS_MAX 256u
#define SECTOR_BYTES 512u

/* A persistent page that so many sweeps have seen unused is unmapped. */
#define SWEEP_AGE 6u
#define SWEEP_PAGES 128u

/* Pages for what fits a slot, and for the pool if it is used. */
static size_t bounce_bytes(const struct blkback *b)
{
	size_t pages = (size_t)b->cfg.nr_slots * BLKABI_DIRECT_MAX;

	if (b->limits.max_indirect_segments)
		pages += SEGMENT_POOL_SIZE;
	return pages * GRANT_PAGE_BYTES;
}

static uint32_t batch_segments(const struct blkback *b)
{
	return MAX(BATCH_SEGMENTS, b->limits.max_indirect_segments);
}

static void *reserve(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int blk_data_open(struct blkback *b)
{
	int err;

	blk_list_clear(&b->copying_in);
	blk_list_clear(&b->copying_out);
	b->bounce = reserve(bounce_bytes(b));
	b->large = reserve(sizeof(*b->large));
	if (!b->bounce || !b->large)
		return -ENOMEM;
	if (b->cfg.persistent) {
		err = grant_cache_open(b->cfg.xgt, b->cfg.domid, BLKBACK_PERSISTENT_PAGES,
				       PROT_READ | PROT_WRITE, &b->cache);
		if (err)
			return err;
	}
	err = grant_batch_open(&b->copies_in, b->cfg.xgt, batch_segments(b));
	if (!err)
		err = grant_batch_open(&b->copies_out, b->cfg.xgt, batch_segments(b));
	if (!err)
		err = grant_batch_open(&b->fetch, b->cfg.xgt,
				       BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
	return err;
}

void blk_data_close(struct blkback *b)
{
	if (b->cache)
		disk_settle(b->cfg.disk);
	grant_cache_close(b->cache);
	grant_batch_close(&b->copies_in);
	grant_batch_close(&b->copies_out);
	grant_batch_close(&b->fetch);
	if (b->bounce)
		munmap(b->bounce, bounce_bytes(b));
	if (b->large)
		munmap(b->large, sizeof(*b->large));
}

/* True: memory for copies is still held, since it was used not long ago. */
static bool sweep_bounce(struct blkback *b)
{
	if (!b->bounce_held || b->executing)
		return b->bounce_held;
	if (!b->bounce_used) {
		madvise(b->bounce, bounce_bytes(b), MADV_DONTNEED);
		b->bounce_held = false;
	}
	b->bounce_used = false;
	return b->bounce_held;
}

static bool sweep_cache(struct blkback *b)
{
	struct grant_cache_stats s;

	grant_cache_sweep(b->cache, SWEEP_AGE, SWEEP_PAGES);
	grant_cache_stats(b->cache, &s);
	return s.mapped_pages != 0;
}

bool blkback_sweep(struct blkback *b)
{
	uint64_t now;

	if (!b->cache && !b->bounce_held)
		return false;
	now = now_ms();
	if (now - b->swept_ms < BLKBACK_SWEEP_MS)
		return true;
	b->swept_ms = now;
	return sweep_bounce(b) | (b->cache && sweep_cache(b));
}

/* ---- attaching ------------------------------------------------------------------ */

static uint32_t seg_offset(const struct blkif_request_segment *s)
{
	return s->first_sect * SECTOR_BYTES;
}

static uint32_t seg_bytes(const struct blkif_request_segment *s)
{
	return (s->last_sect - s->first_sect + 1u) * SECTOR_BYTES;
}

static void *page_of(const struct blk_request *req, uint32_t i)
{
	if (req->how == BLK_PAGES_CACHED)
		return req->pages[i];
	return (uint8_t *)req->base + (size_t)i * GRANT_PAGE_BYTES;
}

/* Neighbours in our own address space become one piece. */
static void build_iov(struct blk_request *req)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < req->plan.nr_segments; i++) {
		uint8_t *at = (uint8_t *)page_of(req, i) + seg_offset(&req->segs[i]);
		uint32_t bytes = seg_bytes(&req->segs[i]);
		struct iovec *last = nr ? &req->iov[nr - 1] : NULL;

		if (last && (uint8_t *)last->iov_base + last->iov_len == at) {
			last->iov_len += bytes;
			continue;
		}
		req->iov[nr++] = (struct iovec){ .iov_base = at, .iov_len = bytes };
	}
	req->nr_iov = nr;
}

static int attach_cached(struct blkback *b, struct blk_request *req)
{
	int err = grant_cache_get(b->cache, req->grefs, req->plan.nr_segments, req->pages);

	if (!err)
		req->how = BLK_PAGES_CACHED;
	return err;
}

/* A write's pages may be granted read-only. */
static int attach_mapped(struct blkback *b, struct blk_request *req)
{
	int prot = req->plan.action == BLK_READ ? PROT_READ | PROT_WRITE : PROT_READ;
	int err = grant_map(b->cfg.xgt, b->cfg.domid, req->grefs,
			    req->plan.nr_segments, prot, &req->base);

	if (err)
		return err;
	req->how = BLK_PAGES_MAPPED;
	b->count->mapped_pages += req->plan.nr_segments;
	return 0;
}

static void attach_copied(struct blkback *b, struct blk_request *req)
{
	size_t page = (size_t)(req - b->requests) * BLKABI_DIRECT_MAX;

	if (req->pool_at != SEGMENT_POOL_NONE)
		page = (size_t)b->cfg.nr_slots * BLKABI_DIRECT_MAX + req->pool_at;
	req->how = BLK_PAGES_COPIED;
	req->base = b->bounce + page * GRANT_PAGE_BYTES;
	b->bounce_used = b->bounce_held = true;
}

static bool prefers_copy(const struct blkback *b, const struct blk_request *req)
{
	if (b->cfg.grants == WORKER_GRANTS_AUTO)
		return req->plan.nr_segments <= COPY_PAGES_MAX;
	return b->cfg.grants == WORKER_GRANTS_COPY;
}

/*
 * Persistent first. Where that fails (cache full of held pages, or pages
 * granted read-only) the request is treated as if it had not been offered, and
 * a map that fails for want of room as one too small to map.
 *
 * No request is mapped where the disk releases pages late. A PV dom0's gntdev
 * then puts off the end of the grant and lets munmap() go on: the page is freed
 * under the mapping, and the kernel's memory is corrupt (Linux 6.1: "Bad page
 * map in process", then failing I/O). Cached pages are unmapped long after.
 */
static int choose_pages(struct blkback *b, struct blk_request *req)
{
	int err;

	if (b->cache && req->plan.nr_segments <= CACHED_SEGMENTS_MAX &&
	    attach_cached(b, req) == 0)
		return 0;
	if (!prefers_copy(b, req) && !disk_releases_late(b->cfg.disk)) {
		err = attach_mapped(b, req);
		if (err != -ENOSPC && err != -ENOMEM)
			return err;
	}
	attach_copied(b, req);
	return 0;
}

/* ---- copying -------------------------------------------------------------------- */

static bool has_room(const struct grant_batch *batch, const struct blk_request *req)
{
	return batch->nr + req->plan.nr_segments <= batch->max;
}

static void add_copies(struct blkback *b, struct grant_batch *batch,
		       struct blk_request *req)
{
	bool in = batch == &b->copies_in;

	req->copies_at = batch->nr;
	for (uint32_t i = 0; i < req->plan.nr_segments; i++) {
		const struct blkif_request_segment *s = &req->segs[i];
		uint8_t *at = (uint8_t *)page_of(req, i) + seg_offset(s);
		uint16_t offset = (uint16_t)seg_offset(s), bytes = (uint16_t)seg_bytes(s);
		int err = in ?
			grant_batch_from(batch, at, b->cfg.domid, s->gref, offset, bytes) :
			grant_batch_to(batch, b->cfg.domid, s->gref, offset, at, bytes);

		assert(!err);	/* there was room, and a segment is inside a page */
		b->count->copied_bytes += bytes;
	}
}

/* Each copy's own status counts: a batch may have failed in part. */
static int copies_result(const struct grant_batch *batch, const struct blk_request *req)
{
	for (uint32_t i = 0; i < req->plan.nr_segments; i++)
		if (grant_batch_status(batch, req->copies_at + i) != GNTST_okay)
			return -EFAULT;
	return 0;
}

void blk_data_copy_in(struct blkback *b, struct blk_list *ready)
{
	struct blk_request *req;

	if (!b->copying_in.first)
		return;
	grant_batch_flush(&b->copies_in);	/* the statuses tell */
	while ((req = blk_list_take(&b->copying_in))) {
		int err = copies_result(&b->copies_in, req);

		if (err)
			blk_finish(b, req, err);
		else
			blk_list_add(ready, req);
	}
}

void blk_data_copy_out(struct blkback *b)
{
	struct blk_request *req;

	if (!b->copying_out.first)
		return;
	grant_batch_flush(&b->copies_out);
	while ((req = blk_list_take(&b->copying_out)))
		blk_finish(b, req, copies_result(&b->copies_out, req));
}

bool blk_data_copy_back(struct blkback *b, struct blk_request *req)
{
	if (req->how != BLK_PAGES_COPIED || req->plan.action != BLK_READ)
		return false;
	if (!has_room(&b->copies_out, req))
		blk_data_copy_out(b);
	add_copies(b, &b->copies_out, req);
	blk_list_add(&b->copying_out, req);
	return true;
}

/* ---- what the other steps call ----------------------------------------------------- */

int blk_data_attach(struct blkback *b, struct blk_request *req, struct blk_list *ready)
{
	int err;

	for (uint32_t i = 0; i < req->plan.nr_segments; i++)
		req->grefs[i] = req->segs[i].gref;
	err = choose_pages(b, req);
	if (err)
		return err;
	build_iov(req);
	b->count->segments += req->plan.nr_segments;
	if (req->how != BLK_PAGES_COPIED || req->plan.action == BLK_READ) {
		blk_list_add(ready, req);
		return 0;
	}
	if (!has_room(&b->copies_in, req))
		blk_data_copy_in(b, ready);
	add_copies(b, &b->copies_in, req);
	blk_list_add(&b->copying_in, req);
	return 0;
}

void blk_data_detach(struct blkback *b, struct blk_request *req)
{
	if (req->how == BLK_PAGES_CACHED)
		grant_cache_put(b->cache, req->grefs, req->plan.nr_segments);
	else if (req->how == BLK_PAGES_MAPPED)
		grant_unmap(b->cfg.xgt, req->base, req->plan.nr_segments);
	req->how = BLK_PAGES_NONE;
}

/*
 * With persistent grants the page that holds the segments is persistent too. It
 * is shared memory: read once, into ours.
 */
static bool fetch_cached(struct blkback *b, void *to, uint32_t gref, size_t bytes)
{
	void *page;

	if (!b->cache || grant_cache_get(b->cache, &gref, 1, &page))
		return false;
	ring_copy_out(to, page, bytes);
	grant_cache_put(b->cache, &gref, 1);
	return true;
}

int blk_data_fetch_segments(struct blkback *b, struct blk_request *req,
			    const uint32_t *grefs)
{
	uint32_t nr = req->plan.nr_segments;

	for (uint32_t at = 0; at < nr; at += BLKABI_SEGMENTS_PER_PAGE, grefs++) {
		size_t bytes = MIN(nr - at, BLKABI_SEGMENTS_PER_PAGE) * sizeof(req->segs[0]);

		if (fetch_cached(b, &req->segs[at], *grefs, bytes))
			continue;
		if (grant_batch_from(&b->fetch, &req->segs[at], b->cfg.domid, *grefs, 0,
				     (uint16_t)bytes))
			assert(!"a page of segments, and at most 8 of them");
	}
	return b->fetch.nr ? grant_batch_flush(&b->fetch) : 0;
}
