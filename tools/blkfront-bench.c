/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-blkfront bench: how many operations, how fast, how evenly. Hides the
 * load and the arithmetic of latencies; must not know rings beyond the front
 * end's own statistics.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkfront-cmd.h"

/* ---- latencies: 64 steps per doubling, 1.6 % wide at most --------------------------- */

#define STEPS 64u
#define BUCKETS (STEPS * 40u)

struct latency {
	uint64_t count, sum_ns, min_ns, max_ns;
	uint32_t bucket[BUCKETS];
};

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift, b;

	if (ns < STEPS)
		return (unsigned int)ns;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - 6;
	b = (shift + 1) * STEPS + (unsigned int)((ns >> shift) - STEPS);
	return b < BUCKETS ? b : BUCKETS - 1;
}

/* The middle of a bucket. */
static uint64_t bucket_ns(unsigned int b)
{
	unsigned int shift;

	if (b < STEPS)
		return b;
	shift = b / STEPS - 1;
	return ((uint64_t)(b % STEPS + STEPS) << shift) + ((1ull << shift) >> 1);
}

static void latency_add(struct latency *l, uint64_t ns)
{
	l->bucket[bucket_of(ns)]++;
	l->sum_ns += ns;
	if (!l->count++ || ns < l->min_ns)
		l->min_ns = ns;
	if (ns > l->max_ns)
		l->max_ns = ns;
}

static double percentile_us(const struct latency *l, double share)
{
	uint64_t rank = (uint64_t)ceil((double)l->count * share), seen = 0, ns;
	unsigned int b;

	for (b = 0; b < BUCKETS; b++) {
		seen += l->bucket[b];
		if (seen < rank || !seen)
			continue;
		ns = bucket_ns(b);
		ns = ns > l->max_ns ? l->max_ns : ns < l->min_ns ? l->min_ns : ns;
		return (double)ns / 1000;
	}
	return 0;
}

/* ---- the load ------------------------------------------------------------------------ */

struct worker {
	struct bench *b;
	struct blkfront_io io;
	struct blkfront_iov iov;
	void *buf;
	bool shared, counts, busy;
	uint64_t started_ns;
	struct worker *next_idle;
};

struct bench {
	struct session *s;
	const struct args *a;
	struct worker *worker;
	unsigned int depth, nr_workers;
	bool random, writes, reads;
	uint64_t offset, nr_blocks, next, rng;
	uint64_t now_ns, end_ns, count_from_ns, ops_left;
	struct worker *idle;		/* those that wait for due_ns, with --rate */
	uint64_t every_ns, due_ns;	/* every 0: as fast as they come back */
	uint64_t idle_since_ns;		/* since when there has been one */
	uint64_t awake_ns;		/* what was due until then waited for us, if it did */
	bool sleeps;			/* with one idle */
	uint64_t missed;		/* were due, and none was idle before the end */
	uint64_t unanswered;		/* of those in latency */
	uint64_t first_ns, last_ns, bytes, wrong_at;
	bool counting, stopping, enough, wrong;
	struct blkfront_stats at_count;
	struct latency latency;
	int err;
};

static uint64_t rng_next(struct bench *b)
{
	b->rng ^= b->rng << 13;
	b->rng ^= b->rng >> 7;
	b->rng ^= b->rng << 17;
	return b->rng;
}

static uint64_t next_offset(struct bench *b)
{
	uint64_t block = b->random ?
		(uint64_t)(((unsigned __int128)rng_next(b) * b->nr_blocks) >> 64) :
		b->next++ % b->nr_blocks;

	return b->offset + block * b->a->bs_bytes;
}

static void submit(struct bench *b, struct worker *w)
{
	bool read = b->reads && (!b->writes || rng_next(b) % 100 < b->a->read_percent);
	int r;

	w->io.op = read ? BLKFRONT_READ : BLKFRONT_WRITE;
	w->io.offset_bytes = next_offset(b);
	w->io.queue++;
	if (!read && b->a->verify)
		pattern_fill(w->buf, b->a->bs_bytes, b->a->seed, w->io.offset_bytes);
	w->started_ns = b->now_ns;
	w->counts = b->counting;
	w->busy = true;
	r = blkfront_submit(b->s->f, &w->io);
	if (r == 0)
		return;
	if (!b->err)
		b->err = r;
	b->stopping = true;
}

static void submit_or_idle(struct bench *b, struct worker *w)
{
	if (!b->every_ns) {
		submit(b, w);
		return;
	}
	if (!b->idle)
		b->idle_since_ns = b->now_ns;
	w->next_idle = b->idle;
	b->idle = w;
}

static void begin_counting(struct bench *b, uint64_t at_ns)
{
	b->counting = true;
	b->first_ns = b->last_ns = at_ns;
	blkfront_stats(b->s->f, &b->at_count);
	if (!b->a->ops || b->a->seconds > 0)
		b->end_ns = at_ns + (uint64_t)((b->a->seconds > 0 ? b->a->seconds : 3) * 1e9);
	else
		b->end_ns = UINT64_MAX;
}

/*
 * It counts from when it was due, as for a program that does not wait for others' I/O: what
 * was held back by a disk that did not answer took that long. Our own sleep is not the disk's.
 */
static void submit_late(struct bench *b, struct worker *w)
{
	uint64_t could_ns = MAX(b->due_ns, b->idle_since_ns);

	submit(b, w);
	if (b->due_ns > b->awake_ns)
		w->started_ns = b->now_ns - (could_ns - b->due_ns);
}

/* Submits those that are due. Returns for how many milliseconds there is none; -1: for ever. */
static int submit_due(struct bench *b)
{
	struct worker *w;

	b->now_ns = now_ns();
	if (b->sleeps)
		b->awake_ns = b->now_ns;
	/* A stall that began before is counted from then on. */
	if (!b->counting && b->now_ns >= b->count_from_ns) {
		b->due_ns = MAX(b->due_ns, b->count_from_ns);
		begin_counting(b, b->count_from_ns);
	}
	while (b->idle && b->due_ns <= MIN(b->now_ns, b->end_ns - 1) && !b->stopping) {
		w = b->idle;
		b->idle = w->next_idle;
		submit_late(b, w);
		b->due_ns += b->every_ns;
	}
	b->stopping |= b->now_ns >= b->end_ns;
	b->sleeps = b->idle;
	if (!b->idle || b->stopping)
		return -1;
	return (int)MIN((MIN(b->due_ns, b->end_ns) - b->now_ns + 999999) / 1000000, 1000);
}

static void done(struct blkfront_io *io, int result)
{
	struct worker *w = io->arg;
	struct bench *b = w->b;
	size_t same;

	b->now_ns = now_ns();
	w->busy = false;
	if (result < 0) {
		b->err = b->err ? b->err : result;
		b->stopping = true;
		return;
	}
	if (io->op == BLKFRONT_READ && b->a->verify) {
		same = pattern_check(w->buf, b->a->bs_bytes, b->a->seed, io->offset_bytes);
		if (same < b->a->bs_bytes && !b->wrong) {
			b->wrong = b->stopping = true;
			b->wrong_at = io->offset_bytes + same;
		}
	}
	/* At a rate a stall at the end is part of it, too. */
	if (b->every_ns ? w->counts && !b->enough : b->counting && !b->stopping) {
		latency_add(&b->latency, b->now_ns - w->started_ns);
		b->bytes += b->a->bs_bytes;
		b->last_ns = b->now_ns;
		if (b->ops_left && !--b->ops_left)
			b->enough = b->stopping = true;
	} else if (!b->counting && b->now_ns >= b->count_from_ns && !b->every_ns) {
		begin_counting(b, b->now_ns);
	}
	if (b->now_ns >= b->end_ns && !b->every_ns)
		b->stopping = true;
	if (!b->stopping)
		submit_or_idle(b, w);
}

/*
 * The time that was, not that between the first and the last: with one there would be none.
 * Interrupted, what is under way has taken that long at least.
 */
static void end_at_rate(struct bench *b)
{
	uint64_t end_ns;

	b->now_ns = now_ns();
	end_ns = MIN(b->now_ns, b->end_ns);
	if (!b->enough && b->counting && b->due_ns < end_ns)
		b->missed = (end_ns - 1 - b->due_ns) / b->every_ns + 1;
	for (unsigned int i = 0; i < b->depth; i++) {
		if (!b->worker[i].busy || !b->worker[i].counts || b->enough)
			continue;
		latency_add(&b->latency, b->now_ns - b->worker[i].started_ns);
		b->unanswered++;
		b->last_ns = b->now_ns;
	}
	b->last_ns = MAX(b->last_ns, MIN(b->end_ns, b->first_ns + b->latency.count * b->every_ns));
}

static int run_at_rate(struct bench *b)
{
	int r = 0, wait_ms;

	b->due_ns = b->now_ns;
	while (r >= 0 && (!b->stopping || blkfront_inflight(b->s->f))) {
		wait_ms = submit_due(b);
		if (!b->stopping || blkfront_inflight(b->s->f))
			r = blkfront_rest(b->s->f, wait_ms);
		b->stopping |= blkfront_closing(b->s->f);
	}
	end_at_rate(b);
	return r < 0 ? r : b->err;
}

static int run(struct bench *b)
{
	unsigned int i, batch = b->a->batch ? b->a->batch : b->depth / 4, n;
	int r = 0;

	b->now_ns = now_ns();
	b->end_ns = UINT64_MAX;
	b->count_from_ns = b->now_ns + (uint64_t)(b->a->warmup_seconds * 1e9);
	b->ops_left = b->a->ops;
	/* What is not warmed up is counted whole: not from the first answer on. */
	if (b->count_from_ns == b->now_ns)
		begin_counting(b, b->now_ns);
	for (i = 0; i < b->depth && !b->stopping; i++)
		submit_or_idle(b, b->worker + i);
	if (b->every_ns)
		return run_at_rate(b);
	while (r >= 0 && (n = blkfront_inflight(b->s->f))) {
		r = blkfront_wait(b->s->f, !batch ? 1 : batch < n ? batch : n, -1);
		b->stopping |= blkfront_closing(b->s->f);
	}
	return r < 0 ? r : b->err;
}

/* ---- before and after ------------------------------------------------------------------- */

static int get_buffer(struct bench *b, struct worker *w)
{
	w->shared = !b->a->copy_data &&
		    blkfront_buffer_get(b->s->f, b->a->bs_bytes, &w->buf) == 0;
	if (!w->shared && posix_memalign(&w->buf, 4096, b->a->bs_bytes))
		return -ENOMEM;
	memset(w->buf, 0x5a, b->a->bs_bytes);
	w->b = b;
	w->iov = (struct blkfront_iov){ w->buf, b->a->bs_bytes };
	w->io.iov = &w->iov;
	w->io.nr_iov = 1;
	w->io.done = done;
	w->io.arg = w;
	return 0;
}

static void put_buffers(struct bench *b)
{
	unsigned int i;

	/* Interrupted: what the back end still has stays its own until we exit. */
	if (blkfront_inflight(b->s->f)) {
		b->stopping = true;
		front_linux_resume(b->s->front.fl);
		blkfront_wait(b->s->f, UINT32_MAX, 2000);
		if (blkfront_inflight(b->s->f))
			return;
	}
	for (i = 0; i < b->nr_workers; i++) {
		if (b->worker[i].shared)
			blkfront_buffer_put(b->s->f, b->worker[i].buf, b->a->bs_bytes);
		else
			free(b->worker[i].buf);
	}
	free(b->worker);
	b->worker = NULL;
}

static int get_buffers(struct bench *b)
{
	int r = 0;

	b->worker = calloc(b->depth, sizeof(*b->worker));
	if (!b->worker)
		return -ENOMEM;
	while (r == 0 && b->nr_workers < b->depth) {
		b->worker[b->nr_workers].io.queue = b->nr_workers;
		r = get_buffer(b, b->worker + b->nr_workers);
		if (r == 0)
			b->nr_workers++;
	}
	return r;
}

static ssize_t fill_pattern(void *arg, uint64_t offset, void *data, size_t bytes, bool *hole)
{
	struct bench *b = arg;

	(void)hole;
	pattern_fill(data, bytes, b->a->seed, offset);
	return (ssize_t)bytes;
}

static int check_pattern(void *arg, uint64_t offset, const void *data, size_t bytes)
{
	struct bench *b = arg;
	size_t same = pattern_check(data, bytes, b->a->seed, offset);

	if (same < bytes && !b->wrong) {
		b->wrong = true;
		b->wrong_at = offset + same;
	}
	return 0;
}

/* ---- the report ---------------------------------------------------------------------------- */

struct report {
	double seconds, iops, mib_s, notifies, wakeups, spin_share, hit_share;
	uint64_t ops;
	struct blkfront_stats d;
};

static void make_report(const struct bench *b, struct report *r)
{
	const struct blkfront_stats *z = &b->at_count;
	double cycles_s = (double)front_linux_cycles(1000) * 1000;

	blkfront_stats(b->s->f, &r->d);
	r->ops = b->latency.count - b->unanswered;
	r->seconds = (double)(b->last_ns - b->first_ns) / 1e9;
	r->iops = r->seconds > 0 ? (double)r->ops / r->seconds : 0;
	r->mib_s = r->seconds > 0 ? (double)b->bytes / 1048576 / r->seconds : 0;
	r->notifies = r->ops ? (double)(r->d.notifies_sent - z->notifies_sent) /
			       (double)r->ops : 0;
	r->wakeups = r->ops ? (double)(r->d.wakeups - z->wakeups) / (double)r->ops : 0;
	r->spin_share = r->seconds > 0 ? (double)(r->d.spin_cycles - z->spin_cycles) /
					 cycles_s / r->seconds : 0;
	r->hit_share = r->d.spins > z->spins ? (double)(r->d.spin_hits - z->spin_hits) /
					       (double)(r->d.spins - z->spins) : 0;
}

static void print_json(const struct bench *b, const struct report *r)
{
	const struct latency *l = &b->latency;
	const struct blkfront_info *i = &b->s->info;

	printf("{\"pattern\":\"%s\",\"bs_bytes\":%llu,\"depth\":%u,\"ops\":%llu,"
	       "\"seconds\":%.3f,\"iops\":%.0f,\"mib_per_s\":%.1f,", b->a->pattern,
	       (unsigned long long)b->a->bs_bytes, b->depth, (unsigned long long)r->ops,
	       r->seconds, r->iops, r->mib_s);
	printf("\"latency_us\":{\"min\":%.2f,\"mean\":%.2f,\"p50\":%.2f,\"p90\":%.2f,"
	       "\"p99\":%.2f,\"p99_9\":%.2f,\"max\":%.2f},",
	       (double)l->min_ns / 1000, l->count ? (double)l->sum_ns / 1000 / (double)l->count : 0,
	       percentile_us(l, .5), percentile_us(l, .9), percentile_us(l, .99),
	       percentile_us(l, .999), (double)l->max_ns / 1000);
	if (b->every_ns)
		printf("\"rate\":%u,\"missed\":%llu,", b->a->rate,
		       (unsigned long long)b->missed);
	printf("\"notifies_per_op\":%.4f,\"wakeups_per_op\":%.4f,\"spin_share\":%.3f,"
	       "\"spin_hit_share\":%.3f,", r->notifies, r->wakeups, r->spin_share, r->hit_share);
	printf("\"ring_order\":%u,\"max_segments\":%u,\"persistent\":%d,\"indirect\":%d,"
	       "\"fresh_grants\":%d,\"zero_copy\":%d,\"poll_us\":%u,\"verified\":%d}\n",
	       i->ring_order, i->max_segments, i->persistent, i->indirect,
	       b->a->blk.fresh_grants, b->worker && b->worker[0].shared, b->a->cli.poll_us,
	       b->a->verify && !b->wrong);
}

static void print_table(const struct bench *b, const struct report *r)
{
	const struct latency *l = &b->latency;
	const struct blkfront_info *i = &b->s->info;

	printf("%-10s %8s %6s %10s %10s %10s\n", "pattern", "bs", "depth", "ops", "IOPS",
	       "MiB/s");
	printf("%-10s %8llu %6u %10llu %10.0f %10.1f\n", b->a->pattern,
	       (unsigned long long)b->a->bs_bytes, b->depth, (unsigned long long)r->ops,
	       r->iops, r->mib_s);
	printf("latency us   min %.2f  mean %.2f  p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  "
	       "max %.2f\n", (double)l->min_ns / 1000,
	       l->count ? (double)l->sum_ns / 1000 / (double)l->count : 0,
	       percentile_us(l, .5), percentile_us(l, .9), percentile_us(l, .99),
	       percentile_us(l, .999), (double)l->max_ns / 1000);
	if (b->every_ns)
		printf("rate         %u a second, %llu more were due and not begun\n", b->a->rate,
		       (unsigned long long)b->missed);
	printf("per op       %.4f notifications sent, %.4f wake-ups\n", r->notifies, r->wakeups);
	if (b->a->cli.poll_us)
		printf("polling      %.0f %% of the looks paid, %.0f %% of the time spent: %s\n",
		       r->hit_share * 100, r->spin_share * 100,
		       r->hit_share >= .5 ? "it pays" : "it does not pay and is held back");
	else
		printf("polling      off\n");
	printf("ring         %u slots, requests up to %u pages (%s), %s grants, %s\n",
	       i->ring_slots, i->max_segments, i->indirect ? "indirect" : "direct",
	       b->a->blk.fresh_grants ? "fresh" : i->persistent ? "persistent" : "pool's",
	       b->worker && b->worker[0].shared ? "no copy" : "one copy");
	if (b->a->verify)
		printf("verified     %s\n", b->wrong ? "NO" : "yes");
}

/* ---- the subcommand --------------------------------------------------------------------------- */

static int check_args(const struct args *a)
{
	bool writes = strcmp(a->pattern, "read") && strcmp(a->pattern, "randread");

	if (!a->bs_bytes || a->bs_bytes % 512 || a->bs_bytes > 64u << 20)
		return front_complain(&a->cli, EXIT_USAGE,
				      "--bs must be a multiple of 512, up to 64M");
	if (a->rate && a->batch)
		return front_complain(&a->cli, EXIT_USAGE, "--rate or --batch: at a rate each "
				      "operation is begun by itself");
	if ((writes || a->verify) && !a->overwrite)
		return front_complain(&a->cli, EXIT_USAGE, "this destroys what is on %s; add "
				      "--overwrite if that is wanted", a->cli.device);
	return EXIT_OK;
}

/* Shared pages for every buffer, an indirect page each, and the library's reserve. */
static void size_pool(struct args *a, unsigned int depth)
{
	uint64_t pages = (a->bs_bytes + 4095) / 4096;

	if (a->blk.pool_pages)
		return;
	pages = depth * (pages + (pages > 11)) + 32;
	a->blk.pool_pages = pages < 384 ? 384 : pages > 4096 ? 4096 : (unsigned int)pages;
}

static int prepare(struct bench *b)
{
	uint64_t length, written;
	int r = session_range(b->s, true, &b->offset, &length);

	if (r != EXIT_OK)
		return r;
	if (b->a->bs_bytes % b->s->info.sector_bytes || b->a->bs_bytes > length)
		return front_complain(&b->a->cli, EXIT_USAGE, "--bs %llu does not fit %s: sectors "
				      "of %u bytes, %llu bytes to use",
				      (unsigned long long)b->a->bs_bytes, b->a->cli.device,
				      b->s->info.sector_bytes, (unsigned long long)length);
	b->nr_blocks = length / b->a->bs_bytes;
	r = b->a->verify ? stream_write(b->s, b->offset, length, fill_pattern, b, &written) : 0;
	if (r == 0)
		r = get_buffers(b);
	return r < 0 ? session_error(b->s, r, "preparing") : EXIT_OK;
}

static int finish(struct bench *b, int r)
{
	struct report report;

	if (r == 0 && b->a->verify && b->writes && !b->wrong)
		r = stream_read(b->s, b->offset, b->nr_blocks * b->a->bs_bytes, check_pattern, b);
	if (r < 0 && r != -EINTR)
		return session_error(b->s, r, "after %llu operations",
				     (unsigned long long)b->latency.count);
	if (r == 0 && !b->latency.count && !b->wrong && !blkfront_closing(b->s->f))
		return front_complain(&b->a->cli, EXIT_ERROR, "no operation has ended in the time "
				      "that counts: give more --seconds");
	make_report(b, &report);
	if (b->a->cli.json)
		print_json(b, &report);
	else
		print_table(b, &report);
	if (blkfront_closing(b->s->f))
		return front_complain_of(&b->a->cli, EXIT_ERROR,
					 "ended early, the back end asks for the device back");
	if (b->wrong)
		return front_complain_of(&b->a->cli, EXIT_DIFFERENT, "wrong data at offset %llu",
					 (unsigned long long)b->wrong_at);
	return r == -EINTR ? EXIT_INTERRUPTED : EXIT_OK;
}

int cmd_bench(const struct args *given)
{
	static struct bench b;
	struct args a = *given;
	struct session s;
	int r = check_args(&a);

	if (r != EXIT_OK)
		return r;
	b.depth = a.blk.depth ? a.blk.depth : 32;
	a.blk.depth = a.ring_order_given ? 0 : b.depth;
	size_pool(&a, b.depth);
	b.s = &s;
	b.a = &a;
	b.every_ns = a.rate ? 1000000000u / a.rate : 0;
	if (a.rate)
		a.cli.poll_us = 0;	/* what waits for its time sleeps */
	b.rng = a.seed * 0x9e3779b97f4a7c15u | 1;
	b.random = a.pattern[0] == 'r' && a.pattern[1] == 'a';
	b.random |= !strcmp(a.pattern, "mixed");
	b.reads = strcmp(a.pattern, "write") && strcmp(a.pattern, "randwrite");
	b.writes = strcmp(a.pattern, "read") && strcmp(a.pattern, "randread");
	r = session_open(&s, &a);
	if (r == EXIT_OK)
		r = prepare(&b);
	if (r == EXIT_OK)
		r = finish(&b, run(&b));
	if (s.f && b.worker)
		put_buffers(&b);
	return session_close(&s, r);
}
