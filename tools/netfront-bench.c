/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-netfront bench: frames per second, and round trips.
 *
 * Hides: which mode does what, the figures. Must not know: slots, headers.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfront-cmd.h"
#include "netfront-packet.h"

#define BATCH_MAX 256u
#define BUCKETS 4096u			/* of 16 per doubling of nanoseconds */
#define TURNS_PER_CLOCK 16u
#define PATTERNS 251u			/* that follow each other in numbered frames */
#define HEAD_BYTES 64u

struct bench {
	struct session *s;
	unsigned int batch;
	uint64_t start_ns, end_ns, stop_ns;	/* stop 0: until interrupted */
	uint64_t frames, bytes, number;
	uint64_t min_ns, max_ns, sum_ns, latencies, bucket[BUCKETS];
	uint64_t sent_ns[BATCH_MAX];
	struct netfront_frame out[BATCH_MAX], in[BATCH_MAX];
	uint8_t data[NETFRONT_FRAME_BYTES_MAX + 1 + PATTERNS];	/* what bodies are cut from */
	uint64_t wrong;
	uint8_t slot[BATCH_MAX][HEAD_BYTES];	/* heads of the frames of one batch */
	struct netfront_stats before, after;
};

static const uint8_t nobody[6] = { 0x02, 0x70, 0x76, 0, 0, 1 };

/* ---- latencies ------------------------------------------------------------------------ */

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int top = 63u - (unsigned int)__builtin_clzll(ns | 16);

	return (top - 4) * 16 + (unsigned int)(ns >> (top - 4) & 15) + (ns >= 16 ? 16 : 0);
}

static double bucket_us(unsigned int b)
{
	return b < 32 ? b / 1000. : ldexp(16. + b % 16 + .5, (int)(b / 16) - 1) / 1000;
}

static void note_latency(struct bench *b, uint64_t ns)
{
	unsigned int i = bucket_of(ns);

	b->bucket[i < BUCKETS ? i : BUCKETS - 1]++;
	b->min_ns = b->latencies++ ? MIN(b->min_ns, ns) : ns;
	b->max_ns = MAX(b->max_ns, ns);
	b->sum_ns += ns;
}

static double percentile_us(const struct bench *b, double share)
{
	uint64_t want = (uint64_t)((double)b->latencies * share), seen = 0;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		seen += b->bucket[i];
		if (seen > want)
			return MIN(bucket_us(i), (double)b->max_ns / 1000);
	}
	return (double)b->max_ns / 1000;
}

/* ---- modes ------------------------------------------------------------------------------- */

static bool time_left(const struct bench *b, uint64_t now)
{
	return !session_over(b->s) && (!b->stop_ns || now < b->stop_ns);
}

/* At most 100 ms at a time, so that the end is seen. */
static int wait_a_while(struct bench *b, unsigned int want)
{
	return netfront_wait(b->s->n, want, 100);
}

static uint8_t *body_of(struct bench *b, uint64_t number)
{
	return b->data + number % PATTERNS;
}

static void prepare(struct bench *b, unsigned int nr, const uint8_t *to)
{
	uint32_t bytes = b->s->args->frame_bytes, head = MIN(bytes, sizeof(b->slot[0]));
	unsigned int i;

	for (i = 0; i < nr; i++) {
		packet_bench(b->slot[i], head, to, b->s->info.mac, b->number + i);
		b->out[i].nr_pieces = bytes > head ? 2 : 1;
		b->out[i].piece[0] = (struct netfront_piece){ b->slot[i], head };
		b->out[i].piece[1] = (struct netfront_piece){ body_of(b, b->number + i),
							      bytes - head };
	}
}

/* Whether a frame of bench tx is as it was sent; others are nobody's business. */
static bool is_right(struct bench *b, const struct netfront_frame *f)
{
	uint32_t k, at = 0, skip;
	uint64_t number;

	if (!packet_is_bench(f->piece[0].base, f->piece[0].bytes, &number))
		return true;
	for (k = 0; k < f->nr_pieces; at += f->piece[k++].bytes) {
		const uint8_t *p = f->piece[k].base;

		skip = at < HEAD_BYTES ? MIN(HEAD_BYTES - at, f->piece[k].bytes) : 0;
		if (skip < f->piece[k].bytes &&
		    memcmp(p + skip, body_of(b, number) + (at + skip - HEAD_BYTES),
			   f->piece[k].bytes - skip))
			return false;
	}
	return at == b->s->args->frame_bytes;
}

static int drain(struct bench *b, bool count)
{
	unsigned int q;
	int r, i, nr = 0;

	for (q = 0; q < b->s->info.nr_queues; q++) {
		r = netfront_receive(b->s->n, q, b->in, BATCH_MAX);
		if (r < 0)
			return r;
		for (i = 0; i < r && count; i++) {
			uint32_t k;

			for (k = 0; k < b->in[i].nr_pieces; k++)
				b->bytes += b->in[i].piece[k].bytes;
			if (b->s->args->verify && !is_right(b, b->in + i))
				b->wrong++;
		}
		netfront_release(b->s->n, q, b->in, (unsigned int)r);
		nr += r;
	}
	b->frames += count ? (unsigned int)nr : 0;
	return nr;
}

/* Counted when the back end has answered: sent is what it took. */
static int run_tx(struct bench *b)
{
	const struct args *a = b->s->args;
	unsigned int q = 0, turns = 0;
	int r = 0;

	prepare(b, b->batch, a->has_peer_mac ? a->peer_mac : nobody);
	while (r >= 0 && (++turns % TURNS_PER_CLOCK || time_left(b, now_ns()))) {
		r = netfront_send(b->s->n, q, b->out, b->batch);
		if (r == (int)b->batch) {
			netfront_kick(b->s->n);
			q = (q + 1) % b->s->info.nr_queues;
			continue;
		}
		if (r >= 0)
			r = wait_a_while(b, NETFRONT_SENDABLE);
		if (r >= 0 && !(turns % 64))
			r = drain(b, false);	/* what others flood us with */
	}
	b->end_ns = now_ns();
	while (netfront_inflight(b->s->n) && r >= 0 && now_ns() < b->end_ns + 1000000000)
		r = netfront_wait(b->s->n, NETFRONT_RECEIVABLE, 1) < 0 ? -EIO :
		    netfront_poll(b->s->n) < 0 ? -EIO : drain(b, false);
	netfront_stats(b->s->n, &b->after);
	b->frames = b->after.sent_frames - b->before.sent_frames;
	b->bytes = b->after.sent_bytes - b->before.sent_bytes;
	return r;
}

/* The clock starts with the first frame. */
static int run_rx(struct bench *b)
{
	uint64_t span_ns = b->stop_ns ? b->stop_ns - b->start_ns : 0, now = now_ns();
	int r = 0;

	b->stop_ns = 0;
	while (r >= 0 && time_left(b, now) &&
	       (!b->s->args->frames || b->frames < b->s->args->frames)) {
		r = wait_a_while(b, NETFRONT_RECEIVABLE);
		if (r > 0)
			r = drain(b, true);
		now = now_ns();
		if (r > 0 && b->frames == (unsigned int)r) {
			b->start_ns = now;
			b->stop_ns = span_ns ? now + span_ns : 0;
		}
	}
	b->end_ns = now;
	return r;
}

/* Sends back what was sent to us, from where it lies; what finds no room is dropped. */
static int echo_once(struct bench *b, unsigned int q)
{
	int i, r = netfront_receive(b->s->n, q, b->in, BATCH_MAX);
	uint64_t number;

	for (i = 0; i < r; i++) {
		struct netfront_frame *f = b->in + i;

		if (f->piece[0].bytes < 26 ||
		    !packet_is_bench(f->piece[0].base, f->piece[0].bytes, &number))
			continue;
		packet_swap(f->piece[0].base);
		b->frames++;
		netfront_send(b->s->n, q, f, 1);
	}
	if (r > 0)
		netfront_release(b->s->n, q, b->in, (unsigned int)r);
	return r;
}

static int run_echo(struct bench *b)
{
	unsigned int q;
	int r = 0;

	while (r >= 0 && time_left(b, now_ns())) {
		r = wait_a_while(b, NETFRONT_RECEIVABLE);
		for (q = 0; q < b->s->info.nr_queues && r >= 0; q++)
			r = echo_once(b, q);
	}
	b->end_ns = now_ns();
	return r;
}

static int take_echoes(struct bench *b, unsigned int *under_way)
{
	uint64_t now, number;
	unsigned int q;
	int i, r, nr = 0;

	for (q = 0; q < b->s->info.nr_queues; q++) {
		r = netfront_receive(b->s->n, q, b->in, BATCH_MAX);
		if (r < 0)
			return r;
		now = now_ns();
		for (i = 0; i < r; i++) {
			if (!packet_is_bench(b->in[i].piece[0].base, b->in[i].piece[0].bytes,
					     &number) || number / b->batch != b->number / b->batch ||
			    !b->sent_ns[number % b->batch])
				continue;
			note_latency(b, now - b->sent_ns[number % b->batch]);
			b->sent_ns[number % b->batch] = 0;
			--*under_way;
		}
		netfront_release(b->s->n, q, b->in, (unsigned int)r);
		nr += r;
	}
	return nr;
}

/* One batch out, all of it back, and again. A frame that is lost costs 100 ms. */
static int run_latency(struct bench *b)
{
	unsigned int under_way, i;
	uint64_t now = now_ns(), sent;
	int r = 0;

	while (r >= 0 && time_left(b, now)) {
		prepare(b, b->batch, b->s->args->peer_mac);
		sent = now_ns();
		for (i = 0; i < b->batch; i++)
			b->sent_ns[i] = sent;
		r = netfront_send(b->s->n, 0, b->out, b->batch);
		under_way = r > 0 ? (unsigned int)r : 0;
		netfront_kick(b->s->n);
		do {
			r = r < 0 ? r : wait_a_while(b, NETFRONT_RECEIVABLE);
			r = r < 0 ? r : take_echoes(b, &under_way);
			now = now_ns();
		} while (r >= 0 && under_way && now < sent + 100000000);
		b->number += b->batch;
	}
	b->end_ns = now;
	b->frames = b->latencies;
	b->bytes = b->frames * b->s->args->frame_bytes;
	return r;
}

/* ---- the report ------------------------------------------------------------------------------ */

static void print_json(const struct bench *b, double seconds, double notifies, double wakeups)
{
	const struct args *a = b->s->args;

	printf("{\"mode\":\"%s\",\"size_bytes\":%u,\"batch\":%u,\"queues\":%u,\"frames\":%llu,"
	       "\"seconds\":%.3f,\"frames_per_s\":%.0f,\"mbit_per_s\":%.1f,\"send_errors\":%llu,"
	       "\"notifies_per_frame\":%.4f,\"wakeups_per_frame\":%.4f", a->mode,
	       a->frame_bytes, b->batch, b->s->info.nr_queues, (unsigned long long)b->frames,
	       seconds, (double)b->frames / seconds, (double)b->bytes * 8e-6 / seconds,
	       (unsigned long long)(b->after.send_errors - b->before.send_errors), notifies,
	       wakeups);
	if (b->latencies)
		printf(",\"latency_us\":{\"min\":%.2f,\"mean\":%.2f,\"p50\":%.2f,\"p90\":%.2f,"
		       "\"p99\":%.2f,\"max\":%.2f}", (double)b->min_ns / 1000,
		       (double)b->sum_ns / 1000 / (double)b->latencies, percentile_us(b, .5),
		       percentile_us(b, .9), percentile_us(b, .99), (double)b->max_ns / 1000);
	printf(",\"rx_path\":\"%s\",\"receive_errors\":%llu,\"flipped_pages\":%llu",
	       b->s->info.flip ? "flip" : "copy",
	       (unsigned long long)(b->after.receive_errors - b->before.receive_errors),
	       (unsigned long long)(b->after.flipped_pages - b->before.flipped_pages));
	if (a->verify)
		printf(",\"wrong\":%llu", (unsigned long long)b->wrong);
	printf("}\n");
}

static void print_table(const struct bench *b, double seconds, double notifies, double wakeups)
{
	const struct args *a = b->s->args;

	printf("%-8s %6s %6s %12s %12s %10s\n", "mode", "size", "batch", "frames", "frames/s",
	       "Mbit/s");
	printf("%-8s %6u %6u %12llu %12.0f %10.1f\n", a->mode, a->frame_bytes, b->batch,
	       (unsigned long long)b->frames, (double)b->frames / seconds,
	       (double)b->bytes * 8e-6 / seconds);
	if (b->latencies)
		printf("latency us   min %.2f  mean %.2f  p50 %.2f  p90 %.2f  p99 %.2f  max %.2f\n",
		       (double)b->min_ns / 1000, (double)b->sum_ns / 1000 / (double)b->latencies,
		       percentile_us(b, .5), percentile_us(b, .9), percentile_us(b, .99),
		       (double)b->max_ns / 1000);
	printf("per frame    %.4f notifications sent, %.4f wake-ups\n", notifies, wakeups);
	if (b->after.send_errors != b->before.send_errors)
		printf("refused      %llu frames\n",
		       (unsigned long long)(b->after.send_errors - b->before.send_errors));
	if (b->after.flipped_pages != b->before.flipped_pages)
		printf("received by  page transfer, %llu pages\n",
		       (unsigned long long)(b->after.flipped_pages - b->before.flipped_pages));
	if (b->wrong)
		printf("wrong        %llu frames are not what was sent\n",
		       (unsigned long long)b->wrong);
}

static int report(struct bench *b, int r)
{
	double seconds, notifies, wakeups;

	if (r < 0 && r != -EINTR && r != -ECONNABORTED)
		return session_error(b->s, r, "moving frames");
	netfront_stats(b->s->n, &b->after);
	netfront_info(b->s->n, &b->s->info);	/* what was negotiated may have ended */
	seconds = MAX((double)(b->end_ns - b->start_ns) / 1e9, 1e-9);
	notifies = (double)(b->after.notifies_sent - b->before.notifies_sent) /
		   (double)MAX(b->frames, 1);
	wakeups = (double)(b->after.wakeups - b->before.wakeups) / (double)MAX(b->frames, 1);
	if (b->s->args->cli.json)
		print_json(b, seconds, notifies, wakeups);
	else
		print_table(b, seconds, notifies, wakeups);
	if (b->wrong)
		return EXIT_ERROR;
	return b->frames || !strcmp(b->s->args->mode, "echo") ? EXIT_OK : EXIT_NO_ANSWER;
}

/* ---- the subcommand ---------------------------------------------------------------------------- */

static const struct mode {
	const char *name;
	int (*run)(struct bench *b);
	double seconds;
	unsigned int batch;
} modes[] = {
	{ "tx", run_tx, 3, 64 }, { "rx", run_rx, 3, 64 }, { "echo", run_echo, 0, 64 },
	{ "latency", run_latency, 3, 1 },
};

static const struct mode *find_mode(const struct args *a)
{
	unsigned int i;

	for (i = 0; a->cli.argc == 1 && i < ARRAY_LEN(modes); i++)
		if (!strcmp(a->cli.argv[0], modes[i].name))
			return modes + i;
	front_complain(&a->cli, EXIT_USAGE, "which mode? tx, rx, echo or latency");
	return NULL;
}

int cmd_bench(const struct args *given)
{
	static struct bench b;
	const struct mode *mode = find_mode(given);
	struct args a = *given;
	struct session s;
	int r;

	if (!mode)
		return EXIT_USAGE;
	if (mode->run == run_latency && !a.has_peer_mac)
		return front_complain(&a.cli, EXIT_USAGE, "latency needs --mac, of an interface "
				      "whose guest runs bench echo");
	a.mode = mode->name;
	for (size_t i = 0; i < sizeof(b.data); i++)
		b.data[i] = (uint8_t)(i * 167 + i / 256 * 59 + 1);
	b.batch = a.batch ? a.batch : mode->batch;
	if (a.seconds < 0)
		a.seconds = mode->seconds;
	b.s = &s;
	r = session_open(&s, &a);
	if (r == EXIT_OK) {
		netfront_stats(s.n, &b.before);
		b.start_ns = now_ns();
		b.stop_ns = a.seconds > 0 && !a.frames ? b.start_ns + (uint64_t)(a.seconds * 1e9) : 0;
		r = report(&b, mode->run(&b));
	}
	return session_close(&s, r);
}
