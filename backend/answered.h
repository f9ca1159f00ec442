/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes that were answered and not flushed since, of an image behind a server of ours: the server
 * may have them in its memory alone, and the worker has copies (unflushed.h). They are lost when
 * both have gone with what they had.
 *
 * Hides: which of the two has. Must not know: processes, connections.
 */
#ifndef PV_ANSWERED_H
#define PV_ANSWERED_H

#include <stdbool.h>

/* All zero: there are none. */
struct answered {
	bool used;		/* a worker may have writes with the server, the last that was there */
	bool worker_gone;	/* with its copies: it is for the server to write them back */
	bool server_gone;	/* without having written back: it is for the worker to make them again */
};

/* Another server has none of them. */
static inline void answered_server_begins(struct answered *a)
{
	a->used = false;
}

/* A worker is connected to it. */
static inline void answered_server_is_used(struct answered *a)
{
	a->used = true;
}

/* A worker has made again on it what it had copies of. */
static inline void answered_made_again(struct answered *a)
{
	a->server_gone = false;
}

/* in_order: flushed, or the front end told of what could not be. True: they may be lost. */
static inline bool answered_worker_ends(struct answered *a, bool in_order)
{
	bool lost = a->server_gone && !in_order;

	a->server_gone = false;
	if (in_order)
		a->used = a->used && a->worker_gone;	/* by one before it */
	else
		a->worker_gone = a->used;
	return lost;
}

/* in_order: all written back. True: they may be lost. */
static inline bool answered_server_ends(struct answered *a, bool in_order)
{
	bool lost = a->worker_gone && !in_order;

	if (a->used && !in_order && !lost)
		a->server_gone = true;
	a->used = a->worker_gone = false;
	return lost;
}

#endif
