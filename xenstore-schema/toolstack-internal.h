/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the tool stack's side share.
 *
 * Hides: the paths of one device. Must not know: what is in them. Not for
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

int toolstack_dirs(struct toolstack_dirs *out, uint32_t backend_domid,
		   const char *kind, uint32_t domid, uint32_t devid);
void toolstack_look_dirs(struct xs_handle *xs, const struct toolstack_dirs *dirs,
			 struct toolstack_view *out);

#endif
