/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Static grants: pages of a queue that its front end lets us keep mapped, so that
 * the CPU copies from and to them without a call into the hypervisor.
 *
 * Hides: the table from gref to page, how the pages are mapped. Must not know:
 * frames, rings, the control ring's messages.
 *
 * A table is mapped as a whole: one run of pages for what may be written, one for
 * what may only be read, since only whole runs can be unmapped. A change maps what
 * it concerns anew, which costs time in proportion to the table, and address space
 * in proportion to nothing that a front end chooses. Nothing outside points into a
 * run from one pass to the next, so a page is never in use when it is to go.
 *
 * A page that is not in the table is no mistake: it is copied by grant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "netback-internal.h"

#define TABLE_BITS 10u			/* twice as many slots as there can be pages */
#define TABLE_SLOTS (1u << TABLE_BITS)
#define PAGES_PER_VIF 2048u
#define DOOMED (1u << 31)		/* of a slot that is to go in this call */

_Static_assert(TABLE_SLOTS >= 2 * NB_MAPPED_MAX, "searches are short, and end");

enum run_kind { RUN_READ, RUN_WRITE, RUN_NR };

struct run {
	uint8_t *pages;			/* NULL: none */
	uint32_t nr;
	uint32_t gref[NB_MAPPED_MAX];
};

struct slot {
	uint32_t gref;
	uint32_t at;			/* 0: empty; else twice the index plus one, plus the kind */
};

struct nb_mapping {
	uint32_t factor;		/* odd and secret: nobody chooses grefs that collide */
	struct run run[RUN_NR];
	struct slot slot[TABLE_SLOTS];
};

/* ---- the table ------------------------------------------------------------------ */

static uint32_t search(const struct nb_mapping *m, uint32_t gref)
{
	uint32_t i = gref * m->factor >> (32 - TABLE_BITS);

	while (m->slot[i].at && m->slot[i].gref != gref)
		i = (i + 1) & (TABLE_SLOTS - 1);
	return i;
}

uint8_t *nb_mapping_find(const struct nb_mapping *m, uint32_t gref, bool write)
{
	uint32_t at = m->slot[search(m, gref)].at;

	if (!at || (write && (at & 1) != RUN_WRITE))
		return NULL;
	return m->run[at & 1].pages + (size_t)(at / 2 - 1) * GRANT_PAGE_BYTES;
}

/* False: a gref is there twice. */
static bool index_pages(struct nb_mapping *m)
{
	memset(m->slot, 0, sizeof(m->slot));
	for (uint32_t kind = 0; kind < RUN_NR; kind++)
		for (uint32_t i = 0; i < m->run[kind].nr; i++) {
			struct slot *s = &m->slot[search(m, m->run[kind].gref[i])];

			if (s->at)
				return false;
			*s = (struct slot){ m->run[kind].gref[i], (i + 1) * 2 + kind };
		}
	return true;
}

/* ---- runs ------------------------------------------------------------------------ */

/* The reason of a failure is found by mapping all up to three times, and copying from each. */
#define FAILED_TIMES 7u

static int map_run(struct nb_port *p, struct run *r, uint32_t kind)
{
	int prot = kind == RUN_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	void *pages = NULL;
	int rc = 0;

	if (r->nr)
		rc = grant_map(p->nb->cfg.xgt, p->domid, r->gref, r->nr, prot, &pages);
	p->mapping_work += rc ? FAILED_TIMES * r->nr : r->nr;
	r->pages = pages;
	return rc;
}

static void unmap_run(struct nb_port *p, struct run *r)
{
	grant_unmap(p->nb->cfg.xgt, r->pages, r->nr);
	p->mapping_work += r->nr;
	r->pages = NULL;
}

static struct nb_mapping *new_mapping(const struct nb_queue *q)
{
	struct nb_mapping *m = calloc(1, sizeof(*m));

	if (m)
		m->factor = q->port->nb->mapping_factor;
	return m;
}

void nb_mapping_close(struct nb_queue *q)
{
	if (!q->mapping)
		return;
	for (uint32_t kind = 0; kind < RUN_NR; kind++)
		unmap_run(q->port, &q->mapping->run[kind]);
	free(q->mapping);
	q->mapping = NULL;
}

/* For a successor: what is not to be in the list any more goes before it is unmapped. */
static void note(const struct nb_queue *q, const struct nb_mapping *m)
{
	struct nb_queue_journal *j = q->journal;
	uint32_t nr = 0;

	j->nr_mapped = 0;
	NB_STEP();
	for (uint32_t kind = 0; kind < RUN_NR; kind++)
		for (uint32_t i = 0; i < m->run[kind].nr; i++) {
			uint32_t gref = m->run[kind].gref[i];

			if (m->slot[search(m, gref)].at & DOOMED)
				continue;
			j->mapped[nr++] = (struct xen_netif_gref){
				.ref = gref,
				.flags = kind == RUN_READ ? XEN_NETIF_CTRLF_GREF_readonly : 0,
			};
		}
	NB_STEP();
	j->nr_mapped = nr;
	NB_STEP();
}

uint32_t nb_mapping_max(const struct nb_port *p)
{
	return MIN(NB_MAPPED_MAX, PAGES_PER_VIF / p->nr_queues);
}

/* ---- adding ----------------------------------------------------------------------- */

static int append(const struct nb_port *p, struct nb_mapping *m,
		  const struct xen_netif_gref *list, uint32_t nr)
{
	if (nr > nb_mapping_max(p) - m->run[RUN_READ].nr - m->run[RUN_WRITE].nr)
		return -ENOSPC;
	for (uint32_t i = 0; i < nr; i++) {
		bool read_only = list[i].flags & XEN_NETIF_CTRLF_GREF_readonly;
		struct run *r = &m->run[read_only ? RUN_READ : RUN_WRITE];

		if (list[i].flags & ~XEN_NETIF_CTRLF_GREF_readonly)
			return -EINVAL;
		r->gref[r->nr++] = list[i].ref;
	}
	return index_pages(m) ? 0 : -EEXIST;
}

/* What next has more than old is mapped; on failure nothing of it. */
static int map_grown(struct nb_port *p, struct nb_mapping *next, const struct nb_mapping *old)
{
	bool grown[RUN_NR];
	int rc = 0;

	for (uint32_t kind = 0; kind < RUN_NR && !rc; kind++) {
		grown[kind] = next->run[kind].nr > old->run[kind].nr;
		if (grown[kind])
			rc = map_run(p, &next->run[kind], kind);
		if (rc && kind && grown[kind - 1])
			unmap_run(p, &next->run[kind - 1]);
	}
	return rc;
}

static int add(struct nb_queue *q, const struct xen_netif_gref *list, uint32_t nr)
{
	struct nb_mapping *next, *old = q->mapping ? q->mapping : new_mapping(q);
	int rc;

	next = new_mapping(q);
	if (!next || !old) {
		rc = -ENOMEM;
		goto out;
	}
	memcpy(next->run, old->run, sizeof(next->run));
	rc = append(q->port, next, list, nr);
	if (!rc)
		rc = map_grown(q->port, next, old);
	if (rc)
		goto out;
	for (uint32_t kind = 0; kind < RUN_NR; kind++)
		if (next->run[kind].nr > old->run[kind].nr)
			unmap_run(q->port, &old->run[kind]);
	free(old);
	q->mapping = next;
	return 0;
out:
	free(next);
	if (old != q->mapping)
		free(old);
	return rc;
}

/* All of the list, each once and in its mode. */
static bool holds(const struct nb_mapping *m, const struct xen_netif_gref *list, uint32_t nr)
{
	bool seen[TABLE_SLOTS] = { false };

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t at = search(m, list[i].ref);
		uint32_t kind = list[i].flags & XEN_NETIF_CTRLF_GREF_readonly ? RUN_READ : RUN_WRITE;

		if (seen[at] || !m->slot[at].at || (m->slot[at].at & 1) != kind ||
		    list[i].flags & ~XEN_NETIF_CTRLF_GREF_readonly)
			return false;
		seen[at] = true;
	}
	return true;
}

int nb_mapping_add(struct nb_queue *q, const struct xen_netif_gref *list, uint32_t nr)
{
	int rc;

	/* A predecessor was killed when it had noted them, and before it could say so. */
	if (q->mapping && holds(q->mapping, list, nr))
		return 0;
	rc = add(q, list, nr);
	if (!rc)
		note(q, q->mapping);
	return rc;
}

void nb_mapping_resume(struct nb_queue *q)
{
	const struct nb_queue_journal *j = q->journal;
	int rc = 0;

	if (j->nr_mapped)
		rc = j->nr_mapped > NB_MAPPED_MAX ? -EBADMSG :
		     add(q, j->mapped, j->nr_mapped);
	if (rc)
		log_peer_at(q->port->log, LOG_LEVEL_WARNING,
			    "static grants cannot be mapped again, and are copied by grant: %s",
			    strerror(-rc));
}

/* ---- deleting ---------------------------------------------------------------------- */

uint32_t nb_mapping_mark(const struct nb_queue *q, struct xen_netif_gref *list, uint32_t nr)
{
	bool seen[TABLE_SLOTS] = { false };
	uint32_t found = 0;

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t at = q->mapping ? search(q->mapping, list[i].ref) : 0;
		bool is = q->mapping && q->mapping->slot[at].at && !seen[at];

		seen[at] = true;
		list[i].status = is ? XEN_NETIF_CTRL_STATUS_SUCCESS :
				      XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
		found += is;
	}
	return found;
}

/* The doomed pages of a run go; the others are mapped anew. */
static int shrink(struct nb_port *p, struct nb_mapping *m, uint32_t kind)
{
	struct run *r = &m->run[kind];
	uint32_t left = 0, had = r->nr;
	int rc;

	for (uint32_t i = 0; i < had; i++)
		if (!(m->slot[search(m, r->gref[i])].at & DOOMED))
			r->gref[left++] = r->gref[i];
	if (left == had)
		return 0;
	grant_unmap(p->nb->cfg.xgt, r->pages, had);
	p->mapping_work += had;
	r->nr = left;
	rc = map_run(p, r, kind);
	if (rc)
		r->nr = 0;
	return rc;
}

int nb_mapping_del(struct nb_queue *q, const struct xen_netif_gref *list, uint32_t nr)
{
	struct nb_mapping *m = q->mapping;
	int rc = 0;

	if (!m)
		return 0;
	for (uint32_t i = 0; i < nr; i++)
		if (list[i].status == XEN_NETIF_CTRL_STATUS_SUCCESS)
			m->slot[search(m, list[i].ref)].at |= DOOMED;
	note(q, m);
	for (uint32_t kind = 0; kind < RUN_NR; kind++) {
		int err = shrink(q->port, m, kind);

		rc = rc ? rc : err;
	}
	index_pages(m);
	return rc;
}
