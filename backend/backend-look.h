/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What XenStore says of one device, as lifecycle.h wants it.
 *
 * Hides: what of the store is believed, and which watches there are on what a front end
 * writes. Must not know: kinds of devices, what is done about it. The loop's thread.
 */
#ifndef PV_BACKEND_LOOK_H
#define PV_BACKEND_LOOK_H

#include "backend-device.h"
#include "lifecycle.h"

#define BACKEND_RETRY_MS 1000	/* after the store refused a request */

/*
 * Reads the device's nodes and its front end's; listens to that from the first time on.
 * -errno: the store did not answer, so nothing is known.
 */
int backend_look(struct backend_device *d, struct lifecycle_view *v);
/* It is to be looked at again by then, or sooner. */
static inline void backend_look_at(struct backend_device *d, uint64_t ms)
{
	d->look_at_ms = d->look_at_ms ? MIN(d->look_at_ms, ms) : ms;
}
/* No events of the front end's until the first look after front_due_ms. */
void backend_look_mute(struct backend_device *d);

#endif
