/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The judgement of paravane why (paravane-findings.h).
 */
#include "paravane-findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "paravane-runinfo.h"

#define BUSY 0.9		/* of a CPU: there is hardly more in it */

static void find(struct findings *f, const char *topic, const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void find(struct findings *f, const char *topic, const char *advice, const char *fmt, ...)
{
	struct finding *new = &f->found[f->nr];
	va_list ap;

	if (f->nr == FINDINGS_MAX)
		return;
	f->nr++;
	new->topic = topic;
	new->advice = advice;
	va_start(ap, fmt);
	vsnprintf(new->is, sizeof(new->is), fmt, ap);
	va_end(ap);
}

/* ---- disks ------------------------------------------------------------------------------- */

static void find_stalled(const struct measured *m, const char *advice, const char *what,
			 const char *why, struct findings *f)
{
	find(f, "stalled", advice, "requests on their way: %" PRIu64 ", and none was answered in "
	     "%.1f s: %s%s", m->rates->in_flight, m->sample->seconds, what, why);
}

static void judge_stalled(const struct measured *m, const char *server, struct findings *f)
{
	const char *away = runinfo_why_away(server);

	if (away)
		find_stalled(m, "start the image's server, or mend the way to it: what waits is done "
			     "then", "the image's server is away: ", away, f);
	else if (*server)
		find_stalled(m, "look at the image's server and its storage, and at the network between",
			     "the image's server is ", server, f);
	else
		find_stalled(m, "look at the host's storage: its kernel's messages, and iostat",
			     "the image does not answer", "", f);
}

static bool judge_disk_cpu(const struct measured *m, uint32_t queues, struct findings *f)
{
	double all = m->rates->cpu, busiest = m->busiest_cpu < 0 ? all / queues : m->busiest_cpu;

	if (busiest <= BUSY)
		return false;
	if (queues == 1 || all > BUSY * queues)
		find(f, "cpu", "more queues, as many as the guest has CPUs; a CPU that is not shared",
		     "the worker used %.0f %% of a CPU with %u %s", all * 100, queues,
		     queues == 1 ? "queue" : "queues");
	else
		find(f, "cpu", "let the guest use more of its CPUs for it, of which each has a queue: "
		     "several jobs instead of one",
		     "the busiest of the worker's threads used %.0f %% of a CPU, and all of them "
		     "%.0f %%, with %u queues: a queue has one thread", busiest * 100, all * 100,
		     queues);
	return true;
}

static void judge_disk_depth(const struct measured *m, uint32_t slots, bool busy,
			     struct findings *f)
{
	double depth = m->rates->depth;

	if (depth >= 0.75 * slots)
		find(f, "ring", "a larger ring, more queues, or indirect requests, in the guest",
		     "%.1f requests were on their way, of the %u that the ring holds", depth, slots);
	else if (depth > 0.3 && depth < 1.2 && !busy)
		find(f, "depth", "let the guest ask for more at once: several jobs, asynchronous I/O, "
		     "a larger readahead",
		     "%.2f requests were on their way: the guest waits for each answer", depth);
	else if (depth <= 0.3 && !busy)
		find(f, "guest", "look in the guest: its programs, its CPUs",
		     "%.2f requests were on their way: most of the time the back end had nothing to do",
		     depth);
}

static void judge_disk_requests(const struct measured *m, struct findings *f)
{
	const struct rates *r = m->rates;
	const struct blk_figures *b = &m->sample->since.disk;
	double mean = r->operations_per_s > 0 ? r->bytes_per_s / r->operations_per_s : 0;

	if (r->operations_per_s > 500 && mean > 0 && mean < 8192)
		find(f, "size", "larger requests: the program's block size, the file system's readahead, "
		     "a scheduler in the guest that merges",
		     "a request has %.1f KiB on average", mean / 1024);
	if (r->notifications_per_operation > 0.5 && r->depth > 2)
		find(f, "events", "a front end that asks for events less often: feature of its driver",
		     "%.2f events were sent for each request", r->notifications_per_operation);
	if (b->mapped_pages + b->copied_pages > b->segments / 2 && b->segments)
		find(f, "grants", "a front end with persistent grants; \"paravane explain\" says who has "
		     "not offered them", "%.0f pages a second were mapped or copied", r->grants_per_s);
}

void findings_of_disk(const struct measured *m, const struct disk_means *means,
		      struct findings *f)
{
	const struct rates *r = m->rates;
	const struct blk_figures *b = &m->sample->since.disk;
	bool stalled = r->in_flight && !b->responses, busy;

	f->nr = 0;
	if (!b->requests && !b->responses && !r->in_flight) {
		find(f, "idle", "run what is slow in the guest, and this again",
		     "the guest asked for nothing");
		return;
	}
	if (stalled)
		judge_stalled(m, means->server, f);
	if (b->throttled)
		find(f, "limit", "\"paravane limit\" shows its limits, and changes them",
		     "its limits made requests wait %" PRIu64 " times", b->throttled);
	if (b->errors + b->unsupported)
		find(f, "errors", "the daemon's log names them",
		     "%" PRIu64 " requests were answered with an error", b->errors + b->unsupported);
	busy = judge_disk_cpu(m, means->queues, f);
	if (stalled)
		return;
	if (!busy && r->mean_us > 1000)
		find(f, "image", "faster storage; cache mode none where the page cache is what is waited "
		     "for; look at the host's other users of it",
		     "a request took %.1f ms on average, and the worker %.0f %% of a CPU: it waits for "
		     "the image", r->mean_us / 1000, r->cpu * 100);
	judge_disk_depth(m, means->slots, busy, f);
	judge_disk_requests(m, f);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static void judge_drops(const struct vif_figures *v, struct findings *f)
{
	for (uint32_t i = 1; i < VSWITCH_NR_DROPS; i++) {
		if (!v->port.dropped[i])
			continue;
		find(f, "drops", i == VSWITCH_QUEUE_FULL ? "see \"slots\"; more memory or CPU for the guest" :
		     "\"paravane bridge show\" has all of the bridge",
		     "%" PRIu64 " frames were dropped: %s", v->port.dropped[i], vswitch_drop_name(i));
	}
}

/* No frame came or went. */
static void judge_still_nic(const struct measured *m, struct findings *f)
{
	const struct vif_figures *v = &m->sample->since.nic;

	if (v->rx_waiting)
		find(f, "stalled", "look in the guest: whether it runs, and what its network driver does",
		     "%" PRIu64 " frames wait for the guest, which took none in %.1f s: it offers no rx "
		     "slots", v->rx_waiting, m->sample->seconds);
	if (v->tx_in_flight)
		find(f, "stalled", "\"paravane top\" shows whose frames wait: it is these guests that do "
		     "not take them",
		     "%" PRIu64 " slots of the guest's frames are not answered, and none was in %.1f s",
		     v->tx_in_flight, m->sample->seconds);
	if (!f->nr && !v->throttled && !sample_drops(v))
		find(f, "idle", "run what is slow in the guest, and this again",
		     "no frame was sent or received");
}

static void judge_frames(const struct measured *m, bool large, struct findings *f)
{
	const struct rates *r = m->rates;
	const struct vif_figures *v = &m->sample->since.nic;

	if (v->passes && v->rx_starved > v->passes / 10)
		find(f, "slots", "the guest's CPU is what is short, or its driver has few buffers",
		     "%" PRIu64 " of %" PRIu64 " passes found no rx slots: the guest does not offer new "
		     "ones in time", v->rx_starved, v->passes);
	if (r->cpu > BUSY)
		find(f, "cpu", "put busy guests on bridges of their own: each has a worker",
		     "the bridge's worker used %.0f %% of a CPU", r->cpu * 100);
	if (!large && r->bytes_per_s > 10e6)
		find(f, "gso", "turn scatter-gather and TCP segmentation on in the guest (ethtool -K)",
		     "the guest takes no large packets: frames have %.0f bytes on average",
		     r->bytes_per_s / r->operations_per_s);
	if (r->notifications_per_operation > 0.7 && r->operations_per_s > 10000)
		find(f, "events", "nothing: the guest sleeps between frames",
		     "%.2f events were sent for each frame", r->notifications_per_operation);
}

void findings_of_nic(const struct measured *m, bool large, struct findings *f)
{
	const struct vif_figures *v = &m->sample->since.nic;
	bool still = !v->tx_frames && !v->rx_frames;

	f->nr = 0;
	if (still)
		judge_still_nic(m, f);
	if (v->throttled)
		find(f, "limit", "\"paravane limit\" and \"paravane bridge port\" change its limits",
		     "its limits made frames wait %" PRIu64 " times", v->throttled);
	judge_drops(v, f);
	if (!still)
		judge_frames(m, large, f);
}
