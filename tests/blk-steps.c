/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block front end that does one thing after another as it is told, and says of each
 * request how it ended: run in a guest of local Xen, commands by standard input.
 *
 *   write OFFSET BYTES SEED [BLOCK]   as requests of BLOCK bytes (4096), all at a time
 *   read OFFSET BYTES SEED [BLOCK]    the same, and it must be what write wrote
 *   flush
 *
 * Each is answered by one line: the command's first word, then "ok", or each failed
 * offset; what was read and is something else counts as "wrong@OFFSET".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "blkfront.h"
#include "front-linux.h"

#define REQUESTS_MAX 1024u
#define OPEN_MS 60000

struct step {
	struct blkfront_io io;
	struct blkfront_iov iov;
	int result;
};

static struct step steps[REQUESTS_MAX];

static void die(const char *what, int err)
{
	fprintf(stderr, "blk-steps: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void done(struct blkfront_io *io, int result)
{
	((struct step *)io->arg)->result = result;
}

static uint64_t word(uint64_t offset, uint64_t seed)
{
	uint64_t v = (offset / 8 + 1) * 0x9e3779b97f4a7c15u + seed * 0xd1b54a32d192ed03u;

	return v ^ v >> 31;
}

static void fill(const struct step *s, uint64_t seed)
{
	uint64_t *to = s->iov.base;

	for (size_t i = 0; i < s->iov.bytes / 8; i++)
		to[i] = word(s->io.offset_bytes + i * 8, seed);
}

static bool matches(const struct step *s, uint64_t seed)
{
	const uint64_t *from = s->iov.base;

	for (size_t i = 0; i < s->iov.bytes / 8; i++)
		if (from[i] != word(s->io.offset_bytes + i * 8, seed))
			return false;
	return true;
}

static void submit(struct blkfront *f, struct step *s)
{
	int err;

	s->io.iov = &s->iov;
	s->io.nr_iov = 1;
	s->io.done = done;
	s->io.arg = s;
	while ((err = blkfront_submit(f, &s->io)) == -EAGAIN)
		blkfront_wait(f, 1, -1);
	if (err)
		die("submit", err);
}

static void move(struct blkfront *f, bool is_read, uint64_t at, uint64_t bytes, uint64_t seed,
		 uint64_t block)
{
	uint32_t nr = (uint32_t)(bytes / block);
	bool bad = false;

	if (!nr || nr > REQUESTS_MAX)
		die("too many requests", -E2BIG);
	for (uint32_t i = 0; i < nr; i++) {
		struct step *s = &steps[i];

		memset(s, 0, sizeof(*s));
		s->iov = (struct blkfront_iov){ .base = malloc(block), .bytes = block };
		s->io.op = is_read ? BLKFRONT_READ : BLKFRONT_WRITE;
		s->io.offset_bytes = at + i * block;
		fill(s, is_read ? ~seed : seed);
		submit(f, s);
	}
	while (blkfront_inflight(f))
		blkfront_wait(f, 1, -1);
	printf(is_read ? "read" : "write");
	for (uint32_t i = 0; i < nr; i++) {
		struct step *s = &steps[i];

		if (s->result)
			printf(" %llu", (unsigned long long)s->io.offset_bytes);
		else if (is_read && !matches(s, seed))
			printf(" wrong@%llu", (unsigned long long)s->io.offset_bytes);
		bad |= s->result || (is_read && !matches(s, seed));
		free(s->iov.base);
	}
	printf("%s\n", bad ? "" : " ok");
}

int main(void)
{
	struct front_problem why = { .err = 0 };
	struct front_linux *linux_env;
	struct blkfront *f;
	char line[128], op[16];
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	err = front_linux_open(&linux_env, &why);
	if (!err)
		err = blkfront_open(front_linux_env(linux_env), 51712, NULL, OPEN_MS, &f, &why);
	if (err)
		die(why.text, err);
	puts("open ok");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long long at = 0, bytes = 0, seed = 0, block = 4096;

		if (sscanf(line, "%15s %llu %llu %llu %llu", op, &at, &bytes, &seed, &block) < 1)
			continue;
		if (!strcmp(op, "flush"))
			printf("flush %s\n", (err = blkfront_flush(f)) ? strerror(-err) : "ok");
		else
			move(f, !strcmp(op, "read"), at, bytes, seed, block);
	}
	err = blkfront_close(f, OPEN_MS, NULL);
	front_linux_close(linux_env);
	return err ? 1 : 0;
}
