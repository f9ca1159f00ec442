/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Large frames from a guest to an uplink: whole and in order, however many come at once and
 * however their octets lie in the guest's pages; and copied no more often than they must be.
 */
#include <linux/virtio_net.h>
#include <unistd.h>
#include "net-world.h"
#include "unit.h"

#define MSS 1400u
#define FRAMES 12u			/* more than go into pages of the back end's own at once */
#define BYTES (100u + 2 * 4096 + 800)

static uint8_t sent[FRAMES][BYTES];
static struct { struct virtio_net_hdr h; uint8_t data[70000]; } wire;

/* Sends all at once, for one pass; how->blank and so on are filled in here. */
static void cross(struct net_guest_how how)
{
	struct world w = { .nr = 1 };
	int pair[2];

	how.blank = true;
	how.gso = XEN_NETIF_GSO_TYPE_TCPV4;
	how.gso_bytes = MSS;
	world_open(&w);
	world_add_uplink(&w, pair);
	world_learn(&w);
	while (read(pair[1], &wire, sizeof(wire)) > 0)
		;
	for (uint32_t i = 0; i < FRAMES; i++) {
		net_tcp(sent[i], BYTES, 0x50, 0, (uint8_t)(i + 1), true);
		net_guest_send(&w.guest[0], sent[i], BYTES, &how);
	}
	world_pass(&w);
	for (uint32_t i = 0; i < FRAMES; i++) {
		UNIT_EQ(read(pair[1], &wire, sizeof(wire)), (int)(BYTES + sizeof(wire.h)));
		UNIT_EQ(wire.h.gso_size, MSS);
		UNIT_OK(!memcmp(wire.data, sent[i], BYTES));
	}
	UNIT_OK(read(pair[1], &wire, sizeof(wire)) < 0);
	world_close(&w);
	close(pair[0]);
	close(pair[1]);
}

/* As Linux sends them: the headers by themselves, then pages that go on from each other. */
static void test_from_page_to_page(void)
{
	cross((struct net_guest_how){ .cut = { 100 }, .offset = 1000 });
	UNIT_EQ(fake_straddles(), 0);
}

/* The data begins in the midst of a page. */
static void test_from_within_a_page(void)
{
	cross((struct net_guest_how){ .cut = { 100, 4096 - 1500 }, .offset = 7, .more_offset = 0 });
	UNIT_EQ(fake_straddles(), 2 * FRAMES);	/* the test's own second slot ends early */
	cross((struct net_guest_how){ .offset = 1000 });
	UNIT_EQ(fake_straddles(), 0);
}

/* Pieces that do not go on from each other: each is copied to where it belongs. */
static void test_in_pieces(void)
{
	cross((struct net_guest_how){ .cut = { 100, 3000, 1, 2000, 3991 }, .more_offset = 96 });
	cross((struct net_guest_how){ .cut = { 66, 4096, 0 }, .offset = 4030 });
	cross((struct net_guest_how){ .cut = { 300, 3000, 3000 }, .offset = 3, .more_offset = 1 });
}

static const struct unit_test tests[] = {
	{ "from page to page", test_from_page_to_page },
	{ "from within a page", test_from_within_a_page },
	{ "in pieces", test_in_pieces },
};

int main(void)
{
	return unit_run("netback-uplink", tests, UNIT_LEN(tests));
}
