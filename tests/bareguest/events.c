/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event channels of the two-level kind, and libxenevtchn over them. Hides the bits
 * of the shared page; must not know who uses a port. A port of the library's is
 * masked from the moment it is pending until xenevtchn_unmask(), as on Linux.
 */
#include <errno.h>
#include <stdlib.h>
#include <xenevtchn.h>

#include "bare.h"
#include "hypercall.h"

#define WORD_BITS 64u
#define PORTS (WORD_BITS * WORD_BITS)

enum owner { NOBODY, LIBRARY, GUEST };

static uint8_t owner[PORTS];
/* Pending ports of the library's; each is there once, since it is masked. */
static uint16_t ready[PORTS];
static unsigned int ready_prod, ready_cons;
static uint64_t upcalls;

struct xenevtchn_handle {
	int unused;
};

/* Bits that Xen sets at the same time. One CPU here, others under the hypervisor. */
static bool test_and_set(xen_ulong_t *word, unsigned int bit)
{
	return __atomic_fetch_or(word, 1ul << bit, __ATOMIC_SEQ_CST) >> bit & 1;
}

static bool test_and_clear(xen_ulong_t *word, unsigned int bit)
{
	return __atomic_fetch_and(word, ~(1ul << bit), __ATOMIC_SEQ_CST) >> bit & 1;
}

static void mask(uint32_t port)
{
	test_and_set(shared_info->evtchn_mask + port / WORD_BITS, port % WORD_BITS);
}

/* What became pending while masked made no upcall: as if it came now. */
static void unmask(uint32_t port)
{
	struct vcpu_info *v = &shared_info->vcpu_info[0];

	test_and_clear(shared_info->evtchn_mask + port / WORD_BITS, port % WORD_BITS);
	if (!(READ_ONCE(shared_info->evtchn_pending[port / WORD_BITS]) >>
	      port % WORD_BITS & 1))
		return;
	test_and_set(&v->evtchn_pending_sel, port / WORD_BITS);
	WRITE_ONCE(v->evtchn_upcall_pending, 1);
}

static void take(uint32_t port)
{
	if (owner[port] == LIBRARY) {
		mask(port);
		ready[ready_prod++ % PORTS] = (uint16_t)port;
	}
	test_and_clear(shared_info->evtchn_pending + port / WORD_BITS, port % WORD_BITS);
}

void events_collect(void)
{
	struct vcpu_info *v = &shared_info->vcpu_info[0];
	xen_ulong_t words, bits;
	unsigned int i;

	while (READ_ONCE(v->evtchn_upcall_pending)) {
		WRITE_ONCE(v->evtchn_upcall_pending, 0);
		words = __atomic_exchange_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
		for (; words; words &= words - 1) {
			i = (unsigned int)__builtin_ctzl(words);
			bits = READ_ONCE(shared_info->evtchn_pending[i]) &
			       ~READ_ONCE(shared_info->evtchn_mask[i]);
			for (; bits; bits &= bits - 1)
				take(i * WORD_BITS + (unsigned int)__builtin_ctzl(bits));
		}
	}
}

void events_upcall(void);

void events_upcall(void)
{
	upcalls++;
	events_collect();
}

bool events_ready(void)
{
	return ready_prod != ready_cons;
}

uint64_t events_upcalls(void)
{
	return upcalls;
}

void events_listen(uint32_t port)
{
	owner[port] = GUEST;
	unmask(port);
}

void events_notify(uint32_t port)
{
	struct evtchn_send send = { .port = port };

	xen_evtchn_op(EVTCHNOP_send, &send);
}

void event_upcall(void);
void failsafe_upcall(void);

void events_init(void)
{
	unsigned int i;

	shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
	for (i = 0; i < WORD_BITS; i++)
		shared_info->evtchn_mask[i] = ~0ul;
	if (xen_set_callbacks(event_upcall, failsafe_upcall) < 0)
		panic("Xen does not take the upcall");
}

/* ---- libxenevtchn ---------------------------------------------------------------- */

static int failed(long r)
{
	errno = (int)-r;
	return -1;
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	static struct xenevtchn_handle handle;

	(void)logger;
	(void)flags;
	return &handle;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	(void)xce;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct evtchn_send send = { .port = port };
	long r = xen_evtchn_op(EVTCHNOP_send, &send);

	(void)xce;
	return r < 0 ? failed(r) : 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	struct evtchn_alloc_unbound op = { .dom = DOMID_SELF, .remote_dom = (domid_t)domid };
	long r = xen_evtchn_op(EVTCHNOP_alloc_unbound, &op);

	(void)xce;
	if (r < 0)
		return failed(r);
	owner[op.port] = LIBRARY;
	unmask(op.port);
	return (int)op.port;
}

/* A port that waits to be taken is forgotten: its number may come again. */
static void forget(evtchn_port_t port)
{
	unsigned int i, kept = ready_cons;

	for (i = ready_cons; i != ready_prod; i++)
		if (ready[i % PORTS] != port)
			ready[kept++ % PORTS] = ready[i % PORTS];
	ready_prod = kept;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct evtchn_close op = { .port = port };
	long r;

	(void)xce;
	if (port >= PORTS || owner[port] != LIBRARY)
		return failed(-EINVAL);
	mask(port);
	r = xen_evtchn_op(EVTCHNOP_close, &op);
	events_collect();
	forget(port);
	owner[port] = NOBODY;
	return r < 0 ? failed(r) : 0;
}

/* The front ends ask only after their wait has said that there is one. */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	(void)xce;
	if (!events_ready())
		return failed(-EAGAIN);
	return ready[ready_cons++ % PORTS];
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	if (port >= PORTS || owner[port] != LIBRARY)
		return failed(-EINVAL);
	unmask(port);
	return 0;
}
