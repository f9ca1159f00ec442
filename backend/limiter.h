/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Token buckets for what limit.h says: of requests and bytes; in, out and both.
 *
 * Hides: credit, debt, rounding. Must not know: clocks, rings, whose limit it is.
 * Times are the caller's, in microseconds of a clock that does not go back; one that is
 * before another gives no credit. No allocation; any thread, one at a time.
 *
 * Something may go while every bucket that it concerns has credit, and then is charged
 * in full, into debt if it is more than was left: so what is larger than a bucket goes
 * too, and the sum over time is exact.
 */
#ifndef PV_LIMITER_H
#define PV_LIMITER_H

#include "limit.h"

struct limiter_bucket {
	uint64_t per_second;		/* 0: no limit */
	uint64_t at_us;			/* when credit was that */
	int64_t credit, full;		/* in millionths */
};

struct limiter {
	bool on;			/* there is some limit */
	uint64_t request_bytes;
	struct limiter_bucket bucket[LIMIT_NR_UNITS][LIMIT_NR_WAYS];
};

/* What one request, or packet, costs. way is LIMIT_IN or LIMIT_OUT. */
struct limiter_cost {
	enum limit_way way;
	uint64_t bytes;
};

/* l is zeroed, or in use: a bucket goes on with its credit. New ones begin full. */
void limiter_set(struct limiter *l, const struct limit *limit, uint64_t now_us);
/* No credit: for one that goes on where another stopped, who knows when. */
void limiter_empty(struct limiter *l);
/* 0: it may go; otherwise the microseconds after which it may, if nothing is charged. */
uint64_t limiter_wait_us(struct limiter *l, enum limit_way way, uint64_t now_us);
void limiter_charge(struct limiter *l, const struct limiter_cost *cost);
/* Takes a charge back. */
void limiter_refund(struct limiter *l, const struct limiter_cost *cost);

#endif
