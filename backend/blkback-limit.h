/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the queues of a disk share of its limits.
 *
 * Hides: the lock, who is next, what a request costs before it has been read whole.
 * Must not know: when to sleep, XenStore.
 *
 * A queue that has to wait has been charged for its next request already: so queues
 * that wait take turns, whichever wakes first, and none of them can take what another
 * waits for. What waits is in the ring, not here.
 */
#ifndef PV_BLKBACK_LIMIT_H
#define PV_BLKBACK_LIMIT_H

#include "blkback-parse.h"
#include "limiter.h"

struct blkback_limit;

/* Begins without a limit. resumes: the first one finds empty buckets. -ENOMEM. */
int blkback_limit_open(bool resumes, struct blkback_limit **out);
void blkback_limit_close(struct blkback_limit *l);	/* accepts NULL */
/* Any thread. Each queue is to hear of it: blkback_limit_changed() (blkback.h). */
void blkback_limit_set(struct blkback_limit *l, const struct limit *limit);
bool blkback_limit_is_on(struct blkback_limit *l);

/* A queue's part. */
struct blk_turn {
	bool paid;			/* the request that comes next, with cost */
	struct limiter_cost cost;
	uint64_t until_us;		/* it has to wait */
};

/*
 * Pays for the next request, of which head is BLKABI_HEAD_BYTES long, unless it is paid
 * for. False: it is to wait until turn->until_us.
 */
bool blk_limit_may_go(struct blkback_limit *l, struct blk_turn *turn, const uint8_t *head);
/*
 * What a request of that plan costs indeed, instead of what was paid. overwrites: the disk
 * does a secure discard by writing all that it is about (disk_overwrites()).
 */
void blk_limit_correct(struct blkback_limit *l, const struct limiter_cost *paid,
		       const struct blk_plan *plan, bool overwrites);

#endif
