/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One worker process, from its start to its end.
 *
 * Hides: posix_spawn, what is inherited (nothing but stdio, the environment and
 * PROCESS_FD), reaping, the deadline of a stop. Must not know: what is said on
 * the socket, why a process is wanted. The loop's thread.
 */
#ifndef PV_PROCESS_H
#define PV_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "evloop.h"

#define PROCESS_FD 3		/* its end of the socket */

struct process;

struct process_options {
	/* path to execute; argv: NAME --worker --log-level L --user U --seccomp S TITLE */
	const char *program;
	const char *name;	/* "paravane-blkback" */
	const char *title;	/* for ps: "vbd-3-51712" */
	const char *log_level;
	const char *user, *seccomp;	/* sandbox_parse()'s words; NULL: its default */
	uint32_t stop_ms;	/* from process_stopping() to SIGKILL */
};

struct process_events {
	/*
	 * The socket is readable: the callee reads one packet. False: it is the end
	 * of the stream; there will be no more of these.
	 */
	bool (*heard)(void *arg, int sock);
	/*
	 * Once, last: it has ended and been reaped, so whatever it had mapped or bound
	 * is free. how is what to say of it ("was ended by signal 9 (Killed)"), killed that
	 * it was our deadline's doing. The callee calls process_free().
	 */
	void (*ended)(void *arg, bool killed, const char *how);
};

/*
 * Makes the socket alone, so that messages can be sent before the process runs: no
 * descriptor that went with one is open here then. events is kept, not copied.
 */
int process_open(struct evloop *loop, const struct process_options *o,
		 const struct process_events *events, void *arg, struct process **out);
/*
 * A process that runs already, a child of ours, with the supervisor's end of its socket,
 * which becomes ours. -ECHILD: it is no child of ours any more; other -errno; the socket
 * stays the caller's then.
 */
int process_adopt(struct evloop *loop, pid_t pid, int sock, uint32_t stop_ms,
		  const struct process_events *events, void *arg, struct process **out);
/* Executes the program. -errno of posix_spawn. */
int process_start(struct process *p, const struct process_options *o);
/* Not blocking: -EAGAIN of a message is a process that has long not read. */
int process_sock(const struct process *p);
/*
 * Takes a note about its sandbox if one is next on its socket, which else has messages
 * alone. For who reads the socket before the loop does.
 */
bool process_take_note(struct process *p);
/* "user files network calls capabilities", what of its sandbox it has; "" before it says so. */
const char *process_sandbox(const struct process *p);
pid_t process_pid(const struct process *p);	/* 0 once it is reaped */
/* Then as waitpid() has it; before, and where that could not be learned, PROCESS_UNKNOWN. */
#define PROCESS_UNKNOWN (-1)
int process_status(const struct process *p);
/* It has been asked to end: starts the deadline. Again is fine. */
void process_stopping(struct process *p);
/*
 * Asks it to end in the way that workers of every version understand: it reads the end of
 * the stream. Its own words can be read yet. Again is fine.
 */
void process_hang_up(struct process *p);
/* At once: ended follows, later. For one that does not keep to its protocol. */
void process_kill(struct process *p);
/*
 * Closes the socket, which tells it to end, and waits for that, for at most ms: for what
 * it gives back by itself only. process_free() follows; no event does. Accepts NULL.
 */
void process_leave(struct process *p, uint32_t ms);
/* Before the end: kills and reaps it, as process_end() does. Accepts NULL. */
void process_free(struct process *p);

/*
 * Kills a child and reaps it. One that its storage holds ends when that lets go, and all
 * devices would wait with it: after 100 ms it is left, and reaped with another one, or by init.
 */
void process_end(pid_t pid);

#endif
