/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end of the comparison's network: a program that receives what the guest
 * sends, sends what the guest receives, or sends back. The same for every card, by packet
 * sockets on the kernel's side of a TAP device.
 *
 * Hides: sockets, its thread, when it waits for the guest. Must not know: cards, virtual
 * machines. It is no part of what is measured: it never runs on a device's thread, and no
 * frame wakes it (but in a round trip, where that is the point). Who sends is not more
 * than the job's depth ahead of who receives; for that both have words in the job's page.
 * Functions return 0 or -errno.
 */
#ifndef CMP_PEER_H
#define CMP_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

struct peer;

struct peer_config {
	const char *ifname;
	uint32_t op;			/* enum cmp_op */
	void (*credit)(void *ctx);	/* the guest waits for no more than there is */
	void *ctx;
};

/* -EPERM: no packet sockets here. */
int peer_open(const struct peer_config *cfg, struct peer **out);
/* Begins, with the guest's page as the job describes it. */
int peer_start(struct peer *p, struct cmp_job *page);
void peer_close(struct peer *p);

/* The guest has a driver: what is sent may arrive. */
void peer_go(struct peer *p);
/* Sends no more. */
void peer_quiet(struct peer *p);

/* Units that have arrived here. Any thread. */
uint64_t peer_arrived(const struct peer *p);
/* Waits until sent units have arrived, or nothing does any longer. */
void peer_settle(const struct peer *p, uint64_t sent);
/* Ends it; the page is not written any more. */
void peer_end(struct peer *p);
/* What was wrong with a frame, or NULL. */
const char *peer_complaint(const struct peer *p);

#endif
