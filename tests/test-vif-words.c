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

int main(void)
{
	static const struct unit_test tests[] = {
		{ "no bridge named", test_no_bridge_named },
		{ "VLANs, isolation, rate and multicast change live", test_changed_live },
		{ "a vif moves between bridges", test_moves },
		{ "bad words of tool stack and front end", test_bad_words },
		{ "waits for the address", test_waits_for_mac },
		{ "a bridge's bad word is said once", test_bad_bridge },
	};

	return world_run("vif-words", tests, UNIT_LEN(tests));
}
