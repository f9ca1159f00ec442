/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Staging memory (disk-stage.h): a byte for each page says whether it is taken;
 * the search goes round, since what was taken first is mostly free first.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "disk-stage.h"
#include "util.h"

#define STAGE_BYTES ((size_t)DISK_STAGE_PAGES * DISK_STAGE_PAGE_BYTES)

/* syscalls start: mmap */
int disk_stage_open(struct disk_stage *s)
{
	void *at = mmap(NULL, STAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	s->memory = at;
	return 0;
}

/* syscalls disk: munmap */
void disk_stage_close(struct disk_stage *s)
{
	if (s->memory)
		munmap(s->memory, STAGE_BYTES);
	s->memory = NULL;
}

static uint32_t pages_of(uint64_t bytes)
{
	return (uint32_t)((bytes + DISK_STAGE_PAGE_BYTES - 1) / DISK_STAGE_PAGE_BYTES);
}

/* The first free run of nr pages in [from, to); to: there is none. */
static uint32_t find(const struct disk_stage *s, uint32_t from, uint32_t to, uint32_t nr)
{
	while (from + nr <= to) {
		const uint8_t *hit = memchr(s->taken + from, 1, nr);

		if (!hit)
			return from;
		from = (uint32_t)(hit - s->taken) + 1;
	}
	return to;
}

void *disk_stage_get(struct disk_stage *s, uint64_t bytes)
{
	uint32_t nr, at;

	if (!bytes || bytes > STAGE_BYTES)
		return NULL;
	nr = pages_of(bytes);
	at = find(s, s->next, DISK_STAGE_PAGES, nr);
	if (at == DISK_STAGE_PAGES)
		at = find(s, 0, DISK_STAGE_PAGES, nr);
	if (at == DISK_STAGE_PAGES)
		return NULL;
	memset(s->taken + at, 1, nr);
	s->next = at + nr;
	return s->memory + (size_t)at * DISK_STAGE_PAGE_BYTES;
}

void disk_stage_put(struct disk_stage *s, void *at, uint64_t bytes)
{
	size_t first = (size_t)((uint8_t *)at - s->memory) / DISK_STAGE_PAGE_BYTES;
	uint32_t nr = pages_of(bytes);

	assert(first + nr <= DISK_STAGE_PAGES && s->taken[first] == 1);
	memset(s->taken + first, 0, nr);
}

void disk_stage_gather(void *at, const struct iovec *iov, uint64_t bytes)
{
	for (uint8_t *to = at; bytes; iov++) {
		size_t n = MIN(bytes, iov->iov_len);

		memcpy(to, iov->iov_base, n);
		to += n;
		bytes -= n;
	}
}

void disk_stage_scatter(const struct iovec *iov, const void *at, uint64_t bytes)
{
	for (const uint8_t *from = at; bytes; iov++) {
		size_t n = MIN(bytes, iov->iov_len);

		memcpy(iov->iov_base, from, n);
		from += n;
		bytes -= n;
	}
}
