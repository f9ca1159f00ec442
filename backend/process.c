/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One worker process (process.h).
 *
 * Hides: spawning, descriptors, the end. Must not know: why.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "launch.h"
#include "sandbox.h"
#include "util.h"

/* Hundreds of messages: one that has as many to read has stopped, and is not just slow. */
#define SEND_BYTES (1 << 20)
#define REAP_EVERY_MS 2
#define REAP_KILLED_MS 50
#define KILLED_WAIT_MS 100
#define LEFT_MAX 64u

struct process {
	pid_t pid;			/* 0 once it is reaped */
	int sock, theirs;
	uint32_t stop_ms;
	bool stopping, killed;
	int status;			/* once it is reaped, as waitpid() has it */
	char sandbox[64], refused[48];	/* its layers; the call that ended it */
	const struct process_events *events;
	void *arg;
	struct evsource *on_socket, *reaper, *deadline;
};

static void on_socket(void *arg, uint32_t events);
static void on_reap(void *arg, uint32_t events);
static void on_deadline(void *arg, uint32_t events);

/* ---- start ---------------------------------------------------------------- */

/*
 * The end of a process shows as the end of its socket; then it is asked for
 * until it is dead altogether. (Older kernels have no pidfds.)
 */
static int watch(struct process *p, struct evloop *loop)
{
	int rc = evloop_add_fd(loop, p->sock, EPOLLIN, on_socket, p, &p->on_socket);

	if (!rc)
		rc = evloop_add_timer(loop, on_reap, p, &p->reaper);
	if (!rc)
		rc = evloop_add_timer(loop, on_deadline, p, &p->deadline);
	return rc;
}

int process_open(struct evloop *loop, const struct process_options *o,
		 const struct process_events *events, void *arg, struct process **out)
{
	struct process *p = calloc(1, sizeof(*p));
	const int bytes = SEND_BYTES;
	int pair[2], rc;

	if (!p)
		return -ENOMEM;
	p->sock = p->theirs = -1;
	p->status = PROCESS_UNKNOWN;
	p->stop_ms = o->stop_ms;
	p->events = events;
	p->arg = arg;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		rc = -errno;
	} else {
		p->sock = pair[0];
		p->theirs = pair[1];
		if (setsockopt(p->sock, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
			setsockopt(p->sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		/* Ours alone: one that does not read must not make all others wait. */
		rc = fcntl(p->sock, F_SETFL, O_NONBLOCK) ? -errno : watch(p, loop);
	}
	if (rc) {
		process_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

int process_adopt(struct evloop *loop, pid_t pid, int sock, uint32_t stop_ms,
		  const struct process_events *events, void *arg, struct process **out)
{
	struct process *p;
	siginfo_t si;
	int rc;

	/* Its number may be another process's by now. */
	if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT))
		return -errno;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->sock = sock;
	p->theirs = -1;
	p->status = PROCESS_UNKNOWN;
	p->stop_ms = stop_ms;
	p->events = events;
	p->arg = arg;
	rc = watch(p, loop);
	if (rc) {
		p->sock = -1;
		process_free(p);
		return rc;
	}
	p->pid = pid;
	*out = p;
	return 0;
}

int process_start(struct process *p, const struct process_options *o)
{
	const char *const argv[] = {
		o->name, "--worker", "--log-level", o->log_level,
		"--user", o->user ? o->user : "own",
		"--seccomp", o->seccomp ? o->seccomp : "kill", o->title, NULL,
	};
	const struct launch_fd fds[] = { { p->theirs, PROCESS_FD }, { -1, -1 } };
	int rc = launch_program(o->program, argv, fds, PROCESS_FD + 1, &p->pid);

	if (rc)
		p->pid = 0;
	close_fd(&p->theirs);
	return rc;
}

int process_sock(const struct process *p)
{
	return p->sock;
}

pid_t process_pid(const struct process *p)
{
	return p->pid;
}

int process_status(const struct process *p)
{
	return p->pid ? PROCESS_UNKNOWN : p->status;
}

/* ---- end ------------------------------------------------------------------ */

/* Said once, since all workers of a daemon are in the same place. */
static void say_layers(const struct process *p, uint32_t layers)
{
	static bool said;

	if (said || layers == SANDBOX_WHOLE_LAYERS)
		return;
	said = true;
	log_info("the sandbox of workers is not whole here (it has: %s), see docs/security.md",
		 p->sandbox);
}

static void take_note(struct process *p, const struct sandbox_note *note)
{
	if (note->refused) {
		sandbox_name_call(note->value, p->refused, sizeof(p->refused));
		return;
	}
	sandbox_describe(note->value, p->sandbox, sizeof(p->sandbox));
	say_layers(p, note->value);
}

bool process_take_note(struct process *p)
{
	struct sandbox_note note;
	ssize_t got = recv(p->sock, &note, sizeof(note), MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);

	if (got != sizeof(note) || note.magic != SANDBOX_NOTE_MAGIC)
		return false;
	recv(p->sock, &note, sizeof(note), MSG_DONTWAIT);
	take_note(p, &note);
	return true;
}

const char *process_sandbox(const struct process *p)
{
	return p->sandbox;
}

static void on_socket(void *arg, uint32_t events)
{
	struct process *p = arg;

	(void)events;
	if (process_take_note(p))
		return;
	if (p->events->heard(p->arg, p->sock))
		return;
	/* Its last words have been read: they come before the end. */
	evloop_remove(p->on_socket);
	p->on_socket = NULL;
	evloop_set_timer(p->reaper, 0, REAP_EVERY_MS);
}

void process_stopping(struct process *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	evloop_set_timer(p->deadline, p->stop_ms, 0);
}

void process_hang_up(struct process *p)
{
	shutdown(p->sock, SHUT_WR);
	process_stopping(p);
}

/* Its socket may be open yet when it has ended, with a child of its own. */
void process_kill(struct process *p)
{
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
	if (p->on_socket)
		evloop_set_timer(p->reaper, REAP_KILLED_MS, REAP_KILLED_MS);
}

/*
 * Its end may take as long as the I/O it waits for: nobody may take what it
 * served for closed before.
 */
static void on_deadline(void *arg, uint32_t events)
{
	struct process *p = arg;

	(void)events;
	p->killed = true;
	process_kill(p);
}

static void say_how(const struct process *p, char *how, size_t bytes, const siginfo_t *si)
{
	if (p->refused[0])
		snprintf(how, bytes, "was ended by its sandbox: it called %s, which is "
			 "not in its list of system calls", p->refused);
	else if (si->si_code == CLD_EXITED)
		snprintf(how, bytes, "exited with status %d", si->si_status);
	else
		snprintf(how, bytes, "was ended by signal %d (%s)", si->si_status,
			 strsignal(si->si_status));
}

/* What waitid() says, in waitpid()'s form. */
static int status_of(const siginfo_t *si)
{
	return si->si_code == CLD_EXITED ? W_EXITCODE(si->si_status, 0) :
					   W_EXITCODE(0, si->si_status);
}

static void on_reap(void *arg, uint32_t events)
{
	struct process *p = arg;
	siginfo_t si = { 0 };
	char how[160];

	(void)events;
	if (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG) < 0)
		log_error("process %d: waitid: %s", (int)p->pid, strerror(errno));
	else if (!si.si_pid)
		return;
	p->pid = 0;
	p->status = si.si_pid ? status_of(&si) : PROCESS_UNKNOWN;
	evloop_set_timer(p->reaper, -1, 0);
	say_how(p, how, sizeof(how), &si);
	p->events->ended(p->arg, p->killed, how);
}

void process_leave(struct process *p, uint32_t ms)
{
	uint64_t until = now_ms() + ms;

	if (!p)
		return;
	evloop_remove(p->on_socket);
	p->on_socket = NULL;
	close_fd(&p->sock);
	while (p->pid > 0 && now_ms() < until) {
		if (waitpid(p->pid, &p->status, WNOHANG) == p->pid)
			p->pid = 0;
		else
			usleep(2000);
	}
}

void process_end(pid_t pid)
{
	static pid_t left[LEFT_MAX];
	static unsigned nr_left;
	unsigned i;

	for (i = nr_left; i-- > 0;)
		if (waitpid(left[i], NULL, WNOHANG))
			left[i] = left[--nr_left];
	kill(pid, SIGKILL);
	for (i = 0; i < KILLED_WAIT_MS; i++) {
		if (waitpid(pid, NULL, WNOHANG))
			return;
		usleep(1000);
	}
	if (nr_left < LEFT_MAX)
		left[nr_left++] = pid;
}

void process_free(struct process *p)
{
	if (!p)
		return;
	evloop_remove(p->on_socket);
	evloop_remove(p->reaper);
	evloop_remove(p->deadline);
	if (p->pid > 0)
		process_end(p->pid);
	close_fd(&p->sock);
	close_fd(&p->theirs);
	free(p);
}
