/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The judgement of paravane why, and the rates that it and paravane top go by: what is said
 * of a device that answers nothing, and what is not.
 */
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>
#include "paravane-findings.h"
#include "paravane-threads.h"
#include "unit.h"

static struct sample sample;
static struct rates rates;
static struct measured measured;
static struct findings found;

static void begin(bool is_nic)
{
	memset(&sample, 0, sizeof(sample));
	sample.is_nic = is_nic;
	sample.has_since = true;
	sample.seconds = 3;
	measured = (struct measured){ .sample = &sample, .rates = &rates, .busiest_cpu = -1 };
}

static void answered(uint32_t nr, uint64_t ns)
{
	sample.since.disk.requests = sample.since.disk.responses = sample.since.disk.reads = nr;
	sample.since.disk.read_sectors = 128u * nr;
	histogram_add(&sample.since.disk.latency[BLK_LATENCY_READ], ns, nr);
}

static void judge_disk(const char *server)
{
	const struct disk_means means = { .slots = 32, .queues = 1, .server = server };

	sample_rates(&sample, &rates);
	findings_of_disk(&measured, &means, &found);
}

static void judge_nic(void)
{
	sample_rates(&sample, &rates);
	findings_of_nic(&measured, true, &found);
}

static const struct finding *finding(const char *topic)
{
	for (uint32_t i = 0; i < found.nr; i++)
		if (!strcmp(found.found[i].topic, topic))
			return &found.found[i];
	return NULL;
}

static bool says(const char *topic, const char *text)
{
	const struct finding *f = finding(topic);

	return f && strstr(f->is, text);
}

/* ---- rates ------------------------------------------------------------------------------ */

static void test_depth(void)
{
	begin(false);
	answered(3000, 1000000);
	sample.since.disk.in_flight = 7;
	sample_rates(&sample, &rates);
	UNIT_OK(rates.depth > 0.99 && rates.depth < 1.01);

	begin(false);
	sample.since.disk.requests = 5;
	sample.since.disk.in_flight = 7;
	sample_rates(&sample, &rates);
	UNIT_EQ(rates.depth, 7);

	begin(false);
	sample_rates(&sample, &rates);
	UNIT_EQ(rates.depth, 0);
}

/* ---- disks ------------------------------------------------------------------------------ */

static void test_stalled_disk(void)
{
	begin(false);
	sample.since.disk.in_flight = 7;
	judge_disk("");
	UNIT_EQ(found.nr, 1);
	UNIT_OK(says("stalled", "on their way: 7, and none was answered in 3.0 s"));
	UNIT_OK(says("stalled", "the image does not answer"));

	judge_disk("away since 123456: Connection refused");
	UNIT_EQ(found.nr, 1);
	UNIT_OK(says("stalled", "the image's server is away: Connection refused"));

	judge_disk("connected");
	UNIT_EQ(found.nr, 1);
	UNIT_OK(says("stalled", "the image's server is connected"));

	/* Also where the last of them has just been taken. */
	sample.since.disk.requests = 7;
	judge_disk("");
	UNIT_EQ(found.nr, 1);
	UNIT_OK(finding("stalled"));
}

/* What holds it back besides is said, too. */
static void test_stalled_and_limited(void)
{
	begin(false);
	sample.since.disk.in_flight = 7;
	sample.since.disk.throttled = 9;
	judge_disk("");
	UNIT_EQ(found.nr, 2);
	UNIT_OK(finding("stalled") && says("limit", "9 times"));
}

static void test_not_stalled(void)
{
	begin(false);
	judge_disk("");
	UNIT_EQ(found.nr, 1);
	UNIT_OK(finding("idle"));

	begin(false);
	answered(3, 1000000);
	sample.since.disk.in_flight = 1;
	judge_disk("connected");
	UNIT_OK(!finding("stalled") && finding("guest"));

	begin(false);
	answered(3000, 1000000);
	judge_disk("");
	UNIT_OK(!finding("stalled") && finding("depth"));

	/* Answered with errors is answered. */
	begin(false);
	sample.since.disk.requests = sample.since.disk.responses = sample.since.disk.errors = 5;
	sample.since.disk.in_flight = 1;
	judge_disk("away since 1: nobody");
	UNIT_OK(!finding("stalled") && finding("errors"));
}

/* ---- CPUs ------------------------------------------------------------------------------- */

static void judge_cpu(uint32_t queues, double all, double busiest)
{
	const struct disk_means means = { .slots = 32 * queues, .queues = queues, .server = "" };

	begin(false);
	answered(300000, 10000);
	sample.cpu = all;
	measured.busiest_cpu = busiest;
	sample_rates(&sample, &rates);
	findings_of_disk(&measured, &means, &found);
}

static void test_cpu(void)
{
	judge_cpu(1, 0.97, 0.97);
	UNIT_OK(says("cpu", "97 % of a CPU with 1 queue"));
	UNIT_OK(!finding("depth"));

	judge_cpu(4, 1.02, 0.99);	/* one of four */
	UNIT_OK(says("cpu", "the busiest of the worker's threads used 99 % of a CPU, and all of them "
		     "102 %, with 4 queues"));
	UNIT_OK(!finding("depth"));

	judge_cpu(4, 3.9, 0.99);	/* all */
	UNIT_OK(says("cpu", "the worker used 390 % of a CPU with 4 queues"));

	judge_cpu(4, 1.02, 0.3);	/* shared alike */
	UNIT_OK(!finding("cpu") && finding("depth"));

	judge_cpu(4, 3.9, -1);		/* not known */
	UNIT_OK(says("cpu", "390 %"));
	judge_cpu(4, 1.02, -1);
	UNIT_OK(!finding("cpu"));
}

/* A thread that uses so much, and waits for its end. */
struct spinner {
	pthread_t thread;
	long cpu_ns;
	sem_t done, end;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;
	struct timespec used;

	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	while (!used.tv_sec && used.tv_nsec < s->cpu_ns);
	sem_post(&s->done);
	sem_wait(&s->end);
	return NULL;
}

static void spinner_begin(struct spinner *s, long cpu_ns)
{
	s->cpu_ns = cpu_ns;
	sem_init(&s->done, 0, 0);
	sem_init(&s->end, 0, 0);
	pthread_create(&s->thread, NULL, spin, s);
	sem_wait(&s->done);
}

static void spinner_end(struct spinner *s)
{
	sem_post(&s->end);
	pthread_join(s->thread, NULL);
}

/* Of two, one has used five times as much. */
static void test_threads(void)
{
	struct threads before = { .nr = 0 }, now = { .nr = 0 };
	struct spinner much, little;
	double ns;

	UNIT_EQ(threads_look(&before, (uint32_t)getpid()), 0);
	UNIT_OK(before.nr > 0);
	spinner_begin(&little, 100000000);
	spinner_begin(&much, 500000000);
	UNIT_EQ(threads_look(&now, (uint32_t)getpid()), 0);
	UNIT_EQ(now.nr, before.nr + 2);
	ns = threads_busiest(&before, &now) * (double)(now.taken_ns - before.taken_ns);
	UNIT_OK(ns > 480e6 && ns < 600e6);
	spinner_end(&much);
	spinner_end(&little);

	before.pid++;
	UNIT_OK(threads_busiest(&before, &now) < 0);
	UNIT_OK(threads_look(&now, 0) < 0);
	before.pid--;
	UNIT_OK(threads_busiest(&before, &now) < 0);
	threads_free(&before);
	threads_free(&now);
}

/* ---- interfaces ------------------------------------------------------------------------- */

static void test_stalled_nic(void)
{
	begin(true);
	judge_nic();
	UNIT_EQ(found.nr, 1);
	UNIT_OK(finding("idle"));

	sample.since.nic.rx_waiting = 40;
	sample.since.nic.port.dropped[VSWITCH_QUEUE_FULL] = 8;
	judge_nic();
	UNIT_EQ(found.nr, 2);
	UNIT_OK(says("stalled", "40 frames wait for the guest") && says("drops", "8 frames"));

	begin(true);
	sample.since.nic.tx_in_flight = 3;
	judge_nic();
	UNIT_EQ(found.nr, 1);
	UNIT_OK(says("stalled", "3 slots"));

	begin(true);
	sample.since.nic.rx_waiting = 40;
	sample.since.nic.rx_frames = 1;
	judge_nic();
	UNIT_OK(!finding("stalled"));
}

static const struct unit_test tests[] = {
	{ "depth is of what was answered, or else what is on its way", test_depth },
	{ "a disk that answers nothing is stalled, and its server's reason said", test_stalled_disk },
	{ "what is besides a stall is said", test_stalled_and_limited },
	{ "an idle disk, and one that answers little or errors, is not stalled", test_not_stalled },
	{ "one busy thread of several is found", test_cpu },
	{ "threads' times are told apart", test_threads },
	{ "a guest that takes no frame is not idle", test_stalled_nic },
};

int main(void)
{
	return unit_run("findings", tests, UNIT_LEN(tests));
}
