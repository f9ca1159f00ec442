/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client's end of the control socket (control.h).
 *
 * Hides: how a path becomes an address. Must not know: what is asked.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "packet.h"
#include "util.h"

/* syscalls start: socket connect */
int control_connect(const char *dir, int *out)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	autoclose int fd = -1;
	int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s/" CONTROL_SOCKET, dir);

	if (n >= (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	*out = fd;
	fd = -1;
	return 0;
}

int control_ask(int fd, const struct control_msg *msg)
{
	return packet_send(fd, msg, sizeof(*msg), NULL, 0);
}

int control_hear(int fd, struct control_msg *msg, int *pipe)
{
	unsigned nr = 1;
	int rc = packet_receive(fd, msg, sizeof(*msg), 0, pipe, &nr);

	if (!rc && msg->version != CONTROL_VERSION) {
		packet_close_fds(pipe, nr);
		nr = 0;
		rc = -EPROTO;
	}
	if (!nr)
		*pipe = -1;
	return rc;
}
