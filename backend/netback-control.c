/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control ring: how a guest wants its frames spread over its queues, and which
 * of its pages it wants to be kept mapped.
 *
 * Hides: the messages, the tables that they fill, the choice of a queue. Must
 * not know: frames on their way (but their headers), how pages are mapped
 * (netback-mapping.c).
 *
 * Everything here is slow and rare: one copy at a time. A sum that could wrap is
 * compared by subtraction, since sizes and offsets are a stranger's. Mapping is so
 * slow that the other ports would notice a front end that does nothing else: its
 * next message waits in proportion to what the last one cost.
 */
#include <errno.h>
#include <string.h>
#include "netback-internal.h"

#define ALL_HASH_TYPES (XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP | \
			XEN_NETIF_CTRL_HASH_TYPE_IPV6 | XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)
#define MESSAGES_AT_A_TIME 16u
#define WORK_OF_A_CALL 16u		/* in pages */
#define WORK_PER_MS 16u			/* some hundredths of the time, then */

/* ---- hashing ----------------------------------------------------------------------------- */

static int copy_in(struct nb_port *p, uint32_t gref, void *to, uint32_t bytes)
{
	struct grant_batch *b = &p->nb->pulls;

	grant_batch_from(b, to, p->domid, gref, 0, (uint16_t)bytes);
	return grant_batch_flush(b);
}

static uint32_t set_algorithm(struct nb_port *p, uint32_t algorithm)
{
	if (algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_NONE &&
	    algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	p->hash->algorithm = algorithm;
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t get_types(struct nb_port *p, uint32_t *data)
{
	if (p->hash->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
		return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	*data = ALL_HASH_TYPES;
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_types(struct nb_port *p, uint32_t types)
{
	if (types & ~(uint32_t)ALL_HASH_TYPES ||
	    p->hash->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	p->hash->types = types;
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_key(struct nb_port *p, uint32_t gref, uint32_t bytes)
{
	uint8_t key[FRAME_HASH_KEY_BYTES] = { 0 };

	if (bytes > sizeof(key))
		return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
	if (bytes && copy_in(p, gref, key, bytes))
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	memcpy(p->hash->key, key, sizeof(key));
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_map_size(struct nb_port *p, uint32_t nr)
{
	if (nr > NB_HASH_MAP_MAX)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	p->hash->nr_map = nr;
	memset(p->hash->map, 0, sizeof(p->hash->map));
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_map(struct nb_port *p, uint32_t gref, uint32_t nr, uint32_t at)
{
	uint32_t part[NB_HASH_MAP_MAX];

	if (nr > p->hash->nr_map || at > p->hash->nr_map - nr)
		return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
	if (!nr)
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	if (copy_in(p, gref, part, nr * (uint32_t)sizeof(part[0])))
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	for (uint32_t i = 0; i < nr; i++)
		if (part[i] >= p->nr_queues)
			return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	memcpy(p->hash->map + at, part, nr * sizeof(part[0]));
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* ---- static grants ------------------------------------------------------------------- */

static uint32_t get_list_size(const struct nb_port *p, uint32_t queue, uint32_t *data)
{
	if (queue >= p->nr_queues)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	*data = nb_mapping_max(p);
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* False: the message's arguments are wrong, or its list cannot be read. */
static bool get_list(struct nb_port *p, const uint32_t *args, struct xen_netif_gref *list)
{
	return args[0] < p->nr_queues && args[2] <= NB_MAPPED_MAX &&
	       (!args[2] || !copy_in(p, args[1], list, args[2] * (uint32_t)sizeof(*list)));
}

static void rest(struct nb_port *p)
{
	p->ctrl_rest_until_ms = p->nb->now_ms + 1 +
				(p->mapping_work + WORK_OF_A_CALL) / WORK_PER_MS;
	p->mapping_work = 0;
}

static uint32_t add_grefs(struct nb_port *p, const uint32_t *args)
{
	struct xen_netif_gref list[NB_MAPPED_MAX];
	int rc;

	if (!get_list(p, args, list))
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	if (!args[2])
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	rc = nb_mapping_add(p->queue[args[0]], list, args[2]);
	rest(p);
	if (!rc)
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	log_peer_at(p->log, LOG_LEVEL_WARNING, "a list of %u static grants is refused: %s",
		    args[2], strerror(-rc));
	return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
}

/* In list, and in the front end's page: which grants are there to be taken out. */
static bool tell_deleted(struct nb_port *p, const uint32_t *args, struct xen_netif_gref *list,
			 uint32_t *found)
{
	struct grant_batch *b = &p->nb->pulls;

	*found = nb_mapping_mark(p->queue[args[0]], list, args[2]);
	grant_batch_to(b, p->domid, args[1], 0, list, (uint16_t)(args[2] * sizeof(*list)));
	return !grant_batch_flush(b);
}

static void note_deleted(const struct nb_port *p, struct nb_queue_journal *j, uint32_t found)
{
	j->deleting = 0;
	NB_STEP();
	j->deleted_at = p->journal.file->ctrl_rsp_prod;
	j->deleted = found;
	NB_STEP();
	j->deleting = 1;
	NB_STEP();
}

/*
 * The front end is told first: if it cannot be, nothing is done. By whom it has been told
 * some may be gone already (netback-journal.h).
 */
static uint32_t del_grefs(struct nb_port *p, const uint32_t *args, uint32_t *data)
{
	struct xen_netif_gref list[NB_MAPPED_MAX];
	struct nb_queue_journal *j;
	uint32_t found;
	int rc;

	if (!get_list(p, args, list))
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	if (!args[2])
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	j = p->queue[args[0]]->journal;
	if (j->deleting && j->deleted_at == p->journal.file->ctrl_rsp_prod && j->deleted <= args[2]) {
		nb_mapping_mark(p->queue[args[0]], list, args[2]);
		found = j->deleted;
	} else if (tell_deleted(p, args, list, &found)) {
		note_deleted(p, j, found);
	} else {
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	}
	rc = nb_mapping_del(p->queue[args[0]], list, args[2]);
	if (rc)
		log_peer_at(p->log, LOG_LEVEL_WARNING,
			    "static grants that are left cannot be mapped again: %s", strerror(-rc));
	rest(p);
	*data = found;
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* ---- messages -------------------------------------------------------------------------- */

static uint32_t act(struct nb_port *p, const struct xen_netif_ctrl_request *req, uint32_t *data)
{
	switch (req->type) {
	case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
		return set_algorithm(p, req->data[0]);
	case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
		return get_types(p, data);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
		return set_types(p, req->data[0]);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
		return set_key(p, req->data[0], req->data[1]);
	case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
		*data = NB_HASH_MAP_MAX;
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
		return set_map_size(p, req->data[0]);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
		return set_map(p, req->data[0], req->data[1], req->data[2]);
	case XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE:
		return get_list_size(p, req->data[0], data);
	case XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING:
		return add_grefs(p, req->data);
	case XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING:
		return del_grefs(p, req->data, data);
	default:
		return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	}
}

bool nb_control_rests(const struct nb_port *p)
{
	return p->ctrl_rest_until_ms > p->nb->now_ms;
}

/* syscalls bridge: ioctl(IOCTL_EVTCHN_NOTIFY) */
/* One message, from the ring to its answer there: netback-journal.h. */
static void answer(struct nb_port *p)
{
	struct nb_journal_file *f = p->journal.file;
	struct xen_netif_ctrl_response rsp;

	ring_back_take(&p->ctrl, &f->ctrl_taken, sizeof(f->ctrl_taken));
	NB_STEP();
	f->ctrl_req_cons = p->ctrl.req_cons;
	NB_STEP();
	memset(&rsp, 0, sizeof(rsp));
	rsp.id = f->ctrl_taken.id;
	rsp.type = f->ctrl_taken.type;
	rsp.status = act(p, &f->ctrl_taken, &rsp.data);
	NB_STEP();
	ring_back_put(&p->ctrl, &rsp, sizeof(rsp));
	NB_STEP();
	f->ctrl_rsp_prod = p->ctrl.rsp_prod_pvt;
	NB_STEP();
	if (ring_back_push(&p->ctrl)) {
		p->nb->stats.notifies++;
		xenevtchn_notify(p->nb->cfg.xce, p->ctrl_evtchn);
	}
}

uint32_t nb_control(struct nb_port *p)
{
	int nr = ring_back_pending(&p->ctrl);
	uint32_t i;

	if (nr < 0) {
		nb_break(p, "the control ring's producer is impossible");
		return 0;
	}
	for (i = 0; i < (uint32_t)nr && i < MESSAGES_AT_A_TIME && !nb_control_rests(p); i++)
		answer(p);
	return i;
}

uint32_t nb_choose_queue(const struct nb_port *p, struct nb_frame *f, uint32_t *hash,
			 uint32_t *type)
{
	const struct nb_hash *h = p->hash;

	*hash = *type = 0;
	if (h->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE || !h->types) {
		if (p->nr_queues == 1 || !nb_parse(f))
			return 0;
		return frame_flow(f->head, &f->frame) % p->nr_queues;
	}
	if (nb_parse(f))
		*hash = frame_hash(f->head, &f->frame, h->key, h->types, type);
	if (!h->nr_map)
		return *hash % p->nr_queues;
	return h->map[*hash % h->nr_map];
}
