/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ring indices as no honest end has them, for the targets that have a ring.
 *
 * Hides: which of the four words is written. Must not know: whose ring it is.
 */
#ifndef PV_FUZZ_RING_H
#define PV_FUZZ_RING_H

#include "fuzz.h"
#include "ring.h"

/* how: the input's; which word, and whether the value is near or any. */
static inline void fuzz_spoil_front(struct ring_front *r, uint8_t how, struct fuzz_in *in)
{
	uint32_t value = how & 8 ? fuzz_u32(in) : r->req_prod_pvt + how / 16;

	switch (how % 4) {
	case 0: atomic_store(&r->shared->req_prod, value); break;
	case 1: atomic_store(&r->shared->rsp_event, value); break;
	case 2: atomic_store(&r->shared->rsp_prod, value); break;
	default: atomic_store(&r->shared->req_event, value);
	}
}

static inline void fuzz_spoil_back(struct ring_back *r, uint8_t how, struct fuzz_in *in)
{
	uint32_t value = how & 8 ? fuzz_u32(in) : r->rsp_prod_pvt + how / 16;

	switch (how % 4) {
	case 0: atomic_store(&r->shared->rsp_prod, value); break;
	case 1: atomic_store(&r->shared->req_event, value); break;
	case 2: atomic_store(&r->shared->req_prod, value); break;
	default: atomic_store(&r->shared->rsp_event, value);
	}
}

#endif
