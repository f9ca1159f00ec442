/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * switch-config.c: nodes of switches and uplinks, and what must be refused by name.
 */
#include <stdint.h>

#include "fake-xenstore.h"
#include "switch-config.h"
#include "unit.h"

#define DIR "/local/domain/0/paravane-bridge"
#define LAN DIR "/lan"
#define UP LAN "/uplink/tap0"

static struct xs_handle *start(void)
{
	fake_xs_reset();
	fake_xs_put("/local/domain/0/name", "Domain-0");
	return fake_xs_open(0);
}

/* All of it. */
static int switch_write(struct xs_handle *xs, uint32_t domid, const char *name,
			const struct switch_config *cfg)
{
	const struct switch_change c = { cfg->ageing_ms, cfg->move_ms };

	return switch_change(xs, domid, name, &c);
}

static int switch_write_uplink(struct xs_handle *xs, uint32_t domid, const char *name,
			       const struct switch_uplink *up)
{
	const struct switch_uplink_change c = {
		up->bridge, up->port.vlan_text, up->port.isolated, up->mtu_bytes,
	};

	return switch_change_uplink(xs, domid, name, up->ifname, &c);
}

/* Everything there is, as "a b c ". */
static int append(void *arg, const char *name)
{
	strcat(strcat(arg, name), " ");
	return 0;
}

static int stop_at_once(void *arg, const char *name)
{
	append(arg, name);
	return 7;
}

static void test_names(void)
{
	static const char *const good[] = { "xenbr0", "a", "Lan-1_x@y:z", "br0.100",
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg",
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff." };
	static const char *const bad[] = { "", "a/b", "a b", "..", ".a", "\xc3\xa4",
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg." };
	size_t i;

	for (i = 0; i < UNIT_LEN(good); i++)
		UNIT_EQ(switch_check_name(good[i]), 0);
	for (i = 0; i < UNIT_LEN(bad); i++) {
		UNIT_EQ(switch_check_name(bad[i]), -EINVAL);
		UNIT_EQ(switch_check_ifname(bad[i]), -EINVAL);
	}
	UNIT_EQ(switch_check_ifname("abcdefghijklmno"), 0);
	UNIT_EQ(switch_check_ifname("a@@@@@@@@@@@@@."), 0);
	UNIT_EQ(switch_check_ifname("abcdefghijklmnop"), -EINVAL);
	UNIT_EQ(switch_check_ifname("eth0:1"), -EINVAL);
}

static void test_paths(void)
{
	char buf[64];

	UNIT_EQ(switch_watch_path(buf, sizeof(buf), 0), 0);
	UNIT_STREQ(buf, DIR);
}

/* What a store's path cannot have. */
static void test_escapes(void)
{
	struct switch_uplink up = { .ifname = "up0.7", .bridge = "br0.7" }, read;
	struct switch_config cfg = { .ageing_ms = 5000, .move_ms = 7 }, got;
	struct xs_handle *xs = start();
	struct key_error err;
	char names[64] = "";

	UNIT_EQ(switch_write(xs, 0, "br0.100", &cfg), 0);
	UNIT_STREQ(fake_xs_get(DIR "/br0@2e100/ageing-ms"), "5000");
	UNIT_EQ(switch_read(xs, 0, "br0.100", &got, &err), 0);
	UNIT_EQ(got.move_ms, 7);
	UNIT_EQ(switch_write_uplink(xs, 0, "x@y:z~", &up), 0);
	UNIT_STREQ(fake_xs_get(DIR "/x@40y@3az@7e/uplink/up0@2e7/bridge"), "br0.7");
	UNIT_EQ(switch_read_uplink(xs, 0, "x@y:z~", "up0.7", &read, &err), 0);
	UNIT_STREQ(read.ifname, "up0.7");
	UNIT_EQ(switch_each_uplink(xs, 0, "x@y:z~", append, names), 0);
	UNIT_STREQ(names, "up0.7 ");
	/* No other spelling of a name is one: another node would be the same switch. */
	fake_xs_put(DIR "/br0@2E100/ageing-ms", "1");
	fake_xs_put(DIR "/br@30/ageing-ms", "1");
	fake_xs_put(DIR "/br@2/ageing-ms", "1");
	fake_xs_put(DIR "/br@/ageing-ms", "1");
	fake_xs_put(DIR "/br@00/ageing-ms", "1");
	fake_xs_put(DIR "/br@20/ageing-ms", "1");
	fake_xs_put(DIR "/@2fbr/ageing-ms", "1");
	*names = '\0';
	UNIT_EQ(switch_each(xs, 0, append, names), 0);
	UNIT_STREQ(names, "br0.100 x@y:z~ ");
	UNIT_EQ(switch_remove(xs, 0, "br0.100"), 0);
	UNIT_EQ(switch_remove_uplink(xs, 0, "x@y:z~", "up0.7"), 0);
	UNIT_OK(!fake_xs_get(DIR "/br0@2e100") && !fake_xs_get(DIR "/x@40y@3az@7e"));
	/* The longest of both, all of it escapes. */
	memcpy(up.ifname, "@@@@@@@@@@@@@@@", 16);
	UNIT_EQ(switch_write_uplink(xs, 65535, "@@@@@@@@@@@@@@@@@@@@@", &up), 0);
	UNIT_EQ(switch_read_uplink(xs, 65535, "@@@@@@@@@@@@@@@@@@@@@", up.ifname, &read, &err), 0);
	UNIT_STREQ(read.ifname, up.ifname);
	UNIT_EQ(switch_each_uplink(xs, 65535, "@@@@@@@@@@@@@@@@@@@@@", stop_at_once, names), 7);
	UNIT_EQ(switch_remove_uplink(xs, 65535, "@@@@@@@@@@@@@@@@@@@@@", up.ifname), 0);
	xs_close(xs);
}

static void test_switch(void)
{
	static const char long_name[] =
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg.";
	struct switch_config cfg = { .ageing_ms = 5000, .move_ms = 0 }, got;
	struct xs_handle *xs = start();
	struct key_error err;
	char names[64] = "";
	unsigned int nodes = fake_xs_count();

	UNIT_EQ(switch_each(xs, 0, append, names), 0);
	UNIT_STREQ(names, "");
	UNIT_EQ(switch_read(xs, 0, "lan", &got, &err), 0);
	UNIT_EQ(got.ageing_ms, SWITCH_AGEING_MS);
	UNIT_EQ(got.move_ms, SWITCH_MOVE_MS);
	UNIT_EQ(switch_write(xs, 0, "lan", &cfg), 0);
	UNIT_STREQ(fake_xs_get(LAN "/ageing-ms"), "5000");
	UNIT_EQ(switch_read(xs, 0, "lan", &got, &err), 0);
	UNIT_EQ(got.ageing_ms, 5000);
	UNIT_EQ(got.move_ms, 0);
	UNIT_EQ(switch_write(xs, 0, "dmz", &cfg), 0);
	UNIT_EQ(switch_each(xs, 0, append, names), 0);
	UNIT_STREQ(names, "dmz lan ");
	*names = '\0';
	UNIT_EQ(switch_each(xs, 0, stop_at_once, names), 7);
	UNIT_STREQ(names, "dmz ");
	/* A vif may be on a switch that no node can be of. */
	UNIT_EQ(switch_read(xs, 0, long_name, &got, &err), 0);
	UNIT_EQ(got.ageing_ms, SWITCH_AGEING_MS);
	UNIT_EQ(switch_write(xs, 0, long_name, &cfg), -EINVAL);
	cfg.ageing_ms = 0;
	UNIT_EQ(switch_write(xs, 0, "lan", &cfg), -EINVAL);
	UNIT_EQ(switch_remove(xs, 0, "lan"), 0);
	UNIT_EQ(switch_remove(xs, 0, "lan"), -ENOENT);
	UNIT_EQ(switch_remove(xs, 0, "dmz"), 0);
	UNIT_EQ(fake_xs_count(), nodes + 1);	/* the directory of them all stays */
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

static void test_uplink(void)
{
	struct switch_uplink up = {
		.ifname = "tap0", .bridge = "br0", .mtu_bytes = 9000,
		.port = { .vlan_text = "p1,10", .isolated = true },
	}, got;
	struct xs_handle *xs = start();
	struct key_error err;
	char names[64] = "";

	UNIT_EQ(switch_read_uplink(xs, 0, "lan", "tap0", &got, &err), -ENOENT);
	UNIT_EQ(switch_read_uplink(xs, 0, "lan", "no such", &got, &err), -ENOENT);
	UNIT_EQ(switch_each_uplink(xs, 0, "lan", append, names), 0);
	UNIT_EQ(switch_write_uplink(xs, 0, "lan", &up), 0);
	UNIT_EQ(switch_read_uplink(xs, 0, "lan", "tap0", &got, &err), 0);
	UNIT_STREQ(got.ifname, "tap0");
	UNIT_STREQ(got.bridge, "br0");
	UNIT_STREQ(got.port.vlan_text, "p1,10");
	UNIT_OK(got.port.trunk && got.port.isolated && got.port.any_source);
	UNIT_EQ(got.port.vlan, 1);
	UNIT_EQ(got.mtu_bytes, 9000);
	/* Plain: what was said before is not said any more. */
	up = (struct switch_uplink){ .ifname = "tap0" };
	UNIT_EQ(switch_write_uplink(xs, 0, "lan", &up), 0);
	UNIT_STREQ(fake_xs_get(UP "/bridge"), "");
	UNIT_OK(!fake_xs_get(UP "/vlan") && !fake_xs_get(UP "/mtu") && !fake_xs_get(UP "/isolated"));
	UNIT_EQ(switch_read_uplink(xs, 0, "lan", "tap0", &got, &err), 0);
	UNIT_STREQ(got.bridge, "");
	UNIT_EQ(got.mtu_bytes, 0);
	UNIT_OK(!got.port.trunk && !got.port.isolated && got.port.any_source);
	memcpy(up.ifname, "eth7", 5);
	UNIT_EQ(switch_write_uplink(xs, 0, "lan", &up), 0);
	UNIT_EQ(switch_each_uplink(xs, 0, "lan", append, names), 0);
	UNIT_STREQ(names, "eth7 tap0 ");
	xs_close(xs);
}

/* What is not named may be changed by another at the time: it is not even written. */
static void test_changes(void)
{
	const struct switch_change move = { .ageing_ms = -1, .move_ms = 7 },
		ageing = { .ageing_ms = 8, .move_ms = -1 };
	const struct switch_uplink_change vlan = { .vlan = "5", .isolated = -1, .mtu_bytes = -1 },
		mtu = { .isolated = -1, .mtu_bytes = 9000 },
		rest = { .bridge = "br0", .isolated = 1, .mtu_bytes = -1 },
		none = { .vlan = "", .isolated = 0, .mtu_bytes = 0 };
	struct xs_handle *xs = start();

	UNIT_EQ(switch_change(xs, 0, "lan", &move), 0);
	UNIT_OK(!fake_xs_get(LAN "/ageing-ms"));
	fake_xs_refuse_commits(1);
	UNIT_EQ(switch_change(xs, 0, "lan", &ageing), 0);
	UNIT_STREQ(fake_xs_get(LAN "/move-ms"), "7");
	UNIT_STREQ(fake_xs_get(LAN "/ageing-ms"), "8");
	UNIT_EQ(switch_change_uplink(xs, 0, "lan", "tap0", &vlan), 0);
	UNIT_STREQ(fake_xs_get(UP "/bridge"), "");
	UNIT_EQ(switch_change_uplink(xs, 0, "lan", "tap0", &rest), 0);
	UNIT_EQ(switch_change_uplink(xs, 0, "lan", "tap0", &mtu), 0);
	UNIT_STREQ(fake_xs_get(UP "/bridge"), "br0");
	UNIT_STREQ(fake_xs_get(UP "/vlan"), "5");
	UNIT_STREQ(fake_xs_get(UP "/isolated"), "1");
	UNIT_STREQ(fake_xs_get(UP "/mtu"), "9000");
	UNIT_EQ(switch_change_uplink(xs, 0, "lan", "tap0", &none), 0);
	UNIT_STREQ(fake_xs_get(UP "/bridge"), "br0");
	UNIT_OK(!fake_xs_get(UP "/vlan") && !fake_xs_get(UP "/mtu") && !fake_xs_get(UP "/isolated"));
	xs_close(xs);
}

/* The nodes above go with the last of what is below them, not earlier. */
static void test_remove_uplink(void)
{
	struct switch_config cfg = { .ageing_ms = 5000 };
	struct switch_uplink up = { .ifname = "tap0" }, other = { .ifname = "tap1" };
	struct xs_handle *xs = start();

	UNIT_EQ(switch_remove_uplink(xs, 0, "lan", "tap0"), -ENOENT);
	UNIT_EQ(switch_write_uplink(xs, 0, "lan", &up), 0);
	UNIT_EQ(switch_write_uplink(xs, 0, "lan", &other), 0);
	UNIT_EQ(switch_remove_uplink(xs, 0, "lan", "tap0"), 0);
	UNIT_EQ(switch_remove_uplink(xs, 0, "lan", "tap0"), -ENOENT);
	UNIT_OK(fake_xs_get(LAN "/uplink/tap1/bridge"));
	UNIT_EQ(switch_remove_uplink(xs, 0, "lan", "tap1"), 0);
	UNIT_OK(!fake_xs_get(LAN));
	UNIT_EQ(switch_write(xs, 0, "lan", &cfg), 0);
	UNIT_EQ(switch_write_uplink(xs, 0, "lan", &up), 0);
	UNIT_EQ(switch_remove_uplink(xs, 0, "lan", "tap0"), 0);
	UNIT_OK(!fake_xs_get(LAN "/uplink"));
	UNIT_STREQ(fake_xs_get(LAN "/ageing-ms"), "5000");
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

/* key: what the error names. */
static void refuse(const char *path, const char *value, const char *key)
{
	struct xs_handle *xs = start();
	struct switch_uplink up;
	struct switch_config cfg;
	struct key_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	fake_xs_put(UP "/bridge", "br0");
	fake_xs_put(path, value);
	rc = switch_read(xs, 0, "lan", &cfg, &err);
	if (!rc)
		rc = switch_read_uplink(xs, 0, "lan", "tap0", &up, &err);
	UNIT_EQ(rc, -EINVAL);
	UNIT_STREQ(err.key, key);
	UNIT_OK(err.expected != NULL);
	xs_close(xs);
}

static void test_bad_nodes(void)
{
	static const char *const bad[][3] = {
		{ LAN "/ageing-ms", "0", "ageing-ms" }, { LAN "/ageing-ms", "x", "ageing-ms" },
		{ LAN "/move-ms", "-1", "move-ms" }, { LAN "/move-ms", "4294967296", "move-ms" },
		{ UP "/bridge", "a b", "bridge" }, { UP "/vlan", "4095", "vlan" },
		{ UP "/isolated", "2", "isolated" }, { UP "/mtu", "67", "mtu" },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(bad); i++)
		refuse(bad[i][0], bad[i][1], bad[i][2]);
}

static void test_bad_writes(void)
{
	static const struct switch_uplink bad[] = {
		{ .ifname = "" }, { .ifname = "a/b" }, { .ifname = "tap0", .bridge = "a/b" },
		{ .ifname = "tap0", .port = { .vlan_text = "x" } },
		{ .ifname = "tap0", .mtu_bytes = 67 },
	};
	struct xs_handle *xs = start();
	unsigned int nodes = fake_xs_count();
	size_t i;

	for (i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(switch_write_uplink(xs, 0, "lan", &bad[i]), -EINVAL);
	UNIT_EQ(switch_write_uplink(xs, 0, "a b", &(struct switch_uplink){ .ifname = "tap0" }),
		-EINVAL);
	UNIT_EQ(fake_xs_count(), nodes);
	xs_close(xs);
}

/* A store that fails at any request leaves no transaction and no half of an uplink. */
static void test_store_fails(void)
{
	struct switch_uplink up = { .ifname = "tap0", .bridge = "br0",
				    .port = { .vlan_text = "5" } };
	unsigned int n, nodes;

	for (n = 1; n < 50; n++) {
		struct xs_handle *xs = start();
		int rc;

		nodes = fake_xs_count();
		fake_xs_fail_nth(n, EIO);
		rc = switch_write_uplink(xs, 0, "lan", &up);
		fake_xs_fail_nth(0, 0);
		UNIT_EQ(fake_xs_open_transactions(), 0);
		if (rc)
			UNIT_EQ(fake_xs_count(), nodes);
		xs_close(xs);
		if (!rc)
			break;
		UNIT_EQ(rc, -EIO);
	}
	UNIT_OK(n > 4 && n < 50);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "names of switches and interfaces", test_names },
		{ "paths to watch", test_paths },
		{ "names that the store has no letters for", test_escapes },
		{ "a switch's nodes", test_switch },
		{ "an uplink's nodes", test_uplink },
		{ "what is named changes", test_changes },
		{ "an uplink is removed", test_remove_uplink },
		{ "bad nodes are named", test_bad_nodes },
		{ "nonsense is not written", test_bad_writes },
		{ "a store that fails", test_store_fails },
	};

	return unit_run("switch-config", tests, UNIT_LEN(tests));
}
