/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane list: the disks there are, for people (a table) and for programs
 * (JSON).
 *
 * Hides: what is shown and how. Must not know: how nodes are spelled, what the
 * back end's files look like (paravane-runinfo.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paravane.h"
#include "paravane-runinfo.h"
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

/* All that is known of one disk. */
struct view {
	const struct inventory_disk *disk;
	struct toolstack_view ends;
	struct vbd_toolstack ts;
	struct vbd_features features;
	struct vbd_frontend front;
	struct runinfo run;
	bool has_features, has_front;
	char domain[64], device[32], waits[512];
};

struct list {
	struct store store;
	struct common_options common;
	bool json, more;
	unsigned nr;
};

static void look(struct list *l, const struct inventory_disk *disk, struct view *v)
{
	struct xs_handle *xs = l->store.xs;

	memset(v, 0, sizeof(*v));
	v->disk = disk;
	toolstack_look(xs, disk->backend_domid, disk->kind, disk->domid, disk->devid, &v->ends);
	vbd_read_toolstack(xs, disk->back_dir, &v->ts, NULL);
	v->has_features = !vbd_read_features(xs, disk->back_dir, &v->features, NULL);
	v->has_front = v->has_features &&
		       !vbd_read_frontend(xs, disk->front_dir, &v->features, &v->front, NULL);
	if (disk->backend_domid == l->store.own_domid)
		runinfo_read(disk, &v->run);
	if (inventory_domain_name(xs, disk->domid, v->domain, sizeof(v->domain)) < 0)
		v->domain[0] = '\0';
	device_label(disk->devid, v->device, sizeof(v->device));
	explain(&l->store, disk, &v->ends, v->waits, sizeof(v->waits));
}

static const char *mode_name(enum vbd_share share)
{
	static const char *const names[] = {
		[VBD_READ_ONLY] = "r", [VBD_EXCLUSIVE] = "w", [VBD_SHARED_WRITE] = "w!",
	};

	return names[share];
}

static const char *cache_name(enum vbd_cache cache)
{
	static const char *const names[] = {
		[VBD_CACHE_WRITEBACK] = "writeback",
		[VBD_CACHE_WRITETHROUGH] = "writethrough",
		[VBD_CACHE_NONE] = "none",
	};

	return names[cache];
}

static const char *abi_name(enum vbd_abi abi)
{
	static const char *const names[] = {
		[VBD_ABI_NATIVE] = "native", [VBD_ABI_X86_32] = "x86_32",
		[VBD_ABI_X86_64] = "x86_64",
	};

	return names[abi];
}

static uint64_t size_bytes(const struct view *v)
{
	return v->features.sectors * VBD_SECTOR_BYTES;
}

/* ---- for people ------------------------------------------------------------ */

static const char *human(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	size_t i = 0;

	for (; n >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1024;
	snprintf(buf, len, i ? "%.1f %s" : "%.0f %s", n, units[i]);
	return buf;
}

static void print_features(const struct view *v)
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
		printf("    engine: %s, grant mode: %s, worker process %u%s\n", r->engine,
		       r->grants[0] ? r->grants : "auto", r->worker_pid,
		       r->restarts ? "" : ", never restarted");
	if (r->restarts)
		printf("    worker restarts: %" PRIu64 ", requests replayed: %" PRIu64 "\n",
		       r->restarts, r->counters.replayed);
	if (!r->has_counters)
		return;
	human(r->counters.read_sectors * VBD_SECTOR_BYTES, read, sizeof(read));
	human(r->counters.written_sectors * VBD_SECTOR_BYTES, written, sizeof(written));
	printf("    reads %" PRIu64 " (%s), writes %" PRIu64 " (%s), flushes %" PRIu64
	       ", discards %" PRIu64 ", errors %" PRIu64 "\n",
	       r->counters.reads, read, r->counters.writes, written, r->counters.flushes,
	       r->counters.discards, r->counters.errors);
}

static void print_table(struct list *l, const struct view *v)
{
	char size[32] = "-", domain[80];

	if (!l->nr)
		printf("%-14s %-6s %-6s %-13s %-13s %-4s %10s  %s\n", "DOMAIN", "DEVICE", "KIND",
		       "BACK END", "FRONT END", "MODE", "SIZE", "IMAGE");
	if (v->has_features)
		human(size_bytes(v), size, sizeof(size));
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

/* Bytes that are no UTF-8 come from names in XenStore: they are replaced. */
static size_t utf8_length(const unsigned char *s)
{
	size_t more = *s < 0x80 ? 0 : *s >= 0xc2 && *s < 0xe0 ? 1 : (*s & 0xf0) == 0xe0 ? 2 :
		      *s >= 0xf0 && *s < 0xf5 ? 3 : 99;

	if (more == 99)
		return 0;
	for (size_t i = 1; i <= more; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return more + 1;
}

static void json_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putchar('"');
	while (*s) {
		size_t len = utf8_length(s);

		if (!len)
			fputs("\\ufffd", stdout);
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			printf("\\u%04x", *s);
		else
			fwrite(s, 1, len, stdout);
		s += len ? len : 1;
	}
	putchar('"');
}

static void json_text(const char *name, const char *text)
{
	printf(",\n    \"%s\": ", name);
	if (text && *text)
		json_string(text);
	else
		fputs("null", stdout);
}

static void json_number(const char *name, uint64_t n)
{
	printf(",\n    \"%s\": %" PRIu64, name, n);
}

static void json_bool(const char *name, bool b)
{
	printf(",\n    \"%s\": %s", name, b ? "true" : "false");
}

static void json_features(const struct view *v)
{
	const struct vbd_features *f = &v->features;

	json_number("size_bytes", size_bytes(v));
	json_number("sector_bytes", f->sector_bytes);
	json_number("physical_sector_bytes", f->physical_sector_bytes);
	printf(",\n    \"offered\": {\"flush\": %s, \"barrier\": %s, \"discard\": %s, "
	       "\"discard_secure\": %s, \"persistent_grants\": %s, "
	       "\"max_indirect_segments\": %u, \"max_ring_pages\": %u, \"max_queues\": %u}",
	       f->flush ? "true" : "false", f->barrier ? "true" : "false",
	       f->discard ? "true" : "false", f->discard_secure ? "true" : "false",
	       f->persistent ? "true" : "false", f->max_indirect_segments,
	       1u << f->max_ring_order, f->max_queues);
	if (!v->has_front)
		return;
	printf(",\n    \"negotiated\": {\"persistent_grants\": %s, \"ring_pages\": %u, "
	       "\"queues\": %u, \"abi\": \"%s\"}",
	       f->persistent && v->front.persistent ? "true" : "false",
	       1u << v->front.queue[0].order, v->front.nr_queues, abi_name(v->front.abi));
}

static void json_counters(const struct runinfo *r)
{
	const struct journal_counters *c = &r->counters;

	json_text("engine", r->engine);
	json_text("grant_mode", r->grants);
	if (r->worker_pid)
		json_number("worker_pid", r->worker_pid);
	json_number("worker_restarts", r->restarts);
	if (!r->has_counters)
		return;
	printf(",\n    \"counters\": {\"reads\": %" PRIu64 ", \"writes\": %" PRIu64
	       ", \"flushes\": %" PRIu64 ", \"discards\": %" PRIu64 ", \"errors\": %" PRIu64
	       ", \"read_bytes\": %" PRIu64 ", \"written_bytes\": %" PRIu64,
	       c->reads, c->writes, c->flushes, c->discards, c->errors,
	       c->read_sectors * VBD_SECTOR_BYTES, c->written_sectors * VBD_SECTOR_BYTES);
	printf(", \"notifications_sent\": %" PRIu64 ", \"wakeups\": %" PRIu64
	       ", \"spins_hit\": %" PRIu64 ", \"spins_missed\": %" PRIu64
	       ", \"segments\": %" PRIu64 ", \"mapped_pages\": %" PRIu64
	       ", \"copied_bytes\": %" PRIu64 ", \"replayed\": %" PRIu64 "}",
	       c->notifications_sent, c->wakeups, c->spins_hit, c->spins_missed, c->segments,
	       c->mapped_pages, c->copied_bytes, c->replayed);
}

static void print_json(struct list *l, const struct view *v)
{
	printf("%s  {\n    \"domid\": %u", l->nr ? ",\n" : "[\n", v->disk->domid);
	json_text("domain", v->domain);
	json_text("device", v->device);
	json_number("devid", v->disk->devid);
	json_text("kind", v->disk->kind);
	json_number("backend_domid", v->disk->backend_domid);
	json_text("backend_state", xenbus_state_name(v->ends.back));
	json_text("frontend_state", xenbus_state_name(v->ends.front));
	json_text("image", v->ts.params);
	json_text("mode", mode_name(v->ts.share));
	json_text("cache", cache_name(v->ts.cache));
	json_bool("cdrom", v->ts.cdrom);
	json_bool("removable", v->ts.removable);
	if (v->has_features)
		json_features(v);
	if (v->run.found)
		json_counters(&v->run);
	json_text("waits_for", v->waits);
	fputs("\n  }", stdout);
}

/* ---- the walk --------------------------------------------------------------- */

static int show(void *arg, const struct inventory_disk *disk)
{
	struct list *l = arg;
	struct view v;

	if (l->common.kind && strcmp(l->common.kind, disk->kind))
		return 0;
	look(l, disk, &v);
	if (l->json)
		print_json(l, &v);
	else
		print_table(l, &v);
	l->nr++;
	vbd_free_toolstack(&v.ts);
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
