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

/* syscalls disk: ioctl(IOCTL_EVTCHN_NOTIFY) */
void blk_push(struct blkback *b)
{
	if (!b->nr_unpushed)
		return;
	b->nr_unpushed = 0;
	journal_push_begin(b->cfg.journal, b->ring.rsp_prod_pvt);
	if (ring_back_push(&b->ring)) {
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
	b->count->responses++;
	if (++b->nr_unpushed >= BLK_PUSH_EVERY)
		blk_push(b);
}

static void count(struct journal_counters *c, const struct blk_plan *plan)
{
	switch (plan->action) {
	case BLK_READ:
		c->reads++;
		c->read_sectors += plan->nr_sectors;
		break;
	case BLK_BARRIER:
		c->barriers++;
		c->written_sectors += plan->nr_sectors;
		break;
	case BLK_WRITE:
		c->writes++;
		c->written_sectors += plan->nr_sectors;
		break;
	case BLK_FLUSH:
		c->flushes++;
		break;
	case BLK_DISCARD:
		c->discards++;
		break;
	}
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

static void count_error(struct blkback *b, const struct blk_request *req, int err)
{
	b->count->errors++;
	log_peer_at(b->cfg.log, LOG_LEVEL_WARNING,
		    "operation %u at sector %llu failed: %s", req->plan.operation,
		    (unsigned long long)req->plan.sector, strerror(-err));
}

void blk_finish(struct blkback *b, struct blk_request *req, int err)
{
	bool barrier = req->plan.action == BLK_BARRIER;

	blk_data_detach(b, req);
	b->executing--;
	if (err)
		count_error(b, req, err);
	else
		count(b->count, &req->plan);
	blk_answer(b, req, status_of(&req->plan, err));
	if (barrier)
		blk_barrier_finished(b);
}
