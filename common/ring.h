/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared ring of xen/io/ring.h, for both ends and for any slot layout.
 *
 * Hides: all index arithmetic, every atomic and barrier on ring memory, event
 * suppression, and the check that the peer's index is possible. Must not know:
 * what a slot holds, grants, event channels, devices. Nothing here logs,
 * allocates or blocks; it needs memcpy and memset only.
 *
 * One thread uses a struct ring_back or ring_front at a time; the peer is the
 * only concurrent party, and it may be hostile. Indices run freely across
 * 2^32. Source: xen/io/ring.h (struct __name##_sring and its comments).
 *
 * Memory order, by pairs (B: back end's function, F: front end's):
 *   F ring_front_push  release req_prod  ->  B ring_back_pending  acquire
 *   B ring_back_push   release rsp_prod  ->  F ring_front_pending acquire
 * Event suppression is a store-load race on two words (Dekker), so each side
 * needs a full fence between its own store and its load of the other's word:
 *   F ring_front_push:  req_prod;  fence A; load req_event
 *   B ring_back_final:  req_event; fence B; load req_prod
 *   B ring_back_push:   rsp_prod;  fence C; load rsp_event
 *   F ring_front_final: rsp_event; fence D; load rsp_prod
 * A pairs with B and C with D: at least one side sees the other's store, so
 * either the producer notifies or the consumer finds the work.
 */
#ifndef PV_RING_H
#define PV_RING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The fences order event suppression only; what a thread may read is given by
 * the release and acquire pairs, which ThreadSanitizer does understand.
 */
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic ignored "-Wtsan"
#endif

/* The control block at the start of a ring's first page. */
struct ring_shared {
	_Atomic uint32_t req_prod, req_event;
	_Atomic uint32_t rsp_prod, rsp_event;
	uint8_t private[48];
};
_Static_assert(sizeof(struct ring_shared) == 64, "xen/io/ring.h's layout");

/* The number of slots of slot_bytes in a ring of bytes: a power of two, or 0. */
static inline uint32_t ring_nr_slots(size_t bytes, size_t slot_bytes)
{
	size_t fit, nr;

	if (bytes < sizeof(struct ring_shared) + slot_bytes || !slot_bytes)
		return 0;
	fit = (bytes - sizeof(struct ring_shared)) / slot_bytes;
	for (nr = 1; nr * 2 <= fit; nr *= 2)
		;
	return (uint32_t)nr;
}

/*
 * Whether the peer, which asked to be woken at index event, must be told now
 * that the producer went from old to new. True for exactly those ranges that
 * contain event; correct across 2^32.
 */
static inline bool ring_crossed(uint32_t event, uint32_t old, uint32_t new)
{
	return (uint32_t)(new - event) < (uint32_t)(new - old);
}

/* Copies a slot out once; the compiler may not go back to the shared copy. */
static inline void ring_copy_out(void *to, const void *slot, size_t bytes)
{
	memcpy(to, slot, bytes);
	__asm__ volatile("" : : "r"(to) : "memory");
}

/* ---- back end ---------------------------------------------------------- */

struct ring_back {
	struct ring_shared *shared;
	uint8_t *slots;
	uint32_t nr_slots;	/* power of two */
	uint32_t slot_bytes;
	uint32_t req_cons;	/* next request to take */
	uint32_t rsp_prod_pvt;	/* next response to write */
	uint32_t rsp_prod_pub;	/* as we last published it, never read back */
};

/*
 * Attaches to a ring that the front end initialised. rsp_prod is where the
 * predecessor stopped, from our own memory; for a first connection read it
 * with ring_back_start().
 */
static inline void ring_back_init(struct ring_back *r, void *ring, size_t bytes,
				  size_t slot_bytes, uint32_t rsp_prod)
{
	r->shared = ring;
	r->slots = (uint8_t *)ring + sizeof(struct ring_shared);
	r->nr_slots = ring_nr_slots(bytes, slot_bytes);
	r->slot_bytes = (uint32_t)slot_bytes;
	r->req_cons = r->rsp_prod_pvt = r->rsp_prod_pub = rsp_prod;
}

/*
 * Whether requests up to req_cons can have come on this page; else it is another ring than the
 * one that they were taken from. Before ring_back_resume(), which writes to it.
 */
static inline bool ring_back_fits(const struct ring_back *r, uint32_t req_cons)
{
	uint32_t req_prod = atomic_load_explicit(&r->shared->req_prod, memory_order_acquire);

	return req_prod - req_cons <= r->nr_slots;
}

/*
 * Continues for a predecessor that had taken requests up to req_cons: publishes
 * its rsp_prod once more, in case it died before that store.
 */
static inline void ring_back_resume(struct ring_back *r, uint32_t req_cons)
{
	r->req_cons = req_cons;
	atomic_store_explicit(&r->shared->rsp_prod, r->rsp_prod_pub,
			      memory_order_release);
}

/* What the page says of our own producer. Trusted at first connection only. */
static inline uint32_t ring_back_start(void *ring)
{
	struct ring_shared *s = ring;

	return atomic_load_explicit(&s->rsp_prod, memory_order_acquire);
}

/* Responses written and not published. */
static inline uint32_t ring_back_unpushed(const struct ring_back *r)
{
	return r->rsp_prod_pvt - r->rsp_prod_pub;
}

/* Requests taken and not answered. */
static inline uint32_t ring_back_inflight(const struct ring_back *r)
{
	return r->req_cons - r->rsp_prod_pvt;
}

/*
 * How many requests wait. Reads the peer's producer once: use the answer for
 * a whole pass. -EPROTO: the distance is impossible; stop using the ring. A slot is
 * the peer's again when its response is published, not when it is written.
 */
static inline int ring_back_pending(const struct ring_back *r)
{
	uint32_t prod = atomic_load_explicit(&r->shared->req_prod,
					     memory_order_acquire);
	uint32_t n = prod - r->req_cons;

	if (n > r->nr_slots - (r->req_cons - r->rsp_prod_pub))
		return -EPROTO;
	return (int)n;
}

/*
 * The first bytes of the next request, which stays where it is. The front end
 * can change them until they are taken: believe only what ring_back_take() gives.
 */
static inline void ring_back_peek(const struct ring_back *r, void *to, size_t bytes)
{
	uint32_t slot = r->req_cons & (r->nr_slots - 1);

	ring_copy_out(to, r->slots + (size_t)slot * r->slot_bytes, bytes);
}

/* Takes the next request: a private copy of its first bytes into to. */
static inline void ring_back_take(struct ring_back *r, void *to, size_t bytes)
{
	uint32_t slot = r->req_cons++ & (r->nr_slots - 1);

	ring_copy_out(to, r->slots + (size_t)slot * r->slot_bytes, bytes);
}

/*
 * Writes a request back that was taken and not answered, as if it had not been: for a
 * successor, whose predecessor may have begun to write a response there.
 */
static inline void ring_back_untake(struct ring_back *r, uint32_t index, const void *req,
				    size_t bytes)
{
	memcpy(r->slots + (size_t)(index & (r->nr_slots - 1)) * r->slot_bytes, req, bytes);
}

/*
 * The next response's slot, to be written where it is: every octet of it, once. For
 * those that are written often: a copy of what has just been put together from smaller
 * parts makes the CPU wait for all its stores, and the last ring slot's among them.
 */
static inline void *ring_back_next(struct ring_back *r)
{
	uint32_t slot = r->rsp_prod_pvt++ & (r->nr_slots - 1);

	return r->slots + (size_t)slot * r->slot_bytes;
}

/*
 * Writes the next response. rsp must be zeroed before it was filled, padding
 * included: its bytes reach the peer as they are.
 */
static inline void ring_back_put(struct ring_back *r, const void *rsp, size_t bytes)
{
	memcpy(ring_back_next(r), rsp, bytes);
}

/*
 * Whether the front end still wants to be told of something that is published: it
 * moves its event index when it has seen that. A hint: it may be about to.
 */
static inline bool ring_back_awaited(const struct ring_back *r)
{
	uint32_t event = atomic_load_explicit(&r->shared->rsp_event, memory_order_relaxed);

	return ring_crossed(event, r->rsp_prod_pub - r->nr_slots, r->rsp_prod_pub);
}

/* Publishes the responses written; true: notify the front end. */
static inline bool ring_back_push(struct ring_back *r)
{
	uint32_t old = r->rsp_prod_pub, new = r->rsp_prod_pvt, event;

	if (old == new)
		return false;
	r->rsp_prod_pub = new;
	atomic_store_explicit(&r->shared->rsp_prod, new, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);	/* C: ring_front_final */
	event = atomic_load_explicit(&r->shared->rsp_event, memory_order_relaxed);
	return ring_crossed(event, old, new);
}

/*
 * Asks to be woken when there are more requests than those seen, with which alone nothing
 * can be done, then looks once more. Sleep only when it returns no more than seen;
 * otherwise as ring_back_pending().
 */
static inline int ring_back_final_beyond(struct ring_back *r, uint32_t seen)
{
	atomic_store_explicit(&r->shared->req_event, r->req_cons + seen + 1,
			      memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);	/* B: ring_front_push */
	return ring_back_pending(r);
}

/*
 * Asks to be woken at the next request, then looks once more. Sleep only when
 * it returns 0; otherwise as ring_back_pending().
 */
static inline int ring_back_final(struct ring_back *r)
{
	return ring_back_final_beyond(r, 0);
}

/* ---- front end --------------------------------------------------------- */

struct ring_front {
	struct ring_shared *shared;
	uint8_t *slots;
	uint32_t nr_slots;
	uint32_t slot_bytes;
	uint32_t req_prod_pvt;	/* next request to write */
	uint32_t req_prod_pub;	/* as we last published it */
	uint32_t rsp_cons;	/* next response to take */
};

/* Initialises the shared page too: both ends start at 0 and want an event. */
static inline void ring_front_init(struct ring_front *r, void *ring, size_t bytes,
				   size_t slot_bytes)
{
	memset(ring, 0, bytes);
	r->shared = ring;
	r->slots = (uint8_t *)ring + sizeof(struct ring_shared);
	r->nr_slots = ring_nr_slots(bytes, slot_bytes);
	r->slot_bytes = (uint32_t)slot_bytes;
	r->req_prod_pvt = r->req_prod_pub = r->rsp_cons = 0;
	atomic_store_explicit(&r->shared->req_event, 1, memory_order_relaxed);
	atomic_store_explicit(&r->shared->rsp_event, 1, memory_order_release);
}

/* Requests written and not yet answered, published or not. */
static inline uint32_t ring_front_inflight(const struct ring_front *r)
{
	return r->req_prod_pvt - r->rsp_cons;
}

static inline uint32_t ring_front_free(const struct ring_front *r)
{
	return r->nr_slots - ring_front_inflight(r);
}

/* As ring_back_next(), for a request. */
static inline void *ring_front_next(struct ring_front *r)
{
	uint32_t slot = r->req_prod_pvt++ & (r->nr_slots - 1);

	return r->slots + (size_t)slot * r->slot_bytes;
}

/* Writes the next request; the caller has checked ring_front_free(). */
static inline void ring_front_put(struct ring_front *r, const void *req, size_t bytes)
{
	memcpy(ring_front_next(r), req, bytes);
}

/* Publishes the requests written; true: notify the back end. */
static inline bool ring_front_push(struct ring_front *r)
{
	uint32_t old = r->req_prod_pub, new = r->req_prod_pvt, event;

	if (old == new)
		return false;
	r->req_prod_pub = new;
	atomic_store_explicit(&r->shared->req_prod, new, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);	/* A: ring_back_final */
	event = atomic_load_explicit(&r->shared->req_event, memory_order_relaxed);
	return ring_crossed(event, old, new);
}

/*
 * How many responses wait. -EPROTO: more than requests published; the back
 * end cannot be believed any longer.
 */
static inline int ring_front_pending(const struct ring_front *r)
{
	uint32_t prod = atomic_load_explicit(&r->shared->rsp_prod,
					     memory_order_acquire);
	uint32_t n = prod - r->rsp_cons;

	if (n > r->req_prod_pub - r->rsp_cons)
		return -EPROTO;
	return (int)n;
}

/* Takes the next response: a private copy of its first bytes. */
static inline void ring_front_take(struct ring_front *r, void *to, size_t bytes)
{
	uint32_t slot = r->rsp_cons++ & (r->nr_slots - 1);

	ring_copy_out(to, r->slots + (size_t)slot * r->slot_bytes, bytes);
}

/*
 * Asks to be woken at the nth response from now (n at least 1, and not more
 * than are in flight, or the wake-up never comes), then looks once more.
 * Sleep only when it returns less than n; otherwise as ring_front_pending().
 */
static inline int ring_front_final(struct ring_front *r, uint32_t n)
{
	atomic_store_explicit(&r->shared->rsp_event, r->rsp_cons + n,
			      memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);	/* D: ring_back_push */
	return ring_front_pending(r);
}

#endif
