/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which end of a disk waits for what, in words (waits_for() in paravane.h).
 *
 * Hides: what each pair of states means and what a person does about it. Must
 * not know: how the states were read.
 */
#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-runinfo.h"

static const char *program_of(const char *kind)
{
	return !strcmp(kind, "qdisk") ? "QEMU (qdisk)" : "paravane-blkback";
}

static void unanswered_back(struct store *store, const struct inventory_device *disk,
			    char *buf, size_t bytes)
{
	char label[96];

	if (disk->backend_domid == store->own_domid && runinfo_daemon_runs(disk->kind))
		snprintf(buf, bytes,
			 "the back end has not taken the disk up (state Initialising): see the log of paravane-blkback");
	else if (disk->backend_domid == store->own_domid)
		snprintf(buf, bytes,
			 "the back end has not looked at the disk (state Initialising): %s is not running here; start it",
			 program_of(disk->kind));
	else
		snprintf(buf, bytes,
			 "the back end has not looked at the disk (state Initialising): start %s in %s",
			 program_of(disk->kind),
			 domain_label(store, disk->backend_domid, label, sizeof(label)));
}

/* The back end has published what it offers and is waiting. */
static void waiting_back(struct store *store, const struct inventory_device *disk,
			 const struct toolstack_view *view, char *buf, size_t bytes)
{
	struct vbd_toolstack ts = { 0 };
	char label[96];
	bool hotplug = !vbd_read_toolstack(store->xs, disk->back_dir, &ts, NULL) &&
		       ts.hotplug_pending;

	vbd_free_toolstack(&ts);
	domain_label(store, disk->domid, label, sizeof(label));
	if (view->front == XenbusStateInitialising)
		snprintf(buf, bytes,
			 "the front end in %s has not answered (state Initialising): is the guest running, with a Xen block driver?",
			 label);
	else if (hotplug)
		snprintf(buf, bytes,
			 "the back end waits for the hotplug script to write " KEY_HOTPLUG_STATUS "=connected");
	else
		snprintf(buf, bytes,
			 "the back end (state %s) has not connected to the front end in %s (state %s): see the log of %s",
			 xenbus_state_name(view->back), label,
			 xenbus_state_name(view->front), program_of(disk->kind));
}

static bool is_closing(XenbusState s)
{
	return s == XenbusStateClosing || s == XenbusStateClosed;
}

void waits_for(struct store *store, const struct inventory_device *disk,
	       const struct toolstack_view *view, char *buf, size_t bytes)
{
	char label[96];

	buf[0] = '\0';
	domain_label(store, disk->domid, label, sizeof(label));
	if (view->back_error[0])
		snprintf(buf, bytes, "the back end refused: %s", view->back_error);
	else if (view->front_error[0])
		snprintf(buf, bytes, "the front end in %s refused: %s", label,
			 view->front_error);
	else if (!view->back_exists)
		snprintf(buf, bytes, "the back end's directory is gone: somebody removed the disk");
	else if (!view->front_exists)
		snprintf(buf, bytes, "the front end's directory is gone: is %s still there?", label);
	else if (view->front == XenbusStateClosed && view->back != XenbusStateClosing)
		snprintf(buf, bytes, "the front end in %s has closed the disk, and may open it again", label);
	else if (is_closing(view->front))
		snprintf(buf, bytes, "the front end in %s is %s and the back end %s: detach the disk and attach it again",
			 label, xenbus_state_name(view->front), xenbus_state_name(view->back));
	else if (is_closing(view->back))
		snprintf(buf, bytes, "the back end is %s and the front end in %s is %s: detach the disk and attach it again",
			 xenbus_state_name(view->back), label, xenbus_state_name(view->front));
	else if (view->back == XenbusStateInitialising)
		unanswered_back(store, disk, buf, bytes);
	else if (view->back == XenbusStateInitWait || view->back == XenbusStateInitialised)
		waiting_back(store, disk, view, buf, bytes);
	else if (view->back == XenbusStateConnected && view->front != XenbusStateConnected)
		snprintf(buf, bytes, "the back end is connected; the front end in %s has not taken the disk up (state %s)",
			 label, xenbus_state_name(view->front));
	else if (view->back != XenbusStateConnected)
		snprintf(buf, bytes, "the back end is %s and the front end in %s is %s",
			 xenbus_state_name(view->back), label, xenbus_state_name(view->front));
}
