/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The environment of our front ends: their handles, and waiting. Hides where an event
 * comes from; must not know devices.
 */
#include "guest.h"
#include "guest-xen.h"

static bool something(void *arg)
{
	unsigned int what = *(unsigned int *)arg;

	return (what & FRONT_WAIT_STORE && store_ready()) ||
	       (what & FRONT_WAIT_EVENT && events_ready());
}

/* Times out by the monitor's deadline for the whole job, never by this. */
static int guest_wait(void *ctx, unsigned int what, int *left_ms)
{
	int r = 0;

	(void)ctx;
	if (*left_ms)
		irq_wait(something, &what);
	if (what & FRONT_WAIT_STORE && store_ready())
		r |= FRONT_WAIT_STORE;
	if (what & FRONT_WAIT_EVENT && events_ready())
		r |= FRONT_WAIT_EVENT;
	return r;
}

struct front_env *xen_env(void)
{
	static struct front_env env;

	env.wait = guest_wait;
	env.xs = xs_open(0);
	env.xgs = xengntshr_open(NULL, 0);
	env.xce = xenevtchn_open(NULL, 0);
	return &env;
}
