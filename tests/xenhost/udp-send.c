/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * udp-send ADDRESS BYTES COUNT: sends datagrams as fast as the socket takes them and
 * prints how many a second. Runs in guests; asks nobody to answer, so that it can
 * measure a switch that delivers nothing. One reading of the clock before and one
 * after: Xen emulates each under emulation.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	static char data[65507];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	double start;
	size_t bytes;
	long count;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: udp-send ADDRESS BYTES COUNT\n");
		return 2;
	}
	bytes = strtoul(argv[2], NULL, 10);
	count = strtol(argv[3], NULL, 10);
	if (!bytes || bytes > sizeof(data) || count <= 0) {
		fprintf(stderr, "udp-send: 1 to %zu bytes, 1 datagram or more\n", sizeof(data));
		return 2;
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("udp-send: socket");
		return 1;
	}
	start = now_seconds();
	for (long i = 0; i < count; i++)
		/* A port that nobody listens on is reported now and then. */
		if (send(fd, data, bytes, 0) < 0 && errno != ECONNREFUSED) {
			perror("udp-send: send");
			return 1;
		}
	printf("%.0f\n", (double)count / (now_seconds() - start));
	close(fd);
	return 0;
}
