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
 * are learned per VLAN. A tag without a VLAN (VID 0, priority alone) belongs
 * where untagged frames do. A frame that would leave a trunk's native VLAN with
 * another tag in front, and so enter a VLAN of the sender's choice further on,
 * does not leave.
 *
 * A frame to an address that nobody was seen with goes to the ports that may have
 * more than one, in its VLAN: the others' addresses are known.
 */
#ifndef PV_VSWITCH_H
#define PV_VSWITCH_H

#include <stdbool.h>
#include <stdint.h>

#define VSWITCH_PORTS_MAX 1024u
#define VSWITCH_VLANS 4096u
#define VSWITCH_VLAN_NONE 4095u		/* as a trunk's vlan: untagged frames are dropped */
#define VSWITCH_ADDRESSES_MAX (1u << 20)
#define VSWITCH_MULTICAST_MAX 64u	/* addresses in one port's filter */
#define VSWITCH_HEADER_BYTES 18u	/* what forward looks at: addresses, tag, type */
#define VSWITCH_MAC_BYTES 6u

struct vswitch;

struct vswitch_config {
	uint32_t max_ports;		/* 1 to VSWITCH_PORTS_MAX */
	/*
	 * Learned at a time, 1 to VSWITCH_ADDRESSES_MAX; per port at most a quarter.
	 * A port that wants more forgets its own oldest one. When ports together
	 * fill the table, the port that holds most gives way to one that holds less.
	 */
	uint32_t max_addresses;
	uint32_t ageing_ms;		/* an address not seen for so long is forgotten; not 0 */
	uint32_t move_ms;		/* an address moves to another port only when it has
					   not been seen at the old one for so long */
};

/*
 * -ENOMEM, -EINVAL: a limit is 0 or too large. Takes a few random bytes from the
 * kernel, so that nobody can choose addresses that are slow to find.
 */
int vswitch_open(const struct vswitch_config *cfg, struct vswitch **out);
void vswitch_close(struct vswitch *s);		/* accepts NULL */
/* New times take effect at once; the sizes must not differ (-EINVAL). */
int vswitch_configure(struct vswitch *s, const struct vswitch_config *cfg);

/* ---- ports ------------------------------------------------------------------- */

enum vswitch_vlan_mode {
	VSWITCH_ACCESS,		/* untagged; all frames belong to vlan. Tagged ones are
				   dropped, unless vlan is 0: then tags pass untouched,
				   but not out of a trunk */
	VSWITCH_TRUNK,		/* tagged; vlans says which. Untagged ones belong to
				   vlan, and leave untagged (the native VLAN) */
};

struct vswitch_port_config {
	enum vswitch_vlan_mode mode;
	uint16_t vlan;
	uint8_t vlans[VSWITCH_VLANS / 8];	/* bit set of a trunk, 1 to 4094: VLAN v is bit
						   v % 8 of octet v / 8 */
	/*
	 * The port's only address: frames from another are dropped (spoofed), and
	 * frames from this address on any other port too, in every VLAN. Not looked
	 * at with any_source.
	 */
	uint8_t mac[VSWITCH_MAC_BYTES];
	bool any_source;		/* an uplink, or a guest that bridges */
	bool isolated;			/* exchanges frames with ports that are not, only */
	bool link_local;		/* pass 01:80:c2:00:00:0x (STP, LLDP); otherwise
					   dropped, as a guest must not speak to switches */
	bool mirror;			/* what goes in or out is also to be captured */
};

/*
 * The lowest free number into *out. -ENOSPC; -EINVAL: a VLAN that is none, a mac
 * that is a group or zero; -EEXIST: mac is another port's.
 */
int vswitch_add_port(struct vswitch *s, const struct vswitch_port_config *cfg,
		     uint32_t *out);
/* Live: learned addresses stay where they still may be. As add. -ENOENT. */
int vswitch_set_port(struct vswitch *s, uint32_t port,
		     const struct vswitch_port_config *cfg);
int vswitch_get_port(const struct vswitch *s, uint32_t port,
		     struct vswitch_port_config *out);
/* Its addresses are forgotten. Nothing happens when there is no such port. */
void vswitch_remove_port(struct vswitch *s, uint32_t port);

/*
 * A guest's own multicast filter (feature-multicast-control). While on, multicast
 * frames for addresses not in its list are not sent to the port; broadcast is
 * always. add: -ENOSPC beyond VSWITCH_MULTICAST_MAX, -EINVAL: not multicast, 0 when
 * there already. del: -ENOENT. The list is kept while the filter is off. All:
 * -ENOENT when there is no such port.
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
	VSWITCH_VLAN,		/* the port it came from does not carry its VLAN or tag */
	VSWITCH_LINK_LOCAL,
	VSWITCH_NOWHERE,	/* the destination is this port, or no port may have it */
	/* From here on counted by vswitch_note() or vswitch_refuse(). */
	VSWITCH_QUEUE_FULL,	/* the receiver did not keep up */
	VSWITCH_TOO_BIG,	/* larger than the receiver takes */
	VSWITCH_MALFORMED,	/* offload wishes that do not fit the frame */
	VSWITCH_RATE,		/* over the port's limit */
	VSWITCH_NR_DROPS,
};

const char *vswitch_drop_name(enum vswitch_drop why);	/* "queue-full" */

/* What is to be done to the four octets after the addresses. */
enum vswitch_tag {
	VSWITCH_TAG_KEEP,	/* nothing */
	VSWITCH_TAG_PUSH,	/* insert 81 00 and the decision's tci */
	VSWITCH_TAG_POP,	/* take them out */
	VSWITCH_TAG_SET,	/* put tci into the tag that is there, which has no VLAN */
};

struct vswitch_out {
	uint16_t port;
	uint8_t tag;		/* enum vswitch_tag, for this port */
};

struct vswitch_decision {
	uint32_t nr;			/* of out; 0: dropped */
	enum vswitch_drop why;
	uint16_t tci;			/* for PUSH and SET: the VLAN, and the priority of the
					   frame's own tag or 0 */
	bool flooded;
	bool mirror;			/* a port it came from or goes to is mirrored; said of
					   dropped ones too */
	struct vswitch_out out[VSWITCH_PORTS_MAX];
};

/*
 * Where a frame of bytes octets that came in on port goes. header holds its
 * first header_bytes octets (the whole frame when shorter than
 * VSWITCH_HEADER_BYTES). Learns the source, counts in and out. Returns d->nr.
 * port must exist (asserted). Fields of out beyond nr are not touched. The port
 * it came from is never among them.
 */
uint32_t vswitch_forward(struct vswitch *s, uint32_t port, const uint8_t *header,
			 uint32_t header_bytes, uint32_t bytes, uint64_t now_ms,
			 struct vswitch_decision *d);
/*
 * The receiver did not get a frame that forward had counted for it (why:
 * QUEUE_FULL, TOO_BIG, MALFORMED, RATE): takes it back and counts the drop. bytes
 * as they were told to forward. A port that went away meanwhile is no mistake.
 */
void vswitch_note(struct vswitch *s, uint32_t port, uint32_t bytes,
		  enum vswitch_drop why);
/* It got a part of one: that stays counted, and so is the drop. */
void vswitch_note_part(struct vswitch *s, uint32_t port, enum vswitch_drop why);
/*
 * A frame came in on port that is not even to be forwarded (TOO_BIG, MALFORMED,
 * RATE): counts it in, and its drop.
 */
void vswitch_refuse(struct vswitch *s, uint32_t port, uint32_t bytes,
		    enum vswitch_drop why);

/* Forgets addresses that are too old. Call every second or so. */
void vswitch_age(struct vswitch *s, uint64_t now_ms);

/* ---- looking ------------------------------------------------------------------- */

struct vswitch_counters {
	uint64_t in_frames, in_bytes;	/* from the port, forwarded or not */
	uint64_t out_frames, out_bytes;	/* to the port; octets as they came in, whatever was
					   done to tags */
	uint64_t flooded;		/* in frames that went to all who may have them */
	uint64_t dropped[VSWITCH_NR_DROPS];	/* in frames up to NOWHERE; after it also those
						   for the port */
};

/* -ENOENT */
int vswitch_counters(const struct vswitch *s, uint32_t port,
		     struct vswitch_counters *out);

/*
 * From now on a port's are counted there, which goes on from what it has; NULL: in the
 * switch, anew. For who wants them to outlive the switch.
 */
void vswitch_count_in(struct vswitch *s, uint32_t port, struct vswitch_counters *where);

struct vswitch_address {
	uint8_t mac[VSWITCH_MAC_BYTES];
	uint16_t vlan;
	uint32_t port;
	uint64_t age_ms;
	uint8_t fixed;			/* the port's own; not bool: a worker says it to others */
};

/*
 * Calls fn for every known address until it returns non-zero, which it returns. A
 * port's own address has age 0, and the VLAN that its untagged frames belong to.
 * fn does not change the switch.
 */
int vswitch_each_address(const struct vswitch *s, uint64_t now_ms,
			 int (*fn)(void *arg, const struct vswitch_address *a),
			 void *arg);

#endif
