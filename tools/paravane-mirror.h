/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a back end of ours tells of a disk's mirror, for the commands that show it.
 *
 * Hides: the file and its form (backend/mirror.h writes it). Must not know: output, XenStore.
 */
#ifndef PV_PARAVANE_MIRROR_H
#define PV_PARAVANE_MIRROR_H

#include "inventory.h"

struct mirror_info {
	bool found;			/* one runs, or has run since the disk was connected */
	uint64_t id;
	/* "copying", "following", "finishing"; then "pivoted", "stopped", "cancelled", "failed" */
	char status[16];
	char image[512], target[512], at_sync[8], reason[400];
	uint64_t bytes, copied_bytes, dirty_bytes;
	uint64_t finish_us;		/* how long the guest would wait for the end now */
	uint64_t bytes_per_second, rate_bytes_per_second, seconds, pause_us;
};

void mirror_info_read(const struct inventory_device *disk, struct mirror_info *out);
/* paravane-words.c: */
bool mirror_info_is_over(const struct mirror_info *m);
/* Of all bytes. */
unsigned mirror_info_percent(const struct mirror_info *m);

#endif
