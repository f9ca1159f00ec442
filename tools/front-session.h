/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One open device of a program: its environment, signals while it waits, and
 * the lines that say what went wrong.
 *
 * Hides: the order of opening and closing, and what a signal makes of it. Must
 * not know: kinds of devices; the program opens and closes its own in between.
 *
 *	r = front_session_begin(&s, args);
 *	if (r == EXIT_OK) {
 *		r = x_open(front_linux_env(s.fl), ..., &problem);
 *		r = front_session_opened(&s, r, &problem);
 *	}
 *	...
 *	front_session_closing(&s);
 *	r = x_close(x, ..., &problem);
 *	status = front_session_end(&s, status, r, &problem);
 */
#ifndef PV_FRONT_SESSION_H
#define PV_FRONT_SESSION_H

#include "front-cli.h"
#include "front-linux.h"

struct front_session {
	const struct front_args *args;
	struct front_linux *fl;
};

/* Claims the device; SIGINT, SIGTERM and SIGHUP stop its waits. Returns an exit status. */
int front_session_begin(struct front_session *s, const struct front_args *a);
/* err: what opening returned. Returns an exit status (printed). */
int front_session_opened(struct front_session *s, int err, const struct front_problem *p);
/* Accepts the half-opened. From here a signal ends the wait for the back end. */
void front_session_closing(struct front_session *s);
/* err: what closing returned. Returns status, or worse if closing failed. */
int front_session_end(struct front_session *s, int status, int err,
		      const struct front_problem *p);
/*
 * "PROGRAM COMMAND: DEVICE: WHAT: WHY", and p if it has more. A signal is no
 * error. Returns the exit status.
 */
int front_session_error(const struct front_session *s, int err, const struct front_problem *p,
			const char *what, const char *why);

#endif
