/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at /proc/PID/task (paravane-threads.h).
 */
#include "paravane-threads.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* User and system time are the 14th and 15th word; the 2nd is a name that may have spaces. */
#define AFTER_NAME ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64

/* False: the thread has ended. */
static bool read_time(uint32_t pid, const char *tid, uint64_t *cpu_ns)
{
	char path[80], text[512], *end;
	uint64_t user, system;
	FILE *f;
	size_t got;

	snprintf(path, sizeof(path), "/proc/%u/task/%.20s/stat", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	got = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[got] = '\0';
	end = strrchr(text, ')');
	if (!end || sscanf(end, AFTER_NAME, &user, &system) != 2)
		return false;
	*cpu_ns = (user + system) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
	return true;
}

static int add(struct threads *t, uint32_t tid, uint64_t cpu_ns)
{
	if (t->nr == t->max) {
		uint32_t max = t->max ? 2 * t->max : 16;
		struct thread_time *more = realloc(t->thread, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->thread = more;
		t->max = max;
	}
	t->thread[t->nr++] = (struct thread_time){ tid, cpu_ns };
	return 0;
}

int threads_look(struct threads *t, uint32_t pid)
{
	char path[32];
	struct dirent *e;
	DIR *dir;
	int rc = 0;

	t->pid = 0;
	t->nr = 0;
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!rc && (e = readdir(dir))) {
		uint64_t tid, cpu_ns;

		if (!parse_u64(e->d_name, UINT32_MAX, &tid) && read_time(pid, e->d_name, &cpu_ns))
			rc = add(t, (uint32_t)tid, cpu_ns);
	}
	closedir(dir);
	t->taken_ns = now_ns();
	t->pid = rc ? 0 : pid;
	return rc;
}

void threads_free(struct threads *t)
{
	free(t->thread);
	memset(t, 0, sizeof(*t));
}

/* 0: it has begun since. */
static uint64_t time_of(const struct threads *t, uint32_t tid)
{
	for (uint32_t i = 0; i < t->nr; i++)
		if (t->thread[i].tid == tid)
			return t->thread[i].cpu_ns;
	return 0;
}

double threads_busiest(const struct threads *before, const struct threads *now)
{
	uint64_t most = 0;

	if (!before->pid || before->pid != now->pid || !now->nr || now->taken_ns <= before->taken_ns)
		return -1;
	for (uint32_t i = 0; i < now->nr; i++) {
		uint64_t then = time_of(before, now->thread[i].tid);

		if (now->thread[i].cpu_ns > then)
			most = MAX(most, now->thread[i].cpu_ns - then);
	}
	return (double)most / (double)(now->taken_ns - before->taken_ns);
}
