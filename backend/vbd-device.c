/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block device of the back end (vbd-device.h).
 *
 * Hides: which image the nodes mean, what is published about it. Must not know:
 * states, watches, processes.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "device-limit.h"
#include "journal.h"
#include "keys.h"
#include "util.h"

static void leave(struct vbd_device *v)
{
	struct vbd_device **at = &v->common->devices;

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
}

static void vbd_device_free(struct device *d)
{
	struct vbd_device *v = vbd_of(d);

	if (!v)
		return;
	if (v->common->coming == v)
		v->common->coming = NULL;
	if (v->serve)
		vbd_image_ask_elder(v);	/* a worker that is left to the next daemon */
	vbd_serve_free(v->serve);
	former_free(v->former);
	vbd_mirror_free(v);
	vbd_image_free(v);
	vbd_free_toolstack(&v->ts);
	leave(v);
	free(v);
}

static int vbd_device_new(const struct device_env *env, struct device **out)
{
	struct vbd_device *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->device.kind = &vbd_kind;
	v->env = *env;
	v->common = env->common;
	v->limit.of = LIMIT_OF_DISK;
	v->image_fd = v->elder_fd = v->leaving.fd = -1;
	vbd_server_none(&v->asked);
	vbd_take_left(v);
	v->next = v->common->devices;
	v->common->devices = v;
	*out = &v->device;
	return 0;
}

/* ---- look ----------------------------------------------------------------- */

/* Asked only of a device whose 4 or 5 a predecessor must have written. */
static bool resumable(struct vbd_device *v, const struct lifecycle_view *view)
{
	struct vbd_features limits = { .max_ring_order = VBD_RING_ORDER_MAX,
				       .max_queues = VBD_QUEUES_MAX };

	if (!view->exists || v->serve || v->failed || (view->back != XenbusStateConnected &&
				      view->back != XenbusStateClosing))
		return false;
	return !vbd_read_frontend(v->env.bus->xs, v->env.bus->otherend, &limits, &v->front,
				  NULL) && device_journal_fits(&vbd_kind, &v->env, &v->said_format) &&
	       vbd_serve_resumable(&v->env.config->rundir, &v->env.name, v->env.bus->otherend,
				   &v->front);
}

/*
 * What served it and is not wanted any more may wait for its storage, for as long as that
 * takes: nothing is opened before it has ended, nor is the device forgotten, since that would
 * wait for it, and all other devices with it.
 */
static bool is_ending(const struct vbd_device *v, bool exists)
{
	return !v->serve && (v->leaving.remote || (!exists && v->mirror.run));
}

static enum lifecycle_worker worker_phase(struct vbd_device *v, bool exists)
{
	v->awaits_turn = v->common->coming && vbd_is_left_to_us(v, TAKEOVER_WORKER);
	if (v->stopping || v->awaits_turn || is_ending(v, exists) || vbd_mirror_holds_back(v))
		return LIFECYCLE_STOPPING;
	if (!v->serve)
		return LIFECYCLE_IDLE;
	return v->is_ready ? LIFECYCLE_SERVING : LIFECYCLE_STARTING;
}

/* Also asked when nothing is known to have changed: `paravane resize`. */
static void look_at_size(struct vbd_device *v)
{
	uint64_t bytes;
	int rc;

	if (v->image_fd < 0)
		return;
	rc = vbd_image_measure(v, &bytes);
	if (rc) {
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "%s: its size: %s", v->image,
			    strerror(-rc));
		return;
	}
	if (bytes / VBD_SECTOR_BYTES == v->features.sectors)
		return;
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "%s: has %llu sectors, had %llu", v->image,
		    (unsigned long long)bytes / VBD_SECTOR_BYTES,
		    (unsigned long long)v->features.sectors);
	v->features.sectors = bytes / VBD_SECTOR_BYTES;
	if (v->serve && !v->stopping)
		vbd_serve_resize(v->serve, v->features.sectors);
}

static const char *medium_name(const struct vbd_toolstack *ts)
{
	return ts->no_medium ? VBD_NO_MEDIUM : vbd_image_name(ts);
}

/*
 * A CD in another drive than was opened. The front end stays connected: the worker
 * leaves as for a daemon that takes over, and the next one has the new medium.
 */
static void look_at_medium(struct vbd_device *v)
{
	const char *name = medium_name(&v->ts);

	if (!v->ts.cdrom || !v->complete || v->image_fd < 0 || !name ||
	    device_hash(DEVICE_HASH, name) == v->medium)
		return;
	if (!v->serve) {
		vbd_image_release(v);
	} else if (v->is_ready && !v->stopping) {
		log_peer_at(v->env.log, LOG_LEVEL_INFO, "the medium was %s, is to be %s",
			    v->image, name);
		v->changing = v->stopping = true;
		vbd_serve_stop(v->serve, true);
	}
}

/* It has gone: its mirror, and a server that was asked for an image and not used. */
static void let_all_end(struct vbd_device *v)
{
	vbd_mirror_gone(v);
	vbd_server_forget(v);
}

static int vbd_device_look(struct device *d, struct lifecycle_view *view, char *why,
			   size_t why_bytes)
{
	struct vbd_device *v = vbd_of(d);
	int rc = view->exists ? vbd_words_read(v, why, why_bytes) : -ENOENT;

	if (rc && rc != -ENOENT && rc != -EINVAL)
		return rc;
	v->complete = rc != -ENOENT;
	look_at_medium(v);	/* or the next one's server would not be asked */
	view->complete = v->complete && !vbd_server_awaited(v, view, resumable);
	view->online = v->ts.online;
	view->script_pending = v->ts.hotplug_pending && !v->ts.hotplug_error;
	view->script_failed = v->ts.hotplug_error;
	if (view->exists)
		vbd_mirror_look(v, view->back);
	else if (!v->serve)
		let_all_end(v);
	view->worker = worker_phase(v, view->exists);
	view->put_off = v->mirror.put_off;
	view->ready = v->image_fd >= 0;
	view->failed = v->failed;
	view->resumable = resumable(v, view);
	view->differs = !v->serve && device_differs(&vbd_kind, &v->env, view, &v->said_format);
	look_at_size(v);
	view->resized = v->is_ready && v->features.sectors != v->published_sectors &&
			v->features.sectors == vbd_serve_sectors(v->serve);
	return 0;
}

static uint64_t vbd_device_inputs(const struct device *d)
{
	return vbd_of(d)->inputs;
}

static const struct failure *vbd_device_failure(const struct device *d)
{
	return &vbd_of(d)->failure;
}

/* ---- image and features --------------------------------------------------- */

static enum vbd_grants grants_of(const struct vbd_device *v)
{
	return v->ts.grants == VBD_GRANTS_DEFAULT ? v->common->config->grants : v->ts.grants;
}

/* A front end that is offered persistent grants copies everything itself. */
static bool offers_persistent(const struct vbd_device *v)
{
	enum vbd_grants grants = grants_of(v);

	return v->common->config->persistent_pages &&
	       (grants == VBD_GRANTS_AUTO || grants == VBD_GRANTS_PERSISTENT);
}

static uint32_t max_segments(const struct vbd_device *v)
{
	const struct vbd_wishes *w = &v->ts.wishes;
	uint32_t nr = w->limits_segments ? w->max_indirect_segments :
		      v->common->config->max_segments;

	return w->barriers_only ? 0 : MAX(nr, v->least_segments);
}

static void own_features(struct vbd_device *v)
{
	v->features = (struct vbd_features){
		.sector_bytes = VBD_SECTOR_BYTES,
		.read_only = v->ts.share == VBD_READ_ONLY,
		.cdrom = v->ts.cdrom,
		.removable = v->ts.removable,
		.flush = !v->ts.wishes.barriers_only,
		.barrier = true,
		.persistent = offers_persistent(v),
		.max_indirect_segments = max_segments(v),
		.max_ring_order = VBD_RING_ORDER_MAX,
		.max_queues = WORKER_MAX_QUEUES,
	};
}

static bool offers_secure(const struct vbd_device *v)
{
	switch (v->ts.wishes.discard_secure) {
	case VBD_SECURE_NEVER: return false;
	case VBD_SECURE_OVERWRITE: return true;
	default: return v->info.discard_secure;
	}
}

/*
 * Without multi-conn a flush by one connection says nothing of another's writes; and what
 * a server of ours may lose is written again in order, so that one connection made it.
 */
static void server_features(struct vbd_device *v)
{
	const struct remote_info *info = remote_info(v->remote);

	if (!info->multi_conn || v->storage.kind == STORAGE_SERVED)
		v->features.max_queues = MAX(v->least_queues, 1);
	if (!info->flush)
		v->features.flush = v->features.barrier = false;
}

static void image_features(struct vbd_device *v)
{
	const struct image_info *info = &v->info;

	own_features(v);
	if (v->remote)
		server_features(v);
	v->features.sectors = info->bytes / VBD_SECTOR_BYTES;
	v->features.sector_bytes = info->sector_bytes;
	v->features.physical_sector_bytes = info->physical_sector_bytes;
	if (!info->discard || !v->ts.discard_enable || v->features.read_only)
		return;
	v->features.discard = true;
	v->features.discard_secure = offers_secure(v);
	v->features.discard_granularity_bytes = info->discard_granularity_bytes;
	v->features.discard_alignment_bytes = info->discard_alignment_bytes;
}

struct publish {
	const char *dir;
	const struct vbd_features *features;
};

/* Not into a directory that has gone: it would come back. */
static int publish_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct publish *p = arg;

	if (!xenbus_exists(xs, t, p->dir))
		return -ENOENT;
	return vbd_write_features(xs, t, p->dir, p->features);
}

static int publish(struct vbd_device *v)
{
	struct publish p = { .dir = v->env.bus->nodename, .features = &v->features };
	int rc = xenbus_transact(v->env.bus->xs, publish_in, &p);

	if (!rc)
		v->published_sectors = v->features.sectors;
	return rc;
}

static int vbd_device_resized(struct device *d)
{
	struct vbd_device *v = vbd_of(d);
	int rc = vbd_write_size(v->env.bus, v->features.sectors);

	if (!rc)
		v->published_sectors = v->features.sectors;
	return rc;
}

/* Sectors are the script's secret yet: front ends read them at state 4. */
static int vbd_device_announce(struct device *d)
{
	own_features(vbd_of(d));
	return publish(vbd_of(d));
}

static bool vbd_device_is_open(const struct device *d)
{
	return vbd_of(d)->image_fd >= 0;
}

static void on_image(void *arg)
{
	struct vbd_device *v = arg;

	v->env.changed(v->env.arg);
}

/* Without a watch the size is seen when something else makes us look. */
void vbd_image_watch(struct vbd_device *v)
{
	int rc = image_watch_add(v->common->watches, v->image_fd, on_image, v, &v->watch);

	if (rc)
		log_warning("%s: %s: a change of its size is not noticed: %s",
			    v->env.log->who, v->image, strerror(-rc));
}

/* Cut, it would be another's. */
static int name_image(struct vbd_device *v, const char *name, char *why, size_t why_bytes)
{
	v->medium = device_hash(DEVICE_HASH, name);
	snprintf(v->image, sizeof(v->image), "%s", name);
	return strcmp(v->image, name) ? storage_parse(name, &v->storage, why, why_bytes) : 0;
}

/* What can be told to be wrong without opening anything. */
static int check_words(const struct vbd_device *v, char *why, size_t why_bytes)
{
	if (v->limit.why[0] && !v->serve && !v->resuming) {
		snprintf(why, why_bytes, "%s", v->limit.why);
		return -EINVAL;
	}
	if (!vbd_image_name(&v->ts) && !v->ts.no_medium) {
		snprintf(why, why_bytes, "the hotplug script wrote no "
			 KEY_PHYSICAL_DEVICE_PATH ", and " KEY_PARAMS " has no path");
		return -EINVAL;
	}
	return 0;
}

static int publish_features(struct vbd_device *v, char *why, size_t why_bytes)
{
	int rc;

	image_features(v);
	rc = publish(v);
	if (rc)
		snprintf(why, why_bytes, "features cannot be published: %s", strerror(-rc));
	return rc;
}

static int open_named(struct vbd_device *v, char *why, size_t why_bytes)
{
	int rc = name_image(v, medium_name(&v->ts), why, why_bytes);

	v->share = v->ts.share;
	v->cache = v->ts.cache;
	v->grants = grants_of(v);
	if (!rc)
		rc = vbd_image_open(v, why, why_bytes);
	return rc ? rc : publish_features(v, why, why_bytes);
}

/* Whatever it fails for, nothing is left open, and no server is; but look() may ask another. */
static int open_store(struct vbd_device *v, char *why, size_t why_bytes)
{
	int rc = vbd_words_read(v, why, why_bytes);

	if (!rc)
		rc = check_words(v, why, why_bytes);
	if (!rc)
		rc = open_named(v, why, why_bytes);
	if (rc == DEVICE_LOOK_AGAIN)
		return rc;
	if (rc)
		vbd_image_release(v);
	else if (!v->remote)
		vbd_image_watch(v);
	return rc;
}

static int vbd_device_open(struct device *d, char *why, size_t why_bytes)
{
	struct vbd_device *v = vbd_of(d);

	v->resuming = v->medium_changed = false;	/* of another device of its name */
	return open_store(v, why, why_bytes);
}

static void vbd_device_release(struct device *d)
{
	vbd_image_release(vbd_of(d));
}

static void vbd_device_closed(struct device *d)
{
	struct vbd_device *v = vbd_of(d);

	vbd_mirror_unserved(v, WORKER_END_FAILED);
	v->failed = v->changing = v->resuming = v->medium_changed = false;
	v->least_segments = v->least_queues = 0;
	close_fd(&v->elder_fd);
	/* A predecessor's, if it has not been resumed. */
	rundir_remove(&v->env.config->rundir, &v->env.name);
}

/* ---- serving -------------------------------------------------------------- */

/* Tried again and again, and said once. */
static void on_waits(void *arg, const struct failure *why)
{
	struct vbd_device *v = arg;
	uint64_t hash = device_hash(DEVICE_HASH, why->reason);

	if (hash == v->said_wait)
		return;
	v->said_wait = hash;
	log_peer_at(v->env.log, LOG_LEVEL_ERROR, "%s; its guest waits, and it is tried again",
		    why->reason);
	xenbus_write_error(v->env.bus, why->err, why->reason);
}

static void waits_no_more(struct vbd_device *v)
{
	if (v->said_wait)
		xenbus_clear_error(v->env.bus);
	v->said_wait = 0;
}

/*
 * A server that is away comes back by itself, as a rule. One whose image's name is another file's
 * does when somebody mends that.
 */
static void on_server(void *arg)
{
	struct vbd_device *v = arg;
	bool awaits = remote_awaits_name(v->remote);
	char text[XENBUS_TEXT_BYTES];

	if (awaits == v->said_name)
		return;
	v->said_name = awaits;
	remote_describe(v->remote, text, sizeof(text));
	if (awaits)
		xenbus_write_error(v->env.bus, ESTALE, text);
	else
		xenbus_clear_error(v->env.bus);
}

static void on_ready(void *arg)
{
	struct vbd_device *v = arg;

	waits_no_more(v);
	if (!v->is_ready)
		log_debug("%s: worker ready after %llu ms", v->env.log->who,
			  (unsigned long long)(now_ms() - v->connect_ms));
	if (!v->is_ready)
		device_limit_tell(&v->limit, &v->env, v->resumed);
	v->is_ready = true;
	vbd_has_come(v);
	vbd_mirror_served(v);
	v->env.changed(v->env.arg);
}

static void on_lingers(void *arg)
{
	vbd_has_come(arg);
}

static void on_ended(void *arg, const struct worker_report *report)
{
	struct vbd_device *v = arg;

	v->failed = report->end != WORKER_END_STOPPED && !v->stopping;
	v->failure = report->failure;
	if (report->end == WORKER_END_KILLED)
		log_peer_at(v->env.log, LOG_LEVEL_ERROR,
			    "the worker did not stop in time and was killed");
	else if (report->end != WORKER_END_STOPPED && v->stopping)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "while stopping: %s",
			    report->failure.reason);
	vbd_serve_free(v->serve);
	v->serve = NULL;
	v->is_ready = false;
	waits_no_more(v);
	if (v->said_name)
		xenbus_clear_error(v->env.bus);
	v->said_name = false;
	if (v->common->ending)
		vbd_image_ask_elder(v);
	v->stopping = true;	/* looked at from in there, it is not forgotten yet */
	vbd_mirror_unserved(v, report->end);
	vbd_has_come(v);
	v->stopping = false;
	if (v->changing || (v->common->ending && v->remote))
		vbd_image_release(v);
	v->env.changed(v->env.arg);
}

static void on_resized(void *arg)
{
	struct vbd_device *v = arg;

	v->env.changed(v->env.arg);
}

static void on_mirrored(void *arg)
{
	vbd_mirror_marks(arg);
}

static const struct vbd_serve_events serve_events = {
	.mirrored = on_mirrored,
	.ready = on_ready,
	.lingers = on_lingers,
	.resized = on_resized,
	.waits = on_waits,
	.server = on_server,
	.ended = on_ended,
};

static int read_front(struct vbd_device *v, struct vbd_frontend *front, char *why,
		      size_t why_bytes)
{
	struct key_error err = { .expected = "" };
	int rc = vbd_read_frontend(v->env.bus->xs, v->env.bus->otherend, &v->features, front,
				   &err);

	if (rc)
		device_say_key(&err, "the front end", why, why_bytes);
	return rc;
}

/* What it connected with is its journal's word by now: another version served it. */
static int take_front(const struct vbd_device *v, struct vbd_frontend *front, char *why,
		      size_t why_bytes)
{
	*front = v->front;
	if (front->nr_queues <= v->features.max_queues)
		return 0;
	snprintf(why, why_bytes, "it has %u rings, expected at most %u", front->nr_queues,
		 v->features.max_queues);
	return -EINVAL;
}

static int serve(struct vbd_device *v, bool resume, char *why, size_t why_bytes)
{
	const struct blkback_config *config = v->common->config;
	struct vbd_serve_what what = {
		.config = config, .name = v->env.name, .log = v->env.log,
		.image_fd = v->image_fd, .image = v->image, .mode = vbd_share_name(v->share),
		.frontend = v->env.bus->otherend, .remote = v->remote,
		.mirror_map = vbd_mirror_map(v), .mirror_bytes = vbd_mirror_bytes(v),
		.start = {
			.domid = v->env.bus->domid,
			.frontend_id = v->env.frontend_id, .devid = v->env.devid,
			.features = v->features, .engine = config->engine,
			.grants = v->grants, .share = v->share, .cache = v->cache,
			.persistent_pages = config->persistent_pages,
			.persistent_idle_ms = config->persistent_idle_ms,
			.poll_us = config->poll_us,
			.image_is_device = v->info.is_device,
			.secure_overwrite = v->features.discard_secure &&
					    !v->info.discard_secure,
			.remote = v->remote != NULL,
			.keeps_unflushed = v->storage.kind == STORAGE_SERVED,
			.io_timeout_ms = v->ts.wishes.limits_io ?
				1000 * v->ts.wishes.io_timeout_s : config->io_timeout_ms,
			.limit = v->limit.limit,
		},
	};
	int rc = vbd_image_open_elder(v, resume);

	what.elder_fd = v->elder_fd;
	if (v->storage.kind == STORAGE_NBD)	/* a server of ours has one, without a name */
		strcpy(what.start.export, v->storage.export);
	v->connect_ms = now_ms();
	v->resumed = resume;
	if (rc) {
		snprintf(why, why_bytes, "%s: %s", v->image, strerror(-rc));
		return rc;
	}
	rc = resume ? take_front(v, &what.start.front, why, why_bytes) :
		      read_front(v, &what.start.front, why, why_bytes);
	if (rc)
		return rc;
	rc = vbd_serve_start(v->env.loop, &what, resume, &serve_events, v, &v->serve);
	if (rc)
		snprintf(why, why_bytes, "no worker process could be started: %s",
			 strerror(-rc));
	return rc;
}

static int vbd_device_connect(struct device *d, char *why, size_t why_bytes)
{
	struct vbd_device *v = vbd_of(d);
	/* Resized since it was opened: front ends read it once we are at 4. */
	int rc = v->features.sectors == v->published_sectors ? 0 : publish(v);

	if (rc)
		snprintf(why, why_bytes, "features cannot be published: %s",
			 strerror(-rc));
	return rc ? rc : serve(v, false, why, why_bytes);
}

/* Of a sector size that the front end has not been told, it would ask for parts. */
static int check_medium(const struct vbd_device *v, const struct vbd_features *before,
			char *why, size_t why_bytes)
{
	if (v->info.sector_bytes == before->sector_bytes)
		return 0;
	snprintf(why, why_bytes, "%s: has sectors of %u bytes, expected %u as the medium "
		 "before; detach the drive, and attach it with this one", v->image,
		 v->info.sector_bytes, before->sector_bytes);
	return -EINVAL;
}

/* A medium that cannot be had is none, and no reason to take the drive away. */
static int open_medium(struct vbd_device *v, const struct vbd_features *before, char *why,
		       size_t why_bytes)
{
	int rc = open_store(v, why, why_bytes);

	if (rc == DEVICE_LOOK_AGAIN)
		return rc;
	if (!rc)
		rc = check_medium(v, before, why, why_bytes);
	if (!rc) {
		xenbus_clear_error(v->env.bus);
		return 0;
	}
	log_peer_at(v->env.log, LOG_LEVEL_ERROR, "%s", why);
	xenbus_write_error(v->env.bus, -rc, why);
	vbd_image_release(v);
	strcpy(v->image, VBD_NO_MEDIUM);
	rc = image_open_none(&v->image_fd, &v->info);
	if (!rc) {
		image_features(v);
		rc = publish(v);
	}
	if (rc)
		snprintf(why, why_bytes, "no drive without a medium: %s", strerror(-rc));
	return rc;
}

/* Its drive has none, or none that can be had. */
static bool was_empty(const struct vbd_device *v)
{
	char image[sizeof(VBD_NO_MEDIUM) + 1];

	return !rundir_read_info(&v->env.config->rundir, &v->env.name, "image", image,
				 sizeof(image)) && !strcmp(image, VBD_NO_MEDIUM);
}

static int vbd_device_resume(struct device *d, bool *by_peer, char *why, size_t why_bytes)
{
	struct vbd_device *v = vbd_of(d);
	int rc = 0;

	(void)by_peer;
	/* What is published then is our own: the front end has not been told of it. */
	if (!v->resuming)
		vbd_words_told(v, &v->told);
	v->resuming = true;
	v->medium_changed |= v->changing;
	v->changing = false;
	v->least_segments = MIN(v->told.max_indirect_segments, VBD_INDIRECT_SEGMENTS_MAX);
	v->least_queues = MIN(v->told.max_queues, WORKER_MAX_QUEUES);
	if (v->image_fd < 0)
		rc = v->medium_changed || was_empty(v) ?
			open_medium(v, &v->told, why, why_bytes) :
			open_store(v, why, why_bytes);
	else if (v->mirror.pivoted)
		/* It may be less; the front end goes on with what it has seen, and is refused it. */
		rc = publish_features(v, why, why_bytes);
	if (rc)
		return rc;
	v->mirror.pivoted = false;
	/* Another medium is said, even one of the same size. */
	v->published_sectors = v->medium_changed ? UINT64_MAX : v->told.sectors;
	if (vbd_is_left_to_us(v, TAKEOVER_WORKER))
		v->common->coming = v;
	rc = serve(v, true, why, why_bytes);
	if (rc)
		vbd_has_come(v);	/* or all others would wait for it */
	else
		v->resuming = v->medium_changed = false;
	return rc;
}

static void vbd_device_stop(struct device *d, bool keep)
{
	struct vbd_device *v = vbd_of(d);

	v->stopping = true;
	vbd_serve_stop(v->serve, keep);
}

static bool vbd_device_is_served(const struct device *d)
{
	return vbd_of(d)->serve;
}

/* ---- the kind ------------------------------------------------------------- */

static int vbd_kind_open(const struct device_kind_env *env, void **common)
{
	struct vbd_common *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->config = (const struct blkback_config *)env->config;
	rc = image_watches_open(env->loop, &c->watches);
	if (rc) {
		free(c);
		return rc;
	}
	*common = c;
	return 0;
}

static void vbd_kind_close(void *common)
{
	struct vbd_common *c = common;

	image_watches_close(c->watches);
	free(c);
}

/* All servers at once, each when its worker has ended: one after the other would take long. */
static void vbd_kind_shutdown(void *common)
{
	struct vbd_common *c = common;

	c->ending = true;
	for (struct vbd_device *v = c->devices; v; v = v->next) {
		if (v->serve)
			continue;
		vbd_image_ask_elder(v);
		if (v->remote || v->asked.name[0])
			vbd_image_release(v);
	}
}

static bool vbd_kind_is_idle(const void *common)
{
	const struct vbd_common *c = common;

	for (const struct vbd_device *v = c->devices; v; v = v->next)
		if (v->leaving.remote || (v->mirror.run && !v->mirror.step &&
				   !mirror_is_over(v->mirror.run)))
			return false;
	return true;
}

const struct device_kind vbd_kind = {
	.open = vbd_kind_open, .close = vbd_kind_close,
	.shutdown = vbd_kind_shutdown, .is_idle = vbd_kind_is_idle,
	.new = vbd_device_new, .free = vbd_device_free,
	.look = vbd_device_look, .inputs = vbd_device_inputs,
	.failure = vbd_device_failure, .announce = vbd_device_announce,
	.open_store = vbd_device_open, .is_open = vbd_device_is_open,
	.connect = vbd_device_connect, .resume = vbd_device_resume,
	.resized = vbd_device_resized, .stop = vbd_device_stop,
	.is_served = vbd_device_is_served, .release = vbd_device_release,
	.closed = vbd_device_closed,
	.is_left = vbd_is_left, .let_go = vbd_device_let_go,
	.unsettled = vbd_kind_unsettled, .cannot_leave = vbd_kind_cannot_leave,
	.hand_over = vbd_kind_hand_over,
	.read_pause = journal_read_pause, .check_format = journal_check_format,
};
