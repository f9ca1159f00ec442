/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of disk engines: an image on a real file with a copy in memory beside
 * it, and system calls that refuse, stop short or fail. Those are this module's own
 * preadv2(), pread() and so on, which take the place of the C library's.
 *
 * Must not know: what is tested.
 */
#ifndef PV_DISK_BENCH_H
#define PV_DISK_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "disk.h"

#define BYTES (1u << 20)
#define PAGE 4096u
#define SECTOR 512u

/* ---- system calls that misbehave ------------------------------------------------------ */

extern struct disk_bench_sys {
	int nowait_errno;		/* of calls with RWF_NOWAIT; 0: as they are */
	uint32_t fail_nth;		/* the nth call fails with fail_errno */
	int fail_errno;
	size_t most_bytes;		/* a call moves no more; 0: any number */
	bool no_direct;			/* fcntl() refuses O_DIRECT */
	uint32_t nr_nowait, nr_dsync, nr_direct, nr_calls;
	uint64_t written_bytes;
	unsigned long ioctl;		/* the last discard, recorded and not done ... */
	uint64_t ioctl_range[2];
	int ioctl_errno;		/* ... but with this result */
} sys;

/* ---- a disk and its copy ---------------------------------------------------------------- */

struct io {
	struct disk_io io;
	struct iovec iov[8];
	int err;
	uint32_t done;
};

struct bench {
	char path[64];
	int fd;
	struct disk_config cfg;
	struct disk *disk;
	uint8_t *model;			/* what the image should hold */
	uint8_t *buffer;		/* page-aligned, as big as the image */
};

/* Buffers count as another domain's, and those as slow to hand to the kernel. */
extern bool disk_bench_foreign;

/* False: this directory cannot be used. b->disk is NULL when the engine refuses. */
bool bench_open(struct bench *b, const char *dir, const struct disk_ops *ops);
void bench_close(struct bench *b);
void set_io(struct io *x, enum disk_op op, uint64_t offset, uint64_t bytes);
/* Into nr pieces, whole sectors each. */
void set_pieces(struct io *x, uint8_t *at, uint32_t nr);
void wait_done(struct disk *d, const struct io *x);
int run_io(struct disk *d, struct io *x);
int move_pages(struct bench *b, enum disk_op op, uint64_t offset, uint64_t bytes,
	       uint32_t pieces);
int plain(struct bench *b, enum disk_op op, uint64_t offset, uint64_t bytes);
void fill(uint8_t *at, size_t bytes, uint32_t seed);
bool whole_image_matches(struct bench *b);
/* Runs the test for each engine, on a file system and on tmpfs. */
void each(void (*test)(struct bench *b));

#endif
