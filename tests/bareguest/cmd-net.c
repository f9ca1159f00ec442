/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command net: our net front end, sending datagrams to or receiving them from one
 * other guest. Hides how they are checked (verified.h) and carried (udp.h); must not
 * know rings.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"
#include "udp.h"

#define OPEN_MS 120000
#define PATIENCE_MS 60000
#define NR_MAX 4000000u
#define SLOTS 192u		/* of a receiver's ring of 256 that a window may take */
#define SLOT_BYTES 4096u
#define SEGMENT_BYTES 1448u
#define USAGE "net ID receive NR FROM [flip|full|access|other|unstable], " \
	      "net ID send NR BYTES TO [gso], " \
	      "net ID bench-receive NR FROM [flip], net ID bench-send NR BYTES TO [gso]"

/* What the words say. */
struct order {
	uint64_t id, nr, bytes;
	uint32_t peer_ip;
	bool send, bench, flip, gso;
	enum flip_how how;
};

static bool parse(const struct words *w, struct order *o)
{
	const char *verb = w->nr > 2 ? w->word[2] : "";
	unsigned int at = 3;

	memset(o, 0, sizeof(*o));
	o->bench = !strncmp(verb, "bench-", 6);
	verb += o->bench ? 6 : 0;
	o->send = !strcmp(verb, "send");
	if ((!o->send && strcmp(verb, "receive")) || w->nr < 5u + o->send)
		return false;
	if (!number(w->word[1], &o->id) || !number(w->word[at++], &o->nr) ||
	    (o->send && !number(w->word[at++], &o->bytes)) ||
	    !udp_address(w->word[at++], &o->peer_ip))
		return false;
	for (; at < w->nr; at++) {
		o->flip |= flip_how(w->word[at], &o->how);
		o->gso |= !strcmp(w->word[at], "gso");
	}
	return o->nr && o->nr <= NR_MAX && o->bytes <= VERIFIED_BYTES_MAX;
}

static int say_result(const struct order *o, const struct verified_result *v, int r)
{
	say("net: %lu %s, %u right, %u wrong, %u doubled, %u lost, %lu bytes in %lu ns, "
	    "result %d\n", o->nr, o->send ? "sent" : "wanted", v->right, v->wrong, v->doubled,
	    v->lost, v->bytes, v->ns, r);
	if (r < 0 || v->wrong || v->doubled)
		return r < 0 ? r : -EIO;
	return v->lost && o->how == FLIP_WELL ? -EIO : 0;
}

static int transfer(struct udp *u, const struct order *o, uint8_t *seen)
{
	uint32_t slots = (uint32_t)o->bytes / SLOT_BYTES + 2;
	struct verified_link link = { .send = udp_send, .receive = udp_receive,
				      .now_ns = udp_now_ns, .ctx = u };
	struct verified_options vo = { .nr = (uint32_t)o->nr, .bytes = (uint32_t)o->bytes,
				       .window = SLOTS / slots, .unchecked = o->bench,
				       .patience_ms = PATIENCE_MS };
	struct verified_result v;
	int r;

	if (o->bench)
		u->look_bytes = 64;
	if (!o->send)
		return say_result(o, &v, verified_receive(&link, &vo, seen, &v));
	u->gso_bytes = o->gso ? SEGMENT_BYTES : 0;
	r = udp_find_peer(u, OPEN_MS);
	if (r < 0) {
		say("net: nobody answers for the peer's address\n");
		return r;
	}
	return say_result(o, &v, verified_send(&link, &vo, &v));
}

static void say_interface(struct netfront *n)
{
	struct netfront_stats s;
	struct netfront_info info;
	struct flip_counts c;

	netfront_stats(n, &s);
	netfront_info(n, &info);
	flip_counts(&c);
	if (c.offered)
		say("net: by flip %u, %lu pages; %lu entries offered, %lu pages taken, %lu given, "
		    "%lu hypercalls\n", info.flip, s.flipped_pages, c.offered, c.taken, c.given,
		    c.hypercalls);
	say("net: sent %lu frames, %lu bytes, %lu refused; received %lu frames, %lu bytes, "
	    "%lu refused; %lu notifications, %lu wake-ups\n", s.sent_frames, s.sent_bytes,
	    s.send_errors, s.received_frames, s.received_bytes, s.receive_errors,
	    s.notifies_sent, s.wakeups);
}

static int with_interface(const struct order *o, struct netfront *n)
{
	static struct udp udp;
	uint8_t *seen = calloc(1, (size_t)(o->nr + 7) / 8);
	int r = -ENOMEM;

	if (seen) {
		udp_open(&udp, n, (uint32_t)o->id, o->peer_ip);
		r = transfer(&udp, o, seen);
		udp_close(&udp);
	}
	say_interface(n);
	free(seen);
	return r;
}

static int flip_as_wanted(const struct order *o, struct netfront *n)
{
	struct netfront_info info;

	netfront_info(n, &info);
	if (!o->flip || info.flip)
		return 0;
	say("net: no flip: %s\n", info.flip_refused ? info.flip_refused : "");
	return -EOPNOTSUPP;
}

static void say_problem(const struct front_problem *p)
{
	say("%s%s%s\n", p->text, p->advice ? "; " : "", p->advice ? p->advice : "");
}

int cmd_net(const struct words *w)
{
	struct netfront_options opts = { 0 };
	struct front_problem problem = { 0 };
	unsigned int grants = grants_used();
	struct flip_counts counts;
	struct netfront *n;
	struct order o;
	int r, closed;

	if (!parse(w, &o))
		return usage(USAGE);
	if (o.flip)
		flip_be(o.how);
	opts.flip = o.flip;
	r = netfront_open(front_env(), (uint32_t)o.id, &opts, OPEN_MS, &n, &problem);
	if (r < 0) {
		say_problem(&problem);
		return r;
	}
	r = flip_as_wanted(&o, n);
	if (r == 0)
		r = with_interface(&o, n);
	closed = netfront_close(n, OPEN_MS, &problem);
	if (closed < 0)
		say_problem(&problem);
	if (grants_used() != grants)
		say("net: %u grants are still held\n", grants_used() - grants);
	flip_counts(&counts);
	if (counts.held)
		say("net: %u pages are still held\n", counts.held);
	return r < 0 ? r : closed < 0 ? closed :
	       grants_used() != grants || counts.held ? -EBUSY : 0;
}
