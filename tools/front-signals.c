/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals of a program that drives a front end (front-signals.h).
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "front-signals.h"

#define HINT_S 2

static struct front_linux *to_stop;
static pthread_t main_thread;
static volatile sig_atomic_t interrupted;
static const char *hint;

/*
 * libxenstore's reader thread may be the one that gets the signal; it is the
 * main thread whose system call has to end.
 */
static void on_signal(int signo)
{
	if (!pthread_equal(pthread_self(), main_thread)) {
		pthread_kill(main_thread, signo);
		return;
	}
	interrupted = 1;
	if (to_stop)
		front_linux_stop(to_stop);
}

bool front_signals_caught(void)
{
	return interrupted;
}

void front_signals_catch(struct front_linux *fl)
{
	struct sigaction sa = { .sa_handler = on_signal };

	to_stop = fl;
	if (!fl)
		return;
	main_thread = pthread_self();
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

/* A device that does not come at once may be a slip of the pen. */
static void on_alarm(int signo)
{
	ssize_t n = write(STDERR_FILENO, hint, strlen(hint));

	(void)signo;
	(void)n;
}

void front_signals_hint(const char *text)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	if (!text) {
		alarm(0);
		return;
	}
	hint = text;
	sigaction(SIGALRM, &sa, NULL);
	alarm(HINT_S);
}
