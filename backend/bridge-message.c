/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between supervisor and a bridge's worker (bridge.h).
 *
 * Hides: which messages there are. Must not know: what they mean.
 */
#include "bridge.h"

#include <errno.h>
#include "packet.h"

int bridge_send(int sock, const struct bridge_msg *msg, int fd)
{
	return packet_send(sock, msg, sizeof(*msg), &fd, fd >= 0);
}

static bool is_known(const struct bridge_msg *msg)
{
	return msg->version == BRIDGE_VERSION &&
	       ((msg->type >= BRIDGE_OPEN && msg->type <= BRIDGE_STOP) ||
		(msg->type >= BRIDGE_READY && msg->type <= BRIDGE_STOPPED));
}

int bridge_receive(int sock, struct bridge_msg *msg, int *fd)
{
	unsigned nr = 1;
	int rc = packet_receive(sock, msg, sizeof(*msg), 0, fd, &nr);

	if (!rc && !is_known(msg)) {
		packet_close_fds(fd, nr);
		nr = 0;
		rc = -EPROTO;
	}
	if (!nr)
		*fd = -1;
	return rc;
}
