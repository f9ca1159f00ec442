/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a send on an event channel costs the comparison's guest: an exit each, as on Xen, and
 * a wake-up only where there is somebody to wake. The guest's source with this program in
 * place of its machine.
 */
#define out32 instruction_out32
#include "guest.h"
#undef out32
#undef job
#undef CMP_GPA_PORTS
#undef CMP_GPA_PEER
#define job (&the_job)
#define CMP_GPA_PORTS ((uint64_t)(uintptr_t)ports_memory)
#define CMP_GPA_PEER ((uint64_t)(uintptr_t)peer_memory)

#include <errno.h>
#include <stdlib.h>
#include "unit.h"

#define PORT 7u
#define AT 64u				/* of its peer's word */

static struct cmp_job the_job;
static _Alignas(8) char ports_memory[4096], peer_memory[4096];
static unsigned int nr_kicks, nr_sent;	/* exits */
static bool peer_is_known;

static void out32(uint16_t port, uint32_t value)
{
	nr_kicks += port == CMP_PORT_KICK && value == PORT;
	nr_sent += port == CMP_PORT_SENT && !value;
}

int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	(void)a, (void)b, (void)c, (void)d, (void)e;
	switch (nr) {
	case CMP_CALL_EVTCHN_ALLOC:
		return PORT;
	case CMP_CALL_EVTCHN_PEER:
		return peer_is_known ? (int64_t)AT : -EBUSY;
	default:
		return 0;
	}
}

void give_up(int err, const char *text)
{
	(void)err, (void)text;
	abort();
}

#include "guest/xen-events.c"

static uint32_t *peer(void)
{
	return (uint32_t *)(void *)(peer_memory + AT);
}

static void bind(bool known)
{
	peer_is_known = known;
	*peer() = 0;
	nr_kicks = nr_sent = 0;
	the_job.kicks = 0;
	UNIT_EQ(xenevtchn_bind_unbound_port(NULL, 0), (int)PORT);
	events_direct();
}

static void unbind(void)
{
	UNIT_EQ(xenevtchn_unbind(NULL, PORT), 0);
}

static void test_peer(void)
{
	bind(true);
	xenevtchn_notify(NULL, PORT);
	UNIT_EQ(*peer(), CMP_EVENT_PENDING);
	UNIT_EQ(nr_kicks, 1);
	UNIT_EQ(nr_sent, 0);
	/* It is pending, then being handled: an exit, and nobody to wake. */
	xenevtchn_notify(NULL, PORT);
	UNIT_EQ(nr_kicks, 1);
	UNIT_EQ(nr_sent, 1);
	*peer() = CMP_EVENT_MASKED;
	xenevtchn_notify(NULL, PORT);
	UNIT_EQ(*peer(), CMP_EVENT_PENDING | CMP_EVENT_MASKED);
	UNIT_EQ(nr_kicks, 1);
	UNIT_EQ(nr_sent, 2);
	UNIT_EQ(the_job.kicks, 3);
	unbind();
}

/* The monitor does it all. */
static void test_no_peer(void)
{
	bind(false);
	xenevtchn_notify(NULL, PORT);
	xenevtchn_notify(NULL, PORT);
	UNIT_EQ(nr_kicks, 2);
	UNIT_EQ(nr_sent, 0);
	UNIT_EQ(the_job.kicks, 2);
	unbind();
}

static const struct unit_test tests[] = {
	{ "with a peer", test_peer },
	{ "without", test_no_peer },
};

int main(void)
{
	return unit_run("compare-events", tests, UNIT_LEN(tests));
}
