/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all devices here did between two looks at their figures.
 *
 * Hides: where devices are found (the run directories), how they are told from others that
 * came after them under the same name, whose CPU time is whose. Must not know: output.
 * Disturbs no worker, and asks XenStore for a domain's name once, if there is a store that
 * answers.
 * One thread.
 */
#ifndef PV_PARAVANE_SAMPLE_H
#define PV_PARAVANE_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include "paravane-figures.h"

union sample_figures {
	struct blk_figures disk;
	struct vif_figures nic;
};

struct sample {
	char kind[16], domain[64], device[32];	/* domain: its number when it has no name */
	char store[256];		/* a disk's image, an interface's bridge */
	uint32_t domid, devid, pid;
	uint64_t restarts;
	bool is_nic;
	bool has_server, server_away;	/* of a disk's image */
	/* Since it was connected, and between the last two looks, if it was there at both. */
	union sample_figures all, since;
	bool has_since;
	double seconds;			/* between them */
	double cpu;			/* of its worker, 1: a whole one; a bridge's is its vifs' */
	uint64_t cpu_ns;		/* since the worker began */
	/* The sampler's. */
	uint64_t taken_ns;
	bool seen, named;
};

struct sampler;

/* -ENOMEM. */
int sampler_open(struct sampler **out);
void sampler_close(struct sampler *s);	/* accepts NULL */
/* Looks at all. -ENOMEM. */
int sampler_look(struct sampler *s);
uint32_t sampler_nr(const struct sampler *s);
/* By kind, domain, device; until the next look. */
const struct sample *sampler_get(const struct sampler *s, uint32_t index);

/* ---- what it means: paravane-rates.c ------------------------------------------------- */

/* Of one look to the next; of an interface, operations are frames. in: what it sends. */
struct rates {
	double operations_per_s, read_per_s, write_per_s;	/* nic: sent, received */
	double bytes_per_s, read_bytes_per_s, write_bytes_per_s;
	double p50_us, p99_us, p999_us, mean_us;
	double depth;			/* mean number of requests, or frames, on their way;
					   in_flight where none was answered */
	uint64_t in_flight;		/* at this moment */
	double grants_per_s;		/* pages mapped or copied */
	double cached_per_s;		/* pages that were mapped already */
	double notifications_per_s, wakeups_per_s;
	double notifications_per_operation;
	double drops_per_s, errors_per_s;
	double cpu;
};

void sample_rates(const struct sample *s, struct rates *out);
/* All latencies of a disk, or of an interface, in one. */
void sample_latency(const struct sample *s, const union sample_figures *of,
		    struct histogram *out);
/* What a switch dropped of an interface's frames, for whatever reason. */
uint64_t sample_drops(const struct vif_figures *f);

#endif
