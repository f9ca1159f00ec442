/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device of hostile-dev.h, over the libraries of Xen. Nothing here lies to
 * the back end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hostile-dev.h"

#define ID_HIGH 0xa5a5a5a5a5a50000u

/* ---- opening ---------------------------------------------------------------- */

void hostile_init(struct hostile *h, const struct hostile_options *o)
{
	struct front_problem why = { .err = 0 };

	memset(h, 0, sizeof(*h));
	h->o = *o;
	if (front_linux_open(&h->linux_env, &why))
		hostile_fail("%s", why.text);
	h->env = front_linux_env(h->linux_env);
}

void hostile_exit(struct hostile *h)
{
	front_linux_close(h->linux_env);
}

static void share_all(struct hostile *h)
{
	uint32_t back = h->dev.bus.otherend_id;
	void *ring;

	ring = hostile_share(h->env, back, 1, true, &h->front.queue[0].gref[0]);
	guest_attach(&h->g, h->o.abi, ring, PAGE_BYTES);
	h->data = hostile_share(h->env, back, HOSTILE_PAGES, true, h->data_gref);
	h->ro = hostile_share(h->env, back, 1, false, &h->ro_gref);
	h->foreign = hostile_share(h->env, h->dev.bus.domid, 1, true, &h->foreign_gref);
	hostile_unshare(h->env, hostile_share(h->env, back, 1, true, &h->unshared_gref), 1);
}

void hostile_prepare(struct hostile *h)
{
	int left_ms = HOSTILE_WAIT_MS;
	struct key_error err;

	if (frontdev_open(&h->dev, h->env, "vbd", h->o.devid, &left_ms))
		hostile_fail("%s", h->dev.problem.text);
	if (vbd_read_features(h->env->xs, h->dev.bus.otherend, &h->f, &err))
		hostile_fail("the back end's %s is '%s'", err.key, err.value);
	h->front = (struct vbd_frontend){
		.abi = h->o.abi, .persistent = h->o.persistent, .nr_queues = 1,
	};
	share_all(h);
	if (frontdev_add_port(&h->dev, &h->port))
		hostile_fail("%s", h->dev.problem.text);
	h->front.queue[0].port = h->port;
}

static int write_keys(void *arg, xs_transaction_t t)
{
	struct hostile *h = arg;

	return vbd_write_frontend(h->env->xs, t, h->dev.bus.nodename, &h->front);
}

void hostile_publish(struct hostile *h)
{
	if (frontdev_publish(&h->dev, XenbusStateInitialised, write_keys, h))
		hostile_fail("%s", h->dev.problem.text);
}

void hostile_connect(struct hostile *h)
{
	int left_ms = HOSTILE_WAIT_MS;

	if (frontdev_connect(&h->dev, &left_ms))
		hostile_fail("%s", h->dev.problem.text);
}

void hostile_open(struct hostile *h)
{
	hostile_prepare(h);
	hostile_publish(h);
	hostile_connect(h);
}

/* ---- closing ---------------------------------------------------------------- */

void hostile_close(struct hostile *h)
{
	int left_ms = HOSTILE_WAIT_MS;

	if (frontdev_close(&h->dev, &left_ms))
		hostile_fail("%s: %s", h->dev.problem.text, strerror(-h->dev.problem.err));
	hostile_unshare(h->env, h->g.ring, 1);
	hostile_unshare(h->env, h->data, HOSTILE_PAGES);
	hostile_unshare(h->env, h->ro, 1);
	hostile_unshare(h->env, h->foreign, 1);
	frontdev_destroy(&h->dev);
}

void hostile_stopped(struct hostile *h)
{
	int left_ms = HOSTILE_WAIT_MS;

	for (;;) {
		frontdev_peer_news(&h->dev);
		if (frontdev_peer_gone(&h->dev))
			break;
		if (frontdev_wait(h->env, FRONT_WAIT_STORE, &left_ms) <= 0)
			hostile_fail("the back end stays %s, expected it to close",
				    xenbus_state_name(h->dev.peer));
	}
	hostile_close(h);
}

/* ---- requests --------------------------------------------------------------- */

uint64_t hostile_id(struct hostile *h)
{
	do
		h->last_id++;
	while (!(h->last_id & 0xff) || !(h->last_id & 0xff00));
	return ID_HIGH | (h->last_id & 0xffff);
}

struct blkif_request_segment hostile_seg(uint32_t gref, uint8_t first, uint8_t last)
{
	return (struct blkif_request_segment){
		.gref = gref, .first_sect = first, .last_sect = last,
	};
}

void hostile_notify(struct hostile *h)
{
	if (xenevtchn_notify(h->env->xce, h->port))
		hostile_fail("notify: %s", strerror(errno));
}

void hostile_push(struct hostile *h)
{
	ring_front_push(&h->g.front);
	hostile_notify(h);
}

static void check_peer(struct hostile *h)
{
	frontdev_peer_news(&h->dev);
	if (frontdev_peer_gone(&h->dev))
		hostile_fail("the back end went to %s, expected it to go on",
			    xenbus_state_name(h->dev.peer));
}

struct guest_response hostile_take(struct hostile *h)
{
	int left_ms = HOSTILE_WAIT_MS, nr;
	struct guest_response rsp;

	while ((nr = ring_front_final(&h->g.front, 1)) == 0) {
		if (frontdev_wait(h->env, FRONT_WAIT_EVENT | FRONT_WAIT_STORE, &left_ms) <= 0)
			hostile_fail("no response; the back end is %s",
				    xenbus_state_name(h->dev.peer));
		check_peer(h);
	}
	if (nr < 0)
		hostile_fail("more responses than requests: one was answered twice");
	guest_response(&h->g, &rsp);
	if (!rsp.padding_clean)
		hostile_fail("unused bytes of a response are not zero");
	return rsp;
}

void hostile_quiet(struct hostile *h)
{
	if (ring_front_pending(&h->g.front) != 0)
		hostile_fail("a response that nobody asked for");
	check_peer(h);
}

static void serve_one(struct hostile *h, uint8_t operation, uint32_t page)
{
	struct blkif_request_segment seg = hostile_seg(h->data_gref[page], 0, 7);
	uint64_t id = hostile_id(h);
	struct guest_response rsp;

	guest_rw(&h->g, operation, id, HOSTILE_GOOD_SECTOR, 1, &seg);
	hostile_push(h);
	rsp = hostile_take(h);
	if (rsp.id != id || rsp.operation != operation || rsp.status != BLKIF_RSP_OKAY)
		hostile_fail("a good request got operation %u, status %d, %s id",
			    rsp.operation, rsp.status, rsp.id == id ? "its" : "another");
}

void hostile_good(struct hostile *h)
{
	uint8_t *out = h->data, *in = h->data + PAGE_BYTES;

	memset(in, HOSTILE_FILL, PAGE_BYTES);
	if (h->f.read_only) {
		serve_one(h, BLKIF_OP_READ, 1);
		if (memchr(in, HOSTILE_FILL, PAGE_BYTES))
			hostile_fail("a good read left the page as it was");
	} else {
		memset(out, (int)(h->last_id & 0x7f), PAGE_BYTES);
		serve_one(h, BLKIF_OP_WRITE, 0);
		serve_one(h, BLKIF_OP_READ, 1);
		if (memcmp(in, out, PAGE_BYTES))
			hostile_fail("read something else than was written");
		memset(out, HOSTILE_FILL, PAGE_BYTES);
	}
	hostile_quiet(h);
}

/* ---- the log ---------------------------------------------------------------- */

uint32_t hostile_log_lines(const struct hostile *h, const char *text)
{
	FILE *f = fopen(h->o.log, "r");
	char line[1024], who[40];
	uint32_t nr = 0;

	if (!f)
		hostile_fail("cannot read %s: %s", h->o.log, strerror(errno));
	snprintf(who, sizeof(who), "vbd %u/%u: ", h->dev.bus.domid, h->o.devid);
	while (fgets(line, sizeof(line), f))
		nr += strstr(line, who) && strstr(line, text);
	fclose(f);
	return nr;
}
