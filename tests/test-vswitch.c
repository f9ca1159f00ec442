/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The switch's addresses: learned, aged, moved, a port's own, shared out, changed
 * while it runs; and what it says of itself.
 */
#include "switch-world.h"
#include "util.h"

/* ---- opening ----------------------------------------------------------------------- */

static void test_open(void)
{
	static const struct vswitch_config bad[] = {
		{ 0, MAX_ADDRESSES, AGEING_MS, MOVE_MS },
		{ VSWITCH_PORTS_MAX + 1, MAX_ADDRESSES, AGEING_MS, MOVE_MS },
		{ MAX_PORTS, 0, AGEING_MS, MOVE_MS },
		{ MAX_PORTS, VSWITCH_ADDRESSES_MAX + 1, AGEING_MS, MOVE_MS },
		{ MAX_PORTS, MAX_ADDRESSES, 0, MOVE_MS },
		/* What cannot change while it is open. */
		{ MAX_PORTS + 1, MAX_ADDRESSES, AGEING_MS, MOVE_MS },
		{ MAX_PORTS, MAX_ADDRESSES - 1, AGEING_MS, MOVE_MS },
	};
	static const struct vswitch_config largest = {
		VSWITCH_PORTS_MAX, VSWITCH_ADDRESSES_MAX, AGEING_MS, MOVE_MS,
	};

	vswitch_close(NULL);
	for (unsigned int i = 0; i < 5; i++) {
		s = (void *)&config;
		UNIT_EQ(vswitch_open(&bad[i], &s), -EINVAL);
		UNIT_OK(!s);
	}
	UNIT_EQ(vswitch_open(&largest, &s), 0);
	vswitch_close(s);
	world_begin();
	for (unsigned int i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(vswitch_configure(s, &bad[i]), -EINVAL);
	UNIT_EQ(vswitch_configure(s, &config), 0);
	world_end();
}

static void test_port_numbers(void)
{
	struct vswitch_port_config c;
	uint32_t port = 7;

	world_begin();
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
	world_end();
}

static void test_odd_ports(void)
{
	static const struct vswitch_port_config bad[] = {
		{ .mode = VSWITCH_ACCESS, .vlan = VSWITCH_VLAN_NONE, .any_source = true },
		{ .mode = VSWITCH_ACCESS, .vlan = 4095, .any_source = true },
		{ .mode = VSWITCH_TRUNK, .vlan = 4096, .any_source = true },
		{ .mode = VSWITCH_TRUNK, .vlan = 5, .vlans = { 1 }, .any_source = true },
		{ .mode = VSWITCH_TRUNK, .vlan = 5, .vlans = { [511] = 0x80 }, .any_source = true },
		{ .mode = 2, .any_source = true },
		{ .mode = VSWITCH_ACCESS, .mac = { 1, 0x16, 0x3e } },
		{ .mode = VSWITCH_ACCESS },
	};
	struct vswitch_port_config c = guest_config(1);
	struct vswitch_counters sums;
	uint32_t port;

	world_begin();
	for (unsigned int i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(vswitch_add_port(s, &bad[i], &port), -EINVAL);
	UNIT_EQ(vswitch_set_port(s, 0, &c), -ENOENT);
	UNIT_EQ(vswitch_counters(s, 0, &sums), -ENOENT);
	UNIT_EQ(add_guest(1), 0);
	UNIT_EQ(add_guest(2), 1);
	for (unsigned int i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(vswitch_set_port(s, 1, &bad[i]), -EINVAL);
	UNIT_EQ(vswitch_add_port(s, &c, &port), -EEXIST);
	UNIT_EQ(vswitch_set_port(s, 1, &c), -EEXIST);
	UNIT_EQ(vswitch_set_port(s, 0, &c), 0);
	UNIT_EQ(send_frame(1, GUEST(1), GUEST(2)), 1);
	c.mode = VSWITCH_TRUNK;
	c.vlan = VSWITCH_VLAN_NONE;
	UNIT_EQ(vswitch_set_port(s, 0, &c), 0);
	world_end();
}

/* ---- unicast ----------------------------------------------------------------------- */

static void test_guests_know_each_other(void)
{
	uint32_t a, b, c;

	world_begin();
	a = add_guest(1);
	b = add_guest(2);
	c = add_guest(3);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(got(b) && !d.flooded);
	UNIT_EQ(d.why, VSWITCH_FORWARDED);
	UNIT_EQ(d.out[0].tag, VSWITCH_TAG_KEEP);
	/* Nobody else can have an address that no one was seen with. */
	REFUSED(send_frame(a, OTHER(1), GUEST(1)), VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(a, BROADCAST, GUEST(1)), 2);
	UNIT_OK(got(b) && got(c) && d.flooded);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 2);
	/* To itself. */
	REFUSED(send_frame(a, GUEST(1), GUEST(1)), VSWITCH_NOWHERE);
	world_end();
}

static void test_learning(void)
{
	uint32_t guest, up, bridge;

	world_begin();
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
	REFUSED(send_frame(up, OTHER(1), OTHER(2)), VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(guest, OTHER(2), GUEST(1)), 1);
	UNIT_OK(got(up));
	/* Dropped frames teach nothing: OTHER(3)'s was, as nobody speaks LLDP here. */
	UNIT_EQ(send_frame(up, 0x0180c200000eull, OTHER(3)), 0);
	UNIT_EQ(send_frame(guest, OTHER(3), GUEST(1)), 2);
	world_end();
}

static void test_ageing(void)
{
	struct vswitch_config c = config;
	uint32_t guest, up, other;

	world_begin();
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
	world_end();
}

static void test_moving(void)
{
	struct vswitch_config c = config;
	uint32_t guest, a, b;

	world_begin();
	guest = add_guest(1);
	a = add_any(0);
	b = add_any(0);
	send_frame(a, BROADCAST, OTHER(1));
	now += MOVE_MS - 1;
	REFUSED(send_frame(b, BROADCAST, OTHER(1)), VSWITCH_MOVED);
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
	world_end();
}

/* ---- sources ----------------------------------------------------------------------- */

static void test_spoofing(void)
{
	uint32_t a, b, up;

	world_begin();
	up = add_any(0);
	/* Learned before it became a port's own: it is the port's then. */
	send_frame(up, BROADCAST, GUEST(2));
	a = add_guest(1);
	b = add_guest(2);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(got(b));
	REFUSED(send_frame(a, BROADCAST, GUEST(2)), VSWITCH_SPOOFED);
	REFUSED(send_frame(a, GUEST(2), OTHER(1)), VSWITCH_SPOOFED);
	REFUSED(send_frame(up, BROADCAST, GUEST(2)), VSWITCH_SPOOFED);
	now += 100 * MOVE_MS;
	UNIT_EQ(send_frame(up, BROADCAST, GUEST(2)), 0);
	UNIT_EQ(counters(up).dropped[VSWITCH_SPOOFED], 2);
	UNIT_EQ(counters(a).dropped[VSWITCH_SPOOFED], 2);
	/* When the guest has gone, the address may be anywhere. */
	vswitch_remove_port(s, b);
	UNIT_EQ(send_frame(up, BROADCAST, GUEST(2)), 1);
	UNIT_EQ(send_frame(a, GUEST(2), GUEST(1)), 1);
	UNIT_OK(got(up));
	world_end();
}

static void test_own_address_in_any_vlan(void)
{
	uint32_t up;

	world_begin();
	add_access(1, 10);
	up = add_trunk(0, 10, 20);
	REFUSED(send_tagged(up, BROADCAST, GUEST(1), 20), VSWITCH_SPOOFED);
	/* Nor does VLAN 20 see what is sent to it. */
	REFUSED(send_tagged(up, GUEST(1), OTHER(1), 20), VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(up, GUEST(1), OTHER(1), 10), 1);
	world_end();
}

static void test_bad_sources(void)
{
	uint32_t a, up;

	world_begin();
	a = add_guest(1);
	up = add_any(0);
	REFUSED(send_frame(up, GUEST(1), 0), VSWITCH_BAD_SOURCE);
	REFUSED(send_frame(up, GUEST(1), BROADCAST), VSWITCH_BAD_SOURCE);
	REFUSED(send_frame(up, GUEST(1), 0x01005e000001ull), VSWITCH_BAD_SOURCE);
	REFUSED(send_frame(a, BROADCAST, 0x01163e000001ull), VSWITCH_BAD_SOURCE);
	UNIT_EQ(send_frame(a, 0x01005e000001ull, GUEST(1)), 1);
	world_end();
}

static void test_runts(void)
{
	uint8_t frame[64];
	uint32_t up;

	world_begin();
	add_guest(1);
	up = add_any(0);
	build(frame, GUEST(1), OTHER(1), &(struct tags){ UNTAGGED, UNTAGGED, 0 });
	for (uint32_t n = 0; n < 14; n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, frame, n);
		REFUSED(vswitch_forward(s, up, exact, n, n, now, &d), VSWITCH_RUNT);
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
		REFUSED(vswitch_forward(s, up, exact, n, n, now, &d), VSWITCH_RUNT);
		free(exact);
	}
	UNIT_EQ(vswitch_forward(s, up, frame, 18, 18, now, &d), 1);
	world_end();
}

/* ---- the table's shares ---------------------------------------------------------------- */

static void test_share(void)
{
	uint32_t guest, a, b;

	world_begin();
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
	world_end();
}

/* Ports that fill the table together leave a place for one that comes later. */
static void test_shares_together(void)
{
	uint32_t guest, hostile[4], late;

	world_begin();
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
	world_end();
}

/* Where a quarter is less than one address, each port still has one. */
static void test_small_tables(void)
{
	struct vswitch_config few = config;
	uint32_t guest, a, b;

	for (few.max_addresses = 1; few.max_addresses < 10; few.max_addresses++) {
		uint32_t share = MAX(few.max_addresses / 4, 1);

		UNIT_EQ(vswitch_open(&few, &s), 0);
		guest = add_guest(1);
		a = add_any(0);
		b = add_any(0);
		for (unsigned int i = 0; i < 4; i++) {
			now++;
			UNIT_EQ(send_frame(a, BROADCAST, OTHER(i)), 2);
		}
		for (unsigned int i = 0; i < 4; i++)
			UNIT_EQ(send_frame(guest, OTHER(i), GUEST(1)), i < 4 - share ? 2 : 1);
		UNIT_EQ(send_frame(b, BROADCAST, OTHER(9)), 2);
		UNIT_EQ(send_frame(guest, OTHER(9), GUEST(1)), 1);
		UNIT_OK(got(b));
		vswitch_close(s);
	}
}

/* ---- changes ------------------------------------------------------------------------- */

static void test_live_changes(void)
{
	struct vswitch_port_config c;
	uint32_t a, b, up;

	world_begin();
	a = add_guest(1);
	b = add_guest(2);
	up = add_any(0);
	send_frame(up, BROADCAST, OTHER(1));
	/* Only what changes has an effect. */
	memset(&c, 0xff, sizeof(c));
	UNIT_EQ(vswitch_get_port(s, b, &c), 0);
	UNIT_OK(c.mode == VSWITCH_ACCESS && !c.vlan && !c.any_source && !c.isolated);
	UNIT_EQ(mac_of(c.mac), GUEST(2));
	UNIT_EQ(vswitch_get_port(s, up, &c), 0);
	UNIT_OK(c.mode == VSWITCH_ACCESS && !c.vlan && c.any_source && !c.mirror);
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
	world_end();
}

static void test_new_address(void)
{
	struct vswitch_port_config c;
	uint32_t a, b, up;

	world_begin();
	a = add_guest(1);
	b = add_guest(2);
	up = add_any(0);
	send_frame(up, BROADCAST, GUEST(9));
	c = guest_config(9);
	UNIT_EQ(vswitch_set_port(s, a, &c), 0);
	UNIT_EQ(send_frame(b, GUEST(9), GUEST(2)), 1);
	UNIT_OK(got(a));
	REFUSED(send_frame(a, BROADCAST, GUEST(1)), VSWITCH_SPOOFED);
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
	world_end();
}

static void test_removal(void)
{
	uint32_t guest, up, other;

	world_begin();
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
	world_end();
}

/* ---- looking ------------------------------------------------------------------------- */

static void test_counters(void)
{
	uint32_t a, b, up;

	world_begin();
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
	/* The last one, and one that is larger than all there was. */
	vswitch_note(s, b, 61, VSWITCH_TOO_BIG);
	UNIT_EQ(counters(b).out_frames, 1);
	vswitch_note(s, b, 60, VSWITCH_TOO_BIG);
	UNIT_EQ(counters(b).out_frames, 0);
	UNIT_EQ(counters(b).out_bytes, 0);
	UNIT_EQ(counters(b).dropped[VSWITCH_TOO_BIG], 1);
	/* Of one a part arrived. */
	vswitch_note_part(s, up, VSWITCH_MALFORMED);
	UNIT_EQ(counters(up).out_frames, 1);
	UNIT_EQ(counters(up).dropped[VSWITCH_MALFORMED], 1);
	/* A note that comes after the port went, and after another took its number. */
	vswitch_remove_port(s, b);
	vswitch_note(s, b, 60, VSWITCH_QUEUE_FULL);
	UNIT_EQ(add_guest(3), b);
	vswitch_note(s, b, 60, VSWITCH_QUEUE_FULL);
	UNIT_EQ(counters(b).out_frames, 0);
	UNIT_EQ(counters(b).out_bytes, 0);
	world_end();
}

static void test_mirror(void)
{
	struct vswitch_port_config c = guest_config(1);
	uint32_t a, b, other;

	world_begin();
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
	world_end();
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

	world_begin();
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
	world_end();
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
	world_begin();
	for (unsigned int i = 0; i < MAX_PORTS; i++)
		UNIT_EQ(add_guest(i + 1), i);
	for (unsigned int i = 0; i < MAX_PORTS; i++) {
		UNIT_EQ(send_frame(i, BROADCAST, GUEST(i + 1)), MAX_PORTS - 1);
		UNIT_OK(!got(i));
		UNIT_EQ(send_frame(i, GUEST((i + 1) % MAX_PORTS + 1), GUEST(i + 1)), 1);
		UNIT_EQ(d.out[0].port, (i + 1) % MAX_PORTS);
	}
	world_end();
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
	{ "a port's share of the table", test_share },
	{ "ports that fill the table together", test_shares_together },
	{ "small tables", test_small_tables },
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
