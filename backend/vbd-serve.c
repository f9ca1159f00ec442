/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workers of one device, one after the other (vbd-serve.h).
 *
 * Hides: when a crashed worker gets a successor and when nobody does any more.
 * Must not know: XenStore, device states.
 */
#include "vbd-serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "blk-figures.h"
#include "crashes.h"
#include "disk.h"
#include "former.h"
#include "image.h"
#include "journal.h"
#include "predecessor.h"
#include "util.h"
#include "vbd-device.h"

#define SLOW_MS 10000
#define SLOW_AGAIN_MS 60000
#define AGAIN_MS 100
#define AGAIN_MAX_MS 6400
#define INFO_VERSION "1"
#define PATIENCE_MS 200
#define LINGER_MS 5000u		/* a slow one is done by then */
#define INFO_BYTES 8192
#define INFO_AGAIN_MS 1000
#define RING_TEXT_BYTES (VBD_QUEUES_MAX * (VBD_RING_PAGES_MAX + 1) * 11 + 1)

struct vbd_serve {
	struct vbd_serve_what what;
	const struct vbd_serve_events *events;
	void *arg;
	struct evloop *loop;
	struct worker *worker;
	struct former *former;		/* a version's before, until its successor is prepared */
	struct evsource *retry;		/* timer of a delayed successor */
	int64_t again_ms;		/* since a worker could last be had, the pause before the next try */
	struct evsource *slow;		/* of words about a worker that is long in coming */
	struct evsource *patience;	/* until the former lingers */
	struct evsource *info;		/* until its file is written again, which could not be */
	uint64_t started_ms;
	bool stopping, keep, is_ready;
	uint64_t lingers_ms;		/* since when; 0: it does not */
	bool is_prepared;		/* the worker, and its predecessor is told to end */
	bool waits_for_room;		/* it does, to map its rings */
	bool journal_used;		/* a worker has been ready with it */
	/* What the worker has been started with, and holds requests against now. */
	uint64_t started_sectors, sectors;
	uint32_t restarts;
	struct crashes crashes;
	char engine[32];		/* the worker's, once it is ready */
	int words_fd;			/* of the image, for another version; -1 */
	int mirror_fd;			/* the map of what is written; -1: nobody wants it */
	uint64_t mirror_bytes;
	bool said_info;			/* that it cannot be written */
	bool mirror_asked;		/* by a message: START said another */
	struct worker_report gone;	/* for ended without a worker */
};

/* ---- the info file -------------------------------------------------------- */

/* "port:gref,gref;port:gref": what distinguishes this connection from others. */
static void ring_text(const struct vbd_frontend *f, char *buf, size_t bytes)
{
	size_t used = 0;
	uint32_t q, p;

	buf[0] = '\0';
	for (q = 0; q < f->nr_queues; q++) {
		const struct vbd_ring *ring = &f->queue[q];

		used += snprintf(buf + used, bytes - used, "%s%u:", q ? ";" : "",
				 ring->port);
		for (p = 0; p < 1u << ring->order; p++)
			used += snprintf(buf + used, bytes - used, "%s%u",
					 p ? "," : "", ring->gref[p]);
	}
}

static const char *abi_name(enum vbd_abi abi)
{
	switch (abi) {
	case VBD_ABI_X86_32: return "x86_32";
	case VBD_ABI_X86_64: return "x86_64";
	default: return "native";
	}
}

/* Its process; "": there is none yet. */
static void worker_text(const struct vbd_serve *s, char *buf, size_t bytes)
{
	pid_t pid = s->worker ? worker_pid(s->worker) : 0;

	buf[0] = '\0';
	if (pid)
		snprintf(buf, bytes, "pid=%d\nstarted=%llu\nrestarts=%u\nengine=%s\nsandbox=%s\n",
			 (int)pid, (unsigned long long)predecessor_start_time(pid), s->restarts,
			 s->engine[0] || !s->what.remote ? s->engine : disk_nbd.name,
			 worker_sandbox(s->worker));
}

static int write_info(const struct vbd_serve *s)
{
	const struct vbd_serve_what *w = &s->what;
	const struct vbd_frontend *f = &w->start.front;
	char text[INFO_BYTES], ring[RING_TEXT_BYTES], journal[RUNDIR_PATH_BYTES];
	char remote[320] = "", worker[256];
	int n;

	ring_text(f, ring, sizeof(ring));
	worker_text(s, worker, sizeof(worker));
	rundir_journal_path(&w->config->base.rundir, &w->name, journal, sizeof(journal));
	if (w->remote) {
		n = snprintf(remote, sizeof(remote), "waits-seconds=%u\nserver=",
			     w->start.io_timeout_ms / 1000);
		remote_describe(w->remote, remote + n, sizeof(remote) - (size_t)n - 2);
		strcat(remote, "\n");
	}
	n = snprintf(text, sizeof(text), "version=" INFO_VERSION "\n"
		     "%simage=%s\nmode=%s\ncache=%s\nabi=%s\nqueues=%u\nring-pages=%u\n"
		     "grants=%s\npersistent=%d\nindirect-segments=%u\n"
		     "%sjournal=%s\nfrontend=%s\nring=%s\n"
		     "pause-us=%llu\n", worker,
		     w->image, w->mode, vbd_cache_name(w->start.cache), abi_name(f->abi),
		     f->nr_queues, 1u << f->queue[0].order,
		     vbd_grants_name(w->start.grants),
		     f->persistent && w->start.features.persistent,
		     w->start.features.max_indirect_segments, remote, journal, w->frontend,
		     ring, (unsigned long long)device_pause_us(&vbd_kind, &w->config->base.rundir,
							       &w->name));
	return n < (int)sizeof(text) ? rundir_write_info(&w->config->base.rundir, &w->name, text) :
				       -E2BIG;
}

/* One that cannot be written is said once, and tried again: the old one stands until then. */
static void update_info(struct vbd_serve *s)
{
	int rc = write_info(s);

	if (rc && !s->said_info)
		log_warning("%s: its info file in %s: %s; tried again", s->what.log->who,
			    s->what.config->base.rundir.path, strerror(-rc));
	else if (!rc && s->said_info)
		log_info("%s: its info file is written", s->what.log->who);
	s->said_info = rc;
	evloop_set_timer(s->info, rc ? INFO_AGAIN_MS : -1, 0);
}

static void on_info(void *arg, uint32_t events)
{
	struct vbd_serve *s = arg;

	(void)events;
	if (s->worker)		/* else its successor's READY does it */
		update_info(s);
}

static bool is_noted(const struct vbd_serve *s)
{
	const struct vbd_serve_what *w = &s->what;

	return vbd_serve_resumable(&w->config->base.rundir, &w->name, w->frontend,
				   &w->start.front);
}

int vbd_serve_note(struct vbd_serve *s, char *why, size_t why_bytes)
{
	int rc;

	/* Its rings alone would do for a restart; an upgrade finds its worker by what is new, too. */
	if (!s->said_info && is_noted(s))
		return 0;
	rc = write_info(s);
	if (!rc && is_noted(s))
		return 0;
	snprintf(why, why_bytes, "its %s in %.120s: %s", rc ? "info file" : "journal",
		 s->what.config->base.rundir.path, strerror(rc ? -rc : ENOENT));
	return rc ? rc : -ENOENT;
}

bool vbd_serve_resumable(const struct rundir *r, const struct rundir_name *name,
			 const char *frontend, const struct vbd_frontend *front)
{
	char text[RING_TEXT_BYTES], ring[RING_TEXT_BYTES], dir[XENBUS_PATH_BYTES];
	autoclose int fd = -1;

	ring_text(front, ring, sizeof(ring));
	if (rundir_open_journal(r, name, false, &fd) ||
	    rundir_read_info(r, name, "ring", text, sizeof(text)) ||
	    rundir_read_info(r, name, "frontend", dir, sizeof(dir)))
		return false;
	return !strcmp(text, ring) && !strcmp(dir, frontend);
}

/* ---- workers -------------------------------------------------------------- */

static void on_ready(void *arg, const char *engine)
{
	struct vbd_serve *s = arg;

	s->journal_used = s->is_ready = true;
	s->waits_for_room = false;
	s->again_ms = 0;
	evloop_set_timer(s->slow, -1, 0);
	s->sectors = s->started_sectors;
	snprintf(s->engine, sizeof(s->engine), "%s", engine);
	update_info(s);
	log_debug("%s: worker %d is ready: %s", s->what.log->who,
		  (int)worker_pid(s->worker), engine);
	s->events->ready(s->arg);
	if (s->mirror_fd >= 0 && !s->mirror_asked)
		s->events->mirrored(s->arg);	/* START had the map */
}

/* Others may have to come before there is room, and a version's coming has an end. */
static void on_waits(void *arg)
{
	struct vbd_serve *s = arg;

	if (s->former && !s->is_prepared)
		return;		/* it cannot know: its predecessor serves */
	if (!s->waits_for_room)
		s->lingers_ms = now_ms();
	s->waits_for_room = true;
	s->events->lingers(s->arg);
}

static void on_patience(void *arg, uint32_t events)
{
	struct vbd_serve *s = arg;

	(void)events;
	if (s->is_ready)
		return;
	if (s->former) {
		s->lingers_ms = now_ms();
		log_peer_at(s->what.log, LOG_LEVEL_WARNING, "worker %d of the version before has not "
			    "ended yet; its storage may hold what it has under way",
			    (int)former_pid(s->former));
	}
	s->events->lingers(s->arg);
}

/*
 * All that can be done beforehand has been: the guest's pause begins. For a moment nobody
 * else prepares, so that it is short.
 */
static void on_prepared(void *arg)
{
	struct vbd_serve *s = arg;

	s->is_prepared = true;
	former_hang_up(s->former);
	if (s->former && (s->patience || !evloop_add_timer(s->loop, on_patience, s, &s->patience)))
		evloop_set_timer(s->patience, PATIENCE_MS, 0);
}

static void on_mirrored(void *arg)
{
	struct vbd_serve *s = arg;

	if (s->mirror_fd >= 0)
		s->events->mirrored(s->arg);
}

static void on_resized(void *arg, uint64_t sectors)
{
	struct vbd_serve *s = arg;

	s->sectors = sectors;
	s->events->resized(s->arg);
}

/* The worker's queue has a connection, or has one no more. */
static void on_link(void *arg, uint32_t type, const struct worker_link *link)
{
	struct vbd_serve *s = arg;

	if (!s->what.remote || link->queue >= s->what.start.front.nr_queues)
		return;
	if (type == WORKER_LOST)
		remote_lost(s->what.remote, link->queue, link->number, link->failure.reason);
	else if (remote_linked(s->what.remote, link->queue, link->number, link->bytes))
		s->events->resized(s->arg);
}

static void on_connected(void *arg, uint32_t queue, uint32_t number, int fd)
{
	struct vbd_serve *s = arg;

	if (s->worker)
		worker_link(s->worker, queue, number, fd);
}

static void on_remote_changed(void *arg)
{
	struct vbd_serve *s = arg;

	/* Also of one that is starting: it may wait for its server to replay. */
	if (s->worker)
		update_info(s);
	s->events->server(s->arg);
}

void vbd_serve_lost_writes(const struct rundir *r, const struct rundir_name *name,
			   struct log_peer *log)
{
	autoclose int fd = -1;
	int rc = rundir_open_journal(r, name, false, &fd);

	if (!rc)
		rc = journal_note_flush_lost(fd, -EIO);
	log_peer_at(log, LOG_LEVEL_ERROR, "its worker has died, and its server could not write "
		    "back what it had: writes that were answered and not flushed may be lost%s",
		    rc == -ENOENT ? "" : "; every flush will fail until the front end connects anew");
	if (rc && rc != -ENOENT)
		log_peer_at(log, LOG_LEVEL_ERROR, "its front end will not hear of that: %s",
			    strerror(-rc));
}

static void on_lost_writes(void *arg)
{
	struct vbd_serve *s = arg;

	vbd_serve_lost_writes(&s->what.config->base.rundir, &s->what.name, s->what.log);
}

static const struct remote_events remote_events = {
	.connected = on_connected,
	.changed = on_remote_changed,
	.lost_writes = on_lost_writes,
};

/* Who has its image is the worker itself. */
static bool is_workers(const struct vbd_serve *s, const char *holder)
{
	char own[32];
	int n = snprintf(own, sizeof(own), "process %d ", (int)worker_pid(s->worker));

	return !strncmp(holder, own, (size_t)n);
}

/* Its guest waits, and nobody else would say for what; of room it says itself. */
static void on_slow(void *arg, uint32_t events)
{
	struct vbd_serve *s = arg;
	const struct vbd_serve_what *w = &s->what;
	char holder[64] = "nobody", former[80] = "";
	bool has_image;

	(void)events;
	if (!s->worker || s->is_ready || s->waits_for_room)
		return;
	has_image = image_fence_holder(w->image_fd, w->start.share, w->start.frontend_id,
				       w->start.devid, holder, sizeof(holder)) &&
		    is_workers(s, holder);
	if (s->former)
		snprintf(former, sizeof(former), ", worker %d of the version before has not ended",
			 (int)former_pid(s->former));
	log_peer_at(w->log, LOG_LEVEL_WARNING, "worker %d is not ready after %llu s: %s%s%s%s",
		    (int)worker_pid(s->worker),
		    (unsigned long long)(now_ms() - s->started_ms) / 1000,
		    has_image ? "it has its image, and waits for what was under way there" :
				"its image is still used by ", has_image ? "" : holder, former,
		    w->remote ? "; its image is behind a server" : "");
}

static int watch_start(struct vbd_serve *s)
{
	int rc = s->slow ? 0 : evloop_add_timer(s->loop, on_slow, s, &s->slow);

	s->started_ms = now_ms();
	return rc ? rc : evloop_set_timer(s->slow, SLOW_MS, SLOW_AGAIN_MS);
}

static void on_ended(void *arg, const struct worker_report *report);

static const struct worker_events worker_events = {
	.prepared = on_prepared,
	.waits = on_waits,
	.ready = on_ready,
	.resized = on_resized,
	.mirrored = on_mirrored,
	.link = on_link,
	.ended = on_ended,
};

/* What is tried again and again is said the first time. */
static void say_once(const struct vbd_serve *s, const char *what, int rc)
{
	if (!s->again_ms)
		log_error("%s: %s: %s", s->what.log->who, what, strerror(-rc));
}

/*
 * A new open file description for each incarnation, and no copy of it kept: its
 * lock is the fence (image.h).
 */
static int open_fds(struct vbd_serve *s, int fds[5])
{
	const struct figures_layout layout = blk_figures_layout(s->what.start.front.nr_queues);

	const struct vbd_serve_what *w = &s->what;
	int rc;

	fds[0] = fds[1] = fds[2] = -1;
	fds[3] = s->journal_used ? w->elder_fd : -1;
	fds[4] = s->mirror_fd;
	rc = image_reopen(w->image_fd, w->start.share == VBD_READ_ONLY, &fds[0]);
	if (rc) {
		say_once(s, w->image, rc);
		return rc;
	}
	rc = rundir_open_journal(&w->config->base.rundir, &w->name, !s->journal_used,
				 &fds[1]);
	if (rc)
		say_once(s, "its journal", rc);
	else
		rundir_open_figures(&w->config->base.rundir, &w->name, !s->journal_used, &layout,
				    &fds[2]);
	return rc;
}

void vbd_serve_title(const struct rundir_name *name, char title[VBD_SERVE_TITLE_BYTES])
{
	snprintf(title, VBD_SERVE_TITLE_BYTES, "%s-%u-%u", name->kind, name->frontend_id,
		 name->devid);
}

/* Nobody else speaks to the image's server any more. */
static void take_server(struct vbd_serve *s)
{
	if (s->what.remote && s->worker)
		remote_serve(s->what.remote, s->what.start.front.nr_queues);
}

static void on_former_ended(void *arg, bool in_order)
{
	struct vbd_serve *s = arg;

	if (s->what.remote)
		remote_gone(s->what.remote, in_order);
	take_server(s);
}

static int start_worker(struct vbd_serve *s)
{
	struct worker_msg msg;
	struct process_options o = { .name = s->what.config->base.name,
				    .program = s->what.config->base.program,
				    .log_level = s->what.config->base.log_level,
				    .user = s->what.config->base.user,
				    .seccomp = s->what.config->base.seccomp,
				    .stop_ms = s->what.config->base.stop_ms };
	char title[VBD_SERVE_TITLE_BYTES];
	int fds[5], rc;

	memset(&msg, 0, sizeof(msg));
	msg.version = WORKER_VERSION;
	msg.type = WORKER_START;
	msg.start = s->what.start;
	msg.start.log_lines = log_peer_begin(s->what.log);
	msg.start.replay = s->journal_used;
	msg.start.prepare = s->former != NULL;
	msg.start.mirror_bytes = s->mirror_fd >= 0 ? s->mirror_bytes : 0;
	s->mirror_asked = false;
	s->is_ready = s->is_prepared = s->waits_for_room = false;
	s->started_sectors = msg.start.features.sectors;
	vbd_serve_title(&s->what.name, title);
	o.title = title;
	rc = open_fds(s, fds);
	if (!rc)
		rc = watch_start(s);
	if (!rc)
		rc = worker_start(s->loop, &o, &msg, fds, &worker_events, s, &s->worker);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	close_fd(&fds[2]);
	if (!rc && s->what.remote) {
		remote_attend(s->what.remote, &remote_events, s);
		/* Its connections are in use until then. */
		if (!s->former)
			take_server(s);
	}
	return rc;
}

/*
 * Of a device that was not asked to stop the files stay until it is closed: a daemon that
 * finds it still connected has to know that it is ours.
 */
static void finish(struct vbd_serve *s, const struct worker_report *report)
{
	if (!s->keep && s->stopping)
		rundir_remove(&s->what.config->base.rundir, &s->what.name);
	s->events->ended(s->arg, report);
}

/* Its timer is made before it is needed: what a host is short of may be descriptors. */
static void start_later(struct vbd_serve *s, int64_t after_ms)
{
	evloop_set_timer(s->retry, after_ms, 0);
}

/*
 * No worker can be had. What the host is short of may come yet, and the guest waits for what it
 * has under way; closed, its disk would be lost to it. So there is no end to this, as there is one
 * to crashes.
 */
static void try_again(struct vbd_serve *s, const struct failure *why)
{
	s->again_ms = s->again_ms ? MIN(2 * s->again_ms, AGAIN_MAX_MS) : AGAIN_MS;
	s->events->waits(s->arg, why);
	start_later(s, s->again_ms);
}

static void not_started(struct vbd_serve *s, int rc)
{
	struct failure why = { .err = -rc };

	snprintf(why.reason, sizeof(why.reason), "no worker process could be started: %s",
		 strerror(-rc));
	try_again(s, &why);
}

/* Also the second half of a stop that came while no worker ran. */
static void on_retry(void *arg, uint32_t events)
{
	struct vbd_serve *s = arg;
	int rc;

	(void)events;
	if (s->stopping) {
		s->gone.end = WORKER_END_STOPPED;
		finish(s, &s->gone);
		return;
	}
	rc = start_worker(s);
	if (rc)
		not_started(s, rc);
}

static void succeed_crashed(struct vbd_serve *s, const struct worker_report *report)
{
	int64_t delay_ms = crashes_note(&s->crashes, now_ms());
	struct worker_report last = *report;

	log_peer_at(s->what.log, LOG_LEVEL_ERROR, "%s", report->failure.reason);
	if (delay_ms < 0) {
		crashes_say(last.failure.reason, sizeof(last.failure.reason),
			    report->failure.reason);
		finish(s, &last);
		return;
	}
	s->restarts++;
	start_later(s, delay_ms);
}

/*
 * This version cannot do it. With the one before it goes on; if that cannot be had, nor can
 * the worker that it left be kept, since nobody hears it.
 */
static void not_taken_over(struct vbd_serve *s, const struct worker_report *report)
{
	char why[sizeof(report->failure.reason) + 100];

	snprintf(why, sizeof(why), "%s: %s", s->what.log->who, report->failure.reason);
	takeover_return(s->what.config->base.takeover, why);
}

/* What its front end has done no other worker could mend. */
static void succeed(struct vbd_serve *s, const struct worker_report *report)
{
	if (report->end == WORKER_END_CRASHED)
		succeed_crashed(s, report);
	else if (report->end == WORKER_END_FAILED && s->journal_used && !report->failure.by_peer)
		try_again(s, &report->failure);
	else
		finish(s, report);
}

static void on_ended(void *arg, const struct worker_report *report)
{
	struct vbd_serve *s = arg;
	struct worker_report copy = *report;	/* lives in the worker */

	worker_free(s->worker);
	s->worker = NULL;
	s->engine[0] = '\0';
	if (s->what.remote)
		remote_rest(s->what.remote, copy.end == WORKER_END_STOPPED);
	s->is_ready = s->waits_for_room = false;
	if (!s->stopping && (copy.end == WORKER_END_CRASHED || copy.end == WORKER_END_FAILED)) {
		if (!copy.failure.by_peer)
			not_taken_over(s, &copy);
		former_hang_up(s->former);
	}
	if (s->stopping)
		finish(s, &copy);
	else
		succeed(s, &copy);
}

/* ---- a version's before -------------------------------------------------- */

static int adopt_former(struct vbd_serve *s)
{
	const struct backend_config *config = &s->what.config->base;
	char title[VBD_SERVE_TITLE_BYTES];
	const struct former_options o = {
		.loop = s->loop, .takeover = config->takeover, .title = title,
		.who = s->what.log->who, .stop_ms = config->stop_ms,
		.ended = on_former_ended, .arg = s,
	};

	vbd_serve_title(&s->what.name, title);
	return former_adopt(&o, &s->former);
}

/* ---- start and stop ------------------------------------------------------- */

/*
 * Before anybody serves them: a worker whose rings are noted nowhere no daemon after us would
 * know for its own.
 */
static int note_rings(struct vbd_serve *s)
{
	int rc = write_info(s);

	if (rc)
		say_once(s, "its info file", rc);
	return rc;
}

int vbd_serve_start(struct evloop *loop, const struct vbd_serve_what *what,
		    bool resume, const struct vbd_serve_events *events, void *arg,
		    struct vbd_serve **out)
{
	struct vbd_serve *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->what = *what;
	s->events = events;
	s->arg = arg;
	s->loop = loop;
	s->journal_used = resume;
	s->words_fd = -1;
	s->mirror_fd = what->mirror_map;
	s->mirror_bytes = what->mirror_bytes;
	rc = evloop_add_timer(loop, on_retry, s, &s->retry);
	if (!rc)
		rc = evloop_add_timer(loop, on_info, s, &s->info);
	if (!rc && !resume)
		rc = note_rings(s);
	if (!rc && resume)
		rc = adopt_former(s);
	if (!rc)
		rc = start_worker(s);
	if (rc) {
		vbd_serve_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

/* A worker that is starting hears it after READY; a successor's START has it. */
void vbd_serve_resize(struct vbd_serve *s, uint64_t sectors)
{
	s->what.start.features.sectors = sectors;
	if (s->worker)
		worker_resize(s->worker, sectors);
}

void vbd_serve_limit(struct vbd_serve *s, const struct limit *limit)
{
	s->what.start.limit = *limit;
	if (s->worker)
		worker_limit(s->worker, limit);
}

void vbd_serve_mirror(struct vbd_serve *s, int map, uint64_t image_bytes)
{
	s->mirror_fd = map;
	s->mirror_bytes = image_bytes;
	s->mirror_asked = s->worker != NULL;
	if (s->worker)
		worker_mirror(s->worker, map, image_bytes);
}

bool vbd_serve_is_direct(const struct vbd_serve *s)
{
	return !strcmp(s->engine, disk_direct.name);
}

uint64_t vbd_serve_sectors(const struct vbd_serve *s)
{
	return s->sectors;
}

void vbd_serve_stop(struct vbd_serve *s, bool keep)
{
	char why[200];

	s->stopping = true;
	s->keep = keep;
	if (keep && vbd_serve_note(s, why, sizeof(why)))
		log_error("%s: %s; the next daemon cannot go on with it", s->what.log->who, why);
	former_hang_up(s->former);
	if (s->worker)
		worker_stop(s->worker);
	else
		start_later(s, 0);
}

bool vbd_serve_lingers(const struct vbd_serve *s)
{
	return (s->former || s->waits_for_room) && s->lingers_ms &&
	       now_ms() - s->lingers_ms >= LINGER_MS;
}

bool vbd_serve_is_settled(const struct vbd_serve *s)
{
	return s->is_ready && !s->stopping && !s->former;
}

static int write_words(struct vbd_serve *s)
{
	const struct vbd_serve_what *w = &s->what;

	close_fd(&s->words_fd);
	s->words_fd = memfd_create("paravane-words", MFD_CLOEXEC);
	if (s->words_fd < 0)
		return -errno;
	return dprintf(s->words_fd, VBD_SERVE_WORDS "%s", w->start.share, w->start.cache,
		       w->image) < 0 ? -errno : 0;
}

int vbd_serve_hand_over(struct vbd_serve *s, bool image, struct takeover *t)
{
	char title[VBD_SERVE_TITLE_BYTES];
	int rc;

	vbd_serve_title(&s->what.name, title);
	rc = takeover_add(t, TAKEOVER_WORKER, title, worker_pid(s->worker),
			  worker_sock(s->worker));
	if (!rc && image)
		rc = takeover_add(t, TAKEOVER_IMAGE, title, 0, s->what.image_fd);
	if (!rc && image)
		rc = write_words(s);
	if (!rc && image)
		rc = takeover_add(t, TAKEOVER_WORDS, title, 0, s->words_fd);
	if (!rc && image)
		rc = takeover_add(t, TAKEOVER_ELDER, title, 0, s->what.elder_fd);
	return rc;
}

void vbd_serve_free(struct vbd_serve *s)
{
	bool killed = s && (s->worker || s->former);

	if (!s)
		return;
	former_free(s->former);
	worker_free(s->worker);
	if (s->what.remote && killed)
		remote_gone(s->what.remote, false);
	evloop_remove(s->retry);
	evloop_remove(s->slow);
	evloop_remove(s->patience);
	evloop_remove(s->info);
	if (s->what.remote)
		remote_attend(s->what.remote, NULL, NULL);
	close_fd(&s->words_fd);
	free(s);
}
