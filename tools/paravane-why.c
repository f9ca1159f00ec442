/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane why: what holds a device back, from two readings of its figures and what both
 * ends agreed on.
 *
 * Hides: which figures mean what. Must not know: where they come from. The thresholds are
 * rules of thumb: a finding names the figure, so that who reads it can judge.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "paravane.h"
#include "paravane-top.h"
#include "paravane-view.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane why DOMAIN DEVICE [OPTION]...\n"
"\n"
"Why is it slow? Looks at a device's figures for some seconds while the guest uses it,\n"
"and says what was measured, what both ends agreed on, and what holds it back: a queue\n"
"depth of 1, small requests, limits, the image, the worker's CPU, slots that the guest\n"
"does not offer; each with what to do. Needs this machine's back end.\n"
"\n"
"  --seconds S    between the two looks, 1 to 3600; default 3\n"
"  --json         one JSON object\n"
"  --kind KIND    which, when several back ends name the same device\n"
"\n"
"Exit status: 0 said, 1 error, 2 wrong usage, 4 no such device.\n";

#define FINDINGS_MAX 16u

enum { OPT_SECONDS = 256, OPT_JSON };

static const struct option options[] = {
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "kind", required_argument, NULL, 'k' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct finding {
	const char *topic, *advice;
	char is[200];
};

struct why {
	struct store store;
	struct common_options common;
	struct inventory_device dev;
	struct sampler *sampler;
	const struct sample *sample;
	struct rates rates;
	uint64_t seconds;
	bool json;
	char limits[200];		/* what was agreed on */
	struct finding found[FINDINGS_MAX];
	uint32_t nr;
};

static void find(struct why *w, const char *topic, const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void find(struct why *w, const char *topic, const char *advice, const char *fmt, ...)
{
	struct finding *f = &w->found[w->nr];
	va_list ap;

	if (w->nr == FINDINGS_MAX)
		return;
	w->nr++;
	f->topic = topic;
	f->advice = advice;
	va_start(ap, fmt);
	vsnprintf(f->is, sizeof(f->is), fmt, ap);
	va_end(ap);
}

/* ---- disks ------------------------------------------------------------------------------- */

static void judge_disk_depth(struct why *w, uint32_t slots)
{
	const struct rates *r = &w->rates;

	if (r->depth >= 0.75 * slots)
		find(w, "ring", "a larger ring, more queues, or indirect requests, in the guest",
		     "%.1f requests were on their way, of the %u that the ring holds", r->depth, slots);
	else if (r->depth > 0.3 && r->depth < 1.2 && r->cpu < 0.9)
		find(w, "depth", "let the guest ask for more at once: several jobs, asynchronous I/O, "
		     "a larger readahead",
		     "%.2f requests were on their way: the guest waits for each answer", r->depth);
	else if (r->depth <= 0.3 && r->cpu < 0.9)
		find(w, "guest", "look in the guest: its programs, its CPUs",
		     "%.2f requests were on their way: most of the time the back end had nothing to do",
		     r->depth);
}

static void judge_disk_requests(struct why *w)
{
	const struct rates *r = &w->rates;
	const struct blk_figures *f = &w->sample->since.disk;
	double mean = r->operations_per_s > 0 ? r->bytes_per_s / r->operations_per_s : 0;

	if (r->operations_per_s > 500 && mean > 0 && mean < 8192)
		find(w, "size", "larger requests: the program's block size, the file system's readahead, "
		     "a scheduler in the guest that merges",
		     "a request has %.1f KiB on average", mean / 1024);
	if (r->notifications_per_operation > 0.5 && r->depth > 2)
		find(w, "events", "a front end that asks for events less often: feature of its driver",
		     "%.2f events were sent for each request", r->notifications_per_operation);
	if (f->mapped_pages + f->copied_pages > f->segments / 2 && f->segments)
		find(w, "grants", "a front end with persistent grants; \"paravane explain\" says who has "
		     "not offered them", "%.0f pages a second were mapped or copied", r->grants_per_s);
}

static void judge_disk(struct why *w, uint32_t slots, uint32_t queues)
{
	const struct rates *r = &w->rates;
	const struct blk_figures *f = &w->sample->since.disk;

	if (!f->requests && !f->in_flight) {
		find(w, "idle", "run what is slow in the guest, and this again",
		     "the guest asked for nothing");
		return;
	}
	if (f->throttled)
		find(w, "limit", "\"paravane limit\" shows its limits, and changes them",
		     "its limits made requests wait %" PRIu64 " times", f->throttled);
	if (f->errors + f->unsupported)
		find(w, "errors", "the daemon's log names them",
		     "%" PRIu64 " requests were answered with an error", f->errors + f->unsupported);
	if (r->cpu > 0.9 * queues)
		find(w, "cpu", "more queues, as many as the guest has CPUs; a CPU that is not shared",
		     "the worker used %.0f %% of a CPU with %u %s", r->cpu * 100, queues,
		     queues == 1 ? "queue" : "queues");
	else if (r->mean_us > 1000)
		find(w, "image", "faster storage; cache mode none where the page cache is what is waited "
		     "for; look at the host's other users of it",
		     "a request took %.1f ms on average, and the worker %.0f %% of a CPU: it waits for "
		     "the image", r->mean_us / 1000, r->cpu * 100);
	judge_disk_depth(w, slots);
	judge_disk_requests(w);
}

static void look_at_disk(struct why *w)
{
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
	judge_disk(w, 32 * pages * queues, queues);
	disk_view_close(&v);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static void judge_drops(struct why *w)
{
	const struct vif_figures *f = &w->sample->since.nic;

	for (uint32_t i = 1; i < VSWITCH_NR_DROPS; i++) {
		if (!f->port.dropped[i])
			continue;
		find(w, "drops", i == VSWITCH_QUEUE_FULL ? "see \"slots\"; more memory or CPU for the guest" :
		     "\"paravane bridge show\" has all of the bridge",
		     "%" PRIu64 " frames were dropped: %s", f->port.dropped[i], vswitch_drop_name(i));
	}
}

static void judge_nic(struct why *w, bool large)
{
	const struct rates *r = &w->rates;
	const struct vif_figures *f = &w->sample->since.nic;
	uint64_t frames = f->tx_frames + f->rx_frames;

	if (!frames) {
		find(w, "idle", "run what is slow in the guest, and this again",
		     "no frame was sent or received");
		return;
	}
	if (f->throttled)
		find(w, "limit", "\"paravane limit\" and \"paravane bridge port\" change its limits",
		     "its limits made frames wait %" PRIu64 " times", f->throttled);
	if (f->passes && f->rx_starved > f->passes / 10)
		find(w, "slots", "the guest's CPU is what is short, or its driver has few buffers",
		     "%" PRIu64 " of %" PRIu64 " passes found no rx slots: the guest does not offer new "
		     "ones in time", f->rx_starved, f->passes);
	judge_drops(w);
	if (r->cpu > 0.9)
		find(w, "cpu", "put busy guests on bridges of their own: each has a worker",
		     "the bridge's worker used %.0f %% of a CPU", r->cpu * 100);
	if (!large && r->bytes_per_s > 10e6)
		find(w, "gso", "turn scatter-gather and TCP segmentation on in the guest (ethtool -K)",
		     "the guest takes no large packets: frames have %.0f bytes on average",
		     r->bytes_per_s / r->operations_per_s);
	if (r->notifications_per_operation > 0.7 && r->operations_per_s > 10000)
		find(w, "events", "nothing: the guest sleeps between frames",
		     "%.2f events were sent for each frame", r->notifications_per_operation);
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
	judge_nic(w, large);
}

/* ---- output -------------------------------------------------------------------------------------- */

static void print_text(const struct why *w)
{
	const struct rates *r = &w->rates;

	printf("measured for %.1f s: %.0f %s/s, %.1f MiB/s, %.1f on their way\n", w->sample->seconds,
	       r->operations_per_s, w->sample->is_nic ? "frames" : "requests",
	       r->bytes_per_s / 1048576, r->depth);
	printf("latency: half within %.0f us, 99 %% within %.0f us, 99.9 %% within %.0f us\n",
	       r->p50_us, r->p99_us, r->p999_us);
	printf("%.2f events each, the worker %.0f %% of a CPU\n", r->notifications_per_operation,
	       r->cpu * 100);
	printf("agreed: %s\n", w->limits);
	for (uint32_t i = 0; i < w->nr; i++)
		printf("\n%s: %s\n    %s\n", w->found[i].topic, w->found[i].is, w->found[i].advice);
	if (!w->nr)
		puts("\nnothing stands out: requests are many, and answered soon");
}

static void print_json(const struct why *w)
{
	json_t *findings = json_array(), *o = top_object(w->sample, &w->rates);

	for (uint32_t i = 0; i < w->nr; i++)
		json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "topic", w->found[i].topic,
							  "is", w->found[i].is, "advice",
							  w->found[i].advice));
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
	struct timespec wait = { .tv_sec = (time_t)w->seconds };

	if (sampler_open(&w->sampler) || sampler_look(w->sampler))
		return complain(STATUS_ERROR, "out of memory");
	if (!own_sample(w))
		return complain(STATUS_ERROR, "%s of domain %u: no worker of this machine's back end "
				"serves it now", device, w->dev.domid);
	nanosleep(&wait, NULL);
	if (sampler_look(w->sampler))
		return complain(STATUS_ERROR, "out of memory");
	w->sample = own_sample(w);
	if (!w->sample || !w->sample->has_since)
		return complain(STATUS_ERROR, "%s of domain %u was closed meanwhile", device,
				w->dev.domid);
	sample_rates(w->sample, &w->rates);
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
	if (!status)
		status = store_open(&w.store);
	if (!status)
		status = store_find(&w.store, &w.common, argv[optind], argv[optind + 1], &w.dev);
	if (!status)
		status = measure(&w, argv[optind + 1]);
	if (status)
		return status;
	if (w.sample->is_nic)
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
