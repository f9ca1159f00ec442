/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the comparison's device models have in common: a guest's memory,
 * interrupts that are counted, numbers at random but the same each time. Must not know:
 * devices. COMPARE_GUEST_BYTES is defined before; one file includes it per program.
 */
#ifndef PV_COMPARE_GUEST_H
#define PV_COMPARE_GUEST_H

#include <stddef.h>
#include <stdint.h>

static _Alignas(16) uint8_t guest[COMPARE_GUEST_BYTES];
static unsigned int interrupts;

static inline uint32_t rnd(uint32_t below)
{
	static uint64_t seed = 7;

	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

/* As the models want it: NULL for what is not all in the guest. */
static inline void *guest_memory(void *ctx, uint64_t gpa, uint64_t bytes)
{
	(void)ctx;
	return gpa > sizeof(guest) || bytes > sizeof(guest) - gpa ? NULL : guest + gpa;
}

static inline void guest_interrupt(void *ctx)
{
	(void)ctx;
	interrupts++;
}

#endif
