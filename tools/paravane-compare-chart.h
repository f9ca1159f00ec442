/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Charts of horizontal bars as SVG to be put into a page, drawn by gnuplot.
 *
 * gnuplot sees numbers and marks, never a text from a file: its language can start
 * programs. The texts take the marks' place afterwards, escaped. Colours are classes
 * (c1, c2, ...) that the page's style sheet gives a meaning, in light and dark.
 *
 * Hides: gnuplot. Must not know: what a bar means.
 */
#ifndef PV_PARAVANE_COMPARE_CHART_H
#define PV_PARAVANE_COMPARE_CHART_H

#include <stdbool.h>
#include <stdio.h>

#define CHART_ROWS_MAX 200u
#define CHART_BARS_MAX (CHART_ROWS_MAX * 3)
#define CHART_LABEL_BYTES 128

struct chart_bar {
	unsigned int row;
	double from, to;		/* on the axis; equal or NAN: the text alone */
	double top, bottom;		/* in the row: -0.5 is its upper edge, 0.5 its lower */
	unsigned int color;		/* of class cN */
	char text[40];			/* beside its end, or "" */
};

struct chart {
	char *title, *sentence;		/* owned; of the picture, and what it shows */
	const char *unit;		/* under the axis; no text from a file */
	bool log;
	double base;			/* where bars that go both ways begin, else NAN */
	unsigned int nr_rows, nr_bars, lanes;	/* bars beside each other in a row */
	char labels[CHART_ROWS_MAX][CHART_LABEL_BYTES];
	struct chart_bar bars[CHART_BARS_MAX];
	char *svg;			/* owned; NULL until drawn */
};

/*
 * One run of gnuplot for all. 0; -ENOENT: there is no gnuplot; -EIO: it failed, and said
 * why on standard error; or another -errno.
 */
int charts_draw(struct chart *const *charts, unsigned int nr);
void chart_free(struct chart *c);
bool chart_program_found(void);

/* Of UTF-8: for text and quoted attributes of HTML and SVG. */
void html_text(FILE *f, const char *text);

#endif
