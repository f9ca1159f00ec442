/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's file: one header page, then per queue a page of indices and an
 * array of records. Hides the layout and the free list, which
 * lives in private memory: what is free follows from the records' states.
 * Must not know what a request means.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "journal.h"
#include "util.h"

/*
 * A point at which a kill may come: what was stored before stays before. Tests
 * replace it by one that stops here.
 */
#ifndef JOURNAL_STEP
#define JOURNAL_STEP() __asm__ volatile("" : : : "memory")
#endif

#define FILE_PAGE_BYTES 4096u

struct file_header {
	uint64_t magic;			/* written last */
	uint32_t version, nr_queues, nr_slots, flush_lost;
};

struct file_queue {
	uint32_t started, req_cons, rsp_prod, reserved;
	uint64_t left_ns, began_ns, pause_ns;
};
_Static_assert(sizeof(struct file_queue) <= FILE_PAGE_BYTES, "one page");

struct journal_queue {
	struct file_queue *file;
	struct journal_record *records;
	uint32_t nr_slots;
	uint64_t next_seq;
	/* Free records, last freed first: the same few stay in the cache. */
	struct journal_record **free_records;
	uint32_t nr_free;
	struct journal_record **answered;	/* since the last push */
	uint32_t nr_answered;
};

struct journal {
	uint8_t *base;
	size_t bytes;
	uint32_t nr_queues;
	struct journal_queue queues[];
};

static size_t queue_bytes(uint32_t nr_slots)
{
	size_t records = nr_slots * sizeof(struct journal_record);

	return FILE_PAGE_BYTES +
		(records + FILE_PAGE_BYTES - 1) / FILE_PAGE_BYTES * FILE_PAGE_BYTES;
}

static size_t file_bytes(uint32_t nr_queues, uint32_t nr_slots)
{
	return FILE_PAGE_BYTES + nr_queues * queue_bytes(nr_slots);
}

/* syscalls start: ftruncate fallocate pwrite64 */
/* Space is reserved now: a full tmpfs would otherwise be a SIGBUS later. */
static int format_file(int fd, uint32_t nr_queues, uint32_t nr_slots)
{
	struct file_header h = { .version = JOURNAL_VERSION,
				 .nr_queues = nr_queues, .nr_slots = nr_slots };
	uint64_t magic = JOURNAL_MAGIC;
	size_t bytes = file_bytes(nr_queues, nr_slots);
	int err;

	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	err = posix_fallocate(fd, 0, (off_t)bytes);
	if (err)
		return -err;
	if (pwrite(fd, &h, sizeof(h), 0) != sizeof(h) ||
	    pwrite(fd, &magic, sizeof(magic), 0) != sizeof(magic))
		return -EIO;
	return 0;
}

/* syscalls start: newfstatat pread64 */
static int read_header(int fd, struct file_header *h, size_t *bytes)
{
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) < 0)
		return -errno;
	*bytes = (size_t)st.st_size;
	memset(h, 0, sizeof(*h));
	got = pread(fd, h, sizeof(*h), 0);
	return got < 0 ? -errno : 0;
}

static bool header_valid(const struct file_header *h, size_t bytes)
{
	return h->magic == JOURNAL_MAGIC && h->version == JOURNAL_VERSION &&
		h->nr_queues && h->nr_queues <= UINT16_MAX &&
		h->nr_slots && h->nr_slots <= UINT16_MAX &&
		bytes == file_bytes(h->nr_queues, h->nr_slots);
}

static int check_or_format(int fd, uint32_t nr_queues, uint32_t nr_slots)
{
	struct file_header h;
	size_t bytes = 0;
	int err = read_header(fd, &h, &bytes);

	if (err)
		return err;
	if (h.magic == 0)	/* empty, or killed while it was formatted */
		return format_file(fd, nr_queues, nr_slots);
	if (!header_valid(&h, bytes) || h.nr_queues != nr_queues || h.nr_slots != nr_slots)
		return -EBADMSG;
	return 0;
}

static void free_all(struct journal_queue *q)
{
	q->nr_free = q->nr_answered = 0;
	for (uint32_t i = q->nr_slots; i-- > 0;)
		if (q->records[i].state == JOURNAL_FREE)
			q->free_records[q->nr_free++] = &q->records[i];
}

static int open_queue(struct journal *j, uint32_t index, uint32_t nr_slots)
{
	struct journal_queue *q = &j->queues[index];
	uint8_t *at = j->base + FILE_PAGE_BYTES + index * queue_bytes(nr_slots);

	q->file = (struct file_queue *)at;
	q->records = (struct journal_record *)(at + FILE_PAGE_BYTES);
	q->nr_slots = nr_slots;
	q->free_records = calloc(2 * (size_t)nr_slots, sizeof(q->free_records[0]));
	if (!q->free_records)
		return -ENOMEM;
	q->answered = q->free_records + nr_slots;
	free_all(q);
	return 0;
}

/* syscalls start: mmap */
int journal_open(int fd, uint32_t nr_queues, uint32_t nr_slots, struct journal **out)
{
	struct journal *j;
	int err = check_or_format(fd, nr_queues, nr_slots);

	if (err)
		return err;
	j = calloc(1, sizeof(*j) + nr_queues * sizeof(j->queues[0]));
	if (!j)
		return -ENOMEM;
	j->nr_queues = nr_queues;
	j->bytes = file_bytes(nr_queues, nr_slots);
	j->base = mmap(NULL, j->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (j->base == MAP_FAILED) {
		err = -errno;
		j->base = NULL;
	}
	for (uint32_t i = 0; !err && i < nr_queues; i++)
		err = open_queue(j, i, nr_slots);
	if (err) {
		journal_close(j);
		return err;
	}
	*out = j;
	return 0;
}

/* syscalls disk: munmap */
void journal_close(struct journal *j)
{
	if (!j)
		return;
	for (uint32_t i = 0; i < j->nr_queues; i++)
		free(j->queues[i].free_records);
	if (j->base)
		munmap(j->base, j->bytes);
	free(j);
}

struct journal_queue *journal_queue(struct journal *j, uint32_t queue)
{
	assert(queue < j->nr_queues);
	return &j->queues[queue];
}

void journal_leave(struct journal_queue *q, uint64_t now_ns)
{
	q->file->left_ns = now_ns;
}

/* One that is killed leaves no word: left_ns is for one successor. */
void journal_begin(struct journal_queue *q, uint64_t now_ns)
{
	q->file->pause_ns = q->file->left_ns ? now_ns - q->file->left_ns : 0;
	q->file->left_ns = 0;
	q->file->began_ns = now_ns;
}

uint32_t *journal_flush_lost(struct journal *j)
{
	return &((struct file_header *)j->base)->flush_lost;
}

void journal_reset(struct journal_queue *q, uint32_t rsp_prod)
{
	q->file->started = 0;
	JOURNAL_STEP();
	for (uint32_t i = 0; i < q->nr_slots; i++)
		q->records[i].state = JOURNAL_FREE;
	q->file->req_cons = q->file->rsp_prod = rsp_prod;
	JOURNAL_STEP();
	q->file->started = 1;
	JOURNAL_STEP();
	q->next_seq = 0;
	free_all(q);
}

/* ---- the protocol ---------------------------------------------------------- */

struct journal_record *journal_take(struct journal_queue *q, uint32_t req_index,
				    uint64_t epoch)
{
	struct journal_record *r;

	assert(q->nr_free);
	r = q->free_records[--q->nr_free];
	r->req_index = req_index;
	r->epoch = epoch;
	r->seq = q->next_seq++;
	JOURNAL_STEP();
	r->state = JOURNAL_TAKEN;
	JOURNAL_STEP();
	return r;
}

void journal_taken(struct journal_queue *q, uint32_t req_cons)
{
	JOURNAL_STEP();
	q->file->req_cons = req_cons;
	JOURNAL_STEP();
}

void journal_answer(struct journal_queue *q, struct journal_record *r,
		    uint32_t rsp_index, int16_t status, uint8_t operation)
{
	assert(r->state == JOURNAL_TAKEN && q->nr_answered < q->nr_slots);
	r->rsp_index = rsp_index;
	r->status = status;
	r->operation = operation;
	JOURNAL_STEP();
	r->state = JOURNAL_ANSWERED;
	JOURNAL_STEP();
	q->answered[q->nr_answered++] = r;
}

void journal_push_begin(struct journal_queue *q, uint32_t rsp_prod)
{
	JOURNAL_STEP();
	q->file->rsp_prod = rsp_prod;
	JOURNAL_STEP();
}

void journal_push_end(struct journal_queue *q)
{
	JOURNAL_STEP();
	while (q->nr_answered) {
		struct journal_record *r = q->answered[--q->nr_answered];

		r->state = JOURNAL_FREE;
		JOURNAL_STEP();
		q->free_records[q->nr_free++] = r;
	}
}

/* ---- recovery -------------------------------------------------------------- */

/* Indices run freely; a live one is less than nr_slots at or after the base. */
static bool index_from(const struct journal_queue *q, uint32_t index, uint32_t base)
{
	return index - base < q->nr_slots;
}

/* Whether a record needs no more work: free, not yet counted, or published. */
static bool record_done(const struct journal_queue *q, const struct journal_record *r)
{
	switch (r->state) {
	case JOURNAL_TAKEN:
		return index_from(q, r->req_index, q->file->req_cons);
	case JOURNAL_ANSWERED:
		return !index_from(q, r->rsp_index, q->file->rsp_prod);
	default:
		return true;
	}
}

static int by_seq(const void *a, const void *b)
{
	const struct journal_record *const *x = a, *const *y = b;

	return ((*x)->seq > (*y)->seq) - ((*x)->seq < (*y)->seq);
}

/*
 * Puts one record into its list; answered ones at the place of their index. Two
 * at one place leave a gap elsewhere, which check() finds.
 */
static void sort_in(struct journal_queue *q, struct journal_record *r,
		    struct journal_recovery *out)
{
	if (r->state == JOURNAL_TAKEN) {
		out->taken[out->nr_taken++] = r;
	} else {
		out->answered[r->rsp_index - out->rsp_prod] = r;
		out->nr_answered++;
	}
	if (r->seq >= q->next_seq)
		q->next_seq = r->seq + 1;
}

static int collect(struct journal_queue *q, struct journal_recovery *out)
{
	for (uint32_t i = 0; i < q->nr_slots; i++) {
		struct journal_record *r = &q->records[i];

		if (r->state > JOURNAL_ANSWERED)
			return -EBADMSG;
		if (record_done(q, r)) {
			r->state = JOURNAL_FREE;
			JOURNAL_STEP();
			continue;
		}
		sort_in(q, r, out);
	}
	qsort(out->taken, out->nr_taken, sizeof(out->taken[0]), by_seq);
	return 0;
}

/* The law of the header's comment, and no gap among the responses. */
static int check(const struct journal_recovery *out)
{
	if (out->req_cons - out->rsp_prod != out->nr_taken + out->nr_answered)
		return -EBADMSG;
	for (uint32_t i = 0; i < out->nr_answered; i++)
		if (!out->answered[i])
			return -EBADMSG;
	return 0;
}

int journal_recover(struct journal_queue *q, struct journal_recovery *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	if (!q->file->started)
		return -ENODATA;
	out->req_cons = q->file->req_cons;
	out->rsp_prod = q->file->rsp_prod;
	out->answered = calloc(q->nr_slots, sizeof(out->answered[0]));
	out->taken = calloc(q->nr_slots, sizeof(out->taken[0]));
	err = out->answered && out->taken ? collect(q, out) : -ENOMEM;
	if (!err)
		err = check(out);
	if (err) {
		journal_recovery_free(out);
		return err;
	}
	free_all(q);
	for (uint32_t i = 0; i < out->nr_answered; i++)
		q->answered[q->nr_answered++] = out->answered[i];
	return 0;
}

void journal_recovery_free(struct journal_recovery *r)
{
	free(r->answered);
	free(r->taken);
	memset(r, 0, sizeof(*r));
}

/* ---- readers --------------------------------------------------------------- */

/* syscalls start: pread64 */
int journal_read_pause(int fd, uint64_t *began_ns, uint64_t *pause_ns)
{
	struct file_header h;
	struct file_queue q;
	size_t bytes;
	int err = read_header(fd, &h, &bytes);

	if (err)
		return err;
	if (!header_valid(&h, bytes))
		return -EBADMSG;
	*began_ns = *pause_ns = 0;
	for (uint32_t i = 0; i < h.nr_queues; i++) {
		size_t at = FILE_PAGE_BYTES + i * queue_bytes(h.nr_slots);

		if (pread(fd, &q, sizeof(q), (off_t)at) != sizeof(q))
			return -EBADMSG;
		*began_ns = MAX(*began_ns, q.began_ns);
		*pause_ns = MAX(*pause_ns, q.pause_ns);
	}
	return 0;
}

int journal_check_format(int fd, uint32_t *version)
{
	struct file_header h;
	size_t bytes;
	int err = read_header(fd, &h, &bytes);

	if (err)
		return err;
	*version = h.version;
	/* Empty, or killed while it was made: a journal of ours is yet to be made of it. */
	if (h.magic != JOURNAL_MAGIC)
		return h.magic ? -EBADMSG : 0;
	return h.version == JOURNAL_VERSION ? 0 : -EPROTONOSUPPORT;
}

uint32_t journal_read_flush_lost(int fd)
{
	struct file_header h;
	size_t bytes;

	if (read_header(fd, &h, &bytes) || !header_valid(&h, bytes))
		return 0;
	return h.flush_lost;
}

int journal_note_flush_lost(int fd, int err)
{
	struct file_header h;
	const uint32_t lost = (uint32_t)-err;
	size_t bytes;
	int rc = read_header(fd, &h, &bytes);

	if (rc || !header_valid(&h, bytes))
		return rc ? rc : -EBADMSG;
	if (h.flush_lost)
		return 0;
	return pwrite(fd, &lost, sizeof(lost), offsetof(struct file_header, flush_lost)) ==
		sizeof(lost) ? 0 : -EIO;
}
