/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which disks and network interfaces exist, for tools that are given a domain and a
 * device's number.
 *
 * Hides: where domains and devices are found in XenStore and whose word is
 * taken: a device exists when a back end's directory says so; a guest writes
 * its own directory and may say anything there. Must not know: images, output.
 * Any thread, one at a time per xs_handle.
 */
#ifndef PV_INVENTORY_H
#define PV_INVENTORY_H

#include "vbd.h"

#define INVENTORY_ANY UINT32_MAX	/* every domain */

struct inventory_device {
	uint32_t domid, backend_domid, devid;
	const char *kind;		/* static: "vbd", "vbd3", "qdisk"; "vif", "qnic" */
	char back_dir[XENBUS_PATH_BYTES], front_dir[XENBUS_PATH_BYTES];
};

typedef int inventory_fn(void *arg, const struct inventory_device *dev);

enum inventory_class { INVENTORY_DISKS, INVENTORY_NICS };

/* Of a back end's directory: "vbd", "vif" ... -EINVAL: of neither. */
int inventory_class_of(const char *kind, enum inventory_class *out);
/* Whether it is there or not. kind must be one of the above. -ENAMETOOLONG. */
int inventory_name(const char *kind, uint32_t domid, uint32_t backend_domid,
		   uint32_t devid, struct inventory_device *out);
/*
 * Calls fn for every device of domid that backend_domid serves (either may be
 * INVENTORY_ANY), ordered by back end, kind, domain, device; stops at the first
 * non-zero return and returns it. -errno of the store.
 */
int inventory_each(struct xs_handle *xs, enum inventory_class of, uint32_t backend_domid,
		   uint32_t domid, inventory_fn *fn, void *arg);
/*
 * The device of that number, of one kind or (NULL) any. own_domid's word comes
 * before other domains'. -ENOENT: none. -ENOTUNIQ: several back ends name one; out
 * is the first.
 */
int inventory_find(struct xs_handle *xs, enum inventory_class of, uint32_t own_domid,
		   uint32_t backend_domid, uint32_t domid, uint32_t devid,
		   const char *kind, struct inventory_device *out);

/*
 * Events for every change of a device that backend_domid serves, or of its error node; the
 * first one comes at once. -errno of the store.
 */
int inventory_watch(struct xs_handle *xs, uint32_t backend_domid, const char *token);
/*
 * Of the front end's state too: the token of these events is what inventory_of_event() takes
 * for a path. Off: when the device has gone.
 */
int inventory_watch_front(struct xs_handle *xs, const struct inventory_device *dev, bool on);
/*
 * Which device an event's path is about, whether it is there or not. -ENOENT: none, or
 * more than one: any may have changed.
 */
int inventory_of_event(const char *path, uint32_t backend_domid, struct inventory_device *out);

/* -ENOENT: no such domain, or it has no name. */
int inventory_domain_name(struct xs_handle *xs, uint32_t domid, char *buf, size_t bytes);
bool inventory_domain_exists(struct xs_handle *xs, uint32_t domid);

/* Whether libxl manages this host, and whether it made this domain. */
bool inventory_host_has_libxl(struct xs_handle *xs);
bool inventory_libxl_knows(struct xs_handle *xs, uint32_t domid);

/* The hotplug script of a device, or -ENOENT. */
int inventory_script(struct xs_handle *xs, const struct inventory_device *dev,
		     char *buf, size_t bytes);
/* What the script said why it failed, or -ENOENT. */
int inventory_script_error(struct xs_handle *xs, const struct inventory_device *dev,
			   char *buf, size_t bytes);

#endif
