/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a program that makes a directory and starts another: a SIGTERM arrives at
 * a moment that chance seldom hits, the one that SIGNAL_MOMENT names: "directory", when it
 * has just been made; "fork", before the parent knows its child; "wait", when the child
 * has not done anything yet. The directory's name goes to the file SIGNAL_DIRECTORY.
 * What the program starts is left alone.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *moment, *file;

__attribute__((constructor)) static void begin(void)
{
	moment = strdup(getenv("SIGNAL_MOMENT"));
	file = strdup(getenv("SIGNAL_DIRECTORY"));
	unsetenv("LD_PRELOAD");
}

static void reached(const char *which)
{
	if (strcmp(which, moment))
		return;
	moment = "none";
	raise(SIGTERM);
}

char *mkdtemp(char *pattern)
{
	char *(*next)(char *pattern);
	char *made;
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	*(void **)&next = dlsym(RTLD_NEXT, "mkdtemp");
	made = next(pattern);
	if (!made || write(fd, made, strlen(made)) < 0)
		_exit(3);
	close(fd);
	reached("directory");
	return made;
}

pid_t fork(void)
{
	pid_t (*next)(void);
	pid_t pid;

	*(void **)&next = dlsym(RTLD_NEXT, "fork");
	pid = next();
	if (!pid)
		usleep(300000);
	else
		reached("fork");
	return pid;
}

pid_t waitpid(pid_t pid, int *status, int flags)
{
	pid_t (*next)(pid_t pid, int *status, int flags);

	*(void **)&next = dlsym(RTLD_NEXT, "waitpid");
	reached("wait");
	return next(pid, status, flags);
}
