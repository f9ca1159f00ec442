/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue: its making, its passes, its end. The steps of a request are in
 * blkback-parse.c, -data.c, -execute.c and -complete.c. Must not know XenStore,
 * the supervisor, or when to sleep.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "blkback-internal.h"

_Static_assert(BLKABI_SLOT_BYTES_MAX <= JOURNAL_REQUEST_BYTES, "a slot fits a record");
_Static_assert(BLKBACK_SEGMENTS_MAX <= SEGMENT_POOL_RUN_MAX, "a request fits the pool");
_Static_assert(BLKBACK_SEGMENTS_MAX <= BLKABI_SEGMENTS_PER_PAGE *
	       BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, "a slot has that many grefs");

uint32_t blkback_nr_slots(enum vbd_abi abi, uint32_t order)
{
	return ring_nr_slots((size_t)GRANT_PAGE_BYTES << order, blkabi_slot_bytes(abi));
}

static void set_limits(struct blk_limits *l, const struct vbd_features *f)
{
	*l = (struct blk_limits){
		.sectors = f->sectors,
		.sector_mask = MAX(f->sector_bytes, VBD_SECTOR_BYTES) / VBD_SECTOR_BYTES - 1,
		.max_indirect_segments = MIN(f->max_indirect_segments, BLKBACK_SEGMENTS_MAX),
		.read_only = f->read_only,
		.flush = f->flush,
		.barrier = f->barrier,
		.discard = f->discard,
		.discard_secure = f->discard_secure,
	};
}

static int open_figures(struct blkback *b)
{
	const struct figures_layout layout = blk_figures_layout(1);
	struct figures *f = b->cfg.figures;
	int err = f ? 0 : figures_open(-1, &layout, &b->own_figures);

	if (err)
		return err;
	b->count = figures_part(f ? f : b->own_figures, f ? b->cfg.queue : 0);
	figures_ring(f ? f : b->own_figures, f ? b->cfg.queue : 0, &b->trace);
	b->count->in_flight = b->count->cache_size_pages = 0;
	b->none.taken_cycles = UINT64_MAX;	/* never */
	for (uint32_t i = 0; i < BLK_NR_ACTIONS; i++)
		b->last[i] = &b->none;
	return 0;
}

int blkback_open(const struct blkback_queue_config *cfg, struct blkback **out)
{
	struct blkback *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->cfg = *cfg;
	set_limits(&b->limits, cfg->features);
	b->slot_bytes = blkabi_slot_bytes(cfg->abi);
	b->limited = cfg->limit && blkback_limit_is_on(cfg->limit);
	blk_list_clear(&b->held);
	b->requests = calloc(cfg->nr_slots, sizeof(b->requests[0]));
	err = b->requests ? open_figures(b) : -ENOMEM;
	if (!err)
		err = blk_data_open(b);
	if (!err)
		err = segment_pool_open(&b->pool);
	if (err) {
		blkback_close(b);
		return err;
	}
	*out = b;
	return 0;
}

void blkback_close(struct blkback *b)
{
	if (!b)
		return;
	assert(!blkback_busy(b) && !b->nr_unpushed);
	blk_data_close(b);
	segment_pool_close(b->pool);
	figures_close(b->own_figures);
	free(b->requests);
	free(b);
}

struct blk_figures *blkback_figures(struct blkback *b)
{
	return b->count;
}

void blkback_set_clock(struct blkback *b, uint64_t cycles_per_us)
{
	b->ns_per_2_20_cycles = (1000ull << 20) / cycles_per_us;
}

void blkback_set_sectors(struct blkback *b, uint64_t sectors)
{
	b->limits.sectors = sectors;
}

uint32_t blkback_in_flight(const struct blkback *b)
{
	return ring_back_inflight(&b->ring);
}

bool blkback_busy(const struct blkback *b)
{
	return b->executing || b->held.first;
}

int blkback_pending(const struct blkback *b)
{
	return b->no_room || b->held_back ? 0 : ring_back_pending(&b->ring);
}

/* What a queue without room waits for is its own requests' end, or the time. */
int blkback_final(struct blkback *b)
{
	return b->no_room || b->held_back ? 0 : ring_back_final(&b->ring);
}

bool blkback_is_held_back(const struct blkback *b)
{
	return b->held_back;
}

bool blkback_is_newly_held(const struct blkback *b)
{
	return b->newly_held;
}

/* What was paid for a wait that may be another one now is lost. */
void blkback_limit_changed(struct blkback *b)
{
	b->limited = blkback_limit_is_on(b->cfg.limit);
	b->held_back = b->turn.paid = false;
}

/* ---- starting ------------------------------------------------------------------- */

/* syscalls disk: ioctl(IOCTL_EVTCHN_NOTIFY) */
/*
 * Writes again, in their order, the responses that were not published. The
 * event is sent in any case: the predecessor may have died just before it.
 */
static void resume(struct blkback *b, const struct journal_recovery *rec)
{
	uint8_t rsp[BLKABI_RESPONSE_BYTES_MAX];
	struct blkabi_request parsed;

	ring_back_resume(&b->ring, rec->req_cons);
	for (uint32_t i = 0; i < rec->nr_answered; i++) {
		const struct journal_record *r = rec->answered[i];
		size_t bytes;

		blkabi_parse(b->cfg.abi, r->request, &parsed);
		bytes = blkabi_response(b->cfg.abi, parsed.id, r->operation, r->status, rsp);
		ring_back_put(&b->ring, rsp, bytes);
		b->nr_unpushed++;
	}
	blk_push(b);
	xenevtchn_notify(b->xce, b->port);
}

int blkback_start(struct blkback *b, void *ring, size_t bytes,
		  const struct journal_recovery *recovery,
		  xenevtchn_handle *xce, evtchn_port_t port)
{
	uint32_t rsp_prod = recovery ? recovery->rsp_prod : ring_back_start(ring);

	b->xce = xce;
	b->port = port;
	ring_back_init(&b->ring, ring, bytes, b->slot_bytes, rsp_prod);
	assert(b->ring.nr_slots == b->cfg.nr_slots);
	if (recovery && !ring_back_fits(&b->ring, recovery->req_cons))
		return -ESTALE;
	if (recovery)
		resume(b, recovery);
	else
		journal_reset(b->cfg.journal, rsp_prod);
	return MIN(ring_back_pending(&b->ring), 0);
}

/* ---- taking ----------------------------------------------------------------------- */

/* How many of a request's segments need the pool: 0 when the slot has room, or none has. */
static uint32_t pooled_segments(const struct blkback *b, const uint8_t *head)
{
	uint32_t nr = blkabi_indirect_segments(head);

	return nr <= BLKABI_DIRECT_MAX || nr > b->limits.max_indirect_segments ? 0 : nr;
}

static bool has_room(const struct blkback *b, const uint8_t *head)
{
	uint32_t nr = pooled_segments(b, head);

	return !nr || segment_pool_has(b->pool, nr);
}

bool blkback_has_room(const struct blkback *b, const struct journal_record *record)
{
	return has_room(b, record->request);
}

/* One that was used before, or the next that never was: idle memory stays idle. */
static struct blk_request *new_request(struct blkback *b, struct journal_record *record)
{
	uint32_t nr = pooled_segments(b, record->request);
	struct blk_request *req = b->free;

	if (req) {
		b->free = req->next;
	} else {
		assert(b->nr_used < b->cfg.nr_slots);
		req = &b->requests[b->nr_used++];
		req->b = b;
	}
	req->record = record;
	req->taken_cycles = b->taken_cycles;
	req->traced = b->tracing;
	if (__builtin_expect(req->traced, 0))
		req->submitted_ns = 0;
	req->paid = false;
	req->pool_at = nr ? segment_pool_take(b->pool, nr) : SEGMENT_POOL_NONE;
	return req;
}

static void use_arrays(struct blkback *b, struct blk_request *req)
{
	uint32_t at = req->pool_at;

	if (at == SEGMENT_POOL_NONE) {
		req->segs = req->direct_segs;
		req->grefs = req->direct_grefs;
		req->holds = req->direct_holds;
		req->pages = req->direct_pages;
		req->iov = req->direct_iov;
	} else {
		req->segs = b->large->segs + at;
		req->grefs = b->large->grefs + at;
		req->holds = b->large->holds + at;
		req->pages = b->large->pages + at;
		req->iov = b->large->iov + at;
	}
}

static int get_segments(struct blkback *b, struct blk_request *req,
			const struct blkabi_request *parsed, const char **why)
{
	int err = 0;

	if (req->plan.nr_segments > BLKABI_DIRECT_MAX && req->pool_at == SEGMENT_POOL_NONE) {
		*why = "it was changed while it was taken";
		return -EINVAL;
	}
	use_arrays(b, req);
	if (req->plan.indirect)
		err = blk_data_fetch_segments(b, req, parsed->indirect_grefs);
	else
		memcpy(req->segs, parsed->segs,
		       req->plan.nr_segments * sizeof(req->segs[0]));
	if (err) {
		*why = "a page of its segments is not granted";
		return -EINVAL;
	}
	return blk_parse_segments(&b->limits, &req->plan, req->segs, why);
}

/* Fills req->plan from the record's private copy. 0, -EINVAL or -EOPNOTSUPP. */
static int parse(struct blkback *b, struct blk_request *req, const char **why)
{
	struct blkabi_request parsed;
	int err;

	blkabi_parse(b->cfg.abi, req->record->request, &parsed);
	req->id = parsed.id;
	err = blk_parse(&b->limits, &parsed, &req->plan, why);
	if (!err && req->plan.nr_segments)
		err = get_segments(b, req, &parsed, why);
	return err;
}

static void refuse(struct blkback *b, struct blk_request *req, int err, const char *why)
{
	int16_t status = err == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;

	if (err == -EOPNOTSUPP)
		b->count->unsupported++;
	else
		b->count->errors++;
	log_peer_at(b->cfg.log, LOG_LEVEL_WARNING,
		    "request refused: %s (operation %u, sector %llu, %u segments)", why,
		    req->record->request[0], (unsigned long long)req->plan.sector,
		    req->plan.nr_segments);
	if (__builtin_expect(req->traced, 0))
		blk_trace_answer(b, req, status);
	blk_answer(b, req, status);
}

static void begin(struct blkback *b, struct blk_request *req, struct blk_list *ready)
{
	const char *why = "";
	int err = parse(b, req, &why);

	if (req->paid && !err)
		blk_limit_correct(b->cfg.limit, &req->paid_cost, &req->plan,
				  disk_overwrites(b->cfg.disk));
	if (err)
		refuse(b, req, err, why);
	else
		blk_admit(b, req, ready);
}

/* Whether the request that comes next can be taken now. */
static bool next_fits(struct blkback *b)
{
	uint8_t head[BLKABI_HEAD_BYTES];
	bool paid = b->turn.paid;

	ring_back_peek(&b->ring, head, sizeof(head));
	b->no_room = !has_room(b, head);
	b->held_back = !b->no_room && b->limited &&
		       !blk_limit_may_go(b->cfg.limit, &b->turn, head);
	b->newly_held = b->held_back && !paid;
	b->left_behind = b->no_room || b->held_back;
	return !b->left_behind;
}

static void take_payment(struct blkback *b, struct blk_request *req)
{
	req->paid = b->turn.paid;
	req->paid_cost = b->turn.cost;
	b->turn.paid = false;
}

/* Into records first, all of a pass: one store counts them. Returns how many. */
static uint32_t take(struct blkback *b, uint32_t nr, struct blk_list *taken)
{
	uint32_t i;

	for (i = 0; i < nr && next_fits(b); i++) {
		struct journal_record *r = journal_take(b->cfg.journal, b->ring.req_cons,
							b->epoch);
		struct blk_request *req;

		ring_back_take(&b->ring, r->request, b->slot_bytes);
		if (blkback_record_is_barrier(r))
			b->epoch++;
		req = new_request(b, r);
		take_payment(b, req);
		blk_list_add(taken, req);
	}
	if (i)
		journal_taken(b->cfg.journal, b->ring.req_cons);
	b->count->requests += i;
	b->count->throttled += b->held_back;
	return i;
}

static uint32_t take_and_execute(struct blkback *b, uint32_t nr)
{
	struct blk_list taken, ready;
	struct blk_request *req;

	blk_list_clear(&taken);
	blk_list_clear(&ready);
	b->taken_cycles = b->cfg.now_cycles ? *b->cfg.now_cycles : spin_now_cycles();
	b->tracing = figures_wanted(&b->trace);
	nr = take(b, nr, &taken);
	while ((req = blk_list_take(&taken)))
		begin(b, req, &ready);
	blk_execute(b, &ready);
	return nr;
}

bool blkback_record_is_barrier(const struct journal_record *record)
{
	return record->request[0] == BLKIF_OP_WRITE_BARRIER;
}

void blkback_replay(struct blkback *b, struct journal_record *record)
{
	struct blk_list ready;

	blk_list_clear(&ready);
	b->count->replayed++;
	b->taken_cycles = spin_now_cycles();
	if (blkback_record_is_barrier(record) && b->epoch <= record->epoch)
		b->epoch = record->epoch + 1;	/* as all other queues, at the gate */
	begin(b, new_request(b, record), &ready);
	blk_execute(b, &ready);
}

/* ---- a pass ------------------------------------------------------------------------ */

/* Goes on until nothing moves: the last copies may be what a barrier waits for. */
static void settle(struct blkback *b)
{
	for (;;) {
		if (b->held.first || b->look_at_gate)
			blk_run_held(b);
		if (!b->copying_out.first)
			break;
		blk_data_copy_out(b);
	}
	blk_push(b);
	b->count->in_flight = blkback_in_flight(b);
}

uint32_t blkback_drain_pass(struct blkback *b)
{
	uint64_t before = b->count->responses;

	/* What the ring has is not waited for, by another queue's barrier either. */
	b->held_back = b->left_behind = false;
	disk_reap(b->cfg.disk);
	if (b->starved.first)
		blk_run_starved(b);
	settle(b);
	return (uint32_t)(b->count->responses - before);
}

int blkback_pass(struct blkback *b)
{
	uint64_t before = b->count->responses;
	int nr;

	disk_reap(b->cfg.disk);
	if (b->starved.first)
		blk_run_starved(b);
	nr = ring_back_pending(&b->ring);
	b->left_behind = b->no_room = b->held_back = b->newly_held = false;
	if (nr > 0)
		nr = (int)take_and_execute(b, (uint32_t)nr);
	settle(b);
	if (nr < 0)
		return nr;
	nr += (int)(uint32_t)(b->count->responses - before);
	b->count->passes += nr > 0;
	return nr;
}
