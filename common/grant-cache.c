/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bounded cache of persistent grants.
 *
 * Hides: the hash table, the order of use, what is evicted when, and what is
 * given up when maptrack entries run out. Must not know: requests, rings, what
 * the pages hold.
 *
 * Each gref is a mapping of its own: the library unmaps only whole mappings,
 * so pages mapped together could only be evicted together. A map costs two
 * system calls, paid once per page; hits are what this is made for: one probe
 * of the hash table, no allocation, and at put no more than a comparison.
 *
 * The list runs from the page unused for longest to the one put last, by turns:
 * a turn ends when a page comes or goes and when time is told, and within one a
 * page moves once. Only then can its place matter to anybody. A held page keeps
 * its place until it is put; eviction that meets one moves it to the young end,
 * where it will go anyway.
 *
 * Shortage: additive growth, multiplicative decrease, as congestion control
 * has it. Other caches, of other processes, draw on the same entries and tell
 * nobody; what each leaves free after a map that failed is what a new device
 * finds for its ring. At its limit a cache exchanges pages and asks for none.
 */
#include <errno.h>
#include <stdlib.h>

#include "grant.h"

#define NONE UINT32_MAX

/* A shortage costs one page in so many, and at least some. */
#define SHED_PART 8u
#define SHED_MIN_PAGES 8u
/* Every so often the limit grows again by one part in so many of the cap. */
#define GROW_MS 1000u
#define GROW_PART 16u
/* Pages that one tick unmaps at most, and when the next comes if that was too few. */
#define TICK_PAGES 64u
#define TICK_AGAIN_MS 10u

struct cache_page {
	void *addr;
	uint32_t gref;
	uint32_t holds;
	uint32_t used_ms;	/* when put last; wraps */
	uint32_t turn;		/* ... the turn of it */
	uint32_t older, younger;
};

struct cache_slot {
	uint32_t gref;
	uint32_t page;		/* NONE: empty */
};

struct grant_cache {
	xengnttab_handle *xgt;
	struct grant_cache_config cfg;
	uint32_t limit_pages;	/* at most cfg.cap_pages; at least mapped_pages */
	uint32_t mapped_pages, held_pages;
	uint32_t now_ms, grown_ms;	/* of the last tick; of the last growth */
	uint32_t oldest, youngest;
	uint32_t turn;		/* wraps */
	uint32_t free;		/* list of unused pages through younger */
	uint32_t hash_shift, hash_mask;
	uint64_t hits, misses, evictions, shortages;
	int shortage_err;
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
	for (i = 0; i < c->cfg.cap_pages; i++)
		c->pages[i].younger = i + 1 < c->cfg.cap_pages ? i + 1 : NONE;
	c->free = 0;
	c->oldest = c->youngest = NONE;
}

int grant_cache_open(xengnttab_handle *xgt, const struct grant_cache_config *cfg,
		     struct grant_cache **out)
{
	struct grant_cache *c;
	uint32_t bits = 1;

	if (!cfg->cap_pages || cfg->cap_pages > 1u << 24)
		return -EINVAL;
	while (1u << bits < cfg->cap_pages * 2)
		bits++;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->xgt = xgt;
	c->cfg = *cfg;
	if (c->cfg.idle_ms < c->cfg.rest_ms)
		c->cfg.idle_ms = c->cfg.rest_ms;
	c->limit_pages = cfg->cap_pages;
	c->now_ms = c->grown_ms = (uint32_t)cfg->now_ms;
	c->hash_shift = 32 - bits;
	c->hash_mask = (1u << bits) - 1;
	c->slots = malloc(sizeof(*c->slots) << bits);
	c->pages = calloc(cfg->cap_pages, sizeof(*c->pages));
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
	c->turn++;
}

static int evict_oldest(struct grant_cache *c)
{
	uint32_t i;

	if (c->held_pages == c->mapped_pages)
		return -ENOSPC;
	while (c->pages[i = c->oldest].holds)
		list_make_youngest(c, i);
	if (c->now_ms - c->pages[i].used_ms < c->cfg.rest_ms)
		return -ENOSPC;
	evict(c, i);
	return 0;
}

/* ---- shortage and time ---------------------------------------------------- */

static void shed(struct grant_cache *c)
{
	uint32_t nr = c->mapped_pages / SHED_PART;

	if (nr < SHED_MIN_PAGES)
		nr = SHED_MIN_PAGES;
	while (nr-- && !evict_oldest(c))
		;
	c->limit_pages = c->mapped_pages;
	c->grown_ms = c->now_ms;
	c->shortages++;
}

static void grow(struct grant_cache *c)
{
	uint32_t more = c->cfg.cap_pages / GROW_PART + 1;

	if (c->limit_pages == c->cfg.cap_pages || c->now_ms - c->grown_ms < GROW_MS)
		return;
	c->grown_ms = c->now_ms;
	c->limit_pages = c->cfg.cap_pages - c->limit_pages > more ?
		c->limit_pages + more : c->cfg.cap_pages;
}

/* What is behind the first page that is young enough is younger. */
static uint32_t release_idle(struct grant_cache *c)
{
	uint32_t i, younger, nr = 0, age_ms;

	for (i = c->oldest; i != NONE; i = younger) {
		struct cache_page *p = &c->pages[i];

		younger = p->younger;
		if (p->holds)
			continue;
		age_ms = c->now_ms - p->used_ms;
		if (age_ms < c->cfg.idle_ms)
			return c->cfg.idle_ms - age_ms;
		if (nr++ == TICK_PAGES)
			return TICK_AGAIN_MS;
		evict(c, i);
	}
	return 0;
}

uint32_t grant_cache_tick(struct grant_cache *c, uint64_t now_ms)
{
	c->now_ms = (uint32_t)now_ms;
	c->turn++;
	grow(c);
	return release_idle(c);
}

/* ---- use ----------------------------------------------------------------- */

/* Makes room by giving up pages once; what is short then is not ours to give. */
static int map_page(struct grant_cache *c, uint32_t gref, void **addr)
{
	int rc = grant_map(c->xgt, c->cfg.domid, &gref, 1, c->cfg.prot, addr);

	if (!grant_is_short(rc))
		return rc;
	c->shortage_err = rc;
	shed(c);
	rc = grant_map(c->xgt, c->cfg.domid, &gref, 1, c->cfg.prot, addr);
	return grant_is_short(rc) ? -ENOSPC : rc;
}

/* Maps gref into a free page and enters it. */
static int map_missing(struct grant_cache *c, uint32_t gref, uint32_t *page)
{
	struct cache_page *p;
	uint32_t i, s;
	void *addr;
	int rc = 0;

	if (c->mapped_pages == c->limit_pages)
		rc = evict_oldest(c);
	if (!rc)
		rc = map_page(c, gref, &addr);
	if (rc)
		return rc;
	i = c->free;
	p = &c->pages[i];
	c->free = p->younger;
	p->addr = addr;
	p->gref = gref;
	p->holds = 0;
	p->used_ms = c->now_ms;
	p->turn = ++c->turn;
	list_add_youngest(c, i);
	/* After the eviction: that may have moved slots. */
	s = hash_find(c, gref);
	c->slots[s] = (struct cache_slot){ .gref = gref, .page = i };
	if (++c->mapped_pages > c->limit_pages)
		c->limit_pages = c->mapped_pages;
	c->misses++;
	*page = i;
	return 0;
}

static void *hold(struct grant_cache *c, uint32_t i)
{
	if (!c->pages[i].holds++)
		c->held_pages++;
	return c->pages[i].addr;
}

static void put_one(struct grant_cache *c, uint32_t i)
{
	struct cache_page *p = &c->pages[i];

	/* Our own mistake only: what was got is held. */
	if (i >= c->cfg.cap_pages || !p->holds)
		abort();
	if (--p->holds)
		return;
	c->held_pages--;
	if (p->turn == c->turn)
		return;
	p->turn = c->turn;
	p->used_ms = c->now_ms;
	list_make_youngest(c, i);
}

/* Holds those that are here; the others are NONE. Returns the number of these. */
static uint32_t hold_known(struct grant_cache *c, const uint32_t *grefs, uint32_t nr,
			   void **pages, uint32_t *holds)
{
	uint32_t n, i, missing = 0;

	for (n = 0; n < nr; n++) {
		i = holds[n] = c->slots[hash_find(c, grefs[n])].page;
		if (i == NONE)
			missing++;
		else
			pages[n] = hold(c, i);
	}
	c->hits += nr - missing;
	return missing;
}

static int map_all_missing(struct grant_cache *c, const uint32_t *grefs, uint32_t nr,
			   void **pages, uint32_t *holds)
{
	uint32_t n, i;
	int rc;

	for (n = 0; n < nr; n++) {
		if (holds[n] != NONE)
			continue;
		/* By now it may be there: the same gref twice. */
		i = c->slots[hash_find(c, grefs[n])].page;
		rc = i == NONE ? map_missing(c, grefs[n], &i) : 0;
		if (rc)
			return rc;
		holds[n] = i;
		pages[n] = hold(c, i);
	}
	return 0;
}

int grant_cache_get(struct grant_cache *c, const uint32_t *grefs, uint32_t nr,
		    void **pages, uint32_t *holds)
{
	uint32_t n, missing = hold_known(c, grefs, nr, pages, holds);
	int rc;

	if (!missing)
		return 0;
	/* What cannot fit shall push out nothing. */
	rc = missing > c->limit_pages - c->held_pages ? -ENOSPC :
		map_all_missing(c, grefs, nr, pages, holds);
	for (n = 0; rc && n < nr; n++)
		if (holds[n] != NONE)
			put_one(c, holds[n]);
	return rc;
}

void grant_cache_put(struct grant_cache *c, const uint32_t *holds, uint32_t nr)
{
	for (uint32_t n = 0; n < nr; n++)
		put_one(c, holds[n]);
}

void grant_cache_stats(const struct grant_cache *c, struct grant_cache_stats *out)
{
	*out = (struct grant_cache_stats){
		.hits = c->hits,
		.misses = c->misses,
		.evictions = c->evictions,
		.shortages = c->shortages,
		.shortage_err = c->shortage_err,
		.mapped_pages = c->mapped_pages,
		.limit_pages = c->limit_pages,
	};
}
