/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lx.h - inside liblocalxen: what the drop-in libraries share in one process.
 *
 * Functions return 0 or a count, or -errno; the drop-in libraries turn that
 * into libxen's -1 and errno. Everything is thread-safe.
 */
#ifndef LX_LX_H
#define LX_LX_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include "localxen.h"
#include "proto.h"
#include "shm.h"

/* Another domain's memory as this process sees it. */
struct lx_view {
	_Atomic uint32_t gen;	/* of the domain it belongs to; 0: none */
	int fd;
	_Atomic(char *) base;	/* all of it, for copies; NULL until one needs it */
	size_t size_bytes;
};

/* heap.c: the host's heap in this process. */
int lx_heap_fd(void);
/* Where frame LX_HEAP_BASE_MFN is; NULL without memory. */
char *lx_heap_base(void);
/*
 * Keeps a page that the own domain owns from being transferred or freed until
 * lx_heap_unpin(). hold is a free word of the thread's. GNTST_okay or bad_page.
 */
int lx_heap_pin(_Atomic uint64_t *hold, uint64_t mfn, bool write);
void lx_heap_unpin(_Atomic uint64_t *hold);
/*
 * XENMEM_increase_reservation and its opposite: how many were done, from the first
 * on, or -errno. mfns has nr.
 */
long lx_increase(uint64_t nr, uint64_t *mfns);
long lx_decrease(uint64_t nr, const uint64_t *mfns);
/* References for mappings, at most LX_BATCH_MAX; had[i] says which there are now. */
int lx_heap_ref(unsigned nr, const uint64_t *mfns, bool *had);
void lx_heap_unref(unsigned nr, const uint64_t *mfns);
/* At most LX_BATCH_MAX; status[i] is GNTST_*. -EOPNOTSUPP: Xen was told not to. */
int lx_transfer(unsigned nr, const struct lx_transfer *t, int32_t *status);

struct lx_state {
	struct lx_shm *shm;	/* NULL until the first lx_connect() */
	int sock;
	uint32_t domid;
	unsigned dom_slot;
	struct lx_dom *dom;
	unsigned proc_slot;
	struct lx_proc *proc;
	uint32_t proc_gen;
	/* Changes in the child of a fork: handles of before it refuse to work. */
	uint32_t incarnation;
	bool connected;
	struct lx_view view[LX_MAX_DOMS];
	int heap_fd;		/* heap.c; -1: not fetched */
	/* Held over a fork, so that the child finds neither half changed. */
	pthread_mutex_t view_lock, peers_lock;
};
extern struct lx_state lx;

/* Joins the hypervisor once per process. -ENOTCONN after one clear line. */
int lx_connect(void);
/* The localxen command's way: sees all, is a process of no domain. */
int lx_connect_tool(void);
/* 0, or -EBADF if a handle of that incarnation may not be used any more. */
static inline int lx_usable(uint32_t incarnation)
{
	if (incarnation != lx.incarnation || !lx.connected)
		return -EBADF;
	return atomic_load_explicit(&lx.proc->gen, memory_order_relaxed) ==
	       lx.proc_gen ? 0 : -EBADF;
}

/*
 * One request and its reply. rep may be larger than struct lx_rep. in_fd may be
 * NULL, else receives the reply's descriptor, -1 with an error. Returns 0 or -errno (the
 * hypervisor's, -ENOTCONN when it is gone, -EMFILE if the descriptor has no place here).
 */
int lx_rpc(const struct lx_req *req, int out_fd, void *rep, size_t rep_size,
	   int *in_fd);
/* A request about req.a pages, with items of so many bytes; rep may not be NULL. */
int lx_rpc_batch(const struct lx_req_batch *b, size_t item_size,
		 struct lx_rep_batch *rep);
/* A request without reply. */
void lx_post(const struct lx_req *req);

/* The calling thread's record, or NULL when there are too many threads. */
struct lx_thread *lx_thread_self(void);
static inline uint32_t lx_thread_id(const struct lx_thread *t)
{
	return (uint32_t)(t - lx.shm->thread) + 1;
}

/* Own domain, or any other of which a grant is held (so that its slot stays). */
int lx_view_fd(unsigned slot);
char *lx_view_base(unsigned slot);

/* Maps pages of domains' memory one after the other, adjacent ones together. */
#define LX_PAGE(slot, frame) ((uint64_t)(slot) << 32 | (uint32_t)(frame))
#define LX_PAGE_SLOT(page) ((unsigned)((page) >> 32))
#define LX_PAGE_FRAME(page) ((uint32_t)(page))
int lx_map_pages(const uint64_t *pages, unsigned count, int prot, void **out);

/*
 * Takes a hold on a grant of another domain for this process. hold is a free
 * word (a thread's pin), or NULL: a maptrack word is found and *maptrack set.
 * Returns GNTST_okay or the status that Xen would give. *slot and *frame name
 * the page.
 */
struct lx_grab {
	uint32_t domid, gref;
	bool readonly;
	_Atomic uint64_t *hold;
	uint32_t maptrack, frame;
	unsigned slot;
};
int lx_grant_grab(struct lx_thread *t, struct lx_grab *g);
void lx_grant_drop(struct lx_thread *t, const struct lx_grab *g);

/* One side of a copy segment: a grant, or memory of the caller. */
struct lx_copy_side {
	bool is_grant;
	uint32_t domid, gref;
	uint16_t offset;
	char *virt;
	uint64_t mfn;		/* of the heap, else 0 */
};
/*
 * One call's copies, zero before the first. As in Xen, which releases a page only
 * when the next segment names another, segments in a row share one hold on it.
 */
struct lx_copy {
	struct lx_copy_end {
		struct lx_grab grab;
		uint32_t domid;		/* as the caller names it */
		uint64_t mfn;		/* a page of the heap is pinned; 0: a grant is held */
		char *page;		/* NULL: nothing is held */
	} src, dst;
};
/* Copies len bytes; the caller has checked the bounds. Returns GNTST_*. */
int lx_grant_copy(struct lx_copy *c, const struct lx_copy_side *src,
		  const struct lx_copy_side *dst, uint16_t len);
void lx_grant_copy_end(struct lx_copy *c);

struct xenevtchn_handle {
	int fd;
	uint32_t id, incarnation;
	int32_t restrict_domid;		/* -1: none */
	pthread_mutex_t lock;		/* the lists below */
	uint32_t *ports;
	unsigned nr_ports, max_ports, next;
	uint32_t *stale;		/* closed with an event that nobody had taken */
	unsigned nr_stale;
};
/* Asks the hypervisor to give xce a port; the reply's a is its number. */
int lx_evtchn_attach(struct xenevtchn_handle *xce, const struct lx_req *req,
		     struct lx_rep *rep);

/* Like lx_fail_check, for one status among those that rules of call carry. */
int lx_fail_status(enum lx_call call);

/*
 * What every library's open begins with: the hypervisor is reached and no rule
 * forbids it. False leaves errno.
 */
static inline bool lx_may_open(void)
{
	int rc = lx_connect();

	if (!rc)
		rc = -lx_fail_check(LX_CALL_OPEN);
	errno = -rc;
	return !rc;
}

/* "localxen: NAME is not provided by local Xen", the first time it is called. */
long lx_stub(const char *name, int *said);
void lx_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline int lx_ret(int rc)
{
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

#endif
