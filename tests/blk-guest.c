/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest of blk-guest.h. The layouts are the compiler's (blk-abis.h), not
 * the back end's.
 */
#include <string.h>
#include "blk-abis.h"
#include "blk-guest.h"

static bool is_i386(const struct guest *g)
{
#ifdef __i386__
	return g->abi != VBD_ABI_X86_64;
#else
	return g->abi == VBD_ABI_X86_32;
#endif
}

static size_t slot_bytes(const struct guest *g)
{
	return is_i386(g) ? sizeof(struct i386_rw) : sizeof(struct amd64_rw);
}

void guest_attach(struct guest *g, enum vbd_abi abi, void *ring, uint32_t ring_bytes)
{
	memset(g, 0, sizeof(*g));
	g->abi = abi;
	g->ring = ring;
	g->ring_bytes = ring_bytes;
	ring_front_init(&g->front, ring, ring_bytes, slot_bytes(g));
}

/* A slot's unused bytes are noise. */
#define NOISE 0x5a

#define PUT(abi, member, ...) do { \
	union abi##_slot s; \
	memset(&s, NOISE, sizeof(s)); \
	s.member = (struct abi##_##member){ __VA_ARGS__ }; \
	ring_front_put(&g->front, s.bytes, slot_bytes(g)); \
} while (0)

void guest_rw(struct guest *g, uint8_t operation, uint64_t id, uint64_t sector,
	      uint8_t nr_segments, const struct blkif_request_segment *segs)
{
	struct blkif_request_segment s[11];
	union i386_slot *narrow;
	union amd64_slot *wide;
	uint8_t bytes[112];

	memset(s, NOISE, sizeof(s));
	if (segs)
		memcpy(s, segs, (nr_segments < 11 ? nr_segments : 11) * sizeof(s[0]));
	memset(bytes, NOISE, sizeof(bytes));
	narrow = (union i386_slot *)bytes;
	wide = (union amd64_slot *)bytes;
	if (is_i386(g)) {
		narrow->rw.operation = operation;
		narrow->rw.nr_segments = nr_segments;
		narrow->rw.id = id;
		narrow->rw.sector_number = sector;
		memcpy(narrow->rw.seg, s, sizeof(s));
	} else {
		wide->rw.operation = operation;
		wide->rw.nr_segments = nr_segments;
		wide->rw.id = id;
		wide->rw.sector_number = sector;
		memcpy(wide->rw.seg, s, sizeof(s));
	}
	ring_front_put(&g->front, bytes, slot_bytes(g));
}

void guest_discard(struct guest *g, uint64_t id, uint64_t sector, uint64_t nr_sectors,
		   uint8_t flag)
{
	if (is_i386(g))
		PUT(i386, discard, BLKIF_OP_DISCARD, flag, 0, id, sector, nr_sectors);
	else
		PUT(amd64, discard, BLKIF_OP_DISCARD, flag, 0, id, sector, nr_sectors);
}

#define EIGHT(a) { a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7] }

void guest_indirect_pages(struct guest *g, uint8_t inner, uint64_t id, uint64_t sector,
			  uint16_t nr_segments, const uint32_t grefs[8])
{
	if (is_i386(g))
		PUT(i386, indirect, BLKIF_OP_INDIRECT, inner, nr_segments, id, sector, 0,
		    EIGHT(grefs));
	else
		PUT(amd64, indirect, BLKIF_OP_INDIRECT, inner, nr_segments, id, sector, 0,
		    EIGHT(grefs));
}

void guest_indirect(struct guest *g, uint8_t inner, uint64_t id, uint64_t sector,
		    uint16_t nr_segments, uint32_t gref)
{
	const uint32_t grefs[8] = { gref };

	guest_indirect_pages(g, inner, id, sector, nr_segments, grefs);
}

static bool clean(const uint8_t *bytes, size_t from, size_t to)
{
	while (from < to)
		if (bytes[from++])
			return false;
	return true;
}

bool guest_response(struct guest *g, struct guest_response *out)
{
	size_t bytes = is_i386(g) ? sizeof(struct i386_response) :
		sizeof(struct amd64_response);
	uint8_t raw[16] = { 0 };

	if (ring_front_pending(&g->front) <= 0)
		return false;
	ring_front_take(&g->front, raw, bytes);
	memcpy(&out->id, raw, 8);
	out->operation = raw[8];
	memcpy(&out->status, raw + 10, 2);
	out->padding_clean = raw[9] == 0 && clean(raw, 12, bytes);
	return true;
}

void guest_scribble(struct guest *g)
{
	memset(g->front.slots, 0xff, (size_t)g->front.nr_slots * g->front.slot_bytes);
}
