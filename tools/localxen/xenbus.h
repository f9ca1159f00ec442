/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus.h - the multiplexer of localxen-xenbus: many clients, one ring.
 *
 * localxen-xenbus does for a guest of local Xen what the kernel's xenbus device
 * (/dev/xen/xenbus) does on Linux: stock libxenstore clients connect to a Unix
 * socket and share the domain's single connection to xenstored. This part knows
 * bytes only: what a client sent goes in, what belongs on the ring comes out,
 * and the other way round. It knows no socket, no ring page, no event channel;
 * xenbus.c has those, and the unit test stands in for them.
 *
 * What a client sees:
 *
 * - Request ids are its own. They are replaced on the ring and put back.
 * - Watches are its own: on the ring each carries a token that we number, so two
 *   clients may watch one path with one token. Watching the same path with the
 *   same token twice in one client is EEXIST, unwatching what it does not watch
 *   is ENOENT, as from xenstored's own socket. (Linux's device allows both.)
 * - Transactions are its own: a request in another client's transaction is
 *   ENOENT. XS_RESET_WATCHES resets the calling client, nobody else.
 * - When it goes, its open transactions are ended with F, its watches removed,
 *   and replies still due are dropped. A request that arrived whole is executed.
 * - Garbage (a payload above XENSTORE_PAYLOAD_MAX, a type above 255) disconnects
 *   it. A type that xenstored does not know is passed on, and is ENOSYS.
 * - Requests are taken while fewer than XB_MAX_REQUESTS wait for an answer and it
 *   reads its replies; after that its socket fills up and it blocks.
 * - An event that equals one still queued for the same watch is dropped, for it
 *   says the same thing. If in spite of that more than XB_MAX_EVENT_BYTES wait,
 *   the client does not read: it is disconnected.
 *
 * One thread. Out of memory ends the process: everything here is bounded by the
 * limits below times the number of clients.
 */
#ifndef LX_XENBUS_H
#define LX_XENBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <xen/io/xs_wire.h>

#define XB_MAX_REQUESTS 64
#define XB_MAX_REPLY_BYTES 65536
#define XB_MAX_EVENT_BYTES (256 * 1024)
#define XB_MAX_RING_BYTES 65536

struct xb_mux;
struct xb_client;

struct xb_mux_ops {
	/*
	 * Asked before a request is passed on: 0, or the errno (positive) to
	 * answer it with instead. cookie is xb_client_add()'s.
	 */
	int (*fail)(void *arg, void *cookie, uint32_t type);
	/* One line about a client or the store, without newline. */
	void (*log)(void *arg, const char *line);
};

/*
 * domid is the domain's own: a relative path in a watch means one below
 * /local/domain/domid. ops and arg stay the caller's and must outlive the mux.
 */
void xb_mux_open(uint32_t domid, const struct xb_mux_ops *ops, void *arg,
		 struct xb_mux **out);
/* Frees all, clients included; tells the store nothing. NULL is allowed. */
void xb_mux_close(struct xb_mux *mux);

/* The client belongs to the mux until xb_client_gone(). */
struct xb_client *xb_client_add(struct xb_mux *mux, void *cookie);
/* The client's connection has ended: tells the store what follows from that. */
void xb_client_gone(struct xb_client *client);

/* May xb_client_input() be called? If not, leave its bytes where they are. */
bool xb_client_wants_input(const struct xb_client *client);
/*
 * Bytes that the client sent, cut anywhere. Returns 0, or -EPROTO: it sent
 * garbage (logged), end the connection and call xb_client_gone().
 */
int xb_client_input(struct xb_client *client, const void *data, size_t len);

/* Bytes for the client: returns how many lie at *data (0: none). */
size_t xb_client_output(const struct xb_client *client, const void **data);
void xb_client_sent(struct xb_client *client, size_t len);

/* It has too many events waiting (logged): end it as after -EPROTO. */
bool xb_client_overrun(const struct xb_client *client);

/* Bytes for the ring, and what of them has been put there. */
size_t xb_mux_ring_output(const struct xb_mux *mux, const void **data);
void xb_mux_ring_sent(struct xb_mux *mux, size_t len);
/*
 * Bytes from the ring, cut anywhere. Returns 0, or -EPROTO: the store does not
 * speak the protocol (logged); nothing can be saved.
 */
int xb_mux_ring_input(struct xb_mux *mux, const void *data, size_t len);

/* For tests and the log. */
struct xb_mux_count {
	unsigned clients, requests, watches, transactions;
};
void xb_mux_count(const struct xb_mux *mux, struct xb_mux_count *count);

/*
 * The guest's side of the ring page. The other side is xenstored: its functions
 * writechn() and readchn() pair with these. Both sides' indices are read from
 * the page each time, since XS_INTRODUCE sets all four to zero.
 *
 * Return the number of bytes that lie, or fit, at *data without wrapping (0:
 * none), or -EPROTO: the indices are further apart than the ring is long.
 */
int xb_ring_readable(struct xenstore_domain_interface *intf, const void **data);
void xb_ring_consumed(struct xenstore_domain_interface *intf, uint32_t len);
int xb_ring_writable(struct xenstore_domain_interface *intf, void **data);
void xb_ring_produced(struct xenstore_domain_interface *intf, uint32_t len);

#endif
