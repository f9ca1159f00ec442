/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold of the decision table for every view there can be. That it
 * does what front ends want is test-backend's part.
 */
#include <stdbool.h>
#include "lifecycle.h"
#include "unit.h"

#define NR_FLAGS 13

typedef void check_fn(const struct lifecycle_view *v, enum lifecycle_step step);

static struct lifecycle_view view_of(unsigned flags, int back, int front, int worker)
{
	return (struct lifecycle_view){
		.exists = flags & 1, .online = flags & 2, .complete = flags & 4,
		.script_pending = flags & 8, .script_failed = flags & 16,
		.ready = flags & 32, .refused = flags & 64, .failed = flags & 128,
		.resumable = flags & 256, .close_overdue = flags & 512,
		.removes = flags & 1024, .resized = flags & 2048,
		.unseen = flags & 4096,
		.back = back, .front = front, .worker = worker,
	};
}

/* States up to 9: one more than there are. */
static void for_all(check_fn *check)
{
	int back, front, worker;
	unsigned flags;

	for (flags = 0; flags < 1u << NR_FLAGS; flags++)
		for (back = 0; back <= 9; back++)
			for (front = 0; front <= 9; front++)
				for (worker = LIFECYCLE_IDLE;
				     worker <= LIFECYCLE_STOPPING; worker++) {
					struct lifecycle_view v =
						view_of(flags, back, front, worker);

					check(&v, lifecycle_next(&v));
				}
}

static unsigned violations;
#define MUST(cond) (violations += !(cond))

static void count(check_fn *check)
{
	violations = 0;
	for_all(check);
	UNIT_EQ(violations, 0);
}

static bool idle(const struct lifecycle_view *v)
{
	return v->worker == LIFECYCLE_IDLE;
}

/* Pages stay mapped until the worker has ended. */
static void closed_after_end(const struct lifecycle_view *v, enum lifecycle_step step)
{
	if (step == LIFECYCLE_CLOSED || step == LIFECYCLE_FORGET)
		MUST(idle(v) && !v->ready);
	if (step == LIFECYCLE_RELEASE)
		MUST(idle(v) && v->ready);
	if (step == LIFECYCLE_FORGET)
		MUST(!v->exists);
}

static void one_worker(const struct lifecycle_view *v, enum lifecycle_step step)
{
	if (step == LIFECYCLE_OPEN || step == LIFECYCLE_CONNECT ||
	    step == LIFECYCLE_RESUME || step == LIFECYCLE_ANNOUNCE)
		MUST(idle(v) && v->exists && v->complete);
	if (step == LIFECYCLE_CONNECT)
		MUST(v->ready && !v->refused && !v->script_pending);
	if (step == LIFECYCLE_RESUME)
		MUST(v->resumable && !v->failed && !v->refused);
	if (step == LIFECYCLE_STOP)
		MUST(v->worker == LIFECYCLE_STARTING || v->worker == LIFECYCLE_SERVING);
}

static void connected_when_served(const struct lifecycle_view *v,
				  enum lifecycle_step step)
{
	if (step == LIFECYCLE_CONNECTED)
		MUST(v->worker == LIFECYCLE_SERVING &&
		     (v->front == XenbusStateInitialised ||
		      v->front == XenbusStateConnected) &&
		     (v->back == XenbusStateInitWait ||
		      v->back == XenbusStateInitialised));
}

/* What is gone winds down without anybody's help. */
static void gone_ends(const struct lifecycle_view *v, enum lifecycle_step step)
{
	if (!v->exists && step == LIFECYCLE_WAIT)
		MUST(v->worker == LIFECYCLE_STOPPING);
	if (!v->exists)
		MUST(step == LIFECYCLE_WAIT || step == LIFECYCLE_STOP ||
		     step == LIFECYCLE_RELEASE || step == LIFECYCLE_FORGET);
}

static void detached_stays(const struct lifecycle_view *v, enum lifecycle_step step)
{
	if (v->exists && v->back == XenbusStateClosed && !v->online && idle(v) &&
	    !v->ready)
		MUST(step == (v->removes ? LIFECYCLE_REMOVE : LIFECYCLE_WAIT));
	else
		MUST(step != LIFECYCLE_REMOVE);
}

/* Every step is legal for the state it is done in. */
static void legal_states(const struct lifecycle_view *v, enum lifecycle_step step)
{
	if (step == LIFECYCLE_CLOSING)
		MUST(v->back == XenbusStateInitWait || v->back == XenbusStateInitialised ||
		     v->back == XenbusStateConnected);
	if (step == LIFECYCLE_CLOSED)
		MUST(v->back == XenbusStateClosing);
	if (step == LIFECYCLE_RESIZED)
		MUST(v->back == XenbusStateConnected && v->online && v->resized &&
		     v->worker == LIFECYCLE_SERVING);
	if (step == LIFECYCLE_ANNOUNCE)
		MUST(v->back == XenbusStateInitialising || v->back == XenbusStateClosed);
}

/* What it waits for is told; meanwhile all else is done. */
static void seen_before_closed(const struct lifecycle_view *v, enum lifecycle_step step)
{
	struct lifecycle_view seen = *v;

	seen.unseen = false;
	if (v->unseen && lifecycle_next(&seen) == LIFECYCLE_CLOSED)
		MUST(step == LIFECYCLE_WAIT);
	else
		MUST(step == lifecycle_next(&seen));
}

/* A front end that may still use its rings is gone on with, as soon as all is there for that. */
static void used_is_resumed(const struct lifecycle_view *v, enum lifecycle_step step)
{
	bool used = v->front == XenbusStateInitialised || v->front == XenbusStateConnected;

	if (v->exists && idle(v) && used && v->resumable && !v->failed && !v->refused &&
	    !v->close_overdue &&
	    (v->back == XenbusStateConnected || v->back == XenbusStateClosing))
		MUST(step == (v->complete ? LIFECYCLE_RESUME : LIFECYCLE_WAIT));
}

static void test_used(void) { count(used_is_resumed); }
static void test_seen(void) { count(seen_before_closed); }
static void test_closed(void) { count(closed_after_end); }
static void test_one_worker(void) { count(one_worker); }
static void test_connected(void) { count(connected_when_served); }
static void test_gone(void) { count(gone_ends); }
static void test_detached(void) { count(detached_stays); }
static void test_legal(void) { count(legal_states); }

static void test_names(void)
{
	int step;

	for (step = LIFECYCLE_WAIT; step <= LIFECYCLE_FORGET; step++)
		UNIT_OK(lifecycle_step_name(step) != NULL);
}

static const struct unit_test tests[] = {
	{ "Closed only when nothing is mapped", test_closed },
	{ "Closing is seen before Closed", test_seen },
	{ "what is used is resumed", test_used },
	{ "one worker at a time", test_one_worker },
	{ "Connected only when served", test_connected },
	{ "what is gone winds down", test_gone },
	{ "what is detached stays closed", test_detached },
	{ "steps fit their states", test_legal },
	{ "every step has a name", test_names },
};

int main(void)
{
	return unit_run("lifecycle", tests, UNIT_LEN(tests));
}
