/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPU time of a process' threads, each by itself: one that is busy hides in the sum.
 *
 * Hides: where the kernel tells it. Must not know: what the threads do. One thread.
 */
#ifndef PV_PARAVANE_THREADS_H
#define PV_PARAVANE_THREADS_H

#include <stdbool.h>
#include <stdint.h>

struct threads {
	uint32_t pid, nr, max;
	uint64_t taken_ns;
	struct thread_time {
		uint32_t tid;
		uint64_t cpu_ns;
	} *thread;
};

/* Replaces what was there, nothing at first. 0; -errno: not known, as of a process that has gone. */
int threads_look(struct threads *t, uint32_t pid);
void threads_free(struct threads *t);
/*
 * What the busiest thread used between two looks, 1: a whole CPU. Below 0: not known, as of
 * different processes.
 */
double threads_busiest(const struct threads *before, const struct threads *now);

#endif
