/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox.c: what each stage takes away, seen from a child that went through
 * it, and what must still work after it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "unit.h"

/* 0: fine; otherwise the line of the check that failed. */
typedef int child_fn(void);

#define CHECK(cond) \
	do { \
		if (!(cond)) \
			return __LINE__; \
	} while (0)

/* The stages cannot be undone: each test is a process. */
static void in_child(child_fn *fn)
{
	int status, line = 0, fd[2];
	pid_t pid;

	UNIT_NEED(!pipe(fd));
	pid = fork();
	if (!pid) {
		line = fn();
		if (write(fd[1], &line, sizeof(line)) != sizeof(line))
			_exit(2);
		_exit(0);
	}
	close(fd[1]);
	UNIT_EQ(read(fd[0], &line, sizeof(line)), sizeof(line));
	close(fd[0]);
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	UNIT_OK(WIFEXITED(status) && !WEXITSTATUS(status));
	if (line)
		fprintf(stderr, "\n%s:%d: failed in the child", __FILE__, line);
	UNIT_EQ(line, 0);
}

static unsigned long long status_field(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long v = ~0ull;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			v = strtoull(line + strlen(name) + 1, NULL, 16);
	if (f)
		fclose(f);
	return v;
}

static int early(void)
{
	struct rlimit core;
	int fd;

	CHECK(!sandbox_early());
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
#ifndef __SANITIZE_ADDRESS__
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
	CHECK(!getrlimit(RLIMIT_CORE, &core) && !core.rlim_cur && !core.rlim_max);
	/* Files and devices open as before. */
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(!sandbox_early());
	return 0;
}

static void test_early(void)
{
	in_child(early);
}

static void *thread(void *arg)
{
	return arg;
}

static int before_loop(void)
{
	struct rlimit fds;
	pthread_t t;
	int fd;

	CHECK(!sandbox_early() && !sandbox_before_loop(64));
	CHECK(status_field("CapEff:") == 0);
	CHECK(status_field("CapPrm:") == 0);
	CHECK(status_field("CapInh:") == 0);
	CHECK(!getrlimit(RLIMIT_NOFILE, &fds) && fds.rlim_max == 64);
	while ((fd = dup(STDERR_FILENO)) >= 0)
		CHECK(fd < 64);
	CHECK(errno == EMFILE);
	CHECK(!pthread_create(&t, NULL, thread, NULL) && !pthread_join(t, NULL));
	/* What only root may do is over, for good. */
	CHECK(setpriority(PRIO_PROCESS, 0, -20) && (errno == EACCES || errno == EPERM));
	return 0;
}

static void test_before_loop(void)
{
	in_child(before_loop);
}

/* A lower limit of the environment's stays. */
static int keeps_lower_limit(void)
{
	struct rlimit fds = { .rlim_cur = 20, .rlim_max = 20 };

	CHECK(!setrlimit(RLIMIT_NOFILE, &fds));
	CHECK(!sandbox_early() && !sandbox_before_loop(64));
	CHECK(!getrlimit(RLIMIT_NOFILE, &fds) && fds.rlim_max == 20);
	return 0;
}

static void test_keeps_lower_limit(void)
{
	in_child(keeps_lower_limit);
}

/* As a container or an ordinary user starts it: with nothing to drop. */
static int without_privileges(void)
{
	if (!geteuid())
		CHECK(!setgid(65534) && !setuid(65534));
	CHECK(!sandbox_early() && !sandbox_before_loop(64) && !sandbox_final());
	CHECK(status_field("CapEff:") == 0);
	return 0;
}

static void test_without_privileges(void)
{
	in_child(without_privileges);
}

static int works_on(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char byte = 1;

	CHECK(fd >= 0);
	CHECK(!sandbox_early() && !sandbox_before_loop(64) && !sandbox_final());
	CHECK(read(fd, &byte, 1) == 1 && !byte);
	CHECK(write(fd, &byte, 1) == 1);
	free(malloc(1 << 20));
	return 0;
}

static void test_works_on(void)
{
	in_child(works_on);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "early: no new privileges, no dumps", test_early },
		{ "before the loop: no capability, few descriptors", test_before_loop },
		{ "a limit is never raised", test_keeps_lower_limit },
		{ "without privileges", test_without_privileges },
		{ "open descriptors work on after all stages", test_works_on },
	};

	return unit_run("sandbox", tests, UNIT_LEN(tests));
}
