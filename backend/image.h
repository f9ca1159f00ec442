/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk image by name: opened, measured, locked.
 *
 * Hides: what may be a disk (a regular file or a block device), its size and
 * sector size, which discard it can take, and how sharing is kept. Must not
 * know: rings, XenStore, how I/O is done (disk.h).
 *
 * Sharing is an OFD lock on one byte far beyond any image's end, of a
 * descriptor that the supervisor keeps as long as the device lives: r takes it
 * shared, w alone, w! not at all. The fence is another byte, one per device,
 * locked by each worker incarnation on its own descriptor, that of its I/O
 * (image_fence).
 *
 * The first lock ends with the supervisor, or the device, while writes of a
 * killed process may hang in the storage. So who does the I/O takes a third one,
 * of the same modes, by the descriptor that the I/O goes through, which the kernel
 * keeps until the last of it has ended: who is given the image next waits for it.
 */
#ifndef PV_IMAGE_H
#define PV_IMAGE_H

#include <stdint.h>
#include <sys/stat.h>
#include "vbd.h"

struct image_info {
	uint64_t bytes;			/* multiple of sector_bytes */
	uint32_t sector_bytes, physical_sector_bytes;
	uint32_t discard_granularity_bytes, discard_alignment_bytes;
	bool is_device, discard, discard_secure;
};

/*
 * Opens path anew (its own open file description), read-only or not. Messages
 * into why: they name the path and what was expected.
 * -ENOENT, -EACCES, -EISDIR, -EINVAL (not a file or block device; size not a
 * multiple of the sector; empty), -EROFS.
 */
int image_open(const char *path, bool read_only, int *fd, struct image_info *info,
	       char *why, size_t why_bytes);
/*
 * One that a front end has already, and goes on with: of any size, of which whole sectors
 * count. Else the same.
 */
int image_open_served(const char *path, bool read_only, int *fd, struct image_info *info,
		      char *why, size_t why_bytes);
/* The same of one that is open; name is for messages. */
int image_inspect(int fd, const char *name, bool read_only, struct image_info *info, char *why,
		  size_t why_bytes);
/*
 * An image that a server of ours opens: only for its lock. Not measured. Errors as
 * image_open()'s.
 */
int image_open_unmeasured(const char *path, bool read_only, int *fd, char *why,
			  size_t why_bytes);
/* A file of its own in dir, for the lock of what has no file here: name, hashed. */
int image_open_token(const char *dir, const char *name, int *fd);
/* No medium in the drive: an image of no sectors, that nobody else has. */
int image_open_none(int *fd, struct image_info *info);
/*
 * Another open file description of the image that fd has open, also when its
 * path has another file by now. Not measured: the image may have been resized.
 */
int image_reopen(int fd, bool read_only, int *out);
/* Whether fd has open what st says. No file server is asked, which might not answer. */
bool image_is(int fd, const struct stat *st);
/*
 * How large it is now as far as this host's kernel knows, in whole sectors. May be 0: others
 * may cut a file. Of another host's doing the kernel may know later, or when it is asked for
 * the file's status.
 */
int image_measure(int fd, uint32_t sector_bytes, uint64_t *bytes);
/*
 * Other sector sizes than the image's own, each a power of two or 0 for none: it
 * can be served in larger sectors than it has, not in smaller ones. -EINVAL with
 * why, which names path.
 */
int image_set_sectors(struct image_info *info, uint32_t logical_bytes,
		      uint32_t physical_bytes, const char *path, char *why,
		      size_t why_bytes);
/*
 * The sector sizes that a front end has been told; not those that are none, or that are less
 * than the image's own. Of any size, as image_open_served().
 */
void image_keep_sectors(struct image_info *info, uint32_t logical_bytes,
			uint32_t physical_bytes);
/* -EBUSY: another holder; why names it as far as the kernel tells. */
/* Also -EBUSY for w on a block device that the host itself has mounted. */
int image_share_lock(int fd, enum vbd_share share, char *why, size_t why_bytes);
/*
 * Before the first I/O by fd: waits until nobody else's I/O is under way that share
 * excludes, and holds others off in the same way as long as fd's description is open.
 * w! waits for nobody. -errno: cannot be locked.
 */
int image_share_wait(int fd, enum vbd_share share);
/*
 * Waits until no other open file description holds the device's fence, takes it, then
 * does image_share_wait(). Both locks go with fd's description. -errno: cannot be locked.
 */
int image_fence(int fd, enum vbd_share share, uint32_t frontend_id, uint32_t devid);
/* For people: who is waited for, as "process 12 (name)". False: nobody but fd's own. */
bool image_fence_holder(int fd, enum vbd_share share, uint32_t frontend_id, uint32_t devid,
			char *buf, size_t bytes);

#endif
