/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often the devices of one guest are opened (openings.h).
 *
 * Hides: that what is saved up is one time. Must not know: devices, clocks.
 */
#include "openings.h"

#include <stdlib.h>
#include "util.h"

struct openings {
	struct openings *next;
	uint32_t frontend_id, nr_devices;
	uint64_t full_ms;	/* when all has come back that is saved up */
};

struct openings *openings_join(struct openings **all, uint32_t frontend_id)
{
	struct openings *o = *all;

	while (o && o->frontend_id != frontend_id)
		o = o->next;
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return NULL;
		o->frontend_id = frontend_id;
		o->next = *all;
		*all = o;
	}
	o->nr_devices++;
	return o;
}

void openings_leave(struct openings **all, struct openings *o)
{
	struct openings **at = all;

	if (!o || --o->nr_devices)
		return;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	free(o);
}

bool openings_take(struct openings *o, uint64_t *turn_ms, uint64_t now_ms)
{
	uint64_t saved_ms = (OPENINGS_BURST + OPENINGS_BURST_DEVICE * (uint64_t)o->nr_devices) *
			    OPENINGS_REFILL_MS;

	if (!*turn_ms) {
		o->full_ms = MAX(o->full_ms, now_ms) + OPENINGS_REFILL_MS;
		if (o->full_ms <= now_ms + saved_ms)
			return true;
		*turn_ms = o->full_ms - saved_ms;
	}
	if (now_ms < *turn_ms)
		return false;
	*turn_ms = 0;
	return true;
}
