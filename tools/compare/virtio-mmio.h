/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What virtio devices behind virtio-mmio have in common: registers, negotiation, queues
 * being set up.
 *
 * Hides: registers and what a guest may do to them in any order. Must not know: what a
 * device does with its queues, KVM, threads: registers are the CPU's thread's, a ready
 * queue is whose who serves. The guest is not trusted. Source: VIRTIO 1.2, 4.2.
 */
#ifndef CMP_VIRTIO_MMIO_H
#define CMP_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>

#include "virtqueue.h"

#define VIRTIO_REGISTERS 0x200u
#define VIRTIO_NOTIFY 0x50u		/* offset of the register that notifies */
#define VIRTIO_QUEUES_MAX 2u
#define VIRTIO_CONFIG_BYTES 12u

struct virtio_mmio {
	/* The device's, before the first access. */
	uint32_t device_id, nr_queues;
	uint64_t features;		/* offered; VIRTIO_F_VERSION_1 is added */
	uint8_t config[VIRTIO_CONFIG_BYTES];
	void (*notified)(void *ctx);	/* the register was written */
	void *ctx;
	/* Its own. */
	struct virtqueue vq[VIRTIO_QUEUES_MAX];
	bool ready[VIRTIO_QUEUES_MAX];	/* set up; not the CPU's thread's any longer */
	bool broken;			/* the device sets it: DEVICE_NEEDS_RESET */
	uint32_t status, features_page, driver_page, queue;
	uint64_t accepted;		/* final once a queue is ready */
};

/* All fields above "Its own" are set; memory() as in virtqueue.h, with the same ctx. */
void virtio_mmio_init(struct virtio_mmio *v,
		      void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes), void *memory_ctx);
/* Registers are 4 bytes wide, config is 1 too; other widths read as 0 and write nothing. */
void virtio_mmio_read(struct virtio_mmio *v, uint64_t offset, void *data, unsigned int bytes);
void virtio_mmio_write(struct virtio_mmio *v, uint64_t offset, const void *data,
		       unsigned int bytes);
/* Any thread: whether a queue may be served. */
bool virtio_mmio_ready(const struct virtio_mmio *v, unsigned int queue);
bool virtio_mmio_accepted(const struct virtio_mmio *v, unsigned int feature);

#endif
