/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio block device behind virtio-mmio registers, with one queue.
 *
 * Hides: requests. Must not know: KVM, threads: somebody calls
 * virtio_blk_serve() when the queue was notified, and may do so on a thread of its own,
 * as long as only one serves at a time. The guest is not trusted. Source: VIRTIO 1.2,
 * 4.2 and 5.2.
 */
#ifndef CMP_VIRTIO_BLK_H
#define CMP_VIRTIO_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio.h"

struct virtio_blk_host {
	int fd;				/* the image, the caller's */
	uint64_t bytes;
	void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes);
	void (*interrupt)(void *ctx);
	void (*notified)(void *ctx);	/* the register was written */
	bool no_event_index;		/* do not offer it */
	bool every_event;		/* one interrupt for each request, not for a pass */
	void *ctx;
};

struct virtio_blk;

/* host must stay until close. 0 or -ENOMEM. */
int virtio_blk_open(const struct virtio_blk_host *host, struct virtio_blk **out);
void virtio_blk_close(struct virtio_blk *v);

struct virtio_mmio *virtio_blk_mmio(struct virtio_blk *v);

/* Executes all there is, until the driver has been told to notify again. */
void virtio_blk_serve(struct virtio_blk *v);

/* Counted on the thread that serves. */
uint64_t virtio_blk_interrupts(const struct virtio_blk *v);
uint64_t virtio_blk_copied_bytes(const struct virtio_blk *v);

#endif
