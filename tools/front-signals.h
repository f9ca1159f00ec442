/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals of a program that drives a front end.
 *
 * Hides: handlers, and which thread must get a signal. Must not know: kinds of
 * devices. One environment per process.
 */
#ifndef PV_FRONT_SIGNALS_H
#define PV_FRONT_SIGNALS_H

#include <stdbool.h>

#include "front-linux.h"

/* SIGINT, SIGTERM and SIGHUP stop its waits (-EINTR) and end system calls that block. */
void front_signals_catch(struct front_linux *fl);
/* What was interrupted is over; the next signal ends the wait for the back end. */
void front_signals_closing(void);
/* Before fl is closed. */
void front_signals_release(void);
bool front_signals_caught(void);
/* Says text (static) once if nobody took it back (NULL) within two seconds. */
void front_signals_hint(const char *text);

#endif
