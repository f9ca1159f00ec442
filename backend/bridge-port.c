/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A port as XenStore has it, as the switch wants it (bridge.h).
 *
 * Hides: which value means what. Must not know: messages, keys.
 */
#include "bridge.h"

#include <string.h>

_Static_assert(VIF_VLANS_BYTES == VSWITCH_VLANS / 8, "one bit set of VLANs");

void bridge_port_config(const struct vif_port *port, const uint8_t *mac,
			struct vswitch_port_config *out)
{
	memset(out, 0, sizeof(*out));
	out->mode = port->trunk ? VSWITCH_TRUNK : VSWITCH_ACCESS;
	out->vlan = port->vlan;
	if (port->trunk && !port->vlan)
		out->vlan = VSWITCH_VLAN_NONE;
	if (port->trunk)
		memcpy(out->vlans, port->vlans, sizeof(out->vlans));
	if (mac)
		memcpy(out->mac, mac, sizeof(out->mac));
	out->any_source = port->any_source;
	out->isolated = port->isolated;
}
