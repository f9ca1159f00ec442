/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits of an interface on the data path, with a clock by hand: what waits where, for how
 * long, and who does not; and the share of a pass that a flood leaves to others.
 */
#include <sys/socket.h>
#include <linux/virtio_net.h>
#include <unistd.h>
#include "net-world.h"
#include "unit.h"

static uint8_t frame[2000];
static struct net_guest_got got;

static void set(struct world *w, uint32_t guest, const char *text)
{
	struct limit limit = { .request_bytes = 0 };

	UNIT_EQ(limit_parse(LIMIT_OF_NIC, text, &limit, NULL), 0);
	netback_set_limit(w->nb, w->port[guest], &limit);
}

static void send_frames(struct world *w, uint8_t from, uint8_t to, uint32_t bytes, uint32_t nr)
{
	net_plain(frame, bytes, to, from, 0);
	for (uint32_t i = 0; i < nr; i++)
		net_guest_send(&w->guest[from], frame, bytes, NULL);
}

static uint32_t received(struct world *w, uint32_t guest)
{
	uint32_t nr = 0;

	while (net_guest_receive(&w->guest[guest], &got))
		nr++;
	net_guest_post(&w->guest[guest], 0, nr);
	return nr;
}

/* Nothing is done before the time; then that many arrive at guest. */
static void later(struct world *w, uint64_t ms, uint32_t guest, uint32_t nr)
{
	w->now_ms += ms;
	world_run(w);
	UNIT_EQ(received(w, guest), nr);
	UNIT_OK(!netback_pending(w->nb));
	UNIT_OK(!netback_final(w->nb));
}

static uint64_t lost(struct world *w, uint32_t guest)
{
	struct vswitch_counters c = { 0 };

	UNIT_EQ(vswitch_counters(netback_switch(w->nb), w->port[guest], &c), 0);
	return c.dropped[VSWITCH_QUEUE_FULL];
}

static void test_tx(void)
{
	struct world w = { .nr = 3 };

	world_open(&w);
	world_learn(&w);
	set(&w, 0, "tx-packets-per-second=100,tx-packets-burst=10,rx-packets-per-second=1");
	send_frames(&w, 0, 1, 100, 40);
	later(&w, 0, 1, 10);
	UNIT_EQ(netback_timeout_us(w.nb, w.now_ms * 1000), 1);	/* just used up */
	w.now_ms++;
	world_run(&w);
	UNIT_EQ(received(&w, 1), 1);	/* into debt by one */
	UNIT_EQ(netback_timeout_us(w.nb, w.now_ms * 1000), 9001);
	later(&w, 99, 1, 9);
	/* Others send as before, and a rest saves up ten. */
	send_frames(&w, 2, 1, 100, 40);
	later(&w, 0, 1, 40);
	later(&w, 1000, 1, 10);
	UNIT_EQ(lost(&w, 1), 0);
	/* Taken away: all that waits goes. */
	set(&w, 0, "none");
	later(&w, 0, 1, 10);
	world_close(&w);
}

static void test_bytes(void)
{
	struct world w = { .nr = 2 };

	world_open(&w);
	world_learn(&w);
	set(&w, 0, "tx-bytes-per-second=100k,tx-bytes-burst=5000");
	send_frames(&w, 0, 1, 1000, 20);
	later(&w, 0, 1, 5);
	later(&w, 41, 1, 5);
	/* Both ways have one budget, besides their own. */
	set(&w, 0, "none");
	later(&w, 0, 1, 10);
	set(&w, 0, "packets-per-second=100,packets-burst=10,rx-bytes-per-second=1M");
	send_frames(&w, 0, 1, 1000, 6);
	later(&w, 0, 1, 6);
	send_frames(&w, 1, 0, 1000, 6);
	later(&w, 0, 0, 4);
	later(&w, 21, 0, 2);
	world_close(&w);
}

/* A receiver's limit keeps frames for as long as its want of slots would. */
static void test_rx(void)
{
	struct world w = { .nr = 3 };

	world_open(&w);
	world_learn(&w);
	set(&w, 1, "rx-packets-per-second=100,rx-packets-burst=10,tx-packets-per-second=1");
	send_frames(&w, 0, 1, 100, 40);
	later(&w, 0, 1, 10);
	/* Whoever sends to another is not held up. */
	send_frames(&w, 0, 2, 100, 20);
	send_frames(&w, 2, 0, 100, 20);
	later(&w, 0, 2, 20);
	UNIT_EQ(received(&w, 0), 20);
	UNIT_OK(netback_timeout_us(w.nb, w.now_ms * 1000) > 0);
	later(&w, 51, 1, 6);
	later(&w, 49, 1, 4);
	UNIT_EQ(lost(&w, 1), 0);
	/* The rest has waited for too long by now. */
	w.now_ms++;
	world_run(&w);
	UNIT_EQ(received(&w, 1) + lost(&w, 1), 20);
	UNIT_OK(lost(&w, 1) >= 19);
	/* One that lost frames is no worse off afterwards. */
	w.now_ms += 200;
	send_frames(&w, 0, 1, 100, 10);
	later(&w, 0, 1, 10);
	world_close(&w);
}

/*
 * Two guests fill their rings as fast as these are emptied, a third sends now and then:
 * what it sends is there after one pass, and the two have equal shares.
 */
static void test_flood(void)
{
	struct world w = { .nr = 3 };
	uint32_t from[2] = { 0, 0 }, moved = 0;

	world_open(&w);
	world_learn(&w);
	for (uint32_t round = 0; round < 200; round++) {
		uint32_t before = from[0] + from[1];

		for (uint8_t g = 0; g < 2; g++) {
			uint32_t answers = round ? net_guest_answers(&w.guest[g], 0, NULL) : 200;

			send_frames(&w, g, 2, 100, answers);
		}
		world_pass(&w);
		while (net_guest_receive(&w.guest[2], &got)) {
			from[got.data[11] & 1]++;
			net_guest_post(&w.guest[2], 0, 1);
		}
		moved += from[0] + from[1] > before;
	}
	UNIT_OK(moved > 100);
	UNIT_OK(from[0] > 1000 && from[1] > 1000);
	UNIT_OK(from[0] * 10 < from[1] * 11 && from[1] * 10 < from[0] * 11);
	world_close(&w);
}

/*
 * Keeps the tx rings of a guest full, with frames that the switch refuses and so nobody
 * can hold up. Returns how many were answered.
 */
static uint32_t fill(struct world *w, uint8_t from, uint32_t nr_queues, bool first)
{
	uint32_t all = 0;

	for (uint32_t q = 0; q < nr_queues; q++) {
		uint32_t nr = first ? 250 : net_guest_answers(&w->guest[from], q, NULL);

		all += first ? 0 : nr;
		net_plain(frame, 100, 2, 0x77, 0);
		while (nr--)
			net_guest_send(&w->guest[from], frame, 100,
				       &(struct net_guest_how){ .queue = q });
	}
	return all;
}

/* What guest 2 has got on any queue, by the last octet of the sender. */
static void count(struct world *w, uint32_t from[256])
{
	while (net_guest_receive(&w->guest[2], &got)) {
		from[got.data[11]]++;
		net_guest_post(&w->guest[2], got.queue, 1);
	}
}

/* A guest has its share whatever the number of its queues. */
static void test_queues(void)
{
	struct world w = { .nr = 3, .nr_queues = 2 };
	uint32_t from[2] = { 0, 0 };

	world_open(&w);
	world_learn(&w);
	for (uint32_t round = 0; round < 300; round++) {
		from[0] += fill(&w, 0, 2, !round);
		from[1] += fill(&w, 1, 1, !round);
		world_pass(&w);
	}
	UNIT_OK(from[0] > 1000 && from[1] > 1000);
	UNIT_OK(from[0] * 10 < from[1] * 11);
	world_close(&w);
}

/* Of 18 slots each, which the switch refuses: four such rings are all that a pass takes. */
static void fill_slots(struct world *w, uint32_t guest, uint32_t queue, uint32_t nr)
{
	struct net_guest_how how = { .queue = queue };

	for (uint32_t i = 0; i < UNIT_LEN(how.cut); i++)
		how.cut[i] = 30;
	net_plain(frame, 18 * 30, 2, 0x77, 0);
	while (nr--)
		UNIT_EQ(net_guest_send(&w->guest[guest], frame, 18 * 30, &how), 18);
}

/* Where a full pass stops the next one goes on: of six queues none waits for two. */
static void test_full_passes(void)
{
	struct world w = { .nr = 3, .nr_queues = 2 };
	uint32_t waits[6] = { 0 }, taken[6] = { 0 }, longest = 0, most = 0, least = UINT32_MAX;

	world_open(&w);
	world_learn(&w);
	for (uint32_t i = 0; i < 6; i++)
		fill_slots(&w, i / 2, i % 2, 14);
	for (uint32_t round = 0; round < 60; round++) {
		world_pass(&w);
		for (uint32_t i = 0; i < 6; i++) {
			uint32_t nr = net_guest_answers(&w.guest[i / 2], i % 2, NULL) / 18;

			fill_slots(&w, i / 2, i % 2, nr);
			taken[i] += nr;
			waits[i] = nr ? 0 : waits[i] + 1;
			longest = MAX(longest, waits[i]);
		}
	}
	UNIT_EQ(longest, 1);
	for (uint32_t i = 0; i < 6; i++) {
		most = MAX(most, taken[i]);
		least = MIN(least, taken[i]);
	}
	UNIT_OK(most - least <= 14);
	/* Nor does it matter who of them goes. */
	for (uint32_t guest = 0; guest < 3; guest++) {
		world_pass(&w);
		world_remove(&w, guest);
	}
	world_close(&w);
}

/* Rounds in which both keep all their rings full: what is taken of each. */
static void compete(struct world *w, uint32_t nr_queues, uint32_t from[2])
{
	from[0] = from[1] = 0;
	for (uint32_t round = 0; round < 300; round++) {
		from[0] += fill(w, 0, nr_queues, false);
		from[1] += fill(w, 1, 1, false);
		world_pass(w);
	}
	UNIT_OK(from[0] > 200 && from[1] > 200);
}

static bool is_about(uint32_t nr, uint32_t wanted)
{
	return nr * 10 > wanted * 9 && nr * 10 < wanted * 11;
}

/* Shares are by weight, whatever the number of queues, from the moment that it changes. */
static void test_weights(void)
{
	struct world w = { .nr = 3, .nr_queues = 2 };
	uint32_t from[2];

	world_open(&w);
	world_learn(&w);
	fill(&w, 0, 2, true);
	fill(&w, 1, 1, true);
	compete(&w, 2, from);
	UNIT_OK(is_about(from[0], from[1]));
	set(&w, 0, "weight=300");
	compete(&w, 2, from);
	UNIT_OK(is_about(from[0], 3 * from[1]));
	set(&w, 1, "weight=1200");
	compete(&w, 2, from);
	UNIT_OK(is_about(from[1], 4 * from[0]));
	/* Nobody is left with nothing. */
	set(&w, 0, "weight=1");
	set(&w, 1, "weight=10000");
	compete(&w, 2, from);
	UNIT_OK(from[1] > 20 * from[0]);
	set(&w, 0, "none");
	set(&w, 1, "weight=none");
	compete(&w, 2, from);
	UNIT_OK(is_about(from[0], from[1]));
	world_close(&w);
}

/* What waits for its limit takes no part of a pass, whatever its weight. */
static void test_weight_of_held(void)
{
	struct world w = { .nr = 3, .nr_queues = 2 };
	uint32_t alone;

	world_open(&w);
	world_learn(&w);
	fill(&w, 0, 1, true);
	world_pass(&w);
	alone = fill(&w, 0, 1, false);
	set(&w, 1, "weight=10000,tx-packets-per-second=1,tx-packets-burst=1");
	fill(&w, 1, 1, true);
	for (uint32_t pass = 0; pass < 5; pass++) {
		fill(&w, 0, 1, false);
		world_pass(&w);
	}
	UNIT_OK(fill(&w, 0, 1, false) == alone && alone > 20);
	world_close(&w);
}

/* What comes from outside is not kept out by guests that fill every pass. */
static void test_uplink(void)
{
	struct world w = { .nr = 3, .nr_queues = 2 };
	struct vswitch_port_config port = { .any_source = true };
	struct { struct virtio_net_hdr h; uint8_t data[100]; } in = { .h = { 0 } };
	uint32_t from[256] = { 0 }, sent = 0, number;
	struct log_peer log;
	int pair[2];

	world_open(&w);
	world_learn(&w);
	UNIT_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
	log_peer_init(&log, "uplink");
	UNIT_NEED(!netback_add_uplink(w.nb, pair[0], true, &port, &log, &number));
	for (uint32_t round = 0; round < 100; round++) {
		sent += fill(&w, 0, 2, !round) + fill(&w, 1, 2, !round);
		if (round % 4 == 0) {
			net_plain(in.data, sizeof(in.data), 2, 0x50, 0);
			UNIT_EQ(write(pair[1], &in, sizeof(in)), (int)sizeof(in));
			netback_uplink_ready(w.nb, number);
		}
		world_pass(&w);
		count(&w, from);
	}
	UNIT_OK(sent > 10000);
	UNIT_EQ(from[0x50], 25);
	world_close(&w);
	close(pair[0]);
	close(pair[1]);
}

#define FOR_ALL 320u		/* frames that wait in the back end's own memory */

/* So many come for a guest at once. */
static void from_outside(struct world *w, int fd, uint32_t uplink, uint8_t to, uint32_t nr)
{
	struct { struct virtio_net_hdr h; uint8_t data[100]; } in = { .h = { 0 } };

	net_plain(in.data, sizeof(in.data), to, 0x50, 0);
	while (nr--)
		UNIT_EQ(write(fd, &in, sizeof(in)), (int)sizeof(in));
	netback_uplink_ready(w->nb, uplink);
	world_run(w);
}

/*
 * However many receivers do not keep up, with slots or with their limits: who does misses
 * nothing of a burst, nor does the kernel.
 */
static void test_many_are_full(void)
{
	struct world w = { .nr = WORLD_GUESTS };
	const uint32_t well = WORLD_GUESTS - 1;
	int pair[2];
	uint8_t out[200];
	uint32_t number, kept = 0, nr = 0;

	world_open(&w);
	number = world_add_uplink(&w, pair);
	for (uint32_t i = 0; i < well; i++) {
		if (i & 1)
			set(&w, i, "rx-packets-per-second=1,rx-packets-burst=1");
		else
			world_withhold(&w, i);
	}
	while (read(pair[1], out, sizeof(out)) > 0)
		;
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < well; i++) {
			from_outside(&w, pair[1], number, (uint8_t)i, 64);
			received(&w, i);
		}
		from_outside(&w, pair[1], number, (uint8_t)well, 64);
		UNIT_EQ(received(&w, well), 64);
		UNIT_EQ(lost(&w, well), 0);
		net_plain(frame, 100, 0x50, (uint8_t)well, 0);
		for (uint32_t i = 0; i < 64; i++)
			net_guest_send(&w.guest[well], frame, 100, NULL);
		world_run(&w);
		UNIT_EQ(net_guest_answers(&w.guest[well], 0, NULL), 64);
		while (read(pair[1], out, sizeof(out)) > 0)
			nr++;
	}
	UNIT_EQ(nr, 3 * 64);
	/* The first of them have something that waits, and all together no more than that. */
	for (uint32_t i = 0; i < well; i++)
		kept += 3 * 64 - (uint32_t)lost(&w, i);
	UNIT_OK(lost(&w, 0) < 3 * 64 && lost(&w, 8) < 3 * 64);
	UNIT_OK(kept > 300 && kept <= FOR_ALL + well);
	world_close(&w);
	close(pair[0]);
	close(pair[1]);
}

static const struct unit_test tests[] = {
	{ "packets that a guest sends", test_tx },
	{ "bytes, and both ways together", test_bytes },
	{ "packets that a guest gets", test_rx },
	{ "two floods have equal shares", test_flood },
	{ "a guest's queues have one share", test_queues },
	{ "shares by weight", test_weights },
	{ "a share is no limited guest's that waits", test_weight_of_held },
	{ "passes that are full", test_full_passes },
	{ "many do not keep up, others miss nothing", test_many_are_full },
	{ "floods do not keep an uplink out", test_uplink },
};

int main(void)
{
	return unit_run("netback rates", tests, UNIT_LEN(tests));
}
