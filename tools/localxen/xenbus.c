/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus.c - localxen-xenbus: the process that stands for a guest's xenbus device.
 *
 * Hides the loop: the socket that clients connect to, the ring page in frame 0
 * of the domain's memory, and the store's event channel. What the bytes mean is
 * xenbus-mux.c's business.
 *
 * Before the tool stack introduces the domain, xenstored does not read the ring
 * and will clear it: nothing is put there while the page's connection field says
 * XENSTORE_RECONNECT. xenstored resets the field and sends an event.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include "localxen.h"
#include "xenbus-msg.h"

#define MAX_CLIENTS 1000
#define LOG_LINES_PER_SECOND 10
#define ACCEPT_AGAIN_MS 100	/* after there was no descriptor for one */

struct conn {
	int fd;
	pid_t pid;
	struct xb_client *client;
	bool ended;
	bool deaf;			/* hears no answers any more; what it has sent still counts */
};

struct xenbus {
	int domid;
	const char *path;		/* NULL: listen_fd was handed to us */
	int listen_fd;
	int hypervisor_fd;
	xenevtchn_handle *xce;
	evtchn_port_t port;
	struct xenstore_domain_interface *intf;
	struct xb_mux *mux;
	struct conn *conn[MAX_CLIENTS];
	unsigned nr_conns, first;	/* first: who comes first in this turn */
	bool no_descriptor;		/* for a client that waits to be accepted */
	/* The fixed three first, then a client each. */
	struct pollfd pfd[3 + MAX_CLIENTS];
	time_t log_second;
	unsigned log_lines;
};

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

/* A guest's client can cause each of these lines: only so many a second. */
static void log_line(void *arg, const char *line)
{
	struct xenbus *xb = arg;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != xb->log_second) {
		xb->log_second = now.tv_sec;
		xb->log_lines = 0;
	}
	if (xb->log_lines++ < LOG_LINES_PER_SECOND)
		fprintf(stderr, "localxen-xenbus: domain %d: %s\n", xb->domid, line);
}

static int __attribute__((format(printf, 2, 3)))
fail(const struct xenbus *xb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "localxen-xenbus: domain %d: ", xb->domid);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

/* ---- fault rules -------------------------------------------------------- */

static const struct { uint32_t type; enum lx_call call; } fail_calls[] = {
	{ XS_READ, LX_CALL_STORE_READ },
	{ XS_WRITE, LX_CALL_STORE_WRITE },
	{ XS_MKDIR, LX_CALL_STORE_MKDIR },
	{ XS_RM, LX_CALL_STORE_RM },
	{ XS_DIRECTORY, LX_CALL_STORE_DIRECTORY },
	{ XS_DIRECTORY_PART, LX_CALL_STORE_DIRECTORY },
	{ XS_GET_PERMS, LX_CALL_STORE_PERMS },
	{ XS_SET_PERMS, LX_CALL_STORE_PERMS },
	{ XS_WATCH, LX_CALL_STORE_WATCH },
	{ XS_TRANSACTION_START, LX_CALL_STORE_TRANSACTION },
	{ XS_TRANSACTION_END, LX_CALL_STORE_TRANSACTION },
};

static int check_rules(void *arg, void *cookie, uint32_t type)
{
	const struct conn *conn = cookie;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(fail_calls) / sizeof(fail_calls[0]); i++)
		if (fail_calls[i].type == type)
			return lx_fail_check_pid(fail_calls[i].call, conn->pid);
	return 0;
}

static const struct xb_mux_ops mux_ops = {
	.fail = check_rules,
	.log = log_line,
};

/* ---- the ring ----------------------------------------------------------- */

/* Returns bytes moved, or -EPROTO. */
static int ring_read(struct xenbus *xb)
{
	const void *data;
	int n = xb_ring_readable(xb->intf, &data);

	if (n <= 0)
		return n;
	if (xb_mux_ring_input(xb->mux, data, n))
		return -EPROTO;
	xb_ring_consumed(xb->intf, n);
	return n;
}

static int ring_write(struct xenbus *xb)
{
	const void *data;
	size_t want = xb_mux_ring_output(xb->mux, &data);
	void *room;
	int n = xb_ring_writable(xb->intf, &room);

	if (n <= 0 || !want)
		return n < 0 ? n : 0;
	if (want < (size_t)n)
		n = want;
	memcpy(room, data, n);
	xb_ring_produced(xb->intf, n);
	xb_mux_ring_sent(xb->mux, n);
	return n;
}

/*
 * Moves what can be moved, one turn of the ring at most, so that a busy store
 * does not keep the clients waiting. Returns 1 if there may be more, 0, or -1
 * after a line in the log.
 */
static int ring_serve(struct xenbus *xb)
{
	unsigned moved = 0;
	int in, out;

	if (__atomic_load_n(&xb->intf->error, __ATOMIC_RELAXED))
		return fail(xb, "xenstored gave this domain's ring up (error %u of xen/io/"
			    "xs_wire.h); no client can be served", xb->intf->error);
	if (__atomic_load_n(&xb->intf->connection, __ATOMIC_ACQUIRE) !=
	    XENSTORE_CONNECTED)
		return 0;
	do {
		in = ring_read(xb);
		out = in < 0 ? in : ring_write(xb);
		if (out < 0)
			return fail(xb, "the store's ring holds nonsense: req %u..%u, "
				    "rsp %u..%u of %u bytes; stopping", xb->intf->req_cons,
				    xb->intf->req_prod, xb->intf->rsp_cons,
				    xb->intf->rsp_prod, XENSTORE_RING_SIZE);
		moved += in + out;
	} while (in + out && moved < 4 * XENSTORE_RING_SIZE);
	if (moved && xenevtchn_notify(xb->xce, xb->port))
		return fail(xb, "cannot notify the store: %m");
	return in + out > 0;
}

static int event_take(struct xenbus *xb)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(xb->xce);

	/* Unmask before the ring is looked at: an event after that comes again. */
	if (port >= 0 && xenevtchn_unmask(xb->xce, port) == 0)
		return 0;
	return fail(xb, "cannot read the store's event channel: %m");
}

/* ---- clients ------------------------------------------------------------ */

static void conn_accept(struct xenbus *xb)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	struct conn *conn;
	int fd = accept4(xb->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Whoever is next waits until one is free, here or in the system. */
		xb->no_descriptor = errno == EMFILE || errno == ENFILE;
		return;
	}
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	conn = xb_alloc(sizeof(*conn));
	conn->fd = fd;
	conn->pid = cred.pid;
	conn->client = xb_client_add(xb->mux, conn);
	xb->conn[xb->nr_conns++] = conn;
}

static void conn_read(struct conn *conn)
{
	char buf[4096];
	ssize_t n;

	if (!xb_client_wants_input(conn->client))
		return;
	n = read(conn->fd, buf, sizeof(buf));
	if (n > 0)
		conn->ended |= xb_client_input(conn->client, buf, n) != 0;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		conn->ended = true;
}

static void conn_write(struct conn *conn)
{
	const void *data;
	size_t want;
	ssize_t n;

	while (!conn->ended && (want = xb_client_output(conn->client, &data))) {
		n = send(conn->fd, data, want, MSG_NOSIGNAL);
		if (n > 0)
			xb_client_sent(conn->client, n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			conn->deaf = true;
		if (conn->deaf)
			xb_client_sent(conn->client, want);
	}
}

/*
 * In turn: what the ring has room for goes to whoever comes first. One that has gone is
 * dropped after all that it had sent, as with a device, which takes a request in the write.
 */
static void conns_serve(struct xenbus *xb)
{
	unsigned i, at;

	if (++xb->first >= xb->nr_conns)
		xb->first = 0;
	for (i = 0; i < xb->nr_conns; i++) {
		struct pollfd *pfd;

		at = (xb->first + i) % xb->nr_conns;
		pfd = &xb->pfd[3 + at];
		if (pfd->revents & POLLIN)
			conn_read(xb->conn[at]);
		else if (pfd->events & POLLIN && pfd->revents & (POLLHUP | POLLERR))
			xb->conn[at]->ended = true;
	}
}

static void conns_flush_and_drop(struct xenbus *xb)
{
	struct conn *conn;
	unsigned i;

	for (i = 0; i < xb->nr_conns; i++) {
		conn = xb->conn[i];
		conn_write(conn);
		if (!conn->ended && !xb_client_overrun(conn->client))
			continue;
		xb_client_gone(conn->client);
		close(conn->fd);
		free(conn);
		xb->conn[i--] = xb->conn[--xb->nr_conns];
	}
}

/* ---- the loop ----------------------------------------------------------- */

static unsigned poll_prepare(struct xenbus *xb)
{
	const void *data;
	unsigned i;

	xb->pfd[0] = (struct pollfd){ .fd = xenevtchn_fd(xb->xce), .events = POLLIN };
	xb->pfd[1] = (struct pollfd){ .fd = xb->hypervisor_fd, .events = 0 };
	xb->pfd[2] = (struct pollfd){
		.fd = xb->nr_conns < MAX_CLIENTS && !xb->no_descriptor ? xb->listen_fd : -1,
		.events = POLLIN,
	};
	for (i = 0; i < xb->nr_conns; i++) {
		const struct conn *conn = xb->conn[i];
		short events = (xb_client_wants_input(conn->client) ? POLLIN : 0) |
			       (xb_client_output(conn->client, &data) ? POLLOUT : 0);

		/* With neither, the end of one that waits would wake us without end. */
		xb->pfd[3 + i] = (struct pollfd){ .fd = events ? conn->fd : -1, .events = events };
	}
	return 3 + xb->nr_conns;
}

static int loop(struct xenbus *xb, const sigset_t *unblocked)
{
	const struct timespec now = { 0 }, again = { .tv_nsec = ACCEPT_AGAIN_MS * 1000000L };
	int more = 0;

	while (!stopping) {
		unsigned nr = poll_prepare(xb);
		const struct timespec *wait = more > 0 ? &now : xb->no_descriptor ? &again : NULL;

		xb->no_descriptor = false;
		if (ppoll(xb->pfd, nr, wait, unblocked) < 0) {
			if (errno == EINTR)
				continue;
			return fail(xb, "poll: %m");
		}
		if (xb->pfd[1].revents || xb->pfd[0].revents & ~POLLIN)
			return 0;	/* the hypervisor has gone, or given us up */
		if (xb->pfd[0].revents && event_take(xb))
			return -1;
		conns_serve(xb);
		if (xb->pfd[2].revents)
			conn_accept(xb);
		more = ring_serve(xb);
		conns_flush_and_drop(xb);
		if (more < 0)
			return -1;
	}
	return 0;
}

/* ---- start and end ------------------------------------------------------ */

/* Under its name only once it listens: then a client never gets ECONNREFUSED. */
static int listen_open(struct xenbus *xb)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int len;

	if (!xb->path) {
		if (fcntl(xb->listen_fd, F_SETFL, O_NONBLOCK) ||
		    fcntl(xb->listen_fd, F_SETFD, FD_CLOEXEC))
			return fail(xb, "--listen %d: %m", xb->listen_fd);
		return 0;
	}
	len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.tmp", xb->path);
	if (len >= (int)sizeof(addr.sun_path))
		return fail(xb, "--listen %s: too long, a socket's path has at most %zu "
			    "characters", xb->path, sizeof(addr.sun_path) - 5);
	unlink(addr.sun_path);
	xb->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (xb->listen_fd < 0 ||
	    bind(xb->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(xb->listen_fd, SOMAXCONN) || rename(addr.sun_path, xb->path))
		return fail(xb, "cannot listen at %s: %m", xb->path);
	return 0;
}

static int domain_open(struct xenbus *xb)
{
	int own = lx_own_domid();

	if (own < 0)
		return fail(xb, "cannot join the hypervisor: %m");
	if (xb->domid >= 0 && xb->domid != own)
		return fail(xb, "started in domain %d instead; is LOCALXEN_DOMID set?",
			    own);
	xb->domid = own;
	xb->hypervisor_fd = lx_hypervisor_fd();
	if (!xb->port) {
		int port = lx_store_port();

		if (port <= 0)
			return fail(xb, "the domain has no store port: %m");
		xb->port = port;
	}
	xb->intf = lx_map_own_frame(LX_GFN_XENSTORE);
	if (!xb->intf)
		return fail(xb, "cannot map the store's ring: %m");
	xb->xce = xenevtchn_open(NULL, 0);
	if (!xb->xce)
		return fail(xb, "cannot open an event channel handle: %m");
	if (lx_evtchn_adopt(xb->xce, xb->port))
		return fail(xb, "cannot take over store port %u: %m", xb->port);
	return 0;
}

static void signals_prepare(sigset_t *unblocked)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t block;

	/* Blocked but in ppoll(), so that none is missed between two of them. */
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, unblocked);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
}

static int usage(void)
{
	fputs("usage: localxen-xenbus --listen PATH|FD [--domid N] [--store-port N]\n"
	      "Serves the store to the clients of one guest of local Xen; localxen starts\nit. "
	      "FD is a listening socket. N are the domain's own by default.\n", stderr);
	return 2;
}

/* -1 if text is not a number from 0 to INT_MAX. */
static int number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || !strchr("0123456789", *text) || *end || n > INT_MAX)
		return -1;
	return n;
}

static int parse(struct xenbus *xb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "domid", required_argument, NULL, 'd' },
		{ "store-port", required_argument, NULL, 'p' },
		{ 0 }
	};
	int opt, n;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		n = optarg ? number(optarg) : -1;
		if (opt == 'l' && n < 0)
			xb->path = optarg;
		else if (opt == 'l')
			xb->listen_fd = n;
		else if (opt == 'd' && n >= 0)
			xb->domid = n;
		else if (opt == 'p' && n > 0)
			xb->port = n;
		else
			return -1;
	}
	return (xb->path || xb->listen_fd >= 0) && optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct xenbus xb = {
		.domid = -1, .listen_fd = -1,
	};
	sigset_t unblocked;
	int rc;

	if (parse(&xb, argc, argv))
		return usage();
	signals_prepare(&unblocked);
	if (domain_open(&xb) || listen_open(&xb))
		return 1;
	xb_mux_open(xb.domid, &mux_ops, &xb, &xb.mux);
	rc = loop(&xb, &unblocked);
	if (xb.path)
		unlink(xb.path);
	while (xb.nr_conns) {
		struct conn *conn = xb.conn[--xb.nr_conns];

		close(conn->fd);
		free(conn);
	}
	xb_mux_close(xb.mux);
	xenevtchn_close(xb.xce);
	return rc ? 1 : 0;
}
