/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kinds of image errors, and words for them (image-error.h). Must not know who asks.
 */
#include <errno.h>
#include "disk.h"
#include "image-error.h"

static const struct {
	const char *text, *advice;
} words[IMAGE_ERRORS] = {
	[IMAGE_ERROR_DEVICE] = {
		"the image's device has failed",
		"look at the kernel's log for the device; a copy of the image elsewhere is due" },
	[IMAGE_ERROR_FULL] = {
		"the image's file system is full",
		"make room: the guest's next try succeeds; a sparse image needs room for all that it may hold" },
	[IMAGE_ERROR_QUOTA] = {
		"a quota is exhausted: that of the image's owner, group or project",
		"raise it (setquota), or give the image to another owner: the guest's next try succeeds" },
	[IMAGE_ERROR_READ_ONLY] = {
		"the image's file system has become read-only",
		"the kernel's log says why; after its repair and mount -o remount,rw the guest's next try succeeds" },
	[IMAGE_ERROR_SHORT] = {
		"the image ends before that: somebody has made it shorter",
		"what was cut off is lost; truncate -s brings the size back, with zeros" },
	[IMAGE_ERROR_OTHER] = {
		"the image's file system refuses",
		"the log says with which error" },
};

enum image_error image_error_of(int err)
{
	switch (err) {
	case -EIO: case -ENODATA: case -EREMOTEIO: case -ETIMEDOUT: case -ENODEV: case -EILSEQ:
		return IMAGE_ERROR_DEVICE;
	case -ENOSPC:
		return IMAGE_ERROR_FULL;
	case -EDQUOT:
		return IMAGE_ERROR_QUOTA;
	case -EROFS:
		return IMAGE_ERROR_READ_ONLY;
	case DISK_SHORT:
		return IMAGE_ERROR_SHORT;
	default:
		return IMAGE_ERROR_OTHER;
	}
}

const char *image_error_text(enum image_error what)
{
	return words[what].text;
}

const char *image_error_advice(enum image_error what)
{
	return words[what].advice;
}
