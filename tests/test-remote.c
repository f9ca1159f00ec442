/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote.h: when connections are made, and when not yet; when answered writes may be lost. The
 * test is the supervisor, and the server that somebody else runs; as "--worker" it is the process
 * that dials, without a sandbox and without a word of NBD, and a server of ours.
 */
#include "remote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
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
static char place[40];
static int listener;
static struct backend_config config;
static struct log_peer peer;
static int opened, nr_connected, nr_lost;
static uint32_t link_number[VBD_QUEUES_MAX];
static uint32_t last_queue;
static bool is_mute;			/* the server: no connection to it becomes ready */

/* ---- the process that dials, and a server of ours ------------------------------------------- */

/* What the test says to them: files beside its socket. */
static const char *word(const char *name)
{
	static char path[100];

	snprintf(path, sizeof(path), "%s/%s", getenv("TEST_REMOTE_DIR"), name);
	return path;
}

/* To our own server it makes no connection: nobody is at the other end. */
static int dial_main(const struct worker_msg *msg)
{
	struct worker_msg answer = { .version = WORKER_VERSION, .type = WORKER_DIALED };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, msg->dial.at.socket, sizeof(sa.sun_path));
	if (msg->dial.nr && !msg->dial.patience_ms && connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return 1;
	while (msg->dial.nr && !access(word("hold"), F_OK))
		usleep(10000);
	if (!msg->dial.nr)
		answer.dialed.bytes = BYTES;
	if (msg->dial.flush && !access(word("broken"), F_OK))
		answer.type = WORKER_FAILED;
	return worker_send(PROCESS_FD, &answer, &fd, msg->dial.nr) ? 1 : 0;
}

static void on_term(int signal)
{
	(void)signal;
	close(open(word("told"), O_CREAT | O_CLOEXEC, 0600));
	if (access(word("deaf"), F_OK))
		_exit(0);
}

static int server_main(void)
{
	char new[100];
	FILE *f;

	signal(SIGTERM, on_term);
	f = fopen(word("new"), "w");
	if (!f || fprintf(f, "%d", (int)getpid()) < 0 || fclose(f))
		return 1;
	/* Whole, or not there. */
	snprintf(new, sizeof(new), "%s", word("new"));
	if (rename(new, word("pid")))
		return 1;
	for (;;)
		pause();
}

static int child_main(void)
{
	struct worker_msg msg;

	if (worker_receive(PROCESS_FD, &msg, NULL, NULL))
		return 1;
	if (msg.type == WORKER_EXEC)
		return server_main();
	return msg.type == WORKER_DIAL ? dial_main(&msg) : 1;
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
	if (!is_mute)
		UNIT_OK(!remote_linked(remote, queue, number, BYTES));
	last_queue = queue;
}

static void on_lost_writes(void *arg)
{
	(void)arg;
	nr_lost++;
}

static const struct remote_events events = {
	.opened = on_opened, .connected = on_connected, .lost_writes = on_lost_writes,
};

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

static void setup_of(enum storage_kind kind)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct remote_what what = { .config = &config, .name = { "vbd", 1, 51712 }, .log = &peer,
				    .image_fd = -1 };
	uint64_t end = now_ms() + PATIENCE_MS;

	opened = nr_connected = nr_lost = 0;
	snprintf(place, sizeof(place), "/tmp/test-remote.XXXXXX");
	UNIT_NEED(mkdtemp(place));
	setenv("TEST_REMOTE_DIR", place, 1);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", word("socket"));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	UNIT_NEED(!bind(listener, (struct sockaddr *)&sa, sizeof(sa)) && !listen(listener, 64));
	UNIT_NEED(!evloop_open(&loop));
	config = (struct backend_config){ .kind = "vbd", .program = "/proc/self/exe",
					  .name = "test-remote", .log_level = "error",
					  .stop_ms = 1000 };
	snprintf(config.rundir.path, sizeof(config.rundir.path), "%s", place);
	log_peer_init(&peer, "vbd 1/51712");
	what.storage.kind = kind;
	snprintf(what.storage.at.socket, sizeof(what.storage.at.socket), "%s", sa.sun_path);
	UNIT_NEED(!remote_open(loop, &what, &events, NULL, &remote));
	while (!opened && now_ms() < end)
		evloop_turn(loop, 10);
	UNIT_EQ(opened, 1);
	UNIT_EQ(remote_info(remote)->bytes, BYTES);
}

static void setup(void)
{
	setup_of(STORAGE_NBD);
}

static void say(const char *name, bool on)
{
	FILE *f = on ? fopen(word(name), "w") : NULL;

	if (f)
		fclose(f);
	else
		unlink(word(name));
}

static void teardown(void)
{
	static const char *const names[] = { "socket", "hold", "deaf", "broken", "told", "pid", "new" };

	say("deaf", false);
	remote_close(remote);	/* of none, too */
	evloop_close(loop);
	close(listener);
	for (size_t i = 0; i < UNIT_LEN(names); i++)
		unlink(word(names[i]));
	UNIT_EQ(rmdir(place), 0);
}

/* Our server, another than before. */
static pid_t server_after(pid_t before)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	int pid = 0;

	while ((pid <= 0 || pid == before) && now_ms() < end) {
		FILE *f = fopen(word("pid"), "r");

		if (f && fscanf(f, "%d", &pid) != 1)
			pid = 0;
		if (f)
			fclose(f);
		evloop_turn(loop, 10);
	}
	UNIT_OK(pid > 0 && pid != before);
	return (pid_t)pid;
}

/* A worker is connected to a server of ours. */
static pid_t serve(void)
{
	pid_t server;

	setup_of(STORAGE_SERVED);
	server = server_after(0);
	remote_serve(remote, 1);
	UNIT_OK(connects(1, PATIENCE_MS));
	return server;
}

static void dies(pid_t server, int signal)
{
	UNIT_NEED(server > 0);
	UNIT_EQ(kill(server, signal), 0);
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
 * A server that takes connections and ends each of them, for several queues, before or after it has
 * greeted: it is asked more and more rarely, whichever queue it is for. (Pauses of 100, 200 and
 * 400 ms, at least.)
 */
static void storm(bool mute)
{
	uint64_t began;

	setup();
	is_mute = mute;
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
	is_mute = false;
}

static void test_storm(void)
{
	storm(false);
	storm(true);
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

static void on_ended(void *arg)
{
	(*(int *)arg)++;
}

/* Nobody wants it any more: who has the image next must not come before what is on its way. */
static void test_fence_of_the_end(void)
{
	uint64_t end;
	int nr_ended = 0, old[2];

	setup();
	remote_serve(remote, 2);
	UNIT_OK(connects(2, PATIENCE_MS));
	old[0] = accepted();
	old[1] = accepted();
	remote_lost(remote, 0, link_number[0], "no answer");
	/* The other one's worker dies. */
	remote_rest(remote, false);
	remote_attend(remote, NULL, NULL);
	UNIT_OK(!remote_end(remote, on_ended, &nr_ended));
	for (int i = 0; i < 2; i++) {
		for (end = now_ms() + 200; now_ms() < end;)
			evloop_turn(loop, 10);
		UNIT_EQ(nr_ended, 0);
		close(old[i]);
	}
	for (end = now_ms() + PATIENCE_MS; !nr_ended && now_ms() < end;)
		evloop_turn(loop, 10);
	UNIT_EQ(nr_ended, 1);
	teardown();
	/* With all answered there is nothing to wait for. */
	setup();
	remote_serve(remote, 1);
	UNIT_OK(connects(1, PATIENCE_MS));
	remote_rest(remote, true);
	UNIT_OK(remote_end(remote, on_ended, &nr_ended));
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

/* Nobody uses it yet when it dies: that another has begun is enough. */
static void test_idle(void)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	pid_t server;

	setup_of(STORAGE_SERVED);
	server = server_after(0);
	dies(server, SIGKILL);
	while (!remote_is_away(remote) && now_ms() < end)
		evloop_turn(loop, 10);
	UNIT_OK(remote_is_away(remote));
	server_after(server);
	UNIT_OK(!remote_is_away(remote));
	UNIT_OK(remote_is_settled(remote));
	teardown();
}

/* The server dies with what it had; the worker, too, before it has made it again. */
static void test_lost_one_after_the_other(void)
{
	pid_t server = serve();

	say("hold", true);
	dies(server, SIGKILL);
	server = server_after(server);
	UNIT_EQ(nr_lost, 0);
	remote_rest(remote, false);
	UNIT_EQ(nr_lost, 1);
	say("hold", false);
	remote_serve(remote, 1);
	UNIT_OK(connects(2, PATIENCE_MS));
	/* Made again, it is the worker's to lose no more. */
	dies(server, SIGKILL);
	UNIT_OK(connects(3, PATIENCE_MS));
	remote_rest(remote, false);
	remote_serve(remote, 1);
	UNIT_OK(connects(4, PATIENCE_MS));
	UNIT_EQ(nr_lost, 1);
	teardown();
}

/* A worker dies that has not spoken to this server: whatever becomes of that, the next one lives. */
static void test_nothing_lost(void)
{
	pid_t server = serve();

	say("hold", true);
	dies(server, SIGTERM);
	server = server_after(server);
	remote_rest(remote, false);
	say("hold", false);
	remote_serve(remote, 1);
	UNIT_OK(connects(2, PATIENCE_MS));
	dies(server, SIGKILL);
	UNIT_OK(connects(3, PATIENCE_MS));
	UNIT_EQ(nr_lost, 0);
	teardown();
}

/* Told to end it dies all the same, of something else. */
static void test_lost_at_its_end(void)
{
	pid_t server = serve();

	say("deaf", true);
	say("broken", true);
	remote_rest(remote, false);
	remote_serve(remote, 1);
	dies(server, SIGSEGV);
	UNIT_OK(connects(2, PATIENCE_MS));
	UNIT_EQ(nr_lost, 1);
	say("broken", false);
	/* The worker says first that it has gone. */
	server = server_after(server);
	say("hold", true);
	remote_lost(remote, 0, link_number[0], "the server has closed the connection");
	dies(server, SIGKILL);
	server_after(server);
	remote_rest(remote, false);
	UNIT_EQ(nr_lost, 2);
	teardown();
}

/* It ends as if all were well, and has not said that it could write back what it had. */
static void test_lost_though_in_order(void)
{
	pid_t server = serve();

	remote_rest(remote, false);
	remote_serve(remote, 1);
	UNIT_OK(connects(2, PATIENCE_MS));
	UNIT_EQ(nr_lost, 0);
	server = server_after(server);
	say("broken", true);
	remote_rest(remote, false);
	remote_serve(remote, 1);
	UNIT_OK(connects(3, PATIENCE_MS));
	UNIT_EQ(nr_lost, 1);
	say("broken", false);
	/* Nobody asks it while a worker has copies, which then goes with them. */
	server = server_after(server);
	say("hold", true);
	remote_lost(remote, 0, link_number[0], "the server has closed the connection");
	server_after(server);
	remote_rest(remote, false);
	UNIT_EQ(nr_lost, 2);
	teardown();
}

/* Whatever becomes of one that has flushed. */
static void test_nothing_lost_that_was_flushed(void)
{
	pid_t server = serve();
	uint64_t end = now_ms() + PATIENCE_MS;

	say("deaf", true);
	remote_rest(remote, false);
	remote_serve(remote, 1);
	while (access(word("told"), F_OK) && now_ms() < end)
		evloop_turn(loop, 10);
	dies(server, SIGSEGV);
	UNIT_OK(connects(2, PATIENCE_MS));
	UNIT_EQ(nr_lost, 0);
	teardown();
}

/* The daemon ends while the server is asked to flush. */
static void test_closed_meanwhile(void)
{
	for (int broken = 0; broken < 2; broken++) {
		serve();
		say("broken", broken);
		remote_rest(remote, false);
		remote_attend(remote, NULL, NULL);
		UNIT_EQ(remote_close(remote), broken);
		remote = NULL;
		teardown();
	}
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "one for each queue", test_connections },
		{ "a server that ends all connections", test_storm },
		{ "the fence, of a worker that has ended", test_fence_of_a_rest },
		{ "the fence, of a disk that nobody wants any more", test_fence_of_the_end },
		{ "fewer queues", test_fewer },
		{ "a server dies that nobody uses", test_idle },
		{ "a server dies, then its worker", test_lost_one_after_the_other },
		{ "a worker dies that has not spoken to the server", test_nothing_lost },
		{ "a server dies that was told to end", test_lost_at_its_end },
		{ "a server ends as it was told to", test_lost_though_in_order },
		{ "a server dies that has flushed", test_nothing_lost_that_was_flushed },
		{ "closed while a server flushes", test_closed_meanwhile },
	};

	if (argc > 1 && !strcmp(argv[1], "--worker"))
		return child_main();
	return unit_run("remote", tests, UNIT_LEN(tests));
}
