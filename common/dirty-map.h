/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which parts of an image have been written since somebody looked: a bit for each chunk of
 * 64 KiB, in memory that several processes share and that outlives each of them.
 *
 * Hides: the atomics, and their order. Must not know: who writes the image, who copies it.
 * Any thread; no locks.
 *
 * The two sides:
 *
 *   who writes the image                who copies it
 *   1 the write is in the image         1 dirty_map_take(): the bit is cleared
 *   2 dirty_map_mark()                  2 the chunk is read
 *   3 whoever asked for it is answered  3 what was read is written elsewhere
 *
 * If the take comes after the mark, it acquires what the mark released: the read that
 * follows sees the write. If it comes before, the bit is set when all is over, and the chunk
 * is taken once more. So a write that has been answered is in the copy, or its bit is
 * set. A mark before the write would promise less: the chunk could be taken, read without
 * the write, and be clean while the write lands.
 */
#ifndef PV_DIRTY_MAP_H
#define PV_DIRTY_MAP_H

#include <stddef.h>
#include <stdint.h>

#define DIRTY_CHUNK_BYTES 65536u
#define DIRTY_NONE UINT64_MAX

struct dirty_map {
	uint64_t *words;
	uint64_t nr_chunks;
	size_t mapped_bytes;
};

/* Memory for the map of an image; nobody can change its size. All clean. -errno. */
int dirty_map_make(uint64_t image_bytes, int *fd);
/* fd stays the caller's, and may be closed. -ENOMEM and others of mmap. */
int dirty_map_open(int fd, uint64_t image_bytes, struct dirty_map **out);
/* Accepts NULL. */
void dirty_map_close(struct dirty_map *m);

/* All chunks that the range touches; what is beyond the image's end is nobody's. */
void dirty_map_mark(struct dirty_map *m, uint64_t offset_bytes, uint64_t bytes);
/*
 * The first run of dirty chunks at or behind from, of max at most: returns its first chunk
 * and in *nr its length, and clears the bits. DIRTY_NONE: there is none up to the end.
 */
uint64_t dirty_map_take(struct dirty_map *m, uint64_t from, uint32_t max, uint32_t *nr);
/* How many are dirty, more or less, while others mark. */
uint64_t dirty_map_count(const struct dirty_map *m);

/* ---- for dirty-map.c: the only words about order -------------------------------- */

/* Step 2 of who writes; pairs with dirty_map_clear_bits(). */
static inline void dirty_map_set_bits(uint64_t *word, uint64_t bits)
{
	/* A bit that is set has been set after this, too: nobody has cleared it since. */
	__atomic_fetch_or(word, bits, __ATOMIC_RELEASE);
}

/* Step 1 of who copies; which of the bits were set. */
static inline uint64_t dirty_map_clear_bits(uint64_t *word, uint64_t bits)
{
	return __atomic_fetch_and(word, ~bits, __ATOMIC_ACQUIRE) & bits;
}

static inline uint64_t dirty_map_look(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

#endif
