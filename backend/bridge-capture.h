/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The captures of a bridge's worker, by the numbers that its supervisor gave them.
 *
 * Hides: whose descriptor is whose, how a capture ends: its reader goes, its port
 * goes, the supervisor says so. Must not know: what is in a stream (netback.h). The
 * worker's thread.
 */
#ifndef PV_BRIDGE_CAPTURE_H
#define PV_BRIDGE_CAPTURE_H

#include <stdint.h>
#include "bridge.h"

struct bridge_capture;
struct evloop;

struct bridge_captures {
	int sock;			/* to the supervisor */
	struct netback *nb;
	struct evloop *loop;		/* a capture ends in it when its reader goes */
	struct bridge_capture *list;
};

/*
 * ask: a BRIDGE_CAPTURE; port: the switch's, NETBACK_EVERY_PORT, or VSWITCH_PORTS_MAX
 * when there is none; *fd is taken. A failure is told to the supervisor as a capture
 * that ended.
 */
void bridge_capture_start(struct bridge_captures *all, const struct bridge_msg *ask,
			  uint32_t port, int *fd);
/* Each is flushed as far as its reader takes it, and the supervisor is told. */
void bridge_capture_stop(struct bridge_captures *all, uint32_t number);
void bridge_capture_stop_port(struct bridge_captures *all, uint32_t port);
void bridge_capture_stop_all(struct bridge_captures *all);
/* Before the loop waits: whose readers it should wait for. */
void bridge_capture_watch(struct bridge_captures *all);

#endif
