/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A histogram's readers (histogram.h). Must not know: who wrote it; its contents are taken
 * for numbers and nothing else.
 */
#include "histogram.h"

uint64_t histogram_end_ns(uint32_t index)
{
	uint32_t exponent = index >> HISTOGRAM_SUB_BITS;
	uint64_t units = index + 1u;

	if (exponent)
		units = (uint64_t)(HISTOGRAM_SUBS + (index & (HISTOGRAM_SUBS - 1)) + 1)
			<< (exponent - 1);
	return units << HISTOGRAM_UNIT_BITS;
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		nr += h->bucket[i];
	return nr;
}

void histogram_merge(struct histogram *sum, const struct histogram *h)
{
	sum->sum_ns += h->sum_ns;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->bucket[i] += h->bucket[i];
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

void histogram_since(struct histogram *out, const struct histogram *h,
		     const struct histogram *before)
{
	out->sum_ns = since(h->sum_ns, before->sum_ns);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		out->bucket[i] = since(h->bucket[i], before->bucket[i]);
}

uint64_t histogram_percentile_ns(const struct histogram *h, double part)
{
	uint64_t nr = histogram_count(h), seen = 0;
	double want = part * (double)nr;

	for (uint32_t i = 0; nr && i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen && (double)seen >= want)
			return histogram_end_ns(i);
	}
	return 0;
}

uint64_t histogram_below(const struct histogram *h, uint64_t ns)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && histogram_end_ns(i) <= ns; i++)
		nr += h->bucket[i];
	return nr;
}
