/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A port's limit, with a clock of the test's own.
 */
#include "shaper.h"
#include "unit.h"

#define SECOND_US 1000000ull

static struct shaper s;
static uint64_t now;
static uint64_t seed = 3;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static void begin(uint64_t bytes, uint64_t interval_us, uint64_t burst_bytes)
{
	s = (struct shaper){ 0 };
	now = 12345678;
	UNIT_EQ(shaper_configure(&s, bytes, interval_us, burst_bytes, now), 0);
}

/* Octets that go in a time when somebody always has more, in frames of a size. */
static uint64_t sent_in(uint64_t time_us, uint32_t frame_bytes)
{
	uint64_t end = now + time_us, sent = 0, wait;

	while (now < end) {
		wait = shaper_take(&s, frame_bytes, now);
		now += wait;
		sent += wait ? 0 : frame_bytes;
	}
	return sent;
}

static void test_no_limit(void)
{
	s = (struct shaper){ 0 };
	UNIT_EQ(shaper_take(&s, UINT32_MAX, 0), 0);
	UNIT_EQ(shaper_configure(&s, 0, 0, 0, 5), 0);
	UNIT_EQ(shaper_take(&s, UINT32_MAX, 5), 0);
	begin(1, 1, 0);
	UNIT_EQ(shaper_configure(&s, 0, 50000, 0, now), 0);
	for (int i = 0; i < 100; i++)
		UNIT_EQ(shaper_take(&s, 65535, now), 0);
}

static void test_odd_numbers(void)
{
	begin(1000, 1000, 0);
	UNIT_EQ(shaper_configure(&s, 1, 0, 0, now), -EINVAL);
	UNIT_EQ(shaper_configure(&s, SHAPER_MAX + 1ull, 1, 0, now), -EINVAL);
	UNIT_EQ(shaper_configure(&s, 1, SHAPER_MAX + 1ull, 0, now), -EINVAL);
	UNIT_EQ(shaper_configure(&s, 1, 1, UINT64_MAX, now), -EINVAL);
	UNIT_EQ(s.bytes, 1000);
}

static void test_rate(void)
{
	static const uint32_t sizes[] = { 60, 1514, 9014, 65535 };
	static const struct { uint64_t bytes, interval_us; } rates[] = {
		{ 62500, 50000 }, { 1250, 1000 }, { 125, 1 }, { 7, 13 }, { 1250000, 1000000 },
	};
	uint64_t sent, want;

	for (unsigned int r = 0; r < UNIT_LEN(rates); r++) {
		for (unsigned int i = 0; i < UNIT_LEN(sizes); i++) {
			begin(rates[r].bytes, rates[r].interval_us, 0);
			sent = sent_in(20 * SECOND_US, sizes[i]);
			want = 20 * SECOND_US * rates[r].bytes / rates[r].interval_us;
			/* Never more than the burst above it; at most a frame below. */
			UNIT_OK(sent <= want + (rates[r].bytes > SHAPER_BURST_MIN ?
						rates[r].bytes : SHAPER_BURST_MIN));
			UNIT_OK(sent + sizes[i] > want);
		}
	}
}

static void test_burst(void)
{
	uint32_t nr = 0;

	begin(1000, 1000, 200000);
	while (!shaper_take(&s, 1000, now))
		nr++;
	UNIT_EQ(nr, 200);
	now += 50 * 1000;			/* 50 frames' worth */
	for (nr = 0; !shaper_take(&s, 1000, now);)
		nr++;
	UNIT_EQ(nr, 50);
	now += 3600 * SECOND_US;		/* a long rest saves no more than that */
	for (nr = 0; !shaper_take(&s, 1000, now);)
		nr++;
	UNIT_EQ(nr, 200);
	/* Nor a short one beside what is left. */
	UNIT_EQ(shaper_configure(&s, 1000, 1000, 200000, now), 0);
	now += 200 * 1000;
	for (nr = 0; nr < 100; nr++)
		UNIT_EQ(shaper_take(&s, 1000, now), 0);
	now += 150 * 1000;
	for (nr = 0; !shaper_take(&s, 1000, now);)
		nr++;
	UNIT_EQ(nr, 200);
	/* The least there is, so that no packet is too large. */
	begin(10, 1000, 10);
	UNIT_EQ(shaper_take(&s, SHAPER_BURST_MIN, now), 0);
	UNIT_OK(shaper_take(&s, 1, now));
	/* Nor less than an interval's. */
	begin(500000, 1000, 10);
	for (nr = 0; !shaper_take(&s, 1000, now);)
		nr++;
	UNIT_EQ(nr, 500);
}

static void test_wait(void)
{
	uint32_t bytes, early = 0, late = 0, waits = 0;
	uint64_t wait;

	for (int round = 0; round < 200; round++) {
		begin(1 + rnd(100000), 1 + rnd(100000), 0);
		for (int i = 0; i < 200; i++) {
			bytes = 1 + rnd(65535);
			wait = shaper_take(&s, bytes, now);
			if (!wait)
				continue;
			waits++;
			early += wait > 1 && !shaper_take(&s, bytes, now + wait - 1);
			late += shaper_take(&s, bytes, now + wait) != 0;
			now += wait;
		}
	}
	UNIT_EQ(early, 0);
	UNIT_EQ(late, 0);
	UNIT_OK(waits > 10000);
}

static void test_larger_than_burst(void)
{
	begin(1000, 1000, 0);
	UNIT_EQ(shaper_take(&s, 3 * SHAPER_BURST_MIN, now), 0);
	/* All of it is paid: an octet a microsecond. */
	UNIT_EQ(shaper_take(&s, 1, now), 2 * SHAPER_BURST_MIN + 1);
	UNIT_EQ(shaper_take(&s, UINT32_MAX, now), 3 * SHAPER_BURST_MIN);
}

static void test_extremes(void)
{
	begin(SHAPER_MAX, 1, SHAPER_MAX);
	UNIT_EQ(shaper_take(&s, SHAPER_MAX, now), 0);
	UNIT_EQ(shaper_take(&s, SHAPER_MAX, now), 1);
	begin(1, SHAPER_MAX, SHAPER_MAX);
	UNIT_EQ(shaper_take(&s, SHAPER_MAX, now), 0);
	UNIT_EQ(shaper_take(&s, 1, now), SHAPER_MAX);
	UNIT_EQ(shaper_take(&s, 1, now + SHAPER_MAX), 0);
	now += SHAPER_MAX;
	UNIT_OK(shaper_take(&s, 1, now));
	UNIT_EQ(shaper_take(&s, 1, UINT64_MAX), 0);
	/* More than that counts as that. */
	begin(1, SHAPER_MAX, SHAPER_MAX);
	UNIT_EQ(shaper_take(&s, UINT32_MAX, now), 0);
	UNIT_EQ(shaper_take(&s, 1, now), SHAPER_MAX);
	begin(SHAPER_MAX, SHAPER_MAX, SHAPER_MAX);
	UNIT_EQ(shaper_take(&s, SHAPER_MAX, now), 0);
	UNIT_EQ(shaper_take(&s, 5, now), 5);
}

static void test_live_change(void)
{
	begin(1000, 1000, 0);
	UNIT_EQ(shaper_take(&s, SHAPER_BURST_MIN, now), 0);
	/* Ten times faster, and nothing is given away. */
	UNIT_EQ(shaper_configure(&s, 10000, 1000, 0, now), 0);
	UNIT_EQ(shaper_take(&s, 1000, now), 100);
	UNIT_EQ(shaper_configure(&s, 1, 1000, 0, now), 0);
	UNIT_EQ(shaper_take(&s, 1000, now), 1000 * 1000);
	/* What a larger bucket had saved, only as far as the new one holds it. */
	begin(1000, 1000, 4 * SHAPER_BURST_MIN);
	UNIT_EQ(shaper_configure(&s, 1000, 1000, 0, now), 0);
	UNIT_EQ(shaper_take(&s, SHAPER_BURST_MIN, now), 0);
	UNIT_OK(shaper_take(&s, 1, now));
	/* What was saved under the old rate, up to this moment. */
	begin(1000, 1000, 0);
	UNIT_EQ(shaper_take(&s, SHAPER_BURST_MIN, now), 0);
	now += 5000;
	UNIT_EQ(shaper_configure(&s, 1, 1000, 0, now), 0);
	UNIT_EQ(shaper_take(&s, 5000, now), 0);
	UNIT_EQ(shaper_take(&s, 1, now), 1000);
	/* A debt stays one. */
	begin(1000, 1000, 0);
	UNIT_EQ(shaper_take(&s, 2 * SHAPER_BURST_MIN, now), 0);
	UNIT_EQ(shaper_configure(&s, 2000, 1000, 0, now), 0);
	UNIT_EQ(shaper_take(&s, 2, now), SHAPER_BURST_MIN / 2 + 1);
}

static const struct unit_test tests[] = {
	{ "no limit", test_no_limit },
	{ "numbers that cannot be", test_odd_numbers },
	{ "the rate", test_rate },
	{ "bursts", test_burst },
	{ "the time to wait is neither too short nor too long", test_wait },
	{ "more than a burst at once", test_larger_than_burst },
	{ "the largest numbers", test_extremes },
	{ "live changes", test_live_change },
};

int main(void)
{
	return unit_run("shaper", tests, UNIT_LEN(tests));
}
