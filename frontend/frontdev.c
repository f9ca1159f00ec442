/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handshake of a front end with any back end. Hides watches, states and
 * the error node; must not know rings, kinds of devices or how to sleep.
 *
 * The peer may be anything that speaks xenbus. Some go from our Closing to
 * their Closed at once, some pass through Closing and wait for our Closed
 * (Linux, QEMU): let_go() serves both.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontdev.h"
#include "keys.h"
#include "otherend.h"
#include "xenbus-device.h"

#define PUBLISH_TRIES 64
#define NAP_MS 1
#define BIT(state) (1u << (state))
#define STATES_GONE (BIT(XenbusStateUnknown) | BIT(XenbusStateClosed))
#define STATES_LEAVING (STATES_GONE | BIT(XenbusStateClosing))
#define STATES_ANEW (BIT(XenbusStateInitialising) | BIT(XenbusStateInitWait))
/* After our Closed, a back end may be on its way to the next user already. */
#define STATES_LET_GO (STATES_GONE | STATES_ANEW)

int frontdev_set_problem(struct front_problem *p, int err, const char *advice)
{
	p->err = err;
	p->advice = advice;
	return err;
}

int frontdev_no_memory(struct front_problem *p)
{
	if (!p)
		return -ENOMEM;
	xenbus_text(p->text, sizeof(p->text), "out of memory");
	return frontdev_set_problem(p, -ENOMEM, NULL);
}

/* ---- what happened --------------------------------------------------------- */

static void take_store(struct front_env *env)
{
	struct frontdev *dev;
	char **event;

	while ((event = xs_check_watch(env->xs))) {
		for (dev = env->devices; dev; dev = dev->next)
			if (!strcmp(event[XS_WATCH_TOKEN], dev->token))
				dev->peer_news = true;
		free(event);
	}
}

/*
 * Unmasks before anybody looks at a ring: an event sent after that look
 * becomes pending again.
 */
static void take_event(struct front_env *env)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(env->xce);
	struct frontdev *dev;
	uint32_t i;

	if (port < 0)
		return;
	xenevtchn_unmask(env->xce, (evtchn_port_t)port);
	for (dev = env->devices; dev; dev = dev->next)
		for (i = 0; i < dev->nr_ports; i++)
			if (dev->port[i] == (uint32_t)port)
				dev->port_events |= UINT64_C(1) << i;
}

int frontdev_wait(struct front_env *env, unsigned int what, int *left_ms)
{
	int r = env->wait(env->wait_ctx, what, left_ms);

	if (r < 0)
		return r;
	if (r & FRONT_WAIT_STORE)
		take_store(env);
	if (r & FRONT_WAIT_EVENT)
		take_event(env);
	return r;
}

int frontdev_poll(struct front_env *env)
{
	int now = 0;

	return frontdev_wait(env, FRONT_WAIT_STORE | FRONT_WAIT_EVENT, &now);
}

int frontdev_nap(struct front_env *env, int *left_ms)
{
	int nap_ms = NAP_MS, r = frontdev_wait(env, FRONT_WAIT_STORE, &nap_ms);

	if (*left_ms > 0)
		*left_ms -= NAP_MS - nap_ms;
	return r;
}

bool frontdev_peer_news(struct frontdev *dev)
{
	XenbusState state;

	if (!dev->peer_news || xenbus_look_otherend_state(&dev->bus, &state) < 0)
		return false;
	dev->peer_news = false;
	dev->peer = state;
	return true;
}

static bool peer_in(const struct frontdev *dev, unsigned int states)
{
	return (unsigned int)dev->peer < 32 && (BIT(dev->peer) & states);
}

bool frontdev_peer_gone(const struct frontdev *dev)
{
	return peer_in(dev, STATES_LEAVING | (dev->connected ? STATES_ANEW : 0));
}

/* ---- waiting for the peer --------------------------------------------------- */

static int wait_peer(struct frontdev *dev, unsigned int states, int *left_ms)
{
	bool over = false;
	int r;

	for (;;) {
		frontdev_peer_news(dev);
		if (peer_in(dev, states))
			return 0;
		if (over)
			return -ETIMEDOUT;
		if (dev->peer_news) {	/* the store failed: it is asked again */
			r = frontdev_nap(dev->env, left_ms);
			over = !*left_ms;
		} else {
			r = frontdev_wait(dev->env, FRONT_WAIT_STORE, left_ms);
			over = !r || !*left_ms;
		}
		if (r < 0)
			return r;
	}
}

/* What the back end itself says is wrong; "" if it says nothing. */
static const char *peer_error(struct frontdev *dev, char *buf, size_t bytes)
{
	if (xenbus_read_error(dev->bus.xs, dev->bus.otherend, buf, bytes) < 0)
		buf[0] = 0;
	return buf;
}

static int waited_in_vain(struct frontdev *dev, int err, const char *for_what)
{
	char said[XENBUS_TEXT_BYTES];
	const char *advice = "the back end is at work but does not answer: look at "
			     "its log in its domain";

	if (err == -EINTR)
		return frontdev_fail(dev, err, NULL, "interrupted while waiting for the "
				     "back end");
	peer_error(dev, said, sizeof(said));
	if (said[0])
		advice = "the back end's own words are above; mend that in its domain";
	else if (dev->peer == XenbusStateUnknown)
		advice = "the back end's directory has no state: attach the device "
			 "again with the tool stack";
	else if (dev->peer == XenbusStateInitialising)
		advice = "no back end serves the device yet: is its daemon running in "
			 "that domain, and does it serve this kind?";
	else if (dev->peer == XenbusStateInitWait)
		advice = "the back end may wait for its hotplug script: look at "
			 KEY_HOTPLUG_STATUS " in its directory";
	return frontdev_fail(dev, err,
			     advice, "waiting for the back end in domain %u to %s, but it %s %s (%s)%s%s",
			     (uint64_t)dev->bus.otherend_id, for_what,
			     err == -ETIMEDOUT ? "stays" : "went to",
			     xenbus_state_name(dev->peer), dev->bus.otherend,
			     said[0] ? " and says: " : "", said);
}

/* ---- from any state to the start --------------------------------------------- */

static int switch_state(struct frontdev *dev, XenbusState to)
{
	int r = xenbus_switch_state(&dev->bus, to);

	if (r < 0)
		frontdev_fail(dev, r, "was the device detached?",
			      "cannot write our state %s into %s",
			      xenbus_state_name(to), dev->bus.nodename);
	return r;
}

/* Makes the back end release our pages and port, for what; the problem says why not. */
static int let_go(struct frontdev *dev, const char *for_what, int *left_ms)
{
	int r = 0, w = 0;

	if (dev->bus.state != XenbusStateClosing && dev->bus.state != XenbusStateClosed)
		r = switch_state(dev, XenbusStateClosing);
	if (r == 0 && dev->bus.state == XenbusStateClosing)
		w = wait_peer(dev, STATES_LEAVING, left_ms);
	if (r == 0 && w == 0 && dev->bus.state != XenbusStateClosed)
		r = switch_state(dev, XenbusStateClosed);
	if (r == 0 && w == 0)
		w = wait_peer(dev, STATES_LET_GO, left_ms);
	/* Our directory is gone: so is the device, on both ends. */
	if (r == -ENOENT || w == -ENOENT)
		return 0;
	return w < 0 ? waited_in_vain(dev, w, for_what) : r;
}

/* An earlier user of this device may have left it in any state. */
static int reset(struct frontdev *dev, int *left_ms)
{
	bool left_open = dev->bus.state != XenbusStateInitialising &&
			 dev->bus.state != XenbusStateClosed &&
			 dev->bus.state != XenbusStateUnknown;
	int r;

	if (dev->bus.state == XenbusStateUnknown)
		dev->bus.state = XenbusStateInitialising;
	if (left_open || (peer_in(dev, STATES_LEAVING) &&
			  !peer_in(dev, STATES_GONE))) {
		r = let_go(dev, "let go of what an earlier user of this device left behind",
			   left_ms);
		if (r < 0)
			return r;
		if (dev->bus.state != XenbusStateClosed)
			return frontdev_fail(dev, -ENOENT, "attach it again with the tool stack",
					     "the device was detached meanwhile: %s is gone",
					     dev->bus.nodename);
	}
	if (dev->bus.state != XenbusStateInitialising)
		return switch_state(dev, XenbusStateInitialising);
	return 0;
}

static void name_device(struct frontdev *dev, const char *kind, uint32_t devid)
{
	dev->kind = kind;
	dev->devid = devid;
	xenbus_text(dev->token, sizeof(dev->token), "front/%s/%u", kind,
		    (uint64_t)devid);
}

/*
 * The tool stack may attach the device only after us, and a script of its own
 * may write node by node.
 */
static int find_in_time(struct frontdev *dev, struct key_error *key, int *left_ms)
{
	bool watching = false;
	int r, w = 1;

	for (;;) {
		r = otherend_find(dev->env->xs, dev->kind, dev->devid, &dev->bus, key);
		if (r != -ENOENT || !dev->bus.nodename[0])
			break;
		if (!watching) {	/* and look again: it may have come before the watch */
			w = otherend_watch_own(&dev->bus, dev->token);
			if (w < 0)
				break;
			watching = true;
			continue;
		}
		w = frontdev_wait(dev->env, FRONT_WAIT_STORE, left_ms);
		if (w <= 0)
			break;
	}
	if (watching)
		otherend_unwatch_own(&dev->bus, dev->token);
	return w < 0 ? w : r;
}

static int find(struct frontdev *dev, int *left_ms)
{
	struct key_error key = { .expected = NULL };
	int r = find_in_time(dev, &key, left_ms);

	if (r == 0)
		return 0;
	if (r == -EINTR)
		return frontdev_fail(dev, r, NULL, "interrupted while waiting for the device");
	if (r == -EACCES)
		return frontdev_fail(dev, r, "run as a user that may use this domain's XenStore",
				     "XenStore refuses to show us device/%s/%u", dev->kind,
				     (uint64_t)dev->devid);
	return frontdev_fail(dev, r, "attach the device to this domain first, or name one "
			     "that xenstore-ls device shows",
			     "no usable device/%s/%u in this domain: %s%s%s (%s)", dev->kind,
			     (uint64_t)dev->devid, key.key[0] ? key.key : "its directory",
			     key.value[0] ? " is " : " is missing", key.value,
			     key.expected ? key.expected : "a device directory");
}

int frontdev_open(struct frontdev *dev, struct front_env *env, const char *kind,
		  uint32_t devid, int *left_ms)
{
	int r;

	memset(dev, 0, sizeof(*dev));
	dev->env = env;
	name_device(dev, kind, devid);
	dev->next = env->devices;
	env->devices = dev;
	r = find(dev, left_ms);
	if (r < 0)
		return r;
	r = otherend_watch(&dev->bus, dev->token);
	if (r < 0)
		return frontdev_fail(dev, r, "is xenstored running?",
				     "cannot watch %s in XenStore", dev->bus.otherend);
	dev->watching = true;
	dev->peer_news = true;
	frontdev_peer_news(dev);
	r = reset(dev, left_ms);
	if (r < 0)
		return r;
	r = wait_peer(dev, BIT(XenbusStateInitWait), left_ms);
	if (r < 0)
		return waited_in_vain(dev, r, "reach InitWait");
	return 0;
}

/* ---- pages and ports ----------------------------------------------------------- */

int frontdev_share(struct frontdev *dev, uint32_t nr_pages, bool writable,
		   uint32_t *grefs, void **out)
{
	void *p = xengntshr_share_pages(dev->env->xgs, dev->bus.otherend_id,
					(int)nr_pages, grefs, writable);

	if (!p)
		return errno ? -errno : -ENOMEM;
	memset(p, 0, (size_t)nr_pages * FRONTDEV_PAGE_BYTES);
	*out = p;
	return 0;
}

void frontdev_unshare(struct frontdev *dev, void *pages, uint32_t nr_pages)
{
	if (pages)
		xengntshr_unshare(dev->env->xgs, pages, nr_pages);
}

int frontdev_add_port(struct frontdev *dev, uint32_t *out)
{
	xenevtchn_port_or_error_t port;

	if (dev->nr_ports == FRONTDEV_PORTS_MAX)
		return -ENOSPC;
	port = xenevtchn_bind_unbound_port(dev->env->xce, dev->bus.otherend_id);
	if (port < 0)
		return frontdev_fail(dev, -errno, "may this process open /dev/xen/evtchn?",
				     "cannot allocate an event channel for domain %u",
				     (uint64_t)dev->bus.otherend_id);
	dev->port[dev->nr_ports++] = (uint32_t)port;
	*out = (uint32_t)port;
	return 0;
}

/* ---- connecting ------------------------------------------------------------------ */

static int publish_once(struct frontdev *dev,
			int (*write)(void *arg, xs_transaction_t t), void *arg)
{
	xs_transaction_t t = xs_transaction_start(dev->bus.xs);
	int r;

	if (t == XBT_NULL)
		return -errno;
	r = write(arg, t);
	if (!xs_transaction_end(dev->bus.xs, t, r < 0) && r == 0)
		r = -errno;
	return r;
}

int frontdev_publish(struct frontdev *dev, XenbusState to,
		     int (*write)(void *arg, xs_transaction_t t), void *arg)
{
	int tries, r = -EAGAIN;

	for (tries = 0; r == -EAGAIN && tries < PUBLISH_TRIES; tries++)
		r = publish_once(dev, write, arg);
	if (r < 0)
		return frontdev_fail(dev, r, "may this domain write its own device nodes?",
				     "cannot publish rings and event channels in %s",
				     dev->bus.nodename);
	return switch_state(dev, to);
}

int frontdev_connect(struct frontdev *dev, int *left_ms)
{
	int r = wait_peer(dev, BIT(XenbusStateConnected) | STATES_LEAVING, left_ms);

	if (r == 0 && dev->peer != XenbusStateConnected)
		r = -ECONNABORTED;
	if (r < 0)
		return waited_in_vain(dev, r, "reach Connected");
	if (dev->bus.state != XenbusStateConnected)
		r = switch_state(dev, XenbusStateConnected);
	if (r < 0)
		return r;
	dev->connected = true;
	xenbus_clear_error(&dev->bus);
	return 0;
}

/* ---- leaving ----------------------------------------------------------------------- */

int frontdev_close(struct frontdev *dev, int *left_ms)
{
	if (!dev->watching || dev->bus.state == XenbusStateInitialising ||
	    dev->bus.state == XenbusStateUnknown)
		return 0;
	return let_go(dev, "close", left_ms);
}

void frontdev_destroy(struct frontdev *dev)
{
	struct frontdev **link;
	uint32_t i;

	if (!dev->env)
		return;
	for (i = 0; i < dev->nr_ports; i++)
		xenevtchn_unbind(dev->env->xce, dev->port[i]);
	if (dev->watching)
		otherend_unwatch(&dev->bus, dev->token);
	for (link = &dev->env->devices; *link; link = &(*link)->next)
		if (*link == dev) {
			*link = dev->next;
			break;
		}
	dev->nr_ports = 0;
	dev->watching = false;
	dev->env = NULL;
}

void frontdev_publish_error(struct frontdev *dev)
{
	char text[XENBUS_TEXT_BYTES];
	size_t n = strlen(dev->problem.text);

	if (!dev->watching)
		return;
	if (n > sizeof(text) - 1)
		n = sizeof(text) - 1;
	memcpy(text, dev->problem.text, n);
	text[n] = 0;
	xenbus_write_error(&dev->bus, -dev->problem.err, text);
}
