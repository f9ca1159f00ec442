/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver of the RTL8139, register by register. Hides its four descriptors and its ring.
 *
 * Frames are sent from where they were made, which spares a copy that drivers of systems
 * make, and the cause of an interrupt is looked at when there is need, for up to four
 * frames at once. Received frames are copied out, as the ring has to be read in order.
 */
#include <string.h>

#include "guest.h"
#include "rtl8139-regs.h"

#define RING_BYTES 32768u
#define RING_SIZE 2u			/* as RCR has it */
#define RING_SPARE 2048u		/* the last frame lies past the end */
#define BUFFER_BYTES 2048u

static uint8_t *ring, *tx[RTL_TX], *taken_out;
static uint32_t read_at;
static unsigned int sent, gone;		/* descriptors */
static uint64_t irqs_seen, copied;

static uint16_t port(unsigned int reg)
{
	return (uint16_t)(CMP_PORT_RTL8139 + reg);
}

static uint16_t wanted_interrupts(void)
{
	return job->flags & CMP_POLL ? 0 :
	       ISR_RX_OK | ISR_TX_OK | ISR_TX_ERROR | ISR_RX_OVERFLOW | ISR_SYSTEM_ERROR;
}

static bool rtl_open(void)
{
	static const uint32_t receive = RCR_OURS | RCR_BROADCAST | RCR_WRAP |
					RING_SIZE << RCR_SIZE_SHIFT;

	ring = net_memory(RING_BYTES + 16 + RING_SPARE);
	taken_out = net_memory(BUFFER_BYTES);
	out8(port(RTL_CR), CR_RESET);
	while (in8(port(RTL_CR)) & CR_RESET)
		pause_cpu();
	if ((in32(port(RTL_TCR)) & 0x7c000000u) != TCR_CHIP)
		give_up(-6, "there is no RTL8139");
	out8(port(RTL_CR), CR_TX | CR_RX);
	out32(port(RTL_RBSTART), (uint32_t)(uint64_t)ring);
	out32(port(RTL_RCR), receive);
	out32(port(RTL_TCR), 0x700);
	for (unsigned int i = 0; i < RTL_TX; i++) {
		tx[i] = net_memory(BUFFER_BYTES);
		out32(port(RTL_TSAD + 4 * i), (uint32_t)(uint64_t)tx[i]);
	}
	out16(port(RTL_CAPR), (uint16_t)-RTL_CAPR_LAG);
	out16(port(RTL_IMR), wanted_interrupts());
	return false;
}

/* What an interrupt handler does first. */
static void acknowledge(void)
{
	uint16_t isr;

	if (!(job->flags & CMP_POLL) && irq_count(CMP_VECTOR_RTL8139) == irqs_seen)
		return;
	irqs_seen = irq_count(CMP_VECTOR_RTL8139);
	isr = in16(port(RTL_ISR));
	out16(port(RTL_ISR), isr);
	if (isr & (ISR_TX_ERROR | ISR_SYSTEM_ERROR))
		give_up(-5, "the RTL8139 says that a frame was not sent, or that it has failed");
}

static void reap(void)
{
	acknowledge();
	for (; gone != sent; gone++)
		if (!(in32(port(RTL_TSD + 4 * (gone % RTL_TX))) & TSD_OWN))
			return;
}

static bool rtl_get(struct nic_frame *f, uint32_t bytes)
{
	if (sent - gone == RTL_TX)
		reap();
	if (sent - gone == RTL_TX)
		return false;
	f->nr = 1;
	f->piece[0].base = tx[sent % RTL_TX];
	f->piece[0].bytes = f->bytes = bytes;
	return true;
}

static void rtl_send(struct nic_frame *f)
{
	out32(port(RTL_TSD + 4 * (sent++ % RTL_TX)), f->bytes);
}

static bool empty(void)
{
	return in8(port(RTL_CR)) & CR_EMPTY;
}

static bool rtl_receive(struct nic_frame *f)
{
	uint16_t head[2];

	if (empty()) {
		acknowledge();		/* what comes from now on is another interrupt */
		if (empty())
			return false;
	}
	memcpy(head, ring + read_at, sizeof(head));
	if (!(head[0] & RTL_RX_OK) || head[1] < RTL_FCS || head[1] > CMP_FRAME_MAX + RTL_FCS)
		give_up(-71, "the RTL8139 received a frame that cannot be");
	f->nr = 1;
	f->bytes = head[1] - RTL_FCS;
	f->piece[0].base = taken_out;
	f->piece[0].bytes = f->bytes;
	f->blank = false;
	f->gso_bytes = 0;
	memcpy(taken_out, ring + read_at + RTL_HEAD, f->bytes);
	copied += f->bytes;
	read_at = (read_at + RTL_HEAD + head[1] + 3) & ~3u & (RING_BYTES - 1);
	out16(port(RTL_CAPR), (uint16_t)(read_at - RTL_CAPR_LAG));
	return true;
}

static void rtl_release(struct nic_frame *f)
{
	(void)f;
}

static void rtl_kick(void)
{
	/* Each frame was told of. */
}

static bool interrupted(void *arg)
{
	(void)arg;
	return job->flags & CMP_POLL || irq_count(CMP_VECTOR_RTL8139) != irqs_seen;
}

static void rtl_wait(unsigned int what)
{
	(void)what;
	irq_wait(interrupted, NULL);
}

static unsigned int rtl_in_flight(void)
{
	reap();
	return sent - gone;
}

static void rtl_close(void)
{
	out16(port(RTL_IMR), 0);
	out8(port(RTL_CR), 0);
}

static uint64_t rtl_copied_bytes(void)
{
	return copied;
}

const struct nic_model nic_rtl8139 = {
	.open = rtl_open, .get = rtl_get, .send = rtl_send, .receive = rtl_receive,
	.release = rtl_release, .kick = rtl_kick, .wait = rtl_wait,
	.in_flight = rtl_in_flight, .close = rtl_close, .copied_bytes = rtl_copied_bytes,
};
