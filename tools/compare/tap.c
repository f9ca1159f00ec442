/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See tap.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

#define LOOK_MS 10u

int tap_open(const char *ifname, int header_bytes)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	if (header_bytes)
		ifr.ifr_flags |= IFF_VNET_HDR;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (!ioctl(fd, TUNSETIFF, &ifr) &&
	    (!header_bytes || !ioctl(fd, TUNSETVNETHDRSZ, &header_bytes)))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

int tap_offloads(int fd, bool checksum, bool tso4)
{
	unsigned long flags = (checksum ? TUN_F_CSUM : 0) | (tso4 ? TUN_F_TSO4 : 0);

	return ioctl(fd, TUNSETOFFLOAD, flags) ? -errno : 0;
}

static int set_up(int sock, const char *ifname, unsigned int queue_frames)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr))
		return -errno;
	ifr.ifr_flags |= IFF_UP | IFF_NOARP;
	if (ioctl(sock, SIOCSIFFLAGS, &ifr))
		return -errno;
	ifr.ifr_qlen = (int)queue_frames;
	return ioctl(sock, SIOCSIFTXQLEN, &ifr) ? -errno : 0;
}

int tap_interface(const char *ifname, unsigned int queue_frames, unsigned int timeout_ms)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (sock < 0)
		return -errno;
	for (unsigned int ms = 0; !if_nametoindex(ifname) && ms < timeout_ms; ms += LOOK_MS)
		usleep(LOOK_MS * 1000);
	r = if_nametoindex(ifname) ? set_up(sock, ifname, queue_frames) : -ETIMEDOUT;
	close(sock);
	return r;
}
