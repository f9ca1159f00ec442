/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands and options of paravane-netfront. Must not know interfaces
 * beyond their numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "netfront-cmd.h"
#include "vif.h"

enum { INFO = 1, TAP = 2, PING = 4, BENCH = 8, ALL = 15 };

static const struct front_command commands[] = {
	{ "info", INFO, "info [OPTIONS]",
	  "Opens the interface and says what it is and what was negotiated.", cmd_info, 0 },
	{ "tap", TAP, "tap [--ifname NAME] [--run CMD]",
	  "The interface as a TAP device of the current network namespace, with the\n"
	  "offloads that the back end takes.", cmd_tap, 0 },
	{ "ping", PING, "ping --address IP PEER | ping --mac MAC | ping --address IP --serve",
	  "ARP and ICMP echo, or a raw frame that 'bench echo' reflects; while it waits it\n"
	  "answers ARP and ICMP echo for its own address. Exit status 3: nobody answered.",
	  cmd_ping, 1 },
	{ "bench", BENCH, "bench tx|rx|echo|latency [--size B] [--mac MAC] [--seconds S]",
	  "Frames per second sent or received; echo reflects frames; latency measures the\n"
	  "round trip to a peer that runs echo.", cmd_bench, 1 },
};

/* ---- values --------------------------------------------------------------------------- */

static int set_vif(const struct front_option *o, const char *value, struct args *a)
{
	uint64_t devid;

	if (parse_u64(value, o->max, &devid) < 0)
		return -EINVAL;
	a->cli.devid = (uint32_t)devid;
	snprintf(a->cli.device, sizeof(a->cli.device), "vif %u", a->cli.devid);
	return 0;
}

static int set_address(const struct front_option *o, const char *value, struct args *a)
{
	(void)o;
	a->has_own_ip = inet_pton(AF_INET, value, a->own_ip) == 1;
	return a->has_own_ip ? 0 : -EINVAL;
}

static int set_mac(const struct front_option *o, const char *value, struct args *a)
{
	(void)o;
	a->has_peer_mac = vif_parse_mac(value, a->peer_mac) == 0;
	return a->has_peer_mac ? 0 : -EINVAL;
}

/* ---- options -------------------------------------------------------------------------- */

static const struct front_option options[] = {
	{ "ifname", "NAME", TAP, "name of the TAP device (default pv0)",
	  FRONT_TEXT(ifname) },
	{ "run", "CMD", TAP,
	  "runs CMD in a shell once the device is up; $ifname names it; ends with it",
	  FRONT_TEXT(run) },
	{ "address", "IP", PING, "our own IPv4 address",
	  FRONT_OWN(set_address, "an IPv4 address") },
	{ "mac", "MAC", PING | BENCH, "the peer's address",
	  FRONT_OWN(set_mac, "an address such as 00:16:3e:01:02:03") },
	{ "serve", NULL, PING, "only answer, until interrupted",
	  FRONT_FLAG(serve) },
	{ "count", "N", PING, "echo requests to send (default 5)",
	  FRONT_UINT(count, 1, 1000000000) },
	{ "interval-ms", "N", PING, "between them (default 200)",
	  FRONT_UINT(interval_ms, 0, 3600000) },
	{ "wait-ms", "N", PING, "for an answer (default 2000)",
	  FRONT_UINT(wait_ms, 1, 3600000) },
	{ "size", "BYTES", PING | BENCH, "of a frame, 60 (default) to 65535",
	  FRONT_UINT(frame_bytes, 60, 65535) },
	{ "batch", "N", BENCH,
	  "frames told of at a time; latency: frames under way (default 64; latency: 1)",
	  FRONT_UINT(batch, 1, 256) },
	{ "seconds", "S", BENCH, "how long (default 3; echo: 0, until interrupted)",
	  FRONT_SECONDS(seconds) },
	{ "frames", "N", BENCH, "rx: ends after so many",
	  FRONT_UINT(frames, 1, 4000000000) },
	{ "verify", NULL, BENCH,
	  "rx: looks at what is in the frames, of --size, that bench tx sends",
	  FRONT_FLAG(verify) },
	{ "json", NULL, INFO | PING | BENCH, "print JSON",
	  FRONT_FLAG(cli.json) },
	{ "vif", "N", ALL, "the interface's number (default 0)",
	  .set = set_vif, .max = 65535 },
	{ "queues", "N", ALL, "to use, if the back end has as many (default 1)",
	  FRONT_UINT(net.nr_queues, 1, VIF_QUEUES_MAX) },
	{ "poll-us", "N", ALL,
	  "look at the rings up to N us before sleeping, while it pays (default 0)",
	  FRONT_UINT(cli.poll_us, 0, 1000000) },
	{ "tx-pages", "N", ALL, "shared pages to send from, per queue",
	  FRONT_UINT(net.tx_pages, 1, 256) },
	{ "rx-pages", "N", ALL, "shared pages to receive into, per queue",
	  FRONT_UINT(net.rx_pages, 1, 256) },
	{ "flip", NULL, ALL, "receive by page transfer; not on Linux",
	  FRONT_FLAG(net.flip) },
	{ "no-sg", NULL, ALL, "receive no frames of several pages",
	  FRONT_FLAG(net.no_sg) },
	{ "no-gso", NULL, ALL, "receive no TCP packets yet to be cut",
	  FRONT_FLAG(net.no_gso) },
	{ "no-checksum", NULL, ALL, "receive complete checksums only",
	  FRONT_FLAG(net.no_checksum) },
	{ "no-split", NULL, ALL, "one event channel per queue",
	  FRONT_FLAG(net.no_split) },
	{ "no-rx-notify", NULL, ALL, "as an old front end: tells of no buffers",
	  FRONT_FLAG(net.no_rx_notify) },
	{ "hash", NULL, ALL,
	  "have the back end choose queues by Toeplitz hash (control ring)",
	  FRONT_FLAG(hash) },
	{ "static-grants", NULL, ALL,
	  "have the back end keep our pages mapped (control ring), or fail; without "
	  "this it is asked to, but for info",
	  FRONT_FLAG(static_grants) },
	{ "no-static-grants", NULL, TAP | PING | BENCH, "do not ask it to",
	  FRONT_FLAG(no_static_grants) },
	{ "multicast-control", NULL, ALL, "receive only groups that were joined",
	  FRONT_FLAG(net.multicast_control) },
};

const struct front_program netfront_program = {
	.name = "paravane-netfront",
	.summary = "The guest's side of a virtual network interface, in a process.",
	.no = "no answer",
	.kind = "vif",
	.noun = "interface",
	.commands = commands,
	.nr_commands = ARRAY_LEN(commands),
	.options = options,
	.nr_options = ARRAY_LEN(options),
};
