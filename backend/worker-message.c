/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between supervisor and worker (worker.h).
 *
 * Hides: which messages there are. Must not know: what they mean.
 */
#include "worker.h"

#include <errno.h>
#include "packet.h"

int worker_send(int sock, const struct worker_msg *msg, const int *fds, unsigned nr_fds)
{
	return packet_send(sock, msg, sizeof(*msg), fds, nr_fds);
}

static int check(const struct worker_msg *msg)
{
	if (msg->version != WORKER_VERSION)
		return -EPROTO;
	if ((msg->type >= WORKER_START && msg->type <= WORKER_FINISH) ||
	    (msg->type >= WORKER_READY && msg->type <= WORKER_WAITS))
		return 0;
	return -EPROTO;
}

int worker_receive(int sock, struct worker_msg *msg, int *fds, unsigned *nr_fds)
{
	int rc = packet_receive(sock, msg, sizeof(*msg), 0, fds, nr_fds);

	if (rc)
		return rc;
	rc = check(msg);
	if (rc && nr_fds) {
		packet_close_fds(fds, *nr_fds);
		*nr_fds = 0;
	}
	return rc;
}
