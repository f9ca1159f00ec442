/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link from a front end's directory to its back end's. Hides the keys;
 * must not know what a state means to a device.
 */
#include <errno.h>
#include <string.h>

#include "keys.h"
#include "otherend.h"

#define DOMID_LAST 0x7fefu	/* DOMID_FIRST_RESERVED - 1 */

static void missing(struct key_error *err, const char *key, const char *expected)
{
	if (!err)
		return;
	memset(err, 0, sizeof(*err));
	memcpy(err->key, key, strlen(key));
	err->expected = expected;
}

int otherend_find(struct xs_handle *xs, const char *kind, uint32_t devid,
		  struct xenbus_device *dev, struct key_error *err)
{
	int r;

	memset(dev, 0, sizeof(*dev));
	dev->xs = xs;
	dev->side = XENBUS_FRONTEND;
	r = xenbus_own_domid(xs, &dev->domid);
	if (r < 0) {
		missing(err, KEY_DOMID, "the number of our own domain");
		return r;
	}
	r = xenbus_frontend_path(dev->nodename, sizeof(dev->nodename),
				 dev->domid, kind, devid);
	if (r < 0)
		return r;
	r = xenbus_read_text(xs, XBT_NULL, dev->nodename, KEY_BACKEND,
			     dev->otherend, sizeof(dev->otherend));
	if (r == 0 && dev->otherend[0] != '/')
		r = -EINVAL;
	if (r < 0) {
		missing(err, KEY_BACKEND, "the path of the back end's directory");
		return r;
	}
	r = xenbus_read_u32(xs, XBT_NULL, dev->nodename, KEY_BACKEND_ID,
			    DOMID_LAST, &dev->otherend_id, err);
	if (r < 0) {
		if (r == -ENOENT)
			missing(err, KEY_BACKEND_ID, "the back end's domain number");
		return r;
	}
	dev->state = xenbus_read_state(xs, dev->nodename);
	return 0;
}

int otherend_watch_own(const struct xenbus_device *dev, const char *token)
{
	return xs_watch(dev->xs, dev->nodename, token) ? 0 : -errno;
}

void otherend_unwatch_own(const struct xenbus_device *dev, const char *token)
{
	xs_unwatch(dev->xs, dev->nodename, token);
}

static int state_path(const struct xenbus_device *dev, char *buf, size_t bytes)
{
	return xenbus_text(buf, bytes, "%s/%s", dev->otherend, KEY_STATE);
}

int otherend_watch(const struct xenbus_device *dev, const char *token)
{
	char path[XENBUS_PATH_BYTES + sizeof(KEY_STATE) + 1];
	int r = state_path(dev, path, sizeof(path));

	if (r < 0)
		return r;
	return xs_watch(dev->xs, path, token) ? 0 : -errno;
}

void otherend_unwatch(const struct xenbus_device *dev, const char *token)
{
	char path[XENBUS_PATH_BYTES + sizeof(KEY_STATE) + 1];

	if (state_path(dev, path, sizeof(path)) >= 0)
		xs_unwatch(dev->xs, path, token);
}
