/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block front end against a back end in the same process: what it puts on
 * the ring, what it makes of the answers, and of answers that cannot be true.
 */
#include <stdbool.h>
#include <unistd.h>

#include "blkfront-rig.h"
#include "unit.h"

/* ---- requests, byte by byte ------------------------------------------------------------ */

static void test_direct_layout(void)
{
	const struct blkif_request *req = fake_back.log;
	bool writable;

	begin();
	UNIT_NEED(go(NULL));
	fill(big, 2 * PAGE + 512, 1);
	UNIT_EQ(blkfront_write(f, 1024, big, 2 * PAGE + 512), 0);
	UNIT_EQ(fake_back.nr_log, 1);
	UNIT_EQ(req->operation, BLKIF_OP_WRITE);
	UNIT_EQ(req->nr_segments, 3);
	UNIT_EQ(req->handle, (blkif_vdev_t)FAKE_DEVID);
	UNIT_EQ(req->sector_number, 2);
	UNIT_EQ(req->seg[0].first_sect, 0);
	UNIT_EQ(req->seg[0].last_sect, 7);
	UNIT_EQ(req->seg[2].first_sect, 0);
	UNIT_EQ(req->seg[2].last_sect, 0);
	UNIT_OK(fake_gnt_find(req->seg[1].gref, &writable) != NULL);
	UNIT_OK(!memcmp(fake_gnt_find(req->seg[1].gref, NULL), big + PAGE, PAGE));
	UNIT_OK(!memcmp(fake_back.disk + 1024, big, 2 * PAGE + 512));
	UNIT_EQ(blkfront_read(f, 1024, wanted, 2 * PAGE + 512), 0);
	UNIT_OK(!memcmp(wanted, big, 2 * PAGE + 512));
	end();
}

static void test_indirect_layout(void)
{
	const uint8_t *raw = (const uint8_t *)fake_back.log;
	const struct blkif_request_segment *seg;
	uint32_t gref, i;

	begin();
	UNIT_NEED(go(NULL));
	fill(big, 20 * PAGE + 1536, 2);
	UNIT_EQ(blkfront_write(f, 3 * 512, big, 20 * PAGE + 1536), 0);
	UNIT_EQ(fake_back.nr_log, 1);
	/* xen/io/blkif.h on x86_64: 0 op, 1 imm_op, 2 nr (u16), 8 id, 16 sector,
	 * 24 handle (u16), 28 the first gref. */
	UNIT_EQ(raw[0], 6);
	UNIT_EQ(raw[1], 1);
	UNIT_EQ(raw[2] | raw[3] << 8, 21);
	UNIT_EQ(raw[4] | raw[5] | raw[6] | raw[7], 0);
	UNIT_EQ(raw[16] | raw[17] << 8, 3);
	UNIT_EQ(raw[24] | raw[25] << 8, FAKE_DEVID & 0xffff);
	memcpy(&gref, raw + 28, 4);
	seg = fake_gnt_find(gref, NULL);
	UNIT_NEED(seg != NULL);
	for (i = 0; i < 21; i++) {
		UNIT_EQ(seg[i].first_sect, 0);
		UNIT_EQ(seg[i].last_sect, i < 20 ? 7 : 2);
		UNIT_OK(!memcmp(fake_gnt_find(seg[i].gref, NULL), big + i * PAGE,
				i < 20 ? PAGE : 1536));
	}
	UNIT_OK(!memcmp(fake_back.disk + 3 * 512, big, 20 * PAGE + 1536));
	for (i = 32; i < 60; i++)	/* grefs that are not used */
		UNIT_EQ(raw[i], 0);
	end();
}

static void test_flush_discard_layout(void)
{
	const struct blkif_request_discard *d = (const void *)(fake_back.log + 1);

	begin();
	fake_back.features.discard_secure = true;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_flush(f), 0);
	UNIT_EQ(fake_back.log[0].operation, BLKIF_OP_FLUSH_DISKCACHE);
	UNIT_EQ(fake_back.log[0].nr_segments, 0);
	UNIT_EQ(blkfront_discard(f, 8192, 4096, true), 0);
	UNIT_EQ(d->operation, BLKIF_OP_DISCARD);
	UNIT_EQ(d->flag, BLKIF_DISCARD_SECURE);
	UNIT_EQ(d->sector_number, 16);
	UNIT_EQ(d->nr_sectors, 8);
	UNIT_EQ(blkfront_discard(f, 0, 512, false), 0);
	UNIT_EQ(((const struct blkif_request_discard *)(fake_back.log + 2))->flag, 0);
	end();
}

/* ---- splitting ------------------------------------------------------------------------------ */

static void round_trip(const struct blkfront_options *o, size_t bytes, uint64_t offset,
		       uint32_t requests)
{
	begin();
	UNIT_NEED(go(o));
	fill(big, bytes, (unsigned int)bytes);
	UNIT_EQ(blkfront_write(f, offset, big, bytes), 0);
	UNIT_EQ(fake_back.nr_log, requests);
	UNIT_OK(!memcmp(fake_back.disk + offset, big, bytes));
	memset(wanted, 0, bytes);
	UNIT_EQ(blkfront_read(f, offset, wanted, bytes), 0);
	UNIT_OK(!memcmp(wanted, big, bytes));
	end();
}

static void test_splitting(void)
{
	static const struct blkfront_options direct = { .no_indirect = true },
		small = { .max_segments = 3 }, large = { .max_segments = 256, .pool_pages = 1100 },
		plenty = { .pool_pages = 1100 },
		fresh = { .fresh_grants = true }, no_pers = { .no_persistent = true };

	round_trip(NULL, 512, 512, 1);
	round_trip(NULL, 4u << 20, 0, 17);	/* the pool is smaller than that */
	round_trip(&plenty, 4u << 20, 0, 16);		/* 64 pages each */
	round_trip(&direct, 11 * PAGE, 0, 1);
	round_trip(&direct, 12 * PAGE, 1536, 2);
	round_trip(&direct, 1u << 20, 512, 24);
	round_trip(&small, 7 * PAGE, 0, 3);
	round_trip(&large, 4u << 20, 0, 4);
	round_trip(&fresh, 4u << 20, 512, 16);
	round_trip(&fresh, 512, 0, 1);
	round_trip(&no_pers, 100 * PAGE, 512, 2);
}

/* As many pages a request as eight pages can describe, and one page more. */
static void huge(const struct blkfront_options *o, bool in_place)
{
	const struct blkif_request_indirect *req = (const void *)fake_back.log;
	struct result res = { 0 };
	size_t bytes = 4097 * PAGE;
	struct blkfront_iov iov = { big, bytes };
	struct blkfront_io io = { .op = BLKFRONT_WRITE, .iov = &iov, .nr_iov = 1,
				  .done = on_done, .arg = &res };
	uint32_t i, j;

	begin();
	fake_back.features.max_indirect_segments = 4096;
	fake_gnt_limit = 9000;
	UNIT_NEED(go(o));
	if (in_place)
		UNIT_EQ(blkfront_buffer_get(f, bytes, &iov.base), 0);
	fill(iov.base, bytes, 7);
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	UNIT_EQ(res.result, 0);
	UNIT_EQ(fake_back.nr_log, 2);
	UNIT_EQ(req->operation, BLKIF_OP_INDIRECT);
	UNIT_EQ(req->nr_segments, 4096);
	for (i = 0; i < 8; i++)
		for (j = 0; j < i; j++)
			UNIT_OK(req->indirect_grefs[i] != req->indirect_grefs[j]);
	UNIT_EQ(fake_back.log[1].nr_segments, 1);
	UNIT_OK(!memcmp(fake_back.disk, iov.base, bytes));
	memset(iov.base, 0, bytes);
	io.op = BLKFRONT_READ;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	UNIT_OK(!memcmp(fake_back.disk, iov.base, bytes));
	if (in_place)
		blkfront_buffer_put(f, iov.base, bytes);
	end();
}

static void test_huge(void)
{
	static const struct blkfront_options o = { .max_segments = 4096, .pool_pages = 8500 },
		fresh = { .max_segments = 4096, .fresh_grants = true },
		some = { .max_segments = 1000, .pool_pages = 2000 };

	huge(&o, false);
	huge(&o, true);
	huge(&fresh, false);
	begin();
	fake_back.features.max_indirect_segments = 4096;
	UNIT_NEED(go(&some));
	/* 1000 pages and 2 for their list; of what is left 996 and 2; the rest. */
	fill(big, 8u << 20, 8);
	UNIT_EQ(blkfront_write(f, 512, big, 8u << 20), 0);
	UNIT_EQ(fake_back.nr_log, 3);
	UNIT_EQ(((const struct blkif_request_indirect *)fake_back.log)->nr_segments, 1000);
	UNIT_EQ(((const struct blkif_request_indirect *)(fake_back.log + 1))->nr_segments, 996);
	UNIT_OK(!memcmp(fake_back.disk + 512, big, 8u << 20));
	UNIT_EQ(blkfront_read(f, 512, wanted, 8u << 20), 0);
	UNIT_OK(!memcmp(wanted, big, 8u << 20));
	end();
}

/* Odd pieces, empty ones among them, against the same bytes in one. */
static void test_vectors(void)
{
	struct result res = { 0 };
	struct blkfront_iov iov[7] = {
		{ big, 0 }, { big, 100 }, { big + 100, 5000 }, { NULL, 0 },
		{ big + 5100, 12 }, { big + 5112, 512 * 40 - 5112 }, { big, 0 },
	};
	struct blkfront_io io = { .op = BLKFRONT_WRITE, .offset_bytes = 4096, .iov = iov,
				  .nr_iov = 7, .done = on_done, .arg = &res };

	begin();
	UNIT_NEED(go(NULL));
	fill(big, 512 * 40, 9);
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	UNIT_EQ(res.result, 0);
	UNIT_OK(!memcmp(fake_back.disk + 4096, big, 512 * 40));
	memcpy(wanted, big, 512 * 40);
	memset(big, 0, 512 * 40);
	io.op = BLKFRONT_READ;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	UNIT_OK(!memcmp(wanted, big, 512 * 40));
	UNIT_EQ(res.calls, 2);
	end();
}

/* Buffers of the pool are shared as they are: any sector within, no copy. */
static void test_zero_copy(void)
{
	struct result res = { 0 };
	struct blkfront_iov iov[3];
	struct blkfront_io io = { .op = BLKFRONT_WRITE, .offset_bytes = 512, .iov = iov,
				  .nr_iov = 3, .done = on_done, .arg = &res };
	struct blkfront_stats stats;
	void *a, *b;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_buffer_get(f, 20 * PAGE, &a), 0);
	UNIT_EQ(blkfront_buffer_get(f, PAGE, &b), 0);
	fill(a, 20 * PAGE, 3);
	fill(b, PAGE, 4);
	iov[0] = (struct blkfront_iov){ (uint8_t *)a + 1024, 18 * PAGE };
	iov[1] = (struct blkfront_iov){ NULL, 0 };
	iov[2] = (struct blkfront_iov){ (uint8_t *)b + 512, 1024 };
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	UNIT_EQ(res.result, 0);
	UNIT_EQ(fake_back.nr_log, 1);
	UNIT_OK(!memcmp(fake_back.disk + 512, (uint8_t *)a + 1024, 18 * PAGE));
	UNIT_OK(!memcmp(fake_back.disk + 512 + 18 * PAGE, (uint8_t *)b + 512, 1024));
	blkfront_stats(f, &stats);
	UNIT_EQ(stats.copied_bytes, 0);
	/* Not on a sector's boundary: it must be copied. */
	iov[0].base = (uint8_t *)a + 100;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_wait(f, 1, -1), 1);
	UNIT_OK(!memcmp(fake_back.disk + 512, (uint8_t *)a + 100, 18 * PAGE));
	blkfront_stats(f, &stats);
	UNIT_EQ(stats.copied_bytes, 18 * PAGE + 1024);
	blkfront_buffer_put(f, a, 20 * PAGE);
	blkfront_buffer_put(f, b, PAGE);
	end();
}

/* ---- running out ----------------------------------------------------------------------------- */

#define MANY 200

static void many(const struct blkfront_options *o, size_t bytes, uint32_t per_push,
		 bool reverse)
{
	static struct blkfront_io io[MANY];
	static struct blkfront_iov iov[MANY];
	static struct result res[MANY];
	unsigned int i, bad = 0;
	int r = 0;

	begin();
	fake_back.per_push = per_push;
	fake_back.reverse = reverse;
	UNIT_NEED(go(o));
	memset(io, 0, sizeof(io));
	memset(res, 0, sizeof(res));
	fill(big, sizeof(big), 77);
	for (i = 0; i < MANY; i++) {
		iov[i] = (struct blkfront_iov){ big + (i * bytes) % (sizeof(big) - bytes), bytes };
		io[i] = (struct blkfront_io){ .op = BLKFRONT_WRITE, .queue = i, .iov = iov + i,
			.offset_bytes = (i * bytes) % (DISK_BYTES - bytes) / 512 * 512,
			.nr_iov = 1, .done = on_done, .arg = res + i };
		UNIT_EQ(blkfront_submit(f, io + i), 0);
	}
	UNIT_EQ(blkfront_inflight(f), MANY);
	while (r >= 0 && blkfront_inflight(f))
		r = blkfront_wait(f, 1 + (unsigned int)r % 5, -1);
	UNIT_OK(r >= 0);
	for (i = 0; i < MANY; i++)
		bad += res[i].calls != 1 || res[i].result != 0;
	UNIT_EQ(bad, 0);
	UNIT_EQ(f->pool.nr_free, f->pool.nr_pages);
	end();
}

static void test_pool_exhaustion(void)
{
	struct blkfront_options o = { .pool_pages = 2 };

	for (o.pool_pages = 1; o.pool_pages < 40; o.pool_pages += 3) {
		many(&o, 16 * PAGE, 0, false);
		many(&o, 512, 1, true);
	}
	o = (struct blkfront_options){ .depth = 3, .pool_pages = 100 };
	many(&o, 5 * PAGE, 0, true);
	o = (struct blkfront_options){ .depth = 1 };
	many(&o, 30 * PAGE, 0, false);
	o = (struct blkfront_options){ .fresh_grants = true };
	many(&o, 3 * PAGE, 7, true);
}

static void test_queues(void)
{
	struct blkfront_options o = { .nr_queues = 4, .pool_pages = 9, .ring_order = -1 };

	many(&o, 7 * PAGE, 0, false);
	many(&o, 7 * PAGE, 1, false);
	o.pool_pages = 300;
	many(&o, 20 * PAGE, 3, true);
	o.fresh_grants = true;
	many(&o, 2 * PAGE, 3, true);
}

static void test_fresh_shortage(void)
{
	struct blkfront_options o = { .fresh_grants = true, .ring_order = -1, .depth = 4 };
	static struct blkfront_io io[8];
	struct result res[8] = { { 0 } };
	struct blkfront_iov iov = { big, 8 * PAGE };
	unsigned int i;

	begin();
	fake_gnt_limit = 1 + 12;	/* the ring, and one request at a time */
	UNIT_NEED(go(&o));
	for (i = 0; i < 8; i++) {
		io[i] = (struct blkfront_io){ .op = BLKFRONT_READ, .iov = &iov, .nr_iov = 1,
					      .done = on_done, .arg = res + i };
		UNIT_EQ(blkfront_submit(f, io + i), 0);
	}
	while (blkfront_inflight(f))
		if (blkfront_wait(f, 1, -1) < 0)
			break;
	for (i = 0; i < 8; i++)
		UNIT_EQ(res[i].result, 0);
	end();
}

static void test_pool_in_pieces(void)
{
	struct blkfront_options o = { .pool_pages = 5, .ring_order = -1 };

	begin();
	fake_gnt_run_max = 2;
	UNIT_NEED(go(&o));
	UNIT_EQ(f->pool.nr_pages, 5);
	UNIT_EQ(f->pool.nr_chunks, 3);
	fill(big, 20 * PAGE, 6);
	UNIT_EQ(blkfront_write(f, 0, big, 20 * PAGE), 0);
	UNIT_OK(!memcmp(fake_back.disk, big, 20 * PAGE));
	end();
}

/* What memory held before must not reach the other domain. */
static void test_pages_are_zeroed(void)
{
	struct blkfront_options o = { .pool_pages = 64 };
	static const uint8_t zero[40 * PAGE];
	void *buf;

	begin();
	UNIT_NEED(go(&o));
	UNIT_EQ(blkfront_buffer_get(f, sizeof(zero), &buf), 0);
	UNIT_OK(!memcmp(buf, zero, sizeof(zero)));
	blkfront_buffer_put(f, buf, sizeof(zero));
	end();
}

static void test_buffers(void)
{
	struct blkfront_options o = { .pool_pages = 100 };
	void *buf[100], *none;
	unsigned int n, i;

	begin();
	UNIT_NEED(go(&o));
	for (n = 0; n < 100 && blkfront_buffer_get(f, PAGE, buf + n) == 0; n++)
		;
	UNIT_EQ(n, 84);			/* 16 stay for requests that copy */
	UNIT_EQ(blkfront_write(f, 0, big, 64 * PAGE), 0);
	for (i = 0; i < n; i += 2)
		blkfront_buffer_put(f, buf[i], PAGE);
	UNIT_EQ(blkfront_buffer_get(f, 30 * PAGE, &none), -ENOBUFS);	/* in pieces only */
	for (i = 1; i < n; i += 2)
		blkfront_buffer_put(f, buf[i], PAGE);
	UNIT_EQ(blkfront_buffer_get(f, 30 * PAGE, &none), 0);
	blkfront_buffer_put(f, none, 30 * PAGE);
	UNIT_EQ(f->pool.nr_free, 100);
	end();
}

/* A call that was interrupted leaves its request behind, but no page of the caller's. */
static void test_interrupted_call(void)
{
	const struct blkif_request *req = fake_back.log;
	void *buf;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_buffer_get(f, PAGE, &buf), 0);
	fake_back.stuck = true;
	UNIT_EQ(blkfront_read(f, 0, buf, PAGE), -EDEADLK);
	fake_back.stuck = false;
	blkfront_buffer_put(f, buf, PAGE);
	UNIT_EQ(blkfront_write(f, PAGE, big, PAGE), 0);
	UNIT_EQ(fake_back.nr_log, 2);
	UNIT_OK(req[0].seg[0].gref != req[1].seg[0].gref);
	UNIT_OK(!memcmp(fake_back.disk + PAGE, big, PAGE));
	end();
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void test_bad_input(void)
{
	begin();
	fake_back.features.sector_bytes = 4096;
	fake_back.features.discard = false;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_read(f, 512, big, 4096), -EINVAL);
	UNIT_EQ(blkfront_read(f, 4096, big, 512), -EINVAL);
	UNIT_EQ(blkfront_read(f, 0, big, 0), -EINVAL);
	UNIT_EQ(blkfront_read(f, DISK_BYTES, big, 4096), -ERANGE);
	UNIT_EQ(blkfront_read(f, UINT64_MAX - 4095, big, 8192), -ERANGE);
	UNIT_EQ(blkfront_discard(f, 0, 4096, false), -EOPNOTSUPP);
	UNIT_EQ(fake_back.nr_log, 0);
	end();
	begin();
	fake_back.features.read_only = true;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_write(f, 0, big, 512), -EROFS);
	UNIT_EQ(blkfront_discard(f, 0, 4096, false), -EROFS);
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	end();
}

static void test_errors(void)
{
	begin();
	fake_back.status[BLKIF_OP_READ] = BLKIF_RSP_ERROR;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_read(f, 0, big, 2u << 20), -EIO);
	UNIT_EQ(f->pool.nr_free, f->pool.nr_pages);
	fake_back.status[BLKIF_OP_READ] = 0;
	UNIT_EQ(blkfront_read(f, 0, big, 2u << 20), 0);
	end();
}

/* What the back end withdraws is not asked for again. */
static void test_withdrawn(void)
{
	begin();
	fake_back.features.barrier = true;
	fake_back.status[BLKIF_OP_FLUSH_DISKCACHE] = BLKIF_RSP_EOPNOTSUPP;
	fake_back.status[BLKIF_OP_INDIRECT] = BLKIF_RSP_EOPNOTSUPP;
	fake_back.status[BLKIF_OP_DISCARD] = BLKIF_RSP_EOPNOTSUPP;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_flush(f), 0);
	UNIT_EQ(fake_back.nr_log, 2);
	UNIT_EQ(fake_back.log[1].operation, BLKIF_OP_WRITE_BARRIER);
	UNIT_EQ(fake_back.log[1].nr_segments, 0);
	UNIT_EQ(blkfront_flush(f), 0);
	UNIT_EQ(fake_back.nr_log, 3);
	UNIT_EQ(blkfront_discard(f, 0, 4096, false), -EOPNOTSUPP);
	UNIT_EQ(blkfront_discard(f, 0, 4096, false), -EOPNOTSUPP);
	UNIT_EQ(fake_back.nr_log, 4);
	fill(big, 1u << 20, 5);
	UNIT_EQ(blkfront_write(f, 512, big, 1u << 20), 0);
	UNIT_OK(!memcmp(fake_back.disk + 512, big, 1u << 20));
	fake_back.status[BLKIF_OP_WRITE_BARRIER] = BLKIF_RSP_EOPNOTSUPP;
	UNIT_EQ(blkfront_flush(f), -EOPNOTSUPP);
	UNIT_EQ(blkfront_flush(f), -EOPNOTSUPP);
	end();
}

static void test_flush_withdrawn(void)
{
	begin();
	fake_back.status[BLKIF_OP_FLUSH_DISKCACHE] = BLKIF_RSP_EOPNOTSUPP;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_flush(f), -EOPNOTSUPP);
	UNIT_EQ(blkfront_flush(f), -EOPNOTSUPP);	/* never claims what it cannot know */
	UNIT_EQ(fake_back.nr_log, 1);
	end();
}

static void test_no_cache(void)
{
	begin();
	fake_back.features.flush = false;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_flush(f), 0);
	UNIT_EQ(fake_back.nr_log, 0);
	end();
}

/* ---- a back end that lies ---------------------------------------------------------------------- */

static bool bad_id(struct fake_back *b, struct blkif_response *rsp)
{
	(void)b;
	rsp->id = 0xdeadbeef;
	return true;
}

static bool other_id(struct fake_back *b, struct blkif_response *rsp)
{
	(void)b;
	rsp->id ^= 1;
	return true;
}

static bool old_id(struct fake_back *b, struct blkif_response *rsp)
{
	(void)b;
	rsp->id -= 1ull << 32;
	return true;
}

/* The id that the same entry had for an earlier request. */
static bool replayed_id(struct fake_back *b, struct blkif_response *rsp)
{
	rsp->id = b->log[0].id;
	return true;
}

static bool other_op(struct fake_back *b, struct blkif_response *rsp)
{
	(void)b;
	rsp->operation = BLKIF_OP_INDIRECT;
	return true;
}

static bool odd_status(struct fake_back *b, struct blkif_response *rsp)
{
	(void)b;
	rsp->status = 17;
	return true;
}

static bool jump(struct fake_back *b, struct blkif_response *rsp)
{
	(void)rsp;
	b->ring[0].rsp_prod_pvt += 1000;
	return true;
}

/* The first answer of a batch comes twice, the last one not at all. */
static bool twice(struct fake_back *b, struct blkif_response *rsp)
{
	uint32_t put = b->ring[0].rsp_prod_pvt - b->ring[0].rsp_prod_pub;

	if (put == 0)
		ring_back_put(b->ring, rsp, sizeof(*rsp));
	return put < 3;
}

static void lie(bool (*twist)(struct fake_back *b, struct blkif_response *rsp),
		const char *reason)
{
	struct result res[3] = { { 0 } };
	struct blkfront_iov iov = { big, 30 * PAGE };
	struct blkfront_io io[3];
	int i;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	fake_back.twist = twist;
	for (i = 0; i < 3; i++) {
		io[i] = (struct blkfront_io){ .op = BLKFRONT_READ, .iov = &iov, .nr_iov = 1,
					      .done = on_done, .arg = res + i };
		UNIT_EQ(blkfront_submit(f, io + i), 0);
	}
	UNIT_OK(blkfront_wait(f, 3, 1000) >= 1);
	UNIT_EQ(blkfront_inflight(f), 0);
	UNIT_EQ(res[2].result, -EPROTO);
	for (i = 0; i < 3; i++)
		UNIT_EQ(res[i].calls, 1);
	if (twist != twice && twist != other_id)
		UNIT_EQ(res[0].result, -EPROTO);
	UNIT_EQ(blkfront_problem(f)->err, -EPROTO);
	if (!strstr(blkfront_problem(f)->text, reason))
		fprintf(stderr, "\n%s\n", blkfront_problem(f)->text);
	UNIT_OK(strstr(blkfront_problem(f)->text, reason) != NULL);
	UNIT_OK(strstr(fake_xs_get("/local/domain/3/error/device/vbd/51712/error"),
		       reason) != NULL);
	UNIT_EQ(blkfront_read(f, 0, big, 512), -EPROTO);
	/* Its pages may still be written to: they must not be lent to anybody. */
	UNIT_OK(f->pool.nr_free < f->pool.nr_pages);
	end();
}

static void test_lies(void)
{
	lie(bad_id, "request id 3735928559");
	lie(other_id, "not in flight");
	lie(old_id, "not in flight");
	lie(replayed_id, "not in flight");
	lie(other_op, "answered operation 0 with operation 6");
	lie(odd_status, "status 17");
	lie(jump, "more responses");
	lie(twice, "not in flight");
}

/* ---- a back end that leaves -------------------------------------------------------------------- */

static void close_on_sleep(struct fake_back *b)
{
	b->on_sleep = NULL;
	b->mute = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "6");
}

static void closing_on_sleep(struct fake_back *b)
{
	b->on_sleep = NULL;
	b->mute = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "5");
}

static void test_leaving(void)
{
	begin();
	UNIT_NEED(go(NULL));
	fake_back.stuck = true;
	fake_back.on_sleep = close_on_sleep;
	UNIT_EQ(blkfront_read(f, 0, big, 512), -ECONNABORTED);
	UNIT_OK(strstr(blkfront_problem(f)->text, "Closed") != NULL);
	UNIT_EQ(blkfront_read(f, 0, big, 512), -ECONNABORTED);
	end();
	/* Closing: it serves us until we close. */
	begin();
	UNIT_NEED(go(NULL));
	UNIT_OK(!blkfront_closing(f));
	fake_back.on_sleep = closing_on_sleep;
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	frontdev_poll(f->dev.env);
	UNIT_EQ(blkfront_rest(f, 0), 0);
	UNIT_OK(blkfront_closing(f));
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	blkfront_keep(f);
	UNIT_OK(!strncmp(fake_xs_get("/local/domain/3/error/device/vbd/51712/error"), "16 ", 3));
	fake_back.mute = false;
	end();
	/* Idle, and the back end's directory goes. */
	begin();
	UNIT_NEED(go(NULL));
	fake_back.on_sleep = close_on_sleep;
	UNIT_EQ(blkfront_rest(f, -1), -ECONNABORTED);
	UNIT_EQ(blkfront_rest(f, -1), -ECONNABORTED);
	end();
	/* What was heard already is not slept over. */
	begin();
	UNIT_NEED(go(NULL));
	fake_back.mute = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "6");
	frontdev_poll(f->dev.env);
	UNIT_EQ(blkfront_rest(f, -1), -ECONNABORTED);
	fake_back.mute = false;
	end();
}

/* A back end that starts anew does not know our rings. */
static void test_begun_anew(void)
{
	begin();
	UNIT_NEED(go(NULL));
	fake_back.mute = fake_back.stuck = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "2");
	UNIT_EQ(blkfront_read(f, 0, big, 512), -ECONNABORTED);
	UNIT_OK(strstr(blkfront_problem(f)->text, "InitWait") != NULL);
	fake_back.mute = false;
	end();
}

/* A store that fails once says nothing of the back end. */
static void test_store_fails(void)
{
	begin();
	UNIT_NEED(go(NULL));
	fake_xs_put(FAKE_BACK_DIR "/state", "4");
	frontdev_poll(f->dev.env);
	fake_xs_fail_nth(1, EIO);
	UNIT_EQ(blkfront_wait(f, 0, 0), 0);
	UNIT_OK(!blkfront_closing(f));
	UNIT_OK(f->dev.peer_news);
	UNIT_EQ(blkfront_wait(f, 0, 0), 0);
	UNIT_OK(!f->dev.peer_news);
	UNIT_EQ(blkfront_read(f, 0, big, 512), 0);
	end();
}

static void answer_at_closing(struct fake_back *b)
{
	(void)b;
	if (!strcmp(fake_xs_get(FAKE_FRONT_DIR "/state"), "5"))
		fake_front_serve();
}

static front_wait_fn *real_wait;
static bool call_away;

static int called_away(void *ctx, unsigned int what, int *left_ms)
{
	if (!call_away)
		return real_wait(ctx, what, left_ms);
	call_away = false;
	return FRONT_WAIT_CALLER;
}

/* What the back end answers before it lets go counts, and a wake-up ends no close. */
static void test_close_in_flight(void)
{
	struct blkfront_iov iov = { big, PAGE };
	struct result res = { 0 };
	struct blkfront_io io = { .op = BLKFRONT_WRITE, .iov = &iov, .nr_iov = 1,
				  .done = on_done, .arg = &res };

	begin();
	UNIT_NEED(go(NULL));
	fake_back.stuck = true;
	fake_back.on_sleep = answer_at_closing;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_close(f, 10, NULL), 0);
	UNIT_EQ(res.calls, 1);
	UNIT_EQ(res.result, 0);
	UNIT_EQ(fake_gnt_pages(), 0);
	fake_front_end();
	begin();
	UNIT_NEED(go(NULL));
	real_wait = f->dev.env->wait;
	f->dev.env->wait = called_away;
	call_away = true;
	UNIT_EQ(blkfront_submit(f, &io), 0);
	UNIT_EQ(blkfront_close(f, 10, NULL), 0);
	UNIT_EQ(res.calls, 2);
	UNIT_EQ(res.result, 0);
	fake_front_end();
}

static void test_resize(void)
{
	struct blkfront_info info;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_read(f, DISK_BYTES - 512, big, 512), 0);
	UNIT_OK(!blkfront_resized(f));
	fake_xs_put(FAKE_BACK_DIR "/sectors", "2048");
	fake_xs_put(FAKE_BACK_DIR "/state", "4");
	frontdev_poll(f->dev.env);
	UNIT_EQ(blkfront_wait(f, 0, 0), 0);
	blkfront_info(f, &info);
	UNIT_EQ(info.size_bytes, 1u << 20);
	UNIT_OK(blkfront_resized(f));
	UNIT_OK(!blkfront_resized(f));
	UNIT_EQ(blkfront_read(f, DISK_BYTES - 512, big, 512), -ERANGE);
	fake_xs_put(FAKE_BACK_DIR "/sectors", "many");
	fake_xs_put(FAKE_BACK_DIR "/state", "4");
	frontdev_poll(f->dev.env);
	UNIT_EQ(blkfront_wait(f, 0, 0), 0);
	UNIT_OK(!blkfront_resized(f));
	UNIT_EQ(blkfront_problem(f)->err, 0);
	end();
}

/* Linux's blkback: before it connects there is only what rings need to know. */
static void test_late_features(void)
{
	struct blkfront_info info;

	begin();
	fake_back.late = true;
	fake_back.features.persistent = false;
	fake_back.features.read_only = true;
	UNIT_NEED(go(NULL));
	UNIT_EQ(blkfront_read(f, DISK_BYTES - 512, big, 512), 0);
	blkfront_info(f, &info);
	UNIT_EQ(info.size_bytes, DISK_BYTES);
	UNIT_OK(info.read_only);
	UNIT_OK(!info.persistent);
	UNIT_OK(info.max_segments > 11);
	fake_back.late = false;
	end();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a direct request", test_direct_layout },
		{ "an indirect request, byte by byte", test_indirect_layout },
		{ "requests of 4096 pages", test_huge },
		{ "flush and discard", test_flush_discard_layout },
		{ "splitting", test_splitting },
		{ "vectors", test_vectors },
		{ "buffers of the pool are not copied", test_zero_copy },
		{ "pool exhaustion", test_pool_exhaustion },
		{ "several queues", test_queues },
		{ "fresh grants run out", test_fresh_shortage },
		{ "a pool in pieces", test_pool_in_pieces },
		{ "pages are zeroed", test_pages_are_zeroed },
		{ "buffers leave pages for copies", test_buffers },
		{ "an interrupted call", test_interrupted_call },
		{ "bad input", test_bad_input },
		{ "errors", test_errors },
		{ "features withdrawn at run time", test_withdrawn },
		{ "flush withdrawn, no barrier", test_flush_withdrawn },
		{ "no cache, no flush", test_no_cache },
		{ "answers that cannot be true", test_lies },
		{ "a back end that leaves", test_leaving },
		{ "a back end that begins anew", test_begun_anew },
		{ "a store that fails", test_store_fails },
		{ "closed with a write in flight", test_close_in_flight },
		{ "a disk that changes its size", test_resize },
		{ "size and features that come late", test_late_features },
	};

	alarm(120);
	return unit_run("blkfront", tests, UNIT_LEN(tests));
}
