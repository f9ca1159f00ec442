/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of this room share with each other and with nobody else.
 *
 * Hides: raw node access, the transaction loop. Must not know: stdio. Not for
 * other rooms.
 */
#ifndef PV_XENBUS_INTERNAL_H
#define PV_XENBUS_INTERNAL_H

#include <stddef.h>

#include "xenbus.h"

/* A device directory, and a key of two levels in it. */
#define XENBUS_NODE_BYTES (XENBUS_PATH_BYTES + 64)
#define XENBUS_U64_DIGITS 20

/* libc's assert() brings stdio; this one is for our own mistakes as well. */
#define xenbus_assert(what) \
	do { \
		if (!(what)) \
			__builtin_trap(); \
	} while (0)

/* path has XENBUS_NODE_BYTES; "" as dir: the key alone. -ENAMETOOLONG. */
int xenbus_join(char *path, const char *dir, const char *key);
/* -errno as libxenstore left it. */
int xenbus_store_error(void);
/* *value is the caller's to free; terminated after *len bytes. */
int xenbus_read_raw(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *key, char **value, unsigned int *len);

/* error/... of a device's directory. -EINVAL: dir is not below a domain. */
int xenbus_error_dir(char *buf, size_t bytes, const char *dir);

/* 0, -ENOENT, or the store's own error, which xenbus_exists() cannot tell. */
int xenbus_need_dir(struct xs_handle *xs, xs_transaction_t t, const char *dir);

/* -EAGAIN: the node says 1 or 5, which the tool stack has written after our from. */
int xenbus_refuse_overtaken(struct xs_handle *xs, xs_transaction_t t,
			    const char *nodename, XenbusState from);

/* Copies what fits (bytes > 3), with what is not plain text as '?'. */
void xenbus_show(char *buf, size_t bytes, const char *value, size_t len);
/* Fills err, which may be NULL. */
void xenbus_blame(struct key_error *err, const char *key, const char *value,
		  size_t len, const char *expected);
void xenbus_blame_u64(struct key_error *err, const char *key, uint64_t value,
		      const char *expected);

#endif
