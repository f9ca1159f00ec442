/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a new disk's directories hold of their own, as xl writes it.
 *
 * Hides: the spellings of type, mode and cache. Must not know: permissions,
 * links (toolstack.c).
 */
#include <string.h>

#include "keys.h"
#include "toolstack-internal.h"

static const char *type_of_kind(const char *kind)
{
	if (!strcmp(kind, KIND_QDISK))
		return "qdisk";
	return strcmp(kind, KIND_VBD3) ? "phy" : "tap";
}

/* Only what is asked for: other back ends do not know these. */
static const char *wish(char buf[12], bool asked, uint32_t value)
{
	return asked && !xenbus_text(buf, 12, "%u", (uint64_t)value) ? buf : NULL;
}

int toolstack_create_disk(struct xs_handle *xs, const struct toolstack_disk *d)
{
	const struct vbd_wishes *w = &d->wishes;
	struct toolstack_text text;
	char limit[LIMIT_TEXT_BYTES], dev[24], logical[12], physical[12], segments[12], timeout[12];
	const struct toolstack_node back[] = {
		{ KEY_PARAMS, d->params },
		{ KEY_SCRIPT, d->script },
		{ KEY_REMOVABLE, d->removable ? "1" : "0" },
		{ KEY_BOOTABLE, "1" },
		{ KEY_DEV, dev },
		{ KEY_TYPE, type_of_kind(d->kind) },
		{ KEY_MODE, vbd_share_name(d->share) },
		{ KEY_DEVICE_TYPE, d->cdrom ? "cdrom" : "disk" },
		/* QEMU knows only this key, and only it reads it. */
		{ KEY_DIRECT_IO_SAFE, d->cache == VBD_CACHE_NONE ? "1" : NULL },
		/* What is the default stays unwritten, as xl would leave it. */
		{ KEY_CACHE, d->cache == VBD_CACHE_WRITEBACK ? NULL : vbd_cache_name(d->cache) },
		{ KEY_GRANT_MODE, vbd_grants_name(d->grants) },
		{ KEY_DISCARD_ENABLE, d->share == VBD_READ_ONLY ? "0" : "1" },
		{ KEY_SPECIFICATION, "xen" },
		{ KEY_LOGICAL_BLOCK_SIZE,
		  wish(logical, w->logical_block_bytes, w->logical_block_bytes) },
		{ KEY_PHYSICAL_BLOCK_SIZE,
		  wish(physical, w->physical_block_bytes, w->physical_block_bytes) },
		{ KEY_MAX_INDIRECT_SEGMENTS,
		  wish(segments, w->limits_segments, w->max_indirect_segments) },
		{ KEY_IO_TIMEOUT, wish(timeout, w->limits_io, w->io_timeout_s) },
		{ KEY_LIMIT, limit_text(LIMIT_OF_DISK, &d->limit, limit) },
		{ KEY_FLUSH_ENABLE, w->barriers_only ? "0" : NULL },
		{ KEY_DISCARD_SECURE_ENABLE,
		  w->discard_secure == VBD_SECURE_OVERWRITE ? "1" :
		  w->discard_secure == VBD_SECURE_NEVER ? "0" : NULL },
		{ NULL, NULL },
	};
	const struct toolstack_node front[] = {
		{ KEY_VIRTUAL_DEVICE, text.devid },
		{ KEY_DEVICE_TYPE, d->cdrom ? "cdrom" : "disk" },
		{ NULL, NULL },
	}, none = { NULL, NULL };
	const struct toolstack_new new = {
		.domid = d->domid, .backend_domid = d->backend_domid, .devid = d->devid,
		.kind = d->kind, .libxl = d->libxl, .back = back, .front = front,
		.front_ro = &none,
	};
	int rc = toolstack_text(&text, d->domid, d->backend_domid, d->devid);

	if (rc)
		return rc;
	/* A number that has no name is its own. */
	if (toolstack_vdev_name(d->devid, dev, sizeof(dev)))
		memcpy(dev, text.devid, sizeof(text.devid));
	return toolstack_create(xs, &new);
}
