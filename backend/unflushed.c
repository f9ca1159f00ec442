/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of writes (unflushed.h): a ring of bytes and one of what they are. A copy lies in
 * one piece; what is left at the ring's end when it does not fit there is passed over.
 */
#include "unflushed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "disk-stage.h"
#include "util.h"

struct entry {
	uint64_t offset_bytes;
	uint32_t at, bytes;
};

struct unflushed {
	uint8_t *memory;
	uint64_t first, next;		/* numbers; the ring has those between */
	struct entry entries[UNFLUSHED_WRITES];
};

/* syscalls start: mmap */
int unflushed_open(struct unflushed **out)
{
	struct unflushed *u = calloc(1, sizeof(*u));
	void *at;

	if (!u)
		return -ENOMEM;
	at = mmap(NULL, UNFLUSHED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		  -1, 0);
	if (at == MAP_FAILED) {
		free(u);
		return -ENOMEM;
	}
	u->memory = at;
	*out = u;
	return 0;
}

/* syscalls nbd: munmap */
void unflushed_close(struct unflushed *u)
{
	if (!u)
		return;
	munmap(u->memory, UNFLUSHED_BYTES);
	free(u);
}

static struct entry *entry_of(struct unflushed *u, uint64_t number)
{
	return &u->entries[number % UNFLUSHED_WRITES];
}

/* Where bytes would go; UINT32_MAX: nowhere. Never up to the oldest: full is not empty. */
static uint32_t place(struct unflushed *u, uint64_t bytes)
{
	uint32_t from, to;

	if (u->next == u->first)
		return bytes <= UNFLUSHED_BYTES ? 0 : UINT32_MAX;
	from = entry_of(u, u->first)->at;
	to = entry_of(u, u->next - 1)->at + entry_of(u, u->next - 1)->bytes;
	if (from < to) {
		if (bytes <= UNFLUSHED_BYTES - to)
			return to;
		to = 0;
	}
	return to + bytes < from ? to : UINT32_MAX;
}

bool unflushed_add(struct unflushed *u, uint64_t offset_bytes, const struct iovec *iov,
		   uint64_t bytes)
{
	uint32_t at = u->next - u->first < UNFLUSHED_WRITES ? place(u, bytes) : UINT32_MAX;

	if (at == UINT32_MAX)
		return false;
	*entry_of(u, u->next++) = (struct entry){ .offset_bytes = offset_bytes, .at = at,
						  .bytes = (uint32_t)bytes };
	disk_stage_gather(u->memory + at, iov, bytes);
	return true;
}

uint64_t unflushed_mark(const struct unflushed *u)
{
	return u->next;
}

void unflushed_drop(struct unflushed *u, uint64_t mark)
{
	u->first = MAX(u->first, MIN(mark, u->next));
}

bool unflushed_next(struct unflushed *u, uint64_t *number, uint64_t *offset_bytes,
		    struct iovec *data)
{
	const struct entry *e;

	*number = MAX(*number, u->first);
	if (*number >= u->next)
		return false;
	e = entry_of(u, (*number)++);
	*offset_bytes = e->offset_bytes;
	*data = (struct iovec){ .iov_base = u->memory + e->at, .iov_len = e->bytes };
	return true;
}
