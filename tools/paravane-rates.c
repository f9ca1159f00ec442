/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sample means (paravane-sample.h). Pure.
 */
#include "paravane-sample.h"

#include <string.h>

uint64_t sample_drops(const struct vif_figures *f)
{
	uint64_t nr = 0;

	for (uint32_t i = 1; i < VSWITCH_NR_DROPS; i++)
		nr += f->port.dropped[i];
	return nr;
}

void sample_latency(const struct sample *s, const union sample_figures *of,
		    struct histogram *out)
{
	memset(out, 0, sizeof(*out));
	if (s->is_nic) {
		histogram_merge(out, &of->nic.tx_latency);
		histogram_merge(out, &of->nic.rx_latency);
		return;
	}
	for (uint32_t i = 0; i < BLK_NR_LATENCIES; i++)
		histogram_merge(out, &of->disk.latency[i]);
}

static void disk_rates(const struct blk_figures *f, double per_s, struct rates *r)
{
	uint64_t other = f->flushes + f->discards;

	r->read_per_s = (double)f->reads * per_s;
	r->write_per_s = (double)(f->writes + f->barriers) * per_s;
	r->operations_per_s = r->read_per_s + r->write_per_s + (double)other * per_s;
	r->read_bytes_per_s = (double)f->read_sectors * 512 * per_s;
	r->write_bytes_per_s = (double)f->written_sectors * 512 * per_s;
	r->in_flight = f->in_flight;
	r->grants_per_s = (double)(f->mapped_pages + f->copied_pages + f->cache_maps) * per_s;
	r->cached_per_s = (double)f->cached_pages * per_s;
	r->notifications_per_s = (double)f->notifications_sent * per_s;
	r->wakeups_per_s = (double)f->wakeups * per_s;
	r->errors_per_s = (double)(f->errors + f->unsupported) * per_s;
}

static void nic_rates(const struct vif_figures *f, double per_s, struct rates *r)
{
	r->read_per_s = (double)f->tx_frames * per_s;
	r->write_per_s = (double)f->rx_frames * per_s;
	r->operations_per_s = r->read_per_s + r->write_per_s;
	r->read_bytes_per_s = (double)f->tx_bytes * per_s;
	r->write_bytes_per_s = (double)f->rx_bytes * per_s;
	r->in_flight = f->tx_in_flight + f->rx_waiting;
	r->grants_per_s = (double)f->copies * per_s;
	r->notifications_per_s = (double)f->notifications_sent * per_s;
	r->wakeups_per_s = (double)f->wakeups * per_s;
	r->drops_per_s = (double)sample_drops(f) * per_s;
}

/*
 * By Little's law the mean number on their way is the sum of the times that they took over
 * the time in which they did: no gauge has to be integrated. Of what is not answered that
 * says nothing; where nothing is, the gauge has to do.
 */
void sample_rates(const struct sample *s, struct rates *out)
{
	static struct histogram h;
	double per_s = s->has_since && s->seconds > 0 ? 1 / s->seconds : 0;
	uint64_t nr;

	memset(out, 0, sizeof(*out));
	if (s->is_nic)
		nic_rates(&s->since.nic, per_s, out);
	else
		disk_rates(&s->since.disk, per_s, out);
	out->bytes_per_s = out->read_bytes_per_s + out->write_bytes_per_s;
	out->cpu = s->cpu;
	if (!s->has_since)
		return;
	sample_latency(s, &s->since, &h);
	nr = histogram_count(&h);
	out->p50_us = (double)histogram_percentile_ns(&h, 0.5) / 1e3;
	out->p99_us = (double)histogram_percentile_ns(&h, 0.99) / 1e3;
	out->p999_us = (double)histogram_percentile_ns(&h, 0.999) / 1e3;
	out->mean_us = nr ? (double)h.sum_ns / (double)nr / 1e3 : 0;
	out->depth = nr ? (double)h.sum_ns / 1e9 * per_s : (double)out->in_flight;
	if (out->operations_per_s > 0)
		out->notifications_per_operation =
			out->notifications_per_s / out->operations_per_s;
}
