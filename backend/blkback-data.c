/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request's pages: mapped for long, mapped for this request, or copied.
 *
 * Hides: which of the three a request gets, the batches of copies, the bounce
 * memory, what happens when one of the three cannot be had. Must not know:
 * rings, disks.
 *
 * Maptrack entries may run out: then requests are copied, which needs none,
 * whatever their size, and the copy is also what tells whether the grant was
 * good. So a shortage delays no request and fails none. A copy can lack
 * something of ours too, rarely (memory to pin a page): it waits and is tried
 * again.
 *
 * The front end's pages may change or lie while we hold them; only their
 * addresses are ours. A response goes out after they are given back, since the
 * front end may end its grants as soon as it sees it.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include "blkback-internal.h"

/*
 * Without persistent grants, requests up to this size are copied: one call for
 * a whole pass, and no page tables to change. A map is two calls and, on a host,
 * a TLB flush on every CPU that runs us. On local Xen the copy was the faster
 * one up to about this size (3 times the operations at 4 KiB, a third more at
 * 128 KiB). On Xen 4.17 with a PV dom0 it is faster too, counted in instructions
 * (guest, fio and all: 1.5 times the operations at 4 KiB, 1.37 at 128 KiB).
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

/* Memory for copies that two sweeps have seen unused is given back. */
#define SWEEP_MS 10000u
/* How long a page rests after its last use before it may be unmapped (choose_pages). */
#define REST_MS 1000u
/* How often the cache of persistent grants is told the time. */
#define TICK_MS 100u
#define NEVER UINT64_MAX
/* After a map for which there was no room, others are not tried for so long. */
#define NO_MAP_MS 10u
#define RETRY_MS 10u
#define COMPLAIN_MS 60000u
/* A page of segments must be had before anything else: so often, RETRY_MS apart. */
#define FETCH_TRIES 500u

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

/* syscalls disk: mmap(data) */
static void *reserve(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int open_cache(struct blkback *b)
{
	struct grant_cache_config cfg = {
		.domid = b->cfg.domid,
		.cap_pages = b->cfg.persistent_pages,
		.idle_ms = b->cfg.persistent_idle_ms,
		.rest_ms = disk_releases_late(b->cfg.disk) ? REST_MS : 0,
		.now_ms = now_ms(),
		.prot = PROT_READ | PROT_WRITE,
	};

	if (!b->cfg.persistent || !cfg.cap_pages)
		return 0;
	return grant_cache_open(b->cfg.xgt, &cfg, &b->cache);
}

int blk_data_open(struct blkback *b)
{
	int err;

	blk_list_clear(&b->copying_in);
	blk_list_clear(&b->copying_out);
	blk_list_clear(&b->starved);
	b->bounce = reserve(bounce_bytes(b));
	b->large = reserve(sizeof(*b->large));
	if (!b->bounce || !b->large)
		return -ENOMEM;
	err = open_cache(b);
	if (!err)
		err = grant_batch_open(&b->copies_in, b->cfg.xgt, batch_segments(b));
	if (!err)
		err = grant_batch_open(&b->copies_out, b->cfg.xgt, batch_segments(b));
	if (!err)
		err = grant_batch_open(&b->fetch, b->cfg.xgt,
				       BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST);
	return err;
}

/* syscalls disk: munmap */
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

/* ---- shortage ------------------------------------------------------------------- */

/* A minute apart: it is the host's matter, and the guest can cause it. */
static void complain(struct blkback *b, const char *what)
{
	uint64_t now = now_ms();

	if (b->complained_ms && now - b->complained_ms < COMPLAIN_MS)
		return;
	b->complained_ms = now;
	log_peer_at(b->cfg.log, LOG_LEVEL_WARNING, "%s", what);
}

static void no_room_to_map(struct blkback *b, int err)
{
	if (err == -ENOMEM)
		complain(b, "no memory to map the guest's pages: they are copied for now; "
			 "this domain needs more memory");
	else
		/* No page of ours is here any more to tell by (grant_map_ring). */
		complain(b, "no maptrack entries left to map the guest's pages, or it grants them "
			 "to be copied alone: they are copied for now; where disks of other "
			 "guests say so too, raise gnttab_max_maptrack_frames on Xen's command "
			 "line (of a driver domain: max_maptrack_frames), or lower "
			 "--persistent-pages");
}

/* A wait in milliseconds is an int; who waits longer looks in between. */
#define HELD_BACK_MAX_MS 1000000u

/* ---- housekeeping ----------------------------------------------------------------- */

static void sooner(int *wait_ms, uint64_t ms)
{
	if (*wait_ms < 0 || ms < (uint64_t)*wait_ms)
		*wait_ms = (int)ms;
}

static uint64_t until(uint64_t when_ms, uint64_t now)
{
	return when_ms > now ? when_ms - now : 1;
}

/* syscalls disk: madvise */
static void sweep_bounce(struct blkback *b, uint64_t now, int *wait_ms)
{
	if (now - b->swept_ms >= SWEEP_MS) {
		if (b->executing)
			return;		/* until some end, which wakes us */
		b->swept_ms = now;
		if (!b->bounce_used) {
			madvise(b->bounce, bounce_bytes(b), MADV_DONTNEED);
			b->bounce_held = false;
			return;
		}
		b->bounce_used = false;
	}
	sooner(wait_ms, until(b->swept_ms + SWEEP_MS, now));
}

static void tick(struct blkback *b, uint64_t now)
{
	uint32_t ms = grant_cache_tick(b->cache, now);
	struct grant_cache_stats s;

	b->ticked_ms = now;
	b->cache_wake_ms = ms ? now + ms : NEVER;
	grant_cache_stats(b->cache, &s);
	if (s.shortages != b->shortages)
		no_room_to_map(b, s.shortage_err);
	b->shortages = s.shortages;
	b->count->cache_maps += s.misses - b->misses;
	b->count->cache_size_pages = s.mapped_pages;
	b->misses = s.misses;
}

/* Since the last tick the first page may have come, of which it knew nothing. */
static void tick_cache(struct blkback *b, uint64_t now, int *wait_ms)
{
	struct grant_cache_stats s;

	if (now - b->ticked_ms >= TICK_MS || now >= b->cache_wake_ms)
		tick(b, now);
	if (b->cache_wake_ms != NEVER) {
		sooner(wait_ms, until(b->cache_wake_ms, now));
		return;
	}
	grant_cache_stats(b->cache, &s);
	if (s.misses != b->misses)
		sooner(wait_ms, until(b->ticked_ms + TICK_MS, now));
}

int blkback_housekeep(struct blkback *b)
{
	int wait_ms = -1;
	uint64_t now;

	if (!b->cache && !b->bounce_held && !b->starved.first && !b->held_back)
		return -1;
	now = now_ms();
	if (b->bounce_held)
		sweep_bounce(b, now, &wait_ms);
	if (b->cache)
		tick_cache(b, now, &wait_ms);
	if (b->starved.first)
		sooner(&wait_ms, until(b->retry_ms, now));
	if (b->held_back)
		sooner(&wait_ms, MIN(until(b->turn.until_us / 1000 + 1, now), HELD_BACK_MAX_MS));
	return wait_ms;
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
	struct iovec *next = req->iov;
	uint8_t *edge = NULL;		/* where the last piece ends */

	for (uint32_t i = 0; i < req->plan.nr_segments; i++) {
		uint8_t *at = (uint8_t *)page_of(req, i) + seg_offset(&req->segs[i]);
		uint32_t bytes = seg_bytes(&req->segs[i]);

		if (at == edge)
			next[-1].iov_len += bytes;
		else
			*next++ = (struct iovec){ .iov_base = at, .iov_len = bytes };
		edge = at + bytes;
	}
	req->nr_iov = (uint32_t)(next - req->iov);
}

static int attach_cached(struct blkback *b, struct blk_request *req)
{
	int err = grant_cache_get(b->cache, req->grefs, req->plan.nr_segments, req->pages,
				  req->holds);

	if (err)
		return err;
	req->how = BLK_PAGES_CACHED;
	b->count->cached_pages += req->plan.nr_segments;
	return 0;
}

/* A write's pages may be granted read-only. */
static int attach_mapped(struct blkback *b, struct blk_request *req)
{
	int prot = req->plan.action == BLK_READ ? PROT_READ | PROT_WRITE : PROT_READ;
	int err;

	if (b->no_map_until_ms && now_ms() < b->no_map_until_ms)
		return -ENOSPC;
	b->no_map_until_ms = 0;
	err = grant_map(b->cfg.xgt, b->cfg.domid, req->grefs, req->plan.nr_segments,
			prot, &req->base);
	if (grant_is_short(err)) {
		b->no_map_until_ms = now_ms() + NO_MAP_MS;
		no_room_to_map(b, err);
	}
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
	switch (b->cfg.grants) {
	case VBD_GRANTS_MAP:
		return false;
	case VBD_GRANTS_COPY:
		return true;
	default:	/* persistent too, where the front end offers none */
		return req->plan.nr_segments <= COPY_PAGES_MAX;
	}
}

/*
 * Persistent first. Where that fails (too many pages, a shortage, pages granted
 * read-only) the request is treated as if it had not been offered. Where a map
 * fails, the copy has the last word about the grants.
 *
 * No request is mapped where the disk releases pages late. A PV dom0's gntdev
 * then puts off the end of the grant and lets munmap() go on: the page is freed
 * under the mapping, and the kernel's memory is corrupt (Linux 6.1: "Bad page
 * map in process", then failing I/O). Cached pages rest before they go.
 */
static void choose_pages(struct blkback *b, struct blk_request *req)
{
	if (b->cache && req->plan.nr_segments <= CACHED_SEGMENTS_MAX &&
	    attach_cached(b, req) == 0)
		return;
	if (!prefers_copy(b, req) && !disk_releases_late(b->cfg.disk) &&
	    attach_mapped(b, req) == 0)
		return;
	attach_copied(b, req);
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
	b->count->copied_pages += req->plan.nr_segments;
}

/*
 * Each copy's own status counts: a batch may have failed in part. -EAGAIN: none
 * failed for good, and some for want of something of ours.
 */
static int copies_result(const struct grant_batch *batch, const struct blk_request *req)
{
	int err = 0;

	for (uint32_t i = 0; i < req->plan.nr_segments; i++) {
		int16_t status = grant_batch_status(batch, req->copies_at + i);

		if (grant_status_is_short(status))
			err = -EAGAIN;
		else if (status != GNTST_okay)
			return -EFAULT;
	}
	return err;
}

static void copy_in_later(struct blkback *b, struct blk_request *req,
			  struct blk_list *ready)
{
	if (!has_room(&b->copies_in, req))
		blk_data_copy_in(b, ready);
	add_copies(b, &b->copies_in, req);
	blk_list_add(&b->copying_in, req);
}

static void starve(struct blkback *b, struct blk_request *req)
{
	if (!b->starved.first)
		b->retry_ms = now_ms() + RETRY_MS;
	blk_list_add(&b->starved, req);
	complain(b, "the guest's pages cannot be copied now, for want of memory or because "
		 "they are used too often at once; its requests wait");
}

void blk_data_retry(struct blkback *b, struct blk_list *ready)
{
	struct blk_list starved = b->starved;
	struct blk_request *req;

	if (now_ms() < b->retry_ms)
		return;
	blk_list_clear(&b->starved);
	while ((req = blk_list_take(&starved)))
		if (req->plan.action == BLK_READ)
			blk_data_copy_back(b, req);
		else
			copy_in_later(b, req, ready);
	blk_data_copy_in(b, ready);
}

void blk_data_copy_in(struct blkback *b, struct blk_list *ready)
{
	struct blk_request *req;

	if (!b->copying_in.first)
		return;
	grant_batch_flush(&b->copies_in);	/* the statuses tell */
	while ((req = blk_list_take(&b->copying_in))) {
		int err = copies_result(&b->copies_in, req);

		if (err == -EAGAIN)
			starve(b, req);
		else if (err)
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
	while ((req = blk_list_take(&b->copying_out))) {
		int err = copies_result(&b->copies_out, req);

		if (err == -EAGAIN)
			starve(b, req);
		else
			blk_finish(b, req, err);
	}
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

void blk_data_attach(struct blkback *b, struct blk_request *req, struct blk_list *ready)
{
	uint32_t nr = req->plan.nr_segments;

	b->count->segments += nr;
	for (uint32_t i = 0; i < nr; i++)
		req->grefs[i] = req->segs[i].gref;
	choose_pages(b, req);
	build_iov(req);
	if (req->how != BLK_PAGES_COPIED || req->plan.action == BLK_READ)
		blk_list_add(ready, req);
	else
		copy_in_later(b, req, ready);
}

void blk_data_detach(struct blkback *b, struct blk_request *req)
{
	if (req->how == BLK_PAGES_CACHED)
		grant_cache_put(b->cache, req->holds, req->plan.nr_segments);
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
	uint32_t hold;
	void *page;

	if (!b->cache || grant_cache_get(b->cache, &gref, 1, &page, &hold))
		return false;
	ring_copy_out(to, page, bytes);
	grant_cache_put(b->cache, &hold, 1);
	return true;
}

static int fetch_all(struct blkback *b, struct blk_request *req, const uint32_t *grefs)
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

/* syscalls disk: poll ppoll */
/* Until it is known what the request is, nothing can go past it: so it waits here. */
int blk_data_fetch_segments(struct blkback *b, struct blk_request *req,
			    const uint32_t *grefs)
{
	int err = fetch_all(b, req, grefs);

	for (uint32_t tries = 0; grant_is_short(err) && tries < FETCH_TRIES; tries++) {
		poll(NULL, 0, RETRY_MS);
		err = fetch_all(b, req, grefs);
	}
	return err;
}
