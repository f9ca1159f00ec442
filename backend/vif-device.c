/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An interface of the net back end (vif-device.h).
 *
 * Hides: what is published about it, what of the nodes may change while it is
 * connected and who is told. Must not know: states, watches on the back end's
 * directories, workers.
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
#include "predecessor.h"
#include "switch-config.h"
#include "util.h"
#include "vif-figures.h"

#define RING_TEXT_BYTES 64
#define INFO_BYTES 1024

static const struct bridge_port_events port_events;

static struct vif_device *of(const struct device *d)
{
	return (struct vif_device *)d;
}

static void changed(struct vif_device *v)
{
	v->env.changed(v->env.arg);
}

/* ---- making ------------------------------------------------------------------------ */

/* A front end may change its mind about multicast while it is connected. */
static void watch_multicast(struct vif_device *v)
{
	bool on = v->port && !v->muted;
	char token[FRONT_TOKEN_BYTES];
	int rc;

	if (on == v->watches_multicast)
		return;
	device_front_token(token, v->env.frontend_id, v->env.devid);
	rc = vif_watch_multicast_control(v->env.bus->xs, v->env.bus->otherend, token, on);
	if (rc)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "no watch on its wishes for "
			    "multicast: %s", strerror(-rc));
	v->watches_multicast = on && !rc;
}

static unsigned int vif_device_listen(struct device *d, bool on)
{
	struct vif_device *v = of(d);

	v->muted = !on;
	watch_multicast(v);
	return v->watches_multicast;
}

static void vif_device_free(struct device *d)
{
	struct vif_device *v = of(d), **at;

	if (!v)
		return;
	bridge_port_free(v->port);
	v->port = NULL;
	watch_multicast(v);
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

/* ---- the tool stack's words ---------------------------------------------------------- */

static uint64_t hash_inputs(const struct vif_toolstack *ts, const char *complaint)
{
	uint64_t hash = device_hash(DEVICE_HASH, ts->bridge);
	char text[64];

	vif_format_mac(ts->mac, text, sizeof(text));
	hash = device_hash(hash, text);
	hash = device_hash(hash, ts->port.vlan_text);
	snprintf(text, sizeof(text), "%d%d%d%d%d %u", ts->has_mac, ts->port.any_source,
		 ts->port.isolated, ts->hotplug_pending, ts->hotplug_error, ts->mtu_bytes);
	return device_hash(device_hash(hash, text), complaint);
}

/* Of a vif in use a bad node changes nothing; before, vif_device_open() refuses it. */
static void look_at_limit(struct vif_device *v)
{
	if (!device_limit_look(&v->limit, &v->env, v->port) || !v->port)
		return;
	bridge_port_set_limit(v->port, &v->limit.limit);
	if (v->is_ready)
		device_limit_tell(&v->limit, &v->env, false);
}

/*
 * A tool stack that writes without a transaction is seen half way: what is missing
 * is waited for. What is there and bad is for open to refuse, so it counts as
 * complete; of a vif in use, what it was told last stays.
 */
static int read_toolstack(struct vif_device *v, char *why, size_t why_bytes)
{
	struct key_error err = { .expected = "" };
	struct vif_toolstack ts;
	int rc = vif_read_toolstack(v->env.bus->xs, v->env.bus->nodename, &ts, &err);

	why[0] = '\0';
	if (rc && rc != -ENOENT && rc != -EINVAL) {
		snprintf(why, why_bytes, "XenStore: %s", strerror(-rc));
		return rc;
	}
	if (!rc && v->env.config->driver_domain)
		ts.hotplug_pending = false;
	if (rc) {
		device_say_key(&err, "the tool stack", why, why_bytes);
		if (v->port)
			ts = v->ts;
		else
			memset(&ts, 0, sizeof(ts));
		ts.online = true;
	} else if (!ts.has_mac && !ts.port.any_source) {
		snprintf(why, why_bytes, "the tool stack's mac is missing, expected "
			 "the interface's address as aa:bb:cc:dd:ee:ff");
		rc = -ENOENT;
	}
	v->ts = ts;
	look_at_limit(v);
	v->inputs = device_hash(hash_inputs(&v->ts, why), v->limit.why);
	return rc;
}

static const char *bridge_of(const struct vif_device *v)
{
	return *v->ts.bridge ? v->ts.bridge : VIF_BRIDGE_DEFAULT;
}

static struct vswitch_port_config port_of(const struct vif_device *v)
{
	struct vswitch_port_config port;

	bridge_port_config(&v->ts.port, v->ts.has_mac ? v->ts.mac : NULL, &port);
	return port;
}

static struct bridge_rate rate_of(const struct vif_device *v)
{
	return (struct bridge_rate){ .bytes = v->ts.rate_bytes, .usec = v->ts.rate_usec };
}

/* ---- what may change while it is connected ---------------------------------------------- */

static void pass_on_port(struct vif_device *v)
{
	struct vswitch_port_config port = port_of(v);

	if (!memcmp(&port, &v->set, sizeof(port)))
		return;
	v->set = port;
	bridge_port_set(v->port, &port);
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "its port on %s is set anew", v->bridge);
}

static void pass_on_rate(struct vif_device *v)
{
	struct bridge_rate rate = rate_of(v);

	if (rate.bytes == v->rate.bytes && rate.usec == v->rate.usec)
		return;
	v->rate = rate;
	bridge_port_set_rate(v->port, &rate);
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "limited to %llu bytes in %u microseconds",
		    (unsigned long long)rate.bytes, rate.usec);
}

static void pass_on_multicast(struct vif_device *v)
{
	bool on = vif_read_multicast_control(v->env.bus->xs, v->env.bus->otherend);

	if (on == v->multicast)
		return;
	v->multicast = on;
	bridge_port_set_multicast(v->port, on);
}

/* Once it has left, it is as after a restart: lifecycle.h resumes it, elsewhere. */
static void move(struct vif_device *v)
{
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "moves from %s to %s", v->bridge,
		    bridge_of(v));
	v->is_ready = false;
	bridge_port_leave(v->port);
}

static void pass_on(struct vif_device *v)
{
	if (!v->is_ready || v->stopping)
		return;
	if (strcmp(bridge_of(v), v->bridge)) {
		move(v);
		return;
	}
	pass_on_port(v);
	pass_on_rate(v);
	pass_on_multicast(v);
}

/* ---- look ----------------------------------------------------------------------------------- */

/* Which rings these are, for a daemon that is started anew. */
static void ring_text(const struct vif_frontend *f, char text[RING_TEXT_BYTES])
{
	snprintf(text, RING_TEXT_BYTES, "%u/%u/%u/%u/%u", f->nr_queues, f->queue[0].tx_gref,
		 f->queue[0].rx_gref, f->queue[0].tx_port, f->queue[0].rx_port);
}

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
	char now[RING_TEXT_BYTES], then[RING_TEXT_BYTES], dir[XENBUS_PATH_BYTES];
	const struct rundir *r = &v->env.config->rundir;
	struct vif_frontend front;

	if (!view->exists || v->port || v->failed ||
	    (view->back != XenbusStateConnected && view->back != XenbusStateClosing) ||
	    rundir_read_info(r, &v->env.name, "ring", then, sizeof(then)) ||
	    rundir_read_info(r, &v->env.name, "frontend", dir, sizeof(dir)) ||
	    read_front(v, &front, NULL))
		return false;
	if (!device_journal_fits(&vif_kind, &v->env, &v->said_format))
		return false;
	ring_text(&front, now);
	if (strcmp(now, then) || strcmp(dir, v->env.bus->otherend))
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

static int vif_device_look(struct device *d, struct lifecycle_view *view, char *why,
			   size_t why_bytes)
{
	struct vif_device *v = of(d);
	int rc = view->exists ? read_toolstack(v, why, why_bytes) : -ENOENT;

	if (rc && rc != -ENOENT && rc != -EINVAL)
		return rc;
	v->complete = rc != -ENOENT;
	if (!rc)
		pass_on(v);
	else if (rc == -EINVAL && v->port)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "%s; nothing is changed", why);
	view->complete = v->complete;
	view->online = v->ts.online;
	view->script_pending = v->ts.hotplug_pending && !v->ts.hotplug_error;
	view->script_failed = v->ts.hotplug_error;
	if (!v->port && !may_wait(view))
		vif_wait_end(v);
	view->worker = worker_phase(v);
	view->ready = v->is_open;
	view->failed = v->failed;
	view->resumable = resumable(v, view);
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
	int rc = read_toolstack(v, why, why_bytes);

	if (rc)
		return rc;
	if (v->limit.why[0]) {
		snprintf(why, why_bytes, "%s", v->limit.why);
		return -EINVAL;
	}
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
	of(d)->is_open = false;
}

static void vif_device_closed(struct device *d)
{
	struct vif_device *v = of(d);

	v->failed = v->journal_used = false;
	rundir_remove(&v->env.config->rundir, &v->env.name);
}

/* ---- serving -------------------------------------------------------------------------------- */

static void write_info(struct vif_device *v)
{
	pid_t pid = bridge_port_pid(v->port);
	char text[INFO_BYTES], ring[RING_TEXT_BYTES], mac[24];
	int n, rc;

	ring_text(&v->front, ring);
	vif_format_mac(v->ts.mac, mac, sizeof(mac));
	n = snprintf(text, sizeof(text), "version=1\npid=%d\nstarted=%llu\nsandbox=%s\nbridge=%s\n"
		     "mac=%s\nqueues=%u\nsplit=%d\nfrontend=%s\nring=%s\n"
		     "pause-us=%llu\n", (int)pid,
		     (unsigned long long)predecessor_start_time(pid),
		     bridge_port_sandbox(v->port), v->bridge, mac,
		     v->front.nr_queues, v->front.queue[0].tx_port != v->front.queue[0].rx_port,
		     v->env.bus->otherend, ring,
		     (unsigned long long)device_pause_us(&vif_kind, &v->env.config->rundir,
							 &v->env.name));
	rc = n < (int)sizeof(text) ?
	     rundir_write_info(&v->env.config->rundir, &v->env.name, text) : -E2BIG;
	if (rc)
		log_warning("%s: its info file in %s: %s", v->env.log->who,
			    v->env.config->rundir.path, strerror(-rc));
}

/* A predecessor of before there were journals has left none, and nothing in flight. */
static int open_journal(const struct vif_device *v, int *fd)
{
	const struct rundir *r = &v->env.config->rundir;
	int rc = rundir_open_journal(r, &v->env.name, !v->journal_used, fd);

	if (rc == -ENOENT)
		rc = rundir_open_journal(r, &v->env.name, true, fd);
	if (rc)
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "its journal in %s: %s", r->path,
			    strerror(-rc));
	return rc;
}

static int join(struct vif_device *v)
{
	autoclose int journal_fd = -1, figures_fd = -1;
	const struct figures_layout layout = vif_figures_layout(v->front.nr_queues);
	struct bridge_vif vif = {
		.domid = v->env.frontend_id, .devid = v->env.devid, .front = v->front,
		.port = port_of(v), .rate = rate_of(v), .limit = v->limit.limit,
	};
	int rc = open_journal(v, &journal_fd);

	if (rc)
		return rc;
	rundir_open_figures(&v->env.config->rundir, &v->env.name, !v->journal_used, &layout,
			    &figures_fd);
	v->set = vif.port;
	v->rate = vif.rate;
	v->multicast = v->front.multicast_control;
	snprintf(v->bridge, sizeof(v->bridge), "%s", bridge_of(v));
	rc = bridges_join(v->common->bridges, v->bridge, &vif, journal_fd, figures_fd,
			  &port_events, v, &v->port);
	if (rc)
		v->port = NULL;
	return rc;
}

static void on_added(void *arg)
{
	struct vif_device *v = arg;

	v->is_ready = v->journal_used = true;
	device_limit_tell(&v->limit, &v->env, v->resumed);
	v->resumed = false;
	vif_wait_end(v);
	write_info(v);
	changed(v);
}

static void take_failure(struct vif_device *v, const struct failure *why)
{
	vif_wait_end(v);
	v->failed = true;
	v->failure = *why;
	if (why->err == EADDRINUSE)
		vif_wait_owner(v, v->failure.reason, sizeof(v->failure.reason));
}

/* Its worker has died: lifecycle.h resumes it, unless that was too often. */
static bool goes_on(struct vif_device *v, const struct failure *why)
{
	if (why->err != EOWNERDEAD)
		return false;
	if (crashes_note(&v->crashes, now_ms()) >= 0) {
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "goes on with another worker");
		return true;
	}
	v->failed = true;
	v->failure.err = EIO;
	crashes_say(v->failure.reason, sizeof(v->failure.reason), why->reason);
	return true;
}

/* This version cannot do it: with the one before, if there is one, it goes on. */
static void not_taken_over(struct vif_device *v, const struct failure *why)
{
	char text[TAKEOVER_REASON_BYTES];

	snprintf(text, sizeof(text), "%.60s: %.180s", v->env.log->who, why->reason);
	takeover_return(v->env.config->takeover, text);
}

/*
 * Without XenStore nobody could look and resume it; all that is needed was read when it
 * connected.
 */
static void join_without_store(struct vif_device *v)
{
	uint32_t domid;

	if (xenbus_own_domid(v->env.bus->xs, &domid) && join(v))
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "no other worker takes it up");
}

static void on_gone(void *arg, const struct failure *why)
{
	struct vif_device *v = arg;
	bool crashed = why && why->err == EOWNERDEAD && !v->stopping;

	bridge_port_free(v->port);
	v->port = NULL;
	if (v->is_ready || !why)
		vif_wait_retry(v->common, v->bridge);
	v->is_ready = false;
	watch_multicast(v);
	if (why && !v->stopping && why->err != EADDRINUSE && !why->by_peer)
		not_taken_over(v, why);
	if (why && !v->stopping && !goes_on(v, why) && !vif_wait_begin(v, why))
		take_failure(v, why);
	if (v->stopping) {
		vif_wait_end(v);
		if (!v->keep)
			rundir_remove(&v->env.config->rundir, &v->env.name);
	}
	v->stopping = false;
	if (crashed && !v->failed)
		join_without_store(v);
	changed(v);
}

static void on_flip_ended(void *arg, const struct failure *why)
{
	struct vif_device *v = arg;
	int rc = vif_write_flip_ended(v->env.bus->xs, v->env.bus->nodename, true);

	log_peer_at(v->env.log, LOG_LEVEL_WARNING, "no pages are given to it any more: %s",
		    why->reason);
	if (rc)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "its front end cannot be told: %s",
			    strerror(-rc));
}

static const struct bridge_port_events port_events = {
	.added = on_added,
	.gone = on_gone,
	.flip_ended = on_flip_ended,
};

/* by_peer: see device.h. */
static int serve(struct vif_device *v, bool *by_peer, char *why, size_t why_bytes)
{
	int rc;

	*by_peer = !v->front.rx_copy && !v->front.rx_flip;
	if (*by_peer) {
		snprintf(why, why_bytes, "the front end's " KEY_REQUEST_RX_COPY " is 0 or missing: "
			 "expected 1, or 0 together with " KEY_REQUEST_RX_FLIP " 1 where "
			 KEY_FEATURE_RX_FLIP " is 1");
		return -EOPNOTSUPP;
	}
	rc = join(v);
	if (rc)
		snprintf(why, why_bytes, "no worker process could be started for bridge "
			 "%s: %s", v->bridge, strerror(-rc));
	else
		watch_multicast(v);
	return rc;
}

static int vif_device_connect(struct device *d, char *why, size_t why_bytes)
{
	struct vif_device *v = of(d);
	struct key_error err = { .expected = "" };
	int rc = read_front(v, &v->front, &err);
	bool by_peer;

	if (rc) {
		device_say_key(&err, "the front end", why, why_bytes);
		return rc;
	}
	return serve(v, &by_peer, why, why_bytes);
}

static int vif_device_resume(struct device *d, bool *by_peer, char *why, size_t why_bytes)
{
	of(d)->is_open = of(d)->journal_used = of(d)->resumed = true;
	return serve(of(d), by_peer, why, why_bytes);
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

static bool vif_kind_is_settled(const void *common, bool coming)
{
	(void)coming;
	return bridges_are_settled(((const struct vif_common *)common)->bridges);
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
	.is_settled = vif_kind_is_settled, .hand_over = vif_kind_hand_over,
	.read_pause = nb_journal_read_pause, .check_format = nb_journal_check_format,
};
