/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * launch.h: a program has the descriptors that it is given, and none that a library of ours
 * has left open for it; signals are as a fresh program expects them.
 */
#include "launch.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIVEN_FD 7

/* What the shell's script says by descriptor GIVEN_FD, and how it ends. */
static int said(const char *script, int close_from, char *text, size_t size)
{
	const char *const argv[] = { "a shell", "-c", script, NULL };
	struct launch_fd fds[] = { { -1, GIVEN_FD }, { -1, -1 } };
	size_t length = 0;
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	UNIT_EQ(pipe2(pipes, O_CLOEXEC), 0);
	fds[0].from = pipes[1];
	UNIT_EQ(launch_program("sh", argv, fds, close_from, &pid), 0);
	close(pipes[1]);
	while ((n = read(pipes[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(pipes[0]);
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_no_other_descriptors(void)
{
	/* Without close-on-exec, as libraries open them. */
	int next = fcntl(STDERR_FILENO, F_DUPFD, GIVEN_FD + 1), far = fcntl(next, F_DUPFD, GIVEN_FD + 10);
	char text[64];

	UNIT_OK(next > GIVEN_FD && far > next);
	UNIT_EQ(said("for fd in 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do"
		     " [ -e /proc/$$/fd/$fd ] && echo $fd >&7; done; exit 3",
		     GIVEN_FD + 1, text, sizeof(text)), 3);
	UNIT_STREQ(text, "7\n");
	/* Ours are as they were. */
	UNIT_OK(fcntl(next, F_GETFD) >= 0 && fcntl(far, F_GETFD) >= 0);
	close(next);
	close(far);
}

static void test_a_descriptor_of_the_same_number(void)
{
	const char *const argv[] = { "sh", "-c", "echo here >&7", NULL };
	const struct launch_fd fds[] = { { GIVEN_FD, GIVEN_FD }, { -1, -1 } };
	int pipes[2], status;
	char text[8];
	pid_t pid;

	UNIT_EQ(pipe2(pipes, O_CLOEXEC), 0);
	UNIT_EQ(dup3(pipes[1], GIVEN_FD, O_CLOEXEC), GIVEN_FD);
	UNIT_EQ(launch_program("sh", argv, fds, GIVEN_FD + 1, &pid), 0);
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	UNIT_EQ(status, 0);
	UNIT_EQ(read(pipes[0], text, sizeof(text)), 5);
	close(pipes[0]);
	close(pipes[1]);
	close(GIVEN_FD);
}

static void test_signals_are_fresh(void)
{
	char text[64];
	sigset_t all, was;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	signal(SIGTERM, SIG_IGN);
	/* It dies of that, and says nothing. */
	UNIT_EQ(said("kill -TERM $$; echo lives >&7", GIVEN_FD + 1, text, sizeof(text)), -1);
	signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &was, NULL);
	UNIT_STREQ(text, "");
}

/* Who started us may have ignored the ends of children: ours are told of all the same. */
static void test_ignored_ends(void)
{
	char text[64];

	signal(SIGCHLD, SIG_IGN);
	UNIT_EQ(said("exit 3", GIVEN_FD + 1, text, sizeof(text)), 3);
	signal(SIGCHLD, SIG_DFL);
}

static void test_no_such_program(void)
{
	const char *const argv[] = { "none", NULL };
	pid_t pid;

	UNIT_EQ(launch_program("/nonexistent/program", argv, NULL, STDERR_FILENO + 1, &pid), -ENOENT);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "no other descriptors", test_no_other_descriptors },
		{ "a descriptor of the same number", test_a_descriptor_of_the_same_number },
		{ "signals are fresh", test_signals_are_fresh },
		{ "ends of children that were ignored", test_ignored_ends },
		{ "no such program", test_no_such_program },
	};

	return unit_run("launch", tests, UNIT_LEN(tests));
}
