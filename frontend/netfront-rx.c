/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From rx responses to frames. Hides buffers and their ring slots, extra infos,
 * every check on what the back end says it wrote; must not know sleeping or
 * what is inside a frame.
 *
 * A response is in the slot of the request that it consumed, and has its id;
 * an extra info lies in place of a response and has none, which is why the slot
 * counts. Responses are taken one by one, and what is known of a frame is kept between
 * calls, so that a chain that is not whole yet, or never ends, holds nothing up.
 */
#include <stdlib.h>

#include "netfront-priv.h"

#define PUSH_AT 32u		/* buffers that are worth telling of at once */

/* ---- buffers ------------------------------------------------------------------ */

void netfront_rx_fill(struct netfront_queue *q)
{
	struct netif_rx_request *req;
	uint32_t slot, page;

	if (netfront_flip_fill(q))
		return;
	while (q->rx_pool.nr_free && ring_front_free(&q->rx)) {
		page = pool_take(&q->rx_pool);
		slot = q->rx.req_prod_pvt & (NETFRONT_SLOTS - 1);
		q->rx_page[slot] = page;
		req = ring_front_next(&q->rx);
		req->id = (uint16_t)slot;
		req->pad = 0;
		req->gref = q->rx_pool.page[page].gref;
	}
}

static void put_pieces(struct netfront_queue *q, const struct netfront_frame *frame)
{
	uint32_t k, i;

	for (k = 0; k < frame->nr_pieces && k < NETFRONT_PIECES_MAX; k++) {
		if (netfront_flip_put(q, frame->piece[k].base))
			continue;
		i = pool_find(&q->rx_pool, frame->piece[k].base, 1);
		if (i == POOL_NONE || !q->rx_pool.page[i].lent)
			continue;
		q->rx_pool.page[i].lent = false;
		pool_put(&q->rx_pool, i);
	}
}

void netfront_release(struct netfront *n, unsigned int queue,
		      const struct netfront_frame *frames, unsigned int nr)
{
	struct netfront_queue *q = n->queue + queue;
	unsigned int i;

	if (queue >= n->nr_queues)
		return;
	for (i = 0; i < nr; i++)
		put_pieces(q, frames + i);
	if (n->broken)
		return;
	netfront_rx_fill(q);
	if (q->rx.req_prod_pvt - q->rx.req_prod_pub >= PUSH_AT)
		netfront_push_rx(n, q);
}

/* ---- one response ----------------------------------------------------------------- */

/* The frame is not to be delivered; what it holds goes back. */
static void drop(struct netfront_queue *q, struct netfront_frame *frame)
{
	put_pieces(q, frame);
	frame->nr_pieces = 0;
	q->in.drop = true;
}

static bool take_gso(const struct netfront *n, struct netfront_frame *frame,
		     const struct netif_extra_info *extra)
{
	if (extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4 && n->published.gso_tcpv4)
		frame->gso = NETFRONT_GSO_TCPV4;
	else if (extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV6 && n->published.gso_tcpv6)
		frame->gso = NETFRONT_GSO_TCPV6;
	else
		return false;
	frame->gso_bytes = extra->u.gso.size;
	return frame->gso_bytes != 0;
}

static bool take_hash(struct netfront_frame *frame, const struct netif_extra_info *extra)
{
	frame->hash_type = 1u << (extra->u.hash.type & 31);
	memcpy(&frame->hash, extra->u.hash.value, sizeof(frame->hash));
	return true;
}

static void take_extra(struct netfront *n, struct netfront_queue *q,
		       struct netfront_frame *frame, const void *slot)
{
	struct netif_extra_info extra;
	bool ok = false;

	memcpy(&extra, slot, sizeof(extra));
	if (++q->in.nr_extras > NETFRONT_EXTRAS_MAX)
		ok = false;
	else if (extra.type == XEN_NETIF_EXTRA_TYPE_GSO)
		ok = take_gso(n, frame, &extra);
	else if (extra.type == XEN_NETIF_EXTRA_TYPE_HASH)
		ok = take_hash(frame, &extra);
	if (!ok && !q->in.drop)
		drop(q, frame);
	if (!(extra.flags & XEN_NETIF_EXTRA_FLAG_MORE))
		q->in.expect = RX_DATA;
}

static bool is_within(const struct netif_rx_response *rsp)
{
	return rsp->status >= 0 &&
	       (uint32_t)rsp->offset + (uint32_t)rsp->status <= NETFRONT_PAGE_BYTES;
}

static void begin_frame(struct netfront_queue *q, struct netfront_frame *frame,
			const struct netif_rx_response *rsp)
{
	frame->nr_pieces = 0;
	frame->checksum_blank = rsp->flags & NETRXF_csum_blank;
	frame->checksum_validated = rsp->flags & NETRXF_data_validated;
	frame->gso = NETFRONT_GSO_NONE;
	frame->gso_bytes = 0;
	frame->hash = frame->hash_type = 0;
	q->in.bytes = 0;
	q->in.nr_extras = 0;
	q->in.drop = false;
	q->in.expect = rsp->flags & NETRXF_extra_info ? RX_EXTRA : RX_DATA;
}

/* What the back end had to write to. */
struct buffer {
	uint8_t *addr;			/* NULL: no page came */
	uint32_t page;			/* of the pool; POOL_NONE: it is one that came */
	bool flipped;
};

static struct buffer take_buffer(struct netfront_queue *q, uint32_t slot)
{
	struct buffer b = { .page = q->rx_page[slot], .flipped = netfront_flip_has(q, slot) };

	q->rx_page[slot] = POOL_NONE;
	b.addr = b.flipped ? netfront_flip_take(q, slot) : q->rx_pool.page[b.page].addr;
	return b;
}

static void put_buffer(struct netfront_queue *q, const struct buffer *b)
{
	if (b->page != POOL_NONE)
		pool_put(&q->rx_pool, b->page);
	else if (b->addr)
		netfront_flip_put(q, b->addr);
}

/*
 * A page that did not come though the back end says so costs the frame and no more: its
 * domain may have lost the page without knowing.
 */
static void note_flip(struct netfront *n, const struct netif_rx_response *rsp, const uint8_t *page)
{
	if (rsp->status < 0 || (rsp->status && !page))
		netfront_flip_error(n);
	else if (page)
		n->flip_errors = 0;
	if (page)
		n->stats.flipped_pages++;
}

/* The page becomes a piece of the frame, or goes back. */
static void take_data(struct netfront *n, struct netfront_queue *q,
		      struct netfront_frame *frame, const struct buffer *b,
		      const struct netif_rx_response *rsp)
{
	struct netfront_piece *piece;

	if (q->in.expect == RX_FIRST)
		begin_frame(q, frame, rsp);
	q->in.more = rsp->flags & NETRXF_more_data;
	if (b->flipped)
		note_flip(n, rsp, b->addr);
	if (!q->in.drop && (!is_within(rsp) || frame->nr_pieces == NETFRONT_PIECES_MAX ||
			    (rsp->status && !b->addr)))
		drop(q, frame);
	if (q->in.drop || !rsp->status) {
		put_buffer(q, b);
		return;
	}
	q->in.bytes += (uint32_t)rsp->status;
	piece = frame->piece + frame->nr_pieces++;
	piece->base = b->addr + rsp->offset;
	piece->bytes = (uint32_t)rsp->status;
	if (b->page != POOL_NONE)
		q->rx_pool.page[b->page].lent = true;
}

/* -EPROTO: the response is not of the request in its slot. */
static int take(struct netfront *n, struct netfront_queue *q, struct netfront_frame *frame)
{
	uint32_t slot = q->rx.rsp_cons & (NETFRONT_SLOTS - 1);
	struct netif_rx_response rsp;
	struct buffer b;

	ring_front_take(&q->rx, &rsp, sizeof(rsp));
	b = take_buffer(q, slot);
	if (q->in.expect == RX_EXTRA) {
		put_buffer(q, &b);
		take_extra(n, q, frame, &rsp);
		return 0;
	}
	if (rsp.id != slot) {
		put_buffer(q, &b);
		return netfront_break(n, "back end %s put a response with id %u into rx slot %u",
				      n->dev.bus.otherend, (uint64_t)rsp.id, (uint64_t)slot);
	}
	take_data(n, q, frame, &b, &rsp);
	return 0;
}

/* ---- frames ---------------------------------------------------------------------------- */

/* The last response was of a whole frame. True: it is one to deliver. */
static bool end_frame(struct netfront *n, struct netfront_queue *q,
		      struct netfront_frame *frame)
{
	q->in.expect = RX_FIRST;
	if (!q->in.drop && (q->in.bytes < NETFRONT_ETH_BYTES ||
			    q->in.bytes > NETFRONT_FRAME_BYTES_MAX))
		drop(q, frame);
	if (q->in.drop) {
		n->stats.receive_errors++;
		return false;
	}
	n->stats.received_frames++;
	n->stats.received_bytes += q->in.bytes;
	return true;
}

int netfront_receive(struct netfront *n, unsigned int queue,
		     struct netfront_frame *frames, unsigned int nr)
{
	struct netfront_queue *q = n->queue + queue;
	unsigned int got = 0;
	int left;

	if (n->broken)
		return -EPROTO;
	if (queue >= n->nr_queues)
		return -EINVAL;
	left = nr ? ring_front_pending(&q->rx) : 0;
	if (left < 0)
		return netfront_break(n, "back end %s announced more frames than there were "
				      "buffers", n->dev.bus.otherend);
	if (!left)
		return 0;
	if (q->in.expect != RX_FIRST)
		frames[0] = q->in.frame;
	for (; left && got < nr; left--) {
		if (take(n, q, frames + got) < 0)
			break;
		if (q->in.expect == RX_EXTRA || q->in.more)
			continue;
		if (end_frame(n, q, frames + got))
			got++;
	}
	if (netfront_flip_flush(n, q) < 0)
		return -EPROTO;
	if (n->broken)
		return got ? (int)got : -EPROTO;
	if (got < nr && q->in.expect != RX_FIRST)
		q->in.frame = frames[got];
	netfront_rx_fill(q);
	return (int)got;
}

/* ---- opening ---------------------------------------------------------------------------- */

int netfront_rx_open(struct netfront *n, struct netfront_queue *q)
{
	uint32_t i;

	for (i = 0; i < NETFRONT_SLOTS; i++)
		q->rx_page[i] = POOL_NONE;
	if (n->flip)
		return netfront_flip_open(n, q);
	return pool_open(&q->rx_pool, &n->dev, n->rx_wanted, true);
}

void netfront_rx_close(struct netfront_queue *q)
{
	netfront_flip_close(q);
	pool_close(&q->rx_pool);
}
