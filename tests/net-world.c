/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The world of net-world.h.
 */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include "net-world.h"

static void on_broken(void *arg, uint32_t port, const char *why)
{
	struct world *w = arg;

	(void)port;
	w->nr_broken++;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static void on_flip_ended(void *arg, uint32_t port, const char *why)
{
	struct world *w = arg;

	(void)port;
	w->nr_flips_ended++;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static void add_guest(struct world *w, uint32_t i)
{
	struct net_guest *g = &w->guest[i];
	struct netback_vif vif = {
		.domid = FAKE_DOMID, .front = &g->front,
		.port = &w->config[i], .log = &w->log[i], .journal_fd = -1,
		.figures_fd = w->figures_fd[i] ? w->figures_fd[i] : -1,
	};
	char why[200] = "";

	net_guest_open(g, i, w->nr_queues ? w->nr_queues : 1, w->ctrl);
	g->front.gso_tcpv4 = g->front.gso_tcpv6 = !w->no_gso[i];
	g->front.ipv6_csum = !w->no_csum[i] && !w->no_csum6[i];
	g->front.no_csum = w->no_csum[i] || w->only_ipv6_csum[i];
	g->front.sg = !w->no_sg[i];
	g->front.mtu_bytes = w->mtu_bytes[i];
	g->front.rx_copy = !w->flips[i];
	g->front.rx_flip = w->flips[i];
	net_mac(w->config[i].mac, (uint8_t)i);
	log_peer_init(&w->log[i], "vif %u", i);
	if (netback_add_vif(w->nb, &vif, &w->port[i], why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		assert(0);
	}
	for (uint32_t q = 0; q < g->front.nr_queues; q++)
		net_guest_post(g, q, w->rx_slots[i] ? w->rx_slots[i] : NET_GUEST_BUFFERS);
}

void world_open(struct world *w)
{
	struct netback_config cfg = {
		.sw = { .max_ports = 16, .max_addresses = 256, .ageing_ms = 300000,
			.move_ms = 1000 },
		.broken = on_broken, .flip_ended = on_flip_ended, .arg = w,
	};

	fake_reset();
	w->now_ms = 1000;
	assert(!grant_open(&w->xgt));
	w->xce = xenevtchn_open(NULL, 0);
	cfg.xgt = w->xgt;
	cfg.xce = w->xce;
	assert(!netback_open(&cfg, &w->nb));
	if (w->flip)
		assert(!netback_set_flip(w->nb, w->flip));
	for (uint32_t i = 0; i < w->nr; i++)
		add_guest(w, i);
	world_run(w);
}

uint32_t world_add_uplink(struct world *w, int pair[2])
{
	struct vswitch_port_config port = { .any_source = true };
	int buffer = 1 << 20, rc;
	uint32_t number;

	rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair);
	assert(!rc);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	log_peer_init(&w->uplink_log, "uplink");
	rc = netback_add_uplink(w->nb, pair[0], true, &port, &w->uplink_log, &number);
	assert(!rc);
	return number;
}

void world_close(struct world *w)
{
	netback_close(w->nb);
	xenevtchn_close(w->xce);
	assert(fake_mapped() == 0);
	xengnttab_close(w->xgt);
	assert(fake_handles() == 0);
}

static void take_events(struct world *w)
{
	struct pollfd pfd = { .fd = xenevtchn_fd(w->xce), .events = POLLIN };

	while (poll(&pfd, 1, 0) > 0) {
		xenevtchn_port_or_error_t port = xenevtchn_pending(w->xce);

		if (port < 0)
			break;
		netback_event(w->nb, (evtchn_port_t)port);
		xenevtchn_unmask(w->xce, (evtchn_port_t)port);
	}
}

void world_pass(struct world *w)
{
	take_events(w);
	netback_pass(w->nb, w->now_ms * 1000);
}

void world_run(struct world *w)
{
	uint32_t passes = 0;

	do {
		take_events(w);
		netback_pass(w->nb, w->now_ms * 1000);
		assert(++passes < 10000);	/* it would never sleep */
	} while (netback_pending(w->nb) || netback_final(w->nb));
}

void world_learn(struct world *w)
{
	static struct net_guest_got got;
	uint8_t frame[60];

	for (uint32_t i = 0; i < w->nr; i++) {
		net_plain(frame, sizeof(frame), 0x99, (uint8_t)i, 0);
		frame[0] = 0xff;
		net_guest_send(&w->guest[i], frame, sizeof(frame), NULL);
	}
	world_run(w);
	for (uint32_t i = 0; i < w->nr; i++) {
		while (net_guest_receive(&w->guest[i], &got))
			;
		net_guest_answers(&w->guest[i], 0, NULL);
	}
}

void world_remove(struct world *w, uint32_t guest)
{
	netback_remove_port(w->nb, w->port[guest]);
	w->gone[guest] = true;
}

void world_withhold(struct world *w, uint32_t guest)
{
	static struct net_guest_got got;
	uint32_t from = guest ? 0 : 1;
	uint8_t frame[60];

	while (ring_front_inflight(&w->guest[guest].queue[0].rx)) {
		net_plain(frame, sizeof(frame), (uint8_t)guest, (uint8_t)from, 0);
		net_guest_send(&w->guest[from], frame, sizeof(frame), NULL);
		world_run(w);
		assert(net_guest_receive(&w->guest[guest], &got));
	}
	net_guest_answers(&w->guest[from], 0, NULL);
}
