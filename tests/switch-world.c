/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the switch share. */
#include "switch-world.h"

struct vswitch *s;
struct vswitch_decision d;
uint64_t now;

const struct vswitch_config config = { .max_ports = MAX_PORTS,
	.max_addresses = MAX_ADDRESSES, .ageing_ms = AGEING_MS, .move_ms = MOVE_MS };

void world_begin(void)
{
	now = 1000000;
	s = NULL;
	UNIT_EQ(vswitch_open(&config, &s), 0);
}

void world_end(void)
{
	vswitch_close(s);
}

/* ---- frames ------------------------------------------------------------------------ */

void put_mac(uint8_t *p, uint64_t mac)
{
	for (int i = 5; i >= 0; i--, mac >>= 8)
		p[i] = (uint8_t)mac;
}

uint64_t mac_of(const uint8_t *p)
{
	uint64_t mac = 0;

	for (int i = 0; i < 6; i++)
		mac = mac << 8 | p[i];
	return mac;
}

uint32_t build(uint8_t *p, uint64_t dst, uint64_t src, const struct tags *t)
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

uint32_t send_tags(uint32_t port, uint64_t dst, uint64_t src, const struct tags *t)
{
	uint8_t frame[64];
	uint32_t bytes = build(frame, dst, src, t);

	return vswitch_forward(s, port, frame, VSWITCH_HEADER_BYTES, bytes, now, &d);
}

uint32_t send_frame(uint32_t port, uint64_t dst, uint64_t src)
{
	return send_tags(port, dst, src, &(struct tags){ UNTAGGED, UNTAGGED, 0 });
}

uint32_t send_tagged(uint32_t port, uint64_t dst, uint64_t src, int tci)
{
	return send_tags(port, dst, src, &(struct tags){ tci, UNTAGGED, 0x8100 });
}

int tag_for(uint32_t port)
{
	for (uint32_t i = 0; i < d.nr; i++)
		if (d.out[i].port == port)
			return d.out[i].tag;
	return -1;
}

bool got(uint32_t port)
{
	return tag_for(port) >= 0;
}

/* ---- ports ------------------------------------------------------------------------- */

struct vswitch_port_config guest_config(unsigned int n)
{
	struct vswitch_port_config c = { .mode = VSWITCH_ACCESS };

	put_mac(c.mac, GUEST(n));
	return c;
}

uint32_t add(const struct vswitch_port_config *c)
{
	uint32_t port = UINT32_MAX;

	UNIT_EQ(vswitch_add_port(s, c, &port), 0);
	return port;
}

uint32_t add_guest(unsigned int n)
{
	struct vswitch_port_config c = guest_config(n);

	return add(&c);
}

uint32_t add_access(unsigned int n, uint16_t vlan)
{
	struct vswitch_port_config c = guest_config(n);

	c.vlan = vlan;
	return add(&c);
}

uint32_t add_any(uint16_t vlan)
{
	return add(&(struct vswitch_port_config){ .any_source = true, .vlan = vlan });
}

uint32_t add_trunk(uint16_t native, uint16_t a, uint16_t b)
{
	struct vswitch_port_config c = { .mode = VSWITCH_TRUNK, .vlan = native,
					 .any_source = true };

	c.vlans[a / 8] |= (uint8_t)(1 << a % 8);
	c.vlans[b / 8] |= (uint8_t)(1 << b % 8);
	return add(&c);
}

struct vswitch_counters counters(uint32_t port)
{
	struct vswitch_counters c = { 0 };

	UNIT_EQ(vswitch_counters(s, port, &c), 0);
	return c;
}

