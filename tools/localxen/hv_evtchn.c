/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_evtchn.c - event channel ports: made, bound, closed.
 *
 * Hides Xen's port states and the handles' eventfds. The order of stores on a
 * port matters to senders, who look at any time: a port that gets a new life has
 * its handle set before its word, so whoever makes it deliverable finds the
 * handle to wake.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xen/xen.h>
#include "hv.h"

static struct lx_port *port_at(unsigned slot, uint32_t port)
{
	return &hv.shm->dom[slot].port[port];
}

static unsigned state_of(const struct lx_port *p)
{
	return LX_PEER_STATE(atomic_load(&p->peer));
}

/* ---- handles ---- */

/* What else can be written to may have no room, and we would wait for a guest. */
static bool is_eventfd(int fd)
{
	static const char name[] = "anon_inode:[eventfd]";
	char path[32], is[sizeof(name)] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd >= 0 && readlink(path, is, sizeof(is)) == sizeof(name) - 1 &&
	       !strcmp(is, name);
}

int hv_handle_open(unsigned proc, int fd, struct lx_rep *rep)
{
	unsigned i;

	if (!is_eventfd(fd))
		return -EINVAL;
	for (i = 0; i < LX_MAX_HANDLES && hv.shm->handle[i].id; i++)
		;
	if (i == LX_MAX_HANDLES)
		return -EMFILE;
	hv.handle_gen = (hv.handle_gen + 1) & 0xfffff;
	if (!hv.handle_gen)
		hv.handle_gen = 1;
	hv.handle_fd[i] = fd;
	hv.shm->handle[i].proc = proc;
	atomic_store(&hv.shm->handle[i].id, i | hv.handle_gen << 12);
	rep->a = hv.shm->handle[i].id;
	return 0;
}

int hv_handle_fd(uint32_t id)
{
	unsigned i = LX_HANDLE_INDEX(id);

	return id && i < LX_MAX_HANDLES && hv.shm->handle[i].id == id ?
	       hv.handle_fd[i] : -ENOENT;
}

bool hv_owns_handle(unsigned proc, uint32_t id)
{
	return hv_handle_fd(id) >= 0 && hv.shm->handle[LX_HANDLE_INDEX(id)].proc == proc;
}

static void write_token(uint32_t handle)
{
	struct pollfd p = { .fd = hv_handle_fd(handle), .events = POLLOUT };
	uint64_t one = 1;

	/* A counter that is full is readable anyway; its owner may have filled it. */
	if (p.fd < 0 || poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) ||
	    write(p.fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- ports ---- */

static void set_pending(struct lx_port *p)
{
	uint32_t old = atomic_fetch_or(&p->word, LX_PORT_PENDING);

	if (!(old & (LX_PORT_PENDING | LX_PORT_MASKED)))
		write_token(atomic_load(&p->handle));
}

static int new_port(unsigned slot)
{
	struct lx_dom *dom = &hv.shm->dom[slot];

	for (uint32_t i = 1; i < LX_MAX_PORTS; i++) {
		if (state_of(&dom->port[i]) != LX_PORT_FREE)
			continue;
		if (i >= dom->nr_ports)
			atomic_store(&dom->nr_ports, i + 1);
		return i;
	}
	return -ENOSPC;
}

/* Without a handle a port stays masked until it is adopted. */
static void open_port(struct lx_port *p, uint32_t handle, uint64_t peer)
{
	p->infra = !handle;
	atomic_store(&p->handle, handle);
	atomic_store(&p->peer, peer);
	atomic_store(&p->word, handle ? 0 : LX_PORT_MASKED);
}

/* True if it was deliverable: then its token is, or will be, in the eventfd. */
static bool close_port(unsigned slot, uint32_t port)
{
	struct lx_port *p = port_at(slot, port);
	uint64_t peer = atomic_load(&p->peer);
	uint32_t word;

	if (LX_PEER_STATE(peer) == LX_PORT_INTERDOMAIN)
		atomic_store(&port_at(LX_PEER_SLOT(peer), LX_PEER_PORT(peer))->peer,
			     LX_PEER(LX_PORT_UNBOUND, 0, hv.shm->dom[slot].domid, 0));
	atomic_store(&p->peer, LX_PEER(LX_PORT_FREE, 0, 0, 0));
	word = atomic_exchange(&p->word, LX_PORT_MASKED);
	atomic_store(&p->handle, 0);
	return word == LX_PORT_PENDING;
}

static uint32_t real_domid(unsigned slot, uint32_t domid)
{
	return domid == DOMID_SELF ? hv.shm->dom[slot].domid : domid;
}

int hv_alloc_unbound(unsigned slot, uint32_t handle, uint32_t remote_domid)
{
	int port = new_port(slot);

	if (port < 0)
		return port;
	remote_domid = real_domid(slot, remote_domid);
	if (remote_domid >= LX_DOMIDS)
		return -EINVAL;
	open_port(port_at(slot, port), handle,
		  LX_PEER(LX_PORT_UNBOUND, 0, remote_domid, 0));
	return port;
}

int hv_bind_interdomain(unsigned slot, uint32_t handle, uint32_t domid, uint32_t rport)
{
	int rslot = hv_find_domain(real_domid(slot, domid));
	uint32_t self = hv.shm->dom[slot].domid;
	struct lx_port *r;
	int port;

	if (rslot < 0)
		return rslot;
	if (!rport || rport >= LX_MAX_PORTS)
		return -EINVAL;
	r = port_at(rslot, rport);
	if (state_of(r) != LX_PORT_UNBOUND || LX_PEER_DOMID(r->peer) != self)
		return -EINVAL;
	port = new_port(slot);
	if (port < 0)
		return port;
	open_port(port_at(slot, port), handle, LX_PEER(LX_PORT_INTERDOMAIN, rslot,
			hv.shm->dom[rslot].domid, rport));
	atomic_store(&r->peer, LX_PEER(LX_PORT_INTERDOMAIN, slot, self, port));
	/* The peer may have sent before: Xen makes sure that this end looks. */
	set_pending(port_at(slot, port));
	return port;
}

int hv_bind_virq(unsigned slot, uint32_t handle, uint32_t virq)
{
	struct lx_dom *dom = &hv.shm->dom[slot];
	int port;

	if (virq >= NR_VIRQS)
		return -EINVAL;
	if (virq == VIRQ_DOM_EXC && dom->domid)
		return -EPERM;
	for (uint32_t i = 1; i < dom->nr_ports; i++)
		if (state_of(&dom->port[i]) == LX_PORT_VIRQ && dom->port[i].virq == virq)
			return -EEXIST;
	port = new_port(slot);
	if (port < 0)
		return port;
	dom->port[port].virq = virq;
	open_port(&dom->port[port], handle, LX_PEER(LX_PORT_VIRQ, 0, 0, 0));
	return port;
}

int hv_unbind(unsigned slot, uint32_t handle, uint32_t port, uint64_t *token_left)
{
	if (!port || port >= LX_MAX_PORTS)
		return -EINVAL;
	if (atomic_load(&port_at(slot, port)->handle) != handle)
		return -ENOTCONN;
	*token_left = close_port(slot, port);
	return 0;
}

int hv_adopt(unsigned slot, uint32_t handle, uint32_t port)
{
	struct lx_port *p;

	if (!port || port >= LX_MAX_PORTS ||
	    state_of(p = port_at(slot, port)) == LX_PORT_FREE)
		return -EINVAL;
	if (p->handle)
		return -EBUSY;
	atomic_store(&p->handle, handle);
	if (atomic_fetch_and(&p->word, ~LX_PORT_MASKED) & LX_PORT_PENDING)
		write_token(handle);
	return port;
}

/* ---- closing many ---- */

int hv_handle_close(unsigned proc, uint32_t id)
{
	unsigned slot = hv.proc[proc].dom_slot;
	struct lx_dom *dom = &hv.shm->dom[slot];

	if (!hv_owns_handle(proc, id))
		return -EBADF;
	for (uint32_t i = 1; i < dom->nr_ports; i++)
		if (atomic_load(&dom->port[i].handle) == id)
			close_port(slot, i);
	close(hv.handle_fd[LX_HANDLE_INDEX(id)]);
	atomic_store(&hv.shm->handle[LX_HANDLE_INDEX(id)].id, 0);
	return 0;
}

void hv_handle_close_all(unsigned proc)
{
	for (unsigned i = 0; i < LX_MAX_HANDLES; i++)
		if (hv.shm->handle[i].id && hv.shm->handle[i].proc == proc)
			hv_handle_close(proc, hv.shm->handle[i].id);
}

void hv_close_all_ports(unsigned slot)
{
	struct lx_dom *dom = &hv.shm->dom[slot];

	for (uint32_t i = 1; i < dom->nr_ports; i++)
		if (state_of(&dom->port[i]) != LX_PORT_FREE)
			close_port(slot, i);
}

/* ---- sending ---- */

/* The other end of a port below LX_MAX_PORTS; NULL: it has none. */
static struct lx_port *other_end(unsigned slot, uint32_t port)
{
	uint64_t peer = atomic_load(&port_at(slot, port)->peer);

	return LX_PEER_STATE(peer) == LX_PORT_INTERDOMAIN ?
	       port_at(LX_PEER_SLOT(peer), LX_PEER_PORT(peer)) : NULL;
}

void hv_notify_peer(unsigned slot, uint32_t port)
{
	struct lx_port *peer;

	if (!port || port >= LX_MAX_PORTS)
		return;
	peer = other_end(slot, port);
	if (peer)
		set_pending(peer);
}

int hv_wake_peer(unsigned slot, uint32_t handle, uint32_t port)
{
	struct lx_port *peer;

	if (!port || port >= LX_MAX_PORTS)
		return -EINVAL;
	if (atomic_load(&port_at(slot, port)->handle) != handle)
		return -ENOTCONN;
	peer = other_end(slot, port);
	if (peer)
		write_token(atomic_load(&peer->handle));
	return 0;
}

/* A global VIRQ: it has one receiver, in dom0. */
void hv_raise_virq(uint32_t virq)
{
	int slot = hv_find_domain(0);

	if (slot < 0)
		return;
	for (uint32_t i = 1; i < hv.shm->dom[slot].nr_ports; i++) {
		struct lx_port *p = port_at(slot, i);

		if (state_of(p) == LX_PORT_VIRQ && p->virq == virq)
			set_pending(p);
	}
}

static bool is_deliverable(struct lx_port *p)
{
	return atomic_load(&p->word) == LX_PORT_PENDING && atomic_load(&p->handle);
}

/*
 * Whether the sender had made the port deliverable is not known, and tokens do
 * not say whose they are: the receiver may have taken this port with another's
 * token. So one token for the port's handle, and one for each port that waits.
 * What is too many comes out as a spurious event.
 */
void hv_repeat_token(unsigned slot, uint32_t port)
{
	struct lx_dom *dom = &hv.shm->dom[slot];

	if (dom->state == LX_DOM_FREE)
		return;
	write_token(atomic_load(&dom->port[port].handle));
	for (uint32_t i = 1; i < dom->nr_ports; i++)
		if (is_deliverable(&dom->port[i]))
			write_token(dom->port[i].handle);
}
