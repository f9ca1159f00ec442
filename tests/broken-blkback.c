/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A version of the daemon that says that it can take over, and cannot: what is wrong with it is
 * the last part of its file's name (a copy for each).
 *
 *	crash	ends by SIGSEGV when it has been left everything
 *	exit	ends by exit()			open	cannot begin
 *	worker	its workers crash		journal	its journals are of another format
 *	late	none of these: the workers that it is left die as it begins
 *	slow	nor this: its workers begin a while after they are asked
 *
 * Hides: nothing. Linked around functions that the linker wraps; all else is the daemon.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "backend.h"
#include "journal.h"
#include "upgrade.h"
#include "worker-main.h"

int __real_backend_open(struct evloop *loop, struct xs_handle *xs,
			const struct device_kind *kind, const struct backend_config *config,
			struct backend **out);
int __wrap_backend_open(struct evloop *loop, struct xs_handle *xs,
			const struct device_kind *kind, const struct backend_config *config,
			struct backend **out);
int __real_journal_open(int fd, uint32_t nr_queues, uint32_t nr_slots, struct journal **out);
int __wrap_journal_open(int fd, uint32_t nr_queues, uint32_t nr_slots, struct journal **out);
const char *__real_upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
				   size_t why_bytes);
const char *__wrap_upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
				   size_t why_bytes);

static bool is(const char *how)
{
	char path[4096], *dash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	dash = strrchr(path, '-');
	return dash && !strcmp(dash + 1, how);
}

/* Dead, and nobody has heard of it: what a kill in the moment of the takeover leaves. */
static void kill_children(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	siginfo_t si;
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1) {
		kill(pid, SIGKILL);
		waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
	}
	if (f)
		fclose(f);
}

int __wrap_backend_open(struct evloop *loop, struct xs_handle *xs,
			const struct device_kind *kind, const struct backend_config *config,
			struct backend **out)
{
	if (is("late") && config->takeover)
		kill_children();
	if (is("crash"))
		raise(SIGSEGV);
	if (is("exit"))
		exit(0);
	return is("open") ? -EIO : __real_backend_open(loop, xs, kind, config, out);
}

int __wrap_journal_open(int fd, uint32_t nr_queues, uint32_t nr_slots, struct journal **out)
{
	if (is("worker"))
		raise(SIGKILL);	/* which no sanitizer makes a report of */
	if (is("slow"))
		usleep(300000);
	return __real_journal_open(fd, nr_queues, nr_slots, out);
}

const char *__wrap_upgrade_refuses(const char *formats, uint32_t journal_version, char *why,
				   size_t why_bytes)
{
	return __real_upgrade_refuses(formats, journal_version + is("journal"), why, why_bytes);
}
