/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See paravane-compare-chart.h. The script for gnuplot and what it prints are in unnamed
 * files, so that nothing stays behind whenever this is interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "paravane-compare-chart.h"
#include "util.h"

/* Of the picture, in the units that its text has 12 of. */
#define WIDTH 380.0
#define ROW_HEIGHT 21.0
#define LANE_HEIGHT 13.0
#define AXIS_HEIGHT 44.0
#define TOP 6.0
#define CHAR_WIDTH 7.0
#define LABEL_CHAR_WIDTH 7.4	/* of any text: they may be wide ones */
/* Beyond is nothing that was measured, and an axis that gnuplot cannot make. */
#define AXIS_MIN 1e-9
#define AXIS_MAX 1e24

bool chart_program_found(void)
{
	const char *path = getenv("PATH");
	autofree char *copy = strdup(path ? path : "/usr/bin");
	char *rest = copy, *dir, file[4096];

	while ((dir = strsep(&rest, ":")))
		if (snprintf(file, sizeof(file), "%s/gnuplot", *dir ? dir : ".") <
			    (int)sizeof(file) && !access(file, X_OK))
			return true;
	return false;
}

/* ---- the script -------------------------------------------------------------------- */

struct axis {
	double min, max;
	double least, most;		/* that is drawn */
};

/* For the labels, left of the axis. */
static double label_width(const struct chart *c)
{
	size_t most = 6;

	for (unsigned int i = 0; i < c->nr_rows; i++) {
		size_t n = 0;

		for (const char *s = c->labels[i]; *s; s++)
			n += ((unsigned char)*s & 0xc0) != 0x80;
		most = MAX(most, n);
	}
	return MIN((double)most * LABEL_CHAR_WIDTH + 8, WIDTH * 0.53);
}

/* Of the axis, for the text beside the longest bar; on both sides if they go both ways. */
static double text_part(const struct chart *c)
{
	size_t most = 4;

	for (unsigned int i = 0; i < c->nr_bars; i++)
		most = MAX(most, strlen(c->bars[i].text));
	return MIN(((double)most * CHAR_WIDTH + 6) / (WIDTH - label_width(c)),
		   isnan(c->base) ? 0.6 : 0.35);
}

static double row_height(const struct chart *c)
{
	return c->lanes > 1 ? c->lanes * LANE_HEIGHT : ROW_HEIGHT;
}

static bool drawn(const struct chart *c, const struct chart_bar *b)
{
	if (!(fabs(b->from) < AXIS_MAX) || !(fabs(b->to) < AXIS_MAX) ||
	    fabs(b->to - b->from) < AXIS_MIN)
		return false;
	return !c->log || (b->to > AXIS_MIN && (b->from > AXIS_MIN || !b->from));
}

/* The range of what is drawn; a logarithmic axis begins at a power of ten. */
static struct axis axis_of(const struct chart *c)
{
	struct axis a = { INFINITY, -INFINITY, 0, 0 };
	double part = text_part(c), more;

	for (unsigned int i = 0; i < c->nr_bars; i++) {
		const struct chart_bar *b = &c->bars[i];

		if (!drawn(c, b))
			continue;
		a.min = fmin(a.min, b->from > 0 || !c->log ? fmin(b->from, b->to) : b->to);
		a.max = fmax(a.max, fmax(b->from, b->to));
	}
	if (!isnan(c->base)) {
		a.min = fmin(a.min, c->base * 0.8);
		a.max = fmax(a.max, c->base * 1.25);
	}
	if (!(a.min <= a.max))
		return (struct axis){ c->log ? 1 : 0, 10, 1, 10 };
	a.least = a.min;
	a.most = a.max;
	if (!c->log)
		return (struct axis){ 0, a.max / (1 - part), 0, a.max };
	if (isnan(c->base)) {
		a.min = pow(10, floor(log10(a.min * 0.7)));
		a.max *= pow(a.max / a.min, part / (1 - part));
	} else {
		more = pow(a.max / a.min, part / (1 - 2 * part));
		a.min /= more;
		a.max *= more;
	}
	return a;
}

/* Around 100 %: each ten times, or 1, 2, 5 where the axis is short. */
static void put_percent_tics(FILE *f, const struct axis *a)
{
	const char *comma = "";

	fputs("set format x '%g%%'\nset xtics (", f);
	for (double ten = 1e-4; ten < 1e9; ten *= 10) {
		for (int digit = 1; digit <= 5; digit = digit * 2 + digit / 2) {
			double at = ten * digit;

			if (at < a->least / 3.2 || at > a->most * 3.2 || at < a->min ||
			    at > a->max || (digit > 1 && a->most / a->least > 10))
				continue;
			fprintf(f, "%s%g", comma, at);
			comma = ",";
		}
	}
	fputs(")\n", f);
}

static void put_tic(FILE *f, double at, bool first)
{
	static const char *const units[] = { "", "k", "M", "G", "T" };
	unsigned int unit = 0;
	double n = at;

	for (; n >= 1000 && unit < 4; unit++)
		n /= 1000;
	fprintf(f, "%s'%g%s' %.9g", first ? "" : ",", n, units[unit], at);
}

/* The next of 1, 2, 5 and their tens. */
static double round_step(double least)
{
	double ten = pow(10, floor(log10(least)));

	return least <= ten ? ten : least <= 2 * ten ? 2 * ten : least <= 5 * ten ? 5 * ten : 10 * ten;
}

/* As few marks on the axis as fit; none so near to its end that it would be cut. */
static void put_tics(FILE *f, const struct chart *c, const struct axis *a)
{
	double decades = log10(a->max / a->min), step;
	bool first = true;

	if (!isnan(c->base)) {
		put_percent_tics(f, a);
		return;
	}
	fputs("set xtics (", f);
	if (c->log) {
		step = decades > 8 ? 1000 : decades > 4 ? 100 : 10;
		for (double at = a->min; at <= a->max / pow(10, 0.03 * decades); at *= step) {
			put_tic(f, at, first);
			first = false;
		}
	} else {
		step = round_step(a->max / 5);
		for (double at = 0; at <= a->max * 0.97; at += step) {
			put_tic(f, at, first);
			first = false;
		}
	}
	fputs(")\n", f);
}

static void put_labels(FILE *f, const struct chart *c, const struct axis *a)
{
	for (unsigned int i = 0; i < c->nr_rows; i++)
		fprintf(f, "set label '@L%u@' at graph -0.02, first %u right\n", i, i);
	for (unsigned int i = 0; i < c->nr_bars; i++) {
		const struct chart_bar *b = &c->bars[i];
		bool there = drawn(c, b), left = there && b->to < b->from;
		double at = there ? b->to : isnan(c->base) ? a->min : c->base;

		if (*b->text)
			fprintf(f, "set label '@V%u@' at first %.9g, first %.9g %s offset %s\n", i,
				at, b->row + (b->top + b->bottom) / 2, left ? "right" : "left",
				left ? "-0.4,0" : "0.4,0");
	}
}

static void put_bars(FILE *f, const struct chart *c, const struct axis *a)
{
	unsigned int nr = 0;

	fputs("$d << E\n", f);
	for (unsigned int i = 0; i < c->nr_bars; i++) {
		const struct chart_bar *b = &c->bars[i];

		if (!drawn(c, b))
			continue;
		fprintf(f, "%.9g %.9g %.9g %.9g %u\n", fmax(fmin(b->from, b->to), a->min),
			fmax(b->from, b->to), b->row + b->top, b->row + b->bottom, b->color);
		nr++;
	}
	/* gnuplot cannot draw nothing: a bar outside */
	fputs(nr ? "E\n" : "-1 -1 -9 -9 1\nE\n", f);
	fputs("plot $d using 1:3:1:2:3:4:5 with boxxyerror fs solid 1 noborder lc rgb variable\n", f);
}

/* The axis begins a little early, or rounding can take its first mark. */
static void put_script(FILE *f, const struct chart *c)
{
	struct axis a = axis_of(c);
	double height = TOP + AXIS_HEIGHT + row_height(c) * c->nr_rows;

	fprintf(f, "reset\nset terminal svg size %g,%g dynamic noenhanced font 'Arial,12'\n"
		"unset key\nset border 0\nset tics scale 0\nunset ytics\n"
		"set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
		"set bmargin at screen %.5f\nset tmargin at screen %.5f\n"
		"set grid xtics lt 1 lw 1 lc rgb 0x0000ff\nset xlabel '%s' offset 0,0.6\n"
		"set xrange [%.12g:%.9g]\nset yrange [%.3f:-0.5]\n%s",
		WIDTH, height, label_width(c) / WIDTH, 1 - 14 / WIDTH, AXIS_HEIGHT / height,
		1 - TOP / height, c->unit, a.min * (1 - 1e-9),
		a.max, c->nr_rows - 0.5,
		c->log ? "set logscale x\n" : "");
	put_tics(f, c, &a);
	if (!isnan(c->base))
		fprintf(f, "set arrow from %.9g,graph 0 to %.9g,graph 1 nohead lw 1.5 lc rgb 0x0000fe\n",
			c->base, c->base);
	put_labels(f, c, &a);
	put_bars(f, c, &a);
}

/* ---- the program --------------------------------------------------------------------- */

static _Noreturn void become_gnuplot(int in, int out, pid_t parent)
{
	static char *const args[] = { (char *)"gnuplot", (char *)"-d", NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || getppid() != parent)
		_exit(126);
	setenv("LC_ALL", "C", 1);
	execvp(args[0], args);
	_exit(127);
}

static int run_gnuplot(int in, int out)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (!pid)
		become_gnuplot(in, out, parent);
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

/* ---- what it has drawn ---------------------------------------------------------------- */

void html_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&': fputs("&amp;", f); break;
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '"': fputs("&quot;", f); break;
		case '\'': fputs("&#39;", f); break;
		default:
			fputc(((unsigned char)*text < 0x20 && !strchr("\t\n", *text)) ||
			      *text == 0x7f ? '?' : *text, f);
		}
	}
}

/* The text that a mark stands for, or NULL; *end is behind the mark. */
static const char *marked(const struct chart *c, const char *s, char **end)
{
	unsigned long i;

	if (s[0] != '@' || (s[1] != 'L' && s[1] != 'V'))
		return NULL;
	i = strtoul(s + 2, end, 10);
	if (*end == s + 2 || *(*end)++ != '@' || i >= (s[1] == 'L' ? c->nr_rows : c->nr_bars))
		return NULL;
	return s[1] == 'L' ? c->labels[i] : c->bars[i].text;
}

/* gnuplot's own words, and ours for them: style belongs to the page. */
static const struct {
	const char *from, *to;
} words[] = {
	{ " fill=\"black\" font-family=\"Arial\" font-size=\"12.00\" ", "" },
	{ " stroke='rgb(  0,   0, 255)'", " class=\"grid\"" },
	{ " stroke='rgb(  0,   0, 254)'", " class=\"base\"" },
	{ " fill = 'rgb(  0,   0,   1)'", " class=\"c1\"" },
	{ " fill = 'rgb(  0,   0,   2)'", " class=\"c2\"" },
	{ " fill = 'rgb(  0,   0,   3)'", " class=\"c3\"" },
	{ " fill = 'rgb(  0,   0,   4)'", " class=\"c4\"" },
	{ " fill = 'rgb(  0,   0,   5)'", " class=\"c5\"" },
	{ " fill = 'rgb(  0,   0,   6)'", " class=\"c6\"" },
	{ " fill = 'rgb(  0,   0,   7)'", " class=\"c7\"" },
	{ " fill = 'rgb(  0,   0,   8)'", " class=\"c8\"" },
	{ " fill = 'rgb(  0,   0,   9)'", " class=\"c9\"" },
	{ " fill=\"none\" color=\"black\" stroke=\"currentColor\" stroke-width=\"1.00\" "
	  "stroke-linecap=\"butt\" stroke-linejoin=\"miter\"", "" },
};

static void copy_line(FILE *f, const struct chart *c, const char *s)
{
	while (*s) {
		char *end = NULL;
		const char *text = marked(c, s, &end);
		size_t i = 0;

		if (text) {
			html_text(f, text);
			s = end;
			continue;
		}
		while (i < ARRAY_LEN(words) && strncmp(s, words[i].from, strlen(words[i].from)))
			i++;
		if (i < ARRAY_LEN(words)) {
			fputs(words[i].to, f);
			s += strlen(words[i].from);
		} else {
			fputc(*s++, f);
		}
	}
}

static bool begins(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

/*
 * From the picture's viewBox on to its end. Left out: markers that are not used, ids,
 * and names, which would be the same in each picture of a page.
 */
static void copy_picture(FILE *f, const struct chart *c, FILE *in)
{
	char line[4096];
	bool defs = false;

	while (fgets(line, sizeof(line), in) && !begins(line, "</svg>")) {
		bool leave = begins(line, "<title>") || begins(line, "<desc>") ||
			     begins(line, "<rect ") || begins(line, " xmlns");
		char *title = strstr(line, "<title>");

		defs = defs || begins(line, "<defs>");
		if (title)		/* of a plot: it closes in its line */
			*title = 0;
		if (begins(line, "<g id=") || begins(line, "\t<g id="))
			fputs("<g>\n", f);
		else if (begins(line, ">"))
			fputs(" xmlns=\"http://www.w3.org/2000/svg\">\n", f);
		else if (!leave && !defs)
			copy_line(f, c, line);
		defs = defs && !begins(line, "</defs>");
	}
	fputs("</svg>\n", f);
}

static int take_picture(struct chart *c, FILE *in)
{
	char line[4096];
	size_t bytes;
	FILE *f;

	do {
		if (!fgets(line, sizeof(line), in))
			return -EIO;
	} while (!begins(line, "<svg"));
	f = open_memstream(&c->svg, &bytes);
	if (!f)
		return -errno;
	fputs("<svg role=\"img\" aria-label=\"", f);
	html_text(f, c->title);
	fputs(": ", f);
	html_text(f, c->sentence);
	fputs("\"\n", f);
	copy_picture(f, c, in);
	return fclose(f) ? -errno : 0;
}

int charts_draw(struct chart *const *charts, unsigned int nr)
{
	FILE *script = tmpfile(), *drawing = tmpfile();
	int r = script && drawing ? 0 : -errno;

	for (unsigned int i = 0; !r && i < nr; i++)
		put_script(script, charts[i]);
	if (!r && (fflush(script) || lseek(fileno(script), 0, SEEK_SET)))
		r = -errno;
	if (!r && nr)
		r = run_gnuplot(fileno(script), fileno(drawing));
	if (!r)
		rewind(drawing);
	for (unsigned int i = 0; !r && i < nr; i++)
		r = take_picture(charts[i], drawing);
	if (script)
		fclose(script);
	if (drawing)
		fclose(drawing);
	return r;
}

void chart_free(struct chart *c)
{
	if (!c)
		return;
	free(c->title);
	free(c->sentence);
	free(c->svg);
	free(c);
}
