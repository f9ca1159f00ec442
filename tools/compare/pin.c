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

static int pin_task(pid_t tid, int nth)
{
	cpu_set_t one;

	if (nth == PIN_ANY)
		return sched_setaffinity(tid, sizeof(allowed), &allowed) ? -errno : 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || nth--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		return sched_setaffinity(tid, sizeof(one), &one) ? -errno : 0;
	}
	return -ENODEV;
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
