/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The far side of a disk behind a server (remote.h).
 *
 * Hides: retries, drains, processes. Must not know: workers, XenStore; versions of this
 * program (remote-takeover.c).
 *
 * step() decides what is to be done next, after anything has happened: first the server,
 * then what the export is, then connections, one process that dials at a time.
 */
#include "remote-internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "image.h"
#include "util.h"

#define RETRY_MS 100u
#define RETRY_MAX_MS 2000u
#define SERVER_PATIENCE_MS 10000u	/* from its start until it listens */
#define LASTING_MS 10000u		/* a connection that was up for so long was a good one */

static void step(struct remote *r);

static void changed(struct remote *r)
{
	if (r->events && r->events->changed)
		r->events->changed(r->arg);
}

/* ---- what went wrong ------------------------------------------------------------------- */

static void try_later(struct remote *r)
{
	r->wait_ms = r->wait_ms ? MIN(2 * r->wait_ms, RETRY_MAX_MS) : RETRY_MS;
	r->waiting = !evloop_set_timer(r->retry, (int64_t)r->wait_ms, 0);
}

static void on_retry(void *arg, uint32_t events)
{
	struct remote *r = arg;

	(void)events;
	r->waiting = r->lost_one = false;
	if (r->say_open) {
		r->say_open = false;
		r->open_said = true;
		if (r->events && r->events->opened)
			r->events->opened(r->arg, r->open_err, r->why);
		return;		/* it may be gone */
	}
	step(r);
}

/* Not from within a caller, who may not have it yet, or must not lose it. */
static void step_soon(struct remote *r)
{
	r->waiting = !evloop_set_timer(r->retry, 0, 0);
}

void remote_say_open(struct remote *r, int err)
{
	r->say_open = true;
	r->open_err = err;
	step_soon(r);
}

static void trouble(struct remote *r, int err, const char *why)
{
	if (strcmp(why, r->why)) {
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "%s", why);
		snprintf(r->why, sizeof(r->why), "%s", why);
	}
	if (!r->open_said && !r->what.patient) {
		remote_say_open(r, err);
		return;
	}
	if (!r->away_ms)
		r->away_ms = now_ms();
	try_later(r);
	changed(r);
}

/* ---- processes ---------------------------------------------------------------------------- */

static int start(struct remote *r, const char *title, const struct worker_msg *msg,
		 const struct process_events *events, struct process **out)
{
	const struct backend_config *c = r->what.config;
	struct process_options o = { .program = c->program, .name = c->name, .title = title,
				     .log_level = c->log_level, .user = c->user,
				     .seccomp = c->seccomp, .stop_ms = REMOTE_END_MS };
	int rc = process_open(r->loop, &o, events, r, out);

	if (!rc)
		rc = worker_send(process_sock(*out), msg, NULL, 0);
	if (!rc)
		rc = process_start(*out, &o);
	if (rc) {
		process_free(*out);
		*out = NULL;
	}
	return rc;
}

/* ---- our own server ------------------------------------------------------------------------- */

/* Its name, which we say ourselves, and the options that we gave it, are left out. */
static const char *essence(const char *line)
{
	const char *options = strstr(line, "Failed to blk_new_open '");
	const char *end = options ? strstr(options, "': ") : NULL;

	if (end)
		return end + 3;
	return !strncmp(line, "qemu-nbd: ", 10) ? line + 10 :
	       !strncmp(line, "nbdkit: ", 8) ? line + 8 : line;
}

/* What does not fit a line of ours is left out. */
static void take_letter(struct remote *r, char c)
{
	size_t used = strlen(r->line);

	if (c != '\n') {
		if (used + 1 < sizeof(r->line))
			r->line[used] = c == '\t' || (unsigned char)c >= ' ' ? c : '?';
		return;
	}
	if (used) {
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "its server: %s", r->line);
		snprintf(r->words, sizeof(r->words), "%.*s", (int)sizeof(r->words) - 1,
			 essence(r->line));
	}
	memset(r->line, 0, sizeof(r->line));
}

/* Its output comes in packets, of lines or of pieces of them. */
static bool on_server_words(void *arg, int sock)
{
	struct remote *r = arg;
	char text[512];
	ssize_t n = recv(sock, text, sizeof(text), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (ssize_t i = 0; i < n; i++)
		take_letter(r, text[i]);
	return n > 0;
}

void remote_close_link(struct remote_link *l)
{
	evloop_remove(l->drain);
	l->drain = NULL;
	close_fd(&l->fd);
}

static void end_dial(struct remote *r)
{
	process_free(r->dial);
	r->dial = NULL;
	r->dial_flushes = false;
}

static void tell_lost(struct remote *r, bool lost)
{
	r->untold |= lost;
	if (!r->untold || !r->events || !r->events->lost_writes)
		return;
	r->untold = false;
	r->events->lost_writes(r->arg);
}

/* One that ends by itself without a fault has written back what it had, for all one knows. */
static bool has_ended_in_order(const struct process *server)
{
	int status = process_status(server);

	return status == 0 || (status != PROCESS_UNKNOWN && WIFSIGNALED(status) &&
			       WTERMSIG(status) == SIGTERM);
}

static bool is_durable(const struct remote *r)
{
	return r->flushed || (!r->undurable && has_ended_in_order(r->server));
}

/* With it all its connections have ended, and what they asked for. */
static void on_server_ended(void *arg, bool killed, const char *how)
{
	struct remote *r = arg;
	bool meant = r->server_ending, in_order = has_ended_in_order(r->server);
	bool durable = is_durable(r);
	char why[200];

	process_free(r->server);
	r->server = NULL;
	r->server_ending = false;
	end_dial(r);
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++) {
		struct remote_link *l = &r->link[q];

		remote_close_link(l);
		if (l->state != LINK_NONE)
			l->state = r->serves ? LINK_WANTED : LINK_NONE;
	}
	if (killed)
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "its server did not end in %u s "
			    "and was killed", REMOTE_END_MS / 1000);
	else if (meant && !in_order)
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "its server %s", how);
	r->undurable = r->flushed = false;
	tell_lost(r, answered_server_ends(&r->answered, durable));
	if (r->ended || meant) {
		r->wait_ms = 0;
		step(r);
		return;
	}
	snprintf(why, sizeof(why), "%s %s%.160s", storage_program(&r->what.storage),
		 r->words[0] ? "has ended: " : "", r->words[0] ? r->words : how);
	trouble(r, -EIO, why);
}

const struct process_events remote_server_events = {
	.heard = on_server_words,
	.ended = on_server_ended,
};

bool remote_is_misnamed(const struct remote *r)
{
	const char *path = r->what.storage.path;
	struct stat st;

	/* One that is not there at all the server itself complains of. */
	return remote_is_served(r) && path[0] && !stat(path, &st) && !image_is(r->what.image_fd, &st);
}

bool remote_awaits_name(const struct remote *r)
{
	return r->awaits_name;
}

static void run_server(struct remote *r)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_EXEC };
	char title[80];
	int rc = storage_command(&r->what.storage, r->what.cache, r->what.read_only, r->socket,
				 &msg.command);

	snprintf(title, sizeof(title), "%s-%u-%u-server", r->what.name.kind,
		 r->what.name.frontend_id, r->what.name.devid);
	unlink(r->socket);
	r->server_used = false;
	answered_server_begins(&r->answered);
	r->words[0] = '\0';
	memset(r->line, 0, sizeof(r->line));
	if (!rc)
		rc = start(r, title, &msg, &remote_server_events, &r->server);
	if (rc)
		trouble(r, rc, rc == -E2BIG ? "the image's name makes too long a command" :
			"no process for the server");
}

/* By that name a guest would go on with other data, which nobody has locked. */
static void start_server(struct remote *r)
{
	char why[200];

	r->awaits_name = remote_is_misnamed(r);
	if (!r->awaits_name) {
		run_server(r);
		return;
	}
	snprintf(why, sizeof(why), "%.100s is another file by now, and its server cannot be started: "
		 "give the old one its name again", r->what.storage.path);
	trouble(r, -ESTALE, why);
}

static void terminate_server(struct remote *r)
{
	end_dial(r);
	if (process_pid(r->server) > 0)
		kill(process_pid(r->server), SIGTERM);
	process_stopping(r->server);
}

static bool on_flushed(void *arg, int sock)
{
	struct remote *r = arg;
	struct worker_msg msg;

	if (worker_receive(sock, &msg, NULL, NULL))
		return false;
	r->flushed = msg.type == WORKER_DIALED;
	msg.failure.reason[sizeof(msg.failure.reason) - 1] = '\0';
	if (!r->flushed)
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "%s", msg.failure.reason);
	terminate_server(r);
	return true;
}

static void on_flush_ended(void *arg, bool killed, const char *how)
{
	struct remote *r = arg;

	log_peer_at(r->what.log, LOG_LEVEL_WARNING, "its server was not flushed%s: the process for "
		    "that %s", killed ? " in time" : "", how);
	terminate_server(r);
}

static const struct process_events flush_events = {
	.heard = on_flushed,
	.ended = on_flush_ended,
};

/* Its worker's copies have gone with it. False: no process for that. */
static bool flush_server(struct remote *r)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_DIAL };
	char title[80];
	int rc;

	strcpy(msg.dial.at.socket, r->socket);
	msg.dial.flush = true;
	snprintf(title, sizeof(title), "%s-%u-%u-flush", r->what.name.kind,
		 r->what.name.frontend_id, r->what.name.devid);
	rc = start(r, title, &msg, &flush_events, &r->dial);
	if (rc) {
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "no process that flushes its server: %s",
			    strerror(-rc));
		return false;
	}
	r->dial_flushes = true;
	process_stopping(r->dial);
	return true;
}

/* For a daemon that ends: no loop hears the answer any more. */
static void await_flush(struct remote *r)
{
	struct pollfd p = { .fd = process_sock(r->dial), .events = POLLIN };
	uint64_t now = now_ms(), until = now + REMOTE_END_MS;

	for (; r->dial_flushes && now < until; now = now_ms())
		if (poll(&p, 1, (int)(until - now)) > 0 && !process_take_note(r->dial) &&
		    !on_flushed(r, p.fd))
			break;
	if (r->dial_flushes)
		terminate_server(r);
}

void remote_end_server(struct remote *r)
{
	if (!r->server || r->server_ending)
		return;
	r->server_ending = true;
	end_dial(r);
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++)
		remote_close_link(&r->link[q]);
	r->undurable = r->answered.used;
	if (!r->answered.worker_gone || !flush_server(r))
		terminate_server(r);
}

/* ---- dialling ------------------------------------------------------------------------------------ */

void remote_begin_to_use(struct remote *r)
{
	r->server_used = true;
	if (remote_is_served(r) && !r->what.read_only)
		answered_server_is_used(&r->answered);
}

static void take_connection(struct remote *r, int fd)
{
	struct remote_link *l = &r->link[r->dial_queue];

	if (l->state != LINK_WANTED) {
		close_fd(&fd);
		return;
	}
	remote_close_link(l);
	l->fd = fd;
	l->up_ms = 0;
	l->state = LINK_UP;
	remote_begin_to_use(r);
	if (r->events && r->events->connected)
		r->events->connected(r->arg, r->dial_queue, ++l->number, fd);
}

static void take_info(struct remote *r, const struct remote_info *info)
{
	r->info = *info;
	r->known = r->server_used = true;
	r->wait_ms = 0;
	if (!r->open_said)
		remote_say_open(r, 0);
}

/* A server of ours mostly knows better than NBD can say. */
static void add_words(const struct remote *r, char *why, size_t bytes)
{
	size_t used = strlen(why);

	if (remote_is_served(r) && r->words[0])
		snprintf(why + used, bytes - used, "; it says: %s", r->words);
}

static bool on_dial(void *arg, int sock)
{
	struct remote *r = arg;
	struct worker_msg msg;
	unsigned nr = 1;
	int fd = -1, rc = worker_receive(sock, &msg, &fd, &nr);

	if (rc)
		return false;
	end_dial(r);
	if (msg.type == WORKER_DIALED && r->dial_asks) {
		take_info(r, &msg.dialed);
	} else if (msg.type == WORKER_DIALED && nr) {
		take_connection(r, fd);
		if (r->lost_one)
			try_later(r);
		else
			step(r);
	} else {
		msg.failure.reason[sizeof(msg.failure.reason) - 1] = '\0';
		add_words(r, msg.failure.reason, sizeof(msg.failure.reason));
		trouble(r, msg.failure.err > 0 ? -msg.failure.err : -EIO, msg.failure.reason);
	}
	return true;
}

static void on_dial_ended(void *arg, bool killed, const char *how)
{
	struct remote *r = arg;
	char why[200];

	(void)killed;
	snprintf(why, sizeof(why), "no connection could be tried: the process for that %s", how);
	end_dial(r);
	trouble(r, -EIO, why);
}

static const struct process_events dial_events = {
	.heard = on_dial,
	.ended = on_dial_ended,
};

static void dial(struct remote *r, bool asks, uint32_t queue)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_DIAL };
	char title[80];
	int rc;

	msg.dial.nr = !asks;
	if (remote_is_served(r)) {
		strcpy(msg.dial.at.socket, r->socket);
		msg.dial.patience_ms = SERVER_PATIENCE_MS;
	} else {
		msg.dial.at = r->what.storage.at;
		strcpy(msg.dial.export, r->what.storage.export);
	}
	r->dial_asks = asks;
	r->dial_queue = queue;
	snprintf(title, sizeof(title), "%s-%u-%u-dial", r->what.name.kind,
		 r->what.name.frontend_id, r->what.name.devid);
	rc = start(r, title, &msg, &dial_events, &r->dial);
	if (rc)
		trouble(r, rc, "no process that connects to the server");
}

/* ---- old connections ------------------------------------------------------------------------------- */

static void has_drained(struct remote_link *l)
{
	remote_close_link(l);
	l->state = l->resting ? LINK_NONE : LINK_WANTED;
}

static void drained(struct remote_link *l)
{
	has_drained(l);
	step(l->r);
}

/*
 * Late answers, for nobody; then the end. What comes as fast as it is read holds nobody up: the
 * rest is for the next time.
 */
static void on_drain(void *arg, uint32_t events)
{
	struct remote_link *l = arg;
	char scrap[65536];
	ssize_t n;

	(void)events;
	n = recv(l->fd, scrap, sizeof(scrap), MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	log_debug("%s: its old connection has ended, %llu ms after it was told to",
		  l->r->what.log->who, (unsigned long long)(now_ms() - l->drain_ms));
	drained(l);
}

static void on_drain_late(struct remote *r)
{
	uint32_t limit_ms = r->ended ? REMOTE_END_MS : REMOTE_FENCE_MS;

	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++) {
		struct remote_link *l = &r->link[q];

		if (l->state != LINK_DRAINS || now_ms() - l->drain_ms < limit_ms)
			continue;
		log_peer_at(r->what.log, LOG_LEVEL_WARNING, "the server has not closed its old "
			    "connection within %u s: it may still do what it was asked there",
			    limit_ms / 1000);
		has_drained(l);
	}
}

static void drain(struct remote_link *l)
{
	l->state = LINK_DRAINS;
	l->drain_ms = now_ms();
	shutdown(l->fd, SHUT_WR);
	if (evloop_add_fd(l->r->loop, l->fd, EPOLLIN, on_drain, l, &l->drain))
		has_drained(l);
}

/* A worker has lost it, or has gone with it. */
static void renew(struct remote_link *l)
{
	l->resting = false;
	if (l->state != LINK_UP) {
		if (l->state == LINK_NONE)
			l->state = LINK_WANTED;
	} else if (!remote_is_served(l->r)) {
		drain(l);
	} else {
		l->state = LINK_WANTED;
		remote_end_server(l->r);
	}
}

/* ---- deciding --------------------------------------------------------------------------------------- */

static bool is_draining(const struct remote *r)
{
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++)
		if (r->link[q].state == LINK_DRAINS)
			return true;
	return false;
}

/* For the deadline of what drains; what drains before that holds nobody back. */
static void watch_drains(struct remote *r)
{
	if (is_draining(r))
		evloop_set_timer(r->retry, 1000, 0);
}

static bool has_ended(const struct remote *r)
{
	return !r->server && !is_draining(r);
}

static void step(struct remote *r)
{
	on_drain_late(r);
	if (r->ended && has_ended(r)) {
		evloop_set_timer(r->retry, -1, 0);
		r->ended(r->arg);
		return;		/* it may be gone */
	}
	if (r->ended) {
		watch_drains(r);
		return;
	}
	if (r->server_ending)		/* also one of another image that was left to us */
		return;
	if (r->waiting || r->dial)
		return;
	if (remote_is_served(r) && !r->server)
		start_server(r);
	if (r->waiting)
		return;
	if (!r->known) {
		dial(r, true, 0);
		return;
	}
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++) {
		if (r->serves && r->link[q].state == LINK_WANTED) {
			dial(r, false, q);
			return;
		}
	}
	watch_drains(r);
}

/* ---- beginning and end --------------------------------------------------------------------- */

int remote_open(struct evloop *loop, const struct remote_what *what,
		const struct remote_events *events, void *arg, struct remote **out)
{
	struct remote *r = calloc(1, sizeof(*r));
	int n, rc;

	if (!r)
		return -ENOMEM;
	*r = (struct remote){ .what = *what, .events = events, .arg = arg, .loop = loop,
			      .info_fd = -1 };
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++)
		r->link[q] = (struct remote_link){ .r = r, .fd = -1 };
	n = snprintf(r->socket, sizeof(r->socket), "%s/%s-%u-%u.nbd", what->config->rundir.path,
		     what->name.kind, what->name.frontend_id, what->name.devid);
	rc = remote_is_served(r) && n >= (int)sizeof(r->socket) ? -ENAMETOOLONG : 0;
	if (!rc)
		rc = evloop_add_timer(loop, on_retry, r, &r->retry);
	if (rc) {
		remote_close(r);
		return rc;
	}
	remote_inherit(r);
	if (!r->known)
		step_soon(r);
	*out = r;
	return 0;
}

/* One that is only starting is not even ready for signals, and has nothing to write back. */
static void dismiss_server(struct remote *r)
{
	if (r->server_used) {
		remote_end_server(r);
	} else {
		process_kill(r->server);
		process_stopping(r->server);	/* a child of its may hold its socket */
	}
	r->server_ending = true;
}

/* One that is up was its worker's, which has died with requests on their way. */
static void end_link(struct remote_link *l)
{
	if (l->state == LINK_UP && !remote_is_served(l->r))
		drain(l);
	l->resting = true;
	if (l->state == LINK_DRAINS)
		return;
	remote_close_link(l);
	l->state = LINK_NONE;
}

bool remote_end(struct remote *r, void (*ended)(void *arg), void *arg)
{
	r->events = NULL;
	r->ended = ended;
	r->arg = arg;
	if (!r->dial_flushes)
		end_dial(r);
	evloop_set_timer(r->retry, -1, 0);
	r->waiting = r->say_open = false;
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++)
		end_link(&r->link[q]);
	if (r->server)
		dismiss_server(r);
	watch_drains(r);
	return has_ended(r);
}

bool remote_close(struct remote *r)
{
	bool untold;

	if (!r)
		return false;
	if (!r->dial_flushes)
		end_dial(r);
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++)
		remote_close_link(&r->link[q]);
	if (r->server) {
		dismiss_server(r);
		if (r->dial_flushes)
			await_flush(r);
		process_leave(r->server, REMOTE_END_MS);
		tell_lost(r, answered_server_ends(&r->answered, is_durable(r)));
		process_free(r->server);
	}
	if (remote_is_served(r))
		unlink(r->socket);
	evloop_remove(r->retry);
	close_fd(&r->info_fd);
	untold = r->untold;
	free(r);
	return untold;
}

const struct remote_info *remote_info(const struct remote *r)
{
	return &r->info;
}

void remote_attend(struct remote *r, const struct remote_events *events, void *arg)
{
	r->events = events;
	r->arg = arg;
	r->serves = false;
	tell_lost(r, false);
}

/* ---- workers -------------------------------------------------------------------------------------------- */

/* One that drains goes on: its requests, given up long ago, may yet be done. */
static void rest(struct remote_link *l)
{
	l->resting = true;
	if (l->state == LINK_DRAINS)
		return;
	remote_close_link(l);
	l->state = LINK_NONE;
}

void remote_serve(struct remote *r, uint32_t nr)
{
	r->serves = true;
	for (uint32_t q = 0; q < VBD_QUEUES_MAX; q++) {
		struct remote_link *l = &r->link[q];

		if (q < nr || l->state == LINK_UP)
			renew(l);
		l->resting = q >= nr;
		if (l->resting && l->state == LINK_WANTED)
			l->state = LINK_NONE;
	}
	r->away_ms = now_ms();
	r->wait_ms = 0;
	changed(r);
	if (!r->dial)
		step_soon(r);
}

void remote_gone(struct remote *r, bool in_order)
{
	tell_lost(r, answered_worker_ends(&r->answered, in_order));
}

void remote_rest(struct remote *r, bool clean)
{
	remote_gone(r, clean);
	for (uint32_t q = 0; clean && q < VBD_QUEUES_MAX; q++)
		rest(&r->link[q]);
}

static bool is_current(const struct remote *r, uint32_t queue, uint32_t number)
{
	return queue < VBD_QUEUES_MAX && r->link[queue].state == LINK_UP &&
	       r->link[queue].number == number;
}

bool remote_linked(struct remote *r, uint32_t queue, uint32_t number, uint64_t bytes)
{
	bool resized = bytes != r->info.bytes;

	if (!is_current(r, queue, number))
		return false;
	if (r->why[0])
		log_peer_at(r->what.log, LOG_LEVEL_INFO, "queue %u: the server is there again",
			    queue);
	answered_made_again(&r->answered);
	r->why[0] = '\0';
	r->away_ms = 0;
	r->link[queue].up_ms = now_ms();
	r->info.bytes = bytes;
	changed(r);
	return resized;
}

void remote_lost(struct remote *r, uint32_t queue, uint32_t number, const char *why)
{
	if (!is_current(r, queue, number))
		return;
	log_peer_at(r->what.log, LOG_LEVEL_WARNING, "queue %u: %s; what is on its way waits",
		    queue, why);
	/* A worker's words, which may be its guest's; in a file they are a line. */
	snprintf(r->why, sizeof(r->why), "%s", why);
	one_line(r->why, strlen(r->why));
	r->away_ms = now_ms();
	if (r->link[queue].up_ms && r->away_ms - r->link[queue].up_ms >= LASTING_MS)
		r->wait_ms = 0;
	renew(&r->link[queue]);
	changed(r);
	/* A server that takes connections and ends them is not asked all the time. */
	r->lost_one = true;
	if (!r->waiting && !r->dial && !r->server_ending)
		try_later(r);
}

/*
 * Longer than it takes to connect. Nobody connects to one that is not used: that it runs again
 * is all that can be said of it.
 */
bool remote_is_away(const struct remote *r)
{
	bool rests = r->known && !r->serves && (!remote_is_served(r) || r->server);

	return r->away_ms && r->why[0] && !rests;
}

void remote_describe(const struct remote *r, char *buf, size_t bytes)
{
	if (!r->away_ms)
		snprintf(buf, bytes, "connected");
	else
		snprintf(buf, bytes, "away since %llu: %s", (unsigned long long)r->away_ms,
			 r->why[0] ? r->why : "connecting");
}
