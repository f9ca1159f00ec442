/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The requests in flight of one device, where a successor finds them: a small
 * file on tmpfs, mapped by the worker, outliving it.
 *
 * Hides: the file's layout and the order of its writes, so that a kill -9 at
 * any instruction leaves a state from which every request is answered exactly
 * once. Must not know: grants, images, what a request means.
 *
 * One thread per queue. The file belongs to us alone (mode 0600): its contents are
 * checked against damage, not against an attacker.
 *
 * Order of writes; a kill may come after any of them:
 *   1. journal_take: a free record gets the private copy of the request, its
 *      ring index, seq and epoch, then state TAKEN. The records of a pass count
 *      once req_cons covers them (journal_taken(): one store for the pass);
 *      until then their slots in the ring are intact and are taken again.
 *   2. journal_answer: status and response index into the record, then state
 *      ANSWERED; only then is the response written into the ring's slot.
 *   3. journal_push_begin: rsp_prod, after the responses it covers are in their
 *      slots: the commit. From here on a successor publishes that index (again:
 *      the same store twice does no harm) and never writes these slots, which
 *      may hold new requests by then.
 *   4. ring push, then journal_push_end: frees the records answered.
 * At every point, then, req_cons - rsp_prod = records taken + records answered
 * beyond rsp_prod. Nothing here depends on a word of the peer's.
 *
 * Only the order of the stores in the program matters, not that of a CPU: what
 * a killed process has stored is in memory before a successor runs.
 */
#ifndef PV_JOURNAL_H
#define PV_JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include "image-error.h"

#define JOURNAL_MAGIC 0x31304c4e4a565031ull	/* "1PVJNL01" */
#define JOURNAL_VERSION 1u
#define JOURNAL_REQUEST_BYTES 112u	/* the largest slot of any ABI */

enum journal_state { JOURNAL_FREE, JOURNAL_TAKEN, JOURNAL_ANSWERED };

struct journal_record {
	uint64_t seq;			/* order of taking, in this queue */
	uint64_t epoch;			/* barriers of the device taken before it */
	uint32_t req_index;		/* free-running ring index it came from */
	uint32_t rsp_index;
	int16_t status;
	uint8_t operation;		/* for the response */
	uint8_t state;			/* enum journal_state */
	uint32_t reserved;
	uint8_t request[JOURNAL_REQUEST_BYTES];
	uint8_t pad[48];		/* 192 bytes: three cache lines */
};
_Static_assert(sizeof(struct journal_record) == 192, "journal layout");

struct journal;
struct journal_queue;

/*
 * fd: an empty file (made ready for nr_queues x nr_slots) or a predecessor's.
 * The descriptor stays the caller's. -EBADMSG: not a journal of ours, or of
 * another geometry; -ENOSPC: the file system is full.
 */
int journal_open(int fd, uint32_t nr_queues, uint32_t nr_slots, struct journal **out);
void journal_close(struct journal *j);	/* accepts NULL; keeps the file */
struct journal_queue *journal_queue(struct journal *j, uint32_t queue);
/*
 * A word of the device's, 0 in a new journal: errno of the flush that failed (disk.h).
 * It is the disk's to write, and its successor's to find.
 */
uint32_t *journal_flush_lost(struct journal *j);

/*
 * CLOCK_MONOTONIC, for people: a worker that stops in good order looks at its ring no more;
 * its successor is about to look for the first time.
 */
void journal_leave(struct journal_queue *q, uint64_t now_ns);
void journal_begin(struct journal_queue *q, uint64_t now_ns);

/* Forgets all records; the ring starts at rsp_prod (first connection). */
void journal_reset(struct journal_queue *q, uint32_t rsp_prod);

/*
 * A free record: at most nr_slots are in use, so there is one (asserted). The
 * caller fills request[] before journal_taken().
 */
struct journal_record *journal_take(struct journal_queue *q, uint32_t req_index,
				    uint64_t epoch);
void journal_taken(struct journal_queue *q, uint32_t req_cons);
void journal_answer(struct journal_queue *q, struct journal_record *r,
		    uint32_t rsp_index, int16_t status, uint8_t operation);
void journal_push_begin(struct journal_queue *q, uint32_t rsp_prod);
void journal_push_end(struct journal_queue *q);

/* What a predecessor left. The records stay the journal's. */
struct journal_recovery {
	uint32_t req_cons;		/* next request to take from the ring */
	uint32_t rsp_prod;		/* to publish, before anything else */
	uint32_t nr_answered;		/* responses to write again, in this order */
	uint32_t nr_taken;		/* requests to replay, in order of seq */
	struct journal_record **answered, **taken;	/* malloc'd arrays */
};

/*
 * Frees what needs no more work and lists the rest. May be repeated: a
 * successor that dies in between leaves a state of the same kind.
 * -ENODATA: no ring was ever started here; -EBADMSG: the records contradict.
 */
int journal_recover(struct journal_queue *q, struct journal_recovery *out);
void journal_recovery_free(struct journal_recovery *r);

/*
 * When the worker began, and for how long its guest was not served before that; 0: not known,
 * since the one before was killed, or there was none. Of several queues the longest.
 * -EBADMSG: not a journal.
 */
int journal_read_pause(int fd, uint64_t *began_ns, uint64_t *pause_ns);
/*
 * Whether this version can go on from it. -EPROTONOSUPPORT: it is a journal, of the format
 * that is put into *version; -EBADMSG: it is none.
 */
int journal_check_format(int fd, uint32_t *version);
/* For readers, as journal_flush_lost(); 0 also when it is no journal. */
uint32_t journal_read_flush_lost(int fd);
/*
 * For who knows, besides the disk, that something was lost: it is not written over. -EBADMSG: no
 * journal.
 */
int journal_note_flush_lost(int fd, int err);

#endif
