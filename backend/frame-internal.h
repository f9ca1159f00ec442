/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where things stand in the headers, for the files that work on frames.
 */
#ifndef PV_FRAME_INTERNAL_H
#define PV_FRAME_INTERNAL_H

#include <endian.h>
#include <string.h>
#include "frame.h"

#define IP_TCP 6u
#define IP_UDP 17u
#define IPV4_BYTES 20u		/* without options */
#define IPV4_SOURCE 12u		/* offsets */
#define IPV4_LENGTH 2u
#define IPV4_ID 4u
#define IPV4_FLAGS 6u
#define IPV4_CHECKSUM 10u
#define IPV6_BYTES 40u
#define IPV6_LENGTH 4u
#define IPV6_SOURCE 8u
#define TCP_BYTES 20u		/* without options */
#define TCP_SEQUENCE 4u
#define TCP_FLAGS 13u
#define TCP_CHECKSUM 16u
#define UDP_BYTES 8u
#define UDP_CHECKSUM 6u
#define ETH_ADDRESSES_BYTES 12u

enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_ACK = 0x10, TCP_CWR = 0x80 };

static inline uint16_t frame_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void frame_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t frame_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline void frame_put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

/* Both addresses, which stand one behind the other. */
static inline const uint8_t *frame_ip_addresses(const uint8_t *header, const struct frame *f,
						uint32_t *bytes)
{
	*bytes = f->l3 == FRAME_IPV4 ? 8 : 32;
	return header + f->l3_offset + (f->l3 == FRAME_IPV4 ? IPV4_SOURCE : IPV6_SOURCE);
}

/* Of TCP. */
static inline uint32_t frame_payload_bytes(const struct frame *f)
{
	return f->l4_bytes - (uint32_t)(f->payload_offset - f->l4_offset);
}

/* frame-cut.c. Puts f->ip_bytes into the IP header, and IPv4's checksum of all that it says. */
void frame_put_ip_length(uint8_t *header, const struct frame *f);

#endif
