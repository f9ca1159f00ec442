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
#include "backend-look.h"
#include "toolstack.h"
#include "util.h"
#include "xenbus-device.h"

#define ROOT_TOKEN "root"
#define RELEASED_TOKEN "released"
#define INTRODUCED_TOKEN "introduced"
#define NR_DOMIDS 0x10000u
#define EVENTS_PER_TURN 1024	/* then the devices have their turn */
/*
 * A front end that writes its state more often than this, after so many times, is looked at
 * so often, and if it goes on half as often, down to the last: each look asks the store
 * several times, and may start a worker that finds no ring, which takes a good part of a
 * CPU from the others. It has to be quiet until all its times have come back. One that
 * connects each time, in order, is no such: what it wrote for that does not count, and
 * openings have a bound of their own.
 */
#define FRONT_WRITES 64u
#define FRONT_SESSION_WRITES 7u	/* back for each connection that came about */
#define FRONT_LOOK_MS 50u
#define FRONT_LOOK_MAX_MS 1000u
/* libxenstore tells nobody that its connection has ended but who asks it something. */
#define STORE_CHECK_MS 2000u
/* After the last of the others has ended. */
#define LAST_MS 3000u
#define LAST_LOOK_MS 200
#define STORE_LOST "store-lost"	/* a file of the kind, for tools */

struct backend {
	const struct device_kind *kind;
	void *common;
	const struct backend_config *config;
	struct evloop *loop;
	struct xs_handle *xs;
	struct evsource *on_event, *tick, *again, *check;
	char root[XENBUS_PATH_BYTES];
	uint32_t domid;
	struct backend_device *devices;
	struct openings *openings;
	bool rescan, running, ending;
	uint32_t nr_ending, nr_left;	/* served when the end began, and now */
	uint64_t left_since_ms;
	bool refused;		/* a request to the store, lately */
	bool store_lost;	/* for good: a handle does not connect again */
	bool released, introduced;	/* some domain has been, since the last turn */
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
		.openings = &b->openings, .changed = on_changed, .arg = b,
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
	d->front_delay_ms = FRONT_LOOK_MS;
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

/*
 * The devices of domains that are not there any more. One question for each domain, not
 * one look at each device: domains come and go all day on a large host.
 */
static void mark_dead(struct backend *b)
{
	static uint8_t asked[NR_DOMIDS / 8], dead[NR_DOMIDS / 8];	/* the loop's thread's */
	struct backend_device *d;

	b->released = false;
	memset(asked, 0, sizeof(asked));
	memset(dead, 0, sizeof(dead));
	for (d = b->devices; d; d = d->next) {
		uint32_t at = (d->frontend_id & (NR_DOMIDS - 1)) / 8;
		uint8_t bit = (uint8_t)(1u << d->frontend_id % 8);

		if (!d->was_alive)
			continue;
		if (!(asked[at] & bit) && !xs_is_domain_introduced(b->xs, d->frontend_id))
			dead[at] |= bit;
		asked[at] |= bit;
		d->pending |= (dead[at] & bit) != 0;
	}
}

/* Those whose domain has not been seen yet: the rest know theirs. */
static void mark_unseen(struct backend *b)
{
	struct backend_device *d;

	b->introduced = false;
	for (d = b->devices; d; d = d->next)
		d->pending |= !d->was_alive;
}

static void mark_domain(struct backend *b, uint32_t frontend_id)
{
	struct backend_device *d;

	for (d = b->devices; d; d = d->next)
		d->pending |= d->frontend_id == frontend_id;
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

/*
 * ROOT/3/51712/anything is one device; ROOT/3 those of a domain that we know, since a new
 * one has an event of its own; less is any of them.
 */
static void take_root_event(struct backend *b, const char *path)
{
	size_t base = strlen(b->root);
	uint32_t frontend_id, devid;
	int nr = 0;

	if (!strncmp(path, b->root, base))
		nr = sscanf(path + base, "/%u/%u", &frontend_id, &devid);
	if (nr > 0 && frontend_id > UINT16_MAX)
		nr = 0;
	if (nr == 2) {
		mark(b, frontend_id, devid);
	} else if (nr == 1) {
		mark_domain(b, frontend_id);
	} else {
		b->rescan = true;
		mark_all(b);
	}
}

static void refill_front(struct backend_device *d, uint64_t now)
{
	uint64_t due = (now - d->front_tokens_ms) / FRONT_LOOK_MS;

	d->front_tokens_ms += due * FRONT_LOOK_MS;
	due += d->connections * FRONT_SESSION_WRITES;
	d->connections = 0;
	d->front_tokens = (uint32_t)MIN(d->front_tokens + due, FRONT_WRITES);
	if (d->front_tokens == FRONT_WRITES)
		d->front_delay_ms = FRONT_LOOK_MS;
}

/*
 * Now if it may be, soon else. Until then it is not listened to either, since each event
 * wakes us; then a look listens again, and the events that come of that are free.
 */
static void mark_by_front(struct backend_device *d)
{
	uint64_t now = now_ms();

	if (d->front_due_ms)
		return;
	refill_front(d, now);
	if (d->front_tokens || d->front_free) {
		d->front_tokens -= !d->front_free;
		d->front_free -= d->front_free > 0;
		d->pending = true;
		return;
	}
	backend_look_mute(d);
	d->front_due_ms = d->front_tokens_ms = now + d->front_delay_ms;
	d->front_delay_ms = MIN(2 * d->front_delay_ms, FRONT_LOOK_MAX_MS);
	log_peer_at(&d->log, LOG_LEVEL_WARNING, "its front end writes to XenStore without end: "
		    "it is looked at less and less often, at last every %u ms", FRONT_LOOK_MAX_MS);
}

static void take_event(struct backend *b, const char *path, const char *token)
{
	uint32_t frontend_id, devid;
	struct backend_device *d;

	if (!strcmp(token, ROOT_TOKEN)) {
		take_root_event(b, path);
	} else if (!strcmp(token, RELEASED_TOKEN)) {
		b->released = true;
	} else if (!strcmp(token, INTRODUCED_TOKEN)) {
		b->introduced = true;
	} else if (sscanf(token, FRONT_TOKEN, &frontend_id, &devid) == 2) {
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

/* ---- a store that has gone ------------------------------------------------ */

static void lose_store(struct backend *b)
{
	struct backend_device *d;

	b->store_lost = true;
	b->rescan = false;
	for (d = b->devices; d; d = d->next)
		d->pending = false;
	evloop_set_timer(b->check, -1, 0);
	evloop_set_timer(b->tick, -1, 0);
	log_error("the connection to XenStore has broken: what is connected is served on, but "
		  "nothing is attached, changed or detached any more; when XenStore is back with "
		  "its contents, 'paravane upgrade' connects this daemon again");
	rundir_write_file(&b->config->rundir, b->config->kind, STORE_LOST, "lost=1\n");
}

static void on_check(void *arg, uint32_t events)
{
	struct backend *b = arg;
	uint32_t domid;
	int rc = xenbus_own_domid(b->xs, &domid);

	(void)events;
	if (rc == -EBADF || rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN)
		lose_store(b);
}

/* ---- turns ---------------------------------------------------------------- */

static uint32_t count_served(const struct backend *b)
{
	const struct backend_device *d;
	uint32_t nr = 0;

	for (d = b->devices; d; d = d->next)
		nr += backend_device_is_served(d);
	return nr;
}

/*
 * Guests wait from the end of their worker to the next daemon: all for the one whose storage
 * holds its last I/O, if that was waited for. What it leaves its journal has.
 */
static bool is_over(struct backend *b)
{
	struct backend_device *d;
	uint32_t left = count_served(b);

	if (left != b->nr_left) {
		b->nr_left = left;
		b->left_since_ms = now_ms();
	}
	if (left && left < b->nr_ending && now_ms() >= b->left_since_ms + LAST_MS) {
		for (d = b->devices; d; d = d->next)
			if (backend_device_is_served(d))
				log_peer_at(&d->log, LOG_LEVEL_WARNING, "its worker does not end, and "
					    "is left to the next daemon");
		return true;
	}
	return !left && (!b->kind->is_idle || b->kind->is_idle(b->common));
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
		if (is_over(b))
			evloop_stop(b->loop);
		else
			evloop_set_timer(b->tick, LAST_LOOK_MS, 0);
		return;
	}
	if (b->store_lost)
		return;
	b->running = true;
	if (b->rescan)
		scan(b);
	if (b->released)
		mark_dead(b);
	if (b->introduced)
		mark_unseen(b);
	for (d = b->devices; d; d = next) {
		next = d->next;
		if (!d->pending)
			continue;
		d->pending = false;
		if (!backend_device_advance(d))
			free_device(b, d);
		else if (d->store_failed)
			b->refused = true;
	}
	b->running = false;
	arm_tick(b);
	if (b->refused)
		on_check(b, 0);
	b->refused = false;
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
	int rc = watch(b, XENBUS_WATCH_RELEASED, RELEASED_TOKEN);

	if (!rc)
		rc = watch(b, XENBUS_WATCH_INTRODUCED, INTRODUCED_TOKEN);
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
		rc = evloop_add_timer(loop, on_check, b, &b->check);
	if (!rc)
		rc = evloop_set_timer(b->check, STORE_CHECK_MS, STORE_CHECK_MS);
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
	rundir_remove_file(&config->rundir, config->kind, STORE_LOST);
	/* Also what only a former daemon knew: its worker may run yet. */
	rundir_each(&config->rundir, config->kind, mark_left, b);
	*out = b;
	return 0;
}

void backend_shutdown(struct backend *b)
{
	struct backend_device *d;

	b->ending = true;
	b->nr_ending = b->nr_left = count_served(b);
	b->left_since_ms = now_ms();
	for (d = b->devices; d; d = d->next)
		backend_device_keep(d);
	if (b->kind->shutdown)
		b->kind->shutdown(b->common);
	run_pending(b);
}

const char *backend_unsettled(const struct backend *b, bool coming)
{
	const struct backend_device *d;

	/* Without a store nothing is looked at, whatever is marked. */
	for (d = b->devices; d && !b->store_lost; d = d->next)
		if (!backend_device_is_settled(d))
			return d->log.who;
	return b->rescan || b->ending ? "the daemon itself" : b->kind->unsettled(b->common, coming);
}

bool backend_inherits(const struct backend *b)
{
	const struct backend_device *d;

	for (d = b->devices; d; d = d->next)
		if (d->inherited)
			return true;
	return false;
}

void backend_give_up(struct backend *b, const char *why)
{
	/* None is looked at before all are told: a look may free any. */
	b->running = true;
	for (struct backend_device *d = b->devices; d; d = d->next)
		backend_device_give_up(d, why);
	b->running = false;
	mark_all(b);
	run_pending(b);
}

bool backend_cannot_leave(const struct backend *b, char *why, size_t why_bytes)
{
	return b->kind->cannot_leave && b->kind->cannot_leave(b->common, why, why_bytes);
}

int backend_hand_over(const struct backend *b, struct takeover *t)
{
	return b->kind->hand_over(b->common, t);
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
	evloop_remove(b->check);
	free(b);
}
