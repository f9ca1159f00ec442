/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every device of one kind that this domain serves, found and kept by watching
 * XenStore.
 *
 * Hides: watches and their merging, one object per device, looking at the store
 * and doing what lifecycle.h says. Must not know: what a device of the kind
 * does (device.h), processes. The loop's thread; one xs_handle.
 *
 * However many events come, a device has one mark "look again", and is looked
 * at once per turn of the loop: a peer that writes as fast as it can costs
 * bounded memory, and the other devices one look of delay.
 */
#ifndef PV_BACKEND_H
#define PV_BACKEND_H

#include "device.h"

struct backend;

/*
 * Watches the store, and takes up what is there already when the loop runs.
 * config outlives it. -errno of the store.
 */
int backend_open(struct evloop *loop, struct xs_handle *xs, const struct device_kind *kind,
		 const struct backend_config *config, struct backend **out);
/*
 * Ends all workers once they have answered what is in flight; states stay as
 * they are and journals are kept, so that the next daemon goes on. Stops the
 * loop when all have ended, or none of the last of several ends for 3 s.
 */
void backend_shutdown(struct backend *b);
/* As device_kind's, of all devices (upgrade.h). */
const char *backend_unsettled(const struct backend *b, bool coming);
/* Why this daemon cannot be replaced while it serves what it does. */
bool backend_cannot_leave(const struct backend *b, char *why, size_t why_bytes);
int backend_hand_over(const struct backend *b, struct takeover *t);
/* A device is served by a worker that a version before has left, whose turn is to come. */
bool backend_inherits(const struct backend *b);
/* Devices that are still in the hands of a version before are resumed; why is for people. */
void backend_give_up(struct backend *b, const char *why);
/* Kills what still runs. Accepts NULL. */
void backend_close(struct backend *b);

#endif
