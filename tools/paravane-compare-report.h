/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A report of one or more comparisons: one page of HTML that needs nothing else, and the
 * JSON beside it.
 *
 * Hides: in paravane-compare-report.c the page's parts and files, in -made.c what a run was
 * made on and by, in -group.c which rows belong together, in -pictures.c which pictures
 * answer a reader's questions and what is said under them. The page's frame and looks are
 * tools/compare/report.html. Must not know: who measured.
 */
#ifndef PV_PARAVANE_COMPARE_REPORT_H
#define PV_PARAVANE_COMPARE_REPORT_H

#include "paravane-compare-chart.h"
#include "paravane-compare-data.h"

/*
 * Whether a report can be written there: asked before the measuring, so that it is not for
 * nothing. Leaves nothing. Complains and returns a STATUS_.
 */
int compare_check_directory(const char *directory);
/*
 * Writes directory/index.html and compare.json, or compare-1.json and so on; makes the
 * directory. Complains and returns a STATUS_. Without gnuplot the page has no charts and
 * says so, on standard error too.
 */
int compare_write_report(struct comparison *const *runs, unsigned int nr,
			 const char *directory);

/* ---- between these files ---------------------------------------------------------- */

/* Rows that belong into one picture: of one table, measured alike, of one or more runs. */
struct compare_group {
	const struct compare_record **records;
	unsigned int *runs;		/* of each, which of the runs */
	unsigned int nr;
	const struct comparison *run;	/* the first's */
	bool changes;			/* one thing at a time, against the first of each run */
	bool several;			/* runs: labels tell them apart */
};

enum picture_kind {
	PICTURE_RATE, PICTURE_CPU, PICTURE_EXITS, PICTURE_LATENCY, PICTURE_CHANGE,
	PICTURE_KINDS,
};

int compare_make_groups(struct comparison *const *runs, unsigned int nr,
			struct compare_group **out, unsigned int *nr_out);
/* The part of one run, from the first record on; borrowed, not to be freed. */
struct compare_group compare_group_run(const struct compare_group *g, unsigned int first);
void compare_free_groups(struct compare_group *groups, unsigned int nr);
/*
 * NULL: there is nothing to draw for it, or no memory. Not drawn yet; chart_free(). letter:
 * after its title, to tell runs apart, or "".
 */
struct chart *compare_picture(const struct compare_group *g, enum picture_kind kind,
			      const char *letter);

/* Where a run was made, in words. */
const char *compare_place(const struct comparison *c);
/* On what and by which commands: parts of the page, in HTML. */
void compare_put_run(FILE *f, const struct comparison *c);
/* The one that others are measured by: the fastest emulated, else the slowest of all. */
const struct compare_record *compare_reference(const struct compare_group *g);
bool compare_is_emulated(const struct compare_record *r);
/* CPU time per operation on both sides together, microseconds; NAN: not counted. */
double compare_cpu_us(const struct compare_record *r);
/* What differs between the two, in a few words. */
void compare_put_unequal(FILE *f, const struct compare_record *a, const struct compare_record *b);

/* Three digits: "352k", "2.08", "0.08"; "-" for NAN. */
const char *short_number(double n, char buf[16]);
/* Two digits, and all before the point: "6.3", "84", "133". */
const char *factor_text(double n, char buf[16]);

#endif
