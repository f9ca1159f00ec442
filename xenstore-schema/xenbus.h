/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A split device's two directories in XenStore, their states, and typed access
 * to the nodes in them.
 *
 * Hides: how paths and values are spelled, which state changes are legal, that
 * a vanished directory must not be made again by a write. Must not know: which
 * keys a kind of device has (vbd.h, vif.h), event loops, stdio. Linked by
 * front ends without an operating system: libxenstore, memory and string
 * functions only.
 *
 * Any thread, one at a time per xs_handle. Sources: xen/io/xenbus.h,
 * docs/misc/xenstore-paths.pandoc of Xen.
 */
#ifndef PV_XENBUS_H
#define PV_XENBUS_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>
#include <xen/io/xenbus.h>

#define XENBUS_PATH_BYTES 128
#define XENBUS_TEXT_BYTES 160

/* Special watches: a domain's store connection came, a domain went. */
#define XENBUS_WATCH_INTRODUCED "@introduceDomain"
#define XENBUS_WATCH_RELEASED "@releaseDomain"

enum xenbus_side { XENBUS_FRONTEND, XENBUS_BACKEND };

struct xenbus_device {
	struct xs_handle *xs;
	enum xenbus_side side;
	uint32_t domid, otherend_id;
	char nodename[XENBUS_PATH_BYTES];	/* our directory, absolute */
	char otherend[XENBUS_PATH_BYTES];	/* the peer's, absolute */
	XenbusState state;			/* as we last wrote it */
};

/* What was wrong with a node, for a message a person can act on. */
struct key_error {
	char key[64];
	char value[64];			/* shortened; "" when missing */
	const char *expected;		/* static text */
};

/* ---- text without stdio ------------------------------------------------- */

/*
 * Builds text in buf: each argument after the format is a %s (const char *) or
 * a %u (uint64_t). -ENAMETOOLONG when it does not fit; buf then holds "".
 */
int xenbus_text(char *buf, size_t bytes, const char *fmt, ...);

/* ---- paths --------------------------------------------------------------- */

int xenbus_frontend_path(char *buf, size_t bytes, uint32_t domid,
			 const char *kind, uint32_t devid);
int xenbus_backend_path(char *buf, size_t bytes, uint32_t backend_domid,
			const char *kind, uint32_t frontend_domid, uint32_t devid);
/* Own domid: the store's "domid" node, by relative path. */
int xenbus_own_domid(struct xs_handle *xs, uint32_t *out);

/* ---- typed nodes ----------------------------------------------------------
 * t: a transaction or XBT_NULL. -ENOENT: missing. -EINVAL: not of the type;
 * err (may be NULL) then says what was expected. Other -errno of the store.
 */

int xenbus_read_u64(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *key, uint64_t max, uint64_t *out,
		    struct key_error *err);
int xenbus_read_u32(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    const char *key, uint32_t max, uint32_t *out,
		    struct key_error *err);
/* Missing counts as fallback; anything but 0 or 1 is -EINVAL. */
int xenbus_read_flag(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *key, bool fallback, bool *out,
		     struct key_error *err);
/* A copy into buf, always terminated. -E2BIG, -EINVAL (a NUL inside). */
int xenbus_read_text(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *key, char *buf, size_t bytes);
/* A copy to be freed by the caller. */
int xenbus_read_string(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const char *key, char **out);
int xenbus_write_u64(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		     const char *key, uint64_t value);
int xenbus_write_text(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		      const char *key, const char *value);
/* Missing is fine. */
int xenbus_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		  const char *key);
bool xenbus_exists(struct xs_handle *xs, xs_transaction_t t, const char *path);

/* ---- transactions --------------------------------------------------------- */

/*
 * Runs fn in a transaction until nobody interfered. fn returns 0 to commit or
 * -errno to abandon, which is then the result; it may run several times. -EBUSY:
 * somebody did each of XENBUS_COMMITS times, and nothing was written.
 */
#define XENBUS_COMMITS 1000
typedef int xenbus_transaction_fn(struct xs_handle *xs, xs_transaction_t t, void *arg);
int xenbus_transact(struct xs_handle *xs, xenbus_transaction_fn *fn, void *arg);

/* ---- states --------------------------------------------------------------- */

/* "InitWait"; "Unknown" for what is not a state. */
const char *xenbus_state_name(XenbusState state);
/* A missing or unreadable node is XenbusStateUnknown, as the field has it. */
XenbusState xenbus_read_state(struct xs_handle *xs, const char *dir);
/* Whether the side may go from one state to the other. */
bool xenbus_may_change(enum xenbus_side side, XenbusState from, XenbusState to);
/*
 * Writes our state, in a transaction that does nothing when our directory is
 * gone (-ENOENT): a late write must not bring a removed device back. Writing
 * the state we are in is legal and writes again (the peer sees an event).
 * Asserts that the change is legal. -EAGAIN: nothing was written, since the
 * tool stack wrote 1 or 5 meanwhile: read the state again (never for 5 and 6).
 */
int xenbus_switch_state(struct xenbus_device *dev, XenbusState to);
/*
 * Tells people why: "ERRNO text" into error/<our path below our domain>/error,
 * where Linux puts it, e.g. /local/domain/0/error/backend/vbd/3/51712/error.
 * err is positive. The other end may read it, so that a guest can say why its
 * disk does not come.
 */
int xenbus_write_error(struct xenbus_device *dev, int err, const char *text);
int xenbus_clear_error(struct xenbus_device *dev);
/* Reads it for any device directory (absolute). -ENOENT: none. */
int xenbus_read_error(struct xs_handle *xs, const char *dir, char *buf, size_t bytes);

#endif
