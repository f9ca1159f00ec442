/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing a network front end. Hides what is negotiated with the
 * back end and how the system's grants are divided; must not know how frames
 * travel (netfront-tx.c, netfront-rx.c).
 */
#include <stdlib.h>

#include "netfront-priv.h"

#define POOL_PAGES 448u		/* for all queues together, each way */
#define POOL_PAGES_MIN 24u	/* a frame of the largest size, and some */
#define TX_SLOT_BYTES sizeof(union netif_tx_sring_entry)
#define RX_SLOT_BYTES sizeof(union netif_rx_sring_entry)
#define DRAIN_MS 1000
#define GRANTS_ADVICE "raise xen_gntalloc.limit (/sys/module/xen_gntalloc/parameters/" \
		      "limit) or ask for fewer queues and smaller pools"

/* ---- queues ------------------------------------------------------------------- */

static int open_rings(struct netfront *n, struct netfront_queue *q, struct vif_queue *pub)
{
	uint32_t gref[2];
	int r = frontdev_share(&n->dev, 2, true, gref, &q->ring_pages);

	if (r < 0)
		return r;
	ring_front_init(&q->tx, q->ring_pages, NETFRONT_PAGE_BYTES, TX_SLOT_BYTES);
	ring_front_init(&q->rx, (uint8_t *)q->ring_pages + NETFRONT_PAGE_BYTES,
			NETFRONT_PAGE_BYTES, RX_SLOT_BYTES);
	pub->tx_gref = gref[0];
	pub->rx_gref = gref[1];
	return 0;
}

static int open_ports(struct netfront *n, struct netfront_queue *q, struct vif_queue *pub)
{
	int r = frontdev_add_port(&n->dev, &q->tx_port);

	q->rx_port = q->tx_port;
	if (r == 0 && n->split)
		r = frontdev_add_port(&n->dev, &q->rx_port);
	pub->tx_port = q->tx_port;
	pub->rx_port = q->rx_port;
	return r;
}

static int open_queue(struct netfront *n, uint32_t i)
{
	struct netfront_queue *q = n->queue + i;
	int r = open_rings(n, q, n->published.queue + i);

	if (r == 0)
		r = netfront_rx_open(n, q);
	if (r == 0)
		r = netfront_tx_open(n, q);
	if (r < 0)
		return frontdev_fail(&n->dev, r, GRANTS_ADVICE,
				     "cannot share enough pages for queue %u with domain %u",
				     (uint64_t)i, (uint64_t)n->dev.bus.otherend_id);
	r = open_ports(n, q, n->published.queue + i);
	if (r < 0)
		return r;
	/* In time for a back end that has something to say as soon as it connects. */
	netfront_rx_fill(q);
	ring_front_push(&q->rx);
	return 0;
}

static void close_queue(struct netfront *n, struct netfront_queue *q)
{
	netfront_tx_close(q);
	netfront_rx_close(q);
	frontdev_unshare(&n->dev, q->ring_pages, 2);
}

/* ---- negotiation ---------------------------------------------------------------- */

static uint32_t pool_pages(unsigned int asked, uint32_t nr_queues)
{
	uint32_t nr = POOL_PAGES / nr_queues;

	if (nr < POOL_PAGES_MIN)
		nr = POOL_PAGES_MIN;
	if (asked)
		nr = asked;
	return nr < NETFRONT_SLOTS ? nr : NETFRONT_SLOTS;
}

static int read_own(struct netfront *n)
{
	struct key_error key = { .expected = NULL };
	bool has_mac;
	int r = vif_read_own(n->dev.bus.xs, n->dev.bus.nodename, n->dev.bus.otherend, n->mac,
			     &has_mac, &n->mtu_bytes, &key);

	if (r < 0)
		return frontdev_fail(&n->dev, r, "mend what the tool stack wrote",
				     "the interface's %s is '%s', expected %s (%s)", key.key,
				     key.value, key.expected ? key.expected : "a value",
				     n->dev.bus.nodename);
	if (!has_mac)
		return frontdev_fail(&n->dev, -ENOENT, "have the tool stack write one",
				     "the interface has no address (%s)", n->dev.bus.nodename);
	return 0;
}

/* Whether pages are flipped, and if not, though that was asked for, why. */
static void choose_path(struct netfront *n, const struct netfront_options *o)
{
	if (!o->flip)
		return;
	if (!n->dev.env->flip)
		n->flip_refused = "this system cannot receive pages by transfer";
	else if (!n->back.rx_flip)
		n->flip_refused = "the back end does not offer it";
	else if (!netfront_flip_possible(n))
		n->flip_refused = "the domain has no grant entry left, or may not have more "
				  "memory (maxmem)";
	else
		n->flip = true;
}

static int read_back(struct netfront *n, const struct netfront_options *o)
{
	int r = vif_read_features(n->dev.bus.xs, n->dev.bus.otherend, &n->back);

	if (r < 0)
		return frontdev_fail(&n->dev, r, "is xenstored running?",
				     "cannot read the back end's features (%s)",
				     n->dev.bus.otherend);
	choose_path(n, o);
	if (!n->back.rx_copy && !n->flip)
		return frontdev_fail(&n->dev, -EOPNOTSUPP, "use a back end that copies",
				     "the back end does not copy received frames, which is the "
				     "way that we take them (%s)", n->dev.bus.otherend);
	return 0;
}

static void negotiate(struct netfront *n, const struct netfront_options *o)
{
	struct vif_frontend *p = &n->published;

	n->nr_queues = o->nr_queues ? o->nr_queues : 1;
	if (n->nr_queues > n->back.max_queues)
		n->nr_queues = n->back.max_queues;
	n->split = n->back.split_event_channels && !o->no_split;
	n->no_rx_notify = o->no_rx_notify;
	n->tx_wanted = pool_pages(o->tx_pages, n->nr_queues);
	n->rx_wanted = pool_pages(o->rx_pages, n->nr_queues);
	n->multicast_control = o->multicast_control && n->back.multicast_control;
	p->nr_queues = n->nr_queues;
	/* 0 alone, or neither, never means flip (vif.h). */
	p->rx_copy = !n->flip;
	p->rx_flip = n->flip;
	p->rx_notify = !o->no_rx_notify;
	p->sg = !o->no_sg;
	p->gso_tcpv4 = p->gso_tcpv6 = p->sg && !o->no_gso && !o->no_checksum;
	p->no_csum = o->no_checksum;
	p->ipv6_csum = !o->no_checksum;
	p->multicast_control = n->multicast_control;
	/* Segments of a frame in one slot would be of no use to anybody. */
	n->back.gso_tcpv4 = n->back.gso_tcpv4 && n->back.sg;
	n->back.gso_tcpv6 = n->back.gso_tcpv6 && n->back.sg;
}

static int write_frontend(void *arg, xs_transaction_t t)
{
	struct netfront *n = arg;

	return vif_write_frontend(n->dev.bus.xs, t, n->dev.bus.nodename, &n->published);
}

static int publish(struct netfront *n)
{
	/* What an earlier user left would be read together with ours. */
	vif_remove_frontend(n->dev.bus.xs, n->dev.bus.nodename);
	return frontdev_publish(&n->dev, XenbusStateConnected, write_frontend, n);
}

static int open_pages(struct netfront *n)
{
	uint32_t i;
	int r = 0;

	n->queue = calloc(n->nr_queues, sizeof(*n->queue));
	if (!n->queue)
		return frontdev_fail(&n->dev, -ENOMEM, NULL, "out of memory");
	for (i = 0; i < n->nr_queues && r == 0; i++)
		r = open_queue(n, i);
	return r;
}

static int open_ctrl(struct netfront *n)
{
	int r = netfront_ctrl_open(n);

	if (r < 0 && !n->dev.problem.err)
		frontdev_fail(&n->dev, r, GRANTS_ADVICE,
			      "cannot share a control ring with domain %u",
			      (uint64_t)n->dev.bus.otherend_id);
	return r;
}

static int open_steps(struct netfront *n, const struct netfront_options *o, int *left_ms)
{
	int r = read_own(n);

	if (r == 0)
		r = read_back(n, o);
	if (r < 0)
		return r;
	negotiate(n, o);
	/* Before the pools, which take what there is. */
	if (o->ctrl_ring && n->back.ctrl_ring)
		r = open_ctrl(n);
	if (r == 0)
		r = open_pages(n);
	if (r == 0)
		r = publish(n);
	if (r == 0)
		r = frontdev_connect(&n->dev, left_ms);
	/* Some back ends look at the rings only when told to. */
	if (r == 0)
		netfront_notify_all(n);
	return r;
}

static void release(struct netfront *n)
{
	uint32_t i;

	for (i = 0; n->queue && i < n->nr_queues; i++)
		close_queue(n, n->queue + i);
	netfront_ctrl_close(n);
	frontdev_destroy(&n->dev);
	free(n->queue);
	free(n);
}

int netfront_open(struct front_env *env, uint32_t devid,
		  const struct netfront_options *opts, int timeout_ms,
		  struct netfront **out, struct front_problem *problem)
{
	static const struct netfront_options defaults;
	struct netfront *n = calloc(1, sizeof(*n));
	int r, close_ms = 2000;

	*out = NULL;
	if (!n)
		return frontdev_no_memory(problem);
	if (!opts)
		opts = &defaults;
	spin_init(&n->spin, opts->poll_cycles);
	r = frontdev_open(&n->dev, env, "vif", devid, &timeout_ms);
	if (r == 0)
		r = open_steps(n, opts, &timeout_ms);
	if (r == 0) {
		*out = n;
		return 0;
	}
	if (problem) {
		*problem = n->dev.problem;
		problem->err = r;
	}
	if (r != -EINTR)
		frontdev_publish_error(&n->dev);
	frontdev_close(&n->dev, &close_ms);
	if (n->dev.watching)
		vif_remove_frontend(n->dev.bus.xs, n->dev.bus.nodename);
	release(n);
	return r;
}

static bool all_answered(struct netfront *n, void *arg)
{
	(void)arg;
	return !netfront_inflight(n);
}

int netfront_close(struct netfront *n, int timeout_ms, struct front_problem *problem)
{
	int r, drain_ms, left = timeout_ms;

	if (!n)
		return 0;
	drain_ms = timeout_ms < 0 || timeout_ms > DRAIN_MS ? DRAIN_MS : timeout_ms;
	netfront_wait_for(n, all_answered, NULL, drain_ms);
	n->leaving = true;
	r = frontdev_close(&n->dev, &left);
	if (r == 0)
		vif_remove_frontend(n->dev.bus.xs, n->dev.bus.nodename);
	else if (problem)
		*problem = n->dev.problem;
	release(n);
	return r;
}

/* ---- what it is -------------------------------------------------------------------- */

static uint32_t pages_of(const struct netfront *n, bool tx)
{
	uint32_t i, nr = 0;

	for (i = 0; i < n->nr_queues; i++)
		nr += tx ? n->queue[i].tx_pool.nr_pages : n->queue[i].rx_pool.nr_pages;
	return nr;
}

void netfront_info(struct netfront *n, struct netfront_info *o)
{
	const struct vif_features *b = &n->back;

	memset(o, 0, sizeof(*o));
	memcpy(o->mac, n->mac, sizeof(o->mac));
	o->mtu_bytes = n->mtu_bytes;
	o->carrier = vif_read_carrier(n->dev.bus.xs, n->dev.bus.otherend);
	o->nr_queues = n->nr_queues;
	o->sg = b->sg;
	o->gso_tcpv4 = b->gso_tcpv4;
	o->gso_tcpv6 = b->gso_tcpv6;
	o->ipv6_checksum = b->ipv6_csum;
	o->split_event_channels = n->split;
	o->ctrl_ring = n->ctrl.open;
	o->multicast_control = n->multicast_control;
	o->back_max_queues = b->max_queues;
	o->tx_pages = pages_of(n, true);
	o->rx_pages = pages_of(n, false);
	o->flip = n->flip && !n->flip_ended;
	o->flip_refused = n->flip_ended ? "the back end ended it, and copies" : n->flip_refused;
	o->short_of_grants = o->tx_pages < n->tx_wanted * n->nr_queues ||
			     (!o->flip && o->rx_pages < n->rx_wanted * n->nr_queues);
	o->domid = n->dev.bus.domid;
	o->back_domid = n->dev.bus.otherend_id;
	o->back_path = n->dev.bus.otherend;
	o->front_path = n->dev.bus.nodename;
}

const struct front_problem *netfront_problem(const struct netfront *n)
{
	return &n->dev.problem;
}

void netfront_stats(const struct netfront *n, struct netfront_stats *out)
{
	*out = n->stats;
}

int netfront_multicast_control(struct netfront *n, bool on)
{
	int r;

	if (!n->back.dynamic_multicast_control)
		return -EOPNOTSUPP;
	r = vif_write_multicast_control(n->dev.bus.xs, n->dev.bus.nodename, on);
	if (r == 0)
		n->multicast_control = on;
	return r;
}
