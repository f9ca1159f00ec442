/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap.c - the host's heap of machine pages, as one process sees it.
 *
 * Hides how the heap's memory gets into the process and the messages that change
 * owners and references; which page is whose is decided in the hypervisor process
 * (hv_heap.c). Only a copy's pin is taken here, without a message.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "grant-entry.h"
#include "lx.h"

#define CLAIM_SPINS 100000	/* far longer than the hypervisor takes to decide */

static _Atomic(char *) heap_base;

static int fetch_fd(void)
{
	int fd = -1, rc = 0;

	if (lx.heap_fd < 0)
		rc = lx_rpc(&(struct lx_req){ .op = LX_OP_HEAP }, -1, NULL, 0, &fd);
	if (fd >= 0)
		lx.heap_fd = fd;
	return rc ? rc : lx.heap_fd;
}

int lx_heap_fd(void)
{
	int rc;

	pthread_mutex_lock(&lx.view_lock);
	rc = fetch_fd();
	pthread_mutex_unlock(&lx.view_lock);
	return rc;
}

/* syscalls bridge, flip: mmap(data) madvise */
char *lx_heap_base(void)
{
	char *base = atomic_load_explicit(&heap_base, memory_order_acquire);
	int fd;

	if (base)
		return base;
	fd = lx_heap_fd();
	if (fd < 0)
		return NULL;
	base = mmap(NULL, (size_t)LX_HEAP_PAGES * LX_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return NULL;
	madvise(base, (size_t)LX_HEAP_PAGES * LX_PAGE_SIZE, MADV_DONTDUMP);
	/* Two threads at once: the loser's mapping stays, unused. */
	atomic_store_explicit(&heap_base, base, memory_order_release);
	return base;
}

/* ---- pins ---- */

int lx_heap_pin(_Atomic uint64_t *hold, uint64_t mfn, bool write)
{
	uint32_t n = mfn - LX_HEAP_BASE_MFN, owner;
	unsigned spins = 0;

	atomic_store(hold, LX_HOLD(n, LX_HOLD_HEAP, write, lx.proc_slot));
	/* After the pin: hv_heap.c claims the page before it looks at the pins. */
	while ((owner = atomic_load(&lx.shm->heap[n].owner)) & LX_HEAP_CLAIMED &&
	       spins < CLAIM_SPINS)
		lx_entry_wait(&spins);
	if (owner == lx.dom_slot + 1)
		return GNTST_okay;
	atomic_store(hold, 0);
	return GNTST_bad_page;
}

void lx_heap_unpin(_Atomic uint64_t *hold)
{
	atomic_store_explicit(hold, 0, memory_order_release);
}

/* ---- messages ---- */

static void put_frames(struct lx_req_batch *b, uint32_t op, unsigned nr,
		       const uint64_t *mfns)
{
	b->req = (struct lx_req){ .op = op, .a = nr };
	for (unsigned i = 0; i < nr; i++)
		b->frame[i] = LX_IS_HEAP_MFN(mfns[i]) ? mfns[i] : 0;
}

static unsigned batch_of(uint64_t nr)
{
	return nr < LX_BATCH_MAX ? nr : LX_BATCH_MAX;
}

long lx_increase(uint64_t nr, uint64_t *mfns)
{
	struct lx_req_batch b;
	struct lx_rep_batch rep;
	uint64_t done = 0;

	while (done < nr) {
		b.req = (struct lx_req){ .op = LX_OP_INCREASE, .a = batch_of(nr - done) };
		int rc = lx_rpc_batch(&b, 0, &rep);

		if (rc)
			return rc;
		for (unsigned i = 0; i < rep.rep.a; i++)
			mfns[done++] = rep.data[i];
		if (rep.rep.a < b.req.a)
			break;
	}
	return done;
}

long lx_decrease(uint64_t nr, const uint64_t *mfns)
{
	struct lx_req_batch b;
	struct lx_rep_batch rep;
	uint64_t done = 0;

	while (done < nr) {
		put_frames(&b, LX_OP_DECREASE, batch_of(nr - done), mfns + done);
		int rc = lx_rpc_batch(&b, sizeof(b.frame[0]), &rep);

		if (rc)
			return rc;
		done += rep.rep.a;
		if (rep.rep.a < b.req.a)
			break;
	}
	return done;
}

int lx_heap_ref(unsigned nr, const uint64_t *mfns, bool *had)
{
	struct lx_req_batch b;
	struct lx_rep_batch rep;
	int rc;

	put_frames(&b, LX_OP_HEAP_MAP, nr, mfns);
	rc = lx_rpc_batch(&b, sizeof(b.frame[0]), &rep);
	for (unsigned i = 0; !rc && i < nr; i++)
		had[i] = rep.data[i];
	return rc;
}

void lx_heap_unref(unsigned nr, const uint64_t *mfns)
{
	struct lx_req_batch b;
	struct lx_rep_batch rep;

	put_frames(&b, LX_OP_HEAP_UNMAP, nr, mfns);
	lx_rpc_batch(&b, sizeof(b.frame[0]), &rep);
}

int lx_transfer(unsigned nr, const struct lx_transfer *t, int32_t *status)
{
	struct lx_req_batch b = { .req = { .op = LX_OP_TRANSFER, .a = nr } };
	struct lx_rep_batch rep;
	int rc;

	memcpy(b.transfer, t, nr * sizeof(*t));
	rc = lx_rpc_batch(&b, sizeof(*t), &rep);
	if (!rc)
		memcpy(status, rep.data, nr * sizeof(*status));
	return rc;
}
