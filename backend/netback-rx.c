/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From frames to rx slots.
 *
 * Hides: how a frame's octets, wherever they are, are laid into the receiver's
 * pages by one batch of copies; the responses; who waits and for how long. Must
 * not know: where a frame came from, why it is due here.
 *
 * A response sits in the ring where its request was, extra infos included:
 * front ends find their buffers by that. So slots are taken and answered in order.
 */
#include <errno.h>
#include <string.h>
#include "netback-internal.h"

#define SEGMENT_MIN_BYTES 536u	/* RFC 879 */
#define ALL_SLOTS (NETBACK_SLOTS_MAX + 2u)	/* with two extra infos */

/* ---- waiting ----------------------------------------------------------------------- */

void nb_rx_hold(struct nb_port *p, struct nb_frame *m)
{
	p->nr_buffers++;
	if (!m->waits++)
		p->nb->nr_held++;
}

static void done_with(struct nb_port *p, struct nb_frame *f)
{
	if (!f->from) {
		p->nr_buffers--;
		if (!--f->waits)
			p->nb->nr_held--;
	}
	nb_frame_put(f);
}

void nb_rx_pop(struct nb_queue *q)
{
	struct nb_frame *f = nb_waiting(q, 0)->frame;

	q->fifo_head++;
	q->fifo_nr--;
	done_with(q->port, f);
}

static void lose(struct nb_port *p, uint32_t bytes, enum vswitch_drop why)
{
	vswitch_note(p->nb->sw, p->number, bytes, why);
}

/* As many as were counted when it came: a joined packet is the segments that it was. */
static void lose_frame(struct nb_port *p, const struct nb_frame *f, enum vswitch_drop why)
{
	uint32_t header_bytes = f->joined ? f->frame.payload_offset : 0;
	uint32_t most = f->joined ? f->gso_bytes : f->bytes;

	for (uint32_t at = header_bytes; at < f->bytes; at += most)
		lose(p, header_bytes + MIN(most, f->bytes - at), why);
}

/* What could not be delivered, or not all of it. */
static void lose_delivery(struct nb_port *p, const struct nb_delivery *d, enum vswitch_drop why)
{
	if (d->arrived)
		vswitch_note_part(p->nb->sw, p->number, why);
	else
		lose_frame(p, d->frame, why);
}

/*
 * The head of the fifo did not fit, and there are no more slots than there were then; or
 * the receiver's limit is used up.
 */
static bool is_full(const struct nb_queue *q)
{
	return q->blocked && (nb_rx_is_held(q->port) ||
			      ring_back_pending(&q->rx) <= (int)q->rx_seen);
}

/* Its sender has given as much of its ring as it should to receivers that are full. */
static bool holds_too_much(const struct nb_queue *q, const struct nb_frame *f)
{
	return f->from && f->from->tx_used > NB_HOLD_SLOTS &&
	       (is_full(q) || (q->blocked && ring_back_pending(&q->rx) <= (int)ALL_SLOTS));
}

/* It waits in a buffer of ours, not in its sender's pages. */
static bool is_to_be_pulled(const struct nb_queue *q, struct nb_frame *f)
{
	const struct nb_port *p = q->port;

	return (f->gso && !p->sg) || holds_too_much(q, f) ||
	       !nb_suits(f, p->gso_tcpv4, p->gso_tcpv6, p->ipv4_csum, p->ipv6_csum);
}

/* Those who are full, however many they are, leave something for others that are. */
static uint32_t most_of(uint32_t nr_free)
{
	return MIN(NB_BUFFERS_PER_PORT, nr_free / 2);
}

static uint32_t buffers_left(const struct netback *nb)
{
	return nb->nr_held < NB_BUFFERS_HELD ? NB_BUFFERS_HELD - nb->nr_held : 0;
}

/* What leaves in the pass in which it came takes nothing from anybody. */
bool nb_rx_has_buffers(const struct nb_queue *q)
{
	uint32_t most = is_full(q) ? most_of(buffers_left(q->port->nb)) : NB_BUFFERS_PER_PORT;

	return q->port->nr_buffers < most;
}

/* It did not leave: the last that would not have been let in, had that been known, go. */
static void make_room(struct nb_queue *q)
{
	struct nb_port *p = q->port;

	for (uint32_t i = q->fifo_nr; i--;) {
		struct nb_frame *f = nb_waiting(q, i)->frame;

		if (p->nr_buffers <= most_of(buffers_left(p->nb) + 1))
			break;
		if (f->from)
			continue;
		/* Of the first some segments may be in the batch. */
		if (!i)
			nb_rx_flush(p->nb);
		lose_delivery(p, nb_waiting(q, i), VSWITCH_QUEUE_FULL);
		for (uint32_t at = i; at + 1 < q->fifo_nr; at++)
			*nb_waiting(q, at) = *nb_waiting(q, at + 1);
		q->fifo_nr--;
		done_with(p, f);
	}
}

/*
 * All slots that a packet may need, or all that it has ever had; and more than those that
 * were not enough.
 */
static bool has_recovered(const struct nb_queue *q)
{
	int nr = ring_back_pending(&q->rx);

	return nr >= (int)MAX(1, MIN(ALL_SLOTS, q->rx_most)) && nr > (int)q->rx_short;
}

static bool may_wait(const struct nb_queue *q, const struct nb_frame *f, bool pulled)
{
	if (q->fifo_nr == NB_FIFO)
		return false;
	if ((pulled || !f->from) && !nb_rx_has_buffers(q))
		return false;
	if (q->stalled && !has_recovered(q))
		return false;
	return !holds_too_much(q, f) || q->port->nr_buffers < NB_BUFFERS_INSTEAD;
}

void nb_rx_enqueue(struct nb_queue *q, struct nb_frame *f, const struct vswitch_out *out,
		   uint16_t tci)
{
	struct nb_port *p = q->port;
	struct netback *nb = p->nb;
	bool pulled;

	if (!f->gso && f->bytes > p->frame_bytes_max) {
		lose(p, f->bytes, VSWITCH_TOO_BIG);
		return;
	}
	pulled = is_to_be_pulled(q, f);
	if (!may_wait(q, f, pulled)) {
		lose(p, f->bytes, VSWITCH_QUEUE_FULL);
		return;
	}
	if (pulled) {
		struct nb_frame *m = nb_pull(nb, f);

		if (!m) {
			lose(p, f->bytes, VSWITCH_QUEUE_FULL);
			return;
		}
		f = m;
	}
	f->refs++;
	if (!f->from) {
		nb_rx_hold(p, f);
		q->lent |= p->nr_buffers > most_of(buffers_left(nb) + 1);
	}
	q->fifo[(q->fifo_head + q->fifo_nr++) & (NB_FIFO - 1)] = (struct nb_delivery){
		.frame = f, .since_ms = nb->now_ms, .tci = tci, .tag = out->tag,
	};
	nb_activate(q);
}

void nb_rx_expire(struct nb_queue *q)
{
	struct netback *nb = q->port->nb;

	while (q->fifo_nr && nb->now_ms - nb_waiting(q, 0)->since_ms > NETBACK_HOLD_MS) {
		lose_delivery(q->port, nb_waiting(q, 0), VSWITCH_QUEUE_FULL);
		q->stalled = true;
		nb_rx_pop(q);
	}
}

void nb_rx_purge(struct nb_queue *q, const struct nb_port *from)
{
	uint32_t nr = q->fifo_nr;

	for (uint32_t i = 0; i < nr; i++) {
		struct nb_delivery d = *nb_waiting(q, 0);

		if (!from || d.frame->port == from) {
			nb_rx_pop(q);
			continue;
		}
		q->fifo_head++;
		q->fifo[(q->fifo_head + q->fifo_nr - 1) & (NB_FIFO - 1)] = d;
	}
}

/* ---- slots ------------------------------------------------------------------------- */

/* Where the next octet of a frame goes. */
struct cursor {
	struct netback *nb;
	const struct nb_mapping *mapping;	/* the receiver's static grants */
	uint32_t domid, slot, offset;	/* slot: in nb->slots */
	bool unsplit;			/* a piece goes into one slot, see unsplit_slots() */
	struct nb_port *flips;		/* the receiver, if it takes pages; else NULL */
};

static void next_slot(struct cursor *c)
{
	c->nb->slots[c->slot].bytes = (uint16_t)c->offset;
	c->slot++;
	c->offset = 0;
	if (c->flips)
		nb_flip_page(c->flips, c->nb->slots[c->slot].gref);
}

static uint32_t room_in_slot(struct cursor *c)
{
	if (c->offset == GRANT_PAGE_BYTES)
		next_slot(c);
	return GRANT_PAGE_BYTES - c->offset;
}

/* By the CPU, when the slot's page is mapped. False: it is not. Not inline: rare. */
static __attribute__((noinline)) bool put_mapped(const struct cursor *c, const uint8_t *from,
						 uint32_t bytes)
{
	uint8_t *page = nb_mapping_find(c->mapping, c->nb->slots[c->slot].gref, true);

	if (page)
		memcpy(page + c->offset, from, bytes);
	return page;
}

static void put_part(struct cursor *c, const uint8_t *from, uint32_t bytes)
{
	while (bytes) {
		uint32_t n = MIN(bytes, room_in_slot(c));

		if (c->flips)
			nb_flip_put(c->nb, from, n);
		else if (!c->mapping || !put_mapped(c, from, n))
			grant_batch_to(&c->nb->copies, c->domid, c->nb->slots[c->slot].gref,
				       (uint16_t)c->offset, from, (uint16_t)n);
		from += n;
		c->offset += n;
		bytes -= n;
	}
}

/*
 * By the CPU when both pages are mapped. A page of another domain's cannot be our own
 * side of a grant copy, so one of them alone is of no use.
 */
static void put_piece(struct cursor *c, const struct nb_queue *q, const struct nb_piece *piece,
		      uint32_t skip)
{
	const uint8_t *page = c->mapping ? nb_mapped(q, piece->gref) : NULL;
	uint32_t at = piece->offset + skip, bytes = piece->bytes - skip;

	if (c->unsplit && bytes > GRANT_PAGE_BYTES - c->offset)
		next_slot(c);
	while (bytes) {
		uint32_t n = MIN(bytes, room_in_slot(c));

		if (c->flips)
			nb_flip_put_granted(c->nb, q->port->domid, piece->gref, at, n);
		else if (!page || !put_mapped(c, page + at, n))
			grant_batch_across(&c->nb->copies, q->port->domid, piece->gref,
					   (uint16_t)at, c->domid, c->nb->slots[c->slot].gref,
					   (uint16_t)c->offset, (uint16_t)n);
		at += n;
		c->offset += n;
		bytes -= n;
	}
}

static void put_pieces(struct cursor *c, const struct nb_frame *f)
{
	uint32_t skip = f->head_bytes;

	for (uint32_t i = 0; i < f->nr_pieces; i++) {
		uint32_t drop = MIN(skip, f->piece[i].bytes);

		skip -= drop;
		if (drop < f->piece[i].bytes)
			put_piece(c, f->from, &f->piece[i], drop);
	}
}

/* ---- plans -------------------------------------------------------------------------- */

static uint32_t extras_of(const struct nb_plan *plan)
{
	return (plan->gso ? 1u : 0u) + (plan->hash_type ? 1u : 0u);
}

/* The next plan, for f as it is; the caller may change it until slots are taken. */
static struct nb_plan *draft(struct netback *nb, struct nb_queue *q, struct nb_frame *f)
{
	struct nb_plan *plan = &nb->plan[nb->nr_plans];

	plan->queue = q;
	plan->frame = f;
	plan->flips = q->port->flips;
	plan->copy_first = plan->flips ? nb_flip_ops(nb) : nb->copies.nr;
	plan->slot_first = nb->nr_slots;
	plan->flags = 0;
	plan->gso = XEN_NETIF_GSO_TYPE_NONE;
	plan->hash_type = 0;
	plan->cut = NULL;
	if (q->port->hash->algorithm && q->port->hash->types)
		nb_choose_queue(q->port, f, &plan->hash, &plan->hash_type);
	return plan;
}

static uint32_t packed_slots(uint32_t bytes)
{
	return (bytes + GRANT_PAGE_BYTES - 1) / GRANT_PAGE_BYTES;
}

/*
 * Slots for f when no piece of it is split between two: one copy for each page of a
 * large packet instead of two. 0: that is not possible, or takes too many.
 */
static uint32_t unsplit_slots(const struct nb_frame *f, uint32_t head_bytes, uint32_t packed)
{
	uint32_t nr = 1, offset = head_bytes, skip = f->head_bytes;

	for (uint32_t i = 0; i < f->nr_pieces; i++) {
		uint32_t drop = MIN(skip, f->piece[i].bytes), bytes = f->piece[i].bytes - drop;

		skip -= drop;
		if (bytes > GRANT_PAGE_BYTES - offset) {
			nr++;
			offset = 0;
		}
		offset += bytes;
	}
	return nr <= NETBACK_SLOTS_MAX && nr <= packed + packed / 4 ? nr : 0;
}

/* False: there are not enough slots now. *nr is what the ring holds. */
static bool take_slots(struct netback *nb, struct nb_plan *plan, uint32_t nr_slots, int *nr)
{
	struct nb_queue *q = plan->queue;
	uint32_t extras = extras_of(plan), all;

	plan->nr_slots = nr_slots;
	all = plan->nr_slots + extras;
	if (plan->flips && !nb_flip_has(q->port, nr_slots))
		return false;
	if (*nr < (int)all) {
		*nr = ring_back_pending(&q->rx);
		if (*nr < (int)all)
			return false;
	}
	*nr -= (int)all;
	for (uint32_t i = 0; i < all; i++) {
		netif_rx_request_t req;

		ring_back_take(&q->rx, &req, sizeof(req));
		nb_journal_post(q->journal, q->rx.req_cons - 1, &req);
		/* Extra infos lie behind the first slot; their pages stay unused. */
		if (i && i <= extras)
			continue;
		nb->slots[nb->nr_slots++] = (struct nb_slot){ .gref = req.gref, .id = req.id };
	}
	nb_journal_posted(q->journal, &q->rx);
	plan->frame->refs++;
	nb->nr_plans++;
	return true;
}

static uint8_t *scratch(struct netback *nb)
{
	return nb->scratch[nb->nr_scratch++];
}

static void start_at(struct cursor *c, struct netback *nb, const struct nb_plan *plan)
{
	c->nb = nb;
	c->mapping = plan->queue->mapping;
	c->domid = plan->queue->port->domid;
	c->slot = plan->slot_first;
	c->offset = 0;
	c->unsplit = false;
	c->flips = plan->flips ? plan->queue->port : NULL;
	if (c->flips)
		nb_flip_page(c->flips, nb->slots[c->slot].gref);
}

static void end_plan(struct cursor *c, struct nb_plan *plan)
{
	struct netback *nb = c->nb;

	nb->slots[c->slot].bytes = (uint16_t)c->offset;
	plan->copy_nr = (plan->flips ? nb_flip_ops(nb) : nb->copies.nr) - plan->copy_first;
}

static uint16_t checksum_flags(const struct nb_frame *f)
{
	if (f->csum_blank)
		return NETRXF_csum_blank | NETRXF_data_validated;
	return f->csum_validated ? NETRXF_data_validated : 0;
}

static uint32_t parts_bytes(const struct nb_part *part, uint32_t nr)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < nr; i++)
		bytes += part[i].bytes;
	return bytes;
}

/* The frame as it is, but for its tag. */
static bool place_whole(struct netback *nb, struct nb_queue *q, struct nb_delivery *d, int *nr)
{
	struct nb_frame *f = d->frame;
	struct nb_plan *plan = draft(nb, q, f);
	uint32_t nr_parts, head_bytes, packed, unsplit = 0;
	struct nb_part part[3];
	struct cursor c;

	plan->flags = checksum_flags(f);
	plan->gso = f->gso;
	plan->gso_bytes = f->gso_bytes;
	nr_parts = nb_head_parts(f, d->tag, d->tci, scratch(nb), part);
	head_bytes = parts_bytes(part, nr_parts);
	packed = packed_slots(head_bytes + f->bytes - f->head_bytes);
	if (f->from && packed > 1)
		unsplit = unsplit_slots(f, head_bytes, packed);
	if (!take_slots(nb, plan, unsplit ? unsplit : packed, nr))
		return false;
	start_at(&c, nb, plan);
	c.unsplit = unsplit;
	for (uint32_t i = 0; i < nr_parts; i++)
		put_part(&c, part[i].at, part[i].bytes);
	if (f->from)
		put_pieces(&c, f);
	end_plan(&c, plan);
	return true;
}

/* ---- segments ------------------------------------------------------------------------ */

static bool place_segment(struct netback *nb, struct nb_queue *q, struct nb_delivery *d,
			  uint8_t *header, const struct frame_segment *s, int *nr)
{
	struct nb_frame *f = d->frame;
	bool blank = f->frame.l3 == FRAME_IPV6 ? q->port->ipv6_csum : q->port->ipv4_csum;
	struct nb_frame view = { .head = header, .head_bytes = s->header_bytes };
	struct nb_plan *plan = draft(nb, q, f);
	struct nb_part part[3];
	uint32_t nr_parts;
	struct cursor c;

	plan->flags = NETRXF_data_validated | (blank ? NETRXF_csum_blank : 0);
	nr_parts = nb_head_parts(&view, d->tag, d->tci, scratch(nb), part);
	if (!take_slots(nb, plan, packed_slots(parts_bytes(part, nr_parts) + s->payload_bytes), nr))
		return false;
	if (!blank)
		frame_complete_headers(header, &s->frame,
				       frame_sum(0, f->data + s->payload_offset,
						 s->payload_bytes));
	start_at(&c, nb, plan);
	for (uint32_t i = 0; i < nr_parts; i++)
		put_part(&c, part[i].at, part[i].bytes);
	put_part(&c, f->data + s->payload_offset, s->payload_bytes);
	end_plan(&c, plan);
	return true;
}

static bool batch_has_room(const struct netback *nb)
{
	/* A piece may lie across two slots: twice as many copies as slots. */
	return nb->nr_plans < NB_COPIES && nb->nr_slots + ALL_SLOTS <= NB_COPIES &&
	       nb->nr_scratch + 2 <= NB_COPIES && nb_flip_has_room(nb->flip) &&
	       nb->copies.max - nb->copies.nr >= 2 * ALL_SLOTS + 4;
}

/*
 * Payload of a segment; smaller than the sender asked for where that is too large here,
 * but not below what every TCP takes.
 */
static uint32_t segment_bytes(const struct nb_port *p, const struct nb_frame *f)
{
	uint32_t least = f->frame.payload_offset + SEGMENT_MIN_BYTES;

	return MIN(f->gso_bytes, MAX(p->frame_bytes_max, least) - f->frame.payload_offset);
}

/* A large packet for a receiver that takes none: as many segments as fit now. */
static bool place_cut(struct netback *nb, struct nb_queue *q, struct nb_delivery *d, int *nr)
{
	struct nb_frame *f = d->frame;
	struct frame_segment s;
	struct frame_cut cut;

	if (!nb_parse(f) ||
	    frame_cut_start(&cut, f->data, f->bytes, &f->frame, segment_bytes(q->port, f))) {
		f->fault = "a large packet is not TCP, or its headers are too long";
		return true;
	}
	frame_cut_skip(&cut, d->cut_at);
	for (;;) {
		uint8_t *header;

		if (!batch_has_room(nb))
			nb_rx_flush(nb);
		header = scratch(nb);
		if (!frame_cut_next(&cut, header, &s))
			break;
		if (!place_segment(nb, q, d, header, &s, nr))
			return false;
		nb->plan[nb->nr_plans - 1].cut = d;
		nb->plan[nb->nr_plans - 1].last = ++d->cut_at == frame_cut_count(&cut);
	}
	nb->stats.completed_in_software++;
	return true;
}

static bool place(struct netback *nb, struct nb_queue *q, struct nb_delivery *d, int *nr)
{
	struct nb_frame *f = d->frame;
	struct nb_port *p = q->port;

	if (f->from)
		return place_whole(nb, q, d, nr);
	if (f->gso && (!p->sg || !nb_suits(f, p->gso_tcpv4, p->gso_tcpv6, true, true)))
		return place_cut(nb, q, d, nr);
	if (!nb_suits(f, true, true, p->ipv4_csum, p->ipv6_csum)) {
		/* Another receiver was told that it is blank: its copy first. */
		if (f->refs > 1)
			nb_rx_flush(nb);
		nb_complete_checksum(nb, f);
	}
	return f->fault || place_whole(nb, q, d, nr);
}

/* False: the receiver's limit is used up, until rx_wait_until_us. */
static bool within_limit(struct nb_port *p)
{
	uint64_t now_us = p->nb->now_us, wait_us = limiter_wait_us(&p->limit, LIMIT_OUT, now_us);

	p->rx_wait_until_us = wait_us ? now_us + wait_us : 0;
	return !wait_us;
}

static void charge(struct nb_port *p, const struct nb_frame *f)
{
	const struct limiter_cost cost = { .way = LIMIT_OUT, .bytes = f->bytes };

	limiter_charge(&p->limit, &cost);
}

uint32_t nb_rx_fill(struct netback *nb, struct nb_queue *q)
{
	int nr = ring_back_pending(&q->rx);
	uint32_t done = 0;

	if (nr < 0) {
		nb_break(q->port, "the rx ring's producer is impossible");
		return 0;
	}
	q->blocked = false;
	q->rx_most = MAX(q->rx_most, (uint32_t)nr);
	for (; q->fifo_nr; done++) {
		bool goes = !q->port->limit.on || within_limit(q->port);
		struct nb_delivery *d;

		if (goes && q->fifo_nr > 1)
			nb_join(nb, q, (uint32_t)nr);
		d = nb_waiting(q, 0);
		if (!batch_has_room(nb))
			nb_rx_flush(nb);
		if (!d->frame->fault && !(goes && place(nb, q, d, &nr))) {
			q->blocked = true;
			q->rx_seen = (uint32_t)nr;
			q->rx_short = goes ? MIN(q->rx_seen, ALL_SLOTS - 1) : 0;
			if (q->lent)
				make_room(q);
			q->lent = false;
			break;
		}
		if (d->frame->fault)
			lose_delivery(q->port, d, VSWITCH_MALFORMED);
		else
			q->stalled = false;
		if (q->port->limit.on)
			charge(q->port, d->frame);
		nb_rx_pop(q);
	}
	return done;
}

/* ---- the copies and their responses ---------------------------------------------------- */

static void put_extras(struct nb_queue *q, const struct nb_plan *plan)
{
	netif_extra_info_t x;

	if (plan->gso) {
		memset(&x, 0, sizeof(x));
		x.type = XEN_NETIF_EXTRA_TYPE_GSO;
		x.flags = plan->hash_type ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
		x.u.gso.size = plan->gso_bytes;
		x.u.gso.type = plan->gso;
		ring_back_put(&q->rx, &x, sizeof(x));
	}
	if (plan->hash_type) {
		memset(&x, 0, sizeof(x));
		x.type = XEN_NETIF_EXTRA_TYPE_HASH;
		x.u.hash.type = (uint8_t)__builtin_ctz(plan->hash_type);
		x.u.hash.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ;
		memcpy(x.u.hash.value, &plan->hash, sizeof(x.u.hash.value));
		ring_back_put(&q->rx, &x, sizeof(x));
	}
}

static void respond(struct netback *nb, const struct nb_plan *plan, bool failed)
{
	struct nb_queue *q = plan->queue;
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < plan->nr_slots; i++) {
		const struct nb_slot *slot = &nb->slots[plan->slot_first + i];
		netif_rx_response_t *rsp = ring_back_next(&q->rx);
		uint32_t flags = i + 1 < plan->nr_slots ? NETRXF_more_data : 0;

		if (!i)
			flags |= plan->flags | (extras_of(plan) ? NETRXF_extra_info : 0u);
		rsp->id = slot->id;
		rsp->offset = 0;
		rsp->flags = (uint16_t)flags;
		rsp->status = failed ? NETIF_RSP_ERROR : (int16_t)slot->bytes;
		bytes += slot->bytes;
		if (!i)
			put_extras(q, plan);
		NB_STEP();
	}
	nb_figures_received(q, plan, bytes, failed);
}

/* Why the frame did not arrive whole; NULL: it did. */
static const char *copies_fault(const struct netback *nb, const struct nb_plan *plan)
{
	for (uint32_t i = 0; i < plan->copy_nr; i++)
		if (grant_batch_status(&nb->copies, plan->copy_first + i) != GNTST_okay) {
			plan->frame->lost = true;
			return "a copy into an rx slot failed: its grant, or the sender's, is not valid";
		}
	return NULL;
}

static const char *flips_fault(const struct nb_plan *plan)
{
	switch (nb_flip_result(plan->queue->port, plan->copy_first, plan->copy_nr)) {
	case NB_FLIP_TAKEN:
		return NULL;
	case NB_FLIP_BAD_SOURCE:
		plan->frame->lost = true;
		return "a page could not be filled: a sender's grant is not valid";
	default:
		return "a page was not taken: its entry does not accept one from us, or the "
		       "domain's reservation is full";
	}
}

/*
 * A packet that was cut counts once, when all of its segments have gone. Its delivery is out
 * of the fifo by then, but nothing else comes to that place before the end of the pass.
 */
static void count_lost(const struct nb_plan *plan, bool failed)
{
	struct nb_port *p = plan->queue->port;

	if (!plan->cut) {
		if (failed)
			lose_frame(p, plan->frame, VSWITCH_MALFORMED);
		return;
	}
	plan->cut->arrived |= !failed;
	plan->cut->failed |= failed;
	if (plan->last && plan->cut->failed)
		lose_delivery(p, plan->cut, VSWITCH_MALFORMED);
}

/*
 * Whose fault a failed copy is cannot be told from the status: both are told; a page's
 * failure names who. Other receivers of the frame are not concerned.
 */
void nb_rx_flush(struct netback *nb)
{
	int rc;

	nb->stats.copies += nb->copies.nr;
	nb->stats.copy_calls += nb->copies.nr > 0;
	rc = grant_batch_flush(&nb->copies);
	nb_flip_run(nb);
	for (uint32_t i = 0; i < nb->nr_plans; i++) {
		const struct nb_plan *plan = &nb->plan[i];
		const char *fault = plan->flips ? flips_fault(plan) :
				    rc ? copies_fault(nb, plan) : NULL;

		respond(nb, plan, fault);
		count_lost(plan, fault);
		if (fault)
			log_peer_at(plan->queue->port->log, LOG_LEVEL_WARNING, "%s", fault);
		nb_frame_put(plan->frame);
	}
	nb->nr_plans = nb->nr_slots = nb->nr_scratch = 0;
}
