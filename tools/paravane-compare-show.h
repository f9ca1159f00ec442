/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The columns of a comparison's tables, the same in the terminal and on the page, and the
 * table in the terminal.
 *
 * Hides: which columns there are. Must not know: where the figures are from.
 */
#ifndef PV_PARAVANE_COMPARE_SHOW_H
#define PV_PARAVANE_COMPARE_SHOW_H

#include "paravane-compare-data.h"

struct compare_column {
	const char *heading;
	const char *meaning;		/* half a sentence for a reader */
	int width, digits;		/* digits after the point */
	double (*value)(const struct compare_record *r);	/* NAN: not counted */
};

/* Ends with a heading of NULL. */
extern const struct compare_column compare_columns[];

/* A frame's share of an exit or notification is smaller than a request's. */
int compare_digits(const struct compare_column *column, const struct compare_record *r);
/* Is it counted in one of these records? */
bool compare_has_column(const struct compare_column *column,
			const struct compare_record *records, unsigned int nr);

void compare_show_tables(const struct comparison *c);
/* A file's text must not command the terminal. Filled up with spaces to width columns. */
void compare_put_text(const char *text, int width);

#endif
