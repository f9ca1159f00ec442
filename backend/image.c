/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk image by name: opened, measured, locked (image.h).
 *
 * Hides: ioctls and sysfs of block devices, hole punching of files, the lock
 * bytes. Must not know: rings, XenStore, how I/O is done.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include "util.h"

/*
 * Lock bytes, beyond the end of any image: for sharing, one of supervisors and one
 * of those who do the I/O, and below them one for each device's fence. QEMU's own
 * lock bytes (100 to 203) stay apart.
 */
#define SHARE_BYTE ((off_t)INT64_MAX - 4096)
#define IO_SHARE_BYTE (SHARE_BYTE + 1)
#define FENCE_BASE ((off_t)1 << 62)

#define SECTOR_BYTES_MAX 4096u
#define FILE_BLOCK_BYTES 4096u

static const char *expected_text(int err)
{
	switch (err) {
	case ENOENT: return "no such file; params must name a file or block device";
	case EACCES: return "not permitted to the user of this program";
	case EROFS: return "on a read-only file system; mode must be r";
	case ETXTBSY: return "being executed or swapped on; mode must be r";
	case ENXIO: return "no device behind it";
	case ENOTDIR: return "a part of the path is not a directory";
	case ELOOP: return "too many symbolic links";
	default: return strerror(err);
	}
}

static uint64_t read_sysfs(dev_t dev, const char *name, uint64_t fallback)
{
	char path[128], text[32] = "";
	uint64_t value;
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev),
		 minor(dev), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return fallback;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, UINT64_MAX, &value) ? fallback : value;
}

/* A partition's directory has no queue of its own: its disk's is one up. */
static uint64_t read_queue(dev_t dev, const char *name)
{
	char path[64];
	uint64_t value;

	snprintf(path, sizeof(path), "queue/%s", name);
	value = read_sysfs(dev, path, UINT64_MAX);
	if (value != UINT64_MAX)
		return value;
	snprintf(path, sizeof(path), "../queue/%s", name);
	return read_sysfs(dev, path, 0);
}

/*
 * Asked with a range that no device takes: one without the command says so
 * first. (Linux before 5.19 says so only when it is used; the request then
 * fails with EOPNOTSUPP, and the front end turns the feature off.)
 */
static bool can_erase(int fd)
{
	uint64_t range[2] = { 1, 1 };

	return ioctl(fd, BLKSECDISCARD, range) < 0 && errno == EINVAL;
}

static int measure_device(int fd, dev_t dev, bool read_only, struct image_info *info)
{
	int sector, ro = 0;
	unsigned int physical;
	uint64_t granularity;

	if (ioctl(fd, BLKGETSIZE64, &info->bytes) ||
	    ioctl(fd, BLKSSZGET, &sector) || ioctl(fd, BLKPBSZGET, &physical) ||
	    ioctl(fd, BLKROGET, &ro))
		return -errno;
	if (ro && !read_only)
		return -EROFS;
	info->is_device = true;
	info->sector_bytes = sector;
	info->physical_sector_bytes = physical;
	granularity = read_queue(dev, "discard_granularity");
	if (granularity && granularity <= UINT32_MAX &&
	    read_queue(dev, "discard_max_bytes")) {
		info->discard = true;
		info->discard_granularity_bytes = granularity;
		info->discard_alignment_bytes = read_sysfs(dev, "discard_alignment", 0);
		info->discard_secure = !read_only && can_erase(fd);
	}
	return 0;
}

/* A file without a name in the directory of fd's, on the same file system; -1: cannot be. */
static int open_beside(int fd, const struct stat *st)
{
	char link[40], path[PATH_MAX];
	autoclose int beside = -1;
	struct stat its;
	ssize_t n;
	int out;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/')
		return -1;
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	beside = open(path[0] ? path : "/", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (beside < 0 || fstat(beside, &its) || its.st_dev != st->st_dev)
		return -1;
	out = beside;
	beside = -1;
	return out;
}

/*
 * Asked of another file where possible: of the image's own a file system answers only when
 * all that is being written to it has landed, and a dead worker's writes may take their time.
 * Else behind the image's end, where there is nothing to lose.
 */
static bool can_punch(int fd, const struct stat *st)
{
	autoclose int beside = open_beside(fd, st);
	off_t after = (st->st_size + FILE_BLOCK_BYTES) & ~(off_t)(FILE_BLOCK_BYTES - 1);

	return !fallocate(beside < 0 ? fd : beside, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  after, FILE_BLOCK_BYTES);
}

static void measure_file(int fd, const struct stat *st, bool read_only,
			 struct image_info *info)
{
	info->bytes = st->st_size;
	info->sector_bytes = VBD_SECTOR_BYTES;
	/* Tells the guest to align to what the file system does in one piece. */
	info->physical_sector_bytes = st->st_size % FILE_BLOCK_BYTES ?
		VBD_SECTOR_BYTES : FILE_BLOCK_BYTES;
	info->discard = !read_only && can_punch(fd, st);
	if (info->discard)
		info->discard_granularity_bytes = FILE_BLOCK_BYTES;
}

static bool can_be_sector(uint32_t bytes)
{
	return bytes >= VBD_SECTOR_BYTES && bytes <= SECTOR_BYTES_MAX && !(bytes & (bytes - 1));
}

static int check_sector(const struct image_info *info, const char *path, char *why,
			size_t why_bytes)
{
	if (can_be_sector(info->sector_bytes))
		return 0;
	snprintf(why, why_bytes, "%s: has sectors of %u bytes, but 512 to %u can be served", path,
		 info->sector_bytes, SECTOR_BYTES_MAX);
	return -EINVAL;
}

static int check_size(const struct image_info *info, const char *path, char *why,
		      size_t why_bytes)
{
	uint32_t sector = info->sector_bytes;

	if (!info->bytes) {
		snprintf(why, why_bytes, "%s: is empty, expected at least one "
			 "sector of %u bytes", path, sector);
		return -EINVAL;
	}
	if (info->bytes % sector) {
		snprintf(why, why_bytes, "%s: its size of %llu bytes is not a "
			 "multiple of the sector of %u bytes", path,
			 (unsigned long long)info->bytes, sector);
		return -EINVAL;
	}
	return 0;
}

/* Of any size. */
static int measure(int fd, const char *path, bool read_only, struct image_info *info,
		   char *why, size_t why_bytes)
{
	struct stat st;
	int err = 0;

	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISBLK(st.st_mode))
		err = measure_device(fd, st.st_rdev, read_only, info);
	else if (S_ISREG(st.st_mode))
		measure_file(fd, &st, read_only, info);
	else
		err = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (err == -EROFS)
		snprintf(why, why_bytes, "%s: a read-only device; mode must be r", path);
	else if (err == -EISDIR || err == -EINVAL)
		snprintf(why, why_bytes, "%s: is %s, expected a file or block device",
			 path, err == -EISDIR ? "a directory" : "neither");
	else if (err)
		snprintf(why, why_bytes, "%s: %s", path, strerror(-err));
	return err ? err : check_sector(info, path, why, why_bytes);
}

static int open_measured(const char *path, bool read_only, int *out, struct image_info *info,
			 char *why, size_t why_bytes)
{
	autoclose int fd = -1;
	int err;

	*out = -1;
	memset(info, 0, sizeof(*info));
	if (path[0] != '/') {
		snprintf(why, why_bytes, "'%.80s': expected an absolute path of a "
			 "file or block device", path);
		return -EINVAL;
	}
	/* O_NONBLOCK: a FIFO must not hold up the supervisor of all devices. */
	fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY |
		  O_NONBLOCK);
	if (fd < 0) {
		err = errno;
		snprintf(why, why_bytes, "%s: %s", path, err == EISDIR ?
			 "is a directory, expected a file or block device" :
			 expected_text(err));
		return -err;
	}
	err = measure(fd, path, read_only, info, why, why_bytes);
	if (err)
		return err;
	if (fcntl(fd, F_SETFL, 0))
		return -errno;
	*out = fd;
	fd = -1;
	return 0;
}

int image_open(const char *path, bool read_only, int *out, struct image_info *info,
	       char *why, size_t why_bytes)
{
	int rc = open_measured(path, read_only, out, info, why, why_bytes);

	if (rc)
		return rc;
	rc = check_size(info, path, why, why_bytes);
	if (rc)
		close_fd(out);
	return rc;
}

static void cut(struct image_info *info)
{
	info->bytes -= info->bytes % info->sector_bytes;
}

int image_open_served(const char *path, bool read_only, int *out, struct image_info *info,
		      char *why, size_t why_bytes)
{
	int rc = open_measured(path, read_only, out, info, why, why_bytes);

	if (!rc)
		cut(info);
	return rc;
}

int image_inspect(int fd, const char *name, bool read_only, struct image_info *info, char *why,
		  size_t why_bytes)
{
	int rc;

	memset(info, 0, sizeof(*info));
	rc = measure(fd, name, read_only, info, why, why_bytes);
	if (!rc)
		cut(info);
	return rc;
}

int image_open_unmeasured(const char *path, bool read_only, int *fd, char *why,
			  size_t why_bytes)
{
	struct stat st;
	int err = 0;

	*fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0) {
		err = errno;
		snprintf(why, why_bytes, "%s: %s", path, err == EISDIR ?
			 "is a directory, expected an image" : expected_text(err));
		return -err;
	}
	if (fstat(*fd, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
		snprintf(why, why_bytes, "%s: is neither a file nor a block device", path);
		close_fd(fd);
		return -EINVAL;
	}
	return 0;
}

int image_open_token(const char *dir, const char *name, int *fd)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	char path[512];

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	snprintf(path, sizeof(path), "%s/server-%016llx.lock", dir, (unsigned long long)hash);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return *fd < 0 ? -errno : 0;
}

int image_open_none(int *fd, struct image_info *info)
{
	*info = (struct image_info){ .sector_bytes = VBD_SECTOR_BYTES,
				     .physical_sector_bytes = VBD_SECTOR_BYTES };
	*fd = memfd_create("no-medium", MFD_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

int image_reopen(int fd, bool read_only, int *out)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*out = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY);
	if (*out < 0)
		return -errno;
	/* Nobody asks when a guest read last. Refused to who does not own the image. */
	(void)fcntl(*out, F_SETFL, O_NOATIME);
	return 0;
}

bool image_is(int fd, const struct stat *st)
{
	struct statx its;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &its) &&
	       its.stx_ino == st->st_ino &&
	       makedev(its.stx_dev_major, its.stx_dev_minor) == st->st_dev;
}

int image_measure(int fd, uint32_t sector_bytes, uint64_t *bytes)
{
	struct statx st;

	/* No server is asked: NFS would write back first all that the guest has written. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &st))
		return -errno;
	*bytes = st.stx_size;
	if (S_ISBLK(st.stx_mode) && ioctl(fd, BLKGETSIZE64, bytes))
		return -errno;
	*bytes -= *bytes % sector_bytes;
	return 0;
}

/* 0: as it is. */
static void set_sectors(struct image_info *info, uint32_t logical_bytes, uint32_t physical_bytes)
{
	if (logical_bytes)
		info->sector_bytes = logical_bytes;
	if (physical_bytes)
		info->physical_sector_bytes = physical_bytes;
	info->physical_sector_bytes = MAX(info->physical_sector_bytes, info->sector_bytes);
	/* A guest could not name less than a sector. */
	if (info->discard)
		info->discard_granularity_bytes = MAX(info->discard_granularity_bytes,
						      info->sector_bytes);
}

int image_set_sectors(struct image_info *info, uint32_t logical_bytes,
		      uint32_t physical_bytes, const char *path, char *why,
		      size_t why_bytes)
{
	int rc;

	if (logical_bytes && logical_bytes < info->sector_bytes) {
		snprintf(why, why_bytes, "%s: sectors of %u bytes are asked for, expected "
			 "at least the device's own of %u", path, logical_bytes,
			 info->sector_bytes);
		return -EINVAL;
	}
	set_sectors(info, logical_bytes, physical_bytes);
	rc = check_sector(info, path, why, why_bytes);
	return rc ? rc : check_size(info, path, why, why_bytes);
}

void image_keep_sectors(struct image_info *info, uint32_t logical_bytes,
			uint32_t physical_bytes)
{
	if (logical_bytes < info->sector_bytes || !can_be_sector(logical_bytes))
		logical_bytes = 0;
	set_sectors(info, logical_bytes, physical_bytes);
	cut(info);
}

/* ---- who holds the lock --------------------------------------------------- */

/*
 * An OFD lock belongs to no process, so that neither F_OFD_GETLK nor
 * /proc/locks names one; the fdinfo of the descriptor that carries it does.
 */
static bool carries_lock(int dirfd, const char *name, const char *range)
{
	char text[1024];
	autoclose int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (got <= 0)
		return false;
	text[got] = '\0';
	return strstr(text, "OFDLCK") && strstr(text, range);
}

static bool process_carries_lock(const char *pid, const char *range)
{
	char path[300];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir)))
		found = e->d_name[0] != '.' && carries_lock(dirfd(dir), e->d_name, range);
	closedir(dir);
	return found;
}

static void read_comm(const char *pid, char *buf, size_t bytes)
{
	char path[300];
	autoclose int fd = -1;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, buf, bytes - 1);
	buf[got > 0 ? got : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* As "process 12 (name)"; "another process" when /proc does not tell. */
static void name_holder(int fd, off_t byte, char *buf, size_t bytes)
{
	char range[80], comm[32];
	struct dirent *e;
	struct stat st;
	DIR *proc;

	snprintf(buf, bytes, "another process");
	if (fstat(fd, &st))
		return;
	snprintf(range, sizeof(range), ":%llu %lld %lld", (unsigned long long)st.st_ino,
		 (long long)byte, (long long)byte);
	proc = opendir("/proc");
	while (proc && (e = readdir(proc))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
		    !process_carries_lock(e->d_name, range))
			continue;
		read_comm(e->d_name, comm, sizeof(comm));
		snprintf(buf, bytes, "process %.16s (%s)", e->d_name, comm);
		break;
	}
	if (proc)
		closedir(proc);
}

/* ---- locks ---------------------------------------------------------------- */

/* Mounted, or part of a volume: such holders open a block device exclusively. */
static bool host_uses_device(int fd)
{
	char path[40];
	struct stat st;
	autoclose int again = -1;

	if (fstat(fd, &st) || !S_ISBLK(st.st_mode))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	return again < 0 && errno == EBUSY;
}

/* Not of w!, which shares with all. */
static struct flock share_lock(enum vbd_share share, off_t byte)
{
	return (struct flock){
		.l_type = share == VBD_READ_ONLY ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET, .l_start = byte, .l_len = 1,
	};
}

int image_share_lock(int fd, enum vbd_share share, char *why, size_t why_bytes)
{
	struct flock lock = share_lock(share, SHARE_BYTE);
	char holder[64];
	int err;

	if (share == VBD_SHARED_WRITE)
		return 0;
	if (share == VBD_EXCLUSIVE && host_uses_device(fd)) {
		snprintf(why, why_bytes, "in use by this host (mounted, or part of "
			 "a volume); mode w! overrides");
		return -EBUSY;
	}
	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	err = errno == EACCES || errno == EAGAIN ? EBUSY : errno;
	if (err != EBUSY) {
		snprintf(why, why_bytes, "cannot be locked: %s", strerror(err));
		return -err;
	}
	name_holder(fd, SHARE_BYTE, holder, sizeof(holder));
	snprintf(why, why_bytes, "%s by %s; %s", share == VBD_READ_ONLY ?
		 "written" : "in use", holder,
		 "r shares with r, and w! overrides");
	return -EBUSY;
}

/* syscalls disk: fcntl(F_OFD_GETLK) fcntl(F_OFD_SETLK) clock_nanosleep */
/*
 * A descriptor that cannot write can only take a shared lock, which excludes
 * nobody: it waits until nobody else has one, then takes its own. Devices have
 * one successor at a time, so nothing comes between.
 */
static int fence_read_only(int fd, struct flock *lock)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct flock seen;

	for (;;) {
		seen = *lock;
		seen.l_type = F_WRLCK;
		if (fcntl(fd, F_OFD_GETLK, &seen))
			return -errno;
		if (seen.l_type == F_UNLCK)
			break;
		nanosleep(&pause, NULL);
	}
	lock->l_type = F_RDLCK;
	return fcntl(fd, F_OFD_SETLK, lock) ? -errno : 0;
}

static struct flock fence_lock(uint32_t frontend_id, uint32_t devid)
{
	return (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1,
		.l_start = FENCE_BASE + ((off_t)(frontend_id & 0xffff) << 32) + devid,
	};
}

static bool is_held(int fd, struct flock lock, char *buf, size_t bytes)
{
	off_t byte = lock.l_start;

	if (fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK)
		return false;
	name_holder(fd, byte, buf, bytes);
	return true;
}

bool image_fence_holder(int fd, enum vbd_share share, uint32_t frontend_id, uint32_t devid,
			char *buf, size_t bytes)
{
	return (share != VBD_SHARED_WRITE &&
		is_held(fd, share_lock(share, IO_SHARE_BYTE), buf, bytes)) ||
	       is_held(fd, fence_lock(frontend_id, devid), buf, bytes);
}

/* syscalls disk: fcntl(F_OFD_SETLKW) */
static int wait_for_lock(int fd, struct flock lock)
{
	while (fcntl(fd, F_OFD_SETLKW, &lock))
		if (errno != EINTR)
			return -errno;
	return 0;
}

int image_share_wait(int fd, enum vbd_share share)
{
	return share == VBD_SHARED_WRITE ? 0 : wait_for_lock(fd, share_lock(share, IO_SHARE_BYTE));
}

/* syscalls disk: fcntl(F_GETFL) */
int image_fence(int fd, enum vbd_share share, uint32_t frontend_id, uint32_t devid)
{
	struct flock lock = fence_lock(frontend_id, devid);
	int flags = fcntl(fd, F_GETFL), err;

	if (flags < 0)
		return -errno;
	err = (flags & O_ACCMODE) == O_RDONLY ? fence_read_only(fd, &lock) :
						wait_for_lock(fd, lock);
	return err ? err : image_share_wait(fd, share);
}
