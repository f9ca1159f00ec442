/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the parts of the guest that stand for libxen*: whether there is something
 * to wait for.
 */
#ifndef CMP_GUEST_XEN_H
#define CMP_GUEST_XEN_H

#include <stdbool.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "front.h"

/* What the front ends are opened with. */
struct front_env *xen_env(void);

bool events_ready(void);
bool store_ready(void);
/*
 * From here on a notification is one write that wakes the other end itself, if the
 * monitor has arranged for it.
 */
void events_direct(void);

#endif
