/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scripted block back end in the test's own process.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-front.h"

#define PAGE 4096

struct fake_back fake_back;

void fake_raise(uint32_t q)
{
	fake_back.events_sent++;
	fake_raise_port(fake_back.front.queue[q].port);
}

/* ---- the back end: requests ---------------------------------------------------------------- */

static bool move_segment(struct fake_back *b, const struct blkif_request_segment *seg,
			 uint64_t *sector, bool write)
{
	size_t n = (seg->last_sect - seg->first_sect + 1u) * 512u;
	bool writable;
	uint8_t *page = fake_gnt_find(seg->gref, &writable);

	if (!page || seg->last_sect > 7 || seg->first_sect > seg->last_sect ||
	    (!write && !writable) || *sector * 512 + n > b->disk_bytes)
		return false;
	if (write)
		memcpy(b->disk + *sector * 512, page + seg->first_sect * 512u, n);
	else
		memcpy(page + seg->first_sect * 512u, b->disk + *sector * 512, n);
	*sector += n / 512;
	return true;
}

static bool move_data(struct fake_back *b, const struct blkif_request *req, uint8_t *op)
{
	const struct blkif_request_indirect *ind = (const void *)req;
	static struct blkif_request_segment segs[4096];
	const struct blkif_request_segment *seg = req->seg;
	uint64_t sector = req->sector_number;
	uint32_t i, nr = req->nr_segments;

	if (req->operation == BLKIF_OP_INDIRECT) {
		*op = ind->indirect_op;
		sector = ind->sector_number;
		nr = ind->nr_segments;
		if (nr <= 11 || nr > b->features.max_indirect_segments)
			return false;
		for (i = 0; i * 512 < nr; i++) {
			seg = fake_gnt_find(ind->indirect_grefs[i], NULL);
			if (!seg)
				return false;
			memcpy(segs + i * 512, seg, 4096);
		}
		seg = segs;
	} else if (!nr || nr > 11) {
		return false;
	}
	for (i = 0; i < nr; i++)
		if (!move_segment(b, seg + i, &sector, *op == BLKIF_OP_WRITE))
			return false;
	return true;
}

static void answer(struct fake_back *b, struct ring_back *ring, const struct blkif_request *req)
{
	const struct blkif_request_discard *discard = (const void *)req;
	struct blkif_response rsp;
	bool ok = true;

	memset(&rsp, 0, sizeof(rsp));
	rsp.id = req->id;
	rsp.operation = req->operation;
	if (req->operation == BLKIF_OP_INDIRECT)	/* same place in both layouts */
		rsp.operation = ((const struct blkif_request_indirect *)req)->indirect_op;
	rsp.status = b->status[req->operation & 7];
	if (!rsp.status) {
		if (req->operation == BLKIF_OP_DISCARD)
			memset(b->disk + discard->sector_number * 512, 0,
			       discard->nr_sectors * 512);
		else if (req->operation == BLKIF_OP_INDIRECT || req->nr_segments)
			ok = move_data(b, req, &rsp.operation);
		if (!ok) {
			rsp.status = BLKIF_RSP_ERROR;
			b->bad_requests++;
		}
	}
	if (!b->twist || b->twist(b, &rsp))
		ring_back_put(ring, &rsp, sizeof(rsp));
}

static int serve(struct fake_back *b, uint32_t q)
{
	struct blkif_request batch[512];
	int i, n = ring_back_pending(b->ring + q);

	if (n < 0)
		abort();
	if (b->per_push && n > (int)b->per_push)
		n = (int)b->per_push;
	for (i = 0; i < n; i++) {
		memset(batch + i, 0xaa, sizeof(batch[i]));
		ring_back_take(b->ring + q, batch + i, sizeof(batch[i]));
		if (b->nr_log < FAKE_LOG_MAX)
			b->log[b->nr_log++] = batch[i];
	}
	for (i = 0; i < n; i++)
		answer(b, b->ring + q, batch + (b->reverse ? n - 1 - i : i));
	if (ring_back_push(b->ring + q))
		fake_raise(q);
	return n;
}

/* As a back end must: sleeps only after the final check. Pushes every per_push answers. */
static void serve_all(struct fake_back *b)
{
	uint32_t q;

	for (q = 0; q < b->front.nr_queues; q++)
		do
			serve(b, q);
		while (ring_back_final(b->ring + q) > 0);
}

void fake_front_serve(void)
{
	serve_all(&fake_back);
}

/* ---- the back end: states -------------------------------------------------------------------- */

static void set_state(XenbusState state)
{
	char text[2] = { (char)('0' + state), 0 };

	if (strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), text))
		fake_xs_put(FAKE_BACK_DIR "/state", text);
}

static void connect_rings(struct fake_back *b, struct xs_handle *xs)
{
	struct key_error err;
	uint32_t q;

	int r = vbd_read_frontend(xs, FAKE_FRONT_DIR, &b->features, &b->front, &err);

	if (r == -EIO)		/* a test's failing store: next time */
		return;
	if (r < 0) {
		fprintf(stderr, "front end's %s is wrong\n", err.key);
		abort();
	}
	for (q = 0; q < b->front.nr_queues; q++)
		ring_back_init(b->ring + q, fake_gnt_find(b->front.queue[q].gref[0], NULL),
			       (size_t)PAGE << b->front.queue[q].order,
			       sizeof(union blkif_sring_entry), 0);
	if (b->late)
		vbd_write_features(xs, XBT_NULL, FAKE_BACK_DIR, &b->features);
	b->connected = true;
	set_state(XenbusStateConnected);
}

static void step(struct fake_back *b)
{
	struct xs_handle *xs = fake_xs_open(0);
	XenbusState front = xenbus_read_state(xs, FAKE_FRONT_DIR);

	switch (front) {
	case XenbusStateInitialising:
		if (!b->connected && strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), "5"))
			set_state(XenbusStateInitWait);
		break;
	case XenbusStateInitialised:
	case XenbusStateConnected:
		if (b->refuse)
			set_state(XenbusStateClosing);
		else if (!b->connected && !strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), "2"))
			connect_rings(b, xs);
		break;
	case XenbusStateClosing:
		if (b->leave == FAKE_CLOSE_NEVER)
			break;
		b->connected = false;
		set_state(b->leave == FAKE_CLOSE_AT_ONCE ? XenbusStateClosed :
			  XenbusStateClosing);
		break;
	case XenbusStateClosed:
		if (b->leave != FAKE_CLOSE_NEVER)
			set_state(XenbusStateClosed);
		break;
	default:
		break;
	}
	xs_close(xs);
}

/* ---- sleeping -------------------------------------------------------------------------------- */

static void turn(void)
{
	struct fake_back *b = &fake_back;

	b->sleeps++;
	if (b->on_sleep)
		b->on_sleep(b);
	if (!b->mute)
		step(b);
	/* An idle back end looks at its ring only when it was told to. */
	if (b->connected && !b->stuck && fake_notified(0))
		serve_all(b);
}

void fake_front_reset(size_t disk_bytes)
{
	size_t i;

	free(fake_back.disk);
	memset(&fake_back, 0, sizeof(fake_back));
	fake_back.disk = malloc(disk_bytes);
	fake_back.disk_bytes = disk_bytes;
	for (i = 0; i < disk_bytes; i++)
		fake_back.disk[i] = (uint8_t)(i * 7 + i / 512 * 13 + i / 65536);
	fake_back.features = (struct vbd_features){
		.sectors = disk_bytes / 512, .sector_bytes = 512,
		.physical_sector_bytes = 4096, .flush = true, .discard = true,
		.discard_granularity_bytes = 4096, .persistent = true,
		.max_indirect_segments = 256, .max_ring_order = 4, .max_queues = 4,
	};
	fake_env_reset(FAKE_FRONT_DIR, FAKE_BACK_DIR);
}

struct front_env *fake_front_env(void)
{
	struct xs_handle *xs = fake_xs_open(0);

	if (fake_back.late) {
		fake_xs_put(FAKE_BACK_DIR "/max-ring-page-order", "4");
		fake_xs_put(FAKE_BACK_DIR "/multi-queue-max-queues", "2");
		fake_xs_put(FAKE_BACK_DIR "/feature-max-indirect-segments", "256");
	} else {
		vbd_write_features(xs, XBT_NULL, FAKE_BACK_DIR, &fake_back.features);
	}
	xs_close(xs);
	return fake_env(turn);
}

void fake_front_end(void)
{
	fake_env_end();
	free(fake_back.disk);
	fake_back.disk = NULL;
}
