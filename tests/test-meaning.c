/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of paravane explain: what is said of what two ends agreed on.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xen/io/blkif.h>

#include "paravane-meaning.h"
#include "unit.h"

static const struct inventory_device vbd = { .kind = "vbd" }, qdisk = { .kind = "qdisk" };

/* As our back end offers, and Linux's front end takes with its defaults. */
static struct disk_view connected(void)
{
	return (struct disk_view){
		.base = {
			.dev = &vbd, .ours = true, .has_features = true, .has_front = true,
			.ends = { .back = XenbusStateConnected, .front = XenbusStateConnected },
		},
		.ts = { .share = VBD_EXCLUSIVE, .discard_enable = true },
		.features = {
			.sectors = 2048, .sector_bytes = 512, .physical_sector_bytes = 512,
			.flush = true, .barrier = true, .persistent = true, .discard = true,
			.discard_granularity_bytes = 4096, .max_indirect_segments = 256,
			.max_ring_order = 4, .max_queues = 4,
		},
		.front = { .abi = VBD_ABI_X86_64, .persistent = true, .nr_queues = 1 },
		.run = { .found = true, .engine = "buffered", .grants = "auto" },
	};
}

/* What is said of a topic has this text somewhere. */
static bool says(const struct disk_view *v, const char *topic, const char *text)
{
	struct meaning m[MEANINGS_MAX];
	unsigned n = disk_meanings(v, m);
	char all[700] = "(nothing)";

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(m[i].topic, topic))
			snprintf(all, sizeof(all), "%s. %s. %s.", m[i].is, m[i].means, m[i].advice);
	if (strstr(all, text))
		return true;
	fprintf(stderr, "\n%s: \"%s\", expected \"%s\" in it", topic, all, text);
	return false;
}

static bool silent(const struct disk_view *v, const char *topic, const char *text)
{
	struct meaning m[MEANINGS_MAX];
	unsigned n = disk_meanings(v, m);

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(m[i].topic, topic) &&
		    (strstr(m[i].is, text) || strstr(m[i].means, text) || strstr(m[i].advice, text)))
			return false;
	return true;
}

static void test_ring(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "ring", "1 page, of 16 offered"));
	UNIT_OK(says(&v, "ring", "32 requests in flight at most."));
	UNIT_OK(says(&v, "ring", "max_ring_page_order=4"));
	v.front.nr_queues = 4;
	for (uint32_t q = 0; q < 4; q++)
		v.front.queue[q].order = 4;
	UNIT_OK(says(&v, "ring", "16 pages, of 16"));
	UNIT_OK(says(&v, "ring", "2048 requests in flight at most, 512 in each queue"));
	UNIT_OK(silent(&v, "ring", "max_ring_page_order"));
	UNIT_EQ(view_requests_max(&v), 2048);
	v = connected();
	v.features.max_ring_order = 0;
	UNIT_OK(says(&v, "ring", "the back end offers no more"));
	UNIT_OK(silent(&v, "ring", "max_ring_page_order"));
}

/* The slots of a ring, by the macros of Xen's own header. */
static void test_slots(void)
{
	struct disk_view v = connected();

	for (uint32_t order = 0; order <= VBD_RING_ORDER_MAX; order++) {
		v.front.queue[0].order = order;
		UNIT_EQ(view_requests_max(&v),
			__RING_SIZE((struct blkif_sring *)NULL, 4096u << order));
	}
}

static void test_queues(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "queues", "1, of 4 offered"));
	UNIT_OK(says(&v, "queues", "one CPU of the back end"));
	UNIT_OK(says(&v, "queues", "max_queues"));
	v.front.nr_queues = 4;
	UNIT_OK(says(&v, "queues", "up to 4 CPUs"));
	UNIT_OK(silent(&v, "queues", "max_queues"));
	v.features.max_queues = v.front.nr_queues = 1;
	UNIT_OK(says(&v, "queues", "offers no more"));
	UNIT_OK(silent(&v, "queues", "max_queues"));
}

static void test_request(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "request", "up to 1024 KiB (256 pages, indirect)"));
	UNIT_OK(says(&v, "request", "max_indirect_segments=256"));
	UNIT_OK(silent(&v, "request", "so far"));
	v.run.has_counters = true;
	v.run.counters.reads = 3;
	v.run.counters.writes = 1;
	v.run.counters.read_sectors = 24;
	v.run.counters.written_sectors = 24;
	UNIT_OK(says(&v, "request", "so far they had 6.0 KiB each"));
	v.features.max_indirect_segments = 0;
	UNIT_OK(says(&v, "request", "up to 44 KiB (11 pages)"));
	UNIT_OK(says(&v, "request", "1 MiB is 24 requests"));
	UNIT_EQ(view_request_bytes_max(&v), 44 * 1024);
	/* Fewer than a direct request takes anyway. */
	v.features.max_indirect_segments = 8;
	UNIT_EQ(view_request_bytes_max(&v), 44 * 1024);
}

static void test_grants(void)
{
	static const struct { const char *mode, *words; } ours[] = {
		{ "auto", "small requests" }, { "map", "mapped and unmapped" },
		{ "copy", "no page of the guest is ever mapped" }, { "", "small requests" },
	};
	struct disk_view v = connected();

	UNIT_OK(says(&v, "grants", "persistent (grant-mode auto)"));
	UNIT_OK(says(&v, "grants", "no hypercall"));
	v.front.persistent = false;
	UNIT_OK(says(&v, "grants", "the guest does not take them"));
	for (size_t i = 0; i < UNIT_LEN(ours); i++) {
		strcpy(v.run.grants, ours[i].mode);
		UNIT_OK(says(&v, "grants", ours[i].words));
	}
	strcpy(v.run.grants, "map");
	strcpy(v.run.engine, "direct");
	UNIT_OK(says(&v, "grants", "direct I/O does not map"));
	v.features.persistent = false;
	v.front.persistent = true;
	UNIT_OK(says(&v, "grants", "the back end does not offer them"));
	v.run = (struct runinfo){ 0 };
	v.base.ours = false;
	UNIT_OK(says(&v, "grants", "not persistent: "));
	UNIT_OK(says(&v, "grants", "every request are mapped and unmapped again, or copied"));
	v.base.dev = &qdisk;
	UNIT_OK(says(&v, "grants", "QEMU has the data"));
}

static void test_sandbox(void)
{
	struct disk_view v = connected();
	struct meaning m[MEANINGS_MAX];
	unsigned n = disk_meanings(&v, m);

	while (n--)	/* a daemon that did not say */
		UNIT_OK(strcmp(m[n].topic, "sandbox"));
	strcpy(v.base.sandbox, "user files network calls capabilities");
	UNIT_OK(says(&v, "sandbox", "whole. "));
	UNIT_OK(silent(&v, "sandbox", "not whole"));
	strcpy(v.base.sandbox, "user calls capabilities");
	UNIT_OK(says(&v, "sandbox", "not whole; it has: user calls capabilities"));
	UNIT_OK(says(&v, "sandbox", "start the daemon as root"));
}

static void test_trouble(void)
{
	struct disk_view v = connected();
	struct meaning m[MEANINGS_MAX];
	unsigned n;

	v.run.has_counters = true;
	n = disk_meanings(&v, m);
	while (n--)
		UNIT_OK(strcmp(m[n].topic, "trouble"));
	v.run.counters.image_errors[IMAGE_ERROR_QUOTA] = 1;
	UNIT_OK(says(&v, "trouble", "1 request failed: a quota is exhausted"));
	UNIT_OK(says(&v, "trouble", "of each that it failed, and of no other"));
	UNIT_OK(says(&v, "trouble", "setquota"));
	v.run.counters.image_errors[IMAGE_ERROR_DEVICE] = 2;
	v.run.flush_lost = EIO;
	UNIT_OK(says(&v, "trouble", "3 requests failed: the image's device has failed"));
	UNIT_OK(says(&v, "trouble", "a flush failed (Input/output error)"));
	UNIT_OK(silent(&v, "trouble", "no other"));
}

static void test_mirror(void)
{
	struct disk_view v = connected();

	UNIT_OK(silent(&v, "mirror", "to"));
	v.mirror = (struct mirror_info){ .found = true, .status = "copying", .target = "/new",
					 .bytes = 1000, .dirty_bytes = 250 };
	UNIT_OK(says(&v, "mirror", "to /new, copying: 75%, 250 bytes left"));
	UNIT_OK(says(&v, "mirror", "its requests do not wait for it"));
	strcpy(v.mirror.status, "following");
	v.mirror.finish_us = 5000;
	UNIT_OK(says(&v, "mirror", "hold it for some 25 ms"));
	strcpy(v.mirror.status, "failed");
	strcpy(v.mirror.reason, "no room");
	UNIT_OK(says(&v, "mirror", "the last one failed: no room"));
	UNIT_OK(says(&v, "mirror", "/new is no copy of the disk"));
	strcpy(v.mirror.status, "pivoted");
	UNIT_OK(silent(&v, "mirror", "/new"));
}

static void test_engine(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "engine", "buffered, cache mode writeback"));
	UNIT_OK(says(&v, "engine", "page cache"));
	strcpy(v.run.engine, "direct");
	v.ts.cache = VBD_CACHE_NONE;
	UNIT_OK(says(&v, "engine", "direct, cache mode none"));
	UNIT_OK(says(&v, "engine", "past the page cache"));
	strcpy(v.run.engine, "null");
	UNIT_OK(says(&v, "engine", "no data is moved"));
	v.run = (struct runinfo){ 0 };
	UNIT_OK(says(&v, "engine", "chosen when the front end connects"));
	v.base.ours = false;
	UNIT_OK(says(&v, "engine", "not known"));
	v.base.dev = &qdisk;
	UNIT_OK(says(&v, "engine", "QEMU's"));
}

static void test_safety(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "safety", "flush and barrier. cache mode writeback"));
	v.features.barrier = false;
	UNIT_OK(says(&v, "safety", "flush. "));
	v.ts.cache = VBD_CACHE_WRITETHROUGH;
	UNIT_OK(says(&v, "safety", "durable when it is answered"));
	v.ts.cache = VBD_CACHE_NONE;
	UNIT_OK(says(&v, "safety", "has left the page cache"));
	v.base.ours = false;
	UNIT_OK(silent(&v, "safety", "cache mode"));
	v.features.flush = false;
	UNIT_OK(says(&v, "safety", "neither flush nor barrier. the guest cannot ask"));
	v.features.barrier = true;
	UNIT_OK(says(&v, "safety", "barrier. a write is durable when the guest has flushed"));
	v.features.read_only = v.features.cdrom = true;
	UNIT_OK(says(&v, "safety", "read-only, CD. the guest's writes are refused"));
}

static void test_discard(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "discard", "offered, in units of 4096 bytes"));
	v.features.discard_secure = true;
	UNIT_OK(says(&v, "discard", "secure too"));
	v.features.discard = false;
	UNIT_OK(says(&v, "discard", "not offered. space that the guest frees stays taken"));
	v.ts.discard_enable = false;
	UNIT_OK(says(&v, "discard", "the tool stack switched it off"));
	v.features.read_only = true;
	UNIT_OK(says(&v, "discard", "the disk is read-only"));
	UNIT_OK(silent(&v, "discard", "stays taken"));
}

static void test_sharing(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "sharing", "mode w. the guest has the image for itself"));
	v.ts.share = VBD_SHARED_WRITE;
	UNIT_OK(says(&v, "sharing", "mode w!. others may write"));
	v.ts.share = VBD_READ_ONLY;
	UNIT_OK(says(&v, "sharing", "mode r. others may read"));
}

static void test_sectors(void)
{
	struct disk_view v = connected();

	UNIT_OK(says(&v, "sectors", "512 bytes. . ."));
	v.features.physical_sector_bytes = 4096;
	UNIT_OK(says(&v, "sectors", "512 bytes, 4096 in the storage. writes that do not cover"));
	v.features.sector_bytes = 4096;
	UNIT_OK(says(&v, "sectors", "4096 bytes. the guest reads and writes no less"));
	UNIT_OK(says(&v, "protocol", "x86_64. . ."));
	v.front.abi = VBD_ABI_X86_32;
	UNIT_OK(says(&v, "protocol", "x86_32. a 32-bit guest"));
}

/* Before the front end's word, or when it is an old one, there is an offer only. */
static void test_offer(void)
{
	static const XenbusState not_agreed[] = {
		XenbusStateInitialising, XenbusStateInitWait, XenbusStateClosing,
		XenbusStateClosed,
	};
	struct disk_view v = connected();

	UNIT_OK(view_is_agreed(&v.base));
	v.base.ends.front = XenbusStateInitialised;
	UNIT_OK(view_is_agreed(&v.base));
	for (size_t i = 0; i < UNIT_LEN(not_agreed); i++) {
		v.base.ends.front = not_agreed[i];
		UNIT_OK(!view_is_agreed(&v.base));
	}
	UNIT_OK(says(&v, "ring", "up to 16 pages offered"));
	UNIT_OK(says(&v, "queues", "up to 4 offered"));
	UNIT_OK(says(&v, "grants", "persistent offered"));
	UNIT_OK(says(&v, "protocol", "(nothing)"));
	UNIT_EQ(view_requests_max(&v), 2048);
	v.features.persistent = false;
	UNIT_OK(says(&v, "grants", "the back end does not offer them"));
	v.base.ends.front = XenbusStateConnected;
	v.base.has_front = false;
	UNIT_OK(!view_is_agreed(&v.base));
	v.base.has_features = false;
	UNIT_OK(says(&v, "ring", "(nothing)"));
}

static const struct unit_test tests[] = {
	{ "ring", test_ring },
	{ "slots as Xen's header counts them", test_slots },
	{ "queues", test_queues },
	{ "largest request", test_request },
	{ "grants", test_grants },
	{ "engine", test_engine },
	{ "a mirror", test_mirror },
		{ "the worker's sandbox", test_sandbox },
		{ "an image that fails", test_trouble },
	{ "flush, barrier, read-only", test_safety },
	{ "discard", test_discard },
	{ "sharing", test_sharing },
	{ "sectors and ABI", test_sectors },
	{ "an offer without an answer", test_offer },
};

int main(void)
{
	return unit_run("meaning", tests, UNIT_LEN(tests));
}
