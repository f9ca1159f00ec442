/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes of images, watched (image-watch.h).
 *
 * Hides: inotify. Must not know: devices.
 *
 * A watch on a file is for one event: a guest's writes are events too, and are
 * to cost nothing while the tick is awaited, which watches again and then looks,
 * so that nothing between the two is missed.
 */
#include "image-watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "image.h"
#include "util.h"

struct image_watch {
	struct image_watches *all;
	struct image_watch *next;
	int fd;
	int wd;			/* -1: not watched until the tick, or a device */
	bool is_device, removed;
	uint64_t bytes;
	void (*changed)(void *arg);
	void *arg;
};

struct image_watches {
	struct evloop *loop;
	int fd;
	struct evsource *on_event, *tick;
	bool ticks, walking;
	struct image_watch *first;
};

static bool is_shared(const struct image_watch *which)
{
	const struct image_watch *w;

	for (w = which->all->first; w; w = w->next)
		if (w != which && !w->removed && w->wd == which->wd)
			return true;
	return false;
}

/* Those removed by a callback of the walk go when it is over. */
static void sweep(struct image_watches *ws)
{
	struct image_watch **at = &ws->first, *w;

	while ((w = *at)) {
		if (!w->removed) {
			at = &w->next;
			continue;
		}
		/* Refused when the one event has come: there is none any more. */
		if (w->wd >= 0 && !is_shared(w))
			inotify_rm_watch(ws->fd, w->wd);
		*at = w->next;
		free(w);
	}
}

static bool needs_tick(const struct image_watches *ws)
{
	const struct image_watch *w;

	for (w = ws->first; w; w = w->next)
		if (!w->removed && w->wd < 0)
			return true;
	return false;
}

static void arm_tick(struct image_watches *ws)
{
	bool wanted = needs_tick(ws);

	if (wanted != ws->ticks)
		evloop_set_timer(ws->tick, wanted ? IMAGE_WATCH_MS : -1,
				 wanted ? IMAGE_WATCH_MS : 0);
	ws->ticks = wanted;
}

static void look(struct image_watch *w)
{
	uint64_t bytes;

	if (w->removed || image_measure(w->fd, 1, &bytes) || bytes == w->bytes)
		return;
	w->bytes = bytes;
	w->changed(w->arg);
}

/* The kernel has one watch for a file, however many descriptors lead to it. */
static int watch_file(struct image_watch *w)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd);
	w->wd = inotify_add_watch(w->all->fd, path, IN_MODIFY | IN_ONESHOT);
	return w->wd < 0 ? -errno : 0;
}

static void walk(struct image_watches *ws, bool (*wanted)(struct image_watch *w, int wd),
		 int wd)
{
	struct image_watch *w;

	ws->walking = true;
	for (w = ws->first; w; w = w->next)
		if (wanted(w, wd))
			look(w);
	ws->walking = false;
	sweep(ws);
	arm_tick(ws);
}

static bool has_event(struct image_watch *w, int wd)
{
	if (w->wd != wd)
		return false;
	w->wd = -1;
	return true;
}

static bool is_due(struct image_watch *w, int wd)
{
	(void)wd;
	if (w->wd >= 0 || w->removed)
		return false;
	if (!w->is_device)
		watch_file(w);
	return true;
}

static void on_event(void *arg, uint32_t events)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct image_watches *ws = arg;
	const struct inotify_event *e;
	ssize_t got = read(ws->fd, buf, sizeof(buf));
	char *at;

	(void)events;
	for (at = buf; got > 0 && at < buf + got; at += sizeof(*e) + e->len) {
		e = (const struct inotify_event *)at;
		if (e->mask & IN_MODIFY)
			walk(ws, has_event, e->wd);
	}
}

static void on_tick(void *arg, uint32_t events)
{
	(void)events;
	walk(arg, is_due, 0);
}

int image_watches_open(struct evloop *loop, struct image_watches **out)
{
	struct image_watches *ws = calloc(1, sizeof(*ws));
	int rc;

	if (!ws)
		return -ENOMEM;
	ws->loop = loop;
	ws->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	rc = ws->fd < 0 ? -errno : 0;
	if (!rc)
		rc = evloop_add_fd(loop, ws->fd, EPOLLIN, on_event, ws, &ws->on_event);
	if (!rc)
		rc = evloop_add_timer(loop, on_tick, ws, &ws->tick);
	if (rc) {
		image_watches_close(ws);
		return rc;
	}
	*out = ws;
	return 0;
}

void image_watches_close(struct image_watches *ws)
{
	if (!ws)
		return;
	evloop_remove(ws->on_event);
	evloop_remove(ws->tick);
	close_fd(&ws->fd);
	free(ws);
}

static int start(struct image_watch *w)
{
	struct stat st;
	int rc = fstat(w->fd, &st) ? -errno : image_measure(w->fd, 1, &w->bytes);

	if (rc)
		return rc;
	w->is_device = S_ISBLK(st.st_mode);
	return w->is_device ? 0 : watch_file(w);
}

int image_watch_add(struct image_watches *ws, int fd, void (*changed)(void *arg),
		    void *arg, struct image_watch **out)
{
	struct image_watch *w = calloc(1, sizeof(*w));
	int rc;

	*out = NULL;
	if (!w)
		return -ENOMEM;
	*w = (struct image_watch){ .all = ws, .fd = fd, .wd = -1, .changed = changed,
				   .arg = arg };
	rc = start(w);
	if (rc) {
		free(w);
		return rc;
	}
	w->next = ws->first;
	ws->first = w;
	arm_tick(ws);
	*out = w;
	return 0;
}

void image_watch_remove(struct image_watch *w)
{
	struct image_watches *ws;

	if (!w)
		return;
	ws = w->all;
	w->removed = true;
	if (ws->walking)
		return;
	sweep(ws);
	arm_tick(ws);
}
