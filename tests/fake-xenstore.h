/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store inside the test's own process, linked instead of libxenstore.
 *
 * What it keeps of the real one: the tree with values of any bytes, parents
 * made by writes, permissions inherited and checked (domain 0 may all),
 * transactions that see their own snapshot and fail with EAGAIN when another
 * changed anything meanwhile (the real one is finer), watches that fire once at
 * once and then for changes at, above (by removal) and below their path,
 * relative paths. What it lacks: quotas, special watches, a socket. One tree
 * for the process; handles may be used from several threads.
 */
#ifndef PV_FAKE_XENSTORE_H
#define PV_FAKE_XENSTORE_H

#include <xenstore.h>
#include <xenstore_lib.h>
#include <xen/io/xs_wire.h>

/* Forgets every node and failure; no handle may be open. */
void fake_xs_reset(void);
/* xs_open() is domain 0's. Close with xs_close(). */
struct xs_handle *fake_xs_open(unsigned int domid);

/* The next nr commits fail with EAGAIN. */
void fake_xs_refuse_commits(unsigned int nr);
/* New watches fail with err; 0: none. */
void fake_xs_refuse_watches(int err);
/* The nth request from now (1: the next) fails with err; 0: none. */
void fake_xs_fail_nth(unsigned int nth, int err);
/* When path has been read nth times from now, it becomes value, unheard. */
void fake_xs_change_after(const char *path, unsigned int nth, const char *value);
/* Requests so far, to learn how many a function makes. */
unsigned int fake_xs_requests(void);
/* Transactions that were started and not ended. */
unsigned int fake_xs_open_transactions(void);

/* Shorthands on domain 0's behalf. The value is valid until the next call. */
void fake_xs_put(const char *path, const char *value);
/* Its event does not come: who was not listening then. */
void fake_xs_put_unheard(const char *path, const char *value);
void fake_xs_put_bytes(const char *path, const void *value, unsigned int len);
const char *fake_xs_get(const char *path);	/* NULL: missing */
/* "n0r3": as xenstore-ls -p shows it. */
const char *fake_xs_perms(const char *path);
unsigned int fake_xs_count(void);		/* nodes, the root excluded */

#endif
