/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into paravane compare and all that it starts: a machine that lacks what
 * COMPARE_LACKS names. stats: KVM's counters (before Linux 5.14); tsc: the guest's clock;
 * cpuid: KVM has more CPUID entries than 128; bind: threads cannot be bound to CPUs; fork:
 * paravane cannot start programs; run:MODEL: that model's virtual machine does not run.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int lacks(const char *what)
{
	const char *all = getenv("COMPARE_LACKS");

	return all && !strcmp(all, what);
}

/* "run:" and a word that this program was given. */
static int lacks_run(void)
{
	const char *all = getenv("COMPARE_LACKS");
	char args[4096];
	ssize_t n;
	int fd;

	if (!all || strncmp(all, "run:", 4))
		return 0;
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	n = read(fd, args, sizeof(args) - 1);
	close(fd);
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(args + at) + 1) {
		args[n] = 0;
		if (!strcmp(args + at, all + 4))
			return 1;
	}
	return 0;
}

static int refuse(int err)
{
	errno = err;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, void *arg);
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "ioctl");
	if (request == KVM_GET_STATS_FD && lacks("stats"))
		return refuse(ENOTTY);
	if (request == KVM_GET_TSC_KHZ && lacks("tsc"))
		return refuse(EIO);
	if (request == KVM_GET_SUPPORTED_CPUID && lacks("cpuid") &&
	    ((struct kvm_cpuid2 *)arg)->nent <= 128)
		return refuse(E2BIG);
	if (request == KVM_RUN && lacks_run())
		return refuse(EIO);
	return next(fd, request, arg);
}

/* All CPUs at once is no binding. */
static int binds(const cpu_set_t *cpus)
{
	return CPU_COUNT(cpus) == 1 && lacks("bind");
}

int sched_setaffinity(pid_t pid, size_t bytes, const cpu_set_t *cpus)
{
	static int (*next)(pid_t pid, size_t bytes, const cpu_set_t *cpus);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "sched_setaffinity");
	return binds(cpus) ? refuse(EPERM) : next(pid, bytes, cpus);
}

int pthread_setaffinity_np(pthread_t thread, size_t bytes, const cpu_set_t *cpus)
{
	static int (*next)(pthread_t thread, size_t bytes, const cpu_set_t *cpus);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "pthread_setaffinity_np");
	return binds(cpus) ? EPERM : next(thread, bytes, cpus);
}

pid_t fork(void)
{
	static pid_t (*next)(void);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fork");
	return lacks("fork") && !strcmp(program_invocation_short_name, "paravane") ?
	       refuse(EAGAIN) : next();
}
