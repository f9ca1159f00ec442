/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hypercalls through the page that the domain builder filled in. Hides registers
 * and entry addresses; must not know what a call is for. They return what Xen
 * does: 0 or more, or a negative errno of Xen's, whose numbers are Linux's for
 * all that the guest meets.
 */
#ifndef BARE_HYPERCALL_H
#define BARE_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/version.h>

extern char hypercall_page[];

static inline long hypercall4(unsigned long nr, unsigned long a, unsigned long b,
			      unsigned long c, unsigned long d)
{
	register unsigned long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("call *%[entry]"
			 : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10)
			 : [entry] "r"(hypercall_page + nr * 32)
			 : "memory", "rcx", "r8", "r11");
	return ret;
}

static inline long xen_set_trap_table(const struct trap_info *table)
{
	return hypercall4(__HYPERVISOR_set_trap_table, (unsigned long)table, 0, 0, 0);
}

static inline long xen_set_callbacks(void (*event)(void), void (*failsafe)(void))
{
	return hypercall4(__HYPERVISOR_set_callbacks, (unsigned long)event,
			  (unsigned long)failsafe, 0, 0);
}

static inline long xen_update_va_mapping(unsigned long va, uint64_t pte,
					 unsigned long flags)
{
	return hypercall4(__HYPERVISOR_update_va_mapping, va, pte, flags, 0);
}

static inline long xen_memory_op(unsigned int cmd, void *arg)
{
	return hypercall4(__HYPERVISOR_memory_op, cmd, (unsigned long)arg, 0, 0);
}

static inline long xen_evtchn_op(unsigned int cmd, void *arg)
{
	return hypercall4(__HYPERVISOR_event_channel_op, cmd, (unsigned long)arg, 0, 0);
}

static inline long xen_grant_table_op(unsigned int cmd, void *arg, unsigned int nr)
{
	return hypercall4(__HYPERVISOR_grant_table_op, cmd, (unsigned long)arg, nr, 0);
}

static inline long xen_sched_op(unsigned int cmd, void *arg)
{
	return hypercall4(__HYPERVISOR_sched_op, cmd, (unsigned long)arg, 0, 0);
}

static inline long xen_set_timer_op(uint64_t at_ns)
{
	return hypercall4(__HYPERVISOR_set_timer_op, at_ns, 0, 0, 0);
}

static inline long xen_multicall(struct multicall_entry *calls, unsigned int nr)
{
	return hypercall4(__HYPERVISOR_multicall, (unsigned long)calls, nr, 0, 0);
}

static inline long xen_version(unsigned int cmd, void *arg)
{
	return hypercall4(__HYPERVISOR_xen_version, cmd, (unsigned long)arg, 0, 0);
}

#endif
