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
		struct nb_frame *m = nb_buffer_get(nb);
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
			if (got < 0 && errno != EINTR)
				p->readable = false;	/* until the next event */
			nb_frame_put(m);
			if (got < 0 && errno != EINTR)
				return;
			continue;
		}
		m->bytes = m->head_bytes = (uint32_t)got - sizeof(h);
		if (m->bytes > XEN_NETIF_MAX_TX_SIZE || !take_wishes(m, &h)) {
			nb_frame_put(m);
			continue;
		}
		nb->taken[nb->nr_taken++] = m;
	}
}

/* ---- to the kernel ------------------------------------------------------------------ */

void nb_uplink_enqueue(struct nb_port *p, struct nb_frame *f, const struct vswitch_out *out,
		       uint16_t tci)
{
	struct netback *nb = p->nb;
	struct nb_frame *m = p->fifo_nr < NB_TAKEN ? nb_pull(nb, f) : NULL;

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

/* syscalls bridge: writev */
static bool write_parts(struct nb_port *p, const struct virtio_net_hdr *h,
			const struct nb_part *part, uint32_t nr, const void *more, size_t bytes)
{
	struct iovec iov[5] = { { (void *)h, sizeof(*h) } };
	int n = 1;

	for (uint32_t i = 0; i < nr; i++)
		iov[n++] = (struct iovec){ (void *)part[i].at, part[i].bytes };
	if (bytes)
		iov[n++] = (struct iovec){ (void *)more, bytes };
	if (writev(p->fd, iov, n) >= 0)
		return true;
	/* A device that is down or full loses frames, as a cable would. */
	return false;
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
	else if (!put_wishes(m, d->tag == VSWITCH_TAG_PUSH ? 4 :
				d->tag == VSWITCH_TAG_POP ? -4 : 0, &h))
		m->fault = "offload wishes do not fit the frame";
	if (m->fault)
		return false;
	nr = nb_head_parts(m, d->tag, d->tci, tag, part);
	return write_parts(p, &h, part, nr, NULL, 0);
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
		all &= write_parts(p, &h, part, nr, m->data + s.payload_offset,
				   s.payload_bytes);
	}
	nb->stats.completed_in_software++;
	return all;
}

uint32_t nb_uplink_flush(struct netback *nb, struct nb_port *p)
{
	uint32_t nr = p->fifo_nr;

	for (uint32_t i = 0; i < nr; i++) {
		struct nb_delivery *d = &p->fifo[i];
		bool sent = !d->frame->fault &&
			    (d->frame->gso && !p->offloads ? write_cut(nb, p, d) :
							     write_whole(nb, p, d));

		if (!sent)
			vswitch_note(nb->sw, p->number, d->frame->bytes,
				     d->frame->fault ? VSWITCH_MALFORMED : VSWITCH_QUEUE_FULL);
		nb_frame_put(d->frame);
	}
	p->fifo_nr = 0;
	return nr;
}
