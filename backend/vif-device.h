/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network interfaces as a kind of device (device.h): the nodes that are published,
 * the front end's rings, the bridge that it joins.
 *
 * Hides: features, bridges, what is changed live. Must not know: when a step is
 * wanted, processes. The loop's thread.
 */
#ifndef PV_VIF_DEVICE_H
#define PV_VIF_DEVICE_H

#include "device.h"

/* What the command line says, for all interfaces. Outlives them. */
struct vif_config {
	struct backend_config base;
	uint32_t max_queues;		/* that a front end is offered, 1 to VIF_QUEUES_MAX */
	uint32_t poll_us;		/* a worker's longest spin before it sleeps */
	uint32_t address_ms;		/* an interface's longest wait for its address, while
					   another on its bridge has it; 0: none */
	bool page_flip;			/* front ends may receive by page transfer */
};

/* Its devices' config is the base of a struct vif_config. */
extern const struct device_kind vif_kind;

#endif
