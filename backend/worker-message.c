/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between supervisor and worker (worker.h).
 *
 * Hides: SCM_RIGHTS. Must not know: what the messages mean.
 */
#include "worker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 4u

union control {
	struct cmsghdr header;	/* for its alignment */
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int worker_send(int sock, const struct worker_msg *msg, const int *fds, unsigned nr_fds)
{
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = sizeof(*msg) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *cm;
	ssize_t sent;

	if (nr_fds > FDS_MAX)
		return -EINVAL;
	if (nr_fds) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nr_fds * sizeof(int));
	}
	do
		sent = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)sent == sizeof(*msg) ? 0 : -EPROTO;
}

static void close_all(const int *fds, unsigned nr)
{
	while (nr)
		close(fds[--nr]);
}

/* Returns the number received; what is too many for the caller is closed. */
static unsigned take_fds(struct msghdr *mh, int *fds, unsigned max)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(mh);
	int got[FDS_MAX];
	unsigned nr;

	if (!cm || cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
		return 0;
	nr = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(got, CMSG_DATA(cm), nr * sizeof(int));
	if (nr > max) {
		close_all(got + max, nr - max);
		nr = max;
	}
	if (nr)
		memcpy(fds, got, nr * sizeof(int));
	return nr;
}

static int check(const struct worker_msg *msg, ssize_t got, int flags)
{
	if (!got)
		return -EPIPE;
	if (got != sizeof(*msg) || flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EPROTO;
	if (msg->version != WORKER_VERSION)
		return -EPROTO;
	if ((msg->type >= WORKER_START && msg->type <= WORKER_RESIZE) ||
	    (msg->type >= WORKER_READY && msg->type <= WORKER_RESIZED))
		return 0;
	return -EPROTO;
}

int worker_receive(int sock, struct worker_msg *msg, int *fds, unsigned *nr_fds)
{
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	union control control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes) };
	unsigned max = nr_fds ? *nr_fds : 0;
	ssize_t got;
	int rc;

	if (nr_fds)
		*nr_fds = 0;
	do
		got = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (nr_fds)
		*nr_fds = take_fds(&mh, fds, max);
	else
		take_fds(&mh, NULL, 0);
	rc = check(msg, got, mh.msg_flags);
	if (rc && nr_fds) {
		close_all(fds, *nr_fds);
		*nr_fds = 0;
	}
	return rc;
}
