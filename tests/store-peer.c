/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store-peer.c - store clients that behave as stock programs never do.
 *
 * The end-to-end tests of local Xen's store run it in dom0 or in a guest; it
 * connects with libxenstore, or with the bare protocol where that is the point.
 * Knows nothing of local Xen: XENSTORED_PATH names the socket.
 *
 *   kill-transactions N PATH   N clients are killed inside a transaction that wrote PATH
 *   kill-watches N COUNT PATH  N clients are killed with COUNT watches at PATH each
 *   commit PATH VALUE          a transaction that writes PATH and must succeed
 *   quota                      how many transactions can be open at once
 *   slow PATH                  watches PATH and never reads; says "ready", then waits
 *                              until it is disconnected
 *   stuck                      asks without end and never reads; says "ready", stays
 *   garbage length|type        sends it; succeeds when it is disconnected
 *   leave PATH N               writes N nodes below PATH, closes and reads no answer
 *   cut                        a request in single bytes, its answer read likewise
 *   storm PATH N               writes N different nodes below PATH and removes them
 *   same PATH TOKEN N          N connections watch PATH with TOKEN; each must get
 *                              the first event, and one more when PATH is written
 *   try WHAT PATH              read, write, mkdir, rm, directory, open-up (for all to
 *                              write) or watch; prints "ok" or strerror()
 *   ids                        two connections use one request id at the same time
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>
#include <xen/io/xs_wire.h>

#define PATIENCE_MS 60000

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	fputs("store-peer: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

static struct xs_handle *open_store(void)
{
	struct xs_handle *xs = xs_open(0);

	if (!xs)
		die("xs_open failed");
	return xs;
}

static void write_node(struct xs_handle *xs, xs_transaction_t t, const char *path,
		       const char *value)
{
	if (!xs_write(xs, t, path, value, strlen(value)))
		die("writing %s failed", path);
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* ---- clients that die --------------------------------------------------- */

static void die_in_transaction(const char *path)
{
	struct xs_handle *xs = open_store();
	xs_transaction_t t = xs_transaction_start(xs);

	if (!t)
		die("xs_transaction_start failed");
	write_node(xs, t, path, "never");
	raise(SIGKILL);
}

static void die_with_watches(const char *path, int count)
{
	struct xs_handle *xs = open_store();
	char token[20];
	int i;

	for (i = 0; i < count; i++) {
		snprintf(token, sizeof(token), "%d", i);
		if (!xs_watch(xs, path, token))
			die("watch %d of %d failed", i, count);
	}
	raise(SIGKILL);
}

static int kill_many(int n, const char *path, int watches)
{
	int i, status;

	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid) {
			if (watches)
				die_with_watches(path, watches);
			else
				die_in_transaction(path);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			die("fork failed");
		if (!WIFSIGNALED(status))
			die("client %d of %d failed before it could be killed", i, n);
	}
	return 0;
}

static int commit(const char *path, const char *value)
{
	struct xs_handle *xs = open_store();
	xs_transaction_t t = xs_transaction_start(xs);
	unsigned len;
	char *got;

	if (!t)
		die("xs_transaction_start failed");
	write_node(xs, t, path, value);
	if (!xs_transaction_end(xs, t, false))
		die("the commit failed");
	got = xs_read(xs, 0, path, &len);
	if (!got || strcmp(got, value))
		die("%s reads '%s' after the commit, expected '%s'", path,
		    got ? got : "", value);
	free(got);
	xs_close(xs);
	return 0;
}

static int quota(void)
{
	struct xs_handle *xs = open_store();
	int n = 0;

	while (n < 1000 && xs_transaction_start(xs))
		n++;
	printf("%d\n", n);
	xs_close(xs);
	return 0;
}

static bool try_one(struct xs_handle *xs, const char *what, const char *path)
{
	struct xs_permissions open_up = {
		.id = 0, .perms = XS_PERM_READ | XS_PERM_WRITE,
	};
	unsigned n;

	if (!strcmp(what, "read"))
		return xs_read(xs, 0, path, &n);
	if (!strcmp(what, "write"))
		return xs_write(xs, 0, path, "tried", 5);
	if (!strcmp(what, "mkdir"))
		return xs_mkdir(xs, 0, path);
	if (!strcmp(what, "rm"))
		return xs_rm(xs, 0, path);
	if (!strcmp(what, "directory"))
		return xs_directory(xs, 0, path, &n);
	if (!strcmp(what, "open-up"))
		return xs_set_permissions(xs, 0, path, &open_up, 1);
	if (!strcmp(what, "watch"))
		return xs_watch(xs, path, "t");
	die("try: no such request: %s", what);
}

static int try(const char *what, const char *path)
{
	struct xs_handle *xs = open_store();
	bool ok = try_one(xs, what, path);

	puts(ok ? "ok" : strerror(errno));
	xs_close(xs);
	return 0;
}

/* ---- the bare protocol -------------------------------------------------- */

static int connect_bare(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("XENSTORED_PATH");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path ? path : "");
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("cannot connect to XENSTORED_PATH=%s", path ? path : "");
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send failed");
}

static void ask(int fd, uint32_t type, uint32_t req_id, const void *body, uint32_t len)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = req_id, .len = len };

	send_all(fd, &hdr, sizeof(hdr));
	send_all(fd, body, len);
}

/* Returns false at the end of the connection. */
static bool read_all(int fd, void *to, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		if (poll(&pfd, 1, PATIENCE_MS) != 1)
			die("no answer after %d ms", PATIENCE_MS);
		n = read(fd, (char *)to + have, len - have);
		if (n <= 0)
			return false;
		have += n;
	}
	return true;
}

static bool hear(int fd, struct xsd_sockmsg *hdr, char *body)
{
	if (!read_all(fd, hdr, sizeof(*hdr)))
		return false;
	if (hdr->len > XENSTORE_PAYLOAD_MAX)
		die("an answer of %u bytes", hdr->len);
	body[hdr->len] = 0;
	return read_all(fd, body, hdr->len);
}

static void expect(int fd, uint32_t type, uint32_t req_id, const char *what)
{
	static char body[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg hdr;

	if (!hear(fd, &hdr, body))
		die("%s: disconnected", what);
	if (hdr.type != type || hdr.req_id != req_id)
		die("%s: got type %u, id %u, '%s'; expected type %u, id %u", what,
		    hdr.type, hdr.req_id, body, type, req_id);
}

static void watch_bare(int fd, const char *path, const char *token)
{
	char body[XENSTORE_PAYLOAD_MAX];
	int len = snprintf(body, sizeof(body), "%s%c%s", path, 0, token) + 1;

	ask(fd, XS_WATCH, 1, body, len);
	expect(fd, XS_WATCH, 1, "XS_WATCH");
}

static int slow(const char *path)
{
	int fd = connect_bare(), size = 4096;
	struct pollfd pfd = { .fd = fd };

	/* Little of what it does not read shall hide in the socket. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	watch_bare(fd, path, "slow");
	ready();
	/* Without POLLIN this returns for the end of the connection alone. */
	if (poll(&pfd, 1, PATIENCE_MS) != 1)
		die("still connected after %d ms", PATIENCE_MS);
	return 0;
}

static int stuck(void)
{
	int fd = connect_bare();
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 2 };
	char buf[sizeof(hdr) + 2];
	unsigned long sent = 0;

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), "x", 2);
	while (send(fd, buf, sizeof(buf), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(buf))
		if (++sent > 1000000)
			die("a million requests taken, and no answer read");
	ready();
	pause();
	return 0;
}

static int garbage(const char *kind)
{
	struct xsd_sockmsg hdr = { .type = XS_READ, .len = 0xffffffff };
	int fd = connect_bare();
	char c;

	if (!strcmp(kind, "type"))
		hdr = (struct xsd_sockmsg){ .type = 0x20544547 };
	send_all(fd, &hdr, sizeof(hdr));
	if (read_all(fd, &c, 1))
		die("garbage was answered");
	return 0;
}

static int leave(const char *path, int n)
{
	char body[XENSTORE_PAYLOAD_MAX];
	int fd = connect_bare(), i, len;

	for (i = 0; i < n; i++) {
		len = snprintf(body, sizeof(body), "%s/%d%cx", path, i, 0);
		ask(fd, XS_WRITE, i, body, len);
	}
	close(fd);
	return 0;
}

static int cut(void)
{
	struct xsd_sockmsg hdr = {
		.type = XS_GET_DOMAIN_PATH, .req_id = 0xabcdef, .len = 2,
	};
	char buf[sizeof(hdr) + 2];
	int fd = connect_bare();
	unsigned i;

	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), "5", 2);
	for (i = 0; i < sizeof(buf); i++) {
		send_all(fd, buf + i, 1);
		usleep(1000);
	}
	expect(fd, XS_GET_DOMAIN_PATH, 0xabcdef, "a request in single bytes");
	return 0;
}

static int ids(void)
{
	int a = connect_bare(), b = connect_bare(), i;
	struct xsd_sockmsg hdr;
	char body[XENSTORE_PAYLOAD_MAX + 1];

	for (i = 0; i < 100; i++) {
		ask(a, XS_GET_DOMAIN_PATH, 1, "11", 3);
		ask(b, XS_GET_DOMAIN_PATH, 1, "22", 3);
		if (!hear(b, &hdr, body) || hdr.req_id != 1 ||
		    strcmp(body, "/local/domain/22"))
			die("the second connection got '%s'", body);
		if (!hear(a, &hdr, body) || hdr.req_id != 1 ||
		    strcmp(body, "/local/domain/11"))
			die("the first connection got '%s'", body);
	}
	return 0;
}

/* ---- watches ------------------------------------------------------------ */

static void expect_event(int fd, const char *path, const char *token)
{
	char body[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg hdr;

	if (!hear(fd, &hdr, body) || hdr.type != XS_WATCH_EVENT)
		die("no event for %s", path);
	if (strcmp(body, path) || strcmp(body + strlen(body) + 1, token))
		die("event '%s' '%s', expected '%s' '%s'", body, body + strlen(body) + 1,
		    path, token);
}

static int same(const char *path, const char *token, int n)
{
	struct xs_handle *xs = open_store();
	int fd[100], i;

	if (n < 1 || n > 100)
		die("1 to 100 connections are expected");
	for (i = 0; i < n; i++) {
		fd[i] = connect_bare();
		watch_bare(fd[i], path, token);
		expect_event(fd[i], path, token);
	}
	write_node(xs, 0, path, "changed");
	for (i = 0; i < n; i++)
		expect_event(fd[i], path, token);
	/* One goes; the others hear on. */
	close(fd[0]);
	write_node(xs, 0, path, "again");
	for (i = 1; i < n; i++)
		expect_event(fd[i], path, token);
	return 0;
}

static int storm(const char *path, int n)
{
	struct xs_handle *xs = open_store();
	char node[200];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(node, sizeof(node), "%s/storm-%0100d", path, i);
		write_node(xs, 0, node, "x");
		if (!xs_rm(xs, 0, node))
			die("removing %s failed", node);
	}
	xs_close(xs);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	const char *a = argc > 2 ? argv[2] : "", *b = argc > 3 ? argv[3] : "";
	const char *c = argc > 4 ? argv[4] : "";

	if (!strcmp(verb, "kill-transactions"))
		return kill_many(atoi(a), b, 0);
	if (!strcmp(verb, "kill-watches"))
		return kill_many(atoi(a), c, atoi(b));
	if (!strcmp(verb, "commit"))
		return commit(a, b);
	if (!strcmp(verb, "quota"))
		return quota();
	if (!strcmp(verb, "try"))
		return try(a, b);
	if (!strcmp(verb, "slow"))
		return slow(a);
	if (!strcmp(verb, "stuck"))
		return stuck();
	if (!strcmp(verb, "garbage"))
		return garbage(a);
	if (!strcmp(verb, "leave"))
		return leave(a, atoi(b));
	if (!strcmp(verb, "cut"))
		return cut();
	if (!strcmp(verb, "ids"))
		return ids();
	if (!strcmp(verb, "same"))
		return same(a, b, atoi(c));
	if (!strcmp(verb, "storm"))
		return storm(a, atoi(b));
	fputs("store-peer: no such behaviour; see the top of store-peer.c\n", stderr);
	return 2;
}
