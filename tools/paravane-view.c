/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers what is known of a device (paravane-view.h).
 */
#include <string.h>

#include "paravane-view.h"

static void look(struct store *store, const struct inventory_device *dev,
		 struct device_view *v)
{
	struct key_error err;

	v->dev = dev;
	if (limit_read(store->xs, dev->back_dir, is_nic(dev->kind) ? LIMIT_OF_NIC : LIMIT_OF_DISK,
		       &v->limit, &err))
		v->limit = (struct limit){ .weight = 0 };
	toolstack_look(store->xs, dev->backend_domid, dev->kind, dev->domid, dev->devid,
		       &v->ends);
	v->ours = dev->backend_domid == store->own_domid &&
		  v->ends.back >= XenbusStateInitWait && runinfo_daemon_runs(dev->kind);
	if (inventory_domain_name(store->xs, dev->domid, v->domain, sizeof(v->domain)) < 0)
		v->domain[0] = '\0';
	device_label(dev->kind, dev->devid, v->device, sizeof(v->device));
	waits_for(store, dev, &v->ends, v->waits, sizeof(v->waits));
}

void disk_view_look(struct store *store, const struct inventory_device *dev,
		    struct disk_view *v)
{
	struct xs_handle *xs = store->xs;

	memset(v, 0, sizeof(*v));
	look(store, dev, &v->base);
	vbd_read_toolstack(xs, dev->back_dir, &v->ts, NULL);
	v->base.has_features = !vbd_read_features(xs, dev->back_dir, &v->features, NULL);
	v->base.has_front = v->base.has_features &&
			    !vbd_read_frontend(xs, dev->front_dir, &v->features, &v->front,
					       NULL);
	if (dev->backend_domid == store->own_domid) {
		runinfo_read(dev, &v->run);
		mirror_info_read(dev, &v->mirror);
	}
	memcpy(v->base.sandbox, v->run.sandbox, sizeof(v->base.sandbox));
	v->base.ours |= v->run.found;
}

void disk_view_close(struct disk_view *v)
{
	vbd_free_toolstack(&v->ts);
}

void nic_view_look(struct store *store, const struct inventory_device *dev,
		   struct nic_view *v)
{
	struct xs_handle *xs = store->xs;
	struct runinfo run;

	memset(v, 0, sizeof(*v));
	look(store, dev, &v->base);
	if (dev->backend_domid == store->own_domid) {
		runinfo_read(dev, &run);
		memcpy(v->base.sandbox, run.sandbox, sizeof(v->base.sandbox));
	}
	v->ts_valid = !vif_read_toolstack(xs, dev->back_dir, &v->ts, NULL);
	/* What is missing of features is off: their reader cannot tell. */
	v->base.has_features = v->base.ends.back >= XenbusStateInitWait &&
			       !vif_read_features(xs, dev->back_dir, &v->features);
	v->base.has_front = v->base.has_features &&
			    !vif_read_frontend(xs, dev->front_dir, &v->features, &v->front,
					       NULL);
	v->flip_ended = vif_read_flip_ended(xs, dev->back_dir);
	v->carrier = vif_read_carrier(xs, dev->back_dir);
}
