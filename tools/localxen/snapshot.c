/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot.c - reads the shared memory into lists.
 *
 * Hides where holds are kept and how counts follow from them; it also checks
 * that they do. Prints nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lx.h"
#include "snapshot.h"

_Static_assert(LX_MAX_DOMS == 64, "the arrays in struct snapshot");

static bool grow(void **v, size_t n, size_t size)
{
	void *more;

	if (n & (n - 1))	/* room up to the next power of two */
		return true;
	more = realloc(*v, (n ? 2 * n : 1) * size);
	if (more)
		*v = more;
	return more;
}

/* ---- holds ---- */

static bool add_hold(struct snapshot *s, uint64_t v, bool copy)
{
	unsigned granter = LX_HOLD_GRANTER(v), proc = LX_HOLD_PROC(v);
	const struct lx_proc *p;
	struct lx_dom *dom;

	if (granter >= LX_MAX_DOMS || proc >= LX_MAX_PROCS)
		return true;
	if (!grow((void **)&s->holds, s->nr_holds, sizeof(*s->holds)))
		return false;
	dom = &lx.shm->dom[granter];
	p = &lx.shm->proc[proc];
	s->holds[s->nr_holds++] = (struct snap_hold){
		.granter_domid = dom->domid, .gref = LX_HOLD_GREF(v),
		.frame = dom->active[LX_HOLD_GREF(v)].frame, .domid = p->domid,
		.pid = p->pid, .comm = p->comm, .write = LX_HOLD_WRITE(v), .copy = copy,
		.infra = p->flags & LX_PROC_INFRA, .count = 1 };
	return true;
}

static bool collect_holds(struct snapshot *s)
{
	for (unsigned slot = 0; slot < LX_MAX_DOMS; slot++) {
		struct lx_dom *dom = &lx.shm->dom[slot];
		uint32_t high = dom->state == LX_DOM_FREE ? 0 : dom->maptrack_high;

		for (uint32_t i = 0; i < high; i++) {
			uint64_t v = atomic_load(&dom->maptrack[i]);

			if (!v)
				continue;
			s->maptrack_used[slot]++;
			if (!add_hold(s, v, false))
				return false;
		}
	}
	for (uint32_t i = 0; i < lx.shm->nr_threads; i++) {
		for (unsigned k = 0; k < 2; k++) {
			uint64_t v = atomic_load(&lx.shm->thread[i].pin[k]);

			if (v && !add_hold(s, v, true))
				return false;
		}
	}
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct snap_hold *x = a, *y = b;

	if (x->granter_domid != y->granter_domid)
		return x->granter_domid < y->granter_domid ? -1 : 1;
	if (x->gref != y->gref)
		return x->gref < y->gref ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->write != y->write)
		return x->write ? 1 : -1;
	return (int)x->copy - (int)y->copy;
}

static void join_equal(struct snapshot *s)
{
	size_t n = 0;

	if (!s->nr_holds)
		return;
	qsort(s->holds, s->nr_holds, sizeof(*s->holds), compare);
	for (size_t i = 1; i < s->nr_holds; i++) {
		if (!compare(&s->holds[n], &s->holds[i]))
			s->holds[n].count++;
		else
			s->holds[++n] = s->holds[i];
	}
	s->nr_holds = n + 1;
}

/* ---- counts that must follow from the holds ---- */

static void count_for(const struct snapshot *s, uint32_t domid, uint32_t gref,
		      unsigned *reads, unsigned *writes)
{
	*reads = *writes = 0;
	for (size_t i = 0; i < s->nr_holds; i++) {
		if (s->holds[i].granter_domid != domid || s->holds[i].gref != gref)
			continue;
		if (s->holds[i].write)
			*writes += s->holds[i].count;
		else
			*reads += s->holds[i].count;
	}
}

static void check_entry(struct snapshot *s, const struct lx_dom *dom, uint32_t gref)
{
	const struct lx_active *act = &dom->active[gref];
	uint32_t hdr = dom->grant[gref].hdr, want = 0;
	unsigned reads, writes;

	count_for(s, dom->domid, gref, &reads, &writes);
	if (reads || writes)
		want |= GTF_reading;
	if (writes)
		want |= GTF_writing;
	if (act->nr_read == reads && act->nr_write == writes && !act->lock &&
	    (hdr & (GTF_reading | GTF_writing)) == want)
		return;
	if (s->nr_wrong++)
		return;
	snprintf(s->wrong, sizeof(s->wrong), "domain %u gref %u: %u readers, %u writers, "
		 "but counted %u, %u; flags %#x, lock %u", dom->domid, gref, reads, writes,
		 act->nr_read, act->nr_write, LX_GRANT_FLAGS(hdr), act->lock);
}

/* In an entry for a transfer the same bits say how far that is. */
static bool in_use(const struct lx_grant *grant)
{
	return (grant->hdr & GTF_type_mask) != GTF_accept_transfer &&
	       grant->hdr & (GTF_reading | GTF_writing);
}

static void check_domain(struct snapshot *s, unsigned slot)
{
	const struct lx_dom *dom = &lx.shm->dom[slot];

	for (uint32_t gref = 0; gref < dom->nr_grants; gref++) {
		const struct lx_active *act = &dom->active[gref];

		if (dom->grant[gref].hdr & GTF_type_mask)
			s->grants_used[slot]++;
		if (act->nr_read || act->nr_write || act->lock || in_use(&dom->grant[gref]))
			check_entry(s, dom, gref);
	}
}

/* ---- ports ---- */

static bool add_port(struct snapshot *s, unsigned slot, uint32_t n)
{
	const struct lx_port *p = &lx.shm->dom[slot].port[n];
	uint32_t id = p->handle, word = p->word;
	const struct lx_handle *h = &lx.shm->handle[LX_HANDLE_INDEX(id)];
	const struct lx_proc *owner = id && h->id == id ? &lx.shm->proc[h->proc] : NULL;
	uint64_t peer = p->peer;

	if (LX_PEER_STATE(peer) == LX_PORT_FREE)
		return true;
	if (!grow((void **)&s->ports, s->nr_ports, sizeof(*s->ports)))
		return false;
	s->ports_used[slot]++;
	s->ports[s->nr_ports++] = (struct snap_port){
		.domid = lx.shm->dom[slot].domid, .port = n, .state = LX_PEER_STATE(peer),
		.remote_domid = LX_PEER_DOMID(peer), .remote_port = LX_PEER_PORT(peer),
		.virq = p->virq, .pending = word & LX_PORT_PENDING,
		.masked = word & LX_PORT_MASKED,
		.infra = p->infra || (owner && owner->flags & LX_PROC_INFRA),
		.pid = owner ? owner->pid : 0, .comm = owner ? owner->comm : "" };
	return true;
}

static bool collect_ports(struct snapshot *s)
{
	for (unsigned slot = 0; slot < LX_MAX_DOMS; slot++) {
		if (lx.shm->dom[slot].state == LX_DOM_FREE)
			continue;
		for (uint32_t n = 1; n < lx.shm->dom[slot].nr_ports; n++)
			if (!add_port(s, slot, n))
				return false;
	}
	return true;
}

int snapshot_take(struct snapshot **out)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s || !collect_holds(s) || !collect_ports(s)) {
		snapshot_free(s);
		return -ENOMEM;
	}
	join_equal(s);
	for (unsigned slot = 0; slot < LX_MAX_DOMS; slot++)
		if (lx.shm->dom[slot].state != LX_DOM_FREE)
			check_domain(s, slot);
	*out = s;
	return 0;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->holds);
	free(s->ports);
	free(s);
}

bool snapshot_is_clean(const struct snapshot *s)
{
	if (s->nr_wrong)
		return false;
	for (size_t i = 0; i < s->nr_holds; i++)
		if (!s->holds[i].infra)
			return false;
	for (size_t i = 0; i < s->nr_ports; i++)
		if (!s->ports[i].infra)
			return false;
	for (unsigned slot = 0; slot < LX_MAX_DOMS; slot++)
		if (lx.shm->dom[slot].state != LX_DOM_FREE &&
		    (lx.shm->dom[slot].gntalloc_used_pages ||
		     lx.shm->dom[slot].tot_pages != lx.shm->dom[slot].nr_mem_frames))
			return false;
	return true;
}
