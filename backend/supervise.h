/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker process of one block device: what it is told, what it says.
 *
 * Hides: messages, and that a worker has ended however it did. Must not know:
 * XenStore, images, when a worker is wanted. The loop's thread.
 */
#ifndef PV_SUPERVISE_H
#define PV_SUPERVISE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "process.h"
#include "worker.h"

struct worker;

enum worker_end {
	WORKER_END_STOPPED,	/* as asked: everything answered and unmapped */
	WORKER_END_FAILED,	/* could not start: err, reason */
	WORKER_END_BROKEN,	/* the peer's ring is insane: err, reason */
	WORKER_END_CRASHED,	/* went without a word: reason names the signal */
	WORKER_END_KILLED,	/* did not answer STOP in time */
};

struct worker_report {
	enum worker_end end;
	struct failure failure;
};

struct worker_events {
	/* Only where START says prepare: it waits for its predecessor's end. */
	void (*prepared)(void *arg);
	/* There is no room yet to map its rings; perhaps again. */
	void (*waits)(void *arg);
	/* At most once: engine as READY has it. */
	void (*ready)(void *arg, const char *engine);
	/* Follows worker_resize(), of two in a row perhaps the last alone. */
	void (*resized)(void *arg, uint64_t sectors);
	/* MIRRORED: follows worker_mirror(), and means the last of them. */
	void (*mirrored)(void *arg);
	/* LINKED or LOST. NULL: of an image that is here. */
	void (*link)(void *arg, uint32_t type, const struct worker_link *link);
	/*
	 * Once, last: the process has ended and been reaped, so whatever it had
	 * mapped or bound is free. The callee calls worker_free().
	 */
	void (*ended)(void *arg, const struct worker_report *report);
};

/*
 * Executes the program and sends START with image, journal, figures (-1: none), and if it
 * is not -1 an elder of the image (disk.h) and a mirror's map. All descriptors stay the caller's, who closes the
 * first at once: the fence needs the worker's to be the last. events is kept, not copied.
 * -errno of process.h.
 */
int worker_start(struct evloop *loop, const struct process_options *o,
		 const struct worker_msg *start, const int fds[5],
		 const struct worker_events *events, void *arg, struct worker **out);
/* Sends STOP and starts the deadline. Again is fine. */
void worker_stop(struct worker *w);
int worker_resize(struct worker *w, uint64_t sectors);
/* A connection for a queue; fd stays the caller's. */
int worker_link(struct worker *w, uint32_t queue, uint32_t number, int fd);
int worker_limit(struct worker *w, const struct limit *limit);
/* map: of an image of so many bytes, and stays the caller's; -1: nothing is marked any more. */
int worker_mirror(struct worker *w, int map, uint64_t image_bytes);
/* As process_sandbox(). */
const char *worker_sandbox(const struct worker *w);
/* The supervisor's end of its socket; stays the worker's. */
int worker_sock(const struct worker *w);
pid_t worker_pid(const struct worker *w);
/* Before the end: kills and reaps it. Accepts NULL. */
void worker_free(struct worker *w);

#endif
