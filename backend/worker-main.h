/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker's whole life, for the program's main().
 */
#ifndef PV_WORKER_MAIN_H
#define PV_WORKER_MAIN_H

#include "sandbox.h"

/*
 * Serves the device that the supervisor at the other end of sock describes
 * (worker.h), and returns the process's exit status: 0 when the supervisor
 * knows how it ended (STOPPED, FAILED), 1 when the supervisor went away. main() has called
 * sandbox_early() and log_open() before. sandbox: its later stages, before the guest's
 * memory is touched; NULL: a thread of a test.
 */
int worker_main(int sock, const struct sandbox *sandbox);

#endif
