/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's files on tmpfs (rundir.h).
 *
 * Hides: names, modes, the lock. Must not know: what is in the files.
 */
#include "rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util.h"

#define BASE_VARIABLE "PARAVANE_RUNDIR"
#define BASE_DEFAULT "/run/paravane"
#define INFO_BYTES_MAX 8192

static const char *choose_base(const char *base)
{
	const char *from_env = getenv(BASE_VARIABLE);

	if (base)
		return base;
	return from_env && *from_env ? from_env : BASE_DEFAULT;
}

static int make_directory(const char *path, char *why, size_t why_bytes)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST) {
		snprintf(why, why_bytes, "cannot make the directory %s: %s", path,
			 strerror(errno));
		return -errno;
	}
	/* Journals hold guests' requests and are believed when read again. */
	if (stat(path, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(why, why_bytes, "%s must be a directory that only the user "
			 "of this program can write to", path);
		return -EPERM;
	}
	return 0;
}

static int take_lock(struct rundir *r, const char *kind, int lock_fd, char *why,
		     size_t why_bytes)
{
	char path[RUNDIR_PATH_BYTES], pid[16] = "";
	autoclose int fd = -1;
	int err;

	snprintf(path, sizeof(path), "%s/%s.lock", r->path, kind);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
		snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
		return err;
	}
	if (lock_fd >= 0) {
		r->lock_fd = lock_fd;	/* of this process already, and so is what it says */
		return 0;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (read(fd, pid, sizeof(pid) - 1) < 0)
			pid[0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		snprintf(why, why_bytes, "process %s serves kind %s already (%s); "
			 "another needs another --kind or --rundir",
			 *pid ? pid : "(unknown)", kind, path);
		return -EBUSY;
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0)
		log_warning("%s: %s", path, strerror(errno));
	r->lock_fd = fd;
	fd = -1;
	return 0;
}

int rundir_open(struct rundir *r, const char *base, const char *daemon,
		const char *kind, int lock_fd, char *why, size_t why_bytes)
{
	int rc;

	r->lock_fd = -1;
	base = choose_base(base);
	if (snprintf(r->path, sizeof(r->path), "%s/%s", base, daemon) >=
	    (int)sizeof(r->path)) {
		snprintf(why, why_bytes, "the run directory's name is too long");
		return -ENAMETOOLONG;
	}
	rc = make_directory(base, why, why_bytes);
	if (!rc)
		rc = make_directory(r->path, why, why_bytes);
	return rc ? rc : take_lock(r, kind, lock_fd, why, why_bytes);
}

void rundir_close(struct rundir *r)
{
	close_fd(&r->lock_fd);
}

static void file_path(const struct rundir *r, const struct rundir_name *name,
		      const char *suffix, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s/%s-%u-%u.%s", r->path, name->kind,
		 name->frontend_id, name->devid, suffix);
}

void rundir_journal_path(const struct rundir *r, const struct rundir_name *name,
			 char *buf, size_t bytes)
{
	file_path(r, name, "journal", buf, bytes);
}

int rundir_open_journal(const struct rundir *r, const struct rundir_name *name,
			bool fresh, int *fd)
{
	char path[RUNDIR_PATH_BYTES];

	file_path(r, name, "journal", path, sizeof(path));
	/* A new file, not the old one emptied: a worker may map that yet. */
	if (fresh && unlink(path) && errno != ENOENT)
		return -errno;
	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW |
		   (fresh ? O_CREAT | O_EXCL : 0), 0600);
	return *fd < 0 ? -errno : 0;
}

static int make_figures(const char *path, const struct figures_layout *layout, int *fd)
{
	int rc;

	if (unlink(path) && errno != ENOENT)
		return -errno;
	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0600);
	rc = *fd < 0 ? -errno : figures_format(*fd, layout);
	if (rc)
		close_fd(fd);
	return rc;
}

void rundir_open_figures(const struct rundir *r, const struct rundir_name *name, bool fresh,
			 const struct figures_layout *layout, int *fd)
{
	char path[RUNDIR_PATH_BYTES];
	int rc = -ENOENT;

	file_path(r, name, "figures", path, sizeof(path));
	*fd = fresh ? -1 : open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*fd >= 0)
		rc = figures_check(*fd, layout);
	if (rc) {
		close_fd(fd);
		rc = make_figures(path, layout, fd);
	}
	if (rc)
		log_warning("%s: %s; the device is served without figures", path, strerror(-rc));
}

static int write_whole(const char *path, const char *text)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
				O_NOFOLLOW, 0600);
	size_t bytes = strlen(text);
	ssize_t done;

	if (fd < 0)
		return -errno;
	done = write(fd, text, bytes);
	if (done < 0)
		return -errno;
	return (size_t)done == bytes ? 0 : -ENOSPC;
}

static int replace_file(const char *path, const char *text)
{
	char temporary[RUNDIR_PATH_BYTES + 8];
	int rc;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	rc = write_whole(temporary, text);
	if (!rc && rename(temporary, path))
		rc = -errno;
	if (rc)
		unlink(temporary);
	return rc;
}

int rundir_write_info(const struct rundir *r, const struct rundir_name *name,
		      const char *text)
{
	char path[RUNDIR_PATH_BYTES];

	file_path(r, name, "info", path, sizeof(path));
	return replace_file(path, text);
}

int rundir_write_mirror(const struct rundir *r, const struct rundir_name *name,
			const char *text)
{
	char path[RUNDIR_PATH_BYTES];

	file_path(r, name, RUNDIR_MIRROR, path, sizeof(path));
	return replace_file(path, text);
}

static int read_whole(const char *path, char *text, size_t bytes)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got = fd < 0 ? -1 : read(fd, text, bytes - 1);

	if (got < 0)
		return -errno;
	text[got] = '\0';
	return 0;
}

int rundir_find_value(const char *text, const char *key, char *buf, size_t bytes)
{
	size_t key_bytes = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_bytes) || line[key_bytes] != '=')
			continue;
		line += key_bytes + 1;
		snprintf(buf, bytes, "%.*s", (int)strcspn(line, "\n"), line);
		return 0;
	}
	return -ENOENT;
}

int rundir_read_info(const struct rundir *r, const struct rundir_name *name,
		     const char *key, char *buf, size_t bytes)
{
	char path[RUNDIR_PATH_BYTES], text[INFO_BYTES_MAX];
	int rc;

	file_path(r, name, "info", path, sizeof(path));
	rc = read_whole(path, text, sizeof(text));
	return rc ? rc : rundir_find_value(text, key, buf, bytes);
}

int rundir_read_mirror(const struct rundir *r, const struct rundir_name *name, char *text,
		       size_t bytes)
{
	char path[RUNDIR_PATH_BYTES];

	file_path(r, name, RUNDIR_MIRROR, path, sizeof(path));
	return read_whole(path, text, bytes);
}

static void kind_path(const struct rundir *r, const char *kind, const char *name, char *buf,
		      size_t bytes)
{
	snprintf(buf, bytes, "%s/%s.%s", r->path, kind, name);
}

int rundir_write_file(const struct rundir *r, const char *kind, const char *name,
		      const char *text)
{
	char path[RUNDIR_PATH_BYTES];

	kind_path(r, kind, name, path, sizeof(path));
	return replace_file(path, text);
}

int rundir_read_file(const struct rundir *r, const char *kind, const char *name, char *text,
		     size_t bytes)
{
	char path[RUNDIR_PATH_BYTES];

	kind_path(r, kind, name, path, sizeof(path));
	return read_whole(path, text, bytes);
}

void rundir_remove_file(const struct rundir *r, const char *kind, const char *name)
{
	char path[RUNDIR_PATH_BYTES];

	kind_path(r, kind, name, path, sizeof(path));
	if (unlink(path) && errno != ENOENT)
		log_warning("%s: cannot be removed: %s", path, strerror(errno));
}

/* "vbd-3-51712.journal", "vif-3-0.info" */
static bool parse_name(const char *file, const char *kind, uint32_t *frontend_id,
		       uint32_t *devid)
{
	size_t kind_bytes = strlen(kind);
	int end = 0;

	if (strncmp(file, kind, kind_bytes) ||
	    sscanf(file + kind_bytes, "-%u-%u%n", frontend_id, devid, &end) != 2)
		return false;
	file += kind_bytes + (size_t)end;
	return !strcmp(file, ".journal") || !strcmp(file, ".info") || !strcmp(file, ".figures");
}

void rundir_each(const struct rundir *r, const char *kind,
		 void (*fn)(void *arg, uint32_t frontend_id, uint32_t devid), void *arg)
{
	uint32_t frontend_id, devid;
	DIR *dir = opendir(r->path);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (parse_name(e->d_name, kind, &frontend_id, &devid))
			fn(arg, frontend_id, devid);
	if (dir)
		closedir(dir);
}

void rundir_remove(const struct rundir *r, const struct rundir_name *name)
{
	static const char *const suffix[] = { "info", "journal", "figures", RUNDIR_MIRROR };
	char path[RUNDIR_PATH_BYTES];
	size_t i;

	for (i = 0; i < ARRAY_LEN(suffix); i++) {
		file_path(r, name, suffix[i], path, sizeof(path));
		if (unlink(path) && errno != ENOENT)
			log_warning("%s: cannot be removed: %s", path, strerror(errno));
	}
}
