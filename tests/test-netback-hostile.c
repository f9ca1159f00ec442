/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The net back end's data path with a guest that lies. What is wrong in one frame
 * is answered with an error; a ring that cannot be followed is stopped; two others
 * that talk meanwhile lose nothing.
 */
#include "net-world.h"
#include "unit.h"

static uint8_t frame[9000];
static struct net_guest_got got;

enum { ATTACKER, VICTIM, BYSTANDER };

/* The other two still reach each other, whole. */
static void bystanders_talk(struct world *w)
{
	static uint8_t seed;

	net_plain(frame, 5000, VICTIM, BYSTANDER, ++seed);
	net_guest_send(&w->guest[BYSTANDER], frame, 5000, NULL);
	world_run(w);
	UNIT_NEED(net_guest_receive(&w->guest[VICTIM], &got));
	UNIT_EQ(got.bytes, 5000);
	UNIT_OK(!memcmp(got.data, frame, 5000));
	net_guest_post(&w->guest[VICTIM], 0, 2);
	UNIT_EQ(net_guest_answers(&w->guest[BYSTANDER], 0, NULL), 2);
}

static void begin(struct world *w)
{
	*w = (struct world){ .nr = 3, .ctrl = true };
	world_open(w);
	bystanders_talk(w);
}

/* ---- frames that are answered with an error ------------------------------------------------ */

/* A slot of a bad frame: more and extra are the flags. */
struct slot {
	uint16_t size, offset;
	bool more, extra, bad_gref, blank;
	uint8_t x_type, x_flags, x_gso;		/* x_type: it is an extra info */
	uint16_t x_size;
};

struct bad {
	const char *what;
	struct slot slot[22];
	bool breaks;			/* the ring, not only the frame */
};

static const struct bad bads[] = {
	{ .what = "no octets", .slot = { { .size = 0 } } },
	{ .what = "less than an Ethernet header", .slot = { { .size = 13 } } },
	{ .what = "past the end of its page", .slot = { { .size = 100, .offset = 4000 } } },
	{ .what = "an offset beyond the page", .slot = { { .size = 100, .offset = 65535 } } },
	{ .what = "a first slot larger than a page", .slot = { { .size = 65535 } } },
	{ .what = "slots longer than the frame", .slot = { { .size = 100, .more = true }, { .size = 101 } } },
	{ .what = "slots that wrap the length", .slot = { { .size = 14, .more = true },
		{ .size = 65535, .more = true }, { .size = 65535 } } },
	{ .what = "a later slot past its page", .slot = { { .size = 4000, .more = true },
		{ .size = 300, .offset = 3900 } } },
	{ .what = "a grant that there is not", .slot = { { .size = 100, .bad_gref = true } } },
	{ .what = "a later grant that there is not", .slot = { { .size = 6000, .more = true },
		{ .size = 3000, .bad_gref = true } } },
	{ .what = "19 slots", .slot = { { .size = 1000, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true }, { .size = 1 } } },
	{ .what = "an extra info of type 0", .slot = { { .size = 100, .extra = true },
		{ .x_type = 255, .x_size = 1 } } },
	{ .what = "GSO of size 0", .slot = { { .size = 100, .extra = true, .blank = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = 1 } } },
	{ .what = "GSO of an unknown kind", .slot = { { .size = 100, .extra = true, .blank = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = 9, .x_size = 1000 } } },
	{ .what = "GSO of what is not TCP", .slot = { { .size = 100, .extra = true, .blank = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = 1, .x_size = 1000 } } },
	{ .what = "a group that is none", .slot = { { .size = 14, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD } } },
	{ .what = "a group that was not joined", .slot = { { .size = 14, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_MCAST_DEL } } },
	{ .what = "a frame without an end", .slot = { { .size = 1000, .more = true } }, .breaks = true },
	{ .what = "an extra info without an end", .slot = { { .size = 100, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = 1, .x_size = 9,
		  .x_flags = XEN_NETIF_EXTRA_FLAG_MORE } }, .breaks = true },
	{ .what = "an extra info that is missing", .slot = { { .size = 100, .extra = true } }, .breaks = true },
	{ .what = "21 slots", .slot = { { .size = 1000, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1, .more = true },
		{ .size = 1, .more = true }, { .size = 1 } }, .breaks = true },
};

static void put(struct net_guest *g, const struct slot *s, uint32_t i)
{
	union { netif_tx_request_t req; netif_extra_info_t x; } u;

	memset(&u, 0, sizeof(u));
	if (s->x_type) {
		u.x.type = s->x_type == 255 ? 0 : s->x_type;
		u.x.flags = s->x_flags;
		u.x.u.gso.size = s->x_size;
		u.x.u.gso.type = s->x_gso;
	} else {
		u.req.gref = s->bad_gref ? 4444 : g->queue[0].tx_gref[i];
		u.req.size = s->size;
		u.req.offset = s->offset;
		u.req.id = (uint16_t)i;
		u.req.flags = (uint16_t)((s->more ? NETTXF_more_data : 0) |
					 (s->extra ? NETTXF_extra_info : 0) |
					 (s->blank ? NETTXF_csum_blank : 0));
	}
	net_guest_slot(g, 0, &u);
}

static bool is_end(const struct slot *s)
{
	return !s->size && !s->x_type && !s->more && !s->extra && !s->offset;
}

static uint32_t put_all(struct net_guest *g, const struct bad *bad)
{
	uint32_t i;

	/* A header that any port may have. */
	net_plain(fake_page(g->queue[0].tx_page), 14, 0, ATTACKER, 0);
	memset(fake_page(g->queue[0].tx_page), 0xff, 6);
	for (i = 0; i < 22 && (!i || !is_end(&bad->slot[i])); i++)
		put(g, &bad->slot[i], i);
	net_guest_publish(g, 0);
	return i;
}

static void test_bad_frames(void)
{
	for (uint32_t i = 0; i < UNIT_LEN(bads); i++) {
		const struct bad *bad = &bads[i];
		uint32_t nr, errors, answers;
		struct world w;

		begin(&w);
		nr = put_all(&w.guest[ATTACKER], bad);
		world_run(&w);
		answers = net_guest_answers(&w.guest[ATTACKER], 0, &errors);
		if (w.nr_broken != bad->breaks || (!bad->breaks && (answers != nr || !errors)))
			fprintf(stderr, "\n%s: %u slots, %u answers, %u errors, broken %u", bad->what,
				nr, answers, errors, w.nr_broken);
		UNIT_EQ(w.nr_broken, bad->breaks);
		if (!bad->breaks) {
			UNIT_EQ(answers, nr);
			UNIT_OK(errors > 0);
		}
		if (net_guest_receive(&w.guest[VICTIM], &got))
			UNIT_OK(got.error < 0);
		while (net_guest_receive(&w.guest[BYSTANDER], &got))
			UNIT_OK(got.error < 0);
		bystanders_talk(&w);
		world_close(&w);
	}
}

/* ---- rings ------------------------------------------------------------------------------------ */

static void test_producers(void)
{
	for (uint32_t which = 0; which < 3; which++)
		for (uint32_t far = 257; far; far <<= 4) {
			struct net_guest *g;
			struct world w;

			begin(&w);
			g = &w.guest[ATTACKER];
			atomic_store(&(which == 0 ? g->queue[0].tx : which == 1 ?
				       g->queue[0].rx : g->ctrl).shared->req_prod, far);
			fake_guest_notify(which == 2 ? g->front.ctrl_port :
					  g->front.queue[0].tx_port);
			/* The rx ring is looked at when something is due to it. */
			net_plain(frame, 60, ATTACKER, BYSTANDER, 0);
			net_guest_send(&w.guest[BYSTANDER], frame, 60, NULL);
			world_run(&w);
			UNIT_EQ(w.nr_broken, 1);
			net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
			bystanders_talk(&w);
			world_close(&w);
		}
}

/* Grants for rx that are read-only, or none: the receiver's loss alone. */
static void test_bad_rx_grants(void)
{
	struct world w;

	begin(&w);
	for (uint32_t i = 0; i < NET_GUEST_BUFFERS; i++)
		UNIT_OK(fake_revoke(w.guest[ATTACKER].queue[0].rx_gref[i]));
	for (uint32_t i = 0; i < 20; i++) {
		net_plain(frame, 3000, ATTACKER, BYSTANDER, 0);
		net_guest_send(&w.guest[BYSTANDER], frame, 3000, NULL);
		world_run(&w);
		UNIT_NEED(net_guest_receive(&w.guest[ATTACKER], &got));
		UNIT_OK(got.error < 0);
	}
	UNIT_EQ(net_guest_answers(&w.guest[BYSTANDER], 0, NULL), 20);
	bystanders_talk(&w);
	world_close(&w);
}

/* ---- who may send what ------------------------------------------------------------------------- */

static void test_spoofed(void)
{
	struct vswitch_counters c;
	struct world w;

	begin(&w);
	net_plain(frame, 100, VICTIM, BYSTANDER, 0);
	net_guest_send(&w.guest[ATTACKER], frame, 100, NULL);
	net_plain(frame, 100, VICTIM, 0x66, 0);
	net_guest_send(&w.guest[ATTACKER], frame, 100, NULL);
	memset(frame + 6, 0xff, 6);
	net_guest_send(&w.guest[ATTACKER], frame, 100, NULL);
	world_run(&w);
	UNIT_OK(!net_guest_receive(&w.guest[VICTIM], &got));
	vswitch_counters(netback_switch(w.nb), w.port[ATTACKER], &c);
	UNIT_EQ(c.dropped[VSWITCH_SPOOFED] + c.dropped[VSWITCH_BAD_SOURCE], 3);
	bystanders_talk(&w);
	world_close(&w);
}

static void test_groups_fill(void)
{
	union { netif_extra_info_t x; netif_tx_request_t slot; } u;
	netif_tx_request_t req = { .flags = NETTXF_extra_info, .size = 14 };
	uint32_t errors, all = 0;
	struct world w;

	begin(&w);
	for (uint32_t i = 0; i < 2 * VSWITCH_MULTICAST_MAX; i++) {
		memset(&u, 0, sizeof(u));
		u.x.type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD;
		u.x.u.mcast.addr[0] = 1;
		u.x.u.mcast.addr[5] = (uint8_t)i;
		net_guest_slot(&w.guest[ATTACKER], 0, &req);
		net_guest_slot(&w.guest[ATTACKER], 0, &u);
		net_guest_publish(&w.guest[ATTACKER], 0);
		world_run(&w);
		UNIT_EQ(net_guest_answers(&w.guest[ATTACKER], 0, &errors), 2);
		all += errors;
	}
	UNIT_EQ(all, VSWITCH_MULTICAST_MAX);
	world_close(&w);
}

/* ---- control ring --------------------------------------------------------------------------------- */

static void test_control(void)
{
	static const struct {
		uint16_t type;
		uint32_t a, b, c, status;
	} asks[] = {
		{ XEN_NETIF_CTRL_TYPE_INVALID, 0, 0, 0, XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED },
		{ 999, 0, 0, 0, XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 7, 0, 0,
		  XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 1, 0, 0,
		  XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 4444, 40, 0,
		  XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 4444, 41, 0,
		  XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 129, 0, 0,
		  XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 100, 0, 0,
		  XEN_NETIF_CTRL_STATUS_SUCCESS },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 4444, 101, 0,
		  XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 4444, 1, 100,
		  XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 4444, 2, UINT32_MAX,
		  XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW },
		{ XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 4444, 100, 0,
		  XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER },
	};
	struct xen_netif_ctrl_response rsp;
	struct world w;

	begin(&w);
	for (uint32_t i = 0; i < UNIT_LEN(asks); i++) {
		net_guest_ask(&w.guest[ATTACKER], asks[i].type, asks[i].a, asks[i].b, asks[i].c);
		world_run(&w);
		UNIT_NEED(net_guest_told(&w.guest[ATTACKER], &rsp));
		UNIT_EQ(rsp.status, asks[i].status);
		UNIT_EQ(rsp.type, asks[i].type);
	}
	/* A map to a queue that there is not. */
	*(uint32_t *)net_guest_next_page(&w.guest[ATTACKER], 0) = 1;
	net_guest_ask(&w.guest[ATTACKER], XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING,
		      w.guest[ATTACKER].queue[0].tx_gref[0], 1, 0);
	world_run(&w);
	UNIT_NEED(net_guest_told(&w.guest[ATTACKER], &rsp));
	UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
	world_close(&w);
}

/* ---- anything -------------------------------------------------------------------------------------- */

/* Slots of random octets, small numbers more often than large ones. */
static void test_random(void)
{
	uint32_t seed = 20261121;
	struct world w;

	begin(&w);
	for (uint32_t round = 0; round < 20000; round++) {
		netif_tx_request_t req;
		uint8_t *at = (uint8_t *)&req;

		for (uint32_t i = 0; i < sizeof(req); i++) {
			seed = seed * 1664525 + 1013904223;
			at[i] = (uint8_t)(seed >> 24);
		}
		if (seed & 1 << 20)
			req.gref = w.guest[ATTACKER].queue[0].tx_gref[seed >> 26];
		if (seed & 1 << 21)
			req.offset &= 0xff;
		if (seed & 1 << 22)
			req.size &= 0xfff;
		req.flags &= 0x0f;
		if (ring_front_free(&w.guest[ATTACKER].queue[0].tx) < 2) {
			world_run(&w);
			net_guest_answers(&w.guest[ATTACKER], 0, NULL);
		}
		net_guest_slot(&w.guest[ATTACKER], 0, &req);
		if (seed & 1 << 23) {
			net_guest_publish(&w.guest[ATTACKER], 0);
			world_run(&w);
			net_guest_answers(&w.guest[ATTACKER], 0, NULL);
		}
		if (!w.nr_broken)
			continue;
		w.nr_broken = 0;
		while (net_guest_receive(&w.guest[VICTIM], &got) ||
		       net_guest_receive(&w.guest[BYSTANDER], &got))
			;
		world_close(&w);
		begin(&w);
	}
	world_close(&w);
}

static const struct unit_test tests[] = {
	{ "NET-1 to NET-5: bad frames", test_bad_frames },
	{ "RING-1: impossible producers", test_producers },
	{ "NET-8: rx grants that are not", test_bad_rx_grants },
	{ "NET-9: spoofed sources", test_spoofed },
	{ "NET-5: more groups than there is room", test_groups_fill },
	{ "NET-7: control messages", test_control },
	{ "random slots", test_random },
};

int main(void)
{
	return unit_run("netback-hostile", tests, UNIT_LEN(tests));
}
