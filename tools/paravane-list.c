/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane list: the disks there are, for people (a table) and for programs
 * (JSON).
 *
 * Hides: what is shown and how. Must not know: how nodes are spelled, what the
 * back end's files look like (paravane-view.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane.h"
#include "paravane-json.h"
#include "paravane-view.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane list [DOMAIN] [OPTION]...\n"
"\n"
"Lists the disks of a guest, or of all guests: the state of both ends, what they\n"
"negotiated, the image. For disks that this machine's paravane-blkback serves,\n"
"also its engine and counters.\n"
"\n"
"  --json           a JSON array, one object a disk; units are in the names\n"
"  --long           more lines for each disk: features, counters, what is waited for\n"
"  --backend DOMAIN only disks that this domain serves\n"
"  --kind KIND      only vbd, vbd3 or qdisk\n"
"\n"
"Exit status: 0 listed (possibly none), 1 error, 2 wrong usage, 4 no such domain.\n";

enum { OPT_JSON = 256, OPT_LONG };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "long", no_argument, NULL, OPT_LONG },
	COMMON_OPTIONS,
	{ 0 }
};

struct list {
	struct store store;
	struct common_options common;
	bool json, more;
	unsigned nr;
};

/* ---- for people ------------------------------------------------------------ */

static void print_features(const struct disk_view *v)
{
	const struct vbd_features *f = &v->features;

	printf("    offered: %s%s%s%s%s", f->flush ? "flush " : "", f->barrier ? "barrier " : "",
	       f->discard ? "discard " : "", f->discard_secure ? "secure-discard " : "",
	       f->persistent ? "persistent-grants " : "");
	printf("indirect %u segments, ring %u pages, %u %s, sectors of %u bytes\n",
	       f->max_indirect_segments, 1u << f->max_ring_order, f->max_queues,
	       f->max_queues == 1 ? "queue" : "queues", f->sector_bytes);
	if (!v->has_front)
		return;
	printf("    taken: %sring %u %s, %u %s, ABI %s\n",
	       f->persistent && v->front.persistent ? "persistent-grants " : "",
	       1u << v->front.queue[0].order, v->front.queue[0].order ? "pages" : "page",
	       v->front.nr_queues, v->front.nr_queues == 1 ? "queue" : "queues",
	       abi_name(v->front.abi));
}

static void print_counters(const struct runinfo *r)
{
	char read[32], written[32];

	if (r->engine[0])
		printf("    engine: %s, worker process %u%s\n", r->engine, r->worker_pid,
		       r->restarts ? "" : ", never restarted");
	if (r->restarts)
		printf("    worker restarts: %" PRIu64 ", requests replayed: %" PRIu64 "\n",
		       r->restarts, r->counters.replayed);
	if (!r->has_counters)
		return;
	human_bytes(r->counters.read_sectors * VBD_SECTOR_BYTES, read, sizeof(read));
	human_bytes(r->counters.written_sectors * VBD_SECTOR_BYTES, written, sizeof(written));
	printf("    reads %" PRIu64 " (%s), writes %" PRIu64 " (%s), flushes %" PRIu64
	       ", discards %" PRIu64 ", errors %" PRIu64 "\n",
	       r->counters.reads, read, r->counters.writes, written, r->counters.flushes,
	       r->counters.discards, r->counters.errors);
}

static void print_table(struct list *l, const struct disk_view *v)
{
	char size[32] = "-", domain[80];

	if (!l->nr)
		printf("%-14s %-6s %-6s %-13s %-13s %-4s %10s  %s\n", "DOMAIN", "DEVICE", "KIND",
		       "BACK END", "FRONT END", "MODE", "SIZE", "IMAGE");
	if (v->has_features)
		human_bytes(disk_view_bytes(v), size, sizeof(size));
	snprintf(domain, sizeof(domain), "%u%s%s", v->disk->domid, *v->domain ? " " : "", v->domain);
	printf("%-14s %-6s %-6s %-13s %-13s %-4s %10s  %s\n", domain, v->device, v->disk->kind,
	       xenbus_state_name(v->ends.back), xenbus_state_name(v->ends.front),
	       mode_name(v->ts.share), size, v->ts.params ? v->ts.params : "-");
	if (!l->more)
		return;
	if (v->has_features)
		print_features(v);
	print_counters(&v->run);
	if (v->waits[0])
		printf("    waits: %s\n", v->waits);
}

/* ---- for programs ----------------------------------------------------------- */

static void print_json(struct list *l, const struct disk_view *v)
{
	fputs(l->nr ? ",\n" : "[\n", stdout);
	json_disk_begin(v);
	json_disk_end();
}

/* ---- the walk --------------------------------------------------------------- */

static int show(void *arg, const struct inventory_disk *disk)
{
	struct list *l = arg;
	struct disk_view v;

	if (l->common.kind && strcmp(l->common.kind, disk->kind))
		return 0;
	disk_view_look(&l->store, disk, &v);
	if (l->json)
		print_json(l, &v);
	else
		print_table(l, &v);
	l->nr++;
	disk_view_close(&v);
	return 0;
}

static int parse(struct list *l, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &list_command, &l->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		l->json |= opt == OPT_JSON;
		l->more |= opt == OPT_LONG;
	}
	return common_operands(&list_command, argc, 0, 1);
}

static int list(struct list *l, const char *domain)
{
	uint32_t domid = INVENTORY_ANY, backend_domid;
	int status = STATUS_OK, ret;

	if (domain)
		status = store_domain(&l->store, domain, &domid);
	if (!status)
		status = store_backend(&l->store, &l->common, INVENTORY_ANY, &backend_domid);
	if (status)
		return status;
	ret = inventory_disks(l->store.xs, backend_domid, domid, show, l);
	if (l->json)
		fputs(l->nr ? "\n]\n" : "[]\n", stdout);
	else if (!l->nr && !ret)
		puts("no disks");
	if (ret < 0)
		return complain(STATUS_ERROR, "reading XenStore: %s", strerror(-ret));
	if (fflush(stdout) || ferror(stdout))
		return complain(STATUS_ERROR, "standard output: %s", strerror(errno));
	return STATUS_OK;
}

static void close_list(struct list *l)
{
	store_close(&l->store);
}

static int run(int argc, char **argv)
{
	struct list l __attribute__((cleanup(close_list))) = { 0 };
	bool finished = false;
	int status = parse(&l, argc, argv, &finished);

	if (status || finished)
		return status;
	status = store_open(&l.store);
	return status ? status : list(&l, optind < argc ? argv[optind] : NULL);
}

const struct subcommand list_command = {
	.name = "list",
	.summary = "shows the disks and what became of them",
	.help = help_text,
	.run = run,
};
