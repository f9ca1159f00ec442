/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxenstore over the guest's own ring. Hides messages, request numbers, the ring
 * of a kilobyte each way that both may be longer than, and watch events that come
 * between a request and its answer. Must not know what the nodes mean.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>
#include <xenstore.h>

#include "bare.h"

struct xs_handle {
	int unused;
};

struct message {
	struct message *next;
	struct xsd_sockmsg hdr;
	char body[];		/* hdr.len bytes and a zero */
};

static struct xenstore_domain_interface *ring;
static uint32_t port;
static uint32_t last_req_id;
/* What has come of the message that is not whole yet. */
static struct xsd_sockmsg in_hdr;
static uint32_t in_bytes;
static struct message *in;
/* Watch events that nobody has asked for yet, oldest first. */
static struct message *events, **events_end = &events;

/* ---- bytes ----------------------------------------------------------------------- */

static bool has_space(void *arg)
{
	(void)arg;
	return ring->req_prod - READ_ONCE(ring->req_cons) < XENSTORE_RING_SIZE;
}

static bool has_bytes(void *arg)
{
	(void)arg;
	return ring->rsp_cons != READ_ONCE(ring->rsp_prod);
}

static void put(const void *data, uint32_t bytes)
{
	const char *from = data;
	uint32_t prod;

	while (bytes) {
		wait_until(has_space, NULL, NEVER_NS);
		prod = ring->req_prod;
		for (; bytes && prod - READ_ONCE(ring->req_cons) < XENSTORE_RING_SIZE; bytes--)
			ring->req[MASK_XENSTORE_IDX(prod++)] = *from++;
		barrier();
		WRITE_ONCE(ring->req_prod, prod);
		events_notify(port);
	}
}

/* Up to bytes of what is there. */
static uint32_t get(void *to, uint32_t bytes)
{
	uint32_t cons = ring->rsp_cons, prod = READ_ONCE(ring->rsp_prod), n = 0;

	if (prod - cons > XENSTORE_RING_SIZE)
		panic("XenStore's ring: rsp_prod %u, rsp_cons %u", prod, cons);
	barrier();
	for (; n < bytes && cons != prod; n++)
		((char *)to)[n] = ring->rsp[MASK_XENSTORE_IDX(cons++)];
	barrier();
	WRITE_ONCE(ring->rsp_cons, cons);
	if (n)
		events_notify(port);	/* a daemon that had no room waits for this */
	return n;
}

/* ---- messages -------------------------------------------------------------------- */

/* The next whole message, NULL: it is not there yet. */
static struct message *next_message(void)
{
	struct message *m;

	if (!in) {
		in_bytes += get((char *)&in_hdr + in_bytes, (uint32_t)sizeof(in_hdr) - in_bytes);
		if (in_bytes < sizeof(in_hdr))
			return NULL;
		if (in_hdr.len > XENSTORE_PAYLOAD_MAX)
			panic("XenStore sent a message of %u bytes", in_hdr.len);
		in = malloc(sizeof(*in) + in_hdr.len + 1);
		if (!in)
			panic("no memory for a message of XenStore's");
		in->next = NULL;
		in->hdr = in_hdr;
		in->body[in_hdr.len] = 0;
		in_bytes = 0;
	}
	in_bytes += get(in->body + in_bytes, in->hdr.len - in_bytes);
	if (in_bytes < in->hdr.len)
		return NULL;
	m = in;
	in = NULL;
	in_bytes = 0;
	return m;
}

/* Events are kept; true: m was one. */
static bool kept_event(struct message *m)
{
	if (m->hdr.type != XS_WATCH_EVENT)
		return false;
	*events_end = m;
	events_end = &m->next;
	return true;
}

static struct message *answer_to(uint32_t req_id)
{
	struct message *m;

	for (;;) {
		m = next_message();
		if (!m)
			wait_until(has_bytes, NULL, NEVER_NS);
		else if (m->hdr.req_id == req_id && m->hdr.type != XS_WATCH_EVENT)
			return m;
		else if (!kept_event(m))
			free(m);
	}
}

static int error_number(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_NR(xsd_errors); i++)
		if (!strcmp(name, xsd_errors[i].errstring))
			return xsd_errors[i].errnum;
	return EINVAL;
}

struct part {
	const void *base;
	size_t bytes;
};

/* Sends a request and waits for its answer. NULL and errno when it was refused. */
static struct message *request(uint32_t type, xs_transaction_t t, const struct part *parts,
			       unsigned int nr)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = ++last_req_id, .tx_id = t };
	struct message *m;
	size_t bytes = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		bytes += parts[i].bytes;
	if (bytes > XENSTORE_PAYLOAD_MAX) {
		errno = E2BIG;
		return NULL;
	}
	hdr.len = (uint32_t)bytes;
	put(&hdr, sizeof(hdr));
	for (i = 0; i < nr; i++)
		put(parts[i].base, (uint32_t)parts[i].bytes);
	m = answer_to(hdr.req_id);
	if (m->hdr.type != XS_ERROR)
		return m;
	errno = error_number(m->body);
	free(m);
	return NULL;
}

static struct part text(const char *s)
{
	return (struct part){ .base = s, .bytes = strlen(s) + 1 };
}

/* A request whose answer is only that it was done. */
static bool command(uint32_t type, xs_transaction_t t, const struct part *parts,
		    unsigned int nr)
{
	struct message *m = request(type, t, parts, nr);

	free(m);
	return m != NULL;
}

/* ---- libxenstore ----------------------------------------------------------------- */

struct xs_handle *xs_open(unsigned long flags)
{
	static struct xs_handle handle;

	(void)flags;
	return &handle;
}

void xs_close(struct xs_handle *h)
{
	(void)h;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
	struct part part = text(path);
	struct message *m = request(XS_READ, t, &part, 1);
	unsigned int bytes;

	(void)h;
	if (!m)
		return NULL;
	bytes = m->hdr.len;
	if (len)
		*len = bytes;
	/* What the caller frees begins where the message did. */
	return memmove(m, m->body, (size_t)bytes + 1);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	struct part parts[] = { text(path), { .base = data, .bytes = len } };

	(void)h;
	return command(XS_WRITE, t, parts, 2);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	struct part part = text(path);

	(void)h;
	return command(XS_RM, t, &part, 1);
}

/* An array of names and the names themselves, to be freed as one. */
static char **names_of(const char *body, size_t bytes, unsigned int *nr)
{
	unsigned int n = 0, i;
	char **names, *at;
	size_t k;

	for (k = 0; k < bytes; k++)
		n += !body[k];
	names = malloc(n * sizeof(*names) + bytes + 1);
	if (!names)
		return NULL;
	at = (char *)(names + n);
	memcpy(at, body, bytes);
	at[bytes] = 0;
	for (i = 0; i < n; i++) {
		names[i] = at;
		at += strlen(at) + 1;
	}
	*nr = n;
	return names;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path,
		    unsigned int *num)
{
	struct part part = text(path);
	struct message *m = request(XS_DIRECTORY, t, &part, 1);
	char **names;

	(void)h;
	if (!m)
		return NULL;
	names = names_of(m->body, m->hdr.len, num);
	free(m);
	return names;
}

static char perm_letter(unsigned int perms)
{
	return "nrwb"[perms & (XS_PERM_READ | XS_PERM_WRITE)];
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned int num_perms)
{
	char list[8][16];
	struct part parts[9] = { text(path) };
	unsigned int i;

	(void)h;
	if (num_perms > ARRAY_NR(list)) {
		errno = ENOSPC;
		return false;
	}
	for (i = 0; i < num_perms; i++) {
		format(list[i], sizeof(list[i]), "%c%u", perm_letter(perms[i].perms),
		       perms[i].id);
		parts[i + 1] = text(list[i]);
	}
	return command(XS_SET_PERMS, t, parts, num_perms + 1);
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	struct part parts[] = { text(path), text(token) };

	(void)h;
	return command(XS_WATCH, XBT_NULL, parts, 2);
}

/* Its events that wait go too: nobody may be there to know the token. */
static void forget_events(const char *token)
{
	struct message **link = &events, *m;

	while ((m = *link)) {
		if (strcmp(m->body + strlen(m->body) + 1, token)) {
			link = &m->next;
			continue;
		}
		*link = m->next;
		free(m);
	}
	events_end = link;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	struct part parts[] = { text(path), text(token) };
	bool ok = command(XS_UNWATCH, XBT_NULL, parts, 2);

	(void)h;
	forget_events(token);
	return ok;
}

char **xs_check_watch(struct xs_handle *h)
{
	struct message *m;
	unsigned int nr;
	char **event;

	(void)h;
	while ((m = next_message()))
		if (!kept_event(m))
			free(m);
	m = events;
	if (!m) {
		errno = EAGAIN;
		return NULL;
	}
	events = m->next;
	if (!events)
		events_end = &events;
	event = names_of(m->body, m->hdr.len, &nr);
	free(m);
	if (event && nr < 2)
		panic("XenStore sent a watch event without a token");
	return event;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	struct part part = text("");
	struct message *m = request(XS_TRANSACTION_START, XBT_NULL, &part, 1);
	uint64_t id;

	(void)h;
	if (!m)
		return XBT_NULL;
	if (!number(m->body, &id))
		panic("XenStore named a transaction %s", m->body);
	free(m);
	return (xs_transaction_t)id;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
	struct part part = text(abort ? "F" : "T");

	(void)h;
	return command(XS_TRANSACTION_END, t, &part, 1);
}

bool store_ready(void)
{
	return events || has_bytes(NULL);
}

void store_init(const struct start_info *si)
{
	ring = memory_of_mfn(si->store_mfn);
	port = si->store_evtchn;
	events_listen(port);
}
