/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copying an image that is written meanwhile (mirror-copy.h).
 *
 * Hides: the order of passes, the estimate of what is left. Must not know: who decides
 * when it is over.
 *
 * One pass goes over the map from the first chunk to the last, and copies what is dirty;
 * the next begins at once, or, where nothing was, after a rest.
 */
#include "mirror-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "dirty-map.h"
#include "image.h"
#include "util.h"

#define MAX_FDS 32u
#define RUN_CHUNKS 16u				/* 1 MiB at a time */
#define PAGE_BYTES 4096u
#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

/* When nothing was dirty; longer where looking alone takes long, since the map is large. */
#define REST_MS 20u
#define REST_MAX_MS 1000u
#define SAY_MS 200u				/* how far it is */
/* So much is not durable yet at most, in the first pass and when it follows. */
#define FLUSH_FIRST_BYTES (64ull << 20)
#define FLUSH_BYTES (8ull << 20)
#define FLUSH_MS 1000u
/*
 * In sync is what can be finished in so short a time. Where a guest writes faster than that
 * can ever be, more and more is allowed as time goes by.
 */
#define PAUSE_US 30000u
#define PAUSE_MAX_US 2000000u
#define PAUSE_DOUBLES_MS 4000u

struct copier {
	int sock, source, target;
	struct worker_copy what;
	struct dirty_map *dirty;
	uint8_t *buffer;
	struct failure failure;
	bool holes;			/* the target can have some */
	bool ended, finishing, finished;
	bool first_done;		/* everything has been copied once */
	uint64_t calm_ms;		/* when last PAUSE_US would have done, since then */
	uint64_t next;			/* chunk to look at */
	bool pass_copied;		/* something, since the pass began */
	uint64_t pass_ns;		/* when that was */
	uint64_t copied_bytes;
	uint64_t undurable_bytes, flushed_ms;
	uint64_t busy_ns, busy_bytes;	/* of late: how fast it is */
	uint64_t free_ns;		/* when the rate allows more */
	uint64_t said_ms;
	bool said_synced;
};

/* ---- what went wrong ------------------------------------------------------------- */

static int fail(struct copier *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct copier *c, int err, const char *fmt, ...)
{
	size_t used;
	va_list ap;

	c->failure.err = -err;
	va_start(ap, fmt);
	vsnprintf(c->failure.reason, sizeof(c->failure.reason), fmt, ap);
	va_end(ap);
	used = strlen(c->failure.reason);
	snprintf(c->failure.reason + used, sizeof(c->failure.reason) - used, ": %s",
		 strerror(-err));
	return err;
}

/* ---- a run of chunks -------------------------------------------------------------- */

/* syscalls disk: preadv2 */
/* Whole pages, for a source past the cache: what is behind the image's end is dropped. */
static int read_source(struct copier *c, uint64_t at, uint64_t bytes)
{
	uint64_t wanted = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES, done = 0;

	while (done < bytes) {
		struct iovec iov = { c->buffer + done, wanted - done };
		ssize_t n = preadv2(c->source, &iov, 1, (off_t)(at + done), 0);

		if (n > 0)
			done += (uint64_t)n;
		else if (n == 0)
			return fail(c, -ENXIO, "the disk's image ends at byte %llu",
				    (unsigned long long)(at + done));
		else if (errno != EINTR)
			return fail(c, -errno, "reading the disk's image at byte %llu",
				    (unsigned long long)(at + done));
	}
	return 0;
}

/* syscalls disk: pwritev2 */
static int write_target(struct copier *c, uint8_t *from, uint64_t at, uint64_t bytes)
{
	uint64_t done = 0;

	while (done < bytes) {
		struct iovec iov = { from + done, bytes - done };
		ssize_t n = pwritev2(c->target, &iov, 1, (off_t)(at + done), 0);

		if (n > 0)
			done += (uint64_t)n;
		else if (n == 0 || errno != EINTR)
			return fail(c, n ? -errno : -EIO, "writing the target at byte %llu",
				    (unsigned long long)(at + done));
	}
	return 0;
}

/* syscalls disk: lseek */
static bool is_hole(const struct copier *c, uint64_t at, uint64_t bytes)
{
	off_t data = lseek(c->source, (off_t)at, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= at + bytes;
}

static bool is_zero(const uint8_t *at, uint64_t bytes)
{
	return !at[0] && !memcmp(at, at + 1, bytes - 1);
}

/* syscalls disk: fallocate(hole) */
/* False: whatever the reason why it cannot have one, zeros read the same. */
static bool make_hole(struct copier *c, uint64_t at, uint64_t bytes)
{
	if (c->holes && fallocate(c->target, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)at, (off_t)bytes))
		c->holes = false;
	return c->holes;
}

static void count(struct copier *c, uint64_t bytes, uint64_t since_ns)
{
	c->copied_bytes += bytes;
	c->undurable_bytes += bytes;
	c->busy_ns += now_ns() - since_ns;
	if (c->busy_ns > NS_PER_S) {
		c->busy_ns /= 2;
		c->busy_bytes /= 2;
	}
}

/* Holes cost nothing. */
static void pay(struct copier *c, uint64_t bytes)
{
	uint64_t now = now_ns(), rate = c->what.bytes_per_second;

	c->busy_bytes += bytes;
	if (!rate || c->finishing) {
		c->free_ns = 0;
		return;
	}
	/* A rest saves up a tenth of a second's worth. */
	if (c->free_ns + NS_PER_S / 10 < now)
		c->free_ns = now - NS_PER_S / 10;
	c->free_ns += bytes * NS_PER_S / rate;
}

/* How much from here on is of one kind: chunks of zeros, or none of them. */
static uint64_t same_kind(const uint8_t *from, uint64_t bytes, bool *zero)
{
	uint64_t done = MIN(bytes, DIRTY_CHUNK_BYTES);

	*zero = is_zero(from, done);
	while (done < bytes) {
		uint64_t next = MIN(bytes - done, DIRTY_CHUNK_BYTES);

		if (is_zero(from + done, next) != *zero)
			break;
		done += next;
	}
	return done;
}

static int write_run(struct copier *c, uint64_t at, uint64_t bytes)
{
	uint64_t done = 0;
	int err = 0;

	while (!err && done < bytes) {
		bool zero;
		uint64_t n = same_kind(c->buffer + done, bytes - done, &zero);

		if (!zero || !make_hole(c, at + done, n)) {
			err = write_target(c, c->buffer + done, at + done, n);
			pay(c, n);
		}
		done += n;
	}
	return err;
}

/* Its bits have been cleared. */
static int copy_run(struct copier *c, uint64_t chunk, uint32_t nr)
{
	uint64_t at = chunk * DIRTY_CHUNK_BYTES, since = now_ns();
	uint64_t bytes = MIN((uint64_t)nr * DIRTY_CHUNK_BYTES, c->what.image_bytes - at);
	int err = 0;

	if (!is_hole(c, at, bytes)) {
		err = read_source(c, at, bytes);
		if (!err)
			err = write_run(c, at, bytes);
	} else if (!make_hole(c, at, bytes)) {
		memset(c->buffer, 0, bytes);
		err = write_run(c, at, bytes);
	}
	if (!err)
		count(c, bytes, since);
	return err;
}

/* ---- durable ----------------------------------------------------------------------- */

/* syscalls disk: fdatasync fadvise64 */
static int flush(struct copier *c)
{
	uint64_t since = now_ns();
	int rc;

	c->flushed_ms = now_ms();
	if (!c->undurable_bytes)
		return 0;
	do
		rc = fdatasync(c->target);
	while (rc && errno == EINTR);
	if (rc)
		return fail(c, -errno, "making the target durable");
	c->undurable_bytes = 0;
	c->busy_ns += now_ns() - since;
	/* Nobody reads it soon: others need the memory more. */
	if (!c->what.target_is_device)
		(void)posix_fadvise(c->target, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static bool flush_is_due(const struct copier *c)
{
	if (!c->first_done)
		return c->undurable_bytes >= FLUSH_FIRST_BYTES;
	return c->undurable_bytes >= FLUSH_BYTES || now_ms() - c->flushed_ms >= FLUSH_MS;
}

/* ---- how far it is ------------------------------------------------------------------- */

static uint64_t pause_allowed_us(const struct copier *c)
{
	uint64_t doubles = (now_ms() - c->calm_ms) / PAUSE_DOUBLES_MS;

	return doubles > 6 ? PAUSE_MAX_US : MIN((uint64_t)PAUSE_US << doubles, PAUSE_MAX_US);
}

static void estimate(struct copier *c, struct worker_copied *out)
{
	uint64_t left;

	out->copied_bytes = c->copied_bytes;
	out->dirty_bytes = MIN(dirty_map_count(c->dirty) * DIRTY_CHUNK_BYTES, c->what.image_bytes);
	left = out->dirty_bytes + c->undurable_bytes;
	/* In KiB and microseconds, or the product would not fit. */
	out->finish_us = c->busy_bytes >> 10 ?
		(left >> 10) * (c->busy_ns / 1000) / (c->busy_bytes >> 10) : 0;
	if (out->finish_us <= PAUSE_US)
		c->calm_ms = now_ms();
	out->synced = c->first_done && out->finish_us <= pause_allowed_us(c);
}

/* 0, or that nobody listens. */
static int say(struct copier *c, enum worker_type type)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = type };

	estimate(c, &msg.copied);
	c->said_ms = now_ms();
	c->said_synced = msg.copied.synced;
	return worker_send(c->sock, &msg, NULL, 0);
}

/* Often enough, and at once when it is in sync, or no more. */
static int say_if_due(struct copier *c, bool pass_ended)
{
	struct worker_copied now;

	if (now_ms() - c->said_ms >= SAY_MS)
		return say(c, WORKER_COPIED);
	if (!pass_ended)
		return 0;
	estimate(c, &now);
	return now.synced != c->said_synced ? say(c, WORKER_COPIED) : 0;
}

/* syscalls disk: poll ppoll */
static void hear(struct copier *c, int timeout_ms)
{
	struct pollfd p = { .fd = c->sock, .events = POLLIN };
	struct worker_msg msg;

	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	if (worker_receive(c->sock, &msg, NULL, NULL)) {
		c->ended = true;
	} else if (msg.type == WORKER_RATE) {
		c->what.bytes_per_second = msg.copy.bytes_per_second;
		c->free_ns = 0;
	} else if (msg.type == WORKER_FINISH) {
		c->finishing = true;
	}
}

/* ---- passes --------------------------------------------------------------------------- */

/* The map has been looked at up to its end. */
static int end_pass(struct copier *c)
{
	bool clean = !c->next && !c->pass_copied;
	int err = 0, rest_ms = 0;

	if (!c->first_done) {
		c->first_done = true;
		c->calm_ms = now_ms();
	}
	if (clean)
		rest_ms = (int)MIN(MAX((now_ns() - c->pass_ns) / NS_PER_MS * 20, REST_MS), REST_MAX_MS);
	c->next = 0;
	c->pass_copied = false;
	if (c->finishing && clean) {
		err = flush(c);
		c->finished = !err;
		return err ? err : say(c, WORKER_FINISHED);
	}
	if (flush_is_due(c))
		err = flush(c);
	if (!err)
		err = say_if_due(c, !clean || !c->said_synced);
	if (!err && clean)
		hear(c, rest_ms);
	c->pass_ns = now_ns();
	return err;
}

static int step(struct copier *c)
{
	uint32_t nr;
	uint64_t at = dirty_map_take(c->dirty, c->next, RUN_CHUNKS, &nr);
	int err;

	if (at == DIRTY_NONE)
		return end_pass(c);
	err = copy_run(c, at, nr);
	c->next = at + nr;
	c->pass_copied = true;
	if (!err && flush_is_due(c))
		err = flush(c);
	return err ? err : say_if_due(c, false);
}

/* How long the rate wants it to wait. */
static int wait_ms(const struct copier *c)
{
	uint64_t now = now_ns();

	if (c->finished)
		return -1;
	if (c->finishing || c->free_ns <= now)
		return 0;
	return (int)MIN((c->free_ns - now) / NS_PER_MS + 1, SAY_MS);
}

static int copy(struct copier *c)
{
	int err = 0;

	while (!err && !c->ended) {
		int ms = wait_ms(c);

		hear(c, ms);
		if (ms <= 0 && !c->ended && !c->finished)
			err = step(c);
		else if (ms > 0 && !c->ended)
			err = say_if_due(c, false);
	}
	return err;
}

/* ---- the process ------------------------------------------------------------------------- */

/* syscalls start: fcntl */
/* Refused: then no file system lets the worker go past it either. */
static void go_past_cache(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_DIRECT);
}

static int begin(struct copier *c, const struct sandbox *sandbox, int map)
{
	int err = dirty_map_open(map, c->what.image_bytes, &c->dirty);

	c->buffer = aligned_alloc(PAGE_BYTES, RUN_CHUNKS * DIRTY_CHUNK_BYTES);
	if (err || !c->buffer)
		return fail(c, err ? err : -ENOMEM, "no memory to copy with");
	if (c->what.source_direct)
		go_past_cache(c->source);
	if (c->what.target_is_device)
		go_past_cache(c->target);
	err = sandbox_before_loop(sandbox, MAX_FDS);
	if (!err)
		err = sandbox_final(sandbox, &sandbox_disk, c->sock);
	if (err)
		return fail(c, err, "the copying process cannot give up its privileges");
	/* The target was another's, or an earlier mirror's. */
	err = image_share_wait(c->target, VBD_EXCLUSIVE);
	return err ? fail(c, err, "the target cannot be locked") : 0;
}

/* syscalls disk: close */
int mirror_copy_main(int sock, const struct sandbox *sandbox, const struct worker_copy *what,
		     const int fds[3])
{
	struct copier c = { .sock = sock, .source = fds[0], .target = fds[1], .what = *what,
			    .holes = true, .flushed_ms = now_ms(), .pass_ns = now_ns() };
	struct worker_msg failed = { .version = WORKER_VERSION, .type = WORKER_FAILED };
	int err = begin(&c, sandbox, fds[2]);

	if (!err)
		err = copy(&c);
	if (c.failure.err) {
		failed.failure = c.failure;
		worker_send(sock, &failed, NULL, 0);
	}
	dirty_map_close(c.dirty);
	free(c.buffer);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	return err ? 1 : 0;
}
