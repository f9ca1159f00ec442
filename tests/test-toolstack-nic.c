/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tool stack's side of network interfaces: the nodes and permissions that xl
 * writes, what is refused, detach, the inventory.
 */
#include "inventory.h"
#include "toolstack.h"
#include "toolstack-world.h"
#include "vif.h"

#define BACK "/local/domain/0/backend/vif/3/1"
#define FRONT "/local/domain/3/device/vif/1"
#define LIBXL "/libxl/3/device/vif/1"

static const struct toolstack_nic plain = {
	.domid = 3, .backend_domid = 0, .devid = 1, .kind = "vif",
	.mac = { 0, 0x16, 0x3e, 1, 2, 3 },
};

static void test_create_plain(void)
{
	static const struct world_node nodes[] = {
		{ BACK "/frontend", FRONT }, { BACK "/frontend-id", "3" },
		{ BACK "/online", "1" }, { BACK "/state", "1" },
		{ BACK "/mac", "00:16:3e:01:02:03" }, { BACK "/handle", "1" },
		{ BACK "/vifname", "vif3.1" }, { BACK "/type", "vif" },
		{ BACK "/script", NULL }, { BACK "/hotplug-status", NULL },
		{ BACK "/bridge", NULL }, { BACK "/rate", NULL }, { BACK "/rate-bits", NULL },
		{ BACK "/mtu", NULL }, { BACK "/vlan", NULL }, { BACK "/ip", NULL },
		{ BACK "/isolated", NULL }, { BACK "/any-source", NULL },
		{ BACK "/max-queues", NULL },
		{ FRONT "/backend", BACK }, { FRONT "/backend-id", "0" },
		{ FRONT "/state", "1" }, { FRONT "/handle", "1" },
		{ FRONT "/mac", "00:16:3e:01:02:03" }, { FRONT "/trusted", "1" },
		{ FRONT "/mtu", NULL }, { LIBXL, NULL },
	};
	struct xs_handle *xs = toolstack_world();

	UNIT_EQ(toolstack_create_nic(xs, &plain), 0);
	world_expect(nodes, UNIT_LEN(nodes));
	UNIT_STREQ(fake_xs_perms(BACK), "n0r3");
	UNIT_STREQ(fake_xs_perms(FRONT), "n3r0");
	UNIT_STREQ(fake_xs_perms(FRONT "/mac"), "n3r0");
	UNIT_EQ(toolstack_create_nic(xs, &plain), -EEXIST);
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

static void test_create_all(void)
{
	static const struct world_node nodes[] = {
		{ BACK "/script", "/etc/xen/scripts/vif-bridge" },
		{ BACK "/hotplug-status", "" }, { BACK "/bridge", "xenbr1" },
		{ BACK "/vifname", "web" }, { BACK "/ip", "10.0.0.2" },
		{ BACK "/gatewaydev", "eth0" }, { BACK "/vlan", "10,20" },
		{ BACK "/mtu", "9000" }, { BACK "/rate", "12500,50000" },
		{ BACK "/rate-bits", "2000000" }, { BACK "/isolated", "1" },
		{ BACK "/any-source", "1" }, { FRONT "/mtu", "9000" },
		{ BACK "/max-queues", "2" },
		{ LIBXL "/frontend", FRONT }, { LIBXL "/backend", BACK },
		{ LIBXL "/mac", "00:16:3e:01:02:03" }, { LIBXL "/bridge", "xenbr1" },
	};
	struct toolstack_nic n = plain;
	struct xs_handle *xs = toolstack_world();
	struct vif_toolstack ts;
	struct key_error err;

	n.script = "/etc/xen/scripts/vif-bridge";
	n.bridge = "xenbr1";
	n.vifname = "web";
	n.ip = "10.0.0.2";
	n.gatewaydev = "eth0";
	n.vlan = "10,20";
	n.mtu_bytes = 9000;
	n.rate_bytes = 12500;
	n.rate_usec = 50000;
	n.rate_bits = 2000000;
	n.max_queues = 2;
	n.isolated = n.any_source = n.libxl = true;
	UNIT_EQ(toolstack_create_nic(xs, &n), 0);
	world_expect(nodes, UNIT_LEN(nodes));
	/* The guest reads its MTU and cannot change it. */
	UNIT_STREQ(fake_xs_perms(FRONT "/mtu"), "n0r3");
	/* It is what a back end reads. */
	UNIT_EQ(vif_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_STREQ(ts.bridge, "xenbr1");
	UNIT_OK(ts.hotplug_pending && ts.port.isolated && ts.port.any_source && ts.has_mac);
	UNIT_EQ(ts.mtu_bytes, 9000);
	UNIT_EQ(ts.max_queues, 2);
	UNIT_EQ(ts.rate_bytes, 12500);
	xs_close(xs);
}

static void test_create_refused(void)
{
	struct toolstack_nic n;
	struct xs_handle *xs = toolstack_world();
	unsigned int before = fake_xs_count();

	n = plain;
	n.mac[0] = 1;
	UNIT_EQ(toolstack_create_nic(xs, &n), -EINVAL);
	n = plain;
	n.vlan = "4095";
	UNIT_EQ(toolstack_create_nic(xs, &n), -EINVAL);
	n = plain;
	n.mtu_bytes = 67;
	UNIT_EQ(toolstack_create_nic(xs, &n), -EINVAL);
	n = plain;
	n.bridge = "two words";
	UNIT_EQ(toolstack_create_nic(xs, &n), -EINVAL);
	n = plain;
	n.max_queues = VIF_QUEUES_MAX + 1;
	UNIT_EQ(toolstack_create_nic(xs, &n), -EINVAL);
	n = plain;
	n.rate_usec = 5;
	UNIT_EQ(toolstack_create_nic(xs, &n), -EINVAL);
	n = plain;
	n.domid = 9;
	UNIT_EQ(toolstack_create_nic(xs, &n), -ESRCH);
	UNIT_EQ(fake_xs_count(), before);
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

static int create_nic(struct xs_handle *xs, const void *what)
{
	return toolstack_create_nic(xs, what);
}

/* Whichever request fails: nothing half made is left. */
static void test_create_is_atomic(void)
{
	struct toolstack_nic n = plain;

	n.mtu_bytes = 9000;
	n.libxl = true;
	UNIT_OK(world_all_or_nothing(create_nic, &n) > 30);
}

static void test_detach(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_nic n = plain;
	struct toolstack_view view;
	unsigned int before = fake_xs_count();

	n.libxl = true;
	UNIT_EQ(toolstack_create_nic(xs, &n), 0);
	UNIT_EQ(toolstack_detach(xs, 0, "vif", 3, 1, 50, false, &view), -ETIMEDOUT);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "5");
	UNIT_STREQ(fake_xs_get(BACK "/online"), "0");
	fake_xs_put(BACK "/state", "6");
	UNIT_EQ(toolstack_detach(xs, 0, "vif", 3, 1, 50, false, &view), 0);
	/* What stays is what belongs to the domains and to everyone. */
	UNIT_OK(!fake_xs_get(BACK) && !fake_xs_get(FRONT) && !fake_xs_get(LIBXL));
	UNIT_OK(fake_xs_count() <= before + 4);
	UNIT_EQ(toolstack_detach(xs, 0, "vif", 3, 1, 50, false, &view), -ENOENT);
	xs_close(xs);
}

/* QEMU's kind has a directory of its own; the guest does not see which. */
static void test_qnic(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_nic n = plain;

	n.kind = "qnic";
	UNIT_EQ(toolstack_create_nic(xs, &n), 0);
	UNIT_STREQ(fake_xs_get("/local/domain/0/backend/qnic/3/1/frontend"), FRONT);
	UNIT_STREQ(fake_xs_get(FRONT "/backend"), "/local/domain/0/backend/qnic/3/1");
	xs_close(xs);
}

struct seen {
	unsigned int nr;
	char text[256];
};

static int see(void *arg, const struct inventory_device *dev)
{
	struct seen *s = arg;
	size_t at = strlen(s->text);

	s->nr++;
	snprintf(s->text + at, sizeof(s->text) - at, "%u:%s/%u/%u ", dev->backend_domid,
		 dev->kind, dev->domid, dev->devid);
	return 0;
}

static void test_inventory(void)
{
	struct xs_handle *xs = toolstack_world();
	struct inventory_device dev;
	struct seen s = { 0 };

	fake_xs_put("/local/domain/0/backend/vif/3/1/state", "1");
	fake_xs_put("/local/domain/0/backend/vif/3/0/state", "1");
	fake_xs_put("/local/domain/0/backend/qnic/4/0/state", "1");
	fake_xs_put("/local/domain/2/backend/vif/3/7/state", "1");
	fake_xs_put("/local/domain/0/backend/vbd/3/51712/state", "1");
	UNIT_EQ(inventory_each(xs, INVENTORY_NICS, INVENTORY_ANY, INVENTORY_ANY, see, &s), 0);
	UNIT_STREQ(s.text, "0:vif/3/0 0:vif/3/1 0:qnic/4/0 2:vif/3/7 ");
	s = (struct seen){ 0 };
	UNIT_EQ(inventory_each(xs, INVENTORY_DISKS, INVENTORY_ANY, INVENTORY_ANY, see, &s), 0);
	UNIT_STREQ(s.text, "0:vbd/3/51712 ");
	UNIT_EQ(inventory_find(xs, INVENTORY_NICS, 0, INVENTORY_ANY, 3, 7, NULL, &dev), 0);
	UNIT_EQ(dev.backend_domid, 2);
	UNIT_STREQ(dev.front_dir, "/local/domain/3/device/vif/7");
	UNIT_STREQ(dev.back_dir, "/local/domain/2/backend/vif/3/7");
	UNIT_EQ(inventory_find(xs, INVENTORY_NICS, 0, INVENTORY_ANY, 3, 51712, NULL, &dev), -ENOENT);
	UNIT_EQ(inventory_find(xs, INVENTORY_NICS, 0, INVENTORY_ANY, 3, 7, "qnic", &dev), -ENOENT);
	xs_close(xs);
}

static void test_inventory_names(void)
{
	enum inventory_class of = INVENTORY_DISKS;
	struct inventory_device dev;

	UNIT_OK(!inventory_class_of("vif", &of) && of == INVENTORY_NICS);
	UNIT_OK(!inventory_class_of("vbd3", &of) && of == INVENTORY_DISKS);
	UNIT_OK(!inventory_class_of("qnic", &of) && of == INVENTORY_NICS);
	UNIT_EQ(inventory_class_of("vkbd", &of), -EINVAL);
	UNIT_EQ(inventory_name("qnic", 3, 2, 7, &dev), 0);
	UNIT_STREQ(dev.front_dir, "/local/domain/3/device/vif/7");
	UNIT_STREQ(dev.back_dir, "/local/domain/2/backend/qnic/3/7");
	UNIT_EQ(inventory_name("qdisk", 3, 0, 768, &dev), 0);
	UNIT_STREQ(dev.front_dir, "/local/domain/3/device/vbd/768");
	UNIT_EQ(inventory_name("vkbd", 3, 0, 0, &dev), -EINVAL);
}

/* As xl has it: xl.cfg's rate=, in docs/man/xl-network-configuration. */
static void test_rate(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		uint32_t usec;
	} good[] = {
		{ "10Mb/s", 62500, 50000 },
		{ "1MB/s", 50000, 50000 },
		{ "250KB/s", 12500, 50000 },
		{ "1GB/s@20ms", 20000000, 20000 },
		{ "1MB/s@250us", 250, 250 },
		{ "8Gb/s@2s", 2000000000, 2000000 },
		{ "20000B/s@50ms", 1000, 50000 },
		{ "1b/s", 1, 50000 },		/* never so slow that it is none */
	};
	static const char *const bad[] = {
		"", "10", "10Mb", "Mb/s", "-1Mb/s", "10mb/s", "10Tb/s", "10Mb/s@", "10Mb/s@50",
		"10Mb/s@0ms", "10Mb/s@5h", "0Mb/s", "10Mb/s ", "99999999999999999999Gb/s",
		"18446744073709551615GB/s", "1MB/s@4295s", "12500,50000",
	};
	uint64_t bytes;
	uint32_t usec;
	size_t i;

	for (i = 0; i < UNIT_LEN(good); i++) {
		UNIT_EQ(toolstack_rate(good[i].text, &bytes, &usec), 0);
		UNIT_EQ(bytes, good[i].bytes);
		UNIT_EQ(usec, good[i].usec);
	}
	for (i = 0; i < UNIT_LEN(bad); i++)
		UNIT_EQ(toolstack_rate(bad[i], &bytes, &usec), -EINVAL);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "create writes what xl writes", test_create_plain },
		{ "create with everything", test_create_all },
		{ "create refused", test_create_refused },
		{ "create is all or nothing", test_create_is_atomic },
		{ "detach", test_detach },
		{ "QEMU's kind", test_qnic },
		{ "the inventory", test_inventory },
		{ "names of devices", test_inventory_names },
		{ "rates", test_rate },
	};

	return unit_run("toolstack, nics", tests, UNIT_LEN(tests));
}
