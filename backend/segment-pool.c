/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of segment-pool.h, as buddies: runs are powers of two of a smallest
 * block, and a run that comes back joins its free neighbour. When all runs are
 * back, the pool is whole again, whatever the order: a large request that waits
 * gets its turn. Must not know what is counted.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "segment-pool.h"

#define BLOCK_SEGMENTS 16u		/* the least that does not fit a ring slot */
#define NR_BLOCKS (SEGMENT_POOL_SIZE / BLOCK_SEGMENTS)
#define ORDER_MAX 8u			/* SEGMENT_POOL_RUN_MAX in blocks */
#define TAKEN 0xff
#define END UINT16_MAX

_Static_assert(BLOCK_SEGMENTS << ORDER_MAX == SEGMENT_POOL_RUN_MAX, "the largest run");

struct block {
	uint16_t next, prev;		/* in the list of its order, while free */
	uint8_t order;			/* of the free run that begins here, or TAKEN */
};

struct segment_pool {
	uint16_t first[ORDER_MAX + 1];	/* last freed first: its memory is warm */
	struct block block[NR_BLOCKS];
};

static uint32_t order_of(uint32_t nr)
{
	uint32_t order = 0;

	assert(nr && nr <= SEGMENT_POOL_RUN_MAX);
	while (BLOCK_SEGMENTS << order < nr)
		order++;
	return order;
}

static void list_add(struct segment_pool *p, uint32_t i, uint32_t order)
{
	struct block *b = &p->block[i];

	b->order = (uint8_t)order;
	b->prev = END;
	b->next = p->first[order];
	if (b->next != END)
		p->block[b->next].prev = (uint16_t)i;
	p->first[order] = (uint16_t)i;
}

static void list_remove(struct segment_pool *p, uint32_t i)
{
	struct block *b = &p->block[i];

	if (b->next != END)
		p->block[b->next].prev = b->prev;
	if (b->prev != END)
		p->block[b->prev].next = b->next;
	else
		p->first[b->order] = b->next;
	b->order = TAKEN;
}

int segment_pool_open(struct segment_pool **out)
{
	struct segment_pool *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	for (uint32_t order = 0; order <= ORDER_MAX; order++)
		p->first[order] = END;
	for (uint32_t i = 0; i < NR_BLOCKS; i++)
		p->block[i].order = TAKEN;
	for (uint32_t i = NR_BLOCKS; i; ) {
		i -= 1u << ORDER_MAX;
		list_add(p, i, ORDER_MAX);
	}
	*out = p;
	return 0;
}

void segment_pool_close(struct segment_pool *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < NR_BLOCKS; i += 1u << ORDER_MAX)
		assert(p->block[i].order == ORDER_MAX);
	free(p);
}

/* The smallest order from this one up that has a free run. */
static uint32_t find(const struct segment_pool *p, uint32_t order)
{
	while (order <= ORDER_MAX && p->first[order] == END)
		order++;
	return order;
}

bool segment_pool_has(const struct segment_pool *p, uint32_t nr)
{
	return find(p, order_of(nr)) <= ORDER_MAX;
}

uint32_t segment_pool_take(struct segment_pool *p, uint32_t nr)
{
	uint32_t order = order_of(nr), from = find(p, order), i;

	if (from > ORDER_MAX)
		return SEGMENT_POOL_NONE;
	i = p->first[from];
	list_remove(p, i);
	while (from-- > order)
		list_add(p, i + (1u << from), from);
	return i * BLOCK_SEGMENTS;
}

void segment_pool_put(struct segment_pool *p, uint32_t first, uint32_t nr)
{
	uint32_t order = order_of(nr), i = first / BLOCK_SEGMENTS, buddy;

	assert(i < NR_BLOCKS && p->block[i].order == TAKEN);
	for (; order < ORDER_MAX; order++) {
		buddy = i ^ 1u << order;
		if (p->block[buddy].order != order)
			break;
		list_remove(p, buddy);
		i &= ~(1u << order);
	}
	list_add(p, i, order);
}
