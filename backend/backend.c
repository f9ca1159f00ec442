/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of one kind (backend.h).
 *
 * Hides: watches, how their events are merged, when a device is looked at. Must
 * not know: what is then seen (backend-device.c), images, rings, processes.
 */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "backend-device.h"
#include "toolstack.h"
#include "util.h"
#include "xenbus-device.h"

#define ROOT_TOKEN "root"
#define DOMAINS_TOKEN "domains"
#define EVENTS_PER_TURN 1024	/* then the devices have their turn */
/*
 * A front end that writes its state more often than this, after so many times, is looked at
 * so often: each look asks the store several times, and other devices wait meanwhile.
 */
#define FRONT_WRITES 64u
#define FRONT_LOOK_MS 50u

struct backend {
	const struct device_kind *kind;
	void *common;
	const struct backend_config *config;
	struct evloop *loop;
	struct xs_handle *xs;
	struct evsource *on_event, *tick, *again;
	char root[XENBUS_PATH_BYTES];
	uint32_t domid;
	struct backend_device *devices;
	bool rescan, running, ending;
};

static void run_pending(struct backend *b);

/* ---- devices -------------------------------------------------------------- */

static struct backend_device *find_device(struct backend *b, uint32_t frontend_id,
					  uint32_t devid)
{
	struct backend_device *d;

	for (d = b->devices; d; d = d->next)
		if (d->frontend_id == frontend_id && d->devid == devid)
			return d;
	return NULL;
}

static void on_changed(void *arg)
{
	run_pending(arg);
}

static struct backend_device *new_device(struct backend *b, uint32_t frontend_id,
					 uint32_t devid)
{
	const struct backend_device_env env = {
		.kind = b->kind, .common = b->common, .config = b->config,
		.loop = b->loop, .xs = b->xs, .domid = b->domid,
		.changed = on_changed, .arg = b,
	};
	struct backend_device *d;
	int rc = backend_device_new(&env, frontend_id, devid, &d);

	if (rc) {
		log_error("%s %u/%u: %s", b->config->kind, frontend_id, devid,
			  strerror(-rc));
		return NULL;
	}
	d->next = b->devices;
	d->front_tokens = FRONT_WRITES;
	d->front_tokens_ms = now_ms();
	b->devices = d;
	return d;
}

static void free_device(struct backend *b, struct backend_device *d)
{
	struct backend_device **at = &b->devices;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	backend_device_free(d);
}

static void mark(struct backend *b, uint32_t frontend_id, uint32_t devid)
{
	struct backend_device *d = find_device(b, frontend_id, devid);

	if (!d)
		d = new_device(b, frontend_id, devid);
	if (d)
		d->pending = true;
}

static void mark_all(struct backend *b)
{
	struct backend_device *d;

	for (d = b->devices; d; d = d->next)
		d->pending = true;
}

/* ---- what is there -------------------------------------------------------- */

static void mark_left(void *arg, uint32_t frontend_id, uint32_t devid)
{
	mark(arg, frontend_id, devid);
}

static int found(void *arg, uint32_t frontend_id, uint32_t devid)
{
	mark(arg, frontend_id, devid);
	return 0;
}

static void scan(struct backend *b)
{
	int rc = toolstack_each(b->xs, b->domid, b->config->kind, found, b);

	b->rescan = false;
	if (rc)
		log_error("%s: cannot be listed: %s", b->root, strerror(-rc));
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

/* Now if it may be, soon else. */
static void mark_by_front(struct backend_device *d)
{
	uint64_t now = now_ms(), due = (now - d->front_tokens_ms) / FRONT_LOOK_MS;

	d->front_tokens_ms += due * FRONT_LOOK_MS;
	d->front_tokens = (uint32_t)MIN(d->front_tokens + due, FRONT_WRITES);
	if (d->front_due_ms)
		return;
	if (d->front_tokens) {
		d->front_tokens--;
		d->pending = true;
		return;
	}
	d->front_due_ms = now + FRONT_LOOK_MS;
	log_peer_at(&d->log, LOG_LEVEL_WARNING, "its front end writes to XenStore without end: "
		    "it is looked at %u times a second", 1000 / FRONT_LOOK_MS);
}

static void take_event(struct backend *b, const char *path, const char *token)
{
	uint32_t frontend_id, devid;
	struct backend_device *d;

	if (!strcmp(token, ROOT_TOKEN)) {
		take_root_event(b, path);
	} else if (!strcmp(token, DOMAINS_TOKEN)) {
		mark_all(b);
	} else if (sscanf(token, "front %u/%u", &frontend_id, &devid) == 2) {
		/* NULL: an event of a watch that has been removed since. */
		d = find_device(b, frontend_id, devid);
		if (d)
			mark_by_front(d);
	} else if (b->kind->event && !strncmp(token, KIND_TOKEN, strlen(KIND_TOKEN))) {
		b->kind->event(b->common, path, token);
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

/* ---- turns ---------------------------------------------------------------- */

static bool all_ended(const struct backend *b)
{
	const struct backend_device *d;

	for (d = b->devices; d; d = d->next)
		if (backend_device_is_served(d))
			return false;
	return !b->kind->is_idle || b->kind->is_idle(b->common);
}

/* Whoever has a time to be looked at again, soon enough. */
static void arm_tick(struct backend *b)
{
	struct backend_device *d;
	uint64_t now = now_ms(), first = UINT64_MAX;

	for (d = b->devices; d; d = d->next) {
		if (d->look_at_ms || d->pending)
			first = MIN(first, d->pending ? now : d->look_at_ms);
		if (d->front_due_ms)
			first = MIN(first, d->front_due_ms);
	}
	evloop_set_timer(b->tick, first == UINT64_MAX ? -1 :
			 first > now ? (int64_t)(first - now) : 0, 0);
}

static void run_pending(struct backend *b)
{
	struct backend_device *d, *next;

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
		if (!backend_device_advance(d))
			free_device(b, d);
	}
	b->running = false;
	arm_tick(b);
}

static void on_tick(void *arg, uint32_t events)
{
	struct backend *b = arg;
	struct backend_device *d;
	uint64_t now = now_ms();

	(void)events;
	for (d = b->devices; d; d = d->next) {
		if ((d->look_at_ms && d->look_at_ms <= now) ||
		    (d->front_due_ms && d->front_due_ms <= now))
			d->pending = true;
		if (d->front_due_ms <= now)
			d->front_due_ms = 0;
	}
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

static int open_kind(struct backend *b)
{
	const struct device_kind_env env = {
		.config = b->config, .loop = b->loop, .xs = b->xs, .domid = b->domid,
		.changed = on_changed, .arg = b,
	};

	return b->kind->open(&env, &b->common);
}

int backend_open(struct evloop *loop, struct xs_handle *xs, const struct device_kind *kind,
		 const struct backend_config *config, struct backend **out)
{
	struct backend *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return -ENOMEM;
	b->kind = kind;
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
		rc = open_kind(b);
	if (!rc)
		rc = watch(b, b->root, ROOT_TOKEN);
	if (rc) {
		backend_close(b);
		return rc;
	}
	watch_domains(b);
	/* Also what only a former daemon knew: its worker may run yet. */
	rundir_each(&config->rundir, config->kind, mark_left, b);
	*out = b;
	return 0;
}

void backend_shutdown(struct backend *b)
{
	struct backend_device *d;

	b->ending = true;
	for (d = b->devices; d; d = d->next)
		backend_device_keep(d);
	if (b->kind->shutdown)
		b->kind->shutdown(b->common);
	run_pending(b);
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	while (b->devices)
		free_device(b, b->devices);
	if (b->common)
		b->kind->close(b->common);
	evloop_remove(b->on_event);
	evloop_remove(b->again);
	evloop_remove(b->tick);
	free(b);
}
