/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: frames and the switch. What frame.h finds must lie in the frame,
 * checksums must be those of a plain loop, what is cut must have its octets once
 * and in order and be joined again, and the switch must never send a frame back
 * to where it came from, nor to a port that there is not.
 */
#include <string.h>
#include "frame.h"
#include "fuzz.h"
#include "vswitch.h"

#define PORTS 5u

/* RFC 1071, a word after another. */
static uint16_t plain_sum(const uint8_t *at, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void check_sum(const uint8_t *frame, size_t bytes)
{
	uint16_t got = frame_fold(frame_sum(0, frame, bytes)), want = plain_sum(frame, bytes);
	size_t half = bytes / 4 * 2;
	uint8_t octets[2];

	memcpy(octets, &got, 2);
	FUZZ_NEED((octets[0] << 8 | octets[1]) == want);
	FUZZ_NEED(frame_fold(frame_sum(frame_sum(0, frame, half), frame + half, bytes - half)) == got);
}

static void check_found(const struct frame *f, uint32_t header_bytes, uint32_t bytes)
{
	FUZZ_NEED(f->bytes == bytes);
	if (f->l3 != FRAME_L3_OTHER)
		FUZZ_NEED(f->l3_offset >= FRAME_ETH_BYTES && f->l3_offset + f->ip_bytes <= bytes);
	if (f->l4 == FRAME_L4_OTHER)
		return;
	FUZZ_NEED(f->l4_offset > f->l3_offset && f->l4_offset + 8u <= header_bytes);
	FUZZ_NEED(f->payload_offset > f->l4_offset && f->payload_offset <= bytes);
	FUZZ_NEED(f->l4_offset + f->l4_bytes <= bytes);
}

static void check_checksum(const uint8_t *frame, const struct frame *f)
{
	uint8_t *copy = malloc(f->bytes);
	struct frame again;

	memcpy(copy, frame, f->bytes);
	if (!frame_complete_checksum(copy, f)) {
		FUZZ_NEED(f->l4 != FRAME_L4_OTHER && !f->fragment);
		FUZZ_NEED(frame_checksum_is_right(copy, f));
		FUZZ_NEED(!frame_parse(copy, f->bytes, f->bytes, &again));
		FUZZ_NEED(again.l4 == f->l4 && again.payload_offset == f->payload_offset);
	}
	free(copy);
}

/* All segments side by side, joined again as far as they go. */
static void check_cut(const uint8_t *frame, const struct frame *f, uint32_t header_bytes, uint32_t mss)
{
	static uint8_t headers[FRAME_SEGMENTS_MAX][FRAME_HEADER_MAX];
	uint32_t at = f->payload_offset, nr = 0, joined = 0;
	struct frame_segment s;
	struct frame_join join;
	struct frame_cut c;

	if (frame_cut_start(&c, frame, header_bytes, f, mss))
		return;
	while (nr < FRAME_SEGMENTS_MAX && frame_cut_next(&c, headers[nr], &s)) {
		struct frame seen;
		uint8_t *header = malloc(s.header_bytes);

		FUZZ_NEED(s.header_bytes <= FRAME_HEADER_MAX && s.payload_bytes <= mss);
		FUZZ_NEED(s.payload_offset == at && at + s.payload_bytes <= f->bytes);
		at += s.payload_bytes;
		memcpy(header, headers[nr], s.header_bytes);
		FUZZ_NEED(!frame_parse(header, s.header_bytes, s.header_bytes + s.payload_bytes, &seen));
		FUZZ_NEED(seen.l4 == FRAME_TCP && seen.payload_offset == s.frame.payload_offset);
		free(header);
		if (!nr)
			joined = frame_join_start(&join, headers[0], &s.frame, 65535);
		else if (joined == nr)
			joined += frame_join_next(&join, headers[nr], &s.frame);
		nr++;
	}
	FUZZ_NEED(nr == frame_cut_count(&c));
	if (joined) {
		uint8_t header[FRAME_HEADER_MAX];

		FUZZ_NEED(join.frame.payload_offset <= sizeof(header));
		frame_join_header(&join, header);
	}
}

static void check_frame(const uint8_t *frame, uint32_t header_bytes, uint32_t bytes, uint32_t mss)
{
	static const uint8_t key[FRAME_HASH_KEY_BYTES] = { 0x6d, 0x5a, 0x56, 0xda };
	uint8_t *header = malloc(header_bytes);
	struct frame f;
	uint32_t type;

	memcpy(header, frame, header_bytes);
	if (!frame_parse(header, header_bytes, bytes, &f)) {
		check_found(&f, header_bytes, bytes);
		frame_hash(header, &f, key, 0xf, &type);
		frame_flow(header, &f);
		/* frame_prepare_checksum() and a whole frame want all of the headers. */
		if (f.l4 != FRAME_L4_OTHER && f.payload_offset <= header_bytes) {
			frame_prepare_checksum(header, &f);
			check_cut(header, &f, header_bytes, mss);
		}
		if (header_bytes == bytes)
			check_checksum(frame, &f);
	}
	free(header);
}

/* ---- the switch ----------------------------------------------------------------------- */

static void add_ports(struct vswitch *s, struct fuzz_in *in)
{
	for (uint32_t i = 0; i < PORTS; i++) {
		struct vswitch_port_config c = {
			.mac = { 0, 0x16, 0x3e, 0, 0, (uint8_t)i }, .mode = VSWITCH_ACCESS,
		};
		uint8_t kind = fuzz_u8(in);
		uint32_t port;

		c.any_source = kind & 1;
		c.isolated = kind & 2;
		c.link_local = kind & 4;
		c.mode = kind & 8 ? VSWITCH_TRUNK : VSWITCH_ACCESS;
		c.vlan = kind >> 4 & 3;
		c.vlans[0] = c.mode == VSWITCH_TRUNK ? (uint8_t)(kind >> 2 & 0x1e) : 0;
		if (vswitch_add_port(s, &c, &port))
			FUZZ_NEED(kind);
	}
}

static void check_switch(struct fuzz_in *in, const uint8_t *frame, uint32_t bytes)
{
	static struct vswitch_decision d;
	struct vswitch_config cfg = { 8, 16, 1000, 10 };
	struct vswitch_port_config got;
	uint8_t copy[VSWITCH_HEADER_BYTES + 42], kind;
	struct vswitch *s;
	uint64_t now = 1;
	uint32_t port, n;

	FUZZ_NEED(!vswitch_open(&cfg, &s));
	add_ports(s, in);
	memset(copy, 0, sizeof(copy));
	memcpy(copy, frame, bytes < sizeof(copy) ? bytes : sizeof(copy));
	for (uint32_t i = 0; in->left && i < 64; i++) {
		kind = fuzz_u8(in);
		port = kind % PORTS;
		if (vswitch_get_port(s, port, &got))
			continue;
		copy[fuzz_below(in, VSWITCH_HEADER_BYTES)] = fuzz_u8(in);
		if (kind & 64) {
			copy[5] = (uint8_t)(kind / 8 % PORTS);
			memcpy(copy + 6, got.mac, 6);
		}
		now += kind & 128 ? 20 : 0;
		vswitch_age(s, now);
		n = kind == 0xff ? fuzz_below(in, 20) : 60;
		vswitch_forward(s, port, copy, n < VSWITCH_HEADER_BYTES ? n : VSWITCH_HEADER_BYTES,
				n, now, &d);
		FUZZ_NEED(d.nr < PORTS && (d.nr ? !d.why : d.why));
		for (uint32_t j = 0; j < d.nr; j++) {
			struct vswitch_port_config to;

			FUZZ_NEED(d.out[j].port != port && !vswitch_get_port(s, d.out[j].port, &to));
			FUZZ_NEED(!(got.isolated && to.isolated));
		}
	}
	vswitch_close(s);
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };
	uint8_t frame[600];
	uint16_t header = fuzz_u16(&in), large = fuzz_u16(&in);
	uint32_t mss = fuzz_u16(&in), n;

	n = (uint32_t)fuzz_bytes(&in, frame, sizeof(frame) - (header & 1 ? 500 : 0));
	check_sum(frame, n);
	check_frame(frame, n, n, mss);
	/* The frame goes on where only its header is at hand. */
	check_frame(frame, header % (n + 1), n + large, mss);
	check_switch(&in, frame, n);
}
