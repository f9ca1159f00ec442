/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus-msg.c - assembles messages from cut byte streams and queues them.
 *
 * Hides partial reads and writes. Knows nothing of clients, watches' meaning or
 * the ring.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "xenbus-msg.h"

void *xb_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p) {
		fputs("localxen-xenbus: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

struct xb_msg *xb_msg_new(uint32_t type, uint32_t req_id, uint32_t tx_id,
			  uint32_t body_bytes)
{
	struct xb_msg *msg = xb_alloc(sizeof(*msg) + body_bytes + 1);

	msg->hdr = (struct xsd_sockmsg){
		.type = type, .req_id = req_id, .tx_id = tx_id, .len = body_bytes,
	};
	return msg;
}

static size_t msg_bytes(const struct xb_msg *msg)
{
	return sizeof(msg->hdr) + msg->hdr.len;
}

void xb_queue_init(struct xb_queue *q)
{
	TAILQ_INIT(&q->list);
	q->bytes = 0;
}

void xb_queue_push(struct xb_queue *q, struct xb_msg *msg)
{
	msg->done = 0;
	TAILQ_INSERT_TAIL(&q->list, msg, next);
	q->bytes += msg_bytes(msg);
}

size_t xb_queue_peek(const struct xb_queue *q, const void **data)
{
	const struct xb_msg *msg = TAILQ_FIRST(&q->list);

	if (!msg)
		return 0;
	*data = (const char *)&msg->hdr + msg->done;
	return msg_bytes(msg) - msg->done;
}

size_t xb_queue_consume(struct xb_queue *q, size_t len)
{
	size_t event_bytes = 0;

	q->bytes -= len;
	while (len) {
		struct xb_msg *msg = TAILQ_FIRST(&q->list);
		size_t left = msg_bytes(msg) - msg->done;
		size_t n = len < left ? len : left;

		msg->done += n;
		len -= n;
		if (msg->watch_id)
			event_bytes += n;
		if (n == left) {
			TAILQ_REMOVE(&q->list, msg, next);
			free(msg);
		}
	}
	return event_bytes;
}

bool xb_queue_has_event(const struct xb_queue *q, const struct xb_msg *event)
{
	const struct xb_msg *msg;

	TAILQ_FOREACH(msg, &q->list, next)
		if (msg->watch_id == event->watch_id && !msg->done &&
		    msg->hdr.len == event->hdr.len &&
		    !memcmp(msg->body, event->body, event->hdr.len))
			return true;
	return false;
}

void xb_queue_clear(struct xb_queue *q)
{
	struct xb_msg *msg;

	while ((msg = TAILQ_FIRST(&q->list))) {
		TAILQ_REMOVE(&q->list, msg, next);
		free(msg);
	}
	q->bytes = 0;
}

static uint32_t take(void *to, uint32_t have, uint32_t want, const char **data,
		     size_t *len)
{
	uint32_t n = want - have;

	if (n > *len)
		n = *len;
	memcpy((char *)to + have, *data, n);
	*data += n;
	*len -= n;
	return n;
}

int xb_parser_feed(struct xb_parser *p, const char **data, size_t *len,
		   struct xb_msg **out)
{
	if (!p->msg) {
		p->hdr_bytes += take(&p->hdr, p->hdr_bytes, sizeof(p->hdr), data, len);
		if (p->hdr_bytes < sizeof(p->hdr))
			return 0;
		if (p->hdr.len > XENSTORE_PAYLOAD_MAX)
			return -EPROTO;
		p->msg = xb_msg_new(p->hdr.type, p->hdr.req_id, p->hdr.tx_id,
				    p->hdr.len);
	}
	p->msg->done += take(p->msg->body, p->msg->done, p->hdr.len, data, len);
	if (p->msg->done < p->hdr.len)
		return 0;
	*out = p->msg;
	p->msg = NULL;
	p->hdr_bytes = 0;
	return 1;
}
