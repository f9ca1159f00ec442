/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segments to one large packet, for a receiver that takes those.
 *
 * Hides: which of the frames that wait become one, and that it is put together in our
 * memory. Must not know: slots of rings, what makes segments fit together (frame.h).
 *
 * A sender without segmentation offload sends each segment by itself. What a guest
 * pays for a packet hardly depends on its size, so many that have come together
 * anyway are given to it as one; nothing waits for that. Only segments with a blank
 * checksum are joined, so there is none to verify, and only such as were copied whole
 * with their headers, so they are answered at once.
 */
#include <string.h>
#include "netback-internal.h"

static bool is_segment(struct nb_frame *f)
{
	return !f->gso && f->csum_blank && !f->fault && f->head_bytes == f->bytes &&
	       nb_parse(f) && f->frame.l4 == FRAME_TCP;
}

static bool is_taken(const struct nb_port *p, const struct nb_frame *f)
{
	return p->sg && (f->frame.l3 == FRAME_IPV6 ? p->gso_tcpv6 && p->ipv6_csum :
						     p->gso_tcpv4 && p->ipv4_csum);
}

/* How many of those that wait are one packet. */
static uint32_t count(struct nb_queue *q, struct frame_join *j, uint32_t bytes_max)
{
	const struct nb_delivery *first = nb_waiting(q, 0), *d;
	uint32_t nr;

	if (!is_segment(first->frame) || !is_taken(q->port, first->frame) ||
	    !frame_join_start(j, first->frame->head, &first->frame->frame, bytes_max))
		return 0;
	for (nr = 1; nr < q->fifo_nr; nr++) {
		d = nb_waiting(q, nr);
		if (d->tag != first->tag || d->tci != first->tci || !is_segment(d->frame) ||
		    !frame_join_next(j, d->frame->head, &d->frame->frame))
			break;
	}
	return nr;
}

static void put_together(struct nb_queue *q, uint32_t nr, const struct frame_join *j,
			 struct nb_frame *m)
{
	const struct nb_frame *first = nb_waiting(q, 0)->frame;
	uint8_t *to = m->data + j->frame.payload_offset;

	frame_join_header(j, m->data);
	for (uint32_t i = 0; i < nr; i++) {
		struct nb_frame *f = nb_waiting(q, i)->frame;
		uint32_t bytes = f->bytes - f->frame.payload_offset;

		memcpy(to, f->head + f->frame.payload_offset, bytes);
		to += bytes;
		m->copied_bytes += f->copied_bytes;
		f->copied_bytes = 0;
	}
	m->copied_bytes += j->frame.bytes;
	m->port = first->port;
	m->bytes = m->head_bytes = j->frame.bytes;
	m->frame = j->frame;
	m->parsed = m->joined = true;
	m->csum_blank = m->csum_validated = true;
	m->gso = j->frame.l3 == FRAME_IPV6 ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4;
	m->gso_bytes = (uint16_t)j->mss;
}

void nb_join(struct netback *nb, struct nb_queue *q, uint32_t nr_slots)
{
	uint32_t nr;
	struct nb_delivery joined = *nb_waiting(q, 0);
	struct frame_join j;
	struct nb_frame *m;

	/* Two are for extra infos. */
	if (nr_slots < 4)
		return;
	/* One in place of several that are in our memory already is none more. */
	if (joined.frame->from && !nb_rx_has_buffers(q))
		return;
	nr = count(q, &j, (nr_slots - 2) * GRANT_PAGE_BYTES);
	if (nr < 2)
		return;
	m = nb_buffer_get(nb, true);
	if (!m)
		return;
	put_together(q, nr, &j, m);
	for (uint32_t i = 0; i < nr; i++)
		nb_rx_pop(q);
	joined.frame = m;
	q->fifo_head--;
	q->fifo_nr++;
	*nb_waiting(q, 0) = joined;
	nb_rx_hold(q->port, m);
	nb->stats.joined += nr;
}
