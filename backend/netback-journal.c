/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's file, and what a successor makes of it (netback-journal.h).
 *
 * Hides: how the file is made and checked; which records count. Must not know: when
 * they are written.
 */
#include "netback-journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "grant.h"
#include "util.h"

#define JOURNAL_MAGIC 0x31304c4e4a4e5031ull	/* "1PNJNL01" */

/* ---- the file ----------------------------------------------------------------------- */

static size_t file_bytes(uint32_t nr_queues)
{
	size_t bytes = sizeof(struct nb_journal_file) +
		       nr_queues * sizeof(struct nb_queue_journal);

	return (bytes + GRANT_PAGE_BYTES - 1) & ~(size_t)(GRANT_PAGE_BYTES - 1);
}

/* syscalls start: fstat newfstatat fallocate */
/* Space is reserved now: a full tmpfs would otherwise be a SIGBUS later. */
int nb_journal_reserve(int fd, uint32_t nr_queues)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return st.st_size ? 0 : -posix_fallocate(fd, 0, (off_t)file_bytes(nr_queues));
}

/* syscalls bridge: fstat newfstatat */
static int check_size(int fd, size_t bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return (size_t)st.st_size == bytes ? 0 : -EBADMSG;
}

/* syscalls bridge: mmap(data) munmap */
int nb_journal_open(struct nb_journal *j, int fd, uint32_t nr_queues)
{
	size_t bytes = file_bytes(nr_queues);
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	int rc = fd < 0 ? 0 : check_size(fd, bytes);
	struct nb_journal_file *file;

	if (rc)
		return rc;
	file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (file == MAP_FAILED)
		return -errno;
	j->is_predecessors = file->magic != 0;
	if (j->is_predecessors && (file->magic != JOURNAL_MAGIC || file->version != NB_JOURNAL_VERSION ||
				   file->nr_queues != nr_queues)) {
		munmap(file, bytes);
		return -EBADMSG;
	}
	j->file = file;
	j->bytes = bytes;
	file->version = NB_JOURNAL_VERSION;
	file->nr_queues = nr_queues;
	return 0;
}

/* syscalls bridge: munmap */
void nb_journal_close(struct nb_journal *j)
{
	if (j->file)
		munmap(j->file, j->bytes);
	j->file = NULL;
}

void nb_journal_begin(struct nb_journal *j)
{
	NB_STEP();
	j->file->magic = JOURNAL_MAGIC;
}

/* ---- for people ---------------------------------------------------------------------- */

void nb_journal_leave(struct nb_journal *j, uint64_t at_ns)
{
	j->file->queue[0].left_ns = at_ns;
}

void nb_journal_began(struct nb_journal *j, uint64_t at_ns)
{
	struct nb_queue_journal *q = &j->file->queue[0];

	q->pause_ns = q->left_ns ? at_ns - q->left_ns : 0;
	q->left_ns = 0;
	q->began_ns = at_ns;
}

/* syscalls bridge: pread64 */
static int read_file(int fd, struct nb_journal_file *file, struct nb_queue_journal *first)
{
	ssize_t got = pread(fd, file, sizeof(*file), 0);

	if (got == sizeof(*file))
		got = pread(fd, first, offsetof(struct nb_queue_journal, posted), sizeof(*file));
	return got < 0 ? -errno : 0;
}

int nb_journal_check_format(int fd, uint32_t *version)
{
	struct nb_journal_file file = { .magic = 0 };
	struct nb_queue_journal first;
	int rc = read_file(fd, &file, &first);

	*version = file.version;
	if (rc || file.magic != JOURNAL_MAGIC)
		return rc ? rc : file.magic ? -EBADMSG : 0;
	return file.version == NB_JOURNAL_VERSION ? 0 : -EPROTONOSUPPORT;
}

int nb_journal_read_pause(int fd, uint64_t *began_ns, uint64_t *pause_ns)
{
	struct nb_journal_file file = { .magic = 0 };
	struct nb_queue_journal first = { .began_ns = 0 };
	int rc = read_file(fd, &file, &first);

	if (rc)
		return rc;
	if (file.magic != JOURNAL_MAGIC || file.version != NB_JOURNAL_VERSION)
		return -EBADMSG;
	*began_ns = first.began_ns;
	*pause_ns = first.pause_ns;
	return 0;
}

/* ---- rings --------------------------------------------------------------------------- */

/* The first to use a ring: it has taken nothing, and answered what the page says. */
static uint32_t begin(struct ring_back *ring, void *page, size_t slot_bytes)
{
	uint32_t start = ring_back_start(page);

	ring_back_init(ring, page, GRANT_PAGE_BYTES, slot_bytes, start);
	return start;
}

static int resume(struct ring_back *ring, void *page, size_t slot_bytes, uint32_t rsp_prod,
		  uint32_t req_cons)
{
	ring_back_init(ring, page, GRANT_PAGE_BYTES, slot_bytes, rsp_prod);
	if (req_cons - rsp_prod > ring->nr_slots)
		return -EBADMSG;
	if (!ring_back_fits(ring, req_cons))
		return -EPROTO;
	ring_back_resume(ring, req_cons);
	return 0;
}

static int started(const struct ring_back *ring)
{
	return ring_back_pending(ring) < 0 ? -EPROTO : 0;
}

static bool counts(const struct nb_queue_journal *q, const struct nb_record *r)
{
	if (r->state == NB_RECORD_TAKEN)
		return (int32_t)(q->tx_req_cons - r->req_end) >= 0;
	return r->state == NB_RECORD_ANSWERED && (int32_t)(r->rsp_end - q->tx_rsp_prod) > 0;
}

/*
 * Lists the frames that have no answer yet, and frees the other records. -EBADMSG: they
 * are not what the indices say.
 */
static int find_unanswered(struct nb_queue_journal *q, struct nb_record *list[NB_RING_SLOTS],
			   uint32_t *nr)
{
	uint32_t slots = 0;

	*nr = 0;
	for (uint32_t i = 0; i < NB_RING_SLOTS; i++) {
		struct nb_record *r = &q->record[i];

		if (!counts(q, r)) {
			nb_journal_free(r);
			continue;
		}
		if (!r->nr_slots || r->nr_slots > NB_SLOTS_FATAL)
			return -EBADMSG;
		slots += (uint32_t)r->nr_slots + r->nr_extras;
		list[(*nr)++] = r;
	}
	return slots == q->tx_req_cons - q->tx_rsp_prod ? 0 : -EBADMSG;
}

int nb_journal_start_tx(const struct nb_journal *j, uint32_t queue, void *page,
			struct ring_back *ring)
{
	struct nb_queue_journal *q = &j->file->queue[queue];
	struct nb_record *list[NB_RING_SLOTS];
	uint32_t nr;
	int rc;

	if (!j->is_predecessors) {
		q->tx_req_cons = q->tx_rsp_prod = begin(ring, page, sizeof(netif_tx_request_t));
		return started(ring);
	}
	rc = resume(ring, page, sizeof(netif_tx_request_t), q->tx_rsp_prod, q->tx_req_cons);
	if (!rc)
		rc = find_unanswered(q, list, &nr);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < nr; i++)
		nb_journal_answer(list[i], ring, NETIF_RSP_DROPPED);
	nb_journal_push_tx(q, ring);
	ring_back_push(ring);
	for (uint32_t i = 0; i < nr; i++)
		nb_journal_free(list[i]);
	return started(ring);
}

int nb_journal_start_rx(const struct nb_journal *j, uint32_t queue, void *page,
			struct ring_back *ring)
{
	struct nb_queue_journal *q = &j->file->queue[queue];
	int rc;

	if (!j->is_predecessors) {
		q->rx_req_cons = q->rx_rsp_prod = begin(ring, page, sizeof(netif_rx_request_t));
		return started(ring);
	}
	rc = resume(ring, page, sizeof(netif_rx_request_t), q->rx_rsp_prod, q->rx_req_cons);
	if (rc)
		return rc;
	for (uint32_t i = q->rx_rsp_prod; i != q->rx_req_cons; i++) {
		const struct nb_posted *p = &q->posted[i & (NB_RING_SLOTS - 1)];
		const netif_rx_request_t req = { .id = p->id, .gref = p->gref };

		ring_back_untake(ring, i, &req, sizeof(req));
		NB_STEP();
	}
	ring->req_cons = q->rx_rsp_prod;
	nb_journal_posted(q, ring);
	return started(ring);
}

int nb_journal_start_ctrl(const struct nb_journal *j, void *page, struct ring_back *ring)
{
	struct nb_journal_file *f = j->file;
	const size_t slot_bytes = sizeof(f->ctrl_taken);
	int rc;

	if (!j->is_predecessors) {
		f->ctrl_req_cons = f->ctrl_rsp_prod = begin(ring, page, slot_bytes);
		return started(ring);
	}
	rc = resume(ring, page, slot_bytes, f->ctrl_rsp_prod, f->ctrl_req_cons);
	if (!rc && f->ctrl_req_cons - f->ctrl_rsp_prod > 1)
		rc = -EBADMSG;
	if (rc)
		return rc;
	if (f->ctrl_req_cons != f->ctrl_rsp_prod)
		ring_back_untake(ring, f->ctrl_rsp_prod, &f->ctrl_taken, slot_bytes);
	NB_STEP();
	ring->req_cons = f->ctrl_req_cons = f->ctrl_rsp_prod;
	return started(ring);
}

/* ---- settings ------------------------------------------------------------------------- */

int nb_journal_check_settings(const struct nb_journal *j)
{
	const struct nb_hash *h = &j->file->hash;

	if (h->nr_map > NB_HASH_MAP_MAX || j->file->nr_groups > VSWITCH_MULTICAST_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < h->nr_map; i++)
		if (h->map[i] >= j->file->nr_queues)
			return -EBADMSG;
	return 0;
}

void nb_journal_group(struct nb_journal *j, const uint8_t *mac, bool add)
{
	struct nb_journal_file *f = j->file;
	uint32_t i = 0;

	while (i < f->nr_groups && memcmp(f->group[i], mac, VSWITCH_MAC_BYTES))
		i++;
	if (add && i == f->nr_groups && i < VSWITCH_MULTICAST_MAX) {
		memcpy(f->group[i], mac, VSWITCH_MAC_BYTES);
		NB_STEP();
		f->nr_groups++;
	} else if (!add && i < f->nr_groups) {
		memcpy(f->group[i], f->group[f->nr_groups - 1], VSWITCH_MAC_BYTES);
		NB_STEP();
		f->nr_groups--;
	}
	NB_STEP();
}
