/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a successor must know of a vif and cannot learn from its rings, where it finds
 * it: a small file on tmpfs, mapped by the worker, outliving it.
 *
 * Hides: the file's layout, and what a successor makes of it, so that a kill -9 at
 * any instruction leaves a state in which each tx request is answered once and each
 * rx request used once. Must not know: frames on their way, the switch, grants.
 *
 * A frame that was on its way is lost; a network may do that. Its slots are not.
 *
 * The file belongs to us alone (mode 0600), but the worker that wrote it may have been
 * in a guest's hands: every word is checked before it is used. One thread.
 *
 * Order of stores; a kill may come after any of them:
 *   tx 1. a record for each frame, with the ids of its slots, state TAKEN;
 *      2. tx_req_cons: from here on they count; until then the slots are intact in the
 *         ring, and are taken again.
 *      3. the answers, in any order, into the ring; state ANSWERED and the index behind.
 *      4. tx_rsp_prod: the commit; then the ring's. Until then an answer is written
 *         again, by the record; from then on its slot may hold a new request.
 *      5. records FREE.
 *   rx 1. the requests taken, as they were; rx_req_cons: the commit.
 *      2. responses into the same slots.
 *      3. rx_rsp_prod: the commit; then the ring's. A successor writes the requests
 *         between the two back into their slots, and nothing was ever taken.
 *   control: a message is taken, copied, acted on and answered alone; a successor acts
 *      on it again. What it takes out of a list is not there any more then: deleting.
 * So tx_req_cons - tx_rsp_prod = slots of the records that count, but for those answered
 * before tx_rsp_prod. Nothing here depends on a word of the peer's.
 *
 * Only the order of the stores in the program matters, not that of a CPU: what a killed
 * process has stored is in memory before a successor runs.
 */
#ifndef PV_NETBACK_JOURNAL_H
#define PV_NETBACK_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/netif.h>
#include "frame.h"
#include "ring.h"
#include "vif.h"
#include "vswitch.h"

/* A point at which a kill may come. A test is compiled with one that may stop here. */
#ifdef NB_KILL_POINTS
void nb_kill_point(void);
#define NB_STEP() nb_kill_point()
#else
#define NB_STEP() __asm__ volatile("" : : : "memory")
#endif

#define NB_RING_SLOTS 256u
#define NB_SLOTS_FATAL 20u		/* of one frame: no front end means that */
#define NB_MAPPED_MAX 512u		/* static grants of a queue: a page of a list names so many */
#define NB_HASH_MAP_MAX 128u

enum nb_record_state { NB_RECORD_FREE, NB_RECORD_TAKEN, NB_RECORD_ANSWERED };

/* The slots of a frame on its way. */
struct nb_record {
	uint32_t req_end;		/* the ring's index behind its last slot */
	uint32_t rsp_end;		/* ... behind its last answer, when ANSWERED */
	uint16_t nr_extras;
	uint8_t nr_slots;
	uint8_t state;
	uint16_t id[NB_SLOTS_FATAL];
	uint8_t pad[12];
};
_Static_assert(sizeof(struct nb_record) == 64, "a cache line");

struct nb_posted {
	uint32_t gref;
	uint16_t id, pad;
};

struct nb_hash {
	uint32_t algorithm, types;
	uint8_t key[FRAME_HASH_KEY_BYTES];
	uint32_t nr_map;		/* 0: modulo */
	uint32_t map[NB_HASH_MAP_MAX];
};

struct nb_queue_journal {
	uint32_t tx_req_cons, tx_rsp_prod;
	uint32_t rx_req_cons, rx_rsp_prod;
	uint32_t nr_mapped;		/* while the list is written: 0 */
	uint32_t deleted;		/* grants, by the message deleted_at */
	uint64_t left_ns, began_ns, pause_ns;	/* of the first queue: as journal.h's */
	/*
	 * The control message, by its index, whose front end has been told which grants go out
	 * of mapped: noted before they do, and as long as that message is unanswered.
	 */
	uint32_t deleted_at;
	uint32_t deleting;		/* 1 or 0 */
	uint8_t pad[8];
	struct nb_posted posted[NB_RING_SLOTS];		/* by index in the ring */
	struct xen_netif_gref mapped[NB_MAPPED_MAX];
	struct nb_record record[NB_RING_SLOTS];
};

struct nb_journal_file {
	uint64_t magic;			/* written last */
	uint32_t version, nr_queues;
	uint32_t ctrl_req_cons, ctrl_rsp_prod;
	struct xen_netif_ctrl_request ctrl_taken;	/* the last */
	struct nb_hash hash;
	uint32_t nr_groups;
	uint8_t group[VSWITCH_MULTICAST_MAX][VSWITCH_MAC_BYTES];
	struct nb_queue_journal queue[] __attribute__((aligned(64)));
};

struct nb_journal {
	struct nb_journal_file *file;
	size_t bytes;
	bool is_predecessors;		/* somebody has written it before us */
};

/*
 * Room for a journal in an empty file; a predecessor's stays as it is. The supervisor's part: a
 * worker, which may be in a guest's hands, can make no file longer (sandbox.h). -ENOSPC: the
 * file system is full.
 */
int nb_journal_reserve(int fd, uint32_t nr_queues);

/*
 * fd: a file with room for it, or a predecessor's; -1: memory of our own, which nobody inherits.
 * It stays the caller's. -EBADMSG: not a journal of ours, or of another number of queues.
 */
int nb_journal_open(struct nb_journal *j, int fd, uint32_t nr_queues);
/* Keeps the file. */
void nb_journal_close(struct nb_journal *j);
#define NB_JOURNAL_VERSION 1u		/* of the layout above */

/*
 * CLOCK_MONOTONIC, for people: a worker that stops in good order looks at the rings no more;
 * its successor looks for the first time.
 */
void nb_journal_leave(struct nb_journal *j, uint64_t at_ns);
void nb_journal_began(struct nb_journal *j, uint64_t at_ns);
/* As journal_read_pause() and journal_check_format(), for other processes. */
int nb_journal_read_pause(int fd, uint64_t *began_ns, uint64_t *pause_ns);
int nb_journal_check_format(int fd, uint32_t *version);

/* All rings have begun: a successor goes on from here. */
void nb_journal_begin(struct nb_journal *j);

/*
 * A ring's state as a predecessor left it, or, without one, as the page says. What was in
 * flight is answered, or as if it had never been taken. -EBADMSG: what is in the journal
 * cannot be; -EPROTO: what is in the ring cannot.
 */
int nb_journal_start_tx(const struct nb_journal *j, uint32_t queue, void *page,
			struct ring_back *ring);
int nb_journal_start_rx(const struct nb_journal *j, uint32_t queue, void *page,
			struct ring_back *ring);
int nb_journal_start_ctrl(const struct nb_journal *j, void *page, struct ring_back *ring);
/* -EBADMSG: what a predecessor says of hashing and of groups cannot be. */
int nb_journal_check_settings(const struct nb_journal *j);

/* A multicast address was added to the port's list, or removed. */
void nb_journal_group(struct nb_journal *j, const uint8_t *mac, bool add);

/* ---- tx ------------------------------------------------------------------------------- */

static inline void nb_journal_take(struct nb_record *r, uint32_t req_end)
{
	r->req_end = req_end;
	NB_STEP();
	r->state = NB_RECORD_TAKEN;
	NB_STEP();
}

static inline void nb_journal_taken(struct nb_queue_journal *q, const struct ring_back *tx)
{
	NB_STEP();
	q->tx_req_cons = tx->req_cons;
	NB_STEP();
}

/* Writes the answers of a frame. */
static inline void nb_journal_answer(struct nb_record *r, struct ring_back *tx, int16_t status)
{
	for (uint32_t i = 0; i < r->nr_slots; i++) {
		netif_tx_response_t *rsp = ring_back_next(tx);

		rsp->id = r->id[i];
		rsp->status = status;
		NB_STEP();
		/* An extra info has no id: its answer follows its frame's first. */
		for (uint32_t j = 0; !i && j < r->nr_extras; j++) {
			rsp = ring_back_next(tx);
			rsp->id = 0;
			rsp->status = NETIF_RSP_NULL;
		}
	}
	r->rsp_end = tx->rsp_prod_pvt;
	NB_STEP();
	r->state = NB_RECORD_ANSWERED;
	NB_STEP();
}

/* Before the ring's producer is pushed; the records that it covers are freed after it. */
static inline void nb_journal_push_tx(struct nb_queue_journal *q, const struct ring_back *tx)
{
	NB_STEP();
	q->tx_rsp_prod = tx->rsp_prod_pvt;
	NB_STEP();
}

static inline void nb_journal_free(struct nb_record *r)
{
	r->state = NB_RECORD_FREE;
	NB_STEP();
}

/* ---- rx ------------------------------------------------------------------------------- */

/* The request at index was taken. */
static inline void nb_journal_post(struct nb_queue_journal *q, uint32_t index,
				   const netif_rx_request_t *req)
{
	q->posted[index & (NB_RING_SLOTS - 1)] = (struct nb_posted){ req->gref, req->id, 0 };
}

static inline void nb_journal_posted(struct nb_queue_journal *q, const struct ring_back *rx)
{
	NB_STEP();
	q->rx_req_cons = rx->req_cons;
	NB_STEP();
}

static inline void nb_journal_push_rx(struct nb_queue_journal *q, const struct ring_back *rx)
{
	NB_STEP();
	q->rx_rsp_prod = rx->rsp_prod_pvt;
	NB_STEP();
}

#endif
