/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-netfront: opens and closes the interface for a subcommand. Also info,
 * which only looks.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "netfront-cmd.h"
#include "vif.h"

#define MAPPING_MS 2000
#define HASH_ALL 15u	/* XEN_NETIF_CTRL_HASH_TYPE_*: IPv4 and IPv6, with TCP and without */

/* ---- an open interface ------------------------------------------------------------ */

/* All types, and queues in turn, with the key that everybody begins with. */
static int start_hashing(struct session *s)
{
	static const uint8_t key[NETFRONT_HASH_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43,
		0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb,
		0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
		0xfa,
	};
	uint32_t map[128], i;

	for (i = 0; i < ARRAY_LEN(map); i++)
		map[i] = i % s->info.nr_queues;
	return netfront_set_hash(s->n, HASH_ALL, key, map, ARRAY_LEN(map), s->args->cli.timeout_ms);
}

static bool asks_for_mapping(const struct args *args)
{
	return !args->no_static_grants && strcmp(args->cli.command, "info");
}

/* What was asked for by name is had, or the command fails. */
static int use_control_ring(struct session *s)
{
	int r;

	if (s->args->hash) {
		r = start_hashing(s);
		if (r < 0)
			return session_error(s, r, "the back end does not hash for us");
	}
	if (s->args->static_grants) {
		r = netfront_map_pools(s->n, s->args->cli.timeout_ms);
		if (r < 0)
			return session_error(s, r, "the back end does not keep pages mapped");
		s->static_pages = r;
	} else if (asks_for_mapping(s->args)) {
		/* It is only faster: a back end that does not, or does not answer, serves as well. */
		r = netfront_map_pools(s->n, MIN(s->args->cli.timeout_ms, MAPPING_MS));
		s->static_pages = r < 0 ? 0 : r;
	}
	return EXIT_OK;
}

/* Asked for by name, so that it is an error where it cannot be. */
static int need_flip(const struct args *args)
{
	if (!args->net.flip || flip_of_system())
		return EXIT_OK;
	return front_complain(&args->cli, EXIT_ERROR, "--flip: Linux cannot receive pages by "
			      "transfer: its kernel has had no such function since about 5.18, "
			      "and never one for programs. Local Xen has it (localxen(1)), and "
			      "so has a guest without an operating system (tests/bareguest)");
}

int session_open(struct session *s, const struct args *args)
{
	struct netfront_options o = args->net;
	struct front_problem problem = { .err = 0 };
	int r;

	*s = (struct session){ .args = args };
	r = need_flip(args);
	if (r == EXIT_OK)
		r = front_session_begin(&s->front, &args->cli);
	if (r != EXIT_OK)
		return r;
	front_linux_env(s->front.fl)->flip = args->net.flip ? flip_of_system() : NULL;
	o.ctrl_ring = args->hash || args->static_grants || !args->no_static_grants;
	o.poll_cycles = args->cli.poll_us ? front_linux_cycles(args->cli.poll_us) : 0;
	r = netfront_open(front_linux_env(s->front.fl), args->cli.devid, &o,
			  args->cli.timeout_ms, &s->n, &problem);
	r = front_session_opened(&s->front, r, &problem);
	if (r != EXIT_OK)
		return r;
	netfront_info(s->n, &s->info);
	if (s->info.short_of_grants && !args->cli.quiet)
		front_complain_of(&args->cli, EXIT_OK, "only %u and %u pages to send and receive "
				  "could be shared; raise xen_gntalloc.limit for more frames under "
				  "way", s->info.tx_pages, s->info.rx_pages);
	if (s->info.flip_refused && !args->cli.quiet)
		front_complain_of(&args->cli, EXIT_OK, "received frames are copied, though --flip "
				  "asked for pages: %s", s->info.flip_refused);
	return use_control_ring(s);
}

int session_close(struct session *s, int status)
{
	struct front_problem problem = { .err = 0 };
	int r;

	front_session_closing(&s->front);
	r = netfront_close(s->n, s->args->cli.timeout_ms, &problem);
	return front_session_end(&s->front, status, r, &problem);
}

int session_error(struct session *s, int err, const char *what)
{
	return front_session_error(&s->front, err, netfront_problem(s->n), what, strerror(-err));
}

bool session_over(const struct session *s)
{
	return front_signals_caught() || netfront_closing(s->n);
}

/* ---- info ----------------------------------------------------------------------------- */

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

static void info_json(const struct session *s, const struct args *a)
{
	const struct netfront_info *i = &s->info;
	char mac[18];

	vif_format_mac(i->mac, mac, sizeof(mac));
	printf("{\"devid\":%u,\"domid\":%u,\"backend_domid\":%u,\"backend\":\"%s\","
	       "\"frontend\":\"%s\",\"mac\":\"%s\",\"mtu_bytes\":%u,\"carrier\":%d,",
	       a->cli.devid, i->domid, i->back_domid, i->back_path, i->front_path, mac,
	       i->mtu_bytes, i->carrier);
	printf("\"queues\":%u,\"backend_max_queues\":%u,\"sg\":%d,\"gso_tcpv4\":%d,"
	       "\"gso_tcpv6\":%d,\"ipv6_checksum\":%d,\"split_event_channels\":%d,"
	       "\"ctrl_ring\":%d,\"multicast_control\":%d,\"tx_pages\":%u,\"rx_pages\":%u,"
	       "\"static_pages\":%d,\"rx_path\":\"%s\"}\n",
	       i->nr_queues, i->back_max_queues, i->sg, i->gso_tcpv4, i->gso_tcpv6,
	       i->ipv6_checksum, i->split_event_channels, i->ctrl_ring, i->multicast_control,
	       i->tx_pages, i->rx_pages, s->static_pages, i->flip ? "flip" : "copy");
}

static void info_text(const struct session *s, const struct args *a)
{
	const struct netfront_info *i = &s->info;
	char mac[18];

	vif_format_mac(i->mac, mac, sizeof(mac));
	printf("interface         vif %u of domain %u, %s\n", a->cli.devid, i->domid, mac);
	printf("back end          domain %u, %s\n", i->back_domid, i->back_path);
	printf("link              %s, MTU %u\n", i->carrier ? "up" : "down", i->mtu_bytes);
	printf("queues            %u (the back end's limit is %u), %s\n", i->nr_queues,
	       i->back_max_queues, i->split_event_channels ? "two event channels each" :
	       "one event channel each");
	printf("may be sent       frames of several pages: %s, GSO: IPv4 %s, IPv6 %s; "
	       "blank checksums: IPv4 yes, IPv6 %s\n", yes(i->sg), yes(i->gso_tcpv4),
	       yes(i->gso_tcpv6), yes(i->ipv6_checksum));
	printf("control ring      %s\n", yes(i->ctrl_ring));
	printf("multicast filter  %s\n", yes(i->multicast_control));
	printf("received by       %s\n", i->flip ? "page transfer" : "copy");
	printf("shared pages      %u to send, %u to receive; the back end keeps %d mapped\n",
	       i->tx_pages, i->rx_pages, s->static_pages);
}

int cmd_info(const struct args *a)
{
	struct session s;
	int r = session_open(&s, a);

	if (r == EXIT_OK && a->cli.json)
		info_json(&s, a);
	else if (r == EXIT_OK)
		info_text(&s, a);
	return session_close(&s, r);
}

int main(int argc, char **argv)
{
	struct args a = {
		.cli = { .device = "vif 0", .timeout_ms = 10000 },
		.ifname = "pv0", .count = 5, .interval_ms = 200, .wait_ms = 2000,
		.frame_bytes = 60, .seconds = -1,
	};

	signal(SIGCHLD, SIG_DFL);	/* who started us may ignore the ends of children; we wait */
	return front_main(&netfront_program, &a, argc, argv);
}
