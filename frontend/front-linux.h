/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A front end's environment on Linux. Public header of libparavane-front.
 *
 * Hides: handles, poll(2), the speed of the CPU's counter, who else may be
 * driving a device. Must not know: what the devices do.
 *
 * One thread per environment; front_linux_wake() and front_linux_stop() may be
 * called by any thread and by signal handlers.
 */
#ifndef PARAVANE_FRONT_LINUX_H
#define PARAVANE_FRONT_LINUX_H

#include <stdint.h>

#include "front.h"

#ifdef __cplusplus
extern "C" {
#endif

struct front_linux;

/*
 * Opens XenStore, event channels and grant sharing of this domain. -errno;
 * problem (may be NULL) says which one failed and what is missing.
 */
int front_linux_open(struct front_linux **out, struct front_problem *problem);
/* After the devices of its environment were closed. Accepts NULL. */
void front_linux_close(struct front_linux *fl);
struct front_env *front_linux_env(struct front_linux *fl);

/*
 * Takes device kind/devid for this process until front_linux_close(). -EBUSY:
 * a driver of the kernel or another process has it; problem names it.
 */
int front_linux_claim(struct front_linux *fl, const char *kind, uint32_t devid,
		      struct front_problem *problem);

/* The wait under way, or the next one, returns FRONT_WAIT_CALLER. */
void front_linux_wake(struct front_linux *fl);
/*
 * From now on waits also return FRONT_WAIT_CALLER when poll(2) has one of events for fd,
 * which stays the caller's; fd -1: no longer.
 */
void front_linux_also(struct front_linux *fl, int fd, short events);
/* Waits return -EINTR until front_linux_resume(). */
void front_linux_stop(struct front_linux *fl);
void front_linux_resume(struct front_linux *fl);

/* Microseconds in the CPU's own counter; at most UINT32_MAX. */
uint32_t front_linux_cycles(unsigned int us);

#ifdef __cplusplus
}
#endif
#endif
