/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block devices as a kind of device (device.h): the image, the nodes that are
 * published, the front end's rings.
 *
 * Hides: images, features, what serves a disk. Must not know: when each of these
 * is wanted, watches. The loop's thread.
 */
#ifndef PV_VBD_DEVICE_H
#define PV_VBD_DEVICE_H

#include "device.h"

/* Its devices' config is the base of a struct blkback_config. */
extern const struct device_kind vbd_kind;

#endif
