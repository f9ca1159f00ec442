/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus-mux.c - routes requests, replies and watch events between many clients
 * and the domain's one connection to the store.
 *
 * Hides the renaming of request ids and watch tokens and what a client leaves
 * behind when it goes. Must not know sockets, the ring page, event channels.
 *
 * xenstored answers the requests of one connection in order, and it executes
 * them in order: so a message that we add when a client goes (an UNWATCH, an end
 * of a transaction) takes effect after everything which that client sent.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "xenbus-msg.h"

struct watch {
	TAILQ_ENTRY(watch) next;
	uint32_t id;			/* in decimal its token on the ring */
	struct xb_client *owner;	/* NULL: an UNWATCH is on its way */
	const char *path, *token;	/* the client's */
	char text[];
};

struct transaction {
	TAILQ_ENTRY(transaction) next;
	uint32_t id;
	struct xb_client *owner;
};

/* What the store has not answered yet, or has not even got. */
struct request {
	TAILQ_ENTRY(request) next;
	uint32_t id;			/* on the ring */
	uint32_t type;
	uint32_t client_req_id;
	uint32_t watch_id;
	struct xb_client *owner;	/* NULL: nobody waits for the answer */
};

struct xb_client {
	TAILQ_ENTRY(xb_client) next;
	struct xb_mux *mux;
	void *cookie;
	struct xb_parser parser;
	struct xb_queue out;
	size_t event_bytes;		/* how much of out is events */
	unsigned nr_requests;
	bool overrun;
};

struct xb_mux {
	const struct xb_mux_ops *ops;
	void *arg;
	char home[40];			/* "/local/domain/N/" */
	uint32_t last_req_id, last_watch_id;
	TAILQ_HEAD(, xb_client) clients;
	TAILQ_HEAD(, watch) watches;
	TAILQ_HEAD(, transaction) transactions;
	TAILQ_HEAD(, request) requests;
	struct xb_queue ring_out;
	struct xb_parser ring_in;
};

static void __attribute__((format(printf, 2, 3)))
say(const struct xb_mux *mux, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	mux->ops->log(mux->arg, line);
}

/* Ids run through all of 32 bits but 0; what they name is long gone by then. */
static uint32_t next_id(uint32_t *last)
{
	if (!++*last)
		++*last;
	return *last;
}

/* ---- towards the client ------------------------------------------------- */

static void reply(struct xb_client *client, struct xb_msg *msg, uint32_t req_id)
{
	msg->hdr.req_id = req_id;
	msg->watch_id = 0;
	xb_queue_push(&client->out, msg);
}

static void reply_text(struct xb_client *client, const struct xsd_sockmsg *to,
		       uint32_t type, const char *text)
{
	struct xb_msg *msg = xb_msg_new(type, 0, to->tx_id, strlen(text) + 1);

	memcpy(msg->body, text, msg->hdr.len);
	reply(client, msg, to->req_id);
}

static void reply_error(struct xb_client *client, const struct xsd_sockmsg *to, int err)
{
	const char *name = "EIO";	/* the protocol has no word for some */
	size_t i;

	for (i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (xsd_errors[i].errnum == err)
			name = xsd_errors[i].errstring;
	reply_text(client, to, XS_ERROR, name);
}

/* ---- towards the ring --------------------------------------------------- */

/* owner NULL: the answer will be dropped. */
static void forward(struct xb_mux *mux, struct xb_client *owner, struct xb_msg *msg,
		    uint32_t watch_id)
{
	struct request *req = xb_alloc(sizeof(*req));

	req->id = next_id(&mux->last_req_id);
	req->type = msg->hdr.type;
	req->client_req_id = msg->hdr.req_id;
	req->watch_id = watch_id;
	req->owner = owner;
	if (owner)
		owner->nr_requests++;
	TAILQ_INSERT_TAIL(&mux->requests, req, next);
	msg->hdr.req_id = req->id;
	xb_queue_push(&mux->ring_out, msg);
}

static void abort_transaction(struct xb_mux *mux, uint32_t tx_id)
{
	struct xb_msg *msg = xb_msg_new(XS_TRANSACTION_END, 0, tx_id, sizeof("F"));

	strcpy(msg->body, "F");
	forward(mux, NULL, msg, 0);
}

/* An XS_WATCH or XS_UNWATCH of watch, with the token that it has on the ring. */
static void forward_watch(struct xb_mux *mux, struct xb_client *owner, uint32_t type,
			  uint32_t req_id, const struct watch *watch)
{
	size_t path_bytes = strlen(watch->path) + 1;
	char token[12];
	size_t token_bytes = snprintf(token, sizeof(token), "%" PRIu32, watch->id) + 1;
	struct xb_msg *msg = xb_msg_new(type, req_id, 0, path_bytes + token_bytes);

	memcpy(msg->body, watch->path, path_bytes);
	memcpy(msg->body + path_bytes, token, token_bytes);
	forward(mux, owner, msg, watch->id);
}

/* The watch stays known, without owner, until the store has confirmed. */
static void unwatch(struct xb_mux *mux, struct watch *watch, struct xb_client *asker,
		    uint32_t req_id)
{
	watch->owner = NULL;
	forward_watch(mux, asker, XS_UNWATCH, req_id, watch);
}

/* ---- watches ------------------------------------------------------------ */

static struct watch *watch_by_id(struct xb_mux *mux, uint32_t id)
{
	struct watch *w;

	TAILQ_FOREACH(w, &mux->watches, next)
		if (w->id == id)
			return w;
	return NULL;
}

static void watch_free(struct xb_mux *mux, struct watch *w)
{
	if (!w)
		return;
	TAILQ_REMOVE(&mux->watches, w, next);
	free(w);
}

static struct watch *watch_new(struct xb_client *client, const char *path,
			       const char *token)
{
	size_t path_bytes = strlen(path) + 1, token_bytes = strlen(token) + 1;
	struct watch *w = xb_alloc(sizeof(*w) + path_bytes + token_bytes);

	w->id = next_id(&client->mux->last_watch_id);
	w->owner = client;
	w->path = memcpy(w->text, path, path_bytes);
	w->token = memcpy(w->text + path_bytes, token, token_bytes);
	TAILQ_INSERT_TAIL(&client->mux->watches, w, next);
	return w;
}

/* "a" and "/local/domain/N/a" are one node. */
static bool same_path(const struct xb_mux *mux, const char *a, const char *b)
{
	size_t home = strlen(mux->home);

	if (*a != *b) {
		if (*a == '/' && *b != '@' && !strncmp(a, mux->home, home))
			a += home;
		else if (*b == '/' && *a != '@' && !strncmp(b, mux->home, home))
			b += home;
	}
	return !strcmp(a, b);
}

static struct watch *watch_find(struct xb_client *client, const char *path,
				const char *token)
{
	struct watch *w;

	TAILQ_FOREACH(w, &client->mux->watches, next)
		if (w->owner == client && !strcmp(w->token, token) &&
		    same_path(client->mux, w->path, path))
			return w;
	return NULL;
}

/* The strings of a watch message: exactly two. */
static bool split_watch(const struct xb_msg *msg, const char **path, const char **token)
{
	const char *end = msg->body + msg->hdr.len;
	unsigned strings = 0;
	const char *p;

	for (p = msg->body; (p = memchr(p, 0, end - p)); p++)
		strings++;
	if (strings != 2)
		return false;
	*path = msg->body;
	*token = msg->body + strlen(msg->body) + 1;
	/* Longer paths do not exist, and with our token must fit a message. */
	return strlen(*path) <= XENSTORE_ABS_PATH_MAX;
}

static void watch_request(struct xb_client *client, struct xb_msg *msg)
{
	const char *path, *token;
	struct watch *w;

	if (!split_watch(msg, &path, &token)) {
		reply_error(client, &msg->hdr, EINVAL);
	} else if (msg->hdr.type == XS_WATCH) {
		if (watch_find(client, path, token))
			reply_error(client, &msg->hdr, EEXIST);
		else
			forward_watch(client->mux, client, XS_WATCH, msg->hdr.req_id,
				      watch_new(client, path, token));
	} else {
		w = watch_find(client, path, token);
		if (w)
			unwatch(client->mux, w, client, msg->hdr.req_id);
		else
			reply_error(client, &msg->hdr, ENOENT);
	}
	free(msg);
}

static void event_queue(struct xb_client *client, struct xb_msg *event)
{
	if (client->overrun || xb_queue_has_event(&client->out, event)) {
		free(event);
		return;
	}
	client->event_bytes += sizeof(event->hdr) + event->hdr.len;
	xb_queue_push(&client->out, event);
	if (client->event_bytes <= XB_MAX_EVENT_BYTES)
		return;
	client->overrun = true;
	say(client->mux, "a client does not read its watch events: more than %d bytes "
	    "of them wait; disconnecting it", XB_MAX_EVENT_BYTES);
}

static void event_from_store(struct xb_mux *mux, const struct xb_msg *msg)
{
	const char *path, *token;
	size_t path_bytes, token_bytes;
	struct watch *w;
	struct xb_msg *event;

	if (!split_watch(msg, &path, &token))
		return;
	w = watch_by_id(mux, strtoul(token, NULL, 10));
	if (!w || !w->owner)
		return;
	path_bytes = strlen(path) + 1;
	token_bytes = strlen(w->token) + 1;
	/* xenstored too drops an event that is too long for a message. */
	if (path_bytes + token_bytes > XENSTORE_PAYLOAD_MAX)
		return;
	event = xb_msg_new(XS_WATCH_EVENT, msg->hdr.req_id, msg->hdr.tx_id,
			   path_bytes + token_bytes);
	memcpy(event->body, path, path_bytes);
	memcpy(event->body + path_bytes, w->token, token_bytes);
	event->watch_id = w->id;
	event_queue(w->owner, event);
}

/* ---- transactions ------------------------------------------------------- */

static struct transaction *tx_find(struct xb_client *client, uint32_t tx_id)
{
	struct transaction *tx;

	TAILQ_FOREACH(tx, &client->mux->transactions, next)
		if (tx->owner == client && tx->id == tx_id)
			return tx;
	return NULL;
}

static void tx_free(struct xb_mux *mux, struct transaction *tx)
{
	if (!tx)
		return;
	TAILQ_REMOVE(&mux->transactions, tx, next);
	free(tx);
}

static void tx_started(struct xb_mux *mux, struct xb_client *owner,
		       const struct xb_msg *answer)
{
	uint32_t tx_id = strtoul(answer->body, NULL, 10);
	struct transaction *tx;

	if (!owner) {
		abort_transaction(mux, tx_id);
		return;
	}
	tx = xb_alloc(sizeof(*tx));
	tx->id = tx_id;
	tx->owner = owner;
	TAILQ_INSERT_TAIL(&mux->transactions, tx, next);
}

/* xenstored refuses anything else, and then the transaction goes on. */
static bool ends_transaction(const struct xb_msg *msg)
{
	return msg->hdr.len == 2 &&
	       (!memcmp(msg->body, "T", 2) || !memcmp(msg->body, "F", 2));
}

/* ---- requests ----------------------------------------------------------- */

/* What a client that goes, or resets itself, leaves to be done. */
static void forget(struct xb_client *client)
{
	struct xb_mux *mux = client->mux;
	struct transaction *tx, *next;
	struct watch *w;

	for (tx = TAILQ_FIRST(&mux->transactions); tx; tx = next) {
		next = TAILQ_NEXT(tx, next);
		if (tx->owner != client)
			continue;
		abort_transaction(mux, tx->id);
		tx_free(mux, tx);
	}
	TAILQ_FOREACH(w, &mux->watches, next)
		if (w->owner == client)
			unwatch(mux, w, NULL, 0);
}

/* The request fails by order: but the client will think its transaction ended. */
static void fail_request(struct xb_client *client, struct xb_msg *msg, int err)
{
	struct transaction *tx = tx_find(client, msg->hdr.tx_id);

	if (msg->hdr.type == XS_TRANSACTION_END && tx) {
		abort_transaction(client->mux, tx->id);
		tx_free(client->mux, tx);
	}
	reply_error(client, &msg->hdr, err);
	free(msg);
}

/* Takes msg over. */
static void request(struct xb_client *client, struct xb_msg *msg)
{
	struct xb_mux *mux = client->mux;
	struct transaction *tx = tx_find(client, msg->hdr.tx_id);
	int err = mux->ops->fail(mux->arg, client->cookie, msg->hdr.type);

	if (err) {
		fail_request(client, msg, err);
	} else if (msg->hdr.type == XS_WATCH || msg->hdr.type == XS_UNWATCH) {
		watch_request(client, msg);
	} else if (msg->hdr.type == XS_RESET_WATCHES) {
		forget(client);
		reply_text(client, &msg->hdr, XS_RESET_WATCHES, "OK");
		free(msg);
	} else if (msg->hdr.tx_id && !tx) {
		reply_error(client, &msg->hdr, ENOENT);
		free(msg);
	} else {
		/* From here on it is ending: nobody need abort it any more. */
		if (msg->hdr.type == XS_TRANSACTION_END && ends_transaction(msg))
			tx_free(mux, tx);
		forward(mux, client, msg, 0);
	}
}

bool xb_client_wants_input(const struct xb_client *client)
{
	return client->nr_requests < XB_MAX_REQUESTS &&
	       client->out.bytes - client->event_bytes < XB_MAX_REPLY_BYTES &&
	       client->mux->ring_out.bytes < XB_MAX_RING_BYTES;
}

int xb_client_input(struct xb_client *client, const void *bytes, size_t len)
{
	const char *data = bytes;
	struct xb_msg *msg;
	int rc;

	while ((rc = xb_parser_feed(&client->parser, &data, &len, &msg)) == 1) {
		if (msg->hdr.type > 255) {
			say(client->mux, "a client sent a request of type %" PRIu32
			    ", which cannot be; disconnecting it", msg->hdr.type);
			free(msg);
			return -EPROTO;
		}
		request(client, msg);
	}
	if (rc < 0)
		say(client->mux, "a client announced a payload of %" PRIu32 " bytes, "
		    "more than %d; disconnecting it", client->parser.hdr.len,
		    XENSTORE_PAYLOAD_MAX);
	return rc;
}

/* ---- answers ------------------------------------------------------------ */

static struct request *request_take(struct xb_mux *mux, uint32_t id)
{
	struct request *req;

	TAILQ_FOREACH(req, &mux->requests, next)
		if (req->id == id) {
			TAILQ_REMOVE(&mux->requests, req, next);
			return req;
		}
	return NULL;
}

/* Takes msg over. */
static void answer_from_store(struct xb_mux *mux, struct xb_msg *msg)
{
	struct request *req = request_take(mux, msg->hdr.req_id);
	bool failed = msg->hdr.type == XS_ERROR;

	if (!req) {
		say(mux, "the store answered a request that was never made (id %" PRIu32
		    ", type %" PRIu32 "); ignored", msg->hdr.req_id, msg->hdr.type);
		free(msg);
		return;
	}
	if (req->type == XS_UNWATCH || (req->type == XS_WATCH && failed))
		watch_free(mux, watch_by_id(mux, req->watch_id));
	if (req->type == XS_TRANSACTION_START && !failed)
		tx_started(mux, req->owner, msg);
	if (req->owner) {
		req->owner->nr_requests--;
		reply(req->owner, msg, req->client_req_id);
	} else {
		free(msg);
	}
	free(req);
}

int xb_mux_ring_input(struct xb_mux *mux, const void *bytes, size_t len)
{
	const char *data = bytes;
	struct xb_msg *msg;
	int rc;

	while ((rc = xb_parser_feed(&mux->ring_in, &data, &len, &msg)) == 1) {
		if (msg->hdr.type != XS_WATCH_EVENT) {
			answer_from_store(mux, msg);
			continue;
		}
		event_from_store(mux, msg);
		free(msg);
	}
	if (rc < 0)
		say(mux, "the store announced a payload of %" PRIu32 " bytes, more "
		    "than %d", mux->ring_in.hdr.len, XENSTORE_PAYLOAD_MAX);
	return rc;
}

/* ---- plumbing ----------------------------------------------------------- */

size_t xb_mux_ring_output(const struct xb_mux *mux, const void **data)
{
	return xb_queue_peek(&mux->ring_out, data);
}

void xb_mux_ring_sent(struct xb_mux *mux, size_t len)
{
	xb_queue_consume(&mux->ring_out, len);
}

size_t xb_client_output(const struct xb_client *client, const void **data)
{
	return xb_queue_peek(&client->out, data);
}

void xb_client_sent(struct xb_client *client, size_t len)
{
	client->event_bytes -= xb_queue_consume(&client->out, len);
}

bool xb_client_overrun(const struct xb_client *client)
{
	return client->overrun;
}

struct xb_client *xb_client_add(struct xb_mux *mux, void *cookie)
{
	struct xb_client *client = xb_alloc(sizeof(*client));

	client->mux = mux;
	client->cookie = cookie;
	xb_queue_init(&client->out);
	TAILQ_INSERT_TAIL(&mux->clients, client, next);
	return client;
}

static void client_free(struct xb_client *client)
{
	TAILQ_REMOVE(&client->mux->clients, client, next);
	free(client->parser.msg);
	xb_queue_clear(&client->out);
	free(client);
}

void xb_client_gone(struct xb_client *client)
{
	struct request *req;

	forget(client);
	TAILQ_FOREACH(req, &client->mux->requests, next)
		if (req->owner == client)
			req->owner = NULL;
	client_free(client);
}

void xb_mux_open(uint32_t domid, const struct xb_mux_ops *ops, void *arg,
		 struct xb_mux **out)
{
	struct xb_mux *mux = xb_alloc(sizeof(*mux));

	mux->ops = ops;
	mux->arg = arg;
	snprintf(mux->home, sizeof(mux->home), "/local/domain/%" PRIu32 "/", domid);
	TAILQ_INIT(&mux->clients);
	TAILQ_INIT(&mux->watches);
	TAILQ_INIT(&mux->transactions);
	TAILQ_INIT(&mux->requests);
	xb_queue_init(&mux->ring_out);
	*out = mux;
}

void xb_mux_close(struct xb_mux *mux)
{
	struct request *req;

	if (!mux)
		return;
	while (!TAILQ_EMPTY(&mux->clients))
		client_free(TAILQ_FIRST(&mux->clients));
	while (!TAILQ_EMPTY(&mux->watches))
		watch_free(mux, TAILQ_FIRST(&mux->watches));
	while (!TAILQ_EMPTY(&mux->transactions))
		tx_free(mux, TAILQ_FIRST(&mux->transactions));
	while ((req = TAILQ_FIRST(&mux->requests))) {
		TAILQ_REMOVE(&mux->requests, req, next);
		free(req);
	}
	xb_queue_clear(&mux->ring_out);
	free(mux->ring_in.msg);
	free(mux);
}

void xb_mux_count(const struct xb_mux *mux, struct xb_mux_count *count)
{
	const struct transaction *tx;
	const struct xb_client *c;
	const struct request *req;
	const struct watch *w;

	memset(count, 0, sizeof(*count));
	TAILQ_FOREACH(c, &mux->clients, next)
		count->clients++;
	TAILQ_FOREACH(req, &mux->requests, next)
		count->requests++;
	TAILQ_FOREACH(w, &mux->watches, next)
		count->watches++;
	TAILQ_FOREACH(tx, &mux->transactions, next)
		count->transactions++;
}
