/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine for images behind a server, with a server by hand on the other end of a socket
 * pair: one that answers as it is told to, or not at all, or ends at what it does not like.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "disk-bench.h"
#include "unit.h"
#include "util.h"

enum { NBD_READ, NBD_WRITE, NBD_DISC, NBD_FLUSH, NBD_TRIM, NBD_KINDS };

#define REQUEST_BYTES 28u
#define HELLO_BYTES 152u		/* the protocol's old style: the server speaks, and that is it */
#define FLAGS 0x25u			/* has flags, can flush and trim */
#define TIMEOUT_MS 1000u
#define PATIENCE_MS 10000

struct server {
	int sock;			/* -1: no connection */
	uint64_t bytes;			/* the export's */
	uint8_t in[2 * BYTES];
	size_t used;
	uint32_t seen[NBD_KINDS];	/* of all its connections */
	uint32_t err[NBD_KINDS];	/* what it answers */
	bool once;			/* ... to the first only */
	bool deaf, mute;		/* answers nothing; does not even greet */
	uint32_t pace_ms;		/* between two answers */
	uint64_t next_ms;
	bool ends_at_write;		/* at page 7: in the middle of what it has */
	bool ends_at_flush;
};

static struct server server;
static struct disk *disk;
static struct disk_config cfg;
static struct disk_remote remote;
static struct disk_flushes flushes;
static uint32_t lost_errno, nr_lost, nr_linked;
static uint8_t memory[BYTES] __attribute__((aligned(PAGE)));

/* ---- the server ------------------------------------------------------------------------------ */

static uint64_t get64(const uint8_t *at)
{
	uint64_t n;

	memcpy(&n, at, sizeof(n));
	return be64toh(n);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return be32toh(n);
}

static void put32(uint8_t *at, uint32_t n)
{
	n = htobe32(n);
	memcpy(at, &n, sizeof(n));
}

static void put64(uint8_t *at, uint64_t n)
{
	n = htobe64(n);
	memcpy(at, &n, sizeof(n));
}

static void tell(const void *data, size_t bytes)
{
	UNIT_EQ(send(server.sock, data, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

static void greet(void)
{
	uint8_t hello[HELLO_BYTES] = "NBDMAGIC";

	put64(hello + 8, 0x420281861253);
	put64(hello + 16, server.bytes);
	put32(hello + 24, FLAGS);
	tell(hello, sizeof(hello));
}

/* A new connection, which the engine is given one end of. */
static void link_server(void)
{
	const int bytes = 4 << 20;
	int pair[2];

	UNIT_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	server.sock = pair[0];
	server.used = 0;
	if (!server.mute)
		greet();
	disk_link(disk, pair[1]);
}

static void end_server(void)
{
	if (server.sock >= 0)
		close(server.sock);
	server.sock = -1;
}

/* How many bytes of what has come were one request; 0: not all of it is there. */
static size_t serve_one(void)
{
	static uint8_t zeros[BYTES];
	const uint8_t *in = server.in;
	uint8_t kind = in[7] % NBD_KINDS;
	uint32_t bytes = server.used >= REQUEST_BYTES ? get32(in + 24) : 0;
	size_t whole = REQUEST_BYTES + (kind == NBD_WRITE ? bytes : 0);
	uint8_t answer[16];

	if (server.used < REQUEST_BYTES || server.used < whole)
		return 0;
	UNIT_EQ(get32(in), 0x25609513);
	UNIT_EQ(in[7], kind);
	server.seen[kind]++;
	if (server.ends_at_write && kind == NBD_WRITE && get64(in + 16) == 7 * PAGE) {
		end_server();
		return 0;
	}
	if (server.ends_at_flush && kind == NBD_FLUSH) {
		end_server();
		return 0;
	}
	if (server.deaf || kind == NBD_DISC)
		return whole;
	put32(answer, 0x67446698);
	put32(answer + 4, server.err[kind]);
	memcpy(answer + 8, in + 8, 8);
	tell(answer, sizeof(answer));
	if (kind == NBD_READ && !server.err[kind])
		tell(zeros, bytes);
	if (server.once)
		server.err[kind] = 0;
	return whole;
}

static void server_turn(void)
{
	ssize_t n;
	size_t taken;

	if (server.sock < 0)
		return;
	n = recv(server.sock, server.in + server.used, sizeof(server.in) - server.used, 0);
	if (!n)
		end_server();
	if (n > 0)
		server.used += (size_t)n;
	while (server.sock >= 0 && now_ms() >= server.next_ms && (taken = serve_one())) {
		server.used -= taken;
		memmove(server.in, server.in + taken, server.used);
		server.next_ms = server.pace_ms ? now_ms() + server.pace_ms : 0;
	}
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void on_linked(void *arg, uint64_t bytes)
{
	(void)arg;
	(void)bytes;
	nr_linked++;
}

static void on_lost(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	nr_lost++;
	end_server();
}

static bool is_orphan;

static bool on_is_orphan(void *arg)
{
	(void)arg;
	return is_orphan;
}

static void setup(bool keeps, uint32_t timeout_ms)
{
	char why[100] = "";

	server = (struct server){ .sock = -1, .bytes = BYTES };
	lost_errno = nr_lost = nr_linked = 0;
	is_orphan = false;
	pthread_mutex_init(&flushes.lock, NULL);
	flushes.lost = &lost_errno;
	flushes.elder = -1;
	remote = (struct disk_remote){ .export = "", .keeps_unflushed = keeps,
				       .timeout_ms = timeout_ms, .linked = on_linked,
				       .lost = on_lost, .is_orphan = on_is_orphan };
	cfg = (struct disk_config){ .fd = -1, .flushes = &flushes, .depth = 8, .max_iov = 2048,
				    .remote = &remote };
	UNIT_EQ(disk_open(&disk_nbd, &cfg, &disk, why, sizeof(why)), 0);
}

static void turn(void)
{
	struct pollfd p[2] = { { .fd = disk_fd(disk), .events = POLLIN },
			       { .fd = server.sock, .events = POLLIN } };

	poll(p, 2, 50);
	server_turn();
	disk_attend(disk);
}

/* Until the operation has ended, or it never does. */
static int wait_io(const struct io *x)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (!x->done && now_ms() < end) {
		turn();
		if (server.sock < 0 && server.ends_at_write)
			link_server();
	}
	UNIT_EQ(x->done, 1);
	return x->err;
}

static void submit(struct io *x, enum disk_op op, uint64_t at, uint64_t bytes)
{
	set_io(x, op, at, bytes);
	if (bytes)
		set_pieces(x, memory, 1);
	disk_submit(disk, &x->io);
}

static int run(enum disk_op op, uint64_t at, uint64_t bytes)
{
	struct io x;

	submit(&x, op, at, bytes);
	return wait_io(&x);
}

static bool becomes_ready(uint32_t nr)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (nr_linked < nr && now_ms() < end)
		turn();
	return nr_linked == nr;
}

static bool loses(uint32_t nr)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (nr_lost < nr && now_ms() < end)
		turn();
	return nr_lost == nr;
}

/* Nobody would answer while it closes. */
static void teardown(void)
{
	end_server();
	disk_close(disk);
}

/* ---- tests -------------------------------------------------------------------------------------- */

/* The server says once that data is gone, as its kernel does. */
static void test_lost(void)
{
	setup(true, 0);
	link_server();
	UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
	UNIT_EQ(run(DISK_FLUSH, 0, 0), 0);
	UNIT_EQ(lost_errno, 0);
	UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
	server.err[NBD_FLUSH] = EIO;
	UNIT_EQ(run(DISK_FLUSH, 0, 0), -EIO);
	server.err[NBD_FLUSH] = 0;
	UNIT_EQ(run(DISK_FLUSH, 0, 0), -EIO);
	UNIT_EQ(lost_errno, EIO);
	UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
	/* What the server has not brought to its disk is kept, for the next one. */
	end_server();
	UNIT_OK(loses(1));
	server.seen[NBD_WRITE] = 0;
	link_server();
	UNIT_OK(becomes_ready(2));
	UNIT_EQ(server.seen[NBD_WRITE], 2);
	UNIT_EQ(run(DISK_FLUSH, 0, 0), -EIO);
	teardown();
}

/* It cannot flush: nothing is lost by that. */
static void test_not_lost(void)
{
	setup(false, 0);
	link_server();
	server.err[NBD_FLUSH] = EINVAL;
	UNIT_EQ(run(DISK_FLUSH, 0, 0), -EINVAL);
	server.err[NBD_FLUSH] = 0;
	UNIT_EQ(run(DISK_FLUSH, 0, 0), 0);
	teardown();
}

/* Two flushes on their way: neither says that all is well when one says it is not. */
static void test_lost_together(void)
{
	struct io first, second;

	setup(false, 0);
	link_server();
	UNIT_OK(becomes_ready(1));
	server.err[NBD_FLUSH] = EIO;
	server.once = true;
	submit(&first, DISK_FLUSH, 0, 0);
	submit(&second, DISK_FLUSH, 0, 0);
	UNIT_EQ(wait_io(&first), -EIO);
	UNIT_EQ(wait_io(&second), -EIO);
	teardown();
}

static void *serve_on(void *arg)
{
	(void)arg;
	while (server.sock >= 0) {
		struct pollfd p = { .fd = server.sock, .events = POLLIN };

		poll(&p, 1, 1000);
		server_turn();
	}
	return NULL;
}

/* Whoever ends while its front end stays connected has made durable what was answered. */
static void test_last_flush(void)
{
	for (int kept = 0; kept < 2; kept++) {
		pthread_t thread;

		setup(kept, 0);
		link_server();
		UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
		server.err[NBD_FLUSH] = EIO;
		UNIT_NEED(!pthread_create(&thread, NULL, serve_on, NULL));
		disk_close(disk);
		pthread_join(thread, NULL);
		UNIT_EQ(server.seen[NBD_FLUSH], kept);
		UNIT_EQ(lost_errno, kept ? EIO : 0);
	}
}

/*
 * The server ends at the last flush: with the daemon, which has told it to, so that it writes
 * back what it has; or for reasons of its own.
 */
static void test_last_flush_lost(void)
{
	for (int orphan = 0; orphan < 2; orphan++) {
		pthread_t thread;

		setup(true, 0);
		link_server();
		UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
		is_orphan = orphan;
		server.ends_at_flush = true;
		UNIT_NEED(!pthread_create(&thread, NULL, serve_on, NULL));
		disk_close(disk);
		pthread_join(thread, NULL);
		UNIT_EQ(server.seen[NBD_FLUSH], 1);
		UNIT_EQ(lost_errno, orphan ? 0 : EIO);
	}
}

/* A request by which the server ends, each time, and one before and one behind it. */
static void test_deadly(void)
{
	uint64_t began = now_ms();
	struct io before, deadly, behind;

	setup(false, TIMEOUT_MS);
	link_server();
	server.ends_at_write = true;
	submit(&before, DISK_READ, 0, PAGE);
	submit(&deadly, DISK_WRITE, 7 * PAGE, PAGE);
	UNIT_EQ(wait_io(&deadly), -ETIMEDOUT);
	UNIT_OK(now_ms() - began >= TIMEOUT_MS);
	UNIT_EQ(wait_io(&before), 0);
	UNIT_OK(server.seen[NBD_WRITE] >= 3);
	/* It alone: what comes now is served. */
	submit(&behind, DISK_WRITE, 0, PAGE);
	UNIT_EQ(wait_io(&behind), 0);
	teardown();
}

/* More than the stage holds, in more pieces than commands can be on their way; the server hangs. */
static void test_many_pieces(void)
{
	static struct iovec iov[1024];
	struct io x;

	setup(false, TIMEOUT_MS);
	server.bytes = 2 * BYTES;
	link_server();
	UNIT_OK(becomes_ready(1));
	server.deaf = true;
	for (uint32_t i = 0; i < UNIT_LEN(iov); i++)
		iov[i] = (struct iovec){ memory + i % 2 * PAGE, PAGE / 2 };
	set_io(&x, DISK_WRITE, 0, UNIT_LEN(iov) * PAGE / 2);
	x.io.iov = iov;
	x.io.nr_iov = UNIT_LEN(iov);
	disk_submit(disk, &x.io);
	UNIT_EQ(wait_io(&x), -ETIMEDOUT);
	UNIT_EQ(nr_lost, 1);
	teardown();
}

/* An operation of many commands, and one behind it: each answer in time, all together not. */
static void test_steady(void)
{
	struct io large, behind;

	setup(false, TIMEOUT_MS);
	server.bytes = 8ull << 30;
	link_server();
	UNIT_OK(becomes_ready(1));
	server.pace_ms = TIMEOUT_MS / 5;
	set_io(&large, DISK_DISCARD, 0, server.bytes);
	disk_submit(disk, &large.io);
	submit(&behind, DISK_READ, 0, PAGE);
	UNIT_EQ(wait_io(&large), 0);
	UNIT_EQ(server.seen[NBD_TRIM], 8);
	UNIT_EQ(wait_io(&behind), 0);
	UNIT_EQ(nr_lost, 0);
	server.deaf = true;
	UNIT_EQ(run(DISK_READ, 0, PAGE), -ETIMEDOUT);
	teardown();
}

/* A server that takes a connection and does not even greet. */
static void test_mute(void)
{
	setup(false, TIMEOUT_MS);
	server.mute = true;
	link_server();
	UNIT_OK(loses(1));
	link_server();
	UNIT_EQ(run(DISK_READ, 0, PAGE), -ETIMEDOUT);
	UNIT_OK(loses(2));
	server.mute = false;
	link_server();
	UNIT_OK(becomes_ready(1));
	UNIT_EQ(run(DISK_READ, 0, PAGE), 0);
	teardown();
}

/* The next server has less room than what is to be written again needs. */
static void test_smaller(void)
{
	setup(true, TIMEOUT_MS);
	link_server();
	UNIT_EQ(run(DISK_WRITE, BYTES - PAGE, PAGE), 0);
	end_server();
	UNIT_OK(loses(1));
	server.bytes = BYTES / 2;
	link_server();
	UNIT_OK(loses(2));
	UNIT_EQ(nr_linked, 1);
	server.bytes = BYTES;
	link_server();
	UNIT_OK(becomes_ready(2));
	server.seen[NBD_FLUSH] = 0;
	UNIT_EQ(run(DISK_FLUSH, 0, 0), 0);
	teardown();
}

/* Who ends without a server leaves word of what was answered, unless it can be written again. */
static void test_owed(void)
{
	setup(true, 0);
	link_server();
	UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
	UNIT_OK(!disk_owes(disk));
	end_server();
	UNIT_OK(loses(1));
	UNIT_OK(disk_owes(disk));
	disk_note_owed(disk);
	UNIT_EQ(lost_errno, EIO);
	link_server();
	UNIT_OK(becomes_ready(2));
	UNIT_OK(!disk_owes(disk));
	UNIT_EQ(lost_errno, 0);
	/* One that goes with the daemon has ended in good order, or is doing so. */
	is_orphan = true;
	end_server();
	UNIT_OK(loses(2));
	disk_note_owed(disk);
	UNIT_EQ(lost_errno, 0);
	usleep(1500000);
	teardown();
	UNIT_EQ(lost_errno, EIO);
}

/* What is flushed is owed to nobody; nor is what is said to be lost already taken back. */
static void test_owes_nothing(void)
{
	setup(true, 0);
	link_server();
	UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
	UNIT_EQ(run(DISK_FLUSH, 0, 0), 0);
	end_server();
	UNIT_OK(loses(1));
	UNIT_OK(!disk_owes(disk));
	usleep(1500000);
	disk_note_owed(disk);
	UNIT_EQ(lost_errno, 0);
	link_server();
	UNIT_OK(becomes_ready(2));
	UNIT_EQ(run(DISK_WRITE, 0, PAGE), 0);
	server.err[NBD_FLUSH] = EIO;
	UNIT_EQ(run(DISK_FLUSH, 0, 0), -EIO);
	end_server();
	UNIT_OK(loses(2));
	usleep(1500000);
	disk_note_owed(disk);
	server.err[NBD_FLUSH] = 0;
	link_server();
	UNIT_OK(becomes_ready(3));
	UNIT_EQ(lost_errno, EIO);
	teardown();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a failed flush is remembered", test_lost },
		{ "a flush that cannot be had loses nothing", test_not_lost },
		{ "two flushes at a time", test_lost_together },
		{ "the last flush", test_last_flush },
		{ "the server ends at the last flush", test_last_flush_lost },
		{ "what is owed when the server is gone", test_owed },
		{ "and what is not", test_owes_nothing },
		{ "a request that ends the server", test_deadly },
		{ "more pieces than commands", test_many_pieces },
		{ "many answers, each in time", test_steady },
		{ "a server that does not greet", test_mute },
		{ "a smaller server", test_smaller },
	};

	return unit_run("disk-nbd", tests, UNIT_LEN(tests));
}
