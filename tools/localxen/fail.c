/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail.c - asks the fault rules whether a call fails.
 *
 * Hides how rules match and count. While there is no rule a check is one load.
 */
#include <stdbool.h>
#include "lx.h"

static bool matches(const struct lx_rule *r, enum lx_call call, int pid)
{
	return atomic_load_explicit(&r->used, memory_order_acquire) &&
	       r->call == call && (r->domid < 0 || r->domid == (int)lx.domid) &&
	       (!r->pid || r->pid == pid);
}

static bool hits(struct lx_rule *r)
{
	uint32_t n = atomic_fetch_add(&r->seen, 1) + 1;

	if (n < r->nth || (r->count && n >= r->nth + r->count))
		return false;
	atomic_fetch_add(&r->hits, 1);
	return true;
}

/* Every matching rule counts the call; the first that hits decides. */
static int check(enum lx_call call, int pid, bool status)
{
	int found = 0;

	for (unsigned i = 0; i < LX_MAX_RULES; i++) {
		struct lx_rule *r = &lx.shm->rule[i];

		if (!matches(r, call, pid) || status != !!r->status)
			continue;
		if (hits(r) && !found)
			found = status ? r->status : r->err;
	}
	return found;
}

static bool any_rule(void)
{
	return lx.shm && __builtin_expect(atomic_load_explicit(
			&lx.shm->nr_rules, memory_order_relaxed), 0);
}

int lx_fail_check_pid(enum lx_call call, int pid)
{
	return any_rule() ? check(call, pid, false) : 0;
}

int lx_fail_check(enum lx_call call)
{
	return any_rule() ? check(call, lx.proc->pid, false) : 0;
}

int lx_fail_status(enum lx_call call)
{
	return any_rule() ? check(call, lx.proc->pid, true) : 0;
}
