/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See virtio.h. Fences pair with ../virtqueue.c.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "guest.h"
#include "virtio.h"

#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)

/* ---- registers ------------------------------------------------------------------- */

static uint32_t reg_in(unsigned int offset)
{
	return read32(CMP_GPA_VIRTIO + offset);
}

static void reg_out(unsigned int offset, uint32_t value)
{
	write32(CMP_GPA_VIRTIO + offset, value);
}

static void set_address(unsigned int low, const void *at)
{
	reg_out(low, (uint32_t)(uint64_t)at);
	reg_out(low + 4, (uint32_t)((uint64_t)at >> 32));
}

uint32_t virtio_begin(uint32_t device_id, uint32_t wanted, const char *absent)
{
	uint32_t accepted;

	if (reg_in(VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976 || reg_in(VIRTIO_MMIO_VERSION) != 2 ||
	    reg_in(VIRTIO_MMIO_DEVICE_ID) != device_id)
		give_up(-6, absent);
	reg_out(VIRTIO_MMIO_STATUS, 0);
	reg_out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	reg_out(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	accepted = reg_in(VIRTIO_MMIO_DEVICE_FEATURES) & (wanted | 1u << VIRTIO_RING_F_EVENT_IDX);
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES, accepted);
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES, 1);	/* VIRTIO_F_VERSION_1 */
	reg_out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				    VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(reg_in(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK))
		give_up(-6, "the virtio device does not take our features");
	return accepted;
}

void virtio_queue(struct vq *q, unsigned int index, uint32_t accepted)
{
	q->index = index;
	q->event_index = accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
	reg_out(VIRTIO_MMIO_QUEUE_SEL, index);
	reg_out(VIRTIO_MMIO_QUEUE_NUM, VQ_SIZE);
	set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc);
	set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, &q->avail);
	set_address(VIRTIO_MMIO_QUEUE_USED_LOW, &q->used);
	reg_out(VIRTIO_MMIO_QUEUE_READY, 1);
	if (!reg_in(VIRTIO_MMIO_QUEUE_READY))
		give_up(-6, "the virtio device does not take our queue");
	vq_hold_off(q);
}

void virtio_go(void)
{
	reg_out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				    VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

uint32_t virtio_config8(unsigned int at)
{
	uint8_t v;

	__asm__ volatile("movb %1, %0" : "=q"(v) :
			 "m"(*(volatile uint8_t *)(uint64_t)(CMP_GPA_VIRTIO + VIRTIO_MMIO_CONFIG + at)));
	return v;
}

/* ---- a queue ----------------------------------------------------------------------- */

void vq_add(struct vq *q, uint16_t head)
{
	q->avail.ring[q->added++ % VQ_SIZE] = head;
}

void vq_kick(struct vq *q)
{
	uint16_t before = q->kicked;

	if (q->added == before)
		return;
	STORE(q->avail.idx, q->added);
	q->kicked = q->added;
	FENCE();	/* with virtqueue_listen(): the device sees the index, or we its wish */
	if (q->event_index ? !vring_need_event(LOAD(q->used.avail_event), q->added, before) :
			     LOAD(q->used.flags) & VRING_USED_F_NO_NOTIFY)
		return;
	job->kicks++;
	reg_out(VIRTIO_MMIO_QUEUE_NOTIFY, q->index);
}

bool vq_pending(const struct vq *q)
{
	return LOAD(q->used.idx) != q->taken;
}

struct vring_used_elem vq_get(struct vq *q)
{
	return q->used.ring[q->taken++ % VQ_SIZE];
}

unsigned int vq_in_flight(const struct vq *q)
{
	return (uint16_t)(q->added - q->taken);
}

bool vq_listen(struct vq *q, unsigned int answers)
{
	STORE(q->avail.used_event, (uint16_t)(q->taken + answers - 1));
	if (!q->event_index)
		STORE(q->avail.flags, 0);
	FENCE();	/* with virtqueue_push() */
	return (uint16_t)(LOAD(q->used.idx) - q->taken) >= answers;
}

/* An index that is not near: the event index has no other way to say never. */
void vq_hold_off(struct vq *q)
{
	STORE(q->avail.used_event, (uint16_t)(q->taken + 0x8000));
	if (!q->event_index)
		STORE(q->avail.flags, VRING_AVAIL_F_NO_INTERRUPT);
}
