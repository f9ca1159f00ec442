/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_domain.c - domains: built, shut down, destroyed.
 *
 * Hides the life of a domain slot. A destroyed domain is dying, as on Xen, while
 * somebody still holds one of its grants; its slot is free after that. A client
 * puts its hold in place before it looks at the domain's state; here the state
 * changes before the holds are looked for: one of both sees the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include "grant-entry.h"
#include "hv.h"
#include "kill.h"
#include "localxen.h"

#define DEFAULT_MEMORY_FRAMES 65536	/* 256 MiB, of which only what is used exists */
#define DEFAULT_GNTALLOC_PAGES 1024	/* Linux's gntalloc.limit */
#define DEFAULT_GRANT_FRAMES 64		/* Xen's gnttab_max_frames */
#define DEFAULT_MAPTRACK_FRAMES 1024	/* Xen's gnttab_max_maptrack_frames */
#define DEFAULT_EXTRA_PAGES 4096	/* that it may have above its memory */
#define KILL_TIMEOUT_MS 5000

/* Processes that belong to a domain without having opened a handle. */
struct belong {
	struct belong *next;
	uint32_t domid;
	pid_t pid;
	int pidfd;
};
static struct belong *belongs;

int hv_find_domain(uint32_t domid)
{
	uint8_t slot = domid < LX_DOMIDS ? hv.shm->slot_of[domid] : 0;

	if (!slot || hv.shm->dom[slot - 1].state != LX_DOM_ALIVE)
		return -ESRCH;
	return slot - 1;
}

/* ---- building ---- */

static uint32_t or_default(uint32_t value, uint32_t def)
{
	return value ? value : def;
}

/* -EBUSY: it is dying, and will be free when the last has let go of its pages. */
static int use_domid(uint32_t wanted)
{
	unsigned slot = wanted < LX_DOMIDS ? hv.shm->slot_of[wanted] : 0;

	if (wanted >= LX_DOMIDS)
		return -EINVAL;
	if (!slot)
		return (int)wanted;
	return hv.shm->dom[slot - 1].state == LX_DOM_ALIVE ? -EEXIST : -EBUSY;
}

static int new_domid(uint32_t wanted)
{
	if (wanted)
		return use_domid(wanted);
	if (!hv.next_domid && !hv.shm->slot_of[0])
		return 0;
	for (unsigned i = 0; i < LX_DOMIDS; i++) {
		if (++hv.next_domid >= LX_DOMIDS)
			hv.next_domid = 1;
		if (!hv.shm->slot_of[hv.next_domid])
			return hv.next_domid;
	}
	return -ENOSPC;
}

static int make_memory(unsigned slot)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "localxen-dom%u", hv.shm->dom[slot].domid);
	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)hv.shm->dom[slot].nr_mem_frames * LX_PAGE_SIZE)) {
		close(fd);
		return -errno;
	}
	hv.dom[slot].mem_fd = fd;
	return 0;
}

static int set_limits(struct lx_dom *d, const struct lx_create *c)
{
	uint32_t grant_frames = or_default(c->grant_frames, DEFAULT_GRANT_FRAMES);
	uint32_t maptrack = or_default(c->maptrack_frames, DEFAULT_MAPTRACK_FRAMES);

	if (grant_frames > LX_MAX_GRANT_FRAMES || maptrack > LX_MAX_MAPTRACK_FRAMES)
		return -E2BIG;
	d->nr_mem_frames = or_default(c->memory_frames, DEFAULT_MEMORY_FRAMES);
	if (d->nr_mem_frames < 256 || d->nr_mem_frames > 1u << 24)
		return -ERANGE;
	d->tot_pages = d->nr_mem_frames;
	d->max_pages = d->nr_mem_frames + (c->has_extra_pages ? c->extra_pages :
					   DEFAULT_EXTRA_PAGES);
	d->not_pv = c->not_pv;
	d->nr_grants = grant_frames * LX_ENTRIES_PER_FRAME;
	d->nr_maptrack = maptrack * LX_MAPTRACK_PER_FRAME;
	d->gntalloc_limit_pages = c->has_gntalloc_limit ? c->gntalloc_limit_pages :
				  DEFAULT_GNTALLOC_PAGES;
	return 0;
}

/* The grant and the port that the domain builder makes for the store. */
static int make_store_link(unsigned slot)
{
	struct lx_dom *d = &hv.shm->dom[slot];
	int port = hv_alloc_unbound(slot, 0, 0);

	if (port < 0)
		return port;
	d->store_port = port;
	atomic_store(&d->grant[GNTTAB_RESERVED_XENSTORE].frame, LX_GFN_XENSTORE);
	atomic_store(&d->grant[GNTTAB_RESERVED_XENSTORE].hdr,
		     LX_GRANT_HDR(GTF_permit_access, 0));
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static bool name_is_free(const char *name)
{
	for (unsigned i = 0; i < LX_MAX_DOMS; i++)
		if (hv.shm->dom[i].state == LX_DOM_ALIVE &&
		    !strcmp(hv.shm->dom[i].name, name))
			return false;
	return true;
}

static int build(unsigned slot, uint32_t domid, const struct lx_create *c)
{
	struct lx_dom *d = &hv.shm->dom[slot];
	int rc = set_limits(d, c);

	d->domid = domid;
	d->shutdown = 0;
	d->maptrack_high = 0;
	d->nr_ports = 0;
	d->gntalloc_used_pages = d->gntalloc_kept_pages = 0;
	d->start_ns = now_ns();
	if (c->name[0])
		snprintf(d->name, sizeof(d->name), "%.63s", c->name);
	else
		snprintf(d->name, sizeof(d->name), "guest%u", domid);
	if (!rc && !name_is_free(d->name))
		rc = -ENOTUNIQ;
	if (!rc)
		rc = make_memory(slot);
	if (!rc)
		rc = hv_share_init(slot);
	if (!rc)
		rc = make_store_link(slot);
	return rc;
}

static void free_slot(unsigned slot);

int hv_domain_create(const struct lx_create *c, struct lx_rep *rep)
{
	unsigned slot;
	int domid, rc;

	for (slot = 0; slot < LX_MAX_DOMS; slot++)
		if (hv.shm->dom[slot].state == LX_DOM_FREE)
			break;
	if (slot == LX_MAX_DOMS)
		return -ENOSPC;
	domid = new_domid(c->domid);
	if (domid < 0)
		return domid;
	rc = build(slot, domid, c);
	if (rc) {
		free_slot(slot);
		return rc;
	}
	atomic_fetch_add(&hv.shm->dom[slot].gen, 1);
	atomic_store(&hv.shm->dom[slot].state, LX_DOM_ALIVE);
	atomic_store(&hv.shm->slot_of[domid], slot + 1);
	rep->a = domid;
	rep->b = hv.shm->dom[slot].store_port;
	return 0;
}

/* ---- ending ---- */

static bool has_ended(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

/* All of them have one time to end in: nobody else is served meanwhile. */
static bool has_ended_by(int pidfd, uint64_t end_ns)
{
	uint64_t now = now_ns();

	return has_ended(pidfd, now < end_ns ? (int)((end_ns - now) / 1000000) : 0);
}

static bool is_of(int domid, uint32_t his)
{
	return domid == LX_ALL_DOMAINS || (uint32_t)domid == his;
}

void hv_kill_processes(int domid, pid_t spare, int timeout_ms)
{
	size_t max = LX_MAX_PROCS, n = 0;
	struct lx_known *known;

	for (struct belong *b = belongs; b; b = b->next)
		max++;
	known = malloc(max * sizeof(*known));
	for (struct belong *b = belongs; known && b; b = b->next)
		if (is_of(domid, b->domid))
			known[n++] = (struct lx_known){ b->pid, b->pidfd };
	for (unsigned i = 0; known && i < LX_MAX_PROCS; i++)
		if (hv.proc[i].used && is_of(domid, hv.shm->dom[hv.proc[i].dom_slot].domid))
			known[n++] = (struct lx_known){ hv.proc[i].pid, hv.proc[i].pidfd };
	lx_kill_members(&(struct lx_kill){ hv.dir, domid, spare, known, n }, timeout_ms);
	/* What /proc does not show. */
	for (size_t i = 0; i < n; i++)
		pidfd_send_signal(known[i].pidfd, SIGKILL, NULL, 0);
	free(known);
}

/* Forgets those that have ended; those of domid (-1: of none) are waited for. */
static void forget_belongs(int domid, uint64_t end_ns)
{
	struct belong **p = &belongs, *b;

	while ((b = *p)) {
		if ((int)b->domid == domid)
			has_ended_by(b->pidfd, end_ns);
		if (!has_ended(b->pidfd, 0)) {
			p = &b->next;
			continue;
		}
		*p = b->next;
		close(b->pidfd);
		free(b);
	}
}

int hv_domain_belong(uint32_t domid, pid_t pid)
{
	struct belong *b;

	if (hv_find_domain(domid) < 0)
		return -ESRCH;
	forget_belongs(-1, 0);
	b = malloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	*b = (struct belong){ .next = belongs, .domid = domid, .pid = pid,
			      .pidfd = pidfd_open(pid, 0) };
	if (b->pidfd < 0) {
		free(b);
		return -errno;
	}
	belongs = b;
	return 0;
}

static void end_processes(unsigned slot)
{
	uint32_t domid = hv.shm->dom[slot].domid;
	uint64_t end_ns = now_ns() + KILL_TIMEOUT_MS * UINT64_C(1000000);

	hv_kill_processes((int)domid, 0, KILL_TIMEOUT_MS);
	forget_belongs((int)domid, end_ns);
	for (unsigned i = 0; i < LX_MAX_PROCS; i++) {
		if (!hv.proc[i].used || hv.proc[i].dom_slot != slot)
			continue;
		has_ended_by(hv.proc[i].pidfd, end_ns);
		hv_proc_release(i);
	}
}

int hv_domain_destroy(uint32_t domid)
{
	int slot = hv_find_domain(domid);
	struct lx_dom *d;
	char path[256];

	if (slot < 0)
		return slot;
	if (!domid)
		return -EPERM;
	d = &hv.shm->dom[slot];
	atomic_store(&d->state, LX_DOM_DYING);
	end_processes(slot);
	hv_heap_domain_exit(slot);
	hv_close_all_ports(slot);
	for (uint32_t i = 0; i < d->nr_grants; i++)
		if (atomic_load_explicit(&d->grant[i].hdr, memory_order_relaxed))
			lx_entry_end_access(&d->grant[i]);
	snprintf(path, sizeof(path), "%s/xenbus-%u", hv.dir, domid);
	unlink(path);
	hv_reap();
	hv_raise_virq(VIRQ_DOM_EXC);
	return 0;
}

int hv_domain_shutdown(uint32_t domid, unsigned reason)
{
	int slot = hv_find_domain(domid);

	if (slot < 0)
		return slot;
	atomic_store(&hv.shm->dom[slot].shutdown, (reason & 0xff) + 1);
	hv_raise_virq(VIRQ_DOM_EXC);
	return 0;
}

static void punch(const void *start, size_t len)
{
	off_t at = (const char *)start - (const char *)hv.shm;

	fallocate(hv.shm_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
}

/* Gives the memory back, too: someone's view of the domain may still be mapped. */
static void free_slot(unsigned slot)
{
	struct lx_dom *d = &hv.shm->dom[slot];
	struct hv_dom *h = &hv.dom[slot];

	if (h->mem_fd >= 0) {
		fallocate(h->mem_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  (off_t)d->nr_mem_frames * LX_PAGE_SIZE);
		close(h->mem_fd);
		h->mem_fd = -1;
	}
	hv_share_exit(slot);
	hv_flip_domain_exit(slot);
	if (hv.shm->slot_of[d->domid] == slot + 1)
		atomic_store(&hv.shm->slot_of[d->domid], 0);
	punch(d->port, sizeof(d->port));
	punch(d->grant, sizeof(d->grant));
	punch(d->active, sizeof(d->active));
	punch(d->maptrack, sizeof(d->maptrack));
	atomic_store(&d->state, LX_DOM_FREE);
}

bool hv_reap(void)
{
	bool waits = hv_heap_reap();

	for (unsigned slot = 0; slot < LX_MAX_DOMS; slot++) {
		unsigned state = hv.shm->dom[slot].state;

		if (state == LX_DOM_FREE)
			continue;
		if (hv_reap_kept(slot))
			waits = true;
		if (state != LX_DOM_DYING)
			continue;
		if (hv_has_holds_on(slot)) {
			waits = true;
			continue;
		}
		free_slot(slot);
		hv_raise_virq(VIRQ_DOM_EXC);
	}
	return waits;
}
