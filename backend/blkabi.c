/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The offsets of the block ABIs, in one table, and the two functions that use
 * it. Must not know what a valid request is: bounds only protect this memory.
 */
#include <string.h>
#include "blkabi.h"
#include "util.h"

struct layout {
	uint8_t slot_bytes, response_bytes;
	uint8_t id, sector;		/* the same in every kind of request */
	uint8_t segs, indirect_grefs, nr_sectors;
};

static const struct layout layouts[] = {
	[VBD_ABI_NATIVE] = {
		.slot_bytes = sizeof(struct blkif_request),
		.response_bytes = sizeof(struct blkif_response),
		.id = offsetof(struct blkif_request, id),
		.sector = offsetof(struct blkif_request, sector_number),
		.segs = offsetof(struct blkif_request, seg),
		.indirect_grefs = offsetof(struct blkif_request_indirect, indirect_grefs),
		.nr_sectors = offsetof(struct blkif_request_discard, nr_sectors),
	},
	[VBD_ABI_X86_32] = {
		.slot_bytes = 108, .response_bytes = 12,
		.id = 4, .sector = 12,
		.segs = 20, .indirect_grefs = 24, .nr_sectors = 20,
	},
	[VBD_ABI_X86_64] = {
		.slot_bytes = 112, .response_bytes = 16,
		.id = 8, .sector = 16,
		.segs = 24, .indirect_grefs = 28, .nr_sectors = 24,
	},
};

/* Alike in all ABIs: the first four bytes, and what follows a response's id. */
enum {
	AT_OPERATION = 0,
	AT_NR_SEGMENTS = 1,		/* one byte; discard: flag */
	AT_INDIRECT_OPERATION = 1,
	AT_INDIRECT_NR_SEGMENTS = 2,	/* two bytes */
	AT_RESPONSE_OPERATION = 8,
	AT_RESPONSE_STATUS = 10,
};

_Static_assert(sizeof(struct blkif_request_segment) == 8, "the same in every ABI");
_Static_assert(sizeof(struct blkif_request) <= BLKABI_SLOT_BYTES_MAX, "slot");
_Static_assert(offsetof(struct blkif_response, status) == AT_RESPONSE_STATUS, "response");

size_t blkabi_slot_bytes(enum vbd_abi abi)
{
	return layouts[abi].slot_bytes;
}

uint32_t blkabi_indirect_segments(const uint8_t *head)
{
	uint16_t nr;

	if (head[AT_OPERATION] != BLKIF_OP_INDIRECT)
		return 0;
	memcpy(&nr, head + AT_INDIRECT_NR_SEGMENTS, sizeof(nr));
	return nr;
}

uint8_t blkabi_head_operation(const uint8_t *head)
{
	return head[AT_OPERATION] == BLKIF_OP_INDIRECT ? head[AT_INDIRECT_OPERATION] :
							 head[AT_OPERATION];
}

uint32_t blkabi_head_segments(const uint8_t *head)
{
	return head[AT_OPERATION] == BLKIF_OP_INDIRECT ? blkabi_indirect_segments(head) :
							 head[AT_NR_SEGMENTS];
}

static void parse_indirect(const struct layout *l, const uint8_t *slot,
			   struct blkabi_request *out)
{
	out->inner_operation = slot[AT_INDIRECT_OPERATION];
	memcpy(&out->nr_segments, slot + AT_INDIRECT_NR_SEGMENTS, sizeof(uint16_t));
	memcpy(out->indirect_grefs, slot + l->indirect_grefs, sizeof(out->indirect_grefs));
}

static void parse_discard(const struct layout *l, const uint8_t *slot,
			  struct blkabi_request *out)
{
	out->nr_segments = 0;
	out->discard.secure = slot[AT_NR_SEGMENTS] & BLKIF_DISCARD_SECURE;
	memcpy(&out->discard.nr_sectors, slot + l->nr_sectors, sizeof(uint64_t));
}

static void parse_direct(const struct layout *l, const uint8_t *slot,
			 struct blkabi_request *out)
{
	size_t nr = MIN(slot[AT_NR_SEGMENTS], BLKABI_DIRECT_MAX);

	out->nr_segments = slot[AT_NR_SEGMENTS];
	memcpy(out->segs, slot + l->segs, nr * sizeof(out->segs[0]));
}

void blkabi_parse(enum vbd_abi abi, const uint8_t *slot, struct blkabi_request *out)
{
	const struct layout *l = &layouts[abi];

	out->operation = out->inner_operation = slot[AT_OPERATION];
	memcpy(&out->id, slot + l->id, sizeof(out->id));
	memcpy(&out->sector, slot + l->sector, sizeof(out->sector));
	if (out->operation == BLKIF_OP_INDIRECT)
		parse_indirect(l, slot, out);
	else if (out->operation == BLKIF_OP_DISCARD)
		parse_discard(l, slot, out);
	else
		parse_direct(l, slot, out);
}

size_t blkabi_response(enum vbd_abi abi, uint64_t id, uint8_t operation,
		       int16_t status, uint8_t *out)
{
	size_t bytes = layouts[abi].response_bytes;

	memset(out, 0, bytes);
	memcpy(out, &id, sizeof(id));
	out[AT_RESPONSE_OPERATION] = operation;
	memcpy(out + AT_RESPONSE_STATUS, &status, sizeof(status));
	return bytes;
}
