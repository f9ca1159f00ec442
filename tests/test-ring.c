/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.h: index arithmetic across 2^32, hostile distances, the exact truth of
 * event suppression, and two threads that sleep whenever they are allowed to.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"
#include "unit.h"

#define PAGE_BYTES 4096u

struct slot {
	uint64_t id, check;
	uint8_t pad[96];	/* 112 bytes, as blkif's */
};

/* A ring in private memory with both ends attached at the same index. */
struct both {
	_Alignas(4096) uint8_t page[4 * PAGE_BYTES];
	struct ring_back back;
	struct ring_front front;
};

static void both_open(struct both *b, size_t bytes, uint32_t start)
{
	ring_front_init(&b->front, b->page, bytes, sizeof(struct slot));
	b->front.req_prod_pvt = b->front.req_prod_pub = b->front.rsp_cons = start;
	atomic_store(&b->front.shared->req_prod, start);
	atomic_store(&b->front.shared->rsp_prod, start);
	atomic_store(&b->front.shared->req_event, start + 1);
	atomic_store(&b->front.shared->rsp_event, start + 1);
	ring_back_init(&b->back, b->page, bytes, sizeof(struct slot), start);
}

static void test_nr_slots(void)
{
	size_t pages;

	/* As xen/io/ring.h's __RING_SIZE computes them. */
	UNIT_EQ(ring_nr_slots(4096, 112), 32);
	UNIT_EQ(ring_nr_slots(4096, 108), 32);
	UNIT_EQ(ring_nr_slots(16 * 4096, 112), 512);
	UNIT_EQ(ring_nr_slots(4096, 12), 256);
	UNIT_EQ(ring_nr_slots(4096, 8), 256);
	UNIT_EQ(ring_nr_slots(64 + 112, 112), 1);
	UNIT_EQ(ring_nr_slots(64 + 111, 112), 0);
	UNIT_EQ(ring_nr_slots(0, 112), 0);
	UNIT_EQ(ring_nr_slots(4096, 0), 0);
	for (pages = 1; pages <= 16; pages *= 2) {
		uint32_t nr = ring_nr_slots(pages * 4096, 112);

		UNIT_EQ(nr & (nr - 1), 0);
		UNIT_OK(64 + nr * 112 <= pages * 4096);
		UNIT_OK(64 + nr * 2 * 112 > pages * 4096);
	}
}

/* One request and its response through the ring; true when both are right. */
static bool pass_one(struct both *b, uint64_t id)
{
	struct slot s = { .id = id, .check = ~id }, got;
	bool ok;

	ring_front_put(&b->front, &s, sizeof(s));
	ring_front_push(&b->front);
	ok = ring_back_pending(&b->back) == 1;
	ring_back_take(&b->back, &got, sizeof(got));
	ok &= got.id == id && got.check == ~id && !ring_back_pending(&b->back);
	got.check = id * 3;
	ring_back_put(&b->back, &got, sizeof(got));
	ring_back_push(&b->back);
	ok &= ring_front_pending(&b->front) == 1;
	ring_front_take(&b->front, &got, sizeof(got));
	return ok && got.id == id && got.check == id * 3;
}

static void test_wrap(void)
{
	struct both b;
	unsigned bad = 0;
	uint32_t i;

	both_open(&b, PAGE_BYTES, UINT32_MAX - 99);
	for (i = 0; i < 200; i++)
		bad += !pass_one(&b, i);
	UNIT_EQ(bad, 0);
	UNIT_EQ(b.back.req_cons, 100);
	UNIT_EQ(b.front.rsp_cons, 100);
	UNIT_EQ(ring_back_inflight(&b.back), 0);
	UNIT_EQ(ring_front_free(&b.front), 32);
}

static void test_full_across_wrap(void)
{
	struct slot s = { 0 };
	struct both b;
	uint32_t i;

	both_open(&b, PAGE_BYTES, UINT32_MAX - 15);
	for (i = 0; i < 32; i++) {
		s.id = i;
		ring_front_put(&b.front, &s, sizeof(s));
	}
	UNIT_EQ(ring_front_free(&b.front), 0);
	UNIT_EQ(ring_back_pending(&b.back), 0);
	ring_front_push(&b.front);
	UNIT_EQ(ring_back_pending(&b.back), 32);
	for (i = 0; i < 32; i++) {
		ring_back_take(&b.back, &s, sizeof(s));
		UNIT_EQ(s.id, i);
	}
	UNIT_EQ(ring_back_inflight(&b.back), 32);
	UNIT_EQ(ring_back_pending(&b.back), 0);
	/* Nothing has been answered: one request more is impossible. */
	atomic_store(&b.front.shared->req_prod, UINT32_MAX - 15 + 33);
	UNIT_EQ(ring_back_pending(&b.back), -EPROTO);
}

/* A response that is not published has not freed its slot, as far as the peer can know. */
static void test_unpublished_response(void)
{
	struct slot s = { 0 };
	struct both b;
	uint32_t i;

	both_open(&b, PAGE_BYTES, UINT32_MAX - 15);
	for (i = 0; i < 32; i++)
		ring_front_put(&b.front, &s, sizeof(s));
	ring_front_push(&b.front);
	for (i = 0; i < 32; i++)
		ring_back_take(&b.back, &s, sizeof(s));
	ring_back_put(&b.back, &s, sizeof(s));
	atomic_store(&b.front.shared->req_prod, UINT32_MAX - 15 + 33);
	UNIT_EQ(ring_back_pending(&b.back), -EPROTO);
	ring_back_push(&b.back);
	UNIT_EQ(ring_back_pending(&b.back), 1);
}

/* What is there is too little: of the next request is to be told. */
static void test_more_than_seen(void)
{
	struct slot s = { 0 };
	struct both b;

	both_open(&b, PAGE_BYTES, UINT32_MAX - 2);
	for (uint32_t i = 0; i < 5; i++)
		ring_front_put(&b.front, &s, sizeof(s));
	UNIT_OK(ring_front_push(&b.front));
	UNIT_EQ(ring_back_final_beyond(&b.back, 5), 5);
	ring_front_put(&b.front, &s, sizeof(s));
	UNIT_OK(ring_front_push(&b.front));
	UNIT_EQ(ring_back_final_beyond(&b.back, 7), 6);
	ring_front_put(&b.front, &s, sizeof(s));
	UNIT_OK(!ring_front_push(&b.front));
}

/* Every distance at every fill, at both sides of 2^32. */
static void test_hostile_req_prod(void)
{
	static const uint32_t start[] = { 0, 5, UINT32_MAX - 7, UINT32_MAX, 1u << 31 };
	static const uint32_t far[] = {
		33, 34, 63, 64, 65, 1u << 16, 1u << 31, (1u << 31) + 1,
		UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - 31,
	};
	struct slot s = { 0 };
	struct both b;
	uint32_t inflight, d;
	size_t i;

	for (i = 0; i < UNIT_LEN(start); i++) {
		both_open(&b, PAGE_BYTES, start[i]);
		for (inflight = 0; inflight <= 32; inflight++) {
			uint32_t at = start[i] + inflight;

			for (d = 0; d <= 32; d++) {
				atomic_store(&b.back.shared->req_prod, at + d);
				UNIT_EQ(ring_back_pending(&b.back),
					d <= 32 - inflight ? (int)d : -EPROTO);
				UNIT_EQ(ring_back_final(&b.back),
					d <= 32 - inflight ? (int)d : -EPROTO);
			}
			for (d = 0; d < UNIT_LEN(far); d++) {
				atomic_store(&b.back.shared->req_prod, at + far[d]);
				UNIT_EQ(ring_back_pending(&b.back), -EPROTO);
				UNIT_EQ(ring_back_final(&b.back), -EPROTO);
			}
			if (inflight < 32)
				ring_back_take(&b.back, &s, sizeof(s));
		}
	}
}

/* More responses than requests published, or fewer than taken. */
static void test_hostile_rsp_prod(void)
{
	static const uint32_t start[] = { 0, UINT32_MAX - 3, 1u << 31 };
	struct slot s = { 0 };
	struct both b;
	uint32_t sent, d;
	size_t i;

	for (i = 0; i < UNIT_LEN(start); i++) {
		both_open(&b, PAGE_BYTES, start[i]);
		for (sent = 0; sent <= 32; sent++) {
			for (d = 0; d <= 40; d++) {
				atomic_store(&b.front.shared->rsp_prod, start[i] + d);
				UNIT_EQ(ring_front_pending(&b.front),
					d <= sent ? (int)d : -EPROTO);
				UNIT_EQ(ring_front_final(&b.front, 1),
					d <= sent ? (int)d : -EPROTO);
			}
			atomic_store(&b.front.shared->rsp_prod, start[i] - 1);
			UNIT_EQ(ring_front_pending(&b.front), -EPROTO);
			atomic_store(&b.front.shared->rsp_prod, start[i]);
			if (sent == 32)
				break;
			/* Written and not yet published does not count. */
			ring_front_put(&b.front, &s, sizeof(s));
			atomic_store(&b.front.shared->rsp_prod, start[i] + sent + 1);
			UNIT_EQ(ring_front_pending(&b.front), -EPROTO);
			ring_front_push(&b.front);
		}
	}
}

/* At connect the back end believes only its own page word, within limits. */
static void test_hostile_connect(void)
{
	static const struct {
		uint32_t rsp_prod, req_prod;
		int pending;
	} t[] = {
		{ 0, 0, 0 }, { 0, 32, 32 }, { 0, 33, -EPROTO },
		{ 0, UINT32_MAX, -EPROTO }, { 1, 0, -EPROTO },
		{ UINT32_MAX, 0, 1 }, { UINT32_MAX - 1, 30, 32 },
		{ UINT32_MAX - 1, 31, -EPROTO }, { 1u << 31, 0, -EPROTO },
	};
	struct both b;
	size_t i;

	for (i = 0; i < UNIT_LEN(t); i++) {
		both_open(&b, PAGE_BYTES, 0);
		atomic_store(&b.back.shared->rsp_prod, t[i].rsp_prod);
		atomic_store(&b.back.shared->req_prod, t[i].req_prod);
		ring_back_init(&b.back, b.page, PAGE_BYTES, sizeof(struct slot),
			       ring_back_start(b.page));
		UNIT_EQ(b.back.req_cons, t[i].rsp_prod);
		UNIT_EQ(ring_back_pending(&b.back), t[i].pending);
	}
}

/* The peer's words are copied, then changed: the copy stays. */
static void test_copy_is_private(void)
{
	struct slot s = { .id = 7, .check = 8 }, got;
	struct both b;

	both_open(&b, PAGE_BYTES, 0);
	ring_front_put(&b.front, &s, sizeof(s));
	ring_front_push(&b.front);
	ring_back_take(&b.back, &got, sizeof(got));
	memset(b.page + sizeof(struct ring_shared), 0xff, sizeof(s));
	UNIT_OK(!memcmp(&got, &s, sizeof(s)));
}

/* True for exactly the ranges (old, new] that hold the event, counted one by one. */
static void test_crossed(void)
{
	static const uint32_t base[] = { 0, 100, UINT32_MAX - 20, UINT32_MAX, 1u << 31 };
	unsigned wrong = 0;
	size_t i;
	int old, new, event;

	for (i = 0; i < UNIT_LEN(base); i++) {
		for (old = 0; old <= 40; old++) {
			for (new = old; new <= 40; new++) {
				for (event = -3; event <= 44; event++) {
					bool in = event > old && event <= new;

					wrong += in != ring_crossed(base[i] + (uint32_t)event,
								    base[i] + (uint32_t)old,
								    base[i] + (uint32_t)new);
				}
			}
		}
	}
	UNIT_EQ(wrong, 0);
	/* Lies far away are as silent as any other index not crossed. */
	UNIT_OK(!ring_crossed(1u << 31, 0, 32));
	UNIT_OK(!ring_crossed(UINT32_MAX, 0, 32));
	UNIT_OK(!ring_crossed(0, 0, 32));
}

static void test_push_tells_when(void)
{
	struct slot s = { 0 };
	struct both b;
	int i;

	both_open(&b, PAGE_BYTES, UINT32_MAX - 2);
	UNIT_OK(!ring_front_push(&b.front));
	ring_front_put(&b.front, &s, sizeof(s));
	UNIT_OK(ring_front_push(&b.front));	/* init asked for the first */
	ring_front_put(&b.front, &s, sizeof(s));
	UNIT_OK(!ring_front_push(&b.front));	/* nobody asked again */
	UNIT_EQ(ring_back_pending(&b.back), 2);
	ring_back_take(&b.back, &s, sizeof(s));
	ring_back_take(&b.back, &s, sizeof(s));
	UNIT_EQ(ring_back_final(&b.back), 0);
	ring_front_put(&b.front, &s, sizeof(s));
	UNIT_OK(ring_front_push(&b.front));

	/* Two responses asked for: the first alone stays silent. */
	UNIT_EQ(ring_front_final(&b.front, 2), 0);
	ring_back_put(&b.back, &s, sizeof(s));
	UNIT_OK(!ring_back_push(&b.back));
	UNIT_OK(!ring_back_push(&b.back));
	ring_back_put(&b.back, &s, sizeof(s));
	UNIT_OK(ring_back_push(&b.back));
	UNIT_EQ(ring_front_pending(&b.front), 2);
	for (i = 0; i < 2; i++)
		ring_front_take(&b.front, &s, sizeof(s));
	UNIT_EQ(ring_front_inflight(&b.front), 1);
}

/* ---- two threads ---------------------------------------------------------- */

#define MANY 2000000u
#define FEWER 300000u		/* where nearly each item costs a sleep */

/*
 * A busy machine ends each of these after a while: then fewer items have to
 * do. PV_FULL=1 gives them as long as they take.
 */
#define ENOUGH_MS 3000u

static uint64_t ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t end_of_patience(void)
{
	const char *full = getenv("PV_FULL");

	return full && !strcmp(full, "1") ? UINT64_MAX : ms_now() + ENOUGH_MS;
}

/* Two CPUs race where one only takes turns. With one CPU it has to do. */
static void pin_to_nth_cpu(unsigned n)
{
	cpu_set_t all, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < 2)
		return;
	for (cpu = 0; !CPU_ISSET(cpu, &all) || n--; cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* An event channel of one thread: raised by the other, waited for when idle. */
struct bell {
	_Atomic uint32_t rung;
	_Atomic uint64_t waits, rings;
};

struct handover {
	struct both both;
	struct bell to_back, to_front;
	_Atomic uint32_t nr;		/* the front end lowers it to end early */
	uint64_t until_ms;
	uint32_t depth;			/* most in flight */
	uint32_t most_awaited;		/* how far ahead rsp_event may be put */
	uint32_t look;			/* how often to look before final(), at most */
	_Atomic bool lost, broken, give_up;
};

static void bell_ring(struct bell *b)
{
	b->rings++;
	atomic_store(&b->rung, 1);
	syscall(SYS_futex, &b->rung, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* False: nobody rang for so long that the wake-up is lost. */
static bool bell_wait(struct handover *h, struct bell *b)
{
	const struct timespec wait = { .tv_sec = 30 };

	b->waits++;
	while (!atomic_exchange(&b->rung, 0)) {
		if (syscall(SYS_futex, &b->rung, FUTEX_WAIT_PRIVATE, 0, &wait, NULL, 0) &&
		    errno == ETIMEDOUT && !atomic_load(&b->rung)) {
			if (!atomic_exchange(&h->give_up, true))
				h->lost = true;
			bell_ring(b == &h->to_back ? &h->to_front : &h->to_back);
			return false;
		}
		if (atomic_load(&h->give_up))
			return false;
	}
	return true;
}

static uint64_t mixed(uint64_t id)
{
	return (id ^ 0x5bd1e995u) * 0x9e3779b97f4a7c15ull;
}

/* Varies what the other side is doing while this one arms its event. */
static unsigned next_look(const struct handover *h, uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return h->look ? (*seed >> 8) % h->look : 0;
}

static int back_look(struct handover *h, uint32_t *seed)
{
	unsigned looks = next_look(h, seed);
	int n;

	do
		n = ring_back_pending(&h->both.back);
	while (!n && looks--);
	return n;
}

static void *back_thread(void *arg)
{
	struct handover *h = arg;
	struct ring_back *r = &h->both.back;
	uint32_t answered = 0, seed = 1;
	struct slot s;

	pin_to_nth_cpu(1);
	while (answered < h->nr) {
		int i, n = back_look(h, &seed);

		if (!n && !(n = ring_back_final(r))) {
			if (!bell_wait(h, &h->to_back))
				return NULL;
			continue;
		}
		if (n < 0) {
			h->broken = true;
			return NULL;
		}
		for (i = 0; i < n; i++, answered++) {
			ring_back_take(r, &s, sizeof(s));
			if (s.id != answered || s.check != mixed(s.id))
				h->broken = true;
			s.check = mixed(s.check);
			ring_back_put(r, &s, sizeof(s));
		}
		if (ring_back_push(r))
			bell_ring(&h->to_front);
	}
	return NULL;
}

/* Fills the free slots, in pushes of varying size. */
static uint32_t send_some(struct handover *h, uint32_t sent)
{
	struct ring_front *r = &h->both.front;
	uint32_t room = h->depth - ring_front_inflight(r), burst = sent % 7 + 1, i;

	for (i = 0; i < room && i < burst && sent < h->nr; i++, sent++) {
		struct slot s = { .id = sent, .check = mixed(sent) };

		ring_front_put(r, &s, sizeof(s));
	}
	if (ring_front_push(r))
		bell_ring(&h->to_back);
	return sent;
}

static uint32_t take_some(struct handover *h, uint32_t taken, int n)
{
	struct slot s;

	for (; n > 0; n--, taken++) {
		ring_front_take(&h->both.front, &s, sizeof(s));
		if (s.id != taken || s.check != mixed(mixed(s.id)))
			h->broken = true;
	}
	return taken;
}

static int front_look(struct handover *h, uint32_t *seed)
{
	unsigned looks = next_look(h, seed);
	int n;

	do
		n = ring_front_pending(&h->both.front);
	while (!n && looks--);
	return n;
}

static void *front_thread(void *arg)
{
	struct handover *h = arg;
	struct ring_front *r = &h->both.front;
	uint32_t sent = 0, taken = 0, seed = 2, turns = 0, awaited;
	int n;

	pin_to_nth_cpu(0);
	while (taken < h->nr) {
		if (++turns % 256 == 0 && sent < h->nr && ms_now() > h->until_ms) {
			h->nr = sent;
			bell_ring(&h->to_back);
			continue;
		}
		sent = send_some(h, sent);
		n = front_look(h, &seed);
		if (!n && (ring_front_inflight(r) == h->depth || sent == h->nr)) {
			awaited = ring_front_inflight(r);
			if (awaited > h->most_awaited)
				awaited = h->most_awaited;
			n = ring_front_final(r, awaited);
			if (n >= 0 && (uint32_t)n < awaited) {
				if (!bell_wait(h, &h->to_front))
					return NULL;
				continue;
			}
		}
		if (n < 0) {
			h->broken = true;
			return NULL;
		}
		taken = take_some(h, taken, n);
	}
	return NULL;
}

/* Over all hand-overs: they mean nothing unless both ends really slept. */
static uint64_t back_waits, front_waits;

static void hand_over(uint32_t nr, size_t pages, uint32_t depth,
		      uint32_t most_awaited, uint32_t look, uint32_t start)
{
	static struct handover h;
	pthread_t back, front;

	memset(&h, 0, sizeof(h));
	h.nr = nr;
	h.until_ms = end_of_patience();
	h.depth = depth;
	h.most_awaited = most_awaited;
	h.look = look;
	both_open(&h.both, pages * PAGE_BYTES, start);
	UNIT_NEED(!pthread_create(&back, NULL, back_thread, &h));
	UNIT_NEED(!pthread_create(&front, NULL, front_thread, &h));
	pthread_join(back, NULL);
	pthread_join(front, NULL);
	UNIT_OK(!h.lost);
	UNIT_OK(!h.broken);
	UNIT_EQ(h.both.front.rsp_cons - start, h.nr);
	back_waits += h.to_back.waits;
	front_waits += h.to_front.waits;
	if (h.nr < nr)
		printf("\ndeferred: %u items (%u run)\n", nr, (uint32_t)h.nr);
	printf("(%u items, back end slept %llu times, front end %llu) ", (uint32_t)h.nr,
	       (unsigned long long)h.to_back.waits,
	       (unsigned long long)h.to_front.waits);
}

static void test_handover_each(void)
{
	hand_over(MANY, 1, 32, 1, 0, UINT32_MAX - 1000);
}

static void test_handover_ahead(void)
{
	hand_over(MANY, 1, 32, 32, 0, 0);
}

static void test_handover_large(void)
{
	hand_over(MANY, 4, 128, 8, 20, UINT32_MAX / 2);
}

/* Both arm their events just when the other publishes: the closest race. */
static void test_handover_single(void)
{
	hand_over(FEWER, 1, 1, 1, 40, UINT32_MAX - 1000);
	UNIT_OK(back_waits > 0 && front_waits > 0);
}

/* ---- the two races by themselves ------------------------------------------ */

/*
 * Both sides of one pair of fences at the same moment, again and again: either
 * the producer is told to notify or the consumer finds the item. Without a
 * fence of the pair both miss now and then.
 */
#define RACES 400000u

struct race {
	struct both both;
	_Atomic uint32_t arrived;
	uint64_t until_ms;
	uint32_t nr;			/* races run, told by the front end */
	bool over;			/* set by it while the back end waits */
	bool told[2];
	int found[2];
	uint32_t lost[2];
};

/* Both threads leave it at nearly the same time. */
static void meet(struct race *r, uint32_t *round)
{
	uint32_t all = ++*round * 2, spins = 0;

	atomic_fetch_add(&r->arrived, 1);
	while ((int32_t)(atomic_load_explicit(&r->arrived, memory_order_acquire) - all) < 0)
		if (++spins % 20000 == 0)
			sched_yield();
}

static void delay(uint32_t *seed)
{
	volatile uint32_t n;

	*seed = *seed * 1664525u + 1013904223u;
	for (n = *seed >> 28; n; n--)
		;
}

/* The back end's side of A/B, then of C/D. */
static void *race_back(void *arg)
{
	struct race *r = arg;
	struct ring_back *back = &r->both.back;
	uint32_t round = 0, seed = 7;
	struct slot s;

	pin_to_nth_cpu(1);
	while (!r->over) {
		meet(r, &round);
		delay(&seed);
		r->found[0] = ring_back_final(back);
		meet(r, &round);
		ring_back_take(back, &s, sizeof(s));
		ring_back_put(back, &s, sizeof(s));
		meet(r, &round);
		delay(&seed);
		r->told[1] = ring_back_push(back);
		meet(r, &round);
		meet(r, &round);	/* the front end counts */
	}
	return NULL;
}

static void *race_front(void *arg)
{
	struct race *r = arg;
	struct ring_front *front = &r->both.front;
	uint32_t round = 0, seed = 11;
	struct slot s = { .id = 1 };

	pin_to_nth_cpu(0);
	while (!r->over) {
		ring_front_put(front, &s, sizeof(s));
		meet(r, &round);
		delay(&seed);
		r->told[0] = ring_front_push(front);
		meet(r, &round);
		meet(r, &round);
		delay(&seed);
		r->found[1] = ring_front_final(front, 1);
		meet(r, &round);
		r->lost[0] += !r->told[0] && r->found[0] != 1;
		r->lost[1] += !r->told[1] && r->found[1] != 1;
		ring_front_take(front, &s, sizeof(s));
		r->nr++;
		r->over = r->nr == RACES ||
			(r->nr % 64 == 0 && ms_now() > r->until_ms);
		meet(r, &round);
	}
	return NULL;
}

static void test_races(void)
{
	static struct race r;
	pthread_t back, front;

	r.until_ms = end_of_patience();
	both_open(&r.both, PAGE_BYTES, UINT32_MAX - 1000);
	/* Asked for long ago: only what the race itself writes can tell. */
	atomic_store(&r.both.front.shared->req_event, 1u << 31);
	atomic_store(&r.both.front.shared->rsp_event, 1u << 31);
	UNIT_NEED(!pthread_create(&back, NULL, race_back, &r));
	UNIT_NEED(!pthread_create(&front, NULL, race_front, &r));
	pthread_join(back, NULL);
	pthread_join(front, NULL);
	UNIT_EQ(r.lost[0], 0);
	UNIT_EQ(r.lost[1], 0);
	if (r.nr < RACES)
		printf("\ndeferred: %u races (%u run)\n", RACES, r.nr);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "slots per ring as ring.h counts them", test_nr_slots },
		{ "200 requests across 2^32", test_wrap },
		{ "a full ring across 2^32", test_full_across_wrap },
		{ "a response that is not published frees no slot", test_unpublished_response },
		{ "more requests than were seen", test_more_than_seen },
		{ "impossible req_prod is refused", test_hostile_req_prod },
		{ "impossible rsp_prod is refused", test_hostile_rsp_prod },
		{ "impossible indices at connect", test_hostile_connect },
		{ "a request is copied once", test_copy_is_private },
		{ "crossed: exactly the ranges with the event", test_crossed },
		{ "push notifies when asked, and only then", test_push_tells_when },
		{ "two threads, woken at each response", test_handover_each },
		{ "two threads, woken far ahead", test_handover_ahead },
		{ "two threads, ring of four pages", test_handover_large },
		{ "two threads, one item at a time", test_handover_single },
		{ "push against final, both pairs", test_races },
	};

	return unit_run("ring", tests, UNIT_LEN(tests));
}
