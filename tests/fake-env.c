/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sharing, event channels and waiting in the test's own process (fake-env.h).
 * Grefs are far apart and in no order, so that nobody takes adjacent pages for
 * adjacent grefs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-env.h"

#define PORTS_MAX 64
#define PAGE 4096

int fake_gnt_limit, fake_gnt_run_max;

/* ---- grants ------------------------------------------------------------------------ */

static struct grant {
	void *page;
	bool writable;
} grants[FAKE_GRANTS];
static unsigned int nr_shared, last_gref;
static int handle;

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (xengntshr_handle *)&handle;
}

int xengntshr_close(xengntshr_handle *xgs)
{
	(void)xgs;
	return 0;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
			    uint32_t *refs, int writable)
{
	void *base;
	int i;

	(void)xgs;
	(void)domid;
	if (count <= 0 || (int)nr_shared + count > fake_gnt_limit ||
	    (fake_gnt_run_max && count > fake_gnt_run_max)) {
		errno = ENOSPC;
		return NULL;
	}
	if (posix_memalign(&base, PAGE, (size_t)count * PAGE))
		return NULL;
	memset(base, 0xee, (size_t)count * PAGE);
	for (i = 0; i < count; i++) {
		do
			last_gref = (last_gref + 7919) % FAKE_GRANTS;
		while (last_gref < 8 || grants[last_gref].page);
		refs[i] = last_gref;
		grants[last_gref] = (struct grant){ (uint8_t *)base + (size_t)i * PAGE,
						    writable };
	}
	nr_shared += (unsigned int)count;
	return base;
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start, uint32_t count)
{
	unsigned int i, gone = 0;

	(void)xgs;
	for (i = 0; i < FAKE_GRANTS; i++)
		if ((uint8_t *)grants[i].page >= (uint8_t *)start &&
		    (uint8_t *)grants[i].page < (uint8_t *)start + (size_t)count * PAGE) {
			grants[i].page = NULL;
			gone++;
		}
	if (gone != count)
		abort();
	nr_shared -= count;
	free(start);
	return 0;
}

unsigned int fake_gnt_pages(void)
{
	return nr_shared;
}

void *fake_gnt_find(uint32_t gref, bool *writable)
{
	if (gref >= FAKE_GRANTS || !grants[gref].page)
		return NULL;
	if (writable)
		*writable = grants[gref].writable;
	return grants[gref].page;
}

/* ---- event channels -------------------------------------------------------------------- */

static struct port {
	bool bound, pending, masked, notified;
} ports[PORTS_MAX];
static unsigned int notifies, last_port = 16;

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (xenevtchn_handle *)&handle;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	(void)xce;
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	(void)xce;
	return -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	(void)xce;
	(void)domid;
	do
		last_port = last_port % (PORTS_MAX - 1) + 1;
	while (ports[last_port].bound);
	ports[last_port] = (struct port){ .bound = true };
	return (int)last_port;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	if (port >= PORTS_MAX || !ports[port].bound)
		abort();
	ports[port].bound = false;
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	if (port >= PORTS_MAX || !ports[port].bound)
		abort();
	notifies++;
	ports[port].notified = true;
	return 0;
}

static int pending_port(void)
{
	int i;

	for (i = 1; i < PORTS_MAX; i++)
		if (ports[i].bound && ports[i].pending && !ports[i].masked)
			return i;
	return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	int port = pending_port();

	(void)xce;
	if (!port) {
		fprintf(stderr, "xenevtchn_pending() would block for ever\n");
		abort();
	}
	ports[port].pending = false;
	ports[port].masked = true;
	return port;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	(void)xce;
	ports[port].masked = false;
	return 0;
}

unsigned int fake_evtchn_ports(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < PORTS_MAX; i++)
		n += ports[i].bound;
	return n;
}

unsigned int fake_evtchn_notifies(void)
{
	return notifies;
}

bool fake_notified(uint32_t port)
{
	bool was = false;
	uint32_t i;

	for (i = port; i < (port ? port + 1 : PORTS_MAX); i++) {
		was |= ports[i].notified;
		ports[i].notified = false;
	}
	return was;
}

void fake_raise_port(uint32_t port)
{
	if (port < PORTS_MAX && ports[port].bound)
		ports[port].pending = true;
}

/* ---- waiting ------------------------------------------------------------------------- */

static struct front_env env;
static void (*peer_turn)(void);

static int ready(unsigned int what)
{
	struct pollfd store = { .fd = xs_fileno(env.xs), .events = POLLIN };
	int r = 0;

	if (what & FRONT_WAIT_STORE && poll(&store, 1, 0) == 1)
		r |= FRONT_WAIT_STORE;
	if (what & FRONT_WAIT_EVENT && pending_port())
		r |= FRONT_WAIT_EVENT;
	return r;
}

/* Time passes only when nothing can happen any more. */
static int fake_wait(void *ctx, unsigned int what, int *left_ms)
{
	int r;

	(void)ctx;
	peer_turn();
	r = ready(what);
	if (r)
		return r;
	if (*left_ms < 0)
		return -EDEADLK;
	*left_ms = 0;
	return 0;
}

static void own(const char *path, unsigned int owner, unsigned int reader)
{
	struct xs_permissions perms[2] = { { owner, XS_PERM_NONE }, { reader, XS_PERM_READ } };
	struct xs_handle *xs = fake_xs_open(0);

	xs_mkdir(xs, XBT_NULL, path);
	if (!xs_set_permissions(xs, XBT_NULL, path, perms, 2))
		abort();
	xs_close(xs);
}

void fake_env_reset(const char *front_dir, const char *back_dir)
{
	char path[128];

	fake_gnt_limit = 4096;
	fake_gnt_run_max = 0;
	notifies = 0;
	fake_notified(0);
	fake_xs_reset();
	own("/local/domain/3", FAKE_DOMID, 0);
	own(back_dir, 0, FAKE_DOMID);
	own("/local/domain/0/error", 0, FAKE_DOMID);
	fake_xs_put("/local/domain/3/domid", "3");
	snprintf(path, sizeof(path), "%s/backend", front_dir);
	fake_xs_put(path, back_dir);
	snprintf(path, sizeof(path), "%s/backend-id", front_dir);
	fake_xs_put(path, "0");
	snprintf(path, sizeof(path), "%s/state", front_dir);
	fake_xs_put(path, "1");
	snprintf(path, sizeof(path), "%s/frontend", back_dir);
	fake_xs_put(path, front_dir);
	snprintf(path, sizeof(path), "%s/frontend-id", back_dir);
	fake_xs_put(path, "3");
	snprintf(path, sizeof(path), "%s/state", back_dir);
	fake_xs_put(path, "2");
}

struct front_env *fake_env(void (*turn)(void))
{
	peer_turn = turn;
	if (env.xs)
		return &env;
	env = (struct front_env){
		.xs = fake_xs_open(FAKE_DOMID), .xgs = xengntshr_open(NULL, 0),
		.xce = xenevtchn_open(NULL, 0), .wait = fake_wait,
	};
	return &env;
}

void fake_env_end(void)
{
	xs_close(env.xs);
	env.xs = NULL;
}
