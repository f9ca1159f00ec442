/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cases of hostile-requests.c, for hostile-blk.c, which has the others.
 * Each opens the device and closes it.
 */
#ifndef PV_HOSTILE_BLK_H
#define PV_HOSTILE_BLK_H

#include "hostile-dev.h"

void hostile_requests(struct hostile *h);
void hostile_read_only(struct hostile *h);
void hostile_flood(struct hostile *h);	/* needs the log */

#endif
