/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an error of an image's I/O means, for the log and for `paravane explain`.
 *
 * Hides: which errno is of what kind. Must not know: requests, journals. Any thread.
 */
#ifndef PV_IMAGE_ERROR_H
#define PV_IMAGE_ERROR_H

/* Counted by kind in the journal: append only. */
enum image_error {
	IMAGE_ERROR_DEVICE, IMAGE_ERROR_FULL, IMAGE_ERROR_QUOTA, IMAGE_ERROR_READ_ONLY,
	IMAGE_ERROR_SHORT, IMAGE_ERROR_OTHER,
	IMAGE_ERRORS
};

/* err: -errno of disk.h. */
enum image_error image_error_of(int err);
/* A sentence without its point; never NULL. */
const char *image_error_text(enum image_error what);
/* What to do about it. */
const char *image_error_advice(enum image_error what);

#endif
