/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-netfront tap: the interface as a TAP device, so that the network
 * namespace it runs in is a guest with a real TCP stack.
 *
 * Hides: TAP devices, their vnet headers, which of them crosses to which flag of
 * a frame. Must not know: slots, rings. Large frames are read into shared pages
 * and sent from there; small ones are copied, since they then share pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netfront-cmd.h"
#include "netfront-packet.h"

#define PAGE_BYTES 4096u
#define PAGES 17u			/* of the largest frame, and one for its header */
#define SMALL_BYTES 1024u		/* copied */
#define BATCH 64u
#define TURNS_PER_POLL 64u
#define LAST_ANSWERS_MS 1000u

struct tap {
	struct session *s;
	int fd;
	struct virtio_net_hdr hdr;	/* of the frame that waits */
	void *page[PAGES];		/* where frames are read to */
	uint8_t *own[PAGES];		/* when the pool has none, or there are several queues */
	uint8_t small[SMALL_BYTES];
	struct netfront_frame out, in[BATCH];
	unsigned int out_queue;
	bool waits;			/* out found no room */
	uint64_t dropped;
	pid_t child;
};

/* ---- the device ---------------------------------------------------------------------- */

static int cannot(const struct session *s, const char *what, const char *advice)
{
	front_complain(&s->args->cli, EXIT_ERROR, "%s: cannot %s: %s", s->args->ifname, what,
		       strerror(errno));
	if (advice)
		fprintf(stderr, "  %s\n", advice);
	return EXIT_ERROR;
}

static int set_offloads(const struct tap *t)
{
	const struct netfront_info *i = &t->s->info;
	unsigned int flags = TUN_F_CSUM;

	if (i->gso_tcpv4)
		flags |= TUN_F_TSO4;
	if (i->gso_tcpv6 && i->ipv6_checksum)
		flags |= TUN_F_TSO6;
	return ioctl(t->fd, TUNSETOFFLOAD, (unsigned long)flags);
}

static uint32_t usable_mtu(const struct netfront_info *i)
{
	uint32_t limit = i->sg ? 65521 : PAGE_BYTES - 18;	/* Ethernet and a VLAN tag */

	return i->mtu_bytes < limit ? i->mtu_bytes : limit;
}

static int set_interface(const struct tap *t, struct ifreq *ifr)
{
	const struct netfront_info *i = &t->s->info;
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (sock < 0)
		return cannot(t->s, "open a socket", NULL);
	ifr->ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr->ifr_hwaddr.sa_data, i->mac, 6);
	r = ioctl(sock, SIOCSIFHWADDR, ifr);
	if (r == 0) {
		ifr->ifr_mtu = (int)usable_mtu(i);
		r = ioctl(sock, SIOCSIFMTU, ifr);
	}
	if (r == 0)
		r = ioctl(sock, SIOCGIFFLAGS, ifr);
	if (r == 0) {
		ifr->ifr_flags |= IFF_UP;
		r = ioctl(sock, SIOCSIFFLAGS, ifr);
	}
	if (r < 0)
		r = cannot(t->s, "give the device its address and MTU", NULL);
	close(sock);
	return r;
}

static int open_device(struct tap *t)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	const char *name = t->s->args->ifname;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return front_complain(&t->s->args->cli, EXIT_USAGE, "--ifname: '%s' is not a name "
				      "of 1 to %d letters", name, IFNAMSIZ - 1);
	memcpy(ifr.ifr_name, name, strlen(name));
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0)
		return cannot(t->s, "open /dev/net/tun", "load the module tun, and run as root of "
			      "the network namespace");
	if (ioctl(t->fd, TUNSETIFF, &ifr) < 0)
		return cannot(t->s, "make the device", "is the name taken? This needs "
			      "CAP_NET_ADMIN in the network namespace");
	if (set_offloads(t) < 0)
		return cannot(t->s, "set its offloads", NULL);
	return set_interface(t, &ifr);
}

/* ---- from the device ----------------------------------------------------------------------- */

static bool in_place(const struct tap *t)
{
	const struct netfront_info *i = &t->s->info;

	return i->nr_queues == 1 && i->sg && i->ipv6_checksum && i->tx_pages >= PAGES * 3;
}

static void get_pages(struct tap *t)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (!t->page[i] && (!in_place(t) ||
				    netfront_buffer_get(t->s->n, 0, &t->page[i]) < 0))
			t->page[i] = t->own[i];
}

/*
 * What a back end cannot finish is finished here. Frames are not read in place then, and
 * our own pages are one run.
 */
static int complete_sum(struct tap *t, size_t bytes)
{
	uint8_t *flat = t->own[0];
	size_t start = t->hdr.csum_start, at = start + t->hdr.csum_offset;
	uint16_t sum;

	if (at + 2 > bytes)
		return -EINVAL;
	sum = packet_fold(packet_sum(flat + start, bytes - start, 0));
	if (!sum)
		sum = 0xffff;
	flat[at] = (uint8_t)(sum >> 8);
	flat[at + 1] = (uint8_t)sum;
	t->hdr.flags = 0;
	return 0;
}

static bool is_ipv6(const uint8_t *data)
{
	return data[12] == 0x86 && data[13] == 0xdd;
}

static int set_flags(struct tap *t, size_t bytes)
{
	struct netfront_frame *f = &t->out;

	if (t->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !t->s->info.ipv6_checksum &&
	    is_ipv6(t->page[0]) && complete_sum(t, bytes) < 0)
		return -EOPNOTSUPP;
	f->checksum_blank = t->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f->checksum_validated = f->checksum_blank ||
				t->hdr.flags & VIRTIO_NET_HDR_F_DATA_VALID;
	f->gso_bytes = t->hdr.gso_size;
	switch (t->hdr.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		f->gso = NETFRONT_GSO_NONE;
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		f->gso = NETFRONT_GSO_TCPV4;
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		f->gso = NETFRONT_GSO_TCPV6;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void set_pieces(struct tap *t, size_t bytes)
{
	struct netfront_frame *f = &t->out;
	unsigned int i;

	if (bytes <= SMALL_BYTES) {
		memcpy(t->small, t->page[0], bytes);
		f->nr_pieces = 1;
		f->piece[0] = (struct netfront_piece){ t->small, (uint32_t)bytes };
		return;
	}
	for (i = 0; bytes; i++) {
		f->piece[i].base = t->page[i];
		f->piece[i].bytes = (uint32_t)(bytes < PAGE_BYTES ? bytes : PAGE_BYTES);
		bytes -= f->piece[i].bytes;
	}
	f->nr_pieces = i;
}

/* 1: a frame is ready in out. 0: nothing there, or nothing that can be sent. */
static int read_frame(struct tap *t)
{
	struct iovec iov[PAGES + 1] = { { &t->hdr, sizeof(t->hdr) } };
	unsigned int i;
	ssize_t n;

	get_pages(t);
	for (i = 0; i < PAGES; i++)
		iov[i + 1] = (struct iovec){ t->page[i], PAGE_BYTES };
	n = readv(t->fd, iov, PAGES + 1);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)n < sizeof(t->hdr) + PACKET_ETH_BYTES ||
	    set_flags(t, (size_t)n - sizeof(t->hdr)) < 0) {
		t->dropped++;
		return 1;
	}
	set_pieces(t, (size_t)n - sizeof(t->hdr));
	if (t->s->info.nr_queues > 1)
		t->out_queue = packet_flow(t->page[0], MIN((size_t)n, PAGE_BYTES)) %
			       t->s->info.nr_queues;
	t->waits = true;
	return 1;
}

/* Sent: the pages are the front end's. Not to be sent at all: counted. */
static int send_frame(struct tap *t)
{
	unsigned int i;
	int r = netfront_send(t->s->n, t->out_queue, &t->out, 1);

	if (r == 0)
		return 0;
	if (r < 0 && r != -EMSGSIZE && r != -EINVAL && r != -EOPNOTSUPP)
		return r;
	t->waits = false;
	if (r < 0)
		t->dropped++;
	for (i = 0; r > 0 && i < t->out.nr_pieces; i++)
		if (t->out.piece[i].base == t->page[i])
			t->page[i] = NULL;
	return 1;
}

/* Returns how many frames moved. */
static int from_device(struct tap *t)
{
	unsigned int moved = 0;
	int r;

	while (moved < BATCH) {
		if (!t->waits) {
			r = read_frame(t);
			if (r <= 0)
				return r < 0 ? r : (int)moved;
		}
		r = t->waits ? send_frame(t) : 1;
		if (r < 0)
			return r;
		if (r == 0)
			break;
		moved++;
	}
	return (int)moved;
}

/* ---- to the device --------------------------------------------------------------------------- */

/* The first bytes in one run: headers may begin in one piece and end in another. */
static size_t headers(const struct netfront_frame *f, uint8_t *buf)
{
	size_t at = 0, n;
	uint32_t i;

	for (i = 0; i < f->nr_pieces && at < PACKET_HEADERS_BYTES; i++, at += n) {
		n = MIN(f->piece[i].bytes, PACKET_HEADERS_BYTES - at);
		memcpy(buf + at, f->piece[i].base, n);
	}
	return at;
}

static void make_header(const struct netfront_frame *f, struct virtio_net_hdr *hdr)
{
	uint8_t buf[PACKET_HEADERS_BYTES];
	struct packet_sum sum;

	memset(hdr, 0, sizeof(*hdr));
	if (!f->checksum_blank && f->gso == NETFRONT_GSO_NONE) {
		hdr->flags = f->checksum_validated ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
		return;
	}
	/* Not found: the stack will see that the sum is wrong. */
	if (packet_find_sum(buf, headers(f, buf), &sum) < 0)
		return;
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = sum.start;
	hdr->csum_offset = sum.offset;
	if (f->gso == NETFRONT_GSO_NONE || !sum.tcp)
		return;
	hdr->gso_type = sum.ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	hdr->gso_size = f->gso_bytes;
	hdr->hdr_len = sum.header_bytes;
}

static void write_frame(struct tap *t, const struct netfront_frame *f)
{
	struct virtio_net_hdr hdr;
	struct iovec iov[NETFRONT_PIECES_MAX + 1] = { { &hdr, sizeof(hdr) } };
	uint32_t i;

	make_header(f, &hdr);
	for (i = 0; i < f->nr_pieces; i++)
		iov[i + 1] = (struct iovec){ f->piece[i].base, f->piece[i].bytes };
	/* Refused: the device is down, its queue is full, or the header is nonsense. */
	if (writev(t->fd, iov, (int)f->nr_pieces + 1) < 0)
		t->dropped++;
}

static int to_device(struct tap *t)
{
	unsigned int q;
	int i, r, moved = 0;

	for (q = 0; q < t->s->info.nr_queues; q++) {
		r = netfront_receive(t->s->n, q, t->in, BATCH);
		if (r < 0)
			return r;
		for (i = 0; i < r; i++)
			write_frame(t, t->in + i);
		netfront_release(t->s->n, q, t->in, (unsigned int)r);
		moved += r;
	}
	return moved;
}

/* ---- running ------------------------------------------------------------------------------------ */

static int start_child(struct tap *t)
{
	const char *cmd = t->s->args->run;

	if (!cmd)
		return 0;
	setenv("ifname", t->s->args->ifname, 1);
	t->child = fork();
	if (t->child == 0) {
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	return t->child < 0 ? cannot(t->s, "start a shell", NULL) : 0;
}

/* True: there was a child and it has ended, with *status. */
static bool child_ended(struct tap *t, int *status)
{
	int w;

	if (t->child <= 0 || waitpid(t->child, &w, WNOHANG) != t->child)
		return false;
	t->child = 0;
	*status = WIFEXITED(w) ? WEXITSTATUS(w) : EXIT_ERROR;
	return true;
}

/* Both directions once; then sleeps if neither had anything. -errno. */
static int turn(struct tap *t, unsigned int nr)
{
	int out = from_device(t), in = out < 0 ? 0 : to_device(t), r;
	unsigned int want = NETFRONT_RECEIVABLE | (t->waits ? NETFRONT_SENDABLE : 0);

	if (out < 0 || in < 0)
		return out < 0 ? out : in;
	netfront_kick(t->s->n);
	if (out + in) {
		r = nr % TURNS_PER_POLL ? 0 : netfront_poll(t->s->n);
		return r < 0 ? r : 0;
	}
	front_linux_also(t->s->front.fl, t->waits ? -1 : t->fd, POLLIN);
	r = netfront_wait(t->s->n, want, t->child > 0 ? 100 : -1);
	front_linux_also(t->s->front.fl, -1, 0);
	return r < 0 ? r : 0;
}

static int run(struct tap *t)
{
	unsigned int nr = 0;
	int r = 0, status = EXIT_OK;

	while (r == 0 && !session_over(t->s) && !child_ended(t, &status))
		r = turn(t, nr++);
	if (t->child > 0)
		kill(t->child, SIGTERM);
	if (r == -EINTR || (r == -ECONNABORTED && netfront_closing(t->s->n)))
		r = 0;
	return r < 0 ? session_error(t->s, r, "moving frames") : status;
}

/* After the last answers, for which there is a moment. */
static void report(const struct tap *t)
{
	struct netfront_stats st;
	unsigned int i;

	front_linux_resume(t->s->front.fl);
	for (i = 0; i < LAST_ANSWERS_MS / 10 && netfront_inflight(t->s->n) &&
	     netfront_poll(t->s->n) >= 0; i++)
		poll(NULL, 0, 10);
	netfront_stats(t->s->n, &st);
	front_complain(&t->s->args->cli, EXIT_OK, "%llu frames sent, %llu refused by the back end; "
		       "%llu received, %llu of them bad; %llu dropped at the device",
		       (unsigned long long)st.sent_frames, (unsigned long long)st.send_errors,
		       (unsigned long long)st.received_frames,
		       (unsigned long long)st.receive_errors, (unsigned long long)t->dropped);
}

static int open_tap(struct tap *t)
{
	uint8_t *own = malloc((size_t)PAGES * PAGE_BYTES);
	unsigned int i;

	if (!own)
		return EXIT_ERROR;
	for (i = 0; i < PAGES; i++)
		t->own[i] = own + (size_t)i * PAGE_BYTES;
	return open_device(t);
}

int cmd_tap(const struct args *a)
{
	static struct tap t;
	struct session s;
	int r;

	t.s = &s;
	t.fd = -1;
	r = session_open(&s, a);
	if (r == EXIT_OK)
		r = open_tap(&t);
	if (r == EXIT_OK && !a->cli.quiet)
		front_complain(&a->cli, EXIT_OK, "%s is vif %u", a->ifname, a->cli.devid);
	if (r == EXIT_OK)
		r = start_child(&t);
	if (r == EXIT_OK)
		r = run(&t);
	if (s.n && !a->cli.quiet)
		report(&t);
	if (t.fd >= 0)
		close(t.fd);
	free(t.own[0]);
	return session_close(&s, r);
}
