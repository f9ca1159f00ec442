/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tool stack says of a block device, and of one that is connected what it said
 * (vbd-device-internal.h).
 *
 * Hides: that of a disk in use a bad node changes nothing, whoever serves it next. Must not
 * know: images, what is published.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "device-limit.h"
#include "keys.h"
#include "util.h"

static uint64_t hash_inputs(const struct vbd_toolstack *ts, const char *complaint)
{
	uint64_t hash = device_hash(DEVICE_HASH, ts->params);
	const struct vbd_wishes *w = &ts->wishes;
	char flags[96];

	snprintf(flags, sizeof(flags), "%d%d%d%d%d%d%d%d", ts->share, ts->cache,
		 ts->grants, ts->cdrom, ts->removable, ts->discard_enable, ts->hotplug_pending,
		 ts->hotplug_error);
	hash = device_hash(hash, flags);
	snprintf(flags, sizeof(flags), "%u %u %d %u %d %d", w->logical_block_bytes,
		 w->physical_block_bytes, w->limits_segments, w->max_indirect_segments,
		 w->barriers_only, w->discard_secure);
	hash = device_hash(hash, ts->physical_device_path);
	return device_hash(device_hash(hash, flags), complaint);
}

/* A front end is connected, and goes on, with whoever serves it. */
static bool is_in_use(const struct vbd_device *v)
{
	return v->serve || v->env.bus->state == XenbusStateConnected ||
	       v->env.bus->state == XenbusStateClosing;
}

/* Of a disk in use a bad node changes nothing; before, open_store() refuses it. */
static void look_at_limit(struct vbd_device *v)
{
	bool changed = device_limit_look(&v->limit, &v->env, is_in_use(v));

	if (v->limit.why[0] && !v->serve && is_in_use(v))
		device_limit_recall(&v->limit, &v->env);
	if (!changed || !v->serve)
		return;
	vbd_serve_limit(v->serve, &v->limit.limit);
	if (v->is_ready)
		device_limit_tell(&v->limit, &v->env, false);
}

void vbd_words_told(const struct vbd_device *v, struct vbd_features *out)
{
	if (vbd_read_features(v->env.bus->xs, v->env.bus->nodename, out, NULL))
		memset(out, 0, sizeof(*out));
}

/* ---- what a daemon before us has had -------------------------------------------- */

static bool info_word(const struct vbd_device *v, const char *key, char *buf, size_t bytes)
{
	return !rundir_read_info(&v->env.config->rundir, &v->env.name, key, buf, bytes);
}

static void recall_wishes(const struct vbd_device *v, const struct vbd_features *told,
			  struct vbd_wishes *w)
{
	uint64_t seconds;
	char text[32];

	*w = (struct vbd_wishes){
		.limits_segments = true,
		.max_indirect_segments = MIN(told->max_indirect_segments,
					     VBD_INDIRECT_SEGMENTS_MAX),
		.barriers_only = told->barrier && !told->flush,
		.discard_secure = told->discard_secure ? VBD_SECURE_OVERWRITE :
							 VBD_SECURE_NEVER,
	};
	if (!info_word(v, "waits-seconds", text, sizeof(text)) ||
	    parse_u64(text, VBD_IO_TIMEOUT_MAX_S, &seconds))
		return;
	w->limits_io = true;
	w->io_timeout_s = (uint32_t)seconds;
}

/*
 * From what it has published and noted. Not the image: a mirror may have made another of it.
 * Returns what is bad still.
 */
static uint32_t recall(const struct vbd_device *v, struct vbd_toolstack *ts, uint32_t bad)
{
	struct vbd_features told = v->told;
	char text[32];

	if (!v->resuming)
		vbd_words_told(v, &told);
	bad &= ~VBD_PART_ONLINE;
	if (bad & VBD_PART_TYPE)
		ts->cdrom = told.cdrom;
	if (bad & VBD_PART_FLAGS) {
		ts->removable = told.removable;
		ts->discard_enable = told.discard;
	}
	if (bad & VBD_PART_WISHES)
		recall_wishes(v, &told, &ts->wishes);
	bad &= ~(VBD_PART_TYPE | VBD_PART_FLAGS | VBD_PART_WISHES);
	if ((bad & VBD_PART_MODE) && info_word(v, "mode", text, sizeof(text)) &&
	    !vbd_share_parse(text, &ts->share))
		bad &= ~VBD_PART_MODE;
	if ((bad & VBD_PART_CACHE) && info_word(v, "cache", text, sizeof(text)) &&
	    !vbd_cache_parse(text, &ts->cache))
		bad &= ~VBD_PART_CACHE;
	if ((bad & VBD_PART_GRANTS) && info_word(v, "grants", text, sizeof(text)) &&
	    !vbd_grants_parse(text, &ts->grants))
		bad &= ~VBD_PART_GRANTS;
	return bad;
}

/* ---- reading ---------------------------------------------------------------------- */

static void say_kept(struct vbd_device *v, const char *why)
{
	uint64_t hash = why[0] ? device_hash(DEVICE_HASH, why) : 0;

	if (hash && hash != v->said_bad)
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "%s; the disk is in use, and stays as "
			    "it is", why);
	v->said_bad = hash;
}

/* What is to be gone by instead of what is bad; false: nothing. */
static bool keep(struct vbd_device *v, struct vbd_toolstack *ts, uint32_t bad)
{
	char text[XENBUS_PATH_BYTES];
	bool online = ts->online;

	if (v->serve) {
		vbd_free_toolstack(ts);
		*ts = v->ts;
		ts->online = online;
		memset(&v->ts, 0, sizeof(v->ts));
		return true;
	}
	/* It has been served: noted when a worker was to be started. */
	return is_in_use(v) && info_word(v, "frontend", text, sizeof(text)) &&
	       !recall(v, ts, bad);
}

int vbd_words_read(struct vbd_device *v, char *why, size_t why_bytes)
{
	struct key_error err = { .expected = "" };
	struct vbd_toolstack ts;
	uint32_t bad;
	int unread = vbd_read_toolstack_parts(v->env.bus->xs, v->env.bus->nodename, &ts, &bad,
					      &err);
	int rc = unread;

	why[0] = '\0';
	if (rc && rc != -ENOENT && rc != -EINVAL) {
		snprintf(why, why_bytes, "XenStore: %s", strerror(-rc));
		return rc;
	}
	if (rc)
		device_say_key(&err, "the tool stack", why, why_bytes);
	if (v->env.config->driver_domain)
		ts.hotplug_pending = false;
	bad &= ~vbd_recall(v, &ts);
	if (!(bad & VBD_PART_IMAGE) && !vbd_image_name(&ts) && !ts.hotplug_pending &&
	    !ts.no_medium) {
		bad |= VBD_PART_IMAGE;
		rc = rc ? rc : -ENOENT;
		if (!unread)
			snprintf(why, why_bytes, "the tool stack's params is missing, expected "
				 "the path of an image file or block device");
	}
	if (rc && keep(v, &ts, bad)) {
		rc = unread = 0;
	} else if (unread) {
		vbd_free_toolstack(&ts);
		ts.online = true;
	}
	vbd_free_toolstack(&v->ts);
	v->ts = ts;
	look_at_limit(v);
	v->inputs = device_hash(hash_inputs(&v->ts, why), v->limit.why);
	say_kept(v, rc ? "" : why);
	if (!rc)
		why[0] = '\0';
	return rc;
}
