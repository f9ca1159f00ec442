/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker's privileges, given up in three visible stages.
 *
 * Hides: prctl, rlimits, capabilities, the list of system calls. Must not
 * know: which program it is in, or what a device is. Called from main()'s
 * thread while it is the only one, in this order:
 *
 *   sandbox_early()		first thing in main()
 *   sandbox_before_loop()	every handle open, no guest memory touched yet
 *   sandbox_final()		rings mapped, threads about to start
 *
 * All work without root and inside containers: what the environment has taken
 * away already is not missed. Each returns 0 or -errno; a worker that cannot
 * drop what it holds must not go on.
 */
#ifndef PV_SANDBOX_H
#define PV_SANDBOX_H

#include <stdint.h>

/*
 * Should allow: everything that starting needs: opening devices and files,
 * receiving descriptors, reading configuration.
 * Mustn't allow: privileges by executing something, a core file or a debugger
 * of the same user that shows guest data.
 */
int sandbox_early(void);

/*
 * Should allow: mapping grants, binding ports, I/O and locks on descriptors
 * already open, a few new ones (max_fds in all), starting threads.
 * Mustn't allow: anything only root may do: no capability stays.
 */
int sandbox_before_loop(uint32_t max_fds);

/*
 * Should allow: the data path: reads and writes on open descriptors, grant and
 * event channel ioctls, futexes, memory, the clock, ending.
 * Mustn't allow: executing, new kinds of system calls. The list of calls is
 * not enforced yet: this is its place.
 */
int sandbox_final(void);

#endif
