/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what a guest or a tool stack writes to XenStore, as every reader of
 * the schema finds it. The input is a list of keys, each with a value of any
 * octets; then all readers run, also with a request that fails.
 */
#include <errno.h>
#include <string.h>
#include "fake-xenstore.h"
#include "fuzz.h"
#include "switch-config.h"
#include "toolstack.h"
#include "vbd.h"
#include "vif.h"

#define VBD_BACK "/local/domain/0/backend/vbd/3/51712"
#define VBD_FRONT "/local/domain/3/device/vbd/51712"
#define VIF_BACK "/local/domain/0/backend/vif/3/0"
#define VIF_FRONT "/local/domain/3/device/vif/0"

static const char *const dirs[] = { VBD_FRONT, VIF_FRONT, VBD_BACK, VIF_BACK };

static const char *const keys[] = {
	"state", "protocol", "ring-ref", "ring-ref0", "ring-ref1", "ring-ref2", "ring-ref3",
	"ring-page-order", "num-ring-pages", "event-channel", "feature-persistent",
	"multi-queue-num-queues", "queue-0/ring-ref", "queue-0/ring-ref0", "queue-0/event-channel",
	"queue-1/ring-ref", "queue-1/event-channel", "tx-ring-ref", "rx-ring-ref",
	"queue-0/tx-ring-ref", "queue-0/rx-ring-ref", "queue-0/event-channel-tx",
	"queue-0/event-channel-rx", "queue-1/tx-ring-ref", "queue-1/rx-ring-ref",
	"queue-1/event-channel-tx", "queue-1/event-channel-rx", "event-channel-tx",
	"event-channel-rx", "request-rx-copy", "feature-rx-notify", "feature-sg",
	"feature-gso-tcpv4", "feature-gso-tcpv6", "feature-no-csum-offload",
	"feature-ipv6-csum-offload", "ctrl-ring-ref", "event-channel-ctrl", "feature-ctrl-ring",
	"request-multicast-control", "mtu", "mac", "params", "physical-device", "mode", "type",
	"device-type", "direct-io-safe", "discard-enable", "cache", "grants", "max-queues",
	"rate", "bridge", "vlan", "trunk", "script", "vifname", "frontend-id", "frontend",
	"backend", "backend-id", "online", "sectors", "sector-size", "info",
	"physical-sector-size", "max-ring-page-order", "max-ring-pages", "multi-queue-max-queues",
	"feature-max-indirect-segments", "feature-flush-cache", "feature-barrier",
	"feature-discard", "discard-granularity", "feature-multicast-control",
	"feature-dynamic-multicast-control", "feature-rx-copy", "feature-rx-flip", "isolated",
	"error", "hotplug-status", "hotplug-error", "handle",
};

/* More rings and queues than anybody may have, each with another number. */
static void put_series(uint8_t kind, uint32_t nr)
{
	static const char *const formats[] = {
		VBD_FRONT "/ring-ref%u", VBD_FRONT "/queue-%u/ring-ref",
		VBD_FRONT "/queue-%u/event-channel", VIF_FRONT "/queue-%u/tx-ring-ref",
		VIF_FRONT "/queue-%u/rx-ring-ref", VIF_FRONT "/queue-%u/event-channel-tx",
		VIF_FRONT "/queue-%u/event-channel-rx", VBD_FRONT "/queue-0/ring-ref%u",
	};
	char path[128], value[16];

	for (uint32_t f = 0; f < 8; f++)
		for (uint32_t i = 0; i < nr && !(kind & 1u << f); i++) {
			snprintf(path, sizeof(path), formats[f], i);
			snprintf(value, sizeof(value), "%u", 1 + f * 100 + i);
			fake_xs_put(path, value);
		}
	snprintf(value, sizeof(value), "%u", nr);
	fake_xs_put(VIF_FRONT "/multi-queue-num-queues", value);
	fake_xs_put(VBD_FRONT "/multi-queue-num-queues", value);
}

static void put_nodes(struct fuzz_in *in)
{
	char path[128], value[64];
	uint8_t where, kind;
	uint32_t n;

	for (uint32_t i = 0; in->left && i < 64; i++) {
		where = fuzz_u8(in);
		if (where == 0xff) {
			kind = fuzz_u8(in);
			put_series(kind, fuzz_below(in, 80));
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", dirs[where % 4],
			 keys[fuzz_below(in, sizeof(keys) / sizeof(keys[0]))]);
		kind = fuzz_u8(in);
		if (kind < 128) {
			n = (uint32_t)snprintf(value, sizeof(value), "%u", kind < 100 ? kind : (uint32_t)kind << 25);
		} else if (kind < 140) {
			n = (uint32_t)snprintf(value, sizeof(value), "x86_%d-abi", kind & 1 ? 32 : 64);
		} else {
			n = (uint32_t)fuzz_bytes(in, value, kind % 64u);
		}
		fake_xs_put_bytes(path, value, n);
	}
}

/* How many readers were content. */
static int read_all(struct xs_handle *xs)
{
	struct vbd_features features = { .max_ring_order = 4, .max_queues = 4 };
	struct vif_features vif = { .max_queues = 4, .sg = true, .split_event_channels = true,
				    .ctrl_ring = true, .rx_copy = true };
	struct vbd_toolstack disk = { 0 };
	struct vif_toolstack nic;
	struct vbd_frontend vbd;
	struct vif_frontend front;
	struct vif_port port;
	struct key_error err;
	uint32_t mtu;
	bool has_mac;
	uint8_t mac[6];
	int ok = 0;

	memset(&vbd, 0, sizeof(vbd));
	memset(&front, 0, sizeof(front));
	if (!vbd_read_frontend(xs, VBD_FRONT, &features, &vbd, &err)) {
		FUZZ_NEED(vbd.nr_queues >= 1 && vbd.nr_queues <= VBD_QUEUES_MAX);
		ok++;
	}
	if (!vif_read_frontend(xs, VIF_FRONT, &vif, &front, &err)) {
		FUZZ_NEED(front.nr_queues >= 1 && front.nr_queues <= VIF_QUEUES_MAX);
		ok++;
	}
	ok += !vbd_read_features(xs, VBD_BACK, &features, &err);
	ok += !vif_read_features(xs, VIF_BACK, &vif);
	ok += !vbd_read_toolstack(xs, VBD_BACK, &disk, &err);
	vbd_free_toolstack(&disk);
	ok += !vif_read_toolstack(xs, VIF_BACK, &nic, &err);
	ok += !vif_read_port(xs, VIF_BACK, &port, &err);
	ok += !vif_read_own(xs, VIF_FRONT, VIF_BACK, mac, &has_mac, &mtu, &err);
	vif_read_carrier(xs, VIF_BACK);
	vif_read_multicast_control(xs, VIF_FRONT);
	return ok;
}

static void words(struct fuzz_in *in)
{
	char text[64];
	uint8_t mac[6];
	uint64_t rate;
	uint32_t usec, devid;
	uint8_t vlans[VIF_VLANS_BYTES];
	uint16_t vlan;
	bool trunk;
	size_t n = fuzz_bytes(in, text, fuzz_below(in, sizeof(text) - 1));

	text[n] = 0;
	vif_parse_mac(text, mac);
	vif_is_name(text);
	vif_parse_vlan(text, &trunk, &vlan, vlans);
	toolstack_rate(text, &rate, &usec);
	switch_check_name(text);
	switch_check_ifname(text);
	if (!toolstack_vdev(text, &devid) && !toolstack_vdev_name(devid, text, sizeof(text)))
		FUZZ_NEED(!toolstack_vdev(text, &usec) && usec == devid);
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };
	struct xs_handle *xs;
	uint8_t fail = fuzz_u8(&in);

	fake_xs_reset();
	xs = fake_xs_open(0);
	words(&in);
	put_nodes(&in);
	read_all(xs);
	if (fail)
		fake_xs_fail_nth(fail % 64, fail & 64 ? ENOMEM : fail & 128 ? EACCES : EIO);
	read_all(xs);
	fake_xs_fail_nth(0, 0);
	FUZZ_NEED(!fake_xs_open_transactions());
	xs_close(xs);
}
