/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A limiter with a lock (blkback-limit.h), and what requests cost. The lock is not
 * taken where nothing is limited.
 */
#include "blkback-limit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "util.h"

#define PAGE_BYTES 4096u

struct blkback_limit {
	pthread_mutex_t lock;
	bool resumes;
	struct limiter limiter;
};

int blkback_limit_open(bool resumes, struct blkback_limit **out)
{
	struct blkback_limit *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	l->resumes = resumes;
	*out = l;
	return 0;
}

void blkback_limit_close(struct blkback_limit *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static uint64_t now_us(void)
{
	return now_ns() / 1000;
}

void blkback_limit_set(struct blkback_limit *l, const struct limit *limit)
{
	pthread_mutex_lock(&l->lock);
	limiter_set(&l->limiter, limit, now_us());
	if (l->resumes)
		limiter_empty(&l->limiter);
	l->resumes = false;
	pthread_mutex_unlock(&l->lock);
}

bool blkback_limit_is_on(struct blkback_limit *l)
{
	bool on;

	pthread_mutex_lock(&l->lock);
	on = l->limiter.on;
	pthread_mutex_unlock(&l->lock);
	return on;
}

/* ---- costs ---------------------------------------------------------------------- */

/* By what can be seen in the ring: its segments as whole pages. */
static struct limiter_cost guess(const uint8_t *head)
{
	uint8_t operation = blkabi_head_operation(head);
	bool data = operation == BLKIF_OP_READ || operation == BLKIF_OP_WRITE ||
		    operation == BLKIF_OP_WRITE_BARRIER;

	return (struct limiter_cost){
		.way = operation == BLKIF_OP_READ ? LIMIT_IN : LIMIT_OUT,
		.bytes = data ? (uint64_t)blkabi_head_segments(head) * PAGE_BYTES : 0,
	};
}

/* A discard moves no data, however much it is about, but where it overwrites. */
static struct limiter_cost cost_of(const struct blk_plan *plan, bool overwrites)
{
	bool data = plan->action == BLK_READ || plan->action == BLK_WRITE ||
		    plan->action == BLK_BARRIER ||
		    (plan->action == BLK_DISCARD && plan->secure && overwrites);

	return (struct limiter_cost){
		.way = plan->action == BLK_READ ? LIMIT_IN : LIMIT_OUT,
		.bytes = data ? plan->nr_sectors * VBD_SECTOR_BYTES : 0,
	};
}

/* ---- turns ---------------------------------------------------------------------- */

/* The clock is read with the lock, or the queues' times would come out of order. */
static uint64_t pay(struct blkback_limit *l, struct blk_turn *turn)
{
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = now_us();
	turn->until_us = now + limiter_wait_us(&l->limiter, turn->cost.way, now);
	limiter_charge(&l->limiter, &turn->cost);
	pthread_mutex_unlock(&l->lock);
	turn->paid = true;
	return now;
}

bool blk_limit_may_go(struct blkback_limit *l, struct blk_turn *turn, const uint8_t *head)
{
	uint64_t now;

	if (turn->paid) {
		now = now_us();
	} else {
		turn->cost = guess(head);
		now = pay(l, turn);
	}
	return turn->until_us <= now;
}

void blk_limit_correct(struct blkback_limit *l, const struct limiter_cost *paid,
		       const struct blk_plan *plan, bool overwrites)
{
	struct limiter_cost cost = cost_of(plan, overwrites);

	if (cost.way == paid->way && cost.bytes == paid->bytes)
		return;
	pthread_mutex_lock(&l->lock);
	limiter_refund(&l->limiter, paid);
	limiter_charge(&l->limiter, &cost);
	pthread_mutex_unlock(&l->lock);
}
