/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that can be known of one device from here: what the tool stack and both
 * ends wrote, in which state they are, what this machine's back end says.
 *
 * Hides: where each comes from. Must not know: output. One thread per store.
 */
#ifndef PV_PARAVANE_VIEW_H
#define PV_PARAVANE_VIEW_H

#include "paravane.h"
#include "paravane-mirror.h"
#include "paravane-runinfo.h"
#include "vif.h"

/* Of every device. */
struct device_view {
	const struct inventory_device *dev;
	struct toolstack_view ends;
	bool ours;			/* a back end of ours in this domain serves it */
	bool has_features;		/* the back end has published */
	bool has_front;			/* and so has the front end */
	char domain[64], device[32];	/* domain may be empty */
	char sandbox[64];		/* of its worker, as runinfo.h; empty: not known */
	char waits[512];		/* waits_for(); empty: both are connected */
	struct limit limit;		/* as set; none where that is not valid */
};

struct disk_view {
	struct device_view base;
	struct vbd_toolstack ts;
	struct vbd_features features;	/* if has_features */
	struct vbd_frontend front;	/* if has_front */
	struct runinfo run;		/* found: once both ends are connected, if ours */
	struct mirror_info mirror;	/* found: if ours, and there is or was one */
};

struct nic_view {
	struct device_view base;
	struct vif_toolstack ts;
	struct vif_features features;
	struct vif_frontend front;
	bool ts_valid;			/* the tool stack's nodes can be understood */
	bool flip_ended;		/* the back end copies after all */
	bool carrier;			/* the back end says that the link is up */
};

/* dev must live as long as the view. disk_view_close() frees what it holds. */
void disk_view_look(struct store *store, const struct inventory_device *dev,
		    struct disk_view *out);
void disk_view_close(struct disk_view *v);
/* Holds nothing. */
void nic_view_look(struct store *store, const struct inventory_device *dev,
		   struct nic_view *out);

/* ---- words: paravane-words.c ------------------------------------------------ */

uint64_t disk_view_bytes(const struct disk_view *v);
const char *abi_name(enum vbd_abi abi);
/* "1.5 GiB" */
const char *human_bytes(uint64_t bytes, char *buf, size_t len);
/* Of a nic's limit, "10.0 Mbit/s"; "none" */
const char *human_rate(const struct vif_toolstack *ts, char *buf, size_t len);
/* Bits per second; 0: no limit. */
uint64_t rate_bits_per_s(const struct vif_toolstack *ts);

#endif
