/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals of a program that drives a front end (front-signals.h).
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "front-signals.h"

#define HINT_S 2
#define NUDGE_NS 100000000

static struct front_linux *to_stop;
static pthread_t main_thread;
static volatile sig_atomic_t interrupted;
static const char *hint;
static timer_t nudge_timer;		/* SIGALRM */
static bool has_nudge_timer;

/*
 * A signal that comes between a look at interrupted and a read or write that
 * blocks ends neither. So alarms follow it, one of which will find the system
 * call under way.
 */
static void nudge(long every_ns)
{
	struct itimerspec when = { .it_value.tv_nsec = every_ns,
				   .it_interval.tv_nsec = every_ns };

	if (has_nudge_timer)
		timer_settime(nudge_timer, 0, &when, NULL);
}

/*
 * libxenstore's reader thread may be the one that gets the signal; it is the
 * main thread whose system call has to end.
 */
static bool is_for_main(int signo)
{
	if (pthread_equal(pthread_self(), main_thread))
		return true;
	pthread_kill(main_thread, signo);
	return false;
}

static void on_signal(int signo)
{
	if (!is_for_main(signo))
		return;
	interrupted = 1;
	if (to_stop)
		front_linux_stop(to_stop);
	nudge(NUDGE_NS);
}

bool front_signals_caught(void)
{
	return interrupted;
}

/* A device that does not come at once may be a slip of the pen. */
static void on_alarm(int signo)
{
	ssize_t n;

	if (!is_for_main(signo) || interrupted || !hint)
		return;
	n = write(STDERR_FILENO, hint, strlen(hint));
	(void)n;
}

void front_signals_catch(struct front_linux *fl)
{
	struct sigaction stop = { .sa_handler = on_signal }, alarm = { .sa_handler = on_alarm };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };

	to_stop = fl;
	main_thread = pthread_self();
	has_nudge_timer = !timer_create(CLOCK_MONOTONIC, &event, &nudge_timer);
	sigaction(SIGALRM, &alarm, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
}

void front_signals_closing(void)
{
	nudge(0);
}

void front_signals_release(void)
{
	to_stop = NULL;
}

void front_signals_hint(const char *text)
{
	hint = text;
	alarm(text ? HINT_S : 0);
}
