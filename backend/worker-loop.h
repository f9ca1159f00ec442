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
#include "dirty-map.h"
#include "grant.h"
#include "spin.h"
#include "worker.h"

/* RESIZE, LIMIT, MIRROR */
#define WORKER_LATE_NR 3u

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
	struct blk_figures *count;
	int kick_fd;
	struct disk_remote remote;	/* of an image behind a server */
	bool linked;			/* its disk has a connection; its own thread's */
	uint32_t link_number;		/* of that or the last one; the same */
	pthread_t thread;
	bool thread_started;

	/* The loop's. */
	struct spin spin;
	uint64_t now_cycles;		/* of this turn */
	uint64_t looked_cycles;		/* when it last looked around */
	bool stop;
	bool masked;			/* the event channel, since it woke us */
	bool worked;			/* since then */
	uint32_t spurious;		/* wake-ups in a row that brought nothing */
};

struct worker {
	int sock, image, journal_fd, figures_fd, mirror_fd;
	/* What was heard before there were queues to do it, the last of each kind. */
	struct worker_late {
		struct worker_msg msg;	/* type 0: none */
		int fd;
	} late[WORKER_LATE_NR];
	struct worker_start start;
	struct log_peer log;
	struct journal *journal;
	struct figures *figures;
	struct disk_flushes flushes;	/* of all queues */
	struct grant_own own;		/* until the rings are mapped; no pages: none */
	struct blkback_gate *gate;
	struct blkback_limit *limit;
	uint32_t nr_queues;
	uint64_t cycles_per_us;		/* of spin_now_cycles() */
	bool told_to_stop;		/* by the supervisor; the first thread's */
	bool threads_run;		/* kicks go through eventfds from now on */
	struct worker_queue queues[VBD_QUEUES_MAX];

	pthread_mutex_t lock;		/* over what follows */
	bool stopping;
	bool broken;			/* a ring's indices were impossible */
	bool orphaned;			/* the supervisor went; written by the first thread alone */
	uint32_t nr_drained;		/* queues but the first that have ended */
	uint64_t sectors;
	struct {			/* connections that came for the queues */
		int fd;			/* -1: none */
		uint32_t number;
	} links[VBD_QUEUES_MAX];
	uint32_t resize_left;		/* a bit for each queue that has not taken sectors */
	uint32_t limit_left;		/* the same, of its limits */
	/* What the queues mark when they write; what some marked before, yet. */
	struct dirty_map *dirty, *former_dirty;
	uint32_t dirty_number;		/* of the MIRROR that brought dirty */
	uint32_t dirty_left;		/* as above, of dirty */
};

/* blkback_queue_config.kick; arg is the struct worker. */
void worker_kick(void *arg, uint32_t queue);
/* Serves until the worker stops; nothing is in flight when it returns. */
void worker_queue_run(struct worker_queue *q);
/* One that does not run: nobody is to wait for it. */
void worker_queue_leave(struct worker_queue *q);
/*
 * A socket came for a queue: its thread takes it from here, or, before there are
 * threads, the disk at once.
 */
void worker_take_link(struct worker *w, const struct worker_link *link, int fd);
/* Keeps a message, with its descriptor or -1, until worker_hear_late(). */
void worker_keep_late(struct worker *w, const struct worker_msg *msg, int fd);
/* Does what was kept: once there are queues, before worker_queue_run(). */
void worker_hear_late(struct worker *w);
/* disk.h: disk_remote's; arg is the queue. */
void worker_linked(void *arg, uint64_t bytes);
void worker_lost(void *arg, const char *why);
bool worker_queue_is_orphan(void *arg);
/* The supervisor is dead, rather than one that leaves for another version of itself. */
bool worker_is_orphan(const struct worker *w);
/*
 * Until no queue is busy, in one thread: before the queues' threads run.
 */
void worker_drain_all(struct worker *w);

#endif
