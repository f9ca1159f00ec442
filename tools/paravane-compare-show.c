/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The results of paravane compare, for people and for programs. See
 * paravane-compare.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "paravane-compare.h"
#include "paravane-json.h"
#include "util.h"

/* More than this for an instruction: KVM does not let the CPU execute it. */
#define INTERPRETED_PS 20000u

static double per_op(const struct compare_result *r, uint64_t n)
{
	return r->ops ? (double)n / (double)r->ops : 0;
}

static double per_second(const struct compare_result *r, uint64_t n)
{
	return (double)n * 1e9 / (double)r->wall_ns;
}

/* What an operation moves; a round trip does so twice. */
static double op_bytes(const struct compare_row *row, const struct compare_result *r)
{
	return row->nic ? (double)r->unit_bytes : row->block_bytes;
}

/*
 * Xen's back ends read and write the guest's pages, once for a disk; for a network the
 * frame is in the switch's memory, on its way to or from the TAP device, too. The others
 * count it themselves.
 */
static double copies_per_byte(const struct compare_row *row, const struct compare_result *r)
{
	double moved = (double)r->ops * op_bytes(row, r) * (strcmp(row->op, "ping") ? 1 : 2);
	double copied = (double)r->copied_bytes + (double)r->guest_copied_bytes;

	if (!r->ops)
		return 0;
	return copied / moved + (strncmp(row->model, "xen", 3) ? 0 : row->nic ? 2 : 1);
}

static void show_nic_heading(const char *table)
{
	printf("\n%s\n", table);
	printf("%-17s %8s %7s %8s %8s %7s %6s %5s %5s %5s %5s %5s %5s %8s %8s %6s  %s\n", "",
	       "frames/s", "Mbit/s", "mean us", "p99 us", "exits", "port", "mmio", "call", "halt",
	       "kick", "irq", "copy", "vcpu us", "back us", "lost %", "not equal");
}

/* Only a round trip has a time that one program sees. */
static const char *latency(char text[static 16], uint64_t ns)
{
	snprintf(text, 16, ns ? "%.1f" : "-", (double)ns / 1e3);
	return text;
}

static void show_nic_row(const struct compare_row *row, const struct compare_result *r)
{
	char mean[16], p99[16];

	/* One more digit than disks have: many frames travel under one notification. */
	printf("%-17s %8.0f %7.1f %8s %8s %7.3f %6.2f %5.3f %5.3f %5.3f %5.3f %5.3f %5.2f %8.3f %8.3f %6.2f",
	       row->label, per_second(r, r->ops),
	       per_second(r, r->ops) * (double)r->unit_bytes * 8 / 1e6,
	       latency(mean, r->latency_mean_ns), latency(p99, r->latency_p99_ns),
	       per_op(r, r->exits), per_op(r, r->port_exits), per_op(r, r->mmio_exits),
	       per_op(r, r->call_exits + r->kick_exits), per_op(r, r->halts),
	       per_op(r, r->kicks), per_op(r, r->interrupts), copies_per_byte(row, r),
	       per_op(r, r->vcpu_ns) / 1e3, per_op(r, r->back_ns) / 1e3,
	       r->sent ? 100 * (double)r->lost / (double)r->sent : 0);
	printf("%s%s\n", *row->unequal ? "  " : "", row->unequal);
}

static void show_heading(const char *table)
{
	printf("\n%s\n", table);
	printf("%-17s %8s %7s %8s %8s %7s %6s %5s %5s %5s %5s %5s %5s %8s %8s  %s\n", "", "op/s",
	       "MiB/s", "mean us", "p99 us", "exits", "port", "mmio", "call", "halt", "kick",
	       "irq", "copy", "vcpu us", "back us", "not equal");
}

static void show_row(const struct compare_row *row, const struct compare_result *r)
{
	printf("%-17s %8.0f %7.1f %8.1f %8.1f %7.2f %6.1f %5.2f %5.2f %5.2f %5.2f %5.2f %5.2f %8.2f %8.2f",
	       row->label, per_second(r, r->ops),
	       per_second(r, r->ops * row->block_bytes) / 1048576,
	       (double)r->latency_mean_ns / 1e3, (double)r->latency_p99_ns / 1e3,
	       per_op(r, r->exits), per_op(r, r->port_exits), per_op(r, r->mmio_exits),
	       per_op(r, r->call_exits + r->kick_exits), per_op(r, r->halts),
	       per_op(r, r->kicks), per_op(r, r->interrupts), copies_per_byte(row, r),
	       per_op(r, r->vcpu_ns) / 1e3, per_op(r, r->back_ns) / 1e3);
	printf("%s%s\n", *row->unequal ? "  " : "", row->unequal);
}

static uint64_t instruction_ps(const struct compare_result *results, unsigned int nr)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < nr; i++)
		best = MIN(best, results[i].instruction_ps);
	return best;
}

void compare_show_table(const struct compare_row *rows, const struct compare_result *results,
			unsigned int nr)
{
	uint64_t ps = instruction_ps(results, nr);

	for (unsigned int i = 0; i < nr; i++) {
		if (!i || strcmp(rows[i].table, rows[i - 1].table))
			(rows[i].nic ? show_nic_heading : show_heading)(rows[i].table);
		(rows[i].nic ? show_nic_row : show_row)(&rows[i], &results[i]);
	}
	if (ps > INTERPRETED_PS)
		printf("\nAttention: this machine's KVM interprets the guest, at %.0f ns an "
		       "instruction, where a CPU with\nvirtualization executes it. What is counted "
		       "is right; times and op/s are too bad for all models, and most\nfor those "
		       "whose driver has more instructions for an exit (Xen, virtio).\n",
		       (double)ps / 1000);
}

/* frame_bytes: what an operation stands for; of a stream, many travel in one frame. */
static void show_nic_result(const struct compare_result *r)
{
	json_number("frame_bytes", r->unit_bytes);
	json_number("largest_frame_bytes", r->frame_bytes);
	json_number("frames_sent", r->sent);
	json_number("frames_lost", r->lost);
	json_bool("offloads", r->offloads);
}

static void show_result(const struct compare_row *row, const struct compare_result *r)
{
	fputs("    {\"table\": ", stdout);
	json_string(row->table);
	json_text("label", row->label);
	json_text("device", row->nic ? "nic" : "disk");
	json_text("model", row->model);
	json_text("operation", row->op);
	json_text("changed", row->flags[0]);
	json_text("not_equal", row->unequal);
	if (row->nic)
		show_nic_result(r);
	else
		json_number("block_bytes", row->block_bytes);
	json_number("depth", r->depth);
	printf(",\n    \"ops_per_s\": %.1f, \"bytes_copied_per_byte\": %.3f",
	       per_second(r, r->ops), copies_per_byte(row, r));
	json_number("ops", r->ops);
	json_number("wall_ns", r->wall_ns);
	json_number("latency_mean_ns", r->latency_mean_ns);
	json_number("latency_p50_ns", r->latency_p50_ns);
	json_number("latency_p99_ns", r->latency_p99_ns);
	json_number("exits", r->exits);
	json_number("port_exits", r->port_exits);
	json_number("mmio_exits", r->mmio_exits);
	json_number("call_exits", r->call_exits + r->kick_exits);
	json_number("halts", r->halts);
	json_number("notifications_sent", r->kicks);
	json_number("interrupts", r->interrupts);
	json_number("vcpu_cpu_ns", r->vcpu_ns);
	json_number("vcpu_guest_cpu_ns", r->vcpu_guest_ns);
	json_number("back_end_cpu_ns", r->back_ns);
	json_number("max_segments", r->segments);
	json_bool("persistent_grants", r->persistent);
	json_bool("indirect_requests", r->indirect);
	fputs("}", stdout);
}

void compare_show_json(const struct compare_row *rows, const struct compare_result *results,
		       unsigned int nr, uint32_t size_mib, uint32_t run_ms, uint32_t rounds)
{
	struct utsname u = { 0 };
	uint64_t ps = instruction_ps(results, nr);

	uname(&u);
	printf("{\n  \"version\": \"%s\",\n  \"kernel\": ", PACKAGE_VERSION);
	json_string(u.release);
	printf(",\n  \"image_mib\": %u,\n  \"run_ms\": %u,\n  \"rounds\": %u,\n  \"guest_instruction_ns\": %.3f,\n"
	       "  \"guest_is_interpreted\": %s,\n  \"results\": [\n", size_mib, run_ms, rounds,
	       (double)ps / 1000, ps > INTERPRETED_PS ? "true" : "false");
	for (unsigned int i = 0; i < nr; i++) {
		show_result(&rows[i], &results[i]);
		puts(i + 1 < nr ? "," : "");
	}
	puts("  ]\n}");
}
