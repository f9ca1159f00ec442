/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image of a block device, wherever it is (vbd-device-internal.h).
 *
 * Hides: that an image may be behind a server, whose words are those about it. Must not know:
 * states, when a server is asked (vbd-server.c), what is published.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "journal.h"
#include "util.h"

/* Behind the end of every image: no file is so large. */
#define ELDER_ASKED_BYTE (1ll << 62)

const char *vbd_image_name(const struct vbd_toolstack *ts)
{
	return ts->physical_device_path ? ts->physical_device_path : ts->params;
}

/* The lock on the image is the last to go: a server of ours may still write. */
void vbd_image_release(struct vbd_device *v)
{
	image_watch_remove(v->watch);
	v->watch = NULL;
	close_fd(&v->elder_fd);
	vbd_server_leave(v, v->remote, v->image, &v->image_fd);
	v->remote = NULL;
	memset(&v->storage, 0, sizeof(v->storage));
	vbd_server_forget(v);
}

void vbd_image_free(struct vbd_device *v)
{
	vbd_image_release(v);
	vbd_server_free(v);
}

int vbd_image_measure(const struct vbd_device *v, uint64_t *bytes)
{
	if (!v->remote)
		return image_measure(v->image_fd, v->info.sector_bytes, bytes);
	*bytes = remote_info(v->remote)->bytes;
	*bytes -= *bytes % v->info.sector_bytes;
	return 0;
}

/* What the server has said of the image, as if it were here. */
static int take_server(struct vbd_device *v, char *why, size_t why_bytes)
{
	const struct remote_info *r = remote_info(v->remote);
	uint32_t sector = MAX(r->least_block_bytes, VBD_SECTOR_BYTES);

	if (r->read_only && v->share != VBD_READ_ONLY) {
		snprintf(why, why_bytes, "%s: its server has it read-only; mode must be r",
			 v->image);
		return -EROFS;
	}
	if (sector > VBD_LOGICAL_BLOCK_BYTES_MAX) {
		snprintf(why, why_bytes, "%s: its server takes blocks of %u bytes and no smaller, "
			 "4096 at most can be served (nbdkit's blocksize filter takes smaller ones)",
			 v->image, sector);
		return -EINVAL;
	}
	v->info = (struct image_info){
		.bytes = r->bytes, .sector_bytes = sector,
		.physical_sector_bytes = r->bytes % 4096 ? sector : 4096,
		.discard = r->trim && v->share != VBD_READ_ONLY,
		.discard_granularity_bytes = MAX(sector, 4096),
	};
	return 0;
}

/* ---- elders ---------------------------------------------------------------------- */

/* The version before has known the image for longer; what it was told, ours would not be. */
int vbd_image_open_elder(struct vbd_device *v, bool resume)
{
	char title[VBD_SERVE_TITLE_BYTES];
	int left;

	vbd_serve_title(&v->env.name, title);
	left = takeover_take(v->env.config->takeover, TAKEOVER_ELDER, title, NULL);
	if (v->elder_fd < 0 && left >= 0) {
		v->elder_fd = left;
		left = -1;
	}
	close_fd(&left);
	/* A front end that connects begins with what is there. */
	if (!resume)
		close_fd(&v->elder_fd);
	return v->elder_fd >= 0 ? 0 :
		image_reopen(v->image_fd, v->share == VBD_READ_ONLY, &v->elder_fd);
}

/*
 * Waits for the write-back of a byte that no image has, so for nothing, and is told, once, what the
 * kernel has to tell this description of all the others, of a file or a device.
 */
static int ask_lost(int fd)
{
	struct statfs fs;

	/* Of its files another file's pages are written back. */
	if (fstatfs(fd, &fs) || fs.f_type == OVERLAYFS_SUPER_MAGIC)
		return 0;
	if (!sync_file_range(fd, ELDER_ASKED_BYTE, 1, SYNC_FILE_RANGE_WAIT_BEFORE))
		return 0;
	switch (errno) {
	case ENOSYS: case EPERM: case EOPNOTSUPP: case EINVAL: case ESPIPE: case EBADF:
		return 0;	/* it cannot be asked so */
	default:
		return -errno;
	}
}

int vbd_image_ask_elder(const struct vbd_device *v)
{
	autoclose int fd = -1;
	int rc, lost;

	if (v->elder_fd < 0 || v->remote)
		return 0;
	/* It tells once: first who is to remember. */
	rc = rundir_open_journal(&v->env.config->rundir, &v->env.name, false, &fd);
	if (rc == -ENOENT)
		return 0;	/* nobody goes on with it */
	lost = rc ? 0 : ask_lost(v->elder_fd);
	if (!rc && (!lost || journal_read_flush_lost(fd)))
		return 0;	/* or its front end is told already */
	if (!rc)
		rc = journal_note_flush_lost(fd, lost);
	if (rc)
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "%.200s: whether writes that were answered "
			    "and not flushed are lost cannot be noted, its journal: %s", v->image,
			    strerror(-rc));
	else
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "%.200s: writes that were answered and not "
			    "flushed may be lost (%s); every flush will fail until the front end "
			    "connects anew", v->image, strerror(-lost));
	return rc;
}

/* ---- locks ----------------------------------------------------------------------- */

static bool holds(const struct vbd_device *v, int fd)
{
	int held = v->image_fd >= 0 ? v->image_fd :
		   v->asked.fd >= 0 ? v->asked.fd : v->leaving.fd;
	struct stat st;

	return held >= 0 && held != fd && !fstat(fd, &st) && image_is(held, &st);
}

/* The name of another device of ours that has the image open too, or NULL. */
static const char *find_holder(const struct vbd_device *v, int fd)
{
	struct vbd_device *other;

	/* v is among them; its own descriptor is not another's. */
	for (other = v->common->devices; other; other = other->next)
		if (holds(other, fd))
			return other->env.log->who;
	return NULL;
}

/* Another device of ours is named as such; others are processes. */
static int lock_image(const struct vbd_device *v, const char *name, int fd,
		      enum vbd_share share, char *why, size_t why_bytes)
{
	const char *holder;
	char text[160];
	int rc = image_share_lock(fd, share, text, sizeof(text));

	if (!rc)
		return 0;
	holder = find_holder(v, fd);
	if (holder)
		snprintf(why, why_bytes, "%s: in use by %s; r shares with r, and w! "
			 "overrides", name, holder);
	else
		snprintf(why, why_bytes, "%s: %s", name, text);
	return rc;
}

/* The version before had it open: the same file, whatever its name means now, and locked. */
static int take_image(const struct vbd_device *v, const char *name, int *fd, char *why,
		      size_t why_bytes)
{
	char title[VBD_SERVE_TITLE_BYTES];

	vbd_serve_title(&v->env.name, title);
	*fd = takeover_take(v->env.config->takeover, TAKEOVER_IMAGE, title, NULL);
	if (*fd >= 0)
		return 0;
	snprintf(why, why_bytes, "%s: %s", name, strerror(-*fd));
	return *fd;
}

/* Nobody else's server is to have it, so it is locked before ours begins. */
int vbd_image_lock_asked(const struct vbd_device *v, int *fd, char *why, size_t why_bytes)
{
	const struct vbd_asked *a = &v->asked;
	int rc;

	if (vbd_image_is_left_to_us(v, a->name))
		return take_image(v, a->name, fd, why, why_bytes);
	if (a->storage.path[0]) {
		rc = image_open_unmeasured(a->storage.path, a->share == VBD_READ_ONLY, fd, why,
					   why_bytes);
	} else {
		rc = image_open_token(v->env.config->rundir.path, a->name, fd);
		if (rc)
			snprintf(why, why_bytes, "no file for its lock in %s: %s",
				 v->env.config->rundir.path, strerror(-rc));
	}
	if (!rc)
		rc = lock_image(v, a->name, *fd, a->share, why, why_bytes);
	if (rc)
		close_fd(fd);
	return rc;
}

/* ---- opening ------------------------------------------------------------------- */

static int open_remote(struct vbd_device *v, char *why, size_t why_bytes)
{
	int rc = vbd_server_take(v, why, why_bytes);

	return rc ? rc : take_server(v, why, why_bytes);
}

/* A front end has it already, whatever it has become meanwhile. */
static bool goes_on(const struct vbd_device *v)
{
	return v->resuming && !v->medium_changed;
}

static int open_inherited(struct vbd_device *v, char *why, size_t why_bytes)
{
	int rc = take_image(v, v->image, &v->image_fd, why, why_bytes);

	return rc ? rc : image_inspect(v->image_fd, v->image, v->share == VBD_READ_ONLY, &v->info,
				       why, why_bytes);
}

static int open_here(struct vbd_device *v, const char *path, char *why, size_t why_bytes)
{
	int rc = (goes_on(v) ? image_open_served : image_open)(path, v->share == VBD_READ_ONLY,
							       &v->image_fd, &v->info, why,
							       why_bytes);

	return rc ? rc : lock_image(v, v->image, v->image_fd, v->share, why, why_bytes);
}

int vbd_image_open(struct vbd_device *v, char *why, size_t why_bytes)
{
	const char *path = v->image;
	int rc;

	/* Of a name that was to be opened before. */
	memset(&v->storage, 0, sizeof(v->storage));
	if (v->ts.no_medium) {
		vbd_server_forget(v);
		return image_open_none(&v->image_fd, &v->info);
	}
	if (storage_is_remote(v->image)) {
		rc = storage_parse(v->image, &v->storage, why, why_bytes);
		if (rc)
			return rc;
		path = v->storage.path;
	}
	v->cache = vbd_cache_of(&v->storage, &v->ts);
	if (v->storage.kind == STORAGE_PATH)
		vbd_server_forget(v);
	if (v->storage.kind != STORAGE_PATH)
		rc = open_remote(v, why, why_bytes);
	else if (vbd_image_is_left_to_us(v, v->image))
		rc = open_inherited(v, why, why_bytes);
	else
		rc = open_here(v, path, why, why_bytes);
	if (rc)
		return rc;
	if (goes_on(v) && v->told.sector_bytes) {
		image_keep_sectors(&v->info, v->told.sector_bytes, v->told.physical_sector_bytes);
		return 0;
	}
	return image_set_sectors(&v->info, v->ts.wishes.logical_block_bytes,
				 v->ts.wishes.physical_block_bytes, v->image, why, why_bytes);
}

/* A drive's is not left to the next version, which opens it by its name. */
static int try_medium(const struct vbd_device *v, const char *name, char *why, size_t why_bytes)
{
	struct image_info info;
	struct storage s;
	autoclose int fd = -1;
	int rc = storage_is_remote(name) ? storage_parse(name, &s, why, why_bytes) : 0;

	if (rc)
		return rc;
	if (storage_is_remote(name)) {
		if (s.kind != STORAGE_PATH) {
			snprintf(why, why_bytes, "%.150s: this medium cannot be had", name);
			return -ENOMEDIUM;
		}
		name = s.path;
	}
	return image_open_served(name, v->share == VBD_READ_ONLY, &fd, &info, why, why_bytes);
}

int vbd_image_try(const struct vbd_device *v, char *why, size_t why_bytes)
{
	const char *name = vbd_image_name(&v->ts);
	bool read_only = v->share == VBD_READ_ONLY;
	struct image_info info;
	autoclose int fd = -1;
	int rc;

	if (v->remote || !strcmp(v->image, VBD_NO_MEDIUM))
		return 0;
	if (v->ts.cdrom && name)
		return try_medium(v, name, why, why_bytes);
	rc = image_reopen(v->image_fd, read_only, &fd);
	if (rc)
		snprintf(why, why_bytes, "%.150s: cannot be opened again: %s", v->image,
			 strerror(-rc));
	return rc ? rc : image_inspect(fd, v->image, read_only, &info, why, why_bytes);
}
