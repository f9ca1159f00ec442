/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The supervisor: what a tool stack and a front end write, and what comes of
 * it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "back-world.h"
#include "openings.h"

static void pump_for(uint64_t ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;)
		evloop_turn(loop, 20);
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
	UNIT_EQ(rundir_read_info(&config.base.rundir, &name, "engine", text, 80), 0);
	UNIT_STREQ(text, "stub");
	UNIT_EQ(rundir_read_info(&config.base.rundir, &name, "ring", text, 80), 0);
	UNIT_STREQ(text, "5:8");
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	fake_xs_put(FRONT("3") "state", "6");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	teardown();
}

/* Persistent grants are offered where they are wanted. The disk's word goes first. */
static void test_grant_mode(void)
{
	static const struct {
		enum vbd_grants daemon;
		const char *key, *offered, *info;
	} t[] = {
		{ VBD_GRANTS_AUTO, NULL, "1", "auto" },
		{ VBD_GRANTS_COPY, NULL, "0", "copy" },
		{ VBD_GRANTS_MAP, "persistent", "1", "persistent" },
		{ VBD_GRANTS_PERSISTENT, "map", "0", "map" },
		{ VBD_GRANTS_AUTO, "copy", "0", "copy" },
	};
	struct rundir_name name = { "vbd", 3, 51712 };
	char text[80];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		setup();
		config.grants = t[i].daemon;
		if (t[i].key)
			fake_xs_put(BACK("3") "grant-mode", t[i].key);
		UNIT_NEED(connect_all());
		UNIT_STREQ(fake_xs_get(BACK("3") "feature-persistent"), t[i].offered);
		UNIT_EQ(rundir_read_info(&config.base.rundir, &name, "grants", text, 80), 0);
		UNIT_STREQ(text, t[i].info);
		remove_nodes();
		UNIT_OK(pump_until_idle());
		teardown();
	}
	setup();
	fake_xs_put(BACK("3") "grant-mode", "mapped");
	attach();
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	UNIT_OK(error_has("grant-mode is 'mapped', expected auto, persistent, map or copy"));
	/* Corrected, it is tried again. */
	fake_xs_put(BACK("3") "grant-mode", "map");
	UNIT_OK(pump_until(BACK("3") "state", "2"));
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();
}

static void wish(const char *key, const char *value)
{
	char path[100];

	snprintf(path, sizeof(path), "%s%s", BACK("3"), key);
	fake_xs_put(path, value);
}

/* What the tool stack asks of the device shows in what is published. */
static void test_wishes(void)
{
	setup();
	wish("logical-block-size", "4096");
	wish("physical-block-size", "65536");
	wish("max-indirect-segments", "1000");
	wish("discard-secure-enable", "1");
	UNIT_NEED(connect_all());
	UNIT_STREQ(fake_xs_get(BACK("3") "sectors"), "2048");
	UNIT_STREQ(fake_xs_get(BACK("3") "sector-size"), "4096");
	UNIT_STREQ(fake_xs_get(BACK("3") "physical-sector-size"), "65536");
	UNIT_STREQ(fake_xs_get(BACK("3") "discard-granularity"), "4096");
	UNIT_STREQ(fake_xs_get(BACK("3") "discard-secure"), "1");
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-max-indirect-segments"), "1000");
	remove_nodes();
	UNIT_OK(pump_until_idle());
	teardown();

	setup();
	wish("flush-enable", "0");
	UNIT_NEED(connect_all());
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-barrier"), "1");
	UNIT_STREQ(fake_xs_get(BACK("3") "feature-flush-cache"), "0");
	UNIT_OK(!fake_xs_get(BACK("3") "feature-max-indirect-segments"));
	UNIT_STREQ(fake_xs_get(BACK("3") "discard-secure"), "0");
	remove_nodes();
	UNIT_OK(pump_until_idle());
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
	remove_and_teardown();
}

/*
 * A guest that wakes up in the domain in which it fell asleep, and takes it for another: new names
 * at a device that is connected, and 3. What is mapped is served on until it closes.
 */
static void test_wakes_up(void)
{
	pid_t before;

	setup();
	UNIT_NEED(connect_all());
	pump_quiet();
	before = worker();
	fake_xs_put(FRONT("3") "ring-ref", "99");
	fake_xs_put(FRONT("3") "state", "3");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_EQ(worker(), before);
	UNIT_OK(!kill(before, 0));
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_NEED(pump_until(BACK("3") "state", "6"));
	fake_xs_put(FRONT("3") "state", "6");
	pump_quiet();
	UNIT_OK(reconnect("3"));
	UNIT_OK(worker() != before);
	remove_and_teardown();
}

/* The kernel that follows a crash waits for our 5 to have been there, then for 6 and 2. */
static void test_kdump(void)
{
	uint64_t began;

	setup();
	UNIT_NEED(connect_all());
	began = now_ms();
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_NEED(pump_until(BACK("3") "state", "6"));
	UNIT_OK(now_ms() - began >= 100);
	UNIT_OK(!has_children());
	fake_xs_put(FRONT("3") "state", "6");
	pump_quiet();
	UNIT_OK(reconnect("3"));
	remove_and_teardown();
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
	UNIT_OK(reconnect("3"));
	remove_and_teardown();
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
	config.base.close_ms = 100;
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
	UNIT_NEED(attach_waits());
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
	UNIT_NEED(attach_waits());
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	dead_domid = 99;
	front_publish("4");
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	remove_and_teardown();
}

/*
 * Nodes of a domain that has died linger, and another has its number: the rings that
 * they name are not that one's, whatever its own grants of these numbers are.
 */
static void test_number_again(void)
{
	setup();
	UNIT_NEED(connect_all());
	dead_domid = 3;
	fake_xs_put(BACK("3") "touched", "1");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	dead_domid = 99;
	fake_xs_put(BACK("3") "touched", "2");
	fake_xs_put(FRONT("3") "state", "4");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	UNIT_OK(!has_children());
	UNIT_OK(reconnect("3"));
	remove_and_teardown();
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

/* No other image is opened, whatever a part of its name means; and not again and again. */
static void test_long_name(void)
{
	char name[601];
	pid_t before;

	memset(name, '/', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memcpy(name + sizeof(name) - 5, "none", 4);
	setup();
	attach_with(name, "w");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	UNIT_OK(error_has("the image's name is longer than 511 bytes"));
	fake_xs_put(BACK("3") "device-type", "cdrom");
	fake_xs_put(BACK("3") "mode", "r");
	fake_xs_put(BACK("3") "params", image);
	UNIT_NEED(pump_until(BACK("3") "state", "2"));
	front_publish("4");
	UNIT_NEED(pump_until(BACK("3") "state", "4"));
	fake_xs_put(BACK("3") "params", name);
	UNIT_OK(pump_until(BACK("3") "sectors", "0"));
	UNIT_OK(error_has("the image's name is longer than 511 bytes"));
	pump_for(200);
	before = worker();
	pump_for(200);
	UNIT_OK(before > 0 && worker() == before);
	remove_and_teardown();
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
		UNIT_NEED(attach_waits());
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
		remove_and_teardown();
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
	remove_and_teardown();
}

static void test_script_fails(void)
{
	setup();
	fake_xs_put(BACK("3") "script", "/etc/xen/scripts/block");
	UNIT_NEED(attach_waits());
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

/* A front end that connects, or comes back, does so when an upgrade is over. */
static void test_upgrading(void)
{
	setup();
	config.base.upgrading = true;
	UNIT_NEED(attach_waits());
	front_publish("3");
	pump_for(200);
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "2");
	UNIT_OK(!has_children());
	config.base.upgrading = false;
	UNIT_OK(pump_until(BACK("3") "state", "4"));
	config.base.upgrading = true;
	fake_xs_put(FRONT("3") "state", "5");
	UNIT_OK(pump_until(BACK("3") "state", "6"));
	fake_xs_put(FRONT("3") "state", "1");
	pump_for(200);
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	config.base.upgrading = false;
	UNIT_OK(pump_until(BACK("3") "state", "2"));
	teardown();
}

/* However many disks a guest has, after a while it is one of them each time. */
static void test_openings(void)
{
	struct openings *all = NULL, *a = openings_join(&all, 3), *b = openings_join(&all, 3);
	struct openings *another = openings_join(&all, 4);
	uint64_t now = 1000, turn_a = 0, turn_b = 0, turn_other = 0;
	unsigned int nr = 0;

	while (openings_take(a, &turn_a, now) && nr < 1000)
		nr++;
	UNIT_EQ(nr, OPENINGS_BURST + 2 * OPENINGS_BURST_DEVICE);
	UNIT_OK(!openings_take(b, &turn_b, now));
	UNIT_OK(openings_take(another, &turn_other, now));
	for (nr = 0; now < 11000; now++)
		nr += openings_take(a, &turn_a, now) + openings_take(b, &turn_b, now);
	UNIT_EQ(nr, 10000 / OPENINGS_REFILL_MS - 1);
	/* Who has waited and gone does not lose its turn, nor take another's. */
	UNIT_OK(turn_a && turn_b && turn_a != turn_b);
	now += 100000;
	UNIT_OK(openings_take(a, &turn_a, now) && openings_take(b, &turn_b, now));
	UNIT_EQ(turn_a + turn_b, 0);
	openings_leave(&all, a);
	openings_leave(&all, another);
	UNIT_OK(all == b);
	openings_leave(&all, b);
	UNIT_OK(!all);
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
	UNIT_OK(reconnect("3"));
	remove_and_teardown();
}

static const struct unit_test tests[] = {
	{ "grant modes", test_grant_mode },
	{ "attach, connect, close", test_life },
	{ "what the tool stack asks of the device", test_wishes },
	{ "1 to 4, and back three times", test_reconnect },
	{ "a guest wakes up where it fell asleep", test_wakes_up },
	{ "a crashed kernel's successor: 5, 6, 1", test_kdump },
	{ "GRUB: 4 to 6, then 1", test_grub },
	{ "detach waits for the front end", test_detach },
	{ "detach with a time limit", test_detach_unanswered },
	{ "detach before a connection", test_detach_unconnected },
	{ "front end closes before a connection", test_close_unconnected },
	{ "detach crossed by our Connected", test_detach_crossed },
	{ "nodes vanish", test_vanish },
	{ "domain dies, number is used again", test_domain_dies },
	{ "another domain has its number", test_number_again },
	{ "nodes made anew under a connection", test_made_anew },
	{ "bad words of the tool stack", test_bad_params },
	{ "an image's name that is too long", test_long_name },
	{ "bad words of the front end", test_bad_front },
	{ "nothing starts during an upgrade", test_upgrading },
	{ "a guest's openings are bounded", test_openings },
	{ "hotplug script gates Connected", test_script },
	{ "hotplug script fails", test_script_fails },
	{ "nodes come one by one", test_incomplete },
	{ "any states in any order", test_storm },
};

int main(void)
{
	return world_run("backend", tests, UNIT_LEN(tests));
}
