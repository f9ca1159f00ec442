/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paravane-blkback: the block back end's daemon, and its workers' entry.
 *
 * Hides: the options about disks. Must not know: devices.
 */
#include "blkback.h"
#include "daemon.h"
#include "journal.h"
#include "keys.h"
#include "vbd-device.h"
#include "vbd-serve.h"
#include "worker-main.h"

#define PROGRAM "paravane-blkback"
#define POLL_US_DEFAULT 50u
/* As long as iSCSI initiators wait for a session to come back. */
#define IO_TIMEOUT_MS_DEFAULT 120000u
#define POLL_US_MAX 1000000u
/* Four rings of a page, each full of requests of 33 pages. */
#define PERSISTENT_PAGES_DEFAULT 4224u
#define PERSISTENT_PAGES_MAX (1u << 24)
#define PERSISTENT_IDLE_MS_DEFAULT 60000u
#define PERSISTENT_IDLE_S_MAX 86400u

static const char usage[] =
	"Usage: " PROGRAM " [OPTION]...\n"
	"Serves every block device of this domain, as XenStore lists them.\n"
	"\n"
	"      --kind=KIND         back end directory to serve: vbd (default) or vbd3\n"
	"      --engine=ENGINE     auto (default), buffered, direct; null loses\n"
	"                          all data: for measurements only\n"
	"      --grant-mode=MODE   how pages of guests are reached: auto (default),\n"
	"                          persistent, map, copy; what a disk's own nodes say\n"
	"                          goes first\n"
	"      --persistent-pages=N  most pages of a device that stay mapped; 0: none,\n"
	"                          and not offered (default 4224)\n"
	"      --persistent-idle=S seconds after which an unused one is unmapped\n"
	"                          (default 60)\n"
	"      --indirect-segments=N  pages of one request, at most, that guests are\n"
	"                          offered: 0 to 4096 (default 256); what a disk's\n"
	"                          own nodes say goes first\n"
	"      --io-timeout=S      seconds that requests wait for a server of a disk's image\n"
	"                          (NBD, qcow2 ...) that is away, before they fail;\n"
	"                          0: for ever (default 120)\n"
	"      --poll-us=N         longest wait by polling before sleeping, in\n"
	"                          microseconds; 0: never (default 50)\n";

static const char *const kinds[] = { "vbd", "vbd3", NULL };
static const char *const engines[] = {
	[WORKER_ENGINE_AUTO] = "auto", [WORKER_ENGINE_BUFFERED] = "buffered",
	[WORKER_ENGINE_DIRECT] = "direct", [WORKER_ENGINE_NULL] = "null", NULL,
};
/* From VBD_GRANTS_AUTO on. */
static const char *const grants[] = { "auto", "persistent", "map", "copy", NULL };

enum { KIND = 256, ENGINE, GRANT_MODE, PAGES, IDLE, SEGMENTS, POLL, IO_TIMEOUT };

static const struct option options[] = {
	{ "kind", required_argument, NULL, KIND },
	{ "engine", required_argument, NULL, ENGINE },
	{ KEY_GRANT_MODE, required_argument, NULL, GRANT_MODE },
	{ "persistent-pages", required_argument, NULL, PAGES },
	{ "persistent-idle", required_argument, NULL, IDLE },
	{ "indirect-segments", required_argument, NULL, SEGMENTS },
	{ KEY_IO_TIMEOUT, required_argument, NULL, IO_TIMEOUT },
	{ "poll-us", required_argument, NULL, POLL },
	{ NULL, 0, NULL, 0 },
};

static void take(struct backend_config *base, int option, const char *value)
{
	struct blkback_config *c = (struct blkback_config *)base;

	switch (option) {
	case KIND:
		c->base.kind = kinds[daemon_choose("kind", value, kinds)];
		break;
	case ENGINE:
		c->engine = daemon_choose("engine", value, engines);
		break;
	case GRANT_MODE:
		c->grants = VBD_GRANTS_AUTO + daemon_choose(KEY_GRANT_MODE, value, grants);
		break;
	case PAGES:
		c->persistent_pages = daemon_number("persistent-pages", value,
						    PERSISTENT_PAGES_MAX);
		break;
	case IDLE:
		c->persistent_idle_ms = 1000 * daemon_number("persistent-idle", value,
							     PERSISTENT_IDLE_S_MAX);
		break;
	case SEGMENTS:
		c->max_segments = daemon_number("indirect-segments", value,
						VBD_INDIRECT_SEGMENTS_MAX);
		break;
	case IO_TIMEOUT:
		c->io_timeout_ms = 1000 * daemon_number(KEY_IO_TIMEOUT, value,
							VBD_IO_TIMEOUT_MAX_S);
		break;
	case POLL:
		c->poll_us = daemon_number("poll-us", value, POLL_US_MAX);
		break;
	}
}

int main(int argc, char **argv)
{
	static const struct daemon_program program = {
		.name = PROGRAM, .run_directory = "blkback", .usage = usage,
		.options = options, .take = take, .kind = &vbd_kind,
		.worker = worker_main, .journal_version = JOURNAL_VERSION,
	};
	struct blkback_config config = {
		.base.kind = kinds[0], .grants = VBD_GRANTS_AUTO,
		.persistent_pages = PERSISTENT_PAGES_DEFAULT,
		.persistent_idle_ms = PERSISTENT_IDLE_MS_DEFAULT,
		.max_segments = BLKBACK_SEGMENTS_DEFAULT, .poll_us = POLL_US_DEFAULT,
		.io_timeout_ms = IO_TIMEOUT_MS_DEFAULT,
	};

	return daemon_main(&program, &config.base, argc, argv);
}
