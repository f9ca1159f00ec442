/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks on real files, and system calls that misbehave (disk-bench.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "disk-bench.h"
#include "unit.h"

/* ---- system calls that misbehave ------------------------------------------------------ */

struct disk_bench_sys sys;

static ssize_t misbehave(long call, int fd, const struct iovec *iov, int nr, off_t at,
			 int flags)
{
	struct iovec first = iov[0];
	ssize_t n;

	__atomic_fetch_add(&sys.nr_calls, 1, __ATOMIC_RELAXED);
	if (syscall(SYS_fcntl, fd, F_GETFL) & O_DIRECT)
		__atomic_fetch_add(&sys.nr_direct, 1, __ATOMIC_RELAXED);
	if (flags & RWF_DSYNC)
		__atomic_fetch_add(&sys.nr_dsync, 1, __ATOMIC_RELAXED);
	if (flags & RWF_NOWAIT) {
		sys.nr_nowait++;
		if (sys.nowait_errno) {
			errno = sys.nowait_errno;
			return -1;
		}
	}
	if (sys.fail_nth && --sys.fail_nth == 0) {
		errno = sys.fail_errno;
		return -1;
	}
	if (sys.most_bytes) {
		iov = &first;
		nr = 1;
		if (first.iov_len > sys.most_bytes)
			first.iov_len = sys.most_bytes;
	}
	n = syscall(call, fd, iov, (long)nr, (long)at, 0l, flags);
	if (n > 0 && call == SYS_pwritev2)
		__atomic_fetch_add(&sys.written_bytes, (uint64_t)n, __ATOMIC_RELAXED);
	return n;
}

ssize_t preadv2(int fd, const struct iovec *iov, int nr, off_t at, int flags)
{
	return misbehave(SYS_preadv2, fd, iov, nr, at, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int nr, off_t at, int flags)
{
	return misbehave(SYS_pwritev2, fd, iov, nr, at, flags);
}

ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
	struct iovec iov = { .iov_base = to, .iov_len = bytes };

	return misbehave(SYS_preadv2, fd, &iov, 1, at, 0);
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at)
{
	struct iovec iov = { .iov_base = (void *)from, .iov_len = bytes };

	return misbehave(SYS_pwritev2, fd, &iov, 1, at, 0);
}

int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (sys.no_direct && cmd == F_SETFL && (arg & O_DIRECT)) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

/* Files are taken for devices: what would be done to one shows here. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request != BLKDISCARD && request != BLKSECDISCARD)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	sys.ioctl = request;
	memcpy(sys.ioctl_range, arg, sizeof(sys.ioctl_range));
	errno = sys.ioctl_errno;
	return errno ? -1 : 0;
}

bool disk_bench_foreign;

/* ---- a disk and its copy ---------------------------------------------------------------- */

static void io_done(struct disk_io *io, int err)
{
	struct io *x = (struct io *)io;

	x->err = err;
	x->done++;
}

/* False: this directory cannot be used; why then says so. */
bool bench_open(struct bench *b, const char *dir, const struct disk_ops *ops)
{
	char why[200];

	memset(b, 0, sizeof(*b));
	snprintf(b->path, sizeof(b->path), "%s/test-disk.XXXXXX", dir);
	b->fd = mkstemp(b->path);
	if (b->fd < 0 || ftruncate(b->fd, BYTES) < 0)
		return false;
	unlink(b->path);
	b->cfg = (struct disk_config){ .fd = b->fd, .depth = 64, .max_iov = 8,
				       .slow_foreign = disk_bench_foreign };
	b->model = calloc(1, BYTES);
	b->buffer = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	if (disk_open(ops, &b->cfg, &b->disk, why, sizeof(why))) {
		printf("\n  (not here: %s)", why);
		b->disk = NULL;
	}
	return true;
}

void bench_close(struct bench *b)
{
	disk_close(b->disk);
	free(b->model);
	munmap(b->buffer, BYTES);
	close(b->fd);
}

void set_io(struct io *x, enum disk_op op, uint64_t offset, uint64_t bytes)
{
	memset(x, 0, sizeof(*x));
	x->io.op = op;
	x->io.offset_bytes = offset;
	x->io.bytes = bytes;
	x->io.foreign = disk_bench_foreign;
	x->io.done = io_done;
	x->io.iov = x->iov;
}

/* Into nr pieces, whole sectors each. */
void set_pieces(struct io *x, uint8_t *at, uint32_t nr)
{
	uint64_t left = x->io.bytes;

	x->io.nr_iov = nr;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t piece = i == nr - 1 ? left : left / nr / SECTOR * SECTOR;

		if (!piece)
			piece = SECTOR;
		x->iov[i] = (struct iovec){ at, piece };
		at += piece;
		left -= piece;
	}
}

void wait_done(struct disk *d, const struct io *x)
{
	struct pollfd p = { .fd = disk_fd(d), .events = POLLIN };

	while (!x->done) {
		poll(&p, 1, 10000);
		UNIT_NEED(p.revents);
		disk_reap(d);
	}
}

int run_io(struct disk *d, struct io *x)
{
	disk_submit(d, &x->io);
	wait_done(d, x);
	UNIT_EQ(x->done, 1);
	return x->err;
}

int move_pages(struct bench *b, enum disk_op op, uint64_t offset, uint64_t bytes,
		      uint32_t pieces)
{
	struct io x;

	set_io(&x, op, offset, bytes);
	set_pieces(&x, b->buffer + offset, pieces);
	return run_io(b->disk, &x);
}

void fill(uint8_t *at, size_t bytes, uint32_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		at[i] = (uint8_t)(seed >> 24);
	}
}

bool whole_image_matches(struct bench *b)
{
	memset(b->buffer, 0xee, BYTES);
	UNIT_EQ(move_pages(b, DISK_READ, 0, BYTES, 8), 0);
	return memcmp(b->buffer, b->model, BYTES) == 0;
}

int plain(struct bench *b, enum disk_op op, uint64_t offset, uint64_t bytes)
{
	struct io x;

	set_io(&x, op, offset, bytes);
	return run_io(b->disk, &x);
}

/* Where the tests' files are: a file system with a device behind it, maybe; and none. */
static const char *const dirs[] = { ".", "/dev/shm" };

/* Runs the test for each engine in each directory. */
void each(void (*test)(struct bench *b))
{
	static const struct disk_ops *const engines[] = { &disk_buffered, &disk_direct,
							  &disk_direct };

	for (size_t e = 0; e < UNIT_LEN(engines); e++)
		for (size_t i = 0; i < UNIT_LEN(dirs); i++) {
			unsigned before = CU_get_number_of_failures();
			struct bench b;

			memset(&sys, 0, sizeof(sys));
			disk_bench_foreign = e == 2;
			UNIT_NEED(bench_open(&b, dirs[i], engines[e]));
			if (b.disk)
				test(&b);
			memset(&sys, 0, sizeof(sys));
			bench_close(&b);
			if (CU_get_number_of_failures() > before)
				fprintf(stderr, "\n  (%s%s in %s)", engines[e]->name,
					disk_bench_foreign ? ", staged," : "", dirs[i]);
			disk_bench_foreign = false;
		}
}
