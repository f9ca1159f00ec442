/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The environment that the front ends are opened with: this is all that a system
 * must bring. Hides how the guest waits; must not know devices.
 */
#include "bare.h"

static bool something(void *arg)
{
	unsigned int what = *(unsigned int *)arg;

	return (what & FRONT_WAIT_STORE && store_ready()) ||
	       (what & FRONT_WAIT_EVENT && events_ready());
}

/* What a wait took beyond whole milliseconds counts for the next one. */
static void take_off(uint64_t passed_ns, int *left_ms)
{
	static uint64_t rest_ns;
	uint64_t ms;

	rest_ns += passed_ns;
	ms = rest_ns / 1000000u;
	rest_ns %= 1000000u;
	*left_ms = ms < (uint64_t)*left_ms ? *left_ms - (int)ms : 0;
}

static int bare_wait(void *ctx, unsigned int what, int *left_ms)
{
	uint64_t start;
	int r = 0;

	(void)ctx;
	if (*left_ms == 0) {
		events_collect();
	} else if (*left_ms < 0) {
		wait_until(something, &what, NEVER_NS);
	} else {
		start = time_ns();
		wait_until(something, &what, start + (uint64_t)*left_ms * 1000000u);
		take_off(time_ns() - start, left_ms);
	}
	if (what & FRONT_WAIT_STORE && store_ready())
		r |= FRONT_WAIT_STORE;
	if (what & FRONT_WAIT_EVENT && events_ready())
		r |= FRONT_WAIT_EVENT;
	return r;
}

struct front_env *front_env(void)
{
	static struct front_env env = { .wait = bare_wait, .flip = &flip_ops };

	if (!env.xs) {
		env.xs = xs_open(0);
		env.xgs = xengntshr_open(NULL, 0);
		env.xce = xenevtchn_open(NULL, 0);
	}
	return &env;
}
