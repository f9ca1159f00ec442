/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network front end against a back end that lies: each lie ends in a
 * dropped frame or in a broken interface with a reason, and never outside of
 * the shared pages.
 */
#include <stdbool.h>
#include <unistd.h>

#include "fake-netback.h"
#include "netfront-priv.h"
#include "unit.h"

#define PAGE 4096u

static struct netfront *n;
static struct front_problem problem;
static uint8_t big[70000];
static struct netfront_frame got[64];

static bool begin(const struct netfront_options *o)
{
	fake_netback_reset();
	memset(got, 0xee, sizeof(got));
	return netfront_open(fake_netback_env(), FAKE_VIF, o, 1000, &n, &problem) == 0;
}

static void end(void)
{
	netfront_close(n, 1000, NULL);
	UNIT_EQ(fake_gnt_pages(), 0);
	UNIT_EQ(fake_evtchn_ports(), 0);
	UNIT_EQ(fake_nb.bad_requests, 0);
	fake_netback_end();
}

/* Broken with a reason that the error node shows, and nothing works any more. */
static void is_broken(const char *word)
{
	struct netfront_frame frame = { .nr_pieces = 1, .piece = { { big, 60 } } };
	const struct front_problem *p = netfront_problem(n);
	const char *node = "/local/domain/3/error/device/vif/0/error";

	UNIT_EQ(p->err, -EPROTO);
	UNIT_OK(strstr(p->text, word) != NULL);
	UNIT_OK(p->advice != NULL);
	UNIT_OK(fake_xs_get(node) && strstr(fake_xs_get(node), "71 "));
	UNIT_EQ(netfront_send(n, 0, &frame, 1), -EPROTO);
	UNIT_EQ(netfront_receive(n, 0, got, 64), -EPROTO);
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 10), -EPROTO);
	UNIT_EQ(netfront_poll(n), -EPROTO);
}

static void send_one(void)
{
	struct netfront_frame frame = { .nr_pieces = 1, .piece = { { big, 60 } } };

	UNIT_EQ(netfront_send(n, 0, &frame, 1), 1);
	netfront_kick(n);
	fake_netback_serve();
}

/* ---- tx ------------------------------------------------------------------------------ */

static struct netif_tx_response lie;

static bool lie_tx(struct fake_netback *b, struct netif_tx_response *rsp)
{
	(void)b;
	*rsp = lie;
	return true;
}

static void test_tx_lies(void)
{
	static const struct {
		struct netif_tx_response rsp;
		const char *word;
	} t[] = {
		{ { .id = 256 }, "id 256" }, { { .id = 65535 }, "id 65535" },
		{ { .id = 7 }, "id 7" },	/* free: not in flight */
		{ { .id = 0, .status = 2 }, "status 2" },
		{ { .id = 0, .status = -3 }, "status 65533" },
		{ { .id = 0, .status = 32767 }, "status" },
		{ { .id = 0, .status = NETIF_RSP_NULL }, "extra info" },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		UNIT_NEED(begin(NULL));
		lie = t[i].rsp;
		fake_nb.twist_tx = lie_tx;
		send_one();
		UNIT_EQ(netfront_poll(n), -EPROTO);
		is_broken(t[i].word);
		end();
	}
}

/* The same answer twice: the second one finds nothing in flight. */
static void test_tx_twice(void)
{
	UNIT_NEED(begin(NULL));
	fake_nb.hold = true;
	send_one();
	send_one();
	lie = (struct netif_tx_response){ .id = fake_nb.frame[0].req[0].id };
	fake_tx_raw(0, lie);
	fake_tx_raw(0, lie);
	fake_tx_push(0);
	UNIT_EQ(netfront_poll(n), -EPROTO);
	is_broken("not in flight");
	end();
}

static void jump(struct ring_back *r, uint32_t by)
{
	atomic_store(&r->shared->rsp_prod, r->rsp_prod_pub + by);
}

static void test_jumps(void)
{
	static const uint32_t by[] = { 257, 1000, 0x7fffffff, 0x80000000, 0xffffffff };
	size_t i;

	for (i = 0; i < UNIT_LEN(by); i++) {
		UNIT_NEED(begin(NULL));
		jump(fake_nb.tx, by[i]);
		UNIT_EQ(netfront_poll(n), -EPROTO);
		is_broken("more answers");
		end();
		UNIT_NEED(begin(NULL));
		jump(fake_nb.rx, by[i]);
		UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 10), NETFRONT_RECEIVABLE);
		UNIT_EQ(netfront_receive(n, 0, got, 64), -EPROTO);
		is_broken("more frames");
		end();
	}
	/* One answer without a request. */
	UNIT_NEED(begin(NULL));
	jump(fake_nb.tx, 1);
	UNIT_EQ(netfront_poll(n), -EPROTO);
	end();
}

/* Errors are answers: counted, and the interface goes on. */
static void test_tx_errors(void)
{
	struct netfront_stats stats;

	UNIT_NEED(begin(NULL));
	fake_nb.status = NETIF_RSP_ERROR;
	send_one();
	fake_nb.status = NETIF_RSP_DROPPED;
	send_one();
	fake_nb.status = 0;
	send_one();
	UNIT_OK(netfront_poll(n) >= 0);
	netfront_stats(n, &stats);
	UNIT_EQ(stats.send_errors, 2);
	UNIT_EQ(stats.sent_frames, 1);
	UNIT_EQ(netfront_inflight(n), 0);
	end();
}

/* ---- rx ------------------------------------------------------------------------------ */

/* After the lie one honest frame comes through, and no buffer was lost. */
static void dropped(uint32_t errors)
{
	struct netfront_stats stats;
	int r;

	UNIT_OK(fake_rx_frame(0, big, 99, PAGE, 0, 0, NULL, 0));
	fake_rx_push(0);
	r = netfront_receive(n, 0, got, 64);
	UNIT_EQ(r, 1);
	UNIT_EQ(got[0].piece[0].bytes, 99);
	UNIT_EQ(got[0].nr_pieces, 1);
	UNIT_EQ(got[0].gso, NETFRONT_GSO_NONE);
	if (r > 0)
		netfront_release(n, 0, got, (unsigned int)r);
	netfront_stats(n, &stats);
	UNIT_EQ(stats.receive_errors, errors);
	netfront_kick(n);
	UNIT_EQ(fake_rx_buffers(0), 256);
	UNIT_OK(!n->broken);
}

static void test_rx_lies(void)
{
	static const struct netif_rx_response t[] = {
		{ .status = 0 }, { .status = 13 }, { .status = -1 }, { .status = -2 },
		{ .status = -3 }, { .status = -32768 }, { .status = 4097 },
		{ .status = 32767 }, { .offset = 1, .status = 4096 },
		{ .offset = 4096, .status = 14 }, { .offset = 65535, .status = 60 },
		{ .offset = 65535, .status = 32767 }, { .offset = 4090, .status = 7 },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		UNIT_NEED(begin(NULL));
		UNIT_OK(fake_rx_raw(0, t[i], false));
		dropped(1);
		end();
		/* As the second slot of a frame that began well, and the third follows. */
		if (t[i].status == 0 || t[i].status == 13)
			continue;
		UNIT_NEED(begin(NULL));
		fake_rx_raw(0, (struct netif_rx_response){ .flags = NETRXF_more_data,
							   .status = 100 }, false);
		fake_rx_raw(0, (struct netif_rx_response){ .flags = NETRXF_more_data,
			.offset = t[i].offset, .status = t[i].status }, false);
		fake_rx_raw(0, (struct netif_rx_response){ .status = 100 }, false);
		dropped(1);
		end();
	}
}

static void test_rx_ids(void)
{
	static const uint16_t id[] = { 1, 255, 256, 65535 };
	size_t i;

	for (i = 0; i < UNIT_LEN(id); i++) {
		UNIT_NEED(begin(NULL));
		fake_rx_raw(0, (struct netif_rx_response){ .id = id[i], .status = 60 }, true);
		fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, got, 64), -EPROTO);
		is_broken("rx slot 0");
		end();
	}
	/* What came before it is still delivered. */
	UNIT_NEED(begin(NULL));
	fake_rx_frame(0, big, 99, PAGE, 0, 0, NULL, 0);
	fake_rx_raw(0, (struct netif_rx_response){ .id = 0, .status = 60 }, true);
	fake_rx_push(0);
	UNIT_EQ(netfront_receive(n, 0, got, 64), 1);
	netfront_release(n, 0, got, 1);
	is_broken("rx slot 1");
	end();
}

/* Chains of every length up to the ring's, and some that never end. */
static void test_rx_chains(void)
{
	struct netif_rx_response more = { .flags = NETRXF_more_data, .status = 20 };
	uint32_t len, i;

	for (len = 1; len < 250; len += len < 24 ? 1 : 45) {
		UNIT_NEED(begin(NULL));
		for (i = 0; i + 1 < len; i++)
			UNIT_OK(fake_rx_raw(0, more, false));
		UNIT_OK(fake_rx_raw(0, (struct netif_rx_response){ .status = 20 }, false));
		fake_rx_push(0);
		UNIT_EQ(netfront_receive(n, 0, got, 64), len <= NETFRONT_PIECES_MAX);
		if (len <= NETFRONT_PIECES_MAX) {
			UNIT_EQ(got[0].nr_pieces, len);
			netfront_release(n, 0, got, 1);
		}
		dropped(len > NETFRONT_PIECES_MAX);
		end();
	}
	UNIT_NEED(begin(NULL));
	for (i = 0; i < 2000; i++) {
		UNIT_OK(fake_rx_raw(0, more, false));
		if (i % 100 == 99) {
			fake_rx_push(0);
			UNIT_EQ(netfront_receive(n, 0, got, 64), 0);
			netfront_kick(n);
		}
	}
	UNIT_OK(fake_rx_raw(0, (struct netif_rx_response){ .status = 20 }, false));
	dropped(1);
	end();
	/* More bytes than a frame may have, in few enough slots. */
	UNIT_NEED(begin(NULL));
	UNIT_OK(!fake_rx_frame(0, big, 70000, 100, 0, 0, NULL, 0));
	UNIT_OK(fake_rx_frame(0, big, 65536, PAGE, 0, 0, NULL, 0));
	dropped(1);
	end();
}

static void extra_case(const struct netif_extra_info *extra, unsigned int nr, bool ok)
{
	struct netif_extra_info e;
	unsigned int i;

	UNIT_NEED(begin(NULL));
	fake_rx_raw(0, (struct netif_rx_response){ .flags = NETRXF_extra_info | NETRXF_more_data,
						   .status = 60 }, false);
	for (i = 0; i < nr; i++) {
		e = extra[i];
		e.flags = i + 1 < nr ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
		UNIT_OK(fake_rx_extra(0, &e));
	}
	fake_rx_raw(0, (struct netif_rx_response){ .status = 60 }, false);
	fake_rx_push(0);
	UNIT_EQ(netfront_receive(n, 0, got, 64), ok);
	if (ok)
		netfront_release(n, 0, got, 1);
	dropped(!ok);
	end();
}

static struct netif_extra_info gso(uint16_t size, uint8_t type)
{
	struct netif_extra_info e = { .type = XEN_NETIF_EXTRA_TYPE_GSO };

	e.u.gso.size = size;
	e.u.gso.type = type;
	return e;
}

static void test_rx_extras(void)
{
	struct netif_extra_info e[40];
	unsigned int type;

	e[0] = gso(1448, XEN_NETIF_GSO_TYPE_TCPV4);
	extra_case(e, 1, true);
	e[1] = (struct netif_extra_info){ .type = XEN_NETIF_EXTRA_TYPE_HASH };
	extra_case(e, 2, true);
	e[1].u.hash.type = 255;
	extra_case(e, 2, true);
	for (type = 0; type < 256; type++) {
		if (type == XEN_NETIF_EXTRA_TYPE_GSO || type == XEN_NETIF_EXTRA_TYPE_HASH)
			continue;
		e[0] = (struct netif_extra_info){ .type = (uint8_t)type };
		extra_case(e, 1, false);
	}
	e[0] = gso(0, XEN_NETIF_GSO_TYPE_TCPV4);
	extra_case(e, 1, false);
	e[0] = gso(100, XEN_NETIF_GSO_TYPE_NONE);
	extra_case(e, 1, false);
	e[0] = gso(100, 3);
	extra_case(e, 1, false);
	for (type = 0; type < 40; type++)
		e[type] = gso(100, XEN_NETIF_GSO_TYPE_TCPV6);
	extra_case(e, 4, true);
	extra_case(e, 5, false);
	extra_case(e, 40, false);
}

/* GSO that we did not offer to take. */
static void test_rx_gso_unasked(void)
{
	struct netfront_options o = { .no_gso = true };
	struct netif_extra_info e = gso(100, XEN_NETIF_GSO_TYPE_TCPV4);

	UNIT_NEED(begin(&o));
	UNIT_OK(fake_rx_frame(0, big, 5000, PAGE, 0, 0, &e, 1));
	dropped(1);
	end();
}

static void test_rx_released_wrongly(void)
{
	struct netfront_frame odd = { .nr_pieces = 40 };
	uint32_t i;

	UNIT_NEED(begin(NULL));
	for (i = 0; i < NETFRONT_PIECES_MAX; i++)
		odd.piece[i] = (struct netfront_piece){ big + i, 10 };
	netfront_release(n, 0, &odd, 1);	/* not ours */
	odd.piece[0].base = n->queue[0].rx_pool.page[3].addr;
	netfront_release(n, 0, &odd, 1);	/* ours, but on the ring */
	netfront_release(n, 9, &odd, 1);
	UNIT_EQ(n->queue[0].rx_pool.nr_free, 0);
	dropped(0);
	end();
}

/* ---- control --------------------------------------------------------------------------- */

static int ctrl_lie;

static bool lie_ctrl(struct fake_netback *b, struct xen_netif_ctrl_response *rsp)
{
	(void)b;
	switch (ctrl_lie) {
	case 0:
		rsp->id++;
		break;
	case 1:
		rsp->type++;
		break;
	case 2:
		rsp->id += NETFRONT_CTRL_SLOTS;	/* another generation */
		break;
	default:
		rsp->id = 65535;
	}
	return true;
}

static void test_ctrl_lies(void)
{
	struct netfront_options o = { .ctrl_ring = true };
	uint32_t status, args[3] = { 0, 0, 0 };

	for (ctrl_lie = 0; ctrl_lie < 4; ctrl_lie++) {
		UNIT_NEED(begin(&o));
		fake_nb.twist_ctrl = lie_ctrl;
		UNIT_EQ(netfront_control(n, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, args, 100,
					 &status, NULL), -EPROTO);
		is_broken("control message");
		end();
	}
	UNIT_NEED(begin(&o));
	jump(&fake_nb.ctrl, 2);
	UNIT_EQ(netfront_control(n, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, args, 100,
				 &status, NULL), -EPROTO);
	is_broken("control answers");
	end();
	/* Numbers that are absurd are only numbers. */
	UNIT_NEED(begin(&o));
	fake_nb.gref_limit = UINT32_MAX;
	UNIT_EQ(netfront_map_pools(n, 100), 512);
	end();
}

/* ---- events ------------------------------------------------------------------------------ */

static void storm(struct fake_netback *b)
{
	if (b->sleeps < 4000)
		fake_raise_port(b->front.queue[0].rx_port);
}

static front_wait_fn *real_wait;

static int called_away(void *ctx, unsigned int what, int *left_ms)
{
	return *left_ms < 0 ? real_wait(ctx, what, left_ms) : (int)FRONT_WAIT_CALLER;
}

static void test_storm(void)
{
	struct netfront_stats stats;

	UNIT_NEED(begin(NULL));
	fake_nb.on_sleep = storm;
	fake_nb.sleeps = 0;
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, 100), 0);
	netfront_stats(n, &stats);
	UNIT_OK(stats.spurious_wakeups >= 64);
	/* Two sleeps per event once it is a storm: one of them is a nap, which takes time. */
	UNIT_OK(stats.spurious_wakeups < 200);
	/* The caller's wish during a nap. */
	real_wait = n->dev.env->wait;
	n->dev.env->wait = called_away;
	UNIT_EQ(netfront_wait(n, NETFRONT_RECEIVABLE, -1), 0);
	UNIT_OK(fake_nb.sleeps < 1000);
	n->dev.env->wait = real_wait;
	fake_nb.on_sleep = NULL;
	end();
}

/* The same while a control message, or the end, is waited for. */
static void test_storm_at_control(void)
{
	static const uint8_t mac[6] = { 1, 0, 0x5e, 0, 0, 1 };
	struct netfront_stats stats;

	UNIT_NEED(begin(NULL));
	fake_nb.stuck = true;
	fake_nb.on_sleep = storm;
	fake_nb.sleeps = 0;
	UNIT_EQ(netfront_join(n, mac, 100), -ETIMEDOUT);
	netfront_stats(n, &stats);
	UNIT_OK(stats.spurious_wakeups >= 64 && stats.spurious_wakeups < 200);
	fake_nb.on_sleep = NULL;
	fake_nb.stuck = false;
	end();
}

/* Random answers of all kinds, at random times: it may break, but never misbehave. */
static void test_random(void)
{
	struct netfront_options o = { .tx_pages = 20, .rx_pages = 40 };
	unsigned int seed, i;
	int r;

	for (seed = 1; seed < 400; seed++) {
		UNIT_NEED(begin(&o));
		srand(seed);
		fake_nb.hold = true;
		for (i = 0; i < 300 && !n->broken; i++) {
			struct netif_rx_response rsp = {
				.flags = (uint16_t)(rand() & 31),
				.offset = (uint16_t)(rand() % 8 ? rand() % 200 : rand()),
				.status = (int16_t)(rand() % 8 ? rand() % 4000 : rand()),
			};
			struct netfront_frame frame = { .nr_pieces = 1, .piece = {
				{ big, (uint32_t)(14 + rand() % 65000) } } };

			if (rand() % 500 == 0)
				rsp.id = (uint16_t)rand();
			fake_rx_raw(0, rsp, rsp.id != 0);
			if (rand() % 3 == 0)
				fake_rx_push(0);
			netfront_send(n, 0, &frame, 1);
			netfront_kick(n);
			fake_netback_serve();
			if (rand() % 2)
				fake_answer_held((uint32_t)rand() % 4);
			r = netfront_receive(n, 0, got, 1u + (unsigned int)rand() % 4);
			if (r > 0)
				netfront_release(n, 0, got, (unsigned int)r);
		}
		fake_answer_held(10000);
		end();
	}
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "answers to frames that cannot be true", test_tx_lies },
		{ "the same answer twice", test_tx_twice },
		{ "producers that jump", test_jumps },
		{ "frames answered with errors", test_tx_errors },
		{ "received frames that cannot be true", test_rx_lies },
		{ "ids that are not the slot's", test_rx_ids },
		{ "chains too long, or without an end", test_rx_chains },
		{ "extra infos of all types", test_rx_extras },
		{ "GSO that was not asked for", test_rx_gso_unasked },
		{ "released what was not received", test_rx_released_wrongly },
		{ "control answers that cannot be true", test_ctrl_lies },
		{ "an event storm", test_storm },
		{ "an event storm at a control message", test_storm_at_control },
		{ "anything at all", test_random },
	};

	alarm(120);
	return unit_run("netfront, hostile back ends", tests, UNIT_LEN(tests));
}
