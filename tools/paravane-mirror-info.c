/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mirror as its daemon's file tells of it (paravane-mirror.h).
 */
#include "paravane-mirror.h"

#include <stdio.h>
#include <string.h>

#include "paravane-runinfo.h"
#include "rundir.h"
#include "util.h"

struct text_line {
	const char *key;
	char *to;
	size_t bytes;
};

struct number_line {
	const char *key;
	uint64_t *to;
};

static void take_line(char *line, struct mirror_info *out)
{
	const struct text_line texts[] = {
		{ "status", out->status, sizeof(out->status) },
		{ "image", out->image, sizeof(out->image) },
		{ "target", out->target, sizeof(out->target) },
		{ "at-sync", out->at_sync, sizeof(out->at_sync) },
		{ "reason", out->reason, sizeof(out->reason) },
	};
	const struct number_line numbers[] = {
		{ "id", &out->id }, { "bytes", &out->bytes }, { "copied", &out->copied_bytes },
		{ "dirty", &out->dirty_bytes }, { "finish-us", &out->finish_us },
		{ "speed", &out->bytes_per_second }, { "rate", &out->rate_bytes_per_second },
		{ "seconds", &out->seconds }, { "pause-us", &out->pause_us },
	};
	char *value = strchr(line, '=');

	line[strcspn(line, "\n")] = '\0';
	if (!value)
		return;
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!strcmp(line, texts[i].key))
			snprintf(texts[i].to, texts[i].bytes, "%s", value);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (!strcmp(line, numbers[i].key))
			(void)parse_u64(value, UINT64_MAX, numbers[i].to);
}

void mirror_info_read(const struct inventory_device *disk, struct mirror_info *out)
{
	char dir[RUNINFO_PATH_BYTES], path[RUNINFO_PATH_BYTES + 64], line[700];
	FILE *f;

	memset(out, 0, sizeof(*out));
	runinfo_directory("blkback", dir);
	snprintf(path, sizeof(path), "%s/%s-%u-%u." RUNDIR_MIRROR, dir, disk->kind, disk->domid,
		 disk->devid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		take_line(line, out);
	fclose(f);
	out->found = out->status[0] != '\0';
}
