/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evloop.c: descriptors, timers, signals, and removal in the middle of a turn.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "evloop.h"
#include "unit.h"

#define GENEROUS_MS 20000

struct probe {
	struct evloop *loop;
	struct evsource *src, *other;
	int fd;
	unsigned ran;
	uint32_t events;
	bool stopped;
};

static void probe_open(struct probe *p, struct evloop *loop, evloop_fn *fn)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	UNIT_EQ(evloop_add_fd(loop, p->fd, EPOLLIN, fn, p, &p->src), 0);
}

static void probe_close(struct probe *p)
{
	evloop_remove(p->src);
	close(p->fd);
}

static void on_event(void *arg, uint32_t events)
{
	struct probe *p = arg;

	p->ran++;
	p->events = events;
}

static void on_event_remove_self(void *arg, uint32_t events)
{
	struct probe *p = arg;

	on_event(arg, events);
	evloop_remove(p->src);
	p->src = NULL;
}

static void on_event_remove_other(void *arg, uint32_t events)
{
	struct probe *p = arg;

	on_event(arg, events);
	evloop_remove(p->other);
	p->other = NULL;
}

static void test_fd(void)
{
	struct evloop *loop;
	struct probe p;
	uint64_t v;

	UNIT_NEED(!evloop_open(&loop));
	probe_open(&p, loop, on_event);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(p.ran, 1);
	UNIT_EQ(p.events, EPOLLIN);
	UNIT_EQ(evloop_turn(loop, 0), 1);	/* still readable */
	UNIT_EQ(read(p.fd, &v, sizeof(v)), sizeof(v));
	UNIT_EQ(evloop_turn(loop, 0), 0);
	UNIT_EQ(evloop_set_events(p.src, EPOLLOUT), 0);
	UNIT_EQ(evloop_turn(loop, 0), 1);
	UNIT_EQ(p.events, EPOLLOUT);
	UNIT_EQ(evloop_set_events(p.src, 0), 0);
	UNIT_EQ(evloop_turn(loop, 0), 0);
	probe_close(&p);
	evloop_close(loop);
	evloop_close(NULL);
	evloop_remove(NULL);
}

static void test_bad_fd(void)
{
	struct evloop *loop;
	struct evsource *src;

	UNIT_NEED(!evloop_open(&loop));
	UNIT_EQ(evloop_add_fd(loop, -1, EPOLLIN, on_event, NULL, &src), -EBADF);
	evloop_close(loop);
}

static void test_remove_self(void)
{
	struct evloop *loop;
	struct probe p;

	UNIT_NEED(!evloop_open(&loop));
	probe_open(&p, loop, on_event_remove_self);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(evloop_turn(loop, 0), 0);
	UNIT_EQ(p.ran, 1);
	probe_close(&p);
	evloop_close(loop);
}

/* Both are ready in one turn; whoever comes first removes the other. */
static void test_remove_other_in_turn(void)
{
	struct probe a, b;
	struct evloop *loop;

	UNIT_NEED(!evloop_open(&loop));
	probe_open(&a, loop, on_event_remove_other);
	probe_open(&b, loop, on_event_remove_other);
	a.other = b.src;
	b.other = a.src;
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(a.ran + b.ran, 1);
	/* The survivor goes on; the removed one stays silent. */
	UNIT_EQ(evloop_turn(loop, 0), 1);
	UNIT_EQ(a.ran * b.ran, 0);
	if (a.ran)
		b.src = NULL;
	else
		a.src = NULL;
	probe_close(&a);
	probe_close(&b);
	evloop_close(loop);
}

static void on_event_replace(void *arg, uint32_t events)
{
	struct probe *p = arg;

	on_event(arg, events);
	evloop_remove(p->src);
	UNIT_EQ(evloop_add_fd(p->loop, p->fd, EPOLLIN, on_event, p, &p->src), 0);
}

static void test_replace_in_callback(void)
{
	struct evloop *loop;
	struct probe p;

	UNIT_NEED(!evloop_open(&loop));
	probe_open(&p, loop, on_event_replace);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(p.ran, 2);
	probe_close(&p);
	evloop_close(loop);
}

static void test_timer(void)
{
	struct probe p = { 0 };
	struct evloop *loop;

	UNIT_NEED(!evloop_open(&loop));
	UNIT_EQ(evloop_add_timer(loop, on_event, &p, &p.src), 0);
	UNIT_EQ(evloop_turn(loop, 30), 0);	/* not started */
	UNIT_EQ(evloop_set_timer(p.src, 0, 0), 0);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(evloop_turn(loop, 30), 0);	/* once */
	UNIT_EQ(evloop_set_timer(p.src, 1, 1), 0);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(evloop_set_timer(p.src, -1, 0), 0);
	UNIT_EQ(evloop_turn(loop, 30), 0);	/* stopped */
	UNIT_EQ(evloop_set_timer(p.src, 3600 * 1000, 0), 0);
	UNIT_EQ(evloop_turn(loop, 30), 0);
	for (uint64_t us = 0; us < 3000; us += 999) {
		UNIT_EQ(evloop_set_timer_us(p.src, us), 0);
		UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
		UNIT_EQ(evloop_turn(loop, 30), 0);	/* once */
	}
	UNIT_EQ(evloop_set_timer_us(p.src, 3600 * 1000000ull), 0);
	UNIT_EQ(evloop_turn(loop, 30), 0);
	UNIT_EQ(p.ran, 3 + 4);
	evloop_close(loop);
}

static void on_event_stop_timer(void *arg, uint32_t events)
{
	struct probe *p = arg;

	on_event(arg, events);
	p->stopped = true;
	UNIT_EQ(evloop_set_timer(p->other, -1, 0), 0);
}

static void on_timer_not_stopped(void *arg, uint32_t events)
{
	struct probe *p = arg;

	(void)events;
	UNIT_OK(!p->stopped);
}

/* A timer that has run out is stopped by a callback of the same turn. */
static void test_timer_stopped_in_turn(void)
{
	struct evloop *loop;
	struct probe p;

	UNIT_NEED(!evloop_open(&loop));
	probe_open(&p, loop, on_event_stop_timer);
	UNIT_EQ(evloop_add_timer(loop, on_timer_not_stopped, &p, &p.other), 0);
	UNIT_EQ(evloop_set_timer(p.other, 0, 0), 0);
	usleep(2000);
	/* Either may come first, but stopped means stopped. */
	UNIT_OK(evloop_turn(loop, GENEROUS_MS) >= 1);
	UNIT_EQ(p.ran, 1);
	UNIT_EQ(evloop_set_events(p.src, 0), 0);
	UNIT_EQ(evloop_turn(loop, 30), 0);
	probe_close(&p);
	evloop_close(loop);
}

static void test_signal(void)
{
	struct probe p = { 0 };
	struct evloop *loop;
	sigset_t set;

	UNIT_NEED(!evloop_open(&loop));
	UNIT_EQ(evloop_add_signal(loop, SIGUSR1, on_event, &p, &p.src), 0);
	UNIT_EQ(evloop_turn(loop, 0), 0);
	kill(getpid(), SIGUSR1);
	UNIT_EQ(evloop_turn(loop, GENEROUS_MS), 1);
	UNIT_EQ(p.events, SIGUSR1);
	UNIT_EQ(evloop_turn(loop, 0), 0);
	evloop_close(loop);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void on_event_stop(void *arg, uint32_t events)
{
	struct probe *p = arg;

	on_event(arg, events);
	if (p->ran == 5)
		evloop_stop(p->loop);
}

static void test_run_and_stop(void)
{
	struct evloop *loop;
	struct probe p;

	UNIT_NEED(!evloop_open(&loop));
	probe_open(&p, loop, on_event_stop);
	UNIT_EQ(evloop_run(loop), 0);
	UNIT_EQ(p.ran, 5);
	probe_close(&p);
	evloop_close(loop);
}

static void test_many(void)
{
	struct probe p[100];
	struct evloop *loop;
	unsigned ran = 0, i;
	int turns;

	UNIT_NEED(!evloop_open(&loop));
	for (i = 0; i < UNIT_LEN(p); i++)
		probe_open(&p[i], loop, on_event_remove_self);
	for (turns = 0; turns < 100 && evloop_turn(loop, 0) > 0; turns++)
		;
	for (i = 0; i < UNIT_LEN(p); i++) {
		ran += p[i].ran;
		close(p[i].fd);
	}
	UNIT_EQ(ran, 100);
	evloop_close(loop);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a descriptor while it is ready", test_fd },
		{ "a descriptor that is none", test_bad_fd },
		{ "a callback removes itself", test_remove_self },
		{ "a callback removes one that is ready too", test_remove_other_in_turn },
		{ "a callback replaces itself", test_replace_in_callback },
		{ "timers: at once, once, again, stopped", test_timer },
		{ "a timer stopped in the turn it ran out", test_timer_stopped_in_turn },
		{ "signals", test_signal },
		{ "run until stopped", test_run_and_stop },
		{ "a hundred sources", test_many },
	};

	return unit_run("evloop", tests, UNIT_LEN(tests));
}
