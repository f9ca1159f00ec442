/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A switch and the guests on it: frames from every tx ring go to the rx rings,
 * and uplinks, that the switch decides on.
 *
 * Hides: rings, slots, extra infos, grants, which copy moves what, offloads
 * that a receiver cannot take, who waits for whom and for how long. Must not
 * know: XenStore, the supervisor, when to sleep, what a decision rests on
 * (vswitch.h), what is inside a frame (frame.h).
 *
 * A pass does everything there is to do, in five steps, a file each: take
 * requests and copy the frames' headers in one batch (netback-tx.c), decide
 * (netback-pass.c), complete offloads for those who need it (netback-soft.c) and
 * join segments for those who take that (netback-join.c), fill rx slots by one
 * batch of copies from guest to guest (netback-rx.c), answer and notify once per
 * ring, senders when it suits them (moderation.h). The control ring is
 * netback-control.c. Guests that take pages instead of copies are netback-flip.c.
 *
 * A frame stays in its sender's pages until every receiver has it, so nothing
 * is stored between two guests. A receiver without slots makes its senders
 * wait, but only with three quarters of their rings, and a few frames in our
 * memory beyond that, and for NETBACK_HOLD_MS; then it loses frames, until it
 * offers slots again.
 *
 * One thread uses a netback, its switch and its handles.
 * Source: xen/io/netif.h; docs/netif.md has what front ends do.
 */
#ifndef PV_NETBACK_H
#define PV_NETBACK_H

#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include "limit.h"
#include "pcap.h"
#include "util.h"
#include "vif.h"
#include "vswitch.h"

#define NETBACK_SLOTS_MAX 18u		/* of a frame, XEN_NETIF_NR_SLOTS_MIN */
#define NETBACK_HEADER_BYTES 160u	/* copied before the decision */
#define NETBACK_HOLD_MS 100u
#define NETBACK_OWN_PAGES 320u
#define NETBACK_FLIP_PAGES 64u

struct netback;
struct grant_own;
struct flip_batch;
struct flip_answer;

struct netback_config {
	/* The caller's, kept open until after netback_close(). */
	xengnttab_handle *xgt;
	xenevtchn_handle *xce;
	/* NETBACK_OWN_PAGES for what is copied often; NULL: plain memory. Kept as well. */
	const struct grant_own *own;
	/* One or more, to tell a shortage by (grant_map_ring), or NULL. Kept as well. */
	const struct grant_own *room;
	uint64_t cycles_per_us;		/* of spin_now_cycles(); 0: no times are taken */
	struct vswitch_config sw;
	/*
	 * A vif's ring cannot be believed: it takes part in nothing any more, and
	 * is to be removed. Called inside netback_pass().
	 */
	void (*broken)(void *arg, uint32_t port, const char *why);
	/* A vif that asked for page flip is copied into from now on. As broken. */
	void (*flip_ended)(void *arg, uint32_t port, const char *why);
	void *arg;
};

/* -ENOMEM, -EINVAL. */
int netback_open(const struct netback_config *cfg, struct netback **out);
/* Removes all ports. Accepts NULL. */
void netback_close(struct netback *nb);
/* For its live configuration and counters; ports are added and removed here only. */
struct vswitch *netback_switch(struct netback *nb);

/*
 * Who gives pages to guests that ask for them (netback-flip.c). transfer: as flip.h says;
 * -errno: it has gone for good. pages: NETBACK_FLIP_PAGES, the caller's, for the octets
 * that are nowhere else in granted pages. Both are kept. For vifs that are added later, and
 * those whose flip has not ended.
 */
struct netback_flip {
	int (*transfer)(void *arg, const struct flip_batch *batch, struct flip_answer *out);
	void *arg;
	const struct grant_own *pages;
};
/* -ENOMEM. */
int netback_set_flip(struct netback *nb, const struct netback_flip *flip);
/* Whether pages are given to a port's guest. */
bool netback_flips(const struct netback *nb, uint32_t port);

/* ---- guests ---------------------------------------------------------------------- */

struct netback_vif {
	uint32_t domid;
	const struct vif_frontend *front;	/* read during the call only */
	const struct vswitch_port_config *port;
	uint64_t rate_bytes;			/* per rate_usec, from the guest; 0: no limit */
	uint32_t rate_usec;
	const struct limit *limit;		/* beside rate; NULL: none */
	struct log_peer *log;			/* outlives the port */
	int journal_fd;				/* netback-journal.h; the caller's; -1: none */
	int figures_fd;				/* vif-figures.h; as that */
};

/*
 * Maps the rings, binds the event channels; with a predecessor's journal it goes on where
 * that has stopped, whatever stopped it. *out is the switch's port number. On failure why names the ring or port, and nothing stays. -EADDRINUSE: the switch has
 * the port's address on another one.
 */
int netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *out,
		    char *why, size_t why_bytes);
/* No ring is looked at any more: for what a successor says of the pause. */
void netback_leave(struct netback *nb);
/*
 * What it sent and is still wanted elsewhere is dropped; its rings are answered,
 * unmapped and unbound.
 */
void netback_remove_port(struct netback *nb, uint32_t port);
/* As shaper_configure(). */
int netback_set_rate(struct netback *nb, uint32_t port, uint64_t rate_bytes,
		     uint32_t rate_usec);
/*
 * In is what the guest sends. A packet is one, however large. The weight is that of its
 * part of a pass, where others want one too.
 */
void netback_set_limit(struct netback *nb, uint32_t port, const struct limit *limit);
void netback_set_multicast_control(struct netback *nb, uint32_t port, bool on);

/* ---- uplinks ----------------------------------------------------------------------- */

/*
 * A TAP device, opened with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR and not blocking;
 * the descriptor is the caller's. offloads: checksums and TCP segmentation cross it.
 */
int netback_add_uplink(struct netback *nb, int fd, bool offloads,
		       const struct vswitch_port_config *port, struct log_peer *log,
		       uint32_t *out);
/* The descriptor is readable. */
void netback_uplink_ready(struct netback *nb, uint32_t port);

/* ---- ports while in use ---------------------------------------------------------------- */

/* As vswitch_set_port(), which is not to be called itself; what is captured stays so. */
int netback_set_port(struct netback *nb, uint32_t port, const struct vswitch_port_config *cfg);

/* ---- captures ------------------------------------------------------------------------- */

#define NETBACK_CAPTURES_MAX 8u
#define NETBACK_EVERY_PORT UINT32_MAX

/*
 * What goes in or out on a port, dropped or not, as pcap into fd, which stays the
 * caller's until stop; at most snaplen octets of a frame. Returns a number for the
 * others. -ENOSPC: there are NETBACK_CAPTURES_MAX; -EINVAL: snaplen; -errno of fd.
 */
int netback_capture_start(struct netback *nb, uint32_t port, uint32_t snaplen, int fd);
/* The descriptor can be written to, or has an error. As state. */
int netback_capture_ready(struct netback *nb, int capture);
/*
 * 1: waits for the descriptor, 0: nothing waits, -errno: nobody reads it any more. out
 * may be NULL.
 */
int netback_capture_state(const struct netback *nb, int capture, struct pcap_counters *out);
void netback_capture_stop(struct netback *nb, int capture);

/* ---- work --------------------------------------------------------------------------- */

/*
 * An event came on this event channel port of ours; unmasking is the caller's. Returns how
 * many events in a row brought no request.
 */
uint32_t netback_event(struct netback *nb, evtchn_port_t evtchn);
/* Logs a line about the interface whose port that is; netback_event() has returned more than 0. */
void netback_complain(struct netback *nb, evtchn_port_t evtchn, const char *what);
/* One pass. Returns how many frames, messages and answers moved; 0: nothing to do. */
uint32_t netback_pass(struct netback *nb, uint64_t now_us);
/* Whether some ring has work; reads a word of each ring that was active lately. */
bool netback_pending(const struct netback *nb);
/* The same, after asking every such ring for an event. Sleep when false. */
bool netback_final(struct netback *nb);
/* When to pass again although nothing happened: in so many us; -1: not needed. */
int64_t netback_timeout_us(const struct netback *nb, uint64_t now_us);

struct netback_stats {
	uint64_t passes, copies, copy_calls, notifies;
	uint64_t completed_in_software;	/* checksums and segmentations */
	uint64_t joined;		/* segments that became part of a larger packet */
	uint64_t flipped;		/* pages that were given away, and taken */
	uint64_t flip_calls;		/* messages to the flip helper */
};

void netback_stats(const struct netback *nb, struct netback_stats *out);

#endif
