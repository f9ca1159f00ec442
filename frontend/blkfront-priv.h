/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of a block front end, for its own three files: a queue with its
 * table of what is in flight, the device.
 *
 * Hides: nothing from blkfront*.c. Nobody else includes it but their tests.
 */
#ifndef PV_BLKFRONT_PRIV_H
#define PV_BLKFRONT_PRIV_H

#include <stdint.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/blkif.h>

#include "blkfront.h"
#include "frontdev.h"
#include "pool.h"
#include "ring.h"
#include "spin.h"
#include "vbd.h"

#define BLKFRONT_PAGE_BYTES FRONTDEV_PAGE_BYTES
#define BLKFRONT_LISTS_MAX BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST
#define BLKFRONT_LIST_SEGMENTS 512u	/* what one indirect page describes */
#define BLKFRONT_SEGMENTS_MAX (BLKFRONT_LISTS_MAX * BLKFRONT_LIST_SEGMENTS)
#define BLKFRONT_QUEUES_MAX VBD_QUEUES_MAX
#define BLKFRONT_DIRECT_MAX BLKIF_MAX_SEGMENTS_PER_REQUEST

/* ---- what is in flight ---------------------------------------------------------------- */

struct shadow {
	struct blkfront_io *io;		/* NULL: this entry is free */
	uint64_t id;			/* generation << 32 | index */
	uint32_t next_free;
	uint32_t bytes;
	uint32_t chain;			/* pool pages holding the data, POOL_NONE: none */
	uint32_t lists;			/* pool pages holding the segments, the same */
	unsigned int iov_i;		/* where in io->iov the data belongs */
	size_t iov_at;
	void *fresh;			/* pages shared for this request alone */
	uint32_t nr_fresh;
	uint8_t op;			/* as the response must echo it */
	uint8_t nr_lists;		/* 0: a direct request */
};

struct blkfront_queue {
	struct ring_front ring;
	struct shadow *shadow;
	uint32_t nr_shadow, free_shadow, nr_busy;
	struct blkfront_io *waiting, **waiting_end;
	uint32_t port;
	void *ring_pages;
	uint32_t nr_ring_pages;
};

struct blkfront {
	struct frontdev dev;
	struct vbd_features back;
	struct blkfront_queue queue[BLKFRONT_QUEUES_MAX];
	uint32_t nr_queues, ring_order, depth, max_segments, pool_wanted;
	struct pool pool;
	struct spin spin;
	struct blkfront_stats stats;
	bool persistent, fresh, no_indirect;
	bool broken;
	bool closing;			/* the back end asks us to close */
	bool leaving;			/* it left, or we do: nothing more is accepted */
	bool flush_refused;
	bool copies;			/* what is submitted now, whatever memory it names */
	bool resized;			/* and nobody has asked since */
	uint32_t nr_busy;		/* ring requests in flight, all queues */
	uint32_t inflight;		/* ios accepted and not completed */
	uint64_t nr_done;
	uint32_t passes;
	uint32_t idle_wakeups;		/* in a row without a response */
	struct blkfront_io *instant;	/* need no request; complete in the next poll */
	struct blkfront_io orphan;	/* takes responses nobody waits for */
	struct vbd_frontend published;
	/* Of the request being made. */
	struct blkif_request_segment seg[BLKFRONT_SEGMENTS_MAX];
	uint32_t fresh_grefs[BLKFRONT_SEGMENTS_MAX + BLKFRONT_LISTS_MAX];
};

/* ---- blkfront.c ------------------------------------------------------------------------ */

/* As the back end publishes them, if a driver can live with them; or -EINVAL. */
int blkfront_read_back(struct blkfront *f, struct vbd_features *out);

/* ---- blkfront-io.c --------------------------------------------------------------------- */

/* Begins, or begins again, at the first byte. */
void blkfront_io_start(struct blkfront_io *io, uint64_t bytes);
/* The sum; copy: whether some of it is not fit to be shared as it is. */
uint64_t blkfront_iov_bytes(const struct blkfront *f, const struct blkfront_io *io,
			    bool *copy);
/* Puts on the ring what waits, as far as there is room. May run callbacks of failed ios. */
void blkfront_issue_waiting(struct blkfront *f, struct blkfront_queue *q);
/* Forgets what of io is not on the ring yet. */
void blkfront_drop_rest(struct blkfront_queue *q, struct blkfront_io *io);
/* Between the request's pages and the caller's memory. */
void blkfront_copy(struct blkfront *f, struct shadow *s, bool into_pages);
/* Gives back the entry and the pages that it holds. */
void blkfront_shadow_put(struct blkfront *f, struct blkfront_queue *q, struct shadow *s);

/* ---- blkfront-done.c ------------------------------------------------------------------- */

/* Completes io with err, now or with its last ring request. */
void blkfront_io_failed(struct blkfront *f, struct blkfront_io *io, int err);
/* Fails all that is in flight or waits with err, running callbacks. */
void blkfront_fail_all(struct blkfront *f, int err);
/* Takes the responses that are there now, on all queues. Returns their number. */
int blkfront_reap(struct blkfront *f);
/* As blkfront_wait(), and takes the time that passed off *left_ms. */
int blkfront_wait_left(struct blkfront *f, unsigned int min, int *left_ms);

#endif
