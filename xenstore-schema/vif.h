/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The nodes of a virtual network interface, as typed values.
 *
 * Hides: the keys' names, units, defaults, and the two shapes that rings and
 * event channels have in the store. Must not know: rings, bridges, event loops,
 * stdio. Keys and who writes them: keys.h. Source: xen/io/netif.h.
 */
#ifndef PV_VIF_H
#define PV_VIF_H

#include "xenbus.h"

#define VIF_QUEUES_MAX 16u
#define VIF_NAME_BYTES 64u
#define VIF_MAC_BYTES 6u
#define VIF_BRIDGE_DEFAULT "default"	/* our back end's, when none is named */
#define VIF_MTU_DEFAULT 1500u
#define VIF_RATE_MAX (1u << 31)	/* bytes, and microseconds */
#define VIF_RATE_BITS_MAX 343597383680ull	/* a second: so many bytes in xl's 50 ms */
#define VIF_MTU_MIN 68u		/* RFC 791 */
#define VIF_MTU_MAX 65521u		/* a frame's length is 16 bits, 14 of Ethernet */

/* ---- what a switch is told of a port --------------------------------------------- */

#define VIF_VLAN_TEXT_BYTES 128u
#define VIF_VLANS_BYTES 512u

/* Of a vif, and of an uplink (switch-config.h). */
struct vif_port {
	char vlan_text[VIF_VLAN_TEXT_BYTES];	/* key vlan as written; "": missing */
	bool trunk;
	uint16_t vlan;			/* of all frames; 0: no VLAN. Of a trunk's untagged
					   ones; 0: they are dropped */
	uint8_t vlans[VIF_VLANS_BYTES];	/* of a trunk: VLAN v is bit v % 8 of octet v / 8 */
	bool isolated, any_source;	/* keys of these names; ours */
};

/*
 * "" or "0": no VLAN; "10": access port of VLAN 10; "10,20-29": trunk of these;
 * "p1,10,20": trunk whose untagged frames belong to VLAN 1. A trunk of one VLAN is
 * "10-10". vlans is a bit set of 4096 bits. -EINVAL.
 */
int vif_parse_vlan(const char *text, bool *trunk, uint16_t *vlan,
		   uint8_t vlans[VIF_VLANS_BYTES]);
/* Of any directory with these keys. -EINVAL with err. */
int vif_read_port(struct xs_handle *xs, const char *dir, struct vif_port *out,
		  struct key_error *err);

/* What is to be changed while a vif is in use; the back end, or the front end, watches. */
struct vif_change {
	const char *vlan;		/* NULL: as it is; "": none */
	int isolated, any_source;	/* -1: as it is */
	bool set_rate;
	uint64_t rate_bits;		/* per second, over xl's; 0: no limit */
	int disconnect;			/* -1: as it is; 1: tells the guest that its link is down */
};

/* -EINVAL: no such VLANs, nothing is written. -ENOENT: there is no such vif. */
int vif_change_port(struct xs_handle *xs, const char *back_dir, const char *front_dir,
		    const struct vif_change *c);

/* ---- what the tool stack wrote into the back end's directory ------------------- */

struct vif_toolstack {
	char bridge[VIF_NAME_BYTES];	/* empty: none was named */
	char vifname[VIF_NAME_BYTES];	/* "vif3.0" when nothing else was named */
	uint8_t mac[VIF_MAC_BYTES];
	bool has_mac;
	uint32_t handle;
	uint32_t mtu_bytes;
	/*
	 * key rate: "BYTES,USEC" as xl writes it: so many bytes per so many
	 * microseconds. Key rate-bits (ours), bits per second, is turned into that. 0,0: no limit.
	 */
	uint64_t rate_bytes;
	uint32_t rate_usec;
	struct vif_port port;
	uint32_t max_queues;		/* key max-queues, ours; 0: nobody says */
	bool online;
	bool hotplug_pending, hotplug_error;	/* as vbd.h */
};

/* -EINVAL: err names the node; of out only online is good then. Missing optional nodes take their defaults. */
int vif_read_toolstack(struct xs_handle *xs, const char *back_dir,
		       struct vif_toolstack *out, struct key_error *err);
/* What may be a switch's name, or vifname: part of file names, too. */
bool vif_is_name(const char *text);
/* "aa:bb:cc:dd:ee:ff"; a group address or zero is -EINVAL. */
int vif_parse_mac(const char *text, uint8_t *mac);
void vif_format_mac(const uint8_t *mac, char *buf, size_t bytes);

/* ---- what a back end publishes --------------------------------------------------- */

struct vif_features {
	bool sg, gso_tcpv4, gso_tcpv6, ipv6_csum;
	bool rx_copy, rx_flip;
	bool split_event_channels;
	bool multicast_control, dynamic_multicast_control;
	bool ctrl_ring;
	uint32_t max_queues;			/* at least 1 */
};

int vif_write_features(struct xs_handle *xs, xs_transaction_t t,
		       const char *back_dir, const struct vif_features *f);
/* As a front end meets them from any back end: what is missing is off. */
int vif_read_features(struct xs_handle *xs, const char *back_dir,
		      struct vif_features *out);
/* The link: a missing node is up. */
int vif_write_carrier(struct xs_handle *xs, const char *back_dir, bool up);
bool vif_read_carrier(struct xs_handle *xs, const char *back_dir);

/* While connected: pages are not flipped any more, but copied into. Missing: they are. */
int vif_write_flip_ended(struct xs_handle *xs, const char *back_dir, bool ended);
bool vif_read_flip_ended(struct xs_handle *xs, const char *back_dir);

/* ---- what a front end publishes --------------------------------------------------- */

struct vif_queue {
	uint32_t tx_gref, rx_gref;
	uint32_t tx_port, rx_port;	/* event channels; equal: not split */
};

struct vif_frontend {
	uint32_t nr_queues;
	struct vif_queue queue[VIF_QUEUES_MAX];
	bool rx_copy;			/* request-rx-copy */
	bool rx_flip;			/* asks for page flip, by a key of ours */
	bool rx_notify;
	bool sg, gso_tcpv4, gso_tcpv6;
	bool no_csum;			/* feature-no-csum-offload: IPv4 sums complete, please */
	bool ipv6_csum;
	bool multicast_control;		/* request-multicast-control, now */
	bool ctrl_ring;
	uint32_t ctrl_gref, ctrl_port;
	uint8_t mac[VIF_MAC_BYTES];	/* written by the tool stack here too */
	bool has_mac;
	uint32_t mtu_bytes;		/* as the tool stack wrote it; 0: not at all */
};

/*
 * limits: what the back end published; only what it offered is read. -ENOENT: a
 * ring or port is missing. -EINVAL: a bad value, more queues than offered, the same
 * port or gref twice. err names the node.
 */
int vif_read_frontend(struct xs_handle *xs, const char *front_dir,
		      const struct vif_features *limits, struct vif_frontend *out,
		      struct key_error *err);
/* Not mac and mtu, which the tool stack writes. queue-N/ only for more than one. */
int vif_write_frontend(struct xs_handle *xs, xs_transaction_t t,
		       const char *front_dir, const struct vif_frontend *f);
int vif_remove_frontend(struct xs_handle *xs, const char *front_dir);
/*
 * What the tool stack tells a front end of itself. The address from back_dir when
 * front_dir has none; has_mac false: nobody wrote one. -EINVAL with err.
 */
int vif_read_own(struct xs_handle *xs, const char *front_dir, const char *back_dir,
		 uint8_t *mac, bool *has_mac, uint32_t *mtu_bytes, struct key_error *err);
/* request-multicast-control alone, which may change while connected. */
int vif_write_multicast_control(struct xs_handle *xs, const char *front_dir, bool on);
bool vif_read_multicast_control(struct xs_handle *xs, const char *front_dir);
/* Watches it, or not any more. -errno of the store. */
int vif_watch_multicast_control(struct xs_handle *xs, const char *front_dir,
				const char *token, bool on);

#endif
