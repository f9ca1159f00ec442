/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two ends of a device agreed on, and what that means for its speed and for
 * its user, in words.
 *
 * Hides: the judgement. Must not know: XenStore, output. Pure: the same view
 * gives the same words.
 */
#ifndef PV_PARAVANE_MEANING_H
#define PV_PARAVANE_MEANING_H

#include "paravane-view.h"

#define MEANINGS_MAX 15

struct meaning {
	const char *topic;	/* one word, always the same for a program */
	char is[128];		/* what was agreed; what is offered, before that */
	char means[256];	/* for speed, or for the user; may be empty */
	char advice[256];	/* what would give more, where something would */
};

/*
 * Both ends have published: the agreement holds. Else only the back end's offer
 * is explained.
 */
bool view_is_agreed(const struct device_view *v);

/* The number of entries filled in; none when the back end has published nothing. */
unsigned disk_meanings(const struct disk_view *v, struct meaning out[MEANINGS_MAX]);
unsigned nic_meanings(const struct nic_view *v, struct meaning out[MEANINGS_MAX]);

/* The row about a worker's sandbox, for both; is stays empty when nothing is known. */
void sandbox_meaning(const struct device_view *v, struct meaning *m);

/* That about limits, as "paravane limit" names them; empty: there are none. */
void limits_meaning(const struct device_view *v, enum limit_device of, struct meaning *m);

/* Of a disk: most requests in flight, all queues together; most bytes of one request. */
uint32_t view_requests_max(const struct disk_view *v);
uint64_t view_request_bytes_max(const struct disk_view *v);

#endif
