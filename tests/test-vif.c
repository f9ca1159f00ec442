/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vif.c, vif-back.c, vif-front.c: what tool stacks, back ends and front ends
 * write, the spellings of all of them, and what must be refused by name.
 */
#include <stdint.h>

#include "fake-xenstore.h"
#include "unit.h"
#include "vif.h"

#define BACK "/local/domain/0/backend/vif/3/0"
#define FRONT "/local/domain/3/device/vif/0"

static const char *const not_numbers[] = {
	"", " ", "-1", "+1", "x", "1x", "0x10", "1 ", "18446744073709551616",
};

static struct xs_handle *start(void)
{
	fake_xs_reset();
	fake_xs_put(BACK "/frontend-id", "3");
	return fake_xs_open(0);
}

/* ---- words ---------------------------------------------------------------------- */

static void test_mac(void)
{
	static const char *const bad[] = {
		"", "00:16:3e:00:00", "00:16:3e:00:00:0", "00:16:3e:00:00:001",
		"00:16:3e:00:00:01:", "00-16-3e-00-00-01", "0g:16:3e:00:00:01",
		"01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
		"00:16:3e:00:00:01 ", " 00:16:3e:00:00:01", ":::::", "0", "00",
	};
	uint8_t mac[6];
	char text[18];
	size_t i;

	UNIT_EQ(vif_parse_mac("00:16:3E:aB:cd:0f", mac), 0);
	vif_format_mac(mac, text, sizeof(text));
	UNIT_STREQ(text, "00:16:3e:ab:cd:0f");
	for (i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(vif_parse_mac(bad[i], mac), -EINVAL);
}

static bool has_vlan(const uint8_t *vlans, unsigned int v)
{
	return vlans[v / 8] >> v % 8 & 1;
}

static void test_vlan(void)
{
	static const struct {
		const char *text;
		bool trunk;
		unsigned int vlan, in, out, nr;
	} t[] = {
		{ "", false, 0, 0, 1, 0 }, { "0", false, 0, 0, 1, 0 },
		{ "10", false, 10, 10, 11, 1 }, { "4094", false, 4094, 4094, 1, 1 },
		{ "10,20", true, 0, 20, 15, 2 }, { "10-20", true, 0, 15, 21, 11 },
		{ "10,20-29", true, 0, 29, 30, 11 }, { "7-7", true, 0, 7, 8, 1 },
		{ "p1,10,20", true, 1, 1, 2, 3 }, { "10,p5", true, 5, 10, 6, 2 },
		{ "p9", true, 9, 9, 10, 1 }, { "1-4094", true, 0, 4094, 0, 4094 },
	};
	static const char *const bad[] = {
		"x", "-1", "4095", "65546", "10,", ",10", "10,,20", "20-10", "0-5", "10,0",
		"p", "p0", "p1,p2", "10 ", "10;20", "1-", "-5", "99999999999999999999",
		"p1-5", "10-20-30",
	};
	uint8_t vlans[512];
	uint16_t vlan;
	unsigned int nr;
	size_t i, v;
	bool trunk;

	for (i = 0; i < UNIT_LEN(t); i++) {
		UNIT_EQ(vif_parse_vlan(t[i].text, &trunk, &vlan, vlans), 0);
		UNIT_EQ(trunk, t[i].trunk);
		UNIT_EQ(vlan, t[i].vlan);
		if (t[i].in)
			UNIT_OK(has_vlan(vlans, t[i].in));
		UNIT_OK(!has_vlan(vlans, t[i].out));
		for (nr = 0, v = 0; v < 4096; v++)
			nr += has_vlan(vlans, (unsigned int)v);
		UNIT_EQ(nr, t[i].nr);
	}
	for (i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(vif_parse_vlan(bad[i], &trunk, &vlan, vlans), -EINVAL);
}

/* ---- the tool stack's nodes --------------------------------------------------------- */

static void test_toolstack_defaults(void)
{
	struct xs_handle *xs = start();
	struct vif_toolstack ts;
	struct key_error err;

	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_STREQ(ts.bridge, "");
	UNIT_STREQ(ts.vifname, "vif3.0");
	UNIT_OK(!ts.has_mac && ts.online && !ts.port.isolated && !ts.port.any_source);
	UNIT_EQ(ts.mtu_bytes, 1500);
	UNIT_EQ(ts.rate_usec, 0);
	UNIT_EQ(ts.rate_bytes, 0);
	UNIT_EQ(ts.max_queues, 0);
	UNIT_OK(!ts.hotplug_pending && !ts.hotplug_error);
	xs_close(xs);
}

/* The nodes of an interface as xl writes them, with values for all. */
static void test_toolstack_xl(void)
{
	struct xs_handle *xs = start();
	struct vif_toolstack ts;
	struct key_error err;
	char mac[18];

	fake_xs_put(BACK "/script", "/etc/xen/scripts/vif-bridge");
	fake_xs_put(BACK "/vifname", "web0");
	fake_xs_put(BACK "/mac", "00:16:3e:01:02:03");
	fake_xs_put(BACK "/mtu", "9000");
	fake_xs_put(BACK "/rate", "12500,50000");
	fake_xs_put(BACK "/bridge", "xenbr1");
	fake_xs_put(BACK "/vlan", "p1,10");
	fake_xs_put(BACK "/handle", "2");
	fake_xs_put(BACK "/hotplug-status", "");
	fake_xs_put(BACK "/online", "0");
	fake_xs_put(BACK "/isolated", "1");
	fake_xs_put(BACK "/any-source", "1");
	fake_xs_put(BACK "/max-queues", "16");
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	vif_format_mac(ts.mac, mac, sizeof(mac));
	UNIT_OK(ts.has_mac);
	UNIT_STREQ(mac, "00:16:3e:01:02:03");
	UNIT_STREQ(ts.vifname, "web0");
	UNIT_STREQ(ts.bridge, "xenbr1");
	UNIT_STREQ(ts.port.vlan_text, "p1,10");
	UNIT_EQ(ts.mtu_bytes, 9000);
	UNIT_EQ(ts.handle, 2);
	UNIT_EQ(ts.max_queues, 16);
	UNIT_EQ(ts.rate_bytes, 12500);
	UNIT_EQ(ts.rate_usec, 50000);
	UNIT_OK(ts.hotplug_pending && !ts.hotplug_error);
	UNIT_OK(!ts.online && ts.port.isolated && ts.port.any_source);
	fake_xs_put(BACK "/hotplug-status", "connected");
	fake_xs_put(BACK "/rate-bits", "1000000000");
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(!ts.hotplug_pending);
	UNIT_EQ(ts.rate_usec, 50000);
	UNIT_EQ(ts.rate_bytes, 6250000);
	fake_xs_put(BACK "/rate-bits", "0");
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_EQ(ts.rate_usec, 0);
	fake_xs_put(BACK "/hotplug-status", "error");
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(ts.hotplug_pending && ts.hotplug_error);
	xs_close(xs);
}

/* Each value on its own is refused, and its node named. */
static void refuse_toolstack(const char *key, const char *const *bad, size_t nr)
{
	char path[128];
	struct vif_toolstack ts;
	struct key_error err;
	size_t i;

	snprintf(path, sizeof(path), BACK "/%s", key);
	for (i = 0; i < nr; i++) {
		struct xs_handle *xs = start();

		memset(&err, 0, sizeof(err));
		fake_xs_put(path, bad[i]);
		UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
		UNIT_STREQ(err.key, key);
		UNIT_OK(err.expected != NULL);
		xs_close(xs);
	}
}

static void test_toolstack_bad(void)
{
	static const char *const rate[] = {
		"", ",", "5", "5,", ",5", "0,50000", "-1,5", "5,-1", "5,5,5", "x,5", "5,x",
		"18446744073709551616,5", "5,4294967296", "5 ,5", "5,5 ",
		"2147483649,5", "5,2147483649",
	};
	static const char *const bits[] = { "343597383681", "18446744073709551615" };
	static const char *const mtu[] = { "", "0", "67", "65522", "-1", "1500x", "99999999999" };
	static const char *const name[] = { "a b", "a/b", "..", ".x", "a\n", "\xff" };
	static const char *const mac[] = { "", "x", "ff:ff:ff:ff:ff:ff" };
	static const char *const vlan[] = { "x", "4095", "1,,2" };
	static const char *const queues[] = { "", "0", "17", "-1", "4294967297" };
	static const char *const flag[] = { "", "2", "yes", "-1" };
	struct xs_handle *xs;
	struct vif_toolstack ts;
	struct key_error err;
	char longer[200];

	refuse_toolstack("rate", rate, UNIT_LEN(rate));
	refuse_toolstack("rate-bits", not_numbers, UNIT_LEN(not_numbers));
	refuse_toolstack("rate-bits", bits, UNIT_LEN(bits));
	refuse_toolstack("mtu", mtu, UNIT_LEN(mtu));
	refuse_toolstack("handle", not_numbers, UNIT_LEN(not_numbers));
	refuse_toolstack("bridge", name, UNIT_LEN(name));
	refuse_toolstack("vifname", name, UNIT_LEN(name));
	refuse_toolstack("mac", mac, UNIT_LEN(mac));
	refuse_toolstack("vlan", vlan, UNIT_LEN(vlan));
	refuse_toolstack("isolated", flag, UNIT_LEN(flag));
	refuse_toolstack("any-source", flag, UNIT_LEN(flag));
	refuse_toolstack("max-queues", queues, UNIT_LEN(queues));
	refuse_toolstack("online", flag, UNIT_LEN(flag));
	xs = start();
	memset(longer, 'a', sizeof(longer));
	fake_xs_put_bytes(BACK "/bridge", longer, sizeof(longer));
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
	UNIT_STREQ(err.key, "bridge");
	fake_xs_put_bytes(BACK "/bridge", "a\0b", 3);
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
	xs_close(xs);
}

/* ---- changes while a vif is in use ------------------------------------------------------- */

static void test_change(void)
{
	struct vif_change c = { .vlan = "p5,10", .isolated = 1, .any_source = -1,
				.disconnect = -1 };
	struct xs_handle *xs = start();
	struct vif_toolstack ts;
	struct key_error err;
	const char *dir = BACK;

	UNIT_EQ(vif_change_port(xs, "/local/domain/0/backend/vif/3/9", FRONT, &c), -ENOENT);
	UNIT_OK(!fake_xs_get("/local/domain/0/backend/vif/3/9/isolated"));
	fake_xs_put(BACK "/rate", "12500,50000");
	fake_xs_put(FRONT "/state", "4");
	UNIT_EQ(vif_change_port(xs, dir, FRONT, &c), 0);
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(ts.port.trunk && ts.port.isolated && !ts.port.any_source);
	UNIT_EQ(ts.port.vlan, 5);
	UNIT_OK(has_vlan(ts.port.vlans, 10) && !has_vlan(ts.port.vlans, 11));
	UNIT_EQ(ts.rate_bytes, 12500);
	UNIT_OK(!fake_xs_get(BACK "/any-source") && !fake_xs_get(FRONT "/disconnect"));
	/* What is not named stays. */
	c = (struct vif_change){ .isolated = -1, .any_source = 1, .set_rate = true,
				  .disconnect = 1 };
	UNIT_EQ(vif_change_port(xs, dir, FRONT, &c), 0);
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(ts.port.trunk && ts.port.isolated && ts.port.any_source);
	UNIT_EQ(ts.rate_bytes, 0);
	UNIT_STREQ(fake_xs_get(FRONT "/disconnect"), "1");
	c = (struct vif_change){ .vlan = "", .isolated = 0, .any_source = -1,
				  .disconnect = 0 };
	UNIT_EQ(vif_change_port(xs, dir, FRONT, &c), 0);
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(!ts.port.trunk && !ts.port.isolated && !ts.port.vlan);
	UNIT_STREQ(fake_xs_get(FRONT "/disconnect"), "0");
	UNIT_EQ(vif_change_port(xs, dir, "/local/domain/3/device/vif/9", &c), -ENOENT);
	/* What a back end would refuse is not written. */
	c.vlan = "5000";
	c.isolated = 1;
	UNIT_EQ(vif_change_port(xs, dir, FRONT, &c), -EINVAL);
	UNIT_STREQ(fake_xs_get(BACK "/isolated"), "0");
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

/* ---- features --------------------------------------------------------------------------- */

static void test_features(void)
{
	struct vif_features f = {
		.sg = true, .gso_tcpv4 = true, .gso_tcpv6 = true, .ipv6_csum = true,
		.rx_copy = true, .split_event_channels = true, .multicast_control = true,
		.dynamic_multicast_control = true, .ctrl_ring = true, .max_queues = 4,
	}, got;
	struct xs_handle *xs = start();

	UNIT_EQ(vif_read_features(xs, BACK, &got), 0);
	UNIT_OK(!got.sg && !got.rx_copy && !got.ctrl_ring && !got.rx_flip);
	UNIT_EQ(got.max_queues, 1);
	UNIT_EQ(vif_write_features(xs, XBT_NULL, BACK, &f), 0);
	UNIT_STREQ(fake_xs_get(BACK "/feature-rx-flip"), "0");
	UNIT_STREQ(fake_xs_get(BACK "/multi-queue-max-queues"), "4");
	UNIT_EQ(vif_read_features(xs, BACK, &got), 0);
	UNIT_OK(!memcmp(&got, &f, sizeof(f)));
	f.max_queues = 1;
	UNIT_EQ(vif_write_features(xs, XBT_NULL, BACK, &f), 0);
	UNIT_OK(!fake_xs_get(BACK "/multi-queue-max-queues"));
	/* A back end's nonsense is only a thing it does not offer. */
	fake_xs_put(BACK "/feature-sg", "yes");
	fake_xs_put(BACK "/multi-queue-max-queues", "0");
	UNIT_EQ(vif_read_features(xs, BACK, &got), 0);
	UNIT_OK(!got.sg && got.gso_tcpv4);
	UNIT_EQ(got.max_queues, 1);
	fake_xs_put(BACK "/multi-queue-max-queues", "4294967295");
	UNIT_EQ(vif_read_features(xs, BACK, &got), 0);
	UNIT_EQ(got.max_queues, VIF_QUEUES_MAX);
	xs_close(xs);
}

static void test_flip_ended(void)
{
	struct xs_handle *xs = start();

	UNIT_OK(!vif_read_flip_ended(xs, BACK));
	UNIT_EQ(vif_write_flip_ended(xs, BACK, true), 0);
	UNIT_STREQ(fake_xs_get(BACK "/rx-flip-ended"), "1");
	UNIT_OK(vif_read_flip_ended(xs, BACK));
	UNIT_EQ(vif_write_flip_ended(xs, BACK, false), 0);
	UNIT_OK(!vif_read_flip_ended(xs, BACK));
	xs_close(xs);
}

static void test_carrier(void)
{
	struct xs_handle *xs = start();

	UNIT_OK(vif_read_carrier(xs, BACK));
	UNIT_EQ(vif_write_carrier(xs, BACK, false), 0);
	UNIT_OK(!vif_read_carrier(xs, BACK));
	fake_xs_put(BACK "/carrier", "maybe");
	UNIT_OK(vif_read_carrier(xs, BACK));
	xs_close(xs);
}

/* ---- front ends --------------------------------------------------------------------------- */

static const struct vif_features all = {
	.sg = true, .rx_copy = true, .split_event_channels = true, .ctrl_ring = true,
	.max_queues = 3,
};

/* An interface of 1: one queue, 2: two queues with split channels and a control ring. */
static struct xs_handle *start_front(int nr_queues)
{
	struct xs_handle *xs = start();
	struct vif_frontend f = {
		.nr_queues = (uint32_t)nr_queues, .rx_copy = true, .rx_notify = true,
		.sg = true, .gso_tcpv4 = true, .ipv6_csum = true,
		.queue = { { 10, 11, 20, 20 }, { 12, 13, 22, 23 } },
	};

	if (nr_queues > 1) {
		f.queue[0].rx_port = 21;
		f.ctrl_ring = true;
		f.ctrl_gref = 14;
		f.ctrl_port = 24;
		f.multicast_control = true;
	}
	UNIT_EQ(vif_write_frontend(xs, XBT_NULL, FRONT, &f), 0);
	fake_xs_put(FRONT "/mac", "00:16:3e:00:00:01");
	fake_xs_put(FRONT "/state", "1");
	return xs;
}

static void test_front_one(void)
{
	struct xs_handle *xs = start_front(1);
	struct vif_frontend f;
	struct key_error err;

	UNIT_STREQ(fake_xs_get(FRONT "/tx-ring-ref"), "10");
	UNIT_STREQ(fake_xs_get(FRONT "/event-channel"), "20");
	UNIT_OK(!fake_xs_get(FRONT "/event-channel-tx"));
	UNIT_OK(!fake_xs_get(FRONT "/multi-queue-num-queues"));
	UNIT_OK(!fake_xs_get(FRONT "/queue-0/tx-ring-ref"));
	UNIT_EQ(vif_read_frontend(xs, FRONT, &all, &f, &err), 0);
	UNIT_EQ(f.nr_queues, 1);
	UNIT_EQ(f.queue[0].rx_gref, 11);
	UNIT_EQ(f.queue[0].tx_port, 20);
	UNIT_EQ(f.queue[0].rx_port, 20);
	UNIT_OK(f.rx_copy && f.rx_notify && f.sg && f.gso_tcpv4 && f.ipv6_csum);
	UNIT_OK(!f.gso_tcpv6 && !f.no_csum && !f.rx_flip && !f.ctrl_ring);
	UNIT_OK(f.has_mac && !f.multicast_control);
	UNIT_EQ(f.mtu_bytes, 0);
	fake_xs_put(FRONT "/mtu", "9000");
	UNIT_EQ(vif_read_frontend(xs, FRONT, &all, &f, &err), 0);
	UNIT_EQ(f.mtu_bytes, 9000);
	UNIT_OK(!vif_read_multicast_control(xs, FRONT));
	UNIT_EQ(vif_write_multicast_control(xs, FRONT, true), 0);
	UNIT_OK(vif_read_multicast_control(xs, FRONT));
	UNIT_EQ(vif_write_multicast_control(xs, FRONT, false), 0);
	UNIT_OK(!vif_read_multicast_control(xs, FRONT));
	xs_close(xs);
}

static void test_front_two(void)
{
	struct xs_handle *xs = start_front(2);
	struct vif_frontend f;
	struct key_error err;

	UNIT_OK(!fake_xs_get(FRONT "/tx-ring-ref"));
	UNIT_OK(!fake_xs_get(FRONT "/event-channel"));
	UNIT_STREQ(fake_xs_get(FRONT "/multi-queue-num-queues"), "2");
	UNIT_STREQ(fake_xs_get(FRONT "/queue-1/rx-ring-ref"), "13");
	UNIT_STREQ(fake_xs_get(FRONT "/queue-1/event-channel-rx"), "23");
	UNIT_STREQ(fake_xs_get(FRONT "/ctrl-ring-ref"), "14");
	UNIT_EQ(vif_read_frontend(xs, FRONT, &all, &f, &err), 0);
	UNIT_EQ(f.nr_queues, 2);
	UNIT_EQ(f.queue[1].tx_port, 22);
	UNIT_EQ(f.queue[1].rx_port, 23);
	UNIT_OK(f.ctrl_ring && f.multicast_control);
	UNIT_EQ(f.ctrl_gref, 14);
	UNIT_EQ(f.ctrl_port, 24);
	xs_close(xs);
}

static void test_front_removed(void)
{
	struct xs_handle *xs = start_front(2);
	unsigned int there;

	UNIT_EQ(vif_remove_frontend(xs, FRONT), 0);
	UNIT_OK(fake_xs_get(FRONT "/mac") && fake_xs_get(FRONT "/state"));
	there = fake_xs_count();
	xs_close(xs);
	xs = start();
	fake_xs_put(FRONT "/mac", "00:16:3e:00:00:01");
	fake_xs_put(FRONT "/state", "1");
	UNIT_EQ(there, fake_xs_count());
	UNIT_EQ(vif_remove_frontend(xs, "/local/domain/9/device/vif/0"), 0);
	xs_close(xs);
}

/* value NULL: the node is missing. key: what the error names. */
static void refuse_front(int nr_queues, const char *node, const char *value, int want,
			 const char *key)
{
	struct xs_handle *xs = start_front(nr_queues);
	struct vif_frontend f;
	struct key_error err;
	char path[128];
	int r;

	memset(&err, 0, sizeof(err));
	snprintf(path, sizeof(path), FRONT "/%s", node);
	if (value)
		fake_xs_put(path, value);
	else
		xs_rm(xs, XBT_NULL, path);
	r = vif_read_frontend(xs, FRONT, &all, &f, &err);
	if (r != want)
		fprintf(stderr, "\n%s = '%s': %d", node, value ? value : "(none)", r);
	UNIT_EQ(r, want);
	UNIT_STREQ(err.key, key);
	xs_close(xs);
}

static void test_front_bad(void)
{
	static const char *const one[] = {
		"tx-ring-ref", "rx-ring-ref", "event-channel", "multi-queue-num-queues", "mtu",
		"request-rx-copy", "feature-sg", "feature-rx-notify", "request-rx-flip",
	};
	static const char *const two[] = {
		"queue-0/tx-ring-ref", "queue-1/rx-ring-ref", "queue-1/event-channel-tx",
		"queue-0/event-channel-rx", "ctrl-ring-ref", "event-channel-ctrl",
	};
	size_t i, j;

	for (i = 0; i < UNIT_LEN(one); i++)
		for (j = 0; j < UNIT_LEN(not_numbers); j++)
			refuse_front(1, one[i], not_numbers[j], -EINVAL, one[i]);
	for (i = 0; i < UNIT_LEN(two); i++)
		for (j = 0; j < UNIT_LEN(not_numbers); j++)
			refuse_front(2, two[i], not_numbers[j], -EINVAL, two[i]);
	refuse_front(1, "tx-ring-ref", NULL, -ENOENT, "tx-ring-ref");
	refuse_front(1, "event-channel", NULL, -ENOENT, "event-channel");
	refuse_front(2, "queue-1/rx-ring-ref", NULL, -ENOENT, "queue-1/rx-ring-ref");
	refuse_front(2, "queue-1/event-channel-rx", NULL, -ENOENT, "queue-1/event-channel-rx");
	refuse_front(2, "queue-1", NULL, -ENOENT, "queue-1/tx-ring-ref");
	refuse_front(2, "event-channel-ctrl", NULL, -ENOENT, "event-channel-ctrl");
	refuse_front(1, "multi-queue-num-queues", "0", -EINVAL, "multi-queue-num-queues");
	refuse_front(1, "multi-queue-num-queues", "4", -EINVAL, "multi-queue-num-queues");
	refuse_front(1, "multi-queue-num-queues", "4294967295", -EINVAL,
		     "multi-queue-num-queues");
	refuse_front(1, "multi-queue-num-queues", "2", -ENOENT, "queue-0/tx-ring-ref");
	refuse_front(2, "multi-queue-num-queues", "3", -ENOENT, "queue-2/tx-ring-ref");
	refuse_front(1, "event-channel", "0", -EINVAL, "event-channel");
	refuse_front(1, "mac", "ff:ff:ff:ff:ff:ff", -EINVAL, "mac");
	/* The same thing twice. */
	refuse_front(1, "rx-ring-ref", "10", -EINVAL, "tx-ring-ref");
	refuse_front(2, "queue-1/tx-ring-ref", "11", -EINVAL, "tx-ring-ref");
	refuse_front(2, "ctrl-ring-ref", "13", -EINVAL, "tx-ring-ref");
	refuse_front(2, "queue-1/event-channel-tx", "20", -EINVAL, "event-channel");
	refuse_front(2, "event-channel-ctrl", "23", -EINVAL, "event-channel");
}

/* What was not offered is not looked at. */
static void test_front_not_offered(void)
{
	struct vif_features none = { .rx_copy = true };
	struct xs_handle *xs = start_front(1);
	struct vif_frontend f;
	struct key_error err;

	fake_xs_put(FRONT "/ctrl-ring-ref", "x");
	fake_xs_put(FRONT "/event-channel-tx", "x");
	UNIT_EQ(vif_read_frontend(xs, FRONT, &none, &f, &err), 0);
	UNIT_OK(!f.ctrl_ring);
	UNIT_EQ(f.queue[0].rx_port, 20);
	xs_close(xs);
}

static void test_own(void)
{
	struct xs_handle *xs = start();
	struct key_error err;
	uint32_t mtu;
	uint8_t mac[6];
	bool has;

	UNIT_EQ(vif_read_own(xs, FRONT, BACK, mac, &has, &mtu, &err), 0);
	UNIT_OK(!has);
	UNIT_EQ(mtu, 1500);
	fake_xs_put(BACK "/mac", "00:16:3e:00:00:02");
	fake_xs_put(FRONT "/mtu", "9000");
	UNIT_EQ(vif_read_own(xs, FRONT, BACK, mac, &has, &mtu, &err), 0);
	UNIT_OK(has && mac[5] == 2);
	UNIT_EQ(mtu, 9000);
	fake_xs_put(FRONT "/mac", "00:16:3e:00:00:01");
	UNIT_EQ(vif_read_own(xs, FRONT, BACK, mac, &has, &mtu, &err), 0);
	UNIT_EQ(mac[5], 1);
	fake_xs_put(FRONT "/mtu", "3");
	UNIT_EQ(vif_read_own(xs, FRONT, BACK, mac, &has, &mtu, &err), -EINVAL);
	UNIT_STREQ(err.key, "mtu");
	xs_close(xs);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "addresses", test_mac },
		{ "VLAN lists", test_vlan },
		{ "the tool stack's defaults", test_toolstack_defaults },
		{ "the tool stack's nodes as xl writes them", test_toolstack_xl },
		{ "bad values of the tool stack", test_toolstack_bad },
		{ "a port is changed while in use", test_change },
		{ "features, both ways", test_features },
		{ "the end of flip", test_flip_ended },
		{ "the link", test_carrier },
		{ "a front end with one queue", test_front_one },
		{ "two queues, split channels, a control ring", test_front_two },
		{ "a front end's nodes are removed", test_front_removed },
		{ "bad values of a front end", test_front_bad },
		{ "what was not offered", test_front_not_offered },
		{ "what a front end is told of itself", test_own },
	};

	return unit_run("vif", tests, UNIT_LEN(tests));
}
