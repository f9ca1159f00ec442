/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: frames from TAP devices, with the vnet headers that the host, or a guest
 * of another host behind it, chose; and captures of what goes through.
 *
 * Two uplinks, one with offloads and one without, and an honest guest, whose assertions
 * (net-guest.h) hold for what it gets. What leaves through an uplink must have a header
 * that fits its frame; what a capture's reader gets must be pcap.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "fake-xen.h"
#include "fuzz.h"
#include "grant.h"
#include "net-frames.h"
#include "net-guest.h"
#include "netback.h"

#define UPLINKS 2u
#define STEPS_MAX 64u
#define MARK 0x77

static struct {
	struct netback *nb;
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	uint64_t now_us;
	struct net_guest guest;
	struct vswitch_port_config config[1 + UPLINKS];
	struct log_peer log[1 + UPLINKS];
	uint32_t port[1 + UPLINKS];
	int theirs[UPLINKS], ours[UPLINKS];
	int capture, reader, writer;
	uint32_t snaplen;
	uint32_t nr_out;		/* frames that came out, anywhere */
	bool header_read, seen;		/* of the capture; the marked frame came out */
} w;

static uint8_t frame[sizeof(struct virtio_net_hdr) + 66000], copy[sizeof(frame)];

/* ---- the world ---------------------------------------------------------------------- */

static void on_broken(void *arg, uint32_t port, const char *why)
{
	(void)arg, (void)port, (void)why;
	FUZZ_NEED(!"an honest guest is broken");
}

static void open_uplink(uint32_t i, uint8_t kind)
{
	struct vswitch_port_config *cfg = &w.config[1 + i];
	int pair[2], bytes = 1 << 20;

	FUZZ_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	w.ours[i] = pair[0];
	w.theirs[i] = pair[1];
	cfg->any_source = true;
	/* A trunk has nothing for a guest that is in no VLAN. */
	if (kind & 32 && kind & 1u << i) {
		cfg->mode = VSWITCH_TRUNK;
		cfg->vlan = VSWITCH_VLAN_NONE;
		memset(cfg->vlans, 0xff, sizeof(cfg->vlans) - 1);
		cfg->vlans[0] = 0xfe;
	}
	fuzz_quiet(&w.log[1 + i]);
	FUZZ_NEED(!netback_add_uplink(w.nb, pair[0], !i, cfg, &w.log[1 + i], &w.port[1 + i]));
}

static void open_guest(uint8_t kind)
{
	struct netback_vif vif = { .domid = FAKE_DOMID, .front = &w.guest.front,
				   .port = &w.config[0], .log = &w.log[0], .journal_fd = -1 };
	char why[200];

	net_guest_open(&w.guest, 1, 1, false);
	w.guest.front.gso_tcpv4 = w.guest.front.gso_tcpv6 = kind & 4;
	w.guest.front.no_csum = kind & 8;
	w.guest.front.ipv6_csum = !(kind & 8);
	w.guest.front.sg = !(kind & 16);
	net_mac(w.config[0].mac, 1);
	w.config[0].vlan = kind & 32 ? 5 : 0;
	fuzz_quiet(&w.log[0]);
	FUZZ_NEED(!netback_add_vif(w.nb, &vif, &w.port[0], why, sizeof(why)));
	net_guest_post(&w.guest, 0, NET_GUEST_BUFFERS);
}

static void begin(uint8_t kind)
{
	struct netback_config cfg = {
		.sw = { .max_ports = 8, .max_addresses = 32, .ageing_ms = 300000, .move_ms = 1000 },
		.broken = on_broken,
	};

	fake_reset();
	memset(&w, 0, sizeof(w));
	w.capture = w.reader = w.writer = -1;
	w.now_us = 1000000;
	FUZZ_NEED(!grant_open(&w.xgt));
	w.xce = xenevtchn_open(NULL, 0);
	cfg.xgt = w.xgt;
	cfg.xce = w.xce;
	FUZZ_NEED(!netback_open(&cfg, &w.nb));
	open_guest(kind);
	for (uint32_t i = 0; i < UPLINKS; i++)
		open_uplink(i, kind);
}

/* ---- what comes out --------------------------------------------------------------------- */

static void check_out(uint32_t i, size_t got)
{
	struct virtio_net_hdr h;
	uint8_t *data = frame + sizeof(h);
	size_t bytes = got - sizeof(h);

	w.nr_out++;
	FUZZ_NEED(got >= sizeof(h) + 14);
	memcpy(&h, frame, sizeof(h));
	FUZZ_NEED(!(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
		  (size_t)h.csum_start + h.csum_offset + 2 <= bytes);
	FUZZ_NEED(h.gso_type == VIRTIO_NET_HDR_GSO_NONE ||
		  (h.gso_size && h.hdr_len <= bytes && h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM));
	/* Without offloads every wish has been fulfilled. */
	FUZZ_NEED(!i || (!(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
			 h.gso_type == VIRTIO_NET_HDR_GSO_NONE));
	w.seen |= (bytes == 60 || bytes == 64) && data[bytes - 1] == MARK;	/* 64: with a tag */
}

static void take_out(void)
{
	static struct net_guest_got got;
	ssize_t n;

	for (uint32_t i = 0; i < UPLINKS; i++)
		while ((n = read(w.theirs[i], frame, sizeof(frame))) > 0)
			check_out(i, (size_t)n);
	while (net_guest_receive(&w.guest, &got)) {
		w.nr_out++;
		FUZZ_NEED(!got.error && got.bytes >= 14);
		FUZZ_NEED(!w.guest.front.no_csum || got.gso || !(got.flags & NETRXF_csum_blank));
		FUZZ_NEED(w.guest.front.gso_tcpv4 || !got.gso);
		FUZZ_NEED(w.guest.front.sg || got.slots - (got.gso != 0) == 1);
		w.seen |= got.bytes == 60 && got.data[59] == MARK;
		net_guest_post(&w.guest, 0, got.slots);
	}
	net_guest_answers(&w.guest, 0, NULL);
}

static bool read_all(void *to, size_t bytes)
{
	ssize_t n = read(w.reader, to, bytes);

	FUZZ_NEED(n <= 0 || n == (ssize_t)bytes);
	return n > 0;
}

/* Records as they are written whole: a pipe's room is more than a run fills. */
static void read_capture(void)
{
	uint32_t file[6], record[4];

	if (w.reader < 0)
		return;
	if (!w.header_read) {
		w.header_read = read_all(file, sizeof(file));
		if (!w.header_read)
			return;
		FUZZ_NEED(file[0] == 0xa1b23c4d || file[0] == 0xa1b2c3d4);
		FUZZ_NEED(file[4] == w.snaplen && file[5] == 1);
	}
	while (read_all(record, sizeof(record))) {
		FUZZ_NEED(record[2] <= w.snaplen && record[2] <= record[3]);
		FUZZ_NEED(record[2] <= sizeof(frame) && (!record[2] || read_all(frame, record[2])));
	}
}

static void pass(void)
{
	struct pollfd pfd = { .fd = xenevtchn_fd(w.xce), .events = POLLIN };

	for (uint32_t i = 0; i < 8 && poll(&pfd, 1, 0) > 0; i++) {
		xenevtchn_port_or_error_t port = xenevtchn_pending(w.xce);

		if (port < 0)
			break;
		netback_event(w.nb, (evtchn_port_t)port);
		xenevtchn_unmask(w.xce, (evtchn_port_t)port);
	}
	for (uint32_t i = 0; i < UPLINKS; i++)
		netback_uplink_ready(w.nb, w.port[1 + i]);
	netback_pass(w.nb, w.now_us);
	netback_final(w.nb);
	read_capture();
	take_out();
}

/* ---- steps ------------------------------------------------------------------------------- */

/* Behind all headers that anybody knows, so that the octets there are what is summed up. */
#define BEHIND_HEADERS 512u

static bool asks_for_what_is_not(const struct virtio_net_hdr *h, uint32_t bytes)
{
	return h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && h->csum_start > BEHIND_HEADERS &&
	       (uint32_t)h->csum_start + h->csum_offset + 2 > bytes;
}

/* Nothing may come out of it. */
static void send_in_vain(int to, size_t bytes)
{
	uint32_t before;

	/* What was sent before may take several passes: a large packet in many small ones. */
	do {
		before = w.nr_out;
		pass();
		pass();
	} while (w.nr_out != before);
	if (write(to, copy, bytes) < 0)
		return;
	pass();
	pass();
	FUZZ_NEED(w.nr_out == before);
}

/* A frame of a host's stack, or what the input says; then its wishes. */
static void from_host(struct fuzz_in *in)
{
	uint32_t i = fuzz_u8(in) % UPLINKS;
	uint8_t kind = fuzz_u8(in);
	uint32_t bytes = kind & 1 ? 60 + fuzz_below(in, 65480) : 54u + kind / 4, at;
	struct virtio_net_hdr *h = (void *)frame;
	uint8_t *data = frame + sizeof(*h);

	memset(frame, 0, sizeof(*h) + bytes);
	net_tcp(data, bytes, kind & 2 ? 1 : 0x50, (uint8_t)(0x60 + i), kind, kind & 4);
	if (kind & 8) {		/* octets of its headers */
		at = fuzz_below(in, 60);
		fuzz_bytes(in, data + at, MIN(fuzz_u8(in) % 32u, bytes - at));
	}
	h->flags = fuzz_u8(in);
	h->gso_type = fuzz_u8(in);
	h->gso_size = kind & 16 ? fuzz_u16(in) : 1400;
	h->csum_start = kind & 32 ? fuzz_u16(in) : 34;
	h->csum_offset = kind & 64 ? fuzz_u16(in) : 16;
	h->hdr_len = kind & 128 ? fuzz_u16(in) : 54;
	if (kind & 32 && kind & 64)	/* about the end */
		h->csum_offset = (uint16_t)(bytes - h->csum_start - h->csum_offset % 4u);
	if (asks_for_what_is_not(h, bytes)) {
		memcpy(copy, frame, sizeof(*h) + bytes);
		send_in_vain(w.theirs[i], sizeof(*h) + bytes);
	} else {
		(void)!write(w.theirs[i], frame, sizeof(*h) + bytes);
	}
}

static void from_host_raw(struct fuzz_in *in)
{
	size_t n = fuzz_bytes(in, frame, 1 + fuzz_u8(in));

	(void)!write(w.theirs[fuzz_u8(in) % UPLINKS], frame, n);
}

static void from_guest(struct fuzz_in *in)
{
	static uint8_t data[17000];
	uint8_t kind = fuzz_u8(in);
	uint32_t bytes = kind & 8 ? 60 + fuzz_below(in, 16900) : 60u + kind;
	struct net_guest_how how = { .blank = kind & 16 };

	if (ring_front_inflight(&w.guest.queue[0].tx) + 10 > NET_GUEST_BUFFERS)
		return;
	if (bytes > 1514) {
		how.gso = XEN_NETIF_GSO_TYPE_TCPV4;
		how.gso_bytes = (uint16_t)(400 + fuzz_u8(in) * 4);
		how.blank = true;
	}
	net_tcp(data, bytes, kind & 1 ? 0x60 : 0x50, 1, kind, how.blank);
	if (kind & 2) {
		memset(data, 0xff, 6);
	}
	net_guest_send(&w.guest, data, bytes, &how);
}

static void capture(struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	int pair[2];

	if (w.capture >= 0) {
		netback_capture_stop(w.nb, w.capture);
		close(w.reader);
		close(w.writer);
		w.capture = w.reader = w.writer = -1;
		w.header_read = false;
		return;
	}
	w.snaplen = how & 1 ? fuzz_u32(in) : how + 1u;
	FUZZ_NEED(!pipe2(pair, O_CLOEXEC | O_NONBLOCK));
	fcntl(pair[1], F_SETPIPE_SZ, 1 << 20);
	w.capture = netback_capture_start(w.nb, how & 2 ? NETBACK_EVERY_PORT : w.port[how / 4 % 3],
					  w.snaplen, pair[1]);
	FUZZ_NEED((w.capture >= 0) == (w.snaplen && w.snaplen <= PCAP_SNAPLEN_MAX));
	if (w.capture < 0) {
		close(pair[0]);
		close(pair[1]);
		return;
	}
	w.reader = pair[0];
	w.writer = pair[1];
}

static void step(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);

	switch (what % 8) {
	case 0: case 1: case 2: from_host(in); break;
	case 3: from_host_raw(in); break;
	case 4: from_guest(in); break;
	case 5: capture(in); break;
	case 6: w.now_us += 40000; break;
	default: pass();
	}
}

/* A frame each way as if nothing had been. */
static void check_honest(void)
{
	static const struct virtio_net_hdr none;
	uint8_t data[60];

	for (int i = 0; i < 6; i++) {
		w.now_us += 100000;
		pass();
	}
	/* Or they have no VLAN in common. */
	if (w.config[0].vlan && w.config[1].mode != VSWITCH_TRUNK && w.config[2].mode != VSWITCH_TRUNK)
		return;
	w.seen = false;
	net_plain(data, sizeof(data), 0x51, 1, 0);
	data[59] = MARK;
	net_guest_send(&w.guest, data, sizeof(data), NULL);
	pass();
	pass();
	FUZZ_NEED(w.seen);
	w.seen = false;
	if (w.config[0].vlan || w.config[2].mode == VSWITCH_TRUNK)
		return;
	net_plain(data, sizeof(data), 1, 0x51, 0);
	data[59] = MARK;
	FUZZ_NEED(writev(w.theirs[1], (struct iovec[]){ { (void *)&none, sizeof(none) },
							 { data, sizeof(data) } }, 2) > 0);
	pass();
	pass();
	FUZZ_NEED(w.seen);
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };

	begin(fuzz_u8(&in));
	for (uint32_t i = 0; in.left && i < STEPS_MAX; i++)
		step(&in);
	check_honest();
	netback_close(w.nb);
	for (uint32_t i = 0; i < UPLINKS; i++) {
		close(w.ours[i]);
		close(w.theirs[i]);
	}
	if (w.reader >= 0) {
		close(w.reader);
		close(w.writer);
	}
	xenevtchn_close(w.xce);
	FUZZ_NEED(fake_mapped() == 0);
	xengnttab_close(w.xgt);
	FUZZ_NEED(fake_handles() == 0);
}
