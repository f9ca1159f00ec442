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
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "blkback-limit.h"
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

/*
 * How long a worker that is to end waits for the connection by which it could write again what
 * a server has lost: less than a daemon that ends waits for its last worker.
 */
#define OWED_MS 2500u
#define OWED_LOOK_MS 100

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

/* ---- connections, of an image behind a server ------------------------------------------ */

/* Nobody brings another: what is left is in the journal, for a successor. */
/* syscalls nbd: exit_group */
static void end_without_server(struct worker_queue *q)
{
	log_warning("%s: neither its supervisor nor its server is there any more", q->w->log.who);
	disk_note_owed(q->disk);
	_exit(1);
}

void worker_linked(void *arg, uint64_t bytes)
{
	struct worker_queue *q = arg;
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_LINKED,
				  .link = { .queue = q->index, .number = q->link_number,
					    .bytes = bytes } };

	q->linked = true;
	worker_send(q->w->sock, &msg, NULL, 0);
}

/* Also by a version that leaves, whose socket can be written to yet. */
static bool is_orphaned(struct worker *w)
{
	bool orphaned;

	pthread_mutex_lock(&w->lock);
	orphaned = w->orphaned;
	pthread_mutex_unlock(&w->lock);
	return orphaned;
}

void worker_lost(void *arg, const char *why)
{
	struct worker_queue *q = arg;
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_LOST,
				  .link = { .queue = q->index, .number = q->link_number } };

	bool left;

	q->linked = false;
	msg.link.failure.err = ENOTCONN;
	snprintf(msg.link.failure.reason, sizeof(msg.link.failure.reason), "%s", why);
	left = worker_send(q->w->sock, &msg, NULL, 0) == -EPIPE || is_orphaned(q->w);
	if (left && q->b && blkback_busy(q->b))
		end_without_server(q);
}

/* syscalls disk: poll ppoll */
bool worker_is_orphan(const struct worker *w)
{
	struct pollfd p = { .fd = w->sock };

	/* Its end for writing alone is how a version that leaves says goodbye. */
	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

bool worker_queue_is_orphan(void *arg)
{
	const struct worker_queue *q = arg;

	return worker_is_orphan(q->w);
}

static void use_link(struct worker_queue *q, int fd, uint32_t number)
{
	q->link_number = number;
	q->linked = false;
	disk_link(q->disk, fd);
}

void worker_take_link(struct worker *w, const struct worker_link *link, int fd)
{
	uint32_t queue = link->queue;

	if (queue >= w->nr_queues || !w->start.remote) {
		log_error("%s: a connection for queue %u, which it has not", w->log.who, queue);
		close_fd(&fd);
		return;
	}
	if (!w->threads_run) {
		use_link(&w->queues[queue], fd, link->number);
		return;
	}
	pthread_mutex_lock(&w->lock);
	close_fd(&w->links[queue].fd);
	w->links[queue].fd = fd;
	w->links[queue].number = link->number;
	pthread_mutex_unlock(&w->lock);
	kick_fd(w->queues[queue].kick_fd);
}

static void set_limit(struct worker *w, const struct limit *limit)
{
	blkback_limit_set(w->limit, limit);
	pthread_mutex_lock(&w->lock);
	w->limit_left = (1u << w->nr_queues) - 1;
	pthread_mutex_unlock(&w->lock);
	kick_all(w);
}

/* Called with the lock. */
static void take_limit(struct worker_queue *q)
{
	if (!(q->w->limit_left & 1u << q->index))
		return;
	q->w->limit_left &= ~(1u << q->index);
	blkback_limit_changed(q->b);
}

/* ---- a mirror ------------------------------------------------------------------------- */

/*
 * fd: a map, or -1. It is told of when all queues use it: what they had on its way is marked
 * when it ends, so that nothing is missed by who begins to copy then. A map that
 * cannot be had is never told of, and the supervisor gives up. The maps of several
 * messages that come at once stay where they are, until the worker ends: some queue may
 * use one yet.
 */
static void set_mirror(struct worker *w, const struct worker_mirror *mirror, int fd)
{
	struct dirty_map *map = NULL;
	int err = fd >= 0 && mirror->bytes ? dirty_map_open(fd, mirror->bytes, &map) : 0;

	if (err) {
		log_error("%s: no memory for a mirror's map: %s", w->log.who, strerror(-err));
		return;
	}
	pthread_mutex_lock(&w->lock);
	if (!w->dirty_left)
		w->former_dirty = w->dirty;
	w->dirty = map;
	w->dirty_number = mirror->number;
	w->dirty_left = (1u << w->nr_queues) - 1;
	pthread_mutex_unlock(&w->lock);
	kick_all(w);
}

/* Called with the lock. */
static void take_mirror(struct worker_queue *q)
{
	struct worker *w = q->w;
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_MIRRORED };

	if (!(w->dirty_left & 1u << q->index))
		return;
	w->dirty_left &= ~(1u << q->index);
	blkback_set_dirty(q->b, w->dirty);
	if (w->dirty_left)
		return;
	dirty_map_close(w->former_dirty);
	w->former_dirty = NULL;
	msg.mirror.number = w->dirty_number;
	worker_send(w->sock, &msg, NULL, 0);
}

/* An unknown message is the supervisor's mistake; serving goes on. */
static void act(struct worker *w, const struct worker_msg *msg, int fd)
{
	switch (msg->type) {
	case WORKER_STOP:
		w->told_to_stop = true;
		stop_all(w, NULL);
		break;
	case WORKER_RESIZE:
		resize(w, msg->sectors);
		break;
	case WORKER_LIMIT:
		set_limit(w, &msg->limit);
		break;
	case WORKER_MIRROR:
		set_mirror(w, &msg->mirror, fd);
		break;
	default:
		break;
	}
}

static void hear_supervisor(struct worker *w)
{
	struct worker_msg msg;
	unsigned nr = 1;
	int fd = -1, err = worker_receive(w->sock, &msg, &fd, &nr);

	if (err == -EPIPE) {
		stop_all(w, &w->orphaned);
	} else if (err) {
		log_error("%s: a message from the supervisor was refused: %s",
			  w->log.who, strerror(-err));
	} else if (msg.type == WORKER_LINK && nr) {
		worker_take_link(w, &msg.link, fd);
		return;
	} else {
		act(w, &msg, nr ? fd : -1);
	}
	if (!err && nr)
		close_fd(&fd);
}

void worker_keep_late(struct worker *w, const struct worker_msg *msg, int fd)
{
	uint32_t i = msg->type == WORKER_RESIZE ? 0 : msg->type == WORKER_LIMIT ? 1 : 2;

	close_fd(&w->late[i].fd);
	w->late[i].msg = *msg;
	w->late[i].fd = fd;
}

void worker_hear_late(struct worker *w)
{
	for (uint32_t i = 0; i < WORKER_LATE_NR; i++) {
		act(w, &w->late[i].msg, w->late[i].fd);
		close_fd(&w->late[i].fd);
	}
}

/* syscalls disk: read */
static void hear_kick(struct worker_queue *q)
{
	struct worker *w = q->w;
	uint64_t count;
	uint32_t number;
	bool orphaned;
	int link;

	if (read(q->kick_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&w->lock);
	q->stop = w->stopping;
	take_size(q);
	link = w->links[q->index].fd;
	number = w->links[q->index].number;
	w->links[q->index].fd = -1;
	orphaned = w->orphaned;
	take_limit(q);
	take_mirror(q);
	pthread_mutex_unlock(&w->lock);
	blkback_kicked(q->b);
	if (link >= 0)
		use_link(q, link, number);
	if (orphaned && disk_is_remote(q->disk) && !q->linked && blkback_busy(q->b))
		end_without_server(q);
}

/* ---- waiting ---------------------------------------------------------------------- */

enum { WAIT_KICK, WAIT_DISK, WAIT_EVENT, WAIT_SUPERVISOR, WAIT_NR };

static bool waits_for_disk(const struct worker_queue *q)
{
	return blkback_busy(q->b) || disk_is_remote(q->disk);
}

/*
 * Once it is gone it would be readable for ever. Told to stop, what is under way may need a
 * connection yet.
 */
static bool hears_supervisor(const struct worker_queue *q)
{
	return !q->index && !q->w->orphaned && (!q->stop || disk_is_remote(q->disk));
}

/* syscalls disk: poll ppoll read */
/* Polls; timeout_ms 0 only looks. A negative descriptor is not looked at. */
static void wait_for(struct worker_queue *q, bool events, int timeout_ms)
{
	struct pollfd p[WAIT_NR] = {
		[WAIT_KICK] = { .fd = q->kick_fd },
		[WAIT_DISK] = { .fd = waits_for_disk(q) ? disk_fd(q->disk) : -1 },
		[WAIT_EVENT] = { .fd = events ? xenevtchn_fd(q->xce) : -1 },
		[WAIT_SUPERVISOR] = { .fd = hears_supervisor(q) ? q->w->sock : -1 },
	};

	for (size_t i = 0; i < WAIT_NR; i++)
		p[i].events = POLLIN;
	if (poll(p, WAIT_NR, timeout_ms) <= 0)
		return;
	if (p[WAIT_SUPERVISOR].revents)
		hear_supervisor(q->w);
	if (p[WAIT_KICK].revents)
		hear_kick(q);
	if (p[WAIT_DISK].revents && !blkback_busy(q->b))
		disk_attend(q->disk);
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
	int delay_ms = unmask_or_delay_ms(q), wait_ms;

	if (blkback_final(q->b) != 0)
		return;
	wait_ms = blkback_housekeep(q->b);
	if (!delay_ms) {
		wait_for(q, true, wait_ms);
	} else {
		wait_for(q, false, wait_ms < 0 ? delay_ms : MIN(delay_ms, wait_ms));
		xenevtchn_unmask(q->xce, q->port);
		q->masked = false;
	}
	q->looked_cycles = spin_now_cycles();	/* at all that look_around() looks at */
}

/*
 * Looks at the ring for as long as that has paid lately. Not while a device or a
 * helper thread has work of ours: they wake us, and a helper may want this CPU. Nor
 * while a limit keeps us from what is in the ring.
 */
static bool spin_for_work(struct worker_queue *q)
{
	bool sleeps = blkback_busy(q->b) || blkback_is_held_back(q->b);
	uint32_t budget = sleeps ? 0 : spin_budget(&q->spin);
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
	uint64_t now = q->now_cycles = spin_now_cycles(), since = now - q->looked_cycles;
	uint64_t due = CONTROL_US * q->w->cycles_per_us;

	if (since < due || (since < 8 * due && blkback_pending(q->b) == 0))
		return;
	q->looked_cycles = now;
	blkback_housekeep(q->b);
	wait_for(q, false, 0);
}

static bool waits_for_others(struct worker_queue *q)
{
	bool waits;

	if (!hears_supervisor(q))
		return false;
	pthread_mutex_lock(&q->w->lock);
	waits = q->w->nr_drained < q->w->nr_queues - 1;
	pthread_mutex_unlock(&q->w->lock);
	return waits;
}

/* The first thread hears of connections for all others: it ends last. */
void worker_queue_leave(struct worker_queue *q)
{
	blkback_leave(q->b);
	if (!q->index)
		return;
	pthread_mutex_lock(&q->w->lock);
	q->w->nr_drained++;
	pthread_mutex_unlock(&q->w->lock);
	worker_kick(q->w, 0);
}

static bool owes_and_may_pay(const struct worker_queue *q, uint64_t until_ms)
{
	return disk_owes(q->disk) && hears_supervisor(q) && now_ms() < until_ms;
}

static void drain(struct worker_queue *q)
{
	uint64_t until = now_ms() + OWED_MS;

	while (blkback_busy(q->b) || waits_for_others(q) || owes_and_may_pay(q, until)) {
		int wait_ms = blkback_housekeep(q->b);

		if (disk_owes(q->disk)) {
			disk_note_owed(q->disk);
			wait_ms = wait_ms < 0 ? OWED_LOOK_MS : MIN(wait_ms, OWED_LOOK_MS);
		}
		if (!blkback_drain_pass(q->b))
			wait_for(q, false, wait_ms);
	}
	worker_queue_leave(q);
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
		if (did > 0 || blkback_is_newly_held(q->b))
			q->worked = true;
		if (did == 0 && !spin_for_work(q))
			wait_for_events(q);
	}
	journal_leave(journal_queue(q->w->journal, q->index), now_ns());
	drain(q);
}

/* syscalls nbd: exit_group */
/* A server that is not there may be waited for as long as nobody wants us to end. */
static void hear_while_draining(struct worker *w)
{
	hear_supervisor(w);
	if (!w->stopping && !w->orphaned)
		return;
	for (uint32_t i = 0; i < w->nr_queues; i++)
		disk_note_owed(w->queues[i].disk);
	_exit(1);	/* the journal has what is left */
}

/* syscalls disk: poll ppoll */
void worker_drain_all(struct worker *w)
{
	struct pollfd p[VBD_QUEUES_MAX + 1];
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
		/* A connection may come, or the word to stop. */
		p[w->nr_queues] = (struct pollfd){ .fd = w->start.remote ? w->sock : -1,
						   .events = POLLIN };
		/* The time limit: a queue may wait for another, not for a disk. */
		if (busy && !did && poll(p, w->nr_queues + 1, 10) > 0 &&
		    p[w->nr_queues].revents)
			hear_while_draining(w);
	}
}
