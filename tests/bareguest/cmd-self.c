/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands by which the guest tries itself: store, events, memory, idle, trap. They
 * use what the front ends use, in the ways that those do not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "hypercall.h"

#define STORE_MS 20000

static int wrong(const char *what)
{
	say("wrong: %s\n", what);
	return -EIO;
}

/* ---- store ----------------------------------------------------------------------- */

/* Everything below the one directory that a guest may always write. */
#define DIR "data/bareguest"

static bool reads(const char *path, const char *want, unsigned int bytes)
{
	unsigned int len = 0;
	char *got = xs_read(front_env()->xs, XBT_NULL, path, &len);
	bool ok = got && len == bytes && !memcmp(got, want, bytes) && !got[len];

	free(got);
	return ok;
}

static int large_values(struct xs_handle *xs)
{
	static char large[1500];	/* more than a ring's worth, less than a quota */
	unsigned int i;

	for (i = 0; i < sizeof(large); i++)
		large[i] = (char)('a' + i * i % 23);
	if (!xs_write(xs, XBT_NULL, DIR "/large", large, sizeof(large)) ||
	    !reads(DIR "/large", large, sizeof(large)))
		return wrong("a value larger than the ring");
	if (xs_write(xs, XBT_NULL, DIR "/large", large, 5000) || errno != E2BIG)
		return wrong("a value larger than a message");
	return 0;
}

static int directories(struct xs_handle *xs)
{
	unsigned int nr = 0, i, seen = 0;
	char **names;

	xs_write(xs, XBT_NULL, DIR "/dir/one", "1", 1);
	xs_write(xs, XBT_NULL, DIR "/dir/two", "", 0);
	names = xs_directory(xs, XBT_NULL, DIR "/dir", &nr);
	for (i = 0; names && i < nr; i++)
		seen |= !strcmp(names[i], "one") ? 1u : !strcmp(names[i], "two") ? 2u : 4u;
	free(names);
	if (nr != 2 || seen != 3)
		return wrong("a directory of two");
	if (!reads(DIR "/dir/two", "", 0))
		return wrong("an empty value");
	if (!xs_rm(xs, XBT_NULL, DIR "/dir") ||
	    xs_directory(xs, XBT_NULL, DIR "/dir", &nr) || errno != ENOENT)
		return wrong("a directory that was removed");
	return 0;
}

static int transactions(struct xs_handle *xs)
{
	xs_transaction_t t = xs_transaction_start(xs);

	if (t == XBT_NULL || !xs_write(xs, t, DIR "/in", "x", 1) || reads(DIR "/in", "x", 1) ||
	    !xs_transaction_end(xs, t, false) || !reads(DIR "/in", "x", 1))
		return wrong("a transaction that is kept");
	t = xs_transaction_start(xs);
	if (!xs_write(xs, t, DIR "/in", "y", 1) || !xs_transaction_end(xs, t, true) ||
	    !reads(DIR "/in", "x", 1))
		return wrong("a transaction that is given up");
	t = xs_transaction_start(xs);
	free(xs_read(xs, t, DIR "/in", NULL));
	xs_write(xs, t, DIR "/in", "z", 1);
	xs_write(xs, XBT_NULL, DIR "/in", "w", 1);
	if (xs_transaction_end(xs, t, false) || errno != EAGAIN || !reads(DIR "/in", "w", 1))
		return wrong("a transaction that collides");
	return 0;
}

/* Waits for an event and compares. */
static bool event_is(const char *path, const char *token)
{
	int left = STORE_MS;
	char **event;
	bool ok;

	while (!(event = xs_check_watch(front_env()->xs)))
		if (front_env()->wait(NULL, FRONT_WAIT_STORE, &left) <= 0)
			return false;
	ok = !strcmp(event[XS_WATCH_PATH], path) && !strcmp(event[XS_WATCH_TOKEN], token);
	if (!ok)
		say("got an event of %s, %s\n", event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
	free(event);
	return ok;
}

static int watches(struct xs_handle *xs)
{
	unsigned int i;

	if (!xs_watch(xs, DIR "/watched", "token 1") || !event_is(DIR "/watched", "token 1"))
		return wrong("a watch's first event");
	for (i = 0; i < 100; i++)	/* events come between requests and answers */
		xs_write(xs, XBT_NULL, DIR "/watched/below", "n", 1);
	for (i = 0; i < 100; i++)
		if (!event_is(DIR "/watched/below", "token 1"))
			return wrong("a hundred events");
	xs_write(xs, XBT_NULL, DIR "/watched", "last", 4);
	if (!xs_unwatch(xs, DIR "/watched", "token 1") || xs_check_watch(xs) ||
	    errno != EAGAIN)
		return wrong("events after the watch");
	return 0;
}

static int permissions(struct xs_handle *xs)
{
	struct xs_permissions p[2] = { { .id = 0, .perms = XS_PERM_NONE },
				       { .id = 0, .perms = XS_PERM_READ | XS_PERM_WRITE } };
	char *domid = xs_read(xs, XBT_NULL, "domid", NULL);
	uint64_t own;

	if (!domid || !number(domid, &own))
		return wrong("our own number");
	free(domid);
	p[0].id = (unsigned int)own;
	if (!xs_set_permissions(xs, XBT_NULL, DIR "/in", p, 2))
		return wrong("setting permissions");
	if (xs_write(xs, XBT_NULL, "/local/domain/0/bareguest", "x", 1) || errno != EACCES)
		return wrong("writing what is not ours");
	return 0;
}

int cmd_store(const struct words *w)
{
	struct xs_handle *xs = front_env()->xs;
	size_t heap;
	int r;

	(void)w;
	xs_write(xs, XBT_NULL, DIR, "", 0);
	heap = heap_used_bytes();
	r = large_values(xs);
	if (r == 0)
		r = directories(xs);
	if (r == 0)
		r = transactions(xs);
	if (r == 0)
		r = watches(xs);
	if (r == 0)
		r = permissions(xs);
	xs_rm(xs, XBT_NULL, DIR);
	if (r == 0 && heap_used_bytes() != heap)
		r = wrong("memory is lost");
	return r;
}

/* ---- events ---------------------------------------------------------------------- */

static bool never(void *arg)
{
	(void)arg;
	return false;
}

/* The guest binds the port that it offers to itself, so that it hears itself. */
static int own_port(xenevtchn_handle *xce, int *near, uint32_t *far)
{
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };

	*near = xenevtchn_bind_unbound_port(xce, DOMID_SELF);
	if (*near < 0)
		return -errno;
	bind.remote_port = (uint32_t)*near;
	if (xen_evtchn_op(EVTCHNOP_bind_interdomain, &bind) < 0)
		return wrong("binding a port to itself");
	*far = bind.local_port;
	return 0;
}

static int masking(xenevtchn_handle *xce, int near, uint32_t far)
{
	int left = 1000, i;

	events_notify(far);	/* Xen sets a port pending when it is bound */
	front_env()->wait(NULL, FRONT_WAIT_EVENT, &left);
	while (xenevtchn_pending(xce) == near)
		events_collect();
	for (i = 0; i < 3; i++)
		events_notify(far);
	events_collect();
	if (events_ready())
		return wrong("a port that was not unmasked is ready");
	xenevtchn_unmask(xce, (evtchn_port_t)near);
	left = 0;	/* at once: another port's event would bring it to light, too */
	if (front_env()->wait(NULL, FRONT_WAIT_EVENT, &left) != FRONT_WAIT_EVENT ||
	    xenevtchn_pending(xce) != near)
		return wrong("what came while a port was masked is lost");
	if (xenevtchn_pending(xce) != -1 || errno != EAGAIN)
		return wrong("three notifications while masked are one");
	xenevtchn_unmask(xce, (evtchn_port_t)near);
	events_notify(far);
	xenevtchn_unbind(xce, (evtchn_port_t)near);
	if (events_ready() || xenevtchn_unmask(xce, (evtchn_port_t)near) == 0)
		return wrong("a port that was unbound is ready");
	return 0;
}

int cmd_events(const struct words *w)
{
	xenevtchn_handle *xce = front_env()->xce;
	struct evtchn_close close;
	uint64_t start, passed, upcalls = events_upcalls();
	uint32_t far = 0;
	int near, r;

	(void)w;
	r = own_port(xce, &near, &far);
	if (r < 0)
		return r;
	r = masking(xce, near, far);
	close.port = far;
	xen_evtchn_op(EVTCHNOP_close, &close);
	start = time_ns();
	wait_until(never, NULL, start + 20000000);
	passed = time_ns() - start;
	if (passed < 20000000)
		return wrong("the timer came early");
	if (events_upcalls() == upcalls)
		return wrong("no upcall was made");
	return r;
}

/* ---- memory, idle, trap ---------------------------------------------------------- */

/* Random sizes, each with a byte of its own. */
static int heap_holds(void)
{
	static unsigned char *piece[200];
	static size_t bytes[200];
	size_t used = heap_used_bytes(), k;
	unsigned int i, n, seed = 1;

	for (n = 0; n < 20000; n++) {
		seed = seed * 1103515245 + 12345;
		i = (seed >> 16) % ARRAY_NR(piece);
		for (k = 0; piece[i] && k < bytes[i]; k++)
			if (piece[i][k] != (unsigned char)i)
				return wrong("a piece of the heap was overwritten");
		free(piece[i]);
		bytes[i] = (seed >> 8) % 5000;
		piece[i] = malloc(bytes[i]);
		if (!piece[i])
			return wrong("the heap is full");
		memset(piece[i], (int)i, bytes[i]);
	}
	for (i = 0; i < ARRAY_NR(piece); i++) {
		free(piece[i]);
		piece[i] = NULL;
	}
	return heap_used_bytes() == used ? 0 : wrong("the heap does not get all back");
}

int cmd_memory(const struct words *w)
{
	uint32_t gref[4];
	void *pages, *whole;
	unsigned int grants = grants_used();
	volatile size_t many = 1ul << 33;	/* for the compiler knows better */

	(void)w;
	if (malloc(many) || calloc(many, many))
		return wrong("more memory than there is");
	pages = xengntshr_share_pages(front_env()->xgs, 0, 4, gref, true);
	if (!pages || grants_used() != grants + 4)
		return wrong("sharing pages");
	whole = pages_get(pages_total());
	xengntshr_unshare(front_env()->xgs, pages, 4);
	if (whole || pages_used() || grants_used() != grants)
		return wrong("unsharing pages");
	whole = pages_get(pages_total());
	if (!whole || pages_get(1))
		return wrong("all pages at once");
	pages_put(whole, pages_total());
	return heap_holds();
}

int cmd_idle(const struct words *w)
{
	uint64_t seconds;

	if (w->nr != 2 || !number(w->word[1], &seconds))
		return usage("idle SECONDS");
	wait_until(never, NULL, time_ns() + seconds * 1000000000u);
	return 0;
}

int cmd_trap(const struct words *w)
{
	(void)w;
	*(volatile int *)0x123456 = 1;
	return -EIO;
}
