/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * foreign.c - libxenforeignmemory: dom0 maps any page of any domain, unasked.
 *
 * Such a mapping is no hold: the domain may be gone while it stands, and then
 * reads as zeros.
 */
#include <stdlib.h>
#include <sys/mman.h>
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

static int map_each(char *addr, unsigned slot, int prot, size_t pages,
		    const xen_pfn_t *arr, int *err)
{
	int fd = lx_view_fd(slot), failed = 0;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < pages; i++) {
		int rc = 0;

		if (arr[i] >= lx.shm->dom[slot].nr_mem_frames)
			rc = -EINVAL;
		else if (mmap(addr + i * LX_PAGE_SIZE, LX_PAGE_SIZE, prot,
			      MAP_SHARED | MAP_FIXED, fd,
			      (off_t)arr[i] * LX_PAGE_SIZE) == MAP_FAILED)
			rc = -errno;
		if (err)
			err[i] = rc;
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
	int rc = may_map(fmem, dom);
	char *p;

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
	munmap(p, pages * LX_PAGE_SIZE);
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
	return munmap(addr, pages * LX_PAGE_SIZE);
}
