/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bounded cache of persistent grants.
 *
 * Hides: the hash table, the order of use, and what is evicted when. Must not
 * know: requests, rings, what the pages hold.
 *
 * Each gref is a mapping of its own: the library unmaps only whole mappings,
 * so pages mapped together could only be evicted together. A map costs two
 * system calls, paid once per page; hits are what this is made for: one probe
 * of the hash table, no allocation, and one move in the list at put.
 *
 * The list runs from the page unused for longest to the one put last. A held
 * page keeps its place until it is put; eviction that meets one moves it to
 * the young end, where it will go anyway.
 */
#include <errno.h>
#include <stdlib.h>

#include "grant.h"

#define NONE UINT32_MAX

struct cache_page {
	void *addr;
	uint32_t gref;
	uint32_t holds;
	uint32_t used_in;	/* number of the sweep period of the last use */
	uint32_t older, younger;
};

struct cache_slot {
	uint32_t gref;
	uint32_t page;		/* NONE: empty */
};

struct grant_cache {
	xengnttab_handle *xgt;
	uint32_t domid;
	int prot;
	uint32_t cap_pages, mapped_pages, held_pages;
	uint32_t period;	/* sweeps so far */
	uint32_t oldest, youngest;
	uint32_t free;		/* list of unused pages through younger */
	uint32_t hash_shift, hash_mask;
	uint64_t hits, misses, evictions;
	struct cache_slot *slots;
	struct cache_page *pages;
};

/* ---- the order of use ---------------------------------------------------- */

static void list_remove(struct grant_cache *c, struct cache_page *p)
{
	if (p->older == NONE)
		c->oldest = p->younger;
	else
		c->pages[p->older].younger = p->younger;
	if (p->younger == NONE)
		c->youngest = p->older;
	else
		c->pages[p->younger].older = p->older;
}

static void list_add_youngest(struct grant_cache *c, uint32_t i)
{
	struct cache_page *p = &c->pages[i];

	p->older = c->youngest;
	p->younger = NONE;
	if (c->youngest == NONE)
		c->oldest = i;
	else
		c->pages[c->youngest].younger = i;
	c->youngest = i;
}

static void list_make_youngest(struct grant_cache *c, uint32_t i)
{
	if (c->youngest == i)
		return;
	list_remove(c, &c->pages[i]);
	list_add_youngest(c, i);
}

/* ---- the hash table: open addressing, at most half full ------------------ */

static uint32_t hash_home(const struct grant_cache *c, uint32_t gref)
{
	return (gref * 0x9e3779b1u) >> c->hash_shift;
}

/* The slot that holds gref, or the empty one where it would go. */
static uint32_t hash_find(const struct grant_cache *c, uint32_t gref)
{
	uint32_t s = hash_home(c, gref);

	while (c->slots[s].page != NONE && c->slots[s].gref != gref)
		s = (s + 1) & c->hash_mask;
	return s;
}

/* Empties slot s and moves back what was pushed past it. */
static void hash_remove(struct grant_cache *c, uint32_t s)
{
	uint32_t next = s, home;

	for (;;) {
		next = (next + 1) & c->hash_mask;
		if (c->slots[next].page == NONE)
			break;
		home = hash_home(c, c->slots[next].gref);
		/* Still reachable from its home when s is empty? */
		if (((next - home) & c->hash_mask) < ((next - s) & c->hash_mask))
			continue;
		c->slots[s] = c->slots[next];
		s = next;
	}
	c->slots[s].page = NONE;
}

/* ---- open, close --------------------------------------------------------- */

static void clear_tables(struct grant_cache *c)
{
	uint32_t i;

	for (i = 0; i <= c->hash_mask; i++)
		c->slots[i].page = NONE;
	for (i = 0; i < c->cap_pages; i++)
		c->pages[i].younger = i + 1 < c->cap_pages ? i + 1 : NONE;
	c->free = 0;
	c->oldest = c->youngest = NONE;
}

int grant_cache_open(xengnttab_handle *xgt, uint32_t domid, uint32_t cap_pages,
		     int prot, struct grant_cache **out)
{
	struct grant_cache *c;
	uint32_t bits = 1;

	if (!cap_pages || cap_pages > 1u << 24)
		return -EINVAL;
	while (1u << bits < cap_pages * 2)
		bits++;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->xgt = xgt;
	c->domid = domid;
	c->prot = prot;
	c->cap_pages = cap_pages;
	c->hash_shift = 32 - bits;
	c->hash_mask = (1u << bits) - 1;
	c->slots = malloc(sizeof(*c->slots) << bits);
	c->pages = calloc(cap_pages, sizeof(*c->pages));
	if (!c->slots || !c->pages) {
		free(c->slots);
		free(c->pages);
		free(c);
		return -ENOMEM;
	}
	clear_tables(c);
	*out = c;
	return 0;
}

void grant_cache_close(struct grant_cache *c)
{
	uint32_t i;

	if (!c)
		return;
	for (i = c->oldest; i != NONE; i = c->pages[i].younger)
		grant_unmap(c->xgt, c->pages[i].addr, 1);
	free(c->slots);
	free(c->pages);
	free(c);
}

/* ---- eviction ------------------------------------------------------------ */

static void evict(struct grant_cache *c, uint32_t i)
{
	struct cache_page *p = &c->pages[i];

	hash_remove(c, hash_find(c, p->gref));
	list_remove(c, p);
	grant_unmap(c->xgt, p->addr, 1);
	p->addr = NULL;
	p->younger = c->free;
	c->free = i;
	c->mapped_pages--;
	c->evictions++;
}

static int evict_oldest(struct grant_cache *c)
{
	uint32_t i;

	if (c->held_pages == c->mapped_pages)
		return -ENOSPC;
	while (c->pages[i = c->oldest].holds)
		list_make_youngest(c, i);
	evict(c, i);
	return 0;
}

uint32_t grant_cache_sweep(struct grant_cache *c, uint32_t max_age, uint32_t max)
{
	uint32_t i, younger, nr = 0;

	for (i = c->oldest; i != NONE && nr < max; i = younger) {
		struct cache_page *p = &c->pages[i];

		younger = p->younger;
		if (p->holds)
			continue;
		if (c->period - p->used_in < max_age)
			break;		/* and so are all the younger ones */
		evict(c, i);
		nr++;
	}
	c->period++;
	return nr;
}

/* ---- use ----------------------------------------------------------------- */

/* Maps gref into a free page and enters it. */
static int map_missing(struct grant_cache *c, uint32_t gref, uint32_t *page)
{
	struct cache_page *p;
	uint32_t i, s;
	void *addr;
	int rc;

	if (c->mapped_pages == c->cap_pages) {
		rc = evict_oldest(c);
		if (rc)
			return rc;
	}
	rc = grant_map(c->xgt, c->domid, &gref, 1, c->prot, &addr);
	if (rc)
		return rc;
	i = c->free;
	p = &c->pages[i];
	c->free = p->younger;
	p->addr = addr;
	p->gref = gref;
	p->holds = 0;
	p->used_in = c->period;
	list_add_youngest(c, i);
	/* After the eviction: that may have moved slots. */
	s = hash_find(c, gref);
	c->slots[s] = (struct cache_slot){ .gref = gref, .page = i };
	c->mapped_pages++;
	c->misses++;
	*page = i;
	return 0;
}

int grant_cache_get(struct grant_cache *c, const uint32_t *grefs, uint32_t nr,
		    void **pages)
{
	uint32_t n, i;
	int rc;

	for (n = 0; n < nr; n++) {
		i = c->slots[hash_find(c, grefs[n])].page;
		if (i == NONE) {
			rc = map_missing(c, grefs[n], &i);
			if (rc) {
				grant_cache_put(c, grefs, n);
				return rc;
			}
		} else {
			c->hits++;
		}
		if (!c->pages[i].holds++)
			c->held_pages++;
		pages[n] = c->pages[i].addr;
	}
	return 0;
}

void grant_cache_put(struct grant_cache *c, const uint32_t *grefs, uint32_t nr)
{
	uint32_t n, i;

	for (n = 0; n < nr; n++) {
		i = c->slots[hash_find(c, grefs[n])].page;
		/* Our own mistake only: what was got is held, hence here. */
		if (i == NONE || !c->pages[i].holds)
			abort();
		c->pages[i].used_in = c->period;
		if (--c->pages[i].holds)
			continue;
		c->held_pages--;
		list_make_youngest(c, i);
	}
}

void grant_cache_stats(const struct grant_cache *c, struct grant_cache_stats *out)
{
	*out = (struct grant_cache_stats){
		.hits = c->hits,
		.misses = c->misses,
		.evictions = c->evictions,
		.mapped_pages = c->mapped_pages,
	};
}
