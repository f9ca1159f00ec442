/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages shared with a back end once and used for ever.
 *
 * Hides: how many share calls it took, where the free pages are. Must not know:
 * requests, rings, kinds of devices. One thread per front_env.
 */
#ifndef PV_POOL_H
#define PV_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontdev.h"

#define POOL_CHUNKS_MAX 64u
#define POOL_NONE UINT32_MAX

struct pool_chunk {		/* one share call's run of pages */
	uint8_t *base;
	uint32_t first, nr;	/* page numbers */
};

struct pool_page {
	uint8_t *addr;
	uint32_t gref;
	uint32_t next, prev;	/* in the free list; next also in a request's chain */
	bool free;
	bool lent;		/* the user's: its caller has it */
	uint16_t refs;		/* the user's: requests that name it */
};

struct pool {
	struct frontdev *dev;
	struct pool_page *page;
	struct pool_chunk chunk[POOL_CHUNKS_MAX];
	uint32_t nr_chunks, nr_pages, nr_free;
	uint32_t head;		/* the last freed comes first: its lines are warm */
	uint32_t reserve;	/* pages that buffers must leave to requests */
};

/*
 * Shares up to want pages; as many as the system gives if fewer, in as few
 * runs as it allows. writable: by the back end. -ENOSPC: none.
 */
int pool_open(struct pool *p, struct frontdev *dev, uint32_t want, bool writable);
void pool_close(struct pool *p);
/* One page, or POOL_NONE. */
uint32_t pool_take(struct pool *p);
void pool_put(struct pool *p, uint32_t i);
/* A contiguous run that leaves reserve pages; NULL if there is none. */
void *pool_get_run(struct pool *p, uint32_t nr);
void pool_put_run(struct pool *p, void *addr, uint32_t nr);
/* The page that holds addr when bytes from there lie within one run; POOL_NONE if not. */
uint32_t pool_find(const struct pool *p, const void *addr, size_t bytes);

#endif
