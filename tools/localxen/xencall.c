/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xencall.c - libxencall: the few hypercalls that have a meaning here.
 *
 * grant_table_op with GNTTABOP_copy, GNTTABOP_transfer and GNTTABOP_query_size;
 * memory_op for the caller's own reservation; all others fail with ENOSYS. As with
 * the real library a hypercall returns -1 and errno.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xencall.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include "lx.h"

struct xencall_handle {
	uint32_t incarnation;
	int fd;
};

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned flags)
{
	xencall_handle *xcall;

	(void)logger;
	(void)flags;
	if (!lx_may_open())
		return NULL;
	xcall = calloc(1, sizeof(*xcall));
	if (!xcall)
		return NULL;
	xcall->incarnation = lx.incarnation;
	xcall->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return xcall;
}

/* syscalls flip: close */
int xencall_close(xencall_handle *xcall)
{
	if (!xcall)
		return 0;
	if (xcall->fd >= 0)
		close(xcall->fd);
	free(xcall);
	return 0;
}

int xencall_fd(xencall_handle *xcall)
{
	return xcall->fd;
}

/* ---- buffers: any memory will do ---- */

void *xencall_alloc_buffer_pages(xencall_handle *xcall, size_t nr_pages)
{
	void *p;

	(void)xcall;
	if (!nr_pages || posix_memalign(&p, LX_PAGE_SIZE, nr_pages * LX_PAGE_SIZE))
		return NULL;
	return memset(p, 0, nr_pages * LX_PAGE_SIZE);
}

void xencall_free_buffer_pages(xencall_handle *xcall, void *p, size_t nr_pages)
{
	(void)xcall;
	(void)nr_pages;
	free(p);
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
	return xencall_alloc_buffer_pages(xcall,
					  (size + LX_PAGE_SIZE - 1) / LX_PAGE_SIZE);
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
	(void)xcall;
	free(p);
}

int xencall_buffers_never_fault(xencall_handle *xcall)
{
	(void)xcall;
	return 1;
}

/* ---- grant_table_op ---- */

/* A frame number stands for the caller's own memory only, and only by DOMID_SELF, as in Xen. */
static int copy_side(uint16_t domid, bool is_grant, uint64_t ref_or_gmfn,
		     uint16_t offset, struct lx_copy_side *out)
{
	char *base;

	if (is_grant) {
		*out = (struct lx_copy_side){ .is_grant = true, .domid = domid,
					      .gref = ref_or_gmfn, .offset = offset };
		return GNTST_okay;
	}
	if (domid != DOMID_SELF)
		return GNTST_permission_denied;
	if (LX_IS_HEAP_MFN(ref_or_gmfn)) {
		*out = (struct lx_copy_side){ .mfn = ref_or_gmfn, .offset = offset };
		return GNTST_okay;
	}
	if (ref_or_gmfn >= lx.dom->nr_mem_frames)
		return GNTST_bad_page;
	base = lx_view_base(lx.dom_slot);
	if (!base)
		return GNTST_general_error;
	*out = (struct lx_copy_side){
		.virt = base + ref_or_gmfn * LX_PAGE_SIZE + offset };
	return GNTST_okay;
}

static int copy_one(struct lx_copy *copy, const struct gnttab_copy *op)
{
	bool sg = op->flags & GNTCOPY_source_gref, dg = op->flags & GNTCOPY_dest_gref;
	struct lx_copy_side src, dst;
	int st;

	if (op->source.offset + op->len > (int)LX_PAGE_SIZE ||
	    op->dest.offset + op->len > (int)LX_PAGE_SIZE)
		return GNTST_bad_copy_arg;
	st = lx_fail_status(LX_CALL_COPY);
	if (!st)
		st = copy_side(op->source.domid, sg, sg ? op->source.u.ref :
			       op->source.u.gmfn, op->source.offset, &src);
	if (!st)
		st = copy_side(op->dest.domid, dg, dg ? op->dest.u.ref :
			       op->dest.u.gmfn, op->dest.offset, &dst);
	return st ? st : lx_grant_copy(copy, &src, &dst, op->len);
}

static int query_size(struct gnttab_query_size *op)
{
	uint32_t domid = op->dom == DOMID_SELF ? lx.domid : op->dom;
	uint8_t slot = domid < LX_DOMIDS ? lx.shm->slot_of[domid] : 0;

	if (!slot) {
		op->status = GNTST_bad_domain;
		return 0;
	}
	op->nr_frames = op->max_nr_frames =
		lx.shm->dom[slot - 1].nr_grants / LX_ENTRIES_PER_FRAME;
	op->status = GNTST_okay;
	return 0;
}

/*
 * In one message as many as fit. A rule's status is carried out there, where the
 * page is lost or kept as the status says.
 */
static int transfer(struct gnttab_transfer *ops, unsigned count)
{
	struct lx_transfer t[LX_BATCH_MAX];
	int32_t status[LX_BATCH_MAX];
	unsigned done, n;
	int rc = -lx_fail_check(LX_CALL_TRANSFER);

	for (done = 0; !rc && done < count; done += n) {
		n = count - done < LX_BATCH_MAX ? count - done : LX_BATCH_MAX;
		for (unsigned i = 0; i < n; i++) {
			const struct gnttab_transfer *op = &ops[done + i];

			t[i] = (struct lx_transfer){
				.mfn = LX_IS_HEAP_MFN(op->mfn) ? op->mfn : 0,
				.domid = op->domid, .gref = op->ref,
				.status = lx_fail_status(LX_CALL_TRANSFER) };
		}
		rc = lx_transfer(n, t, status);
		for (unsigned i = 0; !rc && i < n; i++)
			ops[done + i].status = status[i];
	}
	return rc;
}

static int grant_table_op(unsigned cmd, void *ops, unsigned count)
{
	struct lx_copy copy = { 0 };

	switch (cmd) {
	case GNTTABOP_copy:
		for (unsigned i = 0; i < count; i++) {
			struct gnttab_copy *op = (struct gnttab_copy *)ops + i;

			op->status = copy_one(&copy, op);
		}
		lx_grant_copy_end(&copy);
		return 0;
	case GNTTABOP_query_size:
		return query_size(ops);
	case GNTTABOP_transfer:
		return transfer(ops, count);
	default:
		return -ENOSYS;
	}
}

/* ---- memory_op ---- */

#define EXTENT_SHIFT 6	/* above the operation: how many extents were done before */

static bool is_own(uint16_t domid)
{
	return domid == DOMID_SELF || domid == lx.domid;
}

/* How many extents are done, with those of before; never an error in the middle. */
static long change_reservation(unsigned op, uint64_t start,
			       struct xen_memory_reservation *r)
{
	uint64_t *mfns, nr;
	long done;
	int rc;

	if (start >= r->nr_extents)
		return start;
	if (!is_own(r->domid))
		return -EPERM;
	rc = lx_fail_check(op == XENMEM_increase_reservation ? LX_CALL_INCREASE :
			   LX_CALL_DECREASE);
	if (rc == ENOMEM || r->extent_order)
		return start;
	if (rc)
		return -rc;
	mfns = (uint64_t *)r->extent_start.p + start;
	nr = r->nr_extents - start;
	done = op == XENMEM_increase_reservation ? lx_increase(nr, mfns) :
						   lx_decrease(nr, mfns);
	return done < 0 ? done : (long)start + done;
}

static long memory_op(uint64_t cmd, void *arg)
{
	unsigned op = cmd & ((1 << EXTENT_SHIFT) - 1);

	switch (op) {
	case XENMEM_increase_reservation:
	case XENMEM_decrease_reservation:
		return change_reservation(op, cmd >> EXTENT_SHIFT, arg);
	case XENMEM_current_reservation:
	case XENMEM_maximum_reservation:
		if (!is_own(*(domid_t *)arg))
			return -EPERM;
		return op == XENMEM_current_reservation ?
		       (long)lx.dom->tot_pages : (long)lx.dom->max_pages;
	default:
		return -ENOSYS;
	}
}

static int call(xencall_handle *xcall, unsigned op, uint64_t a1, uint64_t a2, uint64_t a3)
{
	int rc = lx_usable(xcall->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_XENCALL);
	if (!rc && op == __HYPERVISOR_grant_table_op)
		rc = grant_table_op(a1, (void *)(uintptr_t)a2, a3);
	else if (!rc && op == __HYPERVISOR_memory_op)
		rc = memory_op(a1, (void *)(uintptr_t)a2);
	else if (!rc)
		rc = -ENOSYS;
	return lx_ret(rc);
}

int xencall0(xencall_handle *xcall, unsigned int op)
{
	return call(xcall, op, 0, 0, 0);
}

int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1)
{
	return call(xcall, op, arg1, 0, 0);
}

int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
	return call(xcall, op, arg1, arg2, 0);
}

#ifdef LX_HAVE_xencall2L
long xencall2L(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
	return call(xcall, op, arg1, arg2, 0);
}
#endif

int xencall3(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2,
	     uint64_t arg3)
{
	return call(xcall, op, arg1, arg2, arg3);
}

int xencall4(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2,
	     uint64_t arg3, uint64_t arg4)
{
	(void)arg4;
	return call(xcall, op, arg1, arg2, arg3);
}

int xencall5(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2,
	     uint64_t arg3, uint64_t arg4, uint64_t arg5)
{
	(void)arg4;
	(void)arg5;
	return call(xcall, op, arg1, arg2, arg3);
}
