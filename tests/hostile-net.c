/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that means harm to a net back end: run in a guest, of local Xen or a real
 * one, that has vif 0 and vif 1, with the cases to play as arguments
 * (e2e-net-hostile.sh says which there are). Where a case needs somebody who sends to
 * the liar, vif 1 does. Nobody else may send to vif 0: it offers few buffers.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>
#include "front-linux.h"
#include "hostile-vif.h"

static uint32_t case_ms = 2000;		/* of what goes on for a while */

static bool for_a_while(uint64_t start)
{
	return hostile_now_ms() - start < case_ms;
}

/* ---- frames ------------------------------------------------------------------------- */

enum which { GOOD, UNSHARED, FOREIGN, NEVER, OWN_RING };

static uint32_t gref_of(struct vif *v, enum which which)
{
	switch (which) {
	case UNSHARED: return vif_ended_gref(v);
	case FOREIGN: return v->foreign_gref;
	case NEVER: return 0x7fffffff;
	case OWN_RING: return v->front.queue[0].tx_gref;
	default: return v->data_gref[0];
	}
}

static void frames(struct front_env *env)
{
	static const struct {
		const char *what;
		uint32_t offset, bytes;
		enum which which;
		uint16_t flags, gso_bytes;
		uint8_t nr_more;		/* slots of one octet behind it */
		int16_t status;
	} rows[] = {
		{ "no octets", 0, 0, GOOD, 0, 0, 0, NETIF_RSP_ERROR },
		{ "13 octets", 0, 13, GOOD, 0, 0, 0, NETIF_RSP_ERROR },
		{ "past its page", 4000, 100, GOOD, 0, 0, 0, NETIF_RSP_ERROR },
		{ "an offset past its page", 65535, 100, GOOD, 0, 0, 0, NETIF_RSP_ERROR },
		{ "65,535 octets in one slot", 0, 65535, GOOD, 0, 0, 0, NETIF_RSP_ERROR },
		{ "slots longer than the frame", 0, 14, GOOD, NETTXF_more_data, 0, 15, NETIF_RSP_ERROR },
		{ "19 slots", 0, 1000, GOOD, NETTXF_more_data, 0, 18, NETIF_RSP_ERROR },
		{ "18 slots", 0, 1000, GOOD, NETTXF_more_data, 0, 17, NETIF_RSP_OKAY },
		{ "a grant that has ended", 0, 100, UNSHARED, 0, 0, 0, NETIF_RSP_ERROR },
		{ "a grant to somebody else", 0, 100, FOREIGN, 0, 0, 0, NETIF_RSP_ERROR },
		{ "a grant that never was", 0, 100, NEVER, 0, 0, 0, NETIF_RSP_ERROR },
		{ "the ring's page as frame", 0, 100, OWN_RING, 0, 0, 0, NETIF_RSP_OKAY },
		{ "GSO of what is not TCP", 0, 1000, GOOD, NETTXF_extra_info | NETTXF_csum_blank,
		  500, 0, NETIF_RSP_ERROR },
	};
	struct vif v;

	vif_open(&v, env, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t nr = 1 + rows[i].nr_more, extras = rows[i].gso_bytes != 0;

		vif_frame(&v, v.data, NULL, 4000, 1);
		vif_slot(&v, gref_of(&v, rows[i].which), rows[i].offset, rows[i].bytes,
			 rows[i].flags);
		if (extras)
			vif_extra(&v, XEN_NETIF_EXTRA_TYPE_GSO, 0, rows[i].gso_bytes);
		for (uint32_t k = 1; k < nr; k++)
			vif_slot(&v, v.data_gref[0], 0, 1, k + 1 < nr ? NETTXF_more_data : 0);
		vif_push(&v, VIF_TX);
		for (uint32_t k = 0; k < nr + extras; k++) {
			int16_t status = vif_answer(&v).status;

			/* An extra info, which comes behind the first, has an answer of its own. */
			if (status != rows[i].status &&
			    !(status == NETIF_RSP_NULL && extras && k == 1))
				hostile_fail("%s: status %d, expected %d", rows[i].what, status,
					     rows[i].status);
		}
		vif_good(&v);
	}
	vif_close(&v);
}

/* A frame without an end, and one of too many slots: nothing after them can be believed. */
static void chain(struct front_env *env)
{
	for (uint32_t nr = 1; nr <= 255; nr += 254) {
		struct vif v;

		vif_open(&v, env, 0);
		vif_good(&v);
		for (uint32_t i = 0; i < nr; i++)
			vif_slot(&v, v.data_gref[0], 0, i ? 1 : 1000, NETTXF_more_data);
		vif_push(&v, VIF_TX);
		vif_stopped(&v);
	}
}

/* ---- receiving ------------------------------------------------------------------------- */

/* From vif 1 to vif 0, from its page i; nothing is waited for. */
static void send_to(struct vif *from, const struct vif *to, uint32_t i, uint32_t bytes)
{
	vif_frame(from, from->data + i * PAGE_BYTES, to->mac, bytes, (uint8_t)bytes);
	vif_slot(from, from->data_gref[i], 0, bytes, 0);
	vif_push(from, VIF_TX);
}

static void expect_fill(const uint8_t *page, uint32_t from)
{
	for (uint32_t i = from; i < PAGE_BYTES; i++)
		if (page[i] != HOSTILE_FILL)
			hostile_fail("octet %u behind a frame of %u is written", i, from);
}

/* A whole frame, and not an octet more. */
static void take_good(struct vif *to, const struct vif *from, uint32_t i, uint32_t bytes)
{
	uint32_t buffer;
	netif_rx_response_t rsp = vif_take(to, &buffer);
	uint8_t *page = to->buffers + buffer * PAGE_BYTES;

	if (rsp.status != (int)bytes || rsp.offset || rsp.flags)
		hostile_fail("a frame of %u octets: status %d, offset %u, flags %u", bytes,
			     rsp.status, rsp.offset, rsp.flags);
	if (memcmp(page, from->data + i * PAGE_BYTES, bytes))
		hostile_fail("a frame of %u octets arrived as another", bytes);
	expect_fill(page, bytes);
	memset(page, HOSTILE_FILL, PAGE_BYTES);
}

static void open_both(struct vif *to, struct vif *from, struct front_env *env)
{
	vif_open(to, env, 0);
	vif_open(from, env, 1);
}

static void close_both(struct vif *to, struct vif *from)
{
	vif_close(from);
	vif_close(to);
}

static void octets(struct front_env *env)
{
	struct vif to, from;

	open_both(&to, &from, env);
	for (uint32_t bytes = 14; bytes <= PAGE_BYTES; bytes += bytes < 200 ? 1 : 97) {
		vif_post(&to, 1);
		send_to(&from, &to, 0, bytes);
		take_good(&to, &from, 0, bytes);
		if (vif_answer(&from).status != NETIF_RSP_OKAY)
			hostile_fail("a frame of %u octets was refused", bytes);
	}
	close_both(&to, &from);
}

static void rx_grants(struct front_env *env)
{
	struct vif to, from;

	open_both(&to, &from, env);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t gref[] = { vif_ended_gref(&to), to.foreign_gref, 0x7fffffff, to.ro_gref };
		uint32_t buffer;

		vif_post_gref(&to, gref[i], 0);
		vif_push(&to, VIF_RX);
		send_to(&from, &to, 0, 1000);
		if (vif_take(&to, &buffer).status != NETIF_RSP_ERROR)
			hostile_fail("bad grant %u to receive into: no error", i);
		vif_answer(&from);
		expect_fill(to.ro, 0);
		vif_post(&to, 1);
		send_to(&from, &to, 0, 1000);
		take_good(&to, &from, 0, 1000);
		vif_answer(&from);
	}
	close_both(&to, &from);
}

/* No slot, or one and frames that need two: the sender is answered all the same. */
static void withheld(struct front_env *env)
{
	uint64_t start, nr = 0;
	struct vif to, from;

	open_both(&to, &from, env);
	for (start = hostile_now_ms(); for_a_while(start); nr++) {
		vif_frame(&from, from.data, to.mac, 4000, 1);
		vif_slot(&from, from.data_gref[0], 0, 5000, NETTXF_more_data);
		vif_slot(&from, from.data_gref[1], 0, 2000, 0);
		vif_push(&from, VIF_TX);
		while (ring_front_free(&from.ring[VIF_TX]) < 2)
			vif_answer(&from);
		if (nr == 100)
			vif_post(&to, 1);
	}
	while (ring_front_inflight(&from.ring[VIF_TX]))
		vif_answer(&from);
	close_both(&to, &from);
	printf("%llu frames to nobody's slots\n", (unsigned long long)nr);
}

static void good(struct front_env *env)
{
	struct vif to, from;

	open_both(&to, &from, env);
	vif_good(&to);
	vif_good(&from);
	close_both(&to, &from);
}

/* ---- rings ------------------------------------------------------------------------------- */

static void jump(struct front_env *env, uint32_t off)
{
	for (enum vif_ring ring = VIF_TX; ring < VIF_RINGS; ring++) {
		struct vif v, from;

		open_both(&v, &from, env);
		vif_good(&v);
		v.ring[ring].shared->req_prod = v.ring[ring].req_prod_pub + off;
		vif_notify(&v, ring);
		if (ring == VIF_RX)	/* it is looked at when something is due */
			send_to(&from, &v, 0, 100);
		vif_stopped(&v);
		vif_close(&from);
	}
}

static void ring_jump(struct front_env *env)
{
	jump(env, 257);
}

static void ring_far(struct front_env *env)
{
	jump(env, 1u << 31);
}

static void ring_backwards(struct front_env *env)
{
	jump(env, -1u);
}

static void ring_connect(struct front_env *env)
{
	for (enum vif_ring ring = VIF_TX; ring < VIF_RINGS; ring++) {
		struct vif v;

		vif_prepare(&v, env, 0);
		v.ring[ring].shared->req_prod = 1000;
		vif_publish(&v);
		vif_stopped(&v);
	}
}

static void lie_about_events(void *arg)
{
	struct vif *v = arg;
	uint64_t r = hostile_random();
	struct ring_shared *s = v->ring[r % VIF_RINGS].shared;

	s->req_event = r & 64 ? (uint32_t)(r >> 32) : 0;
	s->rsp_event = r & 128 ? (uint32_t)(r >> 24) : 0;
}

static void ring_events(struct front_env *env)
{
	struct hostile_noise n;
	struct vif to, from;
	uint64_t start, nr;

	open_both(&to, &from, env);
	hostile_noise_start(&n, lie_about_events, &from);
	for (start = hostile_now_ms(), nr = 0; for_a_while(start); nr++) {
		vif_post(&to, 1);
		send_to(&from, &to, 0, 700);
		take_good(&to, &from, 0, 700);
		while (!ring_front_pending(&from.ring[VIF_TX]))
			if (hostile_now_ms() - start > HOSTILE_WAIT_MS)
				hostile_fail("no answer");
		vif_answer(&from);
	}
	hostile_noise_end(&n);
	vif_good(&from);
	close_both(&to, &from);
	printf("%llu frames under %llu lies\n", (unsigned long long)nr, (unsigned long long)n.nr);
}

/* Octets of slots and of what they name; not the ring's own gref. */
static void scribble(void *arg)
{
	struct vif *v = arg;
	uint64_t r = hostile_random();
	struct ring_front *f = &v->ring[r % VIF_RINGS];
	volatile uint8_t *slot = f->slots + (r >> 8 & (f->nr_slots - 1)) * f->slot_bytes;

	slot[(r >> 24) % f->slot_bytes] = (uint8_t)(r >> 32) & (r & 64 ? 0xff : 3);
	v->data[(r >> 40) % 200] = (uint8_t)(r >> 16);
}

static void ring_scribble(struct front_env *env)
{
	uint32_t rounds = 0, stopped = 0;
	uint64_t start = hostile_now_ms(), nr = 0;

	while (for_a_while(start)) {
		struct hostile_noise n;
		uint64_t begun;
		struct vif v;

		vif_open(&v, env, 0);
		begun = hostile_now_ms();
		hostile_noise_start(&n, scribble, &v);
		while (hostile_now_ms() - begun < 200 && !vif_is_gone(&v)) {
			while (ring_front_free(&v.ring[VIF_TX])) {
				vif_slot(&v, v.data_gref[nr % VIF_PAGES], 0, 60 + nr % 2000, 0);
				nr++;
			}
			vif_push(&v, VIF_TX);
			vif_notify(&v, VIF_CTRL);
			/* Whatever the answers say. */
			v.ring[VIF_TX].rsp_cons = v.ring[VIF_TX].shared->rsp_prod;
			if (ring_front_free(&v.ring[VIF_TX]) > v.ring[VIF_TX].nr_slots)
				break;
		}
		hostile_noise_end(&n);
		stopped += vif_is_gone(&v);
		rounds++;
		vif_close(&v);
	}
	printf("%llu frames in %u lives, %u of them cut short\n", (unsigned long long)nr, rounds,
	       stopped);
}

/* ---- grants -------------------------------------------------------------------------------- */

static void end_data(struct vif *v)
{
	hostile_unshare(v->env, v->data, VIF_PAGES);
	hostile_unshare(v->env, v->buffers, VIF_PAGES);
	v->data = hostile_share(v->env, v->dev.bus.otherend_id, VIF_PAGES, false, v->data_gref);
	v->buffers = hostile_share(v->env, v->dev.bus.otherend_id, VIF_PAGES, true,
				   v->buffer_gref);
}

/* The grants of frames on their way end, and of buffers that are offered. */
static void grant_data(struct front_env *env)
{
	struct vif to, from;

	open_both(&to, &from, env);
	for (uint32_t round = 0; round < 50; round++) {
		vif_post(&to, VIF_PAGES);
		for (uint32_t i = 0; i < VIF_PAGES; i++)
			send_to(&from, &to, i, 3000);
		end_data(round & 1 ? &to : &from);
		for (uint32_t i = 0; i < VIF_PAGES; i++)
			vif_answer(&from);
		vif_good(&from);
		to.ring[VIF_RX].rsp_cons = to.ring[VIF_RX].shared->rsp_prod;
		while (ring_front_inflight(&to.ring[VIF_RX])) {
			send_to(&from, &to, 0, 100);
			vif_answer(&from);
			to.ring[VIF_RX].rsp_cons = to.ring[VIF_RX].shared->rsp_prod;
		}
	}
	close_both(&to, &from);
}

static void grant_ring(struct front_env *env)
{
	for (enum vif_ring ring = VIF_TX; ring < VIF_RINGS; ring++) {
		struct vif v, from;

		open_both(&v, &from, env);
		vif_good(&v);
		hostile_unshare(env, v.page[ring], 1);
		v.page[ring] = NULL;
		for (uint32_t i = 0; i < 100; i++) {
			vif_notify(&v, ring);
			send_to(&from, &v, 0, 100);
			vif_answer(&from);
		}
		vif_close(&v);
		vif_open(&v, env, 0);
		vif_good(&v);
		close_both(&v, &from);
	}
}

/* ---- what a new worker needs, taken back while an old one serves ----------------------------- */

static void take_ring_back(struct front_env *env)
{
	struct vif v;

	vif_open(&v, env, 0);
	vif_good(&v);
	hostile_unshare(env, v.page[VIF_TX], 1);
	v.page[VIF_TX] = NULL;
	printf("taken back\n");
	vif_stopped(&v);
}

/* Its ring can be copied and not be mapped: not what a host without room looks like. */
static void sub_page(struct front_env *env)
{
	struct vif v;

	vif_prepare(&v, env, 0);
	hostile_sub_page(v.front.queue[0].tx_gref);
	vif_publish(&v);
	vif_stopped(&v);
}

/* The same while an old worker serves. */
static void take_map_back(struct front_env *env)
{
	struct vif v;

	vif_open(&v, env, 0);
	vif_good(&v);
	hostile_sub_page(v.front.queue[0].tx_gref);
	printf("taken back\n");
	vif_stopped(&v);
}

static void take_port_back(struct front_env *env)
{
	struct vif v;

	vif_open(&v, env, 0);
	vif_good(&v);
	if (xenevtchn_unbind(env->xce, v.port[VIF_TX]))
		hostile_fail("unbind: %s", strerror(errno));
	printf("taken back\n");
	vif_stopped(&v);
}

/* ---- static grants ------------------------------------------------------------------------- */

static uint32_t list_all(struct vif *v)
{
	struct xen_netif_gref *list = (void *)v->list;

	for (uint32_t i = 0; i < VIF_PAGES; i++) {
		list[2 * i] = (struct xen_netif_gref){ .ref = v->buffer_gref[i] };
		list[2 * i + 1] = (struct xen_netif_gref){
			.ref = v->data_gref[i], .flags = XEN_NETIF_CTRLF_GREF_readonly,
		};
	}
	return 2 * VIF_PAGES;
}

static void map_all(struct vif *v)
{
	uint32_t status = vif_ask(v, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, v->list_gref,
				  list_all(v));

	if (status != XEN_NETIF_CTRL_STATUS_SUCCESS)
		hostile_fail("%u static grants: status %u", 2 * VIF_PAGES, status);
}

/* Lists that are wrong; and the grants of what is mapped end. */
static void grant_static(struct front_env *env)
{
	struct vif to, from;
	struct xen_netif_gref *list;

	open_both(&to, &from, env);
	list = (void *)to.list;
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t bad[] = { vif_ended_gref(&to), to.foreign_gref, 0x7fffffff, to.ro_gref,
				   to.buffer_gref[0], UINT32_MAX };

		list_all(&to);
		list[2].ref = bad[i];
		if (vif_ask(&to, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, to.list_gref, 4) !=
		    XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER)
			hostile_fail("list %u with gref %u is taken", i, bad[i]);
	}
	map_all(&to);
	map_all(&from);
	vif_post(&to, 8);
	for (uint32_t bytes = 14; bytes < 4000; bytes += 500) {
		send_to(&from, &to, 0, bytes);
		take_good(&to, &from, 0, bytes);
		vif_answer(&from);
	}
	vif_post(&to, 20);
	for (uint32_t i = 0; i < 20; i++)
		send_to(&from, &to, i, 3000);
	end_data(&to);
	end_data(&from);
	for (uint32_t i = 0; i < 20; i++)
		vif_answer(&from);
	vif_good(&from);
	close_both(&to, &from);
	vif_open(&to, env, 0);
	map_all(&to);
	vif_good(&to);
	vif_close(&to);
}

static void maps(struct front_env *env)
{
	uint64_t start, nr = 0;
	struct vif v;

	vif_open(&v, env, 0);
	for (start = hostile_now_ms(); for_a_while(start); nr++) {
		uint32_t status = vif_ask(&v, nr & 1 ? XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING :
					  XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, v.list_gref,
					  list_all(&v));

		if (status != XEN_NETIF_CTRL_STATUS_SUCCESS)
			hostile_fail("list %llu: status %u", (unsigned long long)nr, status);
	}
	vif_good(&v);
	vif_close(&v);
	printf("%llu lists of %u static grants\n", (unsigned long long)nr, 2 * VIF_PAGES);
}

/* ---- events, the store, death ------------------------------------------------------------------ */

static void storm(struct front_env *env)
{
	uint64_t start, nr = 0;
	struct vif v;

	vif_open(&v, env, 0);
	for (start = hostile_now_ms(); for_a_while(start); nr++)
		vif_notify(&v, nr % VIF_RINGS);
	vif_good(&v);
	vif_close(&v);
	printf("%llu events without a request\n", (unsigned long long)nr);
}

/* Its ports end while it is connected, and others get their numbers: nobody else suffers. */
static void ports(struct front_env *env)
{
	struct vif to, from;

	for (uint32_t round = 0; round < 20; round++) {
		uint32_t port[VIF_RINGS];

		open_both(&to, &from, env);
		vif_post(&to, 8);
		send_to(&from, &to, 0, 100);
		take_good(&to, &from, 0, 100);
		vif_answer(&from);
		for (enum vif_ring ring = VIF_TX; ring < VIF_RINGS; ring++)
			if (xenevtchn_unbind(env->xce, to.port[ring]))
				hostile_fail("unbind: %s", strerror(errno));
		/* It is answered and written to, and cannot be told. */
		vif_slot(&to, to.data_gref[0], 0, 100, 0);
		ring_front_push(&to.ring[VIF_TX]);
		for (uint32_t i = 0; i < 7; i++) {
			send_to(&from, &to, i, 100 + i);
			vif_answer(&from);
		}
		for (enum vif_ring ring = VIF_TX; ring < VIF_RINGS; ring++) {
			port[ring] = (uint32_t)xenevtchn_bind_unbound_port(
				env->xce, to.dev.bus.otherend_id);
			if ((int)port[ring] < 0)
				hostile_fail("bind: %s", strerror(errno));
		}
		vif_good(&from);
		for (enum vif_ring ring = VIF_TX; ring < VIF_RINGS; ring++)
			xenevtchn_unbind(env->xce, port[ring]);
		close_both(&to, &from);
	}
	good(env);
}

/* As fast as it goes, to an address that nobody has. */
static void flood(struct front_env *env)
{
	static const uint8_t nobody[VIF_MAC_BYTES] = { 0x02, 0, 0, 0, 0, 1 };
	uint64_t start, nr = 0;
	struct vif v;

	vif_open(&v, env, 0);
	vif_frame(&v, v.data, nobody, 60, 1);
	for (start = hostile_now_ms(); for_a_while(start); ) {
		for (; ring_front_free(&v.ring[VIF_TX]); nr++)
			vif_slot(&v, v.data_gref[0], 0, 60, 0);
		vif_push(&v, VIF_TX);
		do
			vif_answer(&v);
		while (ring_front_pending(&v.ring[VIF_TX]));
	}
	while (ring_front_inflight(&v.ring[VIF_TX]))
		vif_answer(&v);
	vif_close(&v);
	printf("%llu frames to nobody\n", (unsigned long long)nr);
}

struct lie {
	struct vif *v;
	const char *key, *value;
	size_t bytes;
};

static int write_lie(void *arg, xs_transaction_t t)
{
	const struct lie *l = arg;
	char path[300];
	int rc = 0;

	snprintf(path, sizeof(path), "%s/%s", l->v->dev.bus.nodename, l->key);
	if (t != XBT_NULL)
		rc = vif_write_frontend(l->v->env->xs, t, l->v->dev.bus.nodename, &l->v->front);
	if (!rc && !xs_write(l->v->env->xs, t, path, l->value, (unsigned int)l->bytes))
		hostile_fail("cannot write %s: %s", path, strerror(errno));
	return rc;
}

/* Where the back end would watch, if it watches anything of ours. */
static void spam(struct front_env *env)
{
	uint64_t start, nr = 0;
	struct vif v;

	vif_open(&v, env, 0);
	for (start = hostile_now_ms(); for_a_while(start); nr++) {
		struct lie l = { &v, "request-multicast-control", nr & 1 ? "1" : "0", 1 };

		write_lie(&l, XBT_NULL);
	}
	vif_good(&v);
	vif_close(&v);
	printf("%llu writes of a key that is watched\n", (unsigned long long)nr);
}

/* What the store says of its rings is not so: refused, with a reason; the truth is welcome. */
static void keys(struct front_env *env)
{
	static char page[1800];	/* the store takes no longer ones of a guest */
	struct vif v;
	struct lie rows[] = {
		{ &v, "tx-ring-ref", "", 0 }, { &v, "tx-ring-ref", "-1", 2 },
		{ &v, "rx-ring-ref", "abc", 3 }, { &v, "tx-ring-ref", "8\0008", 3 },
		{ &v, "rx-ring-ref", "18446744073709551616", 20 },
		{ &v, "tx-ring-ref", "2147483647", 10 }, { &v, "ctrl-ring-ref", "2147483647", 10 },
		{ &v, "event-channel-tx", "0", 1 }, { &v, "event-channel-rx", "4095", 4 },
		{ &v, "event-channel-ctrl", "99999999999", 11 },
		{ &v, "event-channel-tx", "nan", 3 }, { &v, "multi-queue-num-queues", "0", 1 },
		{ &v, "multi-queue-num-queues", "-1", 2 }, { &v, "multi-queue-num-queues", "2", 1 },
		{ &v, "multi-queue-num-queues", "4294967297", 10 },
		{ &v, "request-rx-copy", "0", 1 }, { &v, "feature-sg", "yes", 3 },
		{ &v, "tx-ring-ref", page, sizeof(page) },
	};

	memset(page, '7', sizeof(page));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vif_prepare(&v, env, 0);
		vif_remove_frontend(env->xs, v.dev.bus.nodename);
		if (frontdev_publish(&v.dev, XenbusStateConnected, write_lie, &rows[i]))
			hostile_fail("%s", v.dev.problem.text);
		vif_stopped(&v);
	}
	vif_open(&v, env, 0);
	vif_good(&v);
	vif_close(&v);
}

/* The nodes go while it is connected; what goes through the rings goes on. */
static void deleted(struct front_env *env)
{
	struct vif v;

	vif_open(&v, env, 0);
	vif_remove_frontend(env->xs, v.dev.bus.nodename);
	for (uint32_t i = 0; i < 100; i++)
		vif_good(&v);
	vif_close(&v);
}

/*
 * It says that it closes, and goes on sending: served or not, until the back end has let go, and
 * nothing is looked at any more.
 */
static void closing(struct front_env *env)
{
	int left_ms = HOSTILE_WAIT_MS;
	uint32_t before;
	struct vif v;

	vif_open(&v, env, 0);
	if (!xs_write(env->xs, XBT_NULL, vif_node(&v, "state"), "5", 1))
		hostile_fail("cannot write its state: %s", strerror(errno));
	for (uint32_t i = 0; v.dev.peer != XenbusStateClosed; i++) {
		int moment_ms = 1;

		/* What answers come make room for more. */
		if (i < 256) {
			vif_frame(&v, v.data, NULL, 1000, 1);
			vif_slot(&v, v.data_gref[0], 0, 1000, 0);
			ring_front_push(&v.ring[VIF_TX]);
		}
		xenevtchn_notify(env->xce, v.port[VIF_TX]);
		frontdev_wait(env, FRONT_WAIT_STORE, &moment_ms);
		vif_is_gone(&v);
		if (!--left_ms)
			hostile_fail("the back end stays %s, expected it to close",
				     xenbus_state_name(v.dev.peer));
	}
	before = vif_answered(&v, VIF_TX);
	v.ring[VIF_TX].req_prod_pvt += 5;
	ring_front_push(&v.ring[VIF_TX]);
	for (int i = 0; i < 100; i++)
		xenevtchn_notify(env->xce, v.port[VIF_TX]), usleep(1000);
	if (vif_answered(&v, VIF_TX) != before)
		hostile_fail("a ring is served after its vif has closed");
	vif_close(&v);
}

static void killed(struct front_env *env)
{
	struct vif to, from;

	open_both(&to, &from, env);
	map_all(&from);
	for (uint32_t i = 0; i < 100; i++)
		send_to(&from, &to, i % VIF_PAGES, 2000);
	kill(getpid(), SIGKILL);
}

/* Until the domain is destroyed. */
static void load(struct front_env *env)
{
	printf("in flight\n");
	case_ms = UINT32_MAX;
	withheld(env);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*play)(struct front_env *env);
} cases[] = {
	{ "frames", frames }, { "chain", chain }, { "octets", octets },
	{ "rx-grants", rx_grants }, { "withheld", withheld }, { "ring-jump", ring_jump },
	{ "ring-far", ring_far }, { "ring-backwards", ring_backwards },
	{ "ring-connect", ring_connect }, { "ring-events", ring_events },
	{ "ring-scribble", ring_scribble }, { "grant-data", grant_data },
	{ "grant-ring", grant_ring }, { "grant-static", grant_static }, { "maps", maps },
	{ "take-ring-back", take_ring_back }, { "take-port-back", take_port_back },
	{ "sub-page", sub_page }, { "take-map-back", take_map_back },
	{ "storm", storm }, { "ports", ports }, { "flood", flood }, { "spam", spam }, { "keys", keys },
	{ "deleted", deleted }, { "closing", closing }, { "killed", killed }, { "load", load }, { "good", good },
};

static void usage(void)
{
	fprintf(stderr, "Usage: hostile-net [--seconds N] CASE...\nCases:");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		fprintf(stderr, " %s", cases[i].name);
	fputc('\n', stderr);
	exit(2);
}

static void play(struct front_env *env, const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(cases[i].name, name)) {
			hostile_case = name;
			cases[i].play(env);
			printf("%s: done\n", name);
			return;
		}
	usage();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' }, { NULL, 0, NULL, 0 },
	};
	struct front_problem why = { .err = 0 };
	struct front_linux *fl;
	int c;

	hostile_program = "hostile-net";
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 's')
			usage();
		case_ms = 1000 * (uint32_t)strtoul(optarg, NULL, 10);
	}
	if (optind == argc)
		usage();
	if (front_linux_open(&fl, &why))
		hostile_fail("%s", why.text);
	for (int i = optind; i < argc; i++)
		play(front_linux_env(fl), argv[i]);
	front_linux_close(fl);
	return 0;
}
