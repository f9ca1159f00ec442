/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of paravane-netfront. Hides getopt and the help texts; must
 * not know interfaces beyond their numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netfront-cmd.h"
#include "vif.h"

enum { INFO = 1, TAP = 2, PING = 4, BENCH = 8, ALL = 15 };

enum option_id {
	OPT_VIF = 256, OPT_TIMEOUT, OPT_QUEUES, OPT_POLL, OPT_TX_PAGES, OPT_RX_PAGES,
	OPT_NO_SG, OPT_NO_GSO, OPT_NO_CHECKSUM, OPT_NO_SPLIT, OPT_NO_RX_NOTIFY, OPT_HASH,
	OPT_STATIC, OPT_MULTICAST, OPT_JSON, OPT_QUIET, OPT_IFNAME, OPT_RUN, OPT_ADDRESS, OPT_MAC,
	OPT_SERVE, OPT_COUNT, OPT_INTERVAL, OPT_WAIT, OPT_SIZE, OPT_BATCH, OPT_SECONDS,
	OPT_HELP,
};

static const struct command {
	const char *name;
	unsigned int mask;
	const char *synopsis, *text;
} commands[] = {
	{ "info", INFO, "info [OPTIONS]", "Opens the interface and says what it is and what "
	  "was negotiated." },
	{ "tap", TAP, "tap [--ifname NAME] [--run CMD]", "The interface as a TAP device of the "
	  "current network namespace, with the\noffloads that the back end takes." },
	{ "ping", PING, "ping --address IP PEER | ping --mac MAC | ping --address IP --serve",
	  "ARP and ICMP echo, or a raw frame that 'bench echo' reflects; while it waits it\n"
	  "answers ARP and ICMP echo for its own address. Exit status 3: nobody answered." },
	{ "bench", BENCH, "bench tx|rx|echo|latency [--size B] [--mac MAC] [--seconds S]",
	  "Frames per second sent or received; echo reflects frames; latency measures the\n"
	  "round trip to a peer that runs echo." },
};

/* One line per option: the parser and --help use the same table. */
static const struct option_line {
	const char *name, *arg;
	int id;
	unsigned int commands;
	const char *help;
} lines[] = {
	{ "ifname", "NAME", OPT_IFNAME, TAP, "name of the TAP device (default pv0)" },
	{ "run", "CMD", OPT_RUN, TAP,
	  "runs CMD in a shell once the device is up; $ifname names it; ends with it" },
	{ "address", "IP", OPT_ADDRESS, PING, "our own IPv4 address" },
	{ "mac", "MAC", OPT_MAC, PING | BENCH, "the peer's address" },
	{ "serve", NULL, OPT_SERVE, PING, "only answer, until interrupted" },
	{ "count", "N", OPT_COUNT, PING, "echo requests to send (default 5)" },
	{ "interval-ms", "N", OPT_INTERVAL, PING, "between them (default 200)" },
	{ "wait-ms", "N", OPT_WAIT, PING, "for an answer (default 2000)" },
	{ "size", "BYTES", OPT_SIZE, PING | BENCH, "of a frame, 60 (default) to 65535" },
	{ "batch", "N", OPT_BATCH, BENCH,
	  "frames told of at a time; latency: frames under way (default 64; latency: 1)" },
	{ "seconds", "S", OPT_SECONDS, BENCH, "how long (default 3; echo: 0, until interrupted)" },
	{ "json", NULL, OPT_JSON, INFO | BENCH, "print JSON" },
	{ "quiet", NULL, OPT_QUIET, ALL, "no line that is not a result" },
	{ "vif", "N", OPT_VIF, ALL, "the interface's number (default 0)" },
	{ "timeout", "SECONDS", OPT_TIMEOUT, ALL,
	  "for opening and for closing (default 10; 0: for ever)" },
	{ "queues", "N", OPT_QUEUES, ALL, "to use, if the back end has as many (default 1)" },
	{ "poll-us", "N", OPT_POLL, ALL,
	  "look at the rings up to N us before sleeping, while it pays (default 0)" },
	{ "tx-pages", "N", OPT_TX_PAGES, ALL, "shared pages to send from, per queue" },
	{ "rx-pages", "N", OPT_RX_PAGES, ALL, "shared pages to receive into, per queue" },
	{ "no-sg", NULL, OPT_NO_SG, ALL, "receive no frames of several pages" },
	{ "no-gso", NULL, OPT_NO_GSO, ALL, "receive no segments to be" },
	{ "no-checksum", NULL, OPT_NO_CHECKSUM, ALL, "receive complete checksums only" },
	{ "no-split", NULL, OPT_NO_SPLIT, ALL, "one event channel per queue" },
	{ "no-rx-notify", NULL, OPT_NO_RX_NOTIFY, ALL, "as an old front end: tells of no buffers" },
	{ "hash", NULL, OPT_HASH, ALL,
	  "have the back end choose queues by Toeplitz hash (control ring)" },
	{ "static-grants", NULL, OPT_STATIC, ALL,
	  "have the back end keep our pages mapped (control ring)" },
	{ "multicast-control", NULL, OPT_MULTICAST, ALL, "receive only groups that were joined" },
	{ "help", NULL, OPT_HELP, ALL, "this text" },
};

static const struct command *find_command(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands + i;
	return NULL;
}

static void help_of(const struct command *c)
{
	char left[48];
	unsigned int i;

	printf("Usage: paravane-netfront %s\n\n%s\n\nOptions:\n", c->synopsis, c->text);
	for (i = 0; i < ARRAY_LEN(lines); i++) {
		if (!(lines[i].commands & c->mask))
			continue;
		snprintf(left, sizeof(left), "--%s %s", lines[i].name,
			 lines[i].arg ? lines[i].arg : "");
		printf("  %-20s %s\n", left, lines[i].help);
	}
}

void args_help(const char *command)
{
	unsigned int i;

	if (command) {
		help_of(find_command(command));
	} else {
		printf("Usage: paravane-netfront COMMAND [OPTIONS]\n\n"
		       "The guest's side of a virtual network interface, in a process.\n\n"
		       "Commands:\n");
		for (i = 0; i < ARRAY_LEN(commands); i++)
			printf("  %s\n", commands[i].synopsis);
		printf("\nparavane-netfront COMMAND --help shows a command's options.\n");
	}
	printf("\nExit status: 0 done, 1 error, 2 wrong usage, 3 no answer, 130 interrupted.\n");
}

/* ---- values ------------------------------------------------------------------------ */

static int usage(const struct args *a, const char *option, const char *value,
		 const char *expected)
{
	fprintf(stderr, "paravane-netfront %s: --%s: '%s' is not %s; see paravane-netfront "
		"%s --help\n", a->command, option, value, expected, a->command);
	return EXIT_USAGE;
}

static int set_uint(const struct args *a, const char *name, const char *value,
		    unsigned int min, unsigned int max, unsigned int *out)
{
	char expected[64];
	uint64_t v;

	if (parse_u64(value, max, &v) == 0 && v >= min) {
		*out = (unsigned int)v;
		return -1;
	}
	snprintf(expected, sizeof(expected), "a number from %u to %u", min, max);
	return usage(a, name, value, expected);
}

static int set_seconds(struct args *a, const char *value)
{
	char *end;

	a->seconds = strtod(value, &end);
	return end != value && !*end && a->seconds >= 0 && a->seconds < 1e6 ? -1 :
	       usage(a, "seconds", value, "a number of seconds");
}

static int set_address(struct args *a, const char *value)
{
	a->has_own_ip = inet_pton(AF_INET, value, a->own_ip) == 1;
	return a->has_own_ip ? -1 : usage(a, "address", value, "an IPv4 address");
}

static int set_mac(struct args *a, const char *value)
{
	a->has_peer_mac = vif_parse_mac(value, a->peer_mac) == 0;
	return a->has_peer_mac ? -1 : usage(a, "mac", value, "an address such as "
					    "00:16:3e:01:02:03");
}

static int set_flag(struct args *a, int id)
{
	bool *const flag[] = {
		[OPT_NO_SG - OPT_NO_SG] = &a->net.no_sg,
		[OPT_NO_GSO - OPT_NO_SG] = &a->net.no_gso,
		[OPT_NO_CHECKSUM - OPT_NO_SG] = &a->net.no_checksum,
		[OPT_NO_SPLIT - OPT_NO_SG] = &a->net.no_split,
		[OPT_NO_RX_NOTIFY - OPT_NO_SG] = &a->net.no_rx_notify,
		[OPT_HASH - OPT_NO_SG] = &a->hash,
		[OPT_STATIC - OPT_NO_SG] = &a->static_grants,
		[OPT_MULTICAST - OPT_NO_SG] = &a->net.multicast_control,
		[OPT_JSON - OPT_NO_SG] = &a->json,
		[OPT_QUIET - OPT_NO_SG] = &a->quiet,
		[OPT_SERVE - OPT_NO_SG] = &a->serve,
	};

	if (id == OPT_HELP) {
		args_help(a->command);
		return EXIT_OK;
	}
	*flag[id - OPT_NO_SG] = true;
	return -1;
}

static int set_timeout(struct args *a, const char *value)
{
	unsigned int seconds = 0;
	int r = set_uint(a, "timeout", value, 0, 86400, &seconds);

	a->timeout_ms = seconds ? (int)seconds * 1000 : -1;
	return r;
}

static int set_option(struct args *a, int id, const char *name, const char *value)
{
	switch (id) {
	case OPT_VIF:
		return set_uint(a, name, value, 0, 65535, &a->devid);
	case OPT_TIMEOUT:
		return set_timeout(a, value);
	case OPT_QUEUES:
		return set_uint(a, name, value, 1, VIF_QUEUES_MAX, &a->net.nr_queues);
	case OPT_POLL:
		return set_uint(a, name, value, 0, 1000000, &a->poll_us);
	case OPT_TX_PAGES:
		return set_uint(a, name, value, 1, 256, &a->net.tx_pages);
	case OPT_RX_PAGES:
		return set_uint(a, name, value, 1, 256, &a->net.rx_pages);
	case OPT_COUNT:
		return set_uint(a, name, value, 1, 1000000000, &a->count);
	case OPT_INTERVAL:
		return set_uint(a, name, value, 0, 3600000, &a->interval_ms);
	case OPT_WAIT:
		return set_uint(a, name, value, 1, 3600000, &a->wait_ms);
	case OPT_SIZE:
		return set_uint(a, name, value, 60, 65535, &a->frame_bytes);
	case OPT_BATCH:
		return set_uint(a, name, value, 1, 256, &a->batch);
	case OPT_SECONDS:
		return set_seconds(a, value);
	case OPT_ADDRESS:
		return set_address(a, value);
	case OPT_MAC:
		return set_mac(a, value);
	case OPT_IFNAME:
		a->ifname = value;
		return -1;
	case OPT_RUN:
		a->run = value;
		return -1;
	}
	return set_flag(a, id);
}

int args_parse(struct args *a, const char *command, int argc, char **argv)
{
	struct option table[ARRAY_LEN(lines) + 1] = { 0 };
	unsigned int i, nr = 0, mask = find_command(command)->mask;
	int r = -1, id, at;

	*a = (struct args){ .command = command, .timeout_ms = 10000, .ifname = "pv0",
			    .count = 5, .interval_ms = 200, .wait_ms = 2000,
			    .frame_bytes = 60, .seconds = -1 };
	for (i = 0; i < ARRAY_LEN(lines); i++)
		if (lines[i].commands & mask)
			table[nr++] = (struct option){ lines[i].name,
				lines[i].arg ? required_argument : no_argument, NULL,
				lines[i].id };
	optind = 1;
	while (r < 0 && (id = getopt_long(argc, argv, "", table, &at)) != -1)
		r = id == '?' ? EXIT_USAGE : set_option(a, id, table[at].name, optarg);
	a->net.ctrl_ring = a->hash || a->static_grants || !strcmp(command, "info");
	a->argc = argc - optind;
	a->argv = argv + optind;
	return r;
}

int args_no_rest(const struct args *a)
{
	if (!a->argc)
		return 0;
	fprintf(stderr, "paravane-netfront %s: '%s' is not an option; see paravane-netfront %s "
		"--help\n", a->command, a->argv[0], a->command);
	return EXIT_USAGE;
}
