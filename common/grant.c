/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grants of another domain: maps and batched copies.
 *
 * Hides: how the library reports errors, and that a copy's own status counts,
 * not the call's. Must not know: devices, rings, what the pages hold. The
 * cache of persistent grants is grant-cache.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xentoollog.h>

#include "grant.h"

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

int grant_open(xengnttab_handle **out)
{
	xengnttab_handle *xgt = xengnttab_open(&quiet_logger, 0);

	if (!xgt)
		return library_error();
	*out = xgt;
	return 0;
}

int grant_map(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
	      uint32_t nr, int prot, void **out)
{
	void *addr;

	if (!nr)
		return -EINVAL;
	errno = 0;
	/* The library takes grefs as not const and does not write them. */
	addr = xengnttab_map_domain_grant_refs(xgt, nr, domid,
					       (uint32_t *)grefs, prot);
	if (!addr)
		return library_error();
	*out = addr;
	return 0;
}

void grant_unmap(xengnttab_handle *xgt, void *addr, uint32_t nr)
{
	if (addr)
		xengnttab_unmap(xgt, addr, nr);
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
	int rc;

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
	int rc;

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

int grant_batch_flush(struct grant_batch *b)
{
	uint32_t i, nr = b->nr;

	b->nr = 0;
	if (!nr)
		return 0;
	errno = 0;
	if (xengnttab_grant_copy(b->xgt, nr, b->seg)) {
		int rc = library_error();

		/* Some may have run before the call failed: believe none. */
		for (i = 0; i < nr; i++)
			b->seg[i].status = GNTST_general_error;
		return rc;
	}
	for (i = 0; i < nr; i++)
		if (b->seg[i].status != GNTST_okay)
			return -EIO;
	return 0;
}

int16_t grant_batch_status(const struct grant_batch *b, uint32_t i)
{
	return b->seg[i].status;
}
