/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding a device's two directories from one of them, and watching the peer.
 *
 * Hides: the keys of the mutual links and of the state node. Must not know:
 * which keys a kind of device has, event loops, stdio. As xenbus.h: any
 * thread, one at a time per xs_handle; no operating system needed.
 */
#ifndef PV_XENBUS_DEVICE_H
#define PV_XENBUS_DEVICE_H

#include "xenbus.h"

/* Where a domain's back ends of one kind are: "/local/domain/0/backend/vbd". */
int xenbus_backend_root(char *buf, size_t bytes, uint32_t backend_domid,
			const char *kind);

/*
 * Fills *out for the end whose directory nodename (absolute) is: domid is its
 * own, the links say the peer's; state is what its node says now.
 * -ENOENT, -EINVAL: err names the link that is missing, or does not lead below
 * the peer's directory.
 */
int xenbus_open_device(struct xs_handle *xs, enum xenbus_side side, uint32_t domid,
		       const char *nodename, struct xenbus_device *out,
		       struct key_error *err);

/* A watch on the peer's state. Events carry token; one comes at once. */
int xenbus_watch_otherend(const struct xenbus_device *dev, const char *token);
int xenbus_unwatch_otherend(const struct xenbus_device *dev, const char *token);

/*
 * Waiting for the tool stack's word on our own directory: the node's state now.
 * -ENOENT: the directory has gone, or was never complete (no state node and no
 * link). A missing or bad state node alone is XenbusStateUnknown. Other -errno:
 * the store did not answer.
 */
int xenbus_look_own_state(struct xenbus_device *dev, XenbusState *out);

/* The peer's, likewise; gone, unreadable to us or bad is XenbusStateUnknown. */
int xenbus_look_otherend_state(struct xenbus_device *dev, XenbusState *out);

#endif
