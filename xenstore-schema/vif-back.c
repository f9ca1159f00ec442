/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a network back end publishes: features and the link, both directions.
 *
 * Hides: which keys say it and what a missing one means. Must not know: rings,
 * switches, stdio. Runs without an operating system.
 */
#include <errno.h>
#include <string.h>

#include "keys.h"
#include "vif.h"
#include "xenbus-internal.h"

struct flag_node {
	const char *key;
	bool value;
};

int vif_write_features(struct xs_handle *xs, xs_transaction_t t,
		       const char *back_dir, const struct vif_features *f)
{
	const struct flag_node node[] = {
		{ KEY_FEATURE_SG, f->sg },
		{ KEY_FEATURE_GSO_TCPV4, f->gso_tcpv4 },
		{ KEY_FEATURE_GSO_TCPV6, f->gso_tcpv6 },
		{ KEY_FEATURE_IPV6_CSUM_OFFLOAD, f->ipv6_csum },
		{ KEY_FEATURE_RX_COPY, f->rx_copy },
		{ KEY_FEATURE_RX_FLIP, f->rx_flip },
		{ KEY_FEATURE_SPLIT_EVENT_CHANNELS, f->split_event_channels },
		{ KEY_FEATURE_MULTICAST_CONTROL, f->multicast_control },
		{ KEY_FEATURE_DYNAMIC_MULTICAST_CONTROL, f->dynamic_multicast_control },
		{ KEY_FEATURE_CTRL_RING, f->ctrl_ring },
	};
	size_t i;
	int rc = 0;

	for (i = 0; i < sizeof(node) / sizeof(node[0]) && !rc; i++)
		rc = xenbus_write_u64(xs, t, back_dir, node[i].key, node[i].value);
	if (rc)
		return rc;
	if (f->max_queues > 1)
		return xenbus_write_u64(xs, t, back_dir, KEY_MULTI_QUEUE_MAX_QUEUES,
					f->max_queues);
	return xenbus_remove(xs, t, back_dir, KEY_MULTI_QUEUE_MAX_QUEUES);
}

struct flag_target {
	const char *key;
	bool *out;
};

/* Flags that are missing or nonsense are off; the store's own errors are not hidden. */
static int read_flags(struct xs_handle *xs, const char *dir,
		      const struct flag_target *t, size_t nr)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < nr && !rc; i++)
		rc = xenbus_read_offered_flag(xs, dir, t[i].key, t[i].out);
	return rc;
}

int vif_read_features(struct xs_handle *xs, const char *back_dir,
		      struct vif_features *out)
{
	const struct flag_target flag[] = {
		{ KEY_FEATURE_SG, &out->sg },
		{ KEY_FEATURE_GSO_TCPV4, &out->gso_tcpv4 },
		{ KEY_FEATURE_GSO_TCPV6, &out->gso_tcpv6 },
		{ KEY_FEATURE_IPV6_CSUM_OFFLOAD, &out->ipv6_csum },
		{ KEY_FEATURE_RX_COPY, &out->rx_copy },
		{ KEY_FEATURE_RX_FLIP, &out->rx_flip },
		{ KEY_FEATURE_SPLIT_EVENT_CHANNELS, &out->split_event_channels },
		{ KEY_FEATURE_MULTICAST_CONTROL, &out->multicast_control },
		{ KEY_FEATURE_DYNAMIC_MULTICAST_CONTROL, &out->dynamic_multicast_control },
		{ KEY_FEATURE_CTRL_RING, &out->ctrl_ring },
	};
	int rc;

	memset(out, 0, sizeof(*out));
	rc = read_flags(xs, back_dir, flag, sizeof(flag) / sizeof(flag[0]));
	if (!rc)
		rc = xenbus_read_offer(xs, back_dir, KEY_MULTI_QUEUE_MAX_QUEUES, 1,
				       &out->max_queues);
	if (rc)
		return rc;
	if (!out->max_queues)
		out->max_queues = 1;
	if (out->max_queues > VIF_QUEUES_MAX)
		out->max_queues = VIF_QUEUES_MAX;
	return 0;
}

int vif_write_carrier(struct xs_handle *xs, const char *back_dir, bool up)
{
	return xenbus_write_u64(xs, XBT_NULL, back_dir, KEY_CARRIER, up);
}

bool vif_read_carrier(struct xs_handle *xs, const char *back_dir)
{
	uint32_t up = 1;

	xenbus_read_offer(xs, back_dir, KEY_CARRIER, 1, &up);
	return up;
}

struct flip_ended {
	const char *dir;
	bool ended;
};

static int write_flip_ended(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct flip_ended *e = arg;
	int rc = xenbus_need_dir(xs, t, e->dir);

	return rc ? rc : xenbus_write_u64(xs, t, e->dir, KEY_RX_FLIP_ENDED, e->ended);
}

/* Not where the device has been removed meanwhile. */
int vif_write_flip_ended(struct xs_handle *xs, const char *back_dir, bool ended)
{
	struct flip_ended e = { back_dir, ended };

	return xenbus_transact(xs, write_flip_ended, &e);
}

bool vif_read_flip_ended(struct xs_handle *xs, const char *back_dir)
{
	bool ended;

	xenbus_read_offered_flag(xs, back_dir, KEY_RX_FLIP_ENDED, &ended);
	return ended;
}
