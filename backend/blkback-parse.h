/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first step: what a request wants, or why it gets an error.
 *
 * Hides: every rule of blkif.h about a valid request. Must not know: where the
 * request came from, grants, disks. Pure functions on private memory.
 */
#ifndef PV_BLKBACK_PARSE_H
#define PV_BLKBACK_PARSE_H

#include "blkabi.h"

/* What this device allows. */
struct blk_limits {
	uint64_t sectors;		/* of 512 bytes */
	uint32_t sector_mask;		/* bits that must be 0 in a sector number */
	uint32_t max_indirect_segments;	/* 0: no indirect requests */
	bool read_only, flush, barrier, discard, discard_secure;
};

enum blk_action { BLK_READ, BLK_WRITE, BLK_BARRIER, BLK_FLUSH, BLK_DISCARD };

struct blk_plan {
	enum blk_action action;
	uint8_t operation;		/* for the response: an indirect's inner one */
	bool indirect;			/* segments are in other pages */
	bool secure;
	uint16_t nr_segments;
	uint64_t sector, nr_sectors;	/* nr_sectors: after blk_parse_segments() */
};

/*
 * Everything but the segments. 0, -EOPNOTSUPP (not this device) or -EINVAL;
 * then *why is a static text. out->operation is set in any case.
 */
int blk_parse(const struct blk_limits *limits, const struct blkabi_request *r,
	      struct blk_plan *out, const char **why);
/* The segments of a plan that has some; sets nr_sectors. 0 or -EINVAL. */
int blk_parse_segments(const struct blk_limits *limits, struct blk_plan *plan,
		       const struct blkif_request_segment *segs, const char **why);

#endif
