/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comparison's RTL8139, with a driver that behaves and with guests that do not.
 */
#define MEMORY_BYTES (256u << 10)
#define COMPARE_GUEST_BYTES MEMORY_BYTES
#include "abi.h"
#include "compare-guest.h"
#include "rtl8139.h"
#include "rtl8139-regs.h"
#include "unit.h"

#define RING 0x10000u
#define DATA 0x1000u
#define ALL_CAUSES 0xffff

static const uint8_t ours[6] = { 0, 0x16, 0x3e, 0, 0, 1 };
static struct rtl8139 *card;
static bool wire_broken;
static unsigned int sent;
static const void *sent_from;
static uint32_t sent_bytes;

static bool transmit(void *ctx, const void *frame, uint32_t bytes)
{
	const uint8_t *at = frame;

	(void)ctx;
	UNIT_OK(at >= guest && at + bytes <= guest + sizeof(guest));
	sent++;
	sent_from = frame;
	sent_bytes = bytes;
	return !wire_broken;
}

static unsigned int on_wire, looks;	/* frames of wire_bytes that wait; times it was asked */
static uint32_t wire_bytes;

static ssize_t receive(void *ctx, const struct iovec *iov, unsigned int nr)
{
	(void)ctx;
	UNIT_OK(nr >= 1 && iov[0].iov_len >= 6);
	looks++;
	if (!on_wire)
		return -EAGAIN;
	on_wire--;
	memcpy(iov[0].iov_base, ours, 6);
	return wire_bytes;
}

static const struct rtl8139_host host = {
	.mac = { 0, 0x16, 0x3e, 0, 0, 1 }, .memory = guest_memory, .interrupt = guest_interrupt,
	.transmit = transmit, .receive = receive };

static uint32_t in(unsigned int reg, unsigned int bytes)
{
	uint32_t v = 0;

	rtl8139_in(card, (uint16_t)(CMP_PORT_RTL8139 + reg), &v, bytes, 1);
	return v;
}

static void out(unsigned int reg, unsigned int bytes, uint32_t v)
{
	rtl8139_out(card, (uint16_t)(CMP_PORT_RTL8139 + reg), &v, bytes, 1);
}

static void start(uint32_t rcr)
{
	memset(guest, 0xee, sizeof(guest));
	interrupts = sent = 0;
	wire_broken = false;
	UNIT_EQ(rtl8139_open(&host, &card), 0);
	out(RTL_CR, 1, CR_RESET);
	out(RTL_CR, 1, CR_TX | CR_RX);
	out(RTL_RBSTART, 4, RING);
	out(RTL_RCR, 4, rcr);
	out(RTL_IMR, 2, ALL_CAUSES);
}

#define RING_8K (RCR_OURS | RCR_BROADCAST)
#define RING_8K_WRAPS (RING_8K | RCR_WRAP)
#define RING_64K (RING_8K | 3 << RCR_SIZE_SHIFT)

/* ---- at rest ------------------------------------------------------------------- */

static void test_identity(void)
{
	start(RING_8K);
	for (unsigned int i = 0; i < 6; i++)
		UNIT_EQ(in(RTL_IDR + i, 1), ours[i]);
	UNIT_EQ(in(RTL_TCR, 4) & 0x7c000000, TCR_CHIP);
	UNIT_EQ(in(RTL_CR, 1), CR_TX | CR_RX | CR_EMPTY);
	for (unsigned int i = 0; i < RTL_TX; i++)
		UNIT_EQ(in(RTL_TSD + 4 * i, 4), TSD_OWN);
	out(RTL_IDR, 1, 0x52);
	UNIT_EQ(in(RTL_IDR, 1), 0x52);
	out(RTL_CR, 1, CR_RESET);
	UNIT_EQ(in(RTL_IDR, 1), 0);
	UNIT_EQ(in(RTL_CR, 1), CR_EMPTY);
	UNIT_EQ(in(0xf0, 1), 0);
	UNIT_OK(rtl8139_has_port(CMP_PORT_RTL8139 + 255));
	UNIT_OK(!rtl8139_has_port(CMP_PORT_RTL8139 + 256));
	rtl8139_close(card);
}

/* ---- sending ------------------------------------------------------------------- */

static void test_send(void)
{
	start(RING_8K);
	out(RTL_TSAD + 8, 4, DATA);
	out(RTL_TSD + 8, 4, 100);
	UNIT_EQ(sent, 1);
	UNIT_OK(sent_from == guest + DATA);
	UNIT_EQ(sent_bytes, 100);
	UNIT_EQ(in(RTL_TSD + 8, 4), 100 | TSD_OWN | TSD_OK);
	UNIT_EQ(in(RTL_ISR, 2), ISR_TX_OK);
	UNIT_EQ(interrupts, 1);
	UNIT_EQ(rtl8139_copied_bytes(card), 100);
	out(RTL_TSD + 8, 4, CMP_FRAME_MAX);
	UNIT_EQ(sent, 2);
	UNIT_EQ(interrupts, 1);			/* the line was up */
	out(RTL_ISR, 2, ISR_TX_OK);
	UNIT_EQ(in(RTL_ISR, 2), 0);
	out(RTL_TSD + 8, 4, 60);
	UNIT_EQ(interrupts, 2);
	rtl8139_close(card);
}

static void test_send_nothing(void)
{
	start(RING_8K);
	out(RTL_TSAD, 4, DATA);
	out(RTL_TSD, 4, 100 | TSD_OWN);		/* it is the driver's still */
	out(RTL_CR, 1, CR_RX);
	out(RTL_TSD, 4, 100);
	UNIT_EQ(sent, 0);
	UNIT_EQ(in(RTL_ISR, 2), 0);
	out(RTL_CR, 1, CR_TX | CR_RX);
	out(RTL_TSD, 4, 0);
	out(RTL_TSD, 4, CMP_FRAME_MAX + 1);
	out(RTL_TSD, 4, TSD_BYTES);
	out(RTL_TSAD, 4, MEMORY_BYTES - 99);
	out(RTL_TSD, 4, 100);
	out(RTL_TSAD, 4, UINT32_MAX);
	out(RTL_TSD, 4, 100);
	UNIT_EQ(sent, 0);
	UNIT_EQ(in(RTL_TSD, 4), 100 | TSD_OWN | TSD_ABORTED);
	UNIT_EQ(in(RTL_ISR, 2), ISR_TX_ERROR);
	out(RTL_TSAD, 4, MEMORY_BYTES - 100);
	out(RTL_TSD, 4, 100);
	UNIT_EQ(sent, 1);
	wire_broken = true;
	out(RTL_TSD, 4, 100);
	UNIT_EQ(in(RTL_TSD, 4), 100 | TSD_OWN | TSD_ABORTED);
	rtl8139_close(card);
}

/* ---- interrupts ------------------------------------------------------------------ */

static bool arrives(const uint8_t *to, uint32_t bytes);

static void test_interrupts(void)
{
	start(RING_8K);
	out(RTL_IMR, 2, 0);
	out(RTL_TSAD, 4, DATA);
	out(RTL_TSD, 4, 100);
	UNIT_EQ(interrupts, 0);
	out(RTL_IMR, 2, ISR_RX_OK);
	UNIT_EQ(interrupts, 0);
	out(RTL_IMR, 2, ISR_TX_OK | ISR_RX_OK);
	UNIT_EQ(interrupts, 1);
	UNIT_OK(arrives(ours, 64));
	UNIT_EQ(interrupts, 1);
	/* One of two causes is taken away: the line stays up, and is heard again. */
	out(RTL_ISR, 2, ISR_TX_OK);
	UNIT_EQ(interrupts, 2);
	UNIT_EQ(in(RTL_ISR, 2), ISR_RX_OK);
	out(RTL_ISR, 2, ISR_RX_OK);
	UNIT_EQ(interrupts, 2);
	rtl8139_close(card);
}

/* ---- receiving ---------------------------------------------------------------------- */

/* A frame of octets that are its length, to an address. False: there was no room. */
static bool arrives(const uint8_t *to, uint32_t bytes)
{
	uint8_t frame[CMP_FRAME_MAX];
	struct iovec iov[2];
	unsigned int n = rtl8139_room(card, iov);
	uint32_t at = 0, part;

	if (!n)
		return false;
	memset(frame, (int)(bytes & 255), sizeof(frame));
	memcpy(frame, to, 6);
	for (unsigned int i = 0; i < n && at < bytes; i++, at += part) {
		part = bytes - at < iov[i].iov_len ? bytes - at : (uint32_t)iov[i].iov_len;
		memcpy(iov[i].iov_base, frame + at, part);
	}
	UNIT_EQ(at, bytes);
	rtl8139_received(card, bytes);
	return true;
}

static uint32_t read_at;

/* As a driver does; the octets of the ring are read one by one, so that any wrap is seen. */
static void take(uint32_t bytes, uint32_t size, bool whole)
{
	uint8_t head[4], last;
	uint16_t status, length;

	UNIT_EQ(in(RTL_CR, 1) & CR_EMPTY, 0);
	memcpy(head, guest + RING + read_at, 4);
	memcpy(&status, head, 2);
	memcpy(&length, head + 2, 2);
	UNIT_OK(status & RTL_RX_OK);
	UNIT_EQ(length, bytes + RTL_FCS);
	last = guest[RING + (whole ? read_at + 3 + bytes : (read_at + 3 + bytes) % size)];
	UNIT_EQ(last, bytes & 255);
	read_at = (read_at + 4 + length + 3) / 4 * 4 % size;
	out(RTL_CAPR, 2, read_at - RTL_CAPR_LAG);
}

static void receive_many(uint32_t rcr, uint32_t size, bool whole)
{
	start(rcr);
	read_at = 0;
	for (unsigned int i = 0; i < 200; i++) {
		uint32_t bytes = 60 + i * 37 % (CMP_FRAME_MAX - 59), other = 60 + i;

		UNIT_OK(arrives(ours, bytes));
		UNIT_OK(arrives(ours, other));
		UNIT_EQ(in(RTL_CBR, 2), (read_at + (bytes + 11) / 4 * 4 + (other + 11) / 4 * 4) % size);
		take(bytes, size, whole);
		take(other, size, whole);
		UNIT_EQ(in(RTL_CR, 1) & CR_EMPTY, CR_EMPTY);
	}
	rtl8139_close(card);
}

static void test_receive(void)
{
	receive_many(RING_8K, 8192, false);
	receive_many(RING_8K_WRAPS, 8192, true);
	receive_many(RING_64K, 65536, false);
	receive_many(RING_64K | RCR_WRAP, 65536, false);	/* such a ring always begins anew */
}

static void test_full(void)
{
	struct iovec iov[2];
	unsigned int n = 0;

	start(RING_8K);
	read_at = 0;
	while (arrives(ours, 1000))
		n++;
	UNIT_EQ(n, 7);		/* 1008 each; the eighth and the largest frame do not fit */
	UNIT_EQ(in(RTL_CR, 1) & CR_EMPTY, 0);
	for (unsigned int i = 0; i < n; i++)
		take(1000, 8192, false);
	UNIT_OK(rtl8139_room(card, iov));
	out(RTL_CR, 1, CR_TX);
	UNIT_EQ(rtl8139_room(card, iov), 0);
	rtl8139_close(card);
}

/* All that waits, in one turn and with one interrupt; not without an end, or room. */
static void test_turns(void)
{
	start(RING_64K);
	looks = 0;
	on_wire = 10;
	wire_bytes = 100;
	UNIT_OK(rtl8139_receive(card));
	UNIT_EQ(on_wire, 0);
	UNIT_EQ(looks, 11);
	UNIT_EQ(interrupts, 1);
	UNIT_EQ(in(RTL_CBR, 2), 10 * 108);
	on_wire = 100;
	UNIT_OK(rtl8139_receive(card));
	UNIT_EQ(on_wire, 100 - RTL8139_TURN);
	rtl8139_close(card);

	start(RING_8K);
	looks = 0;
	on_wire = 20;
	wire_bytes = 1000;
	UNIT_OK(!rtl8139_receive(card));
	UNIT_EQ(on_wire, 13);		/* 7 as above, and no look at what has no room */
	UNIT_EQ(looks, 7);
	on_wire = 0;
	rtl8139_close(card);
}

static uint32_t written(uint32_t rcr, const uint8_t *to)
{
	uint32_t at;

	start(rcr);
	UNIT_OK(arrives(to, 64));
	at = in(RTL_CBR, 2);
	UNIT_EQ(interrupts, at ? 1 : 0);
	rtl8139_close(card);
	return at;
}

static void test_addresses(void)
{
	static const uint8_t other[6] = { 0, 0x16, 0x3e, 0, 0, 2 }, group[6] = { 1, 0, 0x5e, 0, 0, 1 };
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

	UNIT_OK(written(RCR_OURS, ours));
	UNIT_OK(!written(RCR_BROADCAST, ours));
	UNIT_OK(!written(RCR_OURS, other));
	UNIT_OK(written(RCR_ALL, other));
	UNIT_OK(!written(RCR_OURS, all));
	UNIT_OK(written(RCR_BROADCAST, all));
	UNIT_OK(!written(RCR_GROUPS, group));	/* the set of groups is empty */
	UNIT_OK(written(RCR_ALL, group));
	start(RCR_GROUPS);
	for (unsigned int i = 0; i < 8; i++)
		out(RTL_MAR + i, 1, 0xff);
	UNIT_OK(arrives(group, 64));
	UNIT_OK(in(RTL_CBR, 2));
	rtl8139_close(card);
}

/* ---- guests that do not behave -------------------------------------------------------- */

static void test_ring_elsewhere(void)
{
	struct iovec iov[2];

	start(RING_8K);
	out(RTL_RBSTART, 4, UINT32_MAX);
	UNIT_EQ(rtl8139_room(card, iov), 0);
	out(RTL_RBSTART, 4, MEMORY_BYTES - CMP_FRAME_MAX);
	UNIT_EQ(rtl8139_room(card, iov), 0);
	/* The first frame fits, what follows does not. */
	out(RTL_RBSTART, 4, MEMORY_BYTES - CMP_FRAME_MAX - 16);
	UNIT_OK(arrives(ours, CMP_FRAME_MAX));
	UNIT_EQ(rtl8139_room(card, iov), 0);
	/* Reset by a size that is smaller than where it was. */
	out(RTL_RBSTART, 4, RING);
	out(RTL_RCR, 4, RING_64K);
	for (unsigned int i = 0; i < 20; i++)
		UNIT_OK(arrives(ours, 1500));
	out(RTL_RCR, 4, RING_8K);
	UNIT_EQ(in(RTL_CBR, 2), 0);
	rtl8139_received(card, 5);		/* shorter than an address */
	rtl8139_received(card, CMP_FRAME_MAX + 1);
	UNIT_EQ(in(RTL_CBR, 2), 0);
	rtl8139_close(card);
}

static void poke(void)
{
	static const uint8_t regs[] = { RTL_TSD, RTL_TSAD, RTL_RBSTART, RTL_CR, RTL_CAPR, RTL_IMR,
					RTL_ISR, RTL_RCR, RTL_TCR, RTL_CBR, RTL_MAR };
	unsigned int bytes = 1u << rnd(3), reg = rnd(8) ? regs[rnd(UNIT_LEN(regs))] : rnd(256);
	uint32_t value = rnd(3) ? rnd(2 * MEMORY_BYTES) : (uint32_t)(rnd(65536) << 16 | rnd(65536));

	if (reg == RTL_CR && rnd(4))
		value = CR_TX | CR_RX;
	if (reg == RTL_TSD)
		value = rnd(2 * CMP_FRAME_MAX);
	out(reg, bytes, value);
	in(rnd(256), bytes);
}

/* The sanitizers, transmit() and the pieces look on. */
static void test_random(void)
{
	struct iovec iov[2];
	unsigned int n, received = 0;
	uint32_t total;

	start(RING_8K);
	for (unsigned int i = 0; i < 300000; i++) {
		poke();
		n = rtl8139_room(card, iov);
		total = 0;
		for (unsigned int k = 0; k < n; k++) {
			uint8_t *at = iov[k].iov_base;

			UNIT_OK(at >= guest && at + iov[k].iov_len <= guest + sizeof(guest));
			memset(at, rnd(2) ? 0xff : 0, iov[k].iov_len);
			total += (uint32_t)iov[k].iov_len;
		}
		UNIT_OK(!n || total == CMP_FRAME_MAX);
		if (n)
			rtl8139_received(card, rnd(CMP_FRAME_MAX + 100));
		received += n;
	}
	UNIT_OK(received > 1000);
	UNIT_OK(sent > 1000);
	rtl8139_close(card);
}

static const struct unit_test tests[] = {
	{ "what it is", test_identity },
	{ "a frame is sent", test_send },
	{ "what cannot be sent", test_send_nothing },
	{ "the line and its mask", test_interrupts },
	{ "rings of all kinds, read in order", test_receive },
	{ "a ring that is full", test_full },
	{ "many in a turn", test_turns },
	{ "whose frames it takes", test_addresses },
	{ "rings that are not in the guest", test_ring_elsewhere },
	{ "at random", test_random },
};

int main(void)
{
	return unit_run("compare-rtl8139", tests, UNIT_LEN(tests));
}
