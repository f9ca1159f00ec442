/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run directories of our back ends, as a reader (see paravane-runinfo.h).
 *
 * Hides: file names and the key=value form. Must not know: output, XenStore.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
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

int runinfo_open_figures(const struct inventory_device *dev, int flags)
{
	char path[PATH_BYTES];
	int fd;

	path_of(dev, "figures", path);
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static uint32_t flush_lost(const struct inventory_device *disk)
{
	autoclose int fd = -1;
	char path[PATH_BYTES];

	path_of(disk, "journal", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? 0 : journal_read_flush_lost(fd);
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
	else if (!strcmp(line, "server"))
		snprintf(out->server, sizeof(out->server), "%.159s", value);
	else if (!strcmp(line, "cache"))
		snprintf(out->cache, sizeof(out->cache), "%.15s", value);
	else if (!strcmp(line, "waits-seconds"))
		parse_u64(value, UINT32_MAX, &out->io_timeout_s);
	else if (!strcmp(line, "sandbox"))
		snprintf(out->sandbox, sizeof(out->sandbox), "%s", value);
	else if (!strcmp(line, "image") || !strcmp(line, "bridge"))
		snprintf(out->store, sizeof(out->store), "%s", value);
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
	out->has_counters = figures_of_disk(disk, &out->counters);
	out->flush_lost = is_nic(disk->kind) ? 0 : flush_lost(disk);
}

static const char *const daemons[] = { "blkback", "netback" };

/* The files of a daemon's directory, by name. */
static void each_file(const char *daemon, void (*fn)(void *arg, const char *daemon,
						     const char *name), void *arg)
{
	char path[RUNINFO_PATH_BYTES];
	struct dirent **found;
	int nr;

	runinfo_directory(daemon, path);
	nr = scandir(path, &found, NULL, versionsort);
	for (int i = 0; i < nr; i++) {
		fn(arg, daemon, found[i]->d_name);
		free(found[i]);
	}
	if (nr >= 0)
		free(found);
}

struct each {
	void (*device)(void *arg, const char *kind, uint32_t domid, uint32_t devid);
	void (*served)(void *arg, const struct inventory_device *dev, const struct runinfo *info);
	void (*lost)(void *arg, const char *daemon, const char *kind);
	void *arg;
};

/* "vbd-3-51712.info" */
static void take_name(void *arg, const char *daemon, const char *file)
{
	const struct each *each = arg;
	enum inventory_class of;
	uint32_t domid, devid;
	char kind[16];
	int end = 0;

	(void)daemon;
	if (sscanf(file, "%15[a-z0-9]-%u-%u.info%n", kind, &domid, &devid, &end) == 3 && end &&
	    !file[end] && !inventory_class_of(kind, &of))
		each->device(each->arg, kind, domid, devid);
}

void runinfo_each(void (*fn)(void *arg, const char *kind, uint32_t domid, uint32_t devid),
		  void *arg)
{
	struct each each = { .device = fn, .arg = arg };

	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		each_file(daemons[i], take_name, &each);
}

static void take_served(void *arg, const char *kind, uint32_t domid, uint32_t devid)
{
	const struct each *each = arg;
	struct inventory_device dev = { .kind = kind, .domid = domid, .devid = devid };
	struct runinfo info;

	runinfo_read(&dev, &info);
	if (info.found && info.worker_pid &&
	    (!kill((pid_t)info.worker_pid, 0) || errno == EPERM))
		each->served(each->arg, &dev, &info);
}

void runinfo_each_served(void (*fn)(void *arg, const struct inventory_device *dev,
				    const struct runinfo *info), void *arg)
{
	struct each each = { .served = fn, .arg = arg };

	runinfo_each(take_served, &each);
}

static void take_lost(void *arg, const char *daemon, const char *name)
{
	const struct each *each = arg;
	char kind[16];
	int end = 0;

	if (sscanf(name, "%15[a-z0-9].store-lost%n", kind, &end) == 1 && end && !name[end] &&
	    runinfo_daemon_runs(kind))
		each->lost(each->arg, daemon, kind);
}

void runinfo_each_lost(void (*fn)(void *arg, const char *daemon, const char *kind), void *arg)
{
	struct each each = { .lost = fn, .arg = arg };

	for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
		each_file(daemons[i], take_lost, &each);
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
