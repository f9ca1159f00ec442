/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker of one block device: its queues, and the loop of each.
 *
 * Hides: when to look at what, when to spin, when to sleep. Must not know: how
 * the device was connected (worker-main.c), what a request is.
 *
 * Queue 0 runs in the process's first thread, which also listens to the
 * supervisor; each other queue has a thread. Threads tell each other something
 * by changing struct worker under its lock and kicking: an eventfd per queue.
 */
#ifndef PV_WORKER_LOOP_H
#define PV_WORKER_LOOP_H

#include <pthread.h>
#include "blkback.h"
#include "spin.h"
#include "worker.h"

struct worker_queue {
	struct worker *w;
	uint32_t index;
	/* From connecting; closed by the process's first thread. */
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	bool bound;
	void *ring;
	uint32_t ring_pages;
	struct disk *disk;
	struct blkback *b;
	struct journal_counters *count;
	int kick_fd;
	pthread_t thread;
	bool thread_started;

	/* The loop's. */
	struct spin spin;
	uint64_t looked_cycles;		/* when it last looked around */
	bool stop;
	bool masked;			/* the event channel, since it woke us */
	bool worked;			/* since then */
	uint32_t spurious;		/* wake-ups in a row that brought nothing */
};

struct worker {
	int sock, image, journal_fd;
	struct worker_start start;
	struct log_peer log;
	struct journal *journal;
	struct blkback_gate *gate;
	uint32_t nr_queues;
	uint64_t cycles_per_us;		/* of spin_now_cycles() */
	bool threads_run;		/* kicks go through eventfds from now on */
	struct worker_queue queues[VBD_QUEUES_MAX];

	pthread_mutex_t lock;		/* over what follows */
	bool stopping;
	bool broken;			/* a ring's indices were impossible */
	bool orphaned;			/* the supervisor went without STOP */
	uint64_t sectors;
	uint32_t resize_left;		/* a bit for each queue that has not taken sectors */
};

/* blkback_queue_config.kick; arg is the struct worker. */
void worker_kick(void *arg, uint32_t queue);
/* Serves until the worker stops; nothing is in flight when it returns. */
void worker_queue_run(struct worker_queue *q);
/*
 * Until no queue is busy, in one thread: before the queues' threads run.
 */
void worker_drain_all(struct worker *w);

#endif
