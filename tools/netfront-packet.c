/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Headers and sums (netfront-packet.h).
 */
#include <errno.h>
#include <string.h>

#include "netfront-packet.h"
#include "util.h"

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_VLAN = 0x8100, TYPE_QINQ = 0x88a8,
       TYPE_IPV6 = 0x86dd, TYPE_BENCH = 0x88b5 };
enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17 };

#define EXTENSIONS_MAX 8
#define BENCH_MAGIC 0x7076656eu		/* "pven" */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- sums -------------------------------------------------------------------------- */

uint32_t packet_sum(const void *data, size_t bytes, uint32_t sum)
{
	const uint8_t *p = data;
	uint64_t s = sum;

	for (; bytes > 1; p += 2, bytes -= 2)
		s += get16(p);
	if (bytes)
		s += (uint64_t)*p << 8;
	while (s >> 32)
		s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

uint16_t packet_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* ---- where things are ----------------------------------------------------------------- */

/* The network header behind any VLAN tags; *type is its Ethernet type. */
static size_t network_at(const uint8_t *data, size_t bytes, uint16_t *type)
{
	size_t at = PACKET_ETH_BYTES;

	if (bytes < at)
		return bytes;
	*type = get16(data + 12);
	while ((*type == TYPE_VLAN || *type == TYPE_QINQ) && at + 4 <= bytes && at < 26) {
		*type = get16(data + at + 2);
		at += 4;
	}
	return at;
}

/* Steps over IPv6 extension headers; 0: no transport header in reach. */
static size_t after_ipv6(const uint8_t *data, size_t bytes, size_t at, uint8_t *next)
{
	int i;

	if (at + 40 > bytes)
		return 0;
	*next = data[at + 6];
	at += 40;
	for (i = 0; i < EXTENSIONS_MAX && (*next == 0 || *next == 43 || *next == 60); i++) {
		if (at + 8 > bytes)
			return 0;
		*next = data[at];
		at += 8 + (size_t)data[at + 1] * 8;
	}
	return at;
}

static size_t after_ipv4(const uint8_t *data, size_t bytes, size_t at, uint8_t *next)
{
	size_t header;

	if (at + 20 > bytes || get16(data + at + 6) & 0x3fff)	/* a fragment */
		return 0;
	header = (size_t)(data[at] & 15) * 4;
	*next = data[at + 9];
	return header < 20 ? 0 : at + header;
}

int packet_find_sum(const uint8_t *data, size_t bytes, struct packet_sum *out)
{
	uint16_t type = 0;
	uint8_t next = 0;
	size_t at = network_at(data, bytes, &type);

	out->ipv6 = type == TYPE_IPV6;
	if (type == TYPE_IPV4)
		at = after_ipv4(data, bytes, at, &next);
	else if (type == TYPE_IPV6)
		at = after_ipv6(data, bytes, at, &next);
	else
		return -EPROTO;
	out->tcp = next == IP_TCP;
	if (!at || (next != IP_TCP && next != IP_UDP) || at + (out->tcp ? 20 : 8) > bytes)
		return -EPROTO;
	out->start = (uint16_t)at;
	out->offset = out->tcp ? 16 : 6;
	out->header_bytes = (uint16_t)(at + (out->tcp ? (size_t)(data[at + 12] >> 4) * 4 : 8));
	return 0;
}

uint32_t packet_flow(const uint8_t *data, size_t bytes)
{
	struct packet_sum sum;
	uint16_t type = 0;
	size_t at = network_at(data, bytes, &type), i, n = type == TYPE_IPV6 ? 16 : 4;
	uint32_t h = 0;

	if (at + 40 > bytes || (type != TYPE_IPV4 && type != TYPE_IPV6))
		return 0;
	at += type == TYPE_IPV6 ? 8 : 12;
	for (i = 0; i < n; i += 2)
		h += (uint32_t)get16(data + at + i) + get16(data + at + n + i);
	if (packet_find_sum(data, bytes, &sum) == 0)
		h += (uint32_t)get16(data + sum.start) + get16(data + sum.start + 2);
	h *= 0x9e3779b1u;
	return h >> 16;
}

/* ---- ping -------------------------------------------------------------------------------- */

static uint8_t *ethernet(uint8_t *frame, const uint8_t *to, const uint8_t *from,
			 unsigned int type)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	put16(frame + 12, type);
	return frame + PACKET_ETH_BYTES;
}

size_t packet_arp_request(uint8_t *frame, const struct packet_self *self, const uint8_t *ip)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	uint8_t *p;

	memset(frame, 0, 60);
	p = ethernet(frame, all, self->mac, TYPE_ARP);
	memcpy(p, head, 8);
	memcpy(p + 8, self->mac, 6);
	memcpy(p + 14, self->ip, 4);
	memcpy(p + 24, ip, 4);
	return 60;
}

size_t packet_echo_request(uint8_t *frame, size_t bytes, const struct packet_self *self,
			   const uint8_t *mac, const uint8_t *ip, uint16_t id, uint16_t seq)
{
	uint8_t *p = ethernet(frame, mac, self->mac, TYPE_IPV4);
	size_t i, total = bytes - PACKET_ETH_BYTES;

	memset(p, 0, 28);
	p[0] = 0x45;
	put16(p + 2, (unsigned int)total);
	p[8] = 64;
	p[9] = IP_ICMP;
	memcpy(p + 12, self->ip, 4);
	memcpy(p + 16, ip, 4);
	put16(p + 10, packet_fold(packet_sum(p, 20, 0)));
	p[20] = 8;
	put16(p + 24, id);
	put16(p + 26, seq);
	for (i = 28; i < total; i++)
		p[i] = (uint8_t)(i + seq);
	put16(p + 22, packet_fold(packet_sum(p + 20, total - 20, 0)));
	return bytes;
}

static bool is_arp(const uint8_t *frame, size_t bytes, unsigned int operation)
{
	return bytes >= 42 && get16(frame + 12) == TYPE_ARP && get16(frame + 16) == TYPE_IPV4 &&
	       get16(frame + 20) == operation;
}

/* An ICMP message without IP options, whole; its length, or 0. */
static size_t icmp_bytes(const uint8_t *frame, size_t bytes, uint8_t type)
{
	size_t total;

	if (bytes < 42 || get16(frame + 12) != TYPE_IPV4 || frame[14] != 0x45 ||
	    frame[23] != IP_ICMP || get16(frame + 20) & 0x3fff || frame[34] != type)
		return 0;
	total = get16(frame + 16);
	return total >= 28 && total + PACKET_ETH_BYTES <= bytes ? total - 20 : 0;
}

static size_t answer_arp(uint8_t *frame, const struct packet_self *self)
{
	uint8_t *p = frame + PACKET_ETH_BYTES;

	memcpy(frame, p + 8, 6);
	memcpy(frame + 6, self->mac, 6);
	put16(p + 6, 2);
	memcpy(p + 18, p + 8, 10);	/* the asker becomes the target */
	memcpy(p + 8, self->mac, 6);
	memcpy(p + 14, self->ip, 4);
	return 42;
}

static size_t answer_echo(uint8_t *frame, size_t icmp, const struct packet_self *self)
{
	uint8_t *p = frame + PACKET_ETH_BYTES;

	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, self->mac, 6);
	memcpy(p + 16, p + 12, 4);
	memcpy(p + 12, self->ip, 4);
	p[20] = 0;
	put16(p + 22, 0);
	put16(p + 22, packet_fold(packet_sum(p + 20, icmp, 0)));
	return PACKET_ETH_BYTES + 20 + icmp;
}

size_t packet_answer(uint8_t *frame, size_t bytes, const struct packet_self *self)
{
	size_t icmp;

	if (is_arp(frame, bytes, 1) && !memcmp(frame + 38, self->ip, 4))
		return answer_arp(frame, self);
	icmp = icmp_bytes(frame, bytes, 8);
	if (icmp && !memcmp(frame + 30, self->ip, 4))
		return answer_echo(frame, icmp, self);
	return 0;
}

bool packet_is_arp_reply(const uint8_t *frame, size_t bytes, const uint8_t *ip, uint8_t *mac)
{
	if (!is_arp(frame, bytes, 2) || memcmp(frame + 28, ip, 4))
		return false;
	memcpy(mac, frame + 22, 6);
	return true;
}

bool packet_is_echo_reply(const uint8_t *frame, size_t bytes, const uint8_t *ip, uint16_t id,
			  uint16_t *seq)
{
	size_t icmp = icmp_bytes(frame, bytes, 0);

	if (!icmp || memcmp(frame + 26, ip, 4) || get16(frame + 38) != id ||
	    packet_fold(packet_sum(frame + 34, icmp, 0)))
		return false;
	*seq = get16(frame + 40);
	return true;
}

/* ---- bench ---------------------------------------------------------------------------------- */

void packet_bench(uint8_t *frame, size_t bytes, const uint8_t *to, const uint8_t *from,
		  uint64_t number)
{
	uint32_t magic = BENCH_MAGIC;
	uint8_t *p = ethernet(frame, to, from, TYPE_BENCH);

	memset(p, 0, bytes - PACKET_ETH_BYTES);
	memcpy(p, &magic, 4);
	memcpy(p + 4, &number, 8);
}

bool packet_is_bench(const uint8_t *frame, size_t bytes, uint64_t *number)
{
	uint32_t magic;

	if (bytes < 26 || get16(frame + 12) != TYPE_BENCH)
		return false;
	memcpy(&magic, frame + 14, 4);
	memcpy(number, frame + 18, 8);
	return magic == BENCH_MAGIC;
}

void packet_swap(uint8_t *frame)
{
	uint8_t mac[6];

	memcpy(mac, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, mac, 6);
}
