/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames for tests: built, and checked, without a line of frame.c's.
 */
#ifndef PV_NET_FRAMES_H
#define PV_NET_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NET_TCP_HEADERS 54u		/* Ethernet, IPv4, TCP without options */

static inline void net_mac(uint8_t *mac, uint8_t last)
{
	static const uint8_t first[5] = { 0x00, 0x16, 0x3e, 0, 0 };

	memcpy(mac, first, 5);
	mac[5] = last;
}

static inline void net_put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline uint32_t net_get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline uint8_t net_octet(uint32_t i, uint8_t seed)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + seed);
}

/* A frame of an unknown type, with a pattern that seed chooses. */
static inline void net_plain(uint8_t *frame, uint32_t bytes, uint8_t to, uint8_t from,
			     uint8_t seed)
{
	net_mac(frame, to);
	net_mac(frame + 6, from);
	net_put16(frame + 12, 0x88b5);
	for (uint32_t i = 14; i < bytes; i++)
		frame[i] = net_octet(i, seed);
}

/* The sum of RFC 1071, one word after another. */
static inline uint32_t net_sum(const uint8_t *at, uint32_t bytes, uint32_t sum)
{
	for (uint32_t i = 0; i < bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Pseudo header of a TCP packet over IPv4 at ip. */
static inline uint32_t net_pseudo(const uint8_t *ip, uint32_t tcp_bytes)
{
	return net_sum(ip + 12, 8, 0) + 6 + tcp_bytes;
}

/* Whether both checksums of a TCP frame over IPv4 are right. */
static inline bool net_tcp_is_right(const uint8_t *frame, uint32_t bytes)
{
	const uint8_t *ip = frame + 14;
	uint32_t tcp_bytes = net_get16(ip + 2) - 20;

	return net_get16(ip + 2) + 14 == bytes && net_sum(ip, 20, 0) == 0xffff &&
	       net_sum(ip + 20, tcp_bytes, net_pseudo(ip, tcp_bytes)) == 0xffff;
}

/* TCP over IPv4; blank: only the pseudo header's sum is there. */
static inline void net_tcp(uint8_t *frame, uint32_t bytes, uint8_t to, uint8_t from,
			   uint8_t seed, bool blank)
{
	uint8_t *ip = frame + 14, *tcp = ip + 20;
	uint32_t tcp_bytes = bytes - 34, sum;

	memset(frame, 0, NET_TCP_HEADERS);
	net_mac(frame, to);
	net_mac(frame + 6, from);
	net_put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	net_put16(ip + 2, bytes - 14);
	net_put16(ip + 4, 0x1234);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, (uint8_t[]){ 10, 0, 0, from, 10, 0, 0, to }, 8);
	net_put16(ip + 10, ~net_sum(ip, 20, 0) & 0xffff);
	net_put16(tcp, 1000u + from);
	net_put16(tcp + 2, 2000u + to);
	tcp[7] = 9;			/* sequence number */
	tcp[12] = 5 << 4;
	tcp[13] = 0x18;			/* PSH, ACK */
	for (uint32_t i = NET_TCP_HEADERS; i < bytes; i++)
		frame[i] = net_octet(i, seed);
	sum = net_pseudo(ip, tcp_bytes);
	if (blank)
		net_put16(tcp + 16, net_sum(NULL, 0, sum));
	else
		net_put16(tcp + 16, ~net_sum(tcp, tcp_bytes, sum) & 0xffff);
}

#endif
