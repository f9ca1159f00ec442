/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receiving pages by transfer in a process: what struct front_flip is filled with.
 *
 * Hides: who provides it. Linux's own front ends could, long ago; its kernel offers no
 * process a way to do it. Local Xen does, by functions that are bound at run time, if
 * they are there. Must not know: interfaces.
 */
#include "netfront-cmd.h"

/* tools/localxen/localxen.h, of which this program is to know no more. */
int lx_flip_offer(void *ctx, uint32_t domid, unsigned int nr, uint32_t *grefs)
	__attribute__((weak));
int lx_flip_take(void *ctx, uint32_t gref, void **page) __attribute__((weak));
void lx_flip_give(void *ctx, void *page) __attribute__((weak));
int lx_flip_flush(void *ctx) __attribute__((weak));

const struct front_flip *flip_of_system(void)
{
	static struct front_flip flip;

	flip = (struct front_flip){
		.offer = lx_flip_offer, .take = lx_flip_take,
		.give = lx_flip_give, .flush = lx_flip_flush,
	};
	return flip.offer && flip.take && flip.give && flip.flush ? &flip : NULL;
}
