/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's program on a network: sends, receives, asks and awaits the answer. Hides the
 * workload and what is in a frame; must not know cards. The other end is ../peer.c; the
 * words that both have in the job's page are no part of what is compared, so that who
 * sends waits for who receives without a frame of its own.
 */
#include <string.h>

#include "frames.h"
#include "guest.h"

#define BATCH 32u			/* frames that the card is told of at once */

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)

static const struct nic_model *card;
static bool offloads, stream, verify, measuring;
static uint32_t units;			/* of a frame that is sent */
static uint32_t next;			/* number or seq of the next */
static uint32_t last;			/* of the one received last */
static bool any;
static uint64_t copied_before;
static uint64_t memory_at = CMP_GPA_FRAMES;

void *net_memory(size_t bytes)
{
	uint64_t at = memory_at;

	memory_at += (bytes + CMP_PAGE - 1) & ~(uint64_t)(CMP_PAGE - 1);
	if (memory_at > CMP_RAM_BYTES)
		give_up(-12, "the driver's buffers are more than the guest's memory");
	return (void *)at;
}

static void begin(void)
{
	measuring = true;
	if (card->copied_bytes)
		copied_before = card->copied_bytes();
	call(CMP_CALL_BEGIN, 0, 0, 0, 0, 0);
}

static void end(void)
{
	call(CMP_CALL_END, 0, 0, 0, 0, 0);
	measuring = false;
	if (card->copied_bytes)
		job->copied_bytes = card->copied_bytes() - copied_before;
}

/* ---- sending ---------------------------------------------------------------------- */

static bool caught_up(void *arg)
{
	return LOAD(job->peer_credit) >= *(uint64_t *)arg;
}

/* Until half of the window is free: an interrupt for a few frames would not pay. */
static void await_credit(void)
{
	uint64_t least = job->sent + units > job->depth ? job->sent + units - job->depth : 0;
	uint64_t target = job->sent - job->depth / 2;

	if (LOAD(job->peer_credit) >= least)
		return;
	card->kick();
	if (target < least)
		target = least;
	if (target > job->sent)
		target = job->sent;
	__atomic_store_n(&job->wish, target, __ATOMIC_SEQ_CST);	/* with give_credit() */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	irq_wait(caught_up, &target);
	STORE(job->wish, 0);
}

static void fill(const struct nic_frame *f, uint32_t head_bytes, uint32_t at)
{
	uint32_t skip = head_bytes;

	for (unsigned int i = 0; i < f->nr; i++, skip = 0) {
		frame_fill((char *)f->piece[i].base + skip, at, f->piece[i].bytes - skip);
		at += f->piece[i].bytes - skip;
	}
}

/* Without a card that does it, as a system's network code does; such a frame is one piece. */
static void complete_checksum(const struct nic_frame *f)
{
	uint8_t *frame = f->piece[0].base;
	uint16_t sum = (uint16_t)~frame_fold(frame_sum(0, frame + FRAME_TCP_AT,
						       f->bytes - FRAME_TCP_AT));

	memcpy(frame + FRAME_TCP_AT + FRAME_CHECKSUM_AT, &sum, 2);
}

static void make_segments(struct nic_frame *f)
{
	uint32_t bytes = f->bytes - FRAME_SEGMENT;

	frame_segment_header(f->piece[0].base, false, next, bytes);
	if (verify)
		fill(f, FRAME_SEGMENT, next);
	f->blank = offloads;
	f->gso_bytes = bytes > CMP_SEGMENT ? CMP_SEGMENT : 0;
	if (!offloads)
		complete_checksum(f);
	next += bytes;
}

static void make_plain(struct nic_frame *f)
{
	frame_plain_header(f->piece[0].base, false, next);
	if (verify)
		fill(f, FRAME_PLAIN, frame_at(next));
	f->blank = false;
	f->gso_bytes = 0;
	next++;
}

static void send_one(void)
{
	uint32_t bytes = stream ? job->frame_bytes : frame_bytes_of(job, next);
	struct nic_frame f;

	while (!card->get(&f, bytes)) {
		card->kick();
		card->wait(NIC_SENDABLE);
	}
	if (stream)
		make_segments(&f);
	else
		make_plain(&f);
	card->send(&f);
	STORE(job->sent, job->sent + units);
	if (job->flags & CMP_EVERY_KICK)
		card->kick();
}

static void send_until(uint64_t end_ticks)
{
	while (now_ticks() < end_ticks) {
		for (unsigned int i = 0; i < BATCH; i++) {
			if (!(job->flags & CMP_FLOOD))
				await_credit();
			send_one();
		}
		card->kick();
	}
}

static void send_all(void)
{
	send_until(now_ticks() + job->warm_ticks);
	begin();
	send_until(now_ticks() + job->run_ticks);
	end();
	while (card->in_flight())
		pause_cpu();
}

/* ---- receiving ------------------------------------------------------------------------ */

static void in_order(uint32_t number)
{
	if (any && (int32_t)(number - last) <= 0)
		give_up(-74, "a frame came twice or late");
	last = number;
	any = true;
}

static bool contents_are(const struct nic_frame *f, uint32_t head_bytes, uint32_t at)
{
	uint32_t skip = head_bytes;

	for (unsigned int i = 0; i < f->nr; i++, skip = 0) {
		if (!frame_check((char *)f->piece[i].base + skip, at, f->piece[i].bytes - skip))
			return false;
		at += f->piece[i].bytes - skip;
	}
	return true;
}

/* A system does not look at a checksum that the card answers for. */
static void check_segment_sum(const struct nic_frame *f)
{
	if (f->blank)
		return;
	if (f->nr > 1 || !frame_segment_sum_ok(f->piece[0].base, f->bytes))
		give_up(-74, "a received segment has a wrong checksum");
}

static uint32_t take_segments(const struct nic_frame *f)
{
	const uint8_t *frame = f->piece[0].base;
	uint32_t seq = frame_get32(frame + FRAME_TCP_AT + 4);

	if (f->bytes < FRAME_SEGMENT || f->piece[0].bytes < FRAME_SEGMENT ||
	    frame[12] != 8 || frame[13] || frame[23] != 6)
		return 0;
	check_segment_sum(f);
	if (verify) {
		in_order(seq);
		if (f->bytes > CMP_FRAME_MAX && f->gso_bytes != CMP_SEGMENT)
			give_up(-74, "a received frame is large and does not say of what segments");
		if (!contents_are(f, FRAME_SEGMENT, seq))
			give_up(-74, "a received segment has other contents");
	}
	if (f->bytes > job->frame_bytes)
		job->frame_bytes = f->bytes;
	return (f->bytes - FRAME_SEGMENT) / CMP_SEGMENT;
}

static uint32_t take_plain(const struct nic_frame *f)
{
	const struct frame_plain *h = f->piece[0].base;
	uint32_t number;

	if (f->piece[0].bytes < FRAME_PLAIN || h->type[0] != FRAME_ETHERTYPE >> 8 ||
	    h->type[1] != (FRAME_ETHERTYPE & 255))
		return 0;
	number = frame_get32(h->number);
	if (verify) {
		in_order(number);
		if (f->bytes != frame_bytes_of(job, number) ||
		    !contents_are(f, FRAME_PLAIN, frame_at(number)))
			give_up(-74, "a received frame has other contents");
	}
	return 1;
}

/* All that has come; units of ours. */
static uint32_t receive_pass(void)
{
	uint32_t total = 0;
	struct nic_frame f;

	for (unsigned int i = 0; i < 2 * BATCH && card->receive(&f); i++) {
		total += stream ? take_segments(&f) : take_plain(&f);
		card->release(&f);
	}
	if (total)
		STORE(job->received, job->received + total);
	return total;
}

static void receive_until(uint64_t end_ticks)
{
	uint32_t n;

	while (now_ticks() < end_ticks) {
		n = receive_pass();
		if (measuring)
			job->ops += n;
		card->kick();
		if (!n)
			card->wait(NIC_RECEIVABLE);
	}
}

/* What was under way when the other end stopped; the time is looked at before the card. */
static void receive_rest(void)
{
	uint64_t silence = cmp_silence_ms(job->flags) * job->ticks_per_ms;
	uint64_t since = now_ticks();
	bool over;

	while (!LOAD(job->peer_done) || job->received < LOAD(job->peer_sent)) {
		over = LOAD(job->peer_done) && now_ticks() - since > silence;
		if (receive_pass())
			since = now_ticks();
		else if (over)
			return;
		card->kick();
		pause_cpu();
	}
}

static void receive_all(void)
{
	receive_until(now_ticks() + job->warm_ticks);
	begin();
	receive_until(now_ticks() + job->run_ticks);
	end();
	receive_rest();
}

/* ---- round trips ----------------------------------------------------------------------- */

static void trips_until(uint64_t end_ticks)
{
	uint64_t start = now_ticks(), now = start;

	for (; now < end_ticks; start = now) {
		send_one();
		card->kick();
		while (!receive_pass()) {
			card->kick();
			card->wait(NIC_RECEIVABLE);
		}
		card->kick();
		now = now_ticks();
		if (!measuring)
			continue;
		job->ops++;
		job->latency_ticks += now - start;
		job->hist[cmp_bucket(now - start)]++;
	}
}

static void round_trips(void)
{
	trips_until(now_ticks() + job->warm_ticks);
	begin();
	trips_until(now_ticks() + job->run_ticks);
	end();
}

void net_run(const struct nic_model *nic)
{
	card = nic;
	stream = frame_is_stream(job->op);
	verify = job->flags & CMP_VERIFY;
	offloads = card->open() && stream;
	units = stream && offloads ? CMP_SEGMENTS : 1;
	job->offloads = offloads;
	job->unit_bytes = stream ? CMP_SEGMENT : job->block_bytes;
	job->frame_bytes = job->op == CMP_STREAM_IN ? 0 :
			   stream ? FRAME_SEGMENT + units * CMP_SEGMENT : job->block_bytes;
	call(CMP_CALL_READY, 0, 0, 0, 0, 0);
	if (job->op == CMP_SEND || job->op == CMP_STREAM_OUT)
		send_all();
	else if (job->op == CMP_ROUND_TRIP)
		round_trips();
	else
		receive_all();
	card->close();
}
