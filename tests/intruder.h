/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker in a guest's hands, as far as that can be had: code of the enemy's in the
 * worker's own process, after its sandbox was made, before it serves.
 *
 * Linked into programs of the tests alone, around functions that the linker wraps; the
 * programs are else the daemons themselves. What $INTRUDE says:
 *
 *   (nothing)	every attempt that is refused by the list is counted, and the next made;
 *		the list is the real one, only the end that follows is held up
 *   place	with --seccomp=off: what must be refused even without a list
 *   die	one attempt, and the end that belongs to it
 */
#ifndef PV_TESTS_INTRUDER_H
#define PV_TESTS_INTRUDER_H

#include <stdbool.h>

/* Makes all attempts, says each on stderr, and at the end how many succeeded. Once. */
void intruder_run(void);

/*
 * One more attempt; place: also refused without a list. The kind of worker makes those that need
 * what only it has.
 */
void intruder_try(const char *what, bool place, long (*make)(void));

/* For others' attempts: returned is what a system call returned, or a CQE's result. */
void intruder_report(const char *what, long returned);
bool intruder_dies(void);

#endif
