/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio network driver: a frame with its header in one buffer, one descriptor for each.
 * Hides headers, which buffers are free. Buffers are large only where large frames are
 * asked for, since without VIRTIO_NET_F_MRG_RXBUF each must hold the largest.
 */
#include <linux/virtio_net.h>
#include <string.h>

#include "frames.h"
#include "guest.h"
#include "virtio.h"

#define HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define SMALL_BYTES 2048u
#define LARGE_BYTES 69632u
#define BIT(n) (1u << (n))

static struct vq rx, tx;
static char *rx_buffers, *tx_buffers;
static uint32_t stride;
static unsigned int nr_free;
static uint16_t free_tx[VQ_SIZE];

static char *buffer(char *of, uint64_t i)
{
	return of + i * stride;
}

static void add_rx(uint16_t i)
{
	rx.desc[i] = (struct vring_desc){ .addr = (uint64_t)buffer(rx_buffers, i), .len = stride,
					  .flags = VRING_DESC_F_WRITE };
	vq_add(&rx, i);
}

static void open_buffers(bool large)
{
	unsigned int nr_rx = large ? 64 : VQ_SIZE, nr_tx = large ? 32 : VQ_SIZE;

	stride = large ? LARGE_BYTES : SMALL_BYTES;
	rx_buffers = net_memory((size_t)nr_rx * stride);
	tx_buffers = net_memory((size_t)nr_tx * stride);
	for (unsigned int i = 0; i < nr_rx; i++)
		add_rx((uint16_t)i);
	for (unsigned int i = nr_tx; i;)
		free_tx[nr_free++] = (uint16_t)--i;
}

static bool net_open(void)
{
	uint32_t all = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
		       BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	uint32_t wanted = frame_is_stream(job->op) ? all : 0, accepted;
	static const uint8_t mac[6] = FRAME_GUEST_MAC;

	accepted = virtio_begin(1, wanted | BIT(VIRTIO_NET_F_MAC), "there is no virtio network card");
	for (unsigned int i = 0; i < sizeof(mac); i++)
		if (virtio_config8(i) != mac[i])
			give_up(-6, "the virtio network card has another address");
	open_buffers((accepted & all) == all);
	virtio_queue(&rx, 0, accepted);
	virtio_queue(&tx, 1, accepted);
	virtio_go();
	vq_kick(&rx);
	return (accepted & all) == all;
}

/* ---- sending ------------------------------------------------------------------------ */

static void reap(void)
{
	uint32_t i;

	while (vq_pending(&tx)) {
		i = vq_get(&tx).id;
		if (i >= VQ_SIZE || nr_free == VQ_SIZE)
			give_up(-71, "the virtio network card answered what was not sent");
		free_tx[nr_free++] = (uint16_t)i;
	}
}

static bool net_get(struct nic_frame *f, uint32_t bytes)
{
	if (nr_free < 16)
		reap();
	if (!nr_free)
		return false;
	f->handle = free_tx[--nr_free];
	f->nr = 1;
	f->piece[0].base = buffer(tx_buffers, f->handle) + HEADER;
	f->piece[0].bytes = f->bytes = bytes;
	return true;
}

static void net_send(struct nic_frame *f)
{
	struct virtio_net_hdr_v1 h = { 0 };
	char *at = buffer(tx_buffers, f->handle);

	if (f->blank) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = FRAME_TCP_AT;
		h.csum_offset = FRAME_CHECKSUM_AT;
	}
	if (f->gso_bytes) {
		h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = f->gso_bytes;
		h.hdr_len = FRAME_SEGMENT;
	}
	memcpy(at, &h, sizeof(h));
	tx.desc[f->handle] = (struct vring_desc){ .addr = (uint64_t)at, .len = HEADER + f->bytes };
	vq_add(&tx, (uint16_t)f->handle);
}

static unsigned int net_in_flight(void)
{
	reap();
	return vq_in_flight(&tx);
}

/* ---- receiving ----------------------------------------------------------------------- */

static bool net_receive(struct nic_frame *f)
{
	struct virtio_net_hdr_v1 h;
	struct vring_used_elem e;
	char *at;

	if (!vq_pending(&rx))
		return false;
	e = vq_get(&rx);
	if (e.id >= VQ_SIZE || e.len < HEADER || e.len > stride)
		give_up(-71, "the virtio network card received a frame that cannot be");
	at = buffer(rx_buffers, e.id);
	memcpy(&h, at, sizeof(h));
	f->handle = e.id;
	f->nr = 1;
	f->bytes = e.len - HEADER;
	f->piece[0].base = at + HEADER;
	f->piece[0].bytes = f->bytes;
	f->blank = h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
	f->gso_bytes = h.gso_type ? h.gso_size : 0;
	return true;
}

static void net_release(struct nic_frame *f)
{
	add_rx((uint16_t)f->handle);
}

/* ---- both ------------------------------------------------------------------------------ */

static void net_kick(void)
{
	vq_kick(&tx);
	vq_kick(&rx);
}

/* Asks for interrupts first, so that none can be missed; half of what is sent is worth one. */
static bool ready(void *arg)
{
	unsigned int what = *(unsigned int *)arg, half = (vq_in_flight(&tx) + 1) / 2;
	bool poll = job->flags & CMP_POLL;

	if (what & NIC_RECEIVABLE && (poll ? vq_pending(&rx) : vq_listen(&rx, 1)))
		return true;
	return what & NIC_SENDABLE && (!half || (poll ? vq_pending(&tx) : vq_listen(&tx, half)));
}

/* Without the event index an interrupt comes for all that completes from here on. */
static void net_wait(unsigned int what)
{
	irq_wait(ready, &what);
	if (rx.event_index) {
		vq_hold_off(&rx);
		vq_hold_off(&tx);
	}
	if (what & NIC_SENDABLE)
		reap();
}

static void net_close(void)
{
	/* The machine ends with the job. */
}

const struct nic_model nic_virtio = {
	.open = net_open, .get = net_get, .send = net_send, .receive = net_receive,
	.release = net_release, .kick = net_kick, .wait = net_wait,
	.in_flight = net_in_flight, .close = net_close,
};
