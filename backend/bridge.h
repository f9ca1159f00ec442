/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the net back end's supervisor and the worker of one bridge say to each
 * other.
 *
 * Hides: the message layout. Must not know: the data path, XenStore keys. Packets
 * as packet.h on the pair whose worker end is BRIDGE_FD of a freshly executed
 * program, as for block devices (worker.h); but a bridge has many ports, so all
 * messages but the first name one, by a number that the supervisor chose.
 *
 *   supervisor                        worker
 *   OPEN                        ->
 *                               <-    READY or REFUSED (port BRIDGE_ITSELF)
 *   ADD_VIF (+ journal,
 *            perhaps figures),
 *   ADD_UPLINK (+ TAP)          ->    maps, binds, joins the switch
 *                               <-    ADDED or REFUSED: reason
 *   SET_PORT, SET_RATE, SET_LIMIT,
 *   SET_MULTICAST, CONFIGURE    ->    at once, without an answer
 *   REMOVE                      ->    leaves the switch, answers, unmaps
 *                               <-    REMOVED
 *                               <-    BROKEN: the ring is insane, and removed
 *   COUNT                       ->
 *                               <-    COUNTED
 *   LIST                        ->
 *                               <-    LISTED, until one says that it is the last
 *   CAPTURE (+ stream)          ->    what goes through a port, or all, as pcap
 *   CAPTURE_STOP                ->
 *                               <-    CAPTURED: it has ended, for whatever reason
 *   FLIP (+ socket)             ->    the flip helper's (flip.h), instead of any before
 *                               <-    FLIP_ENDED: a vif that asked for pages gets copies
 *   STOP                        ->    removes all
 *                               <-    STOPPED, then exits with 0
 */
#ifndef PV_BRIDGE_H
#define PV_BRIDGE_H

#include <stddef.h>
#include <stdint.h>
#include "failure.h"
#include "netback.h"
#include "vif.h"

#define BRIDGE_FD 3
#define BRIDGE_VERSION 9u		/* raised with every change of a message: see below */
#define BRIDGE_ITSELF UINT32_MAX

enum bridge_type {
	BRIDGE_OPEN = 1, BRIDGE_ADD_VIF, BRIDGE_ADD_UPLINK, BRIDGE_SET_PORT,
	BRIDGE_SET_RATE, BRIDGE_SET_MULTICAST, BRIDGE_CONFIGURE, BRIDGE_REMOVE,
	BRIDGE_COUNT, BRIDGE_LIST, BRIDGE_CAPTURE, BRIDGE_CAPTURE_STOP, BRIDGE_FLIP,
	BRIDGE_STOP, BRIDGE_SET_LIMIT,
	BRIDGE_READY = 32, BRIDGE_ADDED, BRIDGE_REFUSED, BRIDGE_REMOVED,
	BRIDGE_BROKEN, BRIDGE_COUNTED, BRIDGE_LISTED, BRIDGE_CAPTURED, BRIDGE_FLIP_ENDED,
	BRIDGE_STOPPED,
};

struct bridge_rate {
	uint64_t bytes;
	uint32_t usec;
};

struct bridge_vif {
	uint32_t domid, devid;
	struct vif_frontend front;
	struct vswitch_port_config port;
	struct bridge_rate rate;
	struct limit limit;
	uint32_t log_lines;		/* log_peer_begin() */
};

/* What a port is, for people. */
struct bridge_port_info {
	uint32_t id;			/* the supervisor's number */
	bool is_uplink, is_added;
	uint32_t domid, devid;		/* of a vif */
	char name[32];			/* of an uplink */
	struct vswitch_port_config port;
	struct bridge_rate rate;
};

struct bridge_uplink {
	char name[32];
	uint8_t offloads;
	struct vswitch_port_config port;
};

#define BRIDGE_LISTED_MAX 32u
#define BRIDGE_LIST_MAX 1024u		/* of a switch's addresses, in all */

struct bridge_listed {
	uint32_t nr;
	uint8_t last;			/* not bool: a worker writes it */
	struct vswitch_address address[BRIDGE_LISTED_MAX];	/* port: the supervisor's number */
};

/* Of a port, or of all with BRIDGE_ITSELF. The stream is a pipe or a socket. */
struct bridge_captured {
	uint32_t number;		/* the supervisor chose it */
	uint32_t snaplen;		/* CAPTURE */
	int32_t err;			/* CAPTURED: positive errno, EPIPE: the reader went */
	struct pcap_counters counters;
};

struct bridge_msg {
	uint32_t version, type;
	uint32_t port;			/* the supervisor's number, or BRIDGE_ITSELF */
	union {
		struct {
			char name[VIF_NAME_BYTES];
			struct vswitch_config sw;
			uint32_t poll_us;
			uint32_t domid;		/* our own */
			uint32_t page_flip;	/* FLIP will follow, sooner or later */
		} open;
		struct bridge_vif vif;
		struct bridge_uplink uplink;
		struct vswitch_port_config set;
		struct vswitch_config configure;
		struct bridge_rate rate;
		struct limit limit;	/* SET_LIMIT */
		uint8_t on;		/* SET_MULTICAST */
		struct failure failure;
		struct bridge_captured capture;
		struct bridge_listed listed;
		struct {
			struct vswitch_counters port;
			struct netback_stats all;
		} counted;
	};
};

/*
 * A worker and its supervisor may be of different versions, and structures of the
 * schema, the switch and the data path are in the messages. Who gets here by changing
 * one raises the version, then writes down the new layout.
 */
#ifdef __LP64__
_Static_assert(BRIDGE_VERSION == 9 && BRIDGE_STOPPED == 41 &&
	       sizeof(struct bridge_msg) == 1048 && sizeof(struct bridge_vif) == 968 &&
	       offsetof(struct bridge_vif, port) == 300 &&
	       sizeof(struct vswitch_port_config) == 528 &&
	       sizeof(((struct bridge_msg *)0)->open) == 92 &&
	       sizeof(((struct bridge_msg *)0)->counted) == 200 &&
	       sizeof(struct bridge_captured) == 40 && sizeof(struct failure) == 208,
	       "messages have changed: raise BRIDGE_VERSION and note the layout");
#endif

/*
 * mac: the port's own address; NULL: it has none, which the switch refuses unless
 * the port may send from any.
 */
void bridge_port_config(const struct vif_port *port, const uint8_t *mac,
			struct vswitch_port_config *out);

/* As packet.h. fd: one descriptor or -1. -EPROTO too for another version or type. */
int bridge_send(int sock, const struct bridge_msg *msg, int fd);
int bridge_receive(int sock, struct bridge_msg *msg, int *fd);
/* The same of two: without the first there is no second. */
int bridge_send_two(int sock, const struct bridge_msg *msg, int fd, int second);
int bridge_receive_two(int sock, struct bridge_msg *msg, int *fd, int *second);

#endif
