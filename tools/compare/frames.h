/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frames of the comparison's network, as the programs at both ends write and check
 * them: one of an experimental type with a number, or a segment of TCP over IPv4. Hides
 * nothing; must not know how frames travel. Every octet behind the headers can be said
 * from where it is in the whole, so that either end can check what the other has made.
 */
#ifndef CMP_FRAMES_H
#define CMP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi.h"

#define FRAME_ETHERTYPE 0x88b5u		/* for experiments, IEEE 802 */
#define FRAME_GUEST_MAC { 0x00, 0x16, 0x3e, 0, 0, 1 }
#define FRAME_GUEST_MAC_TEXT "00:16:3e:00:00:01"
#define FRAME_PEER_MAC { 0x02, 0, 0, 0, 0, 2 }

#define FRAME_ETH 14u
#define FRAME_IP_AT 14u
#define FRAME_TCP_AT 34u
#define FRAME_CHECKSUM_AT 16u		/* in the TCP header */

/* In front of a frame. */
struct frame_plain {
	uint8_t to[6], from[6], type[2];
	uint8_t zero[2], number[4];
};
#define FRAME_PLAIN 20u
_Static_assert(sizeof(struct frame_plain) == FRAME_PLAIN, "no gaps");

/* In front of a segment; all numbers of the network's order. */
struct frame_segment {
	uint8_t to[6], from[6], type[2];
	uint8_t version, tos, total_bytes[2], id[2], fragment[2], ttl, protocol, ip_sum[2];
	uint8_t source[4], destination[4];
	uint8_t source_port[2], destination_port[2], seq[4], ack[4];
	uint8_t tcp_bytes, tcp_flags, window[2], sum[2], urgent[2];
};
#define FRAME_SEGMENT 54u
_Static_assert(sizeof(struct frame_segment) == FRAME_SEGMENT, "no gaps");

static inline bool frame_is_stream(uint32_t op)
{
	return op == CMP_STREAM_OUT || op == CMP_STREAM_IN;
}

static inline void frame_put16(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

static inline void frame_put32(uint8_t *to, uint32_t v)
{
	frame_put16(to, v >> 16);
	frame_put16(to + 2, v);
}

static inline uint32_t frame_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- checksums ---------------------------------------------------------------- */

/* Adds to a sum; at an even distance from its beginning. */
static inline uint64_t frame_sum(uint64_t sum, const void *data, uint32_t bytes)
{
	const uint8_t *p = data;
	uint32_t word;
	uint16_t half;

	for (; bytes >= 4; bytes -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (bytes >= 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
	}
	return bytes & 1 ? sum + *p : sum;
}

/* As it stands in memory, not inverted. */
static inline uint16_t frame_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint64_t frame_pseudo_sum(const struct frame_segment *h, uint32_t tcp_bytes)
{
	uint8_t rest[4] = { 0, 6 };

	frame_put16(rest + 2, tcp_bytes);
	return frame_sum(frame_sum(0, h->source, 8), rest, 4);
}

/* ---- what is behind the headers ------------------------------------------------ */

static inline uint8_t frame_octet(uint32_t at)
{
	return (uint8_t)((at * 2654435761u) >> 24 ^ at);
}

static inline void frame_fill(void *to, uint32_t at, uint32_t bytes)
{
	uint8_t *p = to;

	while (bytes--)
		*p++ = frame_octet(at++);
}

static inline bool frame_check(const void *from, uint32_t at, uint32_t bytes)
{
	const uint8_t *p = from;

	while (bytes--)
		if (*p++ != frame_octet(at++))
			return false;
	return true;
}

/* A plain frame's own length: all of them where contents are checked, else the job's. */
static inline uint32_t frame_bytes_of(const struct cmp_job *job, uint32_t number)
{
	return !(job->flags & CMP_VERIFY) || job->block_bytes == CMP_FRAME_MIN ? job->block_bytes :
	       CMP_FRAME_MIN + number * 97 % (job->block_bytes - CMP_FRAME_MIN + 1);
}

/* Where its octets are in the whole. */
static inline uint32_t frame_at(uint32_t number)
{
	return number * CMP_FRAME_MAX;
}

/* Whether a segment's checksum is complete and right. */
static inline bool frame_segment_sum_ok(const uint8_t *frame, uint32_t bytes)
{
	const struct frame_segment *h = (const struct frame_segment *)(const void *)frame;
	uint64_t sum = frame_pseudo_sum(h, bytes - FRAME_TCP_AT);

	return frame_fold(frame_sum(sum, frame + FRAME_TCP_AT, bytes - FRAME_TCP_AT)) == 0xffff;
}

/* ---- headers -------------------------------------------------------------------- */

static inline void frame_addresses(uint8_t *frame, bool to_guest, uint32_t type)
{
	static const uint8_t guest[6] = FRAME_GUEST_MAC, peer[6] = FRAME_PEER_MAC;

	memcpy(frame, to_guest ? guest : peer, 6);
	memcpy(frame + 6, to_guest ? peer : guest, 6);
	frame_put16(frame + 12, type);
}

static inline void frame_plain_header(struct frame_plain *h, bool to_guest, uint32_t number)
{
	frame_addresses(h->to, to_guest, FRAME_ETHERTYPE);
	h->zero[0] = h->zero[1] = 0;
	frame_put32(h->number, number);
}

/*
 * A segment at seq of payload_bytes. Its checksum is that of the pseudo header, for
 * whoever completes it.
 */
static inline void frame_segment_header(struct frame_segment *h, bool to_guest, uint32_t seq,
					uint32_t payload_bytes)
{
	static const uint8_t guest[4] = { 192, 0, 2, 1 }, peer[4] = { 192, 0, 2, 2 };
	uint16_t sum;

	frame_addresses(h->to, to_guest, 0x0800);
	memset(&h->version, 0, FRAME_SEGMENT - FRAME_IP_AT);
	h->version = 0x45;
	frame_put16(h->total_bytes, payload_bytes + FRAME_SEGMENT - FRAME_IP_AT);
	h->fragment[0] = 0x40;
	h->ttl = 64;
	h->protocol = 6;
	memcpy(h->source, to_guest ? peer : guest, 4);
	memcpy(h->destination, to_guest ? guest : peer, 4);
	sum = (uint16_t)~frame_fold(frame_sum(0, &h->version, 20));
	memcpy(h->ip_sum, &sum, 2);
	frame_put16(h->source_port, 5001);
	frame_put16(h->destination_port, 5001);
	frame_put32(h->seq, seq);
	h->tcp_bytes = 0x50;
	h->tcp_flags = 0x10;
	frame_put16(h->window, 65535);
	sum = frame_fold(frame_pseudo_sum(h, payload_bytes + 20));
	memcpy(h->sum, &sum, 2);
}

#endif
