/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker that a dead daemon left behind: it ends by itself when its socket
 * has closed and what is in flight is answered, and until then nothing may be
 * done with its device.
 *
 * Hides: how a process that is no child is known and waited for. Must not know:
 * devices, XenStore. The loop's thread.
 */
#ifndef PV_PREDECESSOR_H
#define PV_PREDECESSOR_H

#include <sys/types.h>
#include "evloop.h"
#include "rundir.h"

struct predecessor;

/*
 * A process id is used again one day; with its start time (clock ticks after
 * boot) it is not. 0: there is no such process, or what is left of one.
 */
uint64_t predecessor_start_time(pid_t pid);

/* The worker that the info file names, whether it runs or not; 0: none. */
pid_t predecessor_pid(const struct rundir *r, const struct rundir_name *name);

/*
 * Looks in the info file. gone runs once, later, when the process has ended; it
 * is killed if that takes longer than stop_ms. -ESRCH: there is none.
 */
int predecessor_open(struct evloop *loop, const struct rundir *r,
		     const struct rundir_name *name, uint32_t stop_ms,
		     void (*gone)(void *arg), void *arg, struct predecessor **out);
/* Accepts NULL; also from within gone. */
void predecessor_close(struct predecessor *p);

#endif
