/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio block driver: each request has three descriptors of its own. Hides headers and
 * status bytes.
 */
#include <linux/virtio_blk.h>

#include "guest.h"
#include "virtio.h"

static struct vq queue;
static struct virtio_blk_outhdr headers[CMP_DEPTH_MAX + 1];
static uint8_t statuses[CMP_DEPTH_MAX + 1];
static struct request *in_flight[CMP_DEPTH_MAX + 1];
static struct request flush_request = { .index = CMP_DEPTH_MAX };
static bool flushed;

static void virtio_open(void)
{
	uint32_t accepted = virtio_begin(2, 1u << VIRTIO_BLK_F_FLUSH, "there is no virtio disk");

	virtio_queue(&queue, 0, accepted);
	virtio_go();
}

static void add(struct request *r, uint32_t type)
{
	unsigned int i = r->index, d = 3 * i;

	headers[i] = (struct virtio_blk_outhdr){ .type = type,
						 .sector = r->offset_bytes / 512 };
	statuses[i] = 0xff;
	in_flight[i] = r;
	queue.desc[d] = (struct vring_desc){ .addr = (uint64_t)&headers[i],
		.len = sizeof(headers[i]), .flags = VRING_DESC_F_NEXT,
		.next = (uint16_t)(r->bytes ? d + 1 : d + 2) };
	queue.desc[d + 1] = (struct vring_desc){ .addr = (uint64_t)r->buf, .len = r->bytes,
		.flags = VRING_DESC_F_NEXT | (r->write ? 0 : VRING_DESC_F_WRITE),
		.next = (uint16_t)(d + 2) };
	queue.desc[d + 2] = (struct vring_desc){ .addr = (uint64_t)&statuses[i], .len = 1,
		.flags = VRING_DESC_F_WRITE };
	vq_add(&queue, (uint16_t)d);
}

static void virtio_submit(struct request *r)
{
	add(r, r->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
}

static void virtio_kick(void)
{
	vq_kick(&queue);
}

/* Asks to be told of the next one first, so that it cannot be missed. */
static bool virtio_ready(void *arg)
{
	(void)arg;
	if (job->flags & CMP_POLL) {
		vq_hold_off(&queue);
		return vq_pending(&queue);
	}
	return vq_listen(&queue, 1);
}

static void virtio_wait(void)
{
	unsigned int i;

	irq_wait(virtio_ready, NULL);
	while (vq_pending(&queue)) {
		i = vq_get(&queue).id / 3;
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
