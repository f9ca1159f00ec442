/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One pass over all that is active, and what to do when there is nothing.
 *
 * Hides: the order of the steps, the list of active queues, timers. Must not
 * know: slots, offloads.
 */
#include <string.h>
#include "netback-internal.h"

/* ---- decisions ----------------------------------------------------------------------- */

/* Whoever cuts it, this host's kernel say, does so while all that share our process wait. */
static bool is_many_segments(const struct nb_frame *f)
{
	return f->from && f->bytes > f->frame.payload_offset &&
	       (f->bytes - f->frame.payload_offset - 1) / f->gso_bytes >= NB_GSO_SEGMENTS_MAX;
}

/*
 * A large packet without a blank checksum, or of a kind that it is not, would
 * be cut wrongly by whoever receives it. What is wrong with it, or NULL.
 */
static const char *offloads_fault(struct nb_frame *f)
{
	static const char not_tcp[] = "a large packet is not the TCP that it is said to be";

	if (!f->gso)
		return NULL;
	if (!nb_parse(f) || f->frame.l4 != FRAME_TCP || f->frame.fragment)
		return not_tcp;
	if ((f->gso == XEN_NETIF_GSO_TYPE_TCPV6) != (f->frame.l3 == FRAME_IPV6))
		return not_tcp;
	if (is_many_segments(f))
		return "a large packet is of too many segments: its GSO size is too small";
	if (!f->csum_blank && f->from) {
		/* A guest's head is ours to write, wherever it is. */
		if (frame_prepare_checksum((uint8_t *)f->head, &f->frame))
			return not_tcp;
		f->csum_blank = f->csum_validated = true;
	}
	return NULL;
}

static void deliver(struct netback *nb, struct nb_frame *f, const struct vswitch_out *out)
{
	struct nb_port *p = nb->port[out->port];
	uint32_t hash, type;

	if (p->broken)
		return;
	if (p->is_uplink)
		nb_uplink_enqueue(p, f, out, nb->decision.tci);
	else
		nb_rx_enqueue(p->queue[nb_choose_queue(p, f, &hash, &type)], f, out,
			      nb->decision.tci);
}

static void forward(struct netback *nb, struct nb_frame *f)
{
	if (!f->fault && !f->group)
		f->fault = offloads_fault(f);
	if (f->fault) {
		log_peer_at(f->port->log, LOG_LEVEL_WARNING, "%s", f->fault);
		vswitch_refuse(nb->sw, f->port->number, f->bytes, VSWITCH_MALFORMED);
	} else if (!f->group) {
		vswitch_forward(nb->sw, f->port->number, f->head, f->head_bytes, f->bytes,
				nb->now_ms, &nb->decision);
		if (nb->decision.mirror)
			nb_mirror_take(nb, f);
		for (uint32_t i = 0; i < nb->decision.nr; i++)
			deliver(nb, f, &nb->decision.out[i]);
	}
	nb_frame_put(f);
}

/* ---- rings ---------------------------------------------------------------------------- */

/* syscalls bridge: ioctl(IOCTL_EVTCHN_NOTIFY) */
static void tell(struct netback *nb, struct nb_queue *q, evtchn_port_t port)
{
	nb->stats.notifies++;
	q->count->notifications_sent++;
	xenevtchn_notify(nb->cfg.xce, port);
}

static bool push_rx(struct nb_queue *q)
{
	if (!ring_back_unpushed(&q->rx))
		return false;
	nb_journal_push_rx(q->journal, &q->rx);
	return ring_back_push(&q->rx);
}

/*
 * Publishes what was written to both rings. A receiver is told at once; a sender with
 * that, when it is due, or when there is much to tell.
 */
static void push(struct netback *nb, struct nb_queue *q)
{
	struct moderation *m = &q->tx_told;
	uint32_t answers = ring_back_unpushed(&q->tx), received = ring_back_unpushed(&q->rx);
	bool tx = nb_tx_push(q), rx = push_rx(q), late = false;

	nb_figures_pushed(q, (answers != 0) + (received != 0));
	if (tx)
		tx = moderation_answered(m, answers, nb->now_us);
	if (!tx && moderation_owes(m) && (rx || moderation_due(m, nb->now_us))) {
		tx = ring_back_awaited(&q->tx);
		late = tx && !rx;
		if (!tx)
			moderation_told(m);
	}
	if (rx)
		tell(nb, q, q->rx_evtchn);
	if (tx && !(rx && q->rx_evtchn == q->tx_evtchn))
		tell(nb, q, q->tx_evtchn);
	if (late)
		moderation_told_late(m, nb->now_us);
	else if (tx || (rx && q->rx_evtchn == q->tx_evtchn))
		moderation_told(m);
}

static bool out_of_credit(const struct nb_port *p)
{
	return p->wait_until_us > p->nb->now_us;
}

/* A broken ring counts as work: the pass finds out and says so. */
static bool has_work(const struct nb_queue *q)
{
	if (q->port->broken)
		return false;
	if (ring_back_pending(&q->tx) && !out_of_credit(q->port))
		return true;
	return q->fifo_nr && !nb_rx_is_held(q->port) && (!q->blocked || ring_back_pending(&q->rx) > (int)q->rx_seen ||
			      ring_back_pending(&q->rx) < 0);
}

static bool uplink_has_work(const struct netback *nb)
{
	for (const struct nb_port *p = nb->uplinks; p; p = p->next_uplink)
		if (p->readable)
			return true;
	return false;
}

static bool ctrl_has_work(const struct netback *nb)
{
	for (const struct nb_port *p = nb->ctrl; p; p = p->next_ctrl)
		if (!nb_control_rests(p))
			return true;
	return false;
}

bool netback_pending(const struct netback *nb)
{
	if (ctrl_has_work(nb) || uplink_has_work(nb))
		return true;
	for (const struct nb_queue *q = nb->active; q; q = q->next_active)
		if (has_work(q))
			return true;
	return false;
}

/* True: there is work after all. */
static bool ask(struct nb_queue *q)
{
	bool work = false;

	if (q->port->broken)
		return false;
	if (!out_of_credit(q->port))
		work = ring_back_final(&q->tx) != 0;
	if (q->fifo_nr && !nb_rx_is_held(q->port)) {
		uint32_t seen = q->blocked ? q->rx_seen : 0;
		int nr = ring_back_final_beyond(&q->rx, seen);

		work |= nr < 0 || nr > (int)seen;
	}
	return work;
}

bool netback_final(struct netback *nb)
{
	struct nb_queue **at = &nb->active, *q;
	bool work = ctrl_has_work(nb) || uplink_has_work(nb);

	while ((q = *at)) {
		if (ask(q)) {
			work = true;
		} else if (!q->fifo_nr && !out_of_credit(q->port) && !moderation_owes(&q->tx_told)) {
			if (nb->cut == q)
				nb->cut = NULL;
			*at = q->next_active;
			q->active = false;
			continue;
		}
		at = &q->next_active;
	}
	return work;
}

static int64_t sooner(int64_t us, uint64_t until_us, uint64_t now_us)
{
	int64_t left = until_us > now_us ? (int64_t)(until_us - now_us) : 1;

	return us < 0 ? left : MIN(us, left);
}

int64_t netback_timeout_us(const struct netback *nb, uint64_t now_us)
{
	int64_t us = -1;

	for (const struct nb_port *p = nb->ctrl; p; p = p->next_ctrl)
		us = sooner(us, p->ctrl_rest_until_ms * 1000, now_us);
	for (const struct nb_queue *q = nb->active; q; q = q->next_active) {
		if (q->fifo_nr)
			us = sooner(us, now_us + (q->port->tells ? NB_TICK_US : NB_OLD_TICK_US),
				    now_us);
		if (q->fifo_nr && q->port->rx_wait_until_us)
			us = sooner(us, q->port->rx_wait_until_us, now_us);
		if (out_of_credit(q->port))
			us = sooner(us, q->port->wait_until_us, now_us);
		if (moderation_owes(&q->tx_told))
			us = sooner(us, q->tx_told.until_us, now_us);
	}
	return us;
}

/* ---- the pass --------------------------------------------------------------------------- */

/*
 * Whoever was first comes last next time; and when the pass was full before all had their
 * share, so do all that had it: the next one goes on where this one stopped.
 */
static void rotate(struct netback *nb)
{
	struct nb_queue *first = nb->active, *next, **at;

	if (!first || nb->cut == first)
		return;
	next = nb->cut ? nb->cut : first->next_active;
	for (at = &nb->active; *at != next; at = &(*at)->next_active)
		;
	*at = NULL;
	for (at = &next; *at; at = &(*at)->next_active)
		;
	*at = first;
	nb->active = next;
}

/* The control rings that had an event; asks each for the next. */
static uint32_t control(struct netback *nb)
{
	struct nb_port *p, *list = nb->ctrl;
	uint32_t moved = 0;

	nb->ctrl = NULL;
	while ((p = list)) {
		list = p->next_ctrl;
		p->ctrl_active = false;
		if (p->broken)
			continue;
		moved += nb_control(p);
		if (nb_control_rests(p) || ring_back_final(&p->ctrl))
			nb_activate_ctrl(p);
	}
	return moved;
}

static void gather_uplinks(struct netback *nb)
{
	for (struct nb_port *p = nb->uplinks; p; p = p->next_uplink)
		if (p->readable)
			nb_uplink_gather(nb, p);
}

/* Ports that have something to send, and may. */
struct senders {
	uint32_t nr, weights, heaviest;
};

/* And each, by how many queues. */
static void count_senders(struct netback *nb, struct senders *s)
{
	*s = (struct senders){ .nr = 0 };
	for (struct nb_queue *q = nb->active; q; q = q->next_active) {
		struct nb_port *p = q->port;

		if (p->broken || out_of_credit(p) || !ring_back_pending(&q->tx))
			continue;
		if (p->seen_pass != nb->stats.passes) {
			p->seen_pass = nb->stats.passes;
			p->nr_waiting = 0;
			s->nr++;
			s->weights += p->weight;
			s->heaviest = MAX(s->heaviest, p->weight);
		}
		p->nr_waiting++;
	}
}

/*
 * Parts of a pass for all ports that want one, by their weights, and of these equal ones
 * for their queues: what a guest gets does not grow with its queues, nor another's wait
 * with its flood. One that is alone is bounded by its queues only. As nobody has more than
 * a queue may have, the heaviest port has that where a pass has room for more: the others'
 * parts are in proportion to what it has.
 */
static uint32_t share_of(const struct nb_queue *q, const struct senders *s)
{
	uint32_t room = MAX(NB_TAKEN, NB_SHARE_MIN * s->nr), weight = q->port->weight, share;

	if (s->nr < 2)
		return NB_GATHER;
	share = MIN(room * weight / s->weights, NB_GATHER * weight / s->heaviest);
	return MAX(share / MAX(q->port->nr_waiting, 1), 1);
}

/* Uplinks and guests take turns at being first: a pass may be full before its end. */
static void gather(struct netback *nb)
{
	bool uplinks_first = nb->stats.passes & 1;
	const struct nb_queue *cut = nb->cut;
	uint32_t had = nb->cut_had;
	struct senders senders;

	nb->cut = NULL;
	count_senders(nb, &senders);
	nb->nr_taken = 0;
	if (uplinks_first)
		gather_uplinks(nb);
	for (struct nb_queue *q = nb->active; q; q = q->next_active) {
		uint32_t share = share_of(q, &senders);

		if (!q->port->broken)
			nb_tx_gather(nb, q, q == cut && had < share ? share - had : share);
	}
	if (!uplinks_first)
		gather_uplinks(nb);
}

uint32_t netback_pass(struct netback *nb, uint64_t now_us)
{
	uint32_t moved;

	nb->now_us = now_us;
	nb->now_ms = now_us / 1000;
	nb->pass_cycles = spin_now_cycles();
	nb->stats.passes++;
	rotate(nb);
	moved = control(nb);
	gather(nb);
	nb_tx_headed(nb);
	for (uint32_t i = 0; i < nb->nr_taken; i++)
		forward(nb, nb->taken[i]);
	moved += nb->nr_taken;
	nb_mirror_flush(nb);
	nb_pull_flush(nb);
	for (struct nb_queue *q = nb->active; q; q = q->next_active) {
		if (q->port->broken || !q->fifo_nr)
			continue;
		moved += nb_rx_fill(nb, q);
		if (q->blocked)
			nb_rx_expire(q);
	}
	nb_rx_flush(nb);
	for (struct nb_port *p = nb->uplinks; p; p = p->next_uplink)
		moved += nb_uplink_flush(nb, p);
	if (moved)
		nb->pass_ns = nb_ns(nb, spin_now_cycles() - nb->pass_cycles);
	for (struct nb_queue *q = nb->active; q; q = q->next_active)
		push(nb, q);
	return moved;
}
