/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is noted of a request while somebody traces the device.
 *
 * Hides: how a record comes about. Must not know: who reads it. Nothing here runs when
 * nobody wants to know.
 */
#include "blkback-internal.h"

void blk_trace_answer(struct blkback *b, const struct blk_request *req, int16_t status)
{
	static const uint8_t pages[] = {
		[BLK_PAGES_NONE] = BLK_TRACE_NONE, [BLK_PAGES_CACHED] = BLK_TRACE_CACHED,
		[BLK_PAGES_MAPPED] = BLK_TRACE_MAPPED, [BLK_PAGES_COPIED] = BLK_TRACE_COPIED,
	};
	struct blk_trace *t = figures_record(&b->trace, b->nr_traced++);
	uint32_t since_ns = blk_since_ns(b, req);

	*t = (struct blk_trace){
		.taken_ns = now_ns() - since_ns,
		.sector = req->plan.sector,
		.submitted_ns = req->submitted_ns,
		.completed_ns = since_ns,
		.bytes = (uint32_t)MIN(req->plan.nr_sectors * VBD_SECTOR_BYTES, UINT32_MAX),
		.segments = (uint16_t)req->plan.nr_segments,
		.status = status,
		.operation = req->plan.operation,
		.pages = pages[req->how],
		.indirect = req->plan.indirect,
	};
}

void blk_trace_push(struct blkback *b, bool notified)
{
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < b->nr_traced; i++) {
		struct blk_trace *t = figures_record(&b->trace, i);

		t->published_ns = (uint32_t)MIN(now - t->taken_ns, UINT32_MAX);
		t->notified = notified;
	}
	figures_count(&b->trace, b->nr_traced);
	b->nr_traced = 0;
}
