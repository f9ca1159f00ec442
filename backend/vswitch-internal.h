/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the switch's files share: its ports as bit sets, so that who gets a
 * flooded frame is a matter of words, not of each port's configuration. A bit
 * set has set_words words; VLAN v's begins at v * set_words.
 */
#ifndef PV_VSWITCH_INTERNAL_H
#define PV_VSWITCH_INTERNAL_H

#include "vswitch.h"
#include "vswitch-table.h"

#define VSWITCH_SET_WORDS (VSWITCH_PORTS_MAX / 64)

struct vswitch_port {
	bool used, access, any_source, isolated, link_local, mirror;
	uint16_t vlan;			/* of untagged frames */
	uint64_t mac;			/* its only one, unless any_source */
	struct vswitch_counters own, *counters;
};

struct vswitch_multicast {
	uint32_t nr;
	uint64_t macs[VSWITCH_MULTICAST_MAX];
};

struct vswitch {
	struct vswitch_config cfg;
	uint32_t set_words;
	struct vswitch_port *ports;
	struct vswitch_port_config *configs;
	struct vswitch_multicast *multicast;
	uint64_t any_source[VSWITCH_SET_WORDS], isolated[VSWITCH_SET_WORDS],
		link_local[VSWITCH_SET_WORDS], trunk[VSWITCH_SET_WORDS],
		filtering[VSWITCH_SET_WORDS];
	uint64_t *members;		/* of each VLAN */
	uint64_t *tagging;		/* those of them that send it with a tag */
	struct mac_map fixed;		/* ports' only addresses, to ports; VLAN 0 in the key */
	struct mac_table learned;
};

static inline bool set_has(const uint64_t *set, uint32_t port)
{
	return set[port / 64] >> port % 64 & 1;
}

static inline bool vswitch_has_port(const struct vswitch *s, uint32_t port)
{
	return port < s->cfg.max_ports && s->ports[port].used;
}

/* Six octets as they stand in a frame. */
static inline uint64_t mac_load(const uint8_t *mac)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < VSWITCH_MAC_BYTES; i++)
		v = v << 8 | mac[i];
	return v;
}

static inline bool mac_is_group(uint64_t mac)
{
	return mac >> 40 & 1;
}

/* Whether a port gets this multicast address, as its own filter says. */
bool vswitch_multicast_wanted(const struct vswitch *s, uint32_t port, uint64_t mac);

#endif
