/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxengnttab's gntshr on the domain's own grant table, version 1. Hides which pages
 * are shared: those of an arena, each with an entry of its own. A page that the back
 * end still uses when it is unshared is never given out again.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <xen/grant_table.h>

#include "guest.h"
#include "guest-xen.h"

#define PAGES 1024u
#define FIRST_GREF 8u

static char arena[PAGES][CMP_PAGE] __attribute__((aligned(4096)));
static bool taken[PAGES];
static unsigned int hint;

struct xengntdev_handle {
	int unused;
};

static grant_entry_v1_t *entry(unsigned int page)
{
	return (grant_entry_v1_t *)(uint64_t)CMP_GPA_GRANTS + FIRST_GREF + page;
}

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

static bool run_is_free(unsigned int first, unsigned int count)
{
	while (count)
		if (taken[first + --count])
			return false;
	return true;
}

/* From where the last search ended, so that one page at a time is found at once. */
static int find(unsigned int count)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		unsigned int first = (hint + i) % PAGES;

		if (first + count <= PAGES && run_is_free(first, count)) {
			hint = (first + count) % PAGES;
			return (int)first;
		}
	}
	return -1;
}

static void grant(unsigned int page, uint32_t domid, bool writable)
{
	grant_entry_v1_t *e = entry(page);

	e->domid = (domid_t)domid;
	e->frame = (uint32_t)((uint64_t)arena[page] / CMP_PAGE);
	/* Only now is it valid for the other side. */
	__atomic_store_n(&e->flags, GTF_permit_access | (writable ? 0 : GTF_readonly),
			 __ATOMIC_RELEASE);
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
			    uint32_t *refs, int writable)
{
	int first = count > 0 && count <= (int)PAGES ? find((unsigned int)count) : -1;

	(void)xgs;
	if (first < 0) {
		errno = ENOSPC;
		return NULL;
	}
	for (unsigned int i = 0; i < (unsigned int)count; i++) {
		unsigned int page = (unsigned int)first + i;

		taken[page] = true;
		memset(arena[page], 0, CMP_PAGE);
		grant(page, domid, writable);
		refs[i] = FIRST_GREF + page;
	}
	return arena[first];
}

/* False: the other end has it mapped. */
static bool revoke(unsigned int page)
{
	grant_entry_v1_t *e = entry(page);
	uint16_t flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);

	do {
		if (flags & (GTF_reading | GTF_writing))
			return false;
	} while (!__atomic_compare_exchange_n(&e->flags, &flags, 0, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	return true;
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	unsigned int page = (unsigned int)(((char *)start_address - arena[0]) / CMP_PAGE);

	(void)xgs;
	for (; count; count--, page++)
		if (revoke(page))
			taken[page] = false;
	return 0;
}
