/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of paravane explain for network interfaces.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "paravane-meaning.h"
#include "unit.h"

static const struct inventory_device vif = { .kind = "vif" }, qnic = { .kind = "qnic" };

/* As our back end offers, and Linux's front end takes with its defaults. */
static struct nic_view connected(void)
{
	return (struct nic_view){
		.base = {
			.dev = &vif, .ours = true, .has_features = true, .has_front = true,
			.ends = { .back = XenbusStateConnected, .front = XenbusStateConnected },
		},
		.ts = { .bridge = "br0", .mac = { 0, 0x16, 0x3e, 1, 2, 3 }, .has_mac = true,
			.mtu_bytes = 1500 },
		.features = {
			.sg = true, .gso_tcpv4 = true, .gso_tcpv6 = true, .ipv6_csum = true,
			.rx_copy = true, .split_event_channels = true,
			.multicast_control = true, .dynamic_multicast_control = true,
			.ctrl_ring = true, .max_queues = 4,
		},
		.front = {
			.nr_queues = 2, .queue = { { .tx_port = 5, .rx_port = 6 } },
			.rx_copy = true, .rx_notify = true, .sg = true, .gso_tcpv4 = true,
			.gso_tcpv6 = true, .ipv6_csum = true,
		},
		.ts_valid = true, .carrier = true,
	};
}

/* What is said of a topic; "" when nothing is. */
static const char *said(const struct nic_view *v, const char *topic)
{
	static char all[700];
	struct meaning m[MEANINGS_MAX];
	unsigned n = nic_meanings(v, m);

	all[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(m[i].topic, topic))
			snprintf(all, sizeof(all), "%s. %s. %s.", m[i].is, m[i].means, m[i].advice);
	return all;
}

static bool says(const struct nic_view *v, const char *topic, const char *text)
{
	const char *all = said(v, topic);

	if (strstr(all, text))
		return true;
	fprintf(stderr, "\n%s: \"%s\", expected \"%s\" in it", topic, all, text);
	return false;
}

static void test_where(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "switch", "br0. reaches all guests and uplinks"));
	snprintf(v.ts.port.vlan_text, sizeof(v.ts.port.vlan_text), "10,20");
	UNIT_OK(says(&v, "switch", "br0, vlan 10,20. reaches what is in the same VLANs"));
	v.ts.port.isolated = true;
	UNIT_OK(says(&v, "switch", "isolated. reaches ports of this switch that are not isolated"));
	v.ts.bridge[0] = '\0';
	UNIT_OK(says(&v, "switch", "default, vlan"));
	UNIT_OK(says(&v, "address", "00:16:3e:01:02:03. frames that the guest sends from another address are dropped"));
	v.ts.port.any_source = true;
	UNIT_OK(says(&v, "address", "may send from other addresses"));
	/* Of what another's switch does nothing is known. */
	v.base.ours = false;
	UNIT_OK(!strstr(said(&v, "address"), "other addresses"));
	UNIT_OK(!strstr(said(&v, "switch"), "reaches"));
	UNIT_OK(says(&v, "switch", "not named"));
	v.ts.has_mac = false;
	UNIT_STREQ(said(&v, "address"), "");
}

static void test_limits(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "mtu", "1500 bytes. . "));
	v.ts.mtu_bytes = 9000;
	UNIT_OK(says(&v, "mtu", "ip link set ... mtu 9000"));
	v.ts.mtu_bytes = 1280;
	UNIT_OK(says(&v, "mtu", "mtu 1280"));
	UNIT_STREQ(said(&v, "rate"), "");
	v.ts.rate_bytes = 62500;
	v.ts.rate_usec = 50000;
	UNIT_OK(says(&v, "rate", "10 Mbit/s. for what the guest sends"));
	v.ts.rate_bytes = 1;
	v.ts.rate_usec = 1000000;
	UNIT_OK(says(&v, "rate", "8 bit/s"));
	UNIT_STREQ(said(&v, "link"), "");
	v.carrier = false;
	UNIT_OK(says(&v, "link", "down"));
	v.ts.hotplug_error = true;
	UNIT_OK(says(&v, "link", "hotplug script failed"));
}

static void test_queues(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "queues", "2, of 4 offered. up to 2 CPUs of the guest"));
	UNIT_OK(says(&v, "queues", "xen_netfront.max_queues"));
	v.front.nr_queues = 4;
	UNIT_OK(!strstr(said(&v, "queues"), "xen_netfront"));
	v.front.nr_queues = v.features.max_queues = 1;
	UNIT_OK(says(&v, "queues", "the back end offers no more. one CPU"));
	UNIT_OK(says(&v, "events", "two event channels"));
	v.front.queue[0].rx_port = 5;
	UNIT_OK(says(&v, "events", "one event channel a queue: the guest does not take two. every event"));
	v.features.split_event_channels = false;
	UNIT_OK(!strstr(said(&v, "events"), "does not take"));
}

static void test_receiving(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "receiving", "copy, the guest tells of new buffers. the hypervisor copies"));
	v.base.dev = &qnic;
	UNIT_OK(says(&v, "receiving", "QEMU maps"));
	v.front.rx_notify = false;
	UNIT_OK(says(&v, "receiving", "does not tell of new buffers. one that ran out"));
	v.front.rx_copy = false;
	v.front.rx_flip = true;
	UNIT_OK(says(&v, "receiving", "flip. pages"));
	v.flip_ended = true;
	UNIT_OK(says(&v, "receiving", "copy instead of flip"));
}

static void test_large(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "frames", "of several pages"));
	UNIT_OK(says(&v, "gso", "sends IPv4 and IPv6, receives IPv4 and IPv6. TCP goes in packets of up to 64 KiB"));
	v.front.gso_tcpv4 = v.front.gso_tcpv6 = false;
	UNIT_OK(says(&v, "gso", "receives none. large packets for this guest are cut by the back end"));
	v.front.sg = false;
	UNIT_OK(says(&v, "frames", "of one page where the guest receives. no large"));
	v.front.sg = true;
	v.features.sg = v.features.gso_tcpv4 = v.features.gso_tcpv6 = false;
	UNIT_OK(says(&v, "frames", "of one page where the guest sends. no large"));
	UNIT_OK(says(&v, "gso", "a packet for every 1.5 KB"));
	v.front.sg = false;
	UNIT_OK(says(&v, "frames", "of one page. no large"));
}

static void test_checksums(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "checksums", "receives IPv4 and IPv6. between guests nobody adds"));
	v.front.ipv6_csum = false;
	UNIT_OK(says(&v, "checksums", "sends IPv4 and IPv6, receives IPv4. "));
	v.front.no_csum = true;
	UNIT_OK(says(&v, "checksums", "receives none. the guest wants all checksums complete"));
}

static void test_control(void)
{
	struct nic_view v = connected();

	UNIT_OK(says(&v, "multicast", "offered and not asked for"));
	v.front.multicast_control = true;
	UNIT_OK(says(&v, "multicast", "only groups that the guest asks for"));
	UNIT_OK(says(&v, "control", "not taken (Linux never takes it). the back end chooses"));
	v.front.ctrl_ring = true;
	UNIT_OK(says(&v, "control", "taken. the guest may choose"));
	v.features = (struct vif_features){ .max_queues = 1 };
	UNIT_STREQ(said(&v, "control"), "");
	UNIT_STREQ(said(&v, "multicast"), "");
}

/* Before the front end has answered only the offer counts. */
static void test_offer(void)
{
	static const char *const topics[] = {
		"queues", "events", "receiving", "frames", "gso", "multicast", "control",
	};
	struct nic_view v = connected();
	struct meaning m[MEANINGS_MAX];

	v.base.has_front = false;
	memset(&v.front, 0xff, sizeof(v.front));
	for (size_t i = 0; i < UNIT_LEN(topics); i++)
		UNIT_OK(says(&v, topics[i], "offered"));
	UNIT_OK(says(&v, "queues", "up to 4"));
	UNIT_OK(says(&v, "checksums", "taken for IPv4 and IPv6"));
	v.base.has_features = false;
	UNIT_EQ(nic_meanings(&v, m), 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "where frames go", test_where },
		{ "MTU, rate, link", test_limits },
		{ "queues and events", test_queues },
		{ "receiving", test_receiving },
		{ "large packets", test_large },
		{ "checksums", test_checksums },
		{ "multicast and control ring", test_control },
		{ "an offer", test_offer },
	};

	return unit_run("explain, nics", tests, UNIT_LEN(tests));
}
