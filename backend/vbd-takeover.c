/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block devices, while one version of the daemon takes over from another (takeover.h).
 *
 * Hides: what a device leaves and is left, whose turn it is. Must not know: what is
 * published, how a program is replaced.
 */
#include "vbd-device-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "util.h"

/* ---- the version that comes ------------------------------------------------------- */

bool vbd_is_left_to_us(const struct vbd_device *v, const char *what)
{
	char title[VBD_SERVE_TITLE_BYTES];

	vbd_serve_title(&v->env.name, title);
	return takeover_has(v->env.config->takeover, what, title);
}

void vbd_take_left(struct vbd_device *v)
{
	char title[VBD_SERVE_TITLE_BYTES], text[sizeof(v->left.name) + 32];
	autoclose int fd = -1;
	int share, cache, at = 0;
	ssize_t n;

	vbd_serve_title(&v->env.name, title);
	fd = takeover_take(v->env.config->takeover, TAKEOVER_WORDS, title, NULL);
	n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, VBD_SERVE_WORDS "%n", &share, &cache, &at) != 2 || !at ||
	    strlen(text + at) >= sizeof(v->left.name))
		return;
	strcpy(v->left.name, text + at);
	v->left.share = (enum vbd_share)share;
	v->left.cache = (enum vbd_cache)cache;
}

uint32_t vbd_recall(const struct vbd_device *v, struct vbd_toolstack *ts)
{
	XenbusState state = v->env.bus->state;
	char *name;

	if (!v->left.name[0] || !vbd_is_left_to_us(v, TAKEOVER_WORKER) ||
	    (state != XenbusStateConnected && state != XenbusStateClosing))
		return 0;
	name = strdup(v->left.name);
	if (!name)
		return 0;
	free(ts->params);
	free(ts->physical_device_path);
	ts->params = name;
	ts->physical_device_path = NULL;
	ts->share = v->left.share;
	ts->cache = v->left.cache;
	return VBD_PART_IMAGE | VBD_PART_MODE | VBD_PART_CACHE;
}

bool vbd_is_left(const struct device *d)
{
	return vbd_is_left_to_us(vbd_of((struct device *)d), TAKEOVER_WORKER);
}

bool vbd_image_is_left_to_us(const struct vbd_device *v, const char *name)
{
	char title[VBD_SERVE_TITLE_BYTES];

	vbd_serve_title(&v->env.name, title);
	return takeover_is_for(v->env.config->takeover, TAKEOVER_IMAGE, title, name);
}

static struct vbd_device *find_waiting(const struct vbd_common *c)
{
	struct vbd_device *v = c->devices;

	while (v && !v->awaits_turn)
		v = v->next;
	return v;
}

void vbd_has_come(struct vbd_device *v)
{
	struct vbd_common *c = v->common;
	struct vbd_device *next;

	if (c->coming != v)
		return;
	c->coming = NULL;
	/* From the beginning each time: a look may free it. */
	while (!c->coming && (next = find_waiting(c))) {
		next->awaits_turn = false;
		next->env.changed(next->env.arg);
	}
}

void vbd_device_let_go(struct device *d)
{
	struct vbd_device *v = vbd_of(d);
	const struct backend_config *config = v->env.config;
	char title[VBD_SERVE_TITLE_BYTES];
	const struct former_options o = {
		.loop = v->env.loop, .takeover = config->takeover, .title = title,
		.who = v->env.log->who, .stop_ms = config->stop_ms,
	};

	vbd_serve_title(&v->env.name, title);
	if (!former_adopt(&o, &v->former))
		former_hang_up(v->former);
}

/* ---- the version that leaves ------------------------------------------------------ */

/*
 * A server of ours that no worker uses yet, or NULL: the image is its own, and it cannot be had
 * twice.
 */
static struct remote *idle_server(const struct vbd_device *v)
{
	if (v->serve)
		return NULL;
	if (v->remote)
		return v->storage.kind == STORAGE_SERVED ? v->remote : NULL;
	return v->asked.storage.kind == STORAGE_SERVED && !v->asked.err ? v->asked.remote : NULL;
}

/* Over, and all that is due is to serve it again: another version may succeed where this fails. */
static bool is_mirrored(const struct vbd_device *v)
{
	return v->mirror.step && (v->serve || v->mirror.step != VBD_MIRROR_RESUMING);
}

static bool is_settled(const struct vbd_device *v, bool coming)
{
	if (v->mirror.run || is_mirrored(v) || v->leaving.remote || v->stopping)
		return false;
	/* What the version before left has been taken; its successor can wait for the others. */
	if (!v->serve)
		return coming || !idle_server(v) || remote_is_settled(idle_server(v));
	if (coming && vbd_serve_lingers(v->serve))
		return true;
	return v->is_ready && vbd_serve_is_settled(v->serve) &&
	       (!v->remote || remote_is_settled(v->remote));
}

const char *vbd_kind_unsettled(const void *common, bool coming)
{
	const struct vbd_common *c = common;

	for (const struct vbd_device *v = c->devices; v; v = v->next)
		if (!is_settled(v, coming))
			return v->env.log->who;
	return NULL;
}

/*
 * Another version would find its rings in the run directory, and its image by name or by what it
 * is left.
 */
static bool cannot_be_resumed(const struct vbd_device *v, char *why, size_t why_bytes)
{
	char what[TAKEOVER_REASON_BYTES - 64];

	if (!v->serve || (!vbd_serve_note(v->serve, what, sizeof(what)) &&
			  !vbd_image_try(v, what, sizeof(what))))
		return false;
	snprintf(why, why_bytes, "%.40s: %s", v->env.log->who, what);
	return true;
}

/* What is on its way to a server that is away can only be waited for by who sent it. */
bool vbd_kind_cannot_leave(const void *common, char *why, size_t why_bytes)
{
	const struct vbd_common *c = common;
	const struct remote *remote;
	bool away;

	for (const struct vbd_device *v = c->devices; v; v = v->next) {
		if (v->mirror.run) {
			snprintf(why, why_bytes, "%s: a mirror to %.100s runs, which is not handed "
				 "over: wait for its end, or end it (paravane mirror --cancel)",
				 v->env.log->who, v->mirror.wish.target);
			return true;
		}
		remote = v->serve ? v->remote : idle_server(v);
		away = remote && remote_is_away(remote);
		if (away || (remote && remote_is_misnamed(remote))) {
			snprintf(why, why_bytes, away ?
				 "%s: its image's server is away: upgrade when it is there again" :
				 "%s: its image's name is another file's by now, for which no server "
				 "may be started: give the old one its name again",
				 v->env.log->who);
			return true;
		}
	}
	if (vbd_kind_unsettled(common, false))
		return false;
	for (const struct vbd_device *v = c->devices; v; v = v->next)
		if (cannot_be_resumed(v, why, why_bytes))
			return true;
	return false;
}

static int hand_over(const struct vbd_device *v, struct takeover *t)
{
	int rc = vbd_serve_hand_over(v->serve, !v->ts.cdrom, t);

	return !rc && v->remote ? remote_hand_over(v->remote, t) : rc;
}

int vbd_kind_hand_over(const void *common, struct takeover *t)
{
	const struct vbd_common *c = common;
	int rc = 0;

	for (const struct vbd_device *v = c->devices; v && !rc; v = v->next)
		if (v->serve)
			rc = hand_over(v, t);
		else if (idle_server(v))
			rc = remote_hand_over(idle_server(v), t);
	return rc;
}
