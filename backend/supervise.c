/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One worker process (supervise.h).
 *
 * Hides: spawning, descriptors, messages, the end. Must not know: why.
 */
#include "supervise.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util.h"

#define REAP_EVERY_MS 2

extern char **environ;

struct worker {
	pid_t pid;			/* 0 once it is reaped */
	int sock;
	uint32_t stop_ms;
	bool stopping, killed, said_end;
	struct worker_report report;
	const struct worker_events *events;
	void *arg;
	struct evsource *on_message, *reaper, *deadline;
	struct evloop *loop;
};

/* ---- start ---------------------------------------------------------------- */

/*
 * Signals as a fresh program expects them, and only descriptors 0, 1, 2 and
 * WORKER_FD: libxenstore opens some without close-on-exec.
 */
static int spawn(const struct worker_options *o, int sock, pid_t *pid)
{
	char *const argv[] = { (char *)"paravane-blkback", (char *)"--worker",
			       (char *)"--log-level", (char *)o->log_level,
			       (char *)o->title, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&actions);
	rc = posix_spawn_file_actions_adddup2(&actions, sock, WORKER_FD);
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_FD + 1);
	if (!rc)
		rc = posix_spawn(pid, o->program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

static void on_message(void *arg, uint32_t events);
static void on_reap(void *arg, uint32_t events);
static void on_deadline(void *arg, uint32_t events);

/*
 * The end of a process shows as the end of its socket; then it is asked for
 * until it is dead altogether. (Older kernels have no pidfds.)
 */
static int watch(struct worker *w)
{
	int rc = evloop_add_fd(w->loop, w->sock, EPOLLIN, on_message, w, &w->on_message);

	if (!rc)
		rc = evloop_add_timer(w->loop, on_reap, w, &w->reaper);
	if (!rc)
		rc = evloop_add_timer(w->loop, on_deadline, w, &w->deadline);
	return rc;
}

int worker_start(struct evloop *loop, const struct worker_options *o,
		 const struct worker_msg *start, const int fds[2],
		 const struct worker_events *events, void *arg, struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));
	int pair[2] = { -1, -1 }, rc;

	if (!w)
		return -ENOMEM;
	w->sock = -1;
	w->stop_ms = o->stop_ms;
	w->events = events;
	w->arg = arg;
	w->loop = loop;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		rc = -errno;
		goto fail;
	}
	w->sock = pair[0];
	/* Sent first: the message waits in the socket, and no descriptor of the
	 * worker's image is open here when the worker runs. */
	rc = worker_send(w->sock, start, fds, 2);
	if (!rc)
		rc = spawn(o, pair[1], &w->pid);
	close_fd(&pair[1]);
	if (!rc)
		rc = watch(w);
	if (rc)
		goto fail;
	*out = w;
	return 0;
fail:
	worker_free(w);
	return rc;
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

static void on_message(void *arg, uint32_t events)
{
	struct worker *w = arg;
	struct worker_msg msg;
	int rc = worker_receive(w->sock, &msg, NULL, NULL);

	(void)events;
	if (!rc) {
		take_message(w, &msg);
		return;
	}
	worker_stop(w);
	if (rc == -EPROTO) {
		log_error("worker %d: sent what is no message", (int)w->pid);
		return;
	}
	/* Its last words have been read: they come before the end. */
	evloop_remove(w->on_message);
	w->on_message = NULL;
	evloop_set_timer(w->reaper, 0, REAP_EVERY_MS);
}

void worker_stop(struct worker *w)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_STOP };

	if (w->stopping)
		return;
	w->stopping = true;
	/* -EPIPE: it is ending by itself. */
	worker_send(w->sock, &msg, NULL, 0);
	evloop_set_timer(w->deadline, w->stop_ms, 0);
}

int worker_resize(struct worker *w, uint64_t sectors)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_RESIZE };

	msg.sectors = sectors;
	return worker_send(w->sock, &msg, NULL, 0);
}

pid_t worker_pid(const struct worker *w)
{
	return w->pid;
}

/* ---- end ------------------------------------------------------------------ */

static void on_deadline(void *arg, uint32_t events)
{
	struct worker *w = arg;

	(void)events;
	w->killed = true;
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	/* Its end may take as long as the I/O it waits for: nobody may take
	 * the device for closed before. */
}

static void say_how(struct worker_report *r, const siginfo_t *si)
{
	r->failure.err = EIO;
	if (si->si_code == CLD_EXITED)
		snprintf(r->failure.reason, sizeof(r->failure.reason),
			 "the worker exited with status %d", si->si_status);
	else
		snprintf(r->failure.reason, sizeof(r->failure.reason),
			 "the worker was ended by signal %d (%s)", si->si_status,
			 strsignal(si->si_status));
}

static void on_reap(void *arg, uint32_t events)
{
	struct worker *w = arg;
	siginfo_t si = { 0 };

	(void)events;
	if (waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG) < 0)
		log_error("worker %d: waitid: %s", (int)w->pid, strerror(errno));
	else if (!si.si_pid)
		return;
	w->pid = 0;
	evloop_set_timer(w->reaper, -1, 0);
	if (!w->said_end) {
		w->report.end = w->killed ? WORKER_END_KILLED : WORKER_END_CRASHED;
		say_how(&w->report, &si);
	}
	w->events->ended(w->arg, &w->report);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	evloop_remove(w->on_message);
	evloop_remove(w->reaper);
	evloop_remove(w->deadline);
	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
	}
	close_fd(&w->sock);
	free(w);
}
