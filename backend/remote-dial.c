/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections to servers, and programs that are servers (remote-dial.h).
 *
 * Hides: getaddrinfo, connect, the first words of NBD. Must not know: disks.
 */
#include "remote-dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "nbd-library.h"
#include "packet.h"
#include "util.h"

#define RETRY_MS 20
#define CONNECT_MS 10000		/* one address */
#define NEGOTIATE_MS 20000u
#define MAX_FDS 32u
/* A host that does not answer for so long has gone: what was sent is given up. */
#define PEER_GONE_MS 30000

static int fail(int sock, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(int sock, int err, const char *fmt, ...)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_FAILED };
	va_list ap;

	msg.failure.err = -err;
	va_start(ap, fmt);
	vsnprintf(msg.failure.reason, sizeof(msg.failure.reason), fmt, ap);
	va_end(ap);
	return worker_send(sock, &msg, NULL, 0) ? 1 : 0;
}

/* ---- connecting ------------------------------------------------------------------- */

/* syscalls start: connect poll ppoll getsockopt */
/* Non-blocking, so that a host that says nothing takes CONNECT_MS at most. */
static int connect_within(int fd, const struct sockaddr *sa, socklen_t bytes)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err;

	if (!connect(fd, sa, bytes))
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, CONNECT_MS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

/* syscalls start: socket close */
static int connect_unix(const char *path, int *out)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	err = connect_within(fd, (struct sockaddr *)&sa, sizeof(sa));
	if (err)
		close(fd);
	else
		*out = fd;
	return err;
}

/* syscalls start: setsockopt */
/* Small requests go at once; a host that has gone is noticed without being asked. */
static void tune(int fd)
{
	int on = 1, idle_s = 10, every_s = 5, gone_ms = PEER_GONE_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &gone_ms, sizeof(gone_ms));
}

static int connect_address(const struct addrinfo *ai, int *out)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = connect_within(fd, ai->ai_addr, ai->ai_addrlen);
	if (err) {
		close(fd);
		return err;
	}
	tune(fd);
	*out = fd;
	return 0;
}

static int connect_host(const struct storage_address *at, int *out, char *why, size_t why_bytes)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *ai;
	int rc = getaddrinfo(at->host, at->port, &hints, &all), err = -EHOSTUNREACH;

	if (rc) {
		snprintf(why, why_bytes, "the host %.80s: %.60s", at->host, rc == EAI_SYSTEM ?
			 strerror(errno) : gai_strerror(rc));
		return -EHOSTUNREACH;
	}
	for (ai = all; ai && err; ai = ai->ai_next)
		err = connect_address(ai, out);
	freeaddrinfo(all);
	return err;
}

static int connect_once(const struct storage_address *at, int *out, char *why, size_t why_bytes)
{
	int err;

	why[0] = '\0';
	err = at->socket[0] ? connect_unix(at->socket, out) : connect_host(at, out, why, why_bytes);
	if (!err || why[0])
		return err;
	if (at->socket[0])
		snprintf(why, why_bytes, "no NBD server at %.100s: %.40s", at->socket, strerror(-err));
	else
		snprintf(why, why_bytes, "no NBD server at %.80s port %s: %.40s", at->host, at->port,
			 strerror(-err));
	return err;
}

/* syscalls start: clock_nanosleep */
static int connect_patiently(const struct worker_dial *dial, int *out, char *why,
			     size_t why_bytes)
{
	uint64_t until = now_ms() + dial->patience_ms;
	int err;

	for (;;) {
		err = connect_once(&dial->at, out, why, why_bytes);
		if ((err != -ENOENT && err != -ECONNREFUSED) || now_ms() >= until)
			return err;
		usleep(RETRY_MS * 1000);
	}
}

/* ---- what an export is --------------------------------------------------------------- */

/* syscalls nbd: poll ppoll fcntl(F_GETFL) recvfrom sendto(connected) */
static bool negotiate(struct nbd_handle *nbd, int fd)
{
	uint64_t until = now_ms() + NEGOTIATE_MS;

	if (libnbd.aio_connect_socket(nbd, fd) < 0)
		return false;
	while (!libnbd.aio_is_ready(nbd)) {
		if (libnbd.aio_is_dead(nbd) || libnbd.aio_is_closed(nbd) || now_ms() >= until)
			return false;
		if (libnbd.poll(nbd, 1000) < 0)
			return false;
	}
	return true;
}

static uint32_t block_size(struct nbd_handle *nbd, int which)
{
	int64_t n = libnbd.get_block_size(nbd, which);

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static void take_info(struct nbd_handle *nbd, struct remote_info *out)
{
	out->bytes = (uint64_t)libnbd.get_size(nbd);
	out->least_block_bytes = block_size(nbd, LIBNBD_SIZE_MINIMUM);
	out->good_block_bytes = block_size(nbd, LIBNBD_SIZE_PREFERRED);
	out->read_only = libnbd.is_read_only(nbd) > 0;
	out->flush = libnbd.can_flush(nbd) > 0;
	out->trim = libnbd.can_trim(nbd) > 0;
	out->zero = libnbd.can_zero(nbd) > 0;
	out->multi_conn = libnbd.can_multi_conn(nbd) > 0;
}

/* libnbd's words begin with the name of its function. */
static const char *nbd_words(void)
{
	const char *words = libnbd.get_error(), *colon = words ? strstr(words, ": ") : NULL;

	if (!words)
		return "it says nothing that is NBD";
	return colon && !strncmp(words, "nbd_", 4) ? colon + 2 : words;
}

/* syscalls nbd: poll ppoll sendto(connected) */
/* One that has no flush has nothing in its memory. Who waits for us ends us when it takes long. */
static bool flush(struct nbd_handle *nbd)
{
	int64_t cookie;
	int done = 0;

	if (libnbd.can_flush(nbd) <= 0 || libnbd.is_read_only(nbd) > 0)
		return true;
	cookie = libnbd.aio_flush(nbd, NBD_NULL_COMPLETION, 0);
	while (cookie >= 0 && !done) {
		done = libnbd.aio_command_completed(nbd, (uint64_t)cookie);
		if (!done && libnbd.poll(nbd, 1000) < 0)
			return false;
	}
	return done > 0;
}

/* What the server says is read in the sandbox, with nothing in reach. */
static int ask(int sock, const struct sandbox *sandbox, const struct worker_dial *dial, int fd)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_DIALED };
	struct nbd_handle *nbd;
	char why[160];
	int err = nbd_library_load(why, sizeof(why));

	if (err)
		return fail(sock, err, "%s", why);
	nbd = libnbd.create();
	err = sandbox_before_loop(sandbox, MAX_FDS);
	if (!err)
		err = sandbox_final(sandbox, &sandbox_nbd, sock);
	if (err || !nbd)
		return fail(sock, err ? err : -ENOMEM, "cannot ask the server: %s",
			    strerror(err ? -err : ENOMEM));
	libnbd.set_export_name(nbd, dial->export);
	if (!negotiate(nbd, fd))
		return fail(sock, -EIO, "the server refuses the export '%.60s': %.110s",
			    dial->export, nbd_words());
	take_info(nbd, &msg.dialed);
	if (dial->flush && !flush(nbd))
		return fail(sock, -EIO, "its server could not flush what it had answered: %.110s",
			    nbd_words());
	err = worker_send(sock, &msg, NULL, 0);
	libnbd.aio_disconnect(nbd, 0);
	libnbd.close(nbd);
	return err ? 1 : 0;
}

int remote_dial(int sock, const struct sandbox *sandbox, const struct worker_dial *dial)
{
	struct worker_msg msg = { .version = WORKER_VERSION, .type = WORKER_DIALED };
	uint32_t nr = MIN(MAX(dial->nr, 1), PACKET_FDS_MAX);
	int fds[PACKET_FDS_MAX];
	char why[160];

	for (uint32_t i = 0; i < nr; i++) {
		int err = connect_patiently(dial, &fds[i], why, sizeof(why));

		if (err)
			return fail(sock, err, "%s", why);
	}
	if (!dial->nr)
		return ask(sock, sandbox, dial, fds[0]);
	return worker_send(sock, &msg, fds, nr) ? 1 : 0;
}

/* ---- becoming a server ------------------------------------------------------------------ */

/* syscalls start: prctl dup2 execve getppid fcntl rt_sigaction */
int remote_exec(int sock, const struct storage_command *command)
{
	char *argv[STORAGE_ARGS_MAX + 1];
	const char *at = command->words, *end = at + sizeof(command->words);
	pid_t parent = getppid();
	unsigned i;

	if (command->words[sizeof(command->words) - 1] || command->nr > STORAGE_ARGS_MAX)
		return 1;
	for (i = 0; i < command->nr && at < end; i++, at += strlen(at) + 1)
		argv[i] = (char *)at;
	argv[i] = NULL;
	/* SIGTERM: it writes back what it has before it ends. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_DUMPABLE, 1);
	if (getppid() != parent || !i)
		return 1;
	/* A worker's way with signals is none of its. */
	for (int sig = 1; sig < SIGRTMIN; sig++)
		signal(sig, SIG_DFL);
	/* sock stays open besides: its end is how the supervisor sees the program's. */
	if (fcntl(sock, F_SETFD, 0) || dup2(sock, 1) < 0 || dup2(sock, 2) < 0)
		return 1;
	execvp(argv[0], argv);
	dprintf(sock, "%s cannot be executed: %s; it is in Debian's package %s", argv[0],
		strerror(errno), !strcmp(argv[0], "nbdkit") ? "nbdkit" : "qemu-utils");
	return 1;
}
