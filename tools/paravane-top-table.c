/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane top's table (paravane-top.h).
 */
#include "paravane-top.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "util.h"

/* ---- numbers in few characters -------------------------------------------------------- */

static void put_number(double n, char *buf, size_t bytes)
{
	static const char units[] = { '\0', 'k', 'M', 'G', 'T' };
	size_t i = 0;

	for (; n >= 9999.5 && i + 1 < sizeof(units); i++)
		n /= 1000;
	if (i)
		snprintf(buf, bytes, n < 99.95 ? "%.1f%c" : "%.0f%c", n, units[i]);
	else
		snprintf(buf, bytes, n > 0 && n < 9.95 ? "%.1f" : "%.0f", n);
}

static void put_time(double us, char *buf, size_t bytes)
{
	if (us <= 0)
		snprintf(buf, bytes, "-");
	else if (us < 999.5)
		snprintf(buf, bytes, us < 9.95 ? "%.1fu" : "%.0fu", us);
	else if (us < 999500)
		snprintf(buf, bytes, us < 99950 ? "%.1fm" : "%.0fm", us / 1e3);
	else
		snprintf(buf, bytes, "%.1fs", us / 1e6);
}

static void put_mib(double n, char *buf, size_t bytes)
{
	snprintf(buf, bytes, n < 999.5 * 1048576 ? "%.1f" : "%.0f", n / 1048576);
}

static void put_ratio(double n, char *buf, size_t bytes)
{
	snprintf(buf, bytes, n < 99.5 ? "%.2f" : "%.0f", n);
}

static void put_depth(double n, char *buf, size_t bytes)
{
	snprintf(buf, bytes, n < 99.95 ? "%.1f" : "%.0f", n);
}

static void put_percent(double n, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%.0f", n * 100);
}

/* ---- columns -------------------------------------------------------------------------- */

static const struct column {
	const char *name, *title;
	uint32_t width;			/* with a space before it */
	size_t at;			/* in struct rates */
	void (*put)(double n, char *buf, size_t bytes);
} columns[] = {
	{ "name", "DEVICE", 0, 0, NULL },
	{ "iops", "OPS/s", 7, offsetof(struct rates, operations_per_s), put_number },
	{ "throughput", "MiB/s", 8, offsetof(struct rates, bytes_per_s), put_mib },
	{ "p50", "P50", 7, offsetof(struct rates, p50_us), put_time },
	{ "p99", "P99", 7, offsetof(struct rates, p99_us), put_time },
	{ "p999", "P99.9", 7, offsetof(struct rates, p999_us), put_time },
	{ "depth", "DEPTH", 6, offsetof(struct rates, depth), put_depth },
	{ "grants", "GRANT/s", 8, offsetof(struct rates, grants_per_s), put_number },
	{ "notify", "N/OP", 6, offsetof(struct rates, notifications_per_operation), put_ratio },
	{ "cpu", "CPU%", 5, offsetof(struct rates, cpu), put_percent },
};

uint32_t top_nr_columns(void)
{
	return ARRAY_LEN(columns);
}

const char *top_column_name(uint32_t column)
{
	return columns[column].name;
}

int top_column(const char *name)
{
	for (uint32_t i = 0; i < ARRAY_LEN(columns); i++)
		if (!strcmp(columns[i].name, name))
			return (int)i;
	return -1;
}

static double value(const struct top_row *row, uint32_t column)
{
	return *(const double *)((const char *)&row->rates + columns[column].at);
}

/* ---- rows ----------------------------------------------------------------------------- */

static bool is_wanted(const struct top_table *t, const struct sample *s)
{
	char text[400];

	if (t->kind != TOP_ALL && (t->kind == TOP_NICS) != s->is_nic)
		return false;
	snprintf(text, sizeof(text), "%s/%s %s", s->domain, s->device, s->store);
	return !t->filter[0] || strcasestr(text, t->filter);
}

/* Equal ones stay as the sampler has them, so that rows do not jump about. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct top_row *x = a, *y = b;
	const struct top_table *t = arg;
	double p = 0, q = 0;
	int order;

	if (t->sort) {
		p = value(x, t->sort);
		q = value(y, t->sort);
		order = (p < q) - (p > q);
	} else {
		order = strcasecmp(x->sample->domain, y->sample->domain);
	}
	if (!order) {
		order = strcmp(x->sample->kind, y->sample->kind);
		if (!order && x->sample->domid != y->sample->domid)
			order = x->sample->domid < y->sample->domid ? -1 : 1;
		if (!order)
			order = x->sample->devid < y->sample->devid ? -1 : 1;
		return order;
	}
	return t->ascending ? -order : order;
}

int top_look(struct top_table *t)
{
	int rc = sampler_look(t->sampler);
	uint32_t nr = sampler_nr(t->sampler);

	t->nr = 0;
	if (!rc && nr > t->max) {
		struct top_row *more = realloc(t->rows, nr * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->rows = more;
		t->max = nr;
	}
	for (uint32_t i = 0; !rc && i < nr; i++) {
		const struct sample *s = sampler_get(t->sampler, i);

		if (!is_wanted(t, s))
			continue;
		t->rows[t->nr].sample = s;
		sample_rates(s, &t->rows[t->nr++].rates);
	}
	if (t->nr)
		qsort_r(t->rows, t->nr, sizeof(*t->rows), compare, t);
	return rc;
}

void top_free(struct top_table *t)
{
	free(t->rows);
	sampler_close(t->sampler);
}

/* ---- lines ---------------------------------------------------------------------------- */

static uint32_t name_width(uint32_t width)
{
	for (uint32_t i = 1; i < ARRAY_LEN(columns); i++)
		width -= columns[i].width;
	return MIN(width, 40u);
}

/* Names come from guests' tool stacks: nothing that a terminal would take for a command. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (!isprint((unsigned char)*text))
			*text = '?';
}

void top_header_line(uint32_t width, char *buf, size_t bytes)
{
	size_t used = (size_t)snprintf(buf, bytes, "%-*s", (int)name_width(width),
				       columns[0].title);

	for (uint32_t i = 1; i < ARRAY_LEN(columns); i++)
		used += (size_t)snprintf(buf + used, bytes - used, "%*s", (int)columns[i].width,
					 columns[i].title);
}

/* A domain's name gives way to its device's, of which it may have many; "~": it has. */
static void put_name(const struct sample *s, uint32_t width, char *buf, size_t bytes)
{
	size_t device = strlen(s->device) + 1, domain = strlen(s->domain);
	size_t room = width > device + 1 ? width - device : 1;

	if (domain <= room)
		snprintf(buf, bytes, "%s/%s", s->domain, s->device);
	else
		snprintf(buf, bytes, "%.*s~/%s", (int)room - 1, s->domain, s->device);
	make_printable(buf);
}

void top_row_line(const struct top_row *row, uint32_t width, char *buf, size_t bytes)
{
	const struct sample *s = row->sample;
	char name[200], cell[32];
	size_t used;

	put_name(s, name_width(width), name, sizeof(name));
	used = (size_t)snprintf(buf, bytes, "%-*.*s", (int)name_width(width),
				(int)name_width(width), name);
	for (uint32_t i = 1; i < ARRAY_LEN(columns); i++) {
		if (s->has_since)
			columns[i].put(value(row, i), cell, sizeof(cell));
		else
			strcpy(cell, "-");
		used += (size_t)snprintf(buf + used, bytes - used, "%*s", (int)columns[i].width,
					 cell);
	}
}

void top_sum_line(const struct top_table *t, char *buf, size_t bytes)
{
	char operations[16], rate[16];
	double ops = 0, all_bytes = 0, errors = 0;
	uint32_t disks = 0;

	for (uint32_t i = 0; i < t->nr; i++) {
		ops += t->rows[i].rates.operations_per_s;
		all_bytes += t->rows[i].rates.bytes_per_s;
		errors += t->rows[i].rates.errors_per_s + t->rows[i].rates.drops_per_s;
		disks += !t->rows[i].sample->is_nic;
	}
	put_number(ops, operations, sizeof(operations));
	put_mib(all_bytes, rate, sizeof(rate));
	snprintf(buf, bytes, "%u %s, %u %s: %s ops/s, %s MiB/s, %.0f errors and drops/s", disks,
		 disks == 1 ? "disk" : "disks", t->nr - disks,
		 t->nr - disks == 1 ? "interface" : "interfaces", operations, rate, errors);
}
