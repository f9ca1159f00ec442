/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane metrics: a server that Prometheus asks, or the text once.
 *
 * Hides: the socket, as much of HTTP as that needs. Must not know: metrics.
 *
 * One question at a time, each with a deadline: who asks is a scraper on this machine, or a
 * proxy there that has its own ideas of who may. So only Unix sockets and loopback addresses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "paravane.h"
#include "paravane-metrics.h"
#include "socket-path.h"
#include "util.h"

static const char help_text[] =
"Usage: paravane metrics [--listen ADDRESS]\n"
"       paravane metrics --once\n"
"\n"
"Serves the figures of all disks and network interfaces of this machine's back ends in\n"
"Prometheus' text format, at the path /metrics. Runs until a signal ends it.\n"
"\n"
"  --listen ADDRESS  unix:PATH, 127.0.0.1:PORT or [::1]:PORT; no other addresses.\n"
"                    Default: 127.0.0.1:9758\n"
"  --once            prints the text and ends\n"
"\n"
"Exit status: 0 ended by a signal, or printed; 1 error, 2 wrong usage.\n";

#define ADDRESS_DEFAULT "127.0.0.1:9758"
#define DEADLINE_MS 2000
#define REQUEST_BYTES 8192

enum { OPT_LISTEN = 256, OPT_ONCE };

static const struct option options[] = {
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct server {
	struct sampler *sampler;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];	/* to be removed; or empty */
	int listener, signals;
};

/* ---- the socket ------------------------------------------------------------------------ */

static int bad_address(const char *text)
{
	return complain_usage(&metrics_command, "--listen \"%s\": unix:PATH, 127.0.0.1:PORT or "
			      "[::1]:PORT is expected", text);
}

static int bind_unix(struct server *s, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *why = socket_path_clear(path);

	if (why)
		return complain(STATUS_ERROR, "%s: %s", path, why);
	strcpy(a.sun_path, path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return complain(STATUS_ERROR, "no socket: %s", strerror(errno));
	umask(0117);
	if (bind(s->listener, (struct sockaddr *)&a, sizeof(a)))
		return complain(STATUS_ERROR, "%s: %s", path, strerror(errno));
	strcpy(s->path, path);
	return STATUS_OK;
}

static int bind_loopback(struct server *s, const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool is_v6 = !strncmp(text, "[::1]:", 6);
	const char *port = is_v6 ? text + 6 : text + 10;
	const struct sockaddr *a = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	const int yes = 1;
	uint64_t n;

	if ((!is_v6 && strncmp(text, "127.0.0.1:", 10)) || parse_u64(port, 65535, &n) || !n)
		return bad_address(text);
	v4.sin_port = v6.sin6_port = htons((uint16_t)n);
	s->listener = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return complain(STATUS_ERROR, "no socket: %s", strerror(errno));
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(s->listener, a, is_v6 ? sizeof(v6) : sizeof(v4)))
		return complain(STATUS_ERROR, "%s: %s", text, strerror(errno));
	return STATUS_OK;
}

static int open_server(struct server *s, const char *address)
{
	int status = !strncmp(address, "unix:", 5) && address[5] ? bind_unix(s, address + 5) :
		     bind_loopback(s, address);
	sigset_t signals;

	if (status)
		return status;
	if (listen(s->listener, 8))
		return complain(STATUS_ERROR, "%s: %s", address, strerror(errno));
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signals = signalfd(-1, &signals, SFD_CLOEXEC);
	return s->signals < 0 ? complain(STATUS_ERROR, "signals: %s", strerror(errno)) : STATUS_OK;
}

/* ---- questions ------------------------------------------------------------------------- */

/* False: it did not come in time, or is no request. */
static bool read_request(int fd, char *buf, size_t bytes)
{
	uint64_t until = now_ms() + DEADLINE_MS, now;
	size_t used = 0;

	while (used < bytes - 1 && (now = now_ms()) < until) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, (int)(until - now)) <= 0)
			return false;
		got = recv(fd, buf + used, bytes - 1 - used, MSG_DONTWAIT);
		if (got <= 0)
			return false;
		used += (size_t)got;
		buf[used] = '\0';
		if (strstr(buf, "\r\n\r\n") || strstr(buf, "\n\n"))
			return true;
	}
	return false;
}

static void send_all(int fd, const char *text, size_t bytes)
{
	uint64_t until = now_ms() + DEADLINE_MS, now;

	while (bytes && (now = now_ms()) < until) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t sent;

		if (poll(&p, 1, (int)(until - now)) <= 0)
			return;
		sent = send(fd, text, bytes, MSG_DONTWAIT);
		if (sent < 0)
			return;
		text += sent;
		bytes -= (size_t)sent;
	}
}

static void reply(int fd, const char *status, const char *body, size_t bytes, bool with_body)
{
	char head[256];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n"
			 "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			 "Content-Length: %zu\r\nConnection: close\r\n\r\n", status, bytes);

	send_all(fd, head, (size_t)n);
	if (with_body)
		send_all(fd, body, bytes);
}

static void refuse(int fd, const char *status, const char *why)
{
	reply(fd, status, why, strlen(why), true);
}

/* The text is made whole first: figures are read in one go, and not at the reader's speed. */
static void reply_metrics(struct server *s, int fd, bool with_body)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	if (!to || sampler_look(s->sampler)) {
		refuse(fd, "500 Internal Server Error", "out of memory\n");
	} else {
		metrics_print(s->sampler, to);
		fflush(to);
		reply(fd, "200 OK", text, bytes, with_body);
	}
	if (to)
		fclose(to);
	free(text);
}

static void answer(struct server *s, int fd)
{
	char request[REQUEST_BYTES], method[8] = "", path[256] = "";

	if (!read_request(fd, request, sizeof(request)))
		return;
	if (sscanf(request, "%7s %255s HTTP/", method, path) != 2)
		refuse(fd, "400 Bad Request", "this is no request\n");
	else if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		refuse(fd, "405 Method Not Allowed", "GET is expected\n");
	else if (strcmp(path, "/metrics"))
		refuse(fd, "404 Not Found", "there is /metrics, and nothing else\n");
	else
		reply_metrics(s, fd, !strcmp(method, "GET"));
}

static int serve(struct server *s)
{
	struct pollfd p[2] = {
		{ .fd = s->signals, .events = POLLIN }, { .fd = s->listener, .events = POLLIN },
	};

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return complain(STATUS_ERROR, "waiting: %s", strerror(errno));
		if (p[0].revents)
			return STATUS_OK;
		if (!p[1].revents)
			continue;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		answer(s, fd);
		close(fd);
	}
}

/* ---- options ----------------------------------------------------------------------------- */

static void close_server(struct server *s)
{
	sampler_close(s->sampler);
	close_fd(&s->listener);
	close_fd(&s->signals);
	if (s->path[0])
		unlink(s->path);
}

static int print_once(struct server *s)
{
	if (sampler_look(s->sampler))
		return complain(STATUS_ERROR, "out of memory");
	metrics_print(s->sampler, stdout);
	if (fflush(stdout) || ferror(stdout))
		return complain(STATUS_ERROR, "standard output: %s", strerror(errno));
	return STATUS_OK;
}

static int run(int argc, char **argv)
{
	struct server s __attribute__((cleanup(close_server))) = { .listener = -1, .signals = -1 };
	const char *address = ADDRESS_DEFAULT;
	bool once = false;
	int opt, status;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help_text, stdout);
			return STATUS_OK;
		}
		if (opt == OPT_LISTEN)
			address = optarg;
		else if (opt == OPT_ONCE)
			once = true;
		else
			return complain_usage(&metrics_command, opt == ':' ?
					      "metrics: option \"%s\" needs a value" :
					      "metrics: unknown option \"%s\"", argv[optind - 1]);
	}
	status = common_operands(&metrics_command, argc, 0, 0);
	if (status)
		return status;
	if (sampler_open(&s.sampler))
		return complain(STATUS_ERROR, "out of memory");
	if (once)
		return print_once(&s);
	status = open_server(&s, address);
	return status ? status : serve(&s);
}

const struct subcommand metrics_command = {
	.name = "metrics",
	.summary = "serves the figures of all devices to Prometheus",
	.help = help_text,
	.run = run,
};
