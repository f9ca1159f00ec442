/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_share.c - what a guest's kernel does for xengntshr: pages and grant entries.
 *
 * Hides how frames and grant references are found, the limit on them (Linux's
 * gntalloc.limit), and that a page whose grant is in use when it is unshared is
 * kept back until the last user has gone. It writes grant entries as any guest
 * does, without the hypervisor's locks. Also what happens when a shared or a
 * mapped page with notification goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "grant-entry.h"
#include "hv.h"

/* Frames below are the start-of-day pages. */
#define FIRST_HEAP_FRAME 16

static struct lx_dom *shm_dom(unsigned slot)
{
	return &hv.shm->dom[slot];
}

/* ---- frames and grant references of a domain ---- */

int hv_share_init(unsigned slot)
{
	struct hv_dom *d = &hv.dom[slot];
	struct lx_dom *sd = shm_dom(slot);

	d->frame_used = calloc(sd->nr_mem_frames, 1);
	d->free_grefs = calloc(sd->nr_grants, sizeof(*d->free_grefs));
	if (!d->frame_used || !d->free_grefs)
		return -ENOMEM;
	d->frame_hint = FIRST_HEAP_FRAME;
	d->nr_free_grefs = 0;
	for (uint32_t i = sd->nr_grants; i-- > GNTTAB_NR_RESERVED_ENTRIES; )
		d->free_grefs[d->nr_free_grefs++] = i;
	return 0;
}

void hv_share_exit(unsigned slot)
{
	struct hv_dom *d = &hv.dom[slot];

	while (d->kept) {
		struct hv_kept *next = d->kept->next;

		free(d->kept);
		d->kept = next;
	}
	free(d->frame_used);
	free(d->free_grefs);
	d->frame_used = NULL;
	d->free_grefs = NULL;
}

static bool is_free_run(const struct hv_dom *d, uint32_t first, unsigned count)
{
	return !memchr(d->frame_used + first, 1, count);
}

/* Takes adjacent frames where that is easy, else any. */
static int take_frames(unsigned slot, unsigned count, uint32_t *frames)
{
	struct hv_dom *d = &hv.dom[slot];
	uint32_t nr = shm_dom(slot)->nr_mem_frames, n = 0;
	uint32_t start = d->frame_hint;

	if (start + count <= nr && is_free_run(d, start, count)) {
		for (; n < count; n++)
			frames[n] = start + n;
	}
	for (uint32_t i = FIRST_HEAP_FRAME; i < nr && n < count; i++)
		if (!d->frame_used[i])
			frames[n++] = i;
	if (n < count)
		return -ENOSPC;
	for (n = 0; n < count; n++)
		d->frame_used[frames[n]] = 1;
	d->frame_hint = frames[count - 1] + 1;
	return 0;
}

static void free_frame(unsigned slot, uint32_t frame)
{
	struct hv_dom *d = &hv.dom[slot];

	d->frame_used[frame] = 0;
	if (frame < d->frame_hint)
		d->frame_hint = frame;
}

/* A page that is shared again begins with zeros. */
static void clear_frames(unsigned slot, const uint32_t *frames, unsigned count)
{
	for (unsigned i = 0, n; i < count; i += n) {
		for (n = 1; i + n < count && frames[i + n] == frames[i] + n; n++)
			;
		fallocate(hv.dom[slot].mem_fd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)frames[i] * LX_PAGE_SIZE, (off_t)n * LX_PAGE_SIZE);
	}
}

/* ---- notifications ---- */

static void notify(unsigned slot, uint32_t frame, uint64_t offset)
{
	static const char zero;

	if (offset < LX_PAGE_SIZE && pwrite(hv.dom[slot].mem_fd, &zero, 1,
			(off_t)frame * LX_PAGE_SIZE + (off_t)offset) < 0)
		return;
}

int hv_map_notify(unsigned proc, const struct lx_req *req, struct lx_rep *rep)
{
	uint8_t slot = req->domid < LX_DOMIDS ? hv.shm->slot_of[req->domid] : 0;
	struct hv_notify *n;

	if (!slot-- || req->b >= shm_dom(slot)->nr_mem_frames)
		return -EINVAL;
	n = malloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	*n = (struct hv_notify){ .next = hv.proc[proc].notifies, .id = ++hv.next_id,
				 .slot = slot, .gen = shm_dom(slot)->gen,
				 .frame = req->b, .offset = req->c, .port = req->d };
	hv.proc[proc].notifies = n;
	rep->a = n->id;
	return 0;
}

static void fire(unsigned proc, struct hv_notify *n)
{
	if (shm_dom(n->slot)->gen == n->gen && hv.dom[n->slot].mem_fd >= 0)
		notify(n->slot, n->frame, n->offset);
	if (n->port != LX_NO_NOTIFY)
		hv_notify_peer(hv.proc[proc].dom_slot, n->port);
	free(n);
}

int hv_fire_notify(unsigned proc, uint64_t id)
{
	for (struct hv_notify **p = &hv.proc[proc].notifies, *n; (n = *p); p = &n->next) {
		if (n->id != id)
			continue;
		*p = n->next;
		fire(proc, n);
		return 0;
	}
	return -ENOENT;
}

void hv_fire_all(unsigned proc)
{
	struct hv_notify *n;

	while ((n = hv.proc[proc].notifies)) {
		hv.proc[proc].notifies = n->next;
		fire(proc, n);
	}
}

/* ---- sharing ---- */

static void grant(unsigned slot, uint32_t gref, uint32_t domid, uint32_t frame,
		  bool writable)
{
	struct lx_grant *g = &shm_dom(slot)->grant[gref];

	atomic_store_explicit(&g->frame, frame, memory_order_relaxed);
	atomic_store_explicit(&g->hdr, LX_GRANT_HDR(GTF_permit_access |
			(writable ? 0 : GTF_readonly), domid), memory_order_release);
}

static int check_limits(unsigned slot, const struct lx_req *req)
{
	struct lx_dom *sd = shm_dom(slot);

	if (!req->a || req->a > LX_SHARE_MAX_PAGES)
		return -EINVAL;
	hv_reap_kept(slot);
	if (sd->gntalloc_used_pages + req->a > sd->gntalloc_limit_pages)
		return -ENOSPC;
	if (req->a > hv.dom[slot].nr_free_grefs)
		return -ENOSPC;
	return 0;
}

int hv_share(unsigned proc, const struct lx_req *req, struct lx_rep_share *rep)
{
	unsigned slot = hv.proc[proc].dom_slot, count = req->a;
	struct hv_dom *d = &hv.dom[slot];
	struct hv_region *r;
	int rc = check_limits(slot, req);

	if (rc)
		return rc;
	r = malloc(sizeof(*r) + 2 * count * sizeof(uint32_t));
	if (!r)
		return -ENOMEM;
	r->grefs = (uint32_t *)(r + 1);
	r->frames = r->grefs + count;
	rc = take_frames(slot, count, r->frames);
	if (rc) {
		free(r);
		return rc;
	}
	for (unsigned i = 0; i < count; i++) {
		r->grefs[i] = d->free_grefs[--d->nr_free_grefs];
		grant(slot, r->grefs[i], req->domid, r->frames[i], req->b);
	}
	atomic_fetch_add(&shm_dom(slot)->gntalloc_used_pages, count);
	r->id = ++hv.next_id;
	r->count = count;
	r->notify_offset = req->c;
	r->notify_port = req->d;
	r->next = hv.proc[proc].regions;
	hv.proc[proc].regions = r;
	rep->rep.a = r->id;
	memcpy(rep->data, r->grefs, 2 * count * sizeof(uint32_t));
	return 0;
}

static void give_back(unsigned slot, uint32_t gref, uint32_t frame)
{
	struct hv_dom *d = &hv.dom[slot];

	d->free_grefs[d->nr_free_grefs++] = gref;
	free_frame(slot, frame);
	atomic_fetch_sub(&shm_dom(slot)->gntalloc_used_pages, 1);
}

/* In use: whoever drops the last hold tells us (lx_grant_drop()). */
static void keep_back(unsigned slot, uint32_t gref, uint32_t frame)
{
	struct hv_kept *k = malloc(sizeof(*k));

	hv_lock_entry(slot, gref);
	shm_dom(slot)->active[gref].kept = 1;
	hv_unlock_entry(slot, gref);
	if (!k)
		return;	/* the page is lost until the domain ends */
	*k = (struct hv_kept){ .next = hv.dom[slot].kept, .gref = gref, .frame = frame };
	hv.dom[slot].kept = k;
	atomic_fetch_add(&shm_dom(slot)->gntalloc_kept_pages, 1);
}

bool hv_reap_kept(unsigned slot)
{
	struct hv_kept **p = &hv.dom[slot].kept, *k;

	while ((k = *p)) {
		if (!lx_entry_end_access(&shm_dom(slot)->grant[k->gref])) {
			p = &k->next;
			continue;
		}
		shm_dom(slot)->active[k->gref].kept = 0;
		clear_frames(slot, &k->frame, 1);
		give_back(slot, k->gref, k->frame);
		atomic_fetch_sub(&shm_dom(slot)->gntalloc_kept_pages, 1);
		*p = k->next;
		free(k);
	}
	return hv.dom[slot].kept;
}

static void unshare_region(unsigned proc, struct hv_region *r)
{
	unsigned slot = hv.proc[proc].dom_slot, done = 0;

	notify(slot, r->frames[0], r->notify_offset);
	if (r->notify_port != LX_NO_NOTIFY)
		hv_notify_peer(slot, r->notify_port);
	for (unsigned i = 0; i < r->count; i++) {
		if (!lx_entry_end_access(&shm_dom(slot)->grant[r->grefs[i]])) {
			keep_back(slot, r->grefs[i], r->frames[i]);
			continue;
		}
		give_back(slot, r->grefs[i], r->frames[i]);
		r->frames[done++] = r->frames[i];
	}
	clear_frames(slot, r->frames, done);
	free(r);
	hv_reap_kept(slot);
}

int hv_unshare(unsigned proc, uint64_t id)
{
	for (struct hv_region **p = &hv.proc[proc].regions, *r; (r = *p); p = &r->next) {
		if (r->id != id)
			continue;
		*p = r->next;
		unshare_region(proc, r);
		return 0;
	}
	return -ENOENT;
}

void hv_unshare_all(unsigned proc)
{
	struct hv_region *r;

	while ((r = hv.proc[proc].regions)) {
		hv.proc[proc].regions = r->next;
		unshare_region(proc, r);
	}
}
