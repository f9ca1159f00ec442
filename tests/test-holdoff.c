/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Front end and back end in two threads, asleep and awake at any moment: no
 * wake-up is lost, whatever number of completions the front end waits for. A
 * lost one ends a wait by its deadline, which is far longer than a busy machine
 * ever keeps a thread waiting.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blkfront-priv.h"
#include "fake-xenstore.h"
#include "unit.h"

#define FRONT_DIR "/local/domain/3/device/vbd/51712"
#define BACK_DIR "/local/domain/0/backend/vbd/3/51712"
#define LOST_MS 30000
#define DEPTH 16

/* ---- libxengnttab and libxenevtchn, as little as this needs -------------------------- */

static void *ring_page;
static int to_front = -1, to_back = -1;		/* eventfds */
static _Atomic unsigned int pages;

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
			    uint32_t *refs, int writable)
{
	void *p;
	int i;

	(void)xgs;
	(void)domid;
	(void)writable;
	if (posix_memalign(&p, 4096, (size_t)count * 4096))
		return NULL;
	for (i = 0; i < count; i++)
		refs[i] = ++pages + 8;
	if (!ring_page)
		ring_page = p;
	return p;
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start, uint32_t count)
{
	(void)xgs;
	(void)count;
	free(start);
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	(void)xce;
	(void)domid;
	return 7;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	(void)port;
	return 0;
}

static int raise_event(int fd)
{
	uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	(void)port;
	return raise_event(to_back);
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint64_t n;

	(void)xce;
	return read(to_front, &n, sizeof(n)) == sizeof(n) ? 7 : -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	(void)port;
	return 0;
}

/* ---- the back end's thread -------------------------------------------------------------- */

static atomic_bool stop;
static _Atomic unsigned int lost_by_back;

static void serve(struct ring_back *ring, int n)
{
	struct blkif_response rsp;
	struct blkif_request req;

	while (n-- > 0) {
		ring_back_take(ring, &req, offsetof(struct blkif_request, seg));
		memset(&rsp, 0, sizeof(rsp));
		rsp.id = req.id;
		rsp.operation = req.operation;
		ring_back_put(ring, &rsp, sizeof(rsp));
		/* At any moment, so that the front end meets every state. */
		if (req.id % 3 && ring_back_push(ring))
			raise_event(to_front);
	}
	if (ring_back_push(ring))
		raise_event(to_front);
}

static void *back_end(void *arg)
{
	struct pollfd p = { .fd = to_back, .events = POLLIN };
	struct ring_back ring;
	uint64_t n;
	int r;

	(void)arg;
	ring_back_init(&ring, ring_page, 4096, sizeof(union blkif_sring_entry), 0);
	while (!stop) {
		r = ring_back_pending(&ring);
		if (r > 0)
			serve(&ring, r);
		if (r > 0 || ring_back_final(&ring) > 0)
			continue;
		if (poll(&p, 1, LOST_MS) == 0)
			lost_by_back++;
		else if (read(to_back, &n, sizeof(n)) != sizeof(n))
			break;
	}
	return NULL;
}

/* ---- the front end's ---------------------------------------------------------------------- */

static struct front_env env;
static bool connected;

static int sleep_well(void *ctx, unsigned int what, int *left_ms)
{
	struct pollfd p[2] = {
		{ .fd = what & FRONT_WAIT_EVENT ? to_front : -1, .events = POLLIN },
		{ .fd = xs_fileno(env.xs), .events = POLLIN },
	};

	(void)ctx;
	if (!connected) {		/* the one state that a front end waits for */
		fake_xs_put(BACK_DIR "/state", "4");
		connected = true;
	}
	if (poll(p, 2, *left_ms < 0 ? LOST_MS : *left_ms) == 0)
		return *left_ms < 0 ? -ETIMEDOUT : 0;
	return (p[0].revents ? FRONT_WAIT_EVENT : 0) | (p[1].revents ? FRONT_WAIT_STORE : 0);
}

static void on_done(struct blkfront_io *io, int result)
{
	unsigned int *bad = io->arg;

	*bad += result != 0;
}

static struct blkfront *open_disk(uint32_t poll_cycles)
{
	struct blkfront_options o = { .ring_order = -1, .depth = DEPTH, .pool_pages = 20,
				      .poll_cycles = poll_cycles };
	struct vbd_features features = { .sectors = 2048, .sector_bytes = 512, .max_queues = 1,
					 .physical_sector_bytes = 512 };
	struct front_problem problem;
	struct xs_handle *xs = fake_xs_open(0);
	struct blkfront *f = NULL;

	fake_xs_put(FRONT_DIR "/backend", BACK_DIR);
	fake_xs_put(FRONT_DIR "/backend-id", "0");
	fake_xs_put(FRONT_DIR "/state", "1");
	fake_xs_put("/local/domain/3/domid", "3");
	fake_xs_put(BACK_DIR "/state", "2");
	vbd_write_features(xs, XBT_NULL, BACK_DIR, &features);
	xs_close(xs);
	env = (struct front_env){ .xs = fake_xs_open(0), .wait = sleep_well };
	/* Domain 0's handle may write anywhere; it says that it is domain 3. */
	fake_xs_put("/local/domain/0/domid", "3");
	connected = false;
	if (blkfront_open(&env, 51712, &o, 1000, &f, &problem) < 0)
		fprintf(stderr, "\n%s\n", problem.text);
	return f;
}

static void race(uint32_t poll_cycles, unsigned int rounds)
{
	static struct blkfront_io io[DEPTH];
	static uint8_t data[512];
	struct blkfront_iov iov = { data, 512 };
	unsigned int round, i, bad = 0;
	struct blkfront *f;
	pthread_t thread;
	int r = 0;

	fake_xs_reset();
	ring_page = NULL;
	stop = false;
	to_front = eventfd(0, EFD_CLOEXEC);
	to_back = eventfd(0, EFD_CLOEXEC);
	f = open_disk(poll_cycles);
	UNIT_NEED(f != NULL);
	pthread_create(&thread, NULL, back_end, NULL);
	for (round = 0; round < rounds && r >= 0; round++) {
		for (i = 0; i < 1 + round % DEPTH; i++) {
			io[i] = (struct blkfront_io){ .op = BLKFRONT_READ, .iov = &iov,
						      .nr_iov = 1, .done = on_done, .arg = &bad };
			blkfront_submit(f, io + i);
		}
		while (r >= 0 && blkfront_inflight(f))
			r = blkfront_wait(f, 1 + round % 7, -1);
	}
	UNIT_OK(r >= 0);
	UNIT_EQ(bad, 0);
	stop = true;
	raise_event(to_back);
	pthread_join(thread, NULL);
	UNIT_EQ(lost_by_back, 0);
	fake_xs_put(BACK_DIR "/state", "6");
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	xs_close(env.xs);
	close(to_front);
	close(to_back);
}

static void test_sleeping(void)
{
	race(0, 100000);
}

static void test_looking(void)
{
	race(20000, 100000);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "always sleeping", test_sleeping },
		{ "looking before sleeping", test_looking },
	};

	alarm(280);
	return unit_run("holdoff", tests, UNIT_LEN(tests));
}
