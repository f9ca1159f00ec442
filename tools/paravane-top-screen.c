/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane top in a terminal.
 *
 * Hides: curses, keys. Must not know: where the numbers come from (paravane-top.h). The
 * terminal is as it was when this returns, whatever ended it.
 */
#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-top.h"
#include "util.h"

#define LINE_BYTES 512
#define HEADER_LINES 3
#define KEY_ESCAPE 27

struct screen {
	struct top_table *t;
	int delay_ms;
	uint32_t first;			/* row that is on top */
	bool paused, typing, helping, done;
	char typed[64];
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

/* ---- drawing -------------------------------------------------------------------------- */

static void line(int y, const char *text, attr_t attributes)
{
	attrset(attributes);
	mvaddnstr(y, 0, text, COLS);
	attrset(A_NORMAL);
}

static void draw_help(void)
{
	static const char *const text[] = {
		"s S      sort by the next column, the one before",
		"r        turn the order round",
		"k        all, disks, network interfaces",
		"/        only devices whose DOMAIN/DEVICE or image or bridge has this text",
		"+ -      longer and shorter intervals",
		"p        pause",
		"arrows   move, also Page Up, Page Down, Home, End",
		"q        end",
		"",
		"P50 P99 P99.9: from taking a request, or frame, to publishing its answer;",
		"  u, m: micro- and milliseconds, at most 1/16 too high",
		"DEPTH: how many were on their way, on average",
		"GRANT/s: pages mapped or copied; N/OP: events to the guest for each operation",
		"CPU%: of the worker; interfaces of a bridge share theirs",
	};

	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		line(HEADER_LINES + (int)i, text[i], A_NORMAL);
}

static void draw_rows(const struct screen *s)
{
	int rows = LINES - HEADER_LINES - 1;
	char text[LINE_BYTES];

	for (int i = 0; i < rows && s->first + (uint32_t)i < s->t->nr; i++) {
		top_row_line(&s->t->rows[s->first + (uint32_t)i], (uint32_t)MAX(COLS, 80), text,
			     sizeof(text));
		line(HEADER_LINES + i, text, A_NORMAL);
	}
	if (!s->t->nr)
		line(HEADER_LINES, s->t->filter[0] || s->t->kind ? "no such device is connected" :
		     "no device is connected", A_DIM);
}

static void draw(const struct screen *s)
{
	static const char *const kinds[] = { "all", "disks", "interfaces" };
	const struct top_table *t = s->t;
	char text[LINE_BYTES];

	erase();
	snprintf(text, sizeof(text), "paravane top, every %.1f s%s   sort: %s%s   show: %s%s%s",
		 s->delay_ms / 1000.0, s->paused ? " (paused)" : "", top_column_name(t->sort),
		 t->ascending ? " (turned)" : "", kinds[t->kind], t->filter[0] ? "   filter: " : "",
		 t->filter);
	line(0, text, A_BOLD);
	top_sum_line(t, text, sizeof(text));
	line(1, text, A_NORMAL);
	top_header_line((uint32_t)MAX(COLS, 80), text, sizeof(text));
	line(2, text, A_REVERSE);
	if (s->helping)
		draw_help();
	else
		draw_rows(s);
	if (s->typing)
		snprintf(text, sizeof(text), "filter: %s_", s->typed);
	else
		snprintf(text, sizeof(text), "q end  s sort  r turn  k kind  / filter  p pause  h help");
	line(LINES - 1, text, s->typing ? A_BOLD : A_DIM);
	refresh();
}

/* ---- keys ----------------------------------------------------------------------------- */

static void type(struct screen *s, int key)
{
	size_t used = strlen(s->typed);

	if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		strcpy(s->t->filter, s->typed);
		s->typing = false;
		s->first = 0;
	} else if (key == KEY_ESCAPE) {
		s->typing = false;
	} else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
		if (used)
			s->typed[used - 1] = '\0';
	} else if (key >= ' ' && key < 127 && used + 1 < sizeof(s->typed)) {
		s->typed[used] = (char)key;
		s->typed[used + 1] = '\0';
	}
}

static void move_by(struct screen *s, int64_t rows)
{
	int64_t page = LINES - HEADER_LINES - 1;
	int64_t last = MAX((int64_t)s->t->nr - page, 0), to = (int64_t)s->first + rows;

	s->first = (uint32_t)MIN(MAX(to, 0), last);
}

static void move_key(struct screen *s, int key)
{
	int page = LINES - HEADER_LINES - 1;

	switch (key) {
	case KEY_UP: move_by(s, -1); break;
	case KEY_DOWN: move_by(s, 1); break;
	case KEY_PPAGE: move_by(s, -page); break;
	case KEY_NPAGE: move_by(s, page); break;
	case KEY_HOME: move_by(s, INT32_MIN); break;
	case KEY_END: move_by(s, INT32_MAX); break;
	}
}

static void act(struct screen *s, int key)
{
	struct top_table *t = s->t;

	if (s->helping && key != ERR && key != KEY_RESIZE) {
		s->helping = false;
		return;
	}
	switch (key) {
	case 'q': case 'Q': s->done = true; break;
	case 's': case '>': t->sort = (t->sort + 1) % top_nr_columns(); break;
	case 'S': case '<':
		t->sort = (t->sort + top_nr_columns() - 1) % top_nr_columns();
		break;
	case 'r': t->ascending = !t->ascending; break;
	case 'k': t->kind = (t->kind + 1) % TOP_NR_KINDS; break;
	case 'p': s->paused = !s->paused; break;
	case 'h': case '?': s->helping = true; break;
	case '+': s->delay_ms = MIN(s->delay_ms * 2, 60000); break;
	case '-': s->delay_ms = MAX(s->delay_ms / 2, 125); break;
	case '/':
		s->typing = true;
		strcpy(s->typed, t->filter);
		break;
	default: move_key(s, key);
	}
}

/* ---- the loop ------------------------------------------------------------------------- */

/* Until it is time for the next look. */
static void hear_keys(struct screen *s, uint64_t until_ms)
{
	uint64_t now;

	while (!ended && !s->done && (now = now_ms()) < until_ms) {
		int key;

		timeout((int)(until_ms - now));
		key = getch();
		if (key == ERR)
			continue;
		if (s->typing)
			type(s, key);
		else
			act(s, key);
		move_by(s, 0);
		draw(s);
	}
}

static int run(struct screen *s, uint64_t nr_looks)
{
	uint64_t done = 0, next_ms = now_ms();
	int rc = 0;

	while (!rc && !ended && !s->done && (!nr_looks || done < nr_looks)) {
		if (!s->paused) {
			rc = top_look(s->t);
			done++;
		}
		move_by(s, 0);
		draw(s);
		/* The first look has no rates: the second comes soon. */
		next_ms += done == 1 ? (uint64_t)MIN(s->delay_ms, 250) : (uint64_t)s->delay_ms;
		next_ms = MAX(next_ms, now_ms());
		hear_keys(s, next_ms);
	}
	return rc;
}

int top_screen(struct top_table *t, int delay_ms, uint64_t nr_looks)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct screen s = { .t = t, .delay_ms = delay_ms };
	SCREEN *screen = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ?
			 newterm(NULL, stdout, stdin) : NULL;
	int rc;

	if (!screen)
		return complain(STATUS_ERROR, "top: this is no terminal, or one that curses does "
				"not know (TERM); --batch and --json need none");
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	set_escdelay(50);
	rc = run(&s, nr_looks);
	/* A terminal without a second screen keeps what is there: the prompt gets a line. */
	move(LINES - 1, 0);
	clrtoeol();
	refresh();
	endwin();
	delscreen(screen);
	return rc ? complain(STATUS_ERROR, "top: %s", strerror(-rc)) : STATUS_OK;
}
