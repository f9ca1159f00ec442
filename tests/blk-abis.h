/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slots of a block ring as the compiler of an i386 and of an x86-64 guest
 * lays them out. Written apart from the back end's table of offsets, so that one
 * checks the other.
 */
#ifndef PV_BLK_ABIS_H
#define PV_BLK_ABIS_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

/* xen/io/blkif.h's structures once more, for any alignment of 64 bits. */
#define DEFINE_ABI(abi, align) \
	typedef uint64_t __attribute__((aligned(align))) abi##_u64; \
	struct abi##_rw { \
		uint8_t operation, nr_segments; \
		uint16_t handle; \
		abi##_u64 id, sector_number; \
		struct blkif_request_segment seg[11]; \
	}; \
	struct abi##_discard { \
		uint8_t operation, flag; \
		uint16_t handle; \
		abi##_u64 id, sector_number, nr_sectors; \
	}; \
	struct abi##_indirect { \
		uint8_t operation, indirect_op; \
		uint16_t nr_segments; \
		abi##_u64 id, sector_number; \
		uint16_t handle; \
		uint32_t indirect_grefs[8]; \
	}; \
	union abi##_slot { \
		struct abi##_rw rw; \
		struct abi##_discard discard; \
		struct abi##_indirect indirect; \
		uint8_t bytes[112]; \
	}; \
	struct abi##_response { \
		abi##_u64 id; \
		uint8_t operation; \
		int16_t status; \
	}

DEFINE_ABI(i386, 4);
DEFINE_ABI(amd64, 8);

#endif
