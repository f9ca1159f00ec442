/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane attach-disk: creates a disk's nodes.
 *
 * Hides: the choice of a free device name, what happens when the disk is there
 * already. Must not know: how nodes are spelled, what follows when they are
 * written (paravane-settle.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-deadline.h"
#include "paravane-image.h"
#include "paravane-limit.h"
#include "paravane-settle.h"
#include "paravane-unlike.h"
#include "paravane-view.h"
#include "util.h"

#define DEFAULT_WAIT_MS 30000
#define NR_AUTOMATIC 702u		/* xvda to xvdzz */

static const char help_text[] =
"Usage: paravane attach-disk DOMAIN IMAGE [DEVICE] [OPTION]...\n"
"\n"
"Gives a guest a disk and returns when both ends are connected.\n"
"\n"
"  DOMAIN           number or name\n"
"  IMAGE            a raw file or block device, qcow2:PATH or vmdk:PATH and so on,\n"
"                   nbd://HOST/EXPORT, or what else XenStore's params shall hold\n"
"  DEVICE           xvda, sda1, hda, d0p1, 51712 ...; default: the next free xvdX\n"
"\n"
"  --mode MODE      r, w (alone, the default) or w! (shared; no check)\n"
"  --cache CACHE    writeback (the default), writethrough or none\n"
"  --grant-mode MODE  auto, persistent, map or copy: how the back end reaches the\n"
"                   guest's pages; default: what the back end was told\n"
"  --cdrom          a read-only, removable CD\n"
"  --removable      a removable disk\n"
"  --sector BYTES   what the guest sees as a sector: 512 to 4096, not less than\n"
"                   the image's own; --physical-sector BYTES: as its physical one\n"
"  --segments N     pages that one request may have: 0 to 4096; default: what the\n"
"                   daemon's option says\n"
"  --secure-discard HOW  device (the default): where the device has a command for\n"
"                   it; overwrite: else by writing zeros first; off\n"
"  --io-timeout S   seconds that requests wait for an image's server that is away\n"
"                   (nbd:, qcow2: ...) before they fail; 0: for ever; default: what\n"
"                   the daemon's option says\n"
"  --barriers-only  offer write barriers and no flush\n"
"  --limit LIMITS   NAME=NUMBER,... as \"paravane limit\" takes them: iops=500,\n"
"                   read-bytes-per-second=10MiB ...\n"
"  --backend DOMAIN the domain whose back end serves it; default: this one\n"
"  --kind KIND      vbd (the default), vbd3 or qdisk\n"
"  --script SCRIPT  a hotplug script, as xl runs it (a name: in /etc/xen/scripts);\n"
"                   not with --no-wait\n"
"  --libxl          write libxl's own nodes too, so that xl lists the disk;\n"
"                   the default for domains that xl made\n"
"  --no-libxl       never\n"
"  --idempotent     the same disk attached already, as described, is no error\n"
"  --dry-run        only looks whether it could be attached: domain, image, others\n"
"                   that use it, the device's name\n"
"  --json           print the disk's object, as list does\n"
"  --wait SECONDS   deadline for both ends to connect (default 30)\n"
"  --no-wait        return when the nodes are written\n"
"\n"
"A disk that an end refuses is taken away again. One that is not connected when\n"
"the deadline passes stays, and \"paravane detach\" removes it.\n"
"\n"
"Exit status: 0 connected, 1 error or refused, 2 wrong usage, 3 the deadline\n"
"passed, 4 no such domain, 5 the device exists, 6 the image is in use.\n";

struct attach {
	struct store store;
	struct common_options common;
	struct disk_image image;
	struct toolstack_disk disk;
	const char *device;		/* NULL: the next free one */
	enum libxl_choice libxl;
	bool idempotent, json, dry_run;
	uint32_t said;			/* a bit for each option that was given, OPT_MODE's the lowest */
	char limits[LIMIT_TEXT_BYTES];	/* all words of --limit */
};

enum { OPT_MODE = 256, OPT_CACHE, OPT_GRANT_MODE, OPT_CDROM, OPT_REMOVABLE, OPT_SCRIPT,
       OPT_LIBXL, OPT_NO_LIBXL, OPT_IDEMPOTENT, OPT_SECTOR, OPT_PHYSICAL, OPT_SEGMENTS,
       OPT_SECURE, OPT_BARRIERS, OPT_IO_TIMEOUT, OPT_JSON, OPT_LIMIT, OPT_DRY_RUN };

static const struct option options[] = {
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ KEY_GRANT_MODE, required_argument, NULL, OPT_GRANT_MODE },
	{ "cdrom", no_argument, NULL, OPT_CDROM },
	{ "removable", no_argument, NULL, OPT_REMOVABLE },
	{ "sector", required_argument, NULL, OPT_SECTOR },
	{ "physical-sector", required_argument, NULL, OPT_PHYSICAL },
	{ "segments", required_argument, NULL, OPT_SEGMENTS },
	{ "secure-discard", required_argument, NULL, OPT_SECURE },
	{ KEY_IO_TIMEOUT, required_argument, NULL, OPT_IO_TIMEOUT },
	{ "barriers-only", no_argument, NULL, OPT_BARRIERS },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "script", required_argument, NULL, OPT_SCRIPT },
	{ "libxl", no_argument, NULL, OPT_LIBXL },
	{ "no-libxl", no_argument, NULL, OPT_NO_LIBXL },
	{ "idempotent", no_argument, NULL, OPT_IDEMPOTENT },
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_NO_WAIT, OPTION_HELP,
	{ 0 }
};

/* ---- what was asked ------------------------------------------------------- */

static int parse_mode(const char *text, enum vbd_share *share)
{
	if (!strcmp(text, "r") || !strcmp(text, "ro"))
		*share = VBD_READ_ONLY;
	else if (!strcmp(text, "w") || !strcmp(text, "rw"))
		*share = VBD_EXCLUSIVE;
	else if (!strcmp(text, "w!"))
		*share = VBD_SHARED_WRITE;
	else
		return complain_usage(&attach_disk_command,
				      "--mode \"%s\": r, w or w! is expected", text);
	return STATUS_OK;
}

static int parse_cache(const char *text, enum vbd_cache *cache)
{
	if (vbd_cache_parse(text, cache))
		return complain_usage(&attach_disk_command,
				      "--cache \"%s\": writeback, writethrough or none is expected",
				      text);
	return STATUS_OK;
}

static int parse_sector(const char *option, const char *text, uint32_t max, uint32_t *bytes)
{
	uint64_t v;

	if (parse_u64(text, max, &v) || v < VBD_SECTOR_BYTES || (v & (v - 1)))
		return complain_usage(&attach_disk_command, "--%s \"%s\": a power of two from "
				      "512 to %u is expected", option, text, max);
	*bytes = (uint32_t)v;
	return STATUS_OK;
}

static int parse_segments(const char *text, struct vbd_wishes *w)
{
	uint64_t v;

	if (parse_u64(text, VBD_INDIRECT_SEGMENTS_MAX, &v))
		return complain_usage(&attach_disk_command, "--segments \"%s\": a number from "
				      "0 to %u is expected", text, VBD_INDIRECT_SEGMENTS_MAX);
	w->limits_segments = true;
	w->max_indirect_segments = (uint32_t)v;
	return STATUS_OK;
}

static int parse_io_timeout(const char *text, struct vbd_wishes *w)
{
	uint64_t v;

	if (parse_u64(text, VBD_IO_TIMEOUT_MAX_S, &v))
		return complain_usage(&attach_disk_command, "--io-timeout \"%s\": seconds from "
				      "0 (for ever) to %u are expected", text, VBD_IO_TIMEOUT_MAX_S);
	w->limits_io = true;
	w->io_timeout_s = (uint32_t)v;
	return STATUS_OK;
}

static int parse_secure(const char *text, struct vbd_wishes *w)
{
	if (!strcmp(text, "device"))
		w->discard_secure = VBD_SECURE_IF_DEVICE;
	else if (!strcmp(text, "overwrite"))
		w->discard_secure = VBD_SECURE_OVERWRITE;
	else if (!strcmp(text, "off"))
		w->discard_secure = VBD_SECURE_NEVER;
	else
		return complain_usage(&attach_disk_command, "--secure-discard \"%s\": device, "
				      "overwrite or off is expected", text);
	return STATUS_OK;
}

/* Of the device itself (vbd.h). */
static int parse_wish(struct vbd_wishes *w, int opt, const char *value)
{
	switch (opt) {
	case OPT_SECTOR:
		return parse_sector("sector", value, VBD_LOGICAL_BLOCK_BYTES_MAX,
				    &w->logical_block_bytes);
	case OPT_PHYSICAL:
		return parse_sector("physical-sector", value, VBD_PHYSICAL_BLOCK_BYTES_MAX,
				    &w->physical_block_bytes);
	case OPT_SEGMENTS:
		return parse_segments(value, w);
	case OPT_SECURE:
		return parse_secure(value, w);
	case OPT_IO_TIMEOUT:
		return parse_io_timeout(value, w);
	case OPT_BARRIERS:
		w->barriers_only = true;
		break;
	}
	return STATUS_OK;
}

static int parse_grants(const char *text, enum vbd_grants *grants)
{
	if (vbd_grants_parse(text, grants))
		return complain_usage(&attach_disk_command,
				      "--grant-mode \"%s\": auto, persistent, map or copy is expected",
				      text);
	return STATUS_OK;
}

static int parse_option(struct attach *a, int opt, const char *value)
{
	switch (opt) {
	case OPT_MODE:
		return parse_mode(value, &a->disk.share);
	case OPT_CACHE:
		return parse_cache(value, &a->disk.cache);
	case OPT_GRANT_MODE:
		return parse_grants(value, &a->disk.grants);
	case OPT_CDROM:
		a->disk.cdrom = a->disk.removable = true;
		a->disk.share = VBD_READ_ONLY;
		break;
	case OPT_DRY_RUN:
		a->dry_run = true;
		break;
	case OPT_LIMIT:
		return limit_option(&attach_disk_command, LIMIT_OF_DISK, value, &a->disk.limit,
				    a->limits);
	case OPT_REMOVABLE:
		a->disk.removable = true;
		break;
	case OPT_SCRIPT:
		a->disk.script = value;
		break;
	case OPT_LIBXL:
		a->libxl = LIBXL_YES;
		break;
	case OPT_NO_LIBXL:
		a->libxl = LIBXL_NO;
		break;
	case OPT_IDEMPOTENT:
		a->idempotent = true;
		break;
	case OPT_JSON:
		a->json = true;
		break;
	default:
		return parse_wish(&a->disk.wishes, opt, value);
	}
	return STATUS_OK;
}

static int parse(struct attach *a, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &attach_disk_command,
				    &a->common, &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		a->said |= 1u << (opt - OPT_MODE);
		status = parse_option(a, opt, optarg);
		if (status)
			return status;
	}
	status = common_operands(&attach_disk_command, argc, 2, 3);
	if (status)
		return status;
	if (a->disk.cdrom && a->disk.share != VBD_READ_ONLY)
		return complain_usage(&attach_disk_command, "--cdrom is read-only: --mode r");
	if (argc - optind == 3) {
		a->device = argv[optind + 2];
		status = store_disk_name(a->device, &a->disk.devid);
	}
	a->disk.kind = a->common.kind ? a->common.kind : KIND_VBD;
	return status ? status : disk_image_parse(argv[optind + 1], &a->image);
}

/* Which domains, and whether the image can be used: nothing is written yet. */
static int resolve(struct attach *a, const char *domain)
{
	bool here;
	int status = store_domain(&a->store, domain, &a->disk.domid);

	if (!status)
		status = store_backend(&a->store, &a->common, a->store.own_domid,
				       &a->disk.backend_domid);
	if (status)
		return status;
	if (a->disk.domid == a->disk.backend_domid && a->common.backend)
		return complain(STATUS_USAGE, "domain \"%s\" cannot be its own back end", domain);
	status = script_wants_wait(&attach_disk_command, &a->store, a->disk.script,
				   a->disk.backend_domid, a->common.wait_ms);
	if (status)
		return status;
	here = a->disk.backend_domid == a->store.own_domid;
	a->disk.params = a->image.params;
	a->disk.libxl = libxl_wanted(&a->store, a->libxl, a->disk.domid);
	/* The image's name means something in the back end's domain only. */
	return here && !a->disk.script ? disk_image_check(&a->image, a->disk.share) : STATUS_OK;
}

/* ---- a disk that is there already ---------------------------------------- */

static bool same_disk(struct attach *a, const struct inventory_device *disk)
{
	struct vbd_toolstack ts = { 0 };
	bool same = false;

	if (!vbd_read_toolstack(a->store.xs, disk->back_dir, &ts, NULL))
		same = ts.params && disk_image_same(&a->image, ts.params) &&
		       ts.share == a->disk.share &&
		       disk->backend_domid == a->disk.backend_domid &&
		       !strcmp(disk->kind, a->disk.kind);
	vbd_free_toolstack(&ts);
	return same;
}

static bool said(const struct attach *a, int opt)
{
	return a->said & 1u << (opt - OPT_MODE);
}

static const char *secure_name(const struct vbd_wishes *w)
{
	static const char *const names[] = {
		[VBD_SECURE_IF_DEVICE] = "device", [VBD_SECURE_NEVER] = "off",
		[VBD_SECURE_OVERWRITE] = "overwrite",
	};

	return names[w->discard_secure];
}

/* A number that may be the back end's own, or the image's. */
static void compare_number(struct unlike *u, bool asked, const char *name, bool has, uint64_t is,
			   uint64_t wanted)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)wanted);
	if (has)
		unlike_number(u, asked, UNLIKE_BY_ATTACHING, name, is, wanted);
	else
		unlike_text(u, UNLIKE_BY_ATTACHING, name, "the default", asked ? text : NULL);
}

static void compare_wishes(const struct attach *a, const struct vbd_wishes *is, struct unlike *u)
{
	const struct vbd_wishes *w = &a->disk.wishes;

	compare_number(u, said(a, OPT_SECTOR), "sector", is->logical_block_bytes,
		       is->logical_block_bytes, w->logical_block_bytes);
	compare_number(u, said(a, OPT_PHYSICAL), "physical-sector", is->physical_block_bytes,
		       is->physical_block_bytes, w->physical_block_bytes);
	compare_number(u, said(a, OPT_SEGMENTS), "segments", is->limits_segments,
		       is->max_indirect_segments, w->max_indirect_segments);
	compare_number(u, said(a, OPT_IO_TIMEOUT), KEY_IO_TIMEOUT, is->limits_io, is->io_timeout_s,
		       w->io_timeout_s);
	unlike_number(u, said(a, OPT_BARRIERS), UNLIKE_BY_ATTACHING, "barriers-only",
		      is->barriers_only, w->barriers_only);
	unlike_text(u, UNLIKE_BY_ATTACHING, "secure-discard", secure_name(is),
		    said(a, OPT_SECURE) ? secure_name(w) : NULL);
}

static const char *grants_name(enum vbd_grants grants)
{
	const char *name = vbd_grants_name(grants);

	return name ? name : "the default";
}

/* What was said of the disk, and what it has by now. */
static int compare(struct attach *a, const struct inventory_device *dev)
{
	const struct toolstack_disk *d = &a->disk;
	struct vbd_toolstack ts = { 0 };
	struct unlike u = { .anew = false };
	char script[256] = "";

	vbd_read_toolstack(a->store.xs, dev->back_dir, &ts, NULL);
	unlike_text(&u, UNLIKE_BY_ATTACHING, "cache", vbd_cache_name(ts.cache),
		    said(a, OPT_CACHE) ? vbd_cache_name(d->cache) : NULL);
	unlike_text(&u, UNLIKE_BY_ATTACHING, KEY_GRANT_MODE, grants_name(ts.grants),
		    said(a, OPT_GRANT_MODE) ? grants_name(d->grants) : NULL);
	unlike_number(&u, said(a, OPT_CDROM), UNLIKE_BY_ATTACHING, "cdrom", ts.cdrom, d->cdrom);
	unlike_number(&u, said(a, OPT_REMOVABLE), UNLIKE_BY_ATTACHING, "removable", ts.removable,
		      d->removable);
	compare_wishes(a, &ts.wishes, &u);
	if (d->script && inventory_script(a->store.xs, dev, script, sizeof(script)))
		script[0] = '\0';
	unlike_text(&u, UNLIKE_BY_ATTACHING, "script", script, d->script);
	unlike_limit(&u, &a->store, dev, a->limits[0] ? a->limits : NULL);
	vbd_free_toolstack(&ts);
	return unlike_complain(&u, &a->store, dev);
}

struct same_search {
	struct attach *a;
	struct inventory_device found;
};

static int look_for_same(void *arg, const struct inventory_device *disk)
{
	struct same_search *s = arg;

	if (!same_disk(s->a, disk))
		return 0;
	s->found = *disk;
	s->a->disk.devid = disk->devid;
	return 1;
}

/* --idempotent without DEVICE: the guest's disk of this image, if it has one. */
static bool find_same(struct attach *a, struct inventory_device *out)
{
	struct same_search s = { .a = a };
	int rc = inventory_each(a->store.xs, INVENTORY_DISKS, a->disk.backend_domid, a->disk.domid,
				look_for_same, &s);

	*out = s.found;
	return rc > 0;
}

/* The device's name is taken. 0: by this very disk, which is what was asked. */
static int already_there(struct attach *a)
{
	struct inventory_device disk;
	char domain[96], device[32];

	domain_label(&a->store, a->disk.domid, domain, sizeof(domain));
	device_label(a->disk.kind, a->disk.devid, device, sizeof(device));
	if (inventory_find(a->store.xs, INVENTORY_DISKS, a->store.own_domid, INVENTORY_ANY,
			   a->disk.domid, a->disk.devid, NULL, &disk))
		return complain(STATUS_EXISTS,
				"%s of %s exists (its front end's directory is there without a back end); choose another device",
				device, domain);
	if (!same_disk(a, &disk))
		return complain(STATUS_EXISTS,
				"%s of %s exists with another image or mode; choose another device or run \"paravane detach %u %s\"",
				device, domain, a->disk.domid, device);
	if (!a->idempotent)
		return complain(STATUS_EXISTS,
				"%s of %s exists with this image already (--idempotent accepts that)",
				device, domain);
	return compare(a, &disk);
}

/* ---- creation ------------------------------------------------------------- */

static uint32_t automatic_devid(uint32_t i)
{
	return i < 16 ? 202u << 8 | i << 4 : 1u << 28 | i << 8;
}

/* -EEXIST from the store is the answer, so that two attachers never share one. */
static int create_next_free(struct attach *a)
{
	for (uint32_t i = 0; i < NR_AUTOMATIC; i++) {
		int ret;

		a->disk.devid = automatic_devid(i);
		ret = toolstack_create_disk(a->store.xs, &a->disk);
		if (ret != -EEXIST)
			return ret;
	}
	return -EEXIST;
}

static int create(struct attach *a, bool *created)
{
	struct inventory_device same;
	int ret, status;

	*created = false;
	if (a->idempotent && !a->device && find_same(a, &same))
		return compare(a, &same);
	if (a->device && inventory_domain_exists(a->store.xs, a->disk.domid)) {
		struct inventory_device disk;

		if (!inventory_find(a->store.xs, INVENTORY_DISKS, a->store.own_domid,
				    INVENTORY_ANY, a->disk.domid, a->disk.devid, NULL,
				    &disk))
			return already_there(a);
	}
	status = disk_image_conflict(&a->store, a->disk.backend_domid, &a->image,
				     a->disk.share);
	*created = !status;
	if (status || a->dry_run)
		return status;
	ret = a->device ? toolstack_create_disk(a->store.xs, &a->disk) : create_next_free(a);
	*created = !ret;
	if (ret == -EEXIST)
		return already_there(a);
	if (ret < 0)
		return complain_not_created(ret, "disk", a->disk.domid);
	return STATUS_OK;
}

static int settle(struct attach *a, bool created)
{
	struct newcomer n = {
		.script = a->disk.script, .wait_ms = a->common.wait_ms, .created = created,
		.libxl = a->disk.libxl, .choice = a->libxl, .json = a->json,
	};

	inventory_name(a->disk.kind, a->disk.domid, a->disk.backend_domid, a->disk.devid,
		       &n.dev);
	return a->dry_run ? newcomer_dry_run(&a->store, &n, a->device || !created) :
			    newcomer_settle(&a->store, &n);
}

static void close_attach(struct attach *a)
{
	disk_image_free(&a->image);
	store_close(&a->store);
}

static int run(int argc, char **argv)
{
	struct attach a __attribute__((cleanup(close_attach))) = {
		.common.wait_ms = DEFAULT_WAIT_MS,
		.disk.share = VBD_EXCLUSIVE,
	};
	bool finished = false, created;
	int status = parse(&a, argc, argv, &finished);

	if (status || finished)
		return status;
	deadline_set(2 * a.common.wait_ms);	/* for the script, and for both ends */
	status = store_open(&a.store);
	if (!status)
		status = resolve(&a, argv[optind]);
	if (!status)
		status = create(&a, &created);
	return status ? status : settle(&a, created);
}

const struct subcommand attach_disk_command = {
	.name = "attach-disk",
	.summary = "gives a guest a disk",
	.help = help_text,
	.classes = OF_DISKS,
	.run = run,
};
