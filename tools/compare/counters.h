/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPU time of threads and of other processes, as Linux accounts it.
 *
 * Hides: clocks, /proc. Must not know: virtual machines. Nanoseconds; what cannot be read
 * is CMP_UNKNOWN.
 */
#ifndef CMP_COUNTERS_H
#define CMP_COUNTERS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#define CMP_UNKNOWN UINT64_MAX	/* what nobody counts here, of this and of all else */

uint64_t wall_ns(void);
/* Of the calling thread; guest: the part of it that the guest's instructions took. */
uint64_t own_cpu_ns(void);
uint64_t own_guest_ns(void);
uint64_t thread_cpu_ns(pthread_t thread);
/* Of all threads that a process has and has had. */
uint64_t process_cpu_ns(pid_t pid);

#endif
