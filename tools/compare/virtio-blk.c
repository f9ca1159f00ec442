/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See virtio-blk.h. Data goes straight between the image and the guest's memory.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio-blk.h"

#define BLOCK_ID 2u
#define SECTOR 512u

struct virtio_blk {
	const struct virtio_blk_host *host;
	struct virtio_mmio mmio;
	struct virtqueue *vq;
	uint64_t interrupts, copied_bytes;
};

int virtio_blk_open(const struct virtio_blk_host *host, struct virtio_blk **out)
{
	struct virtio_blk *v = calloc(1, sizeof(*v));
	uint64_t sectors = host->bytes / SECTOR;

	if (!v)
		return -ENOMEM;
	v->host = host;
	v->vq = &v->mmio.vq[0];
	v->mmio.device_id = BLOCK_ID;
	v->mmio.nr_queues = 1;
	v->mmio.features = (uint64_t)1 << VIRTIO_BLK_F_FLUSH |
		(host->no_event_index ? 0 : (uint64_t)1 << VIRTIO_RING_F_EVENT_IDX);
	v->mmio.notified = host->notified;
	v->mmio.ctx = host->ctx;
	memcpy(v->mmio.config, &sectors, sizeof(sectors));
	virtio_mmio_init(&v->mmio, host->memory, host->ctx);
	*out = v;
	return 0;
}

void virtio_blk_close(struct virtio_blk *v)
{
	free(v);
}

struct virtio_mmio *virtio_blk_mmio(struct virtio_blk *v)
{
	return &v->mmio;
}

/* ---- requests ------------------------------------------------------------------ */

static uint64_t iov_bytes(const struct iovec *iov, unsigned int nr)
{
	uint64_t bytes = 0;

	while (nr--)
		bytes += iov[nr].iov_len;
	return bytes;
}

static uint8_t transfer(struct virtio_blk *v, bool write, uint64_t sector,
			const struct iovec *iov, unsigned int nr)
{
	uint64_t bytes = iov_bytes(iov, nr);
	off_t at = (off_t)(sector * SECTOR);
	ssize_t n;

	if (bytes % SECTOR || sector > v->host->bytes / SECTOR ||
	    bytes > v->host->bytes - sector * SECTOR)
		return VIRTIO_BLK_S_IOERR;
	n = write ? pwritev(v->host->fd, iov, (int)nr, at) :
		    preadv(v->host->fd, iov, (int)nr, at);
	v->copied_bytes += bytes;
	return n == (ssize_t)bytes ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/* The header is the first piece, the status the last byte: what drivers do. */
static int execute(struct virtio_blk *v, const struct virtqueue_chain *c)
{
	const struct iovec *last = c->iov + c->nr_out + c->nr_in - 1;
	struct virtio_blk_outhdr head;
	uint32_t written = 1;
	uint8_t status;

	if (!c->nr_out || !c->nr_in || c->iov[0].iov_len != sizeof(head) ||
	    last->iov_len != 1)
		return -EPROTO;
	memcpy(&head, c->iov[0].iov_base, sizeof(head));
	switch (head.type) {
	case VIRTIO_BLK_T_IN:
		status = transfer(v, false, head.sector, c->iov + c->nr_out, c->nr_in - 1);
		written += (uint32_t)iov_bytes(c->iov + c->nr_out, c->nr_in - 1);
		break;
	case VIRTIO_BLK_T_OUT:
		status = transfer(v, true, head.sector, c->iov + 1, c->nr_out - 1);
		break;
	case VIRTIO_BLK_T_FLUSH:
		status = fdatasync(v->host->fd) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
		break;
	default:
		status = VIRTIO_BLK_S_UNSUPP;
	}
	*(uint8_t *)last->iov_base = status;
	virtqueue_put(v->vq, c->head, written);
	return 0;
}

static void tell(struct virtio_blk *v)
{
	if (!virtqueue_push(v->vq))
		return;
	v->interrupts++;
	v->host->interrupt(v->host->ctx);
}

void virtio_blk_serve(struct virtio_blk *v)
{
	struct virtqueue_chain c;
	int r = 0;

	if (!virtio_mmio_ready(&v->mmio, 0) || v->mmio.broken)
		return;
	do {
		virtqueue_hold_off(v->vq);
		while (!r && (r = virtqueue_take(v->vq, &c)) > 0) {
			r = execute(v, &c);
			if (v->host->every_event)
				tell(v);
		}
		tell(v);
	} while (!r && virtqueue_listen(v->vq));
	if (r)
		__atomic_store_n(&v->mmio.broken, true, __ATOMIC_RELEASE);
}

uint64_t virtio_blk_interrupts(const struct virtio_blk *v)
{
	return v->interrupts;
}

uint64_t virtio_blk_copied_bytes(const struct virtio_blk *v)
{
	return v->copied_bytes;
}
