/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device as a JSON object (paravane-json.h).
 */
#include <inttypes.h>
#include <stdio.h>

#include "paravane-json.h"
#include "paravane-view.h"

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

void json_quoted(const char *text)
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

void json_text(const char *name, const char *text)
{
	printf(",\n    \"%s\": ", name);
	if (text && *text)
		json_quoted(text);
	else
		fputs("null", stdout);
}

void json_number(const char *name, uint64_t n)
{
	printf(",\n    \"%s\": %" PRIu64, name, n);
}

void json_bool(const char *name, bool b)
{
	printf(",\n    \"%s\": %s", name, b ? "true" : "false");
}

void json_limit(enum limit_device of, const struct limit *l)
{
	const char *name, *comma = "";
	uint64_t number;

	putchar('{');
	for (uint32_t i = 0; (name = limit_each(of, l, i, &number)); i++) {
		if (!number)
			continue;
		printf("%s\"", comma);
		for (; *name; name++)
			putchar(*name == '-' ? '_' : *name);
		printf("\": %" PRIu64, number);
		comma = ", ";
	}
	putchar('}');
}

/* ---- of every device ---------------------------------------------------------- */

static void json_begin(const struct device_view *v, enum limit_device of)
{
	printf("  {\n    \"domid\": %u", v->dev->domid);
	json_text("domain", v->domain);
	json_text("device", v->device);
	json_number("devid", v->dev->devid);
	json_text("kind", v->dev->kind);
	json_number("backend_domid", v->dev->backend_domid);
	json_text("backend_state", xenbus_state_name(v->ends.back));
	json_text("frontend_state", xenbus_state_name(v->ends.front));
	fputs(",\n    \"limit\": ", stdout);
	json_limit(of, &v->limit);
}

void json_device_end(void)
{
	fputs("\n  }", stdout);
}

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

/* ---- disks ---------------------------------------------------------------------- */

static void json_features(const struct disk_view *v)
{
	const struct vbd_features *f = &v->features;

	json_number("size_bytes", disk_view_bytes(v));
	json_number("sector_bytes", f->sector_bytes);
	json_number("physical_sector_bytes", f->physical_sector_bytes);
	printf(",\n    \"offered\": {\"flush\": %s, \"barrier\": %s, \"discard\": %s, "
	       "\"discard_secure\": %s, \"persistent_grants\": %s, "
	       "\"max_indirect_segments\": %u, \"max_ring_pages\": %u, \"max_queues\": %u}",
	       truth(f->flush), truth(f->barrier), truth(f->discard),
	       truth(f->discard_secure), truth(f->persistent), f->max_indirect_segments,
	       1u << f->max_ring_order, f->max_queues);
	if (!v->base.has_front)
		return;
	printf(",\n    \"negotiated\": {\"persistent_grants\": %s, \"ring_pages\": %u, "
	       "\"queues\": %u, \"abi\": \"%s\"}",
	       truth(f->persistent && v->front.persistent),
	       1u << v->front.queue[0].order, v->front.nr_queues, abi_name(v->front.abi));
}

static void json_counters(const struct runinfo *r)
{
	const struct blk_figures *c = &r->counters;

	json_text("engine", r->engine);
	json_text("grant_mode", r->grants);
	if (r->worker_pid)
		json_number("worker_pid", r->worker_pid);
	json_number("worker_restarts", r->restarts);
	if (!r->has_counters)
		return;
	printf(",\n    \"counters\": {\"reads\": %" PRIu64 ", \"writes\": %" PRIu64
	       ", \"flushes\": %" PRIu64 ", \"barriers\": %" PRIu64
	       ", \"discards\": %" PRIu64 ", \"errors\": %" PRIu64
	       ", \"unsupported\": %" PRIu64
	       ", \"read_bytes\": %" PRIu64 ", \"written_bytes\": %" PRIu64,
	       c->reads, c->writes, c->flushes, c->barriers, c->discards, c->errors, c->unsupported,
	       c->read_sectors * VBD_SECTOR_BYTES, c->written_sectors * VBD_SECTOR_BYTES);
	printf(", \"notifications_sent\": %" PRIu64 ", \"wakeups\": %" PRIu64
	       ", \"spins_hit\": %" PRIu64 ", \"spins_missed\": %" PRIu64
	       ", \"segments\": %" PRIu64 ", \"mapped_pages\": %" PRIu64
	       ", \"copied_bytes\": %" PRIu64 ", \"replayed\": %" PRIu64 "}",
	       c->notifications_sent, c->wakeups, c->spins_hit, c->spins_missed, c->segments,
	       c->mapped_pages, c->copied_bytes, c->replayed);
}

/* Of one that runs. */
static void json_mirror(const struct mirror_info *m)
{
	if (!m->found || mirror_info_is_over(m)) {
		json_text("mirror", NULL);
		return;
	}
	fputs(",\n    \"mirror\": {\"target\": ", stdout);
	json_quoted(m->target);
	printf(", \"status\": \"%s\", \"at_sync\": \"%s\", \"percent\": %u, \"left_bytes\": %" PRIu64
	       "}", m->status, m->at_sync, mirror_info_percent(m), m->dirty_bytes);
}

void json_disk_begin(const struct disk_view *v)
{
	json_begin(&v->base, LIMIT_OF_DISK);
	json_text("image", v->ts.params);
	json_text("mode", vbd_share_name(v->ts.share));
	json_text("cache", vbd_cache_name(v->ts.cache));
	json_bool("cdrom", v->ts.cdrom);
	json_bool("removable", v->ts.removable);
	if (v->base.has_features)
		json_features(v);
	if (v->run.found)
		json_counters(&v->run);
	json_mirror(&v->mirror);
	json_text("waits_for", v->base.waits);
}

/* ---- network interfaces ----------------------------------------------------------- */

static void json_nic_features(const struct nic_view *v)
{
	const struct vif_features *f = &v->features;
	const struct vif_frontend *g = &v->front;
	bool flips = g->rx_flip && !g->rx_copy && !v->flip_ended;

	printf(",\n    \"offered\": {\"sg\": %s, \"gso_tcpv4\": %s, \"gso_tcpv6\": %s, "
	       "\"ipv6_csum\": %s, \"rx_copy\": %s, \"rx_flip\": %s, "
	       "\"split_event_channels\": %s, \"multicast_control\": %s, "
	       "\"dynamic_multicast_control\": %s, \"ctrl_ring\": %s, \"max_queues\": %u}",
	       truth(f->sg), truth(f->gso_tcpv4), truth(f->gso_tcpv6), truth(f->ipv6_csum),
	       truth(f->rx_copy), truth(f->rx_flip), truth(f->split_event_channels),
	       truth(f->multicast_control), truth(f->dynamic_multicast_control),
	       truth(f->ctrl_ring), f->max_queues);
	if (!v->base.has_front)
		return;
	printf(",\n    \"negotiated\": {\"sg\": %s, \"gso_tcpv4\": %s, \"gso_tcpv6\": %s, "
	       "\"csum\": %s, \"ipv6_csum\": %s, \"rx_copy\": %s, \"rx_flip\": %s, \"rx_notify\": %s, "
	       "\"split_event_channels\": %s, \"multicast_control\": %s, "
	       "\"ctrl_ring\": %s, \"queues\": %u}",
	       truth(g->sg), truth(g->gso_tcpv4), truth(g->gso_tcpv6), truth(!g->no_csum),
	       truth(g->ipv6_csum), truth(!flips), truth(flips), truth(g->rx_notify),
	       truth(g->queue[0].tx_port != g->queue[0].rx_port),
	       truth(g->multicast_control), truth(g->ctrl_ring), g->nr_queues);
}

void json_nic_begin(const struct nic_view *v)
{
	char mac[VIF_MAC_BYTES * 3] = "";

	if (v->ts.has_mac)
		vif_format_mac(v->ts.mac, mac, sizeof(mac));
	json_begin(&v->base, LIMIT_OF_NIC);
	json_text("mac", mac);
	json_text("bridge", v->ts.bridge);
	json_text("vifname", v->ts.vifname);
	json_text("vlan", v->ts.port.vlan_text);
	json_number("mtu_bytes", v->ts.mtu_bytes);
	json_number("rate_bits_per_s", rate_bits_per_s(&v->ts));
	json_bool("isolated", v->ts.port.isolated);
	json_bool("any_source", v->ts.port.any_source);
	json_text("hotplug", v->ts.hotplug_error ? "error" :
		  v->ts.hotplug_pending ? "pending" : "connected");
	json_bool("carrier", v->carrier);
	if (v->base.has_features)
		json_nic_features(v);
	json_text("waits_for", v->base.waits);
}
