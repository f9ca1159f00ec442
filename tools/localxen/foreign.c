/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * foreign.c - libxenforeignmemory: dom0 maps any page of any domain, unasked.
 *
 * Such a mapping is no hold: the domain may be gone while it stands, and then
 * reads as zeros. A page of the host's heap is another matter: only its owner maps
 * it, and while it is mapped the page stays the owner's.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xenforeignmemory.h>
#include "lx.h"

struct xenforeignmemory_handle {
	uint32_t incarnation;
	int32_t restrict_domid;		/* -1: none */
};

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned flags)
{
	xenforeignmemory_handle *fmem;

	(void)logger;
	(void)flags;
	if (!lx_may_open())
		return NULL;
	fmem = calloc(1, sizeof(*fmem));
	if (fmem) {
		fmem->incarnation = lx.incarnation;
		fmem->restrict_domid = -1;
	}
	return fmem;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
	free(fmem);
	return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
	fmem->restrict_domid = domid;
	return 0;
}

static int may_map(const xenforeignmemory_handle *fmem, uint32_t domid)
{
	int rc = lx_usable(fmem->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_FOREIGN);
	if (!rc && lx.domid && domid != lx.domid)
		rc = -EPERM;
	if (!rc && fmem->restrict_domid >= 0 && domid != (uint32_t)fmem->restrict_domid)
		rc = -EPERM;
	if (!rc && (domid >= LX_DOMIDS || !lx.shm->slot_of[domid]))
		rc = -ESRCH;
	return rc;
}

/* ---- pages of the heap: which is mapped where, with a reference each ---- */

#define BUCKETS 1024

struct mapped {
	struct mapped *next;
	char *addr;
	uint64_t mfn;
};

static struct mapped *mapped[BUCKETS];
static pthread_mutex_t mapped_lock = PTHREAD_MUTEX_INITIALIZER;

static struct mapped **bucket_of(const char *addr)
{
	return &mapped[((uintptr_t)addr >> LX_PAGE_SHIFT) % BUCKETS];
}

/* The reference is had already. */
static int map_heap_page(char *addr, uint64_t mfn, int prot)
{
	struct mapped *m = malloc(sizeof(*m));
	int fd = lx_heap_fd();

	if (!m)
		return -ENOMEM;
	if (fd < 0 || mmap(addr, LX_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, fd,
			   (off_t)(mfn - LX_HEAP_BASE_MFN) * LX_PAGE_SIZE) == MAP_FAILED) {
		free(m);
		return -ENOMEM;
	}
	madvise(addr, LX_PAGE_SIZE, MADV_DONTFORK);
	pthread_mutex_lock(&mapped_lock);
	*m = (struct mapped){ .next = *bucket_of(addr), .addr = addr, .mfn = mfn };
	*bucket_of(addr) = m;
	pthread_mutex_unlock(&mapped_lock);
	return 0;
}

/* rc[i] of other frames is left alone. */
static void map_heap_pages(char *addr, int prot, unsigned nr, const xen_pfn_t *arr, int *rc)
{
	bool had[LX_BATCH_MAX] = { 0 };
	int err = lx_heap_ref(nr, arr, had);

	for (unsigned i = 0; i < nr; i++) {
		if (!LX_IS_HEAP_MFN(arr[i]))
			continue;
		rc[i] = err ? err : had[i] ? 0 : -EINVAL;
		if (rc[i])
			continue;
		rc[i] = map_heap_page(addr + (size_t)i * LX_PAGE_SIZE, arr[i], prot);
		if (rc[i])
			lx_heap_unref(1, &arr[i]);
	}
}

/* 0 if no page of the heap is mapped there. */
static uint64_t take_mapped(const char *addr)
{
	struct mapped **p, *m;
	uint64_t mfn = 0;

	pthread_mutex_lock(&mapped_lock);
	for (p = bucket_of(addr); (m = *p); p = &m->next)
		if (m->addr == addr)
			break;
	if (m) {
		mfn = m->mfn;
		*p = m->next;
	}
	pthread_mutex_unlock(&mapped_lock);
	free(m);
	return mfn;
}

/* Memory first: who gets the page next must not find it mapped here. */
static int unmap(char *addr, size_t pages)
{
	uint64_t mfns[LX_BATCH_MAX];
	unsigned nr = 0;

	if (munmap(addr, pages * LX_PAGE_SIZE))
		return -1;
	for (size_t i = 0; i < pages; i++) {
		mfns[nr] = take_mapped(addr + i * LX_PAGE_SIZE);
		if (mfns[nr])
			nr++;
		if (nr && (nr == LX_BATCH_MAX || i == pages - 1)) {
			lx_heap_unref(nr, mfns);
			nr = 0;
		}
	}
	return 0;
}

/* ---- any frame ---- */

static bool has_heap_page(size_t pages, const xen_pfn_t *arr)
{
	for (size_t i = 0; i < pages; i++)
		if (LX_IS_HEAP_MFN(arr[i]))
			return true;
	return false;
}

static int map_frame(char *addr, unsigned slot, int prot, xen_pfn_t frame)
{
	int fd = lx_view_fd(slot);

	if (fd < 0)
		return fd;
	if (frame >= lx.shm->dom[slot].nr_mem_frames)
		return -EINVAL;
	if (mmap(addr, LX_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)frame * LX_PAGE_SIZE) == MAP_FAILED)
		return -errno;
	return 0;
}

static int map_chunk(char *addr, unsigned slot, int prot, unsigned pages,
		     const xen_pfn_t *arr, int *err)
{
	bool own_heap = slot == lx.dom_slot && has_heap_page(pages, arr);
	int rc[LX_BATCH_MAX], failed = 0;

	for (unsigned i = 0; i < pages; i++)
		if (!own_heap || !LX_IS_HEAP_MFN(arr[i]))
			rc[i] = map_frame(addr + (size_t)i * LX_PAGE_SIZE, slot, prot,
					  arr[i]);
	if (own_heap)
		map_heap_pages(addr, prot, pages, arr, rc);
	for (unsigned i = 0; i < pages; i++) {
		if (err)
			err[i] = rc[i];
		if (rc[i])
			failed = rc[i];
	}
	return failed;
}

static int map_each(char *addr, unsigned slot, int prot, size_t pages,
		    const xen_pfn_t *arr, int *err)
{
	int failed = 0;

	for (size_t i = 0; i < pages; i += LX_BATCH_MAX) {
		size_t nr = pages - i < LX_BATCH_MAX ? pages - i : LX_BATCH_MAX;
		int rc = map_chunk(addr + i * LX_PAGE_SIZE, slot, prot, nr, arr + i,
				   err ? err + i : NULL);

		if (rc)
			failed = rc;
	}
	/* Without err one bad frame fails all, as the header says. */
	return err ? 0 : failed;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr,
			    int prot, int flags, size_t pages, const xen_pfn_t arr[],
			    int err[])
{
	char *p;
	int rc;

	if (dom == DOMID_SELF)
		dom = lx.domid;
	rc = may_map(fmem, dom);

	if (!rc && !pages)
		rc = -EINVAL;
	if (rc)
		goto fail;
	p = mmap(addr, pages * LX_PAGE_SIZE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | (flags & MAP_FIXED), -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	rc = map_each(p, lx.shm->slot_of[dom] - 1, prot, pages, arr, err);
	if (!rc)
		return p;
	unmap(p, pages);
fail:
	errno = -rc;
	return NULL;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot,
			   size_t pages, const xen_pfn_t arr[], int err[])
{
	return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
	(void)fmem;
	return unmap(addr, pages);
}
