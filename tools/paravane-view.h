/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that can be known of one disk from here: what the tool stack and both
 * ends wrote, in which state they are, what this machine's back end says.
 *
 * Hides: where each comes from. Must not know: output. One thread per store.
 */
#ifndef PV_PARAVANE_VIEW_H
#define PV_PARAVANE_VIEW_H

#include "paravane.h"
#include "paravane-runinfo.h"

struct disk_view {
	const struct inventory_device *disk;
	struct toolstack_view ends;
	struct vbd_toolstack ts;
	struct vbd_features features;	/* the back end's, if has_features */
	struct vbd_frontend front;	/* if has_front */
	struct runinfo run;		/* found: once both ends are connected, if ours */
	bool ours;			/* a paravane-blkback of this domain serves it */
	bool has_features, has_front;
	char domain[64], device[32];	/* domain may be empty */
	char waits[512];		/* waits_for(); empty: both are connected */
};

/* disk must live as long as the view. disk_view_close() frees what it holds. */
void disk_view_look(struct store *store, const struct inventory_device *disk,
		    struct disk_view *out);
void disk_view_close(struct disk_view *v);

/* ---- words: paravane-words.c ------------------------------------------------ */

uint64_t disk_view_bytes(const struct disk_view *v);
const char *mode_name(enum vbd_share share);
const char *cache_name(enum vbd_cache cache);
const char *abi_name(enum vbd_abi abi);
/* "1.5 GiB" */
const char *human_bytes(uint64_t bytes, char *buf, size_t len);

#endif
