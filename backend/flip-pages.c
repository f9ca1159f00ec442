/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that change their owner (flip-pages.h).
 *
 * Hides: the hypercalls' arguments. Must not know: messages.
 */
#include "flip-pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include "util.h"

/* A page's sources, and the zeros behind them. */
#define COPIES_MAX (FLIP_SOURCES_MAX + FLIP_OPS_MAX)
#define NOT_TRIED 1	/* no status of Xen's: they are zero or negative */
#define NO_SUCH_DOMAIN (DOMID_FIRST_RESERVED - 1)

/* What hypercalls read and write, in memory that the kernel keeps where it is. */
struct arguments {
	struct xen_memory_reservation reservation;
	domid_t self;
	xen_pfn_t extent[FLIP_POOL_PAGES];
	struct gnttab_copy copy[COPIES_MAX];
	struct gnttab_transfer transfer[FLIP_OPS_MAX];
};

struct flip_pages {
	xencall_handle *xcall;
	struct arguments *args;
	xen_pfn_t zero;			/* a page of zeros; 0: none yet */
};

/* ---- the reservation ------------------------------------------------------------------ */

/* syscalls flip: ioctl(IOCTL_PRIVCMD_HYPERCALL) */
/* Of nr pages in args->extent. Returns how many it was done for; -errno: none. */
static int reserve(struct flip_pages *p, unsigned int op, uint32_t nr)
{
	struct xen_memory_reservation *r = &p->args->reservation;

	memset(r, 0, sizeof(*r));
	set_xen_guest_handle(r->extent_start, p->args->extent);
	r->nr_extents = nr;
	r->domid = DOMID_SELF;
	errno = 0;
	nr = (uint32_t)xencall2(p->xcall, __HYPERVISOR_memory_op, op, (uintptr_t)r);
	return (int)nr < 0 ? -errno : (int)nr;
}

void flip_pages_fill(struct flip_pages *p, struct flip_pool *pool)
{
	int got = reserve(p, XENMEM_increase_reservation, FLIP_POOL_PAGES - pool->nr);

	for (int i = 0; i < got; i++)
		pool->mfn[pool->nr++] = p->args->extent[i];
}

void flip_pages_empty(struct flip_pages *p, struct flip_pool *pool)
{
	int rc;

	if (!pool->nr)
		return;
	memcpy(p->args->extent, pool->mfn, pool->nr * sizeof(pool->mfn[0]));
	rc = reserve(p, XENMEM_decrease_reservation, pool->nr);
	if (rc != (int)pool->nr)
		log_error("%u pages could not be given back to the hypervisor: %s",
			  pool->nr - (rc > 0 ? (uint32_t)rc : 0),
			  rc < 0 ? strerror(-rc) : "it refused one");
	pool->nr = 0;
}

/* syscalls start: ioctl */
static long reservation_pages(struct flip_pages *p, unsigned int op)
{
	p->args->self = DOMID_SELF;
	return xencall2(p->xcall, __HYPERVISOR_memory_op, op, (uintptr_t)&p->args->self);
}

/* ---- copies ------------------------------------------------------------------------------ */

static void add_zeros(struct flip_pages *p, struct gnttab_copy *c, uint32_t at, xen_pfn_t to)
{
	c->source.u.gmfn = p->zero;
	c->source.domid = DOMID_SELF;
	c->source.offset = 0;
	c->dest.u.gmfn = to;
	c->dest.domid = DOMID_SELF;
	c->dest.offset = (uint16_t)at;
	c->len = (uint16_t)(FLIP_PAGE_BYTES - at);
	c->flags = 0;
}

/*
 * The page may hold what another domain left in it: all of it is written. Returns how many
 * copies it takes.
 */
static uint32_t add_page(struct flip_pages *p, struct gnttab_copy *c, xen_pfn_t to,
			 const struct flip_source *source, uint32_t nr)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < nr; i++, c++, source++) {
		c->source.u.ref = source->gref;
		c->source.domid = source->domid;
		c->source.offset = source->offset;
		c->dest.u.gmfn = to;
		c->dest.domid = DOMID_SELF;
		c->dest.offset = (uint16_t)at;
		c->len = source->bytes;
		c->flags = GNTCOPY_source_gref;
		at += source->bytes;
	}
	if (at == FLIP_PAGE_BYTES)
		return nr;
	add_zeros(p, c, at, to);
	return nr + 1;
}

/* syscalls flip: ioctl(IOCTL_PRIVCMD_HYPERCALL) */
static int grant_op(struct flip_pages *p, unsigned int op, void *ops, uint32_t nr)
{
	errno = 0;
	if (!nr || !xencall3(p->xcall, __HYPERVISOR_grant_table_op, op, (uintptr_t)ops, nr))
		return 0;
	return errno ? -errno : -EIO;
}

/* Fills a page of the pool for each op; those after nr_pages ops have none. */
static void fill_pages(struct flip_pages *p, const struct flip_pool *pool,
		       const struct flip_batch *batch, struct flip_answer *answer)
{
	uint32_t nr_pages = MIN(pool->nr, batch->nr_ops), nr[FLIP_OPS_MAX], used = 0, at = 0;
	struct gnttab_copy *copy = p->args->copy;
	int rc;

	for (uint32_t i = 0; i < nr_pages; i++) {
		nr[i] = add_page(p, copy + at, pool->mfn[pool->nr - 1 - i],
				 batch->source + used, batch->op[i].nr_sources);
		used += batch->op[i].nr_sources;
		at += nr[i];
	}
	for (uint32_t i = 0; i < at; i++)
		copy[i].status = GNTST_general_error;
	rc = grant_op(p, GNTTABOP_copy, copy, at);
	for (uint32_t i = 0; i < batch->nr_ops; i++) {
		answer->outcome[i] = i >= nr_pages ? FLIP_NO_PAGE :
				     rc ? FLIP_NO_SOURCE : FLIP_DONE;
		for (uint32_t j = 0; i < nr_pages && j < nr[i]; j++, copy++)
			if (copy->status != GNTST_okay)
				answer->outcome[i] = FLIP_NO_SOURCE;
	}
}

/* ---- transfers ----------------------------------------------------------------------------- */

/* A page whose copies failed stays: it moves to where those are that are not used. */
static void take_pages(struct flip_pool *pool, const struct flip_batch *batch,
		       const struct flip_answer *answer, struct gnttab_transfer *t)
{
	uint32_t nr_pages = MIN(pool->nr, batch->nr_ops), nr_kept = 0;
	xen_pfn_t kept[FLIP_OPS_MAX];

	for (uint32_t i = 0; i < nr_pages; i++) {
		xen_pfn_t mfn = pool->mfn[--pool->nr];

		if (answer->outcome[i] != FLIP_DONE) {
			kept[nr_kept++] = mfn;
			continue;
		}
		*t++ = (struct gnttab_transfer){
			.mfn = mfn, .domid = batch->op[i].domid, .ref = batch->op[i].gref,
			.status = NOT_TRIED,
		};
	}
	while (nr_kept)
		pool->mfn[pool->nr++] = kept[--nr_kept];
}

void flip_pages_transfer(struct flip_pages *p, struct flip_pool *pool,
			 const struct flip_batch *batch, struct flip_answer *answer)
{
	struct gnttab_transfer *t = p->args->transfer;
	uint32_t nr = 0;
	int rc;

	answer->nr_ops = batch->nr_ops;
	fill_pages(p, pool, batch, answer);
	take_pages(pool, batch, answer, t);
	for (uint32_t i = 0; i < batch->nr_ops; i++)
		nr += answer->outcome[i] == FLIP_DONE;
	rc = grant_op(p, GNTTABOP_transfer, t, nr);
	if (rc)
		log_error("GNTTABOP_transfer failed: %s", strerror(-rc));
	for (uint32_t i = 0; i < batch->nr_ops; i++) {
		if (answer->outcome[i] != FLIP_DONE)
			continue;
		if (t->status != GNTST_okay)
			answer->outcome[i] = FLIP_NOT_TAKEN;
		/* Xen has not stolen it: it is still ours, and of use. */
		if (t->status == GNTST_bad_page || t->status == NOT_TRIED)
			pool->mfn[pool->nr++] = t->mfn;
		t++;
	}
}

/* ---- opening -------------------------------------------------------------------------------- */

/* syscalls start: openat */
static int open_handles(struct flip_pages *p, char *why, size_t bytes)
{
	size_t pages = (sizeof(*p->args) + FLIP_PAGE_BYTES - 1) / FLIP_PAGE_BYTES;
	int err;

	p->xcall = xencall_open(NULL, 0);
	if (!p->xcall) {
		err = errno ? errno : EIO;
		snprintf(why, bytes, "hypercalls cannot be made (/dev/xen/privcmd): %s; only "
			 "dom0's root may", strerror(err));
		return -err;
	}
	p->args = xencall_alloc_buffer_pages(p->xcall, pages);
	if (p->args)
		return 0;
	snprintf(why, bytes, "no memory for hypercalls: %s", strerror(errno));
	return -ENOMEM;
}

/* One page more than the kernel has. */
static int try_page(struct flip_pages *p, xen_pfn_t *mfn, char *why, size_t bytes)
{
	int rc = reserve(p, XENMEM_increase_reservation, 1);

	if (rc == 1) {
		*mfn = p->args->extent[0];
		return 0;
	}
	snprintf(why, bytes, "this domain has %ld of at most %ld pages, and gets no more: "
		 "boot Xen with dom0_mem=SIZE,max:LARGER, the difference being at least 64M",
		 reservation_pages(p, XENMEM_current_reservation),
		 reservation_pages(p, XENMEM_maximum_reservation));
	return rc < 0 ? rc : -ENOMEM;
}

static int make_zeros(struct flip_pages *p, char *why, size_t bytes)
{
	int rc = try_page(p, &p->zero, why, bytes), bad = 0;
	xenforeignmemory_handle *fmem;
	void *page = NULL;

	if (rc)
		return rc;
	fmem = xenforeignmemory_open(NULL, 0);
	if (fmem)
		page = xenforeignmemory_map(fmem, DOMID_SELF, PROT_READ | PROT_WRITE, 1,
					    &p->zero, &bad);
	rc = fmem && page && !bad ? 0 : bad ? bad : errno ? -errno : -EIO;
	if (rc)
		snprintf(why, bytes, "a page of this domain's own cannot be mapped: %s",
			 strerror(-rc));
	else
		memset(page, 0, FLIP_PAGE_BYTES);
	if (page)
		xenforeignmemory_unmap(fmem, page, 1);
	if (fmem)
		xenforeignmemory_close(fmem);
	return rc;
}

/* To nobody, which costs the page and says whether to somebody it would work. */
static int try_transfer(struct flip_pages *p, char *why, size_t bytes)
{
	struct gnttab_transfer *t = p->args->transfer;
	xen_pfn_t mfn;
	int rc = try_page(p, &mfn, why, bytes);

	if (rc)
		return rc;
	*t = (struct gnttab_transfer){ .mfn = mfn, .domid = NO_SUCH_DOMAIN };
	rc = grant_op(p, GNTTABOP_transfer, t, 1);
	if (!rc && t->status == GNTST_bad_domain)
		return 0;
	p->args->extent[0] = mfn;
	if (rc || t->status == GNTST_bad_page || t->status == GNTST_general_error)
		reserve(p, XENMEM_decrease_reservation, 1);
	if (rc == -EOPNOTSUPP)
		snprintf(why, bytes, "the hypervisor refuses GNTTABOP_transfer: boot Xen with "
			 "gnttab=transfer, and one that is built for PV domains");
	else if (rc)
		snprintf(why, bytes, "GNTTABOP_transfer fails: %s", strerror(-rc));
	else
		snprintf(why, bytes, "the hypervisor takes no page from this domain (status %d): "
			 "only a PV domain can give pages away", t->status);
	return rc ? rc : -EOPNOTSUPP;
}

int flip_pages_open(struct flip_pages **out, char *why, size_t why_bytes)
{
	struct flip_pages *p = calloc(1, sizeof(*p));
	int rc;

	if (!p) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	rc = open_handles(p, why, why_bytes);
	if (!rc)
		rc = make_zeros(p, why, why_bytes);
	if (!rc)
		rc = try_transfer(p, why, why_bytes);
	if (rc) {
		flip_pages_close(p);
		return rc;
	}
	*out = p;
	return 0;
}

/* syscalls flip: munmap madvise close */
void flip_pages_close(struct flip_pages *p)
{
	size_t pages = (sizeof(*p->args) + FLIP_PAGE_BYTES - 1) / FLIP_PAGE_BYTES;

	if (!p)
		return;
	if (p->zero) {
		p->args->extent[0] = p->zero;
		reserve(p, XENMEM_decrease_reservation, 1);
	}
	if (p->args)
		xencall_free_buffer_pages(p->xcall, p->args, pages);
	if (p->xcall)
		xencall_close(p->xcall);
	free(p);
}
