/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands and options of paravane-blkfront. Must not know devices beyond
 * their numbers.
 */
#include <errno.h>
#include <stdio.h>

#include "blkfront-cmd.h"
#include "toolstack.h"

enum { INFO = 1, READ = 2, WRITE = 4, COPY = 8, VERIFY = 16, BENCH = 32, NBD = 64,
       ALL = 127, RANGE = READ | WRITE | COPY | VERIFY | BENCH };

static const struct front_command commands[] = {
	{ "info", INFO, "info [OPTIONS]",
	  "Opens the device and says what it is and what was negotiated.", cmd_info, 0 },
	{ "read", READ, "read [--offset B] [--length B] [FILE]",
	  "Copies from the device to FILE or standard output.", cmd_read, 1 },
	{ "write", WRITE, "write [--offset B] [--length B] [FILE]",
	  "Copies FILE or standard input to the device, then flushes.", cmd_write, 1 },
	{ "copy", COPY, "copy in|out FILE [OPTIONS]",
	  "in: an image FILE to the device; out: the device to an image FILE (sparse).",
	  cmd_copy, 2 },
	{ "verify", VERIFY, "verify FILE | verify --pattern-test --overwrite",
	  "Compares the device with FILE, or with a pattern written before; exit status 3 and\n"
	  "the first differing offset when they differ.", cmd_verify, 1 },
	{ "bench", BENCH, "bench [--pattern P] [--bs B] [--depth N] [--ops N | --seconds S]",
	  "Measures operations per second and their latencies.", cmd_bench, 0 },
	{ "nbd", NBD, "nbd --socket PATH | nbd --run CMD [-- NBDKIT-OPTIONS]",
	  "Serves the device to NBD clients through nbdkit.", cmd_nbd, -1 },
};

/* ---- values --------------------------------------------------------------------------- */

static int set_device(const struct front_option *o, const char *value, struct args *a)
{
	(void)o;
	if (toolstack_vdev(value, &a->cli.devid) < 0)
		return -EINVAL;
	snprintf(a->cli.device, sizeof(a->cli.device), "%.20s", value);
	return 0;
}

/* To the library 0 is "enough for the depth", -1 one page. */
static int set_ring_order(const struct front_option *o, const char *value, struct args *a)
{
	uint64_t order;

	if (parse_u64(value, o->max, &order) < 0)
		return -EINVAL;
	a->blk.ring_order = order ? (int)order : -1;
	a->ring_order_given = true;
	return 0;
}

static int set_holes(const struct front_option *o, const char *value, struct args *a)
{
	static const char *const names[] = { "zero", "discard", "erase", "skip", NULL };
	int i = front_choose(names, value);

	(void)o;
	if (i >= 0)
		a->holes = (enum holes)i;
	return i;
}

static int set_pattern(const struct front_option *o, const char *value, struct args *a)
{
	static const char *const names[] = { "read", "write", "randread", "randwrite",
					     "mixed", NULL };
	int i = front_choose(names, value);

	(void)o;
	if (i >= 0)
		a->pattern = names[i];
	return i;
}

/* ---- options -------------------------------------------------------------------------- */

static const struct front_option options[] = {
	{ "offset", "BYTES", RANGE, "where to begin (4096, 64K, 1M, 2G)",
	  FRONT_SIZE(offset_bytes) },
	{ "length", "BYTES", RANGE, "how much; default: to the end of the disk",
	  FRONT_SIZE(length_bytes) },
	{ "holes", "zero|discard|erase|skip", COPY,
	  "copy in: what becomes of holes in the file (default zero)",
	  FRONT_OWN(set_holes, "zero, discard, erase or skip") },
	{ "pattern-test", NULL, VERIFY, "write a pattern and read it back; needs --overwrite",
	  FRONT_FLAG(pattern_test) },
	{ "seed", "N", VERIFY | BENCH, "of the pattern and of random offsets",
	  FRONT_SIZE(seed) },
	{ "overwrite", NULL, VERIFY | BENCH, "yes, destroy what the range of the disk holds",
	  FRONT_FLAG(overwrite) },
	{ "progress", NULL, COPY | VERIFY | READ | WRITE,
	  "show progress although stderr is no terminal",
	  FRONT_FLAG(progress) },
	{ "pattern", "NAME", BENCH, "read, write, randread (default), randwrite or mixed",
	  FRONT_OWN(set_pattern, "read, write, randread, randwrite or mixed") },
	{ "bs", "BYTES", BENCH, "bytes per operation (default 4K)",
	  FRONT_SIZE(bs_bytes) },
	{ "ops", "N", BENCH, "stop after N operations",
	  FRONT_SIZE(ops) },
	{ "seconds", "S", BENCH, "stop after S seconds (default 3)",
	  FRONT_SECONDS(seconds) },
	{ "warmup", "S", BENCH, "seconds that are not counted (default 0.2)",
	  FRONT_SECONDS(warmup_seconds) },
	{ "batch", "N", BENCH,
	  "completions to wait for at a time (default depth/4, at least 1)",
	  FRONT_UINT(batch, 1, 4096) },
	{ "rate", "N", BENCH, "operations a second, evenly (default: as many as go)",
	  FRONT_UINT(rate, 1, 1000000) },
	{ "mix", "PERCENT", BENCH, "share of reads of mixed (default 70)",
	  FRONT_UINT(read_percent, 0, 100) },
	{ "verify", NULL, BENCH,
	  "fill with a pattern first, check all that is read; needs --overwrite",
	  FRONT_FLAG(verify) },
	{ "copy-data", NULL, BENCH, "buffers outside the pool of shared pages: one copy more",
	  FRONT_FLAG(copy_data) },
	{ "fresh-grants", NULL, ALL & ~INFO, "share pages anew for every request, to compare",
	  FRONT_FLAG(blk.fresh_grants) },
	{ "json", NULL, INFO | COPY | VERIFY | BENCH, "print JSON",
	  FRONT_FLAG(cli.json) },
	{ "watch", NULL, INFO,
	  "stay, and say it again when the size changes, until a signal or a detach",
	  FRONT_FLAG(watch) },
	{ "socket", "PATH", NBD, "Unix socket to serve on",
	  FRONT_TEXT(socket) },
	{ "run", "CMD", NBD,
	  "serve while CMD runs in a shell; $uri and $unixsocket name the server",
	  FRONT_TEXT(run) },
	{ "device", "DEV", ALL, "xvda (default), xvdb1, 51712, ...",
	  FRONT_OWN(set_device, "a disk such as xvda, sdb1 or 51712") },
	{ "ring-order", "N", ALL,
	  "1 << N pages of ring, 0 to 4; default: enough for the depth",
	  .set = set_ring_order, .max = 4 },
	{ "depth", "N", ALL, "requests in flight (default 64; bench: 32)",
	  FRONT_UINT(blk.depth, 1, 4096) },
	{ "segments", "N", ALL, "pages per ring request (default 64)",
	  FRONT_UINT(blk.max_segments, 1, 4096) },
	{ "queues", "N", ALL, "rings to use, if the back end has as many",
	  FRONT_UINT(blk.nr_queues, 1, 16) },
	{ "no-persistent", NULL, ALL, "do not offer persistent grants",
	  FRONT_FLAG(blk.no_persistent) },
	{ "no-indirect", NULL, ALL, "direct requests only (11 pages)",
	  FRONT_FLAG(blk.no_indirect) },
	{ "poll-us", "N", ALL,
	  "look at the ring up to N us before sleeping, while it pays (default 50; 0: never)",
	  FRONT_UINT(cli.poll_us, 0, 1000000) },
	{ "pool-pages", "N", ALL, "shared data pages (default 384)",
	  FRONT_UINT(blk.pool_pages, 1, 1 << 20) },
};

const struct front_program blkfront_program = {
	.name = "paravane-blkfront",
	.summary = "The guest's side of a virtual block device, in a process.",
	.no = "verification failed",
	.kind = "vbd",
	.noun = "device",
	.commands = commands,
	.nr_commands = ARRAY_LEN(commands),
	.options = options,
	.nr_options = ARRAY_LEN(options),
};
