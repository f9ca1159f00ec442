/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the block front end against a back end that lies. The handshake is
 * an honest one's (fake-front.h); after it every response, index, event and node
 * of the back end's is the input's. Each request must be completed exactly once,
 * and nothing may stay shared.
 */
#include <string.h>
#include "blkfront.h"
#include "fake-front.h"
#include "fuzz-ring.h"

#define PAGE 4096u
#define IOS 24u

struct request {
	struct blkfront_io io;
	struct blkfront_iov iov;
	bool submitted;
	uint32_t calls;
};

static struct request requests[IOS];
static uint8_t buffer[IOS][64 << 10];

static void on_done(struct blkfront_io *io, int result)
{
	struct request *r = io->arg;

	FUZZ_NEED(result <= 0);
	FUZZ_NEED(r->submitted && ++r->calls == 1);
}

static void submit(struct blkfront *f, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct request *r = &requests[fuzz_below(in, IOS)];

	if (r->submitted && !r->calls)
		return;
	memset(r, 0, sizeof(*r));
	r->iov = (struct blkfront_iov){ buffer[r - requests], 512u * (1 + how / 2 % 128) };
	r->io = (struct blkfront_io){
		.op = how == 255 ? BLKFRONT_FLUSH : how == 254 ? BLKFRONT_DISCARD :
			how & 1 ? BLKFRONT_WRITE : BLKFRONT_READ,
		.offset_bytes = 512u * fuzz_u8(in), .bytes = 4096,
		.iov = &r->iov, .nr_iov = 1, .queue = how & 1, .done = on_done, .arg = r,
	};
	if (r->io.op == BLKFRONT_FLUSH || r->io.op == BLKFRONT_DISCARD)
		r->io.nr_iov = 0;
	r->submitted = true;
	if (blkfront_submit(f, &r->io) < 0)
		r->submitted = r->calls > 0;
}

/* ---- what the back end does ------------------------------------------------------------ */

/* Ids are taken from requests on the ring as often as they are made up. */
static void put_response(struct ring_back *ring, struct fuzz_in *in)
{
	struct blkif_response rsp = { 0 };
	struct blkif_request req;
	uint8_t how = fuzz_u8(in);
	uint32_t slot = how / 8 % ring->nr_slots;

	memcpy(&req, ring->slots + (size_t)slot * ring->slot_bytes, sizeof(req));
	rsp.id = how & 1 ? req.id : how & 2 ? fuzz_u8(in) : fuzz_u64(in);
	rsp.operation = how & 4 ? fuzz_u8(in) : req.operation == BLKIF_OP_INDIRECT ?
		req.nr_segments : req.operation;
	rsp.status = (int16_t)(fuzz_u8(in) % 4 - 2);
	rsp.status = rsp.status == 1 ? BLKIF_RSP_OKAY : rsp.status;
	ring_back_put(ring, &rsp, sizeof(rsp));
}

static void spoil_index(struct ring_back *ring, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	fuzz_spoil_back(ring, how, in);
}

static void change_node(struct fuzz_in *in)
{
	static const char *const nodes[] = { "/state", "/sectors", "/sector-size", "/info" };
	char path[128], value[8];
	uint8_t which = fuzz_u8(in);

	snprintf(path, sizeof(path), FAKE_BACK_DIR "%s", nodes[which % 4]);
	snprintf(value, sizeof(value), "%u", which / 4 % 8u);
	fake_xs_put(path, value);
}

static void step(struct blkfront *f, struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);
	uint32_t q = what / 128 % fake_back.front.nr_queues;
	struct ring_back *ring = &fake_back.ring[q];

	switch (what % 16) {
	case 0: case 1: case 2: submit(f, in); break;
	case 3: blkfront_kick(f); break;
	case 4: case 5: case 6: put_response(ring, in); break;
	case 7:
		ring_back_push(ring);
		fake_raise(q);
		break;
	case 8: case 9: blkfront_poll(f); break;
	case 10: blkfront_wait(f, 1, 0); break;
	case 11: spoil_index(ring, in); break;
	case 12:
		fuzz_storm_begin(ring->slots, PAGE - sizeof(struct ring_shared), fuzz_u8(in));
		blkfront_poll(f);
		fuzz_storm_end();
		break;
	case 13:
		if (what & 64)
			change_node(in);
		break;
	case 14: blkfront_rest(f, 0); break;
	default: ring_back_push(ring);
	}
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct blkfront_options opts = { 0 };
	struct front_problem problem;
	struct fuzz_in in = { data, bytes };
	struct blkfront *f;
	uint8_t kind = fuzz_u8(&in);

	memset(requests, 0, sizeof(requests));
	fake_front_reset(1 << 20);
	fake_back.leave = kind & 1 ? FAKE_CLOSE_NEVER : FAKE_CLOSE_AT_ONCE;
	fake_back.features.persistent = kind & 2;
	fake_back.features.max_indirect_segments = kind & 4 ? 32 : 0;
	fake_back.features.max_queues = kind & 8 ? 2 : 1;
	opts.nr_queues = kind & 8 ? 2 : 1;
	FUZZ_NEED(!blkfront_open(fake_front_env(), FAKE_DEVID, &opts, 1000, &f, &problem));
	fake_back.stuck = true;
	for (uint32_t i = 0; in.left && i < 256; i++)
		step(f, &in);
	blkfront_close(f, 10, NULL);
	for (uint32_t i = 0; i < IOS; i++)
		FUZZ_NEED(requests[i].calls == requests[i].submitted);
	FUZZ_NEED(!fake_gnt_pages() && !fake_evtchn_ports());
	fake_front_end();
}
