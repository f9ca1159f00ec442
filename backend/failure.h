/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why something ended, in the words that people get to read.
 *
 * Hides: nothing. A message's part (worker.h, bridge.h), so of fixed layout.
 */
#ifndef PV_FAILURE_H
#define PV_FAILURE_H

#include <stdint.h>

struct failure {
	int32_t err;			/* positive errno */
	uint32_t by_peer;		/* the front end's doing: whoever tries again fares no better */
	char reason[200];
};

#endif
