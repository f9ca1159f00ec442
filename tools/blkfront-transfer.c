/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subcommands that move data between the device and a file: read, write,
 * copy, verify. Hides files, holes and short reads; must not know how many
 * requests are in flight (blkfront-stream.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkfront-cmd.h"

#define ZERO_BLOCK_BYTES 4096u

struct transfer {
	struct session *s;
	struct progress progress;
	const char *name, *direction;	/* direction: of copy */
	int fd, file_err;		/* file_err: errno of the file, not of the disk */
	bool sparse, seekable;
	uint64_t base_bytes;		/* the file's byte 0 is at this offset of the disk */
	uint64_t skip_bytes, left_bytes;	/* of what read prints */
	uint64_t hole_end_bytes, data_end_bytes;
	uint64_t compared_bytes, first_difference;
};

/* ---- files -------------------------------------------------------------------------- */

static int file_error(const struct args *a, const char *name, int err)
{
	if (err == EPIPE)
		return EXIT_ERROR;
	return front_complain(&a->cli, EXIT_ERROR, "%s: %s", name, strerror(err));
}

static int write_all(struct transfer *t, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	ssize_t n;

	while (bytes) {
		/* A signal in the middle of a write ends it early, not with EINTR. */
		if (front_signals_caught())
			return -EINTR;
		n = write(t->fd, at, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			t->file_err = n < 0 ? errno : ENOSPC;
			return -t->file_err;
		}
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static ssize_t read_all(struct transfer *t, void *data, size_t bytes)
{
	uint8_t *at = data;
	size_t got = 0;
	ssize_t n;

	while (got < bytes) {
		if (front_signals_caught())
			return -EINTR;
		n = read(t->fd, at + got, bytes - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			t->file_err = errno;
			return -t->file_err;
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int open_file(struct transfer *t, const struct args *a, const char *name, int flags)
{
	struct stat st;

	t->name = name;
	if (!name || !strcmp(name, "-")) {
		t->name = flags == O_RDONLY ? "standard input" : "standard output";
		t->fd = dup(flags == O_RDONLY ? STDIN_FILENO : STDOUT_FILENO);
	} else {
		t->fd = open(name, flags | O_CLOEXEC, 0666);
	}
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return file_error(a, t->name, errno);
	if (S_ISDIR(st.st_mode))
		return file_error(a, t->name, EISDIR);
	t->seekable = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
	return EXIT_OK;
}

/* The file's length, of block devices too; 0 when it cannot be known. */
static uint64_t file_bytes(struct transfer *t)
{
	off_t at, end;

	if (!t->seekable)
		return 0;
	at = lseek(t->fd, 0, SEEK_CUR);
	end = lseek(t->fd, 0, SEEK_END);
	lseek(t->fd, at, SEEK_SET);
	return end > at ? (uint64_t)(end - at) : 0;
}

/* One open device, one open file, and the end of both. */
static int begin(struct transfer *t, struct session *s, const struct args *a,
		 const char *name, int flags)
{
	int r;

	*t = (struct transfer){ .s = s, .fd = -1 };
	*s = (struct session){ .args = a };
	r = open_file(t, a, name, flags);
	return r == EXIT_OK ? session_open(s, a) : r;
}

static int end(struct transfer *t, int status)
{
	progress_end(&t->progress);
	if (t->fd >= 0 && close(t->fd) < 0 && status == EXIT_OK)
		status = file_error(t->s->args, t->name, errno);
	return session_close(t->s, status);
}

static int failed(struct transfer *t, int err, const char *doing)
{
	progress_end(&t->progress);
	if (front_signals_caught())
		return EXIT_INTERRUPTED;
	if (t->file_err)
		return file_error(t->s->args, t->name, t->file_err);
	return session_error(t->s, err, "%s", doing);
}

static double seconds(const struct transfer *t)
{
	return (double)(now_ns() - t->progress.started_ns) / 1e9;
}

static void say(struct transfer *t, const char *what, uint64_t bytes)
{
	double s = seconds(t);

	progress_end(&t->progress);
	if (t->s->args->cli.quiet || t->s->args->cli.json)
		return;
	fprintf(stderr, "%s %llu bytes in %.2f s, %.0f MiB/s\n", what,
		(unsigned long long)bytes, s, s > 0 ? (double)bytes / 1048576 / s : 0);
}

static void say_copied(struct transfer *t, uint64_t bytes)
{
	const struct front_args *a = &t->s->args->cli;

	progress_end(&t->progress);
	if (a->json)
		printf("{\"device\":\"%s\",\"direction\":\"%s\",\"bytes\":%llu,\"seconds\":%.3f}\n",
		       a->device, t->direction, (unsigned long long)bytes, seconds(t));
	say(t, "copied", bytes);
}

/* ---- from the device ------------------------------------------------------------------ */

static bool all_zero(const uint8_t *data, size_t bytes)
{
	return !data[0] && !memcmp(data, data + 1, bytes - 1);
}

/* Leaves blocks of zeros as holes. */
static int write_sparse(struct transfer *t, const uint8_t *data, size_t bytes)
{
	size_t n;
	int r = 0;

	for (; r == 0 && bytes; data += n, bytes -= n) {
		n = bytes < ZERO_BLOCK_BYTES ? bytes : ZERO_BLOCK_BYTES;
		if (!all_zero(data, n))
			r = write_all(t, data, n);
		else if (lseek(t->fd, (off_t)n, SEEK_CUR) < 0)
			r = -(t->file_err = errno);
	}
	return r;
}

static int to_file(void *arg, uint64_t offset, const void *data, size_t bytes)
{
	struct transfer *t = arg;
	const uint8_t *at = data;
	size_t skip = t->skip_bytes < bytes ? (size_t)t->skip_bytes : bytes;

	(void)offset;
	progress_add(&t->progress, bytes);
	t->skip_bytes -= skip;
	at += skip;
	bytes -= skip;
	if (bytes > t->left_bytes)
		bytes = (size_t)t->left_bytes;
	t->left_bytes -= bytes;
	return t->sparse ? write_sparse(t, at, bytes) : write_all(t, at, bytes);
}

/* Any range: sectors are read whole, and what was not asked for is dropped. */
static int read_range(struct transfer *t, uint64_t offset, uint64_t length)
{
	uint64_t sector = t->s->info.sector_bytes;
	uint64_t first = offset / sector * sector;
	uint64_t last = (offset + length + sector - 1) / sector * sector;
	int r;

	t->skip_bytes = offset - first;
	t->left_bytes = length;
	progress_start(&t->progress, t->s->args, "reading", last - first);
	r = stream_read(t->s, first, last - first, to_file, t);
	return r < 0 ? failed(t, r, "reading") : EXIT_OK;
}

int cmd_read(const struct args *a)
{
	struct session s;
	struct transfer t;
	uint64_t offset, length;
	int r = begin(&t, &s, a, a->cli.argc ? a->cli.argv[0] : NULL, O_WRONLY | O_CREAT | O_TRUNC);

	if (r == EXIT_OK)
		r = session_range(&s, false, &offset, &length);
	if (r == EXIT_OK)
		r = read_range(&t, offset, length);
	return end(&t, r);
}

static int copy_out(const struct args *a)
{
	struct session s;
	struct transfer t;
	uint64_t offset, length;
	int r = begin(&t, &s, a, a->cli.argc ? a->cli.argv[0] : NULL, O_WRONLY | O_CREAT | O_TRUNC);

	if (r == EXIT_OK)
		r = session_range(&s, false, &offset, &length);
	if (r != EXIT_OK)
		return end(&t, r);
	t.sparse = t.seekable;
	r = read_range(&t, offset, length);
	if (r == EXIT_OK && t.sparse && ftruncate(t.fd, (off_t)length) < 0 && errno != EINVAL)
		r = file_error(a, t.name, errno);
	t.direction = "out";
	if (r == EXIT_OK)
		say_copied(&t, length);
	return end(&t, r);
}

/* ---- to the device ---------------------------------------------------------------------- */

/* Where the hole ends that holds the file's position; 0: there is data. */
static uint64_t hole_until(struct transfer *t, off_t at)
{
	off_t data;

	if ((uint64_t)at < t->data_end_bytes)
		return 0;
	data = lseek(t->fd, at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)		/* nothing but a hole to the end */
		data = lseek(t->fd, 0, SEEK_END);
	if (data > at) {
		lseek(t->fd, at, SEEK_SET);
		return (uint64_t)data;
	}
	data = lseek(t->fd, at, SEEK_HOLE);
	t->data_end_bytes = data > 0 ? (uint64_t)data : UINT64_MAX;
	lseek(t->fd, at, SEEK_SET);
	return 0;
}

/* A hole, in whole sectors: discarded, or left as the disk has it. */
static ssize_t pass_hole(struct transfer *t, uint64_t offset, off_t at, uint64_t until,
			 size_t bytes)
{
	uint64_t sector = t->s->info.sector_bytes, n = until - (uint64_t)at;
	int r;

	n = n / sector * sector;
	if (n > bytes)
		n = bytes;
	if (!n)
		return 0;
	if (t->s->args->holes != HOLES_SKIP) {
		r = blkfront_discard(t->s->f, offset, n, t->s->args->holes == HOLES_ERASE);
		if (r < 0)
			return r;
	}
	lseek(t->fd, at + (off_t)n, SEEK_SET);
	return (ssize_t)n;
}

static ssize_t from_file(void *arg, uint64_t offset, void *data, size_t bytes, bool *hole)
{
	struct transfer *t = arg;
	uint64_t until;
	ssize_t n = 0;
	off_t at;

	if (t->sparse) {
		at = lseek(t->fd, 0, SEEK_CUR);
		until = hole_until(t, at);
		if (until)
			n = pass_hole(t, offset, at, until, bytes);
		*hole = n > 0;
	}
	if (n == 0)
		n = read_all(t, data, bytes);
	if (n > 0)
		progress_add(&t->progress, (uint64_t)n);
	return n;
}

/* More in the file than the range takes: say so rather than cut it silently. */
static int whole_file_went(struct transfer *t, uint64_t length)
{
	char byte;

	if (t->s->args->length_bytes || read(t->fd, &byte, 1) != 1)
		return EXIT_OK;
	return front_complain(&t->s->args->cli, EXIT_ERROR, "%s does not fit: only the first %llu "
			      "bytes were written", t->name, (unsigned long long)length);
}

static int write_range(struct transfer *t)
{
	uint64_t offset, length, written = 0, known;
	int r = session_range(t->s, true, &offset, &length);

	if (r != EXIT_OK)
		return r;
	known = file_bytes(t);
	if (known > length && !t->s->args->length_bytes)
		return front_complain(&t->s->args->cli, EXIT_ERROR,
				      "%s has %llu bytes, but there is room for %llu on %s",
				      t->name, (unsigned long long)known,
				      (unsigned long long)length, t->s->args->cli.device);
	progress_start(&t->progress, t->s->args, "writing", known ? known : length);
	r = stream_write(t->s, offset, length, from_file, t, &written);
	if (r < 0)
		return failed(t, r, "writing");
	r = blkfront_flush(t->s->f);
	if (r < 0)
		return failed(t, r, "flushing");
	if (t->direction)
		say_copied(t, written);
	else
		say(t, "wrote", written);
	return whole_file_went(t, length);
}

int cmd_write(const struct args *a)
{
	struct session s;
	struct transfer t;
	int r = begin(&t, &s, a, a->cli.argc ? a->cli.argv[0] : NULL, O_RDONLY);

	return end(&t, r == EXIT_OK ? write_range(&t) : r);
}

static int copy_in(const struct args *a)
{
	struct session s;
	struct transfer t;
	int r = begin(&t, &s, a, a->cli.argc ? a->cli.argv[0] : NULL, O_RDONLY);

	if (r != EXIT_OK)
		return end(&t, r);
	t.sparse = t.seekable && a->holes != HOLES_ZERO;
	if ((a->holes == HOLES_DISCARD && !s.info.discard) ||
	    (a->holes == HOLES_ERASE && !s.info.discard_secure))
		return end(&t, front_complain(&a->cli, EXIT_ERROR,
					      "%s offers no %sdiscard; use --holes zero",
					      a->cli.device,
					      a->holes == HOLES_ERASE ? "secure " : ""));
	t.direction = "in";
	return end(&t, write_range(&t));
}

int cmd_copy(const struct args *a)
{
	struct args rest = *a;

	if (a->cli.argc < 2 || (strcmp(a->cli.argv[0], "in") && strcmp(a->cli.argv[0], "out")))
		return front_complain(&a->cli, EXIT_USAGE, "copy in FILE (to the disk) or copy out "
				      "FILE (from the disk)?");
	if (a->cli.json && !strcmp(a->cli.argv[0], "out") && !strcmp(a->cli.argv[1], "-"))
		return front_complain(&a->cli, EXIT_USAGE, "standard output has the disk's data: "
				      "name a FILE, or leave --json out");
	rest.cli.argc--;
	rest.cli.argv++;
	return strcmp(a->cli.argv[0], "in") ? copy_out(&rest) : copy_in(&rest);
}

/* ---- verify ------------------------------------------------------------------------------- */

static int differs(struct transfer *t, uint64_t offset)
{
	t->first_difference = offset;
	return 1;
}

static int compare_file(void *arg, uint64_t offset, const void *data, size_t bytes)
{
	static uint8_t want[256 << 10];
	const uint8_t *have = data;
	struct transfer *t = arg;
	ssize_t n = read_all(t, want, bytes < sizeof(want) ? bytes : sizeof(want));
	ssize_t i;

	if (n < 0)
		return (int)n;
	progress_add(&t->progress, (uint64_t)n);
	for (i = 0; i < n && memcmp(have, want, (size_t)n); i++)
		if (have[i] != want[i])
			return differs(t, offset + (uint64_t)i);
	t->compared_bytes += (uint64_t)n;
	return (size_t)n < bytes ? 2 : 0;	/* 2: the file ends here */
}

static int compare_pattern(void *arg, uint64_t offset, const void *data, size_t bytes)
{
	struct transfer *t = arg;
	size_t same = pattern_check(data, bytes, t->s->args->seed, offset);

	progress_add(&t->progress, bytes);
	if (same < bytes)
		return differs(t, offset + same);
	t->compared_bytes += bytes;
	return 0;
}

static ssize_t produce_pattern(void *arg, uint64_t offset, void *data, size_t bytes,
			       bool *hole)
{
	struct transfer *t = arg;

	(void)hole;
	pattern_fill(data, bytes, t->s->args->seed, offset);
	progress_add(&t->progress, bytes);
	return (ssize_t)bytes;
}

/* first: text of the offset, or null. */
static void say_compared(struct transfer *t, bool same, uint64_t bytes, const char *first)
{
	const struct front_args *a = &t->s->args->cli;

	if (a->json)
		printf("{\"device\":\"%s\",\"same\":%d,\"bytes\":%llu,"
		       "\"first_difference_offset\":%s,\"seconds\":%.3f}\n", a->device, same,
		       (unsigned long long)bytes, first, seconds(t));
}

static int compare(struct transfer *t, uint64_t offset, uint64_t length,
		   stream_consume_fn *consume)
{
	char first[24];
	int r;

	progress_start(&t->progress, t->s->args, "verifying", length);
	r = stream_read(t->s, offset, length, consume, t);
	if (r < 0)
		return failed(t, r, "reading back");
	progress_end(&t->progress);
	if (r != 1) {
		say_compared(t, true, t->compared_bytes, "null");
		say(t, "same:", t->compared_bytes);
		return EXIT_OK;
	}
	snprintf(first, sizeof(first), "%llu", (unsigned long long)t->first_difference);
	say_compared(t, false, t->first_difference - offset, first);
	return front_complain(&t->s->args->cli, EXIT_DIFFERENT,
			      "%s differs from %s at offset %llu (sector %llu)",
			      t->s->args->cli.device, t->name,
			      (unsigned long long)t->first_difference,
			      (unsigned long long)t->first_difference / 512);
}

static int verify_file(const struct args *a)
{
	struct session s;
	struct transfer t;
	uint64_t offset, length, known, sector;
	int r = begin(&t, &s, a, a->cli.argv[0], O_RDONLY);

	if (r == EXIT_OK)
		r = session_range(&s, true, &offset, &length);
	if (r != EXIT_OK)
		return end(&t, r);
	known = file_bytes(&t);
	if (known > length && !a->length_bytes) {
		t.progress.started_ns = now_ns();
		say_compared(&t, false, 0, "null");
		return end(&t, front_complain(&a->cli, EXIT_DIFFERENT,
					      "%s has %llu bytes, %s only %llu from there", t.name,
					      (unsigned long long)known, a->cli.device,
					      (unsigned long long)length));
	}
	sector = s.info.sector_bytes;
	if (known && known < length)
		length = (known + sector - 1) / sector * sector;
	return end(&t, compare(&t, offset, length, compare_file));
}

static int verify_pattern(const struct args *a)
{
	struct session s;
	struct transfer t = { .s = &s, .fd = -1, .name = "the pattern written" };
	uint64_t offset, length, written;
	int r = session_open(&s, a);

	if (r == EXIT_OK)
		r = session_range(&s, true, &offset, &length);
	if (r != EXIT_OK)
		return end(&t, r);
	progress_start(&t.progress, a, "writing", length);
	r = stream_write(&s, offset, length, produce_pattern, &t, &written);
	if (r == 0)
		r = blkfront_flush(s.f);
	if (r < 0)
		return end(&t, failed(&t, r, "writing the pattern"));
	progress_end(&t.progress);
	return end(&t, compare(&t, offset, length, compare_pattern));
}

int cmd_verify(const struct args *a)
{
	if (a->pattern_test == (a->cli.argc > 0))
		return front_complain(&a->cli, EXIT_USAGE, "against what? Name a FILE, or say "
				      "--pattern-test --overwrite");
	if (!a->pattern_test)
		return verify_file(a);
	if (!a->overwrite)
		return front_complain(&a->cli, EXIT_USAGE, "--pattern-test destroys what is on %s; "
				      "add --overwrite if that is wanted", a->cli.device);
	return verify_pattern(a);
}
