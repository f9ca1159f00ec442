/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command disk: our block front end on a disk of any back end. Hides what is
 * written and how much at a time; must not know rings.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "blkfront.h"

#define OPEN_MS 60000
#define IN_FLIGHT 8u
#define CHUNK_BYTES (128ul << 10)
#define BENCH_IOS 4096u
#define BENCH_DEPTH 32u
#define BENCH_BYTES 4096ul

struct chunk {
	struct blkfront_io io;
	struct blkfront_iov iov;
	struct disk_test *test;
	bool lent;		/* the memory is of the front end's pool */
	bool busy;
};

struct disk_test {
	struct blkfront *f;
	struct chunk chunk[IN_FLIGHT];
	uint64_t end, next;	/* bytes of the disk; where the next request begins */
	uint64_t wrong_bytes;
	unsigned int nr;	/* requests so far, which decides on their size */
	int err;
	enum blkfront_op op;
};

/* ---- what is on the disk --------------------------------------------------------- */

static uint64_t pattern(uint64_t offset)
{
	uint64_t v = (offset / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return v ^ v >> 29;
}

static void fill(const struct chunk *c)
{
	uint64_t *word = c->iov.base;
	size_t i;

	for (i = 0; i < c->iov.bytes / 8; i++)
		word[i] = pattern(c->io.offset_bytes + i * 8);
}

static void check(struct chunk *c)
{
	const uint64_t *word = c->iov.base;
	size_t i;

	for (i = 0; i < c->iov.bytes / 8; i++)
		if (word[i] != pattern(c->io.offset_bytes + i * 8))
			c->test->wrong_bytes += 8;
}

/* ---- requests -------------------------------------------------------------------- */

static void done(struct blkfront_io *io, int result)
{
	struct chunk *c = io->arg;

	c->busy = false;
	if (result < 0 && !c->test->err)
		c->test->err = result;
	if (result == 0 && io->op == BLKFRONT_READ)
		check(c);
}

/* From a sector to the whole chunk, so that direct and indirect requests are both made. */
static size_t next_bytes(struct disk_test *t, uint32_t sector_bytes)
{
	static const unsigned int sectors[] = { 1, 256, 8, 88, 3, 176, 64, 248 };
	size_t bytes = (size_t)sectors[t->nr++ % ARRAY_NR(sectors)] * sector_bytes;

	if (bytes > CHUNK_BYTES)
		bytes = CHUNK_BYTES;
	return bytes < t->end - t->next ? bytes : t->end - t->next;
}

static int submit(struct disk_test *t, struct chunk *c, uint32_t sector_bytes)
{
	int r;

	c->iov.bytes = next_bytes(t, sector_bytes);
	c->io = (struct blkfront_io){ .op = t->op, .offset_bytes = t->next, .iov = &c->iov,
				      .nr_iov = 1, .done = done, .arg = c };
	if (t->op == BLKFRONT_WRITE)
		fill(c);
	else
		memset(c->iov.base, 0xee, c->iov.bytes);
	r = blkfront_submit(t->f, &c->io);
	if (r < 0)
		return r;
	c->busy = true;
	t->next += c->iov.bytes;
	return 0;
}

/* The whole range once, as many requests at a time as there are chunks. */
static int run_through(struct disk_test *t, enum blkfront_op op, uint32_t sector_bytes)
{
	unsigned int i;
	int r;

	t->op = op;
	t->next = 0;
	do {
		for (i = 0; i < IN_FLIGHT && t->next < t->end && !t->err; i++)
			if (!t->chunk[i].busy && (r = submit(t, t->chunk + i, sector_bytes)) < 0)
				t->err = r;
		r = blkfront_wait(t->f, 1, -1);
		if (r < 0)
			return r;
	} while (blkfront_inflight(t->f) || (t->next < t->end && !t->err));
	return t->err;
}

/* Half of them the front end's, which are not copied. */
static int get_chunks(struct disk_test *t)
{
	unsigned int i;

	for (i = 0; i < IN_FLIGHT; i++) {
		t->chunk[i].test = t;
		t->chunk[i].lent = i % 2 && blkfront_buffer_get(t->f, CHUNK_BYTES,
								&t->chunk[i].iov.base) == 0;
		if (!t->chunk[i].lent)
			t->chunk[i].iov.base = malloc(CHUNK_BYTES);
		if (!t->chunk[i].iov.base)
			return -ENOMEM;
	}
	return 0;
}

static void put_chunks(struct disk_test *t)
{
	unsigned int i;

	for (i = 0; i < IN_FLIGHT; i++)
		if (t->chunk[i].lent)
			blkfront_buffer_put(t->f, t->chunk[i].iov.base, CHUNK_BYTES);
		else
			free(t->chunk[i].iov.base);
}

static int verify(struct blkfront *f, uint64_t bytes, uint32_t sector_bytes)
{
	static struct disk_test t;
	int r;

	t = (struct disk_test){ .f = f, .end = bytes };
	r = get_chunks(&t);
	if (r == 0)
		r = run_through(&t, BLKFRONT_WRITE, sector_bytes);
	if (r == 0)
		r = blkfront_flush(f);
	if (r == 0)
		r = run_through(&t, BLKFRONT_READ, sector_bytes);
	put_chunks(&t);
	say("disk: %lu MiB written and read by %u requests, %lu bytes wrong, result %d\n",
	    bytes >> 20, t.nr, t.wrong_bytes, r);
	return r < 0 ? r : t.wrong_bytes ? -EIO : 0;
}

/* ---- bench ----------------------------------------------------------------------- */

struct bench {
	struct blkfront *f;
	struct blkfront_io io[BENCH_DEPTH];
	struct blkfront_iov iov[BENCH_DEPTH];
	unsigned int todo;
	uint64_t pages, seed;
	int err;
};

static void again(struct bench *b, struct blkfront_io *io)
{
	int r;

	if (!b->todo || b->err)
		return;
	b->todo--;
	b->seed = b->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	io->offset_bytes = (b->seed >> 33) % b->pages * BENCH_BYTES;
	r = blkfront_submit(b->f, io);
	if (r < 0)
		b->err = r;
}

static void bench_done(struct blkfront_io *io, int result)
{
	struct bench *b = io->arg;

	if (result < 0)
		b->err = result;
	again(b, io);
}

static int bench(struct blkfront *f, uint64_t bytes, enum blkfront_op op)
{
	static struct bench b;
	unsigned int i;
	uint64_t start;
	int r = 0;

	b = (struct bench){ .f = f, .todo = BENCH_IOS, .pages = bytes / BENCH_BYTES };
	for (i = 0; i < BENCH_DEPTH && r == 0; i++) {
		r = blkfront_buffer_get(f, BENCH_BYTES, &b.iov[i].base);
		b.iov[i].bytes = BENCH_BYTES;
		b.io[i] = (struct blkfront_io){ .op = op, .iov = &b.iov[i], .nr_iov = 1,
						.done = bench_done, .arg = &b };
	}
	start = time_ns();
	for (i = 0; i < BENCH_DEPTH && r == 0; i++)
		again(&b, &b.io[i]);
	while (r >= 0 && blkfront_inflight(f))
		r = blkfront_wait(f, 1, -1);
	say("disk: %s of 4 KiB: %u operations in %lu ns, result %d\n",
	    op == BLKFRONT_READ ? "reads" : "writes", BENCH_IOS, time_ns() - start,
	    r < 0 ? r : b.err);
	for (i = 0; i < BENCH_DEPTH; i++)
		blkfront_buffer_put(f, b.iov[i].base, BENCH_BYTES);
	return r < 0 ? r : b.err;
}

/* ---- the command ----------------------------------------------------------------- */

static void say_problem(const struct front_problem *p)
{
	say("%s%s%s\n", p->text, p->advice ? "; " : "", p->advice ? p->advice : "");
}

static void say_device(const struct blkfront *f)
{
	struct blkfront_info info;

	blkfront_info(f, &info);
	say("disk: %lu bytes, ring of %u slots, %u pages a request, persistent %u, indirect %u, "
	    "%u pages shared\n", info.size_bytes, info.ring_slots, info.max_segments,
	    info.persistent, info.indirect, info.pool_pages);
}

static int use(struct blkfront *f, uint64_t mib, bool measure)
{
	struct blkfront_info info;
	uint64_t bytes;
	int r;

	blkfront_info(f, &info);
	bytes = mib << 20;
	if (!bytes || bytes > info.size_bytes)
		bytes = info.size_bytes;
	if (!measure)
		return verify(f, bytes, info.sector_bytes);
	r = bench(f, bytes, BLKFRONT_READ);
	return r < 0 ? r : bench(f, bytes, BLKFRONT_WRITE);
}

int cmd_disk(const struct words *w)
{
	struct front_problem problem = { 0 };
	unsigned int grants = grants_used(), at = 2;
	struct blkfront *f;
	uint64_t id, mib = 0;
	bool measure = false;
	int r, closed;

	if (w->nr < 2 || !number(w->word[1], &id))
		return usage("disk ID [MIB] [verify|bench]");
	if (at < w->nr && number(w->word[at], &mib))
		at++;
	if (at < w->nr) {
		measure = !strcmp(w->word[at], "bench");
		if (!measure && strcmp(w->word[at], "verify"))
			return usage("disk ID [MIB] [verify|bench]");
	}
	r = blkfront_open(front_env(), (uint32_t)id, NULL, OPEN_MS, &f, &problem);
	if (r < 0) {
		say_problem(&problem);
		return r;
	}
	say_device(f);
	r = use(f, mib, measure);
	closed = blkfront_close(f, OPEN_MS, &problem);
	if (closed < 0)
		say_problem(&problem);
	if (grants_used() != grants)
		say("disk: %u grants are still held\n", grants_used() - grants);
	return r < 0 ? r : closed < 0 ? closed : grants_used() != grants ? -EBUSY : 0;
}
