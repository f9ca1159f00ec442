/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue of the block back end against any guest: what is refused, what is
 * moved by which way, which pages are reached, what a bad disk becomes. Order,
 * indices and predecessors are in test-blkback-order.c.
 */
#include <unistd.h>
#include "blk-device.h"
#include "blkback-limit.h"
#include "blkback-parse.h"
#include "unit.h"

/* ---- data ----------------------------------------------------------------------------- */

static void fill(uint8_t *at, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		at[i] = (uint8_t)(seed >> 24);
	}
}

static bool is_filled(const uint8_t *at, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		if (at[i] != (uint8_t)(seed >> 24))
			return false;
	}
	return true;
}

/* Parts of pages, pages out of order, the rest of each page untouched. */
static void data_direct(struct device *d)
{
	uint32_t page = GUEST_DATA_PAGE;
	uint8_t *disk = disk_memory_data(d->disk);
	struct blkif_request_segment segs[3] = {
		segment(fake_grant(page + 2, true), 3, 7),
		segment(fake_grant(page + 1, true), 0, 7),
		segment(fake_grant(page, true), 1, 1),
	};
	struct blkif_request_segment back[3] = {
		segment(fake_grant(page + 4, false), 0, 7),
		segment(fake_grant(page + 5, false), 1, 5),
		segment(fake_grant(page + 6, false), 7, 7),
	};

	fill(fake_page(page), 3 * PAGE, 1);
	guest_rw(d->g, BLKIF_OP_WRITE, 71, 100, 3, segs);
	device_go(d);
	device_expect(d, 71, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_EQ(memcmp(disk + 100 * 512, fake_page(page + 2) + 3 * 512, 5 * 512), 0);
	UNIT_EQ(memcmp(disk + 105 * 512, fake_page(page + 1), 8 * 512), 0);
	UNIT_EQ(memcmp(disk + 113 * 512, fake_page(page) + 512, 512), 0);
	UNIT_EQ(disk[114 * 512] | disk[100 * 512 - 1], 0);

	memset(fake_page(page + 4), 0xee, 3 * PAGE);
	guest_rw(d->g, BLKIF_OP_READ, 72, 100, 3, back);
	device_go(d);
	device_expect(d, 72, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_EQ(memcmp(fake_page(page + 4), disk + 100 * 512, PAGE), 0);
	UNIT_EQ(memcmp(fake_page(page + 5) + 512, disk + 108 * 512, 5 * 512), 0);
	UNIT_EQ(memcmp(fake_page(page + 6) + 7 * 512, disk + 113 * 512, 512), 0);
	UNIT_EQ(fake_page(page + 5)[511], 0xee);
	UNIT_EQ(fake_page(page + 5)[6 * 512], 0xee);
	UNIT_EQ(fake_page(page + 6)[7 * 512 - 1], 0xee);
	device_expect_none(d);
}

static void test_data_direct(void)
{
	device_in_all_ways(data_direct);
}

/* All 256 segments, both directions; the response carries the inner operation. */
static void data_indirect(struct device *d)
{
	uint32_t list = GUEST_DATA_PAGE, data = list + 2;
	struct blkif_request_segment *segs = (void *)fake_page(list);
	uint32_t list_gref = fake_grant(list, true);

	for (uint32_t i = 0; i < 256; i++)
		segs[i] = segment(fake_grant(data + i, false), 0, 7);
	fill(fake_page(data), 256 * PAGE, 2);
	guest_indirect(d->g, BLKIF_OP_WRITE, 5, 8, 256, list_gref);
	device_go(d);
	device_expect(d, 5, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_OK(is_filled(disk_memory_data(d->disk) + 8 * 512, 256 * PAGE, 2));
	memset(fake_page(data), 0, 256 * PAGE);
	guest_indirect(d->g, BLKIF_OP_READ, 6, 8, 256, list_gref);
	device_go(d);
	device_expect(d, 6, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_OK(is_filled(fake_page(data), 256 * PAGE, 2));
}

static void test_data_indirect(void)
{
	device_in_all_ways(data_indirect);
}

/* The whole of a 16-page ring at once, and the same gref and id many times. */
static void full_ring(struct device *d)
{
	uint32_t nr = d->g->front.nr_slots, gref = fake_grant(GUEST_DATA_PAGE, false);
	struct blkif_request_segment s = segment(gref, 0, 7);
	struct guest_response r;
	uint32_t got = 0;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < nr; i++)
			guest_rw(d->g, BLKIF_OP_READ, 1, i % 512 * 8, 1, &s);
		device_go(d);
		while (guest_response(d->g, &r))
			got += r.id == 1 && r.status == BLKIF_RSP_OKAY;
	}
	UNIT_EQ(got, 3 * nr);
	UNIT_EQ(nr, 512);
	UNIT_EQ(blkback_figures(d->b)->segments, 3 * nr);
	UNIT_EQ(blkback_figures(d->b)->cached_pages, d->persistent ? 3 * nr : 0);
}

static void test_full_ring(void)
{
	for (int way = VBD_GRANTS_AUTO; way <= VBD_GRANTS_COPY; way++) {
		struct device d = { .order = 4, .persistent = way == VBD_GRANTS_PERSISTENT,
				    .grants = way };

		device_open(&d);
		full_ring(&d);
		device_close(&d);
	}
}

/* ---- refusals --------------------------------------------------------------------------- */

struct bad {
	const char *what;
	uint8_t operation, nr_segments;
	uint64_t sector;
	uint8_t first, last;		/* of the first segment; the others are whole */
	int16_t status;
};

static const struct bad bad_requests[] = {
	{ "read of 0 segments", BLKIF_OP_READ, 0, 0, 0, 7, BLKIF_RSP_ERROR },
	{ "write of 0 segments", BLKIF_OP_WRITE, 0, 0, 0, 7, BLKIF_RSP_ERROR },
	{ "read of 12 segments", BLKIF_OP_READ, 12, 0, 0, 7, BLKIF_RSP_ERROR },
	{ "write of 255 segments", BLKIF_OP_WRITE, 255, 0, 0, 7, BLKIF_RSP_ERROR },
	{ "barrier of 12 segments", BLKIF_OP_WRITE_BARRIER, 12, 0, 0, 7, BLKIF_RSP_ERROR },
	{ "flush with a segment", BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 0, 7, BLKIF_RSP_ERROR },
	{ "first > last", BLKIF_OP_WRITE, 1, 0, 5, 4, BLKIF_RSP_ERROR },
	{ "last of 8", BLKIF_OP_WRITE, 1, 0, 0, 8, BLKIF_RSP_ERROR },
	{ "first and last of 255", BLKIF_OP_READ, 1, 0, 255, 255, BLKIF_RSP_ERROR },
	{ "bad segment after a good one", BLKIF_OP_WRITE, 2, 0, 0, 200, BLKIF_RSP_ERROR },
	{ "one sector past the end", BLKIF_OP_WRITE, 1, SECTORS - 7, 0, 7, BLKIF_RSP_ERROR },
	{ "begins at the end", BLKIF_OP_READ, 1, SECTORS, 0, 0, BLKIF_RSP_ERROR },
	{ "ends at 2^64", BLKIF_OP_WRITE, 1, ~0ull - 6, 0, 7, BLKIF_RSP_ERROR },
	{ "sector 2^64 - 1", BLKIF_OP_READ, 1, ~0ull, 0, 0, BLKIF_RSP_ERROR },
	{ "overflows when in bytes", BLKIF_OP_WRITE, 1, 1ull << 55, 0, 7, BLKIF_RSP_ERROR },
	{ "barrier past the end", BLKIF_OP_WRITE_BARRIER, 1, SECTORS, 0, 0, BLKIF_RSP_ERROR },
	/* BLK-7 */
	{ "operation 4", 4, 1, 0, 0, 7, BLKIF_RSP_EOPNOTSUPP },
	{ "operation 7", 7, 1, 0, 0, 7, BLKIF_RSP_EOPNOTSUPP },
	{ "operation 255", 255, 255, 0, 0, 7, BLKIF_RSP_EOPNOTSUPP },
};

static bool disk_untouched(struct device *d)
{
	const uint8_t *at = disk_memory_data(d->disk);

	for (size_t i = 0; i < DISK_BYTES; i++)
		if (at[i])
			return false;
	return true;
}

static void refusals(struct device *d)
{
	struct blkif_request_segment segs[11];

	memset(fake_page(GUEST_DATA_PAGE), 0xdd, PAGE);
	for (uint32_t i = 0; i < 11; i++)
		segs[i] = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	for (size_t i = 0; i < UNIT_LEN(bad_requests); i++) {
		const struct bad *bad = &bad_requests[i];
		uint32_t which = bad->nr_segments == 2;
		unsigned before = CU_get_number_of_failures();

		segs[which].first_sect = bad->first;
		segs[which].last_sect = bad->last;
		guest_rw(d->g, bad->operation, 900 + i, bad->sector, bad->nr_segments, segs);
		device_go(d);
		device_expect(d, 900 + i, bad->operation, bad->status);
		device_expect_none(d);
		segs[which] = segment(segs[which].gref, 0, 7);
		if (CU_get_number_of_failures() > before)
			fprintf(stderr, "\n  (%s)", bad->what);
	}
	UNIT_OK(disk_untouched(d));
	UNIT_EQ(blkback_in_flight(d->b), 0);
	UNIT_EQ(blkback_figures(d->queue[0].b)->unsupported, 3);
	UNIT_EQ(blkback_figures(d->queue[0].b)->errors,
		UNIT_LEN(bad_requests) - 3);
}

static void test_refusals(void)
{
	device_in_all_abis(refusals);
}

struct bad_indirect {
	const char *what;
	uint8_t inner;
	uint16_t nr_segments;
	uint32_t gref;			/* 0: the good one */
	uint8_t last;			/* of the last segment */
};

static const struct bad_indirect bad_indirects[] = {
	{ "0 segments", BLKIF_OP_READ, 0, 0, 7 },
	{ "257 segments", BLKIF_OP_WRITE, 257, 0, 7 },
	{ "65535 segments", BLKIF_OP_WRITE, 65535, 0, 7 },
	{ "a barrier", BLKIF_OP_WRITE_BARRIER, 1, 0, 7 },
	{ "a flush", BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 7 },
	{ "a discard", BLKIF_OP_DISCARD, 1, 0, 7 },
	{ "an indirect request", BLKIF_OP_INDIRECT, 1, 0, 7 },
	{ "nothing known", 99, 1, 0, 7 },
	{ "a page not granted", BLKIF_OP_WRITE, 20, 4000, 7 },
	{ "a gref beyond all", BLKIF_OP_WRITE, 20, 0xffffffff, 7 },
	{ "a bad last segment", BLKIF_OP_WRITE, 20, 0, 8 },
};

static void refusals_indirect(struct device *d)
{
	struct blkif_request_segment *segs = (void *)fake_page(GUEST_DATA_PAGE);
	uint32_t list = fake_grant(GUEST_DATA_PAGE, false);

	for (uint32_t i = 0; i < 512; i++)
		segs[i] = segment(fake_grant(GUEST_DATA_PAGE + 1, false), 0, 7);
	memset(fake_page(GUEST_DATA_PAGE + 1), 0xdd, PAGE);
	for (size_t i = 0; i < UNIT_LEN(bad_indirects); i++) {
		const struct bad_indirect *bad = &bad_indirects[i];
		unsigned before = CU_get_number_of_failures();

		segs[19].last_sect = bad->last;
		guest_indirect(d->g, bad->inner, i, 0, bad->nr_segments,
			       bad->gref ? bad->gref : list);
		device_go(d);
		device_expect(d, i, bad->inner, BLKIF_RSP_ERROR);
		device_expect_none(d);
		if (CU_get_number_of_failures() > before)
			fprintf(stderr, "\n  (%s)", bad->what);
	}
	UNIT_OK(disk_untouched(d));
}

static void test_refusals_indirect(void)
{
	device_in_all_ways(refusals_indirect);
}

static void discards(struct device *d)
{
	uint8_t *disk = disk_memory_data(d->disk);
	static const struct { uint64_t sector, nr; int16_t status; } cases[] = {
		{ 0, 0, BLKIF_RSP_ERROR },
		{ 0, ~0ull, BLKIF_RSP_ERROR },
		{ 1, ~0ull, BLKIF_RSP_ERROR },
		{ ~0ull, 1, BLKIF_RSP_ERROR },
		{ SECTORS, 1, BLKIF_RSP_ERROR },
		{ SECTORS - 1, 2, BLKIF_RSP_ERROR },
		{ SECTORS - 1, 1, BLKIF_RSP_OKAY },
		{ 16, 8, BLKIF_RSP_OKAY },
	};

	memset(disk, 0xcc, DISK_BYTES);
	for (size_t i = 0; i < UNIT_LEN(cases); i++) {
		guest_discard(d->g, i, cases[i].sector, cases[i].nr, BLKIF_DISCARD_SECURE);
		device_go(d);
		device_expect(d, i, BLKIF_OP_DISCARD, cases[i].status);
	}
	UNIT_EQ(disk[0], 0xcc);
	UNIT_EQ(disk[16 * 512], 0);
	UNIT_EQ(disk[24 * 512 - 1], 0);
	UNIT_EQ(disk[24 * 512], 0xcc);
	UNIT_EQ(disk[DISK_BYTES - 512], 0);
	UNIT_EQ(disk[DISK_BYTES - 513], 0xcc);
}

static void test_discards(void)
{
	device_in_all_abis(discards);
}

/* Where it writes, a secure discard is paid for as a write of all that it is about. */
static void test_limited_discards(void)
{
	struct limit limit = { .rate = { [LIMIT_BYTES][LIMIT_OUT] = { 1, 0 } } };

	for (uint32_t i = 0; i < 4; i++) {
		struct device d = { .overwrites = i & 1, .features.discard_secure = true };
		bool held = d.overwrites && i & 2;

		UNIT_EQ(blkback_limit_open(false, &d.limit), 0);
		blkback_limit_set(d.limit, &limit);
		device_open(&d);
		blkback_limit_changed(d.b);
		guest_discard(d.g, 1, 0, SECTORS, i & 2 ? BLKIF_DISCARD_SECURE : 0);
		device_go(&d);
		device_expect(&d, 1, BLKIF_OP_DISCARD, BLKIF_RSP_OKAY);
		guest_discard(d.g, 2, 0, 8, 0);
		device_go(&d);
		UNIT_EQ(blkback_is_held_back(d.b), held);
		if (held) {
			device_expect_none(&d);
			blkback_limit_set(d.limit, &(struct limit){ .request_bytes = 0 });
			blkback_limit_changed(d.b);
			device_go(&d);
		}
		device_expect(&d, 2, BLKIF_OP_DISCARD, BLKIF_RSP_OKAY);
		device_close(&d);
		blkback_limit_close(d.limit);
	}
}

/* Every operation that writes, and none of those that do not. */
static void test_read_only(void)
{
	struct device d = { .features.read_only = true };
	struct blkif_request_segment *segs, s;
	uint32_t list;

	device_open(&d);
	segs = (void *)fake_page(GUEST_DATA_PAGE);
	list = fake_grant(GUEST_DATA_PAGE, true);
	s = segs[0] = segment(fake_grant(GUEST_DATA_PAGE + 1, false), 0, 7);
	memset(fake_page(GUEST_DATA_PAGE + 1), 1, PAGE);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 2, 0, 1, &s);
	guest_discard(d.g, 3, 0, 8, 0);
	guest_indirect(d.g, BLKIF_OP_WRITE, 4, 0, 1, list);
	guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, 5, 0, 0, NULL);
	guest_indirect(d.g, BLKIF_OP_READ, 6, 0, 1, list);
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(&d, 2, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_ERROR);
	device_expect(&d, 3, BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
	device_expect(&d, 4, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(&d, 5, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_OKAY);
	device_expect(&d, 6, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_OK(disk_untouched(&d));
	device_close(&d);
}

/* 4K sectors: nothing smaller passes, in position or length. */
static void test_large_sectors(void)
{
	struct device d = { .features.sector_bytes = 4096 };
	struct blkif_request_segment s, halves[2];

	device_open(&d);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 4, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 8, 1, &s);
	s.last_sect = 3;
	guest_rw(d.g, BLKIF_OP_WRITE, 3, 8, 1, &s);
	guest_discard(d.g, 4, 8, 4, 0);
	halves[0] = halves[1] = s;
	guest_rw(d.g, BLKIF_OP_WRITE, 5, 8, 2, halves);
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(&d, 3, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(&d, 4, BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
	device_expect(&d, 5, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(&d, 2, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	device_close(&d);
}

/* Before any disk sees it: sums that overflow, and the last sector that is. */
static void test_bounds(void)
{
	static const struct { uint64_t sector; int want; } cases[] = {
		{ 92, 0 }, { 93, -EINVAL }, { 100, -EINVAL }, { 1ull << 55, -EINVAL },
		{ ~0ull - 7, -EINVAL }, { ~0ull - 6, -EINVAL }, { ~0ull, -EINVAL },
	};
	struct blk_limits limits = { .sectors = 100, .discard = true };
	struct blkif_request_segment s = segment(1, 0, 7);
	struct blkabi_request r;
	const char *why;

	for (size_t i = 0; i < UNIT_LEN(cases); i++) {
		struct blk_plan plan = { .nr_segments = 1, .sector = cases[i].sector };

		UNIT_EQ(blk_parse_segments(&limits, &plan, &s, &why), cases[i].want);
		r = (struct blkabi_request){ .operation = BLKIF_OP_DISCARD,
					     .sector = cases[i].sector,
					     .discard.nr_sectors = 8 };
		UNIT_EQ(blk_parse(&limits, &r, &plan, &why), cases[i].want);
	}
}

/* What was not published is answered as not supported, and never done. */
static void test_not_offered(void)
{
	struct blk_limits none = { .sectors = 100 };
	struct blkabi_request r = { .nr_segments = 0 };
	struct blk_plan plan;
	const char *why;

	r.operation = BLKIF_OP_FLUSH_DISKCACHE;
	UNIT_EQ(blk_parse(&none, &r, &plan, &why), -EOPNOTSUPP);
	r.operation = BLKIF_OP_WRITE_BARRIER;
	UNIT_EQ(blk_parse(&none, &r, &plan, &why), -EOPNOTSUPP);
	r.operation = BLKIF_OP_INDIRECT;
	UNIT_EQ(blk_parse(&none, &r, &plan, &why), -EOPNOTSUPP);
	r.operation = BLKIF_OP_DISCARD;
	r.discard.nr_sectors = 1;
	UNIT_EQ(blk_parse(&none, &r, &plan, &why), -EOPNOTSUPP);
	none.discard = true;
	r.discard.secure = true;
	UNIT_EQ(blk_parse(&none, &r, &plan, &why), 0);
	UNIT_OK(!plan.secure);
	none.discard_secure = true;
	UNIT_EQ(blk_parse(&none, &r, &plan, &why), 0);
	UNIT_OK(plan.secure);
}

/* ---- grants ----------------------------------------------------------------------------- */

/* One request of a batch has a bad page: it fails alone and whole. */
static void bad_grants(struct device *d)
{
	uint32_t page = GUEST_DATA_PAGE;
	uint32_t good = fake_grant(page, false), read_only = fake_grant(page + 1, true);
	struct blkif_request_segment ok = segment(good, 0, 7), ro = segment(read_only, 0, 7);
	struct blkif_request_segment mixed[2] = { ok, segment(5000, 0, 7) };
	struct guest_response r;
	int16_t status[8];

	memset(fake_page(page), 0x11, PAGE);
	memset(fake_page(page + 1), 0x22, PAGE);
	guest_rw(d->g, BLKIF_OP_WRITE, 0, 0, 1, &ok);
	guest_rw(d->g, BLKIF_OP_WRITE, 1, 8, 2, mixed);
	guest_rw(d->g, BLKIF_OP_WRITE, 2, 24, 1, &ro);
	guest_rw(d->g, BLKIF_OP_READ, 3, 0, 2, mixed);
	guest_rw(d->g, BLKIF_OP_READ, 4, 0, 1, &ro);
	guest_rw(d->g, BLKIF_OP_READ, 5, 0, 1, &ok);
	device_go(d);
	memset(status, 0x55, sizeof(status));
	for (uint32_t i = 0; i < 6; i++) {
		UNIT_NEED(guest_response(d->g, &r) && r.id < 6);
		status[r.id] = r.status;
	}
	UNIT_EQ(status[0], BLKIF_RSP_OKAY);
	UNIT_EQ(status[1], BLKIF_RSP_ERROR);
	UNIT_EQ(status[2], BLKIF_RSP_OKAY);
	UNIT_EQ(status[3], BLKIF_RSP_ERROR);
	UNIT_EQ(status[4], BLKIF_RSP_ERROR);
	UNIT_EQ(status[5], BLKIF_RSP_OKAY);
	UNIT_EQ(fake_page(page + 1)[0], 0x22);
	UNIT_EQ(disk_memory_data(d->disk)[8 * 512], 0);
	UNIT_EQ(disk_memory_data(d->disk)[24 * 512], 0x22);
	device_expect_none(d);
}

static void test_bad_grants(void)
{
	device_in_all_ways(bad_grants);
}

/* A response means that the page is the guest's again. */
static void given_back(struct device *d)
{
	uint32_t gref = fake_grant(GUEST_DATA_PAGE, false);
	struct blkif_request_segment s = segment(gref, 0, 7);

	for (uint32_t i = 0; i < 20; i++)
		guest_rw(d->g, i % 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ, i, 0, 1, &s);
	device_go(d);
	UNIT_EQ(fake_revoke(gref), !d->persistent);
}

static void test_given_back(void)
{
	device_in_all_ways(given_back);
}

/* No entry but the ring's own: every request goes by copy, and nobody notices. */
static void no_room(struct device *d)
{
	struct blk_figures *c = blkback_figures(d->queue[0].b);

	fake_limit_maps(fake_mapped());
	data_direct(d);
	data_indirect(d);
	UNIT_EQ(c->errors, 0);
	UNIT_EQ(c->mapped_pages, 0);
	UNIT_OK(c->copied_bytes > 0);
	memset(disk_memory_data(d->disk), 0, DISK_BYTES);
	bad_grants(d);
}

static void test_no_maptrack(void)
{
	device_in_all_ways(no_room);
}

/* Room again: maps are used again, in a while. */
static void test_room_again(void)
{
	struct device d = { .grants = VBD_GRANTS_MAP };
	struct blk_figures *c;
	struct blkif_request_segment s;
	uint64_t end = now_ms() + 20000, id = 0;

	device_open(&d);
	c = blkback_figures(d.queue[0].b);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	fake_limit_maps(fake_mapped());
	do {
		guest_rw(d.g, BLKIF_OP_WRITE, ++id, 0, 1, &s);
		device_go(&d);
		device_expect(&d, id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
		if (id == 10)
			fake_limit_maps(1000);
	} while (!c->mapped_pages && now_ms() < end);
	UNIT_OK(id > 10);
	UNIT_EQ(c->mapped_pages, 1);
	/* Nor is it tried each time when there is none. */
	fake_limit_maps(fake_mapped());
	for (uint32_t i = 0, maps = fake_maps(); i < 100; i++) {
		guest_rw(d.g, BLKIF_OP_WRITE, ++id, 0, 1, &s);
		device_go(&d);
		device_expect(&d, id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
		UNIT_OK(i < 99 || fake_maps() - maps < 100);
	}
	device_close(&d);
}

/* Some room, less than is wanted: kept pages come and go, the data is right. */
static void test_little_room(void)
{
	struct device d = { .persistent = true };
	struct blkif_request_segment segs[11];
	uint32_t grefs[200];

	device_open(&d);
	for (uint32_t i = 0; i < 200; i++)
		grefs[i] = fake_grant(GUEST_DATA_PAGE + i, false);
	fake_limit_maps(fake_mapped() + 20);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t at = i * 7 % 189;

		for (uint32_t k = 0; k < 11; k++) {
			segs[k] = segment(grefs[at + k], 0, 7);
			fill(fake_page(GUEST_DATA_PAGE + at + k), PAGE, i + k);
		}
		guest_rw(d.g, BLKIF_OP_WRITE, i, 0, 11, segs);
		device_go(&d);
		device_expect(&d, i, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
		for (uint32_t k = 0; k < 11; k++)
			UNIT_OK(is_filled(disk_memory_data(d.disk) + k * PAGE, PAGE, i + k));
	}
	UNIT_OK(fake_mapped() <= 21);
	UNIT_EQ(blkback_figures(d.queue[0].b)->errors, 0);
	device_close(&d);
}

/* Time passes for a queue that sleeps when it may. */
static void pass_until_answered(struct device *d, uint64_t id, uint8_t operation)
{
	uint64_t end = now_ms() + 20000;
	struct guest_response r;
	bool answered;

	while (!(answered = guest_response(d->g, &r)) && now_ms() < end) {
		int wait_ms = blkback_housekeep(d->b);

		UNIT_NEED(wait_ms > 0 && wait_ms <= 1000);
		usleep((unsigned)wait_ms * 1000);
		blkback_pass(d->b);
	}
	UNIT_NEED(answered);
	UNIT_EQ(r.id, id);
	UNIT_EQ(r.operation, operation);
	UNIT_EQ(r.status, BLKIF_RSP_OKAY);
}

/* A copy that fails for want of something of ours waits, and the barrier for it. */
static void starve(int err, int16_t status, uint8_t operation)
{
	struct device d = { .grants = VBD_GRANTS_COPY };
	struct blkif_request_segment s, b;
	uint32_t copies;

	device_open(&d);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	b = segment(fake_grant(GUEST_DATA_PAGE + 1, true), 0, 7);
	fill(fake_page(GUEST_DATA_PAGE), PAGE, 3);
	fill(disk_memory_data(d.disk), operation == BLKIF_OP_READ ? PAGE : 0, 4);
	copies = fake_copies();
	fake_fail_copies(3, err, status);
	guest_rw(d.g, operation, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 2, 8, 1, &b);
	device_go(&d);
	device_expect_none(&d);
	UNIT_OK(blkback_busy(d.b));
	UNIT_EQ(fake_copies(), copies + 1);	/* not again and again */
	pass_until_answered(&d, 1, operation);
	UNIT_EQ(fake_copies(), copies + 4 + 1);	/* and the barrier's */
	device_run(&d);
	device_expect(&d, 2, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_OKAY);
	if (operation == BLKIF_OP_READ)
		UNIT_OK(is_filled(fake_page(GUEST_DATA_PAGE), PAGE, 4));
	else
		UNIT_OK(is_filled(disk_memory_data(d.disk), PAGE, 3));
	device_close(&d);
}

static void test_starved(void)
{
	starve(ENOMEM, 0, BLKIF_OP_WRITE);
	starve(ENOMEM, 0, BLKIF_OP_READ);
	starve(0, GNTST_no_device_space, BLKIF_OP_WRITE);
	starve(0, GNTST_eagain, BLKIF_OP_READ);
}

/* The same for the page of an indirect request's segments. */
static void test_starved_indirect(void)
{
	struct device d = { .grants = VBD_GRANTS_COPY };
	struct blkif_request_segment *segs;

	device_open(&d);
	segs = (void *)fake_page(GUEST_DATA_PAGE);
	segs[0] = segment(fake_grant(GUEST_DATA_PAGE + 1, true), 0, 7);
	fake_fail_copies(2, ENOMEM, 0);
	guest_indirect(d.g, BLKIF_OP_WRITE, 1, 0, 1, fake_grant(GUEST_DATA_PAGE, true));
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	device_close(&d);
}

/* A page that is not used any more goes back, though the device is never idle. */
static void test_idle_page(void)
{
	struct device d = { .persistent = true, .persistent_idle_ms = 300 };
	struct blkif_request_segment busy, idle;
	uint64_t end = now_ms() + 20000, id = 1;
	uint32_t maps;

	device_open(&d);
	busy = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	idle = segment(fake_grant(GUEST_DATA_PAGE + 1, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_READ, 1, 0, 1, &idle);
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	maps = fake_maps();
	while (!fake_revoke(idle.gref) && now_ms() < end) {
		guest_rw(d.g, BLKIF_OP_READ, ++id, 0, 1, &busy);
		device_go(&d);
		device_expect(&d, id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
		UNIT_OK(blkback_housekeep(d.b) > 0);
	}
	UNIT_OK(now_ms() < end);
	UNIT_EQ(fake_mapped(), 2);	/* the ring, and the busy one */
	UNIT_EQ(fake_maps(), maps + 1);
	/* Then that too, and nothing is left to wait for. */
	while (blkback_housekeep(d.b) >= 0 && now_ms() < end)
		usleep(1000);
	UNIT_OK(fake_revoke(busy.gref));
	device_close(&d);
}

/* While only the disk has something to do, so that its end wakes us, nothing is timed soon. */
static void test_slow_disk(void)
{
	struct limit limit = { .rate = { [LIMIT_BYTES][LIMIT_TOTAL] = { 10000, 1 } } };
	struct disk_memory_faults f = { .paused = true };
	struct device d = { .grants = VBD_GRANTS_COPY };
	struct blkif_request_segment s;

	UNIT_EQ(blkback_limit_open(false, &d.limit), 0);
	blkback_limit_set(d.limit, &limit);
	device_open(&d);
	disk_memory_set_faults(d.disk, &f);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_READ, 1, 0, 1, &s);
	device_go(&d);
	UNIT_OK((uint32_t)blkback_housekeep(d.b) >= 1000);	/* or -1 */
	guest_rw(d.g, BLKIF_OP_READ, 2, 0, 1, &s);
	device_go(&d);
	UNIT_OK(blkback_is_held_back(d.b));
	UNIT_OK((uint32_t)blkback_housekeep(d.b) < 1000);
	blkback_drain_pass(d.b);
	UNIT_OK((uint32_t)blkback_housekeep(d.b) >= 1000);
	f.paused = false;
	disk_memory_set_faults(d.disk, &f);
	blkback_limit_set(d.limit, &(struct limit){ .request_bytes = 0 });
	blkback_limit_changed(d.b);
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	device_expect(&d, 2, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	device_close(&d);
	blkback_limit_close(d.limit);
}

/* Mapped once; more pages than the cap go round, and stay under it. */
static void test_persistent(void)
{
	struct device d = { .persistent = true };
	struct blkif_request_segment s;
	uint32_t first, maps, ring = 1;

	device_open(&d);
	first = fake_grant(GUEST_DATA_PAGE, false);
	s = segment(first, 0, 7);
	maps = fake_maps();
	for (uint32_t i = 0; i < 5; i++) {
		guest_rw(d.g, i % 2, i, 0, 1, &s);
		device_go(&d);
		device_expect(&d, i, i % 2, BLKIF_RSP_OKAY);
	}
	UNIT_EQ(fake_maps(), maps + 1);
	for (uint32_t i = 0; i < 3 * PERSISTENT_PAGES; i++) {
		s = segment(fake_grant(GUEST_DATA_PAGE + i % 100, false), 0, 7);
		guest_rw(d.g, BLKIF_OP_READ, i, 0, 1, &s);
		device_go(&d);
		device_expect(&d, i, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	}
	UNIT_EQ(fake_mapped(), PERSISTENT_PAGES + ring);
	UNIT_OK(fake_revoke(first));
	device_close(&d);
}

/* XSA-155: what counts is the copy taken first. */
static void test_slot_changes(void)
{
	struct device d = { .nr_queues = 1 };
	struct disk_memory_faults pause = { .paused = true }, none = { .every = 0 };
	struct blkif_request_segment s;

	device_open(&d);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 0);
	memset(fake_page(GUEST_DATA_PAGE), 0x77, PAGE);
	disk_memory_set_faults(d.disk, &pause);
	guest_rw(d.g, BLKIF_OP_WRITE, 4711, 3, 1, &s);
	device_go(&d);
	guest_scribble(d.g);
	disk_memory_set_faults(d.disk, &none);
	device_run(&d);
	device_expect(&d, 4711, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_EQ(disk_memory_data(d.disk)[3 * 512], 0x77);
	UNIT_EQ(disk_memory_data(d.disk)[4 * 512], 0);
	device_close(&d);
}

/* ---- disk errors ------------------------------------------------------------------------ */

static void disk_error(uint8_t operation, int err, int16_t want)
{
	struct device d = { .nr_queues = 1 };
	struct disk_memory_faults f = { .any_op = true, .every = 1, .err = err };
	struct blkif_request_segment s;

	device_open(&d);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	disk_memory_set_faults(d.disk, &f);
	if (operation == BLKIF_OP_DISCARD)
		guest_discard(d.g, 1, 0, 8, 0);
	else
		guest_rw(d.g, operation, 1, 0, operation != BLKIF_OP_FLUSH_DISKCACHE, &s);
	device_go(&d);
	device_expect(&d, 1, operation, want);
	UNIT_EQ(blkback_figures(d.queue[0].b)->errors, 1);
	device_close(&d);
}

static void test_disk_errors(void)
{
	for (uint8_t op = BLKIF_OP_READ; op <= BLKIF_OP_FLUSH_DISKCACHE; op++)
		disk_error(op, -EIO, BLKIF_RSP_ERROR);
	disk_error(BLKIF_OP_DISCARD, -EIO, BLKIF_RSP_ERROR);
	disk_error(BLKIF_OP_DISCARD, -EOPNOTSUPP, BLKIF_RSP_EOPNOTSUPP);
	disk_error(BLKIF_OP_FLUSH_DISKCACHE, -EOPNOTSUPP, BLKIF_RSP_EOPNOTSUPP);
	disk_error(BLKIF_OP_WRITE, -EOPNOTSUPP, BLKIF_RSP_ERROR);
	disk_error(BLKIF_OP_READ, -ENOSPC, BLKIF_RSP_ERROR);
}

/* ---- everything at once ------------------------------------------------------------------------- */

static uint32_t noise(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void put_random(struct device *d, uint32_t *seed, const uint32_t *grefs, uint64_t id)
{
	struct blkif_request_segment segs[11];
	uint64_t sector = noise(seed) % 50 ? noise(seed) % SECTORS : (uint64_t)noise(seed) << 40;

	for (uint32_t i = 0; i < 11; i++) {
		uint32_t r = noise(seed);

		segs[i] = segment(r % 40 ? grefs[r % 64] : r, r >> 8 & 3, 4 + (r >> 10 & 3));
		if (r % 100 == 0)
			segs[i].first_sect = 9;
	}
	if (noise(seed) % 10 == 0)
		guest_discard(d->g, id, sector, noise(seed) % 100, 1);
	else if (noise(seed) % 10 == 0)
		guest_indirect(d->g, noise(seed) % 3, id, sector, (uint16_t)(noise(seed) % 300),
			       grefs[0]);
	else
		guest_rw(d->g, noise(seed) % 12 ? noise(seed) % 2 : noise(seed) % 9, id,
			 sector, noise(seed) % 13, segs);
}

static void once_each(struct device *d)
{
	struct disk_memory_faults bad = { .any_op = true, .every = 7, .err = -EIO,
					  .delay_us = 1, .reverse = true };
	uint32_t nr = 3000, put = 0, got = 0, seed = 99, grefs[64];
	uint8_t *seen = calloc(1, nr);
	struct guest_response r;

	for (uint32_t i = 0; i < 64; i++)
		grefs[i] = fake_grant(GUEST_DATA_PAGE + i, i % 8 == 1);
	disk_memory_set_faults(d->disk, &bad);
	for (uint32_t tries = 0; got < nr && tries < 1000000; tries++) {
		while (put < nr && ring_front_free(&d->g->front) && noise(&seed) % 8)
			put_random(d, &seed, grefs, put++);
		device_go(d);
		while (guest_response(d->g, &r)) {
			UNIT_NEED(r.id < put && !seen[r.id]);
			seen[r.id] = 1;
			got++;
		}
	}
	UNIT_EQ(got, nr);
	UNIT_EQ(blkback_in_flight(d->b), 0);
	free(seen);
}

static void test_once_each(void)
{
	device_in_all_ways(once_each);
}

static const struct unit_test tests[] = {
	{ "data, direct", test_data_direct },
	{ "data, indirect", test_data_indirect },
	{ "a full ring of 16 pages", test_full_ring },
	{ "bad requests", test_refusals },
	{ "bad indirect requests", test_refusals_indirect },
	{ "discards", test_discards },
	{ "discards, limited", test_limited_discards },
	{ "a read-only disk", test_read_only },
	{ "4K sectors", test_large_sectors },
	{ "bounds", test_bounds },
	{ "what is not offered", test_not_offered },
	{ "pages not granted, or read-only", test_bad_grants },
	{ "pages are given back before the answer", test_given_back },
	{ "no room to map", test_no_maptrack },
	{ "room again", test_room_again },
	{ "little room", test_little_room },
	{ "copies that must wait", test_starved },
	{ "segments that must wait", test_starved_indirect },
	{ "an idle page", test_idle_page },
	{ "a slow disk", test_slow_disk },
	{ "persistent grants", test_persistent },
	{ "slots that change", test_slot_changes },
	{ "disk errors", test_disk_errors },
	{ "each is answered once", test_once_each },
};

int main(void)
{
	return unit_run("blkback", tests, UNIT_LEN(tests));
}
