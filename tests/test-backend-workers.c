/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor: workers that die or are deaf, restarts, images that are taken,
 * a store that fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "back-world.h"
#include "journal.h"
#include "predecessor.h"

/* ---- workers -------------------------------------------------------------- */

static void test_successor(void)
{
	char journal[16];
	pid_t before;
	uint64_t end;

	setup();
	UNIT_NEED(connect_all());
	before = worker();
	UNIT_NEED(before > 0);
	kill(before, SIGKILL);
	end = now_ms() + DEADLINE_MS;
	while ((worker() == before || !worker()) && now_ms() < end)
		evloop_turn(loop, 20);
	UNIT_OK(worker() != before);
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	read_journal(journal, sizeof(journal));
	UNIT_STREQ(journal, "fr");
	UNIT_OK(!fake_xs_get(ERROR("3")));
	remove_and_teardown();
}

static void test_gives_up(void)
{
	setup();
	setenv("PV_STUB", "crash", 1);
	attach();
	front_publish("4");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	UNIT_OK(error_has("gave up after 5 crashes"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	/* The front end may try again. */
	unsetenv("PV_STUB");
	UNIT_OK(reconnect("3"));
	remove_and_teardown();
}

static bool journal_reaches(const char *text)
{
	uint64_t end = now_ms() + DEADLINE_MS;
	char journal[16] = "";

	while (now_ms() < end && strcmp(journal, text)) {
		evloop_turn(loop, 20);
		read_journal(journal, sizeof(journal));
	}
	return !strcmp(journal, text);
}

/* All that have begun to fail, more than may crash: the device is not closed for that. */
static void test_none_can_serve(void)
{
	pid_t before;

	setup();
	UNIT_NEED(connect_all());
	before = worker();
	UNIT_NEED(before > 0);
	setenv("PV_STUB", "fail", 1);
	kill(before, SIGKILL);
	UNIT_OK(journal_reaches("frrrrrr"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_OK(error_has("gref 8 cannot be mapped"));
	unsetenv("PV_STUB");
	UNIT_OK(journal_reaches("frrrrrrr"));
	UNIT_OK(pump_until(ERROR("3"), NULL));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	remove_and_teardown();
}

/* Not even one descriptor is free, but for those that the dead one had. */
static void test_none_can_be_started(void)
{
	struct rlimit before, none;
	pid_t dead;
	int next;

	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	setup();
	UNIT_NEED(connect_all());
	dead = worker();
	UNIT_NEED(dead > 0);
	next = dup(0);
	close(next);
	none.rlim_cur = (rlim_t)next;
	UNIT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	kill(dead, SIGKILL);
	while (!fake_xs_get(ERROR("3")) && !strcmp(fake_xs_get(BACK("3") "state"), "4"))
		evloop_turn(loop, 20);
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_OK(error_has("no worker process could be started: Too many open files"));
	UNIT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
	UNIT_OK(journal_reaches("fr"));
	UNIT_OK(pump_until(ERROR("3"), NULL));
	remove_and_teardown();
}

static void test_worker_words(void)
{
	static const char *const words[][2] = {
		{ "fail", "gref 8 cannot be mapped" },
		{ "broken", "req_prod is 4000000000" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(words); i++) {
		setup();
		setenv("PV_STUB", words[i][0], 1);
		attach();
		front_publish("4");
		UNIT_OK(pump_until(BACK("3") "state", "6"));
		UNIT_OK(error_has(words[i][1]));
		teardown();
	}
}

/* Its worker fails when the front end has gone back to its beginning: that is not refused. */
static void test_fails_behind_its_back(void)
{
	setup();
	setenv("PV_STUB", "fail", 1);
	UNIT_NEED(attach_waits());
	front_publish("3");
	while (!has_children())
		evloop_turn(loop, 20);
	fake_xs_put_unheard(FRONT("3") "state", "1");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	unsetenv("PV_STUB");
	UNIT_OK(reconnect("3"));
	remove_and_teardown();
}

/* Nothing that a worker says makes a guest wait: it is as good as dead, and succeeded. */
static void test_nonsense(void)
{
	static const char *const words[] = { "garbage", "wrong" };
	char journal[16];

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		uint64_t end = now_ms() + DEADLINE_MS;

		setup();
		setenv("PV_STUB", words[i], 1);
		UNIT_NEED(connect_all());
		for (journal[0] = '\0'; strcmp(journal, "fr") && now_ms() < end;) {
			evloop_turn(loop, 20);
			read_journal(journal, sizeof(journal));
		}
		UNIT_STREQ(journal, "fr");
		pump_quiet();
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		UNIT_OK(!fake_xs_get(ERROR("3")));
		remove_and_teardown();
	}
}

static void test_deaf(void)
{
	setup();
	config.base.stop_ms = 100;
	setenv("PV_STUB", "deaf", 1);
	UNIT_NEED(connect_all());
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	UNIT_OK(!has_children());
	teardown();
}

/* A detach while the worker starts; its READY comes too late for a 4. */
static void test_detach_while_starting(void)
{
	setup();
	setenv("PV_STUB", "slow", 1);
	attach();
	front_publish("3");
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	pump_quiet();
	UNIT_OK(has_children());
	fake_xs_put(BACK("3") "online", "0");
	fake_xs_put(BACK("3") "state", "5");
	fake_xs_put(FRONT("3") "state", "6");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	remove_nodes();
	pump_quiet();
	teardown();
}

/* ---- resize --------------------------------------------------------------- */

static void test_resize(void)
{
	static const struct {
		off_t bytes;
		const char *sectors;
	} to[] = {
		{ 2 << 20, "4096" }, { 1 << 20, "2048" }, { (1 << 20) + 700, "2049" },
		{ 0, "0" }, { 3 << 20, "6144" },
	};
	size_t i;

	setup();
	UNIT_NEED(connect_all());
	for (i = 0; i < ARRAY_LEN(to); i++) {
		UNIT_EQ(truncate(image, to[i].bytes), 0);
		UNIT_OK(pump_until(BACK("3") "sectors", to[i].sectors));
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	}
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	teardown();
}

/* More sectors are not offered before the worker takes requests for them. */
static void test_resize_after_worker(void)
{
	pid_t before;

	setup();
	setenv("PV_STUB", "mute", 1);
	UNIT_NEED(connect_all());
	pump_quiet();
	before = worker();
	UNIT_EQ(truncate(image, 2 << 20), 0);
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "sectors"), "2048");
	unsetenv("PV_STUB");
	UNIT_NEED(before > 0);
	kill(before, SIGKILL);
	UNIT_OK(pump_until(BACK("3") "sectors", "4096"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	teardown();
}

static void test_resize_unconnected(void)
{
	setup();
	attach();
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	UNIT_EQ(truncate(image, 2 << 20), 0);
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	front_publish("3");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	UNIT_STREQ(fake_xs_get(BACK("3") "sectors"), "4096");
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	teardown();
}

/* ---- restart -------------------------------------------------------------- */

static void stop_daemon(void)
{
	backend_shutdown(backend);
	UNIT_EQ(evloop_run(loop), 0);
	UNIT_OK(!has_children());
	end_daemon();
}

static void test_restart(void)
{
	char journal[16];

	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	stop_daemon();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_EQ(run_files("blkback"), 2);
	UNIT_EQ(truncate(image, 2 << 20), 0);
	config.max_segments = 32;	/* the front end has been offered more */
	start_daemon();
	pump_quiet();
	UNIT_OK(worker() > 0 && !kill(worker(), 0));
	UNIT_OK(pump_until(BACK("3") "sectors", "4096"));
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-max-indirect-segments"), "256");
	read_journal(journal, sizeof(journal));
	UNIT_STREQ(journal, "fr");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	teardown();
}

/* What its front end says between the look and what comes of it is too late for that. */
static void test_resumed_as_seen(void)
{
	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	stop_daemon();
	fake_xs_change_after(FRONT("3") "event-channel", 1, "abc");
	start_daemon();
	pump_quiet();
	UNIT_STREQ(fake_xs_get(FRONT("3") "event-channel"), "abc");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_OK(worker() > 0 && !kill(worker(), 0));
	remove_and_teardown();
}

/* What changed while no daemon ran, and what it left. */
static void test_left_behind(void)
{
	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	stop_daemon();
	UNIT_EQ(run_files("blkback"), 2);
	fake_xs_put(FRONT("3") "state", "6");
	start_daemon();
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	UNIT_EQ(run_files("blkback"), 0);
	UNIT_NEED(reconnect("4"));
	pump_quiet();
	stop_daemon();
	remove_nodes();
	start_daemon();
	pump_quiet();
	teardown();
}

/* A worker that outlives its daemon, here a process of any kind. */
static void test_predecessor(void)
{
	struct rundir_name name = { "vbd", 3, 51712 };
	char text[128], ring[32] = "", journal[16];
	pid_t old, reaped;
	uint64_t end;

	setup();
	config.base.stop_ms = 1000;
	UNIT_NEED(connect_all());
	pump_quiet();
	stop_daemon();
	old = fork();
	if (!old)
		for (;;)
			pause();
	rundir_read_info(&config.base.rundir, &name, "ring", ring, sizeof(ring));
	snprintf(text, sizeof(text), "pid=%d\nstarted=%llu\nring=%s\n"
		 "frontend=/local/domain/3/device/vbd/51712\n", (int)old,
		 (unsigned long long)predecessor_start_time(old), ring);
	UNIT_OK(predecessor_start_time(old) > 0);
	UNIT_EQ(rundir_write_info(&config.base.rundir, &name, text), 0);
	start_daemon();
	evloop_turn(loop, 50);
	evloop_turn(loop, 50);
	UNIT_EQ(worker(), old);
	/* It is killed in the end; then the device is resumed. */
	end = now_ms() + DEADLINE_MS;
	while ((reaped = waitpid(old, NULL, WNOHANG)) != old && now_ms() < end)
		evloop_turn(loop, 20);
	UNIT_NEED(reaped == old);
	pump_quiet();
	UNIT_OK(worker() != old && !kill(worker(), 0));
	read_journal(journal, sizeof(journal));
	UNIT_STREQ(journal, "fr");
	remove_and_teardown();
}

/* Another version's journal is left as it is, and so is the guest, which waits. */
static void test_other_format(void)
{
	static const struct rundir_name name = { "vbd", 3, 51712 };
	const struct {
		uint64_t magic;
		uint32_t version, rest[3];
	} theirs = { JOURNAL_MAGIC, JOURNAL_VERSION + 1, { 1, 32, 0 } };
	uint32_t ours = JOURNAL_VERSION;
	int fd = -1;

	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	stop_daemon();
	UNIT_EQ(rundir_open_journal(&config.base.rundir, &name, true, &fd), 0);
	UNIT_EQ(write(fd, &theirs, sizeof(theirs)), sizeof(theirs));
	start_daemon();
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_OK(!has_children());
	UNIT_OK(error_has("its journal is of format 2"));
	end_daemon();
	UNIT_EQ(pwrite(fd, &ours, sizeof(ours), sizeof(theirs.magic)), sizeof(ours));
	start_daemon();
	pump_quiet();
	UNIT_OK(worker() > 0 && !kill(worker(), 0));
	close(fd);
	remove_and_teardown();
}

/* Another back end's device: its 4 is not ours to touch. */
static void test_foreign(void)
{
	setup();
	attach();
	front_publish("4");
	fake_xs_put(BACK("3") "state", "4");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_OK(!has_children());
	/* A ring that the journal is not about is as foreign. */
	fake_xs_put(BACK("3") "state", "1");
	UNIT_NEED(pump_until(BACK("3") "state", "4"));
	pump_quiet();
	stop_daemon();
	fake_xs_put(FRONT("3") "ring-ref", "9");
	start_daemon();
	pump_quiet();
	UNIT_OK(!has_children());
	remove_nodes();
	pump_quiet();
	rundir_remove(&config.base.rundir, &(struct rundir_name){ "vbd", 3, 51712 });
	teardown();
}

/* ---- sharing -------------------------------------------------------------- */

static void attach_second(const char *params, const char *mode)
{
	fake_xs_put(FRONT("4") "state", "1");
	fake_xs_put(BACK("4") "frontend-id", "4");
	fake_xs_put(BACK("4") "frontend", "/local/domain/4/device/vbd/51712");
	fake_xs_put(BACK("4") "mode", mode);
	fake_xs_put(BACK("4") "params", params);
	fake_xs_put(BACK("4") "state", "1");
}

static void test_sharing(void)
{
	static const struct {
		const char *first, *second, *state;
	} table[] = {
		{ "w", "w", "6" }, { "w", "r", "6" }, { "r", "w", "6" },
		{ "r", "r", "2" }, { "w", "w!", "2" }, { "w!", "w", "2" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(table); i++) {
		const char *text;

		setup();
		attach_with(image, table[i].first);
		UNIT_NEED(pump_until(BACK("3") "state", "2"));
		attach_second(image, table[i].second);
		UNIT_OK(pump_until(BACK("4") "state", table[i].state));
		text = fake_xs_get(ERROR("4"));
		if (*table[i].state == '6')
			UNIT_OK(text && strstr(text, image) &&
				strstr(text, "vbd 3/51712"));
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
		teardown();
	}
}

/*
 * Whenever it is given another image than its server was asked for, what was asked is left to
 * whoever wants it. (There is no server here: the answer is an error.)
 */
static void test_asked_in_vain(void)
{
	static const char name[] = "nbd+unix:///?socket=/nowhere";

	for (unsigned int nth = 1; nth <= 6; nth++) {
		setup();
		fake_xs_change_after(BACK("3") "params", nth, image);
		attach_with(name, "w");
		pump_until_idle();
		pump_quiet();
		fake_xs_put(BACK("3") "touched", "1");
		pump_quiet();
		attach_second(name, "w");
		UNIT_OK(pump_until(BACK("4") "state", "6"));
		UNIT_OK(fake_xs_get(ERROR("4")) && !strstr(fake_xs_get(ERROR("4")), "in use"));
		teardown();
	}
}

/* A store that does not answer is no news about a device. */
static void test_store_fails(void)
{
	unsigned int n, nr;
	pid_t before;

	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	before = worker();
	nr = fake_xs_requests();
	fake_xs_put(BACK("3") "touched", "0");
	pump_quiet();
	nr = fake_xs_requests() - nr;
	UNIT_OK(nr > 5);
	for (n = 1; n <= nr; n++) {
		fake_xs_put(BACK("3") "touched", "1");
		fake_xs_fail_nth(n, EIO);
		evloop_turn(loop, 20);
		fake_xs_fail_nth(0, 0);
	}
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_EQ(worker(), before);
	UNIT_OK(!kill(before, 0));
	/* The look that was put off is made up for. */
	fake_xs_fail_nth(1, EIO);
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	teardown();
}

/* A store that has no watch for us, for a while. */
static void test_no_watch(void)
{
	unsigned int nr;

	setup();
	fake_xs_refuse_watches(E2BIG);
	attach();
	UNIT_OK(pump_until(ERROR("3"), "7 no watch on /local/domain/3/device/vbd/51712: "
			   "Argument list too long"));
	nr = fake_xs_requests();
	pump_quiet();
	UNIT_OK(fake_xs_requests() - nr < 5);
	fake_xs_refuse_watches(0);
	UNIT_OK(pump_until(BACK("3") "state", "2"));
	UNIT_OK(!fake_xs_get(ERROR("3")));
	front_publish("4");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	remove_and_teardown();
}

static void test_lock(void)
{
	struct rundir second;
	char why[200] = "", pid[16];

	setup();
	snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
	UNIT_EQ(rundir_open(&second, dir, "blkback", "vbd", -1, why, sizeof(why)), -EBUSY);
	UNIT_OK(strstr(why, pid) != NULL);
	UNIT_EQ(rundir_open(&second, dir, "blkback", "vbd3", -1, why, sizeof(why)), 0);
	rundir_close(&second);
	teardown();
}

static const struct unit_test tests[] = {
	{ "a killed worker has a successor", test_successor },
	{ "gives up on a worker that always dies", test_gives_up },
	{ "no worker can serve for a while", test_none_can_serve },
	{ "no worker can be started for a while", test_none_can_be_started },
	{ "a worker's reasons reach the error node", test_worker_words },
	{ "a worker fails whose front end begins anew", test_fails_behind_its_back },
	{ "WORKER-1: a worker that talks nonsense has a successor", test_nonsense },
	{ "WORKER-4: a worker that does not stop is killed", test_deaf },
	{ "detach while a worker starts", test_detach_while_starting },
	{ "an image that is resized", test_resize },
	{ "resized once the worker knows", test_resize_after_worker },
	{ "resized before the front end came", test_resize_unconnected },
	{ "a restart goes on, and an image resized meanwhile", test_restart },
	{ "what it goes on with was read once", test_resumed_as_seen },
	{ "changes while no daemon ran", test_left_behind },
	{ "a former daemon's worker is waited for", test_predecessor },
	{ "another version's journal is left alone", test_other_format },
	{ "another back end's device is left alone", test_foreign },
	{ "sharing of an image", test_sharing },
	{ "a server that was asked in vain", test_asked_in_vain },
	{ "the store fails", test_store_fails },
	{ "the store refuses a watch", test_no_watch },
	{ "one daemon per kind", test_lock },
};

int main(void)
{
	return world_run("backend-workers", tests, UNIT_LEN(tests));
}
