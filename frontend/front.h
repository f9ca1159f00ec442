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

/*
 * Pages that change owner instead of being copied into (GNTTABOP_transfer), for a
 * system whose domain can receive them. What take and give do to mappings may be put
 * off until flush, so that it costs one hypercall for many pages. All get ctx.
 */
struct front_flip {
	/*
	 * Makes nr grant entries into each of which domid may transfer one page. 0, or
	 * -errno and none: -ENOSPC: no free entries; -ENOMEM: the domain's reservation
	 * has no room for so many pages.
	 */
	int (*offer)(void *ctx, uint32_t domid, unsigned int nr, uint32_t *grefs);
	/*
	 * Ends an entry. 1: a page came, and is the caller's until give; *page may be
	 * used once flush has returned. 0: none came. gref is free again either way.
	 * -EAGAIN: a transfer is under way; ask again.
	 */
	int (*take)(void *ctx, uint32_t gref, void **page);
	/* The page goes back to the hypervisor; what it held is wiped before. */
	void (*give)(void *ctx, void *page);
	/* Does what was put off. 0 or -errno: pages taken since the last are lost. */
	int (*flush)(void *ctx);
	void *ctx;
};

struct front_env {
	struct xs_handle *xs;
	xengntshr_handle *xgs;
	xenevtchn_handle *xce;
	front_wait_fn *wait;
	void *wait_ctx;
	const struct front_flip *flip;	/* NULL: pages can only be copied into */
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
