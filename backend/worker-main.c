/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker from START to STOPPED, in the stages that worker.h's picture shows.
 *
 * Hides: in which order things are opened, given up and undone. Must not know:
 * the loop (worker-loop.c), XenStore.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "blkback-limit.h"
#include "grant.h"
#include "image.h"
#include "mirror-copy.h"
#include "remote-dial.h"
#include "sandbox.h"
#include "worker-loop.h"
#include "worker-main.h"

/* Descriptors: a few for the process, seven or so for each queue. */
#define MAX_FDS (32u + 8u * VBD_QUEUES_MAX)

/* While the rings cannot be mapped for want of room: between tries, and words. */
#define WAIT_ROOM_MS 100
#define WAIT_SAY_MS 60000u

/* While a predecessor's end of an event channel may be on its way out. */
#define BIND_WAIT_MS 5
#define BIND_TRIES 400u

/* What a failure looks like in XenStore's error node and in the log. */
static int fail(struct failure *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct failure *why, int err, const char *fmt, ...)
{
	size_t used;
	va_list ap;

	why->err = -err;
	va_start(ap, fmt);
	vsnprintf(why->reason, sizeof(why->reason), fmt, ap);
	va_end(ap);
	used = strlen(why->reason);
	snprintf(why->reason + used, sizeof(why->reason) - used, ": %s", strerror(-err));
	return err;
}

/* ---- stage 1: START --------------------------------------------------------------- */

static int receive_start(struct worker *w, const struct sandbox *sandbox, struct failure *why)
{
	struct worker_msg msg;
	int fds[5] = { -1, -1, -1, -1, -1 };
	unsigned nr = 5;
	int err = worker_receive(w->sock, &msg, fds, &nr);

	if (err)
		return fail(why, err, "no START from the supervisor");
	if (msg.type == WORKER_COPY)
		exit(nr == 3 ? mirror_copy_main(w->sock, sandbox, &msg.copy, fds) : 1);
	if (msg.type == WORKER_START && msg.start.mirror_bytes && nr > 2)
		w->mirror_fd = fds[--nr];
	w->image = fds[0];
	w->journal_fd = nr > 1 ? fds[1] : -1;
	w->figures_fd = nr > 2 ? fds[2] : -1;
	w->flushes.elder = nr > 3 ? fds[3] : -1;
	if (msg.type == WORKER_DIAL || msg.type == WORKER_EXEC)
		exit(msg.type == WORKER_DIAL ? remote_dial(w->sock, sandbox, &msg.dial) :
					       remote_exec(w->sock, &msg.command));
	if (msg.type != WORKER_START || nr < 2)
		return fail(why, -EPROTO, "the supervisor began with message %u", msg.type);
	w->start = msg.start;
	w->start.export[sizeof(w->start.export) - 1] = '\0';
	w->sectors = w->start.features.sectors;
	w->nr_queues = w->start.front.nr_queues;
	if (!w->nr_queues || w->nr_queues > VBD_QUEUES_MAX)
		return fail(why, -EINVAL, "%u queues", w->nr_queues);
	log_peer_init(&w->log, "vbd %u/%u", w->start.frontend_id, w->start.devid);
	log_peer_first(&w->log, w->start.log_lines);
	return 0;
}

/* ---- stage 2: everything that must be opened ---------------------------------------- */

static uint32_t nr_slots(const struct worker *w, uint32_t queue)
{
	return blkback_nr_slots(w->start.front.abi, w->start.front.queue[queue].order);
}

static uint32_t nr_slots_max(const struct worker *w)
{
	uint32_t max = 0;

	for (uint32_t i = 0; i < w->nr_queues; i++)
		max = MAX(max, nr_slots(w, i));
	return max;
}

static const struct disk_ops *wanted_engine(const struct worker_start *s)
{
	if (s->remote)
		return &disk_nbd;
	switch (s->engine) {
	case WORKER_ENGINE_BUFFERED:
		return &disk_buffered;
	case WORKER_ENGINE_DIRECT:
		return &disk_direct;
	case WORKER_ENGINE_NULL:
		return &disk_null;
	case WORKER_ENGINE_AUTO:
		break;
	}
	/* A device has its own queue and needs no cache of ours before it. */
	return s->cache == VBD_CACHE_NONE || s->image_is_device ?
		&disk_direct : &disk_buffered;
}

/* syscalls start: openat read */
/* Not there: this is no Xen domain as Linux knows it. */
static bool domain_is_pv(void)
{
	char type[8] = "";
	autoclose int fd = open("/sys/hypervisor/guest_type", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, type, sizeof(type) - 1) > 0 && !strncmp(type, "PV\n", 3);
}

static int open_disk(struct worker *w, struct worker_queue *q, const struct disk_ops *ops,
		     char *text, size_t text_bytes)
{
	struct disk_config cfg = {
		.fd = w->image,
		.flushes = &w->flushes,
		.is_device = w->start.image_is_device,
		.dsync = w->start.cache == VBD_CACHE_WRITETHROUGH,
		.slow_foreign = domain_is_pv(),
		.secure_overwrite = w->start.secure_overwrite,
		.depth = nr_slots(w, q->index),
		.max_iov = BLKBACK_SEGMENTS_MAX,
		.remote = w->start.remote ? &q->remote : NULL,
	};

	return disk_open(ops, &cfg, &q->disk, text, text_bytes);
}

/* All or none: all go by one descriptor, and whether that is past the cache is its own. */
static int open_disks_by(struct worker *w, const struct disk_ops *ops, char *text,
			 size_t text_bytes)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < w->nr_queues; i++)
		err = open_disk(w, &w->queues[i], ops, text, text_bytes);
	for (uint32_t i = 0; err && i < w->nr_queues; i++) {
		disk_close(w->queues[i].disk);
		w->queues[i].disk = NULL;
	}
	return err;
}

/* By the engine wanted, or the one that every machine has. ops: in and out. */
static int open_disks(struct worker *w, const struct disk_ops **ops, struct failure *why)
{
	char text[120];
	int err = open_disks_by(w, *ops, text, sizeof(text));

	if (err == -EOPNOTSUPP && *ops == &disk_direct) {
		log_warning("%s: %s; its I/O goes through the page cache", w->log.who, text);
		*ops = &disk_buffered;
		err = open_disks_by(w, *ops, text, sizeof(text));
	}
	return err ? fail(why, err, "%s", text[0] ? text : "cannot use the image") : 0;
}

/* syscalls start: eventfd2 openat */
static int open_queue(struct worker *w, uint32_t index, struct failure *why)
{
	struct worker_queue *q = &w->queues[index];
	int err;

	q->w = w;
	q->index = index;
	q->remote = (struct disk_remote){
		.export = w->start.export, .read_only = w->start.features.read_only,
		.keeps_unflushed = w->start.keeps_unflushed,
		.timeout_ms = w->start.io_timeout_ms, .linked = worker_linked,
		.lost = worker_lost, .is_orphan = worker_queue_is_orphan, .arg = q,
	};
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0)
		return fail(why, -errno, "no eventfd");
	err = grant_open(&q->xgt);
	if (err)
		return fail(why, err, "cannot open the grant device");
	q->xce = xenevtchn_open(NULL, 0);
	if (!q->xce)
		return fail(why, errno ? -errno : -EIO, "cannot open the event channel device");
	/* No channel to any other domain; old kernels know no such restriction. */
	if (xenevtchn_restrict(q->xce, (domid_t)w->start.frontend_id))
		log_debug("%s: its event channels are not restricted: %s", w->log.who,
			  strerror(errno));
	return 0;
}

/* A page to tell a shortage by (grant.h). The host may have no more of them. */
static void open_own(struct worker *w)
{
	int err = grant_own_open(&w->own, w->start.domid, 1);

	if (err)
		log_debug("%s: no page of its own: %s", w->log.who, strerror(-err));
}

static int open_all(struct worker *w, const struct disk_ops **ops,
		    struct failure *why)
{
	const struct figures_layout layout = blk_figures_layout(w->nr_queues);
	int err;

	err = journal_open(w->journal_fd, w->nr_queues, nr_slots_max(w), &w->journal);
	if (err)
		return fail(why, err, "the journal of requests in flight is not usable");
	w->flushes.lost = journal_flush_lost(w->journal);
	*ops = wanted_engine(&w->start);
	for (uint32_t i = 0; i < w->nr_queues; i++) {
		err = open_queue(w, i, why);
		if (err)
			return err;
	}
	err = open_disks(w, ops, why);
	if (err)
		return err;
	open_own(w);
	err = figures_open(w->figures_fd, &layout, &w->figures);
	if (err)
		return fail(why, err, "no room for figures");
	/* Mapped, they are enough; by their descriptors all room on the run directory could be taken. */
	close_fd(&w->journal_fd);
	close_fd(&w->figures_fd);
	if (w->mirror_fd >= 0)
		err = dirty_map_open(w->mirror_fd, w->start.mirror_bytes, &w->dirty);
	if (err)
		return fail(why, err, "no memory for a mirror's map");
	err = blkback_limit_open(w->start.replay, &w->limit);
	if (err)
		return err;
	blkback_limit_set(w->limit, &w->start.limit);
	return blkback_gate_open(w->nr_queues, &w->gate);
}

/* ---- before the fence: what nobody waits for ------------------------------------------- */

/* Whoever waits for the fence hears nothing but a signal. */
#define ORPHANED SIGUSR1

/*
 * A successor whose supervisor has died is not the one that the next supervisor starts, and
 * must not come before it: until it has the fence it dies as well. After the new user, which
 * would forget it.
 */
/* syscalls start: prctl */
static void end_with_supervisor(void)
{
	prctl(PR_SET_PDEATHSIG, ORPHANED, 0, 0, 0);
}

/* syscalls disk: rt_sigprocmask */
static bool is_orphan_for_good(const struct worker *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, ORPHANED);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return worker_is_orphan(w);
}

/* ---- stage 3: privileges ------------------------------------------------------------- */

static int drop_privileges(struct worker *w, const struct sandbox *sandbox,
			   struct failure *why)
{
	int err = sandbox_before_loop(sandbox, MAX_FDS);

	if (err)
		return fail(why, err, "cannot drop privileges");
	end_with_supervisor();
	err = sandbox_final(sandbox, w->start.remote ? &sandbox_nbd : &sandbox_disk, w->sock);
	return err ? fail(why, err, "cannot restrict system calls (--seccomp=off goes without)") : 0;
}

/* ---- stage 4: the fence --------------------------------------------------------------- */

static void send_simple(struct worker *w, enum worker_type type)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = type };

	worker_send(w->sock, &msg, NULL, 0);
}

/*
 * After this no write of a predecessor, or of who had the image before, can land any more.
 * All that could be done while one serves has been done: its guest waits from its end to our
 * first pass.
 */
static int wait_for_fence(struct worker *w, struct failure *why)
{
	int err;

	if (w->start.prepare)
		send_simple(w, WORKER_PREPARED);
	err = image_fence(w->image, w->start.share, w->start.frontend_id, w->start.devid);
	if (!err && is_orphan_for_good(w))
		return fail(why, -ECANCELED, "the supervisor has gone");
	return err ? fail(why, err, "cannot lock the image against whoever had it before") : 0;
}

/* ---- stage 5: the front end's ring ------------------------------------------------------ */

static int map_ring(struct worker *w, struct worker_queue *q, struct failure *why)
{
	const struct vbd_ring *r = &w->start.front.queue[q->index];
	int err;

	q->ring_pages = 1u << r->order;
	err = grant_map_ring(q->xgt, &w->own, w->start.frontend_id, r->gref, q->ring_pages,
			     &q->ring);
	why->by_peer = err == -ENOENT || err == -EACCES;
	return err ? fail(why, err, "cannot map the ring (first gref %u, %u pages)",
			  r->gref[0], q->ring_pages) : 0;
}

static void unmap_ring(struct worker_queue *q)
{
	grant_unmap(q->xgt, q->ring, q->ring_pages);
	q->ring = NULL;
}

/* All or none: two devices that wait for entries must not wait for each other. */
static int map_rings(struct worker *w, struct failure *why)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < w->nr_queues; i++)
		err = map_ring(w, &w->queues[i], why);
	for (i = 0; err && i < w->nr_queues; i++)
		unmap_ring(&w->queues[i]);
	return err;
}

/* syscalls disk: poll ppoll */
/* 0: go on waiting. The supervisor's word, or its end, ends a wait. */
static int wait_a_while(struct worker *w, int timeout_ms)
{
	struct pollfd p = { .fd = w->sock, .events = POLLIN };
	struct worker_msg msg;
	unsigned nr = 1;
	int err, fd = -1;

	if (poll(&p, 1, timeout_ms) <= 0)
		return 0;
	err = worker_receive(w->sock, &msg, &fd, &nr);
	if (err)
		return err;
	if (msg.type == WORKER_LINK && nr) {
		worker_take_link(w, &msg.link, fd);
		return 0;
	}
	if (msg.type == WORKER_RESIZE || msg.type == WORKER_LIMIT || msg.type == WORKER_MIRROR)
		worker_keep_late(w, &msg, nr ? fd : -1);
	else if (nr)
		close_fd(&fd);
	return msg.type == WORKER_STOP ? -ECANCELED : 0;
}

static void say_waiting(struct worker *w)
{
	uint32_t pages = 0;

	send_simple(w, WORKER_WAITS);
	for (uint32_t i = 0; i < w->nr_queues; i++)
		pages += 1u << w->start.front.queue[i].order;
	log_warning("%s: no maptrack entries left to map its rings (%u pages): it waits until "
		    "there are; raise gnttab_max_maptrack_frames on Xen's command line (of a "
		    "driver domain: max_maptrack_frames), or lower --persistent-pages",
		    w->log.who, pages);
}

/* syscalls disk: getpid */
/*
 * Other devices give entries back when they are done, or idle, or short of them
 * themselves (grant.h). Not in step with others that wait.
 */
static int map_rings_when_possible(struct worker *w, struct failure *why)
{
	uint64_t said_ms = 0;
	int err;

	while ((err = map_rings(w, why)) && grant_is_short(err)) {
		if (!said_ms || now_ms() - said_ms >= WAIT_SAY_MS) {
			say_waiting(w);
			said_ms = now_ms();
		}
		if (wait_a_while(w, WAIT_ROOM_MS + (int)(getpid() % WAIT_ROOM_MS)))
			return err;
	}
	return err;
}

/* syscalls disk: ioctl(IOCTL_EVTCHN_BIND_INTERDOMAIN) */
static int bind_port(struct worker *w, struct worker_queue *q, struct failure *why)
{
	uint32_t remote = w->start.front.queue[q->index].port, tries = 0;
	xenevtchn_port_or_error_t port;

	/*
	 * A killed one's lock, the fence, may go before its channels do; also of one that was
	 * killed before it had begun, so that this looks like a first connection.
	 */
	while ((port = xenevtchn_bind_interdomain(q->xce, w->start.frontend_id, remote)) < 0 &&
	       errno == EINVAL && tries++ < BIND_TRIES)
		if (wait_a_while(w, BIND_WAIT_MS))
			return fail(why, -ECANCELED, "while event channel %u is bound", remote);
	why->by_peer = port < 0 && errno == EINVAL;
	if (port < 0)
		return fail(why, errno ? -errno : -EIO, "cannot bind event channel %u", remote);
	q->port = (evtchn_port_t)port;
	q->bound = true;
	return 0;
}

static int connect_queue(struct worker *w, struct worker_queue *q,
			 struct failure *why)
{
	struct blkback_queue_config cfg = {
		.domid = w->start.frontend_id,
		.abi = w->start.front.abi,
		.persistent = w->start.front.persistent && w->start.features.persistent,
		.persistent_pages = MAX(w->start.persistent_pages / w->nr_queues, 1),
		.persistent_idle_ms = w->start.persistent_idle_ms,
		.grants = w->start.grants,
		.features = &w->start.features,
		.nr_slots = nr_slots(w, q->index),
		.log = &w->log,
		.gate = w->gate,
		.limit = w->limit,
		.queue = q->index,
		.kick = worker_kick,
		.kick_arg = w,
		.xgt = q->xgt,
		.disk = q->disk,
		.journal = journal_queue(w->journal, q->index),
		.figures = w->figures,
		.now_cycles = &q->now_cycles,
	};
	int err = bind_port(w, q, why);

	if (err)
		return err;
	err = blkback_open(&cfg, &q->b);
	if (err)
		return fail(why, err, "cannot make a queue");
	blkback_set_dirty(q->b, w->dirty);
	q->count = blkback_figures(q->b);
	return 0;
}

static int connect_all(struct worker *w, struct failure *why)
{
	int err = map_rings_when_possible(w, why);

	grant_own_close(&w->own);	/* all workers together have 1,024 */
	for (uint32_t i = 0; !err && i < w->nr_queues; i++)
		err = connect_queue(w, &w->queues[i], why);
	return err;
}

/* ---- stage 6: what a predecessor left --------------------------------------------------- */

struct replay_item {
	struct worker_queue *q;
	struct journal_record *record;
};

struct replay {
	struct replay_item *items;
	size_t nr;
};

/* As barriers ask for: first what a barrier comes after, then it, then the rest. */
static int in_barrier_order(const void *a, const void *b)
{
	const struct journal_record *x = ((const struct replay_item *)a)->record;
	const struct journal_record *y = ((const struct replay_item *)b)->record;
	bool bx = blkback_record_is_barrier(x), by = blkback_record_is_barrier(y);

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	if (bx != by)
		return bx - by;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int add_to_replay(struct replay *all, struct worker_queue *q,
			 const struct journal_recovery *rec)
{
	struct replay_item *more = realloc(all->items, (all->nr + rec->nr_taken + 1) *
					   sizeof(*more));

	if (!more)
		return -ENOMEM;
	all->items = more;
	for (uint32_t i = 0; i < rec->nr_taken; i++)
		all->items[all->nr++] = (struct replay_item){ q, rec->taken[i] };
	return 0;
}

/* One queue on its ring: where a predecessor stopped, or at the beginning. */
static int start_queue(struct worker *w, struct worker_queue *q, struct replay *all,
		       struct failure *why)
{
	struct journal_recovery rec = { .req_cons = 0 };
	int err = -ENODATA;

	if (w->start.replay)
		err = journal_recover(journal_queue(w->journal, q->index), &rec);
	if (err && err != -ENODATA)
		return fail(why, err, "the journal of requests in flight is damaged");
	err = blkback_start(q->b, q->ring, (size_t)q->ring_pages * GRANT_PAGE_BYTES,
			    err ? NULL : &rec, q->xce, q->port);
	if (err == -ESTALE) {
		journal_recovery_free(&rec);
		why->by_peer = true;
		return fail(why, -EPROTO, "ring %u is not the one that was served: its producer has "
			    "gone back", q->index);
	}
	/* Insane indices: the first pass finds them again, and says BROKEN. */
	err = add_to_replay(all, q, &rec);
	journal_recovery_free(&rec);
	return err ? fail(why, err, "cannot replay") : 0;
}

static void replay_all(struct worker *w, const struct replay *all)
{
	for (size_t i = 0; i < all->nr; i++) {
		const struct replay_item *item = &all->items[i];
		bool barrier = blkback_record_is_barrier(item->record);

		if (barrier || !blkback_has_room(item->q->b, item->record))
			worker_drain_all(w);
		blkback_replay(item->q->b, item->record);
		if (barrier)
			worker_drain_all(w);
	}
	worker_drain_all(w);
	if (all->nr)
		log_info("%s: %zu requests of a predecessor were replayed",
			 w->log.who, all->nr);
}

static int start_and_replay(struct worker *w, struct failure *why)
{
	struct replay all = { .items = NULL };
	int err = 0;

	for (uint32_t i = 0; !err && i < w->nr_queues; i++)
		err = start_queue(w, &w->queues[i], &all, why);
	if (!err) {
		if (all.nr)
			qsort(all.items, all.nr, sizeof(all.items[0]), in_barrier_order);
		replay_all(w, &all);
	}
	free(all.items);
	return err;
}

/* ---- stage 7: serving --------------------------------------------------------------------- */

/* How long a microsecond is in the spin's unit, seen over the time of starting. */
struct stopwatch {
	uint64_t ns, cycles;
};

static uint64_t cycles_per_us(const struct stopwatch *since)
{
	uint64_t ns, cycles;

	do {
		ns = now_ns() - since->ns;
		cycles = spin_now_cycles() - since->cycles;
	} while (ns < 100000);
	return MAX(cycles * 1000 / ns, 1);
}

static void *queue_thread(void *arg)
{
	worker_queue_run(arg);
	return NULL;
}

/* syscalls disk: clone(thread) */
static int start_threads(struct worker *w, const struct stopwatch *watch,
			 struct failure *why)
{
	uint64_t limit;

	w->cycles_per_us = cycles_per_us(watch);
	limit = MIN(w->start.poll_us * w->cycles_per_us, UINT32_MAX / 4);
	w->threads_run = true;
	for (uint32_t i = 0; i < w->nr_queues; i++) {
		spin_init(&w->queues[i].spin, (uint32_t)limit);
		blkback_set_clock(w->queues[i].b, w->cycles_per_us);
	}
	for (uint32_t i = 1; i < w->nr_queues; i++) {
		int err = pthread_create(&w->queues[i].thread, NULL, queue_thread,
					 &w->queues[i]);

		if (err)
			return fail(why, -err, "no thread for queue %u", i);
		w->queues[i].thread_started = true;
	}
	return 0;
}

/* A thread could not start: those that did end the regular way. */
static void give_up_threads(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_mutex_unlock(&w->lock);
	for (uint32_t i = 0; i < w->nr_queues; i++)
		worker_kick(w, i);
	/* Or who has come to a barrier would wait for them, and so would the first. */
	for (uint32_t i = 1; i < w->nr_queues; i++)
		if (!w->queues[i].thread_started)
			worker_queue_leave(&w->queues[i]);
	worker_queue_run(&w->queues[0]);
}

static void join_threads(struct worker *w)
{
	for (uint32_t i = 1; i < w->nr_queues; i++)
		if (w->queues[i].thread_started)
			pthread_join(w->queues[i].thread, NULL);
}

static void say_ready(struct worker *w, const struct disk_ops *ops)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_READY };

	snprintf(msg.engine, sizeof(msg.engine), "%s", ops->name);
	worker_send(w->sock, &msg, NULL, 0);
}

/* The supervisor decides what becomes of the device; nothing runs meanwhile. */
static void report_broken(struct worker *w)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_BROKEN };

	msg.failure.err = EPROTO;
	snprintf(msg.failure.reason, sizeof(msg.failure.reason),
		 "the ring's request producer is impossible");
	if (worker_send(w->sock, &msg, NULL, 0) || w->told_to_stop)
		return;
	while (worker_receive(w->sock, &msg, NULL, NULL) != -EPIPE)
		if (msg.type == WORKER_STOP)
			return;
	w->orphaned = true;
}

/* ---- stage 8: the end, from any stage -------------------------------------------------------- */

/* syscalls disk: ioctl(IOCTL_EVTCHN_UNBIND) close */
static void close_queue(struct worker_queue *q)
{
	blkback_close(q->b);
	disk_close(q->disk);
	if (q->bound)
		xenevtchn_unbind(q->xce, q->port);
	unmap_ring(q);
	if (q->xce)
		xenevtchn_close(q->xce);
	if (q->xgt)
		xengnttab_close(q->xgt);
	close_fd(&q->kick_fd);
}

static void close_all(struct worker *w)
{
	for (uint32_t i = 0; i < VBD_QUEUES_MAX; i++)
		close_queue(&w->queues[i]);
	grant_own_close(&w->own);
	blkback_gate_close(w->gate);
	blkback_limit_close(w->limit);
	journal_close(w->journal);
	figures_close(w->figures);
	close_fd(&w->journal_fd);
	close_fd(&w->figures_fd);
	dirty_map_close(w->dirty);
	dirty_map_close(w->former_dirty);
	close_fd(&w->mirror_fd);
	for (uint32_t i = 0; i < WORKER_LATE_NR; i++)
		close_fd(&w->late[i].fd);
	close_fd(&w->flushes.elder);
	close_fd(&w->image);
}

static void init(struct worker *w, int sock)
{
	memset(w, 0, sizeof(*w));
	w->sock = sock;
	w->image = w->journal_fd = w->figures_fd = w->mirror_fd = w->flushes.elder = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->flushes.lock, NULL);
	for (uint32_t i = 0; i < VBD_QUEUES_MAX; i++)
		w->queues[i].kick_fd = w->links[i].fd = -1;
	for (uint32_t i = 0; i < WORKER_LATE_NR; i++)
		w->late[i].fd = -1;
	mallopt(M_ARENA_MAX, 1);	/* one heap, whatever the number of threads */
}

static int start(struct worker *w, const struct sandbox *sandbox, const struct disk_ops **ops,
		 const struct stopwatch *watch, struct failure *why)
{
	int err = receive_start(w, sandbox, why);

	if (!err)
		err = open_all(w, ops, why);
	if (!err)
		err = drop_privileges(w, sandbox, why);
	if (!err)
		err = wait_for_fence(w, why);
	if (!err)
		err = connect_all(w, why);
	if (!err)
		err = start_and_replay(w, why);
	if (!err)
		err = start_threads(w, watch, why);
	return err;
}

int worker_main(int sock, const struct sandbox *sandbox)
{
	struct stopwatch watch = { .ns = now_ns(), .cycles = spin_now_cycles() };
	struct worker_msg failed = { .version = WORKER_VERSION, .type = WORKER_FAILED };
	const struct disk_ops *ops = NULL;
	static struct worker w;
	int err;

	init(&w, sock);
	err = start(&w, sandbox, &ops, &watch, &failed.failure);
	if (err) {
		if (w.threads_run)
			give_up_threads(&w);
		join_threads(&w);
		close_all(&w);
		return worker_send(sock, &failed, NULL, 0) ? 1 : 0;
	}
	for (uint32_t i = 0; i < w.nr_queues; i++)
		journal_begin(journal_queue(w.journal, i), now_ns());
	say_ready(&w, ops);
	worker_hear_late(&w);
	worker_queue_run(&w.queues[0]);
	join_threads(&w);
	if (w.broken)
		report_broken(&w);
	close_all(&w);
	if (w.orphaned)
		return 1;
	send_simple(&w, WORKER_STOPPED);
	return 0;
}
