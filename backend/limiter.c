/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A microsecond is worth per_second millionths, a request or byte costs a million of
 * them: nothing is divided, and so nothing lost, until somebody has to wait.
 */
#include "limiter.h"

#define MILLION 1000000
/* What is owed beyond, some 4 TB, is forgotten: an erased disk may be larger than a credit. */
#define DEBT_MAX (INT64_MAX / 2 - MILLION)

static void fill(struct limiter_bucket *b, uint64_t now_us)
{
	uint64_t elapsed_us = now_us - b->at_us;
	uint64_t missing = (uint64_t)(b->full - b->credit);

	if (now_us < b->at_us)
		return;
	b->at_us = now_us;
	if (elapsed_us >= missing / b->per_second + 1)
		b->credit = b->full;
	else
		b->credit += (int64_t)(elapsed_us * b->per_second);
}

static void set_bucket(struct limiter_bucket *b, const struct limit_rate *rate,
		       uint64_t now_us)
{
	bool in_use = b->per_second;
	uint64_t full = rate->burst ? rate->burst * MILLION :
				      rate->per_second * (MILLION / 10);

	if (!rate->per_second) {
		*b = (struct limiter_bucket){ .per_second = 0 };
		return;
	}
	if (in_use)
		fill(b, now_us);
	b->per_second = rate->per_second;
	b->full = (int64_t)full;
	b->at_us = now_us;
	if (!in_use || b->credit > b->full)
		b->credit = b->full;
}

#define each_bucket(l, b) \
	for (struct limiter_bucket *b = &(l)->bucket[0][0]; \
	     b < &(l)->bucket[0][0] + LIMIT_NR_UNITS * LIMIT_NR_WAYS; b++)

void limiter_set(struct limiter *l, const struct limit *limit, uint64_t now_us)
{
	l->on = false;
	l->request_bytes = limit->request_bytes;
	for (uint32_t unit = 0; unit < LIMIT_NR_UNITS; unit++)
		for (uint32_t way = 0; way < LIMIT_NR_WAYS; way++) {
			set_bucket(&l->bucket[unit][way], &limit->rate[unit][way], now_us);
			l->on |= limit->rate[unit][way].per_second != 0;
		}
}

void limiter_empty(struct limiter *l)
{
	each_bucket(l, b)
		if (b->credit > 0)
			b->credit = 0;
}

static uint64_t bucket_wait_us(struct limiter_bucket *b, uint64_t now_us)
{
	if (!b->per_second)
		return 0;
	fill(b, now_us);
	return b->credit > 0 ? 0 : (uint64_t)-b->credit / b->per_second + 1;
}

uint64_t limiter_wait_us(struct limiter *l, enum limit_way way, uint64_t now_us)
{
	uint64_t longest = 0;

	for (uint32_t unit = 0; unit < LIMIT_NR_UNITS; unit++) {
		uint64_t total = bucket_wait_us(&l->bucket[unit][LIMIT_TOTAL], now_us);
		uint64_t own = bucket_wait_us(&l->bucket[unit][way], now_us);

		if (total > longest)
			longest = total;
		if (own > longest)
			longest = own;
	}
	return longest;
}

static void add_to(struct limiter_bucket *b, int64_t credit)
{
	if (!b->per_second)
		return;
	b->credit += credit;
	if (b->credit > b->full)
		b->credit = b->full;
	if (b->credit < -DEBT_MAX)
		b->credit = -DEBT_MAX;
}

static void add(struct limiter *l, enum limit_unit unit, enum limit_way way, int64_t credit)
{
	add_to(&l->bucket[unit][LIMIT_TOTAL], credit);
	add_to(&l->bucket[unit][way], credit);
}

static int64_t millionths(uint64_t n)
{
	return n < DEBT_MAX / MILLION ? (int64_t)n * MILLION : DEBT_MAX;
}

/* One, or as many as it is larger than request_bytes. */
static int64_t requests(const struct limiter *l, uint64_t bytes)
{
	if (!l->request_bytes || bytes <= l->request_bytes)
		return MILLION;
	return millionths(bytes / l->request_bytes) +
	       (int64_t)(bytes % l->request_bytes * MILLION / l->request_bytes);
}

void limiter_charge(struct limiter *l, const struct limiter_cost *cost)
{
	add(l, LIMIT_REQUESTS, cost->way, -requests(l, cost->bytes));
	add(l, LIMIT_BYTES, cost->way, -millionths(cost->bytes));
}

void limiter_refund(struct limiter *l, const struct limiter_cost *cost)
{
	add(l, LIMIT_REQUESTS, cost->way, requests(l, cost->bytes));
	add(l, LIMIT_BYTES, cost->way, millionths(cost->bytes));
}
