/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupts: the table, the local APIC, waiting. Hides all of it; must not know what
 * an interrupt is about.
 */
#include "guest.h"

#define LAPIC_EOI 0xb0u
#define LAPIC_SPURIOUS 0xf0u
#define LAPIC_PRIORITY 0x80u
#define BREAKPOINT 3u
#define NR_GATES 256u

struct frame;

struct gate {
	uint16_t low, selector, flags, middle;
	uint32_t high, zero;
};

volatile uint64_t irq_total;
static struct gate gates[NR_GATES] __attribute__((aligned(16)));

static void set_gate(unsigned int vector, void *handler)
{
	uint64_t at = (uint64_t)handler;

	gates[vector] = (struct gate){
		.low = (uint16_t)at, .selector = 8, .flags = 0x8e00,
		.middle = (uint16_t)(at >> 16), .high = (uint32_t)(at >> 32),
	};
}

static void came(unsigned int n)
{
	job->irqs[n]++;
	irq_total++;
	write32(CMP_GPA_LAPIC + LAPIC_EOI, 0);
}

#define HANDLER(name, n)							\
	static __attribute__((interrupt)) void name(struct frame *frame)	\
	{									\
		(void)frame;							\
		came(n);							\
	}
HANDLER(irq_ata, 0)
HANDLER(irq_virtio, 1)
HANDLER(irq_event, 2)
HANDLER(irq_store, 3)
HANDLER(irq_rtl8139, 4)
HANDLER(irq_peer, 5)

static __attribute__((interrupt)) void spurious(struct frame *frame)
{
	(void)frame;
}

/* It does not return, so whether there is an error code does not matter. */
static __attribute__((interrupt)) void fault(struct frame *frame)
{
	(void)frame;
	give_up(-14, "the guest's own program has a fault (exception)");
}

void irq_init(void)
{
	static void (*const handlers[])(struct frame *) = {
		irq_ata, irq_virtio, irq_event, irq_store, irq_rtl8139, irq_peer };
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(gates) - 1, (uint64_t)gates };

	for (unsigned int i = 0; i < 32; i++)
		set_gate(i, fault);
	for (unsigned int i = 0; i < ARRAY_NR(handlers); i++)
		set_gate(CMP_VECTOR_ATA + i, handlers[i]);
	set_gate(BREAKPOINT, guest_halt);
	gates[BREAKPOINT].flags |= 0x6000;	/* user mode may call it */
	set_gate(0xff, spurious);
	__asm__ volatile("lidt %0" :: "m"(idtr));
	write32(CMP_GPA_LAPIC + LAPIC_PRIORITY, 0);
	write32(CMP_GPA_LAPIC + LAPIC_SPURIOUS, 0x1ff);
}

uint64_t irq_count(unsigned int vector)
{
	return *(volatile uint64_t *)&job->irqs[vector - CMP_VECTOR_ATA];
}

void irq_wait(bool (*ready)(void *arg), void *arg)
{
	uint64_t seen = irq_total;

	for (; !ready(arg); seen = irq_total) {
		if (job->flags & CMP_POLL) {
			pause_cpu();
			continue;
		}
		job->halts++;
		__asm__ volatile("int3" :: "D"(seen) : "memory");
	}
}
