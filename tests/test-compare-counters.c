/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPU time as the comparison counts it: of threads that have ended too, and none of what
 * is not there.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"
#include "unit.h"

#define WORK_NS 50000000u

static uint64_t worked_ns;

static void *work(void *arg)
{
	uint64_t begin = own_cpu_ns();

	(void)arg;
	do
		worked_ns = own_cpu_ns() - begin;
	while (worked_ns < WORK_NS);
	return NULL;
}

static void test_threads_that_ended(void)
{
	uint64_t before = process_cpu_ns(getpid()), after;
	pthread_t thread;

	UNIT_NEED(!pthread_create(&thread, NULL, work, NULL));
	pthread_join(thread, NULL);
	after = process_cpu_ns(getpid());
	UNIT_OK(before != CMP_UNKNOWN && after != CMP_UNKNOWN);
	UNIT_OK(after - before >= worked_ns);
}

static void test_nobody(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	UNIT_NEED(pid > 0 && waitpid(pid, NULL, 0) == pid);
	UNIT_EQ(process_cpu_ns(pid), CMP_UNKNOWN);
}

static const struct unit_test tests[] = {
	{ "threads that ended", test_threads_that_ended },
	{ "nobody", test_nobody },
};

int main(void)
{
	return unit_run("compare-counters", tests, UNIT_LEN(tests));
}
