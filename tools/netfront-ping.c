/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-netfront ping: asks a peer and times its answers; answers others
 * meanwhile, as a host does.
 *
 * Hides: when to ask again, what counts as an answer. Must not know: headers
 * (netfront-packet.c), slots.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "netfront-cmd.h"
#include "netfront-packet.h"

#define BATCH 16
#define ARP_TRIES 5
#define IN_FLIGHT 65536

struct ping {
	struct session *s;
	struct packet_self self;
	uint8_t ip[4], mac[6];
	bool has_mac;
	uint16_t id;
	unsigned int sent, received;
	uint64_t sent_ns[IN_FLIGHT];	/* by sequence number; 0: not under way */
	uint64_t min_ns, max_ns, sum_ns;
	uint8_t frame[NETFRONT_FRAME_BYTES_MAX + 1];
};

static int send_frame(struct ping *p, size_t bytes)
{
	struct netfront_frame f = { .nr_pieces = 1, .piece = { { p->frame, (uint32_t)bytes } } };
	int r = netfront_send(p->s->n, 0, &f, 1);

	netfront_kick(p->s->n);
	return r < 0 ? r : 0;		/* no room: lost, as on any network */
}

/* ---- answers ---------------------------------------------------------------------- */

static void note_answer(struct ping *p, uint16_t seq, size_t bytes)
{
	uint64_t took = now_ns() - p->sent_ns[seq];

	if (!p->sent_ns[seq])		/* the same answer twice, or of nobody's question */
		return;
	p->sent_ns[seq] = 0;
	p->received++;
	p->sum_ns += took;
	p->max_ns = MAX(p->max_ns, took);
	p->min_ns = p->received == 1 ? took : MIN(p->min_ns, took);
	if (!p->s->args->cli.quiet && !p->s->args->cli.json)
		printf("%zu bytes: seq %u, %.3f ms\n", bytes, seq, (double)took / 1e6);
}

static int take_frame(struct ping *p, size_t bytes)
{
	const struct args *a = p->s->args;
	uint64_t number;
	uint16_t seq;
	size_t n;

	if (a->has_peer_mac) {
		if (packet_is_bench(p->frame, bytes, &number) &&
		    !memcmp(p->frame, p->self.mac, 6))
			note_answer(p, (uint16_t)number, bytes);
		return 0;
	}
	if (packet_is_arp_reply(p->frame, bytes, p->ip, p->mac))
		p->has_mac = true;
	else if (packet_is_echo_reply(p->frame, bytes, p->ip, p->id, &seq))
		note_answer(p, seq, bytes);
	n = a->has_own_ip ? packet_answer(p->frame, bytes, &p->self) : 0;
	return n ? send_frame(p, MAX(n, 60)) : 0;
}

static size_t gather(const struct netfront_frame *f, uint8_t *out)
{
	size_t at = 0;
	uint32_t i;

	for (i = 0; i < f->nr_pieces; at += f->piece[i++].bytes)
		memcpy(out + at, f->piece[i].base, f->piece[i].bytes);
	return at;
}

static int take_frames(struct ping *p)
{
	struct netfront_frame in[BATCH];
	unsigned int q;
	int i, n, r = 0;

	for (q = 0; q < p->s->info.nr_queues; q++) {
		n = netfront_receive(p->s->n, q, in, BATCH);
		if (n < 0)
			return n;
		for (i = 0; i < n && r == 0; i++)
			r = take_frame(p, gather(in + i, p->frame));
		netfront_release(p->s->n, q, in, (unsigned int)n);
	}
	return r;
}

/* Until done is true, or the time is over (0). */
static int serve_until(struct ping *p, uint64_t until_ns, bool (*done)(const struct ping *p))
{
	uint64_t now = now_ns();
	int r = 0, left_ms;

	while (r >= 0 && !session_over(p->s) && !(done && done(p)) && now < until_ns) {
		left_ms = until_ns == UINT64_MAX ? -1 : (int)((until_ns - now + 999999) / 1000000);
		r = netfront_wait(p->s->n, NETFRONT_RECEIVABLE, left_ms);
		if (r >= 0)
			r = take_frames(p);
		now = now_ns();
	}
	return session_over(p->s) ? -EINTR : r;
}

/* ---- questions --------------------------------------------------------------------- */

static bool has_mac(const struct ping *p)
{
	return p->has_mac;
}

static int resolve(struct ping *p)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < ARP_TRIES && !p->has_mac && r >= 0; i++) {
		r = send_frame(p, packet_arp_request(p->frame, &p->self, p->ip));
		if (r >= 0)
			r = serve_until(p, now_ns() + p->s->args->wait_ms * UINT64_C(1000000) /
					ARP_TRIES, has_mac);
	}
	return r;
}

static int ask(struct ping *p)
{
	const struct args *a = p->s->args;
	uint16_t seq = (uint16_t)p->sent;
	size_t bytes = a->frame_bytes;

	if (a->has_peer_mac)
		packet_bench(p->frame, bytes, a->peer_mac, p->self.mac, seq);
	else
		packet_echo_request(p->frame, bytes, &p->self, p->mac, p->ip, p->id, seq);
	p->sent++;
	p->sent_ns[seq] = now_ns();
	return send_frame(p, bytes);
}

static bool all_answered(const struct ping *p)
{
	return p->received == p->sent;
}

static int ask_all(struct ping *p)
{
	const struct args *a = p->s->args;
	uint64_t interval_ns = a->interval_ms * UINT64_C(1000000);
	int r = 0;

	while (r >= 0 && p->sent < a->count) {
		r = ask(p);
		if (r >= 0 && p->sent < a->count)
			r = interval_ns ? serve_until(p, now_ns() + interval_ns, NULL) :
			    serve_until(p, now_ns() + a->wait_ms * UINT64_C(1000000), all_answered);
	}
	if (r >= 0)
		r = serve_until(p, now_ns() + a->wait_ms * UINT64_C(1000000), all_answered);
	return r;
}

static int report(const struct ping *p, const char *peer)
{
	double mean_ns = p->received ? (double)p->sum_ns / p->received : 0;

	if (p->s->args->cli.json) {
		printf("{\"peer\":\"%s\",\"sent\":%u,\"answered\":%u,\"min_ms\":%.3f,"
		       "\"mean_ms\":%.3f,\"max_ms\":%.3f}\n", peer, p->sent, p->received,
		       (double)p->min_ns / 1e6, mean_ns / 1e6, (double)p->max_ns / 1e6);
		return p->received ? EXIT_OK : EXIT_NO_ANSWER;
	}
	printf("%s: %u sent, %u answered", peer, p->sent, p->received);
	if (p->received)
		printf(", min %.3f mean %.3f max %.3f ms", (double)p->min_ns / 1e6,
		       mean_ns / 1e6, (double)p->max_ns / 1e6);
	printf("\n");
	return p->received ? EXIT_OK : EXIT_NO_ANSWER;
}

static int run(struct ping *p, const char *peer)
{
	int r = 0;

	if (p->s->args->serve) {
		r = serve_until(p, UINT64_MAX, NULL);
		return r < 0 && r != -EINTR ? session_error(p->s, r, "answering") : EXIT_OK;
	}
	if (!p->s->args->has_peer_mac)
		r = resolve(p);
	if (r >= 0 && !p->has_mac && !p->s->args->has_peer_mac)
		return front_complain(&p->s->args->cli, EXIT_NO_ANSWER,
				      "nobody says that it is %s", peer);
	if (r >= 0)
		r = ask_all(p);
	if (r < 0 && r != -EINTR)
		return session_error(p->s, r, "asking");
	return report(p, peer);
}

static int check(const struct args *a, struct ping *p, const char **peer)
{
	*peer = "peer";
	if (a->serve && !a->has_own_ip)
		return front_complain(&a->cli, EXIT_USAGE, "--serve needs --address");
	if ((a->serve || a->has_peer_mac) && a->cli.argc)
		return front_complain(&a->cli, EXIT_USAGE, "'%s' besides %s?", a->cli.argv[0],
				      a->serve ? "--serve" : "--mac");
	if (a->serve || a->has_peer_mac)
		return EXIT_OK;
	if (a->cli.argc != 1 || !a->has_own_ip || inet_pton(AF_INET, a->cli.argv[0], p->ip) != 1)
		return front_complain(&a->cli, EXIT_USAGE, "whom? Give --address (ours) and the "
				      "peer's IPv4 address, or --mac");
	*peer = a->cli.argv[0];
	return EXIT_OK;
}

int cmd_ping(const struct args *a)
{
	static struct ping p;
	struct session s;
	const char *peer;
	int r = check(a, &p, &peer);

	if (r != EXIT_OK)
		return r;
	r = session_open(&s, a);
	if (r != EXIT_OK)
		return session_close(&s, r);
	p.s = &s;
	p.id = (uint16_t)getpid();
	memcpy(p.self.mac, s.info.mac, 6);
	memcpy(p.self.ip, a->own_ip, 4);
	return session_close(&s, run(&p, peer));
}
