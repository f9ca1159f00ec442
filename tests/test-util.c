/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * util.c: numbers, and log lines that a peer can neither flood nor forge.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"
#include "util.h"

/* What fn writes to stderr, up to bytes. */
static void capture(void (*fn)(void), char *out, size_t bytes)
{
	int saved = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	size_t n;

	if (!file || saved < 0)
		abort();
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	n = fread(out, 1, bytes - 1, file);
	out[n] = '\0';
	fclose(file);
}

static void test_numbers(void)
{
	static const struct {
		const char *text;
		uint64_t max;
		int rc;
		uint64_t v;
	} t[] = {
		{ "0", 0, 0, 0 }, { "1", 0, -ERANGE, 0 },
		{ "007", 10, 0, 7 }, { "4096", 4096, 0, 4096 },
		{ "4097", 4096, -ERANGE, 0 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999", UINT64_MAX, -ERANGE, 0 },
		{ "", 10, -EINVAL, 0 }, { " 1", 10, -EINVAL, 0 },
		{ "1 ", 10, -EINVAL, 0 }, { "-1", 10, -EINVAL, 0 },
		{ "+1", 10, -EINVAL, 0 }, { "0x1", 10, -EINVAL, 0 },
		{ "1\n", 10, -EINVAL, 0 }, { "9999999999999999999x", 10, -EINVAL, 0 },
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		v = 12345;
		UNIT_EQ(parse_u64(t[i].text, t[i].max, &v), t[i].rc);
		UNIT_EQ(v, t[i].rc ? 12345 : t[i].v);
	}
}

static void log_levels(void)
{
	log_open("prog", LOG_LEVEL_WARNING);
	log_error("no %s", "file");
	log_warning("late");
	log_info("unseen");
	log_debug("unseen");
}

static void test_levels(void)
{
	char out[512];

	capture(log_levels, out, sizeof(out));
	UNIT_STREQ(out, "prog: no file\nprog: late\n");
}

static void log_forged(void)
{
	errno = EXDEV;
	log_error("params \"%s\"", "a\nprog: all is well\033[2J\x7f");
	UNIT_EQ(errno, EXDEV);
}

static void test_no_forgery(void)
{
	char out[512];

	capture(log_forged, out, sizeof(out));
	UNIT_STREQ(out, "prog: params \"a?prog: all is well?[2J?\"\n");
}

static void log_long(void)
{
	static char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	log_error("%s", text);
}

static void test_long_line(void)
{
	char out[8192];
	size_t n;

	capture(log_long, out, sizeof(out));
	n = strlen(out);
	UNIT_OK(n > 900 && n <= 1024);
	UNIT_EQ(out[n - 1], '\n');
}

static void peer_flood(void)
{
	struct log_peer p;
	int i;

	log_peer_init(&p, "vbd %u/%u", 3u, 51712u);
	for (i = 0; i < 1000; i++)
		log_peer_at(&p, LOG_LEVEL_WARNING, "line %d", i);
	/* As if time had passed: one line more, with what was lost. */
	p.refilled_ms -= 3000;
	log_peer_at(&p, LOG_LEVEL_WARNING, "again");
}

static unsigned count_lines(const char *text)
{
	unsigned nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

/* The sum of what the lines say was dropped. */
static unsigned count_dropped(const char *text)
{
	static const char says[] = "vbd 3/51712: (";
	unsigned sum = 0, n;

	while ((text = strstr(text, says))) {
		text += sizeof(says) - 1;
		if (sscanf(text, "%u more lines", &n) == 1)
			sum += n;
	}
	return sum;
}

static void test_peer_is_limited(void)
{
	char out[16384];
	unsigned lines;

	capture(peer_flood, out, sizeof(out));
	UNIT_OK(strstr(out, "prog: vbd 3/51712: line 0\n") == out);
	/* Ten and the last, or a few more when the machine was slow. */
	lines = count_lines(out);
	UNIT_OK(lines >= 11 && lines < 100);
	UNIT_EQ(lines + count_dropped(out), 1001);
	UNIT_OK(strstr(out, "again\n"));
}

static void test_bucket_is_bounded(void)
{
	struct log_peer p;

	log_peer_init(&p, "x");
	p.tokens = 0;
	p.refilled_ms -= 3600 * 1000;
	log_open("prog", LOG_LEVEL_DEBUG);
	log_peer_at(&p, LOG_LEVEL_DEBUG, "an hour later");
	UNIT_EQ(p.tokens, 12);
}

static void flood_and_errors(void)
{
	struct log_peer p;
	int i;

	log_peer_init(&p, "vbd %u/%u", 3u, 51712u);
	for (i = 0; i < 100; i++)
		log_peer_at(&p, LOG_LEVEL_WARNING, "line %d", i);
	for (i = 0; i < 100; i++)
		log_peer_at(&p, LOG_LEVEL_ERROR, "error %d", i);
}

static void test_errors_are_not_hidden(void)
{
	char out[16384];
	unsigned lines;

	capture(flood_and_errors, out, sizeof(out));
	UNIT_OK(strstr(out, "error 0\n"));
	lines = count_lines(out);
	UNIT_OK(lines >= 13 && lines < 50);
}

/* What begins again and again for one peer has no full bucket each time. */
static void test_peer_beginnings(void)
{
	struct log_peer p, worker;
	unsigned lines = 0;

	log_peer_init(&p, "x");
	for (int i = 0; i < 3; i++)
		UNIT_EQ(log_peer_begin(&p), 13);
	p.refilled_ms = now_ms();
	for (int i = 0; i < 20; i++)
		lines += log_peer_begin(&p);
	UNIT_OK(lines >= 4 * 20 && lines < 4 * 20 + 13);
	p.refilled_ms -= 3600000;
	UNIT_EQ(log_peer_begin(&p), 13);
	UNIT_EQ(p.tokens, 13);	/* its own lines are its own */
	log_peer_init(&worker, "y");
	log_peer_first(&worker, 1);
	UNIT_EQ(worker.tokens, 1);
	log_peer_first(&worker, 100);
	UNIT_EQ(worker.tokens, 1);
}

static void test_die(void)
{
	char out[128] = "";
	int fd[2], status;
	pid_t pid;

	UNIT_NEED(!pipe(fd));
	pid = fork();
	if (!pid) {
		dup2(fd[1], STDERR_FILENO);
		log_open("prog", LOG_LEVEL_ERROR);
		die("no %s", "luck");
	}
	close(fd[1]);
	UNIT_OK(read(fd[0], out, sizeof(out) - 1) > 0);
	close(fd[0]);
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	UNIT_OK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	UNIT_STREQ(out, "prog: no luck\n");
}

static int closed_by_scope(void)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	autofree char *text = strdup("freed by scope");

	return text ? fd : -1;
}

static void test_cleanup(void)
{
	autoclose int none = -1;
	autofree char *nothing = NULL;
	int fd = closed_by_scope();

	UNIT_OK(fd >= 0);
	UNIT_EQ(fcntl(fd, F_GETFD), -1);
	UNIT_EQ(errno, EBADF);
	UNIT_OK(none == -1 && !nothing);
}

static void test_clocks(void)
{
	uint64_t ms = now_ms(), ns = now_ns();

	UNIT_OK(ns / 1000000 >= ms);
	UNIT_OK(now_ns() >= ns);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "numbers", test_numbers },
		{ "levels", test_levels },
		{ "a peer's text stays on its line", test_no_forgery },
		{ "a long line is cut", test_long_line },
		{ "a peer's lines are limited and counted", test_peer_is_limited },
		{ "an hour's silence saves a few lines, not more", test_bucket_is_bounded },
		{ "a flood of lines does not hide an error", test_errors_are_not_hidden },
		{ "what begins anew and anew has fewer lines", test_peer_beginnings },
		{ "die says it and exits with 1", test_die },
		{ "cleanup attributes", test_cleanup },
		{ "clocks", test_clocks },
	};

	return unit_run("util", tests, UNIT_LEN(tests));
}
