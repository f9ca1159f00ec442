/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the tool stack's side share.
 *
 * Hides: the paths of one device, how a new one is written. Must not know: what is in them. Not for
 * other rooms.
 */
#ifndef PV_TOOLSTACK_INTERNAL_H
#define PV_TOOLSTACK_INTERNAL_H

#include "toolstack.h"
#include "xenbus-internal.h"

struct toolstack_dirs {
	char back[XENBUS_PATH_BYTES], front[XENBUS_PATH_BYTES];
	char libxl[XENBUS_PATH_BYTES];
	char back_error[XENBUS_PATH_BYTES], front_error[XENBUS_PATH_BYTES];
};

/* Of one directory; a NULL value is left out, a NULL key ends the list. */
struct toolstack_node {
	const char *key, *value;
};

struct toolstack_text {
	char domid[12], backend_domid[12], devid[12];
};

/* A device to create: what every kind has, and lists of what its kind has of its own. */
struct toolstack_new {
	uint32_t domid, backend_domid, devid;
	const char *kind;
	bool libxl;
	const struct toolstack_node *back, *front;
	const struct toolstack_node *front_ro;	/* the guest may not change them */
};

/* As the node has it; NULL, for no node, when nothing is limited. */
static inline const char *limit_text(enum limit_device of, const struct limit *l,
				     char buf[LIMIT_TEXT_BYTES])
{
	limit_format(of, l, buf);
	return *buf ? buf : NULL;
}

/* As toolstack_create_disk(). */
int toolstack_create(struct xs_handle *xs, const struct toolstack_new *new);
int toolstack_text(struct toolstack_text *out, uint32_t domid, uint32_t backend_domid,
		   uint32_t devid);
int toolstack_dirs(struct toolstack_dirs *out, uint32_t backend_domid,
		   const char *kind, uint32_t domid, uint32_t devid);
void toolstack_look_dirs(struct xs_handle *xs, const struct toolstack_dirs *dirs,
			 struct toolstack_view *out);

#endif
