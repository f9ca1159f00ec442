/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to notify, look and sleep, and what follows when the back end lies or
 * leaves. Hides hold-off, the look before sleep, what an event storm costs;
 * must not know what is on the rings.
 */
#include <stdlib.h>

#include "netfront-priv.h"

#define STORM_WAKEUPS 64u	/* wake-ups in a row that brought nothing */
#define PASSES_PER_LOOK 1024u

/* ---- the peer ------------------------------------------------------------------- */

int netfront_broken(struct netfront *n)
{
	if (!n->broken)
		frontdev_publish_error(&n->dev);
	n->broken = true;
	return -EPROTO;
}

int netfront_state(const struct netfront *n)
{
	return n->broken ? -EPROTO : n->leaving ? -ECONNABORTED : 0;
}

static void look_at_peer(struct netfront *n)
{
	if (!frontdev_peer_news(&n->dev) || !frontdev_peer_gone(&n->dev))
		return;
	n->closing = true;
	if (n->dev.peer == XenbusStateClosing || n->leaving)	/* it serves us until we close */
		return;
	frontdev_fail(&n->dev, -ECONNABORTED, "was the interface detached?",
		      "back end %s went to %s", n->dev.bus.otherend,
		      xenbus_state_name(n->dev.peer));
	n->leaving = true;
}

bool netfront_closing(const struct netfront *n)
{
	return n->closing;
}

/* ---- notifying --------------------------------------------------------------------- */

static void notify(struct netfront *n, uint32_t port)
{
	xenevtchn_notify(n->dev.env->xce, port);
	n->stats.notifies_sent++;
}

/* A back end that was not promised to be told of buffers is not told. */
void netfront_push_rx(struct netfront *n, struct netfront_queue *q)
{
	if (ring_front_push(&q->rx) && !n->no_rx_notify)
		notify(n, q->rx_port);
}

/* One notification serves both rings when they share a port. */
static void push(struct netfront *n, struct netfront_queue *q)
{
	bool tx = ring_front_push(&q->tx);
	bool rx = ring_front_push(&q->rx) && !n->no_rx_notify;

	if (tx)
		notify(n, q->tx_port);
	if (rx && !(tx && q->tx_port == q->rx_port))
		notify(n, q->rx_port);
}

void netfront_kick(struct netfront *n)
{
	struct netfront_queue *q;

	for (q = n->queue; q < n->queue + n->nr_queues && !n->broken; q++) {
		if (netfront_flip_starved(q))
			netfront_rx_fill(q);
		push(n, q);
	}
}

void netfront_notify_all(struct netfront *n)
{
	struct netfront_queue *q;

	for (q = n->queue; q < n->queue + n->nr_queues; q++) {
		notify(n, q->tx_port);
		if (q->rx_port != q->tx_port)
			notify(n, q->rx_port);
	}
}

/* ---- what is true now ---------------------------------------------------------------- */

static bool receivable(struct netfront *n)
{
	struct netfront_queue *q;

	for (q = n->queue; q < n->queue + n->nr_queues; q++)
		if (ring_front_pending(&q->rx))
			return true;	/* or an impossible number, which receive will say */
	return false;
}

/* Answers are taken on all queues, whatever one of them lacks: arm() sleeps only on none. */
static bool sendable(struct netfront *n)
{
	struct netfront_queue *q;
	bool room = true;

	for (q = n->queue; q < n->queue + n->nr_queues; q++) {
		if (netfront_tx_room(n, q))
			continue;
		if (netfront_tx_reap(n, q) < 0)
			return false;
		room &= netfront_tx_room(n, q);
	}
	return room && !n->leaving;
}

static unsigned int ready(struct netfront *n, unsigned int want)
{
	unsigned int r = 0;

	if (want & NETFRONT_RECEIVABLE && receivable(n))
		r |= NETFRONT_RECEIVABLE;
	if (want & NETFRONT_SENDABLE && sendable(n))
		r |= NETFRONT_SENDABLE;
	return r;
}

static uint32_t in_flight(const struct netfront *n)
{
	uint32_t nr = n->ctrl.open ? ring_front_inflight(&n->ctrl.ring) : 0;
	const struct netfront_queue *q;

	for (q = n->queue; q < n->queue + n->nr_queues; q++)
		nr += ring_front_inflight(&q->tx);
	return nr;
}

/* Whether there were any. */
static bool take_answers(struct netfront *n)
{
	uint32_t before = in_flight(n);
	struct netfront_queue *q;

	for (q = n->queue; q < n->queue + n->nr_queues && !n->broken; q++)
		netfront_tx_reap(n, q);
	if (n->ctrl.open && !n->broken)
		netfront_ctrl_reap(n);
	return in_flight(n) != before;
}

/* Takes in answers and news without being asked for anything. */
static int take_in(struct netfront *n)
{
	int r = frontdev_poll(n->dev.env);

	if (r < 0)
		return r;
	look_at_peer(n);
	take_answers(n);
	return 0;
}

int netfront_poll(struct netfront *n)
{
	unsigned int r;
	int rc = take_in(n);

	if (rc < 0)
		return rc;
	netfront_kick(n);
	r = ready(n, NETFRONT_RECEIVABLE | NETFRONT_SENDABLE);
	if (n->broken)
		return -EPROTO;
	return r ? (int)r : netfront_state(n);
}

/* ---- sleeping -------------------------------------------------------------------------- */

/* True: something came while we looked. */
static bool look(struct netfront *n, unsigned int want)
{
	uint32_t budget = spin_budget(&n->spin);
	uint64_t start, took;

	if (!budget)
		return false;
	n->stats.spins++;
	start = spin_now_cycles();
	do {
		if (ready(n, want)) {
			took = spin_now_cycles() - start;
			spin_hit(&n->spin, took);
			n->stats.spin_hits++;
			n->stats.spin_cycles += took;
			return true;
		}
		spin_pause();
		took = spin_now_cycles() - start;
	} while (took < budget);
	spin_miss(&n->spin);
	n->stats.spin_cycles += took;
	return false;
}

/* Asks for wake-ups. False: something is there already, do not sleep. */
static bool arm(struct netfront *n, unsigned int want)
{
	struct netfront_queue *q;
	uint32_t worth;
	int r;

	for (q = n->queue; q < n->queue + n->nr_queues; q++) {
		if (want & NETFRONT_RECEIVABLE && ring_front_final(&q->rx, 1))
			return false;
		if (!(want & NETFRONT_SENDABLE) || netfront_tx_room(n, q))
			continue;
		worth = netfront_tx_worth(q);
		if (!worth)
			continue;
		r = ring_front_final(&q->tx, worth);
		if (r < 0 || (uint32_t)r >= worth)
			return false;
	}
	return true;
}

/* A back end that wakes us without need gets a nap each time from some point on. */
static int note_wakeup(struct netfront *n, bool useful, int *left_ms)
{
	int r;

	n->stats.wakeups++;
	if (useful) {
		n->idle_wakeups = 0;
		return 0;
	}
	n->stats.spurious_wakeups++;
	if (++n->idle_wakeups < STORM_WAKEUPS)
		return 0;
	r = frontdev_nap(n->dev.env, left_ms);
	if (n->dev.peer_news)
		look_at_peer(n);
	return r;
}

/*
 * While the back end keeps up we never sleep, and would never hear of the
 * store or of the caller's wish to stop.
 */
static int look_around(struct netfront *n)
{
	int r;

	if (++n->passes % PASSES_PER_LOOK)
		return 0;
	r = frontdev_poll(n->dev.env);
	return r < 0 ? r : r & (int)FRONT_WAIT_CALLER;
}

int netfront_wait(struct netfront *n, unsigned int want, int timeout_ms)
{
	int r = look_around(n), left = timeout_ms, nap = 0;
	unsigned int now;
	bool slept = false;

	if (r < 0)
		return r;
	for (;;) {
		netfront_kick(n);
		if (n->dev.peer_news)
			look_at_peer(n);
		now = ready(n, want);
		if (n->broken)
			return -EPROTO;
		if (slept && (r & FRONT_WAIT_EVENT))
			nap = note_wakeup(n, now, &left);
		if (nap < 0)
			return nap;
		if (now)
			return (int)now;
		if (n->leaving)
			return -ECONNABORTED;
		if (((r | nap) & (FRONT_WAIT_CALLER | FRONT_WAIT_STORE)) ||
		    (slept && (!r || !left)))
			return 0;
		r = nap = 0;
		slept = false;
		if (look(n, want) || !arm(n, want))
			continue;
		r = frontdev_wait(n->dev.env, FRONT_WAIT_STORE | FRONT_WAIT_EVENT, &left);
		if (r < 0)
			return r;
		slept = true;
	}
}

/*
 * Any answer on any ring is worth looking at for those who wait for one. False: one came
 * since take_answers(), do not sleep.
 */
static bool arm_all(struct netfront *n)
{
	struct netfront_queue *q;
	bool there = false;

	for (q = n->queue; q < n->queue + n->nr_queues; q++)
		if (ring_front_inflight(&q->tx) && ring_front_final(&q->tx, 1))
			there = true;
	if (n->ctrl.open && ring_front_inflight(&n->ctrl.ring) &&
	    ring_front_final(&n->ctrl.ring, 1))
		there = true;
	return !there;
}

int netfront_wait_for(struct netfront *n, bool (*done)(struct netfront *n, void *arg),
		      void *arg, int timeout_ms)
{
	int r = 0, left = timeout_ms;
	bool over = false, came;

	for (;;) {
		netfront_kick(n);
		if (n->dev.peer_news)
			look_at_peer(n);
		came = take_answers(n);
		if (done(n, arg))
			return 0;
		if (netfront_state(n) < 0)
			return netfront_state(n);
		if (over)
			return -ETIMEDOUT;
		r = r & (int)FRONT_WAIT_EVENT ? note_wakeup(n, came, &left) : 0;
		if (r < 0)
			return r;
		over = !left;
		r = 0;
		if (!arm_all(n))
			continue;
		r = frontdev_wait(n->dev.env, FRONT_WAIT_STORE | FRONT_WAIT_EVENT, &left);
		if (r < 0)
			return r;
		over = !r || !left;
	}
}
