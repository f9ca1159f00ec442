/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run directories of our back ends, as a reader (see paravane-runinfo.h).
 *
 * Hides: file names and the key=value form. Must not know: output, XenStore.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-runinfo.h"
#include "util.h"

#define RUNDIR_VARIABLE "PARAVANE_RUNDIR"
#define RUNDIR_DEFAULT "/run/paravane"
#define PATH_BYTES 512

static const char *base(void)
{
	const char *dir = getenv(RUNDIR_VARIABLE);

	return dir && *dir ? dir : RUNDIR_DEFAULT;
}

void runinfo_directory(const char *daemon, char buf[RUNINFO_PATH_BYTES])
{
	snprintf(buf, RUNINFO_PATH_BYTES, "%s/%s", base(), daemon);
}

static void path_of(const struct inventory_device *disk, const char *suffix, char *buf)
{
	snprintf(buf, PATH_BYTES, "%s/%s/%s-%u-%u.%s", base(),
		 is_nic(disk->kind) ? "netback" : "blkback", disk->kind, disk->domid, disk->devid,
		 suffix);
}

static void read_counters(const struct inventory_device *disk, struct runinfo *out)
{
	autoclose int fd = -1;
	char path[PATH_BYTES];

	path_of(disk, "journal", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	out->has_counters = fd >= 0 && !journal_read_counters(fd, &out->counters);
}

static void take_line(char *line, struct runinfo *out)
{
	char *value = strchr(line, '=');
	uint64_t n;

	line[strcspn(line, "\n")] = '\0';
	if (!value)
		return;
	*value++ = '\0';
	if (!strcmp(line, "engine"))
		snprintf(out->engine, sizeof(out->engine), "%s", value);
	else if (!strcmp(line, "sandbox"))
		snprintf(out->sandbox, sizeof(out->sandbox), "%s", value);
	else if (!strcmp(line, "grants"))
		snprintf(out->grants, sizeof(out->grants), "%s", value);
	else if (!strcmp(line, "pid") && !parse_u64(value, UINT32_MAX, &n))
		out->worker_pid = (uint32_t)n;
	else if (!strcmp(line, "restarts") && !parse_u64(value, UINT64_MAX, &n))
		out->restarts = n;
}

void runinfo_read(const struct inventory_device *disk, struct runinfo *out)
{
	char path[PATH_BYTES], line[512];
	FILE *f;

	memset(out, 0, sizeof(*out));
	path_of(disk, "info", path);
	f = fopen(path, "re");
	if (!f)
		return;
	out->found = true;
	while (fgets(line, sizeof(line), f))
		take_line(line, out);
	fclose(f);
	read_counters(disk, out);
}

bool runinfo_daemon_runs(const char *kind)
{
	char path[PATH_BYTES], text[16] = "";
	autoclose int fd = -1;
	uint64_t pid;

	snprintf(path, sizeof(path), "%s/%s/%s.lock", base(), is_nic(kind) ? "netback" : "blkback",
		 kind);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return !parse_u64(text, INT32_MAX, &pid) && pid && (!kill((pid_t)pid, 0) || errno == EPERM);
}
