/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bridges as the administrator wants them (bridge-config.h).
 *
 * Everything is read anew after any event, and compared with what there is: an uplink
 * that is not what it should be leaves, and is made again once it has left.
 */
#include "bridge-config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "crashes.h"
#include "switch-config.h"
#include "uplink.h"
#include "util.h"

#define RETRY_MS 5000		/* a bridge of the kernel may be made later */
#define WHY_BYTES 256

struct uplink_port {
	struct uplink_port *next;
	struct bridge_config *all;
	char bridge[VIF_NAME_BYTES];
	struct switch_uplink want, is;	/* as read; as it was joined */
	bool wanted, was_wanted;	/* ... at the look before */
	bool seen;			/* there are nodes that say something about it */
	bool is_good;			/* they have said what can be done, which is in want */
	struct uplink *uplink;
	bool inherited;			/* ... is, or was to be, a version's before, and nobody of
					   ours serves it yet */
	struct bridge_port *port;	/* NULL: it does not take part */
	struct crashes crashes;		/* of its workers */
	char why[WHY_BYTES];		/* why it does not, as last said */
	char bad[WHY_BYTES];		/* what is bad of its words; "": nothing */
};

/* A bridge that the store said something about. */
struct known {
	struct known *next;
	char name[VIF_NAME_BYTES];
	struct switch_config cfg;
	char why[WHY_BYTES];		/* what is wrong with it, as last said */
	bool seen;
};

struct bridge_config {
	struct evloop *loop;
	struct xs_handle *xs;
	uint32_t domid;
	struct bridges *bridges;
	struct evsource *again;		/* timer */
	struct uplink_port *uplinks;
	struct known *known;
	const char *reading;		/* the bridge whose uplinks are being read */
	bool over, said;		/* ... that nothing can be read */
	bool has_looked;		/* all nodes have been read, once */
};

/* ---- uplinks ------------------------------------------------------------------------ */

static void look_again(struct bridge_config *c, int64_t ms)
{
	evloop_set_timer(c->again, ms, 0);
}

/* Whether it is a new reason: each is said once, however often nodes are read. */
static bool is_new(char said[WHY_BYTES], const char *why)
{
	if (!strcmp(said, why))
		return false;
	snprintf(said, WHY_BYTES, "%s", why);
	return true;
}

static void complain(struct uplink_port *u, const char *why)
{
	if (is_new(u->why, why))
		log_error("bridge %s: uplink %s: %s", u->bridge, u->want.ifname, why);
}

static void on_added(void *arg)
{
	struct uplink_port *u = arg;

	u->why[0] = '\0';
	u->inherited = false;
	log_info("bridge %s: uplink %s%s%s", u->bridge, u->is.ifname,
		 *u->is.bridge ? " in " : "", u->is.bridge);
}

static void close_device(struct uplink_port *u)
{
	uplink_close(u->uplink);
	u->uplink = NULL;
}

static void not_taken_over(struct uplink_port *u, const char *why);

static void on_gone(void *arg, const struct failure *why)
{
	struct uplink_port *u = arg;
	bool fell = bridge_port_fell(u->port);

	bridge_port_free(u->port);
	u->port = NULL;
	/* Its device stays for the next worker: the kernel's bridge sees no change. */
	if (why && why->err == EOWNERDEAD && crashes_note(&u->crashes, now_ms()) >= 0) {
		look_again(u->all, 0);
		return;
	}
	if (why)
		not_taken_over(u, why->reason);
	/* So it does while workers cannot begin; one of a version before may serve it yet. */
	if (!why || !fell || why->err == EOWNERDEAD)
		close_device(u);
	if (why)
		complain(u, why->reason);
	/* A worker that dies at once must not be started as fast as it dies. */
	look_again(u->all, why ? RETRY_MS : 0);
}

static const struct bridge_port_events port_events = {
	.added = on_added,
	.gone = on_gone,
};

static bool same_device(const struct switch_uplink *a, const struct switch_uplink *b)
{
	return !strcmp(a->bridge, b->bridge) && a->mtu_bytes == b->mtu_bytes;
}

/* In a takeover. */
static void uplink_title(const struct uplink_port *u, const char *ifname,
			 char title[TAKEOVER_NAME_BYTES])
{
	snprintf(title, TAKEOVER_NAME_BYTES, "%s/%s", u->bridge, ifname);
}

/* As a version before has left it, whose worker reads from it until ours does. */
static int open_uplink(struct uplink_port *u, const struct uplink_config *cfg, char *why,
		       size_t why_bytes)
{
	struct takeover *t = bridges_takeover(u->all->bridges);
	char title[TAKEOVER_NAME_BYTES];
	int64_t state;
	int fd, rc;

	uplink_title(u, cfg->ifname, title);
	fd = takeover_take(t, TAKEOVER_UPLINK, title, &state);
	if (fd < 0)
		return uplink_open(cfg, &u->uplink, why, why_bytes);
	u->inherited = true;
	rc = uplink_adopt(cfg, fd, (int)state, &u->uplink, why, why_bytes);
	if (rc)
		close(fd);
	return rc;
}

/*
 * With the version before it goes on, if there is one: before it is taken out of its bridge.
 */
static void not_taken_over(struct uplink_port *u, const char *why)
{
	char text[TAKEOVER_REASON_BYTES];

	if (!u->inherited)
		return;
	snprintf(text, sizeof(text), "bridge %.40s: uplink %.15s: %.150s", u->bridge,
		 u->want.ifname, why);
	takeover_return(bridges_takeover(u->all->bridges), text);
	u->inherited = false;
}

static void start(struct uplink_port *u)
{
	struct uplink_config cfg = { .ifname = u->want.ifname, .bridge = u->want.bridge,
				     .mtu_bytes = u->want.mtu_bytes };
	struct bridge_uplink msg = { .offloads = 0 };
	char why[WHY_BYTES];
	int rc = 0;

	if (u->uplink && !same_device(&u->want, &u->is))
		close_device(u);
	if (!u->uplink)
		rc = open_uplink(u, &cfg, why, sizeof(why));
	if (!rc) {
		snprintf(msg.name, sizeof(msg.name), "%s", u->want.ifname);
		msg.offloads = uplink_offloads(u->uplink);
		bridge_port_config(&u->want.port, NULL, &msg.port);
		rc = bridges_join_uplink(u->all->bridges, u->bridge, &msg,
					 uplink_fd(u->uplink), &port_events, u, &u->port);
		snprintf(why, sizeof(why), "no worker for the bridge: %s", strerror(-rc));
	}
	if (u->uplink)
		u->is = u->want;
	if (!rc)
		return;
	/* Its device, if there is one, stays for the next try. */
	not_taken_over(u, why);
	u->port = NULL;
	complain(u, why);
	look_again(u->all, RETRY_MS);
}

/* Towards what is wanted, one step. */
static void step(struct uplink_port *u)
{
	struct vswitch_port_config port;

	if (!u->port) {
		if (u->wanted)
			start(u);
	} else if (!u->wanted || !same_device(&u->want, &u->is)) {
		bridge_port_leave(u->port);
	} else if (memcmp(&u->want.port, &u->is.port, sizeof(u->is.port))) {
		bridge_port_config(&u->want.port, NULL, &port);
		bridge_port_set(u->port, &port);
		u->is = u->want;
		log_info("bridge %s: uplink %s is set anew", u->bridge, u->is.ifname);
	}
}

static void step_all(struct bridge_config *c)
{
	struct uplink_port **at = &c->uplinks, *u;

	while ((u = *at)) {
		step(u);
		if (!u->wanted && !u->port)
			close_device(u);
		if (u->wanted || u->port || u->seen) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		free(u);
	}
}

/* ---- reading ------------------------------------------------------------------------- */

static struct uplink_port *find_uplink(struct bridge_config *c, const char *bridge,
				       const char *ifname)
{
	struct uplink_port *u = c->uplinks;

	while (u && (strcmp(u->bridge, bridge) || strcmp(u->want.ifname, ifname)))
		u = u->next;
	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->all = c;
	snprintf(u->bridge, sizeof(u->bridge), "%s", bridge);
	snprintf(u->want.ifname, sizeof(u->want.ifname), "%s", ifname);
	u->next = c->uplinks;
	c->uplinks = u;
	return u;
}

static void complain_key(struct uplink_port *u, const struct key_error *err)
{
	char why[WHY_BYTES];

	device_say_key(err, "the administrator", why, sizeof(why));
	if (is_new(u->bad, why))
		log_error("bridge %s: uplink %s: %s; nothing is changed", u->bridge,
			  u->want.ifname, why);
}

static int read_uplink(void *arg, const char *ifname)
{
	struct bridge_config *c = arg;
	struct key_error err = { .expected = "" };
	struct switch_uplink want;
	struct uplink_port *u;
	int rc = switch_read_uplink(c->xs, c->domid, c->reading, ifname, &want, &err);

	if (rc == -ENOENT)
		return 0;
	if (rc && rc != -EINVAL)
		return rc;
	u = find_uplink(c, c->reading, ifname);
	if (!u)
		return -ENOMEM;
	u->seen = true;
	if (rc) {
		complain_key(u, &err);
	} else {
		u->want = want;
		u->is_good = true;
		u->bad[0] = '\0';
	}
	/* What is bad is not done: what was good stays, whoever serves it and tries it next. */
	u->wanted = u->is_good;
	return 0;
}

static struct known *find_known(struct bridge_config *c, const char *name)
{
	struct known *k = c->known;

	while (k && strcmp(k->name, name))
		k = k->next;
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->next = c->known;
	c->known = k;
	return k;
}

static void complain_bridge(struct known *k, const struct key_error *err)
{
	char why[WHY_BYTES];

	device_say_key(err, "the administrator", why, sizeof(why));
	if (is_new(k->why, why))
		log_error("bridge %s: %s; nothing is changed", k->name, why);
}

static int read_bridge(void *arg, const char *name)
{
	struct bridge_config *c = arg;
	struct key_error err = { .expected = "" };
	struct switch_config cfg;
	struct known *k;
	int rc = switch_read(c->xs, c->domid, name, &cfg, &err);

	if (rc && rc != -EINVAL)
		return rc;
	k = find_known(c, name);
	if (!k)
		return -ENOMEM;
	k->seen = true;
	if (rc)
		complain_bridge(k, &err);
	else
		k->why[0] = '\0';
	if (!rc && memcmp(&cfg, &k->cfg, sizeof(cfg))) {
		k->cfg = cfg;
		bridges_configure(c->bridges, name, cfg.ageing_ms, cfg.move_ms);
	}
	c->reading = name;
	return switch_each_uplink(c->xs, c->domid, name, read_uplink, c);
}

/* What was said of a bridge and is not any more. */
static void forget_unseen(struct bridge_config *c)
{
	struct known **at = &c->known, *k;

	while ((k = *at)) {
		if (k->seen) {
			at = &k->next;
			continue;
		}
		bridges_configure(c->bridges, k->name, SWITCH_AGEING_MS, SWITCH_MOVE_MS);
		*at = k->next;
		free(k);
	}
}

static void look(void *arg, uint32_t events)
{
	struct bridge_config *c = arg;
	int rc;

	(void)events;
	for (struct uplink_port *u = c->uplinks; u; u = u->next) {
		u->was_wanted = u->wanted;
		u->wanted = u->seen = false;
	}
	for (struct known *k = c->known; k; k = k->next)
		k->seen = false;
	rc = c->over ? 0 : switch_each(c->xs, c->domid, read_bridge, c);
	if (rc) {
		if (!c->said)
			log_error("the nodes of bridges cannot be read: %s; they stay as they are",
				  strerror(-rc));
		c->said = true;
		for (struct uplink_port *u = c->uplinks; u; u = u->next) {
			u->wanted = u->was_wanted;
			u->seen = true;
		}
		look_again(c, RETRY_MS);
	}
	c->said = rc;
	c->has_looked |= !rc;
	if (!rc && !c->over)
		forget_unseen(c);
	step_all(c);
}

void bridge_config_changed(struct bridge_config *c)
{
	if (!c->over)
		look_again(c, 0);
}

/* ---- open and close --------------------------------------------------------------------- */

int bridge_config_open(struct evloop *loop, struct xs_handle *xs, uint32_t domid,
		       struct bridges *bridges, struct bridge_config **out)
{
	struct bridge_config *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	*c = (struct bridge_config){ .loop = loop, .xs = xs, .domid = domid,
				     .bridges = bridges };
	rc = evloop_add_timer(loop, look, c, &c->again);
	if (!rc)
		rc = switch_watch(xs, domid, BRIDGE_CONFIG_TOKEN);
	if (rc) {
		bridge_config_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

bool bridge_config_has_come(const struct bridge_config *c)
{
	return c->has_looked;
}

bool bridge_config_cannot_leave(const struct bridge_config *c, char *why, size_t why_bytes)
{
	for (const struct uplink_port *u = c->uplinks; u; u = u->next)
		if (u->uplink && u->bad[0]) {
			snprintf(why, why_bytes, "bridge %s: uplink %s: %.150s; set that right first",
				 u->bridge, u->want.ifname, u->bad);
			return true;
		}
	return false;
}

int bridge_config_hand_over(const struct bridge_config *c, struct takeover *t)
{
	char title[TAKEOVER_NAME_BYTES];
	int rc = 0;

	for (const struct uplink_port *u = c->uplinks; u && !rc; u = u->next) {
		if (!u->uplink)
			continue;
		uplink_title(u, uplink_ifname(u->uplink), title);
		rc = takeover_add(t, TAKEOVER_UPLINK, title, uplink_state(u->uplink),
				  uplink_fd(u->uplink));
	}
	return rc;
}

void bridge_config_shutdown(struct bridge_config *c)
{
	c->over = true;
	look(c, 0);
}

void bridge_config_close(struct bridge_config *c)
{
	struct uplink_port *u;
	struct known *k;

	if (!c)
		return;
	while ((u = c->uplinks)) {
		c->uplinks = u->next;
		bridge_port_free(u->port);
		uplink_close(u->uplink);
		free(u);
	}
	while ((k = c->known)) {
		c->known = k->next;
		free(k);
	}
	evloop_remove(c->again);
	free(c);
}
