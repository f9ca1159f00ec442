/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mirror's target (mirror-target.h). Must not know: copying.
 */
#include "mirror-target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "storage.h"
#include "util.h"

static int say(char *why, size_t why_bytes, const char *path, int err, const char *words)
{
	snprintf(why, why_bytes, "%s: %s", path, words ? words : strerror(-err));
	return err;
}

static int check_name(const char *path, char *why, size_t why_bytes)
{
	if (storage_is_remote(path))
		return say(why, why_bytes, path, -EOPNOTSUPP, "a mirror's target is a raw file or "
			   "a block device of this host, and is named by its path alone");
	if (path[0] != '/')
		return say(why, why_bytes, path, -EINVAL, "expected an absolute path of a file or "
			   "block device");
	return 0;
}

/* syscalls start: openat */
static int open_there(const char *path, bool look_only, struct mirror_target *out)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	out->fd = open(path, flags);
	if (out->fd >= 0 || errno != ENOENT || look_only)
		return out->fd < 0 ? -errno : 0;
	out->fd = open(path, flags | O_CREAT | O_EXCL, 0600);
	out->made = out->fd >= 0;
	return out->fd < 0 ? -errno : 0;
}

/* With look_only: whether it could be made. */
static int look_at_directory(const char *path, char *why, size_t why_bytes)
{
	char dir[512];
	const char *end = strrchr(path, '/');

	snprintf(dir, sizeof(dir), "%.*s", (int)MAX(end - path, 1), path);
	if (access(dir, W_OK | X_OK))
		return say(why, why_bytes, path, -errno, errno == ENOENT ?
			   "no such directory" : NULL);
	return 0;
}

/* syscalls start: fstat */
static int check_is_other(const struct mirror_target *t, const struct mirror_source *source,
			  const char *path, struct stat *st, char *why, size_t why_bytes)
{
	struct stat theirs;

	if (fstat(t->fd, st))
		return say(why, why_bytes, path, -errno, NULL);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return say(why, why_bytes, path, -EINVAL, "is neither a file nor a block device");
	if (source->fd < 0 || fstat(source->fd, &theirs))
		return 0;
	if ((st->st_dev == theirs.st_dev && st->st_ino == theirs.st_ino) ||
	    (S_ISBLK(st->st_mode) && S_ISBLK(theirs.st_mode) && st->st_rdev == theirs.st_rdev))
		return say(why, why_bytes, path, -EINVAL, "is the disk's own image");
	return 0;
}

static int lock(const struct mirror_target *t, const char *path, char *why, size_t why_bytes)
{
	char text[160];
	int rc = image_share_lock(t->fd, VBD_EXCLUSIVE, text, sizeof(text));

	/* How a disk could have it all the same is of no use here. */
	if (rc) {
		text[strcspn(text, ";")] = '\0';
		say(why, why_bytes, path, rc, text);
	}
	return rc;
}

static int measure(struct mirror_target *t, const char *path, const struct mirror_source *source,
		   char *why, size_t why_bytes)
{
	unsigned long long has, expected = source->bytes;
	char name[32], text[400];
	autoclose int again = -1;
	int rc;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", t->fd);
	rc = image_open(name, false, &again, &t->info, text, sizeof(text));
	if (rc) {
		const char *words = strstr(text, ": ");

		return say(why, why_bytes, path, rc, words ? words + 2 : text);
	}
	has = t->info.bytes;
	if (has < expected) {
		snprintf(why, why_bytes, "%s: has %llu bytes, expected %llu or more, as the disk has; "
			 "a file may also be empty, or not there", path, has, expected);
		return -EINVAL;
	}
	if (t->info.sector_bytes > source->sector_bytes || has % source->sector_bytes) {
		snprintf(why, why_bytes, "%s: has sectors of %u bytes and %llu bytes, but its guest "
			 "uses the disk in sectors of %u", path, t->info.sector_bytes, has,
			 source->sector_bytes);
		return -EINVAL;
	}
	return 0;
}

/* syscalls start: ftruncate fcntl */
static int prepare(struct mirror_target *t, const char *path, const struct mirror_source *source,
		   bool look_only, char *why, size_t why_bytes)
{
	struct stat st;
	int rc = check_is_other(t, source, path, &st, why, why_bytes);

	if (!rc)
		rc = lock(t, path, why, why_bytes);
	if (rc)
		return rc;
	if (S_ISREG(st.st_mode) && !st.st_size) {
		if (look_only)
			return 0;
		if (ftruncate(t->fd, (off_t)source->bytes))
			return say(why, why_bytes, path, -errno, NULL);
	}
	if (fcntl(t->fd, F_SETFL, 0))
		return -errno;
	return measure(t, path, source, why, why_bytes);
}

int mirror_target_open(const char *path, const struct mirror_source *source, bool look_only,
		       struct mirror_target *out, char *why, size_t why_bytes)
{
	int rc = check_name(path, why, why_bytes);

	*out = (struct mirror_target){ .fd = -1 };
	if (rc)
		return rc;
	rc = open_there(path, look_only, out);
	if (rc == -ENOENT && look_only)
		return look_at_directory(path, why, why_bytes);
	if (rc)
		return say(why, why_bytes, path, rc, rc == -ENOENT ? "no such directory" :
			   rc == -EISDIR ? "is a directory, expected a file or block device" : NULL);
	rc = prepare(out, path, source, look_only, why, why_bytes);
	if (!rc)
		return 0;
	if (out->made)
		unlink(path);
	close_fd(&out->fd);
	return rc;
}
