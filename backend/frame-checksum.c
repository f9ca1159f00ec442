/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Internet checksum (RFC 1071): sums of 16-bit words in the machine's own
 * order, which fold to the same octets whatever that order is.
 */
#include <errno.h>
#include "frame-internal.h"

#define LOW_HALVES 0xffffffffull

typedef uint64_t halves __attribute__((vector_size(16), may_alias));

/*
 * Eight words of 64 bits at a time: their 32-bit halves go to sums of 64 bits, so
 * that no carry is lost and none has to be looked for; the compiler has vectors
 * for that on every machine that matters.
 */
static uint64_t sum_blocks(const uint8_t **data, size_t *bytes)
{
	const halves low = { LOW_HALVES, LOW_HALVES };
	halves a = { 0 }, b = { 0 }, v[4];

	for (; *bytes >= sizeof(v); *data += sizeof(v), *bytes -= sizeof(v)) {
		memcpy(v, *data, sizeof(v));
		a += (v[0] & low) + (v[1] & low);
		b += (v[0] >> 32) + (v[1] >> 32);
		a += (v[2] & low) + (v[3] & low);
		b += (v[2] >> 32) + (v[3] >> 32);
	}
	a = (a & low) + (a >> 32) + (b & low) + (b >> 32);
	return a[0] + a[1];
}

uint64_t frame_sum(uint64_t sum, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t word;
	uint16_t half = 0;

	sum = (sum & LOW_HALVES) + (sum >> 32);
	if (bytes >= 64)
		sum += sum_blocks(&p, &bytes);
	for (; bytes >= sizeof(word); p += sizeof(word), bytes -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (bytes >= sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		sum += half;
		p += sizeof(half);
		bytes -= sizeof(half);
	}
	/* The last odd octet is the first of a word whose other is 0. */
	if (bytes) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return sum;
}

static uint16_t fold_plain(uint64_t sum)
{
	sum = (sum & LOW_HALVES) + (sum >> 32);		/* at most 2^33 - 2 */
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);	/* 2^17 - 2 */
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint16_t frame_fold(uint64_t sum)
{
	return (uint16_t)~fold_plain(sum);
}

/* ---- TCP and UDP ---------------------------------------------------------------------- */

static bool has_checksum(const struct frame *f)
{
	return f->l4 != FRAME_L4_OTHER && !f->fragment;
}

uint16_t frame_checksum_offset(const struct frame *f)
{
	return f->l4 == FRAME_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

static uint64_t pseudo_sum(const uint8_t *header, const struct frame *f)
{
	uint32_t bytes;
	const uint8_t *addresses = frame_ip_addresses(header, f, &bytes);
	uint16_t protocol = htobe16(f->l4 == FRAME_TCP ? IP_TCP : IP_UDP);

	return frame_sum((uint64_t)protocol + htobe16(f->l4_bytes), addresses, bytes);
}

static uint8_t *checksum_of(uint8_t *header, const struct frame *f)
{
	return header + f->l4_offset + frame_checksum_offset(f);
}

int frame_prepare_checksum(uint8_t *header, const struct frame *f)
{
	uint16_t sum;

	if (!has_checksum(f))
		return -EOPNOTSUPP;
	sum = fold_plain(pseudo_sum(header, f));
	memcpy(checksum_of(header, f), &sum, sizeof(sum));
	return 0;
}

int frame_complete_headers(uint8_t *header, const struct frame *f, uint64_t payload_sum)
{
	uint8_t *checksum;
	uint64_t sum;
	uint16_t folded = 0;

	if (!has_checksum(f))
		return -EOPNOTSUPP;
	checksum = checksum_of(header, f);
	memcpy(checksum, &folded, sizeof(folded));
	sum = frame_sum(pseudo_sum(header, f), header + f->l4_offset,
			(size_t)(f->payload_offset - f->l4_offset));
	/* One's complement: what carries out of 32 bits comes in again below. */
	sum += (payload_sum & LOW_HALVES) + (payload_sum >> 32);
	folded = frame_fold(sum);
	if (!folded && f->l4 == FRAME_UDP)
		folded = 0xffff;
	memcpy(checksum, &folded, sizeof(folded));
	return 0;
}

static uint64_t payload_sum(const uint8_t *frame, const struct frame *f)
{
	uint32_t headers = f->payload_offset - (uint32_t)f->l4_offset;

	return frame_sum(0, frame + f->payload_offset, f->l4_bytes - headers);
}

int frame_complete_checksum(uint8_t *frame, const struct frame *f)
{
	if (!has_checksum(f))
		return -EOPNOTSUPP;
	return frame_complete_headers(frame, f, payload_sum(frame, f));
}

bool frame_checksum_is_right(const uint8_t *frame, const struct frame *f)
{
	uint16_t given;

	if (!has_checksum(f))
		return false;
	memcpy(&given, frame + f->l4_offset + frame_checksum_offset(f), sizeof(given));
	if (f->l4 == FRAME_UDP && !given)
		return f->l3 == FRAME_IPV4;
	return !frame_fold(frame_sum(pseudo_sum(frame, f), frame + f->l4_offset, f->l4_bytes));
}
