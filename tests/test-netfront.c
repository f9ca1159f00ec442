/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network front end against an honest back end in the same process: what
 * it puts on the rings, what it makes of what comes, both in all their forms.
 */
#include <stdbool.h>
#include <unistd.h>

#include "fake-netback.h"
#include "netfront-priv.h"
#include "unit.h"

#define PAGE 4096u

static struct netfront *n;
static struct front_problem problem;
static uint8_t big[80000];
static struct netfront_frame got[64];

static void begin(void)
{
	unsigned int i;

	fake_netback_reset();
	for (i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 31 + i / 4096 + 5);
}

static bool go(const struct netfront_options *o)
{
	int r = netfront_open(fake_netback_env(), FAKE_VIF, o, 1000, &n, &problem);

	if (r < 0)
		fprintf(stderr, "\nopen: %d %s\n", r, problem.text);
	return r == 0;
}

static uint32_t tx_pages_out(void)
{
	uint32_t i, out = 0;

	for (i = 0; i < n->nr_queues; i++)
		out += n->queue[i].tx_pool.nr_pages - n->queue[i].tx_pool.nr_free -
		       (n->queue[i].open_page != POOL_NONE);
	return out;
}

static void end(void)
{
	UNIT_EQ(netfront_close(n, 1000, NULL), 0);
	UNIT_EQ(fake_gnt_pages(), 0);
	UNIT_EQ(fake_evtchn_ports(), 0);
	UNIT_EQ(fake_nb.bad_requests, 0);
	fake_netback_end();
}

static struct netfront_frame one(void *base, uint32_t bytes)
{
	return (struct netfront_frame){ .nr_pieces = 1, .piece = { { base, bytes } } };
}

/* Sends and lets the back end have its turn. */
static int send_all(unsigned int queue, const struct netfront_frame *frames, unsigned int nr)
{
	int r = netfront_send(n, queue, frames, nr);

	netfront_kick(n);
	netfront_wait(n, NETFRONT_RECEIVABLE, 0);
	netfront_poll(n);
	return r;
}

/* ---- opening ------------------------------------------------------------------------ */

static void test_open_close(void)
{
	struct netfront_info info;

	begin();
	fake_xs_put(FAKE_FRONT_DIR "/mtu", "9000");
	fake_xs_put(FAKE_BACK_DIR "/carrier", "0");
	UNIT_NEED(go(NULL));
	netfront_info(n, &info);
	UNIT_EQ(info.mac[5], 1);
	UNIT_EQ(info.mtu_bytes, 9000);
	UNIT_OK(!info.carrier && info.split_event_channels && !info.ctrl_ring);
	UNIT_OK(info.sg && info.gso_tcpv4 && info.gso_tcpv6 && info.ipv6_checksum);
	UNIT_EQ(info.nr_queues, 1);
	UNIT_EQ(info.tx_pages, 256);
	UNIT_EQ(info.rx_pages, 256);
	UNIT_EQ(fake_nb.front.nr_queues, 1);
	UNIT_OK(fake_nb.front.rx_copy && fake_nb.front.rx_notify && fake_nb.front.sg);
	UNIT_OK(fake_nb.front.gso_tcpv4 && fake_nb.front.gso_tcpv6);
	UNIT_OK(fake_nb.front.queue[0].tx_port != fake_nb.front.queue[0].rx_port);
	UNIT_EQ(fake_rx_buffers(0), 256);
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/state"), "4");
	end();
	UNIT_OK(!fake_xs_get(FAKE_FRONT_DIR "/tx-ring-ref"));
	UNIT_OK(!fake_xs_get(FAKE_FRONT_DIR "/feature-sg"));
	UNIT_OK(fake_xs_get(FAKE_FRONT_DIR "/mac"));
}

/* Nothing of what was in them before reaches the back end (the fake's are full of it). */
static void test_pages_are_zeroed(void)
{
	static const uint8_t zero[FRONTDEV_PAGE_BYTES];
	uint32_t nr = 0;

	begin();
	UNIT_NEED(go(NULL));
	for (uint32_t gref = 0; gref < FAKE_GRANTS; gref++) {
		bool writable;
		const void *page = fake_gnt_find(gref, &writable);

		if (!page || gref == fake_nb.front.queue[0].tx_gref ||
		    gref == fake_nb.front.queue[0].rx_gref)
			continue;
		UNIT_OK(!memcmp(page, zero, sizeof(zero)));
		nr++;
	}
	UNIT_EQ(nr, 512);
	end();
}

static void test_open_refused(void)
{
	static const struct {
		const char *node, *value;
		int want;
	} t[] = {
		{ FAKE_FRONT_DIR "/mac", "00:16:3e", -EINVAL },
		{ FAKE_FRONT_DIR "/mtu", "12", -EINVAL },
		{ FAKE_FRONT_DIR "/backend-id", "x", -EINVAL },
		{ FAKE_BACK_DIR "/state", "6", -ETIMEDOUT },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		begin();
		fake_nb.mute = true;
		fake_netback_env();
		fake_xs_put(t[i].node, t[i].value);
		UNIT_EQ(netfront_open(fake_netback_env(), FAKE_VIF, NULL, 100, &n, &problem),
			t[i].want);
		UNIT_OK(!n && problem.text[0]);
		UNIT_EQ(fake_gnt_pages(), 0);
		UNIT_EQ(fake_evtchn_ports(), 0);
		fake_netback_end();
	}
	begin();
	fake_nb.features.rx_copy = false;
	UNIT_EQ(netfront_open(fake_netback_env(), FAKE_VIF, NULL, 100, &n, &problem),
		-EOPNOTSUPP);
	UNIT_EQ(fake_gnt_pages(), 0);
	fake_netback_end();
}

/* Every store request fails once: nothing may be left behind. */
static void test_open_store_errors(void)
{
	unsigned int nth, failed = 0;

	for (nth = 1; nth < 200; nth++) {
		begin();
		fake_netback_env();
		fake_xs_fail_nth(nth, EIO);
		if (netfront_open(fake_netback_env(), FAKE_VIF,
				  &(struct netfront_options){ .nr_queues = 2, .ctrl_ring = true },
				  100, &n, &problem) < 0) {
			failed++;
			UNIT_OK(!n);
		} else {
			fake_xs_fail_nth(0, 0);
			netfront_close(n, 100, NULL);
		}
		fake_xs_fail_nth(0, 0);
		UNIT_EQ(fake_gnt_pages(), 0);
		UNIT_EQ(fake_evtchn_ports(), 0);
		UNIT_EQ(fake_xs_open_transactions(), 0);
		fake_netback_end();
	}
	UNIT_OK(failed > 20);
}

/* Fewer grants than wanted: smaller pools, or a clear refusal. */
static void test_few_grants(void)
{
	struct netfront_info info;
	int limit, opened = 0, refused = 0, r;

	for (limit = 0; limit < 300; limit += 7) {
		begin();
		fake_gnt_limit = limit;
		r = netfront_open(fake_netback_env(), FAKE_VIF, NULL, 100, &n, &problem);
		UNIT_OK(r == 0 || r == -ENOSPC);
		if (r == 0) {
			netfront_info(n, &info);
			UNIT_OK(info.short_of_grants);
			opened++;
			netfront_close(n, 100, NULL);
		} else {
			UNIT_OK(problem.advice != NULL);
			refused++;
		}
		UNIT_EQ(fake_gnt_pages(), 0);
		fake_netback_end();
	}
	UNIT_OK(opened > 3 && refused > 3);
}

/* ---- sending --------------------------------------------------------------------------- */

static void test_send_layout(void)
{
	const struct fake_frame *f = fake_nb.frame;
	struct netfront_frame frame = one(big, 60);
	struct netfront_stats stats;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(fake_nb.nr_frames, 1);
	UNIT_EQ(f->nr_slots, 1);
	UNIT_EQ(f->bytes, 60);
	UNIT_EQ(f->req[0].flags, 0);
	UNIT_OK(!memcmp(f->data, big, 60));
	/* 10,000 bytes: three slots, the first of which says the whole. */
	frame = one(big + 7, 10000);
	frame.checksum_blank = true;
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(f[1].nr_slots, 3);
	UNIT_EQ(f[1].req[0].size, 10000);
	UNIT_EQ(f[1].req[1].size, 4096);
	UNIT_EQ(f[1].req[2].size, 10000 - 2 * 4096);
	UNIT_EQ(f[1].req[0].flags,
		NETTXF_csum_blank | NETTXF_data_validated | NETTXF_more_data);
	UNIT_EQ(f[1].req[1].flags, NETTXF_more_data);
	UNIT_EQ(f[1].req[2].flags, 0);
	UNIT_OK(!memcmp(f[1].data, big + 7, 10000));
	frame = one(big, 100);
	frame.checksum_validated = true;
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(f[2].req[0].flags, NETTXF_data_validated);
	netfront_stats(n, &stats);
	UNIT_EQ(stats.sent_frames, 3);
	UNIT_EQ(stats.sent_bytes, 60 + 10000 + 100);
	UNIT_EQ(netfront_inflight(n), 0);
	UNIT_EQ(tx_pages_out(), 0);
	end();
}

static void test_send_gso(void)
{
	const struct fake_frame *f = fake_nb.frame;
	struct netfront_frame frame = one(big, 65535);

	begin();
	UNIT_NEED(go(NULL));
	frame.checksum_blank = true;
	frame.gso = NETFRONT_GSO_TCPV4;
	frame.gso_bytes = 1448;
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(f->nr_slots, 16);
	UNIT_EQ(f->nr_extras, 1);
	UNIT_EQ(f->extra[0].type, XEN_NETIF_EXTRA_TYPE_GSO);
	UNIT_EQ(f->extra[0].flags, 0);
	UNIT_EQ(f->extra[0].u.gso.size, 1448);
	UNIT_EQ(f->extra[0].u.gso.type, XEN_NETIF_GSO_TYPE_TCPV4);
	UNIT_EQ(f->req[0].flags, NETTXF_csum_blank | NETTXF_data_validated |
		NETTXF_more_data | NETTXF_extra_info);
	UNIT_EQ(f->req[0].size, 65535);
	UNIT_OK(!memcmp(f->data, big, 65535));
	frame = one(big, 3000);
	frame.checksum_blank = true;
	frame.gso = NETFRONT_GSO_TCPV6;
	frame.gso_bytes = 1000;
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(f[1].nr_slots, 1);
	UNIT_EQ(f[1].extra[0].u.gso.type, XEN_NETIF_GSO_TYPE_TCPV6);
	UNIT_EQ(netfront_inflight(n), 0);
	UNIT_EQ(n->queue[0].nr_extras, 0);
	UNIT_EQ(ring_front_free(&n->queue[0].tx), 256);
	end();
}

/* Odd pieces, empty ones among them, against the same bytes in one. */
static void test_send_pieces(void)
{
	struct netfront_frame frame = {
		.nr_pieces = 6,
		.piece = { { big, 0 }, { big, 3 }, { big + 3, 5000 }, { NULL, 0 },
			   { big + 5003, 1 }, { big + 5004, 4000 } },
	};

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(fake_nb.frame[0].bytes, 9004);
	UNIT_EQ(fake_nb.frame[0].nr_slots, 3);
	UNIT_OK(!memcmp(fake_nb.frame[0].data, big, 9004));
	end();
}

/* What cannot be sent says so, and takes nothing. */
static void test_send_refused(void)
{
	struct netfront_frame frame = one(big, 13);

	begin();
	fake_nb.features.gso_tcpv6 = false;
	UNIT_NEED(go(NULL));
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EMSGSIZE);
	frame = one(big, 65536);
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EMSGSIZE);
	frame = one(big, 0xffffffff);
	frame.nr_pieces = 2;
	frame.piece[1] = (struct netfront_piece){ big, 100 };
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EMSGSIZE);
	frame = one(big, 100);
	frame.nr_pieces = NETFRONT_PIECES_MAX + 1;
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EMSGSIZE);
	frame = one(big, 100);
	frame.gso = NETFRONT_GSO_TCPV4;
	frame.gso_bytes = 100;
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EINVAL);
	frame.checksum_blank = true;
	frame.gso_bytes = 0;
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EINVAL);
	frame.gso_bytes = 10;
	frame.gso = NETFRONT_GSO_TCPV6;
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EOPNOTSUPP);
	frame = one(big, 100);
	UNIT_EQ(netfront_send(n, 1, &frame, 1), -EINVAL);
	UNIT_EQ(netfront_inflight(n), 0);
	UNIT_EQ(tx_pages_out(), 0);
	end();
}

/* One slot is all that a back end without scatter-gather takes. */
static void test_send_no_sg(void)
{
	struct netfront_frame frame = one(big, 4097);

	begin();
	fake_nb.features.sg = false;
	UNIT_NEED(go(NULL));
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EMSGSIZE);
	frame.gso = NETFRONT_GSO_TCPV4;
	frame.checksum_blank = true;
	frame.gso_bytes = 100;
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EOPNOTSUPP);
	frame = one(big, 4096);
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(fake_nb.frame[0].nr_slots, 1);
	UNIT_OK(!memcmp(fake_nb.frame[0].data, big, 4096));
	end();
}

/* Small frames lie side by side in a page, each with what it should hold. */
static void test_send_packed(void)
{
	struct netfront_frame frame[64];
	unsigned int i;

	begin();
	UNIT_NEED(go(NULL));
	for (i = 0; i < 64; i++)
		frame[i] = one(big + i * 3, 60);
	UNIT_EQ(send_all(0, frame, 64), 64);
	for (i = 0; i < 64; i++) {
		UNIT_EQ(fake_nb.frame[i].req[0].gref, fake_nb.frame[0].req[0].gref);
		UNIT_OK(!memcmp(fake_nb.frame[i].data, big + i * 3, 60));
	}
	UNIT_EQ(tx_pages_out(), 0);
	end();
}

static void test_send_in_place(void)
{
	struct netfront_frame frame = { .nr_pieces = 2 };
	struct netfront_stats stats;
	void *a, *b, *c;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(netfront_buffer_get(n, 0, &a), 0);
	UNIT_EQ(netfront_buffer_get(n, 0, &b), 0);
	UNIT_EQ(netfront_buffer_get(n, 0, &c), 0);
	memcpy(a, big, PAGE);
	memcpy(b, big + PAGE, PAGE);
	frame.piece[0] = (struct netfront_piece){ (uint8_t *)a + 100, 14 };
	frame.piece[1] = (struct netfront_piece){ (uint8_t *)b + 1, 4095 };
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(fake_nb.frame[0].nr_slots, 2);
	UNIT_EQ(fake_nb.frame[0].req[0].offset, 100);
	UNIT_EQ(fake_nb.frame[0].req[1].offset, 1);
	UNIT_OK(!memcmp(fake_nb.frame[0].data, big + 100, 14));
	UNIT_OK(!memcmp(fake_nb.frame[0].data + 14, big + PAGE + 1, 4095));
	netfront_stats(n, &stats);
	UNIT_EQ(stats.copied_bytes, 0);
	UNIT_EQ(tx_pages_out(), 1);
	/* Memory that is not of the pool is copied. */
	frame.piece[0] = (struct netfront_piece){ big, 14 };
	frame.piece[1] = (struct netfront_piece){ big + 14, 4095 };
	UNIT_EQ(send_all(0, &frame, 1), 1);
	netfront_stats(n, &stats);
	UNIT_EQ(stats.copied_bytes, 14 + 4095);
	/* A first piece that is too short is copied, and the page goes back all the same. */
	frame.piece[0] = (struct netfront_piece){ c, 13 };
	frame.piece[1] = (struct netfront_piece){ (uint8_t *)c + 13, 50 };
	memcpy(c, big, 100);
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_OK(!memcmp(fake_nb.frame[2].data, big, 63));
	UNIT_EQ(tx_pages_out(), 0);
	/* Given back unsent; once. */
	UNIT_EQ(netfront_buffer_get(n, 0, &a), 0);
	netfront_buffer_put(n, 0, a);
	netfront_buffer_put(n, 0, a);
	netfront_buffer_put(n, 0, big);
	UNIT_EQ(tx_pages_out(), 0);
	/* Two pieces of one page; a piece across two lent pages is no piece in place. */
	UNIT_EQ(netfront_buffer_get(n, 0, &a), 0);
	memcpy(a, big, PAGE);
	frame.piece[0] = (struct netfront_piece){ a, 64 };
	frame.piece[1] = (struct netfront_piece){ (uint8_t *)a + 64, 64 };
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(fake_nb.frame[3].nr_slots, 2);
	UNIT_OK(!memcmp(fake_nb.frame[3].data, big, 128));
	UNIT_EQ(tx_pages_out(), 0);
	end();
}

/* ---- running out --------------------------------------------------------------------------- */

/* Everything that fits is taken, the rest waits for room, order and contents stay. */
static void many(const struct netfront_options *o, uint32_t bytes, bool reverse, bool gso)
{
	struct netfront_frame frame[50];
	unsigned int sent = 0, total = 600, i, wrong = 0;
	uint32_t seen = 0;
	int r;

	begin();
	fake_nb.reverse = reverse;
	UNIT_NEED(go(o));
	while (sent < total) {
		for (i = 0; i < 50; i++) {
			frame[i] = one(big + (sent + i) % 1000, bytes);
			frame[i].checksum_blank = gso;
			frame[i].gso = gso ? NETFRONT_GSO_TCPV4 : NETFRONT_GSO_NONE;
			frame[i].gso_bytes = 500;
		}
		r = netfront_send(n, 0, frame, total - sent < 50 ? total - sent : 50);
		UNIT_NEED(r >= 0);
		sent += (unsigned int)r;
		if (r < 50 && sent < total) {
			r = netfront_wait(n, NETFRONT_SENDABLE, -1);
			UNIT_NEED(r == (int)NETFRONT_SENDABLE);
		}
		for (; seen < fake_nb.nr_frames; seen++)
			wrong += fake_nb.frame[seen].bytes != bytes ||
				 memcmp(fake_nb.frame[seen].data, big + seen % 1000, bytes);
	}
	netfront_wait(n, NETFRONT_RECEIVABLE, 0);
	UNIT_EQ(wrong, 0);
	end();
}

static void test_send_many(void)
{
	struct netfront_options small = { .tx_pages = 16 }, tiny = { .tx_pages = 1 };

	many(NULL, 60, false, false);
	many(NULL, 1514, true, false);
	many(NULL, 65000, false, true);
	many(&small, 65535, true, false);
	many(&small, 65535, false, true);
	many(&tiny, 60, true, false);
	many(&tiny, 4096, false, false);
}

/* No more wake-ups than one for half a ring of answers. */
static void test_send_wakeups(void)
{
	struct netfront_frame frame = one(big, 60);
	struct netfront_stats stats;
	unsigned int i;

	begin();
	UNIT_NEED(go(NULL));
	for (i = 0; i < 2560; ) {
		if (netfront_send(n, 0, &frame, 1) == 1)
			i++;
		else
			UNIT_NEED(netfront_wait(n, NETFRONT_SENDABLE, -1) > 0);
	}
	netfront_stats(n, &stats);
	UNIT_OK(stats.notifies_sent <= 2 + 2560 / 200);
	UNIT_OK(stats.wakeups <= 2560 / 100);
	netfront_kick(n);
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 10), 0);
	netfront_poll(n);
	/* Answers alone wake nobody who only receives. */
	fake_nb.events_sent = 0;
	for (i = 0; i < 20; i++) {
		UNIT_EQ(netfront_send(n, 0, &frame, 1), 1);
		UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 10), 0);
	}
	UNIT_OK(fake_nb.events_sent <= 1);
	end();
}

static void answer_one(struct fake_netback *b)
{
	(void)b;
	fake_answer_held(1);
}

/* A back end that answers one at a time is never waited for in vain. */
static void test_send_trickle(void)
{
	struct netfront_frame frame = one(big, 1500);
	unsigned int i;

	begin();
	fake_nb.hold = true;
	fake_nb.on_sleep = answer_one;
	UNIT_NEED(go(NULL));
	for (i = 0; i < 900; ) {
		if (netfront_send(n, 0, &frame, 1) == 1) {
			i++;
			continue;
		}
		netfront_kick(n);
		fake_netback_serve();
		while (!(netfront_poll(n) & (int)NETFRONT_SENDABLE))
			;
	}
	fake_nb.on_sleep = NULL;
	fake_netback_serve();
	fake_answer_held(1000);
	end();
}

/* ---- receiving --------------------------------------------------------------------------------- */

static uint32_t gather(const struct netfront_frame *f, uint8_t *out)
{
	uint32_t i, at = 0;

	for (i = 0; i < f->nr_pieces; at += f->piece[i++].bytes)
		memcpy(out + at, f->piece[i].base, f->piece[i].bytes);
	return at;
}

static uint8_t flat[80000];

static void test_receive(void)
{
	struct netif_extra_info extra[2] = { { .type = XEN_NETIF_EXTRA_TYPE_GSO } };
	uint32_t value = 0x12345678;

	begin();
	UNIT_NEED(go(NULL));
	extra[0].u.gso.size = 1448;
	extra[0].u.gso.type = XEN_NETIF_GSO_TYPE_TCPV6;
	extra[1].type = XEN_NETIF_EXTRA_TYPE_HASH;
	extra[1].u.hash.type = _XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP;
	extra[1].u.hash.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ;
	memcpy(extra[1].u.hash.value, &value, 4);
	UNIT_EQ(netfront_receive(n, 0, got, 64), 0);
	UNIT_OK(fake_rx_frame(0, big, 60, PAGE, 0, 0, NULL, 0));
	UNIT_OK(fake_rx_frame(0, big + 1, 9014, PAGE, 0, NETRXF_data_validated, NULL, 0));
	UNIT_OK(fake_rx_frame(0, big + 2, 65535, PAGE, 0, NETRXF_csum_blank | NETRXF_data_validated,
			      extra, 2));
	UNIT_OK(fake_rx_frame(0, big + 3, 1000, 100, 64, 0, extra, 1));
	fake_rx_push(0);
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 100), NETFRONT_RECEIVABLE);
	UNIT_EQ(netfront_receive(n, 0, got, 64), 4);
	UNIT_EQ(got[0].nr_pieces, 1);
	UNIT_OK(!got[0].checksum_blank && !got[0].checksum_validated && !got[0].gso);
	UNIT_EQ(gather(got, flat), 60);
	UNIT_OK(!memcmp(flat, big, 60));
	UNIT_EQ(got[1].nr_pieces, 3);
	UNIT_OK(got[1].checksum_validated && !got[1].checksum_blank);
	UNIT_EQ(gather(got + 1, flat), 9014);
	UNIT_OK(!memcmp(flat, big + 1, 9014));
	UNIT_EQ(got[2].nr_pieces, 16);
	UNIT_EQ(got[2].gso, NETFRONT_GSO_TCPV6);
	UNIT_EQ(got[2].gso_bytes, 1448);
	UNIT_EQ(got[2].hash, 0x12345678);
	UNIT_EQ(got[2].hash_type, XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
	UNIT_OK(got[2].checksum_blank);
	UNIT_EQ(gather(got + 2, flat), 65535);
	UNIT_OK(!memcmp(flat, big + 2, 65535));
	UNIT_EQ(got[3].nr_pieces, 10);
	UNIT_EQ(got[3].gso, NETFRONT_GSO_TCPV6);
	UNIT_EQ(got[3].hash_type, 0);
	UNIT_EQ(gather(got + 3, flat), 1000);
	UNIT_OK(!memcmp(flat, big + 3, 1000));
	netfront_release(n, 0, got, 4);
	netfront_release(n, 0, got, 4);		/* twice is once */
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), 256);
	UNIT_EQ(n->queue[0].rx_pool.nr_free, 0);
	end();
}

/* A frame whose responses come in two parts, in every place where it can be cut. */
static void test_receive_parts(void)
{
	struct netif_extra_info extra = { .type = XEN_NETIF_EXTRA_TYPE_GSO };
	struct netif_rx_response rsp = { .flags = NETRXF_more_data | NETRXF_extra_info,
					 .status = 1000 };
	unsigned int cut;

	extra.u.gso.size = 500;
	extra.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
	for (cut = 0; cut < 4; cut++) {
		begin();
		UNIT_NEED(go(NULL));
		rsp.flags = NETRXF_more_data | NETRXF_extra_info;
		UNIT_OK(fake_rx_raw(0, rsp, false));
		if (cut == 1)
			fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, got, 64), 0);
		UNIT_OK(fake_rx_extra(0, &extra));
		if (cut == 2)
			fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, got + 1, 63), 0);
		rsp.flags = NETRXF_more_data;
		UNIT_OK(fake_rx_raw(0, rsp, false));
		if (cut == 3)
			fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, got, 1), 0);
		rsp.flags = 0;
		UNIT_OK(fake_rx_raw(0, rsp, false));
		UNIT_OK(fake_rx_frame(0, big, 77, PAGE, 0, 0, NULL, 0));
		fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, got, 1), 1);
		UNIT_EQ(got[0].nr_pieces, 3);
		UNIT_EQ(got[0].gso_bytes, 500);
		UNIT_EQ(netfront_receive(n, 0, got + 1, 1), 1);
		UNIT_EQ(gather(got + 1, flat), 77);
		netfront_release(n, 0, got, 2);
		netfront_kick(n);
		UNIT_EQ(fake_rx_buffers(0), 256);
		end();
	}
}

/* All buffers held: none for the back end; released: all again. Wraps the ring. */
static void test_receive_held(void)
{
	struct netfront_options o = { .rx_pages = 20 };
	static struct netfront_frame held[20];
	unsigned int round, i;

	begin();
	UNIT_NEED(go(&o));
	for (round = 0; round < 40; round++) {
		UNIT_EQ(fake_rx_buffers(0), 20);
		for (i = 0; i < 20; i++)
			UNIT_OK(fake_rx_frame(0, big + i, 100, PAGE, i, 0, NULL, 0));
		UNIT_OK(!fake_rx_frame(0, big, 100, PAGE, 0, 0, NULL, 0));
		fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, held, 20), 20);
		netfront_kick(n);
		UNIT_EQ(fake_rx_buffers(0), 0);
		for (i = 0; i < 20; i++)
			UNIT_OK(!memcmp(held[i].piece[0].base, big + i, 100));
		netfront_release(n, 0, held + round % 20, 1);
		for (i = 0; i < 20; i++)
			if (i != round % 20)
				netfront_release(n, 0, held + i, 1);
		netfront_kick(n);
	}
	end();
}

static void rx_later(struct fake_netback *b)
{
	if (b->sleeps++ < 3)
		return;
	b->on_sleep = NULL;
	fake_rx_frame(0, big, 100, PAGE, 0, 0, NULL, 0);
	fake_rx_push(0);
}

static void test_receive_sleep(void)
{
	unsigned int i;

	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 50), 0);
	for (i = 0; i < 300; i++) {
		fake_nb.sleeps = 2;
		fake_nb.on_sleep = rx_later;
		UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 1000) &
			(int)NETFRONT_RECEIVABLE, i ? NETFRONT_RECEIVABLE :
			NETFRONT_RECEIVABLE);
		UNIT_EQ(netfront_receive(n, 0, got, 64), 1);
		netfront_release(n, 0, got, 1);
	}
	end();
}

/* ---- negotiated forms ---------------------------------------------------------------------------- */

static void echo_on_all(const struct netfront_options *o, unsigned int want_queues, bool split)
{
	struct netfront_frame frame;
	unsigned int q, i;

	begin();
	fake_nb.echo = true;
	UNIT_NEED(go(o));
	UNIT_EQ(n->nr_queues, want_queues);
	for (q = 0; q < n->nr_queues; q++)
		UNIT_EQ(fake_nb.front.queue[q].tx_port != fake_nb.front.queue[q].rx_port, split);
	for (i = 0; i < 500; i++) {
		q = i % n->nr_queues;
		frame = one(big + i, 100 + i * 13);
		frame.checksum_blank = i & 1;
		UNIT_EQ(netfront_send(n, q, &frame, 1), 1);
		UNIT_OK(netfront_wait(n, NETFRONT_RECEIVABLE, -1) > 0);
		UNIT_EQ(netfront_receive(n, q, got, 64), 1);
		UNIT_EQ(gather(got, flat), 100 + i * 13);
		UNIT_OK(!memcmp(flat, big + i, 100 + i * 13));
		UNIT_EQ(got[0].checksum_blank, i & 1);
		netfront_release(n, q, got, 1);
	}
	end();
}

static void test_forms(void)
{
	echo_on_all(NULL, 1, true);
	echo_on_all(&(struct netfront_options){ .no_split = true }, 1, false);
	echo_on_all(&(struct netfront_options){ .nr_queues = 3 }, 3, true);
	echo_on_all(&(struct netfront_options){ .nr_queues = 99, .no_split = true }, 4, false);
	echo_on_all(&(struct netfront_options){ .nr_queues = 2, .ctrl_ring = true,
						.no_rx_notify = true, .poll_cycles = 1000 },
		    2, true);
}

static void test_refusals_published(void)
{
	struct netfront_options o = { .no_checksum = true, .no_sg = true, .no_rx_notify = true };

	begin();
	UNIT_NEED(go(&o));
	UNIT_OK(!fake_nb.front.sg && !fake_nb.front.gso_tcpv4 && !fake_nb.front.gso_tcpv6);
	UNIT_OK(fake_nb.front.no_csum && !fake_nb.front.ipv6_csum && !fake_nb.front.rx_notify);
	fake_notified(0);
	fake_rx_frame(0, big, 60, PAGE, 0, 0, NULL, 0);
	fake_rx_push(0);
	UNIT_EQ(netfront_receive(n, 0, got, 64), 1);
	netfront_release(n, 0, got, 1);
	netfront_kick(n);
	UNIT_OK(!fake_notified(fake_nb.front.queue[0].rx_port));
	end();
}

/* ---- leaving ------------------------------------------------------------------------------------------ */

static void test_close_in_flight(void)
{
	struct netfront_frame frame = one(big, 60);

	begin();
	UNIT_NEED(go(NULL));
	fake_nb.hold = true;
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(netfront_inflight(n), 1);
	end();
	begin();
	UNIT_NEED(go(NULL));
	fake_nb.never_closes = true;
	UNIT_EQ(netfront_close(n, 100, &problem), -ETIMEDOUT);
	UNIT_OK(problem.text[0]);
	UNIT_EQ(fake_gnt_pages(), 0);
	fake_netback_end();
}

static void test_back_end_leaves(void)
{
	struct netfront_frame frame = one(big, 60);

	begin();
	UNIT_NEED(go(NULL));
	/* A detach: it serves us until we close. */
	fake_xs_put(FAKE_BACK_DIR "/state", "5");
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 100), 0);
	netfront_poll(n);
	UNIT_OK(netfront_closing(n));
	UNIT_EQ(send_all(0, &frame, 1), 1);
	UNIT_EQ(fake_nb.nr_frames, 1);
	/* Gone: what it had sent is received, then there is nothing more. */
	fake_rx_frame(0, big, 100, PAGE, 0, 0, NULL, 0);
	fake_rx_push(0);
	fake_nb.mute = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "6");
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 100), NETFRONT_RECEIVABLE);
	UNIT_EQ(netfront_receive(n, 0, got, 64), 1);
	netfront_release(n, 0, got, 1);
	while (netfront_wait(n, NETFRONT_RECEIVABLE, 100) == 0)
		;
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 100), -ECONNABORTED);
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -ECONNABORTED);
	UNIT_EQ(netfront_problem(n)->err, -ECONNABORTED);
	fake_nb.mute = false;
	end();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "open and close", test_open_close },
		{ "pages are zeroed", test_pages_are_zeroed },
		{ "what cannot be opened", test_open_refused },
		{ "every store request fails once", test_open_store_errors },
		{ "fewer grants than wanted", test_few_grants },
		{ "tx requests", test_send_layout },
		{ "GSO to the back end", test_send_gso },
		{ "odd pieces", test_send_pieces },
		{ "what cannot be sent", test_send_refused },
		{ "a back end without scatter-gather", test_send_no_sg },
		{ "small frames share a page", test_send_packed },
		{ "frames built in place", test_send_in_place },
		{ "ring and pool run out", test_send_many },
		{ "wake-ups for answers", test_send_wakeups },
		{ "answers one at a time", test_send_trickle },
		{ "frames of all kinds received", test_receive },
		{ "a frame in two parts", test_receive_parts },
		{ "all buffers held", test_receive_held },
		{ "asleep until a frame comes", test_receive_sleep },
		{ "queues, event channels, options", test_forms },
		{ "what we refuse to take", test_refusals_published },
		{ "closed with frames in flight", test_close_in_flight },
		{ "a back end that leaves", test_back_end_leaves },
	};

	alarm(120);
	return unit_run("netfront", tests, UNIT_LEN(tests));
}
