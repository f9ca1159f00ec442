/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grant.c and grant-cache.c against local Xen: maps, batches of which a part
 * fails, and a cache that never gives up what is held. Runs in dom0 under
 * `localxen run`; the granting side is a guest's process.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "grant.h"
#include "lxguest.h"
#include "unit.h"
#include "util.h"

#define PAGES 300u		/* shared writable, page i tagged with i and i >> 8 */
#define BAD_GREF 60000u
#define IDLE_MS 1000u
#define RW (PROT_READ | PROT_WRITE)

static xengnttab_handle *xgt;
static uint32_t domid;
static struct lxguest guest;
static int region;
static uint32_t gref[PAGES];

/* ---- helpers -------------------------------------------------------------- */

static void share_all(void)
{
	uint32_t i;

	region = lxguest_do(&guest, LXG_SHARE, 0, PAGES, 1);
	if (region < 0)
		abort();
	memcpy(gref, guest.m.refs, sizeof(gref));
	for (i = 0; i < PAGES; i++) {
		lxguest_do(&guest, LXG_POKE, region, (int)(i * 4096), (int)(i & 0xff));
		lxguest_do(&guest, LXG_POKE, region, (int)(i * 4096 + 1), (int)(i >> 8));
	}
}

static bool is_page(const void *page, uint32_t i)
{
	const uint8_t *b = page;

	return b[0] == (i & 0xff) && b[1] == i >> 8;
}

static void rule(const char *options)
{
	char command[300];

	snprintf(command, sizeof(command), "fail %s >/dev/null", options);
	UNIT_EQ(lxguest_localxen(command), 0);
}

/* A grant of one read-only page, and the region to end it with. */
static int share_read_only(uint32_t *out)
{
	int r = lxguest_do(&guest, LXG_SHARE, 0, 1, 0);

	*out = guest.m.refs[0];
	return r;
}

/* How many grants dom0 has mapped, as local Xen counts them. */
static int nr_mapped(void)
{
	FILE *f = popen("${LOCALXEN:-localxen} status --json | tr '{' '\\n' | "
			"sed -n 's/.*\"domid\": 0,.*\"maptrack_used\": \\([0-9]*\\).*/\\1/p'",
			"re");
	int nr = -1;

	if (!f || fscanf(f, "%d", &nr) != 1)
		nr = -1;
	if (f)
		pclose(f);
	return nr;
}

/* ---- maps ----------------------------------------------------------------- */

static void test_map(void)
{
	int before = nr_mapped();
	uint32_t i;
	void *addr;

	UNIT_OK(before >= 0);
	UNIT_NEED(!grant_map(xgt, domid, gref, 16, RW, &addr));
	for (i = 0; i < 16; i++)
		UNIT_OK(is_page((uint8_t *)addr + i * 4096, i));
	UNIT_EQ(nr_mapped(), before + 16);
	((uint8_t *)addr)[5 * 4096 + 77] = 123;
	UNIT_EQ(lxguest_do(&guest, LXG_PEEK, region, 5 * 4096 + 77, 0), 123);
	grant_unmap(xgt, addr, 16);
	UNIT_EQ(nr_mapped(), before);
	grant_unmap(xgt, NULL, 16);
}

static void test_map_errors(void)
{
	uint32_t some[3] = { gref[0], BAD_GREF, gref[1] }, read_only;
	int before = nr_mapped(), ro_region = share_read_only(&read_only);
	void *addr = (void *)1;

	UNIT_EQ(grant_map(xgt, domid, gref, 0, RW, &addr), -EINVAL);
	UNIT_EQ(grant_map(xgt, domid, &some[1], 1, RW, &addr), -ENOENT);
	/* One bad gref among good ones: none stays mapped. */
	UNIT_EQ(grant_map(xgt, domid, some, 3, RW, &addr), -ENOENT);
	UNIT_EQ(grant_map(xgt, domid, some, 3, PROT_READ, &addr), -ENOENT);
	UNIT_EQ(nr_mapped(), before);
	UNIT_EQ(grant_map(xgt, domid, &read_only, 1, RW, &addr), -EACCES);
	UNIT_EQ(nr_mapped(), before);
	UNIT_OK(grant_map(xgt, 31999, gref, 1, RW, &addr) < 0);
	rule("--call=map --errno=ENOSPC");
	UNIT_EQ(grant_map(xgt, domid, gref, 1, RW, &addr), -ENOSPC);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_OK(addr == (void *)1);
	UNIT_EQ(grant_map(xgt, domid, &read_only, 1, PROT_READ, &addr), 0);
	grant_unmap(xgt, addr, 1);
	lxguest_do(&guest, LXG_UNSHARE, ro_region, 0, 0);
}

/* As gntdev: EINVAL whatever Xen's status was. What it was is told apart. */
static void test_map_shortage(void)
{
	uint32_t some[2] = { gref[0], BAD_GREF };
	int before = nr_mapped();
	void *addr;

	rule("--call=map --status=GNTST_no_device_space --count=0");
	UNIT_EQ(grant_map(xgt, domid, gref, PAGES, RW, &addr), -ENOSPC);
	UNIT_EQ(grant_map(xgt, domid, gref, 1, PROT_READ, &addr), -ENOSPC);
	UNIT_EQ(grant_map(xgt, domid, some, 2, RW, &addr), -ENOENT);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_EQ(nr_mapped(), before);
	/* Room that comes while we look: it is used. */
	rule("--call=map --status=GNTST_no_device_space --count=1");
	UNIT_NEED(!grant_map(xgt, domid, gref, 8, RW, &addr));
	UNIT_OK(is_page((uint8_t *)addr + 7 * 4096, 7));
	UNIT_EQ(nr_mapped(), before + 8);
	grant_unmap(xgt, addr, 8);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
}

/* The room that the second map finds has gone to another by the third, and is not there at the fourth. */
static void test_map_room_goes(void)
{
	int before = nr_mapped();
	void *addr;

	rule("map --status=GNTST_no_device_space --count=1");
	rule("map --status=GNTST_no_device_space --nth=3 --count=2");
	UNIT_EQ(grant_map(xgt, domid, gref, 1, RW, &addr), -ENOSPC);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_EQ(nr_mapped(), before);
}

/* Two maps fail, as of a guest that takes its grant back and gives it again, or they all do. */
static void test_map_ring(void)
{
	uint32_t some[2] = { gref[0], BAD_GREF }, read_only;
	int before = nr_mapped(), ro_region = share_read_only(&read_only);
	void *addr;

	rule("--call=map --status=GNTST_no_device_space --count=2");
	UNIT_NEED(!grant_map_ring(xgt, NULL, domid, gref, 1, &addr));
	UNIT_OK(is_page(addr, 0));
	UNIT_EQ(nr_mapped(), before + 1);
	grant_unmap(xgt, addr, 1);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	rule("--call=map --status=GNTST_no_device_space --count=0");
	UNIT_EQ(grant_map_ring(xgt, NULL, domid, gref, 2, &addr), -ENOSPC);
	UNIT_EQ(grant_map_ring(xgt, NULL, domid, some, 2, &addr), -ENOENT);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_EQ(grant_map_ring(xgt, NULL, domid, &read_only, 1, &addr), -EACCES);
	UNIT_EQ(nr_mapped(), before);
	lxguest_do(&guest, LXG_UNSHARE, ro_region, 0, 0);
}

/* WORKER-11: it can be copied and not be mapped, which is not what a shortage is. */
static void test_map_ring_sub_page(void)
{
	static const struct grant_own none;
	int before = nr_mapped();
	struct grant_own own;
	struct grant_batch b;
	uint8_t in[2];
	void *addr;

	UNIT_NEED(!grant_own_open(&own, 0, 1));
	UNIT_NEED(!grant_batch_open(&b, xgt, 1));
	UNIT_EQ(lxguest_do(&guest, LXG_SUB_PAGE, (int)gref[1], true, 0), 0);
	UNIT_EQ(grant_batch_from(&b, in, domid, gref[1], 0, 2), 0);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_OK(is_page(in, 1));
	UNIT_EQ(grant_map_ring(xgt, &own, domid, &gref[1], 1, &addr), -EACCES);
	UNIT_EQ(grant_map_ring(xgt, &own, domid, gref, 16, &addr), -EACCES);
	UNIT_EQ(grant_map_ring(xgt, &none, domid, gref, 2, &addr), -ENOSPC);
	UNIT_EQ(grant_map_ring(xgt, NULL, domid, gref, 2, &addr), -ENOSPC);
	/* No room at one look, the first, after two maps of its own. */
	rule("map --status=GNTST_no_device_space --nth=3 --count=1");
	UNIT_EQ(grant_map_ring(xgt, &own, domid, &gref[1], 1, &addr), -ENOSPC);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_EQ(lxguest_do(&guest, LXG_SUB_PAGE, (int)gref[1], false, 0), 0);
	rule("map --status=GNTST_no_device_space --count=0");
	UNIT_EQ(grant_map_ring(xgt, &own, domid, gref, 2, &addr), -ENOSPC);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_EQ(nr_mapped(), before);
	UNIT_EQ(grant_map_ring(xgt, &own, domid, gref, 2, &addr), 0);
	grant_unmap(xgt, addr, 2);
	grant_batch_close(&b);
	grant_own_close(&own);
}

/* ---- batches --------------------------------------------------------------- */

static void test_copy(void)
{
	uint8_t in[8] = { 0 }, out[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct grant_batch b;

	UNIT_NEED(!grant_batch_open(&b, xgt, 4));
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_EQ(grant_batch_from(&b, in, domid, gref[7], 0, 2), 0);
	UNIT_EQ(grant_batch_to(&b, domid, gref[8], 4088, out, 8), 0);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_OK(is_page(in, 7));
	UNIT_EQ(lxguest_do(&guest, LXG_PEEK, region, 8 * 4096 + 4088, 0), 1);
	UNIT_EQ(lxguest_do(&guest, LXG_PEEK, region, 8 * 4096 + 4095, 0), 8);
	UNIT_EQ(b.nr, 0);
	UNIT_EQ(grant_batch_across(&b, domid, gref[8], 4088, domid, gref[9], 100, 8), 0);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_EQ(lxguest_do(&guest, LXG_PEEK, region, 9 * 4096 + 107, 0), 8);
	grant_batch_close(&b);
	grant_batch_close(&b);
}

/* The same through pages of our own, granted to ourselves. */
static void test_copy_own(void)
{
	struct grant_own own;
	struct grant_batch b;
	uint8_t *at;

	UNIT_NEED(!grant_own_open(&own, 0, 4));
	UNIT_NEED(!grant_batch_open(&b, xgt, 4));
	b.own = &own;
	at = own.pages + 3 * 4096 + 2000;
	UNIT_EQ(grant_batch_from(&b, at, domid, gref[7], 0, 2), 0);
	UNIT_EQ(b.seg[0].flags, GNTCOPY_source_gref | GNTCOPY_dest_gref);
	/* Across two of our pages: not by a gref. */
	UNIT_EQ(grant_batch_from(&b, own.pages + 4095, domid, gref[7], 0, 2), 0);
	UNIT_EQ(b.seg[1].flags, GNTCOPY_source_gref);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_OK(is_page(at, 7));
	UNIT_OK(!memcmp(at, own.pages + 4095, 2));
	memcpy(own.pages, "own", 3);
	UNIT_EQ(grant_batch_to(&b, domid, gref[8], 4000, own.pages, 3), 0);
	UNIT_EQ(b.seg[0].flags, GNTCOPY_source_gref | GNTCOPY_dest_gref);
	UNIT_EQ(grant_batch_to(&b, domid, gref[8], 4008, "els", 3), 0);
	UNIT_EQ(b.seg[1].flags, GNTCOPY_dest_gref);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_EQ(lxguest_do(&guest, LXG_PEEK, region, 8 * 4096 + 4001, 0), 'w');
	UNIT_EQ(lxguest_do(&guest, LXG_PEEK, region, 8 * 4096 + 4010, 0), 's');
	grant_batch_close(&b);
	grant_own_close(&own);
	grant_own_close(&own);
}

static void test_batch_limits(void)
{
	static uint8_t page[4096];
	struct grant_batch b;

	UNIT_NEED(!grant_batch_open(&b, xgt, 3));
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[0], 1, 4096), -EINVAL);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[0], 4095, 2), -EINVAL);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[0], 65535, 2), -EINVAL);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[0], 4095, 65534), -EINVAL);
	UNIT_EQ(grant_batch_to(&b, domid, gref[0], 4096, page, 1), -EINVAL);
	UNIT_EQ(grant_batch_across(&b, domid, gref[0], 0, domid, gref[1], 2, 4095),
		-EINVAL);
	UNIT_EQ(grant_batch_across(&b, domid, gref[0], 2, domid, gref[1], 0, 4095),
		-EINVAL);
	UNIT_EQ(b.nr, 0);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[0], 0, 4096), 0);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[1], 0, 4096), 0);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[2], 4095, 1), 0);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[3], 0, 1), -ENOSPC);
	UNIT_EQ(grant_batch_to(&b, domid, gref[3], 0, page, 1), -ENOSPC);
	UNIT_EQ(grant_batch_across(&b, domid, gref[0], 0, domid, gref[1], 0, 1), -ENOSPC);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_EQ(grant_batch_from(&b, page, domid, gref[3], 0, 1), 0);
	UNIT_EQ(grant_batch_flush(&b), 0);
	grant_batch_close(&b);
}

/* One bad gref, one read-only page: the others were copied, and we know which. */
static void test_batch_partly_fails(void)
{
	uint8_t in[4][2] = { { 0 } };
	struct grant_batch b;
	uint32_t read_only;
	int ro_region = share_read_only(&read_only);

	UNIT_NEED(!grant_batch_open(&b, xgt, 8));
	UNIT_EQ(grant_batch_from(&b, in[0], domid, gref[20], 0, 2), 0);
	UNIT_EQ(grant_batch_from(&b, in[1], domid, BAD_GREF, 0, 2), 0);
	UNIT_EQ(grant_batch_from(&b, in[2], domid, gref[21], 0, 2), 0);
	UNIT_EQ(grant_batch_to(&b, domid, read_only, 0, in[3], 2), 0);
	UNIT_EQ(grant_batch_from(&b, in[3], domid, gref[22], 0, 2), 0);
	UNIT_EQ(grant_batch_flush(&b), -EIO);
	UNIT_EQ(grant_batch_status(&b, 0), GNTST_okay);
	UNIT_OK(grant_batch_status(&b, 1) < 0);
	UNIT_EQ(grant_batch_status(&b, 2), GNTST_okay);
	UNIT_OK(grant_batch_status(&b, 3) < 0);
	UNIT_EQ(grant_batch_status(&b, 4), GNTST_okay);
	UNIT_OK(is_page(in[0], 20) && is_page(in[2], 21) && is_page(in[3], 22));
	grant_batch_close(&b);
	lxguest_do(&guest, LXG_UNSHARE, ro_region, 0, 0);
}

/* The call itself fails: no status of an earlier batch may say it was done. */
static void test_batch_call_fails(void)
{
	uint8_t in[2][2];
	struct grant_batch b;

	UNIT_NEED(!grant_batch_open(&b, xgt, 2));
	UNIT_EQ(grant_batch_from(&b, in[0], domid, gref[0], 0, 2), 0);
	UNIT_EQ(grant_batch_flush(&b), 0);
	UNIT_EQ(grant_batch_status(&b, 0), GNTST_okay);
	rule("--call=copy --errno=EFAULT");
	UNIT_EQ(grant_batch_from(&b, in[0], domid, gref[0], 0, 2), 0);
	UNIT_EQ(grant_batch_from(&b, in[1], domid, gref[1], 0, 2), 0);
	UNIT_EQ(grant_batch_flush(&b), -EFAULT);
	UNIT_OK(grant_batch_status(&b, 0) < 0 && grant_batch_status(&b, 1) < 0);
	UNIT_OK(!grant_status_is_short(grant_batch_status(&b, 0)));
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	rule("--call=copy --errno=ENOMEM");
	UNIT_EQ(grant_batch_from(&b, in[0], domid, gref[0], 0, 2), 0);
	UNIT_EQ(grant_batch_flush(&b), -ENOMEM);
	UNIT_OK(grant_status_is_short(grant_batch_status(&b, 0)));
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	rule("--call=copy --status=GNTST_no_device_space");
	UNIT_EQ(grant_batch_from(&b, in[0], domid, gref[0], 0, 2), 0);
	UNIT_EQ(grant_batch_flush(&b), -EAGAIN);
	UNIT_OK(grant_status_is_short(grant_batch_status(&b, 0)));
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	UNIT_EQ(grant_batch_flush(&b), 0);	/* emptied all the same */
	grant_batch_close(&b);
}

/* ---- the cache --------------------------------------------------------------- */

static uint64_t clock_ms = 1000000;

static int cache_open(uint32_t cap_pages, struct grant_cache **out)
{
	struct grant_cache_config cfg = { .domid = domid, .cap_pages = cap_pages,
					  .idle_ms = IDLE_MS, .prot = RW,
					  .now_ms = clock_ms };

	return grant_cache_open(xgt, &cfg, out);
}

static struct grant_cache_stats stats_of(const struct grant_cache *c)
{
	struct grant_cache_stats s;

	grant_cache_stats(c, &s);
	return s;
}

static uint32_t tick(struct grant_cache *c, uint32_t ms)
{
	clock_ms += ms;
	return grant_cache_tick(c, clock_ms);
}

/* Everything that is not held goes; how many. */
static uint32_t release_all(struct grant_cache *c)
{
	uint64_t before = stats_of(c).evictions;
	uint32_t ms = tick(c, IDLE_MS);

	for (uint32_t i = 0; ms && ms < IDLE_MS && i < 1000; i++)
		ms = tick(c, 0);
	return (uint32_t)(stats_of(c).evictions - before);
}

/* Gets and puts one page; whether it was there already. */
static bool touch(struct grant_cache *c, uint32_t i)
{
	uint64_t hits = stats_of(c).hits;
	uint32_t hold;
	void *page;

	UNIT_EQ(grant_cache_get(c, &gref[i], 1, &page, &hold), 0);
	UNIT_OK(is_page(page, i));
	grant_cache_put(c, &hold, 1);
	return stats_of(c).hits > hits;
}

static void test_cache_hits(void)
{
	int before = nr_mapped();
	struct grant_cache *c;
	uint32_t hold[8];
	void *page[8];
	uint32_t i;

	UNIT_NEED(!cache_open(8, &c));
	UNIT_EQ(grant_cache_get(c, gref, 8, page, hold), 0);
	for (i = 0; i < 8; i++)
		UNIT_OK(is_page(page[i], i));
	grant_cache_put(c, hold, 8);
	for (i = 0; i < 100; i++)
		UNIT_OK(touch(c, i % 8));
	UNIT_EQ(stats_of(c).misses, 8);
	UNIT_EQ(stats_of(c).hits, 100);
	UNIT_EQ(stats_of(c).evictions, 0);
	UNIT_EQ(stats_of(c).mapped_pages, 8);
	UNIT_EQ(nr_mapped(), before + 8);
	grant_cache_close(c);
	UNIT_EQ(nr_mapped(), before);
	grant_cache_close(NULL);
	UNIT_EQ(cache_open(0, &c), -EINVAL);
}

static void test_cache_evicts_oldest(void)
{
	struct grant_cache *c;
	uint32_t i;

	UNIT_NEED(!cache_open(4, &c));
	for (i = 0; i < 4; i++)
		UNIT_OK(!touch(c, i));
	UNIT_OK(touch(c, 0));		/* now 1 is the oldest, then 2, 3, 0 */
	UNIT_OK(!touch(c, 10));
	UNIT_OK(touch(c, 0) && touch(c, 2) && touch(c, 3));
	UNIT_OK(!touch(c, 1));		/* gone; 10 goes for it */
	UNIT_OK(!touch(c, 10));		/* 0 goes */
	UNIT_OK(touch(c, 2) && touch(c, 3) && touch(c, 1));
	UNIT_OK(!touch(c, 0));
	UNIT_EQ(stats_of(c).mapped_pages, 4);
	UNIT_EQ(stats_of(c).evictions, 4);
	grant_cache_close(c);
}

/* A use counts once between two looks at the clock, and again after each. */
static void test_cache_uses_by_turns(void)
{
	struct grant_cache *c;
	uint32_t i;

	UNIT_NEED(!cache_open(4, &c));
	for (i = 0; i < 4; i++)
		UNIT_OK(!touch(c, i));
	tick(c, 1);
	UNIT_OK(touch(c, 1) && touch(c, 0) && touch(c, 1));
	tick(c, 1);
	UNIT_OK(touch(c, 1));		/* 2 is the oldest, then 3, 0, 1 */
	for (i = 10; i < 13; i++)
		UNIT_OK(!touch(c, i));
	UNIT_OK(touch(c, 1));
	UNIT_OK(!touch(c, 2) && !touch(c, 3) && !touch(c, 0));
	grant_cache_close(c);
}

/* Neither a full cache nor a short idle time moves what was used a moment ago. */
static void test_cache_rests(void)
{
	struct grant_cache_config cfg = { .domid = domid, .cap_pages = 2, .idle_ms = 1,
					  .rest_ms = 1000, .prot = RW, .now_ms = clock_ms };
	struct grant_cache *c;
	uint32_t hold;
	void *page;

	UNIT_NEED(!grant_cache_open(xgt, &cfg, &c));
	UNIT_OK(!touch(c, 0) && !touch(c, 1));
	UNIT_EQ(grant_cache_get(c, &gref[2], 1, &page, &hold), -ENOSPC);
	tick(c, 600);
	UNIT_OK(touch(c, 1));
	tick(c, 399);
	UNIT_EQ(stats_of(c).mapped_pages, 2);
	UNIT_EQ(grant_cache_get(c, &gref[2], 1, &page, &hold), -ENOSPC);
	clock_ms += 1;
	UNIT_OK(tick(c, 0) == 600 && stats_of(c).mapped_pages == 1);
	UNIT_OK(!touch(c, 2) && touch(c, 1));
	UNIT_EQ(grant_cache_get(c, &gref[0], 1, &page, &hold), -ENOSPC);
	grant_cache_close(c);
}

static void test_cache_keeps_held(void)
{
	int before = nr_mapped();
	uint32_t holds[3], hold[2];
	void *held[3], *page[2];
	struct grant_cache *c;
	uint32_t i;

	UNIT_NEED(!cache_open(4, &c));
	UNIT_EQ(grant_cache_get(c, gref, 3, held, holds), 0);
	for (i = 10; i < 60; i++)
		UNIT_OK(!touch(c, i));
	for (i = 0; i < 3; i++)
		UNIT_OK(is_page(held[i], i));
	/* Two more do not fit beside three; none of the two stays held. */
	UNIT_EQ(grant_cache_get(c, &gref[70], 2, page, hold), -ENOSPC);
	UNIT_EQ(grant_cache_get(c, &gref[70], 1, page, hold), 0);
	UNIT_EQ(grant_cache_get(c, &gref[71], 1, page, &hold[1]), -ENOSPC);
	grant_cache_put(c, hold, 1);
	UNIT_EQ(grant_cache_get(c, &gref[71], 1, page, hold), 0);
	grant_cache_put(c, hold, 1);
	UNIT_EQ(release_all(c), 1);
	UNIT_EQ(nr_mapped(), before + 3);
	for (i = 0; i < 3; i++)
		UNIT_OK(is_page(held[i], i));
	grant_cache_put(c, holds, 3);
	UNIT_EQ(release_all(c), 3);
	UNIT_EQ(nr_mapped(), before);
	grant_cache_close(c);
}

static void test_cache_same_gref_twice(void)
{
	uint32_t same[3] = { gref[5], gref[5], gref[6] }, hold[3];
	struct grant_cache *c;
	void *page[3];

	UNIT_NEED(!cache_open(3, &c));
	UNIT_EQ(grant_cache_get(c, same, 3, page, hold), 0);
	UNIT_OK(page[0] == page[1] && page[0] != page[2]);
	UNIT_EQ(stats_of(c).mapped_pages, 2);
	grant_cache_put(c, hold, 1);
	/* Still held once. */
	UNIT_EQ(release_all(c), 0);
	UNIT_OK(is_page(page[1], 5));
	grant_cache_put(c, &hold[1], 2);
	UNIT_EQ(release_all(c), 2);
	grant_cache_close(c);
}

/* The third of four cannot be mapped: nothing is held, the good ones stay known. */
static void test_cache_all_or_nothing(void)
{
	uint32_t some[4] = { gref[1], gref[2], BAD_GREF, gref[3] }, hold[4];
	struct grant_cache *c;
	void *page[4];

	UNIT_NEED(!cache_open(8, &c));
	UNIT_EQ(grant_cache_get(c, some, 4, page, hold), -ENOENT);
	UNIT_OK(stats_of(c).mapped_pages <= 2);
	release_all(c);
	UNIT_EQ(stats_of(c).mapped_pages, 0);
	grant_cache_close(c);
}

/* More than fits beside what is held pushes out nothing that others use. */
static void test_cache_too_much(void)
{
	struct grant_cache *c;
	uint32_t hold[16];
	void *page[16];

	UNIT_NEED(!cache_open(8, &c));
	for (uint32_t i = 0; i < 8; i++)
		touch(c, i);
	UNIT_EQ(grant_cache_get(c, &gref[4], 16, page, hold), -ENOSPC);
	UNIT_EQ(stats_of(c).evictions, 0);
	for (uint32_t i = 0; i < 8; i++)
		UNIT_OK(touch(c, i));
	UNIT_EQ(release_all(c), 8);
	grant_cache_close(c);
}

/* A page that nobody uses goes in time, though the others are always busy. */
static void test_cache_idle(void)
{
	struct grant_cache *c;
	uint32_t i;

	UNIT_NEED(!cache_open(8, &c));
	UNIT_EQ(tick(c, 1), 0);
	for (i = 0; i < 8; i++)
		touch(c, i);
	UNIT_EQ(tick(c, 0), IDLE_MS);
	UNIT_EQ(tick(c, 600), IDLE_MS - 600);
	touch(c, 0);
	touch(c, 1);
	UNIT_EQ(tick(c, 399), 1);
	UNIT_EQ(stats_of(c).mapped_pages, 8);
	UNIT_EQ(tick(c, 1), 600);	/* when 0 and 1 go */
	UNIT_EQ(stats_of(c).mapped_pages, 2);
	UNIT_OK(touch(c, 0) && touch(c, 1));
	UNIT_OK(!touch(c, 7));
	UNIT_EQ(tick(c, IDLE_MS), 0);
	UNIT_EQ(stats_of(c).mapped_pages, 0);
	grant_cache_close(c);
}

/* Many at once: some at a time, but all of them. */
static void test_cache_idle_many(void)
{
	struct grant_cache *c;
	uint32_t ticks = 1, ms;

	UNIT_NEED(!cache_open(PAGES, &c));
	for (uint32_t i = 0; i < PAGES; i++)
		touch(c, i);
	ms = tick(c, IDLE_MS);
	UNIT_OK(stats_of(c).mapped_pages > PAGES / 2);
	for (; ms && ticks < 100; ticks++) {
		UNIT_OK(ms < IDLE_MS / 10);
		ms = tick(c, ms);
	}
	UNIT_EQ(stats_of(c).mapped_pages, 0);
	UNIT_OK(ticks < 10);
	grant_cache_close(c);
}

/* Entries run out: some pages go, for others; what is here is exchanged; it grows again. */
static void test_cache_shortage(void)
{
	struct grant_cache *c;
	void *page[8];
	uint32_t i, limit, hold;

	UNIT_NEED(!cache_open(160, &c));
	for (i = 0; i < 80; i++)
		touch(c, i);
	tick(c, 1);
	rule("--call=map --status=GNTST_no_device_space --count=0");
	UNIT_EQ(grant_cache_get(c, &gref[100], 1, page, &hold), -ENOSPC);
	UNIT_EQ(stats_of(c).shortages, 1);
	UNIT_EQ(stats_of(c).shortage_err, -ENOSPC);
	limit = stats_of(c).limit_pages;
	UNIT_EQ(limit, 70);		/* an eighth less */
	UNIT_EQ(stats_of(c).mapped_pages, limit);
	UNIT_OK(touch(c, 79));
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	/* The oldest went, and goes for each new one. */
	UNIT_OK(!touch(c, 0));
	UNIT_OK(!touch(c, 100));
	UNIT_EQ(stats_of(c).mapped_pages, limit);
	tick(c, 999);
	UNIT_EQ(stats_of(c).limit_pages, limit);
	tick(c, 1);
	UNIT_EQ(stats_of(c).limit_pages, limit + 11);
	for (i = 0; i < 20; i++)
		tick(c, 1000);
	UNIT_EQ(stats_of(c).limit_pages, 160);
	UNIT_EQ(stats_of(c).mapped_pages, 0);
	grant_cache_close(c);
}

/* All held, then nothing at all: refused at once, and never a map below the limit. */
static void test_cache_starves(void)
{
	struct grant_cache *c;
	uint32_t hold[8], other[8];
	void *page[8], *more[8];

	UNIT_NEED(!cache_open(64, &c));
	UNIT_EQ(grant_cache_get(c, gref, 8, page, hold), 0);
	rule("--call=map --errno=ENOMEM --count=0");
	UNIT_EQ(grant_cache_get(c, &gref[20], 1, more, other), -ENOSPC);
	UNIT_EQ(stats_of(c).shortage_err, -ENOMEM);
	UNIT_EQ(stats_of(c).mapped_pages, 8);
	UNIT_EQ(stats_of(c).limit_pages, 8);
	UNIT_EQ(grant_cache_get(c, &gref[20], 1, more, other), -ENOSPC);
	UNIT_EQ(stats_of(c).shortages, 1);
	grant_cache_put(c, hold, 8);
	UNIT_EQ(grant_cache_get(c, &gref[20], 8, more, other), -ENOSPC);
	UNIT_EQ(stats_of(c).limit_pages, 0);
	UNIT_EQ(grant_cache_get(c, gref, 1, page, hold), -ENOSPC);
	UNIT_EQ(lxguest_localxen("fail --clear"), 0);
	tick(c, 1000);
	UNIT_EQ(grant_cache_get(c, gref, 1, page, hold), 0);
	grant_cache_put(c, hold, 1);
	grant_cache_close(c);
}

/* A gref number that was given up, revoked and granted again is mapped anew. */
static void test_cache_after_revoke(void)
{
	int r = lxguest_do(&guest, LXG_SHARE, 0, 1, 1), again;
	uint32_t g = guest.m.refs[0];
	struct grant_cache *c;
	uint32_t hold;
	void *page;

	lxguest_do(&guest, LXG_POKE, r, 0, 11);
	UNIT_NEED(!cache_open(4, &c));
	UNIT_EQ(grant_cache_get(c, &g, 1, &page, &hold), 0);
	UNIT_EQ(*(uint8_t *)page, 11);
	grant_cache_put(c, &hold, 1);
	UNIT_EQ(release_all(c), 1);
	UNIT_EQ(lxguest_do(&guest, LXG_UNSHARE, r, 0, 0), 0);
	UNIT_OK(grant_cache_get(c, &g, 1, &page, &hold) < 0);
	again = lxguest_do(&guest, LXG_SHARE, 0, 1, 1);
	UNIT_NEED(guest.m.refs[0] == g);
	lxguest_do(&guest, LXG_POKE, again, 0, 22);
	UNIT_EQ(grant_cache_get(c, &g, 1, &page, &hold), 0);
	UNIT_EQ(*(uint8_t *)page, 22);
	grant_cache_put(c, &hold, 1);
	grant_cache_close(c);
	lxguest_do(&guest, LXG_UNSHARE, again, 0, 0);
}

/*
 * Random requests against what must hold at any time: the right page for each
 * gref, nothing held is lost, the bound is kept. Small caps make the hash
 * table's removals meet each other.
 */
struct held_request {
	uint32_t first, nr;
	uint32_t grefs[11], holds[11];
	void *pages[11];
};

static void random_request(struct held_request *r, uint32_t *seed)
{
	uint32_t i;

	*seed = *seed * 1664525u + 1013904223u;
	r->nr = *seed >> 28 ? (*seed >> 24) % 11 + 1 : 1;
	r->first = (*seed >> 8) % PAGES;
	for (i = 0; i < r->nr; i++)
		r->grefs[i] = gref[(r->first + i * 7) % PAGES];
}

static bool request_intact(const struct held_request *r)
{
	uint32_t i;

	for (i = 0; i < r->nr; i++)
		if (!is_page(r->pages[i], (r->first + i * 7) % PAGES))
			return false;
	return true;
}

static void random_walk(uint32_t cap, uint32_t seed)
{
	uint32_t steps, wrong = 0, over = 0, refused = 0;
	struct held_request held[4] = { { 0 } };
	struct grant_cache *c;

	UNIT_NEED(!cache_open(cap, &c));
	for (steps = 0; steps < 3000; steps++) {
		struct held_request *r = &held[steps % 4];
		int rc;

		wrong += !request_intact(r);
		grant_cache_put(c, r->holds, r->nr);
		random_request(r, &seed);
		rc = grant_cache_get(c, r->grefs, r->nr, r->pages, r->holds);
		if (rc)
			r->nr = 0;
		refused += rc == -ENOSPC;
		wrong += rc && rc != -ENOSPC;
		over += stats_of(c).mapped_pages > cap;
		if (seed >> 26 == 0)
			tick(c, seed % (2 * IDLE_MS));
	}
	for (steps = 0; steps < 4; steps++) {
		wrong += !request_intact(&held[steps]);
		grant_cache_put(c, held[steps].holds, held[steps].nr);
	}
	UNIT_EQ(wrong, 0);
	UNIT_EQ(over, 0);
	UNIT_OK(cap >= 44 ? !refused : refused > 0);
	UNIT_OK(stats_of(c).evictions > 0);
	grant_cache_close(c);
}

static void test_cache_random(void)
{
	int before = nr_mapped();

	random_walk(16, 1);
	random_walk(31, 2);
	random_walk(64, 3);
	random_walk(PAGES - 1, 4);
	UNIT_EQ(nr_mapped(), before);
}

static void test_cache_speed(void)
{
	enum { ROUNDS = 20000, NR = 32 };
	struct grant_cache *c;
	uint32_t hold[NR];
	void *page[NR];
	uint64_t began;
	int i;

	UNIT_NEED(!cache_open(1056, &c));
	began = now_ns();
	for (i = 0; i < ROUNDS; i++) {
		const uint32_t *g = &gref[i * NR % (PAGES - NR)];

		if (grant_cache_get(c, g, NR, page, hold))
			abort();
		grant_cache_put(c, hold, NR);
	}
	printf("(%.1f ns a page, %llu misses) ",
	       (double)(now_ns() - began) / ROUNDS / NR,
	       (unsigned long long)stats_of(c).misses);
	UNIT_OK(stats_of(c).misses <= PAGES);
	grant_cache_close(c);
}

static void test_nothing_left(void)
{
	lxguest_do(&guest, LXG_UNSHARE, region, 0, 0);
	UNIT_EQ(lxguest_localxen("status --check"), 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "map and unmap", test_map },
		{ "maps that fail leave nothing", test_map_errors },
		{ "maps that fail for want of room", test_map_shortage },
		{ "room that goes to another", test_map_room_goes },
		{ "maps of rings, when some fail", test_map_ring },
		{ "rings that can be copied alone", test_map_ring_sub_page },
		{ "copies in three directions", test_copy },
		{ "copies through pages of our own", test_copy_own },
		{ "what a batch refuses", test_batch_limits },
		{ "a batch of which a part fails", test_batch_partly_fails },
		{ "a batch whose call fails", test_batch_call_fails },
		{ "cache: hits", test_cache_hits },
		{ "cache: the longest unused goes", test_cache_evicts_oldest },
		{ "cache: uses count by turns", test_cache_uses_by_turns },
		{ "cache: pages rest before they go", test_cache_rests },
		{ "cache: held pages stay", test_cache_keeps_held },
		{ "cache: one gref twice", test_cache_same_gref_twice },
		{ "cache: all or nothing", test_cache_all_or_nothing },
		{ "cache: more than fits", test_cache_too_much },
		{ "cache: idle pages", test_cache_idle },
		{ "cache: many idle pages", test_cache_idle_many },
		{ "cache: a shortage", test_cache_shortage },
		{ "cache: nothing to be had", test_cache_starves },
		{ "cache: a gref number used again", test_cache_after_revoke },
		{ "cache: random requests", test_cache_random },
		{ "cache: the cost of a hit", test_cache_speed },
		{ "nothing is left", test_nothing_left },
	};
	int rc;

	rc = grant_open(&xgt);
	if (rc) {
		fprintf(stderr, "grant_open: %s\n", strerror(-rc));
		return 1;
	}
	domid = lxguest_new_domain("");
	lxguest_start(&guest, domid);
	share_all();
	rc = unit_run("grant", tests, UNIT_LEN(tests));
	lxguest_stop(&guest);
	xengnttab_close(xgt);
	return rc;
}
