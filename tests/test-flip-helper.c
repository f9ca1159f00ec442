/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-flip itself, with the test as its supervisor and as its workers: what one
 * worker may do to others, and what is not done for a worker that has gone. Runs in
 * dom0 under `localxen run`.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "flip.h"
#include "lxguest.h"
#include "process.h"
#include "sandbox.h"
#include "unit.h"

#define PROGRAM "paravane-flip"
#define ANSWER_S 30
#define STUCK_S 2		/* longer than the helper takes for a socket full of messages */
#define MESSAGES_MAX 100000	/* far more than a socket holds */

static int supervisor;
static pid_t helper;
static struct lxguest guest;
static uint32_t domid;

static void limit(int sock, int option, int seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	UNIT_EQ(setsockopt(sock, SOL_SOCKET, option, &tv, sizeof(tv)), 0);
}

static void start(void)
{
	struct flip_hello hello = { 0 };
	struct sandbox_note note = { 0 };
	int pair[2], fd = -1;

	UNIT_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	helper = fork();
	if (!helper) {
		dup2(pair[1], PROCESS_FD);
		execl("./" PROGRAM, PROGRAM, "--worker", NULL);
		_exit(127);
	}
	close(pair[1]);
	supervisor = pair[0];
	limit(supervisor, SO_RCVTIMEO, ANSWER_S);
	UNIT_EQ(recv(supervisor, &note, sizeof(note), 0), sizeof(note));
	UNIT_EQ(note.magic, SANDBOX_NOTE_MAGIC);
	UNIT_EQ(note.refused, 0);
	UNIT_EQ(flip_receive_hello(supervisor, &hello, &fd), 0);
	UNIT_EQ(hello.type, FLIP_READY);
}

/* All workers have gone: it ends by itself. */
static void end(void)
{
	int status = -1;

	close(supervisor);
	UNIT_EQ(waitpid(helper, &status, 0), helper);
	UNIT_EQ(status, 0);
}

static int join(void)
{
	const struct flip_hello hello = { .version = FLIP_VERSION, .type = FLIP_JOIN };
	int pair[2] = { -1, -1 };

	UNIT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	UNIT_EQ(flip_send_hello(supervisor, &hello, pair[1]), 0);
	close(pair[1]);
	limit(pair[0], SO_RCVTIMEO, ANSWER_S);
	limit(pair[0], SO_SNDTIMEO, STUCK_S);
	return pair[0];
}

static int get(int sock)
{
	static const struct flip_batch batch = { .type = FLIP_GET };
	struct flip_answer answer;
	int rc = flip_send_batch(sock, &batch);

	return rc ? rc : flip_receive_answer(sock, &answer);
}

/* A page of zeros for a new entry of the guest's; returns that entry. */
static uint32_t send_page(int sock)
{
	static struct flip_batch batch;

	UNIT_EQ(lxguest_do(&guest, LXG_FLIP_OFFER, 0, 1, 0), 0);
	batch = (struct flip_batch){
		.type = FLIP_TRANSFER, .nr_ops = 1,
		.op = { { .gref = guest.m.refs[0], .domid = (uint16_t)domid } },
	};
	UNIT_EQ(flip_send_batch(sock, &batch), 0);
	return batch.op[0].gref;
}

static int take(uint32_t gref)
{
	int came = lxguest_do(&guest, LXG_FLIP_TAKE, (int)gref, 0, 0);

	if (came == 1) {
		uint32_t page = guest.m.refs[0];

		lxguest_do(&guest, LXG_FLIP_FLUSH, 0, 0, 0);
		lxguest_do(&guest, LXG_FLIP_GIVE, (int)page, 0, 0);
		lxguest_do(&guest, LXG_FLIP_FLUSH, 0, 0, 0);
	}
	return came;
}

static void test_does_not_read(void)
{
	static const struct flip_batch batch = { .type = FLIP_GET };
	int deaf, other, rc = 0;

	start();
	deaf = join();
	other = join();
	for (int i = 0; i < MESSAGES_MAX && !rc; i++)
		rc = flip_send_batch(deaf, &batch);
	UNIT_OK(rc == -EPIPE || rc == -ECONNRESET);
	UNIT_EQ(get(other), 0);
	close(deaf);
	UNIT_EQ(get(other), 0);
	close(other);
	end();
}

/* A sender's grants may be of something else by then. */
static void test_gone_before_it_is_done(void)
{
	struct flip_answer answer;
	uint32_t gref;
	int sock, status;

	start();
	sock = join();
	gref = send_page(sock);
	UNIT_EQ(flip_receive_answer(sock, &answer), 0);
	UNIT_EQ(answer.outcome[0], FLIP_NO_PAGE);
	UNIT_EQ(take(gref), 0);
	gref = send_page(sock);
	UNIT_EQ(flip_receive_answer(sock, &answer), 0);
	UNIT_EQ(answer.outcome[0], FLIP_DONE);
	UNIT_EQ(take(gref), 1);
	kill(helper, SIGSTOP);
	UNIT_EQ(waitpid(helper, &status, WUNTRACED), helper);
	gref = send_page(sock);
	close(sock);
	kill(helper, SIGCONT);
	end();
	UNIT_EQ(take(gref), 0);
}

/* Its pages would be lost with it. */
static void test_terminal_closes(void)
{
	int sock;

	start();
	sock = join();
	UNIT_EQ(get(sock), 0);
	kill(helper, SIGHUP);
	kill(helper, SIGINT);
	kill(helper, SIGTERM);
	UNIT_EQ(get(sock), 0);
	close(sock);
	end();
}

static const struct unit_test tests[] = {
	{ "a worker that does not read", test_does_not_read },
	{ "a worker has gone before it is done", test_gone_before_it_is_done },
	{ "the terminal is closed", test_terminal_closes },
};

int main(void)
{
	int rc;

	signal(SIGPIPE, SIG_IGN);
	domid = lxguest_new_domain("--name=receiving");
	lxguest_start(&guest, domid);
	rc = unit_run("flip-helper", tests, UNIT_LEN(tests));
	lxguest_stop(&guest);
	return rc;
}
