/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The speed of the CPU's counter, measured (cycles.h).
 *
 * Hides: how a reading that was interrupted is told from others. Must not know: what it
 * is wanted for.
 */
#include "cycles.h"

#include "spin.h"
#include "util.h"

#define MEASURE_NS 1000000u
#define TRIES 16u

/* Both clocks at one moment: of several pairs, the one with the least time between. */
static void read_both(uint64_t *cycles, uint64_t *ns)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < TRIES; i++) {
		uint64_t before = spin_now_cycles(), now = now_ns();
		uint64_t took = spin_now_cycles() - before;

		if (took >= least)
			continue;
		least = took;
		*cycles = before + took / 2;
		*ns = now;
	}
}

uint64_t measure_cycles_per_us(void)
{
	uint64_t cycles = 0, ns = 0, end_cycles = 0, end_ns = 0, per_us;

	read_both(&cycles, &ns);
	while (now_ns() - ns < MEASURE_NS)
		;
	read_both(&end_cycles, &end_ns);
	per_us = (end_cycles - cycles) * 1000 / (end_ns - ns);
	return MAX(1, per_us);
}
