/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flip helper's messages on a SOCK_SEQPACKET socket (flip.h).
 *
 * Hides: that only the used part of a batch travels. Must not know: what it asks for.
 */
#include "flip.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "packet.h"
#include "util.h"

int flip_send_hello(int sock, const struct flip_hello *hello, int fd)
{
	return packet_send(sock, hello, sizeof(*hello), &fd, fd >= 0);
}

int flip_receive_hello(int sock, struct flip_hello *hello, int *fd)
{
	unsigned nr = 1;
	int rc = packet_receive(sock, hello, sizeof(*hello), 0, fd, &nr);

	if (rc || !nr)
		*fd = -1;
	if (!rc && (hello->version != FLIP_VERSION || hello->type < FLIP_READY ||
		    hello->type > FLIP_JOIN)) {
		close_fd(fd);
		rc = -EPROTO;
	}
	hello->failure.reason[sizeof(hello->failure.reason) - 1] = '\0';
	return rc;
}

/* ---- batches and answers: a head that counts, then what it counts -------------------- */

struct head {
	uint32_t version, type, nr_ops, nr_more;
};

/* syscalls bridge, flip: sendmsg */
static int send_parts(int sock, struct iovec *iov, size_t nr)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nr };
	ssize_t n;

	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* syscalls bridge, flip: recvmsg */
/* Returns the octets behind head, which went to data; or -errno. */
static ssize_t receive_parts(int sock, struct head *head, void *data, size_t bytes)
{
	struct iovec iov[2] = { { head, sizeof(*head) }, { data, bytes } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!n)
		return -EPIPE;
	if (n < (ssize_t)sizeof(*head) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    head->version != FLIP_VERSION)
		return -EPROTO;
	return n - (ssize_t)sizeof(*head);
}

int flip_send_batch(int sock, const struct flip_batch *batch)
{
	struct head head = { FLIP_VERSION, batch->type, batch->nr_ops, batch->nr_sources };
	struct iovec iov[3] = {
		{ &head, sizeof(head) },
		{ (void *)batch->op, batch->nr_ops * sizeof(batch->op[0]) },
		{ (void *)batch->source, batch->nr_sources * sizeof(batch->source[0]) },
	};

	return send_parts(sock, iov, 3);
}

static bool sources_fit(const struct flip_batch *batch)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < batch->nr_ops; i++) {
		uint32_t nr = batch->op[i].nr_sources, bytes = 0;

		if (nr > batch->nr_sources - used)
			return false;
		for (uint32_t j = used; j < used + nr; j++) {
			const struct flip_source *s = &batch->source[j];

			bytes += s->bytes;
			if (s->offset + s->bytes > (int)FLIP_PAGE_BYTES)
				return false;
		}
		if (bytes > FLIP_PAGE_BYTES)
			return false;
		used += nr;
	}
	return used == batch->nr_sources;
}

int flip_receive_batch(int sock, struct flip_batch *batch)
{
	uint8_t data[sizeof(batch->op) + sizeof(batch->source)];
	size_t op_bytes, source_bytes;
	struct head head;
	ssize_t n = receive_parts(sock, &head, data, sizeof(data));

	if (n < 0)
		return (int)n;
	if ((head.type != FLIP_GET && head.type != FLIP_TRANSFER) ||
	    head.nr_ops > FLIP_OPS_MAX || head.nr_more > FLIP_SOURCES_MAX)
		return -EPROTO;
	op_bytes = head.nr_ops * sizeof(batch->op[0]);
	source_bytes = head.nr_more * sizeof(batch->source[0]);
	if ((size_t)n != op_bytes + source_bytes)
		return -EPROTO;
	batch->type = head.type;
	batch->nr_ops = head.nr_ops;
	batch->nr_sources = head.nr_more;
	memcpy(batch->op, data, op_bytes);
	memcpy(batch->source, data + op_bytes, source_bytes);
	return sources_fit(batch) ? 0 : -EPROTO;
}

int flip_send_answer(int sock, const struct flip_answer *answer)
{
	struct head head = { FLIP_VERSION, FLIP_TRANSFER, answer->nr_ops, answer->nr_pages };
	struct iovec iov[2] = {
		{ &head, sizeof(head) }, { (void *)answer->outcome, answer->nr_ops },
	};

	return send_parts(sock, iov, 2);
}

int flip_receive_answer(int sock, struct flip_answer *answer)
{
	struct head head;
	ssize_t n = receive_parts(sock, &head, answer->outcome, sizeof(answer->outcome));

	if (n < 0)
		return (int)n;
	if ((size_t)n != head.nr_ops)
		return -EPROTO;
	answer->nr_ops = head.nr_ops;
	answer->nr_pages = head.nr_more;
	return 0;
}
