/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's hotplug script, run as xl runs it.
 *
 * Hides: its environment and arguments, when it may run, where its verdict is
 * found. Must not know: why the device comes or goes. xl's convention (its
 * docs/misc/block-scripts.txt, libxl_linux.c): "SCRIPT add" once the back end is in
 * state 2, "SCRIPT remove" once it is closed and before its directory goes; for a
 * network interface "SCRIPT online type_if=vif" and "offline".
 */
#ifndef PV_PARAVANE_SCRIPT_H
#define PV_PARAVANE_SCRIPT_H

#include "paravane.h"

/*
 * Waits for the back end's InitWait, then runs the script. 0, or -errno with a
 * message for people in why: -ETIMEDOUT, -ECHILD: the script failed, or an end refused.
 * *started: the script has run, and may have made what script_remove() has to undo.
 */
int script_add(struct store *store, const struct inventory_device *dev, int timeout_ms,
	       bool *started, char *why, size_t why_bytes);
/* The same when the device goes, if it has a script. */
int script_remove(struct store *store, const struct inventory_device *dev, char *why,
		  size_t why_bytes);

#endif
