/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane capture: frames of a bridge or of one interface, as pcap.
 *
 * Hides: how the daemon's stream gets into a file. Must not know: what is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "keys.h"
#include "paravane-bridge.h"
#include "paravane-deadline.h"
#include "util.h"

#define SNAPLEN_DEFAULT 65535u

static const char help_text[] =
"Usage: paravane capture BRIDGE|DOMAIN/DEVICE [OPTION]...\n"
"\n"
"Writes the frames that go through a bridge of paravane-netback, or in and out of a\n"
"guest's interface, as a pcap file; tcpdump may read it while it is written:\n"
"\n"
"  paravane capture xenbr0 | tcpdump -n -r -\n"
"  paravane capture guest1/vif0 -w guest1.pcap\n"
"\n"
"Frames that are dropped are there too. A frame is as its sender made it: large ones\n"
"are not cut yet, and a checksum that is left to the receiver is blank. Nothing waits\n"
"for the reader: what does not fit is lost, and counted.\n"
"\n"
"  -w, --write FILE  instead of standard output, which is \"-\"\n"
"  -s, --snaplen N   octets kept of a frame, 1 to 262144 (default 65535)\n"
"      --json        the counters at the end as an object, on standard error\n"
"      --backend DOMAIN  the domain whose interface is meant; default: as found\n"
"\n"
"Ends with a signal, when nobody reads, or with the interface or bridge.\n"
"\n"
"Exit status: 0 ended, 1 error, 2 wrong usage, 3 XenStore or the daemon does not answer,\n"
"4 no such bridge, domain or interface, 6 too many captures.\n";

enum { OPT_JSON = 256 };

static const struct option options[] = {
	{ "write", required_argument, NULL, 'w' },
	{ "snaplen", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "backend", required_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct capture {
	struct common_options common;
	const char *write;		/* NULL: standard output */
	uint32_t snaplen;
	bool json;
	struct control_msg ask;
	int control, stream, out, signals;
};

/* ---- what is asked for --------------------------------------------------------------- */

static int take_snaplen(struct capture *c, const char *text)
{
	uint64_t n;

	if (parse_u64(text, PCAP_SNAPLEN_MAX, &n) || !n)
		return complain_usage(&capture_command, "--snaplen \"%s\": octets are expected, 1 to "
				      "%u", text, PCAP_SNAPLEN_MAX);
	c->snaplen = (uint32_t)n;
	return STATUS_OK;
}

static int parse(struct capture *c, int argc, char **argv, bool *finished)
{
	int opt, status = STATUS_OK;

	while (!status && (opt = getopt_long(argc, argv, ":hw:s:", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(help_text, stdout);
			*finished = true;
			return STATUS_OK;
		case 'w':
			c->write = strcmp(optarg, "-") ? optarg : NULL;
			break;
		case 's':
			status = take_snaplen(c, optarg);
			break;
		case 'b':
			c->common.backend = optarg;
			break;
		case OPT_JSON:
			c->json = true;
			break;
		case ':':
			status = complain_usage(&capture_command, "capture: option \"%s\" needs a "
						"value", argv[optind - 1]);
			break;
		default:
			status = complain_usage(&capture_command, "capture: unknown option \"%s\"",
						argv[optind - 1]);
		}
	}
	return status ? status : common_operands(&capture_command, argc, 1, 1);
}

/* DOMAIN/DEVICE, or a bridge. */
static int name_it(struct capture *c, struct store *store, char *text)
{
	char *slash = strchr(text, '/');
	struct inventory_device dev;
	int status;

	c->ask.type = CONTROL_CAPTURE;
	c->ask.capture.domid = c->ask.capture.devid = CONTROL_ANY;
	c->ask.capture.snaplen = c->snaplen;
	if (!slash) {
		if (!vif_is_name(text) || strlen(text) >= VIF_NAME_BYTES)
			return complain_usage(&capture_command, "\"%s\": a bridge's name, or "
					      "DOMAIN/DEVICE, is expected", text);
		memcpy(c->ask.bridge, text, strlen(text));
		return STATUS_OK;
	}
	*slash = '\0';
	status = store_find(store, &c->common, text, slash + 1, &dev);
	if (status)
		return status;
	if (strcmp(dev.kind, KIND_VIF) || dev.backend_domid != store->own_domid)
		return complain(STATUS_USAGE, "%s is a %s of domain %u: only interfaces of kind vif "
				"of this domain's back end can be captured", slash + 1, dev.kind,
				dev.backend_domid);
	c->ask.capture.domid = dev.domid;
	c->ask.capture.devid = dev.devid;
	return STATUS_OK;
}

static int open_output(struct capture *c)
{
	if (!c->write) {
		if (isatty(STDOUT_FILENO))
			return complain_usage(&capture_command, "capture: a terminal cannot read "
					      "pcap: pipe it into \"tcpdump -r -\", or use -w FILE");
		c->out = dup(STDOUT_FILENO);
	} else {
		c->out = open(c->write, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	if (c->out < 0)
		return complain(STATUS_ERROR, "%s: %s", c->write ? c->write : "standard output",
				strerror(errno));
	return STATUS_OK;
}

/* Signals end it in order; a reader that goes is an error of write(2). */
static int catch_signals(struct capture *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return complain(STATUS_ERROR, "signals: %s", strerror(errno));
	c->signals = signalfd(-1, &set, SFD_CLOEXEC);
	return c->signals < 0 ? complain(STATUS_ERROR, "signals: %s", strerror(errno)) : STATUS_OK;
}

static int begin(struct capture *c)
{
	struct control_msg msg;
	int status = daemon_connect(&c->control);

	if (!status)
		status = daemon_ask(c->control, &c->ask);
	if (!status)
		status = daemon_hear(c->control, &msg, &c->stream);
	if (!status && (msg.type != CONTROL_CAPTURING || c->stream < 0))
		status = complain(STATUS_ERROR, "the daemon's answer is not a stream");
	return status;
}

/* ---- the stream ----------------------------------------------------------------------- */

/* -errno, 0 at the end, or how much was copied. */
static int copy(const struct capture *c)
{
	static char buf[1 << 18];
	ssize_t n = read(c->stream, buf, sizeof(buf)), done = 0, m;

	if (n <= 0)
		return n ? -errno : 0;
	while (done < n) {
		m = write(c->out, buf + done, (size_t)(n - done));
		if (m >= 0)
			done += m;
		else if (errno != EINTR)
			return -errno;
	}
	return (int)n;
}

static int write_failed(const struct capture *c, int rc)
{
	if (rc == -EPIPE)
		return STATUS_OK;	/* as any filter whose reader has had enough */
	return complain(STATUS_ERROR, "%s: %s", c->write ? c->write : "standard output",
			strerror(-rc));
}

/* Until the stream ends. Its end is the daemon's doing, or follows our STOP. */
static int run_stream(struct capture *c)
{
	struct control_msg stop = { .type = CONTROL_CAPTURE_STOP };
	struct pollfd p[] = {
		{ .fd = c->stream, .events = POLLIN },
		{ .fd = c->signals, .events = POLLIN },
		{ .fd = c->out, .events = 0 },	/* its reader goes: POLLERR */
	};

	for (;;) {
		int rc = poll(p, ARRAY_LEN(p), -1);

		if (rc < 0 && errno != EINTR)
			return complain(STATUS_ERROR, "poll: %s", strerror(errno));
		if (rc <= 0)
			continue;
		if (p[2].revents & POLLERR)
			return STATUS_OK;
		if (p[1].revents) {
			p[1].fd = -1;
			daemon_ask(c->control, &stop);
		}
		if (!p[0].revents)
			continue;
		rc = copy(c);
		if (rc <= 0)
			return rc ? write_failed(c, rc) : STATUS_OK;
	}
}

static int say_counters(const struct capture *c)
{
	const struct pcap_counters *n;
	struct control_msg msg;
	int pipe = -1, status = daemon_hear(c->control, &msg, &pipe);

	close_fd(&pipe);
	if (status)
		return status;
	if (msg.type != CONTROL_CAPTURED)
		return complain(STATUS_ERROR, "the daemon's answer is not the capture's end");
	n = &msg.captured.counters;
	if (msg.captured.err == ENOSPC)
		return complain(STATUS_BUSY, "there are %u captures of this bridge already",
				NETBACK_CAPTURES_MAX);
	if (msg.captured.err && msg.captured.err != EPIPE)
		return complain(STATUS_ERROR, "the capture has failed: %s",
				strerror(msg.captured.err));
	fprintf(stderr, c->json ? "{\"frames\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n" :
		"paravane: %" PRIu64 " frames, %" PRIu64 " lost\n", n->frames, n->dropped);
	return STATUS_OK;
}

static int capture(struct capture *c, char *name)
{
	struct store autostore store = { 0 };
	int status = store_open(&store);

	if (!status)
		status = name_it(c, &store, name);
	if (!status)
		status = catch_signals(c);
	if (!status)
		status = begin(c);
	deadline_end();
	if (!status)
		status = open_output(c);
	if (!status)
		status = run_stream(c);
	close_fd(&c->stream);	/* whatever is in it is not wanted: the worker is to see that */
	return status ? status : say_counters(c);
}

static int run(int argc, char **argv)
{
	struct capture c = { .snaplen = SNAPLEN_DEFAULT, .control = -1, .stream = -1, .out = -1,
			     .signals = -1 };
	bool finished = false;
	int status = parse(&c, argc, argv, &finished);

	if (status || finished)
		return status;
	status = capture(&c, argv[optind]);
	close_fd(&c.control);
	close_fd(&c.out);
	close_fd(&c.signals);
	return status;
}

const struct subcommand capture_command = {
	.name = "capture",
	.summary = "write a bridge's or an interface's frames as pcap",
	.help = help_text,
	.classes = OF_NICS,
	.run = run,
};
