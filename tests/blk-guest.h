/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's end of a block ring in any ABI: it writes any request, valid or
 * not. Must not know the back end, nor how pages are shared.
 */
#ifndef PV_BLK_GUEST_H
#define PV_BLK_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include "ring.h"
#include "vbd.h"
#include <xen/io/blkif.h>

#define GUEST_RING_PAGES_MAX 16u
/* Pages for data, after those of two rings. */
#define GUEST_DATA_PAGE (4 * GUEST_RING_PAGES_MAX)

struct guest {
	enum vbd_abi abi;
	struct ring_front front;
	void *ring;
	uint32_t ring_bytes, port;
	uint32_t ring_gref[GUEST_RING_PAGES_MAX];
};

struct guest_response {
	uint64_t id;
	uint8_t operation;
	int16_t status;
	bool padding_clean;
};

/* A fresh ring in memory of the caller's. */
void guest_attach(struct guest *g, enum vbd_abi abi, void *ring, uint32_t ring_bytes);

/*
 * Over fake-xen (blk-guest-fake.c): ring number index (0 or 1) of 1 << order
 * pages, the first of the fake guest's memory; fake_reset() was called.
 */
void guest_open(struct guest *g, enum vbd_abi abi, uint32_t order, uint32_t index);
void guest_push(struct guest *g);

/* nr_segments is written as it is; at most 11 of segs are. Then push. */
void guest_rw(struct guest *g, uint8_t operation, uint64_t id, uint64_t sector,
	      uint8_t nr_segments, const struct blkif_request_segment *segs);
void guest_discard(struct guest *g, uint64_t id, uint64_t sector, uint64_t nr_sectors,
		   uint8_t flag);
void guest_indirect(struct guest *g, uint8_t inner, uint64_t id, uint64_t sector,
		    uint16_t nr_segments, uint32_t gref);
/* The same with all 8 pages that may hold segments. */
void guest_indirect_pages(struct guest *g, uint8_t inner, uint64_t id, uint64_t sector,
			  uint16_t nr_segments, const uint32_t grefs[8]);
/* False: there is none. */
bool guest_response(struct guest *g, struct guest_response *out);
/* Scribbles over all slots of the ring. */
void guest_scribble(struct guest *g);

#endif
