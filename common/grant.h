/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another domain's pages in our hands: mapped, copied, or kept mapped.
 *
 * Hides: how grants are batched, what of a half-failed batch is undone, and
 * the bounded cache of persistent grants. Must not know: devices, rings, what
 * the pages hold.
 *
 * One thread per object; objects of one xengnttab_handle belong to one thread.
 * Source: xengnttab.h, xen/grant_table.h; persistent grants: xen/io/blkif.h.
 */
#ifndef PV_GRANT_H
#define PV_GRANT_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>

#define GRANT_PAGE_BYTES 4096u

/*
 * A handle that does not write to stderr: a guest can make maps fail as often
 * as it likes, so the caller logs failures, limited. Close it with
 * xengnttab_close(). -errno of the library.
 */
int grant_open(xengnttab_handle **out);

/*
 * Maps nr pages of domid contiguously. prot as mmap's. The caller owns *out
 * and gives exactly it back to grant_unmap().
 * Once a map has failed, what can be told apart is: -ENOENT: a gref is not
 * granted; -EACCES: one is granted read-only; -ENOSPC: no maptrack entry is
 * left (Xen's limit of what this domain maps: a PV domain needs two for each
 * page), or one is granted to be copied alone (GTF_sub_page); -ENOMEM: no
 * memory of ours. Else -errno of the library.
 */
int grant_map(xengnttab_handle *xgt, uint32_t domid, const uint32_t *grefs,
	      uint32_t nr, int prot, void **out);
struct grant_own;
/*
 * The same, to read and write, for who draws conclusions from -ENOSPC: a guest that gives and
 * takes its grants back meanwhile can have a map fail and a copy work, as they do when there
 * is a shortage. It is asked so often, in an order that it cannot foresee, that only a shortage
 * is taken for one. Nor is a grant that can be copied alone: -EACCES, where as many pages of
 * own can be mapped. Of own without pages, or NULL: -ENOSPC, it cannot be told apart.
 */
int grant_map_ring(xengnttab_handle *xgt, const struct grant_own *own, uint32_t domid,
		   const uint32_t *grefs, uint32_t nr, void **out);
/* Accepts NULL. */
void grant_unmap(xengnttab_handle *xgt, void *addr, uint32_t nr);

/*
 * Pages of our own, granted to ourselves. A copy into or out of them costs the kernel
 * no search for the frame behind an address, which in a PV domain is much of what a
 * small copy costs. And that they can be mapped tells that there is room for maps
 * (grant_map_ring). -ENOMEM, or -errno of the library: then memory of any kind will do.
 */
struct grant_own {
	xengntshr_handle *xgs;
	uint8_t *pages;
	uint32_t *grefs;
	uint32_t domid, nr_pages;
};

/* domid: ours. The kernel bounds what all processes take together (1,024 pages). */
int grant_own_open(struct grant_own *own, uint32_t domid, uint32_t nr_pages);
/* Accepts a zeroed one. */
void grant_own_close(struct grant_own *own);

/*
 * A batch of copies, one call into the hypervisor for all. A side of a copy
 * never crosses a page; the add functions refuse what would (-EINVAL) and
 * return -ENOSPC when the batch is full (flush, then add again).
 */
struct grant_batch {
	xengnttab_handle *xgt;
	const struct grant_own *own;	/* the caller's, may be NULL */
	xengnttab_grant_copy_segment_t *seg;
	uint32_t nr, max;
};

int grant_batch_open(struct grant_batch *b, xengnttab_handle *xgt, uint32_t max);
void grant_batch_close(struct grant_batch *b);
int grant_batch_from(struct grant_batch *b, void *to, uint32_t domid,
		     uint32_t gref, uint16_t offset, uint16_t bytes);
int grant_batch_to(struct grant_batch *b, uint32_t domid, uint32_t gref,
		   uint16_t offset, const void *from, uint16_t bytes);
int grant_batch_across(struct grant_batch *b,
		       uint32_t from_domid, uint32_t from_gref, uint16_t from_offset,
		       uint32_t to_domid, uint32_t to_gref, uint16_t to_offset,
		       uint16_t bytes);
/*
 * Runs the batch and empties it. 0: every copy succeeded. Otherwise -errno of
 * the call, or -EIO when a copy failed, -EAGAIN when all that failed were short of
 * something of ours: then grant_batch_status(i) says which (valid until the next
 * add), i counted in the order of adding. A call that was short of something
 * leaves GNTST_eagain in all.
 */
int grant_batch_flush(struct grant_batch *b);
int16_t grant_batch_status(const struct grant_batch *b, uint32_t i);

/*
 * Whether an error is a shortage on our side, that passes, and says nothing
 * about the grant: of a call, and of a copy.
 */
bool grant_is_short(int err);
bool grant_status_is_short(int16_t status);

/*
 * Persistent grants of one front end: pages stay mapped from their first use
 * until they are the longest unused of a full cache, or idle for long.
 *
 * When maptrack entries run out the cache gives some of its pages back, for
 * others to connect and to map, and stays below what it had; it grows again by
 * and by. So do all caches of a machine, and share what there is.
 */
struct grant_cache;

struct grant_cache_config {
	uint32_t domid;
	uint32_t cap_pages;		/* most that stay mapped, 1 to 2^24 */
	uint32_t idle_ms;		/* pages not used for so long go */
	/*
	 * No page goes before it was unused for so long (but at close): for users
	 * whose kernel may refer to a page for a moment after its last use. A cache
	 * full of younger ones maps no others.
	 */
	uint32_t rest_ms;
	uint64_t now_ms;		/* the time of opening (grant_cache_tick) */
	int prot;			/* of the maps */
};

struct grant_cache_stats {
	uint64_t hits, misses, evictions;
	uint64_t shortages;		/* maps that failed for want of room ... */
	int shortage_err;		/* ... the last of them so: -ENOSPC, -ENOMEM */
	uint32_t mapped_pages;
	uint32_t limit_pages;		/* cap_pages, or less after a shortage */
};

/* -EINVAL: an impossible cap; -ENOMEM. */
int grant_cache_open(xengnttab_handle *xgt, const struct grant_cache_config *cfg,
		     struct grant_cache **out);
/* Unmaps all; no page may be held. Accepts NULL. */
void grant_cache_close(struct grant_cache *c);
/*
 * Gives the address of each of nr grefs, mapping those not yet known, and
 * holds them until grant_cache_put() with what it writes to holds: a held page
 * is not evicted. All or nothing: after an error there is nothing to put. The same
 * gref may come twice.
 * -ENOSPC: no room beside what is held, by the cap or for want of maptrack
 * entries: use another way for this request. Otherwise as grant_map().
 */
int grant_cache_get(struct grant_cache *c, const uint32_t *grefs, uint32_t nr,
		    void **pages, uint32_t *holds);
void grant_cache_put(struct grant_cache *c, const uint32_t *holds, uint32_t nr);
/*
 * Tells the time (now_ms of util.h) and gives back what was idle for longer
 * than cfg.idle_ms, some pages at a time. Returns in how many milliseconds it
 * wants to be called again; 0: not before it is used. Earlier calls cost little;
 * time is seen in these calls only.
 */
uint32_t grant_cache_tick(struct grant_cache *c, uint64_t now_ms);
void grant_cache_stats(const struct grant_cache *c, struct grant_cache_stats *out);

#endif
