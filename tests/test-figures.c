/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Histograms hold to their precision, and a file of figures outlives who wrote it; a reader
 * of its rings is told what it missed, and believes no file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "figures.h"
#include "histogram.h"
#include "unit.h"

/* Each value is in a bucket that ends above it, by at most a sixteenth. */
static void test_precision(void)
{
	uint64_t bad = 0;

	for (uint64_t ns = 0; ns < 100000000000ull; ns += ns / 97 + 1) {
		uint64_t end = histogram_end_ns(histogram_index(ns));

		if (end <= ns || end - ns > ns / HISTOGRAM_SUBS + HISTOGRAM_UNIT_NS)
			bad++;
	}
	UNIT_EQ(bad, 0);
	UNIT_EQ(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		UNIT_EQ(histogram_index(histogram_end_ns(i) - 1), i);
		if (i + 1 < HISTOGRAM_BUCKETS)
			UNIT_EQ(histogram_index(histogram_end_ns(i)), i + 1);
	}
}

static void expect_near(uint64_t got, uint64_t want)
{
	UNIT_OK(got >= want && got <= want + want / HISTOGRAM_SUBS + HISTOGRAM_UNIT_NS);
}

static void test_percentiles(void)
{
	static struct histogram h, before, since;

	UNIT_EQ(histogram_percentile_ns(&h, 0.5), 0);
	for (uint64_t us = 1; us <= 1000; us++)
		histogram_add(&h, us * 1000, 1);
	UNIT_EQ(histogram_count(&h), 1000);
	UNIT_EQ(h.sum_ns, 500500000);
	expect_near(histogram_percentile_ns(&h, 0.5), 500000);
	expect_near(histogram_percentile_ns(&h, 0.99), 990000);
	expect_near(histogram_percentile_ns(&h, 0.999), 999000);
	UNIT_EQ(histogram_below(&h, 0), 0);
	UNIT_EQ(histogram_below(&h, UINT64_MAX), 1000);

	before = h;
	histogram_add(&h, 5000000, 10);
	histogram_since(&since, &h, &before);
	UNIT_EQ(histogram_count(&since), 10);
	UNIT_EQ(since.sum_ns, 50000000);
	expect_near(histogram_percentile_ns(&since, 0.5), 5000000);
	/* One that began anew. */
	histogram_since(&since, &before, &h);
	UNIT_EQ(since.sum_ns, before.sum_ns);
	histogram_merge(&since, &h);
	UNIT_EQ(since.sum_ns, before.sum_ns + h.sum_ns);
}

/* ---- files ------------------------------------------------------------------------- */

static const struct figures_layout layout = { .kind = 7, .nr_parts = 3, .part_bytes = 5000 };

static int new_file(void)
{
	int fd = memfd_create("figures", MFD_CLOEXEC);

	UNIT_EQ(figures_format(fd, &layout), 0);
	return fd;
}

static void test_outlives(void)
{
	struct figures *f = NULL;
	uint64_t part[5000 / 8];
	int fd = new_file();

	UNIT_EQ(figures_open(fd, &layout, &f), 0);
	for (uint32_t i = 0; i < 3; i++)
		((uint64_t *)figures_part(f, i))[600] = 10 + i;
	figures_close(f);
	UNIT_EQ(figures_open(fd, &layout, &f), 0);
	((uint64_t *)figures_part(f, 1))[600]++;
	figures_close(f);
	UNIT_EQ(figures_check(fd, &layout), 0);
	for (uint32_t i = 0; i < 3; i++) {
		UNIT_EQ(figures_read(fd, &layout, i, part), 0);
		UNIT_EQ(part[600], i == 1 ? 12 : 10 + i);
	}
	close(fd);
}

/* Of another version, not ours, cut short, none: served all the same, and not believed. */
static void test_others(void)
{
	struct figures_layout other = { .kind = 8, .nr_parts = 3, .part_bytes = 5000 }, found;
	uint8_t part[5000];
	struct figures *f = NULL;
	int fd = new_file();

	UNIT_EQ(figures_check(fd, &other), -EBADMSG);
	UNIT_EQ(figures_open(fd, &other, &f), 0);
	memset(figures_part(f, 0), 0xff, 5000);
	figures_close(f);
	UNIT_EQ(figures_read(fd, &layout, 0, part), 0);
	UNIT_EQ(part[0], 0);

	UNIT_EQ(ftruncate(fd, 6000), 0);
	UNIT_EQ(figures_read_layout(fd, &found), -EBADMSG);
	UNIT_EQ(figures_read(fd, &layout, 0, part), -EBADMSG);
	UNIT_EQ(figures_open(fd, &layout, &f), 0);
	memset(figures_part(f, 2), 0xff, 5000);
	figures_close(f);

	UNIT_EQ(ftruncate(fd, 0), 0);
	UNIT_EQ(figures_read_layout(fd, &found), -EBADMSG);
	UNIT_EQ(figures_open(-1, &layout, &f), 0);
	figures_close(f);
	figures_close(NULL);
	other.nr_parts = FIGURES_PARTS_MAX + 1;
	UNIT_EQ(figures_format(fd, &other), -EINVAL);
	close(fd);
}

/* ---- rings ------------------------------------------------------------------------- */

struct record {
	uint64_t number, pad[7];
};
_Static_assert(sizeof(struct record) == FIGURES_RECORD_BYTES, "a record");

static uint64_t written;

static void write_records(const struct figures_ring *r, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		*(struct record *)figures_record(r, 0) = (struct record){ .number = written++ };
		figures_count(r, 1);
	}
}

/* All that is there, in order, and what was lost is said. */
static void read_all(int fd, uint64_t *next, uint64_t *expected, uint64_t *lost_all)
{
	static struct record got[1000];
	uint64_t lost;
	int nr;

	do {
		nr = figures_read_records(fd, &layout, 1, next, got, 1000, &lost);
		UNIT_OK(nr >= 0);
		*expected += lost;
		*lost_all += lost;
		for (int i = 0; i < nr; i++)
			UNIT_EQ(got[i].number, (*expected)++);
	} while (nr > 0);
}

static void test_ring(void)
{
	uint64_t next = UINT64_MAX, expected, lost = 0;
	struct figures_ring ring;
	struct figures *f = NULL;
	int fd = new_file();

	written = 0;
	UNIT_EQ(figures_open(fd, &layout, &f), 0);
	figures_ring(f, 1, &ring);
	UNIT_OK(!figures_wanted(&ring));
	write_records(&ring, 50);
	UNIT_EQ(figures_trace(fd, &layout), 0);
	UNIT_OK(figures_wanted(&ring));
	expected = written;
	read_all(fd, &next, &expected, &lost);
	UNIT_EQ(expected, 50);		/* what was before is not asked for */
	for (uint32_t i = 0; i < 40; i++) {
		write_records(&ring, 777);
		read_all(fd, &next, &expected, &lost);
		UNIT_EQ(expected, written);
	}
	UNIT_EQ(lost, 0);
	write_records(&ring, 3 * FIGURES_RECORDS);
	read_all(fd, &next, &expected, &lost);
	UNIT_EQ(expected, written);
	UNIT_OK(lost >= 2 * FIGURES_RECORDS && lost < 3 * FIGURES_RECORDS);
	figures_trace_end(fd);
	UNIT_OK(!figures_wanted(&ring));
	figures_close(f);
	close(fd);
}

/* One of several readers ends, or is killed. */
static void test_readers(void)
{
	struct figures_ring ring;
	struct figures *f = NULL;
	int fd = new_file(), reader[3];
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	UNIT_EQ(figures_open(fd, &layout, &f), 0);
	figures_ring(f, 0, &ring);
	for (uint32_t i = 0; i < 3; i++) {
		reader[i] = open(path, O_RDWR | O_CLOEXEC);
		UNIT_EQ(figures_trace(reader[i], &layout), 0);
	}
	figures_trace_end(reader[0]);
	UNIT_OK(figures_wanted(&ring));
	close(reader[1]);
	UNIT_OK(figures_wanted(&ring));
	figures_trace_end(reader[2]);
	UNIT_OK(!figures_wanted(&ring));
	/* It ends with another. */
	UNIT_EQ(figures_trace(reader[2], &layout), 0);
	close(reader[2]);
	UNIT_OK(figures_wanted(&ring));
	UNIT_EQ(figures_trace(reader[0], &layout), 0);
	figures_trace_end(reader[0]);
	UNIT_OK(!figures_wanted(&ring));
	UNIT_EQ(figures_trace_on(reader[0]), 0);
	UNIT_OK(figures_wanted(&ring));
	close(reader[0]);
	figures_close(f);
	close(fd);
}

static const struct unit_test tests[] = {
	{ "a bucket ends a sixteenth above at most", test_precision },
	{ "percentiles, and what came since", test_percentiles },
	{ "a file outlives its writer", test_outlives },
	{ "files that are not as they should be", test_others },
	{ "a ring, and what was lost of it", test_ring },
	{ "several readers of rings", test_readers },
};

int main(void)
{
	return unit_run("figures", tests, UNIT_LEN(tests));
}
