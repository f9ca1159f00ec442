/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a new network interface's directories hold of their own, as xl writes it,
 * and our keys beside xl's.
 *
 * Hides: how addresses and rates are spelled. Must not know: permissions, links
 * (toolstack.c), switches.
 */
#include <errno.h>
#include <string.h>

#include "keys.h"
#include "toolstack-internal.h"
#include "util.h"
#include "vif.h"

#define USEC_PER_S 1000000u
#define RATE_USEC (USEC_PER_S / 20)	/* xl's own interval */

/* ---- rates, as people write them -------------------------------------------- */

/* Digits, to *rest. */
static int take_number(const char *text, const char *units, uint64_t *out, const char **rest)
{
	char digits[21];
	size_t n = strspn(text, "0123456789");

	if (!n || n >= sizeof(digits) || (text[n] && !strchr(units, text[n])))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';
	*rest = text + n;
	return parse_u64(digits, UINT64_MAX, out);
}

static int take_interval(const char *text, uint32_t *usec)
{
	static const struct {
		const char *unit;
		uint32_t usec;
	} units[] = { { "us", 1 }, { "ms", 1000 }, { "s", USEC_PER_S } };
	uint64_t n;
	size_t i;

	if (take_number(text, "ums", &n, &text))
		return -EINVAL;
	for (i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(text, units[i].unit) || !n || n > UINT32_MAX / units[i].usec)
			continue;
		*usec = (uint32_t)n * units[i].usec;
		return 0;
	}
	return -EINVAL;
}

static uint64_t multiplier(char prefix)
{
	switch (prefix) {
	case 'K':
		return 1000;
	case 'M':
		return 1000000;
	case 'G':
		return 1000000000;
	default:
		return 1;
	}
}

int toolstack_rate(const char *text, uint64_t *bytes, uint32_t *usec)
{
	uint64_t n, times;

	if (take_number(text, "KMGBb", &n, &text) || !n)
		return -EINVAL;
	times = multiplier(*text);
	text += times > 1;
	*usec = RATE_USEC;
	if ((*text != 'B' && *text != 'b') || strncmp(text + 1, "/s", 2) ||
	    (text[3] && (text[3] != '@' || take_interval(text + 4, usec))))
		return -EINVAL;
	if (__builtin_mul_overflow(n, times, &n) || __builtin_mul_overflow(n, *usec, &n))
		return -EINVAL;
	*bytes = n / USEC_PER_S / (*text == 'b' ? 8 : 1);
	if (!*bytes)
		*bytes = 1;
	return 0;
}

/* ---- nodes --------------------------------------------------------------------- */

struct nic_text {
	struct toolstack_text id;
	char mac[18], mtu[12], rate[40], rate_bits[24], queues[12], vifname[VIF_NAME_BYTES];
};

static int make_text(struct nic_text *t, const struct toolstack_nic *n)
{
	int rc = toolstack_text(&t->id, n->domid, n->backend_domid, n->devid);

	vif_format_mac(n->mac, t->mac, sizeof(t->mac));
	if (!rc)
		rc = xenbus_text(t->mtu, sizeof(t->mtu), "%u", (uint64_t)n->mtu_bytes);
	if (!rc)
		rc = xenbus_text(t->rate, sizeof(t->rate), "%u,%u", n->rate_bytes,
				 (uint64_t)n->rate_usec);
	if (!rc)
		rc = xenbus_text(t->rate_bits, sizeof(t->rate_bits), "%u", n->rate_bits);
	if (!rc)
		rc = xenbus_text(t->queues, sizeof(t->queues), "%u", (uint64_t)n->max_queues);
	if (!rc && n->vifname)
		return xenbus_text(t->vifname, sizeof(t->vifname), "%s", n->vifname);
	return rc ? rc : xenbus_text(t->vifname, sizeof(t->vifname), "vif%u.%u",
				     (uint64_t)n->domid, (uint64_t)n->devid);
}

/* What a back end would refuse is not written: the same readers judge it. */
static int check(const struct toolstack_nic *n, const struct nic_text *t)
{
	uint8_t mac[VIF_MAC_BYTES], vlans[512];
	uint16_t vlan;
	bool trunk;

	if ((n->bridge && !vif_is_name(n->bridge)) || !vif_is_name(t->vifname) ||
	    n->max_queues > VIF_QUEUES_MAX)
		return -EINVAL;
	if (vif_parse_mac(t->mac, mac) || (n->vlan && vif_parse_vlan(n->vlan, &trunk, &vlan, vlans)))
		return -EINVAL;
	if (n->mtu_bytes && (n->mtu_bytes < VIF_MTU_MIN || n->mtu_bytes > VIF_MTU_MAX))
		return -EINVAL;
	return n->rate_usec && !n->rate_bytes ? -EINVAL : 0;
}

int toolstack_create_nic(struct xs_handle *xs, const struct toolstack_nic *n)
{
	struct nic_text t;
	char limit[LIMIT_TEXT_BYTES];
	bool mtu = n->mtu_bytes && n->mtu_bytes != VIF_MTU_DEFAULT;
	const struct toolstack_node back[] = {
		{ KEY_SCRIPT, n->script },
		{ KEY_VIFNAME, t.vifname },
		{ KEY_MAC, t.mac },
		{ KEY_IP, n->ip },
		{ KEY_GATEWAYDEV, n->gatewaydev },
		{ KEY_RATE, n->rate_usec ? t.rate : NULL },
		{ KEY_RATE_BITS, n->rate_bits ? t.rate_bits : NULL },
		{ KEY_MTU, mtu ? t.mtu : NULL },
		{ KEY_VLAN, n->vlan },
		{ KEY_BRIDGE, n->bridge },
		{ KEY_HANDLE, t.id.devid },
		{ KEY_TYPE, "vif" },
		{ KEY_ISOLATED, n->isolated ? "1" : NULL },
		{ KEY_ANY_SOURCE, n->any_source ? "1" : NULL },
		{ KEY_LIMIT, limit_text(LIMIT_OF_NIC, &n->limit, limit) },
		{ KEY_MAX_QUEUES, n->max_queues ? t.queues : NULL },
		/* The back end waits for the script's word; without one there is none. */
		{ KEY_HOTPLUG_STATUS,
		  !n->script ? NULL : n->script_done ? "connected" : "" },
		{ NULL, NULL },
	};
	const struct toolstack_node front[] = {
		{ KEY_HANDLE, t.id.devid },
		{ KEY_MAC, t.mac },
		{ NULL, NULL },
	};
	const struct toolstack_node front_ro[] = {
		{ KEY_MTU, mtu ? t.mtu : NULL },
		{ NULL, NULL },
	};
	const struct toolstack_new new = {
		.domid = n->domid, .backend_domid = n->backend_domid, .devid = n->devid,
		.kind = n->kind, .libxl = n->libxl, .back = back, .front = front,
		.front_ro = front_ro,
	};
	int rc = make_text(&t, n);

	if (!rc)
		rc = check(n, &t);
	return rc ? rc : toolstack_create(xs, &new);
}
