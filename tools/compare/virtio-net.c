/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See virtio-net.h. Frames go straight between the wire and the guest's memory, with
 * their headers: both ends of the wire have the same.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio-net.h"

#define NET_ID 1u
#define PASS 64u			/* frames of a queue before the other has its turn */
#define BIT(n) ((uint64_t)1 << (n))

_Static_assert(sizeof(struct virtio_net_hdr_v1) == VIRTIO_NET_HEADER, "as VIRTIO 1.2 has it");

struct virtio_net {
	const struct virtio_net_host *host;
	struct virtio_mmio mmio;
	struct virtqueue *rx, *tx;
	struct virtqueue_chain chain, buffer;	/* being sent; the next to receive into */
	bool has_buffer, told_offloads;
	uint64_t copied_bytes;
};

int virtio_net_open(const struct virtio_net_host *host, struct virtio_net **out)
{
	struct virtio_net *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->host = host;
	v->rx = &v->mmio.vq[VIRTIO_NET_RX];
	v->tx = &v->mmio.vq[VIRTIO_NET_TX];
	v->mmio.device_id = NET_ID;
	v->mmio.nr_queues = 2;
	v->mmio.features = BIT(VIRTIO_NET_F_MAC);
	if (!host->no_offloads)
		v->mmio.features |= BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
				    BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	if (!host->no_event_index)
		v->mmio.features |= BIT(VIRTIO_RING_F_EVENT_IDX);
	v->mmio.notified = host->notified;
	v->mmio.ctx = host->ctx;
	memcpy(v->mmio.config, host->mac, sizeof(host->mac));
	virtio_mmio_init(&v->mmio, host->memory, host->ctx);
	*out = v;
	return 0;
}

void virtio_net_close(struct virtio_net *v)
{
	free(v);
}

struct virtio_mmio *virtio_net_mmio(struct virtio_net *v)
{
	return &v->mmio;
}

static void tell(struct virtio_net *v, struct virtqueue *vq)
{
	if (virtqueue_push(vq))
		v->host->interrupt(v->host->ctx);
}

static void count_copied(struct virtio_net *v, uint64_t bytes)
{
	__atomic_store_n(&v->copied_bytes, v->copied_bytes + bytes - VIRTIO_NET_HEADER,
			 __ATOMIC_RELAXED);
}

static uint64_t chain_bytes(const struct virtqueue_chain *c)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < c->nr_out + c->nr_in; i++)
		bytes += c->iov[i].iov_len;
	return bytes;
}

/* ---- transmit --------------------------------------------------------------------- */

/* The wire loses what it does not take, as a cable would. */
static int send_chain(struct virtio_net *v, const struct virtqueue_chain *c)
{
	ssize_t n;

	if (!c->nr_out || c->nr_in)
		return -EPROTO;
	do
		n = writev(v->host->fd, c->iov, (int)c->nr_out);
	while (n < 0 && errno == EINTR);
	if (n > (ssize_t)VIRTIO_NET_HEADER)
		count_copied(v, (uint64_t)n);
	virtqueue_put(v->tx, c->head, 0);
	return 0;
}

/* The number of frames, or -EPROTO. */
static int transmit(struct virtio_net *v)
{
	unsigned int n = 0;
	int r = 0;

	while (n < PASS && (r = virtqueue_take(v->tx, &v->chain)) > 0) {
		r = send_chain(v, &v->chain);
		if (r < 0)
			break;
		n++;
		if (v->host->every_event)
			tell(v, v->tx);
	}
	tell(v, v->tx);
	return r < 0 ? r : (int)n;
}

/* ---- receive ------------------------------------------------------------------------ */

/* 1: there is a buffer for the next frame, 0: none, -EPROTO. */
static int need_buffer(struct virtio_net *v)
{
	int r;

	if (v->has_buffer)
		return 1;
	r = virtqueue_take(v->rx, &v->buffer);
	if (r > 0 && (v->buffer.nr_out || chain_bytes(&v->buffer) < VIRTIO_NET_HEADER ||
		      v->buffer.iov[0].iov_len < VIRTIO_NET_HEADER))
		return -EPROTO;
	v->has_buffer = r > 0;
	return r;
}

static void give_buffer(struct virtio_net *v, uint32_t bytes)
{
	static const uint16_t one = 1;

	memcpy((char *)v->buffer.iov[0].iov_base +
	       offsetof(struct virtio_net_hdr_v1, num_buffers), &one, sizeof(one));
	count_copied(v, bytes);
	virtqueue_put(v->rx, v->buffer.head, bytes);
	v->has_buffer = false;
	if (v->host->every_event)
		tell(v, v->rx);
}

/* The number of frames, or -EPROTO. *starved: for want of buffers there are not more. */
static int receive(struct virtio_net *v, bool *starved)
{
	unsigned int n = 0;
	int r = 0;
	ssize_t got;

	*starved = false;
	while (n < PASS && (r = need_buffer(v)) > 0) {
		got = readv(v->host->fd, v->buffer.iov, (int)v->buffer.nr_in);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		if (got <= (ssize_t)VIRTIO_NET_HEADER)
			continue;
		give_buffer(v, (uint32_t)got);
		n++;
	}
	*starved = !r;
	tell(v, v->rx);
	return r < 0 ? r : (int)n;
}

static void tell_offloads(struct virtio_net *v)
{
	if (v->told_offloads)
		return;
	v->told_offloads = true;
	v->host->offloads(v->host->ctx, virtio_mmio_accepted(&v->mmio, VIRTIO_NET_F_GUEST_CSUM),
			  virtio_mmio_accepted(&v->mmio, VIRTIO_NET_F_GUEST_TSO4));
}

/* One turn of both queues. 1: there may be more, 0: not, -EPROTO. */
static int turn(struct virtio_net *v, bool rx, bool tx, bool *starved)
{
	int sent = 0, received = 0;

	if (tx) {
		virtqueue_hold_off(v->tx);
		sent = transmit(v);
	}
	if (sent >= 0 && rx) {
		virtqueue_hold_off(v->rx);
		received = receive(v, starved);
	}
	if (sent < 0 || received < 0)
		return -EPROTO;
	if (sent || received == (int)PASS)
		return 1;
	/* Only what is waited for is to be told of. */
	return (tx && virtqueue_listen(v->tx)) || (rx && *starved && virtqueue_listen(v->rx));
}

bool virtio_net_serve(struct virtio_net *v)
{
	bool rx = virtio_mmio_ready(&v->mmio, VIRTIO_NET_RX), starved = true;
	bool tx = virtio_mmio_ready(&v->mmio, VIRTIO_NET_TX);
	int r = v->mmio.broken ? -EPROTO : 1;

	if (rx && r > 0)
		tell_offloads(v);
	while (r > 0)
		r = turn(v, rx, tx, &starved);
	if (r < 0)
		__atomic_store_n(&v->mmio.broken, true, __ATOMIC_RELEASE);
	return rx && !r && !starved;
}

uint64_t virtio_net_copied_bytes(const struct virtio_net *v)
{
	return __atomic_load_n(&v->copied_bytes, __ATOMIC_RELAXED);
}
