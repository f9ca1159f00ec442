/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine.c - for a virtual machine monitor that runs a domain of local Xen: the
 * tables that a guest's kernel finds in its memory on Xen. localxen.h is the contract.
 * Hides where they are in the shared memory.
 */
#include <fcntl.h>
#include "lx.h"

_Static_assert(sizeof(struct lx_port) == LX_PORT_STRIDE &&
	       LX_PORT_PENDING == LX_PORT_WORD_PENDING &&
	       LX_PORT_MASKED == LX_PORT_WORD_MASKED, "as localxen.h says");

int lx_machine_tables(struct lx_machine *out)
{
	int rc = lx_connect();

	if (!rc)
		*out = (struct lx_machine){
			.grants = lx.dom->grant,
			.grants_bytes = lx.dom->nr_grants * sizeof(lx.dom->grant[0]),
			.ports = lx.dom->port,
			.ports_bytes = sizeof(lx.dom->port),
		};
	return lx_ret(rc);
}

int lx_machine_peer(evtchn_port_t port, struct lx_machine_peer *out)
{
	struct lx_port *p;
	uint64_t peer;
	uint32_t id;
	int rc = lx_connect();

	if (rc)
		return lx_ret(rc);
	peer = port < LX_MAX_PORTS ? atomic_load(&lx.dom->port[port].peer) : 0;
	if (LX_PEER_STATE(peer) != LX_PORT_INTERDOMAIN)
		return lx_ret(-ENOTCONN);
	p = &lx.shm->dom[LX_PEER_SLOT(peer)].port[LX_PEER_PORT(peer)];
	id = atomic_load(&p->handle);
	if (!id)
		return lx_ret(-ENOTCONN);
	rc = lx_rpc(&(struct lx_req){ .op = LX_OP_EVTCHN_FD, .a = id }, -1, NULL, 0,
		    &out->event_fd);
	if (rc)
		return lx_ret(rc);
	out->offset = (uintptr_t)p % LX_PAGE_SIZE;
	out->page = (char *)p - out->offset;
	out->pid = (pid_t)lx.shm->proc[lx.shm->handle[LX_HANDLE_INDEX(id)].proc].pid;
	return 0;
}
