/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system whose domain receives pages by transfer (struct front_flip), and the back
 * end's end of it, inside the test's own process.
 *
 * Hides: entries and pages. Must not know: rings, the front end's inside. Stricter than
 * any system: what is not the front end's to do is counted, and a page cannot be touched
 * before the flush and after it was given back.
 */
#ifndef PV_FAKE_FLIP_H
#define PV_FAKE_FLIP_H

#include <stdbool.h>
#include <stdint.h>

#include "front.h"

#define FAKE_FLIP_GREF 50000u	/* the first of those of entries */
#define FAKE_FLIP_PAGES 1024u

extern struct fake_flip {
	uint32_t limit;			/* of pages and open entries; 0: many */
	uint32_t refuse;		/* the next so many transfers fail */
	uint32_t slow;			/* take says so often that a transfer is under way */
	bool never_done;		/* take says so always */
	int fail_flush;			/* -errno of the next flush */
	/* state */
	uint32_t nr_open;		/* entries */
	uint32_t nr_pages;		/* the domain's, until flushed after they were given */
	uint32_t transfers, offers, flushes;
	uint32_t bad;			/* uses that a system would not survive */
} fake_flip;

void fake_flip_reset(void);
const struct front_flip *fake_flip_system(void);
/*
 * Where the back end writes what the page holds that goes through the entry, which is
 * transferred at once, unless fill is false or it is to be refused. NULL: no open entry.
 */
uint8_t *fake_flip_page(uint32_t gref, bool fill);

#endif
