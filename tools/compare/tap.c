/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See tap.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
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

static int set_up(int sock, const char *ifname)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr))
		return -errno;
	ifr.ifr_flags |= IFF_UP | IFF_NOARP;
	return ioctl(sock, SIOCSIFFLAGS, &ifr) ? -errno : 0;
}

/* ---- whether it sends what it is given ------------------------------------------- */

/* The name of the queue in front of it, out of what the kernel says of the interface. */
static const char *find_queue(struct nlmsghdr *m, size_t bytes)
{
	struct rtattr *a;
	size_t left;

	if (!NLMSG_OK(m, bytes) || m->nlmsg_type != RTM_NEWLINK)
		return "";
	a = IFLA_RTA((struct ifinfomsg *)NLMSG_DATA(m));
	left = IFLA_PAYLOAD(m);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_QDISC)
			return RTA_DATA(a);
	return "";
}

/*
 * An interface that is up loses all that it is given until the kernel has taken notice of
 * its link, up to a second later: until then the queue in front of it is noop.
 */
static bool is_active(int netlink, unsigned int index)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} ask = { .head = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETLINK,
			    .nlmsg_flags = NLM_F_REQUEST },
		  .info = { .ifi_index = (int)index } };
	union {
		struct nlmsghdr head;
		char bytes[16384];
	} answer;
	ssize_t n;

	if (send(netlink, &ask, sizeof(ask), 0) != sizeof(ask))
		return false;
	n = recv(netlink, &answer, sizeof(answer), 0);
	return n > 0 && *find_queue(&answer.head, (size_t)n) &&
	       strcmp(find_queue(&answer.head, (size_t)n), "noop");
}

static int await_active(const char *ifname, unsigned int *left_ms)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r = netlink < 0 ? -errno : 0;

	while (!r && !is_active(netlink, if_nametoindex(ifname))) {
		if (*left_ms < LOOK_MS)
			r = -ETIMEDOUT;
		*left_ms -= LOOK_MS;
		usleep(LOOK_MS * 1000);
	}
	if (netlink >= 0)
		close(netlink);
	return r;
}

int tap_interface(const char *ifname, unsigned int timeout_ms)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (sock < 0)
		return -errno;
	for (; !if_nametoindex(ifname) && timeout_ms >= LOOK_MS; timeout_ms -= LOOK_MS)
		usleep(LOOK_MS * 1000);
	r = if_nametoindex(ifname) ? set_up(sock, ifname) : -ETIMEDOUT;
	close(sock);
	return r ? r : await_active(ifname, &timeout_ms);
}
