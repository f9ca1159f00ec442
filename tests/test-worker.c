/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole worker, as its supervisor and its front end see it: worker_main() in
 * a thread, or in a process that is killed, over fake-xen and an image on
 * tmpfs. Must not know the worker's insides.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "fake-xen.h"
#include "dirty-map.h"
#include "journal.h"
#include "unit.h"
#include "util.h"
#include "worker-main.h"
#include "worker-rig.h"

/* ---- serving -------------------------------------------------------------------------------- */

/* Asleep between all requests, so each needs its event. */
static void serve(struct rig *r)
{
	struct blkif_request_segment s;
	struct worker_msg msg;
	uint8_t seen[PAGE];

	rig_open(r, 1);
	s = rig_whole_page(GUEST_DATA_PAGE);
	rig_start(r);
	rig_hear(r, WORKER_READY, &msg);
	UNIT_OK(msg.engine[0]);
	for (uint32_t i = 0; i < 20; i++) {
		memset(fake_page(GUEST_DATA_PAGE), (int)i + 1, PAGE);
		guest_rw(r->g, BLKIF_OP_WRITE, i, i * 8, 1, &s);
		guest_push(r->g);
		rig_expect(r->g, i, BLKIF_RSP_OKAY);
		UNIT_EQ(pread(r->image, seen, PAGE, i * PAGE), PAGE);
		UNIT_EQ(memcmp(seen, fake_page(GUEST_DATA_PAGE), PAGE), 0);
		usleep(2000);
	}
	guest_rw(r->g, BLKIF_OP_FLUSH_DISKCACHE, 100, 0, 0, NULL);
	guest_push(r->g);
	rig_expect(r->g, 100, BLKIF_RSP_OKAY);
	UNIT_OK(fake_guest_events(r->g->port) >= 1);
	rig_ask_stop(r);
	rig_close(r, 0);
}

static void test_serve(void)
{
	struct rig sleepy = { .start.poll_us = 0 }, eager = { .start.poll_us = 500 };
	struct rig direct = { .start.engine = WORKER_ENGINE_DIRECT, .start.poll_us = 50 };
	struct rig persistent = { .start.front.persistent = true, .order = 4 };

	serve(&sleepy);
	serve(&eager);
	serve(&direct);
	serve(&persistent);
}

static void test_resize(void)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_RESIZE,
				  .sectors = 2 * SECTORS };
	struct blkif_request_segment s;
	struct worker_msg ready, resized;
	struct rig r = { .order = 0 };

	rig_open(&r, 2);
	s = rig_whole_page(GUEST_DATA_PAGE);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &ready);
	guest_rw(r.g, BLKIF_OP_WRITE, 1, SECTORS, 1, &s);
	guest_push(r.g);
	rig_expect(r.g, 1, BLKIF_RSP_ERROR);
	UNIT_EQ(ftruncate(r.image, 2 * IMAGE_BYTES), 0);
	UNIT_EQ(worker_send(r.sock, &msg, NULL, 0), 0);
	rig_hear(&r, WORKER_RESIZED, &resized);
	UNIT_EQ(resized.sectors, 2 * SECTORS);
	guest_rw(r.g, BLKIF_OP_WRITE, 2, SECTORS, 1, &s);
	guest_push(r.g);
	rig_expect(r.g, 2, BLKIF_RSP_OKAY);
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

/* A write, and which chunks of the image are dirty afterwards. */
static uint64_t write_marks(struct rig *r, uint32_t queue, uint64_t id, uint64_t sector,
			    struct dirty_map *map)
{
	struct blkif_request_segment s = rig_whole_page(GUEST_DATA_PAGE);
	uint64_t at, found = 0;
	uint32_t nr;

	guest_rw(&r->guest[queue], BLKIF_OP_WRITE, id, sector, 1, &s);
	guest_push(&r->guest[queue]);
	rig_expect(&r->guest[queue], id, BLKIF_RSP_OKAY);
	for (at = 0; (at = dirty_map_take(map, at, 1, &nr)) != DIRTY_NONE; at++)
		found |= UINT64_C(1) << at;
	return found;
}

static void send_mirror(struct rig *r, int fd)
{
	static uint32_t number = 7;
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_MIRROR };

	msg.mirror.bytes = fd >= 0 ? IMAGE_BYTES : 0;
	msg.mirror.number = number;
	UNIT_EQ(worker_send(r->sock, &msg, &fd, fd >= 0), 0);
	rig_hear(r, WORKER_MIRRORED, &msg);
	UNIT_EQ(msg.mirror.number, number++);
}

/* From MIRRORED on all queues mark, until they are told not to; and from START on. */
static void test_mirror(void)
{
	struct dirty_map *first, *second;
	struct worker_msg msg;
	struct rig r = { .order = 0 };
	int fds[2];

	rig_open(&r, 2);
	UNIT_EQ(dirty_map_make(IMAGE_BYTES, &fds[0]) | dirty_map_make(IMAGE_BYTES, &fds[1]), 0);
	UNIT_EQ(dirty_map_open(fds[0], IMAGE_BYTES, &first), 0);
	UNIT_EQ(dirty_map_open(fds[1], IMAGE_BYTES, &second), 0);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	UNIT_EQ(write_marks(&r, 0, 1, 0, first), 0);
	send_mirror(&r, fds[0]);
	UNIT_EQ(write_marks(&r, 0, 2, 128, first), 2);
	UNIT_EQ(write_marks(&r, 1, 3, 127, first), 3);
	send_mirror(&r, fds[1]);
	UNIT_EQ(write_marks(&r, 1, 4, 256, second), 4);
	UNIT_EQ(dirty_map_count(first), 0);
	send_mirror(&r, -1);
	UNIT_EQ(write_marks(&r, 0, 5, 0, second), 0);
	UNIT_EQ(write_marks(&r, 1, 6, 0, second), 0);
	rig_ask_stop(&r);
	pthread_join(r.thread, NULL);
	close_fd(&r.sock);
	r.map = fds[0];
	r.start.mirror_bytes = IMAGE_BYTES;
	r.start.replay = true;
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	UNIT_EQ(write_marks(&r, 1, 7, 384, first), 8);
	rig_ask_stop(&r);
	rig_close(&r, 0);
	dirty_map_close(first);
	dirty_map_close(second);
	close(fds[0]);
	close(fds[1]);
}

/* ---- ends -------------------------------------------------------------------------------------- */

static void broken(uint32_t before_start)
{
	struct worker_msg msg;
	struct rig r = { .order = 0 };

	rig_open(&r, 1);
	r.g->front.req_prod_pvt += before_start;
	guest_push(r.g);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	if (!before_start) {
		r.g->front.req_prod_pvt += 1000;
		guest_push(r.g);
	}
	rig_hear(&r, WORKER_BROKEN, &msg);
	UNIT_EQ(msg.failure.err, EPROTO);
	UNIT_OK(msg.failure.reason[0]);
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

static void test_broken(void)
{
	broken(0);
	broken(77);
}

/* The supervisor went: what was taken is answered, nothing stays mapped. */
static void test_orphan(void)
{
	struct worker_msg msg;
	struct rig r = { .order = 0 };

	rig_open(&r, 1);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	guest_rw(r.g, BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 0, NULL);
	guest_push(r.g);
	rig_expect(r.g, 1, BLKIF_RSP_OKAY);
	close_fd(&r.sock);
	rig_close(&r, 1);
}

static void fails(struct rig *r, const char *says, bool by_peer)
{
	struct worker_msg msg;

	rig_start(r);
	rig_hear(r, WORKER_FAILED, &msg);
	UNIT_OK(msg.failure.err > 0);
	UNIT_OK(strstr(msg.failure.reason, says) != NULL);
	if (!strstr(msg.failure.reason, says))
		fprintf(stderr, "\n  (said: %s)", msg.failure.reason);
	UNIT_EQ(msg.failure.by_peer, by_peer);
	rig_close(r, 0);
}

static void test_failures(void)
{
	struct rig r = { .order = 0 };

	rig_open(&r, 1);
	r.start.front.queue[0].gref[0] = 3333;
	fails(&r, "gref 3333", true);
	rig_open(&r, 1);
	r.start.front.queue[0].port = 3;
	fails(&r, "event channel 3", true);
	rig_open(&r, 1);
	UNIT_EQ(write(r.journal, "not a journal at all", 20), 20);
	fails(&r, "journal", false);
	rig_open(&r, 1);
	r.start.front.nr_queues = 0;
	fails(&r, "0 queues", false);
	rig_open(&r, 2);
	r.start.front.queue[1].port = r.start.front.queue[0].port;
	fails(&r, "event channel", true);
	r.order = 1;
	rig_open(&r, 1);
	r.start.front.queue[0].gref[1] = 4444;
	fails(&r, "ring", true);
}

/*
 * While nobody served it its guest has connected anew, with the same names for its ring: what
 * the journal is about is not on it.
 */
static void test_another_ring(void)
{
	struct rig r = { .start.replay = 1 };
	struct blkif_request_segment s;
	struct worker_msg msg;

	rig_open(&r, 1);
	s = rig_whole_page(GUEST_DATA_PAGE);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	for (uint32_t id = 0; id < 5; id++) {
		guest_rw(r.g, BLKIF_OP_WRITE, id, 0, 1, &s);
		guest_push(r.g);
		rig_expect(r.g, id, BLKIF_RSP_OKAY);
	}
	rig_ask_stop(&r);
	pthread_join(r.thread, NULL);
	close_fd(&r.sock);
	memset(r.g->ring, 0, r.g->ring_bytes);
	guest_attach(r.g, VBD_ABI_NATIVE, r.g->ring, r.g->ring_bytes);
	guest_rw(r.g, BLKIF_OP_READ, 100, 0, 1, &s);
	guest_push(r.g);
	rig_start(&r);
	rig_hear(&r, WORKER_FAILED, &msg);
	UNIT_OK(strstr(msg.failure.reason, "not the one that was served"));
	UNIT_OK(msg.failure.by_peer);
	UNIT_EQ(ring_back_start(r.g->ring), 0);
	rig_close(&r, 0);
}

static void test_not_start(void)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_STOP };
	struct rig r = { .order = 0 };
	int sv[2];

	rig_open(&r, 1);
	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	r.sock = sv[0];
	r.worker_sock = sv[1];
	UNIT_EQ(worker_send(r.sock, &msg, NULL, 0), 0);
	rig_run(&r);
	rig_hear(&r, WORKER_FAILED, &msg);
	rig_close(&r, 0);
}

/* ---- events ----------------------------------------------------------------------------------------- */

/*
 * XSA-332: events without requests. Those that are heard are far fewer than
 * those sent; a request is answered in the end all the same.
 */
static void test_event_storm(void)
{
	uint32_t sent = 0, heard, before;
	struct worker_msg msg;
	uint64_t begun, ms;
	struct rig r = { .start.poll_us = 50 };

	rig_open(&r, 1);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	usleep(10000);
	before = fake_taken_events(r.g->port);
	begun = now_ms();
	do {
		fake_guest_notify(r.g->port);
		sent++;
		ms = now_ms() - begun;
		usleep(20);
	} while (ms < 500);
	heard = fake_taken_events(r.g->port) - before;
	/* some at once, then one for each delay: 1, 2, 4, 8, 16, 16 ... ms */
	UNIT_OK(heard <= 30 + ms / 8);
	UNIT_OK(sent > 2 * heard);
	guest_rw(r.g, BLKIF_OP_FLUSH_DISKCACHE, 1, 0, 0, NULL);
	guest_push(r.g);
	rig_expect(r.g, 1, BLKIF_RSP_OKAY);
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

/*
 * One that its limit makes wait brings a request with each of its events, whenever
 * that is taken: nobody complains about it.
 */
static void test_limited(void)
{
	int log = memfd_create("log", MFD_CLOEXEC), err = dup(STDERR_FILENO);
	struct rig r = { .start.poll_us = 0 };
	struct blkif_request_segment s;
	struct worker_msg msg;

	rig_open(&r, 1);
	r.start.limit.rate[LIMIT_REQUESTS][LIMIT_TOTAL] = (struct limit_rate){ 50, 1 };
	s = rig_whole_page(GUEST_DATA_PAGE);
	log_open("test-worker", LOG_LEVEL_WARNING);
	dup2(log, STDERR_FILENO);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	for (uint32_t i = 0; i < 40; i++) {
		guest_rw(r.g, BLKIF_OP_READ, i, 0, 1, &s);
		guest_push(r.g);
		rig_expect(r.g, i, BLKIF_RSP_OKAY);
		usleep(1000);
	}
	dup2(err, STDERR_FILENO);
	UNIT_EQ(lseek(log, 0, SEEK_END), 0);
	rig_ask_stop(&r);
	rig_close(&r, 0);
	close(log);
	close(err);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What it has just done may be counted late on a busy machine: it comes to rest. */
static void wait_for_rest(struct rig *r, struct blk_figures *c)
{
	struct blk_figures before;
	int left = 100;

	do {
		rig_read_figures(r, &before);
		usleep(200000);
		rig_read_figures(r, c);
	} while (left-- && (c->wakeups != before.wakeups ||
			    c->spins_missed != before.spins_missed));
}

/* At rest: no wake-ups, and a small part of the time. */
static void test_idle(void)
{
	struct worker_msg msg;
	struct rig r = { .start.poll_us = 1000, .start.front.persistent = true };
	struct blkif_request_segment s;
	struct blk_figures c, later;
	uint64_t cpu;

	rig_open(&r, 2);
	s = rig_whole_page(GUEST_DATA_PAGE);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	guest_rw(r.g, BLKIF_OP_READ, 1, 0, 1, &s);
	guest_push(r.g);
	rig_expect(r.g, 1, BLKIF_RSP_OKAY);
	wait_for_rest(&r, &c);
	cpu = cpu_ns();
	usleep(500000);
	UNIT_OK(cpu_ns() - cpu < 100000000);
	rig_read_figures(&r, &later);
	UNIT_EQ(later.wakeups, c.wakeups);
	UNIT_EQ(later.spins_missed, c.spins_missed);
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

/* ---- no room for the rings --------------------------------------------------------------- */

static bool hears_nothing(struct rig *r, int ms)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	return poll(&p, 1, ms) == 0;
}

/* It waits, holding nothing, and connects when others have given entries back. */
static void test_no_room(void)
{
	struct blkif_request_segment s;
	struct rig r = { .order = 2 };
	struct worker_msg msg;

	rig_open(&r, 2);
	s = rig_whole_page(GUEST_DATA_PAGE);
	fake_limit_maps(7);		/* one ring would fit */
	rig_start(&r);
	rig_hear(&r, WORKER_WAITS, &msg);
	UNIT_OK(hears_nothing(&r, 500));
	UNIT_EQ(fake_mapped(), 0);
	msg = (struct worker_msg){ .version = WORKER_VERSION, .type = WORKER_RESIZE,
				   .sectors = 8 };
	UNIT_EQ(worker_send(r.sock, &msg, NULL, 0), 0);
	UNIT_OK(hears_nothing(&r, 300));
	fake_limit_maps(8);
	rig_hear(&r, WORKER_READY, &msg);
	rig_hear(&r, WORKER_RESIZED, &msg);		/* what it heard while it waited */
	UNIT_EQ(msg.sectors, 8);
	guest_rw(r.g, BLKIF_OP_WRITE, 1, 0, 1, &s);
	guest_push(r.g);
	rig_expect(r.g, 1, BLKIF_RSP_OKAY);
	guest_rw(r.g, BLKIF_OP_WRITE, 2, 8, 1, &s);
	guest_push(r.g);
	rig_expect(r.g, 2, BLKIF_RSP_ERROR);	/* past the new end */
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

/* What waits can be stopped; a ring that is not granted is not waited for. */
static void test_no_room_stop(void)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_STOP }, heard;
	struct rig r = { .order = 0 }, bad = { .order = 0 };

	rig_open(&r, 1);
	fake_limit_maps(0);
	rig_start(&r);
	rig_hear(&r, WORKER_WAITS, &heard);
	UNIT_OK(hears_nothing(&r, 300));
	UNIT_EQ(worker_send(r.sock, &msg, NULL, 0), 0);
	rig_hear(&r, WORKER_FAILED, &msg);
	UNIT_OK(strstr(msg.failure.reason, "map the ring"));
	rig_close(&r, 0);

	rig_open(&bad, 1);
	fake_limit_maps(0);
	bad.start.front.queue[0].gref[0] = 5000;
	rig_start(&bad);
	rig_hear(&bad, WORKER_FAILED, &msg);
	UNIT_EQ(msg.failure.err, ENOENT);
	rig_close(&bad, 0);
}

/* ---- two queues, a thread each ------------------------------------------------------------------------- */

static void test_two_queues(void)
{
	struct rig r = { .start.poll_us = 20, .start.front.persistent = true };
	struct blkif_request_segment s[2];
	struct guest_response rsp;
	uint32_t put[2] = { 0, 0 }, got[2] = { 0, 0 }, nr = 3000;
	uint64_t end = now_ms() + PATIENCE_MS;
	struct worker_msg msg;

	rig_open(&r, 2);
	s[0] = rig_whole_page(GUEST_DATA_PAGE);
	s[1] = rig_whole_page(GUEST_DATA_PAGE + 1);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	while ((got[0] < nr || got[1] < nr) && now_ms() < end) {
		for (uint32_t q = 0; q < 2; q++) {
			struct guest *g = &r.guest[q];

			for (; put[q] < nr && ring_front_free(&g->front); put[q]++)
				guest_rw(g, put[q] % 50 == q ? BLKIF_OP_WRITE_BARRIER :
					 put[q] % 2, put[q], put[q] % SECTORS & ~7u, 1, &s[q]);
			guest_push(g);
			while (guest_response(g, &rsp))
				got[q] += rsp.status == BLKIF_RSP_OKAY;
		}
	}
	UNIT_EQ(got[0], nr);
	UNIT_EQ(got[1], nr);
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

static uint32_t refused_ring;		/* the nth there is, from now on */

int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	if (refused_ring && --refused_ring == 0)
		return -ENOMEM;
	return __real_io_uring_queue_init(entries, ring, flags);
}

static bool is_open_past_cache(int image)
{
	struct stat want, have;
	bool found = false;

	UNIT_EQ(fstat(image, &want), 0);
	for (int fd = 3; fd < 200; fd++)
		found |= fstat(fd, &have) == 0 && have.st_ino == want.st_ino &&
			 have.st_dev == want.st_dev && fcntl(fd, F_GETFL) & O_DIRECT;
	return found;
}

/* The engine is one for all queues, though one of them alone is refused it. */
static void test_half_direct(void)
{
	struct rig r = { .start.engine = WORKER_ENGINE_DIRECT };
	struct blkif_request_segment s;
	struct worker_msg msg;

	rig_open(&r, 2);
	s = rig_whole_page(GUEST_DATA_PAGE);
	refused_ring = 2;
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	refused_ring = 0;
	UNIT_EQ(strcmp(msg.engine, "buffered"), 0);
	UNIT_OK(!is_open_past_cache(r.image));
	for (uint32_t q = 0; q < 2; q++) {
		guest_rw(&r.guest[q], BLKIF_OP_WRITE, 1, 8 * q, 1, &s);
		guest_push(&r.guest[q]);
		rig_expect(&r.guest[q], 1, BLKIF_RSP_OKAY);
	}
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

/* The cap on pages that stay mapped is the device's: both queues together. */
static void test_persistent_cap(void)
{
	struct rig r = { .start.front.persistent = true };
	struct worker_msg msg;

	rig_open(&r, 2);
	r.start.persistent_pages = 8;
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	for (uint32_t i = 0; i < 40; i++) {
		struct blkif_request_segment s = rig_whole_page(GUEST_DATA_PAGE + i);

		guest_rw(&r.guest[i % 2], BLKIF_OP_WRITE, i, i * 8, 1, &s);
		guest_push(&r.guest[i % 2]);
		rig_expect(&r.guest[i % 2], i, BLKIF_RSP_OKAY);
	}
	UNIT_EQ(fake_mapped(), 2 + 8);	/* the rings */
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

/* Stopped with both queues full of work and barriers: what was taken is answered. */
static void test_stop_busy(void)
{
	struct rig r = { .start.poll_us = 20 };
	struct blkif_request_segment s;
	struct guest_response rsp;
	struct blk_figures c;
	struct worker_msg msg;
	uint32_t got = 0;

	rig_open(&r, 2);
	s = rig_whole_page(GUEST_DATA_PAGE);
	for (uint32_t q = 0; q < 2; q++) {
		for (uint32_t i = 0; i < 32; i++)
			guest_rw(&r.guest[q], i % 3 ? BLKIF_OP_WRITE : BLKIF_OP_WRITE_BARRIER,
				 i, i * 8, 1, &s);
		guest_push(&r.guest[q]);
	}
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	rig_ask_stop(&r);
	for (uint32_t q = 0; q < 2; q++)
		while (guest_response(&r.guest[q], &rsp))
			got++;
	rig_read_figures(&r, &c);
	UNIT_EQ(got, c.responses);
	rig_close(&r, 0);
}

/* ---- one worker after the other, under load ------------------------------------------- */

#define ROUNDS 12u
#define PER_ROUND 400u		/* requests of each queue, at least */

static uint32_t count_once(struct guest *g, uint8_t *seen, uint32_t nr)
{
	struct guest_response rsp;
	uint32_t got = 0;

	while (guest_response(g, &rsp)) {
		if (rsp.id >= nr || seen[rsp.id]++ || rsp.status != BLKIF_RSP_OKAY)
			CU_FAIL("a wrong answer, or one twice");
		got++;
	}
	return got;
}

struct load {
	uint32_t put, got;
	uint8_t seen[32 * 1024];
	struct blkif_request_segment s;
};

/* Reads, writes, and of what goes to helper threads flushes, discards, barriers. */
static void put_one(struct guest *g, struct load *l)
{
	uint32_t id = l->put++, what = id % 16;
	uint64_t at = id * 8 % SECTORS;

	if (what == 3)
		guest_rw(g, BLKIF_OP_FLUSH_DISKCACHE, id, 0, 0, NULL);
	else if (what == 7)
		guest_discard(g, id, at, 8, 0);
	else if (what == 11)
		guest_rw(g, BLKIF_OP_WRITE_BARRIER, id, at, 1, &l->s);
	else
		guest_rw(g, id & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ, id, at, 1, &l->s);
}

static uint32_t pump(struct guest *g, struct load *l, bool more)
{
	uint32_t got;

	while (more && l->put < sizeof(l->seen) && ring_front_free(&g->front))
		put_one(g, l);
	guest_push(g);
	got = count_once(g, l->seen, l->put);
	l->got += got;
	return got;
}

static bool has_message(struct rig *r)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Guests go on while the worker ends, by STOP or because its supervisor has. */
static void leave(struct rig *r, struct load *l, bool orphan)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_STOP };

	if (orphan)
		close_fd(&r->sock);
	else
		UNIT_EQ(worker_send(r->sock, &msg, NULL, 0), 0);
	for (uint32_t i = 0; i < 20; i++)
		for (uint32_t q = 0; q < 4; q++)
			pump(&r->guest[q], &l[q], true);
	while (!orphan && !has_message(r))
		for (uint32_t q = 0; q < 4; q++)
			pump(&r->guest[q], &l[q], true);
	if (!orphan)
		rig_hear(r, WORKER_STOPPED, &msg);
	pthread_join(r->thread, NULL);
	UNIT_EQ(r->status, orphan ? 1 : 0);
	UNIT_EQ(fake_mapped(), 0);
	close_fd(&r->sock);
}

static void hand_over(enum worker_engine engine, bool persistent)
{
	struct rig r = { .start.poll_us = 20, .start.replay = 1, .start.engine = engine,
			 .start.front.persistent = persistent };
	static struct load l[4];
	uint64_t end = now_ms() + 4 * PATIENCE_MS;
	struct worker_msg msg;

	memset(l, 0, sizeof(l));
	rig_open(&r, 4);
	for (uint32_t q = 0; q < 4; q++)
		l[q].s = rig_whole_page(GUEST_DATA_PAGE + q);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		rig_start(&r);
		rig_hear(&r, WORKER_READY, &msg);
		for (uint32_t q = 0; q < 4 && now_ms() < end; q = (q + 1) % 4) {
			uint32_t i = 0;

			pump(&r.guest[q], &l[q], true);
			while (i < 4 && l[i].got >= round * PER_ROUND)
				i++;
			if (i == 4)
				break;
		}
		leave(&r, l, round % 3 == 0);
	}
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	for (uint32_t q = 0; q < 4; q++)
		while (l[q].got < l[q].put && now_ms() < end)
			pump(&r.guest[q], &l[q], false);
	for (uint32_t q = 0; q < 4; q++)
		UNIT_EQ(l[q].got, l[q].put);
	UNIT_OK(l[0].got >= ROUNDS * PER_ROUND);
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

static void test_hand_over(void)
{
	hand_over(WORKER_ENGINE_BUFFERED, true);
	hand_over(WORKER_ENGINE_BUFFERED, false);
	hand_over(WORKER_ENGINE_DIRECT, true);
}

/* ---- killed --------------------------------------------------------------------------------------------- */

static pid_t start_process(struct rig *r)
{
	pid_t pid;

	rig_send_start(r);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(r->sock);
		_exit(worker_main(r->worker_sock, NULL));
	}
	close(r->worker_sock);
	return pid;
}

/* What was in the image after all writes, whoever did them. */
static bool image_right(struct rig *r, uint32_t nr)
{
	uint8_t page[PAGE], want[PAGE];

	for (uint32_t i = 0; i < nr; i++) {
		memset(want, (int)(i % 250) + 1, PAGE);
		if (pread(r->image, page, PAGE, i * PAGE) != PAGE || memcmp(page, want, PAGE))
			return false;
	}
	return true;
}

/*
 * A worker is killed at a random instant with up to 64 requests on two rings;
 * the next one, in the journal's eyes a successor, does the rest.
 */
static void killed_once(uint32_t delay_us)
{
	struct rig r = { .start.replay = 1 };
	uint8_t seen[2][32] = { { 0 } };
	uint32_t got = 0;
	struct worker_msg msg;
	uint64_t end;
	pid_t pid;

	rig_open(&r, 2);
	for (uint32_t i = 0; i < 64; i++) {
		struct blkif_request_segment s = rig_whole_page(GUEST_DATA_PAGE + i);

		memset(fake_page(GUEST_DATA_PAGE + i), (int)i + 1, PAGE);
		guest_rw(&r.guest[i / 32], i % 32 == 9 ? BLKIF_OP_WRITE_BARRIER :
			 BLKIF_OP_WRITE, i % 32, i * 8, 1, &s);
	}
	guest_push(&r.guest[0]);
	guest_push(&r.guest[1]);
	pid = start_process(&r);
	usleep(delay_us);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(r.sock);
	for (uint32_t q = 0; q < 2; q++)
		got += count_once(&r.guest[q], seen[q], 32);
	rig_start(&r);
	rig_hear(&r, WORKER_READY, &msg);
	for (end = now_ms() + PATIENCE_MS; got < 64 && now_ms() < end;)
		for (uint32_t q = 0; q < 2; q++)
			got += count_once(&r.guest[q], seen[q], 32);
	UNIT_EQ(got, 64);
	UNIT_OK(image_right(&r, 64));
	rig_ask_stop(&r);
	rig_close(&r, 0);
}

static void test_killed(void)
{
	uint32_t nr = getenv("PV_FULL") ? 1000 : 60, seed = 5;

	for (uint32_t i = 0; i < nr; i++) {
		seed = seed * 1664525 + 1013904223;
		killed_once((seed >> 8) % 4000);
	}
	if (!getenv("PV_FULL"))
		printf("\ndeferred: 1000 kills of a worker (60 run)\n");
}

static const struct unit_test tests[] = {
	{ "a life", test_serve },
	{ "resize", test_resize },
	{ "a mirror's map", test_mirror },
	{ "an insane ring", test_broken },
	{ "the supervisor goes", test_orphan },
	{ "what cannot start says why", test_failures },
	{ "not START", test_not_start },
	{ "WORKER-8: another ring than the journal's", test_another_ring },
	{ "events without requests", test_event_storm },
	{ "events of a limited guest", test_limited },
	{ "at rest", test_idle },
	{ "no room for the rings", test_no_room },
	{ "no room, and stopped", test_no_room_stop },
	{ "two queues and barriers", test_two_queues },
	{ "O_DIRECT for one of two queues", test_half_direct },
	{ "a cap for both queues", test_persistent_cap },
	{ "stopped while busy", test_stop_busy },
	{ "one after the other, under load", test_hand_over },
	{ "killed and succeeded", test_killed },
};

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	return unit_run("worker", tests, UNIT_LEN(tests));
}
