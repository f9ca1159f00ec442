/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creates a device's nodes as xl does, finds devices, looks at both ends.
 *
 * Hides: permissions, the two directories' mutual links, libxl's third copy.
 * Must not know: what disks (toolstack-disk.c) and nics (toolstack-nic.c) have of
 * their own, rings, waiting (toolstack-wait.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "toolstack-internal.h"
#include "util.h"

/* ---- the three directories of a device ------------------------------------ */

/* Front ends know block devices as vbd and nics as vif, whatever serves them. */
static const char *front_kind(const char *back_kind)
{
	if (!strcmp(back_kind, KIND_VBD3) || !strcmp(back_kind, KIND_QDISK))
		return KIND_VBD;
	return strcmp(back_kind, KIND_QNIC) ? back_kind : KIND_VIF;
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

/* Until the list's end; a NULL value is left out. */
static int write_nodes(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const struct toolstack_node *node)
{
	int rc = 0;

	for (; node->key && !rc; node++)
		if (node->value)
			rc = xenbus_write_text(xs, t, dir, node->key, node->value);
	return rc;
}

static int set_owner(struct xs_handle *xs, xs_transaction_t t, const char *path,
		     uint32_t owner, uint32_t reader)
{
	struct xs_permissions perms[2] = {
		{ .id = owner, .perms = XS_PERM_NONE },
		{ .id = reader, .perms = XS_PERM_READ },
	};

	errno = 0;
	return xs_set_permissions(xs, t, path, perms, 2) ? 0 : xenbus_store_error();
}

/* The owner may do all, the other may read, nobody else anything. */
static int make_dir(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		    uint32_t owner, uint32_t reader)
{
	errno = 0;
	if (!xs_mkdir(xs, t, dir))
		return xenbus_store_error();
	return set_owner(xs, t, dir, owner, reader);
}

struct create {
	const struct toolstack_new *new;
	struct toolstack_dirs dirs;
	struct toolstack_text text;
};

static int write_back(struct xs_handle *xs, xs_transaction_t t, const struct create *c,
		      const char *dir)
{
	const struct toolstack_node node[] = {
		{ KEY_FRONTEND_ID, c->text.domid },
		{ KEY_ONLINE, "1" },
		{ KEY_STATE, "1" },
		{ NULL, NULL },
	};
	int rc = write_nodes(xs, t, dir, node);

	return rc ? rc : write_nodes(xs, t, dir, c->new->back);
}

/* What the guest is told and may not change belongs to the other side. */
static int write_front_ro(struct xs_handle *xs, xs_transaction_t t, const struct create *c)
{
	const struct toolstack_node *node = c->new->front_ro;
	char path[XENBUS_NODE_BYTES];
	int rc = 0;

	for (; node->key && !rc; node++) {
		if (!node->value)
			continue;
		rc = xenbus_write_text(xs, t, c->dirs.front, node->key, node->value);
		if (!rc)
			rc = xenbus_join(path, c->dirs.front, node->key);
		if (!rc)
			rc = set_owner(xs, t, path, c->new->backend_domid, c->new->domid);
	}
	return rc;
}

static int write_front(struct xs_handle *xs, xs_transaction_t t, const struct create *c)
{
	const struct toolstack_node node[] = {
		{ KEY_BACKEND, c->dirs.back },
		{ KEY_BACKEND_ID, c->text.backend_domid },
		{ KEY_STATE, "1" },
		{ KEY_TRUSTED, "1" },
		{ NULL, NULL },
	};
	int rc = write_nodes(xs, t, c->dirs.front, node);

	if (!rc)
		rc = write_nodes(xs, t, c->dirs.front, c->new->front);
	return rc ? rc : write_front_ro(xs, t, c);
}

/* libxl lists what it finds here: the links and a copy of the back end's. */
static int write_libxl(struct xs_handle *xs, xs_transaction_t t, const struct create *c)
{
	const struct toolstack_node link[] = {
		{ KEY_FRONTEND, c->dirs.front },
		{ KEY_BACKEND, c->dirs.back },
		{ NULL, NULL },
	};
	int rc;

	errno = 0;
	if (!xs_mkdir(xs, t, c->dirs.libxl))
		return xenbus_store_error();
	rc = write_nodes(xs, t, c->dirs.libxl, link);
	return rc ? rc : write_back(xs, t, c, c->dirs.libxl);
}

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

static int create_device(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct create *c = arg;
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
		rc = make_dir(xs, t, dirs->front, c->new->domid, c->new->backend_domid);
	if (!rc)
		rc = write_front(xs, t, c);
	if (!rc)
		rc = make_dir(xs, t, dirs->back, c->new->backend_domid, c->new->domid);
	if (!rc)
		rc = xenbus_write_text(xs, t, dirs->back, KEY_FRONTEND, dirs->front);
	if (!rc)
		rc = write_back(xs, t, c, dirs->back);
	if (!rc && c->new->libxl)
		rc = write_libxl(xs, t, c);
	return rc;
}

int toolstack_text(struct toolstack_text *out, uint32_t domid, uint32_t backend_domid,
		   uint32_t devid)
{
	int rc = xenbus_text(out->domid, sizeof(out->domid), "%u", (uint64_t)domid);

	if (!rc)
		rc = xenbus_text(out->backend_domid, sizeof(out->backend_domid), "%u",
				 (uint64_t)backend_domid);
	return rc ? rc : xenbus_text(out->devid, sizeof(out->devid), "%u", (uint64_t)devid);
}

int toolstack_create(struct xs_handle *xs, const struct toolstack_new *new)
{
	struct create c = { .new = new };
	int rc = toolstack_dirs(&c.dirs, new->backend_domid, new->kind, new->domid,
				new->devid);

	if (!rc)
		rc = toolstack_text(&c.text, new->domid, new->backend_domid, new->devid);
	return rc ? rc : xenbus_transact(xs, create_device, &c);
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
	if (xenbus_read_flag(xs, XBT_NULL, dirs->back, KEY_ONLINE, false, &out->online, NULL))
		out->online = false;
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
