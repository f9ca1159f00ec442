/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block front end's notifications and wake-ups: as few as can be, and never
 * one too few.
 */
#include <unistd.h>
#include "blkfront-rig.h"
#include "unit.h"

static void test_batches(void)
{
	static struct blkfront_io io[32];
	struct result res = { 0 };
	struct blkfront_iov iov = { big, PAGE };
	unsigned int i, before, events;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	before = fake_evtchn_notifies();
	events = fake_back.events_sent;
	for (i = 0; i < 32; i++) {
		io[i] = (struct blkfront_io){ .op = BLKFRONT_READ, .iov = &iov, .nr_iov = 1,
					      .done = on_done, .arg = &res };
		UNIT_EQ(blkfront_submit(f, io + i), 0);
	}
	UNIT_EQ(fake_evtchn_notifies(), before);
	blkfront_kick(f);
	UNIT_EQ(fake_evtchn_notifies(), before + 1);
	fake_back.per_push = 1;	/* answers trickle; only the last one may wake us */
	UNIT_EQ(blkfront_wait(f, 32, 1000), 32);
	UNIT_EQ(res.calls, 32);
	UNIT_EQ(fake_evtchn_notifies(), before + 1);
	UNIT_EQ(fake_back.events_sent, events + 1);
	end();
}

static void poll_when_done(struct blkfront_io *io, int result)
{
	on_done(io, result);
	UNIT_OK(blkfront_poll(f) >= 0);
}

/* Who looks for more in done() takes answers from under the round that called it. */
static void test_polls_in_done(void)
{
	static struct blkfront_io io[16];
	struct result res = { 0 };
	struct blkfront_iov iov = { big, PAGE };

	begin();
	UNIT_NEED(go(NULL));
	for (unsigned int i = 0; i < 16; i++) {
		io[i] = (struct blkfront_io){ .op = BLKFRONT_READ, .iov = &iov, .nr_iov = 1,
					      .done = poll_when_done, .arg = &res };
		UNIT_EQ(blkfront_submit(f, io + i), 0);
	}
	UNIT_OK(blkfront_wait(f, 16, 1000) > 0);
	UNIT_EQ(res.calls, 16);
	UNIT_EQ(res.result, 0);
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	end();
}

/* Any number due, any number answered at a time: it always wakes up. */
static void test_hold_off(void)
{
	static struct blkfront_io io[16];
	struct result res = { 0 };
	struct blkfront_iov iov = { big, 9 * PAGE };
	unsigned int want_nr, per, round, i;
	struct blkfront_options o = { .ring_order = -1, .max_segments = 4 };
	int r;

	begin();
	UNIT_NEED(go(&o));
	for (want_nr = 1; want_nr <= 16; want_nr++)
		for (per = 1; per <= 50; per += 7)
			for (round = 0; round < 4; round++) {
				fake_back.per_push = round & 1 ? per : 0;
				fake_back.reverse = round & 2;
				for (i = 0; i < 16; i++) {
					io[i] = (struct blkfront_io){ .op = BLKFRONT_READ,
						.iov = &iov, .nr_iov = 1, .done = on_done,
						.arg = &res };
					UNIT_EQ(blkfront_submit(f, io + i), 0);
				}
				for (r = 0; r >= 0 && blkfront_inflight(f); ) {
					/* A lost wake-up is -EDEADLK. */
					r = blkfront_wait(f, want_nr, -1);
					UNIT_OK(r >= 0);
				}
				UNIT_EQ(blkfront_inflight(f), 0);
			}
	end();
}

static unsigned int answers_left;

static bool only_some(struct fake_back *b, struct blkif_response *rsp)
{
	(void)b;
	(void)rsp;
	return answers_left && answers_left--;
}

/* The back end answers as many as are due, and the rest not at all. */
static void test_hold_off_exact(void)
{
	static struct blkfront_io io[16];
	struct result res;
	struct blkfront_iov iov = { big, PAGE };
	struct blkfront_options o = { .nr_queues = 1 };
	unsigned int due, i;

	for (o.nr_queues = 1; o.nr_queues <= 4; o.nr_queues += 3)
		for (due = 1; due <= 16; due++) {
			begin();
			UNIT_NEED(go(&o));
			res.calls = 0;
			answers_left = due;
			fake_back.twist = only_some;
			for (i = 0; i < 16; i++) {
				io[i] = (struct blkfront_io){ .op = BLKFRONT_READ, .queue = i,
					.iov = &iov, .nr_iov = 1, .done = on_done, .arg = &res };
				UNIT_EQ(blkfront_submit(f, io + i), 0);
			}
			UNIT_EQ(blkfront_wait(f, due, -1), due);
			UNIT_EQ(res.calls, due);
			fake_back.leave = FAKE_CLOSE_AT_ONCE;
			fake_back.twist = NULL;
			UNIT_EQ(blkfront_close(f, 10, NULL), 0);
			UNIT_EQ(res.calls, 16);
			UNIT_EQ(fake_gnt_pages(), 0);
			fake_front_end();
		}
}

static bool only_later(struct fake_back *b, struct blkif_response *rsp)
{
	return b->nr_log < 2 || rsp->id != b->log[0].id;
}

/* What an interrupted call left on the ring is not waited for. */
static void test_left_behind(void)
{
	begin();
	UNIT_NEED(go(NULL));
	fake_back.stuck = true;
	UNIT_EQ(blkfront_read(f, 0, big, 512), -EDEADLK);
	fake_back.stuck = false;
	fake_back.twist = only_later;
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	end();
}

static void storm(struct fake_back *b)
{
	if (b->sleeps < 4000)
		fake_raise(0);
}

static void test_storm(void)
{
	struct blkfront_stats stats;

	begin();
	UNIT_NEED(go(NULL));
	fake_back.stuck = true;
	fake_back.on_sleep = storm;
	fake_back.sleeps = 0;
	UNIT_EQ(blkfront_read(f, 0, big, 512), -EDEADLK);
	blkfront_stats(f, &stats);
	UNIT_OK(stats.spurious_wakeups >= 64);
	/* Two sleeps per event once it is a storm: one of them is a nap. */
	UNIT_OK(stats.spurious_wakeups < 2100);
	fake_back.on_sleep = NULL;
	fake_back.stuck = false;
	end();
}

/* Naps count as time, whoever storms. */
static void test_storm_and_time(void)
{
	struct blkfront_iov iov = { big, PAGE };
	struct result res = { 0 };
	struct blkfront_io io = { .op = BLKFRONT_READ, .iov = &iov, .nr_iov = 1,
				  .done = on_done, .arg = &res };
	struct blkfront_stats stats;
	unsigned int i;

	begin();
	UNIT_NEED(go(NULL));
	fake_back.stuck = true;
	fake_back.on_sleep = storm;
	fake_back.sleeps = 0;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, 100), 0);
	blkfront_stats(f, &stats);
	UNIT_OK(stats.spurious_wakeups >= 64 && stats.spurious_wakeups < 200);
	f->idle_wakeups = 0;
	fake_back.sleeps = 0;
	for (i = 0; i < 100; i++)
		UNIT_EQ(blkfront_rest(f, -1), 0);
	UNIT_EQ(f->stats.spurious_wakeups, stats.spurious_wakeups + 100);
	UNIT_EQ(fake_back.sleeps, 100 + 37);
	fake_back.on_sleep = NULL;
	fake_back.stuck = false;
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	end();
}

static front_wait_fn *real_wait;
static bool call_away;

/* The caller's wish comes while we look around or nap, not while we sleep. */
static int called_away(void *ctx, unsigned int what, int *left_ms)
{
	if (*left_ms < 0 || !call_away)
		return real_wait(ctx, what, left_ms);
	call_away = false;
	return FRONT_WAIT_CALLER;
}

static void test_called_away(void)
{
	struct blkfront_iov iov = { big, PAGE };
	struct result res = { 0 };
	struct blkfront_io io = { .op = BLKFRONT_READ, .iov = &iov, .nr_iov = 1,
				  .done = on_done, .arg = &res };

	begin();
	UNIT_NEED(go(NULL));
	fake_back.stuck = true;
	real_wait = f->dev.env->wait;
	f->dev.env->wait = called_away;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	f->passes = 4095;
	call_away = true;
	UNIT_EQ(blkfront_wait(f, 1, -1), 0);
	f->idle_wakeups = 63;
	call_away = true;
	fake_raise(0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 0);
	fake_back.stuck = false;
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	end();
}

static const struct unit_test tests[] = {
	{ "one notification per batch, each way", test_batches },
	{ "who polls in done()", test_polls_in_done },
	{ "hold-off never loses a wake-up", test_hold_off },
	{ "a wake-up at the answer that is due", test_hold_off_exact },
	{ "an answer that nobody waits for", test_left_behind },
	{ "an event storm", test_storm },
	{ "an event storm and a time limit", test_storm_and_time },
	{ "a wake-up of the caller's", test_called_away },
};

int main(void)
{
	alarm(120);
	return unit_run("blkfront-events", tests, UNIT_LEN(tests));
}
