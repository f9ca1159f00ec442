/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzz targets have in common: an input that is used up octet by octet,
 * and a thread that rewrites shared memory while the code under test reads it.
 *
 * A target is fuzz_one() and nothing else. With libFuzzer it is called on what
 * that invents; in the plain program (fuzz-replay.c) on the corpus, on what was
 * found before, and on mutations of both. Must not know: any target.
 */
#ifndef PV_FUZZ_H
#define PV_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "util.h"

#define FUZZ_INPUT_MAX 4096u

/* Every run begins from nothing: what an input does must not depend on others. */
void fuzz_one(const uint8_t *data, size_t bytes);

/* A fault of the code under test. Stays where assert() may be compiled out. */
#define FUZZ_NEED(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

/* A device that has used up its lines in the log. */
static inline void fuzz_quiet(struct log_peer *log)
{
	log_peer_init(log, "fuzz");
	log->tokens = 0;
}

/* ---- the input: zeros when it is used up --------------------------------------- */

struct fuzz_in {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_in *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static inline uint16_t fuzz_u16(struct fuzz_in *in)
{
	uint16_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}

static inline uint32_t fuzz_u32(struct fuzz_in *in)
{
	uint32_t low = fuzz_u16(in);

	return low | (uint32_t)fuzz_u16(in) << 16;
}

static inline uint64_t fuzz_u64(struct fuzz_in *in)
{
	uint64_t low = fuzz_u32(in);

	return low | (uint64_t)fuzz_u32(in) << 32;
}

static inline uint32_t fuzz_below(struct fuzz_in *in, uint32_t end)
{
	return (end > 256 ? fuzz_u16(in) : fuzz_u8(in)) % end;
}

/* Up to max octets of the input as they are; returns how many. */
static inline size_t fuzz_bytes(struct fuzz_in *in, void *to, size_t max)
{
	uint8_t *out = to;
	size_t n = 0;

	while (n < max && in->left)
		out[n++] = fuzz_u8(in);
	return n;
}

/* ---- a peer that rewrites what is being read ------------------------------------- */

/*
 * Until fuzz_storm_end() another thread changes words in bytes octets at memory:
 * mostly back and forth between what was there and something else, so that a
 * second reading sees another value than the first. The area is as it was
 * afterwards. Which word changes when is not repeatable, so a finding may need
 * several runs of its input.
 */
void fuzz_storm_begin(void *memory, size_t bytes, uint32_t seed);
void fuzz_storm_end(void);

#endif
