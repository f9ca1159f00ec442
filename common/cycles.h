/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast the CPU's own counter (spin.h) goes.
 *
 * Hides: that whoever measures may lose the CPU at any moment. Must not know: what it
 * is wanted for. Any thread.
 */
#ifndef PV_CYCLES_H
#define PV_CYCLES_H

#include <stdint.h>

/* At least 1. Takes a millisecond, or as long as others have the CPU. */
uint64_t measure_cycles_per_us(void);

#endif
