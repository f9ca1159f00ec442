/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the flip helper (paravane-flip) is told and says: by the supervisor, which
 * starts it and introduces workers, and by a bridge's worker, which has pages filled
 * and given to guests.
 *
 * Hides: the messages' layout. Must not know: hypercalls, switches, XenStore.
 *
 *   supervisor                        helper
 *                               <-    READY or REFUSED: why not on this host
 *   JOIN (+ a socket)           ->    serves the worker at its other end
 *
 *   worker                            helper
 *   GET                         ->    fills the worker's pool of pages
 *   TRANSFER (ops, sources)     ->    fills a page for each op, gives it away
 *                               <-    to both: the pool's size now, each op's outcome
 *
 * A worker that waits for an answer no longer closes the socket before it answers any
 * sender: what it asked for is then not begun. One that does not read is left.
 *
 * A page cannot be filled by the worker: for that it would have to map it, and with
 * the device that maps it, all of the domain's memory. So the worker names what is to
 * be in the page, by grants: any that were made to its own domain, as it could use
 * them anyway. Octets of the page that no source fills are zero.
 */
#ifndef PV_FLIP_H
#define PV_FLIP_H

#include <stdint.h>
#include "failure.h"

#define FLIP_VERSION 1u
#define FLIP_PAGE_BYTES 4096u
#define FLIP_OPS_MAX 128u		/* pages in one message */
#define FLIP_SOURCES_MAX 512u
#define FLIP_POOL_PAGES 256u		/* that a worker's pool holds, at most */

/* ---- with the supervisor: packet.h, fixed size ------------------------------------- */

enum flip_type { FLIP_READY = 1, FLIP_REFUSED, FLIP_JOIN, FLIP_GET, FLIP_TRANSFER };

struct flip_hello {
	uint32_t version, type;
	struct failure failure;		/* REFUSED */
};

int flip_send_hello(int sock, const struct flip_hello *hello, int fd);
/* *fd: one that came along, or -1. -EPIPE; -EPROTO: not a message of this version. */
int flip_receive_hello(int sock, struct flip_hello *hello, int *fd);

/* ---- with a worker ------------------------------------------------------------------ */

/* The next octets of a page: from a grant made to this domain, within one page. */
struct flip_source {
	uint32_t gref;
	uint16_t domid, offset, bytes, reserved;
};

/* A page for an entry of domid's that accepts one from us. */
struct flip_op {
	uint32_t gref;
	uint16_t domid;
	uint16_t nr_sources;		/* of the sources not used by earlier ops */
};

struct flip_batch {
	uint32_t type;			/* FLIP_GET: no ops */
	uint32_t nr_ops, nr_sources;
	struct flip_op op[FLIP_OPS_MAX];
	struct flip_source source[FLIP_SOURCES_MAX];
};

enum flip_outcome {
	FLIP_DONE,
	FLIP_NO_SOURCE,		/* a source could not be copied from; the page is kept */
	FLIP_NOT_TAKEN,		/* the guest's entry or reservation did not take it: it is lost,
				   and replaced in the pool */
	FLIP_NO_PAGE,		/* the pool is empty, as far as this domain's reservation goes */
};

struct flip_answer {
	uint32_t nr_pages;		/* in the pool now */
	uint32_t nr_ops;
	uint8_t outcome[FLIP_OPS_MAX];	/* enum flip_outcome */
};

int flip_send_batch(int sock, const struct flip_batch *batch);
/* -EPIPE; -EPROTO: what came is not such a message; the numbers in it are within bounds. */
int flip_receive_batch(int sock, struct flip_batch *batch);
int flip_send_answer(int sock, const struct flip_answer *answer);
int flip_receive_answer(int sock, struct flip_answer *answer);

#endif
