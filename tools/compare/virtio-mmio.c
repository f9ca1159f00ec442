/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See virtio-mmio.h.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtio-mmio.h"

#define MAGIC 0x74726976u

void virtio_mmio_init(struct virtio_mmio *v,
		      void *(*memory)(void *ctx, uint64_t gpa, uint64_t bytes), void *memory_ctx)
{
	v->features |= (uint64_t)1 << VIRTIO_F_VERSION_1;
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++) {
		v->vq[i].memory = memory;
		v->vq[i].ctx = memory_ctx;
	}
}

bool virtio_mmio_ready(const struct virtio_mmio *v, unsigned int queue)
{
	return __atomic_load_n(&v->ready[queue], __ATOMIC_ACQUIRE);
}

bool virtio_mmio_accepted(const struct virtio_mmio *v, unsigned int feature)
{
	return v->accepted >> feature & 1;
}

static bool any_ready(const struct virtio_mmio *v)
{
	for (unsigned int i = 0; i < v->nr_queues; i++)
		if (v->ready[i])
			return true;
	return false;
}

static bool selected_is_ready(const struct virtio_mmio *v)
{
	return v->queue < v->nr_queues && v->ready[v->queue];
}

/* ---- reading ------------------------------------------------------------------ */

static uint32_t read_register(const struct virtio_mmio *v, uint64_t offset)
{
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return v->device_id;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return v->features_page > 1 ? 0 :
		       (uint32_t)(v->features >> 32 * v->features_page);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return v->queue < v->nr_queues ? VIRTQUEUE_MAX : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return selected_is_ready(v);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return 1;
	case VIRTIO_MMIO_STATUS:
		return v->status |
		       (__atomic_load_n(&v->broken, __ATOMIC_ACQUIRE) ?
			VIRTIO_CONFIG_S_NEEDS_RESET : 0);
	default:
		return 0;
	}
}

void virtio_mmio_read(struct virtio_mmio *v, uint64_t offset, void *data, unsigned int bytes)
{
	uint32_t value;

	memset(data, 0, bytes);
	if (offset >= VIRTIO_MMIO_CONFIG) {
		offset -= VIRTIO_MMIO_CONFIG;
		if ((bytes == 1 || bytes == 4) && offset <= VIRTIO_CONFIG_BYTES - bytes)
			memcpy(data, v->config + offset, bytes);
	} else if (bytes == 4) {
		value = read_register(v, offset);
		memcpy(data, &value, 4);
	}
}

/* ---- writing ------------------------------------------------------------------ */

static void set_half(uint64_t *to, bool high, uint32_t value)
{
	*to = high ? (*to & 0xffffffffu) | (uint64_t)value << 32 :
		     (*to & ~(uint64_t)0xffffffffu) | value;
}

/* Once: a queue that is served must not change below the one who serves it. */
static void start_queue(struct virtio_mmio *v)
{
	struct virtqueue *vq = &v->vq[v->queue];

	if (!(v->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	vq->event_index = virtio_mmio_accepted(v, VIRTIO_RING_F_EVENT_IDX);
	if (!virtqueue_start(vq))
		__atomic_store_n(&v->ready[v->queue], true, __ATOMIC_RELEASE);
}

static void set_status(struct virtio_mmio *v, uint32_t value)
{
	if (v->accepted & ~v->features || !virtio_mmio_accepted(v, VIRTIO_F_VERSION_1))
		value &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	v->status = value;
}

/* Of the selected queue, which is not ready. */
static void set_queue(struct virtio_mmio *v, uint64_t offset, uint32_t value)
{
	struct virtqueue *vq = &v->vq[v->queue];

	switch (offset) {
	case VIRTIO_MMIO_QUEUE_READY:
		if (value == 1)
			start_queue(v);
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		vq->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&vq->desc_gpa, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&vq->avail_gpa, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&vq->used_gpa, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	}
}

void virtio_mmio_write(struct virtio_mmio *v, uint64_t offset, const void *data,
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
		if (v->driver_page < 2 && !any_ready(v))
			set_half(&v->accepted, v->driver_page, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		v->queue = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		v->notified(v->ctx);
		break;
	case VIRTIO_MMIO_STATUS:
		set_status(v, value);
		break;
	default:
		if (v->queue < v->nr_queues && !v->ready[v->queue])
			set_queue(v, offset, value);
	}
}
