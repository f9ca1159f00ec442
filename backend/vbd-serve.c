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
#include <unistd.h>
#include "crashes.h"
#include "image.h"
#include "predecessor.h"
#include "util.h"


#define INFO_VERSION "1"
#define INFO_BYTES 4096
#define RING_TEXT_BYTES (VBD_QUEUES_MAX * (VBD_RING_PAGES_MAX + 1) * 11 + 1)

struct vbd_serve {
	struct vbd_serve_what what;
	const struct vbd_serve_events *events;
	void *arg;
	struct evloop *loop;
	struct worker *worker;
	struct evsource *retry;		/* timer of a delayed successor */
	bool stopping, keep;
	bool journal_used;		/* a worker has been ready with it */
	/* What the worker has been started with, and holds requests against now. */
	uint64_t started_sectors, sectors;
	uint32_t restarts;
	struct crashes crashes;
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

static const char *cache_name(enum vbd_cache cache)
{
	switch (cache) {
	case VBD_CACHE_NONE: return "none";
	case VBD_CACHE_WRITETHROUGH: return "writethrough";
	default: return "writeback";
	}
}

static void write_info(const struct vbd_serve *s, const char *engine)
{
	const struct vbd_serve_what *w = &s->what;
	const struct vbd_frontend *f = &w->start.front;
	char text[INFO_BYTES], ring[RING_TEXT_BYTES], journal[RUNDIR_PATH_BYTES];
	pid_t pid = worker_pid(s->worker);
	int n, rc;

	ring_text(f, ring, sizeof(ring));
	rundir_journal_path(&w->config->base.rundir, &w->name, journal, sizeof(journal));
	n = snprintf(text, sizeof(text), "version=" INFO_VERSION "\n"
		     "pid=%d\nstarted=%llu\nrestarts=%u\nengine=%s\nsandbox=%s\n"
		     "image=%s\nmode=%s\ncache=%s\nabi=%s\nqueues=%u\nring-pages=%u\n"
		     "grants=%s\npersistent=%d\nindirect-segments=%u\n"
		     "journal=%s\nfrontend=%s\nring=%s\n", (int)pid,
		     (unsigned long long)predecessor_start_time(pid), s->restarts, engine,
		     worker_sandbox(s->worker),
		     w->image, w->mode, cache_name(w->start.cache), abi_name(f->abi),
		     f->nr_queues, 1u << f->queue[0].order,
		     vbd_grants_name(w->start.grants),
		     f->persistent && w->start.features.persistent,
		     w->start.features.max_indirect_segments, journal, w->frontend,
		     ring);
	rc = n < (int)sizeof(text) ? rundir_write_info(&w->config->base.rundir, &w->name,
						       text) : -E2BIG;
	if (rc)
		log_warning("%s: its info file in %s: %s", w->log->who,
			    w->config->base.rundir.path, strerror(-rc));
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

	s->journal_used = true;
	s->sectors = s->started_sectors;
	write_info(s, engine);
	log_debug("%s: worker %d is ready: %s", s->what.log->who,
		  (int)worker_pid(s->worker), engine);
	s->events->ready(s->arg);
}

static void on_resized(void *arg, uint64_t sectors)
{
	struct vbd_serve *s = arg;

	s->sectors = sectors;
	s->events->resized(s->arg);
}

static void on_ended(void *arg, const struct worker_report *report);

static const struct worker_events worker_events = {
	.ready = on_ready,
	.resized = on_resized,
	.ended = on_ended,
};

/*
 * A new open file description for each incarnation, and no copy of it kept: its
 * lock is the fence (image.h).
 */
static int open_fds(struct vbd_serve *s, int fds[2])
{
	const struct vbd_serve_what *w = &s->what;
	int rc;

	fds[0] = fds[1] = -1;
	rc = image_reopen(w->image_fd, w->read_only, &fds[0]);
	if (rc) {
		log_error("%s: %s: %s", w->log->who, w->image, strerror(-rc));
		return rc;
	}
	rc = rundir_open_journal(&w->config->base.rundir, &w->name, !s->journal_used,
				 &fds[1]);
	if (rc)
		log_error("%s: its journal in %s: %s", w->log->who,
			  w->config->base.rundir.path, strerror(-rc));
	return rc;
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
	char title[80];
	int fds[2], rc;

	memset(&msg, 0, sizeof(msg));
	msg.version = WORKER_VERSION;
	msg.type = WORKER_START;
	msg.start = s->what.start;
	msg.start.replay = s->journal_used;
	s->started_sectors = msg.start.features.sectors;
	snprintf(title, sizeof(title), "%s-%u-%u", s->what.name.kind,
		 s->what.name.frontend_id, s->what.name.devid);
	o.title = title;
	rc = open_fds(s, fds);
	if (!rc)
		rc = worker_start(s->loop, &o, &msg, fds, &worker_events, s, &s->worker);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	return rc;
}

static void finish(struct vbd_serve *s, const struct worker_report *report)
{
	if (!s->keep)
		rundir_remove(&s->what.config->base.rundir, &s->what.name);
	s->events->ended(s->arg, report);
}

static void finish_failed(struct vbd_serve *s, int err, const char *reason)
{
	s->gone.end = WORKER_END_FAILED;
	s->gone.failure.err = err;
	snprintf(s->gone.failure.reason, sizeof(s->gone.failure.reason), "%s", reason);
	finish(s, &s->gone);
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
		finish_failed(s, -rc, "no worker process could be started");
}

static int start_later(struct vbd_serve *s, int64_t after_ms)
{
	int rc = 0;

	if (!s->retry)
		rc = evloop_add_timer(s->loop, on_retry, s, &s->retry);
	if (!rc)
		rc = evloop_set_timer(s->retry, after_ms, 0);
	return rc;
}

static void succeed(struct vbd_serve *s, const struct worker_report *report)
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
	if (start_later(s, delay_ms))
		finish(s, report);
}

static void on_ended(void *arg, const struct worker_report *report)
{
	struct vbd_serve *s = arg;
	struct worker_report copy = *report;	/* lives in the worker */

	worker_free(s->worker);
	s->worker = NULL;
	if (copy.end == WORKER_END_CRASHED && !s->stopping)
		succeed(s, &copy);
	else
		finish(s, &copy);
}

/* ---- start and stop ------------------------------------------------------- */

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

uint64_t vbd_serve_sectors(const struct vbd_serve *s)
{
	return s->sectors;
}

void vbd_serve_stop(struct vbd_serve *s, bool keep)
{
	s->stopping = true;
	s->keep = keep;
	if (s->worker)
		worker_stop(s->worker);
	else
		start_later(s, 0);
}

void vbd_serve_free(struct vbd_serve *s)
{
	if (!s)
		return;
	worker_free(s->worker);
	evloop_remove(s->retry);
	free(s);
}
