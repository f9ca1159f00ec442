/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A port's limit: so many octets per interval, as xl's rate says it.
 *
 * Hides: a token bucket. Must not know: clocks, frames, queues. Times are the
 * caller's, in microseconds of a clock that does not go back. No allocation, any
 * thread, one at a time. Source: xl-network-configuration(5), rate.
 */
#ifndef PV_SHAPER_H
#define PV_SHAPER_H

#include <stdbool.h>
#include <stdint.h>

/* What one packet with all its segments can have, and more than one of them. */
#define SHAPER_BURST_MIN 131072u
#define SHAPER_MAX (1u << 31)		/* of each number below */

struct shaper {
	uint64_t now_us;
	int64_t credit, full;		/* in octets times interval_us */
	uint32_t bytes, interval_us;	/* bytes 0: there is no limit */
};

/*
 * bytes octets each interval_us; 0: no limit. burst_bytes: what may go at once
 * after a rest, at least SHAPER_BURST_MIN and bytes, whatever is given. New ones
 * begin full; s zeroed, or in use: then what was saved or is owed is kept.
 * -EINVAL: no interval, or a number above SHAPER_MAX; nothing has changed then.
 */
int shaper_configure(struct shaper *s, uint64_t bytes, uint64_t interval_us,
		     uint64_t burst_bytes, uint64_t now_us);

/*
 * 0: bytes octets may go, and are charged. Otherwise the microseconds after which
 * they may; nothing is charged. What is larger than a burst goes when the bucket is
 * full, and is paid off afterwards.
 */
uint64_t shaper_take(struct shaper *s, uint32_t bytes, uint64_t now_us);

#endif
