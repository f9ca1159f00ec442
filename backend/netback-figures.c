/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a queue counts, and what it notes of frames while somebody traces its interface.
 *
 * Hides: how few readings of a clock that takes. Must not know: who reads.
 *
 * Most frames leave in the pass in which they came: their time is that pass's, and is
 * counted once for all of them when the pass publishes. Only those that had to wait cost
 * a bucket each.
 */
#include "netback-internal.h"

int nb_figures_open(struct nb_port *p, int fd, uint32_t nr_queues)
{
	const struct figures_layout layout = vif_figures_layout(nr_queues);
	int rc = figures_open(fd, &layout, &p->figures);
	struct vif_figures *first;

	if (rc)
		return rc;
	first = figures_part(p->figures, 0);
	vswitch_count_in(p->nb->sw, p->number, &first->port);
	return 0;
}

void nb_figures_close(struct nb_port *p)
{
	vswitch_count_in(p->nb->sw, p->number, NULL);
	figures_close(p->figures);
	p->figures = NULL;
}

void nb_figures_queue(struct nb_queue *q)
{
	q->count = figures_part(q->port->figures, q->index);
	q->count->rx_waiting = q->count->tx_in_flight = 0;
	figures_ring(q->port->figures, q->index, &q->trace);
}

/* ---- frames ------------------------------------------------------------------------- */

static struct vif_trace *trace(struct nb_queue *q, const struct nb_frame *f)
{
	struct netback *nb = q->port->nb;
	uint64_t since_ns = nb_ns(nb, spin_now_cycles() - f->since_cycles);
	struct vif_trace *t = figures_record(&q->trace, 0);

	*t = (struct vif_trace){
		.taken_ns = now_ns() - since_ns,
		.done_ns = (uint32_t)MIN(since_ns, UINT32_MAX),
		.bytes = f->bytes,
		.large_bytes = f->gso ? f->gso_bytes : 0,
		.blank = f->csum_blank,
	};
	return t;
}

void nb_figures_waited(struct netback *nb, const struct nb_frame *f, struct histogram *h)
{
	if (nb->cfg.cycles_per_us)
		histogram_add(h, nb_ns(nb, spin_now_cycles() - f->since_cycles), 1);
}

void nb_figures_trace_tx(struct nb_queue *q, const struct nb_frame *f, bool failed)
{
	struct vif_trace *t = trace(q, f);

	t->slots = (uint16_t)(f->record->nr_slots + f->record->nr_extras);
	t->failed = failed;
	figures_count(&q->trace, 1);
}

void nb_figures_trace_rx(struct nb_queue *q, const struct nb_plan *plan, uint32_t bytes,
			 bool failed)
{
	struct vif_trace *t = trace(q, plan->frame);

	t->bytes = bytes;
	t->slots = (uint16_t)plan->nr_slots;
	t->copies = (uint16_t)plan->copy_nr;
	t->large_bytes = plan->gso ? plan->gso_bytes : 0;
	t->received = true;
	t->failed = failed;
	figures_count(&q->trace, 1);
}

/* ---- passes ------------------------------------------------------------------------- */

void nb_figures_pushed(struct nb_queue *q, uint32_t nr_rings)
{
	struct netback *nb = q->port->nb;
	struct vif_figures *c = q->count;

	c->rx_waiting = q->fifo_nr;
	c->tx_in_flight = q->tx_used;
	c->rx_starved += q->blocked && q->fifo_nr && !nb_rx_is_held(q->port);
	if (!nr_rings)
		return;
	c->pushes += nr_rings;
	c->passes++;
	if (q->tx_at_once && nb->cfg.cycles_per_us)
		histogram_add(&c->tx_latency, nb->pass_ns, q->tx_at_once);
	if (q->rx_at_once && nb->cfg.cycles_per_us)
		histogram_add(&c->rx_latency, nb->pass_ns, q->rx_at_once);
	q->tx_at_once = q->rx_at_once = 0;
}
