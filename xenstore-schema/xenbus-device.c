/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's mutual links, and watches on the peer's state (xenbus-device.h).
 *
 * Hides: the link keys of either side. Must not know: kinds of devices, stdio.
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
