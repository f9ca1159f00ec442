/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of up to 4096 segments: their data, their eight pages of segments,
 * and what happens when more of them come than the pool has room for.
 */
#include "blk-device.h"
#include "blkback-internal.h"
#include "segment-pool.h"
#include "unit.h"

#define LARGE BLKBACK_SEGMENTS_MAX
#define LISTS 8u
#define LIST_PAGE GUEST_DATA_PAGE
#define PAGES 512u			/* of data: eight segments of a sector in each */
#define DATA_PAGE (LIST_PAGE + LISTS)

/* ---- the pool ---------------------------------------------------------------------- */

static uint32_t noise(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

struct run {
	uint32_t first, nr;
};

static void take(struct segment_pool *p, uint8_t *used, struct run *r, uint32_t nr)
{
	bool has = segment_pool_has(p, nr);

	r->nr = nr;
	r->first = segment_pool_take(p, nr);
	UNIT_EQ(r->first != SEGMENT_POOL_NONE, has);
	if (r->first == SEGMENT_POOL_NONE) {
		r->nr = 0;
		return;
	}
	UNIT_NEED(r->first + nr <= SEGMENT_POOL_SIZE);
	for (uint32_t i = 0; i < nr; i++)
		UNIT_EQ(used[r->first + i]++, 0);
}

static void put(struct segment_pool *p, uint8_t *used, struct run *r)
{
	for (uint32_t i = 0; i < r->nr; i++)
		used[r->first + i] = 0;
	if (r->nr)
		segment_pool_put(p, r->first, r->nr);
	r->nr = 0;
}

/* Runs never overlap, and when all are back the largest fits again. */
static void test_pool(void)
{
	static uint8_t used[SEGMENT_POOL_SIZE];
	struct run run[64] = { { 0, 0 } };
	struct segment_pool *p = NULL;
	uint32_t seed = 5, a;

	UNIT_EQ(segment_pool_open(&p), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		struct run *r = &run[noise(&seed) % 64];

		if (r->nr)
			put(p, used, r);
		else
			take(p, used, r, 1 + noise(&seed) % (noise(&seed) % 4 ? 64 : LARGE));
	}
	for (uint32_t i = 0; i < 64; i++)
		put(p, used, &run[i]);
	a = segment_pool_take(p, LARGE);
	UNIT_OK(segment_pool_has(p, LARGE));
	take(p, used, &run[0], LARGE);
	UNIT_OK(!segment_pool_has(p, 1));
	UNIT_EQ(segment_pool_take(p, 12), SEGMENT_POOL_NONE);
	segment_pool_put(p, a, LARGE);
	put(p, used, &run[0]);
	segment_pool_close(p);
}

/* ---- data -------------------------------------------------------------------------- */

static void fill(uint8_t *at, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)noise(&seed);
}

static bool is_filled(const uint8_t *at, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != (uint8_t)noise(&seed))
			return false;
	return true;
}

/* A sector a segment, so that nothing of 4096 can be joined but by mistake. */
static void make_lists(uint32_t lists[LISTS])
{
	uint32_t gref[PAGES];

	for (uint32_t i = 0; i < PAGES; i++)
		gref[i] = fake_grant(DATA_PAGE + i, false);
	for (uint32_t i = 0; i < LARGE; i++) {
		struct blkif_request_segment *list = (void *)fake_page(LIST_PAGE + i / PAGES);
		uint8_t sector = (uint8_t)(7 - i % 8);

		list[i % PAGES] = segment(gref[i / 8], sector, sector);
	}
	for (uint32_t i = 0; i < LISTS; i++)
		lists[i] = fake_grant(LIST_PAGE + i, true);
}

/* Sectors of a page lie backwards on the disk. */
static bool on_disk(struct device *d, uint64_t sector, uint32_t nr)
{
	const uint8_t *disk = disk_memory_data(d->disk) + sector * 512;

	for (uint32_t i = 0; i < nr; i++)
		if (memcmp(disk + i * 512, fake_page(DATA_PAGE + i / 8) + (7 - i % 8) * 512, 512))
			return false;
	return true;
}

static void data(struct device *d)
{
	static const uint32_t numbers[] = { 12, 256, 257, 512, 513, 1025, 4095, 4096 };
	uint32_t lists[LISTS];

	make_lists(lists);
	for (uint32_t i = 0; i < UNIT_LEN(numbers); i++) {
		uint32_t nr = numbers[i];

		fill(fake_page(DATA_PAGE), PAGES * PAGE, i);
		guest_indirect_pages(d->g, BLKIF_OP_WRITE, i, 3, (uint16_t)nr, lists);
		device_go(d);
		device_expect(d, i, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
		UNIT_OK(on_disk(d, 3, nr));
		UNIT_EQ(nr == LARGE || !on_disk(d, 3, nr + 1), true);
		fill(disk_memory_data(d->disk) + 11 * 512, nr * 512, i + 100);
		guest_indirect_pages(d->g, BLKIF_OP_READ, i, 11, (uint16_t)nr, lists);
		device_go(d);
		device_expect(d, i, BLKIF_OP_READ, BLKIF_RSP_OKAY);
		UNIT_OK(on_disk(d, 11, nr));
		UNIT_OK(is_filled(disk_memory_data(d->disk) + 11 * 512, nr * 512, i + 100));
		device_expect_none(d);
	}
}

/* Many at once, of few segments each: none gets another's. */
static void together(struct device *d)
{
	enum { NR = 24, SEGMENTS = 20 };
	uint32_t list[NR], gref, answered = 0;
	struct guest_response r;

	for (uint32_t i = 0; i < NR; i++) {
		struct blkif_request_segment *segs = (void *)fake_page(LIST_PAGE + i);

		fill(fake_page(LIST_PAGE + NR + i), PAGE, i);
		gref = fake_grant(LIST_PAGE + NR + i, false);
		for (uint32_t s = 0; s < 512; s++)
			segs[s] = segment(gref, 0, 7);
		list[i] = fake_grant(LIST_PAGE + i, true);
	}
	for (uint32_t i = 0; i < NR; i++)
		guest_indirect(d->g, BLKIF_OP_WRITE, i, i * SEGMENTS * 8, SEGMENTS, list[i]);
	device_go(d);
	while (guest_response(d->g, &r))
		answered += r.status == BLKIF_RSP_OKAY;
	UNIT_EQ(answered, NR);
	/* Runs of 32, from the first on; behind them nothing was touched. */
	UNIT_EQ(d->b->large->segs[NR * 32].gref, 0);
	for (uint32_t i = 0; i < NR * SEGMENTS; i++)
		UNIT_OK(is_filled(disk_memory_data(d->disk) + i * PAGE, PAGE, i / SEGMENTS));
}

/* One bad word among 4096 segments, or among 8 pages of them. */
static void refusals(struct device *d)
{
	struct blkif_request_segment *last = (void *)fake_page(LIST_PAGE + LISTS - 1);
	uint32_t lists[LISTS], good;

	make_lists(lists);
	guest_indirect_pages(d->g, BLKIF_OP_WRITE, 1, 0, LARGE + 1, lists);
	good = lists[7];
	lists[7] = 4000000;
	guest_indirect_pages(d->g, BLKIF_OP_WRITE, 2, 0, LARGE, lists);
	guest_indirect_pages(d->g, BLKIF_OP_READ, 3, 0, LARGE - 512, lists);
	lists[7] = good;
	device_go(d);
	device_expect(d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(d, 2, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	device_expect(d, 3, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	last[511].last_sect = 8;
	guest_indirect_pages(d->g, BLKIF_OP_WRITE, 4, 0, LARGE, lists);
	device_go(d);
	device_expect(d, 4, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	last[511].last_sect = last[511].first_sect;
	last[511].gref = 4000000;
	guest_indirect_pages(d->g, BLKIF_OP_WRITE, 5, 0, LARGE, lists);
	device_go(d);
	device_expect(d, 5, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	UNIT_EQ(disk_memory_data(d->disk)[0], 0);
}

static void in_all_ways(void (*test)(struct device *d))
{
	for (int abi = 0; abi < 3; abi++)
		for (int way = VBD_GRANTS_AUTO; way <= VBD_GRANTS_COPY; way++) {
			unsigned before = CU_get_number_of_failures();
			struct device d = { .abi = abi, .persistent = way == VBD_GRANTS_PERSISTENT,
					    .features.max_indirect_segments = LARGE,
					    .grants = way };

			device_open(&d);
			test(&d);
			device_close(&d);
			if (CU_get_number_of_failures() > before)
				fprintf(stderr, "\n  (ABI %d, way %d)", abi, way);
		}
}

static void test_data(void) { in_all_ways(data); }
static void test_together(void) { in_all_ways(together); }
static void test_refusals(void) { in_all_ways(refusals); }

/* ---- more than there is room for ---------------------------------------------------- */

static const struct disk_memory_faults paused = { .paused = true }, running = { .every = 0 };

/* They wait in the ring, in order, with what comes after them; none fails. */
static void back_pressure(struct device *d)
{
	uint32_t lists[LISTS], answered = 0;
	struct guest_response r;

	make_lists(lists);
	disk_memory_set_faults(d->disk, &paused);
	for (uint32_t i = 0; i < 5; i++)
		guest_indirect_pages(d->g, i % 2, i, 0, LARGE, lists);
	guest_rw(d->g, BLKIF_OP_FLUSH_DISKCACHE, 5, 0, 0, NULL);
	device_go(d);
	UNIT_EQ(blkback_in_flight(d->b), SEGMENT_POOL_SIZE / LARGE);
	UNIT_EQ(blkback_pending(d->b), 0);
	UNIT_EQ(blkback_final(d->b), 0);
	UNIT_EQ(blkback_pass(d->b), 0);
	device_expect_none(d);
	disk_memory_set_faults(d->disk, &running);
	device_run(d);
	while (guest_response(d->g, &r)) {
		UNIT_EQ(r.status, BLKIF_RSP_OKAY);
		answered |= 1u << r.id;
	}
	UNIT_EQ(answered, 0x3f);
}

static void test_back_pressure(void) { in_all_ways(back_pressure); }

/* A slot that grows after the room for it was judged: refused, not overrun. */
static void test_slot_grows(void)
{
	struct device d = { .features.max_indirect_segments = LARGE };
	uint32_t lists[LISTS], n = 0;
	struct guest_response r;

	device_open(&d);
	make_lists(lists);
	disk_memory_set_faults(d.disk, &paused);
	for (uint32_t i = 0; i < 3; i++)
		guest_indirect_pages(d.g, BLKIF_OP_READ, i, 0, LARGE, lists);
	device_go(&d);
	UNIT_EQ(blkback_in_flight(d.b), 2);
	guest_scribble(d.g);		/* the waiting one too */
	disk_memory_set_faults(d.disk, &running);
	device_run(&d);
	while (guest_response(d.g, &r))
		n += r.status == (r.id < 2 ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP);
	UNIT_EQ(n, 3);
	device_close(&d);
}

/*
 * A barrier of one queue comes after all that the other one's ring held, also
 * after what found no room there yet.
 */
static void test_barrier_waits_for_the_ring(void)
{
	struct device d = { .nr_queues = 2, .features.max_indirect_segments = LARGE };
	uint32_t lists[LISTS];
	struct guest_response r;
	struct guest *g1;

	device_open(&d);
	g1 = &d.queue[1].guest;
	make_lists(lists);
	disk_memory_set_faults(d.queue[1].disk, &paused);
	for (uint32_t i = 0; i < 3; i++)
		guest_indirect_pages(g1, BLKIF_OP_READ, i, 0, LARGE, lists);
	guest_push(g1);
	device_run(&d);
	UNIT_EQ(blkback_in_flight(d.queue[1].b), 2);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 7, 0, 0, NULL);
	device_go(&d);
	device_expect_none(&d);
	/* What has room ends; the one that had none is taken, and sticks. */
	disk_memory_set_faults(d.queue[1].disk, &running);
	blkback_pass(d.queue[1].b);
	disk_memory_set_faults(d.queue[1].disk, &paused);
	device_run(&d);
	UNIT_EQ(blkback_in_flight(d.queue[1].b), 1);
	device_expect_none(&d);
	disk_memory_set_faults(d.queue[1].disk, &running);
	device_run(&d);
	device_expect(&d, 7, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_OKAY);
	for (uint32_t i = 0; i < 3; i++)
		UNIT_OK(guest_response(g1, &r) && r.status == BLKIF_RSP_OKAY);
	device_close(&d);
}

/* Both queues starved, with barriers among what waits: all is answered. */
static void test_barriers_and_hunger(void)
{
	struct device d = { .nr_queues = 2, .features.max_indirect_segments = LARGE };
	struct disk_memory_faults slow = { .delay_us = 20, .reverse = true };
	uint32_t lists[LISTS], nr = 0, put[2] = { 0, 0 }, seed = 3;
	struct guest_response r;

	device_open(&d);
	make_lists(lists);
	disk_memory_set_faults(d.queue[0].disk, &slow);
	disk_memory_set_faults(d.queue[1].disk, &slow);
	for (uint32_t tries = 0; nr < 400 && tries < 1000000; tries++) {
		for (uint32_t q = 0; q < 2; q++) {
			struct guest *g = &d.queue[q].guest;

			while (put[q] < 200 && ring_front_free(&g->front) && noise(&seed) % 8)
				if (noise(&seed) % 5)
					guest_indirect_pages(g, BLKIF_OP_READ, put[q]++, 0,
							     noise(&seed) % 2 ? LARGE : 600, lists);
				else
					guest_rw(g, BLKIF_OP_WRITE_BARRIER, put[q]++, 0, 0, NULL);
			guest_push(g);
		}
		device_run(&d);
		for (uint32_t q = 0; q < 2; q++)
			while (guest_response(&d.queue[q].guest, &r)) {
				UNIT_EQ(r.status, BLKIF_RSP_OKAY);
				nr++;
			}
	}
	UNIT_EQ(nr, 400);
	device_close(&d);
}

static const struct unit_test tests[] = {
	{ "the pool", test_pool },
	{ "data of up to 4096 segments", test_data },
	{ "many at once", test_together },
	{ "bad large requests", test_refusals },
	{ "more than there is room for", test_back_pressure },
	{ "a slot that changes while it waits", test_slot_grows },
	{ "a barrier waits for another's ring", test_barrier_waits_for_the_ring },
	{ "barriers among what waits", test_barriers_and_hunger },
};

int main(void)
{
	return unit_run("blkback-large", tests, UNIT_LEN(tests));
}
