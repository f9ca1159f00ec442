/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine for images in the page cache: data that is there is moved at once
 * by the disk's own thread, what would block goes to helper threads.
 *
 * Hides: when a call would block, and how kernels and file systems differ in
 * saying so. Must not know: who submits, how helper threads work.
 *
 * Why no io_uring here: a buffered write through it always goes to a kernel
 * thread, and a cached read costs more than the plain call.
 */
#include <assert.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "disk-pool.h"
#include "util.h"

#define CACHE_PAGE_BYTES 4096u

/*
 * A large read from the cache is one long copy, and one thread copies no faster
 * than its CPU: of several that come together a helper is offered half, if it
 * has nothing left to do, and the disk's thread does what it has not begun. From this size on that outweighs waking it. (Writes are
 * not shared: the file's lock lets one in at a time.)
 */
#define SHARE_BYTES (64u * 1024)

/*
 * Neighbours in a chain, as a guest that reads or writes in order sends them,
 * share one call: up to so many, since none is answered before all have been
 * moved, and the guest could go on meanwhile; most of a call's cost is saved by then.
 */
#define JOIN_NR 8u
#define JOIN_BYTES (1u << 20)
#define JOIN_IOV 256u

struct buffered {
	struct disk disk;
	struct disk_config cfg;
	struct disk_pool *pool;
	bool in_memory;			/* tmpfs: nothing ever waits for a device */
	bool nowait_reads, nowait_writes;	/* not yet refused */
	bool may_share;			/* there is a CPU for a helper */
	struct iovec joined[JOIN_IOV];
};

/* syscalls start: fstatfs */
/* Where there is no device behind the cache a plain call is the inline call. */
static bool file_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
		(fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static void buffered_close(struct disk *d)
{
	struct buffered *b = (struct buffered *)d;

	disk_pool_close(b->pool);
	free(b);
}

/* syscalls start: sched_getaffinity openat */
static int buffered_open(const struct disk_config *cfg, struct disk **out,
			 char *why, size_t why_bytes)
{
	struct buffered *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->cfg = *cfg;
	b->in_memory = file_in_memory(cfg->fd);
	b->nowait_reads = b->nowait_writes = true;
	b->may_share = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	err = disk_pool_open(&b->disk, cfg, &b->pool);
	if (err) {
		snprintf(why, why_bytes, "no eventfd for the helper threads");
		free(b);
		return err;
	}
	*out = &b->disk;
	return 0;
}

/* syscalls disk: pread64 preadv2 */
/*
 * One piece without flags is the plain call's: the kernel then has no vector to
 * fetch and check, a tenth of what a small request costs it.
 */
static ssize_t read_now(int fd, const struct disk_io *io, int flags)
{
	if (io->nr_iov == 1 && !flags)
		return pread(fd, io->iov->iov_base, io->iov->iov_len, (off_t)io->offset_bytes);
	return preadv2(fd, io->iov, (int)disk_iov_now(io), (off_t)io->offset_bytes, flags);
}

/* syscalls disk: pwrite64 pwritev2 */
static ssize_t write_now(int fd, const struct disk_io *io, int flags)
{
	if (io->nr_iov == 1 && !flags)
		return pwrite(fd, io->iov->iov_base, io->iov->iov_len, (off_t)io->offset_bytes);
	return pwritev2(fd, io->iov, (int)disk_iov_now(io), (off_t)io->offset_bytes, flags);
}

/*
 * One inline attempt. Returns bytes moved, -EAGAIN for what must go to a
 * helper, or the I/O's own error.
 */
static ssize_t try_read(struct buffered *b, struct disk_io *io)
{
	int flags = b->in_memory ? 0 : RWF_NOWAIT;
	ssize_t n;

	if (flags && !b->nowait_reads)
		return -EAGAIN;
	n = read_now(b->cfg.fd, io, flags);
	if (n >= 0)
		return n ? n : DISK_SHORT;
	if (flags && errno == EOPNOTSUPP) {
		b->nowait_reads = false;
		return -EAGAIN;
	}
	return -errno;
}

/*
 * A write of whole pages needs nothing read first, so it is a copy into the
 * cache: inline even where RWF_NOWAIT is refused (ext4). It can still wait when
 * too much is dirty; that is the kernel's brake, and slows only this disk.
 */
static bool whole_pages(const struct disk_io *io)
{
	return (io->offset_bytes | io->bytes) % CACHE_PAGE_BYTES == 0;
}

static ssize_t try_write(struct buffered *b, struct disk_io *io)
{
	int flags = b->in_memory || !b->nowait_writes ? 0 : RWF_NOWAIT;
	ssize_t n;

	if (b->cfg.dsync)
		return -EAGAIN;
	if (!flags && !b->in_memory && !whole_pages(io))
		return -EAGAIN;
	n = write_now(b->cfg.fd, io, flags);
	if (n >= 0)
		return n ? n : -EIO;
	if (flags && errno == EOPNOTSUPP) {
		b->nowait_writes = false;
		return try_write(b, io);
	}
	return -errno;
}

static void run(struct buffered *b, struct disk_io *io)
{
	ssize_t n;

	if (io->op != DISK_READ && io->op != DISK_WRITE) {
		disk_pool_submit(b->pool, io);
		return;
	}
	do {
		n = io->op == DISK_READ ? try_read(b, io) : try_write(b, io);
		if (n > 0)
			disk_advance(io, (uint64_t)n);
	} while ((n > 0 && io->bytes) || n == -EINTR);
	if (n == -EAGAIN)
		disk_pool_submit(b->pool, io);
	else
		disk_done(&b->disk, io, n < 0 ? (int)n : 0);
}

static bool joins(const struct disk_io *all, const struct disk_io *io)
{
	return io && io->op == all->op && io->offset_bytes == all->offset_bytes + all->bytes &&
		all->bytes + io->bytes <= JOIN_BYTES && all->nr_iov + io->nr_iov <= JOIN_IOV;
}

/*
 * What begins with first and can be one call, as one operation: all. Returns what
 * follows it in the chain: first->next where nothing joins first.
 */
static struct disk_io *join(struct buffered *b, const struct disk_io *first, struct disk_io *all)
{
	struct disk_io *io = first->next;
	uint32_t nr = 1;

	if ((first->op != DISK_READ && first->op != DISK_WRITE) || !joins(first, io))
		return io;
	*all = *first;
	memcpy(b->joined, first->iov, first->nr_iov * sizeof(b->joined[0]));
	all->iov = b->joined;
	do {
		memcpy(b->joined + all->nr_iov, io->iov, io->nr_iov * sizeof(b->joined[0]));
		all->nr_iov += io->nr_iov;
		all->bytes += io->bytes;
		io = io->next;
	} while (++nr < JOIN_NR && joins(all, io));
	return io;
}

/*
 * One attempt for all from first to end. What it leaves is done one by one, and
 * so each has its own error and its own turn to wait for a device; but where a read
 * has met nothing in the cache, the first one's turn is over.
 */
static void run_joined(struct buffered *b, struct disk_io *first, const struct disk_io *end,
		       struct disk_io *all)
{
	ssize_t n = all->op == DISK_READ ? try_read(b, all) : try_write(b, all);
	uint64_t left = n > 0 ? (uint64_t)n : 0;
	struct disk_io *io, *next = first;

	if (n == -EAGAIN && all->op == DISK_READ) {
		next = first->next;
		disk_pool_submit(b->pool, first);
	}
	for (io = next; io != end; io = next) {
		uint64_t moved = MIN(left, io->bytes);

		next = io->next;
		left -= moved;
		disk_advance(io, moved);
		if (io->bytes)
			run(b, io);
		else
			disk_done(&b->disk, io, 0);
	}
}

static bool is_large_read(const struct disk_io *io)
{
	return io->op == DISK_READ && io->bytes >= SHARE_BYTES;
}

/* How many of the chain's large reads a helper shall take: the first ones. */
static uint32_t helpers_share(const struct buffered *b, const struct disk_io *chain)
{
	uint32_t nr = 0;

	if (!b->may_share || disk_pool_busy(b->pool))
		return 0;
	for (; chain; chain = chain->next)
		nr += is_large_read(chain);
	return nr / 2;
}

static void buffered_submit(struct disk *d, struct disk_io *chain)
{
	struct buffered *b = (struct buffered *)d;
	uint32_t share = helpers_share(b, chain);
	struct disk_io *next, all;

	for (; chain; chain = next) {
		next = chain->next;	/* done may use the operation again */
		if (share && is_large_read(chain)) {
			share--;
			disk_pool_share(b->pool, chain);
			continue;
		}
		next = join(b, chain, &all);
		if (next == chain->next)
			run(b, chain);
		else
			run_joined(b, chain, next, &all);
	}
	while ((chain = disk_pool_take_back(b->pool)))
		run(b, chain);
}

static void buffered_reap(struct disk *d)
{
	disk_pool_reap(((struct buffered *)d)->pool);
}

static int buffered_fd(struct disk *d)
{
	return disk_pool_fd(((struct buffered *)d)->pool);
}

const struct disk_ops disk_buffered = {
	.name = "buffered",
	.open = buffered_open,
	.close = buffered_close,
	.submit = buffered_submit,
	.reap = buffered_reap,
	.fd = buffered_fd,
};
