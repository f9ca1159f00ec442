/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a network front end publishes: rings, event channels, what it takes,
 * both directions.
 *
 * Hides: the spellings for one queue and for more, for one event channel a
 * queue and for two. Must not know: rings' contents, stdio. Runs without an
 * operating system.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "vif-internal.h"
#include "xenbus-internal.h"

/* ---- reading, as a back end does: nothing is believed ----------------------- */

static int read_port(struct xs_handle *xs, const char *dir, const char *prefix,
		     const char *name, uint32_t *port, struct key_error *err)
{
	char key[XENBUS_KEY_BYTES];
	int rc;

	xenbus_make_key(key, prefix, name);
	rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, port, err);
	if (rc || *port)
		return rc;
	xenbus_blame_u64(err, key, 0, "an event channel port, from 1");
	return -EINVAL;
}

/* Both of two, or the one; half a pair is a mistake, not one channel. */
static int read_ports(struct xs_handle *xs, const char *dir, const char *prefix,
		      bool may_split, struct vif_queue *q, struct key_error *err)
{
	int rc = -ENOENT;

	if (may_split)
		rc = read_port(xs, dir, prefix, KEY_EVENT_CHANNEL_TX, &q->tx_port, err);
	if (!rc)
		return read_port(xs, dir, prefix, KEY_EVENT_CHANNEL_RX, &q->rx_port, err);
	if (rc != -ENOENT)
		return rc;
	rc = read_port(xs, dir, prefix, KEY_EVENT_CHANNEL, &q->tx_port, err);
	q->rx_port = q->tx_port;
	return rc;
}

static int read_queue(struct xs_handle *xs, const char *dir, uint32_t nr_queues,
		      uint32_t queue, bool may_split, struct vif_queue *q,
		      struct key_error *err)
{
	char prefix[XENBUS_KEY_BYTES], key[XENBUS_KEY_BYTES];
	int rc;

	xenbus_queue_prefix(prefix, nr_queues, queue);
	xenbus_make_key(key, prefix, KEY_TX_RING_REF);
	rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, &q->tx_gref, err);
	if (rc)
		return rc;
	xenbus_make_key(key, prefix, KEY_RX_RING_REF);
	rc = xenbus_read_u32(xs, XBT_NULL, dir, key, UINT32_MAX, &q->rx_gref, err);
	return rc ? rc : read_ports(xs, dir, prefix, may_split, q, err);
}

static int read_ctrl(struct xs_handle *xs, const char *dir, struct vif_frontend *f,
		     struct key_error *err)
{
	int rc = xenbus_read_u32(xs, XBT_NULL, dir, KEY_CTRL_RING_REF, UINT32_MAX,
				 &f->ctrl_gref, err);

	if (rc == -ENOENT)
		return 0;
	if (!rc)
		rc = read_port(xs, dir, "", KEY_EVENT_CHANNEL_CTRL, &f->ctrl_port, err);
	f->ctrl_ring = !rc;
	return rc;
}

#define RINGS_MAX (VIF_QUEUES_MAX * 2 + 1)

/* One port or ring page for two things would be served twice. */
static int refuse_twice(const uint32_t *v, uint32_t nr, const char *key,
			const char *expected, struct key_error *err)
{
	uint32_t i, j;

	for (i = 0; i < nr; i++)
		for (j = 0; j < i; j++)
			if (v[i] == v[j]) {
				xenbus_blame_u64(err, key, v[i], expected);
				return -EINVAL;
			}
	return 0;
}

static int refuse_shared(const struct vif_frontend *f, struct key_error *err)
{
	uint32_t gref[RINGS_MAX], port[RINGS_MAX], nr_grefs = 0, nr_ports = 0, i;
	int rc;

	for (i = 0; i < f->nr_queues; i++) {
		gref[nr_grefs++] = f->queue[i].tx_gref;
		gref[nr_grefs++] = f->queue[i].rx_gref;
		port[nr_ports++] = f->queue[i].tx_port;
		if (f->queue[i].rx_port != f->queue[i].tx_port)
			port[nr_ports++] = f->queue[i].rx_port;
	}
	if (f->ctrl_ring) {
		gref[nr_grefs++] = f->ctrl_gref;
		port[nr_ports++] = f->ctrl_port;
	}
	rc = refuse_twice(gref, nr_grefs, KEY_TX_RING_REF,
			  "a grant of its own for each ring", err);
	return rc ? rc : refuse_twice(port, nr_ports, KEY_EVENT_CHANNEL,
				      "a port of its own for each ring or queue", err);
}

struct flag {
	const char *key;
	bool *out;
};

static int read_flags(struct xs_handle *xs, const char *dir, struct vif_frontend *f,
		      struct key_error *err)
{
	const struct flag flag[] = {
		{ KEY_REQUEST_RX_COPY, &f->rx_copy },
		{ KEY_REQUEST_RX_FLIP, &f->rx_flip },
		{ KEY_FEATURE_RX_NOTIFY, &f->rx_notify },
		{ KEY_FEATURE_SG, &f->sg },
		{ KEY_FEATURE_GSO_TCPV4, &f->gso_tcpv4 },
		{ KEY_FEATURE_GSO_TCPV6, &f->gso_tcpv6 },
		{ KEY_FEATURE_NO_CSUM_OFFLOAD, &f->no_csum },
		{ KEY_FEATURE_IPV6_CSUM_OFFLOAD, &f->ipv6_csum },
		{ KEY_REQUEST_MULTICAST_CONTROL, &f->multicast_control },
	};
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(flag) / sizeof(flag[0]) && !rc; i++)
		rc = xenbus_read_flag(xs, XBT_NULL, dir, flag[i].key, false, flag[i].out,
				      err);
	return rc;
}

int vif_read_frontend(struct xs_handle *xs, const char *front_dir,
		      const struct vif_features *limits, struct vif_frontend *out,
		      struct key_error *err)
{
	uint32_t max_queues = limits->max_queues ? limits->max_queues : 1, i;
	int rc;

	xenbus_assert(max_queues <= VIF_QUEUES_MAX);
	memset(out, 0, sizeof(*out));
	rc = vif_read_mac(xs, front_dir, out->mac, &out->has_mac, err);
	if (!rc)
		rc = vif_read_mtu_written(xs, front_dir, &out->mtu_bytes, err);
	if (!rc)
		rc = read_flags(xs, front_dir, out, err);
	if (!rc)
		rc = xenbus_read_nr_queues(xs, front_dir, max_queues, &out->nr_queues, err);
	for (i = 0; !rc && i < out->nr_queues; i++)
		rc = read_queue(xs, front_dir, out->nr_queues, i,
				limits->split_event_channels, out->queue + i, err);
	if (!rc && limits->ctrl_ring)
		rc = read_ctrl(xs, front_dir, out, err);
	return rc ? rc : refuse_shared(out, err);
}

/* ---- writing ------------------------------------------------------------------ */

struct number {
	const char *key;
	uint64_t value;
	bool present;
};

static int write_numbers(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			 const char *prefix, const struct number *n, size_t nr)
{
	char key[XENBUS_KEY_BYTES];
	size_t i;
	int rc = 0;

	for (i = 0; i < nr && !rc; i++) {
		if (!n[i].present)
			continue;
		xenbus_make_key(key, prefix, n[i].key);
		rc = xenbus_write_u64(xs, t, dir, key, n[i].value);
	}
	return rc;
}

static int write_queue(struct xs_handle *xs, xs_transaction_t t, const char *dir,
		       const char *prefix, const struct vif_queue *q)
{
	bool split = q->tx_port != q->rx_port;
	const struct number n[] = {
		{ KEY_TX_RING_REF, q->tx_gref, true },
		{ KEY_RX_RING_REF, q->rx_gref, true },
		{ KEY_EVENT_CHANNEL, q->tx_port, !split },
		{ KEY_EVENT_CHANNEL_TX, q->tx_port, split },
		{ KEY_EVENT_CHANNEL_RX, q->rx_port, split },
	};

	return write_numbers(xs, t, dir, prefix, n, sizeof(n) / sizeof(n[0]));
}

int vif_write_frontend(struct xs_handle *xs, xs_transaction_t t,
		       const char *front_dir, const struct vif_frontend *f)
{
	const struct number n[] = {
		{ KEY_REQUEST_RX_COPY, f->rx_copy, true },
		{ KEY_REQUEST_RX_FLIP, f->rx_flip, f->rx_flip },
		{ KEY_FEATURE_RX_NOTIFY, f->rx_notify, f->rx_notify },
		{ KEY_FEATURE_SG, f->sg, true },
		{ KEY_FEATURE_GSO_TCPV4, f->gso_tcpv4, true },
		{ KEY_FEATURE_GSO_TCPV6, f->gso_tcpv6, true },
		{ KEY_FEATURE_NO_CSUM_OFFLOAD, f->no_csum, true },
		{ KEY_FEATURE_IPV6_CSUM_OFFLOAD, f->ipv6_csum, true },
		{ KEY_REQUEST_MULTICAST_CONTROL, f->multicast_control,
		  f->multicast_control },
		{ KEY_CTRL_RING_REF, f->ctrl_gref, f->ctrl_ring },
		{ KEY_EVENT_CHANNEL_CTRL, f->ctrl_port, f->ctrl_ring },
		{ KEY_MULTI_QUEUE_NUM_QUEUES, f->nr_queues, f->nr_queues > 1 },
	};
	char prefix[XENBUS_KEY_BYTES];
	uint32_t i;
	int rc;

	xenbus_assert(f->nr_queues >= 1 && f->nr_queues <= VIF_QUEUES_MAX);
	rc = write_numbers(xs, t, front_dir, "", n, sizeof(n) / sizeof(n[0]));
	for (i = 0; !rc && i < f->nr_queues; i++) {
		xenbus_queue_prefix(prefix, f->nr_queues, i);
		rc = write_queue(xs, t, front_dir, prefix, f->queue + i);
	}
	return rc;
}

int vif_remove_frontend(struct xs_handle *xs, const char *front_dir)
{
	static const char *const exact[] = {
		KEY_TX_RING_REF, KEY_RX_RING_REF, KEY_EVENT_CHANNEL,
		KEY_EVENT_CHANNEL_TX, KEY_EVENT_CHANNEL_RX, KEY_CTRL_RING_REF,
		KEY_EVENT_CHANNEL_CTRL, KEY_MULTI_QUEUE_NUM_QUEUES, KEY_REQUEST_RX_COPY,
		KEY_REQUEST_RX_FLIP, KEY_REQUEST_MULTICAST_CONTROL, KEY_XDP_HEADROOM,
		NULL,
	};
	static const char *const prefix[] = { KEY_QUEUE_PREFIX, KEY_FEATURE_PREFIX, NULL };

	return xenbus_remove_keys(xs, front_dir, prefix, exact);
}

int vif_write_multicast_control(struct xs_handle *xs, const char *front_dir, bool on)
{
	return xenbus_write_u64(xs, XBT_NULL, front_dir, KEY_REQUEST_MULTICAST_CONTROL, on);
}

bool vif_read_multicast_control(struct xs_handle *xs, const char *front_dir)
{
	bool on = false;

	xenbus_read_offered_flag(xs, front_dir, KEY_REQUEST_MULTICAST_CONTROL, &on);
	return on;
}

int vif_watch_multicast_control(struct xs_handle *xs, const char *front_dir,
				const char *token, bool on)
{
	char path[XENBUS_NODE_BYTES];
	int rc = xenbus_join(path, front_dir, KEY_REQUEST_MULTICAST_CONTROL);

	if (rc)
		return rc;
	errno = 0;
	if (on ? xs_watch(xs, path, token) : xs_unwatch(xs, path, token))
		return 0;
	return xenbus_store_error();
}

int vif_read_own(struct xs_handle *xs, const char *front_dir, const char *back_dir,
		 uint8_t *mac, bool *has_mac, uint32_t *mtu_bytes, struct key_error *err)
{
	int rc = vif_read_mac(xs, front_dir, mac, has_mac, err);

	if (!rc && !*has_mac)	/* some tool stacks write it on the other side only */
		rc = vif_read_mac(xs, back_dir, mac, has_mac, err);
	return rc ? rc : vif_read_mtu(xs, front_dir, mtu_bytes, err);
}
