/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus-ring.c - the index arithmetic and ordering of the store's ring page.
 *
 * Hides who may write which index and what must be seen before what. Knows
 * nothing of messages or clients.
 */
#include "xenbus.h"

static int chunk(uint32_t bytes, uint32_t index)
{
	uint32_t to_end = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(index);

	return bytes < to_end ? bytes : to_end;
}

int xb_ring_readable(struct xenstore_domain_interface *intf, const void **data)
{
	uint32_t cons = __atomic_load_n(&intf->rsp_cons, __ATOMIC_RELAXED);
	/* Acquire: xenstored fills rsp[] before it moves rsp_prod (writechn). */
	uint32_t prod = __atomic_load_n(&intf->rsp_prod, __ATOMIC_ACQUIRE);

	if (prod - cons > XENSTORE_RING_SIZE)
		return -EPROTO;
	*data = intf->rsp + MASK_XENSTORE_IDX(cons);
	return chunk(prod - cons, cons);
}

void xb_ring_consumed(struct xenstore_domain_interface *intf, uint32_t len)
{
	uint32_t cons = __atomic_load_n(&intf->rsp_cons, __ATOMIC_RELAXED);

	/* Release: our reads are done before xenstored may overwrite (writechn). */
	__atomic_store_n(&intf->rsp_cons, cons + len, __ATOMIC_RELEASE);
}

int xb_ring_writable(struct xenstore_domain_interface *intf, void **data)
{
	uint32_t prod = __atomic_load_n(&intf->req_prod, __ATOMIC_RELAXED);
	/* Acquire: xenstored has read what we are about to overwrite (readchn). */
	uint32_t cons = __atomic_load_n(&intf->req_cons, __ATOMIC_ACQUIRE);

	if (prod - cons > XENSTORE_RING_SIZE)
		return -EPROTO;
	*data = intf->req + MASK_XENSTORE_IDX(prod);
	return chunk(XENSTORE_RING_SIZE - (prod - cons), prod);
}

void xb_ring_produced(struct xenstore_domain_interface *intf, uint32_t len)
{
	uint32_t prod = __atomic_load_n(&intf->req_prod, __ATOMIC_RELAXED);

	/* Release: req[] is written before xenstored sees the index (readchn). */
	__atomic_store_n(&intf->req_prod, prod + len, __ATOMIC_RELEASE);
}
