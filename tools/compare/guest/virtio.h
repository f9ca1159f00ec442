/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver's side of virtio-mmio and of a split virtqueue: add, kick, get, and callbacks
 * suppressed by the event index.
 *
 * Hides: registers, rings, fences. Must not know: what a device is for. Who uses a queue
 * fills its descriptors. Source: VIRTIO 1.2.
 */
#ifndef CMP_GUEST_VIRTIO_H
#define CMP_GUEST_VIRTIO_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define VQ_SIZE 256u

struct vq {
	struct vring_desc desc[VQ_SIZE] __attribute__((aligned(4096)));
	struct {
		uint16_t flags, idx, ring[VQ_SIZE], used_event;
	} avail __attribute__((aligned(4096)));
	struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[VQ_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4096)));
	uint16_t added, kicked, taken;
	unsigned int index;
	bool event_index;
};

/*
 * Finds the device, or gives up, naming it; accepts what of wanted it offers (features 0
 * to 31, the event index is added) and returns that.
 */
uint32_t virtio_begin(uint32_t device_id, uint32_t wanted, const char *absent);
void virtio_queue(struct vq *q, unsigned int index, uint32_t accepted);
/* The device may use the queues. */
void virtio_go(void);
uint32_t virtio_config8(unsigned int at);

/* Seen by the device at the next kick. */
void vq_add(struct vq *q, uint16_t head);
/* Tells the device of what was added, if it wants to be told. */
void vq_kick(struct vq *q);
/* Whether there are answers. */
bool vq_pending(const struct vq *q);
/* The next one, of which there is one. */
struct vring_used_elem vq_get(struct vq *q);
unsigned int vq_in_flight(const struct vq *q);
/*
 * Asks to be interrupted when that many more answers are there (at least 1). True: they
 * are already.
 */
bool vq_listen(struct vq *q, unsigned int answers);
/* No interrupts, as far as that can be said. */
void vq_hold_off(struct vq *q);

#endif
