/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's side of a virtual block device: open it, read, write, flush and
 * discard asynchronously, close it. Public header of libparavane-front.
 *
 * Hides: negotiation, ring requests (direct and indirect), splitting, grants
 * and the pool of shared pages, when to notify and when to sleep, a back end
 * that lies. Must not know: threads, descriptors, clocks, programs.
 *
 * One thread uses a device; callbacks run on it, inside blkfront_poll(),
 * blkfront_wait() and the calls that say so. Functions return 0 or a count, or
 * a negative errno. Source: xen/io/blkif.h.
 */
#ifndef PARAVANE_BLKFRONT_H
#define PARAVANE_BLKFRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front.h"

#ifdef __cplusplus
extern "C" {
#endif

struct blkfront;

/* ---- opening ---------------------------------------------------------------- */

/* All zero is the default of each. */
struct blkfront_options {
	int ring_order;			/* 1 << order pages; 0: the best both ends can,
					   up to 4; -1: one page */
	unsigned int nr_queues;		/* 0: one */
	unsigned int depth;		/* ring requests in flight, per queue; 0: all slots */
	unsigned int max_segments;	/* pages per ring request; 0: what the back end
					   takes, up to 64 */
	unsigned int pool_pages;	/* shared data pages; 0: 384 */
	uint32_t poll_cycles;		/* longest look at the ring before sleeping, in
					   the CPU's own counter; 0: never */
	bool no_persistent;		/* do not offer persistent grants */
	bool no_indirect;
	bool fresh_grants;		/* share pages anew for each request: only to compare */
};

struct blkfront_info {
	uint64_t size_bytes;
	uint32_t sector_bytes;		/* offsets and lengths are multiples of it */
	uint32_t physical_sector_bytes;
	bool read_only, cdrom, removable;
	bool flush, barrier, persistent, indirect;
	bool discard, discard_secure;
	uint32_t discard_granularity_bytes, discard_alignment_bytes;
	uint32_t back_max_segments, back_max_ring_order, back_max_queues;
	uint32_t ring_order, ring_slots, nr_queues, depth;
	uint32_t max_segments;		/* pages per ring request, as used now */
	uint32_t pool_pages, pool_wanted_pages;
	bool short_of_grants;		/* the system gave fewer shared pages than wanted
					   (Linux: /sys/module/xen_gntalloc/parameters/limit) */
	uint32_t domid, back_domid;
	const char *back_path, *front_path;	/* valid until close */
};

/*
 * Opens vbd devid of this domain, waiting up to timeout_ms (-1: for ever) for
 * it to be attached and for its back end.
 * opts may be NULL. env must stay until blkfront_close(). On failure problem
 * (may be NULL) says why, and nothing is left open.
 * -ENOENT, -EINVAL: no such device or odd nodes. -ETIMEDOUT, -ECONNABORTED:
 * the back end did not come or left. -ENOSPC: not even one page can be shared.
 * -EINTR and others of the wait function.
 */
int blkfront_open(struct front_env *env, uint32_t devid,
		  const struct blkfront_options *opts, int timeout_ms,
		  struct blkfront **out, struct front_problem *problem);
/*
 * Waits for what is in flight, closes with the back end's consent within
 * timeout_ms, releases all. Accepts NULL. -ETIMEDOUT: the back end did not
 * let go; pages are released all the same, and the system keeps them back
 * while they are mapped. Requests still in flight complete with -ECONNABORTED.
 * problem (may be NULL) says which end waits for what.
 */
int blkfront_close(struct blkfront *f, int timeout_ms, struct front_problem *problem);

void blkfront_info(const struct blkfront *f, struct blkfront_info *out);
/*
 * Whether the back end asks for the device back (a detach). Requests still
 * work; who has no further use for the device closes it now, and who keeps it
 * may say so with blkfront_keep(), which tells people in the error node.
 */
bool blkfront_closing(const struct blkfront *f);
void blkfront_keep(struct blkfront *f);
/*
 * Whether the disk's size has changed since it was opened or this was last
 * asked; blkfront_info() has the new one, and new requests may use it. Seen by
 * blkfront_wait() and blkfront_rest().
 */
bool blkfront_resized(struct blkfront *f);
/* The reason when the device is broken or its back end left; err 0 otherwise. */
const struct front_problem *blkfront_problem(const struct blkfront *f);

/* ---- buffers that need no copy -------------------------------------------------- */

/*
 * Page-aligned contiguous memory from the pool of shared pages, with unknown
 * content. -ENOBUFS: not enough left (a part of the pool is kept for
 * requests that copy). Not with fresh_grants (-EOPNOTSUPP).
 */
int blkfront_buffer_get(struct blkfront *f, size_t bytes, void **out);
/* bytes as given to get; no request may be using it. Accepts NULL. */
void blkfront_buffer_put(struct blkfront *f, void *buf, size_t bytes);

/* ---- requests ------------------------------------------------------------------- */

enum blkfront_op {
	BLKFRONT_READ,
	BLKFRONT_WRITE,
	BLKFRONT_FLUSH,		/* makes durable what had completed before */
	BLKFRONT_DISCARD,
};

#define BLKFRONT_SECURE 1u	/* flag of DISCARD: the data must be gone */

/* As struct iovec, which not every system has. */
struct blkfront_iov {
	void *base;
	size_t bytes;
};

struct blkfront_io;
/* result: 0, or -EIO, -EOPNOTSUPP, -EPROTO (broken), -ECONNABORTED (back end gone). */
typedef void blkfront_done_fn(struct blkfront_io *io, int result);

/*
 * One request of any size. The caller owns it, and iov and the memory that it
 * names, and leaves all alone until done() has been called; done() may submit
 * again, the same io too, but may not wait or close.
 *
 * No copy is made when all of iov is from blkfront_buffer_get() and aligned to
 * the sector size; then after -EPROTO or -ECONNABORTED the back end may still
 * write to that memory until the device is closed.
 */
struct blkfront_io {
	enum blkfront_op op;
	unsigned int flags;
	uint64_t offset_bytes;
	uint64_t bytes;			/* of DISCARD; READ and WRITE use iov's sum */
	const struct blkfront_iov *iov;
	unsigned int nr_iov;
	unsigned int queue;		/* below info.nr_queues; others wrap round */
	blkfront_done_fn *done;
	void *arg;			/* the caller's */
	struct {			/* the library's */
		struct blkfront_io *next;
		uint64_t todo_bytes, at_bytes;
		size_t iov_at;
		unsigned int iov_i, nr_ring;
		int result;
		bool copy, restart;
	} lib;
};

/*
 * Accepts io for execution; puts it on the ring if there is room, and queues it
 * in order if not. Nothing is sent before blkfront_kick(), _poll() or _wait().
 * Does not run callbacks. -EINVAL: not multiples of the sector size, or empty. -ERANGE: past
 * the end. -EROFS. -EOPNOTSUPP: the back end has no such operation. -EPROTO, -ECONNABORTED:
 * see blkfront_problem().
 * A flush of a device without a volatile cache completes in the next poll.
 */
int blkfront_submit(struct blkfront *f, struct blkfront_io *io);
/* Sends all that was submitted: one index update and at most one notification per queue. */
void blkfront_kick(struct blkfront *f);
/* Kicks, runs done() for what has completed, does not sleep. Returns how many ios completed. */
int blkfront_poll(struct blkfront *f);
/*
 * As poll, until at least min ios have completed in this call or all have,
 * or timeout_ms is over (-1: never), or the wait function was called away
 * (FRONT_WAIT_CALLER). Looks at the ring for a while when that has been
 * paying, then sleeps and asks to be woken by the response that makes min, so
 * a larger min costs fewer wake-ups. Returns how many completed; -EINTR and others
 * of the wait function.
 */
int blkfront_wait(struct blkfront *f, unsigned int min, int timeout_ms);
/*
 * Sleeps, whether or not anything is in flight, until the back end, the store
 * or the caller (FRONT_WAIT_CALLER) has something, or timeout_ms is over: for a thread that
 * serves requests from elsewhere. Returns as poll does, or -errno of the wait function;
 * -ECONNABORTED: the back end left and nothing is in flight. Returns early
 * when blkfront_closing() becomes true.
 */
int blkfront_rest(struct blkfront *f, int timeout_ms);
/* ios accepted and not completed. */
unsigned int blkfront_inflight(const struct blkfront *f);

/* ---- one at a time ----------------------------------------------------------------- */

/*
 * These always copy: when the wait function ends one (-EINTR), its request may still be
 * with the back end, but the memory is the caller's again.
 */
int blkfront_read(struct blkfront *f, uint64_t offset_bytes, void *buf, size_t bytes);
int blkfront_write(struct blkfront *f, uint64_t offset_bytes, const void *buf,
		   size_t bytes);
int blkfront_flush(struct blkfront *f);
int blkfront_discard(struct blkfront *f, uint64_t offset_bytes, uint64_t bytes,
		     bool secure);

/* ---- what it cost -------------------------------------------------------------------- */

struct blkfront_stats {
	uint64_t ios;			/* completed */
	uint64_t ring_requests;		/* responses taken */
	uint64_t indirect_requests, copied_bytes;
	uint64_t notifies_sent, wakeups, spurious_wakeups;
	uint64_t spins, spin_hits;	/* looks at the ring, and those that paid */
	uint64_t spin_cycles;
	uint64_t pool_waits;		/* an io had to wait for shared pages */
	uint64_t slot_waits;		/* an io had to wait for a ring slot */
};

void blkfront_stats(const struct blkfront *f, struct blkfront_stats *out);

#ifdef __cplusplus
}
#endif
#endif
