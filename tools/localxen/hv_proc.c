/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hv_proc.c - client processes, and what remains to be done when one is gone.
 *
 * This is what makes every client operation atomic under SIGKILL. A dead
 * process's holds are removed from the truth. An entry whose lock it held may
 * have counts that do not match its holds: it is recounted, then unlocked. For
 * every other entry the dead process's holds are counted exactly, so they are
 * taken off one by one. It knows nothing of how shares and ports are kept.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "grant-entry.h"
#include "hv.h"

#define HV_THREAD_ID (LX_HV_THREAD + 1)
#define NO_PROC LX_MAX_PROCS	/* its records are gone already */

static struct lx_active *active(unsigned slot, uint32_t gref)
{
	return &hv.shm->dom[slot].active[gref];
}

/* ---- walking over holds ---- */

typedef void hold_fn(_Atomic uint64_t *hold, uint64_t value, void *arg);

static void walk_maptrack(struct lx_dom *dom, hold_fn *fn, void *arg)
{
	uint32_t high = atomic_load(&dom->maptrack_high);

	for (uint32_t i = 0; i < high; i++) {
		uint64_t v = atomic_load(&dom->maptrack[i]);

		if (v)
			fn(&dom->maptrack[i], v, arg);
	}
}

static void walk_pins(hold_fn *fn, void *arg)
{
	uint32_t nr = atomic_load(&hv.shm->nr_threads);

	for (uint32_t i = 0; i < nr; i++) {
		for (unsigned k = 0; k < 2; k++) {
			uint64_t v = atomic_load(&hv.shm->thread[i].pin[k]);

			if (v)
				fn(&hv.shm->thread[i].pin[k], v, arg);
		}
	}
}

static void walk_all(hold_fn *fn, void *arg)
{
	for (unsigned s = 0; s < LX_MAX_DOMS; s++)
		if (hv.shm->dom[s].state != LX_DOM_FREE)
			walk_maptrack(&hv.shm->dom[s], fn, arg);
	walk_pins(fn, arg);
}

static void walk_process(unsigned proc, hold_fn *fn, void *arg)
{
	walk_maptrack(&hv.shm->dom[hv.proc[proc].dom_slot], fn, arg);
	walk_pins(fn, arg);
}

static void is_on(_Atomic uint64_t *hold, uint64_t v, void *arg)
{
	int *slot = arg;

	(void)hold;
	if (*slot >= 0 && LX_HOLD_GRANTER(v) == (unsigned)*slot)
		*slot = -1;
}

bool hv_has_holds_on(unsigned slot)
{
	int found = slot;

	walk_all(is_on, &found);
	return found < 0;
}

/* ---- locks of the dead ---- */

struct recount {
	uint64_t entry;
	unsigned proc;
	unsigned nr_read, nr_write;
};

static void forget_hold(_Atomic uint64_t *hold, uint64_t v, void *arg)
{
	struct recount *rc = arg;

	if (LX_HOLD_ENTRY(v) == rc->entry && LX_HOLD_PROC(v) == rc->proc)
		atomic_store(hold, 0);
}

static void count_hold(_Atomic uint64_t *hold, uint64_t v, void *arg)
{
	struct recount *rc = arg;

	(void)hold;
	if (LX_HOLD_ENTRY(v) != rc->entry)
		return;
	if (LX_HOLD_WRITE(v))
		rc->nr_write++;
	else
		rc->nr_read++;
}

/* The entry's lock is held by the dead process; nobody else changes it. */
static void mend_entry(unsigned proc, unsigned slot, uint32_t gref)
{
	struct lx_active *act = active(slot, gref);
	struct recount rc = { .entry = LX_HOLD_ENTRY(LX_HOLD(gref, slot, 0, 0)),
			      .proc = proc };

	if (proc != NO_PROC)
		walk_process(proc, forget_hold, &rc);
	walk_all(count_hold, &rc);
	act->nr_read = rc.nr_read;
	act->nr_write = rc.nr_write;
	lx_entry_clear_flags(act, &hv.shm->dom[slot].grant[gref]);
	atomic_store(&act->lock, 0);
}

static void end_intents(unsigned proc)
{
	uint32_t nr = atomic_load(&hv.shm->nr_threads);

	for (uint32_t i = 0; i < nr; i++) {
		struct lx_thread *t = &hv.shm->thread[i];
		uint64_t intent = atomic_load(&t->intent);
		unsigned slot = intent >> 24 & 0xff;
		uint32_t n = intent & 0xffffff;

		if (atomic_load(&t->proc) != proc + 1 || !intent)
			continue;
		atomic_store(&t->intent, 0);
		if (intent & LX_INTENT_NOTIFY)
			hv_repeat_token(slot, n);
		else if (atomic_load(&active(slot, n)->lock) == i + 1)
			mend_entry(proc, slot, n);
	}
}

static bool is_dead(unsigned proc)
{
	struct pollfd p = { .fd = hv.proc[proc].pidfd, .events = POLLIN };

	return !hv.proc[proc].used || poll(&p, 1, 0) == 1;
}

void hv_lock_entry(unsigned slot, uint32_t gref)
{
	struct lx_active *act = active(slot, gref);
	unsigned spins = 0;

	while (!lx_entry_trylock(act, HV_THREAD_ID)) {
		uint32_t owner = atomic_load(&act->lock);
		uint32_t proc;

		lx_entry_wait(&spins);
		if (!owner || spins % 256)
			continue;
		proc = atomic_load(&hv.shm->thread[owner - 1].proc);
		if (proc && is_dead(proc - 1))
			end_intents(proc - 1);
		else if (!proc && atomic_load(&act->lock) == owner)
			mend_entry(NO_PROC, slot, gref);
	}
}

void hv_unlock_entry(unsigned slot, uint32_t gref)
{
	lx_entry_unlock(active(slot, gref), HV_THREAD_ID);
}

/* ---- coming and going ---- */

static void drop_hold(_Atomic uint64_t *hold, uint64_t v, void *arg)
{
	unsigned proc = *(unsigned *)arg;
	unsigned slot = LX_HOLD_GRANTER(v);
	uint32_t gref = LX_HOLD_GREF(v);
	struct lx_active *act;

	if (LX_HOLD_PROC(v) != proc)
		return;
	if (slot == LX_HOLD_HEAP) {
		atomic_store(hold, 0);
		return;
	}
	act = active(slot, gref);
	hv_lock_entry(slot, gref);
	if (LX_HOLD_WRITE(v))
		act->nr_write--;
	else
		act->nr_read--;
	lx_entry_clear_flags(act, &hv.shm->dom[slot].grant[gref]);
	atomic_store(hold, 0);
	hv_unlock_entry(slot, gref);
}

static void free_threads(unsigned proc)
{
	uint32_t nr = atomic_load(&hv.shm->nr_threads);

	for (uint32_t i = 0; i < nr; i++)
		if (atomic_load(&hv.shm->thread[i].proc) == proc + 1)
			atomic_store(&hv.shm->thread[i].proc, 0);
}

void hv_proc_release(unsigned slot)
{
	struct hv_proc *p = &hv.proc[slot];
	struct lx_proc *sp = &hv.shm->proc[slot];

	if (!p->used)
		return;
	atomic_fetch_add(&sp->gen, 1);
	end_intents(slot);
	hv_fire_all(slot);
	walk_process(slot, drop_hold, &slot);
	hv_flip_proc_exit(slot);
	hv_heap_proc_exit(slot);
	hv_unshare_all(slot);
	hv_handle_close_all(slot);
	free_threads(slot);
	close(p->pidfd);
	memset(p, 0, sizeof(*p));
	atomic_store(&sp->used, 0);
}

static void read_comm(pid_t pid, char *comm, size_t size)
{
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(comm, size, f))
		snprintf(comm, size, "?");
	comm[strcspn(comm, "\n")] = '\0';
	if (f)
		fclose(f);
}

int hv_proc_add(uint32_t domid, pid_t pid, uint32_t flags, struct lx_rep *rep)
{
	int dom = hv_find_domain(domid);
	unsigned n;

	if (dom < 0)
		return dom;
	for (n = 0; n < LX_MAX_PROCS && hv.proc[n].used; n++)
		;
	if (n == LX_MAX_PROCS)
		return -EAGAIN;
	hv.proc[n] = (struct hv_proc){ .used = true, .pid = pid, .dom_slot = dom };
	hv.proc[n].pidfd = pidfd_open(pid, 0);
	if (hv.proc[n].pidfd < 0) {
		hv.proc[n].used = false;
		return -errno;
	}
	hv.shm->proc[n].pid = pid;
	hv.shm->proc[n].domid = domid;
	hv.shm->proc[n].flags = flags;
	read_comm(pid, hv.shm->proc[n].comm, sizeof(hv.shm->proc[n].comm));
	atomic_store(&hv.shm->proc[n].used, 1);
	if (n >= hv.shm->nr_procs)
		atomic_store(&hv.shm->nr_procs, n + 1);
	rep->a = n;
	rep->b = hv.shm->proc[n].gen;
	rep->c = dom;
	return 0;
}
