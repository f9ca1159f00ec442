/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grants of another domain: maps and batched copies.
 *
 * Hides: how the library reports errors, what it leaves unsaid about a map that
 * failed, and that a copy's own status counts, not the call's. Must not know: devices, rings, what the pages hold. The
 * cache of persistent grants is grant-cache.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xentoollog.h>

#include "grant.h"
#include "util.h"

#define RING_PROBES 20u		/* a guest guesses them all right once in a million times */
#define RING_PAGES 16u		/* of the largest ring */
#define PROBE_BATCH 32u		/* copies that look at grants, at a time */

/*
 * libxengnttab logs every failed map to stderr, and a guest can make as many
 * of those as it likes. Each failure comes back as an errno too, and our
 * caller logs it through its rate limiter.
 */
static void quiet_message(struct xentoollog_logger *logger,
			  xentoollog_level level, int errnoval,
			  const char *context, const char *format, va_list al)
{
	(void)logger, (void)level, (void)errnoval;
	(void)context, (void)format, (void)al;
}

static void quiet_progress(struct xentoollog_logger *logger, const char *context,
			   const char *doing, int percent, unsigned long done,
			   unsigned long total)
{
	(void)logger, (void)context, (void)doing;
	(void)percent, (void)done, (void)total;
}

static void quiet_destroy(struct xentoollog_logger *logger)
{
	(void)logger;
}

static struct xentoollog_logger quiet_logger = {
	.vmessage = quiet_message,
	.progress = quiet_progress,
	.destroy = quiet_destroy,
};

static int library_error(void)
{
	return errno > 0 ? -errno : -EIO;
}

/* syscalls start: openat */
int grant_open(xengnttab_handle **out)
{
	xengnttab_handle *xgt = xengnttab_open(&quiet_logger, 0);

	if (!xgt)
		return library_error();
	*out = xgt;
	return 0;
}

/* syscalls disk, bridge: ioctl(IOCTL_GNTDEV_MAP_GRANT_REF) ioctl(IOCTL_GNTDEV_UNMAP_GRANT_REF) */
/* syscalls disk, bridge: mmap(data) */
static void *map_refs(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
		      uint32_t nr, int prot)
{
	errno = 0;
	/* The library takes grefs as not const and does not write them. */
	return xengnttab_map_domain_grant_refs(xgt, nr, domid, (uint32_t *)grefs, prot);
}

/* syscalls disk, bridge: ioctl(IOCTL_GNTDEV_GRANT_COPY) */
/* Whether a byte of each can be read, by copies: they need no maptrack entry. */
static bool all_granted(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
			uint32_t nr)
{
	xengnttab_grant_copy_segment_t seg[PROBE_BATCH];
	uint8_t byte;
	uint32_t i, n;

	for (; nr; grefs += n, nr -= n) {
		n = nr < PROBE_BATCH ? nr : PROBE_BATCH;
		memset(seg, 0, sizeof(seg));
		for (i = 0; i < n; i++) {
			seg[i].flags = GNTCOPY_source_gref;
			seg[i].len = 1;
			seg[i].source.foreign.ref = grefs[i];
			seg[i].source.foreign.domid = (uint16_t)domid;
			seg[i].dest.virt = &byte;
			seg[i].status = GNTST_general_error;
		}
		if (xengnttab_grant_copy(xgt, n, seg))
			return false;
		for (i = 0; i < n; i++)
			if (seg[i].status != GNTST_okay)
				return false;
	}
	return true;
}

/*
 * For reading first: whether that is possible tells a read-only grant from a shortage; and once
 * more afterwards, since the room may have gone to another meanwhile.
 */
static int map_in_steps(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
			uint32_t nr, int prot, void **out)
{
	void *read_only = map_refs(xgt, domid, grefs, nr, PROT_READ);

	if (!read_only)
		return -ENOSPC;
	xengnttab_unmap(xgt, read_only, nr);
	*out = map_refs(xgt, domid, grefs, nr, prot);
	if (*out)
		return 0;
	read_only = map_refs(xgt, domid, grefs, nr, PROT_READ);
	if (!read_only)
		return -ENOSPC;
	xengnttab_unmap(xgt, read_only, nr);
	return -EACCES;
}

/*
 * Linux's gntdev says EINVAL for a gref that is not granted, for one granted
 * read-only, and when Xen has no maptrack entry left. Which of them it was
 * shows in what works: for room that came meanwhile, the map is tried again.
 */
static int find_reason(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
		       uint32_t nr, int prot, void **out)
{
	if (!all_granted(xgt, domid, grefs, nr))
		return -ENOENT;
	if (!(prot & PROT_WRITE))
		return -ENOSPC;
	return map_in_steps(xgt, domid, grefs, nr, prot, out);
}

int grant_map(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
	      uint32_t nr, int prot, void **out)
{
	void *addr;
	int err;

	if (!nr)
		return -EINVAL;
	addr = map_refs(xgt, domid, grefs, nr, prot);
	if (!addr) {
		err = library_error();
		if (err == -EINVAL)
			err = find_reason(xgt, domid, grefs, nr, prot, &addr);
		if (err)
			return err;
	}
	*out = addr;
	return 0;
}

/* No guest knows when we read the clock to the nanosecond. */
static bool toss(uint64_t *state)
{
	*state = (*state ^ now_ns()) * 0x9e3779b97f4a7c15u;
	return *state >> 63;
}

/* Whether as many pages of our own can be mapped: of which no guest can lie. */
static bool has_room(xengnttab_handle *xgt, const struct grant_own *own, uint32_t nr)
{
	uint32_t grefs[RING_PAGES];
	void *addr;

	if (!own || !own->pages || nr > RING_PAGES)
		return false;
	for (uint32_t i = 0; i < nr; i++)
		grefs[i] = own->grefs[0];
	addr = map_refs(xgt, own->domid, grefs, nr, PROT_READ | PROT_WRITE);
	grant_unmap(xgt, addr, nr);
	return addr;
}

/*
 * Room at each look, and at no map, is no shortage: of one that comes and goes, another's taking
 * and giving back would have to fit both 20 times and 10 times in turn, by chance 1 in 2^30.
 */
int grant_map_ring(xengnttab_handle *xgt, const struct grant_own *own, uint32_t domid,
		   const uint32_t *grefs, uint32_t nr, void **out)
{
	uint64_t state = 0;
	bool room = true;
	int err = grant_map(xgt, domid, grefs, nr, PROT_READ | PROT_WRITE, out);

	for (uint32_t i = 0; i < RING_PROBES && err == -ENOSPC; i++) {
		room = room && has_room(xgt, own, nr);
		if (toss(&state))
			err = all_granted(xgt, domid, grefs, nr) ? -ENOSPC : -ENOENT;
		else
			err = map_in_steps(xgt, domid, grefs, nr, PROT_READ | PROT_WRITE, out);
	}
	return err == -ENOSPC && room ? -EACCES : err;
}

/* syscalls disk, bridge: ioctl(IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR) ioctl(IOCTL_GNTDEV_UNMAP_GRANT_REF) */
/* syscalls disk, bridge: munmap */
void grant_unmap(xengnttab_handle *xgt, void *addr, uint32_t nr)
{
	if (addr)
		xengnttab_unmap(xgt, addr, nr);
}

/* ---- pages of our own ---------------------------------------------------- */

/* syscalls start: openat ioctl mmap */
int grant_own_open(struct grant_own *own, uint32_t domid, uint32_t nr_pages)
{
	int rc = -ENOMEM;

	memset(own, 0, sizeof(*own));
	own->domid = domid;
	own->nr_pages = nr_pages;
	own->grefs = calloc(nr_pages, sizeof(*own->grefs));
	if (!own->grefs)
		goto fail;
	errno = 0;
	own->xgs = xengntshr_open(&quiet_logger, 0);
	if (own->xgs)
		own->pages = xengntshr_share_pages(own->xgs, domid, (int)nr_pages, own->grefs, 1);
	if (own->pages)
		return 0;
	rc = library_error();
fail:
	grant_own_close(own);
	return rc;
}

/* syscalls disk, bridge: munmap close */
void grant_own_close(struct grant_own *own)
{
	if (own->pages)
		xengntshr_unshare(own->xgs, own->pages, own->nr_pages);
	if (own->xgs)
		xengntshr_close(own->xgs);
	free(own->grefs);
	memset(own, 0, sizeof(*own));
}

/* The gref of the page that holds all octets, or false: it is other memory. */
static bool own_page(const struct grant_own *own, const void *at, uint16_t bytes,
		     uint32_t *gref, uint16_t *offset)
{
	size_t from = own ? (size_t)((const uint8_t *)at - own->pages) : SIZE_MAX;

	if (!own || from >= (size_t)own->nr_pages * GRANT_PAGE_BYTES)
		return false;
	*offset = from % GRANT_PAGE_BYTES;
	*gref = own->grefs[from / GRANT_PAGE_BYTES];
	return (uint32_t)*offset + bytes <= GRANT_PAGE_BYTES;
}

/* ---- batched copies ------------------------------------------------------ */

int grant_batch_open(struct grant_batch *b, xengnttab_handle *xgt, uint32_t max)
{
	memset(b, 0, sizeof(*b));
	b->seg = calloc(max, sizeof(*b->seg));
	if (!b->seg)
		return -ENOMEM;
	b->xgt = xgt;
	b->max = max;
	return 0;
}

void grant_batch_close(struct grant_batch *b)
{
	free(b->seg);
	memset(b, 0, sizeof(*b));
}

/* The next free segment, zeroed, or NULL with *rc set. */
static xengnttab_grant_copy_segment_t *next_seg(struct grant_batch *b,
						uint16_t bytes, int *rc)
{
	xengnttab_grant_copy_segment_t *seg;

	if (b->nr == b->max) {
		*rc = -ENOSPC;
		return NULL;
	}
	seg = &b->seg[b->nr];
	memset(seg, 0, sizeof(*seg));
	seg->len = bytes;
	/* An operation that nobody ran must not look done. */
	seg->status = GNTST_general_error;
	*rc = 0;
	return seg;
}

static bool crosses_page(uint16_t offset, uint16_t bytes)
{
	return (uint32_t)offset + bytes > GRANT_PAGE_BYTES;
}

int grant_batch_from(struct grant_batch *b, void *to, uint32_t domid,
		     uint32_t gref, uint16_t offset, uint16_t bytes)
{
	xengnttab_grant_copy_segment_t *seg;
	uint32_t own_gref;
	uint16_t own_offset;
	int rc;

	if (own_page(b->own, to, bytes, &own_gref, &own_offset))
		return grant_batch_across(b, domid, gref, offset, b->own->domid, own_gref,
					  own_offset, bytes);
	if (crosses_page(offset, bytes))
		return -EINVAL;
	seg = next_seg(b, bytes, &rc);
	if (!seg)
		return rc;
	seg->flags = GNTCOPY_source_gref;
	seg->source.foreign.ref = gref;
	seg->source.foreign.offset = offset;
	seg->source.foreign.domid = (uint16_t)domid;
	seg->dest.virt = to;
	b->nr++;
	return 0;
}

int grant_batch_to(struct grant_batch *b, uint32_t domid, uint32_t gref,
		   uint16_t offset, const void *from, uint16_t bytes)
{
	xengnttab_grant_copy_segment_t *seg;
	uint32_t own_gref;
	uint16_t own_offset;
	int rc;

	if (own_page(b->own, from, bytes, &own_gref, &own_offset))
		return grant_batch_across(b, b->own->domid, own_gref, own_offset, domid, gref,
					  offset, bytes);
	if (crosses_page(offset, bytes))
		return -EINVAL;
	seg = next_seg(b, bytes, &rc);
	if (!seg)
		return rc;
	seg->flags = GNTCOPY_dest_gref;
	seg->source.virt = (void *)from;
	seg->dest.foreign.ref = gref;
	seg->dest.foreign.offset = offset;
	seg->dest.foreign.domid = (uint16_t)domid;
	b->nr++;
	return 0;
}

int grant_batch_across(struct grant_batch *b,
		       uint32_t from_domid, uint32_t from_gref, uint16_t from_offset,
		       uint32_t to_domid, uint32_t to_gref, uint16_t to_offset,
		       uint16_t bytes)
{
	xengnttab_grant_copy_segment_t *seg;
	int rc;

	if (crosses_page(from_offset, bytes) || crosses_page(to_offset, bytes))
		return -EINVAL;
	seg = next_seg(b, bytes, &rc);
	if (!seg)
		return rc;
	seg->flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
	seg->source.foreign.ref = from_gref;
	seg->source.foreign.offset = from_offset;
	seg->source.foreign.domid = (uint16_t)from_domid;
	seg->dest.foreign.ref = to_gref;
	seg->dest.foreign.offset = to_offset;
	seg->dest.foreign.domid = (uint16_t)to_domid;
	b->nr++;
	return 0;
}

static int fail_all(struct grant_batch *b, uint32_t nr, int16_t status, int err)
{
	/* Some may have run before the call failed: believe none. */
	for (uint32_t i = 0; i < nr; i++)
		b->seg[i].status = status;
	return err;
}

/* syscalls disk, bridge: ioctl(IOCTL_GNTDEV_GRANT_COPY) */
int grant_batch_flush(struct grant_batch *b)
{
	uint32_t i, nr = b->nr;
	int err;

	b->nr = 0;
	if (!nr)
		return 0;
	errno = 0;
	if (xengnttab_grant_copy(b->xgt, nr, b->seg)) {
		err = library_error();
		return fail_all(b, nr, grant_is_short(err) ? GNTST_eagain :
				GNTST_general_error, err);
	}
	for (i = 0, err = 0; i < nr && err != -EIO; i++)
		if (b->seg[i].status != GNTST_okay)
			err = grant_status_is_short(b->seg[i].status) ? -EAGAIN : -EIO;
	return err;
}

int16_t grant_batch_status(const struct grant_batch *b, uint32_t i)
{
	return b->seg[i].status;
}

bool grant_is_short(int err)
{
	return err == -ENOSPC || err == -ENOMEM || err == -EAGAIN || err == -EINTR ||
	       err == -EBUSY;
}

bool grant_status_is_short(int16_t status)
{
	return status == GNTST_eagain || status == GNTST_no_device_space ||
	       status == GNTST_no_space;
}
