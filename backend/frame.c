/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the headers of a frame. Every step asks first whether what it wants to
 * read is there; what is not, or says something impossible, ends the search with
 * what is known until then.
 */
#include <errno.h>
#include "frame-internal.h"

#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86ddu
#define TYPE_8021Q 0x8100u
#define TYPE_8021AD 0x88a8u
#define TYPE_QINQ 0x9100u

/* Headers further in are not looked for, so that offsets have 16 bits. */
#define SIGHT_BYTES 4096u

struct sight {
	const uint8_t *header;
	uint32_t bytes;			/* that may be read */
};

static bool can_see(const struct sight *s, uint32_t at, uint32_t bytes)
{
	return at <= s->bytes && bytes <= s->bytes - at;
}

/* ---- TCP and UDP ------------------------------------------------------------------- */

static void parse_tcp(const struct sight *s, uint32_t at, uint32_t end, struct frame *f)
{
	uint32_t header_bytes;

	if (!can_see(s, at, TCP_BYTES))
		return;
	header_bytes = (uint32_t)(s->header[at + 12] >> 4) * 4;
	if (header_bytes < TCP_BYTES || header_bytes > end - at)
		return;
	f->l4 = FRAME_TCP;
	f->l4_offset = (uint16_t)at;
	f->l4_bytes = (uint16_t)(end - at);
	f->payload_offset = (uint16_t)(at + header_bytes);
}

static void parse_udp(const struct sight *s, uint32_t at, uint32_t end, struct frame *f)
{
	uint32_t bytes;

	if (!can_see(s, at, UDP_BYTES))
		return;
	bytes = frame_get16(s->header + at + 4);
	/* The first fragment says the whole datagram's length. */
	if (f->fragment && bytes > end - at)
		bytes = end - at;
	if (bytes < UDP_BYTES || bytes > end - at)
		return;
	f->l4 = FRAME_UDP;
	f->l4_offset = (uint16_t)at;
	f->l4_bytes = (uint16_t)bytes;
	f->payload_offset = (uint16_t)(at + UDP_BYTES);
}

static void parse_l4(const struct sight *s, uint8_t protocol, uint32_t at, uint32_t end,
		     struct frame *f)
{
	if (at > end)
		return;
	if (protocol == IP_TCP)
		parse_tcp(s, at, end, f);
	else if (protocol == IP_UDP)
		parse_udp(s, at, end, f);
}

/* ---- IPv4 -------------------------------------------------------------------------- */

static void parse_ipv4(const struct sight *s, uint32_t at, struct frame *f)
{
	const uint8_t *ip = s->header + at;
	uint32_t header_bytes, bytes, fragment;

	if (!can_see(s, at, IPV4_BYTES) || ip[0] >> 4 != 4)
		return;
	header_bytes = (ip[0] & 15u) * 4;
	bytes = frame_get16(ip + 2);
	if (header_bytes < IPV4_BYTES || bytes < header_bytes || bytes > f->bytes - at)
		return;
	f->l3 = FRAME_IPV4;
	f->l3_offset = (uint16_t)at;
	f->ip_bytes = (uint16_t)bytes;
	fragment = frame_get16(ip + 6) & 0x3fff;	/* more to come, and the offset */
	f->fragment = fragment;
	if (!(fragment & 0x1fff))
		parse_l4(s, ip[9], at + header_bytes, at + bytes, f);
}

/* ---- IPv6 -------------------------------------------------------------------------- */

enum {
	EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_AUTHENTICATION = 51,
	EXT_DESTINATION = 60, EXT_MOBILITY = 135, EXT_HIP = 139, EXT_SHIM6 = 140,
};

/* Its octets, 0: next is no extension that can be passed over. ext: 8 octets. */
static uint32_t extension_bytes(uint8_t next, const uint8_t *ext)
{
	switch (next) {
	case EXT_ROUTING:
		if (ext[3])		/* segments left */
			return 0;
		return (ext[1] + 1u) * 8;
	case EXT_HOP_BY_HOP:
	case EXT_DESTINATION:
	case EXT_MOBILITY:
	case EXT_HIP:
	case EXT_SHIM6:
		return (ext[1] + 1u) * 8;
	case EXT_FRAGMENT:
		return 8;
	case EXT_AUTHENTICATION:
		return (ext[1] + 2u) * 4;
	default:
		return 0;
	}
}

static void parse_ipv6(const struct sight *s, uint32_t at, struct frame *f)
{
	const uint8_t *ip = s->header + at, *ext;
	uint32_t end, bytes, offset = 0;
	uint8_t next;

	if (!can_see(s, at, IPV6_BYTES) || ip[0] >> 4 != 6)
		return;
	bytes = IPV6_BYTES + frame_get16(ip + 4);
	if (bytes > f->bytes - at || bytes > UINT16_MAX)
		return;
	f->l3 = FRAME_IPV6;
	f->l3_offset = (uint16_t)at;
	f->ip_bytes = (uint16_t)bytes;
	end = at + bytes;
	at += IPV6_BYTES;
	for (next = ip[6]; next != IP_TCP && next != IP_UDP; next = ext[0], at += bytes) {
		ext = s->header + at;
		if (at + 8 > end || !can_see(s, at, 8))
			return;
		bytes = extension_bytes(next, ext);
		if (!bytes)
			return;
		if (next == EXT_FRAGMENT) {
			offset = frame_get16(ext + 2) & 0xfff8;
			f->fragment |= frame_get16(ext + 2) & 0xfff9;
		}
		if (offset)
			return;
	}
	parse_l4(s, next, at, end, f);
}

/* ---- Ethernet ---------------------------------------------------------------------- */

int frame_parse(const uint8_t *header, uint32_t header_bytes, uint32_t frame_bytes,
		struct frame *out)
{
	struct sight s = { header, header_bytes < frame_bytes ? header_bytes : frame_bytes };
	uint32_t at = ETH_ADDRESSES_BYTES;
	uint16_t type;

	*out = (struct frame){ .bytes = frame_bytes };
	if (s.bytes < FRAME_ETH_BYTES)
		return -EBADMSG;
	if (s.bytes > SIGHT_BYTES)
		s.bytes = SIGHT_BYTES;
	for (;;) {
		if (!can_see(&s, at, 2))
			return 0;
		type = frame_get16(header + at);
		if (type != TYPE_8021Q && type != TYPE_8021AD && type != TYPE_QINQ)
			break;
		at += FRAME_TAG_BYTES;
	}
	if (type == TYPE_IPV4)
		parse_ipv4(&s, at + 2, out);
	else if (type == TYPE_IPV6)
		parse_ipv6(&s, at + 2, out);
	return 0;
}
