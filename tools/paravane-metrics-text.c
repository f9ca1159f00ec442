/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics as text (paravane-metrics.h). Names are an interface: docs/metrics.md has them,
 * and tests/metrics.py compares.
 */
#include "paravane-metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include "paravane.h"
#include "paravane-runinfo.h"
#include "util.h"

#define SECTOR_BYTES 512u
/* Bounds of a histogram's buckets: each twice the one before, all of them ends of ours. */
#define FIRST_BOUND 4u			/* HISTOGRAM_UNIT_NS << that: 1.024 us */
#define LAST_BOUND 28u			/* 17.2 s */

enum of { OF_DISK, OF_NIC };
enum type { COUNTER, GAUGE, HISTOGRAM };

struct series {
	const char *label;		/* "op=\"read\"", or NULL */
	size_t at;			/* of a uint64_t, or a struct histogram */
};

struct metric {
	const char *name, *help;
	enum of of;
	enum type type;
	uint32_t factor;		/* 0: 1 */
	struct series series[8];	/* as many as have a place or a label */
};

#define DISK(member) offsetof(struct blk_figures, member)
#define NIC(member) offsetof(struct vif_figures, member)
#define ONE(place) { { NULL, place } }

static const struct metric metrics[] = {
	{ "paravane_disk_requests_total", "Requests that succeeded, by operation.",
	  OF_DISK, COUNTER, 0,
	  { { "op=\"read\"", DISK(reads) }, { "op=\"write\"", DISK(writes) },
	    { "op=\"flush\"", DISK(flushes) }, { "op=\"discard\"", DISK(discards) },
	    { "op=\"barrier\"", DISK(barriers) } } },
	{ "paravane_disk_bytes_total", "Bytes read and written.", OF_DISK, COUNTER, SECTOR_BYTES,
	  { { "op=\"read\"", DISK(read_sectors) }, { "op=\"write\"", DISK(written_sectors) } } },
	{ "paravane_disk_errors_total", "Requests answered with an error, or as not supported.",
	  OF_DISK, COUNTER, 0,
	  { { "status=\"error\"", DISK(errors) }, { "status=\"unsupported\"", DISK(unsupported) } } },
	{ "paravane_disk_request_duration_seconds",
	  "From taking a request off the ring to publishing its response.",
	  OF_DISK, HISTOGRAM, 0,
	  { { "op=\"read\"", DISK(latency[BLK_LATENCY_READ]) },
	    { "op=\"write\"", DISK(latency[BLK_LATENCY_WRITE]) },
	    { "op=\"other\"", DISK(latency[BLK_LATENCY_OTHER]) } } },
	{ "paravane_disk_requests_in_flight", "Requests taken and not answered.",
	  OF_DISK, GAUGE, 0, ONE(DISK(in_flight)) },
	{ "paravane_disk_requests_taken_total", "Requests taken off the ring.",
	  OF_DISK, COUNTER, 0, ONE(DISK(requests)) },
	{ "paravane_disk_replayed_requests_total",
	  "Requests that a worker took over from one that died.",
	  OF_DISK, COUNTER, 0, ONE(DISK(replayed)) },
	{ "paravane_disk_segments_total", "Segments of requests.",
	  OF_DISK, COUNTER, 0, ONE(DISK(segments)) },
	{ "paravane_disk_granted_pages_total",
	  "Pages of the guest by how they were reached: persistent, mapped for a request, copied.",
	  OF_DISK, COUNTER, 0,
	  { { "how=\"persistent\"", DISK(cached_pages) }, { "how=\"mapped\"", DISK(mapped_pages) },
	    { "how=\"copied\"", DISK(copied_pages) } } },
	{ "paravane_disk_copied_bytes_total", "Bytes copied by grant copies.",
	  OF_DISK, COUNTER, 0, ONE(DISK(copied_bytes)) },
	{ "paravane_disk_persistent_maps_total", "Pages mapped to stay mapped.",
	  OF_DISK, COUNTER, 0, ONE(DISK(cache_maps)) },
	{ "paravane_disk_persistent_pages", "Pages that are mapped and kept so.",
	  OF_DISK, GAUGE, 0, ONE(DISK(cache_size_pages)) },
	{ "paravane_disk_response_pushes_total", "Times that responses were published.",
	  OF_DISK, COUNTER, 0, ONE(DISK(pushes)) },
	{ "paravane_disk_notifications_sent_total",
	  "Events sent to the guest; pushes less these were not asked for.",
	  OF_DISK, COUNTER, 0, ONE(DISK(notifications_sent)) },
	{ "paravane_disk_notifications_received_total", "Events received from the guest.",
	  OF_DISK, COUNTER, 0, ONE(DISK(wakeups)) },
	{ "paravane_disk_polls_total", "Looks at an idle ring before sleeping.",
	  OF_DISK, COUNTER, 0,
	  { { "result=\"hit\"", DISK(spins_hit) }, { "result=\"miss\"", DISK(spins_missed) } } },
	{ "paravane_disk_passes_total", "Passes over the ring that found something to do.",
	  OF_DISK, COUNTER, 0, ONE(DISK(passes)) },
	{ "paravane_disk_throttled_passes_total",
	  "Passes that left requests in the ring because of the disk's limits.",
	  OF_DISK, COUNTER, 0, ONE(DISK(throttled)) },
	{ "paravane_nic_frames_total", "Frames that the guest sent and received.",
	  OF_NIC, COUNTER, 0,
	  { { "direction=\"sent\"", NIC(tx_frames) },
	    { "direction=\"received\"", NIC(rx_frames) } } },
	{ "paravane_nic_bytes_total", "Bytes of these frames.", OF_NIC, COUNTER, 0,
	  { { "direction=\"sent\"", NIC(tx_bytes) }, { "direction=\"received\"", NIC(rx_bytes) } } },
	{ "paravane_nic_slots_total", "Ring slots of these frames.", OF_NIC, COUNTER, 0,
	  { { "direction=\"sent\"", NIC(tx_slots) }, { "direction=\"received\"", NIC(rx_slots) } } },
	{ "paravane_nic_large_packets_total", "Of these frames, those with segmentation left to do.",
	  OF_NIC, COUNTER, 0,
	  { { "direction=\"sent\"", NIC(tx_large) }, { "direction=\"received\"", NIC(rx_large) } } },
	{ "paravane_nic_flooded_frames_total", "Frames sent that went to all who may have them.",
	  OF_NIC, COUNTER, 0, ONE(NIC(port.flooded)) },
	{ "paravane_nic_frame_duration_seconds",
	  "Sent: from taking a frame to publishing its answer; received: from its sender to here.",
	  OF_NIC, HISTOGRAM, 0,
	  { { "direction=\"sent\"", NIC(tx_latency) },
	    { "direction=\"received\"", NIC(rx_latency) } } },
	{ "paravane_nic_frames_waiting", "Frames that wait to be put into the guest's ring.",
	  OF_NIC, GAUGE, 0, ONE(NIC(rx_waiting)) },
	{ "paravane_nic_slots_in_flight", "Slots of the guest's frames not answered yet.",
	  OF_NIC, GAUGE, 0, ONE(NIC(tx_in_flight)) },
	{ "paravane_nic_starved_passes_total",
	  "Passes that left frames waiting because the guest had offered no slots.",
	  OF_NIC, COUNTER, 0, ONE(NIC(rx_starved)) },
	{ "paravane_nic_grant_copies_total", "Grant copies from and to the guest's pages.",
	  OF_NIC, COUNTER, 0, ONE(NIC(copies)) },
	{ "paravane_nic_copied_bytes_total",
	  "Bytes of frames copied on their way, each time: by grant copy, by the CPU, from and to "
	  "an uplink.",
	  OF_NIC, COUNTER, 0, ONE(NIC(copied_bytes)) },
	{ "paravane_nic_response_pushes_total", "Times that responses were published, by ring.",
	  OF_NIC, COUNTER, 0, ONE(NIC(pushes)) },
	{ "paravane_nic_notifications_sent_total",
	  "Events sent to the guest; pushes less these were not asked for.",
	  OF_NIC, COUNTER, 0, ONE(NIC(notifications_sent)) },
	{ "paravane_nic_notifications_received_total", "Events received from the guest.",
	  OF_NIC, COUNTER, 0, ONE(NIC(wakeups)) },
	{ "paravane_nic_throttled_passes_total",
	  "Passes that left frames in the ring because of the interface's limits.",
	  OF_NIC, COUNTER, 0, ONE(NIC(throttled)) },
	{ "paravane_nic_passes_total", "Passes that moved something on the interface's rings.",
	  OF_NIC, COUNTER, 0, ONE(NIC(passes)) },
};

/* ---- lines ---------------------------------------------------------------------------- */

static void head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s=\"", name);
	for (; *value; value++)
		if (*value == '\\' || *value == '"')
			fprintf(to, "\\%c", *value);
		else
			fputc((unsigned char)*value < ' ' || *value == 127 ? '?' : *value, to);
	fputc('"', to);
}

/* The device's own, then more if any, then an upper bound if any; with the braces. */
static void put_labels(FILE *to, const struct sample *s, const char *more, const char *bound)
{
	fprintf(to, "{domid=\"%u\",", s->domid);
	put_label(to, "domain", s->domain);
	fprintf(to, ",device=\"%s\"%s%s", s->device, more ? "," : "", more ? more : "");
	if (bound)
		fprintf(to, ",le=\"%s\"", bound);
	fputc('}', to);
}

static void print_histogram(FILE *to, const char *name, const struct sample *s,
			    const char *label, const struct histogram *h)
{
	uint64_t count = histogram_count(h);
	char bound[32];

	for (uint32_t i = FIRST_BOUND; i <= LAST_BOUND; i++) {
		uint64_t ns = (uint64_t)HISTOGRAM_UNIT_NS << i;

		snprintf(bound, sizeof(bound), "%.9g", (double)ns / 1e9);
		fprintf(to, "%s_bucket", name);
		put_labels(to, s, label, bound);
		fprintf(to, " %" PRIu64 "\n", histogram_below(h, ns));
	}
	fprintf(to, "%s_bucket", name);
	put_labels(to, s, label, "+Inf");
	fprintf(to, " %" PRIu64 "\n%s_sum", count, name);
	put_labels(to, s, label, NULL);
	fprintf(to, " %.9f\n%s_count", (double)h->sum_ns / 1e9, name);
	put_labels(to, s, label, NULL);
	fprintf(to, " %" PRIu64 "\n", count);
}

static void print_series(FILE *to, const struct metric *m, const struct series *series,
			 const struct sample *s)
{
	const char *at = (const char *)&s->all + series->at;

	if (m->type == HISTOGRAM) {
		print_histogram(to, m->name, s, series->label, (const struct histogram *)at);
		return;
	}
	fputs(m->name, to);
	put_labels(to, s, series->label, NULL);
	fprintf(to, " %" PRIu64 "\n", *(const uint64_t *)at * (m->factor ? m->factor : 1));
}

static void print_metric(FILE *to, const struct metric *m, const struct sampler *s)
{
	static const char *const types[] = {
		[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram",
	};

	head(to, m->name, types[m->type], m->help);
	for (uint32_t i = 0; i < sampler_nr(s); i++) {
		const struct sample *sample = sampler_get(s, i);

		if (sample->is_nic != (m->of == OF_NIC))
			continue;
		for (size_t j = 0; j < ARRAY_LEN(m->series) &&
				   (!j || m->series[j].label); j++)
			print_series(to, m, &m->series[j], sample);
	}
}

/* ---- those that are no member of a structure ------------------------------------------ */

static void print_drops(FILE *to, const struct sampler *s)
{
	static const char name[] = "paravane_nic_dropped_frames_total";
	char label[64];

	head(to, name, "counter", "Frames from or for the guest that the switch dropped.");
	for (uint32_t i = 0; i < sampler_nr(s); i++) {
		const struct sample *sample = sampler_get(s, i);

		for (uint32_t why = 1; sample->is_nic && why < VSWITCH_NR_DROPS; why++) {
			snprintf(label, sizeof(label), "reason=\"%s\"", vswitch_drop_name(why));
			fputs(name, to);
			put_labels(to, sample, label, NULL);
			fprintf(to, " %" PRIu64 "\n", sample->all.nic.port.dropped[why]);
		}
	}
}

static void print_workers(FILE *to, const struct sampler *s)
{
	head(to, "paravane_disk_worker_restarts_total", "counter",
	     "Workers of the disk that died and got a successor.");
	for (uint32_t i = 0; i < sampler_nr(s); i++) {
		const struct sample *sample = sampler_get(s, i);

		if (sample->is_nic)
			continue;
		fputs("paravane_disk_worker_restarts_total", to);
		put_labels(to, sample, NULL, NULL);
		fprintf(to, " %" PRIu64 "\n", sample->restarts);
	}
	head(to, "paravane_disk_worker_cpu_seconds_total", "counter",
	     "CPU time of the disk's worker, since it began.");
	for (uint32_t i = 0; i < sampler_nr(s); i++) {
		const struct sample *sample = sampler_get(s, i);

		if (sample->is_nic)
			continue;
		fputs("paravane_disk_worker_cpu_seconds_total", to);
		put_labels(to, sample, NULL, NULL);
		fprintf(to, " %.6f\n", (double)sample->cpu_ns / 1e9);
	}
}

static void print_servers(FILE *to, const struct sampler *s)
{
	static const char name[] = "paravane_disk_server_connected";

	head(to, name, "gauge",
	     "Whether there is a connection to the image's server, of disks that have one.");
	for (uint32_t i = 0; i < sampler_nr(s); i++) {
		const struct sample *sample = sampler_get(s, i);

		if (!sample->has_server)
			continue;
		fputs(name, to);
		put_labels(to, sample, NULL, NULL);
		fprintf(to, " %d\n", !sample->server_away);
	}
}

/* Once for all interfaces that share it. */
static bool is_first_of_bridge(const struct sampler *s, uint32_t index)
{
	const struct sample *me = sampler_get(s, index);

	for (uint32_t i = 0; i < index; i++)
		if (sampler_get(s, i)->is_nic && !strcmp(sampler_get(s, i)->store, me->store))
			return false;
	return me->is_nic;
}

static void print_bridges(FILE *to, const struct sampler *s)
{
	head(to, "paravane_bridge_worker_cpu_seconds_total", "counter",
	     "CPU time of a bridge's worker, since it began.");
	for (uint32_t i = 0; i < sampler_nr(s); i++) {
		if (!is_first_of_bridge(s, i))
			continue;
		fputs("paravane_bridge_worker_cpu_seconds_total{", to);
		put_label(to, "bridge", sampler_get(s, i)->store);
		fprintf(to, "} %.6f\n", (double)sampler_get(s, i)->cpu_ns / 1e9);
	}
}

struct lost {
	const char *kind;
	bool is;
};

static void take_lost(void *arg, const char *daemon, const char *kind)
{
	struct lost *lost = arg;

	(void)daemon;
	lost->is |= !strcmp(kind, lost->kind);
}

static void print_stores(FILE *to, const char *const *kinds, size_t nr)
{
	head(to, "paravane_backend_store_connected", "gauge",
	     "Whether the daemon that serves the kind has XenStore, of those that run.");
	for (size_t i = 0; i < nr; i++) {
		struct lost lost = { .kind = kinds[i] };

		if (!runinfo_daemon_runs(kinds[i]))
			continue;
		runinfo_each_lost(take_lost, &lost);
		fprintf(to, "paravane_backend_store_connected{kind=\"%s\"} %d\n", kinds[i],
			!lost.is);
	}
}

static void print_daemons(FILE *to)
{
	static const char *const kinds[] = { "vbd", "vbd3", "vif" };

	head(to, "paravane_backend_up", "gauge", "Whether a daemon runs that serves the kind.");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fprintf(to, "paravane_backend_up{kind=\"%s\"} %d\n", kinds[i],
			runinfo_daemon_runs(kinds[i]));
	print_stores(to, kinds, ARRAY_LEN(kinds));
	head(to, "paravane_build_info", "gauge", "1; the version is a label.");
	fprintf(to, "paravane_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
}

void metrics_print(const struct sampler *s, FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
		print_metric(to, &metrics[i], s);
	print_drops(to, s);
	print_workers(to, s);
	print_servers(to, s);
	print_bridges(to, s);
	print_daemons(to);
}
