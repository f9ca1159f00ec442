/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A comparison as data: what was measured, on what, by which command. JSON is its one
 * form: what has just been measured is made into JSON and read from there, so that tables
 * and reports of former runs, and of other programs' measurements, are the same thing.
 * docs/compare.md, "The JSON", describes it.
 *
 * Hides: the names of the JSON's members, what is refused in them. Must not know: who
 * measured, tables, pages. One thread.
 */
#ifndef PV_PARAVANE_COMPARE_DATA_H
#define PV_PARAVANE_COMPARE_DATA_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>

/* A number that was not counted is NAN, a text that is not there "". */
static inline bool counted(double n)
{
	return !isnan(n);
}

/* Totals of the measurement, and of the whole run where the name does not say otherwise. */
struct compare_record {
	const char *table;		/* its heading; the same text: the same table */
	const char *label, *device, *model, *operation;
	const char *changed;		/* the one thing that differs from the table's first */
	const char *not_equal;		/* what differs besides, and could not be avoided */
	const char *guest, *back_end;
	const char *command;		/* that made the load */
	double block_bytes, frame_bytes, depth, ops_per_s, bytes_copied_per_byte, ops, wall_ns;
	double latency_mean_ns, latency_p50_ns, latency_p99_ns;
	double exits, port_exits, mmio_exits, call_exits, hypercalls, halts;
	double notifications_sent, interrupts;
	double frames_sent, frames_lost;	/* of the whole run, warming up included */
	double vcpu_cpu_ns, vcpu_guest_cpu_ns, dom0_cpu_ns, back_end_cpu_ns;
};

struct comparison {
	json_t *json;			/* owns all texts */
	const char *name;		/* of the file, or "this run" */
	const char *where, *clock, *started, *command;
	const char *cpu, *kernel, *hypervisor, *governor;
	double cpus, memory_mib, load_average;
	double image_mib, run_ms, rounds, guest_instruction_ns;
	bool guest_is_interpreted;
	json_t *versions;		/* text by name; NULL: none */
	json_t *notes, *commands;	/* texts; NULL: none. What was run for all of it */
	struct compare_record *records;
	unsigned int nr;
};

/*
 * Takes json over, also when it fails. Complains, naming the file and the member, and
 * returns a STATUS_.
 */
int comparison_open(json_t *json, const char *name, struct comparison **out);
int comparison_open_file(const char *path, struct comparison **out);
void comparison_close(struct comparison *c);

/* Per operation; NAN where not counted. */
double compare_per_op(const struct compare_record *r, double total);
/* Of disks MiB/s, of network interfaces Mbit/s; NAN where the size is not known. */
double compare_rate(const struct compare_record *r);
bool compare_is_nic(const struct compare_record *r);
/* How many of the records, from the first on, belong to the first one's table. */
unsigned int compare_table_rows(const struct compare_record *records, unsigned int nr);

/* The members "machine" and "versions" of what runs this, and the time, for a new one. */
json_t *compare_this_machine(void);
json_t *compare_these_versions(void);
json_t *compare_started(void);

#endif
