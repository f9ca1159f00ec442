/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The net back end's data path with right-minded guests: what arrives is what
 * was sent, in the form that the receiver takes, and everybody is answered.
 */
#include <sys/socket.h>
#include <linux/virtio_net.h>
#include <unistd.h>
#include "frame.h"
#include "net-world.h"
#include "shaper.h"
#include "unit.h"

static uint8_t frame[66000];
static struct net_guest_got got;

static void expect(struct world *w, uint32_t to, const uint8_t *want, uint32_t bytes)
{
	UNIT_NEED(net_guest_receive(&w->guest[to], &got));
	UNIT_EQ(got.error, 0);
	UNIT_EQ(got.bytes, bytes);
	UNIT_OK(!memcmp(got.data, want, bytes));
}

static void test_small(void)
{
	struct world w = { .nr = 3 };
	uint32_t errors;

	world_open(&w);
	world_learn(&w);
	for (uint32_t bytes = 14; bytes <= 400; bytes += 1) {
		net_plain(frame, bytes, 1, 0, (uint8_t)bytes);
		net_guest_send(&w.guest[0], frame, bytes, NULL);
		world_run(&w);
		expect(&w, 1, frame, bytes);
		UNIT_EQ(net_guest_answers(&w.guest[0], 0, &errors), 1);
		UNIT_EQ(errors, 0);
		net_guest_post(&w.guest[1], 0, 1);
	}
	UNIT_OK(!net_guest_receive(&w.guest[2], &got));
	world_close(&w);
}

/* A frame in slots of all sorts of sizes, empty ones and a first of one octet. */
static void test_slots(void)
{
	static const struct net_guest_how hows[] = {
		{ .cut = { 0 } },
		{ .cut = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
		{ .cut = { 13, 1, 4096, 17 }, .offset = 4083 },
		{ .cut = { 159, 2, 1000 }, .offset = 3000 },
		{ .cut = { 160, 4096, 4000 } },
		{ .offset = 4095 },
		{ .cut = { 100, 3000 }, .offset = 10, .more_offset = 1000 },
		{ .cut = { 20, 20, 20, 20, 20 }, .more_offset = 1 },
	};

	for (uint32_t i = 0; i < UNIT_LEN(hows); i++) {
		struct world w = { .nr = 2 };
		uint32_t bytes = hows[i].cut[0] == 1 ? 4000 : 9014, slots;

		world_open(&w);
		world_learn(&w);
		net_plain(frame, bytes, 1, 0, (uint8_t)i);
		slots = net_guest_send(&w.guest[0], frame, bytes, &hows[i]);
		world_run(&w);
		expect(&w, 1, frame, bytes);
		UNIT_EQ(got.slots, (bytes + 4095) / 4096);
		UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), slots);
		world_close(&w);
	}
}

static void test_flood(void)
{
	struct world w = { .nr = 3 };

	world_open(&w);
	net_plain(frame, 5000, 0x77, 0, 1);
	memset(frame, 0xff, 6);
	net_guest_send(&w.guest[0], frame, 5000, NULL);
	world_run(&w);
	expect(&w, 1, frame, 5000);
	expect(&w, 2, frame, 5000);
	UNIT_OK(!net_guest_receive(&w.guest[0], &got));
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 2);
	world_close(&w);
}

/* What the sender changes after the decision does not reach anybody. */
static void test_head_is_ours(void)
{
	struct world w = { .nr = 2 };
	uint8_t *page;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	net_plain(frame, 1000, 1, 0, 5);
	page = net_guest_next_page(&w.guest[0], 0);
	net_guest_send(&w.guest[0], frame, 1000, NULL);
	world_run(&w);
	memset(page, 0xee, 1000);
	net_guest_post(&w.guest[1], 0, 4);
	world_run(&w);
	expect(&w, 1, frame, 1000);
	world_close(&w);
}

static void test_large_passes(void)
{
	struct world w = { .nr = 2 };
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 1448 };

	world_open(&w);
	world_learn(&w);
	net_tcp(frame, 65000, 1, 0, 3, true);
	net_guest_send(&w.guest[0], frame, 65000, &how);
	world_run(&w);
	expect(&w, 1, frame, 65000);
	UNIT_EQ(got.gso, XEN_NETIF_GSO_TYPE_TCPV4);
	UNIT_EQ(got.gso_bytes, 1448);
	UNIT_OK(got.flags & NETRXF_csum_blank);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 17);
	world_close(&w);
}

/*
 * As Linux sends it, headers in a slot of their own: that slot is all that is looked
 * at, and no page of the rest is split between two slots of the receiver.
 */
static void test_large_unsplit(void)
{
	static const struct { uint32_t bytes, first, slots, copies; } rows[] = {
		{ 66 + 15 * 4096, 66, 16, 17 },
		{ 66 + 15 * 4096 + 4000, 66, 17, 18 },
		{ 66 + 4 * 4096, 66, 5, 6 },
		/* One slot more of three would be dear: packed. */
		{ 66 + 2 * 4096 + 4000, 66, 3, 7 },
	};
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 1448 };

	for (uint32_t i = 0; i < UNIT_LEN(rows); i++) {
		struct world w = { .nr = 2 };
		struct netback_stats before, after;

		world_open(&w);
		world_learn(&w);
		how.cut[0] = rows[i].first;
		net_tcp(frame, rows[i].bytes, 1, 0, 3, true);
		netback_stats(w.nb, &before);
		net_guest_send(&w.guest[0], frame, rows[i].bytes, &how);
		world_run(&w);
		netback_stats(w.nb, &after);
		expect(&w, 1, frame, rows[i].bytes);
		UNIT_EQ(got.slots, rows[i].slots + 1);	/* and GSO's */
		UNIT_EQ(after.copies - before.copies, rows[i].copies);
		world_close(&w);
	}
}

/* TCP over IPv6 to guest 1 with a blank checksum; headers of 74 octets. */
static void make_tcp6(uint32_t bytes)
{
	uint8_t *ip = frame + 14;
	uint32_t tcp_bytes = bytes - 54;

	net_plain(frame, bytes, 1, 0, 3);
	net_put16(frame + 12, 0x86dd);
	memset(ip, 0, 60);
	ip[0] = 0x60;
	net_put16(ip + 4, tcp_bytes);
	ip[6] = 6;
	ip[7] = 64;
	ip[23] = ip[39] = 1;
	ip[40 + 12] = 0x50;
	net_put16(ip + 40 + 16, net_sum(ip + 8, 32, 6 + tcp_bytes));
}

/* Headers that go on in the next slots: fetched before anything is decided. */
static void test_head_goes_on(void)
{
	struct net_guest_how how = { .cut = { 66, 1, 1, 1, 1, 1 }, .blank = true,
				     .gso = XEN_NETIF_GSO_TYPE_TCPV6, .gso_bytes = 1448 };
	struct world w = { .nr = 2 };
	uint32_t errors;

	world_open(&w);
	world_learn(&w);
	make_tcp6(9000);
	net_guest_send(&w.guest[0], frame, 9000, &how);
	world_run(&w);
	expect(&w, 1, frame, 9000);
	UNIT_EQ(got.gso, XEN_NETIF_GSO_TYPE_TCPV6);
	UNIT_OK(net_guest_answers(&w.guest[0], 0, &errors) > 0);
	UNIT_EQ(errors, 0);
	world_close(&w);
}

/* For a receiver that takes no large packets: segments with right sums. */
static void test_large_is_cut(void)
{
	struct world w = { .nr = 2 };
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 1000 };
	uint32_t at = NET_TCP_HEADERS;

	w.no_gso[1] = w.no_csum[1] = true;
	world_open(&w);
	world_learn(&w);
	net_tcp(frame, 30054, 1, 0, 3, true);
	net_guest_send(&w.guest[0], frame, 30054, &how);
	world_run(&w);
	while (net_guest_receive(&w.guest[1], &got)) {
		uint32_t payload = got.bytes - NET_TCP_HEADERS;

		UNIT_EQ(got.gso, 0);
		UNIT_OK(net_tcp_is_right(got.data, got.bytes));
		UNIT_EQ(net_get16(got.data + 40), at - NET_TCP_HEADERS + 9);
		UNIT_OK(!memcmp(got.data + NET_TCP_HEADERS, frame + at, payload));
		at += payload;
	}
	UNIT_EQ(at, 30054);
	world_close(&w);
}

/* More segments than the receiver has slots: the rest follows when it has. */
static void test_cut_in_parts(void)
{
	struct world w = { .nr = 2 };
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 500 };
	uint32_t at = NET_TCP_HEADERS;

	w.no_gso[1] = true;
	world_open(&w);
	world_learn(&w);
	net_tcp(frame, 60054, 1, 0, 3, true);
	net_guest_send(&w.guest[0], frame, 60054, &how);
	for (uint32_t rounds = 0; rounds < 100 && at < 60054; rounds++) {
		uint32_t nr = 0;

		world_run(&w);
		for (; net_guest_receive(&w.guest[1], &got); nr++) {
			UNIT_OK(got.flags & NETRXF_csum_blank);
			UNIT_OK(!memcmp(got.data + NET_TCP_HEADERS, frame + at,
					got.bytes - NET_TCP_HEADERS));
			at += got.bytes - NET_TCP_HEADERS;
		}
		net_guest_post(&w.guest[1], 0, nr);
	}
	UNIT_EQ(at, 60054);
	world_close(&w);
}

/* Guest 0 sends to guest 1, which takes no larger ones than limit (0: all). */
static void send_limited(struct world *w, uint32_t bytes, uint32_t limit)
{
	struct vswitch_counters before, after;
	bool fits = !limit || bytes <= limit;

	vswitch_counters(netback_switch(w->nb), w->port[1], &before);
	net_plain(frame, bytes, 1, 0, (uint8_t)bytes);
	net_guest_send(&w->guest[0], frame, bytes, NULL);
	world_run(w);
	if (fits)
		expect(w, 1, frame, bytes);
	UNIT_OK(!net_guest_receive(&w->guest[1], &got));
	vswitch_counters(netback_switch(w->nb), w->port[1], &after);
	UNIT_EQ(after.dropped[VSWITCH_TOO_BIG], before.dropped[VSWITCH_TOO_BIG] + !fits);
	UNIT_OK(net_guest_answers(&w->guest[0], 0, NULL) > 0);
}

/* A tag may come on top of what the tool stack allowed; without sg a page is the limit. */
static void test_limits(void)
{
	static const uint32_t bytes[] = { 60, 1414, 1418, 1419, 1514, 1518, 1519, 4092, 4096,
					  4100, 9014, 9018, 9019, 65535 };
	static const struct { uint32_t mtu; bool no_sg; uint32_t limit; } rows[] = {
		{ 0, false, 0 }, { 1500, false, 1518 }, { 1400, false, 1418 },
		{ 9000, false, 9018 }, { 65521, false, 0 },
		{ 0, true, 4092 }, { 9000, true, 4092 }, { 1500, true, 1518 },
	};

	for (uint32_t i = 0; i < UNIT_LEN(rows); i++) {
		struct world w = { .nr = 2, .mtu_bytes = { 0, rows[i].mtu },
				   .no_sg = { false, rows[i].no_sg } };

		world_open(&w);
		world_learn(&w);
		for (uint32_t j = 0; j < UNIT_LEN(bytes); j++)
			send_limited(&w, bytes[j], rows[i].limit);
		world_close(&w);
	}
}

/* A large packet whose segments are too large for one that takes none. */
static void test_cut_to_fit(void)
{
	static const struct {
		uint32_t mtu;
		bool no_sg, gso, ipv6_csum;
		uint32_t largest;
	} rows[] = {
		{ 0, false, false, false, 8948 + NET_TCP_HEADERS },
		{ 1500, false, false, false, 1518 }, { 0, true, false, false, 4092 },
		{ 68, false, false, false, 536 + NET_TCP_HEADERS },
		/* GSO needs sg; IPv6's blank checksums do not help IPv4. */
		{ 0, true, true, false, 4092 }, { 0, true, true, true, 4092 },
		{ 1500, false, false, true, 1518 },
	};
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 8948 };

	for (uint32_t i = 0; i < UNIT_LEN(rows); i++) {
		struct world w = { .nr = 2, .mtu_bytes = { 0, rows[i].mtu },
				   .no_sg = { false, rows[i].no_sg },
				   .no_gso = { false, !rows[i].gso },
				   .no_csum = { false, !rows[i].ipv6_csum },
				   .only_ipv6_csum = { false, rows[i].ipv6_csum } };
		uint32_t at = NET_TCP_HEADERS, largest = 0;

		world_open(&w);
		world_learn(&w);
		net_tcp(frame, 20054, 1, 0, 3, true);
		net_guest_send(&w.guest[0], frame, 20054, &how);
		world_run(&w);
		while (net_guest_receive(&w.guest[1], &got)) {
			uint32_t payload = got.bytes - NET_TCP_HEADERS;

			UNIT_OK(net_tcp_is_right(got.data, got.bytes));
			UNIT_OK(!memcmp(got.data + NET_TCP_HEADERS, frame + at, payload));
			at += payload;
			largest = got.bytes > largest ? got.bytes : largest;
		}
		UNIT_EQ(at, 20054);
		UNIT_EQ(largest, rows[i].largest);
		world_close(&w);
	}
}

/* TCP over IPv6 for one who takes blank checksums of IPv4 only, as Linux without IPv6. */
static void test_checksum6(void)
{
	struct world w = { .nr = 2 };
	struct net_guest_how how = { .blank = true };
	const uint8_t *at = got.data + 14;

	w.no_csum6[1] = true;
	world_open(&w);
	world_learn(&w);
	make_tcp6(74 + 100);
	net_guest_send(&w.guest[0], frame, 74 + 100, &how);
	world_run(&w);
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(got.flags & NETRXF_csum_blank, 0);
	UNIT_EQ(net_sum(at + 40, 120, net_sum(at + 8, 32, 6 + 120)), 0xffff);
	world_close(&w);
}

static void test_checksum(void)
{
	struct world w = { .nr = 2 };
	struct net_guest_how how = { .blank = true };

	w.no_csum[1] = true;
	world_open(&w);
	world_learn(&w);
	net_tcp(frame, 1111, 1, 0, 3, true);
	net_guest_send(&w.guest[0], frame, 1111, &how);
	world_run(&w);
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(got.flags & NETRXF_csum_blank, 0);
	UNIT_OK(net_tcp_is_right(got.data, got.bytes));
	world_close(&w);
}

/* What the sender says of its checksum the receiver is told, no more. */
static void test_checksum_flags(void)
{
	static const struct { struct net_guest_how how; uint16_t flags; } rows[] = {
		{ { .blank = false }, 0 },
		{ { .validated = true }, NETRXF_data_validated },
		{ { .blank = true }, NETRXF_csum_blank | NETRXF_data_validated },
		{ { .blank = false }, 0 },
	};
	struct world w = { .nr = 2 };

	world_open(&w);
	world_learn(&w);
	for (uint32_t i = 0; i < UNIT_LEN(rows); i++) {
		net_tcp(frame, 700, 1, 0, 3, rows[i].how.blank);
		net_guest_send(&w.guest[0], frame, 700, &rows[i].how);
		world_run(&w);
		expect(&w, 1, frame, 700);
		UNIT_EQ(got.flags & (NETRXF_csum_blank | NETRXF_data_validated), rows[i].flags);
	}
	world_close(&w);
}

/* Of two copies one fails: it is an error all the same, for this receiver alone. */
static void test_half_failed(void)
{
	struct world w = { .nr = 3 };
	struct vswitch_counters c;

	for (uint32_t bad = 0; bad < 2; bad++) {
		struct net_guest_queue *q = &w.guest[1].queue[0];

		world_open(&w);
		world_learn(&w);
		world_withhold(&w, 1);
		UNIT_OK(fake_revoke(q->rx_gref[(q->next_rx + bad) % NET_GUEST_BUFFERS]));
		net_guest_post(&w.guest[1], 0, 2);
		net_plain(frame, 6000, 0x99, 0, 7);
		frame[0] = 0xff;
		net_guest_send(&w.guest[0], frame, 6000, NULL);
		world_run(&w);
		UNIT_NEED(net_guest_receive(&w.guest[1], &got));
		UNIT_EQ(got.slots, 2);
		UNIT_EQ(got.error, NETIF_RSP_ERROR);
		expect(&w, 2, frame, 6000);
		vswitch_counters(netback_switch(w.nb), w.port[1], &c);
		UNIT_EQ(c.dropped[VSWITCH_MALFORMED], 1);
		world_close(&w);
	}
}

/* A receiver without slots: its sender waits; others go on; then it arrives. */
static void test_holds(void)
{
	struct world w = { .nr = 3 };

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	for (uint8_t i = 0; i < 10; i++) {
		net_plain(frame, 2000, 1, 0, i);
		net_guest_send(&w.guest[0], frame, 2000, NULL);
	}
	net_plain(frame, 500, 2, 0, 42);
	net_guest_send(&w.guest[0], frame, 500, NULL);
	world_run(&w);
	expect(&w, 2, frame, 500);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 1);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	net_guest_post(&w.guest[1], 0, 10);
	world_run(&w);
	for (uint8_t i = 0; i < 10; i++) {
		net_plain(frame, 2000, 1, 0, i);
		expect(&w, 1, frame, 2000);
	}
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 10);
	world_close(&w);
}

/* And for a while only, and not with the whole ring. */
static void test_gives_up(void)
{
	struct world w = { .nr = 3 };
	struct vswitch_counters c;
	uint32_t nr = 0;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	for (uint32_t i = 0; i < 250; i++) {
		net_plain(frame, 200, 1, 0, (uint8_t)i);
		net_guest_send(&w.guest[0], frame, 200, NULL);
	}
	world_run(&w);
	nr += net_guest_answers(&w.guest[0], 0, NULL);
	UNIT_OK(nr >= 250 - 200);
	UNIT_OK(netback_timeout_us(w.nb, w.now_ms * 1000) > 0);
	w.now_ms += NETBACK_HOLD_MS + 50;
	world_run(&w);
	nr += net_guest_answers(&w.guest[0], 0, NULL);
	UNIT_EQ(nr, 250);
	vswitch_counters(netback_switch(w.nb), w.port[1], &c);
	UNIT_EQ(c.dropped[VSWITCH_QUEUE_FULL], 250);
	/* It is remembered: nothing waits for it again until it has slots. */
	net_guest_send(&w.guest[0], frame, 200, NULL);
	world_run(&w);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 1);
	net_guest_post(&w.guest[1], 0, 32);
	net_guest_send(&w.guest[0], frame, 200, NULL);
	world_run(&w);
	expect(&w, 1, frame, 200);
	world_close(&w);
}

static void send_many(struct world *w, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		net_plain(frame, 200, 1, 0, (uint8_t)i);
		net_guest_send(&w->guest[0], frame, 200, NULL);
	}
}

/* What guest 1 gets when it offers slots as long as something comes. */
static uint32_t receive_all(struct world *w)
{
	uint32_t nr = 0, before;

	do {
		before = nr;
		net_guest_post(&w->guest[1], 0, 32);
		world_run(w);
		for (uint32_t i = 0; i < 32 && net_guest_receive(&w->guest[1], &got); i++)
			nr++;
	} while (nr > before);
	return nr;
}

/* Beyond what a sender may hold some frames wait in our memory, and the rest is lost. */
static void test_waits_with_us(void)
{
	struct world w = { .nr = 2 };
	struct vswitch_counters c;
	uint32_t nr;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	send_many(&w, 250);
	world_run(&w);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 250 - 192);
	nr = receive_all(&w);
	vswitch_counters(netback_switch(w.nb), w.port[1], &c);
	UNIT_OK(nr > 192 && nr < 250);
	UNIT_EQ(c.dropped[VSWITCH_QUEUE_FULL], 250 - nr);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 192);
	world_close(&w);
}

/* Slots that came since are believed before anything is lost. */
static void test_slots_came(void)
{
	struct world w = { .nr = 2 };
	struct vswitch_counters c;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	send_many(&w, 192);
	world_run(&w);
	net_guest_post(&w.guest[1], 0, 32);
	send_many(&w, 58);
	UNIT_EQ(receive_all(&w), 250);
	vswitch_counters(netback_switch(w.nb), w.port[1], &c);
	UNIT_EQ(c.dropped[VSWITCH_QUEUE_FULL], 0);
	world_close(&w);
}

/* A port goes while others hold what it sent, and while it is waited for. */
static void test_removed(void)
{
	for (uint32_t victim = 0; victim < 2; victim++) {
		struct world w = { .nr = 3 };

		world_open(&w);
		world_learn(&w);
		world_withhold(&w, 1);
		for (uint8_t i = 0; i < 5; i++) {
			net_plain(frame, 3000, 1, 0, i);
			net_guest_send(&w.guest[0], frame, 3000, NULL);
			net_plain(frame, 3000, 1, 2, i);
			net_guest_send(&w.guest[2], frame, 3000, NULL);
		}
		world_run(&w);
		world_remove(&w, victim);
		world_run(&w);
		UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 5);
		UNIT_EQ(net_guest_answers(&w.guest[2], 0, NULL), victim ? 5 : 0);
		if (!victim)
			net_guest_post(&w.guest[1], 0, 10);
		world_run(&w);
		for (uint8_t i = 0; !victim && i < 5; i++) {
			net_plain(frame, 3000, 1, 2, i);
			expect(&w, 1, frame, 3000);
		}
		world_close(&w);
	}
}

static void test_groups(void)
{
	struct world w = { .nr = 2 };
	netif_tx_request_t req = { .flags = NETTXF_extra_info, .size = 14 };
	union { netif_extra_info_t x; netif_tx_request_t slot; } u;
	static const uint8_t group[6] = { 0x01, 0x00, 0x5e, 1, 2, 3 };
	uint32_t errors;

	world_open(&w);
	world_learn(&w);
	net_plain(frame, 100, 0, 0, 9);
	memcpy(frame, group, 6);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	expect(&w, 1, frame, 100);
	netback_set_multicast_control(w.nb, w.port[1], true);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	memset(&u, 0, sizeof(u));
	u.x.type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD;
	memcpy(u.x.u.mcast.addr, group, 6);
	net_guest_slot(&w.guest[1], 0, &req);
	net_guest_slot(&w.guest[1], 0, &u);
	net_guest_publish(&w.guest[1], 0);
	world_run(&w);
	UNIT_EQ(net_guest_answers(&w.guest[1], 0, &errors), 2);
	UNIT_EQ(errors, 0);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	expect(&w, 1, frame, 100);
	/* Off at run time, and on again: the list was kept. */
	netback_set_multicast_control(w.nb, w.port[1], false);
	frame[5]++;
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	expect(&w, 1, frame, 100);
	netback_set_multicast_control(w.nb, w.port[1], true);
	net_guest_send(&w.guest[0], frame, 100, NULL);
	frame[5]--;
	net_guest_send(&w.guest[0], frame, 100, NULL);
	world_run(&w);
	expect(&w, 1, frame, 100);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	world_close(&w);
}

/* Flows stay on a queue, and the control ring says which. */
static void test_hash(void)
{
	struct world w = { .nr = 2, .nr_queues = 2, .ctrl = true };
	struct xen_netif_ctrl_response rsp;
	uint32_t *map, type, other;
	uint8_t key[FRAME_HASH_KEY_BYTES];
	struct frame f;

	world_open(&w);
	world_learn(&w);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM,
		      XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ, 0, 0);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS,
		      XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP, 0, 0);
	for (uint32_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(0x5a + 7 * i);
	memcpy(net_guest_next_page(&w.guest[1], 0), key, sizeof(key));
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_KEY,
		      w.guest[1].queue[0].tx_gref[w.guest[1].queue[0].next_tx], 40, 0);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 8, 0, 0);
	map = (uint32_t *)net_guest_next_page(&w.guest[1], 1);
	for (uint32_t i = 0; i < 8; i++)
		map[i] = 1;
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING,
		      w.guest[1].queue[1].tx_gref[w.guest[1].queue[1].next_tx], 8, 0);
	world_run(&w);
	for (uint32_t i = 0; i < 5; i++) {
		UNIT_NEED(net_guest_told(&w.guest[1], &rsp));
		UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_SUCCESS);
	}
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0);
	world_run(&w);
	UNIT_NEED(net_guest_told(&w.guest[1], &rsp));
	UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_EQ(rsp.data, XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP |
		XEN_NETIF_CTRL_HASH_TYPE_IPV6 | XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP);
	net_tcp(frame, 700, 1, 0, 4, false);
	net_guest_send(&w.guest[0], frame, 700, NULL);
	world_run(&w);
	expect(&w, 1, frame, 700);
	UNIT_EQ(got.queue, 1);
	UNIT_OK(got.hashed);
	UNIT_EQ(frame_parse(frame, 700, 700, &f), 0);
	UNIT_EQ(got.hash, frame_hash(frame, &f, key, XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP, &type));
	/* A shorter key is as if zeros followed; the largest map; without a map. */
	memset(key + 10, 0, sizeof(key) - 10);
	memcpy(net_guest_next_page(&w.guest[1], 0), key, 10);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_KEY,
		      w.guest[1].queue[0].tx_gref[w.guest[1].queue[0].next_tx], 10, 0);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 128, 0, 0);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 0, 0, 0);
	world_run(&w);
	for (uint32_t i = 0; i < 3; i++) {
		UNIT_NEED(net_guest_told(&w.guest[1], &rsp));
		UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_SUCCESS);
	}
	net_guest_send(&w.guest[0], frame, 700, NULL);
	world_run(&w);
	expect(&w, 1, frame, 700);
	other = frame_hash(frame, &f, key, XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP, &type);
	UNIT_EQ(got.hash, other);
	UNIT_EQ(got.queue, other % 2);
	/* No hash, no flags. */
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM,
		      XEN_NETIF_CTRL_HASH_ALGORITHM_NONE, 0, 0);
	net_guest_ask(&w.guest[1], XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0);
	world_run(&w);
	UNIT_NEED(net_guest_told(&w.guest[1], &rsp));
	UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_NEED(net_guest_told(&w.guest[1], &rsp));
	UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
	net_guest_send(&w.guest[0], frame, 700, NULL);
	world_run(&w);
	expect(&w, 1, frame, 700);
	UNIT_OK(!got.hashed);
	world_close(&w);
}

/* Sends what the ring holds, to nobody; returns how many went. */
static uint32_t send_all(struct world *w, uint32_t bytes)
{
	while (ring_front_free(&w->guest[0].queue[0].tx)) {
		net_plain(frame, bytes, 0x77, 0, 0);
		net_guest_send(&w->guest[0], frame, bytes, NULL);
	}
	world_run(w);
	return net_guest_answers(&w->guest[0], 0, NULL);
}

static void test_rate(void)
{
	struct world w = { .nr = 2 };
	uint32_t burst = SHAPER_BURST_MIN / 1000, nr;

	world_open(&w);
	world_learn(&w);
	UNIT_EQ(netback_set_rate(w.nb, w.port[0], 10000, 50000), 0);
	nr = send_all(&w, 1000);
	UNIT_EQ(nr, burst);
	UNIT_OK(netback_timeout_us(w.nb, w.now_ms * 1000) > 0);
	UNIT_OK(netback_timeout_us(w.nb, w.now_ms * 1000) <= 50000);
	w.now_ms += 50;
	UNIT_EQ(send_all(&w, 1000), 10);
	/* However long nothing was sent, the burst is what it was. */
	w.now_ms += 50000;
	UNIT_EQ(send_all(&w, 1000), burst);
	UNIT_EQ(netback_set_rate(w.nb, w.port[0], 0, 0), 0);
	UNIT_OK(send_all(&w, 1000) >= 100);
	world_close(&w);
}

/* A socket pair stands in for the TAP device: it keeps frames apart too. */
static void test_uplink(void)
{
	struct world w = { .nr = 2 };
	struct { struct virtio_net_hdr h; uint8_t data[66000]; } in;
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 1448 };
	int pair[2];
	uint32_t number;

	world_open(&w);
	number = world_add_uplink(&w, pair);
	world_learn(&w);
	while (read(pair[1], &in, sizeof(in)) > 0)
		;
	net_tcp(frame, 20000, 0x50, 0, 7, true);
	net_guest_send(&w.guest[0], frame, 20000, &how);
	world_run(&w);
	UNIT_EQ(read(pair[1], &in, sizeof(in)), 20000 + (int)sizeof(in.h));
	UNIT_OK(!memcmp(in.data, frame, 20000));
	UNIT_EQ(in.h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	UNIT_EQ(in.h.gso_size, 1448);
	UNIT_EQ(in.h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	UNIT_EQ(in.h.csum_start, 34);
	UNIT_EQ(in.h.csum_offset, 16);
	UNIT_EQ(in.h.hdr_len, 54);
	while (net_guest_receive(&w.guest[1], &got))
		;
	net_tcp(in.data, 20000, 1, 0x50, 8, true);
	UNIT_EQ(write(pair[1], &in, sizeof(in.h) + 20000), (int)sizeof(in.h) + 20000);
	netback_uplink_ready(w.nb, number);
	world_run(&w);
	expect(&w, 1, in.data, 20000);
	UNIT_EQ(got.gso, XEN_NETIF_GSO_TYPE_TCPV4);
	UNIT_EQ(got.gso_bytes, 1448);
	world_close(&w);
	close(pair[0]);
	close(pair[1]);
}

static void test_vlans(void)
{
	struct world w = { .nr = 3 };
	struct vswitch_port_config trunk = { .mode = VSWITCH_TRUNK, .any_source = true };

	world_open(&w);
	w.config[0].vlan = w.config[1].vlan = 10;
	trunk.vlans[10 / 8] |= 1 << 10 % 8;
	vswitch_set_port(netback_switch(w.nb), w.port[0], &w.config[0]);
	vswitch_set_port(netback_switch(w.nb), w.port[1], &w.config[1]);
	vswitch_set_port(netback_switch(w.nb), w.port[2], &trunk);
	net_plain(frame, 4096, 0x55, 0, 1);
	memset(frame, 0xff, 6);
	net_guest_send(&w.guest[0], frame, 4096, NULL);
	world_run(&w);
	expect(&w, 1, frame, 4096);
	UNIT_NEED(net_guest_receive(&w.guest[2], &got));
	UNIT_EQ(got.bytes, 4100);
	UNIT_OK(!memcmp(got.data, frame, 12));
	UNIT_OK(!memcmp(got.data + 12, "\x81\x00\x00\x0a", 4));
	UNIT_OK(!memcmp(got.data + 16, frame + 12, 4084));
	/* And back, where the tag goes. */
	memcpy(frame, got.data, got.bytes);
	net_mac(frame, 0);
	net_mac(frame + 6, 0x55);
	net_guest_send(&w.guest[2], frame, 4100, NULL);
	world_run(&w);
	UNIT_NEED(net_guest_receive(&w.guest[0], &got));
	UNIT_EQ(got.bytes, 4096);
	UNIT_OK(!memcmp(got.data, frame, 12));
	UNIT_OK(!memcmp(got.data + 12, frame + 16, 4084));
	world_close(&w);
}

/* However much goes through a pass, a ring gets one event for it. */
static void test_events(void)
{
	struct world w = { .nr = 2 };
	uint32_t events;

	world_open(&w);
	world_learn(&w);
	events = fake_guest_events(w.guest[1].front.queue[0].rx_port);
	for (uint32_t i = 0; i < 30; i++) {
		net_plain(frame, 900, 1, 0, (uint8_t)i);
		net_guest_send(&w.guest[0], frame, 900, NULL);
	}
	world_run(&w);
	UNIT_EQ(fake_guest_events(w.guest[1].front.queue[0].rx_port), events + 1);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{ "frames of 14 to 400 octets", test_small },
	{ "slots of odd sizes and offsets", test_slots },
	{ "flooding", test_flood },
	{ "a header that its sender rewrites", test_head_is_ours },
	{ "a large packet passes", test_large_passes },
	{ "a large packet's pages are not split", test_large_unsplit },
	{ "headers behind the first slot", test_head_goes_on },
	{ "a large packet is cut", test_large_is_cut },
	{ "a large packet is cut for few slots", test_cut_in_parts },
	{ "frames that are too large for a receiver", test_limits },
	{ "segments that are too large for a receiver", test_cut_to_fit },
	{ "a blank checksum is completed", test_checksum },
	{ "one of IPv6", test_checksum6 },
	{ "what is said of checksums", test_checksum_flags },
	{ "a copy of two fails", test_half_failed },
	{ "a receiver without slots is waited for", test_holds },
	{ "but not for long", test_gives_up },
	{ "what is too much to hold waits with us", test_waits_with_us },
	{ "slots that came meanwhile", test_slots_came },
	{ "a port goes", test_removed },
	{ "multicast control", test_groups },
	{ "hash and map of queues", test_hash },
	{ "rate", test_rate },
	{ "uplink", test_uplink },
	{ "VLAN tags", test_vlans },
	{ "one event a pass", test_events },
};

int main(void)
{
	return unit_run("netback", tests, UNIT_LEN(tests));
}
