/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio network card behind virtio-mmio registers: a receive queue, a transmit queue,
 * checksums and segmentation left to the other end.
 *
 * Hides: headers, who waits for whom. Must not know: KVM, threads: somebody calls
 * virtio_net_serve() when a queue was notified or the wire has something, one at a time.
 * The guest is not trusted; what it wishes for a frame is the kernel's to judge. Source:
 * VIRTIO 1.2, 4.2 and 5.1. A frame lies in one buffer: VIRTIO_NET_F_MRG_RXBUF is not
 * offered.
 */
#ifndef CMP_VIRTIO_NET_H
#define CMP_VIRTIO_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio.h"

#define VIRTIO_NET_RX 0u
#define VIRTIO_NET_TX 1u
#define VIRTIO_NET_HEADER 12u		/* before each frame, on the wire too */

struct virtio_net_host {
	int fd;				/* frames, not blocking; the caller's */
	uint8_t mac[6];
	void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes);
	void (*interrupt)(void *ctx);
	void (*notified)(void *ctx);	/* the register was written */
	/* What the driver takes from the wire, before the first frame for it. */
	void (*offloads)(void *ctx, bool checksum, bool tso4);
	bool no_offloads, no_event_index;	/* do not offer them */
	bool every_event;		/* one interrupt for each frame, not for a pass */
	void *ctx;
};

struct virtio_net;

/* host must stay until close. 0 or -ENOMEM. */
int virtio_net_open(const struct virtio_net_host *host, struct virtio_net **out);
void virtio_net_close(struct virtio_net *v);

struct virtio_mmio *virtio_net_mmio(struct virtio_net *v);

/*
 * Sends and receives all there is, until the driver has been told to notify again. True:
 * call again when fd has something; else there is no buffer to put it in.
 */
bool virtio_net_serve(struct virtio_net *v);

/* Of frames, each once, without headers. Any thread. */
uint64_t virtio_net_copied_bytes(const struct virtio_net *v);

#endif
