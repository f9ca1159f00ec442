/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lxguest.h - a guest's program under remote control, for tests of local Xen.
 *
 * The test runs in dom0; each lxguest is a child process in another domain that
 * makes the libxen* calls it is told to, and what its kernel would do to receive
 * pages (localxen.h).
 */
#ifndef TESTS_LXGUEST_H
#define TESTS_LXGUEST_H

#include <stdint.h>
#include <sys/types.h>
#include "localxen.h"

/* Weak: the test programs run with local Xen's libraries, and link with Xen's. */
#pragma weak lx_flip_offer
#pragma weak lx_flip_take
#pragma weak lx_flip_give
#pragma weak lx_flip_flush
#pragma weak lx_machine_tables

#define LXGUEST_MAX_REFS 2048

enum lxguest_op {
	LXG_SHARE,	/* a: domid, b: count, c: writable -> rc: region, refs */
	LXG_SHARE_NOTIFY, /* a: domid, b: offset, c: port -> rc: region, refs[0] */
	LXG_UNSHARE,	/* a: region */
	LXG_SUB_PAGE,	/* a: gref, b: whether it can be copied and not be mapped */
	LXG_POKE,	/* a: region, b: offset, c: byte */
	LXG_PEEK,	/* a: region, b: offset -> rc: byte */
	LXG_MAP,	/* a: domid, b: count, c: prot, refs -> rc: mapping */
	LXG_UNMAP,	/* a: mapping */
	LXG_ALLOC_PORT,	/* a: remote domid -> rc: port */
	LXG_BIND_PORT,	/* a: domid, b: port -> rc: port */
	LXG_UNBIND,	/* a: port */
	LXG_NOTIFY,	/* a: port, b: times */
	LXG_PENDING,	/* a: timeout in ms -> rc: port; -ETIMEDOUT */
	LXG_UNMASK,	/* a: port */
	LXG_INCREASE,	/* a: pages -> rc: how many; the guest keeps them */
	LXG_FLIP_OFFER,	/* a: domid, b: count -> refs */
	LXG_FLIP_TAKE,	/* a: gref -> rc: 1: page is refs[0] here; 0, -errno */
	LXG_FLIP_PEEK,	/* a: page, b: offset -> rc: byte */
	LXG_FLIP_GIVE,	/* a: page */
	LXG_FLIP_FLUSH,
	LXG_FLIP_DRAIN,	/* a: first word, b: count, refs -> rc: pages that came whole, in
			 * order, each filled with its word; given back, flushed */
	LXG_DIE,	/* SIGKILLs itself; no answer */
};

struct lxguest_msg {
	enum lxguest_op op;
	int32_t a, b, c;
	int32_t rc;		/* the call's value, or -errno */
	uint32_t refs[LXGUEST_MAX_REFS];
};

struct lxguest {
	pid_t pid;
	int sock;
	struct lxguest_msg m;
};

/* Starts a process in domid; a failure ends the test program. */
void lxguest_start(struct lxguest *g, uint32_t domid);
/* Kills it and waits until it is gone. */
void lxguest_stop(struct lxguest *g);
/* Tells it to do op; the answer is in g->m. Returns rc. */
int lxguest_do(struct lxguest *g, enum lxguest_op op, int a, int b, int c);

/* `localxen domain OPTIONS`: the new domid. A failure ends the test program. */
uint32_t lxguest_new_domain(const char *options);
/* Runs `localxen ARGUMENTS`; its exit status. */
int lxguest_localxen(const char *arguments);

#endif
