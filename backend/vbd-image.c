/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image of a block device, wherever it is (vbd-device-internal.h).
 *
 * Hides: that an image may be behind a server, which is asked before and may be ours.
 * Must not know: states but for when an image is wanted, what is published.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util.h"

const char *vbd_image_name(const struct vbd_toolstack *ts)
{
	return ts->physical_device_path ? ts->physical_device_path : ts->params;
}

/* Whether a server of ours that is leaving has v's image. */
static bool is_left_by(const struct vbd_device *other, const struct vbd_device *v,
		       const char *name)
{
	struct stat ours, theirs;

	if (!other->leaving)
		return false;
	if (other == v || !strcmp(other->remote_name, name))
		return true;
	return v->storage.path[0] && other->leaving_fd >= 0 && !stat(v->storage.path, &ours) &&
	       !fstat(other->leaving_fd, &theirs) && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

/* Its lock would be refused, though it is free soon. */
static bool is_being_left(const struct vbd_device *v, const char *name)
{
	const struct vbd_device *other = v->common->devices;

	while (other && !is_left_by(other, v, name))
		other = other->next;
	return other;
}

/* Each look may take devices away, and so begins anew. */
static void wake_waiting(struct vbd_common *c)
{
	struct vbd_device *v = c->devices;

	while (v) {
		const char *name = v->awaits_server ? vbd_image_name(&v->ts) : NULL;

		if (!name || is_being_left(v, name)) {
			v = v->next;
			continue;
		}
		v->awaits_server = false;
		v->env.changed(v->env.arg);
		v = c->devices;
	}
}

static void on_server_left(void *arg)
{
	struct vbd_device *v = arg;
	struct vbd_common *c = v->common;

	remote_close(v->leaving);
	v->leaving = NULL;
	close_fd(&v->leaving_fd);
	v->env.changed(v->env.arg);	/* it may be gone */
	wake_waiting(c);
}

/* The lock on the image is the last to go: a server of ours may still write. */
void vbd_image_release(struct vbd_device *v)
{
	image_watch_remove(v->watch);
	v->watch = NULL;
	if (v->remote && !v->leaving && !remote_end(v->remote, on_server_left, v)) {
		v->leaving = v->remote;
		v->leaving_fd = v->image_fd;
		v->image_fd = -1;
	} else {
		remote_close(v->remote);
	}
	v->remote = NULL;
	v->remote_known = false;
	close_fd(&v->image_fd);
}

void vbd_image_free(struct vbd_device *v)
{
	vbd_image_release(v);
	remote_close(v->leaving);
	v->leaving = NULL;
	close_fd(&v->leaving_fd);
}

int vbd_image_measure(const struct vbd_device *v, uint64_t *bytes)
{
	if (!v->remote)
		return image_measure(v->image_fd, v->info.sector_bytes, bytes);
	*bytes = remote_info(v->remote)->bytes;
	*bytes -= *bytes % v->info.sector_bytes;
	return 0;
}

/* ---- an image behind a server --------------------------------------------- */

static void on_server(void *arg, int err, const char *why)
{
	struct vbd_device *v = arg;

	if (v->remote_said)
		xenbus_clear_error(v->env.bus);
	v->remote_said = false;
	v->remote_known = !err;
	v->remote_err = err;
	snprintf(v->remote_why, sizeof(v->remote_why), "%s", why);
	v->env.changed(v->env.arg);
}

/* While a guest waits for it, people are to know; what serves the disk says it later. */
static void on_server_away(void *arg)
{
	struct vbd_device *v = arg;
	char text[XENBUS_TEXT_BYTES];

	if (v->remote_known || v->remote_said || !remote_is_away(v->remote))
		return;
	remote_describe(v->remote, text, sizeof(text));
	xenbus_write_error(v->env.bus, EAGAIN, text);
	v->remote_said = true;
}

static const struct remote_events server_events = {
	.opened = on_server, .changed = on_server_away,
};

static enum vbd_cache cache_of(const struct vbd_device *v)
{
	return v->storage.has_cache ? v->storage.cache : v->ts.cache;
}

static void ask_server(struct vbd_device *v, const char *name, bool patient)
{
	struct remote_what what = {
		.config = v->env.config, .name = v->env.name, .log = v->env.log,
		.storage = v->storage, .cache = cache_of(v),
		.read_only = v->ts.share == VBD_READ_ONLY, .patient = patient,
	};
	int rc = remote_open(v->env.loop, &what, &server_events, v, &v->remote);

	snprintf(v->remote_name, sizeof(v->remote_name), "%s", name);
	v->remote_known = false;
	v->remote_err = rc;
	snprintf(v->remote_why, sizeof(v->remote_why), "no process to reach the server of %.100s: %s",
		 name, strerror(-rc));
}

/* Whether the image is wanted soon, and by a front end that is there already. */
static bool wants_store(struct vbd_device *v, const struct lifecycle_view *view,
			bool (*resumable)(struct vbd_device *, const struct lifecycle_view *),
			bool *patient)
{
	*patient = false;
	switch (view->back) {
	case XenbusStateInitialising:
		return true;
	case XenbusStateInitWait:
	case XenbusStateInitialised:
		return !v->ts.hotplug_pending;
	case XenbusStateConnected:
	case XenbusStateClosing:
		*patient = resumable(v, view);
		return *patient;
	default:
		return view->back == XenbusStateClosed && v->ts.online &&
		       v->inputs != v->refused_inputs &&
		       (view->front == XenbusStateInitialising ||
			view->front == XenbusStateInitialised);
	}
}

bool vbd_image_awaited(struct vbd_device *v, const struct lifecycle_view *view,
		       bool (*resumable)(struct vbd_device *v, const struct lifecycle_view *view))
{
	const char *name = v->ts.no_medium ? NULL : vbd_image_name(&v->ts);
	char why[256];
	bool patient;

	if (!v->complete || !name || v->image_fd >= 0 || !storage_is_remote(name) || v->serve)
		return false;
	if (v->remote && strcmp(v->remote_name, name)) {
		vbd_image_release(v);
		v->remote_err = 0;
	}
	v->awaits_server = false;
	if (!v->remote && !v->remote_err && wants_store(v, view, resumable, &patient) &&
	    !storage_parse(name, &v->storage, why, sizeof(why)) &&
	    v->storage.kind != STORAGE_PATH) {
		v->awaits_server = is_being_left(v, name);
		if (v->awaits_server)
			return true;
		ask_server(v, name, patient);
	}
	return v->remote && !v->remote_known && !v->remote_err;
}

/* ---- opening ------------------------------------------------------------------- */

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

/* The version before had it open: the same file, whatever its name means now, and locked. */
static int take_image(struct vbd_device *v, char *why, size_t why_bytes)
{
	char title[VBD_SERVE_TITLE_BYTES];

	vbd_serve_title(&v->env.name, title);
	v->image_fd = takeover_take(v->env.config->takeover, TAKEOVER_IMAGE, title, NULL);
	if (v->image_fd >= 0)
		return 0;
	snprintf(why, why_bytes, "%s: %s", v->image, strerror(-v->image_fd));
	return v->image_fd;
}

static int open_remote(struct vbd_device *v, char *why, size_t why_bytes)
{
	int rc = v->remote_err;

	v->remote_err = 0;
	if (rc || !v->remote_known) {
		snprintf(why, why_bytes, "%s: %s", v->image, rc ? v->remote_why :
			 "its server has not been asked yet");
		return rc ? rc : -EAGAIN;
	}
	rc = take_server(v, why, why_bytes);
	if (rc)
		return rc;
	if (vbd_image_is_left_to_us(v))
		return take_image(v, why, why_bytes);
	if (v->storage.path[0])
		return image_open_unmeasured(v->storage.path, v->share == VBD_READ_ONLY,
					     &v->image_fd, why, why_bytes);
	rc = image_open_token(v->env.config->rundir.path, v->image, &v->image_fd);
	if (rc)
		snprintf(why, why_bytes, "no file for its lock in %s: %s",
			 v->env.config->rundir.path, strerror(-rc));
	return rc;
}

static int open_inherited(struct vbd_device *v, char *why, size_t why_bytes)
{
	char path[32];
	autoclose int again = -1;
	int rc = take_image(v, why, why_bytes);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->image_fd);
	return image_open(path, v->share == VBD_READ_ONLY, &again, &v->info, why, why_bytes);
}

int vbd_image_open(struct vbd_device *v, char *why, size_t why_bytes)
{
	const char *path = v->image;
	int rc;

	v->storage = (struct storage){ .kind = STORAGE_PATH };
	if (v->ts.no_medium)
		return image_open_none(&v->image_fd, &v->info);
	if (storage_is_remote(v->image)) {
		rc = storage_parse(v->image, &v->storage, why, why_bytes);
		if (rc)
			return rc;
		path = v->storage.path;
	}
	v->cache = cache_of(v);
	if (v->storage.kind != STORAGE_PATH)
		rc = open_remote(v, why, why_bytes);
	else if (vbd_image_is_left_to_us(v))
		rc = open_inherited(v, why, why_bytes);
	else
		rc = image_open(path, v->share == VBD_READ_ONLY, &v->image_fd, &v->info,
				why, why_bytes);
	if (rc)
		return rc;
	return image_set_sectors(&v->info, v->ts.wishes.logical_block_bytes,
				 v->ts.wishes.physical_block_bytes, v->image, why, why_bytes);
}
