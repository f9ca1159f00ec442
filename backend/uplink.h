/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way out of a switch: a TAP device, and the bridge of the host that it joins.
 *
 * Hides: /dev/net/tun, what of checksums and segmentation the kernel takes, Linux
 * bridges and Open vSwitch. Must not know: the switch (the descriptor goes to
 * netback_add_uplink() of its worker), XenStore.
 *
 * A TAP device that exists already, made to stay by somebody, is taken as it is:
 * it keeps its MTU and the bridge it is in, unless others were asked for. One that
 * we make goes with the last descriptor of it, the worker's included.
 *
 * Needs CAP_NET_ADMIN in the network namespace that the device is to be in. Any
 * thread. Open vSwitch is talked to by ovs-vsctl, for UPLINK_OVS_SECONDS at most.
 */
#ifndef PV_UPLINK_H
#define PV_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLINK_OVS_SECONDS 5

struct uplink;

struct uplink_config {
	const char *ifname;		/* 1 to 15 letters */
	const char *bridge;		/* "" or NULL: none */
	uint32_t mtu_bytes;		/* 0: as the device is, 1500 when it is new */
};

/*
 * The device is up, in its bridge, and its descriptor is open, not blocking, with
 * vnet headers. -errno; why is one line for a person, with what to do. On failure
 * nothing stays.
 */
int uplink_open(const struct uplink_config *cfg, struct uplink **out, char *why, size_t bytes);
/*
 * The same device, from a version of this program before: its descriptor, which becomes the
 * uplink's, and what uplink_state() said then. It is in its bridge then, whichever it was in.
 * -errno: it stays the caller's; why as above.
 */
int uplink_adopt(const struct uplink_config *cfg, int fd, int state, struct uplink **out,
		 char *why, size_t bytes);
int uplink_state(const struct uplink *u);
/* Out of the bridge that it was put in. Accepts NULL. */
void uplink_close(struct uplink *u);

int uplink_fd(const struct uplink *u);		/* stays the uplink's */
bool uplink_offloads(const struct uplink *u);	/* as netback_add_uplink() wants it */
const char *uplink_ifname(const struct uplink *u);

#endif
