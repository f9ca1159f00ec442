/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's side of a virtual network interface: open it, send and receive
 * frames in batches, close it. Public header of libparavane-front.
 *
 * Hides: negotiation, tx and rx rings of every queue, slots and extra infos,
 * grants and the pools of shared pages, when to notify and when to sleep, the
 * control ring, a back end that lies. Must not know: threads, descriptors,
 * clocks, sockets, programs, what is inside a frame.
 *
 * One thread uses an interface. Functions return 0 or a count, or a negative
 * errno. Source: xen/io/netif.h.
 */
#ifndef PARAVANE_NETFRONT_H
#define PARAVANE_NETFRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front.h"

#ifdef __cplusplus
extern "C" {
#endif

struct netfront;

#define NETFRONT_FRAME_BYTES_MAX 65535u
#define NETFRONT_PIECES_MAX 18u		/* slots of a frame, XEN_NETIF_NR_SLOTS_MIN */

/* ---- opening ------------------------------------------------------------------------ */

/* All zero is the default of each. */
struct netfront_options {
	unsigned int nr_queues;		/* 0: one */
	unsigned int tx_pages, rx_pages;	/* pool of each queue; 0: a page per slot,
					   fewer with many queues */
	uint32_t poll_cycles;		/* longest look at the rings before sleeping, in the
					   CPU's own counter; 0: never */
	bool no_sg, no_gso, no_checksum;	/* refuse to receive them */
	bool no_split;			/* one event channel a queue even if two could be */
	bool no_rx_notify;		/* pretend to be an old front end */
	bool ctrl_ring;			/* open the control ring, if the back end has it */
	bool multicast_control;		/* receive only groups that were joined */
	bool flip;			/* receive by page transfer, if env->flip is there and
					   the back end offers it; else by copy as ever */
};

struct netfront_info {
	uint8_t mac[6];
	uint32_t mtu_bytes;
	bool carrier;
	unsigned int nr_queues;
	bool sg, gso_tcpv4, gso_tcpv6, ipv6_checksum;	/* what may be sent */
	bool split_event_channels, ctrl_ring, multicast_control;
	uint32_t back_max_queues;
	uint32_t tx_pages, rx_pages;
	bool short_of_grants;		/* the system gave fewer shared pages than wanted */
	uint32_t domid, back_domid;
	const char *back_path, *front_path;	/* valid until close */
	bool flip;			/* received pages become ours, now */
	const char *flip_refused;	/* why not, though it was asked for; else NULL. Static */
};

/* As blkfront_open(): -ENOENT, -EINVAL, -ETIMEDOUT, -ECONNABORTED, -ENOSPC. */
int netfront_open(struct front_env *env, uint32_t devid,
		  const struct netfront_options *opts, int timeout_ms,
		  struct netfront **out, struct front_problem *problem);
/* Accepts NULL. -ETIMEDOUT: the back end did not let go. */
int netfront_close(struct netfront *n, int timeout_ms, struct front_problem *problem);
void netfront_info(struct netfront *n, struct netfront_info *out);
/* Whether the back end asks for the interface back (a detach). */
bool netfront_closing(const struct netfront *n);
const struct front_problem *netfront_problem(const struct netfront *n);

/* ---- frames ---------------------------------------------------------------------------- */

enum netfront_gso { NETFRONT_GSO_NONE, NETFRONT_GSO_TCPV4, NETFRONT_GSO_TCPV6 };

struct netfront_piece {
	void *base;
	uint32_t bytes;
};

struct netfront_frame {
	uint32_t nr_pieces;
	struct netfront_piece piece[NETFRONT_PIECES_MAX];
	/* TCP or UDP checksum: blank holds the pseudo header's sum only. */
	bool checksum_blank, checksum_validated;
	enum netfront_gso gso;
	uint16_t gso_bytes;		/* payload of each segment */
	uint32_t hash, hash_type;	/* received with hashing on; 0: none */
};

/*
 * Sends up to nr frames of one queue, in order; their contents are copied into shared
 * pages, so that the pieces are the caller's again at once. Nothing is told to the back
 * end before netfront_kick(). Returns how many were taken (fewer: no room now;
 * netfront_wait() for NETFRONT_SENDABLE). -EMSGSIZE, -EOPNOTSUPP, -EINVAL: the first
 * frame is one that cannot be sent (too long or short; GSO that the back end does not
 * take; GSO without checksum_blank). -EPROTO, -ECONNABORTED: see netfront_problem().
 * Answers are counted (netfront_stats()), not told one by one.
 */
int netfront_send(struct netfront *n, unsigned int queue,
		  const struct netfront_frame *frames, unsigned int nr);
/*
 * A page of the queue's tx pool to build frames in, which saves the copy. -ENOBUFS.
 * A frame all of whose pieces are in such pages, the first of 14 bytes at least, is sent
 * from where it is, and the pages go back to the pool by themselves once answered: they
 * are no longer the caller's when netfront_send() has taken the frame. Pages of a frame
 * that was copied for another reason go back too. Give back with put what was not sent.
 */
int netfront_buffer_get(struct netfront *n, unsigned int queue, void **page);
void netfront_buffer_put(struct netfront *n, unsigned int queue, void *page);
/* Frames sent and not answered, all queues. */
unsigned int netfront_inflight(const struct netfront *n);
void netfront_kick(struct netfront *n);

/*
 * Up to nr frames that have arrived on queue. Their pieces point into shared pages
 * until netfront_release(), which gives the buffers back to the ring. The back end
 * may still write there if it is hostile: copy what is checked. Pages that came by
 * transfer are ours alone, until netfront_release() gives them back to the hypervisor.
 * A frame of which a page did not come, whatever the back end says, is dropped and
 * counted as an error. netfront_close() gives back what was not released.
 */
int netfront_receive(struct netfront *n, unsigned int queue,
		     struct netfront_frame *frames, unsigned int nr);
/* Each received piece exactly once; what is not a received piece is left alone. */
void netfront_release(struct netfront *n, unsigned int queue,
		      const struct netfront_frame *frames, unsigned int nr);

#define NETFRONT_RECEIVABLE 1u
#define NETFRONT_SENDABLE 2u	/* room for the largest frame, on every queue */

/*
 * Kicks, then sleeps until one of want is true for a queue, the store or the caller
 * (FRONT_WAIT_CALLER) has something, or timeout_ms is over (-1: never). Returns what is
 * true now (0: time, store or caller), or -errno: -ECONNABORTED (the back end left and
 * all that it had sent was received), -EPROTO, and those of the wait function. Looks at
 * the rings for a while when that has been paying. Answers to sent frames wake nobody
 * who does not want NETFRONT_SENDABLE, and then only when half of them are there.
 */
int netfront_wait(struct netfront *n, unsigned int want, int timeout_ms);
/* The same without sleeping: what is true now. */
int netfront_poll(struct netfront *n);

/* ---- groups, hashing, static grants ----------------------------------------------------- */

/*
 * Groups to receive when multicast control is on. -EOPNOTSUPP: the back end filters
 * nothing. -EIO: it refused (it keeps no more groups). -ETIMEDOUT, -ENOBUFS.
 */
int netfront_join(struct netfront *n, const uint8_t *mac, int timeout_ms);
int netfront_leave(struct netfront *n, const uint8_t *mac, int timeout_ms);
/* Turns the filter on or off. -EOPNOTSUPP: not while connected, or not at all. */
int netfront_multicast_control(struct netfront *n, bool on);

/*
 * One control message and its answer: type and data as xen/io/netif.h has them.
 * *status as XEN_NETIF_CTRL_STATUS_*; *data may be NULL. -EOPNOTSUPP: no
 * control ring; -ETIMEDOUT (the answer is then taken when it comes); -ENOBUFS.
 */
int netfront_control(struct netfront *n, uint16_t type, const uint32_t args[3],
		     int timeout_ms, uint32_t *status, uint32_t *data);
/*
 * Toeplitz over types (XEN_NETIF_CTRL_HASH_TYPE_*), a key of NETFRONT_HASH_KEY_BYTES, a
 * map from hash to queue of nr_map entries, at most NETFRONT_HASH_MAP_MAX (0: hash modulo
 * queues). types 0: off. -EOPNOTSUPP, -EINVAL, -E2BIG: the back end's answer; -EBUSY: a
 * message that timed out still uses the page.
 */
#define NETFRONT_HASH_KEY_BYTES 40u
#define NETFRONT_HASH_MAP_MAX 1024u
int netfront_set_hash(struct netfront *n, uint32_t types, const uint8_t *key,
		      const uint32_t *map, unsigned int nr_map, int timeout_ms);
/*
 * Has the back end keep pages of the pools mapped, as many as it takes (messages 8 and
 * 9). Returns their number; -errno as netfront_set_hash(). Unmap: message 10; returns
 * how many it let go.
 */
int netfront_map_pools(struct netfront *n, int timeout_ms);
int netfront_unmap_pools(struct netfront *n, int timeout_ms);

/* ---- what it cost -------------------------------------------------------------------------- */

struct netfront_stats {
	uint64_t sent_frames, sent_bytes, send_errors;	/* as answered */
	uint64_t copied_bytes;		/* into tx pages */
	uint64_t received_frames, received_bytes, receive_errors;
	uint64_t notifies_sent, wakeups, spurious_wakeups;
	uint64_t spins, spin_hits, spin_cycles;
	uint64_t full;			/* times that send found no room */
	uint64_t flipped_pages;		/* that came by transfer */
};

void netfront_stats(const struct netfront *n, struct netfront_stats *out);

#ifdef __cplusplus
}
#endif
#endif
