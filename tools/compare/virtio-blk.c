/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See virtio-blk.h. Data goes straight between the image and the guest's memory.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio-blk.h"
#include "virtqueue.h"

#define MAGIC 0x74726976u
#define BLOCK_ID 2u
#define SECTOR 512u

struct virtio_blk {
	const struct virtio_blk_host *host;
	struct virtqueue vq;
	uint32_t status, features_page, driver_page;
	uint64_t accepted;
	bool ready;		/* the queue is set up */
	bool broken;
	uint64_t interrupts, copied_bytes;
};

int virtio_blk_open(const struct virtio_blk_host *host, struct virtio_blk **out)
{
	struct virtio_blk *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->host = host;
	v->vq.memory = host->memory;
	v->vq.ctx = host->ctx;
	*out = v;
	return 0;
}

void virtio_blk_close(struct virtio_blk *v)
{
	free(v);
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
	virtqueue_put(&v->vq, c->head, written);
	return 0;
}

static void tell(struct virtio_blk *v)
{
	if (!virtqueue_push(&v->vq))
		return;
	v->interrupts++;
	v->host->interrupt(v->host->ctx);
}

void virtio_blk_serve(struct virtio_blk *v)
{
	struct virtqueue_chain c;
	int r = 0;

	if (!__atomic_load_n(&v->ready, __ATOMIC_ACQUIRE) || v->broken)
		return;
	do {
		virtqueue_hold_off(&v->vq);
		while (!r && (r = virtqueue_take(&v->vq, &c)) > 0) {
			r = execute(v, &c);
			if (v->host->every_event)
				tell(v);
		}
		tell(v);
	} while (!r && virtqueue_listen(&v->vq));
	if (r)
		v->broken = true;	/* its status says so: DEVICE_NEEDS_RESET */
}

/* ---- registers -------------------------------------------------------------------- */

static uint64_t features(const struct virtio_blk *v)
{
	return (uint64_t)1 << VIRTIO_F_VERSION_1 | (uint64_t)1 << VIRTIO_BLK_F_FLUSH |
	       (v->host->no_event_index ? 0 : (uint64_t)1 << VIRTIO_RING_F_EVENT_IDX);
}

void virtio_blk_read(struct virtio_blk *v, uint64_t offset, void *data, unsigned int bytes)
{
	uint64_t sectors = v->host->bytes / SECTOR;
	uint32_t value = 0;

	memset(data, 0, bytes);
	if (bytes != 4)
		return;
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		value = MAGIC;
		break;
	case VIRTIO_MMIO_VERSION:
		value = 2;
		break;
	case VIRTIO_MMIO_DEVICE_ID:
		value = BLOCK_ID;
		break;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		value = v->features_page > 1 ? 0 :
			(uint32_t)(features(v) >> 32 * v->features_page);
		break;
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		value = VIRTQUEUE_MAX;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		value = v->ready;
		break;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		value = 1;
		break;
	case VIRTIO_MMIO_STATUS:
		value = v->status | (v->broken ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
		break;
	case VIRTIO_MMIO_CONFIG:
		value = (uint32_t)sectors;
		break;
	case VIRTIO_MMIO_CONFIG + 4:
		value = (uint32_t)(sectors >> 32);
		break;
	}
	memcpy(data, &value, 4);
}

static void set_half(uint64_t *to, bool high, uint32_t value)
{
	*to = high ? (*to & 0xffffffffu) | (uint64_t)value << 32 :
		     (*to & ~(uint64_t)0xffffffffu) | value;
}

/* Once: a queue that is served must not change below the one who serves it. */
static void start_queue(struct virtio_blk *v)
{
	if (v->ready || !(v->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	v->vq.event_index = v->accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
	if (!virtqueue_start(&v->vq))
		__atomic_store_n(&v->ready, true, __ATOMIC_RELEASE);
}

static void set_status(struct virtio_blk *v, uint32_t value)
{
	if (v->accepted & ~features(v) || !(v->accepted >> VIRTIO_F_VERSION_1 & 1))
		value &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	v->status = value;
}

static void set_queue_address(struct virtio_blk *v, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		v->vq.size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&v->vq.desc_gpa, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&v->vq.avail_gpa, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&v->vq.used_gpa, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	}
}

void virtio_blk_write(struct virtio_blk *v, uint64_t offset, const void *data,
		      unsigned int bytes)
{
	uint32_t value;

	if (bytes != 4)
		return;
	memcpy(&value, data, 4);
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		v->features_page = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		v->driver_page = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (v->driver_page < 2 && !v->ready)
			set_half(&v->accepted, v->driver_page, value);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value == 1)
			start_queue(v);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		v->host->notified(v->host->ctx);
		break;
	case VIRTIO_MMIO_STATUS:
		set_status(v, value);
		break;
	default:
		if (!v->ready)
			set_queue_address(v, offset, value);
	}
}

uint64_t virtio_blk_interrupts(const struct virtio_blk *v)
{
	return v->interrupts;
}

uint64_t virtio_blk_copied_bytes(const struct virtio_blk *v)
{
	return v->copied_bytes;
}
