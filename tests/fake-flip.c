/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries and pages of fake-flip.h. The pages are mapped twice: for the back end, and
 * for the front end, whose mapping of a page appears with the flush and goes when the
 * page is given back.
 */
#include "fake-flip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define ENTRIES 4096u

enum page_state { PAGE_FREE, PAGE_COMING, PAGE_TAKEN, PAGE_MAPPED, PAGE_GIVEN, PAGE_LOST };

static struct {
	bool open;
	int page;		/* that came; -1: none */
} entry[ENTRIES];
static enum page_state state[FAKE_FLIP_PAGES];
static uint8_t *back_view, *front_view;
static uint8_t scratch[PAGE];
static uint32_t next_entry;
struct fake_flip fake_flip;

void fake_flip_reset(void)
{
	size_t bytes = (size_t)FAKE_FLIP_PAGES * PAGE;
	int fd = memfd_create("fake-flip", MFD_CLOEXEC);

	if (back_view) {
		munmap(back_view, bytes);
		munmap(front_view, bytes);
	}
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	back_view = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	front_view = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, fd, 0);
	close(fd);
	if (back_view == MAP_FAILED || front_view == MAP_FAILED)
		abort();
	memset(entry, 0, sizeof(entry));
	memset(state, 0, sizeof(state));
	memset(&fake_flip, 0, sizeof(fake_flip));
}

static bool use(void *ctx)
{
	if (ctx == &fake_flip)
		return true;
	fake_flip.bad++;
	return false;
}

/* ---- the front end's calls ------------------------------------------------------------ */

static int offer(void *ctx, uint32_t domid, unsigned int nr, uint32_t *grefs)
{
	unsigned int i;

	if (!use(ctx) || !nr || domid)
		fake_flip.bad++;
	fake_flip.offers++;
	if (fake_flip.limit && fake_flip.nr_open + fake_flip.nr_pages + nr > fake_flip.limit)
		return -ENOMEM;
	if (fake_flip.nr_open + nr > ENTRIES)
		return -ENOSPC;
	for (i = 0; i < nr; i++) {
		do
			next_entry = (next_entry + 1237) % ENTRIES;
		while (entry[next_entry].open);
		entry[next_entry].open = true;
		entry[next_entry].page = -1;
		grefs[i] = FAKE_FLIP_GREF + next_entry;
	}
	fake_flip.nr_open += nr;
	return 0;
}

static int take(void *ctx, uint32_t gref, void **page)
{
	uint32_t i = gref - FAKE_FLIP_GREF;

	if (!use(ctx) || i >= ENTRIES || !entry[i].open) {
		fake_flip.bad++;
		return -EINVAL;
	}
	if (fake_flip.never_done || (fake_flip.slow && fake_flip.slow--))
		return -EAGAIN;
	entry[i].open = false;
	fake_flip.nr_open--;
	if (entry[i].page < 0)
		return 0;
	state[entry[i].page] = PAGE_TAKEN;
	*page = front_view + (size_t)entry[i].page * PAGE;
	return 1;
}

static void give(void *ctx, void *page)
{
	size_t i = (size_t)((uint8_t *)page - front_view) / PAGE;

	if (!use(ctx) || i >= FAKE_FLIP_PAGES || page != front_view + i * PAGE ||
	    state[i] != PAGE_MAPPED) {
		fake_flip.bad++;
		return;
	}
	memset(page, 0, PAGE);
	mprotect(page, PAGE, PROT_NONE);
	state[i] = PAGE_GIVEN;
}

static int flush(void *ctx)
{
	int err = fake_flip.fail_flush;
	uint32_t i;

	use(ctx);
	fake_flip.flushes++;
	fake_flip.fail_flush = 0;
	for (i = 0; i < FAKE_FLIP_PAGES; i++) {
		if (state[i] == PAGE_GIVEN || (state[i] == PAGE_TAKEN && err)) {
			state[i] = PAGE_FREE;
			fake_flip.nr_pages--;
		} else if (state[i] == PAGE_TAKEN) {
			mprotect(front_view + (size_t)i * PAGE, PAGE, PROT_READ | PROT_WRITE);
			state[i] = PAGE_MAPPED;
		}
	}
	return err;
}

const struct front_flip *fake_flip_system(void)
{
	static const struct front_flip system = {
		.offer = offer, .take = take, .give = give, .flush = flush, .ctx = &fake_flip,
	};

	return &system;
}

/* ---- the back end's ---------------------------------------------------------------------- */

uint8_t *fake_flip_page(uint32_t gref, bool fill)
{
	uint32_t i = gref - FAKE_FLIP_GREF, k, p = 0;

	if (i >= ENTRIES || !entry[i].open || entry[i].page >= 0)
		return NULL;
	if (!fill)
		return scratch;
	if (fake_flip.refuse) {
		fake_flip.refuse--;
		return scratch;
	}
	/* In an order that makes addresses alike in their lower bits. */
	for (k = 0; k < FAKE_FLIP_PAGES; k++) {
		p = k % 4 * (FAKE_FLIP_PAGES / 4) + k / 4;
		if (state[p] == PAGE_FREE)
			break;
	}
	if (k == FAKE_FLIP_PAGES)
		return scratch;
	state[p] = PAGE_COMING;
	entry[i].page = (int)p;
	fake_flip.nr_pages++;
	fake_flip.transfers++;
	return back_view + (size_t)p * PAGE;
}
