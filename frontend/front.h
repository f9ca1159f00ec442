/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a front end needs from the system it runs on, and how it says what went
 * wrong. Public header of libparavane-front; self-contained.
 *
 * Hides: nothing; it is the contract. Must not know: how a system waits, what
 * a device does. On Linux front-linux.h fills the structure in; a guest
 * without an operating system brings its own handles and its own wait.
 *
 * One thread uses an environment and all devices opened on it.
 */
#ifndef PARAVANE_FRONT_H
#define PARAVANE_FRONT_H

#include <stdint.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRONT_WAIT_STORE 1u	/* xs_check_watch() has something */
#define FRONT_WAIT_EVENT 2u	/* xenevtchn_pending() has something */
#define FRONT_WAIT_CALLER 4u	/* the caller of the library wants its thread back */

/*
 * Sleeps until one of the bits in what may be true, or until *left_ms passed
 * (-1: no limit), and takes the time that passed off *left_ms. Returns the
 * bits that are true (FRONT_WAIT_CALLER unasked too), 0 when the time is over,
 * or -errno, which the library hands up: -EINTR is how a program stops a wait.
 * A bit may be true without need; it must not stay false when there is work.
 */
typedef int front_wait_fn(void *ctx, unsigned int what, int *left_ms);

struct front_env {
	struct xs_handle *xs;
	xengntshr_handle *xgs;
	xenevtchn_handle *xce;
	front_wait_fn *wait;
	void *wait_ctx;
	struct frontdev *devices;	/* the library's; NULL at first */
};

/* Why an open, or an open device, failed; for a person. */
struct front_problem {
	int err;		/* negative errno, 0: no problem */
	char text[448];		/* what failed, naming the node and the end concerned */
	const char *advice;	/* what to do next; NULL: nothing known */
};

#ifdef __cplusplus
}
#endif
#endif
