/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who does not meet whom in the switch: VLANs and their tags, isolated ports,
 * protocols between switches, multicast filters.
 */
#include "switch-world.h"

/* ---- VLANs ------------------------------------------------------------------------- */

static void test_access_and_trunk(void)
{
	uint32_t a10, b10, c20, up;

	world_begin();
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
	REFUSED(send_frame(a10, GUEST(3), GUEST(1)), VSWITCH_NOWHERE);
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
	REFUSED(send_tagged(up, BROADCAST, OTHER(1), 30), VSWITCH_VLAN);
	REFUSED(send_tagged(up, BROADCAST, OTHER(1), 4095), VSWITCH_VLAN);
	REFUSED(send_frame(up, BROADCAST, OTHER(1)), VSWITCH_VLAN);
	REFUSED(send_tagged(up, BROADCAST, OTHER(1), 0), VSWITCH_VLAN);
	/* An access port's own tags, even of its own VLAN. */
	REFUSED(send_tagged(a10, BROADCAST, GUEST(1), 20), VSWITCH_VLAN);
	UNIT_EQ(send_tagged(a10, BROADCAST, GUEST(1), 10), 0);
	UNIT_EQ(counters(a10).dropped[VSWITCH_VLAN], 2);
	UNIT_EQ(counters(c20).out_frames, 1);
	world_end();
}

static void test_native(void)
{
	uint32_t guest, a, b;

	world_begin();
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
	world_end();
}

static void test_priority_tags(void)
{
	uint32_t guest, other, native, up;

	world_begin();
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
	world_end();
}

/* A second tag must never become the first on a wire that heeds it. */
static void test_double_tags(void)
{
	const struct tags both = { 10, 20, 0x8100 }, priority = { 0, 20, 0x8100 },
			  service = { 10, 20, 0x88a8 }, qinq = { 10, UNTAGGED, 0x9100 };
	uint32_t guest, a, b;

	world_begin();
	guest = add_access(1, 10);
	a = add_trunk(VSWITCH_VLAN_NONE, 10, 20);
	b = add_trunk(10, 20, 30);
	UNIT_EQ(send_tags(a, BROADCAST, OTHER(1), &both), 1);
	UNIT_EQ(tag_for(guest), VSWITCH_TAG_POP);
	send_frame(b, BROADCAST, OTHER(2));
	REFUSED(send_tags(a, OTHER(2), OTHER(1), &both), VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(a, OTHER(2), OTHER(1), 10), 1);
	REFUSED(send_tags(guest, BROADCAST, GUEST(1), &priority), VSWITCH_VLAN);
	/* From a trunk it stays inside VLAN 10, tagged. */
	UNIT_EQ(send_tags(b, BROADCAST, OTHER(2), &priority), 2);
	UNIT_EQ(tag_for(a), VSWITCH_TAG_SET);
	UNIT_EQ(d.tci, 10);
	REFUSED(send_tags(guest, BROADCAST, GUEST(1), &service), VSWITCH_VLAN);
	UNIT_EQ(send_tags(b, BROADCAST, OTHER(2), &service), 0);
	REFUSED(send_tags(b, BROADCAST, OTHER(2), &qinq), VSWITCH_VLAN);
	world_end();
}

static void test_no_vlans(void)
{
	const struct tags both = { 10, 20, 0x8100 };
	uint32_t a, b, trunk, up;

	world_begin();
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
	REFUSED(send_tagged(trunk, BROADCAST, OTHER(1), 10), VSWITCH_NOWHERE);
	UNIT_EQ(send_tagged(trunk, BROADCAST, OTHER(1), 0x2000), 3);
	UNIT_EQ(tag_for(a), VSWITCH_TAG_POP);
	world_end();
}

/* ---- who may not meet ----------------------------------------------------------------- */

static void test_isolation(void)
{
	struct vswitch_port_config c;
	uint32_t a, b, open_guest, bridge, up;

	world_begin();
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
	REFUSED(send_frame(a, GUEST(2), GUEST(1)), VSWITCH_NOWHERE);
	UNIT_EQ(send_frame(a, GUEST(3), GUEST(1)), 1);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 1);
	UNIT_OK(got(up));
	UNIT_EQ(send_frame(bridge, BROADCAST, OTHER(1)), 2);
	UNIT_EQ(send_frame(a, OTHER(1), GUEST(1)), 0);
	UNIT_EQ(send_frame(open_guest, BROADCAST, GUEST(3)), 4);
	UNIT_EQ(send_frame(open_guest, GUEST(2), GUEST(3)), 1);
	UNIT_OK(got(b));
	world_end();
}

static void test_link_local(void)
{
	struct vswitch_port_config c = guest_config(1);
	uint32_t guest, switch_a, switch_b;

	world_begin();
	guest = add(&c);
	c = (struct vswitch_port_config){ .any_source = true, .link_local = true };
	switch_a = add(&c);
	switch_b = add(&c);
	for (unsigned int i = 0; i < 16; i++) {
		REFUSED(send_frame(guest, 0x0180c2000000ull + i, GUEST(1)), VSWITCH_LINK_LOCAL);
		UNIT_EQ(send_frame(switch_a, 0x0180c2000000ull + i, OTHER(1)), 1);
		UNIT_OK(got(switch_b));
	}
	UNIT_EQ(send_frame(guest, 0x0180c2000010ull, GUEST(1)), 2);
	world_end();
}

/* ---- multicast ------------------------------------------------------------------------ */

static void test_multicast(void)
{
	uint8_t group[6], other[6], unicast[6];
	uint32_t a, b;

	world_begin();
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
	REFUSED(send_frame(a, 0x333300000001ull, GUEST(1)), VSWITCH_NOWHERE);
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
	world_end();
}

static void test_multicast_list(void)
{
	struct vswitch_port_config c;
	uint8_t group[6];
	uint32_t a, b;

	world_begin();
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
	for (unsigned int i = 0; i < VSWITCH_MULTICAST_MAX; i++)
		UNIT_EQ(send_frame(a, 0x01005e000000ull + i, GUEST(1)), 0);
	vswitch_multicast_add(s, b, group);
	vswitch_remove_port(s, b);
	UNIT_EQ(add_guest(2), b);
	UNIT_EQ(send_frame(a, 0x01005e000003ull, GUEST(1)), 1);
	vswitch_multicast_filter(s, b, true);
	UNIT_EQ(send_frame(a, 0x01005e010000ull, GUEST(1)), 0);
	world_end();
}

/* ---- ports beyond the first word of a set ------------------------------------------- */

/* Ports 0 to nr - 2 are together in VLAN 10, the last one comes and goes. */
static void last_port_apart(uint32_t nr)
{
	struct vswitch_config few = config;
	struct vswitch_port_config c;
	uint32_t last = nr - 1, from = nr > 2;

	few.max_ports = nr;
	UNIT_EQ(vswitch_open(&few, &s), 0);
	for (uint32_t i = 0; i < nr; i++)
		UNIT_EQ(add_access(i + 1, 10), i);
	UNIT_EQ(send_frame(0, BROADCAST, GUEST(1)), nr - 1);
	UNIT_OK(got(last));
	UNIT_EQ(send_frame(last, BROADCAST, GUEST(nr)), nr - 1);
	UNIT_EQ(send_frame(from, GUEST(nr), GUEST(from + 1)), 1);
	UNIT_OK(got(last));
	c = guest_config(nr);
	c.vlan = 11;
	UNIT_EQ(vswitch_set_port(s, last, &c), 0);
	UNIT_EQ(send_frame(0, BROADCAST, GUEST(1)), nr - 2);
	UNIT_OK(!got(last));
	REFUSED(send_frame(last, BROADCAST, GUEST(nr)), VSWITCH_NOWHERE);
	REFUSED(send_frame(from, GUEST(nr), GUEST(from + 1)), VSWITCH_NOWHERE);
	REFUSED(send_frame(last, GUEST(1), GUEST(nr)), VSWITCH_NOWHERE);
	vswitch_close(s);
}

static void test_last_ports(void)
{
	static const uint32_t nr[] = { 2, 63, 64, 65, 128, 129 };

	for (unsigned int i = 0; i < UNIT_LEN(nr); i++)
		last_port_apart(nr[i]);
}

/* What one port's setting says of it says nothing of those 64 numbers away. */
static void test_high_ports(void)
{
	const uint64_t group = 0x01005e000001ull;
	struct vswitch_port_config c;
	uint8_t mac[6];

	world_begin();
	for (uint32_t i = 0; i < MAX_PORTS; i++)
		UNIT_EQ(add_access(i + 1, i < 64 ? 10 : 12), i);
	c = guest_config(65);
	c.vlan = 10;
	UNIT_EQ(vswitch_set_port(s, 64, &c), 0);
	UNIT_EQ(send_frame(0, BROADCAST, GUEST(1)), 64);
	c.vlan = 11;
	UNIT_EQ(vswitch_set_port(s, 64, &c), 0);
	UNIT_EQ(send_frame(0, BROADCAST, GUEST(1)), 63);
	UNIT_EQ(send_frame(65, BROADCAST, GUEST(66)), MAX_PORTS - 66);
	REFUSED(send_frame(64, BROADCAST, GUEST(65)), VSWITCH_NOWHERE);
	/* A filter, and its list. */
	put_mac(mac, group);
	for (uint32_t i = 70; i < MAX_PORTS; i += 59) {
		UNIT_EQ(vswitch_multicast_filter(s, i, true), 0);
		UNIT_EQ(send_frame(65, group, GUEST(66)), MAX_PORTS - 67);
		UNIT_OK(!got(i));
		UNIT_EQ(vswitch_multicast_add(s, i, mac), 0);
		UNIT_EQ(send_frame(65, group, GUEST(66)), MAX_PORTS - 66);
		UNIT_OK(got(i));
	}
	world_end();
}

static const struct unit_test tests[] = {
	{ "access ports and trunks", test_access_and_trunk },
	{ "native VLANs", test_native },
	{ "priority tags", test_priority_tags },
	{ "double tags", test_double_tags },
	{ "no VLANs", test_no_vlans },
	{ "isolation", test_isolation },
	{ "protocols between switches", test_link_local },
	{ "multicast", test_multicast },
	{ "multicast lists", test_multicast_list },
	{ "the last port", test_last_ports },
	{ "ports with high numbers", test_high_ports },
};

int main(void)
{
	return unit_run("vswitch, apart", tests, UNIT_LEN(tests));
}
