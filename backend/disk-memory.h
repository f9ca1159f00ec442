/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image in memory that fails and dawdles as told: for trying a guest, or a
 * back end, against a bad disk.
 *
 * Hides: when an operation completes and with what, and what of it a power cut
 * leaves. Must not know: rings. Its data is lost when it closes. Delayed operations
 * complete in disk_reap(), in the order of their time; disk_fd() is a timer.
 */
#ifndef PV_DISK_MEMORY_H
#define PV_DISK_MEMORY_H

#include "disk.h"

struct disk_memory_faults {
	/* An operation of op, or any with any_op, that touches the range fails. */
	bool any_op;
	enum disk_op op;
	uint64_t from_bytes, to_bytes;	/* empty range: every place */
	uint32_t every;			/* each nth such operation; 0: none */
	int err;			/* -errno it fails with */
	uint32_t delay_us;		/* before each completion; 0: inside submit */
	bool reverse;			/* delayed ones complete last first */
	bool paused;			/* nothing completes */
};

/* As disk_open(), zeroed, of bytes; cfg's fd and is_device are not used. */
int disk_memory_open(uint64_t bytes, const struct disk_config *cfg, struct disk **out);
/* May change at any time between submissions. */
void disk_memory_set_faults(struct disk *d, const struct disk_memory_faults *f);
/* The bytes themselves, for comparing. */
uint8_t *disk_memory_data(struct disk *d);

/*
 * d has the bytes of medium, and its cache, instead of its own: as one process after the
 * other that uses one disk, also after fork(). medium outlives d, and does nothing itself.
 */
void disk_memory_share(struct disk *d, struct disk *medium);

/*
 * From now on the disk has a volatile cache: what is written is durable after a flush,
 * or earlier, a sector here and there, as seed has it. -ENOMEM.
 */
int disk_memory_add_cache(struct disk *d, uint64_t seed);
/*
 * The power goes, and comes back: of each sector that was written since the last flush
 * the old contents are there, or the new. What waits has not been done.
 */
void disk_memory_power_cut(struct disk *d);

#endif
