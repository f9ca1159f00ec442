/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An interface of the net back end (vif-device.h).
 *
 * Hides: what is published about it, what all interfaces share. Must not know: states, watches
 * on the back end's directories, workers; what of the tool stack's words counts (vif-words.c),
 * how it is served (vif-serve.c).
 *
 * A vif whose bridge changes leaves one switch and joins another; so does one whose
 * daemon is started anew: the rings are given back with every request answered, and
 * taken up where they are. One whose worker or daemon was killed goes on by its journal.
 * Its front end sees a pause.
 */
#include "vif-device-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bridge-config.h"
#include "bridge-control.h"
#include "flip-serve.h"
#include "keys.h"
#include "netback-journal.h"
#include "util.h"

static struct vif_device *of(const struct device *d)
{
	return (struct vif_device *)d;
}

/* ---- making ------------------------------------------------------------------------ */

static unsigned int vif_device_listen(struct device *d, bool on)
{
	struct vif_device *v = of(d);

	v->muted = !on;
	vif_serve_watch(v);
	return v->watches_multicast;
}

static void vif_device_free(struct device *d)
{
	struct vif_device *v = of(d), **at;

	if (!v)
		return;
	bridge_port_free(v->port);
	v->port = NULL;
	vif_serve_watch(v);
	for (at = &v->common->devices; *at != v; at = &(*at)->next)
		;
	*at = v->next;
	free(v);
}

static int vif_device_new(const struct device_env *env, struct device **out)
{
	struct vif_device *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->device.kind = &vif_kind;
	v->env = *env;
	v->common = env->common;
	v->limit.of = LIMIT_OF_NIC;
	v->next = v->common->devices;
	v->common->devices = v;
	*out = &v->device;
	return 0;
}

/* ---- look ----------------------------------------------------------------------------------- */

static int read_front(struct vif_device *v, struct vif_frontend *front, struct key_error *err)
{
	struct vif_features published;
	int rc = vif_read_features(v->env.bus->xs, v->env.bus->nodename, &published);

	return rc ? rc : vif_read_frontend(v->env.bus->xs, v->env.bus->otherend, &published,
					   front, err);
}

/* Asked only of a device whose 4 or 5 a predecessor must have written. */
static bool resumable(struct vif_device *v, const struct lifecycle_view *view)
{
	struct vif_frontend front;

	if (!view->exists || v->port || v->failed ||
	    (view->back != XenbusStateConnected && view->back != XenbusStateClosing) ||
	    read_front(v, &front, NULL) || !vif_serve_left(v, &front) ||
	    !device_journal_fits(&vif_kind, &v->env, &v->said_format))
		return false;
	v->front = front;
	return true;
}

static enum lifecycle_worker worker_phase(const struct vif_device *v)
{
	if (v->stopping)
		return LIFECYCLE_STOPPING;
	if (!v->port)
		return v->retry_at_ms ? LIFECYCLE_STARTING : LIFECYCLE_IDLE;
	return v->is_ready ? LIFECYCLE_SERVING : LIFECYCLE_STARTING;
}

static bool may_wait(const struct lifecycle_view *view)
{
	return view->exists && view->back == XenbusStateInitWait &&
	       (view->front == XenbusStateInitialised || view->front == XenbusStateConnected);
}

/* One that a predecessor served is not refused for a bad word: its guest waits for a good one. */
static bool is_complete(const struct lifecycle_view *view, int rc)
{
	bool served = view->back == XenbusStateConnected || view->back == XenbusStateClosing;

	return !rc || (rc == -EINVAL && !served);
}

static int vif_device_look(struct device *d, struct lifecycle_view *view, char *why,
			   size_t why_bytes)
{
	struct vif_device *v = of(d);
	int rc = view->exists ? vif_words_read(v, why, why_bytes) : -ENOENT;

	if (rc && rc != -ENOENT && rc != -EINVAL)
		return rc;
	if (!rc)
		vif_words_pass_on(v);
	view->complete = is_complete(view, rc);
	view->online = v->ts.online;
	view->script_pending = v->ts.hotplug_pending && !v->ts.hotplug_error;
	view->script_failed = v->ts.hotplug_error;
	if (!v->port && !may_wait(view))
		vif_wait_end(v);
	view->worker = worker_phase(v);
	view->ready = v->is_open;
	view->failed = v->failed;
	view->resumable = resumable(v, view);
	view->not_resumed = v->not_resumed;
	view->differs = !v->port && device_differs(&vif_kind, &v->env, view, &v->said_format);
	return 0;
}

static uint64_t vif_device_inputs(const struct device *d)
{
	return of(d)->inputs;
}

static const struct failure *vif_device_failure(const struct device *d)
{
	return &of(d)->failure;
}

/* ---- features ------------------------------------------------------------------------------- */

struct publish {
	const char *dir;
	struct vif_features features;
};

/* Not into a directory that has gone: it would come back. */
static int publish_in(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct publish *p = arg;

	if (!xenbus_exists(xs, t, p->dir))
		return -ENOENT;
	return vif_write_features(xs, t, p->dir, &p->features);
}

static int vif_device_announce(struct device *d)
{
	struct vif_device *v = of(d);
	uint32_t most = v->common->config->max_queues;
	int rc;
	struct publish p = {
		.dir = v->env.bus->nodename,
		.features = {
			.sg = true, .gso_tcpv4 = true, .gso_tcpv6 = true, .ipv6_csum = true,
			.rx_copy = true, .rx_flip = flip_helper_ready(v->common->flip),
			.split_event_channels = true,
			.multicast_control = true, .dynamic_multicast_control = true,
			.ctrl_ring = true,
			.max_queues = v->ts.max_queues ? MIN(v->ts.max_queues, most) : most,
		},
	};

	rc = xenbus_transact(v->env.bus->xs, publish_in, &p);
	if (!rc && p.features.rx_flip)
		rc = vif_write_flip_ended(v->env.bus->xs, p.dir, false);
	return rc;
}

static int vif_device_open(struct device *d, char *why, size_t why_bytes)
{
	struct vif_device *v = of(d);
	int rc = vif_words_read(v, why, why_bytes);

	if (rc)
		return rc;
	rc = vif_device_announce(d);
	if (rc)
		snprintf(why, why_bytes, "features cannot be published: %s", strerror(-rc));
	v->is_open = !rc;
	return rc;
}

static bool vif_device_is_open(const struct device *d)
{
	return of(d)->is_open;
}

static void vif_device_release(struct device *d)
{
	of(d)->is_open = of(d)->journal_used = false;
}

static void vif_device_closed(struct device *d)
{
	struct vif_device *v = of(d);

	v->failed = v->not_resumed = v->journal_used = false;
	rundir_remove(&v->env.config->rundir, &v->env.name);
}

/* ---- serving -------------------------------------------------------------------------------- */

static int vif_device_connect(struct device *d, char *why, size_t why_bytes)
{
	struct vif_device *v = of(d);
	struct key_error err = { .expected = "" };
	int rc = read_front(v, &v->front, &err);
	struct failure f = { .err = 0 };
	bool by_peer;

	if (rc) {
		vif_wait_end(v);
		device_say_key(&err, "the front end", why, why_bytes);
		return rc;
	}
	rc = vif_serve(v, &by_peer, why, why_bytes);
	if (!rc)
		return 0;
	f.err = -rc;
	snprintf(f.reason, sizeof(f.reason), "%.*s", (int)sizeof(f.reason) - 1, why);
	if (!by_peer && vif_wait_begin(v, &f))
		return 0;
	vif_wait_end(v);
	return rc;
}

static int vif_device_resume(struct device *d, bool *by_peer, char *why, size_t why_bytes)
{
	struct vif_device *v = of(d);

	if (!v->journal_used)
		vif_serve_recall(v);
	v->is_open = v->journal_used = v->resumed = true;
	v->not_resumed = false;
	return vif_serve(v, by_peer, why, why_bytes);
}

static void vif_device_stop(struct device *d, bool keep)
{
	struct vif_device *v = of(d);

	v->stopping = true;
	v->keep = keep;
	bridge_port_leave(v->port);
}

static bool vif_device_is_served(const struct device *d)
{
	return of(d)->port;
}

/* ---- the kind ------------------------------------------------------------------------------- */

static void vif_kind_close(void *common)
{
	struct vif_common *c = common;

	bridge_control_close(c->control);
	bridge_config_close(c->bridge_config);
	bridges_close(c->bridges);
	flip_helper_close(c->flip);
	evloop_remove(c->again);
	free(c);
}

/* Those that were served before keep what they have; the next to connect are offered it. */
static void on_flip_helper(void *arg)
{
	struct vif_common *c = arg;

	if (flip_helper_ready(c->flip))
		bridges_flip_ready(c->bridges);
}

static int vif_kind_open(const struct device_kind_env *env, void **common)
{
	struct vif_common *c = calloc(1, sizeof(*c));
	struct bridges_env bridges = {
		.config = env->config, .loop = env->loop, .changed = env->changed,
		.arg = env->arg, .domid = env->domid,
	};
	char why[256];
	int rc = 0;

	if (!c)
		return -ENOMEM;
	c->config = (const struct vif_config *)env->config;
	c->xs = env->xs;
	bridges.poll_us = c->config->poll_us;
	if (c->config->page_flip)
		rc = flip_helper_open(env->loop, env->config, on_flip_helper, c, &c->flip);
	bridges.flip = c->flip;
	if (!rc)
		rc = bridges_open(&bridges, &c->bridges);
	if (!rc)
		rc = evloop_add_timer(env->loop, vif_wait_due, c, &c->again);
	if (!rc)
		rc = bridge_config_open(env->loop, env->xs, env->domid, c->bridges,
					&c->bridge_config);
	if (rc) {
		vif_kind_close(c);
		return rc;
	}
	/* Interfaces are served without it; only tools miss it. */
	if (bridge_control_open(env->loop, env->config->rundir.path, c->bridges, &c->control,
				why, sizeof(why)))
		log_error("%s", why);
	*common = c;
	return 0;
}

static void vif_kind_shutdown(void *common)
{
	struct vif_common *c = common;

	for (struct vif_device *v = c->devices; v; v = v->next)
		if (!v->port)
			vif_wait_end(v);
	bridge_config_shutdown(c->bridge_config);
}

static bool vif_kind_is_idle(const void *common)
{
	return bridges_is_idle(((const struct vif_common *)common)->bridges);
}

static const char *vif_kind_unsettled(const void *common, bool coming)
{
	const struct vif_common *c = common;

	return coming && !bridge_config_has_come(c->bridge_config) ? "an uplink" :
	       bridges_unsettled(c->bridges);
}

/*
 * The next version would read what is bad, and could not go on. Asked again and again until
 * nothing comes or goes, and only then looked for: all words are read anew.
 */
static bool vif_kind_cannot_leave(const void *common, char *why, size_t why_bytes)
{
	const struct vif_common *c = common;
	char bad[XENBUS_TEXT_BYTES];

	if (bridges_unsettled(c->bridges))
		return false;
	for (const struct vif_device *v = c->devices; v; v = v->next)
		if (v->port && !v->stopping && vif_words_are_bad(v, bad, sizeof(bad))) {
			snprintf(why, why_bytes, "%s: %.180s; set that right first",
				 v->env.log->who, bad);
			return true;
		}
	return bridge_config_cannot_leave(c->bridge_config, why, why_bytes);
}

static int vif_kind_hand_over(const void *common, struct takeover *t)
{
	const struct vif_common *c = common;
	int rc = bridges_hand_over(c->bridges, t);

	if (!rc)
		rc = bridge_config_hand_over(c->bridge_config, t);
	return rc ? rc : flip_helper_hand_over(c->flip, t);
}

static void vif_kind_event(void *common, const char *path, const char *token)
{
	struct vif_common *c = common;

	(void)path;
	if (!strcmp(token, BRIDGE_CONFIG_TOKEN))
		bridge_config_changed(c->bridge_config);
}

const struct device_kind vif_kind = {
	.open = vif_kind_open, .close = vif_kind_close,
	.event = vif_kind_event, .shutdown = vif_kind_shutdown,
	.is_idle = vif_kind_is_idle,
	.new = vif_device_new, .free = vif_device_free,
	.look = vif_device_look, .inputs = vif_device_inputs,
	.failure = vif_device_failure, .announce = vif_device_announce,
	.open_store = vif_device_open, .is_open = vif_device_is_open,
	.connect = vif_device_connect, .resume = vif_device_resume,
	.stop = vif_device_stop, .is_served = vif_device_is_served,
	.release = vif_device_release, .listen = vif_device_listen, .closed = vif_device_closed,
	.unsettled = vif_kind_unsettled, .cannot_leave = vif_kind_cannot_leave,
	.hand_over = vif_kind_hand_over,
	.read_pause = nb_journal_read_pause, .check_format = nb_journal_check_format,
};
