/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts another program as a shell would: with signals as a fresh program expects
 * them, and with no descriptor but those it is given. Libraries (libxenstore) open some
 * without close-on-exec, and a daemon blocks signals that it takes by descriptor.
 *
 * Hides: posix_spawn's attributes and file actions.
 * Must not know: what is started, or how its end is heard.
 */
#ifndef PV_LAUNCH_H
#define PV_LAUNCH_H

#include <sys/types.h>

/* Descriptor `from` of ours becomes descriptor `to` of the program's. A list ends with from < 0. */
struct launch_fd {
	int from, to;
};

/*
 * argv[0] may be another name than the program's, which is looked for in PATH when it has
 * no '/'. fds: NULL or a list; descriptors 0, 1 and 2 not in it are ours. None from
 * close_from on is left open. Any thread. 0, or -errno: there is no such process then.
 */
int launch_program(const char *program, const char *const argv[], const struct launch_fd *fds,
		   int close_from, pid_t *pid);

#endif
