/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of one kind (backend.h).
 *
 * Hides: watches, looking, stepping, refusing. Must not know: images, rings,
 * processes.
 */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lifecycle.h"
#include "util.h"
#include "vbd-device.h"
#include "xenbus-device.h"

#define ROOT_TOKEN "root"
#define DOMAINS_TOKEN "domains"
#define EVENTS_PER_TURN 1024	/* then the devices have their turn */
#define STEPS_PER_LOOK 16	/* more than any orderly way through the states */
#define RETRY_MS 1000		/* after the store refused a request */
#define WHY_BYTES XENBUS_TEXT_BYTES
#define TOKEN_BYTES 32

/*
 * A front end that closes and comes back as fast as it can costs a process each
 * time: more than BURST openings are spread out.
 */
#define OPEN_BURST 10u
#define OPEN_REFILL_MS 100u

struct device {
	struct backend *backend;
	struct device *next;
	uint32_t frontend_id, devid;
	struct xenbus_device bus;
	struct log_peer log;
	bool linked, pending, was_alive;
	/* What was refused, so that the same is not tried again and again. */
	bool refused;
	XenbusState refused_front;
	uint64_t refused_inputs;
	bool failure_said;
	bool said_missing;
	uint64_t said_inputs;
	uint64_t look_at_ms;		/* 0: only when something changes */
	uint64_t closing_ms;		/* since when the tool stack waits; 0: not */
	uint64_t front_ready_ms;	/* since when the front end waits; 0: not */
	uint64_t tokens_ms;
	uint32_t open_tokens;
	struct vbd_device *vbd;
};

struct backend {
	const struct blkback_config *config;
	struct evloop *loop;
	struct xs_handle *xs;
	struct evsource *on_event, *tick, *again;
	char root[XENBUS_PATH_BYTES];
	uint32_t domid;
	struct device *devices;
	bool rescan, running, ending;
};

static void run_pending(struct backend *b);

/* ---- devices -------------------------------------------------------------- */

static void device_token(const struct device *d, char *buf)
{
	snprintf(buf, TOKEN_BYTES, "front %u/%u", d->frontend_id, d->devid);
}

static struct device *find_device(struct backend *b, uint32_t frontend_id,
				  uint32_t devid)
{
	struct device *d;

	for (d = b->devices; d; d = d->next)
		if (d->frontend_id == frontend_id && d->devid == devid)
			return d;
	return NULL;
}

static void on_changed(void *arg)
{
	struct device *d = arg;

	d->pending = true;
	run_pending(d->backend);
}

static const char *find_holder(void *arg, int fd)
{
	const struct device *self = arg, *d;

	for (d = self->backend->devices; d; d = d->next)
		if (d != self && vbd_device_uses(d->vbd, fd))
			return d->log.who;
	return NULL;
}

static void unlink_front(struct device *d)
{
	char token[TOKEN_BYTES];

	if (!d->linked)
		return;
	device_token(d, token);
	xenbus_unwatch_otherend(&d->bus, token);
	d->linked = false;
}

static void free_device(struct device *d)
{
	struct device **at = &d->backend->devices;

	while (*at && *at != d)
		at = &(*at)->next;
	if (*at)
		*at = d->next;
	unlink_front(d);
	vbd_device_free(d->vbd);
	free(d);
}

static struct device *new_device(struct backend *b, uint32_t frontend_id,
				 uint32_t devid)
{
	struct device *d = calloc(1, sizeof(*d));
	struct vbd_device_env env;

	if (!d)
		return NULL;
	d->backend = b;
	d->frontend_id = frontend_id;
	d->devid = devid;
	d->open_tokens = OPEN_BURST;
	log_peer_init(&d->log, "%s %u/%u", b->config->kind, frontend_id, devid);
	d->bus.xs = b->xs;
	env = (struct vbd_device_env){
		.config = b->config, .loop = b->loop, .bus = &d->bus, .log = &d->log,
		.frontend_id = frontend_id, .devid = devid,
		.changed = on_changed, .holder = find_holder, .arg = d,
	};
	if (xenbus_backend_path(d->bus.nodename, sizeof(d->bus.nodename), b->domid,
				b->config->kind, frontend_id, devid) ||
	    vbd_device_new(&env, &d->vbd)) {
		free(d);
		return NULL;
	}
	d->next = b->devices;
	b->devices = d;
	log_debug("%s: found", d->log.who);
	return d;
}

static void mark(struct backend *b, uint32_t frontend_id, uint32_t devid)
{
	struct device *d = find_device(b, frontend_id, devid);

	if (!d)
		d = new_device(b, frontend_id, devid);
	if (d)
		d->pending = true;
	else
		log_error("%s %u/%u: out of memory", b->config->kind, frontend_id, devid);
}

static void mark_all(struct backend *b)
{
	struct device *d;

	for (d = b->devices; d; d = d->next)
		d->pending = true;
}

/* ---- what is there -------------------------------------------------------- */

static int parse_id(const char *text, uint64_t max, uint32_t *out)
{
	uint64_t v;
	int rc = parse_u64(text, max, &v);

	if (!rc)
		*out = (uint32_t)v;
	return rc;
}

static void scan_domain(struct backend *b, uint32_t frontend_id)
{
	char path[XENBUS_PATH_BYTES + 16];
	unsigned int i, nr = 0;
	uint32_t devid;
	char **names;

	snprintf(path, sizeof(path), "%s/%u", b->root, frontend_id);
	names = xs_directory(b->xs, XBT_NULL, path, &nr);
	for (i = 0; names && i < nr; i++)
		if (!parse_id(names[i], UINT32_MAX, &devid))
			mark(b, frontend_id, devid);
	free(names);
}

static void scan(struct backend *b)
{
	unsigned int i, nr = 0;
	uint32_t frontend_id;
	char **names = xs_directory(b->xs, XBT_NULL, b->root, &nr);

	b->rescan = false;
	for (i = 0; names && i < nr; i++)
		if (!parse_id(names[i], UINT16_MAX, &frontend_id))
			scan_domain(b, frontend_id);
	free(names);
}

/* ROOT/3/51712/anything is one device; less is any of them. */
static void take_root_event(struct backend *b, const char *path)
{
	size_t base = strlen(b->root);
	uint32_t frontend_id, devid;

	if (!strncmp(path, b->root, base) &&
	    sscanf(path + base, "/%u/%u", &frontend_id, &devid) == 2 &&
	    frontend_id <= UINT16_MAX) {
		mark(b, frontend_id, devid);
		return;
	}
	b->rescan = true;
	mark_all(b);
}

static void take_event(struct backend *b, const char *path, const char *token)
{
	uint32_t frontend_id, devid;
	struct device *d;

	if (!strcmp(token, ROOT_TOKEN)) {
		take_root_event(b, path);
	} else if (!strcmp(token, DOMAINS_TOKEN)) {
		mark_all(b);
	} else if (sscanf(token, "front %u/%u", &frontend_id, &devid) == 2) {
		/* NULL: an event of a watch that has been removed since. */
		d = find_device(b, frontend_id, devid);
		if (d)
			d->pending = true;
	}
}

/*
 * All that has come, up to a bound, turns into marks; then each marked device
 * is looked at once.
 */
static void on_event(void *arg, uint32_t events)
{
	struct backend *b = arg;
	unsigned int i;
	char **event;

	(void)events;
	for (i = 0; i < EVENTS_PER_TURN; i++) {
		event = xs_check_watch(b->xs);
		if (!event)
			break;
		take_event(b, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
		free(event);
	}
	if (i == EVENTS_PER_TURN)
		evloop_set_timer(b->again, 0, 0);
	run_pending(b);
}

/* ---- looking -------------------------------------------------------------- */

static int read_links(struct device *d, struct xenbus_device *out)
{
	struct key_error err = { .expected = "" };
	int rc = xenbus_open_device(d->backend->xs, XENBUS_BACKEND, d->backend->domid,
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
 * Reads the links when a device is new, or has been made anew by the tool
 * stack. Our state is what its node says: a predecessor may have written it.
 */
static void link_front(struct device *d)
{
	struct xenbus_device bus;
	char token[TOKEN_BYTES];
	int rc = read_links(d, &bus);

	/* Not again for the same: a new watch is an event by itself. */
	if (!rc && d->linked && !strcmp(bus.otherend, d->bus.otherend))
		return;
	unlink_front(d);
	if (rc)
		return;
	device_token(d, token);
	d->bus = bus;
	rc = xenbus_watch_otherend(&d->bus, token);
	if (rc)
		log_peer_at(&d->log, LOG_LEVEL_ERROR, "no watch on %s: %s",
			    d->bus.otherend, strerror(-rc));
	d->linked = !rc;
}

/*
 * Of our own node only the tool stack's two words count: 1 (a new device) and
 * 5 (detach). Anything else there that we did not write is somebody's mistake.
 */
static void take_own_state(struct device *d, XenbusState node)
{
	if (node == d->bus.state ||
	    (node != XenbusStateInitialising && node != XenbusStateClosing))
		return;
	log_debug("%s: the tool stack says %s", d->log.who, xenbus_state_name(node));
	d->bus.state = node;
	d->refused = false;
	/* Another device, perhaps of another domain of this number. */
	if (node == XenbusStateInitialising)
		d->was_alive = false;
}

/* A domain that has been there, and is not any more, has died. */
static XenbusState look_front(struct device *d)
{
	bool alive = xs_is_domain_introduced(d->backend->xs, d->frontend_id);

	if (alive)
		d->was_alive = true;
	else if (d->was_alive)
		return XenbusStateClosed;
	return xenbus_read_state(d->backend->xs, d->bus.otherend);
}

static bool close_overdue(struct device *d, const struct lifecycle_view *v)
{
	uint32_t limit = d->backend->config->close_ms;

	if (v->back != XenbusStateClosing || v->worker != LIFECYCLE_SERVING || !limit) {
		d->closing_ms = 0;
		return false;
	}
	if (!d->closing_ms)
		d->closing_ms = now_ms();
	d->look_at_ms = d->closing_ms + limit;
	return now_ms() >= d->look_at_ms;
}

static void say_missing(struct device *d, const struct lifecycle_view *v,
			const char *why)
{
	bool missing = d->linked && !v->complete && v->back == XenbusStateInitialising;

	if (missing && !(d->said_missing &&
			 d->said_inputs == vbd_device_inputs(d->vbd))) {
		log_peer_at(&d->log, LOG_LEVEL_INFO, "waits: %s", why);
		xenbus_write_error(&d->bus, ENOENT, why);
	} else if (!missing && d->said_missing) {
		xenbus_clear_error(&d->bus);
	}
	d->said_missing = missing;
	d->said_inputs = vbd_device_inputs(d->vbd);
}

static void look(struct device *d, struct lifecycle_view *v)
{
	char why[WHY_BYTES];
	XenbusState node;

	memset(v, 0, sizeof(*v));
	v->exists = xenbus_look_own_state(&d->bus, &node) != -ENOENT;
	if (v->exists) {
		take_own_state(d, node);
		if (!d->linked || (d->bus.state == XenbusStateInitialising &&
				   !vbd_device_is_open(d->vbd)))
			link_front(d);
	}
	v->back = d->linked ? d->bus.state : XenbusStateUnknown;
	v->front = d->linked ? look_front(d) : XenbusStateUnknown;
	vbd_device_look(d->vbd, v, why, sizeof(why));
	v->close_overdue = close_overdue(d, v);
	v->refused = d->refused && d->refused_front == v->front &&
		d->refused_inputs == vbd_device_inputs(d->vbd);
	say_missing(d, v, why);
	if (v->front != XenbusStateInitialised && v->front != XenbusStateConnected)
		d->front_ready_ms = 0;
	else if (!d->front_ready_ms)
		d->front_ready_ms = now_ms();
}

/* ---- doing ---------------------------------------------------------------- */

static int switch_state(struct device *d, XenbusState to)
{
	log_debug("%s: %s -> %s", d->log.who, xenbus_state_name(d->bus.state),
		  xenbus_state_name(to));
	return xenbus_switch_state(&d->bus, to);
}

/* The reason where people look for it, and one line; then towards Closed. */
static int refuse(struct device *d, const struct lifecycle_view *v, int err,
		  const char *why)
{
	/* Our directory has gone, or the store has: nobody to tell. */
	if (err == -ENOENT && !xenbus_exists(d->bus.xs, XBT_NULL, d->bus.nodename))
		return 0;
	log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s", why);
	xenbus_write_error(&d->bus, err < 0 ? -err : err, why);
	d->refused = true;
	d->refused_front = v->front;
	d->refused_inputs = vbd_device_inputs(d->vbd);
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

static bool may_open(struct device *d)
{
	uint64_t now = now_ms(), earned = (now - d->tokens_ms) / OPEN_REFILL_MS;

	if (earned) {
		d->open_tokens = MIN(OPEN_BURST, d->open_tokens + MIN(earned, OPEN_BURST));
		d->tokens_ms = now;
	}
	if (!d->open_tokens) {
		d->look_at_ms = d->tokens_ms + OPEN_REFILL_MS;
		return false;
	}
	d->open_tokens--;
	return true;
}

/* From any state in which the image is opened; a predecessor's 2 or 3 stays. */
static int to_init_wait(struct device *d)
{
	d->refused = false;
	if (d->bus.state == XenbusStateInitWait || d->bus.state == XenbusStateInitialised)
		return 0;
	xenbus_clear_error(&d->bus);
	return switch_state(d, XenbusStateInitWait);
}

static int do_open(struct device *d, const struct lifecycle_view *v)
{
	char why[WHY_BYTES] = "";
	int rc = vbd_device_open(d->vbd, why, sizeof(why));

	return rc ? refuse(d, v, rc, why) : to_init_wait(d);
}

static int do_announce(struct device *d)
{
	int rc = vbd_device_announce(d->vbd);

	return rc ? rc : to_init_wait(d);
}

static int do_start(struct device *d, const struct lifecycle_view *v, bool resume)
{
	char why[WHY_BYTES] = "";
	int rc = resume ? vbd_device_resume(d->vbd, why, sizeof(why)) :
			  vbd_device_connect(d->vbd, why, sizeof(why));

	if (rc)
		return refuse(d, v, rc, why);
	if (resume)
		log_info("%s: resumed after a restart", d->log.who);
	return 0;
}

static int do_connected(struct device *d)
{
	int rc = switch_state(d, XenbusStateConnected);

	if (!rc)
		log_peer_at(&d->log, LOG_LEVEL_INFO,
			    "connected %llu ms after the front end was ready",
			    (unsigned long long)(now_ms() - d->front_ready_ms));
	return rc;
}

/*
 * A front end that is still at 3 or 4, or was refused, has to move before it is
 * tried again: its old ring is not one to connect to.
 */
static int do_closed(struct device *d, const struct lifecycle_view *v)
{
	int rc = switch_state(d, XenbusStateClosed);

	if (rc)
		return rc;
	if (!d->refused && (v->front == XenbusStateInitialised ||
			    v->front == XenbusStateConnected)) {
		d->refused = true;
		d->refused_front = v->front;
		d->refused_inputs = vbd_device_inputs(d->vbd);
	}
	vbd_device_closed(d->vbd);
	d->failure_said = false;
	d->closing_ms = 0;
	log_peer_at(&d->log, LOG_LEVEL_INFO, "closed");
	return 0;
}

static int act(struct device *d, const struct lifecycle_view *v,
	       enum lifecycle_step step)
{
	switch (step) {
	case LIFECYCLE_ANNOUNCE: return do_announce(d);
	case LIFECYCLE_OPEN: return do_open(d, v);
	case LIFECYCLE_CONNECT: return do_start(d, v, false);
	case LIFECYCLE_RESUME: return do_start(d, v, true);
	case LIFECYCLE_CONNECTED: return do_connected(d);
	case LIFECYCLE_CLOSING: return switch_state(d, XenbusStateClosing);
	case LIFECYCLE_CLOSED: return do_closed(d, v);
	case LIFECYCLE_STOP: vbd_device_stop(d->vbd, false); return 0;
	case LIFECYCLE_RELEASE: vbd_device_release(d->vbd); return 0;
	case LIFECYCLE_SCRIPT_FAILED:
		return refuse(d, v, -EIO, "the hotplug script failed: its "
			      "hotplug-status is 'error', expected 'connected'");
	case LIFECYCLE_WAIT:
	case LIFECYCLE_FORGET:
		break;
	}
	return 0;
}

/* The worker gave up: people learn why before the device closes. */
static bool say_failure(struct device *d, const struct lifecycle_view *v)
{
	const struct worker_failure *f = vbd_device_failure(d->vbd);

	if (!v->failed || d->failure_said || !v->exists)
		return false;
	d->failure_said = true;
	refuse(d, v, f->err, f->reason);
	return true;
}

static bool is_opening(enum lifecycle_step step)
{
	return step == LIFECYCLE_OPEN || step == LIFECYCLE_CONNECT;
}

/* Looks and steps until there is nothing to do. Frees what is to be forgotten. */
static void advance(struct device *d)
{
	struct lifecycle_view v;
	enum lifecycle_step step;
	int i, rc;

	d->look_at_ms = 0;
	for (i = 0; i < STEPS_PER_LOOK; i++) {
		look(d, &v);
		if (say_failure(d, &v))
			continue;
		step = lifecycle_next(&v);
		if (step == LIFECYCLE_WAIT || (is_opening(step) && !may_open(d)))
			return;
		if (step == LIFECYCLE_FORGET) {
			log_debug("%s: gone", d->log.who);
			free_device(d);
			return;
		}
		rc = act(d, &v, step);
		/* -ENOENT, -EAGAIN: changed under our hands; the next look sees. */
		if (rc && rc != -ENOENT && rc != -EAGAIN) {
			log_peer_at(&d->log, LOG_LEVEL_ERROR, "%s: %s",
				    lifecycle_step_name(step), strerror(-rc));
			d->look_at_ms = now_ms() + RETRY_MS;
			return;
		}
	}
	d->look_at_ms = now_ms() + 1;
}

/* ---- turns ---------------------------------------------------------------- */

static bool all_ended(const struct backend *b)
{
	const struct device *d;

	for (d = b->devices; d; d = d->next)
		if (vbd_device_is_served(d->vbd))
			return false;
	return true;
}

/* Whoever has a time to be looked at again, soon enough. */
static void arm_tick(struct backend *b)
{
	struct device *d;
	uint64_t now = now_ms(), first = UINT64_MAX;

	for (d = b->devices; d; d = d->next)
		if (d->look_at_ms || d->pending)
			first = MIN(first, d->pending ? now : d->look_at_ms);
	evloop_set_timer(b->tick, first == UINT64_MAX ? -1 :
			 first > now ? (int64_t)(first - now) : 0, 0);
}

/*
 * advance() may free its own device, and by on_changed() mark any; it never
 * frees another.
 */
static void run_pending(struct backend *b)
{
	struct device *d, *next;

	/* From within a look: its caller goes on with what is marked now. */
	if (b->running)
		return;
	if (b->ending) {
		if (all_ended(b))
			evloop_stop(b->loop);
		return;
	}
	b->running = true;
	if (b->rescan)
		scan(b);
	for (d = b->devices; d; d = next) {
		next = d->next;
		if (!d->pending)
			continue;
		d->pending = false;
		advance(d);
	}
	b->running = false;
	arm_tick(b);
}

static void on_tick(void *arg, uint32_t events)
{
	struct backend *b = arg;
	struct device *d;
	uint64_t now = now_ms();

	(void)events;
	for (d = b->devices; d; d = d->next)
		if (d->look_at_ms && d->look_at_ms <= now)
			d->pending = true;
	run_pending(b);
}

static int watch(struct backend *b, const char *path, const char *token)
{
	errno = 0;
	return xs_watch(b->xs, path, token) ? 0 : errno ? -errno : -EIO;
}

/* Domains that come and go: a driver domain may not be told, and need not. */
static void watch_domains(struct backend *b)
{
	int rc = watch(b, XENBUS_WATCH_RELEASED, DOMAINS_TOKEN);

	if (!rc)
		rc = watch(b, XENBUS_WATCH_INTRODUCED, DOMAINS_TOKEN);
	if (rc)
		log_warning("domains that die are not seen: %s", strerror(-rc));
}

int backend_open(struct evloop *loop, struct xs_handle *xs,
		 const struct blkback_config *config, struct backend **out)
{
	struct backend *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return -ENOMEM;
	b->config = config;
	b->loop = loop;
	b->xs = xs;
	rc = xenbus_own_domid(xs, &b->domid);
	if (!rc)
		rc = xenbus_backend_root(b->root, sizeof(b->root), b->domid,
					 config->kind);
	if (!rc)
		rc = evloop_add_timer(loop, on_tick, b, &b->tick);
	if (!rc)
		rc = evloop_add_timer(loop, on_event, b, &b->again);
	if (!rc)
		rc = evloop_add_fd(loop, xs_fileno(xs), EPOLLIN, on_event, b,
				   &b->on_event);
	if (!rc)
		rc = watch(b, b->root, ROOT_TOKEN);
	if (rc) {
		backend_close(b);
		return rc;
	}
	watch_domains(b);
	*out = b;
	return 0;
}

void backend_shutdown(struct backend *b)
{
	struct device *d;

	b->ending = true;
	for (d = b->devices; d; d = d->next)
		if (vbd_device_is_served(d->vbd))
			vbd_device_stop(d->vbd, true);
	run_pending(b);
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	while (b->devices)
		free_device(b->devices);
	evloop_remove(b->on_event);
	evloop_remove(b->again);
	evloop_remove(b->tick);
	free(b);
}
