/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue of the block back end: the order that barriers ask for, on one queue
 * and across two; ring indices that lie; what a predecessor left.
 */
#include <sys/wait.h>
#include <unistd.h>
#include "blk-device.h"
#include "blkback-limit.h"
#include "unit.h"

/* ---- order -------------------------------------------------------------------------------- */

static void settle(struct device *d, const uint32_t want[], uint32_t nr)
{
	struct guest_response r;
	uint32_t got = 0;

	for (uint32_t tries = 0; got < nr && tries < 100000; tries++) {
		device_run(d);
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
	s = segment(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	memset(fake_page(GUEST_DATA_PAGE), 0x42, PAGE);
	disk_memory_set_faults(d.disk, &slow);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 8, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 3, 16, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 4, 0, 0, NULL);
	guest_rw(d.g, BLKIF_OP_WRITE, 5, 24, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 6, 32, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 7, 40, 1, &s);
	device_go(&d);
	settle(&d, order, UNIT_LEN(order));
	UNIT_EQ(disk_memory_data(d.disk)[16 * 512], 0x42);
	UNIT_EQ(blkback_figures(d.queue[0].b)->barriers, 2);
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
	device_go(&d);
	UNIT_EQ(d.disk->in_flight, 1);
	disk_memory_set_faults(d.disk, &slow);
	guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, 2, 0, 0, NULL);
	device_go(&d);
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
	s = segment(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	disk_memory_set_faults(d.disk, &slow);
	for (uint32_t i = 1; i <= 3; i++)
		guest_rw(d.g, BLKIF_OP_WRITE, i, i * 8, 1, &s);
	device_go(&d);
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
	s = segment(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	disk_memory_set_faults(d.queue[1].disk, &pause);
	guest_rw(g1, BLKIF_OP_WRITE, 10, 0, 1, &s);
	guest_push(g1);
	device_run(&d);
	guest_rw(d.g, BLKIF_OP_WRITE_BARRIER, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 0, 1, &s);
	device_go(&d);
	UNIT_EQ(answers(d.g), 0);
	guest_rw(g1, BLKIF_OP_FLUSH_DISKCACHE, 11, 0, 0, NULL);
	guest_push(g1);
	device_run(&d);
	UNIT_EQ(answers(d.g) + answers(g1), 0);
	disk_memory_set_faults(d.queue[1].disk, &none);
	disk_memory_set_faults(d.disk, &pause);
	device_run(&d);
	UNIT_EQ(answers(g1), 1);	/* the earlier; the later waits for the barrier */
	UNIT_EQ(answers(d.g), 0);
	disk_memory_set_faults(d.disk, &none);
	device_run(&d);
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
	s = segment(fake_grant(GUEST_DATA_PAGE, true), 0, 7);
	for (uint32_t q = 0; q < 2; q++) {
		disk_memory_set_faults(d.queue[q].disk, &slow);
		for (uint32_t i = 0; i < 30; i++)
			guest_rw(&d.queue[q].guest, i % 3 ? BLKIF_OP_WRITE :
				 BLKIF_OP_WRITE_BARRIER, i, i * 8, 1, &s);
		guest_push(&d.queue[q].guest);
	}
	for (uint32_t tries = 0; nr < 60 && tries < 1000000; tries++) {
		device_run(&d);
		nr += answers(&d.queue[0].guest) + answers(&d.queue[1].guest);
	}
	UNIT_EQ(nr, 60);
	device_close(&d);
}

/*
 * Told to end, a queue leaves in the ring what its limit has kept there: a barrier of another
 * queue that has been taken does not wait for that.
 */
static void test_barrier_while_draining(void)
{
	struct limit limit = { .rate = { [LIMIT_BYTES][LIMIT_IN] = { 1, 1 } } };
	struct device d = { .nr_queues = 2 };
	struct blkif_request_segment s;
	struct guest *g1;

	UNIT_EQ(blkback_limit_open(false, &d.limit), 0);
	blkback_limit_set(d.limit, &limit);
	device_open(&d);
	g1 = &d.queue[1].guest;
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_READ, 1, 0, 1, &s);
	guest_rw(d.g, BLKIF_OP_READ, 2, 0, 1, &s);
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	UNIT_OK(blkback_is_held_back(d.b));
	guest_rw(g1, BLKIF_OP_WRITE_BARRIER, 10, 0, 1, &s);
	guest_push(g1);
	device_run(&d);
	UNIT_EQ(answers(d.g) + answers(g1), 0);
	for (uint32_t i = 0; i < 4; i++) {
		blkback_kicked(d.queue[i % 2].b);
		blkback_drain_pass(d.queue[i % 2].b);
	}
	UNIT_EQ(answers(d.g), 0);
	UNIT_EQ(answers(g1), 1);
	blkback_limit_set(d.limit, &(struct limit){ .request_bytes = 0 });
	blkback_limit_changed(d.b);
	device_go(&d);
	device_expect(&d, 2, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	device_close(&d);
	blkback_limit_close(d.limit);
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
	device_go(&d);
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
	UNIT_EQ(device_start_queue(&d, 0, NULL), -EPROTO);
	sring[0] = sring[2];
	UNIT_EQ(device_start_queue(&d, 0, NULL), 0);
	d.g->front.req_prod_pvt = d.g->front.req_prod_pub = d.g->front.rsp_cons = sring[2];
	for (uint32_t i = 0; i < 100; i++) {
		guest_rw(d.g, BLKIF_OP_FLUSH_DISKCACHE, i, 0, 0, NULL);
		device_go(&d);
		device_expect(&d, i, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_OKAY);
	}
	device_close(&d);
}

static void test_resize(void)
{
	struct device d = { .features.sectors = 16 };
	struct blkif_request_segment s;

	device_open(&d);
	s = segment(fake_grant(GUEST_DATA_PAGE, false), 0, 7);
	guest_rw(d.g, BLKIF_OP_WRITE, 1, 16, 1, &s);
	device_go(&d);
	device_expect(&d, 1, BLKIF_OP_WRITE, BLKIF_RSP_ERROR);
	blkback_set_sectors(d.b, 24);
	guest_rw(d.g, BLKIF_OP_WRITE, 2, 16, 1, &s);
	device_go(&d);
	device_expect(&d, 2, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
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

	device_open_back(d);
	device_start_queue(d, 0, NULL);
	guest_rw(d->g, 4, 0, 0, 0, NULL);		/* refused at once: published */
	device_go(d);
	disk_memory_set_faults(d->disk, &pause);
	for (uint32_t i = 1; i < 10; i++)
		guest_rw(d->g, i == 5 ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_FLUSH_DISKCACHE,
			 i, 0, 0, NULL);
	device_go(d);
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
	device_close_back(&d);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		predecessor(&d);
	waitpid(pid, NULL, 0);
	events = fake_guest_events(FAKE_PORT);
	device_open_back(&d);
	UNIT_EQ(journal_recover(journal_queue(d.journal, 0), &rec), 0);
	UNIT_EQ(rec.nr_taken, 9);
	UNIT_EQ(rec.nr_answered, 0);
	UNIT_EQ(device_start_queue(&d, 0, &rec), 0);
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
	UNIT_EQ(blkback_figures(d.queue[0].b)->replayed, 9);
	device_close(&d);
}

static const struct unit_test tests[] = {
	{ "barrier", test_barrier },
	{ "after a barrier", test_after_barrier },
	{ "no barrier, no order", test_no_barrier },
	{ "barrier across queues", test_barrier_two_queues },
	{ "barriers that compete", test_barriers_compete },
	{ "a barrier while queues drain", test_barrier_while_draining },
	{ "insane producer", test_insane_producer },
	{ "insane producer with requests in flight", test_insane_in_flight },
	{ "starting at any index", test_start },
	{ "resize", test_resize },
	{ "replay of a predecessor's requests", test_replay },
};

int main(void)
{
	return unit_run("blkback-order", tests, UNIT_LEN(tests));
}
