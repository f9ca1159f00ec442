/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine that goes past the page cache: O_DIRECT reads and writes through
 * an io_uring, straight between the device and the guest's pages.
 *
 * Hides: the ring, its restrictions, alignment, which kernels have what. Must
 * not know: who submits. Flush, discard and the rare transfer that O_DIRECT
 * refuses for its alignment go to helper threads, the last through a second
 * descriptor without O_DIRECT. What the ring gives back untried goes there too, but
 * past the cache: a page of it, brought there for one write, would put back the old
 * sectors that another write beside it replaces on the device meanwhile.
 *
 * In a PV domain, pages that are mapped grants cost the kernel thousands of
 * instructions each, every time they are handed to it: they are found by no short
 * cut, one lock and one walk of the page tables a piece. Copying them to memory
 * that the ring was given once (IORING_REGISTER_BUFFERS) costs a few hundred. So
 * there, and only there, data is staged; what does not fit the stage goes as it is.
 *
 * A ring's operations are not seen by seccomp. So it is created disabled, told
 * that it may do six operations on the one file registered with it, and
 * nothing else ever, and only then enabled.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <unistd.h>
#include "disk-pool.h"
#include "disk-stage.h"
#include "util.h"

struct direct {
	struct disk disk;
	struct io_uring ring;
	bool ring_open;
	struct disk_config cfg;
	int old_flags;
	int side_fd;			/* without O_DIRECT; -1: none to be had */
	int epoll_fd;			/* the ring and the pool */
	struct disk_pool *pool;
	struct disk_stage stage;	/* no memory: everything goes as it is */
	uint64_t memory_mask, offset_mask;	/* bits that must be 0 */
};

/* ---- opening ---------------------------------------------------------------- */

/* syscalls start: statx ioctl */
/* What O_DIRECT wants; where the kernel does not say, a sector is tried. */
static void learn_alignment(struct direct *d, const struct disk_config *cfg)
{
	uint32_t memory = 512, offset = 512;
	int device_sector;
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(cfg->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align) {
		memory = stx.stx_dio_mem_align;
		offset = stx.stx_dio_offset_align;
	} else
#endif
	if (cfg->is_device && ioctl(cfg->fd, BLKSSZGET, &device_sector) == 0)
		memory = offset = (uint32_t)device_sector;
	d->memory_mask = memory - 1;
	d->offset_mask = offset - 1;
}

/* syscalls start: fcntl */
static int set_o_direct(struct direct *d, char *why, size_t why_bytes)
{
	int err;

	d->old_flags = fcntl(d->cfg.fd, F_GETFL);
	if (d->old_flags >= 0 && fcntl(d->cfg.fd, F_SETFL, d->old_flags | O_DIRECT) == 0)
		return 0;
	err = errno;
	snprintf(why, why_bytes, "the image's file system refuses O_DIRECT (%s)",
		 strerror(err));
	return err == EINVAL ? -EOPNOTSUPP : -err;
}

/* syscalls start: openat */
static int reopen_without_direct(const struct direct *d)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->cfg.fd);
	return open(path, (d->old_flags & O_ACCMODE) | O_CLOEXEC);
}

/* syscalls start: io_uring_setup */
static int setup_ring(struct direct *d, uint32_t entries)
{
	/* The second line: before Linux 5.19. Disabled rings: 5.10. */
	static const unsigned flags[] = {
		IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_R_DISABLED,
	};
	int err = -EINVAL;

	for (size_t i = 0; i < ARRAY_LEN(flags) && err == -EINVAL; i++)
		err = io_uring_queue_init(entries, &d->ring, flags[i]);
	d->ring_open = !err;
	return err;
}

/* syscalls start: io_uring_register */
/* Not liburing's own: 2.3 declares some of these and does not export them. */
static int ring_register(struct direct *d, unsigned opcode, const void *arg, unsigned nr)
{
	long ret = syscall(SYS_io_uring_register, d->ring.ring_fd, opcode, arg, nr);

	return ret < 0 ? -errno : 0;
}

static int restrict_ring(struct direct *d)
{
	static const uint8_t ops[] = { IORING_OP_READ, IORING_OP_READV,
				       IORING_OP_WRITE, IORING_OP_WRITEV,
				       IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED };
	struct io_uring_restriction r[ARRAY_LEN(ops) + 1];

	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		r[i].opcode = IORING_RESTRICTION_SQE_OP;
		r[i].sqe_op = ops[i];
	}
	r[ARRAY_LEN(ops)].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	r[ARRAY_LEN(ops)].sqe_flags = IOSQE_FIXED_FILE;
	return ring_register(d, IORING_REGISTER_RESTRICTIONS, r, ARRAY_LEN(r));
}

/* Without it, for want of lockable memory, the disk is slower and no worse. */
static void open_stage(struct direct *d)
{
	struct iovec all;

	if (disk_stage_open(&d->stage))
		return;
	all.iov_base = d->stage.memory;
	all.iov_len = (size_t)DISK_STAGE_PAGES * DISK_STAGE_PAGE_BYTES;
	if (ring_register(d, IORING_REGISTER_BUFFERS, &all, 1))
		disk_stage_close(&d->stage);
}

static int open_ring(struct direct *d, bool staged, uint32_t entries, char *why, size_t why_bytes)
{
	int err = setup_ring(d, entries);

	if (!err)
		err = ring_register(d, IORING_REGISTER_FILES, &d->cfg.fd, 1);
	if (!err && staged)
		open_stage(d);
	if (!err)
		err = restrict_ring(d);
	if (!err)
		err = ring_register(d, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (!err)
		return 0;
	snprintf(why, why_bytes, "this kernel refuses io_uring (%s)", strerror(-err));
	return -EOPNOTSUPP;
}

/* syscalls start: epoll_create1 epoll_ctl */
static int open_epoll(struct direct *d)
{
	int fds[] = { d->ring.ring_fd, disk_pool_fd(d->pool) };
	struct epoll_event ev = { .events = EPOLLIN };

	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll_fd < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fds[i], &ev) < 0)
			return -errno;
	return 0;
}

static int open_pool(struct direct *d, const struct disk_config *cfg)
{
	struct disk_config side = *cfg;

	d->side_fd = reopen_without_direct(d);
	if (d->side_fd >= 0)
		side.fd = d->side_fd;
	side.past_cache = &d->cfg;
	side.dsync = true;	/* what goes past the cache elsewhere must not stay in it */
	return disk_pool_open(&d->disk, &side, &d->pool);
}

/* syscalls disk: munmap close */
static void direct_close(struct disk *disk)
{
	struct direct *d = (struct direct *)disk;

	disk_pool_close(d->pool);
	close_fd(&d->epoll_fd);
	if (d->ring_open)
		io_uring_queue_exit(&d->ring);
	disk_stage_close(&d->stage);
	close_fd(&d->side_fd);
	free(d);
}

static int direct_open(const struct disk_config *cfg, struct disk **out,
		       char *why, size_t why_bytes)
{
	struct direct *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->cfg = *cfg;
	d->side_fd = d->epoll_fd = -1;
	err = set_o_direct(d, why, why_bytes);
	if (err) {
		direct_close(&d->disk);
		return err;
	}
	learn_alignment(d, cfg);
	err = open_ring(d, cfg->slow_foreign, cfg->depth, why, why_bytes);
	if (!err)
		err = open_pool(d, cfg);
	if (!err)
		err = open_epoll(d);
	if (err) {
		/* For another engine, also where another disk has set it. */
		fcntl(d->cfg.fd, F_SETFL, d->old_flags & ~O_DIRECT);
		direct_close(&d->disk);
		return err;
	}
	*out = &d->disk;
	return 0;
}

/* ---- moving data -------------------------------------------------------------- */

static bool aligned(const struct direct *d, const struct disk_io *io)
{
	uint64_t memory = 0;

	if ((io->offset_bytes | io->bytes) & d->offset_mask)
		return false;
	for (uint32_t i = 0; i < io->nr_iov; i++)
		memory |= (uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len;
	return !(memory & d->memory_mask);
}

static void stage(struct direct *d, struct disk_io *io)
{
	if (!io->foreign || !d->stage.memory)
		return;
	io->staged = disk_stage_get(&d->stage, io->bytes);
	io->staged_bytes = io->bytes;
	if (io->staged && io->op == DISK_WRITE)
		disk_stage_gather(io->staged, io->iov, io->bytes);
}

/* res: what the kernel said of the operation. */
static void unstage(struct direct *d, struct disk_io *io, int res)
{
	if (!io->staged)
		return;
	if (io->op == DISK_READ && res > 0)
		disk_stage_scatter(io->iov, io->staged, (uint64_t)res);
	disk_stage_put(&d->stage, io->staged, io->staged_bytes);
	io->staged = NULL;
}

static void prepare_staged(struct io_uring_sqe *sqe, const struct disk_io *io)
{
	if (io->op == DISK_READ)
		io_uring_prep_read_fixed(sqe, 0, io->staged, (unsigned)io->bytes,
					 io->offset_bytes, 0);
	else
		io_uring_prep_write_fixed(sqe, 0, io->staged, (unsigned)io->bytes,
					  io->offset_bytes, 0);
}

static void prepare(struct direct *d, struct disk_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);

	assert(sqe);	/* as many entries as operations, disk.c counts them */
	stage(d, io);
	if (io->staged)
		prepare_staged(sqe, io);
	else if (io->op == DISK_READ)
		io_uring_prep_readv(sqe, 0, io->iov, disk_iov_now(io), io->offset_bytes);
	else
		io_uring_prep_writev(sqe, 0, io->iov, disk_iov_now(io), io->offset_bytes);
	if (io->op == DISK_WRITE && d->cfg.dsync)
		sqe->rw_flags = RWF_DSYNC;
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, io);
}

/* syscalls disk: io_uring_enter clock_nanosleep */
static void submit_ring(struct direct *d)
{
	int ret;

	/* EAGAIN: the kernel is short of memory. Waiting is all there is to do. */
	while ((ret = io_uring_submit(&d->ring)) == -EINTR || ret == -EAGAIN)
		if (ret == -EAGAIN)
			usleep(1000);
	assert(ret >= 0);
}

static void direct_submit(struct disk *disk, struct disk_io *chain)
{
	struct direct *d = (struct direct *)disk;
	struct disk_io *next;

	for (; chain; chain = next) {
		next = chain->next;
		if ((chain->op == DISK_READ || chain->op == DISK_WRITE) && aligned(d, chain))
			prepare(d, chain);
		else
			disk_pool_submit(d->pool, chain);
	}
	if (io_uring_sq_ready(&d->ring))
		submit_ring(d);
}

/*
 * There was no memory for it, or no kernel thread (-ECANCELED: a limit on threads is
 * enough), or it would have had to wait: a call that blocks has the last word.
 */
static bool is_untried(int res)
{
	return res == -EAGAIN || res == -ECANCELED || res == -ENOMEM;
}

static void complete(struct direct *d, struct disk_io *io, int res)
{
	unstage(d, io, res);
	if (res > 0) {
		disk_advance(io, (uint64_t)res);
		if (!io->bytes)
			disk_done(&d->disk, io, 0);
		else if (aligned(d, io))
			prepare(d, io);
		else
			disk_pool_submit(d->pool, io);
	} else if (res == -EINTR) {
		prepare(d, io);
	} else if (is_untried(res)) {
		io->past_cache = true;
		disk_pool_submit(d->pool, io);
	} else if (res == -EINVAL && d->side_fd >= 0) {
		disk_pool_submit(d->pool, io);	/* an alignment we were not told of */
	} else {
		disk_done(&d->disk, io, res ? res : DISK_SHORT);
	}
}

/* syscalls disk: io_uring_enter */
static void direct_reap(struct disk *disk)
{
	struct direct *d = (struct direct *)disk;
	struct io_uring_cqe *cqes[32];
	unsigned nr;

	do {
		nr = io_uring_peek_batch_cqe(&d->ring, cqes, ARRAY_LEN(cqes));
		for (unsigned i = 0; i < nr; i++) {
			struct disk_io *io = io_uring_cqe_get_data(cqes[i]);
			int res = cqes[i]->res;

			io_uring_cq_advance(&d->ring, 1);
			complete(d, io, res);
		}
	} while (nr == ARRAY_LEN(cqes));
	if (io_uring_sq_ready(&d->ring))
		submit_ring(d);
	disk_pool_reap(d->pool);
}

static int direct_fd(struct disk *disk)
{
	return ((struct direct *)disk)->epoll_fd;
}

const struct disk_ops disk_direct = {
	.name = "direct",
	.late_release = true,
	.open = direct_open,
	.close = direct_close,
	.submit = direct_submit,
	.reap = direct_reap,
	.fd = direct_fd,
};
