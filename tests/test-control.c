/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.c: questions and answers, and clients that lie, hang, do not read or come in
 * crowds. Must not know: bridges.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "packet.h"
#include "unit.h"
#include "util.h"

#define CROWD 16		/* as many as are served at a time */

static struct {
	char dir[64];
	struct evloop *loop;
	struct control *control;
	struct control_client *last;	/* who asked */
	struct control_msg got;
	unsigned int nr_asked, nr_gone;
} t;

static void on_asked(void *arg, struct control_client *c, const struct control_msg *msg)
{
	(void)arg;
	t.last = c;
	t.got = *msg;
	t.nr_asked++;
}

static void on_gone(void *arg, struct control_client *c)
{
	(void)arg;
	if (c == t.last)
		t.last = NULL;
	t.nr_gone++;
}

static const struct control_owner owner = { .asked = on_asked, .gone = on_gone };

static void start(void)
{
	char why[256] = "";

	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/pv-test-control-XXXXXX");
	UNIT_OK(mkdtemp(t.dir) != NULL);
	UNIT_EQ(evloop_open(&t.loop), 0);
	UNIT_EQ(control_open(t.loop, t.dir, &owner, NULL, &t.control, why, sizeof(why)), 0);
	UNIT_STREQ(why, "");
}

/* Nothing is left in the directory. */
static void finish(void)
{
	control_close(t.control);
	evloop_close(t.loop);
	UNIT_EQ(rmdir(t.dir), 0);
}

/* Turns until nothing happens. */
static void run(void)
{
	while (evloop_turn(t.loop, 0) > 0)
		;
}

static int client(void)
{
	int fd = -1;

	UNIT_EQ(control_connect(t.dir, &fd), 0);
	run();
	return fd;
}

static void ask(int fd, uint32_t type)
{
	struct control_msg msg = { .version = CONTROL_VERSION, .type = type };

	memset(msg.bridge, 'x', sizeof(msg.bridge));
	UNIT_EQ(control_ask(fd, &msg), 0);
	run();
}

/* Whether the other end has hung up, after it has said what it had to. */
static bool is_over(int fd)
{
	struct control_msg msg;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int pipe, rc = 0;

	run();
	while (!rc && poll(&p, 1, 0) == 1)
		rc = control_hear(fd, &msg, &pipe);
	return rc == -EPIPE;
}

static void test_ask(void)
{
	struct control_msg msg;
	struct stat st;
	char path[128];
	int fd, pipe_fd[2], got = -1;

	start();
	snprintf(path, sizeof(path), "%s/" CONTROL_SOCKET, t.dir);
	UNIT_EQ(stat(path, &st), 0);
	UNIT_EQ(st.st_mode & 07777, 0600);
	fd = client();
	ask(fd, CONTROL_PORTS);
	UNIT_EQ(t.nr_asked, 1);
	UNIT_EQ(strlen(t.got.bridge), VIF_NAME_BYTES - 1);	/* it ends */
	UNIT_NEED(t.last != NULL);
	UNIT_EQ(pipe(pipe_fd), 0);
	memset(&msg, 0, sizeof(msg));
	msg.type = CONTROL_CAPTURING;
	UNIT_EQ(control_answer(t.last, &msg, pipe_fd[1]), 0);
	UNIT_EQ(control_refuse(t.last, ENOENT, "no %s", "bridge"), 0);
	UNIT_EQ(control_hear(fd, &msg, &got), 0);
	UNIT_EQ(msg.type, CONTROL_CAPTURING);
	UNIT_EQ(write(got, "x", 1), 1);
	close(got);
	UNIT_EQ(control_hear(fd, &msg, &got), 0);
	UNIT_EQ(got, -1);
	UNIT_EQ(msg.type, CONTROL_REFUSED);
	UNIT_EQ(msg.failure.err, ENOENT);
	UNIT_STREQ(msg.failure.reason, "no bridge");
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(fd);
	run();
	UNIT_EQ(t.nr_gone, 1);
	fd = client();	/* still there when the server goes */
	finish();
	UNIT_EQ(t.nr_gone, 2);
	close(fd);
}

static void refuse_packet(const void *data, size_t bytes)
{
	struct control_msg msg;
	int other = client(), fd = client(), pipe;

	UNIT_EQ(send(fd, data, bytes, 0), (ssize_t)bytes);
	run();
	UNIT_EQ(control_hear(fd, &msg, &pipe), 0);
	UNIT_EQ(msg.type, CONTROL_REFUSED);
	UNIT_OK(is_over(fd));
	UNIT_EQ(t.nr_asked, 0);
	ask(other, CONTROL_BRIDGES);
	UNIT_EQ(t.nr_asked, 1);
	t.nr_asked = 0;
	close(fd);
	close(other);
	run();
}

static void test_lies(void)
{
	struct control_msg msg = { .version = CONTROL_VERSION, .type = CONTROL_BRIDGES };
	char more[sizeof(msg) + 1] = { 0 };
	static const uint32_t types[] = { 0, CONTROL_CAPTURE_STOP + 1, CONTROL_DONE, UINT32_MAX };

	start();
	refuse_packet("x", 1);
	refuse_packet(&msg, sizeof(msg) - 1);
	refuse_packet(more, sizeof(more));
	for (size_t i = 0; i < UNIT_LEN(types); i++) {
		msg.type = types[i];
		refuse_packet(&msg, sizeof(msg));
	}
	msg.type = CONTROL_BRIDGES;
	msg.version = CONTROL_VERSION + 1;
	refuse_packet(&msg, sizeof(msg));
	finish();
}

/* Descriptors that nobody asked for are closed. */
static void test_gifts(void)
{
	struct control_msg msg = { .version = CONTROL_VERSION, .type = CONTROL_BRIDGES };
	int fd, gift[2];
	char c;

	start();
	fd = client();
	UNIT_EQ(pipe(gift), 0);
	UNIT_EQ(packet_send(fd, &msg, sizeof(msg), &gift[1], 1), 0);
	close(gift[1]);
	run();
	UNIT_EQ(t.nr_asked, 1);
	UNIT_EQ(read(gift[0], &c, 1), 0);	/* no writer any more */
	close(gift[0]);
	close(fd);
	finish();
}

/* Who does not read is given up, and nobody waits. */
static void test_deaf(void)
{
	struct control_msg msg;
	unsigned int i = 0;
	int fd, other;

	start();
	other = client();
	fd = client();
	ask(fd, CONTROL_PORTS);
	memset(&msg, 0, sizeof(msg));
	msg.type = CONTROL_PORT;
	while (t.last && i < 100000 && !control_answer(t.last, &msg, -1))
		i++;
	UNIT_OK(i > 50 && i < 100000);
	run();
	UNIT_EQ(t.nr_gone, 1);
	UNIT_OK(is_over(fd));
	ask(other, CONTROL_BRIDGES);
	UNIT_EQ(t.nr_asked, 2);
	close(fd);
	close(other);
	finish();
}

/* The one that has been silent for longest makes room. */
static void test_crowd(void)
{
	int fd[CROWD], more;

	start();
	for (int i = 0; i < CROWD; i++) {
		fd[i] = client();
		usleep(2000);	/* the order is told by a clock of milliseconds */
	}
	ask(fd[0], CONTROL_BRIDGES);
	UNIT_EQ(t.nr_gone, 0);
	more = client();
	UNIT_EQ(t.nr_gone, 1);
	UNIT_OK(is_over(fd[1]));
	UNIT_OK(!is_over(fd[0]) && !is_over(fd[2]));
	ask(more, CONTROL_BRIDGES);
	UNIT_EQ(t.nr_asked, 2);
	for (int i = 0; i < CROWD; i++)
		close(fd[i]);
	close(more);
	finish();
}

static void test_places(void)
{
	char why[256], dir[300];
	struct control *c = NULL;
	int fd = -1;

	start();
	/* What a predecessor left behind. */
	control_close(t.control);
	UNIT_EQ(control_connect(t.dir, &fd), -ENOENT);
	snprintf(dir, sizeof(dir), "%s/" CONTROL_SOCKET, t.dir);
	close(open(dir, O_CREAT | O_WRONLY, 0644));
	UNIT_EQ(control_connect(t.dir, &fd), -ECONNREFUSED);
	UNIT_EQ(control_open(t.loop, t.dir, &owner, NULL, &t.control, why, sizeof(why)), 0);
	fd = client();
	close(fd);
	memset(dir, 'd', sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	UNIT_EQ(control_open(t.loop, dir, &owner, NULL, &c, why, sizeof(why)), -ENAMETOOLONG);
	UNIT_OK(strstr(why, "no control socket ddd") != NULL);
	UNIT_EQ(control_connect(dir, &fd), -ENAMETOOLONG);
	UNIT_EQ(control_open(t.loop, "/no/such", &owner, NULL, &c, why, sizeof(why)), -ENOENT);
	finish();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "questions and answers", test_ask },
		{ "clients that lie", test_lies },
		{ "descriptors that nobody wanted", test_gifts },
		{ "a client that does not read", test_deaf },
		{ "more clients than places", test_crowd },
		{ "where the socket can be", test_places },
	};

	log_open("test-control", LOG_LEVEL_ERROR);
	return unit_run("control", tests, UNIT_LEN(tests));
}
