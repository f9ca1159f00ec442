/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Local Xen's grants: status codes, revoking what is in use, limits, copies.
 * Runs in dom0 under `localxen run`; the granting side is an lxguest.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xencall.h>
#include <xengnttab.h>
#include <xenevtchn.h>
#include "lxguest.h"

#define PAGE 4096

static xengnttab_handle *xgt;
static uint32_t domid;		/* a guest with small limits */
static struct lxguest guest;

static int share(unsigned count, int writable)
{
	return lxguest_do(&guest, LXG_SHARE, 0, count, writable);
}

static void unshare(int region)
{
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNSHARE, region, 0, 0), 0);
}

/* ---- copies ---- */

static xengnttab_grant_copy_segment_t from_guest(uint32_t ref, unsigned offset,
						 void *virt, unsigned len)
{
	xengnttab_grant_copy_segment_t s = { .flags = GNTCOPY_source_gref, .len = len,
					     .status = 99 };

	s.source.foreign.domid = domid;
	s.source.foreign.ref = ref;
	s.source.foreign.offset = offset;
	s.dest.virt = virt;
	return s;
}

static xengnttab_grant_copy_segment_t to_guest(uint32_t ref, unsigned offset,
					       void *virt, unsigned len)
{
	xengnttab_grant_copy_segment_t s = { .flags = GNTCOPY_dest_gref, .len = len,
					     .status = 99 };

	s.dest.foreign.domid = domid;
	s.dest.foreign.ref = ref;
	s.dest.foreign.offset = offset;
	s.source.virt = virt;
	return s;
}

static int copy_status(xengnttab_grant_copy_segment_t s)
{
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 1, &s), 0);
	return s.status;
}

static void test_copy_each_way(void)
{
	int region = share(2, 1);
	uint32_t a = guest.m.refs[0], b = guest.m.refs[1];
	char out[PAGE], in[PAGE];
	xengnttab_grant_copy_segment_t both = from_guest(a, 100, NULL, 50);

	CU_ASSERT_FATAL(region >= 0);
	memset(out, 'x', sizeof(out));
	CU_ASSERT_EQUAL(copy_status(to_guest(a, 0, out, PAGE)), GNTST_okay);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, PAGE - 1, 0), 'x');
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, PAGE, 0), 0);
	lxguest_do(&guest, LXG_POKE, region, 120, 'y');

	both.flags |= GNTCOPY_dest_gref;
	both.dest.foreign.domid = domid;
	both.dest.foreign.ref = b;
	both.dest.foreign.offset = 4000;
	CU_ASSERT_EQUAL(copy_status(both), GNTST_okay);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, PAGE + 4020, 0), 'y');
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, PAGE + 4050, 0), 0);

	memset(in, 0, sizeof(in));
	CU_ASSERT_EQUAL(copy_status(from_guest(b, 4000, in, 50)), GNTST_okay);
	CU_ASSERT_EQUAL(in[20], 'y');
	CU_ASSERT_EQUAL(in[49], 'x');
	CU_ASSERT_EQUAL(in[50], 0);
	unshare(region);
}

static void test_copy_status(void)
{
	int region = share(1, 1);
	uint32_t ref = guest.m.refs[0], ro;
	xengnttab_grant_copy_segment_t s;
	int ro_region;
	char buf[PAGE];

	ro_region = share(1, 0);
	ro = guest.m.refs[0];
	CU_ASSERT_EQUAL(copy_status(from_guest(ro, 0, buf, 8)), GNTST_okay);
	CU_ASSERT_EQUAL(copy_status(to_guest(ro, 0, buf, 8)), GNTST_general_error);
	CU_ASSERT_EQUAL(copy_status(from_guest(9999999, 0, buf, 8)), GNTST_bad_gntref);
	CU_ASSERT_EQUAL(copy_status(from_guest(ref + 100, 0, buf, 8)),
			GNTST_general_error);
	s = from_guest(ref, 0, buf, 8);
	s.source.foreign.domid = 31000;
	CU_ASSERT_EQUAL(copy_status(s), GNTST_bad_domain);
	s.source.foreign.domid = 0;
	CU_ASSERT_EQUAL(copy_status(s), GNTST_general_error);
	/* The xenstore ring is granted to dom0 by the domain builder. */
	CU_ASSERT_EQUAL(copy_status(from_guest(GNTTAB_RESERVED_XENSTORE, 0, buf, 8)),
			GNTST_okay);
	unshare(region);
	unshare(ro_region);
	CU_ASSERT_EQUAL(copy_status(from_guest(ref, 0, buf, 8)), GNTST_general_error);
}

/* What gntdev refuses as a whole; and one bad segment among good ones. */
static void test_copy_whole_call(void)
{
	int region = share(1, 1);
	uint32_t ref = guest.m.refs[0];
	char buf[2 * PAGE] = "";
	xengnttab_grant_copy_segment_t s[3] = {
		from_guest(ref, 0, buf, 16), from_guest(ref + 1, 0, buf, 16),
		from_guest(ref, 16, buf + 16, 16) };

	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 3, s), 0);
	CU_ASSERT_EQUAL(s[0].status, GNTST_okay);
	CU_ASSERT_EQUAL(s[1].status, GNTST_general_error);
	CU_ASSERT_EQUAL(s[2].status, GNTST_okay);

	s[0] = from_guest(ref, 4090, buf, 7);
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 1, s), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	s[0] = to_guest(ref, 1, buf, PAGE);
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 1, s), -1);
	s[0] = from_guest(ref, 0, buf, 16);
	s[0].flags = 0;
	s[0].source.virt = buf + PAGE;
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 1, s), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	/* The caller's own side may cross a page. */
	CU_ASSERT_EQUAL(copy_status(from_guest(ref, 0, buf + PAGE - 5, PAGE)), GNTST_okay);
	unshare(region);
}

/* Segments in a row share a hold on their page; none is left after the call. */
static void test_copy_shared_hold(void)
{
	int region[3];
	uint32_t ref[3];
	char out[64], in[64] = "";

	for (unsigned i = 0; i < 3; i++) {
		region[i] = share(1, i < 2);
		ref[i] = guest.m.refs[0];
	}
	memset(out, 'x', sizeof(out));
	xengnttab_grant_copy_segment_t s[] = {
		to_guest(ref[0], 0, out, 16), to_guest(ref[0], 16, out, 16),
		to_guest(ref[1], 0, out, 16), to_guest(ref[2], 0, out, 16),
		to_guest(ref[1], 16, out, 16), to_guest(ref[0], 32, out, 16),
		from_guest(ref[0], 0, in, 48), from_guest(ref[2], 0, in + 48, 8),
	};
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 8, s), 0);
	for (unsigned i = 0; i < 8; i++)	/* the third page is read-only */
		CU_ASSERT_EQUAL(s[i].status, i == 3 ? GNTST_general_error : GNTST_okay);
	CU_ASSERT(!memcmp(in, out, 48) && !in[48]);
	for (unsigned i = 0; i < 3; i++) {
		unshare(region[i]);
		CU_ASSERT_EQUAL(copy_status(from_guest(ref[i], 0, in, 8)), GNTST_general_error);
	}
}

/* ---- maps ---- */

static void test_map(void)
{
	int region = share(3, 1);
	uint32_t refs[3];
	char *p;

	memcpy(refs, guest.m.refs, sizeof(refs));
	lxguest_do(&guest, LXG_POKE, region, 2 * PAGE + 7, 'g');
	p = xengnttab_map_domain_grant_refs(xgt, 3, domid, refs, PROT_READ | PROT_WRITE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(p[2 * PAGE + 7], 'g');
	p[PAGE] = 'd';
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, PAGE, 0), 'd');
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 2), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p + PAGE, 2), -1);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 3), 0);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 3), -1);
	/* In any order, pages that are not adjacent. */
	refs[0] = guest.m.refs[2];
	refs[2] = guest.m.refs[0];
	p = xengnttab_map_domain_grant_refs(xgt, 3, domid, refs, PROT_READ);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(p[7], 'g');
	CU_ASSERT_EQUAL(p[PAGE], 'd');
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 3), 0);
	unshare(region);
}

static void test_map_refused(void)
{
	int region = share(2, 0);
	uint32_t refs[2] = { guest.m.refs[0], guest.m.refs[1] + 50 };
	void *p;

	/* Read-only, an entry that is not granted, a domain that is not there. */
	CU_ASSERT_PTR_NULL(xengnttab_map_grant_ref(xgt, domid, refs[0],
						   PROT_READ | PROT_WRITE));
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_PTR_NULL(xengnttab_map_domain_grant_refs(xgt, 2, domid, refs, PROT_READ));
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_PTR_NULL(xengnttab_map_grant_ref(xgt, 31000, refs[0], PROT_READ));
	CU_ASSERT_PTR_NULL(xengnttab_map_grant_ref(xgt, domid, 1u << 30, PROT_READ));
	p = xengnttab_map_grant_ref(xgt, domid, refs[0], PROT_READ);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	unshare(region);
	/* Of its own a domain may map what it granted to itself, but by its number only. */
	region = lxguest_do(&guest, LXG_SHARE, domid, 1, 1);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_MAP, DOMID_SELF, 1, PROT_READ), -EINVAL);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNMAP,
				   lxguest_do(&guest, LXG_MAP, domid, 1, PROT_READ), 0, 0), 0);
	unshare(region);
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
}

/* Granted to dom0, so another guest may not. */
static void test_wrong_domain(void)
{
	struct lxguest other;
	int region = share(1, 1);

	lxguest_start(&other, lxguest_new_domain(""));
	other.m.refs[0] = guest.m.refs[0];
	CU_ASSERT_EQUAL(lxguest_do(&other, LXG_MAP, domid, 1, PROT_READ), -EINVAL);
	lxguest_stop(&other);
	unshare(region);
}

static void test_reader_then_writer(void)
{
	int region = share(1, 1);
	uint32_t ref = guest.m.refs[0];
	char *ro = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	char *rw = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ | PROT_WRITE);
	char buf[8] = "12345";

	CU_ASSERT_PTR_NOT_NULL_FATAL(ro);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rw);
	rw[5] = 'w';
	CU_ASSERT_EQUAL(ro[5], 'w');
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, rw, 1), 0);
	CU_ASSERT_EQUAL(copy_status(to_guest(ref, 0, buf, 6)), GNTST_okay);
	CU_ASSERT_STRING_EQUAL(ro, "12345");
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, ro, 1), 0);
	unshare(region);
}

/* ---- revoking ---- */

static void test_unshare_in_use(void)
{
	int region = share(1, 1), again;
	uint32_t ref = guest.m.refs[0];
	char *p = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ | PROT_WRITE);
	char buf[4];

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	strcpy(p, "old");
	unshare(region);
	CU_ASSERT_STRING_EQUAL(p, "old");
	/* Neither the page nor the reference is given to anyone else meanwhile. */
	again = share(8, 1);
	for (int i = 0; i < 8; i++) {
		CU_ASSERT_NOT_EQUAL(guest.m.refs[i], ref);
		CU_ASSERT_EQUAL(copy_status(to_guest(guest.m.refs[i], 0, "new", 4)),
				GNTST_okay);
	}
	CU_ASSERT_STRING_EQUAL(p, "old");
	CU_ASSERT_EQUAL(lxguest_localxen("status --check >/dev/null"), 1);
	unshare(again);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	/* Gone as soon as its last user is. */
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
	CU_ASSERT_EQUAL(copy_status(from_guest(ref, 0, buf, 4)), GNTST_general_error);
}

static void test_fresh_pages_are_zero(void)
{
	int region = share(1, 1);

	lxguest_do(&guest, LXG_POKE, region, 9, 'z');
	unshare(region);
	region = share(1, 1);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, 9, 0), 0);
	unshare(region);
}

/* ---- limits ---- */

static void test_gntalloc_limit(void)
{
	int region = share(30, 1);

	CU_ASSERT_EQUAL(share(3, 1), -ENOSPC);
	CU_ASSERT_EQUAL(share(0, 1), -EINVAL);
	unshare(region);
	region = share(32, 1);
	CU_ASSERT(region >= 0);
	unshare(region);
}

static void test_maptrack_limit(void)
{
	struct lxguest small;
	int region = share(2, 1), first, rc = 0, n = 0;

	/* dom0's pages, mapped by a guest with one frame of maptrack. */
	xengntshr_handle *xgs = xengntshr_open(NULL, 0);
	uint32_t small_domid = lxguest_new_domain("--maptrack=1"), ref;
	void *page = xengntshr_share_pages(xgs, small_domid, 1, &ref, 1);

	CU_ASSERT_PTR_NOT_NULL_FATAL(page);
	lxguest_start(&small, small_domid);
	small.m.refs[0] = ref;
	first = lxguest_do(&small, LXG_MAP, 0, 1, PROT_READ);
	while (rc >= 0 && n < 1000) {
		small.m.refs[0] = ref;
		rc = lxguest_do(&small, LXG_MAP, 0, 1, PROT_READ);
		n++;
	}
	CU_ASSERT_EQUAL(n, 256);
	CU_ASSERT_EQUAL(rc, -EINVAL);
	CU_ASSERT_EQUAL(lxguest_do(&small, LXG_UNMAP, first, 0, 0), 0);
	small.m.refs[0] = ref;
	CU_ASSERT(lxguest_do(&small, LXG_MAP, 0, 1, PROT_READ) >= 0);
	lxguest_stop(&small);
	CU_ASSERT_EQUAL(xengntshr_unshare(xgs, page, 1), 0);
	xengntshr_close(xgs);
	unshare(region);
}

static void test_grant_frames_limit(void)
{
	struct lxguest small;

	lxguest_start(&small, lxguest_new_domain("--grant-frames=1 --gntalloc-limit=2000"));
	/* 512 entries, of which 8 are reserved. */
	CU_ASSERT_EQUAL(lxguest_do(&small, LXG_SHARE, 0, 505, 1), -ENOSPC);
	CU_ASSERT(lxguest_do(&small, LXG_SHARE, 0, 504, 1) >= 0);
	CU_ASSERT_EQUAL(lxguest_do(&small, LXG_SHARE, 0, 1, 1), -ENOSPC);
	lxguest_stop(&small);
}

/* ---- notification, death ---- */

static void test_map_notify(void)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	int port, theirs, region = share(1, 1);
	uint32_t ref = guest.m.refs[0];
	char *p;

	lxguest_do(&guest, LXG_POKE, region, 77, 1);
	theirs = lxguest_do(&guest, LXG_ALLOC_PORT, 0, 0, 0);
	port = xenevtchn_bind_interdomain(xce, domid, theirs);
	CU_ASSERT_FATAL(port > 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PENDING, 0, 0, 0), -ETIMEDOUT);
	p = xengnttab_map_grant_ref_notify(xgt, domid, ref, PROT_READ | PROT_WRITE, 77,
					   port);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(p[77], 1);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, 77, 0), 0);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PENDING, 10000, 0, 0), theirs);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNBIND, theirs, 0, 0), 0);
	xenevtchn_close(xce);
	unshare(region);
}

/* A guest that dies with a shared page: its notification comes, its grant goes. */
static void test_share_notify_by_death(void)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	uint32_t victim_domid = lxguest_new_domain("");
	struct lxguest victim;
	int port, theirs;
	uint32_t ref;
	char *p;

	lxguest_start(&victim, victim_domid);
	theirs = lxguest_do(&victim, LXG_ALLOC_PORT, 0, 0, 0);
	port = xenevtchn_bind_interdomain(xce, victim_domid, theirs);
	CU_ASSERT_EQUAL(xenevtchn_pending(xce), port);	/* binding itself */
	xenevtchn_unmask(xce, port);
	CU_ASSERT(lxguest_do(&victim, LXG_SHARE_NOTIFY, 0, 5, theirs) >= 0);
	ref = victim.m.refs[0];
	p = xengnttab_map_grant_ref(xgt, victim_domid, ref, PROT_READ | PROT_WRITE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	p[5] = 1;
	lxguest_do(&victim, LXG_DIE, 0, 0, 0);
	CU_ASSERT_EQUAL(xenevtchn_pending(xce), port);	/* blocks until it comes */
	CU_ASSERT_EQUAL(p[5], 0);
	lxguest_stop(&victim);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	xenevtchn_close(xce);
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
	CU_ASSERT_PTR_NULL(xengnttab_map_grant_ref(xgt, victim_domid, ref, PROT_READ));
}

static void test_destroy_while_mapped(void)
{
	uint32_t victim_domid = lxguest_new_domain("--name=victim");
	struct lxguest victim;
	uint32_t ref;
	char *p;

	lxguest_start(&victim, victim_domid);
	CU_ASSERT(lxguest_do(&victim, LXG_SHARE, 0, 1, 1) >= 0);
	ref = victim.m.refs[0];
	p = xengnttab_map_grant_ref(xgt, victim_domid, ref, PROT_READ | PROT_WRITE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	strcpy(p, "still here");
	CU_ASSERT_EQUAL(lxguest_localxen("destroy victim"), 0);
	waitpid(victim.pid, NULL, 0);
	CU_ASSERT_STRING_EQUAL(p, "still here");
	CU_ASSERT_PTR_NULL(xengnttab_map_grant_ref(xgt, victim_domid, ref, PROT_READ));
	CU_ASSERT_EQUAL(lxguest_localxen("status | grep -q dying"), 0);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
	CU_ASSERT_NOT_EQUAL(lxguest_localxen("status | grep -q dying"), 0);
	close(victim.sock);
}

/* ---- fork, hypercalls ---- */

static void test_fork(void)
{
	int region = share(1, 1), status;
	uint32_t ref = guest.m.refs[0];
	pid_t pid = fork();

	if (!pid) {
		xengnttab_handle *own;
		void *p = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);

		if (p || errno != EBADF)
			_exit(1);
		own = xengnttab_open(NULL, 0);
		p = own ? xengnttab_map_grant_ref(own, domid, ref, PROT_READ) : NULL;
		xengnttab_close(xgt);
		_exit(p ? 0 : 2);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	/* The child is gone, and its mapping; ours still work. */
	CU_ASSERT_EQUAL(lxguest_localxen("status --check | grep -q test-localxen"), 1);
	void *p = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	unshare(region);
}

/* Exit status: 0 when the page is the guest's, not the file's that is at every number. */
static int map_with_other_descriptors(uint32_t ref)
{
	int file = memfd_create("inherited", 0);
	xengnttab_handle *own;
	char *p;

	if (ftruncate(file, 1 << 28))
		return 2;
	for (int fd = 3; fd < 256; fd++)
		if (fd != file && dup2(file, fd) != fd)
			return 3;
	own = xengnttab_open(NULL, 0);
	p = own ? xengnttab_map_grant_ref(own, domid, ref, PROT_READ) : NULL;
	if (!p)
		return 4;
	return *p == 'f' ? 0 : 5;
}

/* A child has its own files where its parent had domains' memory, as a daemon may. */
static void test_map_after_fork(void)
{
	int region = share(1, 1), status;
	uint32_t ref = guest.m.refs[0];
	pid_t pid;
	void *p;

	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_POKE, region, 0, 'f'), 0);
	p = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);
	CU_ASSERT_PTR_NOT_NULL(p);
	pid = fork();
	if (!pid)
		_exit(map_with_other_descriptors(ref));
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	unshare(region);
}

/* A domain whose memory could not be received for want of a descriptor is asked for again. */
static void test_map_without_descriptor(void)
{
	uint32_t other_domid = lxguest_new_domain("");
	struct rlimit old, none;
	struct lxguest other;
	void *p;

	lxguest_start(&other, other_domid);
	CU_ASSERT(lxguest_do(&other, LXG_SHARE, 0, 1, 1) >= 0);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_PTR_NULL(xengnttab_map_grant_ref(xgt, other_domid, other.m.refs[0], PROT_READ));
	CU_ASSERT_EQUAL(errno, EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	p = xengnttab_map_grant_ref(xgt, other_domid, other.m.refs[0], PROT_READ);
	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_EQUAL(p ? xengnttab_unmap(xgt, p, 1) : 0, 0);
	lxguest_stop(&other);
}

static void test_hypercall(void)
{
	xencall_handle *xcall = xencall_open(NULL, 0);
	struct gnttab_query_size *size = xencall_alloc_buffer(xcall, sizeof(*size));
	struct gnttab_copy *copy = xencall_alloc_buffer(xcall, 2 * sizeof(*copy));
	int region = share(2, 1);

	size->dom = domid;
	CU_ASSERT_EQUAL(xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_query_size,
				 (uintptr_t)size, 1), 0);
	CU_ASSERT_EQUAL(size->status, GNTST_okay);
	CU_ASSERT_EQUAL(size->max_nr_frames, 64);
	lxguest_do(&guest, LXG_POKE, region, 3, 'h');
	for (int i = 0; i < 2; i++) {
		copy[i].flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
		copy[i].source.domid = copy[i].dest.domid = domid;
		copy[i].source.u.ref = guest.m.refs[0];
		copy[i].dest.u.ref = guest.m.refs[1];
		copy[i].len = 16;
	}
	copy[1].dest.offset = 4090;
	CU_ASSERT_EQUAL(xencall3(xcall, __HYPERVISOR_grant_table_op, GNTTABOP_copy,
				 (uintptr_t)copy, 2), 0);
	CU_ASSERT_EQUAL(copy[0].status, GNTST_okay);
	CU_ASSERT_EQUAL(copy[1].status, GNTST_bad_copy_arg);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_PEEK, region, PAGE + 3, 0), 'h');
	CU_ASSERT_EQUAL(xencall1(xcall, __HYPERVISOR_sched_op, 0), -1);
	CU_ASSERT_EQUAL(errno, ENOSYS);
	unshare(region);
	xencall_free_buffer(xcall, copy);
	xencall_free_buffer(xcall, size);
	xencall_close(xcall);
}

#define TEST(fn) CU_add_test(suite, #fn, fn)

int main(void)
{
	CU_pSuite suite;

	domid = lxguest_new_domain("--name=granter --gntalloc-limit=32");
	lxguest_start(&guest, domid);
	xgt = xengnttab_open(NULL, 0);
	if (!xgt || CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	suite = CU_add_suite("grants", NULL, NULL);
	TEST(test_copy_each_way);
	TEST(test_copy_status);
	TEST(test_copy_whole_call);
	TEST(test_copy_shared_hold);
	TEST(test_map);
	TEST(test_map_refused);
	TEST(test_wrong_domain);
	TEST(test_reader_then_writer);
	TEST(test_unshare_in_use);
	TEST(test_fresh_pages_are_zero);
	TEST(test_gntalloc_limit);
	TEST(test_maptrack_limit);
	TEST(test_grant_frames_limit);
	TEST(test_map_notify);
	TEST(test_share_notify_by_death);
	TEST(test_destroy_while_mapped);
	TEST(test_fork);
	TEST(test_map_after_fork);
	TEST(test_map_without_descriptor);
	TEST(test_hypercall);
	CU_basic_run_tests();
	xengnttab_close(xgt);
	lxguest_stop(&guest);
	return CU_get_number_of_failures() != 0;
}
