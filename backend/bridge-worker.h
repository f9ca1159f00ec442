/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker of one bridge: netback's ports as the supervisor asks for them, and
 * the loop that runs its passes.
 *
 * Hides: when to look, to spin, to sleep; which event channels are masked. Must not
 * know: XenStore, frames.
 */
#ifndef PV_BRIDGE_WORKER_H
#define PV_BRIDGE_WORKER_H

#include "sandbox.h"

/* Serves the supervisor at sock until STOP or its end. Returns the exit status. sandbox: as
 * worker_main()'s (worker-main.h). */
int bridge_worker(int sock, const struct sandbox *sandbox);

#endif
