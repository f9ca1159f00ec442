/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segments that come together, to guests that take large packets and to others, and to
 * the kernel by an uplink.
 */
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net-world.h"
#include "net-frames.h"
#include "unit.h"

#define MSS 1400u
#define SEGMENT_BYTES (NET_TCP_HEADERS + MSS)

static uint8_t frame[SEGMENT_BYTES + 100];
static struct net_guest_got got;
static struct net_guest_how how;

/* No PSH, and an id that means nothing. */
static void may_be_joined(uint8_t *tcp_frame)
{
	uint8_t *ip = tcp_frame + 14;

	ip[6] = 0x40;
	net_put16(ip + 10, 0);
	net_put16(ip + 10, ~net_sum(ip, 20, 0) & 0xffff);
	ip[20 + 13] = 0x10;
}

/* The index'th segment of one stream, from guest 0 to 1. */
static void build(uint32_t index, uint32_t bytes)
{
	uint8_t *ip = frame + 14, *tcp = ip + 20;

	net_tcp(frame, NET_TCP_HEADERS + bytes, 1, 0, 0, true);
	may_be_joined(frame);
	net_put16(tcp + 4, index * MSS >> 16);
	net_put16(tcp + 6, index * MSS & 0xffff);
	for (uint32_t i = 0; i < bytes; i++)
		frame[NET_TCP_HEADERS + i] = net_octet(index * MSS + i, 5);
}

static void send_segments(struct world *w, uint32_t nr)
{
	how = (struct net_guest_how){ .blank = true };
	for (uint32_t i = 0; i < nr; i++) {
		build(i, MSS);
		net_guest_send(&w->guest[0], frame, SEGMENT_BYTES, &how);
	}
	world_run(w);
}

static bool payload_is_right(uint32_t from)
{
	for (uint32_t i = NET_TCP_HEADERS; i < got.bytes; i++)
		if (got.data[i] != net_octet(from + i - NET_TCP_HEADERS, 5))
			return false;
	return true;
}

static uint64_t nr_joined(const struct world *w)
{
	struct netback_stats stats;

	netback_stats(w->nb, &stats);
	return stats.joined;
}

static void test_one_packet(void)
{
	struct world w = { .nr = 2 };
	uint32_t errors;

	world_open(&w);
	world_learn(&w);
	send_segments(&w, 10);
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(got.error, 0);
	UNIT_EQ(got.bytes, NET_TCP_HEADERS + 10 * MSS);
	UNIT_EQ(got.slots, 4 + 1);	/* with the extra info */
	UNIT_EQ(got.gso, XEN_NETIF_GSO_TYPE_TCPV4);
	UNIT_EQ(got.gso_bytes, MSS);
	UNIT_EQ(got.flags & (NETRXF_csum_blank | NETRXF_data_validated),
		NETRXF_csum_blank | NETRXF_data_validated);
	UNIT_OK(payload_is_right(0));
	UNIT_EQ(net_sum(got.data + 14, 20, 0), 0xffff);
	UNIT_EQ(net_get16(got.data + 14 + 2), got.bytes - 14);
	UNIT_EQ(net_get16(got.data + 14 + 20 + 16),
		net_sum(NULL, 0, net_pseudo(got.data + 14, got.bytes - 34)));
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, &errors), 10);
	UNIT_EQ(errors, 0);
	UNIT_EQ(nr_joined(&w), 10);
	world_close(&w);
}

/* More than one packet can be, and what is left over. */
static void test_several_packets(void)
{
	struct world w = { .nr = 2 };
	uint32_t from = 0, nr = 0;

	world_open(&w);
	world_learn(&w);
	send_segments(&w, 50);
	while (net_guest_receive(&w.guest[1], &got)) {
		UNIT_OK(payload_is_right(from));
		from += got.bytes - NET_TCP_HEADERS;
		nr++;
	}
	UNIT_EQ(from, 50 * MSS);
	UNIT_EQ(nr, 2);
	world_close(&w);
}

/* Who does not take them gets what was sent; also when it was not blank. */
static void test_not_for_all(void)
{
	static const struct world all[] = {
		{ .nr = 2, .no_gso = { false, true } },
		{ .nr = 2, .no_csum = { false, true }, .no_gso = { false, true } },
		{ .nr = 2, .no_csum = { false, true } },
		{ .nr = 2, .no_sg = { false, true } },
	};

	for (uint32_t i = 0; i < UNIT_LEN(all); i++) {
		struct world w = all[i];

		world_open(&w);
		world_learn(&w);
		send_segments(&w, 5);
		for (uint32_t n = 0; n < 5; n++) {
			UNIT_NEED(net_guest_receive(&w.guest[1], &got));
			UNIT_EQ(got.bytes, SEGMENT_BYTES);
			UNIT_EQ(got.gso, 0);
			UNIT_OK(payload_is_right(n * MSS));
		}
		UNIT_EQ(nr_joined(&w), 0);
		world_close(&w);
	}
}

static void test_with_checksums(void)
{
	struct world w = { .nr = 2 };

	world_open(&w);
	world_learn(&w);
	for (uint32_t i = 0; i < 5; i++) {
		build(i, MSS);
		net_guest_send(&w.guest[0], frame, SEGMENT_BYTES, NULL);
	}
	world_run(&w);
	for (uint32_t n = 0; n < 5; n++)
		UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.bytes == SEGMENT_BYTES);
	UNIT_EQ(nr_joined(&w), 0);
	world_close(&w);
}

/* One of another stream between them. */
static void test_between_them(void)
{
	struct world w = { .nr = 2 };

	world_open(&w);
	world_learn(&w);
	how = (struct net_guest_how){ .blank = true };
	for (uint32_t i = 0; i < 6; i++) {
		build(i, MSS);
		if (i == 3)
			frame[14 + 20 + 1] ^= 1;
		net_guest_send(&w.guest[0], frame, SEGMENT_BYTES, &how);
	}
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.bytes == NET_TCP_HEADERS + 3 * MSS);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.bytes == SEGMENT_BYTES && !got.gso);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.bytes == NET_TCP_HEADERS + 2 * MSS);
	UNIT_OK(payload_is_right(4 * MSS));
	world_close(&w);
}

/* As much as its slots hold now; the rest when there are more. */
static void test_few_slots(void)
{
	struct world w = { .nr = 2 };
	uint32_t from = 0;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	while (net_guest_receive(&w.guest[1], &got))
		;
	send_segments(&w, 20);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	for (uint32_t i = 0; i < 40 && from < 20 * MSS; i++) {
		net_guest_post(&w.guest[1], 0, 5);
		world_run(&w);
		while (net_guest_receive(&w.guest[1], &got)) {
			UNIT_EQ(got.error, 0);
			UNIT_OK(got.slots <= 5);
			UNIT_OK(payload_is_right(from));
			from += got.bytes - NET_TCP_HEADERS;
		}
	}
	UNIT_EQ(from, 20 * MSS);
	UNIT_OK(nr_joined(&w) > 0);
	world_close(&w);
}

/* None is made for a guest whose limit is used up: it would only take up room. */
static void test_limit_used_up(void)
{
	struct limit limit = { .request_bytes = 0 };
	struct world w = { .nr = 2 };

	limit.rate[LIMIT_REQUESTS][LIMIT_OUT] = (struct limit_rate){ .per_second = 1, .burst = 1 };
	world_open(&w);
	world_learn(&w);
	netback_set_limit(w.nb, w.port[1], &limit);
	send_segments(&w, 1);
	UNIT_OK(net_guest_receive(&w.guest[1], &got));
	net_guest_answers(&w.guest[0], 0, NULL);
	send_segments(&w, 5);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(nr_joined(&w), 0);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, NULL), 0);
	memset(&limit, 0, sizeof(limit));
	netback_set_limit(w.nb, w.port[1], &limit);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && payload_is_right(0));
	UNIT_EQ(nr_joined(&w), 5);
	world_close(&w);
}

/* One that does not arrive is as many as were counted when they came. */
static void test_lost(void)
{
	struct world w = { .nr = 2 };
	struct net_guest_queue *q = &w.guest[1].queue[0];
	struct vswitch_counters before, c;

	world_open(&w);
	world_learn(&w);
	world_withhold(&w, 1);
	vswitch_counters(netback_switch(w.nb), w.port[1], &before);
	UNIT_OK(fake_revoke(q->rx_gref[q->next_rx % NET_GUEST_BUFFERS]));
	net_guest_post(&w.guest[1], 0, 8);
	how = (struct net_guest_how){ .blank = true };
	for (uint32_t i = 0; i < 7; i++) {
		build(i, i < 6 ? MSS : 100);
		net_guest_send(&w.guest[0], frame, NET_TCP_HEADERS + (i < 6 ? MSS : 100), &how);
	}
	world_run(&w);
	UNIT_EQ(nr_joined(&w), 7);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.error == NETIF_RSP_ERROR);
	vswitch_counters(netback_switch(w.nb), w.port[1], &c);
	UNIT_EQ(c.dropped[VSWITCH_MALFORMED], 7);
	UNIT_EQ(c.out_frames, before.out_frames);
	UNIT_EQ(c.out_bytes, before.out_bytes);
	world_close(&w);
}

/* Their middles are in their sender's pages only. */
static void test_jumbo(void)
{
	static uint8_t jumbo[NET_TCP_HEADERS + 3000];
	struct world w = { .nr = 2 };

	world_open(&w);
	world_learn(&w);
	how = (struct net_guest_how){ .blank = true };
	for (uint32_t i = 0; i < 4; i++) {
		net_tcp(jumbo, sizeof(jumbo), 1, 0, (uint8_t)i, true);
		may_be_joined(jumbo);
		net_put16(jumbo + 14 + 20 + 6, i * 3000);
		net_guest_send(&w.guest[0], jumbo, sizeof(jumbo), &how);
	}
	world_run(&w);
	for (uint32_t i = 0; i < 4; i++) {
		UNIT_NEED(net_guest_receive(&w.guest[1], &got));
		UNIT_EQ(got.bytes, sizeof(jumbo));
		UNIT_EQ(got.data[NET_TCP_HEADERS + 2999], net_octet(NET_TCP_HEADERS + 2999, (uint8_t)i));
	}
	world_close(&w);
}

/* What waits in our memory is counted as before: none of 200 is lost after some were joined. */
static void test_accounts(void)
{
	struct vswitch_counters c = { 0 };
	struct world w = { .nr = 2 };

	world_open(&w);
	world_learn(&w);
	send_segments(&w, 10);
	UNIT_OK(net_guest_receive(&w.guest[1], &got));
	net_guest_answers(&w.guest[0], 0, NULL);
	world_withhold(&w, 1);
	for (uint32_t i = 0; i < 200; i++) {
		net_plain(frame, 200, 1, 0, (uint8_t)i);
		net_guest_send(&w.guest[0], frame, 200, NULL);
		net_guest_answers(&w.guest[0], 0, NULL);
	}
	world_run(&w);
	UNIT_EQ(vswitch_counters(netback_switch(w.nb), w.port[1], &c), 0);
	UNIT_EQ(c.dropped[VSWITCH_QUEUE_FULL], 0);
	world_close(&w);
}

/* ---- to the kernel: a socket pair stands in for the TAP device -------------------------- */

static struct { struct virtio_net_hdr h; uint8_t data[70000]; } in;
static int pair[2];

/* Its other end: a trunk, as one is joined to a bridge. */
static void open_uplink(struct world *w, bool offloads)
{
	struct vswitch_port_config port = { .mode = VSWITCH_TRUNK, .any_source = true };
	static struct log_peer log;
	int buffer = 1 << 20;
	uint32_t number;

	w->nr = 1;
	world_open(w);
	UNIT_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	port.vlans[0] = 1 << 7;
	log_peer_init(&log, "uplink");
	UNIT_NEED(!netback_add_uplink(w->nb, pair[0], offloads, &port, &log, &number));
	world_run(w);
	while (read(pair[1], &in, sizeof(in)) > 0)
		;
}

static void close_uplink(struct world *w)
{
	world_close(w);
	close(pair[0]);
	close(pair[1]);
}

/* The next that came is of so many segments, from the first'th, and behind so large a tag. */
static void expect_joined(uint32_t first, uint32_t nr, uint32_t tag_bytes)
{
	uint32_t bytes = NET_TCP_HEADERS + nr * MSS, wrong = 0;
	uint8_t *ip = in.data + 14 + tag_bytes;

	UNIT_EQ(read(pair[1], &in, sizeof(in)), (int)(sizeof(in.h) + tag_bytes + bytes));
	UNIT_EQ(in.h.gso_type, nr > 1 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE);
	for (uint32_t i = 0; i < nr * MSS; i++)
		wrong += ip[40 + i] != net_octet(first * MSS + i, 5);
	UNIT_EQ(wrong, 0);
	UNIT_EQ(net_sum(ip, 20, 0), 0xffff);
	UNIT_EQ(net_get16(ip + 2), bytes - 14);
	if (nr == 1)
		return;
	UNIT_EQ(in.h.gso_size, MSS);
	UNIT_EQ(in.h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	UNIT_EQ(in.h.csum_start, 34 + tag_bytes);
	UNIT_EQ(in.h.csum_offset, 16);
	UNIT_EQ(in.h.hdr_len, 54 + tag_bytes);
	UNIT_EQ(net_get16(ip + 20 + 16), net_sum(NULL, 0, net_pseudo(ip, bytes - 34)));
}

static void test_to_uplink(void)
{
	struct world w = { 0 };
	uint32_t errors;

	open_uplink(&w, true);
	send_segments(&w, 50);
	expect_joined(0, 46, 0);
	expect_joined(46, 4, 0);
	UNIT_EQ(net_guest_answers(&w.guest[0], 0, &errors), 50);
	UNIT_EQ(errors, 0);
	UNIT_EQ(nr_joined(&w), 50);
	/* One alone is what it was. */
	send_segments(&w, 1);
	expect_joined(0, 1, 0);
	UNIT_EQ(in.h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	w.config[0].vlan = 7;
	UNIT_EQ(netback_set_port(w.nb, w.port[0], &w.config[0]), 0);
	send_segments(&w, 5);
	expect_joined(0, 5, 4);
	UNIT_EQ(net_get16(in.data + 14), 7);
	close_uplink(&w);
}

/* A wrong checksum stays wrong: its segment goes alone. */
static void test_checksums_to_uplink(void)
{
	struct world w = { 0 };

	open_uplink(&w, true);
	for (uint32_t i = 0; i < 9; i++) {
		uint8_t *tcp = frame + 34;

		build(i, MSS);
		net_put16(tcp + 16, 0);
		net_put16(tcp + 16, ~net_sum(tcp, SEGMENT_BYTES - 34,
					     net_pseudo(frame + 14, SEGMENT_BYTES - 34)) & 0xffff);
		if (i == 4)
			tcp[17] ^= 1;
		net_guest_send(&w.guest[0], frame, SEGMENT_BYTES, NULL);
	}
	world_run(&w);
	expect_joined(0, 4, 0);
	expect_joined(4, 1, 0);
	UNIT_EQ(in.h.flags, 0);
	UNIT_OK(!net_tcp_is_right(in.data, SEGMENT_BYTES));
	expect_joined(5, 4, 0);
	close_uplink(&w);
}

static void test_to_simple_uplink(void)
{
	struct world w = { 0 };

	open_uplink(&w, false);
	send_segments(&w, 5);
	for (uint32_t i = 0; i < 5; i++) {
		expect_joined(i, 1, 0);
		UNIT_OK(net_tcp_is_right(in.data, SEGMENT_BYTES));
	}
	UNIT_EQ(nr_joined(&w), 0);
	close_uplink(&w);
}

static const struct unit_test tests[] = {
	{ "to the kernel", test_to_uplink },
	{ "to the kernel, with checksums", test_checksums_to_uplink },
	{ "to a kernel without offloads", test_to_simple_uplink },
	{ "larger than is copied whole", test_jumbo },
	{ "accounts", test_accounts },
	{ "one packet", test_one_packet },
	{ "several packets", test_several_packets },
	{ "not for all receivers", test_not_for_all },
	{ "with checksums", test_with_checksums },
	{ "another stream's between them", test_between_them },
	{ "few slots", test_few_slots },
	{ "one that does not arrive", test_lost },
	{ "a limit that is used up", test_limit_used_up },
};

int main(void)
{
	return unit_run("netback-join", tests, UNIT_LEN(tests));
}
