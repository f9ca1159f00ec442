/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a front end finds its back end, and how it watches it.
 *
 * Hides: the keys that name the peer and its state. Must not know: kinds of
 * devices, what follows from a state. Linked by front ends without an
 * operating system. Source: xen/io/xenbus.h, docs/misc/xenstore-paths.pandoc.
 */
#ifndef PV_OTHEREND_H
#define PV_OTHEREND_H

#include "xenbus.h"

/*
 * Fills dev for device kind/devid of our own domain: our directory, the back
 * end's directory and domid, and our state as the store has it. xs stays the
 * caller's. -ENOENT, -EINVAL: err names the node; our directory's name is known
 * all the same unless it is empty. Other -errno of the store.
 */
int otherend_find(struct xs_handle *xs, const char *kind, uint32_t devid,
		  struct xenbus_device *dev, struct key_error *err);

/* Watches our own directory, of which otherend_find() has told the name, for nodes to come. */
int otherend_watch_own(const struct xenbus_device *dev, const char *token);
void otherend_unwatch_own(const struct xenbus_device *dev, const char *token);

/* Watches the back end's state; token as xs_watch()'s. */
int otherend_watch(const struct xenbus_device *dev, const char *token);
void otherend_unwatch(const struct xenbus_device *dev, const char *token);

#endif
