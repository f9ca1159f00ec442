/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notices that open images have another size than they had.
 *
 * Hides: inotify, which images have to be asked instead, how often. Must not
 * know: devices, XenStore. The loop's thread.
 *
 * A file is watched, so that an idle one costs nothing and a network's file
 * system is asked only when something happens; a busy one is looked at once in
 * IMAGE_WATCH_MS. A block device tells nobody, and is asked that often.
 */
#ifndef PV_IMAGE_WATCH_H
#define PV_IMAGE_WATCH_H

#include "evloop.h"

#define IMAGE_WATCH_MS 2000

struct image_watches;
struct image_watch;

/* loop outlives it. -errno of inotify. */
int image_watches_open(struct evloop *loop, struct image_watches **out);
/* No watch is left. Accepts NULL. */
void image_watches_close(struct image_watches *ws);

/*
 * changed() runs when the size differs from the last one seen; it may add and
 * remove watches. fd stays the caller's, and open. -errno: not watched, and
 * *out is NULL.
 */
int image_watch_add(struct image_watches *ws, int fd, void (*changed)(void *arg),
		    void *arg, struct image_watch **out);
/* Accepts NULL. */
void image_watch_remove(struct image_watch *w);

#endif
