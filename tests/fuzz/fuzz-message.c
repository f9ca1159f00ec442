/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: messages between our processes, where one side may be in a
 * guest's hands or anybody's: the flip helper's, the bridge worker's, the control
 * socket's, and the packets that carry them with too many descriptors or octets.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bridge.h"
#include "control.h"
#include "flip.h"
#include "fuzz.h"
#include "packet.h"

static int sock[2];

/* As it is, to whoever listens: octets, and nr descriptors. */
static void send_raw(const void *data, size_t bytes, unsigned nr)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(16 * sizeof(int))]; } u;
	struct iovec iov = { (void *)(uintptr_t)data, bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[16];

	for (unsigned i = 0; i < 16; i++)
		fds[i] = sock[0];
	if (nr) {
		memset(&u, 0, sizeof(u));
		m.msg_control = u.room;
		m.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		u.h.cmsg_level = SOL_SOCKET;
		u.h.cmsg_type = SCM_RIGHTS;
		u.h.cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(&u.h), fds, nr * sizeof(int));
	}
	FUZZ_NEED(sendmsg(sock[0], &m, MSG_DONTWAIT) == (ssize_t)bytes);
}

/* Within bounds, whatever was sent: as flip.h promises the helper. */
static void check_batch(const struct flip_batch *b)
{
	uint32_t sources = 0, octets;

	FUZZ_NEED(b->type == FLIP_GET || b->type == FLIP_TRANSFER);
	FUZZ_NEED(b->nr_ops <= FLIP_OPS_MAX && b->nr_sources <= FLIP_SOURCES_MAX);
	for (uint32_t i = 0; i < b->nr_ops; i++) {
		octets = 0;
		FUZZ_NEED(b->op[i].nr_sources <= b->nr_sources - sources);
		for (uint32_t j = 0; j < b->op[i].nr_sources; j++) {
			const struct flip_source *s = &b->source[sources + j];

			FUZZ_NEED(s->offset + s->bytes <= (int)FLIP_PAGE_BYTES);
			octets += s->bytes;
		}
		FUZZ_NEED(octets <= FLIP_PAGE_BYTES);
		sources += b->op[i].nr_sources;
	}
}

/* As flip_send_batch(), which believes its caller's numbers: here they may be any. */
static void send_batch(const struct flip_batch *b)
{
	uint32_t nr_ops = b->nr_ops < FLIP_OPS_MAX ? b->nr_ops : FLIP_OPS_MAX;
	uint32_t nr = b->nr_sources < FLIP_SOURCES_MAX ? b->nr_sources : FLIP_SOURCES_MAX;
	const uint32_t head[4] = { FLIP_VERSION, b->type, b->nr_ops, b->nr_sources };
	static uint8_t bytes[sizeof(struct flip_batch) + sizeof(head)];
	size_t n = sizeof(head);

	memcpy(bytes, head, n);
	memcpy(bytes + n, b->op, nr_ops * sizeof(b->op[0]));
	n += nr_ops * sizeof(b->op[0]);
	memcpy(bytes + n, b->source, nr * sizeof(b->source[0]));
	send_raw(bytes, n + nr * sizeof(b->source[0]), 0);
}

static void receive_batch(struct fuzz_in *in, uint8_t how)
{
	static struct flip_batch batch, got;
	uint32_t of_ops;

	memset(&batch, 0, sizeof(batch));
	batch.type = how & 4 ? FLIP_GET : how & 8 ? fuzz_u32(in) : FLIP_TRANSFER;
	batch.nr_ops = how & 16 ? fuzz_u32(in) : fuzz_below(in, 6);
	batch.nr_sources = how & 32 ? fuzz_u32(in) : fuzz_below(in, 16);
	of_ops = batch.nr_ops < FLIP_OPS_MAX ? batch.nr_ops : FLIP_OPS_MAX;
	for (uint32_t i = 0; i < of_ops; i++)
		batch.op[i] = (struct flip_op){ .gref = i, .nr_sources = fuzz_u8(in) };
	for (uint32_t i = 0; i < batch.nr_sources && i < FLIP_SOURCES_MAX && in->left; i++) {
		batch.source[i].offset = fuzz_u16(in);
		batch.source[i].bytes = fuzz_u16(in);
	}
	send_batch(&batch);
	if (!flip_receive_batch(sock[1], &got))
		check_batch(&got);
}

static void check_answer(void)
{
	struct flip_answer answer;

	if (flip_receive_answer(sock[1], &answer))
		return;
	FUZZ_NEED(answer.nr_ops <= FLIP_OPS_MAX);
}

static void receive(uint8_t how)
{
	static union { struct flip_batch batch; struct flip_hello hello; struct control_msg msg;
		       uint8_t bytes[8192]; } got;
	unsigned nr = how / 64;
	int fds[4], fd = -1;

	switch (how % 6) {
	case 0:
		if (!flip_receive_batch(sock[1], &got.batch))
			check_batch(&got.batch);
		break;
	case 1: check_answer(); break;
	case 2: flip_receive_hello(sock[1], &got.hello, &fd); break;
	case 3:
		if (control_hear(sock[1], &got.msg, &fd))
			fd = -1;
		break;
	default:
		if (!packet_receive(sock[1], got.bytes, how / 8, MSG_DONTWAIT, fds, &nr))
			packet_close_fds(fds, nr);
	}
	if (fd >= 0)
		close(fd);
}

static int free_descriptor(void)
{
	int fd = dup(2);

	close(fd);
	return fd;
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	uint8_t raw[FUZZ_INPUT_MAX + 8192];
	struct fuzz_in in = { data, bytes };
	int before = free_descriptor();

	for (uint32_t i = 0; in.left && i < 16; i++) {
		uint8_t how = fuzz_u8(&in), of = fuzz_u8(&in);
		/* Sizes that are right, or nearly, or as they come. */
		static const size_t sizes[] = { sizeof(struct flip_answer), sizeof(struct flip_hello),
						sizeof(struct control_msg), 4, 12 };
		size_t n;

		FUZZ_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
		if (how & 1) {
			receive_batch(&in, how);
		} else {
			memset(raw, 0, sizeof(raw));
			n = fuzz_bytes(&in, raw, 16 + fuzz_u8(&in));
			if (of % 8 < 5)
				n = sizes[of % 8] + (how & 2 ? 1 : 0);
			send_raw(raw, n ? n : 1, how & 4 ? how / 16 : 0);
			receive(of % 8 == 0 ? 1 : of % 8 == 1 ? 2 : of % 8 == 2 ? 3 : of);
		}
		close(sock[0]);
		close(sock[1]);
	}
	FUZZ_NEED(free_descriptor() == before);	/* nobody kept one */
}
