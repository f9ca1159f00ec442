/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tool stack and the administrator say of interfaces and bridges: what is waited
 * for, what changes live, what is bad and who is told.
 */
#include "vif-world.h"

static void test_no_bridge_named(void)
{
	setup("");
	UNIT_OK(connects("3", NULL));
	pump_quiet();
	UNIT_STREQ(told(), "default add 3/0\n");
	teardown();
}

static void test_changed_live(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	pump_quiet();
	told();
	put_back("3", "vlan", "10");
	pump_quiet();
	UNIT_STREQ(told(), "br0 set mode 0 vlan 10 isolated 0\n");
	put_back("3", "isolated", "1");
	pump_quiet();
	UNIT_STREQ(told(), "br0 set mode 0 vlan 10 isolated 1\n");
	put_back("3", "rate", "1000,50000");
	pump_quiet();
	UNIT_STREQ(told(), "br0 rate 1000/50000\n");
	put_front("3", "request-multicast-control", "1");
	pump_quiet();
	UNIT_STREQ(told(), "br0 multicast 1\n");
	/* Nonsense changes nothing, and a later word is taken again. */
	put_back("3", "vlan", "4096");
	pump_quiet();
	UNIT_STREQ(told(), "");
	put_back("3", "vlan", "10,20");
	pump_quiet();
	UNIT_STREQ(told(), "br0 set mode 1 vlan 4095 isolated 1\n");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	teardown();
}

/* The front end sees nothing of it: both states stay. */
static void test_moves(void)
{
	const char *got;

	setup("");
	UNIT_OK(connects("3", "br0"));
	put_back("3", "bridge", "br1");
	pump_quiet();
	UNIT_OK(will_be_told("br0 stop\n") && will_be_told("br1 add 3/0 again\n"));
	/* The end of the one and the start of the other are two processes' doing. */
	got = told();
	if (strcmp(got, "br0 add 3/0\nbr0 remove\nbr1 add 3/0 again\nbr0 stop\n"))
		UNIT_STREQ(got, "br0 add 3/0\nbr0 remove\nbr0 stop\nbr1 add 3/0 again\n");
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	put_back("3", "online", "0");
	put_back("3", "state", "5");
	put_front("3", "state", "6");
	UNIT_OK(back_reaches("3", "6"));
	teardown();
}

static void test_bad_words(void)
{
	setup("");
	attach("3", "br0");
	put_back("3", "mac", "01:00:00:00:00:00");
	put_back("3", "state", "1");
	UNIT_OK(back_reaches("3", "6"));
	UNIT_OK(error_has("3", "'01:00:00:00:00:00', expected"));
	attach("4", "br0");
	UNIT_OK(back_reaches("4", "2"));
	put_front("4", "request-rx-copy", "0");
	put_front("4", "tx-ring-ref", "8");
	put_front("4", "rx-ring-ref", "9");
	put_front("4", "event-channel", "5");
	put_front("4", "state", "4");
	UNIT_OK(back_reaches("4", "6"));
	UNIT_OK(error_has("4", "request-rx-copy"));
	teardown();
}

static void test_waits_for_mac(void)
{
	struct xs_handle *h;

	setup("");
	attach("3", "br0");
	h = fake_xs_open(0);
	xs_rm(h, XBT_NULL, BACK("3") "mac");
	xs_close(h);
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "1");
	UNIT_OK(error_has("3", "mac is missing"));
	put_back("3", "mac", "00:16:3e:00:00:03");
	UNIT_OK(back_reaches("3", "2"));
	teardown();
}

/* 4 is to have 3's address: it keeps its own, whoever serves them, until it is free. */
static void test_address_of_another(void)
{
	static const char *const words = "its address 00:16:3e:00:00:03 is vif 3/0's on bridge br0: "
					 "it keeps the one that it has";
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	setup("");
	UNIT_OK(connects("3", "br0"));
	UNIT_OK(connects("4", "br0"));
	pump_quiet();
	told();
	dup2(fileno(file), STDERR_FILENO);
	log_open("test", LOG_LEVEL_WARNING);
	put_back("4", "mac", "00:16:3e:00:00:03");
	UNIT_EQ(said(file, words), 1);
	UNIT_STREQ(told(), "");
	/* What else changes does, and nobody hears of the address again. */
	put_back("4", "vlan", "7");
	UNIT_OK(will_be_told("br0 set"));
	UNIT_EQ(said(file, words), 1);
	UNIT_STREQ(told(), "br0 set mode 0 vlan 7 isolated 0\n");
	/* To have it once more is another wish. */
	put_back("4", "mac", "00:16:3e:00:00:04");
	pump_quiet();
	put_back("4", "mac", "00:16:3e:00:00:03");
	UNIT_EQ(said(file, words), 2);
	UNIT_OK(kill_worker_of("3"));
	UNIT_OK(will_be_told("br0 add 3/0 again\n") && will_be_told("br0 add 4/0 again\n"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "4");
	end_daemon();
	told();
	start_daemon();
	UNIT_OK(will_be_told("br0 add 3/0 again\n") && will_be_told("br0 add 4/0 again\n"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "4");
	told();
	put_front("3", "state", "5");
	UNIT_OK(back_reaches("3", "6"));
	UNIT_OK(will_be_told("br0 set mode 0 vlan 7 isolated 0\n"));
	UNIT_EQ(said(file, words), 3);
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(file);
	teardown();
}

/*
 * 3, which had any address, is to have 4's alone: it keeps any, whoever serves them, until that
 * is free.
 */
static void test_any_source_is_kept(void)
{
	setup("");
	attach("3", "br0");
	put_back("3", "any-source", "1");
	UNIT_OK(back_reaches("3", "2"));
	front_publish("3");
	UNIT_OK(back_reaches("3", "4"));
	attach("4", "br0");
	put_back("4", "mac", "00:16:3e:00:00:03");
	UNIT_OK(back_reaches("4", "2"));
	front_publish("4");
	UNIT_OK(back_reaches("4", "4"));
	pump_quiet();
	told();
	put_back("3", "any-source", "0");
	pump_quiet();
	UNIT_STREQ(told(), "");
	UNIT_OK(kill_worker_of("3"));
	UNIT_OK(will_be_told("br0 add 3/0 again\n") && will_be_told("br0 add 4/0 again\n"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "4");
	end_daemon();
	told();
	start_daemon();
	UNIT_OK(will_be_told("br0 add 3/0 again\n") && will_be_told("br0 add 4/0 again\n"));
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
	UNIT_STREQ(fake_xs_get(BACK("4") "state"), "4");
	told();
	put_front("4", "state", "5");
	UNIT_OK(back_reaches("4", "6"));
	UNIT_OK(will_be_told("br0 set mode 0 vlan 0 isolated 0\n"));
	teardown();
}

static const struct {
	const char *key, *value, *words, *good;
} bad[] = {
	{ "vlan", "4096", "'4096', expected", "10" },
	{ "rate", "4000000000,50000", "at most 2147483648", "1000,50000" },
	{ "rate-bits", "400000000000", "at most 343597383680", "1000000" },
	{ "mac", NULL, "mac is missing", "00:16:3e:00:00:03" },
	{ "limit", "tx-packets-per-second=none,what=5", "limit is", "tx-packets-per-second=5" },
};

static void put_bad(size_t i)
{
	if (bad[i].value)
		put_back("3", bad[i].key, bad[i].value);
	else
		remove_back("3", bad[i].key);
}

/* What is bad is said once, and whoever serves it next knows what was good. */
static void test_bad_while_served(void)
{
	for (size_t i = 0; i < UNIT_LEN(bad); i++) {
		FILE *file = tmpfile();
		int saved = dup(STDERR_FILENO);

		setup("");
		UNIT_OK(connects("3", "br0"));
		pump_quiet();
		told();
		dup2(fileno(file), STDERR_FILENO);
		log_open("test", LOG_LEVEL_WARNING);
		put_bad(i);
		UNIT_EQ(said(file, bad[i].words), 1);
		put_back("3", "poke", "1");
		UNIT_EQ(said(file, bad[i].words), 1);
		UNIT_STREQ(told(), "");
		UNIT_OK(kill_worker_of("3"));
		UNIT_OK(will_be_told("br0 add 3/0 again\n"));
		pump_quiet();
		dup2(saved, STDERR_FILENO);
		UNIT_STREQ(told(), "br0 add 3/0 again\n");
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		put_back("3", bad[i].key, bad[i].good);
		pump_quiet();
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		teardown();
		close(saved);
		fclose(file);
	}
}

/* Nobody wants it any more, whatever else is bad. */
static void test_goes_with_bad_words(void)
{
	setup("");
	UNIT_OK(connects("3", "br0"));
	put_back("3", "vlan", "4096");
	put_back("3", "online", "0");
	UNIT_OK(back_reaches("3", "5"));
	put_front("3", "state", "6");
	UNIT_OK(back_reaches("3", "6"));
	put_front("3", "state", "1");
	pump_quiet();
	UNIT_STREQ(fake_xs_get(BACK("3") "state"), "6");
	teardown();
}

/* The next daemon does not know what was good: the guest waits for it, and is not closed. */
static void test_bad_for_next_daemon(void)
{
	for (size_t i = 0; i < UNIT_LEN(bad); i++) {
		setup("");
		UNIT_OK(connects("3", "br0"));
		end_daemon();
		told();
		put_bad(i);
		start_daemon();
		pump_quiet();
		UNIT_OK(error_has("3", bad[i].words));
		UNIT_STREQ(told(), "");
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		put_back("3", bad[i].key, bad[i].good);
		UNIT_OK(will_be_told("br0 add 3/0 again\n"));
		UNIT_OK(error_goes("3"));
		UNIT_STREQ(fake_xs_get(BACK("3") "state"), "4");
		teardown();
	}
}

/* So no version makes way for another meanwhile. */
static void test_bad_holds_upgrade(void)
{
	char why[256] = "";

	for (size_t i = 0; i < UNIT_LEN(bad); i++) {
		setup("");
		UNIT_OK(connects("3", "br0"));
		UNIT_OK(!backend_cannot_leave(backend, why, sizeof(why)));
		put_bad(i);
		pump_quiet();
		UNIT_OK(backend_cannot_leave(backend, why, sizeof(why)));
		UNIT_OK(!strncmp(why, "vif 3/0: ", 9) && strstr(why, bad[i].words));
		put_back("3", bad[i].key, bad[i].good);
		pump_quiet();
		UNIT_OK(!backend_cannot_leave(backend, why, sizeof(why)));
		teardown();
	}
}

/* But not of one that is just going, or has gone. */
static void test_bad_of_one_that_goes(void)
{
	char why[256] = "";
	struct xs_handle *h;

	setup("deaf");
	UNIT_OK(connects("3", "br0"));
	put_front("3", "state", "5");
	UNIT_OK(will_be_told("br0 remove\n"));
	put_back("3", "vlan", "4096");
	UNIT_OK(!backend_cannot_leave(backend, why, sizeof(why)));
	UNIT_EQ(kill(worker_of("3"), SIGKILL), 0);
	UNIT_OK(back_reaches("3", "6"));
	teardown();
	setup("");
	UNIT_OK(connects("3", "br0"));
	h = fake_xs_open(0);
	xs_rm(h, XBT_NULL, "/local/domain/0/backend/vif/3");
	xs_close(h);
	UNIT_OK(!backend_cannot_leave(backend, why, sizeof(why)));
	teardown();
}

/* What is bad of a bridge is said once, however often its nodes are read. */
static void test_bad_bridge(void)
{
	static const char *const words = "bridge lan: the administrator's ageing-ms is ";
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	setup("");
	dup2(fileno(file), STDERR_FILENO);
	fake_xs_put(LAN "ageing-ms", "abc");
	UNIT_EQ(said(file, words), 1);
	for (int i = 0; i < 3; i++) {
		fake_xs_put(LAN "move-ms", i & 1 ? "5" : "6");
		UNIT_EQ(said(file, words), 1);
	}
	fake_xs_put(LAN "ageing-ms", "abd");
	UNIT_EQ(said(file, words), 2);
	/* A good one in between: the same is news again. */
	fake_xs_put(LAN "ageing-ms", "5000");
	UNIT_EQ(said(file, words), 2);
	fake_xs_put(LAN "ageing-ms", "abd");
	UNIT_EQ(said(file, words), 3);
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(file);
	teardown();
}

/* Nor of an uplink, whether it is there or not. */
static void test_bad_uplink(void)
{
	static const char *const words = "bridge lan: uplink up9: the administrator's vlan is '4096'";
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	struct xs_handle *h;

	setup("");
	dup2(fileno(file), STDERR_FILENO);
	fake_xs_put(LAN "uplink/up9/vlan", "4096");
	UNIT_EQ(said(file, words), 1);
	for (int i = 0; i < 3; i++) {
		fake_xs_put(LAN "uplink/up9/isolated", i & 1 ? "0" : "1");
		UNIT_EQ(said(file, words), 1);
	}
	/* Another of that name. */
	h = fake_xs_open(0);
	xs_rm(h, XBT_NULL, LAN "uplink/up9");
	xs_close(h);
	UNIT_EQ(said(file, words), 1);
	fake_xs_put(LAN "uplink/up9/vlan", "4096");
	UNIT_EQ(said(file, words), 2);
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(file);
	teardown();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "no bridge named", test_no_bridge_named },
		{ "VLANs, isolation, rate and multicast change live", test_changed_live },
		{ "a vif moves between bridges", test_moves },
		{ "bad words of tool stack and front end", test_bad_words },
		{ "waits for the address", test_waits_for_mac },
		{ "an address that another has", test_address_of_another },
		{ "any address is kept", test_any_source_is_kept },
		{ "bad words while it is served", test_bad_while_served },
		{ "it goes, with bad words", test_goes_with_bad_words },
		{ "the next daemon finds bad words", test_bad_for_next_daemon },
		{ "bad words hold an upgrade up", test_bad_holds_upgrade },
		{ "bad words of one that goes", test_bad_of_one_that_goes },
		{ "a bridge's bad word is said once", test_bad_bridge },
		{ "an uplink's bad word is said once", test_bad_uplink },
	};

	return world_run("vif-words", tests, UNIT_LEN(tests));
}
