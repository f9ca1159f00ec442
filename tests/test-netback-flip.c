/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guests that take pages, beside one that is copied into. The helper is played here:
 * it writes what it is told to fill a page with into the rx buffer whose gref it is
 * told to give the page to, so that a guest finds there what it would find in its page.
 */
#include <errno.h>
#include <string.h>
#include "flip.h"
#include "net-world.h"
#include "net-frames.h"
#include "unit.h"

#define SELF 0u			/* the domain that fills */
#define STAGE_GREF 50000u	/* the first of the pages granted to ourselves */
#define MSS 1400u
#define ALL 0x70u		/* flooded */

static uint8_t stage[NETBACK_FLIP_PAGES * GRANT_PAGE_BYTES] __attribute__((aligned(4096)));
static uint32_t stage_grefs[NETBACK_FLIP_PAGES];
static uint8_t frame[70000];
static struct net_guest_got got;

/* What the helper does, and what it was asked. */
static struct helper {
	xengnttab_handle *xgt;
	uint32_t pages;			/* the pool is filled up to this */
	uint32_t pool;
	uint8_t outcome;		/* of every op that has pages and sources */
	int rc;
	uint32_t nr_batches, nr_pages_given;
} helper;

static bool copy(xengnttab_grant_copy_segment_t *s)
{
	return !xengnttab_grant_copy(helper.xgt, 1, s) && s->status == GNTST_okay;
}

static bool read_source(const struct flip_source *s, uint8_t *to)
{
	xengnttab_grant_copy_segment_t seg = { .len = s->bytes, .flags = GNTCOPY_source_gref };

	if (s->domid == SELF) {
		memcpy(to, stage + (s->gref - STAGE_GREF) * GRANT_PAGE_BYTES + s->offset, s->bytes);
		return true;
	}
	seg.source.foreign.ref = s->gref;
	seg.source.foreign.offset = s->offset;
	seg.source.foreign.domid = s->domid;
	seg.dest.virt = to;
	return copy(&seg);
}

static bool write_page(const struct flip_op *op, uint8_t *page)
{
	xengnttab_grant_copy_segment_t seg = { .len = GRANT_PAGE_BYTES,
					       .flags = GNTCOPY_dest_gref };

	seg.dest.foreign.ref = op->gref;
	seg.dest.foreign.domid = op->domid;
	seg.source.virt = page;
	return copy(&seg);
}

static uint8_t serve(const struct flip_op *op, const struct flip_source *s)
{
	uint8_t page[GRANT_PAGE_BYTES] = { 0 };
	uint32_t at = 0;

	if (!helper.pool)
		return FLIP_NO_PAGE;
	for (uint32_t i = 0; i < op->nr_sources; at += s[i++].bytes)
		if (!read_source(&s[i], page + at))
			return FLIP_NO_SOURCE;
	helper.pool--;
	if (helper.outcome == FLIP_DONE && !write_page(op, page))
		return FLIP_NOT_TAKEN;
	helper.nr_pages_given += helper.outcome == FLIP_DONE;
	return helper.outcome;
}

static int transfer(void *arg, const struct flip_batch *batch, struct flip_answer *out)
{
	const struct flip_source *s = batch->source;

	(void)arg;
	if (helper.rc)
		return helper.rc;
	UNIT_OK((batch->type == FLIP_GET) == !batch->nr_ops);
	helper.nr_batches++;
	out->nr_ops = batch->nr_ops;
	for (uint32_t i = 0; i < batch->nr_ops; s += batch->op[i++].nr_sources)
		out->outcome[i] = serve(&batch->op[i], s);
	UNIT_EQ(s - batch->source, batch->nr_sources);
	helper.pool = helper.pages;
	out->nr_pages = helper.pool;
	return 0;
}

static struct grant_own own = {
	.pages = stage, .grefs = stage_grefs, .domid = SELF, .nr_pages = NETBACK_FLIP_PAGES,
};
static const struct netback_flip flip = { .transfer = transfer, .pages = &own };

/* Guest 1 takes pages. */
static void open_world(struct world *w)
{
	helper = (struct helper){ .pages = FLIP_POOL_PAGES, .pool = FLIP_POOL_PAGES };
	for (uint32_t i = 0; i < NETBACK_FLIP_PAGES; i++)
		stage_grefs[i] = STAGE_GREF + i;
	w->flip = &flip;
	w->flips[1] = true;
	world_open(w);
	helper.xgt = w->xgt;
	world_learn(w);
	helper.nr_pages_given = 0;
}

static void send_plain(struct world *w, uint32_t from, uint32_t to, uint32_t bytes, uint8_t seed)
{
	net_plain(frame, bytes, (uint8_t)to, (uint8_t)from, seed);
	if (to == ALL)
		frame[0] = 0xff;
	net_guest_send(&w->guest[from], frame, bytes, NULL);
	world_run(w);
}

static bool arrived(struct world *w, uint32_t guest, uint32_t bytes)
{
	return net_guest_receive(&w->guest[guest], &got) && !got.error && got.bytes == bytes &&
	       !memcmp(got.data, frame, bytes);
}

static uint64_t nr_flipped(const struct world *w)
{
	struct netback_stats stats;

	netback_stats(w->nb, &stats);
	return stats.flipped;
}

static uint32_t nr_errors(struct world *w, uint32_t guest)
{
	uint32_t errors;

	net_guest_answers(&w->guest[guest], 0, &errors);
	return errors;
}

/* ---- what arrives -------------------------------------------------------------------- */

static void test_sizes(void)
{
	static const uint32_t bytes[] = { 14, 60, 161, 1514, 2048, 2049, 4096, 4097, 9014, 60000 };
	struct world w = { .nr = 2 };
	uint32_t pages = 0;

	open_world(&w);
	for (uint32_t i = 0; i < UNIT_LEN(bytes); i++) {
		uint64_t before = nr_flipped(&w);

		send_plain(&w, 0, 1, bytes[i], (uint8_t)i);
		UNIT_OK(arrived(&w, 1, bytes[i]));
		UNIT_EQ(nr_flipped(&w) - before, got.slots);
		UNIT_EQ(nr_errors(&w, 0), 0);
		net_guest_post(&w.guest[1], 0, got.slots);
		pages += got.slots;
	}
	UNIT_EQ(helper.nr_pages_given, pages);
	/* The other way is copied. */
	send_plain(&w, 1, 0, 1514, 77);
	UNIT_OK(arrived(&w, 0, 1514));
	UNIT_EQ(helper.nr_pages_given, pages);
	world_close(&w);
}

/* A flooded frame: to each in its own way, from the same sender's pages. */
static void test_both_ways(void)
{
	struct world w = { .nr = 3 };

	open_world(&w);
	for (uint32_t i = 0; i < 20; i++) {
		send_plain(&w, 0, ALL, 1000 + i, (uint8_t)i);
		UNIT_OK(arrived(&w, 1, 1000 + i));
		UNIT_OK(arrived(&w, 2, 1000 + i));
	}
	UNIT_EQ(helper.nr_pages_given, 20);
	UNIT_EQ(nr_errors(&w, 0), 0);
	world_close(&w);
}

static void send_tcp(struct world *w, uint32_t bytes, uint8_t seed)
{
	struct net_guest_how how = {
		.blank = true, .gso = XEN_NETIF_GSO_TYPE_TCPV4, .gso_bytes = MSS,
	};

	net_tcp(frame, bytes, 1, 0, seed, true);
	net_guest_send(&w->guest[0], frame, bytes, &how);
	world_run(w);
}

static void test_large_packet(void)
{
	struct world w = { .nr = 2 };

	open_world(&w);
	send_tcp(&w, NET_TCP_HEADERS + 60000, 1);
	UNIT_OK(arrived(&w, 1, NET_TCP_HEADERS + 60000));
	UNIT_EQ(got.gso, XEN_NETIF_GSO_TYPE_TCPV4);
	UNIT_EQ(got.gso_bytes, MSS);
	UNIT_EQ(helper.nr_pages_given, got.slots - 1);	/* an extra info is no page */
	world_close(&w);
}

/* Cut and completed in our memory, so staged: every segment is whole and its own. */
static void test_segments(void)
{
	struct world w = { .nr = 2, .no_gso = { false, true }, .no_csum = { false, true } };
	uint32_t i;

	open_world(&w);
	send_tcp(&w, NET_TCP_HEADERS + 30 * MSS, 1);
	for (i = 0; i < 30; i++) {
		UNIT_NEED(net_guest_receive(&w.guest[1], &got));
		UNIT_EQ(got.error, 0);
		UNIT_EQ(got.bytes, NET_TCP_HEADERS + MSS);
		UNIT_OK(!memcmp(got.data + NET_TCP_HEADERS, frame + NET_TCP_HEADERS + i * MSS, MSS));
	}
	UNIT_EQ(helper.nr_pages_given, 30);
	world_close(&w);
}

/* 31 from each, to both others, in one pass. */
static void send_many(uint32_t pool_pages)
{
	struct world w = { .nr = 3, .flips = { true, false, true } };

	open_world(&w);
	helper.pages = pool_pages;
	for (uint32_t i = 0; i < 3 * 31; i++) {
		net_plain(frame, 200, ALL, (uint8_t)(i % 3), (uint8_t)i);
		frame[0] = 0xff;
		net_guest_send(&w.guest[i % 3], frame, 200, NULL);
	}
	world_run(&w);
	for (uint32_t i = 0; i < 3 * 62; i++) {
		UNIT_NEED(net_guest_receive(&w.guest[i % 3], &got));
		UNIT_EQ(got.error, 0);
		UNIT_EQ(got.bytes, 200);
		for (uint32_t k = 15; k < 200; k++)
			UNIT_EQ((uint8_t)(got.data[k] - got.data[14]),
				(uint8_t)(net_octet(k, 0) - net_octet(14, 0)));
	}
	UNIT_EQ(helper.nr_pages_given, 3 * 62);
	UNIT_EQ(nr_errors(&w, 0) + nr_errors(&w, 1) + nr_errors(&w, 2), 0);
	world_close(&w);
}

/* More than one message names; more than the pool has. */
static void test_many(void)
{
	send_many(FLIP_POOL_PAGES);
	send_many(30);
}

/* ---- what does not ---------------------------------------------------------------------- */

static void test_not_taken(void)
{
	struct world w = { .nr = 3 };

	open_world(&w);
	helper.outcome = FLIP_NOT_TAKEN;
	for (uint32_t i = 0; i < 63; i++) {
		send_plain(&w, 0, ALL, 100, (uint8_t)i);
		UNIT_NEED(net_guest_receive(&w.guest[1], &got));
		UNIT_EQ(got.error, NETIF_RSP_ERROR);
		net_guest_post(&w.guest[1], 0, 1);
		UNIT_OK(arrived(&w, 2, 100));	/* another receiver is not concerned */
		net_guest_post(&w.guest[2], 0, 1);
		UNIT_EQ(nr_errors(&w, 0), 0);	/* nor is the sender */
	}
	UNIT_EQ(w.nr_flips_ended, 0);
	/* One that is taken begins the count anew. */
	helper.outcome = FLIP_DONE;
	send_plain(&w, 0, 1, 100, 1);
	UNIT_OK(arrived(&w, 1, 100));
	helper.outcome = FLIP_NOT_TAKEN;
	for (uint32_t i = 0; i < 64; i++) {
		UNIT_EQ(w.nr_flips_ended, 0);
		UNIT_OK(netback_flips(w.nb, w.port[1]));
		send_plain(&w, 0, 1, 100, (uint8_t)i);
		UNIT_NEED(net_guest_receive(&w.guest[1], &got));
		net_guest_post(&w.guest[1], 0, 1);
	}
	UNIT_EQ(w.nr_flips_ended, 1);
	UNIT_OK(!netback_flips(w.nb, w.port[1]));
	send_plain(&w, 0, 1, 100, 2);
	UNIT_OK(arrived(&w, 1, 100));	/* by copy */
	UNIT_EQ(w.nr_broken, 0);
	world_close(&w);
}

static void test_bad_source(void)
{
	struct world w = { .nr = 2 };
	netif_tx_request_t req = { .gref = 40000, .id = 5, .size = 3000 };
	uint32_t i;

	open_world(&w);
	/* Its first octets come from a good page, what follows from none. */
	net_plain(net_guest_next_page(&w.guest[0], 0), 200, 1, 0, 1);
	for (i = 0; i < 2; i++) {
		netif_tx_request_t slot = req;

		if (!i) {
			slot.gref = w.guest[0].queue[0].tx_gref[w.guest[0].queue[0].next_tx %
								 NET_GUEST_BUFFERS];
			slot.flags = NETTXF_more_data;
		} else {
			slot.size = 2800;
		}
		net_guest_slot(&w.guest[0], 0, &slot);
	}
	net_guest_publish(&w.guest[0], 0);
	world_run(&w);
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(got.error, NETIF_RSP_ERROR);
	UNIT_EQ(nr_errors(&w, 0), 2);
	UNIT_EQ(helper.pool, helper.pages);
	UNIT_EQ(w.nr_flips_ended, 0);
	world_close(&w);
}

/* The frame waits for pages, and is copied at last. */
static void test_no_pages(void)
{
	struct world w = { .nr = 2 };

	open_world(&w);
	helper.pages = 0;
	send_plain(&w, 0, 1, 100, 1);	/* the answer to this: no more */
	UNIT_OK(arrived(&w, 1, 100));
	send_plain(&w, 0, 1, 100, 2);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	UNIT_OK(netback_timeout_us(w.nb, w.now_ms * 1000) > 0);
	helper.pages = helper.pool = 8;
	w.now_ms += 20;
	world_run(&w);
	UNIT_OK(arrived(&w, 1, 100));
	UNIT_EQ(w.nr_flips_ended, 0);

	helper.pages = 0;
	send_plain(&w, 0, 1, 100, 3);
	UNIT_OK(arrived(&w, 1, 100));
	for (uint32_t i = 0; i < 100 && !w.nr_flips_ended; i++) {
		send_plain(&w, 0, 1, 100, 4);
		w.now_ms += 50;
	}
	UNIT_EQ(w.nr_flips_ended, 1);
	world_run(&w);
	UNIT_OK(net_guest_receive(&w.guest[1], &got) && !got.error);
	UNIT_EQ(helper.nr_pages_given, 3);
	world_close(&w);
}

static void add_again(struct world *w, uint32_t guest)
{
	const struct netback_vif vif = {
		.domid = FAKE_DOMID, .front = &w->guest[guest].front,
		.port = &w->config[guest], .log = &w->log[guest], .journal_fd = -1,
	};
	char why[200];

	netback_remove_port(w->nb, w->port[guest]);
	UNIT_EQ(netback_add_vif(w->nb, &vif, &w->port[guest], why, sizeof(why)), 0);
}

static void test_gone(void)
{
	struct world w = { .nr = 3, .flips = { false, false, true } };

	open_world(&w);
	send_plain(&w, 0, 1, 100, 1);
	UNIT_OK(arrived(&w, 1, 100));
	helper.rc = -EPIPE;
	send_plain(&w, 0, 1, 100, 2);	/* this one is lost with it */
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_EQ(got.error, NETIF_RSP_ERROR);
	UNIT_EQ(w.nr_flips_ended, 2);	/* all who took pages */
	send_plain(&w, 0, 1, 100, 3);
	UNIT_OK(arrived(&w, 1, 100));
	send_plain(&w, 0, 2, 100, 4);
	UNIT_OK(arrived(&w, 2, 100));
	UNIT_EQ(helper.nr_pages_given, 1);
	UNIT_EQ(nr_errors(&w, 0), 0);
	add_again(&w, 1);		/* it is told at once, not by its first frame */
	UNIT_OK(!netback_flips(w.nb, w.port[1]));
	UNIT_EQ(netback_set_flip(w.nb, &flip), 0);
	add_again(&w, 1);
	UNIT_OK(netback_flips(w.nb, w.port[1]));
	world_close(&w);
}

/* Without a helper nobody gets pages, and nobody waits for them. */
static void test_none(void)
{
	struct world w = { .nr = 2, .flips = { false, true } };

	world_open(&w);
	world_learn(&w);
	UNIT_OK(!netback_flips(w.nb, w.port[1]));
	send_plain(&w, 0, 1, 100, 1);
	UNIT_OK(arrived(&w, 1, 100));
	world_close(&w);
}

static const struct unit_test tests[] = {
	{ "sizes", test_sizes },
	{ "pages and copies", test_both_ways },
	{ "a large packet", test_large_packet },
	{ "segments", test_segments },
	{ "many", test_many },
	{ "not taken", test_not_taken },
	{ "a bad source", test_bad_source },
	{ "no pages", test_no_pages },
	{ "the helper is gone", test_gone },
	{ "no helper", test_none },
};

int main(void)
{
	return unit_run("netback-flip", tests, UNIT_LEN(tests));
}
