/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block ABIs against layouts made by the compiler (blk-abis.h). Must not know how blkabi.c
 * finds a field.
 */
#include <stdbool.h>
#include "blk-abis.h"
#include "blkabi.h"
#include "unit.h"

#define ID 0x1122334455667788ull
#define SECTOR 0x99aabbccddeeff01ull

static void check_head(const struct blkabi_request *r, uint8_t operation)
{
	UNIT_EQ(r->operation, operation);
	UNIT_EQ(r->id, ID);
	UNIT_EQ(r->sector, SECTOR);
}

/* The rest of a slot is noise, as a guest's is. */
#define SLOT(abi, name) union abi##_slot name; memset(&name, 0xa5, sizeof(name))

#define CHECK_RW(abi, which) do { \
	struct blkabi_request r; \
	SLOT(abi, s); \
	s.rw.operation = BLKIF_OP_WRITE; \
	s.rw.id = ID; \
	s.rw.sector_number = SECTOR; \
	for (unsigned nr = 0; nr < 256; nr++) { \
		s.rw.nr_segments = (uint8_t)nr; \
		for (unsigned i = 0; i < 11; i++) \
			s.rw.seg[i] = (struct blkif_request_segment){ \
				.gref = 1000 + i, .first_sect = (uint8_t)i, .last_sect = 7 }; \
		blkabi_parse(which, s.bytes, &r); \
		check_head(&r, BLKIF_OP_WRITE); \
		UNIT_EQ(r.inner_operation, BLKIF_OP_WRITE); \
		UNIT_EQ(r.nr_segments, nr); \
		for (unsigned i = 0; i < nr && i < 11; i++) { \
			UNIT_EQ(r.segs[i].gref, 1000 + i); \
			UNIT_EQ(r.segs[i].first_sect, i); \
			UNIT_EQ(r.segs[i].last_sect, 7); \
		} \
	} \
} while (0)

static void test_rw(void)
{
	CHECK_RW(i386, VBD_ABI_X86_32);
	CHECK_RW(amd64, VBD_ABI_X86_64);
#ifdef __x86_64__
	CHECK_RW(amd64, VBD_ABI_NATIVE);
#endif
}

#define CHECK_DISCARD(abi, which) do { \
	struct blkabi_request r; \
	SLOT(abi, s); \
	s.discard.operation = BLKIF_OP_DISCARD; \
	s.discard.id = ID; \
	s.discard.sector_number = SECTOR; \
	s.discard.nr_sectors = ~0ull - 1; \
	s.discard.flag = 0xfe; \
	blkabi_parse(which, s.bytes, &r); \
	check_head(&r, BLKIF_OP_DISCARD); \
	UNIT_EQ(r.nr_segments, 0); \
	UNIT_EQ(r.discard.nr_sectors, ~0ull - 1); \
	UNIT_OK(!r.discard.secure); \
	s.discard.flag = BLKIF_DISCARD_SECURE; \
	blkabi_parse(which, s.bytes, &r); \
	UNIT_OK(r.discard.secure); \
} while (0)

static void test_discard(void)
{
	CHECK_DISCARD(i386, VBD_ABI_X86_32);
	CHECK_DISCARD(amd64, VBD_ABI_X86_64);
#ifdef __x86_64__
	CHECK_DISCARD(amd64, VBD_ABI_NATIVE);
#endif
}

#define CHECK_INDIRECT(abi, which) do { \
	struct blkabi_request r; \
	SLOT(abi, s); \
	s.indirect.operation = BLKIF_OP_INDIRECT; \
	s.indirect.indirect_op = BLKIF_OP_READ; \
	s.indirect.nr_segments = 0xfedc; \
	s.indirect.id = ID; \
	s.indirect.sector_number = SECTOR; \
	for (unsigned i = 0; i < 8; i++) \
		s.indirect.indirect_grefs[i] = 0xf0000000u + i; \
	blkabi_parse(which, s.bytes, &r); \
	check_head(&r, BLKIF_OP_INDIRECT); \
	UNIT_EQ(r.inner_operation, BLKIF_OP_READ); \
	UNIT_EQ(r.nr_segments, 0xfedc); \
	for (unsigned i = 0; i < 8; i++) \
		UNIT_EQ(r.indirect_grefs[i], 0xf0000000u + i); \
} while (0)

static void test_indirect(void)
{
	CHECK_INDIRECT(i386, VBD_ABI_X86_32);
	CHECK_INDIRECT(amd64, VBD_ABI_X86_64);
#ifdef __x86_64__
	CHECK_INDIRECT(amd64, VBD_ABI_NATIVE);
#endif
}

static void test_sizes(void)
{
	UNIT_EQ(blkabi_slot_bytes(VBD_ABI_X86_32), sizeof(struct i386_rw));
	UNIT_EQ(blkabi_slot_bytes(VBD_ABI_X86_64), sizeof(struct amd64_rw));
	UNIT_EQ(blkabi_slot_bytes(VBD_ABI_NATIVE), sizeof(struct blkif_request));
}

/* XSA-216: all bytes are known ones, and nothing after them is touched. */
#define CHECK_RESPONSE(abi, which) do { \
	uint8_t out[BLKABI_RESPONSE_BYTES_MAX + 1]; \
	struct abi##_response want; \
	memset(out, 0xa5, sizeof(out)); \
	memset(&want, 0, sizeof(want)); \
	want.id = ID; \
	want.operation = BLKIF_OP_FLUSH_DISKCACHE; \
	want.status = BLKIF_RSP_EOPNOTSUPP; \
	UNIT_EQ(blkabi_response(which, ID, want.operation, want.status, out), sizeof(want)); \
	UNIT_EQ(memcmp(out, &want, sizeof(want)), 0); \
	UNIT_EQ(out[sizeof(want)], 0xa5); \
} while (0)

static void test_response(void)
{
	CHECK_RESPONSE(i386, VBD_ABI_X86_32);
	CHECK_RESPONSE(amd64, VBD_ABI_X86_64);
#ifdef __x86_64__
	CHECK_RESPONSE(amd64, VBD_ABI_NATIVE);
#endif
}

/* Any bytes: what is counted is that memory checkers stay quiet. */
static void test_noise(void)
{
	struct blkabi_request r;
	uint32_t seed = 1;

	for (unsigned n = 0; n < 200000; n++) {
		enum vbd_abi abi = n % 3;
		size_t bytes = blkabi_slot_bytes(abi);
		uint8_t *slot = malloc(bytes);

		UNIT_NEED(slot);
		for (size_t i = 0; i < bytes; i++) {
			seed = seed * 1664525 + 1013904223;
			slot[i] = (uint8_t)(seed >> 24);
		}
		slot[0] %= 8;
		blkabi_parse(abi, slot, &r);
		UNIT_EQ(r.operation, slot[0]);
		free(slot);
	}
}

static const struct unit_test tests[] = {
	{ "slot sizes", test_sizes },
	{ "read and write, 0 to 255 segments", test_rw },
	{ "discard", test_discard },
	{ "indirect", test_indirect },
	{ "responses, padding included", test_response },
	{ "noise", test_noise },
};

int main(void)
{
	return unit_run("blkabi", tests, UNIT_LEN(tests));
}
