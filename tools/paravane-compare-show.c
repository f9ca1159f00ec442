/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of a comparison in the terminal. See paravane-compare-show.h.
 */
#include <stdio.h>
#include <string.h>

#include "paravane-compare-show.h"
#include "util.h"

/* ---- columns ------------------------------------------------------------------------ */

static double ops(const struct compare_record *r)
{
	return r->ops_per_s;
}

static double mib(const struct compare_record *r)
{
	return compare_is_nic(r) ? NAN : compare_rate(r);
}

static double mbit(const struct compare_record *r)
{
	return compare_is_nic(r) ? compare_rate(r) : NAN;
}

static double mean(const struct compare_record *r)
{
	return r->latency_mean_ns / 1e3;
}

static double p99(const struct compare_record *r)
{
	return r->latency_p99_ns / 1e3;
}

static double copies(const struct compare_record *r)
{
	return r->bytes_copied_per_byte;
}

static double lost(const struct compare_record *r)
{
	return r->frames_sent > 0 ? 100 * r->frames_lost / r->frames_sent : NAN;
}

#define PER_OP(name, member, unit)					\
	static double name(const struct compare_record *r)		\
	{								\
		return compare_per_op(r, r->member) / (unit);		\
	}
PER_OP(exits, exits, 1)
PER_OP(ports, port_exits, 1)
PER_OP(mmios, mmio_exits, 1)
PER_OP(calls, call_exits, 1)
PER_OP(hypercalls, hypercalls, 1)
PER_OP(halts, halts, 1)
PER_OP(kicks, notifications_sent, 1)
PER_OP(irqs, interrupts, 1)
PER_OP(vcpu, vcpu_cpu_ns, 1e3)
PER_OP(dom0, dom0_cpu_ns, 1e3)
PER_OP(back, back_end_cpu_ns, 1e3)

const struct compare_column compare_columns[] = {
	{ "op/s", "operations (requests, frames) per second", 8, 0, ops },
	{ "MiB/s", "data moved per second", 7, 1, mib },
	{ "Mbit/s", "data moved per second", 8, 1, mbit },
	{ "mean us", "latency, the mean, microseconds", 8, 1, mean },
	{ "p99 us", "latency that 99 of 100 operations do not exceed, microseconds", 8, 1, p99 },
	{ "exits", "times the guest's CPU was left, per operation", 7, 2, exits },
	{ "port", "of these, port accesses that a program had to serve", 6, 1, ports },
	{ "mmio", "of these, accesses to a device's memory that a program had to serve", 5, 2, mmios },
	{ "call", "of these, hypercalls and notifications that a program had to serve", 5, 2, calls },
	{ "hcall", "hypercalls, per operation", 6, 2, hypercalls },
	{ "halt", "of the exits, those because the guest had nothing to do", 5, 2, halts },
	{ "kick", "notifications that the guest sent, per operation", 5, 2, kicks },
	{ "irq", "interrupts that the guest took, per operation", 5, 2, irqs },
	{ "copy", "bytes copied per byte moved", 5, 2, copies },
	{ "vcpu us", "CPU time on the guest's side, per operation: guest, hypervisor, and a "
		     "device model that runs inside the exit", 8, 2, vcpu },
	{ "dom0 us", "CPU time of dom0, per operation: back end, kernel, the other end of a "
		     "connection", 8, 2, dom0 },
	{ "back us", "CPU time of the thread or process that serves the device, per operation",
	  8, 2, back },
	{ "lost %", "of the frames that were sent, those that did not arrive", 6, 1, lost },
	{ 0 } };

int compare_digits(const struct compare_column *column, const struct compare_record *r)
{
	return column->digits + (column->digits == 2 && compare_is_nic(r));
}

bool compare_has_column(const struct compare_column *column,
			const struct compare_record *records, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (counted(column->value(&records[i])))
			return true;
	return false;
}

/* ---- in the terminal ------------------------------------------------------------------ */

/* C0, DEL, and C1 (in UTF-8 0xc2, then 0x80 to 0x9f). */
static bool is_control(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;

	return *t < 0x20 || *t == 0x7f || (*t == 0xc2 && t[1] >= 0x80 && t[1] <= 0x9f);
}

void compare_put_text(const char *text, int width)
{
	int n = 0;

	for (; *text; text++) {
		bool control = is_control(text);

		n += ((unsigned char)*text & 0xc0) != 0x80;
		text += control && (unsigned char)*text == 0xc2;
		putchar(control ? '?' : *text);
	}
	for (; n < width; n++)
		putchar(' ');
}

static int label_width(const struct comparison *c)
{
	size_t longest = 17;

	for (unsigned int i = 0; i < c->nr; i++)
		longest = MAX(longest, MIN(strlen(c->records[i].label), (size_t)40));
	return (int)longest;
}

/* The table begins with r and has nr records. */
static void show_heading(const struct compare_record *r, unsigned int nr, int width)
{
	putchar('\n');
	compare_put_text(r->table, 0);
	printf("\n%*s", width, "");
	for (const struct compare_column *col = compare_columns; col->heading; col++)
		if (compare_has_column(col, r, nr))
			printf(" %*s", col->width, col->heading);
	puts("  not equal");
}

static void show_row(const struct compare_record *r, const struct compare_record *table,
		     unsigned int nr, int width)
{
	compare_put_text(r->label, width);
	for (const struct compare_column *col = compare_columns; col->heading; col++) {
		double value = col->value(r);

		if (!compare_has_column(col, table, nr))
			continue;
		if (counted(value))
			printf(" %*.*f", col->width, compare_digits(col, r), value);
		else
			printf(" %*s", col->width, "-");
	}
	if (*r->not_equal)
		fputs("  ", stdout);
	compare_put_text(r->not_equal, 0);
	putchar('\n');
}

static void show_attention(const struct comparison *c)
{
	json_t *note;
	size_t i;

	if (c->guest_is_interpreted)
		printf("\nAttention: this machine's KVM interprets the guest, at %.0f ns an "
		       "instruction, where a CPU with\nvirtualization executes it. What is counted "
		       "is right; times and op/s are too bad for all models, and most\nfor those "
		       "whose driver has more instructions for an exit (Xen, virtio).\n",
		       c->guest_instruction_ns);
	json_array_foreach(c->notes, i, note) {
		fputs(i ? "" : "\n", stdout);
		compare_put_text(json_string_value(note), 0);
		putchar('\n');
	}
}

void compare_show_tables(const struct comparison *c)
{
	int width = label_width(c);
	unsigned int nr;

	for (unsigned int at = 0; at < c->nr; at += nr) {
		const struct compare_record *table = &c->records[at];

		nr = compare_table_rows(table, c->nr - at);
		show_heading(table, nr, width);
		for (unsigned int i = 0; i < nr; i++)
			show_row(&table[i], table, nr, width);
	}
	show_attention(c);
}
