/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface of hostile-vif.h, over the libraries of Xen. Nothing here lies to
 * the back end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "hostile-vif.h"

/* ---- opening ---------------------------------------------------------------------- */

static void share_ring(struct vif *v, enum vif_ring ring, size_t slot_bytes, uint32_t *gref)
{
	v->page[ring] = hostile_share(v->env, v->dev.bus.otherend_id, 1, true, gref);
	ring_front_init(&v->ring[ring], v->page[ring], PAGE_BYTES, slot_bytes);
	if (frontdev_add_port(&v->dev, &v->port[ring]))
		hostile_fail("%s", v->dev.problem.text);
}

static void share_all(struct vif *v)
{
	uint32_t back = v->dev.bus.otherend_id;
	struct vif_queue *q = &v->front.queue[0];

	share_ring(v, VIF_TX, sizeof(union netif_tx_sring_entry), &q->tx_gref);
	share_ring(v, VIF_RX, sizeof(union netif_rx_sring_entry), &q->rx_gref);
	share_ring(v, VIF_CTRL, sizeof(union xen_netif_ctrl_sring_entry), &v->front.ctrl_gref);
	q->tx_port = v->port[VIF_TX];
	q->rx_port = v->port[VIF_RX];
	v->front.ctrl_port = v->port[VIF_CTRL];
	v->data = hostile_share(v->env, back, VIF_PAGES, false, v->data_gref);
	v->buffers = hostile_share(v->env, back, VIF_PAGES, true, v->buffer_gref);
	v->list = hostile_share(v->env, back, 1, true, &v->list_gref);
	v->ro = hostile_share(v->env, back, 1, false, &v->ro_gref);
	v->foreign = hostile_share(v->env, v->dev.bus.domid, 1, true, &v->foreign_gref);
}

void vif_prepare(struct vif *v, struct front_env *env, uint32_t devid)
{
	int left_ms = HOSTILE_WAIT_MS;
	struct key_error err;
	uint32_t mtu;
	bool has_mac;

	memset(v, 0, sizeof(*v));
	v->env = env;
	if (frontdev_open(&v->dev, env, "vif", devid, &left_ms))
		hostile_fail("%s", v->dev.problem.text);
	if (vif_read_features(env->xs, v->dev.bus.otherend, &v->back))
		hostile_fail("the back end's features cannot be read");
	if (vif_read_own(env->xs, v->dev.bus.nodename, v->dev.bus.otherend, v->mac, &has_mac,
			 &mtu, &err) || !has_mac)
		hostile_fail("the interface has no address");
	v->front = (struct vif_frontend){
		.nr_queues = 1, .rx_copy = true, .rx_notify = true, .sg = true,
		.gso_tcpv4 = true, .gso_tcpv6 = true, .ipv6_csum = true, .ctrl_ring = true,
	};
	share_all(v);
}

static int write_keys(void *arg, xs_transaction_t t)
{
	struct vif *v = arg;

	return vif_write_frontend(v->env->xs, t, v->dev.bus.nodename, &v->front);
}

void vif_publish(struct vif *v)
{
	vif_remove_frontend(v->env->xs, v->dev.bus.nodename);
	if (frontdev_publish(&v->dev, XenbusStateConnected, write_keys, v))
		hostile_fail("%s", v->dev.problem.text);
}

void vif_connect(struct vif *v)
{
	int left_ms = HOSTILE_WAIT_MS;

	if (frontdev_connect(&v->dev, &left_ms))
		hostile_fail("%s", v->dev.problem.text);
}

void vif_open(struct vif *v, struct front_env *env, uint32_t devid)
{
	vif_prepare(v, env, devid);
	vif_publish(v);
	vif_connect(v);
}

uint32_t vif_ended_gref(struct vif *v)
{
	uint32_t gref;

	hostile_unshare(v->env, hostile_share(v->env, v->dev.bus.otherend_id, 1, true, &gref), 1);
	return gref;
}

/* ---- closing ------------------------------------------------------------------------- */

void vif_close(struct vif *v)
{
	int left_ms = HOSTILE_WAIT_MS;

	if (frontdev_close(&v->dev, &left_ms))
		hostile_fail("%s", v->dev.problem.text);
	for (uint32_t i = 0; i < VIF_RINGS; i++)
		hostile_unshare(v->env, v->page[i], 1);
	hostile_unshare(v->env, v->data, VIF_PAGES);
	hostile_unshare(v->env, v->buffers, VIF_PAGES);
	hostile_unshare(v->env, v->list, 1);
	hostile_unshare(v->env, v->ro, 1);
	hostile_unshare(v->env, v->foreign, 1);
	frontdev_destroy(&v->dev);
}

bool vif_is_gone(struct vif *v)
{
	frontdev_poll(v->env);
	frontdev_peer_news(&v->dev);
	return frontdev_peer_gone(&v->dev);
}

void vif_stopped(struct vif *v)
{
	int left_ms = HOSTILE_WAIT_MS;

	while (!vif_is_gone(v))
		if (frontdev_wait(v->env, FRONT_WAIT_STORE, &left_ms) <= 0)
			hostile_fail("the back end stays %s, expected it to close",
				     xenbus_state_name(v->dev.peer));
	vif_close(v);
}

const char *vif_node(const struct vif *v, const char *key)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", v->dev.bus.nodename, key);
	return path;
}

uint32_t vif_answered(const struct vif *v, enum vif_ring ring)
{
	return *(volatile const uint32_t *)((const uint8_t *)v->page[ring] +
					    offsetof(netif_tx_sring_t, rsp_prod));
}

/* Until a ring has an answer. */
static void wait_answer(struct vif *v, enum vif_ring ring, const char *what)
{
	int left_ms = HOSTILE_WAIT_MS, nr;

	while ((nr = ring_front_final(&v->ring[ring], 1)) == 0) {
		if (frontdev_wait(v->env, FRONT_WAIT_EVENT | FRONT_WAIT_STORE, &left_ms) <= 0)
			hostile_fail("no %s; the back end is %s", what,
				     xenbus_state_name(v->dev.peer));
		if (vif_is_gone(v))
			hostile_fail("the back end went to %s, expected it to go on",
				     xenbus_state_name(v->dev.peer));
	}
	if (nr < 0)
		hostile_fail("more answers than requests: one was answered twice");
}

/* ---- sending -------------------------------------------------------------------------- */

void vif_frame(const struct vif *v, uint8_t *page, const uint8_t *to, uint32_t bytes, uint8_t seed)
{
	memset(page, 0xff, VIF_MAC_BYTES);
	if (to)
		memcpy(page, to, VIF_MAC_BYTES);
	memcpy(page + 6, v->mac, VIF_MAC_BYTES);
	page[12] = 0x88;
	page[13] = 0xb5;
	for (uint32_t i = 14; i < bytes; i++)
		page[i] = (uint8_t)(i * 7 + seed);
}

uint16_t vif_slot(struct vif *v, uint32_t gref, uint32_t offset, uint32_t bytes, uint16_t flags)
{
	netif_tx_request_t req = {
		.gref = gref, .offset = (uint16_t)offset, .size = (uint16_t)bytes,
		.id = ++v->last_id, .flags = flags,
	};

	ring_front_put(&v->ring[VIF_TX], &req, sizeof(req));
	return req.id;
}

void vif_extra(struct vif *v, uint8_t type, uint8_t flags, uint16_t gso_bytes)
{
	union { netif_extra_info_t x; netif_tx_request_t slot; } u;

	memset(&u, 0, sizeof(u));
	u.x.type = type;
	u.x.flags = flags;
	u.x.u.gso.size = gso_bytes;
	u.x.u.gso.type = XEN_NETIF_GSO_TYPE_TCPV4;
	ring_front_put(&v->ring[VIF_TX], &u, sizeof(u.slot));
}

void vif_notify(struct vif *v, enum vif_ring ring)
{
	if (xenevtchn_notify(v->env->xce, v->port[ring]))
		hostile_fail("notify: %s", strerror(errno));
}

void vif_push(struct vif *v, enum vif_ring ring)
{
	ring_front_push(&v->ring[ring]);
	vif_notify(v, ring);
}

struct netif_tx_response vif_answer(struct vif *v)
{
	netif_tx_response_t rsp;

	wait_answer(v, VIF_TX, "answer to a frame");
	ring_front_take(&v->ring[VIF_TX], &rsp, sizeof(rsp));
	return rsp;
}

void vif_good(struct vif *v)
{
	uint16_t id;
	netif_tx_response_t rsp;

	vif_frame(v, v->data, NULL, 60, 1);
	id = vif_slot(v, v->data_gref[0], 0, 60, 0);
	vif_push(v, VIF_TX);
	rsp = vif_answer(v);
	if (rsp.id != id || rsp.status != NETIF_RSP_OKAY)
		hostile_fail("a good frame got status %d, %s id", rsp.status,
			     (uint32_t)rsp.id == id ? "its" : "another");
	if (ring_front_pending(&v->ring[VIF_TX]))
		hostile_fail("an answer that nobody asked for");
}

/* ---- receiving ------------------------------------------------------------------------- */

void vif_post_gref(struct vif *v, uint32_t gref, uint32_t buffer)
{
	uint32_t slot = v->ring[VIF_RX].req_prod_pvt & 255;
	netif_rx_request_t req = { .id = (uint16_t)slot, .gref = gref };

	v->posted[slot] = buffer;
	ring_front_put(&v->ring[VIF_RX], &req, sizeof(req));
}

void vif_post(struct vif *v, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		vif_post_gref(v, v->buffer_gref[i % VIF_PAGES], i % VIF_PAGES);
	vif_push(v, VIF_RX);
}

struct netif_rx_response vif_take(struct vif *v, uint32_t *buffer)
{
	uint32_t slot = v->ring[VIF_RX].rsp_cons & 255;
	netif_rx_response_t rsp;

	wait_answer(v, VIF_RX, "frame");
	ring_front_take(&v->ring[VIF_RX], &rsp, sizeof(rsp));
	if (rsp.id != slot)
		hostile_fail("the response in rx slot %u has id %u", slot, rsp.id);
	*buffer = v->posted[slot];
	return rsp;
}

/* ---- control ---------------------------------------------------------------------------- */

uint32_t vif_ask(struct vif *v, uint16_t type, uint32_t a, uint32_t b, uint32_t c)
{
	struct xen_netif_ctrl_request req = { .id = ++v->last_id, .type = type,
					      .data = { a, b, c } };
	struct xen_netif_ctrl_response rsp;

	ring_front_put(&v->ring[VIF_CTRL], &req, sizeof(req));
	vif_push(v, VIF_CTRL);
	wait_answer(v, VIF_CTRL, "answer to a control message");
	ring_front_take(&v->ring[VIF_CTRL], &rsp, sizeof(rsp));
	if (rsp.id != req.id || rsp.type != type)
		hostile_fail("control message %u of type %u got an answer with id %u, type %u",
			     req.id, type, rsp.id, rsp.type);
	return rsp.status;
}
