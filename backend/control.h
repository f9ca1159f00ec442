/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tools ask a running net back end, and its answers, over a socket in its run
 * directory (mode 0600): counters, which XenStore is not for, and captures.
 *
 * Hides: the socket, its clients, their number. Must not know: bridges, XenStore;
 * what a request means is the owner's.
 *
 * One struct control_msg is one packet of a SOCK_SEQPACKET socket. A client that does
 * not read what it asked for, says nonsense or says nothing while others want its place
 * is disconnected; nobody waits for it.
 *
 *   client                            daemon
 *   BRIDGES                     ->
 *                               <-    BRIDGE for each, then DONE
 *   PORTS bridge                ->
 *                               <-    PORT for each, then DONE, or REFUSED
 *   ADDRESSES bridge            ->
 *                               <-    ADDRESS for each, then DONE, or REFUSED
 *   CAPTURE bridge or vif       ->
 *                               <-    CAPTURING + a pipe to read pcap from, or REFUSED
 *   CAPTURE_STOP                ->    (or it hangs up)
 *                               <-    CAPTURED, also when the capture ends by itself
 */
#ifndef PV_CONTROL_H
#define PV_CONTROL_H

#include "bridge.h"
#include "evloop.h"

#define CONTROL_VERSION 1u
#define CONTROL_SOCKET "control"	/* in the run directory */
#define CONTROL_ANY UINT32_MAX		/* as domid of CAPTURE: the bridge is meant */

enum control_type {
	CONTROL_BRIDGES = 1, CONTROL_PORTS, CONTROL_ADDRESSES, CONTROL_CAPTURE,
	CONTROL_CAPTURE_STOP,
	CONTROL_BRIDGE = 32, CONTROL_PORT, CONTROL_ADDRESS, CONTROL_CAPTURING,
	CONTROL_CAPTURED, CONTROL_REFUSED, CONTROL_DONE,
};

struct control_port {
	struct bridge_port_info info;
	struct vswitch_counters counters;
};

struct control_msg {
	uint32_t version, type;
	char bridge[VIF_NAME_BYTES];	/* requests; BRIDGE */
	union {
		struct {
			uint32_t nr_ports;
			int32_t pid;
		} found;		/* BRIDGE */
		struct control_port port;
		struct vswitch_address address;	/* port: bridge_port_info.id */
		struct netback_stats all;	/* DONE after PORTS */
		struct {
			uint32_t domid, devid;	/* CONTROL_ANY: all of the bridge */
			uint32_t snaplen;
		} capture;
		struct bridge_captured captured;
		struct failure failure;
	};
};

/* ---- client --------------------------------------------------------------------- */

/* dir: the run directory. -ENOENT, -ECONNREFUSED: no daemon. */
int control_connect(const char *dir, int *fd);
int control_ask(int fd, const struct control_msg *msg);
/* As packet_receive(), at most one descriptor; *pipe is -1 when there is none. */
int control_hear(int fd, struct control_msg *msg, int *pipe);

/* ---- server --------------------------------------------------------------------- */

struct control;
struct control_client;

struct control_owner {
	/* A request of a known type; its texts end. */
	void (*asked)(void *arg, struct control_client *c, const struct control_msg *msg);
	/* Last: it has gone. */
	void (*gone)(void *arg, struct control_client *c);
};

/* -errno; why names the path. owner is kept. */
int control_open(struct evloop *loop, const char *dir, const struct control_owner *owner,
		 void *arg, struct control **out, char *why, size_t why_bytes);
/* gone is called for each client. Accepts NULL. */
void control_close(struct control *c);
/*
 * fd: one descriptor or -1; it stays the caller's. Version is filled in. One that does
 * not take it is disconnected, and gone follows from the loop. -errno of that.
 */
int control_answer(struct control_client *c, struct control_msg *msg, int fd);
int control_refuse(struct control_client *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
