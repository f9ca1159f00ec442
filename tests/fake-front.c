/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sharing, event channels and a scripted block back end in the test's own
 * process. Grefs are far apart and in no order, so that nobody takes adjacent
 * pages for adjacent grefs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-front.h"

#define GRANTS_MAX 16384
#define PORTS_MAX 64
#define PAGE 4096

struct fake_back fake_back;
int fake_gnt_limit, fake_gnt_run_max;

/* ---- grants ------------------------------------------------------------------------ */

static struct grant {
	void *page;
	bool writable;
} grants[GRANTS_MAX];
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
			last_gref = (last_gref + 7919) % GRANTS_MAX;
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
	for (i = 0; i < GRANTS_MAX; i++)
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
	if (gref >= GRANTS_MAX || !grants[gref].page)
		return NULL;
	if (writable)
		*writable = grants[gref].writable;
	return grants[gref].page;
}

/* ---- event channels -------------------------------------------------------------------- */

static struct port {
	bool bound, pending, masked;
} ports[PORTS_MAX];
static unsigned int notifies, last_port = 16;
static int notified;

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
	notified = 1;
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

void fake_raise(uint32_t q)
{
	uint32_t port = fake_back.front.queue[q].port;

	fake_back.events_sent++;
	if (port < PORTS_MAX && ports[port].bound)
		ports[port].pending = true;
}

/* ---- the back end: requests ---------------------------------------------------------------- */

static bool move_segment(struct fake_back *b, const struct blkif_request_segment *seg,
			 uint64_t *sector, bool write)
{
	size_t n = (seg->last_sect - seg->first_sect + 1u) * 512u;
	bool writable;
	uint8_t *page = fake_gnt_find(seg->gref, &writable);

	if (!page || seg->last_sect > 7 || seg->first_sect > seg->last_sect ||
	    (!write && !writable) || *sector * 512 + n > b->disk_bytes)
		return false;
	if (write)
		memcpy(b->disk + *sector * 512, page + seg->first_sect * 512u, n);
	else
		memcpy(page + seg->first_sect * 512u, b->disk + *sector * 512, n);
	*sector += n / 512;
	return true;
}

static bool move_data(struct fake_back *b, const struct blkif_request *req, uint8_t *op)
{
	const struct blkif_request_indirect *ind = (const void *)req;
	static struct blkif_request_segment segs[4096];
	const struct blkif_request_segment *seg = req->seg;
	uint64_t sector = req->sector_number;
	uint32_t i, nr = req->nr_segments;

	if (req->operation == BLKIF_OP_INDIRECT) {
		*op = ind->indirect_op;
		sector = ind->sector_number;
		nr = ind->nr_segments;
		if (nr <= 11 || nr > b->features.max_indirect_segments)
			return false;
		for (i = 0; i * 512 < nr; i++) {
			seg = fake_gnt_find(ind->indirect_grefs[i], NULL);
			if (!seg)
				return false;
			memcpy(segs + i * 512, seg, 4096);
		}
		seg = segs;
	} else if (!nr || nr > 11) {
		return false;
	}
	for (i = 0; i < nr; i++)
		if (!move_segment(b, seg + i, &sector, *op == BLKIF_OP_WRITE))
			return false;
	return true;
}

static void answer(struct fake_back *b, struct ring_back *ring, const struct blkif_request *req)
{
	const struct blkif_request_discard *discard = (const void *)req;
	struct blkif_response rsp;
	bool ok = true;

	memset(&rsp, 0, sizeof(rsp));
	rsp.id = req->id;
	rsp.operation = req->operation;
	if (req->operation == BLKIF_OP_INDIRECT)	/* same place in both layouts */
		rsp.operation = ((const struct blkif_request_indirect *)req)->indirect_op;
	rsp.status = b->status[req->operation & 7];
	if (!rsp.status) {
		if (req->operation == BLKIF_OP_DISCARD)
			memset(b->disk + discard->sector_number * 512, 0,
			       discard->nr_sectors * 512);
		else if (req->operation == BLKIF_OP_INDIRECT || req->nr_segments)
			ok = move_data(b, req, &rsp.operation);
		if (!ok) {
			rsp.status = BLKIF_RSP_ERROR;
			b->bad_requests++;
		}
	}
	if (!b->twist || b->twist(b, &rsp))
		ring_back_put(ring, &rsp, sizeof(rsp));
}

static int serve(struct fake_back *b, uint32_t q)
{
	struct blkif_request batch[512];
	int i, n = ring_back_pending(b->ring + q);

	if (n < 0)
		abort();
	if (b->per_push && n > (int)b->per_push)
		n = (int)b->per_push;
	for (i = 0; i < n; i++) {
		memset(batch + i, 0xaa, sizeof(batch[i]));
		ring_back_take(b->ring + q, batch + i, sizeof(batch[i]));
		if (b->nr_log < FAKE_LOG_MAX)
			b->log[b->nr_log++] = batch[i];
	}
	for (i = 0; i < n; i++)
		answer(b, b->ring + q, batch + (b->reverse ? n - 1 - i : i));
	if (ring_back_push(b->ring + q))
		fake_raise(q);
	return n;
}

/* As a back end must: sleeps only after the final check. Pushes every per_push answers. */
static void serve_all(struct fake_back *b)
{
	uint32_t q;

	for (q = 0; q < b->front.nr_queues; q++)
		do
			serve(b, q);
		while (ring_back_final(b->ring + q) > 0);
}

/* ---- the back end: states -------------------------------------------------------------------- */

static void set_state(XenbusState state)
{
	char text[2] = { (char)('0' + state), 0 };

	if (strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), text))
		fake_xs_put(FAKE_BACK_DIR "/state", text);
}

static void connect_rings(struct fake_back *b, struct xs_handle *xs)
{
	struct key_error err;
	uint32_t q;

	int r = vbd_read_frontend(xs, FAKE_FRONT_DIR, &b->features, &b->front, &err);

	if (r == -EIO)		/* a test's failing store: next time */
		return;
	if (r < 0) {
		fprintf(stderr, "front end's %s is wrong\n", err.key);
		abort();
	}
	for (q = 0; q < b->front.nr_queues; q++)
		ring_back_init(b->ring + q, fake_gnt_find(b->front.queue[q].gref[0], NULL),
			       (size_t)PAGE << b->front.queue[q].order,
			       sizeof(union blkif_sring_entry), 0);
	if (b->late)
		vbd_write_features(xs, XBT_NULL, FAKE_BACK_DIR, &b->features);
	b->connected = true;
	set_state(XenbusStateConnected);
}

static void step(struct fake_back *b)
{
	struct xs_handle *xs = fake_xs_open(0);
	XenbusState front = xenbus_read_state(xs, FAKE_FRONT_DIR);

	switch (front) {
	case XenbusStateInitialising:
		if (!b->connected && strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), "5"))
			set_state(XenbusStateInitWait);
		break;
	case XenbusStateInitialised:
	case XenbusStateConnected:
		if (b->refuse)
			set_state(XenbusStateClosing);
		else if (!b->connected && !strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), "2"))
			connect_rings(b, xs);
		break;
	case XenbusStateClosing:
		if (b->leave == FAKE_CLOSE_NEVER)
			break;
		b->connected = false;
		set_state(b->leave == FAKE_CLOSE_AT_ONCE ? XenbusStateClosed :
			  XenbusStateClosing);
		break;
	case XenbusStateClosed:
		if (b->leave != FAKE_CLOSE_NEVER)
			set_state(XenbusStateClosed);
		break;
	default:
		break;
	}
	xs_close(xs);
}

/* ---- sleeping -------------------------------------------------------------------------------- */

static struct front_env env;

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
	struct fake_back *b = ctx;
	int r;

	b->sleeps++;
	if (b->on_sleep)
		b->on_sleep(b);
	if (!b->mute)
		step(b);
	/* An idle back end looks at its ring only when it was told to. */
	if (b->connected && !b->stuck && notified) {
		notified = 0;
		serve_all(b);
	}
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

void fake_front_reset(size_t disk_bytes)
{
	size_t i;

	free(fake_back.disk);
	memset(&fake_back, 0, sizeof(fake_back));
	fake_back.disk = malloc(disk_bytes);
	fake_back.disk_bytes = disk_bytes;
	for (i = 0; i < disk_bytes; i++)
		fake_back.disk[i] = (uint8_t)(i * 7 + i / 512 * 13 + i / 65536);
	fake_back.features = (struct vbd_features){
		.sectors = disk_bytes / 512, .sector_bytes = 512,
		.physical_sector_bytes = 4096, .flush = true, .discard = true,
		.discard_granularity_bytes = 4096, .persistent = true,
		.max_indirect_segments = 256, .max_ring_order = 4, .max_queues = 4,
	};
	fake_gnt_limit = 4096;
	fake_gnt_run_max = 0;
	notifies = 0;
	notified = 0;
	fake_xs_reset();
	own("/local/domain/3", FAKE_DOMID, 0);
	own(FAKE_BACK_DIR, 0, FAKE_DOMID);
	own("/local/domain/0/error", 0, FAKE_DOMID);
	fake_xs_put(FAKE_FRONT_DIR "/backend", FAKE_BACK_DIR);
	fake_xs_put(FAKE_FRONT_DIR "/backend-id", "0");
	fake_xs_put(FAKE_FRONT_DIR "/state", "1");
	fake_xs_put("/local/domain/3/domid", "3");
	fake_xs_put(FAKE_BACK_DIR "/frontend", FAKE_FRONT_DIR);
	fake_xs_put(FAKE_BACK_DIR "/frontend-id", "3");
	fake_xs_put(FAKE_BACK_DIR "/state", "2");
}

struct front_env *fake_front_env(void)
{
	struct xs_handle *xs = fake_xs_open(0);

	if (fake_back.late) {
		fake_xs_put(FAKE_BACK_DIR "/max-ring-page-order", "4");
		fake_xs_put(FAKE_BACK_DIR "/multi-queue-max-queues", "2");
		fake_xs_put(FAKE_BACK_DIR "/feature-max-indirect-segments", "256");
	} else {
		vbd_write_features(xs, XBT_NULL, FAKE_BACK_DIR, &fake_back.features);
	}
	xs_close(xs);
	if (env.xs)
		return &env;
	env = (struct front_env){
		.xs = fake_xs_open(FAKE_DOMID), .xgs = xengntshr_open(NULL, 0),
		.xce = xenevtchn_open(NULL, 0), .wait = fake_wait, .wait_ctx = &fake_back,
	};
	return &env;
}

void fake_front_end(void)
{
	xs_close(env.xs);
	env.xs = NULL;
	free(fake_back.disk);
	fake_back.disk = NULL;
}
