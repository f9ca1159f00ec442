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

	r->status = bridge_worker(r->theirs, NULL);
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
	UNIT_EQ(msg.failure.err, EADDRINUSE);
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

/* ---- captures ------------------------------------------------------------------------ */

#define PCAP_FILE_BYTES 24u

static void read_all(int fd, void *to, size_t bytes)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (bytes && poll(&p, 1, PATIENCE_MS) == 1) {
		ssize_t n = read(fd, to, bytes);

		if (n <= 0)
			break;
		to = (uint8_t *)to + n;
		bytes -= (size_t)n;
	}
	UNIT_EQ(bytes, 0);
}

/* id: of the port, or BRIDGE_ITSELF. Returns the reader's end. */
static int start_capture(struct rig *r, uint32_t id, uint32_t number, uint32_t snaplen)
{
	struct bridge_msg msg = message(BRIDGE_CAPTURE, id);
	uint8_t header[PCAP_FILE_BYTES];
	uint32_t magic = 0xa1b23c4d;
	int fd[2];

	UNIT_EQ(pipe(fd), 0);
	msg.capture.number = number;
	msg.capture.snaplen = snaplen;
	UNIT_EQ(bridge_send(r->sock, &msg, fd[1]), 0);
	close(fd[1]);
	/* The stream's header says that it has begun. */
	read_all(fd[0], header, sizeof(header));
	UNIT_OK(!memcmp(header, &magic, sizeof(magic)));
	return fd[0];
}

/* The next record is that frame; kept 0: or of that length. */
static void hear_record(int fd, const uint8_t *want, uint32_t kept, uint32_t bytes)
{
	static uint8_t data[9000];
	uint32_t record[4] = { 0 };

	read_all(fd, record, sizeof(record));
	if (kept)
		UNIT_EQ(record[2], kept);
	UNIT_EQ(record[3], bytes);
	UNIT_NEED(record[2] <= sizeof(data));
	read_all(fd, data, record[2]);
	UNIT_OK(!memcmp(data, want, kept));
}

static void hear_end(struct rig *r, uint32_t number, int err, struct pcap_counters *counters)
{
	struct bridge_msg msg;

	hear(r, BRIDGE_CAPTURED, &msg);
	UNIT_EQ(msg.capture.number, number);
	UNIT_EQ(msg.capture.err, err);
	*counters = msg.capture.counters;
}

static void stop_capture(struct rig *r, uint32_t number)
{
	struct bridge_msg msg = message(BRIDGE_CAPTURE_STOP, BRIDGE_ITSELF);

	msg.capture.number = number;
	UNIT_EQ(bridge_send(r->sock, &msg, -1), 0);
}

/* exchange() sends guest 0's first, then guest 1's, which is in frame afterwards. */
static void test_capture(void)
{
	struct bridge_msg msg;
	struct pcap_counters c;
	struct rig r = { 0 };
	uint8_t first[3000];
	int all, one, heads;

	rig_open(&r);
	add_both(&r);
	exchange(&r, 1);
	all = start_capture(&r, BRIDGE_ITSELF, 5, 65535);
	one = start_capture(&r, FIRST_ID + 1, 6, 65535);
	heads = start_capture(&r, BRIDGE_ITSELF, 7, 60);
	for (uint8_t i = 0; i < 5; i++) {
		exchange(&r, i);
		net_plain(first, 3000, 1, 0, i);
		hear_record(all, first, 3000, 3000);
		hear_record(all, frame, 3000, 3000);
		hear_record(one, first, 3000, 3000);
		hear_record(one, frame, 3000, 3000);
		hear_record(heads, first, 60, 3000);
		hear_record(heads, frame, 60, 3000);
		/* Reconfigured meanwhile. */
		msg = message(BRIDGE_SET_PORT, FIRST_ID + i % 2);
		net_mac(msg.set.mac, i % 2);
		UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	}
	stop_capture(&r, 6);
	hear_end(&r, 6, 0, &c);
	UNIT_EQ(c.frames, 10);
	UNIT_EQ(c.dropped, 0);
	UNIT_EQ(read(one, first, 1), 0);	/* the end of the stream */
	exchange(&r, 9);
	hear_record(heads, frame, 0, 3000);
	stop_capture(&r, 6);			/* again: nothing happens */
	close(one);
	close(all);
	hear_end(&r, 5, EPIPE, &c);		/* though nothing is sent */
	close(heads);
	hear_end(&r, 7, EPIPE, &c);
	exchange(&r, 10);
	rig_close(&r);
}

/* The port and the bridge go before the reader does. */
static void test_capture_ends(void)
{
	struct bridge_msg msg;
	struct pcap_counters c;
	struct rig r = { 0 };
	uint8_t octet;
	int one, all;

	rig_open(&r);
	add_both(&r);
	one = start_capture(&r, FIRST_ID, 1, 100);
	all = start_capture(&r, BRIDGE_ITSELF, 2, 100);
	msg = message(BRIDGE_REMOVE, FIRST_ID);
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear_end(&r, 1, 0, &c);
	hear(&r, BRIDGE_REMOVED, &msg);
	UNIT_EQ(read(one, &octet, 1), 0);
	/* Who comes in its place is captured by those of all. */
	msg = vif_message(&r, 0);
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear(&r, BRIDGE_ADDED, &msg);
	exchange(&r, 1);
	hear_record(all, frame, 0, 3000);
	msg = message(BRIDGE_CAPTURE, 77);	/* no such port */
	msg.capture.snaplen = 100;
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear_end(&r, 0, ENOENT, &c);
	msg = message(BRIDGE_STOP, BRIDGE_ITSELF);
	UNIT_EQ(bridge_send(r.sock, &msg, -1), 0);
	hear_end(&r, 2, 0, &c);
	UNIT_EQ(c.frames, 2);
	hear(&r, BRIDGE_STOPPED, &msg);
	pthread_join(r.thread, NULL);
	close(r.sock);
	close(one);
	close(all);
	UNIT_EQ(fake_mapped(), 0);
}

static void refuse_capture(struct rig *r, uint32_t snaplen, int fd, int err)
{
	struct bridge_msg msg = message(BRIDGE_CAPTURE, BRIDGE_ITSELF);
	struct pcap_counters c;

	msg.capture.number = 3;
	msg.capture.snaplen = snaplen;
	UNIT_EQ(bridge_send(r->sock, &msg, fd), 0);
	hear_end(r, 3, err, &c);
}

static void test_capture_refused(void)
{
	struct pcap_counters c;
	struct rig r = { 0 };
	int fd[NETBACK_CAPTURES_MAX], pair[2];
	FILE *file = tmpfile();

	rig_open(&r);
	refuse_capture(&r, 100, fileno(file), EINVAL);	/* a disk's file is not waited for */
	refuse_capture(&r, 100, -1, EINVAL);
	UNIT_EQ(pipe(pair), 0);
	refuse_capture(&r, 0, pair[1], EINVAL);
	refuse_capture(&r, 1u << 20, pair[1], EINVAL);
	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++)
		fd[i] = start_capture(&r, BRIDGE_ITSELF, 10 + i, 100);
	refuse_capture(&r, 100, pair[1], ENOSPC);
	stop_capture(&r, 12);
	hear_end(&r, 12, 0, &c);
	close(fd[2]);
	fd[2] = start_capture(&r, BRIDGE_ITSELF, 3, 100);
	add_both(&r);
	exchange(&r, 1);
	for (uint32_t i = 0; i < NETBACK_CAPTURES_MAX; i++) {
		hear_record(fd[i], frame, 0, 3000);
		close(fd[i]);
		hear_end(&r, i == 2 ? 3 : 10 + i, EPIPE, &c);
	}
	close(pair[0]);
	close(pair[1]);
	fclose(file);
	rig_close(&r);
}

/* Who does not read loses frames, and nobody else does. */
static void test_capture_slow(void)
{
	struct pcap_counters c;
	struct rig r = { 0 };
	uint32_t errors = 0;
	int fd;

	rig_open(&r);
	add_both(&r);
	fd = start_capture(&r, BRIDGE_ITSELF, 1, 65535);
	for (uint32_t i = 0; i < 900; i++) {	/* 5.4 MB */
		exchange(&r, (uint8_t)i);
		net_guest_answers(&r.guest[0], 0, &errors);
		net_guest_answers(&r.guest[1], 0, &errors);
	}
	UNIT_EQ(errors, 0);
	stop_capture(&r, 1);
	hear_end(&r, 1, 0, &c);
	UNIT_EQ(c.frames + c.dropped, 1800);
	UNIT_OK(c.dropped > 100 && c.frames > 100);
	close(fd);
	rig_close(&r);
}

static const struct unit_test tests[] = {
	{ "from OPEN to STOPPED", test_life },
	{ "a guest goes and comes back", test_comes_back },
	{ "what is refused", test_refusals },
	{ "a broken ring", test_broken },
	{ "without a supervisor", test_orphaned },
	{ "captures of all and of one port", test_capture },
	{ "a capture ends with its port", test_capture_ends },
	{ "captures that are refused", test_capture_refused },
	{ "a capture that nobody reads", test_capture_slow },
};

int main(void)
{
	return unit_run("bridge", tests, UNIT_LEN(tests));
}
