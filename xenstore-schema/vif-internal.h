/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What both directories of a vif hold alike, and how words in them are read.
 *
 * Hides: address, MTU, lists as text. Must not know: who reads them. Not for other
 * rooms.
 */
#ifndef PV_VIF_INTERNAL_H
#define PV_VIF_INTERNAL_H

#include "vif.h"

/* Missing: *has is false. -EINVAL with err. */
int vif_read_mac(struct xs_handle *xs, const char *dir, uint8_t *mac, bool *has,
		 struct key_error *err);
/* 0: nobody wrote one. */
int vif_read_mtu_written(struct xs_handle *xs, const char *dir, uint32_t *out,
			 struct key_error *err);
int vif_read_mtu(struct xs_handle *xs, const char *dir, uint32_t *out,
		 struct key_error *err);
/* Decimal digits at *at, at least one; *at moves past them. -EINVAL. */
int vif_take_number(const char **at, uint64_t max, uint64_t *out);
/* A copy into buf; missing is "". */
int vif_read_word(struct xs_handle *xs, const char *dir, const char *key,
		  const char *expected, char *buf, size_t bytes, struct key_error *err);
/* As vif_is_name() has it; missing is "". */
int vif_read_name(struct xs_handle *xs, const char *dir, const char *key,
		  char buf[VIF_NAME_BYTES], struct key_error *err);

#endif
