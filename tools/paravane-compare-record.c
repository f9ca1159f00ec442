/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What paravane compare has measured, made into the JSON of paravane-compare-data.h.
 *
 * Hides: which counter becomes which member. Must not know: how it was measured, tables.
 */
#include <stdio.h>
#include <string.h>

#include "paravane-compare.h"
#include "paravane-compare-data.h"
#include "util.h"

/* More than this for an instruction: KVM does not let the CPU execute it. */
#define INTERPRETED_PS 20000u

static bool is_xen(const struct compare_row *row)
{
	return !strncmp(row->model, "xen", 3);
}

/* A round trip moves its frame twice. */
static json_t *copies_per_byte(const struct compare_row *row, const struct compare_result *r)
{
	double op_bytes = row->nic ? (double)r->unit_bytes : row->block_bytes;
	double moved = (double)r->ops * op_bytes * (strcmp(row->op, "ping") ? 1 : 2);
	double copied = (double)r->copied_bytes + (double)r->guest_copied_bytes;

	if (!r->ops || r->copied_bytes == COMPARE_UNKNOWN ||
	    r->guest_copied_bytes == COMPARE_UNKNOWN)
		return json_null();
	return json_real(copied / moved);
}

/* null, too, for what is not UTF-8. */
static void set_text(json_t *o, const char *key, const char *text)
{
	json_t *value = text && *text ? json_string(text) : NULL;

	json_object_set_new(o, key, value ? value : json_null());
}

static void set_count(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, n == COMPARE_UNKNOWN ? json_null() :
						       json_integer((json_int_t)n));
}

static void set_bool(json_t *o, const char *key, bool known, bool value)
{
	json_object_set_new(o, key, known ? json_boolean(value) : json_null());
}

/* frame_bytes: what an operation stands for; of a stream, many travel in one frame. */
static void set_nic(json_t *o, const struct compare_result *r)
{
	set_count(o, "frame_bytes", r->unit_bytes);
	set_count(o, "largest_frame_bytes", r->frame_bytes);
	set_count(o, "frames_sent", r->sent);
	set_count(o, "frames_lost", r->lost);
	set_bool(o, "offloads", true, r->offloads);
}

static json_t *make_record(const struct compare_row *row, const struct compare_result *r)
{
	bool xen = is_xen(row);
	json_t *o = json_object();

	set_text(o, "table", row->table);
	set_text(o, "label", row->label);
	set_text(o, "device", row->nic ? "nic" : "disk");
	set_text(o, "model", row->model);
	set_text(o, "operation", row->op);
	set_text(o, "changed", row->flags[0]);
	set_text(o, "not_equal", row->unequal);
	set_text(o, "guest", NULL);
	set_text(o, "back_end", !xen ? NULL : row->nic ? "paravane-netback" : "paravane-blkback");
	if (row->nic)
		set_nic(o, r);
	else
		set_count(o, "block_bytes", row->block_bytes);
	set_count(o, "depth", r->depth);
	json_object_set_new(o, "ops_per_s",
			    json_real((double)r->ops * 1e9 / (double)r->wall_ns));
	json_object_set_new(o, "bytes_copied_per_byte", copies_per_byte(row, r));
	set_count(o, "ops", r->ops);
	set_count(o, "wall_ns", r->wall_ns);
	if (r->latency_mean_ns) {	/* of a network only round trips have it */
		set_count(o, "latency_mean_ns", r->latency_mean_ns);
		set_count(o, "latency_p50_ns", r->latency_p50_ns);
		set_count(o, "latency_p99_ns", r->latency_p99_ns);
	}
	set_count(o, "exits", r->exits);
	set_count(o, "port_exits", r->port_exits);
	set_count(o, "mmio_exits", r->mmio_exits);
	set_count(o, "call_exits", r->call_exits + r->kick_exits);
	set_text(o, "hypercalls", NULL);
	set_count(o, "halts", r->halts);
	set_count(o, "notifications_sent", r->kicks);
	set_count(o, "interrupts", r->interrupts);
	set_count(o, "vcpu_cpu_ns", r->vcpu_ns);
	set_count(o, "vcpu_guest_cpu_ns", r->vcpu_guest_ns);
	set_count(o, "back_end_cpu_ns", r->back_ns);
	set_count(o, "max_segments", r->segments);
	set_bool(o, "persistent_grants", xen, r->persistent);
	set_bool(o, "indirect_requests", xen && !row->nic, r->indirect);
	return o;
}

static uint64_t instruction_ps(const struct compare_result *results, unsigned int nr)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < nr; i++)
		best = MIN(best, results[i].instruction_ps);
	return best;
}

json_t *compare_begin(const char *where, const char *clock, const char *command)
{
	json_t *json = json_object();

	set_text(json, "version", PACKAGE_VERSION);
	set_text(json, "where", where);
	set_text(json, "clock", clock);
	json_object_set_new(json, "started", compare_started());
	set_text(json, "command", command);
	json_object_set_new(json, "machine", compare_this_machine());
	json_object_set_new(json, "versions", compare_these_versions());
	return json;
}

void compare_end(json_t *json, const struct compare_row *rows,
		 const struct compare_result *results, unsigned int nr, uint32_t size_mib,
		 uint32_t run_ms, uint32_t rounds)
{
	json_t *array = json_array();
	uint64_t ps = instruction_ps(results, nr);

	set_count(json, "image_mib", size_mib);
	set_count(json, "run_ms", run_ms);
	set_count(json, "rounds", rounds);
	json_object_set_new(json, "guest_instruction_ns", json_real((double)ps / 1000));
	set_bool(json, "guest_is_interpreted", true, ps > INTERPRETED_PS);
	for (unsigned int i = 0; i < nr; i++)
		json_array_append_new(array, make_record(&rows[i], &results[i]));
	json_object_set_new(json, "results", array);
}
