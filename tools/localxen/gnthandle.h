/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnthandle.h - the one struct behind xengnttab_handle and xengntshr_handle,
 * which libxengnttab declares as the same type.
 */
#ifndef LX_GNTHANDLE_H
#define LX_GNTHANDLE_H

#include "lx.h"

struct xengntdev_handle {
	int fd;			/* stands for the device; nothing can be read */
	uint32_t incarnation;
	struct ranges *ranges;	/* gnttab.c: what is mapped */
	struct regions *regions; /* gntshr.c: what is shared */
};

/* NULL with errno. */
struct xengntdev_handle *lx_gnthandle_open(void);
int lx_gnthandle_close(struct xengntdev_handle *h);

#endif
