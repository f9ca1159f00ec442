/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the queues of a device meet for a barrier.
 *
 * Hides: who waits for whom. Must not know: requests, rings, disks.
 *
 * A queue that has come to a barrier closes the gate. Every other queue then
 * takes once more what its ring holds (it may have been published before the
 * barrier), finishes it, and stops: later requests of it wait. When all have
 * stopped and the owner has nothing else in flight, its barrier runs; opening
 * the gate lets all go on. Queues that come to barriers at the same time take
 * turns. The lock is taken when a gate closes or opens, not on the data path.
 */
#include <errno.h>
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include "blkback-gate.h"

#define NOBODY UINT32_MAX

struct blkback_gate {
	pthread_mutex_t lock;
	uint32_t nr_queues;
	uint32_t nr_present;		/* queues that have not left */
	uint32_t owner;
	uint32_t generation;		/* counts closings; never 0 while closed */
	uint32_t nr_running;		/* queues that have not stopped yet */
	uint64_t epoch;			/* of the owner's barrier */
};

int blkback_gate_open(uint32_t nr_queues, struct blkback_gate **out)
{
	struct blkback_gate *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	pthread_mutex_init(&g->lock, NULL);
	g->nr_queues = g->nr_present = nr_queues;
	g->owner = NOBODY;
	*out = g;
	return 0;
}

void blkback_gate_close(struct blkback_gate *g)
{
	if (!g)
		return;
	assert(g->owner == NOBODY);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

uint32_t blk_gate_nr_queues(const struct blkback_gate *g)
{
	return g->nr_queues;
}

bool blk_gate_acquire(struct blkback_gate *g, uint32_t queue, uint64_t epoch)
{
	bool acquired;

	pthread_mutex_lock(&g->lock);
	acquired = g->owner == NOBODY;
	if (acquired) {
		g->owner = queue;
		g->epoch = epoch;
		if (++g->generation == 0)
			g->generation = 1;
		g->nr_running = g->nr_present - 1;
	}
	pthread_mutex_unlock(&g->lock);
	return acquired;
}

bool blk_gate_all_stopped(struct blkback_gate *g)
{
	bool all;

	pthread_mutex_lock(&g->lock);
	all = g->nr_running == 0;
	pthread_mutex_unlock(&g->lock);
	return all;
}

void blk_gate_release(struct blkback_gate *g, uint32_t queue)
{
	pthread_mutex_lock(&g->lock);
	assert(g->owner == queue);
	g->owner = NOBODY;
	pthread_mutex_unlock(&g->lock);
}

static bool closed_against(const struct blkback_gate *g, uint32_t queue)
{
	return g->owner != NOBODY && g->owner != queue;
}

uint32_t blk_gate_closed(struct blkback_gate *g, uint32_t queue, uint64_t *epoch)
{
	uint32_t generation;

	pthread_mutex_lock(&g->lock);
	generation = closed_against(g, queue) ? g->generation : 0;
	*epoch = g->epoch;
	pthread_mutex_unlock(&g->lock);
	return generation;
}

/* With the lock held. */
static bool one_less(struct blkback_gate *g, uint32_t *owner)
{
	assert(g->nr_running);
	*owner = g->owner;
	return --g->nr_running == 0;
}

bool blk_gate_stop(struct blkback_gate *g, uint32_t *owner)
{
	bool last;

	pthread_mutex_lock(&g->lock);
	last = one_less(g, owner);
	pthread_mutex_unlock(&g->lock);
	return last;
}

bool blk_gate_leave(struct blkback_gate *g, uint32_t queue, uint32_t stopped_for,
		    uint32_t *owner)
{
	bool last = false;

	pthread_mutex_lock(&g->lock);
	assert(g->owner != queue && g->nr_present);
	g->nr_present--;
	if (closed_against(g, queue) && stopped_for != g->generation)
		last = one_less(g, owner);
	pthread_mutex_unlock(&g->lock);
	return last;
}
