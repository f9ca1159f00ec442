/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The third step: pages go back, the response goes out.
 *
 * Hides: the order in which journal, ring slot and producer are written, so
 * that a kill between any two of them loses and repeats nothing (journal.h).
 * Must not know: why a request was executed when it was.
 */
#include <errno.h>
#include "blkback-internal.h"

static void free_request(struct blkback *b, struct blk_request *req)
{
	if (req->pool_at != SEGMENT_POOL_NONE) {
		segment_pool_put(b->pool, req->pool_at, req->plan.nr_segments);
		b->no_room = false;
	}
	req->record = NULL;
	req->next = b->free;
	b->free = req;
}

/* ---- what is counted -------------------------------------------------------------- */

static struct histogram *count(struct blk_figures *c, const struct blk_answered *a)
{
	switch (a->action) {
	case BLK_READ:
		c->reads += a->nr;
		c->read_sectors += a->nr_sectors;
		return &c->latency[BLK_LATENCY_READ];
	case BLK_BARRIER:
		c->barriers += a->nr;
		c->written_sectors += a->nr_sectors;
		break;
	case BLK_WRITE:
		c->writes += a->nr;
		c->written_sectors += a->nr_sectors;
		break;
	case BLK_FLUSH:
		c->flushes += a->nr;
		return &c->latency[BLK_LATENCY_OTHER];
	case BLK_DISCARD:
		c->discards += a->nr;
		return &c->latency[BLK_LATENCY_OTHER];
	}
	return &c->latency[BLK_LATENCY_WRITE];
}

/* The front end sees the responses from now on. */
static void count_push(struct blkback *b, uint32_t nr, bool notify)
{
	uint64_t now = spin_now_cycles();
	struct blk_figures *c = b->count;

	c->pushes++;
	c->responses += nr;
	for (const struct blk_answered *a = b->answered; a < b->answered + b->nr_answered; a++) {
		struct histogram *latency = count(c, a);

		if (b->ns_per_2_20_cycles)
			histogram_add(latency, blk_ns(b, now - a->taken_cycles), a->nr);
		b->last[a->action] = &b->none;
	}
	b->nr_answered = 0;
	if (__builtin_expect(b->nr_traced, 0))
		blk_trace_push(b, notify);
}

/* Not inline: once for many. There is room: at most BLK_PUSH_EVERY wait. */
static __attribute__((noinline)) struct blk_answered *
another_time(struct blkback *b, const struct blk_request *req)
{
	struct blk_answered *a = &b->answered[b->nr_answered++];

	*a = (struct blk_answered){ .taken_cycles = req->taken_cycles, .action = req->plan.action };
	b->last[a->action] = a;
	return a;
}

static void count_success(struct blkback *b, const struct blk_request *req)
{
	struct blk_answered *a = b->last[req->plan.action];

	if (a->taken_cycles != req->taken_cycles)
		a = another_time(b, req);
	a->nr++;
	a->nr_sectors += req->plan.nr_sectors;
}

/* ---- publishing -------------------------------------------------------------------- */

/* syscalls disk: ioctl(IOCTL_EVTCHN_NOTIFY) */
void blk_push(struct blkback *b)
{
	uint32_t nr = b->nr_unpushed;
	bool notify;

	if (!nr)
		return;
	b->nr_unpushed = 0;
	journal_push_begin(b->cfg.journal, b->ring.rsp_prod_pvt);
	notify = ring_back_push(&b->ring);
	count_push(b, nr, notify);
	if (notify) {
		b->count->notifications_sent++;
		if (xenevtchn_notify(b->xce, b->port))
			log_peer_at(b->cfg.log, LOG_LEVEL_WARNING,
				    "the front end's event channel is gone");
	}
	journal_push_end(b->cfg.journal);
}

void blk_answer(struct blkback *b, struct blk_request *req, int16_t status)
{
	uint8_t rsp[BLKABI_RESPONSE_BYTES_MAX];
	size_t bytes = blkabi_response(b->cfg.abi, req->id, req->plan.operation, status, rsp);

	journal_answer(b->cfg.journal, req->record, b->ring.rsp_prod_pvt, status,
		       req->plan.operation);
	ring_back_put(&b->ring, rsp, bytes);
	free_request(b, req);
	if (++b->nr_unpushed >= BLK_PUSH_EVERY)
		blk_push(b);
}

/*
 * "Not supported" turns the feature off in a front end. That is right for a
 * discard or a flush that the image cannot do, and never for data.
 */
static int16_t status_of(const struct blk_plan *plan, int err)
{
	if (!err)
		return BLKIF_RSP_OKAY;
	if (err == -EOPNOTSUPP && (plan->action == BLK_DISCARD || plan->action == BLK_FLUSH))
		return BLKIF_RSP_EOPNOTSUPP;
	return BLKIF_RSP_ERROR;
}

static bool is_flush(const struct blk_plan *plan)
{
	return plan->action == BLK_FLUSH || plan->action == BLK_BARRIER;
}

/* A guest is told only that it failed. */
static void count_image_error(struct blkback *b, const struct blk_request *req, int err)
{
	static const char *const names[] = {
		[BLK_READ] = "a read", [BLK_WRITE] = "a write", [BLK_FLUSH] = "a flush",
		[BLK_DISCARD] = "a discard", [BLK_BARRIER] = "a barrier",
	};
	enum image_error what = image_error_of(err);

	b->count->image_errors[what]++;
	log_peer_at(b->cfg.log, LOG_LEVEL_ERROR, "%s at sector %llu failed: %s (%s)%s",
		    names[req->plan.action], (unsigned long long)req->plan.sector,
		    image_error_text(what), strerror(-err), is_flush(&req->plan) ?
		    "; writes since the last flush may be lost, and every flush will fail until "
		    "the front end connects anew" : "");
}

static void count_error(struct blkback *b, const struct blk_request *req, int err)
{
	b->count->errors++;
	if (req->image_failed && err != -EOPNOTSUPP) {
		count_image_error(b, req, err);
		return;
	}
	log_peer_at(b->cfg.log, LOG_LEVEL_WARNING,
		    "operation %u at sector %llu failed: %s", req->plan.operation,
		    (unsigned long long)req->plan.sector, strerror(-err));
}

void blk_finish(struct blkback *b, struct blk_request *req, int err)
{
	bool barrier = req->plan.action == BLK_BARRIER;
	int16_t status = status_of(&req->plan, err);

	if (__builtin_expect(req->traced, 0))
		blk_trace_answer(b, req, status);
	blk_data_detach(b, req);
	b->executing--;
	if (err)
		count_error(b, req, err);
	else
		count_success(b, req);
	blk_answer(b, req, status);
	if (barrier)
		blk_barrier_finished(b);
}
