/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The switch's rules, one by one: a few ports, a frame, who gets it. Must not
 * know how addresses are kept.
 */
#include "unit.h"
#include "vswitch.h"

#define MAX_PORTS 130		/* more than two words of a set */
#define MAX_ADDRESSES 64
#define AGEING_MS 300000
#define MOVE_MS 5000

static struct vswitch *s;
static struct vswitch_decision d;
static uint64_t now;

static const struct vswitch_config config = { .max_ports = MAX_PORTS,
	.max_addresses = MAX_ADDRESSES, .ageing_ms = AGEING_MS, .move_ms = MOVE_MS };

static void begin(void)
{
	now = 1000000;
	s = NULL;
	UNIT_EQ(vswitch_open(&config, &s), 0);
}

static void end(void)
{
	vswitch_close(s);
}

/* ---- frames ------------------------------------------------------------------------ */

#define BROADCAST 0xffffffffffffull
#define GUEST(n) (0x00163e000000ull + (uint64_t)(n))
#define OTHER(n) (0x020000000000ull + (uint64_t)(n))
#define UNTAGGED (-1)

static void put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 5; i >= 0; i--, mac >>= 8)
		p[i] = (uint8_t)mac;
}

struct tags {
	int outer, inner;		/* tci, or UNTAGGED */
	uint16_t outer_type;
};

static uint32_t build(uint8_t *p, uint64_t dst, uint64_t src, const struct tags *t)
{
	uint32_t at = 12;

	memset(p, 0, 64);
	put_mac(p, dst);
	put_mac(p + 6, src);
	if (t->outer != UNTAGGED) {
		p[at] = (uint8_t)(t->outer_type >> 8);
		p[at + 1] = (uint8_t)t->outer_type;
		p[at + 2] = (uint8_t)(t->outer >> 8);
		p[at + 3] = (uint8_t)t->outer;
		at += 4;
	}
	if (t->inner != UNTAGGED) {
		p[at] = 0x81;
		p[at + 2] = (uint8_t)(t->inner >> 8);
		p[at + 3] = (uint8_t)t->inner;
		at += 4;
	}
	p[at] = 0x08;
	return 60;
}

static uint32_t send_tags(uint32_t port, uint64_t dst, uint64_t src, const struct tags *t)
{
	uint8_t frame[64];
	uint32_t bytes = build(frame, dst, src, t);

	return vswitch_forward(s, port, frame, VSWITCH_HEADER_BYTES, bytes, now, &d);
}

static uint32_t send_frame(uint32_t port, uint64_t dst, uint64_t src)
{
	return send_tags(port, dst, src, &(struct tags){ UNTAGGED, UNTAGGED, 0 });
}

static uint32_t send_tagged(uint32_t port, uint64_t dst, uint64_t src, int tci)
{
	return send_tags(port, dst, src, &(struct tags){ tci, UNTAGGED, 0x8100 });
}

/* What the last frame's receiver is to do with it, or -1 when port was none. */
static int tag_for(uint32_t port)
{
	for (uint32_t i = 0; i < d.nr; i++)
		if (d.out[i].port == port)
			return d.out[i].tag;
	return -1;
}

static bool got(uint32_t port)
{
	return tag_for(port) >= 0;
}

/* ---- ports ------------------------------------------------------------------------- */

static struct vswitch_port_config guest_config(unsigned int n)
{
	struct vswitch_port_config c = { .mode = VSWITCH_ACCESS };

	put_mac(c.mac, GUEST(n));
	return c;
}

static uint32_t add(const struct vswitch_port_config *c)
{
	uint32_t port = UINT32_MAX;

	UNIT_EQ(vswitch_add_port(s, c, &port), 0);
	return port;
}

static uint32_t add_guest(unsigned int n)
{
	struct vswitch_port_config c = guest_config(n);

	return add(&c);
}

static uint32_t add_access(unsigned int n, uint16_t vlan)
{
	struct vswitch_port_config c = guest_config(n);

	c.vlan = vlan;
	return add(&c);
}

static uint32_t add_any(uint16_t vlan)
{
	return add(&(struct vswitch_port_config){ .any_source = true, .vlan = vlan });
}

static uint32_t add_trunk(uint16_t native, uint16_t a, uint16_t b)
{
	struct vswitch_port_config c = { .mode = VSWITCH_TRUNK, .vlan = native,
					 .any_source = true };

	c.vlans[a / 8] |= (uint8_t)(1 << a % 8);
	c.vlans[b / 8] |= (uint8_t)(1 << b % 8);
	return add(&c);
}

static struct vswitch_counters counters(uint32_t port)
{
	struct vswitch_counters c = { 0 };

	UNIT_EQ(vswitch_counters(s, port, &c), 0);
	return c;
}

/* ---- opening ----------------------------------------------------------------------- */

static void test_open(void)
{
	struct vswitch_config c = config;

	vswitch_close(NULL);
	c.max_ports = 0;
	UNIT_EQ(vswitch_open(&c, &s), -EINVAL);
	UNIT_OK(!s);
	c.max_ports = VSWITCH_PORTS_MAX + 1;
	UNIT_EQ(vswitch_open(&c, &s), -EINVAL);
	c = config;
	c.max_addresses = 0;
	UNIT_EQ(vswitch_open(&c, &s), -EINVAL);
	c.max_addresses = VSWITCH_ADDRESSES_MAX + 1;
	UNIT_EQ(vswitch_open(&c, &s), -EINVAL);
	c = config;
	c.ageing_ms = 0;
	UNIT_EQ(vswitch_open(&c, &s), -EINVAL);
	begin();
	c = config;
	c.max_ports++;
	UNIT_EQ(vswitch_configure(s, &c), -EINVAL);
	c = config;
	c.max_addresses--;
	UNIT_EQ(vswitch_configure(s, &c), -EINVAL);
	UNIT_EQ(vswitch_configure(s, &config), 0);
	end();
}

static void test_port_numbers(void)
{
	struct vswitch_port_config c;
	uint32_t port = 7;

	begin();
	for (unsigned int i = 0; i < MAX_PORTS; i++)
		UNIT_EQ(add_guest(i), i);
	c = guest_config(MAX_PORTS);
	UNIT_EQ(vswitch_add_port(s, &c, &port), -ENOSPC);
	vswitch_remove_port(s, 70);
	vswitch_remove_port(s, 3);
	vswitch_remove_port(s, 3);
	UNIT_EQ(vswitch_get_port(s, 3, &c), -ENOENT);
	UNIT_EQ(add_guest(500), 3);
	UNIT_EQ(add_guest(501), 70);
	UNIT_EQ(vswitch_get_port(s, MAX_PORTS, &c), -ENOENT);
	end();
}

static void test_odd_ports(void)
{
	struct vswitch_port_config c = guest_config(1);
	struct vswitch_counters sums;
	uint32_t port;

	begin();
	c.vlan = VSWITCH_VLAN_NONE;
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	c.mode = VSWITCH_TRUNK;
	UNIT_EQ(vswitch_add_port(s, &c, &port), 0);
	vswitch_remove_port(s, port);
	c.vlan = 4096;
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	c.vlan = 5;
	c.vlans[0] = 1;
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	c.vlans[0] = 0;
	c.vlans[511] = 0x80;
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	c = guest_config(1);
	c.mode = 2;
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	c = guest_config(1);
	c.mac[0] |= 1;
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	memset(c.mac, 0, 6);
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EINVAL);
	UNIT_EQ(vswitch_set_port(s, 0, &c), -ENOENT);
	UNIT_EQ(vswitch_counters(s, 0, &sums), -ENOENT);
	UNIT_EQ(add_guest(1), 0);
	UNIT_EQ(add_guest(2), 1);
	c = guest_config(1);
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EEXIST);
	UNIT_EQ(vswitch_set_port(s, 1, &c), -EEXIST);
	UNIT_EQ(vswitch_set_port(s, 0, &c), 0);
	UNIT_EQ(send_frame(1, GUEST(1), GUEST(2)), 1);
	end();
}

/* ---- unicast ----------------------------------------------------------------------- */

static void test_guests_know_each_other(void)
{
	uint32_t a, b, c;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	c = add_guest(3);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(got(b) && !d.flooded);
	UNIT_EQ(d.why, VSWITCH_FORWARDED);
	UNIT_EQ(d.out[0].tag, VSWITCH_TAG_KEEP);
	/* Nobody else can have an address that no one was seen with. */
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 2);
	UNIT_OK(got(b) && got(c) && d.flooded);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 2);
	/* To itself. */
	UNIT_EQ(send_frame(a, GUEST(1), GUEST(1)), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	end();
}

static void test_learning(void)
{
	uint32_t guest, up, bridge;

	begin();
	guest = add_guest(1);
	up = add_any(0);
	bridge = add_any(0);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 2);
	UNIT_OK(got(up) && got(bridge) && d.flooded);
	UNIT_EQ(send_frame(up, GUEST(1), OTHER(1)), 1);
	UNIT_OK(got(guest));
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(up) && !d.flooded);
	/* Hairpin: where it came from is where it would go. */
	UNIT_EQ(send_frame(up, OTHER(1), OTHER(2)), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(guest, OTHER(2), GUEST(1)), 1);
	UNIT_OK(got(up));
	/* Dropped frames teach nothing: OTHER(3)'s was, as nobody speaks LLDP here. */
	UNIT_EQ(send_frame(up, 0x0180c200000eull, OTHER(3)), 0);
	UNIT_EQ(send_frame(guest, OTHER(3), GUEST(1)), 2);
	end();
}

static void test_ageing(void)
{
	struct vswitch_config c = config;
	uint32_t guest, up, other;

	begin();
	guest = add_guest(1);
	up = add_any(0);
	other = add_any(0);
	send_frame(up, BROADCAST, OTHER(1));
	now += AGEING_MS / 2;
	send_frame(up, BROADCAST, OTHER(2));
	now += AGEING_MS / 2 - 1;
	vswitch_age(s, now);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	now += 1;
	vswitch_age(s, now);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 2);
	UNIT_OK(got(up) && got(other));
	UNIT_EQ(send_frame(guest, OTHER(2), GUEST(1)), 1);
	/* New times hold at once. */
	c.ageing_ms = 1000;
	UNIT_EQ(vswitch_configure(s, &c), 0);
	vswitch_age(s, now);
	UNIT_EQ(send_frame(guest, OTHER(2), GUEST(1)), 2);
	/* A port's own address does not age. */
	now += 100 * (uint64_t)AGEING_MS;
	vswitch_age(s, now);
	UNIT_EQ(send_frame(up, GUEST(1), OTHER(2)), 1);
	end();
}

static void test_moving(void)
{
	struct vswitch_config c = config;
	uint32_t guest, a, b;

	begin();
	guest = add_guest(1);
	a = add_any(0);
	b = add_any(0);
	send_frame(a, BROADCAST, OTHER(1));
	now += MOVE_MS - 1;
	UNIT_EQ(send_frame(b, BROADCAST, OTHER(1)), 0);
	UNIT_EQ(d.why, VSWITCH_MOVED);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(a));
	/* The thief's frames do not keep it from moving, the owner's do. */
	now += 1;
	UNIT_EQ(send_frame(b, BROADCAST, OTHER(1)), 2);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(b));
	now += MOVE_MS - 1;
	send_frame(b, BROADCAST, OTHER(1));
	now += MOVE_MS - 1;
	UNIT_EQ(send_frame(a, BROADCAST, OTHER(1)), 0);
	UNIT_EQ(counters(a).dropped[VSWITCH_MOVED], 1);
	c.move_ms = 0;
	UNIT_EQ(vswitch_configure(s, &c), 0);
	UNIT_EQ(send_frame(a, BROADCAST, OTHER(1)), 2);
	UNIT_EQ(send_frame(b, BROADCAST, OTHER(1)), 2);
	end();
}

/* ---- sources ----------------------------------------------------------------------- */

static void test_spoofing(void)
{
	uint32_t a, b, up;

	begin();
	up = add_any(0);
	/* Learned before it became a port's own: it is the port's then. */
	send_frame(up, BROADCAST, GUEST(2));
	a = add_guest(1);
	b = add_guest(2);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(got(b));
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(2)), 0);
	UNIT_EQ(d.why, VSWITCH_SPOOFED);
	UNIT_EQ(send_frame(a, GUEST(2), OTHER(1)), 0);
	UNIT_EQ(d.why, VSWITCH_SPOOFED);
	UNIT_EQ(send_frame(up, BROADCAST, GUEST(2)), 0);
	UNIT_EQ(d.why, VSWITCH_SPOOFED);
	now += 100 * MOVE_MS;
	UNIT_EQ(send_frame(up, BROADCAST, GUEST(2)), 0);
	UNIT_EQ(counters(up).dropped[VSWITCH_SPOOFED], 2);
	UNIT_EQ(counters(a).dropped[VSWITCH_SPOOFED], 2);
	/* When the guest has gone, the address may be anywhere. */
	vswitch_remove_port(s, b);
	UNIT_EQ(send_frame(up, BROADCAST, GUEST(2)), 1);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(got(up));
	end();
}

static void test_own_address_in_any_vlan(void)
{
	uint32_t up;

	begin();
	add_access(1, 10);
	up = add_trunk(0, 10, 20);
	UNIT_EQ(send_tagged(up, BROADCAST, GUEST(1), 20), 0);
	UNIT_EQ(d.why, VSWITCH_SPOOFED);
	/* Nor does VLAN 20 see what is sent to it. */
	UNIT_EQ(send_tagged(up, GUEST(1), OTHER(1), 20), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(up, GUEST(1), OTHER(1), 10), 1);
	end();
}

static void test_bad_sources(void)
{
	uint32_t a, up;

	begin();
	a = add_guest(1);
	up = add_any(0);
	UNIT_EQ(send_frame(up, GUEST(1), 0), 0);
	UNIT_EQ(d.why, VSWITCH_BAD_SOURCE);
	UNIT_EQ(send_frame(up, GUEST(1), BROADCAST), 0);
	UNIT_EQ(d.why, VSWITCH_BAD_SOURCE);
	UNIT_EQ(send_frame(up, GUEST(1), 0x01005e000001ull), 0);
	UNIT_EQ(d.why, VSWITCH_BAD_SOURCE);
	UNIT_EQ(send_frame(a, BROADCAST, 0x01163e000001ull), 0);
	UNIT_EQ(d.why, VSWITCH_BAD_SOURCE);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 1);
	end();
}

static void test_runts(void)
{
	uint8_t frame[64];
	uint32_t up;

	begin();
	add_guest(1);
	up = add_any(0);
	build(frame, GUEST(1), OTHER(1), &(struct tags){ UNTAGGED, UNTAGGED, 0 });
	for (uint32_t n = 0; n < 14; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, frame, n);
		UNIT_EQ(vswitch_forward(s, up, exact, n, n, now, &d), 0);
		UNIT_EQ(d.why, VSWITCH_RUNT);
		/* What forward may look at is the less of the two. */
		UNIT_EQ(vswitch_forward(s, up, frame, 18, n, now, &d), 0);
		UNIT_EQ(vswitch_forward(s, up, exact, n, 60, now, &d), 0);
		free(exact);
	}
	UNIT_EQ(vswitch_forward(s, up, frame, 14, 14, now, &d), 1);
	build(frame, GUEST(1), OTHER(1), &(struct tags){ 5, UNTAGGED, 0x8100 });
	for (uint32_t n = 14; n < 18; n++) {
		uint8_t *exact = malloc(n);

		memcpy(exact, frame, n);
		UNIT_EQ(vswitch_forward(s, up, exact, n, n, now, &d), 0);
		UNIT_EQ(d.why, VSWITCH_RUNT);
		free(exact);
	}
	UNIT_EQ(vswitch_forward(s, up, frame, 18, 18, now, &d), 1);
	end();
}

/* ---- VLANs ------------------------------------------------------------------------- */

static void test_access_and_trunk(void)
{
	uint32_t a10, b10, c20, up;

	begin();
	a10 = add_access(1, 10);
	b10 = add_access(2, 10);
	c20 = add_access(3, 20);
	up = add_trunk(VSWITCH_VLAN_NONE, 10, 20);
	UNIT_EQ(send_frame(a10, BROADCAST, GUEST(1)), 2);
	UNIT_EQ(tag_for(b10), VSWITCH_TAG_KEEP);
	UNIT_EQ(tag_for(up), VSWITCH_TAG_PUSH);
	UNIT_OK(!got(c20));
	UNIT_EQ(d.tci, 10);
	/* Another VLAN's guest is not reached by its address. */
	UNIT_EQ(send_frame(a10, GUEST(3), GUEST(1)), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(up, BROADCAST, OTHER(1), 20), 1);
	UNIT_EQ(tag_for(c20), VSWITCH_TAG_POP);
	UNIT_EQ(send_tagged(up, GUEST(1), OTHER(1), 0xa000 | 10), 1);
	UNIT_EQ(tag_for(a10), VSWITCH_TAG_POP);
	UNIT_EQ(d.tci, 0xa000 | 10);
	/* OTHER(1) is known in both: addresses are learned per VLAN. */
	UNIT_EQ(send_frame(a10, OTHER(1), GUEST(1)), 1);
	UNIT_OK(!d.flooded);
	UNIT_EQ(tag_for(up), VSWITCH_TAG_PUSH);
	UNIT_EQ(d.tci, 10);
	/* What the trunk does not carry, and untagged ones. */
	UNIT_EQ(send_tagged(up, BROADCAST, OTHER(1), 30), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	UNIT_EQ(send_tagged(up, BROADCAST, OTHER(1), 4095), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	UNIT_EQ(send_frame(up, BROADCAST, OTHER(1)), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	UNIT_EQ(send_tagged(up, BROADCAST, OTHER(1), 0), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	/* An access port's own tags, even of its own VLAN. */
	UNIT_EQ(send_tagged(a10, BROADCAST, GUEST(1), 20), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	UNIT_EQ(send_tagged(a10, BROADCAST, GUEST(1), 10), 0);
	UNIT_EQ(counters(a10).dropped[VSWITCH_VLAN], 2);
	UNIT_EQ(counters(c20).out_frames, 1);
	end();
}

static void test_native(void)
{
	uint32_t guest, a, b;

	begin();
	guest = add_access(1, 10);
	a = add_trunk(10, 20, 30);
	b = add_trunk(20, 10, 30);
	UNIT_EQ(send_frame(a, BROADCAST, OTHER(1)), 2);
	UNIT_EQ(tag_for(guest), VSWITCH_TAG_KEEP);
	UNIT_EQ(tag_for(b), VSWITCH_TAG_PUSH);
	UNIT_EQ(d.tci, 10);
	UNIT_EQ(send_frame(b, BROADCAST, OTHER(2)), 1);
	UNIT_EQ(tag_for(a), VSWITCH_TAG_PUSH);
	UNIT_EQ(d.tci, 20);
	UNIT_EQ(send_tagged(b, OTHER(1), OTHER(2), 10), 1);
	UNIT_EQ(tag_for(a), VSWITCH_TAG_POP);
	UNIT_EQ(send_tagged(a, BROADCAST, OTHER(3), 30), 1);
	UNIT_EQ(tag_for(b), VSWITCH_TAG_KEEP);
	/* The native VLAN may come with its tag as well. */
	UNIT_EQ(send_tagged(a, BROADCAST, OTHER(4), 10), 2);
	UNIT_EQ(tag_for(b), VSWITCH_TAG_KEEP);
	UNIT_EQ(tag_for(guest), VSWITCH_TAG_POP);
	end();
}

static void test_priority_tags(void)
{
	uint32_t guest, other, native, up;

	begin();
	guest = add_access(1, 10);
	other = add_access(2, 10);
	up = add_trunk(VSWITCH_VLAN_NONE, 10, 11);
	native = add_trunk(10, 20, 30);
	UNIT_EQ(send_tagged(guest, BROADCAST, GUEST(1), 0xe000), 3);
	UNIT_EQ(tag_for(other), VSWITCH_TAG_POP);
	UNIT_EQ(tag_for(native), VSWITCH_TAG_POP);
	UNIT_EQ(tag_for(up), VSWITCH_TAG_SET);
	UNIT_EQ(d.tci, 0xe000 | 10);
	UNIT_EQ(send_tagged(native, GUEST(1), OTHER(1), 0x3000), 1);
	UNIT_EQ(tag_for(guest), VSWITCH_TAG_POP);
	UNIT_EQ(d.tci, 0x3000 | 10);
	end();
}

/* A second tag must never become the first on a wire that heeds it. */
static void test_double_tags(void)
{
	const struct tags both = { 10, 20, 0x8100 }, priority = { 0, 20, 0x8100 },
			  service = { 10, 20, 0x88a8 }, qinq = { 10, UNTAGGED, 0x9100 };
	uint32_t guest, a, b;

	begin();
	guest = add_access(1, 10);
	a = add_trunk(VSWITCH_VLAN_NONE, 10, 20);
	b = add_trunk(10, 20, 30);
	UNIT_EQ(send_tags(a, BROADCAST, OTHER(1), &both), 1);
	UNIT_EQ(tag_for(guest), VSWITCH_TAG_POP);
	send_frame(b, BROADCAST, OTHER(2));
	UNIT_EQ(send_tags(a, OTHER(2), OTHER(1), &both), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(a, OTHER(2), OTHER(1), 10), 1);
	UNIT_EQ(send_tags(guest, BROADCAST, GUEST(1), &priority), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	/* From a trunk it stays inside VLAN 10, tagged. */
	UNIT_EQ(send_tags(b, BROADCAST, OTHER(2), &priority), 2);
	UNIT_EQ(tag_for(a), VSWITCH_TAG_SET);
	UNIT_EQ(d.tci, 10);
	UNIT_EQ(send_tags(guest, BROADCAST, GUEST(1), &service), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	UNIT_EQ(send_tags(b, BROADCAST, OTHER(2), &service), 0);
	UNIT_EQ(send_tags(b, BROADCAST, OTHER(2), &qinq), 0);
	UNIT_EQ(d.why, VSWITCH_VLAN);
	end();
}

static void test_no_vlans(void)
{
	const struct tags both = { 10, 20, 0x8100 };
	uint32_t a, b, trunk, up;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	up = add_any(0);
	trunk = add_trunk(0, 10, 20);
	/* Tags are the guests' own business... */
	UNIT_EQ(send_tagged(a, GUEST(2), GUEST(1), 10), 1);
	UNIT_EQ(tag_for(b), VSWITCH_TAG_KEEP);
	UNIT_EQ(send_tags(a, BROADCAST, GUEST(1), &both), 2);
	UNIT_EQ(tag_for(up), VSWITCH_TAG_KEEP);
	UNIT_EQ(send_tagged(a, GUEST(2), GUEST(1), 0xe000), 1);
	UNIT_EQ(tag_for(b), VSWITCH_TAG_KEEP);
	/* ...but are not let out where somebody takes them for VLANs. */
	UNIT_OK(!got(trunk));
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 3);
	UNIT_EQ(tag_for(trunk), VSWITCH_TAG_KEEP);
	UNIT_EQ(send_tagged(trunk, BROADCAST, OTHER(1), 10), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(trunk, BROADCAST, OTHER(1), 0x2000), 3);
	UNIT_EQ(tag_for(a), VSWITCH_TAG_POP);
	end();
}

/* ---- who may not meet ----------------------------------------------------------------- */

static void test_isolation(void)
{
	struct vswitch_port_config c;
	uint32_t a, b, open_guest, bridge, up;

	begin();
	c = guest_config(1);
	c.isolated = true;
	a = add(&c);
	put_mac(c.mac, GUEST(2));
	b = add(&c);
	c.any_source = true;
	bridge = add(&c);
	open_guest = add_guest(3);
	up = add_any(0);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 2);
	UNIT_OK(got(open_guest) && got(up));
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(a, GUEST(3), GUEST(1)), 1);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(up));
	UNIT_EQ(send_frame(bridge, BROADCAST, OTHER(1)), 2);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 0);
	UNIT_EQ(send_frame(open_guest, BROADCAST, GUEST(3)), 4);
	UNIT_EQ(send_frame(open_guest, GUEST(2), GUEST(3)), 1);
	UNIT_OK(got(b));
	end();
}

static void test_link_local(void)
{
	struct vswitch_port_config c = guest_config(1);
	uint32_t guest, switch_a, switch_b;

	begin();
	guest = add(&c);
	c = (struct vswitch_port_config){ .any_source = true, .link_local = true };
	switch_a = add(&c);
	switch_b = add(&c);
	for (unsigned int i = 0; i < 16; i++) {
		UNIT_EQ(send_frame(guest, 0x0180c2000000ull + i, GUEST(1)), 0);
		UNIT_EQ(d.why, VSWITCH_LINK_LOCAL);
		UNIT_EQ(send_frame(switch_a, 0x0180c2000000ull + i, OTHER(1)), 1);
		UNIT_OK(got(switch_b));
	}
	UNIT_EQ(send_frame(guest, 0x0180c2000010ull, GUEST(1)), 2);
	end();
}

/* ---- multicast ------------------------------------------------------------------------ */

static void test_multicast(void)
{
	uint8_t group[6], other[6], unicast[6];
	uint32_t a, b;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	put_mac(group, 0x01005e000001ull);
	put_mac(other, 0x333300000001ull);
	put_mac(unicast, GUEST(5));
	UNIT_EQ(vswitch_multicast_add(s, b, group), 0);
	UNIT_EQ(vswitch_multicast_add(s, b, group), 0);
	UNIT_EQ(vswitch_multicast_add(s, b, unicast), -EINVAL);
	UNIT_EQ(vswitch_multicast_add(s, 9, group), -ENOENT);
	UNIT_EQ(vswitch_multicast_filter(s, 9, true), -ENOENT);
	UNIT_EQ(vswitch_multicast_del(s, 9, group), -ENOENT);
	vswitch_multicast_clear(s, 9);
	/* Off. */
	UNIT_EQ(send_frame(a, 0x333300000001ull, GUEST(1)), 1);
	UNIT_EQ(vswitch_multicast_filter(s, b, true), 0);
	UNIT_EQ(send_frame(a, 0x333300000001ull, GUEST(1)), 0);
	UNIT_EQ(d.why, VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 1);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 1);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_EQ(vswitch_multicast_del(s, b, other), -ENOENT);
	UNIT_EQ(vswitch_multicast_del(s, b, group), 0);
	UNIT_EQ(vswitch_multicast_del(s, b, group), -ENOENT);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 0);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 1);
	UNIT_EQ(vswitch_multicast_filter(s, b, false), 0);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 1);
	end();
}

static void test_multicast_list(void)
{
	struct vswitch_port_config c;
	uint8_t group[6];
	uint32_t a, b;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	for (unsigned int i = 0; i < VSWITCH_MULTICAST_MAX; i++) {
		put_mac(group, 0x01005e000000ull + i);
		UNIT_EQ(vswitch_multicast_add(s, b, group), 0);
	}
	UNIT_EQ(vswitch_multicast_add(s, b, group), 0);
	put_mac(group, 0x01005e010000ull);
	UNIT_EQ(vswitch_multicast_add(s, b, group), -ENOSPC);
	vswitch_multicast_filter(s, b, true);
	for (unsigned int i = 0; i < VSWITCH_MULTICAST_MAX; i++)
		UNIT_EQ(send_frame(a, 0x01005e000000ull + i, GUEST(1)), 1);
	UNIT_EQ(send_frame(a, 0x01005e010000ull, GUEST(1)), 0);
	/* It outlives the port's new settings, not the port. */
	c = guest_config(2);
	UNIT_EQ(vswitch_set_port(s, b, &c), 0);
	UNIT_EQ(send_frame(a, 0x01005e010000ull, GUEST(1)), 0);
	vswitch_multicast_clear(s, b);
	UNIT_EQ(send_frame(a, 0x01005e000003ull, GUEST(1)), 0);
	vswitch_multicast_add(s, b, group);
	vswitch_remove_port(s, b);
	UNIT_EQ(add_guest(2), b);
	UNIT_EQ(send_frame(a, 0x01005e000003ull, GUEST(1)), 1);
	vswitch_multicast_filter(s, b, true);
	UNIT_EQ(send_frame(a, 0x01005e010000ull, GUEST(1)), 0);
	end();
}

/* ---- the table's shares ---------------------------------------------------------------- */

static void test_share(void)
{
	uint32_t guest, a, b;

	begin();
	guest = add_guest(1);
	a = add_any(0);
	b = add_any(0);
	send_frame(b, BROADCAST, OTHER(1));
	for (unsigned int i = 0; i < 10 * MAX_ADDRESSES; i++) {
		now++;
		UNIT_EQ(send_frame(a, BROADCAST, OTHER(1000 + i)), 2);
	}
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(b));
	/* The newest quarter is known, the others are not. */
	for (unsigned int i = 0; i < 10 * MAX_ADDRESSES; i++)
		UNIT_EQ(send_frame(guest, OTHER(1000 + i), GUEST(1)),
			i >= 10 * MAX_ADDRESSES - MAX_ADDRESSES / 4 ? 1 : 2);
	/* Being heard again makes an address young. */
	now++;
	send_frame(a, BROADCAST, OTHER(1000 + 10 * MAX_ADDRESSES - MAX_ADDRESSES / 4));
	send_frame(a, BROADCAST, OTHER(5000));
	UNIT_EQ(send_frame(guest, OTHER(1000 + 10 * MAX_ADDRESSES - MAX_ADDRESSES / 4),
			   GUEST(1)), 1);
	UNIT_EQ(send_frame(guest, OTHER(1001 + 10 * MAX_ADDRESSES - MAX_ADDRESSES / 4),
			   GUEST(1)), 2);
	end();
}

/* Ports that fill the table together leave a place for one that comes later. */
static void test_shares_together(void)
{
	uint32_t guest, hostile[4], late;

	begin();
	guest = add_guest(1);
	for (unsigned int p = 0; p < 4; p++)
		hostile[p] = add_any(0);
	late = add_any(0);
	for (unsigned int i = 0; i < 4 * MAX_ADDRESSES; i++)
		send_frame(hostile[i % 4], BROADCAST, OTHER(1000 + i));
	for (unsigned int i = 0; i < 8; i++)
		UNIT_EQ(send_frame(late, BROADCAST, OTHER(i)), 5);
	for (unsigned int i = 0; i < 4 * MAX_ADDRESSES; i++)
		send_frame(hostile[i % 4], BROADCAST, OTHER(2000 + i));
	for (unsigned int i = 0; i < 8; i++) {
		UNIT_EQ(send_frame(guest, OTHER(i), GUEST(1)), 1);
		UNIT_OK(got(late));
	}
	end();
}

/* ---- changes ------------------------------------------------------------------------- */

static void test_live_changes(void)
{
	struct vswitch_port_config c;
	uint32_t a, b, up;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	up = add_any(0);
	send_frame(up, BROADCAST, OTHER(1));
	/* Only what changes has an effect. */
	UNIT_EQ(vswitch_get_port(s, up, &c), 0);
	c.mirror = true;
	UNIT_EQ(vswitch_set_port(s, up, &c), 0);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 1);
	UNIT_OK(!d.flooded && d.mirror);
	/* Into a VLAN: alone there, and nothing learned elsewhere counts. */
	c = guest_config(1);
	c.vlan = 10;
	UNIT_EQ(vswitch_set_port(s, a, &c), 0);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 0);
	UNIT_EQ(send_frame(b, GUEST(1), GUEST(2)), 0);
	c = (struct vswitch_port_config){ .mode = VSWITCH_TRUNK, .any_source = true };
	c.vlans[10 / 8] = 1 << 10 % 8;
	UNIT_EQ(vswitch_set_port(s, up, &c), 0);
	UNIT_EQ(send_frame(b, OTHER(1), GUEST(2)), 1);
	UNIT_OK(!d.flooded);
	send_tagged(up, BROADCAST, OTHER(1), 10);
	/* VLAN 10 goes: what was learned in it, too. */
	c.vlans[10 / 8] = 0;
	UNIT_EQ(vswitch_set_port(s, up, &c), 0);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 0);
	c.vlans[10 / 8] = 1 << 10 % 8;
	UNIT_EQ(vswitch_set_port(s, up, &c), 0);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 1);
	UNIT_OK(d.flooded);
	end();
}

static void test_new_address(void)
{
	struct vswitch_port_config c;
	uint32_t a, b, up;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	up = add_any(0);
	send_frame(up, BROADCAST, GUEST(9));
	c = guest_config(9);
	UNIT_EQ(vswitch_set_port(s, a, &c), 0);
	UNIT_EQ(send_frame(b, GUEST(9), GUEST(2)), 1);
	UNIT_OK(got(a));
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 0);
	UNIT_EQ(d.why, VSWITCH_SPOOFED);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(9)), 2);
	/* Any source: learned from then on; the old one is free. */
	c.any_source = true;
	UNIT_EQ(vswitch_set_port(s, a, &c), 0);
	UNIT_EQ(send_frame(a, BROADCAST, OTHER(4)), 2);
	UNIT_EQ(send_frame(up, BROADCAST, GUEST(9)), 2);
	UNIT_EQ(send_frame(b, OTHER(4), GUEST(2)), 1);
	/* And back: it keeps no other. */
	c.any_source = false;
	UNIT_EQ(vswitch_set_port(s, a, &c), 0);
	UNIT_EQ(send_frame(b, OTHER(4), GUEST(2)), 1);
	UNIT_OK(got(up));
	end();
}

static void test_removal(void)
{
	uint32_t guest, up, other;

	begin();
	guest = add_guest(1);
	up = add_trunk(0, 10, 20);
	other = add_any(0);
	send_frame(up, BROADCAST, OTHER(1));
	send_frame(other, BROADCAST, OTHER(2));
	vswitch_remove_port(s, up);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(other) && d.flooded);
	UNIT_EQ(send_frame(guest, BROADCAST, GUEST(1)), 1);
	/* Its number's next owner has nothing of it. */
	UNIT_EQ(add_access(7, 30), up);
	UNIT_EQ(counters(up).in_frames, 0);
	UNIT_EQ(counters(up).out_frames, 0);
	UNIT_EQ(send_frame(guest, BROADCAST, GUEST(1)), 1);
	UNIT_EQ(send_frame(guest, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(other));
	end();
}

/* ---- looking ------------------------------------------------------------------------- */

static void test_counters(void)
{
	uint32_t a, b, up;

	begin();
	a = add_guest(1);
	b = add_guest(2);
	up = add_any(0);
	send_frame(a, GUEST(2), GUEST(1));
	send_frame(a, BROADCAST, GUEST(1));
	send_frame(a, BROADCAST, GUEST(2));
	UNIT_EQ(counters(a).in_frames, 3);
	UNIT_EQ(counters(a).in_bytes, 180);
	UNIT_EQ(counters(a).flooded, 1);
	UNIT_EQ(counters(a).dropped[VSWITCH_SPOOFED], 1);
	UNIT_EQ(counters(b).out_frames, 2);
	UNIT_EQ(counters(b).out_bytes, 120);
	UNIT_EQ(counters(up).out_frames, 1);
	vswitch_note(s, b, 60, VSWITCH_QUEUE_FULL);
	UNIT_EQ(counters(b).out_frames, 1);
	UNIT_EQ(counters(b).out_bytes, 60);
	UNIT_EQ(counters(b).dropped[VSWITCH_QUEUE_FULL], 1);
	vswitch_refuse(s, a, 100, VSWITCH_MALFORMED);
	UNIT_EQ(counters(a).in_frames, 4);
	UNIT_EQ(counters(a).in_bytes, 280);
	UNIT_EQ(counters(a).dropped[VSWITCH_MALFORMED], 1);
	/* A note that comes after the port went, and after another took its number. */
	vswitch_remove_port(s, b);
	vswitch_note(s, b, 60, VSWITCH_QUEUE_FULL);
	UNIT_EQ(add_guest(3), b);
	vswitch_note(s, b, 60, VSWITCH_QUEUE_FULL);
	UNIT_EQ(counters(b).out_frames, 0);
	UNIT_EQ(counters(b).out_bytes, 0);
	end();
}

static void test_mirror(void)
{
	struct vswitch_port_config c = guest_config(1);
	uint32_t a, b, other;

	begin();
	c.mirror = true;
	a = add(&c);
	b = add_guest(2);
	other = add_guest(3);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(d.mirror);
	UNIT_EQ(send_frame(b, GUEST(1), GUEST(2)), 1);
	UNIT_OK(d.mirror);
	UNIT_EQ(send_frame(b, BROADCAST, GUEST(2)), 2);
	UNIT_OK(d.mirror);
	UNIT_EQ(send_frame(b, GUEST(3), GUEST(2)), 1);
	UNIT_OK(!d.mirror && got(other));
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(3)), 0);
	UNIT_OK(d.mirror);
	UNIT_EQ(send_frame(b, GUEST(1), GUEST(3)), 0);
	UNIT_OK(!d.mirror);
	end();
}

struct listing {
	unsigned int nr, stop_after;
	struct vswitch_address last;
};

static int list_one(void *arg, const struct vswitch_address *a)
{
	struct listing *l = arg;

	l->last = *a;
	return ++l->nr == l->stop_after ? -EINTR : 0;
}

static void test_addresses(void)
{
	struct listing l = { 0 };
	uint8_t mac[6];
	uint32_t up;

	begin();
	UNIT_EQ(vswitch_each_address(s, now, list_one, &l), 0);
	UNIT_EQ(l.nr, 0);
	add_access(1, 10);
	up = add_trunk(0, 10, 20);
	send_tagged(up, BROADCAST, OTHER(1), 10);
	send_tagged(up, BROADCAST, OTHER(1), 20);
	UNIT_EQ(vswitch_each_address(s, now, list_one, &(struct listing){ .stop_after = 2 }),
		-EINTR);
	l.stop_after = 1;
	UNIT_EQ(vswitch_each_address(s, now, list_one, &l), -EINTR);
	put_mac(mac, GUEST(1));
	UNIT_OK(!memcmp(mac, l.last.mac, 6) && l.last.fixed);
	UNIT_EQ(l.last.vlan, 10);
	UNIT_EQ(l.last.port, 0);
	l = (struct listing){ 0 };
	UNIT_EQ(vswitch_each_address(s, now + 50, list_one, &l), 0);
	UNIT_EQ(l.nr, 3);
	put_mac(mac, OTHER(1));
	UNIT_OK(!memcmp(mac, l.last.mac, 6) && !l.last.fixed);
	UNIT_EQ(l.last.vlan, 20);
	UNIT_EQ(l.last.port, up);
	UNIT_EQ(l.last.age_ms, 50);
	end();
}

static void test_names(void)
{
	UNIT_STREQ(vswitch_drop_name(VSWITCH_SPOOFED), "spoofed");
	for (unsigned int i = 0; i < VSWITCH_NR_DROPS; i++)
		UNIT_OK(vswitch_drop_name(i) && *vswitch_drop_name(i));
	UNIT_STREQ(vswitch_drop_name(VSWITCH_NR_DROPS), "unknown");
}

/* Every port number works: the last in a word of the sets, and the last of all. */
static void test_many_ports(void)
{
	begin();
	for (unsigned int i = 0; i < MAX_PORTS; i++)
		UNIT_EQ(add_guest(i + 1), i);
	for (unsigned int i = 0; i < MAX_PORTS; i++) {
		UNIT_EQ(send_frame(i, BROADCAST, GUEST(i + 1)), MAX_PORTS - 1);
		UNIT_OK(!got(i));
		UNIT_EQ(send_frame(i, GUEST((i + 1) % MAX_PORTS + 1), GUEST(i + 1)), 1);
		UNIT_EQ(d.out[0].port, (i + 1) % MAX_PORTS);
	}
	end();
}

static const struct unit_test tests[] = {
	{ "limits that are none", test_open },
	{ "port numbers", test_port_numbers },
	{ "ports that cannot be", test_odd_ports },
	{ "guests know each other", test_guests_know_each_other },
	{ "learning", test_learning },
	{ "ageing", test_ageing },
	{ "moving", test_moving },
	{ "spoofed sources", test_spoofing },
	{ "a port's own address is so in any VLAN", test_own_address_in_any_vlan },
	{ "group and zero sources", test_bad_sources },
	{ "runts", test_runts },
	{ "access ports and trunks", test_access_and_trunk },
	{ "native VLANs", test_native },
	{ "priority tags", test_priority_tags },
	{ "double tags", test_double_tags },
	{ "no VLANs", test_no_vlans },
	{ "isolation", test_isolation },
	{ "protocols between switches", test_link_local },
	{ "multicast", test_multicast },
	{ "multicast lists", test_multicast_list },
	{ "a port's share of the table", test_share },
	{ "ports that fill the table together", test_shares_together },
	{ "live changes", test_live_changes },
	{ "a port's new address", test_new_address },
	{ "removal", test_removal },
	{ "counters", test_counters },
	{ "mirror", test_mirror },
	{ "the list of addresses", test_addresses },
	{ "names of drops", test_names },
	{ "many ports", test_many_ports },
};

int main(void)
{
	return unit_run("vswitch", tests, UNIT_LEN(tests));
}
