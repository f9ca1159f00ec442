/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checksums and segments, beside sums made octet by octet: what is cut is the
 * payload again when put together, and each piece is a packet that the parser and
 * the naive checksum take.
 */
#include <stdint.h>
#include "frame.h"
#include "frame-build.h"
#include "unit.h"

enum { FIN = 0x01, SYN = 0x02, PSH = 0x08, ACK = 0x10, URG = 0x20, ECE = 0x40, CWR = 0x80 };

static uint8_t buffer[BUILD_MAX], segment[BUILD_MAX];
static struct built built = { .frame = buffer };
static struct frame f;

static const struct build tcp4 = { .version = 4, .protocol = 6, .payload_bytes = 100, .seed = 1 };
static const struct build tcp6 = { .version = 6, .protocol = 6, .payload_bytes = 100, .seed = 2 };
static const struct build udp4 = { .version = 4, .protocol = 17, .payload_bytes = 33, .seed = 3 };
static const struct build udp6 = { .version = 6, .protocol = 17, .payload_bytes = 33, .seed = 4 };

static bool parse_built(const struct build *b)
{
	build_frame(b, &built);
	return frame_parse(buffer, built.bytes, built.bytes, &f) == 0;
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* ---- sums --------------------------------------------------------------------------- */

static uint16_t fold_of(uint64_t sum)
{
	uint16_t folded = frame_fold(sum);
	uint8_t octets[2];

	memcpy(octets, &folded, 2);
	return (uint16_t)get16(octets);
}

static uint16_t naive_fold(const uint8_t *p, uint32_t bytes)
{
	return (uint16_t)(0xffff - naive_sum(0, p, bytes));
}

/* Every length and place, as the sum goes through its octets in several ways. */
static void test_sum(void)
{
	unsigned int wrong = 0;

	build_seed = 5;
	for (uint32_t i = 0; i < BUILD_MAX; i++)
		buffer[i] = (uint8_t)build_random(256);
	for (uint32_t n = 0; n < 700; n++)
		for (uint32_t at = 0; at < 17; at++)
			wrong += fold_of(frame_sum(0, guarded(buffer + at, n), n)) !=
				 naive_fold(buffer + at, n);
	for (uint32_t n = 65000; n < 65600; n += 7)
		wrong += fold_of(frame_sum(0, buffer, n)) != naive_fold(buffer, n);
	UNIT_EQ(wrong, 0);
	/* Carries everywhere. */
	memset(buffer, 0xff, BUILD_MAX);
	for (uint32_t n = 0; n < BUILD_MAX; n += 111)
		wrong += fold_of(frame_sum(0, buffer, n)) != naive_fold(buffer, n);
	UNIT_EQ(wrong, 0);
	UNIT_EQ(fold_of(0), 0xffff);
	UNIT_EQ(fold_of(UINT64_MAX), 0);
	UNIT_EQ(fold_of(frame_sum(UINT64_MAX, buffer, 64)), 0);
}

/* Sums whose parts carry into one another, however many times. */
static void test_fold(void)
{
	static const uint16_t part[] = { 0, 1, 2, 0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff };
	unsigned int wrong = 0, nr = 8 * 8 * 8 * 8;

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t a = part[i % 8], b = part[i / 8 % 8], c = part[i / 64 % 8],
			 d = part[i / 512];
		uint32_t plain = (uint32_t)(a + b + c + d);

		while (plain > 0xffff)
			plain = (plain & 0xffff) + (plain >> 16);
		wrong += frame_fold(a | b << 16 | c << 32 | d << 48) != 0xffff - plain;
	}
	UNIT_EQ(wrong, 0);
}

static void test_sum_in_pieces(void)
{
	uint32_t at, n, total;
	uint64_t sum;

	build_seed = 6;
	for (uint32_t i = 0; i < BUILD_MAX; i++)
		buffer[i] = (uint8_t)build_random(256);
	for (unsigned int round = 0; round < 2000; round++) {
		total = build_random(3000);
		sum = 0;
		for (at = 0; at < total; at += n) {
			n = 2 * (1 + build_random(300));
			n = n < total - at ? n : total - at;
			sum = frame_sum(sum, buffer + at, n);
		}
		UNIT_EQ(fold_of(sum), naive_fold(buffer, total));
	}
}

/* ---- checksums ---------------------------------------------------------------------- */

static uint16_t sum_here(const struct build *b)
{
	return naive_l4_sum(buffer + f.l3_offset, buffer + f.l4_offset, f.l4_bytes, b->protocol);
}

static void check_checksums(const struct build *b)
{
	uint8_t *at, right[2];
	uint16_t prepared;

	UNIT_NEED(parse_built(b));
	UNIT_EQ(sum_here(b), 0xffff);
	UNIT_OK(frame_checksum_is_right(buffer, &f));
	at = buffer + frame_checksum_start(&f) + frame_checksum_offset(&f);
	memcpy(right, at, 2);
	/* Whatever stands there. */
	for (unsigned int noise = 0; noise < 256; noise += 15) {
		memset(at, (int)noise, 2);
		UNIT_OK((noise == 0 && b->protocol == 17 && b->version == 4) ||
			!frame_checksum_is_right(buffer, &f));
		UNIT_EQ(frame_complete_checksum(buffer, &f), 0);
		UNIT_OK(!memcmp(at, right, 2));
	}
	/* The pseudo header's sum, completed as virtio says: over what is there. */
	UNIT_EQ(frame_prepare_checksum(buffer, &f), 0);
	prepared = naive_fold(buffer + f.l4_offset, f.l4_bytes);
	if (b->protocol == 17 && !prepared)
		prepared = 0xffff;
	UNIT_EQ(prepared, get16(right));
	UNIT_EQ(frame_complete_checksum(buffer, &f), 0);
	UNIT_EQ(sum_here(b), 0xffff);
	/* Octets that are not in it, and one that is. */
	if (b->payload_bytes) {
		buffer[f.payload_offset] ^= 0x10;
		UNIT_OK(!frame_checksum_is_right(buffer, &f));
	}
}

static void test_checksums(void)
{
	struct build b;

	for (uint32_t n = 0; n < 300; n++) {
		const struct build *all[] = { &tcp4, &tcp6, &udp4, &udp6 };

		for (unsigned int i = 0; i < 4; i++) {
			b = *all[i];
			b.seed += n;
			b.payload_bytes = n;
			b.padding_bytes = n % 3;
			b.tags[0] = n % 2 ? 0x8100 : 0;
			b.options_bytes = (uint8_t)(n % 5 * 4);
			b.tcp_options_bytes = (uint8_t)(n % 11 * 4);
			b.extensions[0] = n % 4 ? 60 : 0;
			check_checksums(&b);
		}
	}
	b = tcp4;
	b.payload_bytes = 65535 - 40;
	check_checksums(&b);
	b = tcp6;
	b.payload_bytes = 65535 - 60;
	check_checksums(&b);
}

/* A UDP sum of 0 is said as 0xffff, and 0 says that there is none. */
static void test_udp_zero(void)
{
	struct build b = udp4;
	bool met = false;

	for (b.seed = 0; b.seed < 500000 && !met; b.seed++) {
		b.payload_bytes = 2;
		UNIT_NEED(parse_built(&b));
		met = get16(buffer + f.l4_offset + 6) == 0xffff;
	}
	UNIT_NEED(met);
	UNIT_EQ(frame_complete_checksum(buffer, &f), 0);
	UNIT_EQ(get16(buffer + f.l4_offset + 6), 0xffff);
	UNIT_OK(frame_checksum_is_right(buffer, &f));
	memset(buffer + f.l4_offset + 6, 0, 2);
	UNIT_OK(frame_checksum_is_right(buffer, &f));
	UNIT_NEED(parse_built(&udp6));
	memset(buffer + f.l4_offset + 6, 0, 2);
	UNIT_OK(!frame_checksum_is_right(buffer, &f));
}

static void test_no_checksum(void)
{
	struct build b = tcp4;
	struct frame_cut c;

	b.protocol = 1;
	UNIT_NEED(parse_built(&b));
	memcpy(segment, buffer, built.bytes);
	UNIT_EQ(frame_complete_checksum(buffer, &f), -EOPNOTSUPP);
	UNIT_EQ(frame_complete_headers(buffer, &f, 0), -EOPNOTSUPP);
	UNIT_EQ(frame_prepare_checksum(buffer, &f), -EOPNOTSUPP);
	UNIT_OK(!frame_checksum_is_right(buffer, &f));
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 10), -EOPNOTSUPP);
	b = tcp4;
	b.fragment = 0x2000;
	UNIT_OK(!memcmp(segment, buffer, built.bytes));
	UNIT_NEED(parse_built(&b));
	UNIT_EQ(f.l4, FRAME_TCP);
	UNIT_EQ(frame_complete_checksum(buffer, &f), -EOPNOTSUPP);
	UNIT_EQ(frame_prepare_checksum(buffer, &f), -EOPNOTSUPP);
	UNIT_OK(!frame_checksum_is_right(buffer, &f));
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 10), -EOPNOTSUPP);
	/* A guest's blank checksum on a header that is not all there. */
	UNIT_NEED(parse_built(&tcp6));
	UNIT_EQ(frame_parse(buffer, f.l4_offset + 19u, built.bytes, &f), 0);
	UNIT_EQ(frame_complete_checksum(buffer, &f), -EOPNOTSUPP);
}

/* ---- segments ----------------------------------------------------------------------- */

static void check_flags(const struct build *b, uint8_t got, uint32_t index, bool last)
{
	uint8_t want = b->tcp_flags;

	if (!last)
		want &= (uint8_t)~(FIN | PSH);
	if (index)
		want &= (uint8_t)~CWR;
	UNIT_EQ(got, want);
}

static void check_same(const struct frame *a, const struct frame *b)
{
	UNIT_EQ(a->bytes, b->bytes);
	UNIT_EQ(a->l3, b->l3);
	UNIT_EQ(a->l4, b->l4);
	UNIT_EQ(a->fragment, b->fragment);
	UNIT_EQ(a->l3_offset, b->l3_offset);
	UNIT_EQ(a->l4_offset, b->l4_offset);
	UNIT_EQ(a->payload_offset, b->payload_offset);
	UNIT_EQ(a->ip_bytes, b->ip_bytes);
	UNIT_EQ(a->l4_bytes, b->l4_bytes);
}

/* A segment, completed, on its own in memory: as if it had come from a wire. */
static void check_segment(const struct build *b, const struct frame_segment *s,
			  uint32_t index, bool last, uint32_t at)
{
	uint8_t *p = segment, *ip = segment + f.l3_offset, *tcp = segment + f.l4_offset;
	struct frame g;
	uint32_t end = s->header_bytes + s->payload_bytes;

	UNIT_EQ(s->payload_offset, f.payload_offset + at);
	UNIT_EQ(frame_parse(p, end, end, &g), 0);
	check_same(&g, &s->frame);
	UNIT_EQ(g.l4, FRAME_TCP);
	UNIT_EQ(g.payload_offset, s->header_bytes);
	UNIT_EQ(naive_l4_sum(ip, tcp, end - f.l4_offset, 6), 0xffff);
	if (b->version == 4) {
		UNIT_EQ(naive_sum(0, ip, 20u + b->options_bytes), 0xffff);
		UNIT_EQ(get16(ip + 4), (uint16_t)(b->id + index));
	}
	UNIT_EQ(get32(tcp + 4), b->sequence + at);
	check_flags(b, tcp[13], index, last);
	/* All else is as in the packet. */
	UNIT_OK(!memcmp(p, buffer, f.l3_offset + (b->version == 4 ? 2u : 4u)));
	UNIT_OK(!memcmp(tcp, buffer + f.l4_offset, 4));
	UNIT_OK(!memcmp(tcp + 8, buffer + f.l4_offset + 8, 5));
	UNIT_OK(!memcmp(tcp + 18, buffer + f.l4_offset + 18, 2u + b->tcp_options_bytes));
}

static void cut_and_check(const struct build *b, uint32_t mss)
{
	struct frame_segment s;
	struct frame_cut c;
	uint32_t at = 0, index = 0;
	uint16_t completed;

	UNIT_NEED(parse_built(b));
	UNIT_NEED(frame_cut_start(&c, guarded(buffer, f.payload_offset), f.payload_offset, &f,
				  mss) == 0);
	while (frame_cut_next(&c, segment, &s)) {
		UNIT_NEED(at + s.payload_bytes <= b->payload_bytes);
		UNIT_OK(s.payload_bytes == mss || at + s.payload_bytes == b->payload_bytes);
		memcpy(segment + s.header_bytes, buffer + s.payload_offset, s.payload_bytes);
		/* As another system would complete it; and here, both ways. */
		completed = naive_fold(segment + f.l4_offset, s.frame.l4_bytes);
		if (index % 2)
			UNIT_EQ(frame_complete_checksum(segment, &s.frame), 0);
		else
			UNIT_EQ(frame_complete_headers(segment, &s.frame,
						       frame_sum(0, buffer + s.payload_offset,
								 s.payload_bytes)), 0);
		UNIT_EQ(get16(segment + f.l4_offset + 16), completed);
		check_segment(b, &s, index, at + s.payload_bytes == b->payload_bytes, at);
		at += s.payload_bytes;
		index++;
	}
	UNIT_EQ(at, b->payload_bytes);
	UNIT_EQ(index, frame_cut_count(&c));
	UNIT_EQ(index, b->payload_bytes ? (b->payload_bytes + mss - 1) / mss : 1);
	UNIT_OK(!frame_cut_next(&c, segment, &s));
}

static void test_cut(void)
{
	struct build b = tcp4;

	b.id = 0xfffe;				/* goes round */
	b.sequence = 0xfffffff0;		/* so does this */
	b.tcp_flags = FIN | PSH | ACK | ECE | CWR;
	b.payload_bytes = 10000;
	cut_and_check(&b, 1448);
	b.payload_bytes = 2896;
	cut_and_check(&b, 1448);
	b.payload_bytes = 1448;
	cut_and_check(&b, 1448);
	b.payload_bytes = 1;
	cut_and_check(&b, 1448);
	b.payload_bytes = 0;
	cut_and_check(&b, 1448);
	b.payload_bytes = 65535 - 40;
	cut_and_check(&b, 1460);
	b.payload_bytes = 1000;
	b.padding_bytes = 20;			/* belongs to no segment */
	cut_and_check(&b, 333);
	b = tcp6;
	b.tcp_flags = FIN | PSH | ACK | ECE | CWR | URG;
	b.payload_bytes = 65535 - 60;
	cut_and_check(&b, 1428);
	b.payload_bytes = 1024;
	cut_and_check(&b, 1);
	cut_and_check(&b, UINT16_MAX);
}

static void test_cut_with_options(void)
{
	static const uint8_t extensions[] = { 0, 60, 100, 43, 51 };
	static const uint8_t flags[] = { ACK, FIN | ACK, PSH | ACK, CWR | ACK, SYN, 0xff };
	struct build b;

	for (unsigned int i = 0; i < 600; i++) {
		b = i % 2 ? tcp4 : tcp6;
		b.seed = i;
		b.id = (uint16_t)(i * 199);
		b.sequence = i * 99999999;
		b.tags[0] = i % 3 ? 0 : 0x8100;
		b.options_bytes = (uint8_t)(i % 11 * 4);
		b.tcp_options_bytes = (uint8_t)(i % 11 * 4);
		b.extensions[0] = extensions[i % 5];
		b.extension_units = (uint8_t)(i % 4);
		b.tcp_flags = flags[i % 6];
		b.payload_bytes = i * 7;
		cut_and_check(&b, 5 + i);
	}
}

static void test_cut_limits(void)
{
	struct build b = tcp6;
	struct frame_segment s;
	struct frame_cut c;

	b.payload_bytes = FRAME_SEGMENTS_MAX + 1;
	UNIT_NEED(parse_built(&b));
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 0), -EINVAL);
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 1), -EINVAL);
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 2), 0);
	UNIT_EQ(frame_cut_start(&c, buffer, f.payload_offset - 1u, &f, 2), -EOPNOTSUPP);
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, UINT32_MAX), 0);
	UNIT_EQ(frame_cut_count(&c), 1);
	UNIT_OK(frame_cut_next(&c, segment, &s));
	UNIT_EQ(s.payload_bytes, FRAME_SEGMENTS_MAX + 1);
	UNIT_OK(!frame_cut_next(&c, segment, &s));
	/* As many headers as there is room for, and one octet group more. */
	b.extensions[0] = 60;
	b.extension_units = (256 - 14 - 40 - 20 - 8) / 8;
	b.tcp_options_bytes = 4;
	UNIT_NEED(parse_built(&b));
	UNIT_OK(f.payload_offset <= FRAME_HEADER_MAX && f.payload_offset + 4u > FRAME_HEADER_MAX);
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 100), 0);
	b.tcp_options_bytes = 8;
	UNIT_NEED(parse_built(&b));
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 100), -EOPNOTSUPP);
	UNIT_NEED(parse_built(&udp4));
	UNIT_EQ(frame_cut_start(&c, buffer, built.bytes, &f, 100), -EOPNOTSUPP);
}

/* Whatever a guest sends: segments stay within the packet and the header's room. */
static void test_cut_mutations(void)
{
	unsigned int cut = 0, wrong = 0;
	struct frame_segment s;
	struct frame_cut c;
	struct build b;
	uint8_t *p;

	build_seed = 99;
	for (unsigned int round = 0; round < 30000; round++) {
		b = build_random(2) ? tcp4 : tcp6;
		b.payload_bytes = build_random(3000);
		b.tcp_options_bytes = (uint8_t)(build_random(11) * 4);
		b.extensions[0] = build_random(2) ? 60 : 0;
		build_frame(&b, &built);
		for (uint32_t i = build_random(4); i > 0; i--)
			buffer[14 + build_random(built.payload - 14)] = (uint8_t)build_random(256);
		if (frame_parse(buffer, built.bytes, built.bytes, &f) ||
		    frame_cut_start(&c, buffer, built.bytes, &f, 1 + build_random(1500)))
			continue;
		cut++;
		p = guarded(segment, FRAME_HEADER_MAX);
		while (frame_cut_next(&c, p, &s)) {
			wrong += s.payload_offset + s.payload_bytes > built.bytes;
			wrong += s.header_bytes > FRAME_HEADER_MAX;
		}
	}
	UNIT_EQ(wrong, 0);
	UNIT_OK(cut > 10000);
}

static const struct unit_test tests[] = {
	{ "sums", test_sum },
	{ "folding", test_fold },
	{ "sums in pieces", test_sum_in_pieces },
	{ "checksums", test_checksums },
	{ "UDP and zero", test_udp_zero },
	{ "what has no checksum", test_no_checksum },
	{ "segments", test_cut },
	{ "segments with options and extensions", test_cut_with_options },
	{ "limits of segments", test_cut_limits },
	{ "segments of changed packets", test_cut_mutations },
};

int main(void)
{
	return unit_run("frame, cut", tests, UNIT_LEN(tests));
}
