/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine whose image is a piece of memory. Hides the list of what waits for
 * its time and the timer. Must not know who submits.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "disk-memory.h"
#include "util.h"

struct memory {
	struct disk disk;
	struct disk_memory_faults faults;
	uint8_t *data;
	uint64_t bytes;
	uint8_t *durable;		/* NULL: all of data is */
	bool borrowed;			/* both are another's */
	uint64_t random;
	uint32_t nr_matched;		/* operations that a fault could have hit */
	int timer_fd;
	struct disk_io *waiting;	/* in order of completion */
};

static const struct disk_ops disk_memory;

static bool hit(struct memory *m, const struct disk_io *io)
{
	const struct disk_memory_faults *f = &m->faults;

	if (!f->every || (!f->any_op && f->op != io->op))
		return false;
	if (f->to_bytes > f->from_bytes &&
	    (io->offset_bytes >= f->to_bytes ||
	     io->offset_bytes + io->bytes <= f->from_bytes))
		return false;
	return ++m->nr_matched % f->every == 0;
}

/* ---- the volatile cache -------------------------------------------------------------- */

#define SECTOR_BYTES 512u

static bool toss(struct memory *m, uint32_t one_in)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return (m->random >> 33) % one_in == 0;
}

/* Each sector of a range becomes durable, or not. */
static void write_back(struct memory *m, uint64_t offset, uint64_t bytes, uint32_t one_in)
{
	for (uint64_t at = offset; m->durable && at < offset + bytes; at += SECTOR_BYTES)
		if (toss(m, one_in))
			memcpy(m->durable + at, m->data + at, SECTOR_BYTES);
}

/* syscalls start: mmap */
/* Of all processes that come of this one. */
static uint8_t *get_bytes(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* syscalls disk: munmap */
static void put_bytes(uint8_t *p, uint64_t bytes)
{
	if (p)
		munmap(p, bytes);
}

void disk_memory_share(struct disk *d, struct disk *medium)
{
	struct memory *m = (struct memory *)d, *from = (struct memory *)medium;

	assert(m->bytes == from->bytes && !m->durable);
	put_bytes(m->data, m->bytes);
	m->data = from->data;
	m->durable = from->durable;
	m->random = from->random++;
	m->borrowed = true;
}

int disk_memory_add_cache(struct disk *d, uint64_t seed)
{
	struct memory *m = (struct memory *)d;

	m->random = seed;
	m->durable = get_bytes(m->bytes);
	if (!m->durable)
		return -ENOMEM;
	memcpy(m->durable, m->data, m->bytes);
	return 0;
}

void disk_memory_power_cut(struct disk *d)
{
	struct memory *m = (struct memory *)d;

	write_back(m, 0, m->bytes, 2);
	memcpy(m->data, m->durable, m->bytes);
}

/* ---- operations ------------------------------------------------------------------------ */

static void move(struct memory *m, struct disk_io *io)
{
	uint8_t *at = m->data + io->offset_bytes;

	for (uint32_t i = 0; i < io->nr_iov; i++) {
		if (io->op == DISK_READ)
			memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
		else
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
}

static int perform(struct memory *m, struct disk_io *io)
{
	if (hit(m, io))
		return m->faults.err;
	if (io->op == DISK_FLUSH) {
		write_back(m, 0, m->bytes, 1);
		return 0;
	}
	if (io->offset_bytes > m->bytes || io->bytes > m->bytes - io->offset_bytes)
		return -EIO;
	if (io->op == DISK_DISCARD)
		memset(m->data + io->offset_bytes, 0, io->bytes);
	else
		move(m, io);
	if (io->op == DISK_WRITE)
		write_back(m, io->offset_bytes, io->bytes, 8);
	return 0;
}

/* syscalls start: timerfd_settime */
/* A level-triggered alarm: due at once when something may complete. */
static void arm(struct memory *m)
{
	struct itimerspec t = { .it_value.tv_nsec = 0 };

	if (m->waiting && !m->faults.paused) {
		t.it_value.tv_sec = m->faults.delay_us / 1000000;
		t.it_value.tv_nsec = m->faults.delay_us % 1000000 * 1000 + 1;
	}
	timerfd_settime(m->timer_fd, 0, &t, NULL);
}

static void wait_in_line(struct memory *m, struct disk_io *io)
{
	struct disk_io **at = &m->waiting;

	while (*at && !m->faults.reverse)
		at = &(*at)->next;
	io->next = *at;
	*at = io;
	arm(m);
}

static void memory_submit(struct disk *d, struct disk_io *chain)
{
	struct memory *m = (struct memory *)d;
	struct disk_io *next;

	for (; chain; chain = next) {
		next = chain->next;
		if (m->faults.delay_us || m->faults.paused)
			wait_in_line(m, chain);
		else
			disk_done(d, chain, perform(m, chain));
	}
}

/* syscalls start: read */
static void memory_reap(struct disk *d)
{
	struct memory *m = (struct memory *)d;
	struct disk_io *io = m->waiting;
	uint64_t count;

	if (!io || m->faults.paused)
		return;
	if (m->faults.delay_us && read(m->timer_fd, &count, sizeof(count)) < 0)
		return;
	m->waiting = io->next;
	disk_done(d, io, perform(m, io));
	arm(m);
}

static int memory_fd(struct disk *d)
{
	return ((struct memory *)d)->timer_fd;
}

static void memory_close(struct disk *d)
{
	struct memory *m = (struct memory *)d;

	close_fd(&m->timer_fd);
	if (!m->borrowed) {
		put_bytes(m->data, m->bytes);
		put_bytes(m->durable, m->bytes);
	}
	free(m);
}

/* syscalls start: timerfd_create */
static int memory_open(const struct disk_config *cfg, struct disk **out,
		       char *why, size_t why_bytes)
{
	struct memory *m = calloc(1, sizeof(*m));

	(void)cfg;
	if (!m)
		return -ENOMEM;
	m->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (m->timer_fd < 0) {
		int err = -errno;

		snprintf(why, why_bytes, "no timerfd");
		memory_close(&m->disk);
		return err;
	}
	*out = &m->disk;
	return 0;
}

int disk_memory_open(uint64_t bytes, const struct disk_config *cfg, struct disk **out)
{
	char why[64];
	int err = disk_open(&disk_memory, cfg, out, why, sizeof(why));
	struct memory *m;

	if (err)
		return err;
	m = (struct memory *)*out;
	m->bytes = bytes;
	m->data = get_bytes(bytes);
	if (m->data)
		return 0;
	disk_close(*out);
	*out = NULL;
	return -ENOMEM;
}

void disk_memory_set_faults(struct disk *d, const struct disk_memory_faults *f)
{
	struct memory *m = (struct memory *)d;

	m->faults = *f;
	m->nr_matched = 0;
	arm(m);
}

uint8_t *disk_memory_data(struct disk *d)
{
	return ((struct memory *)d)->data;
}

static const struct disk_ops disk_memory = {
	.name = "memory",
	.open = memory_open,
	.close = memory_close,
	.submit = memory_submit,
	.reap = memory_reap,
	.fd = memory_fd,
};
