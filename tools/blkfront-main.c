/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-blkfront: what holds if no option says otherwise. Also info, which only
 * looks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blkfront-cmd.h"

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

static void info_json(const struct blkfront_info *i, const struct args *a)
{
	printf("{\"device\":\"%s\",\"devid\":%u,\"domid\":%u,\"backend_domid\":%u,"
	       "\"backend\":\"%s\",\"frontend\":\"%s\",",
	       a->cli.device, a->cli.devid, i->domid, i->back_domid, i->back_path, i->front_path);
	printf("\"size_bytes\":%llu,\"sector_bytes\":%u,\"physical_sector_bytes\":%u,"
	       "\"read_only\":%d,\"cdrom\":%d,\"removable\":%d,",
	       (unsigned long long)i->size_bytes, i->sector_bytes, i->physical_sector_bytes,
	       i->read_only, i->cdrom, i->removable);
	printf("\"flush\":%d,\"barrier\":%d,\"discard\":%d,\"discard_secure\":%d,"
	       "\"discard_granularity_bytes\":%u,\"discard_alignment_bytes\":%u,",
	       i->flush, i->barrier, i->discard, i->discard_secure,
	       i->discard_granularity_bytes, i->discard_alignment_bytes);
	printf("\"persistent\":%d,\"indirect\":%d,\"backend_max_segments\":%u,"
	       "\"backend_max_ring_order\":%u,\"backend_max_queues\":%u,",
	       i->persistent, i->indirect, i->back_max_segments, i->back_max_ring_order,
	       i->back_max_queues);
	printf("\"ring_order\":%u,\"ring_slots\":%u,\"queues\":%u,\"depth\":%u,"
	       "\"max_segments\":%u,\"pool_pages\":%u,\"pool_wanted_pages\":%u}\n",
	       i->ring_order, i->ring_slots, i->nr_queues, i->depth, i->max_segments,
	       i->pool_pages, i->pool_wanted_pages);
}

static void print_size(const struct blkfront_info *i)
{
	printf("size              %llu bytes (%.1f MiB)\n",
	       (unsigned long long)i->size_bytes, (double)i->size_bytes / 1048576);
}

static void info_text(const struct blkfront_info *i, const struct args *a)
{
	printf("device            %s (vbd %u) of domain %u\n", a->cli.device, a->cli.devid, i->domid);
	printf("back end          domain %u, %s\n", i->back_domid, i->back_path);
	print_size(i);
	printf("sector            %u bytes, physical %u\n", i->sector_bytes,
	       i->physical_sector_bytes);
	printf("kind              %s%s%s\n", i->cdrom ? "CD-ROM" : "disk",
	       i->removable ? ", removable" : "", i->read_only ? ", read-only" : "");
	printf("flush             %s\n", i->flush ? "yes" : i->barrier ? "by barrier" :
	       "not needed: the back end offers neither flush nor barrier");
	if (i->discard)
		printf("discard           granularity %u, alignment %u bytes%s\n",
		       i->discard_granularity_bytes, i->discard_alignment_bytes,
		       i->discard_secure ? ", secure too" : "");
	else
		printf("discard           no\n");
	printf("persistent grants %s\n", yes(i->persistent));
	printf("request           up to %u pages, %s (the back end's limit is %u)\n",
	       i->max_segments, i->indirect ? "indirect" : "direct",
	       i->back_max_segments > 11 ? i->back_max_segments : 11);
	printf("ring              %u %s, %u slots, %u used at a time; %u %s\n",
	       1u << i->ring_order, i->ring_order ? "pages" : "page", i->ring_slots,
	       i->depth, i->nr_queues, i->nr_queues == 1 ? "queue" : "queues");
	if (i->short_of_grants)
		printf("data pages        %u of %u wanted: raise /sys/module/xen_gntalloc/"
		       "parameters/limit\n", i->pool_pages, i->pool_wanted_pages);
	else
		printf("data pages        %u\n", i->pool_pages);
}

static void print_info(const struct session *s)
{
	if (s->args->cli.json)
		info_json(&s->info, s->args);
	else
		info_text(&s->info, s->args);
	fflush(stdout);
}

/* Until the back end asks for the device back, or a signal. */
static int watch(struct session *s)
{
	int r = 0;

	while (r >= 0 && !blkfront_closing(s->f)) {
		r = blkfront_rest(s->f, -1);
		if (!blkfront_resized(s->f))
			continue;
		blkfront_info(s->f, &s->info);
		if (s->args->cli.json)
			info_json(&s->info, s->args);
		else
			print_size(&s->info);
		fflush(stdout);
	}
	return r < 0 && r != -ECONNABORTED ? session_error(s, r, "waiting") : EXIT_OK;
}

int cmd_info(const struct args *a)
{
	struct session s;
	int r = session_open(&s, a);

	if (r == EXIT_OK)
		print_info(&s);
	if (r == EXIT_OK && a->watch)
		r = watch(&s);
	return session_close(&s, r);
}

int main(int argc, char **argv)
{
	struct args a = {
		.cli = { .devid = 51712, .device = "xvda", .timeout_ms = 10000, .poll_us = 50 },
		.seed = 1, .pattern = "randread", .bs_bytes = 4096, .warmup_seconds = 0.2,
		.read_percent = 70,
	};

	return front_main(&blkfront_program, &a, argc, argv);
}
