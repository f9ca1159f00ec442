/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spin.h: spends while it pays, stops where it does not, tries again rarely.
 */
#include "spin.h"
#include "unit.h"

#define LIMIT 16000u

static void test_starts_hopeful(void)
{
	struct spin s;

	spin_init(&s, LIMIT);
	UNIT_EQ(spin_budget(&s), LIMIT);
	spin_init(&s, 0);
	UNIT_EQ(spin_budget(&s), 0);
	spin_miss(&s);
	UNIT_EQ(spin_budget(&s), 0);
}

static void test_misses_end_it(void)
{
	struct spin s;
	int misses = 0;

	spin_init(&s, LIMIT);
	while (spin_budget(&s) && misses < 100) {
		UNIT_OK(spin_budget(&s) <= LIMIT);
		spin_miss(&s);
		misses++;
	}
	UNIT_OK(misses >= 2 && misses < 10);
	UNIT_EQ(s.budget_cycles, 0);
}

/* Cycles spent on n sleeps when nothing ever comes. */
static uint64_t cost_of_silence(struct spin *s, unsigned n)
{
	uint64_t spent = 0;

	while (n--) {
		uint32_t budget = spin_budget(s);

		if (!budget)
			continue;
		spent += budget;
		spin_miss(s);
	}
	return spent;
}

static void test_silence_is_cheap(void)
{
	struct spin s;

	spin_init(&s, LIMIT);
	cost_of_silence(&s, 10000);
	/* From then on a probe in every SPIN_PROBE_MAX sleeps. */
	UNIT_OK(cost_of_silence(&s, 100 * SPIN_PROBE_MAX) <= 101ull * LIMIT);
	UNIT_OK(cost_of_silence(&s, 100 * SPIN_PROBE_MAX) >= 90ull * LIMIT);
}

static void test_probe_finds_again(void)
{
	struct spin s;
	unsigned n = 0;

	spin_init(&s, LIMIT);
	cost_of_silence(&s, 100000);
	while (!spin_budget(&s) && n <= SPIN_PROBE_MAX)
		n++;
	UNIT_OK(n <= SPIN_PROBE_MAX);
	spin_hit(&s, 100);
	UNIT_OK(spin_budget(&s) >= 400 && spin_budget(&s) <= LIMIT);
	UNIT_EQ(s.probe_every, 1);
}

static void test_budget_follows_hits(void)
{
	struct spin s;
	uint32_t before;
	int i;

	spin_init(&s, LIMIT);
	for (i = 0; i < 200; i++) {
		before = spin_budget(&s);
		spin_hit(&s, 500);
		UNIT_OK(spin_budget(&s) <= before);
	}
	/* Four times what it took and a bit, approached and not undercut. */
	UNIT_OK(spin_budget(&s) >= 2000 && spin_budget(&s) < 2000 + LIMIT / 8);
	spin_hit(&s, 3000);
	UNIT_OK(spin_budget(&s) >= 12000);
	spin_hit(&s, UINT64_MAX / 8);
	UNIT_OK(spin_budget(&s) <= LIMIT);
}

static void test_one_miss_is_forgiven(void)
{
	struct spin s;

	spin_init(&s, LIMIT);
	spin_hit(&s, 100);
	spin_miss(&s);
	UNIT_OK(spin_budget(&s) > 0);
}

static void test_clock_runs(void)
{
	uint64_t a = spin_now_cycles(), b;
	int i;

	for (i = 0; i < 1000; i++)
		spin_pause();
	b = spin_now_cycles();
	UNIT_OK(b > a);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "the first sleep looks for the whole limit", test_starts_hopeful },
		{ "misses halve it to nothing", test_misses_end_it },
		{ "silence costs a probe in a thousand", test_silence_is_cheap },
		{ "a probe that hits brings it back", test_probe_finds_again },
		{ "the budget follows what hits took", test_budget_follows_hits },
		{ "one miss does not end it", test_one_miss_is_forgiven },
		{ "the counter runs", test_clock_runs },
	};

	return unit_run("spin", tests, UNIT_LEN(tests));
}
