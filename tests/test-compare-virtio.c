/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comparison's virtqueue and virtio disk, with a driver that behaves and with guests
 * that do not.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES (64u << 10)
#define COMPARE_GUEST_BYTES MEMORY_BYTES
#include "compare-guest.h"
#include "unit.h"
#include "virtio-blk.h"

#define IMAGE_BYTES (64u << 10)
#define SIZE 8u
#define DESC 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define DATA 0x4000u

static struct vring_desc *const desc = (void *)(guest + DESC);
static struct vring_avail *const avail = (void *)(guest + AVAIL);
static struct vring_used *const used = (void *)(guest + USED);
static unsigned int notified;

static void was_notified(void *ctx)
{
	(void)ctx;
	notified++;
}

static void describe(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void offer(uint16_t head)
{
	avail->ring[avail->idx % SIZE] = head;
	avail->idx++;
}

/* ---- the queue --------------------------------------------------------------------- */

static struct virtqueue queue(void)
{
	struct virtqueue vq = { .memory = guest_memory, .size = SIZE, .desc_gpa = DESC,
				.avail_gpa = AVAIL, .used_gpa = USED };

	memset(guest, 0, sizeof(guest));
	return vq;
}

static void test_start(void)
{
	struct virtqueue vq = queue();

	UNIT_EQ(virtqueue_start(&vq), 0);
	vq.size = 6;
	UNIT_EQ(virtqueue_start(&vq), -EINVAL);
	vq.size = 2 * VIRTQUEUE_MAX;
	UNIT_EQ(virtqueue_start(&vq), -EINVAL);
	vq.size = 0;
	UNIT_EQ(virtqueue_start(&vq), -EINVAL);
	vq = queue();
	vq.desc_gpa = MEMORY_BYTES - 16 * (SIZE - 1);
	UNIT_EQ(virtqueue_start(&vq), -EINVAL);
	vq = queue();
	vq.used_gpa = UINT64_MAX - 3;
	UNIT_EQ(virtqueue_start(&vq), -EINVAL);
	vq = queue();
	vq.avail_gpa = AVAIL + 1;
	UNIT_EQ(virtqueue_start(&vq), -EINVAL);
}

static void test_chain(void)
{
	struct virtqueue vq = queue();
	struct virtqueue_chain c;

	UNIT_EQ(virtqueue_start(&vq), 0);
	UNIT_EQ(virtqueue_take(&vq, &c), 0);
	describe(2, DATA, 16, VRING_DESC_F_NEXT, 5);
	describe(5, DATA + 16, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	describe(1, DATA + 1024, 1, VRING_DESC_F_WRITE, 0);
	offer(2);
	UNIT_EQ(virtqueue_take(&vq, &c), 1);
	UNIT_EQ(c.head, 2);
	UNIT_EQ(c.nr_out, 1);
	UNIT_EQ(c.nr_in, 2);
	UNIT_OK(c.iov[1].iov_base == guest + DATA + 16);
	UNIT_EQ(virtqueue_take(&vq, &c), 0);
	virtqueue_put(&vq, c.head, 513);
	UNIT_EQ(used->idx, 0);
	UNIT_OK(virtqueue_push(&vq));
	UNIT_EQ(used->idx, 1);
	UNIT_EQ(used->ring[0].id, 2);
	UNIT_EQ(used->ring[0].len, 513);
	UNIT_OK(!virtqueue_push(&vq));
	avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	virtqueue_put(&vq, 2, 0);
	UNIT_OK(!virtqueue_push(&vq));
}

static void test_event_index(void)
{
	struct virtqueue vq = queue();
	uint16_t *used_event = &avail->ring[SIZE], *avail_event = (void *)&used->ring[SIZE];

	vq.event_index = true;
	UNIT_EQ(virtqueue_start(&vq), 0);
	*used_event = 2;			/* tell me of the third */
	for (unsigned int i = 0; i < 5; i++) {
		virtqueue_put(&vq, 0, 0);
		UNIT_EQ(virtqueue_push(&vq), i == 2);
	}
	UNIT_OK(!virtqueue_listen(&vq));
	UNIT_EQ(*avail_event, 0);
	offer(0);
	UNIT_OK(virtqueue_listen(&vq));
	/* Indices run over 65536. */
	vq.next_used = vq.signalled = 65535;
	*used_event = 0;
	virtqueue_put(&vq, 0, 0);
	UNIT_OK(!virtqueue_push(&vq));
	virtqueue_put(&vq, 0, 0);
	UNIT_OK(virtqueue_push(&vq));
}

static int take_one(uint16_t head)
{
	struct virtqueue vq = queue();
	struct virtqueue_chain c;

	if (virtqueue_start(&vq))
		return 1;
	describe(0, DATA, 16, VRING_DESC_F_NEXT, 0);		/* itself */
	describe(1, DATA, 16, VRING_DESC_F_NEXT, SIZE);		/* none */
	describe(2, MEMORY_BYTES, 1, 0, 0);			/* not the guest's */
	describe(3, DATA, MEMORY_BYTES, 0, 0);
	describe(4, UINT64_MAX, 2, 0, 0);
	describe(5, DATA, 16, VRING_DESC_F_INDIRECT, 0);
	describe(6, DATA, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 7);
	describe(7, DATA, 16, 0, 0);				/* out behind in */
	offer(head);
	return virtqueue_take(&vq, &c);
}

static void test_broken(void)
{
	struct virtqueue vq;
	struct virtqueue_chain c;

	for (uint16_t head = 0; head < 7; head++)
		UNIT_EQ(take_one(head), -EPROTO);
	UNIT_EQ(take_one(7), 1);
	UNIT_EQ(take_one(SIZE), -EPROTO);
	UNIT_EQ(take_one(65535), -EPROTO);
	vq = queue();
	UNIT_EQ(virtqueue_start(&vq), 0);
	avail->idx = SIZE + 1;			/* more than can be */
	UNIT_EQ(virtqueue_take(&vq, &c), -EPROTO);
}

/* ---- the disk ------------------------------------------------------------------------- */

static struct virtio_blk_host host = { .bytes = IMAGE_BYTES, .memory = guest_memory,
	.interrupt = guest_interrupt, .notified = was_notified };
static struct virtio_blk *disk;

static void reg(unsigned int at, uint32_t v)
{
	virtio_mmio_write(virtio_blk_mmio(disk), at, &v, 4);
}

static uint32_t get(unsigned int at)
{
	uint32_t v;

	virtio_mmio_read(virtio_blk_mmio(disk), at, &v, 4);
	return v;
}

static void disk_start(void)
{
	static uint8_t content[IMAGE_BYTES];

	memset(guest, 0, sizeof(guest));
	interrupts = notified = 0;
	host.fd = memfd_create("image", 0);
	for (unsigned int i = 0; i < IMAGE_BYTES; i++)
		content[i] = (uint8_t)(i / 512 + i);
	UNIT_EQ(write(host.fd, content, IMAGE_BYTES), IMAGE_BYTES);
	UNIT_EQ(virtio_blk_open(&host, &disk), 0);
	reg(VIRTIO_MMIO_STATUS, 3);
	reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	reg(VIRTIO_MMIO_STATUS, 11);
	reg(VIRTIO_MMIO_QUEUE_NUM, SIZE);
	reg(VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
	reg(VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	reg(VIRTIO_MMIO_QUEUE_USED_LOW, USED);
}

static void disk_end(void)
{
	UNIT_EQ(lseek(host.fd, 0, SEEK_END), IMAGE_BYTES);
	virtio_blk_close(disk);
	close(host.fd);
}

/* Returns the status byte, 0xee: there is none. */
static uint8_t request(uint32_t type, uint64_t sector, uint32_t bytes)
{
	struct virtio_blk_outhdr head = { .type = type, .sector = sector };
	uint8_t *status = guest + DATA + 16;

	memcpy(guest + DATA, &head, sizeof(head));
	*status = 0xee;
	describe(0, DATA, sizeof(head), VRING_DESC_F_NEXT, 1);
	describe(1, DATA + 512, bytes, VRING_DESC_F_NEXT |
		 (type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0), 2);
	describe(2, DATA + 16, 1, VRING_DESC_F_WRITE, 0);
	offer(0);
	virtio_blk_serve(disk);
	return *status;
}

static void test_disk(void)
{
	disk_start();
	UNIT_EQ(get(VIRTIO_MMIO_DEVICE_ID), 2);
	UNIT_EQ(get(VIRTIO_MMIO_CONFIG), IMAGE_BYTES / 512);
	UNIT_OK(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	UNIT_EQ(request(VIRTIO_BLK_T_IN, 0, 512), 0xee);	/* the queue is not ready */
	avail->idx = 0;
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 1);
	reg(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	UNIT_EQ(notified, 1);
	UNIT_EQ(request(VIRTIO_BLK_T_IN, 3, 1024), VIRTIO_BLK_S_OK);
	UNIT_EQ(guest[DATA + 512 + 5], 3 + 5);
	UNIT_EQ(guest[DATA + 1024 + 5], 4 + 5);
	UNIT_EQ(used->ring[0].len, 1025);
	UNIT_EQ(interrupts, 1);
	memset(guest + DATA + 512, 0x5a, 512);
	UNIT_EQ(request(VIRTIO_BLK_T_OUT, 7, 512), VIRTIO_BLK_S_OK);
	UNIT_EQ(pread(host.fd, guest + DATA + 1024, 512, 7 * 512), 512);
	UNIT_EQ(guest[DATA + 1024 + 511], 0x5a);
	disk_end();
}

static void test_disk_range(void)
{
	disk_start();
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	UNIT_EQ(request(VIRTIO_BLK_T_OUT, IMAGE_BYTES / 512, 512), VIRTIO_BLK_S_IOERR);
	UNIT_EQ(request(VIRTIO_BLK_T_OUT, IMAGE_BYTES / 512 - 1, 1024), VIRTIO_BLK_S_IOERR);
	UNIT_EQ(request(VIRTIO_BLK_T_OUT, UINT64_MAX / 512 + 1, 512), VIRTIO_BLK_S_IOERR);
	UNIT_EQ(request(VIRTIO_BLK_T_IN, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR);
	UNIT_EQ(request(VIRTIO_BLK_T_IN, 0, 511), VIRTIO_BLK_S_IOERR);
	UNIT_EQ(request(99, 0, 512), VIRTIO_BLK_S_UNSUPP);
	UNIT_OK(!(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET));
	UNIT_EQ(request(VIRTIO_BLK_T_IN, 0, MEMORY_BYTES), 0xee);
	UNIT_OK(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	UNIT_EQ(request(VIRTIO_BLK_T_IN, 0, 512), 0xee);
	disk_end();
}

static void test_disk_negotiation(void)
{
	disk_start();
	reg(VIRTIO_MMIO_DRIVER_FEATURES, 3);	/* what was not offered */
	reg(VIRTIO_MMIO_STATUS, 11);
	UNIT_OK(!(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK));
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 0);
	reg(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	reg(VIRTIO_MMIO_STATUS, 11);
	reg(VIRTIO_MMIO_QUEUE_USED_HIGH, 1);
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 0);
	reg(VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 1);
	reg(VIRTIO_MMIO_QUEUE_NUM, 256);	/* too late */
	UNIT_EQ(request(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_OK);
	disk_end();
}

/* Descriptors and registers at random: the sanitizers and disk_end() look on. */
static void test_disk_random(void)
{
	for (unsigned int round = 0; round < 2000; round++) {
		disk_start();
		reg(VIRTIO_MMIO_QUEUE_READY, 1);
		for (unsigned int i = 0; i < SIZE; i++)
			describe(i, rnd(4) ? DATA + rnd(4096) : rnd(2 * MEMORY_BYTES),
				 rnd(4) ? 16 : rnd(8192), (uint16_t)rnd(4), (uint16_t)rnd(SIZE + 1));
		for (unsigned int i = 0; i < 64; i++)
			guest[DATA + rnd(4096)] = (uint8_t)rnd(3);
		for (unsigned int i = 0; i < 4; i++) {
			offer((uint16_t)rnd(SIZE));
			reg(rnd(0x100), rnd(300));
			virtio_blk_serve(disk);
		}
		disk_end();
	}
}

static const struct unit_test tests[] = {
	{ "queues that can and cannot be", test_start },
	{ "a chain, and its answer", test_chain },
	{ "told when it was asked for", test_event_index },
	{ "rings that are broken", test_broken },
	{ "the disk reads and writes", test_disk },
	{ "requests outside of disk and memory", test_disk_range },
	{ "what was not negotiated", test_disk_negotiation },
	{ "at random", test_disk_random },
};

int main(void)
{
	return unit_run("compare-virtio", tests, UNIT_LEN(tests));
}
