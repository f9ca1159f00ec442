/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The second image of a mirror: found fit, made if it is missing, locked.
 *
 * Hides: what a target must be. Must not know: what is copied to it, XenStore. For the
 * supervisor, and for who wants to know before it asks.
 */
#ifndef PV_MIRROR_TARGET_H
#define PV_MIRROR_TARGET_H

#include "image.h"

/* The disk that is to be copied. */
struct mirror_source {
	int fd;				/* -1: not known, and not compared with */
	uint64_t bytes;
	uint32_t sector_bytes;		/* the guest's */
};

struct mirror_target {
	int fd;				/* with a lock as of an image that one guest writes */
	struct image_info info;
	bool made;			/* the file was not there */
};

/*
 * A block device, or a file, which is made where there is none; one of no bytes gets the disk's
 * size. look_only: nothing is made or changed, and out->fd is -1 when the file is not there.
 * Errors as image_open()'s, and -EBUSY: it is in use; -EOPNOTSUPP: of a kind that is served
 * and not copied to; why names the path and what was expected.
 */
int mirror_target_open(const char *path, const struct mirror_source *source, bool look_only,
		       struct mirror_target *out, char *why, size_t why_bytes);

#endif
