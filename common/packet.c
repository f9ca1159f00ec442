/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets with descriptors (packet.h).
 *
 * Hides: the control message's layout. Must not know: the sender's reasons.
 */
#include "packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The space is aligned: the kernel may have put one more into it than was meant. */
#define FDS_ROOM ((CMSG_SPACE(PACKET_FDS_MAX * sizeof(int)) - CMSG_LEN(0)) / sizeof(int))

union control {
	struct cmsghdr header;	/* for its alignment */
	char bytes[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
};

/* syscalls all: sendmsg */
int packet_send(int sock, const void *packet, size_t bytes, const int *fds, unsigned nr_fds)
{
	struct iovec iov = { .iov_base = (void *)packet, .iov_len = bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *cm;
	ssize_t sent;

	if (nr_fds > PACKET_FDS_MAX)
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
	return (size_t)sent == bytes ? 0 : -EPROTO;
}

/* syscalls all: close */
void packet_close_fds(const int *fds, unsigned nr)
{
	while (nr)
		close(fds[--nr]);
}

/* Returns the number received; what is too many for the caller is closed. */
static unsigned take_fds(struct msghdr *mh, int *fds, unsigned max)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(mh);
	int got[FDS_ROOM];
	unsigned nr;

	if (!cm || cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
		return 0;
	nr = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(got, CMSG_DATA(cm), nr * sizeof(int));
	if (nr > max) {
		packet_close_fds(got + max, nr - max);
		nr = max;
	}
	if (nr)
		memcpy(fds, got, nr * sizeof(int));
	return nr;
}

/* syscalls all: recvmsg */
int packet_receive(int sock, void *packet, size_t bytes, int flags, int *fds, unsigned *nr_fds)
{
	struct iovec iov = { .iov_base = packet, .iov_len = bytes };
	union control control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes) };
	unsigned max = nr_fds ? *nr_fds : 0, nr;
	ssize_t got;

	if (nr_fds)
		*nr_fds = 0;
	/* That the other end closed without having read all is said once, before its words. */
	do
		got = recvmsg(sock, &mh, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0)
		return -errno;
	nr = take_fds(&mh, fds, max);
	if (!got || (size_t)got != bytes || mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		packet_close_fds(fds, nr);
		return got ? -EPROTO : -EPIPE;
	}
	if (nr_fds)
		*nr_fds = nr;
	return 0;
}
