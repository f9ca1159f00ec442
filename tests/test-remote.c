/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote.h, of a server that somebody else runs: when connections are made, and when not yet.
 * The test is the server and the supervisor; as "--worker" it is the process that dials, without
 * a sandbox and without a word of NBD.
 */
#include "remote.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "process.h"
#include "unit.h"
#include "util.h"

#define BYTES (1u << 20)
#define PATIENCE_MS 20000

static struct evloop *loop;
static struct remote *remote;
static char place[100];
static int listener;
static struct backend_config config;
static struct log_peer peer;
static int opened, nr_connected;
static uint32_t link_number[VBD_QUEUES_MAX];
static uint32_t last_queue;

/* ---- the process that dials ---------------------------------------------------------------- */

static int dial_main(void)
{
	struct worker_msg msg, answer = { .version = WORKER_VERSION, .type = WORKER_DIALED };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || worker_receive(PROCESS_FD, &msg, NULL, NULL) || msg.type != WORKER_DIAL)
		return 1;
	memcpy(sa.sun_path, msg.dial.at.socket, sizeof(sa.sun_path));
	if (msg.dial.nr && connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return 1;
	if (!msg.dial.nr)
		answer.dialed.bytes = BYTES;
	return worker_send(PROCESS_FD, &answer, &fd, msg.dial.nr) ? 1 : 0;
}

/* ---- the supervisor -------------------------------------------------------------------------- */

static void on_opened(void *arg, int err, const char *why)
{
	(void)arg;
	(void)why;
	UNIT_EQ(err, 0);
	opened++;
}

static void on_connected(void *arg, uint32_t queue, uint32_t number, int fd)
{
	(void)arg;
	(void)fd;
	nr_connected++;
	link_number[queue] = number;
	UNIT_OK(!remote_linked(remote, queue, number, BYTES));
	last_queue = queue;
}

static const struct remote_events events = { .opened = on_opened, .connected = on_connected };

/* The server's end of a connection, the next that was made. */
static int accepted(void)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	UNIT_EQ(poll(&p, 1, PATIENCE_MS), 1);
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

/* Turns until so many connections have been made, in all, or the time is over. */
static bool connects(int nr, uint64_t patience_ms)
{
	uint64_t end = now_ms() + patience_ms;

	while (nr_connected < nr && now_ms() < end)
		evloop_turn(loop, 10);
	return nr_connected >= nr;
}

static void setup(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct remote_what what = { .config = &config, .name = { "vbd", 1, 51712 }, .log = &peer };
	uint64_t end = now_ms() + PATIENCE_MS;

	opened = nr_connected = 0;
	snprintf(place, sizeof(place), "/tmp/test-remote.%d", (int)getpid());
	unlink(place);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", place);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	UNIT_NEED(!bind(listener, (struct sockaddr *)&sa, sizeof(sa)) && !listen(listener, 64));
	UNIT_NEED(!evloop_open(&loop));
	config = (struct backend_config){ .kind = "vbd", .program = "/proc/self/exe",
					  .name = "test-remote", .log_level = "error",
					  .stop_ms = 1000 };
	log_peer_init(&peer, "vbd 1/51712");
	what.storage.kind = STORAGE_NBD;
	snprintf(what.storage.at.socket, sizeof(what.storage.at.socket), "%s", place);
	UNIT_NEED(!remote_open(loop, &what, &events, NULL, &remote));
	while (!opened && now_ms() < end)
		evloop_turn(loop, 10);
	UNIT_EQ(opened, 1);
	UNIT_EQ(remote_info(remote)->bytes, BYTES);
}

static void teardown(void)
{
	remote_close(remote);
	evloop_close(loop);
	close(listener);
	unlink(place);
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void test_connections(void)
{
	setup();
	remote_serve(remote, 2);
	UNIT_OK(connects(2, PATIENCE_MS));
	UNIT_OK(!connects(3, 300));
	UNIT_OK(remote_is_settled(remote));
	remote_lost(remote, 1, link_number[1] - 1, "one before");
	UNIT_OK(remote_is_settled(remote));
	teardown();
}

/*
 * A server that takes connections and ends each of them, for several queues: it is asked more and
 * more rarely, whichever queue it is for. (Pauses of 100, 200 and 400 ms, at least.)
 */
static void test_storm(void)
{
	uint64_t began;

	setup();
	began = now_ms();
	remote_serve(remote, 3);
	for (int nr = 1; nr <= 7; nr++) {
		UNIT_OK(connects(nr, PATIENCE_MS));
		close(accepted());
		/* The next one is being dialled already, for another queue. */
		remote_lost(remote, last_queue, link_number[last_queue], "it has ended");
	}
	UNIT_OK(now_ms() - began >= 600);
	teardown();
}

/*
 * A worker has lost a connection with requests on their way, gave them up, and ended in good order:
 * its successor gets one only when the server has ended the old.
 */
static void test_fence_of_a_rest(void)
{
	int old;

	setup();
	remote_serve(remote, 1);
	UNIT_OK(connects(1, PATIENCE_MS));
	old = accepted();
	remote_lost(remote, 0, link_number[0], "no answer");
	UNIT_OK(!connects(2, 300));
	remote_rest(remote, true);
	remote_serve(remote, 1);
	UNIT_OK(!connects(2, 500));
	close(old);
	UNIT_OK(connects(2, PATIENCE_MS));
	/* One that rests when it has drained asks for no other. */
	old = accepted();
	remote_lost(remote, 0, link_number[0], "no answer");
	remote_rest(remote, true);
	close(old);
	UNIT_OK(!connects(3, 500));
	UNIT_OK(remote_is_settled(remote));
	teardown();
}

/* The next worker has fewer queues: a connection of one that died is ended like any other. */
static void test_fewer(void)
{
	int old[2];
	char octet;

	setup();
	remote_serve(remote, 2);
	UNIT_OK(connects(2, PATIENCE_MS));
	old[0] = accepted();
	old[1] = accepted();
	remote_rest(remote, false);
	remote_serve(remote, 1);
	UNIT_EQ(recv(old[0], &octet, 1, MSG_DONTWAIT), 0);
	UNIT_EQ(recv(old[1], &octet, 1, MSG_DONTWAIT), 0);
	close(old[0]);
	close(old[1]);
	UNIT_OK(connects(3, PATIENCE_MS));
	UNIT_OK(!connects(4, 300));
	teardown();
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "one for each queue", test_connections },
		{ "a server that ends all connections", test_storm },
		{ "the fence, of a worker that has ended", test_fence_of_a_rest },
		{ "fewer queues", test_fewer },
	};

	if (argc > 1 && !strcmp(argv[1], "--worker"))
		return dial_main();
	return unit_run("remote", tests, UNIT_LEN(tests));
}
