/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this machine's back ends count of a device, as a reader.
 *
 * Hides: that queues count apart, how two readings become what was between them. Must not
 * know: output. A file that is missing, or of another version, is no error: the device may
 * have another back end. What is read is a worker's word, for numbers and nothing else.
 */
#ifndef PV_PARAVANE_FIGURES_H
#define PV_PARAVANE_FIGURES_H

#include <stdbool.h>
#include "blk-figures.h"
#include "inventory.h"
#include "vif-figures.h"

/* All queues added up. False: there are none. */
bool figures_of_disk(const struct inventory_device *disk, struct blk_figures *out);
bool figures_of_nic(const struct inventory_device *nic, struct vif_figures *out);

/* One queue's; nr_queues is how many there are. */
struct figures_reader {
	int fd;
	struct figures_layout layout;
};
/* -errno: there is no file; -EBADMSG: it is of another version, or of another class. */
int figures_reader_open(const struct inventory_device *dev, int flags,
			struct figures_reader *out);
void figures_reader_close(struct figures_reader *r);

/* What came between two readings; gauges as they are now. */
void figures_disk_since(struct blk_figures *out, const struct blk_figures *now,
			const struct blk_figures *before);
void figures_nic_since(struct vif_figures *out, const struct vif_figures *now,
		       const struct vif_figures *before);

#endif
