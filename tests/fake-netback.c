/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scripted network back end in the test's own process. It checks what an
 * honest front end owes: grants that are there and of the right kind, sizes
 * that add up, ids that are not in use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-netback.h"

#define PAGE 4096u

struct fake_netback fake_nb;

static void bad(const char *what)
{
	fprintf(stderr, "\nfront end's mistake: %s", what);
	fake_nb.bad_requests++;
}

/* ---- tx: answers ---------------------------------------------------------------- */

void fake_tx_raw(uint32_t queue, struct netif_tx_response rsp)
{
	ring_back_put(fake_nb.tx + queue, &rsp, sizeof(rsp));
}

void fake_tx_push(uint32_t queue)
{
	if (ring_back_push(fake_nb.tx + queue)) {
		fake_nb.events_sent++;
		fake_raise_port(fake_nb.front.queue[queue].tx_port);
	}
}

static void answer(struct fake_netback *b, const struct fake_frame *f)
{
	struct netif_tx_response rsp;
	uint32_t i, k;

	for (i = 0; i < f->nr_slots; i++) {
		rsp.id = f->req[i].id;
		rsp.status = b->status;
		if (!b->twist_tx || b->twist_tx(b, &rsp))
			fake_tx_raw(f->queue, rsp);
		for (k = 0; i == 0 && k < f->nr_extras; k++) {
			rsp.id = 0xaaaa;	/* nobody may look at it */
			rsp.status = NETIF_RSP_NULL;
			fake_tx_raw(f->queue, rsp);
		}
	}
}

void fake_answer_held(uint32_t nr)
{
	struct fake_netback *b = &fake_nb;
	uint32_t q;

	for (; nr && b->nr_answered < b->nr_frames; nr--)
		answer(b, b->frame + b->nr_answered++);
	for (q = 0; q < b->front.nr_queues; q++)
		fake_tx_push(q);
}

/* ---- tx: requests ----------------------------------------------------------------- */

static void group(struct fake_netback *b, const struct netif_extra_info *extra)
{
	uint32_t i;

	if (extra->type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD) {
		memcpy(b->group[b->nr_groups++], extra->u.mcast.addr, 6);
		return;
	}
	for (i = 0; i < b->nr_groups; i++)
		if (!memcmp(b->group[i], extra->u.mcast.addr, 6))
			memcpy(b->group[i], b->group[--b->nr_groups], 6);
}

static void copy_slot(struct fake_frame *f, const struct netif_tx_request *req,
		      uint32_t at, uint32_t bytes)
{
	bool writable;
	uint8_t *page = fake_gnt_find(req->gref, &writable);

	if (!page)
		bad("a tx request's grant");
	else if (writable)
		bad("a tx page that may be written to");
	else if (req->offset + bytes > PAGE)
		bad("a tx request past its page");
	else if (!bytes)
		bad("an empty tx request");
	else
		memcpy(f->data + at, page + req->offset, bytes);
}

static void copy_frame(struct fake_netback *b, struct fake_frame *f)
{
	uint32_t i, rest = 0, at;

	for (i = 1; i < f->nr_slots; i++)
		rest += f->req[i].size;
	f->bytes = f->req[0].size;
	if (f->extra[0].type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD ||
	    f->extra[0].type == XEN_NETIF_EXTRA_TYPE_MCAST_DEL) {
		group(b, f->extra);
		f->bytes = 0;
		return;
	}
	f->data = malloc(f->bytes + 1u);
	if (f->bytes - rest < 14 || f->bytes < rest) {
		bad("a first slot without an Ethernet header");
		return;
	}
	copy_slot(f, f->req, 0, f->bytes - rest);
	for (i = 1, at = f->bytes - rest; i < f->nr_slots; at += f->req[i++].size)
		copy_slot(f, f->req + i, at, f->req[i].size);
}

static void check_ids(const struct fake_frame *f)
{
	uint32_t i, k;

	for (i = 0; i < f->nr_slots; i++)
		for (k = 0; k < i; k++)
			if (f->req[i].id == f->req[k].id)
				bad("a tx id twice");
}

/* One frame off the ring. Returns how many slots it took. */
static int take_frame(struct fake_netback *b, uint32_t queue)
{
	struct ring_back *ring = b->tx + queue;
	struct fake_frame *f = b->frame + b->nr_frames++ % FAKE_FRAMES_MAX;
	struct netif_extra_info extra;
	int n = 0;

	free(f->data);
	memset(f, 0, sizeof(*f));
	f->queue = queue;
	do {
		if (f->nr_slots == FAKE_SLOTS_MAX)
			abort();
		ring_back_take(ring, f->req + f->nr_slots, sizeof(f->req[0]));
		n++;
		if (f->nr_slots++ == 0 && f->req[0].flags & NETTXF_extra_info)
			do {
				ring_back_take(ring, &extra, sizeof(extra));
				f->extra[f->nr_extras++] = extra;
				n++;
			} while (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
	} while (f->req[f->nr_slots - 1].flags & NETTXF_more_data);
	if (f->nr_slots > XEN_NETIF_NR_SLOTS_MIN)
		bad("more slots than a back end must take");
	check_ids(f);
	copy_frame(b, f);
	return n;
}

static void echo(struct fake_netback *b, const struct fake_frame *f)
{
	const struct netif_extra_info *gso = f->nr_extras ? f->extra : NULL;
	uint16_t flags = 0;

	if (!f->bytes)
		return;
	if (f->req[0].flags & NETTXF_csum_blank)
		flags |= NETRXF_csum_blank | NETRXF_data_validated;
	if (!fake_rx_frame(f->queue, f->data, f->bytes, PAGE, 0, flags, gso, f->nr_extras))
		return;		/* as a real one: no buffers, no frame */
	fake_rx_push(f->queue);
	(void)b;
}

static void serve_tx(struct fake_netback *b, uint32_t q)
{
	uint32_t first = b->nr_frames, i;
	int n;

	do {
		n = ring_back_pending(b->tx + q);
		if (n < 0)
			abort();
		while (n > 0)
			n -= take_frame(b, q);
		if (n < 0)
			abort();	/* half a frame was published */
	} while (ring_back_final(b->tx + q) > 0);
	for (i = first; i < b->nr_frames && b->echo; i++)
		echo(b, b->frame + i % FAKE_FRAMES_MAX);
	if (b->hold)
		return;
	for (i = first; i < b->nr_frames; i++)
		answer(b, b->frame + (b->reverse ? b->nr_frames - 1 - (i - first) : i) %
		       FAKE_FRAMES_MAX);
	b->nr_answered = b->nr_frames;
	fake_tx_push(q);
}

/* ---- rx ------------------------------------------------------------------------------- */

uint32_t fake_rx_buffers(uint32_t queue)
{
	int n = ring_back_pending(fake_nb.rx + queue);

	if (n < 0)
		abort();
	return (uint32_t)n;
}

/*
 * The buffer of the next request, which is at the index of the next response; fill: it
 * will be written to.
 */
static uint8_t *take_buffer(uint32_t queue, uint16_t *id, bool fill)
{
	struct ring_back *ring = fake_nb.rx + queue;
	struct netif_rx_request req;
	uint8_t *page;
	bool writable = false;

	if (ring->req_cons != ring->rsp_prod_pvt)
		abort();
	ring_back_take(ring, &req, sizeof(req));
	page = fake_gnt_find(req.gref, &writable);
	if (!page && fake_nb.page_of) {
		page = fake_nb.page_of(req.gref, fill);
		writable = true;
	}
	if (!page || !writable)
		bad("an rx request's grant");
	if (req.id != (ring->rsp_prod_pvt & 255))
		bad("an rx request's id is not its slot");
	*id = req.id;
	return page;
}

bool fake_rx_raw(uint32_t queue, struct netif_rx_response rsp, bool keep_id)
{
	uint16_t id;

	if (!fake_rx_buffers(queue))
		return false;
	take_buffer(queue, &id, fake_nb.raw_fills);
	if (!keep_id)
		rsp.id = id;
	ring_back_put(fake_nb.rx + queue, &rsp, sizeof(rsp));
	return true;
}

bool fake_rx_extra(uint32_t queue, const struct netif_extra_info *extra)
{
	uint16_t id;

	if (!fake_rx_buffers(queue))
		return false;
	take_buffer(queue, &id, false);
	ring_back_put(fake_nb.rx + queue, extra, sizeof(*extra));
	return true;
}

bool fake_rx_frame(uint32_t queue, const void *data, uint32_t bytes, uint32_t slot_bytes,
		   uint32_t offset, uint16_t flags, const struct netif_extra_info *extra,
		   uint32_t nr_extras)
{
	uint32_t nr = (bytes + slot_bytes - 1) / slot_bytes, at, n, i;
	struct netif_rx_response rsp;
	uint8_t *page;

	if (fake_rx_buffers(queue) < nr + nr_extras)
		return false;
	for (at = 0; at < bytes; at += n) {
		n = bytes - at < slot_bytes ? bytes - at : slot_bytes;
		page = take_buffer(queue, &rsp.id, true);
		memcpy(page + offset, (const uint8_t *)data + at, n);
		rsp.offset = (uint16_t)offset;
		rsp.status = (int16_t)n;
		rsp.flags = at ? 0 : flags | (nr_extras ? NETRXF_extra_info : 0);
		if (at + n < bytes)
			rsp.flags |= NETRXF_more_data;
		ring_back_put(fake_nb.rx + queue, &rsp, sizeof(rsp));
		for (i = 0; !at && i < nr_extras; i++) {
			struct netif_extra_info e = extra[i];

			e.flags = i + 1 < nr_extras ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
			fake_rx_extra(queue, &e);
		}
	}
	return true;
}

void fake_rx_push(uint32_t queue)
{
	if (ring_back_push(fake_nb.rx + queue)) {
		fake_nb.events_sent++;
		fake_raise_port(fake_nb.front.queue[queue].rx_port);
	}
}

/* ---- control ----------------------------------------------------------------------------- */

static uint32_t set_map(struct fake_netback *b, const struct xen_netif_ctrl_request *req)
{
	const uint32_t *page = fake_gnt_find(req->data[0], NULL);

	if (!page || req->data[1] + req->data[2] > b->nr_map)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	memcpy(b->map + req->data[2], page, req->data[1] * 4);
	return 0;
}

static uint32_t set_key(struct fake_netback *b, const struct xen_netif_ctrl_request *req)
{
	const uint8_t *page = fake_gnt_find(req->data[0], NULL);

	if (!page)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	if (req->data[1] > sizeof(b->key))
		return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
	memcpy(b->key, page, req->data[1]);
	b->nr_key = req->data[1];
	return 0;
}

static uint32_t add_grefs(struct fake_netback *b, const struct xen_netif_ctrl_request *req)
{
	const struct xen_netif_gref *list = fake_gnt_find(req->data[1], NULL);
	uint32_t i;
	bool writable;

	if (!list || req->data[2] > 512 || b->nr_mapped + req->data[2] > 4096)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	for (i = 0; i < req->data[2]; i++) {
		if (!fake_gnt_find(list[i].ref, &writable) ||
		    writable == (list[i].flags & XEN_NETIF_CTRLF_GREF_readonly))
			return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
		b->mapped[b->nr_mapped++] = list[i];
	}
	return 0;
}

static uint32_t del_grefs(struct fake_netback *b, const struct xen_netif_ctrl_request *req,
			  uint32_t *gone)
{
	struct xen_netif_gref *list = fake_gnt_find(req->data[1], NULL);
	uint32_t i, k;

	for (i = 0; list && i < req->data[2]; i++) {
		list[i].status = XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
		for (k = 0; k < b->nr_mapped; k++)
			if (b->mapped[k].ref == list[i].ref) {
				b->mapped[k] = b->mapped[--b->nr_mapped];
				list[i].status = 0;
				++*gone;
				break;
			}
	}
	return 0;
}

static uint32_t control(struct fake_netback *b, const struct xen_netif_ctrl_request *req,
			uint32_t *data)
{
	switch (req->type) {
	case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
		*data = 15;
		return b->algorithm ? 0 : XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
		b->hash_types = req->data[0];
		return b->algorithm ? 0 : XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
		return set_key(b, req);
	case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
		*data = b->map_limit;
		return 0;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
		b->nr_map = req->data[0];
		return b->nr_map > b->map_limit ? XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER : 0;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
		return set_map(b, req);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
		b->algorithm = req->data[0];
		return 0;
	case XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE:
		*data = b->gref_limit;
		return 0;
	case XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING:
		return add_grefs(b, req);
	case XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING:
		return del_grefs(b, req, data);
	default:
		return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	}
}

static void serve_ctrl(struct fake_netback *b)
{
	struct xen_netif_ctrl_request req;
	struct xen_netif_ctrl_response rsp;

	do {
		while (ring_back_pending(&b->ctrl) > 0) {
			ring_back_take(&b->ctrl, &req, sizeof(req));
			memset(&rsp, 0, sizeof(rsp));
			rsp.id = req.id;
			rsp.type = req.type;
			rsp.status = b->ctrl_status;
			if (!rsp.status)
				rsp.status = control(b, &req, &rsp.data);
			if (!b->twist_ctrl || b->twist_ctrl(b, &rsp))
				ring_back_put(&b->ctrl, &rsp, sizeof(rsp));
		}
	} while (ring_back_final(&b->ctrl) > 0);
	if (ring_back_push(&b->ctrl))
		fake_raise_port(b->front.ctrl_port);
}

/* ---- states --------------------------------------------------------------------------------- */

static void set_state(XenbusState state)
{
	char text[2] = { (char)('0' + state), 0 };

	if (strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), text))
		fake_xs_put(FAKE_BACK_DIR "/state", text);
}

static void *ring_of(uint32_t gref)
{
	bool writable = false;
	void *page = fake_gnt_find(gref, &writable);

	if (!page || !writable)
		abort();
	return page;
}

static void connect_rings(struct fake_netback *b, struct xs_handle *xs)
{
	struct key_error err;
	uint32_t q;
	int r = vif_read_frontend(xs, FAKE_FRONT_DIR, &b->features, &b->front, &err);

	if (r == -EIO)		/* a test's failing store: next time */
		return;
	if (r < 0) {
		fprintf(stderr, "front end's %s is wrong\n", err.key);
		abort();
	}
	for (q = 0; q < b->front.nr_queues; q++) {
		ring_back_init(b->tx + q, ring_of(b->front.queue[q].tx_gref), PAGE,
			       sizeof(union netif_tx_sring_entry), 0);
		ring_back_init(b->rx + q, ring_of(b->front.queue[q].rx_gref), PAGE,
			       sizeof(union netif_rx_sring_entry), 0);
	}
	if (b->front.ctrl_ring)
		ring_back_init(&b->ctrl, ring_of(b->front.ctrl_gref), PAGE,
			       sizeof(union xen_netif_ctrl_sring_entry), 0);
	b->connected = true;
	set_state(XenbusStateConnected);
}

static void step(struct fake_netback *b)
{
	struct xs_handle *xs = fake_xs_open(0);

	switch (xenbus_read_state(xs, FAKE_FRONT_DIR)) {
	case XenbusStateInitialising:
		if (!b->connected && strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), "5"))
			set_state(XenbusStateInitWait);
		break;
	case XenbusStateConnected:	/* Linux takes Initialised for nothing */
		if (!b->connected && !strcmp(fake_xs_get(FAKE_BACK_DIR "/state"), "2"))
			connect_rings(b, xs);
		break;
	case XenbusStateClosing:
	case XenbusStateClosed:
		if (b->never_closes)
			break;
		b->connected = false;
		set_state(XenbusStateClosed);
		break;
	default:
		break;
	}
	xs_close(xs);
}

void fake_netback_serve(void)
{
	struct fake_netback *b = &fake_nb;
	uint32_t q;

	for (q = 0; q < b->front.nr_queues; q++)
		serve_tx(b, q);
}

static void turn(void)
{
	struct fake_netback *b = &fake_nb;
	uint32_t q;

	b->sleeps++;
	if (b->on_sleep)
		b->on_sleep(b);
	if (!b->mute)
		step(b);
	/* An idle back end looks at a ring only when it was told to. */
	for (q = 0; b->connected && !b->stuck && q < b->front.nr_queues; q++)
		if (fake_notified(b->front.queue[q].tx_port))
			serve_tx(b, q);
	if (b->connected && b->front.ctrl_ring && !b->ctrl_mute &&
	    fake_notified(b->front.ctrl_port))
		serve_ctrl(b);
}

void fake_netback_reset(void)
{
	uint32_t i;

	for (i = 0; i < FAKE_FRAMES_MAX; i++)
		free(fake_nb.frame[i].data);
	memset(&fake_nb, 0, sizeof(fake_nb));
	fake_nb.features = (struct vif_features){
		.sg = true, .gso_tcpv4 = true, .gso_tcpv6 = true, .ipv6_csum = true,
		.rx_copy = true, .split_event_channels = true, .multicast_control = true,
		.dynamic_multicast_control = true, .ctrl_ring = true, .max_queues = 4,
	};
	fake_nb.map_limit = 1024;
	fake_nb.gref_limit = 4096;
	fake_env_reset(FAKE_FRONT_DIR, FAKE_BACK_DIR);
	fake_xs_put(FAKE_FRONT_DIR "/mac", "00:16:3e:00:00:01");
}

struct front_env *fake_netback_env(void)
{
	struct xs_handle *xs = fake_xs_open(0);

	vif_write_features(xs, XBT_NULL, FAKE_BACK_DIR, &fake_nb.features);
	xs_close(xs);
	return fake_env(turn);
}

void fake_netback_end(void)
{
	uint32_t i;

	for (i = 0; i < FAKE_FRAMES_MAX; i++) {
		free(fake_nb.frame[i].data);
		fake_nb.frame[i].data = NULL;
	}
	fake_env_end();
}
