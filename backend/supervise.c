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
	bool stopping, said_ready, said_end, talks_nonsense;
	bool hung_up;			/* before it was told to stop */
	uint32_t mirror_number;		/* of the last MIRROR */
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

/* Places count: for figures that there are not goes what the worker will see is none. */
static int send_start(struct worker *w, const struct worker_msg *start, const int fds[5])
{
	int all[5] = { fds[0], fds[1], fds[2] < 0 ? fds[1] : fds[2] };
	unsigned nr = 3;

	if (fds[3] >= 0)
		all[nr++] = fds[3];
	if (fds[4] >= 0)
		all[nr++] = fds[4];
	return worker_send(process_sock(w->process), start, all, nr);
}

int worker_start(struct evloop *loop, const struct process_options *o,
		 const struct worker_msg *start, const int fds[5],
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
		rc = send_start(w, start, fds);
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
	if (w->said_end)
		return;
	w->said_end = true;
	w->report.end = msg->type == WORKER_FAILED ? WORKER_END_FAILED :
						     WORKER_END_BROKEN;
	w->report.failure = msg->failure;
	w->report.failure.reason[sizeof(msg->failure.reason) - 1] = '\0';
	worker_stop(w);
}

/*
 * What else it says is not to be believed, so it has crashed, whatever it does yet: its
 * guest is served by a successor.
 */
static void take_nonsense(struct worker *w)
{
	w->talks_nonsense = true;
	process_kill(w->process);
}

static void take_message(struct worker *w, struct worker_msg *msg)
{
	switch (msg->type) {
	case WORKER_PREPARED:
		w->events->prepared(w->arg);
		break;
	case WORKER_WAITS:
		if (!w->said_ready)
			w->events->waits(w->arg);
		break;
	case WORKER_READY:
		if (w->said_ready)	/* once, whatever it says */
			break;
		w->said_ready = true;
		msg->engine[sizeof(msg->engine) - 1] = '\0';
		w->events->ready(w->arg, msg->engine);
		break;
	case WORKER_RESIZED:
		w->events->resized(w->arg, msg->sectors);
		break;
	case WORKER_MIRRORED:
		/* An earlier one's: the queues have yet to take the last. */
		if (w->events->mirrored && msg->mirror.number == w->mirror_number)
			w->events->mirrored(w->arg);
		break;
	case WORKER_LINKED:
	case WORKER_LOST:
		msg->link.failure.reason[sizeof(msg->link.failure.reason) - 1] = '\0';
		if (w->events->link)
			w->events->link(w->arg, msg->type, &msg->link);
		break;
	case WORKER_FAILED:
	case WORKER_BROKEN:
		take_failure(w, msg);
		break;
	case WORKER_START:
	case WORKER_STOP:
	case WORKER_RESIZE:
	case WORKER_LIMIT:
	case WORKER_LINK:
	case WORKER_MIRROR:
	case WORKER_COPY:
	case WORKER_RATE:
	case WORKER_FINISH:
		take_nonsense(w);
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

	if (rc && rc != -EPROTO) {
		/* By itself: whatever its end takes, it was not asked for. */
		w->hung_up = !w->stopping;
		worker_stop(w);
		return false;
	}
	if (rc)
		take_nonsense(w);
	else if (!w->talks_nonsense)
		take_message(w, &msg);
	return true;
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

int worker_link(struct worker *w, uint32_t queue, uint32_t number, int fd)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_LINK };

	msg.link.queue = queue;
	msg.link.number = number;
	return worker_send(process_sock(w->process), &msg, &fd, 1);
}

int worker_limit(struct worker *w, const struct limit *limit)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_LIMIT };

	msg.limit = *limit;
	return worker_send(process_sock(w->process), &msg, NULL, 0);
}

int worker_mirror(struct worker *w, int map, uint64_t image_bytes)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_MIRROR };

	msg.mirror.bytes = map >= 0 ? image_bytes : 0;
	msg.mirror.number = ++w->mirror_number;
	return worker_send(process_sock(w->process), &msg, &map, map >= 0);
}

const char *worker_sandbox(const struct worker *w)
{
	return process_sandbox(w->process);
}

int worker_sock(const struct worker *w)
{
	return process_sock(w->process);
}

pid_t worker_pid(const struct worker *w)
{
	return process_pid(w->process);
}

/* ---- end ------------------------------------------------------------------ */

static void on_ended(void *arg, bool killed, const char *how)
{
	struct worker *w = arg;

	if (!w->said_end && w->talks_nonsense)
		how = "sent what is no message, and was killed";
	if (!w->said_end) {
		w->report.end = killed && !w->hung_up ? WORKER_END_KILLED : WORKER_END_CRASHED;
		w->report.failure.err = EIO;
		snprintf(w->report.failure.reason, sizeof(w->report.failure.reason), "the worker %s", how);
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
