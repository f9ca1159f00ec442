/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See counters.h. Guest time comes in clock ticks, so that a run of a second is known to
 * a hundredth; the rest is exact.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t wall_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t own_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t thread_cpu_ns(pthread_t thread)
{
	clockid_t clock;

	return pthread_getcpuclockid(thread, &clock) ? 0 : clock_ns(clock);
}

/* proc(5): field 43 of stat is guest_time; the second may have spaces in it. */
uint64_t own_guest_ns(void)
{
	FILE *f = fopen("/proc/thread-self/stat", "re");
	char line[1024] = "", *at;
	uint64_t ticks;

	if (!f)
		return 0;
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	for (unsigned int field = 2; at && field < 43; field++)
		at = strchr(at + 1, ' ');
	ticks = at ? strtoull(at, NULL, 10) : 0;
	return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t task_cpu_ns(pid_t pid, const char *task)
{
	char path[300];
	uint64_t ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, task);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

uint64_t process_cpu_ns(pid_t pid)
{
	const struct dirent *d;
	char path[64];
	uint64_t ns = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.')
			ns += task_cpu_ns(pid, d->d_name);
	closedir(dir);
	return ns;
}
