/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's end of the control socket (control.h).
 *
 * Hides: clients and their ends. Must not know: what is asked.
 */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "packet.h"
#include "util.h"

#define CLIENTS_MAX 16u
#define BACKLOG 16
#define SEND_BYTES (2 << 20)		/* of answers that a client has yet to read */

struct control_client {
	struct control_client *next;
	struct control *control;
	int fd;
	struct evsource *readable;
	uint64_t heard_ms;
};

struct control {
	struct evloop *loop;
	const struct control_owner *owner;
	void *arg;
	struct sockaddr_un at;
	int fd;
	struct evsource *acceptable;
	struct control_client *clients;
	uint32_t nr_clients;
};

/* ---- clients --------------------------------------------------------------------- */

static void hang_up(struct control_client *c)
{
	struct control *all = c->control;
	struct control_client **at = &all->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	all->nr_clients--;
	all->owner->gone(all->arg, c);
	evloop_remove(c->readable);
	close_fd(&c->fd);
	free(c);
}

static bool is_request(struct control_msg *msg)
{
	msg->bridge[sizeof(msg->bridge) - 1] = '\0';
	return msg->version == CONTROL_VERSION && msg->type >= CONTROL_BRIDGES &&
	       msg->type <= CONTROL_CAPTURE_STOP;
}

static void on_readable(void *arg, uint32_t events)
{
	struct control_client *c = arg;
	struct control_msg msg;
	int rc = packet_receive(c->fd, &msg, sizeof(msg), MSG_DONTWAIT, NULL, NULL);

	(void)events;
	if (rc == -EAGAIN || rc == -EINTR)
		return;
	if (!rc && is_request(&msg)) {
		c->heard_ms = now_ms();
		c->control->owner->asked(c->control->arg, c, &msg);
		return;
	}
	if (!rc || rc == -EPROTO)
		control_refuse(c, EPROTO, "this is no request that this version knows");
	hang_up(c);
}

int control_answer(struct control_client *c, struct control_msg *msg, int fd)
{
	int rc;

	msg->version = CONTROL_VERSION;
	rc = packet_send(c->fd, msg, sizeof(*msg), &fd, fd >= 0);
	/* The end is seen by reading; the caller may hold c in a list of its own now. */
	if (rc)
		shutdown(c->fd, SHUT_RDWR);
	return rc;
}

int control_refuse(struct control_client *c, int err, const char *fmt, ...)
{
	struct control_msg msg;
	va_list args;

	memset(&msg, 0, sizeof(msg));
	msg.type = CONTROL_REFUSED;
	msg.failure.err = err;
	va_start(args, fmt);
	vsnprintf(msg.failure.reason, sizeof(msg.failure.reason), fmt, args);
	va_end(args);
	return control_answer(c, &msg, -1);
}

/* ---- connections ------------------------------------------------------------------- */

static void make_room(struct control *all)
{
	struct control_client *quiet = all->clients;

	for (struct control_client *c = all->clients; c; c = c->next)
		if (c->heard_ms < quiet->heard_ms)
			quiet = c;
	hang_up(quiet);
}

static int add_client(struct control *all, int *fd)
{
	struct control_client *c = calloc(1, sizeof(*c));
	const int bytes = SEND_BYTES;
	int rc;

	if (!c)
		return -ENOMEM;
	if (setsockopt(*fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	rc = evloop_add_fd(all->loop, *fd, EPOLLIN, on_readable, c, &c->readable);
	if (rc) {
		free(c);
		return rc;
	}
	c->control = all;
	c->fd = *fd;
	*fd = -1;
	c->heard_ms = now_ms();
	c->next = all->clients;
	all->clients = c;
	all->nr_clients++;
	return 0;
}

static void on_acceptable(void *arg, uint32_t events)
{
	struct control *all = arg;
	autoclose int fd = accept4(all->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int rc;

	(void)events;
	if (fd < 0)
		return;
	if (all->nr_clients == CLIENTS_MAX)
		make_room(all);
	rc = add_client(all, &fd);
	if (rc)
		log_error("control socket: a client was turned away: %s", strerror(-rc));
}

/* ---- open and close ------------------------------------------------------------------ */

/* What a predecessor left is in the way; the run directory's lock says that it is gone. */
static int listen_at(struct control *all)
{
	const struct sockaddr *at = (const struct sockaddr *)&all->at;
	mode_t before;
	int rc = 0;

	all->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (all->fd < 0)
		return -errno;
	unlink(all->at.sun_path);
	before = umask(0177);
	if (bind(all->fd, at, sizeof(all->at)))
		rc = -errno;
	umask(before);
	if (!rc && listen(all->fd, BACKLOG))
		rc = -errno;
	return rc;
}

int control_open(struct evloop *loop, const char *dir, const struct control_owner *owner,
		 void *arg, struct control **out, char *why, size_t why_bytes)
{
	struct control *all = calloc(1, sizeof(*all));
	int n, rc;

	if (!all) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	*all = (struct control){ .loop = loop, .owner = owner, .arg = arg, .fd = -1,
				 .at.sun_family = AF_UNIX };
	n = snprintf(all->at.sun_path, sizeof(all->at.sun_path), "%s/" CONTROL_SOCKET, dir);
	rc = n < (int)sizeof(all->at.sun_path) ? listen_at(all) : -ENAMETOOLONG;
	if (!rc)
		rc = evloop_add_fd(loop, all->fd, EPOLLIN, on_acceptable, all,
				   &all->acceptable);
	if (rc) {
		snprintf(why, why_bytes, "no control socket %s/" CONTROL_SOCKET ": %s", dir,
			 strerror(-rc));
		control_close(all);
		return rc;
	}
	*out = all;
	return 0;
}

void control_close(struct control *all)
{
	if (!all)
		return;
	while (all->clients)
		hang_up(all->clients);
	evloop_remove(all->acceptable);
	if (all->acceptable)
		unlink(all->at.sun_path);
	close_fd(&all->fd);
	free(all);
}
