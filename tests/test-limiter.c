/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits: their words, and the buckets against a sum that is done by hand. Time is a
 * number here.
 */
#include "unit.h"
#include "limiter.h"

static struct limit parsed(enum limit_device of, const char *text)
{
	struct limit l = { .request_bytes = 0 };

	UNIT_EQ(limit_parse(of, text, &l, NULL), 0);
	return l;
}

static void test_words(void)
{
	struct limit l = parsed(LIMIT_OF_DISK, "iops=2k,write-bytes-burst=3MiB,"
				"write-bytes-per-second=1M,iops-size-bytes=4Ki");
	char text[LIMIT_TEXT_BYTES];

	UNIT_EQ(l.rate[LIMIT_REQUESTS][LIMIT_TOTAL].per_second, 2000);
	UNIT_EQ(l.rate[LIMIT_BYTES][LIMIT_OUT].per_second, 1000000);
	UNIT_EQ(l.rate[LIMIT_BYTES][LIMIT_OUT].burst, 3 << 20);
	UNIT_EQ(l.request_bytes, 4096);
	limit_format(LIMIT_OF_DISK, &l, text);
	UNIT_STREQ(text, "iops=2000,write-bytes-per-second=1000000,"
		   "write-bytes-burst=3145728,iops-size-bytes=4096");
	/* What is named changes, the rest stays. */
	UNIT_EQ(limit_parse(LIMIT_OF_DISK, "iops=none", &l, NULL), 0);
	UNIT_EQ(l.rate[LIMIT_REQUESTS][LIMIT_TOTAL].per_second, 0);
	UNIT_EQ(l.rate[LIMIT_BYTES][LIMIT_OUT].per_second, 1000000);
	UNIT_OK(!limit_is_none(&l));
	UNIT_EQ(limit_parse(LIMIT_OF_DISK, "none", &l, NULL), 0);
	UNIT_OK(limit_is_none(&l));
	limit_format(LIMIT_OF_DISK, &l, text);
	UNIT_STREQ(text, "");
	l = parsed(LIMIT_OF_NIC, "tx-packets-per-second=5,rx-bytes-per-second=7B");
	UNIT_EQ(l.rate[LIMIT_REQUESTS][LIMIT_IN].per_second, 5);
	UNIT_EQ(l.rate[LIMIT_BYTES][LIMIT_OUT].per_second, 7);
}

static void test_weight(void)
{
	struct limit l = parsed(LIMIT_OF_NIC, "weight=10000");
	char text[LIMIT_TEXT_BYTES];

	UNIT_EQ(l.weight, LIMIT_WEIGHT_MAX);
	UNIT_OK(!limit_is_none(&l));
	limit_format(LIMIT_OF_NIC, &l, text);
	UNIT_STREQ(text, "weight=10000");
	UNIT_EQ(limit_parse(LIMIT_OF_NIC, "weight=10001", &l, NULL), -EINVAL);
	UNIT_EQ(limit_parse(LIMIT_OF_NIC, "weight=5B", &l, NULL), -EINVAL);
	UNIT_EQ(limit_parse(LIMIT_OF_DISK, "weight=5", &l, NULL), -EINVAL);
	l = parsed(LIMIT_OF_NIC, "weight=5,tx-packets-per-second=1");
	UNIT_EQ(limit_parse(LIMIT_OF_NIC, "weight=none", &l, NULL), 0);
	UNIT_EQ(l.weight, 0);
	UNIT_OK(!limit_is_none(&l));
}

static void test_bad_words(void)
{
	static const char *const bad[] = {
		"iops", "iops=", "iops=x", "iops=-1", "iops=5,", ",iops=5", "iops=5;iops=6",
		"iops=5B", "iops=1ki2", "iops=5 ", " iops=5", "IOPS=5", "iops=0x5", "iops=5kk",
		"tx-bytes-per-second=5", "iops=99999999999999999999", "iops=2T,iops=9999999T",
		"bytes-per-second=1Ti1", "bytes-per-second=1.5M", "none,iops=5", "iop=5", "iopss=5",
	};
	struct limit l = { .request_bytes = 0 };
	const char *at = NULL;

	for (size_t i = 0; i < UNIT_LEN(bad); i++)
		if (limit_parse(LIMIT_OF_DISK, bad[i], &l, NULL) != -EINVAL) {
			fprintf(stderr, "\n\"%s\" is taken", bad[i]);
			UNIT_OK(!"taken");
		}
	UNIT_EQ(limit_parse(LIMIT_OF_DISK, "iops=5,reed-iops=6", &l, &at), -EINVAL);
	UNIT_STREQ(at, "reed-iops=6");
	l = parsed(LIMIT_OF_DISK, "iops=5,read-iops-burst=6");
	UNIT_STREQ(limit_lonely_burst(LIMIT_OF_DISK, &l), "read-iops-burst");
	l = parsed(LIMIT_OF_DISK, "read-iops-burst=6,read-iops=1");
	UNIT_OK(!limit_lonely_burst(LIMIT_OF_DISK, &l));
}

/* The longest text of all fits, and comes back as it was. */
static void test_longest(void)
{
	for (uint32_t of = LIMIT_OF_DISK; of <= LIMIT_OF_NIC; of++) {
		struct limit l = { .request_bytes = of == LIMIT_OF_DISK ? LIMIT_MAX : 0 }, back;
		char text[LIMIT_TEXT_BYTES];

		for (uint32_t u = 0; u < LIMIT_NR_UNITS; u++)
			for (uint32_t w = 0; w < LIMIT_NR_WAYS; w++)
				l.rate[u][w] = (struct limit_rate){ LIMIT_MAX, LIMIT_MAX };
		l.weight = of == LIMIT_OF_NIC ? LIMIT_WEIGHT_MAX : 0;
		limit_format(of, &l, text);
		back = parsed(of, text);
		UNIT_OK(!memcmp(&l, &back, sizeof(l)));
	}
}

/* ---- buckets ----------------------------------------------------------------------- */

static struct limiter begin(const char *text, uint64_t now_us)
{
	struct limit limit = parsed(LIMIT_OF_DISK, text);
	struct limiter l;

	memset(&l, 0, sizeof(l));
	limiter_set(&l, &limit, now_us);
	return l;
}

/* As many as go until then, as soon as each may; a try too early is refused. */
static uint32_t run(struct limiter *l, enum limit_way way, uint64_t bytes, uint64_t *now_us,
		    uint64_t until_us)
{
	const struct limiter_cost cost = { .way = way, .bytes = bytes };
	uint32_t nr = 0;

	for (;;) {
		uint64_t wait_us = limiter_wait_us(l, way, *now_us);
		struct limiter early = *l;

		if (wait_us > 1)
			UNIT_OK(limiter_wait_us(&early, way, *now_us + wait_us - 1));
		if (*now_us + wait_us > until_us)
			break;
		*now_us += wait_us;
		UNIT_EQ(limiter_wait_us(l, way, *now_us), 0);
		limiter_charge(l, &cost);
		nr++;
	}
	*now_us = until_us;
	return nr;
}

/* A time before the last one, of a thread that was slow to ask: no credit for that. */
static void test_out_of_order(void)
{
	const struct limiter_cost cost = { .way = LIMIT_IN, .bytes = 0 };
	struct limiter l = begin("iops=10,iops-burst=3", 1000000);

	for (uint32_t i = 0; i < 3; i++) {
		UNIT_EQ(limiter_wait_us(&l, LIMIT_IN, 1000000), 0);
		limiter_charge(&l, &cost);
	}
	UNIT_OK(limiter_wait_us(&l, LIMIT_IN, 1000000));
	UNIT_OK(limiter_wait_us(&l, LIMIT_IN, 999990));
	UNIT_OK(limiter_wait_us(&l, LIMIT_IN, 1000000));
}

static void test_sum(void)
{
	uint64_t now = 12345;
	struct limiter l = begin("iops=1000,iops-burst=50", now);

	UNIT_EQ(run(&l, LIMIT_IN, 4096, &now, now), 50);
	UNIT_EQ(run(&l, LIMIT_IN, 4096, &now, now + 10000000), 10000);
	/* A rest saves up the burst, and no more. */
	now += 3600ull * 1000000;
	UNIT_EQ(run(&l, LIMIT_OUT, 4096, &now, now), 50);
	/* A tenth of a second is what is saved when nothing is said. */
	l = begin("bytes-per-second=1000000", now);
	UNIT_EQ(run(&l, LIMIT_IN, 1000, &now, now), 100);
	/* Less than one is saved: each comes in its own time. */
	l = begin("iops=3", now);
	UNIT_EQ(run(&l, LIMIT_IN, 4096, &now, now), 1);
	UNIT_EQ(run(&l, LIMIT_IN, 4096, &now, now + 100000000), 300);
}

/* What is larger than the bucket goes, and is paid off. */
static void test_debt(void)
{
	uint64_t now = 5;
	struct limiter l = begin("read-bytes-per-second=1000,read-bytes-burst=100", now);

	UNIT_EQ(run(&l, LIMIT_IN, 10100, &now, now), 1);
	UNIT_EQ(limiter_wait_us(&l, LIMIT_IN, now), 10000001);
	UNIT_EQ(limiter_wait_us(&l, LIMIT_OUT, now), 0);
	limiter_refund(&l, &(struct limiter_cost){ .way = LIMIT_IN, .bytes = 10100 });
	UNIT_EQ(limiter_wait_us(&l, LIMIT_IN, now), 0);
	/* Nothing is given back beyond what is full. */
	limiter_refund(&l, &(struct limiter_cost){ .way = LIMIT_IN, .bytes = 10100 });
	UNIT_EQ(run(&l, LIMIT_IN, 10, &now, now), 10);
}

static void test_ways(void)
{
	uint64_t now = 0;
	struct limiter l = begin("iops=100,iops-burst=10,write-iops=10,write-iops-burst=1", now);

	UNIT_EQ(run(&l, LIMIT_OUT, 512, &now, now), 1);
	UNIT_EQ(run(&l, LIMIT_IN, 512, &now, now), 9);
	UNIT_EQ(run(&l, LIMIT_OUT, 512, &now, now + 1000000), 10);
	/* Large ones count as several. */
	l = begin("iops=100,iops-burst=10,iops-size-bytes=1000", now);
	UNIT_EQ(run(&l, LIMIT_IN, 2500, &now, now), 4);
	UNIT_EQ(run(&l, LIMIT_IN, 2500, &now, now + 1000000), 40);
}

static void test_change(void)
{
	uint64_t now = 0;
	struct limiter l = begin("iops=10,iops-burst=10", now);
	struct limit limit = parsed(LIMIT_OF_DISK, "iops=1000,iops-burst=1000");

	/* Owed is owed, at the new rate; a higher one is no present. */
	UNIT_EQ(run(&l, LIMIT_IN, 1, &now, now), 10);
	limiter_set(&l, &limit, now);
	UNIT_OK(limiter_wait_us(&l, LIMIT_IN, now));
	UNIT_EQ(run(&l, LIMIT_IN, 1, &now, now + 100000), 100);
	limit = parsed(LIMIT_OF_DISK, "");
	limiter_set(&l, &limit, now);
	UNIT_OK(!l.on);
	UNIT_EQ(limiter_wait_us(&l, LIMIT_IN, now), 0);
	/* One that goes on after another has saved nothing. */
	l = begin("iops=10,iops-burst=10", now);
	limiter_empty(&l);
	UNIT_OK(limiter_wait_us(&l, LIMIT_IN, now));
}

/* The largest numbers there are, over times of any length. */
static void test_extremes(void)
{
	uint64_t now = 0;
	struct limiter l = begin("bytes-per-second=1Ti,bytes-burst=1Ti,iops=1Ti", now);
	const struct limiter_cost huge = { .way = LIMIT_OUT, .bytes = 1ull << 40 };

	UNIT_EQ(limiter_wait_us(&l, LIMIT_OUT, UINT64_MAX / 2), 0);
	limiter_charge(&l, &huge);
	UNIT_EQ(limiter_wait_us(&l, LIMIT_OUT, UINT64_MAX / 2), 1);
	UNIT_EQ(limiter_wait_us(&l, LIMIT_OUT, UINT64_MAX), 0);
	l = begin("bytes-per-second=1", now);
	limiter_charge(&l, &(struct limiter_cost){ .way = LIMIT_OUT, .bytes = 16 << 20 });
	UNIT_OK(limiter_wait_us(&l, LIMIT_OUT, now) / 1000000 >= (16 << 20) - 1);
	/* Whole disks erased at once, larger than what can be owed: no present. */
	l = begin("bytes-per-second=1,iops=1,iops-size-bytes=1", now);
	for (uint32_t i = 0; i < 5; i++) {
		limiter_charge(&l, &(struct limiter_cost){ LIMIT_OUT, (1ull << 40) << i });
		UNIT_OK(limiter_wait_us(&l, LIMIT_OUT, now) / 1000000 >= (1ull << 40) - 1);
	}
	limiter_charge(&l, &(struct limiter_cost){ LIMIT_OUT, UINT64_MAX });
	UNIT_OK(limiter_wait_us(&l, LIMIT_OUT, now) / 1000000 >= (1ull << 42));
}

static const struct unit_test tests[] = {
	{ "words, units, and one order", test_words },
	{ "words that are none", test_bad_words },
	{ "weights", test_weight },
	{ "the longest text", test_longest },
	{ "the sum over time is exact", test_sum },
	{ "a time out of order", test_out_of_order },
	{ "larger than a bucket", test_debt },
	{ "in, out and both", test_ways },
	{ "changes keep what is owed", test_change },
	{ "the largest numbers", test_extremes },
};

int main(void)
{
	return unit_run("limiter", tests, UNIT_LEN(tests));
}
