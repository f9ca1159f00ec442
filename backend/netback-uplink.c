/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A TAP device as a port: frames from and to the kernel's bridges.
 *
 * Hides: the vnet header, which carries checksum and segmentation wishes across
 * the device, and what to do when either end has none. Must not know: rings,
 * who set the device up.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "netback-internal.h"

#define UPLINK_GATHER 64u
#define UPLINK_JOINED 64u		/* segments in one packet */

/* ---- from the kernel --------------------------------------------------------------- */

/* A checksum that is to be filled in, of whatever protocol. */
static bool sum_up(struct nb_frame *m, uint32_t start, uint32_t at)
{
	uint16_t folded;

	if (start + at + sizeof(folded) > m->bytes)
		return false;
	folded = frame_fold(frame_sum(0, m->data + start, m->bytes - start));
	memcpy(m->data + start + at, &folded, sizeof(folded));
	return true;
}

/* False: the header's wishes do not fit the frame. */
static bool take_wishes(struct nb_frame *m, const struct virtio_net_hdr *h)
{
	bool known = nb_parse(m) && m->frame.l4 != FRAME_L4_OTHER && !m->frame.fragment;

	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		break;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		m->gso = XEN_NETIF_GSO_TYPE_TCPV4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		m->gso = XEN_NETIF_GSO_TYPE_TCPV6;
		break;
	default:
		return false;
	}
	m->gso_bytes = h->gso_size;
	if (m->gso && (!known || m->frame.l4 != FRAME_TCP || !m->gso_bytes))
		return false;
	m->csum_validated = h->flags & VIRTIO_NET_HDR_F_DATA_VALID;
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (known && h->csum_start == frame_checksum_start(&m->frame)) {
		m->csum_blank = m->csum_validated = true;
		return true;
	}
	return sum_up(m, h->csum_start, h->csum_offset);
}

/* syscalls bridge: readv */
void nb_uplink_gather(struct netback *nb, struct nb_port *p)
{
	for (uint32_t i = 0; i < UPLINK_GATHER && nb->nr_taken < NB_TAKEN; i++) {
		struct nb_frame *m = nb_buffer_get(nb, true);
		struct virtio_net_hdr h;
		struct iovec iov[2];
		ssize_t got;

		if (!m)
			return;
		m->port = p;
		iov[0] = (struct iovec){ &h, sizeof(h) };
		iov[1] = (struct iovec){ m->data, NB_BUFFER_BYTES };
		got = readv(p->fd, iov, 2);
		if (got < (ssize_t)(sizeof(h) + FRAME_ETH_BYTES)) {
			int err = got < 0 ? errno : EINTR;

			nb_frame_put(m);
			if (err == EINTR)
				continue;
			p->readable = false;	/* until the next event */
			if (err != EAGAIN)	/* deleted: the supervisor makes it anew */
				nb_break(p, "its device has gone");
			return;
		}
		m->bytes = m->head_bytes = m->copied_bytes = (uint32_t)got - sizeof(h);
		if (m->bytes > XEN_NETIF_MAX_TX_SIZE || !take_wishes(m, &h)) {
			nb_frame_put(m);
			continue;
		}
		nb->taken[nb->nr_taken++] = m;
	}
}

/* ---- to the kernel ------------------------------------------------------------------ */

/*
 * Large frames leave some at a time: what they take is copied into pages of our own, as
 * long as these last, and out of them while the CPU has them at hand.
 */
static void make_way(struct netback *nb)
{
	nb_pull_flush(nb);
	for (struct nb_port *p = nb->uplinks; p; p = p->next_uplink)
		nb_uplink_flush(nb, p);
}

void nb_uplink_enqueue(struct nb_port *p, struct nb_frame *f, const struct vswitch_out *out,
		       uint16_t tci)
{
	struct netback *nb = p->nb;
	struct nb_frame *m;

	if (!nb_pull_is_cheap(nb, f))
		make_way(nb);
	m = p->fifo_nr < NB_TAKEN ? nb_pull(nb, f) : NULL;
	if (!m) {
		vswitch_note(nb->sw, p->number, f->bytes, VSWITCH_QUEUE_FULL);
		return;
	}
	m->refs++;
	p->fifo[p->fifo_nr++] = (struct nb_delivery){
		.frame = m, .since_ms = nb->now_ms, .tci = tci, .tag = out->tag,
	};
}

/* The wishes of a frame, for the kernel to fulfil; tag_bytes: what a tag moves. */
static bool put_wishes(struct nb_frame *m, int tag_bytes, struct virtio_net_hdr *h)
{
	memset(h, 0, sizeof(*h));
	if (!m->csum_blank && !m->gso) {
		if (m->csum_validated)
			h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
		return true;
	}
	if (!nb_parse(m) || frame_prepare_checksum(m->data, &m->frame))
		return false;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)(frame_checksum_start(&m->frame) + tag_bytes);
	h->csum_offset = frame_checksum_offset(&m->frame);
	if (!m->gso)
		return true;
	if (m->frame.l4 != FRAME_TCP ||
	    (m->frame.l3 == FRAME_IPV6) != (m->gso == XEN_NETIF_GSO_TYPE_TCPV6))
		return false;
	h->gso_type = m->gso == XEN_NETIF_GSO_TYPE_TCPV6 ? VIRTIO_NET_HDR_GSO_TCPV6 :
							   VIRTIO_NET_HDR_GSO_TCPV4;
	h->gso_size = m->gso_bytes;
	h->hdr_len = (uint16_t)(m->frame.payload_offset + tag_bytes);
	return true;
}

static int tag_moves(const struct nb_delivery *d)
{
	return d->tag == VSWITCH_TAG_PUSH ? (int)FRAME_TAG_BYTES :
	       d->tag == VSWITCH_TAG_POP ? -(int)FRAME_TAG_BYTES : 0;
}

/*
 * Of m, or of segments of which it is the first.
 * syscalls bridge: writev
 */
static bool write_out(struct nb_port *p, const struct nb_frame *m, const struct iovec *iov, int n)
{
	ssize_t put = writev(p->fd, iov, n);

	/* A device that is down or full loses frames, as a cable would. */
	if (put < 0)
		return false;
	nb_figures_copied(m, (uint32_t)put - (uint32_t)iov[0].iov_len);
	return true;
}

static bool write_parts(struct nb_port *p, const struct nb_frame *m,
			const struct virtio_net_hdr *h, const struct nb_part *part, uint32_t nr,
			const void *more, size_t bytes)
{
	struct iovec iov[5] = { { (void *)h, sizeof(*h) } };
	int n = 1;

	for (uint32_t i = 0; i < nr; i++)
		iov[n++] = (struct iovec){ (void *)part[i].at, part[i].bytes };
	if (bytes)
		iov[n++] = (struct iovec){ (void *)more, bytes };
	return write_out(p, m, iov, n);
}

static bool write_whole(struct netback *nb, struct nb_port *p, struct nb_delivery *d)
{
	struct nb_frame *m = d->frame;
	struct virtio_net_hdr h = { 0 };
	struct nb_part part[3];
	uint8_t tag[FRAME_TAG_BYTES];
	uint32_t nr;

	if (!p->offloads)
		nb_complete_checksum(nb, m);
	else if (!put_wishes(m, tag_moves(d), &h))
		m->fault = "offload wishes do not fit the frame";
	if (m->fault)
		return false;
	nr = nb_head_parts(m, d->tag, d->tci, tag, part);
	return write_parts(p, m, &h, part, nr, NULL, 0);
}

static bool write_cut(struct netback *nb, struct nb_port *p, struct nb_delivery *d)
{
	struct nb_frame *m = d->frame;
	struct virtio_net_hdr h = { 0 };
	struct frame_segment s;
	struct frame_cut cut;
	bool all = true;

	if (!nb_parse(m) ||
	    frame_cut_start(&cut, m->data, m->bytes, &m->frame, m->gso_bytes))
		return false;
	for (;;) {
		uint8_t header[FRAME_HEADER_MAX], tag[FRAME_TAG_BYTES];
		struct nb_frame view = { .head = header };
		struct nb_part part[3];
		uint32_t nr;

		if (!frame_cut_next(&cut, header, &s))
			break;
		view.head_bytes = s.header_bytes;
		frame_complete_headers(header, &s.frame,
				       frame_sum(0, m->data + s.payload_offset,
						 s.payload_bytes));
		nr = nb_head_parts(&view, d->tag, d->tci, tag, part);
		all &= write_parts(p, m, &h, part, nr, m->data + s.payload_offset,
				   s.payload_bytes);
	}
	nb->stats.completed_in_software++;
	return all;
}

/* ---- segments that follow each other: one packet ---------------------------------------- */

static bool is_segment(struct nb_frame *m)
{
	return !m->gso && !m->fault && nb_parse(m) && m->frame.l4 == FRAME_TCP;
}

/* A packet's checksum is made anew, so a wrong one must not get into it. */
static bool is_right(const struct nb_frame *m)
{
	return m->csum_blank || frame_checksum_is_right(m->data, &m->frame);
}

static bool belongs(struct nb_delivery *first, struct nb_delivery *d, bool second,
		    struct frame_join *j)
{
	struct frame_join with = *j;

	if (d->tag != first->tag || d->tci != first->tci || !is_segment(d->frame) ||
	    !frame_join_next(&with, d->frame->data, &d->frame->frame) ||
	    (second && !is_right(first->frame)) || !is_right(d->frame))
		return false;
	*j = with;
	return true;
}

/*
 * How many from d on the kernel gets as one packet: what a packet costs there hardly
 * depends on its size, and who sends without segmentation offload sends many. 1: none.
 */
static uint32_t count_joined(const struct nb_port *p, struct nb_delivery *d, uint32_t nr,
			     struct frame_join *j)
{
	uint32_t n = 1;

	if (nr < 2 || !p->offloads || !is_segment(d->frame) ||
	    !frame_join_start(j, d->frame->data, &d->frame->frame, UINT32_MAX))
		return 1;
	while (n < MIN(nr, UPLINK_JOINED) && belongs(d, d + n, n == 1, j))
		n++;
	return n;
}

/* The payloads are gathered by the kernel. */
static bool write_joined(struct netback *nb, struct nb_port *p, const struct nb_delivery *d,
			 uint32_t nr, const struct frame_join *j)
{
	struct iovec iov[4 + UPLINK_JOINED];
	uint8_t header[FRAME_HEADER_MAX], tag[FRAME_TAG_BYTES];
	struct nb_frame view = {
		.data = header, .head = header, .head_bytes = j->frame.payload_offset,
		.bytes = j->frame.bytes, .parsed = true, .frame = j->frame, .csum_blank = true,
		.gso = j->frame.l3 == FRAME_IPV6 ? XEN_NETIF_GSO_TYPE_TCPV6 :
						   XEN_NETIF_GSO_TYPE_TCPV4,
		.gso_bytes = (uint16_t)j->mss,
	};
	struct virtio_net_hdr h;
	struct nb_part part[3];
	uint32_t n = 1, nr_parts;

	frame_join_header(j, header);
	if (!put_wishes(&view, tag_moves(d), &h))
		return false;
	iov[0] = (struct iovec){ &h, sizeof(h) };
	nr_parts = nb_head_parts(&view, d->tag, d->tci, tag, part);
	for (uint32_t i = 0; i < nr_parts; i++)
		iov[n++] = (struct iovec){ (void *)part[i].at, part[i].bytes };
	for (uint32_t i = 0; i < nr; i++) {
		const struct frame *f = &d[i].frame->frame;

		iov[n++] = (struct iovec){ d[i].frame->data + f->payload_offset,
					   d[i].frame->bytes - f->payload_offset };
	}
	nb->stats.joined += nr;
	return write_out(p, d->frame, iov, (int)n);
}

static bool write_one(struct netback *nb, struct nb_port *p, struct nb_delivery *d)
{
	if (d->frame->fault)
		return false;
	return d->frame->gso && !p->offloads ? write_cut(nb, p, d) : write_whole(nb, p, d);
}

uint32_t nb_uplink_flush(struct netback *nb, struct nb_port *p)
{
	uint32_t nr = p->fifo_nr;

	for (uint32_t i = 0, n; i < nr; i += n) {
		struct nb_delivery *d = &p->fifo[i];
		struct frame_join j;
		bool sent;

		n = count_joined(p, d, nr - i, &j);
		sent = n > 1 ? write_joined(nb, p, d, n, &j) : write_one(nb, p, d);
		for (uint32_t k = 0; k < n; k++) {
			if (!sent)
				vswitch_note(nb->sw, p->number, d[k].frame->bytes,
					     d[k].frame->fault ? VSWITCH_MALFORMED :
								 VSWITCH_QUEUE_FULL);
			nb_frame_put(d[k].frame);
		}
	}
	p->fifo_nr = 0;
	return nr;
}
