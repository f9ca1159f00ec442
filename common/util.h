/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log lines and the small things every program of ours needs.
 *
 * Hides: where log lines go and how fast a peer can make us write them. Must
 * not know: devices, rings, XenStore. Not for the code that a guest without
 * an operating system links (ring, spin, keys, the front ends): it uses stdio.
 */
#ifndef PV_UTIL_H
#define PV_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines go to stderr as "name: text" (with <N> priority under systemd). */
void log_open(const char *program, enum log_level max);
/*
 * What another may have written neither steers a terminal nor makes a second line: control
 * characters become '?'.
 */
void one_line(char *text, size_t bytes);
void log_at(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * For what a peer can trigger: a token bucket of 13 lines, refilled at one a
 * second, of which the last 3 are for errors: what goes before one must not hide it. What
 * was dropped is counted and said with the next line. One bucket per device; its threads
 * may share it.
 */
struct log_peer {
	char who[80];		/* "vbd 3/51712" */
	uint64_t refilled_ms;
	uint32_t tokens, dropped;
	uint32_t beginnings;		/* lines that log_peer_begin() may give */
};

void log_peer_init(struct log_peer *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_peer_at(struct log_peer *p, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * How many lines the next process, or connection, that begins for this peer with a bucket of its
 * own may have in it: a full one, unless so many have begun that it would be no limit; then
 * for one line and those of errors. log_peer_first() puts no more into the new bucket.
 */
uint32_t log_peer_begin(struct log_peer *p);
void log_peer_first(struct log_peer *p, uint32_t lines);

/* Only before an event loop starts: prints and exits with status 1. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

uint64_t now_ms(void);		/* CLOCK_MONOTONIC */
uint64_t now_ns(void);

/* Whole string, base 10, no sign, at most max. 0, -EINVAL or -ERANGE. */
int parse_u64(const char *text, uint64_t max, uint64_t *out);

void close_fd(int *fd);		/* for cleanup: closes when >= 0, sets -1 */
void free_ptr(void *p);		/* for cleanup: frees *(void **)p */
#define autoclose __attribute__((cleanup(close_fd)))
#define autofree __attribute__((cleanup(free_ptr)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
