/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image as a person names it on the command line.
 *
 * Hides: the prefixes of params, that a relative path means nothing to a
 * daemon, and how two disks are known to be of one image. Must not know: how
 * a disk is attached. The lock that decides is the back end's (image.h); this
 * looks first so that the refusal names who has the image.
 */
#ifndef PV_PARAVANE_IMAGE_H
#define PV_PARAVANE_IMAGE_H

#include "paravane.h"

struct disk_image {
	char *params;			/* what goes into XenStore */
	const char *path;		/* inside params; NULL: not a file's name */
};

/*
 * "disk.img", "aio:/path", "phy:vg/lv", "nbd:...": paths become absolute, with
 * symbolic links left as they are. STATUS_; complains itself.
 */
int disk_image_parse(const char *text, struct disk_image *out);
void disk_image_free(struct disk_image *image);
/* Refuses at once what the back end could only refuse later. STATUS_. */
int disk_image_check(const struct disk_image *image, enum vbd_share share);
/*
 * Refuses an image that another disk of backend_domid has under a mode that
 * does not go with share; STATUS_BUSY names it.
 */
int disk_image_conflict(struct store *store, uint32_t backend_domid,
			const struct disk_image *image, enum vbd_share share);
/* Whether both name one file or, when not files, are spelled alike. */
bool disk_image_same(const struct disk_image *a, const char *params);

#endif
