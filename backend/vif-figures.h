/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is counted of each queue of a network interface, and what is noted of a frame while
 * it is traced: parts and records of a file of figures (figures.h).
 *
 * Hides: nothing. Written by the bridge's thread alone (netback-pass.c), read by tools at
 * any time. Counters only grow, over the deaths of workers too, from connecting to closing;
 * what is a gauge says so. tx and rx are the guest's view.
 */
#ifndef PV_VIF_FIGURES_H
#define PV_VIF_FIGURES_H

#include <stdint.h>
#include "figures.h"
#include "histogram.h"
#include "vswitch.h"

#define VIF_FIGURES_KIND 0x6e000002u	/* raised with every change of what follows */

struct vif_figures {
	struct vswitch_counters port;	/* of queue 0, for all: what the switch counts */
	uint64_t tx_frames, tx_bytes, tx_slots;	/* taken from the ring */
	uint64_t tx_large;		/* of these frames, packets with GSO */
	uint64_t rx_frames, rx_bytes, rx_slots;	/* put into the ring */
	uint64_t rx_large;
	uint64_t copies;		/* grant copies, in and out */
	/*
	 * Octets of frames that were copied on their way, each time: by a grant copy, by the
	 * CPU, from and to an uplink's device. Of queue 0, when the frame was in no queue.
	 */
	uint64_t copied_bytes;
	uint64_t pushes;		/* publications of responses, of both rings */
	uint64_t notifications_sent;	/* events for these */
	uint64_t wakeups;		/* events received */
	uint64_t rx_starved;		/* passes that ended for want of rx slots */
	uint64_t rx_waiting;		/* gauge: frames that wait for slots, or a pass */
	uint64_t tx_in_flight;		/* gauge: slots taken and not answered */
	uint64_t passes;		/* that moved something here */
	uint64_t throttled;		/* those that left frames in the ring for a limit's sake */
	/*
	 * tx: from taking a frame to publishing its answer. rx: from taking a frame, wherever
	 * it came from, to publishing it here.
	 */
	struct histogram tx_latency, rx_latency;
};

static inline struct figures_layout vif_figures_layout(uint32_t nr_queues)
{
	return (struct figures_layout){ VIF_FIGURES_KIND, nr_queues, sizeof(struct vif_figures) };
}

/* A frame. */
struct vif_trace {
	uint64_t taken_ns;		/* of CLOCK_MONOTONIC, about: from its sender's ring */
	uint32_t done_ns;		/* after that: answered, or copied to its receiver */
	uint32_t bytes;
	uint16_t slots;			/* with extra infos */
	uint16_t copies;
	uint16_t large_bytes;		/* of a segment's payload; 0: no large packet */
	uint8_t received;		/* by this guest; else sent */
	uint8_t failed;
	uint8_t blank;			/* its checksum is left to the receiver */
	uint8_t reserved[39];
};
_Static_assert(sizeof(struct vif_trace) == FIGURES_RECORD_BYTES, "a record");

#endif
