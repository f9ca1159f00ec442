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
	/* At most once: engine as READY has it. */
	void (*ready)(void *arg, const char *engine);
	/* Follows worker_resize(), of two in a row perhaps the last alone. */
	void (*resized)(void *arg, uint64_t sectors);
	/*
	 * Once, last: the process has ended and been reaped, so whatever it had
	 * mapped or bound is free. The callee calls worker_free().
	 */
	void (*ended)(void *arg, const struct worker_report *report);
};

/*
 * Executes the program and sends START with image and journal. Both descriptors
 * stay the caller's, who closes the image at once: the fence needs the worker's
 * to be the last. events is kept, not copied.
 * -errno of process.h.
 */
int worker_start(struct evloop *loop, const struct process_options *o,
		 const struct worker_msg *start, const int fds[2],
		 const struct worker_events *events, void *arg, struct worker **out);
/* Sends STOP and starts the deadline. Again is fine. */
void worker_stop(struct worker *w);
int worker_resize(struct worker *w, uint64_t sectors);
/* As process_sandbox(). */
const char *worker_sandbox(const struct worker *w);
pid_t worker_pid(const struct worker *w);
/* Before the end: kills and reaps it. Accepts NULL. */
void worker_free(struct worker *w);

#endif
