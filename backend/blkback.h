/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One queue of a virtual block device: requests from a ring become operations
 * on a disk, and each is answered exactly once.
 *
 * Hides: validation, grants, the order that barriers ask for, the journal's
 * protocol. Must not know: XenStore, the supervisor, when to sleep.
 *
 * Three steps, a file each. Parse (blkback-parse.c) looks at private copies
 * only and says what is wanted; execute (blkback-execute.c, with the pages from
 * blkback-data.c) does it; complete (blkback-complete.c) answers. Between them
 * goes one struct blk_request per ring slot, allocated before the ring starts.
 *
 * A queue belongs to one thread; queues of a device share a blkback_gate.
 */
#ifndef PV_BLKBACK_H
#define PV_BLKBACK_H

#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "blk-figures.h"
#include "disk.h"
#include "journal.h"
#include "util.h"
#include "vbd.h"
#include "worker.h"

/*
 * Segments of one request: what the protocol's 8 indirect pages describe, and
 * what is offered unless the tool stack or the command line asks for more.
 */
#define BLKBACK_SEGMENTS_MAX 4096u
#define BLKBACK_SEGMENTS_DEFAULT 256u

struct blkback;
struct blkback_gate;
struct blkback_limit;

/* ---- what the queues of a device have in common ----------------------------- */

/* Barriers hold across queues: the gate is where the queues meet for one. */
int blkback_gate_open(uint32_t nr_queues, struct blkback_gate **out);
void blkback_gate_close(struct blkback_gate *g);	/* accepts NULL */

/* ---- a queue ----------------------------------------------------------------- */

struct blkback_queue_config {
	uint32_t domid;
	enum vbd_abi abi;
	/*
	 * The front end keeps its grants. At most persistent_pages (of this queue;
	 * 0: none) stay mapped, until unused for persistent_idle_ms.
	 */
	bool persistent;
	uint32_t persistent_pages, persistent_idle_ms;
	enum vbd_grants grants;
	const struct vbd_features *features;	/* copied */
	uint32_t nr_slots;
	struct log_peer *log;
	struct blkback_gate *gate;
	struct blkback_limit *limit;		/* of all queues together; NULL: none, ever */
	uint32_t queue;				/* 0 to the gate's nr_queues - 1 */
	/*
	 * Makes another queue's thread call blkback_kicked() soon, whatever it
	 * does now. Called from this queue's thread; with one queue never.
	 */
	void (*kick)(void *arg, uint32_t queue);
	void *kick_arg;
	/* The caller's, kept open until after blkback_close(). */
	xengnttab_handle *xgt;
	struct disk *disk;			/* depth: at least nr_slots */
	struct journal_queue *journal;
	/* Its part is that of queue; NULL: nobody reads what is counted. */
	struct figures *figures;
	/* The time of spin_now_cycles() that is now, near enough; NULL: the queue looks itself. */
	const uint64_t *now_cycles;
};

/* -ENOMEM and what grant.h says. */
int blkback_open(const struct blkback_queue_config *cfg, struct blkback **out);
/*
 * Nothing may be busy (asserted). Unmaps the front end's pages. Accepts NULL.
 * That every request was answered blkback_leave() asserts; a queue that never
 * ran may leave requests to a successor.
 */
void blkback_close(struct blkback *b);

/* What it counts, for its own thread: the loop has some to count too. */
struct blk_figures *blkback_figures(struct blkback *b);
/* From now on times are taken: so many of spin_now_cycles() are a microsecond. */
void blkback_set_clock(struct blkback *b, uint64_t cycles_per_us);

/* The number of slots of a ring of 1 << order pages. */
uint32_t blkback_nr_slots(enum vbd_abi abi, uint32_t order);

/*
 * Starts on a mapped ring; events go to port of xce. With recovery, first
 * writes what the predecessor answered and did not publish, and publishes.
 * -EPROTO: the ring's indices are impossible.
 */
int blkback_start(struct blkback *b, void *ring, size_t bytes,
		  const struct journal_recovery *recovery,
		  xenevtchn_handle *xce, evtchn_port_t port);
/* Executes a request that a predecessor took; blkback_has_room() said true. */
bool blkback_has_room(const struct blkback *b, const struct journal_record *record);
void blkback_replay(struct blkback *b, struct journal_record *record);
bool blkback_record_is_barrier(const struct journal_record *record);

/*
 * One pass: completes what the disk has done, takes all requests that wait,
 * executes them in one batch, publishes the responses. Returns how many
 * requests were taken or answered, 0: nothing to do. -EPROTO: the front end's
 * producer is impossible; take no more (but do drain).
 */
int blkback_pass(struct blkback *b);
/* A pass that takes nothing new. Never fails. */
uint32_t blkback_drain_pass(struct blkback *b);
/* Another queue wants something of this one: the next pass looks what. */
void blkback_kicked(struct blkback *b);
/* This queue has ended, with nothing in flight: barriers do not wait for it. */
void blkback_leave(struct blkback *b);
/* Requests taken and not answered, those not yet replayed included. */
uint32_t blkback_in_flight(const struct blkback *b);
/* Whether any request is being executed, or held. */
bool blkback_busy(const struct blkback *b);
/* Whether a pass would find a request, or -EPROTO. Reads one word. */
int blkback_pending(const struct blkback *b);
/* The same, after asking to be woken at the next request. Sleep when 0. */
int blkback_final(struct blkback *b);
/* The size that requests are checked against, from the queue's own thread. */
void blkback_set_sectors(struct blkback *b, uint64_t sectors);
/* The device's limits are others now, from the queue's own thread. */
void blkback_limit_changed(struct blkback *b);
/*
 * From now on what is written, or discarded, is marked in the map before it is answered,
 * from the queue's own thread; NULL: it is not any more. The map outlives its use.
 */
struct dirty_map;
void blkback_set_dirty(struct blkback *b, struct dirty_map *map);
/* The ring's next request is left there for a while: blkback_housekeep() says how long. */
bool blkback_is_held_back(const struct blkback *b);
/* The same, and the last pass was the first that saw it: an event has brought it. */
bool blkback_is_newly_held(const struct blkback *b);
/*
 * Gives back pages and memory that were not used for long. To be called on the
 * way to sleep, and now and then by a queue that never sleeps. Returns for how
 * many milliseconds to sleep at most before the next call or pass, or -1.
 */
int blkback_housekeep(struct blkback *b);

#endif
