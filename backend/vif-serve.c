/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An interface on its bridge, from joining to the last word about it.
 *
 * Hides: journals and info files, what comes after a worker's end. Must not know: states,
 * features, what the tool stack says (vif-words.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "keys.h"
#include "netback-journal.h"
#include "predecessor.h"
#include "util.h"
#include "vif-device-internal.h"
#include "vif-figures.h"

#define INFO_BYTES 1024
#define RING_TEXT_BYTES 64

static const struct bridge_port_events port_events;

/* ---- the front end ---------------------------------------------------------------- */

/* A front end may change its mind about multicast while it is connected. */
void vif_serve_watch(struct vif_device *v)
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

/* Which rings these are, for a daemon that is started anew. */
static void ring_text(const struct vif_frontend *f, char text[RING_TEXT_BYTES])
{
	snprintf(text, RING_TEXT_BYTES, "%u/%u/%u/%u/%u", f->nr_queues, f->queue[0].tx_gref,
		 f->queue[0].rx_gref, f->queue[0].tx_port, f->queue[0].rx_port);
}

bool vif_serve_left(const struct vif_device *v, const struct vif_frontend *front)
{
	char now[RING_TEXT_BYTES], then[RING_TEXT_BYTES], dir[XENBUS_PATH_BYTES];
	const struct rundir *r = &v->env.config->rundir;

	ring_text(front, now);
	return !rundir_read_info(r, &v->env.name, "ring", then, sizeof(then)) &&
	       !rundir_read_info(r, &v->env.name, "frontend", dir, sizeof(dir)) &&
	       !strcmp(now, then) && !strcmp(dir, v->env.bus->otherend);
}

/* ---- serving -------------------------------------------------------------------------------- */

void vif_serve_write_info(struct vif_device *v)
{
	pid_t pid = bridge_port_pid(v->port);
	char text[INFO_BYTES], ring[RING_TEXT_BYTES], mac[24];
	int n, rc;

	ring_text(&v->front, ring);
	vif_format_mac(v->set.mac, mac, sizeof(mac));
	n = snprintf(text, sizeof(text), "version=1\npid=%d\nstarted=%llu\nsandbox=%s\nbridge=%s\n"
		     "mac=%s\nsources=%s\nqueues=%u\nsplit=%d\nfrontend=%s\nring=%s\n"
		     "pause-us=%llu\n", (int)pid,
		     (unsigned long long)predecessor_start_time(pid),
		     bridge_port_sandbox(v->port), v->bridge, mac, v->set.any_source ? "any" : "own",
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

static bool read_set(const struct vif_device *v, char bridge[VIF_NAME_BYTES], uint8_t *mac,
		     bool *any_source)
{
	const struct rundir *r = &v->env.config->rundir;
	char text[24], sources[8] = "own";

	rundir_read_info(r, &v->env.name, "sources", sources, sizeof(sources));
	*any_source = strcmp(sources, "own");
	return !rundir_read_info(r, &v->env.name, "bridge", bridge, VIF_NAME_BYTES) &&
	       !rundir_read_info(r, &v->env.name, "mac", text, sizeof(text)) &&
	       (!vif_parse_mac(text, mac) || *any_source);
}

bool vif_serve_had(const struct vif_device *v, const char *bridge, const uint8_t *mac)
{
	char its_bridge[VIF_NAME_BYTES];
	uint8_t its_mac[VIF_MAC_BYTES];
	bool any_source;

	return read_set(v, its_bridge, its_mac, &any_source) && !any_source &&
	       !strcmp(its_bridge, bridge) && !memcmp(its_mac, mac, sizeof(its_mac));
}

void vif_serve_recall(struct vif_device *v)
{
	char bridge[VIF_NAME_BYTES];

	memset(v->set.mac, 0, sizeof(v->set.mac));
	if (!read_set(v, bridge, v->set.mac, &v->set.any_source))
		v->set.any_source = false;
	if (rundir_read_info(&v->env.config->rundir, &v->env.name, "bridge", v->bridge,
			     sizeof(v->bridge)))
		v->bridge[0] = '\0';
}

/*
 * Where it is to be; but while a worker of a version before has its rings, where that is:
 * its successor waits for its end. It moves once it takes part.
 */
static void choose_bridge(struct vif_device *v)
{
	if (!v->journal_used || !bridges_are_left(v->common->bridges, v->bridge))
		snprintf(v->bridge, sizeof(v->bridge), "%s", vif_words_bridge(v));
}

/*
 * With the address that it had before, or with any if it had that: whether it may have another
 * is seen once it takes part.
 */
static struct vswitch_port_config port_to_join(const struct vif_device *v)
{
	static const uint8_t none[VIF_MAC_BYTES];
	struct vswitch_port_config port = vif_words_port(v);
	bool has_address = memcmp(v->set.mac, none, sizeof(none));

	if (!v->journal_used || (!has_address && !v->set.any_source))
		return port;
	memcpy(port.mac, v->set.mac, sizeof(port.mac));
	port.any_source = v->set.any_source;
	return port;
}

/* A predecessor of before there were journals has left none, and nothing in flight. */
static int open_journal(const struct vif_device *v, int *fd, char *why, size_t why_bytes)
{
	const struct rundir *r = &v->env.config->rundir;
	int rc = rundir_open_journal(r, &v->env.name, !v->journal_used, fd);

	if (rc == -ENOENT)
		rc = rundir_open_journal(r, &v->env.name, true, fd);
	if (!rc)
		rc = nb_journal_reserve(*fd, v->front.nr_queues);
	if (rc)
		snprintf(why, why_bytes, "its journal in %s: %s", r->path, strerror(-rc));
	return rc;
}

static int join(struct vif_device *v, char *why, size_t why_bytes)
{
	autoclose int journal_fd = -1, figures_fd = -1;
	const struct figures_layout layout = vif_figures_layout(v->front.nr_queues);
	struct bridge_vif vif = {
		.domid = v->env.frontend_id, .devid = v->env.devid, .front = v->front,
		.port = port_to_join(v), .rate = vif_words_rate(v), .limit = v->limit.limit,
		.log_lines = log_peer_begin(v->env.log),
	};
	int rc = open_journal(v, &journal_fd, why, why_bytes);

	if (rc)
		return rc;
	rundir_open_figures(&v->env.config->rundir, &v->env.name, !v->journal_used, &layout,
			    &figures_fd);
	v->set = vif.port;
	v->rate = vif.rate;
	v->multicast = v->front.multicast_control;
	choose_bridge(v);
	if (v->env.bus->state == XenbusStateInitWait && vif_wait_is_taken(v)) {
		vif_wait_owner(v, why, why_bytes);
		return -EADDRINUSE;
	}
	rc = bridges_join(v->common->bridges, v->bridge, &vif, journal_fd, figures_fd,
			  &port_events, v, &v->port);
	if (rc) {
		v->port = NULL;
		snprintf(why, why_bytes, "no worker process could be started for bridge %s: %s",
			 v->bridge, strerror(-rc));
	}
	return rc;
}

static void on_added(void *arg)
{
	struct vif_device *v = arg;

	v->is_ready = v->journal_used = true;
	device_limit_tell(&v->limit, &v->env, v->resumed);
	v->resumed = false;
	vif_wait_end(v);
	vif_serve_write_info(v);
	v->env.changed(v->env.arg);
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
	vif_wait_end(v);
	v->failed = true;
	v->failure.err = EIO;
	crashes_say(v->failure.reason, sizeof(v->failure.reason), why->reason);
	return true;
}

/*
 * Its front end is in the middle of its use, and has done nothing: what is missing on this
 * host may come yet.
 */
static bool resumes_later(struct vif_device *v, const struct failure *why)
{
	XenbusState state = v->env.bus->state;

	if (why->by_peer || why->err == EADDRINUSE || !v->journal_used ||
	    (state != XenbusStateConnected && state != XenbusStateClosing))
		return false;
	v->not_resumed = true;
	v->failure = *why;
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
	char why[XENBUS_TEXT_BYTES];
	uint32_t domid;

	if (xenbus_own_domid(v->env.bus->xs, &domid) && join(v, why, sizeof(why)))
		log_peer_at(v->env.log, LOG_LEVEL_ERROR, "no other worker takes it up: %s", why);
}

static void on_gone(void *arg, const struct failure *why)
{
	struct vif_device *v = arg;
	bool crashed = why && why->err == EOWNERDEAD && !v->stopping, served = v->is_ready;

	bridge_port_free(v->port);
	v->port = NULL;
	if (served || !why)
		vif_wait_retry(v->common, v->bridge);
	v->is_ready = false;
	vif_serve_watch(v);
	if (why && !v->stopping && why->err != EADDRINUSE && !why->by_peer)
		not_taken_over(v, why);
	if (why && !v->stopping && !goes_on(v, why) && !vif_wait_begin(v, why) &&
	    (served || !resumes_later(v, why)))
		take_failure(v, why);
	if (v->stopping) {
		vif_wait_end(v);
		if (!v->keep)
			rundir_remove(&v->env.config->rundir, &v->env.name);
	}
	v->stopping = false;
	if (crashed && !v->failed)
		join_without_store(v);
	v->env.changed(v->env.arg);
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

int vif_serve(struct vif_device *v, bool *by_peer, char *why, size_t why_bytes)
{
	int rc;

	*by_peer = !v->front.rx_copy && !v->front.rx_flip;
	if (*by_peer) {
		snprintf(why, why_bytes, "the front end's " KEY_REQUEST_RX_COPY " is 0 or missing: "
			 "expected 1, or 0 together with " KEY_REQUEST_RX_FLIP " 1 where "
			 KEY_FEATURE_RX_FLIP " is 1");
		return -EOPNOTSUPP;
	}
	rc = join(v, why, why_bytes);
	if (!rc)
		vif_serve_watch(v);
	return rc;
}
