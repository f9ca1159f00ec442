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

int bridge_send_two(int sock, const struct bridge_msg *msg, int fd, int second)
{
	const int fds[2] = { fd, second };

	return packet_send(sock, msg, sizeof(*msg), fds, fd < 0 ? 0 : second < 0 ? 1 : 2);
}

static bool is_known(const struct bridge_msg *msg)
{
	return msg->version == BRIDGE_VERSION &&
	       ((msg->type >= BRIDGE_OPEN && msg->type <= BRIDGE_SET_LIMIT) ||
		(msg->type >= BRIDGE_READY && msg->type <= BRIDGE_STOPPED));
}

int bridge_receive_two(int sock, struct bridge_msg *msg, int *fd, int *second)
{
	int fds[2];
	unsigned nr = 2;
	int rc = packet_receive(sock, msg, sizeof(*msg), 0, fds, &nr);

	if (!rc && !is_known(msg)) {
		packet_close_fds(fds, nr);
		nr = 0;
		rc = -EPROTO;
	}
	*fd = nr > 0 ? fds[0] : -1;
	*second = nr > 1 ? fds[1] : -1;
	return rc;
}

int bridge_receive(int sock, struct bridge_msg *msg, int *fd)
{
	int second, rc = bridge_receive_two(sock, msg, fd, &second);

	packet_close_fds(&second, second >= 0);
	return rc;
}
