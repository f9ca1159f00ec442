/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device's side of a split virtqueue.
 *
 * Hides: descriptors, indices, notification suppression. Must not know: devices, KVM.
 * The guest is not trusted: every address comes from memory(), every chain ends, every
 * index is reduced. One thread. Source: Virtual I/O Device (VIRTIO) 1.2, 2.7.
 */
#ifndef CMP_VIRTQUEUE_H
#define CMP_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQUEUE_MAX 256u
#define VIRTQUEUE_SEGMENTS 130u

struct virtqueue {
	void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes);
	void *ctx;
	/* As the driver set them, before virtqueue_start(). */
	uint32_t size;			/* a power of two up to VIRTQUEUE_MAX */
	uint64_t desc_gpa, avail_gpa, used_gpa;
	bool event_index;		/* VIRTIO_RING_F_EVENT_IDX was accepted */
	/* The queue's own. */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail, next_used, signalled;
};

/* A request: what the device reads, then what it writes. */
struct virtqueue_chain {
	uint16_t head;
	unsigned int nr_out, nr_in;
	struct iovec iov[VIRTQUEUE_SEGMENTS];	/* nr_out, then nr_in */
};

/* -EINVAL: size or addresses are not usable; the queue stays as it was. */
int virtqueue_start(struct virtqueue *vq);
/*
 * 1 and the next request, 0 when there is none, -EPROTO: the driver's ring is broken
 * and the device must not go on with it.
 */
int virtqueue_take(struct virtqueue *vq, struct virtqueue_chain *out);
/* Answers a request; seen by the driver after virtqueue_push(). */
void virtqueue_put(struct virtqueue *vq, uint16_t head, uint32_t written_bytes);
/* Makes the answers visible. True: the driver wants to be told. */
bool virtqueue_push(struct virtqueue *vq);
/* No notifications are wanted for now. */
void virtqueue_hold_off(struct virtqueue *vq);
/* They are again. True: there is something already, so do not sleep. */
bool virtqueue_listen(struct virtqueue *vq);

#endif
