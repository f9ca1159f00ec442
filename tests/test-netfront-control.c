/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The network front end's groups, control ring and static grants against an
 * honest back end in the same process.
 */
#include <stdbool.h>
#include <unistd.h>

#include "fake-netback.h"
#include "netfront-priv.h"
#include "unit.h"

static struct netfront *n;
static struct front_problem problem;
static uint8_t big[64];

static void begin(void)
{
	unsigned int i;

	fake_netback_reset();
	for (i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 31 + 5);
}

static bool go(const struct netfront_options *o)
{
	return netfront_open(fake_netback_env(), FAKE_VIF, o, 1000, &n, &problem) == 0;
}

static void end(void)
{
	UNIT_EQ(netfront_close(n, 1000, NULL), 0);
	UNIT_EQ(fake_gnt_pages(), 0);
	UNIT_EQ(fake_evtchn_ports(), 0);
	UNIT_EQ(fake_nb.bad_requests, 0);
	fake_netback_end();
}

/* ---- groups, control ------------------------------------------------------------------------------ */

static void test_groups(void)
{
	static const uint8_t mac[6] = { 0x33, 0x33, 0, 0, 0, 1 }, unicast[6] = { 2 };
	struct netfront_options o = { .multicast_control = true };

	begin();
	UNIT_NEED(go(&o));
	UNIT_OK(fake_nb.front.multicast_control);
	UNIT_EQ(netfront_join(n, mac, 100), 0);
	UNIT_EQ(fake_nb.nr_groups, 1);
	UNIT_OK(!memcmp(fake_nb.group[0], mac, 6));
	UNIT_EQ(netfront_leave(n, mac, 100), 0);
	UNIT_EQ(fake_nb.nr_groups, 0);
	UNIT_EQ(netfront_join(n, unicast, 100), -EINVAL);
	fake_nb.status = NETIF_RSP_ERROR;
	UNIT_EQ(netfront_join(n, mac, 100), -EIO);
	fake_nb.status = 0;
	fake_nb.stuck = true;
	UNIT_EQ(netfront_join(n, mac, 100), -ETIMEDOUT);
	UNIT_EQ(netfront_join(n, mac, 100), -EBUSY);
	fake_nb.stuck = false;
	fake_netback_serve();
	netfront_poll(n);
	UNIT_EQ(netfront_leave(n, mac, 100), 0);
	UNIT_EQ(netfront_multicast_control(n, false), 0);
	UNIT_STREQ(fake_xs_get(FAKE_FRONT_DIR "/request-multicast-control"), "0");
	end();
	begin();
	fake_nb.features.multicast_control = fake_nb.features.dynamic_multicast_control = false;
	UNIT_NEED(go(&o));
	UNIT_OK(!fake_nb.front.multicast_control);
	UNIT_EQ(netfront_join(n, mac, 100), -EOPNOTSUPP);
	UNIT_EQ(netfront_multicast_control(n, true), -EOPNOTSUPP);
	end();
}

static void test_hash(void)
{
	struct netfront_options o = { .nr_queues = 2, .ctrl_ring = true };
	uint32_t map[128], i, status, data;
	uint8_t key[40];

	begin();
	UNIT_NEED(go(&o));
	for (i = 0; i < 128; i++)
		map[i] = i & 1;
	memcpy(key, big, 40);
	UNIT_EQ(netfront_set_hash(n, 15, key, map, 128, 100), 0);
	UNIT_EQ(fake_nb.algorithm, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
	UNIT_EQ(fake_nb.hash_types, 15);
	UNIT_EQ(fake_nb.nr_key, 40);
	UNIT_OK(!memcmp(fake_nb.key, key, 40));
	UNIT_EQ(fake_nb.nr_map, 128);
	UNIT_OK(!memcmp(fake_nb.map, map, sizeof(map)));
	UNIT_EQ(netfront_control(n, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS,
				 (uint32_t[3]){ 0, 0, 0 }, 100, &status, &data), 0);
	UNIT_EQ(status, 0);
	UNIT_EQ(data, 15);
	UNIT_EQ(netfront_control(n, XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE,
				 (uint32_t[3]){ 0, 0, 0 }, 100, &status, &data), 0);
	UNIT_EQ(data, 1024);
	UNIT_EQ(netfront_control(n, 99, (uint32_t[3]){ 0, 0, 0 }, 100, &status, NULL), 0);
	UNIT_EQ(status, XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
	UNIT_EQ(netfront_set_hash(n, 15, key, map, 1025, 100), -EINVAL);
	fake_nb.map_limit = 64;
	UNIT_EQ(netfront_set_hash(n, 15, key, map, 128, 100), -EINVAL);
	fake_nb.ctrl_status = XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
	UNIT_EQ(netfront_set_hash(n, 15, key, map, 64, 100), -E2BIG);
	fake_nb.ctrl_status = 77;
	UNIT_EQ(netfront_set_hash(n, 15, key, map, 64, 100), -EOPNOTSUPP);
	fake_nb.ctrl_status = 0;
	UNIT_EQ(netfront_set_hash(n, 0, NULL, NULL, 0, 100), 0);
	UNIT_EQ(fake_nb.algorithm, XEN_NETIF_CTRL_HASH_ALGORITHM_NONE);
	/* More messages than the ring has slots. */
	for (i = 0; i < 1000; i++)
		UNIT_EQ(netfront_set_hash(n, 0, NULL, NULL, 0, 100), 0);
	end();
}

static void test_static_grants(void)
{
	struct netfront_options o = { .nr_queues = 2, .ctrl_ring = true };

	begin();
	UNIT_NEED(go(&o));
	UNIT_EQ(netfront_map_pools(n, 100), 2 * 448);
	UNIT_EQ(fake_nb.nr_mapped, 2 * 448);
	UNIT_EQ(netfront_unmap_pools(n, 100), 2 * 448);
	UNIT_EQ(fake_nb.nr_mapped, 0);
	fake_nb.gref_limit = 100;
	UNIT_EQ(netfront_map_pools(n, 100), 200);
	UNIT_EQ(fake_nb.nr_mapped, 200);
	end();
	begin();
	UNIT_NEED(go(NULL));
	UNIT_EQ(netfront_map_pools(n, 100), -EOPNOTSUPP);
	UNIT_EQ(netfront_set_hash(n, 0, NULL, NULL, 0, 100), -EOPNOTSUPP);
	end();
}

/* A message that nobody answers in time; its page is not written to meanwhile. */
static void test_control_late(void)
{
	struct netfront_options o = { .ctrl_ring = true };
	uint32_t status;
	uint8_t key[40] = { 0 };

	begin();
	UNIT_NEED(go(&o));
	fake_nb.ctrl_mute = true;
	UNIT_EQ(netfront_control(n, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY,
				 (uint32_t[3]){ 0, 0, 0 }, 10, &status, NULL), -ETIMEDOUT);
	fake_nb.ctrl_mute = false;
	UNIT_EQ(netfront_set_hash(n, 1, key, NULL, 0, 100), 0);
	UNIT_OK(!n->broken);
	n->ctrl.nr_page_users = 1;
	UNIT_EQ(netfront_set_hash(n, 1, key, NULL, 0, 100), -EBUSY);
	UNIT_EQ(netfront_map_pools(n, 100), -EBUSY);
	n->ctrl.nr_page_users = 0;
	end();
}

static void send_one(void)
{
	struct netfront_frame frame = { .piece = { { big, sizeof(big) } }, .nr_pieces = 1 };

	UNIT_EQ(netfront_send(n, 0, &frame, 1), 1);
	netfront_kick(n);
}

/* Answers on a ring that the wait is not about neither end it nor keep it from ending. */
static void test_other_answers(void)
{
	struct netfront_options o = { .ctrl_ring = true };
	uint32_t status, args[3] = { 0 };

	begin();
	UNIT_NEED(go(&o));
	send_one();
	fake_netback_serve();
	fake_nb.ctrl_mute = true;
	UNIT_EQ(netfront_control(n, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, args, 10, &status,
				 NULL), -ETIMEDOUT);
	UNIT_EQ(netfront_inflight(n), 0);
	fake_nb.ctrl_mute = false;	/* the answer comes while close waits for the frame */
	fake_nb.hold = true;
	send_one();
	UNIT_EQ(netfront_close(n, 100, NULL), 0);
	UNIT_EQ(fake_gnt_pages(), 0);
	fake_netback_end();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "groups", test_groups },
		{ "hashing", test_hash },
		{ "static grants", test_static_grants },
		{ "a late answer on the control ring", test_control_late },
		{ "answers on other rings", test_other_answers },
	};

	alarm(120);
	return unit_run("netfront control", tests, UNIT_LEN(tests));
}
