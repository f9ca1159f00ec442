/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains' names, for who can do without: a store that does not answer holds nobody up.
 *
 * Hides: libxenstore's calls, which have no deadline, and the thread that waits in them.
 * Must not know: what the names are for. One thread asks.
 */
#ifndef PV_PARAVANE_NAMES_H
#define PV_PARAVANE_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names;

/* -ENOMEM. Nothing is asked yet, and there need not be a store. */
int names_open(struct names **out);
void names_close(struct names *n);	/* accepts NULL */
/* From here on all that is asked has two seconds, together. */
void names_begin(struct names *n);
/* 0; -ENOENT: it has none; else none is known now, and may be another time. */
int names_get(struct names *n, uint32_t domid, char *buf, size_t bytes);

#endif
