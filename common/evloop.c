/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One event loop per thread, on epoll.
 *
 * Hides: epoll, timerfd, signalfd, and how a source may be removed while the
 * events that epoll returned with it are still being worked off. Must not
 * know: what the descriptors are.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "evloop.h"

#define EVLOOP_BATCH 32

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL };

struct evsource {
	struct evloop *loop;
	struct evsource *prev, *next;	/* live ones; the dead use next alone */
	enum source_kind kind;
	int fd;
	bool dead;
	evloop_fn *fn;
	void *arg;
};

struct evloop {
	int epoll_fd;
	bool stop;
	bool in_turn;
	struct evsource *live;
	struct evsource *dead;		/* freed when the turn's events are done */
};

/* syscalls start: epoll_create1 */
int evloop_open(struct evloop **out)
{
	struct evloop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		rc = -errno;
		free(loop);
		return rc;
	}
	*out = loop;
	return 0;
}

static void free_dead(struct evloop *loop)
{
	struct evsource *src;

	while ((src = loop->dead)) {
		loop->dead = src->next;
		free(src);
	}
}

/* syscalls bridge, flip: close */
void evloop_close(struct evloop *loop)
{
	if (!loop)
		return;
	while (loop->live)
		evloop_remove(loop->live);
	free_dead(loop);
	close(loop->epoll_fd);
	free(loop);
}

/* syscalls bridge, flip: epoll_ctl */
/* Takes fd over, for kinds that own theirs, also when it fails. */
static int add_source(struct evloop *loop, enum source_kind kind, int fd,
		      uint32_t events, evloop_fn *fn, void *arg,
		      struct evsource **out)
{
	struct evsource *src = calloc(1, sizeof(*src));
	struct epoll_event ev = { .events = events, .data.ptr = src };
	int rc = -ENOMEM;

	if (!src)
		goto fail;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev)) {
		rc = -errno;
		goto fail;
	}
	src->loop = loop;
	src->kind = kind;
	src->fd = fd;
	src->fn = fn;
	src->arg = arg;
	src->next = loop->live;
	if (src->next)
		src->next->prev = src;
	loop->live = src;
	if (out)
		*out = src;
	return 0;
fail:
	if (kind != SOURCE_FD)
		close(fd);
	free(src);
	return rc;
}

int evloop_add_fd(struct evloop *loop, int fd, uint32_t events, evloop_fn *fn,
		  void *arg, struct evsource **out)
{
	return add_source(loop, SOURCE_FD, fd, events, fn, arg, out);
}

int evloop_set_events(struct evsource *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (epoll_ctl(src->loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev))
		return -errno;
	return 0;
}

/* syscalls start: timerfd_create */
int evloop_add_timer(struct evloop *loop, evloop_fn *fn, void *arg,
		     struct evsource **out)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	return add_source(loop, SOURCE_TIMER, fd, EPOLLIN, fn, arg, out);
}

static struct timespec timespec_of_ms(int64_t ms)
{
	return (struct timespec){
		.tv_sec = ms / 1000,
		.tv_nsec = (ms % 1000) * 1000000,
	};
}

/* syscalls bridge, flip: timerfd_settime */
int evloop_set_timer(struct evsource *src, int64_t after_ms, int64_t every_ms)
{
	struct itimerspec it = { 0 };

	if (after_ms >= 0) {
		it.it_value = timespec_of_ms(after_ms);
		if (!after_ms)
			it.it_value.tv_nsec = 1;	/* 0 would stop it */
		it.it_interval = timespec_of_ms(every_ms > 0 ? every_ms : 0);
	}
	if (timerfd_settime(src->fd, 0, &it, NULL))
		return -errno;
	return 0;
}

int evloop_set_timer_us(struct evsource *src, uint64_t after_us)
{
	struct itimerspec it = {
		.it_value.tv_sec = (time_t)(after_us / 1000000),
		.it_value.tv_nsec = (long)(after_us % 1000000 * 1000),
	};

	if (!after_us)
		it.it_value.tv_nsec = 1;
	return timerfd_settime(src->fd, 0, &it, NULL) ? -errno : 0;
}

/* syscalls start: rt_sigprocmask signalfd4 */
int evloop_add_signal(struct evloop *loop, int signo, evloop_fn *fn, void *arg,
		      struct evsource **out)
{
	sigset_t set;
	int fd, rc;

	sigemptyset(&set);
	sigaddset(&set, signo);
	rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (rc)
		return -rc;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return add_source(loop, SOURCE_SIGNAL, fd, EPOLLIN, fn, arg, out);
}

void evloop_remove(struct evsource *src)
{
	struct evloop *loop;

	if (!src || src->dead)
		return;
	loop = src->loop;
	/* The caller may have closed a descriptor of its own: no error then. */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
	if (src->kind != SOURCE_FD)
		close(src->fd);
	if (src->next)
		src->next->prev = src->prev;
	if (src->prev)
		src->prev->next = src->next;
	else
		loop->live = src->next;
	src->dead = true;
	if (!loop->in_turn) {
		free(src);
		return;
	}
	src->next = loop->dead;
	loop->dead = src;
}

/* syscalls bridge, flip: read */
/* Runs one source's callback; returns whether there was something to run. */
static bool run_source(struct evsource *src, uint32_t events)
{
	struct signalfd_siginfo si;
	uint64_t expired;

	/* An earlier callback of this turn removed, stopped or drained it? */
	if (src->dead)
		return false;
	if (src->kind == SOURCE_TIMER) {
		if (read(src->fd, &expired, sizeof(expired)) != sizeof(expired))
			return false;
		events = EPOLLIN;
	} else if (src->kind == SOURCE_SIGNAL) {
		if (read(src->fd, &si, sizeof(si)) != sizeof(si))
			return false;
		events = si.ssi_signo;
	}
	src->fn(src->arg, events);
	return true;
}

/* syscalls bridge, flip: epoll_wait epoll_pwait */
int evloop_turn(struct evloop *loop, int timeout_ms)
{
	struct epoll_event ev[EVLOOP_BATCH];
	int i, n, ran = 0;

	n = epoll_wait(loop->epoll_fd, ev, EVLOOP_BATCH, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->in_turn = true;
	for (i = 0; i < n; i++)
		ran += run_source(ev[i].data.ptr, ev[i].events);
	loop->in_turn = false;
	free_dead(loop);
	return ran;
}

int evloop_run(struct evloop *loop)
{
	int rc = 0;

	loop->stop = false;
	while (!loop->stop && rc >= 0)
		rc = evloop_turn(loop, -1);
	return rc < 0 ? rc : 0;
}

void evloop_stop(struct evloop *loop)
{
	loop->stop = true;
}
