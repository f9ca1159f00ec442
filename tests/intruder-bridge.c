/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bridge's worker with an intruder in it (intruder.h).
 */
#include "intruder.h"
#include "netback.h"

uint32_t __real_netback_pass(struct netback *nb, uint64_t now_us);
uint32_t __wrap_netback_pass(struct netback *nb, uint64_t now_us);

uint32_t __wrap_netback_pass(struct netback *nb, uint64_t now_us)
{
	static int once;

	if (!once++)
		intruder_run();
	return __real_netback_pass(nb, now_us);
}
