/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bridge's worker from OPEN to STOPPED (bridge-worker.h).
 *
 * Hides: the supervisor's numbers for ports, the order of opening and of giving
 * up privileges. Must not know: XenStore, slots.
 *
 * While there is work, rings are looked at and event channels stay masked: a busy
 * guest costs no system call for an event. On the way to sleep they are unmasked,
 * and an event that came meanwhile is delivered then.
 */
#include "bridge-worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bridge.h"
#include "bridge-capture.h"
#include "cycles.h"
#include "evloop.h"
#include "flip.h"
#include "grant.h"
#include "sandbox.h"
#include "spin.h"

#define MAX_FDS 4096u
/* A bridge that is never idle looks at its descriptors after so many microseconds. */
#define LOOK_US 100u
#define FLIP_ANSWER_S 5
/*
 * XSA-332: an event channel that brings nothing so many times in a row is heard once in so
 * long a time, until it brings something. Others are heard as before.
 */
#define SPURIOUS_FREE 16u
#define SPURIOUS_DELAY_US 16000u

struct member {
	struct member *next;
	uint32_t id;			/* the supervisor's */
	uint32_t port;			/* the switch's */
	struct bridge *bridge;
	int fd;				/* an uplink's */
	struct evsource *source;	/* on it */
	struct log_peer log;
};

/* An event channel that stays masked for a while. */
struct held {
	evtchn_port_t port;
	uint64_t until_us;
};

struct bridge {
	int sock;
	char name[VIF_NAME_BYTES];
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	struct grant_own own, flip_pages;
	int flip_sock;			/* the flip helper's; -1: none */
	struct netback *nb;
	struct member *members;
	struct bridge_captures captures;
	struct evloop *loop;
	struct evsource *events, *timer;
	uint64_t timer_us;		/* when it runs out, about; 0: it does not run */
	struct spin spin;
	uint64_t cycles_per_us, looked_cycles;
	uint64_t clock_us, clock_cycles, last_us;	/* see time_us() */
	evtchn_port_t *masked;
	uint32_t nr_masked, max_masked;
	struct held *held;		/* the first one's time is over first */
	uint32_t nr_held, max_held;
	bool stop;
};

/* ---- answers ------------------------------------------------------------------------- */

static void say(struct bridge *b, uint32_t type, uint32_t id)
{
	struct bridge_msg msg = { .version = BRIDGE_VERSION, .type = type, .port = id };

	bridge_send(b->sock, &msg, -1);	/* a supervisor that has gone is noticed by reading */
}

static void say_failure(struct bridge *b, uint32_t type, uint32_t id, int rc, const char *why)
{
	struct bridge_msg msg = { .version = BRIDGE_VERSION, .type = type, .port = id };

	msg.failure.err = -rc;
	msg.failure.by_peer = rc == -EPROTO;
	snprintf(msg.failure.reason, sizeof(msg.failure.reason), "%s", why);
	bridge_send(b->sock, &msg, -1);
}

/* ---- members ------------------------------------------------------------------------- */

static struct member *find(struct bridge *b, uint32_t id)
{
	for (struct member *m = b->members; m; m = m->next)
		if (m->id == id)
			return m;
	return NULL;
}

static struct member *new_member(struct bridge *b, uint32_t id)
{
	struct member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->bridge = b;
	m->id = id;
	m->fd = -1;
	m->next = b->members;
	b->members = m;
	return m;
}

static void free_member(struct bridge *b, struct member *m)
{
	struct member **at = &b->members;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	evloop_remove(m->source);
	close_fd(&m->fd);
	free(m);
}

static void add_vif(struct bridge *b, const struct bridge_msg *msg, int journal_fd,
		    int figures_fd)
{
	struct member *m = new_member(b, msg->port);
	struct netback_vif vif = {
		.domid = msg->vif.domid, .front = &msg->vif.front,
		.port = &msg->vif.port, .rate_bytes = msg->vif.rate.bytes,
		.rate_usec = msg->vif.rate.usec, .limit = &msg->vif.limit,
		.journal_fd = journal_fd, .figures_fd = figures_fd,
	};
	char why[200];
	int rc;

	if (!m) {
		say_failure(b, BRIDGE_REFUSED, msg->port, -ENOMEM, "out of memory");
		return;
	}
	log_peer_init(&m->log, "vif %u/%u", msg->vif.domid, msg->vif.devid);
	log_peer_first(&m->log, msg->vif.log_lines);
	vif.log = &m->log;
	rc = netback_add_vif(b->nb, &vif, &m->port, why, sizeof(why));
	if (rc) {
		say_failure(b, BRIDGE_REFUSED, msg->port, rc, why);
		free_member(b, m);
		return;
	}
	say(b, BRIDGE_ADDED, msg->port);
	if (msg->vif.front.rx_flip && !netback_flips(b->nb, m->port))
		say_failure(b, BRIDGE_FLIP_ENDED, msg->port, -EOPNOTSUPP,
			    "there are no pages to give now");
}

static void on_uplink(void *arg, uint32_t events)
{
	struct member *m = arg;

	(void)events;
	netback_uplink_ready(m->bridge->nb, m->port);
}

static void add_uplink(struct bridge *b, const struct bridge_msg *msg, int fd)
{
	struct member *m = new_member(b, msg->port);
	int rc = -ENOMEM;

	if (m) {
		m->fd = fd;
		log_peer_init(&m->log, "uplink %.31s", msg->uplink.name);
		rc = evloop_add_fd(b->loop, fd, EPOLLIN, on_uplink, m, &m->source);
	}
	if (!rc)
		rc = netback_add_uplink(b->nb, fd, msg->uplink.offloads, &msg->uplink.port,
					&m->log, &m->port);
	if (!rc) {
		say(b, BRIDGE_ADDED, msg->port);
		return;
	}
	say_failure(b, BRIDGE_REFUSED, msg->port, rc, strerror(-rc));
	if (m)
		free_member(b, m);
	else
		close_fd(&fd);
}

static void remove_member(struct bridge *b, struct member *m)
{
	bridge_capture_stop_port(&b->captures, m->port);
	netback_remove_port(b->nb, m->port);
	free_member(b, m);
}

/* Called inside a pass, so only noted; removed by the supervisor's REMOVE. */
static void on_broken(void *arg, uint32_t port, const char *why)
{
	struct bridge *b = arg;

	for (struct member *m = b->members; m; m = m->next)
		if (m->port == port)
			say_failure(b, BRIDGE_BROKEN, m->id, -EPROTO, why);
}

static void on_flip_ended(void *arg, uint32_t port, const char *why)
{
	struct bridge *b = arg;

	for (struct member *m = b->members; m; m = m->next)
		if (m->port == port)
			say_failure(b, BRIDGE_FLIP_ENDED, m->id, -EIO, why);
}

static void count(struct bridge *b, const struct bridge_msg *msg, const struct member *m)
{
	struct bridge_msg answer = { .version = BRIDGE_VERSION, .type = BRIDGE_COUNTED,
				     .port = msg->port };

	netback_stats(b->nb, &answer.counted.all);
	if (m)
		vswitch_counters(netback_switch(b->nb), m->port, &answer.counted.port);
	bridge_send(b->sock, &answer, -1);
}

struct listing {
	struct bridge *b;
	uint32_t nr;			/* in all */
	struct bridge_msg answer;
};

static int list_address(void *arg, const struct vswitch_address *a)
{
	struct listing *l = arg;
	struct bridge_listed *out = &l->answer.listed;
	const struct member *m = l->b->members;

	while (m && m->port != a->port)
		m = m->next;
	if (!m)
		return 0;
	if (out->nr == BRIDGE_LISTED_MAX) {
		bridge_send(l->b->sock, &l->answer, -1);
		out->nr = 0;
	}
	out->address[out->nr] = *a;
	out->address[out->nr++].port = m->id;
	return ++l->nr == BRIDGE_LIST_MAX;
}

static void list(struct bridge *b)
{
	struct listing l = { .b = b };

	l.answer.version = BRIDGE_VERSION;
	l.answer.type = BRIDGE_LISTED;
	l.answer.port = BRIDGE_ITSELF;
	vswitch_each_address(netback_switch(b->nb), now_ms(), list_address, &l);
	l.answer.listed.last = true;
	bridge_send(b->sock, &l.answer, -1);
}

/* ---- the supervisor -------------------------------------------------------------------- */

static void set_port(struct bridge *b, const struct bridge_msg *msg, struct member *m)
{
	int rc = netback_set_port(b->nb, m->port, &msg->set);

	if (rc)
		log_error("%s: its switch port was not changed: %s", m->log.who, strerror(-rc));
}

static void act_on_member(struct bridge *b, const struct bridge_msg *msg, struct member *m)
{
	switch (msg->type) {
	case BRIDGE_SET_PORT:
		set_port(b, msg, m);
		break;
	case BRIDGE_SET_RATE:
		if (netback_set_rate(b->nb, m->port, msg->rate.bytes, msg->rate.usec))
			log_error("%s: its rate cannot be kept", m->log.who);
		break;
	case BRIDGE_SET_LIMIT:
		netback_set_limit(b->nb, m->port, &msg->limit);
		break;
	case BRIDGE_SET_MULTICAST:
		netback_set_multicast_control(b->nb, m->port, msg->on);
		break;
	case BRIDGE_REMOVE:
		remove_member(b, m);
		say(b, BRIDGE_REMOVED, msg->port);
		break;
	}
}

static void capture(struct bridge *b, const struct bridge_msg *msg, const struct member *m,
		    int *fd)
{
	uint32_t port = m ? m->port : VSWITCH_PORTS_MAX;

	if (msg->port == BRIDGE_ITSELF)
		port = NETBACK_EVERY_PORT;
	bridge_capture_start(&b->captures, msg, port, fd);
}

/*
 * Waits for the answer, but not for ever; then without the socket, so that the helper does
 * not begin what nobody waits for (flip.h).
 */
static int transfer_pages(void *arg, const struct flip_batch *batch, struct flip_answer *out)
{
	struct bridge *b = arg;
	int rc = flip_send_batch(b->flip_sock, batch);

	if (!rc)
		rc = flip_receive_answer(b->flip_sock, out);
	if (!rc)
		return 0;
	log_error("%s: the flip helper does not answer: %s", b->name, strerror(-rc));
	close_fd(&b->flip_sock);
	return rc;
}

/* syscalls bridge: setsockopt */
static void take_flip(struct bridge *b, int *fd)
{
	const struct timeval limit = { .tv_sec = FLIP_ANSWER_S };
	const struct netback_flip flip = {
		.transfer = transfer_pages, .arg = b, .pages = &b->flip_pages,
	};

	if (*fd < 0 || !b->flip_pages.pages)
		return;
	close_fd(&b->flip_sock);
	b->flip_sock = *fd;
	*fd = -1;
	if (setsockopt(b->flip_sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    netback_set_flip(b->nb, &flip))
		log_error("%s: the flip helper cannot be used: %s", b->name, strerror(errno));
}

static void act(struct bridge *b, const struct bridge_msg *msg, int fd, int second)
{
	struct member *m = find(b, msg->port);

	switch (msg->type) {
	case BRIDGE_ADD_VIF:
		add_vif(b, msg, fd, second);
		break;
	case BRIDGE_ADD_UPLINK:
		add_uplink(b, msg, fd);
		return;
	case BRIDGE_CONFIGURE:
		vswitch_configure(netback_switch(b->nb), &msg->configure);
		break;
	case BRIDGE_COUNT:
		count(b, msg, m);
		break;
	case BRIDGE_LIST:
		list(b);
		break;
	case BRIDGE_CAPTURE:
		capture(b, msg, m, &fd);
		break;
	case BRIDGE_CAPTURE_STOP:
		bridge_capture_stop(&b->captures, msg->capture.number);
		break;
	case BRIDGE_FLIP:
		take_flip(b, &fd);
		break;
	case BRIDGE_STOP:
		b->stop = true;
		break;
	default:
		if (m)
			act_on_member(b, msg, m);
		else
			log_error("%s: the supervisor names port %u, which there is not",
				  b->name, msg->port);
	}
	close_fd(&fd);
}

static void hear_supervisor(void *arg, uint32_t events)
{
	struct bridge *b = arg;
	struct bridge_msg msg;
	int fd, second, rc = bridge_receive_two(b->sock, &msg, &fd, &second);

	/* Its end is behind what it has still sent, for which there is nobody any more. */
	if (rc == -EPIPE || events & EPOLLHUP) {
		b->stop = true;
		close_fd(&fd);
	} else if (rc) {
		log_error("%s: a message from the supervisor was refused: %s", b->name,
			  strerror(-rc));
	} else {
		act(b, &msg, fd, second);
	}
	close_fd(&second);
}

/* ---- events ------------------------------------------------------------------------------ */

/*
 * From the CPU's counter; in a PV domain a reading of the kernel's clock can be a system
 * call and more, and there are several for each time that we are woken.
 */
static uint64_t time_us(struct bridge *b)
{
	uint64_t now = spin_now_cycles(), us;

	/* Also when it jumps back, as between CPUs that disagree. */
	if (now - b->clock_cycles >= 1000 * b->cycles_per_us) {
		b->clock_us = now_ns() / 1000;
		b->clock_cycles = now;
	}
	us = b->clock_us + (now - b->clock_cycles) / b->cycles_per_us;
	if (us > b->last_us)
		b->last_us = us;
	return b->last_us;
}

/* False: no memory to remember it. */
static bool hold(struct bridge *b, evtchn_port_t port)
{
	if (b->nr_held == b->max_held) {
		uint32_t max = b->max_held ? 2 * b->max_held : 16;
		struct held *more = realloc(b->held, max * sizeof(*more));

		if (!more)
			return false;
		b->held = more;
		b->max_held = max;
	}
	b->held[b->nr_held++] = (struct held){ port, time_us(b) + SPURIOUS_DELAY_US };
	return true;
}

/* syscalls bridge: write */
static void release_held(struct bridge *b, uint64_t now_us)
{
	uint32_t nr = 0;

	while (nr < b->nr_held && b->held[nr].until_us <= now_us)
		xenevtchn_unmask(b->xce, b->held[nr++].port);
	if (!nr)
		return;
	b->nr_held -= nr;
	memmove(b->held, b->held + nr, b->nr_held * sizeof(*b->held));
}

/* syscalls bridge: read write */
static void take_event(void *arg, uint32_t events)
{
	struct bridge *b = arg;
	xenevtchn_port_or_error_t port = xenevtchn_pending(b->xce);
	uint32_t empty;

	(void)events;
	if (port < 0)
		return;
	empty = netback_event(b->nb, (evtchn_port_t)port);
	if (empty == SPURIOUS_FREE + 1)
		netback_complain(b->nb, (evtchn_port_t)port, "its event channel fires without "
				 "work: it is heard 60 times a second now, until it brings some");
	if (empty > SPURIOUS_FREE && hold(b, (evtchn_port_t)port))
		return;
	if (b->nr_masked == b->max_masked) {
		uint32_t max = b->max_masked ? 2 * b->max_masked : 64;
		evtchn_port_t *more = realloc(b->masked, max * sizeof(*more));

		if (!more) {	/* one event too many rather than one too few */
			xenevtchn_unmask(b->xce, (evtchn_port_t)port);
			return;
		}
		b->masked = more;
		b->max_masked = max;
	}
	b->masked[b->nr_masked++] = (evtchn_port_t)port;
}

/* syscalls bridge: write */
/* An unbound port is not there any more; unmasking it is refused, and that is all. */
static void unmask_all(struct bridge *b)
{
	for (uint32_t i = 0; i < b->nr_masked; i++)
		xenevtchn_unmask(b->xce, b->masked[i]);
	b->nr_masked = 0;
}

static void on_timer(void *arg, uint32_t events)
{
	struct bridge *b = arg;

	(void)events;
	b->timer_us = 0;
}

static void wait_for(struct bridge *b, int timeout_ms)
{
	bridge_capture_watch(&b->captures);
	evloop_turn(b->loop, timeout_ms);
}

/*
 * It may run out earlier and need starting again: what is waited for is mostly not
 * needed any more by then, and starting and stopping it each time would cost more.
 */
static void start_timer(struct bridge *b, int64_t after_us)
{
	uint64_t until = b->last_us + (uint64_t)after_us;

	if (after_us < 0 || (b->timer_us && b->timer_us <= until))
		return;
	evloop_set_timer_us(b->timer, (uint64_t)after_us);
	b->timer_us = until;
}

/* ---- the loop ------------------------------------------------------------------------------ */

static bool spin_for_work(struct bridge *b)
{
	uint32_t budget = spin_budget(&b->spin);
	uint64_t start = spin_now_cycles(), took = 0;

	while (took < budget) {
		if (netback_pending(b->nb)) {
			spin_hit(&b->spin, took);
			return true;
		}
		spin_pause();
		took = spin_now_cycles() - start;
	}
	if (budget)
		spin_miss(&b->spin);
	return false;
}

static void sleep_for_work(struct bridge *b)
{
	uint64_t now = time_us(b);

	unmask_all(b);
	release_held(b, now);
	/* The supervisor may have been heard since the loop asked. */
	if (b->stop || netback_final(b->nb))
		return;
	start_timer(b, netback_timeout_us(b->nb, now));
	if (b->nr_held)
		start_timer(b, (int64_t)(b->held[0].until_us - now));
	wait_for(b, -1);
	b->looked_cycles = spin_now_cycles();
}

static void look_around(struct bridge *b)
{
	uint64_t now = spin_now_cycles();

	if (now - b->looked_cycles < LOOK_US * b->cycles_per_us)
		return;
	b->looked_cycles = now;
	release_held(b, b->last_us);
	wait_for(b, 0);
}

static void run(struct bridge *b)
{
	uint64_t aged_us = time_us(b);

	while (!b->stop) {
		uint64_t now = time_us(b);

		look_around(b);
		if (now - aged_us >= 1000000) {
			vswitch_age(netback_switch(b->nb), now / 1000);
			aged_us = now;
		}
		netback_pass(b->nb, now);
		if (!netback_pending(b->nb) && !spin_for_work(b))
			sleep_for_work(b);
	}
	netback_leave(b->nb);
}

/* ---- from OPEN to STOPPED --------------------------------------------------------------------- */

/* syscalls start: fcntl */
static int open_loop(struct bridge *b)
{
	int rc = evloop_open(&b->loop);

	/* What was readable is not any more when its port has been unbound since. */
	if (!rc && fcntl(xenevtchn_fd(b->xce), F_SETFL, O_NONBLOCK))
		rc = -errno;
	if (!rc)
		rc = evloop_add_fd(b->loop, b->sock, EPOLLIN, hear_supervisor, b, NULL);
	if (!rc)
		rc = evloop_add_fd(b->loop, xenevtchn_fd(b->xce), EPOLLIN, take_event, b,
				   &b->events);
	if (!rc)
		rc = evloop_add_timer(b->loop, on_timer, b, &b->timer);
	b->captures.loop = b->loop;
	return rc;
}

/* syscalls start: openat */
static int open_bridge(struct bridge *b, const struct bridge_msg *msg, char *why, size_t bytes)
{
	struct netback_config cfg = {
		.sw = msg->open.sw, .broken = on_broken, .flip_ended = on_flip_ended, .arg = b,
	};
	int rc = grant_open(&b->xgt);

	snprintf(b->name, sizeof(b->name), "%.*s", (int)sizeof(b->name) - 1, msg->open.name);
	if (rc) {
		snprintf(why, bytes, "cannot open the grant device: %s", strerror(-rc));
		return rc;
	}
	b->xce = xenevtchn_open(NULL, 0);
	if (!b->xce) {
		rc = errno ? -errno : -EIO;
		snprintf(why, bytes, "cannot open the event channel device: %s", strerror(-rc));
		return rc;
	}
	rc = open_loop(b);
	if (rc) {
		snprintf(why, bytes, "cannot watch descriptors: %s", strerror(-rc));
		return rc;
	}
	cfg.xgt = b->xgt;
	cfg.xce = b->xce;
	/* Without them it is slower, on some hosts. One is found where all are not. */
	if (!grant_own_open(&b->own, msg->open.domid, NETBACK_OWN_PAGES))
		cfg.own = cfg.room = &b->own;
	else if (!grant_own_open(&b->own, msg->open.domid, 1))
		cfg.room = &b->own;
	if (msg->open.page_flip) {
		rc = grant_own_open(&b->flip_pages, msg->open.domid, NETBACK_FLIP_PAGES);
		if (rc)
			log_error("%s: no page flip: %u pages cannot be granted to ourselves: %s",
				  b->name, NETBACK_FLIP_PAGES, strerror(-rc));
	}
	b->cycles_per_us = cfg.cycles_per_us = measure_cycles_per_us();
	rc = netback_open(&cfg, &b->nb);
	b->captures.nb = b->nb;
	if (rc)
		snprintf(why, bytes, "no switch: %s", strerror(-rc));
	spin_init(&b->spin, (uint32_t)(msg->open.poll_us * b->cycles_per_us));
	return rc;
}

/* syscalls bridge: close */
static void close_bridge(struct bridge *b)
{
	bridge_capture_stop_all(&b->captures);
	while (b->members) {
		struct member *m = b->members;

		netback_remove_port(b->nb, m->port);
		free_member(b, m);
	}
	netback_close(b->nb);
	grant_own_close(&b->own);
	grant_own_close(&b->flip_pages);
	close_fd(&b->flip_sock);
	evloop_close(b->loop);
	if (b->xce)
		xenevtchn_close(b->xce);
	if (b->xgt)
		xengnttab_close(b->xgt);
	free(b->masked);
	free(b->held);
}

/* syscalls start: rt_sigaction */
int bridge_worker(int sock, const struct sandbox *sandbox)
{
	struct bridge b = { .sock = sock, .captures.sock = sock, .flip_sock = -1 };
	char why[200] = "the supervisor did not begin with OPEN";
	struct bridge_msg msg;
	int fd = -1, rc = bridge_receive(sock, &msg, &fd);

	close_fd(&fd);
	signal(SIGPIPE, SIG_IGN);	/* a capture's reader may go at any time */
	if (!rc)
		rc = msg.type == BRIDGE_OPEN ? open_bridge(&b, &msg, why, sizeof(why)) : -EPROTO;
	if (!rc) {
		rc = sandbox_write_no_files();
		if (!rc)
			rc = sandbox_before_loop(sandbox, MAX_FDS);
		if (!rc)
			rc = sandbox_final(sandbox, &sandbox_bridge, sock);
		snprintf(why, sizeof(why), "privileges cannot be dropped, or system calls "
			 "restricted (--seccomp=off goes without): %s", strerror(-rc));
	}
	if (rc) {
		say_failure(&b, BRIDGE_REFUSED, BRIDGE_ITSELF, rc, why);
		close_bridge(&b);
		return EXIT_FAILURE;
	}
	say(&b, BRIDGE_READY, BRIDGE_ITSELF);
	run(&b);
	close_bridge(&b);
	say(&b, BRIDGE_STOPPED, BRIDGE_ITSELF);
	return EXIT_SUCCESS;
}
