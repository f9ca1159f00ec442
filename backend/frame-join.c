/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Joining TCP segments (RFC 9293) to a packet that is cut into them again.
 *
 * Hides: which fields of the headers may differ, and how. Must not know: where the
 * segments are, who takes the packet.
 */
#include "frame-internal.h"

#define IPV4_DONT_FRAGMENT 0x40u	/* of the first octet of the flags */
#define TCP_ACKNOWLEDGMENT 8u
#define TCP_WINDOW 14u
#define TCP_URGENT 18u

static bool ip_can_be_joined(const uint8_t *ip, const struct frame *f)
{
	uint32_t bytes = (uint32_t)(f->l4_offset - f->l3_offset);

	if (f->l3 == FRAME_IPV6)
		return bytes == IPV6_BYTES;
	/* A wrong checksum must not become a right one. */
	return bytes == IPV4_BYTES && !frame_fold(frame_sum(0, ip, IPV4_BYTES));
}

static bool can_be_joined(const uint8_t *header, const struct frame *f)
{
	const uint8_t *tcp = header + f->l4_offset;

	return f->l4 == FRAME_TCP && !f->fragment && f->payload_offset <= FRAME_HEADER_MAX &&
	       frame_payload_bytes(f) && f->bytes == (uint32_t)f->l3_offset + f->ip_bytes &&
	       (tcp[TCP_FLAGS] & ~TCP_PSH) == TCP_ACK && !(tcp[TCP_FLAGS - 1] & 0x0f) &&
	       ip_can_be_joined(header + f->l3_offset, f);
}

bool frame_join_start(struct frame_join *j, const uint8_t *header, const struct frame *f,
		      uint32_t bytes_max)
{
	if (!can_be_joined(header, f))
		return false;
	j->frame = *f;
	j->header = header;
	j->mss = frame_payload_bytes(f);
	j->bytes_max = (uint32_t)f->l3_offset + UINT16_MAX;
	if (j->bytes_max > bytes_max)
		j->bytes_max = bytes_max;
	j->nr = 1;
	j->ended = j->pushes = header[f->l4_offset + TCP_FLAGS] & TCP_PSH;
	return true;
}

static bool same(const uint8_t *a, const uint8_t *b, uint32_t from, uint32_t to)
{
	return !memcmp(a + from, b + from, to - from);
}

/* The receiver sees ids that count up from the first, as those of a packet do that is cut. */
static bool same_ipv4(const uint8_t *first, const uint8_t *ip, uint32_t index)
{
	uint16_t id = (uint16_t)(frame_get16(first + IPV4_ID) + index);

	return same(first, ip, 0, IPV4_LENGTH) && same(first, ip, IPV4_FLAGS, IPV4_CHECKSUM) &&
	       same(first, ip, IPV4_SOURCE, IPV4_BYTES) &&
	       (ip[IPV4_FLAGS] & IPV4_DONT_FRAGMENT || frame_get16(ip + IPV4_ID) == id);
}

static bool same_tcp(const uint8_t *first, const uint8_t *tcp, uint32_t bytes, uint32_t at)
{
	return same(first, tcp, 0, TCP_SEQUENCE) &&
	       frame_get32(tcp + TCP_SEQUENCE) == frame_get32(first + TCP_SEQUENCE) + at &&
	       same(first, tcp, TCP_ACKNOWLEDGMENT, TCP_FLAGS) &&
	       same(first, tcp, TCP_WINDOW, TCP_CHECKSUM) && same(first, tcp, TCP_URGENT, bytes);
}

static bool follows(const struct frame_join *j, const uint8_t *header, const struct frame *f)
{
	const struct frame *p = &j->frame;
	const uint8_t *first = j->header;

	return f->l3 == p->l3 && f->l3_offset == p->l3_offset && f->l4_offset == p->l4_offset &&
	       f->payload_offset == p->payload_offset && same(first, header, 0, p->l3_offset) &&
	       (f->l3 == FRAME_IPV4 ?
		same_ipv4(first + p->l3_offset, header + p->l3_offset, j->nr) :
		same(first + p->l3_offset, header + p->l3_offset, 0, IPV6_LENGTH) &&
		same(first + p->l3_offset, header + p->l3_offset, IPV6_LENGTH + 2, IPV6_BYTES)) &&
	       same_tcp(first + p->l4_offset, header + p->l4_offset,
			(uint32_t)(p->payload_offset - p->l4_offset), frame_payload_bytes(p));
}

bool frame_join_next(struct frame_join *j, const uint8_t *header, const struct frame *f)
{
	struct frame *p = &j->frame;
	uint32_t bytes;

	if (j->ended || !can_be_joined(header, f) || !follows(j, header, f))
		return false;
	bytes = frame_payload_bytes(f);
	if (bytes > j->mss || p->bytes + bytes > j->bytes_max)
		return false;
	p->bytes += bytes;
	p->ip_bytes = (uint16_t)(p->ip_bytes + bytes);
	p->l4_bytes = (uint16_t)(p->l4_bytes + bytes);
	j->nr++;
	j->pushes = header[f->l4_offset + TCP_FLAGS] & TCP_PSH;
	j->ended = j->pushes || bytes < j->mss;
	return true;
}

void frame_join_header(const struct frame_join *j, uint8_t *header)
{
	const struct frame *p = &j->frame;

	memcpy(header, j->header, p->payload_offset);
	frame_put_ip_length(header, p);
	if (j->pushes)
		header[p->l4_offset + TCP_FLAGS] |= TCP_PSH;
	frame_prepare_checksum(header, p);
}
