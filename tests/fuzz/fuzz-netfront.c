/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the network front end against a back end that lies. The handshake
 * is an honest one's (fake-netback.h); after it every tx and rx response, extra
 * info, index, event and node of the back end's is the input's. What is received
 * must lie in shared pages (its octets are read), and nothing may stay shared.
 */
#include <string.h>
#include "fake-netback.h"
#include "fuzz-ring.h"
#include "netfront.h"

#define PAGE 4096u
#define FRAMES 16u

static uint8_t octets[70000];
static volatile uint8_t seen;

static void send_some(struct netfront *n, uint32_t q, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct netfront_frame frame = {
		.nr_pieces = 1, .piece = { { octets, how & 1 ? 60u + how * 100u : 60 } },
		.checksum_blank = how & 2,
	};

	for (uint32_t i = 0; i < 1u + how / 64; i++)
		netfront_send(n, q, &frame, 1);
	netfront_kick(n);
}

static void receive(struct netfront *n, uint32_t q)
{
	struct netfront_frame got[FRAMES];
	int nr = netfront_receive(n, q, got, FRAMES);

	FUZZ_NEED(nr <= (int)FRAMES);
	for (int i = 0; i < nr; i++) {
		uint32_t bytes = 0;

		FUZZ_NEED(got[i].nr_pieces >= 1 && got[i].nr_pieces <= NETFRONT_PIECES_MAX);
		for (uint32_t j = 0; j < got[i].nr_pieces; j++) {
			const uint8_t *at = got[i].piece[j].base;

			FUZZ_NEED(got[i].piece[j].bytes <= PAGE);
			for (uint32_t k = 0; k < got[i].piece[j].bytes; k++)
				seen ^= at[k];
			bytes += got[i].piece[j].bytes;
		}
		FUZZ_NEED(bytes <= NETFRONT_FRAME_BYTES_MAX);
	}
	if (nr > 0)
		netfront_release(n, q, got, (unsigned int)nr);
}

/* ---- what the back end does -------------------------------------------------------------- */

static void put_tx(uint32_t q, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct netif_tx_response rsp = { .id = how & 1 ? fuzz_u16(in) : how / 8 };

	rsp.status = (int16_t)(fuzz_u8(in) % 4 - 2);
	memcpy(ring_back_next(&fake_nb.tx[q]), &rsp, sizeof(rsp));
}

static void put_rx(uint32_t q, struct fuzz_in *in)
{
	struct ring_back *ring = &fake_nb.rx[q];
	uint8_t how = fuzz_u8(in);
	struct netif_rx_response rsp = { .id = (uint16_t)(ring->rsp_prod_pvt & 255) };

	if (how & 1)
		rsp.id = fuzz_u16(in);
	rsp.flags = how / 16;
	rsp.offset = how & 2 ? fuzz_u16(in) : 0;
	rsp.status = (int16_t)(how & 4 ? fuzz_u16(in) : fuzz_u8(in) * 16 + how / 16);
	memcpy(ring_back_next(ring), &rsp, sizeof(rsp));
}

static void put_extra(uint32_t q, struct fuzz_in *in)
{
	struct netif_extra_info x = { .type = fuzz_below(in, 8) };

	x.flags = fuzz_u8(in) & 3;
	fuzz_bytes(in, &x.u, 6);
	memcpy(ring_back_next(&fake_nb.rx[q]), &x, sizeof(x));
}

static void push(uint32_t q)
{
	ring_back_push(&fake_nb.tx[q]);
	ring_back_push(&fake_nb.rx[q]);
	fake_raise_port(fake_nb.front.queue[q].tx_port);
	fake_raise_port(fake_nb.front.queue[q].rx_port);
}

static void spoil_index(uint32_t q, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);

	fuzz_spoil_back(how & 4 ? &fake_nb.tx[q] : &fake_nb.rx[q], how, in);
}

static void change_node(struct fuzz_in *in)
{
	char value[8];
	uint8_t which = fuzz_u8(in);

	snprintf(value, sizeof(value), "%u", which / 2 % 8u);
	fake_xs_put(which & 1 ? FAKE_BACK_DIR "/state" : FAKE_BACK_DIR "/carrier", value);
}

static void step(struct netfront *n, struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);
	uint32_t q = what / 128 % fake_nb.front.nr_queues;

	switch (what % 16) {
	case 0: case 1: send_some(n, q, in); break;
	case 2: case 3: put_tx(q, in); break;
	case 4: case 5: case 6: put_rx(q, in); break;
	case 7: put_extra(q, in); break;
	case 8: case 9: push(q); break;
	case 10: receive(n, q); break;
	case 11: netfront_poll(n); break;
	case 12: spoil_index(q, in); break;
	case 13:
		fuzz_storm_begin((what & 64 ? fake_nb.tx : fake_nb.rx)[q].slots, 8 * 64, fuzz_u8(in));
		netfront_poll(n);
		receive(n, q);
		fuzz_storm_end();
		break;
	case 14:
		if (what & 64)
			change_node(in);
		break;
	default: netfront_wait(n, what & 3, 0);
	}
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct netfront_options opts = { 0 };
	struct front_problem problem;
	struct fuzz_in in = { data, bytes };
	struct netfront *n;
	uint8_t kind = fuzz_u8(&in);

	fake_netback_reset();
	fake_nb.features.max_queues = kind & 2 ? 2 : 1;
	opts.nr_queues = kind & 2 ? 2 : 1;
	opts.no_sg = kind & 4;
	opts.no_gso = kind & 8;
	opts.ctrl_ring = kind & 16;
	opts.tx_pages = opts.rx_pages = kind & 32 ? 8 : 64;
	FUZZ_NEED(!netfront_open(fake_netback_env(), FAKE_VIF, &opts, 1000, &n, &problem));
	fake_nb.never_closes = kind & 1;
	fake_nb.stuck = true;
	for (uint32_t i = 0; in.left && i < 256; i++)
		step(n, &in);
	netfront_close(n, 10, NULL);
	FUZZ_NEED(!fake_gnt_pages() && !fake_evtchn_ports());
	fake_netback_end();
}
