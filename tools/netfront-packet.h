/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is inside a frame, as far as paravane-netfront has to know.
 *
 * Hides: Ethernet, ARP, IPv4, IPv6, ICMP, TCP and UDP headers, sums. Must not
 * know: front ends, descriptors. All input is from strangers and bounds are
 * checked; data is what can be read without a gap.
 */
#ifndef PV_NETFRONT_PACKET_H
#define PV_NETFRONT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_ETH_BYTES 14u
#define PACKET_HEADERS_BYTES 256u	/* enough to find a TCP header */

/* Where the sum of the TCP or UDP header is to be computed from, and put. */
struct packet_sum {
	uint16_t start, offset;		/* as struct virtio_net_hdr has them */
	uint16_t header_bytes;		/* up to the payload */
	bool tcp, ipv6;
};

/* -EPROTO: no TCP or UDP header within bytes. */
int packet_find_sum(const uint8_t *data, size_t bytes, struct packet_sum *out);
/* Internet checksum, not yet inverted, of bytes added to sum. */
uint32_t packet_sum(const void *data, size_t bytes, uint32_t sum);
uint16_t packet_fold(uint32_t sum);
/* The same for all frames of a flow, both directions alike. */
uint32_t packet_flow(const uint8_t *data, size_t bytes);

/* ---- ping ------------------------------------------------------------------------ */

struct packet_self {
	uint8_t mac[6], ip[4];
};

/* Each fills frame (at least 60 bytes, or as given) and returns its length. */
size_t packet_arp_request(uint8_t *frame, const struct packet_self *self, const uint8_t *ip);
size_t packet_echo_request(uint8_t *frame, size_t bytes, const struct packet_self *self,
			   const uint8_t *mac, const uint8_t *ip, uint16_t id, uint16_t seq);
/*
 * Makes in place the answer to an ARP or ICMP echo request for self. Returns its
 * length, 0: nothing to answer.
 */
size_t packet_answer(uint8_t *frame, size_t bytes, const struct packet_self *self);
/* Whether it answers what we asked; the address of an ARP answer goes to mac. */
bool packet_is_arp_reply(const uint8_t *frame, size_t bytes, const uint8_t *ip, uint8_t *mac);
bool packet_is_echo_reply(const uint8_t *frame, size_t bytes, const uint8_t *ip, uint16_t id,
			  uint16_t *seq);

/* ---- bench -------------------------------------------------------------------------- */

/* A frame of the local experimental type with a number that comes back. */
void packet_bench(uint8_t *frame, size_t bytes, const uint8_t *to, const uint8_t *from,
		  uint64_t number);
/* False: not one of these. */
bool packet_is_bench(const uint8_t *frame, size_t bytes, uint64_t *number);
void packet_swap(uint8_t *frame);	/* source and destination */

#endif
