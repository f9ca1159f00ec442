/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal under kills: a small back end that uses it exactly as a queue
 * does, a front end that checks that every request is answered once, and a
 * kill after each store of the protocol, one after the other; then pairs of
 * kills; then real ones, of a process, at random instants.
 *
 * The journal's source is included: its steps become points where we stop.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void kill_point(void);
#define JOURNAL_STEP() kill_point()
#include "journal.c"
#include "ring.h"
#include "unit.h"

#define SLOTS 8u
#define RING_BYTES 4096u
#define SLOT_BYTES 112u
#define REQUESTS 40u
#define MANY (8u * 1000 * 1000)

/* ---- dying ---------------------------------------------------------------------- */

static jmp_buf dead;
static uint32_t steps, die_at;		/* die_at 0: never */

static void kill_point(void)
{
	__asm__ volatile("" : : : "memory");
	if (die_at && ++steps == die_at)
		longjmp(dead, 1);
}

/* ---- the front end: ids from 0 to REQUESTS - 1 ------------------------------------- */

struct request { uint64_t id, check; };
struct response { uint64_t id; };

struct world {
	struct ring_front front;
	uint8_t *ring;			/* RING_BYTES, shared */
	uint32_t nr_requests, next, nr_answered;
	uint8_t *answers;		/* per id */
	uint32_t *executed;		/* per id, shared with a process */
	bool bad;
	int fd;				/* the journal */
};

static void front_turn(struct world *w)
{
	struct response rsp;

	for (int n = ring_front_pending(&w->front); n > 0; n--) {
		ring_front_take(&w->front, &rsp, sizeof(rsp));
		if (rsp.id >= w->next || w->answers[rsp.id]++)
			w->bad = true;
		w->nr_answered++;
	}
	while (w->next < w->nr_requests && ring_front_free(&w->front)) {
		struct request req = { w->next, ~(uint64_t)w->next };

		w->next++;
		ring_front_put(&w->front, &req, sizeof(req));
	}
	ring_front_push(&w->front);
}

/* ---- the back end -------------------------------------------------------------------- */

struct back {
	struct ring_back ring;
	struct journal *j;
	struct journal_queue *q;
	struct journal_recovery rec;
	struct journal_record *taken[SLOTS];
	uint32_t nr_taken;
};

static void answer(struct world *w, struct back *b, uint32_t i)
{
	struct journal_record *r = b->taken[i];
	struct request req;
	struct response rsp;

	memcpy(&req, r->request, sizeof(req));
	if (req.check != ~req.id || req.id >= w->nr_requests)
		w->bad = true;
	else
		w->executed[req.id]++;
	rsp.id = req.id;
	journal_answer(b->q, r, b->ring.rsp_prod_pvt, 0, 0);
	ring_back_put(&b->ring, &rsp, sizeof(rsp));
	kill_point();
	b->taken[i] = b->taken[--b->nr_taken];
}

static void push(struct back *b)
{
	journal_push_begin(b->q, b->ring.rsp_prod_pvt);
	ring_back_push(&b->ring);
	kill_point();
	journal_push_end(b->q);
}

static void take(struct back *b, uint32_t nr)
{
	while (nr--) {
		struct journal_record *r = journal_take(b->q, b->ring.req_cons, 0);

		ring_back_take(&b->ring, r->request, SLOT_BYTES);
		kill_point();
		b->taken[b->nr_taken++] = r;
	}
	journal_taken(b->q, b->ring.req_cons);
}

/* As a successor does; -ENODATA makes it a first connection. */
static int connect_back(struct world *w, struct back *b)
{
	struct response rsp;
	int err;

	memset(b, 0, sizeof(*b));
	err = journal_open(w->fd, 1, SLOTS, &b->j);
	if (err)
		return err;
	b->q = journal_queue(b->j, 0);
	err = journal_recover(b->q, &b->rec);
	if (err == -ENODATA) {
		ring_back_init(&b->ring, w->ring, RING_BYTES, SLOT_BYTES,
			       ring_back_start(w->ring));
		b->ring.nr_slots = SLOTS;
		journal_reset(b->q, b->ring.rsp_prod_pvt);
		return 0;
	}
	if (err)
		return err;
	ring_back_init(&b->ring, w->ring, RING_BYTES, SLOT_BYTES, b->rec.rsp_prod);
	b->ring.nr_slots = SLOTS;
	ring_back_resume(&b->ring, b->rec.req_cons);
	for (uint32_t i = 0; i < b->rec.nr_answered; i++) {
		memcpy(&rsp, b->rec.answered[i]->request, sizeof(rsp));
		ring_back_put(&b->ring, &rsp, sizeof(rsp));
	}
	for (uint32_t i = 0; i < b->rec.nr_taken; i++)
		b->taken[b->nr_taken++] = b->rec.taken[i];
	return 0;
}

/*
 * Some passes that take in groups, answer out of order, push in groups, and
 * leave some in flight. The front end uses freed slots at once.
 */
static void back_turn(struct world *w, struct back *b, uint32_t turn)
{
	int n = ring_back_pending(&b->ring);

	if (n < 0) {
		w->bad = true;
		return;
	}
	take(b, MIN((uint32_t)n, 1 + turn % 5));
	for (uint32_t i = 0; b->nr_taken > turn % 3 && i < 3; i++)
		answer(w, b, (turn + i) % b->nr_taken);
	if (turn % 2)
		push(b);
}

/* ---- simulated kills ------------------------------------------------------------------ */

static bool world_open(struct world *w, uint32_t nr_requests)
{
	memset(w, 0, sizeof(*w));
	w->nr_requests = nr_requests;
	w->fd = memfd_create("journal", MFD_CLOEXEC);
	w->ring = mmap(NULL, RING_BYTES + nr_requests * sizeof(uint32_t),
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	w->answers = calloc(1, nr_requests);
	if (w->fd < 0 || w->ring == MAP_FAILED || !w->answers)
		return false;
	w->executed = (uint32_t *)(w->ring + RING_BYTES);
	ring_front_init(&w->front, w->ring, RING_BYTES, SLOT_BYTES);
	w->front.nr_slots = SLOTS;
	return true;
}

static void world_close(struct world *w)
{
	close(w->fd);
	munmap(w->ring, RING_BYTES + w->nr_requests * sizeof(uint32_t));
	free(w->answers);
}

static void serve(struct world *w, struct back *b)
{
	if (connect_back(w, b)) {
		w->bad = true;
		return;
	}
	for (uint32_t turn = 0; turn < 10000; turn++) {
		if (w->nr_answered == w->nr_requests || w->bad)
			return;
		front_turn(w);
		back_turn(w, b, turn);
	}
	w->bad = true;
}

/* One life: until all is answered, or a kill. True: it was killed. */
static bool live(struct world *w, struct back *b, uint32_t kill_after)
{
	bool killed = true;

	steps = 0;
	die_at = kill_after;
	if (!setjmp(dead)) {
		serve(w, b);
		killed = false;
	}
	die_at = 0;
	return killed;
}

static void bury(struct back *b)
{
	journal_close(b->j);
	journal_recovery_free(&b->rec);
	b->j = NULL;
}

static bool all_once(const struct world *w)
{
	for (uint32_t i = 0; i < w->nr_requests; i++)
		if (w->answers[i] != 1 || !w->executed[i])
			return false;
	return !w->bad;
}

/*
 * Dies at the given steps of its first and second life. False: it ended before
 * the first kill. The front end has a turn while nobody serves it.
 */
static bool story(uint32_t first, uint32_t second, bool *ok)
{
	static struct back b;
	struct world w;
	bool killed;

	*ok = false;
	if (!world_open(&w, REQUESTS))
		return false;
	b.j = NULL;
	killed = live(&w, &b, first);
	bury(&b);
	if (killed) {
		front_turn(&w);
		if (second && live(&w, &b, second)) {
			bury(&b);
			front_turn(&w);
		}
		if (w.nr_answered < w.nr_requests)
			live(&w, &b, 0);
		bury(&b);
	}
	*ok = all_once(&w);
	world_close(&w);
	return killed;
}

static void test_every_step(void)
{
	uint32_t at = 0, bad = 0;
	bool killed = true, ok;

	while (killed) {
		killed = story(++at, 0, &ok);
		if (!ok && !bad++)
			fprintf(stderr, "\nkilled at step %u", at);
	}
	UNIT_EQ(bad, 0);
	UNIT_OK(at > 3 * REQUESTS);	/* the steps were really there */
}

static void test_two_kills(void)
{
	bool full = getenv("PV_FULL") != NULL, ok;
	uint32_t bad = 0, stride = full ? 1 : 3;

	for (uint32_t first = 1; story(first, 0, &ok); first += stride)
		for (uint32_t second = 1; second < 90; second += stride) {
			story(first, second, &ok);
			if (!ok && !bad++)
				fprintf(stderr, "\nkilled at steps %u, %u", first, second);
		}
	UNIT_EQ(bad, 0);
	if (!full)
		printf("\ndeferred: a second kill at every step (every third run)\n");
}

/* ---- real kills ----------------------------------------------------------------------- */

static void serve_for_ever(struct world *w)
{
	static struct back b;

	if (connect_back(w, &b))
		_exit(1);
	push(&b);
	for (uint32_t turn = 0;; turn++)
		back_turn(w, &b, turn);
}

static pid_t start_server(struct world *w)
{
	pid_t pid = fork();

	if (pid == 0)
		serve_for_ever(w);
	return pid;
}

/* The front end works while a server lives for a random time. */
static bool until_kill(struct world *w, uint32_t *seed)
{
	struct timespec begun, now;
	pid_t pid = start_server(w);
	int status;
	long us;

	*seed = *seed * 1664525 + 1013904223;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do {
		front_turn(w);
		clock_gettime(CLOCK_MONOTONIC, &now);
		us = (now.tv_sec - begun.tv_sec) * 1000000L +
			(now.tv_nsec - begun.tv_nsec) / 1000;
	} while (us < (long)(*seed >> 20) && w->nr_answered < w->nr_requests);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status);
}

static void test_real_kills(void)
{
	uint32_t kills = 0, nr = getenv("PV_FULL") ? 3000 : 200, seed = 12345;
	struct world w;
	bool alive = true;

	UNIT_NEED(world_open(&w, MANY));
	while (alive && kills < nr && w.nr_answered < w.nr_requests && !w.bad) {
		alive = until_kill(&w, &seed);
		kills++;
	}
	UNIT_OK(alive);		/* none ended by itself: each could recover */
	w.nr_requests = w.next;	/* no more; those sent are answered */
	for (uint32_t i = 0; w.nr_answered < w.nr_requests && i < 1000; i++)
		until_kill(&w, &seed);
	UNIT_OK(all_once(&w));
	UNIT_OK(w.nr_requests > nr);
	printf("\n  %u kills, %u requests ", kills, w.nr_requests);
	w.nr_requests = MANY;
	world_close(&w);
	if (!getenv("PV_FULL"))
		printf("\ndeferred: 3000 real kills (200 run)\n");
}

/* ---- files ------------------------------------------------------------------------------ */

static int empty_file(void)
{
	return memfd_create("journal", MFD_CLOEXEC);
}

static void test_geometry(void)
{
	struct journal *j = NULL;
	int fd = empty_file();

	UNIT_EQ(journal_open(fd, 2, 32, &j), 0);
	journal_close(j);
	UNIT_EQ(journal_open(fd, 2, 32, &j), 0);
	journal_close(j);
	UNIT_EQ(journal_open(fd, 1, 32, &j), -EBADMSG);
	UNIT_EQ(journal_open(fd, 2, 64, &j), -EBADMSG);
	UNIT_EQ(ftruncate(fd, 100), 0);
	UNIT_EQ(journal_open(fd, 2, 32, &j), -EBADMSG);
	close(fd);
}

static void test_not_a_journal(void)
{
	static const char text[] = "this is a letter to somebody else entirely";
	struct journal *j;
	int fd = empty_file();

	UNIT_EQ(write(fd, text, sizeof(text)), sizeof(text));
	UNIT_EQ(journal_open(fd, 1, 32, &j), -EBADMSG);
	close(fd);
}

/* A file that a predecessor was killed in making. */
static void test_half_made(void)
{
	struct journal_recovery rec;
	struct journal *j = NULL;
	int fd = empty_file();

	UNIT_EQ(ftruncate(fd, 5000), 0);
	UNIT_EQ(journal_open(fd, 1, 32, &j), 0);
	UNIT_EQ(journal_recover(journal_queue(j, 0), &rec), -ENODATA);
	journal_close(j);
	close(fd);
}

/* One record taken of which an index is then wrong. */
static void damaged(void (*damage)(struct journal_queue *q, struct journal_record *r),
		    int want)
{
	struct journal_recovery rec;
	struct journal_record *r;
	struct journal_queue *q;
	struct journal *j = NULL;
	int fd = empty_file(), got;

	UNIT_EQ(journal_open(fd, 1, SLOTS, &j), 0);
	q = journal_queue(j, 0);
	journal_reset(q, 0xfffffffe);
	for (uint32_t i = 0; i < 3; i++)
		r = journal_take(q, 0xfffffffe + i, 0);
	journal_taken(q, 1);
	journal_answer(q, r, 0xfffffffe, -1, 0);
	if (damage)
		damage(q, r);
	got = journal_recover(q, &rec);
	UNIT_EQ(got, want);
	if (!got) {
		UNIT_EQ(rec.nr_taken, 2);
		UNIT_EQ(rec.nr_answered, 1);
		UNIT_EQ(rec.answered[0]->status, -1);
		UNIT_EQ(rec.taken[0]->req_index, 0xfffffffe);
		UNIT_EQ(rec.taken[1]->req_index, 0xffffffff);
		journal_recovery_free(&rec);
	}
	journal_close(j);
	close(fd);
}

static void damage_state(struct journal_queue *q, struct journal_record *r)
{
	(void)q;
	r->state = 77;
}

static void damage_index(struct journal_queue *q, struct journal_record *r)
{
	(void)q;
	r->rsp_index += 2;
}

static void damage_cons(struct journal_queue *q, struct journal_record *r)
{
	(void)r;
	q->file->req_cons += 1;
}

static void damage_lost(struct journal_queue *q, struct journal_record *r)
{
	(void)q;
	r->state = JOURNAL_FREE;
}

static void test_damage(void)
{
	damaged(NULL, 0);
	damaged(damage_state, -EBADMSG);
	damaged(damage_index, -EBADMSG);
	damaged(damage_cons, -EBADMSG);
	damaged(damage_lost, -EBADMSG);
}

/* Somebody else notes what is lost: whoever has the journal open sees it, and the first stays. */
static void test_noted(void)
{
	struct journal *j = NULL;
	int fd = empty_file();

	UNIT_EQ(journal_note_flush_lost(fd, -EIO), -EBADMSG);
	UNIT_NEED(!journal_open(fd, 2, 32, &j));
	UNIT_EQ(*journal_flush_lost(j), 0);
	UNIT_EQ(journal_note_flush_lost(fd, -EIO), 0);
	UNIT_EQ(*journal_flush_lost(j), EIO);
	UNIT_EQ(journal_note_flush_lost(fd, -ENOSPC), 0);
	UNIT_EQ(journal_read_flush_lost(fd), EIO);
	journal_close(j);
	close(fd);
}

static const struct unit_test tests[] = {
	{ "what is lost, noted by another", test_noted },
	{ "geometry", test_geometry },
	{ "not a journal", test_not_a_journal },
	{ "killed while making the file", test_half_made },
	{ "damage is noticed, across 2^32", test_damage },
	{ "a kill after every store", test_every_step },
	{ "two kills", test_two_kills },
	{ "SIGKILL at random instants", test_real_kills },
};

int main(void)
{
	return unit_run("journal", tests, UNIT_LEN(tests));
}
