/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The grant table in version 1, which transfers need, and libxengnttab's gntshr over
 * it. Hides free entries, and pages that a back end still has mapped when they are
 * unshared: those wait until it lets go. Must not know what is on a page.
 */
#include <errno.h>
#include <string.h>
#include <xengnttab.h>

#include "bare.h"
#include "hypercall.h"

#define ENTRIES GRANTS_END
#define FRAMES (ENTRIES * sizeof(struct grant_entry_v1) / PAGE_BYTES)

struct xengntdev_handle {
	int unused;
};

static struct grant_entry_v1 table[ENTRIES] __attribute__((aligned(4096)));
static uint16_t next_free[ENTRIES];
static uint16_t free_gref;
static unsigned int used;
static void *shared[ENTRIES];		/* the page of an entry, while there is one */
static bool waits[ENTRIES];		/* unshared, but still in use by the other end */
static unsigned int nr_waiting;
static bool copied_alone;

struct grant_entry_v1 *grants_entry(uint32_t gref)
{
	return table + gref;
}

uint32_t grants_get(void)
{
	uint32_t gref = free_gref;

	if (gref) {
		free_gref = next_free[gref];
		used++;
	}
	return gref;
}

void grants_put(uint32_t gref)
{
	next_free[gref] = free_gref;
	free_gref = (uint16_t)gref;
	used--;
}

unsigned int grants_used(void)
{
	return used;
}

void grants_copied_alone(bool on)
{
	copied_alone = on;
}

static void grant(uint32_t gref, uint32_t domid, void *page, bool writable)
{
	struct grant_entry_v1 *e = table + gref;
	uint16_t flags = GTF_permit_access;

	if (!writable)
		flags |= GTF_readonly;
	if (copied_alone)
		flags |= GTF_sub_page;
	e->domid = (domid_t)domid;
	e->frame = (uint32_t)memory_mfn(page);
	barrier();		/* the flags make it valid */
	WRITE_ONCE(e->flags, flags);
	shared[gref] = page;
}

/* False: the other end has it mapped. */
static bool revoke(uint32_t gref)
{
	struct grant_entry_v1 *e = table + gref;
	uint16_t flags = READ_ONCE(e->flags);

	do {
		if (flags & (GTF_reading | GTF_writing))
			return false;
	} while (!__atomic_compare_exchange_n(&e->flags, &flags, 0, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	shared[gref] = NULL;
	grants_put(gref);
	return true;
}

static void revoke_waiting(void)
{
	void *page;
	uint32_t i;

	for (i = 0; nr_waiting && i < ENTRIES; i++) {
		page = shared[i];
		if (!waits[i] || !revoke(i))
			continue;
		waits[i] = false;
		nr_waiting--;
		pages_put(page, 1);
	}
}

/* Frames are made known in order, and stay. */
void grants_init(void)
{
	xen_pfn_t frame[FRAMES];
	struct gnttab_set_version version = { .version = 1 };
	struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = FRAMES };
	unsigned int i;
	long r;

	xen_grant_table_op(GNTTABOP_set_version, &version, 1);
	set_xen_guest_handle(setup.frame_list, frame);
	r = xen_grant_table_op(GNTTABOP_setup_table, &setup, 1);
	if (r < 0 || setup.status != GNTST_okay)
		panic("no grant table of %lu frames: %ld, status %d", FRAMES, r, setup.status);
	for (i = 0; i < FRAMES; i++)
		if (memory_map((char *)table + i * PAGE_BYTES, frame[i]) < 0)
			panic("cannot map the grant table");
	for (i = ENTRIES - 1; i >= GNTTAB_NR_RESERVED_ENTRIES; i--) {
		used++;
		grants_put(i);
	}
}

/* ---- gntshr ---------------------------------------------------------------------- */

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned int open_flags)
{
	static struct xengntdev_handle handle;

	(void)logger;
	(void)open_flags;
	return &handle;
}

int xengntshr_close(xengntshr_handle *xgs)
{
	(void)xgs;
	return 0;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
			    uint32_t *refs, int writable)
{
	char *pages;
	int i;

	(void)xgs;
	revoke_waiting();
	pages = count > 0 ? pages_get((unsigned int)count) : NULL;
	for (i = 0; pages && i < count; i++) {
		refs[i] = grants_get();
		if (!refs[i])
			break;
	}
	if (pages && i == count) {
		for (i = 0; i < count; i++)
			grant(refs[i], domid, pages + (size_t)i * PAGE_BYTES, writable);
		return pages;
	}
	if (pages) {
		pages_put(pages, (unsigned int)count);
		while (i > 0)
			grants_put(refs[--i]);
	}
	errno = ENOSPC;
	return NULL;
}

static uint32_t gref_of(const void *page)
{
	uint32_t i;

	for (i = GNTTAB_NR_RESERVED_ENTRIES; i < ENTRIES; i++)
		if (shared[i] == page)
			return i;
	panic("no shared page: %lx", (unsigned long)page);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	char *page = start_address;
	uint32_t gref;

	(void)xgs;
	for (; count; count--, page += PAGE_BYTES) {
		gref = gref_of(page);
		if (revoke(gref)) {
			pages_put(page, 1);
			continue;
		}
		waits[gref] = true;
		nr_waiting++;
	}
	return 0;
}
