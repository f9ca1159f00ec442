/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From frames to tx requests, and what the back end answers. Hides slots,
 * extra infos, how frames lie in shared pages; must not know sleeping
 * (netfront-wait.c) or what is inside a frame.
 *
 * Small frames share pages, so that a back end that copies finds several under one
 * grant. A page goes back to the pool when the last request that names it
 * was answered. Requests are matched by id; extra infos have none, and are
 * only counted.
 */
#include <stdlib.h>

#include "netfront-priv.h"

#define LINE_BYTES 64u
#define REAP_BELOW 64u		/* free slots or pages */

/* ---- pages --------------------------------------------------------------------- */

static void page_unref(struct netfront_queue *q, uint32_t i)
{
	struct pool_page *page = q->tx_pool.page + i;

	if (--page->refs || page->lent)
		return;
	if (i == q->open_page)
		q->open_at = 0;
	else
		pool_put(&q->tx_pool, i);
}

static void page_return(struct netfront_queue *q, uint32_t i)
{
	q->tx_pool.page[i].lent = false;
	q->nr_lent--;
	if (!q->tx_pool.page[i].refs)
		pool_put(&q->tx_pool, i);
}

/* The next small frame begins on a page of its own. */
static void close_page(struct netfront_queue *q)
{
	uint32_t i = q->open_page;

	q->open_page = POOL_NONE;
	if (i != POOL_NONE && !q->tx_pool.page[i].refs)
		pool_put(&q->tx_pool, i);
}

/* Room for bytes, at most a page, in one page. The caller has checked that there is. */
static uint32_t take_room(struct netfront_queue *q, uint32_t bytes, uint32_t *offset)
{
	if (q->open_page == POOL_NONE || q->open_at + bytes > NETFRONT_PAGE_BYTES) {
		close_page(q);
		q->open_page = pool_take(&q->tx_pool);
		q->open_at = 0;
	}
	*offset = q->open_at;
	q->open_at += (bytes + LINE_BYTES - 1) & ~(LINE_BYTES - 1);
	q->tx_pool.page[q->open_page].refs++;
	return q->open_page;
}

static bool has_pages(const struct netfront_queue *q, uint32_t bytes)
{
	bool open = q->open_page != POOL_NONE;

	if (open && q->open_at + bytes <= NETFRONT_PAGE_BYTES)
		return true;
	return (q->tx_pool.nr_free + (open && !q->open_at)) * NETFRONT_PAGE_BYTES >= bytes;
}

/* ---- the shadow table ------------------------------------------------------------- */

static struct tx_shadow *shadow_take(struct netfront_queue *q)
{
	struct tx_shadow *s = q->shadow + q->free_shadow;

	q->free_shadow = s->next_free;
	s->busy = true;
	s->group = false;
	s->frame_bytes = 0;
	s->page = POOL_NONE;
	return s;
}

static void shadow_put(struct netfront_queue *q, struct tx_shadow *s)
{
	if (s->page != POOL_NONE)
		page_unref(q, s->page);
	s->busy = false;
	s->next_free = q->free_shadow;
	q->free_shadow = (uint16_t)(s - q->shadow);
}

/* ---- requests ------------------------------------------------------------------------ */

/* One frame while its requests are written: each is put when the next one is known. */
struct build {
	struct netfront_queue *q;
	const struct netfront_frame *frame;
	uint32_t gref, offset, flags, id, size;		/* of the next request */
	uint32_t bytes;			/* of the whole frame */
	bool begun;
};

static void put_extra(struct netfront_queue *q, const struct netif_extra_info *extra)
{
	uint8_t slot[sizeof(struct netif_tx_request)] = { 0 };

	memcpy(slot, extra, sizeof(*extra));
	ring_front_put(&q->tx, slot, sizeof(slot));
	q->nr_extras++;
}

static void put_gso(struct netfront_queue *q, const struct netfront_frame *frame)
{
	struct netif_extra_info extra;

	memset(&extra, 0, sizeof(extra));
	extra.type = XEN_NETIF_EXTRA_TYPE_GSO;
	extra.u.gso.size = frame->gso_bytes;
	extra.u.gso.type = frame->gso == NETFRONT_GSO_TCPV4 ? XEN_NETIF_GSO_TYPE_TCPV4 :
			   XEN_NETIF_GSO_TYPE_TCPV6;
	put_extra(q, &extra);
}

static void build_flush(struct build *b, bool more)
{
	struct netif_tx_request *req = ring_front_next(&b->q->tx);

	req->gref = b->gref;
	req->offset = (uint16_t)b->offset;
	req->flags = (uint16_t)(b->flags | (more ? NETTXF_more_data : 0));
	req->id = (uint16_t)b->id;
	req->size = (uint16_t)b->size;
	if (b->flags & NETTXF_extra_info)
		put_gso(b->q, b->frame);
}

/* The page has been referenced for this request. */
static void build_add(struct build *b, uint32_t page, uint32_t offset, uint32_t bytes)
{
	struct tx_shadow *s = shadow_take(b->q);

	if (b->begun)
		build_flush(b, true);
	b->gref = b->q->tx_pool.page[page].gref;
	b->offset = offset;
	b->flags = 0;
	b->id = (uint32_t)(s - b->q->shadow);
	b->size = bytes;
	s->page = page;
	if (b->begun)
		return;
	b->begun = true;
	b->size = b->bytes;		/* the first one says the whole */
	s->frame_bytes = b->bytes;
	if (b->frame->checksum_blank)
		b->flags = NETTXF_csum_blank | NETTXF_data_validated;
	else if (b->frame->checksum_validated)
		b->flags = NETTXF_data_validated;
	if (b->frame->gso != NETFRONT_GSO_NONE)
		b->flags |= NETTXF_extra_info;
}

/* ---- frames ---------------------------------------------------------------------------- */

static uint32_t frame_bytes(const struct netfront_frame *frame)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < frame->nr_pieces; i++)
		sum += frame->piece[i].bytes;
	return sum > NETFRONT_FRAME_BYTES_MAX ? NETFRONT_FRAME_BYTES_MAX + 1 : (uint32_t)sum;
}

static int check(const struct netfront *n, const struct netfront_queue *q,
		 const struct netfront_frame *frame, uint32_t *bytes)
{
	uint32_t limit = NETFRONT_FRAME_BYTES_MAX;

	if (frame->nr_pieces > NETFRONT_PIECES_MAX)
		return -EMSGSIZE;
	if (frame->gso == NETFRONT_GSO_TCPV4 ? !n->back.gso_tcpv4 :
	    frame->gso == NETFRONT_GSO_TCPV6 && !n->back.gso_tcpv6)
		return -EOPNOTSUPP;
	if (frame->gso != NETFRONT_GSO_NONE && (!frame->checksum_blank || !frame->gso_bytes))
		return -EINVAL;
	if (!n->back.sg)
		limit = NETFRONT_PAGE_BYTES;
	if (limit / NETFRONT_PAGE_BYTES >= q->tx_pool.nr_pages)
		limit = q->tx_pool.nr_pages * NETFRONT_PAGE_BYTES;
	*bytes = frame_bytes(frame);
	return *bytes < NETFRONT_ETH_BYTES || *bytes > limit ? -EMSGSIZE : 0;
}

/* The lent page that holds the piece; POOL_NONE when there is none. */
static uint32_t lent_page(const struct netfront_queue *q, const struct netfront_piece *p)
{
	uint32_t i = pool_find(&q->tx_pool, p->base, p->bytes);

	if (i == POOL_NONE || !q->tx_pool.page[i].lent ||
	    ((uintptr_t)p->base & (NETFRONT_PAGE_BYTES - 1)) + p->bytes > NETFRONT_PAGE_BYTES)
		return POOL_NONE;
	return i;
}

static bool is_in_place(const struct netfront *n, const struct netfront_queue *q,
			const struct netfront_frame *frame)
{
	uint32_t i;

	if (!q->nr_lent || frame->piece[0].bytes < NETFRONT_ETH_BYTES ||
	    (!n->back.sg && frame->nr_pieces > 1))
		return false;
	for (i = 0; i < frame->nr_pieces; i++)
		if (!frame->piece[i].bytes || lent_page(q, frame->piece + i) == POOL_NONE)
			return false;
	return true;
}

static void put_in_place(struct build *b)
{
	const struct netfront_piece *p = b->frame->piece, *end = p + b->frame->nr_pieces;
	struct netfront_queue *q = b->q;
	uint32_t i;

	for (; p < end; p++) {
		i = lent_page(q, p);
		q->tx_pool.page[i].refs++;
		build_add(b, i, (uint32_t)((uintptr_t)p->base & (NETFRONT_PAGE_BYTES - 1)),
			  p->bytes);
	}
}

/* From now on the requests alone keep the pages; a copied frame's go back at once. */
static void take_back_lent(struct netfront_queue *q, const struct netfront_frame *frame)
{
	uint32_t k, i;

	for (k = 0; k < frame->nr_pieces && q->nr_lent; k++) {
		i = pool_find(&q->tx_pool, frame->piece[k].base, 1);
		if (i != POOL_NONE && q->tx_pool.page[i].lent)
			page_return(q, i);
	}
}

static void copy_out(const struct netfront_frame *frame, uint32_t *piece, uint32_t *at,
		     uint8_t *to, uint32_t bytes)
{
	uint32_t k;

	while (bytes) {
		k = frame->piece[*piece].bytes - *at;
		if (k > bytes)
			k = bytes;
		if (k)
			memcpy(to, (const uint8_t *)frame->piece[*piece].base + *at, k);
		to += k;
		bytes -= k;
		*at += k;
		if (*at == frame->piece[*piece].bytes) {
			*at = 0;
			++*piece;
		}
	}
}

static void put_copied(struct netfront *n, struct build *b)
{
	uint32_t left = b->bytes, piece = 0, at = 0, k, page, offset;

	for (; left; left -= k) {
		k = left < NETFRONT_PAGE_BYTES ? left : NETFRONT_PAGE_BYTES;
		page = take_room(b->q, k, &offset);
		copy_out(b->frame, &piece, &at, b->q->tx_pool.page[page].addr + offset, k);
		build_add(b, page, offset, k);
	}
	n->stats.copied_bytes += b->bytes;
}

/* 1: sent. 0: no room. */
static int send_one(struct netfront *n, struct netfront_queue *q,
		    const struct netfront_frame *frame)
{
	struct build b = { .q = q, .frame = frame };
	uint32_t slots = frame->gso != NETFRONT_GSO_NONE;
	int r = check(n, q, frame, &b.bytes);
	bool in_place;

	if (r < 0)
		return r;
	in_place = is_in_place(n, q, frame);
	slots += in_place ? frame->nr_pieces :
		 (b.bytes + NETFRONT_PAGE_BYTES - 1) / NETFRONT_PAGE_BYTES;
	if (ring_front_free(&q->tx) < slots || (!in_place && !has_pages(q, b.bytes))) {
		n->stats.full++;
		return 0;
	}
	if (in_place)
		put_in_place(&b);
	else
		put_copied(n, &b);
	build_flush(&b, false);
	if (q->nr_lent)
		take_back_lent(q, frame);
	q->nr_frames++;
	return 1;
}

int netfront_send(struct netfront *n, unsigned int queue,
		  const struct netfront_frame *frames, unsigned int nr)
{
	struct netfront_queue *q = n->queue + queue;
	unsigned int i;
	int r = netfront_state(n);

	if (r < 0)
		return r;
	if (queue >= n->nr_queues)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (ring_front_free(&q->tx) < REAP_BELOW || q->tx_pool.nr_free < REAP_BELOW) {
			r = netfront_tx_reap(n, q);
			if (r < 0)
				return i ? (int)i : r;
		}
		r = send_one(n, q, frames + i);
		if (r <= 0)
			return i ? (int)i : r;
	}
	return (int)nr;
}

/* ---- buffers --------------------------------------------------------------------------- */

int netfront_buffer_get(struct netfront *n, unsigned int queue, void **page)
{
	struct netfront_queue *q = n->queue + queue;
	uint32_t i;

	*page = NULL;
	if (queue >= n->nr_queues)
		return -EINVAL;
	if (q->tx_pool.nr_free < REAP_BELOW && !n->broken)
		netfront_tx_reap(n, q);
	i = pool_take(&q->tx_pool);
	if (i == POOL_NONE)
		return -ENOBUFS;
	q->tx_pool.page[i].lent = true;
	q->nr_lent++;
	*page = q->tx_pool.page[i].addr;
	return 0;
}

void netfront_buffer_put(struct netfront *n, unsigned int queue, void *page)
{
	struct netfront_queue *q = n->queue + queue;
	uint32_t i;

	if (queue >= n->nr_queues || !page)
		return;
	i = pool_find(&q->tx_pool, page, 1);
	if (i != POOL_NONE && q->tx_pool.page[i].lent)
		page_return(q, i);
}

unsigned int netfront_inflight(const struct netfront *n)
{
	unsigned int i, nr = 0;

	for (i = 0; i < n->nr_queues; i++)
		nr += n->queue[i].nr_frames;
	return nr;
}

/* ---- groups ------------------------------------------------------------------------------ */

static bool group_done(struct netfront *n, void *arg)
{
	(void)arg;
	return n->group_status <= 0;
}

/* A request without data whose extra info names the group. */
static int group(struct netfront *n, uint8_t type, const uint8_t *mac, int timeout_ms)
{
	struct netfront_queue *q = n->queue;
	struct netif_tx_request req = { .flags = NETTXF_extra_info };
	struct netif_extra_info extra;
	struct tx_shadow *s;
	int r = netfront_state(n);

	if (r < 0)
		return r;
	if (!n->back.multicast_control)
		return -EOPNOTSUPP;
	if (!(mac[0] & 1))
		return -EINVAL;
	if (n->group_status > 0)	/* an earlier one timed out */
		return -EBUSY;
	netfront_tx_reap(n, q);
	if (ring_front_free(&q->tx) < 2)
		return -ENOBUFS;
	s = shadow_take(q);
	s->group = true;
	req.id = (uint16_t)(s - q->shadow);
	req.gref = q->tx_pool.page[0].gref;
	ring_front_put(&q->tx, &req, sizeof(req));
	memset(&extra, 0, sizeof(extra));
	extra.type = type;
	memcpy(extra.u.mcast.addr, mac, sizeof(extra.u.mcast.addr));
	put_extra(q, &extra);
	n->group_status = 1;
	r = netfront_wait_for(n, group_done, NULL, timeout_ms);
	return r < 0 ? r : n->group_status;
}

int netfront_join(struct netfront *n, const uint8_t *mac, int timeout_ms)
{
	return group(n, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, mac, timeout_ms);
}

int netfront_leave(struct netfront *n, const uint8_t *mac, int timeout_ms)
{
	return group(n, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, mac, timeout_ms);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void answered(struct netfront *n, struct netfront_queue *q, struct tx_shadow *s,
		     int16_t status)
{
	if (s->group) {
		n->group_status = status == NETIF_RSP_OKAY ? 0 : -EIO;
	} else if (s->frame_bytes) {
		q->nr_frames--;
		if (status == NETIF_RSP_OKAY) {
			n->stats.sent_frames++;
			n->stats.sent_bytes += s->frame_bytes;
		} else {
			n->stats.send_errors++;
		}
	}
	shadow_put(q, s);
}

static int respond(struct netfront *n, struct netfront_queue *q,
		   const struct netif_tx_response *rsp)
{
	if (rsp->status == NETIF_RSP_NULL) {
		if (!q->nr_extras)
			return netfront_break(n, "back end %s answered an extra info that "
					      "was not sent", n->dev.bus.otherend);
		q->nr_extras--;
		return 0;
	}
	if (rsp->status > NETIF_RSP_OKAY || rsp->status < NETIF_RSP_DROPPED)
		return netfront_break(n, "back end %s answered a frame with status %u, which "
				      "netif.h does not know", n->dev.bus.otherend,
				      (uint64_t)(uint16_t)rsp->status);
	if (rsp->id >= NETFRONT_SLOTS || !q->shadow[rsp->id].busy)
		return netfront_break(n, "back end %s answered tx request id %u, which is not "
				      "in flight", n->dev.bus.otherend, (uint64_t)rsp->id);
	answered(n, q, q->shadow + rsp->id, rsp->status);
	return 0;
}

int netfront_tx_reap(struct netfront *n, struct netfront_queue *q)
{
	struct netif_tx_response rsp;
	int i, r = 0, nr;

	if (n->broken)
		return -EPROTO;
	nr = ring_front_pending(&q->tx);
	if (nr < 0)
		return netfront_break(n, "back end %s announced more answers than there were "
				      "frames", n->dev.bus.otherend);
	for (i = 0; i < nr && r == 0; i++) {
		ring_front_take(&q->tx, &rsp, sizeof(rsp));
		r = respond(n, q, &rsp);
	}
	return r < 0 ? r : nr;
}

/* ---- room ---------------------------------------------------------------------------------- */

static uint32_t pages_wanted(const struct netfront *n, const struct netfront_queue *q)
{
	uint32_t want = n->back.sg ? NETFRONT_FRAME_BYTES_MAX / NETFRONT_PAGE_BYTES + 1 : 1;
	uint32_t there = q->tx_pool.nr_pages - q->nr_lent;

	if (want > there)
		want = there;
	return want ? want : 1;
}

bool netfront_tx_room(const struct netfront *n, const struct netfront_queue *q)
{
	uint32_t open = q->open_page != POOL_NONE && !q->open_at;

	return ring_front_free(&q->tx) >= NETFRONT_PIECES_MAX + 1 &&
	       q->tx_pool.nr_free + open >= pages_wanted(n, q);
}

/*
 * Half of what is in flight, so that a wake-up brings room for many. All of it would
 * leave the back end idle.
 */
uint32_t netfront_tx_worth(const struct netfront_queue *q)
{
	return (ring_front_inflight(&q->tx) + 1) / 2;
}

/* ---- opening -------------------------------------------------------------------------------- */

int netfront_tx_open(struct netfront *n, struct netfront_queue *q)
{
	uint32_t i;

	for (i = 0; i < NETFRONT_SLOTS; i++)
		q->shadow[i].next_free = (uint16_t)(i + 1);
	q->open_page = POOL_NONE;
	return pool_open(&q->tx_pool, &n->dev, n->tx_wanted, false);
}

void netfront_tx_close(struct netfront_queue *q)
{
	pool_close(&q->tx_pool);
}
