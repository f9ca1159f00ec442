/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bridges and their workers (bridge-serve.h).
 *
 * Hides: the life of a worker process, which answer is whose. Must not know: the
 * data path, XenStore.
 */
#include "bridge-serve-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "flip-serve.h"
#include "process.h"
#include "switch-config.h"
#include "util.h"

#define MAX_PORTS VSWITCH_PORTS_MAX
#define MAX_ADDRESSES 8192u
#define TELL_AGAIN_MS 5

/* ---- messages ----------------------------------------------------------------------- */

struct bridge_msg bridge_message(uint32_t type, uint32_t id)
{
	struct bridge_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.version = BRIDGE_VERSION;
	msg.type = type;
	msg.port = id;
	return msg;
}

/* Its ports go on with a successor, as after any crash. */
static void kill_worker(struct bridge *b, const char *why)
{
	log_error("bridge %s: its worker %s, and is killed", b->name, why);
	process_kill(b->process);
}

struct held_message {
	struct held_message *next;
	struct bridge_msg msg;
	int fd, second;
};

static void free_first_held(struct bridge *b)
{
	struct held_message *held = b->held;

	b->held = held->next;
	if (!b->held)
		b->held_end = &b->held;
	close_fd(&held->fd);
	close_fd(&held->second);
	free(held);
}

static void free_held(struct bridge *b)
{
	while (b->held)
		free_first_held(b);
}

/* -1 of -1. */
static int copy_of(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* For after the former worker's end: its rings are not ours before. */
static int hold(struct bridge *b, const struct bridge_msg *msg, int fd, int second)
{
	struct held_message *held = calloc(1, sizeof(*held));
	int err;

	if (!held)
		return -ENOMEM;
	held->msg = *msg;
	held->fd = copy_of(fd);
	held->second = copy_of(second);
	if ((fd >= 0 && held->fd < 0) || (second >= 0 && held->second < 0)) {
		err = -errno;
		close_fd(&held->fd);
		close_fd(&held->second);
		free(held);
		return err;
	}
	*b->held_end = held;
	b->held_end = &held->next;
	return 0;
}

/* A worker takes hundreds of ports more slowly than they are told: the rest waits for it. */
void bridge_tell_held(struct bridge *b)
{
	while (b->held) {
		if (bridge_send_two(process_sock(b->process), &b->held->msg, b->held->fd,
				    b->held->second) == -EAGAIN) {
			evloop_set_timer(b->tell, TELL_AGAIN_MS, 0);
			return;
		}
		free_first_held(b);
	}
}

static void on_tell(void *arg, uint32_t events)
{
	(void)events;
	bridge_tell_held(arg);
}

static int tell_two(struct bridge *b, const struct bridge_msg *msg, int fd, int second)
{
	int rc;

	if (b->former || b->held)
		return hold(b, msg, fd, second);
	rc = bridge_send_two(process_sock(b->process), msg, fd, second);

	if (rc == -EAGAIN) {
		kill_worker(b, "does not read what it is told");
		return -EPIPE;
	}
	if (rc && rc != -EPIPE)
		log_error("bridge %s: its worker cannot be told: %s", b->name, strerror(-rc));
	return rc;
}

int bridge_tell(struct bridge *b, const struct bridge_msg *msg, int fd)
{
	return tell_two(b, msg, fd, -1);
}

static void tell_port(struct bridge_port *p, uint32_t type)
{
	struct bridge_msg msg = bridge_message(type, p->id);

	bridge_tell(p->bridge, &msg, -1);
}

/* ---- ports -------------------------------------------------------------------------- */

struct bridge_port *bridge_find_port(struct bridge *b, uint32_t id)
{
	for (struct bridge_port *p = b->ports; p; p = p->next)
		if (p->id == id)
			return p;
	return NULL;
}

static void unlink_port(struct bridge_port *p)
{
	struct bridge_port **at = &p->bridge->ports;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->bridge = NULL;
}

static bool anyone_leaves(const struct bridge *b)
{
	for (const struct bridge_port *p = b->ports; p; p = p->next)
		if (p->leaving)
			return true;
	return false;
}

/* The last word about a port; it is not the bridge's any more. */
static void let_go(struct bridge_port *p, const struct failure *why)
{
	struct bridge *b = p->bridge;
	struct failure last;

	if (why) {	/* perhaps the port's own, which is freed in there */
		last = *why;
		why = &last;
	}
	unlink_port(p);
	if (!anyone_leaves(b))
		evloop_set_timer(b->overdue, -1, 0);
	if (p->events)
		p->events->gone(p->arg, why);
	else
		free(p);
}

void bridge_port_leave(struct bridge_port *p)
{
	struct bridge *b = p->bridge;

	if (!b || p->leaving)
		return;
	if (!anyone_leaves(b))
		evloop_set_timer(b->overdue, b->all->env.config->stop_ms, 0);
	p->leaving = true;
	tell_port(p, BRIDGE_REMOVE);
}

void bridge_port_free(struct bridge_port *p)
{
	if (!p)
		return;
	p->events = NULL;
	if (p->bridge)
		bridge_port_leave(p);
	else
		free(p);
}

void bridge_port_set(struct bridge_port *p, const struct vswitch_port_config *cfg)
{
	struct bridge_msg msg = bridge_message(BRIDGE_SET_PORT, p->id);

	msg.set = *cfg;
	p->info.port = *cfg;
	if (p->bridge)
		bridge_tell(p->bridge, &msg, -1);
}

void bridge_port_set_rate(struct bridge_port *p, const struct bridge_rate *rate)
{
	struct bridge_msg msg = bridge_message(BRIDGE_SET_RATE, p->id);

	msg.rate = *rate;
	p->info.rate = *rate;
	if (p->bridge)
		bridge_tell(p->bridge, &msg, -1);
}

void bridge_port_set_limit(struct bridge_port *p, const struct limit *limit)
{
	struct bridge_msg msg = bridge_message(BRIDGE_SET_LIMIT, p->id);

	msg.limit = *limit;
	if (p->bridge)
		bridge_tell(p->bridge, &msg, -1);
}

void bridge_port_set_multicast(struct bridge_port *p, bool on)
{
	struct bridge_msg msg = bridge_message(BRIDGE_SET_MULTICAST, p->id);

	msg.on = on;
	if (p->bridge)
		bridge_tell(p->bridge, &msg, -1);
}

bool bridges_find_owner(struct bridges *all, const char *name, const uint8_t *mac,
			struct bridge_vif_name *out)
{
	const struct bridge *b = bridges_find(all, name);

	for (const struct bridge_port *p = b ? b->ports : NULL; p; p = p->next)
		if (!p->info.is_uplink && !p->info.port.any_source &&
		    !memcmp(p->info.port.mac, mac, sizeof(p->info.port.mac))) {
			out->domid = p->info.domid;
			out->devid = p->info.devid;
			return true;
		}
	return false;
}

bool bridge_port_fell(const struct bridge_port *p)
{
	return p->fell;
}

bool bridge_port_is_over(const struct bridge_port *p)
{
	return !p->bridge || p->bridge->stopping;
}

pid_t bridge_port_pid(const struct bridge_port *p)
{
	return p->bridge ? process_pid(p->bridge->process) : 0;
}

const char *bridge_port_sandbox(const struct bridge_port *p)
{
	return p->bridge ? process_sandbox(p->bridge->process) : "";
}

/* ---- a bridge's end ------------------------------------------------------------------ */

static void free_bridge(struct bridge *b)
{
	struct bridge **at = &b->all->bridges;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	bridge_drop_questions(b);
	bridge_former_leave(b);
	free_held(b);
	process_free(b->process);
	evloop_remove(b->overdue);
	evloop_remove(b->tell);
	free(b);
}

static void stop_if_empty(struct bridge *b)
{
	if (b->ports || b->stopping)
		return;
	b->stopping = true;
	bridge_tell(b, &(struct bridge_msg){ .version = BRIDGE_VERSION, .type = BRIDGE_STOP,
				      .port = BRIDGE_ITSELF }, -1);
	process_stopping(b->process);
}

static void on_ended(void *arg, bool killed, const char *how)
{
	struct bridge *b = arg;
	struct bridges *all = b->all;
	struct failure why = b->failure;
	struct bridge_port *p;

	b->stopping = true;	/* who joins anew from in here joins its successor */
	if (!why.err) {
		why.err = EOWNERDEAD;
		snprintf(why.reason, sizeof(why.reason), "bridge %s: the worker %s%s", b->name, how,
			 killed ? ", since it did not answer in time" : "");
	}
	if (b->ports) {
		log_error("%s", why.reason);
		takeover_return(all->env.config->takeover, why.reason);
	} else
		log_debug("bridge %s: its worker has ended", b->name);
	bridge_end_questions(b, &why);
	bridge_former_leave(b);
	/* Its rings are unmapped by its end, so for a port that leaves all is well. */
	while ((p = b->ports)) {
		p->fell = true;
		let_go(p, p->is_broken ? &p->failure : p->leaving ? NULL : &why);
	}
	free_bridge(b);
	all->env.changed(all->env.arg);
}

static void on_overdue(void *arg, uint32_t events)
{
	struct bridge *b = arg;

	(void)events;
	kill_worker(b, "does not answer");
}

/* ---- answers -------------------------------------------------------------------------- */

static void take_port_message(struct bridge *b, struct bridge_port *p,
			      const struct bridge_msg *msg)
{
	switch (msg->type) {
	case BRIDGE_ADDED:
		/* Once, whatever the worker says. */
		if (p->info.is_added)
			break;
		p->info.is_added = true;
		if (p->events && !p->leaving)
			p->events->added(p->arg);
		break;
	case BRIDGE_BROKEN:
		p->is_broken = true;
		p->failure = msg->failure;
		bridge_port_leave(p);
		break;
	case BRIDGE_FLIP_ENDED:
		/* Once, and not of an uplink, whatever the worker says: it costs a write. */
		if (p->events && p->events->flip_ended && !p->leaving && !p->flip_ended)
			p->events->flip_ended(p->arg, &msg->failure);
		p->flip_ended = true;
		break;
	case BRIDGE_REFUSED:
		/* Who is let go may join again at once: not as fast as a worker says so. */
		if (p->info.is_added) {
			kill_worker(b, "refuses whom it has added");
			break;
		}
		let_go(p, &msg->failure);
		stop_if_empty(b);
		break;
	case BRIDGE_REMOVED:
		if (!p->leaving) {
			kill_worker(b, "has removed whom it was not to");
			break;
		}
		let_go(p, p->is_broken ? &p->failure : NULL);
		stop_if_empty(b);
		break;
	}
}

static void take_message(struct bridge *b, struct bridge_msg *msg)
{
	struct bridge_port *p;

	if (bridge_take_answer(b, msg))
		return;
	if (msg->type == BRIDGE_REFUSED || msg->type == BRIDGE_BROKEN ||
	    msg->type == BRIDGE_FLIP_ENDED)
		msg->failure.reason[sizeof(msg->failure.reason) - 1] = '\0';
	if (msg->port == BRIDGE_ITSELF) {
		if (msg->type == BRIDGE_REFUSED)
			b->failure = msg->failure;
		else if (msg->type == BRIDGE_READY)
			bridge_former_hang_up(b);
		return;
	}
	p = bridge_find_port(b, msg->port);
	if (p)
		take_port_message(b, p, msg);
}

static bool on_heard(void *arg, int sock)
{
	struct bridge *b = arg;
	struct bridge_msg msg;
	int fd = -1, rc = bridge_receive(sock, &msg, &fd);

	close_fd(&fd);
	if (!rc) {
		take_message(b, &msg);
		return true;
	}
	if (rc != -EPROTO) {
		process_stopping(b->process);
		return false;
	}
	kill_worker(b, "sent what is no message");
	return true;
}

static const struct process_events process_events = {
	.heard = on_heard,
	.ended = on_ended,
};

/* ---- a bridge's begin ------------------------------------------------------------------ */

static struct bridge_times *find_times(const struct bridges *all, const char *name)
{
	for (struct bridge_times *t = all->times; t; t = t->next)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

static struct vswitch_config switch_of(const struct bridges *all, const char *name)
{
	const struct bridge_times *t = find_times(all, name);

	return (struct vswitch_config){
		.max_ports = MAX_PORTS, .max_addresses = MAX_ADDRESSES,
		.ageing_ms = t ? t->ageing_ms : SWITCH_AGEING_MS,
		.move_ms = t ? t->move_ms : SWITCH_MOVE_MS,
	};
}

/* One that is stopping cannot be joined any more; its successor has the same name. */
struct bridge *bridges_find(struct bridges *all, const char *name)
{
	for (struct bridge *b = all->bridges; b; b = b->next)
		if (!b->stopping && !strcmp(b->name, name))
			return b;
	return NULL;
}

/* To the helper, if there is one now. */
static void introduce(struct bridge *b)
{
	const struct bridge_msg msg = bridge_message(BRIDGE_FLIP, BRIDGE_ITSELF);
	autoclose int sock = -1;
	int rc;

	if (!flip_helper_ready(b->all->env.flip))
		return;
	rc = flip_helper_connect(b->all->env.flip, &sock);
	if (rc)
		log_error("bridge %s: the flip helper cannot be reached: %s", b->name, strerror(-rc));
	else
		bridge_tell(b, &msg, sock);
}

void bridges_flip_ready(struct bridges *all)
{
	for (struct bridge *b = all->bridges; b; b = b->next)
		if (!b->stopping)
			introduce(b);
}

static int start(struct bridge *b)
{
	const struct backend_config *config = b->all->env.config;
	char title[BRIDGE_TITLE_BYTES];
	const struct process_options o = {
		.program = config->program, .name = config->name, .title = title,
		.log_level = config->log_level, .stop_ms = config->stop_ms,
		.user = config->user, .seccomp = config->seccomp,
	};
	struct bridge_msg msg = bridge_message(BRIDGE_OPEN, BRIDGE_ITSELF);
	int rc;

	bridge_title(b->name, title);
	snprintf(msg.open.name, sizeof(msg.open.name), "%s", b->name);
	msg.open.sw = switch_of(b->all, b->name);
	msg.open.poll_us = b->all->env.poll_us;
	msg.open.domid = b->all->env.domid;
	msg.open.page_flip = b->all->env.flip != NULL;
	rc = process_open(b->all->env.loop, &o, &process_events, b, &b->process);
	if (!rc)
		rc = bridge_tell(b, &msg, -1);
	if (!rc)
		introduce(b);
	if (!rc)
		rc = process_start(b->process, &o);
	return rc;
}

static int new_bridge(struct bridges *all, const char *name, struct bridge **out)
{
	struct bridge *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return -ENOMEM;
	b->all = all;
	b->next = all->bridges;
	all->bridges = b;
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->held_end = &b->held;
	rc = evloop_add_timer(all->env.loop, on_overdue, b, &b->overdue);
	if (!rc)
		rc = evloop_add_timer(all->env.loop, on_tell, b, &b->tell);
	if (!rc)
		rc = start(b);
	if (!rc)
		rc = bridge_former_adopt(b);
	if (rc) {
		free_bridge(b);
		return rc;
	}
	log_debug("bridge %s: worker %d", b->name, (int)process_pid(b->process));
	*out = b;
	return 0;
}

/* ---- joining ----------------------------------------------------------------------------- */

static void describe(struct bridge_port *p, const struct bridge_msg *msg)
{
	p->info = (struct bridge_port_info){ .id = p->id };
	if (msg->type == BRIDGE_ADD_UPLINK) {
		p->info.is_uplink = true;
		memcpy(p->info.name, msg->uplink.name, sizeof(p->info.name));
		p->info.port = msg->uplink.port;
	} else {
		p->info.domid = msg->vif.domid;
		p->info.devid = msg->vif.devid;
		p->info.port = msg->vif.port;
		p->info.rate = msg->vif.rate;
	}
}

static int join(struct bridges *all, const char *name, struct bridge_msg *msg, int fd,
		int second, const struct bridge_port_events *events, void *arg, struct bridge_port **out)
{
	struct bridge_port *p = calloc(1, sizeof(*p));
	struct bridge *b = bridges_find(all, name);
	int rc = 0;

	if (!p)
		return -ENOMEM;
	if (!b)
		rc = new_bridge(all, name, &b);
	if (!rc) {
		p->id = msg->port = all->next_id++ & INT32_MAX;
		rc = tell_two(b, msg, fd, second);
		if (rc == -EPIPE)	/* it has ended, and says why to all its ports, this too */
			rc = 0;
		else if (rc)
			stop_if_empty(b);
	}
	if (rc) {
		free(p);
		return rc;
	}
	describe(p, msg);
	p->bridge = b;
	p->events = events;
	p->arg = arg;
	p->next = b->ports;
	b->ports = p;
	*out = p;
	return 0;
}

int bridges_join(struct bridges *all, const char *name, const struct bridge_vif *vif,
		 int journal_fd, int figures_fd, const struct bridge_port_events *events,
		 void *arg, struct bridge_port **out)
{
	struct bridge_msg msg = bridge_message(BRIDGE_ADD_VIF, 0);

	msg.vif = *vif;
	return join(all, name, &msg, journal_fd, figures_fd, events, arg, out);
}

int bridges_join_uplink(struct bridges *all, const char *name, const struct bridge_uplink *up,
			int fd, const struct bridge_port_events *events, void *arg,
			struct bridge_port **out)
{
	struct bridge_msg msg = bridge_message(BRIDGE_ADD_UPLINK, 0);

	msg.uplink = *up;
	return join(all, name, &msg, fd, -1, events, arg, out);
}

/* ---- all of them ---------------------------------------------------------------------------- */

void bridges_configure(struct bridges *all, const char *name, uint32_t ageing_ms,
		       uint32_t move_ms)
{
	struct bridge_times *t = find_times(all, name);
	struct bridge_msg msg = bridge_message(BRIDGE_CONFIGURE, BRIDGE_ITSELF);
	struct bridge *b = bridges_find(all, name);

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t) {
			log_error("bridge %s: out of memory", name);
			return;
		}
		snprintf(t->name, sizeof(t->name), "%s", name);
		t->next = all->times;
		all->times = t;
	}
	t->ageing_ms = ageing_ms;
	t->move_ms = move_ms;
	msg.configure = switch_of(all, name);
	if (b)
		bridge_tell(b, &msg, -1);
}

static bool is_settled(const struct bridge *b)
{
	for (const struct bridge_port *p = b->ports; p; p = p->next)
		if (p->leaving || !p->info.is_added)
			return false;
	return !b->stopping && !b->former && !b->held;
}

const char *bridges_unsettled(const struct bridges *all)
{
	for (const struct bridge *b = all->bridges; b; b = b->next)
		if (!is_settled(b))
			return b->name;
	return NULL;
}

int bridges_hand_over(const struct bridges *all, struct takeover *t)
{
	char title[BRIDGE_TITLE_BYTES];
	int rc = 0;

	for (const struct bridge *b = all->bridges; b && !rc; b = b->next) {
		bridge_title(b->name, title);
		rc = takeover_add(t, TAKEOVER_WORKER, title, process_pid(b->process),
				  process_sock(b->process));
	}
	return rc;
}

struct takeover *bridges_takeover(const struct bridges *b)
{
	return b->env.config->takeover;
}

bool bridges_is_idle(const struct bridges *b)
{
	return !b->bridges;
}

int bridges_open(const struct bridges_env *env, struct bridges **out)
{
	struct bridges *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->env = *env;
	b->next_id = 1;
	*out = b;
	return 0;
}

void bridges_close(struct bridges *all)
{
	struct bridge_times *t;

	if (!all)
		return;
	while (all->bridges) {
		struct bridge *b = all->bridges;

		/* Their owners are gone already, or free them after this. */
		while (b->ports) {
			struct bridge_port *p = b->ports;

			unlink_port(p);
			if (!p->events)
				free(p);
		}
		free_bridge(b);
	}
	bridge_formers_close(all);
	while ((t = all->times)) {
		all->times = t->next;
		free(t);
	}
	free(all);
}
