/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The second step: requests become operations of the disk, in the order that
 * barriers ask for.
 *
 * Hides: barriers, what is held behind them, the steps that one consists of.
 * Must not know: how requests came or are answered.
 *
 * A barrier waits until all that was taken before it, on every queue, has been
 * finished, and runs alone: flush, its data, flush. What is taken meanwhile is
 * held, in order. Nothing else is ordered: a front end that needs an order
 * waits for the answer.
 */
#include <assert.h>
#include <errno.h>
#include "blkback-gate.h"
#include "dirty-map.h"
#include "blkback-internal.h"

/* ---- one request ------------------------------------------------------------- */

static void request_done(struct disk_io *io, int err);

static void fill_io(struct blk_request *req, enum disk_op op)
{
	req->io.op = op;
	req->io.offset_bytes = req->plan.sector * VBD_SECTOR_BYTES;
	req->io.bytes = req->plan.nr_sectors * VBD_SECTOR_BYTES;
	req->io.secure = req->plan.secure;
	req->io.iov = req->iov;
	req->io.nr_iov = op == DISK_READ || op == DISK_WRITE ? req->nr_iov : 0;
	req->io.foreign = req->how == BLK_PAGES_CACHED || req->how == BLK_PAGES_MAPPED;
	req->io.done = request_done;
}

static void fill_action(struct blk_request *req)
{
	static const enum disk_op ops[] = {
		[BLK_READ] = DISK_READ, [BLK_WRITE] = DISK_WRITE,
		[BLK_FLUSH] = DISK_FLUSH, [BLK_DISCARD] = DISK_DISCARD,
		[BLK_BARRIER] = DISK_FLUSH,	/* the first of its steps */
	};

	fill_io(req, ops[req->plan.action]);
	req->image_failed = false;
	req->barrier_step = 0;
}

/* A barrier's later steps: its data, if any, and a flush. False: there is none. */
static bool next_barrier_step(struct blk_request *req)
{
	static const enum disk_op steps[] = { DISK_WRITE, DISK_FLUSH };

	if (!req->plan.nr_segments || req->barrier_step == ARRAY_LEN(steps))
		return false;
	fill_io(req, steps[req->barrier_step++]);
	disk_submit(req->b->cfg.disk, &req->io);
	return true;
}

/*
 * Now that it is in the image, and nobody has been told yet (dirty-map.h). One that failed
 * may have written a part. One that is never told of, since we are killed before, is done
 * again by a successor, and marked then.
 */
static void mark_written(struct blkback *b, const struct blk_request *req)
{
	if (req->plan.action != BLK_READ)
		dirty_map_mark(b->dirty, req->plan.sector * VBD_SECTOR_BYTES,
			       req->plan.nr_sectors * VBD_SECTOR_BYTES);
}

void blkback_set_dirty(struct blkback *b, struct dirty_map *map)
{
	b->dirty = map;
}

static void request_done(struct disk_io *io, int err)
{
	struct blk_request *req = (struct blk_request *)io;
	struct blkback *b = req->b;

	if (!err && req->plan.action == BLK_BARRIER && next_barrier_step(req))
		return;
	if (__builtin_expect(b->dirty != NULL, 0))
		mark_written(b, req);
	if (!err && blk_data_copy_back(b, req))
		return;
	req->image_failed = err != 0;
	blk_finish(b, req, err);
}

/* ---- a batch -------------------------------------------------------------------- */

static void note_submission(struct blkback *b, struct blk_list *ready)
{
	for (struct blk_request *req = ready->first; req; req = req->next)
		req->submitted_ns = blk_since_ns(b, req);
}

static void submit(struct blkback *b, struct blk_list *ready)
{
	struct disk_io *chain = NULL, **end = &chain;

	if (__builtin_expect(b->tracing, 0))
		note_submission(b, ready);
	for (struct blk_request *req = ready->first; req; req = req->next) {
		fill_action(req);
		*end = &req->io;
		end = &req->io.next;
	}
	*end = NULL;
	blk_list_clear(ready);
	disk_submit(b->cfg.disk, chain);
}

void blk_execute(struct blkback *b, struct blk_list *admitted)
{
	struct blk_request *req;
	struct blk_list ready;

	if (!admitted->first)
		return;
	blk_list_clear(&ready);
	while ((req = blk_list_take(admitted))) {
		b->executing++;
		if (req->plan.nr_segments)
			blk_data_attach(b, req, &ready);
		else
			blk_list_add(&ready, req);
	}
	blk_data_copy_in(b, &ready);
	submit(b, &ready);
}

void blk_run_starved(struct blkback *b)
{
	struct blk_list ready;

	blk_list_clear(&ready);
	blk_data_retry(b, &ready);
	if (ready.first)
		submit(b, &ready);
}

/* ---- order ------------------------------------------------------------------------ */

void blk_admit(struct blkback *b, struct blk_request *req, struct blk_list *ready)
{
	if (b->held.first || b->barrier_running || b->stopped ||
	    req->plan.action == BLK_BARRIER)
		blk_list_add(&b->held, req);
	else
		blk_list_add(ready, req);
}

static void kick(struct blkback *b, uint32_t queue)
{
	b->cfg.kick(b->cfg.kick_arg, queue);
}

static void kick_others(struct blkback *b)
{
	for (uint32_t i = 0; i < blk_gate_nr_queues(b->cfg.gate); i++)
		if (i != b->cfg.queue)
			kick(b, i);
}

/* The barrier at the head of the line: all others stop, then it runs alone. */
static void try_barrier(struct blkback *b)
{
	struct blk_request *req = b->held.first;
	struct blk_list alone;

	if (!b->owns_gate) {
		b->owns_gate = blk_gate_acquire(b->cfg.gate, b->cfg.queue,
						req->record->epoch);
		if (b->owns_gate)
			kick_others(b);
	}
	if (!b->owns_gate || b->executing || !blk_gate_all_stopped(b->cfg.gate))
		return;
	b->barrier_running = true;
	blk_list_clear(&alone);
	blk_list_add(&alone, blk_list_take(&b->held));
	blk_execute(b, &alone);
}

void blk_barrier_finished(struct blkback *b)
{
	b->barrier_running = b->owns_gate = false;
	blk_gate_release(b->cfg.gate, b->cfg.queue);
	kick_others(b);
}

/* Up to the next barrier. */
static void run_unordered(struct blkback *b)
{
	struct blk_list ready;

	blk_list_clear(&ready);
	while (b->held.first && b->held.first->plan.action != BLK_BARRIER)
		blk_list_add(&ready, blk_list_take(&b->held));
	blk_execute(b, &ready);
}

/*
 * What this queue could not take for want of room, or for its limits, was published as
 * early as the rest, and is waited for; what has come since the gate closed is not, or a
 * ring that is always full would never let another queue's barrier run.
 */
static bool waits_for_ring(struct blkback *b, uint32_t closing)
{
	if (!b->left_behind || b->held.first)
		return false;
	if (b->seen_for != closing) {
		int nr = ring_back_pending(&b->ring);

		b->seen_for = closing;
		b->seen_prod = b->ring.req_cons + (uint32_t)MAX(nr, 0);
	}
	return (int32_t)(b->seen_prod - b->ring.req_cons) > 0;
}

/*
 * Another queue's barrier. What this queue has taken until now, at the latest
 * in the pass that calls, goes before it; what comes later, after it; but see
 * above. A barrier of this queue that stands before all that goes first.
 */
static void meet_at_gate(struct blkback *b)
{
	uint64_t epoch;
	uint32_t closing = blk_gate_closed(b->cfg.gate, b->cfg.queue, &epoch);
	uint32_t owner;

	if (closing != b->stopping_for) {
		b->stopped = false;
		run_unordered(b);
		if (closing && waits_for_ring(b, closing))
			return;		/* and look again: look_at_gate is set */
		b->stopping_for = closing;
		b->stopped = closing != 0;
		if (closing && b->epoch <= epoch)
			b->epoch = epoch + 1;
	}
	b->look_at_gate = b->stopped;
	if (b->stopped && b->stopped_for != closing && !b->executing) {
		b->stopped_for = closing;
		if (blk_gate_stop(b->cfg.gate, &owner))
			kick(b, owner);
	}
}

void blk_run_held(struct blkback *b)
{
	if (b->look_at_gate)
		meet_at_gate(b);
	while (b->held.first && !b->barrier_running && !b->stopped) {
		struct blk_request *head = b->held.first;

		if (head->plan.action != BLK_BARRIER) {
			run_unordered(b);
			continue;
		}
		try_barrier(b);
		if (b->held.first == head)
			return;		/* it must wait */
	}
}

void blkback_kicked(struct blkback *b)
{
	b->look_at_gate = true;
}

void blkback_leave(struct blkback *b)
{
	uint32_t owner;

	assert(blkback_in_flight(b) == 0);
	if (blk_gate_leave(b->cfg.gate, b->cfg.queue, b->stopped_for, &owner))
		kick(b, owner);
}
