/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fuzz target under AFL++: many inputs in one process, which afl-clang-fast's words
 * below take from afl-fuzz. Compiled by tests/fuzz/run alone, with FUZZER=afl.
 */
#include <string.h>
#include <unistd.h>
#include "fuzz.h"

#define RUNS_PER_PROCESS 10000

__AFL_FUZZ_INIT();

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int main(void)
{
	const uint8_t *shared;
	uint8_t *input;
	size_t bytes;

	__AFL_INIT();
	shared = __AFL_FUZZ_TESTCASE_BUF;
	while (__AFL_LOOP(RUNS_PER_PROCESS)) {
		bytes = MIN((size_t)__AFL_FUZZ_TESTCASE_LEN, FUZZ_INPUT_MAX);
		/* Of its own, so that a sanitizer sees what is read past its end. */
		input = malloc(bytes ? bytes : 1);
		FUZZ_NEED(input);
		memcpy(input, shared, bytes);
		LLVMFuzzerTestOneInput(input, bytes);
		free(input);
	}
	return 0;
}
