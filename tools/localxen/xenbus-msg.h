/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus-msg.h - whole messages from cut byte streams, and queues of them.
 *
 * Inside localxen-xenbus only. A message is a struct xsd_sockmsg with its
 * payload right behind it, as on the wire (xen/io/xs_wire.h), and a NUL after
 * that which is not part of it. Allocation never fails: it ends the process.
 */
#ifndef LX_XENBUS_MSG_H
#define LX_XENBUS_MSG_H

#include <sys/queue.h>
#include "xenbus.h"

struct xb_msg {
	TAILQ_ENTRY(xb_msg) next;
	uint32_t watch_id;	/* of an event in a client's queue; else 0 */
	uint32_t done;		/* bytes of hdr and body sent, or received */
	struct xsd_sockmsg hdr;
	char body[];
};

struct xb_msg *xb_msg_new(uint32_t type, uint32_t req_id, uint32_t tx_id,
			  uint32_t body_bytes);

/* A queue; bytes counts what has not been consumed yet. */
struct xb_queue {
	TAILQ_HEAD(, xb_msg) list;
	size_t bytes;
};

void xb_queue_init(struct xb_queue *q);
void xb_queue_push(struct xb_queue *q, struct xb_msg *msg);
/* The bytes of the first message that are still to go; 0 if there is none. */
size_t xb_queue_peek(const struct xb_queue *q, const void **data);
/* Takes len bytes off; returns how many of them were of watch events. */
size_t xb_queue_consume(struct xb_queue *q, size_t len);
/* Is the same event of the same watch there, of which nothing has gone yet? */
bool xb_queue_has_event(const struct xb_queue *q, const struct xb_msg *event);
void xb_queue_clear(struct xb_queue *q);

/* A message being received. */
struct xb_parser {
	struct xsd_sockmsg hdr;
	uint32_t hdr_bytes;
	struct xb_msg *msg;
};

/*
 * Takes bytes from *data, *len on until a message is whole. Returns 1 and the
 * message, which is the caller's; 0: all taken, more is needed; -EPROTO: the
 * header announces more than XENSTORE_PAYLOAD_MAX, see parser->hdr.
 */
int xb_parser_feed(struct xb_parser *parser, const char **data, size_t *len,
		   struct xb_msg **out);

void *xb_alloc(size_t bytes);	/* zeroed; free() it */

#endif
