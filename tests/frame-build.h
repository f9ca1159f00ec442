/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames for tests, made from a description, and the checksum computed octet by
 * octet. Shares nothing with backend/frame: neither code nor constants.
 */
#ifndef PV_FRAME_BUILD_H
#define PV_FRAME_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUILD_MAX 70000u
#define BUILD_EXTENSIONS 6

struct build {
	uint16_t tags[3];		/* types of the tags, 0: no more */
	uint8_t version;		/* 4, 6, or 0: no IP but ARP */
	uint8_t options_bytes;		/* of IPv4, a multiple of 4 */
	uint16_t fragment;		/* IPv4's flags and offset as they stand there */
	uint16_t id;
	/* IPv6: their numbers, 0 ends the list: hop-by-hop is 100 here. */
	uint8_t extensions[BUILD_EXTENSIONS];
	uint8_t extension_units;	/* of 8 octets, beyond the first of each */
	uint16_t fragment6;		/* offset and M of a fragment header */
	uint8_t segments_left;		/* of a routing header */
	uint8_t protocol;		/* 6, 17 or another */
	uint8_t tcp_options_bytes;	/* a multiple of 4 */
	uint8_t tcp_flags;
	uint32_t sequence;
	uint32_t payload_bytes, padding_bytes;
	uint32_t seed;			/* of what the payload and addresses are */
};

struct built {
	uint8_t *frame;			/* BUILD_MAX octets */
	uint32_t bytes, l3, l4, payload, ip_bytes;
};

/* Checksums are right, for what is no fragment. */
void build_frame(const struct build *b, struct built *out);

/* The Internet checksum's sum of some octets, folded; big end first. */
uint16_t naive_sum(uint32_t start, const uint8_t *p, size_t bytes);
/* Over TCP or UDP at l4 with its pseudo header; 0xffff when the checksum is right. */
uint16_t naive_l4_sum(const uint8_t *ip, const uint8_t *l4, uint32_t l4_bytes, uint8_t protocol);

/*
 * A copy of some octets right before memory that cannot be read. One at a time;
 * at most 2^17.
 */
uint8_t *guarded(const uint8_t *p, uint32_t bytes);

uint32_t build_random(uint32_t below);
extern uint64_t build_seed;

#endif
