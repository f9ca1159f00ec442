/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a sender is told that its requests are answered; the clock is the test's.
 */
#include "moderation.h"
#include "unit.h"

static struct moderation m;
static uint64_t now;

static void begin(void)
{
	m = (struct moderation){ 0 };
	now = 1000000;
}

/* One answer that waits until it is due; the sender is silent for rest_us after that. */
static void wait_and_send(uint64_t rest_us)
{
	UNIT_OK(!moderation_answered(&m, 1, now));
	now += MODERATION_US;
	UNIT_OK(moderation_due(&m, now));
	moderation_told_late(&m, now);
	now += rest_us;
	moderation_heard(&m, now);
}

/* How many events do not wait from here on. */
static uint32_t at_once(void)
{
	uint32_t nr;

	for (nr = 0; moderation_answered(&m, 1, now); nr++)
		moderation_told(&m);
	moderation_told(&m);
	return nr;
}

static void test_one_waits(void)
{
	begin();
	UNIT_OK(!moderation_owes(&m));
	UNIT_OK(!moderation_due(&m, now));
	UNIT_OK(!moderation_answered(&m, 1, now));
	UNIT_OK(moderation_owes(&m));
	UNIT_OK(!moderation_due(&m, now + MODERATION_US - 1));
	UNIT_OK(moderation_due(&m, now + MODERATION_US));
	moderation_told(&m);
	UNIT_OK(!moderation_owes(&m));
	UNIT_OK(!moderation_due(&m, now + MODERATION_US));
}

/* The second does not put off the first. */
static void test_the_first_counts(void)
{
	begin();
	UNIT_OK(!moderation_answered(&m, 1, now));
	UNIT_OK(!moderation_answered(&m, 1, now + MODERATION_US / 2));
	UNIT_OK(moderation_due(&m, now + MODERATION_US));
}

static void test_many_do_not_wait(void)
{
	begin();
	UNIT_OK(moderation_answered(&m, MODERATION_SLOTS, now));
	moderation_told(&m);
	UNIT_OK(!moderation_answered(&m, MODERATION_SLOTS - 1, now));
	UNIT_OK(moderation_answered(&m, 1, now));
}

/* Who sends as soon as he is told was waiting for it: twice as long at once each time. */
static void test_who_waits_is_told_at_once(void)
{
	uint32_t nr, last = 0;

	begin();
	for (uint32_t i = 0; i < 20; i++) {
		wait_and_send(MODERATION_SOON_US);
		nr = at_once();
		UNIT_OK(nr == 2 * last || (!i && nr > 1) || nr == MODERATION_AT_ONCE_MAX);
		last = nr;
	}
	UNIT_EQ(last, MODERATION_AT_ONCE_MAX);
}

static void test_others_are_forgiven(void)
{
	begin();
	wait_and_send(MODERATION_SOON_US + 1);
	UNIT_EQ(at_once(), 0);
	for (uint32_t i = 0; i < 20; i++) {
		wait_and_send(0);
		at_once();
	}
	for (uint32_t i = 0; i < 20; i++) {
		wait_and_send(MODERATION_SOON_US + 1);
		UNIT_EQ(at_once(), 0);
	}
	wait_and_send(0);
	UNIT_OK(at_once() < MODERATION_AT_ONCE_MAX);
}

/* Sending counts once for each late event, and not without one. */
static void test_sending_without_reason(void)
{
	uint32_t first;

	begin();
	moderation_heard(&m, now);
	UNIT_EQ(at_once(), 0);
	wait_and_send(MODERATION_SOON_US + 1);
	moderation_heard(&m, now);
	UNIT_EQ(at_once(), 0);
	wait_and_send(0);
	first = at_once();
	for (uint32_t i = 0; i < 5; i++) {
		now += 10 * MODERATION_SOON_US;
		moderation_heard(&m, now);
	}
	wait_and_send(0);
	UNIT_EQ(at_once(), 2 * first);
}

static const struct unit_test tests[] = {
	{ "one answer waits", test_one_waits },
	{ "the first counts", test_the_first_counts },
	{ "many do not wait", test_many_do_not_wait },
	{ "who waits is told at once", test_who_waits_is_told_at_once },
	{ "others are forgiven", test_others_are_forgiven },
	{ "sending without reason", test_sending_without_reason },
};

int main(void)
{
	return unit_run("moderation", tests, UNIT_LEN(tests));
}
