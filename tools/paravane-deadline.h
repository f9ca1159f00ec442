/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command's last deadline: whatever it waits for then, it ends with STATUS_TIMEOUT.
 *
 * Hides: the timer and its signal. Must not know: what commands do. libxenstore's calls
 * have no deadline: a store that does not answer would hold a script for ever. One thread.
 */
#ifndef PV_PARAVANE_DEADLINE_H
#define PV_PARAVANE_DEADLINE_H

#include <sys/types.h>

/* How long the store may take in all, beyond what a command waits for by itself. */
#define DEADLINE_STORE_MS 10000
#define DEADLINE_AGAIN_MS 5000		/* and then: the whole machine may have stood still */
#define DEADLINE_SCRIPT_MS 40000	/* a hotplug script's, as libxl's */

/* From now, instead of any before; wait_ms: what the command may wait for, all in all. */
void deadline_set(int wait_ms);
/* deadline_set(0), unless one runs. */
void deadline_begin(void);
/* There is none any more: for who asks the store nothing now. */
void deadline_end(void);
/* Who does not answer then, and what to do about it, in one line; NULL: the store. Is kept. */
void deadline_is_of(const char *whom);
/*
 * The time does not run while a child has its own: as waitpid(), for DEADLINE_SCRIPT_MS, then
 * kills it. -ETIMEDOUT: it was killed; -errno.
 */
int deadline_wait_child(pid_t pid, int *status);

#endif
