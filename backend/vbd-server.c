/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server of a block device's image, before that is opened and after it is released
 * (vbd-device-internal.h).
 *
 * Hides: when it is asked, what it is asked for, that one of ours has to end before anybody
 * else has its image. Must not know: what is published, what a server says of an image.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "util.h"

enum vbd_cache vbd_cache_of(const struct storage *s, const struct vbd_toolstack *ts)
{
	return s->has_cache ? s->cache : ts->cache;
}

static bool is_asked_for(const struct vbd_device *v, const char *name)
{
	const struct vbd_asked *a = &v->asked;

	return a->name[0] && !strcmp(a->name, name) &&
	       a->share == v->ts.share &&
	       a->cache == vbd_cache_of(&a->storage, &v->ts);
}

void vbd_server_none(struct vbd_asked *a)
{
	memset(a, 0, sizeof(*a));
	a->fd = -1;
}

/* ---- its end -------------------------------------------------------------------- */

/* Whether a server of ours that is leaving has the image that v wants. */
static bool is_left_by(const struct vbd_device *other, const struct vbd_device *v)
{
	const char *path = v->asked.storage.path;
	struct stat ours, theirs;

	if (!other->leaving.remote)
		return false;
	if (other == v || !strcmp(other->leaving.name, v->asked.name))
		return true;
	return path[0] && other->leaving.fd >= 0 && !stat(path, &ours) &&
	       !fstat(other->leaving.fd, &theirs) && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

/* Its lock would be refused, though it is free soon. */
static bool is_being_left(const struct vbd_device *v)
{
	const struct vbd_device *other = v->common->devices;

	while (other && !is_left_by(other, v))
		other = other->next;
	return other;
}

/* Each look may take devices away, and so begins anew. */
static void wake_waiting(struct vbd_common *c)
{
	struct vbd_device *v = c->devices;

	while (v) {
		if (!v->asked.waits || is_being_left(v)) {
			v = v->next;
			continue;
		}
		v->asked.waits = false;
		v->env.changed(v->env.arg);
		v = c->devices;
	}
}

/* The journal is there if a worker, of this daemon or the next, is to go on. */
static void close_remote(struct vbd_device *v, struct remote *remote)
{
	if (remote_close(remote))
		vbd_serve_lost_writes(&v->env.config->rundir, &v->env.name, v->env.log);
}

static void close_leaving(struct vbd_device *v)
{
	close_remote(v, v->leaving.remote);
	v->leaving.remote = NULL;
	close_fd(&v->leaving.fd);
}

static void on_server_left(void *arg)
{
	struct vbd_device *v = arg;
	struct vbd_common *c = v->common;

	close_leaving(v);
	v->env.changed(v->env.arg);	/* it may be gone */
	wake_waiting(c);
}

void vbd_server_leave(struct vbd_device *v, struct remote *remote, const char *name, int *fd)
{
	struct vbd_leaving *l = &v->leaving;

	if (!remote || l->remote || remote_end(remote, on_server_left, v)) {
		close_remote(v, remote);
		close_fd(fd);
		return;
	}
	l->remote = remote;
	l->fd = *fd;
	*fd = -1;
	snprintf(l->name, sizeof(l->name), "%s", name);
}

void vbd_server_forget(struct vbd_device *v)
{
	if (v->asked.said)
		xenbus_clear_error(v->env.bus);
	vbd_server_leave(v, v->asked.remote, v->asked.name, &v->asked.fd);
	vbd_server_none(&v->asked);
}

void vbd_server_free(struct vbd_device *v)
{
	vbd_server_forget(v);
	close_leaving(v);
}

/* ---- asking --------------------------------------------------------------------- */

static void on_server(void *arg, int err, const char *why)
{
	struct vbd_device *v = arg;
	struct vbd_asked *a = &v->asked;

	if (a->said)
		xenbus_clear_error(v->env.bus);
	a->said = false;
	a->known = !err;
	a->err = err;
	snprintf(a->why, sizeof(a->why), "%s: %s", a->name, why);
	v->env.changed(v->env.arg);
}

/* While a guest waits for it, people are to know; what serves the disk says it later. */
static void on_server_away(void *arg)
{
	struct vbd_device *v = arg;
	char text[XENBUS_TEXT_BYTES];

	if (v->asked.known || v->asked.said || !remote_is_away(v->asked.remote))
		return;
	remote_describe(v->asked.remote, text, sizeof(text));
	xenbus_write_error(v->env.bus, EAGAIN, text);
	v->asked.said = true;
}

static const struct remote_events server_events = {
	.opened = on_server, .changed = on_server_away,
};

static void ask(struct vbd_device *v)
{
	struct vbd_asked *a = &v->asked;
	struct remote_what what = {
		.config = v->env.config, .name = v->env.name, .log = v->env.log,
		.storage = a->storage, .cache = a->cache, .read_only = a->share == VBD_READ_ONLY,
		.patient = a->patient,
	};

	memcpy(what.image, a->name, sizeof(what.image));
	a->err = vbd_image_lock_asked(v, &a->fd, a->why, sizeof(a->why));
	if (a->err)
		return;
	what.image_fd = a->fd;
	a->err = remote_open(v->env.loop, &what, &server_events, v, &a->remote);
	if (a->err)
		snprintf(a->why, sizeof(a->why), "no process to reach the server of %.100s: %s",
			 a->name, strerror(-a->err));
}

/* False: name says nothing that a server could be asked for. */
static bool begin(struct vbd_device *v, const char *name, bool patient)
{
	struct vbd_asked *a = &v->asked;
	char why[256];

	if (storage_parse(name, &a->storage, why, sizeof(why)) ||
	    a->storage.kind == STORAGE_PATH) {
		vbd_server_none(a);
		return false;
	}
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->share = v->ts.share;
	a->cache = vbd_cache_of(&a->storage, &v->ts);
	a->patient = patient;
	return true;
}

/*
 * Whether the image is opened next (lifecycle.h), once it is known; and for a front end that
 * is there already, which waits however long that takes. Not for another medium: one that
 * cannot be had is none.
 */
static bool is_wanted(struct vbd_device *v, const struct lifecycle_view *view,
		      bool (*resumable)(struct vbd_device *, const struct lifecycle_view *),
		      bool *patient)
{
	bool may_open = !v->ts.hotplug_pending &&
			!(view->refused && view->refused_inputs == v->inputs);

	*patient = false;
	switch (view->back) {
	case XenbusStateInitialising:
	case XenbusStateInitWait:
	case XenbusStateInitialised:
		return may_open;
	case XenbusStateConnected:
	case XenbusStateClosing:
		*patient = !v->changing && !v->medium_changed;
		return resumable(v, view);
	case XenbusStateClosed:
		return may_open && v->ts.online && (view->front == XenbusStateInitialising ||
						    view->front == XenbusStateInitialised ||
						    view->front == XenbusStateConnected);
	default:
		return false;
	}
}

/* Of a front end whose words are not whole for a moment the server is kept. */
static bool is_kept(const struct vbd_device *v, const struct lifecycle_view *view)
{
	return v->asked.patient && (view->back == XenbusStateConnected ||
				    view->back == XenbusStateClosing);
}

/* The medium of a drive that a front end goes on with: it is to hear of the next one. */
static bool is_changed_meanwhile(const struct vbd_device *v, const char *name)
{
	return v->ts.cdrom && v->asked.patient && v->asked.name[0] &&
	       (!name || strcmp(name, v->asked.name));
}

bool vbd_server_awaited(struct vbd_device *v, const struct lifecycle_view *view,
			bool (*resumable)(struct vbd_device *v, const struct lifecycle_view *view))
{
	const char *name = v->ts.no_medium ? NULL : vbd_image_name(&v->ts);
	struct vbd_asked *a = &v->asked;
	bool patient, wanted;

	if (!v->complete || v->image_fd >= 0 || v->serve)
		return false;
	if (is_changed_meanwhile(v, name))
		v->medium_changed = true;
	wanted = name && storage_is_remote(name) && is_wanted(v, view, resumable, &patient);
	if (a->name[0] && (!name || !is_asked_for(v, name) || (!wanted && !is_kept(v, view))))
		vbd_server_forget(v);
	if (wanted && !a->name[0] && !begin(v, name, patient))
		return false;
	if (wanted && !a->remote && !a->err) {
		a->waits = is_being_left(v);
		if (!a->waits)
			ask(v);
	}
	return a->waits || (a->remote && !a->known && !a->err);
}

/*
 * While its server was waited for the name may have become another file's: who knows which of
 * them it has. Not of an image that the version before has had open.
 */
static bool is_renamed(const struct vbd_device *v)
{
	const struct vbd_asked *a = &v->asked;
	struct stat st;

	return a->storage.path[0] && !vbd_image_is_left_to_us(v, a->name) &&
	       !stat(a->storage.path, &st) && !image_is(a->fd, &st);
}

int vbd_server_take(struct vbd_device *v, char *why, size_t why_bytes)
{
	struct vbd_asked *a = &v->asked;

	if (!is_asked_for(v, v->image) || (!a->known && !a->err)) {
		snprintf(why, why_bytes, "%s: its server has not been asked yet", v->image);
		return DEVICE_LOOK_AGAIN;
	}
	if (a->err) {
		snprintf(why, why_bytes, "%s", a->why);
		return a->err;
	}
	if (is_renamed(v)) {
		vbd_server_forget(v);
		return DEVICE_LOOK_AGAIN;
	}
	remote_attend(a->remote, NULL, NULL);
	v->remote = a->remote;
	v->image_fd = a->fd;
	vbd_server_none(a);
	return 0;
}
