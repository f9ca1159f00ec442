/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk by Xen's ring, by our front-end library, unchanged, which the guest links. Must
 * not know how pages are shared (xen-grants.c), how to wait (xen-env.c).
 */
#include <string.h>

#include "guest.h"
#include "guest-xen.h"
#include "blkfront.h"

#define POOL_PAGES 448u

static struct blkfront *front;
static struct blkfront_io ios[CMP_DEPTH_MAX];
static struct blkfront_iov iovs[CMP_DEPTH_MAX];
static int waited_for;

static void xen_open(void)
{
	struct blkfront_options opts = {
		.ring_order = -1,
		.pool_pages = POOL_PAGES,
		.poll_cycles = job->flags & CMP_POLL ? 100000000u : 0,
		.no_persistent = job->flags & CMP_NO_PERSISTENT,
		.no_indirect = job->flags & CMP_NO_INDIRECT,
		.fresh_grants = job->flags & CMP_FRESH_GRANTS,
	};
	struct front_problem problem = { 0 };
	struct blkfront_info info;
	int r;

	r = blkfront_open(xen_env(), job->devid, &opts, -1, &front, &problem);
	if (r)
		give_up(r, problem.text);
	blkfront_info(front, &info);
	if (info.size_bytes < job->disk_bytes)
		give_up(-6, "the vbd is smaller than it should be");
	job->segments = info.max_segments;
	job->persistent = info.persistent;
	job->indirect = info.indirect;
	events_direct();
}

static void *xen_buffer(unsigned int index)
{
	void *buf;

	if (job->flags & (CMP_BOUNCE | CMP_FRESH_GRANTS))
		return plain_buffer(index);
	if (blkfront_buffer_get(front, job->block_bytes, &buf))
		give_up(-12, "the pool of shared pages is too small for this depth and block size");
	return buf;
}

static void done(struct blkfront_io *io, int result)
{
	waited_for++;
	request_done(io->arg, result);
}

static void xen_submit(struct request *r)
{
	struct blkfront_io *io = &ios[r->index];
	int err;

	iovs[r->index] = (struct blkfront_iov){ r->buf, r->bytes };
	*io = (struct blkfront_io){
		.op = r->write ? BLKFRONT_WRITE : BLKFRONT_READ,
		.offset_bytes = r->offset_bytes, .iov = &iovs[r->index], .nr_iov = 1,
		.done = done, .arg = r,
	};
	err = blkfront_submit(front, io);
	if (err)
		give_up(err, "the front end does not take a request");
}

static void xen_kick(void)
{
	blkfront_kick(front);
}

static void xen_wait(void)
{
	int r;

	for (waited_for = 0; !waited_for;) {
		r = blkfront_wait(front, 1, -1);
		if (r < 0)
			give_up(r, blkfront_problem(front)->text);
	}
}

static void xen_close(void)
{
	struct front_problem problem = { 0 };
	int r = blkfront_flush(front);

	if (r && r != -95)
		give_up(r, "flush failed");
	r = blkfront_close(front, -1, &problem);
	if (r)
		give_up(r, problem.text);
}

static uint64_t xen_copied_bytes(void)
{
	struct blkfront_stats stats;

	blkfront_stats(front, &stats);
	return stats.copied_bytes;
}

const struct model model_xen = {
	.max_depth = CMP_DEPTH_MAX, .open = xen_open, .buffer = xen_buffer,
	.submit = xen_submit, .kick = xen_kick, .wait = xen_wait, .close = xen_close,
	.copied_bytes = xen_copied_bytes,
};
