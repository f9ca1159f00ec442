/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Of the engine for images behind an NBD server: operations as commands.
 *
 * Hides: what one command can carry, and in how many an operation goes. Must not know: what
 * becomes of a connection, deadlines.
 *
 * libnbd moves one piece of memory a command. Data in one piece goes between socket and
 * guest's pages as it is; data in several goes through the stage, one copy, since a command
 * for each page would cost more; and what the stage has no room for goes piece by piece.
 */
#include "disk-nbd-internal.h"

#include <errno.h>
#include <string.h>
#include "util.h"

#define EXTENT_BYTES (1u << 30)		/* of one trim: a length has 32 bits */

/* ---- jobs ------------------------------------------------------------------------- */

void disk_nbd_rewind(struct job *j)
{
	j->at_bytes = j->iov = j->iov_bytes = j->commands = 0;
	j->err = 0;
	j->flushed = false;
	j->phase = JOB_DATA;
}

void disk_nbd_progress(const struct nbd_disk *d, struct job *j)
{
	if (d->remote->timeout_ms)
		j->progress_ms = now_ms();
}

void disk_nbd_finish(struct nbd_disk *d, struct job *j, int err)
{
	struct disk_io *io = j->io;
	struct job *next = TAILQ_NEXT(j, link);

	if (d->next_job == j)
		d->next_job = next;
	if (next && j == TAILQ_FIRST(&d->active))
		disk_nbd_progress(d, next);
	TAILQ_REMOVE(&d->active, j, link);
	TAILQ_INSERT_HEAD(&d->free, j, link);
	j->io = NULL;
	disk_done(&d->disk, io, err);
}

/* ---- commands ------------------------------------------------------------------------ */

static struct command *take_command(struct nbd_disk *d, struct job *j)
{
	struct command *c = d->free_commands;

	d->free_commands = c->next;
	*c = (struct command){ .disk = d, .job = j };
	j->commands++;
	return c;
}

void disk_nbd_free_command(struct nbd_disk *d, struct command *c)
{
	if (c->staged)
		disk_stage_put(&d->stage, c->staged, c->staged_bytes);
	c->staged = NULL;
	c->job = NULL;
	c->next = d->free_commands;
	d->free_commands = c;
}

/* Called by libnbd with its lock held: only noted. 1: it may forget the command. */
static int command_ended(void *arg, int *error)
{
	struct command *c = arg;

	c->err = *error;
	c->next = c->disk->finished;
	c->disk->finished = c;
	return 1;
}

/* How much lies in one piece from where the job is; pieces that touch are one. */
static uint64_t run_bytes(const struct job *j, char **at)
{
	const struct iovec *v = &j->io->iov[j->iov];
	uint64_t n = v->iov_len - j->iov_bytes, left = j->io->bytes - j->at_bytes;
	const char *end = (char *)v->iov_base + v->iov_len;

	*at = (char *)v->iov_base + j->iov_bytes;
	for (uint32_t i = j->iov + 1; n < left && i < j->io->nr_iov &&
	     j->io->iov[i].iov_base == end; i++) {
		n += j->io->iov[i].iov_len;
		end += j->io->iov[i].iov_len;
	}
	return MIN(n, left);
}

static void move_on(struct job *j, uint64_t bytes)
{
	j->at_bytes += bytes;
	while (bytes) {
		uint64_t here = j->io->iov[j->iov].iov_len - j->iov_bytes;

		if (bytes < here) {
			j->iov_bytes += (uint32_t)bytes;
			return;
		}
		bytes -= here;
		j->iov++;
		j->iov_bytes = 0;
	}
}

static uint32_t durable_flag(const struct nbd_disk *d)
{
	return d->dsync && d->fua ? LIBNBD_CMD_FLAG_FUA : 0;
}

/* The whole of a job that lies in several pieces, if there is room for it. */
static void stage_job(struct nbd_disk *d, struct command *c, uint64_t bytes)
{
	c->staged = disk_stage_get(&d->stage, bytes);
	c->staged_bytes = bytes;
	if (!c->staged)
		return;
	c->scatter = c->job->io->iov;
	if (c->job->io->op == DISK_WRITE)
		disk_stage_gather(c->staged, c->scatter, bytes);
}

/* syscalls nbd: sendto(connected) */
static int64_t send_data(struct nbd_disk *d, struct job *j, struct command *c)
{
	nbd_completion_callback done = { .callback = command_ended, .user_data = c };
	uint64_t offset = j->io->offset_bytes + j->at_bytes;
	char *at;
	uint64_t n = run_bytes(j, &at);
	int64_t cookie;

	if (!j->at_bytes && n < j->io->bytes && j->io->bytes <= d->max_bytes) {
		stage_job(d, c, j->io->bytes);
		if (c->staged) {
			at = c->staged;
			n = j->io->bytes;
		}
	}
	n = MIN(n, d->max_bytes);
	if (j->io->op == DISK_READ)
		cookie = libnbd.aio_pread(d->nbd, at, n, offset, done, 0);
	else
		cookie = libnbd.aio_pwrite(d->nbd, at, n, offset, done, durable_flag(d));
	move_on(j, n);
	return cookie;
}

/* syscalls nbd: sendto(connected) */
static int64_t send_extent(struct nbd_disk *d, struct job *j, struct command *c)
{
	nbd_completion_callback done = { .callback = command_ended, .user_data = c };
	uint64_t n = MIN(j->io->bytes - j->at_bytes, EXTENT_BYTES);
	uint64_t offset = j->io->offset_bytes + j->at_bytes;

	j->at_bytes += n;
	if (j->io->secure)
		return libnbd.aio_zero(d->nbd, n, offset, done, LIBNBD_CMD_FLAG_NO_HOLE);
	return libnbd.aio_trim(d->nbd, n, offset, done, durable_flag(d));
}

/* syscalls nbd: sendto(connected) */
static int64_t send_flush(struct nbd_disk *d, struct command *c)
{
	nbd_completion_callback done = { .callback = command_ended, .user_data = c };

	if (d->unflushed)
		c->job->mark = unflushed_mark(d->unflushed);
	return libnbd.aio_flush(d->nbd, done, 0);
}

/* What this server cannot do at all, or what is lost already; 0: send it. */
static int refusal(const struct nbd_disk *d, const struct disk_io *io)
{
	if (io->op == DISK_FLUSH)
		return disk_flushes_lost(d->flushes);
	if (io->op == DISK_DISCARD && !(io->secure ? d->zero : d->trim))
		return -EOPNOTSUPP;
	return 0;
}

/* Without it nothing is sent: there is nothing that a flush could lose. */
static bool is_idle_flush(const struct nbd_disk *d, const struct job *j)
{
	return j->io->op == DISK_FLUSH && !d->flush;
}

/* The next command of a job that has one. */
void disk_nbd_send_next(struct nbd_disk *d, struct job *j)
{
	bool flush = j->phase == JOB_FLUSH || j->io->op == DISK_FLUSH;
	struct command *c = take_command(d, j);
	int64_t cookie;

	if (flush)
		cookie = send_flush(d, c);
	else
		cookie = j->io->op == DISK_DISCARD ? send_extent(d, j, c) : send_data(d, j, c);
	if (flush || j->at_bytes == j->io->bytes)
		j->phase = JOB_SENT;
	if (cookie >= 0 || libnbd.aio_is_dead(d->nbd))
		return;
	/* Refused by libnbd itself, whose callback then is not called. */
	j->err = libnbd.get_errno() ? -libnbd.get_errno() : -EIO;
	j->phase = JOB_SENT;
	j->commands--;
	disk_nbd_free_command(d, c);
}

/* Sends what the connection takes. */
void disk_nbd_pump(struct nbd_disk *d)
{
	while (d->ready && d->next_job && d->free_commands) {
		struct job *j = d->next_job;
		int err = refusal(d, j->io);

		if (err || is_idle_flush(d, j)) {
			disk_nbd_finish(d, j, err);
			continue;
		}
		while (d->free_commands && j->phase != JOB_SENT && !libnbd.aio_is_dead(d->nbd))
			disk_nbd_send_next(d, j);
		if (j->phase != JOB_SENT || libnbd.aio_is_dead(d->nbd))
			return;
		if (j->commands)
			d->next_job = TAILQ_NEXT(j, link);
		else
			disk_nbd_finish(d, j, j->err);
	}
}
