/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between the parts of paravane compare: a measurement, its counters, how it is run,
 * how it is shown.
 *
 * Hides: in paravane-compare-rows.c, what can be measured; in paravane-compare-measure.c,
 * what of that is, and how often; in paravane-compare-run.c, processes,
 * namespaces and where programs are; in paravane-compare-record.c, which counter is which
 * member of the JSON. Must not know: virtual machines, how results are shown.
 */
#ifndef PV_PARAVANE_COMPARE_H
#define PV_PARAVANE_COMPARE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define COMPARE_FLAGS 2

struct compare_row {
	const char *table;		/* its heading; the same text: the same table */
	const char *label;
	const char *model, *op;		/* words of paravane-compare-vm */
	const char *flags[COMPARE_FLAGS];	/* NULL: none more */
	uint32_t block_bytes, depth;	/* of a NIC: a frame's; units that who sends is ahead */
	const char *unequal;		/* what differs from the others in the table, or "" */
	bool nic;
};

#define COMPARE_UNKNOWN UINT64_MAX	/* a counter that nobody kept */

/* What a row's run printed; what it did not is COMPARE_UNKNOWN. */
struct compare_result {
	bool ok;
	char why[200];			/* it is not, for people; "" with !ok: not made */
	uint64_t ops, depth, wall_ns, latency_mean_ns, latency_p50_ns, latency_p99_ns;
	uint64_t exits, port_exits, mmio_exits, call_exits, kick_exits, halts;
	uint64_t kicks, interrupts, copied_bytes, guest_copied_bytes;
	uint64_t vcpu_ns, vcpu_guest_ns, back_ns, segments, persistent, indirect;
	uint64_t tsc_khz, instruction_ps;
	/*
	 * Of a NIC; ops are units: frames that arrived, or segments of a stream of unit_bytes.
	 * sent and lost are of the whole run, what came before the measurement included.
	 */
	uint64_t frame_bytes, unit_bytes, offloads, sent, lost;
};

const struct compare_row *compare_rows(unsigned int *nr);

struct compare_world;

/* A program beside this one, in_build ("tools/") of it, or installed there. */
int compare_find_program(const char *name, const char *in_build, const char *installed,
			 char out[PATH_MAX]);

/* All of these complain themselves and return a STATUS_. */
/*
 * Becomes this program in a local Xen of its own, and a network namespace of its own if it
 * can be made; --inside=WHY says why not. Returns only when that fails.
 */
int compare_enter_local_xen(int argc, char **argv);
/* Whether NICs can be measured here; else why is one line, which begins with what failed. */
bool compare_has_network(char why[static 128]);
/* The image, the guest, the back ends asked for; ends with local Xen. */
int compare_world_open(uint32_t size_mib, bool disk, bool nic, struct compare_world **out);
void compare_world_close(struct compare_world *w);
/*
 * Has shown what its programs said; out->ok or out->why. STATUS_SKIPPED: this machine has
 * not what the monitor needs; STATUS_NOT_BOUND: it does not let threads be bound to CPUs.
 */
int compare_run(struct compare_world *w, const struct compare_row *row, uint32_t run_ms,
		struct compare_result *out);
#define STATUS_SKIPPED 77
#define STATUS_NOT_BOUND 78

#define COMPARE_ROUNDS_MAX 15u

struct compare_wish {
	const char *only;		/* NULL: all */
	bool all, quick, disk, nic;		/* disk, nic: only these; neither: both */
	uint32_t run_ms, size_mib, rounds;
	const char *no_network;		/* why network cards cannot be measured, or NULL */
	int nr_cpus;
};

/*
 * Measures: json, of compare_begin(), gets "results", if there are any, and "notes" about
 * what is not among them. Complains of what failed, and returns a STATUS_ then, also
 * where there are results.
 */
int compare_measure(const struct compare_wish *wish, json_t *json);

/*
 * The JSON of a comparison (paravane-compare-data.h): what is known before the first
 * measurement, and its results.
 */
json_t *compare_begin(const char *where, const char *clock, const char *command);
void compare_end(json_t *json, const struct compare_row *rows,
		 const struct compare_result *results, unsigned int nr, uint32_t size_mib,
		 uint32_t run_ms, uint32_t rounds);

#endif
