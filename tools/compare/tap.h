/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A TAP device, and what is asked of the kernel for one that somebody else has made.
 *
 * Hides: ioctls. Must not know: frames, models. Needs CAP_NET_ADMIN in the network
 * namespace that it is called in. Functions return 0 or a count, or -errno.
 */
#ifndef CMP_TAP_H
#define CMP_TAP_H

#include <stdbool.h>

/*
 * A descriptor, not blocking, of a device that goes with it. header_bytes of a vnet header
 * before each frame, 0: none.
 */
int tap_open(const char *ifname, int header_bytes);
/* What frames that are read may still want done. */
int tap_offloads(int fd, bool checksum, bool tso4);
/*
 * Waits until there is such an interface, sets it up, and waits until it loses nothing of
 * what it is given. -ETIMEDOUT: there is none such.
 */
int tap_interface(const char *ifname, unsigned int timeout_ms);

#endif
