/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log lines, clocks, numbers from text.
 *
 * Hides: how a line reaches stderr in one piece, and what a peer's text may
 * not do to a terminal. Must not know: who logs, or why.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define LINE_BYTES 1024
#define PEER_TOKENS 13u
#define PEER_TOKENS_KEPT 3u		/* for errors */
#define PEER_REFILL_MS 1000u
#define PEER_BEGINNINGS (3 * PEER_TOKENS)	/* a first worker, and two that take over */

static const char *log_program = "paravane";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_priorities;

/* syscalls start: newfstatat */
/* systemd names the socket behind stderr; only then it parses "<N>". */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	if (fstat(STDERR_FILENO, &st))
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

void log_open(const char *program, enum log_level max)
{
	log_program = program;
	log_max = max;
	log_priorities = stderr_is_journal();
}

static size_t add_text(char *line, size_t used, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static size_t add_vtext(char *line, size_t used, const char *fmt, va_list ap)
{
	int n = vsnprintf(line + used, LINE_BYTES - used, fmt, ap);

	if (n < 0)
		return used;
	return MIN(used + (size_t)n, LINE_BYTES - 1u);
}

static size_t add_text(char *line, size_t used, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	used = add_vtext(line, used, fmt, ap);
	va_end(ap);
	return used;
}

void one_line(char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

/* syscalls all: write */
/* One write for the whole line, so that threads and processes do not mix. */
static void write_line(char *line, size_t used)
{
	ssize_t n;

	one_line(line, used);
	line[used++] = '\n';
	do
		n = write(STDERR_FILENO, line, used);
	while (n < 0 && errno == EINTR);
}

static size_t begin_line(char *line, enum log_level level)
{
	static const int priority[] = { 3, 4, 6, 7 };
	size_t used = 0;

	if (log_priorities)
		used = add_text(line, used, "<%d>", priority[level]);
	return add_text(line, used, "%s: ", log_program);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[LINE_BYTES + 1];
	size_t used;
	va_list ap;

	if (level > log_max)
		return;
	used = begin_line(line, level);
	va_start(ap, fmt);
	used = add_vtext(line, used, fmt, ap);
	va_end(ap);
	write_line(line, used);
	errno = saved_errno;
}

/* Of all peers: lines are rare. */
static pthread_mutex_t peers_lock = PTHREAD_MUTEX_INITIALIZER;

void log_peer_init(struct log_peer *p, const char *fmt, ...)
{
	va_list ap;

	memset(p, 0, sizeof(*p));
	va_start(ap, fmt);
	vsnprintf(p->who, sizeof(p->who), fmt, ap);
	va_end(ap);
	p->tokens = PEER_TOKENS;
	p->beginnings = PEER_BEGINNINGS;
	p->refilled_ms = now_ms();
}

static void refill(struct log_peer *p)
{
	uint64_t due = (now_ms() - p->refilled_ms) / PEER_REFILL_MS;

	p->refilled_ms += due * PEER_REFILL_MS;
	p->tokens = (uint32_t)MIN(p->tokens + due, PEER_TOKENS);
	p->beginnings = (uint32_t)MIN(p->beginnings + due, PEER_BEGINNINGS);
}

uint32_t log_peer_begin(struct log_peer *p)
{
	uint32_t lines;

	pthread_mutex_lock(&peers_lock);
	refill(p);
	lines = MIN(p->beginnings, PEER_TOKENS);
	p->beginnings -= lines;
	pthread_mutex_unlock(&peers_lock);
	return MAX(lines, PEER_TOKENS_KEPT + 1);
}

void log_peer_first(struct log_peer *p, uint32_t lines)
{
	p->tokens = MIN(p->tokens, lines);
}

/* False: not to be said. *dropped: how many were not, before this one. */
static bool take_token(struct log_peer *p, enum log_level level, uint32_t *dropped)
{
	uint32_t kept = level == LOG_LEVEL_ERROR ? 0 : PEER_TOKENS_KEPT;

	refill(p);
	if (p->tokens <= kept) {
		p->dropped++;
		return false;
	}
	p->tokens--;
	*dropped = p->dropped;
	p->dropped = 0;
	return true;
}

void log_peer_at(struct log_peer *p, enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[LINE_BYTES + 1];
	uint32_t dropped;
	bool said;
	size_t used;
	va_list ap;

	if (level > log_max)
		return;
	pthread_mutex_lock(&peers_lock);
	said = take_token(p, level, &dropped);
	pthread_mutex_unlock(&peers_lock);
	if (!said)
		return;
	used = begin_line(line, level);
	used = add_text(line, used, "%s: ", p->who);
	if (dropped)
		used = add_text(line, used, "(%u more lines like these dropped) ", dropped);
	va_start(ap, fmt);
	used = add_vtext(line, used, fmt, ap);
	va_end(ap);
	write_line(line, used);
	errno = saved_errno;
}

void die(const char *fmt, ...)
{
	char line[LINE_BYTES + 1];
	size_t used = begin_line(line, LOG_LEVEL_ERROR);
	va_list ap;

	va_start(ap, fmt);
	used = add_vtext(line, used, fmt, ap);
	va_end(ap);
	write_line(line, used);
	exit(1);
}

/* syscalls all: clock_gettime */
uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t now_ms(void)
{
	return now_ns() / 1000000u;
}

int parse_u64(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	const char *c;

	if (!*text)
		return -EINVAL;
	for (c = text; *c; c++)
		if (*c < '0' || *c > '9')
			return -EINVAL;
	for (c = text; *c; c++) {
		unsigned digit = (unsigned)(*c - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	if (v > max)
		return -ERANGE;
	*out = v;
	return 0;
}

/* syscalls all: close */
void close_fd(int *fd)
{
	int saved_errno = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved_errno;
}

void free_ptr(void *p)
{
	void *what;

	memcpy(&what, p, sizeof(what));
	free(what);
}
