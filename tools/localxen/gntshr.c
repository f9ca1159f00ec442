/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gntshr.c - libxengnttab's sharing side: pages of the caller's own domain.
 *
 * Behaves as libxengntshr over Linux's gntalloc. The hypervisor does what the
 * guest's kernel does there (find pages and grant references, write the
 * entries); this file maps the pages and remembers what is mapped where.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>
#include "gnthandle.h"

struct region {
	struct region *next;
	char *addr;
	unsigned count;
	unsigned left;		/* pages that are still mapped */
	uint64_t id;
};

struct regions {
	pthread_mutex_t lock;
	struct region *first;
};

struct xengntdev_handle *lx_gnthandle_open(void)
{
	struct xengntdev_handle *h;

	if (!lx_may_open())
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->incarnation = lx.incarnation;
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->fd < 0) {
		free(h);
		return NULL;
	}
	return h;
}

/* syscalls bridge: close */
int lx_gnthandle_close(struct xengntdev_handle *h)
{
	if (h->fd >= 0)
		close(h->fd);
	free(h);
	return 0;
}

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned flags)
{
	xengntshr_handle *xgs = lx_gnthandle_open();

	(void)logger;
	(void)flags;
	if (!xgs)
		return NULL;
	xgs->regions = calloc(1, sizeof(*xgs->regions));
	if (!xgs->regions) {
		lx_gnthandle_close(xgs);
		return NULL;
	}
	pthread_mutex_init(&xgs->regions->lock, NULL);
	return xgs;
}

static void unshare_region(uint64_t id)
{
	lx_rpc(&(struct lx_req){ .op = LX_OP_UNSHARE, .a = id }, -1, NULL, 0, NULL);
}

/* What is still shared stays so until the process ends, as with gntalloc. */
int xengntshr_close(xengntshr_handle *xgs)
{
	struct region *r, *next;

	if (!xgs)
		return 0;
	for (r = xgs->regions->first; r; r = next) {
		next = r->next;
		free(r);
	}
	free(xgs->regions);
	return lx_gnthandle_close(xgs);
}

int xengntshr_fd(xengntshr_handle *xgs)
{
	return xgs->fd;
}

static int map_region(const uint32_t *frames, unsigned count, void **out)
{
	uint64_t *pages = malloc(count * sizeof(*pages));
	int rc;

	if (!pages)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		pages[i] = LX_PAGE(lx.dom_slot, frames[i]);
	rc = lx_map_pages(pages, count, PROT_READ | PROT_WRITE, out);
	free(pages);
	return rc;
}

static int share_into(struct region *r, const struct lx_req *req, uint32_t *refs,
		      struct lx_rep_share *rep)
{
	void *addr;
	int rc = lx_rpc(req, -1, rep, sizeof(*rep), NULL);

	if (rc)
		return rc;
	rc = map_region(rep->data + r->count, r->count, &addr);
	if (rc) {
		unshare_region(rep->rep.a);
		return rc;
	}
	for (unsigned i = 0; i < r->count; i++)
		refs[i] = rep->data[i];
	r->id = rep->rep.a;
	r->addr = addr;
	return 0;
}

static int share(xengntshr_handle *xgs, const struct lx_req *req, uint32_t *refs,
		 void **out)
{
	struct lx_rep_share *rep;
	struct region *r;
	int rc = lx_usable(xgs->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_SHARE);
	if (!rc && (!req->a || req->a > LX_SHARE_MAX_PAGES))
		rc = -EINVAL;
	if (rc)
		return rc;
	r = calloc(1, sizeof(*r));
	rep = malloc(sizeof(*rep));
	rc = -ENOMEM;
	if (!r || !rep)
		goto out;
	r->count = r->left = req->a;
	rc = share_into(r, req, refs, rep);
	if (rc)
		goto out;
	pthread_mutex_lock(&xgs->regions->lock);
	r->next = xgs->regions->first;
	xgs->regions->first = r;
	*out = r->addr;
	pthread_mutex_unlock(&xgs->regions->lock);
	r = NULL;
out:
	free(rep);
	free(r);
	return rc;
}

static void *share_or_null(xengntshr_handle *xgs, const struct lx_req *req,
			   uint32_t *refs)
{
	void *addr = NULL;
	int rc = share(xgs, req, refs, &addr);

	if (rc)
		errno = -rc;
	return addr;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
			    uint32_t *refs, int writable)
{
	return share_or_null(xgs, &(struct lx_req){
		.op = LX_OP_SHARE, .domid = domid, .a = count < 0 ? 0 : count,
		.b = !!writable, .c = LX_NO_NOTIFY, .d = LX_NO_NOTIFY }, refs);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid,
				  uint32_t *ref, int writable,
				  uint32_t notify_offset, evtchn_port_t notify_port)
{
	return share_or_null(xgs, &(struct lx_req){
		.op = LX_OP_SHARE, .domid = domid, .a = 1, .b = !!writable,
		.c = notify_offset < LX_PAGE_SIZE ? notify_offset : LX_NO_NOTIFY,
		.d = notify_port != (evtchn_port_t)-1 ? notify_port : LX_NO_NOTIFY },
		ref);
}

/*
 * Takes off the list what [start, start + len) covers of one region. As with
 * gntalloc a part may go first; the grants go with the last page.
 */
static int note_unmapped(struct regions *rs, char *start, unsigned count,
			 struct region **whole)
{
	struct region **p, *r;
	int rc = -EINVAL;

	*whole = NULL;
	pthread_mutex_lock(&rs->lock);
	for (p = &rs->first; (r = *p); p = &r->next) {
		if (start < r->addr || start + (size_t)count * LX_PAGE_SIZE >
		    r->addr + (size_t)r->count * LX_PAGE_SIZE)
			continue;
		if (count > r->left)
			break;
		r->left -= count;
		rc = 0;
		if (!r->left) {
			*p = r->next;
			*whole = r;
		}
		break;
	}
	pthread_mutex_unlock(&rs->lock);
	return rc;
}

/* syscalls bridge: munmap */
int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	struct region *r;
	int rc = lx_usable(xgs->incarnation);

	if (!rc)
		rc = -lx_fail_check(LX_CALL_UNSHARE);
	if (!rc && (!start_address || !count || count > LX_SHARE_MAX_PAGES))
		rc = -EINVAL;
	if (!rc)
		rc = note_unmapped(xgs->regions, start_address, count, &r);
	if (rc)
		return lx_ret(rc);
	munmap(start_address, (size_t)count * LX_PAGE_SIZE);
	if (r)
		unshare_region(r->id);
	free(r);
	return 0;
}
