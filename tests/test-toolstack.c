/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * toolstack*.c: names and numbers of disks, the nodes and permissions that xl
 * writes, waiting for two ends that play their parts in threads, detach.
 */
#include <pthread.h>
#include <unistd.h>

#include "toolstack.h"
#include "toolstack-world.h"

#define BACK "/local/domain/0/backend/vbd/3/51712"
#define FRONT "/local/domain/3/device/vbd/51712"
#define LIBXL "/libxl/3/device/vbd/51712"
#define BACK_ERROR "/local/domain/0/error/backend/vbd/3/51712"
#define FRONT_ERROR "/local/domain/3/error/device/vbd/51712"

#define GENEROUS_MS 20000
#define SHORT_MS 50

static const struct toolstack_disk plain = {
	.domid = 3, .backend_domid = 0, .devid = 51712, .kind = "vbd",
	.params = "/images/disk", .share = VBD_EXCLUSIVE,
	.cache = VBD_CACHE_WRITEBACK,
};

/* ---- names and numbers ---------------------------------------------------- */

static void test_vdev(void)
{
	static const struct {
		const char *text;
		uint32_t devid;
		const char *name;
	} t[] = {
		{ "xvda", 51712, "xvda" }, { "xvdb", 51728, "xvdb" },
		{ "xvda1", 51713, "xvda1" }, { "xvdp15", 51967, "xvdp15" },
		{ "xvdq", 1u << 28 | 16 << 8, "xvdq" },
		{ "xvda16", 1u << 28 | 16, "xvda16" },
		{ "xvdz255", 1u << 28 | 25 << 8 | 255, "xvdz255" },
		{ "xvdaa", 1u << 28 | 26 << 8, "xvdaa" },
		{ "xvdba2", 1u << 28 | 52 << 8 | 2, "xvdba2" },
		{ "d0", 51712, "xvda" }, { "d0p1", 51713, "xvda1" },
		{ "d1p0", 51728, "xvdb" }, { "d16p1", 1u << 28 | 16 << 8 | 1, "xvdq1" },
		{ "sda", 2048, "sda" }, { "sdb3", 2067, "sdb3" },
		{ "hda", 768, "hda" }, { "hdb1", 833, "hdb1" },
		{ "hdc", 5632, "hdc" }, { "hdd63", 5759, "hdd63" },
		{ "51712", 51712, "xvda" }, { "0xca00", 51712, "xvda" },
		{ "0", 0, NULL }, { "832", 832, "hdb" }, { "900", 900, NULL },
	};
	static const char *const bad[] = {
		"", "xvd", "xvda256", "xvdA", "xvda1p1", "xvda-1", "sdq", "sda16",
		"hde", "hda64", "d", "d1p", "dp1", "d1x", "vda", "51712x", "-1",
		"1e3", "99999999999", "536870912", "xvdzzzzz", "xvda9999999999",
		"d1048576", "/dev/xvda",
	};
	char name[24];
	uint32_t v;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		v = 1;
		UNIT_EQ(toolstack_vdev(t[i].text, &v), 0);
		UNIT_EQ(v, t[i].devid);
		UNIT_EQ(toolstack_vdev_name(v, name, sizeof(name)),
			t[i].name ? 0 : -EINVAL);
		if (t[i].name)
			UNIT_STREQ(name, t[i].name);
	}
	for (i = 0; i < UNIT_LEN(bad); i++) {
		v = 0;
		if (toolstack_vdev(bad[i], &v) != -EINVAL)
			UNIT_STREQ(bad[i], "refused");
	}
}

/* Every number that has a name comes back from it. */
static void test_vdev_both_ways(void)
{
	uint32_t devid, back, named = 0, wrong = 0;
	char name[24];

	for (devid = 0; devid < (1u << 28 | 1u << 16);
	     devid == 0xffff ? devid = 1u << 28 | 16 << 8 : devid++) {
		if (toolstack_vdev_name(devid, name, sizeof(name)))
			continue;
		named++;
		wrong += toolstack_vdev(name, &back) || back != devid;
	}
	UNIT_EQ(wrong, 0);
	/* xvd, sd and hd by their majors; 240 disks with 256 partitions. */
	UNIT_EQ(named, 256 + 256 + 2 * 128 + 240 * 256);
	UNIT_EQ(toolstack_vdev_name(51712, name, 4), -ENAMETOOLONG);
}

static void test_find_domain(void)
{
	struct xs_handle *xs = toolstack_world();
	uint32_t domid = 99;

	fake_xs_put("/local/domain/12/name", "7");
	fake_xs_put("/local/domain/x/name", "odd");
	UNIT_EQ(toolstack_find_domain(xs, "guest", &domid), 0);
	UNIT_EQ(domid, 3);
	UNIT_EQ(toolstack_find_domain(xs, "12", &domid), 0);
	UNIT_EQ(domid, 12);
	UNIT_EQ(toolstack_find_domain(xs, "0", &domid), 0);
	UNIT_EQ(domid, 0);
	UNIT_EQ(toolstack_find_domain(xs, "7", &domid), 0);
	UNIT_EQ(domid, 12);
	domid = 99;
	UNIT_EQ(toolstack_find_domain(xs, "nobody", &domid), -ENOENT);
	UNIT_EQ(toolstack_find_domain(xs, "8", &domid), -ENOENT);
	UNIT_EQ(toolstack_find_domain(xs, "odd", &domid), -ENOENT);
	UNIT_EQ(toolstack_find_domain(xs, "", &domid), -ENOENT);
	UNIT_EQ(domid, 99);
	xs_close(xs);
}

/* ---- create ---------------------------------------------------------------- */

static void test_create_as_xl(void)
{
	static const struct world_node nodes[] = {
		{ BACK "/frontend", FRONT }, { BACK "/params", "/images/disk" },
		{ BACK "/frontend-id", "3" }, { BACK "/online", "1" },
		{ BACK "/removable", "0" }, { BACK "/bootable", "1" },
		{ BACK "/state", "1" }, { BACK "/dev", "xvda" },
		{ BACK "/type", "phy" }, { BACK "/mode", "w" },
		{ BACK "/device-type", "disk" }, { BACK "/discard-enable", "1" },
		{ BACK "/specification", "xen" },
		{ BACK "/script", NULL }, { BACK "/cache", NULL },
		{ BACK "/grant-mode", NULL },
		{ BACK "/direct-io-safe", NULL }, { BACK "/hotplug-status", NULL },
		{ FRONT "/backend", BACK }, { FRONT "/backend-id", "0" },
		{ FRONT "/state", "1" }, { FRONT "/virtual-device", "51712" },
		{ FRONT "/device-type", "disk" }, { FRONT "/trusted", "1" },
		{ LIBXL, NULL },
	};
	struct xs_handle *xs = toolstack_world();

	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	world_expect(nodes, UNIT_LEN(nodes));
	/* Each end owns its directory, the other may read it. */
	UNIT_STREQ(fake_xs_perms(BACK), "n0r3");
	UNIT_STREQ(fake_xs_perms(BACK "/params"), "n0r3");
	UNIT_STREQ(fake_xs_perms(FRONT), "n3r0");
	UNIT_STREQ(fake_xs_perms(FRONT "/state"), "n3r0");
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

static void test_create_variants(void)
{
	static const struct world_node nodes[] = {
		{ "/local/domain/5/backend/qdisk/3/832/type", "qdisk" },
		{ "/local/domain/5/backend/qdisk/3/832/mode", "r" },
		{ "/local/domain/5/backend/qdisk/3/832/dev", "hdb" },
		{ "/local/domain/5/backend/qdisk/3/832/discard-enable", "0" },
		{ "/local/domain/5/backend/qdisk/3/832/device-type", "cdrom" },
		{ "/local/domain/5/backend/qdisk/3/832/removable", "1" },
		{ "/local/domain/5/backend/qdisk/3/832/direct-io-safe", "1" },
		{ "/local/domain/5/backend/qdisk/3/832/cache", "none" },
		{ "/local/domain/5/backend/qdisk/3/832/script", "/bin/true" },
		{ "/local/domain/3/device/vbd/832/backend",
		  "/local/domain/5/backend/qdisk/3/832" },
		{ "/local/domain/3/device/vbd/832/backend-id", "5" },
		{ "/local/domain/3/device/vbd/832/device-type", "cdrom" },
		{ "/libxl/3/device/vbd/832/frontend", "/local/domain/3/device/vbd/832" },
		{ "/libxl/3/device/vbd/832/backend",
		  "/local/domain/5/backend/qdisk/3/832" },
		{ "/libxl/3/device/vbd/832/params", "aio:/images/cd" },
		{ "/libxl/3/device/vbd/832/frontend-id", "3" },
	};
	struct toolstack_disk d = {
		.domid = 3, .backend_domid = 5, .devid = 832, .kind = "qdisk",
		.params = "aio:/images/cd", .share = VBD_READ_ONLY,
		.cache = VBD_CACHE_NONE, .cdrom = true, .removable = true,
		.script = "/bin/true", .libxl = true,
	};
	struct xs_handle *xs = toolstack_world();

	UNIT_EQ(toolstack_create_disk(xs, &d), 0);
	world_expect(nodes, UNIT_LEN(nodes));
	UNIT_STREQ(fake_xs_perms("/local/domain/5/backend/qdisk/3/832"), "n5r3");
	UNIT_STREQ(fake_xs_perms("/local/domain/3/device/vbd/832"), "n3r5");
	UNIT_STREQ(fake_xs_perms("/libxl/3/device/vbd/832"), "n0");
	d.kind = "vbd3";
	d.devid = 900;
	d.share = VBD_SHARED_WRITE;
	d.cache = VBD_CACHE_WRITETHROUGH;
	UNIT_EQ(toolstack_create_disk(xs, &d), 0);
	UNIT_STREQ(fake_xs_get("/local/domain/5/backend/vbd3/3/900/type"), "tap");
	UNIT_STREQ(fake_xs_get("/local/domain/5/backend/vbd3/3/900/mode"), "w!");
	UNIT_STREQ(fake_xs_get("/local/domain/5/backend/vbd3/3/900/dev"), "900");
	UNIT_STREQ(fake_xs_get("/local/domain/5/backend/vbd3/3/900/cache"),
		   "writethrough");
	xs_close(xs);
}

/* What we write, our own back end reads as it was meant. */
static void test_create_is_readable(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_disk d = plain;
	struct vbd_toolstack ts;
	struct key_error err;

	d.params = "aio:/images/disk";
	d.share = VBD_SHARED_WRITE;
	d.cache = VBD_CACHE_WRITETHROUGH;
	d.grants = VBD_GRANTS_COPY;
	d.script = "block";
	d.wishes = (struct vbd_wishes){
		.logical_block_bytes = 4096, .physical_block_bytes = 65536,
		.limits_segments = true, .max_indirect_segments = 512,
		.barriers_only = true, .discard_secure = VBD_SECURE_NEVER,
	};
	UNIT_EQ(toolstack_create_disk(xs, &d), 0);
	UNIT_EQ(vbd_read_toolstack(xs, BACK, &ts, &err), 0);
	UNIT_STREQ(ts.params, "/images/disk");
	UNIT_EQ(ts.share, VBD_SHARED_WRITE);
	UNIT_EQ(ts.cache, VBD_CACHE_WRITETHROUGH);
	UNIT_EQ(ts.grants, VBD_GRANTS_COPY);
	UNIT_OK(ts.hotplug_pending && ts.online && ts.discard_enable);
	UNIT_EQ(ts.wishes.logical_block_bytes, 4096);
	UNIT_EQ(ts.wishes.physical_block_bytes, 65536);
	UNIT_OK(ts.wishes.limits_segments && ts.wishes.barriers_only);
	UNIT_EQ(ts.wishes.max_indirect_segments, 512);
	UNIT_EQ(ts.wishes.discard_secure, VBD_SECURE_NEVER);
	vbd_free_toolstack(&ts);
	xs_close(xs);
}

static void test_create_refused(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_disk d = plain;
	unsigned int before;

	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	before = fake_xs_count();
	d.params = "/other";
	UNIT_EQ(toolstack_create_disk(xs, &d), -EEXIST);
	d.kind = "qdisk";	/* another back end, the same front end */
	UNIT_EQ(toolstack_create_disk(xs, &d), -EEXIST);
	d.domid = 4;
	UNIT_EQ(toolstack_create_disk(xs, &d), -ESRCH);
	UNIT_EQ(fake_xs_count(), before);
	UNIT_STREQ(fake_xs_get(BACK "/params"), "/images/disk");
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

static void test_create_retries(void)
{
	struct xs_handle *xs = toolstack_world();

	fake_xs_put(BACK_ERROR "/error", "2 of an earlier life");
	fake_xs_refuse_commits(4);
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "1");
	UNIT_OK(!fake_xs_get(BACK_ERROR "/error"));
	xs_close(xs);
}

static int create_disk(struct xs_handle *xs, const void *what)
{
	return toolstack_create_disk(xs, what);
}

/* Whichever request fails: nothing half made is left. */
static void test_create_is_atomic(void)
{
	struct toolstack_disk d = plain;

	d.libxl = true;
	UNIT_OK(world_all_or_nothing(create_disk, &d) > 30);
}

/* ---- waiting ---------------------------------------------------------------- */

/* What an end writes, step by step, in its own thread. */
struct player {
	pthread_t thread;
	const struct world_node *step;
	size_t nr;
};

static void *play(void *arg)
{
	struct player *p = arg;
	size_t i;

	for (i = 0; i < p->nr; i++) {
		usleep(2000);
		fake_xs_put(p->step[i].path, p->step[i].value);
	}
	return NULL;
}

static int wait_while(const struct world_node *step, size_t nr, int timeout_ms,
		      struct toolstack_view *view)
{
	struct player p = { .step = step, .nr = nr };
	struct xs_handle *xs = toolstack_world();
	int rc;

	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	if (pthread_create(&p.thread, NULL, play, &p))
		abort();
	rc = toolstack_wait_connected(xs, 0, "vbd", 3, 51712, timeout_ms, view);
	pthread_join(p.thread, NULL);
	UNIT_OK(!xs_check_watch(xs) || rc);
	xs_close(xs);
	return rc;
}

static void test_wait_connected(void)
{
	static const struct world_node step[] = {
		{ BACK "/state", "2" }, { FRONT "/state", "3" },
		{ BACK "/state", "4" }, { FRONT "/state", "4" },
	};
	struct toolstack_view v;

	UNIT_EQ(wait_while(step, UNIT_LEN(step), GENEROUS_MS, &v), 0);
	UNIT_EQ(v.back, XenbusStateConnected);
	UNIT_EQ(v.front, XenbusStateConnected);
	UNIT_OK(v.back_exists && v.front_exists);
	UNIT_EQ(wait_while(step, UNIT_LEN(step), -1, &v), 0);
}

static void test_wait_times_out(void)
{
	static const struct world_node step[] = {
		{ BACK "/state", "2" }, { FRONT "/ring-ref", "8" },
	};
	struct toolstack_view v;

	UNIT_EQ(wait_while(step, UNIT_LEN(step), SHORT_MS, &v), -ETIMEDOUT);
	UNIT_OK(v.back == XenbusStateInitWait || v.back == XenbusStateInitialising);
	UNIT_EQ(v.front, XenbusStateInitialising);
}

/*
 * When the time is over, events that wait (here those of the watches themselves) do not
 * buy another look: a guest may make them without end.
 */
static void test_wait_no_time_with_events(void)
{
	struct xs_handle *xs = toolstack_world();
	unsigned int before, look;
	struct toolstack_view v;

	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	before = fake_xs_requests();
	UNIT_EQ(toolstack_look(xs, 0, "vbd", 3, 51712, &v), 0);
	look = fake_xs_requests() - before;
	before = fake_xs_requests();
	UNIT_EQ(toolstack_wait_connected(xs, 0, "vbd", 3, 51712, 0, &v), -ETIMEDOUT);
	UNIT_OK(fake_xs_requests() - before <= look + 8);	/* and the four watches */
	xs_close(xs);
}

static void test_wait_aborts(void)
{
	static const struct world_node closed[] = { { BACK "/state", "6" } };
	static const struct world_node front_closes[] = {
		{ BACK "/state", "2" }, { FRONT "/state", "5" },
	};
	static const struct world_node error[] = {
		{ BACK "/state", "2" }, { BACK_ERROR "/error", "2 no image" },
	};
	static const struct world_node front_error[] = {
		{ FRONT_ERROR "/error", "12 no memory" },
	};
	struct toolstack_view v;

	UNIT_EQ(wait_while(closed, UNIT_LEN(closed), GENEROUS_MS, &v), -ECONNABORTED);
	UNIT_EQ(v.back, XenbusStateClosed);
	UNIT_EQ(wait_while(front_closes, UNIT_LEN(front_closes), GENEROUS_MS, &v),
		-ECONNABORTED);
	UNIT_EQ(v.front, XenbusStateClosing);
	UNIT_EQ(wait_while(error, UNIT_LEN(error), GENEROUS_MS, &v), -ECONNABORTED);
	UNIT_STREQ(v.back_error, "2 no image");
	UNIT_EQ(wait_while(front_error, UNIT_LEN(front_error), GENEROUS_MS, &v),
		-ECONNABORTED);
	UNIT_STREQ(v.front_error, "12 no memory");
}

static void *remove_back(void *arg)
{
	struct xs_handle *xs = fake_xs_open(0);

	(void)arg;
	usleep(2000);
	xs_rm(xs, XBT_NULL, BACK);
	xs_close(xs);
	return NULL;
}

static void test_wait_for_nothing(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_view v;
	pthread_t thread;

	UNIT_EQ(toolstack_wait_connected(xs, 0, "vbd", 3, 51712, GENEROUS_MS, &v),
		-ECONNABORTED);
	UNIT_OK(!v.back_exists && !v.front_exists);
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	UNIT_NEED(!pthread_create(&thread, NULL, remove_back, NULL));
	UNIT_EQ(toolstack_wait_connected(xs, 0, "vbd", 3, 51712, GENEROUS_MS, &v),
		-ECONNABORTED);
	UNIT_OK(!v.back_exists && v.front_exists);
	pthread_join(thread, NULL);
	xs_close(xs);
}

static void test_look(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_view v;

	memset(&v, 0x55, sizeof(v));
	UNIT_EQ(toolstack_look(xs, 0, "vbd", 3, 51712, &v), 0);
	UNIT_STREQ(v.back_error, "");
	UNIT_OK(!v.back_exists && !v.front_exists);
	UNIT_EQ(v.back, XenbusStateUnknown);
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	fake_xs_put(FRONT "/state", "nonsense");
	fake_xs_put(FRONT_ERROR "/error", "5 I/O\nline two");
	UNIT_EQ(toolstack_look(xs, 0, "vbd", 3, 51712, &v), 0);
	UNIT_OK(v.back_exists && v.front_exists);
	UNIT_EQ(v.back, XenbusStateInitialising);
	UNIT_EQ(v.front, XenbusStateUnknown);
	UNIT_STREQ(v.front_error, "5 I/O?line two");
	UNIT_STREQ(v.back_error, "");
	xs_close(xs);
}

/* ---- limits ------------------------------------------------------------------ */

static int set_limit(struct xs_handle *xs, const char *words)
{
	return toolstack_set_limit(xs, 0, "vbd", 3, 51712, LIMIT_OF_DISK, words, 0);
}

/* Of what another has set by then, nothing is lost. */
static void test_limit_changes(void)
{
	struct xs_handle *xs = toolstack_world();

	UNIT_EQ(set_limit(xs, "iops=5"), -ENOENT);
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	fake_xs_put(BACK "/limit", "bytes-per-second=9");
	fake_xs_refuse_commits(1);
	UNIT_EQ(set_limit(xs, "iops=5"), 0);
	UNIT_STREQ(fake_xs_get(BACK "/limit"), "iops=5,bytes-per-second=9");
	UNIT_EQ(set_limit(xs, "iops-burst=7,bytes-per-second=0"), 0);
	UNIT_STREQ(fake_xs_get(BACK "/limit"), "iops=5,iops-burst=7");
	UNIT_EQ(set_limit(xs, "iops=0"), -EINVAL);	/* a burst of nothing */
	UNIT_EQ(set_limit(xs, "iops"), -EINVAL);
	UNIT_STREQ(fake_xs_get(BACK "/limit"), "iops=5,iops-burst=7");
	UNIT_EQ(set_limit(xs, "none"), 0);
	UNIT_OK(!fake_xs_get(BACK "/limit"));
	fake_xs_put(BACK "/limit", "nonsense");
	UNIT_EQ(set_limit(xs, "iops=5"), 0);
	UNIT_STREQ(fake_xs_get(BACK "/limit"), "iops=5");
	UNIT_EQ(fake_xs_open_transactions(), 0);
	xs_close(xs);
}

/* ---- detach ------------------------------------------------------------------ */

/* Another process's connection, when the back end has been told to close. */
static struct xs_handle *when_told(void)
{
	struct xs_handle *xs = fake_xs_open(0);
	unsigned int nr;
	const char *v;

	xs_watch(xs, BACK "/state", "w");
	do {
		free(xs_read_watch(xs, &nr));
		v = fake_xs_get(BACK "/state");
	} while (!v || strcmp(v, "5"));
	return xs;
}

/* A back end that closes when it is told to, if it is told by both nodes. */
static void *closing_back(void *arg)
{
	struct xs_handle *xs = when_told();
	const char *v = fake_xs_get(BACK "/online");

	(void)arg;
	if (v && !strcmp(v, "0"))
		fake_xs_put(BACK "/state", "6");
	xs_close(xs);
	return NULL;
}

static void test_detach(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_disk d = plain;
	struct toolstack_view v;
	pthread_t thread;
	unsigned int before = fake_xs_count();

	d.libxl = true;
	UNIT_EQ(toolstack_create_disk(xs, &d), 0);
	fake_xs_put(BACK "/state", "4");
	fake_xs_put(FRONT "/state", "4");
	fake_xs_put(BACK_ERROR "/error", "5 old");
	fake_xs_put(FRONT_ERROR "/error", "5 old");
	UNIT_NEED(!pthread_create(&thread, NULL, closing_back, NULL));
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, GENEROUS_MS, false, &v), 0);
	pthread_join(thread, NULL);
	UNIT_EQ(v.back, XenbusStateClosed);
	/* Every directory that it alone had needed is gone, the shared ones not. */
	UNIT_OK(!fake_xs_get("/local/domain/0/backend/vbd"));
	UNIT_OK(!fake_xs_get("/local/domain/3/device/vbd"));
	UNIT_OK(!fake_xs_get("/libxl/3/device"));
	UNIT_OK(!fake_xs_get("/local/domain/0/error/backend"));
	UNIT_OK(!fake_xs_get("/local/domain/3/error/device"));
	UNIT_OK(fake_xs_get("/local/domain/0/backend"));
	UNIT_OK(fake_xs_get("/local/domain/3/device"));
	UNIT_OK(fake_xs_get("/local/domain/3/name"));
	/* backend, error twice, /libxl and /libxl/3 are what stays of it. */
	UNIT_EQ(fake_xs_count(), before + 5);
	xs_close(xs);
}

static void test_detach_leaves_others(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_disk second = plain;
	struct toolstack_view v;

	second.devid = 51728;
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	UNIT_EQ(toolstack_create_disk(xs, &second), 0);
	fake_xs_put(BACK "/state", "6");	/* closed long ago: stays so */
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, GENEROUS_MS, false, &v), 0);
	UNIT_OK(!fake_xs_get(BACK));
	UNIT_STREQ(fake_xs_get("/local/domain/0/backend/vbd/3/51728/online"), "1");
	UNIT_STREQ(fake_xs_get("/local/domain/3/device/vbd/51728/state"), "1");
	xs_close(xs);
}

static void test_detach_times_out(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_view v;

	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	fake_xs_put(BACK "/state", "4");
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, SHORT_MS, false, &v),
		-ETIMEDOUT);
	UNIT_STREQ(fake_xs_get(BACK "/state"), "5");
	UNIT_STREQ(fake_xs_get(BACK "/online"), "0");
	UNIT_OK(fake_xs_get(FRONT "/state"));
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, SHORT_MS, true, &v), 0);
	UNIT_OK(!fake_xs_get(BACK));
	UNIT_OK(!fake_xs_get(FRONT));
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, SHORT_MS, true, &v), -ENOENT);
	xs_close(xs);
}

/* Another tool stack: it was faster, and what is there by now is the next disk. */
static void *faster_toolstack(void *arg)
{
	struct xs_handle *xs = when_told();

	(void)arg;
	fake_xs_put(BACK "/state", "1");
	fake_xs_put(BACK "/online", "1");
	xs_close(xs);
	return NULL;
}

static void test_detach_leaves_the_next(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_view v;
	pthread_t thread;

	/* Between the steps. */
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	fake_xs_put(BACK "/state", "6");
	UNIT_EQ(toolstack_close(xs, 0, "vbd", 3, 51712, GENEROUS_MS, &v), 0);
	UNIT_EQ(toolstack_remove(xs, 0, "vbd", 3, 51712), 0);
	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	UNIT_EQ(toolstack_remove(xs, 0, "vbd", 3, 51712), -EEXIST);
	UNIT_STREQ(fake_xs_get(BACK "/online"), "1");
	UNIT_OK(fake_xs_get(FRONT "/state"));
	/* During the wait, and force means the one that was asked to close. */
	fake_xs_put(BACK "/state", "4");
	UNIT_NEED(!pthread_create(&thread, NULL, faster_toolstack, NULL));
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, GENEROUS_MS, true, &v), -EEXIST);
	pthread_join(thread, NULL);
	UNIT_STREQ(fake_xs_get(BACK "/online"), "1");
	UNIT_OK(fake_xs_get(FRONT "/state"));
	/* What has no word of it is remains. */
	xs_rm(xs, XBT_NULL, BACK "/online");
	UNIT_EQ(toolstack_remove(xs, 0, "vbd", 3, 51712), 0);
	UNIT_OK(!fake_xs_get(BACK));
	xs_close(xs);
}

/* The back end's directory has gone with its domain: the rest goes at once. */
static void test_detach_half(void)
{
	struct xs_handle *xs = toolstack_world();
	struct toolstack_view v;

	UNIT_EQ(toolstack_create_disk(xs, &plain), 0);
	xs_rm(xs, XBT_NULL, BACK);
	UNIT_EQ(toolstack_detach(xs, 0, "vbd", 3, 51712, GENEROUS_MS, false, &v), 0);
	UNIT_OK(!fake_xs_get(FRONT));
	UNIT_OK(!fake_xs_get(BACK));
	xs_close(xs);
}

/* ---- each --------------------------------------------------------------------- */

struct seen {
	unsigned int nr;
	uint64_t domids, devids;
	int stop_at;
};

static int see(void *arg, uint32_t domid, uint32_t devid)
{
	struct seen *s = arg;

	s->nr++;
	s->domids += domid;
	s->devids += devid;
	return (int)s->nr == s->stop_at ? 42 : 0;
}

static void test_each(void)
{
	struct xs_handle *xs = toolstack_world();
	struct seen s = { 0 };

	UNIT_EQ(toolstack_each(xs, 0, "vbd", see, &s), 0);
	UNIT_EQ(s.nr, 0);
	fake_xs_put(BACK "/state", "1");
	fake_xs_put("/local/domain/0/backend/vbd/3/51728/state", "1");
	fake_xs_put("/local/domain/0/backend/vbd/7/51712/state", "1");
	fake_xs_put("/local/domain/0/backend/vbd/8", "");
	fake_xs_put("/local/domain/0/backend/vbd/junk/1/state", "1");
	fake_xs_put("/local/domain/0/backend/vbd/3/junk/state", "1");
	fake_xs_put("/local/domain/0/backend/vif/3/0/state", "1");
	UNIT_EQ(toolstack_each(xs, 0, "vbd", see, &s), 0);
	UNIT_EQ(s.nr, 3);
	UNIT_EQ(s.domids, 13);
	UNIT_EQ(s.devids, 51712 + 51728 + 51712);
	s = (struct seen){ .stop_at = 2 };
	UNIT_EQ(toolstack_each(xs, 0, "vbd", see, &s), 42);
	UNIT_EQ(s.nr, 2);
	xs_close(xs);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "disk names and numbers", test_vdev },
		{ "every named number, there and back", test_vdev_both_ways },
		{ "domains by number and name", test_find_domain },
		{ "create writes what xl writes", test_create_as_xl },
		{ "create for other back ends", test_create_variants },
		{ "create is what the back end reads", test_create_is_readable },
		{ "create refused", test_create_refused },
		{ "create with conflicts", test_create_retries },
		{ "create makes all or nothing", test_create_is_atomic },
		{ "wait until both are connected", test_wait_connected },
		{ "wait, in vain", test_wait_times_out },
		{ "no time to wait, with events there", test_wait_no_time_with_events },
		{ "wait, until an end gives up", test_wait_aborts },
		{ "wait for what is not there", test_wait_for_nothing },
		{ "look", test_look },
		{ "limits change", test_limit_changes },
		{ "detach", test_detach },
		{ "detach leaves the others", test_detach_leaves_others },
		{ "detach, in vain, then by force", test_detach_times_out },
		{ "detach leaves what came after it", test_detach_leaves_the_next },
		{ "detach of half a device", test_detach_half },
		{ "each device", test_each },
	};

	return unit_run("toolstack", tests, UNIT_LEN(tests));
}
