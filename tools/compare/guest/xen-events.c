/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxenevtchn over the domain's ports, whose words are in memory that the guest
 * sees, and the monitor's calls. Hides words, pending and masked. A port is masked from
 * the moment it is taken until xenevtchn_unmask(), as on Linux. The peer of each
 * atomic is whoever sends: tools/localxen/evtchn.c, signal_port().
 */
#include <errno.h>

#include "guest.h"
#include "guest-xen.h"

#define PORTS_MAX 8u

struct xenevtchn_handle {
	int unused;
};

static uint32_t ports[PORTS_MAX];
static uint32_t *peer_word[PORTS_MAX];	/* not NULL: we may wake the other end directly */
static unsigned int nr_ports;

static uint32_t *word_of(uint32_t port)
{
	return (uint32_t *)(CMP_GPA_PORTS + (uint64_t)port * CMP_PORT_STRIDE);
}

static int failed(int64_t r)
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

int xenevtchn_fd(xenevtchn_handle *xce)
{
	(void)xce;
	return -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	int64_t port = nr_ports < PORTS_MAX ?
		       call(CMP_CALL_EVTCHN_ALLOC, domid, 0, 0, 0, 0) : -ENOSPC;

	(void)xce;
	if (port < 0)
		return failed(port);
	peer_word[nr_ports] = NULL;
	ports[nr_ports++] = (uint32_t)port;
	return (int)port;
}

static unsigned int find(evtchn_port_t port)
{
	for (unsigned int i = 0; i < nr_ports; i++)
		if (ports[i] == port)
			return i;
	give_up(-EINVAL, "an event channel port that is not ours");
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	unsigned int i = find(port);
	int64_t r;

	(void)xce;
	ports[i] = ports[--nr_ports];
	peer_word[i] = peer_word[nr_ports];
	r = call(CMP_CALL_EVTCHN_UNBIND, port, 0, 0, 0, 0);
	return r < 0 ? failed(r) : 0;
}

/* The other end is bound by now, or it stays as it is. */
void events_direct(void)
{
	int64_t at;

	for (unsigned int i = 0; i < nr_ports; i++) {
		at = call(CMP_CALL_EVTCHN_PEER, ports[i], 0, 0, 0, 0);
		if (at >= 0)
			peer_word[i] = (uint32_t *)(CMP_GPA_PEER + (uint64_t)at);
	}
}

/*
 * With a known peer this does what Xen does in a send: the pending bit, and only if the
 * port could not be delivered before, a wake-up. On Xen each send is a hypercall, whatever
 * it finds; so each leaves the CPU here.
 */
int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	uint32_t *word = peer_word[find(port)];

	(void)xce;
	job->kicks++;
	if (word && __atomic_fetch_or(word, CMP_EVENT_PENDING, __ATOMIC_SEQ_CST) &
		    (CMP_EVENT_PENDING | CMP_EVENT_MASKED))
		out32(CMP_PORT_SENT, 0);
	else
		out32(CMP_PORT_KICK, port);
	return 0;
}

bool events_ready(void)
{
	for (unsigned int i = 0; i < nr_ports; i++)
		if (__atomic_load_n(word_of(ports[i]), __ATOMIC_ACQUIRE) == CMP_EVENT_PENDING)
			return true;
	return false;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	(void)xce;
	for (unsigned int i = 0; i < nr_ports; i++) {
		uint32_t word = CMP_EVENT_PENDING;

		if (__atomic_compare_exchange_n(word_of(ports[i]), &word, CMP_EVENT_MASKED,
						false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return (int)ports[i];
	}
	return failed(-EAGAIN);
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	/* One that became pending meanwhile is seen by events_ready(). */
	__atomic_fetch_and(word_of(port), ~CMP_EVENT_MASKED, __ATOMIC_SEQ_CST);
	return 0;
}
