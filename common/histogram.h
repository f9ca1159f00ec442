/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Durations counted in buckets that grow with them, as HdrHistogram has it: linear inside
 * a power of two, sixteen to each. So a percentile is told with an error of at most one
 * part in sixteen, whatever its size, for one addition to memory for each value.
 *
 * Hides: which bucket is whose. Must not know: what took so long, who reads. One writer;
 * a reader has a copy. Values are in nanoseconds, from 64 ns (HISTOGRAM_UNIT_NS) to 137 s;
 * what is longer counts as that long.
 */
#ifndef PV_HISTOGRAM_H
#define PV_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 4u
#define HISTOGRAM_UNIT_BITS 6u
#define HISTOGRAM_UNIT_NS (1u << HISTOGRAM_UNIT_BITS)
#define HISTOGRAM_SUBS (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS 448u

struct histogram {
	uint64_t sum_ns;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_index(uint64_t ns)
{
	uint64_t units = ns >> HISTOGRAM_UNIT_BITS;
	uint32_t exponent, index;

	if (units < HISTOGRAM_SUBS)
		return (uint32_t)units;
	exponent = 63u - (uint32_t)__builtin_clzll(units) - HISTOGRAM_SUB_BITS;
	index = ((exponent + 1) << HISTOGRAM_SUB_BITS) +
		(uint32_t)(units >> exponent & (HISTOGRAM_SUBS - 1));
	return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

/* nr values that are alike. */
static inline void histogram_add(struct histogram *h, uint64_t ns, uint32_t nr)
{
	h->sum_ns += ns * nr;
	h->bucket[histogram_index(ns)] += nr;
}

/* The first duration that is too long for a bucket. */
uint64_t histogram_end_ns(uint32_t index);
uint64_t histogram_count(const struct histogram *h);
void histogram_merge(struct histogram *sum, const struct histogram *h);
/*
 * What came since before was copied. A histogram that began anew meanwhile is taken as it
 * is: *h less *before, bucket by bucket, never below 0.
 */
void histogram_since(struct histogram *out, const struct histogram *h,
		     const struct histogram *before);
/*
 * The duration that part (0.5, 0.999) of all do not exceed, rounded up to its bucket's end;
 * 0: there are no values.
 */
uint64_t histogram_percentile_ns(const struct histogram *h, double part);
/* How many are shorter than ns, which is some bucket's end or is rounded down to one. */
uint64_t histogram_below(const struct histogram *h, uint64_t ns);

#endif
