/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long to look at a ring before sleeping, learnt from what looking brought.
 *
 * Hides: the policy. Must not know: rings, clocks of an operating system,
 * threads. Both ends use it; units are cycles of the CPU's own counter, so
 * that it runs without an operating system too.
 *
 * The rule: spinning pays when the peer answers within the limit while we
 * look. Every hit sets the budget from the time it took; every miss halves
 * it, until nothing is spent at all. From then on one wake-up in a growing
 * number (up to SPIN_PROBE_MAX) tries again, so a peer that shares our CPU,
 * or that is idle, costs next to nothing.
 */
#ifndef PV_SPIN_H
#define PV_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_PROBE_MAX 1024u

struct spin {
	uint32_t limit_cycles;	/* never spin longer; 0: never spin */
	uint32_t budget_cycles;	/* what the next spin may cost */
	uint32_t skip;		/* sleeps to go before the next probe */
	uint32_t probe_every;	/* grows while probes miss */
};

static inline uint64_t spin_now_cycles(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
#error "no cycle counter known for this CPU"
#endif
}

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline void spin_init(struct spin *s, uint32_t limit_cycles)
{
	s->limit_cycles = limit_cycles;
	s->budget_cycles = limit_cycles;
	s->skip = 0;
	s->probe_every = 1;
}

/* Cycles to spend before the sleep that is due now; 0: sleep at once. */
static inline uint32_t spin_budget(struct spin *s)
{
	if (s->budget_cycles || !s->limit_cycles)
		return s->budget_cycles;
	if (s->skip) {
		s->skip--;
		return 0;
	}
	return s->limit_cycles;
}

/* Work came after took_cycles of spinning. */
static inline void spin_hit(struct spin *s, uint64_t took_cycles)
{
	uint64_t want = took_cycles * 4 + s->limit_cycles / 16;

	s->probe_every = 1;
	if (want > s->limit_cycles)
		want = s->limit_cycles;
	if (want > s->budget_cycles)
		s->budget_cycles = (uint32_t)want;
	else
		s->budget_cycles -= (uint32_t)(s->budget_cycles - want) / 8;
}

/* The budget was spent and nothing came. */
static inline void spin_miss(struct spin *s)
{
	s->budget_cycles /= 2;
	if (s->budget_cycles > s->limit_cycles / 16)
		return;
	s->budget_cycles = 0;
	s->skip = s->probe_every;
	if (s->probe_every < SPIN_PROBE_MAX)
		s->probe_every *= 2;
}

#endif
