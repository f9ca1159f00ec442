/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-netback: the net back end's daemon, and its workers' entry.
 *
 * Hides: the options about interfaces. Must not know: devices.
 */
#include "bridge-worker.h"
#include "daemon.h"
#include "keys.h"
#include "netback-journal.h"
#include "vif-device.h"
#include "vif.h"

#define PROGRAM "paravane-netback"
#define ADDRESS_MS 15000u	/* as long as one domain takes to follow another */
#define POLL_US_DEFAULT 50u
#define POLL_US_MAX 1000000u
/* A worker is one thread: more rings spread a guest's work, not ours. */
#define QUEUES_DEFAULT 4u

static const char usage[] =
	"Usage: " PROGRAM " [OPTION]...\n"
	"Serves every network interface of this domain, as XenStore lists them, and\n"
	"switches frames between those that name the same bridge.\n"
	"\n"
	"      --" KEY_MAX_QUEUES "=N      queues that guests are offered: 1 to 16 (default 4);\n"
	"                          what an interface's own nodes say goes first if less\n"
	"      --poll-us=N         longest wait by polling before sleeping, in\n"
	"                          microseconds; 0: never (default 50)\n"
	"      --page-flip         offers that frames arrive by page transfer; needs a\n"
	"                          program that makes hypercalls, paravane-flip(8)\n";

enum { QUEUES = 256, POLL, FLIP };

static const struct option options[] = {
	{ KEY_MAX_QUEUES, required_argument, NULL, QUEUES },
	{ "poll-us", required_argument, NULL, POLL },
	{ "page-flip", no_argument, NULL, FLIP },
	{ NULL, 0, NULL, 0 },
};

static void take(struct backend_config *base, int option, const char *value)
{
	struct vif_config *c = (struct vif_config *)base;

	switch (option) {
	case QUEUES:
		c->max_queues = daemon_number(KEY_MAX_QUEUES, value, VIF_QUEUES_MAX);
		if (!c->max_queues)
			c->max_queues = 1;
		break;
	case POLL:
		c->poll_us = daemon_number("poll-us", value, POLL_US_MAX);
		break;
	case FLIP:
		c->page_flip = true;
		break;
	}
}

int main(int argc, char **argv)
{
	static const struct daemon_program program = {
		.name = PROGRAM, .run_directory = "netback", .usage = usage,
		.options = options, .take = take, .kind = &vif_kind,
		.worker = bridge_worker, .journal_version = NB_JOURNAL_VERSION,
	};
	struct vif_config config = {
		.base.kind = "vif", .max_queues = QUEUES_DEFAULT, .poll_us = POLL_US_DEFAULT,
		.address_ms = ADDRESS_MS,
	};

	return daemon_main(&program, &config.base, argc, argv);
}
