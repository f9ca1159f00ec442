/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verified-udp send|receive: the Linux end of what a bare guest sends and receives
 * (tests/bareguest/verified.h), over a UDP socket. Hides sockets; must not know what
 * is in a datagram.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "verified.h"

#define WINDOW_SLOTS 192u	/* of a receiver's ring of 256 */
#define SLOT_BYTES 4096u
#define PATIENCE_MS 60000
#define BUFFER_BYTES (8 << 20)

/* A receiver that is not there yet is reported now and then: it is asked again. */
static int socket_send(void *ctx, const void *data, size_t bytes)
{
	int fd = *(int *)ctx;

	while (send(fd, data, bytes, 0) < 0)
		if (errno != ECONNREFUSED && errno != EINTR)
			return -errno;
	return 0;
}

static int socket_receive(void *ctx, void *data, size_t bytes, int timeout_ms)
{
	struct pollfd pfd = { .fd = *(int *)ctx, .events = POLLIN };
	ssize_t n = recv(pfd.fd, data, bytes, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		if (poll(&pfd, 1, timeout_ms) < 0 && errno != EINTR)
			return -errno;
		n = recv(pfd.fd, data, bytes, MSG_DONTWAIT);
	}
	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == ECONNREFUSED ? 0 : -errno;
}

static uint64_t clock_ns(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Both ends have the same port; no datagram of others is seen. */
static int open_socket(const char *address)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(VERIFIED_PORT) };
	struct sockaddr_in peer = own;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = BUFFER_BYTES;

	if (fd < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0) {
		perror("verified-udp: socket");
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static int report(const char *verb, const struct verified_result *v, int r)
{
	printf("%s: %u right, %u wrong, %u doubled, %u lost, %llu bytes in %llu ns, result %d\n",
	       verb, v->right, v->wrong, v->doubled, v->lost, (unsigned long long)v->bytes,
	       (unsigned long long)v->ns, r);
	return r < 0 || v->wrong || v->doubled || v->lost;
}

int main(int argc, char **argv)
{
	struct verified_options o = { .patience_ms = PATIENCE_MS };
	struct verified_link l = { .send = socket_send, .receive = socket_receive,
				   .now_ns = clock_ns };
	struct verified_result v;
	bool sends = argc == 5 && !strcmp(argv[1], "send");
	uint8_t *seen;
	int fd, r;

	if (!sends && (argc != 4 || strcmp(argv[1], "receive"))) {
		fprintf(stderr, "usage: verified-udp send ADDRESS NR BYTES\n"
			"       verified-udp receive ADDRESS NR\n");
		return 2;
	}
	fd = open_socket(argv[2]);
	l.ctx = &fd;
	o.nr = (uint32_t)strtoul(argv[3], NULL, 10);
	if (sends) {
		o.bytes = (uint32_t)strtoul(argv[4], NULL, 10);
		o.window = WINDOW_SLOTS / (o.bytes / SLOT_BYTES + 2);
		r = verified_send(&l, &o, &v);
	} else {
		seen = calloc(1, o.nr / 8 + 1);
		r = seen ? verified_receive(&l, &o, seen, &v) : -ENOMEM;
		free(seen);
	}
	close(fd);
	return report(argv[1], &v, r);
}
