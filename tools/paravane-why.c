/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane why: what holds a device back, from two readings of its figures and what both
 * ends agreed on.
 *
 * Hides: the two readings, how findings are shown. Must not know: the judgement
 * (paravane-findings.h).
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-findings.h"
#include "paravane-threads.h"
#include "paravane-top.h"
#include "paravane-view.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane why DOMAIN DEVICE [OPTION]...\n"
"\n"
"Why is it slow? Looks at a device's figures for some seconds while the guest uses it,\n"
"and says what was measured, what both ends agreed on, and what holds it back: an image\n"
"that does not answer, a queue depth of 1, small requests, limits, slow storage, the\n"
"worker's CPU, slots that the guest does not offer; each with what to do. Needs this\n"
"machine's back end.\n"
"\n"
"  --seconds S    between the two looks, 1 to 3600; default 3\n"
"  --json         one JSON object\n"
"  --kind KIND    which, when several back ends name the same device\n"
"\n"
"Exit status: 0 said, 1 error, 2 wrong usage, 3 XenStore does not answer, 4 no such\n"
"device.\n";

enum { OPT_SECONDS = 256, OPT_JSON };

static const struct option options[] = {
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "kind", required_argument, NULL, 'k' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct why {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	struct sampler *sampler;
	struct measured measured;
	struct rates rates;		/* measured's */
	uint64_t seconds;
	bool json;
	char limits[200];		/* what was agreed on */
	struct findings findings;
};

/* ---- the two classes ------------------------------------------------------------------------- */

static void look_at_disk(struct why *w)
{
	struct disk_means means;
	struct disk_view v;
	uint32_t queues, pages;
	bool persistent;

	disk_view_look(&w->store, &w->dev, &v);
	queues = v.base.has_front ? v.front.nr_queues : 1;
	pages = v.base.has_front ? 1u << v.front.queue[0].order : 1;
	persistent = v.features.persistent && v.front.persistent;
	snprintf(w->limits, sizeof(w->limits), "%u %s of %u %s, %u segments a request, %s, engine %s",
		 queues, queues == 1 ? "queue" : "queues", pages, pages == 1 ? "page" : "pages",
		 v.features.max_indirect_segments, persistent ? "persistent grants" :
		 "no persistent grants", v.run.engine[0] ? v.run.engine : "unknown");
	means.slots = 32 * pages * queues;
	means.queues = queues;
	means.server = v.run.server;
	findings_of_disk(&w->measured, &means, &w->findings);
	disk_view_close(&v);
}

static void look_at_nic(struct why *w)
{
	const struct vif_frontend *g;
	struct nic_view v;
	bool large;

	nic_view_look(&w->store, &w->dev, &v);
	g = &v.front;
	large = v.base.has_front && g->sg && (g->gso_tcpv4 || g->gso_tcpv6);
	snprintf(w->limits, sizeof(w->limits), "%u %s, %s, %s, checksums %s", g->nr_queues,
		 g->nr_queues == 1 ? "queue" : "queues", g->sg ? "scatter-gather" : "no scatter-gather",
		 large ? "large packets" : "no large packets", g->no_csum ? "complete" : "may be blank");
	findings_of_nic(&w->measured, large, &w->findings);
}

/* ---- output -------------------------------------------------------------------------------------- */

static void print_text(const struct why *w)
{
	const struct sample *s = w->measured.sample;
	const struct rates *r = &w->rates;

	printf("measured for %.1f s: %.0f %s/s, %.1f MiB/s, %.1f on their way\n", s->seconds,
	       r->operations_per_s, s->is_nic ? "frames" : "requests", r->bytes_per_s / 1048576,
	       r->depth);
	if (r->p999_us > 0)
		printf("latency: half within %.0f us, 99 %% within %.0f us, 99.9 %% within %.0f us\n",
		       r->p50_us, r->p99_us, r->p999_us);
	printf("%.2f events each, the worker %.0f %% of a CPU\n", r->notifications_per_operation,
	       r->cpu * 100);
	printf("agreed: %s\n", w->limits);
	for (uint32_t i = 0; i < w->findings.nr; i++) {
		const struct finding *f = &w->findings.found[i];

		printf("\n%s: %s\n    %s\n", f->topic, f->is, f->advice);
	}
	if (!w->findings.nr)
		puts("\nnothing stands out: requests are many, and answered soon");
}

static void print_json(const struct why *w)
{
	json_t *findings = json_array(), *o = top_object(w->measured.sample, &w->rates);

	for (uint32_t i = 0; i < w->findings.nr; i++) {
		const struct finding *f = &w->findings.found[i];

		json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "topic", f->topic, "is",
							  f->is, "advice", f->advice));
	}
	json_object_set_new(o, "agreed", json_string(w->limits));
	json_object_set_new(o, "findings", findings);
	json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(o);
}

/* ---- options --------------------------------------------------------------------------------------- */

static const struct sample *own_sample(const struct why *w)
{
	for (uint32_t i = 0; i < sampler_nr(w->sampler); i++) {
		const struct sample *s = sampler_get(w->sampler, i);

		if (s->domid == w->dev.domid && s->devid == w->dev.devid &&
		    !strcmp(s->kind, w->dev.kind))
			return s;
	}
	return NULL;
}

static int measure(struct why *w, const char *device)
{
	struct threads before __attribute__((cleanup(threads_free))) = { .nr = 0 };
	struct threads now __attribute__((cleanup(threads_free))) = { .nr = 0 };
	struct timespec wait = { .tv_sec = (time_t)w->seconds };
	const struct sample *s;

	if (sampler_open(&w->sampler) || sampler_look(w->sampler))
		return complain(STATUS_ERROR, "out of memory");
	s = own_sample(w);
	if (!s)
		return complain(STATUS_ERROR, "%s of domain %u: no worker of this machine's back end "
				"serves it now", device, w->dev.domid);
	threads_look(&before, s->pid);
	nanosleep(&wait, NULL);
	if (sampler_look(w->sampler))
		return complain(STATUS_ERROR, "out of memory");
	s = own_sample(w);
	if (!s || !s->has_since)
		return complain(STATUS_ERROR, "%s of domain %u was closed meanwhile", device,
				w->dev.domid);
	threads_look(&now, s->pid);
	sample_rates(s, &w->rates);
	w->measured = (struct measured){ s, &w->rates, threads_busiest(&before, &now) };
	return STATUS_OK;
}

static int take(struct why *w, int opt, const char *word)
{
	switch (opt) {
	case 'k':
		return parse_kind(&why_command, optarg, &w->common.kind);
	case OPT_SECONDS:
		if (parse_u64(optarg, 3600, &w->seconds) || !w->seconds)
			return complain_usage(&why_command, "--seconds \"%s\": 1 to 3600 is expected",
					      optarg);
		return STATUS_OK;
	case OPT_JSON:
		w->json = true;
		return STATUS_OK;
	case ':':
		return complain_usage(&why_command, "why: option \"%s\" needs a value", word);
	default:
		return complain_usage(&why_command, "why: unknown option \"%s\"", word);
	}
}

static void close_why(struct why *w)
{
	sampler_close(w->sampler);
	store_close(&w->store);
}

static int run(int argc, char **argv)
{
	struct why w __attribute__((cleanup(close_why))) = { .seconds = 3 };
	int opt, status = STATUS_OK;

	while (!status && (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help_text, stdout);
			return STATUS_OK;
		}
		status = take(&w, opt, argv[optind - 1]);
	}
	if (!status)
		status = common_operands(&why_command, argc, 2, 2);
	if (status)
		return status;
	deadline_set((int)w.seconds * 1000);
	status = store_open(&w.store);
	if (!status)
		status = store_find(&w.store, &w.common, argv[optind], argv[optind + 1], &w.dev);
	if (!status)
		status = measure(&w, argv[optind + 1]);
	if (status)
		return status;
	if (w.measured.sample->is_nic)
		look_at_nic(&w);
	else
		look_at_disk(&w);
	if (w.json)
		print_json(&w);
	else
		print_text(&w);
	return STATUS_OK;
}

const struct subcommand why_command = {
	.name = "why",
	.summary = "says what holds a device back",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
