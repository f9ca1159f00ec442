/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames through a kernel interface by AF_PACKET: the peer that tools/bench measures
 * our switch beside. Sends as fast as one thread can with sendmmsg(), or counts
 * what arrives with recvmmsg().
 *
 *   packet-flood send IFNAME MAC BYTES SECONDS     prints frames per second sent
 *   packet-flood count IFNAME BYTES SECONDS        from the first frame on
 *
 * Must not know: Xen, bridges.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64u
#define FRAME_BYTES_MAX 9000u
#define TYPE 0x88b5u		/* for experiments, IEEE 802 */
#define FIRST_FRAME_MS 20000

static struct mmsghdr msgs[BATCH];
static struct iovec iovs[BATCH];
static uint8_t frames[BATCH][FRAME_BYTES_MAX];

static void die(const char *what)
{
	fprintf(stderr, "packet-flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int open_socket(const char *ifname)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(TYPE),
				  .sll_ifindex = (int)if_nametoindex(ifname) };
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(TYPE));

	if (s < 0)
		die("no packet socket (root is needed)");
	if (!at.sll_ifindex || bind(s, (struct sockaddr *)&at, sizeof(at)) < 0)
		die(ifname);
	return s;
}

static void set_up(uint32_t bytes)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){ frames[i], bytes };
		msgs[i].msg_hdr.msg_iov = iovs + i;
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static void fill(int s, const char *ifname, const char *to)
{
	unsigned int mac[6];
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(s, SIOCGIFHWADDR, &ifr) < 0)
		die(ifname);
	if (sscanf(to, "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
		errno = EINVAL;
		die(to);
	}
	for (uint32_t i = 0; i < BATCH; i++) {
		for (uint32_t k = 0; k < 6; k++)
			frames[i][k] = (uint8_t)mac[k];
		memcpy(frames[i] + 6, ifr.ifr_hwaddr.sa_data, 6);
		frames[i][12] = TYPE >> 8;
		frames[i][13] = TYPE & 0xff;
	}
}

static uint64_t send_all(int s, double seconds)
{
	double end = now_s() + seconds;
	uint64_t sent = 0;

	while (now_s() < end) {
		for (uint32_t i = 0; i < 16; i++) {
			int n = sendmmsg(s, msgs, BATCH, 0);

			if (n < 0 && errno != ENOBUFS && errno != EINTR)
				die("sendmmsg");
			sent += n > 0 ? (uint64_t)n : 0;
		}
	}
	return sent;
}

static uint64_t count(int s, double seconds, double *took)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	int wait_ms = FIRST_FRAME_MS;
	double start = 0, now = 0;
	uint64_t got = 0;

	do {
		int n = recvmmsg(s, msgs, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);

		if (n <= 0 && poll(&p, 1, wait_ms) == 0 && !got) {
			errno = ETIMEDOUT;
			die("no frame came");
		}
		now = now_s();
		if (n > 0 && !got) {
			start = now;
			wait_ms = 100;
		}
		got += n > 0 ? (uint64_t)n : 0;
	} while (!got || now - start < seconds);
	*took = now - start;
	return got;
}

int main(int argc, char **argv)
{
	bool sends = argc == 6 && !strcmp(argv[1], "send");
	double seconds, took;
	uint64_t nr;
	int s;

	if (!sends && (argc != 5 || strcmp(argv[1], "count"))) {
		fprintf(stderr, "usage: packet-flood send IFNAME MAC BYTES SECONDS\n"
			"       packet-flood count IFNAME BYTES SECONDS\n");
		return 2;
	}
	s = open_socket(argv[2]);
	seconds = atof(argv[argc - 1]);
	set_up((uint32_t)atoi(argv[argc - 2]) % (FRAME_BYTES_MAX + 1));
	if (sends) {
		fill(s, argv[2], argv[3]);
		took = seconds;
		nr = send_all(s, seconds);
	} else {
		nr = count(s, seconds, &took);
	}
	printf("%.0f\n", (double)nr / took);
	return 0;
}
