/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interfaces that wait to be connected: for their address, while another on their bridge
 * has it, or for what this host is short of.
 *
 * Hides: who is tried again and when, for how long. Must not know: states, features,
 * how one is tried (a look at it does that).
 *
 * A domain that is migrated within the host connects while its old self may have the
 * address yet: that wait has its limit. A shortage is not the guest's doing, and has none. To
 * everybody else a vif that waits is starting.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "util.h"
#include "vif-device-internal.h"

#define RETRY_MS 1000		/* nobody tells when an address changes, or memory is free */
#define REASON_BYTES 200

/* Whoever is to be tried again first. */
static void arm(struct vif_common *c)
{
	uint64_t now = now_ms(), first = UINT64_MAX;

	for (struct vif_device *v = c->devices; v; v = v->next)
		if (v->retry_at_ms)
			first = MIN(first, v->retry_at_ms);
	evloop_set_timer(c->again, first == UINT64_MAX ? -1 :
			 first > now ? (int64_t)(first - now) : 0, 0);
}

static struct vif_device *find_due(struct vif_common *c, uint64_t now)
{
	struct vif_device *v = c->devices;

	while (v && (!v->retry_at_ms || v->retry_at_ms > now))
		v = v->next;
	return v;
}

/* From the beginning each time: a look may free any device. */
void vif_wait_due(void *arg, uint32_t events)
{
	struct vif_common *c = arg;
	uint64_t now = now_ms();
	struct vif_device *v;

	(void)events;
	while ((v = find_due(c, now))) {
		v->retry_at_ms = 0;
		v->env.changed(v->env.arg);
	}
	arm(c);
}

void vif_wait_retry(struct vif_common *c, const char *bridge)
{
	for (struct vif_device *v = c->devices; v; v = v->next)
		if (v->retry_at_ms && !strcmp(v->bridge, bridge))
			v->retry_at_ms = 1;
	arm(c);
}

/* A guest is in the midst of its use, or nobody has looked yet. */
static bool may_have_been_served(const struct vif_device *v)
{
	XenbusState state = v->env.bus->state;

	return (!v->port || bridge_port_is_over(v->port)) && !v->failed && !v->stopping &&
	       (state == XenbusStateUnknown || state == XenbusStateConnected ||
		state == XenbusStateClosing);
}

/* Who will be served with it again: between two workers, or two daemons. */
static bool find_former_owner(const struct vif_device *v, const uint8_t *mac,
			      struct bridge_vif_name *out)
{
	for (const struct vif_device *o = v->common->devices; o; o = o->next)
		if (o != v && may_have_been_served(o) && vif_serve_had(o, v->bridge, mac)) {
			*out = (struct bridge_vif_name){ o->env.frontend_id, o->env.devid };
			return true;
		}
	return false;
}

static bool find_owner(const struct vif_device *v, const uint8_t *mac, struct bridge_vif_name *out)
{
	return bridges_find_owner(v->common->bridges, v->bridge, mac, out) ||
	       find_former_owner(v, mac, out);
}

static void say_owner(const struct vif_device *v, const uint8_t *address, char *out, size_t bytes)
{
	struct bridge_vif_name owner;
	char mac[24], who[40] = "another's";

	if (find_owner(v, address, &owner))
		snprintf(who, sizeof(who), "vif %u/%u's", owner.domid, owner.devid);
	vif_format_mac(address, mac, sizeof(mac));
	snprintf(out, bytes, "its address %s is %s on bridge %s", mac, who, v->bridge);
}

void vif_wait_owner(const struct vif_device *v, char *out, size_t bytes)
{
	say_owner(v, v->set.mac, out, bytes);
}

bool vif_wait_is_taken(const struct vif_device *v)
{
	struct bridge_vif_name owner;

	return !v->set.any_source && find_former_owner(v, v->set.mac, &owner);
}

bool vif_wait_may_have(struct vif_device *v, const uint8_t *mac)
{
	struct bridge_vif_name owner;
	char text[REASON_BYTES];

	if (!find_owner(v, mac, &owner))
		return true;
	say_owner(v, mac, text, sizeof(text));
	if (memcmp(v->said_taken, mac, sizeof(v->said_taken)))
		log_peer_at(v->env.log, LOG_LEVEL_WARNING, "%s: it keeps the one that it has", text);
	memcpy(v->said_taken, mac, sizeof(v->said_taken));
	v->retry_at_ms = now_ms() + RETRY_MS;
	arm(v->common);
	return false;
}

static bool is_short(const struct failure *why)
{
	return !why->by_peer &&
	       (why->err == ENOSPC || why->err == ENOMEM || why->err == EAGAIN ||
		why->err == EMFILE || why->err == ENFILE);
}

static bool may_wait(const struct vif_device *v, const struct failure *why, uint64_t waited_ms)
{
	if (v->env.bus->state != XenbusStateInitWait)
		return false;
	return is_short(why) ||
	       (why->err == EADDRINUSE && waited_ms < v->common->config->address_ms);
}

static void say_wait(const struct vif_device *v, const struct failure *why)
{
	char owner[REASON_BYTES], text[REASON_BYTES + 32];
	enum log_level level = LOG_LEVEL_ERROR;

	if (why->err == EADDRINUSE) {
		vif_wait_owner(v, owner, sizeof(owner));
		snprintf(text, sizeof(text), "%s: waits for it", owner);
		level = LOG_LEVEL_INFO;
	} else {
		snprintf(text, sizeof(text), "%s: it is tried again", why->reason);
	}
	log_peer_at(v->env.log, level, "%s", text);
	xenbus_write_error(v->env.bus, why->err, text);
}

bool vif_wait_begin(struct vif_device *v, const struct failure *why)
{
	bool for_address = why->err == EADDRINUSE;
	bool goes_on = v->waits_since_ms && v->waits_for_address == for_address;
	uint64_t now = now_ms(), since = goes_on ? v->waits_since_ms : now;

	if (!may_wait(v, why, now - since))
		return false;
	if (!goes_on)
		say_wait(v, why);
	v->waits_since_ms = since;
	v->waits_for_address = for_address;
	v->retry_at_ms = now + RETRY_MS;
	arm(v->common);
	return true;
}

void vif_wait_end(struct vif_device *v)
{
	if (v->waits_since_ms)
		xenbus_clear_error(v->env.bus);
	v->waits_since_ms = v->retry_at_ms = 0;
}
