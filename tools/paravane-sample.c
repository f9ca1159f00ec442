/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at the figures of all devices (paravane-sample.h).
 */
#include "paravane-sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "paravane.h"
#include "paravane-names.h"
#include "paravane-runinfo.h"
#include "util.h"

struct sampler {
	struct names *names;
	struct sample **samples;
	uint32_t nr, max;
	int error;
};

int sampler_open(struct sampler **out)
{
	struct sampler *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	if (names_open(&s->names)) {
		free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->nr; i++)
		free(s->samples[i]);
	free(s->samples);
	names_close(s->names);
	free(s);
}

uint32_t sampler_nr(const struct sampler *s)
{
	return s->nr;
}

const struct sample *sampler_get(const struct sampler *s, uint32_t index)
{
	return s->samples[index];
}

/* ---- one device --------------------------------------------------------------------- */

static int compare(const char *kind, uint32_t domid, uint32_t devid, const struct sample *b)
{
	int by_kind = strcmp(kind, b->kind);

	if (by_kind)
		return by_kind;
	if (domid != b->domid)
		return domid < b->domid ? -1 : 1;
	return (devid > b->devid) - (devid < b->devid);
}

/* Where it is, or should be put in. */
static uint32_t place_of(const struct sampler *s, const char *kind, uint32_t domid,
			 uint32_t devid)
{
	uint32_t low = 0, high = s->nr;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (compare(kind, domid, devid, s->samples[middle]) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sample *insert(struct sampler *s, uint32_t at)
{
	struct sample *sample = calloc(1, sizeof(*sample));

	if (sample && s->nr == s->max) {
		uint32_t max = s->max ? 2 * s->max : 32;
		struct sample **more = realloc(s->samples, max * sizeof(*more));

		if (!more) {
			free(sample);
			return NULL;
		}
		s->samples = more;
		s->max = max;
	}
	if (!sample)
		return NULL;
	memmove(s->samples + at + 1, s->samples + at, (s->nr - at) * sizeof(*s->samples));
	s->samples[at] = sample;
	s->nr++;
	return sample;
}

/* By its number until it has a name, or has none. */
static void name_domain(struct sampler *s, struct sample *sample)
{
	int rc;

	if (sample->named)
		return;
	rc = names_get(s->names, sample->domid, sample->domain, sizeof(sample->domain));
	sample->named = !rc || rc == -ENOENT;
	if (rc)
		snprintf(sample->domain, sizeof(sample->domain), "%u", sample->domid);
}

static void name(struct sample *sample, const char *kind, uint32_t domid, uint32_t devid)
{
	enum inventory_class of = INVENTORY_DISKS;

	snprintf(sample->kind, sizeof(sample->kind), "%s", kind);
	sample->domid = domid;
	sample->devid = devid;
	inventory_class_of(kind, &of);
	sample->is_nic = of == INVENTORY_NICS;
	device_label(kind, devid, sample->device, sizeof(sample->device));
}

/* 0: it has gone, or is not ours to ask. */
static uint64_t cpu_of(uint32_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (!pid || clock_getcpuclockid((pid_t)pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Another device under the same name, after it: it has counted less. */
static bool is_another(const struct sample *s, const union sample_figures *now)
{
	if (s->is_nic)
		return now->nic.tx_frames < s->all.nic.tx_frames ||
		       now->nic.rx_frames < s->all.nic.rx_frames;
	return now->disk.requests < s->all.disk.requests;
}

static void take(struct sample *s, const struct runinfo *run, const union sample_figures *now)
{
	uint64_t taken_ns = now_ns(), cpu_ns = cpu_of(run->worker_pid);
	bool same_worker = s->pid == run->worker_pid && cpu_ns >= s->cpu_ns;

	s->has_since = s->taken_ns && !is_another(s, now);
	s->seconds = (double)(taken_ns - s->taken_ns) / 1e9;
	s->cpu = 0;
	if (s->has_since && same_worker)
		s->cpu = (double)(cpu_ns - s->cpu_ns) / 1e9 / s->seconds;
	if (s->is_nic)
		figures_nic_since(&s->since.nic, &now->nic, &s->all.nic);
	else
		figures_disk_since(&s->since.disk, &now->disk, &s->all.disk);
	s->all = *now;
	s->taken_ns = taken_ns;
	s->cpu_ns = cpu_ns;
	s->pid = run->worker_pid;
	s->restarts = run->restarts;
	s->has_server = run->server[0] != '\0';
	s->server_away = runinfo_why_away(run->server) != NULL;
	snprintf(s->store, sizeof(s->store), "%s", run->store);
}

static void look(void *arg, const char *kind, uint32_t domid, uint32_t devid)
{
	static union sample_figures now;
	struct sampler *s = arg;
	struct inventory_device dev;
	struct sample *sample;
	struct runinfo run;
	uint32_t at = place_of(s, kind, domid, devid);

	if (inventory_name(kind, domid, 0, devid, &dev))
		return;
	runinfo_read(&dev, &run);
	if (is_nic(kind) ? !figures_of_nic(&dev, &now.nic) : !figures_of_disk(&dev, &now.disk))
		return;
	sample = at < s->nr && !compare(kind, domid, devid, s->samples[at]) ? s->samples[at] : NULL;
	if (!sample) {
		sample = insert(s, at);
		if (!sample) {
			s->error = -ENOMEM;
			return;
		}
		name(sample, kind, domid, devid);
	}
	name_domain(s, sample);
	sample->seen = true;
	take(sample, &run, &now);
}

int sampler_look(struct sampler *s)
{
	uint32_t left = 0;

	s->error = 0;
	names_begin(s->names);
	for (uint32_t i = 0; i < s->nr; i++)
		s->samples[i]->seen = false;
	runinfo_each(look, s);
	for (uint32_t i = 0; i < s->nr; i++)
		if (s->samples[i]->seen)
			s->samples[left++] = s->samples[i];
		else
			free(s->samples[i]);
	s->nr = left;
	return s->error;
}
