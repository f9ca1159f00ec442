/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes of switches and uplinks (switch-config.h).
 *
 * Hides: the layout DIR_SWITCHES/NAME/DIR_UPLINK/IFNAME. Must not know: who acts on
 * what is written.
 */
#include "switch-config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "vif-internal.h"
#include "xenbus-internal.h"

/* ---- names and paths ----------------------------------------------------------------- */

/* What a node may be named. */
static bool is_node_name(const char *name, size_t bytes)
{
	static const char valid[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_@:";
	size_t len = strlen(name);

	return len && len < bytes && strspn(name, valid) == len;
}

int switch_check_name(const char *name)
{
	return is_node_name(name, VIF_NAME_BYTES) ? 0 : -EINVAL;
}

/* Linux has no ':' in a name that is not an alias. */
int switch_check_ifname(const char *ifname)
{
	return is_node_name(ifname, SWITCH_IFNAME_BYTES) && !strchr(ifname, ':') ? 0 : -EINVAL;
}

int switch_watch_path(char *buf, size_t bytes, uint32_t backend_domid)
{
	return xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_SWITCHES,
			   (uint64_t)backend_domid);
}

int switch_watch(struct xs_handle *xs, uint32_t backend_domid, const char *token)
{
	char path[XENBUS_PATH_BYTES];
	int rc = switch_watch_path(path, sizeof(path), backend_domid);

	errno = 0;
	if (!rc && !xs_watch(xs, path, token))
		rc = xenbus_store_error();
	return rc;
}

static int switch_path(char *buf, size_t bytes, uint32_t backend_domid, const char *name)
{
	if (switch_check_name(name))
		return -EINVAL;
	return xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_SWITCHES "/%s",
			   (uint64_t)backend_domid, name);
}

static int uplink_path(char *buf, size_t bytes, uint32_t backend_domid, const char *name,
		       const char *ifname)
{
	if (switch_check_name(name) || switch_check_ifname(ifname))
		return -EINVAL;
	return xenbus_text(buf, bytes,
			   DIR_LOCAL_DOMAIN "/%u/" DIR_SWITCHES "/%s/" DIR_UPLINK "/%s",
			   (uint64_t)backend_domid, name, ifname);
}

int switch_of_path(const char *path, uint32_t backend_domid, char *name, size_t bytes)
{
	char dir[XENBUS_PATH_BYTES];
	int rc = switch_watch_path(dir, sizeof(dir), backend_domid);
	size_t len = strlen(dir), n;

	if (rc)
		return rc;
	if (strncmp(path, dir, len) || path[len] != '/')
		return -ENOENT;
	path += len + 1;
	n = strcspn(path, "/");
	if (!n || n >= bytes)
		return -ENOENT;
	memcpy(name, path, n);
	name[n] = '\0';
	return 0;
}

/* ---- lists ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int each_name(struct xs_handle *xs, const char *dir,
		     int (*fn)(void *arg, const char *name), void *arg)
{
	unsigned int nr = 0, i;
	char **names;
	int rc = 0;

	errno = 0;
	names = xs_directory(xs, XBT_NULL, dir, &nr);
	if (!names)
		return errno == ENOENT ? 0 : xenbus_store_error();
	qsort(names, nr, sizeof(*names), by_name);
	for (i = 0; i < nr && !rc; i++)
		rc = fn(arg, names[i]);
	free(names);
	return rc;
}

int switch_each(struct xs_handle *xs, uint32_t backend_domid,
		int (*fn)(void *arg, const char *name), void *arg)
{
	char dir[XENBUS_PATH_BYTES];
	int rc = switch_watch_path(dir, sizeof(dir), backend_domid);

	return rc ? rc : each_name(xs, dir, fn, arg);
}

int switch_each_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		       int (*fn)(void *arg, const char *ifname), void *arg)
{
	char dir[XENBUS_PATH_BYTES + sizeof(DIR_UPLINK)];
	int rc = switch_path(dir, XENBUS_PATH_BYTES, backend_domid, name);

	if (rc)
		return rc;
	strcat(dir, "/" DIR_UPLINK);
	return each_name(xs, dir, fn, arg);
}

/* ---- switches ----------------------------------------------------------------------------- */

static int read_ms(struct xs_handle *xs, const char *dir, const char *key, uint32_t fallback,
		   uint32_t *out, struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, out, err);

	if (rc == -ENOENT) {
		*out = fallback;
		return 0;
	}
	return rc;
}

int switch_read(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		struct switch_config *out, struct key_error *err)
{
	char dir[XENBUS_PATH_BYTES];
	int rc = switch_path(dir, sizeof(dir), backend_domid, name);

	if (rc == -EINVAL) {	/* what cannot be configured has the defaults */
		out->ageing_ms = SWITCH_AGEING_MS;
		out->move_ms = SWITCH_MOVE_MS;
		return 0;
	}
	if (!rc)
		rc = read_ms(xs, dir, KEY_AGEING_MS, SWITCH_AGEING_MS, &out->ageing_ms, err);
	if (!rc)
		rc = read_ms(xs, dir, KEY_MOVE_MS, SWITCH_MOVE_MS, &out->move_ms, err);
	if (rc || out->ageing_ms)
		return rc;
	xenbus_blame_u64(err, KEY_AGEING_MS, 0, "milliseconds, from 1");
	return -EINVAL;
}

struct write {
	char dir[XENBUS_PATH_BYTES];
	const struct switch_config *cfg;
	const struct switch_uplink *up;
};

static int write_switch(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct write *w = arg;
	int rc = xenbus_write_u64(xs, t, w->dir, KEY_AGEING_MS, w->cfg->ageing_ms);

	return rc ? rc : xenbus_write_u64(xs, t, w->dir, KEY_MOVE_MS, w->cfg->move_ms);
}

int switch_write(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		 const struct switch_config *cfg)
{
	struct write w = { .cfg = cfg };
	int rc = switch_path(w.dir, sizeof(w.dir), backend_domid, name);

	if (!rc && !cfg->ageing_ms)
		rc = -EINVAL;
	return rc ? rc : xenbus_transact(xs, write_switch, &w);
}

static int remove_dir(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct write *w = arg;
	int rc = xenbus_need_dir(xs, t, w->dir);

	return rc ? rc : xenbus_remove(xs, t, "", w->dir);
}

int switch_remove(struct xs_handle *xs, uint32_t backend_domid, const char *name)
{
	struct write w = { .cfg = NULL };
	int rc = switch_path(w.dir, sizeof(w.dir), backend_domid, name);

	return rc ? rc : xenbus_transact(xs, remove_dir, &w);
}

/* ---- uplinks -------------------------------------------------------------------------------- */

static int read_mtu(struct xs_handle *xs, const char *dir, uint32_t *out,
		    struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MTU, UINT32_MAX, out, NULL);

	return rc == -ENOENT ? 0 : vif_read_mtu(xs, dir, out, err);
}

int switch_read_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		       const char *ifname, struct switch_uplink *out,
		       struct key_error *err)
{
	char dir[XENBUS_PATH_BYTES];
	int rc = uplink_path(dir, sizeof(dir), backend_domid, name, ifname);

	memset(out, 0, sizeof(*out));
	if (rc == -EINVAL)
		return -ENOENT;
	if (!rc)
		rc = xenbus_need_dir(xs, XBT_NULL, dir);
	if (rc)
		return rc;
	memcpy(out->ifname, ifname, strlen(ifname) + 1);
	rc = vif_read_name(xs, dir, KEY_BRIDGE, out->bridge, err);
	if (!rc)
		rc = vif_read_port(xs, dir, &out->port, err);
	out->port.any_source = true;
	return rc ? rc : read_mtu(xs, dir, &out->mtu_bytes, err);
}

/* A flag, number or word that says what a missing one says is not written. */
static int write_or_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			   const char *key, const char *value, bool needed)
{
	return needed ? xenbus_write_text(xs, t, dir, key, value) :
			xenbus_remove(xs, t, dir, key);
}

static int write_uplink(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct write *w = arg;
	const struct switch_uplink *up = w->up;
	char mtu[XENBUS_U64_DIGITS + 1];
	int rc = xenbus_write_text(xs, t, w->dir, KEY_BRIDGE, up->bridge);

	xenbus_text(mtu, sizeof(mtu), "%u", (uint64_t)up->mtu_bytes);
	if (!rc)
		rc = write_or_remove(xs, t, w->dir, KEY_VLAN, up->port.vlan_text,
				     *up->port.vlan_text);
	if (!rc)
		rc = write_or_remove(xs, t, w->dir, KEY_ISOLATED, "1", up->port.isolated);
	if (!rc)
		rc = write_or_remove(xs, t, w->dir, KEY_MTU, mtu, up->mtu_bytes);
	return rc;
}

static int check_uplink(const struct switch_uplink *up)
{
	struct vif_port port;

	if (up->mtu_bytes && (up->mtu_bytes < VIF_MTU_MIN || up->mtu_bytes > VIF_MTU_MAX))
		return -EINVAL;
	if (*up->bridge && !vif_is_name(up->bridge))
		return -EINVAL;
	return vif_parse_vlan(up->port.vlan_text, &port.trunk, &port.vlan, port.vlans);
}

int switch_write_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
			const struct switch_uplink *up)
{
	struct write w = { .up = up };
	int rc = uplink_path(w.dir, sizeof(w.dir), backend_domid, name, up->ifname);

	if (!rc)
		rc = check_uplink(up);
	return rc ? rc : xenbus_transact(xs, write_uplink, &w);
}

/* Removes dir when it has no entries; a store's own error is not hidden. */
static int remove_empty(struct xs_handle *xs, xs_transaction_t t, const char *dir)
{
	unsigned int nr = 0;
	char **names;

	errno = 0;
	names = xs_directory(xs, t, dir, &nr);
	if (!names)
		return errno == ENOENT ? 0 : xenbus_store_error();
	free(names);
	return nr ? 0 : xenbus_remove(xs, t, "", dir);
}

static int remove_uplink(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct write *w = arg;
	char parent[XENBUS_PATH_BYTES];
	int rc = remove_dir(xs, t, arg), i;

	memcpy(parent, w->dir, sizeof(parent));
	for (i = 0; i < 2 && !rc; i++) {	/* "uplink", then the switch */
		*strrchr(parent, '/') = '\0';
		rc = remove_empty(xs, t, parent);
	}
	return rc;
}

int switch_remove_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
			 const char *ifname)
{
	struct write w = { .up = NULL };
	int rc = uplink_path(w.dir, sizeof(w.dir), backend_domid, name, ifname);

	return rc ? rc : xenbus_transact(xs, remove_uplink, &w);
}
