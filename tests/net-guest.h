/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A vif's front end by hand: every slot is written as the test says, right or
 * wrong. For tests of netback in one process, over fake-xen.h.
 *
 * Must not know: switches. Several guests share fake-xen's one domain, each with
 * pages and event channels of its own.
 */
#ifndef PV_NET_GUEST_H
#define PV_NET_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/netif.h>
#include "ring.h"
#include "vif.h"

#define NET_GUEST_QUEUES 2u
#define NET_GUEST_BUFFERS 64u		/* of each direction and queue */
#define NET_GUEST_RING 256u
#define NET_GUEST_IDS 1024u		/* more than a ring holds */
/* How many fake pages a guest takes. */
#define NET_GUEST_PAGES (2 + NET_GUEST_QUEUES * (2 + 2 * NET_GUEST_BUFFERS))

struct net_guest_queue {
	struct ring_front tx, rx;
	uint32_t tx_gref[NET_GUEST_BUFFERS], rx_gref[NET_GUEST_BUFFERS];
	uint32_t tx_page, rx_page;	/* the first of each */
	uint32_t next_tx, next_rx;
	uint8_t asked[NET_GUEST_IDS];		/* requests that wait for an answer, by id */
	uint32_t extras_asked;
	bool raw;				/* slots are not as sent: answers are not checked */
	uint16_t posted[NET_GUEST_RING];	/* rx buffer of each slot */
};

struct net_guest {
	uint32_t number;
	struct vif_frontend front;
	struct net_guest_queue queue[NET_GUEST_QUEUES];
	struct ring_front ctrl;
	uint32_t list_page, list_gref;	/* for what control messages carry */
};

/* number: 0 up; each has its own pages and ports. front's wishes may be changed
 * before the vif is added. */
void net_guest_open(struct net_guest *g, uint32_t number, uint32_t nr_queues, bool ctrl);

/* ---- sending ---------------------------------------------------------------------------- */

/* How a frame is cut and flagged; all zero: as few slots as go, no wishes. */
struct net_guest_how {
	uint32_t queue;
	uint32_t cut[18];		/* bytes of each slot; 0: the rest, by pages */
	uint16_t offset, more_offset;	/* in the first slot's page, in the others' */
	bool blank, validated;
	uint8_t gso;
	uint16_t gso_bytes;
};

/* Writes the slots and publishes. Returns the number of slots. */
uint32_t net_guest_send(struct net_guest *g, const void *frame, uint32_t bytes,
			const struct net_guest_how *how);
/* The page of the tx buffer that the next slot will use. */
uint8_t *net_guest_next_page(struct net_guest *g, uint32_t queue);
/* One raw slot; net_guest_publish() after the last. */
void net_guest_slot(struct net_guest *g, uint32_t queue, const void *slot);
void net_guest_publish(struct net_guest *g, uint32_t queue);
/* Takes the answers that are there, each to a request; counts those that are errors. */
uint32_t net_guest_answers(struct net_guest *g, uint32_t queue, uint32_t *errors);

/* ---- receiving ---------------------------------------------------------------------------- */

void net_guest_post(struct net_guest *g, uint32_t queue, uint32_t nr);

struct net_guest_got {
	uint32_t queue, bytes, slots;
	int16_t error;			/* of any slot */
	uint16_t flags;			/* of the first */
	uint8_t gso;
	uint16_t gso_bytes;
	bool hashed;
	uint32_t hash;
	uint8_t data[70000];
};

/* The next frame, of any queue. False: there is none. */
bool net_guest_receive(struct net_guest *g, struct net_guest_got *out);

/* ---- control -------------------------------------------------------------------------------- */

void net_guest_ask(struct net_guest *g, uint16_t type, uint32_t a, uint32_t b, uint32_t c);
bool net_guest_told(struct net_guest *g, struct xen_netif_ctrl_response *out);
/* The page that list_gref grants, as a list of static grants. */
struct xen_netif_gref *net_guest_list(struct net_guest *g);
/* Lists all rx and tx buffers of a queue, as they are granted. Returns their number. */
uint32_t net_guest_list_all(struct net_guest *g, uint32_t queue);

#endif
