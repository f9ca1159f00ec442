/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What udp.h says. A datagram is built behind its headers in private memory, which
 * netfront_send() copies; one that came is copied out of the front end's pages before
 * anything in it is believed.
 */
#include <errno.h>
#include <string.h>

#include "bare.h"
#include "udp.h"

#define ETH 14u
#define IP 20u
#define UDP 8u
#define TCP 20u
#define HEADERS (ETH + IP + TCP)	/* the longer ones */
#define ARP_BYTES 28u
#define TYPE_IP 0x0800u
#define TYPE_ARP 0x0806u
#define PROTO_TCP 6u
#define PROTO_UDP 17u
#define FRAME_BYTES_MIN 60u
#define MS_NS UINT64_C(1000000)
#define ASK_MS 20

static uint8_t out[NETFRONT_FRAME_BYTES_MAX + 1];
static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

bool udp_address(const char *text, uint32_t *ip)
{
	unsigned int parts = 0, v = 0, digits = 0;

	for (*ip = 0;; text++) {
		if (*text >= '0' && *text <= '9' && digits++ < 3) {
			v = v * 10 + (unsigned int)(*text - '0');
			continue;
		}
		if (!digits || v > 255 || (*text && *text != '.'))
			return false;
		*ip = *ip << 8 | v;
		v = digits = 0;
		if (++parts == 4)
			return !*text;
		if (!*text)
			return false;
	}
}

/* ---- sending --------------------------------------------------------------------- */

static int send_frame(struct udp *u, uint32_t bytes, uint32_t gso_bytes)
{
	struct netfront_frame f = { .nr_pieces = 1, .piece[0] = { out, bytes } };
	int r;

	if (gso_bytes) {
		f.gso = NETFRONT_GSO_TCPV4;
		f.gso_bytes = (uint16_t)gso_bytes;
		f.checksum_blank = true;
	}
	while ((r = netfront_send(u->n, 0, &f, 1)) == 0) {
		r = netfront_wait(u->n, NETFRONT_SENDABLE, 1000);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static void put_eth(const struct udp *u, const uint8_t *to, uint32_t type)
{
	memcpy(out, to, 6);
	memcpy(out + 6, u->mac, 6);
	put16(out + 12, type);
}

static uint32_t sum16(const uint8_t *p, uint32_t bytes)
{
	uint32_t sum = 0, i;

	for (i = 0; i < bytes; i += 2)
		sum += get16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put_ip(const struct udp *u, uint32_t proto, uint32_t bytes)
{
	static uint16_t id;
	uint8_t *p = out + ETH;

	memset(p, 0, IP);
	p[0] = 0x45;
	put16(p + 2, IP + bytes);
	put16(p + 4, id++);
	p[6] = 0x40;		/* in one piece */
	p[8] = 64;
	p[9] = (uint8_t)proto;
	put32(p + 12, u->ip);
	put32(p + 16, u->peer_ip);
	put16(p + 10, ~sum16(p, IP));
}

/* The checksum field holds the pseudo header's sum, as who completes it expects. */
static void put_tcp(const struct udp *u, uint32_t bytes)
{
	uint8_t pseudo[12] = { 0 }, *p = out + ETH + IP;
	static uint32_t seq;

	memset(p, 0, TCP);
	put16(p, VERIFIED_PORT);
	put16(p + 2, VERIFIED_PORT);
	put32(p + 4, seq);
	seq += bytes;
	p[12] = TCP / 4 << 4;
	p[13] = 0x10;		/* ACK: an established stream */
	put16(p + 14, 0xffff);
	put32(pseudo, u->ip);
	put32(pseudo + 4, u->peer_ip);
	pseudo[9] = PROTO_TCP;
	put16(pseudo + 10, TCP + bytes);
	put16(p + 16, sum16(pseudo, sizeof(pseudo)));
}

int udp_send(void *ctx, const void *data, size_t bytes)
{
	struct udp *u = ctx;
	bool tcp = u->gso_bytes && bytes > u->gso_bytes;
	uint32_t headers = ETH + IP + (tcp ? TCP : UDP), all = headers + (uint32_t)bytes;
	uint8_t *udp = out + ETH + IP;

	if (all > NETFRONT_FRAME_BYTES_MAX)
		return -EMSGSIZE;
	put_eth(u, u->peer_mac, TYPE_IP);
	put_ip(u, tcp ? PROTO_TCP : PROTO_UDP, all - ETH - IP);
	if (tcp) {
		put_tcp(u, (uint32_t)bytes);
	} else {
		put16(udp, VERIFIED_PORT);
		put16(udp + 2, VERIFIED_PORT);
		put16(udp + 4, UDP + (uint32_t)bytes);
		put16(udp + 6, 0);	/* no checksum: ours is in the datagram */
	}
	memcpy(out + headers, data, bytes);
	if (all < FRAME_BYTES_MIN)
		memset(out + all, 0, FRAME_BYTES_MIN - all);
	return send_frame(u, all < FRAME_BYTES_MIN ? FRAME_BYTES_MIN : all,
			  tcp ? u->gso_bytes : 0);
}

static int send_arp(struct udp *u, uint32_t op, const uint8_t *to_mac, uint32_t to_ip)
{
	uint8_t *p = out + ETH;

	memset(out, 0, FRAME_BYTES_MIN);
	put_eth(u, op == 1 ? everybody : to_mac, TYPE_ARP);
	put16(p, 1);
	put16(p + 2, TYPE_IP);
	p[4] = 6;
	p[5] = 4;
	put16(p + 6, op);
	memcpy(p + 8, u->mac, 6);
	put32(p + 14, u->ip);
	if (op != 1)
		memcpy(p + 18, to_mac, 6);
	put32(p + 24, to_ip);
	return send_frame(u, FRAME_BYTES_MIN, 0);
}

/* ---- receiving ------------------------------------------------------------------- */

/* Copies bytes from offset on, wherever the pieces end. Returns how many there are. */
static uint32_t gather(const struct netfront_frame *f, uint32_t offset, void *to,
		       uint32_t bytes)
{
	uint32_t i, n, got = 0;

	for (i = 0; i < f->nr_pieces && got < bytes; i++) {
		if (offset >= f->piece[i].bytes) {
			offset -= f->piece[i].bytes;
			continue;
		}
		n = f->piece[i].bytes - offset;
		if (n > bytes - got)
			n = bytes - got;
		memcpy((char *)to + got, (const char *)f->piece[i].base + offset, n);
		got += n;
		offset = 0;
	}
	return got;
}

static uint32_t bytes_of(const struct netfront_frame *f)
{
	uint32_t i, bytes = 0;

	for (i = 0; i < f->nr_pieces; i++)
		bytes += f->piece[i].bytes;
	return bytes;
}

static void meet(struct udp *u, const uint8_t *mac)
{
	memcpy(u->peer_mac, mac, 6);
	u->peer_known = true;
}

static int got_arp(struct udp *u, const uint8_t *p)
{
	uint32_t from = get32(p + 14);

	if (get16(p) != 1 || get16(p + 2) != TYPE_IP)
		return 0;
	if (from == u->peer_ip)
		meet(u, p + 8);
	if (get16(p + 6) == 1 && get32(p + 24) == u->ip)
		return send_arp(u, 2, p + 8, from);
	return 0;
}

/* Where the payload of a datagram to us begins, and its bytes; 0: it is none. */
static uint32_t payload_of(const struct udp *u, const uint8_t *h, uint32_t frame_bytes,
			   uint32_t *bytes)
{
	const uint8_t *ip = h + ETH, *l4 = ip + IP;
	uint32_t l4_bytes = ip[9] == PROTO_TCP ? TCP : UDP, all = get16(ip + 2);

	if (ip[0] != 0x45 || get32(ip + 12) != u->peer_ip || get32(ip + 16) != u->ip ||
	    (ip[9] != PROTO_TCP && ip[9] != PROTO_UDP) || get16(l4 + 2) != VERIFIED_PORT)
		return 0;
	if (all < IP + l4_bytes || ETH + all > frame_bytes)
		return 0;
	*bytes = all - IP - l4_bytes;
	return ETH + IP + l4_bytes;
}

/* Bytes of the datagram in f, 0: there is none for us. */
static int take_frame(struct udp *u, const struct netfront_frame *f, void *data, size_t room)
{
	uint8_t h[HEADERS] = { 0 };
	uint32_t at, bytes, all = bytes_of(f), got = gather(f, 0, h, sizeof(h));

	if (got >= ETH + ARP_BYTES && get16(h + 12) == TYPE_ARP)
		return got_arp(u, h + ETH);
	if (got < ETH + IP + UDP || get16(h + 12) != TYPE_IP)
		return 0;
	at = payload_of(u, h, all, &bytes);
	if (!at)
		return 0;
	meet(u, h + 6);
	if (room > u->look_bytes)
		room = u->look_bytes;
	gather(f, at, data, bytes < room ? bytes : (uint32_t)room);
	return (int)bytes;
}

static int next_batch(struct udp *u, uint64_t until)
{
	uint64_t now;
	int r;

	netfront_release(u->n, 0, u->batch, u->nr);
	u->next = u->nr = 0;
	netfront_kick(u->n);
	while ((r = netfront_receive(u->n, 0, u->batch, UDP_BATCH)) == 0) {
		now = time_ns();
		if (now >= until)
			return 0;
		flip_disturb();
		r = netfront_wait(u->n, NETFRONT_RECEIVABLE, (int)((until - now) / MS_NS) + 1);
		if (r < 0)
			return r;
	}
	if (r > 0)
		u->nr = (unsigned int)r;
	return r;
}

int udp_receive(void *ctx, void *data, size_t bytes, int timeout_ms)
{
	uint64_t until = time_ns() + (uint64_t)timeout_ms * MS_NS;
	struct udp *u = ctx;
	int r;

	for (;;) {
		if (u->next == u->nr) {
			r = next_batch(u, until);
			if (r <= 0)
				return r;
		}
		r = take_frame(u, u->batch + u->next++, data, bytes);
		if (r)
			return r;
	}
}

uint64_t udp_now_ns(void *ctx)
{
	(void)ctx;
	return time_ns();
}

/* ---- opening --------------------------------------------------------------------- */

int udp_find_peer(struct udp *u, int timeout_ms)
{
	uint64_t until = time_ns() + (uint64_t)timeout_ms * MS_NS;
	uint8_t ignored[64];
	int r;

	while (!u->peer_known && time_ns() < until) {
		r = send_arp(u, 1, NULL, u->peer_ip);
		if (r == 0)
			r = udp_receive(u, ignored, sizeof(ignored), ASK_MS);
		if (r < 0)
			return r;
	}
	return u->peer_known ? 0 : -ETIMEDOUT;
}

void udp_open(struct udp *u, struct netfront *n, uint32_t id, uint32_t peer_ip)
{
	struct netfront_info info;

	memset(u, 0, sizeof(*u));
	netfront_info(n, &info);
	u->n = n;
	memcpy(u->mac, info.mac, 6);
	u->ip = 10u << 24 | 9u << 16 | (id & 255) << 8 | (info.domid & 255);
	u->peer_ip = peer_ip;
	u->look_bytes = UINT32_MAX;
}

void udp_close(struct udp *u)
{
	netfront_release(u->n, 0, u->batch, u->nr);
	u->next = u->nr = 0;
}
