/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What former.h says. Must not know: disks, interfaces. */
#include "former.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "process.h"
#include "util.h"

struct former {
	struct process *process;
	struct former **at;
	const char *who;
	void (*ended)(void *arg, bool in_order);
	void *arg;
};

/* What it says is of another version, and meant for that version's daemon. */
static bool on_heard(void *arg, int sock)
{
	char any[4096];

	(void)arg;
	return recv(sock, any, sizeof(any), MSG_DONTWAIT) > 0 || errno == EAGAIN;
}

static void on_ended(void *arg, bool killed, const char *how)
{
	struct former *f = arg, gone = *f;
	int status = process_status(f->process);

	log_debug("%s: the worker of the version before: %s%s", f->who, how,
		  killed ? ", which took too long" : "");
	*f->at = NULL;
	former_free(f);
	if (gone.ended)
		gone.ended(gone.arg, status != PROCESS_UNKNOWN && WIFEXITED(status));
}

int former_adopt(const struct former_options *o, struct former **out)
{
	static const struct process_events events = { .heard = on_heard, .ended = on_ended };
	struct former *f;
	int64_t pid;
	int sock, rc;

	*out = NULL;
	sock = takeover_take(o->takeover, TAKEOVER_WORKER, o->title, &pid);
	if (sock < 0)
		return sock == -ENOENT ? 0 : sock;
	f = calloc(1, sizeof(*f));
	if (f)
		*f = (struct former){ .at = out, .who = o->who, .ended = o->ended, .arg = o->arg };
	rc = f ? process_adopt(o->loop, (pid_t)pid, sock, o->stop_ms, &events, f, &f->process) :
		 -ENOMEM;
	if (rc) {
		shutdown(sock, SHUT_WR);
		close(sock);
		free(f);
		return rc == -ECHILD ? 0 : rc;
	}
	*out = f;
	return 0;
}

pid_t former_pid(const struct former *f)
{
	return process_pid(f->process);
}

void former_hang_up(struct former *f)
{
	if (f)
		process_hang_up(f->process);
}

void former_free(struct former *f)
{
	if (!f)
		return;
	process_free(f->process);
	free(f);
}
