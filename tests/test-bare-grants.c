/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XSA-396, against the bare guest's grant table: a back end that keeps a page mapped when its
 * grant ends, as the hypervisor shows it in the entry's flags.
 *
 * Hides: a hypervisor and memory that do nothing. Must not know: devices.
 */
#define BARE_HYPERCALL_H	/* no hypervisor here */
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include "unit.h"

static long xen_grant_table_op(unsigned int cmd, void *arg, unsigned int nr)
{
	if (cmd == GNTTABOP_setup_table)
		((struct gnttab_setup_table *)arg)->status = GNTST_okay;
	return nr == 1 ? 0 : -EINVAL;
}

#include "bareguest/grants.c"

#define PEER 5u
#define NR_PAGES 16u

static char memory[NR_PAGES][PAGE_BYTES] __attribute__((aligned(4096)));
static bool taken[NR_PAGES];

/* ---- what the guest else has ------------------------------------------------------------ */

int memory_map(void *page, unsigned long mfn)
{
	(void)page, (void)mfn;
	return 0;
}

unsigned long memory_mfn(const void *page)
{
	return (unsigned long)((const char *)page - memory[0]) / PAGE_BYTES;
}

/* One at a time is enough here. */
void *pages_get(unsigned int nr)
{
	for (unsigned int i = 0; nr == 1 && i < NR_PAGES; i++)
		if (!taken[i]) {
			taken[i] = true;
			return memory[i];
		}
	return NULL;
}

void pages_put(void *pages, unsigned int nr)
{
	unsigned long i = memory_mfn(pages);

	UNIT_OK(nr == 1 && taken[i]);
	taken[i] = false;
}

unsigned int pages_used(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR_PAGES; i++)
		nr += taken[i];
	return nr;
}

void panic(const char *fmt, ...)
{
	fprintf(stderr, "panic: %s\n", fmt);
	abort();
}

/* ---- tests ------------------------------------------------------------------------------ */

static void other_end_maps(uint32_t gref, uint16_t how)
{
	grants_entry(gref)->flags |= how;
}

static void other_end_lets_go(uint32_t gref)
{
	grants_entry(gref)->flags &= (uint16_t)~(GTF_reading | GTF_writing);
}

/* Neither the page nor its number is anybody else's before the other end has let go. */
static void kept_while_mapped(uint16_t how)
{
	uint32_t gref, other[NR_PAGES], free_before = grants_used();
	char *page = xengntshr_share_pages(NULL, PEER, 1, &gref, 1), *more[NR_PAGES];
	unsigned int nr = 0;

	UNIT_NEED(page != NULL);
	other_end_maps(gref, how);
	UNIT_EQ(xengntshr_unshare(NULL, page, 1), 0);
	UNIT_OK(grants_entry(gref)->flags & GTF_permit_access);
	UNIT_EQ(pages_used(), 1);
	while (nr < NR_PAGES && (more[nr] = xengntshr_share_pages(NULL, PEER, 1, &other[nr], 1))) {
		UNIT_OK(more[nr] != page && other[nr] != gref);
		nr++;
	}
	UNIT_EQ(nr, NR_PAGES - 1);
	for (unsigned int i = 0; i < nr; i++)
		xengntshr_unshare(NULL, more[i], 1);
	UNIT_EQ(pages_used(), 1);
	other_end_lets_go(gref);
	/* It is looked for when pages are wanted. */
	more[0] = xengntshr_share_pages(NULL, PEER, 1, &other[0], 1);
	UNIT_NEED(more[0] != NULL);
	UNIT_EQ(pages_used(), 1);
	xengntshr_unshare(NULL, more[0], 1);
	UNIT_EQ(pages_used(), 0);
	UNIT_EQ(grants_used(), free_before);
	UNIT_EQ(grants_entry(gref)->flags, 0);
}

static void test_kept(void)
{
	kept_while_mapped(GTF_reading);
	kept_while_mapped(GTF_reading | GTF_writing);
}

/* It lets go, and maps again before anybody has looked. */
static void test_mapped_again(void)
{
	uint32_t gref, other;
	char *page = xengntshr_share_pages(NULL, PEER, 1, &gref, 1), *more;

	other_end_maps(gref, GTF_reading);
	xengntshr_unshare(NULL, page, 1);
	other_end_lets_go(gref);
	other_end_maps(gref, GTF_writing | GTF_reading);
	more = xengntshr_share_pages(NULL, PEER, 1, &other, 1);
	UNIT_OK(more && more != page && other != gref);
	xengntshr_unshare(NULL, more, 1);
	other_end_lets_go(gref);
	more = xengntshr_share_pages(NULL, PEER, 1, &other, 1);
	xengntshr_unshare(NULL, more, 1);
	UNIT_EQ(pages_used(), 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a page that is still mapped is kept until it is not", test_kept },
		{ "mapped again after its end", test_mapped_again },
	};

	grants_init();
	return unit_run("bare-grants", tests, UNIT_LEN(tests));
}
