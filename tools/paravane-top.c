/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane top: what the devices do now, in a terminal, as text, as JSON.
 *
 * Hides: options, the two forms for programs. Must not know: curses.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "paravane.h"
#include "paravane-top.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane top [OPTION]...\n"
"\n"
"Shows what the disks and network interfaces that this machine's back ends serve do:\n"
"operations and bytes a second, latency from taking a request to publishing its\n"
"answer, how many are on their way, pages granted, events for each operation, and the\n"
"CPU of the worker. Reads the workers' figures and disturbs none.\n"
"\n"
"  -d, --delay SECONDS  between two looks, 0.1 to 3600; default 2\n"
"  -n, --number N       end after N tables; default: never\n"
"      --sort COLUMN    name, iops (the default), throughput, p50, p99, p999, depth,\n"
"                       grants, notify or cpu\n"
"      --filter TEXT    only devices with this in DOMAIN/DEVICE, image or bridge\n"
"      --kind KIND      only vbd, vbd3, vif: disks, or network interfaces\n"
"  -b, --batch          tables on standard output, for no terminal\n"
"      --json           JSON objects, one a line for each look; units are in the names\n"
"\n"
"In a terminal, h lists the keys.\n"
"\n"
"Exit status: 0 ended, 1 error, 2 wrong usage.\n";

enum { OPT_JSON = 256, OPT_SORT, OPT_FILTER };

static const struct option options[] = {
	{ "delay", required_argument, NULL, 'd' },
	{ "number", required_argument, NULL, 'n' },
	{ "sort", required_argument, NULL, OPT_SORT },
	{ "filter", required_argument, NULL, OPT_FILTER },
	{ "kind", required_argument, NULL, 'k' },
	{ "batch", no_argument, NULL, 'b' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct top {
	struct top_table table;
	int delay_ms;
	uint64_t nr_looks;
	bool batch, json;
};

/* ---- for programs ------------------------------------------------------------------------ */

static json_t *names(const struct sample *s)
{
	json_t *o = json_object();

	json_object_set_new(o, "domid", json_integer(s->domid));
	json_object_set_new(o, "domain", json_string(s->domain));
	json_object_set_new(o, "device", json_string(s->device));
	json_object_set_new(o, "devid", json_integer(s->devid));
	json_object_set_new(o, "kind", json_string(s->kind));
	json_object_set_new(o, s->is_nic ? "bridge" : "image", json_string(s->store));
	json_object_set_new(o, "worker_pid", json_integer(s->pid));
	json_object_set_new(o, "worker_restarts", json_integer((json_int_t)s->restarts));
	return o;
}

static void set(json_t *o, const char *name, double n)
{
	json_object_set_new(o, name, json_real(round(n * 1000) / 1000));
}

json_t *top_object(const struct sample *s, const struct rates *r)
{
	bool nic = s->is_nic;
	json_t *o = names(s);

	json_object_set_new(o, "in_flight", json_integer((json_int_t)r->in_flight));
	if (!s->has_since)
		return o;
	set(o, "seconds", s->seconds);
	set(o, nic ? "frames_per_s" : "operations_per_s", r->operations_per_s);
	set(o, nic ? "sent_frames_per_s" : "reads_per_s", r->read_per_s);
	set(o, nic ? "received_frames_per_s" : "writes_per_s", r->write_per_s);
	set(o, nic ? "sent_bytes_per_s" : "read_bytes_per_s", r->read_bytes_per_s);
	set(o, nic ? "received_bytes_per_s" : "written_bytes_per_s", r->write_bytes_per_s);
	set(o, "latency_p50_us", r->p50_us);
	set(o, "latency_p99_us", r->p99_us);
	set(o, "latency_p999_us", r->p999_us);
	set(o, "latency_mean_us", r->mean_us);
	set(o, "depth_mean", r->depth);
	set(o, "granted_pages_per_s", r->grants_per_s);
	if (!nic)
		set(o, "cached_pages_per_s", r->cached_per_s);
	set(o, "notifications_per_s", r->notifications_per_s);
	set(o, nic ? "notifications_per_frame" : "notifications_per_operation",
	    r->notifications_per_operation);
	set(o, "wakeups_per_s", r->wakeups_per_s);
	set(o, nic ? "drops_per_s" : "errors_per_s", nic ? r->drops_per_s : r->errors_per_s);
	set(o, "worker_cpu", r->cpu);
	return o;
}

static void print_json(const struct top_table *t)
{
	json_t *devices = json_array(), *all = json_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (uint32_t i = 0; i < t->nr; i++)
		json_array_append_new(devices, top_object(t->rows[i].sample, &t->rows[i].rates));
	set(all, "time_s", (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	json_object_set_new(all, "devices", devices);
	json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(all);
}

static void print_table(const struct top_table *t)
{
	char text[512];

	top_sum_line(t, text, sizeof(text));
	puts(text);
	top_header_line(TOP_LINE_MIN, text, sizeof(text));
	puts(text);
	for (uint32_t i = 0; i < t->nr; i++) {
		top_row_line(&t->rows[i], TOP_LINE_MIN, text, sizeof(text));
		puts(text);
	}
	putchar('\n');
}

/* What is printed needs a look before it. */
static int print_all(struct top *top)
{
	struct timespec delay = { top->delay_ms / 1000, top->delay_ms % 1000 * 1000000l };
	int rc = top_look(&top->table);

	for (uint64_t i = 0; !rc && (!top->nr_looks || i < top->nr_looks); i++) {
		nanosleep(&delay, NULL);
		rc = top_look(&top->table);
		if (rc)
			break;
		if (top->json)
			print_json(&top->table);
		else
			print_table(&top->table);
		if (fflush(stdout) || ferror(stdout))
			return complain(STATUS_ERROR, "standard output: %s", strerror(errno));
	}
	return rc ? complain(STATUS_ERROR, "top: %s", strerror(-rc)) : STATUS_OK;
}

/* ---- options ------------------------------------------------------------------------------ */

static int parse_delay(const char *text, int *delay_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		return complain_usage(&top_command, "--delay \"%s\": seconds are expected, 0.1 to "
				      "3600", text);
	*delay_ms = (int)(seconds * 1000 + 0.5);
	return STATUS_OK;
}

static int take(struct top *top, int opt, const char *word)
{
	const char *kind = NULL;
	int column;

	switch (opt) {
	case 'd':
		return parse_delay(optarg, &top->delay_ms);
	case 'n':
		if (parse_u64(optarg, UINT32_MAX, &top->nr_looks) || !top->nr_looks)
			return complain_usage(&top_command, "--number \"%s\": a number from 1 on is "
					      "expected", optarg);
		break;
	case 'k':
		if (parse_kind(&top_command, optarg, &kind))
			return STATUS_USAGE;
		top->table.kind = is_nic(kind) ? TOP_NICS : TOP_DISKS;
		break;
	case 'b':
		top->batch = true;
		break;
	case OPT_JSON:
		top->json = true;
		break;
	case OPT_FILTER:
		snprintf(top->table.filter, sizeof(top->table.filter), "%s", optarg);
		break;
	case OPT_SORT:
		column = top_column(optarg);
		if (column < 0)
			return complain_usage(&top_command, "--sort \"%s\": a column is expected",
					      optarg);
		top->table.sort = (uint32_t)column;
		break;
	case ':':
		return complain_usage(&top_command, "top: option \"%s\" needs a value", word);
	default:
		return complain_usage(&top_command, "top: unknown option \"%s\"", word);
	}
	return STATUS_OK;
}

static int parse(struct top *top, int argc, char **argv, bool *finished)
{
	int opt, status = STATUS_OK;

	while (!status && (opt = getopt_long(argc, argv, ":hd:n:b", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help_text, stdout);
			*finished = true;
			return STATUS_OK;
		}
		status = take(top, opt, argv[optind - 1]);
	}
	return status ? status : common_operands(&top_command, argc, 0, 0);
}

static void close_top(struct top *top)
{
	top_free(&top->table);
}

static int run(int argc, char **argv)
{
	struct top top __attribute__((cleanup(close_top))) = {
		.delay_ms = 2000, .table.sort = 1,
	};
	bool finished = false;
	int status = parse(&top, argc, argv, &finished);

	if (status || finished)
		return status;
	if (sampler_open(&top.table.sampler))
		return complain(STATUS_ERROR, "top: out of memory");
	if (top.json || top.batch)
		return print_all(&top);
	return top_screen(&top.table, top.delay_ms, top.nr_looks);
}

const struct subcommand top_command = {
	.name = "top",
	.summary = "shows what the devices do now",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
