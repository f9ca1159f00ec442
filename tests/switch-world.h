/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A switch for tests, its ports and the frames that are sent into it.
 *
 * Hides: how a frame's octets are laid out. Must not know: how addresses are
 * kept. One switch at a time, between world_begin() and world_end().
 */
#ifndef PV_SWITCH_WORLD_H
#define PV_SWITCH_WORLD_H

#include "unit.h"
#include "vswitch.h"

#define MAX_PORTS 130		/* more than two words of a set */
#define MAX_ADDRESSES 64
#define AGEING_MS 300000
#define MOVE_MS 5000

extern struct vswitch *s;
extern struct vswitch_decision d;	/* on the last frame */
extern uint64_t now;
extern const struct vswitch_config config;

void world_begin(void);
void world_end(void);

/* ---- frames ------------------------------------------------------------------------ */

#define BROADCAST 0xffffffffffffull
#define GUEST(n) (0x00163e000000ull + (uint64_t)(n))
#define OTHER(n) (0x020000000000ull + (uint64_t)(n))
#define UNTAGGED (-1)

struct tags {
	int outer, inner;		/* tci, or UNTAGGED */
	uint16_t outer_type;
};

void put_mac(uint8_t *p, uint64_t mac);
uint64_t mac_of(const uint8_t *p);
uint32_t build(uint8_t *p, uint64_t dst, uint64_t src, const struct tags *t);

/* As vswitch_forward() of 60 octets. */
uint32_t send_tags(uint32_t port, uint64_t dst, uint64_t src, const struct tags *t);
uint32_t send_frame(uint32_t port, uint64_t dst, uint64_t src);
uint32_t send_tagged(uint32_t port, uint64_t dst, uint64_t src, int tci);

/* Nobody gets what was sent, for that reason. */
#define REFUSED(sent, reason)			\
	do {					\
		UNIT_EQ(sent, 0);		\
		UNIT_EQ(d.why, reason);		\
	} while (0)

/* What the last frame's receiver is to do with it, or -1 when port was none. */
int tag_for(uint32_t port);
bool got(uint32_t port);

/* ---- ports ------------------------------------------------------------------------- */

/* Guest n sends from GUEST(n) alone; the others learn. */
struct vswitch_port_config guest_config(unsigned int n);
uint32_t add(const struct vswitch_port_config *c);
uint32_t add_guest(unsigned int n);
uint32_t add_access(unsigned int n, uint16_t vlan);
uint32_t add_any(uint16_t vlan);
uint32_t add_trunk(uint16_t native, uint16_t a, uint16_t b);
struct vswitch_counters counters(uint32_t port);

#endif
