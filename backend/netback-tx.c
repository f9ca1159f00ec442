/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From tx rings to frames, and the answers.
 *
 * Hides: slots, extra infos and how a chain of them makes a frame. Must not know:
 * where frames go.
 *
 * Each slot is copied out once and never looked at again (a front end may
 * change it while we read). A frame whose end can be found is answered with an
 * error when something about it is wrong; a ring on which the end cannot be
 * found is stopped, for nothing after it can be believed.
 */
#include <errno.h>
#include <string.h>
#include "netback-internal.h"

union tx_slot {
	netif_tx_request_t req;
	netif_extra_info_t extra;
};

/* ---- one frame -------------------------------------------------------------------- */

static bool take(struct nb_queue *q, int *nr, union tx_slot *out)
{
	if (!*nr)
		return false;
	(*nr)--;
	ring_back_take(&q->tx, out, sizeof(*out));
	return true;
}

static void fault(struct nb_frame *f, const char *why)
{
	if (!f->fault)
		f->fault = why;
}

static void change_group(struct nb_frame *f, const netif_extra_info_t *x)
{
	struct vswitch *sw = f->port->nb->sw;
	bool joins = x->type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD;
	int rc = joins ? vswitch_multicast_add(sw, f->port->number, x->u.mcast.addr) :
			 vswitch_multicast_del(sw, f->port->number, x->u.mcast.addr);

	f->group = true;
	if (rc == -ENOENT)
		rc = 0;			/* left already, before a worker's end say */
	if (!rc)
		nb_journal_group(&f->port->journal, x->u.mcast.addr, joins);
	if (rc == -ENOSPC)
		fault(f, "the multicast list is full");
	else if (rc)
		fault(f, "a multicast address is no such address");
}

static void take_extra(struct nb_frame *f, const netif_extra_info_t *x)
{
	switch (x->type) {
	case XEN_NETIF_EXTRA_TYPE_GSO:
		if (!x->u.gso.size)
			fault(f, "GSO size is 0");
		else if (x->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 &&
			 x->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6)
			fault(f, "GSO type is neither TCPv4 nor TCPv6");
		f->gso = x->u.gso.type;
		f->gso_bytes = x->u.gso.size;
		break;
	case XEN_NETIF_EXTRA_TYPE_MCAST_ADD:
	case XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
		change_group(f, x);
		break;
	case XEN_NETIF_EXTRA_TYPE_HASH:
		break;		/* we hash ourselves: a sender's word chooses no queue */
	default:
		fault(f, "an extra info's type is unknown");
	}
}

static bool take_extras(struct nb_queue *q, struct nb_frame *f, int *nr)
{
	union tx_slot s;

	do {
		if (!take(q, nr, &s))
			return false;
		f->record->nr_extras++;
		take_extra(f, &s.extra);
	} while (s.extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
	return true;
}

static void add_piece(struct nb_frame *f, const netif_tx_request_t *req, uint32_t bytes)
{
	struct nb_piece *piece;

	if (req->offset + bytes > GRANT_PAGE_BYTES) {
		fault(f, "a slot reaches past the end of its page");
		return;
	}
	if (!bytes && f->nr_pieces)
		return;		/* allowed, and nothing to copy */
	if (f->nr_pieces == NETBACK_SLOTS_MAX) {
		fault(f, "a frame has more than 18 slots");
		return;
	}
	piece = &f->piece[f->nr_pieces++];
	piece->gref = req->gref;
	piece->offset = req->offset;
	piece->bytes = (uint16_t)bytes;
}

/* The first slot says the whole length; its own part is what the others leave. */
static void first_piece(struct nb_frame *f, const netif_tx_request_t *first, uint32_t rest)
{
	uint32_t bytes = first->size - rest;

	if (rest > first->size)
		fault(f, "a frame's slots are longer than the frame");
	else if (first->offset + bytes > GRANT_PAGE_BYTES)
		fault(f, "a slot reaches past the end of its page");
	else
		f->piece[0].bytes = (uint16_t)bytes;
	if (first->size < FRAME_ETH_BYTES)
		fault(f, "a frame is shorter than an Ethernet header");
}

static const char *take_rest(struct nb_queue *q, struct nb_frame *f, int *nr, uint32_t *rest)
{
	union tx_slot s;

	*rest = 0;
	do {
		if (!take(q, nr, &s))
			return "a frame has no end";
		if (f->record->nr_slots == NB_SLOTS_FATAL)
			return "a frame has 20 slots and more";
		f->record->id[f->record->nr_slots++] = s.req.id;
		*rest += s.req.size;
		add_piece(f, &s.req, s.req.size);
	} while (s.req.flags & NETTXF_more_data);
	return NULL;
}

static uint32_t slots_of(const struct nb_frame *f)
{
	return (uint32_t)f->record->nr_slots + f->record->nr_extras;
}

static struct nb_frame *new_frame(struct nb_queue *q)
{
	struct nb_frame *f = q->free;

	q->free = f->next;
	f->next = NULL;
	f->port = q->port;
	f->from = q;
	f->since_cycles = q->port->nb->pass_cycles;
	f->copied_bytes = 0;
	f->pulled = NULL;
	f->data = NULL;
	f->head = f->header;
	f->area = NULL;
	f->head_bytes = 0;
	f->refs = 1;
	f->gso = XEN_NETIF_GSO_TYPE_NONE;
	f->gso_bytes = 0;
	f->parsed = f->joined = false;
	f->fault = NULL;
	f->group = f->lost = false;
	f->record->nr_slots = 0;
	f->record->nr_extras = f->nr_pieces = 0;
	f->copy_nr = 0;
	return f;
}

static void free_area(struct nb_frame *f)
{
	struct netback *nb = f->port->nb;

	if (f->area)
		nb->free_areas[nb->nr_areas++] =
			(uint16_t)((size_t)(f->area - nb->areas) / NB_AREA_BYTES);
	f->area = NULL;
}

static void free_frame(struct nb_frame *f)
{
	f->next = f->from->free;
	f->from->free = f;
}

/* NULL: the ring is broken, why says how. */
static struct nb_frame *take_frame(struct nb_queue *q, int *nr, const char **why)
{
	struct nb_frame *f = new_frame(q);
	uint32_t rest = 0, begin = q->tx.req_cons;
	netif_tx_request_t first;
	union tx_slot s;

	take(q, nr, &s);
	first = s.req;
	f->record->id[f->record->nr_slots++] = first.id;
	f->bytes = first.size;
	f->csum_blank = first.flags & NETTXF_csum_blank;
	f->csum_validated = first.flags & (NETTXF_csum_blank | NETTXF_data_validated);
	f->piece[f->nr_pieces++] = (struct nb_piece){ .gref = first.gref, .offset = first.offset };
	*why = NULL;
	if (first.flags & NETTXF_extra_info && !take_extras(q, f, nr))
		*why = "an extra info has no end";
	else if (first.flags & NETTXF_more_data)
		*why = take_rest(q, f, nr, &rest);
	if (*why) {
		/* For the journal it was never taken: a successor finds it where it was. */
		q->tx.req_cons = begin;
		free_frame(f);
		return NULL;
	}
	if (!f->group)
		first_piece(f, &first, rest);
	q->tx_used += slots_of(f);
	nb_journal_take(f->record, q->tx.req_cons);
	return f;
}

/* ---- heads ------------------------------------------------------------------------- */

/*
 * How much of a frame is copied before the decision. A short one is copied whole: on
 * a host each copy of a batch costs as much as some 1,000 octets more. Of others, what
 * the first slot holds, when that can be all headers, as it is with Linux.
 */
static uint32_t head_bytes(const struct nb_frame *f)
{
	uint32_t first = f->piece[0].bytes;

	if (f->bytes <= (f->area ? NB_AREA_BYTES : NETBACK_HEADER_BYTES))
		return f->bytes;
	return first >= NB_HEAD_BYTES && first < NETBACK_HEADER_BYTES ? first : NETBACK_HEADER_BYTES;
}

/* Adds the copies of octets from at to want. The batch has room for all. */
static void copy_to_head(struct netback *nb, struct nb_frame *f, uint32_t want)
{
	uint8_t *head = f->area ? f->area : f->header;
	uint32_t skip = f->head_bytes, at = skip;

	f->copy_first = nb->heads.nr;
	for (uint32_t i = 0; i < f->nr_pieces && at < want; i++) {
		const struct nb_piece *piece = &f->piece[i];
		const uint8_t *page = nb_mapped(f->from, piece->gref);
		uint32_t drop = MIN(skip, piece->bytes);
		uint32_t bytes = MIN(piece->bytes - drop, want - at);

		skip -= drop;
		if (!bytes)
			continue;
		if (page)
			memcpy(head + at, page + piece->offset + drop, bytes);
		else
			grant_batch_from(&nb->heads, head + at, f->port->domid, piece->gref,
					 (uint16_t)(piece->offset + drop), (uint16_t)bytes);
		at += bytes;
	}
	f->copy_nr = nb->heads.nr - f->copy_first;
	f->from->count->copies += f->copy_nr;
	f->from->count->copied_bytes += at - f->head_bytes;
	f->head_bytes = want;
}

static void copy_head(struct netback *nb, struct nb_frame *f)
{
	if (nb->nr_areas) {
		f->area = nb->areas + (size_t)nb->free_areas[--nb->nr_areas] * NB_AREA_BYTES;
		f->head = f->area;
	}
	copy_to_head(nb, f, head_bytes(f));
}

static void run_heads(struct netback *nb)
{
	int rc;

	if (!nb->heads.nr)
		return;
	nb->stats.copies += nb->heads.nr;
	nb->stats.copy_calls++;
	rc = grant_batch_flush(&nb->heads);
	for (uint32_t i = 0; i < nb->nr_taken; i++) {
		struct nb_frame *f = nb->taken[i];

		for (uint32_t j = 0; rc && f->from && j < f->copy_nr; j++)
			if (grant_batch_status(&nb->heads, f->copy_first + j) != GNTST_okay)
				fault(f, "a slot's grant cannot be read");
		f->copy_nr = 0;
	}
}

/* Or the frame may have headers behind the octets that we have. */
static bool sees_enough(struct nb_frame *f)
{
	return f->head_bytes >= MIN(f->bytes, NETBACK_HEADER_BYTES) ||
	       (nb_parse(f) && f->frame.l4 != FRAME_L4_OTHER);
}

void nb_tx_headed(struct netback *nb)
{
	run_heads(nb);
	for (uint32_t i = 0; i < nb->nr_taken; i++) {
		struct nb_frame *f = nb->taken[i];

		if (!f->from || f->fault || f->group || sees_enough(f))
			continue;
		if (nb->heads.max - nb->heads.nr < NETBACK_SLOTS_MAX)
			run_heads(nb);
		f->parsed = false;
		copy_to_head(nb, f, NETBACK_HEADER_BYTES);
	}
	run_heads(nb);
}

/* ---- answers ------------------------------------------------------------------------ */

void nb_tx_answer(struct nb_frame *f, int16_t status)
{
	struct nb_queue *q = f->from;

	nb_journal_answer(f->record, &q->tx, status);
	nb_figures_answered(q, f, status);
	q->tx_used -= slots_of(f);
	free_area(f);
	f->next = q->answered;
	q->answered = f;
	nb_activate(q);
}

bool nb_tx_push(struct nb_queue *q)
{
	struct nb_frame *f;
	bool tell;

	if (!q->answered)
		return false;
	nb_journal_push_tx(q->journal, &q->tx);
	tell = ring_back_push(&q->tx);
	while ((f = q->answered)) {
		q->answered = f->next;
		nb_journal_free(f->record);
		free_frame(f);
	}
	return tell;
}

void nb_frame_put(struct nb_frame *f)
{
	if (--f->refs)
		return;
	if (f->from) {
		nb_tx_answer(f, f->fault || f->lost ? NETIF_RSP_ERROR : NETIF_RSP_OKAY);
		return;
	}
	nb_buffer_put(f->port->nb, f);
}

/* ---- gathering ---------------------------------------------------------------------- */

static bool has_room(const struct netback *nb)
{
	return nb->nr_taken < NB_TAKEN &&
	       nb->heads.max - nb->heads.nr >= NETBACK_SLOTS_MAX;
}

static bool is_limited(const struct nb_port *p)
{
	return p->rate.bytes || p->limit.on;
}

/*
 * Whether the limits let the next frame through, by the length that its first slot
 * states; it is charged then.
 */
static bool may_go(struct nb_port *p, struct nb_queue *q, uint16_t *bytes)
{
	uint64_t now_us = p->nb->now_us, wait_us;
	struct limiter_cost cost = { .way = LIMIT_IN };
	netif_tx_request_t first;

	ring_back_peek(&q->tx, &first, sizeof(first));
	*bytes = first.size;
	cost.bytes = first.size;
	wait_us = p->limit.on ? limiter_wait_us(&p->limit, LIMIT_IN, now_us) : 0;
	if (!wait_us)
		wait_us = shaper_take(&p->rate, first.size, now_us);
	if (!wait_us)
		limiter_charge(&p->limit, &cost);
	p->wait_until_us = wait_us ? now_us + wait_us : 0;
	return !wait_us;
}

/* What it costs whoever has to cut it. */
static uint32_t segments_of(const struct nb_frame *f)
{
	return f->gso && f->gso_bytes ? f->bytes / f->gso_bytes + 1 : 1;
}

void nb_tx_gather(struct netback *nb, struct nb_queue *q, uint32_t share)
{
	struct nb_port *p = q->port;
	int nr = ring_back_pending(&q->tx);
	uint32_t i, segments = 0;
	const char *why;

	if (nr < 0) {
		nb_break(p, "the tx ring's producer is impossible");
		return;
	}
	if (nr)
		moderation_heard(&q->tx_told, nb->now_us);
	for (i = 0; nr && i < share && segments < share * NB_SEGMENTS && q->free && has_room(nb);
	     i++) {
		struct nb_frame *f;
		uint16_t bytes = 0;

		if (is_limited(p) && !may_go(p, q, &bytes)) {
			q->count->throttled++;
			break;
		}
		f = take_frame(q, &nr, &why);
		if (!f) {
			nb_break(p, why);
			break;
		}
		if (is_limited(p) && f->bytes != bytes)
			fault(f, "a slot changed while it was read");
		if (!f->fault && !f->group)
			copy_head(nb, f);
		segments += segments_of(f);
		nb->taken[nb->nr_taken++] = f;
	}
	if (!nb->cut && nr && i < share && q->free && !has_room(nb)) {
		nb->cut = q;
		nb->cut_had = i;
	}
	nb_journal_taken(q->journal, &q->tx);
}
