/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evtchn-adopt.c - how a port comes to a handle: by a bind, or, for a port that
 * the domain builder made, by adoption. In liblocalxen, because local Xen's own
 * helpers adopt; everything else of a handle is evtchn.c's.
 */
#include <stdlib.h>
#include "lx.h"

static int grow(struct xenevtchn_handle *xce)
{
	unsigned max = xce->max_ports ? 2 * xce->max_ports : 8;
	uint32_t *ports;

	if (xce->nr_ports < xce->max_ports)
		return 0;
	ports = realloc(xce->ports, max * sizeof(*ports));
	if (!ports)
		return -ENOMEM;
	xce->ports = ports;
	xce->max_ports = max;
	return 0;
}

/*
 * The lock is held over the request: an event may be there before its reply,
 * and a thread that took the event's token must find the port in the list.
 */
int lx_evtchn_attach(struct xenevtchn_handle *xce, const struct lx_req *req,
		     struct lx_rep *rep)
{
	int rc;

	pthread_mutex_lock(&xce->lock);
	rc = grow(xce);
	if (!rc)
		rc = lx_rpc(req, -1, rep, sizeof(*rep), NULL);
	if (!rc)
		xce->ports[xce->nr_ports++] = rep->a;
	pthread_mutex_unlock(&xce->lock);
	return rc;
}

int lx_evtchn_adopt(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct lx_req req = { .op = LX_OP_ADOPT, .a = xce->id, .b = port };
	struct lx_rep rep;
	int rc = lx_usable(xce->incarnation);

	return lx_ret(rc ? rc : lx_evtchn_attach(xce, &req, &rep));
}
