/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decision table of a back end's life (lifecycle.h).
 *
 * Hides: which of our states answers which of the front end's. Must not know:
 * how a step is done.
 */
#include "lifecycle.h"

static bool connecting(XenbusState front)
{
	return front == XenbusStateInitialised || front == XenbusStateConnected;
}

static bool worker_on(const struct lifecycle_view *v)
{
	return v->worker == LIFECYCLE_STARTING || v->worker == LIFECYCLE_SERVING;
}

/* First the worker ends, then the store is closed, then what comes after. */
static enum lifecycle_step wind_down(const struct lifecycle_view *v,
				     enum lifecycle_step then)
{
	if (worker_on(v))
		return LIFECYCLE_STOP;
	if (v->worker == LIFECYCLE_STOPPING)
		return LIFECYCLE_WAIT;
	return v->ready ? LIFECYCLE_RELEASE : then;
}

static enum lifecycle_step open_or_announce(const struct lifecycle_view *v)
{
	if (v->refused || !v->complete)
		return LIFECYCLE_WAIT;
	if (v->script_failed)
		return LIFECYCLE_SCRIPT_FAILED;
	return v->script_pending ? LIFECYCLE_ANNOUNCE : LIFECYCLE_OPEN;
}

/* A worker that is still on served another device of this name. */
static enum lifecycle_step in_initialising(const struct lifecycle_view *v)
{
	return wind_down(v, open_or_announce(v));
}

static enum lifecycle_step in_init_wait(const struct lifecycle_view *v)
{
	if (v->worker == LIFECYCLE_STOPPING)
		return LIFECYCLE_WAIT;
	if (worker_on(v)) {
		if (!connecting(v->front))
			return LIFECYCLE_STOP;
		return v->worker == LIFECYCLE_SERVING ? LIFECYCLE_CONNECTED :
							LIFECYCLE_WAIT;
	}
	if (v->failed || v->front == XenbusStateClosing ||
	    v->front == XenbusStateClosed)
		return LIFECYCLE_CLOSING;
	if (v->script_failed)
		return LIFECYCLE_SCRIPT_FAILED;
	if (v->script_pending || !v->complete || v->refused)
		return LIFECYCLE_WAIT;
	if (!v->ready)
		return LIFECYCLE_OPEN;
	return connecting(v->front) ? LIFECYCLE_CONNECT : LIFECYCLE_WAIT;
}

/* State 4 without a worker: it gave up, or a predecessor of ours wrote the 4. */
static enum lifecycle_step in_connected_idle(const struct lifecycle_view *v)
{
	if (v->failed || v->refused || !connecting(v->front))
		return LIFECYCLE_CLOSING;
	/* Without a journal this may be another back end's device: let it be. */
	return v->resumable && v->complete ? LIFECYCLE_RESUME : LIFECYCLE_WAIT;
}

static enum lifecycle_step in_connected(const struct lifecycle_view *v)
{
	if (v->worker == LIFECYCLE_STOPPING)
		return LIFECYCLE_WAIT;
	if (v->worker == LIFECYCLE_IDLE)
		return in_connected_idle(v);
	/* online=0 alone: the tool stack's 5 and our 4 crossed. */
	if (!connecting(v->front) || !v->online)
		return LIFECYCLE_CLOSING;
	return v->resized && v->worker == LIFECYCLE_SERVING ? LIFECYCLE_RESIZED :
							      LIFECYCLE_WAIT;
}

/*
 * A front end that still says 4 has been asked to close and may flush yet. One
 * that says 5 on its own account has finished; one that says it on the tool
 * stack's (online=0) may go on with I/O until it says 6.
 */
static bool may_still_use(const struct lifecycle_view *v)
{
	if (v->close_overdue)
		return false;
	if (v->front == XenbusStateClosing)
		return !v->online;
	return connecting(v->front);
}

static enum lifecycle_step in_closing(const struct lifecycle_view *v)
{
	/* A predecessor's device, in the middle of a detach. One that never connected needs no
	 * farewell, and one whose front end cannot be served has none. */
	if (v->worker == LIFECYCLE_IDLE && !v->failed && !v->refused && may_still_use(v) &&
	    v->resumable)
		return v->complete ? LIFECYCLE_RESUME : LIFECYCLE_WAIT;
	if (worker_on(v) && may_still_use(v))
		return LIFECYCLE_WAIT;
	return wind_down(v, v->unseen ? LIFECYCLE_WAIT : LIFECYCLE_CLOSED);
}

static enum lifecycle_step in_closed(const struct lifecycle_view *v)
{
	enum lifecycle_step step = wind_down(v, LIFECYCLE_WAIT);

	if (step != LIFECYCLE_WAIT || v->worker != LIFECYCLE_IDLE)
		return step;
	if (!v->online)
		return v->removes ? LIFECYCLE_REMOVE : LIFECYCLE_WAIT;
	if (v->front != XenbusStateInitialising && !connecting(v->front))
		return LIFECYCLE_WAIT;
	return open_or_announce(v);
}

enum lifecycle_step lifecycle_next(const struct lifecycle_view *v)
{
	if (!v->exists)
		return wind_down(v, LIFECYCLE_FORGET);
	switch (v->back) {
	case XenbusStateInitialising:
		return in_initialising(v);
	case XenbusStateInitWait:
	case XenbusStateInitialised:
		return in_init_wait(v);
	case XenbusStateConnected:
		return in_connected(v);
	case XenbusStateClosing:
		return in_closing(v);
	case XenbusStateClosed:
		return in_closed(v);
	default:
		return LIFECYCLE_WAIT;
	}
}

const char *lifecycle_step_name(enum lifecycle_step step)
{
	static const char *const name[] = {
		[LIFECYCLE_WAIT] = "wait", [LIFECYCLE_ANNOUNCE] = "announce",
		[LIFECYCLE_OPEN] = "open", [LIFECYCLE_CONNECT] = "connect",
		[LIFECYCLE_RESUME] = "resume", [LIFECYCLE_CONNECTED] = "connected",
		[LIFECYCLE_RESIZED] = "resized",
		[LIFECYCLE_CLOSING] = "closing", [LIFECYCLE_STOP] = "stop",
		[LIFECYCLE_RELEASE] = "release", [LIFECYCLE_CLOSED] = "closed",
		[LIFECYCLE_REMOVE] = "remove",
		[LIFECYCLE_SCRIPT_FAILED] = "script failed",
		[LIFECYCLE_FORGET] = "forget",
	};

	return name[step];
}
