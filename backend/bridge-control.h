/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tools may ask a net back end (control.h), answered by its bridges.
 *
 * Hides: which question of whom is being answered. Must not know: sockets, workers.
 * The loop's thread.
 */
#ifndef PV_BRIDGE_CONTROL_H
#define PV_BRIDGE_CONTROL_H

#include "bridge-serve.h"

struct bridge_control;

/* dir: the run directory. bridges outlives it. -errno; why is for people. */
int bridge_control_open(struct evloop *loop, const char *dir, struct bridges *bridges,
			struct bridge_control **out, char *why, size_t why_bytes);
/* Accepts NULL. */
void bridge_control_close(struct bridge_control *c);

#endif
