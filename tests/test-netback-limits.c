/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much waits for a guest that has no receive slots: to the frame, as long as it
 * is told, and that what waited comes whole and in order.
 */
#include <sys/socket.h>
#include <linux/virtio_net.h>
#include <unistd.h>
#include "moderation.h"
#include "net-world.h"
#include "unit.h"

#define FIFO 512u			/* frames that wait for one rx queue */
#define HELD 320u			/* for all ports that are full */
#define FOR_ONE_PORT 64u		/* of these, in the back end's own memory */

static uint8_t frame[2100];
static struct net_guest_got got;

/* Guest 1 gets all that is no TCP on its queue 0. */
static void one_queue(struct world *w)
{
	struct xen_netif_ctrl_response rsp;

	net_guest_ask(&w->guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM,
		      XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ, 0, 0);
	net_guest_ask(&w->guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS,
		      XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP, 0, 0);
	world_run(w);
	while (net_guest_told(&w->guest[1], &rsp))
		UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_SUCCESS);
}

static uint64_t lost(struct world *w, uint32_t guest)
{
	struct vswitch_counters c = { 0 };

	UNIT_EQ(vswitch_counters(netback_switch(w->nb), w->port[guest], &c), 0);
	return c.dropped[VSWITCH_QUEUE_FULL];
}

/* The next frame is bytes long, from one guest, and has that number. */
static void expect_number(struct world *w, uint32_t bytes, uint8_t from, uint32_t number)
{
	net_plain(frame, bytes, 1, from, 0);
	memcpy(frame + 14, &number, sizeof(number));
	UNIT_NEED(net_guest_receive(&w->guest[1], &got));
	UNIT_EQ(got.error, 0);
	UNIT_EQ(got.bytes, bytes);
	UNIT_OK(!memcmp(got.data, frame, bytes));
}

/* Four senders' queues, none of which holds too much by itself, fill a receiver's one. */
static void test_fifo(void)
{
	struct world w = { .nr = 3, .nr_queues = 2, .ctrl = true };
	uint32_t nr = 0, answered = 0;

	world_open(&w);
	one_queue(&w);
	world_withhold(&w, 1);
	for (uint32_t sender = 0; sender < 4; sender++)
		for (uint32_t i = 0; i < 180; i++, nr++) {
			net_plain(frame, 100, 1, (uint8_t)(sender & 2), 0);
			memcpy(frame + 14, &nr, sizeof(nr));
			net_guest_send(&w.guest[sender & 2], frame, 100,
				       &(struct net_guest_how){ .queue = sender & 1 });
			world_run(&w);
		}
	for (uint32_t sender = 0; sender < 4; sender++)
		answered += net_guest_answers(&w.guest[sender & 2], sender & 1, NULL);
	UNIT_EQ(answered, nr - FIFO);
	UNIT_EQ(lost(&w, 1), nr - FIFO);
	for (uint32_t i = 0; i < FIFO; i++) {
		if (i % 32 == 0) {
			net_guest_post(&w.guest[1], 0, 32);
			world_run(&w);
		}
		expect_number(&w, 100, i / 180 & 2, i);
	}
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	world_close(&w);
}

/* What came from outside lies in memory of the back end's: one guest gets a part of it. */
static void test_from_uplink(void)
{
	struct world w = { .nr = 3 };
	struct vswitch_port_config port = { .any_source = true };
	struct { struct virtio_net_hdr h; uint8_t data[100]; } in = { .h = { 0 } };
	int pair[2], buffer = 1 << 20;
	struct log_peer log;
	uint32_t number;

	world_open(&w);
	UNIT_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	log_peer_init(&log, "uplink");
	UNIT_NEED(!netback_add_uplink(w.nb, pair[0], true, &port, &log, &number));
	world_withhold(&w, 1);
	for (uint32_t i = 0; i < FOR_ONE_PORT + 30; i++) {
		net_plain(in.data, sizeof(in.data), 1, 0x50, 0);
		memcpy(in.data + 14, &i, sizeof(i));
		UNIT_EQ(write(pair[1], &in, sizeof(in)), (int)sizeof(in));
		netback_uplink_ready(w.nb, number);
		world_run(&w);
	}
	UNIT_EQ(lost(&w, 1), 30);
	/* Nobody else misses it; nor does the guest, once it has slots. */
	net_plain(in.data, sizeof(in.data), 2, 0x50, 9);
	UNIT_EQ(write(pair[1], &in, sizeof(in)), (int)sizeof(in));
	netback_uplink_ready(w.nb, number);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[2], &got));
	UNIT_OK(got.bytes == sizeof(in.data) && !memcmp(got.data, in.data, got.bytes));
	for (uint32_t round = 0; round < 2; round++) {
		net_guest_post(&w.guest[1], 0, FOR_ONE_PORT);
		world_run(&w);
		for (uint32_t i = 0; i < FOR_ONE_PORT; i++) {
			if (round) {	/* the room is there again, all of it */
				net_plain(in.data, sizeof(in.data), 1, 0x50, 0);
				memcpy(in.data + 14, &i, sizeof(i));
				UNIT_EQ(write(pair[1], &in, sizeof(in)), (int)sizeof(in));
				netback_uplink_ready(w.nb, number);
				world_run(&w);
			}
			expect_number(&w, sizeof(in.data), 0x50, i);
		}
	}
	UNIT_EQ(lost(&w, 1), 30);
	world_close(&w);
	close(pair[0]);
	close(pair[1]);
}

/* What a receiver cannot take as it is waits in that memory, too, whoever sent it. */
static void test_pulled(void)
{
	struct world w = { .nr = 3, .no_csum = { [1] = true } };

	world_open(&w);
	world_withhold(&w, 1);
	for (uint32_t i = 0; i < FOR_ONE_PORT + 30; i++) {
		net_tcp(frame, 100, 1, 0, 0, true);
		net_guest_send(&w.guest[0], frame, 100,
			       &(struct net_guest_how){ .blank = true });
		world_run(&w);
		net_guest_answers(&w.guest[0], 0, NULL);
	}
	UNIT_EQ(lost(&w, 1), 30);
	world_close(&w);
}

/* One receiver's checksum is completed; the others were promised that it is blank. */
static void test_blank_for_some(void)
{
	struct world w = { .nr = 3, .no_csum = { [1] = true } };
	struct vswitch_port_config port = { .any_source = true };
	struct { struct virtio_net_hdr h; uint8_t data[100]; } in = {
		.h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 },
	};
	uint32_t number, blank = 0, right = 0;
	struct log_peer log;
	int pair[2];

	world_open(&w);
	UNIT_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
	log_peer_init(&log, "uplink");
	UNIT_NEED(!netback_add_uplink(w.nb, pair[0], true, &port, &log, &number));
	net_tcp(in.data, sizeof(in.data), 1, 0x50, 0, true);
	memset(in.data, 0xff, 6);
	UNIT_EQ(write(pair[1], &in, sizeof(in)), (int)sizeof(in));
	netback_uplink_ready(w.nb, number);
	world_run(&w);
	for (uint32_t i = 0; i < 3; i++) {
		UNIT_NEED(net_guest_receive(&w.guest[i], &got));
		UNIT_EQ(got.bytes, sizeof(in.data));
		if (got.flags & NETRXF_csum_blank)
			blank += !memcmp(got.data, in.data, got.bytes);
		else
			right += net_tcp_is_right(got.data, got.bytes);
	}
	UNIT_OK(blank && right && blank + right == 3);
	world_close(&w);
	close(pair[0]);
	close(pair[1]);
}

/* One that let frames grow too old is trusted again after a frame was put. */
static void test_stall_ends(void)
{
	struct world w = { .nr = 2 };

	world_open(&w);
	world_withhold(&w, 1);
	net_plain(frame, 100, 1, 0, 0);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	w.now_ms += NETBACK_HOLD_MS;
	world_run(&w);
	UNIT_EQ(lost(&w, 1), 0);
	w.now_ms++;
	world_run(&w);
	UNIT_EQ(lost(&w, 1), 1);
	net_guest_post(&w.guest[1], 0, 19);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	UNIT_EQ(lost(&w, 1), 2);
	net_guest_post(&w.guest[1], 0, 1);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got));
	world_withhold(&w, 1);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	UNIT_EQ(lost(&w, 1), 2);
	net_guest_post(&w.guest[1], 0, 1);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got));
	world_close(&w);
}

/* Slots that are too few for any frame are no reason to trust it again. */
static void test_stall_stays(void)
{
	struct world w = { .nr = 2, .ctrl = true, .rx_slots = { [1] = 1 } };

	world_open(&w);
	one_queue(&w);
	/* With its hash it needs two. */
	net_tcp(frame, 1000, 1, 0, 3, false);
	for (uint32_t i = 1; i <= 3; i++) {
		net_guest_send(&w.guest[0], frame, 1000, NULL);
		world_run(&w);
		/* From the second on without waiting. */
		UNIT_EQ(lost(&w, 1), i == 1 ? 0 : i);
		w.now_ms += i == 1 ? NETBACK_HOLD_MS + 1 : 0;
		world_run(&w);
		UNIT_EQ(lost(&w, 1), i);
	}
	net_guest_post(&w.guest[1], 0, 1);
	net_guest_send(&w.guest[0], frame, 1000, NULL);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(lost(&w, 1), 3);
	world_close(&w);
}

/* A hash takes one slot more, no other. */
static void test_slots_of_hashed(void)
{
	struct world w = { .nr = 2, .ctrl = true };

	world_open(&w);
	one_queue(&w);
	world_withhold(&w, 1);
	net_tcp(frame, 1000, 1, 0, 3, false);
	net_guest_send(&w.guest[0], frame, 1000, NULL);
	net_guest_post(&w.guest[1], 0, 1);
	world_run(&w);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	net_guest_post(&w.guest[1], 0, 1);
	world_run(&w);
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_OK(got.hashed && got.bytes == 1000 && !memcmp(got.data, frame, 1000));
	world_close(&w);
}

static uint64_t events(const struct world *w)
{
	struct netback_stats stats;

	netback_stats(w->nb, &stats);
	return stats.notifies;
}

/* From one guest to another; the events that this took. */
static uint64_t events_for_a_frame(struct world *w, uint32_t from, uint32_t to)
{
	uint64_t before;

	net_guest_answers(&w->guest[from], 0, NULL);
	ring_front_final(&w->guest[from].queue[0].tx, 1);
	ring_front_final(&w->guest[to].queue[0].rx, 1);
	before = events(w);
	net_plain(frame, 100, (uint8_t)to, (uint8_t)from, 0);
	net_guest_send(&w->guest[from], frame, 100, NULL);
	world_run(w);
	UNIT_OK(net_guest_receive(&w->guest[to], &got));
	return events(w) - before;
}

/* The sender of one frame is told with the reply, or when it is due. */
static void test_sender_is_told(void)
{
	struct world w = { .nr = 2 };
	uint64_t before;

	world_open(&w);
	w.now_ms += 10;
	world_run(&w);
	UNIT_EQ(events_for_a_frame(&w, 0, 1), 1);
	before = events(&w);
	w.now_ms += MODERATION_US / 1000 - 1;
	world_run(&w);
	UNIT_EQ(events(&w), before);
	UNIT_OK(netback_timeout_us(w.nb, w.now_ms * 1000) <= 1000);
	w.now_ms++;
	world_run(&w);
	UNIT_EQ(events(&w), before + 1);
	UNIT_EQ(netback_timeout_us(w.nb, w.now_ms * 1000), -1);
	w.now_ms++;
	UNIT_EQ(events_for_a_frame(&w, 0, 1), 1);
	before = events(&w);
	/* The reply's event, and the one that was owed, on a channel of its own. */
	UNIT_EQ(events_for_a_frame(&w, 1, 0), 2);
	w.now_ms += 10;
	world_run(&w);
	UNIT_EQ(events(&w), before + 3);
	world_close(&w);
}

/* A sender that has looked for its answers by itself is not woken for them. */
static void test_sender_has_looked(void)
{
	struct world w = { .nr = 2 };
	uint64_t before;

	world_open(&w);
	w.now_ms += 10;
	world_run(&w);
	UNIT_EQ(events_for_a_frame(&w, 0, 1), 1);
	before = events(&w);
	net_guest_answers(&w.guest[0], 0, NULL);
	ring_front_final(&w.guest[0].queue[0].tx, 1);
	w.now_ms += 10;
	world_run(&w);
	UNIT_EQ(events(&w), before);
	world_close(&w);
}

/*
 * A receiver that posts one slot for each pass makes its sender wait with three quarters of
 * its ring too: the last quarter is for the sender's other frames.
 */
static void test_slot_by_slot(void)
{
	struct world w = { .nr = 3 };
	struct ring_front *tx = &w.guest[0].queue[0].tx;
	uint32_t held = 0, arrived = 0;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	for (uint32_t turn = 0; turn < 60; turn++) {
		net_guest_post(&w.guest[1], 0, 1);
		for (uint32_t i = 0; i < 10 && ring_front_free(tx); i++) {
			net_plain(frame, 100, 1, 0, 0);
			net_guest_send(&w.guest[0], frame, 100, NULL);
		}
		world_pass(&w);
		arrived += net_guest_receive(&w.guest[1], &got);
		net_guest_answers(&w.guest[0], 0, NULL);
		held = MAX(held, ring_front_inflight(tx));
	}
	UNIT_OK(arrived > 30);
	UNIT_OK(held <= 192);
	world_close(&w);
}

/* ---- producers that go back and forth ------------------------------------------------ */

#define LIARS 9u
static struct world *lying;
static uint32_t nr_calls;		/* of grant copies, in a pass */

static void say_slots(const struct world *w, uint32_t nr)
{
	for (uint32_t i = 1; i <= LIARS; i++) {
		const struct ring_front *rx = &w->guest[i].queue[0].rx;

		__atomic_store_n(&rx->shared->req_prod, rx->req_prod_pub + nr, __ATOMIC_RELAXED);
	}
}

int __real_xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				xengnttab_grant_copy_segment_t *segs);
int __wrap_xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				xengnttab_grant_copy_segment_t *segs);

/* The first call of a pass copies heads; by the second one frames have been let in. */
int __wrap_xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				xengnttab_grant_copy_segment_t *segs)
{
	if (lying && ++nr_calls == 2)
		say_slots(lying, 0);
	return __real_xengnttab_grant_copy(xgt, count, segs);
}

static void send_large(struct world *w, uint32_t to)
{
	static uint8_t large[3000];

	net_tcp(large, sizeof(large), (uint8_t)to, 0, 0, true);
	net_guest_send(&w->guest[0], large, sizeof(large), &(struct net_guest_how){ .blank = true });
}

/* Returns whether it waits for that receiver, and is not lost. */
static bool waits_for_liar(struct world *w, uint32_t to)
{
	uint64_t before = lost(w, to);

	send_large(w, to);
	nr_calls = 0;
	lying = w;
	say_slots(w, 1);
	world_pass(w);
	say_slots(w, 0);
	lying = NULL;
	net_guest_answers(&w->guest[0], 0, NULL);
	return lost(w, to) == before;
}

/*
 * Receivers without a slot that have one whenever it is asked whether they are full, and none
 * when it is to be filled, hold no more of our buffers than those who are just full.
 */
static void test_liars(void)
{
	struct world w = { .nr = LIARS + 2 };
	uint32_t victim = LIARS + 1, held = 0;

	for (uint32_t i = 1; i <= victim; i++)
		w.no_csum[i] = w.no_gso[i] = true;
	world_open(&w);
	world_learn(&w);
	for (uint32_t i = 1; i <= LIARS; i++)
		world_withhold(&w, i);
	for (uint32_t i = 1; i <= LIARS; i++)
		for (uint32_t n = 0; n < FOR_ONE_PORT + 2; n++)
			held += waits_for_liar(&w, i);
	UNIT_OK(held <= HELD);
	for (uint32_t n = 0; n < 4; n++)
		send_large(&w, victim);
	world_pass(&w);
	for (uint32_t n = 0; n < 4; n++)
		UNIT_OK(net_guest_receive(&w.guest[victim], &got));
	world_close(&w);
}

/* ---- what is to be cut ------------------------------------------------------------------ */

/* A pass ends for a sender whose packets are of many segments: somebody has to cut them. */
static void test_many_segments(void)
{
	struct world w = { .nr = 2 };
	uint32_t nr, passes;

	world_open(&w);
	world_learn(&w);
	for (uint32_t i = 0; i < 64; i++) {
		net_tcp(frame, 54 + 8 * 250, 0x50, 0, (uint8_t)i, true);
		net_guest_send(&w.guest[0], frame, 54 + 8 * 250, &(struct net_guest_how){
			.blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4, .gso_bytes = 8 });
	}
	world_pass(&w);
	nr = net_guest_answers(&w.guest[0], 0, NULL);
	UNIT_EQ(nr / 2, 64 * 64 / (2054 / 8 + 1) + 1);	/* a slot, and its extra info */
	for (passes = 1; nr < 128 && passes < 64; passes++) {
		world_pass(&w);
		nr += net_guest_answers(&w.guest[0], 0, NULL);
	}
	UNIT_EQ(nr, 128);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{ "a receiver of one slot at a time", test_slot_by_slot },
	{ "producers that go back and forth", test_liars },
	{ "packets of many segments", test_many_segments },
	{ "a sender is told with the reply, or when due", test_sender_is_told },
	{ "a sender that has looked is not told", test_sender_has_looked },
	{ "what waits for one queue", test_fifo },
	{ "what waits from an uplink", test_from_uplink },
	{ "what waits since the receiver cannot take it as it is", test_pulled },
	{ "a blank checksum for some", test_blank_for_some },
	{ "a stall ends", test_stall_ends },
	{ "a stall stays while slots are too few", test_stall_stays },
	{ "slots of a hashed frame", test_slots_of_hashed },
};

int main(void)
{
	return unit_run("netback, limits", tests, UNIT_LEN(tests));
}
