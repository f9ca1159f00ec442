/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of the net back end under kills. Each worker is a process of its own that
 * shares the guests' pages and the journals with the test, and nothing else; it is killed
 * after every step of the journal, one after the other, then its successor too. The
 * guests check that every request is answered once, every buffer comes back once and
 * what arrives is what was sent.
 *
 * The back end is compiled for this test with NB_STEP() as a call of nb_kill_point().
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "net-world.h"
#include "netback-journal.h"
#include "unit.h"

#define GUESTS 2u
#define KILLED 9
#define FRAMES 6u
#define STEPS_MAX 100000u

static struct net_guest guest[GUESTS];
static int journal[GUESTS] = { -1, -1 };
static uint32_t steps, die_at;		/* die_at 0: never */
static uint32_t arrived, lost;		/* lost: came as an error */
static bool hashes;			/* guest 1's TCP is to be */

void nb_kill_point(void)
{
	if (die_at && ++steps == die_at)
		_exit(KILLED);
}

/* ---- a worker -------------------------------------------------------------------------- */

static bool may_break;

static void on_broken(void *arg, uint32_t port, const char *why)
{
	(void)arg, (void)port;
	if (may_break)
		return;
	fprintf(stderr, "broken: %s\n", why);
	_exit(EXIT_FAILURE);
}

static void add(struct netback *nb, uint32_t i, struct log_peer *log)
{
	struct vswitch_port_config port = { .any_source = false };
	struct netback_vif vif = {
		.domid = FAKE_DOMID, .front = &guest[i].front, .port = &port, .log = log,
		.journal_fd = journal[i],
	};
	char why[200];
	uint32_t number;

	net_mac(port.mac, (uint8_t)i);
	log_peer_init(log, "vif %u", i);
	if (netback_add_vif(nb, &vif, &number, why, sizeof(why))) {
		fprintf(stderr, "vif %u: %s\n", i, why);
		_exit(EXIT_FAILURE);
	}
}

static void work(uint32_t nr_mapped)
{
	struct log_peer log[GUESTS];
	struct netback_config cfg = {
		.sw = { .max_ports = 4, .max_addresses = 16, .ageing_ms = 300000,
			.move_ms = 1000 },
		.broken = on_broken,
	};
	struct netback *nb;

	if (grant_open(&cfg.xgt))
		_exit(EXIT_FAILURE);
	cfg.xce = xenevtchn_open(NULL, 0);
	if (netback_open(&cfg, &nb))
		_exit(EXIT_FAILURE);
	for (uint32_t i = 0; i < GUESTS; i++)
		add(nb, i, &log[i]);
	for (uint64_t us = 1000000; netback_pass(nb, us) || netback_pending(nb); us += 20000)
		;
	if (nr_mapped && fake_mapped() < nr_mapped) {
		fprintf(stderr, "%u pages are mapped, expected %u\n", fake_mapped(), nr_mapped);
		_exit(EXIT_FAILURE);
	}
	if (may_break && die_at)
		_exit(KILLED);
	netback_close(nb);
	_exit(EXIT_SUCCESS);
}

/* A worker's life, which may end at a step. True: it was killed. */
static bool live(uint32_t step, uint32_t nr_mapped)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		die_at = step;
		work(nr_mapped);
	}
	UNIT_EQ(waitpid(pid, &status, 0), pid);
	UNIT_OK(WIFEXITED(status));
	UNIT_OK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
	return WEXITSTATUS(status) == KILLED;
}

/* ---- the guests -------------------------------------------------------------------------- */

static void start(bool ctrl)
{
	fake_reset();
	hashes = false;
	for (uint32_t i = 0; i < GUESTS; i++) {
		if (journal[i] >= 0)
			close(journal[i]);
		journal[i] = memfd_create("journal", MFD_CLOEXEC);
		UNIT_EQ(nb_journal_reserve(journal[i], 1), 0);
		net_guest_open(&guest[i], i, 1, ctrl);
		net_guest_post(&guest[i], 0, NET_GUEST_BUFFERS);
	}
}

static void stop(void)
{
	for (uint32_t i = 0; i < GUESTS; i++) {
		close(journal[i]);
		journal[i] = -1;
	}
}

static uint8_t frame[20000];

/* The same each time, so that the receiver knows them. */
static uint32_t make(uint32_t nr, uint8_t to, uint8_t from, struct net_guest_how *how)
{
	static const uint32_t bytes[FRAMES] = { 60, 1514, 9000, 100, 12000, 5000 };

	*how = (struct net_guest_how){ 0 };
	if (nr != 4) {
		net_plain(frame, bytes[nr], to, from, (uint8_t)nr);
		return bytes[nr];
	}
	how->blank = true;
	how->gso = XEN_NETIF_GSO_TYPE_TCPV4;
	how->gso_bytes = 1448;
	net_tcp(frame, bytes[nr], to, from, (uint8_t)nr, true);
	return bytes[nr];
}

static void send_all(uint32_t from)
{
	struct net_guest_how how;

	for (uint32_t nr = 0; nr < FRAMES; nr++) {
		uint32_t bytes = make(nr, (uint8_t)(from ^ 1), (uint8_t)from, &how);

		net_guest_send(&guest[from], frame, bytes, &how);
	}
}

static bool is_sent(const struct net_guest_got *got, uint32_t to)
{
	struct net_guest_how how;

	for (uint32_t nr = 0; nr < FRAMES; nr++) {
		uint32_t bytes = make(nr, (uint8_t)to, (uint8_t)(to ^ 1), &how);

		if (got->bytes == bytes && !memcmp(got->data, frame, bytes))
			return true;
	}
	return false;
}

/* Everything that came, each as it was sent; the buffers are posted again. */
static void receive_all(uint32_t to)
{
	static struct net_guest_got got;
	uint32_t slots = 0;

	while (net_guest_receive(&guest[to], &got)) {
		slots += got.slots;
		if (got.error) {
			lost++;
			continue;
		}
		arrived++;
		if (to == 1 && got.data[0] & 1)
			continue;	/* to a group */
		UNIT_OK(is_sent(&got, to));
		if (to == 1 && hashes && got.gso)
			UNIT_OK(got.hashed);
	}
	net_guest_post(&guest[to], 0, slots);
}

static void check_answers(uint32_t from)
{
	struct net_guest_queue *q = &guest[from].queue[0];

	net_guest_answers(&guest[from], 0, NULL);
	UNIT_EQ(q->tx.rsp_cons, q->tx.req_prod_pvt);
	UNIT_EQ(q->extras_asked, 0);
	for (uint32_t id = 0; id < NET_GUEST_IDS; id++)
		if (q->asked[id])
			UNIT_EQ(q->asked[id], 0);
}

static void check_all(void)
{
	for (uint32_t i = 0; i < GUESTS; i++) {
		check_answers(i);
		receive_all(i);
	}
}

/* ---- tests ------------------------------------------------------------------------------ */

/* Until a step that there is no more: its life has ended in order. */
static void kill_everywhere(uint32_t successors_step, uint32_t nr_mapped)
{
	uint32_t step = 1;
	bool killed = true;

	arrived = lost = 0;
	for (; killed && step < STEPS_MAX; step++) {
		send_all(0);
		send_all(1);
		killed = live(step, nr_mapped);
		if (killed && successors_step)
			live(step % successors_step + 1, nr_mapped);
		UNIT_OK(!live(0, nr_mapped));
		check_all();
	}
	UNIT_OK(!killed);
	UNIT_OK(step > 50);
	UNIT_OK(arrived > step);
	UNIT_EQ(lost, 0);		/* a slot that was begun is whole again */
	/* In order from here on, nothing is lost: no buffer and no slot is. */
	arrived = lost = 0;
	for (uint32_t turn = 0; turn < 2 * NET_GUEST_BUFFERS; turn++) {
		send_all(0);
		UNIT_OK(!live(0, nr_mapped));
		check_all();
	}
	UNIT_EQ(lost, 0);
	UNIT_EQ(arrived, 2 * NET_GUEST_BUFFERS * FRAMES);
}

static void test_killed(void)
{
	start(false);
	UNIT_OK(!live(0, 0));
	kill_everywhere(0, 0);
	stop();
}

static void test_killed_twice(void)
{
	start(false);
	UNIT_OK(!live(0, 0));
	kill_everywhere(37, 0);
	stop();
}

/* A message, with kills; its answer comes once. Returns the status. */
static uint32_t ask(uint32_t step, uint16_t type, uint32_t a, uint32_t b, uint32_t c, bool *killed)
{
	struct xen_netif_ctrl_response rsp = { .status = UINT32_MAX };

	net_guest_ask(&guest[1], type, a, b, c);
	*killed = live(step, 0);
	UNIT_OK(!live(0, 0));
	UNIT_OK(net_guest_told(&guest[1], &rsp));
	UNIT_EQ(rsp.type, type);
	UNIT_OK(!net_guest_told(&guest[1], &rsp));
	return rsp.status;
}

/* The same message, killed after each of its steps; what it says holds each time. */
static void ask_everywhere(uint16_t type, uint32_t a)
{
	bool killed = true;

	for (uint32_t step = 1; killed; step++) {
		UNIT_EQ(ask(step, type, a, 0, 0, &killed), XEN_NETIF_CTRL_STATUS_SUCCESS);
		send_all(0);
		UNIT_OK(!live(0, 0));
		check_all();
	}
}

static void test_settings(void)
{
	bool killed;

	start(true);
	UNIT_OK(!live(0, 0));
	ask(0, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ,
	    0, 0, &killed);
	hashes = true;
	ask_everywhere(XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
	ask_everywhere(XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM,
		       XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);
	kill_everywhere(0, 0);
	stop();
}

/* Killed at each step of adding a list: it is there, and the front end is told so. */
static void test_adding(void)
{
	const uint32_t nr = 2 * NET_GUEST_BUFFERS;
	bool killed = true, unused;
	uint32_t step;

	start(true);
	UNIT_OK(!live(0, 0));
	for (step = 1; killed && step < STEPS_MAX; step++) {
		net_guest_list_all(&guest[1], 0);
		UNIT_EQ(ask(step, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, guest[1].list_gref, nr,
			    &killed), XEN_NETIF_CTRL_STATUS_SUCCESS);
		send_all(0);
		UNIT_OK(!live(0, nr + 6));
		check_all();
		net_guest_list_all(&guest[1], 0);
		UNIT_EQ(ask(0, XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0, guest[1].list_gref, nr,
			    &unused), XEN_NETIF_CTRL_STATUS_SUCCESS);
	}
	UNIT_OK(!killed);
	UNIT_OK(step > 5);
	stop();
}

static void test_static_grants(void)
{
	/* Four rings, a control ring each, and the list's. */
	const uint32_t nr = 2 * NET_GUEST_BUFFERS, expected = nr + 4 + 2;
	bool killed;

	start(true);
	UNIT_OK(!live(0, 0));
	UNIT_EQ(net_guest_list_all(&guest[1], 0), nr);
	UNIT_EQ(ask(0, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, guest[1].list_gref, nr, &killed),
		XEN_NETIF_CTRL_STATUS_SUCCESS);
	kill_everywhere(0, expected);
	/* What was taken out of the list is not mapped by a successor. */
	net_guest_list_all(&guest[1], 0);
	UNIT_EQ(ask(0, XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0, guest[1].list_gref, nr, &killed),
		XEN_NETIF_CTRL_STATUS_SUCCESS);
	send_all(0);
	UNIT_OK(!live(0, 0));
	check_all();
	stop();
}

/* A slot of guest 1's that is no frame: it joins a group, or leaves it. */
static void change_group(uint8_t last, bool join)
{
	union { netif_extra_info_t x; netif_tx_request_t slot; } u = { .slot = { 0 } };

	u.slot.flags = NETTXF_extra_info;
	u.slot.size = 0;
	net_guest_slot(&guest[1], 0, &u.slot);
	memset(&u, 0, sizeof(u));
	u.x.type = join ? XEN_NETIF_EXTRA_TYPE_MCAST_ADD : XEN_NETIF_EXTRA_TYPE_MCAST_DEL;
	net_mac(u.x.u.mcast.addr, last);
	u.x.u.mcast.addr[0] = 1;
	net_guest_slot(&guest[1], 0, &u);
	net_guest_publish(&guest[1], 0);
}

static uint32_t reach_group(uint8_t last)
{
	net_plain(frame, 60, last, 0, 1);
	frame[0] = 1;
	net_guest_send(&guest[0], frame, 60, NULL);
	arrived = 0;
	UNIT_OK(!live(0, 0));
	check_answers(0);
	receive_all(1);
	return arrived;
}

static void test_groups(void)
{
	start(false);
	guest[1].front.multicast_control = true;
	UNIT_OK(!live(0, 0));
	for (uint8_t last = 1; last <= 3; last++)
		change_group(last, true);
	UNIT_OK(!live(0, 0));
	UNIT_EQ(reach_group(1), 1);
	UNIT_EQ(reach_group(4), 0);
	change_group(1, false);
	UNIT_OK(!live(0, 0));
	UNIT_EQ(reach_group(1), 0);
	UNIT_EQ(reach_group(2), 1);
	UNIT_EQ(reach_group(3), 1);
	stop();
}

/*
 * Killed at each step of taking grants out of the list: the front end is told what was in it,
 * however much of that is gone by then.
 */
static void test_deleting(void)
{
	const uint32_t nr = 2 * NET_GUEST_BUFFERS;
	struct xen_netif_ctrl_response rsp;
	bool killed = true, unused;

	start(true);
	UNIT_OK(!live(0, 0));
	for (uint32_t step = 1; killed && step < STEPS_MAX; step++) {
		net_guest_list_all(&guest[1], 0);
		UNIT_EQ(ask(0, XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 0, guest[1].list_gref, nr,
			    &unused), XEN_NETIF_CTRL_STATUS_SUCCESS);
		net_guest_list_all(&guest[1], 0);
		net_guest_ask(&guest[1], XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING, 0,
			      guest[1].list_gref, nr);
		killed = live(step, 0);
		UNIT_OK(!live(0, 0));
		UNIT_OK(net_guest_told(&guest[1], &rsp));
		UNIT_EQ(rsp.status, XEN_NETIF_CTRL_STATUS_SUCCESS);
		UNIT_EQ(rsp.data, nr);
		for (uint32_t i = 0; i < nr; i++)
			UNIT_EQ(net_guest_list(&guest[1])[i].status,
				XEN_NETIF_CTRL_STATUS_SUCCESS);
	}
	UNIT_OK(!killed);
	stop();
}

static void set_producer(uint8_t *page, uint32_t req_prod)
{
	memcpy(page, &req_prod, sizeof(req_prod));
}

/* A guest that connected anew while nobody served it, with the same names for its rings. */
static void test_another_ring(void)
{
	static const uint8_t untouched[4096];
	static uint8_t page[4096];
	struct nb_journal j = { 0 };
	struct nb_queue_journal *q;
	struct ring_back ring;

	start(false);
	UNIT_OK(!live(0, 0));
	UNIT_EQ(nb_journal_open(&j, journal[0], 1), 0);
	q = &j.file->queue[0];
	q->tx_rsp_prod = q->rx_rsp_prod = j.file->ctrl_rsp_prod = 1000;
	q->tx_req_cons = q->rx_req_cons = j.file->ctrl_req_cons = 1001;
	for (uint32_t req_prod = 0; req_prod <= 1000; req_prod += 500) {
		set_producer(page, req_prod);
		UNIT_EQ(nb_journal_start_tx(&j, 0, page, &ring), -EPROTO);
		UNIT_EQ(nb_journal_start_rx(&j, 0, page, &ring), -EPROTO);
		UNIT_EQ(nb_journal_start_ctrl(&j, page, &ring), -EPROTO);
		UNIT_OK(!memcmp(page + 4, untouched, sizeof(page) - 4));
	}
	nb_journal_close(&j);
	stop();
}

/* A worker that was in a guest's hands may have left anything. */
static void test_nonsense(void)
{
	struct nb_journal j = { 0 };
	struct ring_back ring;
	struct nb_queue_journal *q;
	static uint8_t page[4096];

	start(false);
	UNIT_OK(!live(0, 0));
	UNIT_EQ(nb_journal_open(&j, journal[0], 2), -EBADMSG);
	UNIT_EQ(nb_journal_open(&j, journal[0], 1), 0);
	q = &j.file->queue[0];
	q->tx_req_cons = q->tx_rsp_prod + 257;
	UNIT_EQ(nb_journal_start_tx(&j, 0, page, &ring), -EBADMSG);
	q->tx_req_cons = q->tx_rsp_prod + 3;
	set_producer(page, q->tx_req_cons);
	UNIT_EQ(nb_journal_start_tx(&j, 0, page, &ring), -EBADMSG);
	q->record[0] = (struct nb_record){ .state = NB_RECORD_TAKEN, .nr_slots = 255,
					   .req_end = q->tx_req_cons };
	UNIT_EQ(nb_journal_start_tx(&j, 0, page, &ring), -EBADMSG);
	q->record[0].nr_slots = 2;
	q->record[0].nr_extras = UINT16_MAX;
	UNIT_EQ(nb_journal_start_tx(&j, 0, page, &ring), -EBADMSG);
	q->rx_req_cons = q->rx_rsp_prod - 1;
	UNIT_EQ(nb_journal_start_rx(&j, 0, page, &ring), -EBADMSG);
	j.file->ctrl_req_cons = j.file->ctrl_rsp_prod + 2;
	set_producer(page, j.file->ctrl_req_cons);
	UNIT_EQ(nb_journal_start_ctrl(&j, page, &ring), -EBADMSG);
	j.file->hash.nr_map = 2;
	j.file->hash.map[1] = 1;
	UNIT_EQ(nb_journal_check_settings(&j), -EBADMSG);
	j.file->hash.nr_map = NB_HASH_MAP_MAX + 1;
	UNIT_EQ(nb_journal_check_settings(&j), -EBADMSG);
	j.file->hash.nr_map = 0;
	UNIT_EQ(nb_journal_check_settings(&j), 0);
	j.file->nr_groups = VSWITCH_MULTICAST_MAX + 1;
	UNIT_EQ(nb_journal_check_settings(&j), -EBADMSG);
	nb_journal_close(&j);
	UNIT_EQ(ftruncate(journal[0], 100), 0);
	UNIT_EQ(nb_journal_reserve(journal[0], 1), 0);
	UNIT_EQ(nb_journal_open(&j, journal[0], 1), -EBADMSG);
	/* A worker makes no room. */
	UNIT_EQ(ftruncate(journal[0], 0), 0);
	UNIT_EQ(nb_journal_open(&j, journal[0], 1), -EBADMSG);
	stop();
}

/*
 * A ring that the guest has broken, as a worker saw that nobody hears any more, since its
 * supervisor is being replaced. Its successor sees the same, and not a journal that is wrong.
 */
static void break_ring(uint32_t step)
{
	netif_tx_request_t slot = { .flags = NETTXF_more_data, .size = 1000 };
	struct nb_journal j = { 0 };
	struct ring_back ring;

	start(false);
	UNIT_OK(!live(0, 0));
	slot.gref = guest[1].queue[0].tx_gref[0];
	net_guest_slot(&guest[1], 0, &slot);
	net_guest_publish(&guest[1], 0);
	may_break = true;
	live(step, 0);
	may_break = false;
	UNIT_EQ(nb_journal_open(&j, journal[1], 1), 0);
	UNIT_EQ(nb_journal_start_tx(&j, 0, fake_page(guest[1].queue[0].tx_page - 2), &ring), 0);
	UNIT_EQ(ring_back_pending(&ring), 1);
	nb_journal_close(&j);
	stop();
}

static void test_broken_ring(void)
{
	break_ring(0);
	break_ring(STEPS_MAX);	/* killed behind it */
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "killed while static grants are taken out", test_deleting },
			{ "a broken ring is the guest's doing", test_broken_ring },
		{ "killed at every step", test_killed },
		{ "and its successor too", test_killed_twice },
		{ "what the control ring set", test_settings },
		{ "static grants are mapped again", test_static_grants },
		{ "killed while static grants are added", test_adding },
		{ "groups", test_groups },
		{ "what cannot be", test_nonsense },
		{ "WORKER-8: another ring", test_another_ring },
	};

	return unit_run("netback-journal", tests, UNIT_LEN(tests));
}
