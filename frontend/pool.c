/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of pages shared with a back end (pool.h).
 *
 * Free pages form a list, last in first out, linked both ways so that a
 * contiguous run can be cut out of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

static void push_free(struct pool *p, uint32_t i)
{
	struct pool_page *page = p->page + i;

	page->free = true;
	page->prev = POOL_NONE;
	page->next = p->head;
	if (p->head != POOL_NONE)
		p->page[p->head].prev = i;
	p->head = i;
	p->nr_free++;
}

static void unlink_free(struct pool *p, uint32_t i)
{
	struct pool_page *page = p->page + i;

	if (page->prev != POOL_NONE)
		p->page[page->prev].next = page->next;
	else
		p->head = page->next;
	if (page->next != POOL_NONE)
		p->page[page->next].prev = page->prev;
	page->free = false;
	page->next = POOL_NONE;
	p->nr_free--;
}

static int add_chunk(struct pool *p, uint32_t nr, bool writable, uint32_t *grefs)
{
	struct pool_chunk *c = p->chunk + p->nr_chunks;
	void *base;
	uint32_t i;
	int r = frontdev_share(p->dev, nr, writable, grefs, &base);

	if (r < 0)
		return r;
	c->base = base;
	c->first = p->nr_pages;
	c->nr = nr;
	for (i = 0; i < nr; i++) {
		p->page[c->first + i].addr = c->base + (size_t)i * FRONTDEV_PAGE_BYTES;
		p->page[c->first + i].gref = grefs[i];
	}
	p->nr_chunks++;
	p->nr_pages += nr;
	return 0;
}

int pool_open(struct pool *p, struct frontdev *dev, uint32_t want, bool writable)
{
	uint32_t nr = want, i, *grefs;
	int r = 0;

	memset(p, 0, sizeof(*p));
	p->dev = dev;
	p->head = POOL_NONE;
	p->page = calloc(want, sizeof(*p->page));
	grefs = calloc(want, sizeof(*grefs));
	if (!p->page || !grefs) {
		free(grefs);
		return -ENOMEM;
	}
	while (nr && p->nr_pages < want && p->nr_chunks < POOL_CHUNKS_MAX) {
		r = add_chunk(p, nr, writable, grefs);
		if (r < 0)
			nr /= 2;
		else if (nr > want - p->nr_pages)
			nr = want - p->nr_pages;
	}
	free(grefs);
	if (!p->nr_pages)
		return r < 0 ? r : -ENOSPC;
	for (i = p->nr_pages; i-- > 0; )	/* so that page 0 comes first */
		push_free(p, i);
	p->reserve = p->nr_pages >= 64 ? 16 : (p->nr_pages + 3) / 4;
	return 0;
}

void pool_close(struct pool *p)
{
	uint32_t i;

	for (i = 0; i < p->nr_chunks; i++)
		frontdev_unshare(p->dev, p->chunk[i].base, p->chunk[i].nr);
	free(p->page);
	memset(p, 0, sizeof(*p));
	p->head = POOL_NONE;
}

uint32_t pool_take(struct pool *p)
{
	uint32_t i = p->head;

	if (i != POOL_NONE)
		unlink_free(p, i);
	return i;
}

void pool_put(struct pool *p, uint32_t i)
{
	push_free(p, i);
}

static uint32_t find_run(const struct pool *p, const struct pool_chunk *c, uint32_t nr)
{
	uint32_t i, run = 0;

	for (i = c->first; i < c->first + c->nr; i++) {
		run = p->page[i].free ? run + 1 : 0;
		if (run == nr)
			return i + 1 - nr;
	}
	return POOL_NONE;
}

void *pool_get_run(struct pool *p, uint32_t nr)
{
	uint32_t c, i, first = POOL_NONE;

	if (!nr || p->nr_free < p->reserve + nr)
		return NULL;
	for (c = 0; c < p->nr_chunks && first == POOL_NONE; c++)
		first = find_run(p, p->chunk + c, nr);
	if (first == POOL_NONE)
		return NULL;
	for (i = first; i < first + nr; i++)
		unlink_free(p, i);
	return p->page[first].addr;
}

void pool_put_run(struct pool *p, void *addr, uint32_t nr)
{
	uint32_t first = pool_find(p, addr, (size_t)nr * FRONTDEV_PAGE_BYTES);

	if (first == POOL_NONE)
		return;
	while (nr-- > 0)
		push_free(p, first + nr);
}

uint32_t pool_find(const struct pool *p, const void *addr, size_t bytes)
{
	const struct pool_chunk *c;
	uintptr_t at;

	for (c = p->chunk; c < p->chunk + p->nr_chunks; c++) {
		at = (uintptr_t)addr - (uintptr_t)c->base;
		if (at < (size_t)c->nr * FRONTDEV_PAGE_BYTES)
			return bytes <= (size_t)c->nr * FRONTDEV_PAGE_BYTES - at ?
			       c->first + (uint32_t)(at / FRONTDEV_PAGE_BYTES) : POOL_NONE;
	}
	return POOL_NONE;
}
