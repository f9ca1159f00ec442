/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The run directory of paravane-blkback, as a reader (see paravane-runinfo.h).
 *
 * Hides: file names and the key=value form. Must not know: output, XenStore.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paravane-runinfo.h"
#include "util.h"

#define RUN_DIR_VARIABLE "PARAVANE_RUN_DIR"
#define RUN_DIR_DEFAULT "/run/paravane"

static const char *run_dir(void)
{
	const char *dir = getenv(RUN_DIR_VARIABLE);

	return dir && *dir ? dir : RUN_DIR_DEFAULT;
}

static void read_counters(const char *name, struct runinfo *out)
{
	autoclose int fd = -1;
	char path[512];

	snprintf(path, sizeof(path), "%s%s%s", *name == '/' ? "" : run_dir(),
		 *name == '/' ? "" : "/", name);
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
	else if (!strcmp(line, "pid") && !parse_u64(value, UINT32_MAX, &n))
		out->worker_pid = (uint32_t)n;
	else if (!strcmp(line, "restarts") && !parse_u64(value, UINT64_MAX, &n))
		out->restarts = n;
	else if (!strcmp(line, "journal"))
		read_counters(value, out);
}

void runinfo_read(const struct inventory_disk *disk, struct runinfo *out)
{
	char path[512], line[512];
	FILE *f;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "%s/%s-%u-%u.info", run_dir(), disk->kind, disk->domid,
		 disk->devid);
	f = fopen(path, "re");
	if (!f)
		return;
	out->found = true;
	while (fgets(line, sizeof(line), f))
		take_line(line, out);
	fclose(f);
}
