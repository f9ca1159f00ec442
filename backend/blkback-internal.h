/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the steps of one queue share: the request on its way, and the queue.
 * For blkback*.c only.
 *
 * A request that needs more room than the segment pool has stays in the ring,
 * and so does all that follows it. Once taken, it is in one place at a time: on
 * the free list; held (a barrier is before it); with the disk; in the batch of
 * copies; starved (a copy is to be tried again); answered, and free again.
 */
#ifndef PV_BLKBACK_INTERNAL_H
#define PV_BLKBACK_INTERNAL_H

#include "blkabi.h"
#include "blkback.h"
#include "blkback-limit.h"
#include "blkback-parse.h"
#include "grant.h"
#include "ring.h"
#include "segment-pool.h"
#include "spin.h"

/*
 * Responses are published in groups, so that the front end refills the ring
 * while we work on the rest of a pass.
 */
#define BLK_PUSH_EVERY 8u

/* How a request's pages came into our hands, and so how they go. */
enum blk_pages { BLK_PAGES_NONE, BLK_PAGES_CACHED, BLK_PAGES_MAPPED, BLK_PAGES_COPIED };

/*
 * The arrays of all requests with more segments than fit a slot: each has a run
 * of the pool's numbers, and that part of each array. Memory only once used.
 */
struct blk_large {
	struct blkif_request_segment segs[SEGMENT_POOL_SIZE];
	uint32_t grefs[SEGMENT_POOL_SIZE];
	uint32_t holds[SEGMENT_POOL_SIZE];
	void *pages[SEGMENT_POOL_SIZE];
	struct iovec iov[SEGMENT_POOL_SIZE];
};

struct blk_request {
	struct disk_io io;		/* first: the disk gives this back */
	struct blkback *b;
	struct blk_request *next;
	struct journal_record *record;
	uint64_t id;
	struct blk_plan plan;
	enum blk_pages how;
	bool image_failed;		/* its error is the image's, not the grants' */
	uint32_t copies_at;		/* where its copies are in their batch */
	uint32_t barrier_step, nr_iov;
	uint64_t taken_cycles;
	bool traced;
	uint32_t submitted_ns;		/* if traced: since it was taken; 0: it was not */
	uint32_t pool_at;		/* SEGMENT_POOL_NONE: the arrays below */
	bool paid;			/* for paid_cost, where the device has limits */
	struct limiter_cost paid_cost;
	/* nr_segments of each, in the arrays below or in the queue's blk_large */
	struct blkif_request_segment *segs;
	uint32_t *grefs, *holds;	/* CACHED: what the cache wants back */
	void **pages;
	struct iovec *iov;
	void *base;			/* MAPPED, COPIED: the first page */

	struct blkif_request_segment direct_segs[BLKABI_DIRECT_MAX];
	uint32_t direct_grefs[BLKABI_DIRECT_MAX];
	uint32_t direct_holds[BLKABI_DIRECT_MAX];
	void *direct_pages[BLKABI_DIRECT_MAX];
	struct iovec direct_iov[BLKABI_DIRECT_MAX];
};

struct blk_list {
	struct blk_request *first, **end;
};

/*
 * Requests that succeeded, until that is published: those of one action that were taken
 * at one time, as most are. Counted together, for a few instructions each.
 */
struct blk_answered {
	uint64_t taken_cycles;
	uint64_t nr_sectors;
	uint32_t nr;
	enum blk_action action;
};
#define BLK_NR_ACTIONS (BLK_DISCARD + 1u)

struct blkback {
	struct blkback_queue_config cfg;
	struct blk_limits limits;
	struct ring_back ring;
	size_t slot_bytes;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	struct figures *own_figures;	/* when nobody else has any */
	struct blk_figures *count;
	uint64_t taken_cycles;		/* when this pass took its requests */
	uint64_t ns_per_2_20_cycles;	/* 0: not known yet */
	/* Of nr_unpushed those that succeeded; the last of each action, or none. */
	struct blk_answered answered[BLK_PUSH_EVERY], *last[BLK_NR_ACTIONS], none;
	uint32_t nr_answered;
	struct figures_ring trace;
	bool tracing;			/* what this pass takes */
	uint32_t nr_traced;		/* records to be published with the next push */

	struct blk_request *requests;	/* one per slot */
	struct segment_pool *pool;
	struct blk_large *large;
	bool left_behind;		/* the last pass left requests for want of room */
	bool no_room;			/* ... and none has come back since */
	bool limited;			/* the device has limits now */
	bool held_back;			/* the last pass left requests for turn.until_us */
	bool newly_held;		/* ... and the one before did not know the first */
	struct blk_turn turn;
	struct blk_request *free;	/* used before; last used first */
	uint32_t nr_used;		/* of requests[], ever */

	struct grant_cache *cache;	/* NULL: the front end offers none */
	struct grant_batch copies_in, copies_out, fetch;
	/* A slot's worth of pages per slot, then the pool's; memory only once used. */
	uint8_t *bounce;
	struct blk_list copying_in, copying_out;	/* what the batches hold */
	struct blk_list starved;	/* their copies found no room on our side */
	bool bounce_used, bounce_held;	/* since the last sweep; has memory */
	uint64_t swept_ms, ticked_ms;	/* the bounce memory; the cache */
	uint64_t cache_wake_ms;		/* when it wants to be ticked */
	uint64_t retry_ms;		/* of the starved */
	uint64_t no_map_until_ms;	/* since there were no entries for a map; or 0 */
	uint64_t complained_ms;
	uint64_t shortages, misses;	/* of the cache, at its last tick */

	struct blk_list held;		/* taken, behind a barrier */
	uint32_t executing;		/* begun, not finished */
	uint64_t epoch;			/* of the next request taken */
	bool owns_gate, barrier_running;
	bool look_at_gate;		/* another queue may have closed it */
	bool stopped;			/* ... and has: what comes now is held */
	uint32_t stopping_for, stopped_for;	/* closings of the gate */
	uint32_t seen_for, seen_prod;	/* ... and what the ring held at the last one */

	uint32_t nr_unpushed;
	struct dirty_map *dirty;	/* of who copies the image; NULL: nobody does */
};

static inline void blk_list_clear(struct blk_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static inline void blk_list_add(struct blk_list *l, struct blk_request *req)
{
	req->next = NULL;
	*l->end = req;
	l->end = &req->next;
}

static inline struct blk_request *blk_list_take(struct blk_list *l)
{
	struct blk_request *req = l->first;

	if (req) {
		l->first = req->next;
		if (!l->first)
			l->end = &l->first;
	}
	return req;
}

static inline uint64_t blk_ns(const struct blkback *b, uint64_t cycles)
{
	return cycles * b->ns_per_2_20_cycles >> 20;
}

/* Of a request that is traced. */
static inline uint32_t blk_since_ns(const struct blkback *b, const struct blk_request *req)
{
	return (uint32_t)MIN(blk_ns(b, spin_now_cycles() - req->taken_cycles), UINT32_MAX);
}

/* ---- pages (blkback-data.c) --------------------------------------------------- */

int blk_data_open(struct blkback *b);
void blk_data_close(struct blkback *b);
/*
 * Copies the segments of an indirect request, once, into req->segs. grefs: the
 * pages that hold them, as many as are needed. -errno as of grant.h.
 */
int blk_data_fetch_segments(struct blkback *b, struct blk_request *req,
			    const uint32_t *grefs);
/*
 * Brings the request's pages into reach and builds its iov. The request is in
 * ready, or will be after blk_data_copy_in(), or was finished with an error.
 */
void blk_data_attach(struct blkback *b, struct blk_request *req, struct blk_list *ready);
/*
 * Runs the copies that wait and moves their requests into ready; finishes those
 * whose copy failed.
 */
void blk_data_copy_in(struct blkback *b, struct blk_list *ready);
/* A read that succeeded: true when its data must still be copied (copying_out). */
bool blk_data_copy_back(struct blkback *b, struct blk_request *req);
/* Puts the starved (there are some), when it is time, into the batches again. */
void blk_data_retry(struct blkback *b, struct blk_list *ready);
/* Runs the copies of copying_out and finishes those requests. */
void blk_data_copy_out(struct blkback *b);
/* After this the front end may have its pages back. */
void blk_data_detach(struct blkback *b, struct blk_request *req);

/* ---- execution (blkback-execute.c) ---------------------------------------------- */

/* A parsed request: into ready, or held. */
void blk_admit(struct blkback *b, struct blk_request *req, struct blk_list *ready);
void blk_execute(struct blkback *b, struct blk_list *ready);
/* Requests whose copies found no room, if there are some: tries again. */
void blk_run_starved(struct blkback *b);
/*
 * After a pass has taken what there was: executes what nothing holds back any
 * longer, and does this queue's part for a barrier of another.
 */
void blk_run_held(struct blkback *b);

/* The barrier that ran has been finished. */
void blk_barrier_finished(struct blkback *b);

/* ---- completion (blkback-complete.c) --------------------------------------------- */

/* A traced request: a record of it, to be published with its response. */
void blk_trace_answer(struct blkback *b, const struct blk_request *req, int16_t status);
void blk_trace_push(struct blkback *b, bool notified);
/* An executed request: gives its pages back, then answers. err: 0 or -errno. */
void blk_finish(struct blkback *b, struct blk_request *req, int err);
/* Answers a request that has no pages; it is free afterwards. */
void blk_answer(struct blkback *b, struct blk_request *req, int16_t status);
/* Publishes the responses written since the last time. */
void blk_push(struct blkback *b);

#endif
