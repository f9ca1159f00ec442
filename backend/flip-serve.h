/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor's side of the flip helper: whether pages can be given to guests on
 * this host, and who gives them.
 *
 * Hides: the helper's process, and that it is started again when it dies. Must not
 * know: bridges, vifs, hypercalls. The loop's thread.
 */
#ifndef PV_FLIP_SERVE_H
#define PV_FLIP_SERVE_H

#include <stdbool.h>
#include "device.h"

struct flip_helper;

/*
 * Starts it, and waits for its first word. changed, not called from in here:
 * flip_helper_ready() says something else than before. -ENOMEM; all else that goes wrong
 * is logged, and then pages are copied into.
 */
int flip_helper_open(struct evloop *loop, const struct backend_config *config,
		     void (*changed)(void *arg), void *arg, struct flip_helper **out);
/* Accepts NULL. */
/* Its process, for the next version of this program, which ends it: it has its own. -errno. */
int flip_helper_hand_over(const struct flip_helper *h, struct takeover *t);
void flip_helper_close(struct flip_helper *h);
/* Accepts NULL: none is wanted. */
bool flip_helper_ready(const struct flip_helper *h);
/* A socket for one worker; the caller's. -EAGAIN: it is not ready. */
int flip_helper_connect(struct flip_helper *h, int *sock);

#endif
