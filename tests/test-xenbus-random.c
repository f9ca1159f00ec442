/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-xenbus-random.c - the multiplexer between random clients and a model store.
 *
 * Clients come, ask, watch, open transactions and go at any moment; bytes are cut
 * anywhere; the store answers late and fires events. The seeds are fixed, or one
 * is the argument. What must hold: every answer reaches the client and request
 * that it belongs to, events reach the watch's owner with its token, nothing is
 * answered twice, and when all clients have gone the store holds nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "xenbus.h"

#define CLIENTS 8
#define MAX 4096
#define STEPS 20000

static unsigned seed;
static uint32_t rng_state;

static uint32_t rnd(uint32_t n)
{
	rng_state = rng_state * 1664525u + 1013904223u;
	return (rng_state >> 8) % n;
}

#define check(cond) do {						\
		if (!(cond)) {						\
			fprintf(stderr, "seed %u: %s:%d: %s\n", seed, __FILE__, \
				__LINE__, #cond);			\
			exit(1);					\
		}							\
	} while (0)

static struct xb_mux *mux;

static int no_fail(void *arg, void *cookie, uint32_t type)
{
	(void)arg, (void)cookie, (void)type;
	return 0;
}

static void no_log(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "seed %u: unexpected: %s\n", seed, line);
	exit(1);
}

static const struct xb_mux_ops ops = { .fail = no_fail, .log = no_log };

/* ---- the store ---------------------------------------------------------- */

static char in[1 << 16], out[1 << 20];
static size_t in_len, out_len;
static char watches[MAX][40];		/* "path token", "" if free */
static bool transactions[1 << 16];
static uint32_t last_tx;

static void store_say(uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body,
		      uint32_t len)
{
	struct xsd_sockmsg hdr = { type, req_id, tx_id, len };

	check(out_len + sizeof(hdr) + len <= sizeof(out));
	memcpy(out + out_len, &hdr, sizeof(hdr));
	memcpy(out + out_len + sizeof(hdr), body, len);
	out_len += sizeof(hdr) + len;
}

static void store_event(const char *w)
{
	char body[40];
	char *space;

	snprintf(body, sizeof(body), "%s", w);
	space = strchr(body, ' ');
	*space = 0;
	store_say(XS_WATCH_EVENT, 0, 0, body, space - body + strlen(space + 1) + 2);
}

static int watch_slot(const char *w)
{
	int i;

	for (i = 0; i < MAX; i++)
		if (!strcmp(watches[i], w))
			return i;
	return -1;
}

static const char *store_watch(uint32_t type, const char *body)
{
	char w[40];
	int i;

	snprintf(w, sizeof(w), "%.15s %.15s", body, body + strlen(body) + 1);
	i = watch_slot(w);
	if (type == XS_UNWATCH) {
		if (i < 0)
			return "ENOENT";
		watches[i][0] = 0;
		return NULL;
	}
	check(i < 0);
	if (!rnd(10))
		return "E2BIG";
	i = watch_slot("");
	check(i >= 0);
	strcpy(watches[i], w);
	return NULL;
}

static void store_answer(const struct xsd_sockmsg *hdr, const char *body)
{
	const char *err = NULL;
	char text[20];

	check(!hdr->tx_id || transactions[hdr->tx_id] || hdr->type == XS_TRANSACTION_END);
	switch (hdr->type) {
	case XS_WATCH:
	case XS_UNWATCH:
		err = store_watch(hdr->type, body);
		break;
	case XS_TRANSACTION_START:
		if (rnd(10)) {
			transactions[++last_tx] = true;
			snprintf(text, sizeof(text), "%u", last_tx);
			store_say(hdr->type, hdr->req_id, 0, text, strlen(text) + 1);
			return;
		}
		err = "ENOSPC";
		break;
	case XS_TRANSACTION_END:
		if (!transactions[hdr->tx_id])
			err = "ENOENT";
		transactions[hdr->tx_id] = false;
		break;
	default:
		/* XS_READ: an echo. */
		store_say(hdr->type, hdr->req_id, hdr->tx_id, body, hdr->len);
		return;
	}
	if (err)
		store_say(XS_ERROR, hdr->req_id, hdr->tx_id, err, strlen(err) + 1);
	else
		store_say(hdr->type, hdr->req_id, hdr->tx_id, "OK", 3);
}

/* Executes what has arrived whole. */
static void store_work(void)
{
	struct xsd_sockmsg hdr;
	size_t n;

	while (in_len >= sizeof(hdr)) {
		memcpy(&hdr, in, sizeof(hdr));
		n = sizeof(hdr) + hdr.len;
		if (in_len < n)
			return;
		store_answer(&hdr, in + sizeof(hdr));
		in_len -= n;
		memmove(in, in + n, in_len);
	}
}

static void store_step(bool all)
{
	const void *data;
	size_t n = xb_mux_ring_output(mux, &data);
	int i = rnd(MAX);

	if (n && !all)
		n = 1 + rnd(n);
	check(in_len + n <= sizeof(in));
	if (n)
		memcpy(in + in_len, data, n);
	in_len += n;
	xb_mux_ring_sent(mux, n);
	store_work();
	if (watches[i % 64][0] && !all)
		store_event(watches[i % 64]);
	n = all ? out_len : rnd(out_len + 1);
	check(xb_mux_ring_input(mux, out, n) == 0);
	out_len -= n;
	memmove(out, out + n, out_len);
}

/* ---- the clients -------------------------------------------------------- */

struct client {
	struct xb_client *xb;
	unsigned life;			/* which client this is, of all */
	char got[1 << 16];
	size_t got_len;
	uint32_t next_req;		/* ids run from 1 */
	uint32_t reset_req;		/* that of the last XS_RESET_WATCHES */
	uint8_t asked[1 << 16];		/* type + 1 by id, 0 once answered */
	uint32_t tx[1024];
	unsigned nr_tx;
};
static struct client clients[CLIENTS];
static unsigned lives, answers, events;

static void client_ask(struct client *c, uint32_t type, uint32_t tx_id, const char *body,
		       uint32_t len)
{
	char buf[sizeof(struct xsd_sockmsg) + 100];
	struct xsd_sockmsg hdr = { type, ++c->next_req, tx_id, len };
	size_t at = 0, n = sizeof(hdr) + len;

	check(c->next_req < sizeof(c->asked));
	c->asked[c->next_req] = type + 1;
	memcpy(buf, &hdr, sizeof(hdr));
	memcpy(buf + sizeof(hdr), body, len);
	while (at < n) {
		size_t k = 1 + rnd(n - at);

		check(xb_client_input(c->xb, buf + at, k) == 0);
		at += k;
	}
}

static void client_request(struct client *c)
{
	char body[40];
	unsigned k;

	switch (rnd(8)) {
	case 0:
		/* All clients use the same 16 paths and one token. */
		k = rnd(16);
		snprintf(body, sizeof(body), "p%u%ctoken", k, 0);
		client_ask(c, XS_WATCH, 0, body, strlen(body) + 7);
		break;
	case 1:
		k = rnd(16);
		snprintf(body, sizeof(body), "p%u%ctoken", k, 0);
		client_ask(c, XS_UNWATCH, 0, body, strlen(body) + 7);
		break;
	case 2:
		client_ask(c, XS_TRANSACTION_START, 0, "", 1);
		break;
	case 3:
		if (c->nr_tx)
			client_ask(c, XS_TRANSACTION_END, c->tx[--c->nr_tx],
				   rnd(2) ? "T" : "F", 2);
		break;
	case 4:
		if (!rnd(50)) {
			client_ask(c, XS_RESET_WATCHES, 0, "", 1);
			c->reset_req = c->next_req;
			c->nr_tx = 0;
		}
		break;
	default:
		snprintf(body, sizeof(body), "%u/%u", c->life, c->next_req + 1);
		client_ask(c, XS_READ, c->nr_tx ? c->tx[rnd(c->nr_tx)] : 0, body,
			   strlen(body) + 1);
	}
}

static void client_hears(struct client *c, const struct xsd_sockmsg *hdr,
			 const char *body)
{
	char expected[40];
	uint32_t asked;

	if (hdr->type == XS_WATCH_EVENT) {
		check(body[0] == 'p' && !strcmp(body + strlen(body) + 1, "token"));
		events++;
		return;
	}
	check(hdr->req_id <= c->next_req);
	asked = c->asked[hdr->req_id];
	check(asked);			/* or it was answered twice */
	c->asked[hdr->req_id] = 0;
	answers++;
	if (hdr->type == XS_ERROR) {
		/* Reads are within transactions that nobody else may end. */
		check(asked - 1 != XS_READ);
		return;
	}
	check(hdr->type == asked - 1);
	if (hdr->type == XS_READ) {
		snprintf(expected, sizeof(expected), "%u/%u", c->life, hdr->req_id);
		check(!strcmp(body, expected));
	} else if (hdr->type == XS_TRANSACTION_START && hdr->req_id > c->reset_req) {
		check(c->nr_tx < 1024);
		c->tx[c->nr_tx++] = atoi(body);
	}
}

static void client_read(struct client *c, bool all)
{
	struct xsd_sockmsg hdr;
	const void *data;
	size_t n;

	while ((n = xb_client_output(c->xb, &data)) && (all || rnd(4))) {
		if (!all)
			n = 1 + rnd(n);
		check(c->got_len + n <= sizeof(c->got));
		memcpy(c->got + c->got_len, data, n);
		c->got_len += n;
		xb_client_sent(c->xb, n);
		while (c->got_len >= sizeof(hdr)) {
			memcpy(&hdr, c->got, sizeof(hdr));
			n = sizeof(hdr) + hdr.len;
			if (c->got_len < n)
				break;
			client_hears(c, &hdr, c->got + sizeof(hdr));
			c->got_len -= n;
			memmove(c->got, c->got + n, c->got_len);
		}
	}
}

static void client_step(struct client *c)
{
	if (!c->xb) {
		memset(c, 0, sizeof(*c));
		c->life = ++lives;
		c->xb = xb_client_add(mux, c);
	}
	if (xb_client_wants_input(c->xb))
		client_request(c);
	client_read(c, false);
	if (!rnd(200)) {
		xb_client_gone(c->xb);
		c->xb = NULL;
	}
}

static void settle(void)
{
	const void *data;

	do {
		store_step(true);
	} while (out_len || xb_mux_ring_output(mux, &data));
}

static void run(unsigned s)
{
	struct xb_mux_count count;
	unsigned i, id;

	seed = rng_state = s;
	lives = answers = events = in_len = out_len = last_tx = 0;
	memset(clients, 0, sizeof(clients));
	xb_mux_open(1, &ops, NULL, &mux);
	for (i = 0; i < STEPS; i++) {
		client_step(&clients[rnd(CLIENTS)]);
		while (rnd(4))
			store_step(false);
	}
	settle();
	for (i = 0; i < CLIENTS; i++) {
		if (!clients[i].xb)
			continue;
		client_read(&clients[i], true);
		for (id = 1; id <= clients[i].next_req; id++)
			check(!clients[i].asked[id]);
		xb_client_gone(clients[i].xb);
	}
	settle();
	xb_mux_count(mux, &count);
	check(!count.clients && !count.requests && !count.watches && !count.transactions);
	for (i = 0; i < MAX; i++)
		check(!watches[i][0]);
	for (i = 0; i < sizeof(transactions); i++)
		check(!transactions[i]);
	/* It has tested something. */
	check(lives > 20 && answers > 1000 && events > 100);
	xb_mux_close(mux);
}

int main(int argc, char **argv)
{
	unsigned s;

	if (argc > 1) {
		run(atoi(argv[1]));
		return 0;
	}
	for (s = 1; s <= 20; s++)
		run(s);
	return 0;
}
