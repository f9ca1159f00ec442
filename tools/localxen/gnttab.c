/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gnttab.c - libxengnttab's consumer side: map, unmap, copy.
 *
 * Behaves as libxengnttab over Linux's gntdev: a map is contiguous and fails as
 * a whole with EINVAL when one grant is refused, only a whole mapped range can
 * be unmapped, and a copy reports each segment's own status. Hides the list of
 * mapped ranges of a handle. The checks of a grant are grant.c's.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>
#include "gnthandle.h"

#define NO_PORT ((evtchn_port_t)-1)
#define BUCKETS 256

/* One mapped range. */
struct range {
	struct range *next;
	char *addr;
	unsigned count;
	uint64_t notify;	/* hypervisor's id, or LX_NO_NOTIFY */
	struct lx_grab grab[];
};

struct ranges {
	pthread_mutex_t lock;
	struct range *bucket[BUCKETS];
};

static struct range **bucket_of(struct ranges *rs, const void *addr)
{
	return &rs->bucket[((uintptr_t)addr >> LX_PAGE_SHIFT) % BUCKETS];
}

static void add_range(struct ranges *rs, struct range *r)
{
	struct range **b = bucket_of(rs, r->addr);

	pthread_mutex_lock(&rs->lock);
	r->next = *b;
	*b = r;
	pthread_mutex_unlock(&rs->lock);
}

/* Takes out the range that is exactly this; NULL if there is none. */
static struct range *take_range(struct ranges *rs, const void *addr, unsigned count)
{
	struct range **p, *r;

	pthread_mutex_lock(&rs->lock);
	for (p = bucket_of(rs, addr); (r = *p); p = &r->next)
		if (r->addr == addr)
			break;
	if (r && r->count == count)
		*p = r->next;
	else
		r = NULL;
	pthread_mutex_unlock(&rs->lock);
	return r;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
	xengnttab_handle *xgt = lx_gnthandle_open();

	(void)logger;
	(void)flags;
	if (!xgt)
		return NULL;
	xgt->ranges = calloc(1, sizeof(*xgt->ranges));
	if (!xgt->ranges) {
		lx_gnthandle_close(xgt);
		return NULL;
	}
	pthread_mutex_init(&xgt->ranges->lock, NULL);
	return xgt;
}

static void drop_grabs(struct lx_grab *grab, unsigned count)
{
	struct lx_thread *t = lx_thread_self();

	for (unsigned i = 0; i < count; i++)
		lx_grant_drop(t, &grab[i]);
}

/* After the memory is unmapped: the byte, the event, the grants. */
static void end_range(struct range *r)
{
	if (r->notify != LX_NO_NOTIFY)
		lx_rpc(&(struct lx_req){ .op = LX_OP_FIRE_NOTIFY, .a = r->notify },
		       -1, NULL, 0, NULL);
	drop_grabs(r->grab, r->count);
	free(r);
}

/* What is still mapped stays mapped, and held, until the process ends: as gntdev. */
int xengnttab_close(xengnttab_handle *xgt)
{
	if (!xgt)
		return 0;
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct range *r = xgt->ranges->bucket[i], *next; r; r = next) {
			next = r->next;
			free(r);
		}
	}
	free(xgt->ranges);
	return lx_gnthandle_close(xgt);
}

int xengnttab_fd(xengnttab_handle *xgt)
{
	return xgt->fd;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	(void)xgt;
	(void)nr_grants;
	return 0;
}

static int grab_all(struct range *r, const uint32_t *domids, unsigned stride,
		    const uint32_t *refs, int prot)
{
	struct lx_thread *t = lx_thread_self();

	if (!t)
		return -ENOMEM;
	for (unsigned i = 0; i < r->count; i++) {
		struct lx_grab *g = &r->grab[i];
		int st;

		*g = (struct lx_grab){ .domid = domids[i * stride],
				       .gref = refs[i],
				       .readonly = !(prot & PROT_WRITE) };
		st = lx_fail_status(LX_CALL_MAP);
		if (!st)
			st = lx_grant_grab(t, g);
		if (st) {
			drop_grabs(r->grab, i);
			return -EINVAL;	/* whatever the status, as gntdev */
		}
	}
	return 0;
}

/* syscalls disk, bridge: madvise */
static int map_grabbed(struct range *r, int prot)
{
	uint64_t one, *pages = &one;
	void *addr;
	int rc;

	if (r->count > 1 && !(pages = malloc(r->count * sizeof(*pages))))
		return -ENOMEM;
	for (unsigned i = 0; i < r->count; i++)
		pages[i] = LX_PAGE(r->grab[i].slot, r->grab[i].frame);
	rc = lx_map_pages(pages, r->count, prot, &addr);
	if (pages != &one)
		free(pages);
	if (rc)
		return rc;
	/* gntdev's mappings stay behind in a fork. */
	madvise(addr, (size_t)r->count * LX_PAGE_SIZE, MADV_DONTFORK);
	r->addr = addr;
	return 0;
}

static int arm_notify(struct range *r, uint32_t offset, evtchn_port_t port)
{
	struct lx_req req = {
		.op = LX_OP_MAP_NOTIFY, .domid = r->grab[0].domid,
		.a = r->grab[0].gref, .b = r->grab[0].frame,
		.c = offset < LX_PAGE_SIZE ? offset : LX_NO_NOTIFY,
		.d = port != NO_PORT ? port : LX_NO_NOTIFY,
	};
	struct lx_rep rep;
	int rc;

	if (req.c == LX_NO_NOTIFY && req.d == LX_NO_NOTIFY)
		return 0;
	rc = lx_rpc(&req, -1, &rep, sizeof(rep), NULL);
	if (!rc)
		r->notify = rep.a;
	return rc;
}

static int map(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids,
	       unsigned stride, const uint32_t *refs, int prot, uint32_t offset,
	       evtchn_port_t port, void **out)
{
	struct range *r;
	int rc = lx_usable(xgt->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_MAP);
	if (!rc && (!count || count > LX_MAX_MAPTRACK))
		rc = -EINVAL;
	if (rc)
		return rc;
	r = calloc(1, sizeof(*r) + count * sizeof(r->grab[0]));
	if (!r)
		return -ENOMEM;
	r->count = count;
	r->notify = LX_NO_NOTIFY;
	rc = grab_all(r, domids, stride, refs, prot);
	if (rc)
		goto out_free;
	rc = map_grabbed(r, prot);
	if (rc)
		goto out_drop;
	rc = arm_notify(r, offset, port);
	if (rc)
		goto out_unmap;
	add_range(xgt->ranges, r);
	*out = r->addr;
	return 0;

out_unmap:
	munmap(r->addr, (size_t)count * LX_PAGE_SIZE);
out_drop:
	drop_grabs(r->grab, count);
out_free:
	free(r);
	return rc;
}

static void *map_or_null(xengnttab_handle *xgt, uint32_t count,
			 const uint32_t *domids, unsigned stride,
			 const uint32_t *refs, int prot, uint32_t offset,
			 evtchn_port_t port)
{
	void *addr = NULL;
	int rc = map(xgt, count, domids, stride, refs, prot, offset, port, &addr);

	if (rc)
		errno = -rc;
	return addr;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
			      int prot)
{
	return map_or_null(xgt, 1, &domid, 0, &ref, prot, -1, NO_PORT);
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count,
			       uint32_t *domids, uint32_t *refs, int prot)
{
	return map_or_null(xgt, count, domids, 1, refs, prot, -1, NO_PORT);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
				      uint32_t domid, uint32_t *refs, int prot)
{
	return map_or_null(xgt, count, &domid, 0, refs, prot, -1, NO_PORT);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid,
				     uint32_t ref, int prot, uint32_t notify_offset,
				     evtchn_port_t notify_port)
{
	return map_or_null(xgt, 1, &domid, 0, &ref, prot, notify_offset, notify_port);
}

/* syscalls disk, bridge: munmap */
int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	struct range *r;
	int rc = lx_usable(xgt->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_UNMAP);
	if (rc)
		return lx_ret(rc);
	r = start_address ? take_range(xgt->ranges, start_address, count) : NULL;
	if (!r)
		return lx_ret(-EINVAL);
	munmap(r->addr, (size_t)r->count * LX_PAGE_SIZE);
	end_range(r);
	return 0;
}

/* ---- copy ---- */

#define GNTCOPY_BOTH (GNTCOPY_source_gref | GNTCOPY_dest_gref)

/* What gntdev refuses for the whole call. */
static int check_segment(const xengnttab_grant_copy_segment_t *s)
{
	if (!(s->flags & GNTCOPY_BOTH) || (s->flags & ~GNTCOPY_BOTH))
		return -EINVAL;
	if ((s->flags & GNTCOPY_source_gref) &&
	    s->source.foreign.offset + s->len > (int)LX_PAGE_SIZE)
		return -EINVAL;
	if ((s->flags & GNTCOPY_dest_gref) &&
	    s->dest.foreign.offset + s->len > (int)LX_PAGE_SIZE)
		return -EINVAL;
	return 0;
}

static inline void set_side(struct lx_copy_side *side, const union xengnttab_copy_ptr *p,
			    bool is_grant)
{
	side->is_grant = is_grant;
	side->mfn = 0;
	if (is_grant) {
		side->domid = p->foreign.domid;
		side->gref = p->foreign.ref;
		side->offset = p->foreign.offset;
	} else {
		side->virt = p->virt;
	}
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
			 xengnttab_grant_copy_segment_t *segs)
{
	struct lx_copy copy = { 0 };
	int rc = lx_usable(xgt->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_COPY);
	for (uint32_t i = 0; !rc && i < count; i++)
		rc = check_segment(&segs[i]);
	if (rc)
		return lx_ret(rc);
	for (uint32_t i = 0; i < count; i++) {
		xengnttab_grant_copy_segment_t *s = &segs[i];
		struct lx_copy_side src, dst;
		int st = lx_fail_status(LX_CALL_COPY);

		set_side(&src, &s->source, s->flags & GNTCOPY_source_gref);
		set_side(&dst, &s->dest, s->flags & GNTCOPY_dest_gref);
		s->status = st ? st : lx_grant_copy(&copy, &src, &dst, s->len);
	}
	lx_grant_copy_end(&copy);
	return 0;
}
