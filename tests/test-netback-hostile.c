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

enum content { PLAIN, TCP, TCP_SHORT, UDP };

/* A slot of a bad frame: more and extra are the flags. */
struct slot {
	uint16_t size, offset;
	bool more, extra, bad_gref, blank;
	uint8_t x_type, x_flags, x_gso;		/* x_type: it is an extra info */
	uint16_t x_size;
	uint16_t times;				/* 0: once */
};

enum end { ERROR, RIGHT, NOTHING, BREAKS };

#define GSO(kind, bytes) { .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = (kind), .x_size = (bytes) }
#define LARGE { .size = 3000, .extra = true, .blank = true }

static const struct bad {
	const char *what;
	struct slot slot[4];
	enum end end;			/* RIGHT: unusual, and taken; NOTHING: no frame; BREAKS: the ring */
	enum content content;
} bads[] = {
	{ .what = "no octets", .slot = { { .size = 0 } } },
	{ .what = "less than an Ethernet header", .slot = { { .size = 13 } } },
	{ .what = "past the end of its page", .slot = { { .size = 100, .offset = 4000 } } },
	{ .what = "an offset beyond the page", .slot = { { .size = 100, .offset = 65535 } } },
	{ .what = "a first slot larger than a page", .slot = { { .size = 65535 } } },
	{ .what = "slots longer than the frame",
	  .slot = { { .size = 100, .more = true }, { .size = 101 } } },
	{ .what = "slots that wrap the length", .slot = { { .size = 14, .more = true },
		{ .size = 65535, .more = true, .times = 2 }, { .size = 65535 } } },
	{ .what = "a later slot past its page", .slot = { { .size = 4000, .more = true },
		{ .size = 300, .offset = 3900 } } },
	{ .what = "a grant that there is not",
	  .slot = { { .size = 100, .bad_gref = true } } },
	{ .what = "a later grant that there is not", .slot = { { .size = 6000, .more = true },
		{ .size = 3000, .bad_gref = true } } },
	{ .what = "an empty slot",
	  .slot = { { .size = 100, .more = true }, { .size = 0 } }, .end = RIGHT },
	{ .what = "empty slots and no octet in the first",
	  .slot = { { .size = 100, .more = true },
		{ .size = 0, .more = true, .times = 3 }, { .size = 100 } }, .end = RIGHT },
	{ .what = "an empty slot whose grant there is not",
	  .slot = { { .size = 100, .more = true },
		{ .size = 0, .bad_gref = true } }, .end = RIGHT },
	{ .what = "18 slots, 31 octets", .slot = { { .size = 31, .more = true },
		{ .size = 1, .more = true, .times = 16 }, { .size = 1 } }, .end = RIGHT },
	{ .what = "19 slots",
	  .slot = { { .size = 1000, .more = true }, { .size = 1, .more = true, .times = 17 },
		{ .size = 1 } } },
	{ .what = "21 slots",
	  .slot = { { .size = 1000, .more = true }, { .size = 1, .more = true, .times = 19 },
		{ .size = 1 } }, .end = BREAKS },
	{ .what = "255 slots",
	  .slot = { { .size = 1000, .more = true }, { .size = 1, .more = true, .times = 253 },
		{ .size = 1 } }, .end = BREAKS },
	{ .what = "a frame without an end",
	  .slot = { { .size = 1000, .more = true } }, .end = BREAKS },
	{ .what = "a ring of nothing but frame",
	  .slot = { { .size = 1000, .more = true, .times = 256 } }, .end = BREAKS },
	{ .what = "an extra info of type 0", .slot = { { .size = 100, .extra = true },
		{ .x_type = 255, .x_size = 1 } } },
	{ .what = "an extra info of a type to come", .slot = { { .size = 100, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_MAX } } },
	{ .what = "an extra info without an end", .slot = { { .size = 100, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = 1, .x_size = 9,
		  .x_flags = XEN_NETIF_EXTRA_FLAG_MORE } }, .end = BREAKS },
	{ .what = "a ring of nothing but extra infos",
	  .slot = { { .size = 100, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_GSO, .x_gso = 1, .x_size = 9,
		  .x_flags = XEN_NETIF_EXTRA_FLAG_MORE, .times = 255 } }, .end = BREAKS },
	{ .what = "200 extra infos", .slot = { { .size = 100, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_HASH, .x_flags = XEN_NETIF_EXTRA_FLAG_MORE,
		  .times = 200 }, { .x_type = XEN_NETIF_EXTRA_TYPE_HASH } }, .end = RIGHT },
	{ .what = "an extra info that is missing",
	  .slot = { { .size = 100, .extra = true } }, .end = BREAKS },
	{ .what = "GSO of size 0",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV4, 0) }, .content = TCP },
	{ .what = "GSO of an unknown kind", .slot = { LARGE, GSO(9, 1000) }, .content = TCP },
	{ .what = "GSO of kind none",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_NONE, 1000) }, .content = TCP },
	{ .what = "GSO of what is not IP",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV4, 1000) } },
	{ .what = "GSO of UDP",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV4, 1000) }, .content = UDP },
	{ .what = "GSO of IPv6 that is IPv4",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV6, 1000) }, .content = TCP },
	{ .what = "GSO of half a TCP header",
	  .slot = { { .size = 44, .extra = true, .blank = true },
		GSO(XEN_NETIF_GSO_TYPE_TCPV4, 1000) }, .content = TCP },
	{ .what = "GSO that says nothing of its checksum",
	  .slot = { { .size = 3000, .extra = true },
		GSO(XEN_NETIF_GSO_TYPE_TCPV4, 1000) }, .end = RIGHT, .content = TCP },
	{ .what = "GSO of one octet",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV4, 1) }, .content = TCP },
	{ .what = "GSO of 590 segments",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV4, 5) }, .content = TCP },
	{ .what = "GSO of 491 segments",
	  .slot = { LARGE, GSO(XEN_NETIF_GSO_TYPE_TCPV4, 6) }, .end = RIGHT, .content = TCP },
	{ .what = "a group that is none", .slot = { { .size = 14, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD } } },
	{ .what = "a group that was not joined", .slot = { { .size = 14, .extra = true },
		{ .x_type = XEN_NETIF_EXTRA_TYPE_MCAST_DEL } }, .end = NOTHING },
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
		u.req.gref = s->bad_gref ? 4444 : g->queue[0].tx_gref[i % NET_GUEST_BUFFERS];
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
	return !s->size && !s->x_type && !s->more && !s->extra && !s->offset && !s->bad_gref;
}

/* To everybody, with a header that any port may have. */
static void fill(struct net_guest *g, enum content content)
{
	uint8_t *page = fake_page(g->queue[0].tx_page);

	if (content == PLAIN)
		net_plain(page, 100, 0, ATTACKER, 0);
	else
		net_tcp(page, content == TCP_SHORT ? 44 : 3000, 0, ATTACKER, 0, true);
	if (content == UDP)
		page[23] = 17;
	memset(page, 0xff, 6);
	/* Wherever the first octet is. */
	for (uint32_t i = 1; i < 5; i++)
		memcpy(fake_page(g->queue[0].tx_page + i), page, 64);
}

static uint32_t put_all(struct net_guest *g, const struct bad *bad)
{
	uint32_t nr = 0;

	fill(g, bad->content);
	for (uint32_t i = 0; i < UNIT_LEN(bad->slot); i++) {
		const struct slot *s = &bad->slot[i];

		/* An empty slot ends the list, but where the one before says more. */
		if (i && is_end(s) && !bad->slot[i - 1].more)
			break;
		if (i && is_end(s) && bad->end == BREAKS)
			break;
		for (uint32_t k = 0; k < (s->times ? s->times : 1u); k++)
			put(g, s, nr++);
	}
	net_guest_publish(g, 0);
	return nr;
}

/* What the others get of it, in whole frames. */
static uint32_t drain(struct world *w)
{
	uint32_t nr = 0;

	for (uint32_t i = VICTIM; i <= BYSTANDER; i++)
		while (net_guest_receive(&w->guest[i], &got)) {
			nr += !got.error;
			net_guest_post(&w->guest[i], 0, got.slots);
		}
	return nr;
}

static void test_bad_frames(void)
{
	for (uint32_t i = 0; i < UNIT_LEN(bads); i++) {
		const struct bad *bad = &bads[i];
		uint32_t nr, errors, answers, arrived;
		bool as_said;
		struct world w;

		begin(&w);
		nr = put_all(&w.guest[ATTACKER], bad);
		world_run(&w);
		answers = net_guest_answers(&w.guest[ATTACKER], 0, &errors);
		arrived = drain(&w);
		as_said = w.nr_broken == (bad->end == BREAKS) &&
			  arrived == (bad->end == RIGHT ? 2 : 0) &&
			  (bad->end == BREAKS || (answers == nr && !errors == (bad->end != ERROR)));
		if (!as_said)
			fprintf(stderr, "\n%s: %u slots, %u answers, %u errors, %u arrived, broken %u",
				bad->what, nr, answers, errors, arrived, w.nr_broken);
		UNIT_OK(as_said);
		bystanders_talk(&w);
		world_close(&w);
	}
}

/* A checksum to be filled in where there is no room for one. */
static void test_short_blank(void)
{
	static const uint16_t bytes[] = { 14, 15, 33, 34, 35, 44, 50, 51, 53 };

	for (uint32_t i = 0; i < 2 * UNIT_LEN(bytes); i++) {
		struct world w = { .nr = 3, .no_csum = { false, true, true } };
		struct slot slot = { .size = bytes[i / 2], .blank = true };
		struct vswitch_counters c;

		world_open(&w);
		fill(&w.guest[ATTACKER], i % 2 ? UDP : TCP);
		put(&w.guest[ATTACKER], &slot, 0);
		net_guest_publish(&w.guest[ATTACKER], 0);
		world_run(&w);
		UNIT_EQ(net_guest_answers(&w.guest[ATTACKER], 0, NULL), 1);
		UNIT_EQ(drain(&w), 0);
		vswitch_counters(netback_switch(w.nb), w.port[VICTIM], &c);
		UNIT_EQ(c.dropped[VSWITCH_MALFORMED], 1);
		bystanders_talk(&w);
		world_close(&w);
	}
}

/* ---- grants to receive into ------------------------------------------------------------------ */

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

static void test_addresses(void)
{
	static const struct {
		uint8_t to, from, at, value;	/* an octet that is changed, if at is not 0 */
		uint16_t type;
		enum vswitch_drop why;
	} rows[] = {
		{ VICTIM, BYSTANDER, 0, 0, 0x88b5, VSWITCH_SPOOFED },
		{ VICTIM, 0x66, 0, 0, 0x88b5, VSWITCH_SPOOFED },
		{ VICTIM, ATTACKER, 6, 0x01, 0x88b5, VSWITCH_BAD_SOURCE },
		{ VICTIM, ATTACKER, 6, 0x02, 0x88b5, VSWITCH_SPOOFED },
		{ ATTACKER, ATTACKER, 0, 0, 0x88b5, VSWITCH_NOWHERE },
		{ VICTIM, ATTACKER, 0, 0, 0x8100, VSWITCH_VLAN },
		{ VICTIM, ATTACKER, 0, 0, 0x88a8, VSWITCH_VLAN },
	};
	static const uint8_t bpdu[6] = { 0x01, 0x80, 0xc2, 0, 0, 0 };
	struct vswitch_counters c;
	struct world w;

	begin(&w);
	for (uint32_t i = 0; i < 3; i++) {
		w.config[i].vlan = 7;
		vswitch_set_port(netback_switch(w.nb), w.port[i], &w.config[i]);
	}
	for (uint32_t i = 0; i <= UNIT_LEN(rows); i++) {
		bool last = i == UNIT_LEN(rows);
		enum vswitch_drop why = last ? VSWITCH_LINK_LOCAL : rows[i].why;
		uint64_t before;

		vswitch_counters(netback_switch(w.nb), w.port[ATTACKER], &c);
		before = c.dropped[why];
		net_plain(frame, 100, last ? VICTIM : rows[i].to, last ? ATTACKER : rows[i].from, 0);
		if (last)
			memcpy(frame, bpdu, sizeof(bpdu));
		else
			net_put16(frame + 12, rows[i].type);
		if (!last && rows[i].at)
			frame[rows[i].at] = rows[i].value;
		net_guest_send(&w.guest[ATTACKER], frame, 100, NULL);
		world_run(&w);
		UNIT_EQ(drain(&w), 0);
		vswitch_counters(netback_switch(w.nb), w.port[ATTACKER], &c);
		UNIT_EQ(c.dropped[why], before + 1);
	}
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

/*
 * A large packet is cut for a guest of whose 30 slots so many cannot be written: it is lost
 * once, and taken back from what was counted when nothing of it arrived.
 */
static void test_bad_grants_for_segments(void)
{
	static const struct { uint32_t from, to, at_once; } rows[] = {
		{ 0, 30, 30 }, { 0, 1, 30 }, { 29, 30, 30 }, { 3, 17, 30 }, { 0, 30, 10 },
		{ 0, 29, 29 }, { 0, 1, 1 }, { 7, 7, 30 },
	};
	static uint8_t large[30054];
	struct net_guest_how how = { .blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4,
				     .gso_bytes = 1000 };

	for (uint32_t i = 0; i < UNIT_LEN(rows); i++) {
		struct world w = { .nr = 2, .no_gso = { [1] = true } };
		struct net_guest_queue *q = &w.guest[1].queue[0];
		uint32_t bad = rows[i].to - rows[i].from, arrived = bad < 30;
		struct vswitch_counters before, c;

		world_open(&w);
		world_withhold(&w, 1);
		vswitch_counters(netback_switch(w.nb), w.port[1], &before);
		for (uint32_t k = rows[i].from; k < rows[i].to; k++)
			UNIT_OK(fake_revoke(q->rx_gref[(q->next_rx + k) % NET_GUEST_BUFFERS]));
		net_tcp(large, sizeof(large), 1, 0, 3, true);
		net_guest_send(&w.guest[0], large, sizeof(large), &how);
		for (uint32_t n = 0; n < 30; n += rows[i].at_once) {
			net_guest_post(&w.guest[1], 0, MIN(30 - n, rows[i].at_once));
			world_run(&w);
		}
		vswitch_counters(netback_switch(w.nb), w.port[1], &c);
		UNIT_EQ(c.dropped[VSWITCH_MALFORMED], bad > 0);
		UNIT_EQ(c.out_frames, before.out_frames + arrived);
		UNIT_EQ(c.out_bytes, before.out_bytes + arrived * sizeof(large));
		world_close(&w);
	}
}

static const struct unit_test tests[] = {
	{ "NET-1 to NET-4: bad frames", test_bad_frames },
	{ "NET-10: checksums of truncated headers", test_short_blank },
	{ "NET-8: rx grants that are not", test_bad_rx_grants },
	{ "NET-8: and for segments of one packet", test_bad_grants_for_segments },
	{ "NET-9: addresses, tags, BPDUs", test_addresses },
	{ "NET-5: more groups than there is room", test_groups_fill },
	{ "NET-7: control messages", test_control },
	{ "random slots", test_random },
};

int main(void)
{
	return unit_run("netback-hostile", tests, UNIT_LEN(tests));
}
