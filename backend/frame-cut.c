/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cutting a large TCP packet (RFC 9293): each segment has the packet's headers,
 * and in them its own lengths, sequence number, id and flags.
 */
#include <errno.h>
#include "frame-internal.h"

uint32_t frame_cut_count(const struct frame_cut *c)
{
	uint32_t payload = frame_payload_bytes(&c->frame);

	return payload ? (payload + c->mss - 1) / c->mss : 1;
}

int frame_cut_start(struct frame_cut *c, const uint8_t *header, uint32_t header_bytes,
		    const struct frame *f, uint32_t mss)
{
	if (f->l4 != FRAME_TCP || f->fragment)
		return -EOPNOTSUPP;
	if (f->payload_offset > FRAME_HEADER_MAX || f->payload_offset > header_bytes)
		return -EOPNOTSUPP;
	/* So large a segment is the whole; and the count's sum does not overflow. */
	if (mss > UINT16_MAX)
		mss = UINT16_MAX;
	c->frame = *f;
	c->mss = mss;
	c->at = c->index = 0;
	if (!mss || frame_cut_count(c) > FRAME_SEGMENTS_MAX)
		return -EINVAL;
	memcpy(c->header, header, f->payload_offset);
	return 0;
}

void frame_cut_skip(struct frame_cut *c, uint32_t index)
{
	uint32_t payload = frame_payload_bytes(&c->frame), at = index * c->mss;

	c->index = index;
	c->at = at < payload ? at : payload;
}

void frame_put_ip_length(uint8_t *header, const struct frame *f)
{
	uint8_t *ip = header + f->l3_offset;
	uint16_t sum = 0;

	if (f->l3 != FRAME_IPV4) {
		frame_put16(ip + IPV6_LENGTH, f->ip_bytes - IPV6_BYTES);
		return;
	}
	frame_put16(ip + IPV4_LENGTH, f->ip_bytes);
	memcpy(ip + IPV4_CHECKSUM, &sum, sizeof(sum));
	/* Its length in this copy may lie; between it and TCP lies nothing else. */
	sum = frame_fold(frame_sum(0, ip, (size_t)(f->l4_offset - f->l3_offset)));
	memcpy(ip + IPV4_CHECKSUM, &sum, sizeof(sum));
}

static void set_id(uint8_t *ip, uint32_t index)
{
	frame_put16(ip + IPV4_ID, frame_get16(ip + IPV4_ID) + index);
}

static void set_tcp(uint8_t *tcp, const struct frame_cut *c, bool last)
{
	uint8_t clear = 0;

	frame_put32(tcp + TCP_SEQUENCE, frame_get32(tcp + TCP_SEQUENCE) + c->at);
	if (!last)
		clear |= TCP_FIN | TCP_PSH;
	if (c->index)
		clear |= TCP_CWR;
	tcp[TCP_FLAGS] &= (uint8_t)~clear;
}

bool frame_cut_next(struct frame_cut *c, uint8_t *header, struct frame_segment *out)
{
	const struct frame *f = &c->frame;
	uint32_t left = frame_payload_bytes(f) - c->at, bytes = left < c->mss ? left : c->mss;

	if (!left && c->index)
		return false;
	*out = (struct frame_segment){ .header_bytes = f->payload_offset,
				       .payload_offset = f->payload_offset + c->at,
				       .payload_bytes = bytes, .frame = *f };
	out->frame.bytes = f->payload_offset + bytes;
	out->frame.ip_bytes = (uint16_t)(out->frame.bytes - f->l3_offset);
	out->frame.l4_bytes = (uint16_t)(out->frame.bytes - f->l4_offset);
	memcpy(header, c->header, f->payload_offset);
	if (f->l3 == FRAME_IPV4)
		set_id(header + f->l3_offset, c->index);
	frame_put_ip_length(header, &out->frame);
	set_tcp(header + f->l4_offset, c, bytes == left);
	frame_prepare_checksum(header, &out->frame);
	c->at += bytes;
	c->index++;
	return true;
}
