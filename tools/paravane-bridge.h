/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of "paravane bridge" and "paravane capture" share: the daemon's
 * control socket, and how ports are called.
 *
 * Hides: where the socket is, what an answer looks like when it is bad. Must not know:
 * output. One thread.
 */
#ifndef PV_PARAVANE_BRIDGE_H
#define PV_PARAVANE_BRIDGE_H

#include "control.h"
#include "paravane.h"
#include "switch-config.h"

/* STATUS_; complains itself. */
int daemon_connect(int *fd);
/* -ENOENT and -ECONNREFUSED: no daemon runs; nothing is said. */
int daemon_try(int *fd);
int daemon_ask(int fd, const struct control_msg *ask);
/*
 * The next answer; a refusal is complained about. STATUS_NO_SUCH: what was named is not
 * there.
 */
int daemon_hear(int fd, struct control_msg *msg, int *pipe);

/* Whether the daemon here has it as a port of the bridge, with these VLANs. Says nothing. */
bool bridge_has_uplink(const char *bridge, const struct switch_uplink *up);

/* "p1,10,20-29", as vif_parse_vlan() takes it; "" for none. Cut when too long. */
void vlan_text(const struct vswitch_port_config *port, char *buf, size_t bytes);

/* The views, for people or as JSON. STATUS_. */
int bridge_list(struct store *store, uint32_t backend_domid, bool json);
int bridge_show(struct store *store, uint32_t backend_domid, const char *name, bool json);

#endif
