/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block ring's slots as bytes: three layouts in, one structure out.
 *
 * Hides: at which offset each ABI keeps a field, and how long its slots and
 * responses are. Must not know: what is a valid request, rings, grants, disks.
 * Pure functions on private memory, any thread; they accept any bytes.
 *
 * Source: xen/io/blkif.h compiled for i386 and for x86-64: the two differ in
 * the alignment of a 64-bit field (4 and 8), and so in every offset from id on.
 */
#ifndef PV_BLKABI_H
#define PV_BLKABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>
#include "vbd.h"

#define BLKABI_SLOT_BYTES_MAX 112u
#define BLKABI_RESPONSE_BYTES_MAX 16u
#define BLKABI_HEAD_BYTES 4u
#define BLKABI_DIRECT_MAX BLKIF_MAX_SEGMENTS_PER_REQUEST
/* Segments that one page of an indirect request describes. */
#define BLKABI_SEGMENTS_PER_PAGE 512u

/* What a slot says, believed in nothing. Which fields hold depends on operation. */
struct blkabi_request {
	uint8_t operation;		/* BLKIF_OP_*, or anything */
	uint8_t inner_operation;	/* of an indirect request; else = operation */
	uint16_t nr_segments;
	uint64_t id;
	uint64_t sector;		/* of 512 bytes, always */
	union {
		/* the first min(nr_segments, BLKABI_DIRECT_MAX) */
		struct blkif_request_segment segs[BLKABI_DIRECT_MAX];
		uint32_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
		struct {
			uint64_t nr_sectors;
			bool secure;
		} discard;
	};
};

size_t blkabi_slot_bytes(enum vbd_abi abi);
/*
 * How many segments a request keeps in pages of their own, from its first
 * BLKABI_HEAD_BYTES, which are the same in every ABI; 0 for all others.
 */
uint32_t blkabi_indirect_segments(const uint8_t *head);
/* From the same: what it does, an indirect request's inner operation; all its segments. */
uint8_t blkabi_head_operation(const uint8_t *head);
uint32_t blkabi_head_segments(const uint8_t *head);
/* slot: blkabi_slot_bytes() bytes of private memory, of any contents. */
void blkabi_parse(enum vbd_abi abi, const uint8_t *slot, struct blkabi_request *out);
/*
 * Every byte of a response, padding zeroed: it goes to the peer as it is.
 * Returns its length, at most BLKABI_RESPONSE_BYTES_MAX.
 */
size_t blkabi_response(enum vbd_abi abi, uint64_t id, uint8_t operation,
		       int16_t status, uint8_t *out);

#endif
