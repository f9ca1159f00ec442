/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that the version of this program before has left (takeover.h): it serves until its
 * successor is prepared, then ends by itself.
 *
 * Hides: that it is a process, whose words are not heard any more. Must not know: disks,
 * interfaces; who its successor is. The loop's thread.
 */
#ifndef PV_FORMER_H
#define PV_FORMER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "evloop.h"
#include "takeover.h"

struct former;

struct former_options {
	struct evloop *loop;
	struct takeover *takeover;	/* NULL: nothing was left */
	const char *title;		/* its name there */
	const char *who;		/* for the log; outlives it */
	uint32_t stop_ms;		/* from former_hang_up() to SIGKILL */
	/*
	 * It has ended, and *out is NULL already. in_order: by itself, rather than by a signal, ours
	 * or another's. NULL: nobody asks.
	 */
	void (*ended)(void *arg, bool in_order);
	void *arg;
};

/*
 * *out is NULL when none was left, or it has ended meanwhile: no failure. Its end makes *out
 * NULL, so out must outlive it. -errno: it could not be adopted, and was told to end.
 */
int former_adopt(const struct former_options *o, struct former **out);
pid_t former_pid(const struct former *f);
/* Asks it to end. Again is fine; accepts NULL. */
void former_hang_up(struct former *f);
/* Kills and reaps it; ended is not called. Accepts NULL. */
void former_free(struct former *f);

#endif
