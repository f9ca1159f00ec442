/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of paravane top: which devices are in it, in which order, and its cells as
 * text. What draws it (a terminal, a file) has no numbers of its own.
 *
 * Hides: columns, orders, how a number is made short. Must not know: curses. One thread.
 */
#ifndef PV_PARAVANE_TOP_H
#define PV_PARAVANE_TOP_H

#include "paravane-sample.h"

#define TOP_NAME_MIN 19u
#define TOP_LINE_MIN 80u

enum top_kind { TOP_ALL, TOP_DISKS, TOP_NICS, TOP_NR_KINDS };

struct top_table {
	struct sampler *sampler;
	uint32_t sort;			/* a column */
	bool ascending;
	enum top_kind kind;
	char filter[64];		/* in "DOMAIN/DEVICE STORE"; empty: all */
	/* Of the last look. */
	struct top_row {
		const struct sample *sample;
		struct rates rates;
	} *rows;
	uint32_t nr, max;
};

/* -1: there is no such column. */
int top_column(const char *name);
const char *top_column_name(uint32_t column);
uint32_t top_nr_columns(void);
/* Looks, chooses, sorts. -ENOMEM. */
int top_look(struct top_table *t);
void top_free(struct top_table *t);
/* Lines of at most width characters (at least TOP_LINE_MIN), nothing but printable ones. */
void top_header_line(uint32_t width, char *buf, size_t bytes);
void top_row_line(const struct top_row *row, uint32_t width, char *buf, size_t bytes);
/* Of all rows together. */
void top_sum_line(const struct top_table *t, char *buf, size_t bytes);

/* For programs: whose it is and all rates, with units in the names (paravane-top.c). */
struct json_t;
struct json_t *top_object(const struct sample *s, const struct rates *r);

/* ---- paravane-top-screen.c ---------------------------------------------------------- */

/* In a terminal until the user ends it; a STATUS_. nr_looks 0: no limit. */
int top_screen(struct top_table *t, int delay_ms, uint64_t nr_looks);

#endif
