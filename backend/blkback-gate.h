/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Barriers across the queues of one device: see blkback-gate.c for the game.
 * Any thread. A queue is named by its number.
 */
#ifndef PV_BLKBACK_GATE_H
#define PV_BLKBACK_GATE_H

#include "blkback.h"

uint32_t blk_gate_nr_queues(const struct blkback_gate *g);

/* The owner's side: for a barrier taken in epoch. False: another is at it. */
bool blk_gate_acquire(struct blkback_gate *g, uint32_t queue, uint64_t epoch);
bool blk_gate_all_stopped(struct blkback_gate *g);
void blk_gate_release(struct blkback_gate *g, uint32_t queue);

/*
 * The others' side. Which closing stands against this queue (0: none), and the
 * epoch of its barrier.
 */
uint32_t blk_gate_closed(struct blkback_gate *g, uint32_t queue, uint64_t *epoch);
/* This queue has stopped, once per closing. True: kick the owner. */
bool blk_gate_stop(struct blkback_gate *g, uint32_t *owner);
/*
 * The queue ends, with nothing in flight; stopped_for is the last closing it
 * stopped for. True: kick the owner.
 */
bool blk_gate_leave(struct blkback_gate *g, uint32_t queue, uint32_t stopped_for,
		    uint32_t *owner);

#endif
