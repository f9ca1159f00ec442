/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in our own memory: for uplinks, and for receivers that cannot take a
 * frame as its sender made it.
 *
 * Hides: the buffers, and that a frame is fetched from its sender once however
 * many need it. Must not know: rings. What is inside a frame is frame.h's.
 */
#include <string.h>
#include "netback-internal.h"

struct nb_frame *nb_buffer_get(struct netback *nb, bool own)
{
	struct nb_frame **list = &nb->free_buffers[own], *m = *list;

	if (!m) {
		list = &nb->free_buffers[!own];
		m = *list;
	}
	if (!m)
		return NULL;
	*list = m->next;
	m->next = NULL;
	m->from = NULL;
	m->pulled = NULL;
	m->since_cycles = nb->pass_cycles;
	m->copied_bytes = 0;
	m->refs = 1;
	m->waits = 0;
	m->bytes = 0;
	m->head = m->data = m->buffer;
	m->csum_blank = m->csum_validated = false;
	m->gso = XEN_NETIF_GSO_TYPE_NONE;
	m->gso_bytes = 0;
	m->parsed = m->joined = false;
	m->fault = NULL;
	m->group = m->lost = false;
	m->nr_pieces = 0;
	return m;
}

void nb_buffer_put(struct netback *nb, struct nb_frame *m)
{
	struct nb_frame **list = &nb->free_buffers[m->own];

	m->next = *list;
	*list = m;
}

/*
 * Where in its buffer a frame of f's octets begins: so that the first page of what follows
 * its head lies in ours as in its sender's. The pages behind it do so too, for a sender's
 * data mostly goes on from page to page; a copy that straddled two of ours would be two.
 */
static uint32_t aligned_start(const struct nb_frame *f)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < f->nr_pieces; at += f->piece[i++].bytes)
		if (at >= f->head_bytes)
			return (f->piece[i].offset - at) % GRANT_PAGE_BYTES;
	return 0;
}

/* Adds the copies of what follows f's head. The batch has room for them. */
static void copy_body(struct netback *nb, const struct nb_frame *f, uint8_t *to)
{
	uint32_t skip = f->head_bytes;

	for (uint32_t i = 0; i < f->nr_pieces; i++) {
		const struct nb_piece *piece = &f->piece[i];
		const uint8_t *page = nb_mapped(f->from, piece->gref);
		uint32_t drop = MIN(skip, piece->bytes), bytes = piece->bytes - drop;

		skip -= drop;
		if (!bytes)
			continue;
		if (page)
			memcpy(to, page + piece->offset + drop, bytes);
		else
			grant_batch_from(&nb->pulls, to, f->port->domid, piece->gref,
					 (uint16_t)(piece->offset + drop), (uint16_t)bytes);
		to += bytes;
	}
}

/* Octets that are still to be copied. */
static bool has_body(const struct nb_frame *f)
{
	return f->bytes > f->head_bytes;
}

bool nb_pull_is_cheap(const struct netback *nb, const struct nb_frame *f)
{
	return !f->from || f->pulled || !has_body(f) || nb->nr_bodies < NB_OWN_BUFFERS;
}

struct nb_frame *nb_pull(struct netback *nb, struct nb_frame *f)
{
	struct nb_frame *m;

	if (!f->from)
		return f;
	if (f->pulled)
		return f->pulled;
	m = nb_buffer_get(nb, has_body(f));
	if (!m)
		return NULL;
	if (nb->pulls.max - nb->pulls.nr < NETBACK_SLOTS_MAX)
		nb_pull_flush(nb);
	m->head = m->data = m->buffer + aligned_start(f);
	memcpy(m->data, f->head, f->head_bytes);
	f->copy_first = nb->pulls.nr;
	copy_body(nb, f, m->data + f->head_bytes);
	f->copy_nr = nb->pulls.nr - f->copy_first;
	f->from->count->copied_bytes += f->bytes;
	m->port = f->port;
	m->since_cycles = f->since_cycles;
	m->bytes = m->head_bytes = f->bytes;
	m->csum_blank = f->csum_blank;
	m->csum_validated = f->csum_validated;
	m->gso = f->gso;
	m->gso_bytes = f->gso_bytes;
	f->pulled = m;
	f->refs++;
	nb->pulled[nb->nr_pulled++] = f;
	nb->nr_bodies += has_body(f);
	return m;
}

void nb_pull_flush(struct netback *nb)
{
	int rc;

	nb->stats.copies += nb->pulls.nr;
	nb->stats.copy_calls += nb->pulls.nr > 0;
	rc = grant_batch_flush(&nb->pulls);
	for (uint32_t i = 0; i < nb->nr_pulled; i++) {
		struct nb_frame *f = nb->pulled[i];

		for (uint32_t j = 0; rc && j < f->copy_nr; j++)
			if (grant_batch_status(&nb->pulls, f->copy_first + j) != GNTST_okay)
				f->fault = f->pulled->fault = "a slot's grant cannot be read";
		nb_frame_put(f->pulled);	/* ours; deliveries have theirs */
		f->pulled = NULL;
		nb_frame_put(f);
	}
	nb->nr_pulled = nb->nr_bodies = 0;
}

bool nb_suits(struct nb_frame *f, bool gso_tcpv4, bool gso_tcpv6,
	      bool ipv4_csum, bool ipv6_csum)
{
	bool v6;

	if (f->gso == XEN_NETIF_GSO_TYPE_TCPV4 && !gso_tcpv4)
		return false;
	if (f->gso == XEN_NETIF_GSO_TYPE_TCPV6 && !gso_tcpv6)
		return false;
	if (!f->csum_blank || (ipv4_csum && ipv6_csum))
		return true;
	/* Which of the two it is, the frame must say. */
	v6 = nb_parse(f) && f->frame.l3 == FRAME_IPV6;
	return v6 ? ipv6_csum : ipv4_csum;
}

void nb_complete_checksum(struct netback *nb, struct nb_frame *f)
{
	if (!f->csum_blank || f->gso)
		return;
	if (!nb_parse(f) || frame_complete_checksum(f->data, &f->frame))
		f->fault = "a blank checksum is of neither TCP nor UDP";
	f->csum_blank = false;
	nb->stats.completed_in_software++;
}
