/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes that a server has answered and has not flushed since: kept, so that they can be
 * made again when the server ends without having written back what it had in memory.
 *
 * Hides: where the copies are. Must not know: servers, requests. One thread. Memory is
 * taken once, and touched as it is used.
 *
 * Each write has a number, in the order of adding; those below a mark go together.
 */
#ifndef PV_UNFLUSHED_H
#define PV_UNFLUSHED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define UNFLUSHED_BYTES (8u << 20)
#define UNFLUSHED_WRITES 2048u

struct unflushed;

/* -ENOMEM. */
int unflushed_open(struct unflushed **out);
void unflushed_close(struct unflushed *u);	/* accepts NULL */
/* Copies bytes out of iov. False: no room; whoever wrote it is to flush. */
bool unflushed_add(struct unflushed *u, uint64_t offset_bytes, const struct iovec *iov,
		   uint64_t bytes);
/* The number that the next one will have. */
uint64_t unflushed_mark(const struct unflushed *u);
/* All below mark are durable. */
void unflushed_drop(struct unflushed *u, uint64_t mark);
/*
 * The first from number on: its data, until the next add or drop. False: none. *number
 * is set to what follows it.
 */
bool unflushed_next(struct unflushed *u, uint64_t *number, uint64_t *offset_bytes,
		    struct iovec *data);

#endif
