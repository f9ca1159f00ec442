/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio-mmio block driver with one split virtqueue: add, kick, get, and callbacks
 * suppressed by the event index. Hides descriptors and rings; each request has three
 * descriptors of its own. Fences pair with ../virtqueue.c. Source: VIRTIO 1.2.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "guest.h"

#define SIZE 256u
#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)

static struct vring_desc desc[SIZE] __attribute__((aligned(4096)));
static struct {
	uint16_t flags, idx, ring[SIZE], used_event;
} avail __attribute__((aligned(4096)));
static struct {
	uint16_t flags, idx;
	struct vring_used_elem ring[SIZE];
	uint16_t avail_event;
} used __attribute__((aligned(4096)));

static struct virtio_blk_outhdr headers[CMP_DEPTH_MAX + 1];
static uint8_t statuses[CMP_DEPTH_MAX + 1];
static struct request *in_flight[CMP_DEPTH_MAX + 1];
static struct request flush_request = { .index = CMP_DEPTH_MAX };
static bool flushed;
static uint16_t added, kicked, taken;
static bool event_index;

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

static void negotiate(void)
{
	uint32_t offered;

	reg_out(VIRTIO_MMIO_STATUS, 0);
	reg_out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	reg_out(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	offered = reg_in(VIRTIO_MMIO_DEVICE_FEATURES);
	event_index = offered >> VIRTIO_RING_F_EVENT_IDX & 1;
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES, offered & (1u << VIRTIO_RING_F_EVENT_IDX |
							1u << VIRTIO_BLK_F_FLUSH));
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_out(VIRTIO_MMIO_DRIVER_FEATURES, 1);	/* VIRTIO_F_VERSION_1 */
	reg_out(VIRTIO_MMIO_STATUS, 11);
	if (!(reg_in(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK))
		give_up(-6, "the virtio disk does not take our features");
}

static void virtio_open(void)
{
	if (reg_in(VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976 ||
	    reg_in(VIRTIO_MMIO_VERSION) != 2 || reg_in(VIRTIO_MMIO_DEVICE_ID) != 2)
		give_up(-6, "there is no virtio disk");
	negotiate();
	reg_out(VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_out(VIRTIO_MMIO_QUEUE_NUM, SIZE);
	set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, &avail);
	set_address(VIRTIO_MMIO_QUEUE_USED_LOW, &used);
	reg_out(VIRTIO_MMIO_QUEUE_READY, 1);
	if (!reg_in(VIRTIO_MMIO_QUEUE_READY))
		give_up(-6, "the virtio disk does not take our queue");
	reg_out(VIRTIO_MMIO_STATUS, 15);
	if (job->flags & CMP_POLL) {	/* no callback at all */
		avail.flags = VRING_AVAIL_F_NO_INTERRUPT;
		avail.used_event = 0x8000;
	}
}

static void add(struct request *r, uint32_t type)
{
	unsigned int i = r->index, d = 3 * i;

	headers[i] = (struct virtio_blk_outhdr){ .type = type,
						 .sector = r->offset_bytes / 512 };
	statuses[i] = 0xff;
	in_flight[i] = r;
	desc[d] = (struct vring_desc){ .addr = (uint64_t)&headers[i],
		.len = sizeof(headers[i]), .flags = VRING_DESC_F_NEXT,
		.next = (uint16_t)(r->bytes ? d + 1 : d + 2) };
	desc[d + 1] = (struct vring_desc){ .addr = (uint64_t)r->buf, .len = r->bytes,
		.flags = VRING_DESC_F_NEXT | (r->write ? 0 : VRING_DESC_F_WRITE),
		.next = (uint16_t)(d + 2) };
	desc[d + 2] = (struct vring_desc){ .addr = (uint64_t)&statuses[i], .len = 1,
		.flags = VRING_DESC_F_WRITE };
	avail.ring[added++ % SIZE] = (uint16_t)d;
}

static void virtio_submit(struct request *r)
{
	add(r, r->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
}

static void virtio_kick(void)
{
	uint16_t before = kicked;

	if (added == before)
		return;
	STORE(avail.idx, added);
	kicked = added;
	FENCE();	/* with virtqueue_listen(): the device sees the index, or we its wish */
	if (event_index ? !vring_need_event(LOAD(used.avail_event), added, before) :
			  LOAD(used.flags) & VRING_USED_F_NO_NOTIFY)
		return;
	job->kicks++;
	reg_out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* Asks to be told of the next one first, so that it cannot be missed. */
static bool virtio_ready(void *arg)
{
	(void)arg;
	if (!(job->flags & CMP_POLL)) {
		STORE(avail.used_event, taken);
		FENCE();	/* with virtqueue_push() */
	} else {
		STORE(avail.used_event, (uint16_t)(taken + 0x8000));
	}
	return LOAD(used.idx) != taken;
}

static void virtio_wait(void)
{
	unsigned int i;

	irq_wait(virtio_ready, NULL);
	while (LOAD(used.idx) != taken) {
		i = used.ring[taken++ % SIZE].id / 3;
		if (i > CMP_DEPTH_MAX || !in_flight[i])
			give_up(-71, "the virtio disk answered what was not asked");
		if (i == CMP_DEPTH_MAX)
			flushed = true;
		else
			request_done(in_flight[i], statuses[i] ? -5 : 0);
		in_flight[i] = NULL;
	}
}

static void virtio_close(void)
{
	add(&flush_request, VIRTIO_BLK_T_FLUSH);
	virtio_kick();
	while (!flushed)
		virtio_wait();
}

const struct model model_virtio = {
	.max_depth = CMP_DEPTH_MAX, .open = virtio_open, .buffer = plain_buffer,
	.submit = virtio_submit, .kick = virtio_kick, .wait = virtio_wait,
	.close = virtio_close,
};
