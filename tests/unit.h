/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame of every CUnit program here: one suite, a line per test, a line
 * with the sums, an exit status.
 *
 * Hides: that CU_basic_run_tests() returns 0 when tests failed, and that
 * CUnit's assertions do not show values. Must not know: what is tested.
 *
 *	static const struct unit_test tests[] = {
 *		{ "indices run across 2^32", test_wrap },
 *	};
 *	int main(void) { return unit_run("ring", tests, UNIT_LEN(tests)); }
 *
 * UNIT_EQ and the others go on after a failure; UNIT_NEED returns from the
 * calling (void) function, so that cleanup attributes run.
 */
#ifndef PV_UNIT_H
#define PV_UNIT_H

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define UNIT_SKIP 77

struct unit_test {
	const char *name;
	void (*fn)(void);
};

static inline bool unit_eq(long long got, long long want, const char *what,
			   const char *file, int line)
{
	if (got == want)
		return true;
	fprintf(stderr, "\n%s:%d: %s is %lld, expected %lld", file, line, what, got,
		want);
	return false;
}

static inline bool unit_streq(const char *got, const char *want, const char *what,
			      const char *file, int line)
{
	if (got && want && !strcmp(got, want))
		return true;
	fprintf(stderr, "\n%s:%d: %s is \"%s\", expected \"%s\"", file, line, what,
		got ? got : "(null)", want ? want : "(null)");
	return false;
}

#define UNIT_SAY(ok, what) \
	CU_assertImplementation(ok, __LINE__, what, __FILE__, "", CU_FALSE)
#define UNIT_OK(cond) \
	do { \
		UNIT_SAY(!!(cond), #cond); \
	} while (0)
#define UNIT_EQ(got, want) \
	do { \
		UNIT_SAY(unit_eq((long long)(got), (long long)(want), #got, \
				 __FILE__, __LINE__), #got " == " #want); \
	} while (0)
#define UNIT_STREQ(got, want) \
	do { \
		UNIT_SAY(unit_streq(got, want, #got, __FILE__, __LINE__), \
			 #got " == " #want); \
	} while (0)
#define UNIT_NEED(cond) \
	do { \
		bool unit_met = (cond); \
		UNIT_SAY(unit_met, #cond); \
		if (!unit_met) \
			return; \
	} while (0)

static inline int unit_run(const char *suite_name, const struct unit_test *tests,
			   size_t nr)
{
	unsigned failed, run;
	CU_pSuite suite;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite(suite_name, NULL, NULL);
	for (i = 0; suite && i < nr; i++)
		if (!CU_add_test(suite, tests[i].name, tests[i].fn))
			suite = NULL;
	if (!suite) {
		fprintf(stderr, "%s: %s\n", suite_name, CU_get_error_msg());
		return 1;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	run = CU_get_number_of_tests_run();
	failed = CU_get_number_of_tests_failed();
	printf("%s: %u passed, %u failed\n", suite_name, run - failed, failed);
	/* Tests that did not run, or a suite that did not start, failed too. */
	failed += CU_get_number_of_failures() || run != nr;
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

#endif
