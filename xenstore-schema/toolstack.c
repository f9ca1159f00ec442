/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a device's nodes as xl does, finds devices, looks at both ends.
 *
 * Hides: permissions, the two directories' mutual links, libxl's third copy.
 * Must not know: images, rings, waiting (toolstack-wait.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "toolstack-internal.h"
#include "util.h"

/* ---- the three directories of a device ------------------------------------ */

/* Front ends know block devices as vbd, whatever serves them. */
static const char *front_kind(const char *back_kind)
{
	if (!strcmp(back_kind, KIND_VBD3) || !strcmp(back_kind, KIND_QDISK))
		return KIND_VBD;
	return back_kind;
}

int toolstack_dirs(struct toolstack_dirs *out, uint32_t backend_domid,
		   const char *kind, uint32_t domid, uint32_t devid)
{
	int rc;

	rc = xenbus_backend_path(out->back, sizeof(out->back), backend_domid, kind,
				 domid, devid);
	if (!rc)
		rc = xenbus_frontend_path(out->front, sizeof(out->front), domid,
					  front_kind(kind), devid);
	if (!rc)
		rc = xenbus_text(out->libxl, sizeof(out->libxl),
				 DIR_LIBXL "/%u/" DIR_DEVICE "/%s/%u",
				 (uint64_t)domid, front_kind(kind), (uint64_t)devid);
	if (!rc)
		rc = xenbus_error_dir(out->back_error, sizeof(out->back_error),
				      out->back);
	if (!rc)
		rc = xenbus_error_dir(out->front_error, sizeof(out->front_error),
				      out->front);
	return rc;
}

/* ---- create --------------------------------------------------------------- */

/* Texts of one directory; a NULL value is left out. */
struct node {
	const char *key;
	const char *value;
};

static int write_nodes(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const struct node *node, size_t nr)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < nr && !rc; i++)
		if (node[i].value)
			rc = xenbus_write_text(xs, t, dir, node[i].key,
					       node[i].value);
	return rc;
}

/* The owner may do all, the other may read, nobody else anything. */
static int make_dir(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    uint32_t owner, uint32_t reader)
{
	struct xs_permissions perms[2] = {
		{ .id = owner, .perms = XS_PERM_NONE },
		{ .id = reader, .perms = XS_PERM_READ },
	};

	errno = 0;
	if (!xs_mkdir(xs, t, dir) || !xs_set_permissions(xs, t, dir, perms, 2))
		return xenbus_store_error();
	return 0;
}

static const char *type_of_kind(const char *kind)
{
	if (!strcmp(kind, KIND_QDISK))
		return "qdisk";
	return strcmp(kind, KIND_VBD3) ? "phy" : "tap";
}

static const char *mode_of_share(enum vbd_share share)
{
	switch (share) {
	case VBD_READ_ONLY:
		return "r";
	case VBD_SHARED_WRITE:
		return "w!";
	default:
		return "w";
	}
}

/* What is the default stays unwritten, as xl would leave it. */
static const char *cache_name(enum vbd_cache cache)
{
	switch (cache) {
	case VBD_CACHE_NONE:
		return "none";
	case VBD_CACHE_WRITETHROUGH:
		return "writethrough";
	default:
		return NULL;
	}
}

struct disk_text {
	char domid[12], backend_domid[12], devid[12], dev[24];
};

/* Only what is asked for: other back ends do not know these. */
static int write_wishes(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			const struct vbd_wishes *w)
{
	const struct {
		const char *key;
		uint32_t value;
		bool asked;
	} wish[] = {
		{ KEY_LOGICAL_BLOCK_SIZE, w->logical_block_bytes, w->logical_block_bytes },
		{ KEY_PHYSICAL_BLOCK_SIZE, w->physical_block_bytes, w->physical_block_bytes },
		{ KEY_MAX_INDIRECT_SEGMENTS, w->max_indirect_segments, w->limits_segments },
		{ KEY_FLUSH_ENABLE, 0, w->barriers_only },
		{ KEY_DISCARD_SECURE_ENABLE, w->discard_secure == VBD_SECURE_OVERWRITE,
		  w->discard_secure != VBD_SECURE_IF_DEVICE },
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(wish) && !rc; i++)
		if (wish[i].asked)
			rc = xenbus_write_u64(xs, t, dir, wish[i].key, wish[i].value);
	return rc;
}

static int write_back(struct xs_handle *xs, xs_transaction_t t,
		      const struct toolstack_disk *d, const char *dir,
		      const struct disk_text *text)
{
	const struct node node[] = {
		{ KEY_PARAMS, d->params },
		{ KEY_SCRIPT, d->script },
		{ KEY_FRONTEND_ID, text->domid },
		{ KEY_ONLINE, "1" },
		{ KEY_REMOVABLE, d->removable ? "1" : "0" },
		{ KEY_BOOTABLE, "1" },
		{ KEY_STATE, "1" },
		{ KEY_DEV, text->dev },
		{ KEY_TYPE, type_of_kind(d->kind) },
		{ KEY_MODE, mode_of_share(d->share) },
		{ KEY_DEVICE_TYPE, d->cdrom ? "cdrom" : "disk" },
		/* QEMU knows only this key, and only it reads it. */
		{ KEY_DIRECT_IO_SAFE, d->cache == VBD_CACHE_NONE ? "1" : NULL },
		{ KEY_CACHE, cache_name(d->cache) },
		{ KEY_GRANT_MODE, vbd_grants_name(d->grants) },
		{ KEY_DISCARD_ENABLE, d->share == VBD_READ_ONLY ? "0" : "1" },
		{ KEY_SPECIFICATION, "xen" },
	};

	int rc = write_nodes(xs, t, dir, node, ARRAY_LEN(node));

	return rc ? rc : write_wishes(xs, t, dir, &d->wishes);
}

static int write_front(struct xs_handle *xs, xs_transaction_t t,
		       const struct toolstack_disk *d,
		       const struct toolstack_dirs *dirs,
		       const struct disk_text *text)
{
	const struct node node[] = {
		{ KEY_BACKEND, dirs->back },
		{ KEY_BACKEND_ID, text->backend_domid },
		{ KEY_STATE, "1" },
		{ KEY_VIRTUAL_DEVICE, text->devid },
		{ KEY_DEVICE_TYPE, d->cdrom ? "cdrom" : "disk" },
		{ KEY_TRUSTED, "1" },
	};

	return write_nodes(xs, t, dirs->front, node, ARRAY_LEN(node));
}

/* libxl lists what it finds here: the links and a copy of the back end's. */
static int write_libxl(struct xs_handle *xs, xs_transaction_t t,
		       const struct toolstack_disk *d,
		       const struct toolstack_dirs *dirs,
		       const struct disk_text *text)
{
	const struct node link[] = {
		{ KEY_FRONTEND, dirs->front },
		{ KEY_BACKEND, dirs->back },
	};
	int rc;

	errno = 0;
	if (!xs_mkdir(xs, t, dirs->libxl))
		return xenbus_store_error();
	rc = write_nodes(xs, t, dirs->libxl, link, ARRAY_LEN(link));
	return rc ? rc : write_back(xs, t, d, dirs->libxl, text);
}

struct create {
	const struct toolstack_disk *disk;
	struct toolstack_dirs dirs;
	struct disk_text text;
};

/* Why an earlier device of that number failed would mislead a waiter. */
static int remove_old_errors(struct xs_handle *xs, xs_transaction_t t,
			     const struct toolstack_dirs *dirs)
{
	int rc = xenbus_remove(xs, t, "", dirs->back_error);

	return rc ? rc : xenbus_remove(xs, t, "", dirs->front_error);
}

static int refuse_existing(struct xs_handle *xs, xs_transaction_t t, const char *dir)
{
	int rc = xenbus_need_dir(xs, t, dir);

	if (!rc)
		return -EEXIST;
	return rc == -ENOENT ? 0 : rc;
}

static int create_disk(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct create *c = arg;
	const struct toolstack_disk *d = c->disk;
	const struct toolstack_dirs *dirs = &c->dirs;
	char domain[XENBUS_PATH_BYTES];
	int rc;

	rc = xenbus_join(domain, DIR_LOCAL_DOMAIN, c->text.domid);
	if (!rc)
		rc = xenbus_need_dir(xs, t, domain);
	if (rc)
		return rc == -ENOENT ? -ESRCH : rc;
	rc = refuse_existing(xs, t, dirs->back);
	if (!rc)
		rc = refuse_existing(xs, t, dirs->front);
	if (!rc)
		rc = remove_old_errors(xs, t, dirs);
	if (!rc)
		rc = make_dir(xs, t, dirs->front, d->domid, d->backend_domid);
	if (!rc)
		rc = write_front(xs, t, d, dirs, &c->text);
	if (!rc)
		rc = make_dir(xs, t, dirs->back, d->backend_domid, d->domid);
	if (!rc)
		rc = xenbus_write_text(xs, t, dirs->back, KEY_FRONTEND, dirs->front);
	if (!rc)
		rc = write_back(xs, t, d, dirs->back, &c->text);
	if (!rc && d->libxl)
		rc = write_libxl(xs, t, d, dirs, &c->text);
	return rc;
}

int toolstack_create_disk(struct xs_handle *xs, const struct toolstack_disk *d)
{
	struct create c = { .disk = d };
	int rc = toolstack_dirs(&c.dirs, d->backend_domid, d->kind, d->domid,
				d->devid);

	if (!rc)
		rc = xenbus_text(c.text.domid, sizeof(c.text.domid), "%u",
				 (uint64_t)d->domid);
	if (!rc)
		rc = xenbus_text(c.text.backend_domid, sizeof(c.text.backend_domid),
				 "%u", (uint64_t)d->backend_domid);
	if (!rc)
		rc = xenbus_text(c.text.devid, sizeof(c.text.devid), "%u",
				 (uint64_t)d->devid);
	if (rc)
		return rc;
	/* A number that has no name is its own. */
	if (toolstack_vdev_name(d->devid, c.text.dev, sizeof(c.text.dev)))
		memcpy(c.text.dev, c.text.devid, sizeof(c.text.devid));
	return xenbus_transact(xs, create_disk, &c);
}

/* ---- look ----------------------------------------------------------------- */

static void look_at(struct xs_handle *xs, const char *dir, bool *exists,
		    XenbusState *state, char *error)
{
	*exists = xenbus_exists(xs, XBT_NULL, dir);
	*state = xenbus_read_state(xs, dir);
	if (xenbus_read_error(xs, dir, error, XENBUS_TEXT_BYTES))
		*error = '\0';
}

void toolstack_look_dirs(struct xs_handle *xs, const struct toolstack_dirs *dirs,
			 struct toolstack_view *out)
{
	look_at(xs, dirs->back, &out->back_exists, &out->back, out->back_error);
	look_at(xs, dirs->front, &out->front_exists, &out->front, out->front_error);
	if (xenbus_read_u64(xs, XBT_NULL, dirs->back, KEY_SECTORS, UINT64_MAX,
			    &out->sectors, NULL))
		out->sectors = 0;
}

int toolstack_look(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
		   uint32_t domid, uint32_t devid, struct toolstack_view *out)
{
	struct toolstack_dirs dirs;
	int rc = toolstack_dirs(&dirs, backend_domid, kind, domid, devid);

	if (rc)
		return rc;
	toolstack_look_dirs(xs, &dirs, out);
	return 0;
}

/* ---- each ----------------------------------------------------------------- */

struct each {
	struct xs_handle *xs;
	int (*fn)(void *arg, uint32_t domid, uint32_t devid);
	void *arg;
	const char *kind_dir;
};

static int each_of_domain(struct each *e, const char *name, uint32_t domid)
{
	char dir[XENBUS_NODE_BYTES];
	autofree char **devid = NULL;
	unsigned int nr, i;
	uint64_t v;
	int rc = xenbus_join(dir, e->kind_dir, name);

	if (rc)
		return rc;
	devid = xs_directory(e->xs, XBT_NULL, dir, &nr);
	for (i = 0; devid && i < nr && !rc; i++)
		if (!parse_u64(devid[i], UINT32_MAX, &v))
			rc = e->fn(e->arg, domid, (uint32_t)v);
	return rc;
}

int toolstack_each(struct xs_handle *xs, uint32_t backend_domid, const char *kind,
		   int (*fn)(void *arg, uint32_t domid, uint32_t devid), void *arg)
{
	struct each e = { .xs = xs, .fn = fn, .arg = arg };
	char dir[XENBUS_PATH_BYTES];
	autofree char **domid = NULL;
	unsigned int nr, i;
	uint64_t v;
	int rc;

	rc = xenbus_text(dir, sizeof(dir), DIR_LOCAL_DOMAIN "/%u/" DIR_BACKEND "/%s",
			 (uint64_t)backend_domid, kind);
	if (rc)
		return rc;
	e.kind_dir = dir;
	errno = 0;
	domid = xs_directory(xs, XBT_NULL, dir, &nr);
	if (!domid)
		return errno == ENOENT ? 0 : xenbus_store_error();
	for (i = 0; i < nr && !rc; i++)
		if (!parse_u64(domid[i], UINT16_MAX, &v))
			rc = each_of_domain(&e, domid[i], (uint32_t)v);
	return rc;
}
