/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is counted of each queue of a disk, and what is noted of a request while it is
 * traced: parts and records of a file of figures (figures.h).
 *
 * Hides: nothing. Written by the queue's thread alone (blkback.h, worker-loop.c), read by
 * tools at any time. Counters only grow, over the deaths of workers too, from connecting to
 * closing; what is a gauge says so.
 */
#ifndef PV_BLK_FIGURES_H
#define PV_BLK_FIGURES_H

#include <stdint.h>
#include "figures.h"
#include "histogram.h"
#include "image-error.h"

#define BLK_FIGURES_KIND 0x64000002u	/* raised with every change of what follows */

enum blk_latency { BLK_LATENCY_READ, BLK_LATENCY_WRITE, BLK_LATENCY_OTHER, BLK_NR_LATENCIES };

struct blk_figures {
	uint64_t requests;		/* taken from the ring */
	uint64_t responses;
	uint64_t reads, writes, flushes, discards, barriers;	/* that succeeded */
	uint64_t read_sectors, written_sectors;			/* of 512 bytes */
	uint64_t errors, unsupported;
	uint64_t image_errors[IMAGE_ERRORS];	/* requests that the image failed, by kind */
	uint64_t replayed;		/* taken by a worker that died */
	uint64_t in_flight;		/* gauge: taken and not answered */
	uint64_t segments;
	uint64_t cached_pages;		/* persistent: reached through what stays mapped */
	uint64_t cache_maps;		/* ... for which a page was mapped to stay */
	uint64_t cache_size_pages;	/* gauge: mapped and kept */
	uint64_t mapped_pages;		/* mapped for one request */
	uint64_t copied_pages, copied_bytes;
	uint64_t pushes;		/* publications of responses */
	uint64_t notifications_sent;	/* of these, with an event */
	uint64_t wakeups;		/* events received */
	uint64_t spins_hit, spins_missed;
	uint64_t passes;		/* that found something to do */
	uint64_t throttled;		/* those that left requests in the ring for a limit's sake */
	/* From taking a request to publishing its response; barriers are writes. */
	struct histogram latency[BLK_NR_LATENCIES];
};

static inline struct figures_layout blk_figures_layout(uint32_t nr_queues)
{
	return (struct figures_layout){ BLK_FIGURES_KIND, nr_queues, sizeof(struct blk_figures) };
}

enum blk_trace_pages { BLK_TRACE_NONE, BLK_TRACE_CACHED, BLK_TRACE_MAPPED, BLK_TRACE_COPIED };

/* A request from the ring and back. Times but the first are after it; 0: not come to that. */
struct blk_trace {
	uint64_t taken_ns;		/* of CLOCK_MONOTONIC, about */
	uint64_t sector;
	uint32_t submitted_ns;		/* its pages are in reach: to the engine */
	uint32_t completed_ns;		/* by the engine, and copied back */
	uint32_t published_ns;
	uint32_t bytes;
	uint16_t segments;
	int16_t status;			/* BLKIF_RSP_* */
	uint8_t operation;		/* BLKIF_OP_* */
	uint8_t pages;			/* enum blk_trace_pages */
	uint8_t notified;		/* an event went with it */
	uint8_t indirect;
	uint8_t reserved[24];
};
_Static_assert(sizeof(struct blk_trace) == FIGURES_RECORD_BYTES, "a record");

#endif
