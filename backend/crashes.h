/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a crashed worker gets a successor, and when it was too often.
 *
 * Hides: the figures, and the words for it. Must not know: what crashed, how a successor is started.
 */
#ifndef PV_CRASHES_H
#define PV_CRASHES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CRASHES_MAX 5u
#define CRASHES_WINDOW_MS 10000u
#define CRASHES_DELAY_MS 50

/* All zero: none yet. */
struct crashes {
	uint64_t at_ms[CRASHES_MAX];
	uint32_t nr;
};

/*
 * Notes one. Returns the milliseconds that its successor is to wait: none at first, since
 * a guest waits; -1: CRASHES_MAX in CRASHES_WINDOW_MS, there is to be no successor.
 */
static inline int64_t crashes_note(struct crashes *c, uint64_t now_ms)
{
	uint32_t recent = 0;

	c->at_ms[c->nr++ % CRASHES_MAX] = now_ms;
	for (uint32_t i = 0; i < CRASHES_MAX && i < c->nr; i++)
		recent += now_ms - c->at_ms[i] < CRASHES_WINDOW_MS;
	if (recent == CRASHES_MAX)
		return -1;
	return recent <= 1 ? 0 : (int64_t)CRASHES_DELAY_MS << (recent - 2);
}

/* Why there is no successor; last: how the last one ended, elsewhere in memory. */
static inline void crashes_say(char *reason, size_t bytes, const char *last)
{
	snprintf(reason, bytes, "gave up after %u crashes in %u s: %.120s", CRASHES_MAX,
		 CRASHES_WINDOW_MS / 1000, last);
}

#endif
