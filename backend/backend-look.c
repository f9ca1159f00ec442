/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What XenStore says of one device (backend-look.h).
 *
 * Hides: what of the store is believed, and which watches there are on what a front end
 * writes. Must not know: kinds of devices, what is done about it.
 */
#include "backend-look.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "keys.h"
#include "util.h"
#include "xenbus-device.h"

#define SEEN_MS 100u		/* our Closing stays for who waits for just that */

/* ---- hearing ---------------------------------------------------------------- */

void backend_look_mute(struct backend_device *d)
{
	char token[FRONT_TOKEN_BYTES];

	if (!d->linked || d->front_muted)
		return;
	device_front_token(token, d->frontend_id, d->devid);
	xenbus_unwatch_otherend(&d->bus, token);
	if (d->env.kind->listen)
		d->env.kind->listen(d->device, false);
	d->front_muted = true;
}

/* The store may have given others all the watches that we may have: they come back. */
static void say_unheard(struct backend_device *d, int err)
{
	char why[XENBUS_TEXT_BYTES];

	if (err) {
		snprintf(why, sizeof(why), "no watch on %.128s: %s", d->bus.otherend, strerror(err));
		if (!d->said_unheard)
			log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s", why);
		xenbus_write_error(&d->bus, err, why);
		backend_look_at(d, now_ms() + BACKEND_RETRY_MS);
	} else if (d->said_unheard) {
		xenbus_clear_error(&d->bus);
	}
	d->said_unheard = err;
}

/*
 * Each watch begins with an event, which is not its front end's. Without one no new device is
 * taken up; one that has been, by whichever daemon, is looked at by and by (say_unheard()), and
 * listened to when that can be.
 */
static void listen(struct backend_device *d)
{
	char token[FRONT_TOKEN_BYTES];
	int rc;

	device_front_token(token, d->frontend_id, d->devid);
	rc = xenbus_watch_otherend(&d->bus, token);
	say_unheard(d, -rc);
	d->linked = !rc || d->bus.state != XenbusStateInitialising;
	d->front_muted = rc;
	d->front_free = !rc;
	if (!rc && d->env.kind->listen)
		d->front_free += d->env.kind->listen(d->device, true);
}

/* ---- looking -------------------------------------------------------------- */

static int read_links(struct backend_device *d, struct xenbus_device *out)
{
	struct key_error err = { .expected = "" };
	int rc = xenbus_open_device(d->bus.xs, XENBUS_BACKEND, d->env.domid,
				    d->bus.nodename, out, &err);

	if (rc) {
		log_debug("%s: not complete yet: %s", d->log.who, err.key);
	} else if (out->otherend_id != d->frontend_id) {
		log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s says front end %u: left alone",
			    d->bus.nodename, out->otherend_id);
		rc = -EINVAL;
	}
	return rc;
}

/*
 * What a daemon of before said while the guest of one of its devices waited: what is true of
 * it yet is said again. (Before state 4 an error goes when the device is opened.)
 */
static void forget_error(struct backend_device *d)
{
	const struct rundir_name name = { .kind = d->env.config->kind,
					  .frontend_id = d->frontend_id, .devid = d->devid };
	char dir[XENBUS_PATH_BYTES];

	if (d->bus.state == XenbusStateConnected &&
	    !rundir_read_info(&d->env.config->rundir, &name, "frontend", dir,
				 sizeof(dir)))
		xenbus_clear_error(&d->bus);
}

/*
 * Reads the links when a device is new, or has been made anew by the tool
 * stack. Our state is what its node says: a predecessor may have written it.
 */
static void link_front(struct backend_device *d)
{
	struct xenbus_device bus;
	int rc = read_links(d, &bus);

	/* Not again for the same: a new watch is an event by itself. */
	if (!rc && d->linked && !strcmp(bus.otherend, d->bus.otherend))
		return;
	backend_look_mute(d);
	d->linked = false;
	if (rc)
		return;
	d->bus = bus;
	forget_error(d);
	listen(d);
}

/*
 * Of our own node only the tool stack's two words count: 1 (a new device) and
 * 5 (detach). Anything else there that we did not write is somebody's mistake.
 */
static void take_own_state(struct backend_device *d, XenbusState node)
{
	if (node == d->bus.state ||
	    (node != XenbusStateInitialising && node != XenbusStateClosing))
		return;
	log_debug("%s: the tool stack says %s", d->log.who, xenbus_state_name(node));
	d->bus.state = node;
	d->refused = false;
	/* Another device, perhaps of another domain of this number. */
	if (node == XenbusStateInitialising) {
		d->was_alive = d->resuming = false;
		d->resume_ms = d->resume_said = 0;
	}
}

/* A domain that has been there, and is not any more, has died. */
static int look_front(struct backend_device *d, XenbusState *out)
{
	bool alive;
	int rc;

	*out = d->front_node = XenbusStateUnknown;
	if (!d->linked)
		return 0;
	alive = xs_is_domain_introduced(d->bus.xs, d->frontend_id);
	if (alive)
		d->was_alive = true;
	rc = xenbus_look_otherend_state(&d->bus, &d->front_node);
	/* It has moved: whatever it says next is to be tried. */
	if (d->refused && d->front_node != d->refused_front)
		d->refused = false;
	*out = alive || !d->was_alive ? d->front_node : XenbusStateClosed;
	return rc;
}

static bool close_overdue(struct backend_device *d, const struct lifecycle_view *v)
{
	uint32_t limit = d->env.config->close_ms;
	/* Or is to be, and what that takes is not there. */
	bool used = v->worker == LIFECYCLE_SERVING ||
		    (v->worker == LIFECYCLE_IDLE && v->resumable);

	if (v->back != XenbusStateClosing || !used || !limit) {
		d->closing_ms = 0;
		return false;
	}
	if (!d->closing_ms)
		d->closing_ms = now_ms();
	backend_look_at(d, d->closing_ms + limit);
	return now_ms() >= d->closing_ms + limit;
}

/* Whoever has seen it says Closed; others wait for our Closed. */
static bool is_unseen(struct backend_device *d, const struct lifecycle_view *v)
{
	uint64_t until;

	if (v->back != XenbusStateClosing || v->front != XenbusStateClosing || !v->online) {
		d->both_closing_ms = 0;
		return false;
	}
	if (!d->both_closing_ms)
		d->both_closing_ms = now_ms();
	until = d->both_closing_ms + SEEN_MS;
	if (now_ms() >= until)
		return false;
	backend_look_at(d, until);
	return true;
}

static void say_missing(struct backend_device *d, const struct lifecycle_view *v,
			const char *why)
{
	/* One that a predecessor served, and nobody can go on with. */
	bool stuck = v->worker == LIFECYCLE_IDLE && v->resumable;
	bool missing = d->linked && !v->complete && *why &&
		       (v->back == XenbusStateInitialising || stuck);

	if (missing && !(d->said_missing &&
			 d->said_inputs == d->env.kind->inputs(d->device))) {
		log_peer_at(&d->log, stuck ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s%s",
			    stuck ? "its guest waits: " : "waits: ", why);
		xenbus_write_error(&d->bus, stuck ? EINVAL : ENOENT, why);
	} else if (!missing && d->said_missing) {
		xenbus_clear_error(&d->bus);
	}
	d->said_missing = missing;
	d->said_inputs = d->env.kind->inputs(d->device);
}

int backend_look(struct backend_device *d, struct lifecycle_view *v)
{
	char why[XENBUS_TEXT_BYTES] = "";
	XenbusState node;
	int rc = xenbus_look_own_state(&d->bus, &node);

	if (rc && rc != -ENOENT)
		return rc;
	memset(v, 0, sizeof(*v));
	v->exists = !rc;
	if (v->exists) {
		take_own_state(d, node);
		if (!d->linked || (d->bus.state == XenbusStateInitialising &&
				   !d->env.kind->is_open(d->device)))
			link_front(d);
		else if (d->front_muted && !d->front_due_ms)
			listen(d);
	}
	v->back = d->linked ? d->bus.state : XenbusStateUnknown;
	rc = look_front(d, &v->front);
	v->refused = d->refused;
	v->refused_inputs = d->refused_inputs;
	if (!rc)
		rc = d->env.kind->look(d->device, v, why, sizeof(why));
	if (rc)
		return rc;
	if (d->predecessor)
		v->worker = LIFECYCLE_STOPPING;
	v->close_overdue = close_overdue(d, v);
	v->unseen = is_unseen(d, v);
	v->removes = d->env.config->driver_domain;
	v->refused &= v->refused_inputs == d->env.kind->inputs(d->device);
	say_missing(d, v, why);
	if (v->front != XenbusStateInitialised && v->front != XenbusStateConnected)
		d->front_ready_ms = 0;
	else if (!d->front_ready_ms)
		d->front_ready_ms = now_ms();
	return 0;
}
