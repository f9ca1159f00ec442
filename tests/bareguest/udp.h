/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Datagrams between this guest and one other over our net front end: a link for
 * verified.h. Hides Ethernet, ARP, IPv4, UDP, and that datagrams for which a packet
 * is too small travel as TCP payload with segmentation put off. Must not know what
 * is in them. The guest's own address is 10.9.ID.DOMID.
 */
#ifndef BARE_UDP_H
#define BARE_UDP_H

#include "netfront.h"
#include "verified.h"

#define UDP_BATCH 64u

struct udp {
	struct netfront *n;
	uint8_t mac[6], peer_mac[6];
	uint32_t ip, peer_ip;		/* as numbers: 10.9.0.1 is 0x0a090001 */
	bool peer_known;
	uint32_t gso_bytes;		/* not 0: send TCP, in segments of so much */
	uint32_t look_bytes;		/* of a datagram; the rest is not copied out */
	struct netfront_frame batch[UDP_BATCH];
	unsigned int nr, next;
};

bool udp_address(const char *text, uint32_t *out);
void udp_open(struct udp *u, struct netfront *n, uint32_t id, uint32_t peer_ip);
void udp_close(struct udp *u);
/* Finds the peer's hardware address. -ETIMEDOUT. */
int udp_find_peer(struct udp *u, int timeout_ms);
/* As struct verified_link has them; ctx is u. */
int udp_send(void *ctx, const void *data, size_t bytes);
int udp_receive(void *ctx, void *data, size_t bytes, int timeout_ms);
uint64_t udp_now_ns(void *ctx);

#endif
