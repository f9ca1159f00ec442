/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which CPU a thread, or all threads of a process, may run on.
 *
 * Hides: affinity masks. Must not know: why. CPUs are counted among those that this
 * program was allowed when pin_init() was called, from 0. Functions return 0 or -errno.
 */
#ifndef CMP_PIN_H
#define CMP_PIN_H

#include <pthread.h>
#include <sys/types.h>

/* Returns how many CPUs there are. */
int pin_init(void);
/* The calling thread. -ENODEV: there is no such CPU. */
int pin_self(int nth);
#define PIN_ANY (-1)		/* all that there were */
int pin_thread(pthread_t thread, int nth);
int pin_process(pid_t pid, int nth);

#endif
