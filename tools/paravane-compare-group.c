/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which rows of which runs stand beside each other in a report: those of one heading that
 * were measured at the same kind of place, by the same clock. See paravane-compare-report.h.
 * Must not know: pictures, pages.
 */
#include <stdlib.h>
#include <string.h>

#include "paravane-compare-report.h"

static struct compare_group *find_group(struct compare_group *groups, unsigned int nr,
					const struct comparison *run, const char *table)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!strcmp(groups[i].records[0]->table, table) &&
		    !strcmp(groups[i].run->where, run->where) &&
		    !strcmp(groups[i].run->clock, run->clock))
			return &groups[i];
	return NULL;
}

static int add_to_group(struct compare_group *g, const struct compare_record *records,
			unsigned int nr, unsigned int run)
{
	const struct compare_record **all = realloc(g->records, (g->nr + nr) * sizeof(*all));
	unsigned int *of = all ? realloc(g->runs, (g->nr + nr) * sizeof(*of)) : NULL;

	if (all)
		g->records = all;
	if (!of)
		return -1;
	g->runs = of;
	g->several = g->nr && (g->several || g->runs[0] != run);
	for (unsigned int i = 0; i < nr; i++) {
		g->records[g->nr] = &records[i];
		g->runs[g->nr++] = run;
		g->changes = g->changes || *records[i].changed;
	}
	return 0;
}

static int group_run(const struct comparison *run, unsigned int index,
		     struct compare_group *groups, unsigned int *nr)
{
	for (unsigned int i = 0, n; i < run->nr; i += n) {
		const struct compare_record *r = &run->records[i];
		struct compare_group *g = find_group(groups, *nr, run, r->table);

		n = compare_table_rows(r, run->nr - i);
		if (!g) {
			g = &groups[(*nr)++];
			g->run = run;
		}
		if (add_to_group(g, r, n, index))
			return -1;
	}
	return 0;
}

int compare_make_groups(struct comparison *const *runs, unsigned int nr,
			struct compare_group **out, unsigned int *nr_out)
{
	size_t most = 0;
	int r = 0;

	*nr_out = 0;
	for (unsigned int i = 0; i < nr; i++)
		most += runs[i]->nr;
	*out = calloc(most, sizeof(**out));
	if (!*out)
		return -1;
	for (unsigned int i = 0; !r && i < nr; i++)
		r = group_run(runs[i], i, *out, nr_out);
	return r;
}

struct compare_group compare_group_run(const struct compare_group *g, unsigned int first)
{
	struct compare_group one = *g;

	one.records += first;
	one.runs += first;
	one.several = false;
	for (one.nr = 0; first + one.nr < g->nr && one.runs[one.nr] == one.runs[0]; one.nr++)
		;
	return one;
}

void compare_free_groups(struct compare_group *groups, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		free(groups[i].records);
		free(groups[i].runs);
	}
	free(groups);
}
