/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a network front end, for its own files: a queue with what is on
 * its two rings, the control ring, the device.
 *
 * Hides: nothing from netfront*.c. Nobody else includes it but their tests.
 */
#ifndef PV_NETFRONT_PRIV_H
#define PV_NETFRONT_PRIV_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/netif.h>

#include "frontdev.h"
#include "netfront.h"
#include "pool.h"
#include "ring.h"
#include "spin.h"
#include "vif.h"

#define NETFRONT_PAGE_BYTES FRONTDEV_PAGE_BYTES
#define NETFRONT_SLOTS 256u		/* of a tx or rx ring of one page */
#define NETFRONT_CTRL_SLOTS 128u
#define NETFRONT_ETH_BYTES 14u
#define NETFRONT_EXTRAS_MAX (XEN_NETIF_EXTRA_TYPE_MAX - 1u)
#define NETFRONT_PEER_ADVICE "the back end cannot be trusted with this interface: detach " \
			     "it, and report the back end's name and version"

/* What a tx request carries, or a request without data (groups). */
struct tx_shadow {
	uint32_t page;			/* of the queue's tx pool, POOL_NONE: no data */
	uint32_t frame_bytes;		/* of a frame's first request; 0: a later one */
	uint16_t next_free;
	bool busy;
	bool group;			/* multicast request: n->group_status waits */
};

/* A frame of which not all responses were there yet. */
enum rx_expect { RX_FIRST, RX_EXTRA, RX_DATA };

struct rx_state {
	struct netfront_frame frame;	/* only between two calls of receive */
	uint32_t bytes;
	uint32_t nr_extras;
	enum rx_expect expect;
	bool more;			/* the last data response's flag */
	bool drop;
};

struct netfront_queue {
	struct ring_front tx, rx;
	void *ring_pages;		/* tx, then rx */
	uint32_t tx_port, rx_port;	/* equal: not split */
	/* tx */
	struct pool tx_pool;
	struct tx_shadow shadow[NETFRONT_SLOTS];
	uint16_t free_shadow;
	uint32_t nr_extras;		/* on the ring, their responses carry no id */
	uint32_t nr_frames;		/* in flight */
	uint32_t nr_lent;		/* pages of the pool that the caller has */
	uint32_t nr_mapped;		/* of both pools, kept mapped by the back end */
	uint32_t open_page, open_at;	/* where the next small frame goes */
	/* rx */
	struct netfront_flip *flip;	/* NULL: buffers are copied into */
	struct pool rx_pool;		/* empty while pages are flipped */
	uint32_t rx_page[NETFRONT_SLOTS];	/* by ring slot; POOL_NONE: none, or flipped */
	struct rx_state in;
};

struct ctrl_shadow {
	uint16_t id, type;
	bool busy;
	bool forgotten;			/* nobody waits for it any longer */
	bool uses_page;
	bool answered;
	uint32_t status, data;
};

struct netfront_ctrl {
	struct ring_front ring;
	void *pages;			/* the ring, then a page for keys and lists */
	uint32_t gref[2], port;
	struct ctrl_shadow shadow[NETFRONT_CTRL_SLOTS];
	uint16_t generation;
	uint32_t nr_page_users;
	bool open;
};

struct netfront {
	struct frontdev dev;
	struct vif_features back;
	struct vif_frontend published;
	struct netfront_queue *queue;
	uint32_t nr_queues, tx_wanted, rx_wanted;
	struct netfront_ctrl ctrl;
	struct spin spin;
	struct netfront_stats stats;
	uint8_t mac[VIF_MAC_BYTES];
	uint32_t mtu_bytes;
	bool split, no_rx_notify;
	bool flip;			/* negotiated */
	bool flip_ended;		/* live: the back end copies after all */
	uint32_t flip_errors;		/* answers with an error, since the last without */
	const char *flip_refused;	/* asked for and not had; static text */
	bool broken;
	bool closing;			/* the back end asks us to close */
	bool leaving;			/* it left, or we do */
	bool multicast_control;		/* on now */
	int group_status;		/* 1: a group request waits for its answer */
	uint32_t passes;
	uint32_t idle_wakeups;		/* in a row without work */
};

/* Notes a lie of the back end: from now on nothing is believed. Returns -EPROTO. */
#define netfront_break(n, ...)							\
	(frontdev_fail(&(n)->dev, -EPROTO, NETFRONT_PEER_ADVICE, __VA_ARGS__),	\
	 netfront_broken(n))

/* ---- netfront-tx.c ------------------------------------------------------------- */

int netfront_tx_open(struct netfront *n, struct netfront_queue *q);
void netfront_tx_close(struct netfront_queue *q);
/* Takes answers. Returns their number, or -EPROTO. */
int netfront_tx_reap(struct netfront *n, struct netfront_queue *q);
/* Whether the largest frame fits now. */
bool netfront_tx_room(const struct netfront *n, const struct netfront_queue *q);
/* How many more answers make room worth a wake-up; 0: nothing is in flight. */
uint32_t netfront_tx_worth(const struct netfront_queue *q);

/* ---- netfront-rx.c ------------------------------------------------------------- */

int netfront_rx_open(struct netfront *n, struct netfront_queue *q);
void netfront_rx_close(struct netfront_queue *q);
/* Puts all free buffers on the ring, unpublished. */
void netfront_rx_fill(struct netfront_queue *q);

/* ---- netfront-flip.c: pages that become ours, in place of shared ones ------------ */

/* Whether the system can open an entry for the back end. */
bool netfront_flip_possible(struct netfront *n);
/* -ENOMEM: the process has none. */
int netfront_flip_open(struct netfront *n, struct netfront_queue *q);
/* Ends all entries and gives all pages back, the caller's too. Accepts a copying queue. */
void netfront_flip_close(struct netfront_queue *q);
/* Puts entries on the ring, unpublished. False: shared pages are what the queue needs. */
bool netfront_flip_fill(struct netfront_queue *q);
/* Whether the ring may need a fill, though nothing was received. */
bool netfront_flip_starved(const struct netfront_queue *q);
/* Whether the request in this ring slot named an entry; take ends it. NULL: no page came. */
bool netfront_flip_has(const struct netfront_queue *q, uint32_t slot);
uint8_t *netfront_flip_take(struct netfront_queue *q, uint32_t slot);
/* The page of a piece, or of take, goes back. False: it is none that is held. */
bool netfront_flip_put(struct netfront_queue *q, const void *addr);
/* After the last take of a pass; only then may pages be touched. -EPROTO: broken now. */
int netfront_flip_flush(struct netfront *n, struct netfront_queue *q);
/* The back end answered with an error, or said that a page came and none did. */
void netfront_flip_error(struct netfront *n);

/* ---- netfront-control.c --------------------------------------------------------- */

int netfront_ctrl_open(struct netfront *n);
/* Takes answers. 0, or -EPROTO. */
int netfront_ctrl_reap(struct netfront *n);
void netfront_ctrl_close(struct netfront *n);

/* ---- netfront-wait.c ------------------------------------------------------------ */

int netfront_broken(struct netfront *n);
/* 0, or why nothing can be done with the interface any more. */
int netfront_state(const struct netfront *n);
/* Takes in the answers of all rings and sleeps until done says so. -ETIMEDOUT. */
int netfront_wait_for(struct netfront *n, bool (*done)(struct netfront *n, void *arg),
		      void *arg, int timeout_ms);
/* Publishes buffers, and notifies if that was asked for. */
void netfront_push_rx(struct netfront *n, struct netfront_queue *q);
/* Raises rx and tx events of every queue, whether or not they were asked for. */
void netfront_notify_all(struct netfront *n);

#endif
