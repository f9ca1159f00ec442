/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comparison's virtio network card, with a driver that behaves and with guests that
 * do not. The wire is a pair of sockets.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY_BYTES (128u << 10)
#define COMPARE_GUEST_BYTES MEMORY_BYTES
#include "compare-guest.h"
#include "unit.h"
#include "virtio-net.h"

#define SIZE 8u
#define QUEUE(i) (0x1000u + (i) * 0x3000u)	/* descriptors, then avail, then used */
#define DATA 0x8000u
#define HEADER VIRTIO_NET_HEADER
#define OFFLOADS (1u << VIRTIO_NET_F_CSUM | 1u << VIRTIO_NET_F_GUEST_CSUM | \
		  1u << VIRTIO_NET_F_HOST_TSO4 | 1u << VIRTIO_NET_F_GUEST_TSO4)

struct queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

static unsigned int notified, told;
static bool told_checksum, told_tso4;
static int wire = -1;
static struct virtio_net *card;
static struct queue rx, tx;

static void was_notified(void *ctx)
{
	(void)ctx;
	notified++;
}

static void offloads(void *ctx, bool checksum, bool tso4)
{
	(void)ctx;
	told++;
	told_checksum = checksum;
	told_tso4 = tso4;
}

static struct virtio_net_host host = {
	.mac = { 0, 0x16, 0x3e, 0, 0, 1 }, .memory = guest_memory, .interrupt = guest_interrupt,
	.notified = was_notified, .offloads = offloads };

static void reg(unsigned int at, uint32_t v)
{
	virtio_mmio_write(virtio_net_mmio(card), at, &v, 4);
}

static uint32_t get(unsigned int at)
{
	uint32_t v;

	virtio_mmio_read(virtio_net_mmio(card), at, &v, 4);
	return v;
}

static struct queue set_queue(unsigned int i)
{
	reg(VIRTIO_MMIO_QUEUE_SEL, i);
	reg(VIRTIO_MMIO_QUEUE_NUM, SIZE);
	reg(VIRTIO_MMIO_QUEUE_DESC_LOW, QUEUE(i));
	reg(VIRTIO_MMIO_QUEUE_AVAIL_LOW, QUEUE(i) + 0x1000);
	reg(VIRTIO_MMIO_QUEUE_USED_LOW, QUEUE(i) + 0x2000);
	reg(VIRTIO_MMIO_QUEUE_READY, 1);
	return (struct queue){ (void *)(guest + QUEUE(i)), (void *)(guest + QUEUE(i) + 0x1000),
			       (void *)(guest + QUEUE(i) + 0x2000) };
}

static void start(uint32_t features)
{
	int pair[2];

	memset(guest, 0, sizeof(guest));
	interrupts = notified = told = 0;
	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	host.fd = pair[0];
	wire = pair[1];
	UNIT_EQ(virtio_net_open(&host, &card), 0);
	reg(VIRTIO_MMIO_STATUS, 3);
	reg(VIRTIO_MMIO_DRIVER_FEATURES, features);
	reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	reg(VIRTIO_MMIO_STATUS, 11);
	rx = set_queue(VIRTIO_NET_RX);
	tx = set_queue(VIRTIO_NET_TX);
}

static void end(void)
{
	virtio_net_close(card);
	close(host.fd);
	close(wire);
}

static void describe(struct queue *q, unsigned int i, uint64_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	q->desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void offer(struct queue *q, uint16_t head)
{
	q->avail->ring[q->avail->idx % SIZE] = head;
	q->avail->idx++;
}

static bool is_broken(void)
{
	return get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* ---- a driver that behaves ------------------------------------------------------- */

static void test_registers(void)
{
	uint8_t mac[6], wide[8];

	start(0);
	UNIT_EQ(get(VIRTIO_MMIO_DEVICE_ID), 1);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 1);
	UNIT_OK((get(VIRTIO_MMIO_DEVICE_FEATURES) & OFFLOADS) == OFFLOADS);
	reg(VIRTIO_MMIO_QUEUE_SEL, 2);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 0);
	for (unsigned int i = 0; i < 6; i++)
		virtio_mmio_read(virtio_net_mmio(card), VIRTIO_MMIO_CONFIG + i, &mac[i], 1);
	UNIT_OK(!memcmp(mac, host.mac, 6));
	UNIT_EQ(get(VIRTIO_MMIO_CONFIG + VIRTIO_CONFIG_BYTES), 0);
	UNIT_EQ(get(VIRTIO_MMIO_CONFIG + VIRTIO_CONFIG_BYTES - 3), 0);
	UNIT_EQ(get(VIRTIO_MMIO_CONFIG + VIRTIO_CONFIG_BYTES + 4), 0);
	virtio_mmio_read(virtio_net_mmio(card), VIRTIO_MMIO_CONFIG, wide, 8);
	UNIT_EQ(wide[1], 0);
	reg(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	UNIT_EQ(notified, 1);
	end();
	host.no_offloads = true;
	start(0);
	UNIT_EQ(get(VIRTIO_MMIO_DEVICE_FEATURES) & OFFLOADS, 0);
	end();
	start(OFFLOADS);
	UNIT_OK(!(get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK));
	reg(VIRTIO_MMIO_QUEUE_SEL, 0);
	UNIT_EQ(get(VIRTIO_MMIO_QUEUE_READY), 0);
	UNIT_OK(!virtio_net_serve(card));
	end();
	host.no_offloads = false;
}

static void test_send(void)
{
	uint8_t got[256];

	start(OFFLOADS);
	memset(guest + DATA, 0x5a, 200);
	describe(&tx, 3, DATA, HEADER, VRING_DESC_F_NEXT, 4);	/* header and frame apart */
	describe(&tx, 4, DATA + HEADER, 100, 0, 0);
	offer(&tx, 3);
	virtio_net_serve(card);
	UNIT_EQ(recv(wire, got, sizeof(got), 0), HEADER + 100);
	UNIT_EQ(got[HEADER + 99], 0x5a);
	UNIT_EQ(tx.used->idx, 1);
	UNIT_EQ(tx.used->ring[0].id, 3);
	UNIT_EQ(interrupts, 1);
	UNIT_EQ(virtio_net_copied_bytes(card), 100);
	tx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	offer(&tx, 3);
	virtio_net_serve(card);
	UNIT_EQ(interrupts, 1);
	UNIT_EQ(tx.used->idx, 2);
	/* Told of each; the wire is gone, and the frames with it. */
	tx.avail->flags = 0;
	host.every_event = true;
	close(wire);
	for (unsigned int i = 0; i < 3; i++)
		offer(&tx, 3);
	virtio_net_serve(card);
	UNIT_EQ(tx.used->idx, 5);
	UNIT_EQ(interrupts, 4);
	host.every_event = false;
	wire = -1;
	end();
}

static void test_receive(void)
{
	struct virtio_net_hdr_v1 h;
	uint8_t frame[HEADER + 300];

	start(1u << VIRTIO_NET_F_GUEST_CSUM);
	UNIT_OK(!virtio_net_serve(card));	/* no buffers: there is no use in waiting */
	UNIT_EQ(told, 1);
	UNIT_OK(told_checksum && !told_tso4);
	memset(frame, 0xa5, sizeof(frame));
	memset(frame, 0, HEADER);
	UNIT_EQ(send(wire, frame, sizeof(frame), 0), sizeof(frame));
	UNIT_OK(!virtio_net_serve(card));
	memset(guest + DATA, 0xee, 4096);
	describe(&rx, 1, DATA, 200, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2);
	describe(&rx, 2, DATA + 1024, 200, VRING_DESC_F_WRITE, 0);
	offer(&rx, 1);
	UNIT_OK(!virtio_net_serve(card));	/* it has taken the only one */
	UNIT_EQ(rx.used->idx, 1);
	UNIT_EQ(rx.used->ring[0].len, sizeof(frame));
	memcpy(&h, guest + DATA, sizeof(h));
	UNIT_EQ(h.num_buffers, 1);
	UNIT_EQ(guest[DATA + 199], 0xa5);
	UNIT_EQ(guest[DATA + 200], 0xee);
	UNIT_EQ(guest[DATA + 1024 + 111], 0xa5);
	UNIT_EQ(guest[DATA + 1024 + 112], 0xee);
	UNIT_EQ(interrupts, 1);
	offer(&rx, 1);
	UNIT_OK(virtio_net_serve(card));	/* nothing there: wait for the wire */
	UNIT_EQ(send(wire, frame, 100, 0), 100);
	UNIT_OK(!virtio_net_serve(card));
	UNIT_EQ(rx.used->idx, 2);
	UNIT_EQ(told, 1);
	UNIT_EQ(virtio_net_copied_bytes(card), 300 + 100 - HEADER);
	end();
}

/* A driver need not tell while nobody waits for it. */
static void test_told_when_asked(void)
{
	uint16_t *rx_wish, *tx_wish;

	start(1u << VIRTIO_RING_F_EVENT_IDX);
	rx_wish = (void *)&rx.used->ring[SIZE];
	tx_wish = (void *)&tx.used->ring[SIZE];
	*rx_wish = *tx_wish = 77;
	virtio_net_serve(card);
	UNIT_EQ(*tx_wish, 0);
	UNIT_EQ(*rx_wish, 0);
	describe(&rx, 0, DATA, 2048, VRING_DESC_F_WRITE, 0);
	offer(&rx, 0);
	offer(&rx, 0);
	virtio_net_serve(card);
	UNIT_EQ(*rx_wish, 0);			/* it has a buffer and asks for no more */
	end();
	start(0);
	describe(&rx, 0, DATA, 2048, VRING_DESC_F_WRITE, 0);
	offer(&rx, 0);
	virtio_net_serve(card);
	UNIT_EQ(rx.used->flags, VRING_USED_F_NO_NOTIFY);
	UNIT_EQ(tx.used->flags, 0);
	end();
}

/* ---- guests that do not -------------------------------------------------------------- */

static bool breaks_tx(uint64_t addr, uint32_t len, uint16_t flags)
{
	bool broken;

	start(0);
	describe(&tx, 0, addr, len, flags, 0);
	offer(&tx, 0);
	virtio_net_serve(card);
	broken = is_broken();
	UNIT_EQ(tx.used->idx, broken ? 0 : 1);
	end();
	return broken;
}

static bool breaks_rx(uint64_t addr, uint32_t len, uint16_t flags)
{
	uint8_t frame[100] = { 0 };
	bool broken;

	start(0);
	describe(&rx, 0, addr, len, flags, 0);
	offer(&rx, 0);
	UNIT_EQ(send(wire, frame, sizeof(frame), 0), sizeof(frame));
	virtio_net_serve(card);
	broken = is_broken();
	UNIT_EQ(rx.used->idx, broken ? 0 : 1);
	/* Nothing is served any more. */
	describe(&tx, 0, DATA, 100, 0, 0);
	offer(&tx, 0);
	virtio_net_serve(card);
	UNIT_EQ(tx.used->idx, broken ? 0 : 1);
	end();
	return broken;
}

static void test_broken(void)
{
	UNIT_OK(!breaks_tx(DATA, 100, 0));
	UNIT_OK(breaks_tx(DATA, 100, VRING_DESC_F_WRITE));
	UNIT_OK(breaks_tx(DATA, 100, VRING_DESC_F_NEXT));	/* itself */
	UNIT_OK(breaks_tx(MEMORY_BYTES - 99, 100, 0));
	UNIT_OK(breaks_tx(UINT64_MAX, 100, 0));
	UNIT_OK(!breaks_tx(DATA, 3, 0));		/* the wire does not take it */
	UNIT_OK(!breaks_rx(DATA, 2048, VRING_DESC_F_WRITE));
	UNIT_OK(breaks_rx(DATA, 2048, 0));
	UNIT_OK(breaks_rx(DATA, HEADER - 1, VRING_DESC_F_WRITE));
	UNIT_OK(breaks_rx(MEMORY_BYTES - 99, 100, VRING_DESC_F_WRITE));
	UNIT_OK(breaks_rx(DATA, UINT32_MAX, VRING_DESC_F_WRITE));
}

/* The header must lie in one piece: a driver may do otherwise, but none of ours does. */
static void test_header_in_two(void)
{
	start(0);
	describe(&rx, 0, MEMORY_BYTES - 4, 4, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	describe(&rx, 1, DATA, 2048, VRING_DESC_F_WRITE, 0);
	offer(&rx, 0);
	UNIT_EQ(send(wire, guest, 100, 0), 100);
	virtio_net_serve(card);
	UNIT_OK(is_broken());
	end();
}

/* Descriptors, registers and frames at random: the sanitizers look on. */
static void test_random(void)
{
	uint8_t frame[2000] = { 0 };

	for (unsigned int round = 0; round < 2000; round++) {
		start(rnd(2) ? 1u << VIRTIO_RING_F_EVENT_IDX : 0);
		for (unsigned int i = 0; i < SIZE; i++) {
			describe(&rx, i, rnd(4) ? DATA + rnd(4096) : rnd(2 * MEMORY_BYTES),
				 rnd(4) ? 64 : rnd(8192), rnd(8) ? VRING_DESC_F_WRITE : (uint16_t)rnd(8),
				 (uint16_t)rnd(SIZE + 1));
			describe(&tx, i, rnd(4) ? DATA + rnd(4096) : rnd(2 * MEMORY_BYTES),
				 rnd(4) ? 64 : rnd(8192), (uint16_t)rnd(4), (uint16_t)rnd(SIZE + 1));
		}
		for (unsigned int i = 0; i < 8; i++) {
			offer(rnd(2) ? &rx : &tx, (uint16_t)rnd(SIZE + (rnd(8) ? 0 : 2)));
			if (send(wire, frame, 1 + rnd(sizeof(frame)), 0) < 0)
				UNIT_OK(errno == EAGAIN);
			reg(rnd(0x110), rnd(300));
			virtio_net_serve(card);
		}
		end();
	}
}

static const struct unit_test tests[] = {
	{ "registers, and what is offered", test_registers },
	{ "frames are sent", test_send },
	{ "frames are received", test_receive },
	{ "it asks for what it waits for", test_told_when_asked },
	{ "descriptors that cannot be", test_broken },
	{ "a header in two pieces", test_header_in_two },
	{ "at random", test_random },
};

int main(void)
{
	return unit_run("compare-virtio-net", tests, UNIT_LEN(tests));
}
