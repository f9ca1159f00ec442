/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grant-entry.h - what the hypervisor and its clients do alike with one grant
 * entry: its lock, and the flags that follow from its counts.
 *
 * It knows neither processes nor domains; the caller passes its thread record.
 */
#ifndef LX_GRANT_ENTRY_H
#define LX_GRANT_ENTRY_H

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>
#include "shm.h"

static inline void lx_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline bool lx_entry_trylock(struct lx_active *act, uint32_t self)
{
	uint32_t none = 0;

	return atomic_compare_exchange_strong_explicit(&act->lock, &none, self,
			memory_order_acquire, memory_order_relaxed);
}

/* Backs off while another holds the lock; it may have lost its CPU. */
static inline void lx_entry_wait(unsigned *spins)
{
	if (++*spins < 100)
		lx_relax();
	else if (*spins < 200)
		sched_yield();
	else
		usleep(50);
}

/*
 * Not by a plain store: once the last hold has gone the domain's slot may get a
 * new domain, with all locks open, before this is reached.
 */
static inline void lx_entry_unlock(struct lx_active *act, uint32_t self)
{
	atomic_compare_exchange_strong_explicit(&act->lock, &self, 0,
			memory_order_release, memory_order_relaxed);
}

/* After counts fell: GTF_writing and GTF_reading go with the last hold. */
static inline void lx_entry_clear_flags(const struct lx_active *act,
					struct lx_grant *grant)
{
	uint32_t clear = 0;

	/* In an entry for a transfer these bits mean something else. */
	if ((atomic_load(&grant->hdr) & GTF_type_mask) == GTF_accept_transfer)
		return;
	if (!act->nr_write)
		clear |= GTF_writing;
	if (!act->nr_write && !act->nr_read)
		clear |= GTF_reading;
	if (clear)
		atomic_fetch_and(&grant->hdr, ~clear);
}

/*
 * The granter's side: ends access unless the entry is in use. As a guest's
 * kernel does, without the hypervisor's lock: only by compare and swap.
 */
static inline bool lx_entry_end_access(struct lx_grant *grant)
{
	uint32_t hdr = atomic_load(&grant->hdr);

	do {
		if (hdr & (GTF_reading | GTF_writing))
			return false;
	} while (!atomic_compare_exchange_weak(&grant->hdr, &hdr, 0));
	return true;
}

#endif
