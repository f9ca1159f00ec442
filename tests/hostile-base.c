/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hostile front ends share (hostile-base.h). Nothing here lies.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xen/grant_table.h>
#include "hostile-base.h"
#include "localxen.h"

/* Weak: on Xen itself a program cannot reach its domain's grant table. */
#pragma weak lx_machine_tables

const char *hostile_program = "hostile", *hostile_case = "start";

void hostile_fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: %s: ", hostile_program, hostile_case);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

uint64_t hostile_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t hostile_random(void)
{
	static __thread uint64_t x;

	if (!x)
		x = 0x9e3779b97f4a7c15u ^ (uintptr_t)&x;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* ---- pages ------------------------------------------------------------------- */

void *hostile_share(struct front_env *env, uint32_t domid, uint32_t nr, bool writable,
		    uint32_t *grefs)
{
	void *p = xengntshr_share_pages(env->xgs, domid, (int)nr, grefs, writable);

	if (!p)
		hostile_fail("cannot share %u pages: %s", nr, strerror(errno));
	memset(p, HOSTILE_FILL, nr * PAGE_BYTES);
	return p;
}

void hostile_unshare(struct front_env *env, void *page, uint32_t nr)
{
	if (page && xengntshr_unshare(env->xgs, page, nr))
		hostile_fail("cannot unshare %u pages: %s", nr, strerror(errno));
}

void hostile_sub_page(uint32_t gref)
{
	struct lx_machine m;
	struct grant_entry_v1 *entry;

	if (!lx_machine_tables || lx_machine_tables(&m))
		hostile_fail("no grant table is in reach");
	entry = (struct grant_entry_v1 *)m.grants + gref;
	__atomic_fetch_or(&entry->flags, GTF_sub_page, __ATOMIC_SEQ_CST);
}

/* ---- noise -------------------------------------------------------------------- */

static void *noise_run(void *arg)
{
	struct hostile_noise *n = arg;

	while (!n->stop) {
		n->make(n->arg);
		n->nr++;
	}
	return NULL;
}

void hostile_noise_start(struct hostile_noise *n, void (*make)(void *arg), void *arg)
{
	*n = (struct hostile_noise){ .make = make, .arg = arg };
	if (pthread_create(&n->thread, NULL, noise_run, n))
		hostile_fail("no thread");
}

void hostile_noise_end(struct hostile_noise *n)
{
	n->stop = true;
	pthread_join(n->thread, NULL);
}
