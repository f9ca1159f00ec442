/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From responses to completed ios, and when to notify, look and sleep. Hides
 * the checks on what the back end answers and the hold-off of its
 * notifications; must not know how requests are built (blkfront-io.c).
 *
 * The back end is not trusted: an answer that cannot be true makes the device
 * broken, with a reason. From then on its pages stay out of use until close.
 */
#include <errno.h>
#include <stdlib.h>

#include "blkfront-priv.h"

#define STORM_WAKEUPS 64u	/* wake-ups in a row that brought nothing */
#define PASSES_PER_LOOK 4096u
#define PEER_ADVICE "the back end cannot be trusted with this device: detach it, and " \
		    "report the back end's name and version"

/* ---- a back end that lies ------------------------------------------------------ */

static void break_device(struct blkfront *f)
{
	f->broken = true;
	frontdev_publish_error(&f->dev);
	blkfront_fail_all(f, -EPROTO);
}

static void complete(struct blkfront *f, struct blkfront_io *io)
{
	f->inflight--;
	f->nr_done++;
	f->stats.ios++;
	io->done(io, io->lib.result);
}

void blkfront_io_failed(struct blkfront *f, struct blkfront_io *io, int err)
{
	if (!io->lib.result)
		io->lib.result = err;
	io->lib.todo_bytes = 0;
	if (!io->lib.nr_ring)
		complete(f, io);
}

/*
 * The pages of what was in flight are not given back to the pool: the back end
 * may still write to them.
 */
void blkfront_fail_all(struct blkfront *f, int err)
{
	struct blkfront_queue *q;
	struct blkfront_io *io;
	struct shadow *s;

	for (q = f->queue; q < f->queue + f->nr_queues; q++) {
		for (s = q->shadow; s && s < q->shadow + q->nr_shadow; s++) {
			io = s->io;
			if (!io)
				continue;
			s->io = NULL;
			io->lib.nr_ring--;
			io->lib.restart = false;
			if (io == &f->orphan)
				continue;
			blkfront_drop_rest(q, io);
			blkfront_io_failed(f, io, err);
		}
		while ((io = q->waiting)) {
			blkfront_drop_rest(q, io);
			blkfront_io_failed(f, io, err);
		}
	}
	while ((io = f->instant)) {
		f->instant = io->lib.next;
		blkfront_io_failed(f, io, err);
	}
}

/* ---- one response ---------------------------------------------------------------- */

static int result_of(int16_t status)
{
	return status == BLKIF_RSP_OKAY ? 0 :
	       status == BLKIF_RSP_EOPNOTSUPP ? -EOPNOTSUPP : -EIO;
}

/* The back end withdrew what it had offered: do without, from now on. */
static int withdraw(struct blkfront *f, struct shadow *s, struct blkfront_io *io)
{
	switch (s->op) {
	case BLKIF_OP_FLUSH_DISKCACHE:
		f->back.flush = false;
		io->lib.restart = f->back.barrier;
		f->flush_refused = !f->back.barrier;
		break;
	case BLKIF_OP_WRITE_BARRIER:
		f->back.barrier = false;
		f->flush_refused = true;
		break;
	case BLKIF_OP_DISCARD:
		if (io->flags & BLKFRONT_SECURE)
			f->back.discard_secure = false;
		else
			f->back.discard = false;
		break;
	default:
		if (!s->nr_lists)
			break;
		f->max_segments = BLKFRONT_DIRECT_MAX;
		io->lib.restart = true;
	}
	return io->lib.restart ? 0 : -EOPNOTSUPP;
}

/* All over again, in another way; runs before what waits. */
static void restart(struct blkfront *f, struct blkfront_queue *q, struct blkfront_io *io)
{
	bool copy;
	uint64_t bytes = io->nr_iov ? blkfront_iov_bytes(f, io, &copy) : 1;

	blkfront_io_start(io, bytes);
	io->lib.next = q->waiting;
	if (!q->waiting)
		q->waiting_end = &io->lib.next;
	q->waiting = io;
}

static void finish(struct blkfront *f, struct blkfront_queue *q, struct shadow *s,
		   int16_t status)
{
	struct blkfront_io *io = s->io;
	int r = result_of(status);

	if (r == -EOPNOTSUPP && io != &f->orphan)
		r = withdraw(f, s, io);
	else if (r == 0 && s->op == BLKIF_OP_READ && io->lib.copy)
		blkfront_copy(f, s, false);
	blkfront_shadow_put(f, q, s);
	io->lib.nr_ring--;
	if (io == &f->orphan)
		return;
	if (r < 0 || io->lib.restart)
		blkfront_drop_rest(q, io);
	if (r < 0 && !io->lib.result)
		io->lib.result = r;
	if (io->lib.nr_ring || io->lib.todo_bytes)
		return;
	if (io->lib.restart && !io->lib.result)
		restart(f, q, io);
	else
		complete(f, io);
}

static int respond(struct blkfront *f, struct blkfront_queue *q,
		   const struct blkif_response *rsp)
{
	uint32_t i = (uint32_t)rsp->id;
	struct shadow *s = q->shadow + i;

	if (i >= q->nr_shadow || s->id != rsp->id || !s->io)
		return frontdev_fail(&f->dev, -EPROTO, PEER_ADVICE,
				     "back end %s answered request id %u, which is not in flight",
				     f->dev.bus.otherend, rsp->id);
	if (rsp->operation != s->op)
		return frontdev_fail(&f->dev, -EPROTO, PEER_ADVICE,
				     "back end %s answered operation %u with operation %u",
				     f->dev.bus.otherend, (uint64_t)s->op,
				     (uint64_t)rsp->operation);
	if (rsp->status > BLKIF_RSP_OKAY || rsp->status < BLKIF_RSP_EOPNOTSUPP)
		return frontdev_fail(&f->dev, -EPROTO, PEER_ADVICE,
				     "back end %s answered with status %u, which blkif.h does "
				     "not know", f->dev.bus.otherend,
				     (uint64_t)(uint16_t)rsp->status);
	f->stats.ring_requests++;
	finish(f, q, s, rsp->status);
	return 0;
}

/*
 * Takes the responses that are there now. Returns their number. A done() that polls takes some of
 * them itself.
 */
static int reap(struct blkfront *f, struct blkfront_queue *q)
{
	int n = ring_front_pending(&q->ring);
	uint32_t end = q->ring.rsp_cons + (uint32_t)n;
	struct blkif_response rsp;

	if (n < 0) {
		frontdev_fail(&f->dev, n, PEER_ADVICE, "back end %s announced more responses "
			      "than there were requests", f->dev.bus.otherend);
		break_device(f);
		return n;
	}
	while ((int32_t)(end - q->ring.rsp_cons) > 0 && !f->broken) {
		ring_front_take(&q->ring, &rsp, sizeof(rsp));
		if (respond(f, q, &rsp) < 0)
			break_device(f);
	}
	return n;
}

int blkfront_reap(struct blkfront *f)
{
	struct blkfront_queue *q;
	int r, n = 0;

	for (q = f->queue; q < f->queue + f->nr_queues && !f->broken; q++) {
		r = reap(f, q);
		if (r > 0)
			n += r;
	}
	return n;
}

/* ---- passes ------------------------------------------------------------------------- */

static void push(struct blkfront *f, struct blkfront_queue *q)
{
	if (ring_front_push(&q->ring)) {
		xenevtchn_notify(f->dev.env->xce, q->port);
		f->stats.notifies_sent++;
	}
}

void blkfront_kick(struct blkfront *f)
{
	struct blkfront_queue *q;

	for (q = f->queue; q < f->queue + f->nr_queues && !f->broken; q++)
		push(f, q);
}

static void run_instant(struct blkfront *f)
{
	struct blkfront_io *io, *next;

	for (io = f->instant, f->instant = NULL; io; io = next) {
		next = io->lib.next;
		complete(f, io);
	}
}

/*
 * Everything that can be done without sleeping. Returns the responses taken.
 * All queues are reaped before any is issued: they share the pool.
 */
static int pass(struct blkfront *f)
{
	struct blkfront_queue *q, *end = f->queue + f->nr_queues;
	int n;

	if (f->instant)
		run_instant(f);
	n = blkfront_reap(f);
	for (q = f->queue; q < end && !f->broken; q++) {
		if (q->waiting)
			blkfront_issue_waiting(f, q);
		push(f, q);
	}
	return n;
}

int blkfront_poll(struct blkfront *f)
{
	uint64_t before = f->nr_done;

	pass(f);
	return (int)(f->nr_done - before);
}

/* Nodes that cannot be are no fault of a device that works: they may be half written. */
static void look_at_size(struct blkfront *f)
{
	const struct front_problem before = f->dev.problem;
	struct vbd_features now;

	if (blkfront_read_back(f, &now) < 0) {
		f->dev.problem = before;
	} else if (f->back.sectors != now.sectors) {
		f->back.sectors = now.sectors;
		f->resized = true;
	}
}

/* A watch fired: the back end may have left, or the disk's size changed. */
static void look_at_peer(struct blkfront *f)
{
	if (!frontdev_peer_news(&f->dev))
		return;
	if (!frontdev_peer_gone(&f->dev)) {
		look_at_size(f);
		return;
	}
	f->closing = true;
	if (f->dev.peer == XenbusStateClosing)	/* it serves us until we close */
		return;
	if (!f->leaving)
		frontdev_fail(&f->dev, -ECONNABORTED, "was the device detached?",
			      "back end %s went to %s", f->dev.bus.otherend,
			      xenbus_state_name(f->dev.peer));
	pass(f);	/* what it answered before counts */
	f->leaving = true;
	blkfront_fail_all(f, -ECONNABORTED);
}

/* ---- sleeping ------------------------------------------------------------------------ */

static bool anything_there(struct blkfront *f)
{
	struct blkfront_queue *q;

	for (q = f->queue; q < f->queue + f->nr_queues; q++)
		if (ring_front_pending(&q->ring))
			return true;
	return false;
}

/* True: responses came while we looked. */
static bool look(struct blkfront *f)
{
	uint32_t budget = spin_budget(&f->spin);
	uint64_t start, took;

	if (!budget)
		return false;
	f->stats.spins++;
	start = spin_now_cycles();
	do {
		if (anything_there(f)) {
			took = spin_now_cycles() - start;
			spin_hit(&f->spin, took);
			f->stats.spin_hits++;
			f->stats.spin_cycles += took;
			return true;
		}
		spin_pause();
		took = spin_now_cycles() - start;
	} while (took < budget);
	spin_miss(&f->spin);
	f->stats.spin_cycles += took;
	return false;
}

/*
 * The response of q worth a wake-up when the caller waits for want more ios:
 * each takes at least one response, so an earlier one is never needed; with
 * several queues one of them must reach its share. When ios wait
 * for room, half of the ring is worth refilling. What an interrupted call left on
 * the rings may be answered last, or never.
 */
static uint32_t worth_waking(const struct blkfront *f, const struct blkfront_queue *q,
			     uint32_t want)
{
	uint32_t there = ring_front_inflight(&q->ring), n;

	there -= there < f->orphan.lib.nr_ring ? there : f->orphan.lib.nr_ring;
	if (q->waiting)
		n = there / 2;
	else if (want >= f->inflight)
		n = there;
	else
		n = (want + f->nr_queues - 1) / f->nr_queues;
	if (n > there)
		n = there;
	return n ? n : 1;
}

/* Asks for wake-ups. False: enough is there already, do not sleep. */
static bool arm(struct blkfront *f, uint32_t want)
{
	struct blkfront_queue *q;
	uint32_t n;
	int r;

	for (q = f->queue; q < f->queue + f->nr_queues; q++) {
		if (!ring_front_inflight(&q->ring))
			continue;
		n = worth_waking(f, q, want);
		r = ring_front_final(&q->ring, n);
		if (r < 0 || (uint32_t)r >= n)
			return false;
	}
	return true;
}

/* A back end that wakes us without need gets a nap each time from some point on. */
static int note_wakeup(struct blkfront *f, int responses, int *left_ms)
{
	f->stats.wakeups++;
	if (responses) {
		f->idle_wakeups = 0;
		return 0;
	}
	f->stats.spurious_wakeups++;
	return ++f->idle_wakeups < STORM_WAKEUPS ? 0 : frontdev_nap(f->dev.env, left_ms);
}

/*
 * While the back end keeps up we never sleep, and would never hear of the
 * store or of the caller's wish to stop.
 */
static int look_around(struct blkfront *f)
{
	if (++f->passes % PASSES_PER_LOOK)
		return 0;
	return frontdev_poll(f->dev.env);
}

/* What can be done after a wait that returned r. Returns responses, or -errno. */
static int after_wait(struct blkfront *f, int *r, int *left_ms)
{
	int nap, n = pass(f);

	if (*r & FRONT_WAIT_EVENT) {
		nap = note_wakeup(f, n, left_ms);
		if (nap < 0)
			return nap;
		*r |= nap & (int)FRONT_WAIT_CALLER;
	}
	if (f->dev.peer_news)
		look_at_peer(f);
	return n;
}

int blkfront_wait_left(struct blkfront *f, unsigned int min, int *left_ms)
{
	uint64_t before = f->nr_done;
	bool over = false;
	int r = 0, n;

	for (;;) {
		n = look_around(f);
		if (n < 0)
			return n;
		r |= n & (int)FRONT_WAIT_CALLER;
		n = after_wait(f, &r, left_ms);
		if (n < 0)
			return n;
		if (f->nr_done - before >= min || !f->inflight || over ||
		    (r & FRONT_WAIT_CALLER))
			return (int)(f->nr_done - before);
		r = 0;
		if (n || look(f) || !arm(f, min - (uint32_t)(f->nr_done - before)))
			continue;
		r = frontdev_wait(f->dev.env, FRONT_WAIT_STORE | FRONT_WAIT_EVENT, left_ms);
		if (r < 0)
			return r;
		if (r == 0)
			*left_ms = 0;
		over = !*left_ms;	/* though events go on coming */
	}
}

int blkfront_wait(struct blkfront *f, unsigned int min, int timeout_ms)
{
	return blkfront_wait_left(f, min, &timeout_ms);
}

int blkfront_rest(struct blkfront *f, int timeout_ms)
{
	uint64_t before = f->nr_done;
	bool closing = f->closing;
	int r = 0, n = after_wait(f, &r, &timeout_ms);

	if (f->nr_done == before && f->closing == closing && !f->leaving) {
		if (f->inflight && !arm(f, 1))
			timeout_ms = 0;
		r = frontdev_wait(f->dev.env, FRONT_WAIT_STORE | FRONT_WAIT_EVENT,
				  &timeout_ms);
		n = r < 0 ? r : after_wait(f, &r, &timeout_ms);
	}
	if (n < 0)
		return n;
	if (f->leaving && !f->inflight && f->nr_done == before)
		return -ECONNABORTED;
	return (int)(f->nr_done - before);
}

bool blkfront_closing(const struct blkfront *f)
{
	return f->closing;
}

bool blkfront_resized(struct blkfront *f)
{
	bool resized = f->resized;

	f->resized = false;
	return resized;
}

void blkfront_keep(struct blkfront *f)
{
	xenbus_write_error(&f->dev.bus, EBUSY, "the device is in use; it closes when it is not");
}

unsigned int blkfront_inflight(const struct blkfront *f)
{
	return f->inflight;
}

/* ---- one at a time --------------------------------------------------------------------- */

struct sync {
	bool over;
	int result;
};

static void sync_done(struct blkfront_io *io, int result)
{
	struct sync *sync = io->arg;

	sync->over = true;
	sync->result = result;
}

/* Takes an io back whose caller leaves; its answers will go to nobody. */
static void abandon(struct blkfront *f, struct blkfront_io *io)
{
	struct blkfront_io **at = &f->instant;
	struct blkfront_queue *q;
	struct shadow *s;

	while (*at && *at != io)
		at = &(*at)->lib.next;
	if (*at)
		*at = io->lib.next;
	f->orphan.lib.copy = false;
	for (q = f->queue; q < f->queue + f->nr_queues; q++) {
		blkfront_drop_rest(q, io);
		for (s = q->shadow; s < q->shadow + q->nr_shadow; s++)
			if (s->io == io) {
				s->io = &f->orphan;
				f->orphan.lib.nr_ring++;
			}
	}
	f->inflight--;
}

static int run(struct blkfront *f, struct blkfront_io *io)
{
	struct sync sync = { .over = false };
	int r;

	io->done = sync_done;
	io->arg = &sync;
	/* A caller that leaves an io behind takes its pages along: none of them may be in it. */
	f->copies = true;
	r = blkfront_submit(f, io);
	f->copies = false;
	if (r < 0)
		return r;
	while (r >= 0 && !sync.over)
		r = blkfront_wait(f, 1, -1);
	if (sync.over)
		return sync.result;
	abandon(f, io);
	return r;
}

int blkfront_read(struct blkfront *f, uint64_t offset_bytes, void *buf, size_t bytes)
{
	struct blkfront_iov iov = { buf, bytes };
	struct blkfront_io io = { .op = BLKFRONT_READ, .offset_bytes = offset_bytes,
				  .iov = &iov, .nr_iov = 1 };

	return run(f, &io);
}

int blkfront_write(struct blkfront *f, uint64_t offset_bytes, const void *buf,
		   size_t bytes)
{
	struct blkfront_iov iov = { (void *)(uintptr_t)buf, bytes };
	struct blkfront_io io = { .op = BLKFRONT_WRITE, .offset_bytes = offset_bytes,
				  .iov = &iov, .nr_iov = 1 };

	return run(f, &io);
}

int blkfront_flush(struct blkfront *f)
{
	struct blkfront_io io = { .op = BLKFRONT_FLUSH };

	return run(f, &io);
}

int blkfront_discard(struct blkfront *f, uint64_t offset_bytes, uint64_t bytes,
		     bool secure)
{
	struct blkfront_io io = { .op = BLKFRONT_DISCARD, .offset_bytes = offset_bytes,
				  .bytes = bytes, .flags = secure ? BLKFRONT_SECURE : 0 };

	return run(f, &io);
}
