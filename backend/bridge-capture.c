/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Captures of a bridge's worker (bridge-capture.h).
 */
#include "bridge-capture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "evloop.h"
#include "util.h"

struct bridge_capture {
	struct bridge_capture *next;
	uint32_t number;		/* the supervisor's */
	uint32_t port;
	int fd;
	int index;			/* netback's */
	struct bridge_captures *all;
	struct evsource *source;
	bool waits;			/* source looks for room */
};

static void tell_end(const struct bridge_captures *all, uint32_t number, int rc,
		     const struct pcap_counters *counters)
{
	struct bridge_msg msg = { .version = BRIDGE_VERSION, .type = BRIDGE_CAPTURED,
				  .port = BRIDGE_ITSELF };

	msg.capture.number = number;
	msg.capture.err = -rc;
	msg.capture.counters = *counters;
	bridge_send(all->sock, &msg, -1);
}

/* syscalls bridge: fstat newfstatat */
/* A file would make the data path wait for a disk: streams only. */
static bool is_stream(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static void on_ready(void *arg, uint32_t events);

void bridge_capture_start(struct bridge_captures *all, const struct bridge_msg *ask,
			  uint32_t port, int *fd)
{
	static const struct pcap_counters none;
	struct bridge_capture *c = calloc(1, sizeof(*c));
	int rc = c ? 0 : -ENOMEM, index = 0;

	if (!rc && port == VSWITCH_PORTS_MAX)
		rc = -ENOENT;
	if (!rc && !is_stream(*fd))
		rc = -EINVAL;
	if (!rc)
		rc = evloop_add_fd(all->loop, *fd, 0, on_ready, c, &c->source);
	if (!rc)
		rc = index = netback_capture_start(all->nb, port, ask->capture.snaplen, *fd);
	if (rc < 0) {
		if (c)
			evloop_remove(c->source);
		tell_end(all, ask->capture.number, rc, &none);
		free(c);
		close_fd(fd);
		return;
	}
	c->next = all->list;
	c->number = ask->capture.number;
	c->port = port;
	c->fd = *fd;
	c->index = index;
	c->all = all;
	*fd = -1;
	all->list = c;
}

/* Unlinks *at. rc: why it ends before it was asked to. */
static void end(struct bridge_captures *all, struct bridge_capture **at, int rc)
{
	struct bridge_capture *c = *at;
	struct pcap_counters counters;

	*at = c->next;
	if (!rc)
		rc = MIN(netback_capture_ready(all->nb, c->index), 0);
	netback_capture_state(all->nb, c->index, &counters);
	netback_capture_stop(all->nb, c->index);
	tell_end(all, c->number, rc, &counters);
	evloop_remove(c->source);
	close_fd(&c->fd);
	free(c);
}

static struct bridge_capture **find(struct bridge_captures *all, uint32_t number)
{
	struct bridge_capture **at = &all->list;

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

void bridge_capture_stop(struct bridge_captures *all, uint32_t number)
{
	struct bridge_capture **at = find(all, number);

	if (*at)	/* it may have ended while the supervisor's word was on its way */
		end(all, at, 0);
}

void bridge_capture_stop_port(struct bridge_captures *all, uint32_t port)
{
	struct bridge_capture **at = &all->list;

	while (*at) {
		if ((*at)->port == port)
			end(all, at, 0);
		else
			at = &(*at)->next;
	}
}

void bridge_capture_stop_all(struct bridge_captures *all)
{
	while (all->list)
		end(all, &all->list, 0);
}

static void on_ready(void *arg, uint32_t events)
{
	struct bridge_capture *c = arg, **at = &c->all->list;
	int rc = events & (EPOLLERR | EPOLLHUP) ? -EPIPE : 0;

	while (*at != c)
		at = &(*at)->next;
	if (!rc)
		rc = MIN(netback_capture_ready(c->all->nb, c->index), 0);
	if (rc)
		end(c->all, at, rc);
}

void bridge_capture_watch(struct bridge_captures *all)
{
	for (struct bridge_capture *c = all->list; c; c = c->next) {
		bool waits = netback_capture_state(all->nb, c->index, NULL);

		if (waits != c->waits)
			evloop_set_events(c->source, waits ? EPOLLOUT : 0);
		c->waits = waits;
	}
}
