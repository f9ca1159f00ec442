/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A netback and some guests on it, in one process, for its tests. Guest i has the
 * address 00:16:3e:00:00:i.
 */
#ifndef PV_NET_WORLD_H
#define PV_NET_WORLD_H

#include "fake-xen.h"
#include "grant.h"
#include "net-frames.h"
#include "net-guest.h"
#include "netback.h"

#define WORLD_GUESTS 15u

struct world {
	/* Set before world_open(): */
	uint32_t nr, nr_queues;
	bool ctrl, no_gso[WORLD_GUESTS], no_csum[WORLD_GUESTS], no_sg[WORLD_GUESTS];
	bool only_ipv6_csum[WORLD_GUESTS], no_csum6[WORLD_GUESTS];
	uint32_t mtu_bytes[WORLD_GUESTS];	/* 0: none said */
	uint32_t rx_slots[WORLD_GUESTS];	/* posted at first; 0: NET_GUEST_BUFFERS */
	const struct netback_flip *flip;	/* NULL: nobody gives pages */
	bool flips[WORLD_GUESTS];		/* asks for them */
	int figures_fd[WORLD_GUESTS];		/* the caller's; 0: none */
	/* After it: */
	uint64_t now_ms;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	struct netback *nb;
	struct net_guest guest[WORLD_GUESTS];
	struct vswitch_port_config config[WORLD_GUESTS];
	uint32_t port[WORLD_GUESTS];
	struct log_peer log[WORLD_GUESTS], uplink_log;
	bool gone[WORLD_GUESTS];
	uint32_t nr_broken, nr_flips_ended;
	char why[200];			/* of the last that was broken, or whose flip ended */
};

/* Every guest has posted its rx_slots on every queue. */
void world_open(struct world *w);
/*
 * A socket pair with room for much stands in for a TAP device that takes offloads: it keeps
 * frames apart too. pair[0] is the back end's. Returns the port's number.
 */
uint32_t world_add_uplink(struct world *w, int pair[2]);
/* Asserts that nothing is left. */
void world_close(struct world *w);
/* Takes events and passes until there is nothing to do. */
void world_run(struct world *w);
/* Takes events and passes once, whatever is left to do. */
void world_pass(struct world *w);
/* Lets every guest be known, so that nothing is flooded. */
void world_learn(struct world *w);
void world_remove(struct world *w, uint32_t guest);
/* Uses up the guest's rx slots, by frames that it takes and does not replace. */
void world_withhold(struct world *w, uint32_t guest);

#endif
