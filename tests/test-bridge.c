/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole bridge worker, as its supervisor and two guests see it: bridge_worker()
 * in a thread, over fake-xen. Must not know the worker's insides.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bridge.h"
#include "bridge-worker.h"
#include "fake-xen.h"
#include "net-frames.h"
#include "net-guest.h"
#include "unit.h"
#include "util.h"

#define PATIENCE_MS 20000
#define FIRST_ID 100u

struct rig {
	int sock, theirs, status;
	pthread_t thread;
	struct net_guest guest[2];
};

static uint8_t frame[9000];
static struct net_guest_got got;

static void *run(void *arg)
{
	struct rig *r = arg;

	r->status = bridge_worker(r->theirs);
	close(r->theirs);
	return NULL;
}

static void hear(struct rig *r, enum bridge_type type, struct bridge_msg *msg)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };
	int fd = -1;

	memset(msg, 0, sizeof(*msg));
	UNIT_EQ(poll(&p, 1, PATIENCE_MS), 1);
	UNIT_EQ(bridge_receive(r->sock, msg, &fd), 0);
	UNIT_EQ(msg->type, type);
	if (msg->type == BRIDGE_REFUSED && type != BRIDGE_REFUSED)
		fprintf(stderr, "\n  (%s)", msg->failure.reason);
}

static struct bridge_msg message(enum bridge_type type, uint32_t id)
{
	struct bridge_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.version = BRIDGE_VERSION;
	msg.type = type;
	msg.port = id;
	return msg;
}

static void send_open(struct rig *r)
{
	struct bridge_msg msg = message(BRIDGE_OPEN, BRIDGE_ITSELF);

	snprintf(msg.open.name, sizeof(msg.open.name), "xenbr0");
	msg.open.sw = (struct vswitch_config){ .max_ports = 8, .max_addresses = 64,
					       .ageing_ms = 300000, .move_ms = 1000 };
	UNIT_EQ(bridge_send(r->sock, &msg, -1), 0);
}

static struct bridge_msg vif_message(struct rig *r, uint32_t i)
{
	struct bridge_msg msg = message(BRIDGE_ADD_VIF, FIRST_ID + i);

	msg.vif.domid = FAKE_DOMID;
	msg.vif.front = r->guest[i].front;
	net_mac(msg.vif.port.mac, (uint8_t)i);
	return msg;
}

static void rig_open(struct rig *r)
{
	struct bridge_msg msg;
	int pair[2];

	log_open("test-bridge", getenv("PV_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	fake_reset();
	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	r->sock = pair[0];
	r->theirs = pair[1];
	UNIT_EQ(pthread_create(&r->thread, NULL, run, r), 0);
	send_open(r);
	hear(r, BRIDGE_READY, &msg);
	for (uint32_t i = 0; i < 2; i++) {
		net_guest_open(&r->guest[i], i, 1, false);
		net_guest_post(&r->guest[i], 0, 32);
	}
}

static void rig_close(struct rig *r)
{
	struct bridge_msg msg = message(BRIDGE_STOP, BRIDGE_ITSELF);

	UNIT_EQ(bridge_send(r->sock, &msg, -1), 0);
	hear(r, BRIDGE_STOPPED, &msg);
	pthread_join(r->thread, NULL);
	close(r->sock);
	UNIT_EQ(r->status, 0);
	UNIT_EQ(fake_mapped(), 0);
	UNIT_EQ(fake_handles(), 0);
}

static void add_both(struct rig *r)
{
	struct bridge_msg msg;

	for (uint32_t i = 0; i < 2; i++) {
		msg = vif_message(r, i);
		UNIT_EQ(bridge_send(r->sock, &msg, -1), 0);
		hear(r, BRIDGE_ADDED, &msg);
		UNIT_EQ(msg.port, FIRST_ID + i);
	}
}

static bool wait_frame(struct net_guest *g)
{
	for (uint32_t ms = 0; ms < PATIENCE_MS; ms++) {
		if (net_guest_receive(g, &got))
			return true;
		usleep(1000);
	}
	return false;
}

static void exchange(struct rig *r, uint8_t seed)
{
	for (uint32_t i = 0; i < 2; i++) {
		net_plain(frame, 3000, (uint8_t)!i, (uint8_t)i, seed);
		net_guest_send(&r->guest[i], frame, 3000, NULL);
		UNIT_NEED(wait_frame(&r->guest[!i]));
		UNIT_EQ(got.bytes, 3000);
		UNIT_OK(!memcmp(got.data, frame, 3000));
		net_guest_post(&r->guest[!i], 0, 1);
	}
}

static void test_life(void)
{
	struct rig r = { 0 };
	struct bridge_msg msg;

	rig_open(&r);
	add_both(&r);
	for (uint8_t i = 0; i < 50; i++) {
		exchange(&r, i);
		if (i % 10 == 0)
			usleep(20000);	/* asleep in between */
	}
	msg = message(BRIDGE_COUNT, FIRST_ID);
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear(&r, BRIDGE_COUNTED, &msg);
	UNIT_EQ(msg.counted.port.in_frames, 50);
	UNIT_EQ(msg.counted.port.out_frames, 50);
	UNIT_OK(msg.counted.all.copies > 0);
	rig_close(&r);
}

/* A guest goes and comes back; the other does not notice. */
static void test_comes_back(void)
{
	struct rig r = { 0 };
	struct bridge_msg msg;

	rig_open(&r);
	add_both(&r);
	for (uint8_t i = 0; i < 20; i++) {
		exchange(&r, i);
		msg = message(BRIDGE_REMOVE, FIRST_ID);
		UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
		hear(&r, BRIDGE_REMOVED, &msg);
		msg = vif_message(&r, 0);
		UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
		hear(&r, BRIDGE_ADDED, &msg);
	}
	exchange(&r, 99);
	rig_close(&r);
}

static void test_refusals(void)
{
	struct rig r = { 0 };
	struct bridge_msg msg;

	rig_open(&r);
	msg = vif_message(&r, 0);
	msg.vif.front.queue[0].tx_gref = 4444;
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear(&r, BRIDGE_REFUSED, &msg);
	UNIT_OK(strstr(msg.failure.reason, "tx ring") != NULL);
	add_both(&r);
	msg = vif_message(&r, 0);
	msg.port = 7;
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear(&r, BRIDGE_REFUSED, &msg);	/* the address is another port's */
	UNIT_EQ(msg.failure.err, EEXIST);
	exchange(&r, 1);
	rig_close(&r);
}

static void test_broken(void)
{
	struct rig r = { 0 };
	struct bridge_msg msg;

	rig_open(&r);
	add_both(&r);
	exchange(&r, 1);
	atomic_store(&r.guest[0].queue[0].tx.shared->req_prod, 5000);
	fake_guest_notify(r.guest[0].front.queue[0].tx_port);
	hear(&r, BRIDGE_BROKEN, &msg);
	UNIT_EQ(msg.port, FIRST_ID);
	msg = message(BRIDGE_REMOVE, FIRST_ID);
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear(&r, BRIDGE_REMOVED, &msg);
	rig_close(&r);
}

/* The supervisor goes without a word. */
static void test_orphaned(void)
{
	struct rig r = { 0 };

	rig_open(&r);
	add_both(&r);
	exchange(&r, 1);
	close(r.sock);
	pthread_join(r.thread, NULL);
	UNIT_EQ(fake_mapped(), 0);
	UNIT_EQ(fake_handles(), 0);
}

static const struct unit_test tests[] = {
	{ "from OPEN to STOPPED", test_life },
	{ "a guest goes and comes back", test_comes_back },
	{ "what is refused", test_refusals },
	{ "a broken ring", test_broken },
	{ "without a supervisor", test_orphaned },
};

int main(void)
{
	return unit_run("bridge", tests, UNIT_LEN(tests));
}
