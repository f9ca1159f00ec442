/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What holds a device back: a judgement of what was measured of it, in words.
 *
 * Hides: which figures mean what. Must not know: where they come from, output. The
 * thresholds are rules of thumb: a finding names the figure, so that who reads it can judge.
 */
#ifndef PV_PARAVANE_FINDINGS_H
#define PV_PARAVANE_FINDINGS_H

#include "paravane-sample.h"

#define FINDINGS_MAX 16u

struct finding {
	const char *topic, *advice;
	char is[320];
};

struct findings {
	struct finding found[FINDINGS_MAX];
	uint32_t nr;
};

struct measured {
	const struct sample *sample;	/* has_since */
	const struct rates *rates;
	double busiest_cpu;		/* of the worker's threads, 1: a whole one; below 0: not known */
};

/* What both ends of a disk agreed on, and what is known of its image. */
struct disk_means {
	uint32_t slots, queues;
	const char *server;		/* as in struct runinfo; empty: there is none */
};

void findings_of_disk(const struct measured *m, const struct disk_means *means,
		      struct findings *out);
/* large: the guest takes packets that are left uncut. */
void findings_of_nic(const struct measured *m, bool large, struct findings *out);

#endif
