/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See counters.h. Guest time comes in clock ticks, so that a run of a second is known to
 * a hundredth; the rest is exact.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return CMP_UNKNOWN;
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

	return pthread_getcpuclockid(thread, &clock) ? CMP_UNKNOWN : clock_ns(clock);
}

/* proc(5): field 43 of stat is guest_time; the second may have spaces in it. */
uint64_t own_guest_ns(void)
{
	FILE *f = fopen("/proc/thread-self/stat", "re");
	char line[1024] = "", *at;

	if (!f)
		return CMP_UNKNOWN;
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	for (unsigned int field = 2; at && field < 43; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK)) :
		    CMP_UNKNOWN;
}

uint64_t process_cpu_ns(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) ? CMP_UNKNOWN : clock_ns(clock);
}
