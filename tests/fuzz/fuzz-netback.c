/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: a whole netback with a front end that lies.
 *
 * Guest 0 is the input's: its tx, rx and control rings, its pages and its events
 * are written as the input says. Guests 1 and 2 are honest (net-guest.h, whose
 * assertions hold for what they are told): whatever guest 0 does, a frame
 * between them must arrive, and nothing may be left when the switch closes.
 *
 * Guest 0 may take pages instead of copies. Then the flip helper is the input's too:
 * any outcome, too many or too few of them, or gone.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "fake-xen.h"
#include "flip.h"
#include "fuzz-ring.h"
#include "grant.h"
#include "net-frames.h"
#include "net-guest.h"
#include "netback.h"

#define PAGE 4096u
#define LIAR_PAGES 24u
#define HONEST 2u
#define STEPS_MAX 256u
/* Those of the liar: after the honest guests' (numbers 1 and 2). */
#define LIAR_PAGE (3 * NET_GUEST_PAGES)

struct liar {
	struct vif_frontend front;
	struct ring_front tx[2], rx[2], ctrl;
	uint32_t page_gref[LIAR_PAGES];		/* every third is read-only */
};

struct fuzz_net {
	struct netback *nb;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	uint64_t now_us;
	uint32_t port[3];
	bool broken[3];
	struct liar liar;
	struct net_guest honest[HONEST];
	struct vswitch_port_config config[3];
	struct log_peer log[3];
};

/* ---- the flip helper ---------------------------------------------------------------------- */

#define STAGE_GREF 50000u

static struct fuzz_in *helper_in;	/* what it does: the rest of the input */
static bool helper_lied;		/* or is gone: nobody may believe it any more */

static int transfer(void *arg, const struct flip_batch *batch, struct flip_answer *out)
{
	uint8_t how = fuzz_u8(helper_in);
	uint32_t sources = 0;

	(void)arg;
	FUZZ_NEED(!helper_lied);
	FUZZ_NEED(batch->nr_ops <= FLIP_OPS_MAX && batch->nr_sources <= FLIP_SOURCES_MAX);
	for (uint32_t i = 0; i < batch->nr_ops; i++)
		sources += batch->op[i].nr_sources;
	FUZZ_NEED(sources == batch->nr_sources);
	memset(out, FLIP_DONE, sizeof(*out));	/* what it does not say is not so */
	helper_lied = how >= 250;
	if (helper_lied)
		return -EPIPE;
	out->nr_ops = how < 245 ? batch->nr_ops : how - 245u;
	out->nr_pages = how & 1 ? FLIP_POOL_PAGES : fuzz_u8(helper_in) * 7u;
	helper_lied = out->nr_ops != batch->nr_ops;
	for (uint32_t i = 0; i < out->nr_ops && i < FLIP_OPS_MAX; i++)
		out->outcome[i] = how & 2 ? fuzz_u8(helper_in) : FLIP_DONE;
	return 0;
}

static void offer_flips(struct fuzz_net *w)
{
	static uint8_t stage[NETBACK_FLIP_PAGES * PAGE] __attribute__((aligned(4096)));
	static uint32_t grefs[NETBACK_FLIP_PAGES];
	static struct grant_own own = { .pages = stage, .grefs = grefs,
					.nr_pages = NETBACK_FLIP_PAGES };
	static const struct netback_flip flip = { .transfer = transfer, .pages = &own };

	for (uint32_t i = 0; i < NETBACK_FLIP_PAGES; i++)
		grefs[i] = STAGE_GREF + i;
	FUZZ_NEED(!netback_set_flip(w->nb, &flip));
}

static void on_flip_ended(void *arg, uint32_t port, const char *why)
{
	struct fuzz_net *w = arg;

	(void)why;
	FUZZ_NEED(port == w->port[0] || w->port[0] == UINT32_MAX);
}

/* ---- the world -------------------------------------------------------------------------- */

static void on_broken(void *arg, uint32_t port, const char *why)
{
	struct fuzz_net *w = arg;

	(void)why;
	for (uint32_t i = 0; i < 3; i++)
		w->broken[i] |= w->port[i] == port;
}

static void open_ring(struct ring_front *r, uint32_t page, size_t slot_bytes, uint32_t *gref)
{
	ring_front_init(r, fake_page(page), PAGE, slot_bytes);
	*gref = fake_grant(page, false);
}

static void open_liar(struct liar *l, uint8_t kind)
{
	l->front = (struct vif_frontend){
		.nr_queues = 1 + (kind & 1), .rx_copy = true, .rx_notify = true,
		.sg = !(kind & 2), .gso_tcpv4 = kind & 4, .gso_tcpv6 = kind & 4,
		.ipv6_csum = kind & 8, .no_csum = kind & 16, .ctrl_ring = kind & 32,
	};
	for (uint32_t q = 0; q < l->front.nr_queues; q++) {
		struct vif_queue *at = &l->front.queue[q];

		open_ring(&l->tx[q], LIAR_PAGE + 2 * q, sizeof(netif_tx_request_t), &at->tx_gref);
		open_ring(&l->rx[q], LIAR_PAGE + 2 * q + 1, sizeof(netif_rx_request_t), &at->rx_gref);
		at->tx_port = FAKE_PORT + 2 * q;
		at->rx_port = at->tx_port + (kind & 64 ? 0 : 1);
	}
	if (l->front.ctrl_ring)
		open_ring(&l->ctrl, LIAR_PAGE + 4, sizeof(struct xen_netif_ctrl_request),
			  &l->front.ctrl_gref);
	l->front.ctrl_port = FAKE_PORT + 4;
	for (uint32_t i = 0; i < LIAR_PAGES; i++)
		l->page_gref[i] = fake_grant(LIAR_PAGE + 5 + i, i % 3 == 2);
}

static void add(struct fuzz_net *w, uint32_t i, const struct vif_frontend *front)
{
	struct netback_vif vif = {
		.domid = FAKE_DOMID, .front = front, .port = &w->config[i], .log = &w->log[i],
		.journal_fd = -1,
	};
	char why[200];

	net_mac(w->config[i].mac, (uint8_t)i);
	fuzz_quiet(&w->log[i]);
	FUZZ_NEED(!netback_add_vif(w->nb, &vif, &w->port[i], why, sizeof(why)));
}

static void open_world(struct fuzz_net *w, uint8_t kind, uint8_t honest)
{
	struct netback_config cfg = {
		.sw = { .max_ports = 8, .max_addresses = 32, .ageing_ms = 300000, .move_ms = 1000 },
		.broken = on_broken, .flip_ended = on_flip_ended, .arg = w,
	};

	fake_reset();
	w->now_us = 1000000;
	FUZZ_NEED(!grant_open(&w->xgt));
	w->xce = xenevtchn_open(NULL, 0);
	cfg.xgt = w->xgt;
	cfg.xce = w->xce;
	memset(w->port, 0xff, sizeof(w->port));
	FUZZ_NEED(!netback_open(&cfg, &w->nb));
	open_liar(&w->liar, kind);
	if (honest & 8) {
		offer_flips(w);
		w->liar.front.rx_copy = false;
		w->liar.front.rx_flip = true;
	}
	add(w, 0, &w->liar.front);
	for (uint32_t i = 0; i < HONEST; i++) {
		struct net_guest *g = &w->honest[i];
		uint8_t wish = honest >> (4 * i);

		net_guest_open(g, 1 + i, 1, false);
		g->front.gso_tcpv4 = g->front.gso_tcpv6 = wish & 1;
		g->front.no_csum = wish & 2;
		g->front.ipv6_csum = !(wish & 2);
		g->front.sg = !(wish & 4);
		add(w, 1 + i, &g->front);
		net_guest_post(g, 0, NET_GUEST_BUFFERS);
	}
}

static void pass(struct fuzz_net *w)
{
	struct pollfd pfd = { .fd = xenevtchn_fd(w->xce), .events = POLLIN };

	for (uint32_t i = 0; i < 32 && poll(&pfd, 1, 0) > 0; i++) {
		xenevtchn_port_or_error_t port = xenevtchn_pending(w->xce);

		if (port < 0)
			break;
		netback_event(w->nb, (evtchn_port_t)port);
		xenevtchn_unmask(w->xce, (evtchn_port_t)port);
	}
	netback_pass(w->nb, w->now_us);
	netback_final(w->nb);
	/* As the worker does with a vif that it cannot believe. */
	if (w->broken[0] && w->port[0] != UINT32_MAX) {
		netback_remove_port(w->nb, w->port[0]);
		w->port[0] = UINT32_MAX;
	}
	FUZZ_NEED(!w->broken[1] && !w->broken[2]);
	FUZZ_NEED(!helper_lied || w->port[0] == UINT32_MAX || !netback_flips(w->nb, w->port[0]));
}

/* What guest 1 or 2 got is as it said that it takes it. Returns the number of frames. */
static uint32_t receive(struct fuzz_net *w, uint32_t i, uint8_t mark)
{
	static struct net_guest_got got;
	struct net_guest *g = &w->honest[i];
	uint32_t found = 0;

	while (net_guest_receive(g, &got)) {
		if (!got.error) {
			FUZZ_NEED(got.bytes >= 14 && got.bytes <= 65535 + 18);
			/* A large packet's is blank by nature. */
			FUZZ_NEED(!g->front.no_csum || got.gso || !(got.flags & NETRXF_csum_blank));
			FUZZ_NEED(g->front.gso_tcpv4 || !got.gso);
			FUZZ_NEED(g->front.sg || got.slots - (got.gso != 0) == 1);
			found += mark && got.bytes == 60 && got.data[59] == mark &&
				!memcmp(got.data + 6, w->config[2 - i].mac, 6);
		}
		net_guest_post(g, 0, got.slots);
	}
	net_guest_answers(g, 0, NULL);
	return found;
}

/* ---- what the liar does ------------------------------------------------------------------- */

static uint32_t some_gref(const struct liar *l, struct fuzz_in *in)
{
	uint8_t which = fuzz_u8(in);

	if (which < 224)
		return l->page_gref[which % LIAR_PAGES];
	if (which < 240)	/* a ring, or another guest's */
		return which - 216u;
	/* No gref at all: fake-xen's guests are one domain, and share its table. */
	return fuzz_u32(in) | 0x10000;
}

static void put_tx(struct liar *l, uint32_t q, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	netif_tx_request_t req = { .id = how, .flags = how & 0x0f };

	req.gref = some_gref(l, in);
	req.offset = how & 0x10 ? fuzz_u16(in) : how & 0x20 ? 4000 : 0;
	req.size = fuzz_u16(in);
	ring_front_put(&l->tx[q], &req, sizeof(req));
}

static void put_extra(struct liar *l, uint32_t q, struct fuzz_in *in)
{
	union { netif_extra_info_t x; uint8_t bytes[sizeof(netif_tx_request_t)]; } u;

	memset(&u, 0, sizeof(u));
	u.x.type = fuzz_below(in, 8);
	u.x.flags = fuzz_u8(in) & 3;
	fuzz_bytes(in, &u.x.u, 6);
	ring_front_put(&l->tx[q], &u, sizeof(u.bytes));
}

static void put_rx(struct liar *l, uint32_t q, struct fuzz_in *in)
{
	uint8_t n = fuzz_u8(in);

	for (uint32_t i = 0; i <= n % 32; i++) {
		netif_rx_request_t req = { .id = (uint16_t)(n + i), .gref = some_gref(l, in) };

		ring_front_put(&l->rx[q], &req, sizeof(req));
	}
}

static void put_ctrl(struct liar *l, struct fuzz_in *in)
{
	struct xen_netif_ctrl_request req = { .id = fuzz_u8(in) };

	if (!l->front.ctrl_ring)
		return;
	req.type = fuzz_u8(in) % 16;
	for (uint32_t i = 0; i < 3; i++) {
		uint8_t kind = fuzz_u8(in);

		req.data[i] = kind < 64 ? kind : kind < 128 ? some_gref(l, in) : fuzz_u32(in);
	}
	ring_front_put(&l->ctrl, &req, sizeof(req));
}

static struct ring_front *some_ring(struct liar *l, uint8_t which)
{
	struct ring_front *all[] = { &l->tx[0], &l->rx[0], &l->tx[1], &l->rx[1], &l->ctrl };
	struct ring_front *r = all[which % 5];

	return r->shared ? r : &l->tx[0];
}

/* Ring indices as no honest front end has them. */
static void spoil_index(struct liar *l, struct fuzz_in *in)
{
	struct ring_front *r = some_ring(l, fuzz_u8(in));
	uint8_t how = fuzz_u8(in);

	fuzz_spoil_front(r, how, in);
}

static void publish(struct liar *l, bool silently)
{
	for (uint8_t i = 0; i < 5; i++) {
		struct ring_front *r = some_ring(l, i);

		if (r->shared)
			ring_front_push(r);
	}
	for (uint32_t p = 0; p < 5 && !silently; p++)
		fake_guest_notify(FAKE_PORT + p);
}

/* A frame as a guest's network stack makes them, then some octets of the input. */
static void write_page(struct fuzz_in *in)
{
	uint8_t *page = fake_page(LIAR_PAGE + fuzz_below(in, LIAR_PAGES + 5));
	uint8_t kind = fuzz_u8(in);
	uint32_t at = kind & 1 ? 4000 : 0;

	if (kind & 2) {
		net_tcp(page + at, 90, (uint8_t)(1 + fuzz_below(in, 2)), 0, 0, kind & 4);
		at += fuzz_below(in, 64);
	} else if (kind & 16) {
		at = fuzz_below(in, PAGE);
	} else {
		page[at + 5] = (uint8_t)(fuzz_u8(in) % 4);
		net_mac(page + at, page[at + 5]);
		net_mac(page + at + 6, 0);
		at += 12;
	}
	fuzz_bytes(in, page + at, kind / 32 * 8 < PAGE - at ? kind / 32 * 8 : PAGE - at);
}

/* ---- what the honest ones do ---------------------------------------------------------------- */

static void send_honestly(struct fuzz_net *w, struct fuzz_in *in)
{
	static uint8_t frame[17000];
	uint8_t kind = fuzz_u8(in), i = kind & 1, to = kind & 2 ? 0 : 2 - i;
	uint32_t bytes = kind & 8 ? 60 + fuzz_below(in, 16900) : 60u + kind;
	struct net_guest_how how = { .blank = kind & 16 };
	struct net_guest *g = &w->honest[i];

	if (ring_front_inflight(&g->queue[0].tx) + 10 > NET_GUEST_BUFFERS)
		return;
	if (bytes > 1514) {
		how.gso = XEN_NETIF_GSO_TYPE_TCPV4;
		how.gso_bytes = (uint16_t)(400 + fuzz_u8(in) * 4);
		how.blank = true;
	}
	net_tcp(frame, bytes, to, (uint8_t)(1 + i), kind, how.blank);
	if (kind & 4)
		memset(frame, 0xff, 6);
	net_guest_send(g, frame, bytes, &how);
}

static void wait_a_while(struct fuzz_net *w)
{
	w->now_us += 40000;
	for (uint32_t i = 0; i < HONEST; i++)
		receive(w, i, 0);
}

static void in_a_storm(struct fuzz_net *w, struct fuzz_in *in)
{
	struct ring_front *r = some_ring(&w->liar, fuzz_u8(in));
	bool whole = fuzz_u8(in) & 1;

	if (w->broken[0])
		return;
	if (whole)
		fuzz_storm_begin(r->shared, PAGE, fuzz_u8(in));
	else
		fuzz_storm_begin(r->slots, 12 * 16, fuzz_u8(in));
	pass(w);
	fuzz_storm_end();
}

static void fail_something(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	if (how & 1)
		fake_fail_map(1u + how / 64, ENOMEM);
	else
		fake_fail_copies(1, how & 2 ? ENOMEM : 0, how & 4 ? GNTST_bad_page : GNTST_eagain);
}

static void step(struct fuzz_net *w, struct fuzz_in *in)
{
	struct liar *l = &w->liar;
	uint8_t what = fuzz_u8(in);
	uint32_t q = what / 128 % l->front.nr_queues;

	switch (what % 16) {
	case 0: case 1: put_tx(l, q, in); break;
	case 2: put_extra(l, q, in); break;
	case 3: fuzz_bytes(in, ring_front_next(&l->tx[q]), sizeof(netif_tx_request_t)); break;
	case 4: put_rx(l, q, in); break;
	case 5: put_ctrl(l, in); break;
	case 6: write_page(in); break;
	case 7: case 8: publish(l, what & 64); pass(w); break;
	case 9: publish(l, what & 64); in_a_storm(w, in); break;
	case 10: spoil_index(l, in); break;
	case 11: send_honestly(w, in); break;
	case 12: wait_a_while(w); break;
	case 13: fake_revoke(l->page_gref[fuzz_below(in, LIAR_PAGES)]); break;
	case 14: fail_something(in); break;
	default: pass(w);
	}
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void settle(struct fuzz_net *w)
{
	uint32_t passes = 0;

	do {
		pass(w);
		FUZZ_NEED(++passes < 5000);	/* it would never sleep */
	} while (netback_pending(w->nb));
	for (uint32_t i = 0; i < HONEST; i++)
		receive(w, i, 0);
}

/* The honest two are served as if nothing had been. */
static void check_honest(struct fuzz_net *w)
{
	uint8_t frame[60];

	fake_fail_map(0, 0);
	fake_fail_copies(0, 0, 0);
	for (int i = 0; i < 4; i++) {
		w->now_us += 100000;
		settle(w);
	}
	for (uint32_t i = 0; i < HONEST; i++) {
		FUZZ_NEED(!ring_front_inflight(&w->honest[i].queue[0].tx));
		net_plain(frame, sizeof(frame), (uint8_t)(2 - i), (uint8_t)(1 + i), 0);
		frame[59] = 0x77;
		net_guest_send(&w->honest[i], frame, sizeof(frame), NULL);
		pass(w);
		pass(w);
		FUZZ_NEED(receive(w, 1 - i, 0x77) == 1);
	}
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	static struct fuzz_net world;
	struct fuzz_net *w = &world;
	struct fuzz_in in = { data, bytes };
	uint8_t kind, honest;

	memset(w, 0, sizeof(*w));
	helper_in = &in;
	helper_lied = false;
	kind = fuzz_u8(&in);
	honest = fuzz_u8(&in);
	open_world(w, kind, honest);
	for (uint32_t i = 0; in.left && i < STEPS_MAX; i++)
		step(w, &in);
	check_honest(w);
	netback_close(w->nb);
	xenevtchn_close(w->xce);
	FUZZ_NEED(fake_mapped() == 0);
	xengnttab_close(w->xgt);
	FUZZ_NEED(fake_handles() == 0);
}
