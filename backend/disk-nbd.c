/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine for images behind an NBD server, by libnbd.
 *
 * Hides: the protocol, what is sent again on the next connection, deadlines. Must not know:
 * addresses, servers, who makes connections.
 *
 * A connection is a socket that somebody else has connected (disk_link): a worker's
 * sandbox has no network. While there is none, operations wait in the order they came;
 * when one is lost, all that was not answered waits again. An operation may so be done
 * twice, which is harmless if the first time has ended before the second begins: whoever
 * brings the next socket sees to that (remote.h).
 */
#include "disk-nbd-internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "util.h"

#define TICK_MS 250			/* how late a deadline may be noticed */
#define PAYLOAD_BYTES (32u << 20)	/* what every server takes that names no limit */
#define LAST_FLUSH_MS 20000u		/* shorter than a worker has to end */
#define OWED_MS 1000u			/* longer than it takes all of a daemon to end with it */
#define SENT_OFTEN 3u			/* a server may be lost by chance, and not always by one job */

static struct nbd_disk *of(struct disk *disk)
{
	return (struct nbd_disk *)disk;
}

/* ---- time ------------------------------------------------------------------------ */

/* syscalls nbd: timerfd_settime */
/* Runs only while something waits that has a deadline. */
static void set_ticking(struct nbd_disk *d, bool on)
{
	struct itimerspec t = { .it_interval.tv_nsec = TICK_MS * 1000000,
				.it_value.tv_nsec = TICK_MS * 1000000 };

	if (!d->remote->timeout_ms || d->ticking == on)
		return;
	if (!on)
		memset(&t, 0, sizeof(t));
	timerfd_settime(d->timer_fd, 0, &t, NULL);
	d->ticking = on;
}

/* ---- the connection --------------------------------------------------------------------- */

static void fail_all(struct nbd_disk *d, int err)
{
	struct job *j;

	while ((j = TAILQ_FIRST(&d->active)))
		disk_nbd_finish(d, j, err);
}

/* syscalls nbd: epoll_ctl */
static void watch_socket(struct nbd_disk *d)
{
	unsigned direction = d->nbd ? libnbd.aio_get_direction(d->nbd) : 0;
	struct epoll_event ev = { .data.fd = d->sock };

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		ev.events |= EPOLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		ev.events |= EPOLLOUT;
	if (!d->nbd || ev.events == d->events)
		return;
	d->events = ev.events;
	epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, d->sock, &ev);
}

/* syscalls nbd: close shutdown epoll_ctl */
/*
 * Whatever was on its way goes back to where it waits. After libnbd.close() nothing
 * reads or writes its memory.
 */
static void drop(struct nbd_disk *d)
{
	struct job *j;

	if (!d->nbd)
		return;
	epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, d->sock, NULL);
	close_fd(&d->sock);
	libnbd.close(d->nbd);
	d->nbd = NULL;
	if (d->ready)
		d->lost_ms = now_ms();
	d->ready = false;
	d->finished = NULL;
	for (uint32_t i = 0; i < COMMANDS; i++)
		if (d->commands[i].job)
			disk_nbd_free_command(d, &d->commands[i]);
	TAILQ_FOREACH(j, &d->active, link) {
		j->lost += j->commands > 0;
		disk_nbd_rewind(j);
	}
	d->next_job = TAILQ_FIRST(&d->active);
	d->again_runs = false;
	set_ticking(d, d->next_job);
}

static void lose(struct nbd_disk *d, const char *why)
{
	char text[160];

	snprintf(text, sizeof(text), "%s", why && *why ? why : "the connection ended");
	drop(d);
	d->remote->lost(d->remote->arg, text);
}

static bool can(int answer)
{
	return answer > 0;
}

/* False: it cannot serve this disk, and why. */
static bool take_server(struct nbd_disk *d, char *why, size_t why_bytes)
{
	int64_t max = libnbd.get_block_size(d->nbd, LIBNBD_SIZE_MAXIMUM);

	d->flush = can(libnbd.can_flush(d->nbd));
	d->fua = can(libnbd.can_fua(d->nbd));
	d->trim = can(libnbd.can_trim(d->nbd));
	d->zero = can(libnbd.can_zero(d->nbd));
	d->max_bytes = max >= 65536 && max < (int64_t)PAYLOAD_BYTES ? (uint32_t)max :
								      PAYLOAD_BYTES;
	if (!d->remote->read_only && can(libnbd.is_read_only(d->nbd))) {
		snprintf(why, why_bytes, "the server has made the export read-only");
		return false;
	}
	return true;
}

static void now_ready(struct nbd_disk *d)
{
	if (d->doubted)
		disk_flushes_doubt(d->flushes, false);
	d->doubted = false;
	d->ready = true;
	d->gave_up = false;
	d->ready_ms = now_ms();
	d->remote->linked(d->remote->arg, (uint64_t)libnbd.get_size(d->nbd));
}

#define NOT_AGAIN "it refuses what it had answered and lost"

/* The next of the writes to be made again; after the last the connection is ready. */
static void write_again(struct nbd_disk *d)
{
	d->again_runs = d->unflushed &&
		unflushed_next(d->unflushed, &d->again_next, &d->again_io.offset_bytes,
			       &d->again_iov);
	if (!d->again_runs) {
		now_ready(d);
		return;
	}
	d->again.io = &d->again_io;
	disk_nbd_rewind(&d->again);
	d->again_io.op = DISK_WRITE;
	d->again_io.iov = &d->again_iov;
	d->again_io.nr_iov = 1;
	d->again_io.bytes = d->again_iov.iov_len;
	while (d->again.phase != JOB_SENT && d->free_commands && !libnbd.aio_is_dead(d->nbd))
		disk_nbd_send_next(d, &d->again);
	/* Refused here already: nothing would tell of its end. */
	if (d->again.phase == JOB_SENT && !d->again.commands)
		lose(d, NOT_AGAIN);
}

static void check_connection(struct nbd_disk *d)
{
	char why[120];

	if (!d->nbd)
		return;
	if (libnbd.aio_is_dead(d->nbd) || libnbd.aio_is_closed(d->nbd)) {
		lose(d, d->ready ? "the server has closed the connection" : libnbd.get_error());
		return;
	}
	if (d->ready || d->again_runs || !libnbd.aio_is_ready(d->nbd))
		return;
	if (!take_server(d, why, sizeof(why))) {
		lose(d, why);
		return;
	}
	d->again_next = 0;
	write_again(d);
}

static bool needs_flush(const struct nbd_disk *d, const struct disk_io *io)
{
	if (!d->flush)
		return false;	/* it says so by having nothing that could be lost */
	return (io->op == DISK_WRITE && d->dsync && !d->fua) ||
	       (io->op == DISK_DISCARD && io->secure);
}

/*
 * A server may be told once, and by its kernel only once, that what was written is gone. Of
 * flushes that were on their way together each may have been told of the other's; so may
 * durable writes (disk.c has the same).
 */
static void remember_lost(struct nbd_disk *d, struct job *j, bool flush)
{
	if (flush || (j->err == -EIO && j->io->op == DISK_WRITE && d->dsync && d->fua))
		disk_flushes_note(d->flushes, j->err);
	if (!j->err && j->io->op == DISK_FLUSH)
		j->err = disk_flushes_lost(d->flushes);
}

/* What is over for a job whose last command has ended. False: a flush is to follow. */
static bool is_over(struct nbd_disk *d, struct job *j)
{
	bool flush = j->flushed || j->io->op == DISK_FLUSH;

	remember_lost(d, j, flush);
	if (j->err)
		return true;
	if (d->unflushed && flush)
		unflushed_drop(d->unflushed, j->mark);
	if (flush)
		return true;
	if (needs_flush(d, j->io))
		return false;
	return !d->unflushed || !d->flush || j->io->op != DISK_WRITE ||
	       (d->dsync && d->fua) ||
	       unflushed_add(d->unflushed, j->io->offset_bytes, j->io->iov, j->io->bytes);
}

/* One that the server will not have again is lost, and the next flush must not say else. */
static void wrote_again(struct nbd_disk *d, int err)
{
	if (err)
		lose(d, NOT_AGAIN);
	else
		write_again(d);
}

/* What libnbd has told of, in any order. */
static void reap_finished(struct nbd_disk *d)
{
	while (d->finished) {
		struct command *c = d->finished;
		struct job *j = c->job;
		int err = c->err;

		d->finished = c->next;
		/* Not the server's answer: the connection is over, drop() follows. */
		if (err == ENOTCONN || err == ESHUTDOWN)
			continue;
		if (!err && c->staged && j->io->op == DISK_READ)
			disk_stage_scatter(c->scatter, c->staged, c->staged_bytes);
		disk_nbd_free_command(d, c);
		j->commands--;
		disk_nbd_progress(d, j);
		if (err && !j->err)
			j->err = err == ENOTSUP ? -EOPNOTSUPP : -err;
		if (j->commands || j->phase != JOB_SENT)
			continue;
		if (j == &d->again) {
			wrote_again(d, j->err);
			continue;
		}
		if (!is_over(d, j)) {
			j->flushed = true;
			j->phase = JOB_FLUSH;
			disk_nbd_send_next(d, j);
			if (j->commands)
				continue;
		}
		disk_nbd_finish(d, j, j->err);
	}
}

/* ESHUTDOWN is a server's last word before it goes. */
static bool says_goodbye(const struct nbd_disk *d)
{
	for (const struct command *c = d->finished; c; c = c->next)
		if (c->err == ESHUTDOWN)
			return true;
	return false;
}

static void settle(struct nbd_disk *d)
{
	bool goodbye;

	do {
		goodbye = says_goodbye(d);
		reap_finished(d);
		if (goodbye && d->nbd)
			lose(d, "the server is shutting down");
		check_connection(d);
		disk_nbd_pump(d);
	} while (d->finished || (d->nbd && libnbd.aio_is_dead(d->nbd)));
	watch_socket(d);
	set_ticking(d, TAILQ_FIRST(&d->active) || (d->nbd && !d->ready));
}

/* syscalls nbd: fcntl(F_GETFL) fcntl(F_SETFL) fcntl(F_GETFD) fcntl(F_SETFD) */
/* syscalls nbd: fcntl(F_DUPFD_CLOEXEC) epoll_ctl recvfrom close */
static void nbd_engine_link(struct disk *disk, int sock)
{
	struct nbd_disk *d = of(disk);
	struct epoll_event ev = { .events = 0 };

	drop(d);
	d->nbd = libnbd.create();
	d->sock = ev.data.fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	if (!d->nbd || d->sock < 0 || epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->sock, &ev)) {
		libnbd.close(d->nbd);
		d->nbd = NULL;
		close_fd(&d->sock);
		close(sock);
		d->remote->lost(d->remote->arg, "no memory for a connection");
		return;
	}
	d->events = 0;
	d->link_ms = now_ms();
	libnbd.set_export_name(d->nbd, d->remote->export);
	libnbd.set_pread_initialize(d->nbd, false);
	d->busy = true;
	if (libnbd.aio_connect_socket(d->nbd, sock) < 0)
		lose(d, libnbd.get_error());
	else
		settle(d);
	d->busy = false;
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static void give_up_connection(struct nbd_disk *d, const char *what)
{
	char why[80];

	snprintf(why, sizeof(why), "%s within %u s", what, d->remote->timeout_ms / 1000);
	lose(d, why);
}

static bool is_worn(const struct nbd_disk *d, const struct job *j)
{
	return j->lost >= SENT_OFTEN && now_ms() - j->since_ms >= d->remote->timeout_ms;
}

/*
 * What is sent again and again, since the server ends by it or by its neighbour, has its
 * time from the beginning, not from the last loss.
 */
static void fail_worn(struct nbd_disk *d)
{
	struct job *j = TAILQ_FIRST(&d->active), *next;

	while (j && !is_worn(d, j))
		j = TAILQ_NEXT(j, link);
	if (j && d->ready)
		give_up_connection(d, "no answer, though asked on several connections,");
	for (; j; j = next) {
		next = TAILQ_NEXT(j, link);
		if (is_worn(d, j))
			disk_nbd_finish(d, j, -ETIMEDOUT);
	}
}

/*
 * A server may be given as much to do as it likes to take long for, by one job alone, or by
 * those before it: it has its time for each answer.
 */
static void check_deadlines(struct nbd_disk *d)
{
	uint64_t now = now_ms(), limit = d->remote->timeout_ms, since_ms;
	const struct job *oldest;

	if (!limit)
		return;
	/* What is made again may take long in all: the server has its time for each answer. */
	since_ms = d->again_runs ? MAX(d->link_ms, d->again.progress_ms) : d->link_ms;
	if (d->nbd && !d->ready && now - since_ms >= limit)
		give_up_connection(d, "the server has not come so far as to serve");
	fail_worn(d);
	/* Who waits for its end has time, too, while it goes on. */
	if (d->again_runs && now - since_ms < limit)
		return;
	oldest = TAILQ_FIRST(&d->active);
	if (!oldest)
		return;
	if (d->ready) {
		/* On its way on a connection that looks alive. */
		if (!oldest->commands || now - MAX(oldest->progress_ms, d->ready_ms) < limit)
			return;
		d->gave_up = true;
		give_up_connection(d, "no answer");
	} else if (now - MAX(d->lost_ms, oldest->since_ms) < limit && !d->gave_up) {
		return;
	}
	d->gave_up = true;
	fail_all(d, -ETIMEDOUT);
}

/* ---- the table -------------------------------------------------------------------------------- */

static void nbd_engine_submit(struct disk *disk, struct disk_io *chain)
{
	struct nbd_disk *d = of(disk);
	struct disk_io *next;

	for (; chain; chain = next) {
		struct job *j = TAILQ_FIRST(&d->free);

		next = chain->next;
		if (d->gave_up && !d->ready) {
			disk_done(disk, chain, -ETIMEDOUT);
			continue;
		}
		assert(j);	/* as many as operations, disk.c counts them */
		TAILQ_REMOVE(&d->free, j, link);
		disk_nbd_rewind(j);
		j->lost = 0;
		j->io = chain;
		disk_nbd_progress(d, j);
		j->since_ms = j->progress_ms;
		TAILQ_INSERT_TAIL(&d->active, j, link);
		if (!d->next_job)
			d->next_job = j;
	}
	if (d->busy)
		return;		/* from done: the pass that called it goes on */
	d->busy = true;
	settle(d);
	d->busy = false;
}

/* syscalls nbd: recvfrom sendto(connected) shutdown */
static void move_socket(struct nbd_disk *d, uint32_t events)
{
	unsigned direction = d->nbd ? libnbd.aio_get_direction(d->nbd) : 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && direction & LIBNBD_AIO_DIRECTION_READ)
		libnbd.aio_notify_read(d->nbd);
	else if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) &&
		 direction & LIBNBD_AIO_DIRECTION_WRITE)
		libnbd.aio_notify_write(d->nbd);
}

/* syscalls nbd: epoll_wait read */
static void nbd_engine_reap(struct disk *disk)
{
	struct nbd_disk *d = of(disk);
	struct epoll_event ev[2];
	uint64_t ticks;
	bool ticked = false;
	int nr;

	d->busy = true;
	nr = epoll_wait(d->epoll_fd, ev, ARRAY_LEN(ev), 0);
	for (int i = 0; i < nr; i++) {
		if (ev[i].data.fd == d->timer_fd) {
			ticked = read(d->timer_fd, &ticks, sizeof(ticks)) > 0;
		} else if (ev[i].data.fd == d->sock) {
			move_socket(d, ev[i].events);
		}
	}
	settle(d);
	/* What has come is heard first: it may be us who did not run for so long. */
	if (ticked) {
		check_deadlines(d);
		settle(d);
	}
	d->busy = false;
}

static int nbd_engine_fd(struct disk *disk)
{
	return of(disk)->epoll_fd;
}

static bool has_unflushed(const struct nbd_disk *d)
{
	uint64_t number = 0, offset_bytes;
	struct iovec data;

	return d->unflushed && unflushed_next(d->unflushed, &number, &offset_bytes, &data);
}

static bool nbd_engine_owes(const struct disk *disk)
{
	const struct nbd_disk *d = (const struct nbd_disk *)disk;

	return !d->ready && has_unflushed(d);
}

static void nbd_engine_note_owed(struct disk *disk)
{
	struct nbd_disk *d = of(disk);

	if (d->doubted || !nbd_engine_owes(disk))
		return;
	if (now_ms() - d->lost_ms < OWED_MS && d->remote->is_orphan(d->remote->arg))
		return;
	d->doubted = disk_flushes_doubt(d->flushes, true);
	log_warning("the server is gone, and with it perhaps writes that it had answered: unless "
		    "they can be made again, every flush will fail until the front end "
		    "connects anew");
}

static int on_last_flush(void *arg, int *error)
{
	struct nbd_disk *d = arg;

	d->last_flush = *error;
	return 1;
}

/* syscalls nbd: sendto(connected) recvfrom poll ppoll */
/*
 * The copies go with us, and the server may end without having written back what they are
 * of: a front end that stays connected would find old data where it was told of new.
 */
static void flush_last(struct nbd_disk *d)
{
	nbd_completion_callback done = { .callback = on_last_flush, .user_data = d };
	uint64_t until = now_ms() + LAST_FLUSH_MS;
	bool gone;

	if (!d->ready || !d->flush || !has_unflushed(d))
		return;
	d->last_flush = libnbd.aio_flush(d->nbd, done, 0) < 0 ? EIO : -1;
	while (d->last_flush < 0 && now_ms() < until && !libnbd.aio_is_dead(d->nbd))
		if (libnbd.poll(d->nbd, TICK_MS) < 0)
			break;
	if (d->last_flush < 0 && libnbd.aio_is_dead(d->nbd))
		d->last_flush = ENOTCONN;
	if (!d->last_flush)
		return;
	/* Without an answer it may still write them back, or be killed before it has. */
	gone = d->last_flush == ENOTCONN || d->last_flush == ESHUTDOWN;
	log_warning("a last flush of what the server has answered failed: %s",
		    d->last_flush > 0 ? strerror(d->last_flush) : "no answer in time");
	if (!gone || !d->remote->is_orphan(d->remote->arg))
		disk_flushes_note(d->flushes, gone ? -EIO :
				  d->last_flush > 0 ? -d->last_flush : -ETIMEDOUT);
}

/* syscalls nbd: close */
static void nbd_engine_close(struct disk *disk)
{
	struct nbd_disk *d = of(disk);

	nbd_engine_note_owed(disk);
	flush_last(d);
	if (d->ready)
		libnbd.aio_disconnect(d->nbd, 0);	/* as the server likes it; not waited for */
	if (d->nbd)
		libnbd.close(d->nbd);
	close_fd(&d->sock);
	close_fd(&d->epoll_fd);
	close_fd(&d->timer_fd);
	disk_stage_close(&d->stage);
	unflushed_close(d->unflushed);
	free(d->jobs);
	free(d);
}

/* syscalls start: epoll_create1 epoll_ctl timerfd_create */
static int open_epoll(struct nbd_disk *d)
{
	struct epoll_event ev = { .events = EPOLLIN };

	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->epoll_fd < 0 || d->timer_fd < 0)
		return -errno;
	ev.data.fd = d->timer_fd;
	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->timer_fd, &ev) ? -errno : 0;
}

static void make_lists(struct nbd_disk *d, uint32_t depth)
{
	TAILQ_INIT(&d->active);
	TAILQ_INIT(&d->free);
	for (uint32_t i = 0; i < depth; i++)
		TAILQ_INSERT_TAIL(&d->free, &d->jobs[i], link);
	for (uint32_t i = 0; i < COMMANDS; i++) {
		d->commands[i].next = d->free_commands;
		d->free_commands = &d->commands[i];
	}
}

static int nbd_engine_open(const struct disk_config *cfg, struct disk **out, char *why,
			   size_t why_bytes)
{
	int err = nbd_library_load(why, why_bytes);
	struct nbd_disk *d;

	if (err)
		return err;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->epoll_fd = d->timer_fd = d->sock = -1;
	d->remote = cfg->remote;
	d->flushes = cfg->flushes;
	d->dsync = cfg->dsync;
	d->lost_ms = now_ms();
	d->jobs = calloc(cfg->depth, sizeof(*d->jobs));
	err = d->jobs ? open_epoll(d) : -ENOMEM;
	if (!err)
		err = disk_stage_open(&d->stage);
	if (!err && cfg->remote->keeps_unflushed)
		err = unflushed_open(&d->unflushed);
	if (err) {
		snprintf(why, why_bytes, "no descriptors or memory for an NBD connection");
		nbd_engine_close(&d->disk);
		return err;
	}
	make_lists(d, cfg->depth);
	*out = &d->disk;
	return 0;
}

const struct disk_ops disk_nbd = {
	.name = "nbd",
	.open = nbd_engine_open,
	.close = nbd_engine_close,
	.submit = nbd_engine_submit,
	.reap = nbd_engine_reap,
	.fd = nbd_engine_fd,
	.link = nbd_engine_link,
	.owes = nbd_engine_owes,
	.note_owed = nbd_engine_note_owed,
};
