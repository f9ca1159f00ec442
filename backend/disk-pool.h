/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A few helper threads for operations that block.
 *
 * Hides: threads, locks, and how the disk's thread learns of results. Must not
 * know: engines. Threads start when there is work and end when there has been
 * none for a while, so that a disk at rest has none.
 */
#ifndef PV_DISK_POOL_H
#define PV_DISK_POOL_H

#include "disk.h"

#define DISK_POOL_THREADS_MAX 8u

struct disk_pool;

/* cfg is copied; d's operations are handed back by disk_done(d, ...). */
int disk_pool_open(struct disk *d, const struct disk_config *cfg, struct disk_pool **out);
/* Nothing may be outstanding. Accepts NULL. */
void disk_pool_close(struct disk_pool *p);
/* In order of arrival, several at a time; where no thread starts, done here. */
void disk_pool_submit(struct disk_pool *p, struct disk_io *io);
/*
 * For work that does not block and that the caller could do as well: a helper may
 * take it (one at most is started for it). The caller must then take back, until
 * NULL, what none has begun.
 */
void disk_pool_share(struct disk_pool *p, struct disk_io *io);
struct disk_io *disk_pool_take_back(struct disk_pool *p);
bool disk_pool_busy(const struct disk_pool *p);
void disk_pool_reap(struct disk_pool *p);
/* An eventfd, readable when reap has something to do. */
int disk_pool_fd(const struct disk_pool *p);

#endif
