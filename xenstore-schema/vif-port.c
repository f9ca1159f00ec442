/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a switch is told of a port: VLANs, isolation, sources.
 *
 * Hides: how VLANs are spelled, which of these keys may change while a vif is in
 * use. Must not know: switches, stdio. Runs without an operating system.
 */
#include <errno.h>
#include <string.h>

#include "keys.h"
#include "vif-internal.h"
#include "xenbus-internal.h"

#define VLAN_MAX 4094u

static const char vlan_words[] =
	"a VLAN from 1 to 4094 (10), a trunk's list (10,20-29), or one with a native VLAN (p1,10,20)";

static int take_vlan(const char **at, uint64_t *out)
{
	int rc = vif_take_number(at, VLAN_MAX, out);

	return rc ? rc : *out ? 0 : -EINVAL;
}

static void add_vlans(uint8_t *vlans, uint64_t first, uint64_t last)
{
	for (; first <= last; first++)
		vlans[first / 8] |= (uint8_t)(1u << first % 8);
}

/* One element of a list: "pN", "N" or "N-M". *range: it makes a trunk by itself. */
static int take_element(const char **at, uint16_t *native, uint8_t *vlans,
			uint64_t *first, bool *range)
{
	uint64_t last;
	int rc;

	*range = false;
	if (**at == 'p') {
		++*at;
		rc = *native ? -EINVAL : take_vlan(at, first);
		if (rc)
			return rc;
		*native = (uint16_t)*first;
		*range = true;
		last = *first;
	} else {
		rc = take_vlan(at, first);
		last = *first;
		if (!rc && **at == '-') {
			++*at;
			*range = true;
			rc = take_vlan(at, &last);
		}
		if (rc || last < *first)
			return -EINVAL;
	}
	add_vlans(vlans, *first, last);
	return 0;
}

int vif_parse_vlan(const char *text, bool *trunk, uint16_t *vlan, uint8_t vlans[512])
{
	unsigned int nr = 0;
	uint64_t first = 0;
	bool range;
	int rc;

	memset(vlans, 0, 512);
	*trunk = false;
	*vlan = 0;
	if (!*text || !strcmp(text, "0"))
		return 0;
	for (;;) {
		rc = take_element(&text, vlan, vlans, &first, &range);
		if (rc)
			return rc;
		*trunk |= range || nr++;
		if (!*text)
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	if (!*trunk)
		*vlan = (uint16_t)first;
	return 0;
}

int vif_read_port(struct xs_handle *xs, const char *dir, struct vif_port *out,
		  struct key_error *err)
{
	int rc = vif_read_word(xs, dir, KEY_VLAN, vlan_words, out->vlan_text,
			       sizeof(out->vlan_text), err);

	if (rc)
		return rc;
	rc = vif_parse_vlan(out->vlan_text, &out->trunk, &out->vlan, out->vlans);
	if (rc) {
		xenbus_blame(err, KEY_VLAN, out->vlan_text, strlen(out->vlan_text),
			     vlan_words);
		return rc;
	}
	rc = xenbus_read_flag(xs, XBT_NULL, dir, KEY_ISOLATED, false, &out->isolated, err);
	return rc ? rc : xenbus_read_flag(xs, XBT_NULL, dir, KEY_ANY_SOURCE, false,
					  &out->any_source, err);
}

/* ---- changing --------------------------------------------------------------------- */

struct change {
	const char *back_dir, *front_dir;
	const struct vif_change *what;
};

static int write_changes(struct xs_handle *xs, xs_transaction_t t, void *arg)
{
	const struct change *c = arg;
	int rc = xenbus_need_dir(xs, t, c->back_dir);

	if (!rc && c->what->vlan)
		rc = *c->what->vlan ?
		     xenbus_write_text(xs, t, c->back_dir, KEY_VLAN, c->what->vlan) :
		     xenbus_remove(xs, t, c->back_dir, KEY_VLAN);
	if (!rc && c->what->isolated >= 0)
		rc = xenbus_write_u64(xs, t, c->back_dir, KEY_ISOLATED, !!c->what->isolated);
	if (!rc && c->what->any_source >= 0)
		rc = xenbus_write_u64(xs, t, c->back_dir, KEY_ANY_SOURCE,
				      !!c->what->any_source);
	if (!rc && c->what->set_rate)
		rc = xenbus_write_u64(xs, t, c->back_dir, KEY_RATE_BITS, c->what->rate_bits);
	if (!rc && c->what->disconnect >= 0)
		rc = xenbus_need_dir(xs, t, c->front_dir);
	if (!rc && c->what->disconnect >= 0)
		rc = xenbus_write_u64(xs, t, c->front_dir, KEY_DISCONNECT,
				      !!c->what->disconnect);
	return rc;
}

int vif_change_port(struct xs_handle *xs, const char *back_dir, const char *front_dir,
		    const struct vif_change *what)
{
	struct change c = { back_dir, front_dir, what };
	struct vif_port port;

	if (what->vlan && (strlen(what->vlan) >= sizeof(port.vlan_text) ||
			   vif_parse_vlan(what->vlan, &port.trunk, &port.vlan, port.vlans)))
		return -EINVAL;
	return xenbus_transact(xs, write_changes, &c);
}
