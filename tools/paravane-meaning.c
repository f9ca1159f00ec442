/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of paravane explain for disks (paravane-meaning.h): one function for
 * each topic, called in the order of the table at the end.
 *
 * What Linux guests do, and by which parameter that is changed, are facts of
 * drivers/block/xen-blkfront.c.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "image-error.h"
#include "keys.h"
#include "paravane-meaning.h"
#include "storage.h"
#include "util.h"

#define PAGE_BYTES 4096u
#define DIRECT_PAGES 11u	/* of a request that is not indirect (blkif.h) */
#define SLOTS_PER_PAGE 32u	/* of a ring: slots are rounded down to a power of two */

#define SAY(field, ...) snprintf(m->field, sizeof(m->field), __VA_ARGS__)

bool view_is_agreed(const struct device_view *v)
{
	return v->has_front && (v->ends.front == XenbusStateInitialised ||
				v->ends.front == XenbusStateConnected);
}

static uint32_t ring_order(const struct disk_view *v)
{
	return view_is_agreed(&v->base) ? v->front.queue[0].order : v->features.max_ring_order;
}

static uint32_t nr_queues(const struct disk_view *v)
{
	return view_is_agreed(&v->base) ? v->front.nr_queues : v->features.max_queues;
}

uint32_t view_requests_max(const struct disk_view *v)
{
	return (SLOTS_PER_PAGE << ring_order(v)) * nr_queues(v);
}

static uint32_t request_pages(const struct disk_view *v)
{
	return v->features.max_indirect_segments > DIRECT_PAGES ?
	       v->features.max_indirect_segments : DIRECT_PAGES;
}

uint64_t view_request_bytes_max(const struct disk_view *v)
{
	return (uint64_t)request_pages(v) * PAGE_BYTES;
}

static const char *plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

static bool by_qemu(const struct disk_view *v)
{
	return !strcmp(v->base.dev->kind, KIND_QDISK);
}

/* ---- how much at a time ------------------------------------------------------ */

static void ring(const struct disk_view *v, struct meaning *m)
{
	uint32_t order = ring_order(v), most = v->features.max_ring_order;
	uint32_t queues = nr_queues(v), slots = SLOTS_PER_PAGE << order;

	if (!view_is_agreed(&v->base))
		SAY(is, "up to %u page%s offered", 1u << most, plural(1u << most));
	else if (most)
		SAY(is, "%u page%s, of %u offered", 1u << order, plural(1u << order), 1u << most);
	else
		SAY(is, "1 page; the back end offers no more");
	if (queues > 1)
		SAY(means, "%u requests in flight at most, %u in each queue", slots * queues, slots);
	else
		SAY(means, "%u requests in flight at most", slots);
	if (view_is_agreed(&v->base) && order < most)
		SAY(advice, "a guest that often has more waiting gains by a larger ring; Linux takes one with xen_blkfront.max_ring_page_order=%u",
		    most);
}

static void queues(const struct disk_view *v, struct meaning *m)
{
	uint32_t nr = nr_queues(v), most = v->features.max_queues;

	if (!view_is_agreed(&v->base))
		SAY(is, "up to %u offered", most);
	else if (most > 1)
		SAY(is, "%u, of %u offered", nr, most);
	else
		SAY(is, "1; the back end offers no more");
	if (nr == 1)
		SAY(means, "one CPU of the back end's domain works for the disk");
	else
		SAY(means, "up to %u CPUs of the back end's domain work for the disk at the same time",
		    nr);
	if (view_is_agreed(&v->base) && nr < most)
		SAY(advice, "Linux takes a queue for each of its CPUs, as far as xen_blkfront.max_queues allows");
}

static void request(const struct disk_view *v, struct meaning *m)
{
	const struct blk_figures *c = &v->run.counters;
	uint64_t kib = view_request_bytes_max(v) / 1024, done = c->reads + c->writes;
	uint64_t moved = (c->read_sectors + c->written_sectors) * VBD_SECTOR_BYTES;
	bool indirect = v->features.max_indirect_segments > DIRECT_PAGES;
	char each[64] = "";

	if (v->run.has_counters && done)
		snprintf(each, sizeof(each), "; so far they had %.1f KiB each",
			 (double)moved / 1024 / (double)done);
	if (indirect) {
		SAY(is, "up to %" PRIu64 " KiB (%u pages, indirect)", kib, request_pages(v));
		SAY(means, "larger reads and writes are split; how much a guest asks for at once it does not tell%s",
		    each);
		SAY(advice, "Linux asks for 128 KiB at once, for more with xen_blkfront.max_indirect_segments=%u",
		    request_pages(v));
	} else {
		SAY(is, "up to %" PRIu64 " KiB (%u pages); no indirect requests are offered", kib,
		    request_pages(v));
		SAY(means, "larger reads and writes are split: 1 MiB is %" PRIu64 " requests%s",
		    (1024 + kib - 1) / kib, each);
	}
}

/* ---- how the data moves ------------------------------------------------------- */

static void each_request(const struct disk_view *v, struct meaning *m)
{
	if (by_qemu(v))
		SAY(means, "QEMU has the data of each request copied by the hypervisor");
	else if (!v->base.ours)
		SAY(means, "the pages of every request are mapped and unmapped again, or copied by the hypervisor");
	else if (!strcmp(v->run.engine, "direct"))
		SAY(means, "the hypervisor copies the pages of every request: direct I/O does not map pages that may go before it lets go of them");
	else if (!strcmp(v->run.grants, "map"))
		SAY(means, "the pages of every request are mapped and unmapped again: no copy, but hypercalls that grow dear with the number of CPUs");
	else if (!strcmp(v->run.grants, "copy"))
		SAY(means, "the hypervisor copies the pages of every request; no page of the guest is ever mapped");
	else
		SAY(means, "the hypervisor copies the pages of small requests; those of large ones are mapped and unmapped again");
}

static void grants(const struct disk_view *v, struct meaning *m)
{
	bool offered = v->features.persistent, taken = view_is_agreed(&v->base) && v->front.persistent;
	char mode[40] = "";

	if (v->run.grants[0])
		snprintf(mode, sizeof(mode), " (" KEY_GRANT_MODE " %s)", v->run.grants);
	if (offered && (taken || !view_is_agreed(&v->base))) {
		SAY(is, "persistent%s%s", view_is_agreed(&v->base) ? "" : " offered", mode);
		SAY(means, "pages stay mapped: no hypercall for a request; the guest copies its data into and out of them");
		return;
	}
	SAY(is, "not persistent%s: %s", mode,
	    offered ? "the guest does not take them" : "the back end does not offer them");
	each_request(v, m);
}

static const char *image_name(const struct disk_view *v)
{
	const char *name = v->ts.physical_device_path ? v->ts.physical_device_path : v->ts.params;

	return name ? name : "";
}

/* Before it is connected too, when nothing but the image's name tells. */
static bool behind_server(const struct disk_view *v)
{
	struct storage s;
	char why[200];

	return v->run.server[0] || (storage_is_remote(image_name(v)) &&
		!storage_parse(image_name(v), &s, why, sizeof(why)) && s.kind != STORAGE_PATH);
}

/* As used; else what the image's name says, which goes before the node. */
static const char *cache_mode(const struct disk_view *v)
{
	struct storage s;
	char why[200];

	if (v->run.cache[0])
		return v->run.cache;
	if (storage_is_remote(image_name(v)) &&
	    !storage_parse(image_name(v), &s, why, sizeof(why)) && s.has_cache)
		return vbd_cache_name(s.cache);
	return vbd_cache_name(v->ts.cache);
}

static void engine(const struct disk_view *v, struct meaning *m)
{
	const char *name = v->run.engine;

	if (by_qemu(v)) {
		SAY(is, "QEMU's");
	} else if (v->base.ours && !*name) {
		SAY(is, "%s; cache mode %s", behind_server(v) ? "nbd, to the image's server" :
		    "chosen when the front end connects", cache_mode(v));
	} else if (!v->base.ours) {
		SAY(is, "not known");
		SAY(means, "no paravane-blkback of this domain serves the disk: the kernel's back end, perhaps, or one in another domain");
	} else {
		SAY(is, "%s, cache mode %s", name, cache_mode(v));
	}
	if (!strcmp(name, "buffered"))
		SAY(means, "through the page cache of the back end's domain: what is read again comes from memory, and that memory is the domain's");
	else if (!strcmp(name, "direct"))
		SAY(means, "past the page cache: as fast as the storage and as slow, also for what is read again");
	else if (!strcmp(name, "nbd"))
		SAY(means, "by NBD to a server, which has the image: as fast as that and the way there");
	else if (!strcmp(name, "null"))
		SAY(means, "no data is moved at all: for measurements only; what the guest writes is lost, what it reads is rubbish");
}

/* Only of an image behind a server. */
static void server(const struct disk_view *v, struct meaning *m)
{
	const char *is = v->run.server, *away = runinfo_why_away(is);

	if (!*is)
		return;
	if (!away) {
		SAY(is, "%.120s", is);
	} else {
		SAY(is, "away: %.110s", away);
		SAY(advice, "the guest's requests wait until it is there again: start it, or mend the way to it");
	}
	if (v->run.io_timeout_s)
		SAY(means, "while it is away requests wait for %llu s, then they fail",
		    (unsigned long long)v->run.io_timeout_s);
	else
		SAY(means, "while it is away requests wait, for ever");
}

/* What a flush is for, where a server has the image; mode: the cache mode. */
static void server_safety(const char *mode, struct meaning *m)
{
	if (!strcmp(mode, "writethrough"))
		SAY(means, "cache mode writethrough: a write is answered when the server has made it durable, which makes each one slow and a flush cheap");
	else if (!strcmp(mode, "none"))
		SAY(means, "cache mode none: a server that we started goes past its page cache, any other does as it likes; a write is durable when the guest has flushed");
	else
		SAY(means, "cache mode writeback: a write is answered when the server has it, in its memory perhaps, and is durable when the guest has flushed");
}

void limits_meaning(const struct device_view *v, enum limit_device of, struct meaning *m)
{
	char text[LIMIT_TEXT_BYTES];
	uint64_t weight = v->limit.weight;

	limit_format(of, &v->limit, text);
	if (!text[0])
		return;
	if (strlen(text) < sizeof(m->is))
		strcpy(m->is, text);
	else
		SAY(is, "several: \"paravane limit\" shows them");
	if (weight)
		SAY(means, "of what the switch's worker takes while several want to send, it gets %" PRIu64 " parts where one without a weight gets %u",
		    weight, LIMIT_WEIGHT_DEFAULT);
	if (!v->ours)
		SAY(advice, "\"paravane limit\" says whether the back end keeps to it");
}

static void limits(const struct disk_view *v, struct meaning *m)
{
	limits_meaning(&v->base, LIMIT_OF_DISK, m);
}

void sandbox_meaning(const struct device_view *v, struct meaning *m)
{
	static const char whole[] = "user files network calls capabilities";

	if (!v->ours || !v->sandbox[0])
		return;
	if (!strcmp(v->sandbox, whole)) {
		SAY(is, "whole");
		SAY(means, "a guest that took over its worker would hold what the worker was given and no file, socket, capability or system call beyond");
		return;
	}
	SAY(is, "not whole; it has: %s", v->sandbox);
	SAY(means, "of: %s. What is missing the daemon was not permitted to do, or told not to", whole);
	SAY(advice, "start the daemon as root, outside a container, without --seccomp=log or off");
}

static void sandbox(const struct disk_view *v, struct meaning *m)
{
	sandbox_meaning(&v->base, m);
}

static void mirror(const struct disk_view *v, struct meaning *m)
{
	const struct mirror_info *i = &v->mirror;

	if (!i->found)
		return;
	if (!strcmp(i->status, "failed")) {
		SAY(is, "the last one failed: %.90s", i->reason);
		SAY(means, "the guest has not noticed; %.100s is no copy of the disk", i->target);
		SAY(advice, "mend what the reason names, and begin again: \"paravane mirror\"");
		return;
	}
	if (mirror_info_is_over(i))
		return;
	SAY(is, "to %.60s, %s: %u%%, %" PRIu64 " bytes left", i->target, i->status,
	    mirror_info_percent(i), i->dirty_bytes);
	if (!strcmp(i->status, "following"))
		SAY(means, "the target has what the disk has, but for what the guest writes now; the end would hold it for some %" PRIu64 " ms",
		    i->finish_us / 1000 + 20);
	else
		SAY(means, "what the guest writes is copied again; its requests do not wait for it");
}

/* Of several kinds the one that ends the guest's trust first. */
static void trouble(const struct disk_view *v, struct meaning *m)
{
	const uint64_t *errors = v->run.counters.image_errors;
	int worst = 0;
	uint64_t all = 0;

	for (int i = 0; v->run.has_counters && i < IMAGE_ERRORS; i++) {
		if (errors[i] && !errors[worst])
			worst = i;
		all += errors[i];
	}
	if (!all)
		return;
	SAY(is, "%" PRIu64 " request%s failed: %s", all, plural(all > 1 ? 2 : 1),
	    image_error_text(worst));
	if (v->run.flush_lost)
		SAY(means, "a flush failed (%s): writes since the one before may be lost, and every flush fails until the front end connects anew, so that the guest cannot take them for durable",
		    strerror((int)v->run.flush_lost));
	else
		SAY(means, "the guest was told of each that it failed, and of no other");
	SAY(advice, "%s", image_error_advice(worst));
}

/* ---- what the guest may do, and rely on ------------------------------------------ */

static void safety(const struct disk_view *v, struct meaning *m)
{
	const struct vbd_features *f = &v->features;

	if (f->read_only) {
		SAY(is, "read-only%s", f->cdrom ? ", CD" : "");
		SAY(means, "the guest's writes are refused");
		return;
	}
	SAY(is, "%s%s%s", f->flush ? "flush" : f->barrier ? "" : "neither flush nor barrier",
	    f->flush && f->barrier ? " and " : "", f->barrier ? "barrier" : "");
	if (!f->flush && !f->barrier)
		SAY(means, "the guest cannot ask that data be made durable: the back end says by this that a write is durable when it is answered");
	else if (!v->base.ours)
		SAY(means, "a write is durable when the guest has flushed");
	else if (behind_server(v))
		server_safety(cache_mode(v), m);
	else if (v->ts.cache == VBD_CACHE_WRITETHROUGH)
		SAY(means, "cache mode writethrough: a write is durable when it is answered, which makes each one slow and a flush cheap");
	else if (v->ts.cache == VBD_CACHE_NONE)
		SAY(means, "cache mode none: a write has left the page cache when it is answered, and is durable when the guest has flushed");
	else
		SAY(means, "cache mode writeback: a write is answered when the page cache has it, and is durable when the guest has flushed");
}

static void discard(const struct disk_view *v, struct meaning *m)
{
	const struct vbd_features *f = &v->features;

	if (f->discard) {
		SAY(is, "offered%s, in units of %u bytes", f->discard_secure ? ", secure too" : "",
		    f->discard_granularity_bytes);
		SAY(means, "space that the guest frees (fstrim, mount -o discard) goes back to the storage");
		return;
	}
	SAY(is, "not offered%s", f->read_only ? ": the disk is read-only" :
	    v->ts.discard_enable ? "" : ": the tool stack switched it off (" KEY_DISCARD_ENABLE " 0)");
	if (!f->read_only)
		SAY(means, "space that the guest frees stays taken in the storage");
}

static void sharing(const struct disk_view *v, struct meaning *m)
{
	SAY(is, "mode %s", vbd_share_name(v->ts.share));
	if (v->ts.share == VBD_SHARED_WRITE)
		SAY(means, "others may write to the image at the same time: for cluster file systems only, any other is destroyed");
	else if (v->ts.share == VBD_EXCLUSIVE)
		SAY(means, "the guest has the image for itself");
	else
		SAY(means, "others may read the image too");
}

static void sectors(const struct disk_view *v, struct meaning *m)
{
	const struct vbd_features *f = &v->features;

	if (f->physical_sector_bytes > f->sector_bytes)
		SAY(is, "%u bytes, %u in the storage", f->sector_bytes, f->physical_sector_bytes);
	else
		SAY(is, "%u bytes", f->sector_bytes);
	if (f->sector_bytes > VBD_SECTOR_BYTES)
		SAY(means, "the guest reads and writes no less; software that counts on 512 (boot loaders, partition tables made elsewhere) does not work");
	else if (f->physical_sector_bytes > f->sector_bytes)
		SAY(means, "writes that do not cover whole units of %u are slower: the storage has to read first",
		    f->physical_sector_bytes);
}

static void abi(const struct disk_view *v, struct meaning *m)
{
	if (!view_is_agreed(&v->base))
		return;
	SAY(is, "%s", abi_name(v->front.abi));
	if (v->front.abi == VBD_ABI_X86_32)
		SAY(means, "a 32-bit guest or boot loader: its requests are translated, at next to no cost");
}

static const struct {
	const char *topic;
	void (*say)(const struct disk_view *v, struct meaning *m);
} topics[] = {
	{ "ring", ring },
	{ "queues", queues },
	{ "request", request },
	{ "limits", limits },
	{ "grants", grants },
	{ "engine", engine },
	{ "server", server },
	{ "sandbox", sandbox },
	{ "mirror", mirror },
	{ "trouble", trouble },
	{ "safety", safety },
	{ "discard", discard },
	{ "sharing", sharing },
	{ "sectors", sectors },
	{ "protocol", abi },
};
_Static_assert(ARRAY_LEN(topics) <= MEANINGS_MAX, "room for every topic");

unsigned disk_meanings(const struct disk_view *v, struct meaning out[MEANINGS_MAX])
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
