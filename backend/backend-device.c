/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One device of a back end: stepped, refused (backend-device.h).
 *
 * Hides: how a reason reaches people, what is tried again and when. Must not know: kinds of
 * devices, rings, processes, watches; what of the store is believed (backend-look.c).
 */
#include "backend-device.h"
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backend-look.h"
#include "predecessor.h"
#include "toolstack.h"
#include "xenbus-device.h"

#define STEPS_PER_LOOK 16	/* more than any orderly way through the states */
#define WHY_BYTES XENBUS_TEXT_BYTES

#define UPGRADING_MS 50u	/* until it is seen whether an upgrade has come to its end */
#define DIFFERS_MS 1000u	/* a front end may take to write which rings it has */

/* ---- making ---------------------------------------------------------------- */

static void on_changed(void *arg)
{
	struct backend_device *d = arg;

	d->pending = true;
	d->env.changed(d->env.arg);
}

void backend_device_free(struct backend_device *d)
{
	if (!d)
		return;
	backend_look_mute(d);
	predecessor_close(d->predecessor);
	d->env.kind->free(d->device);
	openings_leave(d->env.openings, d->openings);
	free(d);
}

static void on_predecessor_gone(void *arg)
{
	struct backend_device *d = arg;

	predecessor_close(d->predecessor);
	d->predecessor = NULL;
	on_changed(d);
}

static int wait_for_predecessor(struct backend_device *d, const struct rundir_name *name)
{
	const struct backend_config *config = d->env.config;
	int rc;

	/* Also one that has just died: it is left to us all the same, and has to be succeeded. */
	if ((d->env.kind->is_left && d->env.kind->is_left(d->device)) ||
	    takeover_has_process(config->takeover, predecessor_pid(&config->rundir, name))) {
		d->inherited = true;
		return 0;
	}
	rc = predecessor_open(d->env.loop, &config->rundir, name,
			      config->stop_ms, on_predecessor_gone, d,
			      &d->predecessor);

	return rc == -ESRCH ? 0 : rc;
}

int backend_device_new(const struct backend_device_env *env, uint32_t frontend_id,
		       uint32_t devid, struct backend_device **out)
{
	struct backend_device *d = calloc(1, sizeof(*d));
	struct device_env device_env;
	int rc;

	if (!d)
		return -ENOMEM;
	d->env = *env;
	d->frontend_id = frontend_id;
	d->devid = devid;
	log_peer_init(&d->log, "%s %u/%u", env->config->kind, frontend_id, devid);
	d->bus.xs = env->xs;
	device_env = (struct device_env){
		.common = env->common, .config = env->config, .loop = env->loop,
		.bus = &d->bus, .log = &d->log, .frontend_id = frontend_id,
		.devid = devid, .changed = on_changed, .arg = d,
		.name = { .kind = env->config->kind, .frontend_id = frontend_id,
			  .devid = devid },
	};
	d->openings = openings_join(env->openings, frontend_id);
	rc = d->openings ? 0 : -ENOMEM;
	if (!rc)
		rc = xenbus_backend_path(d->bus.nodename, sizeof(d->bus.nodename), env->domid,
					 env->config->kind, frontend_id, devid);
	if (!rc)
		rc = env->kind->new(&device_env, &d->device);
	if (!rc)
		rc = wait_for_predecessor(d, &device_env.name);
	if (rc) {
		backend_device_free(d);
		return rc;
	}
	log_debug("%s: found", d->log.who);
	*out = d;
	return 0;
}

/* ---- doing ---------------------------------------------------------------- */

static int switch_state(struct backend_device *d, XenbusState to)
{
	log_debug("%s: %s -> %s", d->log.who, xenbus_state_name(d->bus.state),
		  xenbus_state_name(to));
	return xenbus_switch_state(&d->bus, to);
}

static void remember_refusal(struct backend_device *d)
{
	d->refused = true;
	d->refused_front = d->front_node;
	d->refused_inputs = d->env.kind->inputs(d->device);
}

static bool front_connects(const struct backend_device *d)
{
	return d->front_node == XenbusStateInitialised || d->front_node == XenbusStateConnected;
}

/* The reason where people look for it, and one line; then towards Closed. */
static int refuse(struct backend_device *d, int err, const char *why)
{
	/* Our directory has gone, or the store has: nobody to tell. */
	if (err == -ENOENT && !xenbus_exists(d->bus.xs, XBT_NULL, d->bus.nodename))
		return 0;
	log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s", why);
	xenbus_write_error(&d->bus, err < 0 ? -err : err, why);
	remember_refusal(d);
	switch (d->bus.state) {
	case XenbusStateInitialising:
		return switch_state(d, XenbusStateClosed);
	case XenbusStateInitWait:
	case XenbusStateInitialised:
	case XenbusStateConnected:
		return switch_state(d, XenbusStateClosing);
	default:
		return 0;
	}
}

static bool may_open(struct backend_device *d)
{
	if (openings_take(d->openings, &d->turn_ms, now_ms()))
		return true;
	backend_look_at(d, d->turn_ms);
	return false;
}

/* From any state in which the image is opened; a predecessor's 2 or 3 stays. */
static int to_init_wait(struct backend_device *d)
{
	d->refused = false;
	if (!d->said_unheard)
		xenbus_clear_error(&d->bus);
	if (d->bus.state == XenbusStateInitWait || d->bus.state == XenbusStateInitialised)
		return 0;
	return switch_state(d, XenbusStateInitWait);
}

static int do_open(struct backend_device *d)
{
	char why[WHY_BYTES] = "";
	int rc = d->env.kind->open_store(d->device, why, sizeof(why));

	if (rc == DEVICE_LOOK_AGAIN)
		return -EAGAIN;
	return rc ? refuse(d, rc, why) : to_init_wait(d);
}

static int do_announce(struct backend_device *d)
{
	int rc = d->env.kind->announce(d->device);

	return rc ? rc : to_init_wait(d);
}

/* Goes back to the version before, which serves it, if there is one. */
static void not_taken_over(struct backend_device *d, const char *why)
{
	char text[TAKEOVER_REASON_BYTES];

	snprintf(text, sizeof(text), "%.60s: %.180s", d->log.who, why);
	takeover_return(d->env.config->takeover, text);
}

/*
 * It is to end, or be another one, while a worker of the version before serves it: that ends
 * first, and is waited for like any predecessor.
 */
static void let_inherited_go(struct backend_device *d)
{
	const struct rundir_name name = { .kind = d->env.config->kind,
					  .frontend_id = d->frontend_id, .devid = d->devid };

	d->inherited = false;
	if (d->env.kind->let_go)
		d->env.kind->let_go(d->device);
	if (predecessor_open(d->env.loop, &d->env.config->rundir, &name,
			     d->env.config->stop_ms, on_predecessor_gone, d, &d->predecessor))
		d->predecessor = NULL;
}

/*
 * What is missing on this host may come yet, and the guest waits for what it has under way;
 * closed, its device would be lost to it. Tried again and again, and said once; all other
 * devices wait while it is tried, so what takes long is tried more rarely.
 */
static void resume_later(struct backend_device *d, uint64_t began_ms, int err, const char *why)
{
	uint64_t said = device_hash(DEVICE_HASH, why), now = now_ms();

	if (said != d->resume_said && xenbus_exists(d->bus.xs, XBT_NULL, d->bus.nodename)) {
		log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s; its guest waits, and it is tried again", why);
		xenbus_write_error(&d->bus, -err, why);
		d->resume_said = said;
	}
	d->resume_ms = now + MAX(BACKEND_RETRY_MS, 10 * (now - began_ms));
}

/* What has become of it. */
static void look_whether_resumed(struct backend_device *d, const struct lifecycle_view *v)
{
	const struct failure *f = d->env.kind->failure(d->device);

	if (!d->resuming || (v->worker != LIFECYCLE_SERVING && !v->not_resumed))
		return;
	d->resuming = false;
	if (v->not_resumed) {
		resume_later(d, now_ms(), -f->err, f->reason);
		return;
	}
	if (d->resume_said)
		xenbus_clear_error(&d->bus);
	d->resume_said = d->resume_ms = 0;
	log_info("%s: goes on with its rings where they are", d->log.who);
}

static bool waits_to_resume(struct backend_device *d)
{
	if (now_ms() >= d->resume_ms)
		return false;
	backend_look_at(d, d->resume_ms);
	return true;
}

void backend_device_give_up(struct backend_device *d, const char *why)
{
	if (!d->inherited)
		return;
	log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s: its worker of before ends, and it is resumed", why);
	let_inherited_go(d);
	on_changed(d);
}

/*
 * The version before serves rings that are not those which the front end names now, or names
 * none. There is nothing to go on with, and nobody else is to wait for it. Not at once: it
 * may be in the middle of writing. True: it has been let go.
 */
static bool has_lost_its_rings(struct backend_device *d, const struct lifecycle_view *v)
{
	static const char why[] = "the front end's ring and event channel are not those that it "
				  "connected with";

	if (!d->inherited || !v->differs || v->worker != LIFECYCLE_IDLE) {
		d->differs_ms = 0;
		return false;
	}
	if (!d->differs_ms)
		d->differs_ms = now_ms();
	if (now_ms() < d->differs_ms + DIFFERS_MS) {
		backend_look_at(d, d->differs_ms + DIFFERS_MS);
		return false;
	}
	let_inherited_go(d);
	if (refuse(d, -EPROTO, why))
		log_peer_at(&d->log, LOG_LEVEL_ERROR, "XenStore could not be told: %s", why);
	return true;
}

static int do_connect(struct backend_device *d)
{
	char why[WHY_BYTES] = "";
	int rc = d->env.kind->connect(d->device, why, sizeof(why));

	return rc ? refuse(d, rc, why) : 0;
}

static int do_resume(struct backend_device *d)
{
	char why[WHY_BYTES] = "";
	uint64_t began_ms = now_ms();
	bool by_peer = false;
	int rc = d->env.kind->resume(d->device, &by_peer, why, sizeof(why));

	if (rc == DEVICE_LOOK_AGAIN)
		return -EAGAIN;
	if (rc && by_peer)
		return refuse(d, rc, why);
	if (rc && d->inherited)
		not_taken_over(d, why);
	if (rc) {
		resume_later(d, began_ms, rc, why);
	} else {
		d->inherited = false;
		d->resuming = true;
	}
	return 0;
}

static int do_connected(struct backend_device *d)
{
	int rc = switch_state(d, XenbusStateConnected);

	if (rc)
		return rc;
	d->connections++;
	log_peer_at(&d->log, LOG_LEVEL_INFO, "connected %llu ms after the front end was ready",
		    (unsigned long long)(now_ms() - d->front_ready_ms));
	return 0;
}

/*
 * A front end that is still at 3 or 4, or was refused, has to move before it is
 * tried again: its old ring is not one to connect to. So it is with what a domain
 * left behind that has died: its node counts, not what look_front() made of it, for
 * the next domain of this number is not the one that wrote it.
 */
static int do_closed(struct backend_device *d)
{
	int rc = switch_state(d, XenbusStateClosed);

	if (rc)
		return rc;
	if (!d->refused && front_connects(d))
		remember_refusal(d);
	d->env.kind->closed(d->device);
	d->failure_said = d->resuming = false;
	d->closing_ms = d->resume_ms = d->resume_said = 0;
	log_peer_at(&d->log, LOG_LEVEL_INFO, "closed");
	return 0;
}

static int act(struct backend_device *d, enum lifecycle_step step)
{
	switch (step) {
	case LIFECYCLE_ANNOUNCE: return do_announce(d);
	case LIFECYCLE_OPEN: return do_open(d);
	case LIFECYCLE_CONNECT: return do_connect(d);
	case LIFECYCLE_RESUME: return do_resume(d);
	case LIFECYCLE_CONNECTED: return do_connected(d);
	case LIFECYCLE_RESIZED: return d->env.kind->resized(d->device);
	case LIFECYCLE_CLOSING: return switch_state(d, XenbusStateClosing);
	case LIFECYCLE_CLOSED: return do_closed(d);
	case LIFECYCLE_STOP: d->env.kind->stop(d->device, false); return 0;
	case LIFECYCLE_RELEASE: d->env.kind->release(d->device); return 0;
	case LIFECYCLE_REMOVE:
		return toolstack_remove_closed(d->bus.xs, d->env.domid, d->env.config->kind,
					       d->frontend_id, d->devid);
	case LIFECYCLE_SCRIPT_FAILED:
		return refuse(d, -EIO, "the hotplug script failed: its "
			      KEY_HOTPLUG_STATUS " is error or busy, expected connected");
	case LIFECYCLE_WAIT:
	case LIFECYCLE_FORGET:
		break;
	}
	return 0;
}

/* The worker gave up: people learn why before the device closes. */
static bool say_failure(struct backend_device *d, const struct lifecycle_view *v)
{
	const struct failure *f = d->env.kind->failure(d->device);

	if (!v->failed || d->failure_said || !v->exists)
		return false;
	d->failure_said = true;
	refuse(d, f->err, f->reason);
	/* A connection has failed: a front end that is not in it any more may make another. */
	d->refused &= front_connects(d);
	return true;
}

/*
 * Connected, and nothing is done about it: either somebody else serves it, or its guest
 * waits for ever, which nobody could guess from silence.
 */
static void say_left_alone(struct backend_device *d, const struct lifecycle_view *v)
{
	bool left = v->back == XenbusStateConnected && v->worker == LIFECYCLE_IDLE &&
		    v->complete && !v->resumable;

	if (left && !d->said_left)
		log_peer_at(&d->log, LOG_LEVEL_WARNING, "is connected, and no journal in %s is about "
			    "its rings: left to whom they belong; if that is nobody, detach it and "
			    "attach it again", d->env.config->rundir.path);
	d->said_left = left;
}

static bool is_opening(enum lifecycle_step step)
{
	return step == LIFECYCLE_OPEN || step == LIFECYCLE_CONNECT;
}

/*
 * Upgrades begin and end when no device starts: front ends that go on connecting, in vain or
 * not, would put that off for ever. What the tool stack begins is opened all the same. Also
 * what the device itself has put off is looked at again.
 */
static bool waits_for_upgrade(struct backend_device *d, const struct lifecycle_view *v,
			      enum lifecycle_step step)
{
	bool by_front = step == LIFECYCLE_CONNECT ||
			(step == LIFECYCLE_OPEN && d->bus.state == XenbusStateClosed);
	bool waits = by_front && d->env.config->upgrading;

	if (waits || v->put_off)
		backend_look_at(d, now_ms() + (d->env.config->upgrading ? UPGRADING_MS :
									  BACKEND_RETRY_MS));
	return waits;
}

static void retry_later(struct backend_device *d, const char *what, int rc)
{
	log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s: XenStore: %s", what, strerror(-rc));
	d->look_at_ms = now_ms() + BACKEND_RETRY_MS;
	d->store_failed = true;
}

bool backend_device_is_served(const struct backend_device *d)
{
	return d->env.kind->is_served(d->device);
}

bool backend_device_is_settled(const struct backend_device *d)
{
	return !d->inherited && !d->pending && !d->predecessor;
}

void backend_device_keep(struct backend_device *d)
{
	if (backend_device_is_served(d))
		d->env.kind->stop(d->device, true);
}

bool backend_device_advance(struct backend_device *d)
{
	struct lifecycle_view v;
	enum lifecycle_step step;
	int i, rc;

	d->look_at_ms = 0;
	d->store_failed = false;
	for (i = 0; i < STEPS_PER_LOOK; i++) {
		rc = backend_look(d, &v);
		if (rc) {
			retry_later(d, "look", rc);
			return true;
		}
		if (say_failure(d, &v))
			continue;
		look_whether_resumed(d, &v);
		step = lifecycle_next(&v);
		if (d->inherited && step != LIFECYCLE_RESUME && step != LIFECYCLE_WAIT) {
			let_inherited_go(d);
			continue;
		}
		if (step == LIFECYCLE_WAIT && has_lost_its_rings(d, &v))
			continue;
		if (step == LIFECYCLE_WAIT)
			say_left_alone(d, &v);
		if (waits_for_upgrade(d, &v, step) || step == LIFECYCLE_WAIT ||
		    (is_opening(step) && !may_open(d)) ||
		    (step == LIFECYCLE_RESUME && waits_to_resume(d)))
			return true;
		if (step == LIFECYCLE_FORGET) {
			log_debug("%s: gone", d->log.who);
			d->env.kind->closed(d->device);
			/* Nobody else would: libxl does not know of it. */
			toolstack_remove_error(d->bus.xs, d->env.domid,
					       d->env.config->kind, d->frontend_id,
					       d->devid);
			return false;
		}
		rc = act(d, step);
		/* -ENOENT, -EAGAIN: changed under our hands; the next look sees. */
		if (rc && rc != -ENOENT && rc != -EAGAIN) {
			retry_later(d, lifecycle_step_name(step), rc);
			return true;
		}
	}
	d->look_at_ms = now_ms() + 1;
	return true;
}
