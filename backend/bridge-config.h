/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the administrator says of bridges in XenStore (switch-config.h), done: times
 * are passed on, uplinks are made and taken away, live.
 *
 * Hides: which uplink exists, which is on its way in or out, that one that fails is
 * tried again. Must not know: nodes, messages, vifs. The loop's thread.
 */
#ifndef PV_BRIDGE_CONFIG_H
#define PV_BRIDGE_CONFIG_H

#include "bridge-serve.h"

#define BRIDGE_CONFIG_TOKEN KIND_TOKEN "bridges"

struct bridge_config;

/* Watches with the token, and reads what is there. bridges outlives it. */
int bridge_config_open(struct evloop *loop, struct xs_handle *xs, uint32_t domid,
		       struct bridges *bridges, struct bridge_config **out);
/* An event of the watch. */
void bridge_config_changed(struct bridge_config *c);
/* What a version before has left is known, and has been taken if it is wanted. */
bool bridge_config_has_come(const struct bridge_config *c);
/* The next version would not know what an uplink is to be: why, as device_kind's. */
bool bridge_config_cannot_leave(const struct bridge_config *c, char *why, size_t why_bytes);
/* Its TAP devices, for the next version of this program. -errno. */
int bridge_config_hand_over(const struct bridge_config *c, struct takeover *t);
/* All uplinks leave; what is written from now on is not looked at. */
void bridge_config_shutdown(struct bridge_config *c);
/* Accepts NULL. */
void bridge_config_close(struct bridge_config *c);

#endif
