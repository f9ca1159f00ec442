/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which machine frame is behind which page, and the pages that can be shared. All
 * memory is the guest's image, whose .bss has what is handed out: the domain
 * builder has mapped it, so no page table is ever made here. Hides page table
 * entries and the builder's table of frames; must not know grants.
 */
#include <errno.h>
#include <string.h>

#include "bare.h"
#include "hypercall.h"

#define POOL_PAGES 3072u

#define PTE_PRESENT 0x001u
#define PTE_RW 0x002u
#define PTE_ACCESSED 0x020u
#define PTE_DIRTY 0x040u

#define PAGE_ALIGNED __attribute__((aligned(4096)))

extern char BASE[];		/* bare.lds */

static char shared_page[PAGE_BYTES] PAGE_ALIGNED;
struct shared_info *shared_info = (struct shared_info *)shared_page;

static unsigned long *frames;	/* by number of the guest's page */
static unsigned long nr_frames;

static char pool[POOL_PAGES][PAGE_BYTES] PAGE_ALIGNED;
static bool pool_taken[POOL_PAGES];
static unsigned int pool_used;

/* ---- frames ---------------------------------------------------------------------- */

static unsigned long index_of(const void *page)
{
	unsigned long i = ((unsigned long)page - (unsigned long)BASE) / PAGE_BYTES;

	if (i >= nr_frames)
		panic("no page of the guest's: %lx", (unsigned long)page);
	return i;
}

unsigned long memory_mfn(const void *page)
{
	return frames[index_of(page)];
}

void memory_set_mfn(const void *page, unsigned long mfn)
{
	frames[index_of(page)] = mfn;
}

uint64_t memory_pte(unsigned long mfn)
{
	return (uint64_t)mfn * PAGE_BYTES | PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY;
}

int memory_map(void *page, unsigned long mfn)
{
	return (int)xen_update_va_mapping((unsigned long)page, memory_pte(mfn), UVMF_INVLPG);
}

/* The hypervisor's table of the other direction is mapped in every PV guest. */
void *memory_of_mfn(unsigned long mfn)
{
	unsigned long i = ((const unsigned long *)MACH2PHYS_VIRT_START)[mfn];

	if (i >= nr_frames)
		panic("frame %lx is not the guest's", mfn);
	return BASE + i * PAGE_BYTES;
}

void memory_init(const struct start_info *si)
{
	int r;

	frames = (unsigned long *)si->mfn_list;
	nr_frames = si->nr_pages;
	r = memory_map(shared_page, si->shared_info / PAGE_BYTES);
	if (r < 0)	/* nobody can be told */
		shutdown(SHUTDOWN_crash);
}

/* ---- pages to share -------------------------------------------------------------- */

static unsigned int run_at(unsigned int i, unsigned int nr)
{
	unsigned int n = 0;

	while (n < nr && i + n < POOL_PAGES && !pool_taken[i + n])
		n++;
	return n;
}

void *pages_get(unsigned int nr)
{
	static unsigned int hint;	/* none below is free */
	unsigned int i, n;

	if (pool_used == 0)
		hint = 0;
	for (i = nr == 1 ? hint : 0; i + nr <= POOL_PAGES; i += n + 1) {
		n = run_at(i, nr);
		if (n < nr)
			continue;
		memset(pool_taken + i, true, nr);
		pool_used += nr;
		hint = nr == 1 ? i + 1 : hint;
		return pool[i];
	}
	if (nr == 1 && hint) {
		hint = 0;
		return pages_get(nr);
	}
	return NULL;
}

void pages_put(void *pages, unsigned int nr)
{
	unsigned long i = (unsigned long)((char *)pages - pool[0]) / PAGE_BYTES;

	if (i + nr > POOL_PAGES || !pool_taken[i])
		panic("pages given back that nobody took: %lx", (unsigned long)pages);
	memset(pool_taken + i, false, nr);
	pool_used -= nr;
}

unsigned int pages_used(void)
{
	return pool_used;
}

unsigned int pages_total(void)
{
	return POOL_PAGES;
}
