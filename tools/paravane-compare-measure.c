/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which measurements are made of those that there are, in which order, and what becomes of
 * those that fail: they are named, and the others are kept.
 *
 * Hides: rounds and medians. Must not know: how one is made or shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane-compare.h"
#include "paravane.h"
#include "util.h"

#define ROWS_MAX 200u
#define KIB 1024u

struct tried {
	const struct compare_row *row;
	unsigned int nr;		/* of results */
	int status;			/* not STATUS_OK: not tried again */
	struct compare_result result[COMPARE_ROUNDS_MAX];
	struct compare_result failed;
};

/* ---- which ------------------------------------------------------------------------- */

static bool wanted(const struct compare_row *row, const struct compare_wish *o)
{
	if (row->nic ? o->disk : o->nic)
		return false;
	if (o->quick && (row->block_bytes > 4 * KIB || strstr(row->table, "at a time")))
		return false;
	return !o->only || strcasestr(row->model, o->only) || strcasestr(row->table, o->only) ||
	       strcasestr(row->label, o->only);
}

static bool needs_two_cpus(const struct compare_row *row)
{
	return row->flags[0] && !strcmp(row->flags[0], "own-cpu");
}

/* NULL: it can be made here. */
static const char *hindrance(const struct compare_row *row, const struct compare_wish *o)
{
	if (row->nic && o->no_network)
		return o->no_network;
	return needs_two_cpus(row) && o->nr_cpus < 2 ? "there is one CPU" : NULL;
}

/*
 * By name, so that nobody takes what is not there for what does not exist; without the
 * network a table's is enough.
 */
static void note_left_out(json_t *notes, const struct compare_row *row,
			  const struct compare_wish *o, const char *why)
{
	const char *last = json_string_value(json_array_get(notes, json_array_size(notes) - 1));
	json_t *note = why == o->no_network ?
		       json_sprintf("Left out, because %s: %s", why, row->table) :
		       json_sprintf("Left out, because %s: %s, %s", why, row->table, row->label);

	if (last && note && !strcmp(last, json_string_value(note)))
		json_decref(note);
	else
		json_array_append_new(notes, note);
}

/* What is wanted and can be measured here; *why: what hinders another, or NULL. */
static unsigned int select_rows(const struct compare_wish *o, struct tried *rows, json_t *notes,
				const char **why)
{
	unsigned int nr_all, nr = 0;
	const struct compare_row *all = compare_rows(&nr_all);

	*why = NULL;
	for (; nr_all && nr < ROWS_MAX; nr_all--, all++) {
		const char *hinders = hindrance(all, o);

		if (!wanted(all, o))
			continue;
		if (!hinders) {
			rows[nr++].row = all;
			continue;
		}
		note_left_out(notes, all, o, hinders);
		*why = hinders;
	}
	return nr;
}

static int check_rows(const struct compare_wish *o, unsigned int nr, const char *why)
{
	if (nr)
		return STATUS_OK;
	if (why && why == o->no_network)
		return complain(STATUS_SKIPPED, "%s, which network cards need: run as root, or where "
				"user namespaces are allowed", why);
	if (why)
		return complain(STATUS_SKIPPED, "%s, and what is wanted needs two", why);
	return complain(STATUS_USAGE, "no measurement has \"%s\" in it; "
			"expected a model such as xen, virtio, ata-dma, rtl8139 or part of a heading",
			o->only ? o->only : "");
}

/* ---- measuring ------------------------------------------------------------------------ */

static void try_row(const struct compare_wish *o, struct compare_world *w, struct tried *t)
{
	struct compare_result *r = &t->result[t->nr];

	t->status = compare_run(w, t->row, o->run_ms, r);
	if (!t->status) {
		t->nr++;
		return;
	}
	t->failed = *r;
	complain(t->status, "%s, %s: %s", t->row->table, t->row->label, r->why);
}

static void try_all(const struct compare_wish *o, struct compare_world *w, struct tried *rows,
		    unsigned int nr)
{
	unsigned int at = 0;

	for (uint32_t round = 0; round < o->rounds; round++) {
		for (unsigned int i = 0; i < nr; i++) {
			fprintf(stderr, "%u of %u: %s, %s\n", ++at, nr * o->rounds,
				rows[i].row->table, rows[i].row->label);
			if (!rows[i].status)
				try_row(o, w, &rows[i]);
		}
	}
}

static int by_rate(const void *a, const void *b)
{
	const struct compare_result *x = a, *y = b;
	double one = (double)x->ops / (double)x->wall_ns, other = (double)y->ops / (double)y->wall_ns;

	return (one > other) - (one < other);
}

static void note_failed(json_t *notes, const struct tried *t, uint32_t rounds)
{
	const char *name = t->status == STATUS_NOT_BOUND ? "Left out" : "Failed";

	if (t->nr)
		json_array_append_new(notes, json_sprintf("%s in round %u of %u, and by the rounds "
			"before alone: %s, %s: %s", name, t->nr + 1, rounds, t->row->table,
			t->row->label, t->failed.why));
	else
		json_array_append_new(notes, json_sprintf("%s: %s, %s: %s", name, t->row->table,
							  t->row->label, t->failed.why));
}

/* The medians become json's results. The status of the first that failed, or STATUS_OK. */
static int take_results(const struct compare_wish *o, struct tried *tried, unsigned int nr,
			json_t *json, json_t *notes)
{
	static struct compare_result medians[ROWS_MAX];
	static struct compare_row rows[ROWS_MAX];
	unsigned int nr_done = 0;
	int status = STATUS_OK;

	for (unsigned int i = 0; i < nr; i++) {
		struct tried *t = &tried[i];

		if (t->status)
			note_failed(notes, t, o->rounds);
		if (!status && t->status != STATUS_NOT_BOUND)
			status = t->status;
		if (!t->nr)
			continue;
		qsort(t->result, t->nr, sizeof(t->result[0]), by_rate);
		medians[nr_done] = t->result[t->nr / 2];
		rows[nr_done++] = *t->row;
	}
	if (nr_done)
		compare_end(json, rows, medians, nr_done, o->size_mib, o->run_ms, o->rounds);
	else if (!status)
		status = STATUS_SKIPPED;
	/* One that this machine cannot do is no reason to skip what others showed. */
	return nr_done && status ? STATUS_ERROR : status;
}

static int measure(const struct compare_wish *o, struct tried *rows, unsigned int nr,
		   json_t *json, json_t *notes)
{
	struct compare_world *w = NULL;
	bool disk = false, nic = false;
	int status;

	for (unsigned int i = 0; i < nr; i++) {
		nic = nic || rows[i].row->nic;
		disk = disk || !rows[i].row->nic;
	}
	status = compare_world_open(o->size_mib, disk, nic, &w);
	if (!status) {
		try_all(o, w, rows, nr);
		status = take_results(o, rows, nr, json, notes);
	}
	compare_world_close(w);
	return status;
}

int compare_measure(const struct compare_wish *o, json_t *json)
{
	static struct tried rows[ROWS_MAX];
	json_t *notes = json_array();
	const char *why;
	unsigned int nr = select_rows(o, rows, notes, &why);
	int status = check_rows(o, nr, why);

	if (!status)
		status = measure(o, rows, nr, json, notes);
	if (json_array_size(notes))
		json_object_set(json, "notes", notes);
	json_decref(notes);
	return status;
}
