/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the administrator of a host says of a switch and its uplinks: nodes below
 * the back end's own domain, which the net back end watches.
 *
 *	/local/domain/B/paravane-bridge/NAME/{ageing-ms,move-ms}
 *	/local/domain/B/paravane-bridge/NAME/uplink/IFNAME/{bridge,vlan,isolated,mtu}
 *
 * NAME and IFNAME with escapes; below they are what people say.
 *
 * Hides: paths, spellings, defaults. Must not know: TAP devices, switches. What
 * belongs to one vif is in that vif's own directory (vif.h). A switch exists as
 * soon as a vif names it; nothing here needs to.
 *
 * Any thread, one at a time per xs_handle. backend_domid: the domain whose net back
 * end it is.
 */
#ifndef PV_SWITCH_CONFIG_H
#define PV_SWITCH_CONFIG_H

#include "vif.h"

#define SWITCH_IFNAME_BYTES 16u		/* Linux's IFNAMSIZ */
#define SWITCH_AGEING_MS 300000u	/* as IEEE 802.1Q has it */
#define SWITCH_MOVE_MS 1000u

struct switch_config {
	uint32_t ageing_ms;		/* from 1 */
	uint32_t move_ms;
};

struct switch_change {
	int64_t ageing_ms, move_ms;	/* below 0: stays */
};

struct switch_uplink {
	char ifname[SWITCH_IFNAME_BYTES];	/* of the TAP device, made if there is none */
	char bridge[VIF_NAME_BYTES];		/* joins this bridge of the kernel, or of
						   Open vSwitch; "": none */
	struct vif_port port;			/* any_source is always set */
	uint32_t mtu_bytes;		/* 0: as the device is */
};

struct switch_uplink_change {
	const char *bridge, *vlan;	/* "": none any more; NULL: stays */
	int isolated;			/* below 0: stays */
	int64_t mtu_bytes;		/* 0: as the device is; below 0: stays */
};

/* What to watch, and what is below it. */
int switch_watch_path(char *buf, size_t bytes, uint32_t backend_domid);
int switch_watch(struct xs_handle *xs, uint32_t backend_domid, const char *token);
/*
 * Names that can be written to, of bridges as vif_is_name() has them and of uplinks below
 * 16 octets and without ':': -EINVAL. Letters, digits, '-' and '_' are the node's name as
 * they are; the store's paths have nothing else, so any other octet is '@' and its two
 * hex digits there (br0.100: br0@2e100). A bridge's node's name is below 64 octets.
 */
int switch_check_name(const char *name);
int switch_check_ifname(const char *ifname);

/* ---- switches --------------------------------------------------------------------- */

/* Those that nodes exist of, in the order of the alphabet, until fn is non-zero. */
int switch_each(struct xs_handle *xs, uint32_t backend_domid,
		int (*fn)(void *arg, const char *name), void *arg);
/* Missing nodes have their defaults, also all of them. -EINVAL with err. */
int switch_read(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		struct switch_config *out, struct key_error *err);
/* Two may change one switch at a time. -EINVAL: the name, or a number. */
int switch_change(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		  const struct switch_change *what);
/* With its uplinks. -ENOENT. */
int switch_remove(struct xs_handle *xs, uint32_t backend_domid, const char *name);

/* ---- uplinks ------------------------------------------------------------------------ */

int switch_each_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		       int (*fn)(void *arg, const char *ifname), void *arg);
/* -ENOENT: no such uplink. -EINVAL with err. */
int switch_read_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		       const char *ifname, struct switch_uplink *out,
		       struct key_error *err);
/* Makes it, or changes that of it which is said. -EINVAL: a name, the VLANs, the MTU. */
int switch_change_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
			 const char *ifname, const struct switch_uplink_change *what);
/* -ENOENT. The switch's own node goes too when nothing else is said of it. */
int switch_remove_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
			 const char *ifname);

#endif
