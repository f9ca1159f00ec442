/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report's page and files. See paravane-compare-report.h. The page's frame,
 * tools/compare/report.html, has {{names}}; here is what takes their place. All text of a
 * comparison goes through html_text().
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "paravane-compare-report.h"
#include "paravane-compare-show.h"
#include "paravane.h"
#include "util.h"

/* More would only make the page too large to be opened. */
#define CHARTS_MAX 200u

static const char frame[] =
#include "tools/compare/report.inc"
;

struct report {
	struct comparison *const *runs;
	unsigned int nr_runs;
	struct compare_group *groups;
	unsigned int nr_groups;
	struct chart *charts[PICTURE_KINDS][CHARTS_MAX];
	unsigned int nr_charts[PICTURE_KINDS];
	bool no_gnuplot;
};

/* " [B]" where a reader has to know of which run a group is, and its rows do not say so. */
static const char *letter_of(const struct report *r, const struct compare_group *g, char buf[8])
{
	*buf = 0;
	if (r->nr_runs > 1 && !g->several)
		snprintf(buf, 8, " [%c]", 'A' + (int)g->runs[0]);
	return buf;
}

/* ---- charts ------------------------------------------------------------------------- */

static const struct {
	const char *id, *heading, *lead;
	struct {
		unsigned int color;
		const char *name;
	} legend[4];
} sections[PICTURE_KINDS] = {
	[PICTURE_RATE] = { "rate", "Operations per second",
		"A logarithmic axis: each line is ten or a hundred times the one before.",
		{ { 3, "emulated" }, { 2, "virtio" }, { 1, "Xen" } } },
	[PICTURE_CPU] = { "cpu", "Where the CPU time of an operation goes",
		"Bars are as long as the time is: what is too short to be seen is too short to matter. "
		"A device model that runs inside the exit is on the guest's side.",
		{ { 4, "the guest's side" },
		  { 5, "who serves: the back end; on a Xen host all of dom0" } } },
	[PICTURE_EXITS] = { "exits", "Exits, notifications, interrupts for one operation",
		"A logarithmic axis; below 1 means that one stands for several operations.",
		{ { 6, "exits of the CPU" }, { 7, "notifications by the guest" },
		  { 8, "interrupts taken" } } },
	[PICTURE_LATENCY] = { "latency", "Latency",
		"From submission to completion, a logarithmic axis. With depth above 1 an operation "
		"waits for those before it.",
		{ { 3, "mean, emulated" }, { 2, "mean, virtio" }, { 1, "mean, Xen" },
		  { 9, "to the 99th percentile" } } },
	[PICTURE_CHANGE] = { "changes", "What each single change is worth",
		"Each row differs in one thing from the table's first row, which is 100 %.",
		{ { 1, "operations per second: longer to the right is better" },
		  { 5, "CPU time per operation: longer to the left is better" } } },
};

static int make_charts(struct report *r)
{
	struct chart *all[PICTURE_KINDS * CHARTS_MAX];
	unsigned int nr = 0;
	char letter[8];
	int e;

	for (unsigned int k = 0; k < PICTURE_KINDS; k++) {
		for (unsigned int i = 0; i < r->nr_groups && nr < CHARTS_MAX; i++) {
			const struct compare_group *g = &r->groups[i];
			struct chart *c = compare_picture(g, (enum picture_kind)k,
							  letter_of(r, g, letter));

			if (c)
				all[nr++] = r->charts[k][r->nr_charts[k]++] = c;
		}
	}
	e = charts_draw(all, nr);
	if (e == -ENOENT) {
		r->no_gnuplot = true;
		complain(STATUS_OK, "gnuplot is not installed (Debian package gnuplot-nox): the "
			 "report is without charts");
		return STATUS_OK;
	}
	return e ? complain(STATUS_ERROR, "gnuplot could not draw the charts: %s", strerror(-e)) :
	       STATUS_OK;
}

static void put_figure(FILE *f, const struct chart *c)
{
	fputs("<figure>\n<h3>", f);
	html_text(f, c->title);
	fputs("</h3>\n", f);
	if (c->svg)
		fputs(c->svg, f);
	fputs("<p>", f);
	html_text(f, c->sentence);
	fputs("</p>\n</figure>\n", f);
}

static void put_section(FILE *f, const struct report *r, unsigned int k)
{
	fprintf(f, "<section id=\"%s\">\n<h2>%s</h2>\n<p>%s</p>\n<ul class=\"legend\">",
		sections[k].id, sections[k].heading, sections[k].lead);
	for (unsigned int i = 0; i < 4 && sections[k].legend[i].name; i++)
		fprintf(f, "<li><i class=\"c%u\"></i>%s</li>", sections[k].legend[i].color,
			sections[k].legend[i].name);
	fputs("</ul>\n<div class=\"charts\">\n", f);
	for (unsigned int i = 0; i < r->nr_charts[k]; i++)
		put_figure(f, r->charts[k][i]);
	fputs("</div>\n</section>\n\n", f);
}

static void put_charts(FILE *f, const struct report *r)
{
	for (unsigned int k = 0; k < PICTURE_KINDS; k++)
		if (r->nr_charts[k])
			put_section(f, r, k);
}

/* ---- the head of the page ----------------------------------------------------------- */

static void put_title(FILE *f, const struct report *r)
{
	bool nic = false, disk = false;

	for (unsigned int i = 0; i < r->nr_groups; i++) {
		nic = nic || compare_is_nic(r->groups[i].records[0]);
		disk = disk || !compare_is_nic(r->groups[i].records[0]);
	}
	fprintf(f, "What a guest pays for its %s", !nic ? "disk" : disk ? "disk and network" :
		"network");
}

/* "2026-11-21 17:35 UTC" of the form that we write, else as it is. */
static const char *day_of(const struct comparison *c, char buf[32])
{
	if (strlen(c->started) != strlen("2026-11-21T17:35:51Z") || c->started[10] != 'T')
		return c->started;
	snprintf(buf, 32, "%.10s %.5s UTC", c->started, c->started + 11);
	return buf;
}

static void put_subtitle(FILE *f, const struct report *r)
{
	char day[32];

	for (unsigned int i = 0; i < r->nr_runs; i++) {
		if (i)
			fputs("<br>\n", f);
		if (r->nr_runs > 1)
			fprintf(f, "[%c] ", 'A' + (int)i);
		html_text(f, compare_place(r->runs[i]));
		fputs(", on ", f);
		html_text(f, r->runs[i]->cpu);
		if (counted(r->runs[i]->cpus))
			fprintf(f, " (%.0f CPUs)", r->runs[i]->cpus);
		fputs(", ", f);
		html_text(f, day_of(r->runs[i], day));
	}
}

static void put_notes(FILE *f, const struct comparison *c, const char *letter)
{
	json_t *note;
	size_t i;

	if (c->guest_is_interpreted)
		fprintf(f, "<p>%sThis machine's KVM interprets the guest, at %.0f ns an instruction. "
			"What is counted is right; times and rates are too bad for all, and most for "
			"those whose driver has more instructions for an exit (Xen, virtio).</p>\n",
			letter, c->guest_instruction_ns);
	if (c->load_average > c->cpus / 2 && !strcmp(c->clock, "real"))
		fprintf(f, "<p>%sThe machine was busy when this began, with a load of %.1f on %.0f "
			"CPUs: rates and latencies are a busy machine's. Counts per operation and, "
			"mostly, CPU time hold.</p>\n", letter, c->load_average, c->cpus);
	if (!strcmp(c->clock, "instructions"))
		fprintf(f, "<p>%sThe clock of this run counts instructions, one for a nanosecond: "
			"figures repeat, whatever else the machine does, and compare as ratios inside "
			"the run. They are no seconds.</p>\n", letter);
	json_array_foreach(c->notes, i, note) {
		fprintf(f, "<p>%s", letter);
		html_text(f, json_string_value(note));
		fputs("</p>\n", f);
	}
}

static void put_attention(FILE *f, const struct report *r)
{
	char *text = NULL, letter[8] = "";
	size_t bytes = 0;
	FILE *m = open_memstream(&text, &bytes);

	if (!m)
		return;
	if (r->no_gnuplot)
		fputs("<p>Without charts, because gnuplot was not installed "
		      "(Debian package gnuplot-nox).</p>\n", m);
	for (unsigned int i = 0; i < r->nr_runs; i++) {
		if (r->nr_runs > 1)
			snprintf(letter, sizeof(letter), "[%c] ", 'A' + (int)i);
		put_notes(m, r->runs[i], letter);
	}
	fclose(m);
	if (bytes)
		fprintf(f, "<div class=\"attention\" role=\"note\">\n%s</div>\n", text);
	free(text);
}

static void put_contents(FILE *f, const struct report *r)
{
	fputs("<li><a href=\"#factors\">Factors</a></li>", f);
	for (unsigned int k = 0; k < PICTURE_KINDS; k++)
		if (r->nr_charts[k])
			fprintf(f, "<li><a href=\"#%s\">%s</a></li>", sections[k].id,
				sections[k].heading);
	fputs("<li><a href=\"#tables\">All figures</a></li>"
	      "<li><a href=\"#unequal\">Not equal</a></li>"
	      "<li><a href=\"#measured\">How it was measured</a></li>"
	      "<li><a href=\"#data\">Data</a></li>", f);
}

/* ---- factors --------------------------------------------------------------------------- */

static void put_factor(FILE *f, double factor)
{
	char n[16];

	fputs("<td>", f);
	if (isfinite(factor) && factor > 0)
		fprintf(f, "%s &#215;", factor_text(factor, n));
	else
		fputs("-", f);
	fputs("</td>", f);
}

static void put_text_cell(FILE *f, const char *text)
{
	fputs("<td class=\"text\">", f);
	html_text(f, text);
	fputs("</td>", f);
}

static void put_name(FILE *f, const struct compare_group *g, unsigned int i)
{
	html_text(f, g->records[i]->label);
	if (g->several)
		fprintf(f, " [%c]", 'A' + (int)g->runs[i]);
}

static void put_factor_row(FILE *f, const struct compare_group *g, unsigned int base,
			   unsigned int i, const char *letter)
{
	const struct compare_record *a = g->records[base], *b = g->records[i];
	char *unequal = NULL;
	size_t bytes;
	FILE *m = open_memstream(&unequal, &bytes);

	if (!m)
		return;
	compare_put_unequal(m, a, b);
	fclose(m);
	fputs("<tr><th scope=\"row\">", f);
	html_text(f, a->table);
	fprintf(f, "%s</th>", letter);
	fputs("<td class=\"name\">", f);
	put_name(f, g, i);
	fputs(" <span class=\"soft\">against ", f);
	put_name(f, g, base);
	fputs("</span></td>", f);
	put_factor(f, b->ops_per_s / a->ops_per_s);
	put_factor(f, compare_cpu_us(a) / compare_cpu_us(b));
	put_factor(f, compare_per_op(a, a->exits) / compare_per_op(b, b->exits));
	put_text_cell(f, unequal);
	fputs("</tr>\n", f);
	free(unequal);
}

/* Every other against the fastest emulated of its own run: across runs machines differ. */
static void put_group_factors(FILE *f, const struct compare_group *g, const char *letter)
{
	for (unsigned int first = 0, n; first < g->nr; first += n) {
		struct compare_group one = compare_group_run(g, first);
		const struct compare_record *base = compare_reference(&one);
		unsigned int at = first;

		n = one.nr;
		while (base && g->records[at] != base)
			at++;
		for (unsigned int i = first; base && i < first + n; i++)
			if (i != at && (!compare_is_emulated(base) ||
					!compare_is_emulated(g->records[i])))
				put_factor_row(f, g, at, i, letter);
	}
}

static void put_factors(FILE *f, const struct report *r)
{
	char letter[8];

	fputs("<div class=\"table\" tabindex=\"0\" role=\"group\" aria-label=\"Factors\"><table>\n"
	      "<caption>Against the fastest emulated device of the same run (where it has none, "
	      "against the slowest row)</caption>\n<thead><tr>"
	      "<th scope=\"col\">workload</th><th scope=\"col\" class=\"name\">who</th>"
	      "<th scope=\"col\">op/s more</th>"
	      "<th scope=\"col\">CPU time less</th><th scope=\"col\">exits less</th>"
	      "<th scope=\"col\" class=\"name\">not equal</th></tr></thead>\n<tbody>\n", f);
	for (unsigned int i = 0; i < r->nr_groups; i++)
		if (!r->groups[i].changes && r->groups[i].nr > 1)
			put_group_factors(f, &r->groups[i], letter_of(r, &r->groups[i], letter));
	fputs("</tbody></table></div>\n", f);
}

/* ---- tables --------------------------------------------------------------------------- */

static bool has_unequal(const struct compare_record *records, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (*records[i].not_equal)
			return true;
	return false;
}

static void put_head(FILE *f, const struct compare_record *records, unsigned int nr)
{
	fputs("<thead><tr><th scope=\"col\"></th>", f);
	for (const struct compare_column *col = compare_columns; col->heading; col++)
		if (compare_has_column(col, records, nr))
			fprintf(f, "<th scope=\"col\" title=\"%s\">%s</th>", col->meaning, col->heading);
	if (has_unequal(records, nr))
		fputs("<th scope=\"col\" class=\"name\">not equal</th>", f);
	fputs("</tr></thead>\n", f);
}

static void put_row(FILE *f, const struct compare_record *r, const struct compare_record *records,
		    unsigned int nr)
{
	fputs("<tr><th scope=\"row\">", f);
	html_text(f, r->label);
	fputs("</th>", f);
	for (const struct compare_column *col = compare_columns; col->heading; col++) {
		double value = col->value(r);

		if (!compare_has_column(col, records, nr))
			continue;
		if (counted(value))
			fprintf(f, "<td>%.*f</td>", compare_digits(col, r), value);
		else
			fputs("<td>-</td>", f);
	}
	if (has_unequal(records, nr))
		put_text_cell(f, r->not_equal);
	fputs("</tr>\n", f);
}

static void put_table(FILE *f, const struct compare_record *records, unsigned int nr, int letter)
{
	fputs("<div class=\"table\" tabindex=\"0\" role=\"group\" aria-label=\"", f);
	html_text(f, records->table);
	fputs("\"><table>\n<caption>", f);
	html_text(f, records->table);
	if (letter)
		fprintf(f, " [%c]", letter);
	fputs("</caption>\n", f);
	put_head(f, records, nr);
	fputs("<tbody>\n", f);
	for (unsigned int i = 0; i < nr; i++)
		put_row(f, &records[i], records, nr);
	fputs("</tbody></table></div>\n", f);
}

static void put_tables(FILE *f, const struct report *r)
{
	for (unsigned int i = 0; i < r->nr_runs; i++) {
		const struct comparison *c = r->runs[i];

		for (unsigned int j = 0, n; j < c->nr; j += n) {
			n = compare_table_rows(&c->records[j], c->nr - j);
			put_table(f, &c->records[j], n, r->nr_runs > 1 ? 'A' + (int)i : 0);
		}
	}
}

static void put_tables_note(FILE *f, const struct report *r)
{
	bool rounds = false;

	for (unsigned int i = 0; i < r->nr_runs; i++)
		rounds = rounds || r->runs[i]->rounds > 1;
	fputs(rounds ? "Each row is the median, by operations per second, of several rounds. " : "", f);
	fputs("Columns are explained below; \"-\" was not counted. Times are in microseconds.", f);
}

static void put_words(FILE *f, const struct report *r)
{
	for (const struct compare_column *col = compare_columns; col->heading; col++) {
		bool used = false;

		for (unsigned int i = 0; i < r->nr_runs; i++)
			used = used || compare_has_column(col, r->runs[i]->records,
							  r->runs[i]->nr);
		if (used)
			fprintf(f, "<dt>%s</dt><dd>%s</dd>\n", col->heading, col->meaning);
	}
}

static bool said_before(const struct comparison *c, unsigned int i)
{
	for (unsigned int j = 0; j < i; j++)
		if (!strcmp(c->records[j].not_equal, c->records[i].not_equal) &&
		    !strcmp(c->records[j].label, c->records[i].label))
			return true;
	return false;
}

static bool measured_by_kvm(const struct report *r)
{
	for (unsigned int i = 0; i < r->nr_runs; i++)
		if (!strcmp(r->runs[i]->where, "kvm"))
			return true;
	return false;
}

static void put_unequal(FILE *f, const struct report *r)
{
	fputs("<ul>\n", f);
	for (unsigned int i = 0; i < r->nr_runs; i++) {
		const struct comparison *c = r->runs[i];

		for (unsigned int j = 0; j < c->nr; j++) {
			if (!*c->records[j].not_equal || said_before(c, j))
				continue;
			fputs("<li>", f);
			html_text(f, c->records[j].label);
			fputs(": ", f);
			html_text(f, c->records[j].not_equal);
			fputs("</li>\n", f);
		}
	}
	if (measured_by_kvm(r))
		fputs("<li>All rows of the tool's own virtual machine: an emulated device answers "
		      "inside the exit and needs no other thread to be woken, which favours emulation "
		      "where the medium is memory.</li>\n", f);
	fputs("<li>All rows: a Xen ring's back end sees the pages granted to it and no others; a virtio "
	      "or emulated device's can reach all of the guest's memory. What grants cost is in the "
	      "ring's rows, what they protect from is in no figure.</li>\n"
	      "<li>compare.md, in Paravane's documentation, has the whole list, and the reasons.</li>\n</ul>\n", f);
}

/* ---- the machine and the data ------------------------------------------------------------ */

static void put_measured(FILE *f, const struct report *r)
{
	for (unsigned int i = 0; i < r->nr_runs; i++) {
		if (r->nr_runs > 1)
			fprintf(f, "<h3>[%c]</h3>\n", 'A' + (int)i);
		compare_put_run(f, r->runs[i]);
	}
}

static void put_base64(FILE *f, const char *s, size_t bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < bytes; i += 3) {
		uint32_t n = 0;

		for (size_t j = 0; j < 3; j++)
			n = n << 8 | (i + j < bytes ? (uint8_t)s[i + j] : 0u);
		fputc(digits[n >> 18], f);
		fputc(digits[n >> 12 & 63], f);
		fputc(i + 1 < bytes ? digits[n >> 6 & 63] : '=', f);
		fputc(i + 2 < bytes ? digits[n & 63] : '=', f);
	}
}

static void data_name(const struct report *r, unsigned int i, char name[32])
{
	if (r->nr_runs > 1)
		snprintf(name, 32, "compare-%u.json", i + 1);
	else
		snprintf(name, 32, "compare.json");
}

static char *dump(const struct comparison *c)
{
	return json_dumps(c->json, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
}

static void put_data(FILE *f, const struct report *r)
{
	for (unsigned int i = 0; i < r->nr_runs; i++) {
		char *text = dump(r->runs[i]), name[32];

		data_name(r, i, name);
		fprintf(f, "<li><a download=\"%s\" href=\"data:application/json;base64,", name);
		put_base64(f, text ? text : "", text ? strlen(text) : 0);
		fprintf(f, "\">%s</a>, in this page; also <a href=\"%s\">beside it</a></li>\n", name,
			name);
		free(text);
	}
}

static void put_version(FILE *f, const struct report *r)
{
	(void)r;
	html_text(f, PACKAGE_VERSION);
}

/* ---- the page --------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*put)(FILE *f, const struct report *r);
} slots[] = {
	{ "title", put_title }, { "subtitle", put_subtitle }, { "attention", put_attention },
	{ "contents", put_contents }, { "factors", put_factors }, { "charts", put_charts },
	{ "tables-note", put_tables_note }, { "tables", put_tables }, { "unequal", put_unequal },
	{ "words", put_words }, { "measured", put_measured }, { "data", put_data },
	{ "version", put_version },
};

static void put_page(FILE *f, const struct report *r)
{
	const char *s = frame, *open;

	while ((open = strstr(s, "{{"))) {
		size_t len = strcspn(open + 2, "}");

		fwrite(s, 1, (size_t)(open - s), f);
		for (size_t i = 0; i < ARRAY_LEN(slots); i++)
			if (strlen(slots[i].name) == len && !strncmp(open + 2, slots[i].name, len))
				slots[i].put(f, r);
		s = open + len + 4;
	}
	fputs(s, f);
}

/* Under another name first: whoever has the old one open keeps it, and never half a page. */
static int write_file(const char *directory, const char *name, const char *text)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	FILE *f = NULL;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) < PATH_MAX &&
	    snprintf(tmp, sizeof(tmp), "%s/.%s.%d", directory, name, (int)getpid()) < PATH_MAX)
		f = fopen(tmp, "we");
	if (!f)
		return complain(STATUS_ERROR, "%s/%s: %s", directory, name, strerror(errno));
	fputs(text, f);
	if (!(ferror(f) | fclose(f)) && !rename(tmp, path))
		return STATUS_OK;
	complain(STATUS_ERROR, "%s: %s", path, strerror(errno));
	unlink(tmp);
	return STATUS_ERROR;
}

static int write_files(const struct report *r, const char *directory)
{
	char *page = NULL, name[32];
	size_t bytes;
	FILE *f = open_memstream(&page, &bytes);
	int status;

	if (!f)
		return complain(STATUS_ERROR, "no memory for the report");
	put_page(f, r);
	fclose(f);
	status = write_file(directory, "index.html", page);
	free(page);
	for (unsigned int i = 0; !status && i < r->nr_runs; i++) {
		char *text = dump(r->runs[i]);

		data_name(r, i, name);
		status = write_file(directory, name, text ? text : "");
		free(text);
	}
	return status;
}

/* Whoever interrupts us here waits some milliseconds, and finds no half of it. */
static int write_all(const struct report *r, const char *directory)
{
	sigset_t signals, before;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &before);
	status = write_files(r, directory);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

static int make_directory(const char *directory, bool *made)
{
	struct stat st;

	*made = !mkdir(directory, 0777);
	if (!*made && errno != EEXIST)
		return complain(STATUS_ERROR, "--report %s: %s; expected a directory, or the name of "
				"one to make where that can be done", directory, strerror(errno));
	if (stat(directory, &st) || !S_ISDIR(st.st_mode))
		return complain(STATUS_ERROR, "--report %s: that is no directory", directory);
	if (access(directory, W_OK | X_OK))
		return complain(STATUS_ERROR, "--report %s: %s; expected a directory that can be "
				"written", directory, strerror(errno));
	return STATUS_OK;
}

int compare_check_directory(const char *directory)
{
	bool made;
	int status = make_directory(directory, &made);

	if (made)
		rmdir(directory);
	return status;
}

int compare_write_report(struct comparison *const *runs, unsigned int nr, const char *directory)
{
	struct report *r = calloc(1, sizeof(*r));
	bool made;
	int status;

	if (!r)
		return complain(STATUS_ERROR, "no memory for the report");
	r->runs = runs;
	r->nr_runs = nr;
	status = make_directory(directory, &made);
	if (!status && compare_make_groups(runs, nr, &r->groups, &r->nr_groups))
		status = complain(STATUS_ERROR, "no memory for the report");
	if (!status)
		status = make_charts(r);
	if (!status)
		status = write_all(r, directory);
	for (unsigned int k = 0; k < PICTURE_KINDS; k++)
		for (unsigned int i = 0; i < r->nr_charts[k]; i++)
			chart_free(r->charts[k][i]);
	compare_free_groups(r->groups, r->nr_groups);
	free(r);
	return status;
}
