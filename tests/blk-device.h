/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device of the block back end and its guest in one process, for tests: one
 * or two queues over fake-xen, each with a disk in memory. Nothing runs by
 * itself; device_run() is all the time that passes.
 */
#ifndef PV_BLK_DEVICE_H
#define PV_BLK_DEVICE_H

#include "blk-guest.h"
#include "blkback.h"
#include "disk-memory.h"
#include "fake-xen.h"

#define DISK_BYTES (4u << 20)
#define SECTORS (DISK_BYTES / 512)
#define PAGE 4096u
#define PERSISTENT_PAGES 1056u

struct queue {
	struct guest guest;
	struct blkback *b;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	struct disk *disk;
	void *ring;
	bool kicked;
};

struct device {
	enum vbd_abi abi;
	uint32_t order, nr_queues;
	bool persistent;
	uint32_t persistent_idle_ms;	/* 0: a minute */
	enum vbd_grants grants;
	struct vbd_features features;
	bool overwrites;		/* how its disks do a secure discard */
	struct blkback_limit *limit;
	struct disk *medium;		/* what the disks of all queues show; NULL: each its own */

	struct queue queue[2];
	struct guest *g;		/* of queue 0 */
	struct blkback *b;
	struct disk *disk;
	struct blkback_gate *gate;
	struct journal *journal;
	int journal_fd;
	struct log_peer log;
};

/* What is not set before has default values; then everything is open and started. */
void device_open(struct device *d);
/* Checks that all was answered and given back. */
void device_close(struct device *d);
/* The back end's half of it, for a second one over the same rings and journal. */
void device_open_back(struct device *d);
void device_close_back(struct device *d);
int device_start_queue(struct device *d, uint32_t i, const struct journal_recovery *rec);

/* All queues until nothing moves. */
void device_run(struct device *d);
/* Publishes what the guest of the first queue has put, and runs. */
void device_go(struct device *d);
/* The next response of the first queue has these values. */
void device_expect(struct device *d, uint64_t id, uint8_t operation, int16_t status);
void device_expect_none(struct device *d);

struct blkif_request_segment segment(uint32_t gref, uint8_t first, uint8_t last);

/* With every ABI and every way to reach pages; says where a test failed. */
void device_in_all_ways(void (*test)(struct device *d));
void device_in_all_abis(void (*test)(struct device *d));

#endif
