/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One mirror, as the supervisor has it (mirror.h).
 *
 * Hides: messages to what copies. Must not know: why it is wanted.
 */
#include "mirror.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "dirty-map.h"
#include "util.h"

struct mirror {
	struct mirror_what what;
	char path[512], title[80];
	struct evloop *loop;
	void (*changed)(void *arg);
	void *arg;
	enum mirror_phase phase;
	struct mirror_target target;
	int map;
	struct process *helper;
	struct evsource *deadline;
	struct worker_copied copied;
	struct failure failure;
};

/* ---- making ---------------------------------------------------------------------- */

static int make_map(struct mirror *m)
{
	struct dirty_map *map;
	int rc = dirty_map_make(m->what.source.bytes, &m->map);

	if (!rc)
		rc = dirty_map_open(m->map, m->what.source.bytes, &map);
	if (rc)
		return rc;
	dirty_map_mark(map, 0, m->what.source.bytes);
	dirty_map_close(map);
	m->copied.dirty_bytes = m->what.source.bytes;
	return 0;
}

static void on_deadline(void *arg, uint32_t events)
{
	struct mirror *m = arg;

	(void)events;
	snprintf(m->failure.reason, sizeof(m->failure.reason),
		 "what was left could not be copied in time, and the guest waited for it");
	m->failure.err = ETIMEDOUT;
	mirror_end(m);
	m->changed(m->arg);
}

int mirror_open(struct evloop *loop, const struct mirror_what *what, void (*changed)(void *arg),
		void *arg, struct mirror **out, char *why, size_t why_bytes)
{
	struct mirror *m = calloc(1, sizeof(*m));
	int rc;

	snprintf(why, why_bytes, "%s", strerror(ENOMEM));
	if (!m)
		return -ENOMEM;
	*m = (struct mirror){ .what = *what, .loop = loop, .changed = changed, .arg = arg,
			      .map = -1, .target.fd = -1 };
	snprintf(m->path, sizeof(m->path), "%s", what->target);
	snprintf(m->title, sizeof(m->title), "mirror-%s-%u-%u", what->name.kind,
		 what->name.frontend_id, what->name.devid);
	rc = make_map(m);
	if (!rc)
		rc = evloop_add_timer(loop, on_deadline, m, &m->deadline);
	if (!rc)
		rc = mirror_target_open(m->path, &what->source, false, &m->target, why, why_bytes);
	if (rc) {
		mirror_close(m);
		return rc;
	}
	*out = m;
	return 0;
}

/* ---- what copies ------------------------------------------------------------------- */

static void fail(struct mirror *m, int err, const char *words)
{
	if (m->phase == MIRROR_FAILED)
		return;
	m->phase = MIRROR_FAILED;
	if (!m->failure.err)
		snprintf(m->failure.reason, sizeof(m->failure.reason), "%s", words);
	m->failure.err = m->failure.err ? m->failure.err : err;
	evloop_set_timer(m->deadline, -1, 0);
}

static void take_message(struct mirror *m, struct worker_msg *msg)
{
	if (m->phase == MIRROR_FAILED)
		return;
	switch (msg->type) {
	case WORKER_COPIED:
		m->copied = msg->copied;
		if (m->phase == MIRROR_COPYING || m->phase == MIRROR_IN_SYNC)
			m->phase = msg->copied.synced ? MIRROR_IN_SYNC : MIRROR_COPYING;
		break;
	case WORKER_FINISHED:
		m->copied = msg->copied;
		if (m->phase != MIRROR_FINISHING) {
			process_kill(m->helper);
			break;
		}
		m->phase = MIRROR_FINISHED;
		evloop_set_timer(m->deadline, -1, 0);
		break;
	case WORKER_FAILED:
		msg->failure.reason[sizeof(msg->failure.reason) - 1] = '\0';
		fail(m, msg->failure.err > 0 ? msg->failure.err : EIO, msg->failure.reason);
		break;
	default:
		process_kill(m->helper);
	}
}

static bool on_heard(void *arg, int sock)
{
	struct mirror *m = arg;
	struct worker_msg msg;
	int rc = worker_receive(sock, &msg, NULL, NULL);

	if (rc && rc != -EPROTO)
		return false;
	if (rc)
		process_kill(m->helper);
	else
		take_message(m, &msg);
	m->changed(m->arg);
	return true;
}

static void on_ended(void *arg, bool killed, const char *how)
{
	struct mirror *m = arg;
	char words[200];

	(void)killed;
	process_free(m->helper);
	m->helper = NULL;
	snprintf(words, sizeof(words), "the process that copied %s", how);
	if (m->phase != MIRROR_FINISHED)
		fail(m, EIO, words);
	m->changed(m->arg);
}

static const struct process_events helper_events = { .heard = on_heard, .ended = on_ended };

/* Descriptors of its own: no lock of ours goes with them, and its flags are not ours. */
static int send_copy(struct mirror *m, bool direct)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_COPY };
	int fds[3] = { -1, -1, m->map };
	int rc = image_reopen(m->what.source.fd, true, &fds[0]);

	msg.copy = (struct worker_copy){
		.image_bytes = m->what.source.bytes, .source_direct = direct,
		.bytes_per_second = m->what.bytes_per_second,
		.target_is_device = m->target.info.is_device,
	};
	if (!rc)
		rc = image_reopen(m->target.fd, false, &fds[1]);
	if (!rc)
		rc = worker_send(process_sock(m->helper), &msg, fds, 3);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	return rc;
}

int mirror_start(struct mirror *m, bool direct)
{
	const struct backend_config *c = m->what.config;
	struct process_options o = { .program = c->program, .name = c->name, .title = m->title,
				     .log_level = c->log_level, .user = c->user,
				     .seccomp = c->seccomp, .stop_ms = c->stop_ms };
	int rc = process_open(m->loop, &o, &helper_events, m, &m->helper);

	if (!rc)
		rc = send_copy(m, direct);
	if (!rc)
		rc = process_start(m->helper, &o);
	if (rc) {
		process_free(m->helper);
		m->helper = NULL;
		return rc;
	}
	m->phase = MIRROR_COPYING;
	return 0;
}

static void tell(struct mirror *m, enum worker_type type)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = type };

	msg.copy.bytes_per_second = m->what.bytes_per_second;
	if (m->helper)
		worker_send(process_sock(m->helper), &msg, NULL, 0);
}

void mirror_set_rate(struct mirror *m, uint64_t bytes_per_second)
{
	m->what.bytes_per_second = bytes_per_second;
	tell(m, WORKER_RATE);
}

void mirror_finish(struct mirror *m, uint32_t deadline_ms)
{
	m->phase = MIRROR_FINISHING;
	evloop_set_timer(m->deadline, deadline_ms, 0);
	tell(m, WORKER_FINISH);
}

void mirror_end(struct mirror *m)
{
	fail(m, ECANCELED, "it was ended");
	if (m->helper)
		process_kill(m->helper);
}

/* ---- what it is ---------------------------------------------------------------------- */

int mirror_map(const struct mirror *m)
{
	return m->map;
}

uint64_t mirror_bytes(const struct mirror *m)
{
	return m->what.source.bytes;
}

enum mirror_phase mirror_phase(const struct mirror *m)
{
	return m->phase;
}

const struct failure *mirror_failure(const struct mirror *m)
{
	return &m->failure;
}

const struct worker_copied *mirror_progress(const struct mirror *m)
{
	return &m->copied;
}

bool mirror_holds(const struct mirror *m, const struct stat *st)
{
	return m->target.fd >= 0 && image_is(m->target.fd, st);
}

void mirror_take_target(struct mirror *m, struct mirror_target *out)
{
	*out = m->target;
	m->target.fd = -1;
}

bool mirror_is_over(const struct mirror *m)
{
	return !m->helper;
}

void mirror_close(struct mirror *m)
{
	if (!m)
		return;
	process_free(m->helper);
	evloop_remove(m->deadline);
	close_fd(&m->target.fd);
	close_fd(&m->map);
	free(m);
}
