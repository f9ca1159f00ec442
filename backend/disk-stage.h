/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Staging memory of a disk: a little memory of our own that data passes through
 * where the guest's pages are dear to hand to the kernel.
 *
 * Hides: which parts are free. Must not know: engines, rings. One thread.
 */
#ifndef PV_DISK_STAGE_H
#define PV_DISK_STAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* 8 requests of 128 KiB, or 256 of 4 KiB. */
#define DISK_STAGE_PAGES 256u
#define DISK_STAGE_PAGE_BYTES 4096u

struct disk_stage {
	uint8_t *memory;
	uint32_t next;			/* where the search begins */
	uint8_t taken[DISK_STAGE_PAGES];
};

/* -ENOMEM. The memory is touched by the first use of it. */
int disk_stage_open(struct disk_stage *s);
/* Accepts what was never opened, zeroed. */
void disk_stage_close(struct disk_stage *s);
/* bytes in one piece, page aligned, until disk_stage_put(); NULL: no room now. */
void *disk_stage_get(struct disk_stage *s, uint64_t bytes);
void disk_stage_put(struct disk_stage *s, void *at, uint64_t bytes);
/* Between the stage and the first bytes of iov, which are there. */
void disk_stage_gather(void *at, const struct iovec *iov, uint64_t bytes);
void disk_stage_scatter(const struct iovec *iov, const void *at, uint64_t bytes);

#endif
