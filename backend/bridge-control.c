/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions of tools (bridge-control.h).
 *
 * A client has one question at a time. A capture's stream is a pipe of ours: whatever
 * a client may have opened, the data path does not wait for it.
 */
#include "bridge-control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "control.h"
#include "util.h"

#define PIPE_BYTES (1 << 20)

struct asker {
	struct asker *next;
	struct bridge_control *all;
	struct control_client *client;
	bool busy, captures;
};

struct bridge_control {
	struct control *control;
	struct bridges *bridges;
	struct asker *askers;
};

static struct control_msg message(enum control_type type)
{
	struct control_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.type = type;
	return msg;
}

/* ---- answers ------------------------------------------------------------------------- */

static void on_bridge(void *arg, const char *name, uint32_t nr_ports, pid_t pid)
{
	struct control_msg msg = message(CONTROL_BRIDGE);
	struct asker *a = arg;

	memcpy(msg.bridge, name, strlen(name) + 1);
	msg.found.nr_ports = nr_ports;
	msg.found.pid = pid;
	control_answer(a->client, &msg, -1);
}

static void on_counted(void *arg, const struct bridge_port_info *info,
		       const struct vswitch_counters *counters)
{
	struct control_msg msg = message(CONTROL_PORT);
	struct asker *a = arg;

	msg.port.info = *info;
	msg.port.counters = *counters;
	control_answer(a->client, &msg, -1);
}

static void on_listed(void *arg, const struct vswitch_address *address)
{
	struct control_msg msg = message(CONTROL_ADDRESS);
	struct asker *a = arg;

	msg.address = *address;
	control_answer(a->client, &msg, -1);
}

static void on_done(void *arg, const struct netback_stats *all, const struct failure *why)
{
	struct control_msg msg = message(CONTROL_DONE);
	struct asker *a = arg;

	a->busy = false;
	msg.all = *all;
	if (why)
		control_refuse(a->client, why->err, "%s", why->reason);
	else
		control_answer(a->client, &msg, -1);
}

static void on_captured(void *arg, const struct bridge_captured *capture)
{
	struct control_msg msg = message(CONTROL_CAPTURED);
	struct asker *a = arg;

	a->busy = a->captures = false;
	msg.captured = *capture;
	control_answer(a->client, &msg, -1);
}

static const struct bridge_answers answers = {
	.counted = on_counted,
	.listed = on_listed,
	.done = on_done,
	.captured = on_captured,
};

/* ---- questions ------------------------------------------------------------------------ */

static void ask_bridges(struct asker *a)
{
	struct control_msg msg = message(CONTROL_DONE);

	bridges_each(a->all->bridges, on_bridge, a);
	control_answer(a->client, &msg, -1);
}

static void refuse_bridge(struct asker *a, const char *name, int rc)
{
	a->busy = false;
	if (rc == -ENOENT)
		control_refuse(a->client, ENOENT, "no bridge %s: nobody has joined one of that name",
			       name);
	else
		control_refuse(a->client, -rc, "bridge %s: %s", name, strerror(-rc));
}

static void ask_bridge(struct asker *a, const struct control_msg *msg)
{
	int rc;

	a->busy = true;
	if (msg->type == CONTROL_PORTS)
		rc = bridges_count(a->all->bridges, msg->bridge, &answers, a);
	else
		rc = bridges_list(a->all->bridges, msg->bridge, &answers, a);
	if (rc)
		refuse_bridge(a, msg->bridge, rc);
}

/* The worker's end is not blocking; the reader's is as its owner expects. */
static int open_stream(int *reader, int *writer)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC))
		return -errno;
	*reader = fd[0];
	*writer = fd[1];
	fcntl(fd[1], F_SETPIPE_SZ, PIPE_BYTES);	/* a smaller one does as well */
	return fcntl(fd[1], F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static void ask_capture(struct asker *a, const struct control_msg *msg)
{
	const struct bridge_vif_name vif = { msg->capture.domid, msg->capture.devid };
	bool one = vif.domid != CONTROL_ANY;
	struct control_msg began = message(CONTROL_CAPTURING);
	autoclose int reader = -1;
	autoclose int writer = -1;
	int rc = open_stream(&reader, &writer);

	a->busy = a->captures = true;
	if (!rc)
		rc = bridges_capture(a->all->bridges, msg->bridge, one ? &vif : NULL,
				     msg->capture.snaplen, writer, &answers, a);
	if (!rc) {
		control_answer(a->client, &began, reader);
		return;
	}
	a->captures = false;
	if (rc != -ENOENT || !one) {
		refuse_bridge(a, msg->bridge, rc);
		return;
	}
	a->busy = false;
	control_refuse(a->client, ENOENT, "interface %u of domain %u is not connected to any "
		       "bridge", vif.devid, vif.domid);
}

static struct asker *asker_of(struct bridge_control *all, struct control_client *client)
{
	struct asker *a = all->askers;

	while (a && a->client != client)
		a = a->next;
	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	*a = (struct asker){ .next = all->askers, .all = all, .client = client };
	all->askers = a;
	return a;
}

static void on_asked(void *arg, struct control_client *client, const struct control_msg *msg)
{
	struct bridge_control *all = arg;
	struct asker *a = asker_of(all, client);

	if (!a)
		control_refuse(client, ENOMEM, "out of memory");
	else if (msg->type == CONTROL_CAPTURE_STOP && a->captures)
		bridges_stop_capture(all->bridges, a);
	else if (a->busy || msg->type == CONTROL_CAPTURE_STOP)
		control_refuse(client, EBUSY, "one question after the other");
	else if (msg->type == CONTROL_BRIDGES)
		ask_bridges(a);
	else if (msg->type == CONTROL_CAPTURE)
		ask_capture(a, msg);
	else
		ask_bridge(a, msg);
}

static void on_gone(void *arg, struct control_client *client)
{
	struct bridge_control *all = arg;

	for (struct asker **at = &all->askers, *a; (a = *at); at = &a->next)
		if (a->client == client) {
			*at = a->next;
			bridges_forget(all->bridges, a);
			free(a);
			return;
		}
}

static const struct control_owner owner = {
	.asked = on_asked,
	.gone = on_gone,
};

/* ---- open and close --------------------------------------------------------------------- */

int bridge_control_open(struct evloop *loop, const char *dir, struct bridges *bridges,
			struct bridge_control **out, char *why, size_t why_bytes)
{
	struct bridge_control *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c) {
		c->bridges = bridges;
		rc = control_open(loop, dir, &owner, c, &c->control, why, why_bytes);
	}
	if (rc) {
		free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void bridge_control_close(struct bridge_control *c)
{
	if (!c)
		return;
	control_close(c->control);
	free(c);
}
