/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that change owner in local Xen: XENMEM_increase and decrease_reservation,
 * GNTTABOP_transfer with each of its statuses, copies by frame number, and what a
 * receiver does. Runs in dom0 under `localxen run`; with an argument it checks how
 * an instance refuses that was started to refuse. LOCALXEN_FLIPS (default 100,000)
 * says how many pages go through, LOCALXEN_KILLS how many processes are killed.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xen/memory.h>
#include "lxguest.h"

#define PAGE 4096
#define WORDS (PAGE / 4)
#define HEAP_PAGES 65536
#define BATCH 256

static xencall_handle *xcall;
static xenforeignmemory_handle *fmem;
static uint32_t domid;
static struct lxguest guest;

/* ---- the calls ---- */

static long reservation(unsigned op, unsigned nr, xen_pfn_t *mfns)
{
	struct xen_memory_reservation r = { .nr_extents = nr, .domid = DOMID_SELF };

	set_xen_guest_handle(r.extent_start, mfns);
	return xencall2(xcall, __HYPERVISOR_memory_op, op, (uintptr_t)&r);
}

static long increase(unsigned nr, xen_pfn_t *mfns)
{
	return reservation(XENMEM_increase_reservation, nr, mfns);
}

static long decrease(unsigned nr, xen_pfn_t *mfns)
{
	return reservation(XENMEM_decrease_reservation, nr, mfns);
}

static xen_pfn_t one_page(void)
{
	xen_pfn_t mfn = 0;

	CU_ASSERT_EQUAL_FATAL(increase(1, &mfn), 1);
	return mfn;
}

static long tot_pages(void)
{
	domid_t self = DOMID_SELF;

	return xencall2(xcall, __HYPERVISOR_memory_op, XENMEM_current_reservation,
			(uintptr_t)&self);
}

static int transfer(unsigned nr, struct gnttab_transfer *ops)
{
	return xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_transfer,
			(uintptr_t)ops, nr) ? -errno : 0;
}

static int transfer_one(xen_pfn_t mfn, uint32_t to, uint32_t ref)
{
	struct gnttab_transfer op = { .mfn = mfn, .domid = to, .ref = ref, .status = 99 };

	CU_ASSERT_EQUAL(transfer(1, &op), 0);
	return op.status;
}

static void *map(xen_pfn_t mfn)
{
	return xenforeignmemory_map(fmem, DOMID_SELF, PROT_READ | PROT_WRITE, 1, &mfn,
				    NULL);
}

/* Fills pages with first, first + 1, ... through one mapping. */
static void fill(unsigned nr, const xen_pfn_t *mfns, uint32_t first)
{
	uint32_t *p = xenforeignmemory_map(fmem, DOMID_SELF, PROT_READ | PROT_WRITE, nr,
					   mfns, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	for (unsigned i = 0; i < nr * WORDS; i++)
		p[i] = first + i / WORDS;
	CU_ASSERT_EQUAL(xenforeignmemory_unmap(fmem, p, nr), 0);
}

/* A number from `localxen status --json`: of a domain, or of the host (-1). */
static long status_number(int of, const char *key)
{
	char line[1024], domain[40] = "", name[40];
	long value = -1;
	FILE *f;

	snprintf(line, sizeof(line), "%s status --json", getenv("LOCALXEN"));
	f = popen(line, "re");
	if (of >= 0)
		snprintf(domain, sizeof(domain), "{\"domid\": %d, \"name\"", of);
	snprintf(name, sizeof(name), "\"%s\": ", key);
	while (f && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, domain) ? strstr(line, name) : NULL;

		if (at)
			value = strtol(at + strlen(name), NULL, 10);
	}
	pclose(f);
	return value;
}

static long heap_free(void)
{
	return status_number(-1, "heap_free_pages");
}

static long heap_of(int of)
{
	return status_number(of, "heap_pages");
}

static uint32_t offer_one(uint32_t from)
{
	CU_ASSERT_EQUAL_FATAL(lxguest_do(&guest, LXG_FLIP_OFFER, from, 1, 0), 0);
	return guest.m.refs[0];
}

static void nothing_left(void)
{
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_FLUSH, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(heap_free(), HEAP_PAGES);
	CU_ASSERT_EQUAL(heap_of(domid), 0);
	CU_ASSERT_EQUAL(heap_of(0), 0);
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
}

/* ---- reservations and references ---- */

static void test_reservation(void)
{
	domid_t other = domid;
	xen_pfn_t mfns[4097];
	long before = tot_pages();
	int max = xencall2(xcall, __HYPERVISOR_memory_op, XENMEM_maximum_reservation,
			   (uintptr_t)&(domid_t){ DOMID_SELF });

	CU_ASSERT_EQUAL(before, status_number(0, "tot_pages"));
	CU_ASSERT_EQUAL(max, before + 4096);
	CU_ASSERT_EQUAL(increase(3, mfns), 3);
	CU_ASSERT(mfns[0] >= 1 << 24 && mfns[1] != mfns[0] && mfns[2] != mfns[1]);
	CU_ASSERT_EQUAL(tot_pages(), before + 3);
	CU_ASSERT_EQUAL(decrease(3, mfns), 3);
	CU_ASSERT_EQUAL(decrease(3, mfns), 0);		/* not ours any more */
	/* As many as the maximum lets us have. */
	CU_ASSERT_EQUAL(increase(4097, mfns), 4096);
	CU_ASSERT_EQUAL(increase(1, mfns + 4096), 0);
	CU_ASSERT_EQUAL(decrease(4096, mfns), 4096);
	CU_ASSERT_EQUAL(tot_pages(), before);
	CU_ASSERT_EQUAL(xencall2(xcall, __HYPERVISOR_memory_op,
				 XENMEM_current_reservation, (uintptr_t)&other), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	nothing_left();
}

static void test_mapping(void)
{
	xen_pfn_t mfn = one_page(), pair[2] = { mfn, 12345 }, wrong = mfn + 1;
	uint32_t ref = offer_one(0), *p, *q;
	int err[2];

	CU_ASSERT_PTR_NULL(map(wrong));			/* in the heap, nobody's */
	p = map(mfn);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	*p = 77;
	/* Own memory and the heap in one call. */
	q = xenforeignmemory_map(fmem, 0, PROT_READ, 2, pair, err);
	CU_ASSERT(q && !err[0] && !err[1] && *q == 77);
	CU_ASSERT_EQUAL(transfer_one(mfn, domid, ref), GNTST_bad_page);
	CU_ASSERT_EQUAL(xenforeignmemory_unmap(fmem, q, 2), 0);
	CU_ASSERT_EQUAL(transfer_one(mfn, domid, ref), GNTST_bad_page);
	/* Given up while mapped: it goes with its last mapping. */
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 0);
	CU_ASSERT_EQUAL(heap_of(0), 1);
	CU_ASSERT_EQUAL(xenforeignmemory_unmap(fmem, p, 1), 0);
	CU_ASSERT_EQUAL(heap_of(0), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, ref, 0, 0), 0);
	nothing_left();
}

static uint32_t first_word(xen_pfn_t mfn)
{
	uint32_t *p = map(mfn), word = 0;

	CU_ASSERT_PTR_NOT_NULL(p);
	if (p) {
		word = *p;
		xenforeignmemory_unmap(fmem, p, 1);
	}
	return word;
}

/* A domain that has the page, by transfer or because it asked, dies. */
static void die_with(xen_pfn_t mfn, bool by_transfer)
{
	uint32_t other = lxguest_new_domain("--name=dying");

	lxguest_stop(&guest);
	lxguest_start(&guest, other);
	if (by_transfer) {
		CU_ASSERT_EQUAL(transfer_one(mfn, other, offer_one(0)), GNTST_okay);
	} else {
		CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
		CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_INCREASE, 1, 0, 0), 1);
	}
	CU_ASSERT_EQUAL(heap_of(other), 1);
	lxguest_localxen("destroy dying");
	lxguest_stop(&guest);
	lxguest_start(&guest, domid);
}

/* What a page held is seen by who has it next, unless its owner died. */
static void test_not_scrubbed(void)
{
	xen_pfn_t mfn = one_page();

	fill(1, &mfn, 4711);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	CU_ASSERT_EQUAL_FATAL(one_page(), mfn);
	CU_ASSERT_EQUAL(first_word(mfn), 4711);
	for (int by_transfer = 0; by_transfer < 2; by_transfer++) {
		fill(1, &mfn, 4711);
		die_with(mfn, by_transfer);
		CU_ASSERT_EQUAL_FATAL(one_page(), mfn);
		CU_ASSERT_EQUAL(first_word(mfn), 0);
	}
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	nothing_left();
}

/* ---- transfer ---- */

static void test_okay(void)
{
	xen_pfn_t mfn = one_page();
	uint32_t ref = offer_one(0);
	int page;

	fill(1, &mfn, 0x01020304);
	CU_ASSERT_EQUAL(transfer_one(mfn, domid, ref), GNTST_okay);
	CU_ASSERT_EQUAL(heap_of(0), 0);
	CU_ASSERT_EQUAL(heap_of(domid), 1);
	CU_ASSERT_PTR_NULL(map(mfn));			/* another's now */
	CU_ASSERT_EQUAL(decrease(1, &mfn), 0);
	CU_ASSERT_EQUAL(transfer_one(mfn, domid, ref), GNTST_bad_page);
	CU_ASSERT_EQUAL(status_number(-1, "mismatches"), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, ref, 0, 0), 1);
	page = guest.m.refs[0];
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_PEEK, page, 4095, 0), 1);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, ref, 0, 0), -EINVAL);
	lxguest_do(&guest, LXG_FLIP_GIVE, page, 0, 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_FLUSH, 0, 0, 0), 0);
	/* It was wiped by who had it. */
	CU_ASSERT_EQUAL(one_page(), mfn);
	CU_ASSERT_EQUAL(first_word(mfn), 0);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	nothing_left();
}

/* The page is the sender's still. */
static void test_bad_page(void)
{
	uint32_t ref = offer_one(0);
	xen_pfn_t mfn = one_page();

	CU_ASSERT_EQUAL(transfer_one(100, domid, ref), GNTST_bad_page);
	CU_ASSERT_EQUAL(transfer_one(UINT64_MAX, domid, ref), GNTST_bad_page);
	CU_ASSERT_EQUAL(transfer_one(mfn + 1, domid, ref), GNTST_bad_page);
	CU_ASSERT_EQUAL(heap_of(0), 1);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, ref, 0, 0), 0);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	nothing_left();
}

static void costs_page(uint32_t to, uint32_t ref, int status)
{
	xen_pfn_t mfn = one_page();

	CU_ASSERT_EQUAL(transfer_one(mfn, to, ref), status);
	CU_ASSERT_EQUAL(heap_of(0), 0);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 0);
}

static void test_costs_page(void)
{
	uint32_t ref = offer_one(7), open;
	int region, page;

	costs_page(4000, ref, GNTST_bad_domain);
	costs_page(DOMID_SELF, ref, GNTST_bad_domain);
	costs_page(domid, ref, GNTST_general_error);		/* open for domain 7 */
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, ref, 0, 0), 0);
	costs_page(domid, ref, GNTST_general_error);		/* closed */
	costs_page(domid, 1 << 20, GNTST_general_error);
	region = lxguest_do(&guest, LXG_SHARE, 0, 1, 1);
	costs_page(domid, guest.m.refs[0], GNTST_general_error);	/* another type */
	lxguest_do(&guest, LXG_UNSHARE, region, 0, 0);
	open = offer_one(0);
	CU_ASSERT_EQUAL(transfer_one(one_page(), domid, open), GNTST_okay);
	costs_page(domid, open, GNTST_general_error);		/* completed */
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, open, 0, 0), 1);
	page = guest.m.refs[0];
	lxguest_do(&guest, LXG_FLIP_GIVE, page, 0, 0);
	nothing_left();
}

static void test_headroom(void)
{
	uint32_t small = lxguest_new_domain("--name=small --extra-pages=3"), ref;

	lxguest_stop(&guest);
	lxguest_start(&guest, small);
	CU_ASSERT_EQUAL(status_number(small, "max_pages"),
			status_number(small, "tot_pages") + 3);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_OFFER, 0, 4, 0), -ENOMEM);
	ref = offer_one(0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_OFFER, 0, 3, 0), -ENOMEM);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_INCREASE, 10, 0, 0), 3);
	costs_page(small, ref, GNTST_general_error);
	/* Dying: a page of it is mapped here. */
	CU_ASSERT(lxguest_do(&guest, LXG_SHARE, 0, 1, 1) >= 0);
	xengnttab_handle *xgt = xengnttab_open(NULL, 0);
	void *p = xengnttab_map_grant_ref(xgt, small, guest.m.refs[0], PROT_READ);

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	lxguest_localxen("destroy small");
	costs_page(small, ref, GNTST_general_error);
	CU_ASSERT_EQUAL(heap_free(), HEAP_PAGES);
	xengnttab_unmap(xgt, p, 1);
	xengnttab_close(xgt);
	lxguest_stop(&guest);
	lxguest_start(&guest, domid);
	nothing_left();
}

static void test_batch(void)
{
	struct gnttab_transfer ops[3];
	xen_pfn_t mfns[3];

	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_OFFER, 0, 3, 0), 0);
	CU_ASSERT_EQUAL_FATAL(increase(3, mfns), 3);
	fill(3, mfns, 50);
	for (int i = 0; i < 3; i++)
		ops[i] = (struct gnttab_transfer){ .mfn = mfns[i], .domid = domid,
						   .ref = guest.m.refs[i] };
	ops[1].domid = 4000;
	CU_ASSERT_EQUAL(transfer(3, ops), 0);
	CU_ASSERT(!ops[0].status && ops[1].status == GNTST_bad_domain && !ops[2].status);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_DRAIN, 50, 3, 0), 2);
	nothing_left();
}

static void test_injected(void)
{
	static const struct { const char *name; int status; bool kept; } each[] = {
		{ "bad_page", GNTST_bad_page, true },
		{ "bad_domain", GNTST_bad_domain, false },
		{ "general_error", GNTST_general_error, false },
		{ "permission_denied", GNTST_permission_denied, false },
		{ "address_too_big", GNTST_address_too_big, false },
	};
	xen_pfn_t mfn;
	uint32_t ref = offer_one(0);
	char rule[100];

	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		mfn = one_page();
		snprintf(rule, sizeof(rule), "fail transfer --status %s >/dev/null",
			 each[i].name);
		CU_ASSERT_EQUAL(lxguest_localxen(rule), 0);
		CU_ASSERT_EQUAL(transfer_one(mfn, domid, ref), each[i].status);
		CU_ASSERT_EQUAL(decrease(1, &mfn), each[i].kept);
	}
	CU_ASSERT_EQUAL(lxguest_localxen("fail transfer --errno EFAULT >/dev/null"), 0);
	CU_ASSERT_EQUAL(transfer(1, &(struct gnttab_transfer){ .mfn = 0 }), -EFAULT);
	CU_ASSERT_EQUAL(lxguest_localxen("fail increase --errno ENOMEM >/dev/null"), 0);
	CU_ASSERT_EQUAL(increase(1, &mfn), 0);
	CU_ASSERT_EQUAL(increase(1, &mfn), 1);
	CU_ASSERT_EQUAL(lxguest_localxen("fail decrease --errno EPERM >/dev/null"), 0);
	CU_ASSERT_EQUAL(decrease(1, &mfn), -1);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	CU_ASSERT_EQUAL(lxguest_localxen("fail --clear"), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_FLIP_TAKE, ref, 0, 0), 0);
	nothing_left();
}

/* ---- copies by frame number ---- */

#define SEGMENTS 20000

static struct gnttab_copy segments[SEGMENTS];
static _Atomic bool copying;

static void *copy_all(void *arg)
{
	(void)arg;
	copying = true;
	xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_copy, (uintptr_t)segments,
		 SEGMENTS);
	return NULL;
}

static void set_segments(xen_pfn_t to, xen_pfn_t from)
{
	for (int i = 0; i < SEGMENTS; i++)
		segments[i] = (struct gnttab_copy){
			.source = { .domid = DOMID_SELF, .u.gmfn = from },
			.dest = { .domid = DOMID_SELF, .u.gmfn = to }, .len = PAGE };
}

/* True: the transfer came while the page was being written, and was refused. */
static bool transfer_while_copied(uint32_t ref)
{
	xen_pfn_t to = one_page(), from = one_page();
	pthread_t thread;
	int st;

	fill(1, &from, 5);
	set_segments(to, from);
	copying = false;
	pthread_create(&thread, NULL, copy_all, NULL);
	while (!copying)
		usleep(10);
	usleep(200);
	st = transfer_one(to, 4000, ref);
	pthread_join(thread, NULL);
	/* Either refused, and all segments were copied, or gone, and not one after that. */
	if (st == GNTST_bad_page) {
		CU_ASSERT_EQUAL(segments[SEGMENTS - 1].status, GNTST_okay);
		CU_ASSERT_EQUAL(decrease(1, &to), 1);
	} else {
		CU_ASSERT_EQUAL(st, GNTST_bad_domain);
	}
	CU_ASSERT_EQUAL(decrease(1, &from), 1);
	return st == GNTST_bad_page;
}

static void test_copy(void)
{
	xen_pfn_t mfn = one_page(), free_one = mfn + 5000;
	struct gnttab_copy c = { .source = { .domid = DOMID_SELF, .u.gmfn = mfn },
				 .dest = { .domid = DOMID_SELF, .u.gmfn = free_one },
				 .len = 100 };
	bool seen = false;

	fill(1, &mfn, 9);
	CU_ASSERT_EQUAL(xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_copy,
				 (uintptr_t)&c, 1), 0);
	CU_ASSERT_EQUAL(c.status, GNTST_bad_page);
	/* A frame of one's own, but named by one's number. */
	c.source.domid = 0;
	c.dest.u.gmfn = mfn;
	CU_ASSERT_EQUAL(xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_copy,
				 (uintptr_t)&c, 1), 0);
	CU_ASSERT_EQUAL(c.status, GNTST_permission_denied);
	CU_ASSERT_EQUAL(decrease(1, &mfn), 1);
	for (int i = 0; i < 200 && !seen; i++)
		seen = transfer_while_copied(0);
	CU_ASSERT(seen);
	nothing_left();
}

/* ---- many, and sudden deaths ---- */

static void send_batch(uint32_t first)
{
	struct gnttab_transfer ops[BATCH];
	xen_pfn_t mfns[BATCH];

	CU_ASSERT_EQUAL_FATAL(lxguest_do(&guest, LXG_FLIP_OFFER, 0, BATCH, 0), 0);
	CU_ASSERT_EQUAL_FATAL(increase(BATCH, mfns), BATCH);
	fill(BATCH, mfns, first);
	for (int i = 0; i < BATCH; i++)
		ops[i] = (struct gnttab_transfer){ .mfn = mfns[i], .domid = domid,
						   .ref = guest.m.refs[i] };
	CU_ASSERT_EQUAL_FATAL(transfer(BATCH, ops), 0);
	for (int i = 0; i < BATCH; i++)
		CU_ASSERT_EQUAL_FATAL(ops[i].status, GNTST_okay);
	CU_ASSERT_EQUAL_FATAL(lxguest_do(&guest, LXG_FLIP_DRAIN, first, BATCH, 0), BATCH);
}

static unsigned env_number(const char *name, unsigned def)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : def;
}

static void test_many(void)
{
	unsigned total = env_number("LOCALXEN_FLIPS", 100000);

	for (unsigned i = 0; i < total; i += BATCH)
		send_batch(i);
	nothing_left();
}

#define SLOTS 32

static struct {
	_Atomic uint32_t ref[SLOTS];	/* 0: none */
	_Atomic uint32_t sent, taken;
} *shared;

static void send_loop(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	xcall = xencall_open(NULL, 0);
	fmem = xenforeignmemory_open(NULL, 0);
	for (;;) {
		for (int i = 0; i < SLOTS; i++) {
			uint32_t ref = atomic_exchange(&shared->ref[i], 0);
			xen_pfn_t mfn;
			uint32_t *p;

			if (!ref || increase(1, &mfn) != 1)
				continue;
			p = map(mfn);
			if (!p)
				_exit(1);
			p[0] = p[WORDS - 1] = ref;
			xenforeignmemory_unmap(fmem, p, 1);
			struct gnttab_transfer op = { .mfn = mfn, .domid = domid, .ref = ref };

			/* Its receiver may be dead: that costs the page. */
			if (transfer(1, &op) ||
			    (op.status && op.status != GNTST_general_error))
				_exit(2);
			shared->sent += !op.status;
		}
	}
}

/* Takes an entry that the sender has used, and opens the next. */
static void receive_slot(int i, uint32_t *own)
{
	void *page;
	int rc = 0;

	if (shared->ref[i])
		return;
	if (own[i])
		rc = lx_flip_take(NULL, own[i], &page);
	if (rc < 0)
		return;
	if (rc) {
		if (*(uint32_t *)page != own[i])
			_exit(3);
		lx_flip_give(NULL, page);
		shared->taken++;
	}
	if (lx_flip_offer(NULL, 0, 1, &own[i]))
		own[i] = 0;
	shared->ref[i] = own[i];
}

static void receive_loop(void)
{
	uint32_t own[SLOTS] = { 0 };
	char text[16];

	snprintf(text, sizeof(text), "%u", domid);
	setenv("LOCALXEN_DOMID", text, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (int i = 0; i < SLOTS; i++)
			receive_slot(i, own);
		if (lx_flip_flush(NULL))
			_exit(4);
	}
}

static pid_t start(void (*fn)(void))
{
	pid_t pid = fork();

	if (!pid) {
		fn();
		_exit(0);
	}
	return pid;
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	CU_ASSERT(WIFSIGNALED(status));
}

static void test_kill(void)
{
	unsigned kills = env_number("LOCALXEN_KILLS", 200), senders = 0;
	long grants = status_number(domid, "grants_used");
	pid_t sender = start(send_loop), receiver = start(receive_loop);

	for (unsigned i = 0; i < kills; i++) {
		usleep(rand() % 4000);
		if (rand() & 1) {
			stop(sender);
			senders++;
			sender = start(send_loop);
		} else {
			stop(receiver);
			memset((void *)shared->ref, 0, sizeof(shared->ref));
			receiver = start(receive_loop);
		}
	}
	stop(receiver);
	stop(sender);
	CU_ASSERT(shared->sent > 0 && shared->taken > 0);
	/* What the dead had goes a moment later. */
	for (int i = 0; i < 400 && heap_of(domid); i++)
		usleep(50000);
	CU_ASSERT_EQUAL(heap_of(domid), 0);
	CU_ASSERT_EQUAL(status_number(domid, "grants_used"), grants);
	CU_ASSERT_EQUAL(status_number(-1, "mismatches"), 0);
	/* A dead sender's page stays its domain's, as on Xen: one each at most. */
	CU_ASSERT(heap_of(0) <= senders + 1);
	CU_ASSERT_EQUAL(heap_free() + heap_of(0), HEAP_PAGES);
}

/* ---- instances that refuse ---- */

static int refused(const char *how)
{
	xen_pfn_t mfn = 0;
	long got = increase(1, &mfn);
	int rc = lxguest_do(&guest, LXG_FLIP_OFFER, 0, 1, 0);
	struct gnttab_transfer op = { .mfn = mfn, .domid = domid,
				      .ref = guest.m.refs[0] };

	if (!strcmp(how, "no-headroom"))
		return rc || got != 0;
	if (!rc)
		rc = transfer(1, &op);
	if (got != 1 || decrease(1, &mfn) != 1)
		return 1;
	if (!strcmp(how, "no-transfer"))
		return rc != -EOPNOTSUPP;
	return rc || op.status != GNTST_general_error;
}

static int run_suite(void)
{
	CU_pSuite s;
	int failed;

	CU_initialize_registry();
	s = CU_add_suite("localxen transfer", NULL, NULL);
	CU_add_test(s, "reservation", test_reservation);
	CU_add_test(s, "mapping is a reference", test_mapping);
	CU_add_test(s, "not scrubbed", test_not_scrubbed);
	CU_add_test(s, "okay", test_okay);
	CU_add_test(s, "bad page stays", test_bad_page);
	CU_add_test(s, "failure costs the page", test_costs_page);
	CU_add_test(s, "headroom and dying", test_headroom);
	CU_add_test(s, "batch", test_batch);
	CU_add_test(s, "injected", test_injected);
	CU_add_test(s, "copy holds", test_copy);
	CU_add_test(s, "many", test_many);
	CU_add_test(s, "kill", test_kill);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	int rc;

	xcall = xencall_open(NULL, 0);
	fmem = xenforeignmemory_open(NULL, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!xcall || !fmem || shared == MAP_FAILED)
		return 1;
	domid = lxguest_new_domain("--name=receiving");
	lxguest_start(&guest, domid);
	rc = argc > 1 ? refused(argv[1]) : run_suite();
	lxguest_stop(&guest);
	return rc;
}
