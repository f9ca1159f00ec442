/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane resize: the size of a disk's image has changed; the guest is to know.
 *
 * Hides: where the image's size is read, what is waited for. Must not know: how
 * nodes are spelled, how a back end notices by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image.h"
#include "paravane.h"
#include "paravane-deadline.h"
#include "storage.h"
#include "util.h"

#define DEFAULT_WAIT_MS 10000

static const char help_text[] =
"Usage: paravane resize DOMAIN DEVICE [OPTION]...\n"
"\n"
"Tells the guest the size that the disk's image has now, and returns when it has\n"
"been told. Files and block devices of this machine are noticed without it, after\n"
"2 seconds at most; what changes elsewhere (a network's file system) is not. The size\n"
"of an image behind a server (nbd:, qcow2: ...) comes with the next connection to it.\n"
"\n"
"  DOMAIN           number or name\n"
"  DEVICE           xvda, sda1, 51712 ...\n"
"\n"
"  --json           an object with domid, device, devid, kind, backend_domid and\n"
"                   size_bytes, which the back end publishes\n"
"  --backend DOMAIN the domain whose back end serves it; default: as found\n"
"  --kind KIND      vbd, vbd3 or qdisk; default: as found\n"
"  --wait SECONDS   deadline for the back end to publish the size (default 10)\n"
"\n"
"Enlarge the image first (truncate -s, lvextend). A smaller one is told as well:\n"
"what the guest had behind the new end is lost.\n"
"\n"
"Exit status: 0 the back end publishes the image's size, 1 error, 2 wrong usage,\n"
"3 the deadline passed, 4 no such domain or device.\n";

enum { OPT_JSON = 256 };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_JSON },
	OPTION_KIND, OPTION_BACKEND, OPTION_WAIT, OPTION_HELP,
	{ 0 }
};

struct resize {
	struct store store;
	struct common_options common;
	struct inventory_device disk;
	struct vbd_toolstack ts;
	bool json;
	char label[160];
};

/* A name that says more than a path. STATUS_OK: path is where the image is on this host. */
static int find_image(const struct resize *r, struct storage *s, const char **path)
{
	char why[512];

	if (!*path || !storage_is_remote(*path))
		return STATUS_OK;
	if (storage_parse(*path, s, why, sizeof(why)))
		return complain(STATUS_ERROR, "%s: %s", r->label, why);
	if (s->kind != STORAGE_PATH)
		return complain(STATUS_ERROR,
				"%s: the size of its image %s is told by the image's server with the next connection: \"paravane upgrade blkback\" makes new ones%s",
				r->label, *path,
				s->kind == STORAGE_NBD ? ", as a restart of the server does" : "");
	*path = s->path;
	return STATUS_OK;
}

/* Only the back end's own domain has the image under that name. */
static int wanted_sectors(struct resize *r, uint64_t *sectors)
{
	const char *path;
	struct vbd_features features;
	autoclose int fd = -1;
	struct storage storage;
	uint64_t bytes;
	int ret;

	if (r->disk.backend_domid != r->store.own_domid)
		return complain(STATUS_ERROR,
				"%s is served by domain %u: run \"paravane resize\" there",
				r->label, r->disk.backend_domid);
	if (vbd_read_toolstack(r->store.xs, r->disk.back_dir, &r->ts, NULL) ||
	    vbd_read_features(r->store.xs, r->disk.back_dir, &features, NULL))
		return complain(STATUS_ERROR,
				"%s: its back end has published nothing yet (\"paravane list\" says why)",
				r->label);
	path = r->ts.physical_device_path ? r->ts.physical_device_path : r->ts.params;
	ret = find_image(r, &storage, &path);
	if (ret)
		return ret;
	fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	ret = fd < 0 ? -errno : image_measure(fd, features.sector_bytes, &bytes);
	if (ret)
		return complain(STATUS_ERROR, "%s: its image %s: %s", r->label,
				path ? path : "(none)", strerror(-ret));
	*sectors = bytes / VBD_SECTOR_BYTES;
	return STATUS_OK;
}

static void print_size(const struct resize *r, uint64_t bytes)
{
	const struct inventory_device *d = &r->disk;
	char device[32];

	if (!r->json) {
		printf("%s: %" PRIu64 " bytes\n", r->label, bytes);
		return;
	}
	printf("{\"domid\": %u, \"device\": \"%s\", \"devid\": %u, \"kind\": \"%s\", \"backend_domid\": %u, \"size_bytes\": %" PRIu64 "}\n",
	       d->domid, device_label(d->kind, d->devid, device, sizeof(device)), d->devid,
	       d->kind, d->backend_domid, bytes);
}

static int resize(struct resize *r)
{
	struct toolstack_view view;
	uint64_t sectors = 0;
	int status = wanted_sectors(r, &sectors), ret;

	if (status)
		return status;
	ret = toolstack_look_again(r->store.xs, r->disk.backend_domid, r->disk.kind,
				   r->disk.domid, r->disk.devid, sectors,
				   r->common.wait_ms, &view);
	if (ret == -ETIMEDOUT)
		return complain(STATUS_TIMEOUT,
				"%s: the image has %" PRIu64 " sectors of 512 bytes, and after %g s the back end still publishes %" PRIu64 ": does paravane-blkback run?",
				r->label, sectors, r->common.wait_ms / 1000.0, view.sectors);
	if (ret)
		return complain(STATUS_ERROR, "%s: %s", r->label, strerror(-ret));
	print_size(r, sectors * VBD_SECTOR_BYTES);
	return STATUS_OK;
}

static int parse(struct resize *r, int argc, char **argv, bool *finished)
{
	int opt, status;

	while ((opt = common_getopt(argc, argv, options, &resize_command, &r->common,
				    &status)) != -1) {
		if (opt == '?') {
			*finished = true;
			return status;
		}
		r->json |= opt == OPT_JSON;
	}
	return common_operands(&resize_command, argc, 2, 2);
}

static void name_disk(struct resize *r)
{
	char domain[96], device[32];

	snprintf(r->label, sizeof(r->label), "%s of %s",
		 device_label(r->disk.kind, r->disk.devid, device, sizeof(device)),
		 domain_label(&r->store, r->disk.domid, domain, sizeof(domain)));
}

static void close_resize(struct resize *r)
{
	vbd_free_toolstack(&r->ts);
	store_close(&r->store);
}

static int run(int argc, char **argv)
{
	struct resize r __attribute__((cleanup(close_resize))) = {
		.common.wait_ms = DEFAULT_WAIT_MS,
	};
	bool finished = false;
	int status = parse(&r, argc, argv, &finished);

	if (status || finished)
		return status;
	deadline_set(r.common.wait_ms);
	status = store_open(&r.store);
	if (!status)
		status = store_find(&r.store, &r.common, argv[optind], argv[optind + 1],
				    &r.disk);
	if (!status && is_nic(r.disk.kind))
		status = complain_usage(&resize_command, "%s has no size: a disk is expected",
					argv[optind + 1]);
	if (status)
		return status;
	name_disk(&r);
	return resize(&r);
}

const struct subcommand resize_command = {
	.name = "resize",
	.summary = "tells the guest the size of a disk's image",
	.help = help_text,
	.classes = OF_DISKS,
	.run = run,
};
