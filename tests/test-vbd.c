/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vbd.c, vbd-back.c, vbd-front.c: what tool stacks, back ends and front ends
 * write, the spellings of all of them, and what must be refused by name.
 */
#include <stdint.h>

#include "fake-xenstore.h"
#include "unit.h"
#include "vbd.h"

#define BACK "/local/domain/0/backend/vbd/3/51712"
#define QDISK "/local/domain/0/backend/qdisk/3/51712"
#define FRONT "/local/domain/3/device/vbd/51712"

static struct xs_handle *start(void)
{
	fake_xs_reset();
	return fake_xs_open(0);
}

/* ---- the tool stack's nodes ----------------------------------------------- */

static struct xs_handle *start_toolstack(void)
{
	struct xs_handle *xs = start();

	fake_xs_put(BACK "/params", "/images/disk");
	fake_xs_put(BACK "/mode", "w");
	return xs;
}

static void test_toolstack_defaults(void)
{
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;

	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_STREQ(ts.params, "/images/disk");
	UNIT_OK(!ts.physical_device_path);
	UNIT_EQ(ts.share, VBD_EXCLUSIVE);
	UNIT_EQ(ts.cache, VBD_CACHE_WRITEBACK);
	UNIT_OK(!ts.cdrom && !ts.removable && ts.discard_enable && ts.online);
	UNIT_OK(!ts.hotplug_pending && !ts.hotplug_error);
	vbd_free_toolstack(&ts);
	vbd_free_toolstack(&ts);
	xs_close(xs);
}

static void test_params_prefixes(void)
{
	static const char *const t[][2] = {
		{ "/a", "/a" }, { "aio:/a", "/a" }, { "phy:/dev/vg/lv", "/dev/vg/lv" },
		{ "raw:/a", "/a" }, { "file:/a", "/a" }, { "tap:aio:/a", "/a" },
		{ "tap:tapdisk:aio:/a", "/a" }, { "tap2:raw:/a:b", "/a:b" },
		{ "/x/aio:/a", "/x/aio:/a" }, { "qcow2:/a", "qcow2:/a" },
		{ "vg/lv", "vg/lv" }, { "ai:/a", "ai:/a" },
	};
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put(BACK "/params", t[i][0]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
		UNIT_STREQ(ts.params, t[i][1]);
		vbd_free_toolstack(&ts);
	}
	xs_close(xs);
}

static void test_params_empty(void)
{
	static const char *const empty[] = { "", "aio:", "tap:aio:", "phy:" };
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;
	size_t i;

	for (i = 0; i < UNIT_LEN(empty); i++) {
		fake_xs_put(BACK "/params", empty[i]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
		UNIT_STREQ(err.key, "params");
		UNIT_OK(!ts.params);
	}
	fake_xs_put_bytes(BACK "/params", "/a\0b", 4);
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
	UNIT_STREQ(err.key, "params");
	/* With a device of a script's making nobody needs them. */
	fake_xs_put(BACK "/params", "");
	fake_xs_put(BACK "/physical-device-path", "/dev/loop0");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(!ts.params);
	UNIT_STREQ(ts.physical_device_path, "/dev/loop0");
	vbd_free_toolstack(&ts);
	xs_close(xs);
}

static void test_physical_device(void)
{
	static const char *const t[][2] = {
		{ "7:0", "/dev/block/7:0" }, { "fe:3", "/dev/block/254:3" },
		{ "FE:1f", "/dev/block/254:31" }, { "fff:fffff", "/dev/block/4095:1048575" },
	};
	static const char *const bad[] = {
		"", ":", "7", "7:", ":0", "7:0:1", "g:0", "7:0 ", "1000:0", "7:100000",
		"-1:0", "ffffffffffffffff1:0",
	};
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put(BACK "/physical-device", t[i][0]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
		UNIT_STREQ(ts.physical_device_path, t[i][1]);
		vbd_free_toolstack(&ts);
	}
	for (i = 0; i < UNIT_LEN(bad); i++) {
		fake_xs_put(BACK "/physical-device", bad[i]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
		UNIT_STREQ(err.key, "physical-device");
		UNIT_STREQ(err.value, bad[i]);
	}
	fake_xs_put(BACK "/physical-device-path", "/dev/sda1");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_STREQ(ts.physical_device_path, "/dev/sda1");
	vbd_free_toolstack(&ts);
	xs_close(xs);
}

/* What the tool stack asks of the device itself: nothing, all, and nonsense. */
static void test_wishes(void)
{
	static const char *const bad[][2] = {
		{ "logical-block-size", "0" }, { "logical-block-size", "256" },
		{ "logical-block-size", "1000" }, { "logical-block-size", "8192" },
		{ "physical-block-size", "4095" }, { "physical-block-size", "2097152" },
		{ "max-indirect-segments", "4097" }, { "max-indirect-segments", "-1" },
		{ "flush-enable", "2" }, { "discard-secure-enable", "yes" },
	};
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;

	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_EQ(ts.wishes.logical_block_bytes | ts.wishes.physical_block_bytes, 0);
	UNIT_OK(!ts.wishes.limits_segments && !ts.wishes.barriers_only);
	UNIT_EQ(ts.wishes.discard_secure, VBD_SECURE_IF_DEVICE);
	vbd_free_toolstack(&ts);
	fake_xs_put(BACK "/logical-block-size", "4096");
	fake_xs_put(BACK "/physical-block-size", "65536");
	fake_xs_put(BACK "/max-indirect-segments", "4096");
	fake_xs_put(BACK "/flush-enable", "0");
	fake_xs_put(BACK "/discard-secure-enable", "1");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_EQ(ts.wishes.logical_block_bytes, 4096);
	UNIT_EQ(ts.wishes.physical_block_bytes, 65536);
	UNIT_OK(ts.wishes.limits_segments && ts.wishes.barriers_only);
	UNIT_EQ(ts.wishes.max_indirect_segments, 4096);
	UNIT_EQ(ts.wishes.discard_secure, VBD_SECURE_OVERWRITE);
	vbd_free_toolstack(&ts);
	fake_xs_put(BACK "/max-indirect-segments", "0");
	fake_xs_put(BACK "/discard-secure-enable", "0");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(ts.wishes.limits_segments && !ts.wishes.max_indirect_segments);
	UNIT_EQ(ts.wishes.discard_secure, VBD_SECURE_NEVER);
	vbd_free_toolstack(&ts);
	xs_close(xs);
	for (size_t i = 0; i < UNIT_LEN(bad); i++) {
		char path[100];

		xs = start_toolstack();
		snprintf(path, sizeof(path), "%s/%s", BACK, bad[i][0]);
		fake_xs_put(path, bad[i][1]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
		UNIT_STREQ(err.key, bad[i][0]);
		UNIT_STREQ(err.value, bad[i][1]);
		xs_close(xs);
	}
}

static void test_mode(void)
{
	static const struct {
		const char *text;
		enum vbd_share share;
	} t[] = {
		{ "r", VBD_READ_ONLY }, { "ro", VBD_READ_ONLY },
		{ "w", VBD_EXCLUSIVE }, { "rw", VBD_EXCLUSIVE },
		{ "w!", VBD_SHARED_WRITE },
	};
	static const char *const bad[] = { "", "x", "W", "r!", "w ", "wr", "www" };
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;
	char longer[100];
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put(BACK "/mode", t[i].text);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
		UNIT_EQ(ts.share, t[i].share);
		vbd_free_toolstack(&ts);
	}
	for (i = 0; i < UNIT_LEN(bad); i++) {
		fake_xs_put(BACK "/mode", bad[i]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
		UNIT_STREQ(err.key, "mode");
		UNIT_STREQ(err.value, bad[i]);
		UNIT_STREQ(err.expected, "r, w or w!");
	}
	memset(longer, 'w', sizeof(longer));
	fake_xs_put_bytes(BACK "/mode", longer, sizeof(longer));
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
	fake_xs_put_bytes(BACK "/mode", "w\0", 2);
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
	xs_rm(xs, XBT_NULL, BACK "/mode");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -ENOENT);
	UNIT_STREQ(err.key, "mode");
	xs_close(xs);
}

static void test_cache(void)
{
	static const struct {
		const char *cache, *direct;
		int rc;
		enum vbd_cache want;
	} t[] = {
		{ NULL, "0", 0, VBD_CACHE_WRITEBACK },
		{ NULL, "1", 0, VBD_CACHE_NONE },
		{ "writethrough", "1", 0, VBD_CACHE_WRITETHROUGH },
		{ "writethrough", "0", 0, VBD_CACHE_WRITETHROUGH },
		{ "none", "0", 0, VBD_CACHE_NONE },
		{ "writeback", "1", 0, VBD_CACHE_WRITEBACK },
		{ "unsafe", "0", -EINVAL, 0 }, { "", "0", -EINVAL, 0 },
		{ NULL, "2", -EINVAL, 0 },
	};
	struct vbd_toolstack ts;
	struct key_error err;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		struct xs_handle *xs = start_toolstack();

		fake_xs_put(BACK "/direct-io-safe", t[i].direct);
		if (t[i].cache)
			fake_xs_put(BACK "/cache", t[i].cache);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), t[i].rc);
		if (!t[i].rc)
			UNIT_EQ(ts.cache, t[i].want);
		else
			UNIT_STREQ(err.key, t[i].cache ? "cache" : "direct-io-safe");
		vbd_free_toolstack(&ts);
		xs_close(xs);
	}
}

static void test_grants(void)
{
	static const struct {
		const char *text;
		enum vbd_grants want;
	} t[] = {
		{ NULL, VBD_GRANTS_DEFAULT }, { "auto", VBD_GRANTS_AUTO },
		{ "persistent", VBD_GRANTS_PERSISTENT }, { "map", VBD_GRANTS_MAP },
		{ "copy", VBD_GRANTS_COPY },
	};
	static const char *const bad[] = { "", "Map", "copy ", "1", "persistentpersistentpersistent!!!" };
	struct vbd_toolstack ts;
	struct key_error err;
	enum vbd_grants parsed;

	for (size_t i = 0; i < UNIT_LEN(t); i++) {
		struct xs_handle *xs = start_toolstack();

		if (t[i].text)
			fake_xs_put(BACK "/grant-mode", t[i].text);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
		UNIT_EQ(ts.grants, t[i].want);
		vbd_free_toolstack(&ts);
		xs_close(xs);
		if (!t[i].text)
			continue;
		UNIT_EQ(vbd_grants_parse(t[i].text, &parsed), 0);
		UNIT_EQ(parsed, t[i].want);
		UNIT_STREQ(vbd_grants_name(t[i].want), t[i].text);
	}
	UNIT_OK(!vbd_grants_name(VBD_GRANTS_DEFAULT));
	for (size_t i = 0; i < UNIT_LEN(bad); i++) {
		struct xs_handle *xs = start_toolstack();

		fake_xs_put(BACK "/grant-mode", bad[i]);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
		UNIT_STREQ(err.key, "grant-mode");
		UNIT_STREQ(err.expected, "auto, persistent, map or copy");
		UNIT_EQ(vbd_grants_parse(bad[i], &parsed), -EINVAL);
		xs_close(xs);
	}
}

static void test_hotplug(void)
{
	static const struct {
		const char *script, *status;
		bool pending, error;
	} t[] = {
		{ NULL, NULL, false, false }, { "", NULL, false, false },
		{ "/etc/xen/scripts/block", NULL, true, false },
		{ "/etc/xen/scripts/block", "", true, false },
		{ NULL, "", true, false }, { NULL, "connected", false, false },
		{ "/etc/xen/scripts/block", "connected", false, false },
		{ "/etc/xen/scripts/block", "error", true, true },
		{ NULL, "disconnected", true, false },
	};
	struct vbd_toolstack ts;
	struct key_error err;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		struct xs_handle *xs = start_toolstack();

		if (t[i].script)
			fake_xs_put(BACK "/script", t[i].script);
		if (t[i].status)
			fake_xs_put(BACK "/hotplug-status", t[i].status);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
		UNIT_EQ(ts.hotplug_pending, t[i].pending);
		UNIT_EQ(ts.hotplug_error, t[i].error);
		vbd_free_toolstack(&ts);
		xs_close(xs);
	}
}

static void test_toolstack_flags(void)
{
	struct xs_handle *xs = start_toolstack();
	struct vbd_toolstack ts;
	struct key_error err;

	fake_xs_put(BACK "/device-type", "cdrom");
	fake_xs_put(BACK "/removable", "1");
	fake_xs_put(BACK "/discard-enable", "0");
	fake_xs_put(BACK "/online", "0");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(ts.cdrom && ts.removable && !ts.discard_enable && !ts.online);
	vbd_free_toolstack(&ts);
	fake_xs_put(BACK "/device-type", "floppy");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_OK(!ts.cdrom);
	vbd_free_toolstack(&ts);
	fake_xs_put(BACK "/online", "maybe");
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EINVAL);
	UNIT_STREQ(err.key, "online");
	xs_close(xs);
}

/* Every single request fails once: an error, and nothing is leaked (ASan). */
static void test_toolstack_store_fails(void)
{
	struct xs_handle *xs = start_toolstack();
	unsigned int before = fake_xs_requests(), nr, n;
	struct vbd_toolstack ts;
	struct key_error err;

	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	vbd_free_toolstack(&ts);
	nr = fake_xs_requests() - before;
	UNIT_OK(nr >= 8);
	for (n = 1; n <= nr; n++) {
		fake_xs_fail_nth(n, EIO);
		UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), -EIO);
		UNIT_OK(!ts.params && !ts.physical_device_path);
	}
	xs_close(xs);
}

/* ---- the back end's nodes -------------------------------------------------- */

static const struct vbd_features full = {
	.sectors = 1ull << 33, .sector_bytes = 4096, .physical_sector_bytes = 8192,
	.read_only = true, .cdrom = false, .removable = true,
	.flush = true, .barrier = true, .persistent = true,
	.discard = true, .discard_secure = true,
	.discard_granularity_bytes = 65536, .discard_alignment_bytes = 4096,
	.max_indirect_segments = 256, .max_ring_order = 4, .max_queues = 4,
};

static bool same_features(const struct vbd_features *a, const struct vbd_features *b)
{
	return a->sectors == b->sectors && a->sector_bytes == b->sector_bytes &&
	       a->physical_sector_bytes == b->physical_sector_bytes &&
	       a->read_only == b->read_only && a->cdrom == b->cdrom &&
	       a->removable == b->removable && a->flush == b->flush &&
	       a->barrier == b->barrier && a->persistent == b->persistent &&
	       a->discard == b->discard && a->discard_secure == b->discard_secure &&
	       a->discard_granularity_bytes == b->discard_granularity_bytes &&
	       a->discard_alignment_bytes == b->discard_alignment_bytes &&
	       a->max_indirect_segments == b->max_indirect_segments &&
	       a->max_ring_order == b->max_ring_order &&
	       a->max_queues == b->max_queues;
}

static void test_features_round_trip(void)
{
	struct vbd_features none = {
		.sectors = 8, .sector_bytes = 512, .physical_sector_bytes = 512,
		.max_queues = 1,
	}, got;
	struct xs_handle *xs = start();
	struct key_error err;

	UNIT_EQ(vbd_write_features(xs, XBT_NULL, BACK, &full), 0);
	UNIT_STREQ(fake_xs_get(BACK "/sectors"), "8589934592");
	UNIT_STREQ(fake_xs_get(BACK "/info"), "6");
	UNIT_STREQ(fake_xs_get(BACK "/multi-queue-max-queues"), "4");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_OK(same_features(&got, &full));
	/* A second connection with less: nothing of the first may show. */
	UNIT_EQ(vbd_write_features(xs, XBT_NULL, BACK, &none), 0);
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_OK(same_features(&got, &none));
	UNIT_STREQ(fake_xs_get(BACK "/info"), "0");
	UNIT_OK(!fake_xs_get(BACK "/discard-granularity"));
	UNIT_OK(!fake_xs_get(BACK "/multi-queue-max-queues"));
	UNIT_OK(!fake_xs_get(BACK "/feature-max-indirect-segments"));
	xs_close(xs);
}

static void put_geometry(const char *sectors, const char *sector_bytes,
			 const char *info)
{
	fake_xs_put(BACK "/sectors", sectors);
	fake_xs_put(BACK "/sector-size", sector_bytes);
	fake_xs_put(BACK "/info", info);
}

static void test_features_missing(void)
{
	static const char *const key[] = { "sectors", "sector-size", "info" };
	struct xs_handle *xs = start();
	struct vbd_features got;
	struct key_error err;
	char path[128];
	size_t i;

	put_geometry("1000", "512", "0");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_EQ(got.sectors, 1000);
	UNIT_EQ(got.physical_sector_bytes, 512);
	UNIT_OK(!got.flush && !got.barrier && !got.persistent && !got.discard);
	UNIT_EQ(got.max_indirect_segments, 0);
	UNIT_EQ(got.max_ring_order, 0);
	UNIT_EQ(got.max_queues, 1);
	for (i = 0; i < UNIT_LEN(key); i++) {
		put_geometry("1000", "512", "0");
		snprintf(path, sizeof(path), BACK "/%s", key[i]);
		xs_rm(xs, XBT_NULL, path);
		UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), -ENOENT);
		UNIT_STREQ(err.key, key[i]);
		fake_xs_put(path, "lots");
		UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), -EINVAL);
		UNIT_STREQ(err.key, key[i]);
		UNIT_STREQ(err.value, "lots");
	}
	xs_close(xs);
}

static void test_bad_geometry(void)
{
	static const char *const sector_bytes[] = {
		"0", "1", "511", "513", "768", "2097152", "2147483648",
	};
	struct xs_handle *xs = start();
	struct vbd_features got;
	struct key_error err;
	size_t i;

	for (i = 0; i < UNIT_LEN(sector_bytes); i++) {
		put_geometry("1000", sector_bytes[i], "0");
		UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), -EINVAL);
		UNIT_STREQ(err.key, "sector-size");
	}
	/* 2^64 bytes do not exist; a size above would wrap in a front end. */
	put_geometry("36028797018963967", "512", "0");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	put_geometry("36028797018963968", "512", "0");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), -EINVAL);
	UNIT_STREQ(err.key, "sectors");
	xs_close(xs);
}

/* A back end's offers are limited, and nonsense is no offer. */
static void test_odd_offers(void)
{
	struct xs_handle *xs = start();
	struct vbd_features got;
	struct key_error err;

	put_geometry("1000", "512", "7");
	fake_xs_put(BACK "/feature-flush-cache", "yes");
	fake_xs_put(BACK "/feature-persistent", "2");
	fake_xs_put(BACK "/max-ring-page-order", "99");
	fake_xs_put(BACK "/multi-queue-max-queues", "4000");
	fake_xs_put(BACK "/feature-max-indirect-segments", "-1");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_OK(got.read_only && got.cdrom && got.removable);
	UNIT_OK(!got.flush && got.persistent);
	UNIT_EQ(got.max_ring_order, VBD_RING_ORDER_MAX);
	UNIT_EQ(got.max_queues, VBD_QUEUES_MAX);
	UNIT_EQ(got.max_indirect_segments, 0);
	fake_xs_put(BACK "/multi-queue-max-queues", "0");
	fake_xs_put(BACK "/max-ring-page-order", "order");
	fake_xs_put(BACK "/feature-discard", "1");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_EQ(got.max_queues, 1);
	UNIT_EQ(got.max_ring_order, 0);
	UNIT_EQ(got.discard_granularity_bytes, 512);
	UNIT_EQ(got.discard_alignment_bytes, 0);
	UNIT_OK(got.discard && !got.discard_secure);
	xs_close(xs);
}

static void test_deprecated_ring_pages(void)
{
	static const struct {
		const char *pages;
		uint32_t order;
	} t[] = {
		{ "1", 0 }, { "2", 1 }, { "8", 3 }, { "12", 3 }, { "0", 0 },
		{ "4294967295", VBD_RING_ORDER_MAX }, { "x", 0 },
	};
	struct xs_handle *xs = start();
	struct vbd_features got;
	struct key_error err;
	size_t i;

	put_geometry("1000", "512", "0");
	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put(BACK "/max-ring-pages", t[i].pages);
		UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
		UNIT_EQ(got.max_ring_order, t[i].order);
	}
	fake_xs_put(BACK "/max-ring-page-order", "2");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_EQ(got.max_ring_order, 2);
	xs_close(xs);
}

static void test_qemu_sectors(void)
{
	struct xs_handle *xs = start();
	struct vbd_features got;
	struct key_error err;

	fake_xs_put(QDISK "/sectors", "1000");
	fake_xs_put(QDISK "/sector-size", "4096");
	fake_xs_put(QDISK "/info", "0");
	UNIT_EQ(vbd_read_features(xs, QDISK, &got, &err), 0);
	UNIT_EQ(got.sectors, 8000);
	fake_xs_put(QDISK "/sectors", "4503599627370496");
	UNIT_EQ(vbd_read_features(xs, QDISK, &got, &err), -EINVAL);
	UNIT_STREQ(err.key, "sectors");
	/* Everyone else counts in 512 bytes, whatever the sector size. */
	put_geometry("1000", "4096", "0");
	UNIT_EQ(vbd_read_features(xs, BACK, &got, &err), 0);
	UNIT_EQ(got.sectors, 1000);
	xs_close(xs);
}

static void test_resize(void)
{
	struct xs_handle *xs = start();
	struct xenbus_device back = {
		.xs = xs, .side = XENBUS_BACKEND, .nodename = BACK,
		.state = XenbusStateConnected,
	};
	char **event;

	UNIT_EQ(vbd_write_size(&back, 4096), -ENOENT);
	UNIT_EQ(fake_xs_count(), 0);
	fake_xs_put(BACK "/state", "4");
	fake_xs_put(BACK "/sectors", "8");
	xs_watch(xs, BACK "/state", "w");
	free(xs_check_watch(xs));
	fake_xs_refuse_commits(1);
	UNIT_EQ(vbd_write_size(&back, 4096), 0);
	UNIT_STREQ(fake_xs_get(BACK "/sectors"), "4096");
	UNIT_STREQ(fake_xs_get(BACK "/state"), "4");
	event = xs_check_watch(xs);	/* front ends look again because of it */
	UNIT_OK(event);
	free(event);
	/* The tool stack's detach must not be hidden by our 4. */
	fake_xs_put(BACK "/state", "5");
	UNIT_EQ(vbd_write_size(&back, 8192), -EAGAIN);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "5");
	xs_close(xs);
}

/* ---- the front end's nodes ------------------------------------------------- */

static const struct vbd_features limits = { .max_ring_order = 4, .max_queues = 4 };

static bool same_frontend(const struct vbd_frontend *a, const struct vbd_frontend *b)
{
	uint32_t q, p;

	if (a->abi != b->abi || a->persistent != b->persistent ||
	    a->nr_queues != b->nr_queues)
		return false;
	for (q = 0; q < a->nr_queues; q++) {
		if (a->queue[q].order != b->queue[q].order ||
		    a->queue[q].port != b->queue[q].port)
			return false;
		for (p = 0; p < 1u << a->queue[q].order; p++)
			if (a->queue[q].gref[p] != b->queue[q].gref[p])
				return false;
	}
	return true;
}

static void fill_frontend(struct vbd_frontend *f, uint32_t nr_queues, uint32_t order)
{
	uint32_t q, p;

	memset(f, 0, sizeof(*f));
	f->abi = VBD_ABI_X86_32;
	f->persistent = nr_queues % 2;
	f->nr_queues = nr_queues;
	for (q = 0; q < nr_queues; q++) {
		f->queue[q].order = order;
		f->queue[q].port = 10 + q;
		for (p = 0; p < 1u << order; p++)
			f->queue[q].gref[p] = 100 + q * 16 + p;
	}
}

static void test_frontend_round_trips(void)
{
	struct vbd_frontend f, got;
	struct key_error err;
	uint32_t queues, order;

	for (queues = 1; queues <= 4; queues++) {
		for (order = 0; order <= 4; order++) {
			struct xs_handle *xs = start();

			fill_frontend(&f, queues, order);
			UNIT_EQ(vbd_write_frontend(xs, XBT_NULL, FRONT, &f), 0);
			UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), 0);
			UNIT_OK(same_frontend(&f, &got));
			UNIT_EQ(vbd_remove_frontend(xs, FRONT), 0);
			UNIT_OK(!fake_xs_get(FRONT "/event-channel"));
			UNIT_OK(!fake_xs_get(FRONT "/queue-0"));
			UNIT_OK(!fake_xs_get(FRONT "/ring-ref"));
			UNIT_OK(!fake_xs_get(FRONT "/ring-ref0"));
			UNIT_OK(!fake_xs_get(FRONT "/ring-page-order"));
			xs_close(xs);
		}
	}
}

static void test_frontend_spelling(void)
{
	struct xs_handle *xs = start();
	struct vbd_frontend f;

	fake_xs_put(FRONT "/backend", BACK);
	fill_frontend(&f, 1, 0);
	f.abi = VBD_ABI_X86_64;
	UNIT_EQ(vbd_write_frontend(xs, XBT_NULL, FRONT, &f), 0);
	UNIT_STREQ(fake_xs_get(FRONT "/ring-ref"), "100");
	UNIT_STREQ(fake_xs_get(FRONT "/event-channel"), "10");
	UNIT_STREQ(fake_xs_get(FRONT "/protocol"), "x86_64-abi");
	UNIT_OK(!fake_xs_get(FRONT "/ring-page-order"));
	UNIT_OK(!fake_xs_get(FRONT "/multi-queue-num-queues"));
	UNIT_EQ(vbd_remove_frontend(xs, FRONT), 0);
	UNIT_STREQ(fake_xs_get(FRONT "/backend"), BACK);
	fill_frontend(&f, 2, 1);
	UNIT_EQ(vbd_write_frontend(xs, XBT_NULL, FRONT, &f), 0);
	UNIT_STREQ(fake_xs_get(FRONT "/multi-queue-num-queues"), "2");
	UNIT_STREQ(fake_xs_get(FRONT "/ring-page-order"), "1");
	UNIT_STREQ(fake_xs_get(FRONT "/queue-1/ring-ref1"), "117");
	UNIT_STREQ(fake_xs_get(FRONT "/queue-1/event-channel"), "11");
	UNIT_OK(!fake_xs_get(FRONT "/ring-ref"));
	UNIT_OK(!fake_xs_get(FRONT "/event-channel"));
	UNIT_EQ(vbd_remove_frontend(xs, "/local/domain/9/device/vbd/1"), 0);
	xs_close(xs);
}

/* The least that a front end writes, and what older ones write instead. */
static void test_frontend_minimal(void)
{
	struct xs_handle *xs = start();
	struct vbd_frontend got;
	struct key_error err;

	fake_xs_put(FRONT "/ring-ref", "8");
	fake_xs_put(FRONT "/event-channel", "5");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), 0);
	UNIT_EQ(got.abi, VBD_ABI_NATIVE);
	UNIT_OK(!got.persistent);
	UNIT_EQ(got.nr_queues, 1);
	UNIT_EQ(got.queue[0].order, 0);
	UNIT_EQ(got.queue[0].gref[0], 8);
	UNIT_EQ(got.queue[0].port, 5);
	fake_xs_put(FRONT "/ring-page-order", "0");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), 0);
	xs_rm(xs, XBT_NULL, FRONT "/ring-ref");
	fake_xs_put(FRONT "/ring-ref0", "9");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), 0);
	UNIT_EQ(got.queue[0].gref[0], 9);
	xs_rm(xs, XBT_NULL, FRONT "/ring-page-order");
	fake_xs_put(FRONT "/num-ring-pages", "2");
	fake_xs_put(FRONT "/ring-ref1", "10");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), 0);
	UNIT_EQ(got.queue[0].order, 1);
	UNIT_EQ(got.queue[0].gref[1], 10);
	/* One queue asked for by name is still the flat spelling. */
	fake_xs_put(FRONT "/multi-queue-num-queues", "1");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), 0);
	xs_close(xs);
}

/* BLK-10 */
static void test_frontend_protocol(void)
{
	static const struct {
		const char *text;
		int rc;
		enum vbd_abi abi;
	} t[] = {
		{ "x86_64-abi", 0, VBD_ABI_X86_64 }, { "x86_32-abi", 0, VBD_ABI_X86_32 },
		{ "", -EINVAL, 0 }, { "x86_64", -EINVAL, 0 },
		{ "x86_64-abi ", -EINVAL, 0 }, { "garbage", -EINVAL, 0 },
	};
	struct xs_handle *xs = start();
	struct vbd_frontend got;
	struct key_error err;
	size_t i;

	fake_xs_put(FRONT "/ring-ref", "8");
	fake_xs_put(FRONT "/event-channel", "5");
	for (i = 0; i < UNIT_LEN(t); i++) {
		fake_xs_put(FRONT "/protocol", t[i].text);
		UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), t[i].rc);
		if (!t[i].rc)
			UNIT_EQ(got.abi, t[i].abi);
		else
			UNIT_STREQ(err.key, "protocol");
	}
	fake_xs_put_bytes(FRONT "/protocol", "x86_64-abi\0x", 12);
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), -EINVAL);
	xs_close(xs);
}

/* What the front end's directory may say, and what is said about it. */
struct refusal {
	const char *put, *value;	/* put = NULL: one key is missing */
	const char *key;
	int rc;
};

static void refuse(const struct refusal *r, uint32_t queues, uint32_t order)
{
	struct xs_handle *xs = start();
	struct vbd_frontend f, got;
	struct key_error err = { .key = "" };
	char path[128];

	fill_frontend(&f, queues, order);
	UNIT_EQ(vbd_write_frontend(xs, XBT_NULL, FRONT, &f), 0);
	snprintf(path, sizeof(path), FRONT "/%s", r->put ? r->put : r->key);
	if (r->put)
		fake_xs_put(path, r->value);
	else
		xs_rm(xs, XBT_NULL, path);
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &limits, &got, &err), r->rc);
	UNIT_STREQ(err.key, r->key);
	if (r->put)
		UNIT_STREQ(err.value, r->value);
	UNIT_OK(err.expected && *err.expected);
	xs_close(xs);
}

static void test_frontend_refused(void)
{
	static const struct refusal one[] = {
		{ NULL, NULL, "ring-ref", -ENOENT },
		{ NULL, NULL, "event-channel", -ENOENT },
		{ "ring-ref", "", "ring-ref", -EINVAL },
		{ "ring-ref", "-1", "ring-ref", -EINVAL },
		{ "ring-ref", "4294967296", "ring-ref", -EINVAL },
		{ "ring-ref", "8x", "ring-ref", -EINVAL },
		{ "event-channel", "port", "event-channel", -EINVAL },
		{ "event-channel", "0", "event-channel", -EINVAL },
		{ "event-channel", "99999999999", "event-channel", -EINVAL },
		{ "feature-persistent", "7", "feature-persistent", -EINVAL },
		{ "multi-queue-num-queues", "0", "multi-queue-num-queues", -EINVAL },
		{ "multi-queue-num-queues", "5", "multi-queue-num-queues", -EINVAL },
		{ "multi-queue-num-queues", "4294967295", "multi-queue-num-queues",
		  -EINVAL },
		{ "multi-queue-num-queues", "NaN", "multi-queue-num-queues", -EINVAL },
		{ "ring-page-order", "5", "ring-page-order", -EINVAL },
		{ "ring-page-order", "4294967295", "ring-page-order", -EINVAL },
		{ "ring-page-order", "-0", "ring-page-order", -EINVAL },
		{ "num-ring-pages", "0", "num-ring-pages", -EINVAL },
		{ "num-ring-pages", "3", "num-ring-pages", -EINVAL },
		{ "num-ring-pages", "32", "num-ring-pages", -EINVAL },
		{ "num-ring-pages", "two", "num-ring-pages", -EINVAL },
	};
	static const struct refusal many[] = {
		{ NULL, NULL, "queue-2/ring-ref1", -ENOENT },
		{ NULL, NULL, "queue-0/event-channel", -ENOENT },
		{ "queue-3/ring-ref0", "", "queue-3/ring-ref0", -EINVAL },
		{ "queue-1/event-channel", "0", "queue-1/event-channel", -EINVAL },
		/* BLK-11: two queues on one port, two ring pages in one grant. */
		{ "queue-1/event-channel", "10", "event-channel", -EINVAL },
		{ "queue-2/ring-ref1", "100", "ring-ref", -EINVAL },
		{ "queue-2/ring-ref1", "132", "ring-ref", -EINVAL },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(one); i++)
		refuse(&one[i], 1, 0);
	for (i = 0; i < UNIT_LEN(many); i++)
		refuse(&many[i], 4, 1);
}

/* A back end that offers one page and one queue takes no more. */
static void test_frontend_small_limits(void)
{
	static const struct vbd_features small = { .max_queues = 0 };
	struct xs_handle *xs = start();
	struct vbd_frontend f, got;
	struct key_error err;

	fill_frontend(&f, 1, 0);
	UNIT_EQ(vbd_write_frontend(xs, XBT_NULL, FRONT, &f), 0);
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &small, &got, &err), 0);
	fake_xs_put(FRONT "/ring-page-order", "1");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &small, &got, &err), -EINVAL);
	fake_xs_put(FRONT "/ring-page-order", "0");
	fake_xs_put(FRONT "/multi-queue-num-queues", "2");
	UNIT_EQ(vbd_read_frontend(xs, FRONT, &small, &got, &err), -EINVAL);
	xs_close(xs);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "tool stack: defaults", test_toolstack_defaults },
		{ "tool stack: prefixes of params", test_params_prefixes },
		{ "tool stack: empty params", test_params_empty },
		{ "tool stack: physical-device alone", test_physical_device },
		{ "tool stack: mode", test_mode },
	{ "what the tool stack asks of the device", test_wishes },
		{ "tool stack: cache and direct-io-safe", test_cache },
		{ "tool stack: grant-mode", test_grants },
		{ "tool stack: hotplug", test_hotplug },
		{ "tool stack: flags", test_toolstack_flags },
		{ "tool stack: any request fails", test_toolstack_store_fails },
		{ "features there and back", test_features_round_trip },
		{ "features that are missing", test_features_missing },
		{ "geometry that cannot be", test_bad_geometry },
		{ "offers beyond limits", test_odd_offers },
		{ "ring size in the deprecated key", test_deprecated_ring_pages },
		{ "QEMU's sectors", test_qemu_sectors },
		{ "resize", test_resize },
		{ "front end there and back", test_frontend_round_trips },
		{ "front end: spelling", test_frontend_spelling },
		{ "front end: the least, and the oldest", test_frontend_minimal },
		{ "front end: protocol", test_frontend_protocol },
		{ "front end: refused by name", test_frontend_refused },
		{ "front end: more than was offered", test_frontend_small_limits },
	};

	return unit_run("vbd", tests, UNIT_LEN(tests));
}
