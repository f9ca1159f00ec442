/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `localxen fail`: each call that can be made to fail fails when, where and as
 * often as the rule says, and only then. Runs in dom0 under `localxen run`.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "lxguest.h"

static xengnttab_handle *xgt;
static xengntshr_handle *xgs;
static xenevtchn_handle *xce;
static uint32_t domid;
static struct lxguest guest;

static void rule(const char *options)
{
	char command[300];

	snprintf(command, sizeof(command), "fail %s >/dev/null", options);
	CU_ASSERT_EQUAL_FATAL(lxguest_localxen(command), 0);
}

static void clear(void)
{
	CU_ASSERT_EQUAL_FATAL(lxguest_localxen("fail --clear"), 0);
}

static int map_errno(uint32_t ref)
{
	void *p = xengnttab_map_grant_ref(xgt, domid, ref, PROT_READ);

	if (!p)
		return errno;
	CU_ASSERT_EQUAL(xengnttab_unmap(xgt, p, 1), 0);
	return 0;
}

static void test_nth_and_count(void)
{
	int region = lxguest_do(&guest, LXG_SHARE, 0, 1, 1);
	uint32_t ref = guest.m.refs[0];

	rule("--call=map --nth=3 --count=2 --errno=ENOMEM");
	CU_ASSERT_EQUAL(map_errno(ref), 0);
	CU_ASSERT_EQUAL(map_errno(ref), 0);
	CU_ASSERT_EQUAL(map_errno(ref), ENOMEM);
	CU_ASSERT_EQUAL(map_errno(ref), ENOMEM);
	CU_ASSERT_EQUAL(map_errno(ref), 0);
	clear();
	rule("--call=map --count=0 --errno=28");
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(map_errno(ref), ENOSPC);
	clear();
	CU_ASSERT_EQUAL(map_errno(ref), 0);
	lxguest_do(&guest, LXG_UNSHARE, region, 0, 0);
}

static void test_domain_and_pid(void)
{
	char options[100];
	int region;

	rule("--call=share --domain=0 --count=0 --errno=EIO");
	region = lxguest_do(&guest, LXG_SHARE, 0, 1, 1);
	CU_ASSERT(region >= 0);
	clear();
	snprintf(options, sizeof(options), "--call=unshare --pid=%d --errno=EPERM",
		 getpid());
	rule(options);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_UNSHARE, region, 0, 0), 0);
	clear();
	snprintf(options, sizeof(options), "--call=share --pid=%d --domain=failing "
		 "--errno=EPERM", guest.pid);
	rule(options);
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_SHARE, 0, 1, 1), -EPERM);
	clear();
}

/* One segment of a copy, and one grant of a map, by status. */
static void test_status(void)
{
	int region = lxguest_do(&guest, LXG_SHARE, 0, 3, 1);
	xengnttab_grant_copy_segment_t s[3];
	char buf[3][8];

	memset(s, 0, sizeof(s));
	for (int i = 0; i < 3; i++) {
		s[i].flags = GNTCOPY_source_gref;
		s[i].len = 8;
		s[i].source.foreign.ref = guest.m.refs[i];
		s[i].source.foreign.domid = domid;
		s[i].dest.virt = buf[i];
	}
	rule("--call=copy --nth=2 --status=GNTST_bad_page");
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 3, s), 0);
	CU_ASSERT_EQUAL(s[0].status, GNTST_okay);
	CU_ASSERT_EQUAL(s[1].status, GNTST_bad_page);
	CU_ASSERT_EQUAL(s[2].status, GNTST_okay);
	clear();
	rule("--call=copy --errno=EFAULT");
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 3, s), -1);
	CU_ASSERT_EQUAL(errno, EFAULT);
	CU_ASSERT_EQUAL(xengnttab_grant_copy(xgt, 3, s), 0);
	clear();
	rule("--call=map --nth=3 --status=-7");
	CU_ASSERT_PTR_NULL(xengnttab_map_domain_grant_refs(xgt, 3, domid, guest.m.refs,
							   PROT_READ));
	CU_ASSERT_EQUAL(errno, EINVAL);
	clear();
	lxguest_do(&guest, LXG_UNSHARE, region, 0, 0);
	CU_ASSERT_EQUAL(lxguest_localxen("status --check"), 0);
}

static void test_events(void)
{
	int theirs, mine;

	rule("--call=alloc --domain=failing --errno=ENOSPC");
	CU_ASSERT_EQUAL(lxguest_do(&guest, LXG_ALLOC_PORT, 0, 0, 0), -ENOSPC);
	clear();
	theirs = lxguest_do(&guest, LXG_ALLOC_PORT, 0, 0, 0);
	rule("--call=bind --errno=ESRCH");
	CU_ASSERT_EQUAL(xenevtchn_bind_interdomain(xce, domid, theirs), -1);
	CU_ASSERT_EQUAL(errno, ESRCH);
	mine = xenevtchn_bind_interdomain(xce, domid, theirs);
	CU_ASSERT_FATAL(mine > 0);
	clear();
	rule("--call=notify --errno=EIO");
	rule("--call=pending --errno=EINTR");
	rule("--call=unmask --errno=EBADF");
	rule("--call=unbind --errno=EIO");
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine), -1);
	CU_ASSERT_EQUAL(xenevtchn_pending(xce), -1);
	CU_ASSERT_EQUAL(errno, EINTR);
	CU_ASSERT_EQUAL(xenevtchn_pending(xce), mine);
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, mine), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(xenevtchn_unmask(xce, mine), 0);
	CU_ASSERT_EQUAL(xenevtchn_notify(xce, mine), 0);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), -1);
	CU_ASSERT_EQUAL(xenevtchn_unbind(xce, mine), 0);
	clear();
	lxguest_do(&guest, LXG_UNBIND, theirs, 0, 0);
}

static void test_open(void)
{
	rule("--call=open --count=3 --errno=EACCES");
	CU_ASSERT_PTR_NULL(xengnttab_open(NULL, 0));
	CU_ASSERT_EQUAL(errno, EACCES);
	CU_ASSERT_PTR_NULL(xengntshr_open(NULL, 0));
	CU_ASSERT_PTR_NULL(xenevtchn_open(NULL, 0));
	clear();
}

/* Rules that make no sense are refused, and change nothing. */
static void test_bad_rules(void)
{
	static const char *const bad[] = {
		"", "--call=map", "--errno=EIO", "--call=nap --errno=EIO",
		"--call=map --errno=EIO --status=-1", "--call=bind --status=-1",
		"--call=map --errno=0", "--call=map --errno=EWHAT",
		"--call=copy --status=7", "--call=map --errno=EIO --nth=0",
		"--call=map --errno=EIO --domain=nobody", "--clear=5", "--list extra",
	};
	char command[200];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(command, sizeof(command), "fail %s >/dev/null 2>&1", bad[i]);
		CU_ASSERT_EQUAL(lxguest_localxen(command), 125);
	}
	CU_ASSERT_EQUAL(lxguest_localxen("fail --list | grep -q ."), 1);
	rule("--call=map --nth=1000 --errno=EIO");
	CU_ASSERT_EQUAL(lxguest_localxen("fail --list | grep -q 'call map.*EIO'"), 0);
	clear();
}

#define TEST(fn) CU_add_test(suite, #fn, fn)

int main(void)
{
	CU_pSuite suite;

	domid = lxguest_new_domain("--name=failing");
	lxguest_start(&guest, domid);
	xgt = xengnttab_open(NULL, 0);
	xgs = xengntshr_open(NULL, 0);
	xce = xenevtchn_open(NULL, 0);
	if (!xgt || !xgs || !xce || CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	suite = CU_add_suite("faults", NULL, NULL);
	TEST(test_nth_and_count);
	TEST(test_domain_and_pid);
	TEST(test_status);
	TEST(test_events);
	TEST(test_open);
	TEST(test_bad_rules);
	CU_basic_run_tests();
	xenevtchn_close(xce);
	xengntshr_close(xgs);
	xengnttab_close(xgt);
	lxguest_stop(&guest);
	return CU_get_number_of_failures() != 0;
}
