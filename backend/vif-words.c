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

static void look_at_limit(struct vif_device *v)
{
	if (!device_limit_look(&v->limit, &v->env, v->is_open) || !v->port)
		return;
	bridge_port_set_limit(v->port, &v->limit.limit);
	if (v->is_ready)
		device_limit_tell(&v->limit, &v->env, false);
}

/* 0, -ENOENT, -EINVAL with why; any other: the store did not answer, and ts is nothing. */
static int read_words(const struct vif_device *v, struct vif_toolstack *ts, char *why,
		      size_t why_bytes)
{
	struct key_error err = { .expected = "" };
	int rc = vif_read_toolstack(v->env.bus->xs, v->env.bus->nodename, ts, &err);

	if (rc == -EINVAL || rc == -ENOENT) {
		device_say_key(&err, "the tool stack", why, why_bytes);
	} else if (rc) {
		snprintf(why, why_bytes, "XenStore: %s", strerror(-rc));
	} else if (!ts->has_mac && !ts->port.any_source) {
		snprintf(why, why_bytes, "the tool stack's mac is missing, expected "
			 "the interface's address as aa:bb:cc:dd:ee:ff");
		rc = -ENOENT;
	}
	if (!rc && v->env.config->driver_domain)
		ts->hotplug_pending = false;
	return rc;
}

static void say_bad(struct vif_device *v, const char *why)
{
	uint64_t bad = *why ? device_hash(DEVICE_HASH, why) : 0;

	if (bad && bad != v->bad_words)
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "%s; nothing is changed", why);
	v->bad_words = bad;
}

/*
 * A tool stack that writes without a transaction is seen half way: what is missing
 * is waited for. What is there and bad is for open to refuse. Of a vif in use what it was
 * told last stays, whoever serves it next; only whether it is wanted is heard all the same.
 */
int vif_words_read(struct vif_device *v, char *why, size_t why_bytes)
{
	struct vif_toolstack ts;
	int rc;

	why[0] = '\0';
	rc = read_words(v, &ts, why, why_bytes);
	if (rc && rc != -ENOENT && rc != -EINVAL)
		return rc;
	if (v->is_open) {
		say_bad(v, why);
		v->ts.online = ts.online;
		if (!rc)
			v->ts = ts;
		rc = 0;
	} else {
		v->ts = rc == -EINVAL ? (struct vif_toolstack){ .online = ts.online } : ts;
	}
	look_at_limit(v);
	v->inputs = device_hash(hash_inputs(&v->ts, why), v->limit.why);
	if (!rc && !v->is_open && v->limit.why[0]) {
		snprintf(why, why_bytes, "%s", v->limit.why);
		rc = -EINVAL;
	}
	return rc;
}

bool vif_words_are_bad(const struct vif_device *v, char *why, size_t why_bytes)
{
	struct vif_toolstack ts;
	int rc = read_words(v, &ts, why, why_bytes);

	/* Nor does one that has gone. */
	if (rc && !xenbus_exists(v->env.bus->xs, XBT_NULL, v->env.bus->nodename))
		return false;
	/* A store that does not answer says nothing bad; another version may reach it. */
	if (rc == -ENOENT || rc == -EINVAL)
		return true;
	snprintf(why, why_bytes, "%s", v->limit.why);
	return *why;
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
	bool other = memcmp(port.mac, v->set.mac, sizeof(port.mac)) ||
		     port.any_source != v->set.any_source;

	if (!port.any_source && other && !vif_wait_may_have(v, port.mac)) {
		memcpy(port.mac, v->set.mac, sizeof(port.mac));
		port.any_source = v->set.any_source;
		other = false;
	} else {
		memset(v->said_taken, 0, sizeof(v->said_taken));
	}
	if (!memcmp(&port, &v->set, sizeof(port)))
		return;
	v->set = port;
	bridge_port_set(v->port, &port);
	if (other)
		vif_serve_write_info(v);
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

/*
 * Once it has left, it is as after a restart: lifecycle.h resumes it, elsewhere, with the
 * address that it is to have there.
 */
static void move(struct vif_device *v)
{
	v->set = vif_words_port(v);
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
