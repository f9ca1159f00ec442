/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that knows what its disk must hold: run in a guest of local Xen while whoever
 * serves the disk is killed (e2e-blk-torture.sh).
 *
 * The disk is taken as units; every sector of a unit carries its unit, the number of its
 * write and a checksum. At most one request concerns a unit at a time, so what a read
 * must give is known exactly, and each way to be wrong has a name:
 *
 *	lost		older than the last write that was answered
 *	misordered	older than what a read has given since: a write came twice, or late
 *	torn		sectors of different writes
 *	foreign		not what anybody wrote there
 *
 * Usage: torture-blk DEVID UNITS UNIT_BYTES DEPTH SEED [OPTION]... until SIGTERM. Then
 * reads everything once more. Exit status 0: all was right.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "blkfront.h"
#include "front-linux.h"
#include "util.h"

#define SECTOR 512u
#define DEPTH_MAX 64u
#define TIMEOUT_MS 120000

struct sector {
	uint64_t unit, number, seed, sum;
	uint64_t filler[SECTOR / 8 - 4];
};
_Static_assert(sizeof(struct sector) == SECTOR, "a sector");

struct unit {
	uint64_t answered, issued, seen;
	bool busy;
};

struct request {
	struct blkfront_io io;
	struct blkfront_iov iov;
	uint32_t unit;
	uint64_t since_ns;
	bool busy;
};

static struct unit *units;
static struct request requests[DEPTH_MAX];
static uint32_t nr_units, unit_bytes, depth;
static uint64_t seed, state;
static uint64_t writes, reads, flushes, longest_ns;
static uint64_t lost, misordered, torn, foreign, failed;
static bool no_flush;
static volatile sig_atomic_t over;
static struct blkfront *disk;

static void on_signal(int sig)
{
	(void)sig;
	over = 1;
}

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* ---- what is in a unit --------------------------------------------------------------- */

static uint64_t sum_of(const struct sector *s, uint32_t index)
{
	uint64_t sum = s->unit * 0x9e3779b97f4a7c15u ^ s->number ^ s->seed ^ index;

	for (size_t i = 0; i < ARRAY_LEN(s->filler); i++)
		sum = (sum << 5 | sum >> 59) ^ s->filler[i];
	return sum;
}

static void fill(void *to, uint32_t unit, uint64_t number)
{
	struct sector *s = to;

	for (uint32_t i = 0; i < unit_bytes / SECTOR; i++) {
		s[i] = (struct sector){ .unit = unit, .number = number, .seed = seed };
		for (size_t j = 0; j < ARRAY_LEN(s->filler); j++)
			s[i].filler[j] = number * 31 + j * unit + i;
		s[i].sum = sum_of(&s[i], i);
	}
}

static void blame(uint64_t *count, const char *what, uint32_t unit, uint64_t got)
{
	if ((*count)++ < 10)
		fprintf(stderr, "torture-blk: unit %u: %s: it has write %llu; answered %llu, "
			"issued %llu, seen %llu\n", unit, what, (unsigned long long)got,
			(unsigned long long)units[unit].answered,
			(unsigned long long)units[unit].issued,
			(unsigned long long)units[unit].seen);
}

static void check(const struct sector *s, uint32_t unit)
{
	struct unit *u = &units[unit];

	if (!u->answered)
		return;		/* nobody has written it yet */
	for (uint32_t i = 0; i < unit_bytes / SECTOR; i++) {
		if (s[i].unit != unit || s[i].seed != seed || s[i].sum != sum_of(&s[i], i) ||
		    s[i].number > u->issued) {
			blame(&foreign, "foreign", unit, s[i].number);
			return;
		}
		if (s[i].number != s[0].number) {
			blame(&torn, "torn", unit, s[i].number);
			return;
		}
	}
	if (s->number < u->seen)
		blame(&misordered, "misordered", unit, s->number);
	else if (s->number < u->answered)
		blame(&lost, "lost", unit, s->number);
	u->seen = s->number;
}

/* ---- requests ------------------------------------------------------------------------ */

static void on_done(struct blkfront_io *io, int result)
{
	struct request *r = io->arg;
	struct unit *u = &units[r->unit];
	uint64_t took = now_ns() - r->since_ns;

	longest_ns = MAX(longest_ns, took);
	r->busy = false;
	if (result) {
		if (!failed++)
			fprintf(stderr, "torture-blk: an I/O error: %s\n", strerror(-result));
		return;
	}
	if (io->op == BLKFRONT_FLUSH)
		return;
	u->busy = false;
	if (io->op == BLKFRONT_READ)
		check(io->iov->base, r->unit);
	else
		u->answered = u->issued;
}

static void submit(struct request *r, enum blkfront_op op, uint32_t unit)
{
	struct unit *u = &units[unit];
	int rc;

	r->unit = unit;
	r->io.op = op;
	r->io.offset_bytes = (uint64_t)unit * unit_bytes;
	r->io.iov = &r->iov;
	r->io.nr_iov = op == BLKFRONT_FLUSH ? 0 : 1;
	r->io.queue = (unsigned int)(rnd() & 3);
	r->io.done = on_done;
	r->io.arg = r;
	r->since_ns = now_ns();
	r->busy = true;
	if (op == BLKFRONT_WRITE)
		fill(r->iov.base, unit, ++u->issued);
	if (op != BLKFRONT_FLUSH)
		u->busy = true;
	rc = blkfront_submit(disk, &r->io);
	if (!rc)
		return;
	fprintf(stderr, "torture-blk: a request is refused: %s\n", strerror(-rc));
	failed++;
	over = 1;
	r->busy = false;
}

static void submit_any(struct request *r)
{
	uint64_t what = rnd();
	uint32_t unit = (uint32_t)(what >> 16) % nr_units;

	if (what % 64 == 0 && !no_flush) {
		flushes++;
		submit(r, BLKFRONT_FLUSH, 0);
		return;
	}
	while (units[unit].busy)
		unit = (unit + 1) % nr_units;
	if (what % 8 < 5) {
		writes++;
		submit(r, BLKFRONT_WRITE, unit);
	} else {
		reads++;
		submit(r, BLKFRONT_READ, unit);
	}
}

/* False: the disk has gone. */
static bool wait_some(void)
{
	int rc = blkfront_wait(disk, 1, TIMEOUT_MS);

	if (rc > 0 || (rc == -EINTR && over))
		return true;
	fprintf(stderr, "torture-blk: %s\n", rc ? strerror(-rc) :
		"no request has ended for two minutes");
	failed++;
	return false;
}

static bool drain(void)
{
	while (blkfront_inflight(disk))
		if (!wait_some())
			return false;
	return true;
}

static bool churn(void)
{
	while (!over && !failed) {
		for (uint32_t i = 0; i < depth; i++)
			if (!requests[i].busy)
				submit_any(&requests[i]);
		if (!wait_some())
			return false;
	}
	return drain();
}

static bool read_all(void)
{
	uint32_t next = 0;

	while (next < nr_units) {
		for (uint32_t i = 0; i < depth && next < nr_units; i++)
			if (!requests[i].busy)
				submit(&requests[i], BLKFRONT_READ, next++);
		if (!wait_some())
			return false;
	}
	return drain();
}

/* ---- the program ----------------------------------------------------------------------- */

static uint32_t number(const char *text, uint32_t max)
{
	uint64_t n;

	if (parse_u64(text, max, &n) || !n) {
		fprintf(stderr, "torture-blk: \"%s\": expected a number from 1 to %u\n", text, max);
		exit(2);
	}
	return (uint32_t)n;
}

static void parse(int argc, char **argv, struct blkfront_options *o, uint32_t *devid)
{
	if (argc < 6) {
		fprintf(stderr, "torture-blk: expected DEVID UNITS UNIT_BYTES DEPTH SEED "
			"[no-persistent|no-indirect|one-page|queues|no-flush]...\n");
		exit(2);
	}
	*devid = number(argv[1], UINT32_MAX);
	nr_units = number(argv[2], 1u << 20);
	unit_bytes = number(argv[3], 1u << 20) / SECTOR * SECTOR;
	depth = number(argv[4], MIN(DEPTH_MAX, nr_units));
	seed = state = number(argv[5], UINT32_MAX);
	for (int i = 6; i < argc; i++) {
		o->no_persistent |= !strcmp(argv[i], "no-persistent");
		o->no_indirect |= !strcmp(argv[i], "no-indirect");
		if (!strcmp(argv[i], "one-page"))
			o->ring_order = -1;
		if (!strcmp(argv[i], "queues"))
			o->nr_queues = 2;
		no_flush |= !strcmp(argv[i], "no-flush");
	}
}

static bool make_buffers(void)
{
	units = calloc(nr_units, sizeof(*units));
	for (uint32_t i = 0; i < depth; i++) {
		requests[i].iov.base = aligned_alloc(4096, (unit_bytes + 4095u) & ~4095u);
		requests[i].iov.bytes = unit_bytes;
		if (!requests[i].iov.base)
			return false;
	}
	return units;
}

int main(int argc, char **argv)
{
	struct blkfront_options options = { 0 };
	struct front_problem problem = { .err = 0 };
	struct front_linux *fl = NULL;
	uint32_t devid;
	int rc;

	parse(argc, argv, &options, &devid);
	signal(SIGTERM, on_signal);
	rc = make_buffers() ? front_linux_open(&fl, &problem) : -ENOMEM;
	if (!rc)
		rc = blkfront_open(front_linux_env(fl), devid, &options, TIMEOUT_MS, &disk,
				   &problem);
	if (rc) {
		fprintf(stderr, "torture-blk: %s: %s\n", strerror(-rc), problem.text);
		return EXIT_FAILURE;
	}
	if (churn() && !failed)
		read_all();
	printf("%llu writes, %llu reads, %llu flushes; lost %llu, misordered %llu, torn %llu, "
	       "foreign %llu, errors %llu; longest %llu ms\n", (unsigned long long)writes,
	       (unsigned long long)reads, (unsigned long long)flushes, (unsigned long long)lost,
	       (unsigned long long)misordered, (unsigned long long)torn,
	       (unsigned long long)foreign, (unsigned long long)failed,
	       (unsigned long long)longest_ns / 1000000);
	fflush(stdout);	/* a store that has gone keeps us from closing */
	rc = blkfront_close(disk, TIMEOUT_MS, &problem);
	if (rc)
		fprintf(stderr, "torture-blk: close: %s: %s\n", strerror(-rc), problem.text);
	front_linux_close(fl);
	return rc || lost || misordered || torn || foreign || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
