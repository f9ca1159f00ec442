/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of netback share; nobody else includes it.
 *
 * Hides: nothing. Names begin with nb_. A frame on its way is a struct nb_frame:
 * either its octets are in its sender's pages (from is set, pieces say where), or
 * in our own memory (from is NULL, data). In both cases its first octets are ours
 * and do not change any more (head), and those are what receivers get: a guest
 * that rewrites its header after the decision changes nothing.
 */
#ifndef PV_NETBACK_INTERNAL_H
#define PV_NETBACK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/event_channel.h>
#include <xen/io/netif.h>
#include "frame.h"
#include "grant.h"
#include "limiter.h"
#include "moderation.h"
#include "netback.h"
#include "netback-journal.h"
#include "ring.h"
#include "shaper.h"
#include "spin.h"
#include "util.h"
#include "vif-figures.h"

#define NB_GATHER 64u			/* frames of one queue in one pass */
/* ... and so many segments for each of them, on average; 64 KiB of an Ethernet's are fewer. */
#define NB_SEGMENTS 64u
#define NB_TAKEN 256u			/* frames of all queues in one pass */
#define NB_SHARE_MIN 8u			/* frames of one port of mean weight, however many
					   want to send */
#define NB_FIFO 512u			/* frames that wait for one rx queue */
#define NB_COPIES 1024u			/* in one call */
#define NB_AREA_BYTES 2048u		/* frames no longer than this are copied in and out */
#define NB_AREAS 368u
#define NB_HEAD_BYTES 66u		/* a first slot of as many is taken for the headers */
/* Frames in our own memory: what a pass takes, and what has waited for longer. */
#define NB_BUFFERS (NB_TAKEN + NB_BUFFERS_HELD)
#define NB_BUFFERS_HELD 320u
/* Of these, for one port; where it is full, no more than half of what the others leave. */
#define NB_BUFFERS_PER_PORT 64u
#define NB_BUFFERS_INSTEAD 16u		/* ... and not in their senders' pages */
/* The largest frame, wherever in a page it begins (aligned_start()). */
#define NB_BUFFER_BYTES (65536u + GRANT_PAGE_BYTES)
#define NB_OWN_BUFFERS 8u		/* of them in pages of our own, and taken first */
#define NB_GSO_SEGMENTS_MAX 512u	/* of a guest's large packet */
#define NB_HOLD_SLOTS (NB_RING_SLOTS * 3 / 4)
#define NB_TICK_US 10000		/* while frames wait */
#define NB_OLD_TICK_US 1000		/* for front ends that do not tell of new slots */

_Static_assert(NB_AREAS * NB_AREA_BYTES + NB_OWN_BUFFERS * NB_BUFFER_BYTES ==
	       NETBACK_OWN_PAGES * GRANT_PAGE_BYTES, "what is in pages of our own");

struct nb_port;
struct nb_queue;
struct nb_mapping;
struct nb_flip;

struct nb_piece {
	uint32_t gref;
	uint16_t offset, bytes;
};

struct nb_frame {
	struct nb_frame *next;		/* free, or taken in this pass */
	struct nb_port *port;		/* where it came in */
	struct nb_queue *from;
	struct nb_frame *pulled;	/* its copy in our memory, made in this pass */
	uint8_t *buffer;		/* NB_BUFFER_BYTES, if the frame is in our memory */
	bool own;			/* which are in pages of our own */
	uint8_t *data;			/* all of it, in there */
	const uint8_t *head;		/* area, header or data */
	uint8_t *area;			/* one of nb->areas, or NULL */
	uint32_t head_bytes;
	uint32_t bytes;
	uint32_t refs;
	uint32_t waits;			/* in so many fifos of guests', in our memory */
	uint64_t since_cycles;		/* of the pass that took it from where it came */
	uint32_t copied_bytes;		/* of it, that are in no guest's figures yet */
	bool csum_blank, csum_validated;
	uint8_t gso;			/* XEN_NETIF_GSO_TYPE_* */
	uint16_t gso_bytes;
	bool parsed;
	struct frame frame;		/* of head, when parsed */
	bool joined;			/* of segments, in our memory */
	/* From a guest: */
	const char *fault;		/* NULL: none yet */
	bool group;			/* not a frame: joins or leaves a group */
	bool lost;			/* a copy to some receiver failed */
	struct nb_record *record;	/* its slots */
	uint16_t nr_pieces;
	uint32_t copy_first, copy_nr;	/* of its header, in nb->heads */
	struct nb_piece piece[NETBACK_SLOTS_MAX];
	uint8_t header[NETBACK_HEADER_BYTES];
};

/* A frame that is due to a port. */
struct nb_delivery {
	struct nb_frame *frame;
	uint64_t since_ms;
	uint32_t cut_at;		/* segments of a large packet that are out already */
	bool arrived, failed;		/* some of these */
	uint16_t tci;			/* for PUSH and SET */
	uint8_t tag;			/* enum vswitch_tag */
};

struct nb_queue {
	struct nb_port *port;
	uint32_t index;
	void *tx_page, *rx_page;
	struct ring_back tx, rx;
	struct nb_mapping *mapping;	/* NULL: no static grants */
	evtchn_port_t tx_evtchn, rx_evtchn;
	bool tx_bound, rx_bound;
	struct nb_queue *next_active;
	bool active;
	bool blocked;			/* the head of fifo did not fit */
	bool stalled;			/* and that for too long */
	bool lent;			/* buffers that it would not have got, had it been full */
	uint32_t rx_seen;		/* slots that were there when it did not fit */
	uint32_t rx_most;		/* slots that were ever there: it may have few */
	uint32_t rx_short;		/* so many did not do for the head; 0: its limit held it up */
	uint32_t tx_used;		/* slots taken and not answered */
	struct moderation tx_told;
	uint32_t fifo_head, fifo_nr;
	struct nb_delivery fifo[NB_FIFO];
	struct nb_queue_journal *journal;
	struct vif_figures *count;
	struct figures_ring trace;
	/* Frames taken in this pass, and answered, or copied here, already. */
	uint32_t tx_at_once, rx_at_once;
	struct nb_frame *answered;	/* since the last push */
	struct nb_frame *free;
	struct nb_frame frames[NB_RING_SLOTS];
};

struct nb_port {
	struct netback *nb;
	uint32_t number;
	bool broken;
	struct log_peer *log;
	uint32_t nr_buffers;		/* frames of our memory that wait here */
	/* A guest: */
	uint32_t domid;
	uint32_t nr_queues;
	struct nb_queue *queue[VIF_QUEUES_MAX];
	bool sg, gso_tcpv4, gso_tcpv6, ipv4_csum, ipv6_csum, tells;
	bool flips;			/* its slots name entries that accept pages */
	uint32_t flips_failed;		/* since one succeeded */
	uint32_t frame_bytes_max;	/* it takes; of a large packet, its segments */
	struct shaper rate;
	uint64_t seen_pass;		/* in which nr_waiting was counted */
	uint32_t nr_waiting;		/* queues of it with something to send */
	uint32_t weight;		/* of its part of a pass, against others' */
	struct limiter limit;
	uint64_t wait_until_us;		/* a limit of what it sends is used up until then */
	uint64_t rx_wait_until_us;	/* ... and of what it gets */
	struct nb_journal journal;
	struct figures *figures;
	struct nb_hash *hash;		/* in the journal */
	void *ctrl_page;
	struct ring_back ctrl;
	evtchn_port_t ctrl_evtchn;
	bool ctrl_bound, ctrl_active;
	uint64_t ctrl_rest_until_ms;	/* what its messages cost so far is spread up to then */
	uint32_t mapping_work;		/* pages mapped, unmapped and looked at for the current message */
	struct nb_port *next_ctrl;
	/* An uplink: */
	bool is_uplink, offloads, readable;
	struct nb_port *next_uplink;
	int fd;
	uint32_t fifo_nr;
	struct nb_delivery *fifo;
};

/* A frame whose copies into rx slots are in the batch. */
struct nb_plan {
	struct nb_queue *queue;
	struct nb_frame *frame;
	bool flips;			/* the copies are ops of nb->flip */
	uint32_t copy_first, copy_nr;
	uint32_t slot_first, nr_slots;	/* in nb->slots */
	uint16_t flags;
	uint8_t gso;
	uint16_t gso_bytes;
	uint32_t hash, hash_type;
	struct nb_delivery *cut;	/* it is a segment of that one; NULL: all of frame */
	bool last;			/* ... and the last */
};

struct nb_slot {
	uint32_t gref;
	uint16_t id, bytes;
};

struct nb_evtchn {
	struct nb_queue *queue;
	struct nb_port *ctrl;		/* of the control ring */
	uint32_t published;		/* requests on its rings when the last event came */
	uint32_t nr_empty;		/* events in a row that brought none */
};

struct netback {
	struct netback_config cfg;
	struct vswitch *sw;
	struct nb_port *port[VSWITCH_PORTS_MAX];
	uint32_t nr_ports;		/* highest number in use, plus one */
	struct nb_evtchn *evtchn;
	uint32_t nr_evtchn;
	struct nb_queue *active;	/* looked at in every pass */
	struct nb_queue *cut;		/* the first for which the last pass was full, or NULL */
	uint32_t cut_had;		/* ... and what it had of its share by then */
	struct nb_port *uplinks;
	struct nb_port *ctrl;		/* whose control ring has something */
	uint64_t now_us, now_ms;
	uint64_t pass_cycles;		/* when it began; of the last one, between two */
	uint64_t pass_ns;		/* ... and how long it took until it published */
	uint32_t mapping_factor;	/* of the tables of static grants; odd */

	struct grant_batch heads, pulls, copies;
	uint32_t nr_taken;
	struct nb_frame *taken[NB_TAKEN];
	uint32_t nr_pulled, nr_bodies;	/* of which so many are more than their head */
	struct nb_frame *pulled[NB_TAKEN];	/* originals; ->pulled is the copy */
	uint32_t nr_plans, nr_slots, nr_scratch;
	struct nb_plan plan[NB_COPIES];
	struct nb_slot slots[NB_COPIES + NETBACK_SLOTS_MAX];
	uint8_t (*scratch)[FRAME_HEADER_MAX];	/* headers and tags until the copies are done */
	uint8_t *areas;			/* the caller's, or ours to unmap */
	uint32_t nr_areas;		/* free ones: */
	uint16_t free_areas[NB_AREAS];
	uint8_t *buffers;
	struct nb_frame *buffer_frames;
	struct nb_frame *free_buffers[2];	/* [1]: in pages of our own */
	uint32_t nr_held;		/* buffers that wait for some guest */
	struct vswitch_decision decision;
	struct nb_flip *flip;		/* NULL: nobody gives pages */
	struct nb_mirror *mirror;	/* NULL: nobody captures */
	struct netback_stats stats;
};

static inline uint64_t nb_ns(const struct netback *nb, uint64_t cycles)
{
	return nb->cfg.cycles_per_us ? cycles * 1000 / nb->cfg.cycles_per_us : 0;
}

/* netback.c */
void nb_activate(struct nb_queue *q);
void nb_activate_ctrl(struct nb_port *p);
void nb_break(struct nb_port *p, const char *why);
/* Parses the head once. False: it could not be understood at all. */
bool nb_parse(struct nb_frame *f);

/* netback-tx.c: takes requests, gives answers */
/* At most share frames; in nb->cut is who did not get as many since the pass is full. */
void nb_tx_gather(struct netback *nb, struct nb_queue *q, uint32_t share);
/* The copies of heads have run: notes which failed. */
void nb_tx_headed(struct netback *nb);
void nb_tx_answer(struct nb_frame *f, int16_t status);
/* Publishes the answers. True: the front end wants to be told. */
bool nb_tx_push(struct nb_queue *q);
/* Gives up a reference; the last one answers or frees. */
void nb_frame_put(struct nb_frame *f);

/* netback-rx.c: frames to guests */
void nb_rx_enqueue(struct nb_queue *q, struct nb_frame *f, const struct vswitch_out *out,
		   uint16_t tci);
/* Fills slots of q from its fifo as far as they go. Returns the number of frames. */
uint32_t nb_rx_fill(struct netback *nb, struct nb_queue *q);
/* Runs the copies and writes the responses. */
void nb_rx_flush(struct netback *nb);
/* Drops what has waited for too long. */
void nb_rx_expire(struct nb_queue *q);
/* Drops deliveries: all, or those of frames that came in on a port. */
void nb_rx_purge(struct nb_queue *q, const struct nb_port *from);

/* A delivery that waits, the index'th of fifo_nr. */
/* What waits for a port's queues waits for its limit. */
static inline bool nb_rx_is_held(const struct nb_port *p)
{
	return p->rx_wait_until_us > p->nb->now_us;
}

static inline struct nb_delivery *nb_waiting(struct nb_queue *q, uint32_t index)
{
	return &q->fifo[(q->fifo_head + index) & (NB_FIFO - 1)];
}
/* The first that waits is done with. */
void nb_rx_pop(struct nb_queue *q);
/* Whether one more in our memory may wait for q; one waits for p. */
bool nb_rx_has_buffers(const struct nb_queue *q);
void nb_rx_hold(struct nb_port *p, struct nb_frame *m);

/* netback-join.c */
/*
 * Makes one large packet of the first that wait, when they are TCP segments that
 * follow each other, q's guest takes such packets, and nr_slots suffice for it.
 */
void nb_join(struct netback *nb, struct nb_queue *q, uint32_t nr_slots);

/* netback-soft.c: frames in our own memory */
/* own: rather one in pages of our own. NULL: there is none of either kind. */
struct nb_frame *nb_buffer_get(struct netback *nb, bool own);
void nb_buffer_put(struct netback *nb, struct nb_frame *m);
/* False: what has been pulled since the last flush has taken our own pages. */
bool nb_pull_is_cheap(const struct netback *nb, const struct nb_frame *f);
/* A copy of f in our memory, complete after nb_pull_flush(). NULL: no room. */
struct nb_frame *nb_pull(struct netback *nb, struct nb_frame *f);
void nb_pull_flush(struct netback *nb);
/* Whether a receiver that takes these offloads can have f as it is. */
bool nb_suits(struct nb_frame *f, bool gso_tcpv4, bool gso_tcpv6,
	      bool ipv4_csum, bool ipv6_csum);
/* f is in our memory: its checksum is filled in if it was blank. */
void nb_complete_checksum(struct netback *nb, struct nb_frame *f);

/* netback-flip.c: pages for guests that take them */
/* Whether somebody gives pages. Accepts NULL. */
bool nb_flip_is_there(const struct nb_flip *flip);
/* Whether nr pages are there to be given; asks for some, and notes for how long not. */
bool nb_flip_has(struct nb_port *p, uint32_t nr);
/* Whether the batch has room for a frame of any size. */
bool nb_flip_has_room(const struct nb_flip *flip);
uint32_t nb_flip_ops(const struct netback *nb);
/* The next page, for gref of p's guest; then what is in it. */
void nb_flip_page(struct nb_port *p, uint32_t gref);
void nb_flip_put(struct netback *nb, const uint8_t *from, uint32_t bytes);
void nb_flip_put_granted(struct netback *nb, uint32_t domid, uint32_t gref, uint32_t offset,
			 uint32_t bytes);
/* Gives the pages. What became of them can be asked once, until the next page. */
void nb_flip_run(struct netback *nb);
enum nb_flip_result { NB_FLIP_TAKEN, NB_FLIP_NOT_TAKEN, NB_FLIP_BAD_SOURCE };
enum nb_flip_result nb_flip_result(struct nb_port *p, uint32_t first_op, uint32_t nr_ops);
void nb_flip_close(struct netback *nb);

/* netback-uplink.c */
void nb_uplink_gather(struct netback *nb, struct nb_port *p);
void nb_uplink_enqueue(struct nb_port *p, struct nb_frame *f, const struct vswitch_out *out,
		       uint16_t tci);
uint32_t nb_uplink_flush(struct netback *nb, struct nb_port *p);

/* netback-figures.c */
/* Of a port whose queues are to be opened: where it counts. fd: as netback_vif. -ENOMEM. */
int nb_figures_open(struct nb_port *p, int fd, uint32_t nr_queues);
void nb_figures_close(struct nb_port *p);
void nb_figures_queue(struct nb_queue *q);
/* What few frames need: the time of one that waited, a record of one that is traced. */
void nb_figures_waited(struct netback *nb, const struct nb_frame *f, struct histogram *h);
void nb_figures_trace_tx(struct nb_queue *q, const struct nb_frame *f, bool failed);
void nb_figures_trace_rx(struct nb_queue *q, const struct nb_plan *plan, uint32_t bytes,
			 bool failed);

/* Inline, both: twenty instructions for each frame, and a call would be half as many. */
static inline void nb_figures_answered(struct nb_queue *q, const struct nb_frame *f,
				       int16_t status)
{
	struct netback *nb = q->port->nb;
	struct vif_figures *c = q->count;

	if (!f->group)
		c->tx_frames++;
	c->tx_bytes += f->bytes;
	c->tx_slots += f->record->nr_slots;
	if (f->gso)
		c->tx_large++;
	if (f->since_cycles == nb->pass_cycles)
		q->tx_at_once++;
	else
		nb_figures_waited(nb, f, &c->tx_latency);
	if (figures_wanted(&q->trace))
		nb_figures_trace_tx(q, f, status != NETIF_RSP_OKAY);
}

/* What m's sender pays for, once it is in our memory: an uplink has no figures. */
static inline void nb_figures_copied(const struct nb_frame *m, uint32_t bytes)
{
	if (!m->port->is_uplink)
		m->port->queue[0]->count->copied_bytes += bytes;
}

/* One's copy is in q's slots. */
static inline void nb_figures_received(struct nb_queue *q, const struct nb_plan *plan,
				       uint32_t bytes, bool failed)
{
	struct netback *nb = q->port->nb;
	struct vif_figures *c = q->count;

	if (!failed) {
		c->rx_frames++;
		c->rx_bytes += bytes;
	}
	c->rx_slots += plan->nr_slots;
	if (plan->gso)
		c->rx_large++;
	c->copies += plan->copy_nr;
	c->copied_bytes += bytes + plan->frame->copied_bytes;
	plan->frame->copied_bytes = 0;
	if (plan->frame->since_cycles == nb->pass_cycles)
		q->rx_at_once++;
	else
		nb_figures_waited(nb, plan->frame, &c->rx_latency);
	if (figures_wanted(&q->trace))
		nb_figures_trace_rx(q, plan, bytes, failed);
}
/* q published nr_rings rings. */
void nb_figures_pushed(struct nb_queue *q, uint32_t nr_rings);

/* netback-capture.c */
/* The decision on f is in nb->decision; its slots are not answered yet. */
void nb_mirror_take(struct netback *nb, const struct nb_frame *f);
/* Before slots are answered to anybody. */
void nb_mirror_flush(struct netback *nb);
void nb_mirror_close(struct netback *nb);

/* netback-control.c */
uint32_t nb_control(struct nb_port *p);
uint32_t nb_choose_queue(const struct nb_port *p, struct nb_frame *f, uint32_t *hash,
			 uint32_t *type);

/* Whether p's control ring is not looked at for a while. */
bool nb_control_rests(const struct nb_port *p);

/* netback-mapping.c: static grants */
/* How many a queue may have. */
uint32_t nb_mapping_max(const struct nb_port *p);
/*
 * All of the list or nothing; at most NB_MAPPED_MAX. 0 also when all of it is there, once and in
 * its mode: a message may be acted on twice (netback-journal.h). -ENOSPC: more than
 * nb_mapping_max(); -EEXIST: some are there already, or one twice in the list; -EINVAL: unknown flags; -ENOMEM;
 * else as grant_map().
 */
int nb_mapping_add(struct nb_queue *q, const struct xen_netif_gref *list, uint32_t nr);
/*
 * Says in each entry's status whether it is in the table, of several alike in the first
 * only, and how many are.
 */
uint32_t nb_mapping_mark(const struct nb_queue *q, struct xen_netif_gref *list, uint32_t nr);
/*
 * Unmaps those. When the others cannot be mapped again, -errno as grant_map(): they are
 * gone too, and are copied by grant from then on.
 */
int nb_mapping_del(struct nb_queue *q, const struct xen_netif_gref *list, uint32_t nr);
/* Maps again what a predecessor had mapped; what cannot be is copied by grant. */
void nb_mapping_resume(struct nb_queue *q);
/* Unmaps all. */
void nb_mapping_close(struct nb_queue *q);
uint8_t *nb_mapping_find(const struct nb_mapping *m, uint32_t gref, bool write);
/* Where the CPU can read the page of a gref in this pass; NULL: copy by grant. */
static inline const uint8_t *nb_mapped(const struct nb_queue *q, uint32_t gref)
{
	return q->mapping ? nb_mapping_find(q->mapping, gref, false) : NULL;
}

/* The octets of a tag operation on a frame's head, as up to three parts. */
struct nb_part {
	const uint8_t *at;
	uint32_t bytes;
};
uint32_t nb_head_parts(const struct nb_frame *f, uint8_t tag, uint16_t tci, uint8_t tag_bytes[4],
		       struct nb_part part[3]);

#endif
