/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tool stack's words about an interface, as far as they count.
 *
 * Hides: which words are taken and when, what of them may change while it is connected and
 * who is told. Must not know: states, features, how it is served (vif-serve.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "util.h"
#include "vif-device-internal.h"

/* ---- the tool stack's words ---------------------------------------------------------- */

static uint64_t hash_inputs(const struct vif_toolstack *ts, const char *complaint)
{
	uint64_t hash = device_hash(DEVICE_HASH, ts->bridge);
	char text[64];

	vif_format_mac(ts->mac, text, sizeof(text));
	hash = device_hash(hash, text);
	hash = device_hash(hash, ts->port.vlan_text);
	snprintf(text, sizeof(text), "%d%d%d%d%d %u", ts->has_mac, ts->port.any_source,
		 ts->port.isolated, ts->hotplug_pending, ts->hotplug_error, ts->mtu_bytes);
	return device_hash(device_hash(hash, text), complaint);
}

/* Of a vif in use a bad node changes nothing; before, vif-device.c refuses it. */
static void look_at_limit(struct vif_device *v)
{
	if (!device_limit_look(&v->limit, &v->env, v->port) || !v->port)
		return;
	bridge_port_set_limit(v->port, &v->limit.limit);
	if (v->is_ready)
		device_limit_tell(&v->limit, &v->env, false);
}

/*
 * A tool stack that writes without a transaction is seen half way: what is missing
 * is waited for. What is there and bad is for open to refuse, so it counts as
 * complete; of a vif in use, what it was told last stays.
 */
int vif_words_read(struct vif_device *v, char *why, size_t why_bytes)
{
	struct key_error err = { .expected = "" };
	struct vif_toolstack ts;
	int rc = vif_read_toolstack(v->env.bus->xs, v->env.bus->nodename, &ts, &err);

	why[0] = '\0';
	if (rc && rc != -ENOENT && rc != -EINVAL) {
		snprintf(why, why_bytes, "XenStore: %s", strerror(-rc));
		return rc;
	}
	if (!rc && v->env.config->driver_domain)
		ts.hotplug_pending = false;
	if (rc) {
		device_say_key(&err, "the tool stack", why, why_bytes);
		if (v->port)
			ts = v->ts;
		else
			memset(&ts, 0, sizeof(ts));
		ts.online = true;
	} else if (!ts.has_mac && !ts.port.any_source) {
		snprintf(why, why_bytes, "the tool stack's mac is missing, expected "
			 "the interface's address as aa:bb:cc:dd:ee:ff");
		rc = -ENOENT;
	}
	v->ts = ts;
	look_at_limit(v);
	v->inputs = device_hash(hash_inputs(&v->ts, why), v->limit.why);
	return rc;
}

const char *vif_words_bridge(const struct vif_device *v)
{
	return *v->ts.bridge ? v->ts.bridge : VIF_BRIDGE_DEFAULT;
}

struct vswitch_port_config vif_words_port(const struct vif_device *v)
{
	struct vswitch_port_config port;

	bridge_port_config(&v->ts.port, v->ts.has_mac ? v->ts.mac : NULL, &port);
	return port;
}

struct bridge_rate vif_words_rate(const struct vif_device *v)
{
	return (struct bridge_rate){ .bytes = v->ts.rate_bytes, .usec = v->ts.rate_usec };
}

/* ---- what may change while it is connected ---------------------------------------------- */

static void pass_on_port(struct vif_device *v)
{
	struct vswitch_port_config port = vif_words_port(v);

	if (!memcmp(&port, &v->set, sizeof(port)))
		return;
	v->set = port;
	bridge_port_set(v->port, &port);
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "its port on %s is set anew", v->bridge);
}

static void pass_on_rate(struct vif_device *v)
{
	struct bridge_rate rate = vif_words_rate(v);

	if (rate.bytes == v->rate.bytes && rate.usec == v->rate.usec)
		return;
	v->rate = rate;
	bridge_port_set_rate(v->port, &rate);
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "limited to %llu bytes in %u microseconds",
		    (unsigned long long)rate.bytes, rate.usec);
}

static void pass_on_multicast(struct vif_device *v)
{
	bool on = vif_read_multicast_control(v->env.bus->xs, v->env.bus->otherend);

	if (on == v->multicast)
		return;
	v->multicast = on;
	bridge_port_set_multicast(v->port, on);
}

/* Once it has left, it is as after a restart: lifecycle.h resumes it, elsewhere. */
static void move(struct vif_device *v)
{
	log_peer_at(v->env.log, LOG_LEVEL_INFO, "moves from %s to %s", v->bridge,
		    vif_words_bridge(v));
	v->is_ready = false;
	bridge_port_leave(v->port);
}

void vif_words_pass_on(struct vif_device *v)
{
	if (!v->is_ready || v->stopping)
		return;
	if (strcmp(vif_words_bridge(v), v->bridge)) {
		move(v);
		return;
	}
	pass_on_port(v);
	pass_on_rate(v);
	pass_on_multicast(v);
}
