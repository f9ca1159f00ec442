/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the flip helper believes of a message, and what not: it holds the hypercall
 * device, and a worker may be in a guest's hands.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flip.h"
#include "unit.h"

static int sock[2];
static struct flip_batch batch, got;

static void start(void)
{
	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
	memset(&batch, 0, sizeof(batch));
	memset(&got, 0xa5, sizeof(got));
	batch.type = FLIP_TRANSFER;
}

static void end(void)
{
	close(sock[0]);
	close(sock[1]);
}

static void add_op(uint32_t nr_sources, uint16_t offset, uint16_t bytes)
{
	struct flip_op *op = &batch.op[batch.nr_ops++];

	op->gref = 100 + batch.nr_ops;
	op->domid = 7;
	op->nr_sources = (uint16_t)nr_sources;
	while (nr_sources--)
		batch.source[batch.nr_sources++] = (struct flip_source){
			.gref = 9, .domid = 3, .offset = offset, .bytes = bytes,
		};
}

static int pass(void)
{
	UNIT_EQ(flip_send_batch(sock[0], &batch), 0);
	return flip_receive_batch(sock[1], &got);
}

static void test_both_ways(void)
{
	struct flip_answer answer = { .nr_pages = 200, .nr_ops = 3, .outcome = { 0, 1, 2 } }, back;

	start();
	add_op(1, 0, 4096);
	add_op(4, 3000, 1024);
	add_op(0, 0, 0);
	UNIT_EQ(pass(), 0);
	UNIT_EQ(got.type, FLIP_TRANSFER);
	UNIT_EQ(got.nr_ops, 3);
	UNIT_EQ(got.nr_sources, 5);
	UNIT_OK(!memcmp(got.op, batch.op, 3 * sizeof(got.op[0])));
	UNIT_OK(!memcmp(got.source, batch.source, 5 * sizeof(got.source[0])));
	UNIT_EQ(flip_send_answer(sock[1], &answer), 0);
	UNIT_EQ(flip_receive_answer(sock[0], &back), 0);
	UNIT_EQ(back.nr_pages, 200);
	UNIT_EQ(back.nr_ops, 3);
	UNIT_OK(!memcmp(back.outcome, answer.outcome, 3));
	batch = (struct flip_batch){ .type = FLIP_GET };
	UNIT_EQ(pass(), 0);
	UNIT_EQ(got.type, FLIP_GET);
	UNIT_EQ(got.nr_ops, 0);
	end();
}

static void test_largest(void)
{
	start();
	for (uint32_t i = 0; i < FLIP_OPS_MAX; i++)
		add_op(FLIP_SOURCES_MAX / FLIP_OPS_MAX, 4095, 1);
	UNIT_EQ(pass(), 0);
	UNIT_EQ(got.nr_ops, FLIP_OPS_MAX);
	UNIT_EQ(got.nr_sources, FLIP_SOURCES_MAX);
	end();
}

static void refuse(void)
{
	UNIT_EQ(pass(), -EPROTO);
	end();
	start();
}

static void test_not_believed(void)
{
	start();
	add_op(1, 4000, 97);		/* across the end of a page */
	refuse();
	add_op(1, 65535, 65535);
	refuse();
	add_op(3, 0, 2000);		/* more than a page holds */
	refuse();
	add_op(2, 0, 10);		/* names more sources than there are */
	batch.nr_sources = 1;
	refuse();
	add_op(1, 0, 10);		/* a source that is nobody's */
	batch.nr_sources = 2;
	refuse();
	add_op(1, 0, 10);
	add_op(1, 0, 10);
	batch.op[0].nr_sources = 65535;
	refuse();
	add_op(1, 0, 10);
	batch.type = FLIP_JOIN;		/* not a worker's to say */
	refuse();
	end();
}

/* Octets as they come, behind the four words that count. */
static int pass_raw(uint32_t version, uint32_t nr_ops, uint32_t nr_sources, size_t bytes)
{
	uint8_t data[16384] = { 0 };
	const uint32_t head[4] = { version, FLIP_TRANSFER, nr_ops, nr_sources };

	memcpy(data, head, sizeof(head));
	UNIT_EQ(send(sock[0], data, bytes, 0), (long)bytes);
	return flip_receive_batch(sock[1], &got);
}

static void test_raw(void)
{
	start();
	UNIT_EQ(pass_raw(FLIP_VERSION, 1, 0, 16 + sizeof(struct flip_op)), 0);
	UNIT_EQ(pass_raw(FLIP_VERSION + 1, 1, 0, 16 + sizeof(struct flip_op)), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, 1, 0, 16), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, 1, 0, 17 + sizeof(struct flip_op)), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, FLIP_OPS_MAX + 1, 0,
			 16 + (FLIP_OPS_MAX + 1) * sizeof(struct flip_op)), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, 0, FLIP_SOURCES_MAX + 1,
			 16 + (FLIP_SOURCES_MAX + 1) * sizeof(struct flip_source)), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, UINT32_MAX, UINT32_MAX, 64), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, 0, 0, 7), -EPROTO);
	UNIT_EQ(pass_raw(FLIP_VERSION, 0, 0, 16384), -EPROTO);
	close(sock[0]);
	UNIT_EQ(flip_receive_batch(sock[1], &got), -EPIPE);
	close(sock[1]);
}

static void test_hello(void)
{
	struct flip_hello hello = { .version = FLIP_VERSION, .type = FLIP_JOIN }, back;
	int fd = -1;

	start();
	memset(hello.failure.reason, 'x', sizeof(hello.failure.reason));
	UNIT_EQ(flip_send_hello(sock[0], &hello, 1), 0);
	UNIT_EQ(flip_receive_hello(sock[1], &back, &fd), 0);
	UNIT_OK(fd > 2);
	UNIT_EQ(strlen(back.failure.reason), sizeof(back.failure.reason) - 1);
	close(fd);
	hello.type = FLIP_GET;		/* not a supervisor's to say */
	UNIT_EQ(flip_send_hello(sock[0], &hello, 1), 0);
	UNIT_EQ(flip_receive_hello(sock[1], &back, &fd), -EPROTO);
	UNIT_EQ(fd, -1);
	hello.type = FLIP_READY;
	hello.version++;
	UNIT_EQ(flip_send_hello(sock[0], &hello, -1), 0);
	UNIT_EQ(flip_receive_hello(sock[1], &back, &fd), -EPROTO);
	end();
}

static const struct unit_test tests[] = {
	{ "both ways", test_both_ways },
	{ "the largest", test_largest },
	{ "what is not believed", test_not_believed },
	{ "raw octets", test_raw },
	{ "the supervisor's", test_hello },
};

int main(void)
{
	return unit_run("flip-message", tests, UNIT_LEN(tests));
}
