/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane list: the devices there are, for people (a table for each class) and
 * for programs (JSON).
 *
 * Hides: what is shown and how. Must not know: how nodes are spelled, what the
 * back end's files look like (paravane-view.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-json.h"
#include "paravane-view.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane list [DOMAIN] [OPTION]...\n"
"\n"
"Lists the disks and network interfaces of a guest, or of all guests: the state of\n"
"both ends, the image or the switch, and below it, of one that is not connected, which\n"
"end waits for what. For disks that this machine's paravane-blkback serves, also its\n"
"engine and counters (--long, --json).\n"
"\n"
"  --json           a JSON array, one object a device, disks first; units are in\n"
"                   the names\n"
"  --long           more lines for each: features, limits, counters\n"
"  --backend DOMAIN only devices that this domain serves\n"
"  --kind KIND      only vbd, vbd3, qdisk, vif or qnic\n"
"\n"
"Exit status: 0 listed (possibly none), 1 error, 2 wrong usage, 3 XenStore does\n"
"not answer, 4 no such domain.\n";

enum { OPT_JSON = 256, OPT_LONG };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	{ "long", no_argument, NULL, OPT_LONG },
	OPTION_KIND, OPTION_BACKEND, OPTION_HELP,
	{ 0 }
};

struct list {
	struct store store;
	struct common_options common;
	bool json, more;
	unsigned nr, nr_disks;
};

/* ---- for people ------------------------------------------------------------ */

static const char *domain_column(const struct device_view *v, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%u%s%s", v->dev->domid, *v->domain ? " " : "", v->domain);
	return buf;
}

static void print_features(const struct disk_view *v)
{
	const struct vbd_features *f = &v->features;

	printf("    offered: %s%s%s%s%s", f->flush ? "flush " : "", f->barrier ? "barrier " : "",
	       f->discard ? "discard " : "", f->discard_secure ? "secure-discard " : "",
	       f->persistent ? "persistent-grants " : "");
	printf("indirect %u segments, ring %u pages, %u %s, sectors of %u bytes\n",
	       f->max_indirect_segments, 1u << f->max_ring_order, f->max_queues,
	       f->max_queues == 1 ? "queue" : "queues", f->sector_bytes);
	if (!v->base.has_front)
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

/* Of one that runs, behind the image. */
static const char *mirror_column(const struct mirror_info *m, char *buf, size_t bytes)
{
	buf[0] = '\0';
	if (m->found && !mirror_info_is_over(m))
		snprintf(buf, bytes, " (mirror to %s: %s, %u%%)", m->target, m->status,
			 mirror_info_percent(m));
	return buf;
}

static void print_limits(const struct device_view *v, enum limit_device of)
{
	char text[LIMIT_TEXT_BYTES];

	limit_format(of, &v->limit, text);
	if (text[0])
		printf("    limits: %s\n", text);
}

static void print_waits(const struct device_view *v)
{
	if (v->waits[0])
		printf("    waits: %s\n", v->waits);
}

static void print_disk(struct list *l, const struct disk_view *v)
{
	char size[32] = "-", domain[80], mirror[600];

	if (!l->nr)
		printf("%-14s %-6s %-6s %-13s %-13s %-4s %10s  %s\n", "DOMAIN", "DEVICE", "KIND",
		       "BACK END", "FRONT END", "MODE", "SIZE", "IMAGE");
	if (v->base.has_features)
		human_bytes(disk_view_bytes(v), size, sizeof(size));
	printf("%-14s %-6s %-6s %-13s %-13s %-4s %10s  %s%s\n",
	       domain_column(&v->base, domain, sizeof(domain)), v->base.device,
	       v->base.dev->kind, xenbus_state_name(v->base.ends.back),
	       xenbus_state_name(v->base.ends.front),
	       vbd_share_name(v->ts.share), size, v->ts.params ? v->ts.params : "-",
	       mirror_column(&v->mirror, mirror, sizeof(mirror)));
	if (l->more) {
		if (v->base.has_features)
			print_features(v);
		print_limits(&v->base, LIMIT_OF_DISK);
		print_counters(&v->run);
	}
	print_waits(&v->base);
}

static const char *word(bool has, const char *text)
{
	return has ? text : "";
}

static void print_nic_features(const struct nic_view *v)
{
	const struct vif_features *f = &v->features;
	const struct vif_frontend *g = &v->front;
	bool flips = g->rx_flip && !g->rx_copy && !v->flip_ended;

	printf("    offered: %s%s%s%s%s%s%s%s%u %s\n", word(f->rx_flip, "flip "), word(f->sg, "sg "),
	       word(f->gso_tcpv4, "gso4 "), word(f->gso_tcpv6, "gso6 "),
	       word(f->ipv6_csum, "csum6 "), word(f->split_event_channels, "split "),
	       word(f->multicast_control, "multicast "), word(f->ctrl_ring, "control "),
	       f->max_queues, f->max_queues == 1 ? "queue" : "queues");
	if (!v->base.has_front)
		return;
	printf("    taken: %s%s%s%s%s%s%s%s%s%u %s\n", flips ? "flip " : "copy ",
	       word(g->sg, "sg "), word(g->gso_tcpv4, "gso4 "), word(g->gso_tcpv6, "gso6 "),
	       word(!g->no_csum, "csum4 "), word(g->ipv6_csum, "csum6 "),
	       word(g->queue[0].tx_port != g->queue[0].rx_port, "split "),
	       word(g->multicast_control, "multicast "), word(g->ctrl_ring, "control "),
	       g->nr_queues, g->nr_queues == 1 ? "queue" : "queues");
}

static void print_nic(struct list *l, const struct nic_view *v)
{
	char mac[VIF_MAC_BYTES * 3] = "-", limit[32], domain[80];

	if (l->nr == l->nr_disks)
		printf("%s%-14s %-6s %-6s %-13s %-13s %-17s  %s\n", l->nr ? "\n" : "", "DOMAIN",
		       "DEVICE", "KIND", "BACK END", "FRONT END", "ADDRESS", "SWITCH");
	if (v->ts.has_mac)
		vif_format_mac(v->ts.mac, mac, sizeof(mac));
	printf("%-14s %-6s %-6s %-13s %-13s %-17s  %s%s%s%s\n",
	       domain_column(&v->base, domain, sizeof(domain)), v->base.device,
	       v->base.dev->kind, xenbus_state_name(v->base.ends.back),
	       xenbus_state_name(v->base.ends.front), mac,
	       v->ts.bridge[0] ? v->ts.bridge : "-", word(v->ts.port.vlan_text[0], ", " KEY_VLAN " "),
	       v->ts.port.vlan_text, word(v->ts.port.isolated, ", isolated"));
	if (l->more) {
		printf("    " KEY_MTU " %u, rate of what it sends: %s\n", v->ts.mtu_bytes,
		       human_rate(&v->ts, limit, sizeof(limit)));
		print_limits(&v->base, LIMIT_OF_NIC);
		if (v->base.has_features)
			print_nic_features(v);
	}
	print_waits(&v->base);
}

/* ---- the walk --------------------------------------------------------------- */

static bool is_wanted(struct list *l, const struct inventory_device *dev)
{
	return !l->common.kind || !strcmp(l->common.kind, dev->kind);
}

/* Who reads may take their time, and each device has a deadline of its own. */
static void begin_output(struct list *l)
{
	deadline_end();
	if (l->json)
		fputs(l->nr ? ",\n" : "[\n", stdout);
}

static void end_output(struct list *l)
{
	l->nr++;
	deadline_set(0);
}

static int show_disk(void *arg, const struct inventory_device *dev)
{
	struct list *l = arg;
	struct disk_view v;

	if (!is_wanted(l, dev))
		return 0;
	disk_view_look(&l->store, dev, &v);
	begin_output(l);
	if (l->json) {
		json_disk_begin(&v);
		json_device_end();
	} else {
		print_disk(l, &v);
	}
	disk_view_close(&v);
	l->nr_disks++;
	end_output(l);
	return 0;
}

static int show_nic(void *arg, const struct inventory_device *dev)
{
	struct list *l = arg;
	struct nic_view v;

	if (!is_wanted(l, dev))
		return 0;
	nic_view_look(&l->store, dev, &v);
	begin_output(l);
	if (l->json) {
		json_nic_begin(&v);
		json_device_end();
	} else {
		print_nic(l, &v);
	}
	end_output(l);
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
	ret = inventory_each(l->store.xs, INVENTORY_DISKS, backend_domid, domid, show_disk, l);
	if (!ret)
		ret = inventory_each(l->store.xs, INVENTORY_NICS, backend_domid, domid, show_nic,
				     l);
	deadline_end();
	if (l->json)
		fputs(l->nr ? "\n]\n" : "[]\n", stdout);
	else if (!l->nr && !ret)
		puts("no disks, no network interfaces");
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

/* ---- without a store, or with a daemon that has none --------------------------- */

static void show_run_file(void *arg, const struct inventory_device *dev,
			  const struct runinfo *info)
{
	struct list *l = arg;
	char device[32];

	if (!l->nr++)
		printf("What the daemons here serve, by their own files:\n%-8s %-8s %-6s %-8s %s\n",
		       "DOMAIN", "DEVICE", "KIND", "WORKER", "IMAGE OR SWITCH");
	device_label(dev->kind, dev->devid, device, sizeof(device));
	printf("%-8u %-8s %-6s %-8u %s\n", dev->domid, device, dev->kind, info->worker_pid,
	       info->store);
}

static void say_lost(void *arg, const char *daemon, const char *kind)
{
	(void)arg;
	complain(STATUS_ERROR, "paravane-%s (%s) has lost its connection to XenStore: what is "
		 "connected is served, nothing is attached, changed or detached; when XenStore "
		 "runs and has its contents, \"paravane upgrade %s\" connects it again", daemon,
		 kind, daemon);
}

static int run(int argc, char **argv)
{
	struct list l __attribute__((cleanup(close_list))) = { 0 };
	bool finished = false;
	int status = parse(&l, argc, argv, &finished);

	if (status || finished)
		return status;
	status = store_open(&l.store);
	runinfo_each_lost(say_lost, &l);
	if (status && !l.json)
		runinfo_each_served(show_run_file, &l);
	return status ? status : list(&l, optind < argc ? argv[optind] : NULL);
}

const struct subcommand list_command = {
	.name = "list",
	.summary = "shows the devices and what became of them",
	.help = help_text,
	.classes = OF_DISKS | OF_NICS,
	.run = run,
};
