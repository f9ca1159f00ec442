/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk engines on real files: in a directory of a file system and on tmpfs,
 * against a copy in memory; then with system calls that refuse, stop short or
 * fail (disk-bench.h); io_uring is refused by seccomp.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <liburing.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "disk-bench.h"
#include "disk-memory.h"
#include "disk-stage.h"
#include "unit.h"
#include "util.h"

/* ---- data ------------------------------------------------------------------------------------ */

static void read_and_write(struct bench *b)
{
	uint32_t seed = 7;

	for (uint32_t n = 0; n < 200; n++) {
		uint32_t first, nr, pieces;

		seed = seed * 1664525 + 1013904223;
		first = (seed >> 8) % (BYTES / SECTOR);
		nr = 1 + (seed >> 20) % 64;
		if (first + nr > BYTES / SECTOR)
			nr = BYTES / SECTOR - first;
		pieces = 1 + n % 8 < nr ? 1 + n % 8 : 1;
		fill(b->buffer + first * SECTOR, nr * SECTOR, seed);
		memcpy(b->model + first * SECTOR, b->buffer + first * SECTOR, nr * SECTOR);
		UNIT_EQ(move_pages(b, DISK_WRITE, first * SECTOR, nr * SECTOR, pieces), 0);
	}
	UNIT_OK(whole_image_matches(b));
	UNIT_EQ(plain(b, DISK_FLUSH, 0, 0), 0);
}

static void test_data(void)
{
	each(read_and_write);
}

/* Discarded sectors read as zeroes, their neighbours as they were. */
static void discard(struct bench *b)
{
	struct io x;

	fill(b->buffer, BYTES, 3);
	memcpy(b->model, b->buffer, BYTES);
	UNIT_EQ(move_pages(b, DISK_WRITE, 0, BYTES, 1), 0);
	UNIT_EQ(plain(b, DISK_DISCARD, 5 * SECTOR, 100 * SECTOR), 0);
	memset(b->model + 5 * SECTOR, 0, 100 * SECTOR);
	UNIT_OK(whole_image_matches(b));
	set_io(&x, DISK_DISCARD, 0, SECTOR);
	x.io.secure = true;
	UNIT_EQ(run_io(b->disk, &x), -EOPNOTSUPP);
	UNIT_OK(whole_image_matches(b));
}

static void test_discard(void)
{
	each(discard);
}

/* The same image by the same engine, otherwise configured. */
static void reopen(struct bench *b, const struct disk_config *cfg)
{
	const struct disk_ops *ops = b->disk->ops;
	char why[200];

	disk_close(b->disk);
	b->disk = NULL;
	UNIT_EQ(disk_open(ops, cfg, &b->disk, why, sizeof(why)), 0);
}

static int secure_discard(struct bench *b, uint64_t offset, uint64_t bytes)
{
	struct io x;

	set_io(&x, DISK_DISCARD, offset, bytes);
	x.io.secure = true;
	sys.written_bytes = 0;
	return run_io(b->disk, &x);
}

/*
 * Every byte of the range is written over, and no other, before it becomes a
 * hole; what is a hole already is not. What could not be written over is no
 * success, and stays.
 */
static void overwritten(struct bench *b)
{
	struct disk_config cfg = b->cfg;

	cfg.secure_overwrite = true;
	reopen(b, &cfg);
	UNIT_NEED(b->disk);
	fill(b->buffer, BYTES, 3);
	memcpy(b->model, b->buffer, BYTES);
	UNIT_EQ(move_pages(b, DISK_WRITE, 0, BYTES, 1), 0);
	UNIT_EQ(secure_discard(b, 5 * SECTOR, 1500 * SECTOR), 0);
	UNIT_EQ(sys.written_bytes, 1500 * SECTOR);
	memset(b->model + 5 * SECTOR, 0, 1500 * SECTOR);
	UNIT_OK(whole_image_matches(b));
	if (lseek(b->fd, 0, SEEK_HOLE) < BYTES) {
		UNIT_EQ(secure_discard(b, PAGE, 100 * PAGE), 0);
		UNIT_EQ(sys.written_bytes, 0);
	}
	sys.fail_nth = 1;
	sys.fail_errno = EIO;
	UNIT_EQ(secure_discard(b, 200 * PAGE, PAGE), -EIO);
	UNIT_OK(whole_image_matches(b));
	UNIT_EQ(plain(b, DISK_DISCARD, 200 * PAGE, PAGE), 0);
	UNIT_EQ(sys.written_bytes, 0);
}

static void test_overwritten(void)
{
	each(overwritten);
}

/* A device's own commands, and its refusal; overwriting comes before the plain one. */
static void device_discards(struct bench *b)
{
	struct disk_config cfg = b->cfg;

	cfg.is_device = true;
	reopen(b, &cfg);
	UNIT_NEED(b->disk);
	UNIT_EQ(plain(b, DISK_DISCARD, 8 * PAGE, 3 * PAGE), 0);
	UNIT_EQ(sys.ioctl, BLKDISCARD);
	UNIT_EQ(secure_discard(b, 16 * PAGE, 5 * PAGE), 0);
	UNIT_EQ(sys.ioctl, BLKSECDISCARD);
	UNIT_EQ(sys.ioctl_range[0], 16 * PAGE);
	UNIT_EQ(sys.ioctl_range[1], 5 * PAGE);
	UNIT_EQ(sys.written_bytes, 0);
	sys.ioctl_errno = EOPNOTSUPP;
	UNIT_EQ(secure_discard(b, 0, PAGE), -EOPNOTSUPP);
	sys.ioctl_errno = 0;
	cfg.secure_overwrite = true;
	reopen(b, &cfg);
	UNIT_NEED(b->disk);
	fill(b->buffer, PAGE, 1);
	UNIT_EQ(move_pages(b, DISK_WRITE, 0, PAGE, 1), 0);
	UNIT_EQ(secure_discard(b, 0, PAGE), 0);
	UNIT_EQ(sys.ioctl, BLKDISCARD);
	UNIT_EQ(sys.written_bytes, PAGE);
	UNIT_OK(whole_image_matches(b));
}

static void test_device_discards(void)
{
	each(device_discards);
}

/* More pieces than a system call takes. */
static void many_pieces(struct bench *b)
{
	enum { NR = BYTES / SECTOR };
	static struct iovec iov[NR];
	struct disk_config cfg = b->cfg;
	struct io x;

	cfg.max_iov = NR;
	reopen(b, &cfg);
	UNIT_NEED(b->disk);
	for (int write = 1; write >= 0; write--) {
		fill(write ? b->buffer : b->model, BYTES, 8);
		for (uint32_t i = 0; i < NR; i++)
			iov[i] = (struct iovec){ b->buffer + (NR - 1 - i) * SECTOR, SECTOR };
		set_io(&x, write ? DISK_WRITE : DISK_READ, 0, BYTES);
		x.io.iov = iov;
		x.io.nr_iov = NR;
		UNIT_EQ(run_io(b->disk, &x), 0);
		if (write)
			memset(b->buffer, 0, BYTES);
	}
	UNIT_OK(!memcmp(b->buffer, b->model, BYTES));
	for (uint32_t i = 0; i < NR; i++)
		memcpy(b->model + i * SECTOR, b->buffer + (NR - 1 - i) * SECTOR, SECTOR);
	UNIT_OK(whole_image_matches(b));
}

static void test_many_pieces(void)
{
	each(many_pieces);
}

/* As many at a time as promised, of all kinds. */
static void many_at_once(struct bench *b)
{
	static struct io ios[64];
	struct disk_io *chain = NULL;

	fill(b->buffer, BYTES, 4);
	memcpy(b->model, b->buffer, BYTES);
	for (uint32_t i = 0; i < 64; i++) {
		set_io(&ios[i], i % 16 == 5 ? DISK_FLUSH : DISK_WRITE, i * 4 * PAGE, 4 * PAGE);
		if (ios[i].io.op == DISK_WRITE)
			set_pieces(&ios[i], b->buffer + i * 4 * PAGE, 4);
		else
			memset(b->model + i * 4 * PAGE, 0, 4 * PAGE);
		ios[i].io.next = chain;
		chain = &ios[i].io;
	}
	disk_submit(b->disk, chain);
	for (uint32_t i = 0; i < 64; i++) {
		wait_done(b->disk, &ios[i]);
		UNIT_EQ(ios[i].done, 1);
		UNIT_EQ(ios[i].err, 0);
	}
	UNIT_OK(whole_image_matches(b));
}

static void test_many(void)
{
	each(many_at_once);
}

/* Large enough to be shared with a helper, again and again, behind small ones. */
static void large_together(struct bench *b)
{
	enum { NR = 8, LARGE = BYTES / NR };
	struct io ios[NR];

	fill(b->buffer, BYTES, 6);
	memcpy(b->model, b->buffer, BYTES);
	UNIT_EQ(move_pages(b, DISK_WRITE, 0, BYTES, 8), 0);
	for (uint32_t round = 0; round < 200; round++) {
		struct disk_io *chain = NULL;

		memset(b->buffer, 0xee, BYTES);
		for (uint32_t i = 0; i < NR; i++) {
			uint64_t bytes = i == round % NR ? PAGE : LARGE;

			set_io(&ios[i], DISK_READ, i * LARGE, bytes);
			set_pieces(&ios[i], b->buffer + i * LARGE, 8);
			ios[i].io.next = chain;
			chain = &ios[i].io;
		}
		disk_submit(b->disk, chain);
		for (uint32_t i = 0; i < NR; i++) {
			uint64_t bytes = i == round % NR ? PAGE : LARGE;

			wait_done(b->disk, &ios[i]);
			UNIT_EQ(ios[i].done, 1);
			UNIT_EQ(ios[i].err, 0);
			UNIT_NEED(!memcmp(b->buffer + i * LARGE, b->model + i * LARGE, bytes));
		}
	}
}

static void test_large(void)
{
	each(large_together);
}

static bool bench_buffered(struct bench *b, const char *dir)
{
	memset(&sys, 0, sizeof(sys));
	return bench_open(b, dir, &disk_buffered) && b->disk;
}

/* ---- neighbours in a chain -------------------------------------------------------------------------- */

enum { NEIGHBOURS = 33 };

/* nr operations of a page each, one after another from page first on; submitted. */
static void submit_pages(struct bench *b, struct io *ios, enum disk_op op, uint32_t first,
			 uint32_t nr, uint32_t pieces)
{
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t at = (uint64_t)(first + i) * PAGE;

		set_io(&ios[i], op, at, PAGE);
		set_pieces(&ios[i], b->buffer + at, pieces);
		ios[i].io.next = i + 1 < nr ? &ios[i + 1].io : NULL;
	}
	disk_submit(b->disk, &ios[0].io);
	for (uint32_t i = 0; i < nr; i++) {
		wait_done(b->disk, &ios[i]);
		UNIT_EQ(ios[i].done, 1);
	}
}

static uint32_t nr_good(const struct io *ios, uint32_t nr)
{
	uint32_t good = 0;

	while (good < nr && !ios[good].err)
		good++;
	for (uint32_t i = good; i < nr; i++)
		UNIT_EQ(ios[i].err, DISK_SHORT);
	return good;
}

/* Whole, in short transfers, and up to where the image ends. */
static void neighbours(struct bench *b)
{
	struct io ios[NEIGHBOURS];

	for (int most = 0; most <= 700; most += 700) {
		sys.most_bytes = (size_t)most;
		fill(b->buffer, BYTES, 9 + most);
		memcpy(b->model, b->buffer, NEIGHBOURS * PAGE);
		submit_pages(b, ios, DISK_WRITE, 0, NEIGHBOURS, 3);
		UNIT_EQ(nr_good(ios, NEIGHBOURS), NEIGHBOURS);
		memset(b->buffer, 0, BYTES);
		submit_pages(b, ios, DISK_READ, 0, NEIGHBOURS, 2);
		UNIT_EQ(nr_good(ios, NEIGHBOURS), NEIGHBOURS);
		UNIT_EQ(memcmp(b->buffer, b->model, NEIGHBOURS * PAGE), 0);
	}
	sys.most_bytes = 0;
	UNIT_OK(whole_image_matches(b));
	UNIT_EQ(ftruncate(b->fd, 5 * PAGE), 0);
	memset(b->buffer, 0, BYTES);
	submit_pages(b, ios, DISK_READ, 0, 8, 2);
	UNIT_EQ(nr_good(ios, 8), 5);
	UNIT_EQ(memcmp(b->buffer, b->model, 5 * PAGE), 0);
}

static void test_neighbours(void)
{
	each(neighbours);
}

static uint32_t calls_for(struct bench *b, struct io *ios, enum disk_op op, uint32_t nr,
			  uint32_t pieces)
{
	uint32_t before = sys.nr_calls;

	submit_pages(b, ios, op, 0, nr, pieces);
	UNIT_EQ(nr_good(ios, nr), nr);
	return sys.nr_calls - before;
}

/* Two neighbours of so many pieces each. */
static uint32_t calls_for_pieces(struct bench *b, uint32_t pieces)
{
	static struct iovec iov[512];
	struct io ios[2];

	for (uint32_t i = 0; i < 2 * pieces; i++)
		iov[i] = (struct iovec){ b->buffer + (2 * pieces - i) * SECTOR, SECTOR };
	for (uint32_t i = 0; i < 2; i++) {
		set_io(&ios[i], DISK_WRITE, i * pieces * SECTOR, pieces * SECTOR);
		ios[i].io.iov = iov + i * pieces;
		ios[i].io.nr_iov = pieces;
	}
	ios[0].io.next = &ios[1].io;
	sys.nr_calls = 0;
	disk_submit(b->disk, &ios[0].io);
	UNIT_OK(ios[0].done && ios[1].done && !ios[0].err && !ios[1].err);
	return sys.nr_calls;
}

/* One call for all, up to its limits; none for what is not next to each other. */
static void test_neighbours_joined(void)
{
	struct io ios[NEIGHBOURS];
	struct bench b;
	uint32_t calls;

	UNIT_NEED(bench_buffered(&b, "/dev/shm"));
	UNIT_EQ(calls_for(&b, ios, DISK_WRITE, 8, 3), 1);
	UNIT_EQ(calls_for(&b, ios, DISK_READ, 8, 3), 1);
	UNIT_EQ(calls_for(&b, ios, DISK_READ, NEIGHBOURS, 2), 5);	/* eight at a time */
	for (int i = 0; i < 3; i++) {
		set_io(&ios[i], i == 1 ? DISK_READ : DISK_WRITE, (2 - i) * PAGE, PAGE);
		set_pieces(&ios[i], b.buffer + i * PAGE, 1);
		ios[i].io.next = i < 2 ? &ios[i + 1].io : NULL;
	}
	sys.nr_calls = 0;
	disk_submit(b.disk, &ios[0].io);
	UNIT_EQ(sys.nr_calls, 3);
	sys.fail_nth = 1;		/* of all: then each is tried by itself */
	sys.fail_errno = EIO;
	UNIT_EQ(calls_for(&b, ios, DISK_WRITE, 4, 1), 5);
	b.cfg.max_iov = 256;
	reopen(&b, &b.cfg);
	UNIT_EQ(calls_for_pieces(&b, 128), 1);
	UNIT_EQ(calls_for_pieces(&b, 129), 2);
	bench_close(&b);
	UNIT_NEED(bench_buffered(&b, "."));
	sys.nowait_errno = EAGAIN;	/* of all, then of each but the first; and all by helpers */
	calls = calls_for(&b, ios, DISK_READ, 4, 1);
	UNIT_EQ(calls, sys.nr_nowait ? 1 + 3 + 4 : 1);
	bench_close(&b);
}

/* Guest pages begin on pages, their sectors anywhere in them. */
static void misaligned(struct bench *b)
{
	struct io x;

	fill(b->buffer, 4 * PAGE, 5);
	set_io(&x, DISK_WRITE, 3 * SECTOR, 6 * SECTOR);
	x.io.nr_iov = 2;
	x.iov[0] = (struct iovec){ b->buffer + 7 * SECTOR, SECTOR };
	x.iov[1] = (struct iovec){ b->buffer + PAGE + SECTOR, 5 * SECTOR };
	memcpy(b->model + 3 * SECTOR, b->buffer + 7 * SECTOR, SECTOR);
	memcpy(b->model + 4 * SECTOR, b->buffer + PAGE + SECTOR, 5 * SECTOR);
	UNIT_EQ(run_io(b->disk, &x), 0);
	/* no guest can do this; a caller with other memory can */
	set_io(&x, DISK_READ, 0, 3 * PAGE);
	x.io.nr_iov = 1;
	x.iov[0] = (struct iovec){ b->buffer + 8 * PAGE + 24, 3 * PAGE };
	UNIT_EQ(run_io(b->disk, &x), 0);
	UNIT_EQ(memcmp(b->buffer + 8 * PAGE + 24, b->model, 3 * PAGE), 0);
}

static void test_misaligned(void)
{
	each(misaligned);
}

/* The guest was promised a size; an image cut short is an error, not zeroes. */
static void cut_short(struct bench *b)
{
	UNIT_EQ(ftruncate(b->fd, BYTES / 2), 0);
	UNIT_EQ(move_pages(b, DISK_READ, BYTES / 2 - PAGE, 2 * PAGE, 1), DISK_SHORT);
	UNIT_EQ(move_pages(b, DISK_READ, BYTES - PAGE, PAGE, 1), DISK_SHORT);
	UNIT_EQ(move_pages(b, DISK_READ, BYTES / 2 - PAGE, PAGE, 1), 0);
	sys.nowait_errno = EAGAIN;	/* the same in a helper thread */
	UNIT_EQ(move_pages(b, DISK_READ, BYTES / 2 - PAGE, 2 * PAGE, 1), DISK_SHORT);
}

static void test_cut_short(void)
{
	each(cut_short);
}

/* ---- calls that stop short, refuse, fail ---------------------------------------------------------- */

static void stop_short(struct bench *b)
{
	sys.most_bytes = 700;
	fill(b->buffer, 8 * PAGE, 6);
	memcpy(b->model, b->buffer, 8 * PAGE);
	UNIT_EQ(move_pages(b, DISK_WRITE, 0, 8 * PAGE, 8), 0);
	memset(b->buffer, 0, 8 * PAGE);
	UNIT_EQ(move_pages(b, DISK_READ, 0, 8 * PAGE, 5), 0);
	UNIT_EQ(memcmp(b->buffer, b->model, 8 * PAGE), 0);
}

static void test_stop_short(void)
{
	each(stop_short);
}

/* Both where the first call moves nothing and where it has moved something. */
static void interrupted(struct bench *b)
{
	for (uint32_t nth = 1; nth < 4; nth++) {
		sys.most_bytes = 1024;
		sys.fail_nth = nth;
		sys.fail_errno = EINTR;
		UNIT_EQ(move_pages(b, DISK_READ, 0, 2 * PAGE, 1), 0);
		sys.fail_nth = nth;
		UNIT_EQ(move_pages(b, DISK_WRITE, 0, 2 * PAGE, 1), 0);
	}
}

static void test_interrupted(void)
{
	each(interrupted);
}

static void test_io_error(void)
{
	struct bench b;

	UNIT_NEED(bench_buffered(&b, "/dev/shm"));
	sys.most_bytes = 1024;
	for (uint32_t nth = 1; nth < 4; nth++) {
		sys.fail_nth = nth;
		sys.fail_errno = EIO;
		UNIT_EQ(move_pages(&b, DISK_READ, 0, 2 * PAGE, 1), -EIO);
		sys.fail_nth = nth;
		sys.fail_errno = ENOSPC;
		UNIT_EQ(move_pages(&b, DISK_WRITE, 0, 2 * PAGE, 1), -ENOSPC);
	}
	bench_close(&b);
}

/* The ring gives back what its nth operation moved in another way. */
static struct {
	uint32_t nth;			/* 0: never, or it has been */
	bool half;			/* it moved half of what it did */
	int res;			/* else it says this */
} ring_says;

unsigned __real_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned count);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned count);

unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned count)
{
	unsigned nr = __real_io_uring_peek_batch_cqe(ring, cqes, count);

	for (unsigned i = 0; i < nr && ring_says.nth; i++)
		if (--ring_says.nth == 0)
			cqes[i]->res = ring_says.half ? cqes[i]->res / 2 : ring_says.res;
	return nr;
}

/* A page is read and written; how many calls helpers make, and how many of them direct. */
static void expect_calls(struct bench *b, uint32_t nr, uint32_t nr_direct)
{
	static uint32_t seed = 30;

	for (int write = 0; write < 2; write++) {
		uint32_t nth = ring_says.nth, fail_nth = sys.fail_nth;

		fill(b->buffer, PAGE, seed++);
		if (write)
			memcpy(b->model, b->buffer, PAGE);
		sys.nr_calls = sys.nr_direct = 0;
		UNIT_EQ(move_pages(b, write ? DISK_WRITE : DISK_READ, 0, PAGE, 1), 0);
		UNIT_EQ(memcmp(b->buffer, b->model, PAGE), 0);
		UNIT_EQ(sys.nr_calls, nr);
		UNIT_EQ(sys.nr_direct, nr_direct);
		UNIT_EQ(ring_says.nth, 0);
		ring_says.nth = nth;
		sys.fail_nth = fail_nth;
	}
	ring_says.nth = sys.fail_nth = 0;
	UNIT_OK(whole_image_matches(b));
}

/*
 * What the ring did not do is done all the same; past the cache, if only its
 * alignment allows.
 */
static void ring_refuses(struct bench *b)
{
	static const int untried[] = { -EAGAIN, -ECANCELED, -ENOMEM };

	if (b->disk->ops != &disk_direct)
		return;
	for (uint32_t i = 0; i < UNIT_LEN(untried); i++) {
		ring_says.res = untried[i];
		ring_says.nth = 1;
		expect_calls(b, 1, 1);
		ring_says.nth = 1;
		sys.fail_nth = 1;
		sys.fail_errno = EINVAL;
		expect_calls(b, 2, 1);
	}
	ring_says.nth = 1;
	ring_says.res = -EINVAL;
	expect_calls(b, 1, 0);
	ring_says.nth = 1;
	ring_says.res = -EINTR;
	expect_calls(b, 0, 0);
	ring_says.nth = 1;
	ring_says.half = true;
	expect_calls(b, 0, 0);
	ring_says.half = false;
	ring_says.nth = 1;
	ring_says.res = -EIO;
	UNIT_EQ(move_pages(b, DISK_READ, 0, PAGE, 1), -EIO);
}

static void test_ring_refuses(void)
{
	each(ring_refuses);
}

static bool on_tmpfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == 0x01021994;
}

/*
 * Data that is not in the cache, and kernels or file systems without
 * RWF_NOWAIT: the helper threads do it. A refusal is asked for once.
 */
static void nowait_says(int err, uint32_t most_attempts)
{
	struct bench b;

	UNIT_NEED(bench_buffered(&b, "."));
	sys.nowait_errno = err;
	fill(b.buffer, BYTES, 8);
	memcpy(b.model, b.buffer, BYTES);
	for (uint32_t i = 0; i < 16; i++) {
		UNIT_EQ(move_pages(&b, DISK_WRITE, i * 16 * PAGE, 16 * PAGE - SECTOR, 3), 0);
		UNIT_EQ(move_pages(&b, DISK_WRITE, (i + 1) * 16 * PAGE - SECTOR, SECTOR, 1), 0);
		UNIT_EQ(move_pages(&b, DISK_READ, i * 16 * PAGE, 16 * PAGE, 3), 0);
	}
	UNIT_OK(whole_image_matches(&b));
	UNIT_OK(on_tmpfs(b.fd) || (sys.nr_nowait && sys.nr_nowait <= most_attempts));
	bench_close(&b);
}

static void test_nowait(void)
{
	nowait_says(EAGAIN, 1000);
	nowait_says(EOPNOTSUPP, 2);	/* one read, one write */
}

/* Nothing can block there, and some kernels refuse the flag. */
static void test_nowait_tmpfs(void)
{
	struct bench b;

	UNIT_NEED(bench_buffered(&b, "/dev/shm"));
	UNIT_NEED(on_tmpfs(b.fd));
	sys.nowait_errno = EOPNOTSUPP;
	UNIT_EQ(move_pages(&b, DISK_WRITE, 0, PAGE, 1), 0);
	UNIT_EQ(move_pages(&b, DISK_READ, 0, PAGE, 1), 0);
	UNIT_EQ(sys.nr_nowait, 0);
	bench_close(&b);
}

static void test_writethrough(void)
{
	struct disk *d = NULL;
	struct bench b;
	char why[100];
	struct io x;

	UNIT_NEED(bench_buffered(&b, "."));
	b.cfg.dsync = true;
	UNIT_EQ(disk_open(&disk_buffered, &b.cfg, &d, why, sizeof(why)), 0);
	set_io(&x, DISK_WRITE, 0, PAGE);
	set_pieces(&x, b.buffer, 1);
	UNIT_EQ(run_io(d, &x), 0);
	UNIT_EQ(sys.nr_dsync, 1);
	disk_close(d);
	bench_close(&b);
}

/* ---- engines refused ---------------------------------------------------------------------------------- */

static void test_no_o_direct(void)
{
	struct disk *d = NULL;
	struct bench b;
	char why[100] = "";

	UNIT_NEED(bench_buffered(&b, "."));
	sys.no_direct = true;
	UNIT_EQ(disk_open(&disk_direct, &b.cfg, &d, why, sizeof(why)), -EOPNOTSUPP);
	UNIT_OK(strstr(why, "O_DIRECT") != NULL);
	bench_close(&b);
}

static bool forbid(uint32_t call, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = UNIT_LEN(code), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/*
 * In a child, since the filter stays: refused with a word about it, and the
 * descriptor is as it was, so that the other engine works on it.
 */
static int without_io_uring(struct bench *b, int err)
{
	int flags = fcntl(b->fd, F_GETFL, 0);
	struct disk *d = NULL;
	char why[100] = "";

	if (!forbid(SYS_io_uring_setup, err))
		return UNIT_SKIP;
	if (disk_open(&disk_direct, &b->cfg, &d, why, sizeof(why)) != -EOPNOTSUPP)
		return 1;
	if (!strstr(why, "io_uring") || fcntl(b->fd, F_GETFL, 0) != flags)
		return 2;
	return move_pages(b, DISK_WRITE, SECTOR, SECTOR, 1) ? 3 : 0;
}

static int without_membarrier(struct bench *b, int err)
{
	uint64_t begun = now_ms();

	if (!forbid(SYS_membarrier, err))
		return UNIT_SKIP;
	disk_settle(b->disk);
	return now_ms() - begun >= 20 ? 0 : 1;
}

static void refused_with(int err, const struct disk_ops *ops,
			 int (*test)(struct bench *b, int err))
{
	struct bench b;
	int status;
	pid_t pid;

	memset(&sys, 0, sizeof(sys));
	UNIT_NEED(bench_open(&b, ".", ops));
	fflush(NULL);
	pid = b.disk ? fork() : -1;
	if (pid == 0)
		_exit(test(&b, err));
	if (pid > 0) {
		waitpid(pid, &status, 0);
		UNIT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	}
	bench_close(&b);
}

static void test_no_io_uring(void)
{
	refused_with(ENOSYS, &disk_buffered, without_io_uring);	/* XCP-ng's 4.19 */
	refused_with(EPERM, &disk_buffered, without_io_uring);	/* containers */
}

/* Where the kernel cannot say when it has let go of the pages, some time passes. */
static void test_no_membarrier(void)
{
	refused_with(EINVAL, &disk_direct, without_membarrier);	/* CPUs without a tick */
}

/* ---- the disk in memory -------------------------------------------------------------------------------- */

static void test_memory(void)
{
	struct disk_config cfg = { .fd = -1, .depth = 8, .max_iov = 8 };
	struct disk_memory_faults f = { .op = DISK_WRITE, .every = 2, .err = -EIO,
					.from_bytes = PAGE, .to_bytes = 2 * PAGE };
	struct bench b = { .fd = -1 };

	UNIT_EQ(disk_memory_open(BYTES, &cfg, &b.disk), 0);
	b.buffer = calloc(1, BYTES);
	b.model = calloc(1, BYTES);
	fill(b.buffer, PAGE, 1);
	memcpy(b.model, b.buffer, PAGE);
	UNIT_EQ(move_pages(&b, DISK_WRITE, 0, PAGE, 3), 0);
	disk_memory_set_faults(b.disk, &f);
	UNIT_EQ(move_pages(&b, DISK_WRITE, 0, PAGE, 1), 0);
	UNIT_EQ(move_pages(&b, DISK_WRITE, PAGE, PAGE, 1), 0);
	UNIT_EQ(move_pages(&b, DISK_READ, PAGE, PAGE, 1), 0);
	UNIT_EQ(move_pages(&b, DISK_WRITE, PAGE, PAGE, 1), -EIO);
	UNIT_EQ(move_pages(&b, DISK_WRITE, PAGE, PAGE, 1), 0);
	f.delay_us = 1000;
	disk_memory_set_faults(b.disk, &f);
	UNIT_OK(whole_image_matches(&b));
	UNIT_EQ(move_pages(&b, DISK_READ, BYTES, PAGE, 1), -EIO);
	disk_close(b.disk);
	free(b.buffer);
	free(b.model);
}

/* ---- staging ------------------------------------------------------------------------------- */

/* Requests that fit the stage lie in it, apart; what finds no room is NULL. */
static void test_stage(void)
{
	struct disk_stage s = { .memory = NULL };
	void *at[DISK_STAGE_PAGES];

	disk_stage_close(&s);
	UNIT_EQ(disk_stage_open(&s), 0);
	UNIT_OK(!disk_stage_get(&s, (DISK_STAGE_PAGES + 1) * PAGE));
	UNIT_OK(!disk_stage_get(&s, 0));
	for (uint32_t i = 0; i < DISK_STAGE_PAGES; i++) {
		at[i] = disk_stage_get(&s, i % 2 ? PAGE : SECTOR);
		UNIT_NEED(at[i]);
		memset(at[i], (int)i, PAGE);
	}
	for (uint32_t i = 0; i < DISK_STAGE_PAGES; i++)
		UNIT_EQ(*(uint8_t *)at[i], i & 0xff);
	UNIT_OK(!disk_stage_get(&s, SECTOR));
	for (uint32_t i = 0; i < DISK_STAGE_PAGES; i += 2)
		disk_stage_put(&s, at[i], SECTOR);
	UNIT_OK(!disk_stage_get(&s, PAGE + 1));
	disk_stage_put(&s, at[7], PAGE);
	UNIT_OK(disk_stage_get(&s, 3 * PAGE) == at[6]);
	disk_stage_close(&s);
}

/* Only pages of another domain go through the stage, and only as many as it holds. */
static void test_staged(void)
{
	const uint32_t nr = DISK_STAGE_PAGES / 32 + 1, bytes = 32 * PAGE;
	struct bench b;
	struct io x[DISK_STAGE_PAGES / 32 + 1];

	memset(&sys, 0, sizeof(sys));
	disk_bench_foreign = true;
	UNIT_NEED(bench_open(&b, ".", &disk_direct));
	for (uint32_t i = 0; b.disk && i < 2 * nr; i++)
		UNIT_EQ(move_pages(&b, DISK_READ, 0, bytes, 1), 0);	/* and frees it */
	for (uint32_t i = 0; b.disk && i < nr; i++) {
		set_io(&x[i], DISK_READ, 0, bytes);
		x[i].iov[0] = (struct iovec){ .iov_base = b.buffer, .iov_len = bytes };
		x[i].io.iov = x[i].iov;
		x[i].io.nr_iov = 1;
		x[i].io.foreign = i != 1;
		disk_submit(b.disk, &x[i].io);
		UNIT_EQ(!x[i].io.staged, i == 1);
	}
	for (uint32_t i = 0; b.disk && i < nr; i++) {
		while (!x[i].done)
			disk_reap(b.disk);
		UNIT_EQ(x[i].err, 0);
	}
	bench_close(&b);
	disk_bench_foreign = false;
}

/* ---- nothing at all ------------------------------------------------------------------------- */

static void test_null(void)
{
	static const enum disk_op ops[] = { DISK_WRITE, DISK_READ, DISK_FLUSH, DISK_DISCARD };
	struct bench b;
	struct io x[UNIT_LEN(ops)];
	char byte = 1;

	memset(&sys, 0, sizeof(sys));
	UNIT_NEED(bench_open(&b, ".", &disk_null) && b.disk);
	fill(b.buffer, BYTES, 9);
	memcpy(b.model, b.buffer, BYTES);
	for (uint32_t i = 0; i < UNIT_LEN(ops); i++) {
		set_io(&x[i], ops[i], 0, PAGE);
		x[i].iov[0] = (struct iovec){ .iov_base = b.buffer, .iov_len = PAGE };
		x[i].io.iov = x[i].iov;
		x[i].io.nr_iov = i < 2;
		x[i].io.next = i + 1 < UNIT_LEN(ops) ? &x[i + 1].io : NULL;
	}
	disk_submit(b.disk, &x[0].io);
	for (uint32_t i = 0; i < UNIT_LEN(ops); i++) {
		UNIT_EQ(x[i].done, 1);
		UNIT_EQ(x[i].err, 0);
	}
	UNIT_EQ(disk_fd(b.disk), -1);
	UNIT_EQ(sys.nr_calls, 0);
	UNIT_EQ(memcmp(b.model, b.buffer, BYTES), 0);
	UNIT_EQ(pread(b.fd, &byte, 1, 0), 1);
	UNIT_EQ(byte, 0);
	bench_close(&b);
}

static const struct unit_test tests[] = {
	{ "reads and writes", test_data },
	{ "discard", test_discard },
	{ "secure discard of a file", test_overwritten },
	{ "discards of a device", test_device_discards },
	{ "more pieces than a call takes", test_many_pieces },
	{ "64 at once", test_many },
	{ "large reads together", test_large },
	{ "neighbours", test_neighbours },
	{ "neighbours share a call", test_neighbours_joined },
	{ "memory and sectors not aligned to pages", test_misaligned },
	{ "an image cut short", test_cut_short },
	{ "calls that stop short", test_stop_short },
	{ "calls interrupted", test_interrupted },
	{ "calls that fail", test_io_error },
	{ "what the ring did not do", test_ring_refuses },
	{ "RWF_NOWAIT would block, or is refused", test_nowait },
	{ "RWF_NOWAIT on tmpfs", test_nowait_tmpfs },
	{ "writethrough", test_writethrough },
	{ "O_DIRECT refused", test_no_o_direct },
	{ "io_uring refused", test_no_io_uring },
	{ "membarrier refused", test_no_membarrier },
	{ "a disk in memory", test_memory },
	{ "the stage", test_stage },
	{ "pages that are staged", test_staged },
	{ "a disk that moves nothing", test_null },
};

int main(void)
{
	return unit_run("disk", tests, UNIT_LEN(tests));
}
