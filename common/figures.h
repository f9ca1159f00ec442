/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers that one process writes as it goes and others read: a file on tmpfs, mapped by
 * the writer, outliving it. A part for each thread that writes, on pages of its own; and
 * behind the parts, for each, a ring of records that nobody wants most of the time.
 *
 * Hides: the file's layout, whether it is of ours, how a ring is read that is written
 * meanwhile. Must not know: what is counted.
 *
 * The supervisor makes the file, a worker in its sandbox maps it, and its successor goes on
 * in it. Nobody locks or waits: a part has one writer, which stores words of 64 bits that a
 * reader sees whole. Readers take copies by pread(): a worker may be in a guest's hands and
 * cut its file short, which is an error of theirs then, and no signal.
 *
 * The file costs memory for its parts alone. A ring's pages come with figures_trace(), which
 * reserves them before the writer is asked to use them, so that a full tmpfs is the
 * reader's error too.
 */
#ifndef PV_FIGURES_H
#define PV_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIGURES_PARTS_MAX 64u
#define FIGURES_PART_BYTES_MAX (1u << 20)
#define FIGURES_RECORD_BYTES 64u
#define FIGURES_RECORDS 8192u		/* of a ring */

/* What is in the file: a kind has a layout of its parts, of which the number is a part. */
struct figures_layout {
	uint32_t kind;			/* enum of those who count; with its version */
	uint32_t nr_parts, part_bytes;
};

/*
 * Makes an empty file ready. fd is the caller's, here and below.
 * -ENOSPC: the file system is full; -EINVAL: too many parts, or too large.
 */
int figures_format(int fd, const struct figures_layout *layout);
/* 0: the file is one of ours with this layout. -EBADMSG: it is not. */
int figures_check(int fd, const struct figures_layout *layout);

/* ---- the writer ------------------------------------------------------------------- */

struct figures;

/*
 * fd -1, or a file that is not as it should be: memory that nobody reads, as figures are no
 * reason not to serve. -ENOMEM.
 */
int figures_open(int fd, const struct figures_layout *layout, struct figures **out);
void figures_close(struct figures *f);	/* accepts NULL */
void *figures_part(struct figures *f, uint32_t part);

/* A record is of FIGURES_RECORD_BYTES; its meaning is the writer's. */
struct figures_ring {
	const uint32_t *wanted;		/* in the file; others change it at any time */
	uint64_t *head;			/* of all records ever, those that count */
	uint8_t *records;
};

void figures_ring(struct figures *f, uint32_t part, struct figures_ring *out);

/* Whether records are wanted: one load of a word that hardly ever changes. */
static inline bool figures_wanted(const struct figures_ring *r)
{
	return __builtin_expect(*(const volatile uint32_t *)r->wanted, 0);
}

/* The record ahead places behind the last that counts; to be filled before figures_count(). */
static inline void *figures_record(const struct figures_ring *r, uint32_t ahead)
{
	uint64_t index = *r->head + ahead;

	return r->records + (index & (FIGURES_RECORDS - 1)) * FIGURES_RECORD_BYTES;
}

/* nr records more are complete. */
static inline void figures_count(const struct figures_ring *r, uint32_t nr)
{
	__atomic_store_n(r->head, *r->head + nr, __ATOMIC_RELEASE);
}

/* ---- readers ---------------------------------------------------------------------- */

/* What is in a file: of any kind. -EBADMSG: nothing that we know of. */
int figures_read_layout(int fd, struct figures_layout *out);
/* A copy of a part, whole as the layout says. -EBADMSG: the file has been cut short. */
int figures_read(int fd, const struct figures_layout *layout, uint32_t part, void *to);

/*
 * Asks the writer for records. fd: open for writing too, and by nobody else. From the first
 * time on the rings have memory, until the file goes. -ENOSPC: no room for them.
 */
int figures_trace(int fd, const struct figures_layout *layout);
/* Again, now and then: another that ended just as we began may have ended it for us too. */
int figures_trace_on(int fd);
/*
 * The last who wanted records does not any more. One that was killed counts no more, but
 * they end with the next that ends.
 */
void figures_trace_end(int fd);
/*
 * Copies records of a part that came since *next, at most max, and moves *next behind
 * them; *lost is how many were overwritten before they could be read. Begin with *next
 * UINT64_MAX: from now on. Returns their number, or -errno.
 */
int figures_read_records(int fd, const struct figures_layout *layout, uint32_t part,
			 uint64_t *next, void *to, uint32_t max, uint64_t *lost);

#endif
