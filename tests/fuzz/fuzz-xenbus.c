/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: local Xen's own protocol, between the clients of a guest, the multiplexer
 * (tools/localxen/xenbus.h) and the store's ring, whose page the guest can write.
 *
 * Clients send messages, whole, cut or of any octets; the store answers in order as
 * xenstored does, or, when the input says so, sends what it likes. With a store that
 * answers, nothing of a client may be left in it when all have gone.
 */
#include <string.h>
#include "fuzz.h"
#include "localxen/xenbus.h"

#define CLIENTS 4u
#define STEPS_MAX 200u
#define OPEN_MAX 64u

static struct {
	struct xb_mux *mux;
	struct xb_client *client[CLIENTS];
	bool lies, broken;
	/* What the mux said to the store and is not answered yet. */
	uint8_t said[1 << 18];
	size_t said_bytes;
	uint32_t last_tx, tx[OPEN_MAX], watch[OPEN_MAX];	/* open; 0: free */
} w;

static int some_fail(void *arg, void *cookie, uint32_t type)
{
	(void)arg;
	return cookie && type == XS_WRITE ? ENOSPC : 0;
}

static void no_log(void *arg, const char *line)
{
	(void)arg;
	FUZZ_NEED(strlen(line) < 256);
}

static const struct xb_mux_ops ops = { .fail = some_fail, .log = no_log };

/* ---- the store -------------------------------------------------------------------------- */

static void ring_in(const void *data, size_t bytes)
{
	if (!w.broken && xb_mux_ring_input(w.mux, data, bytes))
		w.broken = true;	/* its process ends there */
}

static void answer(uint32_t type, const struct xsd_sockmsg *to, const char *text)
{
	struct { struct xsd_sockmsg hdr; char body[32]; } m = { .hdr = {
		type, to->req_id, to->tx_id, (uint32_t)strlen(text) + 1 } };

	strcpy(m.body, text);
	ring_in(&m, sizeof(m.hdr) + m.hdr.len);
}

static uint32_t *find(uint32_t *in, uint32_t what)
{
	for (uint32_t i = 0; i < OPEN_MAX; i++)
		if (in[i] == what)
			return &in[i];
	return NULL;
}

static bool watch(const struct xsd_sockmsg *hdr, const char *body)
{
	const char *token = body + strnlen(body, hdr->len) + 1;
	uint32_t id = (uint32_t)strtoul(token, NULL, 10), *at;

	FUZZ_NEED(id && token < body + hdr->len);
	at = find(w.watch, hdr->type == XS_WATCH ? 0 : id);
	if (at)
		*at = hdr->type == XS_WATCH ? id : 0;
	return at;
}

static void execute(const struct xsd_sockmsg *hdr, const char *body)
{
	uint32_t *tx = hdr->tx_id ? find(w.tx, hdr->tx_id) : NULL;
	char text[16];

	FUZZ_NEED(hdr->req_id && hdr->type <= 255);
	if (hdr->tx_id && !tx) {
		answer(XS_ERROR, hdr, "ENOENT");
	} else if (hdr->type == XS_WATCH || hdr->type == XS_UNWATCH) {
		if (watch(hdr, body))
			answer(hdr->type, hdr, "OK");
		else
			answer(XS_ERROR, hdr, "E2BIG");
	} else if (hdr->type == XS_TRANSACTION_START && find(w.tx, 0)) {
		*find(w.tx, 0) = ++w.last_tx;
		snprintf(text, sizeof(text), "%u", w.last_tx);
		answer(hdr->type, hdr, text);
	} else if (hdr->type == XS_TRANSACTION_END && tx && hdr->len == 2 &&
		   (!memcmp(body, "T", 2) || !memcmp(body, "F", 2))) {
		*tx = 0;
		answer(hdr->type, hdr, "OK");
	} else {
		answer(XS_ERROR, hdr, "EINVAL");
	}
}

/* Up to nr messages that arrived whole. */
static void store_works(uint32_t nr)
{
	struct xsd_sockmsg hdr;
	const void *data;
	size_t n;

	while ((n = xb_mux_ring_output(w.mux, &data)) && w.said_bytes + n <= sizeof(w.said)) {
		memcpy(w.said + w.said_bytes, data, n);
		w.said_bytes += n;
		xb_mux_ring_sent(w.mux, n);
	}
	while (nr-- && w.said_bytes >= sizeof(hdr)) {
		memcpy(&hdr, w.said, sizeof(hdr));
		FUZZ_NEED(hdr.len <= XENSTORE_PAYLOAD_MAX);
		n = sizeof(hdr) + hdr.len;
		if (w.said_bytes < n)
			return;
		execute(&hdr, (char *)w.said + sizeof(hdr));
		w.said_bytes -= n;
		memmove(w.said, w.said + n, w.said_bytes);
	}
}

static void store_fires(struct fuzz_in *in)
{
	struct { struct xsd_sockmsg hdr; char body[64]; } m = { .hdr = { .type = XS_WATCH_EVENT } };
	uint8_t how = fuzz_u8(in);
	uint32_t id = how & 128 ? fuzz_u32(in) : w.watch[how % OPEN_MAX];

	m.hdr.len = (uint32_t)snprintf(m.body, sizeof(m.body), "path/%u%c%u", how & 3u, 0, id) + 1;
	ring_in(&m, sizeof(m.hdr) + m.hdr.len);
}

static void store_lies(struct fuzz_in *in)
{
	struct { struct xsd_sockmsg hdr; uint8_t body[256]; } m;
	uint8_t how = fuzz_u8(in);
	size_t n;

	memset(&m, 0, sizeof(m));
	n = fuzz_bytes(in, &m, fuzz_u8(in));
	w.lies = true;
	if (how & 1) {
		m.hdr.type %= 24;
		m.hdr.req_id %= 16;
		m.hdr.len = m.hdr.len % 256;
		n = sizeof(m.hdr) + m.hdr.len;
	}
	ring_in(&m, n);
}

/* ---- clients ---------------------------------------------------------------------------- */

static void client_goes(uint32_t i)
{
	xb_client_gone(w.client[i]);
	w.client[i] = NULL;
}

static void client_sends(struct fuzz_in *in)
{
	struct { struct xsd_sockmsg hdr; char body[256]; } m = { .hdr = { 0 } };
	uint32_t i = fuzz_u8(in) % CLIENTS;
	uint8_t how = fuzz_u8(in);
	size_t n;

	if (!w.client[i]) {
		w.client[i] = xb_client_add(w.mux, how & 128 ? &w : NULL);
		return;
	}
	if (!xb_client_wants_input(w.client[i]))
		return;
	m.hdr.type = fuzz_u8(in) % 24;
	m.hdr.req_id = how & 15;
	m.hdr.tx_id = how & 16 ? fuzz_u8(in) % 8 : 0;
	m.hdr.len = (uint32_t)fuzz_bytes(in, m.body, fuzz_u8(in) % 64);
	if (how & 32)
		m.hdr.len = (uint32_t)snprintf(m.body, sizeof(m.body), "%s%u%ct%u",
			how & 64 ? "/local/domain/3/a" : "a", how & 3u, 0, how >> 2 & 1u) + 1;
	n = sizeof(m.hdr) + m.hdr.len;
	if (how == 127)
		m.hdr.len = fuzz_u32(in);	/* more than there is, or may be */
	if (xb_client_input(w.client[i], &m, how == 126 ? n / 2 : n))
		client_goes(i);
}

static void client_reads(struct fuzz_in *in)
{
	uint32_t i = fuzz_u8(in) % CLIENTS;
	const void *data;
	size_t n;

	if (!w.client[i])
		return;
	if (xb_client_overrun(w.client[i])) {
		client_goes(i);
		return;
	}
	n = xb_client_output(w.client[i], &data);
	if (n)
		xb_client_sent(w.client[i], 1 + fuzz_u8(in) % n);
}

/* ---- the ring's page ---------------------------------------------------------------------- */

static void use_page(struct fuzz_in *in)
{
	static struct xenstore_domain_interface page;
	const char *at;
	void *room;
	int n;

	fuzz_bytes(in, &page.req_cons, 16);
	n = xb_ring_readable(&page, (const void **)&at);
	if (n > 0) {
		FUZZ_NEED(at >= page.rsp && at + n <= page.rsp + sizeof(page.rsp));
		xb_ring_consumed(&page, (uint32_t)n);
	}
	n = xb_ring_writable(&page, &room);
	if (n > 0) {
		at = room;
		FUZZ_NEED(at >= page.req && at + n <= page.req + sizeof(page.req));
		memset(room, 0xee, (size_t)n);
		xb_ring_produced(&page, (uint32_t)n);
	}
}

static void step(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);

	switch (what % 8) {
	case 0: case 1: case 2: client_sends(in); break;
	case 3: client_reads(in); break;
	case 4: store_works(1u + what / 32); break;
	case 5: store_fires(in); break;
	case 6:
		if (what & 64)
			store_lies(in);
		else
			use_page(in);
		break;
	default:
		if (w.client[what / 8 % CLIENTS])
			client_goes(what / 8 % CLIENTS);
	}
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
	struct fuzz_in in = { data, bytes };
	struct xb_mux_count count;

	memset(&w, 0, sizeof(w));
	xb_mux_open(3, &ops, NULL, &w.mux);
	for (uint32_t i = 0; in.left && i < STEPS_MAX; i++)
		step(&in);
	for (uint32_t i = 0; i < CLIENTS; i++)
		if (w.client[i])
			client_goes(i);
	for (int i = 0; i < 8; i++)
		store_works(UINT32_MAX);
	xb_mux_count(w.mux, &count);
	FUZZ_NEED(!count.clients);
	if (!w.lies && !w.broken) {
		FUZZ_NEED(!count.requests && !count.watches && !count.transactions);
		for (uint32_t i = 0; i < OPEN_MAX; i++)
			FUZZ_NEED(!w.tx[i] && !w.watch[i]);
	}
	xb_mux_close(w.mux);
}
