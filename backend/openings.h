/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often the devices of one guest are opened and connected.
 *
 * Hides: what is saved up, whose turn is next. Must not know: devices, clocks. The loop's
 * thread.
 *
 * A front end that closes and comes back as fast as it can costs a process each time. What is
 * free grows with the devices that the guest was given, so that each boots as if it were
 * alone; what comes back by and by does not, or many disks would have as many processes started.
 */
#ifndef PV_OPENINGS_H
#define PV_OPENINGS_H

#include <stdbool.h>
#include <stdint.h>

#define OPENINGS_BURST 24u	/* of a guest */
#define OPENINGS_BURST_DEVICE 16u	/* and of each device */
#define OPENINGS_REFILL_MS 50u

struct openings;		/* one guest's */

/* One more device of that guest. *all: of all guests, NULL at first. NULL: no memory. */
struct openings *openings_join(struct openings **all, uint32_t frontend_id);
/* Accepts NULL. */
void openings_leave(struct openings **all, struct openings *o);
/*
 * Whether a device may now. *turn_ms is its own, 0 at first; false: it says when, and keeps the
 * device its turn.
 */
bool openings_take(struct openings *o, uint64_t *turn_ms, uint64_t now_ms);

#endif
