/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what a worker that was in a guest's hands left in its journal, a disk's or
 * an interface's. One is made as a worker makes it, then words of it are the input's. A
 * successor refuses it, or has indices and requests that can be.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fuzz.h"
#include "journal.h"
#include "netback-journal.h"

#define DISK_SLOTS 32u

static _Alignas(4096) uint8_t page[4096];

/*
 * Words of the file: anywhere, among a queue's indices at indices, or in one of the first
 * records at records.
 */
static void spoil(int fd, struct fuzz_in *in, size_t indices, size_t records)
{
	uint32_t bytes = (uint32_t)lseek(fd, 0, SEEK_END);

	while (in->left) {
		uint32_t at = fuzz_u32(in), word;
		uint8_t how = fuzz_u8(in);
		size_t n = 1u << how % 3;

		word = how & 64 ? fuzz_u32(in) : fuzz_u8(in);
		if (how & 8)
			at = (uint32_t)indices + at % 6 * 4;
		else if (how & 16)
			at = (uint32_t)records + at % 1024;
		at %= bytes;
		FUZZ_NEED(pwrite(fd, &word, n, at) == (ssize_t)n);
	}
	FUZZ_NEED(!ftruncate(fd, bytes));
}

/* ---- an interface's --------------------------------------------------------------------- */

/* Frames that are taken; some are answered, of these some are pushed. */
static void use_tx(struct nb_queue_journal *q, struct ring_back *ring, struct fuzz_in *in)
{
	uint32_t nr = fuzz_below(in, 12), answered = fuzz_below(in, nr + 1);

	for (uint32_t i = 0; i < nr; i++) {
		struct nb_record *r = &q->record[i];

		r->nr_slots = (uint8_t)(1 + fuzz_below(in, 4));
		r->nr_extras = (uint16_t)fuzz_below(in, 2);
		for (uint32_t j = 0; j < r->nr_slots; j++)
			r->id[j] = (uint16_t)(i * 32 + j);
		ring->req_cons += (uint32_t)r->nr_slots + r->nr_extras;
		nb_journal_take(r, ring->req_cons);
	}
	nb_journal_taken(q, ring);
	for (uint32_t i = 0; i < answered; i++) {
		nb_journal_answer(&q->record[i], ring, 0);
		if (fuzz_u8(in) & 1)
			nb_journal_push_tx(q, ring);
	}
}

static void use_rx(struct nb_queue_journal *q, struct ring_back *ring, struct fuzz_in *in)
{
	for (uint32_t i = fuzz_below(in, 20); i; i--) {
		const netif_rx_request_t req = { .id = (uint16_t)i, .gref = i };

		nb_journal_post(q, ring->req_cons++, &req);
	}
	nb_journal_posted(q, ring);
}

static void start_all(struct nb_journal *j, struct ring_back *tx, struct ring_back *rx,
		      struct ring_back *ctrl, int rc[3])
{
	memset(page, 0, sizeof(page));
	rc[0] = nb_journal_start_tx(j, 0, page, tx);
	if (!rc[0])
		FUZZ_NEED(tx->rsp_prod_pvt == tx->req_cons && !ring_back_unpushed(tx));
	memset(page, 0, sizeof(page));
	rc[1] = nb_journal_start_rx(j, 0, page, rx);
	if (!rc[1])
		FUZZ_NEED(rx->rsp_prod_pvt == rx->req_cons);
	memset(page, 0, sizeof(page));
	rc[2] = nb_journal_start_ctrl(j, page, ctrl);
	if (!rc[2])
		FUZZ_NEED(ctrl->rsp_prod_pvt == ctrl->req_cons);
}

static void interface(int fd, struct fuzz_in *in)
{
	struct nb_journal j = { .file = NULL };
	struct ring_back tx, rx, ctrl;
	int rc[3];

	FUZZ_NEED(!nb_journal_reserve(fd, 1) && !nb_journal_open(&j, fd, 1));
	start_all(&j, &tx, &rx, &ctrl, rc);
	nb_journal_begin(&j);
	use_tx(&j.file->queue[0], &tx, in);
	use_rx(&j.file->queue[0], &rx, in);
	nb_journal_close(&j);
	spoil(fd, in, offsetof(struct nb_journal_file, queue),
	      offsetof(struct nb_journal_file, queue) + offsetof(struct nb_queue_journal, record));
	if (nb_journal_open(&j, fd, 1))
		return;
	if (!nb_journal_check_settings(&j)) {
		FUZZ_NEED(j.file->hash.nr_map <= NB_HASH_MAP_MAX);
		for (uint32_t i = 0; i < j.file->hash.nr_map; i++)
			FUZZ_NEED(j.file->hash.map[i] == 0);
		FUZZ_NEED(j.file->nr_groups <= VSWITCH_MULTICAST_MAX);
	}
	start_all(&j, &tx, &rx, &ctrl, rc);
	nb_journal_close(&j);
}

/* ---- a disk's ---------------------------------------------------------------------------- */

static void use_queue(struct journal_queue *q, struct fuzz_in *in)
{
	uint32_t nr = 1 + fuzz_below(in, DISK_SLOTS), answered = fuzz_below(in, nr + 1);
	struct journal_record *r[DISK_SLOTS];

	journal_reset(q, 0);
	for (uint32_t i = 0; i < nr; i++)
		r[i] = journal_take(q, i, 0);
	journal_taken(q, nr);
	for (uint32_t i = 0; i < answered; i++)
		journal_answer(q, r[i], i, 0, 0);
	if (answered && fuzz_u8(in) & 1)
		journal_push_begin(q, answered - 1);
}

static void recover(struct journal_queue *q)
{
	struct journal_recovery rec;

	if (journal_recover(q, &rec))
		return;
	FUZZ_NEED(rec.nr_taken + rec.nr_answered <= DISK_SLOTS);
	FUZZ_NEED(rec.req_cons - rec.rsp_prod == rec.nr_taken + rec.nr_answered);
	for (uint32_t i = 0; i < rec.nr_taken; i++)
		FUZZ_NEED(rec.taken[i]->state == JOURNAL_TAKEN);
	for (uint32_t i = 0; i < rec.nr_answered; i++)
		FUZZ_NEED(rec.answered[i]->state == JOURNAL_ANSWERED);
	journal_recovery_free(&rec);
	/* Whoever is next finds a state of the same kind. */
	FUZZ_NEED(!journal_recover(q, &rec));
	journal_recovery_free(&rec);
}

static void disk(int fd, struct fuzz_in *in)
{
	struct journal *j;

	FUZZ_NEED(!journal_open(fd, 1, DISK_SLOTS, &j));
	use_queue(journal_queue(j, 0), in);
	journal_close(j);
	spoil(fd, in, 4096, 8192);
	if (journal_open(fd, 1, DISK_SLOTS, &j))
		return;
	recover(journal_queue(j, 0));
	journal_close(j);
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };
	int fd = memfd_create("journal", MFD_CLOEXEC);

	FUZZ_NEED(fd >= 0);
	if (fuzz_u8(&in) & 1)
		interface(fd, &in);
	else
		disk(fd, &in);
	close(fd);
}
