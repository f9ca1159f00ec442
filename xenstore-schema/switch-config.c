/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes of switches and uplinks (switch-config.h).
 *
 * Hides: the layout DIR_SWITCHES/NAME/DIR_UPLINK/IFNAME, how names are spelled in it.
 * Must not know: who acts on what is written.
 */
#include "switch-config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "vif-internal.h"
#include "xenbus-internal.h"

/*
 * Of names as nodes: a bridge's with escapes is below 64 octets, an uplink's may be all
 * escapes. The longest directory, with a key, is below XENBUS_NODE_BYTES.
 */
#define NAME_NODE_BYTES 64u
#define IFNAME_NODE_BYTES (3 * SWITCH_IFNAME_BYTES)
#define DIR_BYTES 160u

/* ---- names and paths ----------------------------------------------------------------- */

/* The store's own: letters, digits, "-/_@". '@' is what an escape begins with. */
static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		c == '-' || c == '_';
}

static const char hex[] = "0123456789abcdef";

/* name as a node's: each octet that a path cannot have becomes @ and two hex digits. */
static int escape(char *node, size_t bytes, const char *name)
{
	size_t n = 0;

	for (; *name; name++) {
		uint8_t octet = (uint8_t)*name;

		if (n + (is_plain(*name) ? 1 : 3) >= bytes)
			return -EINVAL;
		if (is_plain(*name)) {
			node[n++] = *name;
			continue;
		}
		node[n++] = '@';
		node[n++] = hex[octet >> 4];
		node[n++] = hex[octet & 15];
	}
	node[n] = '\0';
	return 0;
}

static int digit(char c)
{
	const char *at = c ? strchr(hex, c) : NULL;

	return at ? (int)(at - hex) : -1;
}

/* In place. Only what escape() makes is a name: there is one node for each. */
static bool unescape(char *node)
{
	char *to = node, c;
	int high, low;

	if (strlen(node) >= NAME_NODE_BYTES)
		return false;
	for (const char *from = node; *from; from++) {
		c = *from;
		if (c == '@') {
			high = digit(from[1]);
			low = high < 0 ? -1 : digit(from[2]);
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			from += 2;
			if (!c || is_plain(c))
				return false;
		} else if (!is_plain(c)) {
			return false;
		}
		*to++ = c;
	}
	*to = '\0';
	return vif_is_name(node);
}

static int name_node(char node[NAME_NODE_BYTES], const char *name)
{
	return vif_is_name(name) ? escape(node, NAME_NODE_BYTES, name) : -EINVAL;
}

/* Linux has no ':' in a name that is not an alias. */
static int ifname_node(char node[IFNAME_NODE_BYTES], const char *ifname)
{
	return vif_is_name(ifname) && strlen(ifname) < SWITCH_IFNAME_BYTES &&
	       !strchr(ifname, ':') ? escape(node, IFNAME_NODE_BYTES, ifname) : -EINVAL;
}

int switch_check_name(const char *name)
{
	char node[NAME_NODE_BYTES];

	return name_node(node, name);
}

int switch_check_ifname(const char *ifname)
{
	char node[IFNAME_NODE_BYTES];

	return ifname_node(node, ifname);
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
	char node[NAME_NODE_BYTES];
	int rc = name_node(node, name);

	return rc ? rc : xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_SWITCHES "/%s",
				     (uint64_t)backend_domid, node);
}

static int uplink_path(char *buf, size_t bytes, uint32_t backend_domid, const char *name,
		       const char *ifname)
{
	char node[NAME_NODE_BYTES], uplink[IFNAME_NODE_BYTES];
	int rc = name_node(node, name);

	if (!rc)
		rc = ifname_node(uplink, ifname);
	return rc ? rc : xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_SWITCHES
				     "/%s/" DIR_UPLINK "/%s", (uint64_t)backend_domid, node,
				     uplink);
}

/* ---- lists ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int each_name(struct xs_handle *xs, const char *dir,
		     int (*fn)(void *arg, const char *name), void *arg)
{
	unsigned int nodes = 0, nr = 0, i;
	char **names;
	int rc = 0;

	errno = 0;
	names = xs_directory(xs, XBT_NULL, dir, &nodes);
	if (!names)
		return errno == ENOENT ? 0 : xenbus_store_error();
	for (i = 0; i < nodes; i++)	/* what nobody of ours wrote is passed over */
		if (unescape(names[i]))
			names[nr++] = names[i];
	qsort(names, nr, sizeof(*names), by_name);
	for (i = 0; i < nr && !rc; i++)
		rc = fn(arg, names[i]);
	free(names);
	return rc;
}

int switch_each(struct xs_handle *xs, uint32_t backend_domid,
		int (*fn)(void *arg, const char *name), void *arg)
{
	char dir[DIR_BYTES];
	int rc = switch_watch_path(dir, sizeof(dir), backend_domid);

	return rc ? rc : each_name(xs, dir, fn, arg);
}

int switch_each_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		       int (*fn)(void *arg, const char *ifname), void *arg)
{
	char dir[DIR_BYTES];
	int rc = switch_path(dir, sizeof(dir), backend_domid, name);

	if (rc)
		return rc;
	strcat(dir, "/" DIR_UPLINK);	/* there is room for a name behind it */
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
	char dir[DIR_BYTES];
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
	char dir[DIR_BYTES];
	const struct switch_change *cfg;
	const struct switch_uplink_change *up;
};

/* What is not named is not written either: somebody else may be changing it. */

static int write_switch(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct write *w = arg;
	int rc = 0;

	if (w->cfg->ageing_ms >= 0)
		rc = xenbus_write_u64(xs, t, w->dir, KEY_AGEING_MS, (uint64_t)w->cfg->ageing_ms);
	if (!rc && w->cfg->move_ms >= 0)
		rc = xenbus_write_u64(xs, t, w->dir, KEY_MOVE_MS, (uint64_t)w->cfg->move_ms);
	return rc;
}

int switch_change(struct xs_handle *xs, uint32_t backend_domid, const char *name,
		  const struct switch_change *what)
{
	struct write w = { .cfg = what };
	int rc = switch_path(w.dir, sizeof(w.dir), backend_domid, name);

	if (!what->ageing_ms || what->ageing_ms > UINT32_MAX || what->move_ms > UINT32_MAX)
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
	char dir[DIR_BYTES];
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
	const struct switch_uplink_change *up = w->up;
	const char *bridge = up->bridge;
	char mtu[XENBUS_U64_DIGITS + 1];
	int rc = 0;

	if (!bridge && !xenbus_exists(xs, t, w->dir))
		bridge = "";	/* the node that there is of every uplink */
	if (bridge)
		rc = xenbus_write_text(xs, t, w->dir, KEY_BRIDGE, bridge);
	if (!rc && up->vlan)
		rc = write_or_remove(xs, t, w->dir, KEY_VLAN, up->vlan, *up->vlan);
	if (!rc && up->isolated >= 0)
		rc = write_or_remove(xs, t, w->dir, KEY_ISOLATED, "1", up->isolated);
	if (!rc && up->mtu_bytes >= 0) {
		xenbus_text(mtu, sizeof(mtu), "%u", (uint64_t)up->mtu_bytes);
		rc = write_or_remove(xs, t, w->dir, KEY_MTU, mtu, up->mtu_bytes);
	}
	return rc;
}

static int check_uplink(const struct switch_uplink_change *up)
{
	struct vif_port port;

	if (up->mtu_bytes > 0 && (up->mtu_bytes < VIF_MTU_MIN || up->mtu_bytes > VIF_MTU_MAX))
		return -EINVAL;
	if (up->bridge && *up->bridge && !vif_is_name(up->bridge))
		return -EINVAL;
	if (!up->vlan)
		return 0;
	return strlen(up->vlan) < sizeof(port.vlan_text) ?
	       vif_parse_vlan(up->vlan, &port.trunk, &port.vlan, port.vlans) : -EINVAL;
}

int switch_change_uplink(struct xs_handle *xs, uint32_t backend_domid, const char *name,
			 const char *ifname, const struct switch_uplink_change *what)
{
	struct write w = { .up = what };
	int rc = uplink_path(w.dir, sizeof(w.dir), backend_domid, name, ifname);

	if (!rc)
		rc = check_uplink(what);
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
	char parent[DIR_BYTES];
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
