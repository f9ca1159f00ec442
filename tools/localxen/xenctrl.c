/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenctrl.c - the part of libxenctrl that local Xen has: what domains there are.
 *
 * Read straight from the shared memory, as sysctl and domctl would tell it. All
 * other calls of the library are stubs (mklib.sh).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenctrl.h>
#include "lx.h"

struct xc_interface_core {
	uint32_t incarnation;
};

xc_interface *xc_interface_open(xentoollog_logger *logger,
				xentoollog_logger *dombuild_logger, unsigned flags)
{
	xc_interface *xch;
	int rc = lx_connect();

	(void)logger;
	(void)dombuild_logger;
	(void)flags;
	if (rc) {
		errno = -rc;
		return NULL;
	}
	xch = calloc(1, sizeof(*xch));
	if (xch)
		xch->incarnation = lx.incarnation;
	return xch;
}

int xc_interface_close(xc_interface *xch)
{
	free(xch);
	return 0;
}

static uint64_t age_ns(const struct lx_dom *d)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec - d->start_ns;
}

static void fill(const struct lx_dom *d, xc_domaininfo_t *info)
{
	memset(info, 0, sizeof(*info));
	info->domain = d->domid;
	if (d->state == LX_DOM_DYING)
		info->flags |= XEN_DOMINF_dying;
	if (d->shutdown)
		info->flags |= XEN_DOMINF_shutdown |
			       (d->shutdown - 1) << XEN_DOMINF_shutdownshift;
	else
		info->flags |= XEN_DOMINF_running;
	info->tot_pages = info->max_pages = d->nr_mem_frames;
	info->cpu_time = age_ns(d);
	info->nr_online_vcpus = 1;
	/* A handle that differs for every domain, also for one with an old number. */
	memcpy(info->handle, &d->domid, sizeof(d->domid));
	memcpy(info->handle + 4, &d->start_ns, sizeof(d->start_ns));
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain,
			  unsigned int max_domains, xc_domaininfo_t *info)
{
	unsigned n = 0;

	(void)xch;
	for (uint32_t domid = first_domain; domid < LX_DOMIDS && n < max_domains; domid++) {
		uint8_t slot = lx.shm->slot_of[domid];

		if (slot && lx.shm->dom[slot - 1].state != LX_DOM_FREE)
			fill(&lx.shm->dom[slot - 1], &info[n++]);
	}
	return n;
}

#ifdef LX_HAVE_xc_domain_getinfo
static void convert(const xc_domaininfo_t *from, xc_dominfo_t *to)
{
	unsigned reason = from->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;

	memset(to, 0, sizeof(*to));
	to->domid = from->domain;
	to->dying = !!(from->flags & XEN_DOMINF_dying);
	to->shutdown = !!(from->flags & XEN_DOMINF_shutdown);
	to->running = !!(from->flags & XEN_DOMINF_running);
	to->crashed = to->shutdown && reason == SHUTDOWN_crash;
	to->shutdown_reason = reason;
	to->nr_pages = from->tot_pages;
	to->cpu_time = from->cpu_time;
	to->nr_online_vcpus = 1;
	memcpy(to->handle, from->handle, sizeof(to->handle));
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms,
		      xc_dominfo_t *info)
{
	unsigned n;

	for (n = 0; n < max_doms; n++) {
		xc_domaininfo_t one;

		if (xc_domain_getinfolist(xch, first_domid, 1, &one) != 1)
			break;
		convert(&one, &info[n]);
		first_domid = one.domain + 1;
	}
	if (!n && max_doms)
		return lx_ret(-ESRCH);
	return n;
}
#endif

#ifdef LX_HAVE_xc_domain_getinfo_single
int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
	if (xc_domain_getinfolist(xch, domid, 1, info) != 1 || info->domain != domid)
		return lx_ret(-ESRCH);
	return 0;
}
#endif

int xc_domain_shutdown(xc_interface *xch, uint32_t domid, int reason)
{
	(void)xch;
	return lx_ret(lx_rpc(&(struct lx_req){ .op = LX_OP_SHUTDOWN, .domid = domid,
					       .a = reason }, -1, NULL, 0, NULL));
}

int xc_domain_destroy(xc_interface *xch, uint32_t domid)
{
	(void)xch;
	return lx_ret(lx_rpc(&(struct lx_req){ .op = LX_OP_DESTROY, .domid = domid },
			     -1, NULL, 0, NULL));
}

/* ---- error texts: never NULL ---- */

#ifdef LX_HAVE_xc_strerror
const char *xc_strerror(xc_interface *xch, int errcode)
{
	(void)xch;
	return strerror(errcode);
}
#endif

#ifdef LX_HAVE_xc_error_code_to_desc
const char *xc_error_code_to_desc(int code)
{
	(void)code;
	return "Unknown error code";
}
#endif

#ifdef LX_HAVE_xc_get_last_error
const xc_error *xc_get_last_error(xc_interface *handle)
{
	static const xc_error none = { .code = XC_ERROR_NONE };

	(void)handle;
	return &none;
}
#endif

#ifdef LX_HAVE_xc_clear_last_error
void xc_clear_last_error(xc_interface *xch)
{
	(void)xch;
}
#endif
