/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See virtqueue.h. The other side of each fence is the guest's driver,
 * guest/virtio.c.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>

#include "virtqueue.h"

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)
/* The thread sanitizer does not know fences, and says so. */
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif
#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Behind each ring is the index at which its reader wants to be told. */
static uint16_t *used_event(const struct virtqueue *vq)
{
	return &vq->avail->ring[vq->size];
}

static uint16_t *avail_event(const struct virtqueue *vq)
{
	return (uint16_t *)(void *)&vq->used->ring[vq->size];
}

int virtqueue_start(struct virtqueue *vq)
{
	uint32_t n = vq->size;
	void *desc, *avail, *used;

	if (!n || n > VIRTQUEUE_MAX || n & (n - 1) || vq->desc_gpa & 15 ||
	    vq->avail_gpa & 1 || vq->used_gpa & 3)
		return -EINVAL;
	desc = vq->memory(vq->ctx, vq->desc_gpa, n * sizeof(struct vring_desc));
	avail = vq->memory(vq->ctx, vq->avail_gpa, 6 + 2 * n);
	used = vq->memory(vq->ctx, vq->used_gpa, 6 + n * sizeof(struct vring_used_elem));
	if (!desc || !avail || !used)
		return -EINVAL;
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->next_avail = vq->next_used = vq->signalled = 0;
	return 0;
}

/* A descriptor as it is now, as memory of ours. */
static int add_segment(const struct virtqueue *vq, const struct vring_desc *d,
		       struct virtqueue_chain *c)
{
	unsigned int n = c->nr_out + c->nr_in;
	bool in = d->flags & VRING_DESC_F_WRITE;

	if (n == VIRTQUEUE_SEGMENTS || (!in && c->nr_in) ||
	    d->flags & VRING_DESC_F_INDIRECT)
		return -EPROTO;
	c->iov[n].iov_base = vq->memory(vq->ctx, d->addr, d->len);
	c->iov[n].iov_len = d->len;
	if (!c->iov[n].iov_base)
		return -EPROTO;
	if (in)
		c->nr_in++;
	else
		c->nr_out++;
	return 0;
}

int virtqueue_take(struct virtqueue *vq, struct virtqueue_chain *out)
{
	uint16_t there = (uint16_t)(LOAD(vq->avail->idx) - vq->next_avail), i;
	struct vring_desc d = { 0 };
	unsigned int links = 0;

	if (!there)
		return 0;
	if (there > vq->size)
		return -EPROTO;
	i = LOAD(vq->avail->ring[vq->next_avail & (vq->size - 1)]);
	out->head = i;
	out->nr_out = out->nr_in = 0;
	do {
		if (i >= vq->size || ++links > vq->size)
			return -EPROTO;
		memcpy(&d, &vq->desc[i], sizeof(d));
		if (add_segment(vq, &d, out))
			return -EPROTO;
		i = d.next;
	} while (d.flags & VRING_DESC_F_NEXT);
	vq->next_avail++;
	return 1;
}

void virtqueue_put(struct virtqueue *vq, uint16_t head, uint32_t written_bytes)
{
	vq->used->ring[vq->next_used++ & (vq->size - 1)] =
		(struct vring_used_elem){ .id = head, .len = written_bytes };
}

bool virtqueue_push(struct virtqueue *vq)
{
	uint16_t now = vq->next_used, before = vq->signalled;

	STORE(vq->used->idx, now);
	if (now == before)
		return false;
	FENCE();	/* with virtio_listen(): it sees our index, or we its wish */
	vq->signalled = now;
	if (!vq->event_index)
		return !(LOAD(vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(LOAD(*used_event(vq)), now, before);
}

void virtqueue_hold_off(struct virtqueue *vq)
{
	if (!vq->event_index)
		STORE(vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtqueue_listen(struct virtqueue *vq)
{
	if (vq->event_index)
		STORE(*avail_event(vq), vq->next_avail);
	else
		STORE(vq->used->flags, 0);
	FENCE();	/* with virtio_kick() */
	return LOAD(vq->avail->idx) != vq->next_avail;
}
