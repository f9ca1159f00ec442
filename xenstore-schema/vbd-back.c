/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a block back end publishes: geometry and features, both directions.
 *
 * Hides: which keys say it, units, defaults, and where back ends differ. Must
 * not know: image files, rings, stdio. Runs without an operating system.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/blkif.h>

#include "keys.h"
#include "vbd.h"
#include "xenbus-internal.h"

#define SECTOR_BYTES_MAX (1u << 20)

/* ---- writing ------------------------------------------------------------- */

struct number_node {
	const char *key;
	uint64_t value;
	bool present;		/* false: removed, so that a default counts */
};

static uint64_t info_bits(const struct vbd_features *f)
{
	return (f->cdrom ? VDISK_CDROM : 0u) |
	       (f->removable ? VDISK_REMOVABLE : 0u) |
	       (f->read_only ? VDISK_READONLY : 0u);
}

int vbd_write_features(struct xs_handle *xs, xs_transaction_t t,
		       const char *back_dir, const struct vbd_features *f)
{
	const struct number_node node[] = {
		{ KEY_SECTORS, f->sectors, true },
		{ KEY_SECTOR_SIZE, f->sector_bytes, true },
		{ KEY_PHYSICAL_SECTOR_SIZE, f->physical_sector_bytes,
		  f->physical_sector_bytes },
		{ KEY_INFO, info_bits(f), true },
		{ KEY_FEATURE_BARRIER, f->barrier, true },
		{ KEY_FEATURE_FLUSH_CACHE, f->flush, true },
		{ KEY_FEATURE_PERSISTENT, f->persistent, true },
		{ KEY_FEATURE_DISCARD, f->discard, true },
		{ KEY_DISCARD_GRANULARITY, f->discard_granularity_bytes, f->discard },
		{ KEY_DISCARD_ALIGNMENT, f->discard_alignment_bytes, f->discard },
		{ KEY_DISCARD_SECURE, f->discard_secure, f->discard },
		{ KEY_FEATURE_MAX_INDIRECT_SEGMENTS, f->max_indirect_segments,
		  f->max_indirect_segments },
		{ KEY_MAX_RING_PAGE_ORDER, f->max_ring_order, true },
		{ KEY_MULTI_QUEUE_MAX_QUEUES, f->max_queues, f->max_queues > 1 },
	};
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(node) / sizeof(node[0]) && !rc; i++) {
		if (node[i].present)
			rc = xenbus_write_u64(xs, t, back_dir, node[i].key,
					      node[i].value);
		else
			rc = xenbus_remove(xs, t, back_dir, node[i].key);
	}
	return rc;
}

struct size_write {
	struct xenbus_device *back;
	uint64_t sectors;
};

static int write_size(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct size_write *w = arg;
	const char *dir = w->back->nodename;
	int rc = xenbus_need_dir(xs, t, dir);

	if (!rc)
		rc = xenbus_refuse_overtaken(xs, t, dir, XenbusStateConnected);
	if (!rc)
		rc = xenbus_write_u64(xs, t, dir, KEY_SECTORS, w->sectors);
	if (rc)
		return rc;
	/* The same state once more is what front ends take for "look again". */
	return xenbus_write_u64(xs, t, dir, KEY_STATE, XenbusStateConnected);
}

int vbd_write_size(struct xenbus_device *back, uint64_t sectors)
{
	struct size_write w = { .back = back, .sectors = sectors };

	xenbus_assert(back->state == XenbusStateConnected);
	return xenbus_transact(back->xs, write_size, &w);
}

/* ---- reading, as a front end does ---------------------------------------- */

/* Missing counts as fallback; so does nonsense in what is only an offer. */
static int read_offer(struct xs_handle *xs, const char *dir, const char *key,
		      uint32_t fallback, uint32_t *out)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, out, NULL);

	if (!rc)
		return 0;
	*out = fallback;
	return rc == -ENOENT || rc == -EINVAL ? 0 : rc;
}

static int read_offered_flag(struct xs_handle *xs, const char *dir,
			     const char *key, bool *out)
{
	uint32_t v;
	int rc = read_offer(xs, dir, key, 0, &v);

	*out = v;
	return rc;
}

static bool has_part(const char *dir, const char *part)
{
	size_t n = strlen(part);

	for (; *dir; dir++)
		if (*dir == '/' && !strncmp(dir + 1, part, n) && dir[n + 1] == '/')
			return true;
	return false;
}

/*
 * QEMU writes the size in units of sector-size where everyone else has 512.
 * Its directories carry its name, which is all that tells the two apart.
 */
static int to_512(const char *back_dir, struct vbd_features *f,
		  struct key_error *err)
{
	uint32_t factor = f->sector_bytes / VBD_SECTOR_BYTES;

	if (!has_part(back_dir, KIND_QDISK))
		factor = 1;
	if (f->sectors > UINT64_MAX / VBD_SECTOR_BYTES / factor) {
		xenbus_blame_u64(err, KEY_SECTORS, f->sectors,
				 "a size below 2^64 bytes");
		return -EINVAL;
	}
	f->sectors *= factor;
	return 0;
}

static int read_geometry(struct xs_handle *xs, const char *dir,
			 struct vbd_features *f, struct key_error *err)
{
	uint32_t info;
	int rc;

	rc = xenbus_read_u64(xs, XBT_NULL, dir, KEY_SECTORS, UINT64_MAX,
			     &f->sectors, err);
	if (!rc)
		rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_SECTOR_SIZE, UINT32_MAX,
				     &f->sector_bytes, err);
	if (!rc)
		rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_INFO, UINT32_MAX, &info,
				     err);
	if (rc)
		return rc;
	if (f->sector_bytes < VBD_SECTOR_BYTES || f->sector_bytes > SECTOR_BYTES_MAX ||
	    f->sector_bytes & (f->sector_bytes - 1)) {
		xenbus_blame_u64(err, KEY_SECTOR_SIZE, f->sector_bytes,
				 "a power of two from 512 to 1048576");
		return -EINVAL;
	}
	f->cdrom = info & VDISK_CDROM;
	f->removable = info & VDISK_REMOVABLE;
	f->read_only = info & VDISK_READONLY;
	return to_512(dir, f, err);
}

static int read_discard(struct xs_handle *xs, const char *dir,
			struct vbd_features *f)
{
	int rc = read_offered_flag(xs, dir, KEY_FEATURE_DISCARD, &f->discard);

	if (rc || !f->discard)
		return rc;
	rc = read_offer(xs, dir, KEY_DISCARD_GRANULARITY, f->sector_bytes,
			&f->discard_granularity_bytes);
	if (!rc)
		rc = read_offer(xs, dir, KEY_DISCARD_ALIGNMENT, 0,
				&f->discard_alignment_bytes);
	if (!rc)
		rc = read_offered_flag(xs, dir, KEY_DISCARD_SECURE,
				       &f->discard_secure);
	return rc;
}

/* max-ring-page-order, or the deprecated number of pages. */
static int read_ring_order(struct xs_handle *xs, const char *dir,
			   struct vbd_features *f)
{
	uint32_t pages;
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MAX_RING_PAGE_ORDER,
				 UINT32_MAX, &f->max_ring_order, NULL);

	if (rc == -ENOENT) {
		rc = read_offer(xs, dir, KEY_MAX_RING_PAGES, 1, &pages);
		f->max_ring_order = 0;
		while (pages >>= 1)
			f->max_ring_order++;
	} else if (rc == -EINVAL) {
		f->max_ring_order = 0;
		rc = 0;
	}
	if (f->max_ring_order > VBD_RING_ORDER_MAX)
		f->max_ring_order = VBD_RING_ORDER_MAX;
	return rc;
}

static int read_transport(struct xs_handle *xs, const char *dir,
			  struct vbd_features *f)
{
	int rc = read_offer(xs, dir, KEY_FEATURE_MAX_INDIRECT_SEGMENTS, 0,
			    &f->max_indirect_segments);

	if (!rc)
		rc = read_offer(xs, dir, KEY_MULTI_QUEUE_MAX_QUEUES, 1,
				&f->max_queues);
	if (rc)
		return rc;
	if (!f->max_queues)
		f->max_queues = 1;
	if (f->max_queues > VBD_QUEUES_MAX)
		f->max_queues = VBD_QUEUES_MAX;
	return read_ring_order(xs, dir, f);
}

int vbd_read_features(struct xs_handle *xs, const char *back_dir,
		      struct vbd_features *out, struct key_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = read_transport(xs, back_dir, out);
	if (!rc)
		rc = read_geometry(xs, back_dir, out, err);
	if (!rc)
		rc = read_offer(xs, back_dir, KEY_PHYSICAL_SECTOR_SIZE,
				out->sector_bytes, &out->physical_sector_bytes);
	if (!rc)
		rc = read_offered_flag(xs, back_dir, KEY_FEATURE_BARRIER,
				       &out->barrier);
	if (!rc)
		rc = read_offered_flag(xs, back_dir, KEY_FEATURE_FLUSH_CACHE,
				       &out->flush);
	if (!rc)
		rc = read_offered_flag(xs, back_dir, KEY_FEATURE_PERSISTENT,
				       &out->persistent);
	if (!rc)
		rc = read_discard(xs, back_dir, out);
	return rc;
}
