/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that no front end should send, one by one: a table of them with the
 * answer that each must get.
 *
 * After each a good request is served. What is told to be written is 0xee, in
 * places where nobody else writes it: the script looks for it in the image.
 */
#include <stdio.h>
#include <string.h>
#include "hostile-blk.h"

#define OKAY BLKIF_RSP_OKAY
#define ERROR BLKIF_RSP_ERROR
#define UNSUPPORTED BLKIF_RSP_EOPNOTSUPP

enum shape { PLAIN, DISCARD, INDIRECT };
/* The page that a request, or an indirect request's list, is said to be in. */
enum place { GOOD, NEVER_GRANTED, NO_LONGER_GRANTED, TO_ANOTHER, READ_ONLY, THE_RING };

struct lie {
	const char *name;
	enum shape shape;
	uint8_t op;			/* the inner one; a discard's flag */
	uint16_t nr;
	int16_t status;
	const char *log;		/* NULL: nothing is said */
	uint8_t first, last;
	enum place page, list;		/* of the last segment; of the list */
	bool from_end;			/* sector counts from the disk's end */
	uint64_t sector, nr_sectors;
	bool leaves_page;		/* the page must be as it was */
	bool twice;			/* two requests of one id */
};

#define RD BLKIF_OP_READ
#define WR BLKIF_OP_WRITE
#define ALL .last = 7
#define SEGMENTS "an impossible number of segments"
#define PAST_END "past the end of the disk"
#define PAST_PAGE "a segment past the end of its page"
#define REVERSED "a segment that ends before it begins"
#define UNKNOWN "an unknown operation"
#define NO_INNER "an indirect request of an operation that has none"
#define FAILED "failed: "

static const struct lie lies[] = {
	/* BLK-1 */
	{ "read-0-segments", PLAIN, RD, 0, ERROR, SEGMENTS, ALL },
	{ "read-12-segments", PLAIN, RD, 12, ERROR, SEGMENTS, ALL },
	{ "read-255-segments", PLAIN, RD, 255, ERROR, SEGMENTS, ALL },
	{ "write-0-segments", PLAIN, WR, 0, ERROR, SEGMENTS, ALL },
	{ "write-12-segments", PLAIN, WR, 12, ERROR, SEGMENTS, ALL },
	{ "write-255-segments", PLAIN, WR, 255, ERROR, SEGMENTS, ALL },
	/* BLK-2 */
	{ "read-first-after-last", PLAIN, RD, 1, ERROR, REVERSED, .first = 5, .last = 4 },
	{ "write-first-after-last", PLAIN, WR, 1, ERROR, REVERSED, .first = 5, .last = 4 },
	{ "read-last-8", PLAIN, RD, 1, ERROR, PAST_PAGE, .last = 8 },
	{ "write-last-8", PLAIN, WR, 1, ERROR, PAST_PAGE, .last = 8 },
	{ "write-first-last-255", PLAIN, WR, 11, ERROR, PAST_PAGE, .first = 255,
	  .last = 255 },
	/* BLK-3 */
	{ "read-past-end", PLAIN, RD, 1, ERROR, PAST_END, ALL, .from_end = true },
	{ "write-across-end", PLAIN, WR, 1, ERROR, PAST_END, ALL, .from_end = true,
	  .sector = -7ull },
	{ "write-sum-overflows", PLAIN, WR, 1, ERROR, PAST_END, ALL, .sector = -8ull },
	{ "read-last-sector-of-all", PLAIN, RD, 1, ERROR, PAST_END, ALL, .sector = -1ull },
	{ "write-bytes-overflow", PLAIN, WR, 1, ERROR, PAST_END, ALL, .sector = 1ull << 55 },
	/* BLK-7 */
	{ "operation-4", PLAIN, 4, 1, UNSUPPORTED, UNKNOWN, ALL },
	{ "operation-7", PLAIN, 7, 1, UNSUPPORTED, UNKNOWN, ALL },
	{ "operation-255", PLAIN, 255, 1, UNSUPPORTED, UNKNOWN, ALL },
	/* BLK-4 */
	{ "indirect-0", INDIRECT, RD, 0, ERROR, SEGMENTS, ALL },
	{ "indirect-257", INDIRECT, RD, 257, ERROR, SEGMENTS, ALL },
	{ "indirect-65535", INDIRECT, WR, 65535, ERROR, SEGMENTS, ALL },
	{ "indirect-barrier", INDIRECT, BLKIF_OP_WRITE_BARRIER, 1, ERROR, NO_INNER, ALL },
	{ "indirect-flush", INDIRECT, BLKIF_OP_FLUSH_DISKCACHE, 1, ERROR, NO_INNER, ALL },
	{ "indirect-discard", INDIRECT, BLKIF_OP_DISCARD, 1, ERROR, NO_INNER, ALL },
	{ "indirect-indirect", INDIRECT, BLKIF_OP_INDIRECT, 1, ERROR, NO_INNER, ALL },
	{ "indirect-list-never-granted", INDIRECT, WR, 4, ERROR, "not granted", ALL,
	  .list = NEVER_GRANTED },
	{ "indirect-list-to-another", INDIRECT, WR, 4, ERROR, "not granted", ALL,
	  .list = TO_ANOTHER },
	{ "indirect-segment-last-8", INDIRECT, WR, 256, ERROR, PAST_PAGE, .last = 8 },
	{ "indirect-past-end", INDIRECT, WR, 256, ERROR, PAST_END, ALL, .from_end = true,
	  .sector = -2047ull },
	{ "indirect-page-never-granted", INDIRECT, WR, 256, ERROR, FAILED, ALL,
	  .page = NEVER_GRANTED },
	{ "indirect-page-read-only", INDIRECT, RD, 256, ERROR, FAILED, ALL,
	  .page = READ_ONLY, .leaves_page = true },
	{ "indirect-256-of-one-page", INDIRECT, RD, 256, OKAY, NULL, ALL },
	/* BLK-9; a secure discard is a discard where it is not offered (blkif.h) */
	{ "discard-nothing", DISCARD, 0, 0, ERROR, "a discard of nothing",
	  .nr_sectors = 0 },
	{ "discard-everything", DISCARD, 0, 0, ERROR, PAST_END, .nr_sectors = -1ull },
	{ "discard-across-end", DISCARD, 0, 0, ERROR, PAST_END, .from_end = true,
	  .sector = -1ull, .nr_sectors = 2 },
	{ "discard-sum-overflows", DISCARD, 0, 0, ERROR, PAST_END, .sector = 8,
	  .nr_sectors = -8ull },
	{ "discard-secure", DISCARD, BLKIF_DISCARD_SECURE, 0, OKAY, NULL, .sector = 64,
	  .nr_sectors = 8 },
	/* BLK-8 */
	{ "read-never-granted", PLAIN, RD, 1, ERROR, FAILED, ALL, .page = NEVER_GRANTED },
	{ "write-never-granted", PLAIN, WR, 1, ERROR, FAILED, ALL, .page = NEVER_GRANTED },
	{ "write-11-never-granted", PLAIN, WR, 11, ERROR, FAILED, ALL,
	  .page = NEVER_GRANTED },
	{ "write-no-longer-granted", PLAIN, WR, 1, ERROR, FAILED, ALL,
	  .page = NO_LONGER_GRANTED },
	{ "read-granted-to-another", PLAIN, RD, 1, ERROR, FAILED, ALL, .page = TO_ANOTHER,
	  .leaves_page = true },
	{ "write-granted-to-another", PLAIN, WR, 11, ERROR, FAILED, ALL, .page = TO_ANOTHER },
	{ "read-granted-read-only", PLAIN, RD, 1, ERROR, FAILED, ALL, .page = READ_ONLY,
	  .leaves_page = true },
	{ "read-11-granted-read-only", PLAIN, RD, 11, ERROR, FAILED, ALL,
	  .page = READ_ONLY, .leaves_page = true },
	/* BLK-5 */
	{ "one-page-twice", PLAIN, RD, 2, OKAY, NULL, ALL },
	{ "one-id-twice", PLAIN, RD, 1, OKAY, NULL, ALL, .twice = true },
	/* RING-4: the last slots of a ring of which one or two are in use */
	{ "ring-page-as-data", PLAIN, RD, 1, OKAY, NULL, .first = 7,
	  .last = 7, .page = THE_RING },
};

#define NO_WRITE "a write to a read-only disk"

static const struct lie read_only_lies[] = {
	/* BLK-6 */
	{ "write", PLAIN, WR, 1, ERROR, NO_WRITE, ALL },
	{ "write-11", PLAIN, WR, 11, ERROR, NO_WRITE, ALL },
	{ "write-no-segments", PLAIN, WR, 0, ERROR, SEGMENTS, ALL },
	{ "indirect-write", INDIRECT, WR, 32, ERROR, NO_WRITE, ALL },
	{ "barrier", PLAIN, BLKIF_OP_WRITE_BARRIER, 1, ERROR, NO_WRITE, ALL },
	{ "discard", DISCARD, 0, 0, UNSUPPORTED, "a discard, which was not offered",
	  .nr_sectors = 8 },
	{ "discard-secure", DISCARD, BLKIF_DISCARD_SECURE, 0, UNSUPPORTED,
	  "a discard, which was not offered", .nr_sectors = 8 },
	{ "flush", PLAIN, BLKIF_OP_FLUSH_DISKCACHE, 0, OKAY, NULL, .sector = 0 },
};

/* ---- telling one ------------------------------------------------------------- */

static uint32_t gref_of(const struct hostile *h, enum place place, uint32_t page)
{
	switch (place) {
	case NEVER_GRANTED: return 0xfffffff0u;
	case NO_LONGER_GRANTED: return h->unshared_gref;
	case TO_ANOTHER: return h->foreign_gref;
	case READ_ONLY: return h->ro_gref;
	case THE_RING: return h->front.queue[0].gref[0];
	default: return h->data_gref[page];
	}
}

/* Good ones, except for the last. */
static void fill_segments(const struct hostile *h, const struct lie *lie,
			  struct blkif_request_segment *segs, uint32_t nr)
{
	for (uint32_t i = 0; i + 1 < nr; i++)
		segs[i] = hostile_seg(h->data_gref[2], 0, 7);
	if (nr)
		segs[nr - 1] = hostile_seg(gref_of(h, lie->page, 2), lie->first, lie->last);
}

static void put(struct hostile *h, const struct lie *lie, uint64_t id)
{
	uint64_t sector = lie->sector + (lie->from_end ? h->f.sectors : 0);
	struct blkif_request_segment direct[BLKIF_MAX_SEGMENTS_PER_REQUEST], *list;
	uint32_t max = BLKIF_MAX_SEGMENTS_PER_REQUEST;

	switch (lie->shape) {
	case PLAIN:
		fill_segments(h, lie, direct, lie->nr < max ? lie->nr : max);
		guest_rw(&h->g, lie->op, id, sector, (uint8_t)lie->nr, direct);
		break;
	case DISCARD:
		guest_discard(&h->g, id, sector, lie->nr_sectors, lie->op);
		break;
	case INDIRECT:
		max = PAGE_BYTES / sizeof(*list);
		list = (void *)(h->data + 3 * PAGE_BYTES);
		fill_segments(h, lie, list, lie->nr < max ? lie->nr : max);
		guest_indirect(&h->g, lie->op, id, sector, lie->nr,
			       gref_of(h, lie->list, 3));
		break;
	}
}

static void check_answer(struct hostile *h, const struct lie *lie, uint64_t id)
{
	uint8_t op = lie->shape == DISCARD ? BLKIF_OP_DISCARD : lie->op;
	struct guest_response rsp = hostile_take(h);

	if (rsp.id != id)
		hostile_fail("answered with an id of somebody else");
	if (rsp.status != lie->status || rsp.operation != op)
		hostile_fail("answered with operation %u, status %d, expected %u, %d",
			    rsp.operation, rsp.status, op, lie->status);
}

static void check_pages(struct hostile *h)
{
	for (uint32_t i = 0; i < PAGE_BYTES; i++)
		if (h->ro[i] != 0xee || h->foreign[i] != 0xee)
			hostile_fail("a page that may not be written has changed");
}

struct said {
	uint32_t any, right;
};

static struct said read_log(const struct hostile *h, const struct lie *lie)
{
	return (struct said){
		.any = hostile_log_lines(h, "refused: ") + hostile_log_lines(h, FAILED),
		.right = lie->log ? hostile_log_lines(h, lie->log) : 0,
	};
}

/* One line, of the right words; none about what is legal. */
static void check_log(const struct hostile *h, const struct lie *lie,
		      const struct said *before)
{
	struct said now = read_log(h, lie);
	uint32_t want = lie->log ? 1 : 0;

	if (now.any - before->any != want)
		hostile_fail("%u lines in the log, expected %u", now.any - before->any,
			    want);
	if (now.right - before->right != want)
		hostile_fail("the log does not say '%s'", lie->log);
}

static void tell(struct hostile *h, const struct lie *lie, bool look_at_log)
{
	uint32_t nr = lie->twice ? 2 : 1;
	uint64_t id = hostile_id(h);
	struct said before = { .any = 0 };

	hostile_case = lie->name;
	memset(h->data + 2 * PAGE_BYTES, 0xee, PAGE_BYTES);
	if (look_at_log)
		before = read_log(h, lie);
	for (uint32_t i = 0; i < nr; i++)
		put(h, lie, id);
	hostile_push(h);
	for (uint32_t i = 0; i < nr; i++)
		check_answer(h, lie, id);
	if (lie->leaves_page)
		check_pages(h);
	hostile_good(h);
	if (look_at_log)
		check_log(h, lie, &before);
}

/*
 * With a log each lie gets a connection of its own, whose lines are not yet
 * limited.
 */
static void tell_all(struct hostile *h, const struct lie *all, size_t nr)
{
	bool each = h->o.log;

	if (!each)
		hostile_open(h);
	for (size_t i = 0; i < nr; i++) {
		if (each)
			hostile_open(h);
		tell(h, &all[i], each);
		if (each)
			hostile_close(h);
	}
	if (!each)
		hostile_close(h);
	printf("%zu kinds of requests\n", nr);
}

void hostile_requests(struct hostile *h)
{
	tell_all(h, lies, sizeof(lies) / sizeof(lies[0]));
}

void hostile_read_only(struct hostile *h)
{
	tell_all(h, read_only_lies, sizeof(read_only_lies) / sizeof(read_only_lies[0]));
}

/* As fast as it can: few lines reach the log. */
void hostile_flood(struct hostile *h)
{
	struct blkif_request_segment seg = hostile_seg(0, 0, 7);
	uint64_t start = hostile_now_ms(), seconds;
	uint32_t before, lines;

	hostile_open(h);
	before = hostile_log_lines(h, "refused: ");
	for (uint32_t round = 0; round < 1000; round++) {
		for (uint32_t i = 0; i < 8; i++)
			guest_rw(&h->g, 255, hostile_id(h), 0, 1, &seg);
		hostile_push(h);
		for (uint32_t i = 0; i < 8; i++)
			if (hostile_take(h).status != UNSUPPORTED)
				hostile_fail("an unknown operation was not refused");
	}
	hostile_good(h);
	lines = hostile_log_lines(h, "refused: ") - before;
	seconds = (hostile_now_ms() - start) / 1000;
	printf("8000 refused, %u lines in %llu s\n", lines, (unsigned long long)seconds);
	if (!lines || lines > 12 + seconds)
		hostile_fail("%u lines in the log", lines);
	hostile_close(h);
}
