/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue's loop: pass, spin, sleep. Must not know how the device was connected
 * or what a request is.
 *
 * The front end is asked for an event only on the way to sleep
 * (blkback_final), so a busy queue costs it none.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include "worker-loop.h"

/*
 * A queue that is never idle looks at the supervisor and the other queues after
 * so many microseconds.
 */
#define CONTROL_US 200u

/*
 * XSA-332: a front end that sends events without requests would keep a CPU
 * busy. After so many in a row its port stays masked for a while, and only
 * the ring is looked at.
 */
#define SPURIOUS_FREE 16u
#define SPURIOUS_DELAY_MAX_MS 16

/* ---- control -------------------------------------------------------------------- */

/* syscalls disk: write */
static void kick_fd(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	assert(n == sizeof(one) || errno == EAGAIN);
}

void worker_kick(void *arg, uint32_t queue)
{
	struct worker *w = arg;

	if (w->threads_run)
		kick_fd(w->queues[queue].kick_fd);
	else
		blkback_kicked(w->queues[queue].b);
}

static void kick_all(struct worker *w)
{
	for (uint32_t i = 0; i < w->nr_queues; i++)
		kick_fd(w->queues[i].kick_fd);
}

static void stop_all(struct worker *w, bool *reason)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	if (reason)
		*reason = true;
	pthread_mutex_unlock(&w->lock);
	kick_all(w);
}

static void resize(struct worker *w, uint64_t sectors)
{
	pthread_mutex_lock(&w->lock);
	w->sectors = sectors;
	w->resize_left = (1u << w->nr_queues) - 1;
	pthread_mutex_unlock(&w->lock);
	kick_all(w);
}

/*
 * The last queue tells the supervisor, whatever its thread: only then may the
 * front end hear of the size, and use it on any queue. Called with the lock.
 */
static void take_size(struct worker_queue *q)
{
	struct worker *w = q->w;
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_RESIZED };

	blkback_set_sectors(q->b, w->sectors);
	if (!(w->resize_left & 1u << q->index))
		return;
	w->resize_left &= ~(1u << q->index);
	msg.sectors = w->sectors;
	if (!w->resize_left)
		worker_send(w->sock, &msg, NULL, 0);
}

/* An unknown message is the supervisor's mistake; serving goes on. */
static void hear_supervisor(struct worker *w)
{
	struct worker_msg msg;
	int err = worker_receive(w->sock, &msg, NULL, NULL);

	if (err == -EPIPE)
		stop_all(w, &w->orphaned);
	else if (err)
		log_error("%s: a message from the supervisor was refused: %s",
			  w->log.who, strerror(-err));
	else if (msg.type == WORKER_STOP)
		stop_all(w, NULL);
	else if (msg.type == WORKER_RESIZE)
		resize(w, msg.sectors);
}

/* syscalls disk: read */
static void hear_kick(struct worker_queue *q)
{
	struct worker *w = q->w;
	uint64_t count;

	if (read(q->kick_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&w->lock);
	q->stop = w->stopping;
	take_size(q);
	pthread_mutex_unlock(&w->lock);
	blkback_kicked(q->b);
}

/* ---- waiting ---------------------------------------------------------------------- */

enum { WAIT_KICK, WAIT_DISK, WAIT_EVENT, WAIT_SUPERVISOR, WAIT_NR };

/* syscalls disk: poll ppoll read */
/* Polls; timeout_ms 0 only looks. A negative descriptor is not looked at. */
static void wait_for(struct worker_queue *q, bool events, int timeout_ms)
{
	struct pollfd p[WAIT_NR] = {
		[WAIT_KICK] = { .fd = q->kick_fd },
		[WAIT_DISK] = { .fd = blkback_busy(q->b) ? disk_fd(q->disk) : -1 },
		[WAIT_EVENT] = { .fd = events ? xenevtchn_fd(q->xce) : -1 },
		/* once it is gone it would be readable for ever */
		[WAIT_SUPERVISOR] = { .fd = q->index || q->stop ? -1 : q->w->sock },
	};

	for (size_t i = 0; i < WAIT_NR; i++)
		p[i].events = POLLIN;
	if (poll(p, WAIT_NR, timeout_ms) <= 0)
		return;
	if (p[WAIT_SUPERVISOR].revents)
		hear_supervisor(q->w);
	if (p[WAIT_KICK].revents)
		hear_kick(q);
	if (p[WAIT_EVENT].revents && xenevtchn_pending(q->xce) >= 0) {
		q->masked = true;
		q->worked = false;
		q->count->wakeups++;
	}
}

/* syscalls disk: write */
/*
 * Unmasks, so that the next event wakes us; or says for how long not to. An
 * event that came while the port was masked is delivered by the unmask.
 */
static int unmask_or_delay_ms(struct worker_queue *q)
{
	uint32_t over;

	if (!q->masked)
		return 0;
	q->spurious = q->worked ? 0 : q->spurious + 1;
	q->masked = false;
	if (q->spurious <= SPURIOUS_FREE) {
		xenevtchn_unmask(q->xce, q->port);
		return 0;
	}
	over = q->spurious - SPURIOUS_FREE;
	q->masked = true;
	if (over == 5)
		log_peer_at(&q->w->log, LOG_LEVEL_WARNING, "queue %u: its event channel fires "
			    "without work: it is heard 60 times a second now, until it brings some",
			    q->index);
	return over < 5 ? 1 << (over - 1) : SPURIOUS_DELAY_MAX_MS;
}

static void wait_for_events(struct worker_queue *q)
{
	int delay_ms = unmask_or_delay_ms(q);

	if (blkback_final(q->b) != 0)
		return;
	if (!delay_ms) {
		wait_for(q, true, blkback_housekeep(q->b));
	} else {
		wait_for(q, false, delay_ms);
		xenevtchn_unmask(q->xce, q->port);
		q->masked = false;
	}
	q->looked_cycles = spin_now_cycles();	/* at all that look_around() looks at */
}

/*
 * Looks at the ring for as long as that has paid lately. Not while a device or a
 * helper thread has work of ours: they wake us, and a helper may want this CPU.
 */
static bool spin_for_work(struct worker_queue *q)
{
	uint32_t budget = blkback_busy(q->b) ? 0 : spin_budget(&q->spin);
	uint64_t start = spin_now_cycles(), took = 0;

	while (took < budget) {
		if (blkback_pending(q->b) != 0) {
			spin_hit(&q->spin, took);
			q->count->spins_hit++;
			return true;
		}
		spin_pause();
		took = spin_now_cycles() - start;
	}
	if (budget) {
		spin_miss(&q->spin);
		q->count->spins_missed++;
	}
	return false;
}

/* ---- running ---------------------------------------------------------------------- */

static void ring_broken(struct worker_queue *q)
{
	log_peer_at(&q->w->log, LOG_LEVEL_ERROR,
		    "queue %u: the front end's request producer is impossible; the ring is stopped",
		    q->index);
	stop_all(q->w, &q->w->broken);
	q->stop = true;
}

/*
 * Where nothing waits in the ring sleep is near, which looks too: another system
 * call for it can wait a little.
 */
static void look_around(struct worker_queue *q)
{
	uint64_t now = spin_now_cycles(), since = now - q->looked_cycles;
	uint64_t due = CONTROL_US * q->w->cycles_per_us;

	if (since < due || (since < 8 * due && blkback_pending(q->b) == 0))
		return;
	q->looked_cycles = now;
	blkback_housekeep(q->b);
	wait_for(q, false, 0);
}

static void drain(struct worker_queue *q)
{
	while (blkback_busy(q->b))
		if (!blkback_drain_pass(q->b))
			wait_for(q, false, blkback_housekeep(q->b));
	blkback_leave(q->b);
}

/* What is heard is acted on by the pass, so nothing is heard between it and sleep. */
void worker_queue_run(struct worker_queue *q)
{
	int did;

	for (;;) {
		look_around(q);
		if (q->stop)
			break;
		did = blkback_pass(q->b);
		if (did < 0) {
			ring_broken(q);
			break;
		}
		if (did > 0)
			q->worked = true;
		else if (!spin_for_work(q))
			wait_for_events(q);
	}
	drain(q);
}

/* syscalls disk: poll ppoll */
void worker_drain_all(struct worker *w)
{
	struct pollfd p[VBD_QUEUES_MAX];
	bool busy = true;

	while (busy) {
		uint32_t did = 0;

		busy = false;
		for (uint32_t i = 0; i < w->nr_queues; i++) {
			struct worker_queue *q = &w->queues[i];

			did += blkback_drain_pass(q->b);
			p[i] = (struct pollfd){ .fd = disk_fd(q->disk), .events = POLLIN };
			if (!blkback_busy(q->b))
				p[i].fd = -1;
			else
				busy = true;
		}
		/* The time limit: a queue may wait for another, not for a disk. */
		if (busy && !did)
			poll(p, w->nr_queues, 10);
	}
}
