/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A front end's world inside the test's own process: page sharing and event
 * channels instead of libxengnttab and libxenevtchn, a store (fake-xenstore.h),
 * and a wait in which the peer has its turn.
 *
 * Hides: grefs and ports. Must not know: devices, the front end's inside. A
 * front end that sleeps with nothing left that could wake it gets -EDEADLK from
 * the wait: a lost wake-up fails the test at once.
 */
#ifndef PV_FAKE_ENV_H
#define PV_FAKE_ENV_H

#include <stdbool.h>

#include "fake-xenstore.h"
#include "front.h"

#define FAKE_DOMID 3u

extern int fake_gnt_limit;		/* pages that may be shared at a time */
extern int fake_gnt_run_max;		/* pages in one call; 0: any number */
unsigned int fake_gnt_pages(void);	/* shared now */
#define FAKE_GRANTS 16384u		/* numbers are below */
void *fake_gnt_find(uint32_t gref, bool *writable);	/* NULL: not granted */
unsigned int fake_evtchn_ports(void);	/* bound now */
unsigned int fake_evtchn_notifies(void);	/* by the front end, so far */

/* Whether the front end notified the port (0: any) since it was asked last. */
bool fake_notified(uint32_t port);
/* The peer's event. */
void fake_raise_port(uint32_t port);

/* A fresh store with a device's links as the tool stack writes them; state 1 and 2. */
void fake_env_reset(const char *front_dir, const char *back_dir);
/* The environment of domain FAKE_DOMID; turn runs whenever the front end sleeps. */
struct front_env *fake_env(void (*turn)(void));
void fake_env_end(void);

#endif
