/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-xenbus-ring.c - the index arithmetic of localxen-xenbus on the store's ring
 * page: chunks that do not wrap, indices across 2^32, indices that cannot be.
 */
#include <CUnit/Basic.h>
#include "xenbus.h"

static void ring_set(struct xenstore_domain_interface *r, uint32_t cons, uint32_t prod)
{
	r->req_cons = r->rsp_cons = cons;
	r->req_prod = r->rsp_prod = prod;
}

static void test_ring_chunks(void)
{
	static struct xenstore_domain_interface r;
	const void *in;
	void *out;

	ring_set(&r, 0, 0);
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), 0);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), 1024);
	CU_ASSERT_PTR_EQUAL(out, r.req);
	ring_set(&r, 1000, 2024);		/* full, and wrapped */
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), 24);
	CU_ASSERT_PTR_EQUAL(in, r.rsp + 1000);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), 0);
	xb_ring_consumed(&r, 24);
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), 1000);
	CU_ASSERT_PTR_EQUAL(in, r.rsp);
	ring_set(&r, 1000, 1010);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), 14);
	CU_ASSERT_PTR_EQUAL(out, r.req + 1010);
	xb_ring_produced(&r, 14);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), 1000);
	CU_ASSERT_PTR_EQUAL(out, r.req);
}

static void test_ring_wraps_32_bits(void)
{
	static struct xenstore_domain_interface r;
	const void *in;
	void *out;

	ring_set(&r, 0xfffffff0, 0x10);		/* 32 bytes across zero */
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), 16);
	xb_ring_consumed(&r, 16);
	CU_ASSERT_EQUAL(r.rsp_cons, 0);
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), 16);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), 1024 - 32);
	CU_ASSERT_PTR_EQUAL(out, r.req + 0x10);
}

static void test_ring_insane(void)
{
	static struct xenstore_domain_interface r;
	const void *in;
	void *out;

	ring_set(&r, 0, 1025);
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), -EPROTO);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), -EPROTO);
	ring_set(&r, 5, 4);
	CU_ASSERT_EQUAL(xb_ring_readable(&r, &in), -EPROTO);
	CU_ASSERT_EQUAL(xb_ring_writable(&r, &out), -EPROTO);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "ring chunks", test_ring_chunks },
		{ "ring indices across 2^32", test_ring_wraps_32_bits },
		{ "insane ring indices", test_ring_insane },
		CU_TEST_INFO_NULL
	};
	CU_SuiteInfo suites[] = {
		{ "xenbus-ring", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL
	};

	if (CU_initialize_registry() != CUE_SUCCESS ||
	    CU_register_suites(suites) != CUE_SUCCESS)
		return 99;
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	return CU_get_number_of_failures() ? 1 : 0;
}
