/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane doctor: checks a host, and says what to do about what it finds.
 *
 * Hides: options, how findings are printed, how a host's files are read. Must not
 * know: what is checked (paravane-doctor-host.c, paravane-doctor-limits.c).
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-doctor.h"
#include "paravane-json.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane doctor [OPTION]...\n"
"\n"
"Checks whether this host is fit for Paravane's back ends: the kernel's own, which\n"
"would take the same devices; devices, limits, memory, XenStore, what is installed.\n"
"Says what to do about each finding. Changes nothing. Root sees more.\n"
"\n"
"  --quiet          only what there is something to do about\n"
"  --json           the findings as one JSON object\n"
"  --root DIR       look at the host's files below DIR instead of /\n"
"\n"
"Exit status: 0 nothing to do, 1 findings, 2 wrong usage, 4 there is no Xen here.\n";

/* ---- a host's files --------------------------------------------------------- */

static FILE *open_below(const struct doctor *d, const char *path)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "%s%s", d->root, path);
	return fopen(whole, "re");
}

bool doctor_line(const struct doctor *d, const char *path, char *buf, size_t bytes)
{
	FILE *f = open_below(d, path);
	bool found;

	if (!f)
		return false;
	found = fgets(buf, (int)bytes, f) != NULL;
	fclose(f);
	if (found)
		buf[strcspn(buf, "\n")] = '\0';
	return found;
}

uint64_t doctor_number(const struct doctor *d, const char *path, uint64_t missing)
{
	char line[64];
	uint64_t n;

	return doctor_line(d, path, line, sizeof(line)) && !parse_u64(line, UINT64_MAX, &n) ?
	       n : missing;
}

uint64_t doctor_keyed(const struct doctor *d, const char *path, const char *key,
		      uint64_t missing)
{
	size_t key_bytes = strlen(key);
	uint64_t found = missing;
	char line[512];
	FILE *f = open_below(d, path);

	while (f && fgets(line, sizeof(line), f)) {
		char *end;
		unsigned long long n;

		if (strncmp(line, key, key_bytes))
			continue;
		n = strtoull(line + key_bytes, &end, 10);
		if (end != line + key_bytes)
			found = n;
		break;
	}
	if (f)
		fclose(f);
	return found;
}

bool doctor_lines(const struct doctor *d, const char *path, bool (*fn)(const char *line, void *arg),
		  void *arg)
{
	FILE *f = open_below(d, path);
	bool found = false;
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = fn(line, arg);
	}
	if (f)
		fclose(f);
	return found;
}

bool doctor_exists(const struct doctor *d, const char *path)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "%s%s", d->root, path);
	return !access(whole, F_OK);
}

bool doctor_executable(const struct doctor *d, const char *path)
{
	char whole[1024];
	struct stat st;

	snprintf(whole, sizeof(whole), "%s%s", d->root, path);
	return !stat(whole, &st) && S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR);
}

bool doctor_each(const struct doctor *d, const char *path,
		 bool (*fn)(const struct doctor *d, const char *path, const char *name, void *arg),
		 void *arg)
{
	struct dirent *e;
	bool stop = false;
	char whole[1024];
	DIR *dir;

	snprintf(whole, sizeof(whole), "%s%s", d->root, path);
	dir = opendir(whole);
	while (dir && !stop && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			stop = fn(d, path, e->d_name, arg);
	if (dir)
		closedir(dir);
	return stop;
}

/* ---- findings --------------------------------------------------------------- */

void doctor_say(struct doctor *d, const char *check, enum doctor_level level,
		const char *what, ...)
{
	struct doctor_finding *f = &d->findings[d->nr];
	va_list ap;

	/* Some are left for checks that come after one of many findings. */
	if (d->nr + 1 < DOCTOR_FINDINGS_MAX)
		d->nr++;
	f->check = check;
	f->level = level;
	f->todo[0] = '\0';
	va_start(ap, what);
	vsnprintf(f->what, sizeof(f->what), what, ap);
	va_end(ap);
}

void doctor_todo(struct doctor *d, const char *todo, ...)
{
	va_list ap;

	va_start(ap, todo);
	vsnprintf(d->findings[d->nr - 1].todo, sizeof(d->findings[0].todo), todo, ap);
	va_end(ap);
}

static const char *const level_words[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_NOTE] = "note",
	[DOCTOR_WARNING] = "warning", [DOCTOR_PROBLEM] = "problem",
};

static void print_findings(const struct doctor *d, bool quiet)
{
	for (size_t i = 0; i < d->nr; i++) {
		const struct doctor_finding *f = &d->findings[i];

		if (quiet && f->level < DOCTOR_WARNING)
			continue;
		printf("%-8s %-14s %s\n", level_words[f->level], f->check, f->what);
		if (f->todo[0])
			printf("%-8s %-14s -> %s\n", "", "", f->todo);
	}
}

static void print_json(const struct doctor *d, bool quiet)
{
	static const char *const places[] = {
		[DOCTOR_NO_XEN] = "none", [DOCTOR_LOCAL_XEN] = "local-xen",
		[DOCTOR_DOM0] = "dom0", [DOCTOR_DOMU] = "domu",
	};
	const char *separator = "";

	printf("{\n  \"version\": \"" PACKAGE_VERSION "\",\n  \"place\": \"%s\",\n"
	       "  \"findings\": [", places[d->place]);
	for (size_t i = 0; i < d->nr; i++) {
		const struct doctor_finding *f = &d->findings[i];

		if (quiet && f->level < DOCTOR_WARNING)
			continue;
		printf("%s\n   {\n    \"check\": \"%s\"", separator, f->check);
		json_text("level", level_words[f->level]);
		json_text("what", f->what);
		json_text("do", f->todo);
		fputs("\n   }", stdout);
		separator = ",";
	}
	fputs("\n  ]\n}\n", stdout);
}

/* ---- the command ------------------------------------------------------------ */

static int examine(struct doctor *d)
{
	static void (*const checks[])(struct doctor *) = {
		doctor_xen, doctor_kernel_back_ends, doctor_devices, doctor_store,
		doctor_installation, doctor_network, doctor_grants, doctor_memory,
		doctor_process, doctor_sandbox,
	};
	int status = STATUS_OK;

	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		checks[i](d);
	for (size_t i = 0; i < d->nr; i++)
		if (d->findings[i].level >= DOCTOR_WARNING)
			status = STATUS_ERROR;
	return d->place == DOCTOR_NO_XEN ? STATUS_NO_SUCH : status;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "root", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	autofree struct doctor *d = calloc(1, sizeof(*d));
	struct common_options common = { 0 };
	bool quiet = false, json = false;
	int opt, status;

	if (!d)
		return complain(STATUS_ERROR, "out of memory");
	d->root = "";
	while ((opt = common_getopt(argc, argv, options, &doctor_command, &common,
				    &status)) >= 0)
		switch (opt) {
		case 'q': quiet = true; break;
		case 'j': json = true; break;
		case 'r': d->root = optarg; break;
		default: return status;
		}
	status = common_operands(&doctor_command, argc, 0, 0);
	if (status)
		return status;
	if (!doctor_exists(d, "/"))
		return complain(STATUS_USAGE, "--root \"%s\": there is no such directory", d->root);
	status = examine(d);
	if (json)
		print_json(d, quiet);
	else
		print_findings(d, quiet);
	return status;
}

const struct subcommand doctor_command = {
	.name = "doctor",
	.summary = "checks whether this host is fit for the back ends",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
