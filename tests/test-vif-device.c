/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interfaces from the tool stack's first word to the last, as the net back end's
 * supervisor keeps them: bridges and their workers, every way in which a worker fails.
 */
#include <errno.h>
#include <sys/stat.h>
#include "bridge-serve.h"
#include "vif-world.h"

static unsigned int children(void)
{
	char command[64], text[16] = "";
	FILE *p;

	snprintf(command, sizeof(command), "ps -o pid= --ppid %d | wc -l", (int)getpid());
	p = popen(command, "r");
	if (!fgets(text, sizeof(text), p))
		text[0] = '\0';
	pclose(p);
	return (unsigned int)atoi(text) - 1;	/* the shell of this itself */
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_life(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-rx-copy"), "1");
	UNIT_STREQ(fake_xs_get(BACK("3") "multi-queue-max-queues"), "4");
	UNIT_EQ(run_files("netback"), 2);
	put_front("3", "state", "5");
	UNIT_OK(back_reaches("3", "6"));
	UNIT_OK(pump_until_idle());
	UNIT_STREQ(told(), "br0 add 3/0\nbr0 remove\nbr0 stop\n");
	/* And again: the front end comes back. */
	put_front("3", "state", "1");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(back_reaches("3", "4"));
	teardown();
}

static void test_one_worker_a_bridge(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	UNIT_OK(connects("4", "br0"));
	UNIT_EQ(children(), 1);
	put_back("4", "bridge", "br1");
	pump_quiet();
	UNIT_EQ(children(), 2);
	teardown();
}

/*
 * A front end that writes without end wakes us seldom, whichever word it is, and is listened
 * to again once it is quiet.
 */
static void test_storm_of_wishes(void)
{
	unsigned int i = 0, woken = 0, asked;
	uint64_t end;

	setup("");
	UNIT_OK(connects("3", "br0"));
	pump_quiet();
	for (end = now_ms() + 1000; now_ms() < end; i++) {
		put_front("3", "request-multicast-control", "0");
		put_front("3", "request-multicast-control", "1");
		woken += evloop_turn(loop, 0) > 0;
	}
	UNIT_OK(woken > 10 && woken < i / 10);
	for (end = now_ms() + 2500; now_ms() < end;)
		evloop_turn(loop, 20);
	/* Nobody looks at it by and by. */
	asked = fake_xs_requests();
	for (end = now_ms() + 1500; now_ms() < end;)
		evloop_turn(loop, 20);
	UNIT_OK(fake_xs_requests() - asked < 5);
	told();
	put_front("3", "request-multicast-control", "0");
	pump_quiet();
	UNIT_STREQ(told(), "br0 multicast 0\n");
	put_front("3", "state", "5");
	UNIT_OK(back_reaches("3", "6"));
	teardown();
}

/* One that refuses, one that cannot start, one that says that the ring is bad. */
static void test_failures(void)
{
	static const struct {
		const char *stub, *words;
	} row[] = {
		{ "refuse", "cannot be mapped" },
		{ "closed", "no grant device" },
		{ "broken", "tx ring is nonsense" },
		{ "crash", "exited with status 9" },
		{ "garbage", "ended by signal 9" },
		{ "removes", "ended by signal 9" },
		{ "regrets", "ended by signal 9" },
	};

	for (size_t i = 0; i < UNIT_LEN(row); i++) {
		setup(row[i].stub);
		attach("3", "br0");
		UNIT_OK(back_reaches("3", "2"));
		front_publish("3");
		UNIT_OK(back_reaches("3", "6"));
		UNIT_OK(error_has("3", row[i].words));
		teardown();
	}
}

/* Its ports join a successor, each with its journal, and the guests are not told. */
static void test_killed(void)
{
	pid_t before;

	setup("");
	UNIT_OK(connects("3", "br0"));
	UNIT_OK(connects("4", "br0"));
	told();
	before = worker_of("3");
	UNIT_OK(before > 0 && before == worker_of("4"));
	UNIT_EQ(kill(before, SIGKILL), 0);
	for (uint64_t until = now_ms() + DEADLINE_MS; now_ms() < until &&
	     (worker_of("3") == before || worker_of("4") == before);)
		evloop_turn(loop, 10);
	UNIT_OK(worker_of("3") != before && worker_of("3") == worker_of("4"));
	UNIT_OK(will_be_told("br0 add 3/0 again\n") && will_be_told("br0 add 4/0 again\n"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "4");
	UNIT_EQ(run_files("netback"), 4);
	teardown();
}

/* What its next worker misses is the host's: the guest waits, connected, until it is there. */
static void test_successor_cannot(void)
{
	static const char *const stub[] = { "closed", "short" };
	static const char *const error[] = { "71 there is no grant device",
					     "28 there is no room for its ring" };
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	for (size_t i = 0; i < UNIT_LEN(stub); i++) {
		setup("");
		UNIT_OK(connects("3", "br0"));
		told();
		dup2(fileno(file), STDERR_FILENO);
		setenv("PV_STUB", stub[i], 1);
		UNIT_EQ(kill(worker_of("3"), SIGKILL), 0);
		UNIT_OK(pump_until(ERROR("3"), error[i]));
		for (uint64_t end = now_ms() + 2500; now_ms() < end;)
			evloop_turn(loop, 20);
		UNIT_EQ(said(file, "its guest waits, and it is tried again"), i + 1);
		dup2(saved, STDERR_FILENO);
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		UNIT_STREQ(fake_xs_get(ERROR("3")), error[i]);
		setenv("PV_STUB", "", 1);
		told();
		UNIT_OK(will_be_told("br0 add 3/0 again\n"));
		UNIT_OK(error_goes("3"));
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		teardown();
	}
	close(saved);
	fclose(file);
}

/* Nor has it the words of the wait before: nobody would know why it waits now. */
static void test_successor_cannot_again(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	for (int i = 0; i < 2; i++) {
		setenv("PV_STUB", "closed", 1);
		UNIT_EQ(kill(worker_of("3"), SIGKILL), 0);
		UNIT_OK(pump_until(ERROR("3"), "71 there is no grant device"));
		/* The tool stack makes another of it. */
		setenv("PV_STUB", "", 1);
		put_front("3", "state", "1");
		put_back("3", "state", "1");
		UNIT_OK(back_reaches("3", "2"));
		UNIT_OK(error_goes("3"));
		front_publish("3");
		UNIT_OK(back_reaches("3", "4"));
	}
	teardown();
}

/* What its next worker misses is a file: it is named, and once. */
static void test_successor_without_journal(void)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	char path[128];

	setup("");
	UNIT_OK(connects("3", "br0"));
	snprintf(path, sizeof(path), "%s/netback/vif-3-0.journal", dir);
	UNIT_OK(!unlink(path) && !mkdir(path, 0700));
	dup2(fileno(file), STDERR_FILENO);
	UNIT_EQ(kill(worker_of("3"), SIGKILL), 0);
	UNIT_OK(error_has("3", "its journal in "));
	for (uint64_t end = now_ms() + 2500; now_ms() < end;)
		evloop_turn(loop, 20);
	UNIT_EQ(said(file, "its journal in "), 1);
	dup2(saved, STDERR_FILENO);
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_EQ(rmdir(path), 0);
	UNIT_OK(error_goes("3"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	close(saved);
	fclose(file);
	teardown();
}

/* It has waited, and then its workers die: that is what people read in the end. */
static void test_waits_and_dies(void)
{
	setup("short");
	attach("3", "br0");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(pump_until(ERROR("3"), "28 there is no room for its ring: it is tried again"));
	setenv("PV_STUB", "dies", 1);
	UNIT_OK(back_reaches("3", "6"));
	pump_quiet();
	UNIT_OK(error_has("3", "gave up after 5 crashes"));
	teardown();
}

/* It is told to close meanwhile, by either side. */
static void test_closes_without_successor(void)
{
	for (int by_front = 0; by_front < 2; by_front++) {
		setup("");
		UNIT_OK(connects("3", "br0"));
		setenv("PV_STUB", "closed", 1);
		UNIT_EQ(kill(worker_of("3"), SIGKILL), 0);
		UNIT_OK(pump_until(ERROR("3"), "71 there is no grant device"));
		if (by_front) {
			put_front("3", "state", "5");
		} else {
			put_back("3", "online", "0");
			put_back("3", "state", "5");
			pump_quiet();
			put_front("3", "state", "6");
		}
		UNIT_OK(back_reaches("3", "6"));
		teardown();
	}
}

/* And before it is connected. */
static void test_waits_for_room(void)
{
	setup("short");
	attach("3", "br0");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(pump_until(ERROR("3"), "28 there is no room for its ring: it is tried again"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	setenv("PV_STUB", "", 1);
	UNIT_OK(back_reaches("3", "4"));
	UNIT_OK(!fake_xs_get(ERROR("3")));
	teardown();
}

/* A worker that does not answer is killed, and the detach goes on. */
static void test_deaf(void)
{
	setup("deaf");
	config.base.stop_ms = 100;
	UNIT_OK(connects("3", "br0"));
	put_front("3", "state", "5");
	UNIT_OK(back_reaches("3", "6"));
	teardown();
}

/* ---- the end of flip: a worker's word ------------------------------------------------- */

static void test_flip_ended(void)
{
	setup("flip-ended");
	UNIT_OK(connects("3", "br0"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "rx-flip-ended"), "1");
	teardown();
}

static int uplink_added, uplink_gone;

static void on_uplink_added(void *arg)
{
	(void)arg;
	uplink_added++;
}

static void on_changed(void *arg)
{
	(void)arg;
}

static void on_uplink_gone(void *arg, const struct failure *why)
{
	(void)why;
	bridge_port_free(*(struct bridge_port **)arg);
	uplink_gone++;
}

/* Of an uplink, which has no front end to tell: only a worker in a guest's hands says so. */
static void test_flip_ended_of_uplink(void)
{
	static const struct bridge_port_events events = {
		.added = on_uplink_added, .gone = on_uplink_gone,
	};
	const struct bridge_uplink up = { .offloads = 0 };
	struct bridges_env env = { .config = &config.base, .changed = on_changed };
	struct bridge_port *port = NULL;
	struct bridges *all = NULL;

	setup("flip-ended");
	env.loop = loop;
	uplink_added = uplink_gone = 0;
	UNIT_EQ(bridges_open(&env, &all), 0);
	UNIT_EQ(bridges_join_uplink(all, "br1", &up, STDIN_FILENO, &events, &port, &port), 0);
	for (uint64_t until = now_ms() + DEADLINE_MS; !uplink_added && now_ms() < until;)
		evloop_turn(loop, 10);
	pump_quiet();
	UNIT_EQ(uplink_added, 1);
	UNIT_EQ(uplink_gone, 0);
	bridge_port_leave(port);
	for (uint64_t until = now_ms() + DEADLINE_MS; !bridges_is_idle(all) && now_ms() < until;)
		evloop_turn(loop, 10);
	UNIT_EQ(uplink_gone, 1);
	bridges_close(all);
	teardown();
}

/* The daemon ends in order; the next one takes the rings up where they are. */
static void test_next_daemon(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	end_daemon();
	UNIT_OK(!has_children());
	UNIT_EQ(run_files("netback"), 2);
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(told(), "br0 add 3/0\nbr0 remove\nbr0 stop\n");
	start_daemon();
	pump_quiet();
	UNIT_STREQ(told(), "br0 add 3/0 again\n");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	teardown();
}

/* Nor does it matter whether its front end can be heard: it is looked at. */
static void test_next_daemon_unheard(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	end_daemon();
	told();
	start_daemon();
	fake_xs_refuse_watches(E2BIG);
	UNIT_OK(will_be_told("br0 add 3/0 again\n"));
	UNIT_OK(error_has("3", "no watch on /local/domain/3/device/vif/0"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	put_front("3", "state", "5");
	UNIT_OK(back_reaches("3", "6"));
	fake_xs_refuse_watches(0);
	UNIT_OK(error_goes("3"));
	put_front("3", "state", "1");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(back_reaches("3", "4"));
	teardown();
}

/* Its close has a limit, too, and is not waited for that long. */
static void test_closes_unheard(void)
{
	setup("");
	config.base.close_ms = 10 * DEADLINE_MS;
	UNIT_OK(connects("3", "br0"));
	end_daemon();
	start_daemon();
	fake_xs_refuse_watches(E2BIG);
	UNIT_OK(error_has("3", "no watch on /local/domain/3/device/vif/0"));
	pump_quiet();
	put_back("3", "online", "0");
	put_back("3", "state", "5");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "5");
	put_front("3", "state", "6");
	UNIT_OK(back_reaches("3", "6"));
	fake_xs_refuse_watches(0);
	teardown();
}

/* What its front end says between the look and what comes of it is too late for that. */
static void test_resumed_as_seen(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	end_daemon();
	told();
	fake_xs_change_after(FRONT("3") "tx-ring-ref", 1, "abc");
	start_daemon();
	pump_quiet();
	UNIT_STREQ(told(), "br0 add 3/0 again\n");
	UNIT_STREQ(fake_xs_get(FRONT("3") "tx-ring-ref"), "abc");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	teardown();
}

/* What is not ours is left alone: no run file says that we served it. */
static void test_not_ours(void)
{
	setup("");
	attach("3", "br0");
	front_publish("3");
	put_back("3", "state", "4");
	pump_quiet();
	UNIT_STREQ(told(), "");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	teardown();
}

static void test_dead_domain(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	UNIT_OK(connects("4", "br0"));
	dead_domid = 3;
	fake_xs_put("/local/domain/0/backend/vif/3/0/poke", "1");
	UNIT_OK(back_reaches("3", "6"));
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "4");
	teardown();
}

/*
 * Nodes of a domain that has died linger, and another has its number: the rings that
 * they name are not that one's, whatever its own grants of these numbers are.
 */
static void test_number_again(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	dead_domid = 3;
	put_back("3", "poke", "1");
	UNIT_OK(back_reaches("3", "6"));
	dead_domid = 99;
	put_back("3", "poke", "2");
	put_front("3", "state", "4");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	UNIT_OK(!has_children());
	put_front("3", "state", "1");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(back_reaches("3", "4"));
	teardown();
}

/* 4 comes with 3's address, as a domain that is migrated to where it is. */
static bool comes_with_same(void)
{
	UNIT_OK(connects("3", "br0"));
	attach("4", "br0");
	put_back("4", "mac", "00:16:3e:00:00:03");
	put_back("4", "state", "1");
	if (!back_reaches("4", "2"))
		return false;
	front_publish("4");
	return pump_until(ERROR("4"), "98 its address 00:16:3e:00:00:03 is vif 3/0's on "
			  "bridge br0: waits for it") &&
	       !strcmp(fake_xs_get(BACK("4") "state"), "2");
}

/* Its worker dies before it has said so, and is succeeded: 3 is the one that has it yet. */
static void test_address_of_who_goes_on(void)
{
	pid_t worker;

	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(connects("3", "br0"));
	pump_quiet();
	told();
	worker = worker_of("3");
	UNIT_OK(worker > 0 && !kill(worker, SIGSTOP));
	attach("4", "br0");
	put_back("4", "mac", "00:16:3e:00:00:03");
	put_back("4", "state", "1");
	UNIT_OK(back_reaches("4", "2"));
	front_publish("4");
	pump_quiet();
	UNIT_EQ(kill(worker, SIGKILL), 0);
	UNIT_OK(will_be_told("br0 add 3/0 again\n"));
	UNIT_OK(pump_until(ERROR("4"), "98 its address 00:16:3e:00:00:03 is vif 3/0's on "
			   "bridge br0: waits for it"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "2");
	teardown();
}

/* What a daemon said of a wait is not true any more when the next one serves it. */
static void test_said_by_former_daemon(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	setenv("PV_STUB", "closed", 1);
	UNIT_EQ(kill(worker_of("3"), SIGKILL), 0);
	UNIT_OK(pump_until(ERROR("3"), "71 there is no grant device"));
	end_daemon();
	setenv("PV_STUB", "", 1);
	told();
	start_daemon();
	UNIT_OK(will_be_told("br0 add 3/0 again\n"));
	UNIT_OK(error_goes("3"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	teardown();
	setup("short");
	attach("3", "br0");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(pump_until(ERROR("3"), "28 there is no room for its ring: it is tried again"));
	lose_daemon();
	setenv("PV_STUB", "", 1);
	start_daemon();
	UNIT_OK(back_reaches("3", "4"));
	UNIT_OK(error_goes("3"));
	teardown();
}

/* It has waited for room longer than one may wait for an address, and then waits for that. */
static void test_waits_for_another_reason(void)
{
	setup("");
	config.address_ms = 1000;
	UNIT_OK(connects("3", "br0"));
	setenv("PV_STUB", "short", 1);
	attach("4", "br1");
	put_back("4", "mac", "00:16:3e:00:00:03");
	UNIT_OK(back_reaches("4", "2"));
	front_publish("4");
	UNIT_OK(pump_until(ERROR("4"), "28 there is no room for its ring: it is tried again"));
	for (uint64_t end = now_ms() + 1500; now_ms() < end;)
		evloop_turn(loop, 20);
	put_back("4", "bridge", "br0");
	UNIT_OK(pump_until(ERROR("4"), "98 its address 00:16:3e:00:00:03 is vif 3/0's on "
			   "bridge br0: waits for it"));
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "2");
	UNIT_OK(back_reaches("4", "6"));
	teardown();
}

static unsigned int times_told(const char *words)
{
	unsigned int nr = 0;

	for (const char *at = told(); (at = strstr(at, words)); at++)
		nr++;
	return nr;
}

/* Another device of that name does not ask for the address of the one before. */
static void test_address_of_one_before(void)
{
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(connects("3", "br0"));
	put_front("3", "state", "1");
	put_back("3", "state", "1");
	UNIT_OK(back_reaches("3", "2"));
	put_back("3", "mac", "00:16:3e:00:00:05");
	attach("4", "br0");
	put_back("4", "mac", "00:16:3e:00:00:03");
	UNIT_OK(back_reaches("4", "2"));
	front_publish("4");
	UNIT_OK(back_reaches("4", "4"));
	front_publish("3");
	UNIT_OK(back_reaches("3", "4"));
	teardown();
}

static void test_address_is_left(void)
{
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(comes_with_same());
	put_back("3", "online", "0");
	put_back("3", "state", "5");
	put_front("3", "state", "6");
	UNIT_OK(back_reaches("4", "4"));
	UNIT_OK(!fake_xs_get(ERROR("4")));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	teardown();
}

/* Nobody leaves; it is looked again, and not as fast as can be. */
static void test_address_changes(void)
{
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(comes_with_same());
	put_back("3", "mac", "00:16:3e:00:00:05");
	UNIT_OK(back_reaches("4", "4"));
	UNIT_OK(!fake_xs_get(ERROR("4")));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_EQ(times_told("add 4/0"), 2);
	teardown();
}

static void test_address_is_kept(void)
{
	unsigned int tried;

	setup("");
	config.address_ms = 1500;
	UNIT_OK(comes_with_same());
	UNIT_OK(back_reaches("4", "6"));
	UNIT_OK(error_has("4", "98 its address 00:16:3e:00:00:03 is vif 3/0's on bridge br0"));
	UNIT_OK(!strstr(fake_xs_get(ERROR("4")), "waits"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	tried = times_told("add 4/0");
	UNIT_OK(tried == 2 || tried == 3);
	/* And then it is as any that was refused. */
	put_back("4", "mac", "00:16:3e:00:00:04");
	put_front("4", "state", "1");
	UNIT_OK(back_reaches("4", "2"));
	front_publish("4");
	UNIT_OK(back_reaches("4", "4"));
	teardown();
}

/* The front end, the tool stack, the domain, we ourselves: whoever gives up the wait. */
static void test_wait_ends(void)
{
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(comes_with_same());
	put_front("4", "state", "5");
	UNIT_OK(back_reaches("4", "6"));
	UNIT_OK(!fake_xs_get(ERROR("4")));
	put_front("4", "state", "1");
	UNIT_OK(back_reaches("4", "2"));
	front_publish("4");
	UNIT_OK(pump_until(ERROR("4"), "98 its address 00:16:3e:00:00:03 is vif 3/0's on "
			   "bridge br0: waits for it"));
	/* The front end, which still says 4, is not waited for: it never connected. */
	put_back("4", "online", "0");
	put_back("4", "state", "5");
	UNIT_OK(back_reaches("4", "6"));
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	teardown();
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(comes_with_same());
	dead_domid = 4;
	put_back("4", "poke", "1");
	UNIT_OK(back_reaches("4", "6"));
	teardown();
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(comes_with_same());
	end_daemon();
	UNIT_OK(!fake_xs_get(ERROR("4")));
	start_daemon();
	teardown();
}

/* And the next daemon knows whose it is, whichever it sees first. */
static void test_wait_goes_on(void)
{
	setup("");
	config.address_ms = 10 * DEADLINE_MS;
	UNIT_OK(comes_with_same());
	end_daemon();
	start_daemon();
	UNIT_OK(pump_until(ERROR("4"), "98 its address 00:16:3e:00:00:03 is vif 3/0's on bridge br0: "
			   "waits for it"));
	UNIT_OK(will_be_told("br0 add 3/0 again\n"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	put_front("3", "state", "5");
	UNIT_OK(back_reaches("4", "4"));
	teardown();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "from attach to close, and again", test_life },
		{ "one worker a bridge", test_one_worker_a_bridge },
		{ "a storm of wishes for multicast", test_storm_of_wishes },
		{ "a worker refuses, breaks, crashes", test_failures },
		{ "a worker is killed", test_killed },
		{ "its successor misses something", test_successor_cannot },
		{ "... and so does that of the next device", test_successor_cannot_again },
		{ "its successor misses the journal", test_successor_without_journal },
		{ "it waits, and its workers die", test_waits_and_dies },
		{ "it closes while nothing serves it", test_closes_without_successor },
		{ "there is no room for it", test_waits_for_room },
		{ "a worker that does not answer", test_deaf },
		{ "the end of flip", test_flip_ended },
		{ "the end of flip, of an uplink", test_flip_ended_of_uplink },
		{ "the next daemon goes on", test_next_daemon },
		{ "the next daemon does not hear its front end", test_next_daemon_unheard },
		{ "it closes unheard", test_closes_unheard },
		{ "what it goes on with was read once", test_resumed_as_seen },
		{ "another back end's device is left alone", test_not_ours },
		{ "a domain dies", test_dead_domain },
		{ "another domain has its number", test_number_again },
		{ "what a former daemon said", test_said_by_former_daemon },
		{ "waits for one thing, then for another", test_waits_for_another_reason },
		{ "its address is of one that goes on", test_address_of_who_goes_on },
		{ "its address is another's than of the one before", test_address_of_one_before },
		{ "waits for its address until who has it leaves", test_address_is_left },
		{ "waits until who has it has another", test_address_changes },
		{ "waits in vain", test_address_is_kept },
		{ "the wait is given up", test_wait_ends },
		{ "the next daemon has the address wait", test_wait_goes_on },
	};

	return world_run("vif-device", tests, UNIT_LEN(tests));
}
