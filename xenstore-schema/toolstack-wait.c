/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits for both ends of a device, and takes a device away.
 *
 * Hides: watches, deadlines, the order of detach, which parents go with a
 * device. Must not know: how a device is created, images, rings.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "toolstack-internal.h"
#include "util.h"

#define TOKEN "toolstack-wait"
#define EVENTS_PER_LOOK 1000

/* ---- waiting -------------------------------------------------------------- */

/* 0: go on waiting. Positive: over, well. Negative: over, with this error. */
typedef int verdict_fn(const struct toolstack_view *view, const void *arg);

struct wait {
	struct xs_handle *xs;
	const struct toolstack_dirs *dirs;
	verdict_fn *verdict;
	const void *arg;		/* the verdict's */
	uint64_t deadline_ms;
	bool has_deadline;
};

static bool watch(struct wait *w, bool on)
{
	const char *const path[] = {
		w->dirs->back, w->dirs->front, w->dirs->back_error,
		w->dirs->front_error,
	};
	bool ok = true;
	size_t i;

	errno = 0;
	for (i = 0; i < ARRAY_LEN(path); i++)
		ok &= on ? xs_watch(w->xs, path[i], TOKEN) :
			   xs_unwatch(w->xs, path[i], TOKEN);
	return ok;
}

static int remaining_ms(const struct wait *w)
{
	uint64_t now = now_ms();

	if (!w->has_deadline)
		return -1;
	return now < w->deadline_ms ? (int)(w->deadline_ms - now) : 0;
}

/* Takes what is queued; the contents do not matter, both ends are read anew. */
static void drain(struct xs_handle *xs, unsigned int most)
{
	char **event;

	while (most-- && (event = xs_check_watch(xs)))
		free(event);
}

/* The time ends whatever is queued: a guest may write below its directory without end. */
static int wait_event(struct wait *w)
{
	struct pollfd pfd = { .fd = xs_fileno(w->xs), .events = POLLIN };
	int left_ms = remaining_ms(w), n;

	if (!left_ms)
		return -ETIMEDOUT;
	n = poll(&pfd, 1, left_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (!n)
		return -ETIMEDOUT;
	if (pfd.revents & (POLLERR | POLLHUP | POLLNVAL))
		return -EIO;
	drain(w->xs, EVENTS_PER_LOOK);
	return 0;
}

static int wait_for_verdict(struct wait *w, struct toolstack_view *view)
{
	int rc;

	for (;;) {
		toolstack_look_dirs(w->xs, w->dirs, view);
		rc = w->verdict(view, w->arg);
		if (rc)
			return rc < 0 ? rc : 0;
		rc = wait_event(w);
		if (rc)
			return rc;
	}
}

static int wait_for(struct xs_handle *xs, const struct toolstack_dirs *dirs,
		    verdict_fn *verdict, const void *arg, int timeout_ms,
		    struct toolstack_view *view)
{
	struct wait w = {
		.xs = xs, .dirs = dirs, .verdict = verdict, .arg = arg,
		.has_deadline = timeout_ms >= 0,
		.deadline_ms = now_ms() + (uint64_t)MAX(timeout_ms, 0),
	};
	int rc;

	if (watch(&w, true))
		rc = wait_for_verdict(&w, view);
	else
		rc = xenbus_store_error();
	watch(&w, false);
	drain(xs, UINT_MAX);
	return rc;
}

static bool is_closing(XenbusState state)
{
	return state == XenbusStateClosing || state == XenbusStateClosed;
}

static int verdict_connected(const struct toolstack_view *v, const void *arg)
{
	(void)arg;
	if (v->back == XenbusStateConnected && v->front == XenbusStateConnected)
		return 1;
	if (!v->back_exists || !v->front_exists)
		return -ECONNABORTED;
	if (is_closing(v->back) || is_closing(v->front))
		return -ECONNABORTED;
	if (*v->back_error || *v->front_error)
		return -ECONNABORTED;
	return 0;
}

int toolstack_wait_connected(struct xs_handle *xs, uint32_t backend_domid,
			     const char *kind, uint32_t domid, uint32_t devid,
			     int timeout_ms, struct toolstack_view *view)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	memset(view, 0, sizeof(*view));
	if (rc)
		return rc;
	return wait_for(xs, &dirs, verdict_connected, NULL, timeout_ms, view);
}

/* ---- resize --------------------------------------------------------------- */

/*
 * Any write to its directory has a back end look at the device; this one says
 * nothing new to those that read it only once.
 */
static int write_online_again(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct toolstack_dirs *dirs = arg;
	bool online;
	int rc = xenbus_need_dir(xs, t, dirs->back);

	if (!rc)
		rc = xenbus_read_flag(xs, t, dirs->back, KEY_ONLINE, true, &online, NULL);
	return rc ? rc : xenbus_write_u64(xs, t, dirs->back, KEY_ONLINE, online);
}

static int verdict_size(const struct toolstack_view *v, const void *arg)
{
	const uint64_t *sectors = arg;

	if (!v->back_exists)
		return -ENOENT;
	return v->sectors == *sectors;
}

int toolstack_look_again(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
			 uint32_t domid, uint32_t devid, uint64_t sectors,
			 int timeout_ms, struct toolstack_view *view)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	memset(view, 0, sizeof(*view));
	if (!rc)
		rc = xenbus_transact(xs, write_online_again, &dirs);
	return rc ? rc : wait_for(xs, &dirs, verdict_size, &sectors, timeout_ms, view);
}

/* ---- limits --------------------------------------------------------------- */

/*
 * Also when nothing serves the device: who will reads what is written. What is set by now
 * counts: somebody may have changed more of it.
 */
static int limit_verdict(struct wait *w, enum limit_device of)
{
	char in_force[LIMIT_TEXT_BYTES], text[LIMIT_TEXT_BYTES];
	struct toolstack_view view;
	struct limit l;
	int rc;

	toolstack_look_dirs(w->xs, w->dirs, &view);
	if (!view.back_exists)
		return -ENOENT;
	if (view.back != XenbusStateConnected)
		return 1;
	rc = limit_read(w->xs, w->dirs->back, of, &l, NULL);
	if (rc)
		return rc;
	limit_format(of, &l, text);
	rc = limit_read_in_force(w->xs, w->dirs->back, in_force);
	if (rc == -ENOENT)
		return !*text;
	return rc ? rc : !strcmp(in_force, text);
}

int toolstack_set_limit(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
			uint32_t domid, uint32_t devid, enum limit_device of,
			const char *words, int timeout_ms)
{
	struct toolstack_dirs dirs;
	struct wait w = {
		.xs = xs, .dirs = &dirs, .has_deadline = true,
		.deadline_ms = now_ms() + (uint64_t)MAX(timeout_ms, 0),
	};
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	if (!rc)
		rc = limit_change(xs, dirs.back, of, words);
	if (rc || !timeout_ms)
		return rc;
	rc = watch(&w, true) ? 0 : xenbus_store_error();
	while (!rc && !(rc = limit_verdict(&w, of)))
		rc = wait_event(&w);
	watch(&w, false);
	drain(xs, UINT_MAX);
	return rc > 0 ? 0 : rc;
}

/* ---- detach --------------------------------------------------------------- */

/* Asks the back end to close; what it has answered already stays. */
static int ask_to_close(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct toolstack_dirs *dirs = arg;
	uint32_t state;
	int rc;

	if (!xenbus_exists(xs, t, dirs->back))
		return 0;
	rc = xenbus_write_u64(xs, t, dirs->back, KEY_ONLINE, 0);
	if (rc)
		return rc;
	rc = xenbus_read_u32(xs, t, dirs->back, KEY_STATE, UINT32_MAX, &state, NULL);
	if (!rc && state == XenbusStateClosed)
		return 0;
	return xenbus_write_u64(xs, t, dirs->back, KEY_STATE, XenbusStateClosing);
}

/* What is online again is another device of that number: the one asked to close has gone. */
static int verdict_closed(const struct toolstack_view *v, const void *arg)
{
	(void)arg;
	if (v->online)
		return -EEXIST;
	return !v->back_exists || v->back == XenbusStateClosed;
}

static int is_empty(struct xs_handle *xs, xs_transaction_t t, const char *dir)
{
	unsigned int nr = 0;
	char **names = xs_directory(xs, t, dir, &nr);

	free(names);
	return names && !nr;
}

/*
 * Removes dir, then each parent that became empty, down to depth parts of the
 * path, which belong to the domain or to everyone. A missing dir is fine.
 */
static int remove_upwards(struct xs_handle *xs, xs_transaction_t t,
			  const char *dir, unsigned int depth)
{
	char path[XENBUS_PATH_BYTES];
	unsigned int parts = 0;
	size_t n;
	int rc = xenbus_text(path, sizeof(path), "%s", dir);

	for (n = 0; path[n]; n++)
		parts += path[n] == '/';
	if (!rc)
		rc = xenbus_remove(xs, t, "", path);
	while (!rc && --parts > depth) {
		while (path[--n] != '/')
			;
		path[n] = '\0';
		if (!is_empty(xs, t, path))
			break;
		rc = xenbus_remove(xs, t, "", path);
	}
	return rc;
}

/*
 * /local/domain/N/backend, /local/domain/N/device, .../error, /libxl/N stay. And a device
 * that nobody has asked to close: it came after another tool stack had removed ours.
 */
static int remove_device(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct toolstack_dirs *dirs = arg;
	bool online;
	int rc = xenbus_read_flag(xs, t, dirs->back, KEY_ONLINE, false, &online, NULL);

	if (!rc && online)
		return -EEXIST;
	if (!rc || rc == -EINVAL)	/* nonsense keeps nothing */
		rc = remove_upwards(xs, t, dirs->front, 4);
	if (!rc)
		rc = remove_upwards(xs, t, dirs->back, 4);
	if (!rc)
		rc = remove_upwards(xs, t, dirs->libxl, 2);
	if (!rc)
		rc = remove_upwards(xs, t, dirs->front_error, 4);
	if (!rc)
		rc = remove_upwards(xs, t, dirs->back_error, 4);
	return rc;
}

int toolstack_close(struct xs_handle *xs, uint32_t backend_domid,
			 const char *kind, uint32_t domid, uint32_t devid,
			 int timeout_ms, struct toolstack_view *view)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	memset(view, 0, sizeof(*view));
	if (rc)
		return rc;
	toolstack_look_dirs(xs, &dirs, view);
	if (!view->back_exists && !view->front_exists)
		return -ENOENT;
	rc = xenbus_transact(xs, ask_to_close, &dirs);
	return rc ? rc : wait_for(xs, &dirs, verdict_closed, NULL, timeout_ms,
				     view);
}

int toolstack_remove(struct xs_handle *xs, uint32_t backend_domid,
			  const char *kind, uint32_t domid, uint32_t devid)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	return rc ? rc : xenbus_transact(xs, remove_device, &dirs);
}

static int remove_closed(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct toolstack_dirs *dirs = arg;
	uint32_t state;
	bool online;
	int rc = xenbus_read_u32(xs, t, dirs->back, KEY_STATE, UINT32_MAX, &state, NULL);

	if (!rc)
		rc = xenbus_read_flag(xs, t, dirs->back, KEY_ONLINE, true, &online, NULL);
	if (rc)
		return rc;
	return online || state != XenbusStateClosed ? -EAGAIN :
						      xenbus_remove(xs, t, "", dirs->back);
}

/* Parents may be another's, with other permissions: one failed step is the last. */
static int remove_back_parents(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct toolstack_dirs *dirs = arg;

	return remove_upwards(xs, t, dirs->back, 4);
}

static int remove_back_error(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct toolstack_dirs *dirs = arg;

	return remove_upwards(xs, t, dirs->back_error, 4);
}

int toolstack_remove_closed(struct xs_handle *xs, uint32_t backend_domid,
			    const char *kind, uint32_t domid, uint32_t devid)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	if (!rc)
		rc = xenbus_transact(xs, remove_closed, &dirs);
	if (rc)
		return rc;
	xenbus_transact(xs, remove_back_error, &dirs);
	xenbus_transact(xs, remove_back_parents, &dirs);
	return 0;
}

int toolstack_remove_error(struct xs_handle *xs, uint32_t backend_domid,
			   const char *kind, uint32_t domid, uint32_t devid)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	return rc ? rc : xenbus_transact(xs, remove_back_error, &dirs);
}

int toolstack_detach(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
		     uint32_t domid, uint32_t devid, int timeout_ms, bool force,
		     struct toolstack_view *view)
{
	int rc = toolstack_close(xs, backend_domid, kind, domid, devid, timeout_ms,
				      view);

	if (rc && !(force && rc == -ETIMEDOUT))
		return rc;
	return toolstack_remove(xs, backend_domid, kind, domid, devid);
}
