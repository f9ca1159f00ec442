/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pictures a report has, and the sentence under each: made from the figures, and
 * never a factor without what could not be made equal. See paravane-compare-report.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "paravane-compare-report.h"
#include "util.h"

/* Classes of colour in report.html. */
enum { XEN = 1, VIRTIO, EMULATED, VCPU, BACK, EXITS, KICKS, IRQS, TAIL };

const char *short_number(double n, char buf[16])
{
	static const char units[] = " kMGTPE";
	unsigned int unit = 0;

	if (isnan(n))
		return strcpy(buf, "-");
	for (; fabs(n) >= 999.5 && unit < 6; unit++)
		n /= 1000;
	if (!unit && n && fabs(n) < 0.095) {
		snprintf(buf, 16, "%.2g", n);
		return buf;
	}
	snprintf(buf, 16, "%.*f%.1s", fabs(n) >= 99.95 || (!unit && !n) ? 0 :
		 fabs(n) >= 9.995 ? 1 : 2, n, unit ? &units[unit] : "");
	return buf;
}

const char *factor_text(double n, char buf[16])
{
	if (n < 1e7)
		snprintf(buf, 16, "%.*f", n < 0.95 ? 2 : n < 9.95 ? 1 : 0, n);
	else
		snprintf(buf, 16, "%.1e", n);
	return buf;
}

static const char *time_text(double us, char buf[24])
{
	char n[16];

	snprintf(buf, 24, "%s %s", short_number(us >= 1e6 ? us / 1e6 : us >= 1e3 ? us / 1e3 : us, n),
		 us >= 1e6 ? "s" : us >= 1e3 ? "ms" : "us");
	return buf;
}

/* ---- what is said ----------------------------------------------------------------------- */

/*
 * Who serves: all of dom0 where that is counted, and the back end is a part of it. Nobody
 * but the guest's own CPU where there is no back end.
 */
static double server_ns(const struct compare_record *r)
{
	return counted(r->dom0_cpu_ns) ? r->dom0_cpu_ns :
	       counted(r->back_end_cpu_ns) || *r->back_end ? r->back_end_cpu_ns : 0;
}

double compare_cpu_us(const struct compare_record *r)
{
	return compare_per_op(r, r->vcpu_cpu_ns + server_ns(r)) / 1e3;
}

static double exits_per_op(const struct compare_record *r)
{
	return compare_per_op(r, r->exits);
}

static double rate(const struct compare_record *r)
{
	return r->ops_per_s;
}

static double mean_us(const struct compare_record *r)
{
	return r->latency_mean_ns / 1e3;
}

static double p99_us(const struct compare_record *r)
{
	return r->latency_p99_ns / 1e3;
}

typedef double (*measure_fn)(const struct compare_record *r);

struct extremes {
	const struct compare_record *least, *most;	/* NULL: nothing above 0 counted */
};

static struct extremes extremes(const struct compare_group *g, measure_fn of)
{
	struct extremes e = { NULL, NULL };

	for (unsigned int i = 0; i < g->nr; i++) {
		const struct compare_record *r = g->records[i];

		if (!(of(r) > 0))
			continue;
		if (!e.least || of(r) < of(e.least))
			e.least = r;
		if (!e.most || of(r) > of(e.most))
			e.most = r;
	}
	return e;
}

bool compare_is_emulated(const struct compare_record *r)
{
	return strncmp(r->model, "xen", 3) && strncmp(r->model, "virtio", 6);
}

/* The emulated one with the least of it (or the most), else any. */
static const struct compare_record *reference(const struct compare_group *g, measure_fn of,
					      bool least)
{
	const struct compare_record *best = NULL;

	for (unsigned int i = 0; i < g->nr; i++) {
		const struct compare_record *r = g->records[i];

		if (compare_is_emulated(r) && of(r) > 0 &&
		    (!best || (least ? of(r) < of(best) : of(r) > of(best))))
			best = r;
	}
	return best ? best : least ? extremes(g, of).most : extremes(g, of).least;
}

const struct compare_record *compare_reference(const struct compare_group *g)
{
	return reference(g, rate, false);
}

void compare_put_unequal(FILE *f, const struct compare_record *a, const struct compare_record *b)
{
	if (*a->not_equal)
		fprintf(f, "%s: %s", a->label, a->not_equal);
	if (*b->not_equal && b != a)
		fprintf(f, "%s%s: %s", *a->not_equal ? "; " : "", b->label, b->not_equal);
	if (!*a->not_equal && !*b->not_equal)
		fputs("what holds for all rows, below", f);
}

/* Those that are set against the reference, in the table's order. */
static bool is_other(const struct compare_group *g, unsigned int i,
		     const struct compare_record *base, measure_fn of)
{
	const struct compare_record *r = g->records[i];

	return r != base && of(r) > 0 &&
	       (!compare_is_emulated(r) || !compare_is_emulated(base));
}

/* Of all rows that a sentence spoke of. */
static void end_unequal(FILE *f, const struct compare_group *g,
			const struct compare_record *base, measure_fn of)
{
	bool any = false;

	for (unsigned int i = 0; i < g->nr; i++) {
		const struct compare_record *r = g->records[i];

		if (!*r->not_equal || (r != base && !is_other(g, i, base, of)))
			continue;
		fprintf(f, "%s%s: %s", any ? "; " : " Not equal: ", r->label, r->not_equal);
		any = true;
	}
	fputs(any ? "." : " Not equal: what holds for all rows, below.", f);
}

#define NAMED_MAX 4

/*
 * "; virtio: 36.0k (9.3 times that); Xen ring: 24.3k (6.3 times that)", or "times less"
 * of what had better be little.
 */
static void say_others(FILE *f, const struct compare_group *g, const struct compare_record *base,
		       measure_fn of, bool less, const char *(*show)(double n, char buf[24]))
{
	unsigned int named = 0;
	char n[24], factor[16];

	for (unsigned int i = 0; i < g->nr && named < NAMED_MAX; i++) {
		const struct compare_record *r = g->records[i];
		double times = of(r) / of(base);

		if (!is_other(g, i, base, of))
			continue;
		named++;
		fprintf(f, "; %s: %s (%s times %s)", r->label,
			show(of(r), n), factor_text(less && times < 1 ? 1 / times : times, factor),
			less && times < 1 ? "less" : "that");
	}
	fputs(".", f);
}

static const char *plain(double n, char buf[24])
{
	return short_number(n, buf);
}

/* "The fastest emulated, ATA PIO," or, where there is no choice, "ATA PIO". */
static void put_base(FILE *f, const struct compare_group *g, const struct compare_record *base,
		     const char *best)
{
	unsigned int emulated = 0;

	for (unsigned int i = 0; i < g->nr; i++)
		emulated += compare_is_emulated(g->records[i]);
	if (compare_is_emulated(base) && emulated > 1)
		fprintf(f, "The %s emulated, %s,", best, base->label);
	else
		fputs(base->label, f);
}

static void say_rate(FILE *f, const struct compare_group *g)
{
	const struct compare_record *base = compare_reference(g);
	char n[16];

	if (!base) {
		fputs("Nothing moved.", f);
		return;
	}
	put_base(f, g, base, "fastest");
	fprintf(f, " does %s operations a second",
		short_number(rate(base), n));
	say_others(f, g, base, rate, false, plain);
	end_unequal(f, g, base, rate);
}

static double back_share(const struct compare_record *r)
{
	return compare_per_op(r, server_ns(r)) / 1e3 / compare_cpu_us(r);
}

static void say_cpu(FILE *f, const struct compare_group *g)
{
	const struct compare_record *base = reference(g, compare_cpu_us, true);
	struct extremes back = extremes(g, back_share);
	char n[24];

	if (!base) {
		fputs("CPU time was not counted.", f);
		return;
	}
	put_base(f, g, base, "cheapest");
	fprintf(f, " takes %s for an operation",
		time_text(compare_cpu_us(base), n));
	say_others(f, g, base, compare_cpu_us, true, time_text);
	if (back.most)
		fprintf(f, " The part of %s is largest for %s, %.0f %%.",
			counted(back.most->dom0_cpu_ns) ? "dom0" : "the back end",
			back.most->label, 100 * back_share(back.most));
	end_unequal(f, g, base, compare_cpu_us);
}

static void say_exits(FILE *f, const struct compare_group *g)
{
	const struct compare_record *base = reference(g, exits_per_op, true);
	struct extremes e = extremes(g, exits_per_op);
	char n[16];
	double kicks;

	if (!base) {
		fputs("Exits were not counted.", f);
		return;
	}
	fprintf(f, "%s leaves the guest %s times for an operation", base->label,
		short_number(exits_per_op(base), n));
	say_others(f, g, base, exits_per_op, true, plain);
	kicks = compare_per_op(e.least, e.least->notifications_sent);
	if (kicks > 0 && kicks < 0.95)
		fprintf(f, " By %s one notification stands for %s operations.", e.least->label,
			factor_text(1 / kicks, n));
	end_unequal(f, g, base, exits_per_op);
}

static double tail(const struct compare_record *r)
{
	return p99_us(r) / mean_us(r);
}

static void say_latency(FILE *f, const struct compare_group *g)
{
	const struct compare_record *base = reference(g, mean_us, true);
	struct extremes t = extremes(g, tail);
	char n[24], factor[16];

	if (!base) {
		fputs("Latency was not measured.", f);
		return;
	}
	fprintf(f, "In the mean an operation takes %s by %s", time_text(mean_us(base), n),
		base->label);
	say_others(f, g, base, mean_us, true, time_text);
	if (t.most)
		fprintf(f, " The longest tail is that of %s: p99 is %s, %s times its mean.",
			t.most->label, time_text(p99_us(t.most), n),
			factor_text(tail(t.most), factor));
	end_unequal(f, g, base, mean_us);
}

/* ---- one thing at a time ------------------------------------------------------------- */

/* The first row of the same run. */
static const struct compare_record *base_of(const struct compare_group *g, unsigned int i)
{
	unsigned int first = 0;

	while (g->runs[first] != g->runs[i])
		first++;
	return g->records[first];
}

static double percent(const struct compare_group *g, unsigned int i, measure_fn of)
{
	double base = of(base_of(g, i)), value = of(g->records[i]);

	return base > 0 && value > 0 ? 100 * value / base : NAN;
}

static const char *change_text(double percentage, char buf[40])
{
	char n[16];

	if (isnan(percentage))
		return strcpy(buf, "-");
	if (percentage >= 1000)
		snprintf(buf, 40, "%s times", short_number(percentage / 100, n));
	else
		snprintf(buf, 40, fabs(percentage - 100) < 0.5 ? "0 %%" : "%+.0f %%",
			 percentage - 100);
	return buf;
}

/* The change that makes the most of it, or the least; -1: none. */
static int outermost(const struct compare_group *g, measure_fn of, bool most)
{
	int best = -1;

	for (unsigned int i = 0; i < g->nr; i++) {
		double p = percent(g, i, of);

		if (g->records[i] == base_of(g, i) || isnan(p))
			continue;
		if (best < 0 || (most ? p > percent(g, (unsigned int)best, of) :
					p < percent(g, (unsigned int)best, of)))
			best = (int)i;
	}
	return best;
}

/* "falls most with ..., rises most with ...", where more than two runs scatter. */
#define WORTH_PERCENT 3.0

static void say_moves(FILE *f, const struct compare_group *g, measure_fn of, const char *what)
{
	int low = outermost(g, of, false), high = outermost(g, of, true);
	char text[40];
	bool any = false;

	fprintf(f, " %s", what);
	if (low >= 0 && percent(g, (unsigned int)low, of) < 100 - WORTH_PERCENT) {
		fprintf(f, " fall most with \"%s\" (%s)", g->records[low]->label,
			change_text(percent(g, (unsigned int)low, of), text));
		any = true;
	}
	if (high >= 0 && percent(g, (unsigned int)high, of) > 100 + WORTH_PERCENT) {
		fprintf(f, "%s rise most with \"%s\" (%s)", any ? " and" : "",
			g->records[high]->label, change_text(percent(g, (unsigned int)high, of), text));
		any = true;
	}
	fprintf(f, "%s.", any ? "" : " move by less than 3 %");
}

static void say_change(FILE *f, const struct compare_group *g)
{
	bool unequal = false;

	fprintf(f, "Against \"%s\":", g->records[0]->label);
	say_moves(f, g, rate, "operations per second");
	if (outermost(g, compare_cpu_us, true) >= 0)
		say_moves(f, g, compare_cpu_us, "The microseconds of CPU time for each");
	for (unsigned int i = 0; i < g->nr; i++) {
		if (!*g->records[i]->not_equal)
			continue;
		fprintf(f, "%s%s: %s", unequal ? "; " : " Not equal: ", g->records[i]->label,
			g->records[i]->not_equal);
		unequal = true;
	}
	fputs(unequal ? "." : " Not equal: nothing else was changed.", f);
}

/* ---- what is drawn ----------------------------------------------------------------------- */

static unsigned int model_color(const struct compare_record *r)
{
	return compare_is_emulated(r) ? EMULATED : *r->model == 'x' ? XEN : VIRTIO;
}

static void add_bar(struct chart *c, unsigned int row, double from, double to,
		    unsigned int color, const char *text)
{
	struct chart_bar *b = &c->bars[c->nr_bars++];

	*b = (struct chart_bar){ row, from, to, -0.34, 0.34, color, "" };
	snprintf(b->text, sizeof(b->text), "%s", text);
}

/* Its row divided into so many lanes. */
static void in_lane(struct chart *c, unsigned int lane, unsigned int lanes)
{
	struct chart_bar *b = &c->bars[c->nr_bars - 1];
	double height = 0.8 / lanes;

	b->top = -0.4 + lane * height + 0.02;
	b->bottom = b->top + height - 0.04;
}

static void draw_rate(struct chart *c, const struct compare_record *r, unsigned int row)
{
	char n[16], text[40];
	double moved = compare_rate(r);

	snprintf(text, sizeof(text), "%s", short_number(r->ops_per_s, n));
	if (counted(moved))
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %s %s",
			 short_number(moved, n), compare_is_nic(r) ? "Mbit/s" : "MiB/s");
	add_bar(c, row, 0, r->ops_per_s, model_color(r), text);
}

static void draw_cpu(struct chart *c, const struct compare_record *r, unsigned int row)
{
	double vcpu = compare_per_op(r, r->vcpu_cpu_ns) / 1e3;
	double back = compare_per_op(r, server_ns(r)) / 1e3;
	char a[16], b[16], text[40];

	short_number(vcpu, a);
	if (back > 0)
		snprintf(text, sizeof(text), "%s + %s", a, short_number(back, b));
	else
		snprintf(text, sizeof(text), "%s", a);
	add_bar(c, row, 0, vcpu, VCPU, back > 0 ? "" : text);
	if (back > 0)
		add_bar(c, row, vcpu, vcpu + back, BACK, text);
}

static void draw_exits(struct chart *c, const struct compare_record *r, unsigned int row)
{
	const double counts[] = { r->exits, r->notifications_sent, r->interrupts };
	char n[16];

	for (unsigned int i = 0; i < 3; i++) {
		double per_op = compare_per_op(r, counts[i]);

		add_bar(c, row, 0, per_op, EXITS + i, short_number(per_op, n));
		in_lane(c, i, 3);
	}
}

static void draw_latency(struct chart *c, const struct compare_record *r, unsigned int row)
{
	double from = mean_us(r), to = p99_us(r);
	char a[16], b[16], text[40];

	snprintf(text, sizeof(text), "%s, p99 %s", short_number(from, a), short_number(to, b));
	add_bar(c, row, 0, from, model_color(r), to > from ? "" : text);
	if (!(to > from))
		return;
	add_bar(c, row, from, to, TAIL, text);
	c->bars[c->nr_bars - 1].top = -0.12;
	c->bars[c->nr_bars - 1].bottom = 0.12;
}

static void draw_change(struct chart *c, const struct compare_group *g, unsigned int i,
			unsigned int row)
{
	double ops = percent(g, i, rate), cpu = percent(g, i, compare_cpu_us);
	char text[40];

	add_bar(c, row, 100, ops, XEN, change_text(ops, text));
	in_lane(c, 0, 2);
	add_bar(c, row, 100, cpu, BACK, change_text(cpu, text));
	in_lane(c, 1, 2);
}

/* So many characters of UTF-8, and the run's letter. */
static void put_label(char label[CHART_LABEL_BYTES], const struct compare_group *g, unsigned int i)
{
	const char *text = g->records[i]->label, *end = text;
	unsigned int left = 25;

	while (*end && (((unsigned char)*end & 0xc0) == 0x80 || left--))
		end++;
	snprintf(label, CHART_LABEL_BYTES, "%.*s%s", (int)(end - text), text, *end ? "\u2026" : "");
	if (g->several)
		sprintf(label + strlen(label), " [%c]", 'A' + (int)g->runs[i]);
}

static bool has(const struct compare_group *g, measure_fn of)
{
	for (unsigned int i = 0; i < g->nr; i++)
		if (counted(of(g->records[i])))
			return true;
	return false;
}

static const struct {
	const char *unit;
	unsigned int lanes;
	bool log, changes;
	measure_fn needs;
	void (*say)(FILE *f, const struct compare_group *g);
	void (*draw)(struct chart *c, const struct compare_record *r, unsigned int row);
} kinds[PICTURE_KINDS] = {
	[PICTURE_RATE] = { "operations per second", 1, true, false, rate, say_rate, draw_rate },
	[PICTURE_CPU] = { "microseconds of CPU time", 1, false, false, compare_cpu_us, say_cpu,
			  draw_cpu },
	[PICTURE_EXITS] = { "per operation", 3, true, false, exits_per_op, say_exits, draw_exits },
	[PICTURE_LATENCY] = { "microseconds", 1, true, false, mean_us, say_latency, draw_latency },
	[PICTURE_CHANGE] = { "of the first row", 2, true, true, rate, say_change, NULL },
};

static void draw(struct chart *c, const struct compare_group *g, enum picture_kind kind)
{
	for (unsigned int i = 0; i < g->nr && c->nr_rows < CHART_ROWS_MAX; i++) {
		unsigned int row = c->nr_rows;

		if (kinds[kind].changes && g->records[i] == base_of(g, i))
			continue;
		put_label(c->labels[c->nr_rows++], g, i);
		if (kinds[kind].changes)
			draw_change(c, g, i, row);
		else
			kinds[kind].draw(c, g->records[i], row);
	}
}

/* Of each run by itself: across machines nothing is equal. */
static void say(FILE *f, const struct compare_group *g, enum picture_kind kind)
{
	for (unsigned int first = 0; first < g->nr;) {
		struct compare_group one = compare_group_run(g, first);

		if (g->several)
			fprintf(f, "%s[%c] ", first ? " " : "", 'A' + (int)g->runs[first]);
		kinds[kind].say(f, &one);
		first += one.nr;
	}
}

struct chart *compare_picture(const struct compare_group *g, enum picture_kind kind,
			      const char *letter)
{
	struct chart *c;
	size_t bytes;
	FILE *f;

	if (g->nr < 2 || g->changes != kinds[kind].changes || !has(g, kinds[kind].needs))
		return NULL;
	c = calloc(1, sizeof(*c));
	f = c ? open_memstream(&c->sentence, &bytes) : NULL;
	if (!f) {
		chart_free(c);
		return NULL;
	}
	say(f, g, kind);
	fclose(f);
	if (asprintf(&c->title, "%s%s", g->records[0]->table, letter) < 0)
		c->title = NULL;
	c->unit = kinds[kind].unit;
	c->log = kinds[kind].log;
	c->lanes = kinds[kind].lanes;
	c->base = kinds[kind].changes ? 100 : NAN;
	draw(c, g, kind);
	if (c->title && c->sentence)
		return c;
	chart_free(c);
	return NULL;
}
