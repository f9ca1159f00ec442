/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The power goes while a guest writes, flushes and sends barriers, and the disk finishes
 * them in any order, also after workers were killed and others went on from the journal: what the guest was told is durable is there, and nothing that came
 * after a barrier is there without what came before it.
 *
 * Each sector holds the number of the request that wrote it.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "blk-device.h"
#include "unit.h"

#define PLACES 64u		/* of 8 sectors, written as a whole */
#define REQUESTS 400u
#define PAGES 32u		/* requests in flight */
#define CUTS 120u

struct request {
	uint8_t operation;		/* WRITE, WRITE_BARRIER, FLUSH_DISKCACHE */
	uint32_t place;
	uint32_t told;			/* answers before it was sent */
	bool answered;
	uint32_t answered_at;
};

static struct request requests[REQUESTS];	/* in order of sending; id is the index */
static uint32_t nr_sent, nr_answers;
static uint32_t page_gref[PAGES];
static bool page_used[PAGES];
static uint32_t page_of[REQUESTS];
static uint64_t random_state;
static bool barriers = true;	/* without them a flush has more to do */

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

/* ---- the guest ----------------------------------------------------------------------- */

static bool take_page(uint32_t id)
{
	for (uint32_t i = 0; i < PAGES; i++)
		if (!page_used[i]) {
			page_used[i] = true;
			page_of[id] = i;
			return true;
		}
	return false;
}

static bool send_one(struct device *d)
{
	struct request *r = &requests[nr_sent];
	struct blkif_request_segment s;
	uint32_t *sector, what = rnd(16);

	if (nr_sent == REQUESTS || !ring_front_free(&d->g->front) || !take_page(nr_sent))
		return false;
	*r = (struct request){ .place = rnd(PLACES), .told = nr_answers };
	r->operation = what == 0 ? BLKIF_OP_FLUSH_DISKCACHE :
		       what == 1 && barriers ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_WRITE;
	sector = (uint32_t *)(void *)fake_page(GUEST_DATA_PAGE + page_of[nr_sent]);
	for (uint32_t i = 0; i < PAGE / 4; i++)
		sector[i] = nr_sent + 1;
	s = segment(page_gref[page_of[nr_sent]], 0, 7);
	guest_rw(d->g, r->operation, nr_sent, r->place * 8,
		 r->operation == BLKIF_OP_FLUSH_DISKCACHE ? 0 : 1, &s);
	nr_sent++;
	return true;
}

static void take_answers(struct device *d)
{
	struct guest_response rsp;

	while (guest_response(d->g, &rsp)) {
		UNIT_EQ(rsp.status, BLKIF_RSP_OKAY);
		requests[rsp.id].answered = true;
		requests[rsp.id].answered_at = nr_answers++;
		page_used[page_of[rsp.id]] = false;
	}
}

/* ---- after the cut ----------------------------------------------------------------------- */

static bool writes(const struct request *r)
{
	return r->operation != BLKIF_OP_FLUSH_DISKCACHE;
}

static const uint8_t *bytes_of(const struct device *d)
{
	return disk_memory_data(d->medium ? d->medium : d->disk);
}

/* The request whose data a place has, plus 1; its sectors may be of different ones. */
static uint32_t oldest_at(const struct device *d, uint32_t place)
{
	const uint8_t *at = bytes_of(d) + place * PAGE;
	uint32_t oldest = UINT32_MAX, v;

	for (uint32_t i = 0; i < 8; i++) {
		memcpy(&v, at + i * 512, sizeof(v));
		oldest = MIN(oldest, v);
	}
	return oldest;
}

static uint32_t newest_at(const struct device *d, uint32_t place)
{
	const uint8_t *at = bytes_of(d) + place * PAGE;
	uint32_t newest = 0, v;

	for (uint32_t i = 0; i < 8; i++) {
		memcpy(&v, at + i * 512, sizeof(v));
		newest = MAX(newest, v);
	}
	return newest;
}

/*
 * Whether a place has what request i wrote there, or what came over it. Two that were in
 * flight together may have come in either order, so the other one's will do as well.
 */
static bool is_there(const struct device *d, uint32_t i)
{
	uint32_t has = oldest_at(d, requests[i].place);
	const struct request *r = &requests[i];

	if (has >= i + 1)
		return true;
	/* An older one that was not answered when r was sent may have come after it. */
	return has && (!requests[has - 1].answered || requests[has - 1].answered_at >= r->told);
}

/* What had been answered when a flush was sent is durable once that is answered. */
static bool is_durable(const struct device *d)
{
	for (uint32_t f = 0; f < nr_sent; f++) {
		if (!requests[f].answered || requests[f].operation == BLKIF_OP_WRITE)
			continue;
		for (uint32_t i = 0; i < f; i++)
			if (writes(&requests[i]) && requests[i].answered &&
			    requests[i].answered_at < requests[f].told && !is_there(d, i))
				return false;
		if (writes(&requests[f]) && !is_there(d, f))
			return false;
	}
	return true;
}

/* Nothing of a barrier, or from after it, without all from before it. */
static bool is_in_order(const struct device *d)
{
	uint32_t newest = 0;

	for (uint32_t place = 0; place < PLACES; place++)
		newest = MAX(newest, newest_at(d, place));
	for (uint32_t b = 0; b < newest; b++) {
		if (requests[b].operation != BLKIF_OP_WRITE_BARRIER)
			continue;
		for (uint32_t i = 0; i < b || (i == b && newest > b + 1); i++)
			if (writes(&requests[i]) && !is_there(d, i))
				return false;
	}
	return true;
}

/* ---- tests ------------------------------------------------------------------------------ */

static uint32_t nr_kept, nr_gone;

static const struct disk_memory_faults slow = { .delay_us = 1, .reverse = true };

static void begin(struct device *d, uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	nr_sent = nr_answers = 0;
	memset(page_used, 0, sizeof(page_used));
	device_open(d);
	for (uint32_t i = 0; i < PAGES; i++)
		page_gref[i] = fake_grant(GUEST_DATA_PAGE + i, false);
	UNIT_EQ(disk_memory_add_cache(d->disk, seed), 0);
	disk_memory_set_faults(d->disk, &slow);
}

static void cut(uint64_t seed)
{
	struct device d = { .nr_queues = 1 };
	uint32_t until;

	begin(&d, seed);
	until = 1 + rnd(REQUESTS - 1);
	while (nr_answers < until) {
		for (uint32_t i = rnd(8); i && send_one(&d); i--)
			;
		device_go(&d);
		take_answers(&d);
	}
	disk_memory_power_cut(d.disk);
	UNIT_OK(is_durable(&d));
	UNIT_OK(is_in_order(&d));
	for (uint32_t i = 0; i < nr_sent; i++)
		if (writes(&requests[i]) && requests[i].answered)
			*(is_there(&d, i) ? &nr_kept : &nr_gone) += 1;
	while (nr_answers < nr_sent) {
		device_run(&d);
		take_answers(&d);
	}
	device_close(&d);
}

static void test_cuts(void)
{
	nr_kept = nr_gone = 0;
	for (uint64_t seed = 1; seed <= CUTS; seed++)
		cut(seed);
	/* Or nothing was ever at stake. */
	UNIT_OK(nr_gone > CUTS);
	UNIT_OK(nr_kept > nr_gone);
}

/* ---- the worker is killed before ------------------------------------------------------------ */

/* As a worker's start: where its predecessor stopped. */
static void succeed(struct device *d)
{
	struct journal_recovery rec;

	device_open_back(d);
	disk_memory_set_faults(d->disk, &slow);
	UNIT_EQ(journal_recover(journal_queue(d->journal, 0), &rec), 0);
	UNIT_EQ(device_start_queue(d, 0, &rec), 0);
	for (uint32_t i = 0; i < rec.nr_taken; i++) {
		bool barrier = blkback_record_is_barrier(rec.taken[i]);

		while (barrier && blkback_busy(d->b))
			blkback_drain_pass(d->b);
		blkback_replay(d->b, rec.taken[i]);
		while (barrier && blkback_busy(d->b))
			blkback_drain_pass(d->b);
	}
	while (blkback_busy(d->b))
		blkback_drain_pass(d->b);
	blkback_drain_pass(d->b);
	journal_recovery_free(&rec);
}

static pid_t start_worker(struct device *d)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	succeed(d);
	for (;;)
		blkback_pass(d->b);
}

static void end_worker(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The guest goes on until it has so many answers; not for ever. */
static void guest_goes_on(struct device *d, uint32_t answers)
{
	for (uint32_t i = 0; i < 200000 && nr_answers < answers && nr_sent < REQUESTS; i++) {
		for (uint32_t k = rnd(8); k && send_one(d); k--)
			;
		guest_push(d->g);
		take_answers(d);
		if (!rnd(4))
			usleep(rnd(100));
	}
}

static uint32_t nr_replayed;

static void kill_and_cut(uint64_t seed)
{
	const struct disk_config cfg = { .fd = -1, .depth = 1, .max_iov = 1 };
	struct device d = { .nr_queues = 1 };
	uint32_t deaths;
	pid_t pid;

	UNIT_EQ(disk_memory_open(DISK_BYTES, &cfg, &d.medium), 0);
	UNIT_EQ(disk_memory_add_cache(d.medium, seed), 0);
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	barriers = seed % 2;
	nr_sent = nr_answers = 0;
	memset(page_used, 0, sizeof(page_used));
	device_open(&d);
	for (uint32_t i = 0; i < PAGES; i++)
		page_gref[i] = fake_grant(GUEST_DATA_PAGE + i, false);
	device_close_back(&d);
	for (deaths = 2 + rnd(2); deaths; deaths--) {
		pid = start_worker(&d);
		guest_goes_on(&d, nr_answers + rnd(100));
		end_worker(pid);
	}
	take_answers(&d);
	disk_memory_power_cut(d.medium);
	UNIT_OK(is_durable(&d));
	UNIT_OK(is_in_order(&d));
	for (uint32_t i = 0; i < nr_sent; i++)
		if (writes(&requests[i]) && requests[i].answered)
			*(is_there(&d, i) ? &nr_kept : &nr_gone) += 1;
	succeed(&d);
	while (nr_answers < nr_sent) {
		device_run(&d);
		take_answers(&d);
	}
	nr_replayed += (uint32_t)blkback_figures(d.queue[0].b)->replayed;
	device_close(&d);
	disk_close(d.medium);
}

static void test_kills_and_cuts(void)
{
	uint32_t nr = getenv("PV_FULL") ? 200 : 12;

	nr_kept = nr_gone = nr_replayed = 0;
	for (uint64_t seed = 1; seed <= nr; seed++)
		kill_and_cut(seed);
	if (!getenv("PV_FULL"))
		printf("\ndeferred: 200 power cuts after workers were killed (12 run)\n");
	UNIT_OK(nr_gone > 0);
	UNIT_OK(nr_kept > nr_gone);
	UNIT_OK(nr_replayed > 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "the power goes", test_cuts },
		{ "workers are killed, then the power goes", test_kills_and_cuts },
	};

	return unit_run("blkback-powercut", tests, UNIT_LEN(tests));
}
