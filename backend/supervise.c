/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One block device's worker (supervise.h).
 *
 * Hides: messages. Must not know: why.
 */
#include "supervise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util.h"

struct worker {
	struct process *process;
	bool stopping, said_end;
	struct worker_report report;
	const struct worker_events *events;
	void *arg;
};

static bool on_message(void *arg, int sock);
static void on_ended(void *arg, bool killed, const char *how);

static const struct process_events process_events = {
	.heard = on_message,
	.ended = on_ended,
};

int worker_start(struct evloop *loop, const struct process_options *o,
		 const struct worker_msg *start, const int fds[2],
		 const struct worker_events *events, void *arg, struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->events = events;
	w->arg = arg;
	rc = process_open(loop, o, &process_events, w, &w->process);
	/* Sent first: the message waits in the socket, and no descriptor of the
	 * worker's image is open here when the worker runs. */
	if (!rc)
		rc = worker_send(process_sock(w->process), start, fds, 2);
	if (!rc)
		rc = process_start(w->process, o);
	if (rc) {
		worker_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

/* ---- life ----------------------------------------------------------------- */

static void take_failure(struct worker *w, const struct worker_msg *msg)
{
	w->said_end = true;
	w->report.end = msg->type == WORKER_FAILED ? WORKER_END_FAILED :
						     WORKER_END_BROKEN;
	w->report.failure = msg->failure;
	w->report.failure.reason[sizeof(msg->failure.reason) - 1] = '\0';
	worker_stop(w);
}

static void take_message(struct worker *w, struct worker_msg *msg)
{
	switch (msg->type) {
	case WORKER_READY:
		msg->engine[sizeof(msg->engine) - 1] = '\0';
		w->events->ready(w->arg, msg->engine);
		break;
	case WORKER_RESIZED:
		w->events->resized(w->arg, msg->sectors);
		break;
	case WORKER_FAILED:
	case WORKER_BROKEN:
		take_failure(w, msg);
		break;
	case WORKER_STOPPED:
		/* What was said before (BROKEN, then STOPPED) stays. */
		if (!w->said_end)
			w->report.end = WORKER_END_STOPPED;
		w->said_end = true;
		break;
	}
}

static bool on_message(void *arg, int sock)
{
	struct worker *w = arg;
	struct worker_msg msg;
	int rc = worker_receive(sock, &msg, NULL, NULL);

	if (!rc) {
		take_message(w, &msg);
		return true;
	}
	worker_stop(w);
	if (rc == -EPROTO)
		log_error("worker %d: sent what is no message", (int)worker_pid(w));
	return rc == -EPROTO;
}

void worker_stop(struct worker *w)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_STOP };

	if (w->stopping)
		return;
	w->stopping = true;
	/* -EPIPE: it is ending by itself. */
	worker_send(process_sock(w->process), &msg, NULL, 0);
	process_stopping(w->process);
}

int worker_resize(struct worker *w, uint64_t sectors)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_RESIZE };

	msg.sectors = sectors;
	return worker_send(process_sock(w->process), &msg, NULL, 0);
}

const char *worker_sandbox(const struct worker *w)
{
	return process_sandbox(w->process);
}

pid_t worker_pid(const struct worker *w)
{
	return process_pid(w->process);
}

/* ---- end ------------------------------------------------------------------ */

static void on_ended(void *arg, bool killed, const char *how)
{
	struct worker *w = arg;

	if (!w->said_end) {
		w->report.end = killed ? WORKER_END_KILLED : WORKER_END_CRASHED;
		w->report.failure.err = EIO;
		snprintf(w->report.failure.reason, sizeof(w->report.failure.reason), "%s", how);
	}
	w->events->ended(w->arg, &w->report);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	process_free(w->process);
	free(w);
}
