/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The net back end with a guest whose rings, event channels and grants lie, or that
 * takes nothing. What is wrong when it connects is refused with a reason, what is
 * wrong later stops its vif; two others that talk meanwhile lose nothing, and nobody
 * is sent an octet that was not meant for him.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include "net-world.h"
#include "unit.h"

static uint8_t frame[9000];
static struct net_guest_got got;

enum { ATTACKER, VICTIM, BYSTANDER, LATE };

static void bystanders_talk(struct world *w)
{
	static uint8_t seed;

	net_plain(frame, 5000, VICTIM, BYSTANDER, ++seed);
	net_guest_send(&w->guest[BYSTANDER], frame, 5000, NULL);
	world_run(w);
	UNIT_NEED(net_guest_receive(&w->guest[VICTIM], &got));
	UNIT_EQ(got.bytes, 5000);
	UNIT_OK(!memcmp(got.data, frame, 5000));
	net_guest_post(&w->guest[VICTIM], 0, got.slots);
	UNIT_EQ(net_guest_answers(&w->guest[BYSTANDER], 0, NULL), 2);
}

static void begin(struct world *w)
{
	*w = (struct world){ .nr = 3, .ctrl = true };
	world_open(w);
	bystanders_talk(w);
}

static void send_to_attacker(struct world *w, uint32_t bytes)
{
	net_plain(frame, bytes, ATTACKER, BYSTANDER, 0);
	net_guest_send(&w->guest[BYSTANDER], frame, bytes, NULL);
}

/* ---- connecting ------------------------------------------------------------------------------ */

enum part { TX, RX, CTRL, NR_PARTS };

static uint32_t *gref_of(struct net_guest *g, enum part part)
{
	return part == TX ? &g->front.queue[1].tx_gref : part == RX ?
	       &g->front.queue[1].rx_gref : &g->front.ctrl_gref;
}

static uint32_t *port_of(struct net_guest *g, enum part part)
{
	return part == TX ? &g->front.queue[1].tx_port : part == RX ?
	       &g->front.queue[1].rx_port : &g->front.ctrl_port;
}

static struct ring_front *ring_of(struct net_guest *g, enum part part, uint32_t queue)
{
	return part == TX ? &g->queue[queue].tx : part == RX ? &g->queue[queue].rx : &g->ctrl;
}

enum lie { GREF_NONE, GREF_READ_ONLY, PORT_NONE, PORT_OTHERS, PORT_TWICE, INDICES, NO_ROOM };

static const char *const lies[] = {
	[GREF_NONE] = "a ring that is not granted", [GREF_READ_ONLY] = "a ring granted read-only",
	[PORT_NONE] = "a port that there is not", [PORT_OTHERS] = "a port of another domain's",
	[PORT_TWICE] = "a port twice", [INDICES] = "RING-6: impossible indices",
	[NO_ROOM] = "no room to map",
};

static void tell_lie(struct world *w, struct net_guest *g, enum lie lie, enum part part)
{
	switch (lie) {
	case GREF_NONE: *gref_of(g, part) = 4444; break;
	case GREF_READ_ONLY: *gref_of(g, part) = g->queue[0].tx_gref[0]; break;
	case PORT_NONE: *port_of(g, part) = 4; break;
	case PORT_OTHERS: *port_of(g, part) = w->guest[VICTIM].front.queue[0].tx_port; break;
	case PORT_TWICE: *port_of(g, part) = g->front.queue[0].tx_port; break;
	case INDICES: atomic_store(&ring_of(g, part, 1)->shared->req_prod, 4000); break;
	case NO_ROOM: fake_limit_maps(fake_mapped() + 2 + part); break;
	}
}

/* The second queue or the control ring is wrong: the first is given back. */
static void test_connect(void)
{
	for (uint32_t lie = 0; lie < UNIT_LEN(lies); lie++)
		for (uint32_t part = 0; part < NR_PARTS; part++) {
			static struct net_guest late;
			struct vswitch_port_config port = { .any_source = true };
			struct log_peer log;
			struct netback_vif vif = { .domid = FAKE_DOMID, .front = &late.front,
						   .port = &port, .log = &log,
						   .journal_fd = -1 };
			uint32_t before, number;
			char why[200] = "";
			struct world w;

			begin(&w);
			log_peer_init(&log, "vif late");
			before = fake_mapped();
			net_guest_open(&late, LATE, 2, true);
			tell_lie(&w, &late, lie, part);
			if (netback_add_vif(w.nb, &vif, &number, why, sizeof(why)) >= 0 || !*why)
				UNIT_STREQ(lies[lie], why);
			UNIT_EQ(fake_mapped(), before);
			fake_limit_maps(UINT32_MAX);
			bystanders_talk(&w);
			/* And the truth is welcome. */
			net_guest_open(&late, LATE, 2, true);
			memset(ring_of(&late, TX, 1)->shared, 0, 4096);
			UNIT_EQ(netback_add_vif(w.nb, &vif, &number, why, sizeof(why)), 0);
			bystanders_talk(&w);
			world_close(&w);
		}
}

/* ---- rings -------------------------------------------------------------------------------------- */

static void test_producers(void)
{
	for (uint32_t part = 0; part < NR_PARTS; part++)
		for (uint32_t far = 257; far; far <<= 4) {
			struct net_guest *g;
			struct world w;

			begin(&w);
			g = &w.guest[ATTACKER];
			atomic_store(&ring_of(g, part, 0)->shared->req_prod, far);
			fake_guest_notify(part == CTRL ? g->front.ctrl_port :
					  g->front.queue[0].tx_port);
			/* The rx ring is looked at when something is due to it. */
			send_to_attacker(&w, 60);
			world_run(&w);
			UNIT_EQ(w.nr_broken, 1);
			UNIT_OK(*w.why);
			net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
			bystanders_talk(&w);
			world_close(&w);
		}
}

/* RING-3, and rsp_prod, which is ours: nobody reads it back. */
static void test_events(void)
{
	static const uint32_t values[] = { 0, 1, 255, 256, 1u << 31, UINT32_MAX };
	struct world w;

	begin(&w);
	for (uint32_t i = 0; i < 3 * UNIT_LEN(values); i++) {
		struct ring_front *tx = &w.guest[ATTACKER].queue[0].tx;
		struct ring_front *rx = &w.guest[ATTACKER].queue[0].rx;
		uint32_t value = values[i % UNIT_LEN(values)];

		atomic_store(i % 3 ? &tx->shared->req_event : &tx->shared->rsp_event, value);
		atomic_store(i % 3 ? &rx->shared->rsp_event : &rx->shared->req_event, value);
		if (i % 3 == 2)
			atomic_store(&tx->shared->rsp_prod, value);
		net_plain(frame, 100, VICTIM, ATTACKER, 0);
		net_guest_send(&w.guest[ATTACKER], frame, 100, NULL);
		fake_guest_notify(w.guest[ATTACKER].front.queue[0].tx_port);
		world_run(&w);
		UNIT_NEED(net_guest_receive(&w.guest[VICTIM], &got));
		net_guest_post(&w.guest[VICTIM], 0, 1);
		bystanders_talk(&w);
	}
	UNIT_EQ(w.nr_broken, 0);
	world_close(&w);
}

/* RING-4: frames from its own ring pages, and into them. */
static void test_ring_as_data(void)
{
	for (uint32_t part = 0; part < NR_PARTS; part++) {
		struct net_guest *g;
		struct world w;

		begin(&w);
		g = &w.guest[ATTACKER];
		for (uint32_t i = 0; i < NET_GUEST_BUFFERS; i++) {
			uint32_t gref = part == TX ? g->front.queue[0].tx_gref : part == RX ?
					g->front.queue[0].rx_gref : g->front.ctrl_gref;

			g->queue[0].rx_gref[i] = g->queue[0].tx_gref[i] = gref;
		}
		net_plain(frame, 900, VICTIM, ATTACKER, 0);
		net_guest_send(g, frame, 900, NULL);
		world_withhold(&w, ATTACKER);
		net_guest_post(g, 0, NET_GUEST_BUFFERS);
		for (uint32_t i = 0; i < 4; i++)
			send_to_attacker(&w, 3000);
		world_run(&w);
		while (net_guest_receive(&w.guest[VICTIM], &got))
			net_guest_post(&w.guest[VICTIM], 0, got.slots);
		net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
		bystanders_talk(&w);
		world_close(&w);
	}
}

/* RING-2: slots and pages that change while they are read. */
struct scribbler {
	atomic_bool stop;
	struct net_guest *g;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	volatile uint8_t *slots = fake_page(s->g->queue[0].tx_page - 2) + 64;
	volatile uint8_t *data = fake_page(s->g->queue[0].tx_page);

	for (uint32_t x = 1; !atomic_load(&s->stop); x = x * 1664525 + 1013904223) {
		slots[(x >> 8) % 4032] = (uint8_t)(x >> 24);
		data[(x >> 8) % 200] = (uint8_t)(x >> 22);
	}
	return NULL;
}

static void test_scribble(void)
{
	struct scribbler s = { .stop = false };
	pthread_t thread;
	struct world w;

	for (uint32_t round = 0; round < 40; round++) {
		begin(&w);
		s.g = &w.guest[ATTACKER];
		s.g->queue[0].raw = true;
		atomic_store(&s.stop, false);
		UNIT_NEED(!pthread_create(&thread, NULL, scribble, &s));
		for (uint32_t i = 0; i < 200 && !w.nr_broken; i++) {
			if (ring_front_free(&s.g->queue[0].tx) < 8)
				break;
			net_plain(frame, 6000, VICTIM, ATTACKER, 0);
			net_guest_send(s.g, frame, 6000, NULL);
			fake_guest_notify(s.g->front.queue[0].tx_port);
			world_run(&w);
			net_guest_answers(s.g, 0, NULL);
			while (net_guest_receive(&w.guest[VICTIM], &got))
				net_guest_post(&w.guest[VICTIM], 0, got.slots);
			while (net_guest_receive(&w.guest[BYSTANDER], &got))
				net_guest_post(&w.guest[BYSTANDER], 0, got.slots);
		}
		atomic_store(&s.stop, true);
		pthread_join(thread, NULL);
		bystanders_talk(&w);
		world_close(&w);
	}
}

/* NET-11: what comes after the vif was stopped is not looked at. */
static void test_after_the_end(void)
{
	struct net_guest *g;
	struct world w;

	begin(&w);
	g = &w.guest[ATTACKER];
	atomic_store(&g->queue[0].tx.shared->req_prod, 4000);
	fake_guest_notify(g->front.queue[0].tx_port);
	world_run(&w);
	UNIT_EQ(w.nr_broken, 1);
	for (uint32_t i = 0; i < 20; i++) {
		net_plain(frame, 100, VICTIM, ATTACKER, 0);
		net_guest_send(g, frame, 100, NULL);
		net_guest_ask(g, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, g->list_gref, 1);
		fake_guest_notify(g->front.queue[0].tx_port);
		fake_guest_notify(g->front.ctrl_port);
		send_to_attacker(&w, 100);
		world_run(&w);
		UNIT_OK(!net_guest_receive(&w.guest[VICTIM], &got));
	}
	UNIT_EQ(net_guest_answers(&w.guest[BYSTANDER], 0, NULL), 20);
	UNIT_EQ(w.nr_broken, 1);
	bystanders_talk(&w);
	world_remove(&w, ATTACKER);
	bystanders_talk(&w);
	world_close(&w);
}

/* ---- a guest that takes nothing -------------------------------------------------------------------- */

/*
 * NET-6: no slot, or one where a frame needs two, for a minute in which everybody
 * sends to it. Its senders wait at first, but never all of their rings.
 */
static void test_withheld(void)
{
	for (uint32_t slots = 0; slots < 2; slots++) {
		uint32_t asleep = 0, answered = 0, sent = 0;
		struct world w;

		begin(&w);
		world_withhold(&w, ATTACKER);
		net_guest_post(&w.guest[ATTACKER], 0, slots);
		for (uint32_t ms = 0; ms < 60000; ms += 20, w.now_ms += 20) {
			for (; ring_front_free(&w.guest[BYSTANDER].queue[0].tx) >= 64; sent += 2)
				send_to_attacker(&w, 8000);
			world_run(&w);
			answered += net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
			if (ms % 1000)
				continue;
			net_plain(frame, 5000, VICTIM, BYSTANDER, (uint8_t)asleep++);
			net_guest_send(&w.guest[BYSTANDER], frame, 5000, NULL);
			world_run(&w);
			UNIT_NEED(net_guest_receive(&w.guest[VICTIM], &got));
			UNIT_EQ(got.bytes, 5000);
			net_guest_post(&w.guest[VICTIM], 0, got.slots);
			answered += net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
		}
		UNIT_OK(sent > 3000);
		UNIT_OK(!net_guest_receive(&w.guest[ATTACKER], &got));
		w.now_ms += 2 * NETBACK_HOLD_MS;
		world_run(&w);
		answered += net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
		UNIT_EQ(answered, sent + 2 * asleep);
		/* It is forgiven. */
		net_guest_post(&w.guest[ATTACKER], 0, NET_GUEST_BUFFERS - slots);
		send_to_attacker(&w, 8000);
		world_run(&w);
		UNIT_NEED(net_guest_receive(&w.guest[ATTACKER], &got));
		UNIT_EQ(got.bytes, 8000);
		net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
		bystanders_talk(&w);
		world_close(&w);
	}
}

/* ---- what a guest gets to see ---------------------------------------------------------------------- */

#define MARK 0xa5

/* Nothing is written behind a frame, and nothing but a frame and its response. */
static void expect_marked(struct net_guest *g, uint32_t buffer, uint32_t bytes)
{
	const uint8_t *page = fake_page(g->queue[0].rx_page + buffer);
	uint32_t other = 0;

	for (uint32_t i = bytes; i < 4096; i++)
		other += page[i] != MARK;
	UNIT_EQ(other, 0);
}

static void test_nothing_else(void)
{
	struct net_guest *g;
	struct world w;

	begin(&w);
	g = &w.guest[VICTIM];
	for (uint32_t bytes = 14; bytes < 4096; bytes += bytes < 200 ? 1 : 61) {
		uint32_t slot = g->queue[0].rx.rsp_cons & (NET_GUEST_RING - 1);
		uint32_t buffer = g->queue[0].posted[slot];
		netif_rx_response_t *rsp = (void *)(fake_page(g->queue[0].rx_page -
				NET_GUEST_BUFFERS - 1) + 64 + slot * sizeof(netif_rx_request_t));

		memset(fake_page(g->queue[0].rx_page), MARK, NET_GUEST_BUFFERS * 4096);
		net_plain(frame, bytes, VICTIM, BYSTANDER, 1);
		net_guest_send(&w.guest[BYSTANDER], frame, bytes, NULL);
		world_run(&w);
		UNIT_EQ(rsp->id, slot);
		UNIT_EQ(rsp->offset, 0);
		UNIT_EQ(rsp->status, (int)bytes);
		UNIT_EQ(rsp->flags, 0);
		UNIT_NEED(net_guest_receive(g, &got));
		UNIT_EQ(got.bytes, bytes);
		for (uint32_t i = 0; i < NET_GUEST_BUFFERS; i++)
			expect_marked(g, i, i == buffer ? bytes : 0);
		net_guest_post(g, 0, 1);
		net_guest_answers(&w.guest[BYSTANDER], 0, NULL);
	}
	world_close(&w);
}

static const struct unit_test tests[] = {
	{ "NET-12, RING-6: lies at connect", test_connect },
	{ "RING-1: impossible producers", test_producers },
	{ "RING-2: slots rewritten", test_scribble },
	{ "RING-3: event indices", test_events },
	{ "RING-4: rings as data", test_ring_as_data },
	{ "NET-6: a guest that takes nothing", test_withheld },
	{ "NET-11: after the vif was stopped", test_after_the_end },
	{ "nobody sees what is not for him", test_nothing_else },
};

int main(void)
{
	return unit_run("netback-rings", tests, UNIT_LEN(tests));
}
