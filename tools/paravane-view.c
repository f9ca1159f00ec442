/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers what is known of a disk (paravane-view.h).
 */
#include <string.h>

#include "paravane-view.h"

void disk_view_look(struct store *store, const struct inventory_device *disk,
		    struct disk_view *v)
{
	struct xs_handle *xs = store->xs;

	memset(v, 0, sizeof(*v));
	v->disk = disk;
	toolstack_look(xs, disk->backend_domid, disk->kind, disk->domid, disk->devid, &v->ends);
	vbd_read_toolstack(xs, disk->back_dir, &v->ts, NULL);
	v->has_features = !vbd_read_features(xs, disk->back_dir, &v->features, NULL);
	v->has_front = v->has_features &&
		       !vbd_read_frontend(xs, disk->front_dir, &v->features, &v->front, NULL);
	if (disk->backend_domid == store->own_domid)
		runinfo_read(disk, &v->run);
	v->ours = v->run.found || (disk->backend_domid == store->own_domid &&
				   v->ends.back >= XenbusStateInitWait &&
				   runinfo_daemon_runs(disk->kind));
	if (inventory_domain_name(xs, disk->domid, v->domain, sizeof(v->domain)) < 0)
		v->domain[0] = '\0';
	device_label(disk->devid, v->device, sizeof(v->device));
	waits_for(store, disk, &v->ends, v->waits, sizeof(v->waits));
}

void disk_view_close(struct disk_view *v)
{
	vbd_free_toolstack(&v->ts);
}
