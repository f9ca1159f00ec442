/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue of the block back end against a guest in the same process: what is
 * refused, what is moved by which way, in which order, and that each request
 * is answered once. The disk is memory with faults.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "blk-guest.h"
#include "blkback.h"
#include "blkback-parse.h"
#include "disk-memory.h"
#include "fake-xen.h"
#include "grant.h"
#include "unit.h"

#define DISK_BYTES (4u << 20)
#define SECTORS (DISK_BYTES / 512)
#define PAGE 4096u

static const char *const abi_names[] = { "native", "x86_32", "x86_64" };

/* ---- a device with one or two queues ------------------------------------------------ */

struct queue {
	struct guest guest;
	struct blkback *b;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	struct disk *disk;
	void *ring;
	bool kicked;
};

struct device {
	enum vbd_abi abi;
	uint32_t order, nr_queues;
	bool persistent;
	enum worker_grants grants;
	struct vbd_features features;

	struct queue queue[2];
	struct guest *g;		/* of queue 0 */
	struct blkback *b;
	struct disk *disk;
	struct blkback_gate *gate;
	struct journal *journal;
	int journal_fd;
	struct log_peer log;
};

static void kick(void *arg, uint32_t queue)
{
	((struct device *)arg)->queue[queue].kicked = true;
}

static void open_queue(struct device *d, uint32_t i)
{
	struct queue *q = &d->queue[i];
	struct disk_config disk = { .fd = -1, .depth = 1024, .max_iov = BLKBACK_SEGMENTS_MAX };
	struct blkback_queue_config cfg = {
		.domid = FAKE_DOMID, .abi = d->abi, .persistent = d->persistent,
		.grants = d->grants, .features = &d->features,
		.nr_slots = blkback_nr_slots(d->abi, d->order), .log = &d->log,
		.gate = d->gate, .queue = i, .kick = kick, .kick_arg = d,
		.journal = journal_queue(d->journal, i),
	};

	grant_open(&q->xgt);
	q->xce = xenevtchn_open(NULL, 0);
	q->port = (evtchn_port_t)xenevtchn_bind_interdomain(q->xce, FAKE_DOMID,
							    q->guest.port);
	UNIT_EQ(disk_memory_open(DISK_BYTES, &disk, &q->disk), 0);
	UNIT_EQ(grant_map(q->xgt, FAKE_DOMID, q->guest.ring_gref, 1u << d->order,
			  PROT_READ | PROT_WRITE, &q->ring), 0);
	cfg.xgt = q->xgt;
	cfg.disk = q->disk;
	UNIT_EQ(blkback_open(&cfg, &q->b), 0);
}

static void open_back(struct device *d)
{
	UNIT_EQ(journal_open(d->journal_fd, d->nr_queues,
			     blkback_nr_slots(d->abi, d->order), &d->journal), 0);
	UNIT_EQ(blkback_gate_open(d->nr_queues, &d->gate), 0);
	for (uint32_t i = 0; i < d->nr_queues; i++)
		open_queue(d, i);
	d->g = &d->queue[0].guest;
	d->b = d->queue[0].b;
	d->disk = d->queue[0].disk;
}

static int start_queue(struct device *d, uint32_t i, const struct journal_recovery *rec)
{
	struct queue *q = &d->queue[i];

	return blkback_start(q->b, q->ring, PAGE << d->order, rec, q->xce, q->port);
}

/* What is not set before has these values; then everything is open and started. */
static void device_open(struct device *d)
{
	if (!d->nr_queues)
		d->nr_queues = 1;
	if (!d->features.sectors)
		d->features.sectors = SECTORS;
	if (!d->features.sector_bytes)
		d->features.sector_bytes = 512;
	d->features.flush = d->features.barrier = d->features.discard = true;
	d->features.max_indirect_segments = 256;
	log_open("test-blkback", getenv("PV_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	log_peer_init(&d->log, "vbd");
	fake_reset();
	for (uint32_t i = 0; i < d->nr_queues; i++)
		guest_open(&d->queue[i].guest, d->abi, d->order, i);
	d->journal_fd = memfd_create("journal", MFD_CLOEXEC);
	open_back(d);
	for (uint32_t i = 0; i < d->nr_queues; i++)
		UNIT_EQ(start_queue(d, i, NULL), 0);
}

static void close_back(struct device *d)
{
	for (uint32_t i = 0; i < d->nr_queues; i++) {
		struct queue *q = &d->queue[i];

		blkback_leave(q->b);
		blkback_close(q->b);
		disk_close(q->disk);
		grant_unmap(q->xgt, q->ring, 1u << d->order);
		xenevtchn_unbind(q->xce, q->port);
		xenevtchn_close(q->xce);
		xengnttab_close(q->xgt);
	}
	blkback_gate_close(d->gate);
	journal_close(d->journal);
}

/* Everything was given back. */
static void device_close(struct device *d)
{
	close_back(d);
	close(d->journal_fd);
	UNIT_EQ(fake_mapped(), 0);
	UNIT_EQ(fake_handles(), 0);
}

/* As a queue's thread: awake when kicked, when the ring has requests, or the disk. */
static bool wake(struct queue *q)
{
	bool awake = q->kicked || blkback_pending(q->b) > 0 || q->disk->in_flight;
	bool moved = q->kicked;

	if (q->kicked)
		blkback_kicked(q->b);
	q->kicked = false;
	while (awake && blkback_pass(q->b) > 0)
		moved = true;
	return moved;
}

/* All queues until nothing moves. */
static void run(struct device *d)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (uint32_t i = 0; i < d->nr_queues; i++)
			moved |= wake(&d->queue[i]);
	}
}

/* The next response of the first queue has these values. */
static void expect(struct device *d, uint64_t id, uint8_t operation, int16_t status)
{
	struct guest_response r;

	UNIT_NEED(guest_response(d->g, &r));
	UNIT_EQ(r.id, id);
	UNIT_EQ(r.operation, operation);
	UNIT_EQ(r.status, status);
	UNIT_OK(r.padding_clean);
}

static void expect_none(struct device *d)
{
	struct guest_response r;

	UNIT_OK(!guest_response(d->g, &r));
}

static void go(struct device *d)
{
	guest_push(d->g);
	run(d);
}

static struct blkif_request_segment seg(uint32_t gref, uint8_t first, uint8_t last)
{
	return (struct blkif_request_segment){ .gref = gref, .first_sect = first,
					       .last_sect = last };
}

/* Every ABI and every way to reach pages, with a line when one of them fails. */
static void in_all_ways(void (*test)(struct device *d))
{
	for (int abi = 0; abi < 3; abi++)
		for (int way = 0; way < 4; way++) {
			unsigned before = CU_get_number_of_failures();
			struct device d = { .abi = abi, .persistent = way == 3,
					    .grants = way == 3 ? WORKER_GRANTS_AUTO : way };

			device_open(&d);
			test(&d);
			device_close(&d);
			if (CU_get_number_of_failures() > before)
				fprintf(stderr, "\n  (ABI %s, way %d)", abi_names[abi], way);
		}
}

static void in_all_abis(void (*test)(struct device *d))
{
	for (int abi = 0; abi < 3; abi++) {
		struct device d = { .abi = abi };

		device_open(&d);
		test(&d);
		device_close(&d);
	}
}

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
		seg(fake_grant(page + 2, true), 3, 7),
		seg(fake_grant(page + 1, true), 0, 7),
		seg(fake_grant(page, true), 1, 1),
	};
	struct blkif_request_segment back[3] = {
		seg(fake_grant(page + 4, false), 0, 7),
		seg(fake_grant(page + 5, false), 1, 5),
		seg(fake_grant(page + 6, false), 7, 7),
	};

	fill(fake_page(page), 3 * PAGE, 1);
	guest_rw(d->g, BLKIF_OP_WRITE, 71, 100, 3, segs);
	go(d);
	expect(d, 71, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_EQ(memcmp(disk + 100 * 512, fake_page(page + 2) + 3 * 512, 5 * 512), 0);
	UNIT_EQ(memcmp(disk + 105 * 512, fake_page(page + 1), 8 * 512), 0);
	UNIT_EQ(memcmp(disk + 113 * 512, fake_page(page) + 512, 512), 0);
	UNIT_EQ(disk[114 * 512] | disk[100 * 512 - 1], 0);

	memset(fake_page(page + 4), 0xee, 3 * PAGE);
	guest_rw(d->g, BLKIF_OP_READ, 72, 100, 3, back);
	go(d);
	expect(d, 72, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_EQ(memcmp(fake_page(page + 4), disk + 100 * 512, PAGE), 0);
	UNIT_EQ(memcmp(fake_page(page + 5) + 512, disk + 108 * 512, 5 * 512), 0);
	UNIT_EQ(memcmp(fake_page(page + 6) + 7 * 512, disk + 113 * 512, 512), 0);
	UNIT_EQ(fake_page(page + 5)[511], 0xee);
	UNIT_EQ(fake_page(page + 5)[6 * 512], 0xee);
	UNIT_EQ(fake_page(page + 6)[7 * 512 - 1], 0xee);
	expect_none(d);
}

static void test_data_direct(void)
{
	in_all_ways(data_direct);
}

/* All 256 segments, both directions; the response carries the inner operation. */
static void data_indirect(struct device *d)
{
	uint32_t list = GUEST_DATA_PAGE, data = list + 2;
	struct blkif_request_segment *segs = (void *)fake_page(list);
	uint32_t list_gref = fake_grant(list, true);

	for (uint32_t i = 0; i < 256; i++)
		segs[i] = seg(fake_grant(data + i, false), 0, 7);
	fill(fake_page(data), 256 * PAGE, 2);
	guest_indirect(d->g, BLKIF_OP_WRITE, 5, 8, 256, list_gref);
	go(d);
	expect(d, 5, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_OK(is_filled(disk_memory_data(d->disk) + 8 * 512, 256 * PAGE, 2));
	memset(fake_page(data), 0, 256 * PAGE);
	guest_indirect(d->g, BLKIF_OP_READ, 6, 8, 256, list_gref);
	go(d);
	expect(d, 6, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_OK(is_filled(fake_page(data), 256 * PAGE, 2));
}

static void test_data_indirect(void)
{
	in_all_ways(data_indirect);
}

/* The whole of a 16-page ring at once, and the same gref and id many times. */
static void full_ring(struct device *d)
{
	uint32_t nr = d->g->front.nr_slots, gref = fake_grant(GUEST_DATA_PAGE, false);
	struct blkif_request_segment s = seg(gref, 0, 7);
	struct guest_response r;
	uint32_t got = 0;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < nr; i++)
			guest_rw(d->g, BLKIF_OP_READ, 1, i % 512 * 8, 1, &s);
		go(d);
		while (guest_response(d->g, &r))
			got += r.id == 1 && r.status == BLKIF_RSP_OKAY;
	}
	UNIT_EQ(got, 3 * nr);
	UNIT_EQ(nr, 512);
}

static void test_full_ring(void)
{
	for (int way = 0; way < 4; way++) {
		struct device d = { .order = 4, .persistent = way == 3,
				    .grants = way == 3 ? WORKER_GRANTS_AUTO : way };

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
		segs[i] = seg(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	for (size_t i = 0; i < UNIT_LEN(bad_requests); i++) {
		const struct bad *bad = &bad_requests[i];
		uint32_t which = bad->nr_segments == 2;
		unsigned before = CU_get_number_of_failures();

		segs[which].first_sect = bad->first;
		segs[which].last_sect = bad->last;
		guest_rw(d->g, bad->operation, 900 + i, bad->sector, bad->nr_segments, segs);
		go(d);
		expect(d, 900 + i, bad->operation, bad->status);
		expect_none(d);
		segs[which] = seg(segs[which].gref, 0, 7);
		if (CU_get_number_of_failures() > before)
			fprintf(stderr, "\n  (%s)", bad->what);
	}
	UNIT_OK(disk_untouched(d));
	UNIT_EQ(blkback_in_flight(d->b), 0);
	UNIT_EQ(journal_counters(journal_queue(d->journal, 0))->unsupported, 3);
	UNIT_EQ(journal_counters(journal_queue(d->journal, 0))->errors,
		UNIT_LEN(bad_requests) - 3);
}

static void test_refusals(void)
{
	in_all_abis(refusals);
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
		segs[i] = seg(fake_grant(GUEST_DATA_PAGE + 1, false), 0, 7);
	memset(fake_page(GUEST_DATA_PAGE + 1), 0xdd, PAGE);
	for (size_t i = 0; i < UNIT_LEN(bad_indirects); i++) {
		const struct bad_indirect *bad = &bad_indirects[i];
		unsigned before = CU_get_number_of_failures();

		segs[19].last_sect = bad->last;
		guest_indirect(d->g, bad->inner, i, 0, bad->nr_segments,
			       bad->gref ? bad->gref : list);
		go(d);
		expect(d, i, bad->inner, BLKIF_RSP_ERROR);
		expect_none(d);
		if (CU_get_number_of_failures() > before)
			fprintf(stderr, "\n  (%s)", bad->what);
	}
	UNIT_OK(disk_untouched(d));
}

static void test_refusals_indirect(void)
{
	in_all_ways(refusals_indirect);
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
		go(d);
		expect(d, i, BLKIF_OP_DISCARD, cases[i].status);
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
	in_all_abis(discards);
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
	s = segs[0] = seg(fake_grant(GUEST_DATA_PAGE + 1, false), 0, 7);
	memset(fake_page(GUEST_DATA_PAGE + 1), 1, PAGE);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 2, 0, 1, &s);
	guest_discard(d.g, 3, 0, 8, 0);
	guest_indirect(d.g, BLKIF_OP_WRITE, 4, 0, 1, list);
	guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, 5, 0, 0, NULL);
	guest_indirect(d.g, BLKIF_OP_READ, 6, 0, 1, list);
	go(&d);
	expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	expect(&d, 2, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_ERROR);
	expect(&d, 3, BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
	expect(&d, 4, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	expect(&d, 5, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_OKAY);
	expect(&d, 6, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_OK(disk_untouched(&d));
	device_close(&d);
}

/* 4K sectors: nothing smaller passes, in position or length. */
static void test_large_sectors(void)
{
	struct device d = { .features.sector_bytes = 4096 };
	struct blkif_request_segment s, halves[2];

	device_open(&d);
	s = seg(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 4, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 8, 1, &s);
	s.last_sect = 3;
	guest_rw(d.g, BLKIF_OP_WRITE, 3, 8, 1, &s);
	guest_discard(d.g, 4, 8, 4, 0);
	halves[0] = halves[1] = s;
	guest_rw(d.g, BLKIF_OP_WRITE, 5, 8, 2, halves);
	go(&d);
	expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	expect(&d, 3, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	expect(&d, 4, BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
	expect(&d, 5, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	expect(&d, 2, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
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
	struct blkif_request_segment s = seg(1, 0, 7);
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
	struct blkif_request_segment ok = seg(good, 0, 7), ro = seg(read_only, 0, 7);
	struct blkif_request_segment mixed[2] = { ok, seg(5000, 0, 7) };
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
	go(d);
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
	expect_none(d);
}

static void test_bad_grants(void)
{
	in_all_ways(bad_grants);
}

/* A response means that the page is the guest's again. */
static void given_back(struct device *d)
{
	uint32_t gref = fake_grant(GUEST_DATA_PAGE, false);
	struct blkif_request_segment s = seg(gref, 0, 7);

	for (uint32_t i = 0; i < 20; i++)
		guest_rw(d->g, i % 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ, i, 0, 1, &s);
	go(d);
	UNIT_EQ(fake_revoke(gref), !d->persistent);
}

static void test_given_back(void)
{
	in_all_ways(given_back);
}

/* Maps refused for want of room: the data goes by copy, nobody notices. */
static void test_no_maptrack(void)
{
	struct device d = { .grants = WORKER_GRANTS_MAP };
	struct blkif_request_segment s;

	device_open(&d);
	s = seg(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	fill(fake_page(GUEST_DATA_PAGE), PAGE, 9);
	fake_fail_map(1, ENOSPC);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 0, 1, &s);
	go(&d);
	expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	UNIT_OK(is_filled(disk_memory_data(d.disk), PAGE, 9));
	device_close(&d);
}

/* Mapped once; more pages than the cap go round, and stay under it. */
static void test_persistent(void)
{
	struct device d = { .persistent = true };
	struct blkif_request_segment s;
	uint32_t first, maps, ring = 1;

	device_open(&d);
	first = fake_grant(GUEST_DATA_PAGE, false);
	s = seg(first, 0, 7);
	maps = fake_maps();
	for (uint32_t i = 0; i < 5; i++) {
		guest_rw(d.g, i % 2, i, 0, 1, &s);
		go(&d);
		expect(&d, i, i % 2, BLKIF_RSP_OKAY);
	}
	UNIT_EQ(fake_maps(), maps + 1);
	for (uint32_t i = 0; i < 3 * BLKBACK_PERSISTENT_PAGES; i++) {
		s = seg(fake_grant(GUEST_DATA_PAGE + i % 100, false), 0, 7);
		guest_rw(d.g, BLKIF_OP_READ, i, 0, 1, &s);
		go(&d);
		expect(&d, i, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	}
	UNIT_EQ(fake_mapped(), BLKBACK_PERSISTENT_PAGES + ring);
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
	s = seg(fake_grant(GUEST_DATA_PAGE, false), 0, 0);
	memset(fake_page(GUEST_DATA_PAGE), 0x77, PAGE);
	disk_memory_set_faults(d.disk, &pause);
	guest_rw(d.g, BLKIF_OP_WRITE, 4711, 3, 1, &s);
	go(&d);
	guest_scribble(d.g);
	disk_memory_set_faults(d.disk, &none);
	run(&d);
	expect(&d, 4711, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
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
	s = seg(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	disk_memory_set_faults(d.disk, &f);
	if (operation == BLKIF_OP_DISCARD)
		guest_discard(d.g, 1, 0, 8, 0);
	else
		guest_rw(d.g, operation, 1, 0, operation != BLKIF_OP_FLUSH_DISKCACHE, &s);
	go(&d);
	expect(&d, 1, operation, want);
	UNIT_EQ(journal_counters(journal_queue(d.journal, 0))->errors, 1);
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

/* ---- order -------------------------------------------------------------------------------- */

static void settle(struct device *d, const uint32_t want[], uint32_t nr)
{
	struct guest_response r;
	uint32_t got = 0;

	for (uint32_t tries = 0; got < nr && tries < 100000; tries++) {
		run(d);
		while (got < nr && guest_response(d->g, &r)) {
			UNIT_EQ(r.id, want[got]);
			UNIT_EQ(r.status, BLKIF_RSP_OKAY);
			got++;
		}
	}
	UNIT_EQ(got, nr);
}

/*
 * The disk finishes the last first. Between barriers that shows in the answers;
 * across one it never does, and the barrier's data lie between.
 */
static void test_barrier(void)
{
	static const uint32_t order[] = { 2, 1, 3, 4, 7, 6, 5 };
	struct device d = { .nr_queues = 1 };
	struct disk_memory_faults slow = { .delay_us = 300, .reverse = true };
	struct blkif_request_segment s;

	device_open(&d);
	s = seg(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	memset(fake_page(GUEST_DATA_PAGE), 0x42, PAGE);
	disk_memory_set_faults(d.disk, &slow);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 8, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 3, 16, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 4, 0, 0, NULL);
	guest_rw(d.g, BLKIF_OP_WRITE, 5, 24, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 6, 32, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 7, 40, 1, &s);
	go(&d);
	settle(&d, order, UNIT_LEN(order));
	UNIT_EQ(disk_memory_data(d.disk)[16 * 512], 0x42);
	UNIT_EQ(journal_counters(journal_queue(d.journal, 0))->barriers, 2);
	device_close(&d);
}

/* What comes while a barrier runs waits for its end. */
static void test_after_barrier(void)
{
	static const uint32_t order[] = { 1, 2 };
	struct device d = { .nr_queues = 1 };
	struct disk_memory_faults pause = { .paused = true };
	struct disk_memory_faults slow = { .delay_us = 100, .reverse = true };

	device_open(&d);
	disk_memory_set_faults(d.disk, &pause);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 1, 0, 0, NULL);
	go(&d);
	UNIT_EQ(d.disk->in_flight, 1);
	disk_memory_set_faults(d.disk, &slow);
	guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, 2, 0, 0, NULL);
	go(&d);
	settle(&d, order, UNIT_LEN(order));
	device_close(&d);
}

/* Without a barrier: the answers come as the disk finishes. */
static void test_no_barrier(void)
{
	static const uint32_t order[] = { 3, 2, 1 };
	struct device d = { .nr_queues = 1 };
	struct disk_memory_faults slow = { .delay_us = 300, .reverse = true };
	struct blkif_request_segment s;

	device_open(&d);
	s = seg(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	disk_memory_set_faults(d.disk, &slow);
	for (uint32_t i = 1; i <= 3; i++)
		guest_rw(d.g, BLKIF_OP_WRITE, i, i * 8, 1, &s);
	go(&d);
	settle(&d, order, UNIT_LEN(order));
	device_close(&d);
}

static uint32_t answers(struct guest *g)
{
	struct guest_response r;
	uint32_t nr = 0;

	while (guest_response(g, &r))
		nr++;
	return nr;
}

/*
 * A barrier on one queue waits for the other's earlier request, which sticks in
 * its disk, and holds back the other's later one, whose disk would be ready.
 */
static void test_barrier_two_queues(void)
{
	struct device d = { .nr_queues = 2 };
	struct disk_memory_faults pause = { .paused = true }, none = { .every = 0 };
	struct blkif_request_segment s;
	struct guest *g1;

	device_open(&d);
	g1 = &d.queue[1].guest;
	s = seg(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	disk_memory_set_faults(d.queue[1].disk, &pause);
	guest_rw(g1, BLKIF_OP_WRITE, 10, 0, 1, &s);
	guest_push(g1);
	run(&d);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 0, 1, &s);
	go(&d);
	UNIT_EQ(answers(d.g), 0);
	guest_rw(g1, BLKIF_OP_FLUSH_DISKCACHE, 11, 0, 0, NULL);
	guest_push(g1);
	run(&d);
	UNIT_EQ(answers(d.g) + answers(g1), 0);
	disk_memory_set_faults(d.queue[1].disk, &none);
	disk_memory_set_faults(d.disk, &pause);
	run(&d);
	UNIT_EQ(answers(g1), 1);	/* the earlier; the later waits for the barrier */
	UNIT_EQ(answers(d.g), 0);
	disk_memory_set_faults(d.disk, &none);
	run(&d);
	UNIT_EQ(answers(d.g), 2);
	UNIT_EQ(answers(g1), 1);
	device_close(&d);
}

/* Barriers on both queues at once, many of each: all are answered. */
static void test_barriers_compete(void)
{
	struct device d = { .nr_queues = 2 };
	struct disk_memory_faults slow = { .delay_us = 20 };
	struct blkif_request_segment s;
	uint32_t nr = 0;

	device_open(&d);
	s = seg(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	for (uint32_t q = 0; q < 2; q++) {
		disk_memory_set_faults(d.queue[q].disk, &slow);
		for (uint32_t i = 0; i < 30; i++)
			guest_rw(&d.queue[q].guest, i % 3 ? BLKIF_OP_WRITE :
				 BLKIF_OP_WRITE_BARRIER, i, i * 8, 1, &s);
		guest_push(&d.queue[q].guest);
	}
	for (uint32_t tries = 0; nr < 60 && tries < 1000000; tries++) {
		run(&d);
		nr += answers(&d.queue[0].guest) + answers(&d.queue[1].guest);
	}
	UNIT_EQ(nr, 60);
	device_close(&d);
}

/* ---- the ring's indices ---------------------------------------------------------------------- */

static void insane(uint32_t delta)
{
	struct device d = { .nr_queues = 1 };

	device_open(&d);
	d.g->front.req_prod_pvt += delta;
	ring_front_push(&d.g->front);
	UNIT_EQ(blkback_pass(d.b), -EPROTO);
	UNIT_EQ(blkback_pending(d.b), -EPROTO);
	UNIT_EQ(blkback_in_flight(d.b), 0);
	device_close(&d);
}

static void test_insane_producer(void)
{
	insane(33);
	insane(0x80000000u);
	insane(0xffffffffu);
}

/* With requests in flight the room is smaller; those are still answered. */
static void test_insane_in_flight(void)
{
	struct device d = { .nr_queues = 1 };
	struct disk_memory_faults pause = { .paused = true }, none = { .every = 0 };

	device_open(&d);
	disk_memory_set_faults(d.disk, &pause);
	for (uint32_t i = 0; i < 3; i++)
		guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, i, 0, 0, NULL);
	go(&d);
	UNIT_EQ(blkback_in_flight(d.b), 3);
	d.g->front.req_prod_pvt += 30;
	ring_front_push(&d.g->front);
	UNIT_EQ(blkback_pass(d.b), -EPROTO);
	disk_memory_set_faults(d.disk, &none);
	while (blkback_busy(d.b))
		blkback_drain_pass(d.b);
	UNIT_EQ(blkback_in_flight(d.b), 0);
	device_close(&d);
}

/* At connect; and a ring that starts anywhere, across 2^32. */
static void test_start(void)
{
	struct device d = { .nr_queues = 1 };
	uint32_t *sring;

	device_open(&d);
	sring = d.g->ring;
	sring[0] = 0xfffffff0u + 33;	/* req_prod */
	sring[2] = 0xfffffff0u;		/* rsp_prod */
	UNIT_EQ(start_queue(&d, 0, NULL), -EPROTO);
	sring[0] = sring[2];
	UNIT_EQ(start_queue(&d, 0, NULL), 0);
	d.g->front.req_prod_pvt = d.g->front.req_prod_pub = d.g->front.rsp_cons = sring[2];
	for (uint32_t i = 0; i < 100; i++) {
		guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, i, 0, 0, NULL);
		go(&d);
		expect(&d, i, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_OKAY);
	}
	device_close(&d);
}

static void test_resize(void)
{
	struct device d = { .features.sectors = 16 };
	struct blkif_request_segment s;

	device_open(&d);
	s = seg(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 16, 1, &s);
	go(&d);
	expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	blkback_set_sectors(d.b, 24);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 16, 1, &s);
	go(&d);
	expect(&d, 2, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
	device_close(&d);
}

/* ---- a predecessor ------------------------------------------------------------------------------ */

/*
 * A process that took ten requests, answered two, published one and is gone:
 * its successor publishes the other answer and executes eight.
 */
static void predecessor(struct device *d)
{
	struct disk_memory_faults pause = { .paused = true };

	open_back(d);
	start_queue(d, 0, NULL);
	guest_rw(d->g, 4, 0, 0, 0, NULL);		/* refused at once: published */
	go(d);
	disk_memory_set_faults(d->disk, &pause);
	for (uint32_t i = 1; i < 10; i++)
		guest_rw(d->g, i == 5 ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_FLUSH_DISKCACHE,
			 i, 0, 0, NULL);
	go(d);
	_exit(0);
}

static void test_replay(void)
{
	struct device d = { .abi = VBD_ABI_X86_32 };
	struct journal_recovery rec;
	struct guest_response r;
	uint32_t events, seen = 0;
	pid_t pid;

	device_open(&d);
	close_back(&d);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		predecessor(&d);
	waitpid(pid, NULL, 0);
	events = fake_guest_events(FAKE_PORT);
	open_back(&d);
	UNIT_EQ(journal_recover(journal_queue(d.journal, 0), &rec), 0);
	UNIT_EQ(rec.nr_taken, 9);
	UNIT_EQ(rec.nr_answered, 0);
	UNIT_EQ(start_queue(&d, 0, &rec), 0);
	UNIT_OK(fake_guest_events(FAKE_PORT) > events);	/* one may have been lost */
	UNIT_EQ(blkback_in_flight(d.b), 9);
	for (uint32_t i = 0; i < rec.nr_taken; i++) {
		UNIT_EQ(blkback_record_is_barrier(rec.taken[i]), i == 4);
		UNIT_EQ(rec.taken[i]->epoch, i > 4);
		blkback_replay(d.b, rec.taken[i]);
	}
	journal_recovery_free(&rec);
	while (blkback_busy(d.b))
		blkback_drain_pass(d.b);
	blkback_drain_pass(d.b);
	/* The guest's own producer is where the predecessor's copy left it. */
	d.g->front.req_prod_pub = d.g->front.req_prod_pvt = 10;
	while (guest_response(d.g, &r)) {
		UNIT_EQ(r.id, seen);
		UNIT_EQ(r.status, seen ? BLKIF_RSP_OKAY : BLKIF_RSP_EOPNOTSUPP);
		seen++;
	}
	UNIT_EQ(seen, 10);
	UNIT_EQ(journal_counters(journal_queue(d.journal, 0))->replayed, 9);
	device_close(&d);
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

		segs[i] = seg(r % 40 ? grefs[r % 64] : r, r >> 8 & 3, 4 + (r >> 10 & 3));
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
		go(d);
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
	in_all_ways(once_each);
}

static const struct unit_test tests[] = {
	{ "data, direct", test_data_direct },
	{ "data, indirect", test_data_indirect },
	{ "a full ring of 16 pages", test_full_ring },
	{ "bad requests", test_refusals },
	{ "bad indirect requests", test_refusals_indirect },
	{ "discards", test_discards },
	{ "a read-only disk", test_read_only },
	{ "4K sectors", test_large_sectors },
	{ "bounds", test_bounds },
	{ "what is not offered", test_not_offered },
	{ "pages not granted, or read-only", test_bad_grants },
	{ "pages are given back before the answer", test_given_back },
	{ "no room to map", test_no_maptrack },
	{ "persistent grants", test_persistent },
	{ "slots that change", test_slot_changes },
	{ "disk errors", test_disk_errors },
	{ "barrier", test_barrier },
	{ "after a barrier", test_after_barrier },
	{ "no barrier, no order", test_no_barrier },
	{ "barrier across queues", test_barrier_two_queues },
	{ "barriers that compete", test_barriers_compete },
	{ "insane producer", test_insane_producer },
	{ "insane producer with requests in flight", test_insane_in_flight },
	{ "starting at any index", test_start },
	{ "resize", test_resize },
	{ "replay of a predecessor's requests", test_replay },
	{ "each is answered once", test_once_each },
};

int main(void)
{
	return unit_run("blkback", tests, UNIT_LEN(tests));
}
