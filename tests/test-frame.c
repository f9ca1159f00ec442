/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding headers and hashing flows: every form a header has, every length that
 * it can be cut to, lengths that lie, and octets changed at random. What is read
 * lies right before memory that cannot be.
 */
#define XEN_NETIF_DEFINE_TOEPLITZ
#include <stdint.h>
#include <xen/io/netif.h>
#include "frame.h"
#include "frame-build.h"
#include "unit.h"

static uint8_t buffer[BUILD_MAX];
static struct built built = { .frame = buffer };
static struct frame f;

static const struct build tcp4 = { .version = 4, .protocol = 6, .payload_bytes = 100, .seed = 1 };
static const struct build tcp6 = { .version = 6, .protocol = 6, .payload_bytes = 100, .seed = 2 };
static const struct build udp4 = { .version = 4, .protocol = 17, .payload_bytes = 33, .seed = 3 };
static const struct build udp6 = { .version = 6, .protocol = 17, .payload_bytes = 33, .seed = 4 };

static int parse_built(const struct build *b)
{
	build_frame(b, &built);
	return frame_parse(guarded(buffer, built.bytes), built.bytes, built.bytes, &f);
}

static void check_found(const struct build *b, enum frame_l4 l4)
{
	UNIT_EQ(f.bytes, built.bytes);
	UNIT_EQ(f.l3, b->version == 4 ? FRAME_IPV4 : FRAME_IPV6);
	UNIT_EQ(f.l3_offset, built.l3);
	UNIT_EQ(f.ip_bytes, built.ip_bytes);
	UNIT_EQ(f.l4, l4);
	if (l4 == FRAME_L4_OTHER)
		return;
	UNIT_EQ(f.l4_offset, built.l4);
	UNIT_EQ(f.payload_offset, built.payload);
	UNIT_EQ(f.l4_bytes, built.l3 + built.ip_bytes - built.l4);
}

static void expect(const struct build *b, enum frame_l4 l4)
{
	UNIT_EQ(parse_built(b), 0);
	check_found(b, l4);
	UNIT_OK(!f.fragment);
}

/* ---- forms ------------------------------------------------------------------------- */

static void test_plain(void)
{
	static const struct {
		struct build packet;
		enum frame_l4 l4;
	} plain[] = {
		{ { .version = 4, .protocol = 6, .payload_bytes = 100 }, FRAME_TCP },
		{ { .version = 6, .protocol = 6, .payload_bytes = 100 }, FRAME_TCP },
		{ { .version = 4, .protocol = 17, .payload_bytes = 33 }, FRAME_UDP },
		{ { .version = 6, .protocol = 17, .payload_bytes = 33 }, FRAME_UDP },
		{ { .version = 4, .protocol = 1, .payload_bytes = 100 }, FRAME_L4_OTHER },
		{ { .version = 6, .protocol = 58, .payload_bytes = 100 }, FRAME_L4_OTHER },
		{ { .version = 6, .protocol = 59, .payload_bytes = 100 }, FRAME_L4_OTHER },
		{ { .version = 4, .protocol = 6 }, FRAME_TCP },
		{ { .version = 6, .protocol = 17 }, FRAME_UDP },
	};
	struct build b = { .version = 0, .protocol = 6 };

	for (unsigned int i = 0; i < UNIT_LEN(plain); i++) {
		expect(&plain[i].packet, plain[i].l4);
		if (!plain[i].packet.payload_bytes)
			UNIT_EQ(f.payload_offset, built.bytes);
	}
	UNIT_EQ(parse_built(&b), 0);
	UNIT_EQ(f.l3, FRAME_L3_OTHER);
	UNIT_EQ(f.l4, FRAME_L4_OTHER);
}

static void test_largest(void)
{
	struct build b = tcp4;

	b.payload_bytes = 65535 - 40;
	expect(&b, FRAME_TCP);
	UNIT_EQ(f.ip_bytes, 65535);
	b = tcp6;
	b.payload_bytes = 65535 - 60;
	expect(&b, FRAME_TCP);
	UNIT_EQ(f.ip_bytes, 65535);
	/* More than 16 bits can count. */
	b.payload_bytes++;
	UNIT_EQ(parse_built(&b), 0);
	UNIT_EQ(f.l3, FRAME_L3_OTHER);
}

static void test_tags(void)
{
	struct build b = tcp4;

	b.tags[0] = 0x8100;
	expect(&b, FRAME_TCP);
	UNIT_EQ(f.l3_offset, 18);
	b.tags[0] = 0x88a8;
	b.tags[1] = 0x8100;
	expect(&b, FRAME_TCP);
	b.tags[2] = 0x9100;
	expect(&b, FRAME_TCP);
	UNIT_EQ(f.l3_offset, 26);
}

static void test_options(void)
{
	struct build b = tcp4;

	for (unsigned int n = 0; n <= 40; n += 4) {
		b.options_bytes = (uint8_t)n;
		b.tcp_options_bytes = (uint8_t)(40 - n);
		expect(&b, FRAME_TCP);
	}
}

static void test_extensions(void)
{
	static const uint8_t known[] = { 100, 43, 51, 60, 135, 139, 140 };
	struct build b = tcp6;

	for (unsigned int i = 0; i < sizeof(known); i++) {
		b.extensions[0] = known[i];
		for (unsigned int units = 0; units < 12; units++) {
			b.extension_units = (uint8_t)units;
			expect(&b, FRAME_TCP);
		}
	}
	b = udp6;
	memcpy(b.extensions, "\x64\x3c\x2b\x2c\x33\x3c", 6);
	expect(&b, FRAME_UDP);
	/*
	 * The destination is not the last one yet; what cannot be passed over. Nor is
	 * there a TCP header for those who look one octet further: the sequence number
	 * would be its length.
	 */
	b = tcp6;
	b.sequence = 0x00500000;
	b.extensions[0] = 43;
	expect(&b, FRAME_TCP);
	b.segments_left = 1;
	expect(&b, FRAME_L4_OTHER);
	b.segments_left = 0;
	b.extensions[0] = 50;
	expect(&b, FRAME_L4_OTHER);
}

static void test_fragments(void)
{
	/* The first of several, one in the middle, the last. */
	static const uint16_t fragments[] = { 0x2000, 0x2001, 0x0001 };
	struct build b = udp4;

	b.fragment = 0x4000;		/* don't */
	expect(&b, FRAME_UDP);
	for (unsigned int i = 0; i < UNIT_LEN(fragments); i++) {
		b.fragment = fragments[i];
		UNIT_EQ(parse_built(&b), 0);
		check_found(&b, i ? FRAME_L4_OTHER : FRAME_UDP);
		UNIT_OK(f.fragment);
	}
	b = tcp6;
	b.extensions[0] = 44;
	expect(&b, FRAME_TCP);		/* whole all the same (RFC 6946) */
	b.fragment6 = 1;
	UNIT_EQ(parse_built(&b), 0);
	check_found(&b, FRAME_TCP);
	UNIT_OK(f.fragment);
	b.fragment6 = 8;
	UNIT_EQ(parse_built(&b), 0);
	check_found(&b, FRAME_L4_OTHER);
	UNIT_OK(f.fragment);
}

/* A datagram's first fragment says how long all of it is. */
static void test_first_fragment_of_udp(void)
{
	struct build b = udp4;

	b.fragment = 0x2000;
	build_frame(&b, &built);
	buffer[built.l4 + 5]++;
	UNIT_EQ(frame_parse(buffer, built.bytes, built.bytes, &f), 0);
	check_found(&b, FRAME_UDP);
	buffer[built.l4 + 4] = 0x20;
	UNIT_EQ(frame_parse(buffer, built.bytes, built.bytes, &f), 0);
	check_found(&b, FRAME_UDP);
	buffer[built.l3 + 6] = 0;
	UNIT_EQ(frame_parse(buffer, built.bytes, built.bytes, &f), 0);
	check_found(&b, FRAME_L4_OTHER);
}

static void test_padding(void)
{
	struct build b = udp4;

	b.payload_bytes = 3;
	b.padding_bytes = 15;
	UNIT_EQ(parse_built(&b), 0);
	check_found(&b, FRAME_UDP);
	b = udp6;
	b.padding_bytes = 1;
	UNIT_EQ(parse_built(&b), 0);
	check_found(&b, FRAME_UDP);
}

/* ---- cut off ------------------------------------------------------------------------ */

/* What every answer must be, whatever was asked. */
static bool answer_holds(const struct frame *a, uint32_t header_bytes, uint32_t bytes)
{
	uint32_t seen = header_bytes < bytes ? header_bytes : bytes;

	if (a->bytes != bytes)
		return false;
	if (a->l3 == FRAME_L3_OTHER)
		return a->l4 == FRAME_L4_OTHER && !a->fragment;
	if (a->l3_offset + (a->l3 == FRAME_IPV4 ? 20u : 40u) > seen ||
	    a->l3_offset + (uint32_t)a->ip_bytes > bytes)
		return false;
	if (a->l4 == FRAME_L4_OTHER)
		return true;
	return a->l4_offset + (a->l4 == FRAME_TCP ? 20u : 8u) <= seen &&
	       a->payload_offset >= a->l4_offset + (a->l4 == FRAME_TCP ? 20u : 8u) &&
	       a->payload_offset <= a->l4_offset + (uint32_t)a->l4_bytes &&
	       a->l4_offset + (uint32_t)a->l4_bytes <= a->l3_offset + (uint32_t)a->ip_bytes;
}

/* Everything that reads headers, on the octets that parse said are there. */
static void use_headers(uint8_t *header, const struct frame *a)
{
	uint8_t key[FRAME_HASH_KEY_BYTES] = { 1 };
	uint32_t type;

	if (a->bytes < FRAME_ETH_BYTES)
		return;
	frame_hash(header, a, key, 15, &type);
	frame_flow(header, a);
	frame_prepare_checksum(header, a);
}

static void cut_everywhere(const struct build *b)
{
	uint8_t *p;

	build_frame(b, &built);
	for (uint32_t n = 0; n <= built.payload + 1; n++) {
		/* Only the header's copy is short... */
		p = guarded(buffer, n);
		UNIT_EQ(frame_parse(p, n, built.bytes, &f), n < 14 ? -EBADMSG : 0);
		UNIT_OK(answer_holds(&f, n, built.bytes));
		if (n >= 14)
			use_headers(p, &f);
		/* TCP's own options need not be seen. */
		UNIT_EQ(f.l4 != FRAME_L4_OTHER,
			n >= built.l4 + (b->protocol == 6 ? 20u : 8u));
		/* ...and the frame is. */
		p = guarded(buffer, n);
		UNIT_EQ(frame_parse(p, n, n, &f), n < 14 ? -EBADMSG : 0);
		UNIT_OK(answer_holds(&f, n, n));
		UNIT_EQ(f.l3, FRAME_L3_OTHER);
	}
}

static void test_cut_off(void)
{
	struct build b = tcp4;

	cut_everywhere(&b);
	b.tags[0] = 0x8100;
	b.options_bytes = 8;
	b.tcp_options_bytes = 12;
	cut_everywhere(&b);
	cut_everywhere(&udp4);
	cut_everywhere(&udp6);
	b = tcp6;
	memcpy(b.extensions, "\x64\x3c\x2b\x2c\x33\x3c", 6);
	b.extension_units = 1;
	b.tcp_options_bytes = 40;
	cut_everywhere(&b);
}

/* ---- lies -------------------------------------------------------------------------- */

static enum frame_l3 l3_with(uint32_t at, uint8_t octet)
{
	uint8_t was = buffer[at];

	buffer[at] = octet;
	UNIT_EQ(frame_parse(guarded(buffer, built.bytes), built.bytes, built.bytes, &f), 0);
	UNIT_OK(answer_holds(&f, built.bytes, built.bytes));
	buffer[at] = was;
	return f.l3;
}

static void test_lies(void)
{
	static const struct {
		const struct build *packet;
		enum { IN_L3, IN_L4 } header;
		uint8_t at, octet;
		enum frame_l3 l3;
		enum frame_l4 l4;
	} lies[] = {
		{ &tcp4, IN_L3, 0, 0x45, FRAME_IPV4, FRAME_TCP },
		{ &tcp4, IN_L3, 0, 0x44, FRAME_L3_OTHER, FRAME_L4_OTHER },	/* header of 16 */
		{ &tcp4, IN_L3, 0, 0x65, FRAME_L3_OTHER, FRAME_L4_OTHER },	/* IPv6 in IPv4's type */
		{ &tcp4, IN_L3, 2, 0xff, FRAME_L3_OTHER, FRAME_L4_OTHER },	/* longer than the frame */
		{ &tcp4, IN_L3, 3, 19, FRAME_L3_OTHER, FRAME_L4_OTHER },	/* shorter than itself */
		{ &tcp4, IN_L3, 3, 20, FRAME_IPV4, FRAME_L4_OTHER },
		{ &tcp4, IN_L3, 3, 39, FRAME_IPV4, FRAME_L4_OTHER },		/* shorter than TCP */
		{ &tcp4, IN_L3, 3, 40, FRAME_IPV4, FRAME_TCP },
		{ &tcp4, IN_L4, 12, 0x40, FRAME_IPV4, FRAME_L4_OTHER },		/* TCP header of 16 */
		{ &udp4, IN_L4, 5, 7, FRAME_IPV4, FRAME_L4_OTHER },
		{ &udp4, IN_L4, 4, 1, FRAME_IPV4, FRAME_L4_OTHER },
		{ &udp4, IN_L4, 5, 8, FRAME_IPV4, FRAME_UDP },			/* shorter than IP says */
		{ &udp6, IN_L3, 5, 0, FRAME_IPV6, FRAME_L4_OTHER },	/* a jumbogram, or nothing */
		{ &udp6, IN_L3, 5, 42, FRAME_L3_OTHER, FRAME_L4_OTHER },
		{ &udp6, IN_L3, 0, 0x40, FRAME_L3_OTHER, FRAME_L4_OTHER },
	};

	for (unsigned int i = 0; i < UNIT_LEN(lies); i++) {
		build_frame(lies[i].packet, &built);
		UNIT_EQ(l3_with((lies[i].header == IN_L3 ? built.l3 : built.l4) + lies[i].at,
				lies[i].octet), lies[i].l3);
		UNIT_EQ(f.l4, lies[i].l4);
		if (f.l4 == FRAME_UDP)
			UNIT_EQ(f.l4_bytes, 8);
	}
	/* Options past the packet. */
	build_frame(&tcp4, &built);
	buffer[built.l3 + 2] = 0;
	buffer[built.l3 + 3] = 50;
	UNIT_EQ(l3_with(built.l4 + 12, 0x70), FRAME_IPV4);
	UNIT_EQ(f.l4, FRAME_TCP);
	UNIT_EQ(f.l4_bytes, 30);
	UNIT_EQ(l3_with(built.l4 + 12, 0x80), FRAME_IPV4);
	UNIT_EQ(f.l4, FRAME_L4_OTHER);
}

/* An extension that reaches past the packet, or the frame, or what can be seen. */
static void test_lying_extensions(void)
{
	struct build b = tcp6;

	b.extensions[0] = 60;
	build_frame(&b, &built);
	for (unsigned int units = 1; units < 256; units++)
		UNIT_EQ(l3_with(built.l3 + 41, (uint8_t)units), FRAME_IPV6);
	/* A fragment header in the padding is none. */
	b.extensions[0] = 44;
	b.fragment6 = 1;
	build_frame(&b, &built);
	UNIT_EQ(l3_with(built.l3 + 5, 7), FRAME_IPV6);
	UNIT_OK(!f.fragment);
	UNIT_EQ(l3_with(built.l3 + 5, 8), FRAME_IPV6);
	UNIT_OK(f.fragment && f.l4 == FRAME_L4_OTHER);
	/* Nor where it is not seen whole. */
	UNIT_EQ(frame_parse(guarded(buffer, built.l3 + 47), built.l3 + 47, built.bytes, &f), 0);
	UNIT_OK(!f.fragment);
	UNIT_EQ(frame_parse(guarded(buffer, built.l3 + 48), built.l3 + 48, built.bytes, &f), 0);
	UNIT_OK(f.fragment);
	/* The first of two says that it is one. */
	b.extensions[1] = 44;
	build_frame(&b, &built);
	UNIT_EQ(l3_with(built.l3 + 51, 0), FRAME_IPV6);
	UNIT_OK(f.fragment && f.l4 == FRAME_TCP);
	/* Many empty ones: the search ends with the header. */
	memset(buffer, 0, 4000);
	buffer[12] = 0x86;
	buffer[13] = 0xdd;
	buffer[14] = 0x60;
	buffer[18] = 8000 >> 8;
	buffer[19] = 8000 & 0xff;
	UNIT_EQ(frame_parse(guarded(buffer, 4000), 4000, 9000, &f), 0);
	UNIT_EQ(f.l3, FRAME_IPV6);
	UNIT_EQ(f.l4, FRAME_L4_OTHER);
}

/* Tags without end, in a header that is larger than offsets can tell. */
static void test_only_tags(void)
{
	for (uint32_t i = 12; i < BUILD_MAX - 4; i += 4)
		memcpy(buffer + i, "\x81\x00\x00\x01", 4);
	UNIT_EQ(frame_parse(guarded(buffer, BUILD_MAX), BUILD_MAX, BUILD_MAX, &f), 0);
	UNIT_EQ(f.l3, FRAME_L3_OTHER);
	UNIT_EQ(frame_parse(guarded(buffer, 64), 64, 64, &f), 0);
	UNIT_EQ(f.l3, FRAME_L3_OTHER);
	/* An IP packet at last, where 16 bits do not reach. */
	build_frame(&tcp4, &built);
	memmove(buffer + 66000, buffer + 12, built.bytes - 12);
	for (uint32_t i = 12; i < 66000; i += 4)
		memcpy(buffer + i, "\x81\x00\x00\x01", 4);
	UNIT_EQ(frame_parse(buffer, 67000, 67000, &f), 0);
	UNIT_EQ(f.l3, FRAME_L3_OTHER);
}

static void random_build(struct build *b)
{
	static const uint8_t extensions[] = { 0, 100, 43, 44, 51, 60, 135, 139 };
	static const uint8_t protocols[] = { 6, 6, 17, 17, 1, 58 };

	*b = (struct build){ .version = build_random(2) ? 4 : 6, .seed = build_random(99999) };
	b->tags[0] = build_random(3) ? 0 : 0x8100;
	b->options_bytes = (uint8_t)(build_random(4) * 4);
	b->extension_units = (uint8_t)build_random(3);
	for (int i = 0; i < 3; i++)
		b->extensions[i] = extensions[build_random(sizeof(extensions))];
	b->protocol = protocols[build_random(sizeof(protocols))];
	b->tcp_options_bytes = (uint8_t)(build_random(11) * 4);
	b->payload_bytes = build_random(200);
}

static void test_mutations(void)
{
	unsigned int wrong = 0, tcp = 0, udp = 0, other = 0;
	struct build b;
	uint32_t n, seen;
	uint8_t *p;

	build_seed = 42;
	for (unsigned int round = 0; round < 100000; round++) {
		random_build(&b);
		build_frame(&b, &built);
		for (uint32_t i = build_random(5); i > 0; i--)
			buffer[12 + build_random(built.payload - 12)] = (uint8_t)build_random(256);
		n = build_random(4) ? built.bytes : build_random(built.bytes + 1);
		seen = build_random(2) ? n : build_random(n + 1);
		p = guarded(buffer, seen);
		if (frame_parse(p, seen, n, &f) == 0)
			use_headers(p, &f);
		wrong += !answer_holds(&f, seen, n);
		tcp += f.l4 == FRAME_TCP;
		udp += f.l4 == FRAME_UDP;
		other += f.l4 == FRAME_L4_OTHER;
		/* The whole frame, as the checksum wants it. */
		p = guarded(buffer, n);
		if (frame_complete_checksum(p, &f) == 0)
			wrong += !frame_checksum_is_right(p, &f);
	}
	UNIT_EQ(wrong, 0);
	UNIT_OK(tcp > 10000 && udp > 10000 && other > 10000);
}

/* ---- hashes ------------------------------------------------------------------------- */

/* The verification suite that the makers of RSS publish. */
static const uint8_t key[FRAME_HASH_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct answer {
	uint8_t version;
	uint8_t src[16], dst[16];
	uint16_t src_port, dst_port;
	uint32_t addresses, ports;
} answers[] = {
	{ 4, { 66, 9, 149, 187 }, { 161, 142, 100, 80 }, 2794, 1766, 0x323e8fc2, 0x51ccc178 },
	{ 4, { 199, 92, 111, 2 }, { 65, 69, 140, 83 }, 14230, 4739, 0xd718262a, 0xc626b0ea },
	{ 4, { 24, 19, 198, 95 }, { 12, 22, 207, 184 }, 12898, 38024, 0xd2d0a5de, 0x5c2b394a },
	{ 4, { 38, 27, 205, 30 }, { 209, 142, 163, 6 }, 48228, 2217, 0x82989176, 0xafc7327f },
	{ 4, { 153, 39, 163, 191 }, { 202, 188, 127, 2 }, 44251, 1303, 0x5d1809c5, 0x10e828a2 },
	{ 6, { 0x3f, 0xfe, 0x25, 1, 2, 0, 0x1f, 0xff, [15] = 7 },
	  { 0x3f, 0xfe, 0x25, 1, 2, 0, 0, 3, [15] = 1 }, 2794, 1766, 0x2cc18cd5, 0x40207d3d },
	{ 6, { 0x3f, 0xfe, 5, 1, 0, 8, 0, 0, 2, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab },
	  { 0xff, 2, [15] = 1 }, 14230, 4739, 0x0f0c461c, 0xdde51bbf },
	{ 6, { 0x3f, 0xfe, 0x19, 0, 0x45, 0x45, 0, 3, 2, 0, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf },
	  { 0xfe, 0x80, [8] = 2, 0, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf },
	  44251, 38024, 0x4b61e985, 0x02d1feef },
};

#define BY_ADDRESSES (XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV6)
#define BY_PORTS (XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP | XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)

static uint32_t hash_with(uint32_t types, uint32_t *type)
{
	return frame_hash(buffer, &f, key, types, type);
}

static void test_known_answers(void)
{
	const struct answer *a;
	uint32_t type, bytes;

	for (unsigned int i = 0; i < UNIT_LEN(answers); i++) {
		a = &answers[i];
		bytes = a->version == 4 ? 4 : 16;
		build_frame(a->version == 4 ? &tcp4 : &tcp6, &built);
		memcpy(buffer + built.l3 + (bytes == 4 ? 12 : 8), a->src, bytes);
		memcpy(buffer + built.l3 + (bytes == 4 ? 16 : 24), a->dst, bytes);
		memcpy(buffer + built.l4, (uint8_t []){ (uint8_t)(a->src_port >> 8),
			(uint8_t)a->src_port, (uint8_t)(a->dst_port >> 8), (uint8_t)a->dst_port },
			4);
		UNIT_EQ(frame_parse(buffer, built.bytes, built.bytes, &f), 0);
		UNIT_EQ(hash_with(BY_ADDRESSES, &type), a->addresses);
		UNIT_EQ(type, BY_ADDRESSES & (bytes == 4 ? 3 : 12));
		UNIT_EQ(hash_with(BY_PORTS, &type), a->ports);
		UNIT_EQ(type, BY_PORTS & (bytes == 4 ? 3 : 12));
		/* The most that fits. */
		UNIT_EQ(hash_with(BY_ADDRESSES | BY_PORTS, &type), a->ports);
	}
}

static void test_hash_types(void)
{
	uint32_t type = 99, all = BY_ADDRESSES | BY_PORTS;
	struct build b = tcp4;

	parse_built(&udp4);
	UNIT_OK(hash_with(all, &type));
	UNIT_EQ(type, XEN_NETIF_CTRL_HASH_TYPE_IPV4);
	UNIT_EQ(hash_with(BY_PORTS, &type), 0);
	UNIT_EQ(type, 0);
	b.fragment = 0x2000;
	parse_built(&b);
	hash_with(all, &type);
	UNIT_EQ(type, XEN_NETIF_CTRL_HASH_TYPE_IPV4);
	parse_built(&tcp6);
	UNIT_EQ(hash_with(XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP,
			  &type), 0);
	UNIT_EQ(type, 0);
	b.version = 0;
	parse_built(&b);
	UNIT_EQ(hash_with(all, &type), 0);
	UNIT_EQ(type, 0);
	UNIT_EQ(hash_with(0, &type), 0);
}

/* Beside what Xen's header tells front ends to do. */
static void test_hash_as_netif(void)
{
	uint8_t random_key[FRAME_HASH_KEY_BYTES];
	struct build b;
	uint32_t type;

	build_seed = 7;
	for (unsigned int i = 0; i < 1000; i++) {
		for (unsigned int k = 0; k < sizeof(random_key); k++)
			random_key[k] = (uint8_t)build_random(256);
		b = i % 2 ? tcp4 : tcp6;
		b.seed = build_random(99999);
		parse_built(&b);
		UNIT_EQ(frame_hash(buffer, &f, random_key, BY_ADDRESSES, &type),
			xen_netif_toeplitz_hash(random_key, sizeof(random_key),
						buffer + built.l3 + (i % 2 ? 12 : 8),
						i % 2 ? 8 : 32));
	}
}

static uint32_t flow_of(const struct build *b, uint32_t changed_at)
{
	build_frame(b, &built);
	buffer[changed_at] ^= 1;
	UNIT_EQ(frame_parse(buffer, built.bytes, built.bytes, &f), 0);
	return frame_flow(buffer, &f);
}

static void check_flow(const struct build *b, bool with_ports)
{
	uint32_t flow, l3, l4, addresses;

	build_frame(b, &built);
	l3 = built.l3;
	l4 = built.l4;
	addresses = b->version == 4 ? l3 + 12 : l3 + 8;
	flow = flow_of(b, built.bytes - 1);
	UNIT_OK(flow == flow_of(b, l3 + 1));		/* service class */
	for (uint32_t i = addresses; i < l3 + (b->version == 4 ? 20 : 40); i++)
		UNIT_OK(flow != flow_of(b, i));
	for (uint32_t i = l4; i < l4 + 4; i++)
		UNIT_EQ(flow != flow_of(b, i), with_ports);
	UNIT_OK(flow == flow_of(b, b->protocol == 6 ? l4 + 4 : l4 + 6));
}

static void test_flows(void)
{
	uint32_t queues[4] = { 0 }, flow;
	struct build b = udp4;

	check_flow(&tcp4, true);
	check_flow(&tcp6, true);
	check_flow(&udp4, true);
	b.fragment = 0x2000;
	check_flow(&b, false);
	b.fragment = 0x0010;
	check_flow(&b, false);
	b = tcp4;
	b.version = 0;
	flow = flow_of(&b, built.bytes);
	for (uint32_t i = 0; i < 12; i++)
		UNIT_OK(flow != flow_of(&b, i));
	/* Ports that follow one another spread. */
	parse_built(&tcp4);
	for (unsigned int port = 0; port < 1000; port++) {
		buffer[built.l4] = (uint8_t)(port >> 8);
		buffer[built.l4 + 1] = (uint8_t)port;
		queues[frame_flow(buffer, &f) % 4]++;
	}
	for (unsigned int i = 0; i < 4; i++)
		UNIT_OK(queues[i] > 150 && queues[i] < 350);
}

static const struct unit_test tests[] = {
	{ "plain packets", test_plain },
	{ "the largest packets", test_largest },
	{ "tags", test_tags },
	{ "options", test_options },
	{ "extension headers", test_extensions },
	{ "fragments", test_fragments },
	{ "the first fragment of a datagram", test_first_fragment_of_udp },
	{ "padding", test_padding },
	{ "cut off at every octet", test_cut_off },
	{ "lengths that lie", test_lies },
	{ "extension headers that lie", test_lying_extensions },
	{ "nothing but tags", test_only_tags },
	{ "octets changed at random", test_mutations },
	{ "hashes with known answers", test_known_answers },
	{ "types of hashes", test_hash_types },
	{ "hashes as netif.h has them", test_hash_as_netif },
	{ "flows", test_flows },
};

int main(void)
{
	return unit_run("frame", tests, UNIT_LEN(tests));
}
