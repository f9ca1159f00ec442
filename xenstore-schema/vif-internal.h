/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What both directories of a vif hold alike.
 *
 * Hides: address and MTU as text. Must not know: who reads them. Not for other
 * rooms.
 */
#ifndef PV_VIF_INTERNAL_H
#define PV_VIF_INTERNAL_H

#include "vif.h"

/* Missing: *has is false. -EINVAL with err. */
int vif_read_mac(struct xs_handle *xs, const char *dir, uint8_t *mac, bool *has,
		 struct key_error *err);
int vif_read_mtu(struct xs_handle *xs, const char *dir, uint32_t *out,
		 struct key_error *err);

#endif
