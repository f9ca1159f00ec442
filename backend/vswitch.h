/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forwarding decision of a learning Ethernet switch.
 *
 * Hides: the address table and its ageing, who may send from which address,
 * VLANs, port isolation, multicast membership, what is counted. Must not know:
 * rings, grants, descriptors, queues, clocks, logs. A frame's first bytes go
 * in, the ports that get it come out; the frame itself is moved by the caller.
 *
 * One thread per switch. Nothing is allocated by vswitch_forward(). Times are
 * the caller's, in milliseconds of a clock that does not go back.
 *
 * VLANs are those of IEEE 802.1Q. Inside the switch every frame belongs to one
 * VLAN, 0 to 4094; 0 is what ports without any VLAN setting share. Addresses
 * are learned per VLAN.
 */
#ifndef PV_VSWITCH_H
#define PV_VSWITCH_H

#include <stdbool.h>
#include <stdint.h>

#define VSWITCH_PORTS_MAX 1024u
#define VSWITCH_VLANS 4096u
#define VSWITCH_MULTICAST_MAX 64u	/* addresses in one port's filter */
#define VSWITCH_HEADER_BYTES 18u	/* what forward looks at: addresses, tag, type */
#define VSWITCH_MAC_BYTES 6u

struct vswitch;

struct vswitch_config {
	uint32_t max_ports;		/* 1 to VSWITCH_PORTS_MAX */
	uint32_t max_addresses;		/* learned at a time; per port at most a quarter
					   (a port that floods the table hurts itself) */
	uint32_t ageing_ms;		/* an address not seen for so long is forgotten */
	uint32_t move_ms;		/* an address seen elsewhere moves only when its old
					   port has been silent for so long */
};

/* -ENOMEM, -EINVAL: a limit is 0 or too large. */
int vswitch_open(const struct vswitch_config *cfg, struct vswitch **out);
void vswitch_close(struct vswitch *s);		/* accepts NULL */
/* New times take effect at once; the sizes must not differ (-EINVAL). */
int vswitch_configure(struct vswitch *s, const struct vswitch_config *cfg);

/* ---- ports ------------------------------------------------------------------- */

enum vswitch_vlan_mode {
	VSWITCH_ACCESS,		/* untagged; all frames belong to vlan. Tagged ones are
				   dropped, unless vlan is 0: then tags pass untouched */
	VSWITCH_TRUNK,		/* tagged; vlans says which. Untagged ones belong to
				   vlan, and leave untagged (the native VLAN) */
};

struct vswitch_port_config {
	enum vswitch_vlan_mode mode;
	uint16_t vlan;
	uint8_t vlans[VSWITCH_VLANS / 8];	/* bit set of a trunk */
	/*
	 * The port's only address: frames from another are dropped (spoofed), and
	 * frames from this address on any other port too. Not with any_source.
	 */
	uint8_t mac[VSWITCH_MAC_BYTES];
	bool any_source;		/* an uplink, or a guest that bridges */
	bool isolated;			/* exchanges frames with ports that are not, only */
	bool link_local;		/* pass 01:80:c2:00:00:0x (STP, LLDP); otherwise
					   dropped, as a guest must not speak to switches */
	bool mirror;			/* what goes in or out is also to be captured */
};

/* The lowest free number into *out. -ENOSPC; -EINVAL: odd config; -EEXIST: mac is another port's. */
int vswitch_add_port(struct vswitch *s, const struct vswitch_port_config *cfg,
		     uint32_t *out);
/* Live: learned addresses stay where they still may be. As add. -ENOENT. */
int vswitch_set_port(struct vswitch *s, uint32_t port,
		     const struct vswitch_port_config *cfg);
int vswitch_get_port(const struct vswitch *s, uint32_t port,
		     struct vswitch_port_config *out);
/* Its addresses are forgotten. */
void vswitch_remove_port(struct vswitch *s, uint32_t port);

/*
 * A guest's own multicast filter (feature-multicast-control). While on, multicast
 * frames for addresses not in its list are not sent to the port; broadcast is
 * always. add: -ENOSPC beyond VSWITCH_MULTICAST_MAX, -EINVAL: not multicast, 0 when
 * there already. del: -ENOENT. The list is kept while the filter is off.
 */
int vswitch_multicast_filter(struct vswitch *s, uint32_t port, bool on);
int vswitch_multicast_add(struct vswitch *s, uint32_t port, const uint8_t *mac);
int vswitch_multicast_del(struct vswitch *s, uint32_t port, const uint8_t *mac);
void vswitch_multicast_clear(struct vswitch *s, uint32_t port);

/* ---- forwarding ---------------------------------------------------------------- */

enum vswitch_drop {
	VSWITCH_FORWARDED,	/* no drop */
	VSWITCH_RUNT,		/* shorter than its Ethernet header says */
	VSWITCH_BAD_SOURCE,	/* source is a group address or all zero */
	VSWITCH_SPOOFED,	/* source is not the port's, or is another port's */
	VSWITCH_MOVED,		/* source was seen elsewhere a moment ago */
	VSWITCH_VLAN,		/* the port does not carry the frame's VLAN */
	VSWITCH_LINK_LOCAL,
	VSWITCH_NOWHERE,	/* the destination is this port, or no port may have it */
	VSWITCH_QUEUE_FULL,	/* counted by vswitch_note(): the receiver did not keep up */
	VSWITCH_TOO_BIG,	/* the same: larger than the receiver takes */
	VSWITCH_MALFORMED,	/* the same: offload wishes that do not fit the frame */
	VSWITCH_RATE,		/* the same: over the port's limit */
	VSWITCH_NR_DROPS,
};

const char *vswitch_drop_name(enum vswitch_drop why);

enum vswitch_tag { VSWITCH_TAG_KEEP, VSWITCH_TAG_PUSH, VSWITCH_TAG_POP };

struct vswitch_out {
	uint16_t port;
	uint8_t tag;		/* enum vswitch_tag, for this port */
};

struct vswitch_decision {
	uint32_t nr;			/* of out; 0: dropped */
	enum vswitch_drop why;
	uint16_t vlan;			/* what PUSH inserts: priority of the frame's own tag or 0 */
	bool flooded, mirror;
	struct vswitch_out out[VSWITCH_PORTS_MAX];
};

/*
 * Where a frame of bytes octets that came in on port goes. header holds its
 * first header_bytes octets (the whole frame when shorter than
 * VSWITCH_HEADER_BYTES). Learns the source, counts in and out. Returns d->nr.
 * port must exist (asserted). Fields of out beyond nr are not touched.
 */
uint32_t vswitch_forward(struct vswitch *s, uint32_t port, const uint8_t *header,
			 uint32_t header_bytes, uint32_t bytes, uint64_t now_ms,
			 struct vswitch_decision *d);
/*
 * The receiver did not get a frame that forward had counted for it (why:
 * QUEUE_FULL, TOO_BIG, MALFORMED, RATE): takes it back and counts the drop.
 */
void vswitch_note(struct vswitch *s, uint32_t port, uint32_t bytes,
		  enum vswitch_drop why);

/* Forgets addresses that are too old. Call every second or so. */
void vswitch_age(struct vswitch *s, uint64_t now_ms);

/* ---- looking ------------------------------------------------------------------- */

struct vswitch_counters {
	uint64_t in_frames, in_bytes;	/* from the port, forwarded or not */
	uint64_t out_frames, out_bytes;	/* to the port */
	uint64_t flooded;		/* in frames that went to more than their port */
	uint64_t dropped[VSWITCH_NR_DROPS];	/* in frames, or by vswitch_note() */
};

int vswitch_counters(const struct vswitch *s, uint32_t port,
		     struct vswitch_counters *out);

struct vswitch_address {
	uint8_t mac[VSWITCH_MAC_BYTES];
	uint16_t vlan;
	uint32_t port;
	uint64_t age_ms;
	bool fixed;			/* the port's own */
};

/* Calls fn for every known address until it returns non-zero, which it returns. */
int vswitch_each_address(const struct vswitch *s, uint64_t now_ms,
			 int (*fn)(void *arg, const struct vswitch_address *a),
			 void *arg);

#endif
