/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image as a person names it (see paravane-image.h).
 *
 * Hides: prefixes, absolute paths, sameness. Must not know: devices' states.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "keys.h"
#include "storage.h"
#include "paravane-image.h"
#include "util.h"

/* Prefixes of params that are followed by the name of a file or device. */
static const char *const file_prefixes[] = { "aio:", "phy:", "raw:", "file:", "qcow2:" };

static const char *after_prefix(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(file_prefixes); i++) {
		size_t len = strlen(file_prefixes[i]);

		if (!strncmp(text, file_prefixes[i], len))
			return text + len;
	}
	return text;
}

/* "nbd:unix:...", "http://...": something before a colon that is no path. */
static bool has_other_scheme(const char *text)
{
	size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-");

	return (text[word] == ':' && word > 0 && access(text, F_OK)) ||
	       (storage_is_remote(text) && strchr(text, '+'));
}

/* phy:vg/lv means /dev/vg/lv, as in xl's configuration. */
static char *absolute(const char *prefix, size_t prefix_len, const char *path)
{
	char cwd[4096];
	char *out = NULL;

	if (*path == '/')
		cwd[0] = '\0';
	else if (!strncmp(prefix, "phy:", 4))
		snprintf(cwd, sizeof(cwd), "/dev/");
	else if (!getcwd(cwd, sizeof(cwd) - 1))
		return NULL;
	else
		strcat(cwd, "/");
	if (asprintf(&out, "%.*s%s%s", (int)prefix_len, prefix, cwd, path) < 0)
		return NULL;
	return out;
}

int disk_image_parse(const char *text, struct disk_image *out)
{
	const char *path = after_prefix(text);
	size_t prefix_len = (size_t)(path - text);

	out->params = NULL;
	out->path = NULL;
	if (!*path)
		return complain(STATUS_USAGE,
				"image \"%s\": the name of a file or block device is expected", text);
	if (!prefix_len && has_other_scheme(text)) {
		out->params = strdup(text);
		return out->params ? STATUS_OK : complain(STATUS_ERROR, "out of memory");
	}
	out->params = absolute(text, prefix_len, path);
	if (!out->params)
		return complain(STATUS_ERROR, "image \"%s\": no absolute path: %s", text,
				strerror(errno));
	out->path = out->params + prefix_len;
	return STATUS_OK;
}

void disk_image_free(struct disk_image *image)
{
	free(image->params);
	image->params = NULL;
	image->path = NULL;
}

/* Of what a server has there is only the name to look at, and a file that it is in. */
static int check_name(const char *params, enum vbd_share share)
{
	struct storage s;
	char why[256] = "";

	if (storage_parse(params, &s, why, sizeof(why)))
		return complain(STATUS_ERROR, "%s", why);
	if (!s.path[0] || !access(s.path, share == VBD_READ_ONLY ? R_OK : R_OK | W_OK))
		return STATUS_OK;
	return complain(STATUS_ERROR, "%s: %s", s.path, strerror(errno));
}

int disk_image_check(const struct disk_image *image, enum vbd_share share)
{
	struct image_info info;
	char why[256] = "";
	int fd = -1, ret;

	if (storage_is_remote(image->params) && strncmp(image->params, "raw:", 4))
		return check_name(image->params, share);
	if (!image->path)
		return STATUS_OK;
	ret = image_open(image->path, share == VBD_READ_ONLY, &fd, &info, why, sizeof(why));
	if (ret < 0)
		return complain(STATUS_ERROR, "%s", *why ? why : strerror(-ret));
	close(fd);
	return STATUS_OK;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) || stat(b, &y))
		return !strcmp(a, b);
	if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
		return x.st_rdev == y.st_rdev;
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool disk_image_same(const struct disk_image *a, const char *params)
{
	const char *path = after_prefix(params);

	if (a->path && *path == '/')
		return same_file(a->path, path);
	return !strcmp(a->params, params);
}

struct conflict {
	struct store *store;
	const struct disk_image *image;
	enum vbd_share share;
};

static bool goes_together(enum vbd_share a, enum vbd_share b)
{
	return a == VBD_SHARED_WRITE || b == VBD_SHARED_WRITE ||
	       (a == VBD_READ_ONLY && b == VBD_READ_ONLY);
}

/* By one question to the store for each disk there is; the one that matters costs more. */
static bool is_another_file(struct conflict *c, const struct inventory_device *disk)
{
	char params[4096];
	const char *path;

	if (!c->image->path || xenbus_read_text(c->store->xs, XBT_NULL, disk->back_dir,
						KEY_PARAMS, params, sizeof(params)))
		return false;
	path = strchr(params, '/');	/* behind whatever prefixes */
	return path && !same_file(c->image->path, path);
}

static int check_one(void *arg, const struct inventory_device *disk)
{
	struct conflict *c = arg;
	struct vbd_toolstack ts = { 0 };
	char domain[96], device[32];
	int status = STATUS_OK;

	if (is_another_file(c, disk) || vbd_read_toolstack(c->store->xs, disk->back_dir, &ts, NULL) < 0)
		goto out;
	if (!ts.params || goes_together(c->share, ts.share) ||
	    !disk_image_same(c->image, ts.params) || store_is_left(c->store, disk))
		goto out;
	status = complain(STATUS_BUSY,
			  "%s is in use: %s of %s has it with mode %s; detach that one, use --mode r for both, or share it with --mode 'w!'",
			  c->image->params,
			  device_label(disk->kind, disk->devid, device, sizeof(device)),
			  domain_label(c->store, disk->domid, domain, sizeof(domain)),
			  ts.share == VBD_READ_ONLY ? "r" : "w");
out:
	vbd_free_toolstack(&ts);
	return status;
}

int disk_image_conflict(struct store *store, uint32_t backend_domid,
			const struct disk_image *image, enum vbd_share share)
{
	struct conflict c = { .store = store, .image = image, .share = share };
	int ret = inventory_each(store->xs, INVENTORY_DISKS, backend_domid, INVENTORY_ANY,
				 check_one, &c);

	return ret < 0 ? complain(STATUS_ERROR, "looking for other disks of %s: %s",
				  image->params, strerror(-ret)) : ret;
}
