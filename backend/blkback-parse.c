/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of a valid block request. They are the whole defence of the image's
 * bounds and of its being read-only: nothing after this file checks again.
 */
#include <assert.h>
#include <errno.h>
#include "blkback-parse.h"

#define SECTORS_PER_PAGE 8u

static int refuse(const char **why, const char *text, int err)
{
	*why = text;
	return err;
}

/* Overflow-safe: whether [sector, sector + nr) lies on the disk, aligned. */
static int check_range(const struct blk_limits *limits, uint64_t sector, uint64_t nr,
		       const char **why)
{
	if (sector > limits->sectors || nr > limits->sectors - sector)
		return refuse(why, "past the end of the disk", -EINVAL);
	if ((sector | nr) & limits->sector_mask)
		return refuse(why, "not a multiple of the sector size", -EINVAL);
	return 0;
}

static int check_write(const struct blk_limits *limits, const char **why)
{
	return limits->read_only ? refuse(why, "a write to a read-only disk", -EINVAL) : 0;
}

static int parse_data(const struct blk_limits *limits, enum blk_action action,
		      uint32_t max_segments, struct blk_plan *plan, const char **why)
{
	plan->action = action;
	if (plan->nr_segments == 0 || plan->nr_segments > max_segments)
		return refuse(why, "an impossible number of segments", -EINVAL);
	return action == BLK_READ ? 0 : check_write(limits, why);
}

static int parse_indirect(const struct blk_limits *limits, uint8_t inner,
			  struct blk_plan *plan, const char **why)
{
	plan->indirect = true;
	if (!limits->max_indirect_segments)
		return refuse(why, "an indirect request, which was not offered", -EOPNOTSUPP);
	if (inner != BLKIF_OP_READ && inner != BLKIF_OP_WRITE)
		return refuse(why, "an indirect request of an operation that has none", -EINVAL);
	return parse_data(limits, inner == BLKIF_OP_READ ? BLK_READ : BLK_WRITE,
			  limits->max_indirect_segments, plan, why);
}

static int parse_flush(const struct blk_limits *limits, struct blk_plan *plan,
		       const char **why)
{
	plan->action = BLK_FLUSH;
	if (!limits->flush)
		return refuse(why, "a flush, which was not offered", -EOPNOTSUPP);
	if (plan->nr_segments)
		return refuse(why, "a flush with data", -EINVAL);
	return 0;
}

/* A barrier without data is a flush that also orders. */
static int parse_barrier(const struct blk_limits *limits, struct blk_plan *plan,
			 const char **why)
{
	plan->action = BLK_BARRIER;
	if (!limits->barrier)
		return refuse(why, "a barrier, which was not offered", -EOPNOTSUPP);
	if (!plan->nr_segments)
		return 0;
	return parse_data(limits, BLK_BARRIER, BLKABI_DIRECT_MAX, plan, why);
}

static int parse_discard(const struct blk_limits *limits, const struct blkabi_request *r,
			 struct blk_plan *plan, const char **why)
{
	plan->action = BLK_DISCARD;
	plan->nr_sectors = r->discard.nr_sectors;
	/* blkif.h: the flag is ignored where discard-secure is not offered. */
	plan->secure = r->discard.secure && limits->discard_secure;
	if (!limits->discard)
		return refuse(why, "a discard, which was not offered", -EOPNOTSUPP);
	if (!plan->nr_sectors)
		return refuse(why, "a discard of nothing", -EINVAL);
	if (limits->read_only)
		return check_write(limits, why);
	return check_range(limits, plan->sector, plan->nr_sectors, why);
}

int blk_parse(const struct blk_limits *limits, const struct blkabi_request *r,
	      struct blk_plan *out, const char **why)
{
	*out = (struct blk_plan){
		.operation = r->inner_operation,
		.nr_segments = r->nr_segments,
		.sector = r->sector,
	};
	switch (r->operation) {
	case BLKIF_OP_READ:
		return parse_data(limits, BLK_READ, BLKABI_DIRECT_MAX, out, why);
	case BLKIF_OP_WRITE:
		return parse_data(limits, BLK_WRITE, BLKABI_DIRECT_MAX, out, why);
	case BLKIF_OP_WRITE_BARRIER:
		return parse_barrier(limits, out, why);
	case BLKIF_OP_FLUSH_DISKCACHE:
		return parse_flush(limits, out, why);
	case BLKIF_OP_DISCARD:
		return parse_discard(limits, r, out, why);
	case BLKIF_OP_INDIRECT:
		return parse_indirect(limits, r->inner_operation, out, why);
	default:
		return refuse(why, "an unknown operation", -EOPNOTSUPP);
	}
}

int blk_parse_segments(const struct blk_limits *limits, struct blk_plan *plan,
		       const struct blkif_request_segment *segs, const char **why)
{
	uint64_t nr, total = 0;

	assert(plan->nr_segments);
	for (uint32_t i = 0; i < plan->nr_segments; i++) {
		if (segs[i].last_sect >= SECTORS_PER_PAGE)
			return refuse(why, "a segment past the end of its page", -EINVAL);
		if (segs[i].first_sect > segs[i].last_sect)
			return refuse(why, "a segment that ends before it begins", -EINVAL);
		nr = segs[i].last_sect - segs[i].first_sect + 1u;
		if (nr & limits->sector_mask)
			return refuse(why, "a segment of part of a sector", -EINVAL);
		total += nr;
	}
	plan->nr_sectors = total;
	return check_range(limits, plan->sector, total, why);
}
