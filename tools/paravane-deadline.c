/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A timer, and a handler that ends the process (paravane-deadline.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-deadline.h"
#include "util.h"

#define LOOK_EVERY_MS 5

static const char of_store[] = "XenStore does not answer, or too slowly: what was asked may have "
	"happened or not; look at xenstored, then run it again";
static const char *volatile text = of_store;
static volatile sig_atomic_t over;

static void set_timer(const struct timeval *left)
{
	const struct itimerval it = { .it_value = *left };

	setitimer(ITIMER_REAL, &it, NULL);
}

/*
 * Nothing that was under way can go on: a request to the store has half an answer. The
 * second time: the first may have come because nobody ran for long.
 */
static void on_alarm(int sig)
{
	const struct timeval again = { .tv_sec = DEADLINE_AGAIN_MS / 1000 };
	const struct iovec line[] = {
		{ .iov_base = "paravane: ", .iov_len = 10 },
		{ .iov_base = (char *)text, .iov_len = strlen(text) },
		{ .iov_base = "\n", .iov_len = 1 },
	};
	ssize_t n;

	(void)sig;
	if (!over) {
		over = true;
		set_timer(&again);
		return;
	}
	n = writev(STDERR_FILENO, line, ARRAY_LEN(line));
	(void)n;
	_exit(STATUS_TIMEOUT);
}

void deadline_set(int wait_ms)
{
	uint64_t ms = (uint64_t)MAX(wait_ms, 0) + DEADLINE_STORE_MS;
	const struct timeval left = { .tv_sec = (time_t)(ms / 1000) };
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_handler = on_alarm;
	act.sa_flags = SA_RESTART;
	over = false;
	sigaction(SIGALRM, &act, NULL);
	set_timer(&left);
}

void deadline_begin(void)
{
	struct itimerval now;

	getitimer(ITIMER_REAL, &now);
	if (!timerisset(&now.it_value))
		deadline_set(0);
}

void deadline_end(void)
{
	const struct timeval never = { .tv_sec = 0 };

	set_timer(&never);
}

void deadline_is_of(const char *whom)
{
	text = whom ? whom : of_store;
}

/* 1: it has ended. */
static int child_ended(pid_t pid, int *status)
{
	pid_t ended;

	do
		ended = waitpid(pid, status, WNOHANG);
	while (ended < 0 && errno == EINTR);
	return ended < 0 ? -errno : ended == pid;
}

static int wait_until(pid_t pid, int *status, uint64_t until_ms)
{
	const struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
	int rc;

	while (!(rc = child_ended(pid, status)) && now_ms() < until_ms)
		nanosleep(&pause, NULL);
	return rc ? MIN(rc, 0) : -ETIMEDOUT;
}

int deadline_wait_child(pid_t pid, int *status)
{
	struct itimerval before;
	int rc;

	getitimer(ITIMER_REAL, &before);
	deadline_end();
	rc = wait_until(pid, status, now_ms() + DEADLINE_SCRIPT_MS);
	if (rc == -ETIMEDOUT) {
		kill(pid, SIGKILL);
		waitpid(pid, status, 0);
	}
	set_timer(&before.it_value);
	return rc;
}
