/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One event loop per thread: descriptors, timers, signals.
 *
 * Hides: epoll, timerfd, signalfd. Must not know: what the descriptors are.
 * All functions of one loop are called from its thread. A callback may remove
 * any source, itself included; a removed source's callback does not run again.
 */
#ifndef PV_EVLOOP_H
#define PV_EVLOOP_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>

struct evloop;
struct evsource;

typedef void evloop_fn(void *arg, uint32_t events);

int evloop_open(struct evloop **out);
/* Removes what is left. Accepts NULL. */
void evloop_close(struct evloop *loop);

/* events as EPOLLIN | EPOLLOUT. The descriptor stays the caller's. */
int evloop_add_fd(struct evloop *loop, int fd, uint32_t events, evloop_fn *fn,
		  void *arg, struct evsource **out);
int evloop_set_events(struct evsource *src, uint32_t events);
/*
 * A timer, not running yet. evloop_set_timer() starts it: first run after
 * after_ms, then every every_ms (0: once); after_ms < 0 stops it.
 */
int evloop_add_timer(struct evloop *loop, evloop_fn *fn, void *arg,
		     struct evsource **out);
int evloop_set_timer(struct evsource *src, int64_t after_ms, int64_t every_ms);
/* Once, after after_us; nanosleep's precision. */
int evloop_set_timer_us(struct evsource *src, uint64_t after_us);
/* Blocks the signal for the process and delivers it here; events = its number. */
int evloop_add_signal(struct evloop *loop, int signo, evloop_fn *fn, void *arg,
		      struct evsource **out);
/* Accepts NULL. */
void evloop_remove(struct evsource *src);

/* Runs until evloop_stop(). 0 or -errno. */
int evloop_run(struct evloop *loop);
/*
 * One turn: waits up to timeout_ms (-1: for ever, 0: not at all), runs what is
 * ready. Returns the number of callbacks run, or -errno.
 */
int evloop_turn(struct evloop *loop, int timeout_ms);
void evloop_stop(struct evloop *loop);

#endif
