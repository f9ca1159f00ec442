/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Joining segments: what frame_cut gives becomes the packet again, and a segment in
 * which any bit of a header is another, but for those that must be, is not joined.
 */
#include <stdint.h>
#include "frame.h"
#include "frame-build.h"
#include "unit.h"

#define SEGMENTS 64u
#define SEGMENT_BYTES 2048u

enum { FIN = 0x01, PSH = 0x08, ACK = 0x10 };

static uint8_t buffer[BUILD_MAX], joined[FRAME_HEADER_MAX], payload[BUILD_MAX];
static uint8_t segment[SEGMENTS][SEGMENT_BYTES];
static struct built built = { .frame = buffer };
static struct frame whole, f;
static struct frame_join j;
static uint32_t nr_segments;

static const struct build tcp4 = { .version = 4, .protocol = 6, .payload_bytes = 10000,
				   .tcp_flags = ACK, .id = 0xfffe, .seed = 1 };
static const struct build tcp6 = { .version = 6, .protocol = 6, .payload_bytes = 10000,
				   .tcp_flags = ACK, .tcp_options_bytes = 12, .seed = 2 };

/* Builds b, and cuts it into segments with right checksums. */
static void cut(const struct build *b, uint32_t mss)
{
	struct frame_segment s;
	struct frame_cut c;

	build_frame(b, &built);
	UNIT_NEED(!frame_parse(buffer, built.bytes, built.bytes, &whole));
	UNIT_NEED(!frame_cut_start(&c, buffer, built.bytes, &whole, mss));
	for (nr_segments = 0; nr_segments < SEGMENTS; nr_segments++) {
		uint8_t *at = segment[nr_segments];

		if (!frame_cut_next(&c, at, &s))
			break;
		memcpy(at + s.header_bytes, buffer + s.payload_offset, s.payload_bytes);
		frame_complete_checksum(at, &s.frame);
	}
}

static void parse(uint32_t index, uint32_t bytes)
{
	UNIT_NEED(!frame_parse(segment[index], bytes, bytes, &f));
}

static uint32_t segment_bytes(uint32_t index, uint32_t mss)
{
	uint32_t payload_bytes = built.bytes - whole.payload_offset, at = index * mss;

	return whole.payload_offset + (payload_bytes - at < mss ? payload_bytes - at : mss);
}

static bool start(uint32_t mss)
{
	parse(0, segment_bytes(0, mss));
	return frame_join_start(&j, segment[0], &f, UINT32_MAX);
}

static bool next(uint32_t index, uint32_t mss)
{
	parse(index, segment_bytes(index, mss));
	return frame_join_next(&j, segment[index], &f);
}

static void join_all(const struct build *b, uint32_t mss)
{
	uint32_t at = 0, bytes = 0;

	cut(b, mss);
	UNIT_NEED(start(mss));
	for (uint32_t i = 0; i < nr_segments; i++) {
		UNIT_NEED(!i || next(i, mss));
		bytes = segment_bytes(i, mss) - whole.payload_offset;
		memcpy(payload + at, segment[i] + whole.payload_offset, bytes);
		at += bytes;
	}
	frame_join_header(&j, joined);
	frame_prepare_checksum(buffer, &whole);
	UNIT_EQ(j.nr, nr_segments);
	UNIT_EQ(j.mss, mss);
	UNIT_OK(!memcmp(&j.frame, &whole, sizeof(whole)));
	UNIT_OK(!memcmp(joined, buffer, whole.payload_offset));
	UNIT_OK(!memcmp(payload, buffer + whole.payload_offset, at));
	UNIT_EQ(at, built.bytes - whole.payload_offset);
}

static void test_what_was_cut(void)
{
	for (uint32_t n = 0; n < 200; n++) {
		struct build b = n % 2 ? tcp6 : tcp4;

		b.seed += n;
		b.payload_bytes = 2000 + 53 * n;
		b.tags[0] = n % 3 ? 0 : 0x8100;
		b.tcp_options_bytes = (uint8_t)(n % 11 * 4);
		b.tcp_flags = n % 5 ? ACK : ACK | PSH;
		b.fragment = n % 4 < 2 ? 0x4000 : 0;
		b.sequence = UINT32_MAX - 40 * n;
		join_all(&b, 500 + 5 * n);
	}
}

/* Of a segment's header: an octet's bits that may differ from the first's. */
static uint8_t may_differ(uint32_t at)
{
	uint32_t tcp = at - whole.l4_offset, ip = at - whole.l3_offset;

	if (at >= whole.l4_offset)
		return tcp == 16 || tcp == 17 ? 0xff : tcp == 13 ? PSH : 0;
	return at > whole.l3_offset && whole.l3 == FRAME_IPV4 &&
	       segment[0][whole.l3_offset + 6] & 0x40 && (ip == 4 || ip == 5) ? 0xff : 0;
}

static void repair_ipv4(uint8_t *ip)
{
	uint16_t sum;

	ip[10] = ip[11] = 0;
	sum = (uint16_t)~naive_sum(0, ip, 20);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static void flip_each_bit(const struct build *b, uint32_t mss)
{
	static uint8_t kept[SEGMENT_BYTES];
	uint32_t wrong = 0;

	cut(b, mss);
	memcpy(kept, segment[1], sizeof(kept));
	for (uint32_t bit = 0; bit < 8 * whole.payload_offset; bit++) {
		uint32_t at = bit / 8, bytes = segment_bytes(1, mss);
		bool of_ipv4 = whole.l3 == FRAME_IPV4 && at >= whole.l3_offset &&
			       at < whole.l4_offset;
		bool taken;

		memcpy(segment[1], kept, sizeof(kept));
		segment[1][at] ^= (uint8_t)(1 << bit % 8);
		if (of_ipv4 && at != whole.l3_offset + 10u && at != whole.l3_offset + 11u)
			repair_ipv4(segment[1] + whole.l3_offset);
		UNIT_NEED(start(mss));
		taken = !frame_parse(segment[1], bytes, bytes, &f) &&
			frame_join_next(&j, segment[1], &f);
		wrong += taken != !!(may_differ(at) & 1 << bit % 8);
	}
	UNIT_EQ(wrong, 0);
}

static void test_each_bit(void)
{
	struct build b = tcp4;

	flip_each_bit(&b, 1000);
	b.fragment = 0x4000;
	b.tcp_options_bytes = 12;
	flip_each_bit(&b, 1000);
	b.tags[0] = 0x8100;
	flip_each_bit(&b, 1000);
	flip_each_bit(&tcp6, 1000);
}

/* Nothing follows a push, or one that is shorter; and none is longer than the first. */
static void test_what_ends_it(void)
{
	uint32_t mss = 1000;

	cut(&tcp4, mss);
	segment[1][whole.l4_offset + 13] |= PSH;
	UNIT_OK(start(mss) && next(1, mss) && !next(2, mss));
	frame_join_header(&j, joined);
	UNIT_OK(joined[whole.l4_offset + 13] & PSH);
	cut(&tcp4, mss);
	segment[0][whole.l4_offset + 13] |= PSH;
	UNIT_OK(start(mss) && !next(1, mss));
	cut(&tcp4, mss);
	segment[0][whole.l4_offset + 13] |= FIN;
	UNIT_OK(!start(mss));
	cut(&tcp4, mss);
	segment[0][whole.l4_offset + 12] |= 1;
	UNIT_OK(!start(mss));
	cut(&tcp4, mss);
	segment[0][whole.l3_offset + 10] ^= 1;
	UNIT_OK(!start(mss));
}

static void put32(uint8_t *at, uint32_t v)
{
	for (uint32_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* The length of a segment's IP packet, with the checksum of its header. */
static void set_length(uint32_t index, uint32_t payload_bytes)
{
	uint32_t bytes = whole.payload_offset - whole.l3_offset + payload_bytes;

	segment[index][whole.l3_offset + 2] = (uint8_t)(bytes >> 8);
	segment[index][whole.l3_offset + 3] = (uint8_t)bytes;
	repair_ipv4(segment[index] + whole.l3_offset);
}

static bool next_of(uint32_t index, uint32_t payload_bytes, uint32_t padding_bytes)
{
	set_length(index, payload_bytes);
	parse(index, whole.payload_offset + payload_bytes + padding_bytes);
	return frame_join_next(&j, segment[index], &f);
}

static void test_lengths(void)
{
	uint32_t mss = 1000;

	cut(&tcp4, mss);
	UNIT_OK(start(mss) && !next_of(1, mss + 1, 0));
	UNIT_OK(start(mss) && !next_of(1, 0, 0));
	UNIT_OK(start(mss) && !next_of(1, mss - 1, 1));
	put32(segment[2] + whole.l4_offset + 4, tcp4.sequence + 2 * mss - 1);
	UNIT_OK(start(mss) && next_of(1, mss - 1, 0) && !next(2, mss));
	cut(&tcp4, mss);
	parse(0, segment_bytes(0, mss));
	UNIT_OK(frame_join_start(&j, segment[0], &f, whole.payload_offset + 3 * mss - 1));
	UNIT_OK(next(1, mss) && !next(2, mss));
	UNIT_OK(frame_join_start(&j, segment[0], (parse(0, segment_bytes(0, mss)), &f),
				 whole.payload_offset + 3 * mss));
	UNIT_OK(next(1, mss) && next(2, mss) && !next(3, mss));
}

/* However much there is, lengths fit into the headers. */
static void test_longest(void)
{
	uint32_t nr, mss = 1400;

	cut(&tcp4, mss);
	UNIT_NEED(start(mss));
	for (nr = 1; nr < 100; nr++) {
		uint8_t *tcp = segment[1] + whole.l4_offset;
		uint32_t at = tcp4.sequence + nr * mss;

		segment[1][whole.l3_offset + 4] = (uint8_t)((tcp4.id + nr) >> 8);
		segment[1][whole.l3_offset + 5] = (uint8_t)(tcp4.id + nr);
		put32(tcp + 4, at);
		if (!next_of(1, mss, 0))
			break;
	}
	UNIT_EQ(nr, (65535 - 40) / mss);
	UNIT_EQ(j.frame.ip_bytes, 40 + nr * mss);
}

static const struct unit_test tests[] = {
	{ "what was cut is joined", test_what_was_cut },
	{ "each bit of a header", test_each_bit },
	{ "what ends a packet", test_what_ends_it },
	{ "lengths", test_lengths },
	{ "the longest", test_longest },
};

int main(void)
{
	return unit_run("frame-join", tests, UNIT_LEN(tests));
}
