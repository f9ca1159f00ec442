/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See pin.h.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "pin.h"

static cpu_set_t allowed;

int pin_init(void)
{
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return -errno;
	return CPU_COUNT(&allowed);
}

/* -ENODEV: there is no nth. */
static int choose(int nth, cpu_set_t *out)
{
	*out = allowed;
	if (nth == PIN_ANY)
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || nth--)
			continue;
		CPU_ZERO(out);
		CPU_SET(cpu, out);
		return 0;
	}
	return -ENODEV;
}

static int pin_task(pid_t tid, int nth)
{
	cpu_set_t cpus;
	int r = choose(nth, &cpus);

	return r ? r : sched_setaffinity(tid, sizeof(cpus), &cpus) ? -errno : 0;
}

int pin_thread(pthread_t thread, int nth)
{
	cpu_set_t cpus;
	int r = choose(nth, &cpus);

	return r ? r : -pthread_setaffinity_np(thread, sizeof(cpus), &cpus);
}

int pin_self(int nth)
{
	return pin_task(0, nth);
}

int pin_process(pid_t pid, int nth)
{
	const struct dirent *d;
	char path[64];
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!r && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			r = pin_task((pid_t)atoi(d->d_name), nth);
	closedir(dir);
	return r;
}
