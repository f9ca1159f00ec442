/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens when something is wrong with the guest itself: one readable line,
 * then the domain ends as crashed. Hides the trap table; must not know why.
 */
#include <stdarg.h>

#include "bare.h"
#include "hypercall.h"

/* As start.S leaves the stack. */
struct trap_frame {
	uint64_t error, rip, cs, rflags, rsp, ss;
};

struct trap_stub {
	uint64_t nr, entry;
};

extern const struct trap_stub trap_stubs[];
void trap_report(unsigned int nr, const struct trap_frame *f);

static const char *const trap_name[20] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode",
	"no FPU", "double fault", "coprocessor", "invalid TSS", "segment not present",
	"stack fault", "general protection", "page fault", "", "FPU error", "alignment",
	"machine check", "SIMD error",
};

void shutdown(unsigned int reason)
{
	struct sched_shutdown op = { .reason = reason };

	for (;;)
		xen_sched_op(SCHEDOP_shutdown, &op);
}

/* A fault in here, or on the way, must not come back. */
static void only_once(void)
{
	static bool crashing;

	if (crashing)
		shutdown(SHUTDOWN_crash);
	crashing = true;
}

void panic(const char *fmt, ...)
{
	char text[256];
	va_list args;

	only_once();
	va_start(args, fmt);
	vformat(text, sizeof(text), fmt, args);
	va_end(args);
	say("bareguest: panic: %s\n", text);
	console_flush();
	shutdown(SHUTDOWN_crash);
}

void trap_report(unsigned int nr, const struct trap_frame *f)
{
	only_once();
	if (nr >= ARRAY_NR(trap_name))
		say("bareguest: trap: Xen could not return to the guest\n");
	else
		say("bareguest: trap %u (%s), error %lx, at %lx, address %lx, stack %lx\n", nr,
		    trap_name[nr], f->error, f->rip, shared_info->vcpu_info[0].arch.cr2,
		    f->rsp);
	console_flush();
	shutdown(SHUTDOWN_crash);
}

void traps_init(void)
{
	static struct trap_info table[ARRAY_NR(trap_name) + 1];
	unsigned int i;

	for (i = 0; trap_stubs[i].entry; i++) {
		table[i].vector = (uint8_t)trap_stubs[i].nr;
		table[i].flags = 4;	/* no upcall while it is handled */
		table[i].cs = FLAT_KERNEL_CS;
		table[i].address = trap_stubs[i].entry;
	}
	if (xen_set_trap_table(table) < 0)
		panic("Xen does not take the trap table");
}
