/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What our front end and our back end have and no other does, seen in frames: run in
 * a guest that has vif 0 and vif 1 on one bridge, with the cases to play as arguments.
 * Frames go from vif 1 to vif 0, and every octet is looked at.
 *
 * Must not know: rings, grants; whether the Xen underneath is a real one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/io/netif.h>
#include "front-linux.h"
#include "hostile-base.h"
#include "netfront.h"

#define FRAME_BYTES_MAX 9014u
#define MAC_BYTES 6u
#define HEAD_BYTES 14u
/* Of a queue, each direction: all that a domain may share by default is 1,024. */
#define POOL_PAGES 100u

struct nic {
	struct front_linux *fl;
	struct netfront *n;
	struct netfront_info info;
};

struct got {
	uint32_t bytes, queue, hash, hash_type;
	uint8_t data[NETFRONT_FRAME_BYTES_MAX];
};

static struct nic to, from;
static struct got got;
static uint8_t sent[FRAME_BYTES_MAX];

/* ---- opening ------------------------------------------------------------------------ */

static void nic_open(struct nic *v, uint32_t devid, const struct netfront_options *wishes)
{
	struct front_problem why = { .err = 0 };
	struct netfront_options pools = *wishes, *o = &pools;

	o->tx_pages = o->rx_pages = POOL_PAGES;
	if (front_linux_open(&v->fl, &why) ||
	    netfront_open(front_linux_env(v->fl), devid, o, HOSTILE_WAIT_MS, &v->n, &why))
		hostile_fail("vif %u: %s", devid, why.text);
	netfront_info(v->n, &v->info);
	if (v->info.ctrl_ring != o->ctrl_ring)
		hostile_fail("vif %u: no control ring", devid);
}

static void nic_close(struct nic *v)
{
	struct front_problem why = { .err = 0 };

	if (netfront_close(v->n, HOSTILE_WAIT_MS, &why))
		hostile_fail("closing: %s", why.text);
	front_linux_close(v->fl);
}

static void open_both(const struct netfront_options *o)
{
	nic_open(&to, 0, o);
	nic_open(&from, 1, o);
}

static void close_both(void)
{
	nic_close(&from);
	nic_close(&to);
}

/* ---- frames ------------------------------------------------------------------------- */

/* In sent: to an address, the rest of seed. */
static void make_frame(const uint8_t *mac, uint32_t bytes, uint32_t seed)
{
	memcpy(sent, mac, MAC_BYTES);
	memcpy(sent + MAC_BYTES, from.info.mac, MAC_BYTES);
	sent[12] = 0x88;
	sent[13] = 0xb5;
	for (uint32_t i = HEAD_BYTES; i < bytes; i++)
		sent[i] = (uint8_t)((i + seed) * 2654435761u >> 24);
}

static void send_frame(uint32_t bytes)
{
	struct netfront_frame f = { .nr_pieces = 1, .piece = { { sent, bytes } } };
	uint64_t start = hostile_now_ms();
	int r;

	while ((r = netfront_send(from.n, 0, &f, 1)) == 0) {
		if (hostile_now_ms() - start > HOSTILE_WAIT_MS)
			hostile_fail("no room to send for long");
		netfront_wait(from.n, NETFRONT_SENDABLE, 1000);
	}
	if (r < 0)
		hostile_fail("sending %u octets: %s", bytes, strerror(-r));
	netfront_kick(from.n);
}

static bool take_frame(struct nic *v, uint32_t queue)
{
	struct netfront_frame f;
	int r = netfront_receive(v->n, queue, &f, 1);

	if (r < 0)
		hostile_fail("receiving: %s", netfront_problem(v->n)->text);
	if (!r)
		return false;
	got.bytes = 0;
	got.queue = queue;
	got.hash = f.hash;
	got.hash_type = f.hash_type;
	for (uint32_t i = 0; i < f.nr_pieces; got.bytes += f.piece[i++].bytes)
		memcpy(got.data + got.bytes, f.piece[i].base, f.piece[i].bytes);
	netfront_release(v->n, queue, &f, 1);
	return true;
}

/* The next frame that arrives at vif 0 and is of vif 1: others talk here too. */
static void receive(void)
{
	uint64_t start = hostile_now_ms();

	while (hostile_now_ms() - start < HOSTILE_WAIT_MS) {
		for (uint32_t q = 0; q < to.info.nr_queues; q++)
			if (take_frame(&to, q) &&
			    !memcmp(got.data + MAC_BYTES, from.info.mac, MAC_BYTES))
				return;
		if (netfront_wait(to.n, NETFRONT_RECEIVABLE, 1000) < 0)
			hostile_fail("waiting: %s", netfront_problem(to.n)->text);
	}
	hostile_fail("no frame arrives");
}

/* What was sent last is what arrives next, all of it. */
static void receive_sent(uint32_t bytes)
{
	receive();
	if (got.bytes != bytes || memcmp(got.data, sent, bytes))
		hostile_fail("a frame of %u octets arrived as another of %u", bytes, got.bytes);
}

/* Sizes around pages, and between. */
static uint32_t send_many(uint32_t nr)
{
	static const uint32_t sizes[] = { 60, 64, 100, 256, 257, 1514, 4095, 4096, 4097, 8192,
					  8193, FRAME_BYTES_MAX };

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t bytes = i < sizeof(sizes) / sizeof(sizes[0]) ? sizes[i] :
				 60 + (uint32_t)(hostile_random() % (FRAME_BYTES_MAX - 60));

		make_frame(to.info.mac, bytes, i);
		send_frame(bytes);
		receive_sent(bytes);
	}
	return nr;
}

/* ---- static grants ------------------------------------------------------------------ */

static int map_pools(struct nic *v)
{
	int r = netfront_map_pools(v->n, HOSTILE_WAIT_MS);

	if (r <= 0)
		hostile_fail("static grants: %s", r ? strerror(-r) : "none");
	return r;
}

static void unmap_pools(struct nic *v, int wanted)
{
	int r = netfront_unmap_pools(v->n, HOSTILE_WAIT_MS);

	if (r != wanted)
		hostile_fail("%d static grants deleted, expected %d", r, wanted);
}

/* Both ends' pages mapped, then one end's, then none; twice. */
static void static_grants(void)
{
	struct netfront_options o = { .ctrl_ring = true };
	int at_to = 0, at_from = 0;
	uint32_t nr = 0;

	open_both(&o);
	for (uint32_t turn = 0; turn < 2; turn++) {
		at_from = map_pools(&from);
		nr += send_many(100);
		at_to = map_pools(&to);
		nr += send_many(100);
		unmap_pools(&from, at_from);
		nr += send_many(100);
		unmap_pools(&to, at_to);
		nr += send_many(100);
	}
	/* They are mapped when the interface closes. */
	map_pools(&from);
	map_pools(&to);
	nr += send_many(20);
	close_both();
	printf("%d and %d pages, %u frames\n", at_to, at_from, nr);
}

/* ---- the hash ----------------------------------------------------------------------- */

/* The key and the answers that those who defined this use of Toeplitz publish. */
static const uint8_t key[NETFRONT_HASH_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};
static const struct answer {
	uint8_t version, src[16], dst[16];
	uint16_t src_port, dst_port;
	uint32_t addresses, ports;
} answers[] = {
	{ 4, { 66, 9, 149, 187 }, { 161, 142, 100, 80 }, 2794, 1766, 0x323e8fc2, 0x51ccc178 },
	{ 4, { 38, 27, 205, 30 }, { 209, 142, 163, 6 }, 48228, 2217, 0x82989176, 0xafc7327f },
	{ 4, { 153, 39, 163, 191 }, { 202, 188, 127, 2 }, 44251, 1303, 0x5d1809c5, 0x10e828a2 },
	{ 6, { 0x3f, 0xfe, 0x25, 1, 2, 0, 0x1f, 0xff, [15] = 7 },
	  { 0x3f, 0xfe, 0x25, 1, 2, 0, 0, 3, [15] = 1 }, 2794, 1766, 0x2cc18cd5, 0x40207d3d },
	{ 6, { 0x3f, 0xfe, 5, 1, 0, 8, 0, 0, 2, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab },
	  { 0xff, 2, [15] = 1 }, 14230, 4739, 0x0f0c461c, 0xdde51bbf },
};

#define ADDRESSES_ONLY (XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV6)
#define WITH_PORTS (ADDRESSES_ONLY | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP | \
		    XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)
#define MAP_ENTRIES 128u

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_ip_checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, (uint16_t)~sum);
}

/* The TCP segment of a row, with 40 octets of data; its size. */
static uint32_t make_segment(const struct answer *a)
{
	uint32_t ip_bytes = a->version == 4 ? 20 : 40;
	uint8_t *ip = sent + HEAD_BYTES, *tcp = ip + ip_bytes;

	make_frame(to.info.mac, HEAD_BYTES + ip_bytes + 60, 1);
	memset(ip, 0, ip_bytes + 20);
	if (a->version == 4) {
		put16(sent + 12, 0x0800);
		ip[0] = 0x45;
		put16(ip + 2, 80);
		ip[8] = 64;
		ip[9] = 6;
		memcpy(ip + 12, a->src, 4);
		memcpy(ip + 16, a->dst, 4);
		put_ip_checksum(ip);
	} else {
		put16(sent + 12, 0x86dd);
		ip[0] = 0x60;
		put16(ip + 4, 60);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, a->src, 16);
		memcpy(ip + 24, a->dst, 16);
	}
	put16(tcp, a->src_port);
	put16(tcp + 2, a->dst_port);
	tcp[12] = 0x50;
	tcp[13] = 0x10;
	return HEAD_BYTES + ip_bytes + 60;
}

/* All rows, under what was agreed. Returns which queues were used, as bits. */
static uint32_t hash_rows(uint32_t types, const uint32_t *map)
{
	uint32_t queues = 0;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct answer *a = answers + i;
		uint32_t hash = types == WITH_PORTS ? a->ports : a->addresses;
		uint32_t type = a->version == 4 ?
			types & (types == WITH_PORTS ? XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP :
				 XEN_NETIF_CTRL_HASH_TYPE_IPV4) :
			types & (types == WITH_PORTS ? XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP :
				 XEN_NETIF_CTRL_HASH_TYPE_IPV6);
		uint32_t bytes = make_segment(a);

		send_frame(bytes);
		receive_sent(bytes);
		if (got.hash != hash || got.hash_type != type)
			hostile_fail("row %zu: hash %08x of type %u, expected %08x of %u", i,
				     got.hash, got.hash_type, hash, type);
		if (got.queue != map[hash % MAP_ENTRIES])
			hostile_fail("row %zu: in queue %u, expected %u", i, got.queue,
				     map[hash % MAP_ENTRIES]);
		queues |= 1u << got.queue;
	}
	return queues;
}

static void set_hash(uint32_t types, const uint32_t *map)
{
	int r = netfront_set_hash(to.n, types, key, map, map ? MAP_ENTRIES : 0, HOSTILE_WAIT_MS);

	if (r)
		hostile_fail("hash of types %u: %s", types, strerror(-r));
}

static void hash(void)
{
	struct netfront_options o = { .nr_queues = 2, .ctrl_ring = true };
	uint32_t map[MAP_ENTRIES], other[MAP_ENTRIES], bytes;

	open_both(&o);
	if (to.info.nr_queues != 2)
		hostile_fail("%u queues, expected 2", to.info.nr_queues);
	for (uint32_t i = 0; i < MAP_ENTRIES; i++) {
		map[i] = i & 1;
		other[i] = !map[i];
	}
	set_hash(WITH_PORTS, map);
	if (hash_rows(WITH_PORTS, map) != 3)
		hostile_fail("not both queues were used");
	set_hash(WITH_PORTS, other);
	hash_rows(WITH_PORTS, other);
	set_hash(ADDRESSES_ONLY, map);
	hash_rows(ADDRESSES_ONLY, map);
	set_hash(0, NULL);
	bytes = make_segment(answers);
	send_frame(bytes);
	receive_sent(bytes);
	if (got.hash || got.hash_type)
		hostile_fail("a hash after it was switched off");
	close_both();
	printf("%zu flows in two queues as published\n", sizeof(answers) / sizeof(answers[0]));
}

/* ---- groups ------------------------------------------------------------------------- */

static const uint8_t one[MAC_BYTES] = { 0x01, 0, 0x5e, 1, 2, 3 };
static const uint8_t two[MAC_BYTES] = { 0x33, 0x33, 0, 0, 0, 5 };
static const uint8_t all[MAC_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* Whether a frame to mac arrives: it comes before one that is to vif 0 itself. */
static bool passes(const uint8_t *mac)
{
	static uint32_t seed;
	bool seen = false;

	make_frame(mac, 100, ++seed);
	send_frame(100);
	make_frame(to.info.mac, 101, seed);
	send_frame(101);
	for (receive(); got.bytes == 100; receive()) {
		if (memcmp(got.data, mac, MAC_BYTES) || seen)
			hostile_fail("a frame that was not sent");
		seen = true;
	}
	if (got.bytes != 101 || memcmp(got.data, sent, 101))
		hostile_fail("a frame of 101 octets arrived as another");
	return seen;
}

static void expect(const uint8_t *mac, bool wanted, const char *when)
{
	if (passes(mac) != wanted)
		hostile_fail("%s: a frame to %02x:%02x:... %s", when, mac[0], mac[1],
			     wanted ? "does not arrive" : "arrives");
}

/* After the wish was written, which the back end hears of some time later. */
static void until(const uint8_t *mac, bool wanted, const char *when)
{
	uint64_t start = hostile_now_ms();

	while (passes(mac) != wanted) {
		if (hostile_now_ms() - start > HOSTILE_WAIT_MS)
			expect(mac, wanted, when);
		usleep(10000);
	}
}

static void change(int r, const char *what)
{
	if (r)
		hostile_fail("%s: %s", what, strerror(-r));
}

static void join_and_leave(void)
{
	expect(one, false, "filter");
	expect(all, true, "filter");
	change(netfront_join(to.n, one, HOSTILE_WAIT_MS), "join");
	expect(one, true, "one is joined");
	expect(two, false, "one is joined");
	change(netfront_join(to.n, two, HOSTILE_WAIT_MS), "join");
	change(netfront_leave(to.n, one, HOSTILE_WAIT_MS), "leave");
	expect(one, false, "two is joined");
	expect(two, true, "two is joined");
	change(netfront_leave(to.n, two, HOSTILE_WAIT_MS), "leave");
	expect(two, false, "none is joined");
}

static void multicast(void)
{
	struct netfront_options o = { .multicast_control = true };

	open_both(&o);
	if (!to.info.multicast_control)
		hostile_fail("no filter");
	join_and_leave();
	close_both();
}

/* The wish changes while it is connected. */
static void dynamic(void)
{
	struct netfront_options o = { .nr_queues = 1 };

	open_both(&o);
	for (uint32_t turn = 0; turn < 2; turn++) {
		expect(one, true, "no filter");
		change(netfront_multicast_control(to.n, true), "filter on");
		until(one, false, "filter on");
		join_and_leave();
		change(netfront_multicast_control(to.n, false), "filter off");
		until(one, true, "filter off");
		expect(two, true, "filter off");
	}
	close_both();
}

/* ---- arguments ---------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*play)(void);
} cases[] = {
	{ "static-grants", static_grants }, { "hash", hash }, { "multicast", multicast },
	{ "dynamic", dynamic },
};

static bool play(const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(cases[i].name, name)) {
			hostile_case = name;
			cases[i].play();
			printf("%s: done\n", name);
			return true;
		}
	return false;
}

int main(int argc, char **argv)
{
	hostile_program = "net-own";
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		if (!play(argv[i]))
			argc = 1;
	if (argc < 2) {
		fprintf(stderr, "Usage: net-own CASE...\nCases: static-grants hash multicast dynamic\n");
		return 2;
	}
	return 0;
}
