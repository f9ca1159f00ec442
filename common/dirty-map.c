/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bits of written chunks (dirty-map.h). Must not know: images.
 */
#include "dirty-map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util.h"

#define WORD_CHUNKS 64u

static uint64_t chunks_of(uint64_t bytes)
{
	return bytes / DIRTY_CHUNK_BYTES + (bytes % DIRTY_CHUNK_BYTES != 0);
}

static size_t map_bytes(uint64_t image_bytes)
{
	uint64_t words = chunks_of(image_bytes) / WORD_CHUNKS + 1;

	return (size_t)(words * sizeof(uint64_t));
}

/* syscalls start: memfd_create ftruncate fcntl */
int dirty_map_make(uint64_t image_bytes, int *out)
{
	autoclose int fd = memfd_create("dirty-map", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	*out = -1;
	if (fd < 0 || ftruncate(fd, (off_t)map_bytes(image_bytes)) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	*out = fd;
	fd = -1;
	return 0;
}

/* syscalls disk: mmap(data) */
int dirty_map_open(int fd, uint64_t image_bytes, struct dirty_map **out)
{
	struct dirty_map *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->nr_chunks = chunks_of(image_bytes);
	m->mapped_bytes = map_bytes(image_bytes);
	m->words = mmap(NULL, m->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->words == MAP_FAILED) {
		free(m);
		return -errno;
	}
	*out = m;
	return 0;
}

/* syscalls disk: munmap */
void dirty_map_close(struct dirty_map *m)
{
	if (!m)
		return;
	munmap(m->words, m->mapped_bytes);
	free(m);
}

/* nr bits from the one at on, which are all in one word. */
static uint64_t bits_of(uint64_t at, uint64_t nr)
{
	uint64_t all = nr >= WORD_CHUNKS ? UINT64_MAX : (UINT64_C(1) << nr) - 1;

	return all << at % WORD_CHUNKS;
}

void dirty_map_mark(struct dirty_map *m, uint64_t offset_bytes, uint64_t bytes)
{
	uint64_t at = offset_bytes / DIRTY_CHUNK_BYTES;
	uint64_t end = chunks_of(offset_bytes % DIRTY_CHUNK_BYTES + bytes) + at;

	if (!bytes)
		return;
	end = MIN(end, m->nr_chunks);
	while (at < end) {
		uint64_t nr = MIN(end - at, WORD_CHUNKS - at % WORD_CHUNKS);

		dirty_map_set_bits(&m->words[at / WORD_CHUNKS], bits_of(at, nr));
		at += nr;
	}
}

static uint64_t find(const struct dirty_map *m, uint64_t at)
{
	while (at < m->nr_chunks) {
		uint64_t word = dirty_map_look(&m->words[at / WORD_CHUNKS]) >> at % WORD_CHUNKS;

		if (word) {
			at += (uint64_t)__builtin_ctzll(word);
			return at < m->nr_chunks ? at : DIRTY_NONE;
		}
		at += WORD_CHUNKS - at % WORD_CHUNKS;
	}
	return DIRTY_NONE;
}

/* How many in a row are set in this word from at on. */
static uint32_t run_at(const struct dirty_map *m, uint64_t at)
{
	uint64_t clear = ~(dirty_map_look(&m->words[at / WORD_CHUNKS]) >> at % WORD_CHUNKS);
	uint32_t run = clear ? (uint32_t)__builtin_ctzll(clear) : WORD_CHUNKS;

	/* Zeros came in from above. */
	return (uint32_t)MIN(MIN(run, WORD_CHUNKS - at % WORD_CHUNKS), m->nr_chunks - at);
}

uint64_t dirty_map_take(struct dirty_map *m, uint64_t from, uint32_t max, uint32_t *nr)
{
	uint64_t at = find(m, from), next = at;

	*nr = 0;
	while (next < m->nr_chunks && *nr < max) {
		uint32_t run = MIN(run_at(m, next), max - *nr);

		if (!run)
			break;
		dirty_map_clear_bits(&m->words[next / WORD_CHUNKS], bits_of(next, run));
		*nr += run;
		next += run;
	}
	return *nr ? at : DIRTY_NONE;
}

uint64_t dirty_map_count(const struct dirty_map *m)
{
	uint64_t words = chunks_of(m->nr_chunks * DIRTY_CHUNK_BYTES) / WORD_CHUNKS + 1, nr = 0;

	for (uint64_t i = 0; i < words; i++)
		nr += (uint64_t)__builtin_popcountll(dirty_map_look(&m->words[i]));
	return nr;
}
