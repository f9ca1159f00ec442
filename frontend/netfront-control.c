/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control ring: hashing and static grants. Hides requests and their
 * answers, the page that carries keys and lists; must not know frames.
 *
 * Answers may come in any order and after we have given up on them; the page
 * is not touched while a message that names it may still be at work.
 */
#include <stdlib.h>

#include "netfront-priv.h"

#define CTRL_SLOT_BYTES sizeof(union xen_netif_ctrl_sring_entry)
#define GREFS_PER_PAGE (NETFRONT_PAGE_BYTES / sizeof(struct xen_netif_gref))

/* ---- answers ------------------------------------------------------------------ */

static void forget(struct netfront_ctrl *c, struct ctrl_shadow *s)
{
	s->busy = false;
	c->nr_page_users -= s->uses_page;
}

static int respond(struct netfront *n, const struct xen_netif_ctrl_response *rsp)
{
	struct netfront_ctrl *c = &n->ctrl;
	struct ctrl_shadow *s = c->shadow + rsp->id % NETFRONT_CTRL_SLOTS;

	if (!s->busy || s->answered || s->id != rsp->id || s->type != rsp->type)
		return netfront_break(n, "back end %s answered control message %u of type %u, "
				      "which is not in flight", n->dev.bus.otherend,
				      (uint64_t)rsp->id, (uint64_t)rsp->type);
	s->answered = true;
	s->status = rsp->status;
	s->data = rsp->data;
	if (s->forgotten)
		forget(c, s);
	return 0;
}

int netfront_ctrl_reap(struct netfront *n)
{
	struct netfront_ctrl *c = &n->ctrl;
	struct xen_netif_ctrl_response rsp;
	int i, r = 0, nr = ring_front_pending(&c->ring);

	if (nr < 0)
		return netfront_break(n, "back end %s announced more control answers than "
				      "there were messages", n->dev.bus.otherend);
	for (i = 0; i < nr && r == 0; i++) {
		ring_front_take(&c->ring, &rsp, sizeof(rsp));
		r = respond(n, &rsp);
	}
	return r;
}

/* ---- messages ------------------------------------------------------------------- */

static bool is_answered(struct netfront *n, void *arg)
{
	const struct ctrl_shadow *s = arg;

	(void)n;
	return s->answered;
}

static struct ctrl_shadow *shadow_take(struct netfront_ctrl *c, uint16_t type, bool page)
{
	struct ctrl_shadow *s;

	for (s = c->shadow; s < c->shadow + NETFRONT_CTRL_SLOTS; s++) {
		if (s->busy)
			continue;
		memset(s, 0, sizeof(*s));
		s->busy = true;
		s->type = type;
		s->uses_page = page;
		/* A repeated answer to an earlier message will not match. */
		s->id = (uint16_t)(c->generation++ % (65536 / NETFRONT_CTRL_SLOTS) *
				   NETFRONT_CTRL_SLOTS + (unsigned int)(s - c->shadow));
		c->nr_page_users += page;
		return s;
	}
	return NULL;
}

static int message(struct netfront *n, uint16_t type, bool page, const uint32_t args[3],
		   int timeout_ms, uint32_t *status, uint32_t *data)
{
	struct netfront_ctrl *c = &n->ctrl;
	struct xen_netif_ctrl_request req;
	struct ctrl_shadow *s;
	int r = netfront_state(n);

	if (r < 0)
		return r;
	if (!c->open)
		return -EOPNOTSUPP;
	netfront_ctrl_reap(n);
	s = ring_front_free(&c->ring) ? shadow_take(c, type, page) : NULL;
	if (!s)
		return -ENOBUFS;
	memset(&req, 0, sizeof(req));
	req.id = s->id;
	req.type = type;
	memcpy(req.data, args, sizeof(req.data));
	ring_front_put(&c->ring, &req, sizeof(req));
	if (ring_front_push(&c->ring)) {
		xenevtchn_notify(n->dev.env->xce, c->port);
		n->stats.notifies_sent++;
	}
	r = netfront_wait_for(n, is_answered, s, timeout_ms);
	if (r < 0) {
		s->forgotten = true;
		return r;
	}
	*status = s->status;
	if (data)
		*data = s->data;
	forget(c, s);
	return 0;
}

int netfront_control(struct netfront *n, uint16_t type, const uint32_t args[3],
		     int timeout_ms, uint32_t *status, uint32_t *data)
{
	return message(n, type, false, args, timeout_ms, status, data);
}

/* With the status as an error. */
static int order(struct netfront *n, uint16_t type, bool page, uint32_t a, uint32_t b,
		 uint32_t c, int timeout_ms, uint32_t *data)
{
	const uint32_t args[3] = { a, b, c };
	uint32_t status;
	int r = message(n, type, page, args, timeout_ms, &status, data);

	if (r < 0)
		return r;
	switch (status) {
	case XEN_NETIF_CTRL_STATUS_SUCCESS:
		return 0;
	case XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER:
		return -EINVAL;
	case XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW:
		return -E2BIG;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- hashing ---------------------------------------------------------------------- */

static void *data_page(struct netfront *n)
{
	return (uint8_t *)n->ctrl.pages + NETFRONT_PAGE_BYTES;
}

static int set_map(struct netfront *n, const uint32_t *map, unsigned int nr_map,
		   int timeout_ms)
{
	int r = order(n, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, false, nr_map, 0, 0,
		      timeout_ms, NULL);

	if (r < 0 || !nr_map)
		return r;
	memcpy(data_page(n), map, nr_map * sizeof(*map));
	return order(n, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, true, n->ctrl.gref[1], nr_map,
		     0, timeout_ms, NULL);
}

static int need_page(const struct netfront *n)
{
	if (!n->ctrl.open)
		return -EOPNOTSUPP;
	return n->ctrl.nr_page_users ? -EBUSY : 0;
}

/* The types come last: hashing begins when all of it is there. */
int netfront_set_hash(struct netfront *n, uint32_t types, const uint8_t *key,
		      const uint32_t *map, unsigned int nr_map, int timeout_ms)
{
	int r = need_page(n);

	if (r < 0)
		return r;
	if (!types)
		return order(n, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, false,
			     XEN_NETIF_CTRL_HASH_ALGORITHM_NONE, 0, 0, timeout_ms, NULL);
	if (nr_map > NETFRONT_HASH_MAP_MAX)
		return -EINVAL;
	r = order(n, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, false,
		  XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ, 0, 0, timeout_ms, NULL);
	if (r < 0)
		return r;
	memcpy(data_page(n), key, NETFRONT_HASH_KEY_BYTES);
	r = order(n, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, true, n->ctrl.gref[1],
		  NETFRONT_HASH_KEY_BYTES, 0, timeout_ms, NULL);
	if (r == 0)
		r = set_map(n, map, nr_map, timeout_ms);
	if (r == 0)
		r = order(n, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, false, types, 0, 0,
			  timeout_ms, NULL);
	return r;
}

/* ---- static grants -------------------------------------------------------------------- */

/* A pool that came when pages were not flipped any more is not kept mapped. */
static uint32_t rx_pages(const struct netfront_queue *q)
{
	return q->flip ? 0 : q->rx_pool.nr_pages;
}

/* The nth page of a queue: receive buffers first, which are worth most. */
static void list_page(const struct netfront_queue *q, uint32_t nth, struct xen_netif_gref *out)
{
	bool rx = nth < rx_pages(q);
	const struct pool *p = rx ? &q->rx_pool : &q->tx_pool;

	out->ref = p->page[rx ? nth : nth - rx_pages(q)].gref;
	out->flags = rx ? 0 : XEN_NETIF_CTRLF_GREF_readonly;
	out->status = 0;
}

static uint32_t list_pages(struct netfront *n, const struct netfront_queue *q,
			   uint32_t first, uint32_t end)
{
	struct xen_netif_gref *list = data_page(n);
	uint32_t k, nr = end - first;

	if (nr > GREFS_PER_PAGE)
		nr = GREFS_PER_PAGE;
	for (k = 0; k < nr; k++)
		list_page(q, first + k, list + k);
	return nr;
}

static int map_queue(struct netfront *n, uint32_t queue, int timeout_ms)
{
	struct netfront_queue *q = n->queue + queue;
	uint32_t want = rx_pages(q) + q->tx_pool.nr_pages, limit, nr;
	int r = order(n, XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE, false, queue, 0, 0,
		      timeout_ms, &limit);

	if (r < 0)
		return r;
	if (want > limit)
		want = limit;
	for (; q->nr_mapped < want; q->nr_mapped += nr) {
		nr = list_pages(n, q, q->nr_mapped, want);
		r = order(n, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, true, queue,
			  n->ctrl.gref[1], nr, timeout_ms, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

int netfront_map_pools(struct netfront *n, int timeout_ms)
{
	int r = need_page(n), nr = 0;
	uint32_t i;

	for (i = 0; i < n->nr_queues && r == 0; i++) {
		r = map_queue(n, i, timeout_ms);
		nr += (int)n->queue[i].nr_mapped;
	}
	return r < 0 ? r : nr;
}

static int unmap_queue(struct netfront *n, uint32_t queue, int timeout_ms)
{
	struct netfront_queue *q = n->queue + queue;
	uint32_t nr, gone, first = 0;
	int r, sum = 0;

	for (; first < q->nr_mapped; first += nr) {
		nr = list_pages(n, q, first, q->nr_mapped);
		r = order(n, XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, true, queue,
			  n->ctrl.gref[1], nr, timeout_ms, &gone);
		if (r < 0)
			return r;
		sum += (int)(gone < nr ? gone : nr);
	}
	q->nr_mapped = 0;
	return sum;
}

int netfront_unmap_pools(struct netfront *n, int timeout_ms)
{
	int r = need_page(n), sum = 0;
	uint32_t i;

	for (i = 0; i < n->nr_queues && r >= 0; i++) {
		r = unmap_queue(n, i, timeout_ms);
		sum += r > 0 ? r : 0;
	}
	return r < 0 ? r : sum;
}

/* ---- opening ---------------------------------------------------------------------------- */

int netfront_ctrl_open(struct netfront *n)
{
	struct netfront_ctrl *c = &n->ctrl;
	int r = frontdev_share(&n->dev, 2, true, c->gref, &c->pages);

	if (r < 0)
		return r;
	ring_front_init(&c->ring, c->pages, NETFRONT_PAGE_BYTES, CTRL_SLOT_BYTES);
	r = frontdev_add_port(&n->dev, &c->port);
	if (r < 0)
		return r;
	c->open = true;
	n->published.ctrl_ring = true;
	n->published.ctrl_gref = c->gref[0];
	n->published.ctrl_port = c->port;
	return 0;
}

void netfront_ctrl_close(struct netfront *n)
{
	frontdev_unshare(&n->dev, n->ctrl.pages, 2);
	n->ctrl.pages = NULL;
	n->ctrl.open = false;
}
