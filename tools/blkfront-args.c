/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of paravane-blkfront. Hides getopt and the help texts; must
 * not know devices beyond their numbers.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfront-cmd.h"
#include "toolstack.h"

enum { INFO = 1, READ = 2, WRITE = 4, COPY = 8, VERIFY = 16, BENCH = 32, NBD = 64,
       ALL = 127, RANGE = READ | WRITE | COPY | VERIFY | BENCH };

enum option_id {
	OPT_DEVICE = 256, OPT_TIMEOUT, OPT_RING_ORDER, OPT_DEPTH, OPT_SEGMENTS, OPT_QUEUES,
	OPT_NO_PERSISTENT, OPT_NO_INDIRECT, OPT_FRESH, OPT_POLL, OPT_POOL,
	OPT_OFFSET, OPT_LENGTH, OPT_JSON, OPT_PROGRESS, OPT_QUIET, OPT_HOLES,
	OPT_OVERWRITE, OPT_PATTERN_TEST, OPT_SEED, OPT_PATTERN, OPT_BS, OPT_OPS, OPT_SECONDS,
	OPT_WARMUP, OPT_BATCH, OPT_MIX, OPT_VERIFY, OPT_COPY_DATA, OPT_SOCKET, OPT_RUN, OPT_WATCH,
	OPT_HELP,
};

static const struct {
	const char *name;
	unsigned int commands;
} commands[] = {
	{ "info", INFO }, { "read", READ }, { "write", WRITE }, { "copy", COPY },
	{ "verify", VERIFY }, { "bench", BENCH }, { "nbd", NBD },
};

/* One line per option: the parser and --help use the same table. */
static const struct option_line {
	const char *name, *arg;
	int id;
	unsigned int commands;
	const char *help;
} lines[] = {
	{ "offset", "BYTES", OPT_OFFSET, RANGE, "where to begin (4096, 64K, 1M, 2G)" },
	{ "length", "BYTES", OPT_LENGTH, RANGE, "how much; default: to the end of the disk" },
	{ "holes", "zero|discard|erase|skip", OPT_HOLES, COPY,
	  "copy in: what becomes of holes in the file (default zero)" },
	{ "pattern-test", NULL, OPT_PATTERN_TEST, VERIFY,
	  "write a pattern and read it back; needs --overwrite" },
	{ "seed", "N", OPT_SEED, VERIFY | BENCH, "of the pattern and of random offsets" },
	{ "overwrite", NULL, OPT_OVERWRITE, VERIFY | BENCH,
	  "yes, destroy what the range of the disk holds" },
	{ "progress", NULL, OPT_PROGRESS, COPY | VERIFY | READ | WRITE,
	  "show progress although stderr is no terminal" },
	{ "quiet", NULL, OPT_QUIET, ALL, "no progress and no closing line" },
	{ "pattern", "NAME", OPT_PATTERN, BENCH,
	  "read, write, randread (default), randwrite or mixed" },
	{ "bs", "BYTES", OPT_BS, BENCH, "bytes per operation (default 4K)" },
	{ "ops", "N", OPT_OPS, BENCH, "stop after N operations" },
	{ "seconds", "S", OPT_SECONDS, BENCH, "stop after S seconds (default 3)" },
	{ "warmup", "S", OPT_WARMUP, BENCH, "seconds that are not counted (default 0.2)" },
	{ "batch", "N", OPT_BATCH, BENCH,
	  "completions to wait for at a time (default depth/4, at least 1)" },
	{ "mix", "PERCENT", OPT_MIX, BENCH, "share of reads of mixed (default 70)" },
	{ "verify", NULL, OPT_VERIFY, BENCH,
	  "fill with a pattern first, check all that is read; needs --overwrite" },
	{ "copy-data", NULL, OPT_COPY_DATA, BENCH,
	  "buffers outside the pool of shared pages: one copy more" },
	{ "fresh-grants", NULL, OPT_FRESH, ALL & ~INFO,
	  "share pages anew for every request, to compare" },
	{ "json", NULL, OPT_JSON, INFO | BENCH, "print JSON" },
	{ "watch", NULL, OPT_WATCH, INFO,
	  "stay, and say it again when the size changes, until a signal or a detach" },
	{ "socket", "PATH", OPT_SOCKET, NBD, "Unix socket to serve on" },
	{ "run", "CMD", OPT_RUN, NBD,
	  "serve while CMD runs in a shell; $uri and $unixsocket name the server" },
	{ "device", "DEV", OPT_DEVICE, ALL, "xvda (default), xvdb1, 51712, ..." },
	{ "timeout", "SECONDS", OPT_TIMEOUT, ALL,
	  "for opening and for closing (default 10; 0: for ever)" },
	{ "ring-order", "N", OPT_RING_ORDER, ALL,
	  "1 << N pages of ring, 0 to 4; default: enough for the depth" },
	{ "depth", "N", OPT_DEPTH, ALL, "requests in flight (default 64; bench: 32)" },
	{ "segments", "N", OPT_SEGMENTS, ALL, "pages per ring request (default 64)" },
	{ "queues", "N", OPT_QUEUES, ALL, "rings to use, if the back end has as many" },
	{ "no-persistent", NULL, OPT_NO_PERSISTENT, ALL, "do not offer persistent grants" },
	{ "no-indirect", NULL, OPT_NO_INDIRECT, ALL, "direct requests only (11 pages)" },
	{ "poll-us", "N", OPT_POLL, ALL,
	  "look at the ring up to N us before sleeping, while it pays (default 50; 0: never)" },
	{ "pool-pages", "N", OPT_POOL, ALL, "shared data pages (default 384)" },
	{ "help", NULL, OPT_HELP, ALL, "this text" },
};

static const struct {
	const char *name, *synopsis, *text;
} helps[] = {
	{ "info", "info [OPTIONS]", "Opens the device and says what it is and what was "
	  "negotiated." },
	{ "read", "read [--offset B] [--length B] [FILE]",
	  "Copies from the device to FILE or standard output." },
	{ "write", "write [--offset B] [--length B] [FILE]",
	  "Copies FILE or standard input to the device, then flushes." },
	{ "copy", "copy in|out FILE [OPTIONS]",
	  "in: an image FILE to the device; out: the device to an image FILE (sparse)." },
	{ "verify", "verify FILE | verify --pattern-test --overwrite",
	  "Compares the device with FILE, or with a pattern written before; exit status 3 and\n"
	  "the first differing offset when they differ." },
	{ "bench", "bench [--pattern P] [--bs B] [--depth N] [--ops N | --seconds S]",
	  "Measures operations per second and their latencies." },
	{ "nbd", "nbd --socket PATH | nbd --run CMD [-- NBDKIT-OPTIONS]",
	  "Serves the device to NBD clients through nbdkit." },
};

void args_help(const char *command)
{
	unsigned int mask = 0, i;
	char left[48];

	if (!command)
		printf("Usage: paravane-blkfront COMMAND [OPTIONS]\n\n"
		       "The guest's side of a virtual block device, in a process.\n\nCommands:\n");
	for (i = 0; i < ARRAY_LEN(helps); i++) {
		if (!command)
			printf("  %s\n", helps[i].synopsis);
		else if (!strcmp(command, helps[i].name))
			printf("Usage: paravane-blkfront %s\n\n%s\n\nOptions:\n",
			       helps[i].synopsis, helps[i].text);
		if (command && !strcmp(command, commands[i].name))
			mask = commands[i].commands;
	}
	if (!command) {
		printf("\nparavane-blkfront COMMAND --help shows a command's options.\n");
	} else {
		for (i = 0; i < ARRAY_LEN(lines); i++) {
			if (!(lines[i].commands & mask))
				continue;
			snprintf(left, sizeof(left), "--%s %s", lines[i].name,
				 lines[i].arg ? lines[i].arg : "");
			printf("  %-24s %s\n", left, lines[i].help);
		}
	}
	printf("\nExit status: 0 done, 1 error, 2 wrong usage, 3 verification failed, "
	       "130 interrupted.\n");
}

/* ---- values ------------------------------------------------------------------------ */

int parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char digits[24];
	size_t n = strspn(text, "0123456789");
	const char *unit;
	int shift = 0;

	if (!n || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = 0;
	if (text[n]) {
		unit = strchr(units, text[n] & ~0x20);
		if (!unit || text[n + 1])
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
	}
	if (parse_u64(digits, UINT64_MAX >> shift, out) < 0)
		return -EINVAL;
	*out <<= shift;
	return 0;
}

static int usage(const struct args *a, const char *option, const char *value,
		 const char *expected)
{
	fprintf(stderr, "paravane-blkfront %s: --%s: '%s' is not %s; see paravane-blkfront "
		"%s --help\n", a->command, option, value, expected, a->command);
	return EXIT_USAGE;
}

static int set_size(const struct args *a, const char *name, const char *value,
		    uint64_t *out)
{
	return parse_size(value, out) == 0 ? -1 :
	       usage(a, name, value, "a number of bytes such as 4096, 64K or 1G");
}

static int set_uint(const struct args *a, const char *name, const char *value,
		    unsigned int min, unsigned int max, unsigned int *out)
{
	char expected[64];
	uint64_t v;

	if (parse_u64(value, max, &v) == 0 && v >= min) {
		*out = (unsigned int)v;
		return -1;
	}
	snprintf(expected, sizeof(expected), "a number from %u to %u", min, max);
	return usage(a, name, value, expected);
}

static int set_seconds(const struct args *a, const char *name, const char *value,
		       double *out)
{
	char *end;

	*out = strtod(value, &end);
	return end != value && !*end && *out >= 0 && *out < 1e6 ? -1 :
	       usage(a, name, value, "a number of seconds");
}

static int set_device(struct args *a, const char *value)
{
	if (toolstack_vdev(value, &a->devid) < 0)
		return usage(a, "device", value, "a disk such as xvda, sdb1 or 51712");
	snprintf(a->device, sizeof(a->device), "%.20s", value);
	return -1;
}

static int set_holes(struct args *a, const char *value)
{
	static const char *const names[] = { "zero", "discard", "erase", "skip" };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(value, names[i])) {
			a->holes = (enum holes)i;
			return -1;
		}
	return usage(a, "holes", value, "zero, discard, erase or skip");
}

static int set_pattern(struct args *a, const char *value)
{
	static const char *const names[] = { "read", "write", "randread", "randwrite",
					     "mixed" };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(value, names[i])) {
			a->pattern = names[i];
			return -1;
		}
	return usage(a, "pattern", value, "read, write, randread, randwrite or mixed");
}

/* ---- options -------------------------------------------------------------------------- */

static int set_device_option(struct args *a, int id, const char *name, const char *value)
{
	unsigned int n = 0;
	int r = -1;

	switch (id) {
	case OPT_DEVICE:
		return set_device(a, value);
	case OPT_TIMEOUT:
		r = set_uint(a, name, value, 0, 86400, &n);
		a->timeout_ms = n ? (int)n * 1000 : -1;
		return r;
	case OPT_RING_ORDER:
		r = set_uint(a, name, value, 0, 4, &n);
		a->blk.ring_order = n ? (int)n : -1;
		a->ring_order_given = true;
		return r;
	case OPT_DEPTH:
		return set_uint(a, name, value, 1, 4096, &a->blk.depth);
	case OPT_SEGMENTS:
		return set_uint(a, name, value, 1, 4096, &a->blk.max_segments);
	case OPT_QUEUES:
		return set_uint(a, name, value, 1, 16, &a->blk.nr_queues);
	case OPT_POLL:
		return set_uint(a, name, value, 0, 1000000, &a->poll_us);
	case OPT_POOL:
		return set_uint(a, name, value, 1, 1 << 20, &a->blk.pool_pages);
	case OPT_NO_PERSISTENT:
		a->blk.no_persistent = true;
		break;
	case OPT_NO_INDIRECT:
		a->blk.no_indirect = true;
		break;
	case OPT_FRESH:
		a->blk.fresh_grants = true;
		break;
	}
	return -1;
}

static int set_flag(struct args *a, int id)
{
	switch (id) {
	case OPT_JSON:
		a->json = true;
		break;
	case OPT_PROGRESS:
		a->progress = true;
		break;
	case OPT_QUIET:
		a->quiet = true;
		break;
	case OPT_OVERWRITE:
		a->overwrite = true;
		break;
	case OPT_PATTERN_TEST:
		a->pattern_test = true;
		break;
	case OPT_VERIFY:
		a->verify = true;
		break;
	case OPT_COPY_DATA:
		a->copy_data = true;
		break;
	case OPT_WATCH:
		a->watch = true;
		break;
	case OPT_HELP:
		args_help(a->command);
		return EXIT_OK;
	}
	return -1;
}

static int set_option(struct args *a, int id, const char *name, const char *value)
{
	switch (id) {
	case OPT_OFFSET:
		return set_size(a, name, value, &a->offset_bytes);
	case OPT_LENGTH:
		return set_size(a, name, value, &a->length_bytes);
	case OPT_BS:
		return set_size(a, name, value, &a->bs_bytes);
	case OPT_OPS:
		return set_size(a, name, value, &a->ops);
	case OPT_SEED:
		return set_size(a, name, value, &a->seed);
	case OPT_SECONDS:
		return set_seconds(a, name, value, &a->seconds);
	case OPT_WARMUP:
		return set_seconds(a, name, value, &a->warmup_seconds);
	case OPT_BATCH:
		return set_uint(a, name, value, 1, 4096, &a->batch);
	case OPT_MIX:
		return set_uint(a, name, value, 0, 100, &a->read_percent);
	case OPT_HOLES:
		return set_holes(a, value);
	case OPT_PATTERN:
		return set_pattern(a, value);
	case OPT_SOCKET:
		a->socket = value;
		return -1;
	case OPT_RUN:
		a->run = value;
		return -1;
	}
	if (id >= OPT_JSON && id != OPT_DEVICE)
		return set_flag(a, id);
	return set_device_option(a, id, name, value);
}

static unsigned int mask_of(const char *command)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(command, commands[i].name))
			return commands[i].commands;
	return 0;
}

int args_parse(struct args *a, const char *command, int argc, char **argv)
{
	struct option table[ARRAY_LEN(lines) + 1] = { 0 };
	unsigned int i, nr = 0, mask = mask_of(command);
	int r = -1, id, at;

	*a = (struct args){ .command = command, .devid = 51712, .device = "xvda",
			    .timeout_ms = 10000, .poll_us = 50, .seed = 1,
			    .pattern = "randread", .bs_bytes = 4096, .warmup_seconds = 0.2,
			    .read_percent = 70 };
	for (i = 0; i < ARRAY_LEN(lines); i++)
		if (lines[i].commands & mask)
			table[nr++] = (struct option){ lines[i].name,
				lines[i].arg ? required_argument : no_argument, NULL,
				lines[i].id };
	optind = 1;
	while (r < 0 && (id = getopt_long(argc, argv, "", table, &at)) != -1)
		r = id == '?' ? EXIT_USAGE : set_option(a, id, table[at].name, optarg);
	a->argc = argc - optind;
	a->argv = argv + optind;
	return r;
}
