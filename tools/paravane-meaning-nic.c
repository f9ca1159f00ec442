/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of paravane explain for network interfaces (paravane-meaning.h): one
 * function for each topic, called in the order of the table at the end. "Sends"
 * and "receives" are the guest's view.
 *
 * What Linux guests do, and by which parameter that is changed, are facts of
 * drivers/net/xen-netfront.c.
 */
#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "paravane-meaning.h"
#include "util.h"

#define SAY(field, ...) snprintf(m->field, sizeof(m->field), __VA_ARGS__)

static bool agreed(const struct nic_view *v)
{
	return view_is_agreed(&v->base);
}

static bool by_qemu(const struct nic_view *v)
{
	return !strcmp(v->base.dev->kind, KIND_QNIC);
}

/* ---- where the frames go --------------------------------------------------------- */

static void bridge(const struct nic_view *v, struct meaning *m)
{
	char vlan[64] = "";

	if (v->ts.port.vlan_text[0])
		snprintf(vlan, sizeof(vlan), ", " KEY_VLAN " %.40s", v->ts.port.vlan_text);
	SAY(is, "%.48s%s%s", v->ts.bridge[0] ? v->ts.bridge : v->base.ours ? VIF_BRIDGE_DEFAULT : "not named", vlan,
	    v->ts.port.isolated ? ", isolated" : "");
	if (!v->base.ours)
		return;
	if (v->ts.port.isolated)
		SAY(means, "reaches ports of this switch that are not isolated, uplinks as a rule; no other isolated guest");
	else if (vlan[0])
		SAY(means, "reaches what is in the same VLANs of this switch, and nothing else");
	else
		SAY(means, "reaches all guests and uplinks of this switch that have no VLAN");
}

static void address(const struct nic_view *v, struct meaning *m)
{
	char mac[VIF_MAC_BYTES * 3];

	if (!v->ts.has_mac)
		return;
	vif_format_mac(v->ts.mac, mac, sizeof(mac));
	SAY(is, "%s", mac);
	if (!v->base.ours)
		return;
	if (v->ts.port.any_source)
		SAY(means, "the guest may send from other addresses too (" KEY_ANY_SOURCE " 1), as one that bridges or routes for others has to");
	else
		SAY(means, "frames that the guest sends from another address are dropped");
}

static void mtu(const struct nic_view *v, struct meaning *m)
{
	SAY(is, "%u bytes", v->ts.mtu_bytes);
	if (v->ts.mtu_bytes > VIF_MTU_DEFAULT)
		SAY(means, "everybody on the switch must take frames that large, uplinks too; Linux guests do not read the key: set it there (ip link set ... mtu %u)",
		    v->ts.mtu_bytes);
	else if (v->ts.mtu_bytes < VIF_MTU_DEFAULT)
		SAY(means, "Linux guests do not read the key: set it there (ip link set ... mtu %u)",
		    v->ts.mtu_bytes);
}

static void rate(const struct nic_view *v, struct meaning *m)
{
	char limit[32];

	if (!v->ts.rate_usec)
		return;
	SAY(is, "%s", human_rate(&v->ts, limit, sizeof(limit)));
	SAY(means, "for what the guest sends");
}

static void limits(const struct nic_view *v, struct meaning *m)
{
	limits_meaning(&v->base, LIMIT_OF_NIC, m);
}

static void link(const struct nic_view *v, struct meaning *m)
{
	if (v->ts.hotplug_error) {
		SAY(is, "no: the hotplug script failed");
		return;
	}
	if (v->carrier)
		return;
	SAY(is, "down");
	SAY(means, "the back end says " KEY_CARRIER " 0: no frame goes in or out");
}

/* ---- how they get there ------------------------------------------------------------- */

static void queues(const struct nic_view *v, struct meaning *m)
{
	uint32_t most = v->features.max_queues;
	uint32_t nr = agreed(v) ? v->front.nr_queues : most;

	if (!agreed(v))
		SAY(is, "up to %u offered", most);
	else if (most > 1)
		SAY(is, "%u, of %u offered", nr, most);
	else
		SAY(is, "1; the back end offers no more");
	if (nr == 1)
		SAY(means, "one CPU of the guest sends, and one receives");
	else
		SAY(means, "up to %u CPUs of the guest send and receive at the same time%s", nr,
		    v->base.ours ? "; one CPU of the back end's domain works for the whole switch" : "");
	if (agreed(v) && nr < most)
		SAY(advice, "Linux takes a queue for each of its CPUs, as far as xen_netfront.max_queues (8) allows");
}

static void events(const struct nic_view *v, struct meaning *m)
{
	const struct vif_queue *q = &v->front.queue[0];

	if (!agreed(v)) {
		SAY(is, "%s", v->features.split_event_channels ? "two event channels a queue offered" :
		    "one event channel a queue");
	} else if (q->tx_port != q->rx_port) {
		SAY(is, "two event channels a queue");
		SAY(means, "the guest is woken for frames that come apart from answers to those it sent");
	} else {
		SAY(is, "one event channel a queue%s",
		    v->features.split_event_channels ? ": the guest does not take two" : "");
		SAY(means, "every event has the guest look at both rings");
	}
}

static void receiving(const struct nic_view *v, struct meaning *m)
{
	if (!agreed(v)) {
		SAY(is, "%s%s", v->features.rx_copy ? "copy offered" : "no copy offered",
		    v->features.rx_flip ? ", flip too" : "");
		return;
	}
	if (v->front.rx_flip && !v->front.rx_copy && !v->flip_ended) {
		SAY(is, "flip");
		SAY(means, "pages with frames in them go over to the guest");
		return;
	}
	SAY(is, "copy%s, the guest %s", v->front.rx_flip && !v->front.rx_copy ?
	    " instead of flip, which failed (see the back end's log)" : "", v->front.rx_notify ? "tells of new buffers" :
	    "does not tell of new buffers");
	if (!v->front.rx_notify)
		SAY(means, "one that ran out of buffers is looked after by a timer: frames come late, or are lost, then");
	else if (by_qemu(v))
		SAY(means, "QEMU maps and unmaps the guest's page for every frame");
	else
		SAY(means, "the hypervisor copies frames into the guest's pages; no page of the guest stays mapped but the rings");
}

static void frames(const struct nic_view *v, struct meaning *m)
{
	bool send = v->features.sg, receive = agreed(v) ? v->front.sg : true;

	if (send && receive) {
		SAY(is, "of several pages (" KEY_FEATURE_SG ")%s", agreed(v) ? "" : " offered");
		return;
	}
	SAY(is, "of one page%s", send ? " where the guest receives" :
	    receive && agreed(v) ? " where the guest sends" : "");
	SAY(means, "no large TCP packets, and no MTU above 1500 in a Linux guest, that way: a packet for every 1.5 KB");
}

static const char *versions(bool v4, bool v6)
{
	return v4 && v6 ? "IPv4 and IPv6" : v4 ? "IPv4" : v6 ? "IPv6" : "none";
}

static void gso(const struct nic_view *v, struct meaning *m)
{
	const struct vif_features *f = &v->features;
	const struct vif_frontend *g = &v->front;
	bool any = f->gso_tcpv4 || f->gso_tcpv6;

	if (!agreed(v)) {
		SAY(is, "%s offered", versions(f->gso_tcpv4, f->gso_tcpv6));
		return;
	}
	SAY(is, "sends %s, receives %s", versions(f->gso_tcpv4, f->gso_tcpv6),
	    versions(g->gso_tcpv4, g->gso_tcpv6));
	if (any && (g->gso_tcpv4 || g->gso_tcpv6))
		SAY(means, "TCP goes in packets of up to 64 KiB, which nobody cuts between two such guests");
	else if (any)
		SAY(means, "large packets for this guest are cut by the %s, which costs it a copy and time",
		    v->base.ours ? "back end" : "sender's kernel");
	else
		SAY(means, "a packet for every 1.5 KB of TCP, each with its own share of work: a fraction of the throughput");
}

static void checksums(const struct nic_view *v, struct meaning *m)
{
	const struct vif_frontend *g = &v->front;

	if (!agreed(v)) {
		SAY(is, "blank ones taken for IPv4%s", v->features.ipv6_csum ? " and IPv6" : "");
		return;
	}
	SAY(is, "blank: sends %s, receives %s", versions(true, v->features.ipv6_csum),
	    versions(!g->no_csum, g->ipv6_csum));
	if (g->no_csum)
		SAY(means, "the guest wants all checksums complete, so whoever sends to it, or the back end, adds up every byte");
	else
		SAY(means, "between guests nobody adds up bytes: what never leaves memory needs no checksum");
}

static void multicast(const struct nic_view *v, struct meaning *m)
{
	const struct vif_features *f = &v->features;

	if (!f->multicast_control && !f->dynamic_multicast_control)
		return;
	if (agreed(v) && v->front.multicast_control) {
		SAY(is, "only groups that the guest asks for");
		return;
	}
	SAY(is, "all groups; a filter is offered%s",
	    agreed(v) ? " and not asked for" : "");
	if (agreed(v))
		SAY(means, "the guest gets every multicast frame of the switch (Linux never asks for the filter)");
}

static void control(const struct nic_view *v, struct meaning *m)
{
	if (!v->features.ctrl_ring)
		return;
	if (!agreed(v))
		SAY(is, "offered");
	else if (!v->front.ctrl_ring)
		SAY(is, "offered and not taken (Linux never takes it)");
	else
		SAY(is, "taken");
	if (agreed(v) && v->front.nr_queues > 1)
		SAY(means, "%s", v->front.ctrl_ring ?
		    "the guest may choose, by a Toeplitz hash of its own, which queue a flow comes in" :
		    "the back end chooses which queue a flow comes in");
}

static void sandbox(const struct nic_view *v, struct meaning *m)
{
	sandbox_meaning(&v->base, m);
}

static const struct {
	const char *topic;
	void (*say)(const struct nic_view *v, struct meaning *m);
} topics[] = {
	{ "switch", bridge },
	{ "address", address },
	{ "link", link },
	{ "mtu", mtu },
	{ "rate", rate },
	{ "limits", limits },
	{ "queues", queues },
	{ "events", events },
	{ "receiving", receiving },
	{ "frames", frames },
	{ "gso", gso },
	{ "checksums", checksums },
	{ "multicast", multicast },
	{ "control", control },
	{ "sandbox", sandbox },
};
_Static_assert(ARRAY_LEN(topics) <= MEANINGS_MAX, "room for every topic");

unsigned nic_meanings(const struct nic_view *v, struct meaning out[MEANINGS_MAX])
{
	unsigned n = 0;

	for (size_t i = 0; v->base.has_features && i < ARRAY_LEN(topics); i++) {
		memset(&out[n], 0, sizeof(out[n]));
		out[n].topic = topics[i].topic;
		topics[i].say(v, &out[n]);
		n += out[n].is[0] != '\0';
	}
	return n;
}
