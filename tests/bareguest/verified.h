/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Datagrams every byte of which can be checked, and who sends and receives them in
 * step: what net tests of bare and of Linux guests share. Hides what is in them and
 * the window that keeps a sender from overrunning a switch that may drop; must not
 * know how a datagram travels.
 *
 * The sender asks now and then how far the receiver is and stays within a window of
 * what it was told. What was not there when a later question was answered is lost,
 * and never sent again.
 */
#ifndef BARE_VERIFIED_H
#define BARE_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFIED_BYTES_MIN 16u	/* without a byte to check */
#define VERIFIED_BYTES_MAX 65507u
#define VERIFIED_PORT 5001u

struct verified_link {
	/* 0, or -errno. Nothing is waited for but room. */
	int (*send)(void *ctx, const void *data, size_t bytes);
	/* Bytes of the next datagram; 0: none came in time. -errno. */
	int (*receive)(void *ctx, void *data, size_t bytes, int timeout_ms);
	uint64_t (*now_ns)(void *ctx);
	void *ctx;
};

struct verified_options {
	uint32_t nr;		/* datagrams */
	uint32_t bytes;		/* of each; sender only */
	uint32_t window;	/* sent and not told of; sender only */
	bool unchecked;		/* only counted: a measurement */
	int patience_ms;	/* without anything from the peer */
};

struct verified_result {
	uint32_t right, wrong, doubled, lost;
	uint64_t bytes, ns;	/* from the first datagram to the last */
};

/* 0, also if datagrams were lost; -ETIMEDOUT: the peer is silent; -errno of the link. */
int verified_send(const struct verified_link *l, const struct verified_options *o,
		  struct verified_result *out);
/* seen: a zeroed bit for each datagram, (nr + 7) / 8 bytes. */
int verified_receive(const struct verified_link *l, const struct verified_options *o,
		     uint8_t *seen, struct verified_result *out);

#endif
