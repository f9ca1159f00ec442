/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest of blk-guest.h in the memory of fake-xen's guest. Must not know
 * requests.
 */
#include "blk-guest.h"
#include "fake-xen.h"

#define PAGE 4096u

void guest_open(struct guest *g, enum vbd_abi abi, uint32_t order, uint32_t index)
{
	uint32_t first = index * GUEST_RING_PAGES_MAX;

	guest_attach(g, abi, fake_page(first), PAGE << order);
	g->port = FAKE_PORT + index;
	for (uint32_t i = 0; i < 1u << order; i++)
		g->ring_gref[i] = fake_grant(first + i, false);
}

void guest_push(struct guest *g)
{
	if (ring_front_push(&g->front))
		fake_guest_notify(g->port);
}
