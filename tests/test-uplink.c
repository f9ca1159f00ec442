/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * uplink.c in a network namespace of its own: what it makes of a TAP device, frames
 * through a Linux bridge, Open vSwitch as a script that writes down what it is asked,
 * and the words for everything that can be missing.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <unistd.h>

#include "uplink.h"
#include "unit.h"

#define EXPERIMENTAL 0x88b5	/* an Ethernet type that nobody else sends */
#define PATIENCE_MS 20000

static char why[256];
static int control = -1;	/* for ioctls */

static int open_one(const char *ifname, const char *bridge, uint32_t mtu, struct uplink **u)
{
	struct uplink_config cfg = { .ifname = ifname, .bridge = bridge, .mtu_bytes = mtu };

	*why = '\0';
	return uplink_open(&cfg, u, why, sizeof(why));
}

static void make_bridge(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	UNIT_EQ(ioctl(control, SIOCBRADDBR, name), 0);
	strcpy(ifr.ifr_name, name);
	ifr.ifr_flags = IFF_UP;
	UNIT_EQ(ioctl(control, SIOCSIFFLAGS, &ifr), 0);
}

static void remove_bridge(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	strcpy(ifr.ifr_name, name);
	ioctl(control, SIOCSIFFLAGS, &ifr);
	UNIT_EQ(ioctl(control, SIOCBRDELBR, name), 0);
}

static bool is_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	strcpy(ifr.ifr_name, name);
	return !ioctl(control, SIOCGIFFLAGS, &ifr) && ifr.ifr_flags & IFF_UP;
}

static int mtu_of(const char *name)
{
	struct ifreq ifr = { .ifr_mtu = 0 };

	strcpy(ifr.ifr_name, name);
	return ioctl(control, SIOCGIFMTU, &ifr) ? -1 : ifr.ifr_mtu;
}

/* The bridge that a device is in, or "". */
static const char *master_of(const char *name)
{
	static char line[256];
	FILE *f;

	snprintf(line, sizeof(line), "ip -o link show dev %s | sed -n 's/.* master "
		 "\\([^ ]*\\) .*/\\1/p'", name);
	f = popen(line, "r");
	*line = '\0';
	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	if (f)
		pclose(f);
	return line;
}

/* A TAP device as somebody else may have made it, to stay. */
static int make_tap(const char *name, int flags, bool stays)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strcpy(ifr.ifr_name, name);
	UNIT_EQ(ioctl(fd, TUNSETIFF, &ifr), 0);
	UNIT_EQ(ioctl(fd, TUNSETPERSIST, stays), 0);
	return fd;
}

static void test_new(void)
{
	struct uplink *u;

	UNIT_EQ(open_one("up0", NULL, 9000, &u), 0);
	UNIT_NEED(u != NULL);
	UNIT_OK(is_up("up0") && uplink_offloads(u));
	UNIT_EQ(mtu_of("up0"), 9000);
	UNIT_STREQ(uplink_ifname(u), "up0");
	UNIT_OK(fcntl(uplink_fd(u), F_GETFL) & O_NONBLOCK);
	UNIT_OK(fcntl(uplink_fd(u), F_GETFD) & FD_CLOEXEC);
	uplink_close(u);
	UNIT_EQ(if_nametoindex("up0"), 0);
	uplink_close(NULL);
}

/* ---- frames --------------------------------------------------------------------------- */

struct test_frame {
	struct virtio_net_hdr vnet;
	uint8_t octet[60];
};

static struct test_frame make_frame(uint8_t last)
{
	struct test_frame f = { .octet = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					   2, 0, 0, 0, 0, last, 0x88, 0xb5, last } };

	return f;
}

/* Waits for a frame of our type. False: none came. skip: octets in front of it. */
static bool hear(int fd, size_t skip, uint8_t last)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t buf[2048];

	while (poll(&p, 1, PATIENCE_MS) > 0) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n >= (ssize_t)skip + 15 && buf[skip + 12] == 0x88 &&
		    buf[skip + 13] == 0xb5)
			return buf[skip + 14] == last;
	}
	return false;
}

static int packet_socket(const char *ifname)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(EXPERIMENTAL),
				  .sll_ifindex = (int)if_nametoindex(ifname) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(EXPERIMENTAL));

	UNIT_EQ(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The host does not speak IPv6 on a port; '-': this kernel has none. */
static char ipv6_is_off(const char *ifname)
{
	char path[96], c = '-';
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, &c, 1) < 1)
		c = '?';
	close(fd);
	return c;
}

static void test_bridge(void)
{
	struct test_frame out = make_frame(7), in = make_frame(9);
	struct uplink *u;
	int sock;

	make_bridge("br0");
	UNIT_EQ(open_one("up0", "br0", 0, &u), 0);
	UNIT_NEED(u != NULL);
	UNIT_STREQ(master_of("up0"), "br0");
	UNIT_EQ(mtu_of("up0"), 1500);
	UNIT_OK(ipv6_is_off("up0") != '0');
	sock = packet_socket("br0");
	UNIT_EQ(write(uplink_fd(u), &out, sizeof(out)), (ssize_t)sizeof(out));
	UNIT_OK(hear(sock, 0, 7));
	UNIT_EQ(write(sock, in.octet, sizeof(in.octet)), (ssize_t)sizeof(in.octet));
	UNIT_OK(hear(uplink_fd(u), sizeof(struct virtio_net_hdr), 9));
	close(sock);
	uplink_close(u);
	UNIT_EQ(if_nametoindex("up0"), 0);
	remove_bridge("br0");
}

/* ---- a device that somebody made -------------------------------------------------------- */

static void test_persistent(void)
{
	struct uplink *u;
	struct ifreq ifr = { .ifr_mtu = 4000 };
	int fd = make_tap("keep0", 0, true);

	close(fd);
	strcpy(ifr.ifr_name, "keep0");
	UNIT_EQ(ioctl(control, SIOCSIFMTU, &ifr), 0);
	make_bridge("br0");
	UNIT_EQ(open_one("keep0", "br0", 0, &u), 0);
	UNIT_EQ(mtu_of("keep0"), 4000);
	UNIT_STREQ(master_of("keep0"), "br0");
	uplink_close(u);
	/* It stays, out of the bridge that it was put in. */
	UNIT_OK(if_nametoindex("keep0") != 0);
	UNIT_STREQ(master_of("keep0"), "");
	/* In that bridge already: it is left there. */
	ifr.ifr_ifindex = (int)if_nametoindex("keep0");
	strcpy(ifr.ifr_name, "br0");
	UNIT_EQ(ioctl(control, SIOCBRADDIF, &ifr), 0);
	UNIT_EQ(open_one("keep0", "br0", 0, &u), 0);
	uplink_close(u);
	UNIT_STREQ(master_of("keep0"), "br0");
	/* In another one. */
	make_bridge("br1");
	UNIT_EQ(open_one("keep0", "br1", 0, &u), -EBUSY);
	UNIT_STREQ(why, "keep0 is a port of br0 already: take it out first (ip link set keep0 "
		   "nomaster)");
	close(make_tap("keep0", 0, false));
	remove_bridge("br1");
	remove_bridge("br0");
}

/* ---- Open vSwitch ------------------------------------------------------------------------ */

/* A script in ovs-vsctl's place: writes its words down, exits with a status per verb. */
static void put_ovs(const char *dir, int exists, int add)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ovs-vsctl", dir);
	f = fopen(path, "w");
	UNIT_NEED(f != NULL);
	fprintf(f, "#!/bin/sh\necho \"$*\" >> %s/log\ncase \"$*\" in\n*br-exists*) exit %d;;\n"
		"*--\\ add-port*) exit 0;;\n*add-port*) exit %d;;\nesac\n", dir, exists, add);
	fclose(f);
	UNIT_EQ(chmod(path, 0700), 0);
}

static const char *read_log(const char *dir)
{
	static char text[1024];
	char path[128];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/log", dir);
	f = fopen(path, "r");
	if (!f)
		return "";
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	unlink(path);
	return text;
}

/* By another version, when it is to be in bridge: of the same, what it asks. */
static void adopt(struct uplink *before, const char *bridge, const char *dir, const char *asked)
{
	const struct uplink_config cfg = { .ifname = "up0", .bridge = bridge };
	struct uplink *u = NULL;

	UNIT_EQ(uplink_adopt(&cfg, dup(uplink_fd(before)), uplink_state(before), &u, why,
			     sizeof(why)), 0);
	UNIT_STREQ(read_log(dir), asked);
	uplink_close(u);
	read_log(dir);
}

/* A device of its datapath has a master, which says nothing of the bridge. */
static void test_ovs_adopted(const char *dir)
{
	struct uplink *u;

	make_bridge("datapath");
	put_ovs(dir, 0, 0);
	UNIT_EQ(open_one("up0", "ovs0", 0, &u), 0);
	UNIT_EQ(system("ip link set up0 master datapath"), 0);
	read_log(dir);
	adopt(u, "ovs0", dir, "--timeout=5 --may-exist add-port ovs0 up0\n");
	/* It is in another. */
	put_ovs(dir, 0, 1);
	adopt(u, "ovs1", dir, "--timeout=5 --may-exist add-port ovs1 up0\n"
	      "--timeout=5 br-exists ovs1\n"
	      "--timeout=5 --if-exists del-port up0 -- add-port ovs1 up0\n");
	/* It is to be in one of the kernel's, or in none. */
	put_ovs(dir, 2, 1);
	UNIT_EQ(system("ip link set up0 nomaster"), 0);
	make_bridge("br0");
	adopt(u, "br0", dir, "--timeout=5 --may-exist add-port br0 up0\n"
	      "--timeout=5 br-exists br0\n--timeout=5 --if-exists del-port up0\n");
	adopt(u, "", dir, "--timeout=5 --if-exists del-port up0\n");
	uplink_close(u);
	remove_bridge("br0");
	remove_bridge("datapath");
	read_log(dir);
}

static void test_ovs(void)
{
	char dir[] = "/tmp/pv-test-uplink-XXXXXX", path[256], *before = strdup(getenv("PATH"));
	struct uplink *u;

	UNIT_NEED(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s:%s", dir, before);
	setenv("PATH", path, 1);
	put_ovs(dir, 0, 0);
	UNIT_EQ(open_one("up0", "ovs0", 0, &u), 0);
	UNIT_STREQ(read_log(dir), "--timeout=5 br-exists ovs0\n"
		   "--timeout=5 --may-exist add-port ovs0 up0\n");
	uplink_close(u);
	UNIT_STREQ(read_log(dir), "--timeout=5 --if-exists del-port ovs0 up0\n");
	test_ovs_adopted(dir);
	put_ovs(dir, 0, 1);
	UNIT_EQ(open_one("up0", "ovs0", 0, &u), -EIO);
	UNIT_OK(strstr(why, "add-port failed") != NULL);
	put_ovs(dir, 2, 0);
	UNIT_EQ(open_one("up0", "ovs0", 0, &u), -ENODEV);
	UNIT_OK(strstr(why, "there is no bridge ovs0") != NULL);
	UNIT_EQ(if_nametoindex("up0"), 0);
	read_log(dir);
	setenv("PATH", before, 1);
	snprintf(path, sizeof(path), "%s/ovs-vsctl", dir);
	unlink(path);
	rmdir(dir);
	free(before);
}

/* ---- what can be missing ------------------------------------------------------------------ */

static void refuse(const char *ifname, const char *bridge, uint32_t mtu, int rc,
		   const char *words)
{
	struct uplink *u;

	UNIT_EQ(open_one(ifname, bridge, mtu, &u), rc);
	if (!strstr(why, words))
		fprintf(stderr, "\n'%s'", why);
	UNIT_OK(strstr(why, words) != NULL);
	UNIT_OK(!u);
}

static void test_refused(void)
{
	int fd = make_tap("busy0", 0, false), many;

	refuse("", "", 0, -EINVAL, "1 to 15 letters");
	refuse("abcdefghijklmnop", "", 0, -EINVAL, "1 to 15 letters");
	refuse("tap%d", "", 0, -EINVAL, "no name for a TAP");
	refuse("up0", "abcdefghijklmnop", 0, -EINVAL, "15 letters at most");
	refuse("up0", "nobridge", 0, -ENODEV, "there is no bridge nobridge");
	refuse("up0", "lo", 0, -ENODEV, "there is no bridge lo");
	refuse("lo", "", 0, -EINVAL, "lo exists and is no TAP device");
	refuse("busy0", "", 0, -EBUSY, "in use by another program");
	refuse("up0", "", 1u << 20, -EINVAL, "does not take an MTU of 1048576");
	close(fd);
	many = make_tap("many0", IFF_MULTI_QUEUE, true);
	close(many);
	refuse("many0", "", 0, -EINVAL, "no TAP device of one queue");
	close(make_tap("many0", IFF_MULTI_QUEUE, false));
	UNIT_EQ(if_nametoindex("up0"), 0);
}

/* Last: this process has no CAP_NET_ADMIN any more. */
static void test_no_capability(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { { .effective = 0 } };

	UNIT_EQ(syscall(SYS_capset, &h, d), 0);
	refuse("up0", "", 0, -EPERM, "CAP_NET_ADMIN");
}

static bool in_own_namespace(void)
{
	return !unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a new device", test_new },
		{ "frames through a Linux bridge", test_bridge },
		{ "a device that stays", test_persistent },
		{ "Open vSwitch is asked", test_ovs },
		{ "what can be missing", test_refused },
		{ "without the capability", test_no_capability },
	};

	if (!in_own_namespace() || access("/dev/net/tun", R_OK | W_OK)) {
		printf("uplink: skipped: no network namespace of its own, or no /dev/net/tun\n");
		return UNIT_SKIP;
	}
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(control, SIOCBRADDBR, "try0") || ioctl(control, SIOCBRDELBR, "try0")) {
		printf("uplink: skipped: this kernel has no bridges\n");
		return UNIT_SKIP;
	}
	return unit_run("uplink", tests, UNIT_LEN(tests));
}
