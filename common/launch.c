/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What launch.h says. Must not know: what is started. */
#include "launch.h"

#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <unistd.h>

/*
 * Marks every descriptor of ours from `first` on to be closed when a program begins. A new
 * process that closes them itself does so while its parent waits for it, and the close of a
 * file may write back what a file server does not take; what is marked is closed after that.
 * False on kernels before 5.11, which do not know it.
 */
static bool mark_from(int first)
{
	return close_range((unsigned int)first, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0;
}

static int map_fds(posix_spawn_file_actions_t *actions, const struct launch_fd *fds, int close_from)
{
	bool marked = mark_from(STDERR_FILENO + 1);
	int rc = 0;

	for (; !rc && fds && fds->from >= 0; fds++)
		rc = posix_spawn_file_actions_adddup2(actions, fds->from, fds->to);
	return rc || marked ? rc : posix_spawn_file_actions_addclosefrom_np(actions, close_from);
}

/* syscalls start: rt_sigaction */
int launch_program(const char *program, const char *const argv[], const struct launch_fd *fds,
		   int close_from, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	/* Who started us may have ignored it, and what we start would be nobody's to wait for. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&actions);
	rc = map_fds(&actions, fds, close_from);
	if (!rc)
		rc = posix_spawnp(pid, program, &actions, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -rc;
}
