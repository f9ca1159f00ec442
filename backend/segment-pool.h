/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room for the segments of large requests, shared by all requests of a queue.
 *
 * Hides: which of the numbers 0 to SEGMENT_POOL_SIZE - 1 are taken, and how a
 * run of them is found. Must not know: requests, pages, what the numbers index.
 * One thread. Nothing is allocated between open and close.
 */
#ifndef PV_SEGMENT_POOL_H
#define PV_SEGMENT_POOL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A one-page ring full of requests of 256 segments, or two of the largest that
 * the protocol has: 32 MiB of data on their way.
 */
#define SEGMENT_POOL_SIZE 8192u
#define SEGMENT_POOL_RUN_MAX 4096u
#define SEGMENT_POOL_NONE UINT32_MAX

struct segment_pool;

/* -ENOMEM. */
int segment_pool_open(struct segment_pool **out);
/* All runs must be back (asserted). Accepts NULL. */
void segment_pool_close(struct segment_pool *p);
/* Whether a take of nr, 1 to SEGMENT_POOL_RUN_MAX, would succeed now. */
bool segment_pool_has(const struct segment_pool *p, uint32_t nr);
/* The first of nr numbers in a row; SEGMENT_POOL_NONE: no such run is free. */
uint32_t segment_pool_take(struct segment_pool *p, uint32_t nr);
/* Exactly what was taken. */
void segment_pool_put(struct segment_pool *p, uint32_t first, uint32_t nr);

#endif
