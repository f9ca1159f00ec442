/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's mutual links, watches on the peer's state (xenbus-device.h), and
 * the nodes that all kinds of devices have alike: hotplug, queues.
 *
 * Hides: the link keys of either side, when a hotplug script is still to be
 * waited for. Must not know: kinds of devices, stdio.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "xenbus-device.h"
#include "xenbus-internal.h"

struct link_keys {
	const char *path, *id;
};

static struct link_keys link_keys(enum xenbus_side side)
{
	if (side == XENBUS_BACKEND)
		return (struct link_keys){ KEY_FRONTEND, KEY_FRONTEND_ID };
	return (struct link_keys){ KEY_BACKEND, KEY_BACKEND_ID };
}

int xenbus_backend_root(char *buf, size_t bytes, uint32_t backend_domid,
			const char *kind)
{
	return xenbus_text(buf, bytes, DIR_LOCAL_DOMAIN "/%u/" DIR_BACKEND "/%s",
			   (uint64_t)backend_domid, kind);
}

/* A link that led elsewhere would have us act on another domain's nodes. */
static int check_link(const struct xenbus_device *dev, const char *key,
		      struct key_error *err)
{
	char base[64];
	int rc = xenbus_text(base, sizeof(base), DIR_LOCAL_DOMAIN "/%u/",
			     (uint64_t)dev->otherend_id);

	if (rc || !strncmp(dev->otherend, base, strlen(base)))
		return rc;
	xenbus_blame(err, key, dev->otherend, strlen(dev->otherend),
		     "a path below the peer's /local/domain/N");
	return -EINVAL;
}

int xenbus_open_device(struct xs_handle *xs, enum xenbus_side side, uint32_t domid,
		       const char *nodename, struct xenbus_device *out,
		       struct key_error *err)
{
	const struct link_keys keys = link_keys(side);
	int rc;

	memset(out, 0, sizeof(*out));
	out->xs = xs;
	out->side = side;
	out->domid = domid;
	rc = xenbus_text(out->nodename, sizeof(out->nodename), "%s", nodename);
	if (rc)
		return rc;
	rc = xenbus_read_u32(xs, XBT_NULL, nodename, keys.id, UINT16_MAX,
			     &out->otherend_id, err);
	if (rc)
		return rc;
	rc = xenbus_read_text(xs, XBT_NULL, nodename, keys.path, out->otherend,
			      sizeof(out->otherend));
	if (rc) {
		xenbus_blame(err, keys.path, "", 0, "the peer's directory");
		return rc == -E2BIG ? -EINVAL : rc;
	}
	rc = check_link(out, keys.path, err);
	if (!rc)
		out->state = xenbus_read_state(xs, nodename);
	return rc;
}

int xenbus_watch_otherend(const struct xenbus_device *dev, const char *token)
{
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, dev->otherend, KEY_STATE);

	if (rc)
		return rc;
	errno = 0;
	return xs_watch(dev->xs, path, token) ? 0 : xenbus_store_error();
}

int xenbus_unwatch_otherend(const struct xenbus_device *dev, const char *token)
{
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, dev->otherend, KEY_STATE);

	if (rc)
		return rc;
	errno = 0;
	return xs_unwatch(dev->xs, path, token) ? 0 : xenbus_store_error();
}

/* Only the store's word that nothing is there counts as gone, no failure does. */
int xenbus_look_own_state(struct xenbus_device *dev, XenbusState *out)
{
	const struct link_keys keys = link_keys(dev->side);
	unsigned int len;
	uint32_t state;
	char *value;
	int rc;

	*out = XenbusStateUnknown;
	rc = xenbus_read_u32(dev->xs, XBT_NULL, dev->nodename, KEY_STATE,
			     XenbusStateReconfigured, &state, NULL);
	if (!rc)
		*out = (XenbusState)state;
	if (rc != -ENOENT)
		return rc == -EINVAL ? 0 : rc;
	rc = xenbus_read_raw(dev->xs, XBT_NULL, dev->nodename, keys.path, &value, &len);
	if (!rc)
		free(value);
	return rc;
}

int xenbus_look_otherend_state(struct xenbus_device *dev, XenbusState *out)
{
	uint32_t state;
	int rc;

	*out = XenbusStateUnknown;
	rc = xenbus_read_u32(dev->xs, XBT_NULL, dev->otherend, KEY_STATE,
			     XenbusStateReconfigured, &state, NULL);
	if (!rc)
		*out = (XenbusState)state;
	return rc == -ENOENT || rc == -EINVAL || rc == -EACCES ? 0 : rc;
}

/* ---- the hotplug script ----------------------------------------------------- */

int xenbus_read_hotplug(struct xs_handle *xs, const char *back_dir,
			struct xenbus_hotplug *out, struct key_error *err)
{
	char *script, *status;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = xenbus_read_optional(xs, back_dir, KEY_SCRIPT, "a path", &script, err);
	if (rc)
		return rc;
	out->script = script && *script;	/* xl writes an empty one for none */
	free(script);
	rc = xenbus_read_optional(xs, back_dir, KEY_HOTPLUG_STATUS, "connected or error",
				  &status, err);
	if (rc)
		return rc;
	/* xl's scripts say busy of an image that another guest has. */
	out->error = status && (!strcmp(status, "error") || !strcmp(status, "busy"));
	out->pending = status ? strcmp(status, "connected") != 0 : out->script;
	free(status);
	return 0;
}

/* ---- queues ------------------------------------------------------------------ */

void xenbus_make_key(char *key, const char *prefix, const char *name)
{
	int rc = xenbus_text(key, XENBUS_KEY_BYTES, "%s%s", prefix, name);

	xenbus_assert(!rc);
}

void xenbus_queue_prefix(char *prefix, uint32_t nr_queues, uint32_t queue)
{
	int rc = nr_queues > 1 ?
		xenbus_text(prefix, XENBUS_KEY_BYTES, KEY_QUEUE_N "/", (uint64_t)queue) :
		xenbus_text(prefix, XENBUS_KEY_BYTES, "");

	xenbus_assert(!rc);
}

/* Zero of them was a way to crash back ends. */
int xenbus_read_nr_queues(struct xs_handle *xs, const char *dir, uint32_t max,
			  uint32_t *out, struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_MULTI_QUEUE_NUM_QUEUES,
				 UINT32_MAX, out, err);

	if (rc == -ENOENT) {
		*out = 1;
		return 0;
	}
	if (rc || (*out >= 1 && *out <= max))
		return rc;
	xenbus_blame_u64(err, KEY_MULTI_QUEUE_NUM_QUEUES, *out,
			 "from 1 to the back end's multi-queue-max-queues");
	return -EINVAL;
}

/* ---- removing ----------------------------------------------------------------- */

struct removal {
	const char *dir;
	const char *const *prefix, *const *exact;
};

static bool is_listed(const char *name, const struct removal *r)
{
	const char *const *k;

	for (k = r->prefix; *k; k++)
		if (!strncmp(name, *k, strlen(*k)))
			return true;
	for (k = r->exact; *k; k++)
		if (!strcmp(name, *k))
			return true;
	return false;
}

static int remove_keys(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct removal *r = arg;
	unsigned int nr, i;
	char **names;
	int rc = 0;

	errno = 0;
	names = xs_directory(xs, t, r->dir, &nr);
	if (!names)
		return errno == ENOENT ? 0 : xenbus_store_error();
	/* Only the keys that are there: a front end's requests cost a wake-up each. */
	for (i = 0; i < nr && !rc; i++)
		if (is_listed(names[i], r))
			rc = xenbus_remove(xs, t, r->dir, names[i]);
	free(names);
	return rc;
}

int xenbus_remove_keys(struct xs_handle *xs, const char *dir, const char *const *prefix,
		       const char *const *exact)
{
	struct removal r = { dir, prefix, exact };

	return xenbus_transact(xs, remove_keys, &r);
}
