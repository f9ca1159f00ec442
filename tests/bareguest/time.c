/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clock, and sleep until an event or a time. Hides the scaling of the CPU's
 * counter, the one-shot timer, and that the upcall is open only while the CPU is
 * given away. Must not know who waits for what.
 */
#include "bare.h"
#include "hypercall.h"
#include "spin.h"

uint64_t time_ns(void)
{
	const struct vcpu_time_info *t = &shared_info->vcpu_info[0].time;
	uint64_t delta, base;
	uint32_t version, mul;
	int8_t shift;

	do {
		version = READ_ONCE(t->version) & ~1u;
		barrier();
		base = READ_ONCE(t->system_time);
		delta = spin_now_cycles() - READ_ONCE(t->tsc_timestamp);
		mul = READ_ONCE(t->tsc_to_system_mul);
		shift = READ_ONCE(t->tsc_shift);
		barrier();
	} while (READ_ONCE(t->version) != version);
	delta = shift < 0 ? delta >> -shift : delta << shift;
	return base + (uint64_t)(((unsigned __int128)delta * mul) >> 32);
}

/*
 * Xen opens the upcall when it is asked to block and closes it again when it makes the
 * upcall. An event that comes between done() and the hypercall is pending then, and
 * the hypercall returns at once.
 */
bool wait_until(bool (*done)(void *arg), void *arg, uint64_t deadline_ns)
{
	bool timed = deadline_ns != NEVER_NS;

	for (;;) {
		events_collect();
		if (done(arg))
			return true;
		if (timed && time_ns() >= deadline_ns)
			return false;
		if (timed)
			xen_set_timer_op(deadline_ns);
		xen_sched_op(SCHEDOP_block, NULL);
		WRITE_ONCE(shared_info->vcpu_info[0].evtchn_upcall_mask, 1);
	}
}

void time_init(void)
{
	struct evtchn_bind_virq bind = { .virq = VIRQ_TIMER, .vcpu = 0 };
	long r = xen_evtchn_op(EVTCHNOP_bind_virq, &bind);

	if (r < 0)
		panic("no timer: %ld", r);
	events_listen(bind.port);
}
