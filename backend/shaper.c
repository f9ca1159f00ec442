/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A token bucket. A microsecond is worth bytes units, an octet costs interval_us
 * of them: nothing is divided, and so nothing lost, until somebody has to wait.
 */
#include <errno.h>
#include <string.h>
#include "shaper.h"

static int64_t units(uint64_t bytes, uint64_t interval_us)
{
	return (int64_t)(bytes * interval_us);
}

static void fill(struct shaper *s, uint64_t now_us)
{
	uint64_t elapsed_us = now_us - s->now_us;
	uint64_t missing = (uint64_t)(s->full - s->credit);

	s->now_us = now_us;
	if (elapsed_us >= missing / s->bytes + 1)
		s->credit = s->full;
	else
		s->credit += (int64_t)(elapsed_us * s->bytes);
}

int shaper_configure(struct shaper *s, uint64_t bytes, uint64_t interval_us,
		     uint64_t burst_bytes, uint64_t now_us)
{
	int64_t saved_bytes = INT64_MAX;

	if (bytes && (!interval_us || bytes > SHAPER_MAX || interval_us > SHAPER_MAX ||
		      burst_bytes > SHAPER_MAX))
		return -EINVAL;
	if (!bytes) {
		*s = (struct shaper){ 0 };
		return 0;
	}
	if (s->bytes) {
		fill(s, now_us);
		saved_bytes = s->credit / s->interval_us;
	}
	if (burst_bytes < bytes)
		burst_bytes = bytes;
	if (burst_bytes < SHAPER_BURST_MIN)
		burst_bytes = SHAPER_BURST_MIN;
	*s = (struct shaper){ .now_us = now_us, .full = units(burst_bytes, interval_us),
			      .bytes = (uint32_t)bytes, .interval_us = (uint32_t)interval_us };
	s->credit = saved_bytes < (int64_t)burst_bytes ? saved_bytes * (int64_t)interval_us
						       : s->full;
	return 0;
}

uint64_t shaper_take(struct shaper *s, uint32_t bytes, uint64_t now_us)
{
	int64_t cost, needed;

	if (!s->bytes)
		return 0;
	fill(s, now_us);
	if (bytes > SHAPER_MAX)
		bytes = SHAPER_MAX;
	cost = units(bytes, s->interval_us);
	needed = cost < s->full ? cost : s->full;
	if (s->credit >= needed) {
		s->credit -= cost;
		return 0;
	}
	return ((uint64_t)(needed - s->credit) + s->bytes - 1) / s->bytes;
}
