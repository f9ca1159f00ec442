/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor against a store in this process and workers that serve
 * nothing: what a tool stack and a front end write, and what comes of it.
 *
 * Must not know: rings. The stub worker is $STUB_WORKER, else tests/stub-worker.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "backend.h"
#include "fake-xenstore.h"
#include "unit.h"
#include "util.h"
#include "xenbus.h"

#define BACK(id) "/local/domain/0/backend/vbd/" id "/51712/"
#define FRONT(id) "/local/domain/" id "/device/vbd/51712/"
#define ERROR(id) "/local/domain/0/error/backend/vbd/" id "/51712/error"
#define DEADLINE_MS 20000u
#define IMAGE_BYTES (1 << 20)

/* ---- the world ------------------------------------------------------------ */

static char dir[] = "/tmp/test-backend.XXXXXX";
static char image[64], other[64];
static struct blkback_config config;
static struct evloop *loop;
static struct xs_handle *xs;
static struct backend *backend;
static unsigned int dead_domid;

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
	(void)h;
	return domid != dead_domid;
}

static void make_image(const char *path, off_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && !ftruncate(fd, bytes));
	close(fd);
}

static void start_daemon(void)
{
	char why[200] = "";

	UNIT_EQ(rundir_open(&config.rundir, dir, "vbd", why, sizeof(why)), 0);
	CU_ASSERT_FATAL(!evloop_open(&loop));
	xs = xs_open(0);
	CU_ASSERT_FATAL(xs && !backend_open(loop, xs, &config, &backend));
}

/* As the end of the process does it: whatever runs is killed. */
static void end_daemon(void)
{
	backend_close(backend);
	backend = NULL;
	evloop_close(loop);
	loop = NULL;
	xs_close(xs);
	rundir_close(&config.rundir);
}

static void setup(void)
{
	const char *stub = getenv("STUB_WORKER");

	fake_xs_reset();
	dead_domid = 99;
	unsetenv("PV_STUB");
	config = (struct blkback_config){
		.kind = "vbd", .program = stub ? stub : "tests/stub-worker",
		.log_level = "error", .stop_ms = 10000,
	};
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	make_image(image, IMAGE_BYTES);
	make_image(other, IMAGE_BYTES);
	fake_xs_put("/local/domain/0/domid", "0");
	start_daemon();
}

static bool has_children(void)
{
	return waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Files of the run directory but the lock. */
static unsigned run_files(void)
{
	unsigned nr = 0;
	char path[80];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/blkback", dir);
	d = opendir(path);
	while (d && (e = readdir(d)))
		nr += e->d_name[0] != '.' && !strstr(e->d_name, ".lock");
	if (d)
		closedir(d);
	return nr;
}

static void teardown(void)
{
	UNIT_OK(!has_children());
	UNIT_EQ(run_files(), 0);
	end_daemon();
	UNIT_EQ(fake_xs_open_transactions(), 0);
}

/* ---- pumping -------------------------------------------------------------- */

static bool node_is(const char *path, const char *value)
{
	const char *now = fake_xs_get(path);

	return value ? now && !strcmp(now, value) : !now;
}

static bool pump_until(const char *path, const char *value)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	while (!node_is(path, value) && now_ms() < end)
		evloop_turn(loop, 20);
	if (node_is(path, value))
		return true;
	fprintf(stderr, "\n%s is %s, expected %s", path,
		fake_xs_get(path) ? fake_xs_get(path) : "(missing)",
		value ? value : "(missing)");
	return false;
}

static bool pump_until_idle(void)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	while (has_children() && now_ms() < end)
		evloop_turn(loop, 20);
	return !has_children();
}

/* Whatever is going to happen without another event has happened. */
static void pump_quiet(void)
{
	int quiet = 0;

	while (quiet < 5)
		quiet = evloop_turn(loop, 20) ? 0 : quiet + 1;
}

/* ---- tool stack and front end --------------------------------------------- */

static void attach_with(const char *params, const char *mode)
{
	fake_xs_put(FRONT("3") "state", "1");
	fake_xs_put(FRONT("3") "backend", "/local/domain/0/backend/vbd/3/51712");
	fake_xs_put(BACK("3") "frontend-id", "3");
	fake_xs_put(BACK("3") "frontend", "/local/domain/3/device/vbd/51712");
	fake_xs_put(BACK("3") "online", "1");
	fake_xs_put(BACK("3") "mode", mode);
	if (params)
		fake_xs_put(BACK("3") "params", params);
	fake_xs_put(BACK("3") "state", "1");
}

static void attach(void)
{
	attach_with(image, "w");
}

static void front_publish(const char *state)
{
	fake_xs_put(FRONT("3") "ring-ref", "8");
	fake_xs_put(FRONT("3") "event-channel", "5");
	fake_xs_put(FRONT("3") "state", state);
}

static bool connect_all(void)
{
	attach();
	if (!pump_until(BACK("3") "state", "2"))
		return false;
	front_publish("3");
	if (!pump_until(BACK("3") "state", "4"))
		return false;
	fake_xs_put(FRONT("3") "state", "4");
	return true;
}

static void remove_nodes(void)
{
	struct xs_handle *h = fake_xs_open(0);

	xs_rm(h, XBT_NULL, "/local/domain/0/backend/vbd/3");
	xs_rm(h, XBT_NULL, "/local/domain/3/device");
	xs_close(h);
}

static void read_journal(char *buf, size_t bytes)
{
	char path[96];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/blkback/vbd-3-51712.journal", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, buf, bytes - 1);
	buf[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static pid_t worker(void)
{
	struct rundir_name name = { "vbd", 3, 51712 };
	char text[32] = "0";

	rundir_read_info(&config.rundir, &name, "pid", text, sizeof(text));
	return atoi(text);
}

/* ---- tests ---------------------------------------------------------------- */

static void test_life(void)
{
	struct rundir_name name = { "vbd", 3, 51712 };
	char text[80] = "";

	setup();
	UNIT_NEED(connect_all());
	UNIT_STREQ(fake_xs_get(BACK("3") "sectors"), "2048");
	UNIT_STREQ(fake_xs_get(BACK("3") "sector-size"), "512");
	UNIT_STREQ(fake_xs_get(BACK("3") "info"), "0");
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-persistent"), "1");
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-flush-cache"), "1");
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-barrier"), "1");
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-max-indirect-segments"), "256");
	UNIT_STREQ(fake_xs_get(BACK("3") "max-ring-page-order"), "4");
	UNIT_EQ(rundir_read_info(&config.rundir, &name, "engine", text, 80), 0);
	UNIT_STREQ(text, "stub");
	UNIT_EQ(rundir_read_info(&config.rundir, &name, "ring", text, 80), 0);
	UNIT_STREQ(text, "5:8");
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	fake_xs_put(FRONT("3") "state", "6");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	teardown();
}

/* mini-os goes from 1 to 4, closes by 5 and 6, comes back by 1. */
static void test_reconnect(void)
{
	int i;

	setup();
	attach();
	front_publish("4");
	for (i = 0; i < 3; i++) {
		UNIT_NEED(pump_until(BACK("3") "state", "4"));
		fake_xs_put(FRONT("3") "state", "5");
		UNIT_NEED(pump_until(BACK("3") "state", "6"));
		fake_xs_put(FRONT("3") "state", "6");
		pump_quiet();
		fake_xs_put(FRONT("3") "state", "1");
		UNIT_NEED(pump_until(BACK("3") "state", "2"));
		front_publish("4");
	}
	UNIT_NEED(pump_until(BACK("3") "state", "4"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
}

static void test_grub(void)
{
	struct xs_handle *h;

	setup();
	UNIT_NEED(connect_all());
	fake_xs_put(FRONT("3") "state", "6");
	UNIT_NEED(pump_until(BACK("3") "state", "6"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	h = fake_xs_open(0);
	xs_rm(h, XBT_NULL, FRONT("3") "ring-ref");
	xs_rm(h, XBT_NULL, FRONT("3") "event-channel");
	xs_close(h);
	fake_xs_put(FRONT("3") "state", "1");
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	front_publish("3");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
}

/* The front end flushes first; one of Linux up to 5.13 stays at 5 meanwhile. */
static void test_detach(void)
{
	setup();
	UNIT_NEED(connect_all());
	fake_xs_put(BACK("3") "online", "0");
	fake_xs_put(BACK("3") "state", "5");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "5");
	UNIT_OK(has_children() || worker());
	fake_xs_put(FRONT("3") "state", "5");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "5");
	fake_xs_put(FRONT("3") "state", "6");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	fake_xs_put(FRONT("3") "state", "1");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	remove_nodes();
	pump_quiet();
	teardown();
}

static void test_detach_unanswered(void)
{
	setup();
	config.close_ms = 100;
	UNIT_NEED(connect_all());
	fake_xs_put(BACK("3") "online", "0");
	fake_xs_put(BACK("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	remove_nodes();
	pump_quiet();
	teardown();
}

static void test_detach_unconnected(void)
{
	setup();
	attach();
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	fake_xs_put(BACK("3") "online", "0");
	fake_xs_put(BACK("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	teardown();
}

/* A front end that gives up before it ever connected. */
static void test_close_unconnected(void)
{
	static const char *const ways[] = { "5", "6" };
	size_t i;

	setup();
	attach();
	for (i = 0; i < ARRAY_LEN(ways); i++) {
		UNIT_NEED(pump_until(BACK("3") "state", "2"));
		fake_xs_put(FRONT("3") "state", ways[i]);
		UNIT_NEED(pump_until(BACK("3") "state", "6"));
		fake_xs_put(FRONT("3") "state", "1");
	}
	UNIT_OK(pump_until(BACK("3") "state", "2"));
	teardown();
}

/* Our 4 and the tool stack's 5 crossed, and ours was the later. */
static void test_detach_crossed(void)
{
	setup();
	UNIT_NEED(connect_all());
	fake_xs_put(BACK("3") "online", "0");
	UNIT_OK(pump_until(BACK("3") "state", "5"));
	fake_xs_put(FRONT("3") "state", "6");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	teardown();
}

static void test_vanish(void)
{
	setup();
	UNIT_NEED(connect_all());
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	/* A late write must not bring it back. */
	UNIT_OK(!fake_xs_get("/local/domain/0/backend/vbd/3"));
	teardown();
}

static void test_domain_dies(void)
{
	setup();
	UNIT_NEED(connect_all());
	dead_domid = 3;
	fake_xs_put(BACK("3") "touched", "1");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	/* A new domain of the same number. */
	remove_nodes();
	dead_domid = 99;
	UNIT_NEED(connect_all());
	/* The same without a look in between, and nodes before the domain. */
	remove_nodes();
	dead_domid = 3;
	attach();
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	dead_domid = 99;
	front_publish("4");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
}

/* The same directory made anew before we looked. */
static void test_made_anew(void)
{
	pid_t before;

	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	before = worker();
	remove_nodes();
	attach_with(other, "r");
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	UNIT_STREQ(fake_xs_get(BACK("3") "info"), "4");
	UNIT_OK(kill(before, 0) && errno == ESRCH);
	remove_nodes();
	pump_quiet();
	teardown();
}

static bool error_has(const char *words)
{
	const char *text = fake_xs_get(ERROR("3"));

	if (text && strstr(text, words))
		return true;
	fprintf(stderr, "\nerror is '%s', expected '%s' in it", text ? text : "(none)",
		words);
	return false;
}

static void test_bad_params(void)
{
	static const struct {
		const char *params, *mode, *words;
	} bad[] = {
		{ "/nonexistent/image", "w", "/nonexistent/image: no such file" },
		{ "aio:/tmp", "w", "/tmp: is a directory" },
		{ "/dev/null", "w", "/dev/null: is neither, expected a file or" },
		{ "", "w", "params is missing or empty, expected the path" },
		{ "garbage", "w", "'garbage': expected an absolute path" },
		{ "\x01\x02", "w", "expected an absolute path" },
		{ "ODD", "w", "size of 1000 bytes is not a multiple" },
		{ "EMPTY", "w", "is empty" },
		{ "IMAGE", "x", "mode is 'x', expected r, w or w!" },
	};
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		setup();
		snprintf(path, sizeof(path), "%s", bad[i].params);
		if (!strcmp(path, "ODD") || !strcmp(path, "EMPTY"))
			make_image(other, !strcmp(path, "ODD") ? 1000 : 0);
		if (bad[i].params[0] >= 'E' && bad[i].params[0] <= 'O')
			snprintf(path, sizeof(path), "%s", other);
		attach_with(path, bad[i].mode);
		UNIT_OK(pump_until(BACK("3") "state", "6"));
		UNIT_OK(error_has(bad[i].words));
		pump_quiet();
		/* The tool stack puts it right. */
		fake_xs_put(BACK("3") "mode", "w");
		fake_xs_put(BACK("3") "params", image);
		UNIT_OK(pump_until(BACK("3") "state", "2"));
		UNIT_OK(!fake_xs_get(ERROR("3")));
		remove_nodes();
		pump_quiet();
		teardown();
	}
}

static void test_bad_front(void)
{
	static const struct {
		const char *key, *value, *words;
	} bad[] = {
		{ "ring-ref", NULL, "ring-ref is missing" },
		{ "ring-ref", "abc", "ring-ref is 'abc', expected a decimal" },
		{ "ring-ref", "99999999999999999999", "ring-ref is '9999" },
		{ "ring-ref", "-1", "ring-ref is '-1'" },
		{ "event-channel", NULL, "event-channel is missing" },
		{ "event-channel", "0", "event-channel is '0'" },
		{ "event-channel", "x", "event-channel is 'x'" },
		{ "ring-page-order", "5", "ring-page-order is '5', expected at most" },
		{ "ring-page-order", "4294967297", "ring-page-order is '42949" },
		{ "multi-queue-num-queues", "0", "multi-queue-num-queues is '0'" },
		{ "multi-queue-num-queues", "17", "multi-queue-num-queues is '17'" },
		{ "protocol", "vax-abi", "protocol is 'vax-abi', expected" },
	};
	struct xs_handle *h;
	char path[96];
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		setup();
		attach();
		UNIT_NEED(pump_until(BACK("3") "state", "2"));
		fake_xs_put(FRONT("3") "ring-ref", "8");
		fake_xs_put(FRONT("3") "event-channel", "5");
		snprintf(path, sizeof(path), FRONT("3") "%s", bad[i].key);
		h = fake_xs_open(0);
		if (bad[i].value)
			fake_xs_put(path, bad[i].value);
		else
			xs_rm(h, XBT_NULL, path);
		fake_xs_put(FRONT("3") "state", "4");
		UNIT_OK(pump_until(BACK("3") "state", "6"));
		UNIT_OK(error_has(bad[i].words));
		pump_quiet();
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
		/* The front end does better the next time. */
		fake_xs_put(FRONT("3") "state", "1");
		UNIT_OK(pump_until(BACK("3") "state", "2"));
		xs_rm(h, XBT_NULL, path);
		xs_close(h);
		front_publish("3");
		UNIT_OK(pump_until(BACK("3") "state", "4"));
		UNIT_OK(!fake_xs_get(ERROR("3")));
		remove_nodes();
		UNIT_OK(pump_until_idle());
		pump_quiet();
		teardown();
	}
}

/* xl waits for exactly 2, and the script's word gates 4. */
static void test_script(void)
{
	setup();
	fake_xs_put(BACK("3") "script", "/etc/xen/scripts/block");
	attach_with("drbd:resource", "w");
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	front_publish("4");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	fake_xs_put(BACK("3") "physical-device-path", image);
	fake_xs_put(BACK("3") "hotplug-status", "");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	fake_xs_put(BACK("3") "hotplug-status", "connected");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	UNIT_STREQ(fake_xs_get(BACK("3") "sectors"), "2048");
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
}

static void test_script_fails(void)
{
	setup();
	fake_xs_put(BACK("3") "script", "/etc/xen/scripts/block");
	attach();
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	fake_xs_put(BACK("3") "hotplug-status", "error");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	UNIT_OK(error_has("hotplug script failed"));
	teardown();
}

/* Nodes one by one, as from a script without a transaction. */
static void test_incomplete(void)
{
	setup();
	fake_xs_put(BACK("3") "state", "1");
	pump_quiet();
	fake_xs_put(BACK("3") "frontend", "/local/domain/3/device/vbd/51712");
	pump_quiet();
	fake_xs_put(BACK("3") "frontend-id", "3");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "1");
	fake_xs_put(BACK("3") "mode", "w");
	pump_quiet();
	UNIT_OK(error_has("params is missing"));
	fake_xs_put(BACK("3") "params", image);
	UNIT_OK(pump_until(BACK("3") "state", "2"));
	UNIT_OK(!fake_xs_get(ERROR("3")));
	teardown();
}

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
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
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
	fake_xs_put(FRONT("3") "state", "1");
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	front_publish("3");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
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

static void test_deaf(void)
{
	setup();
	config.stop_ms = 100;
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
	UNIT_EQ(run_files(), 2);
	start_daemon();
	pump_quiet();
	UNIT_OK(worker() > 0 && !kill(worker(), 0));
	read_journal(journal, sizeof(journal));
	UNIT_STREQ(journal, "fr");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	teardown();
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
	rundir_remove(&config.rundir, &(struct rundir_name){ "vbd", 3, 51712 });
	teardown();
}

/* ---- sharing -------------------------------------------------------------- */

static void attach_second(const char *mode)
{
	fake_xs_put(FRONT("4") "state", "1");
	fake_xs_put(BACK("4") "frontend-id", "4");
	fake_xs_put(BACK("4") "frontend", "/local/domain/4/device/vbd/51712");
	fake_xs_put(BACK("4") "mode", mode);
	fake_xs_put(BACK("4") "params", image);
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
		attach_second(table[i].second);
		UNIT_OK(pump_until(BACK("4") "state", table[i].state));
		text = fake_xs_get(ERROR("4"));
		if (*table[i].state == '6')
			UNIT_OK(text && strstr(text, image) &&
				strstr(text, "vbd 3/51712"));
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
		teardown();
	}
}

/* ---- storms --------------------------------------------------------------- */

static void test_storm(void)
{
	char state[2] = "0";
	unsigned int i;

	setup();
	srand(1);
	attach();
	front_publish("1");
	for (i = 0; i < 5000; i++) {
		state[0] = (char)('0' + rand() % 9);
		fake_xs_put(FRONT("3") "state", state);
		if (!(rand() % 4))
			evloop_turn(loop, 0);
		if (!(rand() % 500)) {
			remove_nodes();
			evloop_turn(loop, 0);
			attach();
			front_publish("1");
		}
	}
	fake_xs_put(FRONT("3") "state", "6");
	UNIT_NEED(pump_until(BACK("3") "state", "6"));
	fake_xs_put(FRONT("3") "state", "1");
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	front_publish("3");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	pump_quiet();
	teardown();
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

static void test_lock(void)
{
	struct rundir second;
	char why[200] = "", pid[16];

	setup();
	snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
	UNIT_EQ(rundir_open(&second, dir, "vbd", why, sizeof(why)), -EBUSY);
	UNIT_OK(strstr(why, pid) != NULL);
	UNIT_EQ(rundir_open(&second, dir, "vbd3", why, sizeof(why)), 0);
	rundir_close(&second);
	teardown();
}

static const struct unit_test tests[] = {
	{ "attach, connect, close", test_life },
	{ "1 to 4, and back three times", test_reconnect },
	{ "GRUB: 4 to 6, then 1", test_grub },
	{ "detach waits for the front end", test_detach },
	{ "detach with a time limit", test_detach_unanswered },
	{ "detach before a connection", test_detach_unconnected },
	{ "front end closes before a connection", test_close_unconnected },
	{ "detach crossed by our Connected", test_detach_crossed },
	{ "nodes vanish", test_vanish },
	{ "domain dies, number is used again", test_domain_dies },
	{ "nodes made anew under a connection", test_made_anew },
	{ "bad words of the tool stack", test_bad_params },
	{ "bad words of the front end", test_bad_front },
	{ "hotplug script gates Connected", test_script },
	{ "hotplug script fails", test_script_fails },
	{ "nodes come one by one", test_incomplete },
	{ "a killed worker has a successor", test_successor },
	{ "gives up on a worker that always dies", test_gives_up },
	{ "a worker's reasons reach the error node", test_worker_words },
	{ "a worker that does not stop is killed", test_deaf },
	{ "detach while a worker starts", test_detach_while_starting },
	{ "a restart goes on", test_restart },
	{ "another back end's device is left alone", test_foreign },
	{ "sharing of an image", test_sharing },
	{ "any states in any order", test_storm },
	{ "the store fails", test_store_fails },
	{ "one daemon per kind", test_lock },
};

int main(void)
{
	char command[64];
	int rc;

	log_open("test-backend", LOG_LEVEL_ERROR);
	if (!mkdtemp(dir))
		return 1;
	rc = unit_run("backend", tests, UNIT_LEN(tests));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || rc;
}
