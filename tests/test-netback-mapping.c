/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Static grants at the net back end: what is mapped is copied without a call into
 * the hypervisor, what is not is copied as before, and a list that is wrong changes
 * nothing.
 */
#include <errno.h>
#include "net-world.h"
#include "unit.h"

#define LIMIT 512u		/* of a queue, in these worlds */
#define REST_MS 300u		/* longer than any message costs */
#define ALL_PAGES (2 * NET_GUEST_BUFFERS)

static uint8_t frame[66000];
static struct net_guest_got got;

/* A message about the list page. Returns its status. */
static uint32_t ask_with(struct world *w, uint32_t guest, uint16_t type, uint32_t queue,
			 uint32_t gref, uint32_t nr, uint32_t *data)
{
	struct xen_netif_ctrl_response rsp = { .status = UINT32_MAX };

	w->now_ms += REST_MS;
	net_guest_ask(&w->guest[guest], type, queue, gref, nr);
	world_run(w);
	UNIT_OK(net_guest_told(&w->guest[guest], &rsp));
	UNIT_EQ(rsp.type, type);
	if (data)
		*data = rsp.data;
	return rsp.status;
}

static uint32_t ask(struct world *w, uint32_t guest, uint16_t type, uint32_t nr, uint32_t *data)
{
	return ask_with(w, guest, type, 0, w->guest[guest].list_gref, nr, data);
}

static uint32_t add(struct world *w, uint32_t guest, uint32_t nr)
{
	return ask(w, guest, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, nr, NULL);
}

static uint32_t del(struct world *w, uint32_t guest, uint32_t nr, uint32_t *gone)
{
	return ask(w, guest, XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, nr, gone);
}

static void map_guest(struct world *w, uint32_t guest)
{
	uint32_t nr = net_guest_list_all(&w->guest[guest], 0);

	UNIT_EQ(add(w, guest, nr), XEN_NETIF_CTRL_STATUS_SUCCESS);
}

/* Guest 0 to guest 1; guest 1's buffers are posted again. */
static void pass_frame(struct world *w, uint32_t bytes, uint8_t seed)
{
	net_plain(frame, bytes, 1, 0, seed);
	net_guest_send(&w->guest[0], frame, bytes, NULL);
	world_run(w);
	UNIT_NEED(net_guest_receive(&w->guest[1], &got));
	UNIT_EQ(got.error, 0);
	UNIT_EQ(got.bytes, bytes);
	UNIT_OK(!memcmp(got.data, frame, bytes));
	UNIT_OK(net_guest_answers(&w->guest[0], 0, NULL) > 0);
	net_guest_post(&w->guest[1], 0, got.slots);
}

static void pass_frames(struct world *w)
{
	static const uint32_t bytes[] = { 14, 60, 159, 160, 161, 1514, 4096, 4097, 9014, 65000 };

	for (uint32_t i = 0; i < UNIT_LEN(bytes); i++)
		pass_frame(w, bytes[i], (uint8_t)i);
}

static void begin(struct world *w)
{
	*w = (struct world){ .nr = 2, .nr_queues = 2, .ctrl = true };
	world_open(w);
	pass_frame(w, 100, 0);
}

/* ---- copies ------------------------------------------------------------------------------- */

static void test_size(void)
{
	static const struct { uint32_t queue, status, data; } asks[] = {
		{ 0, XEN_NETIF_CTRL_STATUS_SUCCESS, LIMIT },
		{ 1, XEN_NETIF_CTRL_STATUS_SUCCESS, LIMIT },
		{ 2, XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER, 0 },
		{ UINT32_MAX, XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER, 0 },
	};
	uint32_t data;
	struct world w;

	begin(&w);
	for (uint32_t i = 0; i < UNIT_LEN(asks); i++) {
		UNIT_EQ(ask_with(&w, 0, XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE, asks[i].queue,
				 0, 0, &data), asks[i].status);
		UNIT_EQ(data, asks[i].data);
	}
	world_close(&w);
}

static void test_no_calls(void)
{
	uint32_t calls, before;
	struct world w;

	begin(&w);
	before = fake_mapped();
	map_guest(&w, 0);
	map_guest(&w, 1);
	UNIT_EQ(fake_mapped(), before + 2 * ALL_PAGES);
	calls = fake_copies();
	pass_frames(&w);
	UNIT_EQ(fake_copies(), calls);
	world_close(&w);
}

/* Only one of the two has static grants, and pages of another queue's table. */
static void test_one_side(void)
{
	for (uint32_t side = 0; side < 2; side++) {
		uint32_t calls;
		struct world w;

		begin(&w);
		map_guest(&w, side);
		calls = fake_copies();
		pass_frames(&w);
		UNIT_OK(fake_copies() > calls);
		net_guest_list_all(&w.guest[1 - side], 1);
		UNIT_EQ(ask_with(&w, 1 - side, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 1,
				 w.guest[1 - side].list_gref, ALL_PAGES, NULL),
			XEN_NETIF_CTRL_STATUS_SUCCESS);
		calls = fake_copies();
		pass_frames(&w);
		UNIT_OK(fake_copies() > calls);
		world_close(&w);
	}
}

/* For a receiver that takes no blank checksums the frame is fetched first. */
static void test_fetched(void)
{
	struct world w = { .nr = 2, .ctrl = true };
	struct net_guest_how how = { .blank = true };
	uint32_t calls;

	w.no_csum[1] = true;
	world_open(&w);
	pass_frame(&w, 100, 0);
	map_guest(&w, 0);
	map_guest(&w, 1);
	net_tcp(frame, 9000, 1, 0, 3, true);
	calls = fake_copies();
	net_guest_send(&w.guest[0], frame, 9000, &how);
	world_run(&w);
	UNIT_NEED(net_guest_receive(&w.guest[1], &got));
	UNIT_OK(net_tcp_is_right(got.data, got.bytes));
	UNIT_OK(!memcmp(got.data + NET_TCP_HEADERS, frame + NET_TCP_HEADERS,
			9000 - NET_TCP_HEADERS));
	UNIT_EQ(fake_copies(), calls);
	world_close(&w);
}

/* ---- deleting -------------------------------------------------------------------------------- */

static void test_delete(void)
{
	struct xen_netif_gref *list;
	uint32_t before, gone;
	struct world w;

	begin(&w);
	before = fake_mapped();
	list = net_guest_list(&w.guest[1]);
	map_guest(&w, 1);
	/* A third of them, one twice, and one that was never there. */
	for (uint32_t i = 0; i < 40; i++)
		list[i] = list[i * 3];
	list[40].ref = list[0].ref;
	list[41].ref = w.guest[0].queue[0].tx_gref[0];
	UNIT_EQ(del(&w, 1, 42, &gone), XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_EQ(gone, 40);
	UNIT_EQ(fake_mapped(), before + ALL_PAGES - 40);
	for (uint32_t i = 0; i < 42; i++) {
		UNIT_EQ(list[i].status, i < 40 ? XEN_NETIF_CTRL_STATUS_SUCCESS :
						 XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
		UNIT_OK(i >= 40 || fake_revoke(list[i].ref));
	}
	UNIT_OK(!fake_revoke(w.guest[1].queue[0].tx_gref[0]));
	map_guest(&w, 0);
	UNIT_EQ(fake_mapped(), before + 2 * ALL_PAGES - 40);
	net_guest_list_all(&w.guest[1], 0);
	UNIT_EQ(del(&w, 1, ALL_PAGES, &gone), XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_EQ(gone, ALL_PAGES - 40);
	UNIT_EQ(fake_mapped(), before + ALL_PAGES);
	UNIT_EQ(del(&w, 1, ALL_PAGES, &gone), XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_EQ(gone, 0);
	world_close(&w);
}

/* Frames that wait for slots lie in pages that go, and come from both kinds. */
static void test_delete_in_use(void)
{
	uint32_t gone;
	struct world w;

	begin(&w);
	map_guest(&w, 0);
	map_guest(&w, 1);
	world_withhold(&w, 1);
	for (uint8_t i = 0; i < 10; i++) {
		net_plain(frame, 6000, 1, 0, i);
		net_guest_send(&w.guest[0], frame, 6000, NULL);
	}
	world_run(&w);
	UNIT_OK(!net_guest_receive(&w.guest[1], &got));
	w.now_ms -= REST_MS;		/* they do not wait for so long */
	net_guest_list_all(&w.guest[0], 0);
	UNIT_EQ(del(&w, 0, ALL_PAGES / 2, &gone), XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_EQ(gone, ALL_PAGES / 2);
	net_guest_post(&w.guest[1], 0, NET_GUEST_BUFFERS);
	world_run(&w);
	for (uint8_t i = 0; i < 10; i++) {
		net_plain(frame, 6000, 1, 0, i);
		UNIT_NEED(net_guest_receive(&w.guest[1], &got));
		UNIT_EQ(got.bytes, 6000);
		UNIT_OK(!memcmp(got.data, frame, 6000));
	}
	world_close(&w);
}

/* What is left cannot be mapped again: it goes too, and frames still pass. */
static void test_cannot_map_again(void)
{
	uint32_t before, gone;
	struct world w;

	begin(&w);
	before = fake_mapped();
	map_guest(&w, 0);
	*net_guest_list(&w.guest[0]) = (struct xen_netif_gref){
		.ref = w.guest[0].queue[0].tx_gref[0], .flags = XEN_NETIF_CTRLF_GREF_readonly,
	};
	fake_fail_map(1, ENOMEM);
	UNIT_EQ(del(&w, 0, 1, &gone), XEN_NETIF_CTRL_STATUS_SUCCESS);
	UNIT_EQ(gone, 1);
	UNIT_EQ(fake_mapped(), before + ALL_PAGES / 2);
	pass_frames(&w);
	map_guest(&w, 1);
	pass_frames(&w);
	UNIT_EQ(add(&w, 0, 1), XEN_NETIF_CTRL_STATUS_SUCCESS);
	world_close(&w);
}

/* ---- lists that are wrong ----------------------------------------------------------------------- */

enum what { NOTHING, NO_GRANT, TWICE, READ_ONLY, FLAGS, THERE, NO_ROOM };

static const struct wrong {
	const char *name;
	uint16_t type;
	uint32_t queue, gref, nr;	/* 0: the list's; UINT32_MAX: read-only */
	enum what what;			/* of the list's last entry, or of the system */
} wrongs[] = {
	{ "add: no such queue", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 2, 0, 4, NOTHING },
	{ "add: a list larger than a page", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 513, NOTHING },
	{ "add: a list whose octets wrap", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0,
	  0x20000001, NOTHING },
	{ "add: the longest list", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, UINT32_MAX, NOTHING },
	{ "add: a list that is not granted", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 4444, 4, NOTHING },
	{ "add: a page that is not granted", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 4, NO_GRANT },
	{ "add: a page twice", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 4, TWICE },
	{ "add: a read-only page to be written", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 4, READ_ONLY },
	{ "add: flags that nobody knows", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 4, FLAGS },
	{ "add: a page that is there", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 4, THERE },
	{ "add: more than the system can map", XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, 0, 4, NO_ROOM },
	{ "delete: no such queue", XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 2, 0, 4, THERE },
	{ "delete: a list larger than a page", XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0, 0, 513, THERE },
	{ "delete: a list that is not granted", XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0, 4444, 4, THERE },
	{ "delete: a list that cannot be answered", XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0,
	  UINT32_MAX, 4, THERE },
};

/* The last of a list of four becomes what the row says. */
static void spoil(struct world *w, const struct wrong *row, uint32_t there)
{
	struct net_guest_queue *q = &w->guest[0].queue[0];
	struct xen_netif_gref *list = net_guest_list(&w->guest[0]);

	for (uint32_t i = 0; i < 4; i++)
		list[i] = (struct xen_netif_gref){ .ref = q->rx_gref[10 + i] };
	/* One that is mapped before those of the last's kind. */
	list[1] = (struct xen_netif_gref){ .ref = q->tx_gref[8],
					   .flags = XEN_NETIF_CTRLF_GREF_readonly };
	switch (row->what) {
	case NO_GRANT: list[3].ref = 4444; break;
	case TWICE: list[3].ref = list[0].ref; break;
	case READ_ONLY: list[3].ref = q->tx_gref[9]; break;
	case FLAGS: list[3].flags = 2; break;
	case THERE: list[3].ref = there; break;
	case NO_ROOM: fake_limit_maps(fake_mapped() + 3); break;
	case NOTHING: break;
	}
}

static void test_wrong_lists(void)
{
	for (uint32_t i = 0; i < UNIT_LEN(wrongs); i++) {
		const struct wrong *row = &wrongs[i];
		uint32_t before, status, there, gref;
		struct world w;

		begin(&w);
		there = net_guest_list(&w.guest[0])->ref = w.guest[0].queue[0].rx_gref[0];
		UNIT_EQ(add(&w, 0, 1), XEN_NETIF_CTRL_STATUS_SUCCESS);
		before = fake_mapped();
		gref = row->gref == UINT32_MAX ? fake_grant(w.guest[0].list_page, true) :
		       row->gref ? row->gref : w.guest[0].list_gref;
		spoil(&w, row, there);
		status = ask_with(&w, 0, row->type, row->queue, gref, row->nr, NULL);
		if (status != XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER || fake_mapped() != before)
			fprintf(stderr, "\n%s: status %u, %u mapped, were %u\n", row->name, status,
				fake_mapped(), before);
		UNIT_EQ(status, XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
		UNIT_EQ(fake_mapped(), before);
		UNIT_OK(!fake_revoke(there));
		fake_limit_maps(UINT32_MAX);
		pass_frames(&w);
		map_guest(&w, 1);
		UNIT_EQ(w.nr_broken, 0);
		world_close(&w);
	}
}

/* A page that is only to be read is not written to by the CPU, whatever it is used for. */
static void test_read_only_rx(void)
{
	struct xen_netif_gref *list;
	struct world w;

	begin(&w);
	list = net_guest_list(&w.guest[1]);
	net_guest_list_all(&w.guest[1], 0);
	for (uint32_t i = 0; i < ALL_PAGES; i++)
		list[i].flags = XEN_NETIF_CTRLF_GREF_readonly;
	UNIT_EQ(add(&w, 1, ALL_PAGES), XEN_NETIF_CTRL_STATUS_SUCCESS);
	map_guest(&w, 0);
	pass_frames(&w);
	world_close(&w);
}

/* The table is bounded, per queue and by what a queue of many may have. */
static void test_full(void)
{
	struct xen_netif_gref *list;
	uint32_t before, all;
	struct world w;

	begin(&w);
	list = net_guest_list(&w.guest[0]);
	before = fake_mapped();
	for (uint32_t i = 0; i < LIMIT; i++)
		list[i] = (struct xen_netif_gref){ .ref = fake_grant(100, false) };
	UNIT_EQ(add(&w, 0, LIMIT), XEN_NETIF_CTRL_STATUS_SUCCESS);
	all = fake_mapped();
	UNIT_EQ(all, before + LIMIT);
	list[0].ref = fake_grant(100, false);
	UNIT_EQ(add(&w, 0, 1), XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
	UNIT_EQ(fake_mapped(), all);
	UNIT_EQ(add(&w, 0, 0), XEN_NETIF_CTRL_STATUS_SUCCESS);
	pass_frames(&w);
	world_remove(&w, 0);
	UNIT_OK(fake_mapped() < before);
	world_close(&w);
}

/* ---- one that does nothing else ----------------------------------------------------------------- */

/* Messages without end for a second, odd ones of another type: how many were answered. */
static uint32_t storm(struct world *w, uint16_t type, uint16_t odd, uint32_t status)
{
	struct xen_netif_ctrl_response rsp;
	uint32_t asked = 0, told = 0;

	for (uint32_t ms = 0; ms < 1000; ms++) {
		w->now_ms++;
		for (; asked - told < 32; asked++)
			net_guest_ask(&w->guest[0], asked & 1 ? odd : type, 0,
				      w->guest[0].list_gref, ALL_PAGES);
		world_run(w);
		for (; net_guest_told(&w->guest[0], &rsp); told++)
			UNIT_EQ(rsp.status, status);
		UNIT_OK(netback_timeout_us(w->nb, w->now_ms * 1000) > 0);
	}
	return told;
}

static void test_storm(void)
{
	uint32_t told, maps;
	struct world w;

	begin(&w);
	net_guest_list_all(&w.guest[0], 0);
	maps = fake_maps();
	told = storm(&w, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING,
		     XEN_NETIF_CTRL_STATUS_SUCCESS);
	/* 128 pages and a call, 16 to the millisecond. */
	UNIT_OK(told >= 90 && told <= 110);
	UNIT_OK(fake_maps() - maps <= 220);
	pass_frames(&w);
	world_close(&w);
}

/* A page that may only be read is found out by trying all in several ways. */
static void test_storm_of_wrong(void)
{
	uint32_t told;
	struct world w;

	begin(&w);
	net_guest_list_all(&w.guest[0], 0);
	net_guest_list(&w.guest[0])[1] = (struct xen_netif_gref){ .ref = fake_grant(100, true) };
	told = storm(&w, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING,
		     XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
	UNIT_OK(told >= 20 && told <= 40);
	pass_frames(&w);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{ "how many there may be", test_size },
	{ "no call for what is mapped", test_no_calls },
	{ "one side mapped", test_one_side },
	{ "a frame that is fetched", test_fetched },
	{ "deleting", test_delete },
	{ "deleting what is in use", test_delete_in_use },
	{ "what is left cannot be mapped again", test_cannot_map_again },
	{ "lists that are wrong", test_wrong_lists },
	{ "read-only pages to receive into", test_read_only_rx },
	{ "a full table", test_full },
	{ "lists without end", test_storm },
	{ "wrong lists without end", test_storm_of_wrong },
};

int main(void)
{
	return unit_run("netback-mapping", tests, UNIT_LEN(tests));
}
