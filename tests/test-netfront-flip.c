/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network front end where received pages become its own: frames, errors, lies,
 * the end of it while connected, and that no page and no entry is left anywhere.
 */
#include <stdbool.h>
#include <unistd.h>

#include "fake-flip.h"
#include "fake-netback.h"
#include "netfront-priv.h"
#include "unit.h"

#define PAGE 4096u
#define RING 256u

static struct netfront *n;
static struct front_problem problem;
static struct netfront_info info;
static uint8_t big[80000], flat[80000];
static struct netfront_frame got[300];
static const struct netfront_options by_flip = { .flip = true };

static void begin(void)
{
	unsigned int i;

	fake_netback_reset();
	fake_flip_reset();
	fake_nb.features.rx_flip = true;
	fake_nb.page_of = fake_flip_page;
	for (i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 31 + i / 4096 + 5);
}

static int go(const struct netfront_options *o, const struct front_flip *system)
{
	struct front_env *env = fake_netback_env();
	int r;

	env->flip = system;
	r = netfront_open(env, FAKE_VIF, o, 1000, &n, &problem);
	if (r < 0)
		fprintf(stderr, "\nopen: %d %s\n", r, problem.text);
	else
		netfront_info(n, &info);
	return r;
}

/* Nothing may be left, however it ended. */
static void nothing_left(void)
{
	UNIT_EQ(fake_flip.nr_open, 0);
	UNIT_EQ(fake_flip.nr_pages, 0);
	UNIT_EQ(fake_flip.bad, 0);
	UNIT_EQ(fake_gnt_pages(), 0);
	UNIT_EQ(fake_evtchn_ports(), 0);
}

static void end(void)
{
	UNIT_EQ(netfront_close(n, 1000, NULL), 0);
	nothing_left();
	UNIT_EQ(fake_nb.bad_requests, 0);
	fake_netback_end();
}

static uint32_t gather(const struct netfront_frame *frame)
{
	uint32_t k, at = 0;

	for (k = 0; k < frame->nr_pieces; k++) {
		memcpy(flat + at, frame->piece[k].base, frame->piece[k].bytes);
		at += frame->piece[k].bytes;
	}
	return at;
}

static bool is_big(const struct netfront_frame *frame, uint32_t from, uint32_t bytes)
{
	return gather(frame) == bytes && !memcmp(flat, big + from, bytes);
}

static int receive(unsigned int nr)
{
	fake_rx_push(0);
	netfront_wait(n, NETFRONT_RECEIVABLE, 0);
	return netfront_receive(n, 0, got, nr);
}

static void one_error(bool page_comes)
{
	struct netif_rx_response rsp = { .status = NETIF_RSP_ERROR };

	fake_nb.raw_fills = page_comes;
	UNIT_OK(fake_rx_raw(0, rsp, false));
	fake_nb.raw_fills = false;
}

/* ---- which path --------------------------------------------------------------------- */

static void test_negotiation(void)
{
	static const struct {
		bool asked, system, offered, flips, refused;
	} t[] = {
		{ true, true, true, true, false },
		{ false, true, true, false, false },
		{ true, false, true, false, true },
		{ true, true, false, false, true },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		struct netfront_options o = { .flip = t[i].asked };

		begin();
		fake_nb.features.rx_flip = t[i].offered;
		UNIT_NEED(go(&o, t[i].system ? fake_flip_system() : NULL) == 0);
		UNIT_EQ(info.flip, t[i].flips);
		UNIT_EQ(info.flip_refused != NULL, t[i].refused);
		UNIT_EQ(fake_nb.front.rx_copy, !t[i].flips);
		UNIT_EQ(fake_nb.front.rx_flip, t[i].flips);
		UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/request-rx-copy"),
			   t[i].flips ? "0" : "1");
		UNIT_EQ(fake_xs_get(FAKE_FRONT_DIR "/request-rx-flip") != NULL, t[i].flips);
		UNIT_EQ(fake_flip.nr_open, t[i].flips ? RING : 0);
		UNIT_EQ(info.rx_pages, t[i].flips ? 0 : RING);
		UNIT_EQ(fake_rx_buffers(0), RING);
		end();
		UNIT_OK(!fake_xs_get(FAKE_FRONT_DIR "/request-rx-flip"));
	}
}

/* A back end that does nothing else; and a domain that may not grow. */
static void test_only_way(void)
{
	begin();
	fake_nb.features.rx_copy = false;
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	UNIT_OK(info.flip);
	end();
	begin();
	fake_flip.limit = 1;
	fake_flip.nr_pages = 1;
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	UNIT_OK(!info.flip && info.flip_refused);
	fake_flip.nr_pages = 0;
	end();
}

/* ---- frames -------------------------------------------------------------------------- */

static void test_frames(void)
{
	struct netif_extra_info extra = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	extra.u.gso.size = 1448;
	extra.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
	UNIT_OK(fake_rx_frame(0, big, 60, PAGE, 0, 0, NULL, 0));
	UNIT_OK(fake_rx_frame(0, big + 1, 9014, PAGE, 0, 0, NULL, 0));
	UNIT_OK(fake_rx_frame(0, big + 2, 65535, PAGE, 0, NETRXF_csum_blank, &extra, 1));
	UNIT_OK(fake_rx_frame(0, big + 3, 1000, 100, 64, 0, NULL, 0));
	UNIT_EQ(receive(64), 4);
	UNIT_OK(is_big(got, 0, 60));
	UNIT_OK(is_big(got + 1, 1, 9014));
	UNIT_OK(is_big(got + 2, 2, 65535));
	UNIT_EQ(got[2].gso_bytes, 1448);
	UNIT_OK(is_big(got + 3, 3, 1000));
	UNIT_EQ(fake_flip.nr_pages, 1 + 3 + 16 + 10);
	UNIT_EQ(n->stats.flipped_pages, 1 + 3 + 16 + 10);
	netfront_release(n, 0, got, 4);
	netfront_release(n, 0, got, 4);		/* twice is once */
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), RING);
	UNIT_EQ(n->stats.receive_errors, 0);
	end();
}

/* 100,000 pages: as many entries and pages all the while, one flush a pass. */
static void test_many(void)
{
	uint32_t sent = 0, i, flushes;

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	while (sent < 100000) {
		for (i = 0; i < 64; i++)
			UNIT_NEED(fake_rx_frame(0, big + (sent + i) % 70000, 1500, PAGE, 0, 0,
						NULL, 0));
		flushes = fake_flip.flushes;
		UNIT_NEED(receive(64) == 64);
		UNIT_NEED(fake_flip.flushes == flushes + 1);
		for (i = 0; i < 64; i++)
			UNIT_NEED(is_big(got + i, (sent + i) % 70000, 1500));
		netfront_release(n, 0, got, 64);
		netfront_kick(n);
		UNIT_NEED(fake_flip.nr_open + fake_flip.nr_pages <= RING + 64);
		sent += 64;
	}
	end();
}

/* What the caller keeps is not replaced; given back in any order it is. */
static void test_held(void)
{
	uint32_t i;

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	for (i = 0; i < RING; i++)
		UNIT_OK(fake_rx_frame(0, big + i, 100, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(300), RING);
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), 0);
	UNIT_EQ(fake_flip.nr_open, 0);
	for (i = 0; i < RING; i++)
		netfront_release(n, 0, got + i * 37 % RING, 1);
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), RING);
	UNIT_EQ(fake_flip.nr_open, RING);
	/* A frame of the caller's own making is left alone. */
	got[0].piece[0].base = big;
	netfront_release(n, 0, got, 1);
	/* Held over the close. */
	UNIT_OK(fake_rx_frame(0, big, 100, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(1), 1);
	end();
}

/* A frame whose slots come in two passes. */
static void test_parts(void)
{
	struct netif_rx_response rsp = { .status = 50 };

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	rsp.flags = NETRXF_more_data;
	fake_nb.raw_fills = true;
	UNIT_OK(fake_rx_raw(0, rsp, false));
	UNIT_EQ(receive(8), 0);
	rsp.flags = 0;
	UNIT_OK(fake_rx_raw(0, rsp, false));
	UNIT_EQ(receive(8), 1);
	UNIT_EQ(gather(got), 100);
	netfront_release(n, 0, got, 1);
	rsp.flags = NETRXF_more_data;
	UNIT_OK(fake_rx_raw(0, rsp, false));	/* and one that is never whole */
	UNIT_EQ(receive(8), 0);
	end();
}

/* ---- errors and lies ------------------------------------------------------------------- */

static void test_errors(void)
{
	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	one_error(false);
	one_error(true);		/* a page came nevertheless */
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 1);
	UNIT_OK(is_big(got, 0, 500));
	UNIT_EQ(n->stats.receive_errors, 2);
	netfront_release(n, 0, got, 1);
	/* The second of three slots. */
	fake_flip.refuse = 1;
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_OK(fake_rx_frame(0, big, 9000, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 1);
	UNIT_OK(is_big(got, 0, 9000));
	netfront_release(n, 0, got, 1);
	UNIT_EQ(n->stats.receive_errors, 3);
	UNIT_EQ(netfront_state(n), 0);
	UNIT_EQ(receive(8), 0);
	end();
}

/* It says that pages came, and none did; the frames are dropped, and that is all. */
static void test_lies(void)
{
	struct netif_rx_response rsp = { .status = 60 };
	uint32_t i;

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	for (i = 0; i < 1000; i++) {
		rsp.flags = i % 3 ? 0 : NETRXF_more_data;
		UNIT_OK(fake_rx_raw(0, rsp, false));
		UNIT_EQ(receive(8), 0);
	}
	UNIT_EQ(netfront_state(n), 0);
	UNIT_OK(n->stats.receive_errors >= 600);
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), RING);
	/* An id that is none breaks, as ever; the page that came is given back. */
	rsp.flags = 0;
	rsp.id = 77;
	fake_nb.raw_fills = true;
	if (fake_nb.rx[0].rsp_prod_pvt % RING == rsp.id)
		rsp.id++;
	UNIT_OK(fake_rx_raw(0, rsp, true));
	UNIT_EQ(receive(8), -EPROTO);
	end();
}

static void test_slow(void)
{
	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	fake_flip.slow = 20;		/* a moment */
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 1);
	netfront_release(n, 0, got, 1);
	fake_flip.never_done = true;	/* longer: dropped, and the page comes home */
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 0);
	UNIT_EQ(n->stats.receive_errors, 1);
	fake_flip.never_done = false;
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 1);
	netfront_release(n, 0, got, 1);
	netfront_kick(n);
	UNIT_EQ(fake_flip.nr_open, RING);
	end();
}

/* What the system cannot map is lost, and the interface with it. */
static void test_flush_fails(void)
{
	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 1);
	fake_flip.fail_flush = -EIO;
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(1), -EPROTO);
	UNIT_OK(netfront_problem(n)->text[0]);
	end();
}

/* The domain may have few pages more: the ring is as full as it can be. */
static void test_few_pages(void)
{
	uint32_t i;

	begin();
	fake_flip.limit = 40;
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	UNIT_OK(info.flip);
	UNIT_OK(fake_flip.nr_open > 20 && fake_flip.nr_open <= 40);
	for (i = 0; i < 1000; i++) {
		UNIT_NEED(fake_rx_frame(0, big, 100, PAGE, 0, 0, NULL, 0));
		UNIT_NEED(receive(8) == 1);
		netfront_release(n, 0, got, 1);
		netfront_kick(n);
	}
	/* None at all for a while. */
	fake_flip.limit = fake_flip.nr_pages += 1000;
	while (fake_rx_buffers(0)) {
		UNIT_NEED(fake_rx_frame(0, big, 100, PAGE, 0, 0, NULL, 0));
		UNIT_NEED(receive(8) == 1);
		netfront_release(n, 0, got, 1);
		netfront_kick(n);
	}
	UNIT_EQ(fake_rx_buffers(0), 0);
	fake_flip.nr_pages -= 1000;
	fake_flip.limit = 0;
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), RING);
	end();
}

/* ---- the end of it, while connected ------------------------------------------------------ */

static void test_ended(void)
{
	uint32_t i, errors = 0;

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	UNIT_OK(fake_rx_frame(0, big, 500, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(receive(8), 1);		/* held while it ends */
	fake_xs_put(FAKE_BACK_DIR "/rx-flip-ended", "1");
	for (i = 0; i < RING - 1; i++) {
		one_error(false);
		UNIT_EQ(receive(8), 0);
		errors++;
		netfront_info(n, &info);
		UNIT_NEED(!info.flip && info.flip_refused);	/* with the first error */
	}
	UNIT_EQ(info.rx_pages, RING);
	netfront_release(n, 0, got, 1);
	netfront_kick(n);
	/* What is on the ring from here on is copied into. */
	for (i = 0; i < 600; i++) {
		UNIT_NEED(fake_rx_frame(0, big + i, 1500, PAGE, 0, 0, NULL, 0));
		if (receive(8) != 1)
			continue;
		UNIT_OK(is_big(got, i, 1500));
		netfront_release(n, 0, got, 1);
		netfront_kick(n);
	}
	UNIT_EQ(fake_flip.nr_open, 0);
	UNIT_EQ(n->stats.receive_errors, errors);
	end();
}

/* The store is not asked at every error, and not for ever rarely either. */
static void test_looks(void)
{
	uint32_t i, at = 0;

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	for (i = 1; i <= 200 && !at; i++) {
		if (i == 70)
			fake_xs_put(FAKE_BACK_DIR "/rx-flip-ended", "1");
		one_error(false);
		UNIT_EQ(receive(8), 0);
		netfront_info(n, &info);
		if (!info.flip)
			at = i;
	}
	UNIT_EQ(at, 128);
	end();
}

/* There are no shared pages to be had at that moment: it is tried again. */
static void test_ended_short(void)
{
	int limit;
	uint32_t i;

	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	fake_xs_put(FAKE_BACK_DIR "/rx-flip-ended", "1");
	limit = fake_gnt_limit;
	fake_gnt_limit = 0;
	one_error(false);
	UNIT_EQ(receive(8), 0);
	netfront_info(n, &info);
	UNIT_OK(info.flip);
	fake_gnt_limit = limit;
	for (i = 0; i < 3; i++) {
		one_error(false);
		UNIT_EQ(receive(8), 0);
	}
	netfront_info(n, &info);
	UNIT_OK(!info.flip);
	end();
}

/* ---- leaving -------------------------------------------------------------------------------- */

static void test_back_end_leaves(void)
{
	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	UNIT_OK(fake_rx_frame(0, big, 9000, PAGE, 0, 0, NULL, 0));
	fake_rx_push(0);
	fake_nb.mute = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "6");
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 100), NETFRONT_RECEIVABLE);
	UNIT_EQ(netfront_receive(n, 0, got, 8), 1);
	UNIT_OK(is_big(got, 0, 9000));
	/* Pages that came and were never answered. */
	fake_nb.raw_fills = true;
	fake_rx_raw(0, (struct netif_rx_response){ .status = 9 }, false);
	fake_nb.mute = false;
	end();
}

static void test_never_closes(void)
{
	begin();
	UNIT_NEED(go(&by_flip, fake_flip_system()) == 0);
	fake_nb.never_closes = true;
	UNIT_OK(fake_rx_frame(0, big, 9000, PAGE, 0, 0, NULL, 0));
	UNIT_EQ(netfront_close(n, 100, &problem), -ETIMEDOUT);
	nothing_left();
	fake_netback_end();
}

static void test_queues(void)
{
	const struct netfront_options o = { .flip = true, .nr_queues = 3 };

	begin();
	fake_nb.features.max_queues = 4;
	UNIT_NEED(go(&o, fake_flip_system()) == 0);
	UNIT_EQ(info.nr_queues, 3);
	UNIT_OK(fake_rx_frame(2, big, 500, PAGE, 0, 0, NULL, 0));
	fake_rx_push(2);
	UNIT_EQ(netfront_receive(n, 2, got, 8), 1);
	UNIT_OK(is_big(got, 0, 500));
	netfront_release(n, 2, got, 1);
	fake_xs_put(FAKE_BACK_DIR "/rx-flip-ended", "1");
	one_error(false);
	UNIT_EQ(receive(8), 0);
	netfront_info(n, &info);
	UNIT_OK(!info.flip);
	UNIT_EQ(info.rx_pages, 3 * (448 / 3));
	end();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "which path", test_negotiation },
		{ "the only way, and no way", test_only_way },
		{ "frames of all kinds", test_frames },
		{ "100,000 pages", test_many },
		{ "all pages held", test_held },
		{ "a frame in two parts", test_parts },
		{ "errors, with and without a page", test_errors },
		{ "pages that did not come", test_lies },
		{ "a transfer under way", test_slow },
		{ "pages that cannot be mapped", test_flush_fails },
		{ "few pages more", test_few_pages },
		{ "ended while connected", test_ended },
		{ "when the store is asked", test_looks },
		{ "ended, and no shared pages", test_ended_short },
		{ "a back end that leaves", test_back_end_leaves },
		{ "a back end that never closes", test_never_closes },
		{ "three queues", test_queues },
	};

	alarm(120);
	return unit_run("netfront flip", tests, UNIT_LEN(tests));
}
