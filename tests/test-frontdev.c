/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handshake: opening against back ends that are late, absent, refusing,
 * left over; every store request failing once; both ways of closing.
 */
#include <stdbool.h>
#include <unistd.h>

#include "blkfront.h"
#include "fake-front.h"
#include "frontdev.h"
#include "unit.h"

#define DISK_BYTES (1u << 20)

static struct front_problem problem;
static struct blkfront *f;

static int open_disk(int timeout_ms)
{
	memset(&problem, 0, sizeof(problem));
	return blkfront_open(fake_front_env(), FAKE_DEVID, NULL, timeout_ms, &f, &problem);
}

/* Nothing may be left of a closed or failed device. */
static void nothing_left(void)
{
	UNIT_EQ(fake_gnt_pages(), 0);
	UNIT_EQ(fake_evtchn_ports(), 0);
	UNIT_EQ(fake_xs_open_transactions(), 0);
}

static void test_open_close(void)
{
	fake_front_reset(DISK_BYTES);
	UNIT_EQ(open_disk(1000), 0);
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/state"), "4");
	UNIT_STREQ(fake_xs_get(FAKE_BACK_DIR "/state"), "4");
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/feature-persistent"), "1");
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/state"), "6");
	UNIT_STREQ(fake_xs_get(FAKE_BACK_DIR "/state"), "6");
	UNIT_OK(!fake_xs_get(FAKE_FRONT_DIR "/event-channel"));
	nothing_left();
	/* And again: 6 -> 1 -> 2 -> ... */
	UNIT_EQ(open_disk(1000), 0);
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	nothing_left();
	fake_front_end();
}

static void test_close_at_once(void)
{
	fake_front_reset(DISK_BYTES);
	fake_back.leave = FAKE_CLOSE_AT_ONCE;
	UNIT_EQ(open_disk(1000), 0);
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/state"), "6");
	nothing_left();
	fake_front_end();
}

static void test_close_refused(void)
{
	fake_front_reset(DISK_BYTES);
	UNIT_EQ(open_disk(1000), 0);
	fake_back.leave = FAKE_CLOSE_NEVER;
	UNIT_EQ(blkfront_close(f, 1000, NULL), -ETIMEDOUT);
	nothing_left();
	fake_front_end();
}

static void test_no_device(void)
{
	fake_front_reset(DISK_BYTES);
	memset(&problem, 0, sizeof(problem));
	UNIT_EQ(blkfront_open(fake_front_env(), 51728, NULL, 1000, &f, &problem), -ENOENT);
	UNIT_OK(!f);
	UNIT_OK(strstr(problem.text, "device/vbd/51728") != NULL);
	UNIT_OK(problem.advice != NULL);
	nothing_left();
	fake_front_end();
}

static void attach_on_sleep(struct fake_back *b)
{
	if (b->sleeps == 1) {
		fake_xs_put(FAKE_FRONT_DIR "/backend", FAKE_BACK_DIR);
	} else if (b->sleeps == 2) {
		fake_xs_put(FAKE_FRONT_DIR "/backend-id", "0");
		fake_xs_put(FAKE_FRONT_DIR "/state", "1");
	}
}

/* The tool stack comes later than we do, node by node. */
static void test_attached_later(void)
{
	struct xs_handle *xs;

	fake_front_reset(DISK_BYTES);
	xs = fake_xs_open(0);
	xs_rm(xs, XBT_NULL, FAKE_FRONT_DIR);
	xs_close(xs);
	fake_back.on_sleep = attach_on_sleep;
	UNIT_EQ(open_disk(-1), 0);
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	nothing_left();
	fake_front_end();
}

static void test_odd_nodes(void)
{
	fake_front_reset(DISK_BYTES);
	fake_xs_put(FAKE_FRONT_DIR "/backend-id", "zero");
	UNIT_EQ(open_disk(1000), -EINVAL);
	UNIT_OK(strstr(problem.text, "backend-id is zero") != NULL);
	fake_front_end();
	fake_front_reset(DISK_BYTES);
	fake_xs_put(FAKE_FRONT_DIR "/backend", "");
	UNIT_OK(open_disk(1000) < 0);
	nothing_left();
	fake_front_end();
	fake_front_reset(DISK_BYTES);
	fake_back.features.sector_bytes = 65536;
	UNIT_EQ(open_disk(1000), -EINVAL);
	UNIT_OK(strstr(problem.text, "65536") != NULL);
	nothing_left();
	fake_front_end();
}

static void test_absent(void)
{
	fake_front_reset(DISK_BYTES);
	fake_back.mute = true;
	fake_xs_put(FAKE_BACK_DIR "/state", "1");
	UNIT_EQ(open_disk(1000), -ETIMEDOUT);
	UNIT_OK(strstr(problem.text, "stays Initialising") != NULL);
	UNIT_OK(strstr(problem.text, FAKE_BACK_DIR) != NULL);
	nothing_left();
	fake_front_end();
}

static void test_stuck_in_initwait(void)
{
	fake_front_reset(DISK_BYTES);
	fake_back.mute = true;
	UNIT_EQ(open_disk(1000), -ETIMEDOUT);
	UNIT_OK(strstr(problem.text, "reach Connected, but it stays InitWait") != NULL);
	nothing_left();
	fake_front_end();
}

static void test_refusal(void)
{
	fake_front_reset(DISK_BYTES);
	fake_back.refuse = true;
	fake_xs_put("/local/domain/0/error/backend/vbd/3/51712/error", "22 no such image");
	UNIT_EQ(open_disk(1000), -ECONNABORTED);
	UNIT_OK(strstr(problem.text, "no such image") != NULL);
	nothing_left();
	fake_front_end();
}

/* Whatever state an earlier user died in, the next one gets the device. */
static void test_left_over(void)
{
	static const struct {
		const char *front, *back;
		bool connected;
	} left[] = {
		{ "4", "4", true }, { "3", "4", true }, { "3", "2", false },
		{ "5", "4", true }, { "5", "5", false }, { "6", "6", false },
		{ "6", "5", false }, { "4", "6", false }, { "1", "5", false },
		{ "6", "2", false }, { "4", "5", false }, { "2", "2", false },
		{ "7", "4", true }, { "8", "4", true },
	};
	size_t i;

	for (i = 0; i < UNIT_LEN(left); i++) {
		fake_front_reset(DISK_BYTES);
		fake_xs_put(FAKE_FRONT_DIR "/state", left[i].front);
		fake_xs_put(FAKE_BACK_DIR "/state", left[i].back);
		/* More rings than ours: their nodes must not mix with ours. */
		fake_xs_put(FAKE_FRONT_DIR "/multi-queue-num-queues", "3");
		fake_back.connected = left[i].connected;
		fake_back.stuck = true;
		UNIT_EQ(open_disk(1000), 0);
		fake_back.stuck = false;
		UNIT_STREQ(fake_xs_get(FAKE_BACK_DIR "/state"), "4");
		UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
		nothing_left();
		fake_front_end();
	}
}

static void detach_at_closing(struct fake_back *b)
{
	const char *state = fake_xs_get(FAKE_FRONT_DIR "/state");
	struct xs_handle *xs;

	(void)b;
	if (!state || strcmp(state, "5"))
		return;
	xs = fake_xs_open(0);
	xs_rm(xs, XBT_NULL, FAKE_FRONT_DIR);
	xs_close(xs);
	fake_xs_put(FAKE_BACK_DIR "/state", "6");
}

/* The tool stack takes the device away while it is brought back to the start. */
static void test_left_over_detached(void)
{
	fake_front_reset(DISK_BYTES);
	fake_xs_put(FAKE_FRONT_DIR "/state", "4");
	fake_xs_put(FAKE_BACK_DIR "/state", "4");
	fake_back.on_sleep = detach_at_closing;
	UNIT_EQ(open_disk(1000), -ENOENT);
	UNIT_OK(strstr(problem.text, FAKE_FRONT_DIR " is gone") != NULL);
	UNIT_OK(!fake_xs_get(FAKE_FRONT_DIR "/state"));
	nothing_left();
	fake_front_end();
}

static int write_something(void *arg, xs_transaction_t t)
{
	struct frontdev *dev = arg;

	return xenbus_write_text(dev->bus.xs, t, dev->bus.nodename, "something", "else");
}

static void test_collisions(void)
{
	struct frontdev dev;
	int left = 1000;

	fake_front_reset(DISK_BYTES);
	UNIT_EQ(frontdev_open(&dev, fake_front_env(), "vbd", FAKE_DEVID, &left), 0);
	fake_xs_refuse_commits(5);
	UNIT_EQ(frontdev_publish(&dev, XenbusStateInitialised, write_something, &dev), 0);
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/something"), "else");
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/state"), "3");
	frontdev_destroy(&dev);
	fake_front_end();
	fake_front_reset(DISK_BYTES);
	fake_xs_refuse_commits(5);
	UNIT_EQ(open_disk(1000), 0);
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	nothing_left();
	fake_front_end();
}

/* Each request to the store fails once; nothing hangs, leaks or crashes. */
static void test_store_failures(void)
{
	unsigned int i, nr, failed = 0;

	fake_front_reset(DISK_BYTES);
	nr = fake_xs_requests();
	UNIT_EQ(open_disk(1000), 0);
	UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
	nr = fake_xs_requests() - nr;
	fake_front_end();
	UNIT_OK(nr > 20);
	for (i = 1; i <= nr; i++) {
		struct front_env *env;

		fake_front_reset(DISK_BYTES);
		env = fake_front_env();
		memset(&problem, 0, sizeof(problem));
		fake_xs_fail_nth(i, EIO);
		failed += blkfront_open(env, FAKE_DEVID, NULL, 1000, &f, &problem) < 0;
		if (f)
			blkfront_close(f, 1000, NULL);
		else
			UNIT_OK(problem.text[0] != 0);
		fake_xs_fail_nth(0, 0);
		nothing_left();
		fake_front_end();
	}
	UNIT_OK(failed > 10);
}

static void test_out_of_grants(void)
{
	struct blkfront_info info;
	int limit, opened = 0;

	for (limit = 0; limit < 80; limit++) {
		fake_front_reset(DISK_BYTES);
		fake_gnt_limit = limit;
		if (open_disk(1000) == 0) {
			opened++;
			blkfront_info(f, &info);
			UNIT_OK(info.short_of_grants);
			UNIT_OK(info.pool_pages <= (uint32_t)limit);
			UNIT_EQ(blkfront_close(f, 1000, NULL), 0);
		} else {
			UNIT_OK(strstr(problem.advice, "xen_gntalloc.limit") != NULL);
		}
		nothing_left();
		fake_front_end();
	}
	UNIT_EQ(opened, 78);	/* a page of ring and one of data are enough */
}

static int stopped(void *ctx, unsigned int what, int *left_ms)
{
	(void)ctx;
	(void)what;
	(void)left_ms;
	return -EINTR;
}

static void test_interrupt(void)
{
	struct front_env *env;

	fake_front_reset(DISK_BYTES);
	env = fake_front_env();
	env->wait = stopped;
	UNIT_EQ(blkfront_open(env, FAKE_DEVID, NULL, -1, &f, &problem), -EINTR);
	nothing_left();
	fake_front_end();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "open, close, open again", test_open_close },
		{ "a back end that closes in one step", test_close_at_once },
		{ "a back end that never lets go", test_close_refused },
		{ "no such device", test_no_device },
		{ "a device attached after us", test_attached_later },
		{ "nodes with odd values", test_odd_nodes },
		{ "no back end", test_absent },
		{ "a back end that stays in InitWait", test_stuck_in_initwait },
		{ "a back end that refuses passes its reason on", test_refusal },
		{ "devices left in any state", test_left_over },
		{ "a device detached while it is reset", test_left_over_detached },
		{ "transactions that collide", test_collisions },
		{ "each store request fails once", test_store_failures },
		{ "too few grants", test_out_of_grants },
		{ "an interrupted wait", test_interrupt },
	};

	alarm(60);
	return unit_run("frontdev", tests, UNIT_LEN(tests));
}
