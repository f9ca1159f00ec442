/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A netback's ports: what is mapped, bound and allocated for each, and given
 * back (netback.h).
 *
 * Hides: how an event channel's number leads to a queue. Must not know: how
 * frames move.
 */
#include "netback.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include "netback-internal.h"

/* ---- small things that all files use ------------------------------------------------- */

void nb_activate(struct nb_queue *q)
{
	struct netback *nb = q->port->nb;

	if (q->active)
		return;
	q->active = true;
	q->next_active = nb->active;
	nb->active = q;
}

void nb_activate_ctrl(struct nb_port *p)
{
	if (p->ctrl_active)
		return;
	p->ctrl_active = true;
	p->next_ctrl = p->nb->ctrl;
	p->nb->ctrl = p;
}

void nb_break(struct nb_port *p, const char *why)
{
	if (p->broken)
		return;
	p->broken = true;
	log_peer_at(p->log, LOG_LEVEL_ERROR, "%s; the %s is stopped", why,
		    p->fd < 0 ? "vif" : "uplink");
	p->nb->cfg.broken(p->nb->cfg.arg, p->number, why);
}

bool nb_parse(struct nb_frame *f)
{
	if (!f->parsed)
		f->parsed = !frame_parse(f->head, f->head_bytes, f->bytes, &f->frame);
	return f->parsed;
}

uint32_t nb_head_parts(const struct nb_frame *f, uint8_t tag, uint16_t tci,
		       uint8_t tag_bytes[4], struct nb_part part[3])
{
	const uint32_t macs = 2 * VSWITCH_MAC_BYTES;
	uint32_t skip = tag == VSWITCH_TAG_PUSH ? 0 : FRAME_TAG_BYTES;

	if (tag == VSWITCH_TAG_KEEP) {
		part[0] = (struct nb_part){ f->head, f->head_bytes };
		return 1;
	}
	part[0] = (struct nb_part){ f->head, macs };
	part[1] = (struct nb_part){ f->head + macs + skip, f->head_bytes - macs - skip };
	if (tag == VSWITCH_TAG_POP)
		return 2;
	part[2] = part[1];
	tag_bytes[0] = 0x81;
	tag_bytes[1] = 0x00;
	tag_bytes[2] = (uint8_t)(tci >> 8);
	tag_bytes[3] = (uint8_t)tci;
	part[1] = (struct nb_part){ tag_bytes, FRAME_TAG_BYTES };
	return 3;
}

/* ---- open and close -------------------------------------------------------------------- */

/* syscalls start: mmap */
/* Address space for the largest frames; memory comes with use. */
static int open_buffers(struct netback *nb)
{
	const struct grant_own *own = nb->cfg.own;

	nb->buffers = mmap(NULL, (size_t)NB_BUFFERS * NB_BUFFER_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (nb->buffers == MAP_FAILED) {
		nb->buffers = NULL;
		return -ENOMEM;
	}
	nb->buffer_frames = calloc(NB_BUFFERS, sizeof(*nb->buffer_frames));
	if (!nb->buffer_frames)
		return -ENOMEM;
	for (uint32_t i = NB_BUFFERS; i--;) {
		struct nb_frame *m = &nb->buffer_frames[i];

		m->own = own && i < NB_OWN_BUFFERS;
		m->buffer = (m->own ? own->pages + NB_AREAS * NB_AREA_BYTES : nb->buffers) +
			    (size_t)i * NB_BUFFER_BYTES;
		nb_buffer_put(nb, m);
	}
	return 0;
}

/* syscalls start: mmap */
static int open_areas(struct netback *nb)
{
	const struct grant_own *own = nb->cfg.own;

	nb->areas = own ? own->pages :
		    mmap(NULL, NB_AREAS * NB_AREA_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (nb->areas == MAP_FAILED) {
		nb->areas = NULL;
		return -ENOMEM;
	}
	nb->heads.own = nb->pulls.own = nb->copies.own = own;
	for (uint32_t i = NB_AREAS; i--;)
		nb->free_areas[nb->nr_areas++] = (uint16_t)i;
	return 0;
}

/* syscalls start: getrandom */
static int open_parts(struct netback *nb)
{
	xengnttab_handle *xgt = nb->cfg.xgt;
	int rc = vswitch_open(&nb->cfg.sw, &nb->sw);

	if (!rc)
		rc = grant_batch_open(&nb->heads, xgt, NB_COPIES);
	if (!rc)
		rc = grant_batch_open(&nb->pulls, xgt, NB_COPIES);
	if (!rc)
		rc = grant_batch_open(&nb->copies, xgt, NB_COPIES);
	if (!rc)
		rc = open_areas(nb);
	if (!rc)
		rc = open_buffers(nb);
	if (rc)
		return rc;
	if (getrandom(&nb->mapping_factor, sizeof(nb->mapping_factor), 0) < 0)
		return -errno;
	nb->mapping_factor |= 1;
	nb->scratch = calloc(NB_COPIES, sizeof(*nb->scratch));
	return nb->scratch ? 0 : -ENOMEM;
}

int netback_open(const struct netback_config *cfg, struct netback **out)
{
	struct netback *nb = calloc(1, sizeof(*nb));
	int rc;

	if (!nb)
		return -ENOMEM;
	nb->cfg = *cfg;
	rc = open_parts(nb);
	if (rc) {
		netback_close(nb);
		return rc;
	}
	*out = nb;
	return 0;
}

/* syscalls bridge: munmap */
void netback_close(struct netback *nb)
{
	if (!nb)
		return;
	for (uint32_t i = 0; i < nb->nr_ports; i++)
		if (nb->port[i])
			netback_remove_port(nb, i);
	nb_mirror_close(nb);
	nb_flip_close(nb);
	grant_batch_close(&nb->heads);
	grant_batch_close(&nb->pulls);
	grant_batch_close(&nb->copies);
	if (nb->buffers)
		munmap(nb->buffers, (size_t)NB_BUFFERS * NB_BUFFER_BYTES);
	if (nb->areas && !nb->cfg.own)
		munmap(nb->areas, NB_AREAS * NB_AREA_BYTES);
	free(nb->buffer_frames);
	free(nb->scratch);
	free(nb->evtchn);
	vswitch_close(nb->sw);
	free(nb);
}

struct vswitch *netback_switch(struct netback *nb)
{
	return nb->sw;
}

void netback_stats(const struct netback *nb, struct netback_stats *out)
{
	*out = nb->stats;
}

/* ---- event channels ----------------------------------------------------------------------- */

static int note_evtchn(struct netback *nb, evtchn_port_t evtchn, struct nb_evtchn what)
{
	uint32_t nr = nb->nr_evtchn;
	struct nb_evtchn *more;

	if (evtchn >= nr) {
		nr = MAX(evtchn + 1, nr * 2);
		more = realloc(nb->evtchn, nr * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memset(more + nb->nr_evtchn, 0, (nr - nb->nr_evtchn) * sizeof(*more));
		nb->evtchn = more;
		nb->nr_evtchn = nr;
	}
	nb->evtchn[evtchn] = what;
	return 0;
}

/* syscalls bridge: ioctl(IOCTL_EVTCHN_BIND_INTERDOMAIN) ioctl(IOCTL_EVTCHN_UNBIND) */
static int bind(struct netback *nb, uint32_t domid, uint32_t remote, struct nb_evtchn what,
		evtchn_port_t *out)
{
	xenevtchn_port_or_error_t evtchn;
	int rc;

	errno = 0;
	evtchn = xenevtchn_bind_interdomain(nb->cfg.xce, domid, remote);
	if (evtchn < 0)
		return errno ? -errno : -EIO;
	rc = note_evtchn(nb, (evtchn_port_t)evtchn, what);
	if (rc) {
		xenevtchn_unbind(nb->cfg.xce, (evtchn_port_t)evtchn);
		return rc;
	}
	*out = (evtchn_port_t)evtchn;
	return 0;
}

/* syscalls bridge: ioctl(IOCTL_EVTCHN_UNBIND) */
static void unbind(struct netback *nb, bool bound, evtchn_port_t evtchn)
{
	if (!bound)
		return;
	memset(&nb->evtchn[evtchn], 0, sizeof(nb->evtchn[evtchn]));
	xenevtchn_unbind(nb->cfg.xce, evtchn);
}

/* Up to where requests were published, as far as that can be. */
static uint32_t published(const struct ring_back *ring)
{
	return ring->req_cons + (uint32_t)MAX(ring_back_pending(ring), 0);
}

/* Since the last event, whether they were taken meanwhile or cannot be yet. */
static bool brings_requests(struct nb_evtchn *e)
{
	uint32_t before = e->published;

	e->published = e->queue ? published(&e->queue->tx) + published(&e->queue->rx) :
				  published(&e->ctrl->ctrl);
	return e->published != before;
}

uint32_t netback_event(struct netback *nb, evtchn_port_t evtchn)
{
	struct nb_evtchn *e;

	if (evtchn >= nb->nr_evtchn)
		return 0;
	e = &nb->evtchn[evtchn];
	if (!e->queue && !e->ctrl)
		return 0;
	e->nr_empty = brings_requests(e) ? 0 : e->nr_empty + 1;
	if (e->queue) {
		e->queue->count->wakeups++;
		nb_activate(e->queue);
	}
	if (e->ctrl)
		nb_activate_ctrl(e->ctrl);
	return e->nr_empty;
}

void netback_complain(struct netback *nb, evtchn_port_t evtchn, const char *what)
{
	const struct nb_evtchn *e = &nb->evtchn[evtchn];
	const struct nb_port *p = e->queue ? e->queue->port : e->ctrl;

	log_peer_at(p->log, LOG_LEVEL_WARNING, "%s", what);
}

/* ---- guests -------------------------------------------------------------------------------- */

static int fail(char *why, size_t bytes, int rc, const char *what, uint32_t index)
{
	snprintf(why, bytes, "%s of queue %u: %s", what, index, strerror(-rc));
	return rc;
}

/* What the front end has taken back, or never gave, is its doing. */
static int as_peers(int rc)
{
	return rc == -ENOENT || rc == -EACCES || rc == -EINVAL ? -EPROTO : rc;
}

static int map_ring(const struct nb_port *p, uint32_t gref, void **page)
{
	return grant_map_ring(p->nb->cfg.xgt, p->nb->cfg.room, p->domid, &gref, 1, page);
}

static int bind_queue(struct nb_queue *q, const struct vif_queue *ask, char *why, size_t bytes)
{
	struct netback *nb = q->port->nb;
	struct nb_evtchn what = { .queue = q };
	int rc = bind(nb, q->port->domid, ask->tx_port, what, &q->tx_evtchn);

	if (rc)
		return as_peers(fail(why, bytes, rc, "cannot bind the event channel", q->index));
	q->tx_bound = true;
	q->rx_evtchn = q->tx_evtchn;
	if (ask->rx_port == ask->tx_port)
		return 0;
	rc = bind(nb, q->port->domid, ask->rx_port, what, &q->rx_evtchn);
	if (rc)
		return as_peers(fail(why, bytes, rc, "cannot bind the rx event channel", q->index));
	q->rx_bound = true;
	return 0;
}

static int open_queue(struct nb_port *p, uint32_t index, const struct vif_queue *ask,
		      char *why, size_t bytes)
{
	struct nb_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return fail(why, bytes, -ENOMEM, "no memory for the frames", index);
	p->queue[p->nr_queues++] = q;
	q->port = p;
	q->index = index;
	q->journal = &p->journal.file->queue[index];
	nb_figures_queue(q);
	for (uint32_t i = NB_RING_SLOTS; i--;) {
		q->frames[i].record = &q->journal->record[i];
		q->frames[i].next = q->free;
		q->free = &q->frames[i];
	}
	rc = map_ring(p, ask->tx_gref, &q->tx_page);
	if (rc)
		return as_peers(fail(why, bytes, rc, "cannot map the tx ring", index));
	rc = map_ring(p, ask->rx_gref, &q->rx_page);
	if (rc)
		return as_peers(fail(why, bytes, rc, "cannot map the rx ring", index));
	/* Whoever has the channels has the rings and the journal: only then are they touched. */
	rc = bind_queue(q, ask, why, bytes);
	if (rc)
		return rc;
	rc = nb_journal_start_tx(&p->journal, index, q->tx_page, &q->tx);
	if (rc)
		return fail(why, bytes, rc, "cannot go on with the tx ring", index);
	rc = nb_journal_start_rx(&p->journal, index, q->rx_page, &q->rx);
	if (rc)
		return fail(why, bytes, rc, "cannot go on with the rx ring", index);
	nb_mapping_resume(q);
	return 0;
}

static int open_ctrl(struct nb_port *p, const struct vif_frontend *f, char *why, size_t bytes)
{
	struct nb_evtchn what = { .ctrl = p };
	int rc;

	if (!f->ctrl_ring)
		return 0;
	rc = map_ring(p, f->ctrl_gref, &p->ctrl_page);
	if (!rc)
		rc = bind(p->nb, p->domid, f->ctrl_port, what, &p->ctrl_evtchn);
	p->ctrl_bound = !rc;
	if (!rc)
		rc = nb_journal_start_ctrl(&p->journal, p->ctrl_page, &p->ctrl);
	if (rc) {
		snprintf(why, bytes, "cannot connect the control ring: %s", strerror(-rc));
		return as_peers(rc);
	}
	nb_activate_ctrl(p);
	return 0;
}

/* With what a predecessor was told by the front end. */
static int open_journal(struct nb_port *p, const struct netback_vif *cfg, char *why,
			size_t bytes)
{
	int rc = nb_journal_open(&p->journal, cfg->journal_fd, cfg->front->nr_queues);

	if (!rc)
		rc = nb_journal_check_settings(&p->journal);
	if (rc) {
		snprintf(why, bytes, "the journal of what is in flight is not usable: %s",
			 strerror(-rc));
		return rc;
	}
	p->hash = &p->journal.file->hash;
	for (uint32_t i = 0; i < p->journal.file->nr_groups; i++)
		vswitch_multicast_add(p->nb->sw, p->number, p->journal.file->group[i]);
	return 0;
}

static int new_port(struct netback *nb, const struct vswitch_port_config *cfg,
		    struct log_peer *log, struct nb_port **out)
{
	struct nb_port *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	rc = vswitch_add_port(nb->sw, cfg, &p->number);
	if (rc) {
		free(p);
		return rc;
	}
	p->nb = nb;
	p->log = log;
	p->fd = -1;
	p->weight = LIMIT_WEIGHT_DEFAULT;
	nb->port[p->number] = p;
	nb->nr_ports = MAX(nb->nr_ports, p->number + 1);
	if (nb->mirror)
		netback_set_port(nb, p->number, cfg);
	*out = p;
	return 0;
}

/*
 * One slot without sg; and what the tool stack says, where it does. A tag comes on top,
 * as everywhere.
 */
static uint32_t frame_bytes_max(const struct vif_frontend *f)
{
	uint32_t max = f->sg ? XEN_NETIF_MAX_TX_SIZE : GRANT_PAGE_BYTES - FRAME_TAG_BYTES;

	return f->mtu_bytes ? MIN(max, f->mtu_bytes + FRAME_ETH_BYTES + FRAME_TAG_BYTES) : max;
}

static void take_wishes(struct nb_port *p, const struct netback_vif *cfg)
{
	const struct vif_frontend *f = cfg->front;

	p->domid = cfg->domid;
	p->sg = f->sg;
	p->gso_tcpv4 = f->gso_tcpv4;
	p->gso_tcpv6 = f->gso_tcpv6;
	p->ipv4_csum = !f->no_csum;
	p->ipv6_csum = f->ipv6_csum;
	p->tells = f->rx_notify;
	p->frame_bytes_max = frame_bytes_max(f);
	p->flips = f->rx_flip && !f->rx_copy && nb_flip_is_there(p->nb->flip);
}

/* syscalls bridge: ioctl(IOCTL_EVTCHN_NOTIFY) */
int netback_add_vif(struct netback *nb, const struct netback_vif *cfg, uint32_t *out,
		    char *why, size_t why_bytes)
{
	struct nb_port *p;
	int rc = new_port(nb, cfg->port, cfg->log, &p);

	/* The switch's own word: rings and event channels may exist, too. */
	if (rc == -EEXIST)
		rc = -EADDRINUSE;
	if (rc) {
		snprintf(why, why_bytes, "no port on the switch: %s", strerror(-rc));
		return rc;
	}
	take_wishes(p, cfg);
	netback_set_multicast_control(nb, p->number, cfg->front->multicast_control);
	rc = open_journal(p, cfg, why, why_bytes);
	if (!rc) {
		rc = nb_figures_open(p, cfg->figures_fd, cfg->front->nr_queues);
		if (rc)
			snprintf(why, why_bytes, "no memory for figures");
	}
	for (uint32_t i = 0; !rc && i < cfg->front->nr_queues; i++)
		rc = open_queue(p, i, &cfg->front->queue[i], why, why_bytes);
	if (!rc)
		rc = open_ctrl(p, cfg->front, why, why_bytes);
	if (!rc && cfg->rate_bytes) {
		rc = netback_set_rate(nb, p->number, cfg->rate_bytes, cfg->rate_usec);
		if (rc)
			snprintf(why, why_bytes, "a rate of %llu bytes in %u microseconds cannot be kept",
				 (unsigned long long)cfg->rate_bytes, cfg->rate_usec);
	}
	if (rc) {
		netback_remove_port(nb, p->number);
		return rc;
	}
	if (cfg->limit)
		netback_set_limit(nb, p->number, cfg->limit);
	nb_journal_begin(&p->journal);
	nb_journal_began(&p->journal, now_ns());
	/* What was sent before we came had its event then; what was answered may not have. */
	for (uint32_t i = 0; i < p->nr_queues; i++) {
		nb_activate(p->queue[i]);
		xenevtchn_notify(nb->cfg.xce, p->queue[i]->rx_evtchn);
		if (p->queue[i]->tx_evtchn != p->queue[i]->rx_evtchn)
			xenevtchn_notify(nb->cfg.xce, p->queue[i]->tx_evtchn);
	}
	if (p->ctrl_bound)
		xenevtchn_notify(nb->cfg.xce, p->ctrl_evtchn);
	*out = p->number;
	return 0;
}

int netback_set_rate(struct netback *nb, uint32_t port, uint64_t rate_bytes, uint32_t rate_usec)
{
	struct nb_port *p = nb->port[port];

	p->wait_until_us = 0;
	return shaper_configure(&p->rate, rate_bytes, rate_usec, 0, nb->now_us);
}

void netback_set_limit(struct netback *nb, uint32_t port, const struct limit *limit)
{
	struct nb_port *p = nb->port[port];

	p->wait_until_us = p->rx_wait_until_us = 0;
	p->weight = limit->weight ? (uint32_t)limit->weight : LIMIT_WEIGHT_DEFAULT;
	limiter_set(&p->limit, limit, nb->now_us);
}

void netback_set_multicast_control(struct netback *nb, uint32_t port, bool on)
{
	vswitch_multicast_filter(nb->sw, port, on);
}

/* ---- uplinks ---------------------------------------------------------------------------------- */

int netback_add_uplink(struct netback *nb, int fd, bool offloads,
		       const struct vswitch_port_config *port, struct log_peer *log,
		       uint32_t *out)
{
	struct nb_port *p;
	int rc = new_port(nb, port, log, &p);

	if (rc)
		return rc;
	p->fifo = calloc(NB_TAKEN, sizeof(*p->fifo));
	if (!p->fifo) {
		netback_remove_port(nb, p->number);
		return -ENOMEM;
	}
	p->is_uplink = true;
	p->fd = fd;
	p->offloads = offloads;
	p->next_uplink = nb->uplinks;
	nb->uplinks = p;
	*out = p->number;
	return 0;
}

void netback_uplink_ready(struct netback *nb, uint32_t port)
{
	nb->port[port]->readable = true;
}

/* ---- removal ----------------------------------------------------------------------------------- */

static void leave_lists(struct netback *nb, struct nb_port *p)
{
	for (struct nb_port **at = &nb->uplinks; *at; at = &(*at)->next_uplink)
		if (*at == p) {
			*at = p->next_uplink;
			break;
		}
	for (struct nb_port **at = &nb->ctrl; *at; at = &(*at)->next_ctrl)
		if (*at == p) {
			*at = p->next_ctrl;
			break;
		}
	if (nb->cut && nb->cut->port == p)
		nb->cut = NULL;
	for (struct nb_queue **at = &nb->active; *at;) {
		if ((*at)->port == p)
			*at = (*at)->next_active;
		else
			at = &(*at)->next_active;
	}
}

/* What p sent must not wait anywhere, and nothing may wait for p. */
static void purge(struct netback *nb, struct nb_port *p)
{
	for (uint32_t i = 0; i < nb->nr_ports; i++) {
		struct nb_port *other = nb->port[i];

		for (uint32_t j = 0; other && j < other->nr_queues; j++)
			nb_rx_purge(other->queue[j], other == p ? NULL : p);
	}
}

/* syscalls bridge: ioctl(IOCTL_EVTCHN_NOTIFY) */
static void close_queue(struct netback *nb, struct nb_queue *q)
{
	if (q->tx_bound) {
		/* What was answered while purging. */
		nb_tx_push(q);
		xenevtchn_notify(nb->cfg.xce, q->tx_evtchn);
	}
	unbind(nb, q->rx_bound, q->rx_evtchn);
	unbind(nb, q->tx_bound, q->tx_evtchn);
	nb_mapping_close(q);
	grant_unmap(nb->cfg.xgt, q->tx_page, 1);
	grant_unmap(nb->cfg.xgt, q->rx_page, 1);
	free(q);
}

void netback_leave(struct netback *nb)
{
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < nb->nr_ports; i++)
		if (nb->port[i] && nb->port[i]->journal.file)
			nb_journal_leave(&nb->port[i]->journal, now);
}

void netback_remove_port(struct netback *nb, uint32_t port)
{
	struct nb_port *p = nb->port[port];

	purge(nb, p);
	leave_lists(nb, p);
	for (uint32_t i = 0; i < p->nr_queues; i++)
		close_queue(nb, p->queue[i]);
	unbind(nb, p->ctrl_bound, p->ctrl_evtchn);
	grant_unmap(nb->cfg.xgt, p->ctrl_page, 1);
	nb_journal_close(&p->journal);
	nb_figures_close(p);
	vswitch_remove_port(nb->sw, port);
	nb->port[port] = NULL;
	free(p->fifo);
	free(p);
}
