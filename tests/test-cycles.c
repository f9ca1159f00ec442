/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The counter's speed is measured right also by who loses the CPU all the time: here to
 * a signal handler that takes its time.
 */
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>
#include "cycles.h"
#include "spin.h"
#include "unit.h"
#include "util.h"

/* Over a tenth of a second, in which a disturbance weighs little. */
static uint64_t reference(void)
{
	uint64_t cycles = spin_now_cycles(), ns = now_ns(), passed;

	do
		passed = now_ns() - ns;
	while (passed < 100000000);
	return (spin_now_cycles() - cycles) * 1000 / passed;
}

static void on_alarm(int signo)
{
	(void)signo;
	usleep(3000);
}

static void check(uint64_t want)
{
	uint64_t got = measure_cycles_per_us();

	UNIT_OK(got <= 2 * want && got >= want / 2);
}

static void test_undisturbed(void)
{
	uint64_t want = reference();

	for (int i = 0; i < 20; i++)
		check(want);
}

static void test_disturbed(void)
{
	struct itimerval often = { .it_interval.tv_usec = 4000, .it_value.tv_usec = 300 };
	struct itimerval never = { .it_value.tv_usec = 0 };
	uint64_t want = reference();

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 20; i++)
		check(want);
	setitimer(ITIMER_REAL, &never, NULL);
}

static const struct unit_test tests[] = {
	{ "undisturbed", test_undisturbed },
	{ "disturbed", test_disturbed },
};

int main(void)
{
	return unit_run("cycles", tests, UNIT_LEN(tests));
}
