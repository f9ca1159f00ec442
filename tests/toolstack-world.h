/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store with dom0 and domain 3, called guest, for tests of the tool stack.
 *
 * Hides: what is there before a device is. Must not know: kinds of devices.
 */
#ifndef PV_TOOLSTACK_WORLD_H
#define PV_TOOLSTACK_WORLD_H

#include <stdint.h>

#include "fake-xenstore.h"
#include "unit.h"

/* Anew, and opened as dom0. The caller closes it. */
struct xs_handle *toolstack_world(void);

struct world_node {
	const char *path, *value;	/* value NULL: there is none */
};

void world_expect(const struct world_node *nodes, size_t nr);

/*
 * create(xs, what) in a new world each time, with one more of its requests
 * refused: it must say -EIO and leave nothing. Returns how many requests it makes.
 */
unsigned int world_all_or_nothing(int (*create)(struct xs_handle *xs, const void *what),
				  const void *what);

#endif
