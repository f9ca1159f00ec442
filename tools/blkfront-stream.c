/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Long transfers in order of offsets, several requests in flight; the progress
 * bar; the checkable pattern. Hides buffers and completion order; must not
 * know files or subcommands.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkfront-cmd.h"

#define SLOTS_MAX 8u
#define INTERRUPTED_MS 2000
#define CHUNK_MAX_BYTES (256u << 10)

/* ---- progress -------------------------------------------------------------------- */

#define SHOW_EVERY_NS 200000000u

void progress_start(struct progress *p, const struct args *a, const char *what,
		    uint64_t total_bytes)
{
	*p = (struct progress){
		.on = !a->cli.quiet && (a->progress || isatty(STDERR_FILENO)),
		.what = what, .total_bytes = total_bytes, .started_ns = now_ns(),
	};
}

static void show(const struct progress *p, uint64_t now)
{
	double s = (double)(now - p->started_ns) / 1e9, mib = (double)p->done_bytes / 1048576;
	double rate = s > 0 ? mib / s : 0;
	double left = rate > 0 ? ((double)p->total_bytes / 1048576 - mib) / rate : 0;
	unsigned int percent = p->total_bytes ?
			       (unsigned int)(p->done_bytes * 100.0 / (double)p->total_bytes) : 0;
	char bar[21];
	unsigned int i;

	for (i = 0; i < 20; i++)
		bar[i] = i < percent / 5 ? '#' : '.';
	bar[20] = 0;
	fprintf(stderr, "\r%s [%s] %3u %%  %.0f MiB  %.0f MiB/s  ETA %u:%02u ", p->what, bar,
		percent, mib, rate, (unsigned int)left / 60, (unsigned int)left % 60);
}

void progress_add(struct progress *p, uint64_t bytes)
{
	uint64_t now;

	p->done_bytes += bytes;
	if (!p->on)
		return;
	now = now_ns();
	if (now - p->shown_ns < SHOW_EVERY_NS)
		return;
	p->shown_ns = now;
	show(p, now);
}

void progress_end(struct progress *p)
{
	if (!p->on)
		return;
	show(p, now_ns());
	fputc('\n', stderr);
	p->on = false;
}

/* ---- the pattern -------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void pattern_fill(void *data, size_t bytes, uint64_t seed, uint64_t offset)
{
	uint64_t *word = data, *end = word + bytes / 8, n = offset / 8;

	for (; word < end; word++, n++)
		*word = mix(n * 0x9e3779b97f4a7c15u + seed);
}

size_t pattern_check(const void *data, size_t bytes, uint64_t seed, uint64_t offset)
{
	const uint64_t *word = data;
	size_t i, b;
	uint64_t want;

	for (i = 0; i < bytes / 8; i++) {
		want = mix((offset / 8 + i) * 0x9e3779b97f4a7c15u + seed);
		if (word[i] == want)
			continue;
		for (b = 0; b < 8; b++)
			if (((const uint8_t *)&want)[b] != ((const uint8_t *)data)[i * 8 + b])
				return i * 8 + b;
	}
	return bytes;
}

/* ---- streams ------------------------------------------------------------------------- */

struct slot {
	struct blkfront_io io;
	struct blkfront_iov iov;
	void *buf;
	bool shared, busy, over;
	int result;
};

struct stream {
	struct session *s;
	struct slot slot[SLOTS_MAX];
	unsigned int nr_slots;
	size_t chunk_bytes;
	int result;
};

static void chunk_done(struct blkfront_io *io, int result)
{
	struct slot *slot = io->arg;

	slot->over = true;
	slot->result = result;
}

/*
 * After an interrupt requests may still be in flight. They get a moment to end;
 * if they do not, their memory is left to them.
 */
static void stream_close(struct stream *st)
{
	unsigned int i;

	if (blkfront_inflight(st->s->f)) {
		front_linux_resume(st->s->front.fl);
		blkfront_wait(st->s->f, UINT32_MAX, INTERRUPTED_MS);
		if (blkfront_inflight(st->s->f))
			return;
	}
	for (i = 0; i < st->nr_slots; i++) {
		if (st->slot[i].shared)
			blkfront_buffer_put(st->s->f, st->slot[i].buf, st->chunk_bytes);
		else
			free(st->slot[i].buf);
	}
	free(st);
}

/* Buffers that need no copy while the pool has them; at least two in any case. */
static int stream_open(struct session *s, struct stream **out)
{
	struct stream *st = calloc(1, sizeof(*st));
	struct slot *slot;
	void *buf;

	*out = st;
	if (!st)
		return -ENOMEM;
	st->s = s;
	st->chunk_bytes = (size_t)s->info.max_segments * 4096;
	if (st->chunk_bytes > CHUNK_MAX_BYTES || s->info.max_segments <= 11)
		st->chunk_bytes = CHUNK_MAX_BYTES;
	while (st->nr_slots < SLOTS_MAX) {
		slot = st->slot + st->nr_slots;
		slot->shared = blkfront_buffer_get(s->f, st->chunk_bytes, &slot->buf) == 0;
		if (!slot->shared) {
			if (st->nr_slots >= 2)
				break;
			if (posix_memalign(&buf, 4096, st->chunk_bytes))
				break;
			slot->buf = buf;
		}
		slot->io.arg = slot;
		slot->io.done = chunk_done;
		st->nr_slots++;
	}
	if (st->nr_slots)
		return 0;
	free(st);
	return -ENOMEM;
}

static int start(struct stream *st, struct slot *slot, enum blkfront_op op,
		 uint64_t offset, size_t bytes)
{
	int r;

	slot->iov = (struct blkfront_iov){ slot->buf, bytes };
	slot->io.op = op;
	slot->io.offset_bytes = offset;
	slot->io.iov = &slot->iov;
	slot->io.nr_iov = 1;
	slot->over = false;
	r = blkfront_submit(st->s->f, &slot->io);
	slot->busy = r == 0;
	return r;
}

/* Waits for one slot; the others go on. */
static int finish(struct stream *st, struct slot *slot)
{
	int r;

	while (slot->busy && !slot->over) {
		r = blkfront_wait(st->s->f, 1, -1);
		if (r < 0)
			return r;
	}
	if (!slot->busy)
		return 0;
	slot->busy = false;
	return slot->result;
}

static int consume_slot(struct stream *st, struct slot *slot, stream_consume_fn *consume,
			void *arg)
{
	int r = finish(st, slot);

	return r ? r : consume(arg, slot->io.offset_bytes, slot->buf, slot->iov.bytes);
}

/* Requests that a failed stream left must end before their buffers do. */
static int drain(struct stream *st, int r)
{
	unsigned int i;
	int e;

	for (i = 0; i < st->nr_slots; i++) {
		e = finish(st, st->slot + i);
		if (e < 0 && r == 0)
			r = e;
	}
	return r;
}

int stream_read(struct session *s, uint64_t offset, uint64_t length,
		stream_consume_fn *consume, void *arg)
{
	uint64_t end = offset + length, ahead = offset;
	struct stream *st;
	struct slot *slot;
	unsigned int head = 0, tail = 0;	/* chunks started, chunks consumed */
	size_t n;
	int r = stream_open(s, &st);

	if (r < 0)
		return r;
	while (r == 0 && (ahead < end || tail < head)) {
		if (ahead < end && head - tail < st->nr_slots) {
			slot = st->slot + head++ % st->nr_slots;
			n = end - ahead < st->chunk_bytes ? (size_t)(end - ahead) :
			    st->chunk_bytes;
			r = start(st, slot, BLKFRONT_READ, ahead, n);
			ahead += n;
			continue;
		}
		r = consume_slot(st, st->slot + tail++ % st->nr_slots, consume, arg);
	}
	r = drain(st, r);
	stream_close(st);
	return r;
}

/* The rest of the last sector keeps what the disk has there. */
static int complete_sector(struct stream *st, struct slot *slot, uint64_t offset,
			   size_t *bytes)
{
	size_t sector = st->s->info.sector_bytes, part = *bytes % sector;
	uint8_t old[4096];
	int r;

	if (!part)
		return 0;
	r = blkfront_read(st->s->f, offset + *bytes - part, old, sector);
	if (r < 0)
		return r;
	memcpy((uint8_t *)slot->buf + *bytes, old + part, sector - part);
	*bytes += sector - part;
	return 0;
}

int stream_write(struct session *s, uint64_t offset, uint64_t length,
		 stream_produce_fn *produce, void *arg, uint64_t *written)
{
	uint64_t end = offset + length;
	struct stream *st;
	struct slot *slot;
	unsigned int i;
	size_t n;
	ssize_t got;
	bool hole;
	int r = stream_open(s, &st);

	*written = 0;
	if (r < 0)
		return r;
	for (i = 0; r == 0 && offset < end; i++) {
		slot = st->slot + i % st->nr_slots;
		r = finish(st, slot);
		if (r < 0)
			break;
		n = end - offset < st->chunk_bytes ? (size_t)(end - offset) : st->chunk_bytes;
		hole = false;
		got = produce(arg, offset, slot->buf, n, &hole);
		if (got <= 0) {
			r = (int)got;
			break;
		}
		*written += (size_t)got;
		n = (size_t)got;
		if (!hole)
			r = complete_sector(st, slot, offset, &n);
		if (!hole && r == 0)
			r = start(st, slot, BLKFRONT_WRITE, offset, n);
		offset += n;
	}
	r = drain(st, r);
	stream_close(st);
	return r;
}
