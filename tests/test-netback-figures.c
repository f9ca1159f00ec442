/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often a frame's octets are copied on its way, as an interface's figures have it: to
 * and from an uplink, from guest to guest, whole, in segments, joined.
 */
#include <linux/virtio_net.h>
#include <sys/mman.h>
#include <unistd.h>
#include "figures.h"
#include "net-world.h"
#include "unit.h"
#include "vif-figures.h"

#define MSS 1400u
#define LARGE_BYTES (NET_TCP_HEADERS + 20 * MSS)
#define HEAD_BYTES NETBACK_HEADER_BYTES	/* of a large frame, what is looked at */

static uint8_t frame[LARGE_BYTES];
static struct { struct virtio_net_hdr h; uint8_t data[70000]; } wire;
static struct net_guest_got got;
static int pair[2];
static uint32_t uplink;

static void open_world(struct world *w)
{
	const struct figures_layout layout = vif_figures_layout(1);

	for (uint32_t i = 0; i < w->nr; i++) {
		w->figures_fd[i] = memfd_create("figures", MFD_CLOEXEC);
		UNIT_NEED(w->figures_fd[i] > 0 && !figures_format(w->figures_fd[i], &layout));
	}
	world_open(w);
	uplink = world_add_uplink(w, pair);
	world_learn(w);
	while (read(pair[1], &wire, sizeof(wire)) > 0)
		;
}

static void close_world(struct world *w)
{
	world_close(w);
	close(pair[0]);
	close(pair[1]);
	for (uint32_t i = 0; i < w->nr; i++)
		close(w->figures_fd[i]);
}

static uint64_t copied_for(const struct world *w, uint32_t guest)
{
	const struct figures_layout layout = vif_figures_layout(1);
	struct vif_figures f = { 0 };

	UNIT_OK(!figures_read(w->figures_fd[guest], &layout, 0, &f));
	return f.copied_bytes;
}

static void build_large(uint8_t *at, uint8_t to, uint8_t from)
{
	net_tcp(at, LARGE_BYTES, to, from, 7, true);
}

static const struct net_guest_how large = {
	.blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4, .gso_bytes = MSS };

/* Out of the guest, into a buffer of ours, into the device. */
static void test_out(void)
{
	struct world w = { .nr = 1 };
	uint64_t before;

	open_world(&w);
	before = copied_for(&w, 0);
	net_plain(frame, 64, 0x50, 0, 1);
	net_guest_send(&w.guest[0], frame, 64, NULL);
	world_run(&w);
	UNIT_EQ(read(pair[1], &wire, sizeof(wire)), 64 + (int)sizeof(wire.h));
	UNIT_EQ(copied_for(&w, 0) - before, 3 * 64);
	before = copied_for(&w, 0);
	build_large(frame, 0x50, 0);
	net_guest_send(&w.guest[0], frame, LARGE_BYTES, &large);
	world_run(&w);
	UNIT_EQ(read(pair[1], &wire, sizeof(wire)), (int)(LARGE_BYTES + sizeof(wire.h)));
	UNIT_EQ(copied_for(&w, 0) - before, HEAD_BYTES + 2 * LARGE_BYTES);
	close_world(&w);
}

static void from_wire(struct world *w, uint32_t bytes, bool gso)
{
	wire.h = (struct virtio_net_hdr){ 0 };
	if (gso)
		wire.h = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = MSS, .csum_start = 34, .csum_offset = 16, .hdr_len = 54 };
	UNIT_EQ(write(pair[1], &wire, sizeof(wire.h) + bytes), (int)(sizeof(wire.h) + bytes));
	netback_uplink_ready(w->nb, uplink);
	world_run(w);
}

/* Out of the device, into the guest. */
static void test_in(void)
{
	struct world w = { .nr = 1 };
	uint64_t before;

	open_world(&w);
	before = copied_for(&w, 0);
	net_plain(wire.data, 1514, 0, 0x50, 1);
	from_wire(&w, 1514, false);
	UNIT_OK(net_guest_receive(&w.guest[0], &got) && got.bytes == 1514);
	UNIT_EQ(copied_for(&w, 0) - before, 2 * 1514);
	before = copied_for(&w, 0);
	build_large(wire.data, 0, 0x50);
	from_wire(&w, LARGE_BYTES, true);
	UNIT_OK(net_guest_receive(&w.guest[0], &got) && got.bytes == LARGE_BYTES);
	UNIT_EQ(copied_for(&w, 0) - before, 2 * LARGE_BYTES);
	close_world(&w);
}

/* Cut for a guest that takes no large packets: each segment has headers of its own. */
static void test_cut(void)
{
	struct world w = { .nr = 1, .no_gso = { true } };
	uint32_t bytes = 0;
	uint64_t before;

	open_world(&w);
	before = copied_for(&w, 0);
	build_large(wire.data, 0, 0x50);
	from_wire(&w, LARGE_BYTES, true);
	while (net_guest_receive(&w.guest[0], &got))
		bytes += got.bytes;
	UNIT_EQ(bytes, 20 * (NET_TCP_HEADERS + MSS));
	UNIT_EQ(copied_for(&w, 0) - before, LARGE_BYTES + bytes);
	close_world(&w);
}

/* The sender's has what is copied out of its pages, the receiver's what gets into them. */
static void test_between_guests(void)
{
	struct world w = { .nr = 2 };
	uint64_t sent, received;

	open_world(&w);
	sent = copied_for(&w, 0);
	received = copied_for(&w, 1);
	net_plain(frame, 300, 1, 0, 1);
	net_guest_send(&w.guest[0], frame, 300, NULL);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.bytes == 300);
	UNIT_EQ(copied_for(&w, 0) - sent, 300);
	UNIT_EQ(copied_for(&w, 1) - received, 300);
	close_world(&w);
}

/* Put together in our memory first. */
static void test_joined(void)
{
	const struct net_guest_how how = { .blank = true };
	struct world w = { .nr = 2 };
	uint64_t received;

	open_world(&w);
	received = copied_for(&w, 1);
	for (uint32_t i = 0; i < 4; i++) {
		uint8_t *ip = frame + 14;

		net_tcp(frame, NET_TCP_HEADERS + MSS, 1, 0, 0, true);
		ip[6] = 0x40;
		net_put16(ip + 10, 0);
		net_put16(ip + 10, ~net_sum(ip, 20, 0) & 0xffff);
		ip[20 + 13] = 0x10;
		net_put16(ip + 20 + 6, i * MSS);
		net_guest_send(&w.guest[0], frame, NET_TCP_HEADERS + MSS, &how);
	}
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && got.bytes == NET_TCP_HEADERS + 4 * MSS);
	UNIT_EQ(copied_for(&w, 1) - received, 2 * (NET_TCP_HEADERS + 4 * MSS));
	close_world(&w);
}

static const struct unit_test tests[] = {
	{ "out by an uplink", test_out },
	{ "in by an uplink", test_in },
	{ "in, and cut", test_cut },
	{ "from guest to guest", test_between_guests },
	{ "joined", test_joined },
};

int main(void)
{
	return unit_run("netback-figures", tests, UNIT_LEN(tests));
}
