/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * devicemodel.c - libxendevicemodel: a handle, and nothing to do with it, since
 * local Xen's guests have no emulated devices.
 */
#include <stdlib.h>
#include <xendevicemodel.h>
#include "lx.h"

struct xendevicemodel_handle {
	uint32_t incarnation;
};

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned flags)
{
	xendevicemodel_handle *dmod;

	(void)logger;
	(void)flags;
	if (!lx_may_open())
		return NULL;
	dmod = calloc(1, sizeof(*dmod));
	if (dmod)
		dmod->incarnation = lx.incarnation;
	return dmod;
}

int xendevicemodel_close(xendevicemodel_handle *dmod)
{
	free(dmod);
	return 0;
}

int xendevicemodel_restrict(xendevicemodel_handle *dmod, domid_t domid)
{
	(void)dmod;
	(void)domid;
	return 0;
}
