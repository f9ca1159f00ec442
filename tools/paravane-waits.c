/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which end of a device waits for what, in words (waits_for() and
 * hotplug_pending() in paravane.h).
 *
 * Hides: what each pair of states means and what a person does about it. Must
 * not know: how the states were read.
 */
#include <stdio.h>
#include <string.h>

#include "keys.h"
#include "paravane.h"
#include "paravane-runinfo.h"
#include "vif.h"

static const char *program_of(const char *kind)
{
	return is_of_qemu(kind) ? "QEMU" : words_of(kind)->program;
}

static void unanswered_back(struct store *store, const struct inventory_device *dev,
			    char *buf, size_t bytes)
{
	const struct class_words *words = words_of(dev->kind);
	char label[96];

	if (dev->backend_domid == store->own_domid && runinfo_daemon_runs(dev->kind))
		snprintf(buf, bytes,
			 "the back end has not taken the %s up (state Initialising): see the log of %s",
			 words->noun, words->program);
	else if (dev->backend_domid == store->own_domid)
		snprintf(buf, bytes,
			 "the back end has not looked at the %s (state Initialising): %s is not running here; start it",
			 words->noun, program_of(dev->kind));
	else
		snprintf(buf, bytes,
			 "the back end has not looked at the %s (state Initialising): start %s in %s",
			 words->noun, program_of(dev->kind),
			 domain_label(store, dev->backend_domid, label, sizeof(label)));
}

bool hotplug_pending(struct store *store, const struct inventory_device *dev)
{
	struct vbd_toolstack vbd = { 0 };
	struct vif_toolstack vif;
	bool pending;

	if (is_nic(dev->kind))
		return !vif_read_toolstack(store->xs, dev->back_dir, &vif, NULL) &&
		       vif.hotplug_pending;
	pending = !vbd_read_toolstack(store->xs, dev->back_dir, &vbd, NULL) &&
		  vbd.hotplug_pending;
	vbd_free_toolstack(&vbd);
	return pending;
}

/* The back end has published what it offers and is waiting. */
static void waiting_back(struct store *store, const struct inventory_device *dev,
			 const struct toolstack_view *view, char *buf, size_t bytes)
{
	char label[96];

	domain_label(store, dev->domid, label, sizeof(label));
	if (view->front == XenbusStateInitialising)
		snprintf(buf, bytes,
			 "the front end in %s has not answered (state Initialising): is the guest running, with a %s?",
			 label, words_of(dev->kind)->driver);
	else if (hotplug_pending(store, dev))
		snprintf(buf, bytes,
			 "the back end waits for the hotplug script to write " KEY_HOTPLUG_STATUS "=connected");
	else
		snprintf(buf, bytes,
			 "the back end (state %s) has not connected to the front end in %s (state %s): see the log of %s",
			 xenbus_state_name(view->back), label,
			 xenbus_state_name(view->front), program_of(dev->kind));
}

static bool is_closing(XenbusState s)
{
	return s == XenbusStateClosing || s == XenbusStateClosed;
}

void waits_for(struct store *store, const struct inventory_device *dev,
	       const struct toolstack_view *view, char *buf, size_t bytes)
{
	const char *noun = words_of(dev->kind)->noun;
	char label[96];

	buf[0] = '\0';
	domain_label(store, dev->domid, label, sizeof(label));
	if (view->back_error[0])
		snprintf(buf, bytes, "the back end %s: %s",
			 view->back == XenbusStateConnected ? "waits" : "refused", view->back_error);
	else if (view->front_error[0])
		snprintf(buf, bytes, "the front end in %s refused: %s", label,
			 view->front_error);
	else if (!view->back_exists)
		snprintf(buf, bytes, "the back end's directory is gone: somebody removed the %s", noun);
	else if (!view->front_exists)
		snprintf(buf, bytes, "the front end's directory is gone: is %s still there?", label);
	else if (view->front == XenbusStateClosed && view->back != XenbusStateClosing)
		snprintf(buf, bytes, "the front end in %s has closed the %s, and may open it again", label, noun);
	else if (is_closing(view->front))
		snprintf(buf, bytes, "the front end in %s is %s and the back end %s: detach the %s and attach it again",
			 label, xenbus_state_name(view->front), xenbus_state_name(view->back), noun);
	else if (is_closing(view->back))
		snprintf(buf, bytes, "the back end is %s and the front end in %s is %s: detach the %s and attach it again",
			 xenbus_state_name(view->back), label, xenbus_state_name(view->front), noun);
	else if (view->back == XenbusStateInitialising)
		unanswered_back(store, dev, buf, bytes);
	else if (view->back == XenbusStateInitWait || view->back == XenbusStateInitialised)
		waiting_back(store, dev, view, buf, bytes);
	else if (view->back == XenbusStateConnected && view->front != XenbusStateConnected)
		snprintf(buf, bytes, "the back end is connected; the front end in %s has not taken the %s up (state %s)",
			 label, noun, xenbus_state_name(view->front));
	else if (view->back != XenbusStateConnected)
		snprintf(buf, bytes, "the back end is %s and the front end in %s is %s",
			 xenbus_state_name(view->back), label, xenbus_state_name(view->front));
}
