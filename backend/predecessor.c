/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for a process that is no child (predecessor.h).
 *
 * Hides: /proc. Must not know: what the process does.
 */
#include "predecessor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "util.h"

#define POLL_EVERY_MS 5

struct predecessor {
	pid_t pid;
	uint64_t started, killed_ms;
	uint32_t stop_ms;
	struct evsource *poll;
	void (*gone)(void *arg);
	void *arg;
};

uint64_t predecessor_start_time(pid_t pid)
{
	char path[48], text[1024], *at, state;
	unsigned long long ticks = 0;
	autoclose int fd = -1;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	/* The name, in brackets, may hold anything; fields 3 and 22 follow. */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
			  "%*d %*d %*d %*d %*d %*d %llu", &state, &ticks) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : ticks;
}

static void on_poll(void *arg, uint32_t events)
{
	struct predecessor *p = arg;

	(void)events;
	if (predecessor_start_time(p->pid) != p->started) {
		evloop_set_timer(p->poll, -1, 0);
		p->gone(p->arg);
	} else if (now_ms() >= p->killed_ms) {
		log_warning("worker %d of a former daemon does not end: killed",
			    (int)p->pid);
		kill(p->pid, SIGKILL);
		p->killed_ms = now_ms() + p->stop_ms;
	}
}

static bool read_number(const struct rundir *r, const struct rundir_name *name,
			const char *key, uint64_t max, uint64_t *out)
{
	char text[32];

	return !rundir_read_info(r, name, key, text, sizeof(text)) &&
		!parse_u64(text, max, out);
}

/* started: ... since then. */
static pid_t find(const struct rundir *r, const struct rundir_name *name, uint64_t *started)
{
	uint64_t pid;

	if (!read_number(r, name, "pid", INT32_MAX, &pid) ||
	    !read_number(r, name, "started", UINT64_MAX, started) ||
	    !*started || predecessor_start_time((pid_t)pid) != *started)
		return 0;
	return (pid_t)pid;
}

pid_t predecessor_pid(const struct rundir *r, const struct rundir_name *name)
{
	uint64_t pid;

	return read_number(r, name, "pid", INT32_MAX, &pid) ? (pid_t)pid : 0;
}

int predecessor_open(struct evloop *loop, const struct rundir *r,
		     const struct rundir_name *name, uint32_t stop_ms,
		     void (*gone)(void *arg), void *arg, struct predecessor **out)
{
	struct predecessor *p;
	uint64_t started;
	pid_t pid = find(r, name, &started);
	int rc;

	if (!pid)
		return -ESRCH;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->pid = pid;
	p->started = started;
	p->stop_ms = stop_ms;
	p->killed_ms = now_ms() + stop_ms;
	p->gone = gone;
	p->arg = arg;
	rc = evloop_add_timer(loop, on_poll, p, &p->poll);
	if (!rc)
		rc = evloop_set_timer(p->poll, 0, POLL_EVERY_MS);
	if (rc) {
		predecessor_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

void predecessor_close(struct predecessor *p)
{
	if (!p)
		return;
	evloop_remove(p->poll);
	free(p);
}
