/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A network card by Xen's rings, by our front-end library, unchanged, which the guest
 * links. Must not know how pages are shared (xen-grants.c), how to wait (xen-env.c).
 */
#include <string.h>

#include "frames.h"
#include "guest.h"
#include "guest-xen.h"
#include "netfront.h"

#define BATCH 32u

static struct netfront *front;
static struct netfront_frame got[BATCH];
static unsigned int nr_got, next_got;
static char *plain;			/* CMP_BOUNCE: frames are made here, and copied */

static bool xen_open(void)
{
	bool offloads = !(job->flags & CMP_NO_OFFLOADS);
	struct netfront_options opts = {
		.poll_cycles = job->flags & CMP_POLL ? 100000000u : 0,
		.no_gso = !offloads, .no_checksum = !offloads,
		.ctrl_ring = !(job->flags & CMP_NO_STATIC),
	};
	static const uint8_t mac[6] = FRAME_GUEST_MAC;
	struct front_problem problem = { 0 };
	struct netfront_info info;
	int r = netfront_open(xen_env(), job->devid, &opts, -1, &front, &problem);

	if (r)
		give_up(r, problem.text);
	netfront_info(front, &info);
	if (memcmp(info.mac, mac, sizeof(mac)))
		give_up(-6, "the vif has another address");
	if (job->flags & CMP_BOUNCE)
		plain = net_memory(CMP_LARGE_FRAME_MAX);
	if (opts.ctrl_ring) {
		r = netfront_map_pools(front, -1);
		if (r < 0)
			give_up(r, "the back end keeps no pages mapped (static grants)");
		job->persistent = r > 0;
	}
	events_direct();
	return offloads && info.gso_tcpv4;
}

/* ---- sending ----------------------------------------------------------------------- */

static bool xen_get(struct nic_frame *f, uint32_t bytes)
{
	f->bytes = bytes;
	f->nr = 0;
	if (plain) {
		f->piece[f->nr].base = plain;
		f->piece[f->nr++].bytes = bytes;
		return true;
	}
	for (; bytes; bytes -= f->piece[f->nr++].bytes) {
		if (netfront_buffer_get(front, 0, &f->piece[f->nr].base)) {
			while (f->nr)
				netfront_buffer_put(front, 0, f->piece[--f->nr].base);
			return false;
		}
		f->piece[f->nr].bytes = bytes < CMP_PAGE ? bytes : CMP_PAGE;
	}
	return true;
}

static void xen_wait(unsigned int what)
{
	unsigned int want = (what & NIC_RECEIVABLE ? NETFRONT_RECEIVABLE : 0) |
			    (what & NIC_SENDABLE ? NETFRONT_SENDABLE : 0);
	int r = netfront_wait(front, want, -1);

	if (r < 0)
		give_up(r, netfront_problem(front)->text);
}

static void xen_send(struct nic_frame *f)
{
	struct netfront_frame frame = {
		.nr_pieces = f->nr, .checksum_blank = f->blank,
		.gso = f->gso_bytes ? NETFRONT_GSO_TCPV4 : NETFRONT_GSO_NONE,
		.gso_bytes = f->gso_bytes,
	};
	int r;

	for (unsigned int i = 0; i < f->nr; i++)
		frame.piece[i] = (struct netfront_piece){ f->piece[i].base, f->piece[i].bytes };
	while (!(r = netfront_send(front, 0, &frame, 1)))
		xen_wait(NIC_SENDABLE);
	if (r < 0)
		give_up(r, "the front end does not take a frame");
}

static unsigned int xen_in_flight(void)
{
	netfront_poll(front);
	return netfront_inflight(front);
}

/* ---- receiving ------------------------------------------------------------------------ */

static bool refill(void)
{
	int r = netfront_receive(front, 0, got, BATCH);

	if (r < 0)
		give_up(r, netfront_problem(front)->text);
	next_got = 0;
	nr_got = (unsigned int)r;
	return r;
}

static bool xen_receive(struct nic_frame *f)
{
	const struct netfront_frame *frame;

	if (next_got == nr_got && !refill())
		return false;
	f->handle = next_got++;
	frame = &got[f->handle];
	f->nr = frame->nr_pieces;
	f->bytes = 0;
	for (unsigned int i = 0; i < f->nr; i++) {
		f->piece[i].base = frame->piece[i].base;
		f->piece[i].bytes = frame->piece[i].bytes;
		f->bytes += frame->piece[i].bytes;
	}
	f->blank = frame->checksum_blank || frame->checksum_validated;
	f->gso_bytes = frame->gso_bytes;
	return true;
}

static void xen_release(struct nic_frame *f)
{
	netfront_release(front, 0, &got[f->handle], 1);
}

/* ---- both ------------------------------------------------------------------------------- */

static void xen_kick(void)
{
	netfront_kick(front);
}

static void xen_close(void)
{
	struct front_problem problem = { 0 };
	int r = netfront_close(front, -1, &problem);

	if (r)
		give_up(r, problem.text);
}

static uint64_t xen_copied_bytes(void)
{
	struct netfront_stats stats;

	netfront_stats(front, &stats);
	return stats.copied_bytes;
}

const struct nic_model nic_xen = {
	.open = xen_open, .get = xen_get, .send = xen_send, .receive = xen_receive,
	.release = xen_release, .kick = xen_kick, .wait = xen_wait,
	.in_flight = xen_in_flight, .close = xen_close, .copied_bytes = xen_copied_bytes,
};
