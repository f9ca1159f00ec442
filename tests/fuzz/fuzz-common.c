/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry, and the thread of fuzz_storm_begin(). One thread for the
 * program's life: starting one takes longer than most inputs.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "fuzz.h"

/* ---- libFuzzer --------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int64_t cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec;
}

/* libFuzzer counts the time on the wall; machines are shared. */
static void end_in_time(void)
{
	static int64_t limit = -1;
	static uint32_t runs;
	const char *set;

	if (limit < 0) {
		set = getenv("FUZZ_CPU_SECONDS");
		limit = set ? atoll(set) : 0;
	}
	if (limit && ++runs % 16 == 0 && cpu_seconds() >= limit) {
		limit = 0;
		raise(SIGUSR1);	/* -handle_usr1: ends as if all had been tried */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	fuzz_one(data, bytes);
	end_in_time();
	return 0;
}

/* ---- the storm ------------------------------------------------------------------------ */

static struct {
	sem_t begin, ended;
	_Atomic(bool) over;
	_Atomic(uint32_t) *words;
	uint32_t nr_words, seed;
	bool raging;
} storm;

/* xorshift: any will do that never is 0. */
static uint32_t next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void rage(void)
{
	uint32_t x = storm.seed | 1, was, r;
	_Atomic(uint32_t) *word;

	while (!atomic_load_explicit(&storm.over, memory_order_relaxed)) {
		word = &storm.words[next(&x) % storm.nr_words];
		was = atomic_load_explicit(word, memory_order_relaxed);
		r = next(&x);
		/* One octet, one bit, or all of it; always for a few dozen cycles. */
		if (r & 1)
			r = was ^ (0xffu << (r >> 8) % 4 * 8);
		else if (r & 2)
			r = was ^ (1u << (r >> 8) % 32);
		for (int i = 0; i < 8; i++) {
			atomic_store_explicit(word, r, memory_order_relaxed);
			atomic_store_explicit(word, was, memory_order_relaxed);
		}
	}
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

static void *storms(void *unused)
{
	(void)unused;
	for (;;) {
		wait_for(&storm.begin);
		rage();
		sem_post(&storm.ended);
	}
	return NULL;
}

void fuzz_storm_begin(void *memory, size_t bytes, uint32_t seed)
{
	static bool started;
	pthread_t thread;

	if (!started) {
		started = true;
		sem_init(&storm.begin, 0, 0);
		sem_init(&storm.ended, 0, 0);
		FUZZ_NEED(!pthread_create(&thread, NULL, storms, NULL));
		pthread_detach(thread);
	}
	storm.words = memory;
	storm.nr_words = (uint32_t)(bytes / 4);
	storm.seed = seed;
	storm.raging = true;
	atomic_store(&storm.over, false);
	sem_post(&storm.begin);
}

void fuzz_storm_end(void)
{
	if (!storm.raging)
		return;
	atomic_store(&storm.over, true);
	wait_for(&storm.ended);
	storm.raging = false;
}
