/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all engines share: the wrapper that holds caller and engine to the
 * contract of disk.h, and the blocking way to do any operation. Must not know
 * an engine.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/membarrier.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "disk.h"
#include "util.h"

int disk_open(const struct disk_ops *ops, const struct disk_config *cfg,
	      struct disk **out, char *why, size_t why_bytes)
{
	int err;

	assert(cfg->depth && cfg->max_iov && why_bytes);
	why[0] = '\0';
	*out = NULL;
	err = ops->open(cfg, out, why, why_bytes);
	if (err)
		return err;
	(*out)->ops = ops;
	(*out)->in_flight = 0;
	(*out)->depth = cfg->depth;
	(*out)->max_iov = cfg->max_iov;
	/* A server is asked for zeros without holes. */
	(*out)->overwrites = cfg->secure_overwrite || ops->link;
	return 0;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	assert(d->in_flight == 0);
	d->ops->close(d);
}

static void check_io(const struct disk *d, const struct disk_io *io)
{
	assert(io->done && !io->in_engine);
	if (io->op == DISK_READ || io->op == DISK_WRITE)
		assert(io->nr_iov && io->nr_iov <= d->max_iov && io->bytes);
	else
		assert(io->nr_iov == 0);
}

void disk_submit(struct disk *d, struct disk_io *chain)
{
	for (struct disk_io *io = chain; io; io = io->next) {
		check_io(d, io);
		io->staged = NULL;
		io->past_cache = false;
		io->in_engine = true;
		d->in_flight++;
	}
	assert(d->in_flight <= d->depth);
	if (chain)
		d->ops->submit(d, chain);
}

void disk_reap(struct disk *d)
{
	if (d->in_flight)
		d->ops->reap(d);
}

int disk_fd(struct disk *d)
{
	return d->ops->fd(d);
}

bool disk_is_remote(const struct disk *d)
{
	return d->ops->link;
}

void disk_link(struct disk *d, int sock)
{
	assert(d->ops->link);
	d->ops->link(d, sock);
}

bool disk_owes(const struct disk *d)
{
	return d->ops->owes && d->ops->owes(d);
}

void disk_note_owed(struct disk *d)
{
	if (d->ops->note_owed)
		d->ops->note_owed(d);
}

void disk_attend(struct disk *d)
{
	if (d->ops->link)
		d->ops->reap(d);
}

bool disk_overwrites(const struct disk *d)
{
	return d->overwrites;
}

bool disk_releases_late(const struct disk *d)
{
	return d->ops->late_release;
}

/* Much longer than the end of an operation takes. */
#define SETTLE_MS 50

/* syscalls disk: membarrier clock_nanosleep */
/*
 * Completions run where the scheduler does not interfere: in interrupts, or in
 * the kernel's threads without a break. Once every CPU has scheduled, those that
 * told us of an end have also dropped what they held. A kernel with CPUs that have no
 * tick (nohz_full) cannot tell when that is.
 */
void disk_settle(const struct disk *d)
{
	if (d->ops->late_release && syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(SETTLE_MS * 1000);
}

void disk_done(struct disk *d, struct disk_io *io, int err)
{
	assert(io->in_engine && d->in_flight && err <= 0);
	io->in_engine = false;
	io->next = NULL;
	d->in_flight--;
	io->done(io, err);
}

void disk_advance(struct disk_io *io, uint64_t moved_bytes)
{
	assert(moved_bytes <= io->bytes);
	io->offset_bytes += moved_bytes;
	io->bytes -= moved_bytes;
	if (!io->bytes)
		return;		/* nothing is left that iov could tell of */
	while (moved_bytes && moved_bytes >= io->iov->iov_len) {
		moved_bytes -= io->iov->iov_len;
		io->iov++;
		io->nr_iov--;
	}
	if (moved_bytes) {
		io->iov->iov_base = (char *)io->iov->iov_base + moved_bytes;
		io->iov->iov_len -= moved_bytes;
	}
}

/* ---- blocking -------------------------------------------------------------- */

/* syscalls disk: preadv2 pwritev2 */
static int move_all(const struct disk_config *cfg, struct disk_io *io)
{
	while (io->bytes) {
		ssize_t n = io->op == DISK_READ ?
			preadv2(cfg->fd, io->iov, (int)disk_iov_now(io),
				(off_t)io->offset_bytes, 0) :
			pwritev2(cfg->fd, io->iov, (int)disk_iov_now(io),
				 (off_t)io->offset_bytes, cfg->dsync ? RWF_DSYNC : 0);

		if (n == 0)
			return DISK_SHORT;
		if (n > 0)
			disk_advance(io, (uint64_t)n);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* syscalls disk: fdatasync */
static int sync_data(int fd)
{
	int ret;

	do
		ret = fdatasync(fd);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static void note_lost(struct disk_flushes *f, int err)
{
	if (!*f->lost && err && err != -EOPNOTSUPP && err != -EINVAL)
		*f->lost = (uint32_t)-err;
}

/* The word comes from a file that a predecessor left, perhaps damaged. */
static int known_lost(const struct disk_flushes *f)
{
	return *f->lost > 4095 ? -EIO : -(int)*f->lost;
}

int disk_flushes_lost(struct disk_flushes *f)
{
	int err = 0;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	if (*f->lost)
		err = known_lost(f);
	pthread_mutex_unlock(&f->lock);
	return err;
}

void disk_flushes_note(struct disk_flushes *f, int err)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	note_lost(f, err);
	pthread_mutex_unlock(&f->lock);
}

bool disk_flushes_doubt(struct disk_flushes *f, bool on)
{
	bool changed = false;

	if (!f)
		return false;
	pthread_mutex_lock(&f->lock);
	if (!on || !*f->lost) {
		*f->lost = on ? EIO : 0;
		changed = on;
	}
	pthread_mutex_unlock(&f->lock);
	return changed;
}

static int flush(const struct disk_config *cfg)
{
	struct disk_flushes *f = cfg->flushes;
	int err;

	if (!f)
		return sync_data(cfg->fd);
	pthread_mutex_lock(&f->lock);
	err = *f->lost ? known_lost(f) : sync_data(cfg->fd);
	if (!err && f->elder >= 0) {
		err = sync_data(f->elder);
		close_fd(&f->elder);
	}
	note_lost(f, err);
	pthread_mutex_unlock(&f->lock);
	return err;
}

/*
 * Of two durable writes at a time through the cache, either may be told what the
 * device said of the other.
 */
static int move_durably(const struct disk_config *cfg, struct disk_io *io)
{
	int err = move_all(cfg, io);

	if (err == -EIO && io->op == DISK_WRITE && cfg->dsync)
		disk_flushes_note(cfg->flushes, err);
	return err;
}

/* Where O_DIRECT refuses what is left for its alignment, the cache is used. */
static int move(const struct disk_config *cfg, struct disk_io *io)
{
	int err = io->past_cache ? move_all(cfg->past_cache, io) : -EINVAL;

	return err == -EINVAL ? move_durably(cfg, io) : err;
}

/* ---- discard --------------------------------------------------------------- */

#define ZERO_PAGES 256u

static const uint8_t zeros[4096] __attribute__((aligned(4096)));

/* syscalls disk: lseek */
/* A hole has nothing to overwrite, and filling it could fill the file system. */
static int64_t next_data(int fd, uint64_t from)
{
	off_t at = lseek(fd, (off_t)from, SEEK_DATA);

	if (at >= 0)
		return at;
	return errno == ENXIO ? INT64_MAX : (int64_t)from;	/* no data; or it cannot tell */
}

/* syscalls disk: pwritev2 */
static ssize_t write_zeros(int fd, uint64_t at, uint64_t bytes)
{
	struct iovec iov[ZERO_PAGES];
	int nr = 0;

	for (; bytes && nr < (int)ZERO_PAGES; nr++) {
		iov[nr].iov_base = (void *)zeros;
		iov[nr].iov_len = MIN(bytes, sizeof(zeros));
		bytes -= iov[nr].iov_len;
	}
	return pwritev2(fd, iov, nr, (off_t)at, 0);
}

static int overwrite(const struct disk_config *cfg, uint64_t at, uint64_t bytes)
{
	uint64_t end = at + bytes;
	ssize_t n;

	while (at < end) {
		int64_t data = next_data(cfg->fd, at);

		if (data >= (int64_t)end)
			break;
		at = (uint64_t)data;
		n = write_zeros(cfg->fd, at, end - at);
		if (n > 0)
			at += (uint64_t)n;
		else if (n == 0 || errno != EINTR)
			return n ? -errno : -EIO;
	}
	return flush(cfg);
}

/* syscalls disk: ioctl(BLKDISCARD) ioctl(BLKSECDISCARD) */
static int discard_device(int fd, const struct disk_io *io, bool secure)
{
	uint64_t range[2] = { io->offset_bytes, io->bytes };

	return ioctl(fd, secure ? BLKSECDISCARD : BLKDISCARD, range);
}

/* syscalls disk: fallocate(hole) */
static int discard(const struct disk_config *cfg, const struct disk_io *io)
{
	bool secure = io->secure && !cfg->secure_overwrite;
	int ret = 0;

	if (secure && !cfg->is_device)
		return -EOPNOTSUPP;	/* a hole's old blocks stay readable below */
	if (io->secure && !secure)
		ret = overwrite(cfg, io->offset_bytes, io->bytes);
	if (ret)
		return ret;
	do {
		if (cfg->is_device)
			ret = discard_device(cfg->fd, io, secure);
		else
			ret = fallocate(cfg->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)io->offset_bytes, (off_t)io->bytes);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

int disk_perform(const struct disk_config *cfg, struct disk_io *io)
{
	switch (io->op) {
	case DISK_READ:
	case DISK_WRITE:
		return move(cfg, io);
	case DISK_FLUSH:
		return flush(cfg);
	case DISK_DISCARD:
		return discard(cfg, io);
	}
	assert(!"an operation of enum disk_op");
	return -EINVAL;
}
