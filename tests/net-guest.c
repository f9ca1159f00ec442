/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The front end of net-guest.h.
 */
#include <assert.h>
#include <string.h>
#include "fake-xen.h"
#include "net-guest.h"

#define PAGE 4096u

static uint32_t base(const struct net_guest *g)
{
	return g->number * NET_GUEST_PAGES;
}

static void open_queue(struct net_guest *g, uint32_t i)
{
	struct net_guest_queue *q = &g->queue[i];
	uint32_t page = base(g) + 2 + i * (2 + 2 * NET_GUEST_BUFFERS);

	ring_front_init(&q->tx, fake_page(page), PAGE, sizeof(netif_tx_request_t));
	ring_front_init(&q->rx, fake_page(page + 1), PAGE, sizeof(netif_rx_request_t));
	g->front.queue[i].tx_gref = fake_grant(page, false);
	g->front.queue[i].rx_gref = fake_grant(page + 1, false);
	g->front.queue[i].tx_port = FAKE_PORT + g->number * 5 + i * 2;
	g->front.queue[i].rx_port = g->front.queue[i].tx_port + 1;
	q->tx_page = page + 2;
	q->rx_page = q->tx_page + NET_GUEST_BUFFERS;
	for (uint32_t j = 0; j < NET_GUEST_BUFFERS; j++) {
		q->tx_gref[j] = fake_grant(q->tx_page + j, true);
		q->rx_gref[j] = fake_grant(q->rx_page + j, false);
	}
}

void net_guest_open(struct net_guest *g, uint32_t number, uint32_t nr_queues, bool ctrl)
{
	memset(g, 0, sizeof(*g));
	g->number = number;
	g->front = (struct vif_frontend){
		.nr_queues = nr_queues, .rx_copy = true, .rx_notify = true, .sg = true,
		.gso_tcpv4 = true, .gso_tcpv6 = true, .ipv6_csum = true,
		.ctrl_ring = ctrl,
	};
	for (uint32_t i = 0; i < nr_queues; i++)
		open_queue(g, i);
	if (!ctrl)
		return;
	ring_front_init(&g->ctrl, fake_page(base(g)), PAGE,
			sizeof(struct xen_netif_ctrl_request));
	g->front.ctrl_gref = fake_grant(base(g), false);
	g->list_page = base(g) + 1;
	g->list_gref = fake_grant(g->list_page, false);
	g->front.ctrl_port = FAKE_PORT + number * 5 + 4;
}

/* ---- sending ---------------------------------------------------------------------------- */

uint8_t *net_guest_next_page(struct net_guest *g, uint32_t queue)
{
	struct net_guest_queue *q = &g->queue[queue];

	return fake_page(q->tx_page + q->next_tx % NET_GUEST_BUFFERS);
}

static void put_slot(struct net_guest *g, uint32_t queue, const void *slot)
{
	assert(ring_front_free(&g->queue[queue].tx));
	ring_front_put(&g->queue[queue].tx, slot, sizeof(netif_tx_request_t));
}

void net_guest_slot(struct net_guest *g, uint32_t queue, const void *slot)
{
	g->queue[queue].raw = true;
	put_slot(g, queue, slot);
}

void net_guest_publish(struct net_guest *g, uint32_t queue)
{
	fake_guest_order();
	if (ring_front_push(&g->queue[queue].tx))
		fake_guest_notify(g->front.queue[queue].tx_port);
}

static uint32_t part_bytes(const struct net_guest_how *how, uint32_t i, uint32_t offset,
			   uint32_t left)
{
	uint32_t want = i < 18 && how->cut[i] ? how->cut[i] : left;

	if (want > PAGE - offset)
		want = PAGE - offset;
	return want > left ? left : want;
}

static void put_gso(struct net_guest *g, const struct net_guest_how *how)
{
	union { netif_extra_info_t x; netif_tx_request_t slot; } u;

	memset(&u, 0, sizeof(u));
	u.x.type = XEN_NETIF_EXTRA_TYPE_GSO;
	u.x.u.gso.size = how->gso_bytes;
	u.x.u.gso.type = how->gso;
	put_slot(g, how->queue, &u);
	g->queue[how->queue].extras_asked++;
}

uint32_t net_guest_send(struct net_guest *g, const void *frame, uint32_t bytes,
			const struct net_guest_how *how)
{
	static const struct net_guest_how plain;
	const uint8_t *at = frame;
	uint32_t left = bytes, slots = 0, i;
	struct net_guest_queue *q;

	how = how ? how : &plain;
	q = &g->queue[how->queue];
	for (i = 0; left; i++) {
		uint32_t offset = i ? how->more_offset : how->offset;
		uint32_t n = part_bytes(how, i, offset, left);
		netif_tx_request_t req = {
			.gref = q->tx_gref[q->next_tx % NET_GUEST_BUFFERS],
			.offset = (uint16_t)offset, .id = (uint16_t)(q->next_tx % NET_GUEST_IDS),
			.size = (uint16_t)(i ? n : bytes),
		};

		memcpy(net_guest_next_page(g, how->queue) + offset, at, n);
		q->next_tx++;
		at += n;
		left -= n;
		if (left)
			req.flags |= NETTXF_more_data;
		if (!i && how->blank)
			req.flags |= NETTXF_csum_blank | NETTXF_data_validated;
		if (!i && how->validated)
			req.flags |= NETTXF_data_validated;
		if (!i && how->gso)
			req.flags |= NETTXF_extra_info;
		put_slot(g, how->queue, &req);
		q->asked[req.id]++;
		slots++;
		if (!i && how->gso) {
			put_gso(g, how);
			slots++;
		}
	}
	net_guest_publish(g, how->queue);
	return slots;
}

/* An answer to what was asked, and not yet answered. */
static void check_answer(struct net_guest_queue *q, const netif_tx_response_t *rsp)
{
	if (rsp->status == NETIF_RSP_NULL) {
		assert(q->extras_asked);
		q->extras_asked--;
		return;
	}
	assert(rsp->id < NET_GUEST_IDS && q->asked[rsp->id]);
	q->asked[rsp->id]--;
}

uint32_t net_guest_answers(struct net_guest *g, uint32_t queue, uint32_t *errors)
{
	struct net_guest_queue *q = &g->queue[queue];
	struct ring_front *tx = &q->tx;
	uint32_t nr = 0;

	if (errors)
		*errors = 0;
	while (ring_front_pending(tx) > 0) {
		netif_tx_response_t rsp;

		ring_front_take(tx, &rsp, sizeof(rsp));
		if (!q->raw)
			check_answer(q, &rsp);
		if (errors && rsp.status < 0)
			(*errors)++;
		nr++;
	}
	return nr;
}

/* ---- receiving ---------------------------------------------------------------------------- */

void net_guest_post(struct net_guest *g, uint32_t queue, uint32_t nr)
{
	struct net_guest_queue *q = &g->queue[queue];

	while (nr--) {
		uint32_t slot = q->rx.req_prod_pvt & (NET_GUEST_RING - 1);
		netif_rx_request_t req = { .id = (uint16_t)slot };

		q->posted[slot] = (uint16_t)(q->next_rx++ % NET_GUEST_BUFFERS);
		req.gref = q->rx_gref[q->posted[slot]];
		ring_front_put(&q->rx, &req, sizeof(req));
	}
	fake_guest_order();
	if (ring_front_push(&q->rx))
		fake_guest_notify(g->front.queue[queue].rx_port);
}

/* The slot's response, and the buffer that its request named. */
static uint32_t take(struct net_guest_queue *q, void *out)
{
	uint32_t slot = q->rx.rsp_cons & (NET_GUEST_RING - 1);

	assert(ring_front_pending(&q->rx) > 0);
	fake_guest_order();
	ring_front_take(&q->rx, out, sizeof(netif_rx_response_t));
	return q->posted[slot];
}

static void take_extras(struct net_guest_queue *q, struct net_guest_got *out)
{
	netif_extra_info_t x;

	do {
		take(q, &x);
		out->slots++;
		if (x.type == XEN_NETIF_EXTRA_TYPE_GSO) {
			out->gso = x.u.gso.type;
			out->gso_bytes = x.u.gso.size;
		} else if (x.type == XEN_NETIF_EXTRA_TYPE_HASH) {
			out->hashed = true;
			memcpy(&out->hash, x.u.hash.value, sizeof(out->hash));
		}
	} while (x.flags & XEN_NETIF_EXTRA_FLAG_MORE);
}

bool net_guest_receive(struct net_guest *g, struct net_guest_got *out)
{
	struct net_guest_queue *q;
	netif_rx_response_t rsp;
	uint32_t i;

	for (i = 0; i < g->front.nr_queues; i++)
		if (ring_front_pending(&g->queue[i].rx) > 0)
			break;
	if (i == g->front.nr_queues) {
		/* As before a sleep: the next shall wake us. */
		for (i = 0; i < g->front.nr_queues; i++)
			ring_front_final(&g->queue[i].rx, 1);
		return false;
	}
	q = &g->queue[i];
	memset(out, 0, offsetof(struct net_guest_got, data));
	out->queue = i;
	do {
		uint32_t id = q->rx.rsp_cons & (NET_GUEST_RING - 1), buffer = take(q, &rsp);

		assert(rsp.id == id);
		if (!out->slots++) {
			out->flags = rsp.flags;
			if (rsp.flags & NETRXF_extra_info)
				take_extras(q, out);
		}
		if (rsp.status < 0) {
			out->error = rsp.status;
			continue;
		}
		assert(rsp.offset + rsp.status <= (int)PAGE);
		memcpy(out->data + out->bytes, fake_page(q->rx_page + buffer) + rsp.offset,
		       (size_t)rsp.status);
		out->bytes += (uint32_t)rsp.status;
	} while (rsp.flags & NETRXF_more_data);
	return true;
}

/* ---- control -------------------------------------------------------------------------------- */

void net_guest_ask(struct net_guest *g, uint16_t type, uint32_t a, uint32_t b, uint32_t c)
{
	struct xen_netif_ctrl_request req = { .id = type, .type = type, .data = { a, b, c } };

	ring_front_put(&g->ctrl, &req, sizeof(req));
	if (ring_front_push(&g->ctrl))
		fake_guest_notify(g->front.ctrl_port);
}

bool net_guest_told(struct net_guest *g, struct xen_netif_ctrl_response *out)
{
	if (ring_front_pending(&g->ctrl) <= 0)
		return false;
	ring_front_take(&g->ctrl, out, sizeof(*out));
	return true;
}

struct xen_netif_gref *net_guest_list(struct net_guest *g)
{
	return (struct xen_netif_gref *)(void *)fake_page(g->list_page);
}

uint32_t net_guest_list_all(struct net_guest *g, uint32_t queue)
{
	struct xen_netif_gref *list = net_guest_list(g);
	const struct net_guest_queue *q = &g->queue[queue];

	for (uint32_t i = 0; i < NET_GUEST_BUFFERS; i++) {
		list[2 * i] = (struct xen_netif_gref){ .ref = q->rx_gref[i] };
		list[2 * i + 1] = (struct xen_netif_gref){
			.ref = q->tx_gref[i], .flags = XEN_NETIF_CTRLF_GREF_readonly,
		};
	}
	return 2 * NET_GUEST_BUFFERS;
}
