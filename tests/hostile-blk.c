/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that means harm to a block back end: run in a guest of local Xen,
 * with the cases to play as arguments (e2e-blk-hostile.sh says which there are).
 *
 * Here are the lies about the ring, the grants and the events, and the sudden
 * deaths; those about requests are in hostile-requests.c.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hostile-blk.h"
#include <xen/grant_table.h>

#define LOAD_MS 2000
#define STORM_MS_DEFAULT 2000u
#define IDS 0x10000u
#define NO_PORT 4000u

/* ---- noise: what a thread does while the other works --------------------------- */

static void lie_about_rsp_prod(void *arg)
{
	struct hostile *h = arg;
	h->g.front.shared->rsp_prod = (uint32_t)hostile_random();
}

/* 0, the past, the next, far in the future. */
static void lie_about_events(void *arg)
{
	struct hostile *h = arg;
	uint64_t r = hostile_random();
	uint32_t event = r & 1 ? (uint32_t)(r >> 32) : (uint32_t)(r >> 32) & 3;

	h->g.front.shared->req_event = event;
	h->g.front.shared->rsp_event = event + (uint32_t)(r >> 8 & 0xff);
}

/*
 * Two grants of the guest's own must not come up as data: that of the ring, which is
 * ring-self, and that of its XenStore ring, which every guest has under the same
 * number: a read would take the guest's own store from it (store-ring).
 */
static bool is_own_gref(const struct hostile *h, uint32_t at, uint8_t value)
{
	bool may_be_gref = at >= 20 && at % 4 == 0;	/* its low byte, in any ABI */

	return may_be_gref && (value == (h->front.queue[0].gref[0] & 0xff) ||
			       value == GNTTAB_RESERVED_XENSTORE);
}

/* Bytes of slots, most often those that say what the request is. */
static void scribble(void *arg)
{
	struct hostile *h = arg;
	struct ring_front *f = &h->g.front;
	uint64_t r = hostile_random();
	uint8_t value = (uint8_t)(r >> 16) & (r & 0x40 ? 0xff : 7);
	volatile uint8_t *slot = f->slots + (r & (f->nr_slots - 1)) * f->slot_bytes;
	uint32_t at = (uint32_t)(r >> 8) % (r & 0x80 ? f->slot_bytes : 32);

	if (!is_own_gref(h, at, value))
		slot[at] = value;
}

/* The list of an indirect request: each entry good, bad, good. */
static void change_list(void *arg)
{
	struct hostile *h = arg;
	volatile struct blkif_request_segment *list = (void *)(h->data + 3 * PAGE_BYTES);
	uint64_t r = hostile_random();
	uint32_t i = (uint32_t)(r & 255);

	list[i].last_sect = r & 0x100 ? 7 : (uint8_t)(r >> 16);
	list[i].first_sect = r & 0x200 ? 0 : (uint8_t)(r >> 24);
	list[i].gref = r & 0x400 ? h->data_gref[2] : (uint32_t)(r >> 32);
	list[i].gref = h->data_gref[2];
	list[i].first_sect = 0;
	list[i].last_sect = 7;
}

/* ---- load ---------------------------------------------------------------------- */

static void put_read(struct hostile *h, uint64_t id)
{
	struct blkif_request_segment segs[BLKIF_MAX_SEGMENTS_PER_REQUEST];

	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
		segs[i] = hostile_seg(h->data_gref[4 + i], 0, 7);
	guest_rw(&h->g, BLKIF_OP_READ, id, 64 * (id & 63), BLKIF_MAX_SEGMENTS_PER_REQUEST,
		 segs);
}

static void put_indirect(struct hostile *h, uint64_t id)
{
	guest_indirect(&h->g, BLKIF_OP_READ, id, 0, 256, h->data_gref[3]);
}

struct load {
	void (*put)(struct hostile *h, uint64_t id);
	bool ids_are_true;	/* ... and so can be checked */
	uint64_t nr, nr_okay;
	uint8_t in_flight[IDS];
};

static void load_put(struct hostile *h, struct load *l)
{
	while (ring_front_free(&h->g.front)) {
		uint64_t id = hostile_id(h);

		l->in_flight[id % IDS]++;
		l->put(h, id);
	}
	hostile_push(h);
}

static void load_take(struct hostile *h, struct load *l)
{
	struct guest_response rsp;

	guest_response(&h->g, &rsp);
	l->nr++;
	l->nr_okay += rsp.status == BLKIF_RSP_OKAY;
	if (l->ids_are_true && !l->in_flight[rsp.id % IDS]--)
		hostile_fail("an id was answered that was not in flight");
}

/* Looks instead of waiting: events are part of the lies. */
static void load_wait(struct hostile *h)
{
	uint64_t start = hostile_now_ms();
	int nr;

	while ((nr = ring_front_pending(&h->g.front)) == 0) {
		frontdev_poll(h->env);
		frontdev_peer_news(&h->dev);
		if (frontdev_peer_gone(&h->dev))
			hostile_fail("the back end closed the device");
		if (hostile_now_ms() - start > HOSTILE_WAIT_MS)
			hostile_fail("no more responses after %u, of %u requests",
				    h->g.front.rsp_cons, h->g.front.req_prod_pub);
		usleep(20);
	}
	if (nr < 0)
		hostile_fail("more responses than requests");
}

static void load_drain(struct hostile *h, struct load *l)
{
	while (ring_front_inflight(&h->g.front)) {
		load_wait(h);
		load_take(h, l);
	}
}

/* A full ring for a while, then everything answered. */
static void load_run(struct hostile *h, struct load *l, uint64_t ms)
{
	uint64_t start = hostile_now_ms();

	do {
		load_put(h, l);
		load_wait(h);
		load_take(h, l);
	} while (hostile_now_ms() - start < ms);
	load_drain(h, l);
}

/* load under noise; the device outlives both. */
static void load_with(struct hostile *h, struct load *l, void (*make)(void *arg))
{
	struct hostile_noise n;

	hostile_open(h);
	memset(h->data, 0, HOSTILE_PAGES * PAGE_BYTES);
	hostile_noise_start(&n, make, h);
	load_run(h, l, LOAD_MS);
	hostile_noise_end(&n);
	hostile_good(h);
	hostile_close(h);
	printf("%llu responses, %llu of them OKAY, under %llu lies\n",
	       (unsigned long long)l->nr, (unsigned long long)l->nr_okay,
	       (unsigned long long)n.nr);
}

/* ---- the ring -------------------------------------------------------------------- */

/* After some use req_prod is made to be by off from where it was. */
static void jump(struct hostile *h, uint32_t off)
{
	hostile_open(h);
	hostile_good(h);
	h->g.front.shared->req_prod = h->g.front.req_prod_pub + off;
	hostile_notify(h);
	hostile_stopped(h);
}

static void ring_jump(struct hostile *h)
{
	jump(h, h->g.front.nr_slots ? h->g.front.nr_slots + 1 : 33);
}

static void ring_far(struct hostile *h)
{
	jump(h, 1u << 31);
}

static void ring_backwards(struct hostile *h)
{
	jump(h, -1u);
}

static void start_at(struct hostile *h, uint32_t req_prod, uint32_t rsp_prod)
{
	hostile_prepare(h);
	h->g.front.shared->req_prod = req_prod;
	h->g.front.shared->rsp_prod = rsp_prod;
	hostile_publish(h);
	hostile_stopped(h);
}

static void ring_connect(struct hostile *h)
{
	start_at(h, 33, 0);
	start_at(h, 0, 1);
	start_at(h, 1u << 31, 0);
	start_at(h, 7, 0xfffffff0u - 30);
}

/* Reads into the ring's own indices. */
static void ring_self(struct hostile *h)
{
	struct blkif_request_segment seg;

	hostile_open(h);
	hostile_good(h);
	seg = hostile_seg(h->front.queue[0].gref[0], 0, 0);
	guest_rw(&h->g, BLKIF_OP_READ, hostile_id(h), 0, 1, &seg);
	hostile_push(h);
	hostile_stopped(h);
}

/* Legal: where the indices begin is the front end's affair. */
static void ring_wrap(struct hostile *h)
{
	struct ring_front *f = &h->g.front;

	hostile_prepare(h);
	f->req_prod_pvt = f->req_prod_pub = f->rsp_cons = 0xfffffff0u;
	f->shared->req_prod = f->shared->rsp_prod = 0xfffffff0u;
	f->shared->req_event = f->shared->rsp_event = 0xfffffff1u;
	hostile_publish(h);
	hostile_connect(h);
	for (int i = 0; i < 50; i++)
		hostile_good(h);
	hostile_close(h);
}

/* rsp_prod cannot be read any longer; the slots tell. */
static void wait_in_slots(struct hostile *h, uint32_t nr, uint64_t first_id)
{
	struct ring_front *f = &h->g.front;
	uint64_t start = hostile_now_ms(), id, seen = 0;

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t slot = f->rsp_cons++ & (f->nr_slots - 1);

		for (;;) {
			ring_copy_out(&id, f->slots + (size_t)slot * f->slot_bytes, sizeof(id));
			if (id / IDS == first_id / IDS)
				break;
			if (hostile_now_ms() - start > HOSTILE_WAIT_MS)
				hostile_fail("no response in slot %u", slot);
			usleep(20);
		}
		if (id - first_id >= nr || seen >> (id - first_id) & 1)
			hostile_fail("an id was answered twice, or never sent");
		seen |= 1ull << (id - first_id);
	}
}

static void ring_rsp_prod(struct hostile *h)
{
	uint64_t start, first;
	struct hostile_noise n;

	hostile_open(h);
	hostile_noise_start(&n, lie_about_rsp_prod, h);
	for (start = hostile_now_ms(); hostile_now_ms() - start < LOAD_MS; ) {
		h->last_id = 0x1100;
		first = hostile_id(h);
		put_read(h, first);
		for (uint64_t i = 1; i < 16; i++)
			put_read(h, first + i);
		hostile_push(h);
		wait_in_slots(h, 16, first);
	}
	hostile_noise_end(&n);
	/* The next response that is published brings the true value back. */
	first = hostile_id(h);
	put_read(h, first);
	hostile_push(h);
	wait_in_slots(h, 1, first);
	while (h->g.front.shared->rsp_prod != h->g.front.rsp_cons)
		if (hostile_now_ms() - start > HOSTILE_WAIT_MS + LOAD_MS)
			hostile_fail("rsp_prod stays wrong");
	hostile_good(h);
	hostile_close(h);
}

static void ring_events(struct hostile *h)
{
	static struct load l = { .put = put_read, .ids_are_true = true };

	load_with(h, &l, lie_about_events);
}

static void ring_scribble(struct hostile *h)
{
	static struct load l = { .put = put_read };

	load_with(h, &l, scribble);
}

/* ---- grants ---------------------------------------------------------------------- */

static void grant_list(struct hostile *h)
{
	static struct load l = { .put = put_indirect, .ids_are_true = true };

	load_with(h, &l, change_list);
}

static void replace_data(struct hostile *h)
{
	xengntshr_unshare(h->env->xgs, h->data, HOSTILE_PAGES);
	h->data = xengntshr_share_pages(h->env->xgs, h->dev.bus.otherend_id,
					HOSTILE_PAGES, h->data_gref, true);
	if (!h->data)
		hostile_fail("cannot share again: %s", strerror(errno));
}

/* Ends the grants of pages that are in flight, or that stay mapped. */
static void grant_data(struct hostile *h)
{
	static struct load l = { .put = put_read, .ids_are_true = true };

	hostile_open(h);
	for (int round = 0; round < 50; round++) {
		load_put(h, &l);
		replace_data(h);
		load_drain(h, &l);
		hostile_good(h);
		replace_data(h);
		hostile_good(h);
	}
	hostile_close(h);
	printf("%llu responses, %llu of them OKAY\n", (unsigned long long)l.nr,
	       (unsigned long long)l.nr_okay);
}

static void grant_ring(struct hostile *h)
{
	hostile_open(h);
	hostile_good(h);
	put_read(h, hostile_id(h));
	hostile_push(h);
	xengntshr_unshare(h->env->xgs, h->g.ring, 1);
	h->g.ring = NULL;
	for (int i = 0; i < 100; i++)
		hostile_notify(h);
	hostile_close(h);
	hostile_open(h);
	hostile_good(h);
	hostile_close(h);
}

/*
 * Disk data over the guest's own XenStore ring, whose grant a back end in dom0 may
 * use as any other: the guest can write no state afterwards, so nothing is closed.
 */
static void store_ring(struct hostile *h)
{
	struct blkif_request_segment seg = hostile_seg(GNTTAB_RESERVED_XENSTORE, 0, 7);

	hostile_open(h);
	hostile_good(h);
	guest_rw(&h->g, BLKIF_OP_READ, hostile_id(h), HOSTILE_GOOD_SECTOR, 1, &seg);
	hostile_push(h);
	while (!ring_front_final(&h->g.front, 1))
		usleep(20);
}

/* ---- events and death ------------------------------------------------------------- */

static uint64_t storm_ms = STORM_MS_DEFAULT;

static void storm(struct hostile *h)
{
	uint64_t start, nr = 0;

	hostile_open(h);
	for (start = hostile_now_ms(); hostile_now_ms() - start < storm_ms; nr++)
		hostile_notify(h);
	hostile_good(h);
	hostile_close(h);
	printf("%llu events without a request\n", (unsigned long long)nr);
}

/* The port ends while the disk is connected, and another gets its number. */
static void ports(struct hostile *h)
{
	for (int round = 0; round < 20; round++) {
		int port;

		hostile_open(h);
		hostile_good(h);
		put_read(h, hostile_id(h));
		hostile_push(h);
		if (xenevtchn_unbind(h->env->xce, h->port))
			hostile_fail("unbind: %s", strerror(errno));
		put_read(h, hostile_id(h));
		ring_front_push(&h->g.front);
		port = xenevtchn_bind_unbound_port(h->env->xce, h->dev.bus.otherend_id);
		if (port < 0)
			hostile_fail("bind: %s", strerror(errno));
		for (int i = 0; i < 100; i++)
			xenevtchn_notify(h->env->xce, (uint32_t)port);
		h->dev.port[0] = h->port = (uint32_t)port;
		hostile_close(h);
	}
	hostile_open(h);
	hostile_good(h);
	hostile_close(h);
}

static bool is_told_to_stop(struct hostile *h)
{
	void *word = xs_read(h->env->xs, XBT_NULL, "data/stop", NULL);
	bool told = word;

	free(word);
	return told;
}

/* Connects again and again, each time with a port that was never there. */
static void no_port(struct hostile *h)
{
	while (!is_told_to_stop(h)) {
		hostile_prepare(h);
		h->front.queue[0].port = NO_PORT;
		hostile_publish(h);
		hostile_stopped(h);
	}
}

/* What a new worker needs is taken back while an old one serves: nobody notices until then. */
static void taken_back(struct hostile *h)
{
	printf("taken back\n");
	hostile_stopped(h);
}

static void take_ring_back(struct hostile *h)
{
	hostile_open(h);
	hostile_good(h);
	xengntshr_unshare(h->env->xgs, h->g.ring, 1);
	h->g.ring = NULL;
	taken_back(h);
}

static void take_port_back(struct hostile *h)
{
	hostile_open(h);
	hostile_good(h);
	if (xenevtchn_unbind(h->env->xce, h->port))
		hostile_fail("unbind: %s", strerror(errno));
	taken_back(h);
}

/* Its ring can be copied and not be mapped: not what a host without room looks like. */
static void sub_page(struct hostile *h)
{
	hostile_prepare(h);
	hostile_sub_page(h->front.queue[0].gref[0]);
	hostile_publish(h);
	hostile_stopped(h);
}

/* The same while an old worker serves. */
static void take_map_back(struct hostile *h)
{
	hostile_open(h);
	hostile_good(h);
	hostile_sub_page(h->front.queue[0].gref[0]);
	taken_back(h);
}

static void killed(struct hostile *h)
{
	static struct load l = { .put = put_read };

	hostile_open(h);
	load_put(h, &l);
	kill(getpid(), SIGKILL);
}

/* Until the domain is destroyed. */
static void load_for_ever(struct hostile *h)
{
	static struct load l = { .put = put_read };

	hostile_open(h);
	printf("in flight\n");
	load_run(h, &l, UINT64_MAX);
}

static void good(struct hostile *h)
{
	hostile_open(h);
	hostile_good(h);
	hostile_close(h);
}

/* ---- arguments -------------------------------------------------------------------- */

static const struct hostile_case {
	const char *name;
	void (*play)(struct hostile *h);
} cases[] = {
	{ "requests", hostile_requests }, { "read-only", hostile_read_only },
	{ "flood", hostile_flood }, { "ring-jump", ring_jump }, { "ring-far", ring_far },
	{ "ring-backwards", ring_backwards }, { "ring-connect", ring_connect },
	{ "ring-self", ring_self }, { "ring-wrap", ring_wrap },
	{ "ring-rsp-prod", ring_rsp_prod },
	{ "ring-events", ring_events }, { "ring-scribble", ring_scribble },
	{ "grant-list", grant_list }, { "grant-data", grant_data },
	{ "grant-ring", grant_ring }, { "store-ring", store_ring }, { "storm", storm },
	{ "ports", ports }, { "no-port", no_port }, { "killed", killed },
	{ "take-ring-back", take_ring_back }, { "take-port-back", take_port_back },
	{ "sub-page", sub_page }, { "take-map-back", take_map_back },
	{ "load", load_for_ever }, { "good", good },
};

static void usage(void)
{
	fprintf(stderr, "Usage: hostile-blk [--device N] [--abi native|x86_32|x86_64] "
		"[--persistent] [--log FILE] [--seconds N] CASE...\nCases:");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		fprintf(stderr, " %s", cases[i].name);
	fputc('\n', stderr);
	exit(2);
}

static enum vbd_abi abi_named(const char *name)
{
	if (!strcmp(name, "native"))
		return VBD_ABI_NATIVE;
	if (!strcmp(name, "x86_32"))
		return VBD_ABI_X86_32;
	if (strcmp(name, "x86_64"))
		usage();
	return VBD_ABI_X86_64;
}

static void parse(int argc, char **argv, struct hostile_options *o)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "abi", required_argument, NULL, 'a' },
		{ "persistent", no_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 's' },
		{ "log", required_argument, NULL, 'l' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'd': o->devid = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'a': o->abi = abi_named(optarg); break;
		case 's': storm_ms = 1000 * strtoul(optarg, NULL, 10); break;
		case 'p': o->persistent = true; break;
		case 'l': o->log = optarg; break;
		default: usage();
		}
	if (optind == argc)
		usage();
}

static void play(struct hostile *h, const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(cases[i].name, name)) {
			hostile_case = name;
			cases[i].play(h);
			printf("%s: done\n", name);
			return;
		}
	usage();
}

int main(int argc, char **argv)
{
	struct hostile_options o = { .devid = 51712 };
	struct hostile h;

	hostile_program = "hostile-blk";
	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &o);
	hostile_init(&h, &o);
	for (int i = optind; i < argc; i++)
		play(&h, argv[i]);
	hostile_exit(&h);
	return 0;
}
