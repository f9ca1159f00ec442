/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's limits as the store has them (limit.h): read, complained about once,
 * acknowledged.
 *
 * Hides: nodes. Must not know: what keeps a device to them. The loop's thread.
 */
#ifndef PV_DEVICE_LIMIT_H
#define PV_DEVICE_LIMIT_H

#include "device.h"
#include "limit.h"

struct device_limit {
	enum limit_device of;
	struct limit limit;		/* the last that was good */
	char why[160];			/* what is wrong with the node now; "": nothing */
	bool told;			/* somebody may have seen limit-in-force */
};

/*
 * Reads the node. True: limit is another. With a node that is bad, or a store that does not
 * answer, the limit stays; complain: says so, once for each text.
 */
bool device_limit_look(struct device_limit *l, const struct device_env *env, bool complain);
/* With a node that is bad: what an earlier daemon has said that it keeps to. */
void device_limit_recall(struct device_limit *l, const struct device_env *env);
/* It is kept to from now on. resumed: an earlier daemon may have said something else. */
void device_limit_tell(struct device_limit *l, const struct device_env *env, bool resumed);

#endif
