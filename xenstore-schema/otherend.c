/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link from a front end's directory to its back end's. Hides the keys;
 * must not know what a state means to a device.
 */
#include <errno.h>
#include <string.h>

#include "keys.h"
#include "otherend.h"
#include "xenbus-device.h"
#include "xenbus-internal.h"

int otherend_find(struct xs_handle *xs, const char *kind, uint32_t devid,
		  struct xenbus_device *dev, struct key_error *err)
{
	char nodename[XENBUS_PATH_BYTES];
	uint32_t domid;
	int rc = xenbus_own_domid(xs, &domid);

	memset(dev, 0, sizeof(*dev));
	if (rc) {
		xenbus_blame(err, KEY_DOMID, "", 0, "the number of our own domain");
		return rc;
	}
	rc = xenbus_frontend_path(nodename, sizeof(nodename), domid, kind, devid);
	if (rc)
		return rc;
	return xenbus_open_device(xs, XENBUS_FRONTEND, domid, nodename, dev, err);
}

int otherend_watch_own(const struct xenbus_device *dev, const char *token)
{
	return xs_watch(dev->xs, dev->nodename, token) ? 0 : -errno;
}

void otherend_unwatch_own(const struct xenbus_device *dev, const char *token)
{
	xs_unwatch(dev->xs, dev->nodename, token);
}

int otherend_watch(const struct xenbus_device *dev, const char *token)
{
	return xenbus_watch_otherend(dev, token);
}

void otherend_unwatch(const struct xenbus_device *dev, const char *token)
{
	xenbus_unwatch_otherend(dev, token);
}
