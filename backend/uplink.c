/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TAP devices (uplink.h): by ioctl, but for what only rtnetlink tells, the bridge
 * that a device is in.
 */
#include "uplink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "launch.h"
#include "util.h"

#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

enum joined { JOINED_NONE, JOINED_LINUX, JOINED_OVS };

struct uplink {
	char ifname[IFNAMSIZ], bridge[IFNAMSIZ];
	int fd, sock;			/* the device; for ioctls */
	bool offloads;
	enum joined joined;		/* by us */
};

/* Where the reason of a failure goes. */
struct why {
	char *text;
	size_t bytes;
};

__attribute__((format(printf, 3, 4)))
static int fail(const struct why *why, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->text, why->bytes, fmt, args);
	va_end(args);
	return rc;
}

/* ---- the device ------------------------------------------------------------------------ */

static int open_tun(struct uplink *u, const struct why *why)
{
	u->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (u->fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODEV)
		return fail(why, -errno, "the kernel has no TAP devices (/dev/net/tun): load its "
			    "module with 'modprobe tun'");
	return fail(why, -errno, "cannot open /dev/net/tun: %s; run as root, or with "
		    "CAP_NET_ADMIN", strerror(errno));
}

static int explain_tap(const char *ifname, int err, const struct why *why)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return fail(why, -err, "may not make the TAP device %s: run as root, or with "
			    "CAP_NET_ADMIN, or make it first for this user (ip tuntap add)",
			    ifname);
	case EBUSY:
		return fail(why, -err, "the TAP device %s is in use by another program", ifname);
	case EINVAL:
		if (if_nametoindex(ifname))
			return fail(why, -err, "%s exists and is no TAP device of one queue: give "
				    "the uplink another name; a bridge can join both", ifname);
		break;
	}
	return fail(why, -err, "cannot make the TAP device %s: %s", ifname, strerror(err));
}

static int attach(struct uplink *u, const struct why *why)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header_bytes = sizeof(struct virtio_net_hdr);

	memcpy(ifr.ifr_name, u->ifname, sizeof(ifr.ifr_name));
	if (ioctl(u->fd, TUNSETIFF, &ifr))
		return explain_tap(u->ifname, errno, why);
	if (ioctl(u->fd, TUNSETVNETHDRSZ, &header_bytes))
		return fail(why, -errno, "the TAP device %s takes no vnet headers: %s",
			    u->ifname, strerror(errno));
	u->offloads = !ioctl(u->fd, TUNSETOFFLOAD, (unsigned long)OFFLOADS);
	return 0;
}

static void name_request(const struct uplink *u, struct ifreq *ifr)
{
	memset(ifr, 0, sizeof(*ifr));
	memcpy(ifr->ifr_name, u->ifname, sizeof(ifr->ifr_name));
}

static int set_mtu(const struct uplink *u, uint32_t mtu_bytes, const struct why *why)
{
	struct ifreq ifr;

	if (!mtu_bytes)
		return 0;
	name_request(u, &ifr);
	ifr.ifr_mtu = (int)mtu_bytes;
	if (!ioctl(u->sock, SIOCSIFMTU, &ifr))
		return 0;
	return fail(why, -errno, "%s does not take an MTU of %u: %s", u->ifname, mtu_bytes,
		    strerror(errno));
}

static int set_up(const struct uplink *u, const struct why *why)
{
	struct ifreq ifr;

	name_request(u, &ifr);
	if (!ioctl(u->sock, SIOCGIFFLAGS, &ifr)) {
		ifr.ifr_flags |= IFF_UP;
		if (!ioctl(u->sock, SIOCSIFFLAGS, &ifr))
			return 0;
	}
	return fail(why, -errno, "cannot set %s up: %s", u->ifname, strerror(errno));
}

/*
 * A port of a bridge is nobody's end: the host would send its own router solicitations
 * into the switch. A kernel without IPv6 has no such file.
 */
static void keep_quiet(const struct uplink *u)
{
	char path[64 + IFNAMSIZ];
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", u->ifname);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) < 0)
		log_debug("%s: IPv6 is not off: %s", u->ifname, strerror(errno));
}

/* ---- what it is in ---------------------------------------------------------------------- */

static uint32_t master_of_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *link = NLMSG_DATA(h);
	size_t left = IFLA_PAYLOAD(h);

	for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_MASTER && RTA_PAYLOAD(a) >= sizeof(uint32_t))
			return *(const uint32_t *)RTA_DATA(a);
	return 0;
}

/* The index of the interface that ours is a port of; 0: none. -errno. */
static int ask_master(const char *ifname, uint32_t *master)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg link;
	} ask = {
		.h = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETLINK,
		       .nlmsg_flags = NLM_F_REQUEST },
		.link = { .ifi_index = (int)if_nametoindex(ifname) },
	};
	union {
		struct nlmsghdr h;
		char space[16384];
	} answer;
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t got;

	*master = 0;
	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	got = recv(fd, &answer, sizeof(answer), 0);
	if (got < 0)
		return -errno;
	if (!NLMSG_OK(&answer.h, (size_t)got) || answer.h.nlmsg_type != RTM_NEWLINK)
		return -ENODEV;
	*master = master_of_link(&answer.h);
	return 0;
}

/* ---- Linux's bridges -------------------------------------------------------------------- */

static int port_request(const struct uplink *u, unsigned long request)
{
	struct ifreq ifr = { .ifr_ifindex = (int)if_nametoindex(u->ifname) };

	memcpy(ifr.ifr_name, u->bridge, sizeof(ifr.ifr_name));
	return ioctl(u->sock, request, &ifr) ? -errno : 0;
}

/* The one of that index. */
static int leave_linux(const struct uplink *u, uint32_t master)
{
	struct ifreq ifr = { .ifr_ifindex = (int)if_nametoindex(u->ifname) };
	char name[IFNAMSIZ];

	if (!if_indextoname(master, name))
		return -errno;
	memcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	return ioctl(u->sock, SIOCBRDELIF, &ifr) ? -errno : 0;
}

/* -ENODEV: no such interface, -EOPNOTSUPP: it is no bridge. */
static int join_linux(struct uplink *u, const struct why *why)
{
	char name[IFNAMSIZ] = "";
	uint32_t master;
	int rc;

	ask_master(u->ifname, &master);
	if (master && master == if_nametoindex(u->bridge))
		return 0;
	rc = port_request(u, SIOCBRADDIF);
	if (!rc)
		u->joined = JOINED_LINUX;
	if (!rc || rc == -ENODEV || rc == -EOPNOTSUPP)
		return rc;
	if (rc == -EBUSY && if_indextoname(master, name))
		return fail(why, rc, "%s is a port of %s already: take it out first (ip link set "
			    "%s nomaster)", u->ifname, name, u->ifname);
	return fail(why, rc, "%s cannot join %s: %s", u->ifname, u->bridge, strerror(-rc));
}

/* ---- Open vSwitch ------------------------------------------------------------------------- */

/* Runs ovs-vsctl. Its exit status, or -errno when it could not be run. */
static int ovs(const char *const *words)
{
	const char *argv[12] = { "ovs-vsctl", "--timeout=5" };
	int rc, status, n = 2;
	pid_t pid;

	_Static_assert(UPLINK_OVS_SECONDS == 5, "the words above");
	while (*words)
		argv[n++] = *words++;
	rc = launch_program(argv[0], argv, NULL, STDERR_FILENO + 1, &pid);
	if (rc)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static int join_ovs(struct uplink *u, const struct why *why)
{
	const char *const exists[] = { "br-exists", u->bridge, NULL };
	const char *const add[] = { "--may-exist", "add-port", u->bridge, u->ifname, NULL };
	int rc = ovs(exists);

	if (rc == -ENOENT || rc == 2)
		return fail(why, -ENODEV, "there is no bridge %s: make it (ip link add %s type "
			    "bridge), or name another", u->bridge, u->bridge);
	if (rc)
		return fail(why, -ENODEV, "there is no bridge %s of the kernel, and ovs-vsctl "
			    "knows none: make one, or start Open vSwitch", u->bridge);
	rc = ovs(add);
	if (rc)
		return fail(why, rc < 0 ? rc : -EIO, "%s cannot join %s: ovs-vsctl add-port "
			    "failed", u->ifname, u->bridge);
	u->joined = JOINED_OVS;
	return 0;
}

static int join(struct uplink *u, const struct why *why)
{
	int rc;

	if (!*u->bridge)
		return 0;
	keep_quiet(u);
	rc = join_linux(u, why);
	if (rc != -ENODEV && rc != -EOPNOTSUPP)
		return rc;
	return join_ovs(u, why);
}

static void leave(const struct uplink *u)
{
	const char *const del[] = { "--if-exists", "del-port", u->bridge, u->ifname, NULL };
	int rc = 0;

	if (u->joined == JOINED_LINUX)
		rc = port_request(u, SIOCBRDELIF);
	else if (u->joined == JOINED_OVS)
		rc = ovs(del);
	if (rc)
		log_warning("uplink %s: it did not leave %s", u->ifname, u->bridge);
}

/* ---- open and close ------------------------------------------------------------------------- */

static int set(struct uplink *u, uint32_t mtu_bytes, const struct why *why)
{
	int rc = open_tun(u, why);

	if (!rc)
		rc = attach(u, why);
	if (!rc)
		rc = set_mtu(u, mtu_bytes, why);
	if (!rc)
		rc = join(u, why);
	return rc ? rc : set_up(u, why);
}

int uplink_open(const struct uplink_config *cfg, struct uplink **out, char *text, size_t bytes)
{
	const struct why why = { text, bytes };
	const char *bridge = cfg->bridge ? cfg->bridge : "";
	struct uplink *u;
	int rc;

	*out = NULL;
	if (!*cfg->ifname || strlen(cfg->ifname) >= IFNAMSIZ || strchr(cfg->ifname, '%'))
		return fail(&why, -EINVAL, "'%s' is no name for a TAP device: 1 to %d letters",
			    cfg->ifname, IFNAMSIZ - 1);
	if (strlen(bridge) >= IFNAMSIZ)
		return fail(&why, -EINVAL, "'%s' is no bridge of this host: names have %d letters "
			    "at most", bridge, IFNAMSIZ - 1);
	u = calloc(1, sizeof(*u));
	if (!u)
		return fail(&why, -ENOMEM, "out of memory");
	memcpy(u->ifname, cfg->ifname, strlen(cfg->ifname));
	memcpy(u->bridge, bridge, strlen(bridge));
	u->fd = -1;
	u->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = u->sock < 0 ? fail(&why, -errno, "no socket: %s", strerror(errno)) :
			   set(u, cfg->mtu_bytes, &why);
	if (rc) {
		uplink_close(u);
		return rc;
	}
	*out = u;
	return 0;
}

/*
 * Which of its bridges the device is in only Open vSwitch knows. One that does not answer is no
 * reason to lose a device that is in one.
 */
static int settle_ovs(struct uplink *u, bool is_in_one, const struct why *why)
{
	const char *const add[] = { "--may-exist", "add-port", u->bridge, u->ifname, NULL };
	const char *const exists[] = { "br-exists", u->bridge, NULL };
	const char *const del[] = { "--if-exists", "del-port", u->ifname, NULL };
	const char *const move[] = { "--if-exists", "del-port", u->ifname, "--", "add-port",
				     u->bridge, u->ifname, NULL };

	if (*u->bridge && !ovs(add))
		return 0;
	if (!*u->bridge || ovs(exists) == 2) {
		if (ovs(del))
			return fail(why, -EIO, "%s does not leave its bridge: ovs-vsctl del-port "
				    "failed", u->ifname);
		u->joined = JOINED_NONE;
		return join(u, why);
	}
	if (!ovs(move))
		return 0;
	if (!is_in_one)
		return fail(why, -EIO, "%s cannot join %s: ovs-vsctl add-port failed", u->ifname,
			    u->bridge);
	log_warning("uplink %s: Open vSwitch does not say whether it is in %s: it stays where it is",
		    u->ifname, u->bridge);
	return 0;
}

/*
 * Its bridge may be another by now, or its administrator or another version may have taken it
 * out.
 */
static int settle(struct uplink *u, uint32_t mtu_bytes, const struct why *why)
{
	uint32_t master;
	int rc = ask_master(u->ifname, &master);

	if (rc)
		return fail(why, rc, "the kernel does not say which bridge %s is in: %s", u->ifname,
			    strerror(-rc));
	rc = set_mtu(u, mtu_bytes, why);
	if (rc)
		return rc;
	if (u->joined == JOINED_OVS)
		return settle_ovs(u, master, why);
	if (u->joined == JOINED_LINUX && master && master != if_nametoindex(u->bridge)) {
		rc = leave_linux(u, master);
		if (rc)
			return fail(why, rc, "%s does not leave its bridge: %s", u->ifname,
				    strerror(-rc));
		u->joined = JOINED_NONE;
	}
	return join(u, why);
}

int uplink_adopt(const struct uplink_config *cfg, int fd, int state, struct uplink **out,
		 char *text, size_t bytes)
{
	const struct why why = { text, bytes };
	struct uplink *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return fail(&why, -ENOMEM, "out of memory");
	snprintf(u->ifname, sizeof(u->ifname), "%s", cfg->ifname);
	snprintf(u->bridge, sizeof(u->bridge), "%s", cfg->bridge ? cfg->bridge : "");
	u->joined = state == JOINED_LINUX || state == JOINED_OVS ? (enum joined)state : JOINED_NONE;
	u->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = u->sock < 0 ? fail(&why, -errno, "no socket: %s", strerror(errno)) :
			   settle(u, cfg->mtu_bytes, &why);
	if (rc) {
		close_fd(&u->sock);
		free(u);
		return rc;
	}
	u->fd = fd;
	u->offloads = !ioctl(fd, TUNSETOFFLOAD, (unsigned long)OFFLOADS);
	*out = u;
	return 0;
}

int uplink_state(const struct uplink *u)
{
	return (int)u->joined;
}

void uplink_close(struct uplink *u)
{
	if (!u)
		return;
	leave(u);
	close_fd(&u->fd);
	close_fd(&u->sock);
	free(u);
}

int uplink_fd(const struct uplink *u)
{
	return u->fd;
}

bool uplink_offloads(const struct uplink *u)
{
	return u->offloads;
}

const char *uplink_ifname(const struct uplink *u)
{
	return u->ifname;
}
